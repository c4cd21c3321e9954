//! What the simulated kernel knows of a socket. Not for: what happens to it (`traffic`, `connecting`).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::RawFd;

use super::super::Token;

/// Simulated descriptors start here, far from real ones. None is used twice, so that an operation on a
/// closed one is noticed.
const FIRST_FD: RawFd = 1 << 24;

/// One end of a connection, or what may become one.
#[derive(Default)]
pub(super) struct Socket {
    pub(super) local: Option<SocketAddr>,
    pub(super) remote: Option<SocketAddr>,
    /// The other end, also after that was closed.
    pub(super) other: Option<RawFd>,
    /// Bytes for this end: those that have arrived, then those on their way.
    pub(super) inbound: VecDeque<u8>,
    /// How many of them have arrived.
    pub(super) arrived: usize,
    /// The other end has ended its direction, and that has arrived.
    pub(super) eof: bool,
    /// A reset has arrived.
    pub(super) reset: bool,
    /// An operation was told of it; the system tells it once.
    pub(super) reset_told: bool,
    /// When the last segment sent to this end arrives; no later one overtakes it.
    pub(super) last_arrival: u64,
    pub(super) receive: Option<Incoming>,
    pub(super) send: Option<Outgoing>,
    pub(super) connect: Option<Token>,
    /// This end has ended its direction.
    pub(super) shut_down: bool,
    pub(super) reset_on_close: bool,
    /// Bytes of this end that have arrived at the other.
    pub(super) acknowledged: u64,
    /// It is in the list of those to be looked at.
    pub(super) touched: bool,
}

/// A receive in flight.
#[derive(Clone, Copy)]
pub(super) struct Incoming {
    pub(super) token: Token,
    /// Where to; absent: into buffers of the pool, again and again.
    pub(super) memory: Option<(*mut u8, usize)>,
}

/// A send in flight.
pub(super) struct Outgoing {
    pub(super) token: Token,
    pub(super) parts: Vec<(*const u8, usize)>,
    pub(super) total: usize,
    pub(super) done: usize,
}

/// A listening socket.
pub(super) struct Port {
    pub(super) addr: SocketAddr,
    pub(super) pending: VecDeque<RawFd>,
    pub(super) accept: Option<Token>,
}

/// All sockets by descriptor.
#[derive(Default)]
pub(super) struct Sockets {
    slots: Vec<Option<Box<Slot>>>,
    len: usize,
}

enum Slot {
    Stream(Socket),
    Port(Port),
}

impl Sockets {
    fn insert(&mut self, slot: Slot) -> RawFd {
        self.slots.push(Some(Box::new(slot)));
        self.len += 1;
        FIRST_FD + self.slots.len() as RawFd - 1
    }

    pub(super) fn add_stream(&mut self, socket: Socket) -> RawFd {
        self.insert(Slot::Stream(socket))
    }

    pub(super) fn add_port(&mut self, port: Port) -> RawFd {
        self.insert(Slot::Port(port))
    }

    fn slot(&self, fd: RawFd) -> Option<&Slot> {
        self.slots
            .get(usize::try_from(fd - FIRST_FD).ok()?)?
            .as_deref()
    }

    fn slot_mut(&mut self, fd: RawFd) -> Option<&mut Slot> {
        self.slots
            .get_mut(usize::try_from(fd - FIRST_FD).ok()?)?
            .as_deref_mut()
    }

    pub(super) fn stream(&self, fd: RawFd) -> Option<&Socket> {
        match self.slot(fd)? {
            Slot::Stream(socket) => Some(socket),
            Slot::Port(_) => None,
        }
    }

    pub(super) fn stream_mut(&mut self, fd: RawFd) -> Option<&mut Socket> {
        match self.slot_mut(fd)? {
            Slot::Stream(socket) => Some(socket),
            Slot::Port(_) => None,
        }
    }

    /// A stream that an operation names: it must be open.
    pub(super) fn open_stream(&mut self, fd: RawFd) -> &mut Socket {
        self.stream_mut(fd).expect("operations name open sockets")
    }

    pub(super) fn port(&self, fd: RawFd) -> Option<&Port> {
        match self.slot(fd)? {
            Slot::Port(port) => Some(port),
            Slot::Stream(_) => None,
        }
    }

    pub(super) fn port_mut(&mut self, fd: RawFd) -> Option<&mut Port> {
        match self.slot_mut(fd)? {
            Slot::Port(port) => Some(port),
            Slot::Stream(_) => None,
        }
    }

    /// The port that listens at an address, and how many ports there are.
    pub(super) fn port_at(&self, addr: SocketAddr) -> Option<RawFd> {
        self.ports()
            .find(|(_, port)| port.addr == addr)
            .map(|(fd, _)| fd)
    }

    pub(super) fn ports(&self) -> impl Iterator<Item = (RawFd, &Port)> {
        (FIRST_FD..)
            .zip(&self.slots)
            .filter_map(|(fd, slot)| match slot.as_deref() {
                Some(Slot::Port(port)) => Some((fd, port)),
                _ => None,
            })
    }

    pub(super) fn remove_stream(&mut self, fd: RawFd) -> Option<Socket> {
        self.stream(fd)?;
        self.len -= 1;
        match *self.slots[(fd - FIRST_FD) as usize].take()? {
            Slot::Stream(socket) => Some(socket),
            Slot::Port(_) => unreachable!("looked up above"),
        }
    }

    pub(super) fn remove_port(&mut self, fd: RawFd) -> Option<Port> {
        self.port(fd)?;
        self.len -= 1;
        match *self.slots[(fd - FIRST_FD) as usize].take()? {
            Slot::Port(port) => Some(port),
            Slot::Stream(_) => unreachable!("looked up above"),
        }
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}
