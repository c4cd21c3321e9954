//! A persistent set of statuses, found by kind and qualified name.
//!
//! The statuses hold their names themselves, so that a place in the set is one pointer: with 100,000 objects a
//! map from names takes 5 MiB more.

use std::cmp::Ordering;
use std::sync::Arc;

use equivalent::{Comparable, Equivalent};
use imbl::OrdSet;

use super::status::ObjectStatus;
use crate::config::dynamic::Kind;

/// Statuses in the order of kinds and names. A clone is O(1) and shares all; a change copies a path, O(log n).
#[derive(Clone, Debug, Default)]
pub struct ObjectStatuses(OrdSet<Listed>);

/// Ordered by its object's kind and name.
#[derive(Clone, Debug)]
struct Listed(Arc<ObjectStatus>);

/// What to look for.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a>(Kind, &'a str);

impl ObjectStatuses {
    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An object by kind and qualified name.
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Arc<ObjectStatus>> {
        self.0.get(&Key(kind, name)).map(|listed| &listed.0)
    }

    /// Every object, by kind and qualified name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ObjectStatus>> {
        self.0.iter().map(|listed| &listed.0)
    }

    /// Every object of a kind, by qualified name.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Arc<ObjectStatus>> {
        let objects = self.0.range(Key(kind, "")..).map(|listed| &listed.0);
        objects.take_while(move |object| object.kind == kind)
    }

    /// Adds an object; returns the one of this kind and name that it replaces.
    pub(super) fn insert(&mut self, object: Arc<ObjectStatus>) -> Option<Arc<ObjectStatus>> {
        self.0.insert(Listed(object)).map(|listed| listed.0)
    }

    /// Takes an object away.
    pub(super) fn remove(&mut self, kind: Kind, name: &str) -> Option<Arc<ObjectStatus>> {
        self.0.remove(&Key(kind, name)).map(|listed| listed.0)
    }
}

impl Listed {
    fn key(&self) -> Key<'_> {
        Key(self.0.kind, &self.0.name)
    }
}

impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Listed {}

impl PartialOrd for Listed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Listed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Equivalent<Listed> for Key<'_> {
    fn equivalent(&self, listed: &Listed) -> bool {
        *self == listed.key()
    }
}

impl Comparable<Listed> for Key<'_> {
    fn compare(&self, listed: &Listed) -> Ordering {
        self.cmp(&listed.key())
    }
}
