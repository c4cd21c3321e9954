//! Parameters of a request's query, as Go's `url.ParseQuery` reads them.

use std::fmt;

/// The parameters of a query, in their order.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

/// A parameter that cannot be meant (Traefik: 400, `invalid request: …`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InvalidRequest(pub(super) String);

impl fmt::Display for InvalidRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid request: {}", self.0)
    }
}

impl Params {
    /// Reads a query without its `?`. What cannot be decoded is left out.
    pub(super) fn parse(query: &str) -> Self {
        let pairs = query
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.contains(';'));
        let pairs = pairs.filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((unescape(key, true)?, unescape(value, true)?))
        });
        Self(pairs.collect())
    }

    /// The first value of a parameter; empty if there is none.
    pub(super) fn get(&self, key: &str) -> &str {
        let pair = self.0.iter().find(|(known, _)| known == key);
        pair.map_or("", |(_, value)| value)
    }

    /// Every value of a parameter.
    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.0.iter().filter(move |(known, _)| known == key);
        pairs.map(|(_, value)| value.as_str())
    }

    /// A number above zero, or `default` if the parameter is absent or empty.
    pub(super) fn positive(&self, key: &str, default: usize) -> Result<usize, InvalidRequest> {
        let text = self.get(key);
        if text.is_empty() {
            return Ok(default);
        }
        // What is no number counts as 0 (Traefik: same).
        let number: i64 = text.parse().unwrap_or(0);
        usize::try_from(number)
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| InvalidRequest(format!("{key}: {number}")))
    }
}

/// Decodes `%XX` and, in queries, `+`. `None` if an escape is broken or the result is no UTF-8.
pub(super) fn unescape(text: &str, plus_is_blank: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus_is_blank => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_broken_ones_left_out() {
        let params = Params::parse("a=1&b=x%2Fy+z&a=2&c=%zz&d;e=1&=f&g");
        assert_eq!(params.get("a"), "1");
        assert_eq!(params.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(params.get("b"), "x/y z");
        assert_eq!((params.get("c"), params.get("d")), ("", ""));
        assert_eq!(params.all("g").collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn numbers_must_be_positive() {
        let number = |query: &str| {
            let number = Params::parse(query).positive("page", 7);
            number.map_err(|error| error.to_string())
        };
        assert_eq!(number("page=3"), Ok(3));
        assert_eq!(number(""), Ok(7));
        assert_eq!(number("page="), Ok(7));
        for (query, shown) in [("page=0", "0"), ("page=-1", "-1"), ("page=x", "0")] {
            assert_eq!(
                number(query),
                Err(format!("invalid request: page: {shown}"))
            );
        }
    }
}
