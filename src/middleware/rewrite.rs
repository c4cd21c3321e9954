//! Search and replace with Go's semantics (`Regexp.ReplaceAllString`), and the memory it works in.

use super::template::Template;
use crate::rules::{GroupRegex, Groups, RegexCaches, RegexError};

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

    /// Puts `scratch.source` with all matches replaced into `scratch.output`; false if there is none.
    pub fn replace_all(&self, scratch: &mut Scratch, caches: &mut RegexCaches) -> bool {
        let Scratch {
            source,
            output,
            groups,
        } = scratch;
        output.clear();
        let (mut copied, mut from, mut found) = (0, 0, false);
        while self.regex.find(source, from, groups, caches) {
            let Some(matched) = groups.get(0) else { break };
            found = true;
            output.extend_from_slice(source.get(copied..matched.start).unwrap_or_default());
            // An empty match right behind the last one is not a match (Go).
            if matched.end > copied || matched.start == 0 {
                let group = |index| {
                    groups
                        .get(index)
                        .and_then(|range| source.get(range))
                        .unwrap_or_default()
                };
                self.template.expand(group, output);
            }
            copied = matched.end;
            let width = char_width(source.get(from..).unwrap_or_default());
            from = if from + width > matched.end {
                from + width
            } else {
                matched.end
            };
        }
        output.extend_from_slice(source.get(copied..).unwrap_or_default());
        found
    }
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
        let found = rewrite.replace_all(&mut scratch, &mut RegexCaches::new());
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
}
