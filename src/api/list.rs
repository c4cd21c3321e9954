//! Lists of objects: which ones are asked for, in which order, and which page of them.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use super::item;
use super::params::{InvalidRequest, Params};
use crate::config::dynamic::{Kind, Object};
use crate::plan::{ObjectStatus, Published};

/// Objects on a page unless `per_page` says otherwise (Traefik: same).
const DEFAULT_PER_PAGE: usize = 100;

/// The page of a list that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Which elements of the whole list.
    pub(super) range: Range<usize>,
    /// The next page; 1 after the last one.
    pub(super) next: usize,
    /// Elements of the whole list.
    pub(super) total: usize,
}

impl Page {
    /// The page that the parameters `page` and `per_page` mean in a list of `len` elements.
    pub(super) fn new(params: &Params, len: usize) -> Result<Self, InvalidRequest> {
        let per_page = params.positive("per_page", DEFAULT_PER_PAGE)?;
        let page = params.positive("page", 1)?;
        let start = (page - 1).saturating_mul(per_page);
        if start != 0 && start >= len {
            let text = format!("page: {page}, per_page: {per_page}");
            return Err(InvalidRequest(text));
        }
        let end = start.saturating_add(per_page);
        Ok(Self {
            range: start..end.min(len),
            next: if end < len { page + 1 } else { 1 },
            total: len,
        })
    }
}

/// The objects of a kind that the parameters ask for, in the order that they ask for.
pub(super) fn find(published: &Published, kind: Kind, params: &Params) -> Vec<Arc<ObjectStatus>> {
    let wanted = Wanted::new(params);
    let objects = published.objects_of(kind);
    let mut found: Vec<_> = objects
        .filter(|object| wanted.includes(object))
        .cloned()
        .collect();
    let is_descending = !matches!(params.get("direction"), "" | "asc");
    // The objects come by name; equal ones stay so.
    if let Some(compare) = comparison(kind, params.get("sortBy")) {
        found.sort_by(|a, b| compare(a, b));
    }
    if is_descending {
        found.reverse();
    }
    found
}

/// Which objects are asked for.
#[derive(Debug)]
struct Wanted<'a> {
    search: String,
    status: &'a str,
    service: &'a str,
    middleware: &'a str,
}

impl<'a> Wanted<'a> {
    fn new(params: &'a Params) -> Self {
        Self {
            search: params.get("search").to_lowercase(),
            status: params.get("status"),
            service: params.get("serviceName"),
            middleware: params.get("middlewareName"),
        }
    }

    fn includes(&self, object: &ObjectStatus) -> bool {
        let has_status =
            self.status.is_empty() || object.status.as_str().eq_ignore_ascii_case(self.status);
        let contains = |text: &str| text.to_lowercase().contains(&self.search);
        let is_found = self.search.is_empty() || contains(&object.name) || contains(rule(object));
        has_status && is_found && self.has_service(object) && self.has_middleware(object)
    }

    /// Only routers have a service. Their own word is compared: with its provider if it names one, else without.
    fn has_service(&self, object: &ObjectStatus) -> bool {
        let is_router = matches!(
            object.kind,
            Kind::HttpRouter | Kind::TcpRouter | Kind::UdpRouter
        );
        if self.service.is_empty() || !is_router {
            return true;
        }
        let own = service(object);
        if own.contains('@') {
            return own == self.service;
        }
        let wanted = self.service.split_once('@');
        own == wanted.map_or(self.service, |(name, _)| name)
    }

    /// Only routers have middlewares; they are compared as they are shown.
    fn has_middleware(&self, object: &ObjectStatus) -> bool {
        if self.middleware.is_empty() || !matches!(object.kind, Kind::HttpRouter | Kind::TcpRouter)
        {
            return true;
        }
        match object.effective().as_deref() {
            Some(Object::HttpRouter(router)) => router
                .middlewares
                .iter()
                .any(|name| **name == *self.middleware),
            Some(Object::TcpRouter(router)) => router
                .middlewares
                .iter()
                .any(|name| **name == *self.middleware),
            _ => false,
        }
    }
}

type Compare = fn(&ObjectStatus, &ObjectStatus) -> Ordering;

/// How `sortBy` compares; `None`: by name.
fn comparison(kind: Kind, key: &str) -> Option<Compare> {
    let is_router = matches!(kind, Kind::HttpRouter | Kind::TcpRouter | Kind::UdpRouter);
    let compare: Compare = match key {
        "provider" => |a, b| a.provider().cmp(b.provider()),
        "status" => |a, b| a.status.as_str().cmp(b.status.as_str()),
        "priority" if is_router => |a, b| item::priority(a).cmp(&item::priority(b)),
        "rule" if is_router => |a, b| rule(a).cmp(rule(b)),
        "service" if is_router => |a, b| service(a).cmp(service(b)),
        "entryPoints" if is_router => |a, b| entry_points(a).cmp(&entry_points(b)),
        "type" if !is_router => |a, b| lower_type(a).cmp(&lower_type(b)),
        "servers" if !is_router => |a, b| item::server_count(a).cmp(&item::server_count(b)),
        _ => return None,
    };
    Some(compare)
}

fn lower_type(object: &ObjectStatus) -> Option<String> {
    item::type_name(object).map(str::to_ascii_lowercase)
}

fn rule(object: &ObjectStatus) -> &str {
    match &object.object {
        Some(Object::HttpRouter(router)) => &router.rule,
        Some(Object::TcpRouter(router)) => &router.rule,
        _ => "",
    }
}

fn service(object: &ObjectStatus) -> &str {
    match &object.object {
        Some(Object::HttpRouter(router)) => &router.service,
        Some(Object::TcpRouter(router)) => &router.service,
        Some(Object::UdpRouter(router)) => &router.service,
        _ => "",
    }
}

/// Sorted by how many there are (Traefik: same).
fn entry_points(object: &ObjectStatus) -> usize {
    match (&object.object, object.router()) {
        (_, Some(router)) => router.entry_points.names.len(),
        (Some(Object::TcpRouter(router)), None) => router.entry_points.len(),
        (Some(Object::UdpRouter(router)), None) => router.entry_points.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str, len: usize) -> Result<(Range<usize>, usize), String> {
        let page = Page::new(&Params::parse(query), len);
        page.map(|page| (page.range, page.next))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn pages_are_cut_as_traefik_cuts_them() {
        let cases = [
            ("", 0, 0..0, 1),
            ("", 11, 0..11, 1),
            ("", 101, 0..100, 2),
            ("page=2", 101, 100..101, 1),
            ("page=1", 0, 0..0, 1),
            ("per_page=3", 11, 0..3, 2),
            ("per_page=3&page=2", 11, 3..6, 3),
            ("per_page=3&page=4", 11, 9..11, 1),
            ("per_page=11", 11, 0..11, 1),
            ("per_page=9223372036854775807", 11, 0..11, 1),
        ];
        for (query, len, range, next) in cases {
            assert_eq!(page(query, len), Ok((range, next)), "{query} of {len}");
        }
    }

    #[test]
    fn pages_that_are_not_there_are_refused() {
        let cases = [
            ("page=0", 11, "page: 0"),
            ("page=x", 11, "page: 0"),
            ("page=-2", 11, "page: -2"),
            ("per_page=0", 11, "per_page: 0"),
            ("per_page=-1&page=0", 11, "per_page: -1"),
            ("page=2", 0, "page: 2, per_page: 100"),
            ("page=99&per_page=3", 11, "page: 99, per_page: 3"),
            ("page=5&per_page=3", 12, "page: 5, per_page: 3"),
            (
                "page=9223372036854775807&per_page=9223372036854775807",
                11,
                "page: 9223372036854775807, per_page: 9223372036854775807",
            ),
        ];
        for (query, len, shown) in cases {
            let error = format!("invalid request: {shown}");
            assert_eq!(page(query, len), Err(error), "{query} of {len}");
        }
    }
}
