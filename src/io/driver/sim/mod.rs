//! The simulating driver: a seeded virtual network, clock and kernel inside one reactor, so that a
//! test of everything above the seam is deterministic and takes no real time. Peers are tasks on
//! the same reactor. Not for: performance, or anything but TCP-like streams.
//!
//! ```text
//! submit, cancel, close ─► submission queue ─► sockets, ports ◄── events (bytes, ends, connects arrive)
//!                          (taken in part)        │
//!      told ◄── held, reordered ◄── finished ◄────┘          ledger: each operation ends exactly once
//! ```
//!
//! | module | one idea |
//! |---|---|
//! | `net` | the parameters: sizes, delays, the rate of each fault |
//! | `socket` | what the kernel knows of a socket |
//! | `traffic` | bytes, ends and resets between two sockets |
//! | `connecting` | listening, connecting, accepting |
//! | `turn` | what is due happens, and completions are told |
//! | `ledger` | the book of operations in flight, and what their memory held |
//! | `sabotage` | breaking it on purpose |
//!
//! What a fault may do is what io_uring does or is allowed to do: bytes keep their order, completions of
//! one socket too, cancels only shorten; but everything may be late, short, or end before it began.

mod connecting;
mod ledger;
mod net;
mod random;
mod sabotage;
mod socket;
mod traffic;
mod turn;

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::super::accept::{SimulatedSocket, Socket as AnySocket};
use super::super::buffer::Pool;
use super::super::config::ReactorConfig;
use super::super::instant::Instant;
use super::super::notify::Notifier;
use super::{Completion, Group, Kind, Op, Token};

use ledger::Ledger;
pub use net::{Fault, FaultCounts, Rates, Sabotage, SimNet};
use random::{Random, mix};
use socket::{Incoming, Outgoing, Sockets};

/// Receive buffers that a group's ring would hold.
const RING_BUFFERS: usize = 64;
/// Longest time in nanoseconds that a held completion or a late cancel takes beyond a network's latency.
const RACE_NANOS: u64 = 100_000;

/// What happens at its time.
#[derive(Debug)]
enum Event {
    Bytes(RawFd, usize),
    Eof(RawFd),
    Reset(RawFd),
    Connect(RawFd, SocketAddr),
    ConnectFails(RawFd, i32),
    Cancel(Token),
}

/// An event with its time, and its number among all: those of one time happen in order.
struct Due {
    at: u64,
    number: u64,
    event: Event,
}

/// What was submitted and not taken yet.
enum Entry {
    Start(Token, Op),
    Cancel(Token),
    Close(RawFd),
}

/// A completion that was not told yet.
struct Finished {
    fd: RawFd,
    /// Told in a turn from this time on.
    at: u64,
    completion: Completion,
}

/// See the module's text.
pub(in super::super) struct Sim {
    net: SimNet,
    random: Random,
    now: u64,
    sizes: [usize; 2],
    /// Buffers that receives of either group could use.
    room: [usize; 2],
    sockets: Sockets,
    events: BinaryHeap<Due>,
    next_event: u64,
    submissions: VecDeque<Entry>,
    /// Sockets whose operations may be able to go on.
    touched: Vec<RawFd>,
    finished: Vec<Finished>,
    ledger: Ledger,
    orphans: Arc<Mutex<Vec<RawFd>>>,
    notifier: Notifier,
    faults: FaultCounts,
    /// Everything that happened, as a number.
    trace: u64,
    /// For [`Sabotage::WriteLate`]: where to, and when.
    late_write: Option<(*mut u8, u64)>,
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        // Reversed: a `BinaryHeap` gives the greatest first.
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Due {}

impl Sim {
    pub(in super::super) fn new(config: &ReactorConfig, net: SimNet, notifier: Notifier) -> Sim {
        Sim {
            random: Random::new(net.seed),
            net,
            now: 0,
            sizes: [config.downstream_buffers.size, config.upstream_buffers.size],
            room: [RING_BUFFERS; 2],
            sockets: Sockets::default(),
            events: BinaryHeap::new(),
            next_event: 0,
            submissions: VecDeque::new(),
            touched: Vec::new(),
            finished: Vec::new(),
            ledger: Ledger::default(),
            orphans: Arc::default(),
            notifier,
            faults: FaultCounts::default(),
            trace: 0,
            late_write: None,
        }
    }

    /// Whether the fault happens at this opportunity.
    fn strikes(&mut self, fault: Fault) -> bool {
        let rate = self.net.rates.get(fault);
        let strikes = rate > 0 && self.random.below(u64::from(rate)) == 0;
        if strikes {
            self.faults.count(fault);
        }
        strikes
    }

    fn latency(&mut self) -> u64 {
        self.random
            .below(self.net.max_latency.as_nanos() as u64 + 1)
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.next_event += 1;
        let number = self.next_event;
        self.events.push(Due { at, number, event });
    }

    fn note(&mut self, what: u64) {
        self.trace = mix(self.trace ^ what);
    }

    /// Has a socket's operations looked at in this turn.
    fn touch(&mut self, fd: RawFd) {
        if let Some(socket) = self.sockets.stream_mut(fd)
            && !std::mem::replace(&mut socket.touched, true)
        {
            self.touched.push(fd);
        }
    }

    /// An operation has come to an end, or to one of its results.
    fn finish(&mut self, fd: RawFd, token: Token, result: i32, more: bool) {
        self.ledger.inspect(token);
        self.finish_with(
            fd,
            Completion {
                token,
                result,
                more,
                chunk: None,
            },
        );
    }

    /// As `finish`, for a receive that has written to its memory.
    fn finish_unseen(&mut self, fd: RawFd, token: Token, result: i32) {
        let chunk = None;
        self.finish_with(
            fd,
            Completion {
                token,
                result,
                more: false,
                chunk,
            },
        );
    }

    fn finish_with(&mut self, fd: RawFd, completion: Completion) {
        let at = match self.strikes(Fault::HeldCompletion) {
            true => self.now + 1 + self.random.below(RACE_NANOS),
            false => 0,
        };
        // Not before those of the same socket that finished earlier.
        let earlier = self.finished.iter().filter(|finished| finished.fd == fd);
        let at = earlier.map(|finished| finished.at).fold(at, u64::max);
        self.finished.push(Finished { fd, at, completion });
    }

    /// # Safety
    /// As [`Driver::submit`](super::Driver::submit).
    pub(super) unsafe fn submit(&mut self, token: Token, op: Op) {
        self.note(token.0);
        // SAFETY: the caller's promise.
        unsafe { self.ledger.enter(token, op) };
        self.submissions.push_back(Entry::Start(token, op));
    }

    pub(super) fn cancel(&mut self, token: Token) {
        self.note(!token.0);
        self.submissions.push_back(Entry::Cancel(token));
    }

    pub(super) fn close(&mut self, fd: RawFd) {
        self.submissions.push_back(Entry::Close(fd));
    }

    /// Takes what was submitted, in order, as far as the kernel gets.
    fn take_submissions(&mut self) {
        let mut count = self.submissions.len();
        if count > 1 && self.strikes(Fault::FullQueue) {
            count = 1 + self.random.below(count as u64 - 1) as usize;
        }
        for _ in 0..count {
            let Some(entry) = self.submissions.pop_front() else {
                return;
            };
            match entry {
                Entry::Start(token, op) => self.start(token, op),
                Entry::Cancel(token) => self.cancel_now_or_later(token),
                Entry::Close(fd) => self.close_now(fd),
            }
        }
    }

    fn start(&mut self, token: Token, op: Op) {
        match op {
            Op::ReceiveMany { fd } => self.start_receive(
                fd,
                Incoming {
                    token,
                    memory: None,
                },
            ),
            Op::ReceiveOwned { fd, data, len } => {
                let memory = Some((data, len as usize));
                self.start_receive(fd, Incoming { token, memory });
            }
            Op::Send { fd, .. } | Op::SendVectored { fd, .. } => {
                let mut parts = Vec::new();
                // SAFETY: in flight, so what it points to is valid.
                unsafe { ledger::for_each_part(&op, |data, len| parts.push((data, len))) };
                let socket = self.sockets.open_stream(fd);
                assert!(socket.send.is_none(), "one send at a time");
                socket.send = Some(Outgoing {
                    token,
                    total: parts.iter().map(|(_, len)| len).sum(),
                    parts,
                    done: 0,
                });
                self.touch(fd);
            }
            Op::Accept { fd } => {
                let port = self.sockets.port_mut(fd).expect("an open listener");
                assert!(port.accept.is_none(), "one accept at a time");
                port.accept = Some(token);
                self.accept_pending(fd);
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
                self.start_connect(fd, token, target.expect("an internet address"));
            }
        }
    }

    fn start_receive(&mut self, fd: RawFd, receive: Incoming) {
        let socket = self.sockets.open_stream(fd);
        assert!(socket.receive.is_none(), "one receive at a time");
        socket.receive = Some(receive);
        self.touch(fd);
    }

    fn cancel_now_or_later(&mut self, token: Token) {
        if self.net.sabotage == Some(Sabotage::IgnoreCancels) {
            return;
        }
        if self.ledger.is_in_flight(token) && self.strikes(Fault::LateCancel) {
            let at = self.now + self.latency() + self.random.below(RACE_NANOS);
            return self.schedule(at, Event::Cancel(token));
        }
        self.cancel_now(token);
    }

    /// Ends an operation that has not finished.
    fn cancel_now(&mut self, token: Token) {
        let Some(fd) = self.ledger.socket_of(token) else {
            return;
        };
        if token.kind() == Kind::Send {
            // What was started before is made before.
            self.progress_send(fd);
        }
        if let Some(port) = self.sockets.port_mut(fd) {
            if port.accept == Some(token) {
                port.accept = None;
                self.finish(fd, token, -libc::ECANCELED, false);
            }
            return;
        }
        let Some(socket) = self.sockets.stream_mut(fd) else {
            return;
        };
        if socket.receive.is_some_and(|receive| receive.token == token) {
            socket.receive = None;
            self.finish(fd, token, -libc::ECANCELED, false);
        } else if socket.send.as_ref().is_some_and(|send| send.token == token) {
            let done = socket.send.take().map_or(0, |send| send.done);
            let result = if done > 0 {
                done as i32
            } else {
                -libc::ECANCELED
            };
            self.finish(fd, token, result, false);
        } else if socket.connect == Some(token) {
            socket.connect = None;
            self.finish(fd, token, -libc::ECANCELED, false);
        }
    }

    fn close_now(&mut self, fd: RawFd) {
        if self.net.sabotage == Some(Sabotage::KeepSocket) {
            return;
        }
        if self.sockets.port(fd).is_some() {
            self.close_port(fd);
        } else {
            self.close_stream(fd);
        }
    }

    pub(super) fn refill(&mut self, pool: &Pool) {
        self.room = self
            .sizes
            .map(|size| pool.room_for_receives(size).min(RING_BUFFERS));
    }

    pub(super) fn available(&self, group: Group) -> usize {
        self.room[group as usize]
    }

    pub(super) fn cancel_all(&mut self) -> bool {
        self.submissions.clear();
        self.finished.clear();
        self.ledger.clear();
        true
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

    pub(super) fn reset_on_close(&mut self, fd: RawFd) {
        if let Some(socket) = self.sockets.stream_mut(fd) {
            socket.reset_on_close = true;
        }
    }

    pub(super) fn peer_addr(&self, fd: RawFd) -> Option<SocketAddr> {
        self.sockets.stream(fd)?.remote
    }

    pub(super) fn local_addr(&self, fd: RawFd) -> Option<SocketAddr> {
        match self.sockets.port(fd) {
            Some(port) => Some(port.addr),
            None => self.sockets.stream(fd)?.local,
        }
    }

    pub(super) fn acknowledged(&self, fd: RawFd) -> Option<u64> {
        Some(self.sockets.stream(fd)?.acknowledged)
    }

    pub(super) fn own(&self, fd: RawFd) -> AnySocket {
        AnySocket::Simulated(SimulatedSocket {
            id: fd,
            orphans: self.orphans.clone(),
        })
    }

    pub(super) fn disown(&mut self, socket: AnySocket) -> RawFd {
        match socket {
            AnySocket::Simulated(socket) => socket.into_id(),
            AnySocket::System(_) => panic!("a system's socket cannot join a simulated network"),
        }
    }
}

/// What checks ask.
impl Sim {
    /// Whether an operation has not had its final completion.
    pub(in super::super) fn is_in_flight(&self, token: Token) -> bool {
        self.ledger.is_in_flight(token)
    }

    /// Operations without their final completion.
    pub(in super::super) fn in_flight(&self) -> usize {
        self.ledger.len()
    }

    /// Sockets that are open, those of both ends and those that nobody has accepted included.
    pub(in super::super) fn open_sockets(&self) -> usize {
        self.sockets.len()
    }

    /// How many of each fault have happened.
    pub(in super::super) fn faults(&self) -> FaultCounts {
        self.faults
    }

    /// A number that everything which was submitted and told decides.
    pub(in super::super) fn trace(&self) -> u64 {
        self.trace
    }
}
