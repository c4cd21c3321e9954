//! Over the socket, and over time: who may connect, waiting, large answers.

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Proxy, block_on};
use crate::api::{ApiServer, ApiSettings};

const FLAGS: &[&str] = &[
    "--api.insecure=true",
    "--entryPoints.traefik.address=127.0.0.1:28180",
    "--entryPoints.web.address=127.0.0.1:28181",
];

/// The name of this variable's socket is what the test's second process connects to.
const SOCKET: &str = "RINGWAY_TEST_API_SOCKET";

fn server(proxy: &Proxy) -> ApiServer {
    let settings = ApiSettings {
        base_path: "/".into(),
        dashboard: true,
        debug: false,
    };
    ApiServer::start(settings, Arc::clone(&proxy.state)).unwrap()
}

/// Sends a request and reads until the server closes.
fn exchange(socket: &[u8]) -> std::io::Result<String> {
    let mut stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(socket)?)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let request = b"GET /api/version HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut answer = String::new();
    // The server may have closed before it reads.
    let _ = stream.write_all(request);
    match stream.read_to_string(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        result => drop(result?),
    }
    Ok(answer)
}

#[test]
fn only_this_process_may_connect() {
    if let Ok(socket) = std::env::var(SOCKET) {
        // The second process: it reaches the socket and gets nothing.
        assert_eq!(exchange(socket.as_bytes()).unwrap(), "");
        return;
    }
    let proxy = Proxy::new(FLAGS);
    let server = server(&proxy);
    let answer = exchange(server.socket()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let other = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "api::tests::serving::only_this_process_may_connect",
        ])
        .env(SOCKET, std::str::from_utf8(server.socket()).unwrap())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&other.stdout);
    assert!(other.status.success(), "{output}");
    assert!(
        output.contains("1 passed"),
        "the test has another name now: {output}"
    );
    // And it still serves.
    assert!(
        exchange(server.socket())
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
}

#[test]
fn dropping_the_server_ends_its_thread_and_socket() {
    let proxy = Proxy::new(FLAGS);
    let server = server(&proxy);
    let socket = server.socket().to_vec();
    drop(server);
    assert!(exchange(&socket).is_err());
}

fn generation(proxy: &Proxy, query: &str) -> Value {
    proxy.get(&format!("/api/ringway/generation{query}")).json()
}

#[test]
fn generations_tell_how_far_each_shard_is() {
    let mut proxy = Proxy::new(FLAGS);
    proxy.load("http: {services: {s: {loadBalancer: {servers: [{url: 'http://127.0.0.1:1'}]}}}}");
    let newest = proxy.generation();
    proxy.state.acknowledge(1, newest);
    let answer = generation(&proxy, "");
    assert_eq!(answer["generation"], newest);
    assert_eq!(answer["published"], newest);
    assert_eq!(answer["effective"], 0);
    assert_eq!(
        answer["shards"],
        json!([{"shard": 0, "acknowledged": 0}, {"shard": 1, "acknowledged": newest}])
    );
    assert_eq!(answer["instance"].as_str().unwrap().len(), 32);
    let file = &answer["providers"][0];
    assert_eq!(file["name"], "file");
    assert_eq!(file["position"], "edit 1");
    assert_eq!(file["lastError"], Value::Null);
    assert!(file["age"].as_f64().unwrap() >= 0.0);
    proxy.state.acknowledge(0, newest);
    assert_eq!(generation(&proxy, "")["effective"], newest);
}

#[test]
fn rejected_objects_are_listed_with_their_errors() {
    let mut proxy = Proxy::new(FLAGS);
    proxy.load(
        "http: {routers: {r: {rule: 'Host(`a`)', service: nope}, t: {rule: 7, nonsense: 1}}}",
    );
    let answer = generation(&proxy, "");
    assert_eq!(answer["rejectedTotal"], 2);
    let rejected = answer["rejected"].as_array().unwrap();
    assert_eq!(rejected[0]["object"], "http.routers.r@file");
    assert_eq!(rejected[0]["status"], "disabled");
    let error = rejected[0]["error"].as_str().unwrap();
    assert!(error.contains("the service \"nope@file\" does not exist"));
    let error = rejected[1]["error"].as_str().unwrap();
    assert!(error.contains("nonsense"), "{error}");
}

#[test]
fn providers_tell_how_they_stand() {
    let mut proxy = Proxy::new(FLAGS);
    proxy.load("http: {routers: {r: {rule: 'Host(`x`)', service: noop@internal}}}");
    let found = proxy.get("/api/ringway/providers").json();
    let file = &found.as_array().unwrap()[0];
    assert_eq!(file["name"], "file");
    assert_eq!(
        (&file["reported"], &file["stale"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (&file["position"], &file["number"]),
        (&json!("edit 1"), &json!(1))
    );
    assert_eq!(
        (&file["lastError"], &file["objects"]),
        (&Value::Null, &json!(1))
    );
    assert_eq!(file["throttle"], 0.0);
    assert!(file["age"].as_f64().is_some_and(|age| age < 60.0), "{file}");
}

/// Every place of the dynamic configuration that holds a secret.
const SECRETS: &str = r"
http:
  routers:
    r: {rule: 'Host(`x`)', service: url, middlewares: [basic, digest, fields, limit, plug, fa, broken]}
  services:
    url: {loadBalancer: {servers: [{url: 'http://ann:hunter2@127.0.0.1:1'}]}}
    bare: {loadBalancer: {servers: [{url: 'ann:hunter2@127.0.0.1:1', weight: 99999999999}]}}
    health: {loadBalancer: {healthCheck: {path: /, headers: {Authorization: hunter2}}, servers: []}}
  serversTransports:
    t: {certificates: [{certFile: /c.pem, keyFile: hunter2}]}
  middlewares:
    basic: {basicAuth: {users: ['ann:hunter2']}}
    broken: {basicAuth: {users: ['hunter2']}}
    digest: {digestAuth: {users: ['ann:realm:hunter2']}}
    fields: {headers: {customRequestHeaders: {Authorization: Bearer hunter2, X-Api-Key: hunter2, X-A: b}, customResponseHeaders: {Set-Cookie: hunter2}}}
    limit: {rateLimit: {average: 1, redis: {username: ann, password: hunter2}}}
    fa: {forwardAuth: {address: 'http://ann:hunter2@127.0.0.1:2', tls: {cert: c, key: hunter2}}}
    plug: {plugin: {p: {apiKey: hunter2, other: shown}}}
tls:
  certificates:
    - {certFile: /c.pem, keyFile: hunter2}
  stores:
    default: {defaultCertificate: {certFile: /c.pem, keyFile: hunter2}}
";

#[test]
fn no_answer_has_a_secret() {
    let mut proxy = Proxy::new(FLAGS);
    proxy.load(SECRETS);
    for path in [
        "rawdata",
        "http/services",
        "http/middlewares",
        "http/middlewares/basic@file",
        "http/middlewares/fields@file",
        "http/routers",
        "http/routers/r@file",
        "entrypoints",
        "overview",
        "ringway/generation",
        "ringway/providers",
        "ringway/explain?url=http://x:28181/",
    ] {
        let answer = proxy.get(&format!("/api/{path}"));
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(!answer.text.contains("hunter2"), "{path}: {}", answer.text);
    }
    let raw = proxy.get("/api/rawdata").json();
    let middlewares = &raw["middlewares"];
    let fields = &middlewares["fields@file"]["headers"]["customRequestHeaders"];
    assert_eq!(
        fields,
        &json!({"Authorization": "xxxx", "X-Api-Key": "xxxx", "X-A": "b"})
    );
    let plugin = &middlewares["plug@file"]["plugin"]["p"];
    assert_eq!(plugin, &json!({"apiKey": "xxxx", "other": "shown"}));
    let url = &raw["services"]["url@file"]["loadBalancer"]["servers"][0]["url"];
    assert_eq!(url, "http://ann:xxxx@127.0.0.1:1");
}

#[test]
fn no_log_line_has_a_secret() {
    let mut proxy = Proxy::new(FLAGS);
    let log = proxy.load(SECRETS);
    assert!(
        log.iter()
            .any(|line| line.contains("error parsing server URL"))
    );
    for line in log {
        assert!(!line.contains("hunter2"), "{line}");
    }
}

#[test]
fn a_wait_ends_when_the_last_shard_has_applied() {
    let mut proxy = Proxy::new(FLAGS);
    proxy.load("http: {services: {s: {loadBalancer: {servers: [{url: 'http://127.0.0.1:1'}]}}}}");
    let newest = proxy.generation();
    proxy.state.acknowledge(0, newest);
    let target = format!("/api/ringway/generation?wait={newest}&timeout=1m");
    let (waited, answer) = block_on(async {
        let started = Instant::now();
        let question = proxy.ask(&Method::GET, &target);
        let state = Arc::clone(&proxy.state);
        let last_shard = async move {
            // The question is polled first and waits by now.
            tokio::task::yield_now().await;
            state.acknowledge(1, newest);
        };
        let (answer, ()) = tokio::join!(question, last_shard);
        (started.elapsed(), answer.json())
    });
    assert!(
        waited < Duration::from_secs(30),
        "woken, not timed out: {waited:?}"
    );
    assert_eq!(answer["effective"], newest);
    assert_eq!(answer.get("rejected"), None);
}

#[test]
fn a_wait_ends_after_its_time_and_is_checked() {
    let proxy = Proxy::new(FLAGS);
    let started = Instant::now();
    let answer = generation(&proxy, "?wait=999&timeout=20ms");
    assert!(started.elapsed() >= Duration::from_millis(20));
    assert_eq!(answer["effective"], 0);
    for query in ["wait=x", "wait=1&timeout=soon", "wait=-1"] {
        let answer = proxy.get(&format!("/api/ringway/generation?{query}"));
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[test]
fn an_old_acknowledgement_wakes_nobody_and_takes_nothing_back() {
    let proxy = Proxy::new(FLAGS);
    proxy.acknowledge_all(7);
    proxy.state.acknowledge(0, 5);
    assert_eq!(proxy.state.effective(), 7);
}

#[test]
fn large_answers_come_in_pieces_and_whole() {
    let mut yaml = String::from("http:\n  routers:\n");
    for number in 0..2000 {
        yaml.push_str(&format!(
            "    r{number:04}: {{rule: 'Host(`h{number}.test`)', service: nope}}\n"
        ));
    }
    let mut proxy = Proxy::new(FLAGS);
    proxy.load(&yaml);
    let data = proxy.get("/api/rawdata").json();
    let routers = data["routers"].as_object().unwrap();
    assert_eq!(
        routers
            .keys()
            .filter(|name| name.ends_with("@file"))
            .count(),
        2000
    );
    assert_eq!(routers["r1999@file"]["rule"], "Host(`h1999.test`)");
    let page = proxy.get("/api/http/routers?per_page=5000&search=@file");
    assert_eq!((page.names().len(), page.next_page), (2000, Some(1)));
    let page = proxy.get("/api/http/routers?per_page=500&page=4&search=@file");
    assert_eq!(page.names()[499], "r1999@file");
}

#[test]
fn explaining_is_offered_and_its_question_checked() {
    let mut proxy = Proxy::new(FLAGS);
    proxy.load(
        "http: {routers: {r: {rule: 'Header(`X-A`, `b`)', service: s}}, \
         services: {s: {loadBalancer: {servers: [{url: 'http://127.0.0.1:1'}]}}}}",
    );
    let ask = |query: &str| proxy.get(&format!("/api/ringway/explain?{query}"));
    let answer = ask("url=http://a.test:28181/x&header=X-A:%20b&client=10.0.0.1").json();
    assert_eq!(answer["router"]["name"], "r@file");
    assert_eq!(
        answer["router"]["service"]["servers"][0]["url"],
        "http://127.0.0.1:1"
    );
    assert_eq!(answer["entryPoint"], "web");
    let text = ask("format=text&url=http://a.test:28181/x&header=X-A:b");
    assert!(text.text.contains("r@file"), "{}", text.text);
    assert_eq!(text.content_type, "text/plain; charset=utf-8");
    assert_eq!(
        ask("url=http://a.test:28181/x").json()["router"],
        Value::Null
    );
    for query in [
        "",
        "url=x",
        "url=http://a&client=b",
        "url=http://a&header=x",
        "url=http://a&entrypoint=b",
    ] {
        let answer = ask(query);
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{query}: {}",
            answer.text
        );
        assert!(answer.text.starts_with("{\"message\":\"invalid request: "));
    }
}

#[test]
fn debugging_numbers_are_served_only_if_asked_for() {
    let proxy = Proxy::new(&[
        "--api.insecure=true",
        "--api.debug=true",
        "--entryPoints.traefik.address=:28180",
    ]);
    let numbers = proxy.get("/debug/vars").json();
    assert_eq!(numbers["pid"], std::process::id());
    assert!(numbers["residentBytes"].as_u64().unwrap() > 0);
    assert_eq!(proxy.get("/debug/pprof/").status, StatusCode::NOT_FOUND);
    assert_eq!(
        Proxy::new(FLAGS).get("/debug/vars").status,
        StatusCode::NOT_FOUND
    );
}
