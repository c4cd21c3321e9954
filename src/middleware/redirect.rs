//! What `redirectScheme` and `redirectRegex` share: the answer.

use super::rewrite::restart;
use super::{FilterContext, LocalResponse, Verdict, location};
use crate::http::{Method, RequestHead, Token};

/// Answers with a redirect to the URL in `scratch.output`; 502 if it is none (Traefik: the handler of
/// its errors).
pub(super) fn answer(rq: &RequestHead, permanent: bool, cx: &mut FilterContext<'_>) -> Verdict {
    let scratch = &mut cx.memory.scratch;
    restart(&mut scratch.source);
    if location::write(&scratch.output, &mut scratch.source).is_err() {
        return Verdict::Respond(LocalResponse::status_text(502));
    }
    // Other methods must not become GET (RFC 9110 §15.4).
    let status = match (rq.method == Method::Get, permanent) {
        (true, false) => 302,
        (false, false) => 307,
        (true, true) => 301,
        (false, true) => 308,
    };
    let url = std::mem::take(&mut scratch.source);
    let response = LocalResponse::status_text(status).with(&Token::Location, &url, cx.memory);
    cx.memory.scratch.source = url;
    Verdict::Respond(response)
}

/// Appends the request's path and query as the client asked for them, the path as filters left it.
pub(super) fn write_target(rq: &RequestHead, cx_path: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(if cx_path.is_empty() { b"/" } else { cx_path });
    // The query as received: for the server `;` becomes `&`, for the client it stays.
    if let Some(at) = memchr::memchr(b'?', rq.raw_target()) {
        for &byte in rq.raw_target().get(at..).unwrap_or_default() {
            // Expressions match characters; a byte that is none would be invisible to them.
            if byte.is_ascii() {
                out.push(byte);
            } else {
                out.extend_from_slice(format_escape(byte).as_slice());
            }
        }
    }
}

fn format_escape(byte: u8) -> [u8; 3] {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    [
        b'%',
        HEX[usize::from(byte >> 4)],
        HEX[usize::from(byte & 15)],
    ]
}
