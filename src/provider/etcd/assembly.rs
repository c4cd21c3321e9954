//! From a watch's answers to whole transactions: an answer may hold several revisions, and a large one comes in
//! fragments that may cut a revision anywhere. No I/O and no clocks.

use std::collections::VecDeque;

use super::messages::{KeyEvent, WatchResponse};
use crate::provider::kv::store::{Change, Event, Revision};

/// Largest transaction that is collected. A larger one (a prefix of a million keys deleted at once) becomes
/// [`Event::Unknown`], which leads to a new listing.
const MAX_TRANSACTION_BYTES: usize = 256 << 20;

/// What a change costs besides its key and value, about.
const CHANGE_BYTES: usize = 64;

/// Puts transactions together.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// The transaction of which more may come.
    open: Option<Open>,
    ready: VecDeque<Event>,
}

#[derive(Debug)]
struct Open {
    revision: u64,
    changes: Vec<Change>,
    bytes: usize,
}

impl Assembly {
    /// Takes the events of an answer in.
    pub(super) fn take(&mut self, response: WatchResponse) {
        for event in response.events {
            self.event(event);
        }
        // etcd never cuts a revision between two answers, only between two fragments of one.
        if !response.fragment {
            self.close();
        }
    }

    /// Notes that nothing has changed up to a revision.
    pub(super) fn progress(&mut self, revision: u64) {
        self.ready.push_back(Event::Progress(Revision(revision)));
    }

    /// The next event that is whole.
    pub(super) fn next(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn event(&mut self, event: KeyEvent) {
        let Some(kv) = event.kv else { return };
        let revision = u64::try_from(kv.mod_revision).unwrap_or_default();
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.revision != revision)
        {
            self.close();
        }
        let open = self.open.get_or_insert_with(|| Open {
            revision,
            changes: Vec::new(),
            bytes: 0,
        });
        open.bytes += kv.key.len() + kv.value.len() + CHANGE_BYTES;
        if open.bytes > MAX_TRANSACTION_BYTES {
            open.changes = Vec::new();
            return;
        }
        open.changes.push(Change {
            key: kv.key,
            value: (event.kind != KeyEvent::DELETED).then_some(kv.value),
        });
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.ready.push_back(if open.bytes > MAX_TRANSACTION_BYTES {
            Event::Unknown
        } else {
            Event::Transaction {
                revision: Revision(open.revision),
                changes: open.changes,
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::provider::etcd::messages::KeyValue;

    fn event(revision: u64, key: u8, value: Option<u8>) -> KeyEvent {
        KeyEvent {
            kind: i32::from(value.is_none()),
            kv: Some(KeyValue {
                key: vec![key],
                mod_revision: revision as i64,
                value: value.into_iter().collect(),
            }),
        }
    }

    fn answer(events: Vec<KeyEvent>, fragment: bool) -> WatchResponse {
        WatchResponse {
            events,
            fragment,
            ..WatchResponse::default()
        }
    }

    fn all(assembly: &mut Assembly) -> Vec<Event> {
        std::iter::from_fn(|| assembly.next()).collect()
    }

    #[test]
    fn a_transaction_is_told_once_it_is_whole() {
        let mut assembly = Assembly::default();
        assembly.take(answer(vec![event(5, 1, Some(1))], true));
        assert_eq!(all(&mut assembly), []);
        assembly.take(answer(vec![event(5, 2, None), event(6, 1, Some(2))], true));
        let five = all(&mut assembly);
        assert!(
            matches!(&five[..], [Event::Transaction { revision: Revision(5), changes }] if changes.len() == 2),
            "{five:?}"
        );
        assembly.take(answer(Vec::new(), false));
        let six = all(&mut assembly);
        assert!(
            matches!(
                &six[..],
                [Event::Transaction {
                    revision: Revision(6),
                    ..
                }]
            ),
            "{six:?}"
        );
    }

    #[test]
    fn a_transaction_that_is_too_large_leads_to_a_listing() {
        let mut assembly = Assembly::default();
        let large = |revision| KeyEvent {
            kind: 0,
            kv: Some(KeyValue {
                key: b"k".to_vec(),
                mod_revision: revision,
                value: vec![0; MAX_TRANSACTION_BYTES / 2],
            }),
        };
        for fragment in [true, true, false] {
            assembly.take(answer(vec![large(7)], fragment));
        }
        assembly.take(answer(vec![event(8, 1, None)], false));
        let told = all(&mut assembly);
        assert!(
            matches!(
                &told[..],
                [
                    Event::Unknown,
                    Event::Transaction {
                        revision: Revision(8),
                        ..
                    }
                ]
            ),
            "{} events",
            told.len()
        );
    }

    proptest! {
        /// However answers are cut into fragments: the same transactions as grouping the events by revision.
        #[test]
        fn fragments_change_nothing(
            sizes in prop::collection::vec(1usize..5, 1..20),
            cuts in prop::collection::vec(0usize..4, 100),
        ) {
            let mut expected = Vec::new();
            let mut events = Vec::new();
            for (n, size) in sizes.iter().enumerate() {
                let revision = 10 + n as u64 * 3;
                let mut changes = Vec::new();
                for key in 0..*size as u8 {
                    let value = (!(n + key as usize).is_multiple_of(3)).then_some(key);
                    changes.push(Change { key: vec![key], value: value.map(|value| vec![value]) });
                    events.push((event(revision, key, value), key as usize + 1 == *size));
                }
                expected.push(Event::Transaction { revision: Revision(revision), changes });
            }
            // 0: a fragment ends here; 1: an answer ends here if a revision does; else nothing ends.
            let mut assembly = Assembly::default();
            let mut part = Vec::new();
            let mut told = Vec::new();
            for ((event, is_last), cut) in events.into_iter().zip(cuts.into_iter().cycle()) {
                part.push(event);
                match cut {
                    0 => assembly.take(answer(std::mem::take(&mut part), true)),
                    1 if is_last => assembly.take(answer(std::mem::take(&mut part), false)),
                    _ => {}
                }
                told.extend(all(&mut assembly));
            }
            assembly.take(answer(part, false));
            told.extend(all(&mut assembly));
            prop_assert_eq!(told, expected);
        }
    }
}
