//! What the request parser takes and refuses.

use super::*;

fn parse(input: &[u8]) -> Result<RequestHead, RequestError> {
    let mut head = RequestHead::new();
    match parse_request(input, &Limits::default(), &mut head)? {
        Some(consumed) => {
            assert!(consumed <= input.len());
            Ok(head)
        }
        None => panic!("incomplete: {:?}", String::from_utf8_lossy(input)),
    }
}

fn parsed(input: &str) -> RequestHead {
    parse(input.as_bytes()).unwrap_or_else(|error| panic!("{input:?}: {error}"))
}

fn parsed_bytes(input: &[u8]) -> RequestHead {
    parse(input).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(input: &str) -> RequestError {
    match parse(input.as_bytes()) {
        Err(error) => error,
        Ok(_) => panic!("accepted: {input:?}"),
    }
}

/// A request of HTTP/1.1 with these header lines.
fn with(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n")
}

#[test]
fn an_ordinary_request() {
    let head = parsed("GET /p/q?x=%zz&y HTTP/1.1\r\nhost: Ex.com:81\r\nX-a:  1 \r\nx-A:2\r\n\r\n");
    assert_eq!((head.method, head.version), (Method::Get, Version::Http11));
    assert_eq!(
        (head.path(), head.query()),
        (&b"/p/q"[..], Some(&b"x=%zz&y"[..]))
    );
    assert_eq!(head.raw_target(), b"/p/q?x=%zz&y");
    assert_eq!(
        (head.authority(), head.host()),
        (Some(&b"Ex.com:81"[..]), &b"ex.com"[..])
    );
    assert_eq!((head.body, head.keep_alive), (BodyLength::None, true));
    assert!(!head.expect_continue && !head.upgrade);
    let fields: Vec<_> = head.fields.iter().collect();
    assert_eq!(fields, [(&b"X-A"[..], &b"1"[..]), (b"X-A", b"2")]);
}

#[test]
fn the_head_ends_where_the_body_begins() {
    let input = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next";
    let mut head = RequestHead::new();
    let consumed = parse_request(input, &Limits::default(), &mut head).unwrap();
    assert_eq!(consumed, Some(input.len() - 9));
    for end in 0..input.len() - 9 {
        let parsed = parse_request(&input[..end], &Limits::default(), &mut head);
        assert_eq!(parsed, Ok(None), "{end}");
    }
}

#[test]
fn target_forms() {
    let head = parsed("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        (head.target_form, head.path()),
        (TargetForm::Asterisk, &b"*"[..])
    );
    let head = parsed("GET http://Other:81/a/../b?q HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.target_form, TargetForm::Absolute);
    assert_eq!(
        (head.path(), head.query()),
        (&b"/a/../b"[..], Some(&b"q"[..]))
    );
    assert_eq!(
        (head.authority(), head.host()),
        (Some(&b"Other:81"[..]), &b"other"[..])
    );
    let head = parsed("GET HTTPS://h?x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((head.path(), head.query()), (&b"/"[..], Some(&b"x"[..])));
    let head = parsed("GET http://[::1]:/ HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.host(), b"::1");
    let head = parsed("GET http://h HTTP/1.0\r\n\r\n");
    assert_eq!((head.path(), head.host()), (&b"/"[..], &b"h"[..]));
    for target in ["foo", "foo:bar", "ftp://h/", "http:/h", "?q", "h:80"] {
        let input = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(refused(&input), RequestError::Target, "{target}");
    }
    for target in [
        "http://",
        "http:///p",
        "http://u@h/",
        "http://h#f",
        "http://h:x/",
        "http://h:1:2/",
        "http://[::1/",
        "http://[::1]2/",
    ] {
        let input = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(refused(&input), RequestError::Host, "{target}");
    }
}

#[test]
fn raw_bytes_in_an_authority_are_refused() {
    // As UTF-8 or not, and beside raw bytes where they may stand.
    for target in [
        &b"http://a.\xddest:80/x"[..],
        b"http://a.\xc3\xa9/x",
        b"http://a.\xddest",
        b"http://a.\xddest?\xdd",
    ] {
        let input = [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        assert_eq!(
            parse(&input).map(|_| ()),
            Err(RequestError::Host),
            "{target:?}"
        );
    }
    let head = parsed_bytes(b"GET http://a/\xdd HTTP/1.1\r\nHost: b\r\n\r\n");
    assert_eq!(
        (head.authority(), head.path()),
        (Some(&b"a"[..]), &b"/%DD"[..])
    );
}

#[test]
fn paths_are_normalised_when_received() {
    let head = parsed("GET //a/%7e%2f|?%7e HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        (head.path(), head.query()),
        (&b"//a/~%2F%7C"[..], Some(&b"%7e"[..]))
    );
    assert_eq!(head.route_path(), b"//a/~%2F|");
    let head = parsed("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.has_fragment());
    let head = parsed("GET /a?#b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(!head.has_fragment());
    for path in ["/%zz", "/%", "/%2"] {
        let input = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(refused(&input), RequestError::Target);
    }
}

#[test]
fn raw_bytes_in_a_target_are_encoded() {
    let mut head = RequestHead::new();
    let input = b"GET /a\xe9\xff?\xe9 HTTP/1.1\r\nHost: a\r\n\r\nrest";
    for end in 0..input.len() - 4 {
        let parsed = parse_request(&input[..end], &Limits::default(), &mut head);
        assert_eq!(parsed, Ok(None), "{end}");
    }
    let parsed = parse_request(input, &Limits::default(), &mut head);
    assert_eq!(parsed, Ok(Some(input.len() - 4)));
    assert_eq!(
        (head.path(), head.query()),
        (&b"/a%E9%FF"[..], Some(&b"\xe9"[..]))
    );
    let head = parsed_bytes(b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        (head.path(), head.route_path()),
        (&b"/%C3%A9"[..], &b"/\xc3\xa9"[..])
    );
    for input in [
        &b"G\xe9T / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"GET \xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(parse(input).map(|_| ()).unwrap_err().status(), 400);
    }
}

#[test]
fn content_length_with_transfer_encoding_is_refused() {
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: foo\r\nContent-Length: 0",
    ] {
        assert_eq!(
            refused(&with(lines)),
            RequestError::LengthAndCoding,
            "{lines}"
        );
    }
}

#[test]
fn bare_line_feeds_are_refused() {
    for input in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX:\n\r\n",
        // Not complete, and never will be: refused at once.
        "GET / HTTP/1.1\nHost",
    ] {
        assert_eq!(refused(input), RequestError::LineEnd, "{input:?}");
    }
}

#[test]
fn folded_lines_are_refused() {
    for lines in ["X-A: 1\r\n 2", "X-A: 1\r\n\t2", "X-A: 1\r\n ", "X-A:\r\n 2"] {
        assert_eq!(refused(&with(lines)), RequestError::FieldName, "{lines:?}");
    }
    let input = "GET / HTTP/1.1\r\n Host: a\r\n\r\n";
    assert_eq!(refused(input), RequestError::FieldName);
}

#[test]
fn malformed_lengths_are_refused() {
    for value in [
        "+5",
        "-1",
        "0x5",
        "1_0",
        "5,5",
        "5, 5",
        "5 5",
        "",
        "five",
        "5;",
        "18446744073709551616",
    ] {
        let input = with(&format!("Content-Length: {value}"));
        assert_eq!(refused(&input), RequestError::ContentLength, "{value}");
    }
}

#[test]
fn repeated_lengths_are_refused_even_if_equal() {
    for second in ["5", "6", "x"] {
        let input = with(&format!("Content-Length: 5\r\nContent-Length: {second}"));
        assert_eq!(
            refused(&input),
            RequestError::RepeatedContentLength,
            "{second}"
        );
    }
}

#[test]
fn codings_other_than_chunked_are_501_and_malformed_ones_400() {
    for value in [
        "foo",
        "gzip, chunked",
        "chunked, gzip",
        "identity",
        "xchunked",
    ] {
        let input = with(&format!("Transfer-Encoding: {value}"));
        assert_eq!(refused(&input), RequestError::UnsupportedCoding, "{value}");
        assert_eq!(refused(&input).status(), 501);
    }
    for value in [
        "",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "chunked;a",
        "'chunked' x",
        "chun ked",
    ] {
        let input = with(&format!("Transfer-Encoding: {value}"));
        assert_eq!(refused(&input), RequestError::TransferEncoding, "{value}");
        assert_eq!(refused(&input).status(), 400);
    }
    let input = with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked");
    assert_eq!(refused(&input), RequestError::TransferEncoding);
    let input = with("Transfer-Encoding : chunked");
    assert_eq!(refused(&input), RequestError::FieldName);
    let input = with("Transfer-Encoding: \x0bchunked");
    assert_eq!(refused(&input), RequestError::FieldValue);
    assert_eq!(
        parsed(&with("transfer-ENCODING:\tChunked ")).body,
        BodyLength::Chunked
    );
}

#[test]
fn transfer_encoding_in_http_1_0_is_refused() {
    let input = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refused(input), RequestError::CodingInHttp10);
}

#[test]
fn malformed_header_lines_are_refused() {
    for line in [
        "X-A : 1",
        "X-A\t: 1",
        ": 1",
        "X A: 1",
        "No-Colon",
        "X\u{e9}: 1",
        "X(: 1",
    ] {
        assert_eq!(refused(&with(line)), RequestError::FieldName, "{line}");
    }
    for line in [
        "X-A: a\0b",
        "X-A: a\x01",
        "X-A: a\rb",
        "X-A: \x7f",
        "X-A: a\r\r\n",
    ] {
        assert_eq!(refused(&with(line)), RequestError::FieldValue, "{line:?}");
    }
    assert_eq!(parsed(&with("X-A: caf\u{e9}")).fields.len(), 1);
}

#[test]
fn host_is_required_once_and_well_formed() {
    assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), RequestError::MissingHost);
    assert_eq!(
        refused("GET / HTTP/1.1\r\nX: 1\r\n\r\n"),
        RequestError::MissingHost
    );
    assert_eq!(
        refused("GET http://h/ HTTP/1.1\r\n\r\n"),
        RequestError::MissingHost
    );
    assert_eq!(refused(&with("Host: b")), RequestError::RepeatedHost);
    assert_eq!(refused(&with("Host: a")), RequestError::RepeatedHost);
    for host in [
        "a/b", "a b", "u@h", "a?b", "a#b", "<a>", "a\u{e9}", "a\"b", "a\\b",
    ] {
        let input = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(refused(&input), RequestError::Host, "{host}");
    }
    assert_eq!(parsed("GET / HTTP/1.0\r\n\r\n").authority(), None);
    assert_eq!(
        parsed("GET / HTTP/1.1\r\nHost:\r\n\r\n").authority(),
        Some(&b""[..])
    );
}

#[test]
fn malformed_request_lines_are_refused() {
    for line in [
        "G@T / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        " GET / HTTP/1.1",
        "GET /",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / HTTP/1.1 ",
        "GET / http/1.1",
        "GET / HTTP/11",
        "GET / HTTP/1.10",
        "GET / x",
        "GET /a b HTTP/1.1",
        "GET /\u{1}",
        "GET",
        "\u{16}\u{3}",
    ] {
        let error = refused(&format!("{line}\r\nHost: a\r\n\r\n"));
        assert_eq!(error.status(), 400, "{line}");
    }
    let error = refused("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(error, RequestError::RequestLine);
    assert_eq!(parsed("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").path(), b"/");
}

#[test]
fn connect_is_501() {
    let error = refused("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n");
    assert_eq!((error, error.status()), (RequestError::Connect, 501));
}

#[test]
fn other_major_versions_are_505_and_higher_minor_ones_are_1_1() {
    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/9.9", "HTTP/2"] {
        let error = refused(&format!("GET / {version}\r\nHost: a\r\n\r\n"));
        assert_eq!(
            (error, error.status()),
            (RequestError::Version, 505),
            "{version}"
        );
    }
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert_eq!(refused(preface), RequestError::Version);
    let head = parsed("GET /x HTTP/1.2\r\nHost: a\r\n\r\n");
    assert_eq!((head.version, head.path()), (Version::Http11, &b"/x"[..]));
}

#[test]
fn heads_beyond_the_limits_are_431() {
    let limits = Limits {
        max_header_bytes: 100,
        ..Limits::default()
    };
    let mut head = RequestHead::new();
    let fits = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(4100)
    );
    assert!(
        parse_request(fits.as_bytes(), &limits, &mut head)
            .unwrap()
            .is_some()
    );
    let large = fits.replace("X: ", &format!("X: {}", "x".repeat(100)));
    for end in [large.len(), large.len() - 2] {
        let parsed = parse_request(&large.as_bytes()[..end], &limits, &mut head);
        assert_eq!(parsed, Err(RequestError::HeadTooLarge));
    }
    let many = |count: usize| with(vec!["X: 1"; count].join("\r\n").as_str());
    for count in [FEW_FIELDS - 1, FEW_FIELDS, FEW_FIELDS + 1, MOST_FIELDS - 1] {
        assert_eq!(parsed(&many(count)).fields.len(), count);
    }
    assert_eq!(refused(&many(MOST_FIELDS)), RequestError::HeadTooLarge);
    let options = with(&format!("Connection: {}", "a,".repeat(4000)));
    assert_eq!(refused(&options), RequestError::HeadTooLarge);
}

#[test]
fn persistence_follows_version_and_connection() {
    let keep_alive = |version: &str, connection: &str| {
        parsed(&format!(
            "GET / {version}\r\nHost: a\r\nConnection: {connection}\r\n\r\n"
        ))
        .keep_alive
    };
    assert!(keep_alive("HTTP/1.1", "x"));
    assert!(!keep_alive("HTTP/1.1", "Close"));
    assert!(!keep_alive("HTTP/1.1", "keep-alive, x,close"));
    assert!(!keep_alive("HTTP/1.0", "x"));
    assert!(keep_alive("HTTP/1.0", "Keep-Alive"));
    assert!(!keep_alive("HTTP/1.0", "keep-alive, close"));
}

#[test]
fn upgrades_need_both_fields_and_http_1_1_and_no_h2c() {
    let upgrade = |version: &str, lines: &str| {
        parsed(&format!("GET / {version}\r\nHost: a\r\n{lines}\r\n\r\n")).upgrade
    };
    assert!(upgrade(
        "HTTP/1.1",
        "Connection: upgrade\r\nUpgrade: websocket"
    ));
    assert!(upgrade(
        "HTTP/1.1",
        "Connection: x, Upgrade\r\nUpgrade: foo/2, bar"
    ));
    assert!(!upgrade(
        "HTTP/1.0",
        "Connection: upgrade\r\nUpgrade: websocket"
    ));
    assert!(!upgrade("HTTP/1.1", "Upgrade: websocket"));
    assert!(!upgrade("HTTP/1.1", "Connection: upgrade"));
    assert!(!upgrade("HTTP/1.1", "Connection: upgrade\r\nUpgrade:"));
    // The first line is the one that is sent on.
    let lines = "Connection: upgrade\r\nUpgrade: ,\r\nUpgrade: websocket";
    assert!(!upgrade("HTTP/1.1", lines));
    assert!(!upgrade(
        "HTTP/1.1",
        "Connection: upgrade\r\nUpgrade: H2C, foo"
    ));
    assert!(!upgrade(
        "HTTP/1.1",
        "Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: foo"
    ));
}

#[test]
fn expectations() {
    let head = parsed(&with("Expect: 100-Continue\r\nContent-Length: 5"));
    assert!(head.expect_continue);
    assert!(!parsed(&with("Expect: 100-continue")).expect_continue);
    assert!(!parsed(&with("Expect:\r\nContent-Length: 5")).expect_continue);
    let old = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert!(!parsed(old).expect_continue);
    let error = refused(&with("Expect: 200-ok"));
    assert_eq!((error, error.status()), (RequestError::Expectation, 417));
}
