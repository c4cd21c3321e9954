//! Idle connections without tasks: parked downstream connections, which come back through the
//! ready queue when bytes arrive, and parked upstream connections, which a pool takes back by
//! their id or which end on their own. Not for: choosing among pooled connections.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::connection::{Phase, Receive, Wakers};
use super::core::Core;
use super::instant::Instant;
use super::reactor::Handle;
use super::slab::Key;
use super::stream::Stream;

/// Names a parked upstream connection. Stays harmless after it has ended: ids are not reused
/// before 2^32 connections have passed through the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParkedId(pub(super) Key);

/// Connections with bytes that wait for a worker, and workers that wait for connections.
#[derive(Default)]
pub(super) struct ReadyQueue {
    connections: VecDeque<Key>,
    /// Waiting workers; the one that came last is woken first, since its memory is warm.
    workers: Vec<Waiter>,
    /// Whoever wants connections that no worker waits for.
    fallback: Vec<Waiter>,
    next_ticket: u64,
}

struct Waiter {
    ticket: u64,
    waker: Waker,
}

impl ReadyQueue {
    pub(super) fn push(&mut self, key: Key, wakes: &mut Vec<Waker>) {
        self.connections.push_back(key);
        self.wake_one(wakes);
    }

    pub(super) fn contains(&self, key: Key) -> bool {
        self.connections.contains(&key)
    }

    pub(super) fn waiting_workers(&self) -> usize {
        self.workers.len()
    }

    fn wake_one(&mut self, wakes: &mut Vec<Waker>) {
        wakes.extend(
            self.workers
                .pop()
                .or_else(|| self.fallback.pop())
                .map(|waiter| waiter.waker),
        );
    }

    pub(super) fn take_wakers(&mut self, wakers: &mut Vec<Waker>) {
        wakers.extend(
            self.workers
                .drain(..)
                .chain(self.fallback.drain(..))
                .map(|waiter| waiter.waker),
        );
    }
}

impl Core {
    pub(super) fn lose_parked_upstream(&mut self, key: Key) {
        self.stats.parked_upstream_lost.add(1);
        self.begin_close(key);
    }

    /// The next connection with bytes that still exists.
    fn pop_ready(&mut self) -> Option<Key> {
        loop {
            let key = self.ready.connections.pop_front()?;
            if let Some(connection) = self.connections.get_mut(key)
                && connection.phase == Phase::Ready
            {
                connection.phase = Phase::Open;
                return Some(key);
            }
        }
    }

    /// Prepares a connection for a life without a stream: ordinary receiving, no working set. Its
    /// wakers belong to nobody who waits; they are returned to be dropped outside of the borrow.
    #[must_use]
    fn park(&mut self, key: Key, phase: Phase, deadline: Instant) -> Wakers {
        let Some(connection) = self.connections.get_mut(key) else {
            return Wakers::default();
        };
        connection.phase = phase;
        connection.bulk = false;
        let wakers = connection.take_wakers();
        if connection.receive == Receive::Owned {
            self.drain_receive(key);
        }
        self.set_deadline(key, deadline);
        self.arm_receive(key);
        self.deactivate_if_idle(key);
        wakers
    }

    #[must_use]
    pub(super) fn park_downstream(&mut self, key: Key, deadline: Instant) -> Wakers {
        let Some(connection) = self.connections.get_mut(key) else {
            return Wakers::default();
        };
        if connection.inbox_len() > 0 {
            connection.phase = Phase::Ready;
            connection.deadline = Instant::NEVER;
            self.ready.push(key, &mut self.wakes);
        } else if connection.eof || connection.is_broken() {
            self.end_idle(key);
        } else {
            self.stats.parked_downstream.add(1);
            return self.park(key, Phase::ParkedDownstream, deadline);
        }
        Wakers::default()
    }

    /// Ends an accepted connection that nobody owns: in order if its last response is still leaving, else soon.
    pub(super) fn end_idle(&mut self, key: Key) {
        let leaving = self.connections.get(key).is_some_and(|c| c.queued() > 0);
        if leaving {
            self.close_gracefully(key);
        } else {
            self.doom(key);
        }
    }

    #[must_use]
    pub(super) fn park_upstream(&mut self, key: Key, deadline: Instant) -> Wakers {
        if !self.connections.get(key).is_some_and(|c| c.is_clean()) {
            self.stats.parked_upstream_lost.add(1);
            self.doom(key);
            return Wakers::default();
        }
        self.stats.parked_upstream.add(1);
        self.park(key, Phase::ParkedUpstream, deadline)
    }

    fn unpark(&mut self, key: Key) -> bool {
        let Some(connection) = self.connections.get_mut(key) else {
            return false;
        };
        if connection.phase != Phase::ParkedUpstream {
            return false;
        }
        connection.phase = Phase::Open;
        connection.deadline = Instant::NEVER;
        self.stats.parked_upstream.sub(1);
        true
    }
}

/// The future of [`Handle::next_ready`] and [`Handle::next_unserved`]. Dropping it hands a
/// connection that it was woken for to the next waiting worker.
pub struct NextReady {
    handle: Handle,
    fallback: bool,
    /// Its place among the waiting, once it waits.
    ticket: Option<u64>,
}

impl NextReady {
    /// Leaves the queue of waiters; `false` if it was no longer in it (it has been woken).
    fn leave(&mut self) -> (bool, Option<Waker>) {
        let Some(ticket) = self.ticket.take() else {
            return (true, None);
        };
        let mut core = self.handle.core();
        let waiters = if self.fallback {
            &mut core.ready.fallback
        } else {
            &mut core.ready.workers
        };
        match waiters.iter().rposition(|waiter| waiter.ticket == ticket) {
            Some(position) => (true, Some(waiters.remove(position).waker)),
            None => (false, None),
        }
    }
}

impl Future for NextReady {
    type Output = Stream;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Stream> {
        let this = &mut *self;
        let mut core = this.handle.core();
        // The fallback leaves connections to workers that wait (or have been woken) for them.
        let served = this.fallback && !core.ready.workers.is_empty();
        if !served && let Some(key) = core.pop_ready() {
            drop(core);
            let (_, waker) = this.leave();
            drop(waker);
            return Poll::Ready(Stream::new(this.handle.clone(), key));
        }
        let ticket = this.ticket;
        let waiters = if this.fallback {
            &mut core.ready.fallback
        } else {
            &mut core.ready.workers
        };
        let place = ticket.and_then(|ticket| {
            waiters
                .iter_mut()
                .rev()
                .find(|waiter| waiter.ticket == ticket)
        });
        let mut replaced = None;
        if let Some(waiter) = place {
            if !waiter.waker.will_wake(cx.waker()) {
                replaced = Some(std::mem::replace(&mut waiter.waker, cx.waker().clone()));
            }
        } else {
            let ticket = core.ready.next_ticket;
            core.ready.next_ticket += 1;
            let waiter = Waiter {
                ticket,
                waker: cx.waker().clone(),
            };
            let waiters = if this.fallback {
                &mut core.ready.fallback
            } else {
                &mut core.ready.workers
            };
            waiters.push(waiter);
            this.ticket = Some(ticket);
        }
        drop(core);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for NextReady {
    fn drop(&mut self) {
        let (in_queue, waker) = self.leave();
        if !in_queue {
            let core = &mut *self.handle.core();
            if !core.ready.connections.is_empty() {
                core.ready.wake_one(&mut core.wakes);
            }
        }
        drop(waker);
    }
}

impl fmt::Debug for NextReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextReady")
            .field("fallback", &self.fallback)
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// A parked downstream connection that has received bytes. Several workers may wait; exactly
    /// one gets it, the one that came last first.
    pub fn next_ready(&self) -> NextReady {
        NextReady {
            handle: self.clone(),
            fallback: false,
            ticket: None,
        }
    }

    /// As [`Handle::next_ready`], but only when no worker waits there: for whoever starts workers.
    pub fn next_unserved(&self) -> NextReady {
        NextReady {
            handle: self.clone(),
            fallback: true,
            ticket: None,
        }
    }

    /// Workers that wait in [`Handle::next_ready`] now.
    pub fn waiting_workers(&self) -> usize {
        self.core().ready.waiting_workers()
    }

    /// Takes a pooled connection back into use. `None` if it has ended meanwhile.
    pub fn unpark(&self, id: ParkedId) -> Option<Stream> {
        let usable = self.core().unpark(id.0);
        usable.then(|| Stream::new(self.clone(), id.0))
    }

    /// Whether a pooled connection is still usable.
    pub fn is_parked(&self, id: ParkedId) -> bool {
        let core = self.core();
        core.connections
            .get(id.0)
            .is_some_and(|c| c.phase == Phase::ParkedUpstream)
    }

    /// Closes a pooled connection, if it still exists.
    pub fn close_parked(&self, id: ParkedId) {
        let mut core = self.core();
        if core
            .connections
            .get(id.0)
            .is_some_and(|c| c.phase == Phase::ParkedUpstream)
        {
            core.doom(id.0);
        }
    }

    /// Closes all parked downstream connections, a few hundred per turn, those with a response that is still
    /// leaving when it has left; returns how many.
    pub fn close_idle_downstream(&self) -> usize {
        let core = &mut *self.core();
        let parked = core
            .connections
            .iter()
            .filter(|(_, c)| c.phase == Phase::ParkedDownstream);
        let parked: Vec<Key> = parked.map(|(key, _)| key).collect();
        parked.iter().for_each(|&key| core.end_idle(key));
        parked.len()
    }
}
