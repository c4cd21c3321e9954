//! How long to wait before a store is tried again.
//!
//! Not here: what to do after the wait (`session`, `alias`).

use std::time::Duration;

use tokio::time::Instant;

use super::store::Failure;
use crate::provider::backoff::Waits;

/// The shortest wait, before jitter.
pub const FIRST: Duration = Duration::from_millis(50);

/// The longest wait between two tries of a store that cannot be reached.
pub const LONGEST: Duration = Duration::from_secs(1);

/// The wait after a refusal, which lasts until somebody changes something.
pub const AFTER_REFUSAL: Duration = Duration::from_secs(10);

/// After this long without a failure, waits begin at [`FIRST`] again. A store that answers and breaks off at once
/// stays below it, so that it is not asked in a tight loop.
const CALM: Duration = Duration::from_secs(5);

/// The waits of one connection.
#[derive(Debug)]
pub struct Backoff {
    waits: Waits,
    last_failure: Option<Instant>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            waits: Waits::new(FIRST, LONGEST),
            last_failure: None,
        }
    }
}

impl Backoff {
    /// How long to wait after this failure, which happened now. What needs no wait gets none, once: if it fails
    /// again shortly after, it waits like everything else.
    pub fn after(&mut self, failure: Failure) -> Duration {
        let now = Instant::now();
        let is_calm = self
            .last_failure
            .is_none_or(|last| now.duration_since(last) >= CALM);
        self.last_failure = Some(now);
        if is_calm {
            self.waits.reset();
        }
        match failure {
            Failure::Refused => AFTER_REFUSAL,
            Failure::Compacted | Failure::Unauthenticated if is_calm => Duration::ZERO,
            _ => self.waits.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_grow_to_the_longest_and_begin_anew_after_a_calm_while() {
        let mut backoff = Backoff::default();
        let mut expected = FIRST;
        for _ in 0..20 {
            let wait = backoff.after(Failure::Unavailable);
            assert!(
                wait <= expected && wait >= expected / 2,
                "{wait:?} of {expected:?}"
            );
            tokio::time::advance(wait).await;
            expected = (expected * 2).min(LONGEST);
        }
        tokio::time::advance(CALM).await;
        assert!(backoff.after(Failure::Unavailable) <= FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn what_needs_no_wait_gets_none_but_only_once() {
        for failure in [Failure::Compacted, Failure::Unauthenticated] {
            let mut backoff = Backoff::default();
            assert_eq!(backoff.after(failure), Duration::ZERO);
            assert!(backoff.after(failure) >= FIRST / 2);
            assert_eq!(backoff.after(Failure::Refused), AFTER_REFUSAL);
        }
    }
}
