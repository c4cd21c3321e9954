//! The head of a request: target, authority and fields, and what may be changed in them.

use super::fields::{Fields, MAX_ARENA_BYTES};
use super::message::{BodyLength, Method, TargetForm, Version};
use super::name::{is_token_byte, list_members};
use super::path::{self, InvalidPath};
use super::token::Token;

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
    /// Set by the proxy step: the last entry of `X-Forwarded-For` is the peer, added by the proxy.
    pub added_forwarded_for: bool,
    text: Vec<u8>,
    method_text: Span,
    raw_target: Span,
    path: Span,
    route_path: Span,
    query: Option<Span>,
    authority: Option<Span>,
    host: Span,
    port: Option<Span>,
    fragment: bool,
}

/// A piece of a head's text.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
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

    /// Gives back memory beyond about `bytes` that an unusually large message left behind; clears the
    /// head.
    pub fn trim(&mut self, bytes: usize) {
        self.clear();
        self.fields.trim(bytes);
        self.text.shrink_to(bytes);
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

    /// Changes the method; a text that is no token changes nothing.
    pub fn set_method(&mut self, token: &[u8]) {
        if token.is_empty() || !token.iter().copied().all(is_token_byte) {
            return;
        }
        self.receive_method(token);
    }

    #[inline]
    pub(crate) fn receive_method(&mut self, token: &[u8]) {
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
        self.port.map(|span| self.slice(span))
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
        let path = self.path().to_vec();
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

    /// Replaces the query. Blanks and control characters, which cannot stand in a target, are
    /// percent-encoded.
    pub fn set_query(&mut self, query: Option<&[u8]>) {
        self.query = query.map(|query| {
            let start = self.text.len();
            for &byte in query {
                match byte {
                    0..=b' ' | 0x7f => path::push_escape(byte, &mut self.text),
                    _ => self.text.push(byte),
                }
            }
            self.span_from(start)
        });
    }

    /// Replaces the authority (`host[:port]`, brackets around an IPv6 address). Blanks and control
    /// characters are dropped: no value from a template can start a new line.
    pub fn set_authority(&mut self, authority: &[u8]) {
        let start = self.text.len();
        let clean = authority
            .iter()
            .filter(|byte| byte.is_ascii_graphic() || !byte.is_ascii());
        self.text.extend(clean);
        self.set_authority_span(self.span_from(start));
    }

    /// Takes an authority from the wire that was checked.
    #[inline]
    pub(crate) fn receive_authority(&mut self, authority: &[u8]) {
        let span = self.put(authority);
        self.set_authority_span(span);
    }

    /// Sets a field to the authority as sent; nothing if there is none.
    pub(crate) fn set_to_authority(&mut self, token: Token) {
        let Some(authority) = self
            .authority
            .map(Span::range)
            .filter(|range| !range.is_empty())
        else {
            return;
        };
        let authority = &self.text[authority];
        match self.fields.get(token) {
            // A host holds nothing that would need cleansing.
            None => self.fields.append_clean(token, authority),
            Some(_) => self.fields.set(&token, authority),
        }
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
        let (host, port) = split_host_port(authority);
        // The port is the end of `authority`.
        let port = port.map(|port| Span {
            start: span.end - port.len() as u32,
            end: span.end,
        });
        // `host` is a part of `authority`, so its offset in the text is a difference of addresses.
        let offset = host.as_ptr() as usize - authority.as_ptr() as usize;
        let start = span.start as usize + offset;
        let range = start..start + host.len();
        let has_capitals = host.iter().any(u8::is_ascii_uppercase);
        self.port = port;
        if has_capitals {
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
            self.text.len() <= MAX_ARENA_BYTES,
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
        head.set_authority(b" a\r\nX: y");
        assert_eq!(head.authority(), Some(&b"aX:y"[..]));
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
        head.set_query(Some(b"a b\r\n"));
        assert_eq!(head.query(), Some(&b"a%20b%0D%0A"[..]));
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
        head.set_method(b"A B");
        head.set_method(b"");
        assert_eq!(head.method_bytes(), b"get");
        head.set_method(b"PATCH");
        assert_eq!(
            (head.method, head.method_bytes()),
            (Method::Patch, &b"PATCH"[..])
        );
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
