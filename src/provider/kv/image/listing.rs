//! A listing of everything, page by page, compared with the image as it comes.

use rustc_hash::FxHashMap;

use super::pairs::{Pairs, Size, Writer, merged};
use super::units::{Group, Id, Unit, Units};
use super::{Fate, Image, OwnedPair, Strays, Tally, TooLarge, borrowed, in_order, owned};
use crate::config::kv::{Content, Former, prefix_of_object};
use crate::watcher::Objects;

/// A listing that is under way. Dropped before [`Listing::finish`], it changes nothing.
///
/// Pages may come in any order. Keys in ascending order cost least: then only units that differ from the image's take
/// memory. A key may come twice; the later value counts.
pub struct Listing<'i> {
    image: &'i mut Image,
    /// The units that are otherwise than in the image. Those that are not bear the listing's number there.
    changed: Units,
    strays: Strays,
    tally: Tally,
    /// The unit whose pairs are coming.
    run: Run,
    last_key: Vec<u8>,
    /// Pairs that came after greater keys.
    late: Vec<OwnedPair>,
    late_size: Size,
    failure: Option<TooLarge>,
    has_objects: bool,
}

/// The pairs of one unit that have come in a row.
struct Run {
    pairs: Writer,
    /// The first key; empty before it.
    key: Vec<u8>,
    /// How keys begin that need no second look to belong here; empty if that is not known.
    prefix: Vec<u8>,
    group: Group,
    hash: u64,
}

impl Run {
    fn new() -> Self {
        Self {
            pairs: Writer::default(),
            key: Vec::new(),
            prefix: Vec::new(),
            group: Group::Former(Former::Tls),
            hash: 0,
        }
    }

    fn begin(&mut self, key: &[u8], id: &Id<'_>) {
        self.key.extend_from_slice(key);
        (self.group, self.hash) = (id.group(), id.hash());
    }

    /// Notes how keys of the unit begin that is spelt as in `key`.
    fn note_prefix(&mut self, key: &[u8]) {
        self.prefix.clear();
        if let (Group::Object(_), Some(prefix)) = (self.group, prefix_of_object(key)) {
            self.prefix.extend_from_slice(prefix);
        }
    }

    fn has(&self, key: &[u8]) -> bool {
        !self.prefix.is_empty() && key.starts_with(&self.prefix)
    }

    fn clear(&mut self) {
        self.pairs.clear();
        self.key.clear();
        self.prefix.clear();
    }
}

impl<'i> Listing<'i> {
    pub(super) fn new(image: &'i mut Image) -> Self {
        image.listings += 1;
        Self {
            image,
            changed: Units::default(),
            strays: Strays::default(),
            tally: Tally::default(),
            run: Run::new(),
            last_key: Vec::new(),
            late: Vec::new(),
            late_size: Size::default(),
            failure: None,
            has_objects: false,
        }
    }

    /// Takes pairs in; keys are relative to the root.
    pub fn page<K, V>(&mut self, pairs: impl IntoIterator<Item = (K, V)>)
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        for (key, value) in pairs {
            if self.failure.is_none() {
                self.pair(key.as_ref(), value.as_ref());
            }
        }
    }

    /// Whether no key so far belongs to an object, so that the tree counts as missing.
    pub const fn is_empty(&self) -> bool {
        !self.has_objects
    }

    /// Puts what was listed into force. Returns the objects that are otherwise than before.
    ///
    /// # Errors
    /// There are too many pairs. The image stays as it was.
    pub fn finish(mut self) -> Result<Objects, TooLarge> {
        self.flush();
        self.merge_late();
        self.check();
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let is_gone = |unit: &&Unit| {
            unit.listing != self.image.listings && self.changed.get(&unit.id()).is_none()
        };
        let gone = self.image.units.iter().filter(is_gone);
        let gone = gone.map(|unit| Fate::Gone(unit.pairs.first_key().into()));
        let mut fates: Vec<_> = gone.collect();
        fates.extend(self.changed.into_pairs().map(Fate::Set));
        self.image.strays = self.strays;
        self.image.problems_version += 1;
        Ok(self.image.install(fates, self.tally))
    }

    fn pair(&mut self, key: &[u8], value: &[u8]) {
        let is_next = key > &self.last_key[..];
        if is_next && self.run.has(key) && key.len() <= self.image.limits.key_bytes {
            self.push(key, self.image.limits.content(value));
            return;
        }
        let id = match self.image.limits.sort(key) {
            Ok(id) => id,
            Err((key, why)) => {
                let size = Size::of(&key, Content::Bytes(b""));
                if self.strays.insert(key, (why, !value.is_empty())).is_none() {
                    self.tally.size.add(size);
                    self.check();
                }
                return;
            }
        };
        self.has_objects |= id.group().makes_layout();
        let content = self.image.limits.content(value);
        if !is_next {
            self.late_size.add(Size::of(key, content));
            self.late.push(owned(key, content));
            self.check();
            return;
        }
        if self.run.key.is_empty() || !Id::of_key(&self.run.key).is(&id) {
            self.flush();
            self.run.begin(key, &id);
        }
        self.run.note_prefix(key);
        self.push(key, content);
    }

    fn push(&mut self, key: &[u8], content: Content<'_>) {
        self.run.pairs.push(key, content);
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
    }

    /// Takes in the unit whose pairs have come.
    fn flush(&mut self) {
        if self.is_run_as_before() {
            self.tally.add(self.run.group, self.run.pairs.size());
        } else if let Some(pairs) = self.run.pairs.finish() {
            // A unit comes again if its name is spelt in two ways.
            let known = self.known(&Id::of_key(pairs.first_key()));
            let known = known.map(|known| {
                known.read(|known| {
                    pairs.read(|new| {
                        let new = new.iter().map(|pair| (pair.key, Some(pair.value)));
                        merged(known, &new.collect::<Vec<_>>())
                    })
                })
            });
            self.take(known.flatten().unwrap_or(pairs));
        }
        self.run.clear();
        self.check();
    }

    /// Whether the image has exactly these pairs for a unit that has not come before, which is then noted. Nearly all
    /// units of nearly all listings are such: nothing is allocated for them and no name is read.
    fn is_run_as_before(&mut self) -> bool {
        let listing = self.image.listings;
        if self.changed.may_have(self.run.hash) {
            return false;
        }
        let same = self.image.units.same(self.run.hash, &self.run.pairs);
        let Some(unit) = same.filter(|unit| unit.listing != listing) else {
            return false;
        };
        unit.listing = listing;
        true
    }

    fn merge_late(&mut self) {
        let late = in_order(std::mem::take(&mut self.late));
        self.late_size = Size::default();
        let mut by_unit: FxHashMap<Id<'_>, Vec<_>> = FxHashMap::default();
        for pair in late.iter().map(borrowed) {
            let changes = by_unit.entry(Id::of_key(pair.key)).or_default();
            changes.push((pair.key, Some(pair.value)));
        }
        for (id, changes) in by_unit {
            let pairs = match self.known(&id) {
                Some(known) => known.read(|known| merged(known, &changes)),
                None => merged(&[], &changes),
            };
            self.take(pairs.expect("pairs that were added"));
        }
    }

    /// What has been listed of a unit so far.
    fn known(&self, id: &Id<'_>) -> Option<&Pairs> {
        let same = || {
            let unit = self.image.units.get(id)?;
            (unit.listing == self.image.listings).then_some(unit)
        };
        self.changed.get(id).or_else(same).map(|unit| &unit.pairs)
    }

    /// Takes in what a unit comes to.
    fn take(&mut self, pairs: Pairs) {
        let id = Id::of_key(pairs.first_key());
        if let Some(known) = self.known(&id) {
            let size = known.size();
            self.tally.remove(id.group(), size);
        }
        self.tally.add(id.group(), pairs.size());
        let listing = self.image.listings;
        let old = self.image.units.get_mut(&id);
        let is_same = old.as_ref().is_some_and(|old| old.pairs == pairs);
        if let Some(old) = old {
            old.listing = if is_same { listing } else { listing - 1 };
        }
        if is_same {
            self.changed.remove(&id);
        } else {
            drop(id);
            self.changed.set(pairs, listing);
        }
    }

    fn check(&mut self) {
        let mut size = self.tally.size;
        size.add(self.late_size);
        if let Err(failure) = self.image.limits.check(size) {
            self.failure = Some(failure);
            self.changed = Units::default();
            self.late = Vec::new();
            self.strays = Strays::default();
        }
    }
}
