//! The objects and who refers to whom, in both directions.
//!
//! A node exists for every object and also for every name that something refers to without its being
//! there, so that the object's arrival finds its dependants. Nodes are cheap and reused; an edge costs
//! four bytes on either side.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::ops::Deref;
use std::sync::Arc;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

use crate::config::dynamic::Kind;

/// A node's place. It is reused after the node is gone.
pub(super) type NodeId = u32;

/// Nodes with data of type `T`, found by kind and qualified name.
#[derive(Debug)]
pub(super) struct Graph<T> {
    nodes: Vec<Node<T>>,
    free: Vec<NodeId>,
    /// By the hash of kind and name, which the nodes hold.
    index: HashTable<NodeId>,
}

/// An object, or a name that is referred to.
#[derive(Debug)]
pub(super) struct Node<T> {
    /// What it is.
    pub(super) kind: Kind,
    /// Whether it stays even if it is absent and nothing refers to it.
    pub(super) is_pinned: bool,
    /// Qualified name.
    pub(super) name: Arc<str>,
    /// What is known of it.
    pub(super) data: T,
    references: IdList,
    referrers: IdSet,
}

impl<T> Default for Graph<T> {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
        }
    }
}

impl<T: Default> Graph<T> {
    /// The node of an object or name, if there is one.
    pub(super) fn find(&self, kind: Kind, name: &str) -> Option<NodeId> {
        let is_it = |&id: &NodeId| self.nodes[id as usize].is(kind, name);
        self.index.find(hash(kind, name), is_it).copied()
    }

    /// The node of a name, made if there is none.
    pub(super) fn intern(&mut self, kind: Kind, name: &str) -> NodeId {
        match self.find(kind, name) {
            Some(id) => id,
            None => self.insert(kind, name.into()),
        }
    }

    /// The node of an object, made if there is none, sharing the name's text.
    pub(super) fn intern_shared(&mut self, kind: Kind, name: &Arc<str>) -> NodeId {
        match self.find(kind, name) {
            Some(id) => id,
            None => self.insert(kind, Arc::clone(name)),
        }
    }

    fn insert(&mut self, kind: Kind, name: Arc<str>) -> NodeId {
        let node = Node {
            kind,
            is_pinned: false,
            name: Arc::clone(&name),
            data: T::default(),
            references: IdList::default(),
            referrers: IdSet::Empty,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.nodes[id as usize] = node;
                id
            }
            None => {
                let id = NodeId::try_from(self.nodes.len()).expect("fewer than 2^32 objects");
                self.nodes.push(node);
                id
            }
        };
        let nodes = &self.nodes;
        self.index
            .insert_unique(hash(kind, &name), id, |&id| nodes[id as usize].hash());
        id
    }

    /// A node.
    pub(super) fn node(&self, id: NodeId) -> &Node<T> {
        &self.nodes[id as usize]
    }

    /// A node's data.
    pub(super) fn data(&self, id: NodeId) -> &T {
        &self.nodes[id as usize].data
    }

    /// A node's data, to be changed.
    pub(super) fn data_mut(&mut self, id: NodeId) -> &mut T {
        &mut self.nodes[id as usize].data
    }

    /// Keeps a node even if it is absent and nothing refers to it.
    pub(super) fn pin(&mut self, id: NodeId) {
        self.nodes[id as usize].is_pinned = true;
    }

    /// Who refers to a node.
    pub(super) fn referrers(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes[id as usize].referrers.iter()
    }

    /// Whether anything refers to a node.
    pub(super) fn is_referenced(&self, id: NodeId) -> bool {
        !matches!(self.nodes[id as usize].referrers, IdSet::Empty)
    }

    /// Replaces what a node refers to; calls `changed` for each target that gained or lost this referrer.
    pub(super) fn set_references(
        &mut self,
        id: NodeId,
        mut references: Vec<NodeId>,
        mut changed: impl FnMut(NodeId),
    ) {
        references.sort_unstable();
        references.dedup();
        let node = &mut self.nodes[id as usize];
        if *node.references == *references {
            return;
        }
        let old = std::mem::replace(&mut node.references, IdList::new(&references));
        for &target in &*old {
            if references.binary_search(&target).is_err() {
                self.nodes[target as usize].referrers.remove(id);
                changed(target);
            }
        }
        for target in references {
            if old.binary_search(&target).is_err() {
                self.nodes[target as usize].referrers.insert(id);
                changed(target);
            }
        }
    }

    /// Forgets a node that nothing refers to and that refers to nothing.
    pub(super) fn remove(&mut self, id: NodeId) {
        let node = &mut self.nodes[id as usize];
        debug_assert!(node.references.is_empty() && matches!(node.referrers, IdSet::Empty));
        if let Ok(place) = self.index.find_entry(node.hash(), |&other| other == id) {
            place.remove();
        }
        node.data = T::default();
        node.name = "".into();
        self.free.push(id);
    }

    /// Whether a place is free, its node being gone.
    pub(super) fn is_free(&self, id: NodeId) -> bool {
        let node = &self.nodes[id as usize];
        self.find(node.kind, &node.name) != Some(id)
    }

    /// Every node, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, &Node<T>)> {
        self.index.iter().map(|&id| (id, self.node(id)))
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Makes room for `additional` more nodes.
    pub(super) fn reserve(&mut self, additional: usize) {
        self.nodes.reserve(additional);
        let nodes = &self.nodes;
        self.index
            .reserve(additional, |&id| nodes[id as usize].hash());
    }
}

impl<T> Node<T> {
    fn is(&self, kind: Kind, name: &str) -> bool {
        self.kind == kind && *self.name == *name
    }

    fn hash(&self) -> u64 {
        hash(self.kind, &self.name)
    }
}

fn hash(kind: Kind, name: &str) -> u64 {
    FxBuildHasher.hash_one((kind, name))
}

/// Nodes in order. Most nodes refer to a model and a service at most, which needs no allocation.
#[derive(Debug)]
enum IdList {
    Few {
        len: u8,
        ids: [NodeId; 2],
    },
    // Boxed because there is one of these per node and few are many.
    #[expect(clippy::box_collection)]
    Many(Box<Vec<NodeId>>),
}

impl IdList {
    fn new(ids: &[NodeId]) -> Self {
        match *ids {
            [] => Self::default(),
            [one] => Self::Few {
                len: 1,
                ids: [one, 0],
            },
            [one, two] => Self::Few {
                len: 2,
                ids: [one, two],
            },
            _ => Self::Many(Box::new(ids.to_vec())),
        }
    }
}

impl Default for IdList {
    fn default() -> Self {
        Self::Few {
            len: 0,
            ids: [0; 2],
        }
    }
}

impl Deref for IdList {
    type Target = [NodeId];

    fn deref(&self) -> &[NodeId] {
        match self {
            Self::Few { len, ids } => &ids[..usize::from(*len)],
            Self::Many(ids) => ids,
        }
    }
}

/// A set of nodes; most have one member.
#[derive(Debug, Default)]
enum IdSet {
    #[default]
    Empty,
    One(NodeId),
    // Boxed because there is one of these per node and few are many.
    #[expect(clippy::box_collection)]
    Many(Box<BTreeSet<NodeId>>),
}

impl IdSet {
    fn insert(&mut self, id: NodeId) {
        match self {
            Self::Empty => *self = Self::One(id),
            Self::One(other) if *other == id => {}
            Self::One(other) => *self = Self::Many(Box::new([*other, id].into())),
            Self::Many(ids) => {
                ids.insert(id);
            }
        }
    }

    fn remove(&mut self, id: NodeId) {
        match self {
            Self::One(other) if *other == id => *self = Self::Empty,
            Self::Empty | Self::One(_) => {}
            Self::Many(ids) => {
                ids.remove(&id);
                if let (1, Some(&last)) = (ids.len(), ids.first()) {
                    *self = Self::One(last);
                }
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = NodeId> + '_ {
        let (one, many) = match self {
            Self::Empty => (None, None),
            Self::One(id) => (Some(*id), None),
            Self::Many(ids) => (None, Some(ids.iter().copied())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_small() {
        assert_eq!(size_of::<IdList>(), 16);
        assert_eq!(size_of::<IdSet>(), 16);
        assert_eq!(size_of::<Node<()>>(), 56);
    }

    #[test]
    fn edges_are_kept_in_both_directions() {
        let mut graph = Graph::<()>::default();
        let service = graph.intern(Kind::HttpService, "s@file");
        let routers = [0, 1, 2].map(|n| graph.intern(Kind::HttpRouter, &format!("r{n}@file")));
        for router in routers {
            graph.set_references(router, vec![service, service], |_| ());
        }
        assert_eq!(graph.referrers(service).collect::<Vec<_>>(), routers);
        let mut changed = Vec::new();
        graph.set_references(routers[1], Vec::new(), |target| changed.push(target));
        graph.set_references(routers[0], vec![service], |target| changed.push(target));
        assert_eq!(changed, [service]);
        assert_eq!(
            graph.referrers(service).collect::<Vec<_>>(),
            [routers[0], routers[2]]
        );
        graph.set_references(routers[0], Vec::new(), |_| ());
        graph.set_references(routers[2], Vec::new(), |_| ());
        assert!(!graph.is_referenced(service));
        graph.remove(service);
        assert_eq!(graph.find(Kind::HttpService, "s@file"), None);
        let other = graph.intern(Kind::HttpMiddleware, "m@file");
        assert_eq!(other, service, "places are reused");
    }
}
