//! Regular expressions whose groups are read: what middlewares search and replace with.
//!
//! A rule asks only whether its expression matches, so its groups are dropped when it is compiled.
//! Here they stay. The scratch memory is the same [`RegexCaches`].

use std::fmt;
use std::ops::Range;

use regex_automata::util::primitives::NonMaxUsize;

use super::re2;
use super::regex::{Pattern, RegexCaches};

/// Most groups of an expression, the whole match included.
pub const MAX_GROUPS: usize = 100;

/// A compiled expression in Go's syntax, with its groups. A clone shares it.
#[derive(Clone, Debug)]
pub struct GroupRegex {
    pattern: Pattern,
    groups: usize,
    names: Box<[(Box<str>, usize)]>,
}

/// Where the groups of a match are. Kept and used again, it allocates once.
#[derive(Clone, Debug, Default)]
pub struct Groups(Vec<Option<NonMaxUsize>>);

/// Why an expression was refused; `Display` shows it with a caret under the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegexError {
    pattern: Box<str>,
    /// Byte offset, if the place is known.
    at: Option<usize>,
    message: Box<str>,
}

impl GroupRegex {
    /// Compiles an expression in the syntax of Go (RE2).
    ///
    /// # Errors
    ///
    /// The first mistake, or that the expression is too large or has too many groups.
    pub fn compile(pattern: &str) -> Result<GroupRegex, RegexError> {
        let error = |at, message: String| RegexError {
            pattern: pattern.into(),
            at,
            message: message.into(),
        };
        let (text, names) =
            re2::translate_with_groups(pattern).map_err(|bad| error(Some(bad.at), bad.message))?;
        let groups = names.len() + 1;
        if groups > MAX_GROUPS {
            return Err(error(None, format!("more than {} groups", MAX_GROUPS - 1)));
        }
        let names = names.into_iter().zip(1..);
        Ok(GroupRegex {
            pattern: Pattern::compile(&text).map_err(|message| error(None, message))?,
            groups,
            names: names
                .filter_map(|(name, index)| Some((name?.into(), index)))
                .collect(),
        })
    }

    /// Number of groups, the whole match (group 0) included.
    pub fn group_count(&self) -> usize {
        self.groups
    }

    /// The number of a named group.
    pub fn group_index(&self, name: &str) -> Option<usize> {
        self.names
            .iter()
            .find(|(n, _)| &**n == name)
            .map(|&(_, index)| index)
    }

    /// Whether the expression matches anywhere in `text`.
    pub fn is_match(&self, text: &[u8], caches: &mut RegexCaches) -> bool {
        caches.is_match(&self.pattern, text)
    }

    /// Finds the leftmost match that begins at `from` or later; anchors see the whole of `text`. Bytes
    /// that are not UTF-8 match nothing: repair them before.
    pub fn find(
        &self,
        text: &[u8],
        from: usize,
        groups: &mut Groups,
        caches: &mut RegexCaches,
    ) -> bool {
        groups.0.clear();
        groups.0.resize(self.groups * 2, None);
        from <= text.len() && caches.find_groups(&self.pattern, text, from, &mut groups.0)
    }
}

impl Groups {
    /// Where group `index` of the last match is, if it took part.
    pub fn get(&self, index: usize) -> Option<Range<usize>> {
        let start = (*self.0.get(index * 2)?)?;
        let end = (*self.0.get(index * 2 + 1)?)?;
        Some(start.get()..end.get())
    }
}

impl fmt::Display for RegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  {}", self.message, self.pattern)?;
        match self.at.and_then(|at| self.pattern.get(..at)) {
            Some(before) if !self.pattern.contains('\n') => {
                let indent = before.chars().count();
                write!(f, "\n  {:indent$}^", "")
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for RegexError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_number_and_name() {
        let regex = GroupRegex::compile(r"^/(?P<a>\w+)(?:-)(x)?/(?<b>.*)$").unwrap();
        assert_eq!(regex.group_count(), 4);
        assert_eq!(
            (regex.group_index("a"), regex.group_index("b")),
            (Some(1), Some(3))
        );
        assert_eq!(regex.group_index("c"), None);
        let (mut groups, mut caches) = (Groups::default(), RegexCaches::new());
        assert!(regex.find(b"/one-/two", 0, &mut groups, &mut caches));
        assert_eq!(groups.get(0), Some(0..9));
        assert_eq!(groups.get(1), Some(1..4));
        assert_eq!(groups.get(2), None);
        assert_eq!(groups.get(3), Some(6..9));
        assert_eq!(groups.get(4), None);
        assert!(regex.is_match(b"/one-/two", &mut caches));
        assert!(!regex.find(b"/one", 0, &mut groups, &mut caches));
    }

    #[test]
    fn a_search_from_a_later_place_still_sees_the_start() {
        let (mut groups, mut caches) = (Groups::default(), RegexCaches::new());
        let anchored = GroupRegex::compile("^a").unwrap();
        assert!(!anchored.find(b"aa", 1, &mut groups, &mut caches));
        let plain = GroupRegex::compile("a").unwrap();
        assert!(plain.find(b"aa", 1, &mut groups, &mut caches));
        assert_eq!(groups.get(0), Some(1..2));
        assert!(!plain.find(b"aa", 2, &mut groups, &mut caches));
        assert!(!plain.find(b"aa", 3, &mut groups, &mut caches));
    }

    #[test]
    fn mistakes_are_shown_in_their_place() {
        let error = GroupRegex::compile("a(b").unwrap_err().to_string();
        assert!(error.ends_with("\n  a(b\n   ^"), "{error}");
        assert!(GroupRegex::compile(&"(a)".repeat(100)).is_err());
        assert!(GroupRegex::compile(&"(a)".repeat(99)).is_ok());
    }
}
