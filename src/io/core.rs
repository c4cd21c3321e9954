//! What one reactor owns, behind one `RefCell`: driver, slabs, queues, timers. The rule that
//! keeps the borrow short and safe: **nothing in here runs foreign code.** Wakers are collected
//! in `wakes` and run (or dropped) by the loop after the borrow has ended, because waking or
//! dropping one may poll or drop a task, which comes back for the borrow.
//!
//! ```text
//!   turn:  expire timers → wake → poll tasks → sends, closes, starved receives → driver.turn
//!               ▲                                                                   │
//!               └────────────── completions → connection / accept / connect ◄──────┘
//! ```

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use super::accept::{Accepted, Listener};
use super::buffer::Pool;
use super::config::ReactorConfig;
use super::connect::Connecting;
use super::connection::{Connection, SpareActives};
use super::driver::{Completion, Driver, Group, Kind, Token, Wait};
use super::instant::Instant;
use super::notify::Notifier;
use super::park::ReadyQueue;
use super::slab::{Key, Slab};
use super::sleep::Sleeper;
use super::stats::{SharedGauge, Stats};
use super::timer::{Owner, Wheel};

/// Wakers of a turn for which there is room from the start.
pub(super) const WAKES: usize = 256;

/// Connections closed per turn; more wait for the next turns, so that closing 100,000 idle ones
/// does not hold up the others.
const CLOSES_PER_TURN: usize = 512;

/// Stores a waiter's waker, unless the same one is there already. The one that it replaces is
/// returned, to be dropped outside of the core's borrow.
#[must_use]
pub(super) fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) -> Option<Waker> {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => None,
        _ => slot.replace(cx.waker().clone()),
    }
}

/// See the module's text.
pub(super) struct Core {
    pub(super) driver: Driver,
    pub(super) pool: Rc<Pool>,
    pub(super) config: ReactorConfig,
    pub(super) stats: Rc<Stats>,
    /// The present turn's time.
    pub(super) now: Instant,
    pub(super) wheel: Wheel,
    fired: Vec<Owner>,
    /// Where other threads read how many accepted connections there are.
    pub(super) downstream_load: Option<Arc<SharedGauge>>,
    completions: Vec<Completion>,
    /// Wakers to run once the borrow has ended.
    pub(super) wakes: Vec<Waker>,

    pub(super) connections: Slab<Connection>,
    /// Unused working sets of connections, kept for reuse.
    pub(super) spare_actives: SpareActives,
    /// Connections with bytes to send that no send carries yet.
    pub(super) unsent: Vec<Key>,
    pub(super) unsent_scratch: Vec<Key>,
    /// Connections that wait to be closed.
    pub(super) closing: VecDeque<Key>,
    /// Connections whose receive found no buffer: those that wait for the start of a message, and
    /// the others.
    pub(super) starved_heads: VecDeque<Key>,
    pub(super) starved: VecDeque<Key>,
    pub(super) ready: ReadyQueue,

    pub(super) listeners: Slab<Listener>,
    pub(super) accepted: VecDeque<Accepted>,
    pub(super) accept_waker: Option<Waker>,
    pub(super) connects: Slab<Connecting>,
    pub(super) sleepers: Slab<Sleeper>,

    notifier: Notifier,
    pub(super) notified: bool,
    pub(super) notified_waker: Option<Waker>,
}

impl Core {
    pub(super) fn new(
        config: &ReactorConfig,
        driver: Driver,
        pool: Rc<Pool>,
        stats: Rc<Stats>,
        notifier: Notifier,
    ) -> Core {
        Core {
            driver,
            pool,
            config: config.clone(),
            stats,
            now: Instant::ZERO,
            wheel: Wheel::new(),
            fired: Vec::with_capacity(64),
            downstream_load: None,
            completions: Vec::with_capacity(256),
            wakes: Vec::with_capacity(WAKES),
            connections: Slab::new(),
            spare_actives: Vec::new(),
            unsent: Vec::with_capacity(64),
            unsent_scratch: Vec::with_capacity(64),
            closing: VecDeque::with_capacity(64),
            starved_heads: VecDeque::new(),
            starved: VecDeque::new(),
            ready: ReadyQueue::default(),
            listeners: Slab::new(),
            accepted: VecDeque::new(),
            accept_waker: None,
            connects: Slab::new(),
            sleepers: Slab::new(),
            notifier,
            notified: false,
            notified_waker: None,
        }
    }

    /// Reads the clock and lets due timers fire.
    pub(super) fn begin_turn(&mut self) -> Instant {
        self.now = self.driver.now();
        let mut fired = std::mem::take(&mut self.fired);
        self.wheel.expire(self.now, &mut fired);
        for owner in fired.drain(..) {
            match owner {
                Owner::Connection(key) => self.on_deadline(key),
                Owner::Sleep(key) => self.on_sleep_over(key),
                Owner::Listener(key) => self.on_listener_timer(key),
            }
        }
        self.fired = fired;
        self.now
    }

    /// Starts what the tasks have left to be done: sends, closes, receives that were starved.
    pub(super) fn flush(&mut self) {
        self.submit_sends();
        for _ in 0..CLOSES_PER_TURN {
            let Some(key) = self.closing.pop_front() else {
                break;
            };
            self.begin_close(key);
        }
        self.driver.refill(&self.pool);
        if !self.starved_heads.is_empty() || !self.starved.is_empty() {
            self.feed_starved();
        }
    }

    /// Waits for completions, drains them all, and applies them.
    pub(super) fn turn(&mut self, runnable: bool) {
        let idle = !runnable && self.wakes.is_empty() && self.closing.is_empty();
        let wait = if idle {
            Wait::Until(self.wheel.next_expiry())
        } else {
            Wait::No
        };
        let mut completions = std::mem::take(&mut self.completions);
        self.driver
            .turn(wait, self.now, &self.pool, &mut completions);
        self.stats.completions.add(completions.len() as u64);
        for completion in completions.drain(..) {
            self.apply(completion);
        }
        self.completions = completions;
        let counts = self.driver.take_counts();
        self.stats.enters.add(counts.enters);
        self.stats.submission_backlogs.add(counts.backlogs);
        self.stats.completion_overflows.add(counts.overflows);
    }

    fn apply(&mut self, completion: Completion) {
        let Completion {
            token,
            result,
            more,
            chunk,
        } = completion;
        let mask = Token::GENERATION_MASK;
        let (index, generation) = (token.index(), token.generation());
        match token.kind() {
            Kind::ReceiveDownstream | Kind::ReceiveUpstream | Kind::ReceiveOwned => {
                match self.connections.key_at(index, generation, mask) {
                    Some(key) => self.on_receive(key, token, result, more, chunk),
                    None => debug_assert!(false, "a connection lives until its receive has ended"),
                }
            }
            Kind::Send => match self.connections.key_at(index, generation, mask) {
                Some(key) => self.on_sent(key, result),
                None => debug_assert!(false, "a connection lives until its send has ended"),
            },
            Kind::Accept => match self.listeners.key_at(index, generation, mask) {
                Some(key) => self.on_accept(key, result, more),
                None => debug_assert!(false, "a listener lives until its accept has ended"),
            },
            Kind::Connect => match self.connects.key_at(index, generation, mask) {
                Some(key) => self.on_connect(key, result),
                None => debug_assert!(false, "a connect's slot lives until it has ended"),
            },
            Kind::Wake => {
                if self.notifier.consume() {
                    self.notified = true;
                    if let Some(waker) = self.notified_waker.take() {
                        self.wakes.push(waker);
                    }
                }
            }
            Kind::Ignored => {}
        }
    }

    /// Arms receives that had found no buffer, in turn, those that wait for a message's start first,
    /// and no more of them than there are buffers.
    fn feed_starved(&mut self) {
        let mut room = [
            self.driver.available(Group::Downstream, &self.pool),
            self.driver.available(Group::Upstream, &self.pool),
        ];
        for heads in [true, false] {
            let waiting = if heads {
                self.starved_heads.len()
            } else {
                self.starved.len()
            };
            for _ in 0..waiting {
                let queue = if heads {
                    &mut self.starved_heads
                } else {
                    &mut self.starved
                };
                let Some(key) = queue.pop_front() else { break };
                let Some(connection) = self.connections.get_mut(key) else {
                    continue;
                };
                let room = &mut room[connection.group as usize];
                if *room == 0 {
                    let queue = if heads {
                        &mut self.starved_heads
                    } else {
                        &mut self.starved
                    };
                    queue.push_back(key);
                    continue;
                }
                *room -= 1;
                connection.starved = false;
                self.arm_receive(key);
            }
        }
    }

    /// Ends every operation. If one does not end, the memory that it may refer to is given up.
    pub(super) fn end(&mut self) {
        if !self.driver.cancel_all(&self.pool) {
            std::mem::forget(std::mem::replace(&mut self.connections, Slab::new()));
            std::mem::forget(std::mem::replace(&mut self.connects, Slab::new()));
        }
    }

    /// Takes every waker out, so that tasks whose wakers live only here get dropped.
    pub(super) fn take_all_wakers(&mut self) -> Vec<Waker> {
        let mut wakers = std::mem::take(&mut self.wakes);
        wakers.extend(self.accept_waker.take());
        wakers.extend(self.notified_waker.take());
        self.ready.take_wakers(&mut wakers);
        for key in self
            .connections
            .iter()
            .map(|(key, _)| key)
            .collect::<Vec<_>>()
        {
            if let Some(active) = self
                .connections
                .get_mut(key)
                .and_then(|c| c.active.as_mut())
            {
                wakers.extend(active.read_waker.take());
                wakers.extend(active.write_waker.take());
            }
        }
        for key in self.sleepers.iter().map(|(key, _)| key).collect::<Vec<_>>() {
            wakers.extend(self.sleepers.get_mut(key).and_then(Sleeper::take_waker));
        }
        for key in self.connects.iter().map(|(key, _)| key).collect::<Vec<_>>() {
            wakers.extend(self.connects.get_mut(key).and_then(Connecting::take_waker));
        }
        wakers
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let connections = self.connections.iter().map(|(_, c)| c.fd);
        let connects = self.connects.iter().map(|(_, c)| c.fd());
        let listeners = self.listeners.iter().map(|(_, l)| l.fd());
        let descriptors: Vec<_> = connections.chain(connects).chain(listeners).collect();
        for fd in descriptors {
            self.driver.close_directly(fd);
        }
    }
}
