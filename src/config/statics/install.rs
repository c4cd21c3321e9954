//! The whole static configuration and its parts besides entry points.

use std::sync::Arc;

use super::kv_stores::{Consul, Redis, ZooKeeper};
use super::providers::Etcd;
use super::validate::default_precedence;
use super::{EntryPoint, HttpProvider, RestProvider};
use crate::config::decode::{List, Map, Text};
use crate::config::duration::GoDuration;
use crate::config::dynamic::http::ForwardingTimeouts;
use crate::config::v1::Context;

schema! {
    /// The static configuration. [`super::load()`] fills in what Traefik fills in, so that there is an entry point.
    pub struct StaticConfig {
        /// Matters of the whole process.
        pub global: Global = "global";
        /// How servers are connected to by default (`default@internal`).
        pub servers_transport: StaticServersTransport = "serversTransport";
        /// Where connections are accepted.
        pub entry_points: Map<EntryPoint> = "entryPoints";
        /// Where the dynamic configuration comes from.
        pub providers: Providers = "providers";
        /// Present: the API, and where it is.
        pub api: Option<Box<Api>> = "api" [presence];
        /// Present: the health endpoint.
        pub ping: Option<Box<Ping>> = "ping" [presence];
        /// The program's own log.
        pub log: Log = "log" [presence];
        /// Present: a line per request.
        pub access_log: Option<Box<AccessLog>> = "accessLog" [presence];
        /// Matters of the rule language.
        pub core: Core = "core";
        /// What Traefik does not have.
        pub ringway: Ringway = "ringway";
        /// What frontends and backends of Traefik 1 need to know of all this.
        pub former: Arc<Context> = "(former)" [hidden];
    }

    /// Matters of the whole process.
    pub struct Global {
        /// Without effect: Ringway never asks for new versions.
        pub check_new_version: bool = "checkNewVersion" [default true];
        /// Without effect: Ringway never reports usage.
        pub send_anonymous_usage: bool = "sendAnonymousUsage";
        /// Whether clients' addresses are not appended to `X-Forwarded-For` on any entry point.
        pub not_append_x_forwarded_for: bool = "notAppendXForwardedFor";
    }

    /// How servers are connected to by default.
    pub struct StaticServersTransport {
        /// Whether servers' certificates are not verified.
        pub insecure_skip_verify: bool = "insecureSkipVerify";
        /// Authorities, as files or PEM text; empty means the system's.
        pub root_cas: List<Text> = "rootCAs";
        /// Idle connections kept per server.
        pub max_idle_conns_per_host: i64 = "maxIdleConnsPerHost" [default 200];
        /// Deadlines.
        pub forwarding_timeouts: ForwardingTimeouts = "forwardingTimeouts";
    }

    /// Where the dynamic configuration comes from.
    pub struct Providers {
        /// Shortest time between two applied configurations of one provider. Ringway needs none, so the default is 0
        /// where Traefik's is 2s.
        pub providers_throttle_duration: GoDuration = "providersThrottleDuration" [min 0];
        /// Names of providers in the order that decides between routers of equal priority, in lower case.
        pub precedence: List<Text> = "precedence" [default default_precedence()];
        /// Present: files.
        pub file: Option<Box<FileProvider>> = "file";
        /// Present: etcd.
        pub etcd: Option<Box<Etcd>> = "etcd" [presence];
        /// Present: Redis.
        pub redis: Option<Box<Redis>> = "redis" [presence];
        /// Present: Consul's key-value store.
        pub consul: Option<Box<Consul>> = "consul" [presence];
        /// Present: ZooKeeper.
        pub zookeeper: Option<Box<ZooKeeper>> = "zooKeeper" [presence];
        /// Present: an HTTP server.
        pub http: Option<Box<HttpProvider>> = "http" [presence];
        /// Present: whoever uses `PUT /api/providers/rest`.
        pub rest: Option<Box<RestProvider>> = "rest" [presence];
    }

    /// Dynamic configuration from files: a directory, or else one file.
    pub struct FileProvider {
        /// A directory of YAML and TOML files; it takes precedence over `filename`.
        pub directory: Text = "directory";
        /// Whether changes are followed.
        pub watch: bool = "watch" [default true] [always];
        /// One file.
        pub filename: Text = "filename";
        /// Shortest time between two applied changes of this provider; absent means `providersThrottleDuration`.
        pub throttle_duration: Option<GoDuration> = "throttleDuration" [min 0];
        /// Whether files are logged after their templates were executed.
        pub debug_log_generated_template: bool = "debugLogGeneratedTemplate";
    }

    /// The API and the dashboard.
    pub struct Api {
        /// Path before the API's own paths.
        pub base_path: Text = "basePath" [default "/".into()];
        /// Whether they are served on the entry point `traefik` without any router.
        pub insecure: bool = "insecure";
        /// Whether the dashboard is served.
        pub dashboard: bool = "dashboard" [default true];
        /// Whether debugging endpoints are served.
        pub debug: bool = "debug";
        /// Whether the dashboard has no advertisement; Ringway's never has.
        pub disable_dashboard_ad: bool = "disableDashboardAd";
        /// Title of the dashboard.
        pub dashboard_name: Text = "dashboardName";
    }

    /// The health endpoint `/ping`.
    pub struct Ping {
        /// Name of the entry point that serves it.
        pub entry_point: Text = "entryPoint" [default "traefik".into()];
        /// Whether it is served through a router (`ping@internal`) instead.
        pub manual_routing: bool = "manualRouting";
        /// Status while the process ends.
        pub terminating_status_code: i64 = "terminatingStatusCode" [default 503];
    }

    /// The program's own log.
    pub struct Log {
        /// The least severe messages that appear.
        pub level: LogLevel = "level";
        /// The form of lines.
        pub format: LogFormat = "format";
        /// Whether lines have no colours.
        pub no_color: bool = "noColor";
        /// The file; empty means standard output.
        pub file_path: Text = "filePath";
        /// Size in MiB at which the file is rotated; 0 means never.
        pub max_size: i64 = "maxSize" [min 0];
        /// Days that rotated files are kept; 0 means for ever.
        pub max_age: i64 = "maxAge" [min 0];
        /// Number of rotated files kept; 0 means all.
        pub max_backups: i64 = "maxBackups" [min 0];
        /// Whether rotated files are compressed.
        pub compress: bool = "compress";
    }

    /// A line per request.
    pub struct AccessLog {
        /// The file; empty means standard output.
        pub file_path: Text = "filePath";
        /// The form of lines.
        pub format: AccessLogFormat = "format";
        /// Which requests have a line; with none set, all.
        pub filters: AccessLogFilters = "filters";
        /// Which fields a line has.
        pub fields: AccessLogFields = "fields";
        /// Lines that may wait to be written.
        pub buffering_size: i64 = "bufferingSize" [min 0];
        /// Whether internal services have lines too.
        pub add_internals: bool = "addInternals";
    }

    /// Which requests have a line: those that fulfil at least one of the filters set.
    pub struct AccessLogFilters {
        /// Status codes and ranges such as `500-599`.
        pub status_codes: List<Text> = "statusCodes";
        /// Whether requests that were sent more than once have a line.
        pub retry_attempts: bool = "retryAttempts";
        /// Requests that took at least this long have a line.
        pub min_duration: GoDuration = "minDuration" [min 0];
    }

    /// Which fields a line has.
    pub struct AccessLogFields {
        /// What happens to fields that `names` does not name.
        pub default_mode: FieldMode = "defaultMode";
        /// What happens to fields by name.
        pub names: Map<FieldMode> = "names";
        /// What happens to header fields.
        pub headers: AccessLogHeaders = "headers";
        /// What happens to query parameters.
        pub query_parameters: AccessLogQuery = "queryParameters";
    }

    /// What happens to header fields in the access log.
    pub struct AccessLogHeaders {
        /// What happens to those that `names` does not name.
        pub default_mode: FieldMode = "defaultMode" [default FieldMode::Drop];
        /// What happens to them by name.
        pub names: Map<FieldMode> = "names";
    }

    /// What happens to query parameters in the access log.
    pub struct AccessLogQuery {
        /// Kept or dropped.
        pub default_mode: FieldMode = "defaultMode";
    }

    /// Matters of the rule language.
    pub struct Core {
        /// Rule syntax of routers that do not say.
        pub default_rule_syntax: RuleSyntax = "defaultRuleSyntax";
    }

    /// What Traefik does not have.
    pub struct Ringway {
        /// Number of shards; 0 means one per CPU of the process.
        pub shards: u16 = "shards";
        /// The I/O driver.
        pub driver: Driver = "driver";
        /// How long traffic waits for providers at start before entry points listen anyway.
        pub startup_timeout: GoDuration = "startupTimeout" [default GoDuration::from_secs(10)] [min 0];
        /// Directory of what survives a restart; empty means none.
        pub state_dir: Text = "stateDir";
        /// Whether every incremental change is compared with a full rebuild, for debugging.
        pub verify_incremental: bool = "verifyIncremental";
        /// Limits.
        pub limits: Limits = "limits";
    }

    /// Limits against too much of anything.
    pub struct Limits {
        /// Downstream connections of the process; 0 means as many as files may be open.
        pub max_connections: u32 = "maxConnections";
        /// Fields of a request's or response's head, 1 to 1000.
        pub max_header_count: u16 = "maxHeaderCount" [default 256];
        /// Bytes of a response's head (Go's transport, and so Traefik, allows as many).
        pub max_response_header_bytes: i64 = "maxResponseHeaderBytes" [default 10 << 20] [min 1024];
        /// Bytes of a trailer section, in either direction.
        pub max_trailer_bytes: i64 = "maxTrailerBytes" [default 64 << 10] [min 0];
        /// Bytes of a body that `buffering` or `retry` holds in memory where the middleware sets no limit.
        pub max_held_body_bytes: i64 = "maxHeldBodyBytes" [default 64 << 20] [min 0];
        /// Bytes of all such bodies of the process together.
        pub max_held_memory_bytes: i64 = "maxHeldMemoryBytes" [default 1 << 30] [min 0];
        /// Bytes of received data that wait in each shard to be sent on.
        pub max_receive_memory_bytes: i64 = "maxReceiveMemoryBytes" [default 256 << 20] [min 4194304];
        /// Bytes that wait unread on one connection before receiving pauses.
        pub max_unread_bytes: u32 = "maxUnreadBytes" [default 64 << 10] [min 16384];
        /// Bytes that wait on one connection to be sent before whoever brings more waits.
        pub max_unsent_bytes: u32 = "maxUnsentBytes" [default 64 << 10] [min 16384];
        /// Accepted connections per shard that nobody has looked at yet before accepting pauses.
        pub max_accept_queue: u32 = "maxAcceptQueue" [default 1024] [min 1];
        /// How long what is queued may take to leave when a connection closes.
        pub flush_timeout: GoDuration = "flushTimeout" [default GoDuration::from_secs(10)] [min 0];
        /// How long input is discarded behind a refusal, so that the client can read it.
        pub linger_timeout: GoDuration = "lingerTimeout" [default GoDuration::from_secs(2)] [min 0];
        /// Bytes of such input.
        pub max_linger_bytes: u32 = "maxLingerBytes" [default 1 << 20];
        /// Pairs below the root of a key-value store.
        pub max_store_pairs: u32 = "maxStorePairs" [default 10_000_000];
        /// Bytes of all these keys and values.
        pub max_store_bytes: i64 = "maxStoreBytes" [default 1 << 30] [min 1024];
    }
}

words! {
    /// Severity of log messages.
    pub enum LogLevel {
        /// Everything.
        Trace = "TRACE",
        /// What helps to find faults.
        Debug = "DEBUG",
        /// What happens.
        Info = "INFO",
        /// What may be wrong.
        Warn = "WARN",
        /// What is wrong.
        #[default]
        Error = "ERROR",
        /// What ends the process.
        Fatal = "FATAL",
        /// Broken invariants.
        Panic = "PANIC",
    }

    /// The form of log lines.
    pub enum LogFormat {
        /// For people.
        #[default]
        Common = "common",
        /// One JSON object per line.
        Json = "json",
    }

    /// The form of access log lines.
    pub enum AccessLogFormat {
        /// Common log format with Traefik's additions.
        #[default]
        Common = "common",
        /// One JSON object per line.
        Json = "json",
        /// Common log format alone.
        GenericClf = "genericCLF",
    }

    /// What happens to a field of the access log.
    pub enum FieldMode {
        /// It appears.
        #[default]
        Keep = "keep",
        /// It does not appear.
        Drop = "drop",
        /// It appears without its value.
        Redact = "redact",
    }

    /// Which rule language.
    pub enum RuleSyntax {
        /// Traefik 3's.
        #[default]
        V3 = "v3",
        /// Traefik 2's. Deprecated.
        V2 = "v2",
    }

    /// Which I/O driver.
    pub enum Driver {
        /// io_uring where it works, else epoll.
        #[default]
        Auto = "auto",
        /// io_uring or a failing start.
        Uring = "uring",
        /// epoll.
        Epoll = "epoll",
    }
}
