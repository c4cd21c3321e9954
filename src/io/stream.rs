//! [`Stream`]: the public face of one connection. Every method is a short look at its record;
//! waiting is poll-based, and dropping a future that waits loses nothing, since received bytes
//! wait in the inbox and queued ones belong to the connection.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use super::accept::Accepted;
use super::buffer::Chunk;
use super::connection::{Connection, Receive, Shutdown};
use super::core::{Core, remember};
use super::driver::Group;
use super::instant::Instant;
use super::park::ParkedId;
use super::reactor::Handle;
use super::slab::Key;

/// One open TCP or Unix stream connection.
///
/// At most one task waits for reading and one for writing at a time (it may be the same one); a
/// later waiter replaces an earlier one. Dropping a stream closes it: operations in flight are
/// cancelled first, and if queued bytes have not left, the close is a reset, so that the peer
/// does not take a part for the whole. Use [`Stream::close_gracefully`] to end in order; a stream
/// on which [`Stream::shutdown_write`] was called closes that way when it is dropped.
pub struct Stream {
    handle: Handle,
    key: Key,
}

impl Stream {
    pub(super) fn new(handle: Handle, key: Key) -> Stream {
        handle.counters().streams.add(1);
        Stream { handle, key }
    }

    fn with<R>(&self, access: impl FnOnce(&mut Core) -> R) -> R {
        access(&mut self.handle.core())
    }

    fn with_record<R>(&self, access: impl FnOnce(&mut Connection) -> R) -> R {
        let mut core = self.handle.core();
        access(
            core.connections
                .get_mut(self.key)
                .expect("a stream owns its connection"),
        )
    }

    /// Ends the stream without closing the connection.
    fn release(self) -> (Handle, Key) {
        let stream = std::mem::ManuallyDrop::new(self);
        // SAFETY: read once; `ManuallyDrop` keeps the original from being dropped.
        let handle = unsafe { std::ptr::read(&stream.handle) };
        handle.counters().streams.sub(1);
        (handle, stream.key)
    }

    /// The reactor's handle.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The peer's address; `None` for a Unix socket. Kept in the record: costs no system call.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.with_record(|c| c.peer)
    }

    /// The own address, asked from the system; `None` for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.with(|core| core.driver.local_addr(core.connections.get(self.key)?.fd))
    }

    /// The owner's word; 0 at first, or the listener's tag for an adopted connection. It survives
    /// parking.
    pub fn tag(&self) -> u64 {
        self.with_record(|c| c.tag)
    }

    /// Sets the owner's word.
    pub fn set_tag(&self, tag: u64) {
        self.with_record(|c| c.tag = tag);
    }

    /// Ready when the inbox has bytes (`true`) or the peer has ended its direction and all bytes
    /// were taken (`false`).
    ///
    /// # Errors
    /// `TimedOut` after the deadline, even if bytes wait; the system's error (such as
    /// `ConnectionReset`) once the bytes received before it were taken. A failed send alone is no
    /// error here: a response may have come before.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let core = &mut *self.handle.core();
        let connection = core
            .connections
            .get_mut(self.key)
            .expect("a stream owns its connection");
        if connection.inbox_len() > 0 && !connection.timed_out {
            return Poll::Ready(Ok(true));
        }
        if let Some(error) = connection.receive_failure() {
            return Poll::Ready(Err(error));
        }
        if connection.eof {
            return Poll::Ready(Ok(false));
        }
        let idle = connection.receive == Receive::Idle;
        let active = core
            .activate(self.key)
            .expect("a stream owns its connection");
        // A replaced waker is dropped by the loop, outside of the borrow.
        let replaced = remember(&mut active.read_waker, cx);
        core.wakes.extend(replaced);
        if idle {
            core.arm_receive(self.key);
        }
        Poll::Pending
    }

    /// See [`Stream::poll_readable`].
    pub async fn readable(&self) -> io::Result<bool> {
        std::future::poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// Takes the next received bytes.
    pub fn take(&self) -> Option<Chunk> {
        let core = &mut *self.handle.core();
        let connection = core.connections.get_mut(self.key)?;
        let active = connection.active.as_mut()?;
        let chunk = active.inbox.pop_front()?;
        active.inbox_len -= chunk.len();
        if connection.receive == Receive::Idle {
            core.arm_receive(self.key);
        }
        Some(chunk)
    }

    /// Puts bytes back to the front of the inbox.
    pub fn unread(&self, chunk: Chunk) {
        if chunk.is_empty() {
            return;
        }
        self.with(|core| {
            let active = core
                .activate(self.key)
                .expect("a stream owns its connection");
            active.inbox_len += chunk.len();
            active.inbox.push_front(chunk);
        });
    }

    /// Bytes received and not yet taken.
    pub fn inbox_len(&self) -> usize {
        self.with_record(|c| c.inbox_len())
    }

    /// Queues bytes to send. What is queued in one turn leaves together when the turn ends, in
    /// one send. Without effect on a connection that is broken or shut down for writing; the
    /// next [`Stream::poll_ready`] or [`Stream::poll_flushed`] tells the former.
    pub fn queue(&self, chunk: Chunk) {
        self.with(|core| core.queue(self.key, chunk));
    }

    /// As [`Stream::queue`], copying: into the last queued buffer if it has room. For many small
    /// pieces.
    pub fn queue_slice(&self, bytes: &[u8]) {
        self.with(|core| core.queue_slice(self.key, bytes));
    }

    /// Bytes queued that the kernel has not taken yet.
    pub fn queued_len(&self) -> usize {
        self.with_record(|c| c.queued())
    }

    /// Ready when fewer than the limit of bytes (64 KiB by default) are queued.
    ///
    /// # Errors
    /// `TimedOut` after the deadline; the system's error of an earlier send or receive.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_sent(cx, false)
    }

    /// See [`Stream::poll_ready`].
    pub async fn ready(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_ready(cx)).await
    }

    /// Ready when the kernel has taken everything that was queued.
    ///
    /// # Errors
    /// As [`Stream::poll_ready`].
    pub fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_sent(cx, true)
    }

    /// See [`Stream::poll_flushed`].
    pub async fn flushed(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_flushed(cx)).await
    }

    fn poll_sent(&self, cx: &mut Context<'_>, all: bool) -> Poll<io::Result<()>> {
        let core = &mut *self.handle.core();
        let limit = if all { 1 } else { core.config.send_limit };
        let connection = core
            .connections
            .get_mut(self.key)
            .expect("a stream owns its connection");
        if let Some(error) = connection.send_failure() {
            return Poll::Ready(Err(error));
        }
        if connection.queued() < limit {
            return Poll::Ready(Ok(()));
        }
        let active = core
            .activate(self.key)
            .expect("a stream owns its connection");
        active.awaits_flush = all;
        // A replaced waker is dropped by the loop, outside of the borrow.
        let replaced = remember(&mut active.write_waker, cx);
        core.wakes.extend(replaced);
        Poll::Pending
    }

    /// When it passes, pending and later polls give `TimedOut`, until the deadline is set again.
    /// Setting a later one is a store.
    pub fn set_deadline(&self, at: Option<Instant>) {
        self.with(|core| core.set_deadline(self.key, at.unwrap_or(Instant::NEVER)));
    }

    /// `true`: a large body comes. Receiving changes to owned 64 KiB buffers, one at a time and
    /// only while the inbox is empty and somebody waits for it, so that the peer is slowed down
    /// by the kernel's window. `false`: back to the shared buffers.
    pub fn bulk(&self, on: bool) {
        self.with(|core| {
            let Some(connection) = core.connections.get_mut(self.key) else {
                return;
            };
            connection.bulk = on;
            if on && connection.receive == Receive::Multishot {
                core.drain_receive(self.key);
            }
            if !on {
                core.arm_receive(self.key);
            }
        });
    }

    /// Ends the sending direction (FIN) once everything queued has left. What is queued later is
    /// dropped. Receiving goes on.
    pub fn shutdown_write(&self) {
        self.with(|core| core.shutdown_write(self.key));
    }

    /// Whether [`Stream::shutdown_write`] was called.
    pub fn is_write_shut_down(&self) -> bool {
        self.with_record(|c| c.shutdown != Shutdown::No)
    }

    /// Open, no end or error seen, empty inbox, nothing queued or in flight: fit for a pool.
    pub fn is_clean(&self) -> bool {
        self.with_record(|c| c.is_clean())
    }

    /// The peer has ended its direction, or an operation failed; bytes received before may still
    /// wait in the inbox.
    pub fn is_ended(&self) -> bool {
        self.with_record(|c| c.eof || c.is_broken())
    }

    /// Bytes that the kernel has taken for sending.
    pub fn bytes_sent(&self) -> u64 {
        self.with_record(|c| c.sent)
    }

    /// Bytes that the peer's kernel has acknowledged, to tell a slow reader from a stalled one; on
    /// a connection that was connected from here it may count one more (its SYN). A system call:
    /// for watchdogs, not per request. For a Unix socket, as [`Stream::bytes_sent`].
    pub fn bytes_acknowledged(&self) -> u64 {
        self.with(|core| {
            let connection = core
                .connections
                .get(self.key)
                .expect("a stream owns its connection");
            core.driver
                .acknowledged(connection.fd)
                .unwrap_or(connection.sent)
        })
    }

    /// Ends in order, without a task: sends what is queued (for at most 10 s), shuts down
    /// writing, discards up to 1 MiB or 2 s of input so that a reset does not destroy the last
    /// response, closes. The limits are [`ReactorConfig`](super::ReactorConfig)'s.
    pub fn close_gracefully(self) {
        let (handle, key) = self.release();
        handle.core().close_gracefully(key);
    }

    /// Closes an accepted connection with which nothing more is to be done: in order if something queued is
    /// still leaving ([`Stream::close_gracefully`]), else at once.
    pub fn end(self) {
        let (handle, key) = self.release();
        handle.core().end_idle(key);
    }

    /// Closes with a reset (RST). Queued bytes are lost.
    pub fn abort(self) {
        self.with_record(|c| c.reset = true);
    }

    /// Leaves an idle accepted connection to the reactor: it keeps no task and no buffer. Its
    /// first bytes bring it back through [`Handle::next_ready`]; its end, an error or the
    /// deadline closes it. If bytes wait already it is ready at once.
    pub fn park_downstream(self, deadline: Instant) {
        let (handle, key) = self.release();
        let wakers = handle.core().park_downstream(key, deadline);
        drop(wakers);
    }

    /// Leaves an idle upstream connection to the reactor, to be taken back with
    /// [`Handle::unpark`]. Its end, an error, the deadline, or any byte received closes it. A
    /// stream that is not clean is closed at once, and its id names nothing.
    pub fn park_upstream(self, deadline: Instant) -> ParkedId {
        let (handle, key) = self.release();
        let wakers = handle.core().park_upstream(key, deadline);
        drop(wakers);
        ParkedId(key)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.handle.counters().streams.sub(1);
        self.handle.core().abandon(self.key);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("slot", &self.key.index)
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// A stream on an accepted connection, of this reactor or another one, or on a connected
    /// socket from elsewhere. Uses the downstream buffers; its tag is the listener's.
    pub fn adopt(&self, accepted: impl Into<Accepted>) -> Stream {
        self.adopt_into(accepted.into(), Group::Downstream)
    }

    /// As [`Handle::adopt`], with the upstream buffers.
    pub fn adopt_upstream(&self, connected: impl Into<Accepted>) -> Stream {
        self.adopt_into(connected.into(), Group::Upstream)
    }

    fn adopt_into(&self, accepted: Accepted, group: Group) -> Stream {
        let Accepted { socket, tag, peer } = accepted;
        let core = &mut *self.core();
        let fd = core.driver.disown(socket);
        let key = core.add_connection(fd, group, peer);
        if let Some(connection) = core.connections.get_mut(key) {
            connection.tag = u64::from(tag);
        }
        Stream::new(self.clone(), key)
    }
}
