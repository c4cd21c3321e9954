//! The pairs under one root, by what they declare, and what a change of them changes in the configuration.
//!
//! ```text
//!  listing ──► pairs ──► units that differ ─┐
//!                                           ├──► decoded before and after ──► Objects (only what differs)
//!  transaction ──► units it touches ────────┘
//! ```
//!
//! A unit is all pairs that declare one object, in one allocation (about 30 bytes beside keys' rest and values); the object
//! is decoded from it whenever it changes and not kept. A transaction costs what the units it touches cost, whatever else
//! there is. Two layouts are recognised: today's (`http/…`, `tcp/…`, `udp/…`, `tls/…`) and Traefik 1's (`frontends/…`,
//! `backends/…`, `tls/…`), whose whole tree is converted on each change. Where both are, today's counts.
//!
//! Not here: the store, roots and aliases (`session`), the rules of keys (`config::kv`), clocks.

mod certificates;
mod former;
mod listing;
mod pairs;
mod units;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;

pub use former::Convert;
pub use listing::Listing;

use crate::config::decode::ObjectError;
use crate::config::dynamic::{Kind, ObjectKey};
use crate::config::kv::{self, Content, Nowhere, Pair, Place};
use crate::config::tree::{ContentHash, Position};
use crate::config::v1::Context;
use crate::watcher::{Entry, Objects};
use certificates::Certificates;
use former::FormerTree;
use pairs::{Pairs, Size, merged};
use units::{Group, Id, Units};

/// What an image may grow to. What is beyond a limit on one pair rejects the pair's object; what is beyond one on all
/// pairs is refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most pairs.
    pub pairs: usize,
    /// Most bytes of all keys (relative to the root) and values together.
    pub bytes: usize,
    /// Most bytes of one key relative to the root. A longer key belongs to no object.
    pub key_bytes: usize,
    /// Most bytes of one value.
    pub value_bytes: usize,
}

impl Default for Limits {
    /// More than ten times what 100,000 routers with their services take, and values as etcd takes them by default.
    fn default() -> Self {
        Self {
            pairs: 10_000_000,
            bytes: 1 << 30,
            key_bytes: 4096,
            value_bytes: 2 << 20,
        }
    }
}

/// The pairs would be more than the image may hold; it stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// What they come to.
    size: Size,
    limits: Limits,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, limits } = self;
        write!(
            f,
            "the tree has {} keys and {} bytes or more, the limits are {} and {}: the last good state stays in force; \
             is the root key the right one?",
            size.pairs, size.bytes, limits.pairs, limits.bytes
        )
    }
}

impl std::error::Error for TooLarge {}

/// Which of Traefik's layouts a tree has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// It has no objects.
    Empty,
    /// `http/…`, `tcp/…`, `udp/…`, `tls/…`
    Today,
    /// `frontends/…`, `backends/…`: Traefik 1.
    Former,
}

/// The pairs under one root.
#[derive(Debug)]
pub struct Image {
    limits: Limits,
    units: Units,
    tally: Tally,
    strays: Strays,
    certificates: Certificates,
    former: FormerTree,
    /// How many listings have begun.
    listings: u32,
    /// Grows whenever what is wrong may have changed.
    problems_version: u64,
}

/// Keys that belong to no object, and whether they have a value.
type Strays = BTreeMap<Box<[u8]>, (Nowhere, bool)>;

/// What there is, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    size: Size,
    /// Units that are objects.
    objects: usize,
    /// Units of a Traefik 1 tree that today's layout does not have.
    telling: usize,
    /// Units of a Traefik 1 tree.
    former: usize,
}

impl Tally {
    fn add(&mut self, group: Group, size: Size) {
        self.size.add(size);
        *self.count(group) += 1;
        self.telling += usize::from(is_telling(group));
    }

    fn remove(&mut self, group: Group, size: Size) {
        self.size.remove(size);
        *self.count(group) -= 1;
        self.telling -= usize::from(is_telling(group));
    }

    const fn count(&mut self, group: Group) -> &mut usize {
        match group {
            Group::Object(_) => &mut self.objects,
            Group::Former(_) => &mut self.former,
        }
    }

    /// Whether keys of both layouts stand beside each other.
    const fn is_mixed(&self) -> bool {
        self.objects > 0 && self.telling > 0
    }

    const fn layout(&self) -> Layout {
        match self {
            Self { objects: 1.., .. } => Layout::Today,
            Self { telling: 1.., .. } => Layout::Former,
            _ => Layout::Empty,
        }
    }
}

const fn is_telling(group: Group) -> bool {
    matches!(group, Group::Former(_)) && group.makes_layout()
}

/// What becomes of a unit.
enum Fate {
    /// These are its pairs now.
    Set(Pairs),
    /// The unit of this key has none any more.
    Gone(Box<[u8]>),
}

impl Fate {
    fn id(&self) -> Id<'_> {
        Id::of_key(match self {
            Self::Set(pairs) => pairs.first_key(),
            Self::Gone(key) => key,
        })
    }

    const fn pairs(&self) -> Option<&Pairs> {
        match self {
            Self::Set(pairs) => Some(pairs),
            Self::Gone(_) => None,
        }
    }
}

impl Image {
    /// An image without pairs. `context` is what a Traefik 1 tree needs to know.
    pub fn new(limits: Limits, context: Arc<Context>) -> Self {
        Self::with_converter(limits, former::CONVERT, context)
    }

    /// An image that converts Traefik 1 trees so.
    pub fn with_converter(limits: Limits, convert: Convert, context: Arc<Context>) -> Self {
        Self {
            limits,
            units: Units::default(),
            tally: Tally::default(),
            strays: Strays::default(),
            certificates: Certificates::default(),
            former: FormerTree::new(convert, context),
            listings: 0,
            problems_version: 0,
        }
    }

    /// Begins a listing of everything. The image stays as it is until [`Listing::finish`].
    pub fn begin(&mut self) -> Listing<'_> {
        Listing::new(self)
    }

    /// Makes the changes of one transaction, all or none: keys relative to the root, a missing value is a deletion, the last
    /// change of a key counts. Returns the objects that are otherwise than before.
    ///
    /// # Errors
    /// There would be too many pairs. The image stays as it was and no longer shows the store: list it again.
    pub fn apply<K, V>(
        &mut self,
        changes: impl Iterator<Item = (K, Option<V>)>,
    ) -> Result<Objects, TooLarge>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let changes = in_order(changes.collect());
        let mut tally = self.tally;
        let mut strays = Vec::new();
        let mut by_unit: FxHashMap<Id<'_>, Vec<_>> = FxHashMap::default();
        for (key, value) in &changes {
            let key = key.as_ref();
            let value = value.as_ref().map(|value| value.as_ref());
            match self.limits.sort(key) {
                Ok(id) => {
                    let value = value.map(|value| self.limits.content(value));
                    by_unit.entry(id).or_default().push((key, value));
                }
                Err((key, why)) => {
                    let size = Size::of(&key, Content::Bytes(b""));
                    if self.strays.contains_key(&key) {
                        tally.size.remove(size);
                    }
                    if value.is_some() {
                        tally.size.add(size);
                    }
                    strays.push((key, value.map(|value| (why, !value.is_empty()))));
                }
            }
        }
        let mut fates = Vec::new();
        for (id, changes) in by_unit {
            let old = self.units.get(&id).map(|unit| &unit.pairs);
            let new = match old {
                Some(old) => old.read(|pairs| merged(pairs, &changes)),
                None => merged(&[], &changes),
            };
            if old == new.as_ref() {
                continue;
            }
            if let Some(old) = old {
                tally.remove(id.group(), old.size());
            }
            if let Some(new) = &new {
                tally.add(id.group(), new.size());
            }
            fates.push(match new {
                Some(new) => Fate::Set(new),
                None => Fate::Gone(changes[0].0.into()),
            });
        }
        self.limits.check(tally.size)?;
        self.problems_version += u64::from(!strays.is_empty());
        for (key, stray) in strays {
            match stray {
                Some(stray) => self.strays.insert(key, stray),
                None => self.strays.remove(&key),
            };
        }
        Ok(self.install(fates, tally))
    }

    /// Whether no key belongs to an object, so that the tree counts as missing.
    pub const fn is_empty(&self) -> bool {
        matches!(self.layout(), Layout::Empty)
    }

    /// Which layout the tree has.
    pub const fn layout(&self) -> Layout {
        self.tally.layout()
    }

    /// Gives every pair that belongs to an object to `read`, in no order. What is too long to be kept is left out.
    pub fn read(&self, mut read: impl FnMut(&[u8], &[u8])) {
        for unit in self.units.iter() {
            unit.pairs.read(|pairs| {
                for pair in pairs {
                    if let Content::Bytes(value) = pair.value {
                        read(pair.key, value);
                    }
                }
            });
        }
    }

    /// How many pairs there are.
    pub const fn len(&self) -> usize {
        self.tally.size.pairs
    }

    /// The bytes that the image takes, without what allocations round up to.
    pub fn allocated(&self) -> usize {
        self.units.allocated()
    }

    /// What is wrong with keys that belong to no object; the objects stand nevertheless. There may be as many as keys.
    pub fn problems(&self) -> impl Iterator<Item = ObjectError> {
        let mixed = self.tally.is_mixed().then(|| {
            let message = "keys of Traefik 1's layout (frontends, backends) stand beside today's (http, tcp, udp, tls) and \
                           are ignored; keep one layout under this root";
            ObjectError::new("frontends", Position::NONE, message)
        });
        let strays = self.strays.iter();
        let strays = strays.filter_map(|(key, (why, has_value))| why.problem(key, *has_value));
        let former = self.former.problems().iter().cloned();
        mixed.into_iter().chain(former).chain(strays)
    }

    /// How many [`Image::problems`] there are.
    pub fn problems_total(&self) -> usize {
        let strays = self.strays.values();
        let strays = strays.filter(|(why, has_value)| why.is_problem(*has_value));
        usize::from(self.tally.is_mixed()) + self.former.problems().len() + strays.count()
    }

    /// Grows whenever [`Image::problems`] may have changed.
    pub const fn problems_version(&self) -> u64 {
        self.problems_version
    }

    /// Puts changed units into force. `tally` is what there will be.
    fn install(&mut self, fates: Vec<Fate>, tally: Tally) -> Objects {
        let layout_before = self.layout();
        let mut is_former_touched = tally.layout() != layout_before;
        let (mut before, mut after) = (Objects::new(), Objects::new());
        let mut certificates = certificates::Changes::default();
        for fate in &fates {
            let id = fate.id();
            let old = self.units.get(&id).map(|unit| &unit.pairs);
            match id.group() {
                Group::Former(_) => is_former_touched = true,
                Group::Object(Kind::TlsCertificate) => certificates.note(old, fate.pairs()),
                Group::Object(kind) => {
                    before.extend(old.map(|old| declared(kind, old)));
                    after.extend(fate.pairs().map(|new| declared(kind, new)));
                }
            }
        }
        before.extend(self.certificates.of(&certificates, &self.units));
        for fate in fates {
            match fate {
                Fate::Set(pairs) => self.units.set(pairs, self.listings),
                Fate::Gone(key) => self.units.remove(&Id::of_key(&key)),
            }
        }
        self.units.shrink();
        let was_mixed = self.tally.is_mixed();
        self.tally = tally;
        let is_changed = is_former_touched || was_mixed != self.tally.is_mixed();
        self.problems_version += u64::from(is_changed);
        self.certificates.apply(&certificates);
        after.extend(self.certificates.of(&certificates, &self.units));
        if is_former_touched {
            let is_in_force = self.layout() == Layout::Former;
            let (old, new) = self.former.change(is_in_force.then_some(&self.units));
            before.extend(old);
            after.extend(new);
        }
        difference(before, after)
    }
}

impl Limits {
    /// What a key belongs to; one that belongs to nothing as it is kept, and why.
    fn sort<'k>(&self, key: &'k [u8]) -> Result<Id<'k>, (Box<[u8]>, Nowhere)> {
        /// How much of a key that is too long is kept.
        const SHOWN: usize = 128;
        if key.len() > self.key_bytes {
            let shown = String::from_utf8_lossy(&key[..SHOWN.min(key.len())]);
            let hash = ContentHash::of_text(0, &key.escape_ascii().to_string());
            let kept = format!("{shown}… ({} bytes, {hash})", key.len());
            return Err((kept.into_bytes().into(), Nowhere::TooLong));
        }
        match Place::of(key) {
            Place::Nowhere(why) => Err((key.into(), why)),
            place => Ok(Id::of(place).expect("a place that is somewhere")),
        }
    }

    const fn content<'v>(&self, value: &'v [u8]) -> Content<'v> {
        if value.len() > self.value_bytes {
            Content::TooLong(value.len())
        } else {
            Content::Bytes(value)
        }
    }

    const fn check(&self, size: Size) -> Result<(), TooLarge> {
        if size.pairs > self.pairs || size.bytes > self.bytes {
            return Err(TooLarge {
                size,
                limits: *self,
            });
        }
        Ok(())
    }
}

/// What an object's pairs declare.
fn declared(kind: Kind, pairs: &Pairs) -> (ObjectKey, Entry) {
    let (name, result) = pairs.read(kv::decode);
    let entry = match result {
        Ok(object) => Entry::Present(object),
        Err(errors) => Entry::Rejected(Arc::new(errors)),
    };
    (ObjectKey::new(kind, name), entry)
}

/// What is otherwise than before, with the objects that are gone.
fn difference(before: Objects, mut after: Objects) -> Objects {
    for (key, old) in before {
        match (after.get(&key), old) {
            (None, _) => {
                after.insert(key, Entry::Absent);
            }
            (Some(Entry::Present(new)), Entry::Present(old)) if *new == old => {
                after.remove(&key);
            }
            (Some(Entry::Rejected(new)), Entry::Rejected(old)) if *new == old => {
                after.remove(&key);
            }
            _ => {}
        }
    }
    after
}

/// A pair in memory of its own: the value, or how long it is if it is too long to be kept.
type OwnedPair = (Box<[u8]>, Result<Box<[u8]>, usize>);

fn owned(key: &[u8], value: Content<'_>) -> OwnedPair {
    let value = match value {
        Content::Bytes(value) => Ok(value.into()),
        Content::TooLong(bytes) => Err(bytes),
    };
    (key.into(), value)
}

fn borrowed((key, value): &OwnedPair) -> Pair<'_> {
    let value = match value {
        Ok(value) => Content::Bytes(value),
        Err(bytes) => Content::TooLong(*bytes),
    };
    Pair { key, value }
}

/// In the order of keys, each once: the last counts.
fn in_order<K: AsRef<[u8]>, V>(mut pairs: Vec<(K, V)>) -> Vec<(K, V)> {
    pairs.sort_by(|left, right| left.0.as_ref().cmp(right.0.as_ref()));
    pairs.reverse();
    pairs.dedup_by(|next, kept| next.0.as_ref() == kept.0.as_ref());
    pairs.reverse();
    pairs
}

#[cfg(test)]
mod tests;
