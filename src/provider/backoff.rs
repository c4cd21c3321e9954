//! Waits between tries: they double, with chance in them, so that a fleet that lost the same server does not come back in
//! step. Not here: which failure waits how long.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waits that grow from the first to the longest.
#[derive(Debug)]
pub(super) struct Waits {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Waits {
    pub(super) const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// Between half of the present wait and all of it; the one after is twice as long.
    pub(super) fn next(&mut self) -> Duration {
        let present = self.next;
        self.next = present.saturating_mul(2).min(self.longest);
        present.mul_f64(1.0 - 0.5 * random_fraction())
    }

    /// The next wait is the first one again.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Between 0 and 1. The standard library's hash seeds are random enough to spread a fleet.
fn random_fraction() -> f64 {
    let bits = u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or_default();
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let mut waits = Waits::new(Duration::from_secs(1), Duration::from_secs(5));
        for seconds in [1.0, 2.0, 4.0, 5.0, 5.0] {
            let wait = waits.next().as_secs_f64();
            assert!((seconds * 0.5..=seconds).contains(&wait), "{wait}");
        }
        waits.reset();
        assert!(waits.next() <= Duration::from_secs(1));
    }

    #[test]
    fn two_of_a_fleet_do_not_wait_equally_long() {
        let wait = || Waits::new(Duration::from_secs(1), Duration::from_secs(5)).next();
        let first = wait();
        assert!((0..64).any(|_| wait() != first));
    }
}
