//! Access log lines of real requests.

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use support::client::Client;
use support::origin::{Origin, answering, behind, origin};
use support::process::{PATIENCE, Process, Setup, answer, hosts, setup, wait_for};

fn logging(access_log: &str) -> Setup {
    setup(&format!(
        "entryPoints: {{web: {{address: \"127.0.0.1:0\"}}, traefik: {{address: \"127.0.0.1:0\"}}}}\n\
         providers: {{file: {{filename: \"{{dir}}/dynamic.yml\"}}}}\nping: {{}}\napi: {{insecure: true}}\n\
         accessLog: {{filePath: \"{{dir}}/access.log\"{access_log}}}\n"
    ))
}

fn lines(proxy: &Process) -> Vec<String> {
    let text = std::fs::read_to_string(proxy.path("access.log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Waits until a line of `marker` is there and returns it.
fn line(proxy: &Process, marker: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(line) = lines(proxy).into_iter().find(|line| line.contains(marker)) {
            return line;
        }
        assert!(
            Instant::now() < deadline,
            "no line of {marker}: {:?}",
            lines(proxy)
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn three() -> Origin {
    answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Origin: yes\r\n\r\none")
}

#[test]
fn a_common_line_has_traefiks_fields_in_their_order() {
    let one = three();
    // As in Traefik, the two header fields are there only if header fields are kept.
    let proxy = logging(", fields: {headers: {defaultMode: keep}}")
        .dynamic(&hosts(&[("a.test", &one.url())]))
        .start();
    let mut client = Client::connect(proxy.web());
    client.send(
        "GET /path?q=1 HTTP/1.1\r\nHost: a.test\r\nReferer: http://from/\r\nUser-Agent: a \"b\"\r\n\r\n",
    );
    assert_eq!(client.response().status, 200);
    let line = line(&proxy, "/path");
    let (start, rest) = line.split_once(" [").expect("a time");
    assert_eq!(start, "127.0.0.1 - -");
    let (time, rest) = rest.split_once("] ").expect("a time");
    assert!(time.ends_with(" +0000") && time.len() == 26, "{time}");
    let expected =
        "\"GET /path?q=1 HTTP/1.1\" 200 3 \"http://from/\" \"a \\\"b\\\"\" 1 \"r0@file\" ";
    assert!(rest.starts_with(expected), "{rest}");
    let rest = &rest[expected.len()..];
    assert!(
        rest.starts_with(&format!("\"{}\" ", one.url())) && rest.ends_with("ms"),
        "{rest}"
    );
}

#[test]
fn a_generic_common_line_ends_after_the_user_agent() {
    let one = three();
    let proxy = logging(", format: genericCLF")
        .dynamic(&hosts(&[("a.test", &one.url())]))
        .start();
    proxy.get("a.test", "/generic");
    let line = line(&proxy, "/generic");
    assert!(
        line.ends_with("\"GET /generic HTTP/1.1\" 200 3 \"-\" \"-\""),
        "{line}"
    );
}

#[test]
fn a_json_line_has_the_request_as_it_came_and_what_became_of_it() {
    let one = three();
    let fields = ", format: json, fields: {headers: {defaultMode: drop, names: {X-Keep: keep, X-Secret: redact, X-Origin: keep}}}";
    let proxy = logging(fields)
        .dynamic(&hosts(&[("a.test", &one.url())]))
        .start();
    let mut client = Client::connect(proxy.web());
    client.send(
        "POST /json?a=b HTTP/1.1\r\nHost: a.test:80\r\nX-Keep: kept\r\nX-Secret: s3cret\r\nX-Other: o\r\n\
         Content-Length: 5\r\n\r\nhello",
    );
    assert_eq!(client.response().status, 200);
    let line = line(&proxy, "/json");
    assert!(!line.contains("s3cret"), "{line}");
    let record: Value = serde_json::from_str(&line).expect("a line is a JSON object");
    for (key, expected) in [
        ("RequestMethod", Value::from("POST")),
        ("RequestPath", "/json?a=b".into()),
        ("RequestProtocol", "HTTP/1.1".into()),
        ("RequestScheme", "http".into()),
        ("RequestHost", "a.test".into()),
        ("RequestPort", "80".into()),
        ("RequestAddr", "a.test:80".into()),
        ("RequestContentSize", 5.into()),
        ("DownstreamStatus", 200.into()),
        ("DownstreamContentSize", 3.into()),
        ("OriginStatus", 200.into()),
        ("OriginContentSize", 3.into()),
        ("RouterName", "r0@file".into()),
        ("ServiceName", "s0@file".into()),
        ("ServiceURL", one.url().into()),
        ("ServiceAddr", one.addr.to_string().into()),
        ("ClientHost", "127.0.0.1".into()),
        ("ClientUsername", "-".into()),
        ("RetryAttempts", 0.into()),
        ("entryPointName", "web".into()),
        ("request_X-Keep", "kept".into()),
        ("request_X-Secret", "REDACTED".into()),
        ("level", "info".into()),
        ("msg", "".into()),
    ] {
        assert_eq!(record[key], expected, "{key} of {record:#}");
    }
    assert!(
        record["Duration"]
            .as_u64()
            .is_some_and(|nanoseconds| nanoseconds > 0),
        "{record:#}"
    );
    assert!(record["Overhead"].as_i64().is_some(), "{record:#}");
    assert!(record.get("request_X-Other").is_none(), "{record:#}");
    assert!(
        record["StartUTC"]
            .as_str()
            .is_some_and(|time| time.ends_with('Z')),
        "{record:#}"
    );
}

#[test]
fn lines_are_written_within_a_second_without_another_request() {
    let one = three();
    let proxy = logging("")
        .dynamic(&hosts(&[("a.test", &one.url())]))
        .start();
    proxy.get("a.test", "/soon");
    let start = Instant::now();
    line(&proxy, "/soon");
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn filters_leave_out_what_they_do_not_name() {
    let origin = origin(|peer| {
        while let Some(request) = peer.request() {
            let bad = request.head.contains("/bad");
            let status = if bad {
                "503 Service Unavailable"
            } else {
                "200 OK"
            };
            peer.send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    let proxy = logging(", filters: {statusCodes: [\"500-599\"]}")
        .dynamic(&hosts(&[("a.test", &origin.url())]))
        .start();
    assert_eq!(proxy.get("a.test", "/good").status, 200);
    assert_eq!(proxy.get("a.test", "/bad").status, 503);
    line(&proxy, "/bad");
    assert!(!lines(&proxy).iter().any(|line| line.contains("/good")));
}

#[test]
fn slow_requests_are_kept_by_the_duration_filter() {
    let origin = origin(|peer| {
        while let Some(request) = peer.request() {
            if request.head.contains("/slow") {
                std::thread::sleep(Duration::from_millis(400));
            }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let proxy = logging(", filters: {minDuration: 300ms}")
        .dynamic(&hosts(&[("a.test", &origin.url())]))
        .start();
    proxy.get("a.test", "/quick");
    proxy.get("a.test", "/slow");
    line(&proxy, "/slow");
    assert!(!lines(&proxy).iter().any(|line| line.contains("/quick")));
}

#[test]
fn a_request_that_no_router_wants_is_logged_without_a_router() {
    let proxy = logging("").dynamic("").start();
    assert_eq!(proxy.get("a.test", "/nobody").status, 404);
    let line = line(&proxy, "/nobody");
    assert!(
        line.contains("\"GET /nobody HTTP/1.1\" 404 19 \"-\" \"-\" 1 \"-\" \"-\" "),
        "{line}"
    );
}

#[test]
fn internal_services_are_logged_only_with_add_internals() {
    let one = three();
    for (add, wanted) in [("", false), (", addInternals: true", true)] {
        let proxy = logging(add)
            .dynamic(&hosts(&[("a.test", &one.url())]))
            .start();
        assert_eq!(proxy.get_from("traefik", "x", "/ping").status, 200);
        assert_eq!(proxy.get_from("traefik", "x", "/api/version").status, 200);
        proxy.get("a.test", "/last");
        line(&proxy, "/last");
        if wanted {
            line(&proxy, "/ping");
            line(&proxy, "/api/version");
        } else {
            // Shards hand their lines over on their own; give the other one its interval.
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(lines(&proxy).len(), 1, "{:?}", lines(&proxy));
        }
    }
}

#[test]
fn a_router_can_be_left_out_of_the_log() {
    let one = three();
    let text = hosts(&[("a.test", &one.url()), ("quiet.test", &one.url())]).replace(
        "rule: \"Host(`quiet.test`)\"",
        "rule: \"Host(`quiet.test`)\", observability: {accessLogs: false}",
    );
    let proxy = logging("").dynamic(&text).start();
    assert_eq!(proxy.get("quiet.test", "/quiet").status, 200);
    proxy.get("a.test", "/loud");
    line(&proxy, "/loud");
    std::thread::sleep(Duration::from_millis(300));
    assert!(!lines(&proxy).iter().any(|line| line.contains("/quiet")));
}

#[test]
fn an_authenticated_user_is_named() {
    let one = three();
    // The password is "pass" in SHA-1 form.
    let auth = "{basicAuth: {users: [\"ann:{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ=\"]}}";
    let text = behind(&[("auth", auth)], &hosts(&[("a.test", &one.url())]));
    let proxy = logging("").dynamic(&text).start();
    let mut client = Client::connect(proxy.web());
    client
        .send("GET /private HTTP/1.1\r\nHost: a.test\r\nAuthorization: Basic YW5uOnBhc3M=\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert!(line(&proxy, "/private").starts_with("127.0.0.1 - ann ["));
}

#[test]
fn with_standard_output_as_the_log_lines_go_there() {
    let one = three();
    let proxy = setup(
        "entryPoints: {web: {address: \"127.0.0.1:0\"}}\n\
         providers: {file: {filename: \"{dir}/dynamic.yml\"}}\naccessLog: {}\n",
    )
    .dynamic(&hosts(&[("a.test", &one.url())]))
    .start();
    proxy.get("a.test", "/stdout");
    wait_for("the line", || {
        proxy.log().contains("\"GET /stdout HTTP/1.1\" 200 3")
    });
}

#[test]
fn the_last_lines_are_written_before_the_process_ends() {
    let one = answering(answer("one"));
    let mut proxy = logging("")
        .dynamic(&hosts(&[("a.test", &one.url())]))
        .start();
    for n in 0..20 {
        proxy.get("a.test", &format!("/n{n}"));
    }
    proxy.signal("-TERM");
    assert!(proxy.wait().success());
    assert_eq!(lines(&proxy).len(), 20);
}
