//! Compiled regular expressions, shared between rules, and each shard's scratch memory for matching them.
//!
//! A compiled expression is immutable and shared by all threads; what a search writes to lives in the shard's
//! [`RegexCaches`]. So matching takes no lock, and allocates only while a shard meets an expression for the first time.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use regex_automata::Input;
use regex_automata::meta::{Cache, Config, Regex};
use regex_automata::util::{primitives::NonMaxUsize, syntax};
use rustc_hash::FxHashMap;

use super::query;

/// Bytes that one compiled expression may take. Go limits repetition counts instead; this is about what the largest
/// expression that Go accepts without Unicode classes needs.
pub const MAX_REGEX_PROGRAM_BYTES: usize = 4 << 20;

/// Expressions for which one shard keeps scratch memory. Beyond it, that of the least used half is dropped.
pub const MAX_REGEX_CACHES: usize = 1024;

/// Scratch memory of the lazily built automaton, per expression and shard, at most.
const HYBRID_CACHE_BYTES: usize = 256 << 10;

/// A compiled expression; a clone shares it.
#[derive(Clone)]
pub(super) struct Pattern(Arc<Compiled>);

struct Compiled {
    /// Unique in the process, for as long as it runs.
    id: u32,
    regex: Regex,
    matches_empty: bool,
}

impl Pattern {
    /// Compiles an expression in the syntax of `regex-automata`, or finds it among those in use.
    pub fn compile(pattern: &str) -> Result<Pattern, String> {
        static IN_USE: LazyLock<Mutex<FxHashMap<Box<str>, Weak<Compiled>>>> =
            LazyLock::new(Default::default);
        static NEXT_ID: AtomicU32 = AtomicU32::new(0);

        let lock = || IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lock().get(pattern).and_then(Weak::upgrade) {
            return Ok(Pattern(found));
        }
        let regex = Regex::builder()
            .configure(
                Config::new()
                    .utf8_empty(false)
                    .nfa_size_limit(Some(MAX_REGEX_PROGRAM_BYTES))
                    .hybrid_cache_capacity(HYBRID_CACHE_BYTES),
            )
            .syntax(syntax::Config::new().utf8(false))
            .build(pattern)
            .map_err(|e| describe(&e))?;
        let empty = Input::new(b"").earliest(true);
        let matches_empty = regex
            .search_half_with(&mut regex.create_cache(), &empty)
            .is_some();
        let compiled = Arc::new(Compiled {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            regex,
            matches_empty,
        });
        let mut in_use = lock();
        // Entries of dropped expressions are swept whenever the map would grow: amortised O(1).
        if in_use.len() == in_use.capacity() {
            in_use.retain(|_, compiled| compiled.strong_count() > 0);
        }
        in_use.insert(pattern.into(), Arc::downgrade(&compiled));
        Ok(Pattern(compiled))
    }

    /// Whether the expression matches the empty text.
    pub fn matches_empty(&self) -> bool {
        self.0.matches_empty
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.0.id)
    }
}

fn describe(error: &regex_automata::meta::BuildError) -> String {
    if let Some(limit) = error.size_limit() {
        return format!("this expression needs more than {limit} bytes when compiled");
    }
    match error.syntax_error() {
        // Its text shows the translated expression, over several lines; the last says what is wrong.
        Some(syntax) => {
            let text = syntax.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_string()
        }
        None => error.to_string(),
    }
}

/// A shard's scratch memory for regular expressions. One per thread that evaluates rules.
#[derive(Default)]
pub struct RegexCaches {
    caches: FxHashMap<u32, Slot>,
    decoded: Vec<u8>,
    repaired: Vec<u8>,
}

struct Slot {
    cache: Box<Cache>,
    used: bool,
}

impl RegexCaches {
    /// Empty: memory is taken when an expression is first matched.
    pub fn new() -> Self {
        Self::default()
    }

    /// Drops the memory of expressions that were not matched since the last call. For a quiet moment, after rules
    /// were replaced.
    pub fn forget_unused(&mut self) {
        self.caches.retain(|_, slot| std::mem::take(&mut slot.used));
    }

    /// Whether `pattern` matches anywhere in `text`. A byte that is not part of UTF-8 counts as U+FFFD, as in Go.
    pub(super) fn is_match(&mut self, pattern: &Pattern, text: &[u8]) -> bool {
        if std::str::from_utf8(text).is_ok() {
            return self.search(pattern, text);
        }
        let mut repaired = std::mem::take(&mut self.repaired);
        repaired.clear();
        for chunk in text.utf8_chunks() {
            repaired.extend_from_slice(chunk.valid().as_bytes());
            for _ in chunk.invalid() {
                repaired.extend_from_slice("\u{FFFD}".as_bytes());
            }
        }
        let found = self.search(pattern, &repaired);
        self.repaired = repaired;
        found
    }

    /// As [`is_match`](Self::is_match), of a well-formed value of a query.
    pub(super) fn is_match_decoded(&mut self, pattern: &Pattern, raw: &[u8]) -> bool {
        if query::is_plain(raw) {
            return self.is_match(pattern, raw);
        }
        let mut decoded = std::mem::take(&mut self.decoded);
        decoded.clear();
        decoded.extend(query::decode(raw).flatten());
        let found = self.is_match(pattern, &decoded);
        self.decoded = decoded;
        found
    }

    fn search(&mut self, pattern: &Pattern, text: &[u8]) -> bool {
        let input = Input::new(text).earliest(true);
        let cache = self.cache_of(pattern);
        pattern.0.regex.search_half_with(cache, &input).is_some()
    }

    /// Finds the leftmost match at `from` or later and the places of its groups.
    pub(super) fn find_groups(
        &mut self,
        pattern: &Pattern,
        text: &[u8],
        from: usize,
        slots: &mut [Option<NonMaxUsize>],
    ) -> bool {
        let input = Input::new(text).range(from..);
        let cache = self.cache_of(pattern);
        pattern
            .0
            .regex
            .search_slots_with(cache, &input, slots)
            .is_some()
    }

    fn cache_of(&mut self, pattern: &Pattern) -> &mut Cache {
        let compiled = &*pattern.0;
        if self.caches.len() >= MAX_REGEX_CACHES && !self.caches.contains_key(&compiled.id) {
            self.make_room();
        }
        let slot = self.caches.entry(compiled.id).or_insert_with(|| Slot {
            cache: Box::new(compiled.regex.create_cache()),
            used: true,
        });
        slot.used = true;
        &mut slot.cache
    }

    #[cold]
    fn make_room(&mut self) {
        self.forget_unused();
        if self.caches.len() > MAX_REGEX_CACHES / 2 {
            let mut keep = MAX_REGEX_CACHES / 2;
            self.caches.retain(|_, _| {
                keep = keep.saturating_sub(1);
                keep > 0
            });
        }
    }
}

impl fmt::Debug for RegexCaches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegexCaches({})", self.caches.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_expressions_are_compiled_once() {
        let a = Pattern::compile("interned-[a-z]+").unwrap();
        let b = Pattern::compile("interned-[a-z]+").unwrap();
        let c = Pattern::compile("interned-[a-y]+").unwrap();
        assert!(Arc::ptr_eq(&a.0, &b.0));
        assert_ne!(a.0.id, c.0.id);
        let id = a.0.id;
        drop((a, b));
        assert_ne!(Pattern::compile("interned-[a-z]+").unwrap().0.id, id);
    }

    #[test]
    fn an_expression_too_large_is_refused() {
        let error = Pattern::compile(r"(?:\pL{100}){100}").unwrap_err();
        assert!(error.contains("bytes when compiled"), "{error}");
    }

    #[test]
    fn scratch_memory_is_bounded() {
        let mut caches = RegexCaches::new();
        for i in 0..MAX_REGEX_CACHES + 10 {
            let pattern = Pattern::compile(&format!("bounded-{i}$")).unwrap();
            assert!(caches.is_match(&pattern, format!("bounded-{i}").as_bytes()));
            assert!(caches.caches.len() <= MAX_REGEX_CACHES);
        }
        caches.forget_unused();
        caches.forget_unused();
        assert_eq!(caches.caches.len(), 0);
    }
}
