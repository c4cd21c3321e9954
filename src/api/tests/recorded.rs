//! Field by field against recorded answers.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Proxy, block_on};

/// The process whose answers were recorded in `recorded.json`.
fn recorded() -> (Proxy, Value) {
    let mut proxy = Proxy::new(&[
        "--api.insecure=true",
        "--ping=true",
        "--entryPoints.traefik.address=127.0.0.1:28180",
        "--entryPoints.web.address=127.0.0.1:28181",
        "--providers.file.filename=recorded.yml",
    ]);
    proxy.load(include_str!("recorded.yml"));
    let answers = serde_json::from_str(include_str!("recorded.json")).unwrap();
    (proxy, answers)
}

/// The process whose answers were recorded in `recorded_models.json`.
fn models() -> (Proxy, Value) {
    let mut proxy = Proxy::new(&[
        "--api.insecure=true",
        "--api.debug=true",
        "--api.dashboard=false",
        "--accessLog=true",
        "--entryPoints.traefik.address=127.0.0.1:28180",
        "--entryPoints.web.address=127.0.0.1:28181",
        "--entryPoints.web.forwardedHeaders.trustedIPs=10.0.0.0/8",
        "--entryPoints.web.proxyProtocol.insecure=true",
        "--entryPoints.websec.address=127.0.0.1:28182",
        "--entryPoints.websec.http.tls.options=foo",
        "--entryPoints.websec.http.middlewares=x@file",
        "--entryPoints.websec.observability.accessLogs=false",
        "--entryPoints.red.address=127.0.0.1:28183",
        "--entryPoints.red.http.redirections.entryPoint.to=websec",
        "--entryPoints.udp.address=127.0.0.1:28184/udp",
    ]);
    proxy.load(include_str!("recorded_models.yml"));
    let answers = serde_json::from_str(include_str!("recorded_models.json")).unwrap();
    (proxy, answers)
}

/// Deliberate differences, removed: the texts of rule errors; users are secret; what nothing refers to shows its
/// errors too, which Traefik never finds.
fn without_deviations(item: &Value) -> Value {
    let mut item = item.clone();
    let fields = item.as_object_mut().unwrap();
    if fields["status"] == "enabled" {
        fields.remove("error");
    }
    let errors = fields.get_mut("error").and_then(Value::as_array_mut);
    for error in errors.into_iter().flatten() {
        let text = error.as_str().unwrap();
        if text.starts_with("error while parsing rule") || text.starts_with("rule: ") {
            *error = json!("(rule error)");
        }
    }
    for kind in ["basicAuth", "digestAuth"] {
        let users = fields.get_mut(kind).and_then(|auth| auth.get_mut("users"));
        if let Some(users) = users.and_then(Value::as_array_mut) {
            users.fill(json!("xxxx"));
        }
    }
    item
}

fn assert_items(found: &Value, expected: &Value, what: &str) {
    let found = without_deviations(found);
    let expected = without_deviations(expected);
    assert_eq!(
        found, expected,
        "{what}:\nfound    {found}\nexpected {expected}"
    );
}

fn assert_list(proxy: &Proxy, recorded: &Value, path: &str) {
    let answer = proxy.get(&format!("/api/{path}"));
    assert_eq!(answer.content_type, "application/json");
    assert_eq!(answer.next_page, Some(1));
    assert!(answer.text.ends_with("]\n"));
    let (found, expected) = (answer.json(), &recorded[path]);
    let names = |list: &Value| {
        let items = list.as_array().unwrap().iter();
        items
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&found), names(expected));
    for (found, expected) in found
        .as_array()
        .unwrap()
        .iter()
        .zip(expected.as_array().unwrap())
    {
        assert_items(found, expected, path);
    }
}

#[test]
fn lists_are_traefiks() {
    let (proxy, recorded) = recorded();
    for path in ["http/routers", "http/services", "http/middlewares"] {
        assert_list(&proxy, &recorded, path);
    }
    let entry_points = proxy.get("/api/entrypoints");
    assert_eq!(entry_points.json(), recorded["entrypoints"]);
    assert_eq!(entry_points.next_page, Some(1));
}

#[test]
fn all_data_are_traefiks() {
    let (proxy, recorded) = recorded();
    let (found, expected) = (proxy.get("/api/rawdata").json(), &recorded["rawdata"]);
    let collections = |data: &Value| {
        let collections = data.as_object().unwrap().iter();
        collections
            .map(|(name, objects)| {
                let names = objects.as_object().unwrap().keys().cloned();
                (name.clone(), names.collect::<Vec<_>>())
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(collections(&found), collections(expected));
    for (collection, objects) in expected.as_object().unwrap() {
        for (name, expected) in objects.as_object().unwrap() {
            assert_items(&found[collection][name], expected, name);
        }
    }
}

#[test]
fn the_overview_is_traefiks() {
    let (proxy, recorded) = recorded();
    assert_eq!(proxy.get("/api/overview").json(), recorded["overview"]);
}

#[test]
fn one_object_is_what_its_list_has() {
    let (proxy, recorded) = recorded();
    let expected = recorded["http/routers"].as_array().unwrap().iter();
    let expected = expected
        .clone()
        .find(|router| router["name"] == "ap-r@file");
    for path in ["ap-r@file", "ap-r%40file"] {
        let found = proxy.get(&format!("/api/http/routers/{path}"));
        assert_eq!(&found.json(), expected.unwrap());
        assert_eq!(found.next_page, None);
    }
    let found = proxy.get("/api/entrypoints/web").json();
    assert_eq!(found, recorded["entrypoints"][1]);
}

#[test]
fn models_and_references_are_shown_as_traefik_shows_them() {
    let (proxy, recorded) = models();
    for collection in ["routers", "services", "middlewares"] {
        for (name, expected) in recorded[collection].as_object().unwrap() {
            let found = proxy.get(&format!("/api/http/{collection}/{name}")).json();
            assert_items(&found, expected, name);
        }
    }
    let entry_points = proxy.get("/api/entrypoints").json();
    assert_eq!(entry_points, recorded["entrypoints"]);
}

#[test]
fn the_version_has_traefiks_fields() {
    let (proxy, _) = recorded();
    let answer = proxy.get("/api/version");
    let version = answer.json();
    let keys: Vec<_> = version.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["Codename", "Version", "startDate"]);
    let start: jiff::Timestamp = version["startDate"].as_str().unwrap().parse().unwrap();
    assert!(start <= jiff::Timestamp::now());
}

#[test]
fn errors_are_traefiks() {
    let (proxy, _) = recorded();
    let not_found = [
        ("/api/http/routers/nope", "router not found: nope"),
        ("/api/http/services/nope@x", "service not found: nope@x"),
        (
            "/api/http/middlewares/nope@x",
            "middleware not found: nope@x",
        ),
        (
            "/api/http/routers/ap%2Fr@file",
            "router not found: ap/r@file",
        ),
        ("/api/tcp/routers/x", "router not found: x"),
        ("/api/udp/services/x", "service not found: x"),
        ("/api/entrypoints/nope", "entry point not found: nope"),
    ];
    for (target, text) in not_found {
        let answer = proxy.get(target);
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{target}");
        assert_eq!(answer.text, format!("{{\"message\":\"{text}\"}}\n"));
        assert_eq!(answer.content_type, "text/plain; charset=utf-8");
    }
    let invalid = [
        ("/api/http/routers?page=0", "page: 0"),
        ("/api/http/routers?per_page=-1", "per_page: -1"),
        (
            "/api/http/routers?per_page=3&page=99",
            "page: 99, per_page: 3",
        ),
        ("/api/tcp/routers?page=2", "page: 2, per_page: 100"),
    ];
    for (target, text) in invalid {
        let answer = proxy.get(target);
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{target}");
        let text = format!("{{\"message\":\"invalid request: {text}\"}}\n");
        assert_eq!(answer.text, text);
    }
    for target in ["/", "/api/", "/api/nope", "/dashboard/", "/debug/vars"] {
        let answer = proxy.get(target);
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{target}");
        assert_eq!(answer.text, "404 page not found\n");
    }
    for (method, target, status) in [
        (Method::POST, "/api/http/routers", 405),
        (Method::HEAD, "/api/http/routers", 405),
        (Method::POST, "/api/nope", 404),
    ] {
        let answer = block_on(proxy.ask(&method, target));
        assert_eq!(answer.status, status, "{method} {target}");
        assert!(status == 404 || answer.text.is_empty());
    }
}

#[test]
fn pages_and_filters_select_as_traefik_does() {
    let (proxy, recorded) = recorded();
    let everything: Vec<_> = recorded["http/routers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|router| router["name"].as_str().unwrap().to_owned())
        .collect();
    let page = proxy.get("/api/http/routers?per_page=3&page=2");
    assert_eq!(page.next_page, Some(3));
    assert_eq!(page.names(), everything[3..6]);
    let last = proxy.get("/api/http/routers?per_page=3&page=4");
    assert_eq!(last.next_page, Some(1));
    assert_eq!(last.names(), everything[9..]);
    let cases: [(&str, &[&str]); 9] = [
        ("search=NOMW", &["ap-nomw@file"]),
        ("search=m.ap.test", &["ap-nomw@file"]),
        ("search=web", &[]),
        ("search=%2B", &[]),
        (
            "status=Disabled",
            &[
                "ap-bad@file",
                "ap-noep@file",
                "ap-nomw@file",
                "ap-nosvc@file",
            ],
        ),
        ("status=foo", &[]),
        ("serviceName=ap-nope@file", &["ap-nosvc@file"]),
        ("middlewareName=ap-m", &[]),
        ("middlewareName=ap-m@file", &["ap-r@file"]),
    ];
    for (query, names) in cases {
        let found = proxy.get(&format!("/api/http/routers?{query}")).names();
        assert_eq!(found, names, "{query}");
    }
    // Only routers have services and middlewares to be selected by.
    let services = proxy.get("/api/http/services").names();
    for query in ["serviceName=ap-s", "middlewareName=x"] {
        let found = proxy.get(&format!("/api/http/services?{query}")).names();
        assert_eq!(found, services);
    }
}

#[test]
fn lists_are_sorted_as_traefik_sorts_them() {
    let (proxy, _) = recorded();
    let sorted = |query: &str| proxy.get(&format!("/api/http/{query}")).names().join(" ");
    assert_eq!(
        sorted("routers?sortBy=service&direction=desc"),
        "zz-ready@file ping@internal dashboard@internal api@internal ap-tls@file ap-r@file ap-nomw@file \
         ap-noep@file ap-d@file ap-bad@file ap-nosvc@file"
    );
    assert_eq!(
        sorted("services?sortBy=servers&direction=asc"),
        "ap-fo@file ap-mi@file ap-w@file api@internal dashboard@internal noop@internal ping@internal ap-hc@file \
         ap-st@file ap-unused@file zz-ready@file ap-s@file"
    );
    assert_eq!(
        sorted("routers?sortBy=nonsense&direction=DESC"),
        "zz-ready@file ping@internal dashboard@internal api@internal ap-tls@file ap-r@file ap-nosvc@file \
         ap-nomw@file ap-noep@file ap-d@file ap-bad@file"
    );
    let by_priority = sorted("routers?sortBy=priority");
    assert!(by_priority.starts_with("ap-noep@file ap-r@file ap-bad@file ap-d@file"));
    assert!(by_priority.ends_with("dashboard@internal api@internal ping@internal"));
    assert!(sorted("middlewares?sortBy=type").starts_with("ap-m@file ap-ba@file ap-buf@file"));
}
