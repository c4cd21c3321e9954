//! The state in force per provider, the difference a new state makes, and names across providers.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::dynamic::Kind;

use super::{Entry, NameConflict, ObjectChange, Objects};

/// The objects of one provider that are in force.
#[derive(Debug, Default)]
pub(super) struct InForce {
    objects: BTreeMap<Key, Entry>,
}

/// Kind and qualified name, ordered as the provider's own names are.
///
/// Only the qualified name is kept, which `plan` shares, so that 100,000 names exist once. The suffix
/// `@provider` is the same for all keys of a provider and takes no part in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    kind: Kind,
    qualified: Arc<str>,
}

impl InForce {
    /// How many objects there are.
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Makes `objects` the whole state.
    pub(super) fn replace(
        &mut self,
        provider: &str,
        objects: Objects,
        changes: &mut Vec<ObjectChange>,
    ) {
        let first_change = changes.len();
        let mut old = self.objects.iter().peekable();
        for (key, entry) in objects {
            if matches!(entry, Entry::Absent) {
                continue;
            }
            let mut before = None;
            while let Some((old_key, old_entry)) = old.peek() {
                match old_key.cmp_unqualified(key.kind, &key.name) {
                    Ordering::Less => changes.push(old_key.change(Entry::Absent)),
                    Ordering::Equal => before = Some((*old_key, *old_entry)),
                    Ordering::Greater => break,
                }
                old.next();
            }
            match before {
                Some((_, old_entry)) if *old_entry == entry => {}
                Some((old_key, _)) => changes.push(old_key.change(entry)),
                None => changes.push(Key::new(key.kind, &key.name, provider).change(entry)),
            }
        }
        changes.extend(old.map(|(old_key, _)| old_key.change(Entry::Absent)));
        if self.objects.is_empty() {
            let all = changes[first_change..].iter();
            self.objects = all
                .map(|change| (Key::of(change), change.entry.clone()))
                .collect();
            return;
        }
        for change in &changes[first_change..] {
            self.set(Key::of(change), change.entry.clone());
        }
    }

    /// Lays some objects over the state.
    pub(super) fn overlay(
        &mut self,
        provider: &str,
        objects: Objects,
        changes: &mut Vec<ObjectChange>,
    ) {
        for (key, entry) in objects {
            let key = Key::new(key.kind, &key.name, provider);
            if self.objects.get(&key).unwrap_or(&Entry::Absent) == &entry {
                continue;
            }
            // The name that is already shared, if there is one.
            let key = self
                .objects
                .get_key_value(&key)
                .map_or(key, |(known, _)| known.clone());
            changes.push(key.change(entry.clone()));
            self.set(key, entry);
        }
    }

    fn set(&mut self, key: Key, entry: Entry) {
        if matches!(entry, Entry::Absent) {
            self.objects.remove(&key);
        } else {
            self.objects.insert(key, entry);
        }
    }
}

impl Key {
    fn new(kind: Kind, name: &str, provider: &str) -> Self {
        let qualified = format!("{name}@{provider}").into();
        Self { kind, qualified }
    }

    fn of(change: &ObjectChange) -> Self {
        Self {
            kind: change.kind,
            qualified: Arc::clone(&change.name),
        }
    }

    fn change(&self, entry: Entry) -> ObjectChange {
        ObjectChange {
            kind: self.kind,
            name: Arc::clone(&self.qualified),
            entry,
            last_good: None,
        }
    }

    fn name(&self) -> &str {
        split_qualified(&self.qualified).0
    }

    fn cmp_unqualified(&self, kind: Kind, name: &str) -> Ordering {
        self.kind.cmp(&kind).then_with(|| self.name().cmp(name))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cmp_unqualified(other.kind, other.name())
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The parts of a qualified name before and after the last `@`.
fn split_qualified(name: &str) -> (&str, &str) {
    name.rsplit_once('@').unwrap_or((name, ""))
}

/// Objects that exist once for all providers: the TLS options and the TLS store called `default`.
///
/// They keep their plain name. When several providers define one, none gets it (Traefik drops both and
/// logs an error); as soon as one provider is left, it does.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    claims: BTreeMap<Kind, BTreeMap<Arc<str>, Entry>>,
    in_force: BTreeMap<Kind, Entry>,
}

impl Defaults {
    /// Replaces the providers' claims among `changes` by what they come to.
    pub(super) fn resolve(&mut self, changes: &mut Vec<ObjectChange>) {
        let mut touched = BTreeSet::new();
        changes.retain(|change| {
            if !is_shared(change.kind) {
                return true;
            }
            let (name, provider) = split_qualified(&change.name);
            if name != DEFAULT {
                return true;
            }
            touched.insert(change.kind);
            let claims = self.claims.entry(change.kind).or_default();
            if matches!(change.entry, Entry::Absent) {
                claims.remove(provider);
            } else {
                claims.insert(provider.into(), change.entry.clone());
            }
            false
        });
        for kind in touched {
            let claims = &self.claims[&kind];
            let entry = match claims.len() {
                1 => claims.values().next().cloned().unwrap_or(Entry::Absent),
                _ => Entry::Absent,
            };
            let before = self.in_force.insert(kind, entry.clone());
            if before.unwrap_or(Entry::Absent) != entry {
                changes.push(ObjectChange {
                    kind,
                    name: DEFAULT.into(),
                    entry,
                    last_good: None,
                });
            }
        }
    }

    /// What several providers define, by kind.
    pub(super) fn conflicts(&self) -> Vec<NameConflict> {
        let contested = self.claims.iter().filter(|(_, claims)| claims.len() > 1);
        let conflict = |(kind, claims): (&Kind, &BTreeMap<Arc<str>, Entry>)| NameConflict {
            kind: *kind,
            name: DEFAULT.into(),
            losers: claims.keys().cloned().collect(),
        };
        contested.map(conflict).collect()
    }
}

const DEFAULT: &str = "default";

fn is_shared(kind: Kind) -> bool {
    matches!(kind, Kind::TlsOptions | Kind::TlsStore)
}
