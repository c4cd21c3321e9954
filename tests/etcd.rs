//! The binary with a real etcd: what is written there is in force at once, whole transactions at a time, and
//! nothing that happens to etcd takes a route away.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::etcd::{self, Etcd, etcd};
use support::origin::answering;
use support::process::{Process, Setup, answer, setup, wait_for};
use support::routes::{self, is_gone, serves};

/// How soon a change must be in force. A test's machine is busy; on a quiet one it takes milliseconds.
const SOON: Duration = Duration::from_secs(1);

/// A proxy that takes everything from this etcd; `more` are further options of the provider.
fn proxy(etcd: &Etcd, more: &str) -> Setup {
    setup(&format!(
        "entryPoints: {{web: {{address: \"127.0.0.1:0\"}}, traefik: {{address: \"127.0.0.1:0\"}}}}\n\
         providers: {{etcd: {{endpoints: [\"{}\"]{more}}}}}\n\
         api: {{insecure: true}}\n",
        etcd.endpoint()
    ))
}

/// A router by the host `<name>.test` and its service with one server.
fn route(name: &str, url: &str) -> Vec<(String, String)> {
    routes::route("traefik", name, &format!("{name}.test"), url)
}

fn put(etcd: &Etcd, pairs: &[(String, String)]) {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(key, value)| (&**key, Some(&**value)))
        .collect();
    etcd.transaction(&pairs);
}

fn generation(proxy: &Process) -> String {
    proxy
        .get_from("traefik", "x", "/api/ringway/generation")
        .text()
}

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
fn equal_content_publishes_nothing() {
    let etcd = etcd();
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    let pairs = route("a", &one.url());
    put(&etcd, &pairs);
    let proxy = proxy(&etcd, "").start();
    let number = || {
        let text = generation(&proxy);
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        json["generation"]
            .as_u64()
            .unwrap_or_else(|| panic!("{text}"))
    };
    let before = number();
    // The same again, and keys that mean nothing or lie elsewhere.
    put(&etcd, &pairs);
    etcd.ctl(&["put", "traefik2/http/routers/x/rule", "Host(`x`)"]);
    put(&etcd, &route("b", &two.url()));
    serves(&proxy, "b.test", "two");
    assert_eq!(number(), before + 1);
}

/// A router and its service below a prefix of its own.
fn tree(prefix: &str, name: &str, url: &str) -> Vec<(String, String)> {
    let moved = |(key, value): (String, String)| (key.replacen("traefik", prefix, 1), value);
    route(name, url).into_iter().map(moved).collect()
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
    wait_for("the alias is complained about", || {
        let providers = proxy.get_from("traefik", "x", "/api/ringway/providers");
        providers.text().contains("names edge/none")
    });
    assert_eq!(proxy.get("a.test", "/").text(), "two");
    // Writing the alias is what counts, not its value.
    put(&etcd, &tree("edge/none", "c", &one.url()));
    etcd.put("cluster/alias", "edge/none");
    serves(&proxy, "c.test", "one");
    is_gone(&proxy, "a.test");
}
