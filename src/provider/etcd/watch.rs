//! A running watch: from its answers to events, and its signs of life. Not here: when to watch again.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Status, Streaming};

use super::Patience;
use super::assembly::Assembly;
use super::connection::Connection;
use super::failure::Peer;
use super::messages::{WatchDemand, WatchProgressRequest, WatchRequest, WatchResponse};
use crate::provider::kv::store::{Event, Failure, Revision, StoreError, Watch};

/// `watch_id` of answers that belong to the stream and not to a watch.
const STREAM: i64 = -1;

/// A running watch on a stream of its own.
pub struct EtcdWatch {
    requests: mpsc::Sender<WatchRequest>,
    answers: Streaming<WatchResponse>,
    assembly: Assembly,
    peer: Peer,
    /// What it does, for people.
    doing: String,
    has_ordered_progress: bool,
    patience: Patience,
    /// When the silence has been too long.
    deadline: Instant,
    /// Whether it was asked for a sign of life since it last said something.
    is_asked: bool,
    /// Tells the store that the endpoint failed.
    trouble: Rc<Cell<bool>>,
}

/// How the beginning of a watch went.
pub(super) enum Opening {
    /// It runs.
    Open(Box<EtcdWatch>),
    /// The server says that it is not permitted.
    Denied(String),
}

impl EtcdWatch {
    /// Waits until the server has confirmed the watch.
    #[expect(
        clippy::too_many_arguments,
        reason = "one caller, and all of them differ in type"
    )]
    pub(super) async fn open(
        connection: &Connection,
        doing: &str,
        requests: mpsc::Sender<WatchRequest>,
        mut answers: Streaming<WatchResponse>,
        after: Revision,
        cluster: Option<u64>,
        patience: Patience,
        trouble: &Rc<Cell<bool>>,
    ) -> Result<Opening, StoreError> {
        let first = match timeout(patience.answer, answers.message()).await {
            Ok(Ok(Some(first))) => first,
            Ok(Ok(None)) => return Err(connection.unavailable(format!("{doing}: ended at once"))),
            Ok(Err(status)) => return Err(connection.error(doing, &status)),
            Err(_) => return Err(connection.unavailable(format!("{doing}: no answer in time"))),
        };
        let reason = &first.cancel_reason;
        if first.canceled && (reason.contains("permission denied") || reason.contains("auth token"))
        {
            return Ok(Opening::Denied(first.cancel_reason));
        }
        let mut watch = Self {
            requests,
            answers,
            assembly: Assembly::default(),
            peer: connection.peer.clone(),
            doing: doing.to_owned(),
            has_ordered_progress: connection.has_ordered_progress,
            patience,
            deadline: Instant::now() + patience.silence,
            is_asked: false,
            trouble: trouble.clone(),
        };
        let header = first.header.clone().unwrap_or_default();
        // etcd would wait silently for a revision that an emptied or restored store reaches in years.
        if header.revision.unsigned_abs() < after.0 {
            let text = format!(
                "the store is at revision {}, before {} which was seen: it was restored or replaced",
                header.revision, after.0
            );
            return Err(watch.error(Failure::Compacted, &text));
        }
        if cluster.is_some_and(|cluster| cluster != header.cluster_id) {
            let text = "this is another cluster than the one that was listed";
            return Err(watch.error(Failure::Compacted, text));
        }
        watch.take(first)?;
        Ok(Opening::Open(Box::new(watch)))
    }

    fn take(&mut self, answer: WatchResponse) -> Result<(), StoreError> {
        if answer.canceled {
            return Err(self.ended(&answer));
        }
        let is_progress = answer.events.is_empty() && !answer.created && !answer.fragment;
        let is_in_order = answer.watch_id != STREAM || self.has_ordered_progress;
        let revision = answer.header.as_ref().map_or(0, |header| header.revision);
        self.assembly.take(answer);
        if is_progress && is_in_order {
            self.assembly.progress(revision.unsigned_abs());
        }
        Ok(())
    }

    /// Why the server has ended the watch.
    fn ended(&self, answer: &WatchResponse) -> StoreError {
        let reason = &answer.cancel_reason;
        if answer.compact_revision != 0 {
            let text = format!("compacted up to revision {}", answer.compact_revision);
            return self.error(Failure::Compacted, &text);
        }
        let failure = if reason.contains("auth token") {
            Failure::Unauthenticated
        } else {
            Failure::Unavailable
        };
        let told = if reason.is_empty() {
            "no reason given"
        } else {
            reason
        };
        self.error(failure, &format!("the server has ended it: {told}"))
    }

    fn error(&self, failure: Failure, text: &str) -> StoreError {
        let (endpoint, doing) = (&self.peer.endpoint, &self.doing);
        if failure == Failure::Unavailable {
            self.trouble.set(true);
        }
        StoreError::new(failure, format!("etcd at {endpoint}: {doing}: {text}"))
    }

    fn failed(&self, status: &Status) -> StoreError {
        let error = self.peer.error(&self.doing, status);
        if error.failure == Failure::Unavailable {
            self.trouble.set(true);
        }
        error
    }

    /// The silence has been too long: asks for a sign of life, or gives up if that was done already.
    fn is_silent(&mut self) -> Result<(), StoreError> {
        let Patience {
            silence,
            sign_of_life,
            ..
        } = self.patience;
        if self.is_asked {
            let silent: Duration = silence + sign_of_life;
            let text = format!("no sign of life for {silent:?}");
            return Err(self.error(Failure::Unavailable, &text));
        }
        self.is_asked = true;
        self.deadline = Instant::now() + sign_of_life;
        let question = WatchRequest {
            demand: Some(WatchDemand::Progress(WatchProgressRequest {})),
        };
        // A queue that is still full of earlier questions asks for the same.
        let _ = self.requests.try_send(question);
        Ok(())
    }
}

impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<Event, StoreError> {
        loop {
            if let Some(event) = self.assembly.next() {
                return Ok(event);
            }
            match timeout_at(self.deadline, self.answers.message()).await {
                Ok(Ok(Some(answer))) => {
                    self.is_asked = false;
                    self.deadline = Instant::now() + self.patience.silence;
                    self.take(answer)?;
                }
                Ok(Ok(None)) => {
                    return Err(self.error(Failure::Unavailable, "the server has ended it"));
                }
                Ok(Err(status)) => return Err(self.failed(&status)),
                Err(_) => self.is_silent()?,
            }
        }
    }
}
