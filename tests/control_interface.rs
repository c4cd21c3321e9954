//! What an operator asks a running proxy, and what the commands answer: API, ping, wait, explain, check, demo.

mod support;

use serde_json::Value;
use support::origin::{answering, behind};
use support::process::{Process, Setup, answer, bare, hosts, ringway, setup, text, wait_for};

fn insecure() -> Setup {
    setup(
        "entryPoints: {web: {address: \"127.0.0.1:0\"}, traefik: {address: \"127.0.0.1:0\"}}\n\
         providers: {file: {filename: \"{dir}/dynamic.yml\"}}\nping: {}\napi: {insecure: true}\n",
    )
}

fn routes(url: &str) -> String {
    let routes = hosts(&[("a.test", url)]);
    behind(&[("m", "{addPrefix: {prefix: /p}}")], &routes)
}

fn json(proxy: &Process, path: &str) -> Value {
    let response = proxy.get_from("traefik", "x", path);
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    assert!(
        response
            .field("content-type")
            .is_some_and(|value| value.starts_with("application/json")),
        "{}",
        response.head
    );
    serde_json::from_str(&response.text()).expect("JSON")
}

fn api_url(proxy: &Process) -> String {
    format!("http://{}", proxy.address("traefik"))
}

#[test]
fn the_api_shows_what_is_configured() {
    let one = answering(answer("one"));
    let proxy = insecure().dynamic(&routes(&one.url())).start();
    let ping = proxy.get_from("traefik", "x", "/ping");
    assert_eq!((ping.status, ping.text()), (200, "OK".to_owned()));
    assert!(json(&proxy, "/api/version")["Version"].is_string());
    let raw = json(&proxy, "/api/rawdata");
    assert_eq!(
        raw["routers"]["r0@file"]["rule"], "Host(`a.test`)",
        "{raw:#}"
    );
    assert_eq!(
        raw["services"]["s0@file"]["usedBy"][0], "r0@file",
        "{raw:#}"
    );
    assert_eq!(
        raw["middlewares"]["m@file"]["addPrefix"]["prefix"], "/p",
        "{raw:#}"
    );
    let routers = json(&proxy, "/api/http/routers");
    let names: Vec<&str> = routers
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|router| router["name"].as_str())
        .collect();
    assert!(
        names.contains(&"r0@file") && names.contains(&"ping@internal"),
        "{names:?}"
    );
    let router = json(&proxy, "/api/http/routers/r0@file");
    assert_eq!(router["status"], "enabled", "{router:#}");
    assert_eq!(router["provider"], "file");
    assert_eq!(router["middlewares"][0], "m@file", "{router:#}");
    assert_eq!(router["priority"], 14, "{router:#}");
    let service = json(&proxy, "/api/http/services/s0@file");
    assert_eq!(service["type"], "loadbalancer", "{service:#}");
    assert_eq!(service["serverStatus"][one.url()], "UP", "{service:#}");
    assert_eq!(
        json(&proxy, "/api/http/middlewares/m@file")["type"],
        "addprefix"
    );
    let entry_points = json(&proxy, "/api/entrypoints");
    let names: Vec<&str> = entry_points
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(names, ["traefik", "web"], "{entry_points:#}");
    assert_eq!(json(&proxy, "/api/entrypoints/web")["name"], "web");
    let overview = json(&proxy, "/api/overview");
    assert!(
        overview["http"]["routers"]["total"]
            .as_u64()
            .is_some_and(|n| n >= 2),
        "{overview:#}"
    );
    let missing = proxy.get_from("traefik", "x", "/api/http/routers/none@file");
    assert_eq!(missing.status, 404);
    assert!(
        missing.text().contains("router not found: none@file"),
        "{}",
        missing.text()
    );
}

#[test]
fn the_api_is_not_there_for_other_entry_points_or_without_being_enabled() {
    let proxy = insecure().dynamic("").start();
    assert_eq!(proxy.get("a.test", "/api/version").status, 404);
    assert_eq!(proxy.get("a.test", "/ping").status, 404);
    let proxy = setup("entryPoints: {web: {address: \"127.0.0.1:0\"}, traefik: {address: \"127.0.0.1:0\"}}\nping: {}\n").start();
    assert_eq!(proxy.get_from("traefik", "x", "/api/version").status, 404);
}

#[test]
fn a_router_brings_the_api_to_users_who_may_see_it() {
    let dynamic = "http:\n  routers:\n    api: {rule: \"Host(`ops.test`)\", service: api@internal, middlewares: [auth]}\n  \
                   middlewares:\n    auth: {basicAuth: {users: [\"ann:{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ=\"]}}\n";
    let proxy = setup(
        "entryPoints: {web: {address: \"127.0.0.1:0\"}}\n\
         providers: {file: {filename: \"{dir}/dynamic.yml\"}}\napi: {}\n",
    )
    .dynamic(dynamic)
    .start();
    assert_eq!(proxy.get("ops.test", "/api/version").status, 401);
    let mut client = support::client::Client::connect(proxy.web());
    client.send(
        "GET /api/rawdata HTTP/1.1\r\nHost: ops.test\r\nAuthorization: Basic YW5uOnBhc3M=\r\n\r\n",
    );
    let response = client.response();
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(response.text().contains("api@file"));
    assert!(
        !response.text().contains("nU4eI71"),
        "no password hash is shown"
    );
    assert_eq!(proxy.get("other.test", "/api/version").status, 404);
}

#[test]
fn a_base_path_moves_the_api() {
    let proxy = setup(
        "entryPoints: {web: {address: \"127.0.0.1:0\"}, traefik: {address: \"127.0.0.1:0\"}}\n\
         api: {insecure: true, basePath: /base}\n",
    )
    .start();
    assert_eq!(
        proxy.get_from("traefik", "x", "/base/api/version").status,
        200
    );
    assert_eq!(proxy.get_from("traefik", "x", "/api/version").status, 404);
}

#[test]
fn ping_can_be_routed_by_hand() {
    let proxy = setup(
        "entryPoints: {web: {address: \"127.0.0.1:0\"}}\n\
         providers: {file: {filename: \"{dir}/dynamic.yml\"}}\nping: {manualRouting: true}\n",
    )
    .dynamic("http:\n  routers:\n    p: {rule: \"Path(`/health`)\", service: ping@internal}\n")
    .start();
    let response = proxy.get("a.test", "/health");
    assert_eq!((response.status, response.text()), (200, "OK".to_owned()));
}

#[test]
fn wait_returns_when_a_generation_is_effective() {
    let one = answering(answer("one"));
    let proxy = insecure().dynamic(&routes(&one.url())).start();
    let api = api_url(&proxy);
    let output = ringway(&["wait", "--latest", "--api", &api]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let output = ringway(&[
        "wait",
        "--generation",
        "1000",
        "--timeout",
        "0.3",
        "--api",
        &api,
    ]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    // A waiting command sees the generation that comes.
    let now = json(&proxy, "/api/ringway/generation")["effective"]
        .as_u64()
        .expect("a number");
    let next = (now + 1).to_string();
    let waiting = std::thread::spawn({
        let api = api.clone();
        move || {
            ringway(&[
                "wait",
                "--generation",
                &next,
                "--timeout",
                "20",
                "--api",
                &api,
            ])
        }
    });
    proxy.write("dynamic.yml", &hosts(&[("b.test", &one.url())]));
    let output = waiting.join().expect("no panic");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(
        proxy.get("b.test", "/").text(),
        "one",
        "effective is effective"
    );
}

#[test]
fn explain_tells_the_same_live_and_from_files() {
    let one = answering(answer("one"));
    let proxy = insecure().dynamic(&routes(&one.url())).start();
    let config = proxy.path("ringway.yml");
    let offline = ringway(&[
        "explain",
        "GET",
        "http://a.test/x",
        "--config",
        config.to_str().unwrap(),
    ]);
    assert_eq!(offline.status.code(), Some(0), "{}", text(&offline));
    let live = ringway(&[
        "explain",
        "GET",
        "http://a.test/x",
        "--api",
        &api_url(&proxy),
    ]);
    assert_eq!(live.status.code(), Some(0), "{}", text(&live));
    for output in [&offline, &live] {
        let text = text(output);
        for part in [
            "web",
            "r0@file",
            "Host(`a.test`)",
            "m@file",
            "s0@file",
            &one.url(),
        ] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
    }
    let none = ringway(&[
        "explain",
        "GET",
        "http://b.test/x",
        "--api",
        &api_url(&proxy),
    ]);
    assert_eq!(none.status.code(), Some(1), "{}", text(&none));
    let nobody = ringway(&[
        "explain",
        "GET",
        "http://b.test/x",
        "--api",
        "http://127.0.0.1:1",
    ]);
    assert_eq!(nobody.status.code(), Some(2), "{}", text(&nobody));
}

#[test]
fn explain_uses_header_fields_and_names_the_runners_up() {
    let dynamic = "http:\n  routers:\n    \
                   canary: {rule: \"Host(`a.test`) && Header(`X-Canary`, `1`)\", service: s}\n    \
                   plain: {rule: \"Host(`a.test`)\", service: s}\n  services:\n    \
                   s: {loadBalancer: {servers: [{url: \"http://127.0.0.1:1\"}]}}\n";
    let setup = insecure().dynamic(dynamic);
    let proxy = setup.start();
    let api = api_url(&proxy);
    let with = ringway(&[
        "explain",
        "GET",
        "http://a.test/",
        "-H",
        "X-Canary: 1",
        "--api",
        &api,
        "--json",
    ]);
    let with: Value = serde_json::from_slice(&with.stdout).expect("JSON");
    let without = ringway(&["explain", "GET", "http://a.test/", "--api", &api, "--json"]);
    let without: Value = serde_json::from_slice(&without.stdout).expect("JSON");
    assert_eq!(with["router"]["name"], "canary@file", "{with:#}");
    assert!(with.to_string().contains("plain@file"), "{with:#}");
    assert_eq!(without["router"]["name"], "plain@file", "{without:#}");
}

#[test]
fn check_prints_every_problem_with_its_place_and_a_suggestion() {
    let good = bare().file("good.yml", &hosts(&[("a.test", "http://127.0.0.1:1")]));
    let output = ringway(&["check", good.path().join("good.yml").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let bad = "http:\n  routers:\n    a:\n      rule: Host(`a.test`) &&\n      service: s\n    b:\n      \
               rul: Host(`b.test`)\n      service: s\n    c:\n      rule: Host(`c.test`)\n      service: srv\n  \
               services:\n    s:\n      loadBalancer:\n        servers:\n          - url: http://127.0.0.1:1\n";
    let setup = bare().file("bad.yml", bad);
    let output = ringway(&["check", setup.path().join("bad.yml").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let text = text(&output);
    assert!(text.contains("bad.yml:4:13: error: "), "{text}");
    assert!(text.contains('^'), "{text}");
    assert!(text.contains("did you mean \"rule\"?"), "{text}");
    assert!(
        text.contains("\"srv@file\" does not exist") || text.contains("srv"),
        "{text}"
    );
    let output = ringway(&[
        "check",
        "--json",
        setup.path().join("bad.yml").to_str().unwrap(),
    ]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(
        report["summary"]["errors"]
            .as_u64()
            .is_some_and(|errors| errors >= 3),
        "{report:#}"
    );
}

#[test]
fn the_demo_serves_what_it_prints() {
    use std::io::{BufRead, BufReader};
    let directory = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_ringway"))
        .args([
            "demo",
            "--for",
            "2",
            "--directory",
            directory.path().to_str().unwrap(),
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("curl http://")?.1.to_owned()))
        .expect("a curl line");
    let url = url.split_whitespace().next().unwrap();
    let (address, path) = url.split_once('/').unwrap_or((url, ""));
    let mut client = support::client::Client::connect(address.parse().expect("an address"));
    client.send(format!(
        "GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    ));
    assert_eq!(client.response().status, 200);
    std::thread::spawn(move || lines.for_each(drop));
    wait_for("its end", || child.try_wait().unwrap().is_some());
    assert!(child.wait().unwrap().success());
}

#[test]
fn healthcheck_has_the_exit_code_of_ping() {
    let proxy = insecure().dynamic("").start();
    let flags = [
        "--ping".to_owned(),
        format!("--entryPoints.traefik.address={}", proxy.address("traefik")),
    ];
    let flags: Vec<&str> = std::iter::once("healthcheck")
        .chain(flags.iter().map(|flag| &**flag))
        .collect();
    let output = ringway(&flags);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    drop(proxy);
    assert_eq!(ringway(&flags).status.code(), Some(1));
}

/// The API's view of a provider.
fn provider(proxy: &Process, name: &str) -> Value {
    let providers = json(proxy, "/api/ringway/providers");
    let mut found = providers.as_array().expect("a list").iter();
    let found = found.find(|provider| provider["name"] == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {providers:#}"))
        .clone()
}

#[test]
fn at_debug_the_log_tells_what_was_received_and_what_is_effective_without_secrets() {
    let one = answering(answer("one"));
    let secret = "  middlewares:\n    m: {basicAuth: {users: [\"ann:$2y$05$hunter2\"]}}\n    \
                  h: {headers: {customRequestHeaders: {Authorization: hunter2}}}\n";
    let proxy = setup(
        "entryPoints: {web: {address: \"127.0.0.1:0\"}, traefik: {address: \"127.0.0.1:0\"}}\n\
         providers: {file: {filename: \"{dir}/dynamic.yml\", throttleDuration: 10ms}}\n\
         api: {insecure: true}\nlog: {level: DEBUG}\n",
    )
    .dynamic(&(hosts(&[("a.test", &one.url())]) + secret))
    .start();
    let line = |words: &[&str]| {
        let log = proxy.log();
        let found = log
            .lines()
            .find(|line| words.iter().all(|word| line.contains(word)));
        found.map(str::to_owned)
    };
    let received = line(&["Configuration received", "received", "a.test"]).expect("told");
    assert!(received.contains("\"routers\":{\"r0\":{"), "{received}");
    wait_for("the effective configuration", || {
        line(&["Configuration effective", "effective", "\"r0@file\":"]).is_some()
    });
    // What did not change is not told again as effective.
    let edited = hosts(&[("a.test", &one.url()), ("b.test", &one.url())]) + secret;
    proxy.write("dynamic.yml", &edited);
    wait_for("the edit", || {
        line(&["Configuration effective", "\"r1@file\":"]).is_some()
    });
    let effective = line(&["Configuration effective", "\"r1@file\":"]).expect("told");
    assert!(!effective.contains("r0@file"), "{effective}");
    assert!(!proxy.log().contains("hunter2"));
    assert_eq!(provider(&proxy, "file")["throttle"], 0.01);
    // A file that cannot be read: what stands in for it is stale.
    proxy.write("dynamic.yml", "http: [");
    wait_for("the error", || provider(&proxy, "file")["stale"] == true);
    let file = provider(&proxy, "file");
    assert!(
        file["lastError"]
            .as_str()
            .is_some_and(|text| text.contains("dynamic.yml")),
        "{file:#}"
    );
    assert_eq!(proxy.get("b.test", "/").text(), "one");
    proxy.write("dynamic.yml", &edited);
    wait_for("the repair", || provider(&proxy, "file")["stale"] == false);
    assert!(provider(&proxy, "file")["lastError"].is_null());
}

/// `usersFile` is read when its middleware is compiled; a compilation from scratch therefore sees an edit of it that
/// the running configuration has not seen: a difference without anything planted in the program.
#[test]
fn a_running_proxy_verifies_each_change_and_reports_a_difference() {
    let one = answering(answer("one"));
    let users = |names: &[&str]| -> String {
        names
            .iter()
            .map(|name| format!("{name}:$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/\n"))
            .collect()
    };
    let dynamic = |hosts_: &[&str]| {
        let url = one.url();
        let routes: Vec<(&str, &str)> = hosts_.iter().map(|host| (*host, &*url)).collect();
        hosts(&routes) + "  middlewares:\n    m: {basicAuth: {usersFile: \"{dir}/users\"}}\n"
    };
    let setup = setup(
        "entryPoints: {web: {address: \"127.0.0.1:0\"}}\n\
         providers: {file: {filename: \"{dir}/dynamic.yml\"}}\n\
         ringway: {shards: 2, verifyIncremental: true}\n",
    );
    let directory = setup.path().display().to_string();
    let dynamic = |hosts: &[&str]| dynamic(hosts).replace("{dir}", &directory);
    let proxy = setup
        .file("users", &users(&["ann"]))
        .dynamic(&dynamic(&["a.test"]))
        .start();
    let serves = |host: &str| wait_for(host, || proxy.get(host, "/").status == 200);
    for host in ["b.test", "c.test", "d.test"] {
        proxy.write("dynamic.yml", &dynamic(&["a.test", host]));
        serves(host);
    }
    assert!(
        !proxy.log().contains("differs from a full one"),
        "{}",
        proxy.log()
    );
    proxy.write("users", &users(&["ann", "bob"]));
    proxy.write("dynamic.yml", &dynamic(&["a.test", "e.test"]));
    serves("e.test");
    wait_for("the report", || {
        proxy.log().contains("differs from a full one")
    });
    assert!(!proxy.log().contains("h9FWgUz3n9"), "a hash was logged");
}
