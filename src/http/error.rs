//! One table: what went wrong → status, body, content headers, and whether the connection closes.
//!
//! The status and texts are Traefik's, except that a malformed upstream answer and a failed upstream
//! TLS handshake are 502 (Traefik: 500), and that malformed bodies are 400 (Traefik: 500 or 502).

use std::fmt;

use super::message::ResponseHead;
use super::sink::Sink;
use super::status;
use super::token::Token;

/// Why a request head was refused. Every one ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The start line is not `METHOD SP target SP HTTP/x.y CRLF`.
    RequestLine,
    /// The target is none of the accepted forms, or its path holds a broken escape.
    Target,
    /// A header field line is malformed: obs-fold, space before the colon, empty or invalid name.
    FieldName,
    /// A header value holds NUL, a control character or a bare CR.
    FieldValue,
    /// A line ends with a bare LF, or a CR is not followed by LF.
    LineEnd,
    /// HTTP/1.1 without `Host`.
    MissingHost,
    /// More than one `Host`.
    RepeatedHost,
    /// `Host` or the target's authority holds a byte that a host cannot hold.
    Host,
    /// `Content-Length` is not one plain decimal number below 2^63.
    ContentLength,
    /// More than one `Content-Length`, equal or not.
    RepeatedContentLength,
    /// Both `Content-Length` and `Transfer-Encoding`.
    LengthAndCoding,
    /// `Transfer-Encoding` in HTTP/1.0.
    CodingInHttp10,
    /// `Transfer-Encoding` is malformed, or names `chunked` more than once.
    TransferEncoding,
    /// A transfer coding other than `chunked`.
    UnsupportedCoding,
    /// An `Expect` other than `100-continue`.
    Expectation,
    /// The head is larger than `maxHeaderBytes`, or has too many lines.
    HeadTooLarge,
    /// CONNECT, which this proxy does not serve.
    Connect,
    /// The major version is not 1.
    Version,
}

/// Why a response head from upstream was refused. Every one ends the connection and is a 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseError {
    /// The status line is malformed, the version is not 1.x, or the status is below 100.
    StatusLine,
    /// A header field line is malformed.
    Field,
    /// A line ends with a bare LF.
    LineEnd,
    /// `Content-Length` is not a plain decimal number, or several lines differ.
    ContentLength,
    /// `Transfer-Encoding` is not exactly `chunked`, or the version is 1.0.
    TransferEncoding,
    /// The head is too large.
    HeadTooLarge,
}

/// Why a chunked body or its trailers were refused. The connection cannot be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkError {
    /// The chunk size is not 1 to 16 hexadecimal digits below 2^63.
    Size,
    /// A chunk extension is malformed.
    Extension,
    /// A line of the framing does not end with CRLF.
    LineEnd,
    /// The framing is out of proportion to the data (extensions, tiny chunks).
    Overhead,
    /// The trailer section is malformed.
    Trailer,
    /// The trailer section is too large.
    TrailerTooLarge,
    /// The connection ended before the body did.
    Truncated,
}

/// Why an exchange ends with an answer of the proxy's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No router matches.
    NoRoute,
    /// The service has no server that could be chosen.
    NoServer,
    /// Connecting to the server failed (refused, unreachable, name not found, reset).
    UpstreamConnect,
    /// The TLS handshake with the server failed.
    UpstreamTls,
    /// The server closed or reset the connection before it answered.
    UpstreamClosed,
    /// Connecting to the server took too long.
    DialTimeout,
    /// The server's response head took too long.
    ResponseTimeout,
    /// The server's answer is malformed.
    MalformedResponse(ResponseError),
    /// The client's head is malformed; [`write_rejection`] writes the whole answer.
    MalformedRequest(RequestError),
    /// The client's chunked body is malformed.
    MalformedBody(ChunkError),
    /// The client's body ended before its `Content-Length`.
    TruncatedBody,
    /// The client was too slow with its head or body.
    RequestTimeout,
    /// A raw `#` in the path.
    Fragment,
    /// The path holds an encoded character that the entry point denies.
    EncodedCharacter,
    /// A header name with an underscore on an entry point that rejects them.
    Underscore,
    /// A middleware made a path that is not in normal form.
    PathNotNormal,
    /// The body is larger than a middleware's limit.
    BodyTooLarge,
    /// An `Upgrade` that cannot be forwarded.
    Upgrade,
    /// Every choice of a failover service failed.
    FailoverExhausted,
    /// Too much is held in memory already.
    Overloaded,
    /// A panic in the exchange.
    Panic,
    /// Anything that is the proxy's own fault.
    Internal,
    /// The client is gone; only logs and metrics see the 499.
    ClientClosed,
}

/// How the body of an error answer is labelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyStyle {
    /// The bare text, no content type (Traefik's proxy errors).
    Bare,
    /// `text/plain; charset=utf-8` and `X-Content-Type-Options: nosniff` (Go: `http.Error`).
    Plain,
    /// `text/plain; charset=utf-8`, no length, close (Go's server refusing a request).
    Rejection,
}

/// An answer of the proxy's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: &'static str,
    /// Which content headers go with it.
    pub style: BodyStyle,
    /// Whether the client's connection must close, because its framing is no longer known.
    pub close: bool,
}

impl Cause {
    /// The row of the table.
    pub fn answer(self) -> ErrorAnswer {
        use BodyStyle::{Bare, Plain, Rejection};
        let (status, body, style, close) = match self {
            Cause::NoRoute => (404, "404 page not found\n", Plain, false),
            Cause::NoServer => (503, "no available server\n", Plain, false),
            Cause::UpstreamConnect
            | Cause::UpstreamTls
            | Cause::UpstreamClosed
            | Cause::MalformedResponse(_) => (502, "Bad Gateway", Bare, false),
            Cause::DialTimeout | Cause::ResponseTimeout => (504, "Gateway Timeout", Bare, false),
            Cause::MalformedRequest(error) => (error.status(), error.text(), Rejection, true),
            Cause::MalformedBody(_) | Cause::TruncatedBody => (400, "Bad Request", Bare, true),
            Cause::RequestTimeout => (408, "Request Timeout", Bare, true),
            Cause::Fragment | Cause::EncodedCharacter | Cause::PathNotNormal => {
                (400, "", Bare, false)
            }
            Cause::Underscore => (400, "Bad Request\n", Plain, false),
            Cause::BodyTooLarge => (413, "Request Entity Too Large", Bare, false),
            Cause::Upgrade => (400, "Bad Request", Bare, true),
            Cause::FailoverExhausted => (503, "Service Unavailable\n", Plain, false),
            Cause::Overloaded => (503, "Service Unavailable", Bare, false),
            Cause::Panic => (500, "Internal Server Error\n", Plain, true),
            Cause::Internal => (500, "Internal Server Error", Bare, false),
            Cause::ClientClosed => (499, "Client Closed Request", Bare, true),
        };
        ErrorAnswer {
            status,
            body,
            style,
            close,
        }
    }
}

impl ErrorAnswer {
    /// The bare status text, as middlewares answer (`Forbidden`, `Too Many Requests`).
    pub fn bare(code: u16) -> Self {
        let body = status::reason(code).unwrap_or("");
        ErrorAnswer {
            status: code,
            body,
            style: BodyStyle::Bare,
            close: false,
        }
    }

    /// A text in the style of Go's `http.Error`, which ends with a line feed of its own.
    pub fn plain(status: u16, body: &'static str) -> Self {
        ErrorAnswer {
            status,
            body,
            style: BodyStyle::Plain,
            close: false,
        }
    }

    /// Makes `head` this answer's head. The caller then sends [`ErrorAnswer::body`] (not to HEAD).
    pub fn fill(&self, head: &mut ResponseHead) {
        head.start(self.status, self.body.len() as u64);
        match self.style {
            BodyStyle::Bare => {}
            BodyStyle::Plain => {
                head.fields
                    .append(&Token::ContentType, b"text/plain; charset=utf-8");
                head.fields.append(&Token::XContentTypeOptions, b"nosniff");
            }
            BodyStyle::Rejection => {
                head.fields
                    .append(&Token::ContentType, b"text/plain; charset=utf-8");
            }
        }
        head.keep_alive = !self.close;
    }
}

/// Writes the whole answer to a refused request head, as Go's server does: the reason stands in the
/// status line and in the body, there is no `Date` and no length, and the connection closes after it.
pub fn write_rejection(error: RequestError, out: &mut impl Sink) {
    if let RequestError::Expectation | RequestError::Connect = error {
        // Answered by a handler, not by the parser: an ordinary empty answer.
        out.put(b"HTTP/1.1 ");
        out.put(error.text().as_bytes());
        out.put(b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    let line = match error {
        RequestError::UnsupportedCoding => "501 Not Implemented",
        _ => error.text(),
    };
    out.put(b"HTTP/1.1 ");
    out.put(line.as_bytes());
    out.put(b"\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n");
    out.put(error.text().as_bytes());
}

impl RequestError {
    /// The status of the answer: 400, 417, 431, 501 or 505.
    pub fn status(self) -> u16 {
        match self {
            RequestError::HeadTooLarge => 431,
            RequestError::UnsupportedCoding | RequestError::Connect => 501,
            RequestError::Version => 505,
            RequestError::Expectation => 417,
            _ => 400,
        }
    }

    /// The text of the answer: Go's where Go has one, else with what to mend.
    pub fn text(self) -> &'static str {
        match self {
            RequestError::RequestLine | RequestError::Target | RequestError::FieldName => {
                "400 Bad Request"
            }
            RequestError::FieldValue => "400 Bad Request: invalid header value",
            RequestError::LineEnd => "400 Bad Request: lines must end with CRLF",
            RequestError::MissingHost => "400 Bad Request: missing required Host header",
            RequestError::RepeatedHost => "400 Bad Request: too many Host headers",
            RequestError::Host => "400 Bad Request: malformed Host header",
            RequestError::ContentLength => "400 Bad Request: invalid Content-Length",
            RequestError::RepeatedContentLength => "400 Bad Request: repeated Content-Length",
            RequestError::LengthAndCoding => {
                "400 Bad Request: both Content-Length and Transfer-Encoding"
            }
            RequestError::CodingInHttp10 => "400 Bad Request: Transfer-Encoding in HTTP/1.0",
            RequestError::TransferEncoding => "400 Bad Request: invalid Transfer-Encoding",
            RequestError::UnsupportedCoding => "Unsupported transfer encoding",
            RequestError::Expectation => "417 Expectation Failed",
            RequestError::HeadTooLarge => "431 Request Header Fields Too Large",
            RequestError::Connect => "501 Not Implemented",
            RequestError::Version => "505 HTTP Version Not Supported: unsupported protocol version",
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RequestError::RequestLine => "the request line is malformed",
            RequestError::Target => "the request target is malformed",
            RequestError::FieldName => "a header line is malformed",
            RequestError::FieldValue => "a header value holds a control character",
            RequestError::LineEnd => "a line does not end with CRLF",
            RequestError::MissingHost => "the Host header is missing",
            RequestError::RepeatedHost => "there is more than one Host header",
            RequestError::Host => "the Host is malformed",
            RequestError::ContentLength => "Content-Length is not a plain number",
            RequestError::RepeatedContentLength => "there is more than one Content-Length",
            RequestError::LengthAndCoding => "Content-Length and Transfer-Encoding come together",
            RequestError::CodingInHttp10 => "Transfer-Encoding comes with HTTP/1.0",
            RequestError::TransferEncoding => "Transfer-Encoding is malformed",
            RequestError::UnsupportedCoding => "the transfer coding is not chunked",
            RequestError::Expectation => "the expectation is not 100-continue",
            RequestError::HeadTooLarge => "the request head is too large",
            RequestError::Connect => "CONNECT is not served",
            RequestError::Version => "the protocol version is not HTTP/1.x",
        })
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResponseError::StatusLine => "the server's status line is malformed",
            ResponseError::Field => "a header line of the server is malformed",
            ResponseError::LineEnd => "a line of the server's head does not end with CRLF",
            ResponseError::ContentLength => {
                "the server's Content-Length is malformed or contradictory"
            }
            ResponseError::TransferEncoding => "the server's Transfer-Encoding is not chunked",
            ResponseError::HeadTooLarge => "the server's response head is too large",
        })
    }
}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChunkError::Size => "a chunk size is malformed",
            ChunkError::Extension => "a chunk extension is malformed",
            ChunkError::LineEnd => "a chunk line does not end with CRLF",
            ChunkError::Overhead => "the chunk framing is out of proportion to the data",
            ChunkError::Trailer => "the trailer section is malformed",
            ChunkError::TrailerTooLarge => "the trailer section is too large",
            ChunkError::Truncated => "the connection ended before the body did",
        })
    }
}

impl std::error::Error for RequestError {}
impl std::error::Error for ResponseError {}
impl std::error::Error for ChunkError {}

impl From<RequestError> for Cause {
    fn from(error: RequestError) -> Self {
        Cause::MalformedRequest(error)
    }
}

impl From<ResponseError> for Cause {
    fn from(error: ResponseError) -> Self {
        Cause::MalformedResponse(error)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::NoRoute => f.write_str("no router matches the request"),
            Cause::NoServer => f.write_str("the service has no available server"),
            Cause::UpstreamConnect => f.write_str("connecting to the server failed"),
            Cause::UpstreamTls => f.write_str("the TLS handshake with the server failed"),
            Cause::UpstreamClosed => f.write_str("the server closed before it answered"),
            Cause::DialTimeout => f.write_str("connecting to the server took too long"),
            Cause::ResponseTimeout => f.write_str("the server's answer took too long"),
            Cause::MalformedResponse(error) => error.fmt(f),
            Cause::MalformedRequest(error) => error.fmt(f),
            Cause::MalformedBody(error) => error.fmt(f),
            Cause::TruncatedBody => f.write_str("the body ended before its Content-Length"),
            Cause::RequestTimeout => f.write_str("the client was too slow"),
            Cause::Fragment => f.write_str("the path holds a raw #"),
            Cause::EncodedCharacter => f.write_str("the path holds a denied encoded character"),
            Cause::Underscore => f.write_str("a header name holds an underscore"),
            Cause::PathNotNormal => f.write_str("a middleware made a path that is not normal"),
            Cause::BodyTooLarge => f.write_str("the request body is too large"),
            Cause::Upgrade => f.write_str("the Upgrade field is malformed"),
            Cause::FailoverExhausted => f.write_str("no service of the failover is available"),
            Cause::Overloaded => f.write_str("too much is held in memory already"),
            Cause::Panic => f.write_str("the exchange panicked"),
            Cause::Internal => f.write_str("the proxy failed"),
            Cause::ClientClosed => f.write_str("the client closed the connection"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::{ResponseOptions, write_response};
    use crate::http::message::Version;

    fn written(cause: Cause) -> String {
        let answer = cause.answer();
        let mut head = ResponseHead::new();
        answer.fill(&mut head);
        let options = ResponseOptions {
            version: Version::Http11,
            keep_alive: head.keep_alive,
            date: b"D",
        };
        let mut out = Vec::new();
        write_response(&head, options, &mut out);
        out.extend_from_slice(answer.body.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn no_router_is_answered_in_the_style_of_http_error() {
        let expected = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n\
            X-Content-Type-Options: nosniff\r\nDate: D\r\nContent-Length: 19\r\n\r\n404 page not found\n";
        assert_eq!(written(Cause::NoRoute), expected);
    }

    #[test]
    fn proxy_errors_are_bare() {
        let expected =
            "HTTP/1.1 502 Bad Gateway\r\nDate: D\r\nContent-Length: 11\r\n\r\nBad Gateway";
        for cause in [
            Cause::UpstreamConnect,
            Cause::UpstreamClosed,
            Cause::UpstreamTls,
            Cause::MalformedResponse(ResponseError::StatusLine),
        ] {
            assert_eq!(written(cause), expected);
        }
        assert_eq!(Cause::DialTimeout.answer().status, 504);
        assert_eq!(ErrorAnswer::bare(403).body, "Forbidden");
        assert_eq!(
            ErrorAnswer::plain(404, "404 page not found\n"),
            Cause::NoRoute.answer()
        );
        assert_eq!(Cause::ResponseTimeout.answer().body, "Gateway Timeout");
        assert_eq!(Cause::NoServer.answer().body, "no available server\n");
        assert!(written(Cause::Fragment).ends_with("\r\nContent-Length: 0\r\n\r\n"));
        assert!(
            written(Cause::MalformedBody(ChunkError::Size)).contains("\r\nConnection: close\r\n")
        );
        // Whether the rest of the body can be read away decides about the connection.
        assert!(!written(Cause::BodyTooLarge).contains("Connection: close"));
    }

    #[test]
    fn rejections_are_those_of_go_and_close() {
        let written = |error| {
            let mut out = Vec::new();
            write_rejection(error, &mut out);
            String::from_utf8(out).unwrap()
        };
        let headers = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n";
        for (error, line, body) in [
            (
                RequestError::RequestLine,
                "400 Bad Request",
                "400 Bad Request",
            ),
            (
                RequestError::MissingHost,
                "400 Bad Request: missing required Host header",
                "400 Bad Request: missing required Host header",
            ),
            (
                RequestError::HeadTooLarge,
                "431 Request Header Fields Too Large",
                "431 Request Header Fields Too Large",
            ),
            (
                RequestError::UnsupportedCoding,
                "501 Not Implemented",
                "Unsupported transfer encoding",
            ),
            (
                RequestError::Version,
                "505 HTTP Version Not Supported: unsupported protocol version",
                "505 HTTP Version Not Supported: unsupported protocol version",
            ),
        ] {
            assert_eq!(written(error), format!("HTTP/1.1 {line}{headers}{body}"));
        }
        let empty = "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(
            written(RequestError::Connect),
            format!("HTTP/1.1 501 Not Implemented{empty}")
        );
        assert_eq!(
            written(RequestError::Expectation),
            format!("HTTP/1.1 417 Expectation Failed{empty}")
        );
    }

    #[test]
    fn every_malformed_request_closes() {
        for error in [
            RequestError::LineEnd,
            RequestError::Version,
            RequestError::Connect,
        ] {
            let answer = Cause::from(error).answer();
            assert!(answer.close);
            assert_eq!(answer.status, error.status());
        }
        assert!(Cause::MalformedBody(ChunkError::Size).answer().close);
    }
}
