//! What a request is, where it ends, and what may follow it on either connection, class by class.

use std::io::Read;
use std::time::Duration;

use super::support::client::Client;
use super::support::origin::{OK, Origin, answering, config, origin};
use super::support::proxy::{Proxy, proxy, wait_until};
use super::wire::{Recorder, converse, recorder};

const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n";

fn scene() -> (Recorder, Proxy) {
    let origin = recorder();
    let proxy = proxy(&origin.config());
    (origin, proxy)
}

/// Each head must be refused with its status, the connection must close, and neither it nor what follows it may reach
/// the origin.
#[track_caller]
fn refused(heads: &[(&str, u16)]) {
    let (origin, proxy) = scene();
    for (head, status) in heads {
        let bytes = format!("{head}{NEXT}");
        let got = converse(proxy.addr, bytes.as_bytes(), &[], usize::MAX).expect("it closes");
        let statuses: Vec<u16> = got.answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [*status], "{head:?}");
        assert!(got.answers[0].closes, "{head:?}");
    }
    assert_eq!(origin.requests(), []);
}

/// The same for fields of a request with a body.
#[track_caller]
fn fields_are_refused(fields: &[&str]) {
    let heads: Vec<String> = fields
        .iter()
        .map(|fields| format!("POST / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n\r\n0\r\n\r\n"))
        .collect();
    let cases: Vec<(&str, u16)> = heads.iter().map(|head| (&**head, 400)).collect();
    refused(&cases);
}

#[test]
fn length_with_coding_is_refused() {
    fields_are_refused(&[
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked\r\nX: y\r\ncontent-length: 0",
        "Content-Length: 5\r\nTransfer-Encoding: identity",
    ]);
}

#[test]
fn repeated_lengths_are_refused_equal_or_not() {
    fields_are_refused(&[
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: 5,",
    ]);
}

#[test]
fn lengths_that_are_no_plain_number_are_refused() {
    fields_are_refused(&[
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 1_0",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 18446744073709551621",
        "Content-Length: 9223372036854775808",
    ]);
}

#[test]
fn te_not_final_is_refused() {
    let head = |value: &str| {
        format!("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: {value}\r\n\r\n")
    };
    for (value, status) in [
        ("chunked, gzip", 501),
        ("chunked, identity", 501),
        ("gzip, chunked", 501),
        ("identity", 501),
        ("xchunked", 501),
        ("chunked, chunked", 400),
        (",chunked", 400),
        ("chunked;q=1", 400),
        ("", 400),
    ] {
        refused(&[(&head(value), status)]);
    }
}

#[test]
fn te_in_http_1_0_is_refused() {
    refused(&[(
        "POST / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    )]);
}

#[test]
fn bare_line_ends_in_a_head_are_refused() {
    fields_are_refused(&[
        "X: y\nZ: z",
        "X: y\rZ: z",
        "X: y\r\r\nZ: z",
        "X: y\n",
        "X: y\r\n\n",
    ]);
    refused(&[("GET / HTTP/1.1\nHost: a.test\r\n\r\n", 400)]);
}

#[test]
fn folded_fields_are_refused() {
    fields_are_refused(&["X: y\r\n z", "X: y\r\n\tz", " X: y", "X:\r\n y"]);
}

#[test]
fn a_blank_before_the_colon_is_refused() {
    fields_are_refused(&[
        "X : y",
        "Content-Length : 5",
        "Transfer-Encoding\t: chunked",
        "X y: z",
    ]);
}

#[test]
fn an_empty_field_name_is_refused() {
    fields_are_refused(&[": y", ":", "X: y\r\n: z"]);
}

#[test]
fn nul_and_other_controls_in_a_head_are_refused() {
    fields_are_refused(&[
        "X: a\0b", "X\0: a", "X: a\x01", "X: \x7f", "X\x0b: a", "\0: a",
    ]);
    refused(&[("GET /\0 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400)]);
}

#[test]
fn a_second_host_or_none_is_refused() {
    refused(&[
        ("GET / HTTP/1.1\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n",
            400,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
            400,
        ),
        ("GET / HTTP/1.1\r\nHost: a test\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n", 400),
    ]);
}

#[test]
fn an_absolute_target_and_not_the_host_field_is_routed_and_forwarded() {
    let origin = answering(OK);
    let secret = recorder();
    let yaml = config(&[
        ("Host(`open.test`)", &origin.url()),
        ("Host(`secret.test`)", &secret.url()),
    ]);
    let proxy = proxy(&yaml);
    let mut client = Client::connect(proxy.addr);
    client.send("GET http://open.test/x HTTP/1.1\r\nHost: secret.test\r\n\r\n");
    assert_eq!(client.response().status, 200);
    let head = &origin.seen()[0].head;
    assert!(
        head.starts_with("GET /x HTTP/1.1\r\nHost: open.test\r\n"),
        "{head}"
    );
    assert!(!head.contains("secret.test"), "{head}");
    assert_eq!(secret.requests(), []);
}

#[test]
fn chunk_extensions_are_dropped_or_refused_and_never_forwarded() {
    let (origin, proxy) = scene();
    let head = "POST /first HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (line, is_fine) in [
        ("5;a=b", true),
        ("5;a=\"b\"", true),
        ("5 ;a", true),
        ("5;", true),
        ("5;\n", false),
        ("5;a\rb", false),
        ("5;a\nb", false),
        ("5;\0", false),
        ("5 ", false),
    ] {
        let bytes = format!("{head}{line}\r\nhello\r\n0\r\n\r\n{NEXT}");
        let enough = if is_fine { 2 } else { usize::MAX };
        let got = converse(proxy.addr, bytes.as_bytes(), &[], enough).expect("it ends");
        let statuses: Vec<u16> = got.answers.iter().map(|answer| answer.status).collect();
        let expected = if is_fine { &[200, 200][..] } else { &[400] };
        assert_eq!(statuses, expected, "{line:?}");
    }
    origin.log(|log| {
        let all: Vec<u8> = log.streams.values().flatten().copied().collect();
        assert!(!all.contains(&b';'), "{}", String::from_utf8_lossy(&all));
        assert_eq!(log.malformed, [""; 0]);
    });
}

#[test]
fn bare_line_ends_and_odd_sizes_in_chunked_bodies_are_refused() {
    let (origin, proxy) = scene();
    let head = "POST /first HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5_0\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    ] {
        let bytes = format!("{head}{body}{NEXT}");
        let got = converse(proxy.addr, bytes.as_bytes(), &[], usize::MAX).expect("it closes");
        let statuses: Vec<u16> = got.answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [400], "{body:?}");
    }
    assert_eq!(origin.requests(), []);
}

#[test]
fn trailers_never_become_fields_of_this_request_or_the_next() {
    let origin = answering(OK);
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\
         Content-Length: 50\r\nTransfer-Encoding: chunked\r\nHost: b.test\r\nAuthorization: x\r\nX-Forwarded-For: 6.6.6.6\r\n\
         X_Forwarded_For: 6.6.6.6\r\nCookie: c\r\nX-Sum: 1\r\n\r\n{NEXT}"
    ));
    assert_eq!(client.response().status, 200);
    assert_eq!(client.response().status, 200);
    let seen = origin.seen();
    assert_eq!(seen[0].trailers, ["X-Sum: 1"]);
    for seen in &seen {
        assert!(
            !seen.head.contains("b.test") && !seen.head.contains("6.6.6.6"),
            "{}",
            seen.head
        );
        assert!(!seen.head.contains("X-Sum"), "{}", seen.head);
    }
}

#[test]
fn an_undrained_body_is_never_read_as_a_request() {
    // Answered here without a look at the body, which looks like a request.
    let proxy = proxy("http: {routers: {}}\n");
    let body = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let bytes =
        format!("{request}{request}GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    let got = converse(proxy.addr, bytes.as_bytes(), &[], 3).expect("it closes");
    assert_eq!(got.answers.len(), 3, "{got:?}");
}

#[test]
fn an_upstream_connection_whose_request_was_not_written_whole_is_not_reused() {
    // Answers at once, whatever of the body has come.
    let origin = origin(|peer| {
        while peer.head().is_some() {
            peer.send(OK);
        }
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\nbegin");
    let response = client.response();
    assert_eq!(
        (response.status, response.field("connection")),
        (200, Some("close"))
    );
    assert!(client.is_closed());
    wait_until("the connection is not kept", || {
        proxy.count("requests") == 1 && proxy.count("parked_upstream") == 0
    });
}

#[test]
fn payload_before_upgrade_never_reaches_the_origin_when_it_declines() {
    // The bytes behind the head are no tunnel yet: with a 200 they are the next request, and read as strictly.
    let (origin, proxy) = scene();
    let upgrade =
        "GET /up HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let bytes = format!("{upgrade}\x01\x02raw bytes\r\n\r\n");
    let got = converse(proxy.addr, bytes.as_bytes(), &[], usize::MAX).expect("it closes");
    let statuses: Vec<u16> = got.answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 400]);
    let bytes = format!("{upgrade}GET /\0smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n");
    converse(proxy.addr, bytes.as_bytes(), &[], usize::MAX).expect("it closes");
    let targets: Vec<String> = origin
        .requests()
        .into_iter()
        .map(|request| request.target)
        .collect();
    assert_eq!(targets, ["/up", "/up"]);
    origin.log(|log| {
        let all: Vec<u8> = log.streams.values().flatten().copied().collect();
        let text = String::from_utf8_lossy(&all);
        assert!(
            !text.contains("raw bytes") && !text.contains("smuggled"),
            "{text}"
        );
    });
}

#[test]
fn payload_before_upgrade_waits_for_the_101() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = origin(move |peer| {
        let head = peer.head().unwrap_or_default();
        // Whatever had been forwarded early would be in this buffer or arrive within the pause.
        let early = peer.stream.buffer().len();
        let socket = peer.stream.get_ref();
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .expect("set");
        let silent = peer.stream.read(&mut [0]).is_err();
        tell.lock()
            .expect("no panic holds it")
            .send((head, early, silent))
            .expect("heard");
        peer.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
        );
        let mut bytes = [0; 5];
        if peer.stream.read_exact(&mut bytes).is_ok() {
            peer.send(bytes);
        }
    });
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    client
        .send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nearly");
    let (head, early, silent) = told
        .recv_timeout(Duration::from_secs(10))
        .expect("a request");
    assert!(
        head.ends_with("\r\n\r\n") && early == 0 && silent,
        "{head:?} {early}"
    );
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    assert_eq!(client.read_exact(5), b"early");
}

#[test]
fn connect_is_refused_with_whatever_follows_it() {
    refused(&[
        ("CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n", 501),
        (
            "CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\nContent-Length: 5\r\n\r\nhello",
            501,
        ),
    ]);
}

#[test]
fn h2c_is_neither_spoken_nor_offered_upstream() {
    let origin = answering(OK);
    let proxy = proxy(&origin.config());
    let mut client = Client::connect(proxy.addr);
    for upgrade in ["h2c", "foo, h2c", "H2C\r\nUpgrade: websocket"] {
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
        ));
        assert_eq!(client.response().status, 200);
    }
    for seen in origin.seen() {
        let head = seen.head.to_ascii_lowercase();
        assert!(
            !head.contains("h2c") && !head.contains("http2") && !head.contains("upgrade"),
            "{head}"
        );
    }
    refused(&[("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)]);
}

#[test]
fn an_unknown_expectation_is_417_and_its_body_no_request() {
    refused(&[
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: y 100-continue\r\nContent-Length: 37\r\n\r\n",
            417,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 200-ok\r\nContent-Length: 37\r\n\r\n",
            417,
        ),
    ]);
}

#[test]
fn a_refused_expectation_leaves_no_body_to_be_read_as_a_request() {
    let origin = recorder();
    let refusing = origin_that_refuses();
    let yaml = config(&[
        ("Path(`/refused`)", &refusing.url()),
        ("PathPrefix(`/`)", &origin.url()),
    ]);
    let proxy = proxy(&yaml);
    let mut client = Client::connect(proxy.addr);
    client.send(format!(
        "POST /refused HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        NEXT.len()
    ));
    let response = client.response();
    assert_eq!(
        (response.status, response.field("connection")),
        (403, Some("close"))
    );
    // The body comes all the same, and looks like a request.
    client.send(NEXT);
    assert_eq!(client.read_to_end(), b"");
    assert_eq!(origin.requests(), []);
}

fn origin_that_refuses() -> Origin {
    origin(|peer| {
        while peer.head().is_some() {
            peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        }
    })
}
