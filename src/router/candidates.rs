//! The routes that may match a request, in order: a merge of the lists that the index finds, without allocation.

use std::sync::Arc;

use super::RouteTable;
use super::group::Run;
use super::order::{Route, RouteOrder};

/// Lists merged at once. A request that more lists apply to (deeply nested prefixes) is served more slowly.
const WAYS: usize = 8;

/// Routes whose guards a request satisfies, in order, each once. Made by [`RouteTable::candidates`].
#[derive(Debug)]
pub struct Candidates<'a, 'r, T> {
    table: &'a RouteTable<T>,
    host: &'r [u8],
    path: &'r [u8],
    runs: [Run<'a, T>; WAYS],
    /// How many of `runs` are in use; more than `WAYS` if they did not fit, and then none is.
    found: usize,
    last: Option<&'a Arc<Route<T>>>,
}

impl<'a, 'r, T> Candidates<'a, 'r, T> {
    pub(super) fn new(table: &'a RouteTable<T>, host: &'r [u8], path: &'r [u8]) -> Self {
        let nothing = Run {
            routes: &[],
            list: None,
        };
        let mut runs = [nothing; WAYS];
        let mut found = 0;
        table.visit(host, path, |run| {
            if let Some(place) = runs.get_mut(found) {
                *place = run;
            }
            found += 1;
        });
        Candidates {
            table,
            host,
            path,
            runs,
            found,
            last: None,
        }
    }

    /// The first of all runs' routes; takes it from its run.
    fn merge(&mut self) -> Option<&'a Arc<Route<T>>> {
        let runs = &mut self.runs[..self.found];
        let mut best: Option<(usize, &'a Arc<Route<T>>)> = None;
        for (i, run) in runs.iter().enumerate() {
            if let Some(head) = run.routes.first()
                && best.is_none_or(|(_, other)| head.order < other.order)
            {
                best = Some((i, head));
            }
        }
        let (i, route) = best?;
        let run = &mut runs[i];
        run.routes = match (&run.routes[1..], run.list) {
            ([], Some(list)) => list.after(Some(&route.order)),
            (rest, _) => rest,
        };
        Some(route)
    }

    /// As [`merge`](Self::merge) with any number of runs: looks at all of them again for each route.
    #[cold]
    fn search(&self) -> Option<&'a Arc<Route<T>>> {
        let after: Option<&RouteOrder> = self.last.map(|last| &last.order);
        let mut best: Option<&'a Arc<Route<T>>> = None;
        self.table.visit(self.host, self.path, |run| {
            let head = match (run.list, after) {
                (Some(list), after) => list.after(after).first(),
                (None, None) => run.routes.first(),
                (None, Some(order)) => run.routes.iter().find(|r| r.order > *order),
            };
            if let Some(head) = head
                && best.is_none_or(|other| head.order < other.order)
            {
                best = Some(head);
            }
        });
        best
    }
}

impl<'a, T> Iterator for Candidates<'a, '_, T> {
    type Item = &'a Arc<Route<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        let route = loop {
            let route = if self.found <= WAYS {
                self.merge()?
            } else {
                self.search()?
            };
            // A route with several guards may be in several runs; equal ones come in a row.
            if !self.last.is_some_and(|last| Arc::ptr_eq(last, route)) {
                break route;
            }
        };
        self.last = Some(route);
        Some(route)
    }
}
