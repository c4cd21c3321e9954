//! Bytes through the simulated network: what sends and receives do, and what ends a direction. Not for:
//! when they are looked at (`super`).

use std::os::fd::RawFd;

use super::super::super::buffer::Pool;
use super::super::{Completion, Kind, received};
use super::net::{Fault, Sabotage};
use super::socket::{Incoming, Outgoing};
use super::{Event, Sim};

impl Sim {
    /// When a segment sent now reaches `fd`: after everything sent to it before.
    pub(super) fn arrival(&mut self, fd: RawFd) -> u64 {
        let at = self.now + self.latency();
        match self.sockets.stream_mut(fd) {
            Some(socket) => {
                socket.last_arrival = socket.last_arrival.max(at);
                socket.last_arrival
            }
            None => at,
        }
    }

    /// Lets the operations of a socket go as far as they can.
    pub(super) fn progress(&mut self, fd: RawFd, pool: &Pool) {
        self.progress_send(fd);
        self.progress_receive(fd, pool);
    }

    pub(super) fn progress_send(&mut self, fd: RawFd) {
        let Some(socket) = self.sockets.stream_mut(fd) else {
            return;
        };
        let Some(mut send) = socket.send.take() else {
            return;
        };
        if let Some(errno) = send_failure(socket) {
            let result = if send.done > 0 {
                send.done as i32
            } else {
                -errno
            };
            socket.reset_told |= send.done == 0 && socket.reset;
            return self.finish(fd, send.token, result, false);
        }
        let other = socket.other.expect("sends follow a connect");
        if send.done == 0 && self.strikes(Fault::Interruption) {
            let errno = self.random.pick(&[libc::EINTR, libc::EAGAIN]);
            return self.finish(fd, send.token, -errno, false);
        }
        if self.sockets.stream(other).is_none() {
            // Nobody is there any more: the system takes the bytes, and the answer is a reset.
            let at = self.arrival(fd);
            self.schedule(at, Event::Reset(fd));
            return self.finish(fd, send.token, send.total as i32, false);
        }
        let short = self.send_segments(other, &mut send);
        if send.done == send.total || short {
            self.finish(fd, send.token, send.done as i32, false);
        } else if let Some(socket) = self.sockets.stream_mut(fd) {
            socket.send = Some(send);
        }
    }

    /// Sends as much as the other end has room for; true if the send shall end with that.
    fn send_segments(&mut self, other: RawFd, send: &mut Outgoing) -> bool {
        let other = self.misdelivery(other).unwrap_or(other);
        while send.done < send.total {
            let used = self
                .sockets
                .stream(other)
                .map_or(0, |socket| socket.inbound.len());
            let room = self.net.window.saturating_sub(used);
            if room == 0 {
                return send.done > 0 && self.strikes(Fault::ShortSend);
            }
            let segment = 1 + self.random.below(self.net.max_segment as u64) as usize;
            let count = segment.min(room).min(send.total - send.done);
            if let Some(socket) = self.sockets.stream_mut(other) {
                copy_parts(&send.parts, send.done, count, &mut socket.inbound);
            }
            send.done += count;
            let at = self.arrival(other);
            self.schedule(at, Event::Bytes(other, count));
            if self.strikes(Fault::Reset) {
                self.reset_both(other);
            } else if send.done < send.total && self.strikes(Fault::ShortSend) {
                return true;
            }
        }
        false
    }

    /// The path resets the connection.
    pub(super) fn reset_both(&mut self, fd: RawFd) {
        let other = self.sockets.stream(fd).and_then(|socket| socket.other);
        for fd in [Some(fd), other].into_iter().flatten() {
            let at = self.arrival(fd);
            self.schedule(at, Event::Reset(fd));
        }
    }

    fn progress_receive(&mut self, fd: RawFd, pool: &Pool) {
        while let Some(socket) = self.sockets.stream_mut(fd)
            && let Some(receive) = socket.receive.take()
        {
            let token = receive.token;
            if socket.arrived == 0 {
                if socket.eof || (socket.reset && socket.reset_told) {
                    return self.finish(fd, token, 0, false);
                }
                if socket.reset {
                    socket.reset_told = true;
                    return self.finish(fd, token, -libc::ECONNRESET, false);
                }
                socket.receive = Some(receive);
                return;
            }
            let arrived = socket.arrived;
            if self.strikes(Fault::Interruption) {
                let errno = self.random.pick(&[libc::ECANCELED, libc::EINTR]);
                return self.finish(fd, token, -errno, false);
            }
            let count = arrived.min(1 + self.random.below(arrived as u64 * 2) as usize);
            match receive.memory {
                Some((data, len)) => {
                    self.ledger.inspect(token);
                    let count = count.min(len);
                    // SAFETY: the operation's memory is valid for `len` bytes until this completion.
                    unsafe { self.read_inbound(fd, data, count) };
                    self.finish_unseen(fd, token, count as i32);
                }
                None => self.receive_into_pool(fd, receive, count, pool),
            }
        }
    }

    fn receive_into_pool(&mut self, fd: RawFd, receive: Incoming, count: usize, pool: &Pool) {
        let token = receive.token;
        let size = self.sizes[usize::from(token.kind() == Kind::ReceiveUpstream)];
        let starved = self.strikes(Fault::StarvedReceive);
        let Some(block) = pool.take_for_receive(size).filter(|_| !starved) else {
            return self.finish(fd, token, -libc::ENOBUFS, false);
        };
        let count = count.min(block.capacity());
        // SAFETY: a fresh block with room for `count` bytes.
        unsafe { self.read_inbound(fd, block.data(), count) };
        let more = !self.strikes(Fault::EndedMultishot);
        if more {
            self.sockets.open_stream(fd).receive = Some(receive);
        }
        if self.net.sabotage == Some(Sabotage::WriteLate) {
            self.late_write
                .get_or_insert((block.data(), self.now + 20_000_000));
        }
        let completion = Completion {
            token,
            result: count as i32,
            more,
            // SAFETY: `count` bytes were written just now.
            chunk: Some(unsafe { received(block, count) }),
        };
        self.finish_with(fd, completion);
    }

    /// Moves arrived bytes to memory; the sender finds room again.
    ///
    /// # Safety
    /// `data` is valid for writes of `count` bytes.
    unsafe fn read_inbound(&mut self, fd: RawFd, data: *mut u8, count: usize) {
        let socket = self.sockets.open_stream(fd);
        let (front, back) = socket.inbound.as_slices();
        let first = count.min(front.len());
        // SAFETY: both slices have as many bytes, the caller's memory has `count`.
        unsafe {
            std::ptr::copy_nonoverlapping(front.as_ptr(), data, first);
            std::ptr::copy_nonoverlapping(back.as_ptr(), data.add(first), count - first);
        }
        socket.inbound.drain(..count);
        socket.arrived -= count;
        if let Some(other) = socket.other {
            self.touch(other);
        }
    }

    pub(super) fn bytes_arrive(&mut self, fd: RawFd, count: usize) {
        let Some(socket) = self.sockets.stream_mut(fd) else {
            return;
        };
        if socket.reset {
            return;
        }
        socket.arrived += count;
        let other = socket.other;
        if let Some(other) = other.and_then(|other| self.sockets.stream_mut(other)) {
            other.acknowledged += count as u64;
        }
        self.touch(fd);
    }

    pub(super) fn end_arrives(&mut self, fd: RawFd) {
        // Behind a reset nothing counts any more.
        if let Some(socket) = self.sockets.stream_mut(fd)
            && !socket.reset
        {
            socket.eof = true;
            self.touch(fd);
        }
    }

    pub(super) fn reset_arrives(&mut self, fd: RawFd) {
        // What is under way is gone, and with it some of what would have arrived before; but after an end in
        // order everything had arrived.
        let lossy = self.random.below(2) == 0;
        let Some(socket) = self.sockets.stream_mut(fd) else {
            return;
        };
        if socket.reset {
            return;
        }
        socket.reset = true;
        if lossy && !socket.eof {
            socket.arrived = 0;
        }
        socket.inbound.truncate(socket.arrived);
        self.touch(fd);
        if let Some(other) = self.sockets.stream(fd).and_then(|socket| socket.other) {
            self.touch(other);
        }
    }

    pub(in super::super) fn shutdown_write(&mut self, fd: RawFd) {
        let Some(socket) = self.sockets.stream_mut(fd) else {
            return;
        };
        if !std::mem::replace(&mut socket.shut_down, true)
            && let Some(other) = socket.other
        {
            let at = self.arrival(other);
            self.schedule(at, Event::Eof(other));
        }
    }

    /// Closes one end of a connection.
    pub(super) fn close_stream(&mut self, fd: RawFd) {
        let Some(socket) = self.sockets.remove_stream(fd) else {
            return;
        };
        assert!(
            socket.receive.is_none() && socket.send.is_none() && socket.connect.is_none(),
            "closed while operations use it"
        );
        let Some(other) = socket
            .other
            .filter(|other| self.sockets.stream(*other).is_some())
        else {
            return;
        };
        self.touch(other);
        if socket.reset {
            return;
        }
        // Unread bytes, arrived or still coming, make the system answer with a reset.
        let at = self.arrival(other);
        if socket.reset_on_close || socket.arrived > 0 {
            self.schedule(at, Event::Reset(other));
            return;
        }
        if !socket.shut_down {
            self.schedule(at, Event::Eof(other));
        }
        if !socket.inbound.is_empty() {
            self.schedule(at, Event::Reset(other));
        }
    }
}

/// What the system tells a send on a socket that cannot send.
fn send_failure(socket: &super::socket::Socket) -> Option<i32> {
    if socket.shut_down {
        return Some(libc::EPIPE);
    }
    // After an end in order a reset is EPIPE (Linux: `tcp_reset` in CLOSE_WAIT).
    socket
        .reset
        .then_some(match socket.reset_told || socket.eof {
            true => libc::EPIPE,
            false => libc::ECONNRESET,
        })
}

/// Appends `count` bytes of `parts`, from `offset` on.
fn copy_parts(
    parts: &[(*const u8, usize)],
    offset: usize,
    count: usize,
    to: &mut std::collections::VecDeque<u8>,
) {
    let (mut skip, mut left) = (offset, count);
    for &(data, len) in parts {
        if skip >= len {
            skip -= len;
            continue;
        }
        let take = (len - skip).min(left);
        // SAFETY: the parts of a send are valid until its completion; `skip + take <= len`.
        to.extend(unsafe { std::slice::from_raw_parts(data.add(skip), take) });
        left -= take;
        skip = 0;
        if left == 0 {
            break;
        }
    }
}
