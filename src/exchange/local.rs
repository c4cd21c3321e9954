//! What the exchanges of one shard share. Nothing here is visible to another thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use rustc_hash::FxHashMap;

use super::names::Names;
use super::offload::Offload;
use super::settings::EntryPointSettings;
use super::spool::SpoolMemory;
use super::view::View;
use crate::http::DateText;
use crate::io::Handle;
use crate::middleware::FilterMemory;
use crate::observe::access_log::RecordSink;
use crate::router::mailbox::Health;
use crate::rules::RegexCaches;
use crate::service::balancer::Balancer;
use crate::service::pool::Pools;
use crate::service::{PoolId, Service, StateId};

/// What a shard is given when it starts.
pub struct LocalSettings {
    /// The entry points in the order of the static configuration.
    pub entry_points: Box<[EntryPointSettings]>,
    /// How many shards share configured limits.
    pub shards: u32,
    /// Most downstream connections of this shard; further ones are closed at once.
    pub max_connections: u64,
    /// What `/ping` answers while terminating (Traefik: `ping.terminatingStatusCode`).
    pub terminating_status: u16,
    /// The API thread as a service, where `api@internal` and its like are sent.
    pub api: Option<Service>,
    /// The thread that takes configurations in as a service, where `rest@internal` is sent.
    pub rest: Option<Service>,
    /// `X-Forwarded-Server`.
    pub hostname: Box<str>,
    /// Random, known to this process alone; keys what filters remember of passwords.
    pub secret: [u8; 32],
}

/// Shared by the exchanges of a shard.
pub struct Local {
    /// The reactor.
    pub io: Handle,
    /// From the static configuration.
    pub settings: LocalSettings,
    /// Connections to upstreams.
    pub pools: Pools,
    /// Addresses of upstream hosts.
    pub names: Names,
    /// Work that takes too long for a shard.
    pub offload: Offload,
    /// Where access log records go.
    pub records: RecordSink,
    /// Counters; single writer.
    pub stats: ExchangeStats,
    /// Bytes of bodies that are held in memory.
    pub(super) spooled: Rc<SpoolMemory>,
    pub(super) regex: RefCell<RegexCaches>,
    pub(super) memory: RefCell<FilterMemory>,
    view: RefCell<Rc<View>>,
    balancers: RefCell<FxHashMap<StateId, Rc<Balancer>>>,
    health: Cell<Health>,
    draining: Cell<bool>,
    date: RefCell<DateText>,
}

/// What a shard counts about its exchanges.
#[derive(Debug, Default)]
pub struct ExchangeStats {
    /// Requests whose head was read.
    pub requests: Cell<u64>,
    /// Requests under way.
    pub active: Cell<u64>,
    /// Requests answered 400 and the like before they were routed.
    pub refused: Cell<u64>,
    /// Exchanges that ended by a panic.
    pub panicked: Cell<u64>,
    /// Upstream connections dialled.
    pub dials: Cell<u64>,
    /// Requests sent on a connection from a pool.
    pub reused: Cell<u64>,
    /// Requests sent again because a pooled connection turned out closed.
    pub replayed: Cell<u64>,
    /// Connections turned into tunnels.
    pub tunnels: Cell<u64>,
    /// Password checks that were not remembered and went to the offload pool.
    pub password_checks: Cell<u64>,
    /// Connections closed because there were too many.
    pub rejected: Cell<u64>,
}

impl Local {
    /// The shared state of a shard that begins with `view`.
    pub fn new(
        io: Handle,
        settings: LocalSettings,
        view: View,
        offload: Offload,
        records: RecordSink,
    ) -> Rc<Self> {
        let memory = RefCell::new(FilterMemory::new(settings.secret));
        Rc::new(Self {
            io,
            settings,
            pools: Pools::default(),
            names: Names::default(),
            offload,
            records,
            stats: ExchangeStats::default(),
            spooled: Rc::default(),
            regex: RefCell::default(),
            memory,
            view: RefCell::new(Rc::new(view)),
            balancers: RefCell::default(),
            health: Cell::default(),
            draining: Cell::new(false),
            date: RefCell::new(DateText::new(0)),
        })
    }

    /// The snapshot in force. A request calls this once and keeps what it gets.
    pub fn view(&self) -> Rc<View> {
        self.view.borrow().clone()
    }

    /// Puts another view into force. O(1): requests under way keep the one they have.
    pub fn swap_view(&self, view: View) {
        drop(self.view.replace(Rc::new(view)));
    }

    /// Drops the state of removed services and middlewares.
    pub fn remove_states(&self, states: &[StateId]) {
        let mut balancers = self.balancers.borrow_mut();
        for state in states {
            balancers.remove(state);
        }
    }

    /// Drops pools that no server refers to: their idle connections close, running exchanges go on.
    pub fn remove_pools(&self, pools: &[PoolId]) {
        for &pool in pools {
            self.pools.remove(pool, &self.io);
        }
    }

    /// What `/ping` answers.
    pub fn health(&self) -> Health {
        self.health.get()
    }

    /// Changes what `/ping` answers.
    pub fn set_health(&self, health: Health) {
        self.health.set(health);
    }

    /// From now on responses close their connections, and idle upstream connections are dropped.
    pub fn start_draining(&self) {
        self.draining.set(true);
        self.pools.close_idle(&self.io);
    }

    /// Whether connections are being closed after their exchange.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub(super) fn balancer(&self, state: StateId) -> Rc<Balancer> {
        if let Some(balancer) = self.balancers.borrow().get(&state) {
            return balancer.clone();
        }
        let balancer = Rc::<Balancer>::default();
        self.balancers.borrow_mut().insert(state, balancer.clone());
        balancer
    }

    /// Requests that balancers count as in flight now. For checks.
    pub fn in_flight(&self) -> u32 {
        let balancers = self.balancers.borrow();
        balancers
            .values()
            .map(|balancer| balancer.all_in_flight())
            .sum()
    }

    /// Runs `use_date` with the text of the `Date` field for this turn.
    pub(super) fn with_date<T>(&self, use_date: impl FnOnce(&[u8]) -> T) -> T {
        let mut date = self.date.borrow_mut();
        date.update(unix_time(self.io.wall()).as_secs());
        use_date(date.as_bytes())
    }
}

impl ExchangeStats {
    /// Every counter's name and present value.
    pub fn snapshot(&self) -> [(&'static str, u64); 10] {
        [
            ("requests", self.requests.get()),
            ("active_requests", self.active.get()),
            ("refused_requests", self.refused.get()),
            ("panicked_requests", self.panicked.get()),
            ("dials", self.dials.get()),
            ("reused_connections", self.reused.get()),
            ("replayed_requests", self.replayed.get()),
            ("tunnels", self.tunnels.get()),
            ("password_checks", self.password_checks.get()),
            ("rejected_connections", self.rejected.get()),
        ]
    }

    /// Adds one to a counter.
    pub fn count(&self, counter: fn(&Self) -> &Cell<u64>) {
        let counter = counter(self);
        counter.set(counter.get() + 1);
    }
}

/// Time since the Unix epoch; zero for a clock before it.
pub(super) fn unix_time(wall: SystemTime) -> Duration {
    wall.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}
