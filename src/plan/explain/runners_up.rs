//! The routers that do not get the request, and why: those that match and are outranked, those for the other kind of
//! connections, those that are disabled, and those that come nearest to matching.

use super::RunnerUp;
use crate::config::dynamic::{Kind, Object};
use crate::exchange::RouteRequest;
use crate::plan::{Published, Status};
use crate::router::RouteTable;
use crate::router::snapshot::{Destination, Route};
use crate::rules::{self, Clause, RegexCaches, Syntax};

/// Most runners-up in an explanation.
pub const MAX_RUNNERS_UP: usize = 10;

/// Most routers that are asked why they do not match.
const MAX_EXPLAINED: usize = 20_000;

/// Collects the routers that do not get the request.
pub(super) struct Runners<'a> {
    request: &'a RouteRequest<'a>,
    caches: RegexCaches,
    chosen: Option<&'a Route>,
    /// With how near they come: smaller is nearer.
    found: Vec<(usize, RunnerUp)>,
}

/// Ranks of runners-up before those whose rule does not match.
const OUTRANKED: usize = 0;
const OTHER_TABLE: usize = 1;
const DISABLED: usize = 2;
const MISS: usize = 3;

impl<'a> Runners<'a> {
    /// Nobody yet, beside the router that gets the request.
    pub(super) fn new(
        request: &'a RouteRequest<'a>,
        chosen: Option<&'a Route>,
        caches: RegexCaches,
    ) -> Self {
        Self {
            request,
            caches,
            chosen,
            found: Vec::new(),
        }
    }

    /// The routers of the table that was asked.
    pub(super) fn ask(&mut self, table: &RouteTable<Destination>) {
        for route in table.iter().take(MAX_EXPLAINED) {
            if self
                .chosen
                .is_some_and(|chosen| chosen.order.name == route.order.name)
            {
                continue;
            }
            let root = route.rule.explain(self.request, &mut self.caches).root;
            if root.matched {
                let reason = self.why_outranked(route);
                self.push(OUTRANKED, route, true, reason);
            } else if let Some(reason) = near_miss(&root) {
                self.push(MISS + failed(&root), route, false, reason);
            }
        }
    }

    /// The routers of the same entry point that take the other kind of connections.
    pub(super) fn ask_other(&mut self, table: &RouteTable<Destination>, tls: bool) {
        let Some(route) = table.find(self.request, &mut self.caches).cloned() else {
            return;
        };
        let reason = if tls {
            "matches, but has no tls: it takes plain connections only (http://)"
        } else {
            "matches, but has tls: it takes TLS connections only (https://)"
        };
        self.push(OTHER_TABLE, &route, true, reason.to_owned());
    }

    /// Routers that would match if they were not disabled.
    pub(super) fn ask_disabled(&mut self, published: &Published, entry_point: &str) {
        let routers = published.objects_of(Kind::HttpRouter);
        for status in routers.take(MAX_EXPLAINED) {
            let (Status::Disabled, Some(Object::HttpRouter(config))) =
                (status.status, &status.object)
            else {
                continue;
            };
            let here = status.router().is_some_and(|router| {
                router
                    .entry_points
                    .names
                    .iter()
                    .any(|name| **name == *entry_point)
            });
            let syntax = if &*config.rule_syntax == "v2" {
                Syntax::V2
            } else {
                Syntax::V3
            };
            let matches = rules::parse(&config.rule, syntax)
                .is_ok_and(|rule| rule.matches(self.request, &mut self.caches));
            if here && matches {
                let runner = RunnerUp {
                    name: status.name.to_string(),
                    rule: config.rule.to_string(),
                    priority: status.priority(),
                    matches: true,
                    reason: format!("would match, but is disabled: {}", status.errors.join("; ")),
                };
                self.found.push((DISABLED, runner));
            }
        }
    }

    fn why_outranked(&self, route: &Route) -> String {
        let Some(chosen) = self.chosen else {
            return "matches".to_owned();
        };
        if route.order.priority != chosen.order.priority {
            return format!(
                "matches too, but its priority {} is below {}",
                route.order.priority, chosen.order.priority
            );
        }
        format!(
            "matches too with the same priority {}; the provider's precedence, then the name decides",
            route.order.priority
        )
    }

    fn push(&mut self, nearness: usize, route: &Route, matches: bool, reason: String) {
        let runner = RunnerUp {
            name: route.order.name.to_string(),
            rule: route.rule.source().to_owned(),
            priority: route.order.priority,
            matches,
            reason,
        };
        self.found.push((nearness, runner));
        // Only the nearest are of interest; 20,000 misses need not be kept.
        if self.found.len() > 8 * MAX_RUNNERS_UP {
            self.trim();
        }
    }

    fn trim(&mut self) {
        // Stable: among equals the routers' own order stays.
        self.found.sort_by_key(|(nearness, _)| *nearness);
        self.found.truncate(MAX_RUNNERS_UP);
    }

    pub(super) fn best(mut self) -> Vec<RunnerUp> {
        self.trim();
        self.found.into_iter().map(|(_, runner)| runner).collect()
    }
}

/// Why a rule that matches in part does not match; `None` if nothing of it does.
fn near_miss(root: &Clause) -> Option<String> {
    if !any(root, &|clause| clause.members.is_empty() && clause.matched) {
        return None;
    }
    let mut failing = Vec::new();
    collect_deciding(root, &mut failing);
    let clauses: Vec<String> = failing
        .iter()
        .map(|clause| clause.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    Some(format!(
        "does not match: {} is not fulfilled",
        clauses.join(" and ")
    ))
}

fn any(clause: &Clause, wanted: &dyn Fn(&Clause) -> bool) -> bool {
    wanted(clause) || clause.members.iter().any(|member| any(member, wanted))
}

fn collect_deciding<'c>(clause: &'c Clause, into: &mut Vec<&'c str>) {
    if clause.decides {
        into.push(&clause.text);
    }
    clause
        .members
        .iter()
        .for_each(|member| collect_deciding(member, into));
}

/// How many clauses without members are not fulfilled.
fn failed(clause: &Clause) -> usize {
    if clause.members.is_empty() {
        return usize::from(!clause.matched);
    }
    clause.members.iter().map(failed).sum()
}
