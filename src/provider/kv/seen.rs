//! How far a provider has seen its store, and who waits for it to see more.
//!
//! ```text
//!  API thread ── reach(R) ──► wanted ──► the provider's thread: look ──┐
//!      ▲                                                               │
//!      └────────────────── Sight { revision, number, problems } ◄──────┘
//! ```
//!
//! Both sides hold the same [`Seen`]. Not here: how the store is asked (`look`).

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::store::Revision;
use crate::config::decode::ObjectError;

/// Most keys that are named of those that are wrong; [`Problems::total`] counts all.
pub const MAX_PROBLEMS: usize = 100;

/// How many new keys that are wrong one message names.
const MAX_TOLD: usize = 5;

/// Shared by a provider and those who ask how far it is.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    sight: watch::Sender<Sight>,
    /// The states that somebody waits for, and how many do.
    wanted: watch::Sender<BTreeMap<Revision, usize>>,
}

/// What a provider has seen of its store.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// Everything up to this state of the store is in the provider's updates.
    pub revision: Revision,
    /// The number of the last of these updates.
    pub number: u64,
    /// What is wrong with keys that belong to no object.
    pub problems: Arc<Problems>,
}

/// Keys that belong to no object, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// The first of them.
    pub first: Vec<Problem>,
    /// How many there are.
    pub total: usize,
}

/// A key that does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The whole key.
    pub key: String,
    /// What is wrong, with a suggestion if there is one.
    pub text: String,
}

impl Problem {
    /// What is wrong with a key below this prefix.
    pub(super) fn new(prefix: &str, error: &ObjectError) -> Self {
        let text = error.to_string();
        let rest = text.strip_prefix(&error.path).unwrap_or(&text);
        Self {
            key: format!("{prefix}{}", error.path),
            text: rest.trim_start_matches([':', ' ']).to_owned(),
        }
    }
}

impl Problems {
    /// Names some of those that were not there before, if there are any.
    pub(super) fn new_since(&self, before: &Self) -> Option<String> {
        let is_new = |problem: &&Problem| !before.first.contains(problem);
        let mut new = self.first.iter().filter(is_new);
        let told = new.by_ref().take(MAX_TOLD);
        let told: Vec<String> = told
            .map(|problem| format!("{}: {}", problem.key, problem.text))
            .collect();
        let more = if new.next().is_some() {
            "; and more"
        } else {
            ""
        };
        (!told.is_empty()).then(|| told.join("; ") + more)
    }
}

impl Seen {
    /// What the provider has seen so far.
    pub fn get(&self) -> Sight {
        self.0.sight.borrow().clone()
    }

    /// Waits until the provider has seen this state of its store, and has it ask the store if nobody else tells.
    pub async fn reach(&self, revision: Revision) -> Sight {
        let _wanted = Wanted::new(self, revision);
        let mut sight = self.0.sight.subscribe();
        // The sender lives in `self`.
        let _ = sight.wait_for(|sight| sight.revision >= revision).await;
        self.get()
    }

    pub(super) fn set(&self, sight: Sight) {
        self.0.sight.send_replace(sight);
    }

    /// The least state that somebody waits for and that has not been seen.
    pub(super) fn wanted(&self) -> Option<Revision> {
        let seen = self.0.sight.borrow().revision;
        let wanted = self.0.wanted.borrow();
        let beyond = (std::ops::Bound::Excluded(seen), std::ops::Bound::Unbounded);
        wanted.range(beyond).next().map(|(revision, _)| *revision)
    }

    /// Waits until what [`Seen::wanted`] gives is another than this.
    pub(super) async fn wanted_other(&self, than: Option<Revision>) -> Option<Revision> {
        let mut changes = self.0.wanted.subscribe();
        loop {
            let wanted = self.wanted();
            if wanted != than {
                return wanted;
            }
            // The sender lives in `self`.
            let _ = changes.changed().await;
        }
    }
}

/// One who waits; ends when it is dropped.
struct Wanted<'a> {
    seen: &'a Seen,
    revision: Revision,
}

impl<'a> Wanted<'a> {
    fn new(seen: &'a Seen, revision: Revision) -> Self {
        seen.0
            .wanted
            .send_modify(|wanted| *wanted.entry(revision).or_default() += 1);
        Self { seen, revision }
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.seen.0.wanted.send_modify(|wanted| {
            if let Some(count) = wanted.get_mut(&self.revision) {
                *count -= 1;
                if *count == 0 {
                    wanted.remove(&self.revision);
                }
            }
        });
    }
}
