//! The whole proxy on the simulated driver: clients, proxy and origins in one thread, over a seeded network
//! and kernel, with changes of configuration in between, and the rules that must hold whatever happens.
//!
//! ```text
//! seed or bytes ─► choices ─► scenario ─► run ─► client ─► proxy ─► origin
//!                                          │        └──── book ◄──────┘   (what everybody saw; the rules)
//!                                          └ after every turn: the reactor's audit; at the end: its census
//! ```
//!
//! Everything here uses the library and nothing else, so that a fuzzer can include it by its path.

pub mod book;
pub mod choices;
pub mod client;
pub mod compose;
pub mod draft;
pub mod gate;
pub mod history;
pub mod introduction;
pub mod judge;
pub mod message;
pub mod origin;
pub mod proxy;
pub mod scenario;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use ringway::exchange::{Local, limit, tag_of};
use ringway::io::{Address, Buffer, Census, FaultCounts, Handle, Reactor, Stream};

use book::Book;
use draft::{ORIGINS, origin_address};
use history::History;
use proxy::Proxy;
use scenario::{Flaw, Scenario};

/// Tags of the origins' listeners begin here.
const ORIGIN_TAG: u32 = 100;
/// Virtual time after which a scenario must have come to its end, and to rest.
const PATIENCE: Duration = Duration::from_secs(20_000);

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Rules that were broken; empty if all is well.
    pub violations: Vec<String>,
    /// A number that everything decides which the simulated kernel was asked and has told.
    pub trace: u64,
    /// Responses of origins, of the proxy's own, tunnels.
    pub answered: u64,
    /// Responses of the proxy's own.
    pub refused: u64,
    /// Tunnels.
    pub tunnels: u64,
    /// Passes of the reactor's loop.
    pub turns: u64,
    /// What the network did.
    pub faults: FaultCounts,
}

/// Runs a scenario to its end and says what was broken.
pub fn run(scenario: Scenario) -> Outcome {
    let history = History::get(scenario.history, scenario.calm);
    let book = Book::new(scenario, history);
    let mut reactor = Reactor::simulated(&book.scenario.reactor, book.scenario.net.clone());
    let io = reactor.handle();
    io.poison_buffers();
    let broken = RefCell::new(None);
    let result = catch_unwind(AssertUnwindSafe(|| {
        let play = play(io.clone(), book.clone());
        reactor.run_watched(play, |io| {
            if broken.borrow().is_none()
                && let Err(what) = io.audit()
            {
                *broken.borrow_mut() = Some(what);
            }
        });
    }));
    let mut violations = book.violations();
    violations.extend(broken.take());
    if let Err(panic) = result {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        violations.push(format!("a panic: {}", text.unwrap_or_default()));
    }
    let stats = io.stats();
    if stats.task_panics.get() > 0 {
        violations.push(format!("{} tasks have panicked", stats.task_panics.get()));
    }
    let mut outcome = Outcome {
        trace: io.trace(),
        answered: book.answered.get(),
        refused: book.refused.get(),
        tunnels: book.tunnels.get(),
        turns: stats.turns.get(),
        faults: io.faults(),
        violations,
    };
    // A reactor that panicked while its core was borrowed is in no state to be looked at.
    drop(reactor);
    let left = io.stats().tasks.get();
    if left > 0 && outcome.violations.is_empty() {
        outcome
            .violations
            .push(format!("{left} tasks outlive their reactor"));
    }
    outcome
}

/// Lets everything happen, then waits for rest and counts what is left.
async fn play(io: Handle, book: Rc<Book>) {
    let end = io.now() + PATIENCE;
    let step = &book.history.steps[book.step.get()];
    let proxy = Proxy::start(&io, &book.scenario, step);
    for number in 0..ORIGINS {
        io.spawn(keep_origin(io.clone(), book.clone(), number));
    }
    io.spawn(accept(proxy.local.clone(), book.clone()));
    book.clients.set(book.scenario.clients.len());
    for number in 0..book.scenario.clients.len() {
        io.spawn(client::run(io.clone(), book.clone(), number, proxy.addr));
    }
    io.spawn(sweep(io.clone(), book.clone()));
    for &pause in &book.scenario.changes {
        io.sleep(pause).await;
        book.step.set(book.step.get() + 1);
        proxy.apply(&book.history.steps[book.step.get()]);
    }
    let finished = book.clients.until(|clients| clients == 0);
    if io.timeout(end, finished).await.is_err() {
        return book.violate("clients do not come to an end".into());
    }
    let _leak = leak(&io, &book, proxy.addr).await;
    proxy.local.start_draining();
    book.ending.set(true);
    let mut pause = Duration::from_millis(10);
    while io.stats().connections.get() > 0 && io.now() < end {
        io.close_idle_downstream();
        io.sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(10));
    }
    proxy.close();
    let mut left = what_is_left(&io, &proxy);
    let mut pause = Duration::from_millis(20);
    // A connection may have been accepted at the last moment; its request takes its time.
    for _ in 0..60 {
        if left.is_none() {
            return;
        }
        io.close_idle_downstream();
        io.sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(10));
        left = what_is_left(&io, &proxy);
    }
    if let Some(left) = left {
        book.violate(format!("left at rest: {left}"));
    }
}

/// Closes idle connections of clients now and then.
async fn sweep(io: Handle, book: Rc<Book>) {
    for &pause in &book.scenario.sweeps {
        io.sleep(pause).await;
        book.swept.set(true);
        io.close_idle_downstream();
    }
}

/// Keeps something for ever, if the scenario is to have that flaw.
async fn leak(
    io: &Handle,
    book: &Rc<Book>,
    proxy: SocketAddr,
) -> Option<(Option<Buffer>, Option<Stream>)> {
    match book.scenario.flaw? {
        Flaw::LeakedTask => {
            let book = book.clone();
            io.spawn(async move { book.clients.until(|clients| clients == usize::MAX).await });
        }
        Flaw::LeakedBuffer => return Some((Some(io.buffer()), None)),
        Flaw::LeakedConnection => {
            return Some((None, io.connect(&Address::Inet(proxy)).await.ok()));
        }
        Flaw::LeakedListener => drop(io.listen_at(([10, 0, 0, 9], 9).into(), 9)),
        Flaw::LeakedSleep => {
            let mut sleep = Box::pin(io.sleep(PATIENCE * 2));
            poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx).is_ready())).await;
            std::mem::forget(sleep);
        }
        _ => {}
    }
    None
}

/// At rest nothing is left but what was started to stay; anything else is told.
fn what_is_left(io: &Handle, proxy: &Proxy) -> Option<String> {
    let census = io.census();
    let rest = Census {
        // Who starts workers, who accepts, who does the work of other threads, and the workers that wait.
        tasks: 3 + census.waiting_workers,
        waiting_workers: census.waiting_workers,
        ..Census::default()
    };
    let active = proxy.local.stats.active.get();
    let in_flight = proxy.local.in_flight();
    let strays = proxy.stray_names();
    let rests = census == rest && active == 0 && in_flight == 0 && strays == 0;
    (!rests).then(|| {
        format!("{census:?}, {active} requests active, {in_flight} in flight, {strays} stray names")
    })
}

/// Has an origin listen, but while its plan has it closed, until the end.
async fn keep_origin(io: Handle, book: Rc<Book>, number: usize) {
    let tag = ORIGIN_TAG + number as u32;
    let listen = || io.listen_at(origin_address(number), tag);
    let mut listener = listen().expect("a free port");
    if let Some(closed) = book.scenario.origins[number].closed {
        io.sleep(closed).await;
        io.close_listener(listener);
        io.sleep(closed).await;
        listener = loop {
            match listen() {
                Ok(listener) => break listener,
                // The accept of the one before has not ended yet.
                Err(_) => io.sleep(Duration::from_millis(10)).await,
            }
        };
    }
    book.ending.until(|ending| ending).await;
    io.close_listener(listener);
}

/// One accept queue for everybody in the simulation: origins serve at once, the proxy parks.
async fn accept(local: Rc<Local>, book: Rc<Book>) {
    let io = local.io.clone();
    let patience = local.settings.entry_points[0].read_timeout;
    loop {
        let accepted = io.accept().await;
        let tag = accepted.tag();
        let stream = io.adopt(accepted);
        if tag == proxy::TAG {
            stream.set_tag(tag_of(0, io.now()));
            stream.park_downstream(limit(io.now(), patience));
        } else {
            let number = (tag - ORIGIN_TAG) as usize;
            io.spawn(origin::serve(io.clone(), book.clone(), stream, number));
        }
    }
}
