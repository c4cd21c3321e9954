//! Options of the static configuration, seen by real requests.

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::client::{Client, Response};
use support::origin::{Origin, answering, behind};
use support::process::{Process, Setup, answer, bare, hosts, setup, wait_for};

/// One entry point with `options` and everything routed to one origin.
fn entry_point(options: &str) -> Setup {
    setup(&format!(
        "entryPoints: {{web: {{address: \"127.0.0.1:0\"{options}}}}}\n\
         providers: {{file: {{filename: \"{{dir}}/dynamic.yml\"}}}}\n"
    ))
}

fn scene(options: &str) -> (Process, Origin) {
    let origin = answering(answer("one"));
    (
        entry_point(options).dynamic(&origin.config()).start(),
        origin,
    )
}

fn ask(proxy: &Process, head: &str) -> Response {
    let mut client = Client::connect(proxy.web());
    client.send(head);
    client.response()
}

#[test]
fn an_entry_point_redirects_to_another() {
    let proxy = setup(
        "entryPoints:\n  web: {address: \"127.0.0.1:0\", http: {redirections: {entryPoint: {to: \":8443\", permanent: false}}}}\n  \
         other: {address: \"127.0.0.1:0\"}\n",
    )
    .start();
    let response = proxy.get("a.test", "/x?y=z");
    assert_eq!(response.status, 302, "{}", response.head);
    assert_eq!(
        response.field("location"),
        Some("https://a.test:8443/x?y=z")
    );
    // The port is the one that the kernel chose.
    let proxy = setup(
        "entryPoints:\n  web: {address: \"127.0.0.1:0\", http: {redirections: {entryPoint: {to: secure}}}}\n  \
         secure: {address: \"127.0.0.1:0\"}\n",
    )
    .start();
    let port = proxy.address("secure").port();
    let response = proxy.get("a.test", "/");
    assert_eq!(response.status, 301, "{}", response.head);
    let location = format!("https://a.test:{port}/");
    assert_eq!(response.field("location"), Some(&*location));
}

#[test]
fn an_entry_points_middlewares_come_before_a_routers_own() {
    let origin = answering(answer("one"));
    let dynamic = behind(&[("own", "{addPrefix: {prefix: /own}}")], &origin.config())
        + "    all: {addPrefix: {prefix: /all}}\n";
    let proxy = entry_point(", http: {middlewares: [all@file]}")
        .dynamic(&dynamic)
        .start();
    assert_eq!(proxy.get("a.test", "/x").status, 200);
    assert_eq!(origin.last().target(), "/own/all/x");
}

#[test]
fn encoded_characters_are_refused_where_the_entry_point_says_so() {
    let (proxy, origin) = scene(", http: {encodedCharacters: {allowEncodedSlash: false}}");
    let response = proxy.get("a.test", "/a%2fb");
    assert_eq!((response.status, response.body.len()), (400, 0));
    assert_eq!(proxy.get("a.test", "/a%25b").status, 200);
    assert_eq!(origin.last().target(), "/a%25b");
    let (proxy, origin) = scene("");
    assert_eq!(proxy.get("a.test", "/a%2fb").status, 200);
    assert_eq!(origin.last().target(), "/a%2Fb");
}

#[test]
fn paths_are_cleaned_unless_the_entry_point_leaves_them() {
    let (proxy, origin) = scene("");
    proxy.get("a.test", "/a/../b//c/./d");
    assert_eq!(origin.last().target(), "/b/c/d");
    let (proxy, origin) = scene(", http: {sanitizePath: false}");
    proxy.get("a.test", "/a/../b//c/./d");
    assert_eq!(origin.last().target(), "/a/../b//c/./d");
}

#[test]
fn semicolons_of_a_query_separate_or_are_encoded() {
    let (proxy, origin) = scene("");
    proxy.get("a.test", "/?a=1;b=2");
    assert_eq!(origin.last().target(), "/?a=1&b=2");
    let (proxy, origin) = scene(", http: {encodeQuerySemicolons: true}");
    proxy.get("a.test", "/?a=1;b=2");
    assert_eq!(origin.last().target(), "/?a=1%3Bb=2");
}

#[test]
fn fields_with_underscores_are_kept_deleted_or_refused() {
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\nX_Under: 1\r\n\r\n";
    let (proxy, origin) = scene("");
    assert_eq!(ask(&proxy, request).status, 200);
    assert_eq!(origin.last().field("x_under"), Some("1"));
    let (proxy, origin) = scene(", http: {underscoreHeadersStrategy: delete}");
    assert_eq!(ask(&proxy, request).status, 200);
    assert_eq!(origin.last().field("x_under"), None);
    let (proxy, _origin) = scene(", http: {underscoreHeadersStrategy: reject}");
    assert_eq!(ask(&proxy, request).status, 400);
}

#[test]
fn a_head_over_the_limit_is_431() {
    let (proxy, _origin) = scene(", http: {maxHeaderBytes: 4096}");
    assert_eq!(proxy.get("a.test", "/").status, 200);
    let long = "x".repeat(16 * 1024);
    let response = ask(
        &proxy,
        &format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Long: {long}\r\n\r\n"),
    );
    assert_eq!(response.status, 431, "{}", response.head);
    assert_eq!(response.field("connection"), Some("close"));
}

#[test]
fn a_connection_closes_after_so_many_requests() {
    let (proxy, _origin) = scene(", transport: {keepAliveMaxRequests: 3}");
    let mut client = Client::connect(proxy.web());
    for n in 1..=3 {
        let response = client.get("/");
        assert_eq!(response.status, 200);
        assert_eq!(
            response.field("connection") == Some("close"),
            n == 3,
            "{n}: {}",
            response.head
        );
    }
    assert!(client.is_closed());
}

#[test]
fn a_connection_closes_after_so_much_time() {
    let (proxy, _origin) = scene(", transport: {keepAliveMaxTime: 1s}");
    let mut client = Client::connect(proxy.web());
    assert_eq!(client.get("/").field("connection"), None);
    wait_for("a last answer", || {
        client.get("/").field("connection") == Some("close")
    });
    assert!(client.is_closed());
}

#[test]
fn an_idle_connection_is_closed_after_the_idle_timeout() {
    let (proxy, _origin) = scene(", transport: {respondingTimeouts: {idleTimeout: 400ms}}");
    let mut client = Client::connect(proxy.web());
    assert_eq!(client.get("/").status, 200);
    let start = Instant::now();
    assert!(client.is_closed());
    let elapsed = start.elapsed();
    assert!(
        elapsed > Duration::from_millis(350) && elapsed < Duration::from_secs(5),
        "{elapsed:?}"
    );
}

#[test]
fn a_request_that_does_not_arrive_within_the_read_timeout_ends_the_connection() {
    let (proxy, _origin) = scene(", transport: {respondingTimeouts: {readTimeout: 400ms}}");
    let mut client = Client::connect(proxy.web());
    let start = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: a.t");
    client.read_to_end();
    let elapsed = start.elapsed();
    assert!(
        elapsed > Duration::from_millis(350) && elapsed < Duration::from_secs(5),
        "{elapsed:?}"
    );
}

#[test]
fn forwarded_fields_are_believed_only_from_trusted_addresses() {
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n\r\n";
    for (options, expected_for, expected_proto) in [
        ("", "127.0.0.1", "http"),
        (
            ", forwardedHeaders: {insecure: true}",
            "9.9.9.9, 127.0.0.1",
            "https",
        ),
        (
            ", forwardedHeaders: {trustedIPs: [127.0.0.0/8]}",
            "9.9.9.9, 127.0.0.1",
            "https",
        ),
        (
            ", forwardedHeaders: {trustedIPs: [10.0.0.0/8]}",
            "127.0.0.1",
            "http",
        ),
        (
            ", forwardedHeaders: {insecure: true, notAppendXForwardedFor: true}",
            "9.9.9.9",
            "https",
        ),
    ] {
        let (proxy, origin) = scene(options);
        assert_eq!(ask(&proxy, request).status, 200);
        assert_eq!(
            origin.last().field("x-forwarded-for"),
            Some(expected_for),
            "{options}"
        );
        assert_eq!(
            origin.last().field("x-forwarded-proto"),
            Some(expected_proto),
            "{options}"
        );
    }
}

#[test]
fn a_proxy_line_of_a_trusted_address_names_the_client() {
    let v1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n".to_vec();
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    v2.extend([203, 0, 113, 7, 192, 0, 2, 1]);
    v2.extend(4711u16.to_be_bytes());
    v2.extend(80u16.to_be_bytes());
    for (options, client_address) in [
        (", proxyProtocol: {trustedIPs: [127.0.0.1]}", "203.0.113.7"),
        (", proxyProtocol: {insecure: true}", "203.0.113.7"),
        // From others the line is taken and ignored.
        (", proxyProtocol: {trustedIPs: [10.0.0.1]}", "127.0.0.1"),
    ] {
        for line in [&v1, &v2] {
            let (proxy, origin) = scene(options);
            let mut client = Client::connect(proxy.web());
            client
                .send(line)
                .send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
            assert_eq!(client.response().status, 200, "{options}");
            assert_eq!(
                origin.last().field("x-real-ip"),
                Some(client_address),
                "{options}"
            );
        }
    }
}

#[test]
fn a_proxy_line_may_be_missing_where_it_is_accepted() {
    let (proxy, origin) = scene(", proxyProtocol: {insecure: true}");
    assert_eq!(proxy.get("a.test", "/").status, 200);
    assert_eq!(origin.last().field("x-real-ip"), Some("127.0.0.1"));
}

#[test]
fn a_proxy_line_where_none_is_expected_is_a_bad_request() {
    let (proxy, _origin) = scene("");
    let response = ask(
        &proxy,
        "PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    );
    assert_eq!(response.status, 400);
}

#[test]
fn routers_without_entry_points_are_on_the_default_ones_alone() {
    let origin = answering(answer("one"));
    let text = hosts(&[("a.test", &origin.url()), ("b.test", &origin.url())]).replace(
        "rule: \"Host(`b.test`)\"",
        "rule: \"Host(`b.test`)\", entryPoints: [second]",
    );
    let proxy = setup(
        "entryPoints: {web: {address: \"127.0.0.1:0\", asDefault: true}, second: {address: \"127.0.0.1:0\"}}\n\
         providers: {file: {filename: \"{dir}/dynamic.yml\"}}\n",
    )
    .dynamic(&text)
    .start();
    let status = |entry_point: &str, host: &str| proxy.get_from(entry_point, host, "/").status;
    assert_eq!(
        (status("web", "a.test"), status("second", "a.test")),
        (200, 404)
    );
    assert_eq!(
        (status("web", "b.test"), status("second", "b.test")),
        (404, 200)
    );
}

#[test]
fn two_entry_points_have_options_of_their_own() {
    let origin = answering(answer("one"));
    let proxy = setup(
        "entryPoints:\n  web: {address: \"127.0.0.1:0\"}\n  \
         raw: {address: \"127.0.0.1:0\", http: {sanitizePath: false}}\n\
         providers: {file: {filename: \"{dir}/dynamic.yml\"}}\n",
    )
    .dynamic(&origin.config())
    .start();
    proxy.get_from("web", "a.test", "/a/../b");
    assert_eq!(origin.last().target(), "/b");
    proxy.get_from("raw", "a.test", "/a/../b");
    assert_eq!(origin.last().target(), "/a/../b");
}

#[test]
fn flags_configure_everything() {
    let origin = answering(answer("one"));
    let proxy = bare()
        .dynamic(&origin.config())
        .argument("--ENTRYPOINTS.web.address=127.0.0.1:0")
        .argument("--entrypoints.web.http.sanitizepath=false")
        .argument("--providers.file.filename={dir}/dynamic.yml")
        .argument("--log.level=INFO")
        .argument("--ringway.shards=1")
        .start();
    assert_eq!(proxy.get("a.test", "/a/../b").text(), "one");
    assert_eq!(origin.last().target(), "/a/../b");
}

#[test]
fn environment_variables_configure_everything() {
    let origin = answering(answer("one"));
    let proxy = bare()
        .dynamic(&origin.config())
        .variable("TRAEFIK_ENTRYPOINTS_WEB_ADDRESS", "127.0.0.1:0")
        .variable("TRAEFIK_PROVIDERS_FILE_FILENAME", "{dir}/dynamic.yml")
        .variable("TRAEFIK_LOG_LEVEL", "INFO")
        .start();
    assert_eq!(proxy.get("a.test", "/").text(), "one");
}

#[test]
fn a_file_in_the_working_directory_is_found() {
    let origin = answering(answer("one"));
    let proxy = bare()
        .dynamic(&origin.config())
        .file(
            "traefik.yml",
            "entryPoints: {web: {address: \"127.0.0.1:0\"}}\nlog: {level: INFO}\n\
             providers: {file: {filename: \"{dir}/dynamic.yml\"}}\n",
        )
        .start();
    assert_eq!(proxy.get("a.test", "/").text(), "one");
}

#[test]
fn a_server_by_name_is_resolved() {
    let origin = answering(answer("one"));
    let url = format!("http://localhost:{}", origin.addr.port());
    let proxy = entry_point("").dynamic(&hosts(&[("a.test", &url)])).start();
    let response = proxy.get("a.test", "/");
    assert_eq!((response.status, response.text()), (200, "one".to_owned()));
}

#[test]
fn a_name_that_does_not_resolve_is_502_within_the_dial_timeout() {
    let text = hosts(&[("a.test", "http://no-such-name.invalid:80")])
        .replace("{servers:", "{serversTransport: quick, servers:")
        + "  serversTransports:\n    quick: {forwardingTimeouts: {dialTimeout: 1s}}\n";
    let proxy = entry_point("").dynamic(&text).start();
    let start = Instant::now();
    let response = proxy.get("a.test", "/");
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert!(matches!(response.status, 502 | 504), "{}", response.head);
}

#[test]
fn a_service_whose_name_comes_with_an_edit_is_served_at_once() {
    let origin = answering(answer("one"));
    let proxy = entry_point("").dynamic("").start();
    let url = format!("http://localhost:{}", origin.addr.port());
    proxy.write("dynamic.yml", &hosts(&[("a.test", &url)]));
    // Never an error in between: the request waits for the name.
    wait_for("the route", || {
        let response = proxy.get("a.test", "/");
        assert!(matches!(response.status, 200 | 404), "{}", response.head);
        response.status == 200
    });
}

#[test]
fn the_write_timeout_does_not_cut_a_quick_answer() {
    let (proxy, _origin) = scene(", transport: {respondingTimeouts: {writeTimeout: 2s}}");
    assert_eq!(proxy.get("a.test", "/").text(), "one");
}

#[test]
fn an_unreachable_server_is_502_and_a_silent_one_504_after_the_response_header_timeout() {
    let silent = support::origin::origin(|peer| {
        while peer.request().is_some() {
            std::thread::sleep(Duration::from_secs(30));
        }
    });
    let text = hosts(&[("a.test", "http://127.0.0.1:1"), ("b.test", &silent.url())]).replace(
        "s1: {loadBalancer: {servers:",
        "s1: {loadBalancer: {serversTransport: t, servers:",
    ) + "  serversTransports:\n    t: {forwardingTimeouts: {responseHeaderTimeout: 300ms}}\n";
    let proxy = entry_point("").dynamic(&text).start();
    assert_eq!(proxy.get("a.test", "/").status, 502);
    assert_eq!(proxy.get("b.test", "/").status, 504);
}

#[test]
fn a_slow_client_head_does_not_block_others() {
    let (proxy, _origin) = scene("");
    let mut slow: Vec<TcpStream> = (0..50)
        .map(|_| TcpStream::connect(proxy.web()).unwrap())
        .collect();
    for stream in &mut slow {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    }
    assert_eq!(proxy.get("a.test", "/").text(), "one");
}
