//! The single-threaded executor: `async-task` tasks in a run queue that only its thread touches.
//! Not for: fairness between the ring and the tasks (the reactor's loop decides how many polls a
//! turn has).
//!
//! `Waker` is `Send`, so safe code can carry one to another thread. That is not the way to reach
//! a shard (its [`Notifier`] is), but it must not be unsound either: such a wake-up goes through a
//! locked queue and the notifier, is counted, and the task still runs on its own thread only.

use std::cell::{Cell, UnsafeCell};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake};

use async_task::{Builder, Runnable};

use super::notify::Notifier;
use super::stats::Stats;

/// A number that no other thread of this process has had.
fn thread_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local!(static NUMBER: Cell<u64> = const { Cell::new(0) });
    NUMBER.with(|number| {
        if number.get() == 0 {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}

/// A runnable task. It carries its executor as metadata, not inside its schedule function: with a
/// schedule function of size zero, async-task needs no reference counting per wake-up.
type Task = Runnable<Arc<Executor>>;

/// The queues of runnable tasks of one reactor.
pub(super) struct Executor {
    /// The only thread that may touch `local`.
    thread: u64,
    local: UnsafeCell<VecDeque<Task>>,
    /// Tasks woken from elsewhere.
    remote: Mutex<Vec<Task>>,
    remote_pending: AtomicBool,
    /// The future given to `run_until` was woken.
    main_woken: AtomicBool,
    notifier: Notifier,
    closed: AtomicBool,
}

// SAFETY: `local` is accessed only after comparing the thread's number; the rest is `Sync`.
unsafe impl Send for Executor {}
// SAFETY: as above.
unsafe impl Sync for Executor {}

impl Executor {
    pub(super) fn new(notifier: Notifier) -> Arc<Executor> {
        Arc::new(Executor {
            thread: thread_number(),
            local: UnsafeCell::new(VecDeque::with_capacity(256)),
            remote: Mutex::new(Vec::new()),
            remote_pending: AtomicBool::new(false),
            main_woken: AtomicBool::new(true),
            notifier,
            closed: AtomicBool::new(false),
        })
    }

    fn on_own_thread(&self) -> bool {
        thread_number() == self.thread
    }

    /// The run queue, for the length of one access.
    fn with_local<R>(&self, access: impl FnOnce(&mut VecDeque<Task>) -> R) -> R {
        assert!(
            self.on_own_thread(),
            "a reactor's run queue belongs to its thread"
        );
        // SAFETY: only this thread gets here, and none of the accesses below runs foreign code
        // while it holds the reference (they push, pop and measure).
        access(unsafe { &mut *self.local.get() })
    }

    /// Puts a task that was woken into its executor's run queue.
    fn schedule(task: Task) {
        let executor: *const Executor = Arc::as_ptr(task.metadata());
        // SAFETY: the task's metadata keeps the executor alive, and on the executor's own thread
        // the task cannot be run and freed before this function returns.
        let local = unsafe { &*executor };
        if local.on_own_thread() {
            local.with_local(|queue| queue.push_back(task));
        } else {
            let executor = task.metadata().clone();
            executor.schedule_remotely(task);
        }
    }

    #[cold]
    fn schedule_remotely(&self, runnable: Task) {
        if self.closed.load(Ordering::Acquire) {
            // The reactor is gone. Its thread's data may be inside the task: dropping it here
            // could touch that data from the wrong thread, so the memory is given up.
            std::mem::forget(runnable);
            return;
        }
        self.remote
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(runnable);
        self.remote_pending.store(true, Ordering::Release);
        self.notifier.notify();
    }

    /// Makes a task of `future` and schedules its first poll.
    pub(super) fn spawn(
        self: &Arc<Self>,
        stats: &Rc<Stats>,
        future: impl Future<Output = ()> + 'static,
    ) {
        assert!(
            self.on_own_thread(),
            "tasks are spawned on their reactor's thread"
        );
        stats.tasks.add(1);
        let counted = Counted {
            future,
            stats: stats.clone(),
        };
        let builder = Builder::new().metadata(self.clone());
        // SAFETY: the future is 'static. It is not `Send`: `schedule` hands the task to its own
        // thread only, which alone polls and drops it (async-task schedules a task whose last
        // waker is gone once more, so that its executor drops the future). `schedule` itself is
        // `Send + Sync + 'static`.
        let (runnable, task) =
            unsafe { builder.spawn_unchecked(move |_| counted, Executor::schedule) };
        task.detach();
        runnable.schedule();
    }

    /// Whether a task or the main future is to be polled.
    pub(super) fn has_work(&self) -> bool {
        self.main_woken.load(Ordering::Relaxed)
            || self.remote_pending.load(Ordering::Acquire)
            || self.with_local(|queue| !queue.is_empty())
    }

    /// Moves tasks that other threads woke into the run queue; returns how many.
    pub(super) fn collect_remote(&self) -> usize {
        if !self.remote_pending.load(Ordering::Relaxed) {
            return 0;
        }
        self.remote_pending.store(false, Ordering::Release);
        let woken =
            std::mem::take(&mut *self.remote.lock().unwrap_or_else(PoisonError::into_inner));
        let count = woken.len();
        self.with_local(|queue| queue.extend(woken));
        count
    }

    /// Polls the next runnable task. `None` if there is none, `Some(false)` if it panicked.
    pub(super) fn run_next(&self) -> Option<bool> {
        let runnable = self.with_local(VecDeque::pop_front)?;
        // async-task forgets a future whose last waker goes away during its own poll. One held
        // across the poll is dropped after it, which has the future dropped.
        let waker = runnable.waker();
        // A panic drops the task's future (async-task's guard does), so no broken state of it
        // stays visible; whatever it shares is cells and enqueued work.
        let completed = catch_unwind(AssertUnwindSafe(|| runnable.run())).is_ok();
        drop(waker);
        Some(completed)
    }

    /// Drops every runnable task without polling it. Returns whether there were any.
    pub(super) fn drop_runnable(&self) -> bool {
        self.collect_remote();
        let dropped = self.with_local(std::mem::take);
        !dropped.is_empty()
    }

    /// From now on, tasks woken from elsewhere are given up.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Has the main future polled.
    pub(super) fn wake_main(&self) {
        self.main_woken.store(true, Ordering::Release);
    }

    /// Takes the main future's wake-up.
    pub(super) fn take_main_woken(&self) -> bool {
        self.main_woken.load(Ordering::Relaxed) && self.main_woken.swap(false, Ordering::AcqRel)
    }
}

/// Wakes the main future: an executor seen as a waker.
impl Wake for Executor {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.main_woken.store(true, Ordering::Release);
        if !self.on_own_thread() {
            self.notifier.notify();
        }
    }
}

/// A task's future that counts itself.
struct Counted<F> {
    future: F,
    stats: Rc<Stats>,
}

impl<F: Future<Output = ()>> Future for Counted<F> {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: `future` is pinned whenever `self` is and is never moved out.
        unsafe { self.map_unchecked_mut(|this| &mut this.future) }.poll(cx)
    }
}

impl<F> Drop for Counted<F> {
    fn drop(&mut self) {
        self.stats.tasks.sub(1);
    }
}

/// Lets the other runnable tasks run first, then goes on. For long computations inside a task.
#[derive(Debug, Default)]
pub struct YieldNow(bool);

impl Future for YieldNow {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
