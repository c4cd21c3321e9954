//! The simulating driver: a seeded virtual network and clock inside one reactor, so that a test
//! of everything above the seam is deterministic and takes no real time. Peers are tasks on the
//! same reactor. Not for: performance, or anything but TCP-like streams.
//!
//! Bytes travel in segments of random size with random delay, in order per direction; receives
//! find their bytes split differently; a multishot receive may find no buffer or just end;
//! cancelling races with arriving bytes; a send completes when the peer's window had room for all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::super::accept::{SimulatedSocket, Socket};
use super::super::buffer::Pool;
use super::super::config::ReactorConfig;
use super::super::connect::Address;
use super::super::instant::Instant;
use super::super::notify::Notifier;
use super::{Completion, Group, Kind, Op, Token, Wait, received};

/// Simulated descriptors start here, far from real ones.
const FIRST_FD: RawFd = 1 << 24;

/// Parameters of a simulated network. The same values give the same run.
#[derive(Clone, Debug)]
pub struct SimNet {
    /// Decides sizes, delays and races.
    pub seed: u64,
    /// Longest one-way delay of a segment.
    pub max_latency: Duration,
    /// Largest segment in bytes.
    pub max_segment: usize,
    /// Bytes in transit or unread per direction, above which a send waits.
    pub window: usize,
    /// One of so many receives finds no buffer; 0: none.
    pub starve_one_in: u32,
}

impl SimNet {
    /// A network with the given seed and a mix of everything.
    pub fn new(seed: u64) -> SimNet {
        SimNet {
            seed,
            max_latency: Duration::from_millis(3),
            max_segment: 3000,
            window: 64 << 10,
            starve_one_in: 50,
        }
    }
}

enum Incoming {
    Many {
        token: Token,
    },
    Owned {
        token: Token,
        data: *mut u8,
        len: usize,
    },
}

impl Incoming {
    fn token(&self) -> Token {
        match self {
            Incoming::Many { token } | Incoming::Owned { token, .. } => *token,
        }
    }
}

struct Outgoing {
    token: Token,
    parts: Vec<(*const u8, usize)>,
    total: usize,
    done: usize,
}

#[derive(Default)]
struct Peer {
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    /// The other end, until it is closed.
    other: Option<RawFd>,
    inbound: VecDeque<u8>,
    eof: bool,
    reset: bool,
    /// Bytes on their way to this end.
    in_transit: usize,
    last_arrival: u64,
    receive: Option<Incoming>,
    send: Option<Outgoing>,
    connect: Option<Token>,
    shut_down: bool,
    reset_on_close: bool,
    /// Bytes of this end that have arrived at the other.
    acknowledged: u64,
}

struct Port {
    addr: SocketAddr,
    pending: VecDeque<RawFd>,
    accept: Option<Token>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Bytes(RawFd, Vec<u8>),
    Eof(RawFd),
    Reset(RawFd),
    Connect(RawFd, SocketAddr),
}

/// See the module's text.
pub(in super::super) struct Sim {
    net: SimNet,
    random: u64,
    now: u64,
    sizes: [usize; 2],
    peers: BTreeMap<RawFd, Peer>,
    ports: BTreeMap<RawFd, Port>,
    next_fd: RawFd,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    next_event: u64,
    ready: Vec<Completion>,
    orphans: Arc<Mutex<Vec<RawFd>>>,
    notifier: Notifier,
}

impl Sim {
    pub(in super::super) fn new(config: &ReactorConfig, net: SimNet, notifier: Notifier) -> Sim {
        Sim {
            random: net.seed ^ 0x9e37_79b9_7f4a_7c15,
            net,
            now: 0,
            sizes: [config.downstream_buffers.size, config.upstream_buffers.size],
            peers: BTreeMap::new(),
            ports: BTreeMap::new(),
            next_fd: FIRST_FD,
            events: BinaryHeap::new(),
            next_event: 0,
            ready: Vec::new(),
            orphans: Arc::default(),
            notifier,
        }
    }

    /// A number below `bound` (splitmix64).
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    fn one_in(&mut self, n: u32) -> bool {
        n > 0 && self.below(u64::from(n)) == 0
    }

    fn latency(&mut self) -> u64 {
        self.below(self.net.max_latency.as_nanos() as u64 + 1)
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.next_event += 1;
        self.events.push(Reverse((at, self.next_event, event)));
    }

    fn new_fd(&mut self) -> RawFd {
        self.next_fd += 1;
        self.next_fd
    }

    fn complete(&mut self, token: Token, result: i32, more: bool) {
        self.ready.push(Completion {
            token,
            result,
            more,
            chunk: None,
        });
    }

    /// # Safety
    /// As [`Driver::submit`](super::Driver::submit).
    pub(super) unsafe fn submit(&mut self, token: Token, op: Op) {
        match op {
            Op::ReceiveMany { fd } => {
                let peer = self.peers.get_mut(&fd).expect("an open socket");
                assert!(peer.receive.is_none(), "one receive at a time");
                peer.receive = Some(Incoming::Many { token });
            }
            Op::ReceiveOwned { fd, data, len } => {
                let peer = self.peers.get_mut(&fd).expect("an open socket");
                assert!(peer.receive.is_none(), "one receive at a time");
                peer.receive = Some(Incoming::Owned {
                    token,
                    data,
                    len: len as usize,
                });
            }
            Op::Send { fd, data, len } => self.start_send(fd, token, vec![(data, len as usize)]),
            Op::SendVectored { fd, message } => {
                // SAFETY: header and vector are valid until the send's completion.
                let parts = unsafe {
                    let message = &*message;
                    std::slice::from_raw_parts(message.msg_iov, message.msg_iovlen as _)
                };
                let parts = parts
                    .iter()
                    .map(|part| (part.iov_base.cast_const().cast(), part.iov_len));
                self.start_send(fd, token, parts.collect());
            }
            Op::Accept { fd } => {
                let port = self.ports.get_mut(&fd).expect("an open listener");
                assert!(port.accept.is_none(), "one accept at a time");
                port.accept = Some(token);
            }
            Op::Connect { fd, address, len } => {
                // SAFETY: `socket2` made this address, of this length.
                let target = unsafe {
                    socket2::SockAddr::try_init(|storage, length| {
                        std::ptr::copy_nonoverlapping(
                            address.cast::<u8>(),
                            storage.cast::<u8>(),
                            len as usize,
                        );
                        *length = len;
                        Ok(())
                    })
                };
                let target = target.ok().and_then(|(_, address)| address.as_socket());
                self.peers.get_mut(&fd).expect("an open socket").connect = Some(token);
                let at = self.now + self.latency();
                self.schedule(at, Event::Connect(fd, target.expect("an internet address")));
            }
        }
    }

    fn start_send(&mut self, fd: RawFd, token: Token, parts: Vec<(*const u8, usize)>) {
        let peer = self.peers.get_mut(&fd).expect("an open socket");
        assert!(peer.send.is_none(), "one send at a time");
        peer.send = Some(Outgoing {
            token,
            total: parts.iter().map(|(_, len)| len).sum(),
            parts,
            done: 0,
        });
    }

    pub(super) fn cancel(&mut self, token: Token) {
        for peer in self.peers.values_mut() {
            if peer.receive.as_ref().is_some_and(|r| r.token() == token) {
                peer.receive = None;
                return self.complete(token, -libc::ECANCELED, false);
            }
            if let Some(send) = &peer.send
                && send.token == token
            {
                let result = if send.done > 0 {
                    send.done as i32
                } else {
                    -libc::ECANCELED
                };
                peer.send = None;
                return self.complete(token, result, false);
            }
            if peer.connect == Some(token) {
                peer.connect = None;
                return self.complete(token, -libc::ECANCELED, false);
            }
        }
        if let Some(port) = self
            .ports
            .values_mut()
            .find(|port| port.accept == Some(token))
        {
            port.accept = None;
            self.complete(token, -libc::ECANCELED, false);
        }
    }

    pub(super) fn close(&mut self, fd: RawFd) {
        if let Some(port) = self.ports.remove(&fd) {
            port.pending.into_iter().for_each(|fd| self.close(fd));
            return;
        }
        let Some(peer) = self.peers.remove(&fd) else {
            return;
        };
        assert!(
            peer.receive.is_none() && peer.send.is_none(),
            "closed without operations"
        );
        if let Some(other) = peer.other {
            if peer.reset_on_close || !peer.inbound.is_empty() {
                let at = self.arrival(other);
                self.schedule(at, Event::Reset(other));
            } else if !peer.shut_down {
                let at = self.arrival(other);
                self.schedule(at, Event::Eof(other));
            }
            if let Some(other) = self.peers.get_mut(&other) {
                other.other = None;
            }
        }
    }

    /// When a segment sent now reaches `fd`: after everything sent to it before.
    fn arrival(&mut self, fd: RawFd) -> u64 {
        let at = self.now + self.latency();
        match self.peers.get_mut(&fd) {
            Some(peer) => {
                peer.last_arrival = peer.last_arrival.max(at);
                peer.last_arrival
            }
            None => at,
        }
    }

    pub(super) fn turn(
        &mut self,
        wait: Wait,
        now: Instant,
        pool: &Pool,
        out: &mut Vec<Completion>,
    ) {
        // A turn takes some time.
        self.now = self.now.max(now.as_nanos()) + 1 + self.below(20_000);
        loop {
            let orphans =
                std::mem::take(&mut *self.orphans.lock().unwrap_or_else(PoisonError::into_inner));
            orphans.into_iter().for_each(|fd| self.close(fd));
            while let Some(Reverse((at, ..))) = self.events.peek()
                && *at <= self.now
            {
                let Some(Reverse((.., event))) = self.events.pop() else {
                    break;
                };
                self.happen(event);
            }
            self.progress(pool);
            if self.notifier.is_pending() {
                self.complete(Token::WAKE, 8, true);
            }
            out.append(&mut self.ready);
            let Wait::Until(end) = wait else { return };
            if !out.is_empty() || end.is_some_and(|end| end.as_nanos() <= self.now) {
                return;
            }
            let event = self.events.peek().map(|Reverse((at, ..))| *at);
            let next = match (event, end.map(Instant::as_nanos)) {
                (Some(event), Some(end)) => event.min(end),
                (Some(at), None) | (None, Some(at)) => at,
                (None, None) => {
                    panic!("simulated deadlock: every task waits, and nothing is under way")
                }
            };
            self.now = self.now.max(next);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Bytes(fd, bytes) => {
                if let Some(peer) = self.peers.get_mut(&fd) {
                    peer.in_transit -= bytes.len();
                    let count = bytes.len() as u64;
                    peer.inbound.extend(bytes);
                    if let Some(other) = peer.other
                        && let Some(other) = self.peers.get_mut(&other)
                    {
                        other.acknowledged += count;
                    }
                }
            }
            Event::Eof(fd) => {
                if let Some(peer) = self.peers.get_mut(&fd) {
                    peer.eof = true;
                }
            }
            Event::Reset(fd) => {
                if let Some(peer) = self.peers.get_mut(&fd) {
                    peer.reset = true;
                    peer.inbound.clear();
                }
            }
            Event::Connect(fd, target) => self.establish(fd, target),
        }
    }

    fn establish(&mut self, client: RawFd, target: SocketAddr) {
        let Some(token) = self
            .peers
            .get_mut(&client)
            .and_then(|peer| peer.connect.take())
        else {
            return;
        };
        let Some(port) = self
            .ports
            .iter()
            .find(|(_, port)| port.addr == target)
            .map(|(fd, _)| *fd)
        else {
            return self.complete(token, -libc::ECONNREFUSED, false);
        };
        let server = self.new_fd();
        let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 30_000 + (client % 30_000) as u16));
        self.peers.insert(
            server,
            Peer {
                local: Some(target),
                remote: Some(from),
                other: Some(client),
                ..Peer::default()
            },
        );
        if let Some(peer) = self.peers.get_mut(&client) {
            peer.local = Some(from);
            peer.remote = Some(target);
            peer.other = Some(server);
        }
        if let Some(port) = self.ports.get_mut(&port) {
            port.pending.push_back(server);
        }
        self.complete(token, 0, false);
    }

    /// Lets every operation go as far as it can.
    fn progress(&mut self, pool: &Pool) {
        for fd in self.ports.keys().copied().collect::<Vec<_>>() {
            while let Some(port) = self.ports.get_mut(&fd)
                && let Some(token) = port.accept
                && let Some(accepted) = port.pending.pop_front()
            {
                self.complete(token, accepted, true);
            }
        }
        let mut fds: Vec<RawFd> = self.peers.keys().copied().collect();
        let start = self.below(fds.len() as u64) as usize;
        fds.rotate_left(start);
        for fd in fds {
            self.progress_send(fd);
            self.progress_receive(fd, pool);
        }
    }

    fn progress_send(&mut self, fd: RawFd) {
        let Some(mut send) = self.peers.get_mut(&fd).and_then(|peer| peer.send.take()) else {
            return;
        };
        let other = self.peers.get(&fd).and_then(|peer| peer.other);
        let reset = self
            .peers
            .get(&fd)
            .is_some_and(|peer| peer.reset || peer.shut_down);
        let Some(other) = other.filter(|other| !reset && self.peers.contains_key(other)) else {
            return self.complete(send.token, -libc::EPIPE, false);
        };
        while send.done < send.total {
            let used = self
                .peers
                .get(&other)
                .map_or(0, |peer| peer.in_transit + peer.inbound.len());
            let room = self.net.window.saturating_sub(used);
            if room == 0 {
                break;
            }
            let segment = 1 + self.below(self.net.max_segment as u64) as usize;
            let bytes = read_parts(&send.parts, send.done, segment.min(room));
            send.done += bytes.len();
            if let Some(peer) = self.peers.get_mut(&other) {
                peer.in_transit += bytes.len();
            }
            let at = self.arrival(other);
            self.schedule(at, Event::Bytes(other, bytes));
        }
        if send.done == send.total {
            self.complete(send.token, send.total as i32, false);
        } else if let Some(peer) = self.peers.get_mut(&fd) {
            peer.send = Some(send);
        }
    }

    fn progress_receive(&mut self, fd: RawFd, pool: &Pool) {
        while let Some(receive) = self.peers.get_mut(&fd).and_then(|peer| peer.receive.take()) {
            let token = receive.token();
            let peer = self.peers.get(&fd).expect("looked up above");
            if peer.reset {
                return self.complete(token, -libc::ECONNRESET, false);
            }
            let available = peer.inbound.len();
            if available == 0 {
                if peer.eof {
                    return self.complete(token, 0, false);
                }
                self.peers.get_mut(&fd).expect("looked up above").receive = Some(receive);
                return;
            }
            let wanted = 1 + self.below(available as u64 * 2) as usize;
            match receive {
                Incoming::Owned { data, len, .. } => {
                    let peer = self.peers.get_mut(&fd).expect("looked up above");
                    let bytes: Vec<u8> = peer
                        .inbound
                        .drain(..wanted.min(available).min(len))
                        .collect();
                    // SAFETY: the operation's memory is valid for `len` bytes until this completion.
                    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len()) };
                    self.complete(token, bytes.len() as i32, false);
                }
                Incoming::Many { token } => {
                    let size = self.sizes[usize::from(token.kind() == Kind::ReceiveUpstream)];
                    let starved = self.one_in(self.net.starve_one_in);
                    let Some(block) = pool.take_for_receive(size).filter(|_| !starved) else {
                        return self.complete(token, -libc::ENOBUFS, false);
                    };
                    let more = !self.one_in(64);
                    let peer = self.peers.get_mut(&fd).expect("looked up above");
                    let count = wanted.min(available).min(block.capacity());
                    let bytes: Vec<u8> = peer.inbound.drain(..count).collect();
                    // SAFETY: a fresh block with room for `count` bytes.
                    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), block.data(), count) };
                    if more {
                        peer.receive = Some(Incoming::Many { token });
                    }
                    self.ready.push(Completion {
                        token,
                        result: count as i32,
                        more,
                        // SAFETY: `count` bytes were written just now.
                        chunk: Some(unsafe { received(block, count) }),
                    });
                }
            }
        }
    }

    pub(super) fn available(&self, _group: Group) -> usize {
        64
    }

    pub(super) fn now(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    pub(super) fn wall(&self) -> SystemTime {
        // 2030-01-01: any fixed date.
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_456_000) + Duration::from_nanos(self.now)
    }

    pub(super) fn seed(&self) -> u64 {
        self.net.seed
    }

    pub(super) fn socket(&mut self, to: &Address) -> io::Result<RawFd> {
        if !matches!(to, Address::Inet(_)) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the simulated network has internet addresses only",
            ));
        }
        let fd = self.new_fd();
        self.peers.insert(fd, Peer::default());
        Ok(fd)
    }

    pub(super) fn shutdown_write(&mut self, fd: RawFd) {
        let Some(peer) = self.peers.get_mut(&fd) else {
            return;
        };
        if !std::mem::replace(&mut peer.shut_down, true)
            && let Some(other) = peer.other
        {
            let at = self.arrival(other);
            self.schedule(at, Event::Eof(other));
        }
    }

    pub(super) fn reset_on_close(&mut self, fd: RawFd) {
        if let Some(peer) = self.peers.get_mut(&fd) {
            peer.reset_on_close = true;
        }
    }

    pub(super) fn peer_addr(&self, fd: RawFd) -> Option<SocketAddr> {
        self.peers.get(&fd)?.remote
    }

    pub(super) fn local_addr(&self, fd: RawFd) -> Option<SocketAddr> {
        match self.ports.get(&fd) {
            Some(port) => Some(port.addr),
            None => self.peers.get(&fd)?.local,
        }
    }

    pub(super) fn acknowledged(&self, fd: RawFd) -> Option<u64> {
        Some(self.peers.get(&fd)?.acknowledged)
    }

    pub(super) fn own(&self, fd: RawFd) -> Socket {
        Socket::Simulated(SimulatedSocket {
            id: fd,
            orphans: self.orphans.clone(),
        })
    }

    pub(super) fn disown(&mut self, socket: Socket) -> RawFd {
        match socket {
            Socket::Simulated(socket) => socket.into_id(),
            Socket::System(_) => panic!("a system's socket cannot join a simulated network"),
        }
    }

    pub(super) fn listen_at(&mut self, addr: SocketAddr) -> io::Result<RawFd> {
        let mut addr = addr;
        if addr.port() == 0 {
            addr.set_port(10_000 + self.ports.len() as u16);
        }
        if self.ports.values().any(|port| port.addr == addr) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let fd = self.new_fd();
        self.ports.insert(
            fd,
            Port {
                addr,
                pending: VecDeque::new(),
                accept: None,
            },
        );
        Ok(fd)
    }
}

/// Up to `count` bytes of `parts`, from `offset` on.
fn read_parts(parts: &[(*const u8, usize)], offset: usize, count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count);
    let mut skip = offset;
    for &(data, len) in parts {
        if skip >= len {
            skip -= len;
            continue;
        }
        let take = (len - skip).min(count - bytes.len());
        // SAFETY: the parts of a send are valid until its completion; `skip + take <= len`.
        bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(data.add(skip), take) });
        skip = 0;
        if bytes.len() == count {
            break;
        }
    }
    bytes
}
