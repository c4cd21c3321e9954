//! Waiting for a state of the store, whatever made it, and what is told of keys that belong to no object.

use super::super::seen::Seen;
use super::super::store::Revision;
use super::*;

/// A store whose watches do not tell how far it is.
fn silent() -> Fake {
    let fake = Fake::default();
    fake.set_silent();
    fake.put("traefik/http/routers/a/rule", "A");
    fake
}

async fn reached(seen: &Seen, revision: u64) -> u64 {
    let wait = tokio::time::timeout(PATIENCE, seen.reach(Revision(revision)));
    wait.await.expect("it is seen in time").revision.0
}

async fn is_not_reached(seen: &Seen, revision: u64) {
    let wait = tokio::time::timeout(PATIENCE, seen.reach(Revision(revision)));
    assert!(wait.await.is_err(), "the store is not there");
}

fn questions(fake: &Fake) -> usize {
    let asked = fake.asked().into_iter();
    asked
        .filter(|asked| matches!(asked, Asked::Confirm(_)))
        .count()
}

#[test]
fn a_state_that_another_key_made_is_seen_once_somebody_waits_for_it() {
    paused(async {
        let fake = silent();
        let run = Run::ready(&fake, settings("traefik")).await;
        let before = fake.put("traefik/", "the prefix itself is no key below it");
        run.idle().await;
        let last = fake.put("elsewhere", "1");
        run.idle().await;
        assert_eq!(run.seen.get().revision.0, before);
        assert_eq!(questions(&fake), 0, "nobody waits");
        assert!(reached(&run.seen, last).await >= last);
        assert!(questions(&fake) > 0);
        sleep(PATIENCE).await;
        assert_eq!(questions(&fake), 0, "nobody waits any more");
        // The watch goes on.
        fake.put("traefik/http/routers/b/rule", "B");
        run.until_rules(&[("a", "A"), ("b", "B")]).await;
    });
}

#[test]
fn a_state_that_the_store_has_not_reached_is_waited_for() {
    paused(async {
        let fake = silent();
        let run = Run::ready(&fake, settings("traefik")).await;
        let future = fake.revision() + 2;
        is_not_reached(&run.seen, future).await;
        let writing = async {
            sleep(Duration::from_secs(1)).await;
            fake.put("elsewhere", "1");
            fake.put("elsewhere", "2");
        };
        let (revision, ()) = tokio::join!(reached(&run.seen, future), writing);
        assert_eq!(revision, future);
        // Who waits for what is far away keeps nobody from learning what is near.
        let near = fake.put("elsewhere", "3");
        tokio::join!(is_not_reached(&run.seen, 1_000_000), async {
            assert_eq!(reached(&run.seen, near).await, near);
        });
    });
}

#[test]
fn a_write_in_the_tree_is_seen_without_a_question_also_if_it_changes_nothing() {
    paused(async {
        let fake = silent();
        let run = Run::ready(&fake, settings("traefik")).await;
        for value in ["B", "B"] {
            let revision = fake.put("traefik/http/routers/a/rule", value);
            assert_eq!(reached(&run.seen, revision).await, revision);
        }
        assert_eq!(questions(&fake), 0);
        assert_eq!(run.updates_count(), 2, "the same again is no update");
        assert_eq!(run.seen.get().number, run.view().number);
    });
}

#[test]
fn what_cannot_be_confirmed_is_listed() {
    paused(async {
        let fake = silent();
        let run = Run::ready(&fake, settings("traefik")).await;
        fake.set_wrong();
        let last = fake.put("elsewhere", "1");
        assert_eq!(reached(&run.seen, last).await, last);
        assert_eq!(run.view().rules(), [("a", Some("A"))]);
    });
}

#[test]
fn a_store_that_breaks_while_it_is_asked_is_asked_again() {
    paused(async {
        let fake = silent();
        let run = Run::ready(&fake, settings("traefik")).await;
        let last = fake.put("elsewhere", "1");
        fake.fail([super::super::store::Failure::Unavailable]);
        assert_eq!(reached(&run.seen, last).await, last);
        run.until(|view| view.error.is_none()).await;
    });
}

#[test]
fn in_alias_mode_a_state_is_seen_once_the_alias_is_dealt_with() {
    for watches_tree in [false, true] {
        paused(async {
            let fake = silent();
            fake.put("one/http/routers/a/rule", "1");
            fake.put("alias", "one");
            let run = Run::ready(&fake, alias_settings(watches_tree)).await;
            let elsewhere = fake.put("elsewhere", "1");
            assert!(reached(&run.seen, elsewhere).await >= elsewhere);
            // A target that cannot be used is dealt with: it will not be better later.
            let nothing = fake.put("alias", "nothing");
            assert_eq!(reached(&run.seen, nothing).await, nothing);
            assert!(run.view().error().contains("names nothing"));
            fake.put("two/http/routers/a/rule", "2");
            let two = fake.put("alias", "two");
            assert_eq!(reached(&run.seen, two).await, two);
            assert_eq!(run.view().rules(), [("a", Some("2"))]);
            let in_tree = fake.put("two/http/routers/a/rule", "3");
            assert!(reached(&run.seen, in_tree).await >= in_tree);
            let expected = if watches_tree { "3" } else { "2" };
            assert_eq!(run.view().rules(), [("a", Some(expected))]);
        });
    }
}

#[test]
fn keys_that_belong_to_no_object_are_told_until_they_are_gone() {
    paused(async {
        let fake = silent();
        fake.put("traefik/htp/routers/x/rule", "X");
        let run = Run::ready(&fake, settings("traefik")).await;
        let problems = || {
            let problems = run.seen.get().problems;
            let keys = problems.first.iter().map(|problem| problem.key.clone());
            (keys.collect::<Vec<_>>(), problems.total)
        };
        assert_eq!(problems(), (vec!["traefik/htp/routers/x/rule".into()], 1));
        let text = run.seen.get().problems.first[0].text.clone();
        assert!(text.contains("unknown key, ignored"), "{text}");
        for n in 0..300 {
            fake.put(&format!("traefik/other/{n}"), "");
        }
        run.idle().await;
        let (first, total) = problems();
        assert_eq!((first.len(), total), (100, 301));
        for n in 0..300 {
            fake.delete(&format!("traefik/other/{n}"));
        }
        fake.delete("traefik/htp/routers/x/rule");
        run.idle().await;
        assert_eq!(problems(), (Vec::new(), 0));
    });
}
