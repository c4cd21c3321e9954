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

/// The known header that a name with underscores (`X_Forwarded_For`) becomes in a server that maps
/// `_` and `-` onto each other, as CGI does.
pub(crate) fn alias(name: &[u8]) -> Option<Token> {
    /// No alias of a known name is longer.
    const LONGEST: usize = 64;
    if name.len() > LONGEST || memchr::memchr(b'_', name).is_none() {
        return None;
    }
    let mut dashed = [0; LONGEST];
    let dashed = dashed.get_mut(..name.len())?;
    dashed.copy_from_slice(name);
    for byte in dashed.iter_mut().filter(|byte| **byte == b'_') {
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

/// Removes the fixed hop-by-hop fields; returns whether `Te` accepted trailers.
fn remove_hop_by_hop(fields: &mut Fields, upgrade: bool) -> bool {
    let mut trailers = false;
    fields.retain(|token, _, value| match token {
        Some(Token::Te) => {
            trailers |= list_members(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
            false
        }
        Some(Token::Upgrade) => upgrade,
        Some(
            Token::Connection
            | Token::Http2Settings
            | Token::KeepAlive
            | Token::ProxyAuthenticate
            | Token::ProxyAuthorization
            | Token::ProxyConnection
            | Token::TransferEncoding,
        ) => false,
        _ => true,
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
