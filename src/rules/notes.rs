//! Remarks on rules that are legal but hardly mean what their author thinks, for `check` and `explain`.
//!
//! NOT for: errors. Traefik accepts these rules, so they work here too.

use std::ops::Range;

use super::Syntax;
use super::rule::{Kind, Node, Rule};

/// A remark on a clause, or on the whole rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where in the rule, in bytes.
    pub span: Range<usize>,
    /// What is odd and what to do.
    pub message: &'static str,
}

impl Rule {
    /// What looks like a mistake in this rule; empty for nearly all rules.
    pub fn notes(&self) -> Vec<Note> {
        let mut notes: Vec<Note> = (0..self.len())
            .map(|at| self.node(at))
            .filter_map(|node| {
                let message = self.remark(&node)?;
                Some(Note {
                    span: self.span(&node),
                    message,
                })
            })
            .collect();
        if notes.is_empty() && self.guards().is_empty() {
            notes.push(Note {
                span: 0..self.source().len(),
                message: "this rule never matches: its conditions on host or path exclude each other",
            });
        }
        notes
    }

    fn remark(&self, node: &Node) -> Option<&'static str> {
        let text = self.source().get(self.span(node)).unwrap_or_default();
        match node.kind {
            Kind::Never if self.is_host(text) => Some(
                "this never matches: a wildcard stands for a whole label, write `*.example.com`",
            ),
            Kind::Never => Some("this never matches: rules do not see this header"),
            Kind::Path | Kind::PathPrefix if self.syntax() == Syntax::V3 && has_template(text) => {
                Some(
                    "`{…}` is compared literally: templates are v2 syntax; use PathRegexp, or set ruleSyntax: v2",
                )
            }
            Kind::HostRegexp | Kind::PathRegexp
                if self.syntax() == Syntax::V3 && has_template(text) =>
            {
                Some(
                    "`{name:…}` is literal text here: templates are v2 syntax; write the expression alone, or set ruleSyntax: v2",
                )
            }
            _ => None,
        }
    }

    fn is_host(&self, clause: &str) -> bool {
        clause
            .get(..4)
            .is_some_and(|name| name.eq_ignore_ascii_case("host"))
    }
}

/// Whether the text has a pair of braces with a name in it, as `{name}` or `{name:…}`.
fn has_template(text: &str) -> bool {
    text.match_indices('{').any(|(at, _)| {
        let body = &text[at + 1..];
        let name = body
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(0);
        let is_name = body.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        is_name && matches!(body.as_bytes().get(name), Some(b'}' | b':'))
    })
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn odd_rules_get_a_note_and_others_none() {
        for (rule, syntax, span) in [
            ("Host(`*foo.com`)", Syntax::V3, Some(0..16)),
            (
                "Method(`GET`) && Header(`Connection`, `close`)",
                Syntax::V3,
                Some(17..46),
            ),
            ("Path(`/a/{id}`)", Syntax::V3, Some(0..15)),
            ("HostRegexp(`{sub:[a-z]+}.test`)", Syntax::V3, Some(0..31)),
            ("Host(`a`) && Host(`b`)", Syntax::V3, Some(0..22)),
            ("Path(`/a/{id}`)", Syntax::V2, None),
            ("PathRegexp(`^/[a-z]{2,3}$`)", Syntax::V3, None),
            ("Host(`a`) && PathPrefix(`/`)", Syntax::V3, None),
        ] {
            let notes = parse(rule, syntax).unwrap().notes();
            assert_eq!(notes.first().map(|n| n.span.clone()), span, "{rule}");
        }
    }
}
