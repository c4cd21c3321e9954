//! Latencies in logarithmic buckets: constant memory, under 1.6 % error, no allocation while recording.

/// Sub-buckets per power of two, as a power of two.
const PRECISION: u32 = 6;
const PER_OCTAVE: usize = 1 << PRECISION;
const OCTAVES: usize = 64 - PRECISION as usize;

/// Counts of durations in nanoseconds.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Histogram {
        Histogram {
            counts: vec![0; PER_OCTAVE * (OCTAVES + 1)],
            total: 0,
            max: 0,
        }
    }

    /// Counts one duration of `nanos` nanoseconds.
    pub fn record(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
        self.max = 0;
    }

    /// The duration in nanoseconds that a share `quantile` (0 to 1) of the recorded ones does not exceed; 0 if empty.
    pub fn quantile(&self, quantile: f64) -> u64 {
        let wanted = ((self.total as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_bound(index).min(self.max);
            }
        }
        self.max
    }

    /// The longest duration in nanoseconds.
    pub fn max(&self) -> u64 {
        self.max
    }
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram::new()
    }
}

/// Values below `PER_OCTAVE` have a bucket each; above, the leading bits select it.
fn bucket(nanos: u64) -> usize {
    if nanos < PER_OCTAVE as u64 {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - PRECISION;
    let mantissa = (nanos >> shift) as usize - PER_OCTAVE;
    (shift as usize + 1) * PER_OCTAVE + mantissa
}

fn upper_bound(index: usize) -> u64 {
    if index < PER_OCTAVE {
        return index as u64;
    }
    let shift = index / PER_OCTAVE - 1;
    let mantissa = (index % PER_OCTAVE + PER_OCTAVE) as u64;
    (mantissa << shift) + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lands_in_a_bucket_whose_bound_is_within_the_stated_error() {
        for power in 0..63 {
            for value in [1_u64 << power, (1 << power) + 1, (1 << power) * 2 - 1] {
                let bound = upper_bound(bucket(value));
                assert!(bound >= value, "{value} {bound}");
                assert!((bound - value) as f64 <= value as f64 / 64.0, "{value}");
            }
        }
        assert!(bucket(u64::MAX) < Histogram::new().counts.len());
    }

    #[test]
    fn quantiles_of_a_uniform_series_are_its_ranks() {
        let mut histogram = Histogram::new();
        (1..=1000).for_each(|value| histogram.record(value * 1000));
        let p50 = histogram.quantile(0.5);
        assert!((500_000..=508_000).contains(&p50), "{p50}");
        assert_eq!(histogram.quantile(1.0), 1_000_000);
    }
}
