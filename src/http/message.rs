//! The heads of requests and responses: what every protocol version parses into, what routing and
//! middlewares read and edit, and what the codecs write.
//!
//! Both heads are made to be reused: `clear` keeps their memory, so that a connection that has seen
//! one message parses the next without allocating.

use super::fields::Fields;
pub use super::request_head::{RequestHead, split_host_port};

/// A request method (RFC 9110 §9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET
    #[default]
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// CONNECT
    Connect,
    /// OPTIONS
    Options,
    /// TRACE
    Trace,
    /// PATCH
    Patch,
    /// Any other; the text is [`RequestHead::method_bytes`].
    Other,
}

/// The protocol version of an HTTP/1 message. A higher minor version counts as 1.1 (RFC 9110 §2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
}

/// How the end of a body is known (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyLength {
    /// No body and no statement about one.
    #[default]
    None,
    /// Exactly so many bytes; 0 was stated explicitly.
    Length(u64),
    /// Chunked transfer coding, perhaps with trailers.
    Chunked,
    /// Until the connection closes; responses only.
    UntilClose,
}

impl BodyLength {
    /// Whether not a single byte of body follows.
    pub fn is_empty(self) -> bool {
        matches!(self, BodyLength::None | BodyLength::Length(0))
    }
}

/// The form of a request target (RFC 9112 §3.2). The authority form is CONNECT's, which is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://authority/path?query`; its authority stands above `Host`.
    Absolute,
    /// `*`
    Asterisk,
}

/// The head of a response.
///
/// `Transfer-Encoding` is not among the fields; see [`ResponseHead::body`].
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// The status code, 100..=999.
    pub status: u16,
    /// The version the server spoke.
    pub version: Version,
    /// The header fields in the order received.
    pub fields: Fields,
    /// The framing of the body.
    pub body: BodyLength,
    /// What `Content-Length` said where there is no body: to HEAD, and in a 304.
    pub stated_length: Option<u64>,
    /// Whether the server lets the connection be used again, as far as the head can tell.
    pub keep_alive: bool,
    /// Whether this is a `101 Switching Protocols` with an `Upgrade` field.
    pub upgrade: bool,
    reason: Vec<u8>,
}

impl Method {
    /// The method of a token; methods are case-sensitive (RFC 9110 §9.1).
    pub fn from_bytes(text: &[u8]) -> Method {
        match text {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"CONNECT" => Method::Connect,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"PATCH" => Method::Patch,
            _ => Method::Other,
        }
    }

    /// The token, or `None` for `Other`.
    pub fn as_bytes(self) -> Option<&'static [u8]> {
        Some(match self {
            Method::Get => b"GET",
            Method::Head => b"HEAD",
            Method::Post => b"POST",
            Method::Put => b"PUT",
            Method::Delete => b"DELETE",
            Method::Connect => b"CONNECT",
            Method::Options => b"OPTIONS",
            Method::Trace => b"TRACE",
            Method::Patch => b"PATCH",
            Method::Other => return None,
        })
    }

    /// Safe methods (RFC 9110 §9.2.1).
    pub fn is_safe(self) -> bool {
        matches!(
            self,
            Method::Get | Method::Head | Method::Options | Method::Trace
        )
    }

    /// Idempotent methods (RFC 9110 §9.2.2).
    pub fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Method::Put | Method::Delete)
    }
}

impl Version {
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub fn as_bytes(self) -> &'static [u8] {
        match self {
            Version::Http10 => b"HTTP/1.0",
            Version::Http11 => b"HTTP/1.1",
        }
    }
}

impl ResponseHead {
    /// An empty head.
    pub fn new() -> Self {
        Self::default()
    }

    /// Back to an empty head, memory kept.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        let mut reason = std::mem::take(&mut self.reason);
        fields.clear();
        reason.clear();
        *self = ResponseHead {
            fields,
            reason,
            ..ResponseHead::default()
        };
    }

    /// Clears the head and makes it that of a response the proxy gives itself, with a body of
    /// `length` bytes.
    pub fn start(&mut self, status: u16, length: u64) {
        self.clear();
        self.status = status;
        self.body = BodyLength::Length(length);
        self.keep_alive = true;
    }

    /// The reason phrase as received; what is written is [`super::status::reason`].
    pub fn reason(&self) -> &[u8] {
        &self.reason
    }

    /// Whether the response is interim: 1xx other than 101.
    pub fn is_interim(&self) -> bool {
        matches!(self.status, 100..=199) && self.status != 101
    }

    /// Gives back memory beyond about `bytes` that an unusually large message left behind; clears the
    /// head.
    pub fn trim(&mut self, bytes: usize) {
        self.clear();
        self.fields.trim(bytes);
        self.reason.shrink_to(bytes);
    }

    pub(crate) fn receive_reason(&mut self, reason: &[u8]) {
        self.reason.clear();
        self.reason.extend_from_slice(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_properties() {
        assert!(Method::Put.is_idempotent() && !Method::Put.is_safe());
        assert!(!Method::Patch.is_idempotent() && Method::Trace.is_safe());
        assert_eq!(Method::from_bytes(b"get"), Method::Other);
        for text in [
            "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
        ] {
            assert_eq!(
                Method::from_bytes(text.as_bytes()).as_bytes(),
                Some(text.as_bytes())
            );
        }
    }

    #[test]
    fn a_started_response_is_empty_but_for_its_framing() {
        let mut head = ResponseHead::new();
        head.receive_reason(b"x");
        head.upgrade = true;
        head.start(404, 19);
        assert_eq!((head.status, head.body), (404, BodyLength::Length(19)));
        assert!(head.keep_alive && !head.upgrade && head.reason().is_empty());
    }
}
