//! Gives freed memory back to the system at moments that the program chooses.
//!
//! The allocator keeps what was freed and returns it only when the thread that freed it allocates again some time later.
//! After a bulk load there is no later: what the load no longer needs would stay resident for good. Not for: steady
//! work, where memory that was just freed is best used again.

/// From this many objects in one change on it is worth its while. Below, the next change uses the memory again.
pub const BULK_OBJECTS: usize = 1000;

/// Returns this thread's empty pages, and what all threads have returned to the allocator so far, to the system. Takes
/// milliseconds after a large load; never to be called on a shard.
pub fn return_freed() {
    // SAFETY: it may be called at any time on any thread; it touches only memory that the allocator owns, in a program
    // whose global allocator is another one as well.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_stays() {
        let held: Vec<String> = (0..BULK_OBJECTS).map(|n| n.to_string()).collect();
        let freed: Vec<Vec<u8>> = (0..64).map(|_| vec![1; 100_000]).collect();
        drop(freed);
        return_freed();
        assert!(
            held.iter()
                .enumerate()
                .all(|(n, text)| *text == n.to_string())
        );
    }
}
