//! `encodedCharacters`: refuses paths with certain percent-encoded characters. Unlike the entry point's
//! option of that name it allows none unless told to.

use super::{FilterContext, LocalResponse, Verdict};
use crate::config::dynamic::http as config;
use crate::http::RequestHead;
use crate::http::encoded;

/// A compiled `encodedCharacters`.
#[derive(Debug)]
pub struct EncodedCharacters {
    allowed: encoded::EncodedCharacters,
}

impl EncodedCharacters {
    pub(super) fn compile(config: &config::EncodedCharacters) -> Self {
        EncodedCharacters {
            allowed: encoded::EncodedCharacters {
                slash: config.allow_encoded_slash,
                back_slash: config.allow_encoded_back_slash,
                null_character: config.allow_encoded_null_character,
                semicolon: config.allow_encoded_semicolon,
                percent: config.allow_encoded_percent,
                question_mark: config.allow_encoded_question_mark,
                hash: config.allow_encoded_hash,
            },
        }
    }

    pub(super) fn request(&self, rq: &RequestHead, cx: &FilterContext<'_>) -> Verdict {
        if self.allowed.allows(cx.path.current(rq)) {
            Verdict::Continue
        } else {
            Verdict::Respond(LocalResponse::empty(400))
        }
    }
}
