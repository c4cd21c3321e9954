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
mod mailbox;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use balance::Seat;
pub use balance::{Balance, HANDOVER_QUEUE};

use crate::exchange::{
    Local, LocalSettings, Offload, OffloadPool, SnapshotReturn, View, run_workers,
};
use crate::io::{Notifier, Reactor, ReactorConfig, StartError, cpu};
use crate::observe::access_log::RecordSink;
use crate::router::mailbox::{ShardInbox, ShardLink, Wake, mailbox};
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
    /// The loads of all shards.
    pub balance: Arc<Balance>,
}

/// A running shard, seen from the control thread.
pub struct StartedShard {
    /// The way to its mailbox.
    pub link: ShardLink,
    /// Ends after [`crate::router::mailbox::ToShard::Stop`].
    pub thread: JoinHandle<()>,
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

/// Starts a shard on a thread of its own. `wake_control` is called whenever something comes back.
///
/// # Errors
/// [`ShardStartError`]; the thread has ended then.
pub fn start(settings: ShardSettings, wake_control: Wake) -> Result<StartedShard, ShardStartError> {
    let (report, reported) = mpsc::sync_channel::<Result<Notifier, StartError>>(1);
    let (give, given) = mpsc::sync_channel::<ShardInbox>(1);
    let thread = std::thread::Builder::new()
        .name(format!("shard-{}", settings.index))
        .spawn(move || run(settings, &report, &given))
        .map_err(ShardStartError::Thread)?;
    let notifier = reported
        .recv()
        .map_err(|_| ShardStartError::Died)?
        .map_err(ShardStartError::Reactor)?;
    let (link, inbox) = mailbox(Arc::new(move || notifier.notify()), wake_control);
    give.send(inbox).map_err(|_| ShardStartError::Died)?;
    Ok(StartedShard { link, thread })
}

fn run(
    settings: ShardSettings,
    report: &mpsc::SyncSender<Result<Notifier, StartError>>,
    given: &mpsc::Receiver<ShardInbox>,
) {
    if let Some(cpu) = settings.cpu {
        // A CPU that went away since the mask was read is no reason not to serve.
        let _ = cpu::pin(cpu);
    }
    let mut reactor = match Reactor::new(&settings.reactor) {
        Ok(reactor) => reactor,
        Err(error) => {
            // The receiver waits for exactly this.
            let _ = report.send(Err(error));
            return;
        }
    };
    let notifier = reactor.handle().notifier();
    if report.send(Ok(notifier)).is_err() {
        return;
    }
    let Ok(inbox) = given.recv() else { return };
    serve(&mut reactor, settings, inbox);
}

/// The life of a shard on its reactor; ends when the mailbox says stop.
pub fn serve(reactor: &mut Reactor, settings: ShardSettings, inbox: ShardInbox) {
    let io = reactor.handle();
    let inbox = Rc::new(inbox);
    let back = SnapshotReturn::new(inbox.clone());
    let generation = settings.snapshot.generation;
    let view = View::new(settings.snapshot, back.clone());
    let offload = Offload::new(settings.offload, io.notifier());
    let local = Local::new(io.clone(), settings.local, view, offload, settings.records);
    let seat = Rc::new(Seat::take(settings.balance, settings.index, local.clone()));
    inbox.ack(generation);
    io.spawn(run_workers(local.clone()));
    io.spawn(balance::accept(seat.clone()));
    reactor.run_until(mailbox::read(local, seat, inbox, back));
}

impl std::fmt::Display for ShardStartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Thread(error) => write!(f, "the kernel gave no thread for a shard: {error}"),
            Self::Reactor(error) => error.fmt(f),
            Self::Died => f.write_str("a shard's thread ended while starting; its panic message says why"),
        }
    }
}

impl std::error::Error for ShardStartError {}
