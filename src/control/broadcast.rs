//! From one change to all shards, and from their acknowledgements to the effective generation.
//!
//! ```text
//! ChangeSet ──► ShardLink per shard ──► acknowledged generations ──► minimum = effective
//! ```
//!
//! A shard that does not acknowledge in time raises an alarm; the others go on. Not here: how a message
//! travels (`router::mailbox`).

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::router::mailbox::{Generations, NameAddresses, ShardLink, ToShard};
use crate::router::snapshot::{ChangeSet, Snapshot};
use crate::service::NameId;

/// After this time without acknowledgement a shard is reported as stuck.
pub const ACKNOWLEDGE_ALARM: Duration = Duration::from_secs(1);

/// The control thread's ends of all mailboxes.
pub struct Broadcast {
    shards: Vec<Shard>,
    generations: Arc<Generations>,
    published: u64,
    /// Snapshots that somebody still had when the last change was sent.
    known: Vec<Weak<Snapshot>>,
}

struct Shard {
    link: ShardLink,
    /// Whether its silence was reported.
    alarmed: bool,
}

impl Broadcast {
    /// Over these shards, which all began with generation `published`.
    pub fn new(links: Vec<ShardLink>, published: u64) -> Self {
        let shards = links
            .into_iter()
            .map(|link| Shard {
                link,
                alarmed: false,
            })
            .collect();
        let broadcast = Self {
            shards,
            generations: Arc::default(),
            published,
            known: Vec::new(),
        };
        broadcast.note();
        broadcast
    }

    /// Published and effective generation, to be read by other threads.
    pub fn generations(&self) -> Arc<Generations> {
        self.generations.clone()
    }

    /// The newest generation that every shard has applied.
    pub fn effective(&self) -> u64 {
        self.shards
            .iter()
            .map(|shard| shard.link.acknowledged())
            .min()
            .unwrap_or(self.published)
    }

    /// Sends a change to every shard.
    pub fn apply(&mut self, changes: &ChangeSet, now: Instant) {
        self.published = changes.snapshot.generation;
        self.known.retain(|snapshot| snapshot.strong_count() > 0);
        self.known.push(Arc::downgrade(&changes.snapshot));
        for shard in &mut self.shards {
            shard.link.apply(changes.clone(), now);
        }
        self.note();
    }

    /// Tells every shard a name's addresses.
    pub fn addresses(&mut self, addresses: &NameAddresses, now: Instant) {
        for shard in &mut self.shards {
            shard.link.addresses(addresses.clone(), now);
        }
    }

    /// Tells every shard that a name is gone.
    pub fn forget_name(&mut self, name: NameId, now: Instant) {
        for shard in &mut self.shards {
            shard.link.forget_name(name, now);
        }
    }

    /// Sends each shard its own message, made by `message` from the shard's index.
    pub fn send(&mut self, now: Instant, mut message: impl FnMut(usize) -> ToShard) {
        self.send_some(now, |index| Some(message(index)));
    }

    /// As [`Broadcast::send`], to those shards for which there is a message.
    pub fn send_some(&mut self, now: Instant, mut message: impl FnMut(usize) -> Option<ToShard>) {
        for (index, shard) in self.shards.iter_mut().enumerate() {
            if let Some(message) = message(index) {
                shard.link.send(message, now);
            }
        }
    }

    /// Takes in what came back and sends what waits: after each wake and on a slow tick. Returns the
    /// effective generation.
    pub fn pump(&mut self, now: Instant) -> u64 {
        for (index, shard) in self.shards.iter_mut().enumerate() {
            shard.link.pump(now);
            shard.watch(index, now);
        }
        self.note();
        self.effective()
    }

    /// How many of the snapshots that were sent are still in use, the newest included.
    pub fn live(&self) -> usize {
        let live = self.known.iter();
        live.filter(|snapshot| snapshot.strong_count() > 0).count()
    }

    /// The generation that each shard has applied.
    pub fn acknowledged(&self) -> impl Iterator<Item = u64> {
        self.shards.iter().map(|shard| shard.link.acknowledged())
    }

    /// Whether every shard has reported that nothing is open any more.
    pub fn drained(&self) -> bool {
        self.shards.iter().all(|shard| shard.link.drained())
    }

    /// How many shards there are.
    pub fn len(&self) -> usize {
        self.shards.len()
    }

    /// Whether there is no shard.
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    fn note(&self) {
        self.generations.set(self.published, self.effective());
    }
}

impl Shard {
    fn watch(&mut self, index: usize, now: Instant) {
        match self.link.unacknowledged() {
            Some((generation, since)) => {
                let silent = now.saturating_duration_since(since);
                if silent >= ACKNOWLEDGE_ALARM && !self.alarmed {
                    self.alarmed = true;
                    tracing::error!(
                        shard = index,
                        generation,
                        "Shard has not applied a generation for {silent:?}: it is stuck or starved of \
                         CPU; it serves an older configuration while the others go on"
                    );
                }
            }
            None if self.alarmed => {
                self.alarmed = false;
                tracing::info!(shard = index, "Shard applies generations again");
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::mailbox::{ShardInbox, mailbox};
    use crate::router::snapshot::Snapshot;

    fn shards(count: usize) -> (Broadcast, Vec<ShardInbox>) {
        let (links, inboxes) = (0..count).map(|_| mailbox(Arc::new(|| {}))).unzip();
        (Broadcast::new(links, 0), inboxes)
    }

    fn change(generation: u64) -> ChangeSet {
        let snapshot = Arc::new(Snapshot {
            generation,
            ..Snapshot::default()
        });
        ChangeSet {
            snapshot,
            removed_states: Vec::new(),
            removed_pools: Vec::new(),
        }
    }

    fn generation_of(inbox: &ShardInbox) -> Option<u64> {
        match inbox.try_recv()? {
            ToShard::Apply(changes) => Some(changes.snapshot.generation),
            _ => None,
        }
    }

    #[test]
    fn a_generation_is_effective_once_the_last_shard_has_applied_it() {
        let (mut broadcast, inboxes) = shards(3);
        let generations = broadcast.generations();
        let now = Instant::now();
        broadcast.apply(&change(1), now);
        assert_eq!((generations.published(), generations.effective()), (1, 0));
        for inbox in &inboxes {
            assert_eq!(generations.effective(), 0);
            assert_eq!(generation_of(inbox), Some(1));
            inbox.ack(1);
            broadcast.pump(now);
        }
        assert_eq!(generations.effective(), 1);
    }

    #[test]
    fn a_stuck_shard_does_not_hold_up_the_others() {
        let (mut broadcast, inboxes) = shards(2);
        let start = Instant::now();
        for generation in 1..=5 {
            broadcast.apply(&change(generation), start);
            assert_eq!(generation_of(&inboxes[0]), Some(generation));
            inboxes[0].ack(generation);
            broadcast.pump(start);
        }
        assert_eq!(broadcast.effective(), 0);
        broadcast.pump(start + ACKNOWLEDGE_ALARM);
        assert!(broadcast.shards[1].alarmed && !broadcast.shards[0].alarmed);
        assert_eq!(generation_of(&inboxes[1]), Some(1));
        inboxes[1].ack(1);
        broadcast.pump(start + ACKNOWLEDGE_ALARM);
        assert_eq!(
            generation_of(&inboxes[1]),
            Some(5),
            "what it missed comes in one step"
        );
        inboxes[1].ack(5);
        assert_eq!(broadcast.pump(start + ACKNOWLEDGE_ALARM), 5);
        assert!(!broadcast.shards[1].alarmed);
    }

    #[test]
    fn old_snapshots_live_only_while_somebody_uses_them() {
        let (mut broadcast, inboxes) = shards(2);
        let now = Instant::now();
        let mut held: Vec<Option<Arc<Snapshot>>> = vec![None, None];
        let mut weak = Vec::new();
        for generation in 1..=100 {
            let change = change(generation);
            weak.push(Arc::downgrade(&change.snapshot));
            broadcast.apply(&change, now);
            drop(change);
            for (inbox, held) in inboxes.iter().zip(&mut held) {
                while let Some(message) = inbox.try_recv() {
                    if let ToShard::Apply(changes) = message {
                        inbox.ack(changes.snapshot.generation);
                        if let Some(old) = held.replace(changes.snapshot) {
                            inbox.give_back(old).expect("the queue has room");
                        }
                    }
                }
            }
            broadcast.pump(now);
            let alive = weak.iter().filter(|weak| weak.strong_count() > 0).count();
            assert!(alive <= 2, "{alive} snapshots are alive");
            assert_eq!(broadcast.live(), alive);
        }
    }
}
