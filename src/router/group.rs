//! The routes filed under one host, or under none.

use std::sync::Arc;

use super::list::RouteList;
use super::order::Route;
use super::paths::PathIndex;
use crate::rules::PathGuard;

/// Routes of a host that are tried one by one; more are indexed by path. So few are faster and smaller without an index.
const FEW: usize = 8;

/// The routes of one host. Each variant begins with the hash of the host, because there it takes no room.
#[derive(Debug)]
pub(super) enum Group<T> {
    One(u32, Arc<Route<T>>),
    /// At most [`FEW`], in order.
    Few(u32, Arc<Vec<Arc<Route<T>>>>),
    Paths(u32, Arc<PathIndex<T>>),
}

/// Some routes in order, to be merged with others: a slice, and where it came from if there may be more.
#[derive(Debug)]
pub(super) struct Run<'a, T> {
    pub routes: &'a [Arc<Route<T>>],
    pub list: Option<&'a RouteList<T>>,
}

impl<T> Clone for Run<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Run<'_, T> {}

impl<T> Clone for Group<T> {
    fn clone(&self) -> Self {
        super::work::copied(1);
        match self {
            Group::One(hash, route) => Group::One(*hash, route.clone()),
            Group::Few(hash, routes) => Group::Few(*hash, routes.clone()),
            Group::Paths(hash, index) => Group::Paths(*hash, index.clone()),
        }
    }
}

impl<T> Group<T> {
    /// The hash of its host.
    pub fn hash(&self) -> u32 {
        match self {
            Group::One(hash, _) | Group::Few(hash, _) | Group::Paths(hash, _) => *hash,
        }
    }

    /// Adds a route with one of its path conditions. `index` files a route under all its path conditions for this
    /// group; it is called for each route when there are too many to try one by one.
    pub fn insert(
        &mut self,
        path: PathGuard<'_>,
        route: &Arc<Route<T>>,
        index: impl Fn(&mut PathIndex<T>, &Arc<Route<T>>),
    ) {
        match self {
            Group::One(_, one) if Arc::ptr_eq(one, route) => {}
            Group::One(hash, one) => {
                let mut routes = vec![one.clone(), route.clone()];
                routes.sort_by(|a, b| a.order.cmp(&b.order));
                *self = Group::Few(*hash, Arc::new(routes));
            }
            Group::Few(hash, routes) => {
                let Err(at) = routes.binary_search_by(|r| r.order.cmp(&route.order)) else {
                    return;
                };
                if routes.len() < FEW {
                    work_copied(routes);
                    Arc::make_mut(routes).insert(at, route.clone());
                    return;
                }
                let mut paths = PathIndex::default();
                for route in routes.iter().chain([route]) {
                    index(&mut paths, route);
                }
                *self = Group::Paths(*hash, Arc::new(paths));
            }
            Group::Paths(_, paths) => Arc::make_mut(paths).insert(path, route),
        }
    }

    /// Removes a route with one of its path conditions; tells whether the group is empty now.
    pub fn remove(&mut self, path: PathGuard<'_>, route: &Route<T>) -> bool {
        match self {
            Group::One(_, one) => one.order == route.order,
            Group::Few(hash, routes) => {
                if let Ok(at) = routes.binary_search_by(|r| r.order.cmp(&route.order)) {
                    work_copied(routes);
                    Arc::make_mut(routes).remove(at);
                }
                if let [one] = &routes[..] {
                    *self = Group::One(*hash, one.clone());
                }
                false
            }
            Group::Paths(_, paths) => {
                let paths = Arc::make_mut(paths);
                paths.remove(path, route);
                paths.is_empty()
            }
        }
    }

    /// Shows the runs of routes that `path` may match.
    pub fn visit<'a>(&'a self, path: &[u8], mut show: impl FnMut(Run<'a, T>)) {
        match self {
            Group::One(_, route) => show(Run {
                routes: std::slice::from_ref(route),
                list: None,
            }),
            Group::Few(_, routes) => show(Run { routes, list: None }),
            Group::Paths(_, paths) => paths.visit(path, |list| {
                show(Run {
                    routes: list.after(None),
                    list: Some(list),
                });
            }),
        }
    }
}

fn work_copied<T>(routes: &Arc<Vec<Arc<Route<T>>>>) {
    if Arc::strong_count(routes) > 1 {
        super::work::copied(routes.len());
    }
}
