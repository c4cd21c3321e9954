//! A hierarchical timer wheel with ticks of 10 ms: inserting, moving and removing are O(1), and
//! finding the next expiry looks at one bitmap per level. Not for: precision below a tick.
//!
//! ```text
//! level 0: 64 slots × 10 ms │ level 1: 64 × 640 ms │ level 2: 64 × 41 s │ level 3: 64 × 44 min
//! ```
//! An entry of a higher level moves down when its slot is reached, so that entries far in the
//! future cost nothing in the meantime. Later than 46 hours: it is parked in the last slot and
//! re-inserted from there.

use super::instant::Instant;
use super::slab::Key;

/// Length of a tick in nanoseconds.
const TICK: u64 = 10_000_000;
const LEVELS: usize = 4;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const NIL: u32 = u32::MAX;

/// Whom a timer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Connection(Key),
    Sleep(Key),
    Listener(Key),
}

/// Names an entry of the wheel. Its owner removes it, or learns that it fired; never both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimerId(u32);

struct Node {
    owner: Owner,
    tick: u64,
    prev: u32,
    next: u32,
    /// Level and slot that hold it; `u16::MAX` while free.
    place: u16,
}

/// See the module's text.
pub(super) struct Wheel {
    nodes: Vec<Node>,
    free: u32,
    heads: [[u32; SLOTS]; LEVELS],
    occupied: [u64; LEVELS],
    /// Every entry up to and including this tick has fired.
    current: u64,
    len: usize,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Wheel {
            nodes: Vec::new(),
            free: NIL,
            heads: [[NIL; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            current: 0,
            len: 0,
        }
    }

    /// Armed timers.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Arms a timer; it fires at or up to a tick after `at`, never before it.
    pub(super) fn insert(&mut self, at: Instant, owner: Owner) -> TimerId {
        let node = Node {
            owner,
            tick: self.tick_of(at),
            prev: NIL,
            next: NIL,
            place: u16::MAX,
        };
        let id = self.free;
        let id = match self.nodes.get_mut(id as usize) {
            Some(slot) => {
                self.free = slot.next;
                *slot = node;
                id
            }
            None => {
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 timers")
            }
        };
        self.len += 1;
        self.link(id);
        TimerId(id)
    }

    /// Takes a timer out that has not fired.
    pub(super) fn remove(&mut self, id: TimerId) {
        self.unlink(id.0);
        self.release(id.0);
    }

    /// Moves a timer to an earlier time; keeps it where it is if `at` is not earlier.
    pub(super) fn advance_to(&mut self, id: TimerId, at: Instant) {
        let tick = self.tick_of(at);
        if tick < self.nodes[id.0 as usize].tick {
            self.unlink(id.0);
            self.nodes[id.0 as usize].tick = tick;
            self.link(id.0);
        }
    }

    /// Removes every entry that is due at `now` and appends its owner to `fired`.
    pub(super) fn expire(&mut self, now: Instant, fired: &mut Vec<Owner>) {
        let target = now.as_nanos() / TICK;
        while self.current < target {
            let Some(next) = self.next_tick() else {
                self.current = target;
                return;
            };
            if next > target {
                self.current = target;
                return;
            }
            self.current = next;
            self.step(fired);
        }
    }

    /// When [`Wheel::expire`] must be called next; `None` if no timer is armed.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.next_tick()
            .map(|tick| Instant::from_nanos(tick.saturating_mul(TICK)))
    }

    /// The tick at which something fires or moves down a level.
    fn next_tick(&self) -> Option<u64> {
        let mut best: Option<u64> = None;
        for level in 0..LEVELS {
            let occupied = self.occupied[level];
            if occupied == 0 {
                continue;
            }
            let shift = SLOT_BITS * level as u32;
            let position = self.current >> shift;
            let here = (position & (SLOTS as u64 - 1)) as u32;
            // Slots after the present one, in the order in which they are reached.
            let ahead = occupied.rotate_right((here + 1) % SLOTS as u32);
            let distance = u64::from(ahead.trailing_zeros()) + 1;
            let tick = (position + distance) << shift;
            best = Some(best.map_or(tick, |b| b.min(tick)));
        }
        best
    }

    /// Handles the slots that `current` has just reached: higher levels first, since their
    /// entries may belong to this very tick.
    fn step(&mut self, fired: &mut Vec<Owner>) {
        for level in (1..LEVELS).rev() {
            let shift = SLOT_BITS * level as u32;
            if self.current & ((1 << shift) - 1) == 0 {
                let slot = ((self.current >> shift) & (SLOTS as u64 - 1)) as usize;
                let mut id = self.empty_slot(level, slot);
                while id != NIL {
                    let next = self.nodes[id as usize].next;
                    if self.nodes[id as usize].tick <= self.current {
                        fired.push(self.nodes[id as usize].owner);
                        self.release(id);
                    } else {
                        self.link(id);
                    }
                    id = next;
                }
            }
        }
        let slot = (self.current & (SLOTS as u64 - 1)) as usize;
        let mut id = self.empty_slot(0, slot);
        while id != NIL {
            let next = self.nodes[id as usize].next;
            debug_assert_eq!(self.nodes[id as usize].tick, self.current);
            fired.push(self.nodes[id as usize].owner);
            self.release(id);
            id = next;
        }
    }

    /// Takes a whole slot's list.
    fn empty_slot(&mut self, level: usize, slot: usize) -> u32 {
        self.occupied[level] &= !(1 << slot);
        std::mem::replace(&mut self.heads[level][slot], NIL)
    }

    /// The first tick at or after `at`, and after the present one.
    fn tick_of(&self, at: Instant) -> u64 {
        at.as_nanos().div_ceil(TICK).max(self.current + 1)
    }

    fn link(&mut self, id: u32) {
        let tick = self.nodes[id as usize].tick;
        // The level at which the entry's slot differs from the present one by less than a turn.
        let delta = tick - self.current;
        let level = (delta.ilog2() / SLOT_BITS).min(LEVELS as u32 - 1) as usize;
        let shift = SLOT_BITS * level as u32;
        let furthest = (self.current >> shift) + SLOTS as u64 - 1;
        let slot = ((tick >> shift).min(furthest) & (SLOTS as u64 - 1)) as usize;
        let head = self.heads[level][slot];
        if head != NIL {
            self.nodes[head as usize].prev = id;
        }
        self.heads[level][slot] = id;
        self.occupied[level] |= 1 << slot;
        let node = &mut self.nodes[id as usize];
        node.prev = NIL;
        node.next = head;
        node.place = (level * SLOTS + slot) as u16;
    }

    fn unlink(&mut self, id: u32) {
        let Node {
            prev, next, place, ..
        } = self.nodes[id as usize];
        assert_ne!(
            place,
            u16::MAX,
            "a timer is removed once, and not after it fired"
        );
        let (level, slot) = (place as usize / SLOTS, place as usize % SLOTS);
        match prev {
            NIL => self.heads[level][slot] = next,
            prev => self.nodes[prev as usize].next = next,
        }
        if next != NIL {
            self.nodes[next as usize].prev = prev;
        }
        if self.heads[level][slot] == NIL {
            self.occupied[level] &= !(1 << slot);
        }
    }

    fn release(&mut self, id: u32) {
        let node = &mut self.nodes[id as usize];
        node.next = self.free;
        node.place = u16::MAX;
        self.free = id;
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn sleeper(n: u32) -> Owner {
        Owner::Sleep(Key {
            index: n,
            generation: 0,
        })
    }

    /// Lets the wheel run as the reactor does: from expiry to expiry.
    fn run_to(wheel: &mut Wheel, end: Instant) -> Vec<(Instant, Owner)> {
        let mut all = Vec::new();
        while let Some(next) = wheel.next_expiry().filter(|&next| next <= end) {
            let mut fired = Vec::new();
            wheel.expire(next, &mut fired);
            all.extend(fired.into_iter().map(|owner| (next, owner)));
        }
        let mut fired = Vec::new();
        wheel.expire(end, &mut fired);
        assert!(fired.is_empty(), "next_expiry named every expiry");
        all
    }

    #[test]
    fn timers_fire_within_a_tick_after_their_time_in_order() {
        let mut wheel = Wheel::new();
        let mut seed = 7u64;
        let mut expected = Vec::new();
        for n in 0..2000 {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let magnitude = 1u64 << (20 + (seed >> 58) % 28);
            let at = Instant::from_nanos(seed % magnitude);
            wheel.insert(at, sleeper(n));
            expected.push((at, n));
        }
        let fired = run_to(&mut wheel, Instant::from_nanos(1 << 50));
        assert_eq!(fired.len(), expected.len());
        assert!(fired.is_sorted_by_key(|(at, _)| *at));
        for (at, owner) in fired {
            let Owner::Sleep(key) = owner else { panic!() };
            let wanted = expected[key.index as usize].0;
            assert!(
                at >= wanted && at - wanted <= Duration::from_millis(10),
                "{at:?} for {wanted:?}"
            );
        }
        assert_eq!((wheel.len(), wheel.next_expiry()), (0, None));
    }

    #[test]
    fn removed_and_moved_timers_behave() {
        let mut wheel = Wheel::new();
        let second = Instant::ZERO + Duration::from_secs(1);
        let hour = Instant::ZERO + Duration::from_secs(3600);
        let gone = wheel.insert(second, sleeper(1));
        let moved = wheel.insert(hour, sleeper(2));
        wheel.insert(hour, sleeper(3));
        wheel.remove(gone);
        wheel.advance_to(moved, second);
        wheel.advance_to(moved, hour);
        let fired = run_to(&mut wheel, hour + Duration::from_secs(1));
        assert_eq!(fired, [(second, sleeper(2)), (hour, sleeper(3))]);
    }

    #[test]
    fn a_late_call_fires_everything_that_is_due() {
        let mut wheel = Wheel::new();
        for n in 0..100 {
            wheel.insert(
                Instant::ZERO + Duration::from_millis(n * 37),
                sleeper(n as u32),
            );
        }
        let mut fired = Vec::new();
        wheel.expire(Instant::ZERO + Duration::from_secs(10), &mut fired);
        assert_eq!(fired.len(), 100);
        wheel.insert(Instant::ZERO, sleeper(0));
        wheel.expire(Instant::ZERO + Duration::from_millis(10_010), &mut fired);
        assert_eq!(
            fired.len(),
            101,
            "a time in the past fires at the next tick"
        );
    }

    #[test]
    fn entries_are_reused() {
        let mut wheel = Wheel::new();
        for _ in 0..1000 {
            let id = wheel.insert(Instant::ZERO + Duration::from_secs(60), sleeper(0));
            wheel.remove(id);
        }
        assert_eq!(wheel.nodes.len(), 1);
    }
}
