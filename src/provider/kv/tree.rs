//! The tree in force, and a listing that may take its place.
//!
//! ```text
//!  pages of a listing ──► Candidate ── is it acceptable? ──► Tree ◄── changes of a transaction
//! ```
//!
//! A listing is gathered before it meets the tree in force, so that it can be refused without a trace. Not here:
//! whether it is accepted (`in_force`), what keys mean (`image`).

use std::sync::Arc;

use super::image::{Image, Limits, TooLarge};
use super::store::{Change, Pair};
use crate::config::decode::ObjectError;
use crate::config::v1::Context;
use crate::io::memory;
use crate::watcher::{Entry, Objects};

/// How many pairs of a listing are looked at for something that decodes before all of them are.
const FIRST_LOOK: usize = 1000;

/// The pairs under one root.
#[derive(Debug)]
pub(super) struct Tree {
    image: Image,
    limits: Limits,
    former: Arc<Context>,
}

/// A listing. Beyond the limits it takes in no more, so that it is refused as a whole.
#[derive(Debug)]
pub(super) struct Candidate {
    pages: Vec<Vec<Pair>>,
    prefix: Vec<u8>,
    limits: Limits,
    keys: usize,
    bytes: usize,
}

impl Tree {
    /// No pairs. `former` is what a Traefik 1 tree needs to know.
    pub(super) fn new(limits: Limits, former: Arc<Context>) -> Self {
        Self {
            image: Image::new(limits, Arc::clone(&former)),
            limits,
            former,
        }
    }

    /// Whether it holds no object.
    pub(super) fn is_empty(&self) -> bool {
        self.image.is_empty()
    }

    /// Gives every pair to `read`, its key relative to the root, in no order.
    pub(super) fn read(&self, read: impl FnMut(&[u8], &[u8])) {
        self.image.read(read);
    }

    /// How many keys there are.
    pub(super) fn keys(&self) -> usize {
        self.image.len()
    }

    /// What is wrong with keys that belong to no object.
    pub(super) fn problems(&self) -> impl Iterator<Item = ObjectError> {
        self.image.problems()
    }

    /// How many problems there are.
    pub(super) fn problems_total(&self) -> usize {
        self.image.problems_total()
    }

    /// Grows whenever [`Tree::problems`] may have changed.
    pub(super) fn problems_version(&self) -> u64 {
        self.image.problems_version()
    }

    /// Whether the candidate has the same objects. Decodes both, for which there is seldom need.
    pub(super) fn is_equal(&self, candidate: &Candidate) -> bool {
        let image = || Image::new(self.limits, Arc::clone(&self.former));
        let mut own = image();
        let mut pairs = Vec::new();
        self.image
            .read(|key, value| pairs.push((key.to_vec(), value.to_vec())));
        let own = take_in(&mut own, pairs);
        own.is_ok_and(|own| Ok(own) == take_in(&mut image(), candidate.pairs()))
    }

    /// Makes the candidate the tree in force and returns the objects that differ.
    ///
    /// # Errors
    /// It is larger than allowed. The tree stays as it was.
    pub(super) fn accept(&mut self, candidate: Candidate) -> Result<Objects, TooLarge> {
        let objects = take_in(&mut self.image, candidate.pairs());
        let is_bulk = candidate.keys >= memory::BULK_OBJECTS;
        drop(candidate);
        if is_bulk {
            memory::return_freed();
        }
        objects
    }

    /// Applies one transaction's changes below `prefix` and returns what they changed.
    ///
    /// # Errors
    /// The tree would be larger than allowed. It stays as it was, and is not the store's any more.
    pub(super) fn apply(&mut self, prefix: &[u8], changes: &[Change]) -> Result<Objects, TooLarge> {
        let changes = changes.iter().filter_map(|change| {
            let key = relative(&change.key, prefix)?;
            Some((key, change.value.as_deref()))
        });
        self.image.apply(changes)
    }
}

fn take_in<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    image: &mut Image,
    pairs: impl IntoIterator<Item = (K, V)>,
) -> Result<Objects, TooLarge> {
    let mut listing = image.begin();
    listing.page(pairs);
    listing.finish()
}

impl Candidate {
    /// What lies below `prefix`, of which no page has come.
    pub(super) fn new(limits: Limits, prefix: &str) -> Self {
        Self {
            pages: Vec::new(),
            prefix: prefix.as_bytes().to_vec(),
            limits,
            keys: 0,
            bytes: 0,
        }
    }

    /// Takes a page in.
    pub(super) fn page(&mut self, page: Vec<Pair>) {
        if self.keys > self.limits.pairs || self.bytes > self.limits.bytes {
            return;
        }
        for pair in &page {
            if let Some(key) = relative(&pair.key, &self.prefix) {
                self.keys += 1;
                self.bytes += key.len() + pair.value.len();
            }
        }
        self.pages.push(page);
    }

    /// Whether no key lies there.
    pub(super) fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// Whether this key, relative to the root, is among them.
    pub(super) fn has(&self, key: &str) -> bool {
        self.pairs().any(|(own, _)| own == key.as_bytes())
    }

    /// How many keys lie there.
    pub(super) fn keys(&self) -> usize {
        self.keys
    }

    /// Whether nothing of it decodes.
    pub(super) fn is_undecodable(&self, former: &Arc<Context>) -> bool {
        // Nearly always something does that comes early.
        [FIRST_LOOK, usize::MAX].into_iter().all(|many| {
            let mut image = Image::new(self.limits, Arc::clone(former));
            let objects = take_in(&mut image, self.pairs().take(many)).unwrap_or_default();
            !objects
                .values()
                .any(|entry| matches!(entry, Entry::Present(_)))
        })
    }

    fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let pairs = self.pages.iter().flatten();
        pairs.filter_map(|pair| Some((relative(&pair.key, &self.prefix)?, &pair.value[..])))
    }
}

/// The key below the prefix, if it lies there.
fn relative<'a>(key: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    key.strip_prefix(prefix).filter(|rest| !rest.is_empty())
}

/// How keys under a root begin: a root ends in a slash, so that `traefik` does not take in `traefik2`.
pub(super) fn prefix_of(root: &str) -> String {
    if root.is_empty() || root.ends_with('/') {
        root.to_owned()
    } else {
        format!("{root}/")
    }
}

/// A root without surrounding spaces and trailing slashes; `/` alone stays.
pub(super) fn trim_root(root: &str) -> &str {
    let root = root.trim();
    match root.trim_end_matches('/') {
        "" if !root.is_empty() => "/",
        trimmed => trimmed,
    }
}

/// The same root with a leading slash if it has none, without one if it has.
pub(super) fn other_spelling(root: &str) -> String {
    match root.strip_prefix('/') {
        Some(rest) => rest.to_owned(),
        None => format!("/{root}"),
    }
}
