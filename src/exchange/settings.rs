//! What an entry point asks of its exchanges, compiled from the static configuration.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::statics::{EntryPoint, Global, Limits as ConfigLimits, UnderscoreHeaders};
use crate::http::{FieldName, ForwardedPolicy, Limits, Semicolons, Underscores};

/// An entry point, ready for the shards (Traefik: `entryPoints.<name>`).
#[derive(Clone, Debug)]
pub struct EntryPointSettings {
    /// Its name.
    pub name: Arc<str>,
    /// The port it listens on.
    pub port: u16,
    /// Who may say where a request came from.
    pub forwarded: ForwardedPolicy,
    /// Whether connections may begin with a PROXY header.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// From a request's first byte to its last; zero: no limit.
    pub read_timeout: Duration,
    /// From the end of the request to the response's last byte; zero: no limit.
    pub write_timeout: Duration,
    /// Between requests; zero: no limit.
    pub idle_timeout: Duration,
    /// Age at which a connection is closed after its response; zero: none.
    pub keep_alive_max_time: Duration,
    /// Requests after which a connection is closed; zero: no limit.
    pub keep_alive_max_requests: u32,
    /// Limits of a request head.
    pub limits: Limits,
    /// Largest body that is held in memory where the middleware that wants it sets no limit, in bytes.
    pub max_held_body: u64,
    /// Most bytes of bodies that all shards together hold in memory.
    pub max_held_memory: u64,
    /// Whether `.`, `..` and `//` are removed from paths.
    pub sanitize_path: bool,
    /// What `;` in a query means.
    pub semicolons: Semicolons,
    /// Whether requests without a router are written to the access log.
    pub access_log: bool,
    /// What happens to field names with underscores.
    pub underscores: Underscores,
}

/// Whose PROXY headers are believed.
#[derive(Clone, Debug, Default)]
pub struct ProxyProtocol {
    /// Everybody's.
    pub insecure: bool,
    /// Those of these networks.
    pub trusted: Box<[IpNet]>,
}

impl EntryPointSettings {
    /// Compiles an entry point of the static configuration, which has been validated: addresses and
    /// names that do not parse are left out.
    pub fn new(name: &str, config: &EntryPoint, global: &Global, limits: &ConfigLimits) -> Self {
        let timeouts = &config.transport.responding_timeouts;
        let forwarded = &config.forwarded_headers;
        Self {
            name: name.into(),
            port: config.address.port(),
            forwarded: ForwardedPolicy {
                insecure: forwarded.insecure,
                trusted: networks(&forwarded.trusted_ips),
                connection: forwarded
                    .connection
                    .iter()
                    .filter_map(|name| FieldName::parse(name).ok())
                    .collect(),
                not_append_xff: forwarded.not_append_x_forwarded_for
                    || global.not_append_x_forwarded_for,
            },
            proxy_protocol: config.proxy_protocol.as_ref().map(|proxy| ProxyProtocol {
                insecure: proxy.insecure,
                trusted: networks(&proxy.trusted_ips).into(),
            }),
            read_timeout: timeouts.read_timeout.as_std(),
            write_timeout: timeouts.write_timeout.as_std(),
            idle_timeout: timeouts.idle_timeout.as_std(),
            keep_alive_max_time: config.transport.keep_alive_max_time.as_std(),
            keep_alive_max_requests: u32::try_from(config.transport.keep_alive_max_requests)
                .unwrap_or(u32::MAX),
            limits: Limits {
                max_header_bytes: usize::try_from(config.http.max_header_bytes)
                    .unwrap_or(usize::MAX),
                max_fields: usize::from(limits.max_header_count),
                max_response_header_bytes: bytes(limits.max_response_header_bytes),
                max_trailer_bytes: bytes(limits.max_trailer_bytes),
            },
            max_held_body: bytes(limits.max_held_body_bytes) as u64,
            max_held_memory: bytes(limits.max_held_memory_bytes) as u64,
            access_log: config
                .observability
                .as_ref()
                .is_none_or(|own| own.access_logs),
            sanitize_path: config.http.sanitize_path,
            semicolons: match config.http.encode_query_semicolons {
                true => Semicolons::Encode,
                false => Semicolons::Separate,
            },
            underscores: match config.http.underscore_headers_strategy {
                UnderscoreHeaders::Keep => Underscores::Keep,
                UnderscoreHeaders::Delete => Underscores::Delete,
                UnderscoreHeaders::Reject => Underscores::Reject,
            },
        }
    }
}

/// A validated number of bytes, which is not negative.
fn bytes(configured: i64) -> usize {
    usize::try_from(configured).unwrap_or(usize::MAX)
}

fn networks(texts: &[impl AsRef<str>]) -> Vec<IpNet> {
    let parse = |text: &str| match text.parse::<IpNet>() {
        Ok(net) => Some(net),
        Err(_) => text.parse::<IpAddr>().ok().map(IpNet::from),
    };
    texts
        .iter()
        .filter_map(|text| parse(text.as_ref()))
        .collect()
}

impl ProxyProtocol {
    /// Whether a header from `peer` is believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.insecure
            || self
                .trusted
                .iter()
                .any(|net| net.contains(&peer.to_canonical()))
    }
}
