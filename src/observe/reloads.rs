//! What configuration changes come to in numbers: how many, how long each took, how many sources failed. Written by the control thread, read by the API; an exposition only has to format them.
//! Not here: requests (`counters`), rejected objects and conflicts, which planning counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Upper bounds of the histogram's buckets, in microseconds; one more bucket has what took longer.
pub const APPLY_BUCKETS: [u64; 12] = [
    500, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000,
];

/// The numbers of one process, since its start.
#[derive(Debug, Default)]
pub struct Reloads {
    /// Generations that became effective on every shard.
    pub effective: AtomicU64,
    /// When the last one did, in milliseconds since 1970; 0 before the first.
    pub last_effective_ms: AtomicU64,
    /// How often a provider could not read its source, or had another reason why not than before.
    pub failures: AtomicU64,
    /// How long generations took from planning to every shard.
    pub apply: Histogram,
}

/// How long things took, in buckets.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; APPLY_BUCKETS.len() + 1],
    sum_us: AtomicU64,
    min_us: AtomicU64,
    max_us: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: Default::default(),
            sum_us: AtomicU64::new(0),
            min_us: AtomicU64::new(u64::MAX),
            max_us: AtomicU64::new(0),
        }
    }
}

/// A histogram's numbers at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Times {
    /// How many were timed.
    pub count: u64,
    /// How long all took, in seconds.
    pub sum: f64,
    /// The shortest, in seconds; 0 if there is none.
    pub min: f64,
    /// The longest, in seconds.
    pub max: f64,
    /// For each upper bound in seconds how many took no longer.
    pub buckets: Vec<(f64, u64)>,
}

impl Reloads {
    /// Notes that a generation is effective on every shard.
    pub fn note_effective(&self) {
        self.effective.fetch_add(1, Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        self.last_effective_ms.store(now, Relaxed);
    }
}

impl Histogram {
    /// Notes how long something took.
    pub fn note(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = APPLY_BUCKETS.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
        self.min_us.fetch_min(us, Relaxed);
        self.max_us.fetch_max(us, Relaxed);
    }

    /// The numbers now.
    pub fn times(&self) -> Times {
        let mut count = 0;
        let mut cumulative = |bucket: &AtomicU64| {
            count += bucket.load(Relaxed);
            count
        };
        let buckets = APPLY_BUCKETS.iter().zip(&self.buckets);
        let buckets: Vec<_> = buckets
            .map(|(bound, bucket)| (seconds(*bound), cumulative(bucket)))
            .collect();
        cumulative(&self.buckets[APPLY_BUCKETS.len()]);
        let min = self.min_us.load(Relaxed);
        Times {
            count,
            sum: seconds(self.sum_us.load(Relaxed)),
            min: if count == 0 { 0.0 } else { seconds(min) },
            max: seconds(self.max_us.load(Relaxed)),
            buckets,
        }
    }
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_in_the_buckets_that_they_do_not_exceed() {
        let histogram = Histogram::default();
        let none = histogram.times();
        assert_eq!(
            (none.count, none.sum, none.min, none.max),
            (0, 0.0, 0.0, 0.0)
        );
        for us in [100, 500, 501, 7_000, 60_000_000] {
            histogram.note(Duration::from_micros(us));
        }
        let times = histogram.times();
        assert_eq!((times.count, times.min, times.max), (5, 0.0001, 60.0));
        let cumulative: Vec<u64> = times.buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(cumulative, [2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4]);
        assert_eq!(times.buckets[0].0, 0.0005);
    }
}
