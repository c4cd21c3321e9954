//! Pairs by what they declare: an object, or a part of a Traefik 1 tree.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use hashbrown::HashTable;
use rustc_hash::FxHasher;

use super::pairs::{Pairs, Writer};
use crate::config::dynamic::Kind;
use crate::config::kv::{Former, Place, eq_fold, folded, object_name};

/// What kind of thing pairs declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// An object.
    Object(Kind),
    /// A part of a Traefik 1 tree.
    Former(Former),
}

impl Group {
    /// Whether it alone makes a tree one of its layout.
    pub const fn makes_layout(self) -> bool {
        match self {
            Self::Object(_) => true,
            Self::Former(former) => matches!(former, Former::Frontend | Former::Backend),
        }
    }
}

/// Which object, or which part of a tree: names that differ in case only are one.
pub struct Id<'k> {
    group: Group,
    name: Cow<'k, str>,
    hash: u64,
}

impl<'k> Id<'k> {
    /// What a place belongs to, if to anything.
    pub fn of(place: Place<'k>) -> Option<Self> {
        let (group, name) = match place {
            Place::Object(kind, name) => (Group::Object(kind), object_name(name)),
            Place::Former(former, name) => (Group::Former(former), Cow::Borrowed(name)),
            Place::Nowhere(_) => return None,
        };
        let mut hasher = FxHasher::default();
        match group {
            Group::Object(kind) => hasher.write_u32(kind as u32),
            Group::Former(former) => hasher.write_u32(0x100 | former as u32),
        }
        folded(&name).for_each(|c| c.hash(&mut hasher));
        let hash = hasher.finish();
        Some(Self { group, name, hash })
    }

    /// What a key of a unit belongs to.
    ///
    /// # Panics
    /// It belongs to none.
    pub fn of_key(key: &'k [u8]) -> Self {
        Self::of(Place::of(key)).expect("a key that was sorted into a unit")
    }

    /// What kind of thing it is.
    pub const fn group(&self) -> Group {
        self.group
    }

    /// Equal for the same object.
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether the other is the same object.
    pub fn is(&self, other: &Id<'_>) -> bool {
        self.hash == other.hash && self.group == other.group && eq_fold(&self.name, &other.name)
    }
}

impl PartialEq for Id<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.is(other)
    }
}

impl Eq for Id<'_> {}

impl Hash for Id<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// What declares one object.
#[derive(Debug)]
pub struct Unit {
    /// Its pairs.
    pub pairs: Pairs,
    /// The last listing in which it stood as it is.
    pub listing: u32,
}

impl Unit {
    /// Which object.
    pub fn id(&self) -> Id<'_> {
        Id::of_key(self.pairs.first_key())
    }

    fn hash(&self) -> u64 {
        self.id().hash
    }
}

/// Units by what they declare.
#[derive(Debug, Default)]
pub struct Units(HashTable<Unit>);

impl Units {
    /// The pairs of an object.
    pub fn get(&self, id: &Id<'_>) -> Option<&Unit> {
        self.0.find(id.hash, |unit| unit.id().is(id))
    }

    /// The same, to change what is noted about it.
    pub fn get_mut(&mut self, id: &Id<'_>) -> Option<&mut Unit> {
        self.0.find_mut(id.hash, |unit| unit.id().is(id))
    }

    /// The unit of an object with this hash that has exactly the pairs written.
    pub fn same(&mut self, hash: u64, pairs: &Writer) -> Option<&mut Unit> {
        self.0.find_mut(hash, |unit| unit.pairs.are(pairs))
    }

    /// Whether there may be an object with this hash. If not, there is none.
    pub fn may_have(&self, hash: u64) -> bool {
        !self.0.is_empty() && self.0.find(hash, |unit| unit.hash() == hash).is_some()
    }

    /// Puts pairs into the place of those of the same object.
    pub fn set(&mut self, pairs: Pairs, listing: u32) {
        let unit = Unit { pairs, listing };
        let hash = unit.hash();
        let id = unit.id();
        if let Some(known) = self.0.find_mut(hash, |known| known.id().is(&id)) {
            *known = unit;
        } else {
            self.0.insert_unique(hash, unit, Unit::hash);
        }
    }

    /// Removes an object's pairs, if there are any.
    pub fn remove(&mut self, id: &Id<'_>) {
        if let Ok(found) = self.0.find_entry(id.hash, |unit| unit.id().is(id)) {
            found.remove();
        }
    }

    /// All units, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Unit> {
        self.0.iter()
    }

    /// All units, in no order; none is left.
    pub fn into_pairs(self) -> impl Iterator<Item = Pairs> {
        self.0.into_iter().map(|unit| unit.pairs)
    }

    /// Gives back what a large deletion left unused.
    pub fn shrink(&mut self) {
        if self.0.capacity() > 4 * self.0.len() {
            self.0.shrink_to_fit(Unit::hash);
        }
    }

    /// The bytes of the table and of all pairs.
    pub fn allocated(&self) -> usize {
        let pairs: usize = self.0.iter().map(|unit| unit.pairs.allocated()).sum();
        self.0.allocation_size() + pairs
    }
}
