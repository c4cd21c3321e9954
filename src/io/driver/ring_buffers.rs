//! A provided-buffer ring: the receive buffers from which the kernel picks when bytes arrive, so
//! that a connection without bytes has no buffer. Not for: deciding who may receive.
//!
//! Reaping detaches the filled block and puts a fresh one from the pool in its place at once, so
//! the ring's level does not depend on how long received bytes are kept. Only when the pool's
//! limit is reached a place stays empty, until `refill` finds memory again.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

use super::super::buffer::{Block, Pool, RingBlock};
use super::super::config::BufferGroup;
use super::Group;

/// Required alignment of the ring (a page).
const ALIGNMENT: usize = 4096;
/// Most buffers that the kernel accepts in one ring.
const MAX_COUNT: u16 = 1 << 15;

/// See the module's text.
pub(super) struct BufferRing {
    group: Group,
    entries: NonNull<BufRingEntry>,
    count: u16,
    size: usize,
    /// The blocks that the kernel may write to, by buffer id.
    blocks: Vec<Option<RingBlock>>,
    /// Ids without a block.
    empty: Vec<u16>,
    /// Next position to fill; the kernel sees it after `publish`.
    tail: u16,
}

impl BufferRing {
    /// An empty ring.
    pub(super) fn new(group: Group, config: BufferGroup) -> BufferRing {
        let count = config.count.clamp(1, MAX_COUNT).next_power_of_two();
        let layout = layout(count);
        // SAFETY: the layout's size is not zero.
        let Some(entries) = NonNull::new(unsafe { alloc_zeroed(layout) }.cast()) else {
            handle_alloc_error(layout)
        };
        BufferRing {
            group,
            entries,
            count,
            size: config.size,
            blocks: (0..count).map(|_| None).collect(),
            empty: (0..count).rev().collect(),
            tail: 0,
        }
    }

    /// Makes the ring known to the kernel.
    pub(super) fn register(&self, submitter: &Submitter<'_>) -> io::Result<()> {
        // SAFETY: the memory is zeroed, page-aligned, of the right size, and freed only after the
        // io_uring is gone (or never, see `forget`).
        unsafe {
            submitter.register_buf_ring_with_flags(
                self.entries.as_ptr() as u64,
                self.count,
                self.group as u16,
                0,
            )
        }
    }

    /// Takes out the block that the kernel has filled and puts a fresh one in its place.
    pub(super) fn detach(&mut self, id: u16, pool: &Pool) -> Option<Block> {
        let filled = self.blocks.get_mut(usize::from(id))?.take()?.detach();
        match pool.take_for_receive(self.size) {
            Some(block) => self.provide(id, pool.lend_to_ring(block)),
            None => self.empty.push(id),
        }
        Some(filled)
    }

    /// Fills empty places, as far as the pool's limit allows.
    pub(super) fn refill(&mut self, pool: &Pool) {
        if self.empty.is_empty() {
            return;
        }
        while let Some(id) = self.empty.pop() {
            let Some(block) = pool.take_for_receive(self.size) else {
                self.empty.push(id);
                break;
            };
            self.provide(id, pool.lend_to_ring(block));
        }
        self.publish();
    }

    /// Buffers that the kernel has.
    pub(super) fn available(&self) -> usize {
        usize::from(self.count) - self.empty.len()
    }

    fn provide(&mut self, id: u16, block: RingBlock) {
        let position = usize::from(self.tail & (self.count - 1));
        // SAFETY: `position < count`. The kernel reads an entry only once the published tail is
        // past it, and has consumed the one before it in this place: there are never more entries
        // than buffer ids. Only fields apart from the one that overlays the tail are written.
        unsafe {
            let entry = &mut *self.entries.as_ptr().add(position);
            entry.set_addr(block.data() as u64);
            entry.set_len(block.capacity() as u32);
            entry.set_bid(id);
        }
        self.blocks[usize::from(id)] = Some(block);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see what was provided.
    pub(super) fn publish(&self) {
        // SAFETY: the tail lies in the first entry's unused field and is 2-byte aligned; both
        // sides access it atomically.
        unsafe {
            let tail = BufRingEntry::tail(self.entries.as_ptr()).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }

    /// Gives up the memory because the kernel may still use it.
    pub(super) fn forget(&mut self) {
        std::mem::forget(std::mem::take(&mut self.blocks));
        self.entries = NonNull::dangling();
        self.count = 0;
    }
}

fn layout(count: u16) -> Layout {
    Layout::from_size_align(usize::from(count) * size_of::<BufRingEntry>(), ALIGNMENT)
        .expect("at most 512 KiB")
}

impl Drop for BufferRing {
    fn drop(&mut self) {
        for block in self.blocks.drain(..).flatten() {
            drop(block.detach());
        }
        if self.count > 0 {
            // SAFETY: allocated in `new` with this layout; the io_uring no longer exists.
            unsafe { dealloc(self.entries.as_ptr().cast(), layout(self.count)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_place_is_refilled_at_once_and_an_exhausted_pool_leaves_it_empty() {
        let pool = Pool::new(0, 4 * 4096);
        let config = BufferGroup {
            count: 4,
            size: 4096,
        };
        let mut ring = BufferRing::new(Group::Downstream, config);
        ring.refill(&pool);
        assert_eq!(
            (ring.available(), pool.in_use().0),
            (4, 0),
            "what the ring holds is not in use"
        );
        let mut held: Vec<_> = (0..4).filter_map(|id| ring.detach(id, &pool)).collect();
        assert_eq!(
            (held.len(), ring.available()),
            (4, 3),
            "one place found no memory"
        );
        assert!(ring.detach(3, &pool).is_none(), "an id without a block");
        ring.refill(&pool);
        assert_eq!(ring.available(), 3);
        held.pop();
        ring.refill(&pool);
        assert_eq!(ring.available(), 4);
    }
}
