//! Speaks to the store: lists the tree, watches it, and comes back after failures.
//!
//! Every failure ends in [`Driver::recover`], which decides how long to wait; what is in force stays meanwhile. Not
//! here: what is believed (`in_force`), the alias (`flip`).

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::backoff::Backoff;
use super::flip::Alias;
use super::image::Limits;
use super::in_force::InForce;
use super::look::{Found, Lookout, Watched};
use super::session::SessionSettings;
use super::store::{Event, Failure, Listing, Revision, Scope, Store, StoreError, Watch};
use super::tree::{Candidate, other_spelling, prefix_of, trim_root};

/// How long changes of a store that is not believed are gathered before it is listed again.
const HELD_PAUSE: Duration = Duration::from_secs(1);

/// How long nothing is asked between a root in force and an alias in it, or the other way round.
const HANDOVER_PAUSE: Duration = Duration::from_millis(20);

/// What the driver is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing is known of the store yet, or the connection broke.
    Connecting,
    /// The whole tree is read.
    Listing,
    /// The tree or the alias is watched.
    Watching,
    /// Another store or an older state: it is watched, and what was in force stays.
    Held,
    /// After a failure, before the next try.
    Waiting,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Listing => "listing",
            Self::Watching => "watching",
            Self::Held => "held",
            Self::Waiting => "waiting",
        })
    }
}

/// A session's side that speaks to the store.
pub(super) struct Driver<S: Store> {
    pub(super) store: S,
    pub(super) settings: SessionSettings,
    pub(super) in_force: Rc<RefCell<InForce>>,
    /// Told whenever there may be something to save.
    changed: Rc<Notify>,
    backoff: Backoff,
    phase: Phase,
    is_connected: bool,
    /// Whether the store was in sight ever since its last accepted listing.
    pub(super) is_unbroken: bool,
    /// Whether a watch cannot go on from where it stopped.
    pub(super) must_list: bool,
    /// The kind of failure that the present outage began with.
    outage: Option<Failure>,
    pub(super) alias: Alias,
    /// The alias key that was found in the root, while it exists.
    pub(super) alias_in_root: Option<String>,
    pub(super) lookout: Lookout,
}

/// A listing of the configured root.
struct Listed {
    root: String,
    revision: Revision,
    is_accepted: bool,
}

impl<S: Store> Driver<S> {
    /// A driver that has not connected yet.
    pub(super) fn new(
        store: S,
        settings: SessionSettings,
        in_force: Rc<RefCell<InForce>>,
        changed: Rc<Notify>,
    ) -> Self {
        Self {
            store,
            settings,
            in_force,
            changed,
            backoff: Backoff::default(),
            phase: Phase::Connecting,
            is_connected: false,
            is_unbroken: false,
            must_list: true,
            outage: None,
            alias: Alias::default(),
            alias_in_root: None,
            lookout: Lookout::default(),
        }
    }

    /// Keeps what is in force equal to the store for as long as it is polled.
    pub(super) async fn drive(mut self) -> Infallible {
        loop {
            let Err(error) = self.follow().await;
            self.recover(error).await;
        }
    }

    async fn follow(&mut self) -> Result<Infallible, StoreError> {
        loop {
            self.connect().await?;
            match self.settings.alias.clone() {
                None => self.follow_root().await?,
                Some(alias) if alias.is_in_root => self.follow_alias_in_root(alias).await?,
                Some(alias) => self.follow_alias(&alias).await?,
            }
            // A store whose answers contradict each other must not be asked without pause.
            sleep(HANDOVER_PAUSE).await;
        }
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        if self.phase != phase {
            tracing::debug!(
                providerName = &*self.settings.provider,
                "from {} to {phase}",
                self.phase
            );
            self.phase = phase;
        }
    }

    /// Connects unless the last connection still stands.
    pub(super) async fn connect(&mut self) -> Result<(), StoreError> {
        if !self.is_connected {
            self.enter(Phase::Connecting);
            self.store.connect().await?;
            self.is_connected = true;
        }
        Ok(())
    }

    /// The store does what it is asked for.
    pub(super) fn recovered(&mut self) {
        self.outage = None;
        self.in_force.borrow_mut().recovered();
    }

    /// There may be something to save.
    pub(super) fn note_change(&self) {
        self.changed.notify_one();
    }

    /// Waits as long as this failure demands.
    async fn recover(&mut self, error: StoreError) {
        let wait = self.backoff.after(error.failure);
        if error.failure == Failure::Compacted {
            self.must_list = true;
        } else {
            self.is_connected = false;
            self.is_unbroken = false;
        }
        let provider = &*self.settings.provider;
        tracing::debug!(providerName = provider, ?wait, "{error}");
        if !wait.is_zero() {
            // A refusal says more than that the store was not there a moment ago.
            if self.outage.is_none()
                || error.failure == Failure::Refused && self.outage != Some(Failure::Refused)
            {
                self.outage = Some(error.failure);
                self.in_force.borrow_mut().outage(error.text);
            }
            self.enter(Phase::Waiting);
        }
        sleep(wait).await;
    }

    /// Keeps the configured root in force. Ends where an alias in it takes over.
    pub(super) async fn follow_root(&mut self) -> Result<(), StoreError> {
        let mut listed = match self.resume().await? {
            Some(listed) => Some(listed),
            None => self.list_root().await?,
        };
        while let Some(now) = listed {
            let prefix = prefix_of(&now.root);
            let scope = Scope::Prefix(&prefix);
            let mut watch = self.store.watch(scope, now.revision).await?;
            self.recovered();
            listed = self.watch_root(&mut watch, now, &prefix).await?;
        }
        Ok(())
    }

    /// Follows what was listed until another spelling of the root comes into force, or an alias.
    async fn watch_root(
        &mut self,
        watch: &mut S::Watch,
        mut listed: Listed,
        prefix: &str,
    ) -> Result<Option<Listed>, StoreError> {
        let root = listed.root.clone();
        while listed.root == root {
            self.enter(if listed.is_accepted {
                Phase::Watching
            } else {
                Phase::Held
            });
            let watched = [Watched {
                scope: Scope::Prefix(prefix),
                since: self.in_force.borrow().revision(),
                keys: self.in_force.borrow().keys(),
            }];
            let seen = self.settings.seen.clone();
            let event = tokio::select! {
                biased;
                event = watch.next() => Some(event?),
                found = self.lookout.look(&seen, &mut self.store, &watched), if listed.is_accepted => {
                    match found? {
                        Found::Same(now) if self.in_force.borrow().recognises(&now) => {
                            self.in_force.borrow_mut().advance(now.revision);
                            continue;
                        }
                        _ => None,
                    }
                }
            };
            if !listed.is_accepted {
                if matches!(event, Some(Event::Progress(_))) {
                    continue;
                }
                sleep(HELD_PAUSE).await;
            } else {
                match event {
                    Some(Event::Transaction { revision, changes }) => {
                        // A watch may begin with what was seen before.
                        let is_new = revision > self.in_force.borrow().revision();
                        if is_new && self.is_taken_over(&changes, prefix) {
                            return Ok(None);
                        }
                        let applied = {
                            let mut in_force = self.in_force.borrow_mut();
                            in_force.transaction(revision, &changes, prefix)
                        };
                        // Otherwise the listing tells why not, or finds that it fits again.
                        if applied.is_ok() {
                            self.note_change();
                            continue;
                        }
                    }
                    Some(Event::Progress(revision)) => {
                        self.in_force.borrow_mut().advance(revision);
                        continue;
                    }
                    Some(Event::Unknown) | None => {}
                }
            }
            match self.list_root().await? {
                Some(next) => listed = next,
                None => return Ok(None),
            }
        }
        Ok(Some(listed))
    }

    /// Where the watch can go on without a listing, if it can: this is still the store that is known.
    async fn resume(&mut self) -> Result<Option<Listed>, StoreError> {
        if self.must_list {
            return Ok(None);
        }
        let root = self.in_force.borrow().root().to_owned();
        // A key of what the user may read, who need not be allowed to read the root without its slash.
        let key = prefix_of(&root);
        let listing = self.store.list(Scope::Key(&key), None, |_| ()).await?;
        let in_force = self.in_force.borrow();
        Ok(in_force.recognises(&listing).then(|| Listed {
            root,
            revision: in_force.revision(),
            is_accepted: true,
        }))
    }

    /// Lists the configured root and offers what is there, unless an alias in it names another.
    async fn list_root(&mut self) -> Result<Option<Listed>, StoreError> {
        self.enter(Phase::Listing);
        let limits = self.settings.limits;
        let configured = trim_root(&self.settings.root).to_owned();
        let (mut candidate, mut listing) = load(&mut self.store, limits, &configured, None).await?;
        let mut root = configured.clone();
        let may_be_other = {
            let in_force = self.in_force.borrow();
            !in_force.holds_something() || in_force.root() != configured
        };
        let at = listing.revision;
        let is_in_force = self.in_force.borrow().root() == other_spelling(&configured);
        if candidate.is_empty()
            && may_be_other
            && let Some(found) =
                load_other(&mut self.store, limits, &configured, at, is_in_force).await?
        {
            (candidate, listing, root) = found;
            if self.in_force.borrow().root() != root {
                tracing::warn!(
                    providerName = &*self.settings.provider,
                    "no key lies below {configured}/, but some below {root}/: these are used; set rootKey to {root}"
                );
            }
        }
        if self.has_alias(&candidate, &root) {
            return Ok(None);
        }
        let revision = listing.revision;
        if candidate.is_empty() && self.is_alias_gone(&configured) {
            self.must_list = true;
            return Ok(Some(Listed {
                root,
                revision,
                is_accepted: false,
            }));
        }
        let is_unbroken = self.is_unbroken;
        let is_accepted = self
            .in_force
            .borrow_mut()
            .offer(candidate, &listing, &root, is_unbroken);
        self.must_list = !is_accepted;
        self.is_unbroken = is_accepted;
        self.outage = None;
        if is_accepted {
            self.note_change();
        }
        Ok(Some(Listed {
            root,
            revision,
            is_accepted,
        }))
    }
}

/// Lists what lies below a root.
pub(super) async fn load(
    store: &mut impl Store,
    limits: Limits,
    root: &str,
    at: Option<Revision>,
) -> Result<(Candidate, Listing), StoreError> {
    let prefix = prefix_of(root);
    let mut candidate = Candidate::new(limits, &prefix);
    let page = |pairs| candidate.page(pairs);
    let listing = store.list(Scope::Prefix(&prefix), at, page).await?;
    Ok((candidate, listing))
}

/// Lists what lies below the other spelling of a root. `None` if nothing does. Neither does if it may not be read and is
/// not in force: a user may have been given the right to the root as it is configured, and to nothing else.
pub(super) async fn load_other(
    store: &mut impl Store,
    limits: Limits,
    root: &str,
    at: Revision,
    is_in_force: bool,
) -> Result<Option<(Candidate, Listing, String)>, StoreError> {
    let other = other_spelling(root);
    // Without its slash, `/` would mean the whole store.
    if other.is_empty() {
        return Ok(None);
    }
    match load(store, limits, &other, Some(at)).await {
        Ok((candidate, _)) if candidate.is_empty() => Ok(None),
        Ok((candidate, listing)) => Ok(Some((candidate, listing, other))),
        Err(error) if error.failure == Failure::Refused && !is_in_force => Ok(None),
        Err(error) => Err(error),
    }
}
