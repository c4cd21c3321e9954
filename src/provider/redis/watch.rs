//! Changed keys become transactions.
//!
//! What the server told of is read until nothing more changes meanwhile, and is one transaction then: a
//! `MULTI`/`EXEC` is in it whole, several that came close together may be one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::announce::{self, Way};
use super::connect::Connector;
use super::{Link, Revisions, settle};
use crate::provider::kv::signals::Interest;
use crate::provider::kv::store::{Change, Event, Failure, StoreError, Watch};

/// After how long a silence the server is asked for a sign of life.
pub const SILENCE: Duration = Duration::from_secs(5);

/// A running watch.
pub struct RedisWatch {
    link: Link,
    interest: Arc<Interest>,
    way: Way,
    revisions: Arc<Revisions>,
    connector: Connector,
    /// What was read of the next transaction.
    read: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// When to list because nobody tells of changes.
    list_at: Option<Instant>,
    /// Whether the database was empty at the last sign of life.
    was_empty: bool,
}

impl RedisWatch {
    pub(super) fn new(
        link: Link,
        interest: Arc<Interest>,
        way: Way,
        revisions: Arc<Revisions>,
        connector: Connector,
    ) -> Self {
        let relist = connector.settings().relist_interval;
        Self {
            link,
            interest,
            way,
            revisions,
            connector,
            read: BTreeMap::new(),
            list_at: (way == Way::None).then(|| Instant::now() + relist),
            was_empty: false,
        }
    }

    fn unknown(&mut self) -> Event {
        self.read.clear();
        Event::Unknown
    }

    /// Asks whether the connection is alive, and still to the right server. True: something may have changed
    /// that nobody told of.
    async fn sign_of_life(&mut self) -> Result<bool, StoreError> {
        self.link.ping().await?;
        if self.connector.has_moved(&self.link.address).await {
            let text = format!("{}: the sentinels name another master", self.link.name);
            return Err(StoreError::new(Failure::Unavailable, text));
        }
        if self.way != Way::Notifications {
            return Ok(false);
        }
        // Nobody is notified when a whole database is emptied.
        let keys: u64 = self.link.must(&redis::cmd("DBSIZE"), "DBSIZE").await?;
        let is_emptied = keys == 0 && !std::mem::replace(&mut self.was_empty, keys == 0);
        Ok(announce::restore(&self.link).await? || is_emptied)
    }
}

impl Watch for RedisWatch {
    async fn next(&mut self) -> Result<Event, StoreError> {
        loop {
            if self.interest.take_unknown() {
                return Ok(self.unknown());
            }
            if self.interest.has_keys() || !self.read.is_empty() {
                let read = &mut self.read;
                let found = |key, value| drop(read.insert(key, value));
                settle(&self.link, &self.interest, self.way, found).await?;
                if self.interest.take_unknown() {
                    return Ok(self.unknown());
                }
                let read = std::mem::take(&mut self.read).into_iter();
                let changes: Vec<Change> = read.map(|(key, value)| Change { key, value }).collect();
                if !changes.is_empty() {
                    let revision = self.revisions.next();
                    return Ok(Event::Transaction { revision, changes });
                }
            }
            if self.interest.is_broken() {
                let text = format!("{}: the connection broke off", self.link.name);
                return Err(StoreError::new(Failure::Unavailable, text));
            }
            let silent_at = Instant::now() + self.connector.settings().silence;
            let until = self.list_at.map_or(silent_at, |at| at.min(silent_at));
            if tokio::time::timeout_at(until, self.interest.changed.notified())
                .await
                .is_ok()
            {
                continue;
            }
            let now = Instant::now();
            if let Some(at) = self.list_at.filter(|at| *at <= now) {
                self.list_at = Some(at.max(now) + self.connector.settings().relist_interval);
                return Ok(self.unknown());
            }
            if self.sign_of_life().await? {
                return Ok(self.unknown());
            }
        }
    }
}
