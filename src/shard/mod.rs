//! A shard: one thread pinned to one CPU that owns its listeners, its view of the router, its upstream
//! pools and its counters.
//!
//! ```text
//! control ── mailbox ──► apply ── View swap ──┐
//! kernel ─── accept ───► balance ── park ─────┤── exchange workers ──► upstreams
//! peers ──── hand-over ► adopt ── park ───────┘
//! ```
//!
//! Shards share nothing mutable except the loads and the queues of fresh connections in `balance`.
//! Not here: what happens to a request (`exchange`).

mod balance;
mod essential;
mod mailbox;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use balance::Seat;
pub use balance::{Balance, HANDOVER_QUEUE};
use essential::Essential;

use crate::exchange::{
    Local, LocalSettings, Offload, OffloadPool, SnapshotReturn, View, run_workers,
};
use crate::io::{DriverKind, Reactor, ReactorConfig, StartError, cpu};
use crate::observe::access_log::{FLUSH_INTERVAL, RecordSink};
use crate::observe::counters::{Counters, PUBLISH_INTERVAL};
use crate::router::mailbox::ShardInbox;
use crate::router::snapshot::Snapshot;

/// What a shard needs to start.
pub struct ShardSettings {
    /// Which shard this is, from 0.
    pub index: usize,
    /// The CPU to run on; `None`: wherever the kernel likes.
    pub cpu: Option<usize>,
    /// Sizes of the reactor.
    pub reactor: ReactorConfig,
    /// What exchanges share.
    pub local: LocalSettings,
    /// The configuration to begin with.
    pub snapshot: Arc<Snapshot>,
    /// Threads for work that takes too long for a shard.
    pub offload: OffloadPool,
    /// Where access log records go.
    pub records: RecordSink,
    /// Where the shard's counters can be read.
    pub counters: Arc<Counters>,
    /// The shard's end of its mailbox.
    pub inbox: ShardInbox,
    /// The loads of all shards.
    pub balance: Arc<Balance>,
}

/// Why a shard did not start.
#[derive(Debug)]
pub enum ShardStartError {
    /// The kernel gave no thread.
    Thread(io::Error),
    /// The reactor did not start.
    Reactor(StartError),
    /// The thread ended before it reported.
    Died,
}

/// A shard that runs.
pub struct ShardThread {
    /// Its thread.
    pub thread: JoinHandle<()>,
    /// What its reactor runs on.
    pub driver: DriverKind,
    /// Why that is not io_uring, although it was preferred.
    pub fallback: Option<String>,
}

/// What a shard's thread reports once.
type Report = Result<(DriverKind, Option<String>), StartError>;

/// Starts a shard on a thread of its own, which ends after
/// [`ToShard::Stop`](crate::router::mailbox::ToShard::Stop). Returns once its reactor runs.
///
/// # Errors
/// [`ShardStartError`]; the thread has ended then.
pub fn start(settings: ShardSettings) -> Result<ShardThread, ShardStartError> {
    let (report, reported) = mpsc::sync_channel::<Report>(1);
    let thread = std::thread::Builder::new()
        .name(format!("shard-{}", settings.index))
        .spawn(move || run(settings, &report))
        .map_err(ShardStartError::Thread)?;
    match reported.recv() {
        Ok(Ok((driver, fallback))) => Ok(ShardThread {
            thread,
            driver,
            fallback,
        }),
        Ok(Err(error)) => Err(ShardStartError::Reactor(error)),
        Err(mpsc::RecvError) => Err(ShardStartError::Died),
    }
}

fn run(settings: ShardSettings, report: &mpsc::SyncSender<Report>) {
    cpu::take_precedence();
    if let Some(cpu) = settings.cpu {
        // A CPU that went away since the mask was read is no reason not to serve.
        let _ = cpu::pin(cpu);
    }
    let (reactor, result) = match Reactor::new(&settings.reactor) {
        Ok(reactor) => {
            let fallback = reactor.fallback().map(StartError::to_string);
            let driver = reactor.driver();
            (Some(reactor), Ok((driver, fallback)))
        }
        Err(error) => (None, Err(error)),
    };
    // Whoever starts a shard waits for exactly this message.
    let heard = report.send(result).is_ok();
    if let (Some(mut reactor), true) = (reactor, heard) {
        serve(&mut reactor, settings);
    }
}

/// The life of a shard on its reactor; ends when the mailbox says stop.
pub fn serve(reactor: &mut Reactor, settings: ShardSettings) {
    let io = reactor.handle();
    let notifier = io.notifier();
    let inbox = Rc::new(settings.inbox);
    inbox.on_message(Arc::new(move || notifier.notify()));
    let back = SnapshotReturn::new(inbox.clone());
    let generation = settings.snapshot.generation;
    let view = View::new(settings.snapshot, back.clone());
    let offload = Offload::new(settings.offload, io.notifier());
    let local = Local::new(io.clone(), settings.local, view, offload, settings.records);
    let seat = Rc::new(Seat::take(settings.balance, settings.index, local.clone()));
    inbox.ack(generation);
    let essential = Essential::new(io);
    let counters = publish_counters(local.clone(), settings.counters);
    essential.spawn("publishing counters", counters);
    essential.spawn("starting workers", run_workers(local.clone()));
    if local.records.is_on() {
        essential.spawn("flushing the access log", flush_records(local.clone()));
    }
    essential.spawn("accepting connections", balance::accept(seat.clone()));
    reactor.run_until(essential.with(mailbox::read(local, seat, inbox, back)));
}

/// Lets other threads see what this shard counts.
async fn publish_counters(local: Rc<Local>, counters: Arc<Counters>) {
    loop {
        counters.publish(local.io.stats().iter().chain(local.stats.snapshot()));
        local.io.stats().begin_interval();
        local.io.sleep(PUBLISH_INTERVAL).await;
    }
}

/// Hands the access log's records on, so that a quiet shard's lines do not wait for a full batch.
async fn flush_records(local: Rc<Local>) {
    loop {
        local.io.sleep(FLUSH_INTERVAL).await;
        local.records.flush();
    }
}

impl std::fmt::Display for ShardStartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Thread(error) => write!(f, "the kernel gave no thread for a shard: {error}"),
            Self::Reactor(error) => error.fmt(f),
            Self::Died => {
                f.write_str("a shard's thread ended while starting; its panic message says why")
            }
        }
    }
}

impl std::error::Error for ShardStartError {}
