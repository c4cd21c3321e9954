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
    if head.is_websocket() {
        head.fields
            .write_renamed(is_end_to_end, websocket_spelling, out);
    } else {
        head.fields.write(is_end_to_end, out);
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
