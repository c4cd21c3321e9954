//! What an entry point asks of its exchanges, compiled from the static configuration.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::http::{ForwardedPolicy, Limits, Semicolons, Underscores};

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
    /// Whether `.`, `..` and `//` are removed from paths.
    pub sanitize_path: bool,
    /// What `;` in a query means.
    pub semicolons: Semicolons,
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
