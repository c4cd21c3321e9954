//! What the path-changing filters share.
//!
//! They work on the escaped path, which is what rules saw and what is forwarded. A prefix in the
//! configuration is literal text (`/a b`, not `/a%20b`), so comparing decodes the path on the fly.
//! Traefik's filters work on Go's pair of a decoded and a raw path; the results are the same, with one
//! exception: a path that begins with an encoded slash once the prefix is gone keeps its other escapes,
//! while Go decodes them all, which turns `%2F` into a separator.

use super::rewrite::restart;
use super::{FilterContext, LocalResponse, Verdict};
use crate::http::path::{InvalidPath, is_sanitized, normalize};
use crate::http::{Fields, RequestHead, TargetForm, Token};

/// What filters have done to the path of one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathMarks {
    /// The path is the empty text, as `stripPrefix` leaves it: it is sent as `/`, but a prefix added
    /// to it gets no slash.
    is_empty: bool,
    /// `X-Replaced-Path` is the proxy's own.
    has_replaced_path: bool,
}

impl PathMarks {
    /// The path as the filters see it.
    pub(super) fn current<'h>(&self, rq: &'h RequestHead) -> &'h [u8] {
        if self.is_empty { b"" } else { rq.path() }
    }

    /// Puts `path`, escaped, in place of the request's. It is brought to normal form.
    pub(super) fn replace(&mut self, rq: &mut RequestHead, path: &[u8]) -> Result<(), InvalidPath> {
        rq.set_path(path)?;
        self.is_empty = path.is_empty();
        Ok(())
    }

    /// Adds `X-Replaced-Path`; what a client sent under that name goes.
    pub(super) fn note_replaced(&mut self, rq: &mut RequestHead, path: &[u8]) {
        if !self.has_replaced_path {
            self.has_replaced_path = true;
            remove_with_aliases(&mut rq.fields, Token::XReplacedPath.name().as_bytes());
        }
        rq.fields.append(&Token::XReplacedPath, path);
    }
}

/// Whether the request has a path at all: `OPTIONS *` has none.
pub(super) fn has_path(rq: &RequestHead) -> bool {
    rq.target_form != TargetForm::Asterisk
}

/// The answer to a path that is not normal once a filter has changed it (Traefik's text).
#[cold]
pub(super) fn refuse(cx: &mut FilterContext<'_>) -> Verdict {
    Verdict::Respond(LocalResponse::error(400, &b"Bad Request\n"[..], cx.memory))
}

/// How many bytes of the escaped `path` the literal `prefix` covers; `None` if it is not a prefix.
pub(super) fn match_prefix(path: &[u8], prefix: &[u8]) -> Option<usize> {
    let mut decoder = Decoder { path, at: 0 };
    prefix
        .iter()
        .all(|&expected| decoder.next() == Some(expected))
        .then_some(decoder.at)
}

/// How many bytes of the escaped `path` its first `count` decoded bytes cover.
pub(super) fn covered(path: &[u8], count: usize) -> usize {
    let mut decoder = Decoder { path, at: 0 };
    for _ in 0..count {
        decoder.next();
    }
    decoder.at
}

/// Appends the decoded form of `path`.
pub(super) fn decode(path: &[u8], out: &mut Vec<u8>) {
    out.extend(Decoder { path, at: 0 });
}

/// Removes the first `length` bytes of the path, adds `X-Forwarded-Prefix: prefix`, and refuses the
/// request if the rest is not normal.
pub(super) fn strip(
    rq: &mut RequestHead,
    cx: &mut FilterContext<'_>,
    length: usize,
    prefix: &[u8],
    force_slash: bool,
) -> Verdict {
    let rest = cx.path.current(rq).get(length..).unwrap_or_default();
    let path = &mut cx.memory.scratch.output;
    restart(path);
    match rest {
        [] if force_slash => path.push(b'/'),
        [] | [b'/', ..] => path.extend_from_slice(rest),
        [b'%', b'2', b'F', tail @ ..] => {
            path.push(b'/');
            // The decoded rest decides, as in Go: `%2F..%2F` must not get past the check.
            decode(tail, path);
            if is_sanitized(path) {
                path.truncate(1);
                path.extend_from_slice(tail);
            }
        }
        _ => {
            path.push(b'/');
            path.extend_from_slice(rest);
        }
    }
    if !path.is_empty() && !is_sanitized(path) {
        return refuse(cx);
    }
    if cx.path.replace(rq, path).is_err() {
        return refuse(cx);
    }
    rq.fields.append(&Token::XForwardedPrefix, prefix);
    Verdict::Continue
}

/// Removes every field that a server might take for `name`: CGI and its heirs read `_`, and some `.`,
/// as `-`.
pub(super) fn remove_with_aliases(fields: &mut Fields, name: &[u8]) {
    let same = |a: u8, b: u8| {
        let plain = |byte: u8| {
            if matches!(byte, b'_' | b'.') {
                b'-'
            } else {
                byte.to_ascii_lowercase()
            }
        };
        plain(a) == plain(b)
    };
    fields.retain(|_, other, _| {
        !(other.len() == name.len() && other.iter().zip(name).all(|(&a, &b)| same(a, b)))
    });
}

/// Brings a literal path of the configuration to the escaped form, with a leading slash.
pub(super) fn escape_literal(literal: &str) -> Result<Box<[u8]>, String> {
    let mut text = literal.replace('%', "%25");
    if !text.starts_with('/') {
        text.insert(0, '/');
    }
    escape(&text)
}

/// Brings an escaped path of the configuration to normal form. Repeated slashes stay as their author
/// wrote them; dot segments cannot be meant.
pub(super) fn escape(path: &str) -> Result<Box<[u8]>, String> {
    let mut normal = Vec::new();
    normalize(path.as_bytes(), &mut normal).map_err(|error| format!("{path:?}: {error}"))?;
    if normal
        .split(|&byte| byte == b'/')
        .any(|segment| matches!(segment, b"." | b".."))
    {
        return Err(format!(
            "{path:?} has a \".\" or \"..\" segment; write the path it leads to"
        ));
    }
    Ok(normal.into())
}

struct Decoder<'a> {
    path: &'a [u8],
    at: usize,
}

impl Iterator for Decoder<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let byte = *self.path.get(self.at)?;
        if byte == b'%'
            && let Some(&[high, low]) = self.path.get(self.at + 1..self.at + 3)
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            self.at += 3;
            return Some(high << 4 | low);
        }
        self.at += 1;
        Some(byte)
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_compared_with_the_decoded_path() {
        for (path, prefix, expected) in [
            ("/foo/bar", "/foo", Some(4)),
            ("/foo", "/foo", Some(4)),
            ("/fo", "/foo", None),
            ("/foo", "", Some(0)),
            ("/a%20b/x", "/a b", Some(6)),
            ("/a%2Fb/x", "/a/b", Some(6)),
            ("/a%2Fb/x", "/a%2Fb", None),
            ("/%C3%A9/x", "/é", Some(7)),
            ("/%2541", "/%41", Some(6)),
            ("/%4", "/%4", Some(3)),
        ] {
            assert_eq!(
                match_prefix(path.as_bytes(), prefix.as_bytes()),
                expected,
                "{path} {prefix}"
            );
        }
    }

    #[test]
    fn aliases_of_a_field_go_with_it() {
        let mut fields = Fields::new();
        for name in ["X-User", "X_User", "x.user", "X-Users", "XUser"] {
            fields.append(&crate::http::FieldName::parse(name).unwrap(), b"1");
        }
        remove_with_aliases(&mut fields, b"X-User");
        let left: Vec<_> = fields
            .iter()
            .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
            .collect();
        assert_eq!(left, ["X-Users", "Xuser"]);
    }
}
