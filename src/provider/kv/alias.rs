//! The values of one key, for who acts upon each write of it, such as a source that fetches anew when an alias flips.
//!
//! ```no_run
//! # async fn example(store: impl ringway::provider::kv::store::Store) {
//! use ringway::provider::kv::alias::{AliasEvent, values};
//!
//! let mut values = values(store, "clusters/a/alias");
//! loop {
//!     match values.next().await {
//!         AliasEvent::Written { revision, value } => println!("{revision:?}: {value:?}"),
//!         AliasEvent::Lost(reason) => println!("no news for now: {reason}"),
//!         AliasEvent::Found => println!("the store answers again"),
//!     }
//! }
//! # }
//! ```
//!
//! Not here: trees that an alias names (`flip`), what a value means.

use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;
use super::store::{Event, Failure, Listing, Revision, Scope, Store, StoreError, Watch};

/// What happened to the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AliasEvent {
    /// Its first state, or a write: the same value counts. After an interruption that the store cannot account for
    /// the present state is given again.
    Written {
        /// The store's state after the write.
        revision: Revision,
        /// The value without surrounding spaces; `None` if the key does not exist.
        value: Option<String>,
    },
    /// The store cannot be used, and is tried again; said once. The last value stands.
    Lost(String),
    /// The store answers again, and the last value still stands.
    Found,
}

/// The values of a key of this store.
pub fn values<S: Store>(store: S, key: &str) -> AliasValues<S> {
    AliasValues {
        store,
        key: key.to_owned(),
        backoff: Backoff::default(),
        retry_at: None,
        is_connected: false,
        must_read: true,
        seen: None,
        watch: None,
        is_lost: false,
    }
}

/// The values of a key, from now on.
pub struct AliasValues<S: Store> {
    store: S,
    key: String,
    backoff: Backoff,
    retry_at: Option<Instant>,
    is_connected: bool,
    /// Whether the watch cannot go on from where it stopped.
    must_read: bool,
    /// The state up to which writes were given, and of which store.
    seen: Option<Listing>,
    watch: Option<S::Watch>,
    is_lost: bool,
}

impl<S: Store> AliasValues<S> {
    /// The next event. Cancel-safe: a dropped future loses no event.
    pub async fn next(&mut self) -> AliasEvent {
        loop {
            if let Some(at) = self.retry_at {
                sleep_until(at).await;
                self.retry_at = None;
            }
            match self.step().await {
                Ok(Some(event)) => return event,
                Ok(None) => {}
                Err(error) => {
                    if let Some(event) = self.failed(error) {
                        return event;
                    }
                }
            }
        }
    }

    async fn step(&mut self) -> Result<Option<AliasEvent>, StoreError> {
        if !self.is_connected {
            self.store.connect().await?;
            self.is_connected = true;
            self.watch = None;
        }
        let Some(watch) = &mut self.watch else {
            return self.begin().await;
        };
        let seen = self.seen.as_mut();
        match watch.next().await? {
            Event::Transaction { revision, changes } => {
                let Some(seen) = seen.filter(|seen| seen.revision < revision) else {
                    return Ok(None);
                };
                seen.revision = revision;
                let change = changes.into_iter().next_back();
                Ok(change.map(|change| AliasEvent::Written {
                    revision,
                    value: change.value.map(text),
                }))
            }
            Event::Progress(revision) => {
                if let Some(seen) = seen {
                    seen.revision = seen.revision.max(revision);
                }
                Ok(None)
            }
            Event::Unknown => {
                self.watch = None;
                self.must_read = true;
                Ok(None)
            }
        }
    }

    /// Begins to watch, after the first state, or from where the last watch stopped.
    async fn begin(&mut self) -> Result<Option<AliasEvent>, StoreError> {
        let (value, now) = read(&mut self.store, &self.key, None).await?;
        let goes_on = self.seen.as_ref().filter(|seen| {
            !self.must_read && seen.store_id == now.store_id && seen.revision <= now.revision
        });
        let after = goes_on.unwrap_or(&now).revision;
        let is_new = goes_on.is_none();
        self.watch = Some(self.store.watch(Scope::Key(&self.key), after).await?);
        let was_lost = std::mem::take(&mut self.is_lost);
        if is_new {
            let revision = now.revision;
            self.must_read = false;
            self.seen = Some(now);
            return Ok(Some(AliasEvent::Written { revision, value }));
        }
        Ok(was_lost.then_some(AliasEvent::Found))
    }

    fn failed(&mut self, error: StoreError) -> Option<AliasEvent> {
        self.watch = None;
        if error.failure == Failure::Compacted {
            self.must_read = true;
        } else {
            self.is_connected = false;
        }
        let wait = self.backoff.after(error.failure);
        if wait.is_zero() {
            return None;
        }
        self.retry_at = Some(Instant::now() + wait);
        let is_first = !std::mem::replace(&mut self.is_lost, true);
        is_first.then_some(AliasEvent::Lost(error.text))
    }
}

/// The value of a key in one state, the present one if none is given.
pub(super) async fn read(
    store: &mut impl Store,
    key: &str,
    at: Option<Revision>,
) -> Result<(Option<String>, Listing), StoreError> {
    let mut value = None;
    let page = |pairs: Vec<super::store::Pair>| {
        let found = pairs.into_iter().find(|pair| pair.key == key.as_bytes());
        value = found.map(|pair| pair.value).or(value.take());
    };
    let listing = store.list(Scope::Key(key), at, page).await?;
    Ok((value.map(text), listing))
}

/// A value as text. What is no text names nothing, and is shown in messages as well as it can be.
pub(super) fn text(value: Vec<u8>) -> String {
    String::from_utf8_lossy(&value).trim().to_owned()
}
