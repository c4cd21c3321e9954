//! What a key-value store must be able to do, so that one session serves all of them.
//!
//! Keys and values are bytes as the store has them; keys are whole (with the root). Not here: what the keys
//! mean (`image`), when to list, watch, wait and try again (`session`).

use std::fmt;

/// A state of the store. For etcd and consul its revision or index; a store that counts nothing gives a
/// number of the client's own that grows with each change seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The whole key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// Pairs of one page of a listing, where the store sets no other bounds.
pub const PAGE: usize = 1000;

/// Gives pairs to `page` in pages of [`PAGE`].
pub fn in_pages(mut pairs: impl Iterator<Item = Pair>, mut page: impl FnMut(Vec<Pair>)) {
    loop {
        let next: Vec<Pair> = pairs.by_ref().take(PAGE).collect();
        if next.is_empty() {
            return;
        }
        page(next);
    }
}

/// What happened to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The whole key.
    pub key: Vec<u8>,
    /// Its value now; `None` if it was deleted.
    pub value: Option<Vec<u8>>,
}

/// Which state of which store a listing shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The state that every page of the listing shows.
    pub revision: Revision,
    /// The store's identity, if it has one (etcd: the cluster's id). With the same identity and a higher
    /// revision, an empty listing is a real deletion.
    pub store_id: Option<u64>,
}

/// What a watch reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// One transaction: all of it or nothing.
    Transaction {
        /// The state after it.
        revision: Revision,
        /// What it changed, within what is watched.
        changes: Vec<Change>,
    },
    /// Nothing has changed up to this state; the watch is alive.
    Progress(Revision),
    /// Something has changed and the store cannot say what: list again.
    Unknown,
}

/// Why the store could not do what it was asked for, as far as it matters for what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It cannot be reached, or broke off: wait, try again, from where the watch stopped.
    Unavailable,
    /// What was to be watched from is gone (etcd: compacted): list again at once.
    Compacted,
    /// The session's permission has run out: connect anew at once, then go on.
    Unauthenticated,
    /// It will not work however often it is tried, until somebody changes something: wait long between tries.
    Refused,
}

/// A failed operation: what was being done, to what, and what the store said.
#[derive(Clone, Debug)]
pub struct StoreError {
    /// What to do about it.
    pub failure: Failure,
    /// For people; without secrets.
    pub text: String,
}

impl StoreError {
    /// An error of this kind.
    pub fn new(failure: Failure, text: impl Into<String>) -> Self {
        Self {
            failure,
            text: text.into(),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for StoreError {}

/// What is listed or watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// Every key that begins so. A root is given with its trailing slash, so that `traefik` does not take in
    /// `traefik2`.
    Prefix(&'a str),
    /// This key alone.
    Key(&'a str),
}

/// Whether what is in scope is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// The store itself is not yet at the state that is asked for.
    Behind,
    /// Nothing in scope is otherwise than it was, up to this state.
    Same(Listing),
    /// Something is; a watch tells or has told what.
    Other,
    /// The store cannot tell.
    Unable,
}

/// A key-value store. A session calls one method at a time, on its own thread's runtime.
pub trait Store {
    /// A running watch. Dropping it ends it.
    type Watch: Watch;

    /// Whether its revisions are the store's own, so that who wrote to it can wait for one.
    const HAS_REVISIONS: bool = false;

    /// Connects, or connects anew; what was connected before is dropped.
    fn connect(&mut self) -> impl Future<Output = Result<(), StoreError>>;

    /// Lists what is in scope, page by page, all pages showing the same state: the one of `at`, or the
    /// present one.
    fn list(
        &mut self,
        scope: Scope<'_>,
        at: Option<Revision>,
        page: impl FnMut(Vec<Pair>),
    ) -> impl Future<Output = Result<Listing, StoreError>>;

    /// Watches what is in scope; the first event is the first change after `after`.
    fn watch(
        &mut self,
        scope: Scope<'_>,
        after: Revision,
    ) -> impl Future<Output = Result<Self::Watch, StoreError>>;

    /// Tells whether what is in scope is still as it was at `since`, when it had `keys` keys (a prefix itself is no key
    /// below it), in a state not before `wanted`. A key that was written and is as before may count as either.
    fn confirm(
        &mut self,
        scope: Scope<'_>,
        since: Revision,
        keys: usize,
        wanted: Revision,
    ) -> impl Future<Output = Result<Confirmed, StoreError>> {
        let _ = (scope, since, keys, wanted);
        async { Ok(Confirmed::Unable) }
    }
}

/// The events of a watch, in order.
pub trait Watch {
    /// The next event. Cancel-safe: a dropped future loses no event. A watch that hears nothing for too long
    /// (its store's own limit) asks for a sign of life and fails with [`Failure::Unavailable`] if none comes.
    fn next(&mut self) -> impl Future<Output = Result<Event, StoreError>>;
}
