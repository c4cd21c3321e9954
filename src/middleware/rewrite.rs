//! Search and replace with Go's semantics (`Regexp.ReplaceAllString`), and the memory it works in.

use super::template::Template;
use crate::rules::{GroupRegex, Groups, RegexCaches, RegexError};

/// Longest text that a replacement may lead to, in bytes.
pub(super) const MAX_REWRITTEN_BYTES: usize = 1 << 20;

/// What a buffer keeps from one use to the next, in bytes.
pub(super) const KEPT_BYTES: usize = 16 << 10;

/// A replacement led to more than [`MAX_REWRITTEN_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// An expression and what its matches are replaced by.
#[derive(Debug)]
pub(super) struct Rewrite {
    regex: GroupRegex,
    template: Template,
}

/// A shard's working memory for texts and matches.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub source: Vec<u8>,
    pub output: Vec<u8>,
    pub groups: Groups,
}

impl Rewrite {
    pub fn compile(pattern: &str, replacement: &str) -> Result<Rewrite, RegexError> {
        let regex = GroupRegex::compile(pattern)?;
        let template = Template::compile(replacement, regex.group_count(), |name| {
            regex.group_index(name)
        });
        Ok(Rewrite { regex, template })
    }

    /// Puts `scratch.source` with all matches replaced into `scratch.output`; whether there is any.
    pub fn replace_all(
        &self,
        scratch: &mut Scratch,
        caches: &mut RegexCaches,
    ) -> Result<bool, TooLong> {
        let Scratch {
            source,
            output,
            groups,
        } = scratch;
        restart(output);
        let (mut copied, mut from, mut found) = (0, 0, false);
        while self.regex.find(source, from, groups, caches) {
            let Some(matched) = groups.get(0) else { break };
            found = true;
            let between = source.get(copied..matched.start);
            output.extend_from_slice(between.unwrap_or_default());
            // An empty match right behind the last one is not a match (Go).
            if matched.end > copied || matched.start == 0 {
                let group = |index| groups.get(index).and_then(|range| source.get(range));
                let group = |index| group(index).unwrap_or_default();
                self.template.expand(group, MAX_REWRITTEN_BYTES, output);
            }
            if output.len() > MAX_REWRITTEN_BYTES {
                return Err(TooLong);
            }
            copied = matched.end;
            let next = from + char_width(source.get(from..).unwrap_or_default());
            from = next.max(matched.end);
        }
        output.extend_from_slice(source.get(copied..).unwrap_or_default());
        Ok(found)
    }
}

/// Empties a buffer for its next use. Memory beyond the usual that an unusual request took goes back.
pub(super) fn restart(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(KEPT_BYTES);
}

/// Bytes of the first character; at least 1, so that a search always advances.
fn char_width(text: &[u8]) -> usize {
    match text.first() {
        Some(0xc0..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xff) => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replace(pattern: &str, replacement: &str, text: &str) -> Option<String> {
        let rewrite = Rewrite::compile(pattern, replacement).unwrap();
        let mut scratch = Scratch::default();
        scratch.source.extend_from_slice(text.as_bytes());
        let found = rewrite
            .replace_all(&mut scratch, &mut RegexCaches::new())
            .unwrap();
        found.then(|| String::from_utf8(scratch.output).unwrap())
    }

    #[test]
    fn all_matches_are_replaced_as_go_does() {
        for (pattern, replacement, text, expected) in [
            ("a", "b", "/a/a/a", Some("/b/b/b")),
            ("^/foo/(.*)", "/bar/$1", "/foo/x", Some("/bar/x")),
            ("^/z", "/y", "/a", None),
            ("x*", "-", "/ab", Some("-/-a-b-")),
            ("x*", "-", "axb", Some("-a-b-")),
            ("x*", "-", "", Some("-")),
            (".*", "z", "abc", Some("z")),
            ("^", "z", "aa", Some("zaa")),
            ("$", "z", "aa", Some("aaz")),
            ("é*", "-", "éaé", Some("-a-")),
            ("b|", "-", "ab", Some("-a-")),
            ("(a)|(b)", "[$1$2]", "ab", Some("[a][b]")),
        ] {
            assert_eq!(
                replace(pattern, replacement, text).as_deref(),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn a_text_that_grows_without_bounds_is_given_up() {
        let rewrite = Rewrite::compile("a", &"$0".repeat(100)).unwrap();
        let mut scratch = Scratch::default();
        scratch.source.resize(100_000, b'a');
        let mut caches = RegexCaches::new();
        assert_eq!(rewrite.replace_all(&mut scratch, &mut caches), Err(TooLong));
        let whole = Rewrite::compile(".*", &"$0".repeat(1000)).unwrap();
        assert_eq!(whole.replace_all(&mut scratch, &mut caches), Err(TooLong));
        assert!(scratch.output.len() <= MAX_REWRITTEN_BYTES + 100_000);
        restart(&mut scratch.output);
        assert!(scratch.output.capacity() <= KEPT_BYTES);
    }
}
