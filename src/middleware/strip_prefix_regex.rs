//! `stripPrefixRegex`: removes the prefix that the first fitting expression matches.
//!
//! The expressions see the decoded path. One that matches elsewhere than at the start does nothing,
//! unless the same text is also a prefix (Traefik).

use super::rewrite::restart;
use super::{FieldError, FilterContext, Verdict, path_edit};
use crate::config::dynamic::middleware as config;
use crate::http::RequestHead;
use crate::rules::GroupRegex;

/// A compiled `stripPrefixRegex`.
#[derive(Debug)]
pub struct StripPrefixRegex {
    expressions: Box<[GroupRegex]>,
}

impl StripPrefixRegex {
    pub(super) fn compile(config: &config::StripPrefixRegex) -> Result<Self, FieldError> {
        let expressions = config
            .regex
            .iter()
            .map(|text| GroupRegex::compile(text.trim()));
        let expressions = expressions.collect::<Result<_, _>>();
        Ok(StripPrefixRegex {
            expressions: expressions.map_err(|e| FieldError::new("regex", e))?,
        })
    }

    pub(super) fn request(&self, rq: &mut RequestHead, cx: &mut FilterContext<'_>) -> Verdict {
        if !path_edit::has_path(rq) {
            return Verdict::Continue;
        }
        let scratch = &mut cx.memory.scratch;
        let decoded = &mut scratch.source;
        restart(decoded);
        path_edit::decode(cx.path.current(rq), decoded);
        // An expression must not be fooled by bytes that no character class of its matches.
        if std::str::from_utf8(decoded).is_err() {
            return path_edit::refuse(cx);
        }
        let length = self.expressions.iter().find_map(|expression| {
            if !expression.find(decoded, 0, &mut scratch.groups, cx.regex) {
                return None;
            }
            let matched = decoded.get(scratch.groups.get(0)?)?;
            (!matched.is_empty() && decoded.starts_with(matched)).then_some(matched.len())
        });
        let Some(length) = length else {
            return Verdict::Continue;
        };
        let escaped_length = path_edit::covered(cx.path.current(rq), length);
        // The prefix leaves the shard's memory while the path is edited.
        let mut prefix = std::mem::take(&mut cx.memory.scratch.source);
        prefix.truncate(length);
        if prefix.iter().any(u8::is_ascii_control) {
            prefix.clear();
            prefix.extend_from_slice(
                cx.path
                    .current(rq)
                    .get(..escaped_length)
                    .unwrap_or_default(),
            );
        }
        let verdict = path_edit::strip(rq, cx, escaped_length, &prefix, false);
        cx.memory.scratch.source = prefix;
        verdict
    }
}
