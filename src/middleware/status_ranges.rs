//! Sets of status codes as `errors`, `retry` and `statusRewrites` write them: `404`, `500-599`.
//!
//! Source: Traefik, `types.HTTPCodeRanges`. Unlike there a range with a third number or a reversed
//! range is an error: Traefik ignores the first and never matches the second.

use std::fmt;

/// Inclusive ranges of status codes; matching is a scan, the lists are a handful long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusRanges(Box<[(u16, u16)]>);

/// A text that is no status code and no range of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidStatusRange {
    text: Box<str>,
    why: &'static str,
}

impl StatusRanges {
    /// Parses `["404", "500-599"]`.
    pub fn parse<T: AsRef<str>>(
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Self, InvalidStatusRange> {
        texts
            .into_iter()
            .map(|text| parse_range(text.as_ref()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether `status` lies in one of the ranges.
    #[inline]
    pub fn contains(&self, status: u16) -> bool {
        self.0
            .iter()
            .any(|&(low, high)| (low..=high).contains(&status))
    }

    /// Whether no status can match.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn parse_range(text: &str) -> Result<(u16, u16), InvalidStatusRange> {
    let error = |why| InvalidStatusRange {
        text: text.into(),
        why,
    };
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let number = |digits: &str| {
        let code = digits
            .parse::<u16>()
            .ok()
            .filter(|_| digits.bytes().all(|b| b.is_ascii_digit()));
        code.filter(|code| (100..=999).contains(code))
    };
    match (number(low), number(high)) {
        (Some(low), Some(high)) if low <= high => Ok((low, high)),
        (Some(_), Some(_)) => Err(error("the first code is greater than the last")),
        _ => Err(error(
            "expected a status code such as 404, or a range such as 500-599",
        )),
    }
}

impl fmt::Display for InvalidStatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.text, self.why)
    }
}

impl std::error::Error for InvalidStatusRange {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_codes_and_inclusive_ranges_match() {
        let ranges = StatusRanges::parse(["404", "500-502"]).unwrap();
        for (status, expected) in [
            (403, false),
            (404, true),
            (405, false),
            (499, false),
            (500, true),
            (502, true),
            (503, false),
        ] {
            assert_eq!(ranges.contains(status), expected, "{status}");
        }
        assert!(!StatusRanges::default().contains(200));
    }

    #[test]
    fn what_is_no_range_is_refused_with_the_text() {
        for text in [
            "abc",
            "",
            "-",
            "500-",
            "500-501-502",
            "599-500",
            "500, 503",
            "+404",
            "99",
            "1000",
            "70000",
        ] {
            let error = StatusRanges::parse([text]).unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("{text:?}: ")),
                "{error}"
            );
        }
    }
}
