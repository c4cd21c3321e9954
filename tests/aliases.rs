//! Aliases through the binary, in every store: one that has rules fetched from a service, Traefik 1's below its prefix,
//! one that names a tree of today's; and the state that is kept while a store is away.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use support::etcd::{self, Etcd};
use support::origin::{Origin, answering, origin};
use support::process::{Process, Setup, answer, bare, setup, wait_for};
use support::routes::{is_gone, serves};
use support::{consul, redis};

const ENTRY_POINTS: &str = "entryPoints: {web: {address: \"127.0.0.1:0\"}, traefik: {address: \"127.0.0.1:0\"}}\napi: {insecure: true}\n";

/// A provider's entry in the API.
fn provider(proxy: &Process, name: &str) -> Option<serde_json::Value> {
    let text = proxy
        .get_from("traefik", "x", "/api/ringway/providers")
        .text();
    let all: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    all.into_iter().find(|provider| provider["name"] == name)
}

/// Waits until a provider's last error contains a text; with an empty text, until it has none.
fn says(proxy: &Process, name: &str, text: &str) {
    wait_for(&format!("{name} says {text:?}"), || {
        let provider = provider(proxy, name).expect("it is enabled");
        match provider["lastError"].as_str() {
            Some(error) => !text.is_empty() && error.contains(text),
            None => text.is_empty(),
        }
    });
}

/// A store that a test writes to.
trait Store {
    fn set(&self, pairs: &[(String, String)]);
    fn delete_below(&self, prefix: &str);
    /// Its connection in a provider's section, in flow YAML.
    fn section(&self) -> String;
    /// Ends it.
    fn stop(&mut self);

    fn put(&self, key: &str, value: &str) {
        self.set(&[(key.to_owned(), value.to_owned())]);
    }
}

impl Store for Etcd {
    fn set(&self, pairs: &[(String, String)]) {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(key, value)| (&**key, Some(&**value)))
            .collect();
        self.transaction(&pairs);
    }

    fn delete_below(&self, prefix: &str) {
        self.ctl(&["del", "--prefix", prefix]);
    }

    fn section(&self) -> String {
        format!("etcd: {{endpoints: [\"{}\"]", self.endpoint())
    }

    fn stop(&mut self) {
        Etcd::stop(self);
    }
}

impl Store for redis::RedisServer {
    fn set(&self, pairs: &[(String, String)]) {
        let pairs = pairs.iter().flat_map(|(key, value)| [&**key, &**value]);
        let command: Vec<&str> = ["MSET"].into_iter().chain(pairs).collect();
        assert_eq!(self.run(&command), "+OK");
    }

    fn delete_below(&self, prefix: &str) {
        let keys = self.run(&["KEYS", &format!("{prefix}*")]);
        let command: Vec<&str> = ["DEL"].into_iter().chain(keys.lines()).collect();
        self.run(&command);
    }

    fn section(&self) -> String {
        format!("redis: {{endpoints: [\"{}\"]", self.endpoint())
    }

    fn stop(&mut self) {
        self.kill();
    }
}

impl Store for consul::Consul {
    fn set(&self, pairs: &[(String, String)]) {
        self.change(|state| pairs.iter().for_each(|(key, value)| state.set(key, value)));
    }

    fn delete_below(&self, prefix: &str) {
        self.change(|state| {
            let keys: Vec<String> = state.pairs.keys().cloned().collect();
            let below = keys.iter().filter(|key| key.starts_with(prefix));
            below.for_each(|key| state.delete(key));
        });
    }

    fn section(&self) -> String {
        format!("consul: {{endpoints: [\"{}\"]", self.address)
    }

    fn stop(&mut self) {
        self.change(|state| state.is_down = true);
    }
}

// ---------------------------------------------------------------- an alias that has rules fetched

/// A service of rules: what an alias stands for is the route `<alias>.test`, in Traefik 1's form if it begins with
/// `v1`. `slow` never ends; `flaky` is refused while the switch is on.
struct Rules {
    origin: Origin,
    is_refusing: Arc<AtomicBool>,
    /// Set when the client has given `slow` up.
    is_given_up: Arc<AtomicBool>,
}

fn rules(target: &str) -> Rules {
    let is_refusing = Arc::new(AtomicBool::new(true));
    let is_given_up = Arc::new(AtomicBool::new(false));
    let (refuses, given_up) = (is_refusing.clone(), is_given_up.clone());
    let target = target.to_owned();
    let origin = origin(move |peer| {
        while let Some(request) = peer.request() {
            let name = request.target().rsplit('/').next().unwrap_or_default();
            let body = match name {
                "slow" => {
                    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{");
                    assert!(peer.line().is_none());
                    given_up.store(true, Ordering::SeqCst);
                    return;
                }
                "flaky" if refuses.load(Ordering::SeqCst) => {
                    peer.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
                    continue;
                }
                _ if name.starts_with("v1") => format!(
                    r#"{{"backends": {{"b": {{"servers": {{"s": {{"url": "{target}", "weight": 1}}}}}}}},
                        "frontends": {{"f": {{"backend": "b", "entryPoints": ["web"], "passHostHeader": true,
                                              "routes": {{"r": {{"rule": "Host:{name}.test"}}}}}}}}}}"#
                ),
                _ => format!(
                    r#"{{"http": {{"routers": {{"r": {{"rule": "Host(`{name}.test`)", "service": "s"}}}},
                        "services": {{"s": {{"loadBalancer": {{"servers": [{{"url": "{target}"}}]}}}}}}}}}}"#
                ),
            };
            peer.answer(&body);
        }
    });
    Rules {
        origin,
        is_refusing,
        is_given_up,
    }
}

impl Rules {
    /// What was asked for, in order.
    fn asked(&self) -> Vec<String> {
        let seen = self.origin.seen().into_iter();
        seen.map(|seen| seen.target().to_owned()).collect()
    }
}

/// Follows an alias in a store that is no provider of its own, through everything that may happen to it.
fn has_rules_fetched(store: &impl Store) {
    let here = answering(answer("here"));
    let rules = rules(&here.url());
    store.put("clusters/eu/alias", "one");
    let proxy = setup(&format!(
        "{ENTRY_POINTS}providers:\n  http:\n    endpoint: \"{}/rules\"\n    alias: {{key: clusters/eu/alias, {}}}}}\n",
        rules.origin.url(),
        store.section(),
    ))
    .start();
    serves(&proxy, "one.test", "here");
    let name = store.section();
    let (name, _) = name.split_once(':').expect("a section");
    assert_eq!(
        provider(&proxy, name),
        None,
        "the store is for the alias alone"
    );

    store.put("clusters/eu/alias", "/fleet/v1 a/v1-two");
    serves(&proxy, "v1-two.test", "here");
    is_gone(&proxy, "one.test");
    // The same value counts, and neighbours do not.
    store.put("clusters/eu/alias2", "wrong");
    store.put("clusters/eu", "wrong");
    store.put("clusters/eu/alias", "/fleet/v1 a/v1-two");
    wait_for("the same again", || rules.asked().len() == 3);

    store.put("clusters/eu/alias", "slow");
    wait_for("the slow one is asked for", || rules.asked().len() == 4);
    assert_eq!(proxy.get("v1-two.test", "/").text(), "here");
    store.put("clusters/eu/alias", "quick");
    serves(&proxy, "quick.test", "here");
    wait_for("the slow one is given up", || {
        rules.is_given_up.load(Ordering::SeqCst)
    });

    store.put("clusters/eu/alias", "flaky");
    says(&proxy, "http", "503");
    wait_for("it is tried again", || rules.asked().len() >= 7);
    assert_eq!(proxy.get("quick.test", "/").text(), "here");
    rules.is_refusing.store(false, Ordering::SeqCst);
    serves(&proxy, "flaky.test", "here");
    says(&proxy, "http", "");
    // A key that is gone takes nothing away.
    store.delete_below("clusters/eu/alias");
    says(&proxy, "http", "is missing or empty");
    assert_eq!(proxy.get("flaky.test", "/").text(), "here");
    store.put("clusters/eu/alias", "last");
    serves(&proxy, "last.test", "here");

    let mut asked = rules.asked();
    asked.dedup_by(|a, b| a == b && a.ends_with("flaky"));
    let expected = [
        "one",
        "fleet/v1%20a/v1-two",
        "fleet/v1%20a/v1-two",
        "slow",
        "quick",
        "flaky",
        "last",
    ];
    assert_eq!(asked, expected.map(|path| format!("/rules/{path}")));
}

#[test]
fn an_alias_in_etcd_has_rules_fetched() {
    has_rules_fetched(&etcd::etcd());
}

#[test]
fn an_alias_in_redis_has_rules_fetched() {
    has_rules_fetched(&redis::RedisServer::start(&[]));
}

/// Consul is a double (see there).
#[test]
fn an_alias_in_consul_has_rules_fetched() {
    has_rules_fetched(&consul::Consul::start());
}

#[test]
fn a_provider_may_have_the_alias_in_its_store() {
    let server = redis::RedisServer::start(&[]);
    let here = answering(answer("here"));
    let rules = rules(&here.url());
    server.put("alias", "one");
    server.set(&today("traefik", "own", &here.url()));
    let proxy = setup(&format!(
        "{ENTRY_POINTS}providers:\n  {}}}\n  http: {{endpoint: \"{}\", alias: {{provider: redis, key: alias}}}}\n",
        server.section(),
        rules.origin.url(),
    ))
    .start();
    serves(&proxy, "one.test", "here");
    serves(&proxy, "own.test", "here");
}

#[test]
fn an_alias_without_its_provider_says_what_to_write() {
    let output = setup(&format!(
        "{ENTRY_POINTS}providers: {{http: {{endpoint: \"http://a\", alias: {{provider: consul, key: k}}}}}}\n"
    ))
    .output();
    let text = support::process::text(&output);
    assert!(!output.status.success());
    assert!(text.contains("providers.http.alias.consul"), "{text}");
}

// ---------------------------------------------------------------- an alias that names a tree

/// A route by host below a root, in today's layout.
fn today(root: &str, name: &str, url: &str) -> Vec<(String, String)> {
    [
        (
            format!("http/routers/{name}/rule"),
            format!("Host(`{name}.test`)"),
        ),
        (format!("http/routers/{name}/service"), name.to_owned()),
        (
            format!("http/services/{name}/loadbalancer/servers/0/url"),
            url.to_owned(),
        ),
    ]
    .map(|(key, value)| (format!("{root}/{key}"), value))
    .into()
}

/// The same in Traefik 1's.
fn former(root: &str, name: &str, url: &str) -> Vec<(String, String)> {
    [
        (
            format!("frontends/{name}/routes/r/rule"),
            format!("Host:{name}.test"),
        ),
        (format!("frontends/{name}/backend"), name.to_owned()),
        (format!("backends/{name}/servers/s/url"), url.to_owned()),
    ]
    .map(|(key, value)| (format!("{root}/{key}"), value))
    .into()
}

type Layout = fn(&str, &str, &str) -> Vec<(String, String)>;

/// A static file of Traefik 1 that reads this etcd, with an API.
fn of_traefik_1(etcd: &Etcd, more: &str) -> Setup {
    let text = format!(
        "logLevel = \"INFO\"\ndefaultEntryPoints = [\"http\"]\n\
         [entryPoints.http]\naddress = \"127.0.0.1:0\"\n\
         [web]\naddress = \"127.0.0.1:0\"\n\
         [etcd]\nendpoint = \"{}\"\nwatch = true\nprefix = \"/traefik\"\nuseAPIV3 = true\n{more}",
        etcd.endpoint()
    );
    bare()
        .file("traefik.toml", &text)
        .argument("--configFile={dir}/traefik.toml")
}

#[test]
fn a_traefik_1_file_follows_its_tree_and_its_alias() {
    for slash in ["", "/"] {
        let etcd = etcd::etcd();
        let (one, two) = (answering(answer("one")), answering(answer("two")));
        let root = |name: &str| format!("{slash}{name}");
        etcd.set(&former(&root("traefik"), "a", &one.url()));
        let proxy = of_traefik_1(&etcd, "").start();
        let get = |host: &str| proxy.get_from("http", host, "/");
        let serves = |host: &str, body: &str| {
            wait_for(&format!("{host} serves {body}"), || {
                get(host).text() == body
            });
        };
        serves("a.test", "one");
        // [web] has an address of its own.
        let web = |path: &str| proxy.get_from("traefik", "x", path);
        assert_eq!(web("/ping").text(), "OK");
        assert_eq!(web("/api/version").status, 200);
        assert!(web("/api/rawdata").text().contains("a@etcd"));
        // Without an alias the tree is followed.
        etcd.set(&former(&root("traefik"), "b", &two.url()));
        serves("b.test", "two");

        etcd.set(&former(&root("configurations/2"), "a", &two.url()));
        etcd.put(&root("traefik/alias"), "/configurations/2/");
        serves("a.test", "two");
        wait_for("b is gone", || get("b.test").status == 404);
        // Only the alias counts now: neither tree's changes do, and a deletion withdraws nothing.
        etcd.set(&former(&root("configurations/3"), "c", &one.url()));
        etcd.delete_below(&root("configurations/2/"));
        etcd.delete_below(&root("traefik/frontends/"));
        etcd.put(&root("traefik/alias"), "/configurations/nowhere");
        says(&proxy, "etcd", "below which no key lies");
        assert_eq!(get("a.test").text(), "two");
        etcd.put(&root("traefik/alias"), "/configurations/3");
        serves("c.test", "one");
        wait_for("a is gone", || get("a.test").status == 404);
        // The same value is a trigger as well.
        etcd.set(&former(&root("configurations/3"), "d", &two.url()));
        assert_eq!(get("d.test").status, 404);
        etcd.put(&root("traefik/alias"), "/configurations/3");
        serves("d.test", "two");
    }
}

#[test]
fn a_redirect_to_an_entry_point_in_a_store_leads_to_its_port() {
    let etcd = etcd::etcd();
    let one = answering(answer("one"));
    let port = support::free_port();
    etcd.set(&former("traefik", "a", &one.url()));
    etcd.put("traefik/frontends/a/redirect/entrypoint", "other");
    let more = format!("[entryPoints.other]\naddress = \"127.0.0.1:{port}\"\n");
    let proxy = of_traefik_1(&etcd, &more).start();
    let location = format!("location: http://a.test:{port}/x");
    wait_for("it is redirected", || {
        let response = proxy.get_from("http", "a.test", "/x");
        response.status == 302 && response.head.to_ascii_lowercase().contains(&location)
    });
}

#[test]
fn what_an_alias_put_into_force_stays_over_a_restart_without_its_tree_and_without_its_store() {
    let state = tempfile::tempdir().expect("a directory");
    let mut etcd = etcd::etcd();
    let one = answering(answer("one"));
    etcd.set(&former("configurations/1", "a", &one.url()));
    etcd.put("traefik/alias", "/configurations/1");
    let more = format!("[ringway]\nstateDir = \"{}\"\n", state.path().display());
    let start = || of_traefik_1(&etcd, &more).start();
    let body = |proxy: &Process| proxy.get_from("http", "a.test", "/").text();
    let proxy = start();
    wait_for("a is served", || body(&proxy) == "one");
    etcd.delete_below("configurations/1/");
    end(proxy);

    let proxy = start();
    wait_for("a is served again", || body(&proxy) == "one");
    says(&proxy, "etcd", "below which no key lies");
    assert_eq!(provider(&proxy, "etcd").expect("there")["stale"], true);
    end(proxy);

    // Without the key too.
    etcd.delete_below("traefik/");
    let proxy = start();
    wait_for("a is still served", || body(&proxy) == "one");
    says(&proxy, "etcd", "stays in force");
    end(proxy);

    let setup = of_traefik_1(&etcd, &more);
    etcd.stop();
    let proxy = setup.start();
    wait_for("a is served without etcd", || body(&proxy) == "one");
    says(&proxy, "etcd", "saved at revision");
    assert_eq!(provider(&proxy, "etcd").expect("there")["stale"], true);
    etcd.start();
    etcd.set(&former("configurations/2", "b", &one.url()));
    etcd.put("traefik/alias", "/configurations/2");
    wait_for("the next tree is served", || {
        proxy.get_from("http", "b.test", "/").text() == "one"
    });
    assert_eq!(provider(&proxy, "etcd").expect("there")["stale"], false);
}

/// Ends a proxy as a service manager does.
fn end(mut proxy: Process) {
    proxy.signal("-TERM");
    proxy.wait();
}

/// Flips between trees of either layout.
fn flips(store: &impl Store) {
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    for layout in [today as Layout, former] {
        store.delete_below("trees/");
        store.set(&layout("trees/1", "a", &one.url()));
        store.put("clusters/eu/alias", "trees/1");
        let proxy = setup(&format!(
            "{ENTRY_POINTS}providers: {{{}, aliasKey: clusters/eu/alias}}}}\n",
            store.section()
        ))
        .start();
        serves(&proxy, "a.test", "one");
        store.set(&layout("trees/2", "a", &two.url()));
        store.set(&layout("trees/2", "b", &two.url()));
        // Nobody asks for a moment without a tree.
        let failed = Mutex::new(Vec::new());
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    let text = proxy.get("a.test", "/").text();
                    if text != "one" && text != "two" {
                        failed.lock().expect("no panic").push(text);
                    }
                }
            });
            store.delete_below("trees/1");
            store.put("clusters/eu/alias", "/trees/2/");
            serves(&proxy, "b.test", "two");
            is_done.store(true, Ordering::Relaxed);
        });
        assert_eq!(*failed.lock().expect("no panic"), [""; 0]);
        assert_eq!(proxy.get("a.test", "/").text(), "two");
        store.put("clusters/eu/alias", "trees/none");
        let section = store.section();
        let (name, _) = section.split_once(':').expect("a section");
        says(&proxy, name, "below which no key lies");
        assert_eq!(proxy.get("a.test", "/").text(), "two");
    }
}

#[test]
fn an_alias_in_etcd_flips_trees() {
    flips(&etcd::etcd());
}

#[test]
fn an_alias_in_redis_flips_trees() {
    flips(&redis::RedisServer::start(&[]));
}

/// Consul is a double (see there).
#[test]
fn an_alias_in_consul_flips_trees() {
    flips(&consul::Consul::start());
}

/// Starts, saves, and starts without the store.
fn survives(mut store: impl Store) {
    let state = tempfile::tempdir().expect("a directory");
    let here = answering(answer("here"));
    store.set(&today("traefik", "a", &here.url()));
    let statics = format!(
        "{ENTRY_POINTS}providers: {{{}}}}}\nringway: {{stateDir: \"{}\"}}\n",
        store.section(),
        state.path().display()
    );
    let proxy = setup(&statics).start();
    serves(&proxy, "a.test", "here");
    end(proxy);
    store.stop();
    let proxy = setup(&statics).start();
    serves(&proxy, "a.test", "here");
    let section = store.section();
    let (name, _) = section.split_once(':').expect("a section");
    says(&proxy, name, "in force is the store's state of");
    assert_eq!(provider(&proxy, name).expect("there")["stale"], true);
}

#[test]
fn the_state_of_redis_survives_its_absence() {
    survives(redis::RedisServer::start(&[]));
}

/// Consul is a double (see there).
#[test]
fn the_state_of_consul_survives_its_absence() {
    survives(consul::Consul::start());
}
