//! The routing index: from a request to the first router, in order, whose rule matches it.
//!
//! ```text
//! request ─► exact host  (hash) ─► path tree ─┐
//!         ─► *.suffix    (hash) ─► path tree ─┼─► merged in order ─► full rule evaluated on each ─► first match
//!         ─► any host           ─► path tree ─┘
//! ```
//!
//! The result equals trying all rules in order (a property test holds it). Its cost does not grow with the number of
//! routers, with many hosts, many path prefixes of one host, or both. What cannot be told apart by host and path is tried
//! one by one: 10,000 routers of one host and prefix that differ by a header cost 10,000 evaluations.
//!
//! A table is persistent: a clone is O(1) and keeps its content whatever happens to the original; a change copies one path
//! of nodes, O(log n). So a generation's table is a clone with a few changes.
//!
//! NOT for: what happens after a router was found; TCP and UDP routers.

mod candidates;
mod group;
mod hosts;
mod list;
pub mod mailbox;
mod order;
mod paths;
pub mod snapshot;

use std::collections::hash_map::Entry;
use std::hash::Hasher;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHasher};

use crate::rules::{
    Guard, HostGuard, PathGuard, RegexCaches, Request, Rule, host_index_key, host_wildcard_key,
};
pub use candidates::Candidates;
use group::{Group, Run};
use hosts::HostMap;
use list::RouteList;
pub use order::{Route, RouteOrder};
use paths::PathIndex;

/// Routers of one entry point (and one of TLS and plain), indexed. Clone is O(1); `Send + Sync` if `T` is.
#[derive(Debug)]
pub struct RouteTable<T> {
    all: RouteList<T>,
    len: usize,
    /// By the hash of the host. Hosts of equal hash share a group: rules are evaluated in full anyway.
    hosts: HostMap<T>,
    /// By the hash of the host without its first label.
    wildcards: HostMap<T>,
    any_host: Arc<PathIndex<T>>,
}

/// Where a guard's host condition is filed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Host(u32),
    Wildcard(u32),
    Any,
}

impl<T> Clone for RouteTable<T> {
    fn clone(&self) -> Self {
        RouteTable {
            all: self.all.clone(),
            len: self.len,
            hosts: self.hosts.clone(),
            wildcards: self.wildcards.clone(),
            any_host: self.any_host.clone(),
        }
    }
}

impl<T> Default for RouteTable<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> RouteTable<T> {
    /// An empty table.
    pub fn new() -> Self {
        RouteTable {
            all: RouteList::default(),
            len: 0,
            hosts: HostMap::default(),
            wildcards: HostMap::default(),
            any_host: Arc::default(),
        }
    }

    /// Number of routers.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no router.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a router. One of equal order, that is of equal name, priority and provider rank, is replaced and returned.
    /// O(log n) for each of the rule's guards.
    pub fn insert(&mut self, order: RouteOrder, rule: Rule, value: T) -> Option<Arc<Route<T>>> {
        self.insert_shared(Arc::new(Route { order, rule, value }))
    }

    /// As [`insert`](Self::insert), for a router that is in several tables.
    pub fn insert_shared(&mut self, route: Arc<Route<T>>) -> Option<Arc<Route<T>>> {
        let old = self.remove(&route.order);
        self.add(route);
        old
    }

    /// Adds a router whose order is not in the table.
    fn add(&mut self, route: Arc<Route<T>>) {
        for guard in route.rule.guards() {
            self.file(guard, &route);
        }
        self.all.insert(route);
        self.len += 1;
    }

    /// Removes the router of this order and returns it. A router whose priority or provider rank changed must be removed
    /// by its old order. O(log n) for each of the rule's guards.
    pub fn remove(&mut self, order: &RouteOrder) -> Option<Arc<Route<T>>> {
        let route = self.all.get(order)?.clone();
        self.all.remove(order);
        self.len -= 1;
        for guard in route.rule.guards() {
            self.unfile(guard, &route);
        }
        Some(route)
    }

    /// The router of this order.
    pub fn get(&self, order: &RouteOrder) -> Option<&Arc<Route<T>>> {
        self.all.get(order)
    }

    /// All routers in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route<T>>> {
        self.all.iter()
    }

    /// The value of the first router whose rule matches. Does not allocate (but for `caches` growing when an expression
    /// is met for the first time).
    pub fn lookup<R: Request>(&self, request: &R, caches: &mut RegexCaches) -> Option<&T> {
        self.find(request, caches).map(|route| &route.value)
    }

    /// As [`lookup`](Self::lookup), with the router's order and rule.
    pub fn find<R: Request>(
        &self,
        request: &R,
        caches: &mut RegexCaches,
    ) -> Option<&Arc<Route<T>>> {
        if self.wildcards.is_empty() && self.any_host.is_empty() {
            // Nearly every table and request: nothing to merge.
            let few = match self
                .hosts
                .get(hash(host_index_key(request.host().as_bytes())))?
            {
                Group::One(_, route) => Some(std::slice::from_ref(route)),
                Group::Few(_, routes) => Some(&routes[..]),
                Group::Paths(..) => None,
            };
            if let Some(few) = few {
                return (few.iter()).find(|route| route.rule.matches(request, caches));
            }
        }
        self.candidates(request)
            .find(|route| route.rule.matches(request, caches))
    }

    /// The routers that may match, in order: all that match, and few that do not. For explaining a decision with its
    /// runners-up; [`lookup`](Self::lookup) evaluates their rules in this order.
    pub fn candidates<'a, 'r, R: Request>(&'a self, request: &'r R) -> Candidates<'a, 'r, T> {
        Candidates::new(self, request.host().as_bytes(), request.path())
    }

    /// Shows all runs of routes that may match.
    fn visit<'a>(&'a self, host: &[u8], path: &[u8], mut show: impl FnMut(Run<'a, T>)) {
        let key = host_index_key(host);
        if !self.hosts.is_empty()
            && let Some(group) = self.hosts.get(hash(key))
        {
            group.visit(path, &mut show);
        }
        if !self.wildcards.is_empty()
            && let Some(suffix) = host_wildcard_key(key)
            && let Some(group) = self.wildcards.get(hash(suffix))
        {
            group.visit(path, &mut show);
        }
        self.any_host.visit(path, |list| {
            show(Run {
                routes: list.after(None),
                list: Some(list),
            });
        });
    }

    fn file(&mut self, guard: Guard<'_>, route: &Arc<Route<T>>) {
        let place = Place::of(guard.host);
        let (map, key) = match place {
            Place::Any => {
                Arc::make_mut(&mut self.any_host).insert(guard.path, route);
                return;
            }
            Place::Host(key) => (&mut self.hosts, key),
            Place::Wildcard(key) => (&mut self.wildcards, key),
        };
        match map.get_mut(key) {
            Some(group) => place.add(group, guard.path, route),
            None => map.insert(Group::One(key, route.clone())),
        }
    }

    fn unfile(&mut self, guard: Guard<'_>, route: &Arc<Route<T>>) {
        let (map, key) = match Place::of(guard.host) {
            Place::Any => {
                Arc::make_mut(&mut self.any_host).remove(guard.path, route);
                return;
            }
            Place::Host(key) => (&mut self.hosts, key),
            Place::Wildcard(key) => (&mut self.wildcards, key),
        };
        if let Some(group) = map.get_mut(key)
            && group.remove(guard.path, route)
        {
            map.remove(key);
        }
    }
}

impl<T> FromIterator<(RouteOrder, Rule, T)> for RouteTable<T> {
    fn from_iter<I: IntoIterator<Item = (RouteOrder, Rule, T)>>(routes: I) -> Self {
        let routes = routes.into_iter();
        routes
            .map(|(order, rule, value)| Arc::new(Route { order, rule, value }))
            .collect()
    }
}

/// For bulk loading: sorts first, which makes every insertion cheap. Of equal orders the last one stays.
impl<T> FromIterator<Arc<Route<T>>> for RouteTable<T> {
    fn from_iter<I: IntoIterator<Item = Arc<Route<T>>>>(routes: I) -> Self {
        let mut routes: Vec<_> = routes.into_iter().collect();
        routes.sort_by(|a, b| a.order.cmp(&b.order));
        let mut table = RouteTable::new();
        let mut hosts = FxHashMap::default();
        let mut wildcards = FxHashMap::default();
        let mut routes = routes.into_iter().peekable();
        while let Some(route) = routes.next() {
            // The sort is stable.
            if routes.peek().is_some_and(|next| next.order == route.order) {
                continue;
            }
            for guard in route.rule.guards() {
                let place = Place::of(guard.host);
                let (groups, key) = match place {
                    Place::Any => {
                        table.file(guard, &route);
                        continue;
                    }
                    Place::Host(key) => (&mut hosts, key),
                    Place::Wildcard(key) => (&mut wildcards, key),
                };
                match groups.entry(key) {
                    Entry::Occupied(mut group) => place.add(group.get_mut(), guard.path, &route),
                    Entry::Vacant(vacant) => {
                        vacant.insert(Group::One(key, route.clone()));
                    }
                }
            }
            table.all.insert(route);
            table.len += 1;
        }
        table.hosts = hosts.into_values().collect();
        table.wildcards = wildcards.into_values().collect();
        table
    }
}

impl Place {
    fn of(host: HostGuard<'_>) -> Place {
        match host {
            HostGuard::Exact(host) => Place::Host(hash(host)),
            HostGuard::Wildcard(suffix) => Place::Wildcard(hash(suffix)),
            HostGuard::Any => Place::Any,
        }
    }

    /// Adds a route with one of its path conditions to the group of this place.
    fn add<T>(self, group: &mut Group<T>, path: PathGuard<'_>, route: &Arc<Route<T>>) {
        group.insert(path, route, |index, route| {
            for guard in route.rule.guards() {
                if Place::of(guard.host) == self {
                    index.insert(guard.path, route);
                }
            }
        });
    }
}

/// Hosts of equal hash are told apart by their rules; 32 bits make them rare (one pair among 100,000).
fn hash(host: &[u8]) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(host);
    let hash = hasher.finish();
    (hash ^ (hash >> 32)) as u32
}

/// Counts what a change copies, for the tests that hold its cost.
mod work {
    #[cfg(test)]
    thread_local! {
        pub static COPIED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    /// `entries` pointers were copied.
    pub fn copied(entries: usize) {
        #[cfg(test)]
        COPIED.with(|copied| copied.set(copied.get() + entries));
        let _ = entries;
    }
}

#[cfg(test)]
mod tests;
