//! Fields that belong to one connection and must not travel further (RFC 9110 §7.6.1).
//!
//! In two steps, as in Traefik: at the edge, before any middleware, what the client's `Connection`
//! names is removed, so that nobody can strip a field that a middleware adds later; before the hop
//! upstream, the rest. Framing and `Connection` itself are the codec's: it writes them from the
//! head's members and copies none of them.

use super::fields::{FieldName, Fields, list_members};
use super::message::{RequestHead, ResponseHead};
use super::token::Token;

/// Removes what the client's `Connection` lines name, except the managed `X-` headers and the names
/// in `deferred` (`forwardedHeaders.connection`), which stay until [`prepare_request`]. Afterwards
/// `Connection` lists only deferred names and `Upgrade`, or is gone.
pub fn apply_connection(head: &mut RequestHead, deferred: &[FieldName]) {
    let Some(first) = head.fields.get(Token::Connection) else {
        return;
    };
    if head.fields.count(&Token::Connection) == 1 && is_plain_option(first) {
        head.fields.remove(&Token::Connection);
        return;
    }
    let fields = &mut head.fields;
    let upgrade = names(fields, b"upgrade");
    let mut kept: Vec<&[u8]> = Vec::new();
    for name in deferred
        .iter()
        .filter(|name| names(fields, name.as_bytes()))
    {
        kept.extend([name.as_bytes(), b","]);
    }
    fields.remove_nominated(|token, name| {
        token == Some(Token::Upgrade)
            || is_managed(token, name)
            || deferred.iter().any(|deferred| deferred.as_bytes() == name)
    });
    if upgrade {
        kept.push(b"Upgrade");
    } else {
        kept.pop();
    }
    if kept.is_empty() {
        fields.remove(&Token::Connection);
    } else {
        fields.set_parts(&Token::Connection, &kept);
    }
}

/// Makes a request fit for the next hop: deferred nominated fields and all hop-by-hop fields go, `Te`
/// stays as `trailers` if it said so, `Upgrade` (without h2c) if [`RequestHead::upgrade`]. Idempotent,
/// so that a retry may repeat it.
pub fn prepare_request(head: &mut RequestHead) {
    if head.fields.get(Token::Connection).is_some() {
        head.fields.remove_nominated(|token, name| {
            token == Some(Token::Upgrade) || is_managed(token, name)
        });
    }
    if head.fields.may_have_alias() {
        head.fields
            .retain(|token, name, _| token.is_some() || !is_framing_alias(name));
    }
    let trailers = remove_hop_by_hop(&mut head.fields, head.upgrade);
    if trailers {
        head.fields.set(&Token::Te, b"trailers");
    }
}

/// Makes a response fit for the client: fields that its `Connection` names and all hop-by-hop fields
/// go; `Upgrade` stays in a 101.
pub fn prepare_response(head: &mut ResponseHead) {
    if head
        .fields
        .get(Token::Connection)
        .is_some_and(|value| !is_plain_option(value))
        || head.fields.count(&Token::Connection) > 1
    {
        head.fields
            .remove_nominated(|token, _| token == Some(Token::Upgrade));
    }
    remove_hop_by_hop(&mut head.fields, head.upgrade);
}

/// Whether a field may come as a trailer: nothing that frames, routes, authenticates or was decided
/// on at the head (RFC 9110 §6.5.1; Go: `httpguts.ValidTrailerHeader`), under no spelling.
pub(crate) fn may_be_trailer(token: Option<Token>, name: &[u8]) -> bool {
    match token {
        Some(token) => {
            !token.is_connection_specific()
                && !token.is_forwarded()
                && !matches!(
                    token,
                    Token::Authorization
                        | Token::CacheControl
                        | Token::ContentEncoding
                        | Token::ContentRange
                        | Token::ContentType
                        | Token::Cookie
                        | Token::Date
                        | Token::Expect
                        | Token::Forwarded
                        | Token::Http2Settings
                        | Token::IfMatch
                        | Token::IfModifiedSince
                        | Token::IfNoneMatch
                        | Token::IfRange
                        | Token::IfUnmodifiedSince
                        | Token::Location
                        | Token::MaxForwards
                        | Token::Pragma
                        | Token::ProxyAuthenticate
                        | Token::ProxyAuthorization
                        | Token::Range
                        | Token::Realm
                        | Token::SetCookie
                        | Token::Te
                        | Token::Trailer
                        | Token::Vary
                        | Token::WwwAuthenticate
                )
        }
        None => {
            let conditional = name
                .get(..3)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"If-"));
            !conditional && alias(name).is_none_or(|token| may_be_trailer(Some(token), b""))
        }
    }
}

/// The known header that a name with underscores or dots (`X_Forwarded.For`) becomes in a server that maps
/// them and `-` onto each other, as CGI does.
pub(crate) fn alias(name: &[u8]) -> Option<Token> {
    /// No alias of a known name is longer.
    const LONGEST: usize = 64;
    if name.len() > LONGEST || memchr::memchr2(b'_', b'.', name).is_none() {
        return None;
    }
    let mut dashed = [0; LONGEST];
    let dashed = dashed.get_mut(..name.len())?;
    dashed.copy_from_slice(name);
    for byte in dashed.iter_mut().filter(|byte| matches!(byte, b'_' | b'.')) {
        *byte = b'-';
    }
    Token::lookup(dashed)
}

/// Whether a field is one of the managed `X-` headers, under any spelling.
pub(crate) fn is_managed(token: Option<Token>, name: &[u8]) -> bool {
    token
        .or_else(|| alias(name))
        .is_some_and(Token::is_forwarded)
}

/// Whether a server that maps names onto each other would take this one for framing.
fn is_framing_alias(name: &[u8]) -> bool {
    matches!(
        alias(name),
        Some(Token::ContentLength | Token::TransferEncoding)
    )
}

/// Removes the fixed hop-by-hop fields; returns whether `Te` accepted trailers.
fn remove_hop_by_hop(fields: &mut Fields, upgrade: bool) -> bool {
    const HOP_BY_HOP: u128 = Token::Connection.bit()
        | Token::Http2Settings.bit()
        | Token::KeepAlive.bit()
        | Token::ProxyAuthenticate.bit()
        | Token::ProxyAuthorization.bit()
        | Token::ProxyConnection.bit()
        | Token::Te.bit()
        | Token::TransferEncoding.bit()
        | Token::Upgrade.bit();
    if !fields.may_have(HOP_BY_HOP) {
        return false;
    }
    let mut trailers = false;
    fields.retain(|token, _, value| match token {
        Some(Token::Te) => {
            trailers |= list_members(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
            false
        }
        Some(Token::Upgrade) => upgrade,
        Some(token) => HOP_BY_HOP & token.bit() == 0,
        None => true,
    });
    trailers
}

/// A `Connection` value that names no field.
fn is_plain_option(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
}

fn names(fields: &Fields, name: &[u8]) -> bool {
    fields
        .get_all(Token::Connection)
        .flat_map(list_members)
        .any(|m| m.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::{parse_request, parse_response, write_request};
    use crate::http::limits::Limits;
    use crate::http::message::Method;

    fn request(lines: &str) -> RequestHead {
        let input = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
        let mut head = RequestHead::new();
        parse_request(input.as_bytes(), &Limits::default(), &mut head)
            .unwrap()
            .unwrap();
        head
    }

    fn lines(fields: &Fields) -> Vec<String> {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        fields
            .iter()
            .map(|(name, value)| format!("{}: {}", text(name), text(value)))
            .collect()
    }

    /// The header lines after both steps, as written, without `Host`.
    fn forwarded(request_lines: &str, deferred: &[FieldName]) -> Vec<String> {
        let mut head = request(request_lines);
        apply_connection(&mut head, deferred);
        prepare_request(&mut head);
        let mut out = Vec::new();
        write_request(&head, &mut out);
        let text = String::from_utf8(out).unwrap();
        let lines = text.split("\r\n").skip(2).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn hop_by_hop_fields_are_removed() {
        let sent = "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authenticate: x\r\n\
                    Proxy-Authorization: y\r\nTE: gzip\r\nTrailer: X\r\nUpgrade: foo\r\nX-A: 1";
        assert_eq!(forwarded(sent, &[]), ["X-A: 1"]);
    }

    #[test]
    fn nominated_fields_are_removed_at_the_edge() {
        let sent = "Connection: X-A, x-b\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\nConnection: close, cookie\r\n\
                    Cookie: c";
        let mut head = request(sent);
        apply_connection(&mut head, &[]);
        assert_eq!(lines(&head.fields), ["X-C: 3"]);
        // A field that a middleware adds later is out of the client's reach.
        head.fields
            .append(&FieldName::parse("X-A").unwrap(), b"mine");
        prepare_request(&mut head);
        assert_eq!(lines(&head.fields), ["X-C: 3", "X-A: mine"]);
    }

    #[test]
    fn managed_fields_cannot_be_nominated() {
        let sent = "Connection: x-forwarded-for, X-Real-Ip, X_Forwarded_Proto, X-A\r\n\
                    X-Forwarded-For: 1\r\nX-Real-Ip: 2\r\nX_Forwarded_Proto: 3\r\nX-A: 4";
        let kept = ["X-Forwarded-For: 1", "X-Real-Ip: 2", "X_forwarded_proto: 3"];
        assert_eq!(forwarded(sent, &[]), kept);
    }

    #[test]
    fn aliases_of_framing_fields_go_and_other_names_stay() {
        let sent = "Content_Length: 5\r\nTransfer.Encoding: chunked\r\nContent_Type: x\r\nX.A: 1";
        assert_eq!(forwarded(sent, &[]), ["Content_type: x", "X.a: 1"]);
    }

    #[test]
    fn deferred_names_stay_for_the_middlewares_only() {
        let deferred = [FieldName::parse("x-a").unwrap()];
        let mut head = request("Connection: X-A, X-B\r\nX-A: 1\r\nX-B: 2");
        apply_connection(&mut head, &deferred);
        assert_eq!(lines(&head.fields), ["Connection: X-A", "X-A: 1"]);
        prepare_request(&mut head);
        assert!(head.fields.is_empty());
        let mut head = request("Connection: x-a, Upgrade\r\nUpgrade: foo\r\nX-A: 1");
        apply_connection(&mut head, &deferred);
        assert_eq!(
            head.fields.get(Token::Connection),
            Some(&b"X-A,Upgrade"[..])
        );
    }

    #[test]
    fn te_stays_as_trailers() {
        assert_eq!(forwarded("TE: gzip, Trailers", &[]), ["Te: trailers"]);
        assert_eq!(forwarded("TE: trailers;q=0.5", &[]), [""; 0]);
        let mut head = request("Connection: te\r\nTE: trailers");
        prepare_request(&mut head);
        prepare_request(&mut head);
        assert!(
            head.fields.is_empty(),
            "nominated, so gone before it is looked at"
        );
        let mut head = request("TE: trailers");
        prepare_request(&mut head);
        prepare_request(&mut head);
        assert_eq!(lines(&head.fields), ["Te: trailers"]);
    }

    #[test]
    fn upgrades_are_emitted_anew_and_h2c_never() {
        let sent = "Connection: keep-alive, Upgrade\r\nUpgrade: foo/2\r\nX-A: 1";
        assert_eq!(
            forwarded(sent, &[]),
            ["X-A: 1", "Connection: Upgrade", "Upgrade: foo/2"]
        );
        let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA";
        assert_eq!(forwarded(h2c, &[]), [""; 0]);
        assert_eq!(
            forwarded("HTTP2-Settings: AAA\r\nUpgrade: foo", &[]),
            [""; 0]
        );
    }

    #[test]
    fn responses_lose_theirs_too() {
        let input = "HTTP/1.1 200 OK\r\nConnection: X-A, keep-alive\r\nX-A: 1\r\nKeep-Alive: 5\r\n\
                     Proxy-Authenticate: x\r\nUpgrade: h2\r\nTE: x\r\nX-B: 2\r\n\r\n";
        let mut head = ResponseHead::new();
        parse_response(input.as_bytes(), &Limits::default(), Method::Get, &mut head).unwrap();
        prepare_response(&mut head);
        assert_eq!(lines(&head.fields), ["X-B: 2"]);
    }

    #[test]
    fn aliases_are_recognised() {
        assert_eq!(alias(b"X_Forwarded-for"), Some(Token::XForwardedFor));
        assert_eq!(alias(b"content_length"), Some(Token::ContentLength));
        assert_eq!(alias(b"X.Forwarded_For"), Some(Token::XForwardedFor));
        assert_eq!(alias(b"foo.bar"), None);
        assert_eq!(alias(b"foo_bar"), None);
        assert_eq!(alias(b"X-Forwarded-For"), None);
        assert_eq!(alias(&[b'_'; 100]), None);
    }
}
