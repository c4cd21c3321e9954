//! The heads of requests and responses: what every protocol version parses into, what routing and
//! middlewares read and edit, and what the codecs write.
//!
//! Both heads are made to be reused: `clear` keeps their memory, so that a connection that has seen
//! one message parses the next without allocating.

use super::fields::{Fields, list_members};
use super::path::{self, InvalidPath};
use super::token::Token;

/// A request method (RFC 9110 §9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET
    #[default]
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// CONNECT
    Connect,
    /// OPTIONS
    Options,
    /// TRACE
    Trace,
    /// PATCH
    Patch,
    /// Any other; the text is [`RequestHead::method_bytes`].
    Other,
}

/// The protocol version of an HTTP/1 message. A higher minor version counts as 1.1 (RFC 9110 §2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
}

/// How the end of a body is known (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyLength {
    /// No body and no statement about one.
    #[default]
    None,
    /// Exactly so many bytes; 0 was stated explicitly.
    Length(u64),
    /// Chunked transfer coding, perhaps with trailers.
    Chunked,
    /// Until the connection closes; responses only.
    UntilClose,
}

impl BodyLength {
    /// Whether not a single byte of body follows.
    pub fn is_empty(self) -> bool {
        matches!(self, BodyLength::None | BodyLength::Length(0))
    }
}

/// The form of a request target (RFC 9112 §3.2). The authority form is CONNECT's, which is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://authority/path?query`; its authority stands above `Host`.
    Absolute,
    /// `*`
    Asterisk,
}

/// A piece of a head's text.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
}

/// The head of a request.
///
/// `Host` and `Transfer-Encoding` are not among the fields: they are [`RequestHead::authority`] and
/// [`RequestHead::body`]. `Content-Length` is (rules can ask for it), but what is written follows
/// `body`.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// The method; the text of `Other` is [`RequestHead::method_bytes`].
    pub method: Method,
    /// The version the client spoke.
    pub version: Version,
    /// The form of the target as received.
    pub target_form: TargetForm,
    /// The header fields in the order received.
    pub fields: Fields,
    /// The framing of the body.
    pub body: BodyLength,
    /// Whether the client lets the connection be used again (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    pub expect_continue: bool,
    /// Whether the client asks to switch protocols: HTTP/1.1, `Connection: upgrade` and an `Upgrade`
    /// field without h2c. The field keeps the names.
    pub upgrade: bool,
    /// Set by a middleware that empties `X-Forwarded-For`: the proxy step then sends none
    /// (Traefik: `customRequestHeaders: {X-Forwarded-For: ""}`).
    pub omit_forwarded_for: bool,
    text: Vec<u8>,
    method_text: Span,
    raw_target: Span,
    path: Span,
    route_path: Span,
    query: Option<Span>,
    authority: Option<Span>,
    host: Span,
    fragment: bool,
}

/// The head of a response.
///
/// `Transfer-Encoding` is not among the fields; see [`ResponseHead::body`].
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// The status code, 100..=999.
    pub status: u16,
    /// The version the server spoke.
    pub version: Version,
    /// The header fields in the order received.
    pub fields: Fields,
    /// The framing of the body.
    pub body: BodyLength,
    /// What `Content-Length` said where there is no body: to HEAD, and in a 304.
    pub stated_length: Option<u64>,
    /// Whether the server lets the connection be used again, as far as the head can tell.
    pub keep_alive: bool,
    /// Whether this is a `101 Switching Protocols` with an `Upgrade` field.
    pub upgrade: bool,
    reason: Vec<u8>,
}

impl Method {
    /// The method of a token; methods are case-sensitive (RFC 9110 §9.1).
    pub fn from_bytes(text: &[u8]) -> Method {
        match text {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"CONNECT" => Method::Connect,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"PATCH" => Method::Patch,
            _ => Method::Other,
        }
    }

    /// The token, or `None` for `Other`.
    pub fn as_bytes(self) -> Option<&'static [u8]> {
        Some(match self {
            Method::Get => b"GET",
            Method::Head => b"HEAD",
            Method::Post => b"POST",
            Method::Put => b"PUT",
            Method::Delete => b"DELETE",
            Method::Connect => b"CONNECT",
            Method::Options => b"OPTIONS",
            Method::Trace => b"TRACE",
            Method::Patch => b"PATCH",
            Method::Other => return None,
        })
    }

    /// Safe methods (RFC 9110 §9.2.1).
    pub fn is_safe(self) -> bool {
        matches!(
            self,
            Method::Get | Method::Head | Method::Options | Method::Trace
        )
    }

    /// Idempotent methods (RFC 9110 §9.2.2).
    pub fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Method::Put | Method::Delete)
    }
}

impl Version {
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub fn as_bytes(self) -> &'static [u8] {
        match self {
            Version::Http10 => b"HTTP/1.0",
            Version::Http11 => b"HTTP/1.1",
        }
    }
}

impl RequestHead {
    /// An empty head.
    pub fn new() -> Self {
        Self::default()
    }

    /// Back to an empty head, memory kept.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        let mut text = std::mem::take(&mut self.text);
        fields.clear();
        text.clear();
        *self = RequestHead {
            fields,
            text,
            ..RequestHead::default()
        };
    }

    /// Builds a head for a request the proxy makes itself (sub-requests, health checks). `target` is
    /// `path[?query]`.
    pub fn build(method: Method, target: &[u8], authority: &[u8]) -> Result<Self, InvalidPath> {
        let mut head = RequestHead {
            method,
            keep_alive: true,
            ..RequestHead::default()
        };
        let (path, query) = split_query(target);
        head.raw_target = head.put(target);
        head.set_path(path)?;
        head.set_query(query);
        head.set_authority(authority);
        Ok(head)
    }

    /// The method's token.
    pub fn method_bytes(&self) -> &[u8] {
        self.method
            .as_bytes()
            .unwrap_or_else(|| self.slice(self.method_text))
    }

    /// Changes the method.
    pub fn set_method(&mut self, token: &[u8]) {
        self.method = Method::from_bytes(token);
        if self.method == Method::Other {
            self.method_text = self.put(token);
        }
    }

    /// The target as received, for logs and `OPTIONS *`.
    pub fn raw_target(&self) -> &[u8] {
        self.slice(self.raw_target)
    }

    /// The escaped path that is forwarded; begins with `/`, except that it is `*` for an asterisk.
    pub fn path(&self) -> &[u8] {
        self.slice(self.path)
    }

    /// The path that rules match: escapes decoded, those of reserved characters left (Traefik's
    /// routing path).
    pub fn route_path(&self) -> &[u8] {
        self.slice(self.route_path)
    }

    /// The query as it stands, without `?`; `Some("")` for a bare `?`.
    pub fn query(&self) -> Option<&[u8]> {
        self.query.map(|span| self.slice(span))
    }

    /// Whether the path came with a raw `#` (see [`path::has_fragment`]).
    pub fn has_fragment(&self) -> bool {
        self.fragment
    }

    /// The host as sent, with port and brackets; `None` if an HTTP/1.0 client sent none.
    pub fn authority(&self) -> Option<&[u8]> {
        self.authority.map(|span| self.slice(span))
    }

    /// The host for routing: lower case, without port and brackets; empty if there is none.
    pub fn host(&self) -> &[u8] {
        self.slice(self.host)
    }

    /// The port of the authority, if it names one.
    pub fn port(&self) -> Option<&[u8]> {
        split_host_port(self.authority()?).1
    }

    /// The protocols the client asks for, if [`RequestHead::upgrade`] holds.
    pub fn upgrade_protocol(&self) -> Option<&[u8]> {
        if self.upgrade {
            self.fields.get(Token::Upgrade)
        } else {
            None
        }
    }

    /// Whether the client asks for a WebSocket (RFC 6455 §4.1).
    pub fn is_websocket(&self) -> bool {
        self.upgrade_protocol()
            .is_some_and(|value| list_members(value).any(|p| p.eq_ignore_ascii_case(b"websocket")))
    }

    /// Replaces the path by `path`, which is escaped; it is brought to normal form (not sanitised)
    /// and gets a leading slash if it has none. On an error the head keeps the old path.
    pub fn set_path(&mut self, path: &[u8]) -> Result<(), InvalidPath> {
        let start = self.text.len();
        if path.first() != Some(&b'/') {
            self.text.push(b'/');
        }
        if let Err(error) = path::normalize(path, &mut self.text) {
            self.text.truncate(start);
            return Err(error);
        }
        self.path = self.span_from(start);
        self.derive_route_path();
        Ok(())
    }

    /// Puts the path of a server's URL before the request's (Go: `httputil.joinURLPath`; Traefik:
    /// `preservePath`). `base` is in normal form.
    pub fn join_path(&mut self, base: &[u8]) {
        if self.target_form == TargetForm::Asterisk {
            return;
        }
        let path = self.slice(self.path).to_vec();
        let start = self.text.len();
        path::join_path(base, &path, &mut self.text);
        self.path = self.span_from(start);
        self.derive_route_path();
    }

    /// Removes empty, `.` and `..` segments of the path (Traefik: `sanitizePath`). An asterisk stays.
    pub fn sanitize_path(&mut self) {
        if self.target_form == TargetForm::Asterisk || path::is_sanitized(self.path()) {
            return;
        }
        let start = self.text.len();
        self.text.extend_from_within(self.path.range());
        path::sanitize(&mut self.text, start);
        self.path = self.span_from(start);
        self.derive_route_path();
    }

    /// Replaces the query.
    pub fn set_query(&mut self, query: Option<&[u8]>) {
        self.query = query.map(|query| self.put(query));
    }

    /// Replaces the authority (`host[:port]`, brackets around an IPv6 address).
    pub fn set_authority(&mut self, authority: &[u8]) {
        let span = self.put(authority);
        self.set_authority_span(span);
    }

    /// Edits a copy of the query, which `edit` finds at `start..` of the text (see [`super::query`]).
    pub(crate) fn edit_query(&mut self, edit: impl FnOnce(&mut Vec<u8>, usize)) {
        let Some(query) = self.query else { return };
        let start = self.text.len();
        self.text.extend_from_within(query.range());
        edit(&mut self.text, start);
        self.query = Some(self.span_from(start));
    }

    /// Takes a target from the wire that begins with `/`.
    #[inline]
    pub(crate) fn receive_origin(&mut self, target: &[u8]) -> Result<(), InvalidPath> {
        self.target_form = TargetForm::Origin;
        self.raw_target = self.put(target);
        self.receive_path(target, self.raw_target.start)
    }

    /// Takes a target from the wire whose path begins at `path_at`.
    pub(crate) fn receive_absolute(
        &mut self,
        target: &[u8],
        path_at: usize,
    ) -> Result<(), InvalidPath> {
        self.target_form = TargetForm::Absolute;
        self.raw_target = self.put(target);
        let path = target.get(path_at..).unwrap_or_default();
        self.receive_path(path, self.raw_target.start + path_at as u32)
    }

    /// Takes the target `*`.
    pub(crate) fn receive_asterisk(&mut self) {
        self.target_form = TargetForm::Asterisk;
        self.raw_target = self.put(b"*");
        self.path = self.raw_target;
        self.route_path = self.raw_target;
    }

    /// `target` stands at `start` of the text.
    #[inline]
    fn receive_path(&mut self, target: &[u8], start: u32) -> Result<(), InvalidPath> {
        let (path, query) = split_query(target);
        let end = start + path.len() as u32;
        self.query = query.map(|query| Span {
            start: end + 1,
            end: end + 1 + query.len() as u32,
        });
        if path.first() == Some(&b'/') && path::is_plain(path) {
            self.path = Span { start, end };
            self.route_path = self.path;
            return Ok(());
        }
        self.fragment = path::has_fragment(path);
        self.set_path(path)
    }

    fn set_authority_span(&mut self, span: Span) {
        self.authority = Some(span);
        let authority = self.slice(span);
        let (host, _) = split_host_port(authority);
        // `host` is a part of `authority`, so its offset in the text is a difference of addresses.
        let offset = host.as_ptr() as usize - authority.as_ptr() as usize;
        let start = span.start as usize + offset;
        let range = start..start + host.len();
        if host.iter().any(u8::is_ascii_uppercase) {
            let start = self.text.len();
            self.text.extend_from_within(range);
            self.text[start..].make_ascii_lowercase();
            self.host = self.span_from(start);
        } else {
            self.host = Span {
                start: range.start as u32,
                end: range.end as u32,
            };
        }
    }

    fn derive_route_path(&mut self) {
        if !path::needs_route_form(self.path()) {
            self.route_path = self.path;
            return;
        }
        let start = self.text.len();
        self.text.extend_from_within(self.path.range());
        path::route_form(&mut self.text, start);
        self.route_path = self.span_from(start);
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Span {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        self.span_from(start)
    }

    #[inline]
    fn span_from(&self, start: usize) -> Span {
        assert!(
            self.text.len() <= super::fields::MAX_ARENA_BYTES,
            "a request head outgrew its limit"
        );
        Span {
            start: start as u32,
            end: self.text.len() as u32,
        }
    }

    #[inline]
    fn slice(&self, span: Span) -> &[u8] {
        &self.text[span.range()]
    }
}

impl Span {
    #[inline]
    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl ResponseHead {
    /// An empty head.
    pub fn new() -> Self {
        Self::default()
    }

    /// Back to an empty head, memory kept.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        let mut reason = std::mem::take(&mut self.reason);
        fields.clear();
        reason.clear();
        *self = ResponseHead {
            fields,
            reason,
            ..ResponseHead::default()
        };
    }

    /// Clears the head and makes it that of a response the proxy gives itself, with a body of
    /// `length` bytes.
    pub fn start(&mut self, status: u16, length: u64) {
        self.clear();
        self.status = status;
        self.body = BodyLength::Length(length);
        self.keep_alive = true;
    }

    /// The reason phrase as received; what is written is [`super::status::reason`].
    pub fn reason(&self) -> &[u8] {
        &self.reason
    }

    /// Whether the response is interim: 1xx other than 101.
    pub fn is_interim(&self) -> bool {
        matches!(self.status, 100..=199) && self.status != 101
    }

    pub(crate) fn receive_reason(&mut self, reason: &[u8]) {
        self.reason.clear();
        self.reason.extend_from_slice(reason);
    }
}

fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', target) {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

/// Splits `host[:port]`: brackets of an IPv6 address are dropped; a text that has neither form is the
/// host as a whole (Go: `net.SplitHostPort`; Traefik: `requestdecorator`).
pub fn split_host_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    if let [b'[', rest @ ..] = authority {
        let Some(end) = memchr::memchr(b']', rest) else {
            return (authority, None);
        };
        return match &rest[end + 1..] {
            [] => (&rest[..end], None),
            [b':', port @ ..] if !port.contains(&b':') => (&rest[..end], Some(port)),
            _ => (authority, None),
        };
    }
    match memchr::memrchr(b':', authority) {
        Some(at) if !authority[..at].contains(&b':') => {
            (&authority[..at], Some(&authority[at + 1..]))
        }
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_split_as_by_go() {
        let cases: [(&str, &str, Option<&str>); 12] = [
            ("a", "a", None),
            ("a:80", "a", Some("80")),
            ("a:", "a", Some("")),
            (":80", "", Some("80")),
            ("", "", None),
            ("[::1]", "::1", None),
            ("[::1]:80", "::1", Some("80")),
            ("::1", "::1", None),
            ("a:b:c", "a:b:c", None),
            ("[::1", "[::1", None),
            ("[::1]x", "[::1]x", None),
            ("[::1]:8:0", "[::1]:8:0", None),
        ];
        for (authority, host, port) in cases {
            let expected = (host.as_bytes(), port.map(str::as_bytes));
            assert_eq!(
                split_host_port(authority.as_bytes()),
                expected,
                "{authority}"
            );
        }
    }

    #[test]
    fn the_host_is_lower_case_and_the_authority_as_sent() {
        let mut head = RequestHead::new();
        assert_eq!(
            (head.authority(), head.host(), head.port()),
            (None, &b""[..], None)
        );
        head.set_authority(b"ExAmple.com:8080");
        assert_eq!(head.authority(), Some(&b"ExAmple.com:8080"[..]));
        assert_eq!(head.host(), b"example.com");
        assert_eq!(head.port(), Some(&b"8080"[..]));
        head.set_authority(b"[FE80::1]");
        assert_eq!(head.host(), b"fe80::1");
    }

    #[test]
    fn a_set_path_is_normalised_and_a_bad_one_changes_nothing() {
        let mut head = RequestHead::build(Method::Get, b"/a?b=c", b"h").unwrap();
        assert_eq!((head.path(), head.query()), (&b"/a"[..], Some(&b"b=c"[..])));
        head.set_path(b"x%2fy|%20").unwrap();
        assert_eq!(head.path(), b"/x%2Fy%7C%20");
        assert_eq!(head.route_path(), b"/x%2Fy| ");
        assert_eq!(head.set_path(b"/%zz"), Err(InvalidPath));
        assert_eq!(head.path(), b"/x%2Fy%7C%20");
        head.set_path(b"/p/../q/").unwrap();
        head.sanitize_path();
        assert_eq!((head.path(), head.route_path()), (&b"/q/"[..], &b"/q/"[..]));
        head.set_query(None);
        assert_eq!(head.query(), None);
    }

    #[test]
    fn a_method_keeps_its_text() {
        let mut head = RequestHead::new();
        assert_eq!(head.method_bytes(), b"GET");
        head.set_method(b"PROPFIND");
        assert_eq!(
            (head.method, head.method_bytes()),
            (Method::Other, &b"PROPFIND"[..])
        );
        head.set_method(b"get");
        assert_eq!(
            (head.method, head.method_bytes()),
            (Method::Other, &b"get"[..])
        );
        head.set_method(b"PATCH");
        assert_eq!(
            (head.method, head.method_bytes()),
            (Method::Patch, &b"PATCH"[..])
        );
        assert!(Method::Put.is_idempotent() && !Method::Put.is_safe());
        assert!(!Method::Patch.is_idempotent() && Method::Trace.is_safe());
    }

    #[test]
    fn clear_forgets_everything() {
        let mut head = RequestHead::build(Method::Post, b"/a?b", b"H").unwrap();
        head.fields.append(&Token::Via, b"1");
        head.upgrade = true;
        head.clear();
        assert_eq!(
            (head.method, head.path(), head.query()),
            (Method::Get, &b""[..], None)
        );
        assert_eq!(
            (head.authority(), head.host(), head.upgrade),
            (None, &b""[..], false)
        );
        assert!(head.fields.is_empty());
    }
}
