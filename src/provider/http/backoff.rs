//! How long to wait before the next try.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Waits that double, with chance in them so that a fleet does not come back all at once.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            next: first,
        }
    }

    /// Between three and five quarters of the present wait, which doubles up to the longest.
    pub(super) fn next(&mut self) -> Duration {
        let present = self.next;
        self.next = present.saturating_mul(2).min(self.most);
        // Each state is seeded at random; a hash of nothing is as good as a die.
        let die = RandomState::new().build_hasher().finish() % 1024;
        present.mul_f64(0.75 + die as f64 / 2048.0)
    }

    /// The next wait is the first one again.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        for seconds in [1.0, 2.0, 4.0, 5.0, 5.0] {
            let wait = backoff.next().as_secs_f64();
            assert!((seconds * 0.75..seconds * 1.25).contains(&wait), "{wait}");
        }
        backoff.reset();
        assert!(backoff.next() < Duration::from_millis(1250));
    }

    #[test]
    fn two_of_a_fleet_do_not_wait_equally_long() {
        let wait = || Backoff::new(Duration::from_secs(1), Duration::from_secs(5)).next();
        let first = wait();
        assert!((0..64).any(|_| wait() != first));
    }
}
