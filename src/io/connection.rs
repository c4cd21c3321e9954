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

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::task::Waker;

use super::buffer::{Block, Chunk};
use super::core::Core;
use super::driver::{Group, Kind, Op, Token, received};
use super::instant::Instant;
use super::slab::Key;
use super::timer::{Owner, TimerId};

/// Unused working sets that are kept; more go back to the allocator.
const SPARE_ACTIVES: usize = 1024;
/// Queue capacity in chunks above which a working set is not kept for reuse.
const SPARE_QUEUE_CAPACITY: usize = 256;

/// Whose the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
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
pub(super) enum Receive {
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
pub(super) struct Connection {
    pub(super) fd: RawFd,
    pub(super) phase: Phase,
    pub(super) receive: Receive,
    /// Which buffers its multishot receive uses.
    pub(super) group: Group,
    /// Number of its present or last receive.
    sequence: u8,
    /// A large body streams: receive into own buffers, on demand.
    pub(super) bulk: bool,
    /// Its receive found no buffer, and it waits in a list for one.
    pub(super) starved: bool,
    /// The peer has ended its direction.
    pub(super) eof: bool,
    /// Its deadline has passed.
    pub(super) timed_out: bool,
    /// A send is in flight.
    pub(super) sending: bool,
    /// It is in the list of those with something to send.
    pub(super) unsent: bool,
    /// A cancel of the send in flight was submitted.
    pub(super) send_cancelled: bool,
    pub(super) shutdown: Shutdown,
    /// Close with a reset.
    pub(super) reset: bool,
    /// The errno that ended receiving (and with it sending), or 0.
    pub(super) error: i32,
    /// The errno that ended sending, or 0. Receiving goes on: an upstream that refuses a body may
    /// have sent its response before.
    pub(super) send_error: i32,
    /// Input that may still be discarded while lingering.
    pub(super) linger_left: usize,
    /// Its owner's word.
    pub(super) tag: u64,
    pub(super) deadline: Instant,
    timer: Option<TimerId>,
    /// Bytes that the kernel has taken for sending.
    pub(super) sent: u64,
    pub(super) peer: Option<SocketAddr>,
    /// Queues, wakers, buffers: only while it works.
    pub(super) active: Option<Box<Active>>,
}

/// How far ending the sending direction has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shutdown {
    No,
    /// Once what is queued has left.
    Wanted,
    Done,
}

/// A working connection's queues, wakers and buffers. Boxed, since the kernel is given pointers
/// into it; it is taken away only when no operation is in flight.
pub(super) struct Active {
    pub(super) inbox: VecDeque<Chunk>,
    pub(super) inbox_len: usize,
    pub(super) outbox: VecDeque<Chunk>,
    /// Bytes in the outbox.
    pub(super) queued: usize,
    /// Chunks at the outbox' front that the send in flight carries.
    pub(super) in_flight: usize,
    pub(super) read_waker: Option<Waker>,
    pub(super) write_waker: Option<Waker>,
    /// The writer waits for an empty outbox, not only for room.
    pub(super) awaits_flush: bool,
    /// What an owned receive writes to.
    pub(super) own_buffer: Option<Block>,
    pub(super) vector: super::send::Vector,
}

/// Working sets that wait to be used again. Boxed: a working set keeps its address, since the kernel is
/// given pointers into it.
pub(super) type SpareActives = Vec<Box<Active>>;

/// The wakers of a connection that lost its waiters.
pub(super) type Wakers = [Option<Waker>; 2];

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
    pub(super) fn receive_failure(&self) -> Option<io::Error> {
        if self.timed_out {
            return Some(io::ErrorKind::TimedOut.into());
        }
        (self.error != 0).then(|| io::Error::from_raw_os_error(self.error))
    }

    /// Why sending fails: as receiving, or by itself.
    pub(super) fn send_failure(&self) -> Option<io::Error> {
        let own = || (self.send_error != 0).then(|| io::Error::from_raw_os_error(self.send_error));
        self.receive_failure().or_else(own)
    }

    /// An operation has failed.
    pub(super) fn is_broken(&self) -> bool {
        self.error != 0 || self.send_error != 0
    }

    pub(super) fn inbox_len(&self) -> usize {
        self.active.as_ref().map_or(0, |active| active.inbox_len)
    }

    pub(super) fn queued(&self) -> usize {
        self.active.as_ref().map_or(0, |active| active.queued)
    }

    /// Open, nothing received, nothing to send, nothing wrong.
    pub(super) fn is_clean(&self) -> bool {
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
    pub(super) fn activate(&mut self, spare: &mut SpareActives) -> &mut Active {
        self.active
            .get_or_insert_with(|| spare.pop().unwrap_or_else(Active::new))
    }

    pub(super) fn take_wakers(&mut self) -> Wakers {
        match &mut self.active {
            Some(active) => [active.read_waker.take(), active.write_waker.take()],
            None => Wakers::default(),
        }
    }

    fn receive_token(&self, key: Key) -> Token {
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
    pub(super) fn add_connection(
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
    pub(super) fn activate(&mut self, key: Key) -> Option<&mut Active> {
        let connection = self.connections.get_mut(key)?;
        Some(connection.activate(&mut self.spare_actives))
    }

    /// Takes the working set away from a connection without a stream that has nothing to do.
    pub(super) fn deactivate_if_idle(&mut self, key: Key) {
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

    /// Starts to receive, if nothing is armed and the connection's state wants bytes.
    pub(super) fn arm_receive(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let c = &*connection;
        if c.receive != Receive::Idle || c.eof || c.error != 0 || c.starved {
            return;
        }
        if matches!(c.phase, Phase::Doomed | Phase::Closing) {
            return;
        }
        if c.bulk && c.phase == Phase::Open {
            let wanted = c
                .active
                .as_ref()
                .is_some_and(|a| a.inbox_len == 0 && a.read_waker.is_some());
            if wanted {
                self.arm_owned(key);
            }
            return;
        }
        if c.inbox_len() >= self.config.inbox_limit / 2 && c.inbox_len() > 0 {
            return;
        }
        let connection = self.connections.get_mut(key).expect("looked up above");
        connection.sequence = connection.sequence.wrapping_add(1);
        connection.receive = Receive::Multishot;
        let token = connection.receive_token(key);
        // SAFETY: the operation refers to no memory of its own, only to the group's buffers.
        unsafe {
            self.driver
                .submit(token, Op::ReceiveMany { fd: connection.fd })
        };
    }

    fn arm_owned(&mut self, key: Key) {
        let Some(block) = self.pool.take_for_body(self.config.bulk_buffer_size) else {
            self.starve(key);
            return;
        };
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let Some(active) = &mut connection.active else {
            return;
        };
        let op = Op::ReceiveOwned {
            fd: connection.fd,
            data: block.data(),
            len: block.capacity() as u32,
        };
        active.own_buffer = Some(block);
        connection.sequence = connection.sequence.wrapping_add(1);
        connection.receive = Receive::Owned;
        let token = connection.receive_token(key);
        // SAFETY: the block stays in the working set, which is not taken away while an owned
        // receive is in flight, until the final completion takes it out.
        unsafe { self.driver.submit(token, op) };
    }

    fn starve(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.starved {
            return;
        }
        connection.starved = true;
        let waits_for_head = connection.inbox_len() == 0 && !connection.bulk;
        if waits_for_head {
            self.starved_heads.push_back(key);
        } else {
            self.starved.push_back(key);
        }
    }

    /// Cancels whatever receives. Bytes that have arrived are kept.
    pub(super) fn drain_receive(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let draining = match connection.receive {
            Receive::Multishot => Receive::Draining,
            Receive::Owned => Receive::OwnedDraining,
            Receive::Idle | Receive::Draining | Receive::OwnedDraining => return,
        };
        connection.receive = draining;
        let token = connection.receive_token(key);
        self.driver.cancel(token);
    }

    pub(super) fn on_receive(
        &mut self,
        key: Key,
        token: Token,
        result: i32,
        more: bool,
        chunk: Option<Chunk>,
    ) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if token.sequence() != connection.sequence {
            debug_assert!(false, "a receive ends before the next one is armed");
            return;
        }
        let mut chunk = chunk;
        if !more {
            connection.receive = Receive::Idle;
            if token.kind() == Kind::ReceiveOwned
                && let Some(block) = connection
                    .active
                    .as_mut()
                    .and_then(|active| active.own_buffer.take())
                && result > 0
            {
                // SAFETY: the receive has completed: `result` bytes are written, no more follow.
                chunk = Some(unsafe { received(block, result as usize) });
            }
        }
        match result {
            1.. => {
                if let Some(chunk) = chunk {
                    self.on_bytes(key, chunk);
                }
            }
            // With `more`, zero is not an end (the kernel reports ends with its final completion).
            0 if !more => self.on_eof(key),
            0 => {}
            _ => match -result {
                libc::ENOBUFS => {
                    self.stats.enobufs.add(1);
                    self.starve(key);
                }
                libc::ECANCELED | libc::EINTR | libc::EAGAIN => {}
                errno => self.on_error(key, errno),
            },
        }
        if !more {
            self.arm_receive(key);
            self.finish_close(key);
            if self
                .connections
                .get(key)
                .is_some_and(|c| c.phase == Phase::ParkedDownstream)
            {
                self.deactivate_if_idle(key);
            }
        }
    }

    fn on_bytes(&mut self, key: Key, chunk: Chunk) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        match connection.phase {
            Phase::Open | Phase::Ready => {}
            Phase::ParkedDownstream => {
                connection.phase = Phase::Ready;
                connection.deadline = Instant::NEVER;
                self.stats.parked_downstream.sub(1);
                self.ready.push(key, &mut self.wakes);
            }
            Phase::ParkedUpstream => {
                self.lose_parked_upstream(key);
                return;
            }
            Phase::Lingering => {
                connection.linger_left = connection.linger_left.saturating_sub(chunk.len());
                if connection.linger_left == 0 {
                    self.begin_close(key);
                }
                return;
            }
            Phase::Doomed | Phase::Closing => return,
        }
        let multishot = connection.receive == Receive::Multishot;
        let active = connection.activate(&mut self.spare_actives);
        active.push_received(chunk);
        if let Some(waker) = active.read_waker.take() {
            self.wakes.push(waker);
        }
        if active.inbox_len >= self.config.inbox_limit && multishot {
            self.stats.inbox_pauses.add(1);
            self.drain_receive(key);
        }
    }

    fn on_eof(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        // The system tells a reset once: if a send was told, receiving sees an ordinary end. (A
        // send told EPIPE was late: the peer had ended its direction in order before.)
        if !matches!(connection.send_error, 0 | libc::EPIPE) {
            let errno = connection.send_error;
            return self.on_error(key, errno);
        }
        connection.eof = true;
        match connection.phase {
            Phase::Open | Phase::Ready => self.wake_reader(key),
            Phase::ParkedDownstream => self.begin_close(key),
            Phase::ParkedUpstream => self.lose_parked_upstream(key),
            Phase::Lingering if connection.shutdown == Shutdown::Done => self.begin_close(key),
            Phase::Lingering | Phase::Doomed | Phase::Closing => {}
        }
    }

    /// An operation failed: the connection is of no more use.
    pub(super) fn on_error(&mut self, key: Key, errno: i32) {
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
            Phase::ParkedDownstream | Phase::Lingering => self.begin_close(key),
            Phase::ParkedUpstream => self.lose_parked_upstream(key),
            Phase::Doomed | Phase::Closing => {}
        }
    }

    pub(super) fn wake_reader(&mut self, key: Key) {
        if let Some(active) = self
            .connections
            .get_mut(key)
            .and_then(|c| c.active.as_mut())
        {
            self.wakes.extend(active.read_waker.take());
        }
    }

    pub(super) fn wake_writer(&mut self, key: Key) {
        if let Some(active) = self
            .connections
            .get_mut(key)
            .and_then(|c| c.active.as_mut())
        {
            self.wakes.extend(active.write_waker.take());
        }
    }

    /// Sets the deadline. A later one is only stored: the timer, when it fires, moves on to it.
    pub(super) fn set_deadline(&mut self, key: Key, at: Instant) {
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

    pub(super) fn on_deadline(&mut self, key: Key) {
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
    pub(super) fn doom(&mut self, key: Key) {
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
    pub(super) fn begin_close(&mut self, key: Key) {
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
    pub(super) fn finish_close(&mut self, key: Key) {
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
