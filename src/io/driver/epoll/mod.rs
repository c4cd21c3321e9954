//! The driver for where io_uring is missing or forbidden: readiness from one epoll instance, turned
//! into the completions that the reactor expects. Not for: kernels with a working io_uring, which
//! save it most of its system calls.
//!
//! Each descriptor is registered once, edge-triggered, for everything; what it is ready for is
//! remembered until a call says otherwise. So a send needs no event, and a receive that found less
//! than it had room for knows that nothing is left, without another call to learn it (epoll(7),
//! question 9; an end or an error of the peer, and urgent data, are told by their own events).
//!
//! No call blocks: transfers are made with `MSG_DONTWAIT`, so the mode of a connected socket does
//! not matter, and sockets may come from a shard on the other driver.

mod batch;
mod calls;
mod input;
mod output;
mod table;

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use batch::{Batch, MAX_BATCH};
use calls::add;
use input::Incoming;
use table::{Input, Output, Table};

use super::super::buffer::Pool;
use super::super::config::ReactorConfig;
use super::super::instant::Instant;
use super::super::notify::Notifier;
use super::super::os;
use super::super::start::StartError;
use super::system::System;
use super::{Completion, Counts, Group, Kind, Op, Token, Wait};

/// Events taken by one call; more wait in the kernel for the next one.
const EVENTS: usize = 512;
/// Transfers of one kind in a turn from which on one call makes them together.
const MIN_BATCH: usize = 8;
/// Time until a Unix socket whose backlog was full is connected to again.
const CONNECT_RETRY: Duration = Duration::from_millis(1);
/// After these the peer's direction has ended (or the socket has): no further edge tells so.
const ENDED: u32 = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;
/// A receive stops at urgent data: that it brought less than it had room for says nothing then.
const URGENT: u32 = libc::EPOLLPRI as u32;
/// What the notifier's eventfd is registered as; no descriptor has this number.
const NOTIFIER: u64 = u64::MAX;

/// See the module's text.
pub(in super::super) struct Epoll {
    epoll: OwnedFd,
    table: Table,
    /// Descriptors with an operation that can go on without a new event.
    due: Vec<RawFd>,
    due_scratch: Vec<RawFd>,
    /// Sockets with a send that was started since the last turn.
    unsent: Vec<RawFd>,
    /// Sockets with receives that this turn's events make possible.
    readable: Vec<RawFd>,
    /// What a batch receives; empty between two.
    incoming: Vec<Incoming>,
    batch: Option<Batch>,
    events: Vec<libc::epoll_event>,
    ready: Vec<Completion>,
    /// When those whose backlog was full are tried again.
    connect_again: Instant,
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
            table: Table::default(),
            due: Vec::with_capacity(64),
            due_scratch: Vec::with_capacity(64),
            unsent: Vec::with_capacity(64),
            readable: Vec::with_capacity(EVENTS),
            incoming: Vec::with_capacity(MAX_BATCH),
            batch: Batch::new(),
            events: Vec::with_capacity(EVENTS),
            ready: Vec::with_capacity(256),
            connect_again: Instant::ZERO,
            skipped: false,
            sizes: [config.downstream_buffers.size, config.upstream_buffers.size],
            _notifier: notifier.clone(),
            system: System::new(config),
            counts: Counts::default(),
        })
    }

    /// Registers a descriptor if it is not yet; a negated errno if that failed.
    fn register(&mut self, fd: RawFd) -> Result<(), i32> {
        if self.table.at(fd).registered {
            return Ok(());
        }
        match add(&self.epoll, fd, fd as u64) {
            Ok(()) => {
                self.table.at(fd).registered = true;
                Ok(())
            }
            // `fs.epoll.max_user_watches`: a limit on memory.
            Err(e) if e.raw_os_error() == Some(libc::ENOSPC) => Err(-libc::ENOMEM),
            Err(e) => Err(negated(&e)),
        }
    }

    /// Notes that an operation of `fd` can go on without an event.
    fn list(&mut self, fd: RawFd) {
        let watched = self.table.at(fd);
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
                if !self.table.at(fd).registered {
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
                self.table.at(fd).output = Output::ConnectAgain {
                    token,
                    address,
                    len,
                };
                self.connect(fd);
            }
        }
    }

    pub(super) fn cancel(&mut self, token: Token, fd: RawFd) {
        // As on a ring, a cancel comes behind what was started before it.
        if std::mem::take(&mut self.table.at(fd).unsent) {
            self.send(fd);
        }
        let watched = self.table.at(fd);
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
        self.cancelled(token, done);
    }

    pub(super) fn close(&mut self, fd: RawFd) {
        let watched = self.table.remove(fd).unwrap_or_default();
        debug_assert!(
            matches!((watched.input, watched.output), (Input::None, Output::None)),
            "closed without operations"
        );
        os::close(fd);
    }

    pub(super) fn turn(
        &mut self,
        wait: Wait,
        now: Instant,
        pool: &Pool,
        out: &mut Vec<Completion>,
    ) {
        self.go_on(now, pool);
        self.send_all();
        // Sends complete at once, and nobody waits for most of them: handing them out first saves
        // a call that would not have waited. The next turn asks in any case.
        if !self.ready.is_empty() && !self.skipped {
            self.skipped = true;
            out.append(&mut self.ready);
            return;
        }
        self.skipped = false;
        let idle = self.ready.is_empty() && self.only_connects_are_due();
        let timeout = match wait {
            Wait::Until(end) if idle => {
                let retry = (!self.due.is_empty()).then_some(self.connect_again);
                milliseconds(now, end.into_iter().chain(retry).min())
            }
            _ => 0,
        };
        self.collect(timeout, pool);
        out.append(&mut self.ready);
    }

    /// Whether nothing can go on at once.
    fn only_connects_are_due(&mut self) -> bool {
        let Epoll { due, table, .. } = self;
        due.iter().all(|&fd| {
            table.get(fd).is_none_or(|watched| {
                matches!(watched.output, Output::ConnectAgain { .. }) && !watched.readable
            })
        })
    }

    /// Goes on with what needs no event.
    fn go_on(&mut self, now: Instant, pool: &Pool) {
        let connects = now >= self.connect_again;
        if connects {
            self.connect_again = now + CONNECT_RETRY;
        }
        let mut due = std::mem::replace(&mut self.due, std::mem::take(&mut self.due_scratch));
        for fd in due.drain(..) {
            // It may have been closed meanwhile.
            let Some(watched) = self.table.get(fd) else {
                continue;
            };
            watched.due = false;
            let readable = watched.readable;
            if matches!(watched.output, Output::ConnectAgain { .. }) {
                if connects {
                    self.connect(fd);
                } else {
                    self.list(fd);
                }
            }
            if readable {
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
        self.receive_all(pool);
    }

    fn happened(&mut self, fd: RawFd, flags: u32, pool: &Pool) {
        let watched = self.table.at(fd);
        watched.ended |= flags & (ENDED | URGENT) != 0;
        if flags & (libc::EPOLLOUT as u32 | ENDED) != 0 {
            watched.full = false;
            match watched.output {
                Output::None | Output::ConnectAgain { .. } => {}
                Output::Connect(token) => self.connected(fd, token),
                Output::Send { .. } | Output::SendVectored { .. } => self.send(fd),
            }
        }
        if flags & (libc::EPOLLIN as u32 | ENDED) != 0 {
            let watched = self.table.at(fd);
            watched.readable = true;
            match watched.input {
                Input::Many(_) => self.readable.push(fd),
                _ => self.input(fd, pool),
            }
        }
    }

    /// Buffers that a receive of this group could use now.
    pub(super) fn available(&self, group: Group, pool: &Pool) -> usize {
        pool.room_for_receives(self.sizes[group as usize])
    }

    /// Forgets every operation: the kernel refers to none of their memory.
    pub(super) fn cancel_all(&mut self) {
        self.table.clear();
        self.due.clear();
        self.unsent.clear();
        for completion in self.ready.drain(..) {
            if completion.token.kind() == Kind::Accept && completion.result >= 0 {
                os::close(completion.result);
            }
        }
    }
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
