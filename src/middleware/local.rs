//! Answers that a middleware gives itself instead of letting the request go on.

use std::borrow::Cow;
use std::fmt;

use super::FilterMemory;
use super::rewrite::KEPT_BYTES;
use crate::http::{Fields, Named, ResponseHead, Token, status};

/// A response made here. A constant text costs no allocation; fields use the shard's spare memory,
/// which [`LocalResponse::start`] gives back.
#[derive(Clone)]
pub struct LocalResponse {
    /// The status, 200..=599.
    pub status: u16,
    /// Its fields, without framing and `Date`.
    pub fields: Fields,
    /// The body; empty for a status that has none.
    pub body: Cow<'static, [u8]>,
    /// Whether the connection is to be closed afterwards.
    pub close: bool,
}

impl LocalResponse {
    /// The bare status text as the body and no fields (Traefik: answers of the proxy itself).
    pub fn status_text(status: u16) -> LocalResponse {
        let text = if status::allows_body(status) {
            status::reason(status)
        } else {
            None
        };
        LocalResponse {
            status,
            fields: Fields::new(),
            body: Cow::Borrowed(text.unwrap_or_default().as_bytes()),
            close: false,
        }
    }

    /// No fields and no body.
    pub fn empty(status: u16) -> LocalResponse {
        LocalResponse {
            status,
            fields: Fields::new(),
            body: Cow::Borrowed(b""),
            close: false,
        }
    }

    /// A text with its type (Go: `http.Error`, which ends the text with a newline: give it).
    pub fn error(
        status: u16,
        text: impl Into<Cow<'static, [u8]>>,
        memory: &mut FilterMemory,
    ) -> LocalResponse {
        LocalResponse {
            status,
            fields: Fields::new(),
            body: text.into(),
            close: false,
        }
        .with(&Token::ContentType, b"text/plain; charset=utf-8", memory)
        .with(&Token::XContentTypeOptions, b"nosniff", memory)
    }

    /// Adds a field.
    pub fn with(mut self, name: &impl Named, value: &[u8], memory: &mut FilterMemory) -> Self {
        if self.fields.is_empty() {
            self.fields = std::mem::take(&mut memory.spare);
            self.fields.clear();
            self.fields.trim(KEPT_BYTES);
        }
        self.fields.append(name, value);
        self
    }

    /// Makes `head` the head of this response and returns the body to follow it.
    pub fn start(self, head: &mut ResponseHead, memory: &mut FilterMemory) -> Cow<'static, [u8]> {
        head.start(self.status, self.body.len() as u64);
        head.keep_alive = !self.close;
        memory.spare = std::mem::replace(&mut head.fields, self.fields);
        self.body
    }
}

impl fmt::Debug for LocalResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:?} {:?}",
            self.status,
            self.fields,
            String::from_utf8_lossy(&self.body)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_becomes_a_head_and_a_body() {
        let mut memory = FilterMemory::new([0; 32]);
        let mut head = ResponseHead::new();
        head.fields.append(&Token::Server, b"old");
        let response = LocalResponse::error(400, &b"Bad Request\n"[..], &mut memory);
        assert_eq!(&*response.start(&mut head, &mut memory), b"Bad Request\n");
        assert_eq!((head.status, head.keep_alive), (400, true));
        assert_eq!(
            head.fields.get(Token::ContentType),
            Some(&b"text/plain; charset=utf-8"[..])
        );
        assert_eq!(head.fields.get(Token::Server), None);
    }

    #[test]
    fn a_status_without_body_has_none() {
        assert_eq!(&*LocalResponse::status_text(204).body, b"");
        assert_eq!(&*LocalResponse::status_text(304).body, b"");
        assert_eq!(&*LocalResponse::status_text(403).body, b"Forbidden");
        assert_eq!(&*LocalResponse::status_text(418).body, b"I'm a teapot");
    }
}
