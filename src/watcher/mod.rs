//! Receives what providers say, composes it per provider, throttles it and tells what really changed.
//!
//! ```text
//! provider ── Update ──► Slot (one per provider, composes) ── due ──► diff against what is in force
//!                                                                      └─► MergedChange ──► plan
//! ```
//!
//! A provider never waits here and nothing it said is lost: a snapshot replaces its slot, a patch
//! overlays it object by object, and the newest state of each object wins. When the slot falls due, only
//! the objects whose content differs from what is in force become a change, under their qualified
//! names (`name@provider`), so equal content publishes nothing.
//!
//! Not here: clocks (time is an argument), I/O, and what objects mean. An object that does not decode is
//! passed on as rejected; `plan` keeps its last good version, because objects can fail there too.

mod describe;
mod merge;
mod slot;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::dynamic::ObjectKey;
pub use crate::plan::{Entry, MergedChange, NameConflict, ObjectChange, Position, ProviderState};

pub use describe::{MAX_LOGGED_BYTES, effective, received};
use merge::{Defaults, InForce};
use slot::Slot;

/// What a provider says about its source.
#[derive(Clone, Debug)]
pub struct Update {
    /// The provider's name as objects' names carry it, such as `file` or `consul-ns1`.
    pub provider: Arc<str>,
    /// Which state of the source this is.
    pub position: Position,
    /// What it holds.
    pub payload: Payload,
}

/// The content of an [`Update`].
#[derive(Clone, Debug)]
pub enum Payload {
    /// Everything the provider has; objects that are missing here are gone.
    Snapshot(Objects),
    /// Some objects: present, rejected or gone. The others stay as they are.
    Patch(Objects),
    /// The source could not be read or parsed at all, with the reason. Its last good state stays.
    Failed(String),
}

impl Payload {
    /// The word for its kind in the log.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Snapshot(_) => "snapshot",
            Self::Patch(_) => "patch",
            Self::Failed(_) => "failed",
        }
    }
}

/// Objects by key, as their provider names them (not qualified).
pub type Objects = BTreeMap<ObjectKey, Entry>;

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is part of the provider's pending state, or was without content.
    Accepted,
    /// It is older than what the provider already said and was ignored.
    Stale,
}

/// How updates are throttled and who must report before the proxy is ready.
#[derive(Clone, Debug, Default)]
pub struct WatcherSettings {
    /// Shortest time between two changes of one provider (Traefik: `providersThrottleDuration`). Zero: none.
    pub throttle: Duration,
    /// Providers with their own throttle, by name (`providers.<name>.throttleDuration`).
    pub throttles: BTreeMap<Arc<str>, Duration>,
    /// Providers that the static configuration enables: all must report before the proxy is ready.
    pub expected: Vec<Arc<str>>,
    /// The provider without whose first state no change leaves (Traefik: required provider, `internal`): without
    /// the entry points' models, routers would have other names and middlewares for a moment.
    pub required: Option<Arc<str>>,
}

/// Composes, throttles and diffs the updates of all providers.
#[derive(Debug)]
pub struct Watcher {
    settings: WatcherSettings,
    providers: BTreeMap<Arc<str>, Provider>,
    defaults: Defaults,
}

#[derive(Debug)]
struct Provider {
    slot: Slot,
    in_force: InForce,
    /// When this provider's next change may leave.
    open_at: Option<Instant>,
    state: ProviderState,
}

impl Watcher {
    /// A watcher in which no provider has reported yet.
    pub fn new(settings: WatcherSettings) -> Self {
        let mut providers = BTreeMap::new();
        for name in &settings.expected {
            providers.insert(Arc::clone(name), Provider::new(name, &settings));
        }
        Self {
            settings,
            providers,
            defaults: Defaults::default(),
        }
    }

    /// Takes an update in. It never blocks and never drops an object's newest state.
    pub fn receive(&mut self, update: Update, now: Instant) -> Received {
        let provider = self
            .providers
            .entry(Arc::clone(&update.provider))
            .or_insert_with(|| Provider::new(&update.provider, &self.settings));
        let newest = provider.slot.position().unwrap_or(&provider.state.position);
        if update.position.number < newest.number {
            return Received::Stale;
        }
        provider.slot.compose(update.position, update.payload, now);
        Received::Accepted
    }

    /// When [`Watcher::take_due`] will next have something to look at; `None` if nothing is pending.
    /// A time in the past means now.
    pub fn next_due(&self) -> Option<Instant> {
        if !self.may_leave() {
            return None;
        }
        self.providers.values().filter_map(Provider::due).min()
    }

    /// The difference that the slots due by `now` make to what is in force: to objects, or only to how far providers
    /// are. What it returns counts as in force from then on.
    pub fn take_due(&mut self, now: Instant) -> Option<MergedChange> {
        if !self.may_leave() {
            return None;
        }
        let mut objects = Vec::new();
        let mut states_changed = false;
        for (name, provider) in &mut self.providers {
            if provider.due().is_none_or(|due| due > now) {
                continue;
            }
            provider.open_at = now.checked_add(provider.state.throttle);
            states_changed |= provider.take(name, &mut objects);
        }
        let conflicts_before = self.defaults.conflicts();
        self.defaults.resolve(&mut objects);
        if objects.is_empty() && !states_changed && self.defaults.conflicts() == conflicts_before {
            return None;
        }
        Some(MergedChange {
            objects,
            providers: self.providers().cloned().collect(),
            conflicts: self.defaults.conflicts(),
        })
    }

    /// Every provider that is expected or has said something, by name.
    pub fn providers(&self) -> impl Iterator<Item = &ProviderState> {
        self.providers.values().map(|provider| &provider.state)
    }

    /// Whether every expected provider's first state is in force. A source that only failed so far
    /// has not reported.
    pub fn all_reported(&self) -> bool {
        let reported = |name| {
            self.providers
                .get(name)
                .is_some_and(|provider| provider.state.reported)
        };
        self.settings.expected.iter().all(reported)
    }

    /// Whether the required provider, if there is one, has said something that is or can be in force.
    fn may_leave(&self) -> bool {
        let Some(required) = &self.settings.required else {
            return true;
        };
        let provider = self.providers.get(required);
        provider.is_some_and(|provider| provider.state.reported || provider.slot.has_content())
    }
}

impl Provider {
    fn new(name: &Arc<str>, settings: &WatcherSettings) -> Self {
        let own = settings.throttles.get(name).copied();
        Self {
            slot: Slot::default(),
            in_force: InForce::default(),
            open_at: None,
            state: ProviderState {
                throttle: own.unwrap_or(settings.throttle),
                ..ProviderState::new(name)
            },
        }
    }

    fn due(&self) -> Option<Instant> {
        let received = self.slot.since()?;
        Some(
            self.open_at
                .map_or(received, |open_at| open_at.max(received)),
        )
    }

    /// Puts the slot's content into force, adding what it changes to `changes`. Returns whether the
    /// provider's state changed otherwise: its position, its error, or that it has reported.
    fn take(&mut self, name: &Arc<str>, changes: &mut Vec<ObjectChange>) -> bool {
        let taken = self.slot.take();
        let mut changed = self.state.error != taken.error;
        self.state.error = taken.error;
        if let Some(position) = taken.position {
            // Who waits for it wants to know, also if it changed nothing.
            changed |= self.state.position != position;
            self.state.position = position;
        }
        match taken.content {
            Some(slot::Content::Snapshot(objects)) => self.in_force.replace(name, objects, changes),
            Some(slot::Content::Patch(objects)) => self.in_force.overlay(name, objects, changes),
            None => return changed,
        }
        changed |= !self.state.reported;
        self.state.reported = true;
        self.state.objects = self.in_force.len();
        changed
    }
}

#[cfg(test)]
mod tests;
