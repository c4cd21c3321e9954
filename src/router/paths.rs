//! Routes of one host by path: a persistent radix tree over the bytes of the path.
//!
//! ```text
//! "/" ── "api/" ── "v1"      for the path /api/v1/x: the prefix lists of "/", "/api/", "/api/v1"
//!   └──── "shop"
//! ```
//!
//! Prefixes are plain bytes as in Traefik: `/foo` covers `/foobar`. Depth is bounded, because guards are cut at
//! [`MAX_GUARD_PATH_BYTES`](crate::rules::MAX_GUARD_PATH_BYTES).

use std::sync::Arc;

use super::list::RouteList;
use super::order::Route;
use crate::rules::PathGuard;

#[derive(Debug)]
pub(super) struct PathIndex<T> {
    /// Routes without a condition on the path.
    any: RouteList<T>,
    root: PathNode<T>,
}

#[derive(Debug)]
struct PathNode<T> {
    /// The bytes that lead here from the parent.
    label: Box<[u8]>,
    /// Routes for paths that start with the bytes to here.
    prefix: RouteList<T>,
    /// Routes for the path that ends here.
    exact: RouteList<T>,
    /// By the first byte of their label.
    children: Vec<(u8, Arc<PathNode<T>>)>,
}

impl<T> Clone for PathIndex<T> {
    fn clone(&self) -> Self {
        PathIndex {
            any: self.any.clone(),
            root: self.root.clone(),
        }
    }
}

impl<T> Clone for PathNode<T> {
    fn clone(&self) -> Self {
        super::work::copied(self.children.len() + 1);
        PathNode {
            label: self.label.clone(),
            prefix: self.prefix.clone(),
            exact: self.exact.clone(),
            children: self.children.clone(),
        }
    }
}

impl<T> Default for PathIndex<T> {
    fn default() -> Self {
        PathIndex {
            any: RouteList::default(),
            root: PathNode::new(&[]),
        }
    }
}

impl<T> PathIndex<T> {
    pub fn is_empty(&self) -> bool {
        self.any.is_empty() && self.root.is_empty()
    }

    pub fn insert(&mut self, path: PathGuard<'_>, route: &Arc<Route<T>>) {
        match path {
            PathGuard::Any => self.any.insert(route.clone()),
            PathGuard::Exact(path) => self.root.list(path).exact.insert(route.clone()),
            PathGuard::Prefix(path) => self.root.list(path).prefix.insert(route.clone()),
        };
    }

    pub fn remove(&mut self, path: PathGuard<'_>, route: &Route<T>) {
        match path {
            PathGuard::Any => {
                self.any.remove(&route.order);
            }
            PathGuard::Exact(path) => self.root.change(path, |node| {
                node.exact.remove(&route.order);
            }),
            PathGuard::Prefix(path) => self.root.change(path, |node| {
                node.prefix.remove(&route.order);
            }),
        }
    }

    /// Shows the lists whose condition `path` satisfies.
    pub fn visit<'a>(&'a self, path: &[u8], mut show: impl FnMut(&'a RouteList<T>)) {
        let mut show = |list: &'a RouteList<T>| {
            if !list.is_empty() {
                show(list);
            }
        };
        show(&self.any);
        let mut node = &self.root;
        let mut rest = path;
        loop {
            show(&node.prefix);
            if rest.is_empty() {
                show(&node.exact);
                return;
            }
            let Some(child) = node.child(rest[0]) else {
                return;
            };
            node = &node.children[child].1;
            // The first byte is known to be equal; not looking at the label spares a cache miss.
            rest = match &rest[1..] {
                after if node.label.len() == 1 => after,
                _ => match rest.strip_prefix(&*node.label) {
                    Some(after) => after,
                    None => return,
                },
            };
        }
    }
}

impl<T> PathNode<T> {
    fn new(label: &[u8]) -> Self {
        PathNode {
            label: label.into(),
            prefix: RouteList::default(),
            exact: RouteList::default(),
            children: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.has_no_routes() && self.children.is_empty()
    }

    fn has_no_routes(&self) -> bool {
        self.prefix.is_empty() && self.exact.is_empty()
    }

    fn child(&self, first: u8) -> Option<usize> {
        self.children.binary_search_by_key(&first, |c| c.0).ok()
    }

    /// The node for `path` below this one; made if there is none.
    fn list(&mut self, path: &[u8]) -> &mut PathNode<T> {
        let Some(&first) = path.first() else {
            return self;
        };
        match self.children.binary_search_by_key(&first, |c| c.0) {
            Err(at) => {
                let new = (first, Arc::new(PathNode::new(path)));
                self.children.insert(at, new);
                Arc::make_mut(&mut self.children[at].1)
            }
            Ok(at) => {
                let child = Arc::make_mut(&mut self.children[at].1);
                let same = child
                    .label
                    .iter()
                    .zip(path)
                    .take_while(|(a, b)| a == b)
                    .count();
                if same < child.label.len() {
                    child.split(same);
                }
                child.list(&path[same..])
            }
        }
    }

    /// Puts a node between this one and its parent, `at` bytes below the parent.
    fn split(&mut self, at: usize) {
        let mut lower = std::mem::replace(self, PathNode::new(&self.label[..at]));
        let first = lower.label[at];
        lower.label = lower.label[at..].into();
        self.children = vec![(first, Arc::new(lower))];
    }

    /// Changes the node for `path`, if there is one, and removes nodes that are no longer needed.
    fn change(&mut self, path: &[u8], change: impl FnOnce(&mut PathNode<T>)) {
        let Some(&first) = path.first() else {
            return change(self);
        };
        let Some(at) = self.child(first) else {
            return;
        };
        let Some(rest) = path.strip_prefix(&*self.children[at].1.label) else {
            return;
        };
        let child = Arc::make_mut(&mut self.children[at].1);
        child.change(rest, change);
        if child.is_empty() {
            self.children.remove(at);
        } else if child.has_no_routes() && child.children.len() == 1 {
            let mut only = child.children.remove(0).1;
            let lower = Arc::make_mut(&mut only);
            lower.label = [&*child.label, &*lower.label].concat().into();
            self.children[at].1 = only;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::order::RouteOrder;
    use crate::rules::{Syntax, parse};

    fn route(name: &str) -> Arc<Route<()>> {
        Arc::new(Route {
            order: RouteOrder {
                priority: 0,
                provider_rank: 0,
                name: name.into(),
            },
            rule: parse("Method(`GET`)", Syntax::V3).unwrap(),
            value: (),
        })
    }

    fn seen(index: &PathIndex<()>, path: &str) -> Vec<String> {
        let mut names = Vec::new();
        index.visit(path.as_bytes(), |list| {
            names.extend(list.iter().map(|r| r.order.name.to_string()));
        });
        names
    }

    fn nodes(node: &PathNode<()>) -> usize {
        1 + node.children.iter().map(|c| nodes(&c.1)).sum::<usize>()
    }

    #[test]
    fn all_prefixes_of_a_path_are_seen() {
        let mut index = PathIndex::default();
        let paths = [
            "/",
            "/api",
            "/apps",
            "/api/v1",
            "/api/v2",
            "/b",
            "/api/v1/users",
        ];
        for path in paths {
            index.insert(PathGuard::Prefix(path.as_bytes()), &route(path));
            index.insert(
                PathGuard::Exact(path.as_bytes()),
                &route(&format!("={path}")),
            );
        }
        index.insert(PathGuard::Any, &route("any"));
        for (path, expected) in [
            ("/", vec!["any", "/", "=/"]),
            ("/apiv", vec!["any", "/", "/api"]),
            ("/api/v1/x", vec!["any", "/", "/api", "/api/v1"]),
            ("/api/v1", vec!["any", "/", "/api", "/api/v1", "=/api/v1"]),
            ("/ap", vec!["any", "/"]),
            ("*", vec!["any"]),
            ("", vec!["any"]),
        ] {
            assert_eq!(seen(&index, path), expected, "{path}");
        }
        let old = index.clone();
        for path in paths {
            index.remove(PathGuard::Prefix(path.as_bytes()), &route(path));
            index.remove(PathGuard::Prefix(b"/nowhere"), &route(path));
            index.remove(
                PathGuard::Exact(path.as_bytes()),
                &route(&format!("={path}")),
            );
        }
        assert_eq!(seen(&index, "/api/v1"), ["any"]);
        assert_eq!(nodes(&index.root), 1, "no node is left behind");
        index.remove(PathGuard::Any, &route("any"));
        assert!(index.is_empty());
        assert_eq!(seen(&old, "/api/v1").len(), 5);
    }

    #[test]
    fn a_node_without_routes_and_with_one_child_is_joined() {
        let mut index = PathIndex::default();
        for path in ["/aa", "/ab"] {
            index.insert(PathGuard::Prefix(path.as_bytes()), &route(path));
        }
        assert_eq!(nodes(&index.root), 4);
        index.remove(PathGuard::Prefix(b"/aa"), &route("/aa"));
        assert_eq!(nodes(&index.root), 2);
        assert_eq!(seen(&index, "/abc"), ["/ab"]);
    }
}
