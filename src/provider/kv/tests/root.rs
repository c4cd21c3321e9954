//! A configured root: listing, watching, and every failure between them.

use super::super::backoff::AFTER_REFUSAL;
use super::super::store::Failure;
use super::*;

fn store() -> Fake {
    let fake = Fake::default();
    fake.put("traefik/http/routers/a/rule", "A");
    fake
}

#[test]
fn the_first_state_is_a_snapshot_and_changes_are_patches() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, settings("traefik")).await;
        assert_eq!(run.view().rules(), [("a", Some("A"))]);
        let revision = fake.commit(&[
            ("traefik/http/routers/a/rule", None),
            ("traefik/http/routers/b/rule", Some("B")),
            ("traefik/http/routers/c/rule", Some("C")),
        ]);
        let view = run.until_rules(&[("b", "B"), ("c", "C")]).await;
        assert_eq!(run.updates_count(), 2, "one transaction is one change");
        assert_eq!(view.position, revision.to_string());
        assert_eq!(run.seen.get().revision.0, revision);
    });
}

#[test]
fn an_empty_store_is_a_state_too() {
    paused(async {
        let fake = Fake::default();
        let run = Run::ready(&fake, settings("traefik")).await;
        assert_eq!(run.view().rules(), []);
        fake.put("traefik/http/routers/a/rule", "A");
        run.until_rules(&[("a", "A")]).await;
    });
}

#[test]
fn equal_content_and_other_roots_send_nothing_but_are_seen() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, settings("traefik/")).await;
        fake.put("traefik2/http/routers/x/rule", "X");
        fake.put("traefik/http/routers/a/rule", "A");
        let last = fake.put("elsewhere", "");
        run.idle().await;
        assert_eq!(run.updates_count(), 1);
        assert_eq!(run.seen.get().revision.0, last);
    });
}

#[test]
fn a_broken_watch_goes_on_where_it_stopped() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, settings("traefik")).await;
        fake.set_up(false);
        run.until_error("the store is gone").await;
        fake.put("traefik/http/routers/b/rule", "B");
        fake.set_up(true);
        run.until_rules(&[("a", "A"), ("b", "B")]).await;
        assert_eq!(run.listed(), [""; 0], "nothing was listed again");
        let failures = run.updates.borrow();
        let failures = failures
            .iter()
            .filter(|update| matches!(update.payload, Payload::Failed(_)));
        assert_eq!(failures.count(), 1, "an outage is told once");
    });
}

#[test]
fn an_outage_without_changes_is_told_and_taken_back() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, settings("traefik")).await;
        fake.set_up(false);
        run.until_error("the store is gone").await;
        assert_eq!(
            run.view().rules(),
            [("a", Some("A"))],
            "the last state stays"
        );
        fake.set_up(true);
        run.until_rules(&[("a", "A")]).await;
        assert_eq!(run.updates_count(), 3);
    });
}

#[test]
fn events_that_come_again_after_an_interruption_change_nothing() {
    paused(async {
        let fake = store();
        fake.repeat_events();
        let run = Run::ready(&fake, settings("traefik")).await;
        fake.put("traefik/http/routers/a/rule", "B");
        fake.put("traefik/http/routers/a/rule", "A");
        run.until(|view| view.number == 3).await;
        fake.disconnect();
        run.until(|view| view.number == 4 && view.error.is_some())
            .await;
        run.until_rules(&[("a", "A")]).await;
        fake.put("traefik/http/routers/a/rule", "C");
        run.until_rules(&[("a", "C")]).await;
        assert_eq!(
            run.updates_count(),
            6,
            "three states, an outage, its end, a state"
        );
    });
}

#[test]
fn compacted_history_is_listed_anew_and_equal_content_sends_nothing() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, settings("traefik")).await;
        fake.fail([Failure::Compacted]);
        run.idle().await;
        assert_eq!(run.listed(), ["traefik/"]);
        assert_eq!(run.updates_count(), 1);
        fake.set_up(false);
        run.until_error("gone").await;
        fake.put("traefik/http/routers/a/rule", "B");
        fake.compact();
        fake.set_up(true);
        run.until_rules(&[("a", "B")]).await;
        assert_eq!(run.listed(), ["traefik/"]);
    });
}

#[test]
fn an_expired_permission_is_renewed_at_once_and_silently() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, settings("traefik")).await;
        fake.fail([Failure::Unauthenticated]);
        run.idle().await;
        assert!(fake.asked().contains(&Asked::Connect));
        fake.put("traefik/http/routers/a/rule", "B");
        run.until_rules(&[("a", "B")]).await;
        assert_eq!(run.updates_count(), 2, "no outage was told");
    });
}

#[test]
fn a_refusal_is_told_once_and_tried_seldom() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, settings("traefik")).await;
        fake.fail([Failure::Unavailable, Failure::Refused, Failure::Refused]);
        run.until_error("Refused").await;
        fake.asked();
        sleep(AFTER_REFUSAL - Duration::from_millis(100)).await;
        assert_eq!(fake.asked(), []);
        run.until_rules(&[("a", "A")]).await;
        assert_eq!(
            run.updates_count(),
            4,
            "snapshot, outage, refusal, recovery"
        );
    });
}

#[test]
fn a_store_that_is_gone_is_tried_at_least_every_second() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, settings("traefik")).await;
        fake.set_up(false);
        sleep(Duration::from_secs(60)).await;
        let tries = fake.asked().len();
        assert!((60..200).contains(&tries), "{tries} tries in a minute");
        assert_eq!(run.updates_count(), 2);
    });
}

#[test]
fn what_is_written_while_the_tree_is_listed_is_not_lost() {
    paused(async {
        let fake = store();
        fake.hold_listings(true);
        let run = Run::start(&fake, settings("traefik"));
        run.idle().await;
        fake.put("traefik/http/routers/b/rule", "B");
        fake.hold_listings(false);
        run.until_rules(&[("a", "A"), ("b", "B")]).await;
        assert_eq!(run.updates_count(), 2, "the listing, then the write");
    });
}

#[test]
fn what_is_written_between_listing_and_watch_is_not_lost() {
    paused(async {
        let fake = store();
        fake.fail_watches([Failure::Unavailable, Failure::Unavailable]);
        let run = Run::start(&fake, settings("traefik"));
        run.until(|view| view.is_reported).await;
        fake.put("traefik/http/routers/b/rule", "B");
        run.until_rules(&[("a", "A"), ("b", "B")]).await;
    });
}

#[test]
fn a_store_that_cannot_say_what_changed_is_listed() {
    paused(async {
        let fake = store();
        fake.set_vague();
        let run = Run::ready(&fake, settings("traefik")).await;
        fake.put("traefik/http/routers/a/rule", "B");
        run.until_rules(&[("a", "B")]).await;
        fake.put("traefik/http/routers/a/rule", "B");
        run.idle().await;
        assert_eq!(run.updates_count(), 2);
        assert_eq!(run.listed(), ["traefik/", "traefik/"]);
    });
}

#[test]
fn a_bad_object_is_rejected_alone() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, settings("traefik")).await;
        fake.put("traefik/http/routers/a/priority", "many");
        fake.put("traefik/http/routers/b/rule", "B");
        let view = run.until(|view| view.objects.len() == 2).await;
        assert_eq!(view.rules(), [("a", None), ("b", Some("B"))]);
        assert!(matches!(view.objects[&router("a")], Entry::Rejected(_)));
    });
}

#[test]
fn the_other_spelling_of_the_root_is_used_only_if_the_configured_one_is_empty() {
    paused(async {
        let fake = Fake::default();
        fake.put("/traefik/http/routers/a/rule", "A");
        let run = Run::ready(&fake, settings("traefik")).await;
        assert_eq!(run.view().rules(), [("a", Some("A"))]);
        fake.put("/traefik/http/routers/b/rule", "B");
        run.until_rules(&[("a", "A"), ("b", "B")]).await;

        fake.put("traefik/http/routers/c/rule", "C");
        let run = Run::ready(&fake, settings("traefik")).await;
        assert_eq!(run.view().rules(), [("c", Some("C"))]);
        fake.delete("traefik/http/routers/c/rule");
        fake.compact();
        fake.disconnect();
        run.until_rules(&[]).await;
        sleep(Duration::from_secs(5)).await;
        assert_eq!(
            run.view().rules(),
            [],
            "a deletion is not undone by an old tree"
        );
    });
}

#[test]
fn a_tree_that_is_too_large_is_told_and_the_last_good_one_stays() {
    paused(async {
        let fake = store();
        let mut settings = settings("traefik");
        settings.limits.pairs = 2;
        let run = Run::ready(&fake, settings).await;
        fake.put("traefik/http/routers/b/rule", "B");
        fake.put("traefik/http/routers/c/rule", "C");
        let view = run.until_error("the limits are 2 and").await;
        assert_eq!(view.rules(), [("a", Some("A")), ("b", Some("B"))]);
        fake.delete("traefik/http/routers/a/rule");
        run.until_rules(&[("b", "B"), ("c", "C")]).await;
    });
}
