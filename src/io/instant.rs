//! Monotonic time inside a shard: nanoseconds since the reactor started, cached once per turn.
//! Not for: wall-clock time ([`Handle::wall`](super::Handle::wall)).

use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A point in a reactor's time: nanoseconds since it started. `Copy`, ordered, and only
/// comparable with instants of the same reactor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The start of the reactor.
    pub const ZERO: Instant = Instant(0);
    /// A point that is never reached (584 years after the start).
    pub const NEVER: Instant = Instant(u64::MAX);

    /// The instant `nanos` nanoseconds after the reactor's start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Instant(nanos)
    }

    /// Nanoseconds since the reactor's start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time that passed from `earlier` to `self`; zero if `earlier` is later.
    pub const fn saturating_since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Nanoseconds of a duration, saturating at 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Instant {
    type Output = Instant;
    /// Saturates at [`Instant::NEVER`].
    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(nanos(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;
    /// Zero if `earlier` is later, as [`Instant::saturating_since`].
    fn sub(self, earlier: Instant) -> Duration {
        self.saturating_since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        assert_eq!(Instant::NEVER + Duration::from_secs(1), Instant::NEVER);
        assert_eq!(Instant::ZERO - Instant::NEVER, Duration::ZERO);
        let later = Instant::ZERO + Duration::from_millis(7);
        assert_eq!(later - Instant::ZERO, Duration::from_millis(7));
    }
}
