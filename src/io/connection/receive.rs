//! How a connection receives: what is armed in the kernel, and what comes of its completions.

use super::super::buffer::Chunk;
use super::super::core::Core;
use super::super::driver::{Kind, Op, Token, received};
use super::super::instant::Instant;
use super::super::slab::Key;
use super::{Phase, Receive, Shutdown};

impl Core {
    /// Starts to receive, if nothing is armed and the connection's state wants bytes.
    pub(in crate::io) fn arm_receive(&mut self, key: Key) {
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
    pub(in crate::io) fn drain_receive(&mut self, key: Key) {
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
        self.driver.cancel(token, connection.fd);
    }

    pub(in crate::io) fn on_receive(
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
            Phase::ParkedDownstream => self.end_idle(key),
            Phase::ParkedUpstream => self.lose_parked_upstream(key),
            Phase::Lingering if connection.shutdown == Shutdown::Done => self.begin_close(key),
            Phase::Lingering | Phase::Doomed | Phase::Closing => {}
        }
    }
}
