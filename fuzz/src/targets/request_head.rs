//! Heads of requests: against a reader of RFC 9112, in any pieces, and all the way to what an origin gets.

use std::net::IpAddr;

use ringway::http::forwarded::{edge, proxy};
use ringway::http::h1::{HeadScanner, parse_request, write_request};
use ringway::http::hop::prepare_request;
use ringway::http::path::{is_normal, is_sanitized};
use ringway::http::query::apply_semicolons;
use ringway::http::underscore::apply_underscores;
use ringway::http::{
    ForwardedPolicy, Limits, Peer, RequestHead, Semicolons, TargetForm, Underscores, Version,
};

use super::{Numbers, assert_fields, framing};
use crate::allocation::within;
use crate::reference::head::{self, Field, Framing, members, values};

/// The peer of every request.
const PEER: [u8; 4] = [192, 0, 2, 7];

/// Reads `data` as the first bytes of a request.
pub fn run(data: &[u8]) {
    let mut head = RequestHead::new();
    let limits = Limits::default();
    // The bytes of the head several times over, and tables for its lines: a line of three bytes has an entry of 16.
    let most = 64 * 1024 + 48 * data.len();
    let parsed = within(most, || parse_request(data, &limits, &mut head));
    in_pieces(data, &limits, parsed.is_err(), parsed.ok().flatten());
    let Ok(Some(length)) = parsed else { return };
    let expected =
        head::request(data).unwrap_or_else(|error| panic!("RFC 9112 refuses it: {error}"));
    assert_eq!(length, expected.length);
    compare(&head, &expected);
    for (trusts, underscores, semicolons, sanitizes) in [
        (false, Underscores::Keep, Semicolons::Separate, true),
        (true, Underscores::Delete, Semicolons::Encode, true),
        (false, Underscores::Reject, Semicolons::Encode, false),
    ] {
        let policy = ForwardedPolicy {
            insecure: trusts,
            ..ForwardedPolicy::default()
        };
        let mut head = head.clone();
        if apply_underscores(&mut head.fields, underscores).is_err() || head.has_fragment() {
            continue;
        }
        if sanitizes {
            head.sanitize_path();
        }
        apply_semicolons(&mut head, semicolons);
        forwarded(head, &expected, &policy, sanitizes);
    }
}

/// However a head arrives, it is judged the same.
fn in_pieces(data: &[u8], limits: &Limits, is_refused: bool, length: Option<usize>) {
    let mut head = RequestHead::new();
    let mut numbers = Numbers::of(data);
    for end in numbers.prefixes(length.unwrap_or(data.len())) {
        match parse_request(&data[..end], limits, &mut head) {
            Ok(None) => {}
            Err(_) => assert!(is_refused, "{end} bytes are refused, all are not"),
            Ok(Some(_)) => panic!("{end} bytes are a head already"),
        }
    }
    if let Some(length) = length {
        let mut scanner = HeadScanner::new();
        let end =
            (0..=data.len()).find_map(|end| scanner.find_end(&data[..end]).expect("no bare LF"));
        assert_eq!(end, Some(length), "the scanner finds another end");
    }
}

/// What was read is what is there.
fn compare(head: &RequestHead, expected: &head::Request) {
    assert_eq!(head.method_bytes(), expected.method);
    assert_eq!(framing(head.body), expected.framing);
    assert_eq!(head.keep_alive, expected.keep_alive);
    assert_eq!(head.version == Version::Http11, expected.minor > 0);
    let is_apart = |name: &[u8]| {
        name.eq_ignore_ascii_case(b"host") || name.eq_ignore_ascii_case(b"transfer-encoding")
    };
    assert_fields(&head.fields, &expected.fields, is_apart);
    let hosts = values(&expected.fields, "host");
    match head.target_form {
        TargetForm::Asterisk => assert_eq!(expected.target, b"*"),
        TargetForm::Origin => {
            assert_eq!(head.authority(), hosts.first().copied());
            assert_eq!(expected.target.first(), Some(&b'/'));
        }
        TargetForm::Absolute => {
            let authority = head
                .authority()
                .expect("an absolute target names the authority");
            let start = expected
                .target
                .iter()
                .position(|&byte| byte == b'/')
                .expect("a scheme")
                + 2;
            assert!(expected.target[start..].starts_with(authority));
            assert!(matches!(
                expected.target.get(start + authority.len()),
                None | Some(b'/' | b'?')
            ));
        }
    }
    assert!(!head.host().iter().any(u8::is_ascii_uppercase));
    assert!(head.path() == b"*" || head.path().first() == Some(&b'/'));
}

/// What an origin is sent is one request that is framed as the client's was and says nothing that is not so.
fn forwarded(
    mut head: RequestHead,
    client: &head::Request,
    policy: &ForwardedPolicy,
    sanitizes: bool,
) {
    let ip = IpAddr::from(PEER);
    let peer = Peer::new(ip, false, policy);
    edge(&mut head, policy, &peer, b"edge-1");
    prepare_request(&mut head);
    proxy(&mut head, policy, &peer);
    let mut written = Vec::new();
    write_request(&head, &mut written);
    let sent =
        head::request(&written).unwrap_or_else(|error| panic!("what is sent is refused: {error}"));
    assert_eq!(sent.length, written.len(), "more than one head is sent");
    assert_eq!((&sent.method, sent.minor), (&client.method, 1));
    match (client.framing, sent.framing) {
        (Framing::None | Framing::Length(0), Framing::None | Framing::Length(0)) => {}
        (client, sent) => assert_eq!(client, sent, "another framing"),
    }
    let path = head.path();
    assert!(
        path == b"*" || !sanitizes || is_normal(path),
        "{path:?} is not normal"
    );
    assert!(
        path == b"*" || !sanitizes || is_sanitized(head.route_path()) || head.route_path() != path
    );
    assert!(
        !sent.target.contains(&b'#') || head.query().is_some(),
        "a fragment"
    );
    fields(&sent, client, policy.insecure, &head);

    // What is written is read as what it is, and written the same again.
    let mut again = RequestHead::new();
    let length = parse_request(&written, &Limits::default(), &mut again);
    assert_eq!(length, Ok(Some(written.len())), "what is sent is refused");
    let mut twice = Vec::new();
    write_request(&again, &mut twice);
    assert!(twice == written, "{:?}", String::from_utf8_lossy(&twice));
}

fn fields(sent: &head::Request, client: &head::Request, trusts: bool, head: &RequestHead) {
    let only = |name: &str, value: &[u8]| assert_eq!(values(&sent.fields, name), [value], "{name}");
    for name in [
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "http2-settings",
    ] {
        assert!(values(&sent.fields, name).is_empty(), "{name} is sent");
    }
    for value in values(&sent.fields, "te") {
        assert_eq!(value, b"trailers");
    }
    match &values(&sent.fields, "connection")[..] {
        [] => assert!(
            values(&sent.fields, "upgrade").is_empty(),
            "Upgrade without Connection"
        ),
        options => assert_eq!(options, [b"Upgrade"]),
    }
    for protocol in members(&sent.fields, "upgrade") {
        assert!(!protocol.eq_ignore_ascii_case(b"h2c"), "h2c is sent");
    }
    if !trusts {
        only("x-forwarded-for", b"192.0.2.7");
        only("x-real-ip", b"192.0.2.7");
        only("x-forwarded-server", b"edge-1");
        if let Some(authority) = head.authority().filter(|authority| !authority.is_empty()) {
            only("x-forwarded-host", authority);
        }
        for (name, _) in &sent.fields {
            let dashed: Vec<u8> = name
                .iter()
                .map(|b| if *b == b'_' { b'-' } else { *b })
                .collect();
            let is_alias =
                name.contains(&b'_') && dashed.to_ascii_lowercase().starts_with(b"x-forwarded-for");
            assert!(!is_alias || dashed.len() > 15, "{name:?} is sent");
        }
    }
    // What `Connection` names is gone, unless the proxy says it itself.
    let own = |name: &[u8]| {
        let name = name.to_ascii_lowercase();
        name.starts_with(b"x-forwarded-")
            || [
                &b"x-real-ip"[..],
                b"host",
                b"connection",
                b"upgrade",
                b"te",
                b"content-length",
                b"transfer-encoding",
            ]
            .contains(&&name[..])
    };
    let nominated = members(&client.fields, "connection");
    for name in nominated.iter().filter(|name| !own(name)) {
        let is_it = |(n, _): &Field| n.eq_ignore_ascii_case(name) && !own(n);
        assert!(
            !sent.fields.iter().any(is_it),
            "{name:?} is sent, which Connection names"
        );
    }
    // Cookies travel as they came, line by line.
    if !nominated
        .iter()
        .any(|name| name.eq_ignore_ascii_case(b"cookie"))
    {
        assert_eq!(
            values(&sent.fields, "cookie"),
            values(&client.fields, "cookie")
        );
    }
}
