//! The routing index under any history of changes, against trying every rule in order; and rules, built from clauses whose
//! meaning is known, against that meaning.
//!
//! An input is a list of choices: routes added and removed, then requests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use ringway::router::{Route, RouteOrder, RouteTable};
use ringway::rules::{RegexCaches, Syntax, parse};

use super::choices::Choices;
use super::request::Get;

const HOSTS: [&str; 8] = [
    "a.test",
    "b.test",
    "x.a.test",
    "x.b.test",
    "y.x.a.test",
    "A.Test",
    "test",
    "c.test.",
];
const WILDCARDS: [&str; 4] = ["*.a.test", "*.test", "*", "*.x.a.test"];
const PATHS: [&str; 10] = [
    "/", "/a", "/a/", "/a/b", "/ab", "/b", "/a/b/c", "/abc", "/%2F", "/é",
];
const METHODS: [&str; 3] = ["GET", "POST", "get"];
const NETWORKS: [(&str, [u8; 4], u8); 3] = [
    ("10.0.0.0/8", [10, 0, 0, 0], 8),
    ("10.1.2.3", [10, 1, 2, 3], 32),
    ("0.0.0.0/0", [0, 0, 0, 0], 0),
];
/// Most routes at a time.
const MOST_ROUTES: usize = 24;
/// Most clauses of one rule.
const MOST_CLAUSES: usize = 24;

/// A rule by its meaning.
#[derive(Clone, Debug)]
enum Clause {
    Host(usize),
    /// v2's list: any of them.
    Hosts(usize, usize),
    Wildcard(usize),
    Path(usize),
    Prefix(usize),
    PathRegexp(usize),
    Method(usize),
    Header(usize),
    Query(usize),
    Client(usize),
    Not(Box<Clause>),
    All(Vec<Clause>),
    Any(Vec<Clause>),
}

/// A rule of the next choices, with at most `left` clauses.
fn clause(choices: &mut Choices<'_>, depth: usize, left: &mut usize, syntax: Syntax) -> Clause {
    *left = left.saturating_sub(1);
    let group = depth < 6 && *left > 1;
    match choices.below(if group { 16 } else { 11 }) {
        0 | 1 => Clause::Host(choices.below(HOSTS.len())),
        2 if syntax == Syntax::V2 => {
            Clause::Hosts(choices.below(HOSTS.len()), choices.below(HOSTS.len()))
        }
        2 => Clause::Wildcard(choices.below(WILDCARDS.len())),
        3 => Clause::Path(choices.below(PATHS.len())),
        4 | 5 => Clause::Prefix(choices.below(PATHS.len())),
        // Seldom, because compiling an expression takes long.
        6 if syntax == Syntax::V3 && choices.below(8) == 1 => {
            Clause::PathRegexp(choices.below(PATHS.len()))
        }
        6 | 7 => Clause::Method(choices.below(METHODS.len())),
        8 => Clause::Header(choices.below(3)),
        9 => Clause::Query(choices.below(3)),
        10 => Clause::Client(choices.below(NETWORKS.len())),
        11 => Clause::Not(Box::new(clause(choices, depth + 1, left, syntax))),
        kind => {
            let members = 2 + choices.below(2);
            let members = (0..members)
                .map(|_| clause(choices, depth + 1, left, syntax))
                .collect();
            if kind < 14 {
                Clause::All(members)
            } else {
                Clause::Any(members)
            }
        }
    }
}
impl Clause {
    fn write(&self, out: &mut String, syntax: Syntax) {
        let (header, headers) = match syntax {
            Syntax::V2 => ("Headers", "ClientIP"),
            _ => ("Header", "ClientIP"),
        };
        let _ = match self {
            Clause::Host(at) => write!(out, "Host(`{}`)", HOSTS[*at]),
            Clause::Hosts(a, b) => write!(out, "Host(`{}`, `{}`)", HOSTS[*a], HOSTS[*b]),
            Clause::Wildcard(at) => write!(out, "Host(`{}`)", WILDCARDS[*at]),
            Clause::Path(at) => write!(out, "Path(`{}`)", PATHS[*at]),
            Clause::Prefix(at) => write!(out, "PathPrefix(`{}`)", PATHS[*at]),
            Clause::PathRegexp(at) => write!(out, "PathRegexp(`^{}[a-z]`)", PATHS[*at]),
            Clause::Method(at) => write!(out, "Method(`{}`)", METHODS[*at]),
            Clause::Header(at) => write!(out, "{header}(`X-{at}`, `v`)"),
            Clause::Query(at) if syntax == Syntax::V2 => write!(out, "Query(`k{at}=v`)"),
            Clause::Query(at) => write!(out, "Query(`k{at}`, `v`)"),
            Clause::Client(at) => write!(out, "{headers}(`{}`)", NETWORKS[*at].0),
            Clause::Not(inner) => {
                out.push('!');
                inner.write(out, syntax);
                Ok(())
            }
            Clause::All(members) | Clause::Any(members) => {
                let sign = if matches!(self, Clause::All(_)) {
                    " && "
                } else {
                    " || "
                };
                for (at, member) in members.iter().enumerate() {
                    out.push_str(if at == 0 { "(" } else { sign });
                    member.write(out, syntax);
                }
                out.push(')');
                Ok(())
            }
        };
    }

    fn is_met(&self, request: &Get) -> bool {
        let host = request.host.strip_suffix('.').unwrap_or(&request.host);
        // As Traefik's matcher compares: one dot more on either side is forgiven.
        let is_host = |at: usize| {
            let (wanted, asked) = (HOSTS[at].to_ascii_lowercase(), &request.host);
            *asked == wanted || format!("{asked}.") == wanted || *asked == format!("{wanted}.")
        };
        match self {
            Clause::Host(at) => is_host(*at),
            Clause::Hosts(a, b) => is_host(*a) || is_host(*b),
            Clause::Wildcard(at) => match WILDCARDS[*at].strip_prefix("*.") {
                Some(suffix) => host
                    .split_once('.')
                    .is_some_and(|(label, rest)| !label.is_empty() && rest == suffix),
                None => true,
            },
            Clause::Path(at) => request.path == PATHS[*at].as_bytes(),
            Clause::Prefix(at) => request.path.starts_with(PATHS[*at].as_bytes()),
            Clause::PathRegexp(at) => {
                let rest = request.path.strip_prefix(PATHS[*at].as_bytes());
                rest.is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_lowercase))
            }
            // Rules spell methods as they like.
            Clause::Method(at) => request.method == METHODS[*at].to_ascii_uppercase(),
            Clause::Header(at) => request
                .headers
                .iter()
                .any(|(name, _)| *name == format!("x-{at}")),
            Clause::Query(at) => request.query.as_deref() == Some(format!("k{at}=v").as_bytes()),
            Clause::Client(at) => {
                let (_, network, bits) = NETWORKS[*at];
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                match request.ip {
                    std::net::IpAddr::V4(ip) => {
                        ip.to_bits() & mask == u32::from_be_bytes(network) & mask
                    }
                    std::net::IpAddr::V6(_) => false,
                }
            }
            Clause::Not(inner) => !inner.is_met(request),
            Clause::All(members) => members.iter().all(|member| member.is_met(request)),
            Clause::Any(members) => members.iter().any(|member| member.is_met(request)),
        }
    }
}

/// Plays `data`.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut table: RouteTable<usize> = RouteTable::new();
    // The same routes by their order: what a linear scan sees.
    let mut routes: BTreeMap<RouteOrder, (Clause, Arc<Route<usize>>)> = BTreeMap::new();
    let mut published = Vec::new();
    let mut number = 0;
    let mut caches = RegexCaches::new();
    while !choices.is_empty() {
        match choices.below(8) {
            0..=3 if routes.len() < MOST_ROUTES => {
                number += 1;
                let syntax = if choices.below(4) == 0 {
                    Syntax::V2
                } else {
                    Syntax::V3
                };
                let clause = clause(&mut choices, 0, &mut MOST_CLAUSES.clone(), syntax);
                let mut text = String::new();
                clause.write(&mut text, syntax);
                let rule = parse(&text, syntax).unwrap_or_else(|error| panic!("{error}"));
                let order = RouteOrder {
                    priority: choices.below(4) as i64,
                    provider_rank: choices.below(2) as u16,
                    name: format!("r{}", choices.below(16)).into(),
                };
                let route = Arc::new(Route {
                    order: order.clone(),
                    rule,
                    value: number,
                });
                let old = table.insert_shared(route.clone()).map(|route| route.value);
                let expected = routes.insert(order, (clause, route));
                assert_eq!(old, expected.map(|(_, route)| route.value));
            }
            4 if !routes.is_empty() => {
                let at = choices.below(routes.len());
                let order = routes
                    .keys()
                    .nth(at)
                    .expect("it is below their number")
                    .clone();
                assert!(table.remove(&order).is_some());
                routes.remove(&order);
            }
            5 if published.len() < 2 => published.push((table.clone(), routes.clone())),
            _ => {
                let request = request(&mut choices);
                check(&table, &routes, &request, &mut caches);
                let at_once: RouteTable<usize> =
                    routes.values().map(|(_, route)| route.clone()).collect();
                check(&at_once, &routes, &request, &mut caches);
                for (table, routes) in &published {
                    check(table, routes, &request, &mut caches);
                }
            }
        }
    }
    assert_eq!(table.len(), routes.len());
    let orders = table.iter().map(|route| &route.order);
    assert!(orders.eq(routes.keys()), "the table's own order is another");
}

fn request(choices: &mut Choices<'_>) -> Get {
    let mut host = HOSTS[choices.below(HOSTS.len())].to_owned();
    match choices.below(8) {
        0 => host.push('.'),
        1 => host.clear(),
        _ => {}
    }
    let mut request = Get::new(&host, PATHS[choices.below(PATHS.len())]);
    let odd = choices.below(16);
    if odd & 1 != 0 {
        request
            .path
            .extend_from_slice(PATHS[choices.below(PATHS.len())].as_bytes());
    }
    if odd & 2 != 0 {
        request
            .headers
            .push((format!("x-{}", choices.below(3)), "v".into()));
    }
    if odd & 4 != 0 {
        request.query = Some(format!("k{}=v", choices.below(3)).into_bytes());
    }
    if odd & 8 != 0 {
        request.method = METHODS[choices.below(METHODS.len())].into();
        request.ip = [[10, 1, 2, 3], [10, 9, 9, 9], [192, 0, 2, 1]][choices.below(3)].into();
    }
    request
}

fn check(
    table: &RouteTable<usize>,
    routes: &BTreeMap<RouteOrder, (Clause, Arc<Route<usize>>)>,
    request: &Get,
    caches: &mut RegexCaches,
) {
    for (clause, route) in routes.values() {
        let matched = route.rule.matches(request, caches);
        assert_eq!(
            matched,
            clause.is_met(request),
            "{} on {request:?}",
            route.rule.source()
        );
    }
    let expected = routes.values().find(|(clause, _)| clause.is_met(request));
    let found = table.find(request, caches);
    assert_eq!(
        found.map(|route| route.rule.source()),
        expected.map(|(_, route)| route.rule.source()),
        "{request:?}"
    );
    assert_eq!(
        found.map(|route| route.value),
        expected.map(|(_, route)| route.value)
    );
}
