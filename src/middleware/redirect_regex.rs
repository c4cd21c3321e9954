//! `redirectRegex`: search and replace in the request's URL; a changed one is a redirect.

use super::rewrite::{Rewrite, TooLong, restart};
use super::{FieldError, FilterContext, Verdict, path_edit, redirect};
use crate::config::dynamic::middleware as config;
use crate::http::RequestHead;

/// A compiled `redirectRegex`.
#[derive(Debug)]
pub struct RedirectRegex {
    rewrite: Rewrite,
    permanent: bool,
}

impl RedirectRegex {
    pub(super) fn compile(config: &config::RedirectRegex) -> Result<Self, FieldError> {
        let rewrite = Rewrite::compile(&config.regex, &config.replacement);
        Ok(RedirectRegex {
            rewrite: rewrite.map_err(|error| FieldError::new("regex", error))?,
            permanent: config.permanent,
        })
    }

    pub(super) fn request(&self, rq: &mut RequestHead, cx: &mut FilterContext<'_>) -> Verdict {
        let scratch = &mut cx.memory.scratch;
        let url = &mut scratch.source;
        restart(url);
        url.extend_from_slice(if cx.secure { b"https://" } else { b"http://" });
        url.extend_from_slice(rq.authority().unwrap_or_default());
        redirect::write_target(rq, cx.path.current(rq), url);
        match self.rewrite.replace_all(scratch, cx.regex) {
            Ok(true) if scratch.output != scratch.source => {
                redirect::answer(rq, self.permanent, cx)
            }
            Ok(_) => Verdict::Continue,
            Err(TooLong) => path_edit::refuse(cx),
        }
    }
}
