//! The canonical text of unquoted scalars: Traefik reads numbers and booleans and writes them back as text, so
//! that `0x50`, `80` and `"80"` are one value.

use std::borrow::Cow;

/// What an unquoted YAML scalar means.
#[derive(Debug, PartialEq)]
pub(super) enum Plain<'a> {
    /// No value.
    Null,
    /// A text, or the canonical text of a number or boolean.
    Text(Cow<'a, str>),
}

/// Reads an unquoted YAML scalar (YAML 1.2 core schema, with Go's integer forms).
pub(super) fn plain(text: Cow<'_, str>) -> Plain<'_> {
    let canonical = match text.as_bytes().first() {
        None => return Plain::Null,
        Some(b'~' | b'n' | b'N') => match &*text {
            "~" | "null" | "Null" | "NULL" => return Plain::Null,
            _ => None,
        },
        Some(b't' | b'T') => matches!(&*text, "true" | "True" | "TRUE").then(|| "true".to_owned()),
        Some(b'f' | b'F') => {
            matches!(&*text, "false" | "False" | "FALSE").then(|| "false".to_owned())
        }
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => number(&text),
        _ => None,
    };
    Plain::Text(match canonical {
        Some(canonical) if canonical != *text => Cow::Owned(canonical),
        _ => text,
    })
}

/// The canonical text of a number, or `None` if the text is not one.
fn number(text: &str) -> Option<String> {
    // Longer than any number that matters, and most texts that begin with a digit are addresses.
    if text.len() > 40
        || !text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_'))
    {
        return None;
    }
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    integer(&digits).or_else(|| float(&digits))
}

fn integer(text: &str) -> Option<String> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, body) = match body.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &body[2..]),
        [b'0', b'o' | b'O', ..] => (8, &body[2..]),
        [b'0', b'b' | b'B', ..] => (2, &body[2..]),
        [b'0', _, ..] => (8, &body[1..]),
        _ => (10, body),
    };
    if body.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from(u64::from_str_radix(body, radix).ok()?);
    let value = if negative { -value } else { value };
    (value >= i128::from(i64::MIN)).then(|| value.to_string())
}

fn float(text: &str) -> Option<String> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mantissa = unsigned.split(['e', 'E']).next()?;
    let is_decimal = mantissa.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && mantissa.bytes().any(|b| b.is_ascii_digit())
        && mantissa.bytes().filter(|b| *b == b'.').count() <= 1;
    if !is_decimal {
        return None;
    }
    text.parse().ok().map(float_text)
}

/// A float as Traefik writes it: six decimals, none if they are all zero.
pub(super) fn float_text(value: f64) -> String {
    let text = format!("{value:.6}");
    match text.strip_suffix(".000000") {
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_booleans_have_one_text() {
        for (text, canonical) in [
            ("8080", "8080"),
            ("0x1F90", "8080"),
            ("0o17", "15"),
            ("0777", "511"),
            ("0b101", "5"),
            ("1_000", "1000"),
            ("+5", "5"),
            ("-5", "-5"),
            ("08", "8"),
            ("1.5", "1.500000"),
            ("1e3", "1000"),
            (".5", "0.500000"),
            ("True", "true"),
            ("FALSE", "false"),
            ("127.0.0.1", "127.0.0.1"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("1m30s", "1m30s"),
            ("-", "-"),
            ("-+5", "-+5"),
            ("1e", "1e"),
            (".", "."),
            ("yes", "yes"),
            ("trueish", "trueish"),
            ("nulls", "nulls"),
            ("18446744073709551615", "18446744073709551615"),
            ("2001-01-01", "2001-01-01"),
        ] {
            assert_eq!(
                plain(Cow::Borrowed(text)),
                Plain::Text(Cow::Borrowed(canonical)),
                "{text}"
            );
        }
    }

    #[test]
    fn nulls_are_no_value() {
        for text in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(plain(Cow::Borrowed(text)), Plain::Null, "{text:?}");
        }
    }
}
