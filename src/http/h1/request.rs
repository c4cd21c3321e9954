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
    match head.target_form {
        // All is well but for the encoding: take path and query as they came.
        TargetForm::Origin => head
            .receive_origin(&target[1..])
            .map_err(|_| RequestError::Target)?,
        // No host has raw bytes, and their encoded form must not become one.
        TargetForm::Absolute if !authority_of(&target[1..]).is_ascii() => {
            return Err(RequestError::Host);
        }
        TargetForm::Absolute | TargetForm::Asterisk => {}
    }
    Ok(Some(consumed - grown))
}

/// The authority of a target that is known to be in absolute form.
fn authority_of(target: &[u8]) -> &[u8] {
    let start = memchr::memchr(b'/', target).map_or(0, |slash| slash + 2);
    let rest = target.get(start..).unwrap_or_default();
    &rest[..memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len())]
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
    if authority.is_empty() || !is_host(authority) || !is_authority(authority) {
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
    /// The first line, which is what would be sent on, names nothing (Go reads no other).
    Empty,
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
            Upgrade::Absent if list_members(value).next().is_none() => Upgrade::Empty,
            Upgrade::Empty => Upgrade::Empty,
            Upgrade::Absent | Upgrade::Present => Upgrade::Present,
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

/// Whether brackets are closed and the port, if there is one, is a number (Go: `url.Parse`). Traefik asks
/// this of the absolute form alone.
fn is_authority(authority: &[u8]) -> bool {
    let port = if authority.first() == Some(&b'[') {
        match authority.iter().position(|&byte| byte == b']') {
            Some(end) => &authority[end + 1..],
            None => return false,
        }
    } else {
        let host = authority.iter().position(|&byte| byte == b':');
        &authority[host.unwrap_or(authority.len())..]
    };
    match port {
        [] => true,
        [first, digits @ ..] => *first == b':' && digits.iter().all(u8::is_ascii_digit),
    }
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
#[path = "request_tests.rs"]
mod tests;
