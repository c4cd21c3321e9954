//! A store in memory for tests: it keeps its history, tells states apart, and fails when told to.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use tokio::sync::Notify;

use super::store::{
    Change, Confirmed, Event, Failure, Listing, Pair, Revision, Scope, Store, StoreError, Watch,
};

/// How many states a watch goes back that repeats what was seen.
const REPEATED: u64 = 3;

/// Pairs per page, few so that tests have pages.
const PAGE: usize = 2;

/// What a session asked of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To connect.
    Connect,
    /// To list what begins so.
    List(String),
    /// To watch this prefix or key after this state.
    Watch(String, u64),
    /// Whether this prefix or key is as it was.
    Confirm(String),
}

/// The store behind every [`FakeStore`] that was made of it.
#[derive(Clone, Default)]
pub struct Fake {
    world: Rc<RefCell<World>>,
    changed: Rc<Notify>,
}

struct World {
    id: Option<u64>,
    /// Every transaction; its revision is its index plus `base` plus one.
    history: Vec<Vec<Change>>,
    base: u64,
    compacted: u64,
    is_up: bool,
    /// Connections and watches of earlier numbers are broken.
    connection: u64,
    failures: VecDeque<Failure>,
    /// Failures of beginning a watch alone.
    watch_failures: VecDeque<Failure>,
    /// Whether listings wait.
    is_held: bool,
    /// Whether a new watch begins with what was seen already.
    repeats: bool,
    /// Whether watches of one key say nothing for now.
    keys_lag: bool,
    /// Whether watches only ever say that something has changed.
    is_vague: bool,
    /// Whether watches do not tell how far the store is.
    is_silent: bool,
    /// Whether questions for differences find one that there is not.
    is_wrong: bool,
    asked: Vec<Asked>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            id: Some(1),
            history: Vec::new(),
            base: 0,
            compacted: 0,
            is_up: true,
            connection: 0,
            failures: VecDeque::new(),
            watch_failures: VecDeque::new(),
            is_held: false,
            repeats: false,
            keys_lag: false,
            is_vague: false,
            is_silent: false,
            is_wrong: false,
            asked: Vec::new(),
        }
    }
}

impl World {
    fn revision(&self) -> u64 {
        self.base + self.history.len() as u64
    }

    fn state_at(&self, revision: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut state = BTreeMap::new();
        let known = usize::try_from(revision.saturating_sub(self.base)).unwrap();
        for change in self.history[..known].iter().flatten() {
            match &change.value {
                Some(value) => state.insert(change.key.clone(), value.clone()),
                None => state.remove(&change.key),
            };
        }
        state
    }

    /// What stands in the way of an operation of this connection.
    fn check(&mut self, connection: Option<u64>) -> Result<(), StoreError> {
        if let Some(failure) = self.failures.pop_front() {
            return Err(StoreError::new(
                failure,
                format!("the test says {failure:?}"),
            ));
        }
        if !self.is_up || connection != Some(self.connection) {
            return Err(StoreError::new(Failure::Unavailable, "the store is gone"));
        }
        Ok(())
    }

    fn compacted(&self) -> StoreError {
        let text = format!("compacted up to {}", self.compacted);
        StoreError::new(Failure::Compacted, text)
    }
}

impl Fake {
    /// A client of the store.
    pub fn store(&self) -> FakeStore {
        FakeStore {
            fake: self.clone(),
            connection: None,
        }
    }

    /// Commits one transaction and returns its revision.
    pub fn commit(&self, changes: &[(&str, Option<&str>)]) -> u64 {
        let changes = changes.iter().map(|(key, value)| Change {
            key: key.as_bytes().to_vec(),
            value: value.map(|value| value.as_bytes().to_vec()),
        });
        self.change(|world| {
            world.history.push(changes.collect());
            world.revision()
        })
    }

    /// Writes one key.
    pub fn put(&self, key: &str, value: &str) -> u64 {
        self.commit(&[(key, Some(value))])
    }

    /// Deletes one key.
    pub fn delete(&self, key: &str) -> u64 {
        self.commit(&[(key, None)])
    }

    /// Takes the store down or up; connections break.
    pub fn set_up(&self, is_up: bool) {
        self.change(|world| {
            world.is_up = is_up;
            world.connection += 1;
        });
    }

    /// Breaks connections.
    pub fn disconnect(&self) {
        self.change(|world| world.connection += 1);
    }

    /// Forgets history: watches from before and listings of before fail.
    pub fn compact(&self) {
        self.change(|world| world.compacted = world.revision());
    }

    /// Makes the next operations fail so, one each.
    pub fn fail(&self, failures: impl IntoIterator<Item = Failure>) {
        self.change(|world| world.failures.extend(failures));
    }

    /// Makes the next beginnings of watches fail so, one each.
    pub fn fail_watches(&self, failures: impl IntoIterator<Item = Failure>) {
        self.change(|world| world.watch_failures.extend(failures));
    }

    /// Another store takes its place: this identity, this revision, nothing in it.
    pub fn replace(&self, id: Option<u64>, revision: u64) {
        self.change(|world| {
            *world = World {
                id,
                base: revision,
                compacted: revision,
                connection: world.connection + 1,
                is_up: world.is_up,
                ..World::default()
            }
        });
    }

    /// Gives the store this identity.
    pub fn set_id(&self, id: Option<u64>) {
        self.change(|world| world.id = id);
    }

    /// Lets listings wait before their last page, or go on.
    pub fn hold_listings(&self, is_held: bool) {
        self.change(|world| world.is_held = is_held);
    }

    /// Lets watches of one key fall behind those of trees, or catch up.
    pub fn let_keys_lag(&self, they_lag: bool) {
        self.change(|world| world.keys_lag = they_lag);
    }

    /// Lets new watches begin with some events that were seen before.
    pub fn repeat_events(&self) {
        self.change(|world| world.repeats = true);
    }

    /// Lets watches only say that something has changed.
    pub fn set_vague(&self) {
        self.change(|world| world.is_vague = true);
    }

    /// Lets watches not tell how far the store is, as etcd's do for ten minutes.
    pub fn set_silent(&self) {
        self.change(|world| world.is_silent = true);
    }

    /// Lets questions for differences find one that there is not.
    pub fn set_wrong(&self) {
        self.change(|world| world.is_wrong = true);
    }

    /// What was asked since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.world.borrow_mut().asked)
    }

    /// The state at a revision.
    pub fn state_at(&self, revision: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.world.borrow().state_at(revision)
    }

    /// The present revision.
    pub fn revision(&self) -> u64 {
        self.world.borrow().revision()
    }

    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.world.borrow_mut());
        self.changed.notify_waiters();
        result
    }

    /// Waits until `ready` gives something.
    async fn until<T>(&self, mut ready: impl FnMut(&mut World) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            if let Some(result) = ready(&mut self.world.borrow_mut()) {
                return result;
            }
            changed.await;
        }
    }
}

/// One client.
pub struct FakeStore {
    fake: Fake,
    connection: Option<u64>,
}

/// One watch.
pub struct FakeWatch {
    fake: Fake,
    connection: Option<u64>,
    scope: String,
    is_prefix: bool,
    seen: u64,
}

fn parts(scope: Scope<'_>) -> (String, bool) {
    match scope {
        Scope::Prefix(prefix) => (prefix.to_owned(), true),
        Scope::Key(key) => (key.to_owned(), false),
    }
}

fn is_in(scope: &str, is_prefix: bool, key: &[u8]) -> bool {
    if is_prefix {
        key.starts_with(scope.as_bytes())
    } else {
        key == scope.as_bytes()
    }
}

impl Store for FakeStore {
    type Watch = FakeWatch;

    const HAS_REVISIONS: bool = true;

    async fn confirm(
        &mut self,
        scope: Scope<'_>,
        since: Revision,
        keys: usize,
        wanted: Revision,
    ) -> Result<Confirmed, StoreError> {
        tokio::task::yield_now().await;
        let (name, is_prefix) = parts(scope);
        let mut world = self.fake.world.borrow_mut();
        world.asked.push(Asked::Confirm(name.clone()));
        world.check(self.connection)?;
        let revision = Revision(world.revision());
        if revision < wanted {
            return Ok(Confirmed::Behind);
        }
        let part = |revision: u64| {
            let mut state = world.state_at(revision);
            let is_itself = |key: &[u8]| is_prefix && key == name.as_bytes();
            state.retain(|key, _| is_in(&name, is_prefix, key) && !is_itself(key));
            state
        };
        let (before, now) = (part(since.0), part(revision.0));
        assert_eq!(keys, before.len(), "the session counts its keys");
        Ok(if before == now && !world.is_wrong {
            Confirmed::Same(Listing {
                revision,
                store_id: world.id,
            })
        } else {
            Confirmed::Other
        })
    }

    async fn connect(&mut self) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        let mut world = self.fake.world.borrow_mut();
        world.asked.push(Asked::Connect);
        let connection = Some(world.connection);
        world.check(connection)?;
        self.connection = connection;
        Ok(())
    }

    async fn list(
        &mut self,
        scope: Scope<'_>,
        at: Option<Revision>,
        mut page: impl FnMut(Vec<Pair>),
    ) -> Result<Listing, StoreError> {
        let (name, is_prefix) = parts(scope);
        let connection = self.connection;
        let (revision, store_id, pairs) = {
            let mut world = self.fake.world.borrow_mut();
            if is_prefix {
                world.asked.push(Asked::List(name.clone()));
            }
            world.check(connection)?;
            let revision = at.map_or(world.revision(), |at| at.0);
            if revision < world.compacted || revision > world.revision() {
                return Err(world.compacted());
            }
            let state = world.state_at(revision).into_iter();
            let pairs: Vec<Pair> = state
                .filter(|(key, _)| is_in(&name, is_prefix, key))
                .map(|(key, value)| Pair { key, value })
                .collect();
            (revision, world.id, pairs)
        };
        for pairs in pairs.chunks(PAGE) {
            tokio::task::yield_now().await;
            self.fake.world.borrow_mut().check(connection)?;
            page(pairs.to_vec());
        }
        let released = |world: &mut World| {
            let is_broken = !world.is_up || connection != Some(world.connection);
            (!world.is_held || !is_prefix || is_broken).then(|| world.check(connection))
        };
        self.fake.until(released).await?;
        Ok(Listing {
            revision: Revision(revision),
            store_id,
        })
    }

    async fn watch(&mut self, scope: Scope<'_>, after: Revision) -> Result<FakeWatch, StoreError> {
        tokio::task::yield_now().await;
        let (scope, is_prefix) = parts(scope);
        let mut world = self.fake.world.borrow_mut();
        world.asked.push(Asked::Watch(scope.clone(), after.0));
        if let Some(failure) = world.watch_failures.pop_front() {
            return Err(StoreError::new(failure, "the test breaks this watch"));
        }
        world.check(self.connection)?;
        if after.0 < world.compacted {
            return Err(world.compacted());
        }
        let remembered = after.0.saturating_sub(world.base.max(world.compacted));
        let again = if world.repeats {
            remembered.min(REPEATED)
        } else {
            0
        };
        Ok(FakeWatch {
            fake: self.fake.clone(),
            connection: self.connection,
            scope,
            is_prefix,
            seen: after.0 - again,
        })
    }
}

impl Watch for FakeWatch {
    async fn next(&mut self) -> Result<Event, StoreError> {
        let Self {
            fake,
            connection,
            scope,
            is_prefix,
            seen,
        } = self;
        let next = |world: &mut World| {
            if let Err(error) = world.check(*connection) {
                return Some(Err(error));
            }
            if world.keys_lag && !*is_prefix {
                return None;
            }
            let first = *seen;
            while *seen < world.revision() {
                *seen += 1;
                let changes = &world.history[usize::try_from(*seen - world.base - 1).unwrap()];
                let changes = changes.iter();
                let changes: Vec<Change> = changes
                    .filter(|change| is_in(scope, *is_prefix, &change.key))
                    .cloned()
                    .collect();
                if !changes.is_empty() {
                    return Some(Ok(if world.is_vague {
                        Event::Unknown
                    } else {
                        let revision = Revision(*seen);
                        Event::Transaction { revision, changes }
                    }));
                }
            }
            (*seen > first && !world.is_silent).then_some(Ok(Event::Progress(Revision(*seen))))
        };
        fake.until(next).await
    }
}
