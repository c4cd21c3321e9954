//! What is known of a scope, and what an answer changes in it.

use std::collections::BTreeMap;

use super::api::Entry;
use crate::provider::kv::store::{Change, Revision};

/// The last answer, without values.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The state that was reported; never lower than before.
    pub(crate) revision: Revision,
    /// The index to ask on from. It belongs to the scope alone, and falls when Consul forgets deletions.
    pub(crate) index: Revision,
    /// `ModifyIndex` by key; `None` if nothing was ever listed.
    indices: Option<BTreeMap<String, u64>>,
}

/// What an answer changes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    Changes(Vec<Change>),
    /// The store is at an older state: restored or emptied. Nothing was taken in.
    WentBack,
}

impl Known {
    pub(crate) fn new(revision: Revision, index: Revision, entries: &[Entry]) -> Self {
        Self {
            revision,
            index,
            indices: Some(indices(entries)),
        }
    }

    /// Whether what changed after a state can be told.
    pub(crate) fn is_known_at(&self, after: Revision) -> bool {
        self.indices.is_some() && self.revision <= after
    }

    /// Takes an answer in: what differs from what was known.
    pub(crate) fn update(&mut self, index: Revision, entries: Vec<Entry>) -> Difference {
        let now = indices(&entries);
        let before = self.indices.take().unwrap_or_default();
        if index < self.index && is_older(&before, &now) {
            self.indices = Some(before);
            return Difference::WentBack;
        }
        let deleted = before.keys().filter(|key| !now.contains_key(*key));
        let mut changes: Vec<Change> = deleted
            .map(|key| Change {
                key: key.clone().into_bytes(),
                value: None,
            })
            .collect();
        let changed = entries
            .into_iter()
            .filter(|entry| before.get(&entry.key) != Some(&entry.modify_index));
        changes.extend(changed.map(|entry| Change {
            key: entry.key.into_bytes(),
            value: Some(entry.value),
        }));
        self.index = index;
        self.revision = self.revision.max(index);
        self.indices = Some(now);
        Difference::Changes(changes)
    }
}

/// Whether what was answered under a lower index than before cannot have followed. A deletion raises the index, so
/// that an emptied scope under a lower one is an older store too.
fn is_older(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> bool {
    let is_lower = |(key, index): (&String, &u64)| before.get(key).is_some_and(|old| index < old);
    now.iter().any(is_lower) || (now.is_empty() && !before.is_empty())
}

fn indices(entries: &[Entry]) -> BTreeMap<String, u64> {
    let index = |entry: &Entry| (entry.key.clone(), entry.modify_index);
    entries.iter().map(index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(list: &[(&str, u64)]) -> Vec<Entry> {
        let entry = |(key, index): &(&str, u64)| Entry {
            key: (*key).to_owned(),
            value: index.to_string().into_bytes(),
            modify_index: *index,
        };
        list.iter().map(entry).collect()
    }

    fn changes(difference: Difference) -> Vec<(String, Option<String>)> {
        let Difference::Changes(changes) = difference else {
            panic!("it went back");
        };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let pair = |change: Change| (text(change.key), change.value.map(text));
        changes.into_iter().map(pair).collect()
    }

    #[test]
    fn only_what_differs_is_a_change() {
        let listed = entries(&[("a", 1), ("b", 2), ("c", 5)]);
        let mut known = Known::new(Revision(5), Revision(5), &listed);
        assert!(known.is_known_at(Revision(5)) && !known.is_known_at(Revision(4)));
        let now = [("a", 1), ("b", 8), ("d", 9)];
        let expected = [("c", None), ("b", Some("8")), ("d", Some("9"))]
            .map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
        assert_eq!(changes(known.update(Revision(9), entries(&now))), expected);
        assert_eq!(known.revision, Revision(9));
        // Consul forgot the deletion of some key: the index falls, the content is the same.
        assert_eq!(changes(known.update(Revision(8), entries(&now))), []);
        assert_eq!((known.revision, known.index), (Revision(9), Revision(8)));
    }

    #[test]
    fn an_older_store_is_no_change() {
        let listed = entries(&[("a", 1), ("b", 5)]);
        for now in [&[("a", 1), ("b", 3)][..], &[]] {
            let mut known = Known::new(Revision(5), Revision(5), &listed);
            assert_eq!(
                known.update(Revision(3), entries(now)),
                Difference::WentBack
            );
        }
        let mut known = Known::new(Revision(5), Revision(5), &listed);
        assert_eq!(changes(known.update(Revision(6), Vec::new())).len(), 2);
    }
}
