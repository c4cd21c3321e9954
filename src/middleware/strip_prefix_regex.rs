//! `stripPrefixRegex`: removes the prefix that the first fitting expression matches.
//!
//! The expressions see the decoded path. One that matches elsewhere than at the start does nothing,
//! unless the same text is also a prefix (Traefik).

use super::rewrite::{Scratch, restart};
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
        let Scratch {
            source: decoded,
            output: repaired,
            groups,
        } = &mut cx.memory.scratch;
        restart(decoded);
        path_edit::decode(cx.path.current(rq), decoded);
        let is_text = std::str::from_utf8(decoded).is_ok();
        if !is_text {
            restart(repaired);
            repair(decoded, repaired);
        }
        let text: &[u8] = if is_text { decoded } else { repaired };
        let length = self.expressions.iter().find_map(|expression| {
            if !expression.find(text, 0, groups, cx.regex) {
                return None;
            }
            let matched = text.get(groups.get(0)?)?;
            (!matched.is_empty() && text.starts_with(matched)).then_some(matched.len())
        });
        let length = length.map(|length| match is_text {
            true => length,
            false => length_before_repair(decoded, length),
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

/// What stands for a byte that is not UTF-8, so that an expression sees it (Go).
const REPLACEMENT: &str = "\u{FFFD}";

fn repair(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        for _ in chunk.invalid() {
            out.extend_from_slice(REPLACEMENT.as_bytes());
        }
    }
}

/// How many of `bytes` became the first `repaired` bytes of [`repair`]'s output.
fn length_before_repair(bytes: &[u8], repaired: usize) -> usize {
    let (mut length, mut left) = (0, repaired);
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid().len().min(left);
        length += valid;
        left -= valid;
        let invalid = chunk.invalid().len().min(left / REPLACEMENT.len());
        length += invalid;
        left -= invalid * REPLACEMENT.len();
        if left == 0 {
            break;
        }
    }
    length
}
