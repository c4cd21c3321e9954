//! The items of `tls.certificates`: which object an item declares is said by its content, and several may declare one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::declared;
use super::pairs::Pairs;
use super::units::{Id, Units};
use crate::config::dynamic::{Kind, ObjectKey};
use crate::watcher::Entry;

const KIND: Kind = Kind::TlsCertificate;

/// The units that declare a certificate, by its name. The one with the smallest key counts.
#[derive(Debug, Default)]
pub struct Certificates(BTreeMap<Arc<str>, BTreeSet<Box<[u8]>>>);

/// What changed units said and say.
#[derive(Default)]
pub struct Changes {
    gone: Vec<(Arc<str>, Box<[u8]>)>,
    new: Vec<(Arc<str>, Box<[u8]>)>,
}

impl Changes {
    /// Notes a unit's pairs before and after.
    pub fn note(&mut self, old: Option<&Pairs>, new: Option<&Pairs>) {
        let name = |pairs: &Pairs| (declared(KIND, pairs).0.name, pairs.first_key().into());
        self.gone.extend(old.map(name));
        self.new.extend(new.map(name));
    }
}

impl Certificates {
    /// The certificates that changes touch, as they are in force.
    pub fn of<'a>(
        &'a self,
        changes: &'a Changes,
        units: &'a Units,
    ) -> impl Iterator<Item = (ObjectKey, Entry)> {
        let names = changes.gone.iter().chain(&changes.new);
        let names: BTreeSet<_> = names.map(|(name, _)| name).collect();
        names.into_iter().filter_map(|name| {
            let key = self.0.get(name)?.first()?;
            let unit = units
                .get(&Id::of_key(key))
                .expect("a unit that is listed here");
            Some(declared(KIND, &unit.pairs))
        })
    }

    /// Notes what is in force now.
    pub fn apply(&mut self, changes: &Changes) {
        for (name, key) in &changes.gone {
            let keys = self.0.get_mut(name).expect("a certificate that was noted");
            keys.remove(key);
            if keys.is_empty() {
                self.0.remove(name);
            }
        }
        for (name, key) in &changes.new {
            self.0
                .entry(Arc::clone(name))
                .or_default()
                .insert(key.clone());
        }
    }
}
