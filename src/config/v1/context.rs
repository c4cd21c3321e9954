//! What of a static configuration matters to frontends and backends.

use std::collections::BTreeMap;

use super::build::Objects;
use super::statics;
use crate::config::duration::GoDuration;
use crate::config::tree::Node;

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

/// What frontends and backends need to know of the static configuration that they run with; the default is nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context {
    /// The entry points, if they are known at all.
    pub(super) entry_points: Option<BTreeMap<String, EntryPointFacts>>,
    /// Whether they are today's, which may have other names than Traefik 1's had.
    is_todays: bool,
    /// Names of the entry points of frontends that have none.
    pub(super) default_entry_points: Vec<String>,
    /// How often a request is sent at most: 0 means as often as the backend has servers; `None` once.
    pub(super) retry_attempts: Option<i64>,
    /// Whether a path with a slash too many or too few is not redirected.
    pub(super) keeps_trailing_slash: bool,
    /// Time between two health checks of a backend that does not say.
    pub(super) health_interval: Option<GoDuration>,
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
    /// What a static file of Traefik 1 says.
    pub fn of_static(tree: &Node<'_>) -> Self {
        statics::dynamic_part(tree, &Self::default(), &mut Objects::default())
    }

    /// The entry points of today's configuration: name, port, whether it has TLS.
    pub fn of_entry_points<'e>(entry_points: impl Iterator<Item = (&'e str, u16, bool)>) -> Self {
        let facts = entry_points.map(|(name, port, has_tls)| {
            let facts = EntryPointFacts {
                has_tls,
                port: Some(port),
                certificates: Vec::new(),
            };
            (name.to_owned(), facts)
        });
        Self {
            entry_points: Some(facts.collect()),
            is_todays: true,
            ..Self::default()
        }
    }

    /// The entry points of a static file of Traefik 1.
    pub(super) fn set_entry_points(&mut self, facts: BTreeMap<String, EntryPointFacts>) {
        self.entry_points = Some(facts);
        self.is_todays = false;
    }

    /// Where a redirect to this entry point leads; `None` if there is no such entry point, or nothing is known.
    pub(super) fn target(&self, name: &str) -> Option<Target> {
        let known = self.entry_points.as_ref();
        if let Some(facts) = known.and_then(|known| known.get(name)) {
            let (scheme, own) = if facts.has_tls {
                ("https", 443)
            } else {
                ("http", 80)
            };
            return Some(Target {
                scheme,
                port: facts.port.filter(|port| ![0, own].contains(port)),
                is_guess: false,
            });
        }
        if known.is_some() && !self.is_todays {
            return None;
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
