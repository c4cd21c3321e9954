//! [`Reactor`], its loop, and [`Handle`], through which tasks use it. Not for: what happens to a
//! connection (`connection`, `send`, `park`, `accept`).

use std::cell::{Cell, RefCell, RefMut};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use super::buffer::{Buffer, Pool};
use super::config::{DriverChoice, ReactorConfig};
use super::core::{Core, WAKES, remember};
use super::driver::{Driver, DriverKind, SimNet};
use super::executor::{Executor, YieldNow};
use super::instant::Instant;
use super::notify::Notifier;
use super::start::StartError;
use super::stats::{SharedGauge, Stats};

/// Unused blocks of each group's size that a reactor begins with.
const STOCKED_BLOCKS: usize = 16;

/// Polls between two looks at the clock, when deciding whether a turn has taken too long.
const POLLS_PER_CLOCK_READ: u32 = 8;

/// The completion reactor and executor of one thread. Not `Send`: built, run and dropped there.
pub struct Reactor {
    handle: Handle,
    fallback: Option<StartError>,
}

/// A task's way to its reactor. Cheap to clone; stays on its thread (except [`Notifier`]).
#[derive(Clone)]
pub struct Handle(Rc<Inner>);

struct Inner {
    core: RefCell<Core>,
    executor: Arc<Executor>,
    stats: Rc<Stats>,
    pool: Rc<Pool>,
    notifier: Notifier,
    buffer_size: usize,
    now: Cell<Instant>,
    /// Read at most once per turn, and only if somebody asks.
    wall: Cell<Option<SystemTime>>,
    random: Cell<u64>,
}

impl Reactor {
    /// A reactor on the driver that `config` names. With [`DriverChoice::Auto`] that is io_uring
    /// unless it is missing, forbidden, too old, without memory or misbehaves: then it is epoll,
    /// and [`Reactor::fallback`] has the reason.
    ///
    /// # Errors
    /// The driver does not start: the text says why and what to do.
    pub fn new(config: &ReactorConfig) -> Result<Reactor, StartError> {
        let notifier = Notifier::with_event().map_err(StartError::notifier)?;
        let pool = Rc::new(Pool::new(config.spare_memory, config.receive_memory));
        let epoll = || Driver::epoll(config, &notifier);
        let (driver, fallback) = match config.driver {
            DriverChoice::Epoll => (epoll()?, None),
            DriverChoice::Uring => (Driver::uring(config, &pool, &notifier)?, None),
            DriverChoice::Auto => match Driver::uring(config, &pool, &notifier) {
                Ok(driver) => (driver, None),
                Err(reason) => (epoll()?, Some(reason)),
            },
        };
        for group in [config.downstream_buffers, config.upstream_buffers] {
            pool.stock(group.size, STOCKED_BLOCKS);
        }
        let mut reactor = Reactor::with_driver(config, driver, pool, notifier);
        reactor.fallback = fallback;
        Ok(reactor)
    }

    /// What it runs on.
    pub fn driver(&self) -> DriverKind {
        self.handle.core().driver.kind()
    }

    /// Why it runs on epoll although io_uring was preferred.
    pub fn fallback(&self) -> Option<&StartError> {
        self.fallback.as_ref()
    }

    /// A reactor on a simulated network and clock: the same seed gives the same run. Peers are
    /// tasks on the same reactor.
    pub fn simulated(config: &ReactorConfig, net: SimNet) -> Reactor {
        let notifier = Notifier::simulated();
        let pool = Rc::new(Pool::new(config.spare_memory, config.receive_memory));
        let driver = Driver::sim(config, net, &notifier);
        Reactor::with_driver(config, driver, pool, notifier)
    }

    fn with_driver(
        config: &ReactorConfig,
        driver: Driver,
        pool: Rc<Pool>,
        notifier: Notifier,
    ) -> Reactor {
        let stats = Rc::new(Stats::default());
        let seed = driver.seed();
        let core = Core::new(
            config,
            driver,
            pool.clone(),
            stats.clone(),
            notifier.clone(),
        );
        Reactor {
            fallback: None,
            handle: Handle(Rc::new(Inner {
                core: RefCell::new(core),
                executor: Executor::new(notifier.clone()),
                stats,
                pool,
                notifier,
                buffer_size: config.downstream_buffers.size,
                now: Cell::new(Instant::ZERO),
                wall: Cell::new(None),
                random: Cell::new(seed),
            })),
        }
    }

    /// The handle for tasks.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs the loop until `main` is ready. Other tasks run meanwhile, and stay if they are not
    /// done; the next call goes on with them. A panic in a task ends that task only; a panic in
    /// `main` passes through.
    pub fn run_until<F: Future>(&mut self, main: F) -> F::Output {
        self.run_watched(main, |_| {})
    }

    /// As [`Reactor::run_until`], and calls `watch` after each turn: for checks.
    pub fn run_watched<F: Future>(&mut self, main: F, mut watch: impl FnMut(&Handle)) -> F::Output {
        let inner = &*self.handle.0;
        let mut main = pin!(main);
        let main_waker = Waker::from(inner.executor.clone());
        let mut cx = Context::from_waker(&main_waker);
        inner.executor.wake_main();
        // It changes places with the core's.
        let mut wakes = Vec::with_capacity(WAKES);
        loop {
            inner.begin_turn(&mut wakes);
            if inner.executor.take_main_woken()
                && let Poll::Ready(output) = main.as_mut().poll(&mut cx)
            {
                inner.core.borrow_mut().flush();
                return output;
            }
            inner.run_tasks();
            inner.end_turn(&mut wakes);
            watch(&self.handle);
        }
    }
}

impl Inner {
    /// Reads the clock, fires timers, runs wakers.
    fn begin_turn(&self, wakes: &mut Vec<Waker>) {
        self.stats.turns.add(1);
        let mut core = self.core.borrow_mut();
        self.now.set(core.begin_turn());
        drop(core);
        self.wall.set(None);
        self.run_wakes(wakes);
        self.stats
            .remote_wakes
            .add(self.executor.collect_remote() as u64);
    }

    /// Runs the collected wakers outside of the core's borrow.
    fn run_wakes(&self, wakes: &mut Vec<Waker>) {
        loop {
            std::mem::swap(&mut self.core.borrow_mut().wakes, wakes);
            if wakes.is_empty() {
                return;
            }
            for waker in wakes.drain(..) {
                waker.wake();
            }
        }
    }

    /// Polls tasks until none is runnable or the turn's limits are reached.
    fn run_tasks(&self) {
        let (limit, time) = {
            let core = self.core.borrow();
            (core.config.turn_polls, core.config.turn_time)
        };
        let end = self.now.get() + time;
        let mut polls = 0;
        while polls < limit {
            let Some(completed) = self.executor.run_next() else {
                break;
            };
            if !completed {
                self.stats.task_panics.add(1);
            }
            polls += 1;
            if polls % POLLS_PER_CLOCK_READ == 0 && self.core.borrow().driver.now() >= end {
                break;
            }
        }
        self.stats.polls.add(u64::from(polls));
        if polls > 0 {
            if polls == limit || self.executor.has_work() {
                self.stats.limited_turns.add(1);
            }
            let took = self.core.borrow().driver.now() - self.now.get();
            let took = took.as_nanos() as u64;
            self.stats.longest_turn_ns.max(took);
            self.stats.longest_turn_lately_ns.max(took);
        }
    }

    /// Submits what the tasks left, waits unless there is more to run, applies completions.
    fn end_turn(&self, wakes: &mut Vec<Waker>) {
        self.run_wakes(wakes);
        let runnable = self.executor.has_work();
        let mut core = self.core.borrow_mut();
        core.flush();
        core.turn(runnable);
    }
}

impl Handle {
    pub(super) fn core(&self) -> RefMut<'_, Core> {
        self.0.core.borrow_mut()
    }

    /// Runs a task on this thread. A panic in it is caught and counted, and drops its future; the
    /// loop goes on.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.executor.spawn(&self.0.stats, task);
    }

    /// The present turn's time.
    pub fn now(&self) -> Instant {
        self.0.now.get()
    }

    /// The present turn's wall-clock time, for dates and logs.
    pub fn wall(&self) -> SystemTime {
        if let Some(wall) = self.0.wall.get() {
            return wall;
        }
        let wall = self.0.core.borrow().driver.wall();
        self.0.wall.set(Some(wall));
        wall
    }

    /// A pseudo-random number (wyrand): for balancing and jitter, not for secrets.
    pub fn random(&self) -> u64 {
        next_random(&self.0.random)
    }

    /// Lets the other runnable tasks run first.
    pub fn yield_now(&self) -> YieldNow {
        YieldNow::default()
    }

    /// The way to wake this reactor from another thread.
    pub fn notifier(&self) -> Notifier {
        self.0.notifier.clone()
    }

    /// Ready once the reactor was notified since this was last ready. One task may wait here.
    pub fn poll_notified(&self, cx: &mut Context<'_>) -> Poll<()> {
        let core = &mut *self.core();
        if std::mem::take(&mut core.notified) {
            return Poll::Ready(());
        }
        let replaced = remember(&mut core.notified_waker, cx);
        core.wakes.extend(replaced);
        Poll::Pending
    }

    /// See [`Handle::poll_notified`]. Look at your queues after it, not before.
    pub async fn notified(&self) {
        std::future::poll_fn(|cx| self.poll_notified(cx)).await;
    }

    /// An empty buffer of a receive buffer's size, to serialise into.
    pub fn buffer(&self) -> Buffer {
        Buffer::new(&self.0.pool, self.0.buffer_size)
    }

    /// An empty buffer with room for at least `capacity` bytes.
    pub fn buffer_with_capacity(&self, capacity: usize) -> Buffer {
        let mut buffer = self.buffer();
        buffer.reserve(capacity);
        buffer
    }

    /// Accepted connections that exist now, parked and closing ones included.
    pub fn downstream_connections(&self) -> u64 {
        self.0.stats.downstream_connections.get()
    }

    /// The counters, without bringing the gauges up to date.
    pub(super) fn counters(&self) -> &Stats {
        &self.0.stats
    }

    /// Keeps `load` at the number of accepted connections, for other threads to read.
    pub fn publish_downstream_connections(&self, load: Arc<SharedGauge>) {
        load.set(self.downstream_connections());
        self.core().downstream_load = Some(load);
    }

    /// Counters and gauges.
    pub fn stats(&self) -> &Stats {
        let (blocks, bytes) = self.0.pool.in_use();
        self.0.stats.buffers_in_use.set(blocks as u64);
        self.0.stats.buffer_bytes_in_use.set(bytes as u64);
        &self.0.stats
    }
}

/// wyrand (Wang Yi, public domain): one multiplication per number, passes BigCrush.
fn next_random(state: &Cell<u64>) -> u64 {
    let seed = state.get().wrapping_add(0xa076_1d64_78bd_642f);
    state.set(seed);
    let product = u128::from(seed) * u128::from(seed ^ 0xe703_7ed1_a0b4_28db);
    (product >> 64) as u64 ^ product as u64
}

impl Drop for Reactor {
    /// Drops the tasks, then ends all operations before their memory is freed.
    fn drop(&mut self) {
        let inner = &*self.handle.0;
        loop {
            let wakers = inner.core.borrow_mut().take_all_wakers();
            let any = !wakers.is_empty();
            // A task whose last waker goes is scheduled once more, to be dropped here.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(wakers)));
            let dropped = catch_unwind(AssertUnwindSafe(|| inner.executor.drop_runnable()));
            if !any && matches!(dropped, Ok(false)) {
                break;
            }
        }
        inner.executor.close();
        inner.core.borrow_mut().end();
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").finish_non_exhaustive()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}
