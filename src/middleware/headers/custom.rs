//! `customRequestHeaders` and `customResponseHeaders`: an empty value removes the field.

use crate::config::decode::{Map, Text};
use crate::http::{FieldName, Fields, Named, RequestHead, Token};
use crate::middleware::FieldError;

/// One change to a request.
#[derive(Debug)]
pub(super) enum RequestEdit {
    Set(FieldName, Box<[u8]>),
    Remove(FieldName),
    /// `Host` is no field but the authority.
    SetHost(Box<[u8]>),
    /// Removes the field and keeps the proxy from adding one.
    OmitForwardedFor,
}

/// One change to a response.
#[derive(Debug)]
pub(super) enum ResponseEdit {
    Set(FieldName, Box<[u8]>),
    Remove(FieldName),
}

pub(super) fn compile_request(config: &Map<Text>) -> Result<Box<[RequestEdit]>, FieldError> {
    const FIELD: &str = "customRequestHeaders";
    let mut edits = Vec::new();
    for (name, value) in config {
        let field = FieldName::parse(name).map_err(|error| FieldError::new(FIELD, error))?;
        // A line break would begin another field; Traefik answers every request with 500.
        if value
            .bytes()
            .any(|byte| byte.is_ascii_control() && byte != b'\t')
        {
            let reason = format!("the value of {name:?} has a control character; remove it");
            return Err(FieldError::new(FIELD, reason));
        }
        edits.push(match (field.token(), value.is_empty()) {
            // Traefik: only in this spelling; another removes the field, which the proxy then adds.
            (Some(Token::XForwardedFor), true) if &**name == Token::XForwardedFor.name() => {
                RequestEdit::OmitForwardedFor
            }
            (Some(Token::Host), true) => continue,
            (Some(Token::Host), false) => RequestEdit::SetHost(host(name, value)?),
            // The framing is the message's own and follows the body.
            (Some(Token::ContentLength | Token::TransferEncoding), _) => continue,
            (_, true) => RequestEdit::Remove(field),
            (_, false) => RequestEdit::Set(field, value.as_bytes().into()),
        });
    }
    Ok(edits.into())
}

pub(super) fn compile_response(config: &Map<Text>) -> Result<Box<[ResponseEdit]>, FieldError> {
    let mut edits = Vec::new();
    for (name, value) in config {
        let field = FieldName::parse(name);
        let field = field.map_err(|error| FieldError::new("customResponseHeaders", error))?;
        edits.push(match (field.token(), value.is_empty()) {
            (Some(Token::ContentLength | Token::TransferEncoding), _) => continue,
            (_, true) => ResponseEdit::Remove(field),
            (_, false) => ResponseEdit::Set(field, value.as_bytes().into()),
        });
    }
    Ok(edits.into())
}

fn host(name: &str, value: &str) -> Result<Box<[u8]>, FieldError> {
    let value = value.trim();
    let valid = value
        .bytes()
        .all(|b| b.is_ascii_graphic() && !b"/?#@\\\"<>^`{|}".contains(&b));
    if !valid {
        let reason = format!("{value:?} is no value of {name:?}; give host or host:port");
        return Err(FieldError::new("customRequestHeaders", reason));
    }
    Ok(value.as_bytes().into())
}

impl RequestEdit {
    pub fn apply(&self, rq: &mut RequestHead) {
        match self {
            RequestEdit::Set(name, value) => rq.fields.set(name, value),
            RequestEdit::Remove(name) => {
                rq.fields.remove(name);
            }
            RequestEdit::SetHost(host) => rq.set_authority(host),
            RequestEdit::OmitForwardedFor => {
                rq.fields.remove(&Token::XForwardedFor);
                rq.omit_forwarded_for = true;
            }
        }
    }
}

impl ResponseEdit {
    pub fn apply(&self, fields: &mut Fields) {
        match self {
            ResponseEdit::Set(name, value) => fields.set(name, value),
            ResponseEdit::Remove(name) => {
                fields.remove(name);
            }
        }
    }
}
