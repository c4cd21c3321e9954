//! The byte pattern every body carries, so that a receiver can check content and position, not only length.

/// The pattern's period: prime, so that a shift by a buffer or page size never goes unnoticed.
const PERIOD: usize = 251;

/// `length` bytes of the pattern, from its start.
pub fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % PERIOD) as u8).collect()
}

/// Checks received bytes against the pattern.
pub struct Checker {
    reference: Vec<u8>,
}

impl Checker {
    /// Makes the reference that bytes are compared with, a slice at a time.
    pub fn new() -> Checker {
        Checker {
            reference: bytes(64 * 1024 + PERIOD),
        }
    }

    /// Whether `received` is what a body holds from byte `offset` on.
    pub fn matches(&self, offset: u64, received: &[u8]) -> bool {
        let mut at = (offset % PERIOD as u64) as usize;
        let mut rest = received;
        while !rest.is_empty() {
            let length = rest.len().min(self.reference.len() - at);
            if rest[..length] != self.reference[at..at + length] {
                return false;
            }
            rest = &rest[length..];
            at = (at + length) % PERIOD;
        }
        true
    }
}

impl Default for Checker {
    fn default() -> Checker {
        Checker::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_matches_in_any_split_and_a_shift_does_not() {
        let body = bytes(300_000);
        let checker = Checker::new();
        for split in [1, 250, 251, 4096, 70_000] {
            assert!(checker.matches(0, &body[..split]));
            assert!(checker.matches(split as u64, &body[split..]));
            assert!(!checker.matches(split as u64 + 1, &body[split..]));
        }
    }
}
