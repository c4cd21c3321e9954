//! Reading a source's text again: what an edit left as it was is recognised and costs neither a tree nor an object.
//!
//! ```text
//! hashes of the last reading, in its order   h1 h2 h3 h4 h5 …
//! hashes of the new text, as it is read      h1 h2 x  h4 h5 …     both are walked in step
//!                                                  └─► decoded, compared, patched
//! ```
//!
//! A declaration's hash covers its kind, its name and its text (or its tree, where lines alone do not say what an entry
//! is), so that an equal hash is the same object. Whatever this cannot tell (an object that is declared twice) is left to
//! a whole decoding, with the same result. Errors are always told anew: their places may have moved.

use rustc_hash::{FxHashMap, FxHashSet};

use super::decoder::{Decoder, decode_text};
use super::{Declared, Decoded, ObjectKey};
use crate::config::format::{Format, SyntaxError, parse_with};
use crate::config::tree::ContentHash;

/// How many declarations may have vanished in one place before all that follow are looked up.
const NEAR: usize = if cfg!(test) { 2 } else { 32 };

/// How many unknown declarations may follow each other before all that are left are put into a map.
const MAX_MISSES: usize = if cfg!(test) { 3 } else { 256 };

/// A new reading of a source, compared with the one in force; [`Decoded::apply`] puts it into force.
#[derive(Debug)]
pub struct Reading(Content);

#[derive(Debug)]
enum Content {
    Whole(Decoded),
    Difference {
        /// What was not recognised, and everything that belongs to no object.
        read: Decoded,
        /// What of the reading in force did not come again as it was.
        passed: FxHashSet<ContentHash>,
    },
}

impl Reading {
    /// Whether everything was decoded.
    pub fn is_whole(&self) -> bool {
        matches!(self.0, Content::Whole(_))
    }
}

impl From<Decoded> for Reading {
    fn from(decoded: Decoded) -> Self {
        Self(Content::Whole(decoded))
    }
}

impl Decoded {
    /// Reads a text that may be an edit of the one this is the reading of.
    ///
    /// # Errors
    /// The text is not of its language.
    pub fn read_again(&self, format: Format, text: &str) -> Result<Reading, SyntaxError> {
        if !self.order.is_empty() {
            let mut decoder = Decoder::again(self);
            let document = parse_with(format, text, &mut decoder)?;
            let (read, walk) = decoder.finish(&document);
            if let Some(content) = walk.and_then(|walk| self.difference(read, walk)) {
                return Ok(Reading(content));
            }
        }
        decode_text(format, text, Some(self)).map(Self::into)
    }

    /// `None` if an object was declared twice: once as before, once otherwise.
    fn difference(&self, read: Decoded, walk: Walk<'_>) -> Option<Content> {
        let passed = walk.passed();
        let is_new = |(key, _): (&ObjectKey, &Declared)| {
            let old = self.objects.get(key);
            old.is_none_or(|old| passed.contains(&old.content))
        };
        let is_difference = read.objects.iter().all(is_new);
        is_difference.then_some(Content::Difference { read, passed })
    }

    /// Puts a new reading into force; adds the objects that are otherwise than before to `changed`, if that matters.
    ///
    /// It must have come from [`Self::read_again`] of this very reading, or from a [`Decoded`].
    pub fn apply(&mut self, reading: Reading, changed: Option<&mut FxHashSet<ObjectKey>>) {
        match (reading.0, changed) {
            (Content::Whole(new), None) => *self = new,
            (Content::Whole(new), Some(changed)) => {
                self.compare(&new, changed);
                *self = new;
            }
            (Content::Difference { read, passed }, changed) => {
                self.patch(read, passed, changed.unwrap_or(&mut FxHashSet::default()));
            }
        }
    }

    fn compare(&self, new: &Self, changed: &mut FxHashSet<ObjectKey>) {
        let is_other = |(key, declared): &(&ObjectKey, &Declared)| {
            let old = self.objects.get(*key);
            old.is_none_or(|old| !old.is_same(declared))
        };
        let others = new.objects.iter().filter(is_other).map(|(key, _)| key);
        let gone = self.objects.keys();
        let gone = gone.filter(|key| !new.objects.contains_key(*key));
        changed.extend(others.chain(gone).cloned());
    }

    fn patch(
        &mut self,
        read: Self,
        mut passed: FxHashSet<ContentHash>,
        changed: &mut FxHashSet<ObjectKey>,
    ) {
        for (key, declared) in read.objects {
            if let Some(old) = self.objects.get_mut(&key) {
                passed.remove(&old.content);
                if !old.is_same(&declared) {
                    changed.insert(key);
                }
                *old = declared;
            } else {
                changed.insert(key.clone());
                self.objects.insert(key, declared);
            }
        }
        // The names of what is gone are known only here; one walk over the map is less than any reading.
        if !passed.is_empty() {
            self.objects.retain(|key, declared| {
                let is_gone = passed.contains(&declared.content);
                if is_gone {
                    changed.insert(key.clone());
                }
                !is_gone
            });
        }
        self.order = read.order;
        self.warnings = read.warnings;
        self.errors = read.errors;
    }
}

/// Goes through the declarations of the last reading in step with those of a new one.
#[derive(Debug)]
pub(super) struct Walk<'p> {
    old: &'p [ContentHash],
    /// How many of `old` have come again or were passed.
    at: usize,
    passed: FxHashSet<ContentHash>,
    /// Unknown declarations since the last known one.
    misses: usize,
    /// Where in `old` what was left is, once much was unknown.
    places: Option<FxHashMap<ContentHash, usize>>,
}

impl<'p> Walk<'p> {
    pub(super) fn new(old: &'p [ContentHash]) -> Self {
        Self {
            old,
            at: 0,
            passed: FxHashSet::default(),
            misses: 0,
            places: None,
        }
    }

    /// Whether the next declaration is one of the old ones that have not come yet. What stood before it is passed: if it
    /// comes later it counts as unknown, which costs a decoding and changes nothing.
    pub(super) fn knows(&mut self, hash: ContentHash) -> bool {
        let rest = &self.old[self.at..];
        let near = rest.iter().take(NEAR).position(|old| *old == hash);
        let Some(ahead) = near.or_else(|| self.far(hash)) else {
            self.misses += 1;
            return false;
        };
        self.passed.extend(&rest[..ahead]);
        self.at += ahead + 1;
        self.misses = 0;
        true
    }

    /// Steps over a bad declaration that came again: it is never known, but must not stand in the way of what follows.
    pub(super) fn step_over(&mut self, hash: ContentHash) {
        if self.old.get(self.at) == Some(&hash) {
            self.passed.insert(hash);
            self.at += 1;
        }
    }

    fn far(&mut self, hash: ContentHash) -> Option<usize> {
        if self.places.is_none() && self.misses >= MAX_MISSES {
            let rest = self.old.iter().enumerate().skip(self.at);
            self.places = Some(rest.map(|(place, old)| (*old, place)).collect());
        }
        let place = self.places.as_ref()?.get(&hash)?;
        place.checked_sub(self.at)
    }

    fn passed(mut self) -> FxHashSet<ContentHash> {
        self.passed.extend(&self.old[self.at..]);
        self.passed
    }
}

#[cfg(test)]
#[path = "again_tests.rs"]
mod tests;
