//! `retry`: settings and decisions of sending a failed request again. The exchange drives it.

use std::time::Duration;

use super::FieldError;
use super::status_ranges::StatusRanges;
use crate::config::dynamic::middleware as config;

/// Longest pause before jitter (Traefik: `backoff.DefaultMaxInterval`).
const MAX_INTERVAL: Duration = Duration::from_secs(60);
/// With pauses, no attempt is made after this time (Traefik: `backoff.DefaultMaxElapsedTime`).
const MAX_ELAPSED: Duration = Duration::from_secs(15 * 60);

/// A compiled `retry`.
#[derive(Clone, Debug)]
pub struct Retry {
    /// How often the request is sent at most, the first time included; at least 1.
    pub attempts: u32,
    /// The first pause; zero means no pauses.
    pub initial_interval: Duration,
    /// No attempt begins later than this after the first; zero means no limit.
    pub timeout: Duration,
    /// Statuses that lead to another attempt.
    pub statuses: StatusRanges,
    /// Largest body that is kept to be sent again; `None` means no limit. A request with a larger one
    /// is not sent again because of a status.
    pub max_request_body_bytes: Option<u64>,
    /// Whether a connection that could not be made leads to no other attempt.
    pub disable_retry_on_network_error: bool,
    /// Whether statuses count for POST, PATCH and LOCK too.
    pub retry_non_idempotent_method: bool,
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Not a byte of the request was written to a server. The status is what the client would get.
    NotSent(u16),
    /// A status came back, or the proxy made one because the exchange broke after the request was
    /// written.
    Status(u16),
}

impl Retry {
    pub(super) fn compile(config: &config::Retry) -> Result<Self, FieldError> {
        let attempts = u32::try_from(config.attempts)
            .ok()
            .filter(|&attempts| attempts > 0);
        let attempts = attempts.ok_or_else(|| {
            let reason = format!(
                "is {}; give how often a request is sent at most, 1 or more",
                config.attempts
            );
            FieldError::new("attempts", reason)
        })?;
        if config.status.is_empty() && config.disable_retry_on_network_error {
            let reason =
                "is true while status is empty, so that nothing would be retried; remove one";
            return Err(FieldError::new("disableRetryOnNetworkError", reason));
        }
        Ok(Retry {
            attempts,
            initial_interval: config.initial_interval.as_std(),
            timeout: config.timeout.as_std(),
            statuses: StatusRanges::parse(&config.status)
                .map_err(|e| FieldError::new("status", e))?,
            max_request_body_bytes: u64::try_from(config.max_request_body_bytes).ok(),
            disable_retry_on_network_error: config.disable_retry_on_network_error,
            retry_non_idempotent_method: config.retry_non_idempotent_method,
        })
    }

    /// Whether a status can ever lead to another attempt of a request with this method: only then its
    /// body needs to be kept.
    pub fn keeps_body(&self, method: &[u8]) -> bool {
        let idempotent = !matches!(method, b"POST" | b"PATCH" | b"LOCK");
        self.attempts > 1
            && !self.statuses.is_empty()
            && (idempotent || self.retry_non_idempotent_method)
    }

    /// Whether to send the request again after attempt number `attempt` (1, 2, …) failed, `elapsed`
    /// after the first began. `body_kept`: the body can be sent again (or there is none).
    pub fn should_retry(
        &self,
        attempt: u32,
        elapsed: Duration,
        method: &[u8],
        body_kept: bool,
        failure: Failure,
    ) -> bool {
        let timed_out = !self.timeout.is_zero() && elapsed >= self.timeout
            || !self.initial_interval.is_zero() && elapsed >= MAX_ELAPSED;
        if attempt >= self.attempts || timed_out {
            return false;
        }
        match failure {
            // Nothing was sent, so nothing is repeated: any method may go again.
            Failure::NotSent(_) if !self.disable_retry_on_network_error => true,
            Failure::NotSent(status) | Failure::Status(status) => {
                body_kept && self.keeps_body(method) && self.statuses.contains(status)
            }
        }
    }

    /// The pause after attempt number `attempt` (1, 2, …). It grows from pause to pause, to twice the
    /// initial interval at the last, and is spread by half of itself both ways; `random` is uniform over
    /// all values.
    pub fn backoff(&self, attempt: u32, random: u64) -> Duration {
        if self.initial_interval.is_zero() || self.attempts < 2 {
            return Duration::ZERO;
        }
        let exponent = f64::from(attempt.saturating_sub(1)) / f64::from(self.attempts - 1);
        let interval =
            (self.initial_interval.as_secs_f64() * exponent.exp2()).min(MAX_INTERVAL.as_secs_f64());
        // 53 random bits are what a float holds.
        let fraction = (random >> 11) as f64 / (1u64 << 53) as f64;
        Duration::try_from_secs_f64(interval * (0.5 + fraction)).unwrap_or(MAX_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::duration::GoDuration;

    fn config() -> config::Retry {
        config::Retry {
            attempts: 3,
            ..config::Retry::default()
        }
    }

    fn retry(statuses: &[&str], edit: impl FnOnce(&mut config::Retry)) -> Retry {
        let mut config = config();
        config.status = statuses.iter().map(|&text| text.into()).collect();
        edit(&mut config);
        Retry::compile(&config).unwrap()
    }

    #[test]
    fn statuses_are_retried_for_idempotent_methods() {
        let plain = retry(&["503"], |_| ());
        let any = retry(&["503"], |config| config.retry_non_idempotent_method = true);
        for (method, expected) in [
            ("GET", true),
            ("PUT", true),
            ("DELETE", true),
            ("PURGE", true),
            ("POST", false),
            ("PATCH", false),
            ("LOCK", false),
        ] {
            let ask = |retry: &Retry, status, kept| {
                retry.should_retry(
                    1,
                    Duration::ZERO,
                    method.as_bytes(),
                    kept,
                    Failure::Status(status),
                )
            };
            assert_eq!(ask(&plain, 503, true), expected, "{method}");
            assert_eq!(plain.keeps_body(method.as_bytes()), expected, "{method}");
            assert!(ask(&any, 503, true), "{method}");
            assert!(!ask(&any, 503, false) && !ask(&any, 500, true), "{method}");
        }
    }

    #[test]
    fn a_request_that_was_not_sent_goes_again_whatever_its_method() {
        let ask =
            |retry: &Retry, failure| retry.should_retry(1, Duration::ZERO, b"POST", false, failure);
        assert!(ask(&retry(&[], |_| ()), Failure::NotSent(502)));
        assert!(!ask(&retry(&[], |_| ()), Failure::Status(502)));
        let off = |config: &mut config::Retry| config.disable_retry_on_network_error = true;
        assert!(!ask(&retry(&["502"], off), Failure::NotSent(502)));
        let off = retry(&["502"], off);
        assert!(off.should_retry(1, Duration::ZERO, b"GET", true, Failure::NotSent(502)));
    }

    #[test]
    fn attempts_and_timeout_end_it() {
        let retry = retry(&["503"], |config| {
            config.timeout = GoDuration::from_millis(300)
        });
        let ask = |attempt, millis| {
            let elapsed = Duration::from_millis(millis);
            retry.should_retry(attempt, elapsed, b"GET", true, Failure::Status(503))
        };
        assert!(ask(1, 0) && ask(2, 299));
        assert!(!ask(3, 0) && !ask(1, 300));
    }

    #[test]
    fn pauses_grow_to_twice_the_first_and_are_spread() {
        let retry = retry(&["503"], |config| {
            config.attempts = 5;
            config.initial_interval = GoDuration::from_millis(100);
        });
        let middle = 1 << 63;
        let millis = |attempt, random| retry.backoff(attempt, random).as_secs_f64() * 1000.0;
        let close = |a: f64, b: f64| (a - b).abs() < 0.1;
        assert!(close(millis(1, middle), 100.0));
        assert!(close(millis(3, middle), 141.42));
        assert!(close(millis(5, middle), 200.0));
        assert!(close(millis(1, 0), 50.0));
        assert!(close(millis(1, u64::MAX), 150.0));
        assert_eq!(
            super::tests::retry(&["503"], |_| ()).backoff(1, middle),
            Duration::ZERO
        );
    }

    #[test]
    fn bad_settings_are_named() {
        for (edit, field) in [
            ((|c| c.attempts = 0) as fn(&mut config::Retry), "attempts"),
            (|c| c.attempts = -1, "attempts"),
            (
                |c| c.disable_retry_on_network_error = true,
                "disableRetryOnNetworkError",
            ),
            (|c| c.status = ["x".into()].into(), "status"),
        ] {
            let mut config = config();
            edit(&mut config);
            assert_eq!(Retry::compile(&config).unwrap_err().field, field);
        }
    }

    #[test]
    fn the_body_limit_is_two_mebibytes_unless_told_and_negative_means_none() {
        assert_eq!(
            retry(&["503"], |_| ()).max_request_body_bytes,
            Some(2 << 20)
        );
        assert_eq!(
            retry(&["503"], |c| c.max_request_body_bytes = 1).max_request_body_bytes,
            Some(1)
        );
        assert_eq!(
            retry(&["503"], |c| c.max_request_body_bytes = -1).max_request_body_bytes,
            None
        );
    }
}
