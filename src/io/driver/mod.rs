//! The seam between the reactor and whatever does its I/O. A driver takes operations, cancels
//! them, and in each turn waits and hands out completions; it knows nothing of streams, tasks,
//! inboxes or deadlines. Not for: policy.

mod epoll;
mod ring_buffers;
mod sim;
mod system;
mod uring;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::time::SystemTime;

use super::accept::Socket;
use super::buffer::{Block, Chunk, Pool};
use super::config::ReactorConfig;
use super::connect::Address;
use super::instant::Instant;
use super::notify::Notifier;
use super::slab::Key;
use super::start::StartError;

pub use sim::{Fault, FaultCounts, Rates, Sabotage, SimNet};

/// What a completion belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Nobody's: cancels, closes.
    Ignored = 0,
    /// A connection's multishot receive from the downstream group.
    ReceiveDownstream = 1,
    /// A connection's multishot receive from the upstream group.
    ReceiveUpstream = 2,
    /// A connection's receive into its own buffer.
    ReceiveOwned = 3,
    /// A connection's send.
    Send = 4,
    /// A listener's multishot accept.
    Accept = 5,
    /// A connect in progress.
    Connect = 6,
    /// The notifier's event.
    Wake = 7,
}

/// Names an operation in flight: kind, slot, and enough of the slot's generation and of the
/// operation's number in it that a late completion never meets another operation.
/// Layout: 4 bits kind, 8 bits sequence, 20 bits generation, 32 bits index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Token(u64);

impl Token {
    pub(super) const IGNORED: Token = Token(0);
    pub(super) const WAKE: Token = Token((Kind::Wake as u64) << 60);
    /// Bits of a generation that a token carries.
    pub(super) const GENERATION_MASK: u32 = (1 << 20) - 1;

    pub(super) fn new(kind: Kind, key: Key, sequence: u8) -> Token {
        Token(
            (kind as u64) << 60
                | u64::from(sequence) << 52
                | u64::from(key.generation & Self::GENERATION_MASK) << 32
                | u64::from(key.index),
        )
    }

    pub(super) fn kind(self) -> Kind {
        match self.0 >> 60 {
            1 => Kind::ReceiveDownstream,
            2 => Kind::ReceiveUpstream,
            3 => Kind::ReceiveOwned,
            4 => Kind::Send,
            5 => Kind::Accept,
            6 => Kind::Connect,
            7 => Kind::Wake,
            _ => Kind::Ignored,
        }
    }

    pub(super) fn index(self) -> u32 {
        self.0 as u32
    }

    pub(super) fn generation(self) -> u32 {
        (self.0 >> 32) as u32 & Self::GENERATION_MASK
    }

    pub(super) fn sequence(self) -> u8 {
        (self.0 >> 52) as u8
    }
}

/// An operation. Pointers in it stay valid until its final completion: they point into the slot
/// that its token names, and the slot is not freed before.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// Receive again and again into the buffers of the group that the token's kind names.
    ReceiveMany { fd: RawFd },
    /// Receive once into memory of the connection.
    ReceiveOwned { fd: RawFd, data: *mut u8, len: u32 },
    /// Send all of one buffer.
    Send {
        fd: RawFd,
        data: *const u8,
        len: u32,
    },
    /// Send all of several buffers.
    SendVectored {
        fd: RawFd,
        message: *const libc::msghdr,
    },
    /// Accept again and again.
    Accept { fd: RawFd },
    /// Connect to a `sockaddr`.
    Connect {
        fd: RawFd,
        address: *const libc::sockaddr,
        len: libc::socklen_t,
    },
}

/// The result of an operation, or one of several of a multishot operation.
#[derive(Debug)]
pub(super) struct Completion {
    pub(super) token: Token,
    /// Bytes or a descriptor; a negated errno.
    pub(super) result: i32,
    /// Further completions with this token follow.
    pub(super) more: bool,
    /// What a multishot receive brought.
    pub(super) chunk: Option<Chunk>,
}

/// How long a turn may wait for a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Not at all: tasks are runnable.
    No,
    /// Until this instant, or without end.
    Until(Option<Instant>),
}

/// Buffer groups: one for accepted connections, one for those to upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Downstream,
    Upstream,
}

/// The kinds of drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverKind {
    /// io_uring.
    Uring,
    /// epoll.
    Epoll,
    /// A simulated network.
    Simulated,
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DriverKind::Uring => "io_uring",
            DriverKind::Epoll => "epoll",
            DriverKind::Simulated => "simulated",
        })
    }
}

/// The drivers. An enum, not a trait object: the calls are on the hot path.
pub(super) enum Driver {
    Uring(Box<uring::Uring>),
    Epoll(Box<epoll::Epoll>),
    Sim(Box<sim::Sim>),
}

macro_rules! forward {
    ($self:ident, $driver:ident => $call:expr) => {
        match $self {
            Driver::Uring($driver) => $call,
            Driver::Epoll($driver) => $call,
            Driver::Sim($driver) => $call,
        }
    };
}

/// Forwards what both drivers on real sockets do in the same way.
macro_rules! forward_system {
    ($self:ident, $system:ident => $call:expr) => {
        match $self {
            Driver::Uring(driver) => {
                let $system = &driver.system;
                $call
            }
            Driver::Epoll(driver) => {
                let $system = &driver.system;
                $call
            }
            Driver::Sim($system) => $call,
        }
    };
}

impl Driver {
    pub(super) fn uring(
        config: &ReactorConfig,
        pool: &Pool,
        notifier: &Notifier,
    ) -> Result<Driver, StartError> {
        uring::Uring::new(config, pool, notifier).map(|driver| Driver::Uring(Box::new(driver)))
    }

    pub(super) fn epoll(config: &ReactorConfig, notifier: &Notifier) -> Result<Driver, StartError> {
        epoll::Epoll::new(config, notifier).map(|driver| Driver::Epoll(Box::new(driver)))
    }

    pub(super) fn sim(config: &ReactorConfig, net: SimNet, notifier: &Notifier) -> Driver {
        Driver::Sim(Box::new(sim::Sim::new(config, net, notifier.clone())))
    }

    /// What it is.
    pub(super) fn kind(&self) -> DriverKind {
        match self {
            Driver::Uring(_) => DriverKind::Uring,
            Driver::Epoll(_) => DriverKind::Epoll,
            Driver::Sim(_) => DriverKind::Simulated,
        }
    }

    /// Starts an operation, at the latest with the next turn. Never fails and never loses it.
    ///
    /// # Safety
    /// What the operation points to stays valid, and is not touched by anybody else where the
    /// operation writes, until the completion with `more == false` was handed out.
    pub(super) unsafe fn submit(&mut self, token: Token, op: Op) {
        // SAFETY: the caller's promise, passed on.
        unsafe { forward!(self, driver => driver.submit(token, op)) }
    }

    /// Asks for the end of an operation of this descriptor; its final completion still comes.
    /// Without effect if it has already completed.
    pub(super) fn cancel(&mut self, token: Token, fd: RawFd) {
        match self {
            Driver::Uring(driver) => driver.cancel(token),
            Driver::Epoll(driver) => driver.cancel(token, fd),
            Driver::Sim(driver) => driver.cancel(token),
        }
    }

    /// Closes a descriptor that no operation uses any more. Without completion.
    pub(super) fn close(&mut self, fd: RawFd) {
        forward!(self, driver => driver.close(fd));
    }

    /// Closes a descriptor after [`Driver::cancel_all`].
    pub(super) fn close_directly(&mut self, fd: RawFd) {
        match self {
            Driver::Uring(_) | Driver::Epoll(_) => super::os::close(fd),
            Driver::Sim(_) => {}
        }
    }

    /// Submits what was started, waits, and appends completions.
    pub(super) fn turn(
        &mut self,
        wait: Wait,
        now: Instant,
        pool: &Pool,
        out: &mut Vec<Completion>,
    ) {
        forward!(self, driver => driver.turn(wait, now, pool, out));
    }

    /// Buffers that a multishot receive of this group could use now.
    pub(super) fn available(&self, group: Group, pool: &Pool) -> usize {
        match self {
            Driver::Uring(driver) => driver.available(group),
            Driver::Epoll(driver) => driver.available(group, pool),
            Driver::Sim(driver) => driver.available(group),
        }
    }

    /// Fills the buffer rings up from the pool, as far as its limit allows.
    pub(super) fn refill(&mut self, pool: &Pool) {
        match self {
            Driver::Uring(driver) => driver.refill(pool),
            Driver::Epoll(_) => {}
            Driver::Sim(driver) => driver.refill(pool),
        }
    }

    /// The present time, read from the clock.
    pub(super) fn now(&self) -> Instant {
        forward_system!(self, system => system.now())
    }

    /// The present wall-clock time.
    pub(super) fn wall(&self) -> SystemTime {
        forward_system!(self, system => system.wall())
    }

    /// A seed for the reactor's random numbers.
    pub(super) fn seed(&self) -> u64 {
        forward_system!(self, system => system.seed())
    }

    /// A socket to connect with, TCP_NODELAY set.
    pub(super) fn socket(&mut self, to: &Address) -> io::Result<RawFd> {
        forward_system!(self, system => system.socket(to))
    }

    /// Ends the sending direction.
    pub(super) fn shutdown_write(&mut self, fd: RawFd) {
        forward_system!(self, system => system.shutdown_write(fd));
    }

    /// Makes the coming close a reset.
    pub(super) fn reset_on_close(&mut self, fd: RawFd) {
        forward_system!(self, system => system.reset_on_close(fd));
    }

    pub(super) fn peer_addr(&self, fd: RawFd) -> Option<SocketAddr> {
        forward_system!(self, system => system.peer_addr(fd))
    }

    pub(super) fn local_addr(&self, fd: RawFd) -> Option<SocketAddr> {
        forward_system!(self, system => system.local_addr(fd))
    }

    /// Bytes of this connection's sending direction that the peer has acknowledged, if known.
    pub(super) fn acknowledged(&self, fd: RawFd) -> Option<u64> {
        forward_system!(self, system => system.acknowledged(fd))
    }

    /// Wraps a descriptor that accept returned.
    pub(super) fn own(&self, fd: RawFd) -> Socket {
        forward_system!(self, system => system.own(fd))
    }

    /// The descriptor of a socket that becomes a connection of this driver.
    pub(super) fn disown(&mut self, socket: Socket) -> RawFd {
        forward_system!(self, system => system.disown(socket))
    }

    /// Binds and listens.
    pub(super) fn listen_at(&mut self, addr: SocketAddr) -> io::Result<RawFd> {
        forward_system!(self, system => system.listen_at(addr))
    }

    /// The simulator, if this is it: for checks.
    pub(super) fn simulator(&self) -> Option<&sim::Sim> {
        match self {
            Driver::Sim(driver) => Some(driver),
            Driver::Uring(_) | Driver::Epoll(_) => None,
        }
    }

    /// Ends every operation, so that no memory is referred to any more. `false` if some did not
    /// end: then the memory must not be freed.
    pub(super) fn cancel_all(&mut self, pool: &Pool) -> bool {
        match self {
            Driver::Uring(driver) => driver.cancel_all(pool),
            Driver::Epoll(driver) => {
                driver.cancel_all();
                true
            }
            Driver::Sim(driver) => driver.cancel_all(),
        }
    }

    /// Calls that wait for completions or events, submission backlogs and completion overflows since the last call.
    pub(super) fn take_counts(&mut self) -> Counts {
        match self {
            Driver::Uring(driver) => std::mem::take(&mut driver.counts),
            Driver::Epoll(driver) => std::mem::take(&mut driver.counts),
            Driver::Sim(_) => Counts::default(),
        }
    }
}

/// What a driver counts about itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) enters: u64,
    pub(super) backlogs: u64,
    pub(super) overflows: u64,
}

/// The block's bytes as a chunk, once a receive has written `len` of them.
///
/// # Safety
/// The first `len` bytes were written and nobody writes to the block any more.
pub(super) unsafe fn received(block: Block, len: usize) -> Chunk {
    let len = len.min(block.capacity());
    // SAFETY: the caller's promise.
    unsafe { Chunk::from_block(block, len) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_keep_their_parts_apart() {
        let key = Key {
            index: u32::MAX,
            generation: 0xfff0_0001,
        };
        let token = Token::new(Kind::Connect, key, 255);
        assert_eq!(token.kind(), Kind::Connect);
        assert_eq!(
            (token.index(), token.generation(), token.sequence()),
            (u32::MAX, 1, 255)
        );
        assert_eq!(Token::WAKE.kind(), Kind::Wake);
        assert_eq!(Token::IGNORED.kind(), Kind::Ignored);
    }
}
