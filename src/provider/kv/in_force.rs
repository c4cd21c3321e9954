//! What of a store is in force, whether what it says is believed, and what the watcher was told.
//!
//! ```text
//!  listing ──► offer: same store? not older? ──► Tree ──► Snapshot (the first) or Patch
//!  transaction ─────────────────────────────────►  │
//!  saved state (store absent or not believed) ──►  ┘     outage, alarm, stale ──► Failed
//! ```
//!
//! The last good state is given up for a better one only. Everything here is synchronous and without clocks. Not
//! here: when to connect, list, watch and save (`session`).

use std::path::PathBuf;
use std::sync::Arc;

use super::image::{Limits, TooLarge};
use super::saved::{Header, Saved};
use super::seen::{MAX_PROBLEMS, Problem, Problems, Seen, Sight};
use super::store::{Change, Listing, Pair, Revision};
use super::tree::{Candidate, Tree, prefix_of};
use crate::config::v1::Context;
use crate::watcher::{Payload, Position, Update};

/// What does not change while a provider runs.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) provider: Arc<str>,
    pub(super) limits: Limits,
    pub(super) former: Arc<Context>,
    pub(super) alias_key: Option<String>,
    pub(super) allow_restore: bool,
    pub(super) saved_path: Option<PathBuf>,
    pub(super) seen: Seen,
}

/// A state of a store that was accepted.
#[derive(Clone, Debug)]
struct Known {
    store_id: Option<u64>,
    revision: Revision,
    /// Whether another run of the program saw it, whose numbering a store without identity does not continue.
    is_from_disk: bool,
}

/// What is not as it should be; each part ends by itself.
#[derive(Debug, Default)]
struct Status {
    /// The store cannot be used.
    outage: Option<String>,
    /// The store says what is not believed.
    alarm: Option<String>,
    /// What is in force was read from disk.
    stale: Option<String>,
}

impl Status {
    fn text(&self) -> Option<String> {
        let parts = [&self.alarm, &self.outage, &self.stale];
        let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// The state in force.
pub(super) struct InForce {
    terms: Terms,
    sink: Box<dyn Fn(Update)>,
    tree: Tree,
    root: String,
    known: Option<Known>,
    /// The state that was in force when the program last ended, while nothing else is.
    saved: Option<Saved>,
    is_published: bool,
    is_from_store: bool,
    /// The store once went back behind what is known; growing beyond it again does not make it the old one.
    has_regressed: bool,
    number: u64,
    status: Status,
    /// The status that the watcher knows.
    said: Option<String>,
    /// Grows with what would be saved.
    version: u64,
    /// What is wrong with keys that belong to no object, as of this version of it.
    problems: (u64, Arc<Problems>),
}

impl InForce {
    /// Nothing is in force yet. What was saved counts as known.
    pub(super) fn new(terms: Terms, saved: Option<Saved>, sink: impl Fn(Update) + 'static) -> Self {
        let known = saved.as_ref().map(|saved| Known {
            store_id: saved.header.store_id,
            revision: saved.header.revision(),
            is_from_disk: true,
        });
        Self {
            tree: Tree::new(terms.limits, Arc::clone(&terms.former)),
            terms,
            sink: Box::new(sink),
            root: String::new(),
            known,
            saved,
            is_published: false,
            is_from_store: false,
            has_regressed: false,
            number: 0,
            status: Status::default(),
            said: None,
            version: 0,
            problems: Default::default(),
        }
    }

    /// Whether anything was published.
    pub(super) fn is_published(&self) -> bool {
        self.is_published
    }

    /// The root in force, without trailing slash.
    pub(super) fn root(&self) -> &str {
        match &self.saved {
            Some(saved) if !self.is_published => &saved.header.root,
            _ => &self.root,
        }
    }

    /// Whether something is in force, or was when the program last ended.
    pub(super) fn holds_something(&self) -> bool {
        match &self.saved {
            Some(saved) if !self.is_published => !saved.pairs.is_empty(),
            _ => !self.tree.is_empty(),
        }
    }

    /// The store's newest state that is in force.
    pub(super) fn revision(&self) -> Revision {
        self.known
            .as_ref()
            .map_or(Revision::default(), |known| known.revision)
    }

    /// Grows whenever there is something new to save.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// How many keys lie below the root in force.
    pub(super) fn keys(&self) -> usize {
        self.tree.keys()
    }

    /// Whether a connection still leads to the store that is known.
    pub(super) fn recognises(&self, listing: &Listing) -> bool {
        self.distrust(listing).is_none()
    }

    /// Why what the store says now is not believed, if it is not.
    fn distrust(&self, listing: &Listing) -> Option<String> {
        let known = self.known.as_ref()?;
        let (then, now) = (known.revision.0, listing.revision.0);
        match (known.store_id, listing.store_id) {
            (Some(before), Some(after)) if before != after => Some(format!(
                "this is another store (identity {after:x}, revision {now}) than the one that is known ({before:x}, \
                 revision {then})"
            )),
            (before, after) if before.is_some() && before == after => {
                (self.has_regressed || now < then).then(|| {
                    format!(
                        "the store was wiped or restored to an older revision ({now}; {then} is known)"
                    )
                })
            }
            // Without identity a number means something within one run only.
            _ if known.is_from_disk => None,
            _ => (self.has_regressed || now < then).then(|| {
                format!("the store was wiped or restored to an older state ({now}; {then} is known)")
            }),
        }
    }

    /// Offers a listing. It is taken unless its store is not the one that is known and its content differs; then the
    /// last good state stays, with an alarm. `is_unbroken`: the store was in sight ever since the last one.
    pub(super) fn offer(
        &mut self,
        candidate: Candidate,
        listing: &Listing,
        root: &str,
        is_unbroken: bool,
    ) -> bool {
        let mut doubt = self.distrust(listing);
        if doubt.is_none()
            && !is_unbroken
            && listing.store_id.is_none()
            && candidate.is_empty()
            && self.holds_something()
        {
            doubt = Some(
                "the store is empty, and has no identity that would tell a deletion from a new store".into(),
            );
        }
        if let Some(doubt) = doubt {
            let name = Arc::clone(&self.terms.provider);
            if self.terms.allow_restore {
                tracing::warn!(providerName = &*name, "{doubt}; allowRestore accepts it");
            } else {
                self.publish_saved();
                if !self.tree.is_equal(&candidate) {
                    self.has_regressed |= self.known.as_ref().is_some_and(|known| {
                        known.store_id == listing.store_id && listing.revision < known.revision
                    });
                    self.alarm(format!(
                        "{doubt}: its {} keys below {root} are not taken, the last good state stays in force; \
                         allowRestore: true accepts them",
                        candidate.keys()
                    ));
                    return false;
                }
                tracing::info!(
                    providerName = &*name,
                    "{doubt}; it holds what is in force, and counts as known from now on"
                );
            }
        }
        match self.accept(candidate, listing, root) {
            Ok(()) => true,
            Err(error) => {
                self.alarm(error.to_string());
                false
            }
        }
    }

    fn accept(
        &mut self,
        candidate: Candidate,
        listing: &Listing,
        root: &str,
    ) -> Result<(), TooLarge> {
        let is_first = !self.is_published;
        let difference = self.tree.accept(candidate)?;
        let is_other = self.root != root
            || self
                .known
                .as_ref()
                .is_none_or(|known| known.store_id != listing.store_id);
        if !difference.is_empty() || is_other || is_first {
            self.version += 1;
        }
        self.saved = None;
        root.clone_into(&mut self.root);
        self.known = Some(Known {
            store_id: listing.store_id,
            revision: listing.revision,
            is_from_disk: false,
        });
        self.is_published = true;
        self.is_from_store = true;
        self.has_regressed = false;
        self.status = Status::default();
        if is_first {
            self.say(Some(Payload::Snapshot(difference)));
        } else {
            self.say((!difference.is_empty()).then_some(Payload::Patch(difference)));
        }
        self.note_problems();
        self.note_seen(listing.revision);
        Ok(())
    }

    /// Notes which keys belong to no object, and names some of those that did not before.
    fn note_problems(&mut self) {
        let version = self.tree.problems_version();
        if self.problems.0 == version {
            return;
        }
        let prefix = prefix_of(&self.root);
        let first = self.tree.problems().take(MAX_PROBLEMS);
        let now = Problems {
            first: first.map(|error| Problem::new(&prefix, &error)).collect(),
            total: self.tree.problems_total(),
        };
        let before = std::mem::replace(&mut self.problems, (version, Arc::new(now))).1;
        let (name, now) = (&*self.terms.provider, &self.problems.1);
        if let Some(told) = now.new_since(&before) {
            tracing::warn!(
                providerName = name,
                "keys that belong to no object: {told}; there are {} in all",
                now.total
            );
        } else if now.total == 0 && before.total > 0 {
            tracing::info!(providerName = name, "every key belongs to an object now");
        }
    }

    /// One transaction below `prefix`. What was seen already, as after a watch was resumed, changes nothing.
    ///
    /// # Errors
    /// The tree would be larger than allowed. It stays as it was, and is not the store's any more.
    pub(super) fn transaction(
        &mut self,
        revision: Revision,
        changes: &[Change],
        prefix: &str,
    ) -> Result<(), TooLarge> {
        if revision <= self.revision() {
            return Ok(());
        }
        let changed = self.tree.apply(prefix.as_bytes(), changes)?;
        self.version += 1;
        if let Some(known) = &mut self.known {
            known.revision = revision;
        }
        if !changed.is_empty() {
            self.say(Some(Payload::Patch(changed)));
        }
        self.note_problems();
        self.note_seen(revision);
        Ok(())
    }

    /// Nothing else has happened up to this state.
    pub(super) fn advance(&mut self, revision: Revision) {
        if let Some(known) = &mut self.known
            && known.revision < revision
        {
            known.revision = revision;
            self.note_seen(revision);
        }
    }

    /// Everything up to this state has been dealt with, whatever of it is in force.
    pub(super) fn dealt_with(&self, revision: Revision) {
        if self.terms.seen.get().revision < revision {
            self.note_seen(revision);
        }
    }

    fn note_seen(&self, revision: Revision) {
        self.terms.seen.set(Sight {
            revision,
            number: self.number,
            problems: Arc::clone(&self.problems.1),
        });
    }

    /// Puts the saved state into force if nothing is. Returns whether it did.
    pub(super) fn publish_saved(&mut self) -> bool {
        if self.is_published {
            return false;
        }
        let Some(saved) = self.saved.take() else {
            return false;
        };
        let Saved { header, pairs } = saved;
        let mut candidate = Candidate::new(self.terms.limits, "");
        let pairs = pairs.into_iter();
        candidate.page(pairs.map(|(key, value)| Pair { key, value }).collect());
        let objects = match self.tree.accept(candidate) {
            Ok(objects) => objects,
            Err(error) => {
                tracing::warn!(
                    providerName = &*self.terms.provider,
                    "the saved state is not used: {error}"
                );
                return false;
            }
        };
        let stale = format!(
            "in force is the store's state of {}, saved at revision {}{}",
            header.time,
            header.revision,
            match &self.terms.saved_path {
                Some(path) => format!(" in {}", path.display()),
                None => String::new(),
            }
        );
        tracing::warn!(providerName = &*self.terms.provider, "{stale}");
        self.root = header.root;
        self.is_published = true;
        self.status.stale = Some(stale);
        self.say(Some(Payload::Snapshot(objects)));
        true
    }

    /// The store cannot be used. Only the first of an outage, or another kind, is told.
    pub(super) fn outage(&mut self, text: String) {
        tracing::warn!(providerName = &*self.terms.provider, "{text}");
        self.status.outage = Some(text);
        self.say(None);
    }

    /// The store can be used again.
    pub(super) fn recovered(&mut self) {
        if self.status.outage.take().is_some() {
            tracing::info!(
                providerName = &*self.terms.provider,
                "the store answers again"
            );
            self.say(None);
        }
    }

    /// Something is wrong with what the store says. The last good state stays, over a restart as well.
    pub(super) fn alarm(&mut self, text: String) {
        self.publish_saved();
        if self.status.alarm.as_deref() != Some(&text) {
            tracing::error!(providerName = &*self.terms.provider, "{text}");
            self.status.alarm = Some(text);
            self.say(None);
        }
    }

    /// What is to be saved; `None` while there is nothing new from the store.
    pub(super) fn header(&self, time: String) -> Option<Header> {
        let known = self.known.as_ref().filter(|_| self.is_from_store)?;
        Some(Header {
            provider: self.terms.provider.as_ref().into(),
            root: self.root.clone(),
            alias_key: self.terms.alias_key.clone(),
            store_id: known.store_id,
            revision: known.revision.0,
            time,
        })
    }

    /// Gives every pair in force to `read`, its key relative to the root, in no order.
    pub(super) fn read(&self, read: impl FnMut(&[u8], &[u8])) {
        self.tree.read(read);
    }

    /// Tells the watcher a new content, if there is one, and the status after it, which a content clears.
    fn say(&mut self, payload: Option<Payload>) {
        let is_cleared = payload.is_some();
        if let Some(payload) = payload {
            self.send(payload);
        }
        let text = self.status.text();
        match &text {
            Some(text) if is_cleared || self.said.as_ref() != Some(text) => {
                self.send(Payload::Failed(text.clone()));
            }
            None if self.said.is_some() && !is_cleared && self.is_published => {
                self.send(Payload::Patch(Default::default()));
            }
            _ => {}
        }
        self.said = text;
    }

    fn send(&mut self, payload: Payload) {
        self.number += 1;
        let text = match &self.known {
            Some(known) if self.is_published => known.revision.0.to_string(),
            _ => String::new(),
        };
        (self.sink)(Update {
            provider: Arc::clone(&self.terms.provider),
            position: Position {
                number: self.number,
                text: text.into(),
            },
            payload,
        });
    }
}
