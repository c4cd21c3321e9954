//! Work over 200 µs that a request needs (password hashes) runs on a small pool of threads, bounded in
//! number and queue; the request waits, the shard does not.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rustc_hash::FxHashMap;

use crate::io::Notifier;

/// Most jobs waiting for a thread, over all shards.
pub const MAX_QUEUED_JOBS: usize = 1024;

/// A ticket and what its job found out.
type Answer = (u64, bool);

/// A job: runs once on a pool thread. Boxed: hashing a password costs ten thousand times an allocation.
type Job = Box<dyn FnOnce() + Send>;

/// The pool's front, one per process; shards hold clones.
#[derive(Clone)]
pub struct OffloadPool {
    jobs: Sender<Job>,
    /// Told of each job, where no thread waits for it.
    told: Option<Notifier>,
}

/// The jobs of a pool without threads: whoever holds this runs them.
pub struct Jobs(Receiver<Job>);

/// The pool has as many jobs waiting as it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;

/// One shard's side: sends jobs, receives answers in its mailbox.
pub struct Offload {
    pool: OffloadPool,
    notifier: Notifier,
    answers: (Sender<Answer>, Receiver<Answer>),
    waiting: RefCell<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    tickets: FxHashMap<u64, Ticket>,
}

#[derive(Default)]
struct Ticket {
    answer: Option<bool>,
    waker: Option<Waker>,
}

impl OffloadPool {
    /// Starts `threads` threads; they end when the last front is dropped.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let (jobs, queue) = bounded::<Job>(MAX_QUEUED_JOBS);
        for n in 0..threads.max(1) {
            let queue = queue.clone();
            std::thread::Builder::new()
                .name(format!("offload-{n}"))
                .spawn(move || queue.iter().for_each(|job| job()))?;
        }
        Ok(Self { jobs, told: None })
    }

    /// A pool without threads: jobs wait until whoever holds them runs them, and `told` is notified of each.
    /// For simulations, which have one thread.
    pub fn without_threads(told: Notifier) -> (Self, Jobs) {
        let (jobs, queue) = bounded::<Job>(MAX_QUEUED_JOBS);
        let told = Some(told);
        (Self { jobs, told }, Jobs(queue))
    }
}

impl Jobs {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs the one that waits longest, if one does.
    pub fn run_next(&self) {
        if let Ok(job) = self.0.try_recv() {
            job();
        }
    }
}

impl Offload {
    /// The shard's side of `pool`; `notifier` wakes the shard's mailbox.
    pub fn new(pool: OffloadPool, notifier: Notifier) -> Self {
        Self {
            pool,
            notifier,
            answers: bounded(MAX_QUEUED_JOBS),
            waiting: RefCell::default(),
        }
    }

    /// Runs `job` on the pool and waits for its answer.
    ///
    /// # Errors
    /// [`Overloaded`] when the queue is full; nothing has been started then.
    pub async fn run(
        &self,
        job: impl FnOnce() -> bool + Send + 'static,
    ) -> Result<bool, Overloaded> {
        let id = {
            let mut waiting = self.waiting.borrow_mut();
            waiting.next += 1;
            waiting.next
        };
        let (answers, notifier) = (self.answers.0.clone(), self.notifier.clone());
        let job: Job = Box::new(move || {
            let answer = job();
            // The receiver lives as long as its shard; a full queue cannot be, it holds every job there is.
            if answers.send((id, answer)).is_ok() {
                notifier.notify();
            }
        });
        match self.pool.jobs.try_send(job) {
            Ok(()) => {
                if let Some(told) = &self.pool.told {
                    told.notify();
                }
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return Err(Overloaded),
        }
        self.waiting
            .borrow_mut()
            .tickets
            .insert(id, Ticket::default());
        let forget = Forget { offload: self, id };
        let answer = poll_fn(|cx| {
            let mut waiting = self.waiting.borrow_mut();
            let ticket = waiting
                .tickets
                .get_mut(&forget.id)
                .expect("until forgotten");
            match ticket.answer {
                Some(answer) => Poll::Ready(answer),
                None => {
                    ticket.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        Ok(answer)
    }

    /// Hands arrived answers to who waits for them. Called by the shard when its mailbox is notified.
    pub fn receive(&self) {
        while let Ok((id, answer)) = self.answers.1.try_recv() {
            let waker = match self.waiting.borrow_mut().tickets.get_mut(&id) {
                Some(ticket) => {
                    ticket.answer = Some(answer);
                    ticket.waker.take()
                }
                None => None,
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// Takes a ticket away also when the waiting exchange is cancelled.
struct Forget<'a> {
    offload: &'a Offload,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.offload.waiting.borrow_mut().tickets.remove(&self.id);
    }
}
