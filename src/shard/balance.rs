//! Keeping shards equally loaded. SO_REUSEPORT spreads connections by hash, which is uneven when they
//! are few; so a fresh connection moves to the lighter of two sampled shards when this one holds clearly
//! more. Only fresh connections move: they have no state yet.

use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use crossbeam_queue::ArrayQueue;

use crate::exchange::{Local, limit, tag_of};
use crate::io::{Accepted, Notifier, SharedGauge};

/// Most fresh connections on their way to one shard; a full queue means that the shard keeps its own.
pub const HANDOVER_QUEUE: usize = 256;

/// How often a fresh connection may move on: shards that accept at the same moment know each other's loads
/// a little late, and correct each other.
const MAX_HOPS: u32 = 3;

/// A fresh connection's tag holds its entry point in the low byte and its moves so far above.
const HOPS_SHIFT: u32 = 8;

/// Loads and queues of all shards.
pub struct Balance {
    seats: Box<[Shared]>,
}

/// One shard's part, on cache lines of its own: written by its shard, read by others.
#[repr(align(128))]
struct Shared {
    /// Downstream connections.
    load: Arc<SharedGauge>,
    /// Fresh connections from other shards.
    fresh: ArrayQueue<Accepted>,
    notifier: OnceLock<Notifier>,
}

/// A shard's own place in the balance.
pub(super) struct Seat {
    balance: Arc<Balance>,
    index: usize,
    local: Rc<Local>,
}

impl Balance {
    /// For so many shards.
    pub fn new(shards: usize) -> Arc<Self> {
        let seat = || Shared {
            load: Arc::default(),
            fresh: ArrayQueue::new(HANDOVER_QUEUE),
            notifier: OnceLock::new(),
        };
        Arc::new(Self {
            seats: std::iter::repeat_with(seat).take(shards).collect(),
        })
    }

    /// Downstream connections of a shard, those on their way to it included.
    pub fn load(&self, shard: usize) -> u32 {
        let seat = &self.seats[shard];
        // A queue holds at most HANDOVER_QUEUE.
        u32::try_from(seat.load.get()).unwrap_or(u32::MAX / 2) + seat.fresh.len() as u32
    }

    /// The shard that a fresh connection of `me` should move to, if any: the lighter of two others drawn
    /// by `random`, if `me` would hold over one and over a tenth more than it.
    fn lighter(&self, me: usize, mine: u32, random: u64) -> Option<usize> {
        let others = self.seats.len().checked_sub(1).filter(|&n| n > 0)?;
        let nth = |draw: u32| {
            let n = draw as usize % others;
            if n >= me { n + 1 } else { n }
        };
        let (a, b) = (nth(random as u32), nth((random >> 32) as u32));
        let lightest = if self.load(b) < self.load(a) { b } else { a };
        let theirs = self.load(lightest);
        (mine > theirs + 1 + theirs / 10).then_some(lightest)
    }
}

impl Seat {
    pub(super) fn take(balance: Arc<Balance>, index: usize, local: Rc<Local>) -> Self {
        let shared = &balance.seats[index];
        // A shard starts once; a second seat would be a bug of the caller.
        assert!(
            shared.notifier.set(local.io.notifier()).is_ok(),
            "shard {index} is taken"
        );
        local.io.publish_downstream_connections(shared.load.clone());
        Self {
            balance,
            index,
            local,
        }
    }

    /// Takes in the connections that other shards handed over.
    pub(super) fn adopt_fresh(&self) {
        while let Some(accepted) = self.shared().fresh.pop() {
            self.place(accepted);
        }
    }

    fn shared(&self) -> &Shared {
        &self.balance.seats[self.index]
    }

    /// Keeps a fresh connection or hands it to a lighter shard.
    fn place(&self, accepted: Accepted) {
        let (tag, hops) = (accepted.tag(), accepted.tag() >> HOPS_SHIFT);
        if hops >= MAX_HOPS {
            return self.admit(accepted);
        }
        let mine = self.local.io.downstream_connections() as u32 + 1;
        let Some(lighter) = self
            .balance
            .lighter(self.index, mine, self.local.io.random())
        else {
            return self.admit(accepted);
        };
        let seat = &self.balance.seats[lighter];
        match seat.fresh.push(accepted.with_tag(tag + (1 << HOPS_SHIFT))) {
            Ok(()) => {
                if let Some(notifier) = seat.notifier.get() {
                    notifier.notify();
                }
            }
            Err(accepted) => self.admit(accepted),
        }
    }

    /// Parks a fresh connection until its first bytes.
    fn admit(&self, accepted: Accepted) {
        let entry_point = accepted.tag() as u8;
        let Some(settings) = self
            .local
            .settings
            .entry_points
            .get(usize::from(entry_point))
        else {
            return;
        };
        let io = &self.local.io;
        if io.downstream_connections() >= self.local.settings.max_connections {
            // An honest close: its client may try elsewhere.
            return self.local.stats.count(|stats| &stats.rejected);
        }
        let stream = io.adopt(accepted);
        stream.set_tag(tag_of(entry_point, io.now()));
        stream.park_downstream(limit(io.now(), settings.read_timeout));
    }
}

/// Places connections as they are accepted. Runs for the life of the shard.
pub(super) async fn accept(seat: Rc<Seat>) {
    loop {
        let accepted = seat.local.io.accept().await;
        seat.place(accepted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_loads(loads: &[u32]) -> Arc<Balance> {
        let balance = Balance::new(loads.len());
        for (seat, &load) in balance.seats.iter().zip(loads) {
            seat.load.set(u64::from(load));
        }
        balance
    }

    #[test]
    fn a_single_shard_keeps_everything() {
        assert_eq!(with_loads(&[1000]).lighter(0, 1001, 7), None);
    }

    #[test]
    fn few_connections_end_up_equally_spread() {
        for (n, seed) in [(4, 1_u64), (16, 2), (5, 3)] {
            let balance = with_loads(&[0, 0]);
            for i in 0..n {
                // All arrive at shard 0, the worst case.
                let mine = balance.load(0) + 1;
                let to = balance
                    .lighter(0, mine, seed.wrapping_mul(i + 1))
                    .unwrap_or(0);
                let load = &balance.seats[to].load;
                load.set(load.get() + 1);
            }
            assert!(balance.load(0).abs_diff(balance.load(1)) <= 1, "{n}");
        }
    }

    #[test]
    fn a_small_difference_among_many_is_left_alone() {
        assert_eq!(with_loads(&[1000, 950]).lighter(0, 1001, 0), None);
        assert_eq!(with_loads(&[1000, 800]).lighter(0, 1001, 0), Some(1));
    }

    #[test]
    fn a_shard_never_chooses_itself() {
        let balance = with_loads(&[100, 0, 0, 0]);
        for me in 0..4 {
            for draw in 0..1000_u64 {
                let random = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                assert_ne!(balance.lighter(me, 100, random), Some(me));
            }
        }
    }
}
