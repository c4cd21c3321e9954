//! The driver for where io_uring is missing or forbidden: readiness from one epoll instance, turned
//! into the completions that the reactor expects. Not for: kernels with a working io_uring, which
//! save it most of its system calls.
//!
//! Each descriptor is registered once, edge-triggered, for everything; what it is ready for is
//! remembered until a call says otherwise. So a send goes out at once, and a receive that found
//! less than it had room for knows that nothing is left, without another call to learn it
//! (epoll(7), question 9; an end or an error of the peer is told by its own events).
//!
//! No call blocks: transfers are made with `MSG_DONTWAIT`, so the mode of a connected socket does
//! not matter, and sockets may come from a shard on the other driver.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::super::buffer::Pool;
use super::super::config::ReactorConfig;
use super::super::instant::Instant;
use super::super::notify::Notifier;
use super::super::os;
use super::super::start::StartError;
use super::system::System;
use super::{Completion, Counts, Group, Kind, Op, Token, Wait, received};

/// Events taken by one call; more wait in the kernel for the next one.
const EVENTS: usize = 512;
/// Buffers that one socket may fill per turn, so that a fast peer does not hold up the others.
const RECEIVES_PER_TURN: usize = 4;
/// Connections that one listener may accept per turn.
const ACCEPTS_PER_TURN: usize = 64;
/// Time until a Unix socket whose backlog was full is connected to again.
const CONNECT_RETRY: Duration = Duration::from_millis(1);
/// Bytes after which a send ends early and one call takes at most: both together fit a result.
const MAX_TRANSFER: usize = 1 << 29;
/// What every descriptor is registered for.
const INTEREST: u32 = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET) as u32;
/// After these the peer's direction has ended (or the socket has): no further edge tells so.
const ENDED: u32 = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;
/// What the notifier's eventfd is registered as; no descriptor has this number.
const NOTIFIER: u64 = u64::MAX;

/// What waits for a descriptor to become readable.
#[derive(Clone, Copy, Default)]
enum Input {
    #[default]
    None,
    Many(Token),
    Owned {
        token: Token,
        data: *mut u8,
        len: u32,
    },
    Accept(Token),
}

/// What waits for a descriptor to become writable.
#[derive(Clone, Copy, Default)]
enum Output {
    #[default]
    None,
    Send {
        token: Token,
        data: *const u8,
        len: u32,
        done: u32,
    },
    SendVectored {
        token: Token,
        message: *const libc::msghdr,
        done: usize,
    },
    Connect(Token),
    /// The backlog of a Unix socket was full: again when [`CONNECT_RETRY`] has passed.
    ConnectAgain {
        token: Token,
        address: *const libc::sockaddr,
        len: libc::socklen_t,
    },
}

/// A descriptor's operations, and what is known of its readiness.
#[derive(Clone, Copy, Default)]
struct Watched {
    registered: bool,
    readable: bool,
    /// A send found no room, and no event has told of room since.
    full: bool,
    /// The peer has ended its direction, or the socket has failed.
    ended: bool,
    /// It is in the list of those to be tried again.
    due: bool,
    input: Input,
    output: Output,
}

/// See the module's text.
pub(in super::super) struct Epoll {
    epoll: OwnedFd,
    /// By descriptor. Grows with the highest one, so the limit of open files bounds it.
    watched: Vec<Watched>,
    /// Descriptors with an operation that can go on without a new event.
    due: Vec<RawFd>,
    due_scratch: Vec<RawFd>,
    events: Vec<libc::epoll_event>,
    ready: Vec<Completion>,
    /// The last turn handed out completions without asking for events.
    skipped: bool,
    sizes: [usize; 2],
    /// Keeps the eventfd open for as long as it is registered.
    _notifier: Notifier,
    pub(super) system: System,
    pub(in super::super) counts: Counts,
}

impl Epoll {
    pub(in super::super) fn new(
        config: &ReactorConfig,
        notifier: &Notifier,
    ) -> Result<Epoll, StartError> {
        // SAFETY: a plain system call; the result is checked before it is owned.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(StartError::epoll(io::Error::last_os_error()));
        }
        // SAFETY: a fresh descriptor that nothing else owns.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        if let Some(event) = notifier.event() {
            // Each write to an eventfd is an edge, whether or not its counter was read.
            add(&epoll, event, NOTIFIER).map_err(StartError::epoll)?;
        }
        Ok(Epoll {
            epoll,
            watched: Vec::new(),
            due: Vec::with_capacity(64),
            due_scratch: Vec::with_capacity(64),
            events: Vec::with_capacity(EVENTS),
            ready: Vec::with_capacity(256),
            skipped: false,
            sizes: [config.downstream_buffers.size, config.upstream_buffers.size],
            _notifier: notifier.clone(),
            system: System::new(config),
            counts: Counts::default(),
        })
    }

    fn watched(&mut self, fd: RawFd) -> &mut Watched {
        let index = fd as usize;
        if index >= self.watched.len() {
            self.watched.resize(index + 1, Watched::default());
        }
        &mut self.watched[index]
    }

    /// Registers a descriptor if it is not yet; a negated errno if that failed.
    fn register(&mut self, fd: RawFd) -> Result<(), i32> {
        if self.watched(fd).registered {
            return Ok(());
        }
        match add(&self.epoll, fd, fd as u64) {
            Ok(()) => {
                self.watched(fd).registered = true;
                Ok(())
            }
            // `fs.epoll.max_user_watches`: a limit on memory.
            Err(e) if e.raw_os_error() == Some(libc::ENOSPC) => Err(-libc::ENOMEM),
            Err(e) => Err(negated(&e)),
        }
    }

    /// Notes that an operation of `fd` can go on without an event.
    fn list(&mut self, fd: RawFd) {
        let watched = &mut self.watched[fd as usize];
        if !watched.due {
            watched.due = true;
            self.due.push(fd);
        }
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
            Op::ReceiveMany { fd } => self.start_input(fd, token, Input::Many(token)),
            Op::ReceiveOwned { fd, data, len } => {
                self.start_input(fd, token, Input::Owned { token, data, len });
            }
            Op::Accept { fd } => {
                if !self.watched(fd).registered {
                    os::set_nonblocking(fd);
                }
                self.start_input(fd, token, Input::Accept(token));
            }
            Op::Send { fd, data, len } => self.start_send(
                fd,
                Output::Send {
                    token,
                    data,
                    len,
                    done: 0,
                },
            ),
            Op::SendVectored { fd, message } => self.start_send(
                fd,
                Output::SendVectored {
                    token,
                    message,
                    done: 0,
                },
            ),
            Op::Connect { fd, address, len } => {
                os::set_nonblocking(fd);
                self.watched(fd).output = Output::ConnectAgain {
                    token,
                    address,
                    len,
                };
                self.connect(fd);
            }
        }
    }

    fn start_input(&mut self, fd: RawFd, token: Token, input: Input) {
        if let Err(errno) = self.register(fd) {
            return self.complete(token, errno, false);
        }
        let watched = self.watched(fd);
        debug_assert!(matches!(watched.input, Input::None), "one input at a time");
        watched.input = input;
        if watched.readable {
            self.list(fd);
        }
    }

    fn start_send(&mut self, fd: RawFd, output: Output) {
        let watched = self.watched(fd);
        debug_assert!(matches!(watched.output, Output::None), "one send at a time");
        watched.output = output;
        if !watched.full {
            self.send(fd);
        }
    }

    pub(super) fn cancel(&mut self, token: Token, fd: RawFd) {
        let watched = self.watched(fd);
        match watched.input {
            Input::Many(t) | Input::Owned { token: t, .. } | Input::Accept(t) if t == token => {
                watched.input = Input::None;
                return self.complete(token, -libc::ECANCELED, false);
            }
            _ => {}
        }
        let done = match watched.output {
            Output::Send { token: t, done, .. } if t == token => done as usize,
            Output::SendVectored { token: t, done, .. } if t == token => done,
            Output::Connect(t) | Output::ConnectAgain { token: t, .. } if t == token => 0,
            _ => return,
        };
        watched.output = Output::None;
        self.complete(token, partial(done, -libc::ECANCELED), false);
    }

    pub(super) fn close(&mut self, fd: RawFd) {
        let watched = self.watched(fd);
        debug_assert!(
            matches!((watched.input, watched.output), (Input::None, Output::None)),
            "closed without operations"
        );
        // It stays in the list of those that are due, where its successor may find itself.
        *watched = Watched {
            due: watched.due,
            ..Watched::default()
        };
        os::close(fd);
    }

    pub(super) fn turn(
        &mut self,
        wait: Wait,
        now: Instant,
        pool: &Pool,
        out: &mut Vec<Completion>,
    ) {
        self.go_on(pool);
        // Sends complete at once, and nobody waits for most of them: handing them out first saves
        // a call that would not have waited. The next turn asks in any case.
        if !self.ready.is_empty() && !self.skipped {
            self.skipped = true;
            out.append(&mut self.ready);
            return;
        }
        self.skipped = false;
        let idle = self.ready.is_empty() && self.due.iter().all(|&fd| self.is_connect(fd));
        let timeout = match wait {
            Wait::Until(end) if idle => {
                let retry = (!self.due.is_empty()).then(|| now + CONNECT_RETRY);
                milliseconds(now, end.into_iter().chain(retry).min())
            }
            _ => 0,
        };
        self.collect(timeout, pool);
        out.append(&mut self.ready);
    }

    fn is_connect(&self, fd: RawFd) -> bool {
        let watched = &self.watched[fd as usize];
        matches!(watched.output, Output::ConnectAgain { .. }) && !watched.readable
    }

    /// Goes on with what needs no event.
    fn go_on(&mut self, pool: &Pool) {
        let mut due = std::mem::replace(&mut self.due, std::mem::take(&mut self.due_scratch));
        for fd in due.drain(..) {
            let watched = &mut self.watched[fd as usize];
            watched.due = false;
            if matches!(watched.output, Output::ConnectAgain { .. }) {
                self.connect(fd);
            } else if watched.readable {
                self.input(fd, pool);
            }
        }
        self.due_scratch = due;
    }

    /// One `epoll_wait`, and what its events make possible.
    fn collect(&mut self, timeout: i32, pool: &Pool) {
        self.counts.enters += 1;
        let mut events = std::mem::take(&mut self.events);
        // SAFETY: the vector has room for `EVENTS` entries, and the kernel has written as many as
        // it says.
        unsafe {
            let count = libc::epoll_wait(
                self.epoll.as_raw_fd(),
                events.as_mut_ptr(),
                EVENTS as i32,
                timeout,
            );
            // An error is EINTR: no events.
            events.set_len(usize::try_from(count).unwrap_or(0));
        }
        for event in events.drain(..) {
            let (flags, data) = (event.events, event.u64);
            if data == NOTIFIER {
                self.complete(Token::WAKE, 8, true);
            } else {
                self.happened(data as RawFd, flags, pool);
            }
        }
        self.events = events;
    }

    fn happened(&mut self, fd: RawFd, flags: u32, pool: &Pool) {
        let watched = self.watched(fd);
        watched.ended |= flags & ENDED != 0;
        if flags & (libc::EPOLLOUT as u32 | ENDED) != 0 {
            watched.full = false;
            match watched.output {
                Output::None | Output::ConnectAgain { .. } => {}
                Output::Connect(token) => {
                    watched.output = Output::None;
                    self.complete(token, -os::socket_error(fd), false);
                }
                Output::Send { .. } | Output::SendVectored { .. } => self.send(fd),
            }
        }
        if flags & (libc::EPOLLIN as u32 | ENDED) != 0 {
            self.watched(fd).readable = true;
            self.input(fd, pool);
        }
    }

    /// Receives or accepts, as far as there is something and the turn's share allows.
    fn input(&mut self, fd: RawFd, pool: &Pool) {
        match self.watched(fd).input {
            Input::None => {}
            Input::Many(token) => self.receive_many(fd, token, pool),
            Input::Owned { token, data, len } => self.receive_owned(fd, token, data, len),
            Input::Accept(token) => self.accept(fd, token),
        }
    }

    fn end_input(&mut self, fd: RawFd, token: Token, result: i32) {
        self.watched(fd).input = Input::None;
        self.complete(token, result, false);
    }

    fn receive_many(&mut self, fd: RawFd, token: Token, pool: &Pool) {
        let group = match token.kind() {
            Kind::ReceiveUpstream => Group::Upstream,
            _ => Group::Downstream,
        };
        for _ in 0..RECEIVES_PER_TURN {
            let Some(block) = pool.take_for_receive(self.sizes[group as usize]) else {
                return self.end_input(fd, token, -libc::ENOBUFS);
            };
            // SAFETY: a fresh block is this function's alone.
            let result = unsafe { receive(fd, block.data(), block.capacity()) };
            match result {
                1.. => {
                    let len = result as usize;
                    let left = len == block.capacity();
                    self.ready.push(Completion {
                        token,
                        result: len as i32,
                        more: true,
                        // SAFETY: `len` bytes were written, and the call is over.
                        chunk: Some(unsafe { received(block, len) }),
                    });
                    if self.has_less(fd, left) {
                        return;
                    }
                }
                BLOCKED => return self.watched(fd).readable = false,
                end => return self.end_input(fd, token, end as i32),
            }
        }
        self.list(fd);
    }

    fn receive_owned(&mut self, fd: RawFd, token: Token, data: *mut u8, len: u32) {
        // SAFETY: the submitter of the operation keeps this memory for it until its completion.
        let result = unsafe { receive(fd, data, len as usize) };
        if result == BLOCKED {
            self.watched(fd).readable = false;
            return;
        }
        self.has_less(fd, result == len as isize);
        self.end_input(fd, token, result as i32);
    }

    /// After a receive: whether it has emptied the socket, which then is no longer readable.
    fn has_less(&mut self, fd: RawFd, filled: bool) -> bool {
        let watched = self.watched(fd);
        watched.readable = filled || watched.ended;
        !watched.readable
    }

    fn accept(&mut self, fd: RawFd, token: Token) {
        for _ in 0..ACCEPTS_PER_TURN {
            match os::accept(fd) {
                Ok(accepted) => self.complete(token, accepted, true),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return self.watched(fd).readable = false;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return self.end_input(fd, token, negated(&e)),
            }
        }
        self.list(fd);
    }

    /// Sends as much as there is room for.
    fn send(&mut self, fd: RawFd) {
        loop {
            let watched = &mut self.watched[fd as usize];
            // SAFETY: what a send refers to is valid until its completion.
            let (token, done, total, result) = unsafe {
                match watched.output {
                    Output::Send {
                        token,
                        data,
                        len,
                        done,
                    } => {
                        let rest = ((len - done) as usize).min(MAX_TRANSFER);
                        let result = send(fd, data.add(done as usize), rest);
                        (token, done as usize, len as usize, result)
                    }
                    Output::SendVectored {
                        token,
                        message,
                        done,
                    } => {
                        let (total, result) = send_vectored(fd, message, done);
                        (token, done, total, result)
                    }
                    _ => return,
                }
            };
            match result {
                0.. if done + result as usize >= total.min(MAX_TRANSFER) => {
                    watched.output = Output::None;
                    return self.complete(token, (done + result as usize) as i32, false);
                }
                0.. => match &mut watched.output {
                    Output::Send { done, .. } => *done += result as u32,
                    Output::SendVectored { done, .. } => *done += result as usize,
                    _ => {}
                },
                BLOCKED => {
                    watched.full = true;
                    if let Err(errno) = self.register(fd) {
                        self.watched(fd).output = Output::None;
                        self.complete(token, partial(done, errno), false);
                    }
                    return;
                }
                errno => {
                    watched.output = Output::None;
                    return self.complete(token, partial(done, errno as i32), false);
                }
            }
        }
    }

    fn connect(&mut self, fd: RawFd) {
        let Output::ConnectAgain {
            token,
            address,
            len,
        } = self.watched(fd).output
        else {
            return;
        };
        // SAFETY: the submitter keeps the address until the completion.
        let result = match unsafe { libc::connect(fd, address, len) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
        };
        let result = match result {
            Ok(()) => 0,
            Err(libc::EINPROGRESS | libc::EINTR) => match self.register(fd) {
                Ok(()) => return self.watched(fd).output = Output::Connect(token),
                Err(errno) => errno,
            },
            Err(libc::EAGAIN) => return self.list(fd),
            Err(errno) => -errno,
        };
        self.watched(fd).output = Output::None;
        self.complete(token, result, false);
    }

    /// Buffers that a receive of this group could use now.
    pub(super) fn available(&self, group: Group, pool: &Pool) -> usize {
        pool.room(self.sizes[group as usize])
    }

    /// Forgets every operation: the kernel refers to none of their memory.
    pub(super) fn cancel_all(&mut self) {
        self.watched.clear();
        self.due.clear();
        for completion in self.ready.drain(..) {
            if completion.token.kind() == Kind::Accept && completion.result >= 0 {
                os::close(completion.result);
            }
        }
    }
}

/// The result of a transfer for which there was nothing to read or no room to write.
const BLOCKED: isize = -(libc::EAGAIN as isize);

/// What a send that ends early reports: how much it sent, or why it sent nothing.
fn partial(done: usize, errno: i32) -> i32 {
    if done > 0 { done as i32 } else { errno }
}

fn negated(error: &io::Error) -> i32 {
    -error.raw_os_error().unwrap_or(libc::EIO)
}

/// Milliseconds until `end`, rounded up; -1 for ever.
fn milliseconds(now: Instant, end: Option<Instant>) -> i32 {
    let Some(end) = end else { return -1 };
    let nanos = (end - now).as_nanos();
    i32::try_from(nanos.div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

fn add(epoll: &OwnedFd, fd: RawFd, data: u64) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: INTEREST,
        u64: data,
    };
    // SAFETY: the event lives for the call.
    match unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Repeats a transfer that a signal interrupted; a failure is a negated errno.
fn transfer(call: impl Fn() -> isize) -> isize {
    loop {
        let result = call();
        if result >= 0 {
            return result;
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::EINTR) => {}
            errno => return -(errno.unwrap_or(libc::EIO) as isize),
        }
    }
}

/// # Safety
/// `data` is valid for writing `len` bytes.
unsafe fn receive(fd: RawFd, data: *mut u8, len: usize) -> isize {
    // SAFETY: the caller's promise.
    transfer(|| unsafe { libc::recv(fd, data.cast(), len, libc::MSG_DONTWAIT) })
}

/// Never a signal for a closed peer, never a wait for room.
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;

/// # Safety
/// `data` is valid for reading `len` bytes.
unsafe fn send(fd: RawFd, data: *const u8, len: usize) -> isize {
    // SAFETY: the caller's promise.
    transfer(|| unsafe { libc::send(fd, data.cast(), len, SEND_FLAGS) })
}

/// Sends what follows the first `done` bytes of a message. Returns the message's length and the
/// call's result.
///
/// # Safety
/// The message, its vector and what that refers to are valid for reading.
unsafe fn send_vectored(fd: RawFd, message: *const libc::msghdr, done: usize) -> (usize, isize) {
    // SAFETY: the caller's promise.
    let (mut header, parts) = unsafe {
        let header = *message;
        (
            header,
            std::slice::from_raw_parts(header.msg_iov, header.msg_iovlen),
        )
    };
    let total = parts.iter().map(|part| part.iov_len).sum();
    // Whole parts that have left are skipped; what has left of the next one as well.
    let mut skip = done;
    let whole = parts
        .iter()
        .take_while(|part| {
            let left = skip >= part.iov_len;
            skip -= if left { part.iov_len } else { 0 };
            left
        })
        .count();
    // SAFETY: the caller's promise; `skip` is less than the length of part `whole`.
    let result = unsafe {
        if skip > 0 || total > MAX_TRANSFER {
            let part = parts[whole];
            let data = part.iov_base.cast::<u8>().cast_const().add(skip);
            send(fd, data, (part.iov_len - skip).min(MAX_TRANSFER))
        } else {
            header.msg_iov = header.msg_iov.add(whole);
            header.msg_iovlen -= whole;
            transfer(|| libc::sendmsg(fd, &header, SEND_FLAGS))
        }
    };
    (total, result)
}
