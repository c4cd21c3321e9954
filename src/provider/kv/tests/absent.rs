//! A start without the store: what was saved, when, and what is done with it.

use super::super::saved;
use super::super::session::{ABSENT_AFTER, KvProvider, SAVED_EVERY, SETTLED_AFTER};
use super::*;

/// What a file holds.
fn saved_values(directory: &Path) -> Vec<String> {
    let saved = saved::read(&saved::path(directory, "etcd")).unwrap();
    let pairs = saved.map(|saved| saved.pairs).unwrap_or_default();
    let values = pairs.into_iter().map(|(_, value)| value);
    values
        .map(|value| String::from_utf8(value).unwrap())
        .collect()
}

/// A store, and its state saved by a session that has ended.
async fn saved_store(directory: &Path, settings: SessionSettings) -> Fake {
    let fake = Fake::default();
    fake.put("alias", "traefik");
    fake.put("traefik/http/routers/a/rule", "A");
    let run = Run::ready(&fake, with_state(directory, settings)).await;
    run.stop().await;
    fake
}

#[test]
fn the_saved_state_is_in_force_while_the_store_is_absent() {
    paused(async {
        let directory = tempfile::tempdir().unwrap();
        let fake = saved_store(directory.path(), settings("traefik")).await;
        fake.set_up(false);
        let run = Run::start(&fake, with_state(directory.path(), settings("traefik")));
        sleep(ABSENT_AFTER / 2).await;
        assert!(!run.view().is_reported);
        let view = run.until_error("in force is the store's state of ").await;
        assert_eq!(view.rules(), [("a", Some("A"))]);
        assert!(
            view.error().contains("the store is gone"),
            "{}",
            view.error()
        );
        fake.put("traefik/http/routers/b/rule", "B");
        fake.set_up(true);
        run.until_rules(&[("a", "A"), ("b", "B")]).await;
    });
}

#[test]
fn a_store_that_is_there_makes_the_saved_state_needless() {
    paused(async {
        let directory = tempfile::tempdir().unwrap();
        let fake = saved_store(directory.path(), settings("traefik")).await;
        fake.put("traefik/http/routers/a/rule", "B");
        let run = Run::ready(&fake, with_state(directory.path(), settings("traefik"))).await;
        sleep(ABSENT_AFTER * 2).await;
        assert_eq!(run.view().rules(), [("a", Some("B"))]);
        assert_eq!(run.updates_count(), 1);
    });
}

#[test]
fn a_store_that_was_wiped_over_a_restart_is_not_taken() {
    paused(async {
        let directory = tempfile::tempdir().unwrap();
        let fake = saved_store(directory.path(), settings("traefik")).await;
        fake.replace(Some(1), 0);
        let settings = with_state(directory.path(), settings("traefik"));
        let run = Run::start(&fake, settings.clone());
        let view = run.until_error("wiped or restored").await;
        assert_eq!(view.rules(), [("a", Some("A"))]);
        run.stop().await;
        assert_eq!(saved_values(directory.path()), ["A"]);
        let allowing = SessionSettings {
            allow_restore: true,
            ..settings
        };
        let run = Run::ready(&fake, allowing).await;
        assert_eq!(run.view().rules(), []);
    });
}

#[test]
fn a_deletion_while_the_proxy_was_down_is_a_deletion() {
    paused(async {
        let directory = tempfile::tempdir().unwrap();
        let fake = saved_store(directory.path(), settings("traefik")).await;
        fake.delete("traefik/http/routers/a/rule");
        let run = Run::ready(&fake, with_state(directory.path(), settings("traefik"))).await;
        assert_eq!(run.view().rules(), []);
    });
}

#[test]
fn a_missing_alias_target_keeps_the_old_tree_over_a_restart() {
    paused(async {
        let directory = tempfile::tempdir().unwrap();
        let fake = saved_store(directory.path(), alias_settings(false)).await;
        for (value, told) in [
            (Some("nowhere"), "nowhere"),
            (Some(""), "is empty"),
            (None, "does not exist"),
        ] {
            fake.commit(&[("alias", value)]);
            let run = Run::start(&fake, with_state(directory.path(), alias_settings(false)));
            let view = run.until_error(told).await;
            assert_eq!(view.rules(), [("a", Some("A"))]);
            assert!(
                view.error().contains("the tree of traefik stays"),
                "{}",
                view.error()
            );
            run.stop().await;
        }
        fake.put("alias", "traefik/");
        let run = Run::ready(&fake, with_state(directory.path(), alias_settings(false))).await;
        assert_eq!(run.view().rules(), [("a", Some("A"))]);
    });
}

#[test]
fn files_of_others_and_damaged_ones_are_not_used() {
    paused(async {
        let directory = tempfile::tempdir().unwrap();
        let fake = saved_store(directory.path(), settings("traefik")).await;
        fake.set_up(false);
        let path = saved::path(directory.path(), "etcd");
        let other_root = with_state(directory.path(), settings("other"));
        let with_alias = with_state(directory.path(), alias_settings(false));
        let other_provider = SessionSettings {
            provider: "redis".into(),
            ..with_state(directory.path(), settings("traefik"))
        };
        std::fs::copy(&path, saved::path(directory.path(), "redis")).unwrap();
        for settings in [other_root, with_alias, other_provider] {
            let run = Run::start(&fake, settings);
            sleep(ABSENT_AFTER * 2).await;
            assert!(!run.view().is_reported);
            run.stop().await;
        }
        assert_eq!(
            saved_values(directory.path()),
            ["A"],
            "what is not used stays"
        );
        std::fs::write(&path, "damaged").unwrap();
        let run = Run::start(&fake, with_state(directory.path(), settings("traefik")));
        sleep(ABSENT_AFTER * 2).await;
        assert!(!run.view().is_reported);
    });
}

#[test]
fn the_state_is_saved_once_it_has_settled_and_not_too_often() {
    paused(async {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::default();
        fake.put("traefik/http/routers/a/rule", "0");
        let settings = with_state(directory.path(), settings("traefik"));
        let _run = Run::ready(&fake, settings).await;
        assert_eq!(saved_values(directory.path()), [""; 0]);
        sleep(SETTLED_AFTER * 2).await;
        assert_eq!(saved_values(directory.path()), ["0"]);
        fake.put("traefik/http/routers/a/rule", "1");
        sleep(SETTLED_AFTER * 3).await;
        assert_eq!(saved_values(directory.path()), ["0"]);
        sleep(SAVED_EVERY).await;
        assert_eq!(saved_values(directory.path()), ["1"]);
        // It never settles.
        let mut kept = 0;
        for n in 2..60 {
            fake.put("traefik/http/routers/a/rule", &n.to_string());
            sleep(SETTLED_AFTER / 2).await;
            let saved: i32 = saved_values(directory.path())[0].parse().unwrap();
            kept = kept.max(n - saved);
        }
        assert!((10..45).contains(&kept), "{kept} half seconds unsaved");
    });
}

#[test]
fn the_end_of_the_session_saves_what_is_not_saved_yet() {
    paused(async {
        let directory = tempfile::tempdir().unwrap();
        let fake = saved_store(directory.path(), settings("traefik")).await;
        assert_eq!(saved_values(directory.path()), ["A"]);
        let run = Run::ready(&fake, with_state(directory.path(), settings("traefik"))).await;
        fake.put("traefik/http/routers/a/rule", "B");
        run.until_rules(&[("a", "B")]).await;
        run.stop().await;
        assert_eq!(saved_values(directory.path()), ["B"]);
    });
}

#[test]
fn without_store_and_saved_state_nothing_is_said_but_why() {
    paused(async {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::default();
        fake.set_up(false);
        let run = Run::start(&fake, with_state(directory.path(), settings("traefik")));
        sleep(Duration::from_secs(60)).await;
        let view = run.view();
        assert!(!view.is_reported);
        assert_eq!(view.number, 1);
        fake.set_up(true);
        run.until_rules(&[]).await;
    });
}

#[test]
fn a_provider_saves_what_is_in_force_when_it_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let settings = with_state(directory.path(), settings("traefik"));
    let (sender, updates) = crossbeam_channel::unbounded();
    let store = || {
        let fake = Fake::default();
        fake.put("traefik/http/routers/a/rule", "A");
        fake.store()
    };
    let sink = move |update| drop(sender.send(update));
    let provider = KvProvider::start(settings, store, sink).unwrap();
    let first = updates.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(first.payload, Payload::Snapshot(objects) if objects.len() == 1));
    drop(provider);
    assert_eq!(saved_values(directory.path()), ["A"]);
    assert!(updates.recv().is_err(), "its thread has ended");
}
