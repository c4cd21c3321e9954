//! Comparing hosts: Traefik's trailing dot and wildcard rules.
//!
//! NOT for: extracting the host from a request.

/// Whether a request's `host` is `expected` (both lower-case), where either may have one trailing dot more.
/// A request without host equals nothing.
pub(super) fn equals(host: &[u8], expected: &[u8]) -> bool {
    if host.is_empty() {
        return false;
    }
    host == expected || without_dot(expected) == Some(host) || without_dot(host) == Some(expected)
}

/// Whether `host` matches `wildcard`, which is `*.…`: its first label may be anything, also empty.
/// Either may have one trailing dot more.
pub(super) fn matches_wildcard(host: &[u8], wildcard: &[u8]) -> bool {
    if host.is_empty() {
        return false;
    }
    let Some((b'*', suffix)) = wildcard.split_first() else {
        return false;
    };
    after_first_label(host) == suffix
        || without_dot(suffix).is_some_and(|suffix| after_first_label(host) == suffix)
        || without_dot(host).is_some_and(|host| after_first_label(host) == suffix)
}

/// What `host` is filed under in an index: hosts that [`equals`] relates have the same key.
pub(crate) fn index_key(host: &[u8]) -> &[u8] {
    let len = host.iter().rposition(|&b| b != b'.').map_or(0, |i| i + 1);
    &host[..len]
}

/// The part of an index key that a wildcard fixes, without its leading dot: `b.c` for `a.b.c`. `None` for a
/// single label.
pub(crate) fn wildcard_key(index_key: &[u8]) -> Option<&[u8]> {
    memchr::memchr(b'.', index_key).map(|dot| &index_key[dot + 1..])
}

fn without_dot(host: &[u8]) -> Option<&[u8]> {
    host.strip_suffix(b".")
}

/// From the first dot on; empty if there is none.
fn after_first_label(host: &[u8]) -> &[u8] {
    memchr::memchr(b'.', host).map_or(&[], |dot| &host[dot..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trailing_dot_is_tolerated_on_either_side() {
        for (host, expected, equal) in [
            ("a.test", "a.test", true),
            ("a.test.", "a.test", true),
            ("a.test", "a.test.", true),
            ("a.test.", "a.test.", true),
            ("a.test..", "a.test", false),
            ("a.test", "a.test..", false),
            ("a.test..", "a.test.", true),
            ("b.test", "a.test", false),
            ("", ".", false),
            ("", "", false),
        ] {
            assert_eq!(
                equals(host.as_bytes(), expected.as_bytes()),
                equal,
                "{host} {expected}"
            );
            if equal {
                assert_eq!(index_key(host.as_bytes()), index_key(expected.as_bytes()));
            }
        }
    }

    #[test]
    fn a_wildcard_stands_for_exactly_one_label() {
        for (host, wildcard, matched) in [
            ("x.a.test", "*.a.test", true),
            ("x.a.test.", "*.a.test", true),
            ("x.a.test", "*.a.test.", true),
            ("x.a.test..", "*.a.test", false),
            (".a.test", "*.a.test", true),
            ("a.test", "*.a.test", false),
            ("y.x.a.test", "*.a.test", false),
            ("x.ba.test", "*.a.test", false),
            ("localhost", "*.", true),
            ("a.", "*.", true),
            ("a.b", "*.", false),
            ("", "*.", false),
        ] {
            let (host, wildcard) = (host.as_bytes(), wildcard.as_bytes());
            assert_eq!(
                matches_wildcard(host, wildcard),
                matched,
                "{host:?} {wildcard:?}"
            );
            // The index agrees wherever it uses the suffix.
            if let (true, Some(key)) = (matched, wildcard_key(index_key(wildcard))) {
                assert_eq!(wildcard_key(index_key(host)), Some(key));
            }
        }
    }
}
