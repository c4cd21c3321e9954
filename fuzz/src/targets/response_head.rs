//! Heads of responses: against a reader of RFC 9112, in any pieces, and all the way to what a client gets.

use ringway::http::h1::{ResponseOptions, parse_response, write_response};
use ringway::http::hop::prepare_response;
use ringway::http::{Limits, Method, ResponseHead, Version};

use super::{Numbers, assert_fields, framing};
use crate::allocation::within;
use crate::reference::head::{self, Framing, members, values};

/// Reads `data` as the first bytes of a response.
pub fn run(data: &[u8]) {
    let limits = Limits::default();
    for method in [Method::Get, Method::Head] {
        let mut head = ResponseHead::new();
        let most = 64 * 1024 + 48 * data.len();
        let parsed = within(most, || parse_response(data, &limits, method, &mut head));
        let length = parsed.as_ref().ok().copied().flatten();
        let mut numbers = Numbers::of(data);
        for end in numbers.prefixes(length.unwrap_or(data.len())) {
            let mut prefix = ResponseHead::new();
            match parse_response(&data[..end], &limits, method, &mut prefix) {
                Ok(None) => {}
                Err(_) => assert!(parsed.is_err(), "{end} bytes are refused, all are not"),
                Ok(Some(_)) => panic!("{end} bytes are a head already"),
            }
        }
        let Some(length) = length else { continue };
        let is_head = method == Method::Head;
        let expected = head::response(data, is_head)
            .unwrap_or_else(|error| panic!("RFC 9112 refuses it: {error}"));
        assert_eq!(length, expected.length);
        compare(&head, &expected);
        for version in [Version::Http10, Version::Http11] {
            answered(head.clone(), &expected, method, version);
        }
    }
}

fn compare(head: &ResponseHead, expected: &head::Response) {
    assert_eq!(head.status, expected.status);
    assert_eq!(head.version == Version::Http11, expected.minor > 0);
    assert_eq!(framing(head.body), expected.framing);
    // Ringway may be warier, never bolder.
    assert!(
        expected.keep_alive || !head.keep_alive,
        "a connection is used again that must not be"
    );
    assert_fields(&head.fields, &expected.fields, |name| {
        name.eq_ignore_ascii_case(b"transfer-encoding")
    });
}

/// What a client is sent is one head, framed for its version, without what was for the proxy alone.
fn answered(mut head: ResponseHead, origin: &head::Response, method: Method, version: Version) {
    prepare_response(&mut head);
    let keep_alive = head.reframe(version);
    let options = ResponseOptions {
        version,
        keep_alive,
        date: b"Sat, 21 Nov 2026 00:00:00 GMT",
    };
    let mut written = Vec::new();
    write_response(&head, options, &mut written);
    let is_head = method == Method::Head;
    let sent = head::response(&written, is_head)
        .unwrap_or_else(|error| panic!("what is sent is refused: {error}"));
    assert_eq!((sent.length, sent.status), (written.len(), origin.status));
    let framing = match (origin.framing, version) {
        (Framing::UntilClose, Version::Http11) => Framing::Chunked,
        (Framing::Chunked, Version::Http10) => Framing::UntilClose,
        (framing, _) => framing,
    };
    assert_eq!(sent.framing, framing);
    if sent.status >= 200 {
        assert_eq!(
            sent.keep_alive, keep_alive,
            "the client and the proxy disagree on the connection"
        );
    }
    for name in ["keep-alive", "proxy-connection", "proxy-authenticate"] {
        assert!(values(&sent.fields, name).is_empty(), "{name} is sent");
    }
    assert!(
        values(&sent.fields, "transfer-encoding").len()
            + values(&sent.fields, "content-length").len()
            <= 1
    );
    if version == Version::Http10 {
        assert!(values(&sent.fields, "transfer-encoding").is_empty());
    }
    let nominated = members(&origin.fields, "connection");
    if !nominated
        .iter()
        .any(|name| name.eq_ignore_ascii_case(b"set-cookie"))
    {
        assert_eq!(
            values(&sent.fields, "set-cookie"),
            values(&origin.fields, "set-cookie")
        );
    }
    let again = {
        let mut again = ResponseHead::new();
        let length = parse_response(&written, &Limits::default(), method, &mut again);
        assert_eq!(
            length.ok(),
            Some(Some(written.len())),
            "what is sent is refused"
        );
        prepare_response(&mut again);
        again
    };
    let mut twice = Vec::new();
    write_response(&again, options, &mut twice);
    assert!(twice == written, "{:?}", String::from_utf8_lossy(&twice));
}
