//! Middlewares through a real shard: their order, answers of their own, checks off the shard, and those
//! that forward more than once.

mod support;

use support::client::{Client, Response};
use support::origin::{Origin, answering, origin};
use support::proxy::{Proxy, proxy};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Origin: 1\r\n\r\nok";

/// A proxy in front of `origin` whose one router has the middlewares `m0`, `m1`, …
fn with(origin: &Origin, middlewares: &[&str]) -> Proxy {
    with_pages(origin, origin, middlewares)
}

/// The same with a second service, `pages`.
fn with_pages(origin: &Origin, pages: &Origin, middlewares: &[&str]) -> Proxy {
    let names: Vec<_> = (0..middlewares.len()).map(|n| format!("m{n}")).collect();
    let mut yaml = format!(
        "http:\n  routers:\n    r: {{rule: 'PathPrefix(`/`)', service: s, middlewares: [{}]}}\n  services:\n",
        names.join(", "),
    );
    for (name, url) in [("s", origin.url()), ("pages", pages.url())] {
        yaml += &format!("    {name}: {{loadBalancer: {{servers: [{{url: '{url}'}}]}}}}\n");
    }
    yaml += "  middlewares:\n";
    for (name, middleware) in names.iter().zip(middlewares) {
        yaml += &format!("    {name}: {middleware}\n");
    }
    proxy(&yaml)
}

fn get(proxy: &Proxy, path: &str, fields: &str) -> Response {
    let mut client = Client::connect(proxy.addr);
    client.send(format!(
        "GET {path} HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"
    ));
    client.response()
}

fn first_line(origin: &Origin, index: usize) -> String {
    origin.seen()[index]
        .head
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn requests_pass_in_order_and_responses_in_reverse() {
    let origin = answering(OK);
    let proxy = with(
        &origin,
        &[
            "{headers: {customResponseHeaders: {X-Origin: outer}}}",
            "{stripPrefix: {prefixes: [/foo]}}",
            "{addPrefix: {prefix: /bar}}",
            "{headers: {customResponseHeaders: {X-Origin: inner, X-Inner: '1'}}}",
        ],
    );
    let response = get(&proxy, "/foo", "");
    assert_eq!(response.status, 200);
    assert_eq!(response.field("x-origin"), Some("outer"));
    assert_eq!(response.field("x-inner"), Some("1"));
    assert_eq!(first_line(&origin, 0), "GET /bar HTTP/1.1");
    assert!(
        origin.seen()[0]
            .head
            .contains("X-Forwarded-Prefix: /foo\r\n")
    );
}

#[test]
fn an_answer_of_a_filter_passes_the_ones_before_it_only() {
    let origin = answering(OK);
    let proxy = with(
        &origin,
        &[
            "{headers: {customResponseHeaders: {X-Before: '1'}}}",
            "{ipAllowList: {sourceRange: [10.0.0.0/8]}}",
            "{headers: {customResponseHeaders: {X-After: '1'}}}",
        ],
    );
    let response = get(&proxy, "/", "");
    assert_eq!(
        (response.status, response.text().as_str()),
        (403, "Forbidden")
    );
    assert_eq!(response.field("x-before"), Some("1"));
    assert_eq!(response.field("x-after"), None);
    assert!(origin.seen().is_empty());
}

#[test]
fn a_slow_password_is_checked_off_the_shard_and_remembered() {
    let origin = answering(OK);
    let proxy = with(
        &origin,
        &[
            "{basicAuth: {users: ['bob:$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe'], headerField: X-User}}",
        ],
    );
    for _ in 0..3 {
        // bob:password, bob:wrong
        assert_eq!(
            get(&proxy, "/", "Authorization: Basic Ym9iOnBhc3N3b3Jk\r\n").status,
            200
        );
        let refused = get(&proxy, "/", "Authorization: Basic Ym9iOndyb25n\r\n");
        assert_eq!(
            (refused.status, refused.text().as_str()),
            (401, "401 Unauthorized\n")
        );
        assert_eq!(
            refused.field("www-authenticate"),
            Some("Basic realm=\"traefik\"")
        );
    }
    assert_eq!(origin.seen().len(), 3);
    assert!(
        origin
            .seen()
            .iter()
            .all(|seen| seen.head.contains("X-User: bob\r\n"))
    );
}

#[test]
fn a_redirect_and_a_preflight_never_reach_the_origin() {
    let origin = answering(OK);
    let redirect = with(
        &origin,
        &["{redirectScheme: {scheme: https, permanent: true}}"],
    );
    let response = get(&redirect, "/a%2Fb?c=%zz", "");
    assert_eq!(
        (response.status, response.text().as_str()),
        (301, "Moved Permanently")
    );
    assert_eq!(
        response.field("location"),
        Some("https://a.test/a%2Fb?c=%zz")
    );
    let cors = with(
        &origin,
        &["{headers: {accessControlAllowOriginList: ['*']}}"],
    );
    let mut client = Client::connect(cors.addr);
    client.send("OPTIONS / HTTP/1.1\r\nHost: a.test\r\nOrigin: x\r\nAccess-Control-Request-Method: GET\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (200, ""));
    assert_eq!(response.field("content-length"), Some("0"));
    assert_eq!(response.field("access-control-allow-origin"), Some("*"));
    assert!(origin.seen().is_empty());
}

#[test]
fn a_status_is_retried_with_the_body_and_the_path_of_the_first_time() {
    let origin = answering("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    let proxy = with(
        &origin,
        &[
            "{retry: {attempts: 3, status: ['503']}}",
            "{stripPrefix: {prefixes: [/foo]}}",
        ],
    );
    let mut client = Client::connect(proxy.addr);
    client.send("PUT /foo/x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response().status, 503);
    let seen = origin.seen();
    assert_eq!(seen.len(), 3);
    for request in &seen {
        assert!(
            request.head.starts_with("PUT /x HTTP/1.1\r\n"),
            "{}",
            request.head
        );
        assert_eq!(request.body, b"hello");
        assert_eq!(request.head.matches("X-Forwarded-Prefix").count(), 1);
    }
    // A method that is not idempotent goes once.
    client.send("POST /foo/x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().status, 503);
    assert_eq!(origin.seen().len(), 4);
}

#[test]
fn an_error_response_becomes_the_page_of_another_service() {
    let origin = answering("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\nX-Origin: 1\r\n\r\noops");
    let pages = answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Pages: 1\r\n\r\npage");
    let proxy = with_pages(
        &origin,
        &pages,
        &[
            "{errors: {status: ['500-599'], statusRewrites: {'500': 503}, service: pages, query: '/e?s={status}&o={originalStatus}&u={url}'}}",
        ],
    );
    let response = get(&proxy, "/x?y=1", "X-A: 1\r\n");
    assert_eq!((response.status, response.text().as_str()), (503, "page"));
    assert_eq!(response.field("x-origin"), None);
    assert_eq!(response.field("x-pages"), Some("1"));
    let expected = "GET /e?s=503&o=500&u=http%3A%2F%2Fa.test%2Fx%3Fy%3D1 HTTP/1.1";
    assert_eq!(first_line(&pages, 0), expected);
    assert!(pages.seen()[0].head.contains("X-A: 1\r\n"));
}

/// A proxy that replaces 401 by a page for requests without a password, and gives clients 300 ms to send.
fn with_page_for_401(pages: &Origin) -> Proxy {
    let yaml = format!(
        "http:\n  routers: {{r: {{rule: \"PathPrefix(`/`)\", service: p, middlewares: [e, a]}}}}\n  \
         middlewares:\n    e: {{errors: {{status: ['401'], service: p, query: /page}}}}\n    \
         a: {{basicAuth: {{users: ['u:{{SHA}}GpHWL3ymc5liWkNopqtdSjuqYHM=']}}}}\n  \
         services:\n    p: {{loadBalancer: {{servers: [{{url: \"{}\"}}]}}}}\n",
        pages.url()
    );
    support::proxy::builder()
        .entry_point(|entry_point| {
            entry_point.transport.responding_timeouts.read_timeout =
                ringway::config::duration::GoDuration::from_millis(300);
        })
        .start(&yaml)
}

#[test]
fn a_page_does_not_end_the_time_that_a_client_has_for_its_body() {
    let pages = answering(OK);
    let proxy = with_page_for_401(&pages);
    let mut client = Client::connect(proxy.addr);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhal");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (401, "ok"));
    assert!(client.is_closed());
}

/// It counts as gone, as with any slow upstream (`docs/deviations.md`), and not as one to be told the error.
#[test]
fn a_client_that_ends_its_direction_while_a_page_is_awaited_is_told_nothing() {
    let pages = origin(|peer| {
        peer.request();
        // No answer: this waits for the end of the proxy's connection.
        assert!(peer.request().is_none());
    });
    let proxy = with_page_for_401(&pages);
    let mut client = Client::connect(proxy.addr);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client.shutdown_write();
    assert_eq!(client.read_to_end(), b"");
}

#[test]
fn interim_responses_of_a_page_do_not_reach_clients_of_http_1_0() {
    let pages = origin(|peer| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
            peer.send(OK);
        }
    });
    let proxy = with_page_for_401(&pages);
    for (version, first) in [("1.0", "401"), ("1.1", "103")] {
        let mut client = Client::connect(proxy.addr);
        client.send(format!("GET / HTTP/{version}\r\nHost: a.test\r\n\r\n"));
        let head = client.head();
        assert!(head.contains(&format!(" {first} ")), "{version}: {head}");
    }
}

#[test]
fn a_buffered_body_is_sent_with_its_length_and_again_if_told() {
    let origin = answering("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    let proxy = with(
        &origin,
        &[
            "{buffering: {maxRequestBodyBytes: 9, retryExpression: 'Attempts() < 2 && ResponseCode() == 503'}}",
        ],
    );
    let mut client = Client::connect(proxy.addr);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(client.response().status, 503);
    let seen = origin.seen();
    assert_eq!(seen.len(), 2);
    for request in &seen {
        assert!(
            request.head.contains("Content-Length: 5\r\n"),
            "{}",
            request.head
        );
        assert_eq!(request.body, b"hello");
    }
    let mut client = Client::connect(proxy.addr);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\n0123456789");
    let response = client.response();
    assert_eq!(
        (response.status, response.text().as_str()),
        (413, "Request Entity Too Large")
    );
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn a_middleware_that_does_not_compile_takes_only_its_router_down() {
    let origin = answering(OK);
    let url = origin.url();
    let proxy = proxy(&format!(
        "http:\n  routers:\n    bad: {{rule: 'Path(`/bad`)', service: s, middlewares: [broken]}}\n    \
         good: {{rule: 'Path(`/good`)', service: s}}\n  services:\n    s: {{loadBalancer: {{servers: [{{url: '{url}'}}]}}}}\n  \
         middlewares:\n    broken: {{replacePath: {{path: no-slash}}}}\n"
    ));
    assert_eq!(get(&proxy, "/bad", "").status, 404);
    assert_eq!(get(&proxy, "/good", "").status, 200);
}
