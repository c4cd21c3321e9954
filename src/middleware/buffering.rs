//! `buffering`: settings and decisions of holding bodies until they are complete. The exchange drives
//! it; a body over its limit is 413, a response body over its limit 500.

use super::FieldError;
use super::predicate::{Attempt, Predicate};
use crate::config::dynamic::middleware as config;

/// Bytes of a body in memory unless told otherwise (Traefik: `oxy`'s `DefaultMemBodyBytes`).
const DEFAULT_MEM_BODY_BYTES: u64 = 1 << 20;
/// After so many attempts the answer stands, whatever the expression says (Traefik:
/// `oxy`'s `DefaultMaxRetryAttempts`): a request is sent eleven times at most.
const MAX_RETRIES: u32 = 10;

/// A compiled `buffering`.
#[derive(Clone, Debug)]
pub struct Buffering {
    /// Largest request body; `None` means no limit. A larger one is 413.
    pub max_request_body_bytes: Option<u64>,
    /// How much of a request body is held in memory.
    pub mem_request_body_bytes: u64,
    /// Largest response body; `None` means no limit. A larger one is 500.
    pub max_response_body_bytes: Option<u64>,
    /// How much of a response body is held in memory.
    pub mem_response_body_bytes: u64,
    /// When the request is sent again.
    pub retry_expression: Option<Predicate>,
}

impl Buffering {
    pub(super) fn compile(config: &config::Buffering) -> Result<Self, FieldError> {
        let bytes = |field, value: i64| {
            u64::try_from(value).map_err(|_| {
                FieldError::new(
                    field,
                    format!("is {value}; give a number of bytes, or 0 for the default"),
                )
            })
        };
        let max = |field, value| bytes(field, value).map(|bytes| Some(bytes).filter(|&b| b > 0));
        let mem = |field, value| {
            bytes(field, value).map(|bytes| {
                if bytes == 0 {
                    DEFAULT_MEM_BODY_BYTES
                } else {
                    bytes
                }
            })
        };
        let retry_expression = match &*config.retry_expression {
            "" => None,
            text => {
                Some(Predicate::parse(text).map_err(|e| FieldError::new("retryExpression", e))?)
            }
        };
        Ok(Buffering {
            max_request_body_bytes: max("maxRequestBodyBytes", config.max_request_body_bytes)?,
            mem_request_body_bytes: mem("memRequestBodyBytes", config.mem_request_body_bytes)?,
            max_response_body_bytes: max("maxResponseBodyBytes", config.max_response_body_bytes)?,
            mem_response_body_bytes: mem("memResponseBodyBytes", config.mem_response_body_bytes)?,
            retry_expression,
        })
    }

    /// Whether to send the request again after `attempt`. Traefik does so only for requests with a
    /// body.
    pub fn should_retry(&self, attempt: &Attempt<'_>, has_body: bool) -> bool {
        has_body
            && attempt.number <= MAX_RETRIES
            && self
                .retry_expression
                .as_ref()
                .is_some_and(|expression| expression.matches(attempt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_means_no_limit_and_one_mebibyte_of_memory() {
        let buffering = Buffering::compile(&config::Buffering::default()).unwrap();
        assert_eq!(buffering.max_request_body_bytes, None);
        assert_eq!(buffering.mem_response_body_bytes, 1 << 20);
        assert!(!buffering.should_retry(
            &Attempt {
                number: 1,
                status: 502,
                method: b"PUT"
            },
            true
        ));
    }

    #[test]
    fn bad_settings_are_named() {
        let base = config::Buffering::default;
        for (config, field) in [
            (
                config::Buffering {
                    max_request_body_bytes: -1,
                    ..base()
                },
                "maxRequestBodyBytes",
            ),
            (
                config::Buffering {
                    mem_request_body_bytes: -1,
                    ..base()
                },
                "memRequestBodyBytes",
            ),
            (
                config::Buffering {
                    max_response_body_bytes: -1,
                    ..base()
                },
                "maxResponseBodyBytes",
            ),
            (
                config::Buffering {
                    mem_response_body_bytes: -1,
                    ..base()
                },
                "memResponseBodyBytes",
            ),
            (
                config::Buffering {
                    retry_expression: "Foo()".into(),
                    ..base()
                },
                "retryExpression",
            ),
        ] {
            assert_eq!(Buffering::compile(&config).unwrap_err().field, field);
        }
    }

    #[test]
    fn a_request_with_a_body_is_sent_again_at_most_ten_times() {
        let config = config::Buffering {
            retry_expression: "ResponseCode() > 0".into(),
            ..Default::default()
        };
        let buffering = Buffering::compile(&config).unwrap();
        let ask = |number, body| {
            buffering.should_retry(
                &Attempt {
                    number,
                    status: 503,
                    method: b"GET",
                },
                body,
            )
        };
        assert!(ask(1, true) && ask(10, true));
        assert!(!ask(11, true) && !ask(1, false));
    }
}
