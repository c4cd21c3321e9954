//! Parsing request heads.

use std::mem::MaybeUninit;

use httparse::{Error, Header, ParserConfig, Status};

use super::framing::{Coding, Framing, Length, MAX_CONNECTION_BYTES, offset_in};
use super::scan::{lines_end_with_crlf, start_is_tidy};
use crate::http::error::RequestError;
use crate::http::fields::{MAX_NAME_BYTES, list_members};
use crate::http::limits::{Limits, MOST_FIELDS};
use crate::http::message::{BodyLength, Method, RequestHead, TargetForm, Version};
use crate::http::path::push_escape;
use crate::http::token::Token;

/// Heads with up to so many fields are parsed on a small piece of stack.
const FEW_FIELDS: usize = 64;
/// Bytes of empty lines that may precede a request line (RFC 9112 §2.2); Go drops as many.
const MAX_LEADING_BYTES: usize = 4;

/// Parses the request head at the start of `input` into `head`, whose former content is lost.
///
/// `Ok(Some(n))`: the head took `n` bytes, the body begins after them. `Ok(None)`: incomplete, call
/// again with the same bytes and more (gate the calls by [`super::HeadScanner`]). On an error the
/// connection must be answered ([`crate::http::error::write_rejection`]) and closed.
pub fn parse_request(
    input: &[u8],
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Option<usize>, RequestError> {
    head.clear();
    let mut few = [MaybeUninit::uninit(); FEW_FIELDS];
    match attempt(input, limits, head, &mut few) {
        Err(Attempt::TooManyFields) => parse_many_fields(input, limits, head),
        Err(Attempt::Version) => parse_other_version(input, limits, head),
        Err(Attempt::Refused(RequestError::RequestLine)) => parse_raw_bytes(input, limits, head),
        Err(Attempt::Refused(error)) => Err(error),
        Ok(consumed) => Ok(consumed),
    }
}

enum Attempt {
    TooManyFields,
    Version,
    Refused(RequestError),
}

impl From<RequestError> for Attempt {
    fn from(error: RequestError) -> Self {
        Attempt::Refused(error)
    }
}

#[cold]
#[inline(never)]
fn parse_many_fields(
    input: &[u8],
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Option<usize>, RequestError> {
    let mut many = [MaybeUninit::uninit(); MOST_FIELDS];
    head.clear();
    match attempt(input, limits, head, &mut many) {
        Err(Attempt::TooManyFields) => Err(RequestError::HeadTooLarge),
        Err(Attempt::Version) => Err(RequestError::Version),
        Err(Attempt::Refused(error)) => Err(error),
        Ok(consumed) => Ok(consumed),
    }
}

/// A version that `httparse` does not take: HTTP/1.2 to 1.9 are read as 1.1 (RFC 9110 §2.5), another
/// major version is 505, anything else malformed.
#[cold]
#[inline(never)]
fn parse_other_version(
    input: &[u8],
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Option<usize>, RequestError> {
    let line = request_line(input);
    let version_at = memchr::memrchr(b' ', &input[line.clone()]).map_or(0, |space| space + 1);
    let version_at = line.start + version_at;
    match &input[version_at..line.end] {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => {
            let mut lowered = input.to_vec();
            lowered[version_at + 7] = b'1';
            parse_many_fields(&lowered, limits, head)
        }
        [b'H', b'T', b'T', b'P', b'/', b'1', ..] => Err(RequestError::RequestLine),
        // A version that has not arrived whole is judged by its major digit.
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9']
        | [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.']
        | [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            Err(RequestError::Version)
        }
        _ => Err(RequestError::RequestLine),
    }
}

/// A target with raw bytes that are not UTF-8, which `httparse` does not take: they are
/// percent-encoded, as Traefik forwards them.
#[cold]
#[inline(never)]
fn parse_raw_bytes(
    input: &[u8],
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Option<usize>, RequestError> {
    let line = request_line(input);
    let first = memchr::memchr(b' ', &input[line.clone()]).map(|space| line.start + space);
    let last = memchr::memrchr(b' ', &input[line.clone()]).map(|space| line.start + space);
    let (Some(first), Some(last)) = (first, last) else {
        return Err(RequestError::RequestLine);
    };
    // With the space before it, so that it cannot be empty.
    let target = &input[first..last];
    if target.is_empty()
        || std::str::from_utf8(target).is_ok()
        || input.len() > limits.request_head_bytes()
    {
        return Err(RequestError::RequestLine);
    }
    let mut escaped = input[..first].to_vec();
    for &byte in target {
        if byte.is_ascii() {
            escaped.push(byte)
        } else {
            push_escape(byte, &mut escaped)
        }
    }
    let grown = escaped.len() - last;
    escaped.extend_from_slice(&input[last..]);
    let Some(consumed) = parse_many_fields(&escaped, limits, head)? else {
        return Ok(None);
    };
    if head.target_form == TargetForm::Origin {
        // All is well but for the encoding: take path and query as they came.
        head.receive_origin(&target[1..])
            .map_err(|_| RequestError::Target)?;
    }
    Ok(Some(consumed - grown))
}

/// Where the request line stands, as far as it has arrived, without its CRLF.
fn request_line(input: &[u8]) -> std::ops::Range<usize> {
    let start = input
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .count();
    let rest = &input[start..];
    start..start + memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len())
}

#[inline]
fn attempt<'input>(
    input: &'input [u8],
    limits: &Limits,
    head: &mut RequestHead,
    headers: &mut [MaybeUninit<Header<'input>>],
) -> Result<Option<usize>, Attempt> {
    let mut request = httparse::Request::new(&mut []);
    let parsed =
        ParserConfig::default().parse_request_with_uninit_headers(&mut request, input, headers);
    let consumed = match parsed {
        Ok(Status::Complete(consumed)) => consumed,
        Ok(Status::Partial) => {
            if !lines_end_with_crlf(input) {
                return Err(RequestError::LineEnd.into());
            }
            if input.len() > limits.request_head_bytes() {
                return Err(RequestError::HeadTooLarge.into());
            }
            return Ok(None);
        }
        Err(Error::TooManyHeaders) => return Err(Attempt::TooManyFields),
        Err(Error::Version) => return Err(Attempt::Version),
        Err(error) => return Err(refusal(error).into()),
    };
    let block = &input[..consumed];
    let taken = take_head(block, &request, limits, head);
    if !matches!(taken, Ok(true)) && !lines_end_with_crlf(block) {
        return Err(RequestError::LineEnd.into());
    }
    taken?;
    Ok(Some(consumed))
}

/// Takes a parsed head, which is the whole `block`. Returns whether every line visibly ends with CRLF;
/// `false` says nothing about that.
#[inline]
fn take_head(
    block: &[u8],
    request: &httparse::Request<'_, '_>,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<bool, RequestError> {
    if block.len() > limits.request_head_bytes() || request.headers.len() > limits.max_fields {
        return Err(RequestError::HeadTooLarge);
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(RequestError::RequestLine);
    };
    if offset_in(block, method.as_bytes()).is_none_or(|offset| offset > MAX_LEADING_BYTES) {
        return Err(RequestError::RequestLine);
    }
    head.receive_method(method.as_bytes());
    head.version = if minor == 0 {
        Version::Http10
    } else {
        Version::Http11
    };
    if head.method == Method::Connect {
        return Err(RequestError::Connect);
    }
    let absolute = take_target(target.as_bytes(), head)?;
    take_fields(block, request.headers, absolute, head)
}

/// Takes the request target; returns whether it named the authority.
#[inline]
fn take_target(target: &[u8], head: &mut RequestHead) -> Result<bool, RequestError> {
    if target.first() == Some(&b'/') {
        head.receive_origin(target)
            .map_err(|_| RequestError::Target)?;
        return Ok(false);
    }
    if target == b"*" {
        head.receive_asterisk();
        return Ok(false);
    }
    // Absolute form: of the schemes only those that this proxy serves.
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| {
        target
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let start = scheme.ok_or(RequestError::Target)?.len();
    let rest = &target[start..];
    let length = rest
        .iter()
        .position(|b| matches!(b, b'/' | b'?'))
        .unwrap_or(rest.len());
    let authority = &rest[..length];
    if authority.is_empty() || !is_host(authority) {
        return Err(RequestError::Host);
    }
    head.receive_absolute(target, start + length)
        .map_err(|_| RequestError::Target)?;
    head.receive_authority(authority);
    Ok(true)
}

#[inline]
fn take_fields(
    block: &[u8],
    headers: &[Header<'_>],
    absolute: bool,
    head: &mut RequestHead,
) -> Result<bool, RequestError> {
    let mut framing = Framing::default();
    let mut host_lines = 0_u32;
    let mut upgrade = Upgrade::Absent;
    let mut expect = Expect::No;
    let Some(first) = headers.first() else {
        finish(framing, 0, Upgrade::Absent, Expect::No, head)?;
        return Ok(false);
    };
    let base = offset_in(block, first.name.as_bytes()).ok_or(RequestError::FieldName)?;
    head.fields.receive(&block[base..]);
    let mut tidy = start_is_tidy(&block[..base]);
    let mut next = 0;
    for header in headers {
        let name = header.name.as_bytes();
        let start = offset_in(block, name)
            .and_then(|at| at.checked_sub(base))
            .ok_or(RequestError::FieldName)?;
        if name.len() > MAX_NAME_BYTES {
            return Err(RequestError::FieldName);
        }
        let value = offset_in(block, header.value).map_or(0, |at| at.saturating_sub(base));
        let end = value + header.value.len();
        let (token, tidy_line) = head.fields.push_received(start, name.len(), value..end);
        tidy &= tidy_line && start == next;
        next = end + 2;
        let Some(token) = token else { continue };
        match token {
            Token::Host => {
                head.fields.drop_last();
                host_lines += 1;
                if !is_host(header.value) {
                    return Err(RequestError::Host);
                }
                if !absolute {
                    head.receive_authority(header.value);
                }
            }
            Token::TransferEncoding => {
                head.fields.drop_last();
                framing.note(token, header.value);
            }
            Token::ContentLength | Token::Connection => framing.note(token, header.value),
            Token::Upgrade => upgrade = upgrade.and(header.value),
            Token::Expect => expect = expect.and(header.value),
            _ => {}
        }
    }
    finish(framing, host_lines, upgrade, expect, head)?;
    Ok(tidy && block.get(base + next..) == Some(b"\r\n"))
}

/// Decides what the fields together mean (RFC 9112 §3.2, §6.3, §9.3).
#[inline]
fn finish(
    framing: Framing,
    host_lines: u32,
    upgrade: Upgrade,
    expect: Expect,
    head: &mut RequestHead,
) -> Result<(), RequestError> {
    let http11 = head.version == Version::Http11;
    match host_lines {
        0 if http11 => return Err(RequestError::MissingHost),
        0 | 1 => {}
        _ => return Err(RequestError::RepeatedHost),
    }
    if framing.connection_bytes > MAX_CONNECTION_BYTES {
        return Err(RequestError::HeadTooLarge);
    }
    head.body = match (framing.coding, framing.length) {
        (Coding::Absent, Length::Absent) => BodyLength::None,
        (Coding::Absent, Length::Stated(length)) => BodyLength::Length(length),
        (_, Length::Repeated(_) | Length::Conflicting) => {
            return Err(RequestError::RepeatedContentLength);
        }
        (_, Length::Invalid) => return Err(RequestError::ContentLength),
        (_, Length::Stated(_)) => return Err(RequestError::LengthAndCoding),
        _ if !http11 => return Err(RequestError::CodingInHttp10),
        (Coding::Chunked, _) => BodyLength::Chunked,
        (Coding::Unsupported, _) => return Err(RequestError::UnsupportedCoding),
        (Coding::Malformed, _) => return Err(RequestError::TransferEncoding),
    };
    head.keep_alive = !framing.close && (http11 || framing.keep_alive);
    head.upgrade = http11 && framing.upgrade && upgrade == Upgrade::Present;
    head.expect_continue = match expect {
        Expect::No => false,
        Expect::Continue => http11 && !head.body.is_empty(),
        Expect::Other => return Err(RequestError::Expectation),
    };
    Ok(())
}

/// What the `Upgrade` lines said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upgrade {
    Absent,
    Present,
    /// h2c is among the protocols: none is forwarded, as in Traefik, since its handshake would smuggle
    /// a second protocol past this proxy.
    H2c,
}

impl Upgrade {
    fn and(self, value: &[u8]) -> Upgrade {
        match self {
            Upgrade::H2c => Upgrade::H2c,
            _ if list_members(value).any(|p| p.eq_ignore_ascii_case(b"h2c")) => Upgrade::H2c,
            Upgrade::Absent if list_members(value).next().is_none() => Upgrade::Absent,
            _ => Upgrade::Present,
        }
    }
}

#[derive(Clone, Copy)]
enum Expect {
    No,
    Continue,
    Other,
}

impl Expect {
    fn and(self, value: &[u8]) -> Expect {
        if value.is_empty() {
            return self;
        }
        let known = list_members(value).all(|member| member.eq_ignore_ascii_case(b"100-continue"));
        match self {
            Expect::No | Expect::Continue if known => Expect::Continue,
            _ => Expect::Other,
        }
    }
}

/// Whether all bytes can stand in a host with a port (Go: `httpguts.ValidHostHeader`).
fn is_host(authority: &[u8]) -> bool {
    authority.iter().all(|&byte| HOST_BYTES[usize::from(byte)])
}

static HOST_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = matches!(byte as u8,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b':' | b'[' | b']' | b'_' | b'~'
            | b'!' | b'$' | b'%' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=');
        byte += 1;
    }
    table
};

#[cold]
fn refusal(error: Error) -> RequestError {
    match error {
        Error::NewLine => RequestError::LineEnd,
        Error::HeaderValue => RequestError::FieldValue,
        Error::HeaderName => RequestError::FieldName,
        Error::Token | Error::Status | Error::Version | Error::TooManyHeaders => {
            RequestError::RequestLine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(input: &[u8]) -> Result<RequestHead, RequestError> {
        let mut head = RequestHead::new();
        match parse_request(input, &Limits::default(), &mut head)? {
            Some(consumed) => {
                assert!(consumed <= input.len());
                Ok(head)
            }
            None => panic!("incomplete: {:?}", String::from_utf8_lossy(input)),
        }
    }

    fn parsed(input: &str) -> RequestHead {
        parse(input.as_bytes()).unwrap_or_else(|error| panic!("{input:?}: {error}"))
    }

    fn parsed_bytes(input: &[u8]) -> RequestHead {
        parse(input).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refused(input: &str) -> RequestError {
        match parse(input.as_bytes()) {
            Err(error) => error,
            Ok(_) => panic!("accepted: {input:?}"),
        }
    }

    /// A request of HTTP/1.1 with these header lines.
    fn with(lines: &str) -> String {
        format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n")
    }

    #[test]
    fn an_ordinary_request() {
        let head =
            parsed("GET /p/q?x=%zz&y HTTP/1.1\r\nhost: Ex.com:81\r\nX-a:  1 \r\nx-A:2\r\n\r\n");
        assert_eq!((head.method, head.version), (Method::Get, Version::Http11));
        assert_eq!(
            (head.path(), head.query()),
            (&b"/p/q"[..], Some(&b"x=%zz&y"[..]))
        );
        assert_eq!(head.raw_target(), b"/p/q?x=%zz&y");
        assert_eq!(
            (head.authority(), head.host()),
            (Some(&b"Ex.com:81"[..]), &b"ex.com"[..])
        );
        assert_eq!((head.body, head.keep_alive), (BodyLength::None, true));
        assert!(!head.expect_continue && !head.upgrade);
        let fields: Vec<_> = head.fields.iter().collect();
        assert_eq!(fields, [(&b"X-A"[..], &b"1"[..]), (b"X-A", b"2")]);
    }

    #[test]
    fn the_head_ends_where_the_body_begins() {
        let input = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next";
        let mut head = RequestHead::new();
        let consumed = parse_request(input, &Limits::default(), &mut head).unwrap();
        assert_eq!(consumed, Some(input.len() - 9));
        for end in 0..input.len() - 9 {
            let parsed = parse_request(&input[..end], &Limits::default(), &mut head);
            assert_eq!(parsed, Ok(None), "{end}");
        }
    }

    #[test]
    fn target_forms() {
        let head = parsed("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(
            (head.target_form, head.path()),
            (TargetForm::Asterisk, &b"*"[..])
        );
        let head = parsed("GET http://Other:81/a/../b?q HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(head.target_form, TargetForm::Absolute);
        assert_eq!(
            (head.path(), head.query()),
            (&b"/a/../b"[..], Some(&b"q"[..]))
        );
        assert_eq!(
            (head.authority(), head.host()),
            (Some(&b"Other:81"[..]), &b"other"[..])
        );
        let head = parsed("GET HTTPS://h?x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((head.path(), head.query()), (&b"/"[..], Some(&b"x"[..])));
        let head = parsed("GET http://h HTTP/1.0\r\n\r\n");
        assert_eq!((head.path(), head.host()), (&b"/"[..], &b"h"[..]));
        for target in ["foo", "foo:bar", "ftp://h/", "http:/h", "?q", "h:80"] {
            let input = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(refused(&input), RequestError::Target, "{target}");
        }
        for target in ["http://", "http:///p", "http://u@h/", "http://h#f"] {
            let input = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(refused(&input), RequestError::Host, "{target}");
        }
    }

    #[test]
    fn paths_are_normalised_when_received() {
        let head = parsed("GET //a/%7e%2f|?%7e HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(
            (head.path(), head.query()),
            (&b"//a/~%2F%7C"[..], Some(&b"%7e"[..]))
        );
        assert_eq!(head.route_path(), b"//a/~%2F|");
        let head = parsed("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(head.has_fragment());
        let head = parsed("GET /a?#b HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(!head.has_fragment());
        for path in ["/%zz", "/%", "/%2"] {
            let input = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(refused(&input), RequestError::Target);
        }
    }

    #[test]
    fn raw_bytes_in_a_target_are_encoded() {
        let mut head = RequestHead::new();
        let input = b"GET /a\xe9\xff?\xe9 HTTP/1.1\r\nHost: a\r\n\r\nrest";
        for end in 0..input.len() - 4 {
            let parsed = parse_request(&input[..end], &Limits::default(), &mut head);
            assert_eq!(parsed, Ok(None), "{end}");
        }
        let parsed = parse_request(input, &Limits::default(), &mut head);
        assert_eq!(parsed, Ok(Some(input.len() - 4)));
        assert_eq!(
            (head.path(), head.query()),
            (&b"/a%E9%FF"[..], Some(&b"\xe9"[..]))
        );
        let head = parsed_bytes(b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(
            (head.path(), head.route_path()),
            (&b"/%C3%A9"[..], &b"/\xc3\xa9"[..])
        );
        for input in [
            &b"G\xe9T / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"GET \xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert_eq!(parse(input).map(|_| ()).unwrap_err().status(), 400);
        }
    }

    #[test]
    fn content_length_with_transfer_encoding_is_refused() {
        for lines in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Transfer-Encoding: foo\r\nContent-Length: 0",
        ] {
            assert_eq!(
                refused(&with(lines)),
                RequestError::LengthAndCoding,
                "{lines}"
            );
        }
    }

    #[test]
    fn bare_line_feeds_are_refused() {
        for input in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX:\n\r\n",
            // Not complete, and never will be: refused at once.
            "GET / HTTP/1.1\nHost",
        ] {
            assert_eq!(refused(input), RequestError::LineEnd, "{input:?}");
        }
    }

    #[test]
    fn folded_lines_are_refused() {
        for lines in ["X-A: 1\r\n 2", "X-A: 1\r\n\t2", "X-A: 1\r\n ", "X-A:\r\n 2"] {
            assert_eq!(refused(&with(lines)), RequestError::FieldName, "{lines:?}");
        }
        let input = "GET / HTTP/1.1\r\n Host: a\r\n\r\n";
        assert_eq!(refused(input), RequestError::FieldName);
    }

    #[test]
    fn malformed_lengths_are_refused() {
        for value in [
            "+5",
            "-1",
            "0x5",
            "1_0",
            "5,5",
            "5, 5",
            "5 5",
            "",
            "five",
            "5;",
            "18446744073709551616",
        ] {
            let input = with(&format!("Content-Length: {value}"));
            assert_eq!(refused(&input), RequestError::ContentLength, "{value}");
        }
    }

    #[test]
    fn repeated_lengths_are_refused_even_if_equal() {
        for second in ["5", "6", "x"] {
            let input = with(&format!("Content-Length: 5\r\nContent-Length: {second}"));
            assert_eq!(
                refused(&input),
                RequestError::RepeatedContentLength,
                "{second}"
            );
        }
    }

    #[test]
    fn codings_other_than_chunked_are_501_and_malformed_ones_400() {
        for value in [
            "foo",
            "gzip, chunked",
            "chunked, gzip",
            "identity",
            "xchunked",
        ] {
            let input = with(&format!("Transfer-Encoding: {value}"));
            assert_eq!(refused(&input), RequestError::UnsupportedCoding, "{value}");
            assert_eq!(refused(&input).status(), 501);
        }
        for value in [
            "",
            "chunked, chunked",
            "chunked,",
            ",chunked",
            "chunked;a",
            "'chunked' x",
            "chun ked",
        ] {
            let input = with(&format!("Transfer-Encoding: {value}"));
            assert_eq!(refused(&input), RequestError::TransferEncoding, "{value}");
            assert_eq!(refused(&input).status(), 400);
        }
        let input = with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked");
        assert_eq!(refused(&input), RequestError::TransferEncoding);
        let input = with("Transfer-Encoding : chunked");
        assert_eq!(refused(&input), RequestError::FieldName);
        let input = with("Transfer-Encoding: \x0bchunked");
        assert_eq!(refused(&input), RequestError::FieldValue);
        assert_eq!(
            parsed(&with("transfer-ENCODING:\tChunked ")).body,
            BodyLength::Chunked
        );
    }

    #[test]
    fn transfer_encoding_in_http_1_0_is_refused() {
        let input = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(refused(input), RequestError::CodingInHttp10);
    }

    #[test]
    fn malformed_header_lines_are_refused() {
        for line in [
            "X-A : 1",
            "X-A\t: 1",
            ": 1",
            "X A: 1",
            "No-Colon",
            "X\u{e9}: 1",
            "X(: 1",
        ] {
            assert_eq!(refused(&with(line)), RequestError::FieldName, "{line}");
        }
        for line in [
            "X-A: a\0b",
            "X-A: a\x01",
            "X-A: a\rb",
            "X-A: \x7f",
            "X-A: a\r\r\n",
        ] {
            assert_eq!(refused(&with(line)), RequestError::FieldValue, "{line:?}");
        }
        assert_eq!(parsed(&with("X-A: caf\u{e9}")).fields.len(), 1);
    }

    #[test]
    fn host_is_required_once_and_well_formed() {
        assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), RequestError::MissingHost);
        assert_eq!(
            refused("GET / HTTP/1.1\r\nX: 1\r\n\r\n"),
            RequestError::MissingHost
        );
        assert_eq!(
            refused("GET http://h/ HTTP/1.1\r\n\r\n"),
            RequestError::MissingHost
        );
        assert_eq!(refused(&with("Host: b")), RequestError::RepeatedHost);
        assert_eq!(refused(&with("Host: a")), RequestError::RepeatedHost);
        for host in [
            "a/b", "a b", "u@h", "a?b", "a#b", "<a>", "a\u{e9}", "a\"b", "a\\b",
        ] {
            let input = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(refused(&input), RequestError::Host, "{host}");
        }
        assert_eq!(parsed("GET / HTTP/1.0\r\n\r\n").authority(), None);
        assert_eq!(
            parsed("GET / HTTP/1.1\r\nHost:\r\n\r\n").authority(),
            Some(&b""[..])
        );
    }

    #[test]
    fn malformed_request_lines_are_refused() {
        for line in [
            "G@T / HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            " GET / HTTP/1.1",
            "GET /",
            "GET / HTTP/1",
            "GET / HTTP/1.",
            "GET / HTTP/1.1 ",
            "GET / http/1.1",
            "GET / HTTP/11",
            "GET / HTTP/1.10",
            "GET / x",
            "GET /a b HTTP/1.1",
            "GET /\u{1}",
            "GET",
            "\u{16}\u{3}",
        ] {
            let error = refused(&format!("{line}\r\nHost: a\r\n\r\n"));
            assert_eq!(error.status(), 400, "{line}");
        }
        let error = refused("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(error, RequestError::RequestLine);
        assert_eq!(parsed("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").path(), b"/");
    }

    #[test]
    fn connect_is_501() {
        let error = refused("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n");
        assert_eq!((error, error.status()), (RequestError::Connect, 501));
    }

    #[test]
    fn other_major_versions_are_505_and_higher_minor_ones_are_1_1() {
        for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/9.9", "HTTP/2"] {
            let error = refused(&format!("GET / {version}\r\nHost: a\r\n\r\n"));
            assert_eq!(
                (error, error.status()),
                (RequestError::Version, 505),
                "{version}"
            );
        }
        let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        assert_eq!(refused(preface), RequestError::Version);
        let head = parsed("GET /x HTTP/1.2\r\nHost: a\r\n\r\n");
        assert_eq!((head.version, head.path()), (Version::Http11, &b"/x"[..]));
    }

    #[test]
    fn heads_beyond_the_limits_are_431() {
        let limits = Limits {
            max_header_bytes: 100,
            ..Limits::default()
        };
        let mut head = RequestHead::new();
        let fits = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "x".repeat(4100)
        );
        assert!(
            parse_request(fits.as_bytes(), &limits, &mut head)
                .unwrap()
                .is_some()
        );
        let large = fits.replace("X: ", &format!("X: {}", "x".repeat(100)));
        for end in [large.len(), large.len() - 2] {
            let parsed = parse_request(&large.as_bytes()[..end], &limits, &mut head);
            assert_eq!(parsed, Err(RequestError::HeadTooLarge));
        }
        let many = |count: usize| with(vec!["X: 1"; count].join("\r\n").as_str());
        for count in [FEW_FIELDS - 1, FEW_FIELDS, FEW_FIELDS + 1, MOST_FIELDS - 1] {
            assert_eq!(parsed(&many(count)).fields.len(), count);
        }
        assert_eq!(refused(&many(MOST_FIELDS)), RequestError::HeadTooLarge);
        let options = with(&format!("Connection: {}", "a,".repeat(4000)));
        assert_eq!(refused(&options), RequestError::HeadTooLarge);
    }

    #[test]
    fn persistence_follows_version_and_connection() {
        let keep_alive = |version: &str, connection: &str| {
            parsed(&format!(
                "GET / {version}\r\nHost: a\r\nConnection: {connection}\r\n\r\n"
            ))
            .keep_alive
        };
        assert!(keep_alive("HTTP/1.1", "x"));
        assert!(!keep_alive("HTTP/1.1", "Close"));
        assert!(!keep_alive("HTTP/1.1", "keep-alive, x,close"));
        assert!(!keep_alive("HTTP/1.0", "x"));
        assert!(keep_alive("HTTP/1.0", "Keep-Alive"));
        assert!(!keep_alive("HTTP/1.0", "keep-alive, close"));
    }

    #[test]
    fn upgrades_need_both_fields_and_http_1_1_and_no_h2c() {
        let upgrade = |version: &str, lines: &str| {
            parsed(&format!("GET / {version}\r\nHost: a\r\n{lines}\r\n\r\n")).upgrade
        };
        assert!(upgrade(
            "HTTP/1.1",
            "Connection: upgrade\r\nUpgrade: websocket"
        ));
        assert!(upgrade(
            "HTTP/1.1",
            "Connection: x, Upgrade\r\nUpgrade: foo/2, bar"
        ));
        assert!(!upgrade(
            "HTTP/1.0",
            "Connection: upgrade\r\nUpgrade: websocket"
        ));
        assert!(!upgrade("HTTP/1.1", "Upgrade: websocket"));
        assert!(!upgrade("HTTP/1.1", "Connection: upgrade"));
        assert!(!upgrade("HTTP/1.1", "Connection: upgrade\r\nUpgrade:"));
        assert!(!upgrade(
            "HTTP/1.1",
            "Connection: upgrade\r\nUpgrade: H2C, foo"
        ));
        assert!(!upgrade(
            "HTTP/1.1",
            "Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: foo"
        ));
    }

    #[test]
    fn expectations() {
        let head = parsed(&with("Expect: 100-Continue\r\nContent-Length: 5"));
        assert!(head.expect_continue);
        assert!(!parsed(&with("Expect: 100-continue")).expect_continue);
        assert!(!parsed(&with("Expect:\r\nContent-Length: 5")).expect_continue);
        let old = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
        assert!(!parsed(old).expect_continue);
        let error = refused(&with("Expect: 200-ok"));
        assert_eq!((error, error.status()), (RequestError::Expectation, 417));
    }
}
