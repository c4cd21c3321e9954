//! A root that an alias key names.

use super::super::store::Failure;
use super::*;

/// Two trees, the first in force.
fn store() -> Fake {
    let fake = Fake::default();
    fake.put(&rule("one", "a"), "1");
    fake.put(&rule("two", "b"), "2");
    fake.put("alias", "one");
    fake
}

#[test]
fn a_write_of_the_alias_puts_the_tree_it_names_into_force_as_one_change() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, alias_settings(false)).await;
        assert_eq!(run.view().rules(), [("a", Some("1"))]);
        let revision = fake.put("alias", " /two/ \n");
        let view = run.until_rules(&[("b", "2")]).await;
        assert_eq!(run.updates_count(), 2);
        assert_eq!(view.position, revision.to_string());
    });
}

#[test]
fn only_a_write_of_the_alias_triggers_and_the_same_value_counts() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, alias_settings(false)).await;
        fake.put(&rule("one", "a"), "changed");
        fake.put("alias2", "two");
        sleep(Duration::from_secs(5)).await;
        assert_eq!(run.updates_count(), 1);
        fake.put("alias", "one");
        run.until_rules(&[("a", "changed")]).await;
    });
}

#[test]
fn the_old_tree_may_be_deleted_before_the_flip() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, alias_settings(false)).await;
        fake.delete(&rule("one", "a"));
        run.idle().await;
        assert_eq!(run.view().rules(), [("a", Some("1"))]);
        fake.put("alias", "two");
        run.until_rules(&[("b", "2")]).await;
        assert_eq!(run.updates_count(), 2);
    });
}

#[test]
fn a_flip_between_equal_trees_changes_nothing() {
    paused(async {
        let fake = store();
        fake.put(&rule("same", "a"), "1");
        let run = Run::ready(&fake, alias_settings(false)).await;
        fake.put("alias", "same");
        run.idle().await;
        assert_eq!(run.listed(), ["same/"]);
        assert_eq!(run.updates_count(), 1);
    });
}

#[test]
fn the_tree_is_the_one_of_the_flips_revision() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, alias_settings(false)).await;
        fake.put("alias", "two");
        fake.put(&rule("two", "b"), "later");
        run.until_rules(&[("b", "2")]).await;
    });
}

/// (what the alias is set to, what is told)
const BAD: [(Option<&str>, &str); 5] = [
    (Some("nowhere"), "nowhere"),
    (Some(""), "is empty"),
    (Some(" / "), "is empty"),
    (Some("bad"), "nothing can be used"),
    (None, "does not exist"),
];

#[test]
fn a_target_that_is_of_no_use_keeps_the_old_tree() {
    for watches_tree in [false, true] {
        for (value, told) in BAD {
            paused(async {
                let fake = store();
                fake.put("bad/http/routers/a/priority", "many");
                let run = Run::ready(&fake, alias_settings(watches_tree)).await;
                fake.commit(&[("alias", value)]);
                let view = run.until_error(told).await;
                assert_eq!(view.rules(), [("a", Some("1"))]);
                assert!(
                    view.error().contains("the tree of one stays"),
                    "{}",
                    view.error()
                );
                let told = run.updates_count();
                fake.disconnect();
                sleep(Duration::from_secs(3)).await;
                let after = run.view();
                assert_eq!(after.error, view.error);
                assert!(run.updates_count() <= told + 2, "an outage at most");
                fake.put("alias", "two");
                run.until_rules(&[("b", "2")]).await;
            });
        }
    }
}

#[test]
fn without_an_alias_nothing_is_in_force_and_it_is_told() {
    paused(async {
        let fake = Fake::default();
        let run = Run::start(&fake, alias_settings(false));
        let view = run
            .until_error("alias does not exist: nothing is in force")
            .await;
        assert!(!view.is_reported);
        fake.commit(&[("alias", Some("one")), (&rule("one", "a"), Some("1"))]);
        run.until_rules(&[("a", "1")]).await;
    });
}

#[test]
fn a_newer_write_ends_a_running_listing() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, alias_settings(false)).await;
        fake.hold_listings(true);
        fake.put("alias", "nowhere");
        run.idle().await;
        fake.put("elsewhere", "");
        fake.put("alias", "two");
        run.idle().await;
        fake.hold_listings(false);
        run.until_rules(&[("b", "2")]).await;
        assert_eq!(run.updates_count(), 2, "nothing is told of the first");
        assert_eq!(run.listed(), ["nowhere/", "two/"]);
    });
}

#[test]
fn a_flip_survives_failures_while_its_tree_is_listed() {
    for failure in [
        Failure::Unavailable,
        Failure::Unauthenticated,
        Failure::Compacted,
        Failure::Refused,
    ] {
        paused(async {
            let fake = store();
            let run = Run::ready(&fake, alias_settings(false)).await;
            fake.hold_listings(true);
            fake.put("alias", "two");
            run.idle().await;
            fake.fail([failure]);
            run.idle().await;
            fake.hold_listings(false);
            run.until_rules(&[("b", "2")]).await;
        });
    }
}

#[test]
fn a_flip_whose_revision_is_compacted_takes_the_present_alias() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, alias_settings(false)).await;
        fake.set_up(false);
        run.idle().await;
        fake.put("alias", "two");
        fake.put(&rule("two", "c"), "3");
        fake.compact();
        fake.set_up(true);
        run.until_rules(&[("b", "2"), ("c", "3")]).await;
    });
}

#[test]
fn after_an_interruption_nothing_is_listed_unless_the_alias_was_written() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, alias_settings(false)).await;
        fake.set_up(false);
        run.until_error("gone").await;
        fake.put(&rule("one", "a"), "changed");
        fake.set_up(true);
        run.until_rules(&[("a", "1")]).await;
        assert_eq!(run.listed(), [""; 0]);
        fake.set_up(false);
        run.until_error("gone").await;
        fake.put("alias", "one");
        fake.set_up(true);
        run.until_rules(&[("a", "changed")]).await;
    });
}

#[test]
fn another_store_is_not_taken_by_an_alias_either() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, alias_settings(false)).await;
        fake.replace(Some(2), 0);
        fake.commit(&[("alias", Some("new")), (&rule("new", "n"), Some("N"))]);
        let view = run.until_error("another store").await;
        assert_eq!(view.rules(), [("a", Some("1"))]);
        fake.commit(&[
            ("alias", Some("new")),
            (&rule("new", "n"), None),
            (&rule("new", "a"), Some("1")),
        ]);
        run.until_rules(&[("a", "1")]).await;
    });
}

#[test]
fn a_watched_tree_changes_without_a_flip() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, alias_settings(true)).await;
        fake.put(&rule("one", "b"), "new");
        fake.put(&rule("two", "x"), "unseen");
        run.until_rules(&[("a", "1"), ("b", "new")]).await;
        fake.put("alias", "two");
        run.until_rules(&[("b", "2"), ("x", "unseen")]).await;
        fake.delete(&rule("one", "a"));
        fake.delete(&rule("two", "x"));
        run.until_rules(&[("b", "2")]).await;
        fake.disconnect();
        fake.put(&rule("two", "c"), "3");
        run.until_rules(&[("b", "2"), ("c", "3")]).await;
    });
}

#[test]
fn one_transaction_on_a_watched_tree_and_the_alias_is_one_change() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, alias_settings(true)).await;
        fake.commit(&[(&rule("one", "a"), None), ("alias", Some("two"))]);
        run.until_rules(&[("b", "2")]).await;
        assert_eq!(run.updates_count(), 2);
    });
}

#[test]
fn a_flip_that_is_heard_of_late_is_not_overtaken_by_its_tree() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, alias_settings(true)).await;
        fake.let_keys_lag(true);
        fake.commit(&[(&rule("one", "a"), None), ("alias", Some("two"))]);
        run.until_rules(&[("b", "2")]).await;
        fake.put("alias", "two");
        fake.put(&rule("two", "c"), "3");
        run.until_rules(&[("b", "2"), ("c", "3")]).await;
        assert_eq!(run.updates_count(), 3);
        fake.let_keys_lag(false);
        run.idle().await;
        assert_eq!(run.updates_count(), 3, "what is in force is newer");
    });
}
