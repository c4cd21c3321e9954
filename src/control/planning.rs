//! The plan worker: a thread that owns watcher and planner, so that neither a large source nor a large
//! compilation ever keeps the control thread from its other duties.
//!
//! ```text
//! providers ── Update ──► bounded queue ──► Watcher ── due ──► Planner ── Outcome ──► control thread
//! ```

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::io::memory;
use crate::plan::{PlanSettings, Planned, Planner};
use crate::watcher::{self, Received, Update, Watcher, WatcherSettings};

/// Most updates that wait for the worker. It composes them as soon as it is free, so that only a
/// provider that outruns a compilation ever waits, on its own thread.
pub const MAX_QUEUED_UPDATES: usize = 1024;

/// What one change came to.
#[derive(Debug)]
pub struct Outcome {
    /// What shards, resolver and API are told.
    pub planned: Planned,
    /// Whether every expected provider's first state is part of it or of an earlier one.
    pub all_reported: bool,
    /// What it changed, as JSON for the log, if anybody wants to read that.
    pub logged: Option<String>,
}

/// The running worker. It ends once every clone of [`PlanWorker::updates`] is gone.
pub struct PlanWorker {
    updates: Sender<Update>,
    thread: JoinHandle<()>,
}

impl PlanWorker {
    /// Starts the worker with a planner; outcomes go to `emit`, in order, at least one as soon as every
    /// expected provider has reported.
    ///
    /// # Errors
    /// The kernel gave no thread.
    pub fn start(
        watcher: WatcherSettings,
        planner: Planner,
        emit: impl FnMut(Outcome) + Send + 'static,
    ) -> io::Result<Self> {
        let (updates, queue) = bounded(MAX_QUEUED_UPDATES);
        let worker = Worker {
            watcher: Watcher::new(watcher),
            planner,
            emit,
            ready: false,
        };
        let thread = std::thread::Builder::new()
            .name("ringway-plan".into())
            .spawn(move || worker.run(&queue))?;
        Ok(Self { updates, thread })
    }

    /// Where providers send their updates.
    pub fn updates(&self) -> Sender<Update> {
        self.updates.clone()
    }

    /// Whether the thread has ended, which it does not while the process serves.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Plans one set of updates at once, without a thread, for commands that work offline.
pub fn plan_once(settings: PlanSettings, updates: impl IntoIterator<Item = Update>) -> Outcome {
    let now = Instant::now();
    let mut watcher = Watcher::new(WatcherSettings::default());
    for update in updates {
        watcher.receive(update, now);
    }
    let mut planner = Planner::new(settings);
    let planned = planner.apply(watcher.take_due(now).unwrap_or_default());
    Outcome {
        planned,
        all_reported: true,
        logged: None,
    }
}

struct Worker<E> {
    watcher: Watcher,
    planner: Planner,
    emit: E,
    /// Whether `all_reported` was emitted.
    ready: bool,
}

impl<E: FnMut(Outcome)> Worker<E> {
    fn run(mut self, queue: &Receiver<Update>) {
        loop {
            let update = match self.watcher.next_due() {
                Some(due) => queue.recv_deadline(due),
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match update {
                Ok(update) => self.receive(update),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // Whatever has come by now becomes one change.
            while let Ok(update) = queue.try_recv() {
                self.receive(update);
            }
            self.plan();
        }
    }

    fn receive(&mut self, update: Update) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            tracing::debug!(
                providerName = &*update.provider,
                position = update.position.number,
                kind = update.payload.kind(),
                state = "received",
                config = watcher::received(&update.payload),
                "Configuration received"
            );
        }
        let (provider, number) = (Arc::clone(&update.provider), update.position.number);
        if self.watcher.receive(update, Instant::now()) == Received::Stale {
            tracing::debug!(
                providerName = &*provider,
                position = number,
                "Configuration ignored: a newer one has come before it"
            );
        }
    }

    fn plan(&mut self) {
        let change = self.watcher.take_due(Instant::now());
        let all_reported = self.watcher.all_reported();
        let newly_ready = all_reported && !self.ready;
        if change.is_none() && !newly_ready {
            return;
        }
        self.ready |= all_reported;
        let change = change.unwrap_or_default();
        let is_logged = tracing::enabled!(tracing::Level::DEBUG) && !change.objects.is_empty();
        let logged = is_logged.then(|| watcher::effective(&change));
        let is_bulk = change.objects.len() >= memory::BULK_OBJECTS;
        let planned = self.planner.apply(change);
        (self.emit)(Outcome {
            planned,
            all_reported,
            logged,
        });
        if is_bulk {
            memory::return_freed();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::dynamic::{Kind, decode_text};
    use crate::config::format::Format;
    use crate::watcher::{Entry, Payload, Position};

    const PATIENCE: Duration = Duration::from_secs(10);

    fn update(provider: &str, number: u64, yaml: &str) -> Update {
        let decoded = decode_text(Format::Yaml, yaml, None).unwrap();
        let objects = decoded.objects.into_iter().map(|(key, declared)| {
            (
                key,
                Entry::Present(declared.result.expect("the test's objects are good")),
            )
        });
        Update {
            provider: provider.into(),
            position: Position {
                number,
                text: "".into(),
            },
            payload: Payload::Snapshot(objects.collect()),
        }
    }

    fn settings() -> PlanSettings {
        PlanSettings {
            entry_points: vec!["web".into()],
            default_entry_points: vec!["web".into()],
            ..PlanSettings::default()
        }
    }

    fn route(host: &str) -> String {
        format!(
            "http:\n  routers:\n    r:\n      rule: Host(`{host}`)\n      service: s\n  services:\n    s:\n      \
             loadBalancer:\n        servers:\n          - url: http://127.0.0.1:1\n"
        )
    }

    fn start(expected: &[&str]) -> (PlanWorker, Receiver<Outcome>) {
        let (sender, outcomes) = crossbeam_channel::unbounded();
        let watcher = WatcherSettings {
            expected: expected.iter().map(|name| Arc::from(*name)).collect(),
            ..WatcherSettings::default()
        };
        let emit = move |outcome| drop(sender.send(outcome));
        (
            PlanWorker::start(watcher, Planner::new(settings()), emit).unwrap(),
            outcomes,
        )
    }

    #[test]
    fn an_update_becomes_a_generation_and_equal_content_none() {
        let (worker, outcomes) = start(&["file"]);
        worker
            .updates()
            .send(update("file", 1, &route("a")))
            .unwrap();
        let first = outcomes.recv_timeout(PATIENCE).unwrap();
        assert!(first.all_reported);
        assert_eq!(first.planned.change.unwrap().snapshot.generation, 1);
        worker
            .updates()
            .send(update("file", 2, &route("a")))
            .unwrap();
        worker
            .updates()
            .send(update("file", 3, &route("b")))
            .unwrap();
        let changed = outcomes
            .iter()
            .find(|outcome| outcome.planned.change.is_some())
            .unwrap();
        assert_eq!(changed.planned.published.generation, 2);
    }

    #[test]
    fn it_is_ready_only_once_every_expected_provider_has_reported() {
        let (worker, outcomes) = start(&["file", "internal"]);
        worker
            .updates()
            .send(update("file", 1, &route("a")))
            .unwrap();
        assert!(!outcomes.recv_timeout(PATIENCE).unwrap().all_reported);
        worker.updates().send(update("internal", 1, "")).unwrap();
        assert!(outcomes.recv_timeout(PATIENCE).unwrap().all_reported);
    }

    #[test]
    fn the_worker_ends_with_its_last_provider() {
        let (worker, _outcomes) = start(&[]);
        let PlanWorker { updates, thread } = worker;
        drop(updates);
        thread.join().unwrap();
    }

    #[test]
    fn planning_once_needs_no_thread() {
        let outcome = plan_once(settings(), [update("file", 1, &route("a"))]);
        let published = outcome.planned.published;
        assert!(published.object(Kind::HttpRouter, "r@file").is_some());
    }
}
