//! Entry points: where connections are accepted, and what holds for all of them (Traefik: `entryPoints.<name>`).

use super::EntryPointAddress;
use crate::config::decode::{List, Text};
use crate::config::duration::GoDuration;
use crate::config::dynamic::http::{RouterTls, TraceVerbosity};

schema! {
    /// Where connections are accepted.
    pub struct EntryPoint {
        /// `[host]:port[/tcp|/udp]`; required.
        pub address: EntryPointAddress = "address";
        /// Whether routers may serve ACME challenges themselves.
        pub allow_acme_bypass: bool = "allowACMEByPass";
        /// Whether other processes may listen on the same port (SO_REUSEPORT).
        pub reuse_port: bool = "reusePort";
        /// Whether it is a default entry point; if none says so, all are, except UDP ones and `traefik`.
        pub as_default: bool = "asDefault";
        /// Deadlines and life cycle.
        pub transport: EntryPointTransport = "transport";
        /// Present: connections may begin with a PROXY header.
        pub proxy_protocol: Option<Box<ProxyProtocolIn>> = "proxyProtocol" [presence];
        /// Whose forwarded fields are believed.
        pub forwarded_headers: ForwardedHeaders = "forwardedHeaders";
        /// What holds for HTTP.
        pub http: EntryPointHttp = "http";
        /// What holds for HTTP/2.
        pub http2: Http2 = "http2";
        /// Present: HTTP/3 on the same port.
        pub http3: Option<Box<Http3>> = "http3" [presence];
        /// What holds for UDP.
        pub udp: Udp = "udp";
        /// What is recorded for the routers of this entry point; absent means everything.
        pub observability: Option<Box<EntryPointObservability>> = "observability";
    }

    /// Deadlines and life cycle of an entry point's connections.
    pub struct EntryPointTransport {
        /// What happens at the process's end.
        pub life_cycle: LifeCycle = "lifeCycle";
        /// Deadlines towards clients.
        pub responding_timeouts: RespondingTimeouts = "respondingTimeouts";
        /// Age at which a connection is closed after its current request; 0 means never.
        pub keep_alive_max_time: GoDuration = "keepAliveMaxTime" [min 0];
        /// Number of requests after which a connection is closed; 0 means never.
        pub keep_alive_max_requests: i64 = "keepAliveMaxRequests" [min 0];
    }

    /// What happens at the process's end.
    pub struct LifeCycle {
        /// How long new requests are still taken.
        pub request_accept_grace_timeout: GoDuration = "requestAcceptGraceTimeout" [min 0];
        /// How long running requests may go on.
        pub grace_time_out: GoDuration = "graceTimeOut" [default GoDuration::from_secs(10)] [min 0];
    }

    /// Deadlines towards clients; 0 means none.
    pub struct RespondingTimeouts {
        /// To receive a whole request, its body included.
        pub read_timeout: GoDuration = "readTimeout" [default GoDuration::from_secs(60)] [min 0];
        /// To send a whole response.
        pub write_timeout: GoDuration = "writeTimeout" [min 0];
        /// How long a connection may be idle.
        pub idle_timeout: GoDuration = "idleTimeout" [default GoDuration::from_secs(180)] [min 0];
    }

    /// Who may send a PROXY header.
    pub struct ProxyProtocolIn {
        /// Whether everybody may.
        pub insecure: bool = "insecure";
        /// Addresses and networks that may.
        pub trusted_ips: List<Text> = "trustedIPs";
    }

    /// Whose forwarded fields are believed.
    pub struct ForwardedHeaders {
        /// Whether everybody's are.
        pub insecure: bool = "insecure";
        /// Addresses and networks whose are.
        pub trusted_ips: List<Text> = "trustedIPs";
        /// Fields that `Connection` may name without their being removed.
        pub connection: List<Text> = "connection";
        /// Whether the client's address is not appended to `X-Forwarded-For`.
        pub not_append_x_forwarded_for: bool = "notAppendXForwardedFor";
    }

    /// What holds for HTTP on an entry point.
    pub struct EntryPointHttp {
        /// Present: all requests are redirected.
        pub redirections: Option<Box<Redirections>> = "redirections";
        /// Names of middlewares that go before those of every router.
        pub middlewares: List<Text> = "middlewares";
        /// TLS for routers without their own.
        pub tls: Option<Box<RouterTls>> = "tls" [presence];
        /// Encoded characters that paths may have; absent means all.
        pub encoded_characters: Option<Box<EntryPointEncodedCharacters>> = "encodedCharacters";
        /// Whether `;` in queries is sent on as `%3B`.
        pub encode_query_semicolons: bool = "encodeQuerySemicolons";
        /// Whether `.`, `..` and `//` are removed from paths.
        pub sanitize_path: bool = "sanitizePath" [default true] [always];
        /// Largest head of a request in bytes.
        pub max_header_bytes: i64 = "maxHeaderBytes" [default 1_048_576] [min 1];
        /// What happens to fields with `_` in their name.
        pub underscore_headers_strategy: UnderscoreHeaders = "underscoreHeadersStrategy";
    }

    /// Redirections of a whole entry point.
    pub struct Redirections {
        /// Where to.
        pub entry_point: Option<Box<RedirectToEntryPoint>> = "entryPoint";
    }

    /// A redirection to another entry point.
    pub struct RedirectToEntryPoint {
        /// Name of the entry point, or `:port`.
        pub to: Text = "to";
        /// The new scheme.
        pub scheme: Text = "scheme" [default "https".into()];
        /// Whether the redirection is permanent.
        pub permanent: bool = "permanent" [default true];
        /// Priority of the generated router.
        pub priority: i64 = "priority" [default i64::MAX - 1];
    }

    /// Which percent-encoded characters a path may have.
    pub struct EntryPointEncodedCharacters {
        /// `%2F`.
        pub allow_encoded_slash: bool = "allowEncodedSlash" [default true];
        /// `%5C`.
        pub allow_encoded_back_slash: bool = "allowEncodedBackSlash" [default true];
        /// `%00`.
        pub allow_encoded_null_character: bool = "allowEncodedNullCharacter" [default true];
        /// `%3B`.
        pub allow_encoded_semicolon: bool = "allowEncodedSemicolon" [default true];
        /// `%25`.
        pub allow_encoded_percent: bool = "allowEncodedPercent" [default true];
        /// `%3F`.
        pub allow_encoded_question_mark: bool = "allowEncodedQuestionMark" [default true];
        /// `%23`.
        pub allow_encoded_hash: bool = "allowEncodedHash" [default true];
    }

    /// HTTP/2 on an entry point.
    pub struct Http2 {
        /// Streams that a connection may have at once.
        pub max_concurrent_streams: i64 = "maxConcurrentStreams" [default 250] [min 0];
        /// Size of the table for fields received, in bytes.
        pub max_decoder_header_table_size: i64 = "maxDecoderHeaderTableSize" [default 4096] [min 0];
        /// Size of the table for fields sent, in bytes.
        pub max_encoder_header_table_size: i64 = "maxEncoderHeaderTableSize" [default 4096] [min 0];
    }

    /// HTTP/3 on an entry point.
    pub struct Http3 {
        /// The port that clients are told; 0 means the entry point's.
        pub advertised_port: i64 = "advertisedPort" [min 0];
    }

    /// UDP on an entry point.
    pub struct Udp {
        /// How long a session may be idle.
        pub timeout: GoDuration = "timeout" [default GoDuration::from_secs(3)] [min 0];
    }

    /// What is recorded for the routers of an entry point that do not say otherwise.
    pub struct EntryPointObservability {
        /// Whether requests appear in the access log.
        pub access_logs: bool = "accessLogs" [default true] [always];
        /// Whether requests are counted in metrics.
        pub metrics: bool = "metrics" [default true] [always];
        /// Whether requests are traced.
        pub tracing: bool = "tracing" [default true] [always];
        /// How many spans a traced request has.
        pub trace_verbosity: TraceVerbosity = "traceVerbosity";
    }
}

words! {
    /// What happens to request fields with `_` in their name, which some servers take for `-`.
    pub enum UnderscoreHeaders {
        /// They are sent on.
        #[default]
        Keep = "keep",
        /// They are removed.
        Delete = "delete",
        /// The request is refused with 400.
        Reject = "reject",
    }
}
