//! `addPrefix`: puts a literal prefix before the path.

use super::rewrite::restart;
use super::{FieldError, FilterContext, Verdict, path_edit};
use crate::config::dynamic::middleware as config;
use crate::http::RequestHead;

/// A compiled `addPrefix`.
#[derive(Debug)]
pub struct AddPrefix {
    /// Escaped, with a leading slash.
    prefix: Box<[u8]>,
}

impl AddPrefix {
    pub(super) fn compile(config: &config::AddPrefix) -> Result<Self, FieldError> {
        if config.prefix.is_empty() {
            return Err(FieldError::new(
                "prefix",
                "is empty; give the prefix, such as \"/api\"",
            ));
        }
        let prefix = path_edit::escape_literal(&config.prefix)
            .map_err(|reason| FieldError::new("prefix", reason))?;
        Ok(AddPrefix { prefix })
    }

    pub(super) fn request(&self, rq: &mut RequestHead, cx: &mut FilterContext<'_>) -> Verdict {
        if !path_edit::has_path(rq) {
            return Verdict::Continue;
        }
        let path = &mut cx.memory.scratch.output;
        restart(path);
        path.extend_from_slice(&self.prefix);
        path.extend_from_slice(cx.path.current(rq));
        match cx.path.replace(rq, path) {
            Ok(()) => Verdict::Continue,
            Err(_) => path_edit::refuse(cx),
        }
    }
}
