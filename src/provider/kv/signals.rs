//! Keys that the server said have changed and that were not read yet, by scope.
//!
//! For stores that name what changed, but not to what. Filled by the connection's own task, as the server tells;
//! emptied by listings and watches, which read the keys. Not here: how the server is made to tell.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use super::store::{Revision, Scope, StoreError};

/// Changed keys that may wait per scope; beyond, everything is listed again. A change of 100,000 objects of ten
/// keys each is listed, which is as fast.
const MAX_WAITING: usize = 256 * 1024;

/// Scopes that were listed and not watched (yet).
const MAX_IDLE: usize = 4;

/// Rounds of reading keys that changed while others were read.
const MAX_ROUNDS: usize = 32;

/// All scopes of one connection.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    scopes: Mutex<Scopes>,
}

#[derive(Debug, Default)]
struct Scopes {
    /// Scopes that a watch holds.
    watched: Vec<Weak<Interest>>,
    /// Scopes that were listed: the state of the listing, and what has changed since.
    idle: Vec<(Revision, Arc<Interest>)>,
    is_broken: bool,
}

/// What changed within one scope.
#[derive(Debug)]
pub(crate) struct Interest {
    pub(crate) range: Range,
    waiting: Mutex<Waiting>,
    pub(crate) changed: Notify,
}

/// A scope of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    Prefix(String),
    Key(String),
}

#[derive(Debug, Default)]
struct Waiting {
    keys: BTreeSet<Vec<u8>>,
    /// Something changed that has no name.
    unknown: bool,
    is_broken: bool,
}

impl Range {
    /// What every key in it begins with.
    pub(crate) fn prefix(&self) -> &str {
        match self {
            Self::Prefix(text) | Self::Key(text) => text,
        }
    }

    fn contains(&self, key: &[u8]) -> bool {
        match self {
            Self::Prefix(prefix) => key.starts_with(prefix.as_bytes()),
            Self::Key(own) => key == own.as_bytes(),
        }
    }
}

impl From<Scope<'_>> for Range {
    fn from(scope: Scope<'_>) -> Self {
        match scope {
            Scope::Prefix(prefix) => Self::Prefix(prefix.to_owned()),
            Scope::Key(key) => Self::Key(key.to_owned()),
        }
    }
}

impl Signals {
    /// Collects from now on what changes within a scope that is about to be listed.
    pub(crate) fn listed(&self, scope: Scope<'_>, revision: Revision) -> Arc<Interest> {
        let mut scopes = lock(&self.scopes);
        let interest = Interest::new(scope.into(), scopes.is_broken);
        scopes.idle.retain(|(_, idle)| idle.range != interest.range);
        if scopes.idle.len() >= MAX_IDLE {
            scopes.idle.remove(0);
        }
        scopes.idle.push((revision, interest.clone()));
        interest
    }

    /// What changes within a scope after a state. If nobody has collected since then, something unknown has.
    pub(crate) fn watched(&self, scope: Scope<'_>, after: Revision) -> Arc<Interest> {
        let mut scopes = lock(&self.scopes);
        let range = Range::from(scope);
        let found = scopes
            .idle
            .iter()
            .position(|(revision, idle)| idle.range == range && *revision <= after);
        let interest = match found {
            Some(index) => scopes.idle.remove(index).1,
            None => {
                let interest = Interest::new(range, scopes.is_broken);
                interest.lose_track();
                interest
            }
        };
        scopes.watched.retain(|watched| watched.strong_count() > 0);
        scopes.watched.push(Arc::downgrade(&interest));
        interest
    }

    /// All scopes that somebody has use for.
    pub(crate) fn live(&self) -> Vec<Arc<Interest>> {
        let scopes = lock(&self.scopes);
        let watched = scopes.watched.iter().filter_map(Weak::upgrade);
        let idle = scopes.idle.iter().map(|(_, interest)| interest.clone());
        watched.chain(idle).collect()
    }

    /// A key has changed.
    pub(crate) fn changed(&self, key: &[u8]) {
        for interest in self.live() {
            if interest.range.contains(key) {
                interest.give_back(BTreeSet::from([key.to_vec()]));
            }
        }
    }

    /// The connection is gone, and nothing more will be told.
    pub(crate) fn broken(&self) {
        lock(&self.scopes).is_broken = true;
        self.live().iter().for_each(|interest| {
            lock(&interest.waiting).is_broken = true;
            interest.changed.notify_one();
        });
    }

    /// From here on nobody knows what changed.
    pub(crate) fn lose_track(&self) {
        self.live()
            .iter()
            .for_each(|interest| interest.lose_track());
    }
}

impl Interest {
    fn new(range: Range, is_broken: bool) -> Arc<Self> {
        let waiting = Waiting {
            is_broken,
            ..Waiting::default()
        };
        Arc::new(Self {
            range,
            waiting: Mutex::new(waiting),
            changed: Notify::new(),
        })
    }

    /// Reads changed keys until none changes meanwhile: then everything read shows one state. `confirm` comes before
    /// each look for changes, for servers that may tell of a change after a read that shows it. Under writes without
    /// pause it ends after [`MAX_ROUNDS`] rounds. Cancel-safe: keys that were not read wait again.
    pub(crate) async fn settle(
        &self,
        mut confirm: impl AsyncFnMut() -> Result<(), StoreError>,
        mut read: impl AsyncFnMut(&BTreeSet<Vec<u8>>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for _ in 0..MAX_ROUNDS {
            confirm().await?;
            let mut taken = Taken {
                interest: self,
                keys: self.take(),
            };
            if taken.keys.is_empty() {
                break;
            }
            read(&taken.keys).await?;
            taken.keys.clear();
        }
        Ok(())
    }

    /// The keys to read.
    fn take(&self) -> BTreeSet<Vec<u8>> {
        std::mem::take(&mut lock(&self.waiting).keys)
    }

    /// Keys to read: new ones, or ones that could not be read.
    fn give_back(&self, keys: BTreeSet<Vec<u8>>) {
        let mut waiting = lock(&self.waiting);
        waiting.keys.extend(keys);
        if waiting.keys.len() > MAX_WAITING {
            waiting.keys.clear();
            waiting.unknown = true;
        }
        drop(waiting);
        self.changed.notify_one();
    }

    pub(crate) fn lose_track(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.unknown = true;
        drop(waiting);
        self.changed.notify_one();
    }

    /// Whether something unknown has changed since the last call. Then the keys that wait do not matter any more.
    pub(crate) fn take_unknown(&self) -> bool {
        let mut waiting = lock(&self.waiting);
        if waiting.unknown {
            waiting.keys.clear();
        }
        std::mem::take(&mut waiting.unknown)
    }

    pub(crate) fn has_keys(&self) -> bool {
        !lock(&self.waiting).keys.is_empty()
    }

    pub(crate) fn is_broken(&self) -> bool {
        lock(&self.waiting).is_broken
    }
}

/// Keys that are being read. They wait again if that does not succeed.
struct Taken<'a> {
    interest: &'a Interest,
    keys: BTreeSet<Vec<u8>>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.keys.is_empty() {
            self.interest.give_back(std::mem::take(&mut self.keys));
        }
    }
}

/// Nothing that holds a lock here can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::kv::store::Failure;

    fn taken(interest: &Interest) -> Vec<String> {
        let keys = interest.take().into_iter();
        keys.map(|key| String::from_utf8(key).unwrap()).collect()
    }

    #[test]
    fn a_watch_continues_where_its_listing_began() {
        let signals = Signals::default();
        signals.listed(Scope::Prefix("t/"), Revision(5));
        for key in ["t/a", "t2/b", "t/c"] {
            signals.changed(key.as_bytes());
        }
        let watch = signals.watched(Scope::Prefix("t/"), Revision(5));
        assert!(!watch.take_unknown());
        assert_eq!(taken(&watch), ["t/a", "t/c"]);
        signals.changed(b"t/a");
        assert_eq!(taken(&watch), ["t/a"]);
    }

    #[test]
    fn a_watch_from_before_the_listing_knows_that_it_missed_something() {
        let signals = Signals::default();
        signals.listed(Scope::Prefix("t/"), Revision(5));
        let prefix = signals.watched(Scope::Prefix("t/"), Revision(4));
        assert!(prefix.take_unknown());
        let key = signals.watched(Scope::Key("t/"), Revision(9));
        assert!(key.take_unknown());
    }

    #[test]
    fn too_many_changes_mean_list_again() {
        let signals = Signals::default();
        signals.listed(Scope::Prefix(""), Revision(1));
        let watch = signals.watched(Scope::Prefix(""), Revision(1));
        signals.lose_track();
        assert!(watch.take_unknown() && !watch.take_unknown());
        for n in 0..=MAX_WAITING {
            watch.give_back(BTreeSet::from([n.to_string().into_bytes()]));
        }
        assert!(watch.take_unknown() && !watch.has_keys());
    }

    #[test]
    fn scopes_that_nobody_watches_are_forgotten() {
        let signals = Signals::default();
        for n in 0..10 {
            signals.listed(Scope::Prefix(&format!("{n}/")), Revision(n));
        }
        assert_eq!(signals.live().len(), MAX_IDLE);
        drop(signals.watched(Scope::Prefix("9/"), Revision(9)));
        assert_eq!(signals.live().len(), MAX_IDLE - 1);
    }

    #[tokio::test]
    async fn keys_are_read_until_none_changes_meanwhile_and_wait_again_if_they_were_not() {
        let signals = Signals::default();
        let interest = signals.listed(Scope::Prefix(""), Revision(1));
        signals.changed(b"a");
        let mut rounds = Vec::new();
        let settled = interest.settle(
            async || Ok(()),
            async |keys| {
                rounds.push(keys.len());
                if rounds.len() < 3 {
                    for key in ["b", "c"] {
                        signals.changed(key.as_bytes());
                    }
                }
                Ok(())
            },
        );
        settled.await.unwrap();
        assert_eq!(rounds, [1, 2, 2]);
        signals.changed(b"a");
        let failed = interest.settle(
            async || Ok(()),
            async |_| Err(StoreError::new(Failure::Unavailable, "gone")),
        );
        failed.await.unwrap_err();
        assert_eq!(taken(&interest), ["a"]);
    }
}
