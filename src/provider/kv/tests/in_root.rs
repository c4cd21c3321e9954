//! Traefik 1's rule: an alias in the root names another one; without it the root itself is in force.

use super::*;

/// Settings for this root.
pub(super) fn in_root(root: &str) -> SessionSettings {
    SessionSettings {
        alias: Some(AliasSettings {
            key: super::super::in_root::key_below(root),
            watches_tree: false,
            is_in_root: true,
        }),
        ..settings(root)
    }
}

fn store() -> Fake {
    let fake = Fake::default();
    fake.put(&rule("base", "a"), "1");
    fake.put(&rule("two", "b"), "2");
    fake
}

#[test]
fn without_an_alias_the_root_is_in_force_and_followed() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, in_root("base")).await;
        assert_eq!(run.view().rules(), [("a", Some("1"))]);
        fake.put(&rule("base", "a"), "changed");
        run.until_rules(&[("a", "changed")]).await;
        assert_eq!(run.listed(), [""; 0], "a change is no listing");
        fake.delete(&rule("base", "a"));
        run.until_rules(&[]).await;
    });
}

#[test]
fn an_alias_takes_over_while_it_exists() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, in_root("base")).await;
        fake.put("base/alias", "two");
        run.until_rules(&[("b", "2")]).await;
        assert_eq!(run.updates_count(), 2);
        // Only the alias counts now.
        fake.put(&rule("base", "a"), "changed");
        fake.put(&rule("two", "b"), "changed");
        run.idle().await;
        assert_eq!(run.updates_count(), 2);
        fake.put("base/alias", "two");
        run.until_rules(&[("b", "changed")]).await;
        fake.delete("base/alias");
        run.until_rules(&[("a", "changed")]).await;
        fake.put(&rule("base", "a"), "followed");
        run.until_rules(&[("a", "followed")]).await;
    });
}

#[test]
fn a_transaction_that_writes_the_alias_and_deletes_the_root_is_one_change() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, in_root("base")).await;
        fake.commit(&[(&rule("base", "a"), None), ("base/alias", Some("two"))]);
        run.until_rules(&[("b", "2")]).await;
        assert_eq!(run.updates_count(), 2);
    });
}

#[test]
fn an_alias_that_is_there_at_the_start_counts_from_the_start() {
    paused(async {
        let fake = store();
        fake.put("base/alias", "/two/");
        let run = Run::ready(&fake, in_root("base")).await;
        assert_eq!(run.view().rules(), [("b", Some("2"))]);
        assert_eq!(run.updates_count(), 1);
        fake.delete(&rule("base", "a"));
        fake.put("base/alias", "nowhere");
        let view = run.until_error("nowhere, below which no key lies").await;
        assert_eq!(view.rules(), [("b", Some("2"))]);
    });
}

#[test]
fn the_alias_is_found_under_the_roots_other_spelling() {
    paused(async {
        let fake = Fake::default();
        fake.put("/base/alias", "/two");
        fake.put(&rule("/two", "b"), "2");
        let run = Run::ready(&fake, in_root("base")).await;
        assert_eq!(run.view().rules(), [("b", Some("2"))]);
        fake.put(&rule("/three", "c"), "3");
        fake.put("/base/alias", "/three");
        run.until_rules(&[("c", "3")]).await;
        fake.disconnect();
        fake.put("/base/alias", "/two");
        run.until_rules(&[("b", "2")]).await;
    });
}

#[test]
fn an_alias_that_is_gone_with_an_empty_root_keeps_the_tree_also_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let settings = || with_state(directory.path(), in_root("base"));
    paused(async {
        let fake = store();
        fake.delete(&rule("base", "a"));
        fake.put("base/alias", "two");
        let run = Run::ready(&fake, settings()).await;
        fake.delete("base/alias");
        let view = run.until_error("the tree of two stays in force").await;
        assert_eq!(view.rules(), [("b", Some("2"))]);
        run.stop().await;
        let run = Run::start(&fake, settings());
        let view = run.until_error("the tree of two stays in force").await;
        assert_eq!(view.rules(), [("b", Some("2"))]);
        // Whichever comes first ends it.
        fake.put(&rule("base", "a"), "1");
        run.until_rules(&[("a", "1")]).await;
        fake.put("base/alias", "two");
        run.until_rules(&[("b", "2")]).await;
    });
}

#[test]
fn an_alias_that_is_written_while_the_store_is_away_takes_over() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, in_root("base")).await;
        fake.disconnect();
        fake.commit(&[(&rule("base", "a"), None), ("base/alias", Some("two"))]);
        run.until_rules(&[("b", "2")]).await;
        fake.disconnect();
        fake.commit(&[(&rule("base", "a"), Some("back")), ("base/alias", None)]);
        run.until_rules(&[("a", "back")]).await;
    });
}
