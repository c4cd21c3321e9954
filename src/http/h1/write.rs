//! Writing heads: framing and connection fields from the head's members, the rest in one pass.

use crate::http::message::{BodyLength, Method, RequestHead, ResponseHead, Version};
use crate::http::sink::Sink;
use crate::http::status;
use crate::http::token::Token;

/// What the head of a response depends on beside itself.
#[derive(Clone, Copy, Debug)]
pub struct ResponseOptions<'a> {
    /// The version of the request that is answered: decides the status line and the framing.
    pub version: Version,
    /// Whether the connection is used again afterwards.
    pub keep_alive: bool,
    /// The text of `Date`, added to a final response that has none (see [`crate::http::DateText`]).
    pub date: &'a [u8],
}

/// Writes the head of a request for an upstream connection, always as HTTP/1.1 in origin form.
///
/// `Host` comes first. `Connection`, `Upgrade`, `Content-Length`, `Transfer-Encoding` and the like
/// are written from the head's members and nowhere else. Nothing but the fields may follow before a
/// 101: the caller keeps the tunnel's payload back.
pub fn write_request(head: &RequestHead, out: &mut impl Sink) {
    out.put(head.method_bytes());
    out.put(b" ");
    out.put(head.path());
    if let Some(query) = head.query() {
        out.put(b"?");
        out.put(query);
    }
    out.put(b" HTTP/1.1\r\nHost: ");
    out.put(head.authority().unwrap_or_default());
    out.put(b"\r\n");
    let chunked = head.body == BodyLength::Chunked;
    let keep = |token| match token {
        // It announces what only a chunked body can carry.
        Some(Token::Trailer) => chunked,
        token => is_end_to_end(token),
    };
    if head.is_websocket() {
        head.fields.write_renamed(keep, websocket_spelling, out);
    } else {
        head.fields.write(keep, out);
    }
    if let Some(protocols) = head.upgrade_protocol() {
        out.put(b"Connection: Upgrade\r\nUpgrade: ");
        out.put(protocols);
        out.put(b"\r\n");
    }
    match head.body {
        BodyLength::Length(length) if length > 0 => write_length(length, out),
        BodyLength::None | BodyLength::Length(_) if expects_body(head.method) => {
            write_length(0, out);
        }
        BodyLength::Chunked => out.put(b"Transfer-Encoding: chunked\r\n"),
        // Requests have no body that ends with the connection.
        BodyLength::None | BodyLength::Length(_) | BodyLength::UntilClose => {}
    }
    out.put(b"\r\n");
}

/// Writes the head of a response to a client. Interim responses (1xx) go through here too.
///
/// The body's framing is that of `head.body`, which the caller first fits to the client's version
/// with [`ResponseHead::reframe`].
pub fn write_response(head: &ResponseHead, options: ResponseOptions<'_>, out: &mut impl Sink) {
    write_status_line(head.status, options.version, out);
    // Go's server drops these for a 304, whatever the origin sent (RFC 9110 §15.4.5 allows it).
    let not_modified = head.status == 304;
    let chunked = head.body == BodyLength::Chunked && options.version == Version::Http11;
    let keep = |token| match token {
        Some(Token::ContentType) => !not_modified,
        // It announces what only a chunked body can carry.
        Some(Token::Trailer) => chunked,
        token => is_end_to_end(token),
    };
    head.fields.write(keep, out);
    if head.status < 200 {
        if head.upgrade
            && let Some(protocol) = head.fields.get(Token::Upgrade)
        {
            out.put(b"Connection: Upgrade\r\nUpgrade: ");
            out.put(protocol);
            out.put(b"\r\n");
        }
        out.put(b"\r\n");
        return;
    }
    if head.fields.get(Token::Date).is_none() && !options.date.is_empty() {
        out.put(b"Date: ");
        out.put(options.date);
        out.put(b"\r\n");
    }
    match head.body {
        BodyLength::Length(length) if status::allows_body(head.status) => write_length(length, out),
        BodyLength::Chunked if chunked => out.put(b"Transfer-Encoding: chunked\r\n"),
        BodyLength::None if status::allows_body(head.status) => {
            if let Some(length) = head.stated_length {
                write_length(length, out);
            }
        }
        _ => {}
    }
    match (options.version, options.keep_alive) {
        (Version::Http11, false) => out.put(b"Connection: close\r\n"),
        (Version::Http10, true) => out.put(b"Connection: keep-alive\r\n"),
        _ => {}
    }
    out.put(b"\r\n");
}

impl ResponseHead {
    /// Fits the framing to the client's version: a body of unknown length is chunked for HTTP/1.1 and
    /// ends with the connection for HTTP/1.0. Returns whether the connection can be used again after
    /// a body so framed.
    pub fn reframe(&mut self, client: Version) -> bool {
        match (self.body, client) {
            (BodyLength::UntilClose, Version::Http11) => self.body = BodyLength::Chunked,
            (BodyLength::Chunked, Version::Http10) => self.body = BodyLength::UntilClose,
            _ => {}
        }
        self.body != BodyLength::UntilClose
    }
}

#[inline]
fn is_end_to_end(token: Option<Token>) -> bool {
    token.is_none_or(|token| !token.is_connection_specific())
}

/// Methods for which origins expect a length even without a body (RFC 9110 §8.6, as Go sends it).
fn expects_body(method: Method) -> bool {
    matches!(method, Method::Post | Method::Put | Method::Patch)
}

#[inline]
fn write_status_line(code: u16, version: Version, out: &mut impl Sink) {
    if code == 200 && version == Version::Http11 {
        return out.put(b"HTTP/1.1 200 OK\r\n");
    }
    out.put(version.as_bytes());
    out.put(b" ");
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(code).as_bytes();
    out.put(digits);
    match status::reason(code) {
        Some(reason) => {
            out.put(b" ");
            out.put(reason.as_bytes());
        }
        // Go's spelling of "no reason".
        None => {
            out.put(b" status code ");
            out.put(digits);
        }
    }
    out.put(b"\r\n");
}

fn write_length(length: u64, out: &mut impl Sink) {
    out.put(b"Content-Length: ");
    out.put(itoa::Buffer::new().format(length).as_bytes());
    out.put(b"\r\n");
}

/// RFC 6455's spelling, which some WebSocket servers insist on (Traefik does the same).
fn websocket_spelling(token: Token) -> Option<&'static str> {
    Some(match token {
        Token::SecWebsocketAccept => "Sec-WebSocket-Accept",
        Token::SecWebsocketExtensions => "Sec-WebSocket-Extensions",
        Token::SecWebsocketKey => "Sec-WebSocket-Key",
        Token::SecWebsocketProtocol => "Sec-WebSocket-Protocol",
        Token::SecWebsocketVersion => "Sec-WebSocket-Version",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::h1::{parse_request, parse_response};
    use crate::http::hop;
    use crate::http::limits::Limits;

    fn request(input: &str) -> RequestHead {
        let mut head = RequestHead::new();
        let parsed = parse_request(input.as_bytes(), &Limits::default(), &mut head);
        assert!(matches!(parsed, Ok(Some(_))), "{parsed:?} {input:?}");
        head
    }

    fn rewritten(input: &str) -> String {
        let mut out = Vec::new();
        write_request(&request(input), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn response(method: Method, input: &str) -> ResponseHead {
        let mut head = ResponseHead::new();
        let parsed = parse_response(input.as_bytes(), &Limits::default(), method, &mut head);
        assert!(matches!(parsed, Ok(Some(_))), "{parsed:?} {input:?}");
        head
    }

    fn answered(method: Method, input: &str, version: Version, keep_alive: bool) -> String {
        let mut head = response(method, input);
        hop::prepare_response(&mut head);
        let reusable = head.reframe(version);
        let options = ResponseOptions {
            version,
            keep_alive: keep_alive && reusable,
            date: b"now",
        };
        let mut out = Vec::new();
        write_response(&head, options, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn host_comes_first_and_framing_last() {
        assert_eq!(
            rewritten(
                "POST /a?b HTTP/1.0\r\nx-a: 1\r\ncontent-length: 5\r\nHOST: h\r\nCookie:c\r\n\r\n"
            ),
            "POST /a?b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nCookie: c\r\nContent-Length: 5\r\n\r\n"
        );
        assert_eq!(
            rewritten(
                "PUT /a? HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
            ),
            "PUT /a? HTTP/1.1\r\nHost: h\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
    }

    #[test]
    fn empty_bodies_are_stated_for_methods_that_have_one() {
        let empty = "\r\nContent-Length: 0\r\n\r\n";
        for method in ["POST", "PUT", "PATCH"] {
            let head = format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n");
            assert!(rewritten(&head).ends_with(empty));
        }
        for method in ["GET", "HEAD", "DELETE", "OPTIONS", "FOO"] {
            let head = format!("{method} / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(
                rewritten(&head),
                format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n")
            );
        }
    }

    #[test]
    fn connection_fields_are_never_copied() {
        let head = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nKeep-Alive: 5\r\n\
            Proxy-Connection: x\r\nUpgrade: foo\r\nTrailer: X\r\nX-A: 1\r\n\r\n";
        assert_eq!(
            rewritten(head),
            "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n"
        );
    }

    #[test]
    fn websocket_names_are_spelt_as_in_the_rfc() {
        let head = "GET / HTTP/1.1\r\nHost: h\r\nsec-websocket-key: k\r\nX-A: 1\r\n\
            Connection: upgrade\r\nUpgrade: WebSocket\r\nsec-websocket-version: 13\r\n\r\n";
        assert_eq!(
            rewritten(head),
            "GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: k\r\nX-A: 1\r\n\
             Sec-WebSocket-Version: 13\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"
        );
    }

    #[test]
    fn targets_are_forwarded_in_origin_form() {
        let absolute = rewritten("GET http://Other:81/a%2fb?q HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(absolute, "GET /a%2Fb?q HTTP/1.1\r\nHost: Other:81\r\n\r\n");
        let asterisk = rewritten("GET * HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(asterisk, "GET * HTTP/1.1\r\nHost: h\r\n\r\n");
    }

    #[test]
    fn responses_are_framed_for_the_client() {
        let length = "HTTP/1.1 200 Sure\r\nX-A: 1\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(
            answered(Method::Get, length, Version::Http11, true),
            "HTTP/1.1 200 OK\r\nX-A: 1\r\nDate: now\r\nContent-Length: 2\r\n\r\n"
        );
        assert_eq!(
            answered(Method::Get, length, Version::Http10, true),
            "HTTP/1.0 200 OK\r\nX-A: 1\r\nDate: now\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n"
        );
        let chunked =
            "HTTP/1.1 299 Mine\r\nDate: then\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n";
        assert_eq!(
            answered(Method::Get, chunked, Version::Http11, true),
            "HTTP/1.1 299 status code 299\r\nDate: then\r\nTrailer: T\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        assert_eq!(
            answered(Method::Get, chunked, Version::Http10, true),
            "HTTP/1.0 299 status code 299\r\nDate: then\r\n\r\n"
        );
        let until_close = "HTTP/1.0 200 OK\r\n\r\n";
        assert_eq!(
            answered(Method::Get, until_close, Version::Http11, false),
            "HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn responses_without_a_body_get_no_framing() {
        let length = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
        assert_eq!(
            answered(Method::Head, length, Version::Http11, true),
            "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 7\r\n\r\n"
        );
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(
            answered(Method::Head, chunked, Version::Http11, true),
            "HTTP/1.1 200 OK\r\nDate: now\r\n\r\n"
        );
        let modified =
            "HTTP/1.1 304 X\r\nContent-Length: 7\r\nContent-Type: a/b\r\nEtag: e\r\n\r\n";
        assert_eq!(
            answered(Method::Get, modified, Version::Http11, true),
            "HTTP/1.1 304 Not Modified\r\nEtag: e\r\nDate: now\r\n\r\n"
        );
        let none = "HTTP/1.1 204 X\r\nContent-Length: 7\r\n\r\n";
        assert_eq!(
            answered(Method::Get, none, Version::Http11, true),
            "HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n"
        );
    }

    #[test]
    fn interim_responses_carry_only_their_fields() {
        let hints = "HTTP/1.1 103 X\r\nLink: l\r\nConnection: close\r\n\r\n";
        assert_eq!(
            answered(Method::Get, hints, Version::Http11, false),
            "HTTP/1.1 103 Early Hints\r\nLink: l\r\n\r\n"
        );
        let switching = "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: foo/2\r\nX-A: 1\r\n\r\n";
        assert_eq!(
            answered(Method::Get, switching, Version::Http11, true),
            "HTTP/1.1 101 Switching Protocols\r\nX-A: 1\r\nConnection: Upgrade\r\nUpgrade: foo/2\r\n\r\n"
        );
    }

    fn field_lines() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            "[a-zA-Z][a-zA-Z0-9_-]{0,12}",
            Just("cookie".to_owned()),
            Just("X-Forwarded-For".to_owned()),
            Just("Connection".to_owned()),
        ];
        let line = (name, "[ \t]{0,2}", "[!-~]{0,9}( [!-~]{1,5})?", "[ \t]{0,2}")
            .prop_map(|(name, before, value, after)| format!("{name}:{before}{value}{after}\r\n"));
        proptest::collection::vec(line, 0..8).prop_map(|lines| lines.concat())
    }

    proptest! {
        /// What is written parses again, to the same head: nothing in it can be read in two ways.
        #[test]
        fn written_requests_parse_to_the_same_head(
            method in "[A-Z]{1,8}",
            target in "/[ -~&&[^ ]]{0,20}",
            lines in field_lines(),
            framing in prop_oneof![
                Just(""), Just("Content-Length: 7\r\n"), Just("Transfer-Encoding: chunked\r\n")
            ],
        ) {
            let input = format!("{method} {target} HTTP/1.1\r\nHost: h:1\r\n{lines}{framing}\r\n");
            let mut first = RequestHead::new();
            let parsed = parse_request(input.as_bytes(), &Limits::default(), &mut first);
            if !matches!(parsed, Ok(Some(_))) {
                return Ok(()); // about one in five: a broken escape, CONNECT
            }
            hop::prepare_request(&mut first);
            let mut once = Vec::new();
            write_request(&first, &mut once);
            let mut second = RequestHead::new();
            let parsed = parse_request(&once, &Limits::default(), &mut second);
            prop_assert_eq!(parsed, Ok(Some(once.len())), "{:?}", String::from_utf8_lossy(&once));
            let mut twice = Vec::new();
            write_request(&second, &mut twice);
            prop_assert_eq!(String::from_utf8_lossy(&once), String::from_utf8_lossy(&twice));
            prop_assert_eq!(first.path(), second.path());
            prop_assert_eq!(first.query(), second.query());
            prop_assert_eq!(first.authority(), second.authority());
            prop_assert_eq!(first.method_bytes(), second.method_bytes());
            prop_assert_eq!(first.body.is_empty(), second.body.is_empty());
        }

        #[test]
        fn parsing_arbitrary_bytes_never_panics(
            input in proptest::collection::vec(any::<u8>(), 0..120),
            method in "[A-Z]{0,7}",
        ) {
            let (mut request, mut response) = (RequestHead::new(), ResponseHead::new());
            let limits = Limits::default();
            let _ = parse_request(&input, &limits, &mut request);
            let _ = parse_response(&input, &limits, Method::Get, &mut response);
            let mut near = format!("{method} / HTTP/1.1\r\nHost: a\r\n").into_bytes();
            near.extend_from_slice(&input);
            near.extend_from_slice(b"\r\n\r\n");
            let _ = parse_request(&near, &limits, &mut request);
            let mut near = b"HTTP/1.1 200 OK\r\n".to_vec();
            near.extend_from_slice(&input);
            near.extend_from_slice(b"\r\n\r\n");
            let _ = parse_response(&near, &limits, Method::Get, &mut response);
        }

        /// Flipping one byte of a request gives a clean refusal or a head whose lines hold no CR, LF
        /// or NUL.
        #[test]
        fn a_changed_byte_never_splits_a_line(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
            let mut input = b"POST /a?b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nContent-Length: 5\r\nX-B:  2 \r\n\r\n".to_vec();
            let place = at.index(input.len());
            input[place] = byte;
            let mut head = RequestHead::new();
            if let Ok(Some(_)) = parse_request(&input, &Limits::default(), &mut head) {
                let mut out = Vec::new();
                write_request(&head, &mut out);
                let lines = out.split(|&b| b == b'\n').count();
                prop_assert!(lines <= 8, "{:?}", String::from_utf8_lossy(&out));
                for (name, value) in head.fields.iter() {
                    prop_assert!(!name.is_empty());
                    prop_assert!(!value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
                }
            }
        }
    }
}
