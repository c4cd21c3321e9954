//! The static (install) configuration: entry points, providers and whatever else is fixed at start.
//!
//! ```text
//! file │ flags │ environment ──► tree ──► vocabulary (known? supported?) ──► StaticConfig ──► validate
//! ```
//!
//! [`load()`] finds it exactly as Traefik does. Keys that Traefik has and Ringway does not support yet are warnings
//! that name them; keys that neither has are errors with a suggestion. Ringway's own keys live under `ringway`.

mod address;
mod entry_point;
mod former;
mod http_sources;
mod install;
mod kv_stores;
mod load;
mod providers;
mod sources;
mod validate;
mod vocabulary;

pub use address::{EntryPointAddress, Protocol};
pub use entry_point::{
    EntryPoint, EntryPointEncodedCharacters, EntryPointHttp, EntryPointObservability,
    EntryPointTransport, ForwardedHeaders, Http2, Http3, LifeCycle, ProxyProtocolIn,
    RedirectToEntryPoint, Redirections, RespondingTimeouts, Udp, UnderscoreHeaders,
};
pub use http_sources::{HttpAlias, HttpProvider, RestProvider};
pub use install::{
    AccessLog, AccessLogFields, AccessLogFilters, AccessLogFormat, AccessLogHeaders,
    AccessLogQuery, Api, Core, Driver, FieldMode, FileProvider, Global, Limits, Log, LogFormat,
    LogLevel, Ping, Providers, Ringway, RuleSyntax, StaticConfig, StaticServersTransport,
};
pub use kv_stores::{Consul, Redis, RedisSentinel, ZooKeeper};
pub use load::{Disk, Files, LoadError, Loaded, Source, load};
pub use providers::{Etcd, EtcdEndpoint, KvOptions, Scheme};
pub use validate::{IpRange, default_precedence};
pub use vocabulary::is_top_level as is_static_key;
