//! Parsing response heads. Strict: what is ambiguous is an error, which the client sees as a 502.

use std::mem::MaybeUninit;

use httparse::{Error, Header, ParserConfig, Status};

use super::framing::{Coding, Framing, Length, MAX_CONNECTION_BYTES, offset_in};
use super::scan::lines_end_with_crlf;
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
    if !lines_end_with_crlf(block) {
        return Err(ResponseError::LineEnd.into());
    }
    if consumed > limits.response_head_bytes() || response.headers.len() > limits.max_fields {
        return Err(ResponseError::HeadTooLarge.into());
    }
    let (Some(minor), Some(status @ 100..=999)) = (response.version, response.code) else {
        return Err(ResponseError::StatusLine.into());
    };
    head.version = if minor == 0 {
        Version::Http10
    } else {
        Version::Http11
    };
    head.status = status;
    head.receive_reason(response.reason.unwrap_or_default().as_bytes());
    let framing = take_fields(block, response.headers, head)?;
    finish(framing, request_method, head)?;
    Ok(Some(consumed))
}

#[inline]
fn take_fields(
    block: &[u8],
    headers: &[Header<'_>],
    head: &mut ResponseHead,
) -> Result<Framing, ResponseError> {
    let mut framing = Framing::default();
    let Some(first) = headers.first() else {
        return Ok(framing);
    };
    let base = offset_in(block, first.name.as_bytes()).ok_or(ResponseError::Field)?;
    head.fields.receive(&block[base..]);
    for header in headers {
        let name = header.name.as_bytes();
        let start = offset_in(block, name).ok_or(ResponseError::Field)? - base;
        if name.len() > MAX_NAME_BYTES {
            return Err(ResponseError::Field);
        }
        let value = offset_in(block, header.value).map_or(0, |at| at.saturating_sub(base));
        let token = head
            .fields
            .push_received(start, name.len(), value..value + header.value.len());
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
    Ok(framing)
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
