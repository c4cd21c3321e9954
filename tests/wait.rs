//! `ringway wait` with a real etcd, a double of Consul and real files: what it says is effective is effective, whatever made the revision.

mod support;

use std::process::Output;
use std::time::Instant;

use serde_json::Value;
use support::consul;
use support::etcd::{Etcd, etcd};
use support::origin::answering;
use support::process::{Process, Setup, answer, hosts, ringway, setup, text, wait_for};

/// A proxy that takes everything from this etcd and from a file; `more` are further providers.
fn proxy(etcd: &Etcd, more: &str) -> Setup {
    setup(&format!(
        "entryPoints: {{web: {{address: \"127.0.0.1:0\"}}, traefik: {{address: \"127.0.0.1:0\"}}}}\n\
         providers: {{etcd: {{endpoints: [\"{}\"]}}{more}}}\n\
         api: {{insecure: true, debug: true}}\n",
        etcd.endpoint()
    ))
}

fn wait(proxy: &Process, arguments: &[&str]) -> Output {
    let api = format!("http://{}", proxy.address("traefik"));
    let mut all = vec!["wait", "--api", &api];
    all.extend(arguments);
    ringway(&all)
}

#[track_caller]
fn ends(output: &Output, code: i32) -> String {
    let text = text(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

fn json(proxy: &Process, path: &str) -> Value {
    let text = proxy.get_from("traefik", "x", path).text();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Writes and returns the revision of etcd's answer.
fn put(etcd: &Etcd, key: &str, value: &str) -> String {
    let answer = etcd.ctl(&["put", key, value, "-w", "json"]);
    revision(&answer)
}

fn delete(etcd: &Etcd, key: &str) -> String {
    revision(&etcd.ctl(&["del", key, "-w", "json"]))
}

fn revision(answer: &str) -> String {
    let answer: Value = serde_json::from_str(answer).expect("JSON");
    answer["header"]["revision"].to_string()
}

/// Keys of a router by host and of its service.
fn route(etcd: &Etcd, name: &str, url: &str) -> String {
    let (rule, service, server) = (
        format!("traefik/http/routers/{name}/rule"),
        format!("traefik/http/routers/{name}/service"),
        format!("traefik/http/services/{name}/loadbalancer/servers/0/url"),
    );
    put(etcd, &server, url);
    put(etcd, &service, name);
    put(etcd, &rule, &format!("Host(`{name}.test`)"))
}

#[test]
fn a_revision_is_effective_when_it_says_so_whatever_made_it() {
    let etcd = etcd();
    let one = answering(answer("one"));
    route(&etcd, "a", &one.url());
    let proxy = proxy(&etcd, "").start();
    for name in ["b", "c", "d"] {
        let revision = route(&etcd, name, &one.url());
        let said = ends(&wait(&proxy, &["--revision", &revision]), 0);
        assert!(said.contains(&format!("revision {revision} ")), "{said}");
        let host = format!("{name}.test");
        assert_eq!(
            proxy.get(&host, "/").text(),
            "one",
            "effective is effective"
        );
    }
    let generation = json(&proxy, "/api/ringway/generation")["generation"].clone();
    // Of another key; of one that is like it was; of a key below the root that is none; and a deletion elsewhere.
    let elsewhere = put(&etcd, "elsewhere", "1");
    ends(&wait(&proxy, &["--revision", &elsewhere]), 0);
    let same = put(&etcd, "traefik/http/routers/a/service", "a");
    ends(
        &wait(&proxy, &["--revision", &same, "--provider", "etcd"]),
        0,
    );
    let root = put(&etcd, "traefik/", "");
    ends(&wait(&proxy, &["--revision", &root]), 0);
    let gone = delete(&etcd, "elsewhere");
    ends(&wait(&proxy, &["--revision", &gone]), 0);
    let state = json(&proxy, "/api/ringway/generation");
    assert_eq!(state["generation"], generation, "nothing has changed");
    let provider = |state: &Value| {
        let providers = state["providers"].as_array().expect("a list");
        let etcd = providers.iter().find(|one| one["name"] == "etcd");
        etcd.expect("etcd").clone()
    };
    let known = provider(&state)["revision"].as_u64();
    assert!(known >= gone.parse().ok(), "{state}");
    // A deletion in the tree; then what is not yet there, and what never comes.
    let gone = etcd.ctl(&["del", "--prefix", "traefik/http/routers/b/", "-w", "json"]);
    ends(&wait(&proxy, &["--revision", &revision(&gone)]), 0);
    assert_eq!(proxy.get("b.test", "/").status, 404);
    let next = (etcd.revision() + 1).to_string();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(&proxy, &["--revision", &next]));
        etcd.transaction(&[
            ("traefik/http/routers/b/rule", Some("Host(`b.test`)")),
            ("traefik/http/routers/b/service", Some("b")),
        ]);
        ends(&waiting.join().expect("no panic"), 0);
    });
    assert_eq!(proxy.get("b.test", "/").text(), "one");
    let started = Instant::now();
    let output = wait(&proxy, &["--revision", "1000000", "--timeout", "300ms"]);
    let said = ends(&output, 1);
    assert!(said.contains("is at revision"), "{said}");
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

#[test]
fn what_is_rejected_is_listed_with_its_key_until_it_is_right() {
    let etcd = etcd();
    let one = answering(answer("one"));
    route(&etcd, "a", &one.url());
    let proxy = proxy(&etcd, "").start();
    let problems = || {
        let providers = json(&proxy, "/api/ringway/providers");
        let all = providers.as_array().expect("a list").clone();
        let etcd = all.into_iter().find(|one| one["name"] == "etcd");
        let etcd = etcd.expect("etcd");
        (etcd["problems"].to_string(), etcd["problemsTotal"].as_u64())
    };
    for (key, value, named, error) in [
        // A field that a router does not have.
        (
            "traefik/http/routers/a/rul",
            "x",
            "http.routers.a@etcd",
            "http.routers.a.rul",
        ),
        // A value that its field cannot have.
        (
            "traefik/http/routers/a/priority",
            "high",
            "http.routers.a@etcd",
            "http.routers.a.priority",
        ),
        // Keys that belong to no object.
        (
            "traefik/htp/routers/a/rule",
            "x",
            "traefik/htp/routers/a/rule",
            "unknown key",
        ),
        (
            "traefik/http/router/a/rule",
            "x",
            "traefik/http/router/a/rule",
            "routers",
        ),
    ] {
        let bad = put(&etcd, key, value);
        let said = ends(&wait(&proxy, &["--revision", &bad]), 3);
        assert!(
            said.contains(named) && said.contains(error),
            "{key}: {said}"
        );
        assert_eq!(
            proxy.get("a.test", "/").text(),
            "one",
            "{key} harms nothing"
        );
        let state = json(&proxy, "/api/ringway/generation");
        assert!(state["rejected"].to_string().contains(error), "{state}");
        if !named.contains('@') {
            let (first, total) = problems();
            assert!(first.contains(key) && total == Some(1), "{first} {total:?}");
        }
        let told = if named.contains('@') { error } else { key };
        wait_for("the log names the key", || proxy.log().contains(told));
        let good = delete(&etcd, key);
        ends(&wait(&proxy, &["--revision", &good]), 0);
        assert_eq!(problems(), ("[]".into(), Some(0)));
    }
}

#[test]
fn a_file_is_waited_for_as_it_is_on_disk() {
    let etcd = etcd();
    let one = answering(answer("one"));
    let proxy = proxy(&etcd, ", file: {directory: \"{dir}/conf\"}")
        .file("conf/a.yml", &hosts(&[("a.test", &one.url())]))
        .start();
    let file = proxy.path("conf/a.yml");
    let file = file.to_str().expect("UTF-8");
    ends(&wait(&proxy, &["--file", file]), 0);
    for n in 0..5 {
        let host = format!("{n}.test");
        proxy.write("conf/a.yml", &hosts(&[(&host, &one.url())]));
        ends(&wait(&proxy, &["--file", file]), 0);
        assert_eq!(proxy.get(&host, "/").text(), "one");
    }
    // Through a link, and a file that is new.
    let link = proxy.path("link.yml");
    let new = proxy.path("conf/b.yml");
    std::os::unix::fs::symlink(&new, &link).expect("linked");
    std::fs::write(&new, "# nothing but a comment\n").expect("written");
    ends(&wait(&proxy, &["--file", link.to_str().expect("UTF-8")]), 0);
    // What is refused as a whole, what is rejected in part, what is no file of the provider.
    std::fs::write(&new, "http: [\n").expect("written");
    let said = ends(&wait(&proxy, &["--file", new.to_str().expect("UTF-8")]), 3);
    assert!(said.contains("b.yml"), "{said}");
    std::fs::write(&new, "http: {routers: {bad: {rule: 7, nonsense: 1}}}\n").expect("written");
    let said = ends(&wait(&proxy, &["--file", new.to_str().expect("UTF-8")]), 3);
    assert!(said.contains("http.routers.bad@file"), "{said}");
    let foreign = proxy.path("ringway.yml");
    let said = ends(
        &wait(&proxy, &["--file", foreign.to_str().expect("UTF-8")]),
        2,
    );
    assert!(said.contains("the provider file reads"), "{said}");
    let said = ends(&wait(&proxy, &["--file", "/nowhere"]), 2);
    assert!(said.contains("/nowhere"), "{said}");
}

#[test]
fn the_provider_is_named_where_there_is_a_choice() {
    let etcd = etcd();
    // Nobody listens there: a provider that has not reported, and cannot be waited for.
    let mut proxy = proxy(&etcd, ", redis: {endpoints: [\"127.0.0.1:1\"]}");
    proxy = proxy.argument("--ringway.startupTimeout=1");
    let proxy = proxy.start();
    let revision = put(&etcd, "elsewhere", "1");
    let said = ends(&wait(&proxy, &["--revision", &revision]), 2);
    assert!(said.contains("etcd, redis"), "{said}");
    ends(
        &wait(&proxy, &["--revision", &revision, "--provider", "etcd"]),
        0,
    );
    for (name, why) in [
        ("redis", "counts no revisions"),
        ("consul", "is not enabled"),
        ("internal", "has no revisions"),
    ] {
        let said = ends(&wait(&proxy, &["--revision", "1", "--provider", name]), 2);
        assert!(said.contains(why), "{said}");
    }
    let said = ends(&wait(&proxy, &["--file", "/etc/hostname"]), 2);
    assert!(said.contains("not enabled"), "{said}");
}

#[test]
fn another_instance_is_noticed() {
    let etcd = etcd();
    let one = answering(answer("one"));
    route(&etcd, "a", &one.url());
    let instance = |proxy: &Process| {
        let state = json(proxy, "/api/ringway/generation");
        state["instance"].as_str().expect("a text").to_owned()
    };
    let first = proxy(&etcd, "").start();
    let before = instance(&first);
    ends(
        &wait(&first, &["--generation", "1", "--instance", &before]),
        0,
    );
    drop(first);
    let second = proxy(&etcd, "").start();
    assert_ne!(instance(&second), before);
    for what in [["--generation", "1"], ["--revision", "1"]] {
        let said = ends(
            &wait(&second, &[what[0], what[1], "--instance", &before]),
            2,
        );
        assert!(
            said.contains("restarted") && said.contains(&before),
            "{said}"
        );
    }
    ends(
        &wait(&second, &["--revision", &etcd.revision().to_string()]),
        0,
    );
}

#[test]
fn changes_failures_and_rejections_are_counted() {
    let etcd = etcd();
    let one = answering(answer("one"));
    let proxy = proxy(&etcd, ", file: {filename: \"{dir}/dynamic.yml\"}")
        .dynamic(&hosts(&[("a.test", &one.url())]))
        .start();
    let file = proxy.path("dynamic.yml");
    let file = file.to_str().expect("UTF-8");
    let numbers = || json(&proxy, "/debug/vars");
    let number = |name: &str| numbers()[name].as_u64().expect("a number");
    let before = number("configReloads");
    for n in 0..3 {
        proxy.write("dynamic.yml", &hosts(&[(&format!("{n}.test"), &one.url())]));
        ends(&wait(&proxy, &["--file", file]), 0);
    }
    let now = numbers();
    assert_eq!(now["configReloads"], before + 3, "{now}");
    let apply = &now["configApplySeconds"];
    assert_eq!(apply["count"], now["configReloads"], "{now}");
    assert_eq!(apply["buckets"]["+Inf"], apply["count"], "{now}");
    let [min, max, sum] = ["min", "max", "sum"].map(|name| apply[name].as_f64().expect("a number"));
    assert!(0.0 < min && min <= max && max <= sum && sum < 60.0, "{now}");
    let last = now["configLastReloadSuccess"].as_f64().expect("a number");
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let time = time.expect("after 1970").as_secs_f64();
    assert!((time - last).abs() < 60.0, "{last} is about {time}");
    assert_eq!(now["configReloadFailures"], 0, "{now}");
    assert_eq!(now["objectsRejected"], 0, "{now}");
    // A source that cannot be read, and objects that are rejected.
    proxy.write("dynamic.yml", "http: [\n");
    ends(&wait(&proxy, &["--file", file]), 3);
    wait_for("the failure counts", || number("configReloadFailures") == 1);
    let rejections = number("objectRejections");
    let bad = put(&etcd, "traefik/http/routers/a/priority", "high");
    ends(&wait(&proxy, &["--revision", &bad]), 3);
    assert_eq!(number("objectsRejected"), 1);
    assert_eq!(number("objectRejections"), rejections + 1);
    let good = etcd.ctl(&["del", "--prefix", "traefik/", "-w", "json"]);
    ends(&wait(&proxy, &["--revision", &revision(&good)]), 0);
    assert_eq!(number("objectsRejected"), 0);
    assert_eq!(number("objectRejections"), rejections + 1, "never less");
}

#[test]
fn a_write_of_the_alias_is_waited_for_and_one_that_is_refused_is_named() {
    let etcd = etcd();
    let one = answering(answer("one"));
    for (prefix, host) in [("one", "one.test"), ("two", "two.test")] {
        put(
            &etcd,
            &format!("{prefix}/http/routers/r/rule"),
            &format!("Host(`{host}`)"),
        );
        put(&etcd, &format!("{prefix}/http/routers/r/service"), "s");
        put(
            &etcd,
            &format!("{prefix}/http/services/s/loadbalancer/servers/0/url"),
            &one.url(),
        );
    }
    put(&etcd, "alias", "one");
    let proxy = setup(&format!(
        "entryPoints: {{web: {{address: \"127.0.0.1:0\"}}, traefik: {{address: \"127.0.0.1:0\"}}}}\n\
         providers: {{etcd: {{endpoints: [\"{}\"], aliasKey: alias}}}}\napi: {{insecure: true}}\n",
        etcd.endpoint()
    ))
    .start();
    assert_eq!(proxy.get("one.test", "/").text(), "one");
    let revision = put(&etcd, "alias", "two");
    ends(&wait(&proxy, &["--revision", &revision]), 0);
    assert_eq!(proxy.get("two.test", "/").text(), "one");
    let elsewhere = put(&etcd, "two/http/routers/r/rule", "Host(`three.test`)");
    ends(&wait(&proxy, &["--revision", &elsewhere]), 0);
    assert_eq!(
        proxy.get("three.test", "/").status,
        404,
        "the alias was not written"
    );
    let refused = put(&etcd, "alias", "none");
    let said = ends(&wait(&proxy, &["--revision", &refused]), 3);
    assert!(
        said.contains("provider etcd") && said.contains("names none"),
        "{said}"
    );
    assert_eq!(proxy.get("two.test", "/").text(), "one");
}

#[test]
fn an_index_of_consul_is_waited_for() {
    let server = consul::Consul::start();
    let one = answering(answer("one"));
    let set = |key: &str, value: &str| {
        server.change(|state| {
            state.set(key, value);
            state.index.to_string()
        })
    };
    set(
        "traefik/http/services/s/loadbalancer/servers/0/url",
        &one.url(),
    );
    set("traefik/http/routers/r/service", "s");
    set("traefik/http/routers/r/rule", "Host(`a.test`)");
    let proxy = setup(&format!(
        "entryPoints: {{web: {{address: \"127.0.0.1:0\"}}, traefik: {{address: \"127.0.0.1:0\"}}}}\n\
         providers: {{consul: {{endpoints: [\"{}\"]}}}}\napi: {{insecure: true}}\n",
        server.address
    ))
    .start();
    for host in ["b.test", "c.test"] {
        let index = set("traefik/http/routers/r/rule", &format!("Host(`{host}`)"));
        ends(&wait(&proxy, &["--revision", &index]), 0);
        assert_eq!(proxy.get(host, "/").text(), "one");
        let index = set("elsewhere", host);
        ends(&wait(&proxy, &["--revision", &index]), 0);
    }
    let output = wait(&proxy, &["--revision", "1000", "--timeout", "300ms"]);
    ends(&output, 1);
}
