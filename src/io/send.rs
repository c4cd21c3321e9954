//! How a connection sends: chunks are queued by ownership, and what was queued during a turn
//! leaves in one operation when the turn ends. Not for: deciding what to send.
//!
//! One send is in flight per connection. It carries the chunks at the outbox' front, which stay
//! there until it has completed; chunks queued meanwhile wait behind them.

use super::buffer::{Buffer, Chunk};
use super::connection::{Active, Connection, Phase, Shutdown};
use super::core::Core;
use super::driver::{Kind, Op, Token};
use super::slab::Key;

/// Chunks per send (the kernel copies short vectors cheaply; the rest leaves with the next one).
const MAX_VECTOR: usize = 32;

/// A chunk of up to so many bytes is copied behind the one before it, if that has room: many small ones would
/// each hold a block of several KiB (and take a place in the vector) for as long as the peer does not read.
const MERGED_BYTES: usize = 1024;

/// The message header and vector that a vectored send refers to while it is in flight.
pub(super) struct Vector {
    header: libc::msghdr,
    parts: Vec<libc::iovec>,
}

impl Vector {
    pub(super) fn new() -> Vector {
        // SAFETY: all-zero is a valid `msghdr`: null pointers and zero lengths.
        let header = unsafe { std::mem::zeroed() };
        Vector {
            header,
            parts: Vec::with_capacity(4),
        }
    }

    /// Fills it with views on `chunks` and returns the header's address.
    fn fill<'a>(&mut self, chunks: impl Iterator<Item = &'a Chunk>) -> *const libc::msghdr {
        self.parts.clear();
        self.parts.extend(chunks.map(|chunk| libc::iovec {
            iov_base: chunk.as_ptr().cast_mut().cast(),
            iov_len: chunk.len(),
        }));
        self.header.msg_iov = self.parts.as_mut_ptr();
        self.header.msg_iovlen = self.parts.len() as _;
        &self.header
    }
}

impl Connection {
    /// Puts the connection into the list of those with something to send.
    fn mark_unsent(&mut self, key: Key, unsent: &mut Vec<Key>) {
        if !self.unsent && !self.sending {
            self.unsent = true;
            unsent.push(key);
        }
    }
}

impl Active {
    /// Copies bytes into the last queued chunk; false if it has no room, is in flight or viewed elsewhere.
    fn append_queued(&mut self, bytes: &[u8]) -> bool {
        self.outbox.len() > self.in_flight
            && self
                .outbox
                .back_mut()
                .is_some_and(|last| last.try_append(bytes))
    }
}

impl Core {
    /// Queues a chunk; it leaves at the end of the turn, or after the send in flight.
    pub(super) fn queue(&mut self, key: Key, chunk: Chunk) {
        if chunk.is_empty() {
            return;
        }
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        // A broken connection takes nothing more; its owner learns it from the next poll.
        if connection.is_broken() || connection.shutdown != Shutdown::No {
            return;
        }
        let active = connection.activate(&mut self.spare_actives);
        active.queued += chunk.len();
        if chunk.len() > MERGED_BYTES || !active.append_queued(&chunk) {
            active.outbox.push_back(chunk);
        }
        connection.mark_unsent(key, &mut self.unsent);
    }

    /// Copies bytes behind what is queued: into the last chunk if it has room and is not in flight.
    pub(super) fn queue_slice(&mut self, key: Key, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if bytes.is_empty() || connection.is_broken() || connection.shutdown != Shutdown::No {
            return;
        }
        if let Some(active) = &mut connection.active
            && active.append_queued(bytes)
        {
            active.queued += bytes.len();
            return;
        }
        let mut buffer = Buffer::new(&self.pool, self.config.downstream_buffers.size);
        buffer.extend_from_slice(bytes);
        self.queue(key, buffer.freeze());
    }

    /// Submits one send for each connection with queued chunks and none in flight.
    pub(super) fn submit_sends(&mut self) {
        let mut unsent =
            std::mem::replace(&mut self.unsent, std::mem::take(&mut self.unsent_scratch));
        for key in unsent.drain(..) {
            self.submit_send(key);
        }
        self.unsent_scratch = unsent;
    }

    fn submit_send(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.unsent = false;
        if connection.sending || connection.phase == Phase::Closing || connection.is_broken() {
            return;
        }
        let Some(active) = &mut connection.active else {
            return;
        };
        active.in_flight = active.outbox.len().min(MAX_VECTOR);
        let op = match active.in_flight {
            0 => return,
            1 => {
                let chunk = &active.outbox[0];
                // One operation carries at most 4 GiB; the rest of a longer chunk follows as if
                // the kernel had taken a part.
                Op::Send {
                    fd: connection.fd,
                    data: chunk.as_ptr(),
                    len: u32::try_from(chunk.len()).unwrap_or(u32::MAX),
                }
            }
            n => Op::SendVectored {
                fd: connection.fd,
                message: active.vector.fill(active.outbox.iter().take(n)),
            },
        };
        connection.sending = true;
        connection.send_cancelled = false;
        // SAFETY: chunks and vector stay in the boxed working set, untouched, until the
        // completion: chunks are taken off the front only by it, `try_append` leaves those in
        // flight alone, and the working set is kept while `sending`.
        unsafe { self.driver.submit(Token::new(Kind::Send, key, 0), op) };
    }

    pub(super) fn on_sent(&mut self, key: Key, result: i32) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.sending = false;
        if let Some(active) = &mut connection.active {
            let taken = usize::try_from(result).unwrap_or(0);
            active.in_flight = 0;
            active.queued -= remove_front(&mut active.outbox, taken);
            connection.sent += taken as u64;
        }
        if connection.phase == Phase::Closing {
            self.finish_close(key);
            return;
        }
        match -result {
            ..0 => {}
            libc::EINTR | libc::EAGAIN => {}
            // Taking nothing of a non-empty send would repeat for ever.
            0 => self.fail_sending(key, libc::EPIPE),
            errno => self.fail_sending(key, errno),
        }
        self.after_send(key);
    }

    /// What follows when a send has completed: the next one, a shutdown, a waiting writer.
    pub(super) fn after_send(&mut self, key: Key) {
        let send_limit = self.config.send_limit;
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let phase = connection.phase;
        let Some(active) = &mut connection.active else {
            self.after_flush(key);
            return;
        };
        let queued = active.queued;
        let satisfied = if active.awaits_flush {
            queued == 0
        } else {
            queued < send_limit
        };
        if satisfied && let Some(waker) = active.write_waker.take() {
            self.wakes.push(waker);
        }
        if queued > 0 {
            connection.mark_unsent(key, &mut self.unsent);
        } else {
            if connection.shutdown != Shutdown::No {
                self.after_flush(key);
            }
            if phase == Phase::ParkedDownstream {
                self.deactivate_if_idle(key);
            }
        }
    }

    /// Everything queued has left: ends the direction if that was asked for.
    fn after_flush(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.sending || connection.queued() > 0 {
            return;
        }
        if connection.shutdown == Shutdown::Wanted {
            connection.shutdown = Shutdown::Done;
            if !connection.is_broken() {
                self.driver.shutdown_write(connection.fd);
            }
        }
        if connection.phase == Phase::Lingering && connection.shutdown == Shutdown::Done {
            if connection.eof || connection.is_broken() {
                self.begin_close(key);
            } else {
                let end = self.now + self.config.linger_time;
                self.set_deadline(key, end);
            }
        }
    }

    /// Asks for the end of the sending direction once everything queued has left.
    pub(super) fn shutdown_write(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key)
            && connection.shutdown == Shutdown::No
        {
            connection.shutdown = Shutdown::Wanted;
            self.after_flush(key);
        }
    }

    fn fail_sending(&mut self, key: Key, errno: i32) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.send_error = errno;
        if let Some(active) = &mut connection.active {
            active.outbox.clear();
            active.queued = 0;
        }
        match connection.phase {
            Phase::Open | Phase::Ready => self.wake_writer(key),
            Phase::ParkedDownstream | Phase::Lingering => self.begin_close(key),
            Phase::ParkedUpstream => self.lose_parked_upstream(key),
            Phase::Doomed | Phase::Closing => {}
        }
    }

    pub(super) fn cancel_send(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key)
            && connection.sending
            && !connection.send_cancelled
        {
            connection.send_cancelled = true;
            self.driver
                .cancel(Token::new(Kind::Send, key, 0), connection.fd);
        }
    }

    /// A stream was dropped. Bytes before an announced end of the direction are still sent.
    pub(super) fn abandon(&mut self, key: Key) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        if connection.shutdown == Shutdown::Wanted && connection.queued() > 0 && !connection.reset {
            self.close_gracefully(key);
        } else {
            self.doom(key);
        }
    }

    /// Flush, shut down writing, discard some input, close: all without a task.
    pub(super) fn close_gracefully(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        // Without anything to wait for, closing at once is in order too.
        if connection.is_broken() || connection.eof && connection.queued() == 0 {
            self.doom(key);
            return;
        }
        if connection.phase == Phase::ParkedDownstream {
            self.stats.parked_downstream.sub(1);
        }
        connection.phase = Phase::Lingering;
        connection.bulk = false;
        connection.linger_left = self.config.linger_bytes;
        let unread = connection.inbox_len();
        if let Some(active) = &mut connection.active {
            active.inbox.clear();
            active.inbox_len = 0;
            self.wakes.extend(active.read_waker.take());
            self.wakes.extend(active.write_waker.take());
        }
        connection.linger_left = connection.linger_left.saturating_sub(unread);
        let flush_end = self.now + self.config.flush_timeout;
        self.set_deadline(key, flush_end);
        self.shutdown_write(key);
        if let Some(connection) = self.connections.get_mut(key) {
            // It was shut down before: there is no completion that goes on from here.
            if connection.shutdown == Shutdown::Done && connection.phase == Phase::Lingering {
                self.after_flush(key);
            }
            self.arm_receive(key);
        }
    }
}

/// Takes `n` bytes off the front of a queue of chunks; returns how many there were.
fn remove_front(queue: &mut std::collections::VecDeque<Chunk>, n: usize) -> usize {
    let mut left = n;
    while left > 0 {
        let Some(front) = queue.front_mut() else {
            break;
        };
        if front.len() > left {
            front.advance(left);
            left = 0;
        } else {
            left -= front.len();
            queue.pop_front();
        }
    }
    n - left
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn a_partial_send_leaves_the_rest_at_the_front() {
        let mut queue: VecDeque<Chunk> =
            [&b"abc"[..], b"defg", b"h"].map(Chunk::from_static).into();
        assert_eq!(remove_front(&mut queue, 5), 5);
        let rest: Vec<u8> = queue.iter().flat_map(|c| c.iter().copied()).collect();
        assert_eq!(rest, b"fgh");
        assert_eq!(remove_front(&mut queue, 100), 3);
        assert!(queue.is_empty());
    }
}
