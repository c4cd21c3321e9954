//! Parsing response heads. Strict: what is ambiguous is an error, which the client sees as a 502.

use std::mem::MaybeUninit;

use httparse::{Error, Header, ParserConfig, Status};

use super::framing::{Coding, Framing, Length, MAX_CONNECTION_BYTES, offset_in};
use super::scan::{lines_end_with_crlf, start_is_tidy};
use crate::http::error::ResponseError;
use crate::http::fields::MAX_NAME_BYTES;
use crate::http::limits::{Limits, MOST_FIELDS};
use crate::http::message::{BodyLength, Method, ResponseHead, Version};
use crate::http::status::allows_body;
use crate::http::token::Token;

/// Heads with up to so many fields are parsed on a small piece of stack.
const FEW_FIELDS: usize = 64;

/// Parses the response head at the start of `input` into `head`, whose former content is lost.
///
/// `request_method` is that of the request it answers: HEAD has no body. `Ok(Some(n))`: the head took
/// `n` bytes. `Ok(None)`: incomplete. On an error the upstream connection must be closed.
pub fn parse_response(
    input: &[u8],
    limits: &Limits,
    request_method: Method,
    head: &mut ResponseHead,
) -> Result<Option<usize>, ResponseError> {
    let mut few = [MaybeUninit::uninit(); FEW_FIELDS];
    match attempt(input, limits, request_method, head, &mut few) {
        Err(Attempt::TooManyFields) => parse_many_fields(input, limits, request_method, head),
        Err(Attempt::Refused(error)) => Err(error),
        Ok(consumed) => Ok(consumed),
    }
}

enum Attempt {
    TooManyFields,
    Refused(ResponseError),
}

impl From<ResponseError> for Attempt {
    fn from(error: ResponseError) -> Self {
        Attempt::Refused(error)
    }
}

#[cold]
#[inline(never)]
fn parse_many_fields(
    input: &[u8],
    limits: &Limits,
    request_method: Method,
    head: &mut ResponseHead,
) -> Result<Option<usize>, ResponseError> {
    let mut many = [MaybeUninit::uninit(); MOST_FIELDS];
    match attempt(input, limits, request_method, head, &mut many) {
        Err(Attempt::TooManyFields) => Err(ResponseError::HeadTooLarge),
        Err(Attempt::Refused(error)) => Err(error),
        Ok(consumed) => Ok(consumed),
    }
}

#[inline]
fn attempt<'input>(
    input: &'input [u8],
    limits: &Limits,
    request_method: Method,
    head: &mut ResponseHead,
    headers: &mut [MaybeUninit<Header<'input>>],
) -> Result<Option<usize>, Attempt> {
    head.clear();
    // `httparse` skips empty lines before the status line; a server has no business sending them.
    if !b"HTTP/1.".starts_with(input) && !input.starts_with(b"HTTP/1.") {
        return Err(ResponseError::StatusLine.into());
    }
    let mut response = httparse::Response::new(&mut []);
    let parsed =
        ParserConfig::default().parse_response_with_uninit_headers(&mut response, input, headers);
    let consumed = match parsed {
        Ok(Status::Complete(consumed)) => consumed,
        Ok(Status::Partial) => {
            if !lines_end_with_crlf(input) {
                return Err(ResponseError::LineEnd.into());
            }
            if input.len() > limits.response_head_bytes() {
                return Err(ResponseError::HeadTooLarge.into());
            }
            return Ok(None);
        }
        Err(Error::TooManyHeaders) => return Err(Attempt::TooManyFields),
        Err(Error::HeaderName | Error::HeaderValue) => return Err(ResponseError::Field.into()),
        Err(Error::NewLine) => return Err(ResponseError::LineEnd.into()),
        Err(Error::Status | Error::Token | Error::Version) => {
            return Err(ResponseError::StatusLine.into());
        }
    };
    let block = &input[..consumed];
    let taken = take_head(block, &response, limits, request_method, head);
    if !matches!(taken, Ok(true)) && !lines_end_with_crlf(block) {
        return Err(ResponseError::LineEnd.into());
    }
    taken?;
    Ok(Some(consumed))
}

/// Takes a parsed head, which is the whole `block`. Returns whether every line visibly ends with CRLF;
/// `false` says nothing about that.
#[inline]
fn take_head(
    block: &[u8],
    response: &httparse::Response<'_, '_>,
    limits: &Limits,
    request_method: Method,
    head: &mut ResponseHead,
) -> Result<bool, ResponseError> {
    if block.len() > limits.response_head_bytes() || response.headers.len() > limits.max_fields {
        return Err(ResponseError::HeadTooLarge);
    }
    let (Some(minor), Some(status @ 100..=999)) = (response.version, response.code) else {
        return Err(ResponseError::StatusLine);
    };
    head.version = if minor == 0 {
        Version::Http10
    } else {
        Version::Http11
    };
    head.status = status;
    head.receive_reason(response.reason.unwrap_or_default().as_bytes());
    let (framing, tidy) = take_fields(block, response.headers, head)?;
    finish(framing, request_method, head)?;
    Ok(tidy)
}

#[inline]
fn take_fields(
    block: &[u8],
    headers: &[Header<'_>],
    head: &mut ResponseHead,
) -> Result<(Framing, bool), ResponseError> {
    let mut framing = Framing::default();
    let Some(first) = headers.first() else {
        return Ok((framing, false));
    };
    let base = offset_in(block, first.name.as_bytes()).ok_or(ResponseError::Field)?;
    head.fields.receive(&block[base..]);
    let mut tidy = start_is_tidy(&block[..base]);
    let mut next = 0;
    for header in headers {
        let name = header.name.as_bytes();
        let start = offset_in(block, name)
            .and_then(|at| at.checked_sub(base))
            .ok_or(ResponseError::Field)?;
        if name.len() > MAX_NAME_BYTES {
            return Err(ResponseError::Field);
        }
        let value = offset_in(block, header.value).map_or(0, |at| at.saturating_sub(base));
        let end = value + header.value.len();
        let (token, tidy_line) = head.fields.push_received(start, name.len(), value..end);
        tidy &= tidy_line && start == next;
        next = end + 2;
        match token {
            Some(token @ (Token::ContentLength | Token::Connection)) => {
                framing.note(token, header.value);
            }
            Some(token @ Token::TransferEncoding) => {
                head.fields.drop_last();
                framing.note(token, header.value);
            }
            Some(Token::Upgrade) => head.upgrade = head.status == 101,
            _ => {}
        }
    }
    Ok((framing, tidy && block.get(base + next..) == Some(b"\r\n")))
}

/// Decides what the fields together mean (RFC 9112 §6.3, §9.3).
#[inline]
fn finish(
    framing: Framing,
    request_method: Method,
    head: &mut ResponseHead,
) -> Result<(), ResponseError> {
    let http11 = head.version == Version::Http11;
    if framing.connection_bytes > MAX_CONNECTION_BYTES {
        return Err(ResponseError::HeadTooLarge);
    }
    let (stated, repeated) = match framing.length {
        Length::Absent => (None, false),
        Length::Stated(length) => (Some(length), false),
        Length::Repeated(length) => (Some(length), true),
        Length::Invalid | Length::Conflicting => return Err(ResponseError::ContentLength),
    };
    let chunked = match framing.coding {
        Coding::Absent => false,
        Coding::Chunked if http11 => true,
        Coding::Chunked | Coding::Unsupported | Coding::Malformed => {
            return Err(ResponseError::TransferEncoding);
        }
    };
    // Sloppy but clear (RFC 9112 §6.3): chunked overrides a length, equal lengths are one. Traefik
    // passes both; here such a connection is not used again, so that nothing can be desynchronised.
    let sloppy = repeated || (chunked && stated.is_some());
    head.keep_alive = !framing.close && !sloppy && (http11 || framing.keep_alive);
    if request_method == Method::Head || !allows_body(head.status) {
        head.body = BodyLength::None;
        head.stated_length = stated.filter(|_| !chunked);
        // A body announced where none can be: whatever follows is not the next response.
        let announced = chunked || stated.is_some_and(|length| length > 0);
        if head.status < 300 && !allows_body(head.status) && announced {
            head.keep_alive = false;
        }
    } else if chunked {
        head.body = BodyLength::Chunked;
    } else if let Some(length) = stated {
        head.body = BodyLength::Length(length);
    } else {
        head.body = BodyLength::UntilClose;
        head.keep_alive = false;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: Method, input: &str) -> Result<ResponseHead, ResponseError> {
        let mut head = ResponseHead::new();
        match parse_response(input.as_bytes(), &Limits::default(), method, &mut head)? {
            Some(_) => Ok(head),
            None => panic!("incomplete: {input:?}"),
        }
    }

    fn parsed(input: &str) -> ResponseHead {
        parse(Method::Get, input).unwrap_or_else(|error| panic!("{input:?}: {error}"))
    }

    fn refused(input: &str) -> ResponseError {
        match parse(Method::Get, input) {
            Err(error) => error,
            Ok(_) => panic!("accepted: {input:?}"),
        }
    }

    #[test]
    fn an_ordinary_response() {
        let head = parsed("HTTP/1.1 200 Fine\r\ncontent-length: 2\r\nx-a: 1\r\n\r\nok");
        assert_eq!(
            (head.status, head.reason(), head.version),
            (200, &b"Fine"[..], Version::Http11)
        );
        assert_eq!((head.body, head.keep_alive), (BodyLength::Length(2), true));
        let names: Vec<_> = head.fields.iter().map(|(name, _)| name).collect();
        assert_eq!(names, [&b"Content-Length"[..], b"X-A"]);
        assert_eq!(
            parsed("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n").reason(),
            b""
        );
    }

    #[test]
    fn every_prefix_is_incomplete() {
        let input = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
        let mut head = ResponseHead::new();
        for end in 0..input.len() {
            let parsed = parse_response(&input[..end], &Limits::default(), Method::Get, &mut head);
            assert_eq!(parsed, Ok(None), "{end}");
        }
    }

    #[test]
    fn malformed_responses_are_errors() {
        let cases = [
            ("HTTP/1.1 abc OK\r\n\r\n", ResponseError::StatusLine),
            ("HTTP/1.1 20\r\n\r\n", ResponseError::StatusLine),
            ("HTTP/9.9 200 OK\r\n\r\n", ResponseError::StatusLine),
            ("HTTP/2.0 200 OK\r\n\r\n", ResponseError::StatusLine),
            ("HTTP/1.1 099 Low\r\n\r\n", ResponseError::StatusLine),
            ("HTTP/1.1 1000 Big\r\n\r\n", ResponseError::StatusLine),
            ("\0\u{1} not http\r\n\r\n", ResponseError::StatusLine),
            ("\r\nHTTP/1.1 200 OK\r\n\r\n", ResponseError::StatusLine),
            (
                "HTTP/1.1 200 OK\r\nNo Colon Here\r\n\r\n",
                ResponseError::Field,
            ),
            ("HTTP/1.1 200 OK\r\nX-A : 1\r\n\r\n", ResponseError::Field),
            ("HTTP/1.1 200 OK\r\n: v\r\n\r\n", ResponseError::Field),
            (
                "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\n\r\n",
                ResponseError::Field,
            ),
            ("HTTP/1.1 200 OK\r\nX-A: a\0b\r\n\r\n", ResponseError::Field),
            (
                "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
                ResponseError::LineEnd,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                ResponseError::ContentLength,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                ResponseError::ContentLength,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n",
                ResponseError::ContentLength,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
                ResponseError::ContentLength,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                ResponseError::TransferEncoding,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: foo\r\n\r\n",
                ResponseError::TransferEncoding,
            ),
            (
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                ResponseError::TransferEncoding,
            ),
        ];
        for (input, error) in cases {
            assert_eq!(refused(input), error, "{input:?}");
        }
        let large = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "h".repeat(11 << 20));
        assert_eq!(refused(&large), ResponseError::HeadTooLarge);
    }

    #[test]
    fn sloppy_lengths_are_understood_and_end_the_connection() {
        let same = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok";
        let head = parsed(same);
        assert_eq!((head.body, head.keep_alive), (BodyLength::Length(2), false));
        let both = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n";
        let head = parsed(both);
        assert_eq!((head.body, head.keep_alive), (BodyLength::Chunked, false));
    }

    #[test]
    fn responses_without_a_body_have_none_whatever_they_say() {
        let with = |status: u16, line: &str| format!("HTTP/1.1 {status} X\r\n{line}\r\n\r\n");
        for status in [100, 101, 103, 199, 204, 304] {
            let head = parsed(&with(status, "Content-Length: 2"));
            assert_eq!(head.body, BodyLength::None, "{status}");
            assert_eq!(head.keep_alive, status == 304, "{status}");
            let head = parsed(&with(status, "Content-Length: 0"));
            assert_eq!(
                (head.body, head.keep_alive),
                (BodyLength::None, true),
                "{status}"
            );
            let head = parsed(&with(status, "Transfer-Encoding: chunked"));
            assert_eq!(
                (head.body, head.stated_length),
                (BodyLength::None, None),
                "{status}"
            );
        }
        let head = parse(Method::Head, &with(200, "Content-Length: 7")).unwrap();
        assert_eq!((head.body, head.stated_length), (BodyLength::None, Some(7)));
        assert!(head.keep_alive);
        let head = parse(Method::Head, &with(200, "X: 1")).unwrap();
        assert_eq!(
            (head.body, head.stated_length, head.keep_alive),
            (BodyLength::None, None, true)
        );
    }

    #[test]
    fn persistence_and_bodies_until_close() {
        let head = parsed("HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(
            (head.body, head.keep_alive),
            (BodyLength::UntilClose, false)
        );
        let head = parsed("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n");
        assert_eq!((head.body, head.keep_alive), (BodyLength::Length(1), false));
        let line = "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n";
        assert!(parsed(line).keep_alive);
        let line = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n";
        assert!(!parsed(line).keep_alive);
    }

    #[test]
    fn only_a_101_upgrades() {
        assert!(parsed("HTTP/1.1 101 X\r\nUpgrade: foo\r\n\r\n").upgrade);
        assert!(!parsed("HTTP/1.1 101 X\r\n\r\n").upgrade);
        assert!(!parsed("HTTP/1.1 200 X\r\nUpgrade: foo\r\n\r\n").upgrade);
        assert!(parsed("HTTP/1.1 103 X\r\n\r\n").is_interim());
        assert!(!parsed("HTTP/1.1 101 X\r\n\r\n").is_interim());
    }
}
