//! Where a scenario's decisions come from: a seed, or the bytes that a fuzzer invents. A choice of 0 is
//! always the plainest, so that bytes which have run out end in something plain.

use std::time::Duration;

/// A sequence of decisions.
pub enum Choices {
    /// As many as one likes.
    Seed(u64),
    /// One per byte or two; then zeros.
    Bytes {
        /// What they come from.
        bytes: Vec<u8>,
        /// How many were used.
        used: usize,
    },
}

impl Choices {
    fn byte(bytes: &[u8], used: &mut usize) -> u64 {
        let byte = bytes.get(*used).copied().unwrap_or(0);
        *used += 1;
        u64::from(byte)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        let number = match self {
            Choices::Seed(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                z ^ (z >> 31)
            }
            Choices::Bytes { bytes, used } => {
                let mut number = Self::byte(bytes, used);
                let mut reach = 256;
                while reach < bound {
                    number = number << 8 | Self::byte(bytes, used);
                    reach <<= 8;
                }
                number
            }
        };
        number % bound.max(1)
    }

    /// True in `n` of `of` cases.
    pub fn chance(&mut self, n: u64, of: u64) -> bool {
        self.below(of) >= of - n
    }

    /// One of `values`; the first is the plainest.
    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    /// A time of up to `most` milliseconds.
    pub fn millis(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.below(most + 1))
    }
}
