//! ZooKeeper as a store of pairs.
//!
//! ```text
//!  list:  sync ─► watch the root, recursively ─► read level by level ─► read again what changed meanwhile
//!  watch: changed nodes ─► read, until none changes meanwhile ─► one transaction
//! ```
//!
//! | file | one idea |
//! |---|---|
//! | [`wire`] | requests and answers as bytes |
//! | [`connection`] | one connection, which is one session |
//!
//! The node `/traefik/http/routers/r/rule` is the key `traefik/http/routers/r/rule`; `/` before a root changes nothing.
//! A node without a value that has children is a folder and no key. (Traefik's library lists it as an empty key, which
//! Traefik gives no meaning beside its children.)
//!
//! A revision is a zxid, the number of the ensemble's last transaction, which every answer carries. Answers and notices
//! come in the order of transactions, so that a read that no notice follows shows one state, with each `multi` whole.
//! ZooKeeper shows no past state and has no identity: what was missed while the connection was gone is listed again.
//!
//! The library for Rust (`zookeeper-client`) hides the zxid, restores watches by itself, which loses events, and brings
//! fifty packages with a second I/O reactor; what a reader needs of the protocol is small. Not here: TLS and SASL, which
//! Traefik does not have either.

pub(crate) mod connection;
pub(crate) mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::kv::address::Address;
use super::kv::signals::Interest;
use super::kv::store::{
    Change, Event, Failure, Listing, Pair, Revision, Scope, Store, StoreError, Watch, in_pages,
};
use crate::config::decode::Text;
use crate::config::secret::Secret;
use crate::config::statics;

use connection::{Link, Node};

/// The provider's name, as objects' names carry it.
pub const NAME: &str = "zookeeper";

/// The port where an endpoint names none.
const PORT: u16 = 2181;

/// How long the server may take to accept a connection and to begin a session.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long a session lasts without a message, as it is asked for; the server may say otherwise. A connection that is
/// silent for two thirds of it is dead.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(9);

/// Nodes below one root, folders too; beyond, the root is refused.
const MAX_NODES: usize = 20_000_000;

/// Bytes of paths and values below one root.
const MAX_BYTES: usize = 2 << 30;

/// Where and as whom to connect (Traefik: `providers.zooKeeper`).
#[derive(Clone, Debug)]
pub struct ZooKeeperSettings {
    /// `host:port` or `host`; the next one is tried when one fails.
    pub endpoints: Vec<Text>,
    /// The user (scheme `digest`); empty means nobody.
    pub username: Text,
    /// The user's password.
    pub password: Secret<Text>,
    /// [`SESSION_TIMEOUT`].
    pub session_timeout: Duration,
}

impl From<&statics::ZooKeeper> for ZooKeeperSettings {
    fn from(own: &statics::ZooKeeper) -> Self {
        Self {
            endpoints: own.endpoints.to_vec(),
            username: own.username.clone(),
            password: own.password.clone(),
            session_timeout: SESSION_TIMEOUT,
        }
    }
}

/// A ZooKeeper ensemble.
pub struct ZooKeeper {
    settings: ZooKeeperSettings,
    /// Which of the endpoints is tried next.
    next: usize,
    link: Option<Link>,
}

/// A running watch.
pub struct ZooKeeperWatch {
    link: Link,
    place: Place,
    interest: Arc<Interest>,
    /// What was read of the next transaction.
    read: BTreeMap<String, Option<Node>>,
    /// The state that was told last.
    told: Revision,
}

/// A scope in nodes.
#[derive(Clone, Debug)]
struct Place {
    /// The node of the scope.
    node: String,
    /// What keys have in the place of the node's path, and the slash after it.
    spelling: String,
    is_prefix: bool,
}

impl From<Scope<'_>> for Place {
    fn from(scope: Scope<'_>) -> Self {
        let (spelling, is_prefix) = match scope {
            Scope::Prefix(prefix) => (prefix, true),
            Scope::Key(key) => (key, false),
        };
        Self {
            node: format!("/{}", spelling.trim_matches('/')),
            spelling: spelling.to_owned(),
            is_prefix,
        }
    }
}

impl Place {
    /// What begins the paths of the nodes below.
    fn prefix(&self) -> String {
        match &*self.node {
            "/" => self.node.clone(),
            node => format!("{node}/"),
        }
    }

    /// Gives the scope in the one spelling that paths have.
    fn with_scope<T>(&self, take: impl FnOnce(Scope<'_>) -> T) -> T {
        if self.is_prefix {
            take(Scope::Prefix(&self.prefix()))
        } else {
            take(Scope::Key(&self.node))
        }
    }

    /// A node's key, as the scope spells it.
    fn key(&self, path: &str) -> Vec<u8> {
        let mut key = self.spelling.clone();
        if self.is_prefix {
            key += path.strip_prefix(&*self.prefix()).unwrap_or_default();
        }
        key.into_bytes()
    }
}

/// A node's value, if it counts as a key.
fn value(node: Node) -> Option<Vec<u8>> {
    let is_folder = node.value.is_empty() && node.has_children;
    (!is_folder).then_some(node.value)
}

impl ZooKeeper {
    /// An ensemble that is not connected yet.
    pub fn new(settings: ZooKeeperSettings) -> Self {
        Self {
            settings,
            next: 0,
            link: None,
        }
    }

    fn link(&self) -> Result<Link, StoreError> {
        self.link
            .clone()
            .ok_or_else(|| StoreError::new(Failure::Unavailable, "zookeeper: not connected"))
    }
}

impl Store for ZooKeeper {
    type Watch = ZooKeeperWatch;

    async fn connect(&mut self) -> Result<(), StoreError> {
        self.link = None;
        let refused =
            |what: String| StoreError::new(Failure::Refused, format!("providers.zooKeeper.{what}"));
        let count = self.settings.endpoints.len();
        let Some(endpoint) = self.settings.endpoints.get(self.next % count.max(1)) else {
            return Err(refused("endpoints: there is none".to_owned()));
        };
        // If this one does not work out, the session connects again: then it is the next one's turn.
        self.next = (self.next + 1) % count;
        let address = Address::parse(endpoint, Some(PORT))
            .ok_or_else(|| refused(format!("endpoints: {endpoint:?} is not host:port")))?;
        self.link = Some(Link::open(&address, &self.settings).await?);
        Ok(())
    }

    /// The present state in any case: ZooKeeper has no other. It is at least as new as `at`, because the server asks the
    /// leader.
    async fn list(
        &mut self,
        scope: Scope<'_>,
        _at: Option<Revision>,
        page: impl FnMut(Vec<Pair>),
    ) -> Result<Listing, StoreError> {
        let link = self.link()?;
        let place = Place::from(scope);
        link.sync().await?;
        // Signals first, so that no change falls between them and the listing.
        let since = link.newest();
        let interest = place.with_scope(|scope| link.signals.listed(scope, since));
        link.cover().await?;
        let mut nodes = BTreeMap::new();
        if place.is_prefix {
            read_below(&link, &place, &mut nodes).await?;
        } else {
            let found = |path: &str, node| keep(&mut nodes, path, node);
            link.read(&[&place.node], found).await?;
        }
        settle(&link, &interest, |path, node| keep(&mut nodes, path, node)).await?;
        let revision = link.newest();
        let pairs = nodes.into_iter().filter_map(|(path, node)| {
            Some(Pair {
                key: place.key(&path),
                value: value(node)?,
            })
        });
        in_pages(pairs, page);
        Ok(Listing {
            revision,
            store_id: None,
        })
    }

    async fn watch(
        &mut self,
        scope: Scope<'_>,
        after: Revision,
    ) -> Result<Self::Watch, StoreError> {
        let link = self.link()?;
        let place = Place::from(scope);
        let interest = place.with_scope(|scope| link.signals.watched(scope, after));
        link.cover().await?;
        Ok(ZooKeeperWatch {
            link,
            place,
            interest,
            read: BTreeMap::new(),
            told: after,
        })
    }
}

fn keep(nodes: &mut BTreeMap<String, Node>, path: &str, node: Option<Node>) {
    match node {
        Some(node) => nodes.insert(path.to_owned(), node),
        None => nodes.remove(path),
    };
}

/// Reads everything below a node, level by level.
async fn read_below(
    link: &Link,
    place: &Place,
    nodes: &mut BTreeMap<String, Node>,
) -> Result<(), StoreError> {
    let mut parents = vec![place.node.clone()];
    let mut bytes = 0;
    while !parents.is_empty() {
        let mut level: Vec<String> = Vec::new();
        let paths: Vec<&str> = parents.iter().map(|path| &**path).collect();
        link.children(&paths, |parent, names| {
            let parent = parent.trim_end_matches('/');
            level.extend(names.iter().map(|name| format!("{parent}/{name}")));
        })
        .await?;
        parents = Vec::new();
        let paths: Vec<&str> = level.iter().map(|path| &**path).collect();
        link.read(&paths, |path, node| {
            if let Some(node) = &node {
                bytes += path.len() + node.value.len();
                if node.has_children {
                    parents.push(path.to_owned());
                }
            }
            keep(nodes, path, node);
        })
        .await?;
        if nodes.len() > MAX_NODES || bytes > MAX_BYTES {
            let text = format!(
                "zookeeper: below {} are more than {MAX_NODES} nodes or {MAX_BYTES} bytes: check providers.zooKeeper.rootKey",
                place.node
            );
            return Err(StoreError::new(Failure::Refused, text));
        }
    }
    Ok(())
}

/// Reads changed nodes until none changes meanwhile: then everything read shows one state.
async fn settle(
    link: &Link,
    interest: &Interest,
    mut found: impl FnMut(&str, Option<Node>),
) -> Result<(), StoreError> {
    // A notice comes before any answer that shows the change.
    let confirm = async || Ok(());
    let read = async |keys: &BTreeSet<Vec<u8>>| {
        let paths = keys.iter().filter_map(|key| str::from_utf8(key).ok());
        let paths: Vec<&str> = paths.collect();
        link.read(&paths, &mut found).await
    };
    interest.settle(confirm, read).await
}

impl Watch for ZooKeeperWatch {
    async fn next(&mut self) -> Result<Event, StoreError> {
        loop {
            if self.interest.take_unknown() {
                self.read.clear();
                return Ok(Event::Unknown);
            }
            if self.interest.has_keys() || !self.read.is_empty() {
                let read = &mut self.read;
                let found = |path: &str, node| drop(read.insert(path.to_owned(), node));
                settle(&self.link, &self.interest, found).await?;
                if self.interest.take_unknown() {
                    self.read.clear();
                    return Ok(Event::Unknown);
                }
                self.told = self.link.newest();
                let read = std::mem::take(&mut self.read).into_iter();
                let changes = read.map(|(path, node)| Change {
                    key: self.place.key(&path),
                    value: node.and_then(value),
                });
                return Ok(Event::Transaction {
                    revision: self.told,
                    changes: changes.collect(),
                });
            }
            if self.interest.is_broken() {
                return Err(self.link.broken());
            }
            // Signs of life, to which the connection sees, carry the newest state as well.
            let newest = self.link.newest();
            if newest > self.told {
                self.told = newest;
                return Ok(Event::Progress(newest));
            }
            let changed = self.interest.changed.notified();
            // In vain is as good as a change: the loop looks what there is.
            let _ = tokio::time::timeout(self.link.ping_every, changed).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spelled_as_the_scope_is() {
        for (prefix, node, path, key) in [
            ("traefik/", "/traefik", "/traefik/http/a", "traefik/http/a"),
            ("/traefik/", "/traefik", "/traefik/a", "/traefik/a"),
            ("a/b/", "/a/b", "/a/b/c", "a/b/c"),
            ("", "/", "/http", "http"),
            ("/", "/", "/http", "/http"),
        ] {
            let place = Place::from(Scope::Prefix(prefix));
            assert_eq!(place.node, node, "{prefix:?}");
            assert_eq!(place.key(path), key.as_bytes(), "{prefix:?}");
        }
        for key in ["traefik/alias", "/traefik/alias"] {
            let place = Place::from(Scope::Key(key));
            assert_eq!(place.node, "/traefik/alias");
            assert_eq!(place.key("/traefik/alias"), key.as_bytes());
        }
    }
}
