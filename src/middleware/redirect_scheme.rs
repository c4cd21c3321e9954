//! `redirectScheme`: sends clients to another scheme or port. A request that is already there passes.

use super::rewrite::restart;
use super::{FieldError, FilterContext, LocalResponse, Verdict, redirect};
use crate::config::dynamic::middleware as config;
use crate::http::{RequestHead, Token};

/// A compiled `redirectScheme`.
#[derive(Debug)]
pub struct RedirectScheme {
    scheme: Box<str>,
    /// With its colon; empty for the scheme's own port.
    port: Box<str>,
    permanent: bool,
}

impl RedirectScheme {
    pub(super) fn compile(config: &config::RedirectScheme) -> Result<Self, FieldError> {
        let scheme = config.scheme.to_ascii_lowercase();
        let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        if !valid {
            let reason = format!(
                "{:?} is no URL scheme; give the one to redirect to, such as \"https\"",
                config.scheme
            );
            return Err(FieldError::new("scheme", reason));
        }
        let port = match &*config.port {
            "" => Box::default(),
            port if port.parse::<u16>().is_ok_and(|port| port > 0) => {
                let own = matches!((&*scheme, port), ("http", "80") | ("https", "443"));
                if own {
                    Box::default()
                } else {
                    format!(":{port}").into()
                }
            }
            port => {
                return Err(FieldError::new(
                    "port",
                    format!("{port:?} is no port; give a number from 1 to 65535"),
                ));
            }
        };
        Ok(RedirectScheme {
            scheme: scheme.into(),
            port,
            permanent: config.permanent,
        })
    }

    pub(super) fn request(&self, rq: &mut RequestHead, cx: &mut FilterContext<'_>) -> Verdict {
        let Some(authority) = rq.authority().filter(|authority| !authority.is_empty()) else {
            // Without a host there is nowhere to send the client to.
            return Verdict::Respond(LocalResponse::status_text(400));
        };
        let (host, port) = split_port(authority);
        let scheme = current_scheme(rq, cx.secure);
        let port = match (scheme, port) {
            ("http", b":80") | ("https", b":443") => b"",
            (_, port) => port,
        };
        if scheme == &*self.scheme && port == self.port.as_bytes() {
            return Verdict::Continue;
        }
        let url = &mut cx.memory.scratch.output;
        restart(url);
        for part in [self.scheme.as_bytes(), b"://", host, self.port.as_bytes()] {
            url.extend_from_slice(part);
        }
        redirect::write_target(rq, cx.path.current(rq), url);
        redirect::answer(rq, self.permanent, cx)
    }
}

/// The scheme the client used, as the connection or a trusted `X-Forwarded-Proto` tells.
fn current_scheme(rq: &RequestHead, secure: bool) -> &'static str {
    let forwarded = rq.fields.get(Token::XForwardedProto).unwrap_or_default();
    let is = |name: &[u8]| forwarded.eq_ignore_ascii_case(name);
    // A WebSocket's request is marked `ws`, and redirected as what it is: HTTP.
    if is(b"https") || is(b"wss") {
        "https"
    } else if is(b"http") || is(b"ws") || !secure {
        "http"
    } else {
        "https"
    }
}

/// Splits the port off with its colon; the host keeps its brackets.
fn split_port(authority: &[u8]) -> (&[u8], &[u8]) {
    let colon = memchr::memrchr(b':', authority).filter(|&at| {
        let host = &authority[..at];
        !host.contains(&b':') || (host.starts_with(b"[") && host.ends_with(b"]"))
    });
    authority.split_at(colon.unwrap_or(authority.len()))
}
