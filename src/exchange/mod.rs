//! One request and its response: from the head's first byte to the response's last, through router,
//! middlewares, service and upstream.
//!
//! ```text
//! worker ─► connection ─► edge (normalise, X-Forwarded-*) ─► RouteTable ─► filters ─► forward ─► upstream
//!   ▲            │                                                │ around      │
//!   └─ parked ◄──┴──────────────── deliver ◄── response filters ◄─┴─────────────┘
//! ```
//!
//! | file | one idea |
//! |---|---|
//! | `local` | what exchanges of one shard share: view, pools, balancers, caches |
//! | `worker` | pooled tasks that serve connections while they have something to do |
//! | `connection` | keep-alive, pipelining, time limits of one downstream connection |
//! | `route_request` | a request as rules see it |
//! | `pipeline` | match, then run filters and arounds |
//! | `around` | retry, errors, buffering: forward zero or more times |
//! | `forward` | choose a server, send the request, await the response head |
//! | `deliver` | write the response, move the body |
//! | `pump`, `tunnel` | bytes between two connections |
//! | `rescue` | what a panic leaves |
//!
//! Everything here runs on a shard: no lock, no clock, no logging, and on a plain keep-alive route no
//! allocation after warm-up.

mod around;
mod connection;
mod deliver;
mod edge;
mod forward;
mod head;
mod local;
mod names;
mod offload;
mod pipeline;
pub mod proxy_protocol;
mod pump;
mod record;
mod rescue;
mod route_request;
mod settings;
mod spool;
mod tunnel;
mod view;
mod worker;

pub use connection::limit;
pub use local::{ExchangeStats, Local, LocalSettings};
pub use names::{Names, Resolution};
pub use offload::{Jobs, MAX_QUEUED_JOBS, Offload, OffloadPool, Overloaded};
pub(crate) use route_request::RouteRequest;
pub use settings::{EntryPointSettings, ProxyProtocol};
pub use view::{SnapshotReturn, View};
pub use worker::{MAX_ENTRY_POINTS, MAX_WAITING_WORKERS, MAX_WORKERS, run_workers, tag_of};
