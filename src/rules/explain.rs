//! Why a rule matches a request or not: every clause with its own result, and which of them decided.
//!
//! NOT for the hot path: it allocates, and evaluates clauses that matching would skip.

use std::fmt;
use std::ops::Range;

use super::regex::RegexCaches;
use super::rule::{Kind, Request, Rule};

/// How a rule's result came about. `Display` prints a tree, one clause per line:
///
/// ```text
/// no   Host(`a.test`) && PathPrefix(`/x`)
///      yes  Host(`a.test`)
///      no   PathPrefix(`/x`)  ◄ decides
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The whole rule.
    pub root: Clause,
}

/// One clause of a rule and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// Where the clause stands in the rule, in bytes, without a `!` before it.
    pub span: Range<usize>,
    /// The clause as written, with `!` if it is negated.
    pub text: String,
    /// The result, negation applied.
    pub matched: bool,
    /// A clause without members whose result, or one of several whose results, decided the rule's. With the other
    /// clauses as they are, the rule's result follows from the deciding ones alone.
    pub decides: bool,
    /// Members of a group, in order.
    pub members: Vec<Clause>,
}

impl Rule {
    /// Evaluates every clause, also those that [`matches`](Rule::matches) would skip.
    pub fn explain<R: Request>(&self, request: &R, caches: &mut RegexCaches) -> Explanation {
        let mut root = self.clause(0, request, caches);
        self.mark(0, &mut root);
        Explanation { root }
    }

    fn clause<R: Request>(&self, at: usize, request: &R, caches: &mut RegexCaches) -> Clause {
        let node = &self.node(at);
        let mut members = Vec::new();
        if matches!(node.kind, Kind::All | Kind::Any) {
            for member in self.members(at) {
                members.push(self.clause(member, request, caches));
            }
        }
        let plain = match node.kind {
            Kind::All => members.iter().all(|m| m.matched),
            Kind::Any => members.iter().any(|m| m.matched),
            _ => self.eval_leaf(node, request, caches),
        };
        let span = self.span(node);
        let text = self.source().get(span.clone()).unwrap_or_default();
        Clause {
            text: match (node.negated, members.is_empty()) {
                (false, _) => text.into(),
                (true, true) => format!("!{text}"),
                (true, false) => format!("!({text})"),
            },
            span,
            matched: plain != node.negated,
            decides: false,
            members,
        }
    }

    /// Marks what decided `clause`: the first member that settled its group, or all if none did alone.
    fn mark(&self, at: usize, clause: &mut Clause) {
        let node = &self.node(at);
        let settles = match node.kind {
            Kind::All => false,
            Kind::Any => true,
            _ => {
                clause.decides = true;
                return;
            }
        };
        let settled = clause.members.iter().any(|m| m.matched == settles);
        for (member_at, member) in self.members(at).zip(&mut clause.members) {
            if !settled || member.matched == settles {
                self.mark(member_at, member);
                if settled {
                    break;
                }
            }
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.print(f, 0)
    }
}

impl Clause {
    fn print(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        if depth > 0 {
            writeln!(f)?;
        }
        let result = if self.matched { "yes" } else { "no" };
        let text = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        write!(f, "{:indent$}{result:<4} {text}", "", indent = depth * 5)?;
        if self.decides {
            f.write_str("  ◄ decides")?;
        }
        self.members
            .iter()
            .try_for_each(|member| member.print(f, depth + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Get;
    use super::super::{Syntax, parse};
    use super::*;

    fn explain(rule: &str, request: &Get) -> String {
        let rule = parse(rule, Syntax::V3).unwrap();
        rule.explain(request, &mut RegexCaches::new()).to_string()
    }

    #[test]
    fn the_clause_that_decides_is_marked() {
        let request = Get::new("a.test", "/y");
        assert_eq!(
            explain("Host(`a.test`) && PathPrefix(`/x`)", &request),
            "no   Host(`a.test`) && PathPrefix(`/x`)\n     yes  Host(`a.test`)\n     no   PathPrefix(`/x`)  ◄ decides"
        );
        assert_eq!(
            explain("Host(`a.test`) &&\n  !(Path(`/x`) || Path(`/z`))", &request),
            "yes  Host(`a.test`) && !(Path(`/x`) || Path(`/z`))\n     yes  Host(`a.test`)  ◄ decides\n     \
             yes  !(Path(`/x`) || Path(`/z`))\n          no   Path(`/x`)  ◄ decides\n          \
             no   Path(`/z`)  ◄ decides"
        );
        assert_eq!(
            explain("!Path(`/y`)", &request),
            "no   !Path(`/y`)  ◄ decides"
        );
    }
}
