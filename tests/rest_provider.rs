//! The providers `http` and `rest` through the binary: what they are given is routed.

mod support;

use serde_json::Value;
use support::client::{Client, Response};
use support::origin::{answering, origin};
use support::process::{Process, answer, setup, wait_for};

const ENTRY_POINTS: &str =
    "entryPoints: {web: {address: \"127.0.0.1:0\"}, traefik: {address: \"127.0.0.1:0\"}}\n";

fn with_rest(options: &str) -> Process {
    let statics =
        format!("{ENTRY_POINTS}providers: {{rest: {{{options}}}}}\napi: {{insecure: true}}\n");
    setup(&statics).start()
}

/// Routes a host to a server.
fn rules(host: &str, url: &str) -> String {
    format!(
        "{{\"http\": {{\"routers\": {{\"r\": {{\"rule\": \"Host(`{host}`)\", \"service\": \"s\"}}}}, \
         \"services\": {{\"s\": {{\"loadBalancer\": {{\"servers\": [{{\"url\": \"{url}\"}}]}}}}}}}}}}"
    )
}

fn request(proxy: &Process, method: &str, path: &str, body: &str) -> Response {
    let mut client = Client::connect(proxy.address("traefik"));
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ));
    client.response()
}

fn put(proxy: &Process, body: &str) -> Response {
    request(proxy, "PUT", "/api/providers/rest", body)
}

fn json(response: &Response) -> Value {
    serde_json::from_str(&response.text()).expect("JSON")
}

fn serves(proxy: &Process, host: &str, body: &str) {
    wait_for(&format!("{host} serves {body:?}"), || {
        proxy.get(host, "/").text() == body
    });
}

#[test]
fn what_is_put_in_is_routed_and_replaces_what_was_there() {
    let (one, two) = (answering(answer("one")), answering(answer("two")));
    let proxy = with_rest("insecure: true");
    assert_eq!(proxy.get("a.test", "/").status, 404);
    let taken = put(&proxy, &rules("a.test", &one.url()));
    assert_eq!(taken.status, 200);
    assert_eq!(
        taken.field("content-type"),
        Some("application/json; charset=UTF-8")
    );
    let echo = json(&taken);
    assert_eq!(echo["http"]["routers"]["r"]["rule"], "Host(`a.test`)");
    assert_eq!(echo.get("rejected"), None);
    serves(&proxy, "a.test", "one");
    put(&proxy, &rules("b.test", &two.url()));
    serves(&proxy, "b.test", "two");
    assert_eq!(proxy.get("a.test", "/").status, 404);
    assert_eq!(put(&proxy, "{}").text(), "{}");
    wait_for("b.test is gone", || proxy.get("b.test", "/").status == 404);
}

#[test]
fn a_bad_object_is_named_and_keeps_its_last_good_version() {
    let one = answering(answer("one"));
    let proxy = with_rest("insecure: true");
    let good = rules("a.test", &one.url());
    put(&proxy, &good);
    serves(&proxy, "a.test", "one");
    let bad = good.replace("\"rule\"", "\"ruler\"").replace(
        "\"routers\": {",
        "\"routers\": {\"new\": {\"rule\": \"Host(`new.test`)\", \"service\": \"s\"}, ",
    );
    let taken = put(&proxy, &bad);
    assert_eq!(taken.status, 200);
    let rejected = &json(&taken)["rejected"];
    assert_eq!(rejected[0]["object"], "http.routers.r");
    let error = rejected[0]["errors"][0].as_str().unwrap();
    assert!(error.contains("ruler"), "{error}");
    serves(&proxy, "new.test", "one");
    assert_eq!(proxy.get("a.test", "/").text(), "one");
}

#[test]
fn answers_are_traefiks() {
    let proxy = with_rest("insecure: true");
    let ask = |method, path, body| {
        let answer = request(&proxy, method, path, body);
        (answer.status, answer.text())
    };
    let only = "Only 'rest' provider can be updated through the REST API\n".to_owned();
    assert_eq!(ask("PUT", "/api/providers/web", "{}"), (400, only));
    let not_found = (404, "404 page not found\n".to_owned());
    assert_eq!(ask("PUT", "/api/providers", "{}"), not_found);
    assert_eq!(ask("PUT", "/api/providers/rest/", "{}"), not_found);
    for method in ["GET", "POST", "DELETE"] {
        assert_eq!(ask(method, "/api/providers/rest", ""), (405, String::new()));
    }
    let (status, text) = ask("PUT", "/api/providers/rest", "{bad");
    assert!(status == 400 && text.contains("not JSON"), "{text}");
    let (status, text) = ask("PUT", "/api/providers/rest", "");
    assert!(status == 400 && text.contains("empty"), "{text}");
    // The API shows the router and the provider, and does not take anything in itself.
    let router = proxy.get_from("traefik", "x", "/api/http/routers/rest@internal");
    assert_eq!(json(&router)["rule"], "PathPrefix(`/api/providers`)");
    let overview = proxy.get_from("traefik", "x", "/api/overview");
    assert_eq!(json(&overview)["providers"], serde_json::json!(["Rest"]));
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let proxy = with_rest("insecure: true, maxRequestBodySize: 100");
    let refused = put(&proxy, &format!("{{\"x\": \"{}\"}}", "y".repeat(100)));
    assert_eq!(refused.status, 413);
    assert!(
        refused.text().contains("providers.rest.maxRequestBodySize"),
        "{}",
        refused.text()
    );
    assert_eq!(put(&proxy, "{}").status, 200);
}

#[test]
fn without_insecure_it_is_where_a_router_leads_to_it() {
    let statics = "entryPoints: {web: {address: \"127.0.0.1:0\"}}\n\
                   providers: {rest: {}, file: {filename: \"{dir}/dynamic.yml\"}}\n";
    let proxy = setup(statics)
        .dynamic("http: {routers: {put: {rule: \"Host(`put.test`)\", service: rest@internal}}}\n")
        .start();
    let one = answering(answer("one"));
    let body = rules("a.test", &one.url());
    let mut client = Client::connect(proxy.web());
    client.send(format!(
        "PUT /api/providers/rest HTTP/1.1\r\nHost: put.test\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(client.response().status, 200);
    serves(&proxy, "a.test", "one");
}

#[test]
fn the_http_provider_is_waited_for_and_routed() {
    let one = answering(answer("one"));
    let body = rules("a.test", &one.url());
    let server = origin(move |peer| {
        while peer.request().is_some() {
            peer.answer(&body);
        }
    });
    let statics = format!(
        "{ENTRY_POINTS}providers: {{http: {{endpoint: \"{}\", pollInterval: 100ms}}}}\napi: {{insecure: true}}\n",
        server.url()
    );
    let proxy = setup(&statics).start();
    // It was ready only after the first answer.
    assert_eq!(proxy.get("a.test", "/").text(), "one");
    let overview = proxy.get_from("traefik", "x", "/api/overview");
    assert_eq!(json(&overview)["providers"], serde_json::json!(["HTTP"]));
}
