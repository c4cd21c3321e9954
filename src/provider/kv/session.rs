//! One provider's life with its store: connect, list, watch, wait and try again, save.
//!
//! ```text
//!  connecting ──► listing ──► watching ──► (broken off) ──► waiting ──► connecting
//!      │             │           │                                        └──► watching, from where it stopped
//!      │             └──► held: another or an older store; the last good state stays
//!      └──► absent for long: the saved state is in force
//! ```
//!
//! Three things happen at the same time, on the provider's own thread: [`drive`](super::drive) speaks to the store,
//! a timer puts the saved state into force if the store does not answer soon, and what is in force is saved once it
//! has settled. Not here: what is believed and published (`in_force`), the alias (`flip`).

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::drive::Driver;
use super::image::Limits;
use super::in_force::{InForce, Terms};
use super::saved::{self, Saved};
use super::seen::Seen;
use super::store::Store;
use super::tree::{other_spelling, trim_root};
use crate::config::v1::Context;
use crate::watcher::Update;

/// How long a store may take to give its first state before the saved one is put into force.
pub const ABSENT_AFTER: Duration = Duration::from_secs(2);

/// How long nothing must change before the state is saved.
pub const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// The shortest time between two savings, and the longest that a state which never settles goes unsaved.
pub const SAVED_EVERY: Duration = Duration::from_secs(10);

/// What a session reads and how.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// The provider's name, as objects' names carry it.
    pub provider: Arc<str>,
    /// The root of the tree; a trailing slash does not matter. Unused if an alias outside of it names the root.
    pub root: String,
    /// What the tree may grow to.
    pub limits: Limits,
    /// What a Traefik 1 tree needs to know of the static configuration.
    pub former: Arc<Context>,
    /// The key that names the root, if one does.
    pub alias: Option<AliasSettings>,
    /// Whether another or an older store is accepted, instead of keeping the last good state.
    pub allow_restore: bool,
    /// Where the state in force is saved (`ringway.stateDir`); `None`: nowhere.
    pub state_dir: Option<PathBuf>,
    /// How far the store was seen.
    pub seen: Seen,
}

/// Alias mode: a key names the root in force.
#[derive(Clone, Debug)]
pub struct AliasSettings {
    /// The whole key.
    pub key: String,
    /// Whether the tree in force is watched as well, and not the key alone.
    pub watches_tree: bool,
    /// Traefik 1's rule: the key lies below the configured root, and while it does not exist the root itself is in
    /// force, and followed.
    pub is_in_root: bool,
}

/// A running key-value provider; dropping it saves what is in force and ends its thread.
pub struct KvProvider {
    source: KvSource,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A running key-value provider, for who asks how far it is.
#[derive(Clone, Debug)]
pub struct KvSource {
    /// The provider's name.
    pub name: Arc<str>,
    /// How far its store was seen.
    pub seen: Seen,
    /// Whether its store counts revisions that who writes to it knows.
    pub has_revisions: bool,
}

impl KvProvider {
    /// Whom to ask how far it is.
    pub fn source(&self) -> KvSource {
        self.source.clone()
    }

    /// Starts the provider's thread, `ringway-<provider>`. The store is made there.
    ///
    /// # Errors
    /// The kernel gave no thread, or the thread no runtime.
    pub fn start<S: Store>(
        settings: SessionSettings,
        store: impl FnOnce() -> S + Send + 'static,
        sink: impl Fn(Update) + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let source = KvSource {
            name: Arc::clone(&settings.provider),
            seen: settings.seen.clone(),
            has_revisions: S::HAS_REVISIONS,
        };
        let thread = std::thread::Builder::new()
            .name(format!("ringway-{}", settings.provider))
            .spawn(move || {
                let stopped = async {
                    // Being dropped means the same.
                    let _ = stopped.await;
                };
                let session = async { run(store(), settings, sink, stopped).await };
                tokio::task::LocalSet::new().block_on(&runtime, session);
            })?;
        Ok(Self {
            source,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for KvProvider {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by its own thread already.
            let _ = thread.join();
        }
    }
}

/// Serves one store until `stop` is ready, then saves what is in force.
pub async fn run<S: Store>(
    store: S,
    settings: SessionSettings,
    sink: impl Fn(Update) + 'static,
    stop: impl Future<Output = ()>,
) {
    let path = settings
        .state_dir
        .as_deref()
        .map(|directory| saved::path(directory, &settings.provider));
    let terms = Terms {
        provider: Arc::clone(&settings.provider),
        limits: settings.limits,
        former: Arc::clone(&settings.former),
        alias_key: settings.alias.as_ref().map(|alias| alias.key.clone()),
        allow_restore: settings.allow_restore,
        saved_path: path.clone(),
        seen: settings.seen.clone(),
    };
    let saved = path.as_deref().and_then(|path| read_saved(path, &settings));
    let in_force = Rc::new(RefCell::new(InForce::new(terms, saved, sink)));
    let changed = Rc::new(Notify::new());
    let mut saver = Saver {
        provider: Arc::clone(&settings.provider),
        path,
        in_force: Rc::clone(&in_force),
        version: 0,
        writing: None,
        has_failed: false,
    };
    let driver = Driver::new(store, settings, Rc::clone(&in_force), Rc::clone(&changed));
    tokio::select! {
        biased;
        () = stop => {}
        never = driver.drive() => match never {},
        never = replace_absent_store(&in_force) => match never {},
        never = saver.keep_saving(&changed) => match never {},
    }
    saver.finish().await;
}

/// The saved state, if there is one of this provider and root.
fn read_saved(path: &Path, settings: &SessionSettings) -> Option<Saved> {
    let saved = match saved::read(path) {
        Ok(saved) => saved?,
        Err(error) => {
            tracing::warn!(
                providerName = &*settings.provider,
                "the saved state is not used: {error}"
            );
            return None;
        }
    };
    let header = &saved.header;
    let alias_key = settings.alias.as_ref().map(|alias| alias.key.as_str());
    let root = trim_root(&settings.root);
    let is_own = *header.provider == *settings.provider
        && header.alias_key.as_deref() == alias_key
        && (alias_key.is_some() || header.root == root || header.root == other_spelling(root));
    if is_own {
        return Some(saved);
    }
    tracing::warn!(
        providerName = &*settings.provider,
        "the saved state is not used: {} is the state of provider {} below {}",
        path.display(),
        header.provider,
        header.alias_key.as_ref().unwrap_or(&header.root),
    );
    None
}

async fn replace_absent_store(in_force: &RefCell<InForce>) -> Infallible {
    sleep(ABSENT_AFTER).await;
    in_force.borrow_mut().publish_saved();
    pending().await
}

/// Saves what is in force, off the session's way.
struct Saver {
    provider: Arc<str>,
    path: Option<PathBuf>,
    in_force: Rc<RefCell<InForce>>,
    /// The version that was saved last.
    version: u64,
    writing: Option<tokio::task::JoinHandle<io::Result<()>>>,
    /// Whether the last saving failed, which is told once.
    has_failed: bool,
}

impl Saver {
    async fn keep_saving(&mut self, changed: &Notify) -> Infallible {
        if self.path.is_none() {
            return pending().await;
        }
        let mut last = None;
        loop {
            while self.in_force.borrow().version() == self.version {
                changed.notified().await;
            }
            let first_change = Instant::now();
            loop {
                let settled = Instant::now() + SETTLED_AFTER;
                let due = settled.min(first_change + SAVED_EVERY);
                if timeout_at(due, changed.notified()).await.is_err() {
                    break;
                }
            }
            if let Some(last) = last {
                sleep_until(last + SAVED_EVERY).await;
            }
            last = Some(Instant::now());
            self.start_writing();
            self.written().await;
        }
    }

    /// Copies what is in force and lets another thread write it.
    fn start_writing(&mut self) {
        let in_force = self.in_force.borrow();
        let time = jiff::Timestamp::now().strftime("%FT%TZ").to_string();
        let (Some(path), Some(header)) = (self.path.clone(), in_force.header(time)) else {
            return;
        };
        self.version = in_force.version();
        let mut content = saved::Content::new(&header);
        in_force.read(|key, value| {
            let pushed = match &mut content {
                Ok(content) => content.push(key, value),
                Err(_) => return,
            };
            if let Err(error) = pushed {
                content = Err(error);
            }
        });
        self.writing = Some(tokio::task::spawn_blocking(move || {
            saved::write(&path, &content?)
        }));
    }

    /// Waits for the writing that was started. May be dropped while it waits.
    async fn written(&mut self) {
        let Some(writing) = &mut self.writing else {
            return;
        };
        // A panic there was reported by its own thread already.
        let result = writing.await.unwrap_or(Ok(()));
        self.writing = None;
        match &result {
            Err(error) if !self.has_failed => {
                tracing::warn!(
                    providerName = &*self.provider,
                    "the state in force cannot be saved: {error}; a start without the store would have an older one"
                );
            }
            _ => {}
        }
        self.has_failed = result.is_err();
    }

    /// Saves what is not saved yet.
    async fn finish(&mut self) {
        self.written().await;
        if self.in_force.borrow().version() != self.version {
            self.start_writing();
            self.written().await;
        }
    }
}
