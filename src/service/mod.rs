//! Services: what a router forwards to. Compiled, immutable descriptions (shared by all shards behind
//! `Arc`) and the shard-local state that goes with them.
//!
//! ```text
//! Service (Arc, from plan) ── StateId ──► balancer state (this shard, survives changes)
//!   └ LoadBalancer ── Server ── PoolId ──► upstream pool  (this shard, survives changes)
//! ```
//!
//! Configuration and state are apart: a change replaces descriptions; state is found by identity
//! (`StateId`, `ServerId`, `PoolId`) and reconciled when it is next used, so what did not change keeps
//! its balancer position, connections and counts. Not here: how a request is sent (`exchange`).

mod address;
pub mod balancer;
pub mod pool;

use std::sync::Arc;
use std::time::Duration;

pub use address::{NameId, Scheme, ServerAddress};

/// Identity of a piece of shard-local state. Given out by `plan`, once per identity, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateId(pub u64);

/// Identity of a server: (service, URL).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId(pub u64);

/// Identity of an upstream pool: (transport configuration, scheme, authority).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolId(pub u64);

/// A service as the shards see it.
#[derive(Debug)]
pub struct Service {
    /// Qualified name, `name@provider`.
    pub name: Arc<str>,
    /// Where this service's shard-local state lives.
    pub state: StateId,
    /// Grows with each change of this service; state reconciles when it sees a new one.
    pub revision: u64,
    /// What the service does with a request.
    pub kind: ServiceKind,
}

/// The kinds of service (Traefik: HTTP services).
#[derive(Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// Balances over servers.
    LoadBalancer(LoadBalancer),
    /// Answers inside the proxy.
    Internal(Internal),
}

/// Services that Traefik's internal provider declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Internal {
    /// `ping@internal`: 200 `OK`, or the terminating status while draining.
    Ping,
    /// `noop@internal`: 418; behind redirections it is never reached.
    Noop,
    /// `api@internal`: served by the API thread, which the shard reaches as an upstream over a private
    /// socket.
    Api,
    /// `rest@internal`: takes configurations in; served by a thread of its own, as the API is.
    Rest,
    /// `dashboard@internal`: the page and its files, served by the API thread, which knows the request by
    /// [`DASHBOARD_PREFIX`]. Never the API: people leave the dashboard open and protect the API.
    Dashboard,
}

/// What is put before the path of a request to `dashboard@internal` on its way to the API thread. A request to
/// `api@internal` that has it gets the same page.
pub const DASHBOARD_PREFIX: &str = "/dashboard@internal";

/// How a load balancer chooses (Traefik: `loadBalancer.strategy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Weighted round robin, earliest deadline first.
    #[default]
    Wrr,
    /// Power of two choices by requests in flight.
    P2c,
}

/// Servers and how to choose among them.
#[derive(Debug, PartialEq, Eq)]
pub struct LoadBalancer {
    /// Usable servers (weight above zero), in configured order.
    pub servers: Box<[Server]>,
    /// How to choose.
    pub strategy: Strategy,
    /// Send the client's `Host` (true) or the server's authority (false).
    pub pass_host_header: bool,
    /// Timeouts and pool sizes.
    pub transport: Arc<Transport>,
}

/// One server of a load balancer.
#[derive(Debug, PartialEq, Eq)]
pub struct Server {
    /// Identity: (service, URL).
    pub id: ServerId,
    /// The URL as configured, for the API and logs.
    pub url: Arc<str>,
    /// `http` or `https`.
    pub scheme: Scheme,
    /// `host:port` for the `Host` header when `passHostHeader` is false or the request has no host.
    pub authority: Arc<str>,
    /// Where to connect.
    pub address: ServerAddress,
    /// Share of requests, above zero.
    pub weight: u32,
    /// The URL's path, prefixed to the request's when `preservePath` is set.
    pub path_prefix: Option<Arc<str>>,
    /// The pool its connections belong to.
    pub pool: PoolId,
}

/// A serversTransport as the shards see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Qualified name; `default@internal` for the static one.
    pub name: Arc<str>,
    /// Most idle connections kept per upstream host, over all shards. Zero: Go's default of 2;
    /// negative: none is kept.
    pub max_idle_conns_per_host: i32,
    /// Limit for establishing a connection; zero: none.
    pub dial_timeout: Duration,
    /// Limit from the request's last byte to the response head; zero: none.
    pub response_header_timeout: Duration,
    /// How long an idle connection is kept; zero: for ever.
    pub idle_conn_timeout: Duration,
}

impl Service {
    /// A service with one server behind an abstract Unix socket of this process.
    ///
    /// Its identities are fixed, another one for each index, and out of the range that `plan` gives out.
    pub fn behind_abstract_socket(name: &str, socket: &[u8], index: u8) -> Self {
        // Plans count from below.
        let id = u64::MAX - u64::from(index);
        let server = Server {
            id: ServerId(id),
            url: name.into(),
            scheme: Scheme::Http,
            authority: "localhost".into(),
            address: ServerAddress::Abstract(socket.into()),
            weight: 1,
            path_prefix: None,
            pool: PoolId(id),
        };
        Self {
            name: name.into(),
            state: StateId(id),
            revision: 1,
            kind: ServiceKind::LoadBalancer(LoadBalancer {
                servers: Box::new([server]),
                strategy: Strategy::Wrr,
                pass_host_header: true,
                transport: Arc::default(),
            }),
        }
    }

    /// The load balancer of this service, if it is one.
    pub fn load_balancer(&self) -> Option<&LoadBalancer> {
        match &self.kind {
            ServiceKind::LoadBalancer(balancer) => Some(balancer),
            ServiceKind::Internal(_) => None,
        }
    }
}

impl Default for Transport {
    /// Traefik's defaults of the static `serversTransport`.
    fn default() -> Self {
        Self {
            name: "default@internal".into(),
            max_idle_conns_per_host: 200,
            dial_timeout: Duration::from_secs(30),
            response_header_timeout: Duration::ZERO,
            idle_conn_timeout: Duration::from_secs(90),
        }
    }
}
