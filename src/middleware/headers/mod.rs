//! `headers`: custom fields, CORS and security fields.
//!
//! ```text
//! request:   CORS preflight? answer ─► custom request fields ─► allowed hosts? answer ─► …
//! response:  … ─► security fields ─► custom response fields ─► CORS fields
//! ```
//!
//! Each step overrides what came before it, the server's own fields first of all (Traefik:
//! `NewHeader` around `newSecure`).

mod cors;
mod custom;
mod secure;

use super::{FieldError, FilterContext, Verdict};
use crate::config::dynamic::middleware as config;
use crate::http::{RequestHead, ResponseHead};
use cors::Cors;
use custom::{RequestEdit, ResponseEdit};
use secure::Secure;

pub(super) use secure::Nonces;

/// A compiled `headers`.
#[derive(Debug)]
pub struct Headers {
    request: Box<[RequestEdit]>,
    response: Box<[ResponseEdit]>,
    cors: Option<Cors>,
    secure: Option<Secure>,
    warnings: Box<[String]>,
}

impl Headers {
    pub(super) fn compile(config: &config::Headers) -> Result<Self, FieldError> {
        let headers = Headers {
            request: custom::compile_request(&config.custom_request_headers)?,
            response: custom::compile_response(&config.custom_response_headers)?,
            cors: Cors::compile(config)?,
            secure: Secure::compile(config)?,
            warnings: secure::warnings(config).into(),
        };
        let empty = config.custom_request_headers.is_empty()
            && config.custom_response_headers.is_empty()
            && headers.cors.is_none()
            && headers.secure.is_none();
        if empty {
            return Err(FieldError::new(
                "",
                "no option is set, so that it would do nothing",
            ));
        }
        Ok(headers)
    }

    pub(super) fn request(&self, rq: &mut RequestHead, cx: &mut FilterContext<'_>) -> Verdict {
        if let Some(cors) = &self.cors
            && let Some(answer) = cors.preflight(rq, cx)
        {
            return Verdict::Respond(answer);
        }
        for edit in &self.request {
            edit.apply(rq);
        }
        if let Some(secure) = &self.secure
            && let Some(mut answer) = secure.refuse_host(rq, cx)
        {
            // The outer steps see this answer, as they see every response.
            self.outer_fields(rq, &mut answer.fields, cx);
            return Verdict::Respond(answer);
        }
        Verdict::Continue
    }

    pub(super) fn response(
        &self,
        rq: &RequestHead,
        rs: &mut ResponseHead,
        cx: &mut FilterContext<'_>,
    ) {
        if let Some(secure) = &self.secure {
            secure.response(rq, &mut rs.fields, cx);
        }
        self.outer_fields(rq, &mut rs.fields, cx);
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        self.warnings.to_vec()
    }

    fn outer_fields(
        &self,
        rq: &RequestHead,
        fields: &mut crate::http::Fields,
        cx: &mut FilterContext<'_>,
    ) {
        for edit in &self.response {
            edit.apply(fields);
        }
        if let Some(cors) = &self.cors {
            cors.response(rq, fields, cx);
        }
    }
}
