//! What of a static configuration matters to frontends and backends.

use std::collections::BTreeMap;

use crate::config::duration::GoDuration;

/// Where a Traefik 1 tree comes from. Its sources had defaults of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// A key-value store: frontends pass the client's `Host` unless they say otherwise.
    #[default]
    Store,
    /// A file, or JSON in the form of Traefik 1's own types: frontends pass the server's name as `Host` unless they say
    /// otherwise.
    File,
}

/// An entry point as frontends see it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct EntryPointFacts {
    /// Whether it has TLS.
    pub has_tls: bool,
    /// The port of its address; `None` if it cannot be told.
    pub port: Option<u16>,
    /// Certificates and keys that it shows.
    pub certificates: Vec<(String, String)>,
}

/// What is known of the static configuration; the default is nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Context {
    /// Where the tree comes from.
    pub origin: Origin,
    /// The entry points, if they are known at all.
    pub entry_points: Option<BTreeMap<String, EntryPointFacts>>,
    /// Names of the entry points of frontends that have none.
    pub default_entry_points: Vec<String>,
    /// How often a request is sent at most: 0 means as often as the backend has servers; `None` once.
    pub retry_attempts: Option<i64>,
    /// Whether a path with a slash too many or too few is not redirected.
    pub keeps_trailing_slash: bool,
    /// Time between two health checks of a backend that does not say.
    pub health_interval: Option<GoDuration>,
}

/// Where a redirect to an entry point leads.
#[derive(Debug, PartialEq)]
pub(super) struct Target {
    pub scheme: &'static str,
    /// `None` means the scheme's own.
    pub port: Option<u16>,
    /// Whether it was told from the name alone.
    pub is_guess: bool,
}

impl Context {
    /// Where a redirect to this entry point leads; `None` if there is no such entry point, or nothing is known.
    pub fn target(&self, name: &str) -> Option<Target> {
        if let Some(known) = &self.entry_points {
            let facts = known.get(name)?;
            let (scheme, own) = if facts.has_tls {
                ("https", 443)
            } else {
                ("http", 80)
            };
            return Some(Target {
                scheme,
                port: facts.port.filter(|port| *port != own),
                is_guess: false,
            });
        }
        let scheme = match name {
            "https" | "websecure" => "https",
            "http" | "web" => "http",
            _ => return None,
        };
        Some(Target {
            scheme,
            port: None,
            is_guess: true,
        })
    }
}
