//! What a rule requires of host and path: the part of it that an index can use.
//!
//! A rule's guards are a disjunction; each is a host condition and a path condition. They over-approximate the rule:
//! a request that the rule matches satisfies at least one guard. The converse does not hold.

use super::host;
use super::rule::{Kind, Rule};

/// Guards of one rule; a rule that would need more gets coarser ones.
pub const MAX_GUARDS: usize = 1024;

/// Bytes of a path that a guard holds; what is longer is guarded by its beginning. Bounds the depth of the index.
pub const MAX_GUARD_PATH_BYTES: usize = 255;

/// A condition on host and path; both must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard<'a> {
    /// Condition on the host.
    pub host: HostGuard<'a>,
    /// Condition on the routing path.
    pub path: PathGuard<'a>,
}

/// A condition on the request's host, whose trailing dots do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostGuard<'a> {
    /// This host: lower-case, without trailing dots.
    Exact(&'a [u8]),
    /// Any label, a dot, and this: lower-case, without leading and trailing dots.
    Wildcard(&'a [u8]),
    /// No condition; also a request without host.
    Any,
}

/// A condition on the routing path; bytes, case-sensitive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathGuard<'a> {
    /// This path.
    Exact(&'a [u8]),
    /// A path that starts with these bytes.
    Prefix(&'a [u8]),
    /// No condition.
    Any,
}

impl<'a> Guard<'a> {
    const ANY: Guard<'static> = Guard {
        host: HostGuard::Any,
        path: PathGuard::Any,
    };

    fn and(self, other: Guard<'a>) -> Option<Guard<'a>> {
        Some(Guard {
            host: self.host.and(other.host)?,
            path: self.path.and(other.path)?,
        })
    }
}

impl<'a> HostGuard<'a> {
    /// Both conditions, or `None` if no host satisfies both.
    fn and(self, other: Self) -> Option<Self> {
        match (self, other) {
            (HostGuard::Any, one) | (one, HostGuard::Any) => Some(one),
            (HostGuard::Exact(a), HostGuard::Exact(b)) => (a == b).then_some(self),
            (HostGuard::Wildcard(a), HostGuard::Wildcard(b)) => (a == b).then_some(self),
            (exact @ HostGuard::Exact(a), HostGuard::Wildcard(b))
            | (HostGuard::Wildcard(b), exact @ HostGuard::Exact(a)) => {
                (host::wildcard_key(a) == Some(b)).then_some(exact)
            }
        }
    }
}

impl<'a> PathGuard<'a> {
    /// Both conditions, or `None` if no path satisfies both.
    fn and(self, other: Self) -> Option<Self> {
        match (self, other) {
            (PathGuard::Any, one) | (one, PathGuard::Any) => Some(one),
            (PathGuard::Exact(a), PathGuard::Exact(b)) => (a == b).then_some(self),
            (exact @ PathGuard::Exact(a), PathGuard::Prefix(b))
            | (PathGuard::Prefix(b), exact @ PathGuard::Exact(a)) => {
                a.starts_with(b).then_some(exact)
            }
            (PathGuard::Prefix(a), PathGuard::Prefix(b)) => {
                let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
                long.starts_with(short).then_some(PathGuard::Prefix(long))
            }
        }
    }
}

impl Rule {
    /// The rule's guards: at most [`MAX_GUARDS`], without duplicates; empty if the rule can never match.
    pub fn guards(&self) -> Vec<Guard<'_>> {
        let mut guards = self.guards_of(0);
        for guard in &mut guards {
            guard.path = match guard.path {
                PathGuard::Exact(path) | PathGuard::Prefix(path)
                    if path.len() > MAX_GUARD_PATH_BYTES =>
                {
                    PathGuard::Prefix(&path[..MAX_GUARD_PATH_BYTES])
                }
                PathGuard::Prefix([]) => PathGuard::Any,
                path => path,
            };
        }
        simplify(&mut guards);
        guards
    }

    fn guards_of(&self, at: usize) -> Vec<Guard<'_>> {
        let node = &self.node(at);
        if node.negated {
            return if node.kind == Kind::Always {
                Vec::new()
            } else {
                vec![Guard::ANY]
            };
        }
        let host = |host| {
            vec![Guard {
                host,
                path: PathGuard::Any,
            }]
        };
        let path = |path| {
            vec![Guard {
                host: HostGuard::Any,
                path,
            }]
        };
        let operand = self.operand(node);
        match node.kind {
            Kind::Never => Vec::new(),
            Kind::Host | Kind::HostStrict => host(HostGuard::Exact(host::index_key(operand))),
            Kind::HostWildcard => host(match host::wildcard_key(host::index_key(operand)) {
                Some(suffix) => HostGuard::Wildcard(suffix),
                // `*.`: any single label.
                None => HostGuard::Any,
            }),
            Kind::Path => path(PathGuard::Exact(operand)),
            Kind::PathPrefix | Kind::PathRegexp => path(PathGuard::Prefix(operand)),
            Kind::All => {
                let mut guards = vec![Guard::ANY];
                for member in self.members(at) {
                    guards = both(guards, self.guards_of(member));
                }
                guards
            }
            Kind::Any => {
                let mut guards = Vec::new();
                for member in self.members(at) {
                    guards.append(&mut self.guards_of(member));
                    simplify(&mut guards);
                    if guards == [Guard::ANY] {
                        break;
                    }
                }
                guards
            }
            _ => vec![Guard::ANY],
        }
    }
}

/// The conjunction of two disjunctions; if it would be too large, one of them.
fn both<'a>(left: Vec<Guard<'a>>, right: Vec<Guard<'a>>) -> Vec<Guard<'a>> {
    if left.len() * right.len() <= MAX_GUARDS {
        let mut guards = Vec::with_capacity(left.len() * right.len());
        for a in &left {
            guards.extend(right.iter().filter_map(|b| a.and(*b)));
        }
        return guards;
    }
    // Hosts separate best.
    let fixes_host = |guards: &[Guard<'_>]| guards.iter().all(|g| g.host != HostGuard::Any);
    if fixes_host(&right) && !fixes_host(&left) {
        right
    } else {
        left
    }
}

/// Removes duplicates, and makes the list coarser if it is too long.
fn simplify(guards: &mut Vec<Guard<'_>>) {
    if guards.contains(&Guard::ANY) {
        *guards = vec![Guard::ANY];
        return;
    }
    if guards.len() > MAX_GUARDS {
        for guard in guards.iter_mut() {
            guard.path = PathGuard::Any;
        }
    }
    if guards.len() > 1 {
        guards.sort_unstable_by_key(sort_key);
        guards.dedup();
    }
    if guards.len() > MAX_GUARDS || guards.contains(&Guard::ANY) {
        *guards = vec![Guard::ANY];
    }
}

fn sort_key<'a>(guard: &Guard<'a>) -> (u8, &'a [u8], u8, &'a [u8]) {
    let (host_kind, host): (u8, &[u8]) = match guard.host {
        HostGuard::Exact(host) => (0, host),
        HostGuard::Wildcard(host) => (1, host),
        HostGuard::Any => (2, &[]),
    };
    let (path_kind, path): (u8, &[u8]) = match guard.path {
        PathGuard::Exact(path) => (0, path),
        PathGuard::Prefix(path) => (1, path),
        PathGuard::Any => (2, &[]),
    };
    (host_kind, host, path_kind, path)
}

#[cfg(test)]
mod tests {
    use super::super::{Syntax, parse};
    use super::*;

    fn guards(rule: &str, syntax: Syntax) -> Vec<String> {
        let rule = parse(rule, syntax).unwrap();
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        rule.guards()
            .iter()
            .map(|guard| {
                let host = match guard.host {
                    HostGuard::Exact(h) => text(h),
                    HostGuard::Wildcard(h) => format!("*.{}", text(h)),
                    HostGuard::Any => "any".into(),
                };
                match guard.path {
                    PathGuard::Exact(p) => format!("{host} ={}", text(p)),
                    PathGuard::Prefix(p) => format!("{host} {}", text(p)),
                    PathGuard::Any => host,
                }
            })
            .collect()
    }

    #[test]
    fn guards_say_what_a_rule_requires() {
        for (rule, expected) in [
            ("Host(`A.test.`)", vec!["a.test"]),
            ("Host(`*.a.test`)", vec!["*.a.test"]),
            ("Host(`*`)", vec!["any"]),
            ("!Host(`*`)", vec![]),
            ("Host(`*foo.test`)", vec![]),
            ("Host(`*.`)", vec!["any"]),
            ("Host(`a`) && PathPrefix(`/x`)", vec!["a /x"]),
            ("Host(`a`) && Path(`/x`) && Method(`GET`)", vec!["a =/x"]),
            ("Host(`a`) || Host(`b`)", vec!["a", "b"]),
            (
                "(Host(`a`) || Host(`b`)) && (Path(`/x`) || PathPrefix(`/y`))",
                vec!["a =/x", "a /y", "b =/x", "b /y"],
            ),
            ("Host(`a`) || Method(`GET`)", vec!["any"]),
            ("!Host(`a`) && PathPrefix(`/x`)", vec!["any /x"]),
            ("!(Host(`a`) && PathPrefix(`/x`))", vec!["any"]),
            ("Host(`a`) && Host(`b`)", vec![]),
            ("Host(`x.a`) && Host(`*.a`)", vec!["x.a"]),
            ("Host(`x.b`) && Host(`*.a`)", vec![]),
            ("PathPrefix(`/a`) && PathPrefix(`/ab`)", vec!["any /ab"]),
            ("PathPrefix(`/a`) && Path(`/b`)", vec![]),
            ("PathRegexp(`^/api/[0-9]`)", vec!["any /api/"]),
            ("PathRegexp(`^/a|/b`)", vec!["any"]),
            ("HostRegexp(`^a$`)", vec!["any"]),
            ("Host(`a`) || Host(`a`)", vec!["a"]),
        ] {
            assert_eq!(guards(rule, Syntax::V3), expected, "{rule}");
        }
        assert_eq!(
            guards("Host(`a`, `b`) && Path(`/p/{id}`)", Syntax::V2),
            ["a /p/", "b /p/"]
        );
        assert_eq!(guards("HostRegexp(`a.Test`)", Syntax::V2), ["a.test"]);
    }

    #[test]
    fn guards_are_bounded() {
        let hosts = |n: usize| {
            (0..n)
                .map(|i| format!("Host(`h{i}`)"))
                .collect::<Vec<_>>()
                .join(" || ")
        };
        let paths = |n: usize| {
            (0..n)
                .map(|i| format!("Path(`/{i}`)"))
                .collect::<Vec<_>>()
                .join(" || ")
        };
        assert_eq!(guards(&hosts(MAX_GUARDS), Syntax::V3).len(), MAX_GUARDS);
        assert_eq!(guards(&hosts(MAX_GUARDS + 1), Syntax::V3), ["any"]);
        let crossed = guards(&format!("({}) && ({})", paths(100), hosts(100)), Syntax::V3);
        assert_eq!(crossed.len(), 100);
        assert!(crossed.iter().all(|g| !g.contains('/')));
        let long = format!("Path(`/{}`)", "x".repeat(1000));
        assert_eq!(
            guards(&long, Syntax::V3)[0].len(),
            "any ".len() + MAX_GUARD_PATH_BYTES
        );
    }
}
