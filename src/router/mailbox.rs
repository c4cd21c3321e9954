//! The two ends of a shard's mailbox: how the control thread reaches a shard and what comes back.
//!
//! ```text
//!  control thread                                   shard thread
//!  ShardLink ── bounded lock-free queue, wake ───►  ShardInbox::try_recv
//!            ◄─ acknowledged generation (atomic) ─  ShardInbox::ack
//!            ◄─ bounded lock-free queue ──────────  ShardInbox::give_back   (old snapshots)
//! ```
//!
//! Neither side ever waits for the other. A shard has at most one [`ChangeSet`] that it has not
//! acknowledged; later ones compose here, in the link. State updates that find the queue full wait in
//! the link too, newest value per name. Not here: who sends what when (`control`), what a shard does
//! with it (`shard`).

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;

use super::snapshot::{ChangeSet, Snapshot};
use crate::service::NameId;

/// Most messages in flight to one shard; what does not fit waits in the link.
pub const MAX_QUEUED_MESSAGES: usize = 256;

/// Most old snapshots in flight back to the control thread; a shard parks what does not fit.
pub const MAX_RETURNED_SNAPSHOTS: usize = 64;

/// Wakes the thread at the other end. Called off the request path only.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// What the control thread tells a shard.
pub enum ToShard {
    /// Apply this configuration between two turns, then [`ShardInbox::ack`] its generation.
    Apply(ChangeSet),
    /// The current addresses of a name that servers refer to.
    Addresses(NameAddresses),
    /// No server refers to this name any more.
    ForgetName(NameId),
    /// Start to accept on this listening socket (in blocking mode).
    Listen(EntryPointListener),
    /// What `/ping` answers from now on.
    Health(Health),
    /// Stop accepting on an entry point; close its idle connections; let exchanges end within the
    /// grace time, then cut them.
    Drain(Drain),
    /// Leave [`ShardInbox`]'s loop now: everything has drained or the time is over.
    Stop,
}

/// One shard's listening socket for an entry point.
pub struct EntryPointListener {
    /// Index of the entry point in the order of the static configuration.
    pub entry_point: u32,
    /// Bound and listening.
    pub listener: TcpListener,
}

/// The result of resolving a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddresses {
    /// Which name.
    pub name: NameId,
    /// Its addresses, never empty; or why there are none (only while none were ever found: a failed
    /// refresh keeps the last addresses and is not sent).
    pub addresses: Result<Arc<[IpAddr]>, Arc<str>>,
}

/// Whether this process wants traffic (answered by `/ping`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Not every provider has reported yet: 503.
    #[default]
    Starting,
    /// 200.
    Ready,
    /// Shutting down: `ping.terminatingStatusCode`.
    Terminating,
}

/// The end of an entry point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Index of the entry point in the order of the static configuration.
    pub entry_point: u32,
    /// After which time what is still open is cut (Traefik: `lifeCycle.graceTimeOut`).
    pub grace: Duration,
}

/// How far the configuration has come: written by the control thread, read by whoever waits for it.
#[derive(Debug, Default)]
pub struct Generations {
    published: AtomicU64,
    effective: AtomicU64,
}

impl Generations {
    /// The newest generation that was sent to the shards.
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// The newest generation that every shard has applied.
    pub fn effective(&self) -> u64 {
        self.effective.load(Ordering::Acquire)
    }

    /// Sets both; only the control thread does.
    pub fn set(&self, published: u64, effective: u64) {
        self.published.store(published, Ordering::Release);
        self.effective.store(effective, Ordering::Release);
    }
}

/// Keeps a value on cache lines of its own (two lines: adjacent ones are prefetched in pairs).
#[repr(align(128))]
#[derive(Default)]
struct Padded<T>(T);

struct Shared {
    messages: ArrayQueue<ToShard>,
    returned: ArrayQueue<Arc<Snapshot>>,
    /// Written by the shard, read by the control thread.
    acknowledged: Padded<AtomicU64>,
    /// Set by the shard once its last connection has ended while draining.
    drained: Padded<AtomicBool>,
    wake_shard: OnceLock<Wake>,
    wake_control: Wake,
}

/// Creates both ends. `wake_control` makes the control thread call [`ShardLink::pump`].
pub fn mailbox(wake_control: Wake) -> (ShardLink, ShardInbox) {
    let shared = Arc::new(Shared {
        messages: ArrayQueue::new(MAX_QUEUED_MESSAGES),
        returned: ArrayQueue::new(MAX_RETURNED_SNAPSHOTS),
        acknowledged: Padded::default(),
        drained: Padded::default(),
        wake_shard: OnceLock::new(),
        wake_control,
    });
    let link = ShardLink {
        shared: shared.clone(),
        unacknowledged: None,
        composed: None,
        waiting: VecDeque::new(),
        names: BTreeMap::new(),
    };
    (link, ShardInbox { shared })
}

/// The control thread's end.
pub struct ShardLink {
    shared: Arc<Shared>,
    /// Generation and time of the ChangeSet that the shard has not acknowledged yet.
    unacknowledged: Option<(u64, Instant)>,
    /// Changes since then, composed.
    composed: Option<ChangeSet>,
    /// Messages that found the queue full, oldest first.
    waiting: VecDeque<ToShard>,
    /// Name updates that found the queue full: the newest per name.
    names: BTreeMap<NameId, Option<NameAddresses>>,
}

impl ShardLink {
    /// Sends a change, or composes it onto those that wait for the shard's acknowledgement.
    pub fn apply(&mut self, changes: ChangeSet, now: Instant) {
        match &mut self.composed {
            Some(composed) => composed.compose(changes),
            None => self.composed = Some(changes),
        }
        self.pump(now);
    }

    /// Tells the shard a name's addresses.
    pub fn addresses(&mut self, addresses: NameAddresses, now: Instant) {
        self.names.insert(addresses.name, Some(addresses));
        self.pump(now);
    }

    /// Tells the shard that a name is gone.
    pub fn forget_name(&mut self, name: NameId, now: Instant) {
        self.names.insert(name, None);
        self.pump(now);
    }

    /// Sends any other message; [`ToShard::Apply`] and the name messages have their own methods.
    pub fn send(&mut self, message: ToShard, now: Instant) {
        self.waiting.push_back(message);
        self.pump(now);
    }

    /// Moves what can be moved: drops returned snapshots, notes an acknowledgement, sends what waits.
    /// Call it after each wake from the shard and on a slow tick.
    pub fn pump(&mut self, now: Instant) {
        if let Some((generation, _)) = self.unacknowledged
            && self.acknowledged() >= generation
        {
            self.unacknowledged = None;
        }
        // Dropped here, on the control side: that is what the return queue is for. After the acknowledgement was seen,
        // before which the shard has given back what it replaced.
        while self.shared.returned.pop().is_some() {}
        let sent = self.send_waiting(now);
        if sent {
            // Pairs with the fence in `ShardInbox::on_message`: either the wake is seen here, or the
            // messages are seen there.
            fence(Ordering::SeqCst);
            if let Some(wake) = self.shared.wake_shard.get() {
                wake();
            }
        }
    }

    fn send_waiting(&mut self, now: Instant) -> bool {
        let mut sent = false;
        // Names first: a change that adds a server by name finds its addresses if they are known.
        while let Some((name, addresses)) = self.names.pop_first() {
            let message = match &addresses {
                Some(addresses) => ToShard::Addresses(addresses.clone()),
                None => ToShard::ForgetName(name),
            };
            if self.shared.messages.push(message).is_err() {
                self.names.insert(name, addresses);
                return sent;
            }
            sent = true;
        }
        if self.unacknowledged.is_none()
            && let Some(changes) = self.composed.take()
        {
            let generation = changes.snapshot.generation;
            match self.shared.messages.push(ToShard::Apply(changes)) {
                Ok(()) => {
                    self.unacknowledged = Some((generation, now));
                    sent = true;
                }
                Err(ToShard::Apply(changes)) => {
                    self.composed = Some(changes);
                    return sent;
                }
                Err(_) => {}
            }
        }
        while let Some(message) = self.waiting.pop_front() {
            if let Err(message) = self.shared.messages.push(message) {
                self.waiting.push_front(message);
                return sent;
            }
            sent = true;
        }
        sent
    }

    /// The newest generation that the shard has applied; 0 before the first.
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.0.load(Ordering::Acquire)
    }

    /// Since when the shard owes an acknowledgement, and of which generation.
    pub fn unacknowledged(&self) -> Option<(u64, Instant)> {
        self.unacknowledged
    }

    /// Whether the shard has reported that nothing is open any more.
    pub fn drained(&self) -> bool {
        self.shared.drained.0.load(Ordering::Acquire)
    }
}

/// The shard's end.
pub struct ShardInbox {
    shared: Arc<Shared>,
}

impl ShardInbox {
    /// Sets what makes the shard call [`ShardInbox::try_recv`] again, once its reactor exists. Messages
    /// sent before are waiting then: look for them after this call.
    pub fn on_message(&self, wake: Wake) {
        // A second call keeps the first wake: a shard has one reactor for its life.
        let _ = self.shared.wake_shard.set(wake);
        fence(Ordering::SeqCst);
    }

    /// The next message, if there is one.
    pub fn try_recv(&self) -> Option<ToShard> {
        self.shared.messages.pop()
    }

    /// Reports that requests from now on are matched with `generation` or a later one.
    pub fn ack(&self, generation: u64) {
        self.shared
            .acknowledged
            .0
            .store(generation, Ordering::Release);
        (self.shared.wake_control)();
    }

    /// Hands back a snapshot to be dropped on the control side, at its next look: the one that it replaces comes just
    /// before an acknowledgement, and for one that a request has kept longer there is time until the next tick.
    ///
    /// # Errors
    /// Returns the snapshot when the queue is full: park it and try again after a turn, never drop the
    /// last reference on a shard.
    pub fn give_back(&self, snapshot: Arc<Snapshot>) -> Result<(), Arc<Snapshot>> {
        self.shared.returned.push(snapshot)
    }

    /// Reports that, while draining, the last connection has ended.
    pub fn report_drained(&self) {
        self.shared.drained.0.store(true, Ordering::Release);
        (self.shared.wake_control)();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::service::StateId;

    fn change(generation: u64) -> ChangeSet {
        ChangeSet {
            snapshot: Arc::new(Snapshot {
                generation,
                ..Snapshot::default()
            }),
            removed_states: vec![StateId(generation)],
            removed_pools: Vec::new(),
        }
    }

    fn counting() -> (Wake, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        (
            Arc::new(move || {
                counted.fetch_add(1, Ordering::SeqCst);
            }),
            count,
        )
    }

    fn pair() -> (ShardLink, ShardInbox) {
        mailbox(counting().0)
    }

    #[test]
    fn one_change_is_in_flight_and_later_ones_compose() {
        let (mut link, inbox) = pair();
        let now = Instant::now();
        link.apply(change(1), now);
        link.apply(change(2), now);
        link.apply(change(3), now);
        assert!(matches!(inbox.try_recv(), Some(ToShard::Apply(c)) if c.snapshot.generation == 1));
        assert!(
            inbox.try_recv().is_none(),
            "the shard owes an acknowledgement"
        );
        inbox.ack(1);
        link.pump(now);
        let Some(ToShard::Apply(composed)) = inbox.try_recv() else {
            panic!("no composed change")
        };
        assert_eq!(composed.snapshot.generation, 3);
        assert_eq!(composed.removed_states, vec![StateId(2), StateId(3)]);
        assert_eq!(
            link.unacknowledged().map(|(generation, _)| generation),
            Some(3)
        );
        inbox.ack(3);
        link.pump(now);
        assert!(link.unacknowledged().is_none());
    }

    #[test]
    fn both_sides_are_woken() {
        let (wake_shard, shard_wakes) = counting();
        let (wake_control, control_wakes) = counting();
        let (mut link, inbox) = mailbox(wake_control);
        link.send(ToShard::Health(Health::Ready), Instant::now());
        inbox.on_message(wake_shard);
        assert!(
            inbox.try_recv().is_some(),
            "sent before the shard could be woken"
        );
        link.apply(change(1), Instant::now());
        assert_eq!(shard_wakes.load(Ordering::SeqCst), 1);
        inbox.ack(1);
        assert_eq!(control_wakes.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn an_old_snapshot_is_dropped_by_the_control_side() {
        let (mut link, inbox) = pair();
        let snapshot = Arc::new(Snapshot::default());
        let weak = Arc::downgrade(&snapshot);
        inbox.give_back(snapshot).expect("the queue has room");
        assert!(weak.upgrade().is_some(), "it travels in the queue");
        link.pump(Instant::now());
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn a_full_return_queue_hands_the_snapshot_back() {
        let (mut link, inbox) = pair();
        for _ in 0..MAX_RETURNED_SNAPSHOTS {
            inbox.give_back(Arc::default()).expect("the queue has room");
        }
        let parked = inbox
            .give_back(Arc::default())
            .expect_err("the queue is full");
        link.pump(Instant::now());
        assert!(inbox.give_back(parked).is_ok());
    }

    #[test]
    fn a_full_queue_keeps_the_newest_addresses_of_each_name() {
        let (mut link, inbox) = pair();
        let now = Instant::now();
        let addresses = |name: u64, last: u8| NameAddresses {
            name: NameId(name),
            addresses: Ok([IpAddr::from([127, 0, 0, last])].into()),
        };
        for name in 0..MAX_QUEUED_MESSAGES as u64 + 10 {
            link.addresses(addresses(name, 1), now);
        }
        let late = NameId(MAX_QUEUED_MESSAGES as u64 + 5);
        link.addresses(addresses(late.0, 2), now);
        let mut seen = BTreeMap::new();
        loop {
            while let Some(message) = inbox.try_recv() {
                if let ToShard::Addresses(update) = message {
                    seen.insert(update.name, update.addresses);
                }
            }
            link.pump(now);
            if seen.len() == MAX_QUEUED_MESSAGES + 10 {
                break;
            }
        }
        assert_eq!(seen[&late], addresses(late.0, 2).addresses);
    }

    #[test]
    fn other_messages_keep_their_order_when_the_queue_was_full() {
        let (mut link, inbox) = pair();
        let now = Instant::now();
        for _ in 0..MAX_QUEUED_MESSAGES {
            link.send(ToShard::Health(Health::Ready), now);
        }
        link.send(ToShard::Health(Health::Terminating), now);
        link.send(ToShard::Stop, now);
        for _ in 0..MAX_QUEUED_MESSAGES {
            assert!(matches!(
                inbox.try_recv(),
                Some(ToShard::Health(Health::Ready))
            ));
        }
        link.pump(now);
        assert!(matches!(
            inbox.try_recv(),
            Some(ToShard::Health(Health::Terminating))
        ));
        assert!(matches!(inbox.try_recv(), Some(ToShard::Stop)));
    }

    #[test]
    fn draining_is_reported_once_for_all() {
        let (link, inbox) = pair();
        assert!(!link.drained());
        inbox.report_drained();
        assert!(link.drained());
    }
}
