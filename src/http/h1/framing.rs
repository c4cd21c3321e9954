//! What requests and responses share: framing fields and the `Connection` options.

use crate::http::name::{is_token_byte, list_members};
use crate::http::token::Token;

/// The fields of a head that decide framing and persistence, as they are met.
#[derive(Default)]
pub(super) struct Framing {
    pub(super) length: Length,
    pub(super) coding: Coding,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// Length of all `Connection` lines.
    pub(super) connection_bytes: usize,
}

/// Most bytes that `Connection` lines may have: each name in them is looked for among the fields.
pub(super) const MAX_CONNECTION_BYTES: usize = 4096;

/// What the `Content-Length` lines said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Length {
    #[default]
    Absent,
    Stated(u64),
    Invalid,
    /// More than one line, all saying the same.
    Repeated(u64),
    /// More than one line, saying different things.
    Conflicting,
}

/// What the `Transfer-Encoding` lines said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Coding {
    #[default]
    Absent,
    /// Exactly one coding: `chunked`.
    Chunked,
    /// Well-formed, but another coding than `chunked` is there.
    Unsupported,
    Malformed,
}

impl Framing {
    /// Takes one field into account.
    #[inline]
    pub(super) fn note(&mut self, token: Token, value: &[u8]) {
        match token {
            Token::ContentLength => {
                self.length = match (self.length, parse_length(value)) {
                    (Length::Absent, Some(length)) => Length::Stated(length),
                    (Length::Absent, None) | (Length::Invalid, _) => Length::Invalid,
                    (Length::Stated(before) | Length::Repeated(before), Some(length))
                        if before == length =>
                    {
                        Length::Repeated(length)
                    }
                    _ => Length::Conflicting,
                };
            }
            Token::TransferEncoding => self.coding = add_coding(self.coding, value),
            Token::Connection => {
                self.connection_bytes += value.len();
                for option in list_members(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                }
            }
            _ => {}
        }
    }
}

/// A `Content-Length`: digits only, below 2^63 as in Go (RFC 9110 §8.6; a list is not accepted).
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 20 {
        return None;
    }
    let mut length: u64 = 0;
    for byte in value {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit < 10)?;
        length = length.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    i64::try_from(length).is_ok().then_some(length)
}

fn add_coding(before: Coding, value: &[u8]) -> Coding {
    let mut coding = before;
    // Empty members are malformed here, unlike in other lists: lenience is how codings get hidden.
    for member in value.split(|&byte| byte == b',') {
        let member = trim_blanks(member);
        let chunked = member.eq_ignore_ascii_case(b"chunked");
        coding = match coding {
            Coding::Malformed => Coding::Malformed,
            _ if member.is_empty() || !member.iter().copied().all(is_token_byte) => {
                Coding::Malformed
            }
            Coding::Absent if chunked => Coding::Chunked,
            Coding::Chunked if chunked => Coding::Malformed,
            _ => Coding::Unsupported,
        };
    }
    coding
}

/// Trims OWS (RFC 9110 §5.6.3), which is space and tab and nothing else.
pub(super) fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The offset of `part` in `whole`, if it lies inside.
#[inline]
pub(super) fn offset_in(whole: &[u8], part: &[u8]) -> Option<usize> {
    let offset = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    (offset.checked_add(part.len())? <= whole.len()).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_plain_numbers() {
        assert_eq!(parse_length(b"0"), Some(0));
        assert_eq!(parse_length(b"005"), Some(5));
        assert_eq!(parse_length(b"9223372036854775807"), Some(i64::MAX as u64));
        let refused: [&[u8]; 11] = [
            b"",
            b"+5",
            b"-1",
            b"0x10",
            b"1_0",
            b"5,5",
            b"5 5",
            b"5.",
            b"9223372036854775808",
            b"99999999999999999999",
            b"000000000000000000000",
        ];
        for value in refused {
            assert_eq!(parse_length(value), None, "{value:?}");
        }
    }

    #[test]
    fn codings_are_classified() {
        let cases: [(&[&[u8]], Coding); 12] = [
            (&[b"chunked"], Coding::Chunked),
            (&[b"CHUNKED"], Coding::Chunked),
            (&[b"chunked, chunked"], Coding::Malformed),
            (&[b"chunked", b"chunked"], Coding::Malformed),
            (&[b"gzip, chunked"], Coding::Unsupported),
            (&[b"chunked, identity"], Coding::Unsupported),
            (&[b"foo"], Coding::Unsupported),
            (&[b"xchunked"], Coding::Unsupported),
            (&[b""], Coding::Malformed),
            (&[b"chunked,"], Coding::Malformed),
            (&[b"chunked;q=1"], Coding::Malformed),
            (&[b"\"chunked\""], Coding::Malformed),
        ];
        for (lines, expected) in cases {
            let coding = lines
                .iter()
                .fold(Coding::Absent, |coding, line| add_coding(coding, line));
            assert_eq!(coding, expected, "{lines:?}");
        }
    }
}
