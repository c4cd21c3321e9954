//! Traefik 1's alias: the key `alias` below the configured root names the root in force; while there is no such key it
//! is the configured one.
//!
//! ```text
//!            the key comes into being
//!  drive ─────────────────────────────► flip
//!  (root) ◄───────────────────────────── (alias)
//!            the key is gone
//! ```
//!
//! The key is found in what is listed and watched of the root, so that a transaction which writes it and deletes the
//! root's tree is one change. Not here: how either is followed.

use super::alias;
use super::drive::Driver;
use super::session::AliasSettings;
use super::store::{Change, Store, StoreError};
use super::tree::{Candidate, other_spelling, prefix_of, trim_root};

/// The alias's key below the root.
pub const KEY: &str = "alias";

/// The alias's key below a root.
pub fn key_below(root: &str) -> String {
    format!("{}{KEY}", prefix_of(trim_root(root)))
}

impl<S: Store> Driver<S> {
    /// Follows what the rule says now, until that is something else.
    pub(super) async fn follow_alias_in_root(
        &mut self,
        mut settings: AliasSettings,
    ) -> Result<(), StoreError> {
        if self.alias_in_root.is_none() {
            // A tree need not be listed to find that another one is meant.
            let (value, _) = alias::read(&mut self.store, &settings.key, None).await?;
            self.alias_in_root = value.map(|_| settings.key.clone());
        }
        match &self.alias_in_root {
            None => self.follow_root().await,
            Some(key) => {
                settings.key.clone_from(key);
                self.follow_alias(&settings).await?;
                self.alias_in_root = None;
                Ok(())
            }
        }
    }

    /// Whether an alias lies in what was listed below this root, and takes over.
    pub(super) fn has_alias(&mut self, candidate: &Candidate, root: &str) -> bool {
        let takes_over = self.has_rule() && candidate.has(KEY);
        if takes_over {
            self.take_over(key_below(root));
        }
        takes_over
    }

    /// Whether a transaction below this prefix writes an alias, which takes over.
    pub(super) fn is_taken_over(&mut self, changes: &[Change], prefix: &str) -> bool {
        let key = format!("{prefix}{KEY}");
        let is_alias = |change: &Change| change.key == key.as_bytes() && change.value.is_some();
        let takes_over = self.has_rule() && changes.iter().any(is_alias);
        if takes_over {
            self.take_over(key);
        }
        takes_over
    }

    /// Whether nothing lies below the configured root because an alias named the tree in force, which then stays.
    pub(super) fn is_alias_gone(&mut self, configured: &str) -> bool {
        if !self.has_rule() {
            return false;
        }
        let mut in_force = self.in_force.borrow_mut();
        let root = in_force.root().to_owned();
        let stays =
            in_force.holds_something() && root != configured && root != other_spelling(configured);
        if stays {
            in_force.alarm(format!(
                "the alias key {} does not exist and no key lies below {configured}: the tree of {root} stays in force",
                key_below(configured)
            ));
        }
        stays
    }

    fn has_rule(&self) -> bool {
        let alias = self.settings.alias.as_ref();
        alias.is_some_and(|alias| alias.is_in_root)
    }

    fn take_over(&mut self, key: String) {
        self.alias_in_root = Some(key);
        // What else the store says of the root was not taken in.
        self.must_list = true;
    }
}
