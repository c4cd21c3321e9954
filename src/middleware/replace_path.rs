//! `replacePath`: sends every request to one path.
//!
//! The path is escaped text, as in Traefik. There a broken escape is a 500 for every request, and a
//! path without leading slash a malformed request to the server; here both are errors of the object.

use super::rewrite::restart;
use super::{FieldError, FilterContext, Verdict, path_edit};
use crate::config::dynamic::middleware as config;
use crate::http::RequestHead;

/// A compiled `replacePath`.
#[derive(Debug)]
pub struct ReplacePath {
    /// Escaped and normal; empty, which is sent as `/`, or with a leading slash.
    path: Box<[u8]>,
}

impl ReplacePath {
    pub(super) fn compile(config: &config::ReplacePath) -> Result<Self, FieldError> {
        if config.path.is_empty() {
            return Ok(ReplacePath {
                path: Box::default(),
            });
        }
        if !config.path.starts_with('/') {
            let reason = format!(
                "{:?} does not begin with a slash; write \"/{}\"",
                config.path, config.path
            );
            return Err(FieldError::new("path", reason));
        }
        let path =
            path_edit::escape(&config.path).map_err(|reason| FieldError::new("path", reason))?;
        Ok(ReplacePath { path })
    }

    pub(super) fn request(&self, rq: &mut RequestHead, cx: &mut FilterContext<'_>) -> Verdict {
        if !path_edit::has_path(rq) {
            return Verdict::Continue;
        }
        let old = &mut cx.memory.scratch.output;
        restart(old);
        old.extend_from_slice(cx.path.current(rq));
        cx.path.note_replaced(rq, old);
        match cx.path.replace(rq, &self.path) {
            Ok(()) => Verdict::Continue,
            Err(_) => path_edit::refuse(cx),
        }
    }
}
