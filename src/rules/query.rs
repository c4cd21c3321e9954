//! Reading a query as Go's `url.Query()` does, without allocating.
//!
//! Pairs are separated by `&`, and by `;` (an entry point of Traefik turns `;` into `&` unless
//! `encodeQuerySemicolons` is set, and then none is left). `+` is a space. A pair with a malformed escape does not exist.

/// The raw values of the well-formed pairs whose key decodes to `key`, in order. A pair without `=` has an
/// empty value.
pub(super) fn values<'q>(query: Option<&'q [u8]>, key: &[u8]) -> impl Iterator<Item = &'q [u8]> {
    query
        .unwrap_or_default()
        .split(|&b| b == b'&' || b == b';')
        .filter_map(move |pair| {
            if pair.is_empty() {
                return None;
            }
            let (raw_key, value) = match memchr::memchr(b'=', pair) {
                Some(i) => (&pair[..i], &pair[i + 1..]),
                None => (pair, &[][..]),
            };
            (decodes_to(raw_key, key) && decode(value).all(|b| b.is_some())).then_some(value)
        })
}

/// Whether `raw` is well-formed and decodes to `wanted`.
pub(super) fn decodes_to(raw: &[u8], wanted: &[u8]) -> bool {
    // Decoding never makes a text longer, and at most three times shorter.
    raw.len() >= wanted.len() && decode(raw).eq(wanted.iter().map(|&b| Some(b)))
}

/// The decoded bytes of `raw`; `None` in place of a malformed escape.
pub(super) fn decode(raw: &[u8]) -> impl Iterator<Item = Option<u8>> {
    let mut rest = raw.iter();
    std::iter::from_fn(move || {
        Some(match rest.next()? {
            b'+' => Some(b' '),
            b'%' => match (rest.next().and_then(hex), rest.next().and_then(hex)) {
                (Some(high), Some(low)) => Some(high << 4 | low),
                _ => None,
            },
            &plain => Some(plain),
        })
    })
}

/// Whether decoding changes nothing.
pub(super) fn is_plain(raw: &[u8]) -> bool {
    memchr::memchr2(b'%', b'+', raw).is_none()
}

fn hex(digit: &u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(query: &str, key: &str) -> Vec<String> {
        values(Some(query.as_bytes()), key.as_bytes())
            .map(|raw| decode(raw).map(|b| char::from(b.unwrap())).collect())
            .collect()
    }

    #[test]
    fn pairs_are_read_as_go_reads_them() {
        for (query, expected) in [
            ("", vec![]),
            ("a", vec![""]),
            ("a=", vec![""]),
            ("a=1&a=2&b=3", vec!["1", "2"]),
            ("b=0;a=1", vec!["1"]),
            ("&&a=1", vec!["1"]),
            ("a=x=y", vec!["x=y"]),
            ("%61=1+2%20%33", vec!["1 2 3"]),
            ("a=%zz&a=%4&a=%&a=ok", vec!["ok"]),
            ("a%=1", vec![]),
            ("A=1", vec![]),
        ] {
            assert_eq!(decoded(query, "a"), expected, "{query}");
        }
        assert_eq!(values(None, b"a").count(), 0);
    }

    #[test]
    fn a_key_may_need_decoding() {
        assert_eq!(decoded("a+b=1&a%20b=2", "a b"), ["1", "2"]);
    }
}
