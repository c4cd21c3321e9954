//! Alias mode: a key names the root in force, and a write of it puts the whole tree below that root into force.
//!
//! ```text
//!  alias written at R ──► the tree it names, listed at R ──► anything readable? ──► one change
//!        └── a newer write ends a running listing             └── no: the old tree stays, with an alarm
//! ```
//!
//! Trees are compared below their roots, so that two equal trees make no change. Not here: the same for who only wants
//! the values (`alias`).

use std::pin::pin;

use super::alias;
use super::drive::{Driver, Phase, load, load_other};
use super::image::Limits;
use super::look::{Found, Watched};
use super::session::AliasSettings;
use super::store::{Event, Listing, Revision, Scope, Store, StoreError, Watch};
use super::tree::{Candidate, prefix_of, trim_root};

/// Longest part of an alias value that messages show.
const MAX_SHOWN_VALUE: usize = 200;

/// What is known of the alias.
#[derive(Debug, Default)]
pub(super) struct Alias {
    /// Its watch goes on after this state.
    seen: Option<Revision>,
    /// A write whose tree is not in force yet.
    flip: Option<Flip>,
    /// Whether the key exists in that state.
    exists: bool,
    /// The value whose tree is in force, unless the alias names another by now that is not taken.
    in_force: Option<String>,
    /// Up to this state what is in force is what the alias names; its earlier writes need no listing.
    confirmed: Option<Revision>,
}

/// One state of the alias key.
#[derive(Clone, Debug)]
struct Flip {
    value: Option<String>,
    at: Revision,
}

/// What an event says about the alias key.
enum Write {
    /// It was not written, or that is known already.
    None,
    /// It was.
    Known(Flip),
    /// It may have been.
    Unknown,
}

/// What lies where an alias points to.
struct Target {
    root: String,
    candidate: Candidate,
    listing: Listing,
}

impl<S: Store> Driver<S> {
    /// Keeps the root in force that the alias names. Ends where an alias in the configured root is gone.
    pub(super) async fn follow_alias(
        &mut self,
        settings: &AliasSettings,
    ) -> Result<(), StoreError> {
        let key = &*settings.key;
        let after = self.find_alias(key).await?;
        let mut watch = self.store.watch(Scope::Key(key), after).await?;
        let mut tree = None;
        loop {
            if let Some(flip) = self.alias.flip.clone() {
                if settings.is_in_root && flip.value.is_none() {
                    self.alias = Alias::default();
                    self.must_list = true;
                    return Ok(());
                }
                tree = None;
                if !self.put_into_force(settings, &flip, &mut watch).await? {
                    continue;
                }
                self.alias.flip = None;
            }
            if tree.is_none() && settings.watches_tree && self.alias.in_force.is_some() {
                let (root, revision) = {
                    let in_force = self.in_force.borrow();
                    (prefix_of(in_force.root()), in_force.revision())
                };
                let scope = Scope::Prefix(&root);
                tree = Some((self.store.watch(scope, revision).await?, root));
            }
            self.recovered();
            self.enter(Phase::Watching);
            let prefix = tree.as_ref().map(|(_, prefix)| prefix.clone());
            let watched = self.watched(key, prefix.as_deref());
            let seen = self.settings.seen.clone();
            let in_tree = async {
                match &mut tree {
                    Some((watch, _)) => watch.next().await,
                    None => std::future::pending().await,
                }
            };
            // The alias first: what one transaction writes to both belongs to the flip.
            tokio::select! {
                biased;
                event = watch.next() => self.alias_event(key, event?).await?,
                event = in_tree => {
                    let prefix = prefix.as_deref().unwrap_or_default();
                    self.tree_event(key, event?, prefix).await?;
                }
                found = self.lookout.look(&seen, &mut self.store, &watched) => match found? {
                    Found::Same(now) if self.in_force.borrow().recognises(&now) => {
                        self.alias.seen = self.alias.seen.max(Some(now.revision));
                        let mut in_force = self.in_force.borrow_mut();
                        if prefix.is_some() {
                            in_force.advance(now.revision);
                        }
                        in_force.dealt_with(now.revision);
                    }
                    _ => self.read_alias(key).await?,
                },
            }
        }
    }

    /// What is watched, and up to where it is known. What an event of the alias says is dealt with by now.
    fn watched<'a>(&self, key: &'a str, tree: Option<&'a str>) -> Vec<Watched<'a>> {
        let in_force = self.in_force.borrow();
        let since = self.alias.seen.unwrap_or_default();
        if tree.is_none() {
            in_force.dealt_with(since);
        }
        let alias = Watched {
            scope: Scope::Key(key),
            since,
            keys: usize::from(self.alias.exists),
        };
        let tree = tree.map(|prefix| Watched {
            scope: Scope::Prefix(prefix),
            since: in_force.revision(),
            keys: in_force.keys(),
        });
        [alias].into_iter().chain(tree).collect()
    }

    /// Finds out where the alias stands, and returns the state after which to watch it.
    async fn find_alias(&mut self, key: &str) -> Result<Revision, StoreError> {
        let (value, listing) = alias::read(&mut self.store, key, None).await?;
        let is_known = self.in_force.borrow().recognises(&listing);
        if let Some(seen) = self.alias.seen
            && !self.must_list
            && is_known
            && listing.revision >= seen
        {
            self.is_unbroken |= self.alias.flip.is_none();
            return Ok(seen);
        }
        // Whatever was written meanwhile, the present state is what counts.
        self.note_flip(value, listing.revision);
        self.must_list = false;
        Ok(listing.revision)
    }

    fn note_flip(&mut self, value: Option<String>, at: Revision) {
        self.alias.seen = Some(at);
        self.alias.exists = value.is_some();
        self.alias.flip = Some(Flip { value, at });
    }

    /// Takes an event of the alias key in.
    async fn alias_event(&mut self, key: &str, event: Event) -> Result<(), StoreError> {
        match self.alias.take_in(event) {
            Write::None => Ok(()),
            Write::Known(flip) => {
                self.note_flip(flip.value, flip.at);
                Ok(())
            }
            Write::Unknown => self.read_alias(key).await,
        }
    }

    /// The present state of the alias is what counts.
    async fn read_alias(&mut self, key: &str) -> Result<(), StoreError> {
        let (value, listing) = alias::read(&mut self.store, key, None).await?;
        self.note_flip(value, listing.revision);
        Ok(())
    }

    /// Lists the tree that the alias names and offers it. False if a newer write ended that.
    async fn put_into_force(
        &mut self,
        settings: &AliasSettings,
        flip: &Flip,
        watch: &mut S::Watch,
    ) -> Result<bool, StoreError> {
        self.enter(Phase::Listing);
        let key = &*settings.key;
        let value = flip.value.as_deref().map(trim_root);
        // A slash alone would mean the whole store.
        let Some(value) = value.filter(|value| !matches!(*value, "" | "/")) else {
            let what = match flip.value {
                None => "does not exist",
                Some(_) => "is empty",
            };
            self.keep_old(&format!("the alias key {key} {what}"));
            return Ok(true);
        };
        let listed = {
            let limits = self.settings.limits;
            let mut found = pin!(find_target(&mut self.store, limits, value, flip.at));
            loop {
                let event = tokio::select! {
                    biased;
                    event = watch.next() => event?,
                    found = &mut found => break Ok(found?),
                };
                match self.alias.take_in(event) {
                    Write::None => {}
                    newer => break Err(newer),
                }
            }
        };
        let found = match listed {
            Ok(found) => found,
            Err(Write::Known(newer)) => {
                self.note_flip(newer.value, newer.at);
                return Ok(false);
            }
            Err(_) => {
                self.read_alias(key).await?;
                return Ok(false);
            }
        };
        let shown: String = value.chars().take(MAX_SHOWN_VALUE).collect();
        if found.candidate.is_empty() {
            self.keep_old(&format!(
                "the alias key {key} names {shown}, below which no key lies"
            ));
        } else if found.candidate.is_undecodable(&self.settings.former) {
            self.keep_old(&format!(
                "the alias key {key} names {shown}, of whose {} keys nothing can be used",
                found.candidate.keys()
            ));
        } else {
            let Target {
                root,
                candidate,
                listing,
            } = found;
            let is_unbroken = self.is_unbroken;
            let is_accepted =
                self.in_force
                    .borrow_mut()
                    .offer(candidate, &listing, &root, is_unbroken);
            self.is_unbroken = is_accepted;
            self.alias.in_force = is_accepted.then(|| value.to_owned());
            if is_accepted {
                self.note_change();
            }
        }
        Ok(true)
    }

    fn keep_old(&mut self, reason: &str) {
        self.alias.in_force = None;
        let mut in_force = self.in_force.borrow_mut();
        in_force.publish_saved();
        let rest = if in_force.is_published() {
            format!("the tree of {} stays in force", in_force.root())
        } else {
            "nothing is in force".to_owned()
        };
        in_force.alarm(format!("{reason}: {rest}"));
    }

    /// An event of the tree in force. The transaction may have written the alias as well, and the alias comes first.
    async fn tree_event(
        &mut self,
        key: &str,
        event: Event,
        prefix: &str,
    ) -> Result<(), StoreError> {
        match event {
            Event::Transaction { revision, changes } => {
                if revision <= self.in_force.borrow().revision() {
                    return Ok(());
                }
                let (value, _) = alias::read(&mut self.store, key, Some(revision)).await?;
                if value.as_deref().map(trim_root) != self.alias.in_force.as_deref() {
                    self.note_flip(value, revision);
                    return Ok(());
                }
                let applied = {
                    let mut in_force = self.in_force.borrow_mut();
                    in_force.transaction(revision, &changes, prefix)
                };
                match applied {
                    Ok(()) => {
                        self.alias.confirmed = Some(revision);
                        self.note_change();
                    }
                    // The listing tells it, or finds that it fits again.
                    Err(_) => self.read_alias(key).await?,
                }
            }
            // It says nothing of the alias.
            Event::Progress(_) => {}
            Event::Unknown => self.read_alias(key).await?,
        }
        Ok(())
    }
}

impl Alias {
    /// What an event of the alias key means.
    fn take_in(&mut self, event: Event) -> Write {
        match event {
            Event::Transaction { revision, changes } => {
                let is_old = self.seen.max(self.confirmed) >= Some(revision);
                match changes.into_iter().next_back() {
                    Some(change) if !is_old => Write::Known(Flip {
                        value: change.value.map(alias::text),
                        at: revision,
                    }),
                    _ => Write::None,
                }
            }
            Event::Progress(revision) => {
                self.seen = self.seen.max(Some(revision));
                Write::None
            }
            Event::Unknown => Write::Unknown,
        }
    }
}

/// Lists what an alias names, with or without leading slash.
async fn find_target(
    store: &mut impl Store,
    limits: Limits,
    value: &str,
    at: Revision,
) -> Result<Target, StoreError> {
    let mut root = value.to_owned();
    let (mut candidate, mut listing) = load(store, limits, &root, Some(at)).await?;
    if candidate.is_empty()
        && let Some(found) = load_other(store, limits, value, at, false).await?
    {
        (candidate, listing, root) = found;
    }
    Ok(Target {
        root,
        candidate,
        listing,
    })
}
