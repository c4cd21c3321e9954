//! Whether the store is the one that is known.

use super::*;

fn store() -> Fake {
    let fake = Fake::default();
    for _ in 0..10 {
        fake.put("traefik/http/routers/a/rule", "A");
    }
    fake
}

fn allowing() -> SessionSettings {
    SessionSettings {
        allow_restore: true,
        ..settings("traefik")
    }
}

#[test]
fn a_deletion_of_everything_is_a_deletion() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, settings("traefik")).await;
        fake.set_up(false);
        fake.delete("traefik/http/routers/a/rule");
        fake.compact();
        fake.set_up(true);
        run.until_rules(&[]).await;
    });
}

/// (what takes the store's place, what is told)
const OTHERS: [(Option<u64>, u64, &str); 3] = [
    (Some(2), 100, "another store"),
    (Some(2), 3, "another store"),
    (Some(1), 3, "wiped or restored"),
];

#[test]
fn another_or_an_older_store_is_not_taken() {
    for (id, revision, told) in OTHERS {
        paused(async {
            let fake = store();
            let run = Run::ready(&fake, settings("traefik")).await;
            fake.replace(id, revision);
            let view = run.until_error(told).await;
            assert!(view.error().contains("allowRestore"), "{}", view.error());
            assert_eq!(view.rules(), [("a", Some("A"))]);
            // However much is written to it.
            for n in 0..20 {
                fake.put("traefik/http/routers/b/rule", &n.to_string());
                sleep(Duration::from_secs(2)).await;
            }
            fake.disconnect();
            sleep(Duration::from_secs(5)).await;
            let view = run.view();
            assert_eq!(view.rules(), [("a", Some("A"))], "{told}");
            assert!(view.error().contains("allowRestore"), "{}", view.error());
        });
    }
}

#[test]
fn another_store_with_the_same_content_is_taken() {
    for (id, revision, told) in OTHERS {
        paused(async {
            let fake = store();
            let run = Run::ready(&fake, settings("traefik")).await;
            fake.replace(id, revision);
            run.until_error(told).await;
            fake.put("traefik/http/routers/a/rule", "A");
            run.until_rules(&[("a", "A")]).await;
            fake.put("traefik/http/routers/a/rule", "B");
            run.until_rules(&[("a", "B")]).await;
        });
    }
}

#[test]
fn another_store_is_taken_where_that_is_allowed() {
    for (id, revision, _) in OTHERS {
        paused(async {
            let fake = store();
            let run = Run::ready(&fake, allowing()).await;
            fake.set_up(false);
            fake.replace(id, revision);
            fake.put("traefik/http/routers/b/rule", "B");
            fake.set_up(true);
            run.until_rules(&[("b", "B")]).await;
        });
    }
}

#[test]
fn the_known_store_that_comes_back_is_taken() {
    paused(async {
        let fake = store();
        let run = Run::ready(&fake, settings("traefik")).await;
        fake.set_id(Some(9));
        fake.put("traefik/http/routers/a/rule", "B");
        fake.disconnect();
        fake.compact();
        run.until_error("another store").await;
        fake.set_id(Some(1));
        fake.disconnect();
        run.until_rules(&[("a", "B")]).await;
    });
}

#[test]
fn a_store_without_identity_that_comes_back_empty_is_not_taken() {
    paused(async {
        let fake = store();
        fake.set_id(None);
        let run = Run::ready(&fake, settings("traefik")).await;
        fake.delete("traefik/http/routers/a/rule");
        run.until_rules(&[]).await;
        fake.put("traefik/http/routers/a/rule", "A");
        run.until_rules(&[("a", "A")]).await;
        fake.replace(None, 100);
        let view = run.until_error("empty").await;
        assert_eq!(view.rules(), [("a", Some("A"))]);
        fake.put("traefik/http/routers/b/rule", "B");
        run.until_rules(&[("b", "B")]).await;
    });
}
