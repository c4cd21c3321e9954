//! Replacement templates of `redirectRegex` and `replacePathRegex`, in the syntax of Go's
//! `Regexp.Expand`: `$1`, `${1}`, `$name`, `${name}`, `$$` for a dollar sign.
//!
//! A name is the longest run of letters, digits and `_`: `$1x` is the group named `1x`, not group 1
//! followed by `x`. A group that does not exist or took no part in the match is the empty text. A `$`
//! that starts nothing valid stands for itself.
//!
//! Not here: searching. The caller gives the text and the slots of a match.

/// A replacement template, compiled against the groups of its regular expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Box<[Part]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<[u8]>),
    /// Index of a capture group; 0 is the whole match.
    Group(usize),
}

impl Template {
    /// Compiles `text`; `index_of` tells the number of a named group, `groups` how many groups there
    /// are, the whole match included.
    pub fn compile(
        text: &str,
        groups: usize,
        index_of: impl Fn(&str) -> Option<usize>,
    ) -> Template {
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            literal.extend_from_slice(&rest.as_bytes()[..at]);
            let after = &rest[at + 1..];
            if let Some(tail) = after.strip_prefix('$') {
                literal.push(b'$');
                rest = tail;
            } else if let Some((name, tail)) = reference(after) {
                let group = match group_number(name) {
                    Some(number) => (number < groups).then_some(number),
                    None => index_of(name),
                };
                if let Some(group) = group {
                    push_text(&mut parts, &mut literal);
                    parts.push(Part::Group(group));
                }
                rest = tail;
            } else {
                literal.push(b'$');
                rest = after;
            }
        }
        literal.extend_from_slice(rest.as_bytes());
        push_text(&mut parts, &mut literal);
        Template {
            parts: parts.into(),
        }
    }

    /// Writes the template for one match; `group(n)` is the text of group `n`, empty if it took no
    /// part in the match. Stops when `out` is longer than `limit`.
    pub fn expand<'h>(&self, group: impl Fn(usize) -> &'h [u8], limit: usize, out: &mut Vec<u8>) {
        for part in &self.parts {
            if out.len() > limit {
                return;
            }
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Group(number) => out.extend_from_slice(group(*number)),
            }
        }
    }
}

fn push_text(parts: &mut Vec<Part>, literal: &mut Vec<u8>) {
    if !literal.is_empty() {
        parts.push(Part::Text(std::mem::take(literal).into()));
    }
}

/// Splits `name` or `{name}` off the text after a `$`.
fn reference(after: &str) -> Option<(&str, &str)> {
    let braced = after.strip_prefix('{');
    let text = braced.unwrap_or(after);
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let (name, tail) = text.split_at(end);
    if name.is_empty() {
        return None;
    }
    match braced {
        Some(_) => tail.strip_prefix('}').map(|tail| (name, tail)),
        None => Some((name, tail)),
    }
}

/// The number a name of digits stands for. Go reads `01` as a name and numbers beyond 10^8 as none.
fn group_number(name: &str) -> Option<usize> {
    let digits =
        name.bytes().all(|b| b.is_ascii_digit()) && (name.len() == 1 || !name.starts_with('0'));
    if digits {
        Some(
            name.parse()
                .ok()
                .filter(|&n| n < 100_000_000)
                .unwrap_or(usize::MAX),
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(template: &str) -> String {
        let groups: [&[u8]; 3] = [b"whole", b"one", b"two"];
        let template = Template::compile(template, 3, |name| (name == "n").then_some(2));
        let mut out = Vec::new();
        template.expand(|n| groups[n], usize::MAX, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn expansion_follows_go() {
        for (template, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("/$1/", "/one/"),
            ("$0-${2}", "whole-two"),
            ("$n-${n}x", "two-twox"),
            ("$1x", ""),
            ("${1}x", "onex"),
            ("$1_x/$2", "/two"),
            ("$9${9}", ""),
            ("$missing.", "."),
            ("$$1", "$1"),
            ("$$$1", "$one"),
            ("x$", "x$"),
            ("x${", "x${"),
            ("x${1", "x${1"),
            ("${}", "${}"),
            ("$-1", "$-1"),
            ("${a b}", "${a b}"),
            ("$01", ""),
            ("$99999999999999999999", ""),
            ("$é1", ""),
        ] {
            assert_eq!(expand(template), expected, "{template}");
        }
    }
}
