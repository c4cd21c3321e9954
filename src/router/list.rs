//! A persistent list of routes in their order: a B-tree with structural sharing, and a cursor that allocates nothing.
//!
//! Clone is O(1); insert and remove copy one path of nodes if they are shared, and change them in place if not.
//! (`imbl`'s sets would do, but stepping through one allocates.)

use std::cmp::Ordering;
use std::sync::Arc;

use super::order::{Route, RouteOrder};

/// Entries of a node; the tree's depth is its logarithm to about this base.
const WIDTH: usize = 32;

#[derive(Debug, Default)]
pub(super) enum RouteList<T> {
    #[default]
    Empty,
    /// Most lists of an index: no node, no detour.
    One(Arc<Route<T>>),
    /// At least two.
    Tree(Arc<Node<T>>),
}

#[derive(Debug)]
pub(super) enum Node<T> {
    Leaf(Vec<Arc<Route<T>>>),
    Inner(Vec<Child<T>>),
}

#[derive(Debug)]
pub(super) struct Child<T> {
    /// The first route below.
    first: Arc<Route<T>>,
    node: Arc<Node<T>>,
}

impl<T> Clone for RouteList<T> {
    fn clone(&self) -> Self {
        match self {
            RouteList::Empty => RouteList::Empty,
            RouteList::One(one) => RouteList::One(one.clone()),
            RouteList::Tree(root) => RouteList::Tree(root.clone()),
        }
    }
}

impl<T> Clone for Child<T> {
    fn clone(&self) -> Self {
        Child {
            first: self.first.clone(),
            node: self.node.clone(),
        }
    }
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        match self {
            Node::Leaf(routes) => {
                super::work::copied(routes.len());
                Node::Leaf(routes.clone())
            }
            Node::Inner(children) => {
                super::work::copied(children.len());
                Node::Inner(children.clone())
            }
        }
    }
}

impl<T> RouteList<T> {
    pub fn is_empty(&self) -> bool {
        matches!(self, RouteList::Empty)
    }

    /// Adds a route; returns the one that had the same order, which it replaces.
    pub fn insert(&mut self, route: Arc<Route<T>>) -> Option<Arc<Route<T>>> {
        match self {
            RouteList::Empty => {
                *self = RouteList::One(route);
                None
            }
            RouteList::One(one) => {
                let two = match route.order.cmp(&one.order) {
                    Ordering::Equal => return Some(std::mem::replace(one, route)),
                    Ordering::Less => vec![route, one.clone()],
                    Ordering::Greater => vec![one.clone(), route],
                };
                *self = RouteList::Tree(Arc::new(Node::Leaf(two)));
                None
            }
            RouteList::Tree(root) => match Node::insert(root, route) {
                Inserted::Replaced(old) => Some(old),
                Inserted::Fits => None,
                Inserted::Split(right) => {
                    let children = vec![Child::new(root.clone()), Child::new(right)];
                    *root = Arc::new(Node::Inner(children));
                    None
                }
            },
        }
    }

    pub fn remove(&mut self, order: &RouteOrder) -> Option<Arc<Route<T>>> {
        let root = match self {
            RouteList::One(one) if one.order == *order => {
                return match std::mem::take(self) {
                    RouteList::One(one) => Some(one),
                    _ => None,
                };
            }
            RouteList::Empty | RouteList::One(_) => return None,
            RouteList::Tree(root) => root,
        };
        let removed = Node::remove(root, order)?;
        while let Node::Inner(children) = &**root
            && let [only] = &children[..]
        {
            *root = only.node.clone();
        }
        if let Node::Leaf(routes) = &**root
            && let [one] = &routes[..]
        {
            *self = RouteList::One(one.clone());
        }
        Some(removed)
    }

    pub fn get(&self, order: &RouteOrder) -> Option<&Arc<Route<T>>> {
        let mut node = match self {
            RouteList::Empty => return None,
            RouteList::One(one) => return (one.order == *order).then_some(one),
            RouteList::Tree(root) => root,
        };
        loop {
            match &**node {
                Node::Leaf(routes) => {
                    let found = routes.binary_search_by(|r| r.order.cmp(order)).ok()?;
                    return routes.get(found);
                }
                Node::Inner(children) => node = &children[Node::child_of(children, order)].node,
            }
        }
    }

    /// Some of the routes that come after `order` (or from the first on), in order and without a gap; empty only if
    /// there is none.
    pub fn after(&self, order: Option<&RouteOrder>) -> &[Arc<Route<T>>] {
        match (self, order) {
            (RouteList::Empty, _) => &[],
            (RouteList::One(one), Some(order)) if one.order <= *order => &[],
            (RouteList::One(one), _) => std::slice::from_ref(one),
            (RouteList::Tree(root), order) => root.after(order),
        }
    }

    pub fn iter(&self) -> Iter<'_, T> {
        Iter {
            list: self,
            routes: self.after(None),
        }
    }
}

/// All routes in order.
pub(super) struct Iter<'a, T> {
    list: &'a RouteList<T>,
    routes: &'a [Arc<Route<T>>],
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a Arc<Route<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (first, rest) = self.routes.split_first()?;
        self.routes = if rest.is_empty() {
            self.list.after(Some(&first.order))
        } else {
            rest
        };
        Some(first)
    }
}

enum Inserted<T> {
    Fits,
    Replaced(Arc<Route<T>>),
    /// The node became too large; this is its right part.
    Split(Arc<Node<T>>),
}

impl<T> Child<T> {
    fn new(node: Arc<Node<T>>) -> Self {
        Child {
            first: node.first().clone(),
            node,
        }
    }
}

impl<T> Node<T> {
    fn len(&self) -> usize {
        match self {
            Node::Leaf(routes) => routes.len(),
            Node::Inner(children) => children.len(),
        }
    }

    /// No node in a tree is empty.
    fn first(&self) -> &Arc<Route<T>> {
        match self {
            Node::Leaf(routes) => &routes[0],
            Node::Inner(children) => &children[0].first,
        }
    }

    /// The child in which `order` belongs.
    fn child_of(children: &[Child<T>], order: &RouteOrder) -> usize {
        match children.last() {
            // Bulk building comes in order.
            Some(last) if last.first.order <= *order => children.len() - 1,
            _ => children
                .partition_point(|child| child.first.order <= *order)
                .saturating_sub(1),
        }
    }

    fn insert(node: &mut Arc<Node<T>>, route: Arc<Route<T>>) -> Inserted<T> {
        match Arc::make_mut(node) {
            Node::Leaf(routes) => {
                // Bulk building comes in order: look at the end first.
                let at = match routes.last() {
                    Some(last) if last.order < route.order => Err(routes.len()),
                    _ => routes.binary_search_by(|r| r.order.cmp(&route.order)),
                };
                match at {
                    Ok(at) => Inserted::Replaced(std::mem::replace(&mut routes[at], route)),
                    Err(at) => {
                        routes.insert(at, route);
                        let right = split(routes, at);
                        right.map_or(Inserted::Fits, |right| {
                            Inserted::Split(Arc::new(Node::Leaf(right)))
                        })
                    }
                }
            }
            Node::Inner(children) => {
                let at = Node::child_of(children, &route.order);
                let child = &mut children[at];
                let inserted = Node::insert(&mut child.node, route);
                if !Arc::ptr_eq(&child.first, child.node.first()) {
                    child.first = child.node.first().clone();
                }
                let Inserted::Split(right) = inserted else {
                    return inserted;
                };
                children.insert(at + 1, Child::new(right));
                let right = split(children, at + 1);
                right.map_or(Inserted::Fits, |right| {
                    Inserted::Split(Arc::new(Node::Inner(right)))
                })
            }
        }
    }

    fn remove(node: &mut Arc<Node<T>>, order: &RouteOrder) -> Option<Arc<Route<T>>> {
        match Arc::make_mut(node) {
            Node::Leaf(routes) => {
                let at = routes.binary_search_by(|r| r.order.cmp(order)).ok()?;
                Some(routes.remove(at))
            }
            Node::Inner(children) => {
                let at = Node::child_of(children, order);
                let child = &mut children[at];
                let removed = Node::remove(&mut child.node, order)?;
                if child.node.len() == 0 {
                    children.remove(at);
                } else {
                    child.first = child.node.first().clone();
                    Node::merge(children, at);
                }
                Some(removed)
            }
        }
    }

    /// Joins the child at `at` with a neighbour if both together are small.
    fn merge(children: &mut Vec<Child<T>>, at: usize) {
        let small = |a: usize, b: usize| a + b <= WIDTH / 2;
        let left = if at + 1 < children.len()
            && small(children[at].node.len(), children[at + 1].node.len())
        {
            at
        } else if at > 0 && small(children[at - 1].node.len(), children[at].node.len()) {
            at - 1
        } else {
            return;
        };
        let right = children.remove(left + 1);
        match (Arc::make_mut(&mut children[left].node), &*right.node) {
            (Node::Leaf(a), Node::Leaf(b)) => a.extend_from_slice(b),
            (Node::Inner(a), Node::Inner(b)) => a.extend_from_slice(b),
            // All leaves are at the same depth.
            _ => unreachable!("siblings of different depth"),
        }
    }

    fn after(&self, order: Option<&RouteOrder>) -> &[Arc<Route<T>>] {
        match (self, order) {
            (Node::Leaf(routes), None) => routes,
            (Node::Leaf(routes), Some(order)) => {
                &routes[routes.partition_point(|r| r.order <= *order)..]
            }
            (Node::Inner(children), None) => children[0].node.after(None),
            (Node::Inner(children), Some(order)) => {
                let at = Node::child_of(children, order);
                let found = children[at].node.after(Some(order));
                match children.get(at + 1) {
                    Some(next) if found.is_empty() => next.node.after(None),
                    _ => found,
                }
            }
        }
    }
}

/// Splits off the right part of a node that grew too large by an insertion at `at`. After an insertion at the end only
/// the new entry goes: that leaves full nodes behind when building in order.
fn split<E>(entries: &mut Vec<E>, at: usize) -> Option<Vec<E>> {
    if entries.len() <= WIDTH {
        return None;
    }
    let middle = if at + 1 == entries.len() {
        at
    } else {
        WIDTH / 2
    };
    let right = entries.split_off(middle);
    entries.shrink_to_fit();
    Some(right)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::rules::{Syntax, parse};

    fn route(n: u32) -> Arc<Route<u32>> {
        Arc::new(Route {
            order: order(n),
            rule: parse("Method(`GET`)", Syntax::V3).unwrap(),
            value: n,
        })
    }

    fn order(n: u32) -> RouteOrder {
        RouteOrder {
            priority: -i64::from(n / 7),
            provider_rank: 0,
            name: format!("{:06}", n).into(),
        }
    }

    fn values(list: &RouteList<u32>) -> Vec<u32> {
        list.iter().map(|r| r.value).collect()
    }

    /// A fixed sequence that visits all numbers below a power of two.
    fn scattered(n: u32) -> impl Iterator<Item = u32> {
        (0..n).map(move |i| i.wrapping_mul(2_654_435_761) % n)
    }

    #[test]
    fn insertion_and_removal_in_any_sequence_keep_the_order() {
        let mut list = RouteList::default();
        let mut model = BTreeMap::new();
        for n in scattered(4096) {
            assert!(list.insert(route(n)).is_none());
            model.insert(n, ());
        }
        assert_eq!(values(&list), model.keys().copied().collect::<Vec<_>>());
        let old = list.clone();
        for n in scattered(4096).step_by(2) {
            assert_eq!(list.remove(&order(n)).map(|r| r.value), Some(n));
            assert!(list.remove(&order(n)).is_none());
            assert!(list.get(&order(n)).is_none());
            model.remove(&n);
        }
        assert_eq!(values(&list), model.keys().copied().collect::<Vec<_>>());
        assert_eq!(values(&old).len(), 4096);
        for n in model.into_keys() {
            assert_eq!(list.get(&order(n)).map(|r| r.value), Some(n));
            list.remove(&order(n)).unwrap();
        }
        assert!(list.is_empty());
    }

    #[test]
    fn routes_after_any_order_are_found() {
        let mut list = RouteList::default();
        for n in 0..1000 {
            list.insert(route(n * 2));
        }
        for n in 0..1999 {
            let next = list.after(Some(&order(n))).first().map(|r| r.value);
            assert_eq!(next, ((n / 2 + 1) * 2 < 2000).then_some((n / 2 + 1) * 2));
        }
    }

    #[test]
    fn a_route_of_equal_order_is_replaced() {
        let mut list = RouteList::default();
        for n in 0..100 {
            list.insert(route(n));
        }
        let again = route(50);
        assert!(list.insert(again.clone()).is_some());
        assert_eq!(values(&list).len(), 100);
        assert!(Arc::ptr_eq(list.get(&order(50)).unwrap(), &again));
        // Also where it is the first of an inner node's child.
        let first = route(0);
        list.insert(first.clone());
        assert!(Arc::ptr_eq(&list.after(None)[0], &first));
    }
}
