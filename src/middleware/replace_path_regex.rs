//! `replacePathRegex`: search and replace in the escaped path.

use super::rewrite::{Rewrite, TooLong, restart};
use super::{FieldError, FilterContext, LocalResponse, Verdict, path_edit};
use crate::config::dynamic::middleware as config;
use crate::http::RequestHead;
use crate::http::path::is_sanitized;

/// A compiled `replacePathRegex`.
#[derive(Debug)]
pub struct ReplacePathRegex {
    rewrite: Rewrite,
}

impl ReplacePathRegex {
    pub(super) fn compile(config: &config::ReplacePathRegex) -> Result<Self, FieldError> {
        let rewrite = Rewrite::compile(config.regex.trim(), config.replacement.trim());
        Ok(ReplacePathRegex {
            rewrite: rewrite.map_err(|e| FieldError::new("regex", e))?,
        })
    }

    pub(super) fn request(&self, rq: &mut RequestHead, cx: &mut FilterContext<'_>) -> Verdict {
        if !path_edit::has_path(rq) {
            return Verdict::Continue;
        }
        let scratch = &mut cx.memory.scratch;
        restart(&mut scratch.source);
        scratch.source.extend_from_slice(cx.path.current(rq));
        match self.rewrite.replace_all(scratch, cx.regex) {
            Ok(true) => {}
            Ok(false) => return Verdict::Continue,
            Err(TooLong) => return path_edit::refuse(cx),
        }
        cx.path.note_replaced(rq, &scratch.source);
        let path = &scratch.output;
        if !matches!(path.first(), None | Some(b'/')) {
            return path_edit::refuse(cx);
        }
        if cx.path.replace(rq, path).is_err() {
            return broken_escape(cx);
        }
        if !is_sanitized(rq.path()) {
            return path_edit::refuse(cx);
        }
        Verdict::Continue
    }
}

/// Traefik's answer to a replacement that is no path: Go's error text.
#[cold]
fn broken_escape(cx: &mut FilterContext<'_>) -> Verdict {
    let path = &cx.memory.scratch.output;
    let is_broken = |at: &usize| {
        !path
            .get(at + 1..at + 3)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let body = match memchr::memchr_iter(b'%', path).find(is_broken) {
        Some(at) => {
            let rest = path.get(at..).unwrap_or_default();
            let shown = String::from_utf8_lossy(rest.get(..3).unwrap_or(rest));
            format!("invalid URL escape \"{shown}\"\n")
        }
        None => "Internal Server Error\n".to_owned(),
    };
    Verdict::Respond(LocalResponse::error(500, body.into_bytes(), cx.memory))
}
