//! The path of a request: one normal form that is matched and forwarded.
//!
//! ```text
//! as received ── normalize ──► escaped path ── sanitize ──► forwarded path ── route_form ──► matched
//!    /%7ea/../b%2fc  →  /~a/../b%2Fc          →  /b%2Fc                    →  /b%2Fc
//! ```
//!
//! The steps are Traefik's (`normalizePath`, `sanitizePath`, `withRoutingPath`). One deliberate
//! difference: a path that holds both a byte that must be encoded (`|`) and an encoded reserved one
//! (`%2F`, `%3B`) keeps the latter encoded; Go would decode it, past every check of encoded
//! characters.

use std::fmt;

/// A path that is no path: a broken `%` escape or a control character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPath;

/// How a byte of a path is treated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Stands as it is, and `%XX` of it is decoded (RFC 3986 §2.3 unreserved).
    Unreserved,
    /// Stands as it is, and `%XX` of it stays encoded.
    Literal,
    /// As `Literal`, but encoded in a path that needs encoding anyhow (Go's `EscapedPath`).
    Fragile,
    /// Is percent-encoded when it comes raw.
    Encode,
    /// The escape character.
    Percent,
    /// Has no place in a request target.
    Control,
}

static CLASSES: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut table = [Class::Encode; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                Class::Unreserved
            }
            b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'@' => Class::Literal,
            b'!' | b'\'' | b'(' | b')' | b'*' | b'[' | b']' => Class::Fragile,
            b'%' => Class::Percent,
            0..=0x1f | 0x7f => Class::Control,
            _ => Class::Encode,
        };
        byte += 1;
    }
    table
}

/// Whether [`normalize`] would leave `path` as it is because it holds nothing but literal bytes.
#[inline]
pub fn is_plain(path: &[u8]) -> bool {
    path.iter().all(|&byte| {
        matches!(
            CLASSES[usize::from(byte)],
            Class::Unreserved | Class::Literal | Class::Fragile
        )
    })
}

/// Appends the normal escaped form of `path` to `out`: `%XX` of unreserved characters decoded, other
/// escapes in upper case, raw bytes that a path cannot hold percent-encoded (Traefik: `normalizePath`
/// followed by Go's `EscapedPath`). On an error `out` holds an unspecified part.
pub fn normalize(path: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidPath> {
    let encoded = path
        .iter()
        .any(|&byte| CLASSES[usize::from(byte)] == Class::Encode);
    let mut rest = path;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match CLASSES[usize::from(*byte)] {
            Class::Unreserved | Class::Literal => out.push(*byte),
            Class::Fragile if !encoded => out.push(*byte),
            Class::Fragile | Class::Encode => push_escape(*byte, out),
            Class::Control => return Err(InvalidPath),
            Class::Percent => {
                let [high, low, tail @ ..] = rest else {
                    return Err(InvalidPath);
                };
                let decoded = hex_pair(*high, *low).ok_or(InvalidPath)?;
                rest = tail;
                match CLASSES[usize::from(decoded)] {
                    Class::Unreserved => out.push(decoded),
                    _ => push_escape(decoded, out),
                }
            }
        }
    }
    Ok(())
}

/// Whether `path` has no empty, `.` or `..` segment, that is, whether [`sanitize`] leaves it alone.
#[inline]
pub fn is_sanitized(path: &[u8]) -> bool {
    if path.first() != Some(&b'/') {
        return false;
    }
    !memchr::memchr_iter(b'/', path).any(|slash| {
        matches!(
            path.get(slash + 1..),
            Some([b'/', ..] | [b'.'] | [b'.', b'.'] | [b'.', b'/', ..] | [b'.', b'.', b'/', ..])
        )
    })
}

/// Whether an escaped path is in the form in which it may be forwarded: begins with `/`, normalised
/// and sanitised. Path-changing middlewares answer 400 otherwise (Traefik: stripPrefix, stripPrefixRegex,
/// replacePathRegex).
pub fn is_normal(path: &[u8]) -> bool {
    if !is_sanitized(path) {
        return false;
    }
    if is_plain(path) {
        return true;
    }
    let mut normal = Vec::with_capacity(path.len());
    normalize(path, &mut normal).is_ok() && normal == path
}

/// Removes empty, `.` and `..` segments from the path at `start..` of `text`, in place; a trailing
/// slash stays, a leading one is required or added (Go: `URL.JoinPath()`).
pub fn sanitize(text: &mut Vec<u8>, start: usize) {
    if text.get(start) != Some(&b'/') {
        text.insert(start, b'/');
    }
    let directory = text.last() == Some(&b'/');
    // `write` is the end of the clean part, always without a trailing slash; `read` walks segments.
    let mut write = start;
    let mut read = start + 1;
    while read <= text.len() {
        let rest = &text[read..];
        let length = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        match &rest[..length] {
            b"" | b"." => {}
            b".." => {
                write = text[start..write]
                    .iter()
                    .rposition(|&b| b == b'/')
                    .map_or(start, |p| start + p);
            }
            _ => {
                text[write] = b'/';
                text.copy_within(read..read + length, write + 1);
                write += 1 + length;
            }
        }
        read += length + 1;
    }
    text.truncate(write);
    if write == start || directory {
        text.push(b'/');
    }
}

/// Whether a path as received holds a raw `#`, which no client sends in a request target; Traefik
/// answers 400 with an empty body (`denyFragment`).
pub fn has_fragment(raw_path: &[u8]) -> bool {
    memchr::memchr(b'#', raw_path).is_some()
}

/// Whether [`route_form`] differs from `path`.
#[inline]
pub(crate) fn needs_route_form(path: &[u8]) -> bool {
    memchr::memchr(b'%', path).is_some()
}

/// Brings the normalised path at `start..` of `text` to the form that rules are matched against, in
/// place: escapes decoded, except those of reserved characters and of `%` (Traefik:
/// `withRoutingPath`).
pub(crate) fn route_form(text: &mut Vec<u8>, start: usize) {
    let mut read = start;
    let mut write = start;
    while let Some(&byte) = text.get(read) {
        let mut length = 1;
        let mut decoded = byte;
        if byte == b'%'
            && let Some(&[high, low]) = text.get(read + 1..read + 3)
            && let Some(value) = hex_pair(high, low)
        {
            if is_reserved(value) {
                text.copy_within(read..read + 3, write);
                write += 3;
                read += 3;
                continue;
            }
            decoded = value;
            length = 3;
        }
        text[write] = decoded;
        write += 1;
        read += length;
    }
    text.truncate(write);
}

/// Appends `base` and `path` joined with exactly one slash between them to `out` (Go:
/// `httputil.joinURLPath`), for a server URL that has a path and `preservePath`.
pub fn join_path(base: &[u8], path: &[u8], out: &mut Vec<u8>) {
    match (base.ends_with(b"/"), path.starts_with(b"/")) {
        (true, true) => {
            out.extend_from_slice(base);
            out.extend_from_slice(&path[1..]);
        }
        (false, false) if !path.is_empty() => {
            out.extend_from_slice(base);
            out.push(b'/');
            out.extend_from_slice(path);
        }
        _ => {
            out.extend_from_slice(base);
            out.extend_from_slice(path);
        }
    }
}

impl fmt::Display for InvalidPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path holds a broken %-escape or a control character")
    }
}

impl std::error::Error for InvalidPath {}

/// RFC 3986 §2.2 reserved characters and `%`: their escapes mean something else than themselves.
fn is_reserved(byte: u8) -> bool {
    matches!(
        byte,
        b':' | b'/'
            | b'?'
            | b'#'
            | b'['
            | b']'
            | b'@'
            | b'!'
            | b'$'
            | b'&'
            | b'\''
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b','
            | b';'
            | b'='
            | b'%'
    )
}

pub(crate) fn push_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[
        b'%',
        HEX[usize::from(byte >> 4)],
        HEX[usize::from(byte & 15)],
    ]);
}

pub(crate) fn hex_pair(high: u8, low: u8) -> Option<u8> {
    Some(hex_digit(high)? << 4 | hex_digit(low)?)
}

pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normalized(path: &str) -> Option<String> {
        let mut out = Vec::new();
        normalize(path.as_bytes(), &mut out).ok()?;
        Some(String::from_utf8(out).unwrap())
    }

    fn sanitized(path: &[u8]) -> Vec<u8> {
        let mut text = b"before".to_vec();
        text.extend_from_slice(path);
        sanitize(&mut text, 6);
        assert!(text.starts_with(b"before/"));
        text.split_off(6)
    }

    /// The same rule written the obvious way: split, keep a stack, join.
    fn sanitized_simply(path: &[u8]) -> Vec<u8> {
        let mut stack: Vec<&[u8]> = Vec::new();
        for segment in path.split(|&b| b == b'/') {
            match segment {
                b"" | b"." => {}
                b".." => drop(stack.pop()),
                segment => stack.push(segment),
            }
        }
        let mut clean = vec![b'/'];
        clean.extend(stack.join(&b'/'));
        if path.ends_with(b"/") && clean != b"/" {
            clean.push(b'/');
        }
        clean
    }

    #[test]
    fn escapes_are_normalised_as_in_traefik() {
        let cases = [
            ("/a", "/a"),
            ("/a%2e%2e/b", "/a../b"),
            ("/%41%7e", "/A~"),
            ("/..%2fx", "/..%2Fx"),
            ("/a%2fb", "/a%2Fb"),
            ("/%5c%00%3b%23%5b", "/%5C%00%3B%23%5B"),
            ("/a%25b", "/a%25b"),
            ("/|\"^<>`{}\\", "/%7C%22%5E%3C%3E%60%7B%7D%5C"),
            ("/\u{e9}", "/%C3%A9"),
            ("/a;b", "/a;b"),
            ("/a#b", "/a%23b"),
            ("/!$&'()*+,;=:@[]-._~", "/!$&'()*+,;=:@[]-._~"),
            ("/a|b%2fc%3b", "/a%7Cb%2Fc%3B"),
            ("/(x)!%28", "/(x)!%28"),
            ("/\u{e9}(x)!*'[]", "/%C3%A9%28x%29%21%2A%27%5B%5D"),
        ];
        for (path, expected) in cases {
            assert_eq!(normalized(path).as_deref(), Some(expected), "{path}");
        }
        for path in [
            "/%zz", "/%2", "/%", "/%g0", "/%0g", "/a\n", "/\u{7f}", "/\0",
        ] {
            assert_eq!(normalized(path), None, "{path:?}");
        }
    }

    #[test]
    fn dot_segments_are_removed_as_by_go() {
        let cases = [
            ("/a/../b", "/b"),
            ("/a//b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("//x", "/x"),
            ("/a/", "/a/"),
            ("/a//", "/a/"),
            ("/", "/"),
            ("", "/"),
            ("a", "/a"),
            ("/..", "/"),
            ("/../..", "/"),
            ("/a/..", "/"),
            ("/a/../", "/"),
            ("/a/b/..", "/a"),
            ("/a/b/../", "/a/"),
            ("/a/.", "/a"),
            ("/a/./", "/a/"),
            ("/.a/..b/c..", "/.a/..b/c.."),
            ("/..%2Fx", "/..%2Fx"),
        ];
        for (path, expected) in cases {
            assert_eq!(sanitized(path.as_bytes()), expected.as_bytes(), "{path}");
        }
    }

    #[test]
    fn only_normal_paths_are_normal() {
        for path in ["/", "/a", "/a/", "/a%2Fb", "/.a", "/...", "/a..", "/%C3%A9"] {
            assert!(is_normal(path.as_bytes()), "{path}");
        }
        for path in [
            "", "a", "//", "/a//b", "/.", "/..", "/a/..", "/./a", "/a%2fb", "/%41", "/|",
        ] {
            assert!(!is_normal(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn the_route_form_decodes_what_is_not_reserved() {
        let cases = [
            ("/a%20b", "/a b"),
            ("/a%2Fb%25%3A", "/a%2Fb%25%3A"),
            ("/%C3%A9%7C", "/\u{e9}|"),
            (
                "/%21%24%26%27%28%29%2A%2B%2C%3B%3D%3F%23%5B%5D%40",
                "/%21%24%26%27%28%29%2A%2B%2C%3B%3D%3F%23%5B%5D%40",
            ),
            ("/%5C%00", "/\\\0"),
        ];
        for (path, expected) in cases {
            let mut text = path.as_bytes().to_vec();
            route_form(&mut text, 0);
            assert_eq!(text, expected.as_bytes(), "{path}");
        }
    }

    #[test]
    fn paths_are_joined_with_one_slash() {
        let cases = [
            ("/a", "/b", "/a/b"),
            ("/a/", "/b", "/a/b"),
            ("/a", "b", "/a/b"),
            ("/a/", "b", "/a/b"),
            ("", "/b", "/b"),
            ("/a", "/", "/a/"),
            ("/a", "", "/a"),
            ("/a%2Fb/", "/%2F", "/a%2Fb/%2F"),
        ];
        for (base, path, expected) in cases {
            let mut out = Vec::new();
            join_path(base.as_bytes(), path.as_bytes(), &mut out);
            assert_eq!(out, expected.as_bytes(), "{base} {path}");
        }
    }

    proptest! {
        #[test]
        fn sanitizing_equals_the_simple_way(path in "/[./ab%]{0,24}") {
            let clean = sanitized(path.as_bytes());
            prop_assert_eq!(&clean, &sanitized_simply(path.as_bytes()));
            prop_assert!(is_sanitized(&clean));
            prop_assert_eq!(is_sanitized(path.as_bytes()), clean == path.as_bytes());
        }

        #[test]
        fn normal_forms_are_stable(path in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut once = vec![b'/'];
            if normalize(&path, &mut once).is_ok() {
                let mut twice = Vec::new();
                prop_assert!(normalize(&once, &mut twice).is_ok());
                prop_assert_eq!(&once, &twice);
                sanitize(&mut once, 0);
                prop_assert!(is_normal(&once));
                // The route form decodes what is encoded, once: nothing new can be decoded after.
                let mut routed = once.clone();
                route_form(&mut routed, 0);
                prop_assert!(routed.len() <= once.len());
            }
        }
    }
}
