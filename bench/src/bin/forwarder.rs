//! The physical limit that the proxies are compared with: a forwarder that parses nothing.
//!
//! One thread, one ring. Every downstream connection gets an upstream connection of its own when it is accepted, and
//! bytes go both ways as they come: a multishot receive picks a provided buffer, a send passes that very buffer on,
//! its completion returns the buffer. What this costs is what the kernel costs; a proxy adds parsing, routing,
//! headers, pools and timers to it.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;

use io_uring::types::Fd;
use io_uring::{cqueue, opcode};
use ringway_bench::args::{Args, fail};
use ringway_bench::ring::{Buffers, Filled, Ring};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

const ACCEPT: u64 = 1;
const CONNECT: u64 = 2;
const RECEIVE: u64 = 3;
const SEND: u64 = 4;

/// One socket; its peer is the neighbour with the lowest bit flipped (even: downstream, odd: upstream).
struct Side {
    fd: i32,
    receiving: bool,
    /// No more bytes come from this socket.
    ended: bool,
    /// What this socket's peer received and this socket has yet to send.
    queue: VecDeque<Filled>,
    sending: Option<Filled>,
    sent: usize,
    /// Its writing side has been shut down.
    shut: bool,
}

struct Forwarder {
    ring: Ring,
    buffers: Buffers,
    sides: Vec<Side>,
    free: Vec<usize>,
    starved: VecDeque<usize>,
    upstream: SockAddr,
}

fn main() {
    let args = Args::from_env(&["listen", "upstream", "buffers", "buffer-size"]);
    let address = |name: &str| -> SocketAddr {
        let text: String = args.get(name, String::new());
        text.parse()
            .unwrap_or_else(|error| fail(&format!("forwarder: --{name} {text:?}: {error}")))
    };
    let (listen, upstream) = (address("listen"), address("upstream"));
    let count = args.get("buffers", 1024);
    let size = args.get("buffer-size", 4096);
    if let Err(error) = run(listen, upstream, count, size) {
        fail(&format!("forwarder: {error}"));
    }
}

fn run(listen: SocketAddr, upstream: SocketAddr, count: u16, size: u32) -> io::Result<()> {
    let socket = Socket::new(
        Domain::for_address(listen),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    // Inherited by every accepted socket.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&listen.into())?;
    socket.listen(4096)?;
    let listener = socket.into_raw_fd();

    let ring = Ring::new(1024)?;
    let buffers = Buffers::register(&ring, 0, count, size)?;
    let mut forwarder = Forwarder {
        ring,
        buffers,
        sides: Vec::new(),
        free: Vec::new(),
        starved: VecDeque::new(),
        upstream: upstream.into(),
    };
    forwarder.ring.accept(listener, ACCEPT << 56)?;
    loop {
        forwarder.ring.turn(None)?;
        while let Some(completion) = forwarder.ring.reap() {
            let index = (completion.user_data() & 0xFFFF_FFFF) as usize;
            match completion.user_data() >> 56 {
                ACCEPT => {
                    if completion.result() >= 0 {
                        forwarder.accepted(completion.result())?;
                    }
                    if !cqueue::more(completion.flags()) {
                        forwarder.ring.accept(listener, ACCEPT << 56)?;
                    }
                }
                CONNECT => forwarder.connected(index, completion.result())?,
                RECEIVE => forwarder.received(index, &completion)?,
                _ => forwarder.sent(index, completion.result())?,
            }
        }
        forwarder.feed_starved()?;
    }
}

impl Forwarder {
    fn accepted(&mut self, downstream: i32) -> io::Result<()> {
        let socket = Socket::new(
            self.upstream.domain(),
            Type::STREAM.cloexec(),
            Some(Protocol::TCP),
        )?;
        socket.set_tcp_nodelay(true)?;
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.sides.push(Side::new(-1));
                self.sides.push(Side::new(-1));
                self.sides.len() - 2
            }
        };
        self.sides[index] = Side::new(downstream);
        self.sides[index + 1] = Side::new(socket.into_raw_fd());
        // Counts as a receive in flight, so that the pair outlives the connect.
        self.sides[index + 1].receiving = true;
        let (address, length) = (self.upstream.as_ptr(), self.upstream.len());
        let connect = opcode::Connect::new(Fd(self.sides[index + 1].fd), address.cast(), length)
            .build()
            .user_data(CONNECT << 56 | (index as u64 + 1));
        // SAFETY: the kernel copies the address when the entry is submitted; `self` does not move while the loop
        // in `run` lives, which is as long as the process.
        unsafe { self.ring.push(connect) }
    }

    fn connected(&mut self, index: usize, result: i32) -> io::Result<()> {
        self.sides[index].receiving = false;
        if result < 0 {
            self.sides[index].ended = true;
            self.sides[index ^ 1].ended = true;
            return self.finish(index);
        }
        self.arm(index)?;
        self.arm(index ^ 1)
    }

    fn arm(&mut self, index: usize) -> io::Result<()> {
        let side = &mut self.sides[index];
        side.receiving = true;
        let user_data = RECEIVE << 56 | index as u64;
        self.ring.receive(side.fd, &self.buffers, user_data)
    }

    fn received(&mut self, index: usize, completion: &cqueue::Entry) -> io::Result<()> {
        self.sides[index].receiving = cqueue::more(completion.flags());
        let filled = self.buffers.take(completion);
        if completion.result() == -libc::ENOBUFS {
            self.starved.push_back(index);
            return Ok(());
        }
        if completion.result() <= 0 {
            self.sides[index].ended = true;
            if completion.result() < 0 {
                self.sides[index ^ 1].ended = true;
            }
            if let Some(filled) = filled {
                self.buffers.give_back(filled);
            }
            self.advance(index ^ 1)?;
            return self.finish(index);
        }
        if let Some(filled) = filled {
            self.sides[index ^ 1].queue.push_back(filled);
        }
        if !self.sides[index].receiving {
            self.arm(index)?;
        }
        self.advance(index ^ 1)
    }

    /// Starts the next send on this side, or passes its peer's end on once everything is sent.
    fn advance(&mut self, index: usize) -> io::Result<()> {
        let peer_ended = self.sides[index ^ 1].ended;
        let side = &mut self.sides[index];
        if side.sending.is_some() {
            return Ok(());
        }
        if let Some(filled) = side.queue.pop_front() {
            side.sent = 0;
            let bytes = self.buffers.bytes(&filled);
            // SAFETY: the buffer stays in `sending` until the completion.
            unsafe { self.ring.send(side.fd, bytes, SEND << 56 | index as u64)? };
            side.sending = Some(filled);
        } else if peer_ended && !side.shut {
            side.shut = true;
            // SAFETY: the descriptor is this side's own.
            unsafe { libc::shutdown(side.fd, libc::SHUT_WR) };
        }
        Ok(())
    }

    fn sent(&mut self, index: usize, result: i32) -> io::Result<()> {
        let side = &mut self.sides[index];
        let Some(filled) = side.sending.take() else {
            return Ok(());
        };
        side.sent += usize::try_from(result).unwrap_or(0);
        if result > 0 && side.sent < filled.len() {
            let rest = &self.buffers.bytes(&filled)[side.sent..];
            // SAFETY: the buffer stays in `sending` until the completion.
            unsafe { self.ring.send(side.fd, rest, SEND << 56 | index as u64)? };
            side.sending = Some(filled);
            return Ok(());
        }
        self.buffers.give_back(filled);
        if result < 0 {
            while let Some(filled) = self.sides[index].queue.pop_front() {
                self.buffers.give_back(filled);
            }
            self.sides[index].ended = true;
            self.sides[index ^ 1].ended = true;
        }
        self.advance(index)?;
        self.finish(index)
    }

    /// Closes the pair once both directions have ended and nothing is in flight.
    fn finish(&mut self, index: usize) -> io::Result<()> {
        let pair = [index & !1, index | 1];
        if pair.iter().any(|&index| {
            let side = &self.sides[index];
            !side.ended || side.sending.is_some() || side.fd < 0
        }) {
            return Ok(());
        }
        if pair.iter().any(|&index| self.sides[index].receiving) {
            for index in pair {
                // SAFETY: the descriptor is this side's own; this ends its armed receive.
                unsafe { libc::shutdown(self.sides[index].fd, libc::SHUT_RDWR) };
            }
            return Ok(());
        }
        for index in pair {
            while let Some(filled) = self.sides[index].queue.pop_front() {
                self.buffers.give_back(filled);
            }
            // SAFETY: nothing is in flight on this descriptor.
            unsafe { libc::close(self.sides[index].fd) };
            self.sides[index].fd = -1;
        }
        self.free.push(pair[0]);
        Ok(())
    }

    /// Re-arms, oldest first, receives that ended because every buffer was waiting to be sent.
    fn feed_starved(&mut self) -> io::Result<()> {
        for _ in 0..self.buffers.available().min(self.starved.len()) {
            let Some(index) = self.starved.pop_front() else {
                break;
            };
            let side = &self.sides[index];
            // The slot may have been closed and reused since; then its receive is armed.
            if side.fd >= 0 && !side.receiving && !side.ended {
                self.arm(index)?;
            }
        }
        Ok(())
    }
}

impl Side {
    fn new(fd: i32) -> Side {
        Side {
            fd,
            receiving: false,
            ended: false,
            queue: VecDeque::new(),
            sending: None,
            sent: 0,
            shut: false,
        }
    }
}
