//! How much memory a target takes at a time: a blow-up is a finding, long before the machine has no memory left.
//!
//! The allocator counts what the current thread has, and nothing else.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Bytes in use and the most there were; negative where another thread's memory was given back.
    static IN_USE: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

fn count(bytes: isize) {
    // A thread that ends has no cells any more and counts no more.
    let _ = IN_USE.try_with(|cell| {
        let (now, most) = cell.get();
        let now = now + bytes;
        cell.set((now, most.max(now)));
    });
}

// SAFETY: every call is passed on to the system's allocator as it is; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size as isize - layout.size() as isize);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

/// Runs `work` and asserts that it never had more than `most` bytes beyond what there was before.
///
/// # Panics
/// It had more.
pub fn within<T>(most: usize, work: impl FnOnce() -> T) -> T {
    let before = IN_USE.with(|cell| {
        let (now, _) = cell.get();
        cell.set((now, now));
        now
    });
    let result = work();
    let peak = IN_USE.with(|cell| cell.get().1 - before);
    assert!(
        usize::try_from(peak).unwrap_or(0) <= most,
        "took {peak} bytes of memory at a time, where {most} are the limit"
    );
    result
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn what_is_given_back_does_not_count() {
        let total: usize = within(5_000, || (0..100).map(|_| vec![1_u8; 4_000].len()).sum());
        assert_eq!(total, 400_000);
    }

    #[test]
    #[should_panic(expected = "took")]
    fn what_is_kept_counts() {
        within(5_000, || {
            (0..2).map(|_| vec![1_u8; 4_000]).collect::<Vec<_>>()
        });
    }
}
