//! The production driver: one io_uring per shard with deferred task work and provided-buffer rings.
//! Not for: kernels before 6.1.
//!
//! What shapes it: a ring that is borrowed anew for each call silently loses its registered
//! descriptor, so the ring is leaked and split once; deferred task work runs only in an enter with
//! GETEVENTS, so even a turn that does not wait passes it; sockets must be in blocking mode, or
//! operations fail with EAGAIN instead of waiting.

use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{CompletionQueue, EnterFlags, IoUring, SubmissionQueue, Submitter, cqueue, opcode};

use super::super::buffer::Pool;
use super::super::config::ReactorConfig;
use super::super::instant::Instant;
use super::super::notify::Notifier;
use super::super::os;
use super::super::start::StartError;
use super::ring_buffers::BufferRing;
use super::system::System;
use super::{Completion, Counts, Group, Kind, Op, Token, Wait, received};

/// Smallest submission queue that a machine short of memory is asked for.
const MIN_ENTRIES: u32 = 64;
/// How long ending all operations may take when a reactor is dropped.
const CANCEL_ALL_TIME: Duration = Duration::from_secs(5);

/// See the module's text.
pub(in super::super) struct Uring {
    submitter: ManuallyDrop<Submitter<'static>>,
    submission: ManuallyDrop<SubmissionQueue<'static>>,
    completion: ManuallyDrop<CompletionQueue<'static>>,
    /// What the three above borrow; freed by drop.
    ring: *mut IoUring,
    /// Entries that found the submission queue full, oldest first.
    backlog: VecDeque<Entry>,
    downstream: BufferRing,
    upstream: BufferRing,
    notifier: Notifier,
    /// Where the eventfd's counter is read to.
    event: Box<u64>,
    /// Operations without their final completion.
    in_flight: usize,
    /// The reactor has ended: nothing is submitted any more.
    ended: bool,
    pub(super) system: System,
    pub(in super::super) counts: Counts,
}

impl Uring {
    pub(in super::super) fn new(
        config: &ReactorConfig,
        pool: &Pool,
        notifier: &Notifier,
    ) -> Result<Uring, StartError> {
        let ring = Box::into_raw(Box::new(build(config)?));
        // SAFETY: the ring lives until the drop of `Uring`, which first drops what borrows it.
        let (mut submitter, submission, completion) = unsafe { (*ring).split() };
        // An optimisation; without it each enter looks the descriptor up.
        let _ = submitter.register_ring_fd();
        let downstream = BufferRing::new(Group::Downstream, config.downstream_buffers);
        let upstream = BufferRing::new(Group::Upstream, config.upstream_buffers);
        let mut driver = Uring {
            submitter: ManuallyDrop::new(submitter),
            submission: ManuallyDrop::new(submission),
            completion: ManuallyDrop::new(completion),
            ring,
            backlog: VecDeque::new(),
            downstream,
            upstream,
            notifier: notifier.clone(),
            event: Box::new(0),
            in_flight: 0,
            ended: false,
            system: System::new(config),
            counts: Counts::default(),
        };
        for group in [&driver.downstream, &driver.upstream] {
            group
                .register(&driver.submitter)
                .map_err(StartError::buffer_ring)?;
        }
        driver.refill(pool);
        driver.self_test(pool)?;
        driver.watch_event();
        Ok(driver)
    }

    /// Proves that multishot receive into a buffer ring and cancelling behave as the reactor
    /// needs them to, instead of trusting version numbers.
    fn self_test(&mut self, pool: &Pool) -> Result<(), StartError> {
        let token = Token::new(
            Kind::ReceiveDownstream,
            super::Key {
                index: 0,
                generation: 0,
            },
            0,
        );
        let (here, there) = os::socket_pair().map_err(StartError::self_test)?;
        // SAFETY: the operation refers to no memory but the buffer ring.
        unsafe {
            self.submit(
                token,
                Op::ReceiveMany {
                    fd: here.as_raw_fd(),
                },
            )
        };
        let mut completions = Vec::new();
        for probe in [&b"one"[..], b"two"] {
            os::write(&there, probe).map_err(StartError::self_test)?;
            self.await_completions(pool, &mut completions);
            match completions.pop() {
                Some(Completion {
                    more: true,
                    chunk: Some(chunk),
                    ..
                }) if *chunk == *probe => {}
                other => return Err(StartError::misbehaves("a multishot receive", &other)),
            }
        }
        self.cancel(token);
        self.await_completions(pool, &mut completions);
        match completions.pop() {
            Some(Completion {
                more: false,
                result,
                ..
            }) if result == -libc::ECANCELED => Ok(()),
            other => Err(StartError::misbehaves(
                "cancelling a multishot receive",
                &other,
            )),
        }
    }

    /// Turns until something completes, for at most a second.
    fn await_completions(&mut self, pool: &Pool, out: &mut Vec<Completion>) {
        let end = self.system.now() + Duration::from_secs(1);
        while out.is_empty() && self.system.now() < end {
            let now = self.system.now();
            self.turn(Wait::Until(Some(end)), now, pool, out);
        }
    }

    /// Keeps one read of the notifier's eventfd in flight.
    fn watch_event(&mut self) {
        if let Some(fd) = self.notifier.event() {
            let data: *mut u64 = &mut *self.event;
            self.in_flight += 1;
            self.push(
                opcode::Read::new(Fd(fd), data.cast(), 8)
                    .build()
                    .user_data(Token::WAKE.0),
            );
        }
    }

    /// # Safety
    /// As [`Driver::submit`](super::Driver::submit).
    pub(super) unsafe fn submit(&mut self, token: Token, op: Op) {
        let entry = match op {
            Op::ReceiveMany { fd } => {
                let group = match token.kind() {
                    Kind::ReceiveUpstream => Group::Upstream,
                    _ => Group::Downstream,
                };
                opcode::RecvMulti::new(Fd(fd), group as u16).build()
            }
            Op::ReceiveOwned { fd, data, len } => opcode::Recv::new(Fd(fd), data, len).build(),
            Op::Send { fd, data, len } => opcode::Send::new(Fd(fd), data, len)
                .flags(SEND_FLAGS)
                .build(),
            Op::SendVectored { fd, message } => opcode::SendMsg::new(Fd(fd), message)
                .flags(SEND_FLAGS as u32)
                .build(),
            Op::Accept { fd } => opcode::AcceptMulti::new(Fd(fd))
                .flags(libc::SOCK_CLOEXEC)
                .build(),
            Op::Connect { fd, address, len } => opcode::Connect::new(Fd(fd), address, len).build(),
        };
        if !self.ended {
            self.in_flight += 1;
            self.push(entry.user_data(token.0));
        }
    }

    pub(super) fn cancel(&mut self, token: Token) {
        self.push(
            opcode::AsyncCancel::new(token.0)
                .build()
                .user_data(Token::IGNORED.0)
                .flags(Flags::SKIP_SUCCESS),
        );
    }

    pub(super) fn close(&mut self, fd: RawFd) {
        self.push(
            opcode::Close::new(Fd(fd))
                .build()
                .user_data(Token::IGNORED.0)
                .flags(Flags::SKIP_SUCCESS),
        );
    }

    /// Puts an entry into the submission queue, or behind those that wait for room in it.
    fn push(&mut self, entry: Entry) {
        if self.ended {
            return;
        }
        if !self.backlog.is_empty() {
            self.backlog.push_back(entry);
            return;
        }
        // SAFETY: every caller promises, or sees to it, that what the entry points to lives until
        // its completion.
        if unsafe { self.submission.push(&entry) }.is_err() {
            self.counts.backlogs += 1;
            self.submission.sync();
            let _ = self.enter(0, None);
            self.submission.sync();
            // SAFETY: as above.
            if unsafe { self.submission.push(&entry) }.is_err() {
                self.backlog.push_back(entry);
            }
        }
    }

    /// Moves waiting entries into the submission queue, submitting whenever it is full.
    fn drain_backlog(&mut self) {
        while let Some(entry) = self.backlog.front() {
            // SAFETY: as in `push`.
            if unsafe { self.submission.push(entry) }.is_ok() {
                self.backlog.pop_front();
                continue;
            }
            self.submission.sync();
            let submitted = self.enter(0, None).unwrap_or(0);
            self.submission.sync();
            if submitted == 0 {
                return;
            }
        }
    }

    /// One `io_uring_enter`: submits all, runs task work, waits for `want` completions.
    fn enter(&mut self, want: u32, timeout: Option<Timespec>) -> io::Result<usize> {
        self.counts.enters += 1;
        let submit = self.submission.len() as u32;
        let flags = EnterFlags::GETEVENTS;
        match timeout {
            Some(timeout) => {
                let args = SubmitArgs::new().timespec(&timeout);
                // SAFETY: with EXT_ARG the argument is a `SubmitArgs`, which lives past the call.
                unsafe {
                    self.submitter.enter(
                        submit,
                        want,
                        (flags | EnterFlags::EXT_ARG).bits(),
                        Some(&args),
                    )
                }
            }
            // SAFETY: no argument.
            None => unsafe {
                self.submitter
                    .enter::<libc::sigset_t>(submit, want, flags.bits(), None)
            },
        }
    }

    pub(super) fn turn(
        &mut self,
        wait: Wait,
        now: Instant,
        pool: &Pool,
        out: &mut Vec<Completion>,
    ) {
        self.drain_backlog();
        self.submission.sync();
        self.completion.sync();
        let wait = if self.completion.is_empty() && self.backlog.is_empty() {
            wait
        } else {
            Wait::No
        };
        // Errors need no handling of their own: EINTR and ETIME are ordinary ends of a wait, and
        // after EBUSY or EAGAIN the entries stay queued for the next turn, behind the reaping
        // that makes room for them.
        let _ = match wait {
            Wait::No => self.enter(0, None),
            Wait::Until(None) => self.enter(1, None),
            Wait::Until(Some(end)) => self.enter(1, Some(Timespec::from(end - now))),
        };
        self.submission.sync();
        self.reap(pool, out);
        while self.submission.cq_overflow() {
            self.counts.overflows += 1;
            let _ = self.enter(0, None);
            self.submission.sync();
            self.reap(pool, out);
        }
        self.downstream.publish();
        self.upstream.publish();
    }

    /// Takes every completion out of the queue.
    fn reap(&mut self, pool: &Pool, out: &mut Vec<Completion>) {
        self.completion.sync();
        while let Some(entry) = self.completion.next() {
            let token = Token(entry.user_data());
            let flags = entry.flags();
            let more = cqueue::more(flags);
            let group = match token.kind() {
                Kind::Ignored => continue,
                Kind::ReceiveUpstream => &mut self.upstream,
                _ => &mut self.downstream,
            };
            let chunk = cqueue::buffer_select(flags).and_then(|id| {
                let block = group.detach(id, pool)?;
                // SAFETY: the kernel has written `result` bytes and given the buffer back.
                Some(unsafe { received(block, usize::try_from(entry.result()).unwrap_or(0)) })
            });
            if !more {
                self.in_flight -= 1;
            }
            if token.kind() == Kind::Wake {
                self.watch_event();
            }
            out.push(Completion {
                token,
                result: entry.result(),
                more,
                chunk,
            });
        }
        self.completion.sync();
    }

    pub(super) fn refill(&mut self, pool: &Pool) {
        self.downstream.refill(pool);
        self.upstream.refill(pool);
    }

    pub(super) fn available(&self, group: Group) -> usize {
        match group {
            Group::Downstream => self.downstream.available(),
            Group::Upstream => self.upstream.available(),
        }
    }

    pub(super) fn cancel_all(&mut self, pool: &Pool) -> bool {
        let mut completions = Vec::new();
        let end = self.system.now() + CANCEL_ALL_TIME;
        self.drain_backlog();
        let _ = self.enter(0, None);
        // The last read of the eventfd is among them: `watch_event` must not renew it.
        self.notifier = Notifier::simulated();
        while self.in_flight > 0 && self.system.now() < end {
            self.push(
                opcode::AsyncCancel2::new(CancelBuilder::any())
                    .build()
                    .user_data(Token::IGNORED.0),
            );
            let now = self.system.now();
            self.turn(
                Wait::Until(Some(now + Duration::from_millis(10))),
                now,
                pool,
                &mut completions,
            );
            for completion in completions.drain(..) {
                if matches!(completion.token.kind(), Kind::Accept) && completion.result >= 0 {
                    drop(self.system.own(completion.result));
                }
            }
        }
        self.ended = true;
        self.in_flight == 0
    }
}

/// Never a signal for a closed peer; the kernel waits for room until all has been taken.
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;

impl Drop for Uring {
    fn drop(&mut self) {
        let _ = self.submitter.unregister_ring_fd();
        // SAFETY: dropped once, before the ring that they borrow; not used afterwards.
        unsafe {
            ManuallyDrop::drop(&mut self.submitter);
            ManuallyDrop::drop(&mut self.submission);
            ManuallyDrop::drop(&mut self.completion);
        }
        if self.in_flight == 0 {
            // SAFETY: made by `Box::into_raw`; nothing borrows it any more.
            drop(unsafe { Box::from_raw(self.ring) });
        } else {
            // Operations are in flight: the kernel may still write to what they point to.
            std::mem::forget(std::mem::take(&mut self.event));
            self.downstream.forget();
            self.upstream.forget();
        }
    }
}

/// Sets the ring up, giving up optional features and size one by one.
fn build(config: &ReactorConfig) -> Result<IoUring, StartError> {
    let mut entries = config.submission_entries.max(MIN_ENTRIES);
    let mut completions = config.completion_entries.max(entries * 2);
    let mut index_array = false;
    loop {
        let mut builder = IoUring::builder();
        builder
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(completions);
        if !index_array {
            builder.setup_no_sqarray();
        }
        match builder.build(entries) {
            Ok(ring) if ring.params().is_feature_nodrop() && ring.params().is_feature_ext_arg() => {
                return Ok(ring);
            }
            Ok(_) => return Err(StartError::too_old()),
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) && !index_array => index_array = true,
            Err(e) if e.raw_os_error() == Some(libc::ENOMEM) && entries > MIN_ENTRIES => {
                entries /= 2;
                completions /= 2;
            }
            Err(e) => return Err(StartError::setup(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_found_the_queue_full_are_submitted_in_order() {
        let config = ReactorConfig {
            submission_entries: MIN_ENTRIES,
            ..ReactorConfig::default()
        };
        let pool = Pool::new(0, 64 << 20);
        let notifier = Notifier::with_event().expect("an eventfd");
        let mut driver = Uring::new(&config, &pool, &notifier).expect("a ring");
        let token = |index| {
            let key = super::super::Key {
                index,
                generation: 0,
            };
            Token::new(Kind::Connect, key, 0)
        };
        let count = MIN_ENTRIES * 5;
        for index in 0..count {
            driver.in_flight += 1;
            let entry = opcode::Nop::new().build().user_data(token(index).0);
            // As if the kernel had refused to take entries; those that follow queue behind.
            if index == 0 {
                driver.backlog.push_back(entry);
            } else {
                driver.push(entry);
            }
        }
        assert_eq!(driver.backlog.len(), count as usize);
        let mut completions = Vec::new();
        while completions.len() < count as usize {
            let now = driver.system.now();
            driver.turn(
                Wait::Until(Some(now + Duration::from_secs(5))),
                now,
                &pool,
                &mut completions,
            );
        }
        let order: Vec<u32> = completions.iter().map(|c| c.token.index()).collect();
        assert!(order.iter().copied().eq(0..count), "{order:?}");
        assert!(driver.cancel_all(&pool));
    }
}
