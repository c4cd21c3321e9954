//! A vector of reusable slots with generations: keys stay small, and a key that has outlived its
//! value finds nothing instead of its successor. Grows by pages, so that growing never copies what is
//! there (a shard with 100,000 connections would stall) and never holds twice the memory. Not for:
//! iteration in insertion order.

/// Slots per page, as a power of two.
const PAGE_BITS: u32 = 8;
const PAGE: usize = 1 << PAGE_BITS;

/// Names one value in a [`Slab`]. The generation grows each time that the slot is reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) index: u32,
    pub(super) generation: u32,
}

enum Slot<T> {
    Used(T),
    /// The next free slot, or `u32::MAX`.
    Free(u32),
}

struct Entry<T> {
    generation: u32,
    slot: Slot<T>,
}

/// Values in reusable slots. The slot freed last is reused first, since it is in the cache.
pub(super) struct Slab<T> {
    /// All pages but the last are full.
    pages: Vec<Vec<Entry<T>>>,
    free: u32,
    len: usize,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Slab {
            pages: Vec::new(),
            free: u32::MAX,
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn entry(&self, index: u32) -> Option<&Entry<T>> {
        let page = self.pages.get((index >> PAGE_BITS) as usize)?;
        page.get(index as usize & (PAGE - 1))
    }

    #[inline]
    fn entry_mut(&mut self, index: u32) -> Option<&mut Entry<T>> {
        let page = self.pages.get_mut((index >> PAGE_BITS) as usize)?;
        page.get_mut(index as usize & (PAGE - 1))
    }

    /// A slot that was never used before.
    fn append(&mut self, value: T) -> Key {
        if self.pages.last().is_none_or(|page| page.len() == PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        let full = (self.pages.len() - 1) << PAGE_BITS;
        let page = self.pages.last_mut().expect("pushed if there was none");
        let index = u32::try_from(full + page.len()).expect("fewer than 2^32 slots");
        page.push(Entry {
            generation: 0,
            slot: Slot::Used(value),
        });
        Key {
            index,
            generation: 0,
        }
    }

    pub(super) fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        let index = self.free;
        let Some(entry) = self.entry_mut(index) else {
            return self.append(value);
        };
        let Slot::Free(next) = entry.slot else {
            unreachable!("a slot in the free list is free")
        };
        entry.slot = Slot::Used(value);
        let generation = entry.generation;
        self.free = next;
        Key { index, generation }
    }

    #[inline]
    pub(super) fn get(&self, key: Key) -> Option<&T> {
        match self.entry(key.index) {
            Some(Entry {
                generation,
                slot: Slot::Used(value),
            }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.entry_mut(key.index) {
            Some(Entry {
                generation,
                slot: Slot::Used(value),
            }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The full key of the used slot `index`, if the low bits of its generation are `low_bits`.
    #[inline]
    pub(super) fn key_at(&self, index: u32, low_bits: u32, mask: u32) -> Option<Key> {
        match self.entry(index) {
            Some(Entry {
                generation,
                slot: Slot::Used(_),
            }) if generation & mask == low_bits => Some(Key {
                index,
                generation: *generation,
            }),
            _ => None,
        }
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let free = self.free;
        let entry = self.entry_mut(key.index)?;
        if entry.generation != key.generation || matches!(entry.slot, Slot::Free(_)) {
            return None;
        }
        entry.generation = entry.generation.wrapping_add(1);
        let Slot::Used(value) = std::mem::replace(&mut entry.slot, Slot::Free(free)) else {
            unreachable!("checked to be used")
        };
        self.free = key.index;
        self.len -= 1;
        Some(value)
    }

    /// The keys and values of all used slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        let entries = self.pages.iter().flatten().enumerate();
        entries.filter_map(|(index, entry)| match &entry.slot {
            Slot::Used(value) => Some((
                Key {
                    index: index as u32,
                    generation: entry.generation,
                },
                value,
            )),
            Slot::Free(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_does_not_find_the_successor_in_its_slot() {
        let mut slab = Slab::new();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(first.index, second.index, "the slot is reused");
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get_mut(second), Some(&mut "second"));
        assert_eq!(
            slab.key_at(second.index, second.generation & 0xff, 0xff),
            Some(second)
        );
        assert_eq!(
            slab.key_at(second.index, first.generation & 0xff, 0xff),
            None
        );
    }

    #[test]
    fn slots_are_reused_before_the_slab_grows() {
        let mut slab = Slab::new();
        let keys: Vec<_> = (0..1000).map(|n| slab.insert(n)).collect();
        assert!(
            keys.iter()
                .zip(0..)
                .all(|(&key, n)| slab.get(key) == Some(&n))
        );
        for key in &keys[250..260] {
            slab.remove(*key);
        }
        for n in 0..10 {
            slab.insert(n);
        }
        let slots: usize = slab.pages.iter().map(Vec::len).sum();
        assert_eq!((slab.len(), slots, slab.iter().count()), (1000, 1000, 1000));
    }
}
