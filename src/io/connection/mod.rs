//! One connection's record and how it receives. A record without work to do has no working set
//! ([`Active`]): an idle connection is these ~150 bytes and an armed receive in the kernel.
//! Not for: sending (`send`), parking (`park`), the public face (`stream`).
//!
//! ```text
//!              bulk(true), inbox full, single left over
//!   Multishot ─────────────► Draining ──final completion──► Idle ──reader waits, bulk──► Owned
//!       ▲  (kernel's buffers)   (cancelled; what                │   (64 KiB buffer of its own,
//!       └───────────────────────  arrives is kept)  ◄───────────┘    armed while the inbox is empty)
//!                                     not bulk, inbox below half
//! ```

mod receive;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::task::Waker;

use super::buffer::{Block, Chunk};
use super::core::Core;
use super::driver::{Group, Kind, Token};
use super::instant::Instant;
use super::slab::Key;
use super::timer::{Owner, TimerId};

/// Unused working sets that are kept; more go back to the allocator.
const SPARE_ACTIVES: usize = 1024;
/// Queue capacity in chunks above which a working set is not kept for reuse.
const SPARE_QUEUE_CAPACITY: usize = 256;

/// Whose the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::io) enum Phase {
    /// A `Stream` owns it.
    Open,
    /// Idle, accepted: the first bytes make it `Ready`.
    ParkedDownstream,
    /// It has bytes and waits for a worker.
    Ready,
    /// Idle, in an upstream pool: anything that happens closes it.
    ParkedUpstream,
    /// Closing gracefully: sends what is queued, then discards input for a while.
    Lingering,
    /// Nobody's, in the list of those to be closed.
    Doomed,
    /// Nobody's: closed once its operations have ended.
    Closing,
}

/// What receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::io) enum Receive {
    /// Nothing is armed.
    Idle,
    /// The kernel receives into the group's buffers.
    Multishot,
    /// As before, but cancelled: it still may bring bytes, and ends with its final completion.
    Draining,
    /// The kernel receives once into the connection's own buffer.
    Owned,
    /// As before, but cancelled.
    OwnedDraining,
}

/// A connection: what exists as long as its descriptor is open.
pub(in crate::io) struct Connection {
    pub(in crate::io) fd: RawFd,
    pub(in crate::io) phase: Phase,
    pub(in crate::io) receive: Receive,
    /// Which buffers its multishot receive uses.
    pub(in crate::io) group: Group,
    /// Number of its present or last receive.
    sequence: u8,
    /// A large body streams: receive into own buffers, on demand.
    pub(in crate::io) bulk: bool,
    /// Its receive found no buffer, and it waits in a list for one.
    pub(in crate::io) starved: bool,
    /// The peer has ended its direction.
    pub(in crate::io) eof: bool,
    /// Its deadline has passed.
    pub(in crate::io) timed_out: bool,
    /// A send is in flight.
    pub(in crate::io) sending: bool,
    /// It is in the list of those with something to send.
    pub(in crate::io) unsent: bool,
    /// A cancel of the send in flight was submitted.
    pub(in crate::io) send_cancelled: bool,
    pub(in crate::io) shutdown: Shutdown,
    /// Close with a reset.
    pub(in crate::io) reset: bool,
    /// The errno that ended receiving (and with it sending), or 0.
    pub(in crate::io) error: i32,
    /// The errno that ended sending, or 0. Receiving goes on: an upstream that refuses a body may
    /// have sent its response before.
    pub(in crate::io) send_error: i32,
    /// Input that may still be discarded while lingering.
    pub(in crate::io) linger_left: usize,
    /// Its owner's word.
    pub(in crate::io) tag: u64,
    pub(in crate::io) deadline: Instant,
    timer: Option<TimerId>,
    /// Bytes that the kernel has taken for sending.
    pub(in crate::io) sent: u64,
    pub(in crate::io) peer: Option<SocketAddr>,
    /// Queues, wakers, buffers: only while it works.
    pub(in crate::io) active: Option<Box<Active>>,
}

/// How far ending the sending direction has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::io) enum Shutdown {
    No,
    /// Once what is queued has left.
    Wanted,
    Done,
}

/// A working connection's queues, wakers and buffers. Boxed, since the kernel is given pointers
/// into it; it is taken away only when no operation is in flight.
pub(in crate::io) struct Active {
    pub(in crate::io) inbox: VecDeque<Chunk>,
    pub(in crate::io) inbox_len: usize,
    pub(in crate::io) outbox: VecDeque<Chunk>,
    /// Bytes in the outbox.
    pub(in crate::io) queued: usize,
    /// Chunks at the outbox' front that the send in flight carries.
    pub(in crate::io) in_flight: usize,
    pub(in crate::io) read_waker: Option<Waker>,
    pub(in crate::io) write_waker: Option<Waker>,
    /// The writer waits for an empty outbox, not only for room.
    pub(in crate::io) awaits_flush: bool,
    /// What an owned receive writes to.
    pub(in crate::io) own_buffer: Option<Block>,
    pub(in crate::io) vector: super::send::Vector,
}

/// Working sets that wait to be used again. Boxed: a working set keeps its address, since the kernel is
/// given pointers into it.
pub(in crate::io) type SpareActives = Vec<Box<Active>>;

/// The wakers of a connection that lost its waiters.
pub(in crate::io) type Wakers = [Option<Waker>; 2];

impl Active {
    fn new() -> Box<Active> {
        Box::new(Active {
            inbox: VecDeque::with_capacity(4),
            inbox_len: 0,
            outbox: VecDeque::with_capacity(8),
            queued: 0,
            in_flight: 0,
            read_waker: None,
            write_waker: None,
            awaits_flush: false,
            own_buffer: None,
            vector: super::send::Vector::new(),
        })
    }

    /// Gives up everything that is queued.
    fn clear(&mut self) {
        self.inbox.clear();
        self.outbox.clear();
        self.inbox_len = 0;
        self.queued = 0;
        self.in_flight = 0;
        self.own_buffer = None;
    }

    /// Appends received bytes; small segments are copied behind each other, so that the memory
    /// held stays proportional to the bytes however small the peer's segments are.
    fn push_received(&mut self, chunk: Chunk) {
        self.inbox_len += chunk.len();
        let appended = self
            .inbox
            .back_mut()
            .is_some_and(|last| last.try_append(&chunk));
        if !appended {
            self.inbox.push_back(chunk);
        }
    }
}

impl Connection {
    /// Why receiving fails: a deadline that has passed, or what the kernel reported.
    pub(in crate::io) fn receive_failure(&self) -> Option<io::Error> {
        if self.timed_out {
            return Some(io::ErrorKind::TimedOut.into());
        }
        (self.error != 0).then(|| io::Error::from_raw_os_error(self.error))
    }

    /// Why sending fails: as receiving, or by itself.
    pub(in crate::io) fn send_failure(&self) -> Option<io::Error> {
        let own = || (self.send_error != 0).then(|| io::Error::from_raw_os_error(self.send_error));
        self.receive_failure().or_else(own)
    }

    /// An operation has failed.
    pub(in crate::io) fn is_broken(&self) -> bool {
        self.error != 0 || self.send_error != 0
    }

    pub(in crate::io) fn inbox_len(&self) -> usize {
        self.active.as_ref().map_or(0, |active| active.inbox_len)
    }

    pub(in crate::io) fn queued(&self) -> usize {
        self.active.as_ref().map_or(0, |active| active.queued)
    }

    /// Open, nothing received, nothing to send, nothing wrong.
    pub(in crate::io) fn is_clean(&self) -> bool {
        !self.eof
            && !self.is_broken()
            && !self.timed_out
            && !self.sending
            && self.shutdown == Shutdown::No
            && self.inbox_len() == 0
            && self.queued() == 0
    }

    /// The working set, taken from the spare ones if there is none.
    #[inline]
    pub(in crate::io) fn activate(&mut self, spare: &mut SpareActives) -> &mut Active {
        self.active
            .get_or_insert_with(|| spare.pop().unwrap_or_else(Active::new))
    }

    pub(in crate::io) fn take_wakers(&mut self) -> Wakers {
        match &mut self.active {
            Some(active) => [active.read_waker.take(), active.write_waker.take()],
            None => Wakers::default(),
        }
    }

    pub(in crate::io) fn receive_token(&self, key: Key) -> Token {
        let kind = match (self.receive, self.group) {
            (Receive::Owned | Receive::OwnedDraining, _) => Kind::ReceiveOwned,
            (_, Group::Downstream) => Kind::ReceiveDownstream,
            (_, Group::Upstream) => Kind::ReceiveUpstream,
        };
        Token::new(kind, key, self.sequence)
    }
}

impl Core {
    fn publish_load(&self) {
        if let Some(load) = &self.downstream_load {
            load.set(self.stats.downstream_connections.get());
        }
    }

    /// A record for an open, connected socket; receiving starts.
    pub(in crate::io) fn add_connection(
        &mut self,
        fd: RawFd,
        group: Group,
        peer: Option<SocketAddr>,
    ) -> Key {
        let key = self.connections.insert(Connection {
            fd,
            phase: Phase::Open,
            receive: Receive::Idle,
            group,
            sequence: 0,
            bulk: false,
            starved: false,
            eof: false,
            timed_out: false,
            sending: false,
            unsent: false,
            send_cancelled: false,
            shutdown: Shutdown::No,
            reset: false,
            error: 0,
            send_error: 0,
            linger_left: 0,
            tag: 0,
            deadline: Instant::NEVER,
            timer: None,
            sent: 0,
            peer,
            active: None,
        });
        self.stats.connections.set(self.connections.len() as u64);
        if group == Group::Downstream {
            self.stats.downstream_connections.add(1);
            self.publish_load();
        }
        self.arm_receive(key);
        key
    }

    /// The connection's working set, taken from the spare ones if it has none.
    pub(in crate::io) fn activate(&mut self, key: Key) -> Option<&mut Active> {
        let connection = self.connections.get_mut(key)?;
        Some(connection.activate(&mut self.spare_actives))
    }

    /// Takes the working set away from a connection without a stream that has nothing to do.
    pub(in crate::io) fn deactivate_if_idle(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let owned = matches!(connection.receive, Receive::Owned | Receive::OwnedDraining);
        let busy =
            connection.sending || owned || connection.inbox_len() > 0 || connection.queued() > 0;
        if !busy && let Some(active) = connection.active.take() {
            self.keep_active(active);
        }
    }

    /// Keeps an empty working set for the next connection that needs one.
    fn keep_active(&mut self, active: Box<Active>) {
        debug_assert!(active.inbox.is_empty() && active.outbox.is_empty());
        let capacity = active.inbox.capacity().max(active.outbox.capacity());
        if self.spare_actives.len() < SPARE_ACTIVES && capacity <= SPARE_QUEUE_CAPACITY {
            self.spare_actives.push(active);
        }
    }

    /// An operation failed: the connection is of no more use.
    pub(in crate::io) fn on_error(&mut self, key: Key, errno: i32) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.error == 0 {
            connection.error = errno;
        }
        match connection.phase {
            Phase::Open | Phase::Ready => {
                self.wake_reader(key);
                self.wake_writer(key);
            }
            Phase::ParkedDownstream => self.end_idle(key),
            Phase::Lingering => self.begin_close(key),
            Phase::ParkedUpstream => self.lose_parked_upstream(key),
            Phase::Doomed | Phase::Closing => {}
        }
    }

    pub(in crate::io) fn wake_reader(&mut self, key: Key) {
        if let Some(active) = self
            .connections
            .get_mut(key)
            .and_then(|c| c.active.as_mut())
        {
            self.wakes.extend(active.read_waker.take());
        }
    }

    pub(in crate::io) fn wake_writer(&mut self, key: Key) {
        if let Some(active) = self
            .connections
            .get_mut(key)
            .and_then(|c| c.active.as_mut())
        {
            self.wakes.extend(active.write_waker.take());
        }
    }

    /// Sets the deadline. A later one is only stored: the timer, when it fires, moves on to it.
    pub(in crate::io) fn set_deadline(&mut self, key: Key, at: Instant) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.deadline = at;
        connection.timed_out = false;
        if at == Instant::NEVER {
            return;
        }
        match connection.timer {
            Some(timer) => self.wheel.advance_to(timer, at),
            None => connection.timer = Some(self.wheel.insert(at, Owner::Connection(key))),
        }
    }

    pub(in crate::io) fn on_deadline(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.timer = None;
        if connection.deadline == Instant::NEVER {
            return;
        }
        if connection.deadline > self.now {
            connection.timer = Some(
                self.wheel
                    .insert(connection.deadline, Owner::Connection(key)),
            );
            return;
        }
        match connection.phase {
            Phase::Open | Phase::Ready => {
                connection.timed_out = true;
                self.wake_reader(key);
                self.wake_writer(key);
            }
            Phase::ParkedDownstream | Phase::Lingering => self.begin_close(key),
            Phase::ParkedUpstream => self.lose_parked_upstream(key),
            Phase::Doomed | Phase::Closing => {}
        }
    }

    /// Puts a connection that nobody owns any more into the list of those to be closed.
    pub(in crate::io) fn doom(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        match connection.phase {
            Phase::ParkedDownstream => self.stats.parked_downstream.sub(1),
            Phase::ParkedUpstream => self.stats.parked_upstream.sub(1),
            Phase::Doomed | Phase::Closing => return,
            Phase::Open | Phase::Ready | Phase::Lingering => {}
        }
        connection.phase = Phase::Doomed;
        self.closing.push_back(key);
    }

    /// Gives the connection up: cancels what is in flight, closes once that has ended. Bytes that
    /// were queued but have not left make it a reset, so that the peer does not take a part for
    /// the whole.
    pub(in crate::io) fn begin_close(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.phase == Phase::Closing {
            return;
        }
        match connection.phase {
            Phase::ParkedDownstream => self.stats.parked_downstream.sub(1),
            Phase::ParkedUpstream => self.stats.parked_upstream.sub(1),
            _ => {}
        }
        connection.phase = Phase::Closing;
        if let Some(timer) = connection.timer.take() {
            self.wheel.remove(timer);
        }
        self.drain_receive(key);
        self.cancel_send(key);
        self.finish_close(key);
    }

    /// Closes the descriptor and frees the record of a closing connection without operations.
    pub(in crate::io) fn finish_close(&mut self, key: Key) {
        let done = self
            .connections
            .get(key)
            .is_some_and(|c| c.phase == Phase::Closing && c.receive == Receive::Idle && !c.sending);
        if !done {
            return;
        }
        let Some(mut connection) = self.connections.remove(key) else {
            return;
        };
        if connection.reset || connection.queued() > 0 {
            self.driver.reset_on_close(connection.fd);
        }
        self.driver.close(connection.fd);
        let wakers = connection.take_wakers();
        self.wakes.extend(wakers.into_iter().flatten());
        if let Some(mut active) = connection.active.take() {
            active.clear();
            self.keep_active(active);
        }
        if connection.group == Group::Downstream {
            self.stats.downstream_connections.sub(1);
            self.publish_load();
        }
        self.stats.connections.set(self.connections.len() as u64);
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn an_idle_connections_record_stays_small() {
        assert!(
            size_of::<Connection>() <= 160,
            "{} bytes",
            size_of::<Connection>()
        );
    }
}
