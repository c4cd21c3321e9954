//! A shard's counters as other threads may read them: written by the shard alone, with plain stores, a
//! moment old. Not here: what is counted (`io`, `exchange`).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often a shard publishes its counters.
pub const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// The published counters of one shard.
#[derive(Debug, Default)]
pub struct Counters {
    /// Set when the shard publishes for the first time: which counters there are does not change.
    values: OnceLock<Box<[(&'static str, AtomicU64)]>>,
}

impl Counters {
    /// Publishes the present values; always the same counters in the same order.
    pub fn publish(&self, counters: impl Iterator<Item = (&'static str, u64)> + Clone) {
        let values = self.values.get_or_init(|| {
            counters
                .clone()
                .map(|(name, _)| (name, AtomicU64::new(0)))
                .collect()
        });
        for ((_, cell), (_, value)) in values.iter().zip(counters) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    /// Every counter's name and last published value; nothing before the first time.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let values = self.values.get().map_or(&[][..], |values| values);
        values
            .iter()
            .map(|(name, value)| (*name, value.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_published_last_is_read() {
        let counters = Counters::default();
        assert_eq!(counters.iter().count(), 0);
        counters.publish([("a", 1), ("b", 2)].into_iter());
        counters.publish([("a", 3), ("b", 4)].into_iter());
        assert_eq!(counters.iter().collect::<Vec<_>>(), [("a", 3), ("b", 4)]);
    }
}
