//! Groups of routes by the hash of their host: a persistent trie with wide nodes.
//!
//! ```text
//! hash, from its top:  6 bits      6 bits      the rest
//!                      ▼           ▼           ▼
//!                      node ─────► node ─────► bucket of at most 32, sorted ─► route
//! ```
//!
//! What a request for a seldom used host costs is the memory that no cache holds. The nodes of 10,000 hosts are 100 KB and
//! stay in the cache; a lookup fetches one or two lines of a bucket, because a place in it is computed, not searched: hashes
//! are spread evenly. A tree of keys would add a node on each level. The price is 15 to 50 bytes a host, as the buckets are
//! full or just split.
//!
//! Clone is O(1). A change copies two or three nodes of 64 and a bucket, or changes them in place if nobody shares them.
//! (`imbl`'s maps would do, but cost a request three times as many lines.)

use std::sync::Arc;

use super::group::Group;

/// Children of a node.
const WAYS: usize = 1 << BITS;
/// Bits of a hash that choose a child.
const BITS: u32 = 6;
/// Entries of a bucket; with more it becomes a node. More than `2.pow(32 % BITS)`, so that hashes never run out of bits.
const BUCKET: usize = 32;

/// Groups by their [hash](Group::hash), of which each is there once.
#[derive(Debug)]
pub(super) struct HostMap<T> {
    root: Child<T>,
    len: usize,
}

#[derive(Debug)]
enum Child<T> {
    Empty,
    /// A bucket of one needs no detour.
    One(Group<T>),
    /// At least two, sorted by hash.
    Bucket(Arc<[Group<T>]>),
    Node(Arc<[Child<T>; WAYS]>),
}

impl<T> Clone for HostMap<T> {
    fn clone(&self) -> Self {
        HostMap {
            root: self.root.clone(),
            len: self.len,
        }
    }
}

impl<T> Clone for Child<T> {
    fn clone(&self) -> Self {
        super::work::copied(1);
        match self {
            Child::Empty => Child::Empty,
            Child::One(group) => Child::One(group.clone()),
            Child::Bucket(groups) => Child::Bucket(groups.clone()),
            Child::Node(children) => Child::Node(children.clone()),
        }
    }
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        HostMap {
            root: Child::Empty,
            len: 0,
        }
    }
}

impl<T> HostMap<T> {
    /// Number of groups.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The group of this hash.
    pub fn get(&self, hash: u32) -> Option<&Group<T>> {
        let mut child = &self.root;
        let mut depth = 0;
        loop {
            match child {
                Child::Empty => return None,
                Child::One(group) => return (group.hash() == hash).then_some(group),
                Child::Bucket(groups) => {
                    let at = position(groups, hash, depth).ok()?;
                    return groups.get(at);
                }
                Child::Node(children) => child = &children[way(hash, depth)],
            }
            depth += 1;
        }
    }

    /// As [`get`](Self::get), for changing it; its hash must stay.
    pub fn get_mut(&mut self, hash: u32) -> Option<&mut Group<T>> {
        let mut child = &mut self.root;
        let mut depth = 0;
        loop {
            match child {
                Child::Empty => return None,
                Child::One(group) => return (group.hash() == hash).then_some(group),
                Child::Bucket(groups) => {
                    let at = position(groups, hash, depth).ok()?;
                    return Some(&mut Arc::make_mut(groups)[at]);
                }
                Child::Node(children) => child = &mut Arc::make_mut(children)[way(hash, depth)],
            }
            depth += 1;
        }
    }

    /// Adds a group whose hash is not in the map.
    pub fn insert(&mut self, group: Group<T>) {
        self.root.insert(group, 0);
        self.len += 1;
    }

    /// Removes the group of this hash, which is in the map.
    pub fn remove(&mut self, hash: u32) {
        self.root.remove(hash, 0);
        self.len -= 1;
    }
}

/// For bulk loading: no bucket is made twice. The hashes must be different.
impl<T> FromIterator<Group<T>> for HostMap<T> {
    fn from_iter<I: IntoIterator<Item = Group<T>>>(groups: I) -> Self {
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_unstable_by_key(Group::hash);
        HostMap {
            len: groups.len(),
            root: Child::build(groups, 0),
        }
    }
}

impl<T> Child<T> {
    /// A child at `depth` of these groups, sorted by hash.
    fn build(mut groups: Vec<Group<T>>, depth: u32) -> Child<T> {
        if groups.len() > BUCKET {
            let mut children = [const { Child::Empty }; WAYS];
            for (at, child) in children.iter_mut().enumerate().rev() {
                let first = groups.partition_point(|group| way(group.hash(), depth) < at);
                *child = Child::build(groups.split_off(first), depth + 1);
            }
            return Child::Node(Arc::new(children));
        }
        match groups.len() {
            0 | 1 => groups.pop().map_or(Child::Empty, Child::One),
            _ => Child::Bucket(groups.into()),
        }
    }

    fn insert(&mut self, group: Group<T>, depth: u32) {
        let groups = match self {
            Child::Empty => {
                *self = Child::One(group);
                return;
            }
            Child::Node(children) => {
                let children = Arc::make_mut(children);
                children[way(group.hash(), depth)].insert(group, depth + 1);
                return;
            }
            Child::One(one) => std::slice::from_ref(one),
            Child::Bucket(groups) => groups,
        };
        let (Ok(at) | Err(at)) = position(groups, group.hash(), depth);
        let mut more = Vec::with_capacity(groups.len() + 1);
        more.extend_from_slice(&groups[..at]);
        more.push(group);
        more.extend_from_slice(&groups[at..]);
        *self = Child::build(more, depth);
    }

    fn remove(&mut self, hash: u32, depth: u32) {
        match self {
            Child::Empty | Child::One(_) => *self = Child::Empty,
            Child::Bucket(groups) => {
                let rest = groups.iter().filter(|group| group.hash() != hash);
                *self = Child::build(rest.cloned().collect(), depth);
            }
            Child::Node(children) => {
                let children = Arc::make_mut(children);
                children[way(hash, depth)].remove(hash, depth + 1);
                // Not as soon as they fit: a bucket on the edge would be split and joined by turns.
                if let Some(few) = Child::few(children, BUCKET / 2) {
                    *self = Child::build(few, depth);
                }
            }
        }
    }

    /// The groups of children, if they are at most `most`.
    fn few(children: &[Child<T>], most: usize) -> Option<Vec<Group<T>>> {
        let mut total = 0;
        for child in children {
            total += match child {
                Child::Empty => 0,
                Child::One(_) => 1,
                Child::Bucket(groups) => groups.len(),
                Child::Node(_) => return None,
            };
        }
        if total > most {
            return None;
        }
        let groups = children.iter().flat_map(|child| match child {
            Child::One(one) => std::slice::from_ref(one),
            Child::Bucket(groups) => groups,
            Child::Empty | Child::Node(_) => &[],
        });
        Some(groups.cloned().collect())
    }
}

/// Which child of a node at `depth` a hash belongs to.
fn way(hash: u32, depth: u32) -> usize {
    ((hash << (BITS * depth)) >> (u32::BITS - BITS)) as usize
}

/// Where in a bucket at `depth` a hash is, or would be.
fn position<T>(groups: &[Group<T>], hash: u32, depth: u32) -> Result<usize, usize> {
    // Evenly spread hashes are about where their value says.
    let share = u64::from(hash << (BITS * depth));
    let mut at = ((share * groups.len() as u64) >> u32::BITS) as usize;
    while at < groups.len() && groups[at].hash() < hash {
        at += 1;
    }
    while at > 0 && groups[at - 1].hash() >= hash {
        at -= 1;
    }
    match groups.get(at) {
        Some(group) if group.hash() == hash => Ok(at),
        _ => Err(at),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::router::order::{Route, RouteOrder};
    use crate::rules::{Syntax, parse};

    fn route() -> Arc<Route<()>> {
        Arc::new(Route {
            rule: parse("Method(`GET`)", Syntax::V3).unwrap(),
            value: (),
            order: RouteOrder {
                priority: 0,
                provider_rank: 0,
                name: "r".into(),
            },
        })
    }

    /// Hashes that differ early, late, and in the last bits only, where a trie runs out of them.
    fn any_hash() -> impl Strategy<Value = u32> {
        prop_oneof![
            any::<u32>(),
            0..200u32,
            (0..200u32).prop_map(|n| n << 20),
            (0..40u32).prop_map(|n| u32::MAX - n),
        ]
    }

    fn holds(map: &HostMap<()>, model: &BTreeSet<u32>, asked: &[u32]) -> Result<(), TestCaseError> {
        prop_assert_eq!(map.len(), model.len());
        for hash in asked {
            let found = map.get(*hash).map(Group::hash);
            prop_assert_eq!(found, model.get(hash).copied());
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn it_holds_what_a_set_holds(changes in prop::collection::vec(any_hash(), 1..1500)) {
            let route = route();
            let mut map = HostMap::default();
            let mut model = BTreeSet::new();
            let mut old = None;
            for (i, &hash) in changes.iter().enumerate() {
                if i == changes.len() / 2 {
                    old = Some((map.clone(), model.clone()));
                }
                // The second time a hash comes it goes.
                if model.insert(hash) {
                    prop_assert!(map.get_mut(hash).is_none());
                    map.insert(Group::One(hash, route.clone()));
                } else {
                    prop_assert!(map.get_mut(hash).is_some());
                    map.remove(hash);
                    model.remove(&hash);
                }
            }
            holds(&map, &model, &changes)?;
            let (old, old_model) = old.unwrap();
            holds(&old, &old_model, &changes)?;
            let built: HostMap<()> = model.iter().map(|&hash| Group::One(hash, route.clone())).collect();
            holds(&built, &model, &changes)?;
            for hash in model {
                map.remove(hash);
            }
            prop_assert!(map.is_empty() && matches!(map.root, Child::Empty));
        }
    }

    #[test]
    fn a_group_fits_in_two_words() {
        assert_eq!(size_of::<Group<()>>(), 16);
        assert_eq!(size_of::<Child<()>>(), 24);
    }
}
