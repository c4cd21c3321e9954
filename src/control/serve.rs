//! The control thread's loop: from the start of the process to its end.
//!
//! ```text
//!            ┌─ plan outcomes ──► broadcast, resolver, API
//!  select ───┼─ shards' wake, tick ──► pump: acknowledgements, alarms, readiness
//!            ├─ resolver ──► addresses to shards
//!            └─ signals: HUP re-reads, USR1 reopens logs, TERM and INT drain and end
//! ```
//!
//! | phase | traffic entry points | `/ping` |
//! |---|---|---|
//! | starting: until every provider's first state is effective, or `ringway.startupTimeout` | claimed | 503 |
//! | ready | listen | 200 |
//! | terminating: `requestAcceptGraceTimeout`, then `graceTimeOut` per entry point | close in turn | `terminatingStatusCode` |

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};

use super::broadcast::Broadcast;
use super::listen::Claim;
use super::planning::{Outcome, PlanWorker};
use super::resolver::{Lookup, Resolver};
use crate::api::ApiState;
use crate::io::cpu;
use crate::plan::{Level, Message, Published};
use crate::provider::file::FileProvider;
use crate::router::mailbox::{Drain, EntryPointListener, Health, NameAddresses, ToShard};
use crate::service::NameId;

/// How often to look after what nothing wakes for: alarms, threads that have ended.
const TICK: Duration = Duration::from_millis(250);

/// How long after `Stop` shards may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Most changes whose text and time are kept until they are effective; while a shard is stuck, older ones are neither
/// logged nor timed.
const MAX_UNCONFIRMED: usize = 64;

/// An entry point as the control thread sees it.
pub struct EntryPointState {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is bound.
    pub address: SocketAddr,
    /// Its port, until it listens.
    pub claim: Option<Claim>,
    /// Whether it listens before the dynamic configuration is known.
    pub early: bool,
    /// How long connections are still accepted at the end.
    pub accept_grace: Duration,
    /// How long exchanges may go on after that.
    pub grace: Duration,
}

/// Everything that the loop serves.
pub struct Serving<L> {
    /// In the order in which messages to shards count them.
    pub entry_points: Vec<EntryPointState>,
    /// All shards.
    pub broadcast: Broadcast,
    /// The shards' threads.
    pub threads: Vec<JoinHandle<()>>,
    /// The plan worker and what it has to tell.
    pub worker: PlanWorker,
    /// What one change after the other came to.
    pub outcomes: mpsc::UnboundedReceiver<Outcome>,
    /// The file provider, if it is enabled.
    pub file: Option<FileProvider>,
    /// Resolves upstream names.
    pub resolver: Resolver<L>,
    /// New addresses.
    pub addresses: mpsc::UnboundedReceiver<NameAddresses>,
    /// Set by shards when there is something to pump.
    pub wake: Arc<Notify>,
    /// The state of everything, for the API.
    pub published: Arc<ArcSwap<Published>>,
    /// The API's view of all this, if it is enabled.
    pub api: Option<Arc<ApiState>>,
    /// How long traffic waits for providers.
    pub startup_timeout: Duration,
    /// Opens log files anew (SIGUSR1).
    pub reopen_logs: Box<dyn Fn()>,
    /// Called once, when traffic is served.
    pub on_ready: Option<OnReady>,
    /// Names that no server has from a generation on; shards may use them until it is effective.
    pub forgotten: VecDeque<(u64, NameId)>,
    /// What changed with a generation, as JSON, until that is effective; empty unless the log's level is debug.
    pub unconfirmed: VecDeque<(u64, String)>,
    /// When planning a generation began that is not effective yet.
    pub applying: VecDeque<(u64, Instant)>,
}

/// Told where the entry points listen.
pub type OnReady = Box<dyn FnOnce(&[(Arc<str>, SocketAddr)])>;

/// Ends the process's serving when it resolves, as SIGTERM does.
pub type Stop = Pin<Box<dyn Future<Output = ()>>>;

/// What the process waits for before it serves traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Providers have not all reported.
    Waiting,
    /// They have; this generation must become effective.
    Applying(u64),
    Ready,
}

struct Signals {
    hang_up: Signal,
    user: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

impl<L: Lookup> Serving<L> {
    /// Serves until a signal or `stop` ends it. Must run inside a tokio `LocalSet`.
    pub async fn run(mut self, stop: Stop) -> ExitCode {
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => {
                tracing::error!("Signals cannot be received: {error}");
                return ExitCode::FAILURE;
            }
        };
        if let Err(error) = self.listen(true) {
            tracing::error!("{error}");
            return ExitCode::FAILURE;
        }
        match self.serve(&mut signals, stop).await {
            Ok(()) => {
                self.drain(&mut signals).await;
                self.stop_shards().await;
                ExitCode::SUCCESS
            }
            Err(reason) => {
                tracing::error!("{reason}");
                ExitCode::FAILURE
            }
        }
    }

    async fn serve(&mut self, signals: &mut Signals, mut stop: Stop) -> Result<(), String> {
        let mut phase = Phase::Waiting;
        let startup_end = tokio::time::sleep(self.startup_timeout);
        tokio::pin!(startup_end);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let wake = self.wake.clone();
        loop {
            let mut began = None;
            tokio::select! {
                Some(outcome) = self.outcomes.recv() => {
                    began = Some(cpu::thread_time());
                    let generation = self.take(outcome, phase);
                    if let (Phase::Waiting, Some(generation)) = (phase, generation) {
                        phase = Phase::Applying(generation);
                    }
                }
                Some(addresses) = self.addresses.recv() => {
                    self.broadcast.addresses(&addresses, Instant::now());
                }
                () = wake.notified() => {}
                _ = tick.tick() => self.check_threads()?,
                () = &mut startup_end, if phase != Phase::Ready => {
                    let timeout = self.startup_timeout;
                    let missing = self.missing_providers();
                    tracing::error!(
                        "Not every provider has reported within {timeout:?} (ringway.startupTimeout): \
                         {missing}; traffic is served with what there is"
                    );
                    self.become_ready()?;
                    phase = Phase::Ready;
                }
                _ = signals.hang_up.recv() => self.reread(),
                _ = signals.user.recv() => self.reopen(),
                _ = signals.terminate.recv() => return Ok(()),
                _ = signals.interrupt.recv() => return Ok(()),
                () = &mut stop => return Ok(()),
            }
            let rested = cpu::thread_time();
            let effective = self.pump(Instant::now());
            if let Some(api) = &self.api {
                let busy = cpu::thread_time().saturating_sub(began.unwrap_or(rested));
                api.note_control(busy, self.broadcast.live());
            }
            if let Phase::Applying(generation) = phase
                && effective >= generation
            {
                self.become_ready()?;
                phase = Phase::Ready;
            }
        }
    }

    /// Puts an outcome into force. Returns the generation that completes the start, once it is known.
    fn take(&mut self, outcome: Outcome, phase: Phase) -> Option<u64> {
        let now = Instant::now();
        let Outcome {
            planned,
            all_reported,
            logged,
            began,
        } = outcome;
        for message in &planned.log {
            log_message(message);
        }
        let generation = planned.published.generation;
        if let Some(config) = logged {
            if self.unconfirmed.len() >= MAX_UNCONFIRMED {
                self.unconfirmed.pop_front();
            }
            self.unconfirmed.push_back((generation, config));
        }
        if let Some(api) = &self.api {
            api.publish(planned.published.clone());
        }
        self.published.store(planned.published);
        for (name, host) in planned.names_added {
            self.resolver.add(name, host);
        }
        if let Some(changes) = planned.change {
            tracing::debug!(generation, "Configuration sent to shards");
            self.broadcast.apply(&changes, now);
            if self.applying.len() >= MAX_UNCONFIRMED {
                self.applying.pop_front();
            }
            self.applying.push_back((generation, began));
        }
        for (name, _) in planned.names_removed {
            self.resolver.remove(name);
            self.forgotten.push_back((generation, name));
        }
        (all_reported && phase == Phase::Waiting).then_some(generation)
    }

    /// Takes in what shards say; forgets names that no shard can use any more.
    fn pump(&mut self, now: Instant) -> u64 {
        let effective = self.broadcast.pump(now);
        self.worker.note_effective(effective);
        if let Some(api) = &self.api {
            let acknowledged = self.broadcast.acknowledged().enumerate();
            acknowledged.for_each(|(shard, generation)| api.acknowledge(shard, generation));
        }
        while let Some((_, name)) = self
            .forgotten
            .pop_front_if(|(generation, _)| *generation <= effective)
        {
            self.broadcast.forget_name(name, now);
        }
        while let Some((_, began)) = self
            .applying
            .pop_front_if(|(generation, _)| *generation <= effective)
        {
            if let Some(api) = &self.api {
                api.reloads.note_effective();
                api.reloads.apply.note(now.saturating_duration_since(began));
            }
        }
        while let Some((generation, config)) = self
            .unconfirmed
            .pop_front_if(|(generation, _)| *generation <= effective)
        {
            tracing::debug!(
                generation,
                state = "effective",
                config,
                "Configuration effective on every shard"
            );
        }
        effective
    }

    fn become_ready(&mut self) -> Result<(), String> {
        self.listen(false)?;
        self.broadcast
            .send(Instant::now(), |_| ToShard::Health(Health::Ready));
        let addresses: Vec<_> = self
            .entry_points
            .iter()
            .map(|entry_point| (entry_point.name.clone(), entry_point.address))
            .collect();
        let listening: Vec<String> = addresses
            .iter()
            .map(|(name, address)| format!("{name}={address}"))
            .collect();
        tracing::info!(
            shards = self.broadcast.len(),
            generation = self.published.load().generation,
            "Ready: {}",
            listening.join(" ")
        );
        if let Some(on_ready) = self.on_ready.take() {
            on_ready(&addresses);
        }
        Ok(())
    }

    /// Lets the entry points listen that do not yet, or only the early ones.
    fn listen(&mut self, early: bool) -> Result<(), String> {
        let now = Instant::now();
        let shards = self.broadcast.len();
        for (index, entry_point) in (0u32..).zip(&mut self.entry_points) {
            if early && !entry_point.early {
                continue;
            }
            let Some(claim) = entry_point.claim.take() else {
                continue;
            };
            let mut sockets = claim
                .open(shards)
                .map_err(|error| error.to_string())?
                .into_iter();
            self.broadcast.send_some(now, |_| {
                let listener = sockets.next()?;
                Some(ToShard::Listen(EntryPointListener {
                    entry_point: index,
                    listener,
                }))
            });
        }
        Ok(())
    }

    fn missing_providers(&self) -> String {
        let published = self.published.load();
        let missing = published
            .providers
            .iter()
            .filter(|provider| !provider.reported)
            .map(|provider| {
                let reason = provider.error.as_deref().unwrap_or("has said nothing");
                format!("{}: {reason}", provider.name)
            });
        let missing: Vec<String> = missing.collect();
        if missing.is_empty() {
            "a shard has not applied their state".to_owned()
        } else {
            missing.join("; ")
        }
    }

    fn reread(&self) {
        tracing::info!("SIGHUP: reading configuration files again");
        if let Some(file) = &self.file {
            file.reread();
        }
    }

    fn reopen(&self) {
        (self.reopen_logs)();
        tracing::info!("SIGUSR1: log files are open anew");
    }

    /// A shard or the plan worker never ends while serving; its panic message is on standard error.
    fn check_threads(&self) -> Result<(), String> {
        if let Some(index) = self.threads.iter().position(JoinHandle::is_finished) {
            return Err(format!(
                "Shard {index} has ended unexpectedly; the process ends with it"
            ));
        }
        if self.worker.is_finished() {
            return Err(
                "The plan worker has ended unexpectedly; the process ends with it".to_owned(),
            );
        }
        Ok(())
    }

    /// Closes the entry points, each in its own time, and waits for their connections. A second
    /// terminating signal ends the wait.
    async fn drain(&mut self, signals: &mut Signals) {
        tracing::info!("Shutting down: waiting for running requests");
        let start = Instant::now();
        self.broadcast
            .send(start, |_| ToShard::Health(Health::Terminating));
        let mut closing: Vec<(Duration, u32, Duration)> = (0u32..)
            .zip(&self.entry_points)
            .map(|(index, state)| (state.accept_grace, index, state.grace))
            .collect();
        closing.sort_unstable();
        let end = start
            + closing
                .iter()
                .map(|(accept, _, grace)| *accept + *grace)
                .max()
                .unwrap_or_default();
        let mut closing = closing.into_iter().peekable();
        let wake = self.wake.clone();
        loop {
            let now = Instant::now();
            while let Some((_, entry_point, grace)) =
                closing.next_if(|(accept, ..)| start + *accept <= now)
            {
                self.broadcast
                    .send(now, |_| ToShard::Drain(Drain { entry_point, grace }));
            }
            self.pump(now);
            let next = match closing.peek() {
                Some((accept, ..)) => start + *accept,
                None if self.broadcast.drained() => return,
                None => end,
            };
            if now >= end && closing.peek().is_none() {
                tracing::warn!("The grace time is over; open connections are cut");
                return;
            }
            let tick = next.min(now + TICK);
            tokio::select! {
                () = wake.notified() => {}
                () = tokio::time::sleep_until(tick.into()) => {}
                Some(outcome) = self.outcomes.recv() => {
                    // Requests that still come are routed by what is newest.
                    self.take(outcome, Phase::Ready);
                }
                Some(addresses) = self.addresses.recv() => {
                    self.broadcast.addresses(&addresses, Instant::now());
                }
                _ = signals.user.recv() => self.reopen(),
                _ = signals.terminate.recv() => return,
                _ = signals.interrupt.recv() => return,
            }
        }
    }

    async fn stop_shards(&mut self) {
        self.broadcast.send(Instant::now(), |_| ToShard::Stop);
        let end = Instant::now() + STOP_TIMEOUT;
        while !self.threads.iter().all(JoinHandle::is_finished) && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.broadcast.pump(Instant::now());
        }
        for thread in self.threads.drain(..).filter(JoinHandle::is_finished) {
            // A shard that panicked at its very end has said so on standard error.
            let _ = thread.join();
        }
    }
}

fn log_message(message: &Message) {
    let Message {
        kind,
        name,
        level,
        text,
    } = message;
    let text = one_line(text);
    match level {
        Level::Error => tracing::error!(object = %kind, name = &**name, "{text}"),
        Level::Warning => tracing::warn!(object = %kind, name = &**name, "{text}"),
        Level::Info => tracing::info!(object = %kind, name = &**name, "{text}"),
    }
}

/// A rule with a caret below its error needs several lines; a log line has one.
fn one_line(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.trim().trim_start_matches('^').trim());
    lines
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
