//! The file provider: one file or a directory of files, watched.
//!
//! ```text
//!  inotify ──► DirectoryWatch ──┐
//!  SIGHUP ──────────────────────┼──► worker thread: Source::find ──► Reader::look ──► Update ──► sink
//!  time (unfinished edits) ─────┘
//! ```
//!
//! Every event only says "look again": what a look finds is compared with what is known, so that lost,
//! repeated or misleading events do no harm. Reading and decoding run on the provider's own thread.
//!
//! Deviations from Traefik: a directory's unreadable file keeps its own last good objects and does not
//! stop the others; subdirectories are watched as well; templates are not supported yet.

mod ask;
pub mod reader;
pub mod source;
pub mod watch;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use ask::Asked;
pub use ask::{FileAnswer, FileSource, digest};
use reader::{Look, Reader};
pub use source::Source;
use source::has_known_extension;
use watch::{DirectoryWatch, WatchEvent};

use crate::config::v1::Context;
use crate::io::memory;
use crate::watcher::{Payload, Position, Update};

/// The provider's name, as objects' names carry it.
pub const NAME: &str = "file";

/// How long after its last write an open file still counts as unfinished: longer than a busy disk or a slow
/// copy pauses between two writes. The writer's `close` ends it at once.
const QUIET: Duration = Duration::from_secs(1);

/// A file that is written without end counts as unfinished at most this long.
const MAX_WRITING: Duration = Duration::from_secs(5);

/// How often to look when changes may go unnoticed (no inotify).
const POLL: Duration = Duration::from_secs(1);

/// Rounds of "a watch was added, look again" before one look's result is used as it is.
const MAX_ROUNDS: usize = 8;

/// What the provider reads and how (Traefik: `providers.file`).
#[derive(Clone, Debug)]
pub struct FileSettings {
    /// The file or directory.
    pub source: Source,
    /// Whether changes are noticed by themselves; SIGHUP re-reads in any case.
    pub watch: bool,
    /// What files of Traefik 1 need to know of the static configuration.
    pub former: Arc<Context>,
}

/// A running file provider; dropping it ends its thread.
pub struct FileProvider {
    messages: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

enum Message {
    Event(WatchEvent),
    Ask(Asked),
    Reread,
    Stop,
}

impl FileProvider {
    /// Starts the provider's thread. Its first update comes as soon as the source was read.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        settings: FileSettings,
        sink: impl Fn(Update) + Send + 'static,
    ) -> io::Result<Self> {
        let (messages, inbox) = unbounded();
        let watch = settings
            .watch
            .then(|| DirectoryWatch::new(messages.clone(), Message::Event));
        let worker = Worker {
            source: settings.source,
            watch,
            reader: Reader::new(settings.former),
            writing: HashMap::new(),
            known: HashSet::new(),
            number: 0,
            warned: None,
            sink,
        };
        let thread = std::thread::Builder::new()
            .name("ringway-file".into())
            .spawn(move || worker.run(&inbox))?;
        Ok(Self {
            messages,
            thread: Some(thread),
        })
    }

    /// Whom to ask about a file.
    pub fn source(&self) -> FileSource {
        FileSource::new(self.messages.clone())
    }

    /// Reads everything again, whatever the watch says (SIGHUP).
    pub fn reread(&self) {
        // The worker lives as long as this value.
        let _ = self.messages.send(Message::Reread);
    }
}

impl Drop for FileProvider {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by its own thread already.
            let _ = thread.join();
        }
    }
}

/// A file that somebody has open for writing.
struct Writing {
    since: Instant,
    until: Instant,
}

struct Worker<S> {
    source: Source,
    watch: Option<DirectoryWatch>,
    reader: Reader,
    /// By real path.
    writing: HashMap<PathBuf, Writing>,
    /// Real paths of the files that were found last.
    known: HashSet<PathBuf>,
    number: u64,
    /// The watch's failure that was logged last.
    warned: Option<String>,
    sink: S,
}

impl<S: Fn(Update)> Worker<S> {
    fn run(mut self, inbox: &Receiver<Message>) {
        let mut force = false;
        let mut again = self.look(force);
        loop {
            let first = match again {
                Some(at) => match inbox.recv_deadline(at) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                },
                None => match inbox.recv() {
                    Ok(message) => Some(message),
                    Err(_) => return,
                },
            };
            // One look for all that has happened by now.
            let mut worth_a_look = first.is_none();
            let mut questions = Vec::new();
            for message in first.into_iter().chain(inbox.try_iter()) {
                match message {
                    Message::Event(event) => worth_a_look |= self.note(event),
                    Message::Ask(asked) => questions.push(asked),
                    Message::Reread => force = true,
                    Message::Stop => return,
                }
            }
            if worth_a_look || force || again.is_some_and(|at| at <= Instant::now()) {
                again = self.look(force);
                force = false;
            }
            for asked in questions {
                let found = self.source.find();
                asked.answer(&self.source, &found, &self.reader, self.number);
            }
        }
    }

    /// Takes an event in; false if it cannot concern the configuration, such as a write to a log file
    /// that lies beside it.
    fn note(&mut self, event: WatchEvent) -> bool {
        let now = Instant::now();
        if let WatchEvent::Writing(path) | WatchEvent::Written(path) = &event
            && !self.known.contains(path)
            && !has_known_extension(path)
        {
            return false;
        }
        match event {
            WatchEvent::Writing(path) => {
                let writing = self.writing.entry(path).or_insert(Writing {
                    since: now,
                    until: now,
                });
                writing.until = (now + QUIET).min(writing.since + MAX_WRITING);
            }
            WatchEvent::Written(path) => {
                self.writing.remove(&path);
            }
            WatchEvent::Changed(path) => {
                self.writing.remove(&path);
                if let Some(watch) = &mut self.watch {
                    watch.forget(&path);
                }
            }
            WatchEvent::Lost => self.writing.clear(),
        }
        true
    }

    /// One look at everything. Returns when to look again without being told to.
    fn look(&mut self, force: bool) -> Option<Instant> {
        let mut found = self.source.find();
        if let Some(watch) = &mut self.watch {
            // A directory's watch begins after it was read: read it again until nothing is new.
            for _ in 0..MAX_ROUNDS {
                if !watch.set(&found.directories) {
                    break;
                }
                found = self.source.find();
            }
        }
        let now = Instant::now();
        let writing = &self.writing;
        let until = |path: &Path| writing.get(path).map(|writing| writing.until);
        let Look { payloads, again } = self.reader.look(&found, now, until, force);
        self.writing.retain(|_, writing| writing.until > now);
        self.known = found.files.into_iter().map(|file| file.real_path).collect();
        if !payloads.is_empty() {
            let is_bulk = payloads.iter().any(is_bulk);
            let text: Arc<str> = format!("{:016x}", self.reader.content_hash()).into();
            for payload in payloads {
                self.number += 1;
                let position = Position {
                    number: self.number,
                    text: text.clone(),
                };
                (self.sink)(Update {
                    provider: NAME.into(),
                    position,
                    payload,
                });
            }
            if is_bulk {
                memory::return_freed();
            }
        }
        self.after_look(now, again)
    }

    fn after_look(&mut self, now: Instant, again: Option<Instant>) -> Option<Instant> {
        let failure = self.watch.as_ref().and_then(DirectoryWatch::failure);
        if failure.is_some() && failure != self.warned.as_deref() {
            tracing::warn!(
                providerName = NAME,
                "{} cannot be watched: {}; it is looked at every second instead",
                self.source.path().display(),
                failure.unwrap_or_default(),
            );
        }
        self.warned = failure.map(str::to_owned);
        let poll = self.warned.is_some().then(|| now + POLL);
        match (again, poll) {
            (Some(again), Some(poll)) => Some(again.min(poll)),
            (again, poll) => again.or(poll),
        }
    }
}

fn is_bulk(payload: &Payload) -> bool {
    match payload {
        Payload::Snapshot(objects) | Payload::Patch(objects) => {
            objects.len() >= memory::BULK_OBJECTS
        }
        Payload::Failed(_) => false,
    }
}

#[cfg(test)]
mod tests;
