//! The binary with a real etcd: what is written there is in force at once, whole transactions at a time, and
//! nothing that happens to etcd takes a route away.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::etcd::{self, etcd};
use support::following::{complains, generation, provider, proxy, put, route, tree};
use support::origin::answering;
use support::process::{answer, setup, text, wait_for};
use support::routes::{is_gone, serves};

/// How soon a change must be in force. A test's machine is busy; on a quiet one it takes milliseconds.
const SOON: Duration = Duration::from_secs(1);

#[test]
fn keys_become_routes_and_changes_are_in_force_at_once() {
    let etcd = etcd();
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    put(&etcd, &route("a", &one.url()));
    let proxy = proxy(&etcd, "").start();
    assert_eq!(proxy.get("a.test", "/").text(), "one", "before it listens");
    let server = "traefik/http/services/a/loadbalancer/servers/0/url";
    for (url, body) in [(two.url(), "two"), (one.url(), "one")] {
        etcd.ctl(&["put", server, &url]);
        let written = Instant::now();
        serves(&proxy, "a.test", body);
        assert!(written.elapsed() < SOON, "{:?}", written.elapsed());
    }
    put(&etcd, &route("b", &two.url()));
    serves(&proxy, "b.test", "two");
    etcd.ctl(&["del", "--prefix", "traefik/http/routers/b/"]);
    is_gone(&proxy, "b.test");
    assert_eq!(proxy.get("a.test", "/").text(), "one");
    // Everything deleted is everything gone, in a store that was in sight all the time.
    etcd.ctl(&["del", "--prefix", "traefik/"]);
    is_gone(&proxy, "a.test");
}

#[test]
fn a_transaction_is_never_seen_in_part() {
    let etcd = etcd();
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    put(&etcd, &route("a", &one.url()));
    let proxy = proxy(&etcd, "").start();
    let stop = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut seen = [0; 2];
            while !stop.load(Ordering::Relaxed) {
                // A router whose service is missing answers 404, one without servers 503.
                let response = proxy.get("a.test", "/");
                match &*response.text() {
                    "one" => seen[0] += 1,
                    "two" => seen[1] += 1,
                    other => panic!("{} {other}", response.status),
                }
            }
            seen
        });
        for n in 0..20 {
            // The router moves to another service, whose keys come with it; the old ones go.
            let (old, new, url) = match n % 2 {
                0 => ("a", "z", two.url()),
                _ => ("z", "a", one.url()),
            };
            etcd.transaction(&[
                ("traefik/http/routers/a/service", Some(new)),
                (
                    &format!("traefik/http/services/{old}/loadbalancer/servers/0/url"),
                    None,
                ),
                (
                    &format!("traefik/http/services/{new}/loadbalancer/servers/0/url"),
                    Some(&url),
                ),
            ]);
        }
        serves(&proxy, "a.test", "one");
        stop.store(true, Ordering::Relaxed);
        let seen = asking.join().expect("every answer is of one state");
        assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    });
}

#[test]
fn what_is_written_while_a_large_tree_is_listed_is_not_lost() {
    const ROUTES: usize = 10_000;
    let etcd = etcd();
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    let pairs: Vec<_> = (0..ROUTES)
        .flat_map(|n| route(&format!("r{n}"), &one.url()))
        .collect();
    etcd.fill(&pairs);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut count = 0;
            while count < 10 || !stop.load(Ordering::Relaxed) && count < 2000 {
                // What the first page tells changes, and a route moves from there to the last page or back.
                let (old, new) = [("a", "z"), ("z", "a")][count % 2];
                let mut pairs = route(new, &two.url());
                pairs.extend(route("r0", &format!("{}/{count}", two.url())));
                let gone = route(old, "");
                let mut changes: Vec<_> = gone.iter().map(|(key, _)| (&**key, None)).collect();
                changes.extend(pairs.iter().map(|(key, value)| (&**key, Some(&**value))));
                etcd.transaction(&changes);
                count += 1;
            }
            count
        });
        let proxy = proxy(&etcd, "").start();
        stop.store(true, Ordering::Relaxed);
        let count = writing.join().expect("written");
        let last = if count % 2 == 1 { "z.test" } else { "a.test" };
        serves(&proxy, last, "two");
        for host in ["r0.test", &format!("r{}.test", ROUTES - 1)] {
            assert_eq!(proxy.get(host, "/").status, 200, "{host}");
        }
        assert_eq!(provider(&proxy)["objects"], 2 * (ROUTES + 1));
    });
}

#[test]
fn an_etcd_that_comes_late_is_used_when_it_comes() {
    let mut etcd = etcd::setup().stopped();
    let one = answering(answer("one"));
    let proxy = setup(&format!(
        "entryPoints: {{web: {{address: \"127.0.0.1:0\"}}}}\n\
         providers: {{etcd: {{endpoints: [\"{}\"]}}}}\n\
         ringway: {{shards: 1, startupTimeout: 1}}\n",
        etcd.endpoint()
    ))
    .start();
    assert_eq!(proxy.get("a.test", "/").status, 404);
    etcd.start();
    put(&etcd, &route("a", &one.url()));
    serves(&proxy, "a.test", "one");
    assert!(
        proxy.log().contains(&etcd.endpoint()),
        "the endpoint is named"
    );
}

#[test]
fn an_etcd_that_goes_and_comes_back_takes_nothing_away() {
    let mut etcd = etcd();
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    put(&etcd, &route("a", &one.url()));
    let proxy = proxy(&etcd, "").start();
    etcd.stop();
    wait_for("the failure is told", || proxy.log().contains("etcd at "));
    assert_eq!(proxy.get("a.test", "/").text(), "one");
    let before = generation(&proxy);
    etcd.start();
    put(&etcd, &route("b", &two.url()));
    serves(&proxy, "b.test", "two");
    assert_eq!(proxy.get("a.test", "/").text(), "one");
    assert_ne!(generation(&proxy), before);
}

#[test]
fn what_was_compacted_while_etcd_was_away_is_listed_again() {
    let etcd = etcd();
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    put(&etcd, &route("a", &one.url()));
    put(&etcd, &route("gone", &one.url()));
    let proxy = proxy(&etcd, "").start();
    serves(&proxy, "gone.test", "one");
    // A proxy that hears nothing while everything it waits for is forgotten.
    proxy.signal("-STOP");
    etcd.ctl(&["del", "--prefix", "traefik/http/routers/gone/"]);
    put(&etcd, &route("a", &two.url()));
    let revision = etcd.revision();
    etcd.ctl(&["compaction", &revision.to_string()]);
    proxy.signal("-CONT");
    serves(&proxy, "a.test", "two");
    is_gone(&proxy, "gone.test");
}

#[test]
fn a_transaction_is_one_generation_however_many_objects_it_changes() {
    let etcd = etcd();
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    put(&etcd, &route("a", &one.url()));
    let proxy = proxy(&etcd, "").start();
    let before = generation(&proxy);
    let many: Vec<_> = (0..300)
        .flat_map(|n| route(&format!("r{n}"), &two.url()))
        .collect();
    put(&etcd, &many);
    serves(&proxy, "r299.test", "two");
    assert_eq!(generation(&proxy), before + 1);
    // Writes and deletions, of whole objects and of parts.
    let changes: Vec<_> = many
        .iter()
        .filter(|(key, _)| !key.contains("/r0/"))
        .map(|(key, _)| (&**key, None))
        .chain([
            ("traefik/http/routers/a/service", Some("r0")),
            ("traefik/http/routers/a/priority", Some("7")),
        ])
        .collect();
    etcd.transaction(&changes);
    serves(&proxy, "a.test", "two");
    assert_eq!(generation(&proxy), before + 2);
    assert_eq!(proxy.get("r299.test", "/").status, 404);
    assert_eq!(proxy.get("r0.test", "/").text(), "two");
}

#[test]
fn the_other_spelling_of_the_root_is_used_if_the_configured_one_is_empty() {
    for (configured, other) in [("traefik", "/traefik"), ("/traefik", "traefik")] {
        let etcd = etcd();
        let (one, two) = (answering(answer("one")), answering(answer("two")));
        put(&etcd, &tree(other, "a", &one.url()));
        let option = format!(", rootKey: {configured}");
        let first = proxy(&etcd, &option).start();
        assert_eq!(first.get("a.test", "/").text(), "one");
        let log = first.log();
        let line = log.lines().find(|line| line.contains("set rootKey to"));
        assert!(
            line.is_some_and(|line| line.contains(" WRN ")
                && line.contains(&format!("below {configured}/"))
                && line.contains(&format!("below {other}/"))),
            "{log}"
        );
        put(&etcd, &tree(other, "b", &two.url()));
        serves(&first, "b.test", "two");
        // As soon as the configured one has something, it is the root, and without a warning.
        put(&etcd, &tree(configured, "c", &two.url()));
        let second = proxy(&etcd, &option).start();
        assert_eq!(second.get("c.test", "/").text(), "two");
        assert_eq!(second.get("a.test", "/").status, 404);
        assert!(!second.log().contains("set rootKey"), "{}", second.log());
    }
}

#[test]
fn the_v2_api_is_refused_before_anything_starts() {
    for (option, words) in [
        ("endpoints: [\"http://127.0.0.1:4001/v2/keys\"]", "v2 API"),
        ("useAPIV3: false", "v2 API"),
    ] {
        let output = setup(&format!(
            "entryPoints: {{web: {{address: \"127.0.0.1:0\"}}}}\nproviders: {{etcd: {{{option}}}}}\n"
        ))
        .output();
        let said = text(&output);
        assert!(!output.status.success() && said.contains(words), "{said}");
    }
}

#[test]
fn equal_content_publishes_nothing() {
    let etcd = etcd();
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    let pairs = route("a", &one.url());
    put(&etcd, &pairs);
    let proxy = proxy(&etcd, "").start();
    let before = generation(&proxy);
    // The same again, and keys that mean nothing or lie elsewhere.
    put(&etcd, &pairs);
    etcd.ctl(&["put", "traefik2/http/routers/x/rule", "Host(`x`)"]);
    put(&etcd, &route("b", &two.url()));
    serves(&proxy, "b.test", "two");
    assert_eq!(generation(&proxy), before + 1);
}

#[test]
fn an_alias_changes_the_whole_tree_at_once_and_never_to_nothing() {
    let etcd = etcd();
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    put(&etcd, &tree("edge/1", "a", &one.url()));
    put(&etcd, &tree("edge/2", "a", &two.url()));
    put(&etcd, &tree("edge/2", "b", &two.url()));
    etcd.put("cluster/alias", "edge/1");
    let proxy = proxy(&etcd, ", aliasKey: cluster/alias").start();
    assert_eq!(proxy.get("a.test", "/").text(), "one");
    etcd.put("cluster/alias", "/edge/2/");
    serves(&proxy, "b.test", "two");
    assert_eq!(proxy.get("a.test", "/").text(), "two");
    // The tree in force may be deleted, and an alias may name nothing: both change nothing.
    etcd.ctl(&["del", "--prefix", "edge/2/"]);
    etcd.put("cluster/alias", "edge/none");
    complains(&proxy, &["names edge/none"]);
    assert_eq!(proxy.get("a.test", "/").text(), "two");
    // Writing the alias is what counts, not its value.
    put(&etcd, &tree("edge/none", "c", &one.url()));
    etcd.put("cluster/alias", "edge/none");
    serves(&proxy, "c.test", "one");
    is_gone(&proxy, "a.test");
}
