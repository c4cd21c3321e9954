//! The values of one key, for other sources.

use super::super::alias::{AliasEvent, values};
use super::super::store::{Failure, Revision};
use super::*;

fn written(revision: u64, value: Option<&str>) -> AliasEvent {
    AliasEvent::Written {
        revision: Revision(revision),
        value: value.map(str::to_owned),
    }
}

#[test]
fn the_first_state_and_every_write_are_given() {
    paused(async {
        let fake = Fake::default();
        let mut values = values(fake.store(), "alias");
        fake.put("other", "");
        assert_eq!(values.next().await, written(1, None));
        fake.put("alias", " a\n");
        fake.put("other", "");
        fake.put("alias", "a");
        fake.delete("alias");
        assert_eq!(values.next().await, written(2, Some("a")));
        assert_eq!(values.next().await, written(4, Some("a")));
        assert_eq!(values.next().await, written(5, None));
    });
}

#[test]
fn an_interruption_loses_nothing_and_repeats_nothing() {
    paused(async {
        let fake = Fake::default();
        fake.repeat_events();
        fake.put("alias", "a");
        let mut values = values(fake.store(), "alias");
        assert_eq!(values.next().await, written(1, Some("a")));
        fake.put("alias", "b");
        assert_eq!(values.next().await, written(2, Some("b")));
        fake.set_up(false);
        assert!(matches!(values.next().await, AliasEvent::Lost(_)));
        fake.set_up(true);
        assert_eq!(values.next().await, AliasEvent::Found);
        fake.disconnect();
        fake.put("alias", "c");
        let mut next = values.next().await;
        while !matches!(next, AliasEvent::Written { .. }) {
            next = values.next().await;
        }
        assert_eq!(next, written(3, Some("c")));
    });
}

#[test]
fn what_the_store_cannot_account_for_is_read_again() {
    paused(async {
        let fake = Fake::default();
        fake.put("alias", "a");
        let mut values = values(fake.store(), "alias");
        assert_eq!(values.next().await, written(1, Some("a")));
        fake.fail([Failure::Compacted]);
        assert_eq!(values.next().await, written(1, Some("a")));
        fake.replace(Some(2), 0);
        fake.put("alias", "z");
        assert!(matches!(values.next().await, AliasEvent::Lost(_)));
        assert_eq!(values.next().await, written(1, Some("z")));
        fake.set_vague();
        fake.put("alias", "y");
        assert_eq!(values.next().await, written(2, Some("y")));
    });
}
