//! `stripPrefix`: removes the first of its prefixes that the path begins with.

use super::{FieldError, FilterContext, Verdict, path_edit};
use crate::config::dynamic::middleware as config;
use crate::http::RequestHead;

/// A compiled `stripPrefix`.
#[derive(Debug)]
pub struct StripPrefix {
    prefixes: Box<[Box<[u8]>]>,
    force_slash: bool,
}

impl StripPrefix {
    pub(super) fn compile(config: &config::StripPrefix) -> Result<Self, FieldError> {
        Ok(StripPrefix {
            prefixes: config
                .prefixes
                .iter()
                .map(|prefix| prefix.trim().as_bytes().into())
                .collect(),
            force_slash: config.force_slash.unwrap_or(false),
        })
    }

    pub(super) fn request(&self, rq: &mut RequestHead, cx: &mut FilterContext<'_>) -> Verdict {
        if !path_edit::has_path(rq) {
            return Verdict::Continue;
        }
        let path = cx.path.current(rq);
        let found = self.prefixes.iter().find_map(|prefix| {
            path_edit::match_prefix(path, prefix).map(|length| (length, prefix))
        });
        match found {
            Some((length, prefix)) => path_edit::strip(rq, cx, length, prefix, self.force_slash),
            None => Verdict::Continue,
        }
    }
}
