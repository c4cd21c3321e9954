//! What the API answers from: facts that never change, the published configuration, and how far each shard is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::goal::Sources;
use super::overview::named_entry_point;
use crate::config::statics::StaticConfig;
use crate::exchange::EntryPointSettings;
use crate::observe::counters::Counters;
use crate::observe::reloads::Reloads;
use crate::plan::{Position, ProviderState, Published};

/// What the process is and was started with.
#[derive(Clone, Debug)]
pub struct ApiFacts {
    /// Every entry point by name, as the API shows it.
    pub entry_points: BTreeMap<Arc<str>, serde_json::Value>,
    /// Those that take HTTP as the shards have them, in the shards' order.
    pub routed_entry_points: Box<[EntryPointSettings]>,
    /// Names of the entry points of routers that name none.
    pub default_entry_points: Box<[Arc<str>]>,
    /// Names of the providers that are configured, as Traefik's overview has them (`File`).
    pub providers: Box<[Arc<str>]>,
    /// Whether requests are logged.
    pub access_log: bool,
    /// Whether dashboards that ask `/api/version` show no advertisement.
    pub disable_dashboard_ad: bool,
    /// Title of the dashboard, which clients of `/api/version` show.
    pub dashboard_name: Box<str>,
    /// When the process started.
    pub started: SystemTime,
    /// Random, another one after each start, so that a restart cannot be taken for a change.
    pub instance: Box<str>,
}

impl ApiFacts {
    /// The facts of a process that starts now with this static configuration. `routed_entry_points` are those that
    /// take HTTP as the shards have them, in the shards' order; `default_entry_points` those of routers that name none.
    ///
    /// # Errors
    /// The kernel has no random bytes to give.
    pub fn new(
        config: &StaticConfig,
        routed_entry_points: impl Into<Box<[EntryPointSettings]>>,
        default_entry_points: impl Into<Box<[Arc<str>]>>,
    ) -> std::io::Result<Self> {
        let providers = &config.providers;
        let api = config.api.as_deref();
        Ok(Self {
            entry_points: config
                .entry_points
                .iter()
                .map(|(name, own)| (Arc::from(&**name), named_entry_point(name, own)))
                .collect(),
            routed_entry_points: routed_entry_points.into(),
            default_entry_points: default_entry_points.into(),
            providers: [
                ("File", providers.file.is_some()),
                ("Rest", providers.rest.is_some()),
                ("HTTP", providers.http.is_some()),
            ]
            .into_iter()
            .filter(|(_, is_enabled)| *is_enabled)
            .map(|(name, _)| name.into())
            .collect(),
            access_log: config.access_log.is_some(),
            disable_dashboard_ad: api.is_some_and(|api| api.disable_dashboard_ad),
            dashboard_name: api.map_or_else(Box::default, |api| api.dashboard_name.clone()),
            started: SystemTime::now(),
            instance: random_hex()?,
        })
    }
}

/// 128 random bits in hexadecimal.
pub(super) fn random_hex() -> std::io::Result<Box<str>> {
    let mut bytes = [0; 16];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)).into())
}

/// Shared by the control thread, which writes, and the API thread, which reads. Neither waits for the other.
#[derive(Debug)]
pub struct ApiState {
    pub(super) facts: ApiFacts,
    current: ArcSwap<Current>,
    /// Wakes those who wait for a newer one.
    renewed: watch::Sender<()>,
    /// The providers that can be asked, once they run.
    sources: OnceLock<Sources>,
    /// What each shard counts.
    pub(super) counters: Arc<[Arc<Counters>]>,
    /// The newest generation that each shard has applied.
    acknowledged: Box<[AtomicU64]>,
    /// The newest generation that all shards have applied; wakes those who wait for one.
    effective: watch::Sender<u64>,
    /// Most CPU time in nanoseconds that the control thread has spent on one change or on what shards say.
    pub(super) longest_control_turn: AtomicU64,
    /// Generations that somebody still uses, the newest included.
    pub(super) live_generations: AtomicUsize,
    /// What changes come to in numbers. Written by the control thread.
    pub reloads: Reloads,
}

/// A published configuration and since when its providers are where they are.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) published: Arc<Published>,
    pub(super) positions: BTreeMap<Arc<str>, (Position, Instant)>,
}

impl ApiState {
    /// The state of a process whose shards, one per set of counters, all begin with `published`.
    pub fn new(facts: ApiFacts, published: Arc<Published>, counters: Arc<[Arc<Counters>]>) -> Self {
        let generation = published.generation;
        Self {
            facts,
            current: ArcSwap::from_pointee(Current {
                positions: positions(&published, &BTreeMap::new()),
                published,
            }),
            acknowledged: counters
                .iter()
                .map(|_| AtomicU64::new(generation))
                .collect(),
            counters,
            renewed: watch::Sender::default(),
            sources: OnceLock::new(),
            effective: watch::Sender::new(generation),
            longest_control_turn: AtomicU64::new(0),
            live_generations: AtomicUsize::new(0),
            reloads: Reloads::default(),
        }
    }

    /// Makes `published` what the API answers from. Called by the control thread after each change, with or
    /// without a new generation.
    pub fn publish(&self, published: Arc<Published>) {
        let before = self.current.load();
        let failures = failures(&before.published, &published);
        self.reloads.failures.fetch_add(failures, Ordering::Relaxed);
        self.current.store(Arc::new(Current {
            positions: positions(&published, &before.positions),
            published,
        }));
        self.renewed.send_replace(());
    }

    /// Tells which providers can be asked how far they are. Called once.
    pub fn set_sources(&self, sources: Sources) {
        let _ = self.sources.set(sources);
    }

    pub(super) fn sources(&self) -> &Sources {
        static NONE: Sources = Sources {
            stores: Vec::new(),
            file: None,
        };
        self.sources.get().unwrap_or(&NONE)
    }

    /// Waits until a provider's state of this number is published, and returns the generation that has it.
    pub(super) async fn published_with(&self, provider: &str, number: u64) -> u64 {
        let mut renewed = self.renewed.subscribe();
        loop {
            let published = self.published();
            let known = published.providers.iter();
            if known
                .filter(|known| *known.name == *provider)
                .any(|known| known.position.number >= number)
            {
                return published.generation;
            }
            // The sender lives in `self`.
            let _ = renewed.changed().await;
        }
    }

    /// Notes which generation a shard has applied, and wakes who waited for it. Called by the control thread;
    /// costs a store if nothing changed.
    pub fn acknowledge(&self, shard: usize, generation: u64) {
        let Some(place) = self.acknowledged.get(shard) else {
            return;
        };
        if place.swap(generation, Ordering::AcqRel) == generation {
            return;
        }
        let effective = self.acknowledged().min().unwrap_or(generation);
        self.effective.send_if_modified(|known| {
            let is_newer = *known < effective;
            *known = effective.max(*known);
            is_newer
        });
    }

    /// Notes the CPU time that the control thread spent at one go, and how many generations are in use.
    pub fn note_control(&self, busy: Duration, live_generations: usize) {
        let busy = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
        self.longest_control_turn.fetch_max(busy, Ordering::Relaxed);
        self.live_generations
            .store(live_generations, Ordering::Relaxed);
    }

    /// The newest published configuration.
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.current.load().published)
    }

    /// The newest generation that every shard has applied.
    pub fn effective(&self) -> u64 {
        *self.effective.borrow()
    }

    pub(super) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// The generation that each shard has applied, in the order of the shards.
    pub(super) fn acknowledged(&self) -> impl Iterator<Item = u64> {
        self.acknowledged
            .iter()
            .map(|generation| generation.load(Ordering::Acquire))
    }

    /// Returns once every shard has applied `generation`.
    pub(super) async fn wait(&self, generation: u64) {
        let mut effective = self.effective.subscribe();
        // The sender lives in `self`.
        let _ = effective
            .wait_for(|effective| *effective >= generation)
            .await;
    }
}

/// How many providers have another reason than before why their source cannot be read.
fn failures(before: &Published, now: &Published) -> u64 {
    let is_new = |now: &&ProviderState| {
        let mut known = before.providers.iter();
        let known = known.find(|known| known.name == now.name);
        now.error.is_some() && known.is_none_or(|known| known.error != now.error)
    };
    now.providers.iter().filter(is_new).count() as u64
}

fn positions(
    published: &Published,
    before: &BTreeMap<Arc<str>, (Position, Instant)>,
) -> BTreeMap<Arc<str>, (Position, Instant)> {
    let since = |name: &Arc<str>, position: &Position| match before.get(name) {
        Some((known, since)) if known == position => *since,
        _ => Instant::now(),
    };
    published
        .providers
        .iter()
        .filter(|provider| provider.reported)
        .map(|provider| {
            let since = since(&provider.name, &provider.position);
            let position = provider.position.clone();
            (Arc::clone(&provider.name), (position, since))
        })
        .collect()
}
