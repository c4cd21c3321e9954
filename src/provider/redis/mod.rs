//! Redis as a store of pairs.
//!
//! ```text
//!  server ──► connection (RESP3) ──► replies ──► list, watch
//!                     └── pushes ──► signals (kv): which keys changed, by scope
//! ```
//!
//! | file | one idea |
//! |---|---|
//! | [`connect`] | to which server, with what, and what an error means |
//! | [`pushes`] | what the server's pushes say about keys |
//! | [`announce`] | how the server is made to tell of changes |
//! | [`watch`] | changed keys become transactions |
//!
//! Redis counts no revisions and shows no state of the past. What is guaranteed nevertheless:
//!
//! - Pushes and replies share one connection, so the order in which the server did things is known. A read that
//!   no push follows shows one state of the server, and every `MULTI`/`EXEC` is in it whole or not at all.
//! - A listing shows such a state: keys that change while it is read are read again until none does.
//! - Under writes without pause, after some rounds, what was read is passed on as it is; the rest follows.
//!
//! The scope's signals begin with its first listing on a connection. A watch that cannot know what it missed begins
//! with [`Event::Unknown`](super::kv::store::Event::Unknown).
//!
//! Not here: Redis Cluster (Traefik: same), and values that are no strings: such keys count as absent.

pub mod announce;
pub mod connect;
pub mod pushes;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError};

use super::kv::address::Address;
use super::kv::signals::{Interest, Signals};
use super::kv::store::{
    Failure, Listing, PAGE, Pair, Revision, Scope, Store, StoreError, in_pages,
};
use crate::config::decode::Text;
use crate::config::dynamic::middleware::ClientTls;
use crate::config::secret::Secret;
use crate::config::statics;

use announce::{Announcer, Way};
use connect::Connector;
use watch::RedisWatch;

/// The provider's name, as objects' names carry it.
pub const NAME: &str = "redis";

/// How long the server may take to accept a connection, or to answer a command.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where and as whom to connect (Traefik: `providers.redis`).
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// `host:port` of the one server, or of all sentinels.
    pub endpoints: Vec<Text>,
    /// The user; empty means the default one.
    pub username: Text,
    /// The user's password; empty means none.
    pub password: Secret<Text>,
    /// The number of the database.
    pub db: u32,
    /// Present: TLS.
    pub tls: Option<Box<ClientTls>>,
    /// Present: the endpoints are sentinels.
    pub sentinel: Option<SentinelSettings>,
    /// How often everything is listed if the server does not tell of changes: [`announce::RELIST_INTERVAL`].
    pub relist_interval: Duration,
    /// After how long a silence the server is asked for a sign of life: [`watch::SILENCE`].
    pub silence: Duration,
}

impl From<&statics::Redis> for RedisSettings {
    fn from(own: &statics::Redis) -> Self {
        Self {
            endpoints: own.endpoints.to_vec(),
            username: own.username.clone(),
            password: own.password.clone(),
            db: own.db,
            tls: own.tls.clone(),
            sentinel: own.sentinel.as_deref().map(SentinelSettings::from),
            relist_interval: announce::RELIST_INTERVAL,
            silence: watch::SILENCE,
        }
    }
}

impl From<&statics::RedisSentinel> for SentinelSettings {
    fn from(own: &statics::RedisSentinel) -> Self {
        // They exclude each other; the static configuration's validation says so.
        let strategy = if own.latency_strategy {
            Strategy::Latency
        } else if own.random_strategy {
            Strategy::Random
        } else if own.replica_strategy {
            Strategy::Replica
        } else {
            Strategy::Master
        };
        Self {
            master_name: own.master_name.clone(),
            username: own.username.clone(),
            password: own.password.clone(),
            strategy,
            use_disconnected_replicas: own.use_disconnected_replicas,
        }
    }
}

/// Which of the servers that the sentinels know.
#[derive(Clone, Debug)]
pub struct SentinelSettings {
    /// The name under which the sentinels watch the master.
    pub master_name: Text,
    /// The sentinels' user.
    pub username: Text,
    /// The sentinels' password.
    pub password: Secret<Text>,
    /// Which server is read.
    pub strategy: Strategy,
    /// Whether replicas that lost their master are read if there are no others.
    pub use_disconnected_replicas: bool,
}

/// Which server is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The master.
    #[default]
    Master,
    /// Whichever answers first, master or replica.
    Latency,
    /// Any, master or replica.
    Random,
    /// Any replica; the master if there is none.
    Replica,
}

/// A Redis server.
pub struct Redis {
    /// Or why the settings cannot work.
    connector: Result<Connector, StoreError>,
    revisions: Arc<Revisions>,
    warned: Arc<AtomicBool>,
    connected: Option<Connected>,
}

/// What ends with a connection.
struct Connected {
    link: Link,
    announcer: Announcer,
}

/// A connection with its pushes; clones share both.
#[derive(Clone)]
pub(crate) struct Link {
    connection: MultiplexedConnection,
    pub(crate) signals: Arc<Signals>,
    /// For messages: `redis at 127.0.0.1:6379`.
    pub(crate) name: Arc<str>,
    pub(crate) address: Address,
}

/// Numbers for states that the server does not number. They begin with the time, so that they also grow over a
/// restart of this process.
#[derive(Debug)]
pub(crate) struct Revisions(AtomicU64);

impl Redis {
    /// A server that is not connected yet. What cannot work in the settings is told when it is to be connected.
    pub fn new(settings: RedisSettings) -> Self {
        Self {
            connector: Connector::new(settings),
            revisions: Arc::new(Revisions::new()),
            warned: Arc::default(),
            connected: None,
        }
    }

    fn connected(&mut self) -> Result<&mut Connected, StoreError> {
        self.connected
            .as_mut()
            .ok_or_else(|| StoreError::new(Failure::Unavailable, "redis: not connected"))
    }
}

impl Store for Redis {
    type Watch = RedisWatch;

    async fn connect(&mut self) -> Result<(), StoreError> {
        // What was connected before ends here, and with it its watches.
        self.connected = None;
        let connector = self.connector.clone()?;
        let link = connector.connect().await?;
        let announcer = Announcer::new(connector.settings().db, self.warned.clone());
        self.connected = Some(Connected { link, announcer });
        Ok(())
    }

    /// The present state in any case: Redis has no other. It carries the number of `at` if there is one.
    async fn list(
        &mut self,
        scope: Scope<'_>,
        at: Option<Revision>,
        page: impl FnMut(Vec<Pair>),
    ) -> Result<Listing, StoreError> {
        let revision = at.unwrap_or_else(|| self.revisions.next());
        let connected = self.connected()?;
        let link = connected.link.clone();
        // Signals first, so that no change falls between them and the listing.
        let interest = link.signals.listed(scope, revision);
        connected.announcer.cover(&link).await?;
        let mut pairs = BTreeMap::new();
        match scope {
            Scope::Key(key) => {
                let keys = BTreeSet::from([key.as_bytes().to_vec()]);
                link.read(&keys, |key, value| keep(&mut pairs, key, value))
                    .await?;
            }
            Scope::Prefix(prefix) => link.scan(prefix, &mut pairs).await?,
        }
        settle(&link, &interest, connected.announcer.way(), |key, value| {
            keep(&mut pairs, key, value);
        })
        .await?;
        let pairs = pairs.into_iter().map(|(key, value)| Pair { key, value });
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
        let revisions = self.revisions.clone();
        let connector = self.connector.clone()?;
        let connected = self.connected()?;
        let link = connected.link.clone();
        let interest = link.signals.watched(scope, after);
        connected.announcer.cover(&link).await?;
        let way = connected.announcer.way();
        Ok(RedisWatch::new(link, interest, way, revisions, connector))
    }
}

fn keep(pairs: &mut BTreeMap<Vec<u8>, Vec<u8>>, key: Vec<u8>, value: Option<Vec<u8>>) {
    match value {
        Some(value) => pairs.insert(key, value),
        None => pairs.remove(&key),
    };
}

/// Reads changed keys until none changes meanwhile.
async fn settle(
    link: &Link,
    interest: &Interest,
    way: Way,
    mut found: impl FnMut(Vec<u8>, Option<Vec<u8>>),
) -> Result<(), StoreError> {
    // The server may tell of a change after it answered a read that shows it, but before it answers the next command.
    let confirm = async || match way {
        Way::Tracking => link.ping().await,
        Way::Notifications | Way::None => Ok(()),
    };
    interest
        .settle(confirm, async |keys| link.read(keys, &mut found).await)
        .await
}

impl Link {
    /// Runs a command.
    pub(crate) async fn ask<T: redis::FromRedisValue>(
        &self,
        command: &Cmd,
    ) -> Result<T, RedisError> {
        command.query_async(&mut self.connection.clone()).await
    }

    /// A command whose failure ends what is being done.
    pub(crate) async fn must<T: redis::FromRedisValue>(
        &self,
        command: &Cmd,
        what: &str,
    ) -> Result<T, StoreError> {
        let answer = self.ask(command).await;
        answer.map_err(|error| connect::failed(&self.name, what, &error))
    }

    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.must(&redis::cmd("PING"), "PING").await
    }

    /// Reads keys, a page at a time.
    async fn read(
        &self,
        keys: &BTreeSet<Vec<u8>>,
        mut found: impl FnMut(Vec<u8>, Option<Vec<u8>>),
    ) -> Result<(), StoreError> {
        let keys: Vec<&Vec<u8>> = keys.iter().collect();
        for page in keys.chunks(PAGE) {
            let mut command = redis::cmd("MGET");
            command.arg(page);
            let values: Vec<Option<Vec<u8>>> = self.must(&command, "MGET").await?;
            for (key, value) in page.iter().zip(values) {
                found(key.to_vec(), value);
            }
        }
        Ok(())
    }

    async fn scan(
        &self,
        prefix: &str,
        pairs: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<(), StoreError> {
        let pattern = pushes::literally(prefix) + "*";
        let mut cursor = String::from("0");
        loop {
            let mut command = redis::cmd("SCAN");
            command
                .arg(&cursor)
                .arg("MATCH")
                .arg(&pattern)
                .arg("COUNT")
                .arg(PAGE);
            let (next, keys): (String, BTreeSet<Vec<u8>>) = self.must(&command, "SCAN").await?;
            if !keys.is_empty() {
                self.read(&keys, |key, value| keep(pairs, key, value))
                    .await?;
            }
            if next == "0" {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Several commands in one go, none of which may fail.
    pub(crate) async fn batch(&self, batch: &Pipeline) -> Result<(), RedisError> {
        batch.exec_async(&mut self.connection.clone()).await
    }
}

impl Revisions {
    fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = since_epoch.map_or(0, |since| since.as_millis());
        Self(AtomicU64::new(u64::try_from(millis).unwrap_or_default()))
    }

    pub(crate) fn next(&self) -> Revision {
        Revision(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
