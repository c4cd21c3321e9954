//! Blocks of memory with a count of their owners, and the pool of each shard that keeps them when the last owner is gone.
//! Not here: what is in a block (`super`), and rings of them (`driver::ring_buffers`).

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

/// Block sizes that are pooled, header included.
const CLASS_SIZES: [usize; 5] = [4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10];
/// A block of another size, or without a pool: straight from the allocator and back.
const UNPOOLED: u8 = CLASS_SIZES.len() as u8;
/// A block that only owns a `Vec` (see `Chunk::from_vec`).
const OWNS_VEC: u8 = UNPOOLED + 1;
/// Bytes of a block that its header takes.
const HEADER: usize = size_of::<Header>();

/// The start of every block.
#[repr(C, align(16))]
struct Header {
    /// The pool it returns to; null if none.
    pool: *const PoolState,
    /// The next free block, while it is in a pool's free list.
    next: Cell<*mut Header>,
    /// Owners: one per `Block`.
    refs: Cell<u32>,
    /// Bytes after the header. At most 4 GiB, so that a header stays small.
    capacity: u32,
    class: u8,
}

/// A block of class [`OWNS_VEC`].
#[repr(C)]
struct VecHeader {
    header: Header,
    vec: Vec<u8>,
}

/// The smallest class that holds `size` bytes (header included), or [`UNPOOLED`].
fn class_of(size: usize) -> u8 {
    CLASS_SIZES
        .iter()
        .position(|&s| size <= s)
        .unwrap_or(UNPOOLED as usize) as u8
}

/// One shard's bounded store of blocks. Dropping it lets blocks that are still in use live on;
/// the last of them takes the state with it.
pub(in crate::io) struct Pool(NonNull<PoolState>);

pub(super) struct PoolState {
    free: [Cell<*mut Header>; CLASS_SIZES.len()],
    pub(super) spare_bytes: Cell<usize>,
    spare_limit: usize,
    receive_limit: usize,
    blocks_in_use: Cell<usize>,
    bytes_in_use: Cell<usize>,
    /// Blocks whose header points here, in use or held by a buffer ring.
    alive: Cell<usize>,
    /// Bits of [`CLOSED`] and [`POISONS`]: one look finds that nothing is unusual.
    unusual: Cell<u8>,
}

/// The pool is gone.
const CLOSED: u8 = 1;
/// Blocks are overwritten when they come back, so that whoever still reads one notices.
const POISONS: u8 = 2;
/// With what.
const POISON: u8 = 0xdd;

impl Pool {
    /// A pool that keeps at most `spare_limit` bytes unused and grants receive buffers while
    /// fewer than `receive_limit` bytes are in use.
    pub(in crate::io) fn new(spare_limit: usize, receive_limit: usize) -> Self {
        Pool(NonNull::from(Box::leak(Box::new(PoolState {
            free: [const { Cell::new(ptr::null_mut()) }; CLASS_SIZES.len()],
            spare_bytes: Cell::new(0),
            spare_limit,
            receive_limit,
            blocks_in_use: Cell::new(0),
            bytes_in_use: Cell::new(0),
            alive: Cell::new(0),
            unusual: Cell::new(if cfg!(all(test, debug_assertions)) {
                POISONS
            } else {
                0
            }),
        }))))
    }

    pub(super) fn state(&self) -> &PoolState {
        // SAFETY: the state lives until the pool is closed and no block points to it; this pool
        // is closed only by its drop.
        unsafe { self.0.as_ref() }
    }

    /// A block of at least `size` bytes, header included. Never refused.
    pub(in crate::io) fn take(&self, size: usize) -> Block {
        let class = class_of(size);
        let block = self.state().take(class, size);
        self.state().count_use(block.size());
        block
    }

    /// As [`Pool::take`], unless the limit for receive buffers is reached.
    pub(in crate::io) fn take_for_receive(&self, size: usize) -> Option<Block> {
        (self.state().bytes_in_use.get() + size <= self.state().receive_limit)
            .then(|| self.take(size))
    }

    /// As [`Pool::take_for_receive`], leaving a quarter of the limit to others: stalled bodies
    /// must not keep new requests from being read.
    pub(in crate::io) fn take_for_body(&self, size: usize) -> Option<Block> {
        let limit = self.state().receive_limit / 4 * 3;
        (self.state().bytes_in_use.get() + size <= limit).then(|| self.take(size))
    }

    /// Lays in unused blocks of `size`, so that the first bursts find some.
    pub(in crate::io) fn stock(&self, size: usize, count: usize) {
        let blocks: Vec<Block> = (0..count).map(|_| self.take(size)).collect();
        drop(blocks);
    }

    /// Takes the block out of the count of used ones while a buffer ring holds it.
    pub(in crate::io) fn lend_to_ring(&self, block: Block) -> RingBlock {
        self.state().uncount_use(block.size());
        RingBlock(ManuallyDrop::new(block))
    }

    /// Receive buffers of `size` that would be granted now.
    pub(in crate::io) fn room_for_receives(&self, size: usize) -> usize {
        let state = self.state();
        state.receive_limit.saturating_sub(state.bytes_in_use.get()) / size
    }

    /// From now on blocks that come back are overwritten. For simulations: it costs.
    pub(in crate::io) fn poison(&self) {
        let state = self.state();
        state.unusual.set(state.unusual.get() | POISONS);
    }

    /// How many unused blocks somebody has written to since they came back; without
    /// [`Pool::poison`], none are known.
    pub(in crate::io) fn spoiled(&self) -> usize {
        let state = self.state();
        if state.unusual.get() & POISONS == 0 {
            return 0;
        }
        let mut spoiled = 0;
        for slot in &state.free {
            let mut next = slot.get();
            while let Some(header) = NonNull::new(next) {
                // SAFETY: blocks in the free list are live, initialised by `poison`, and owned by
                // the list alone.
                unsafe {
                    spoiled += usize::from(is_spoiled(header));
                    next = header.as_ref().next.get();
                }
            }
        }
        spoiled
    }

    /// Blocks in use, and their bytes.
    pub(in crate::io) fn in_use(&self) -> (usize, usize) {
        (
            self.state().blocks_in_use.get(),
            self.state().bytes_in_use.get(),
        )
    }
}

/// Whether somebody has written to a poisoned block.
///
/// # Safety
/// The block is live, initialised by poison, and nobody else's.
unsafe fn is_spoiled(header: NonNull<Header>) -> bool {
    // SAFETY: the caller's promise.
    let bytes = unsafe {
        let data = header.as_ptr().cast::<u8>().add(HEADER);
        std::slice::from_raw_parts(data, header.as_ref().capacity as usize)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let whole = words.iter().all(|word| *word == [POISON; 8]);
    !whole || rest.iter().any(|&byte| byte != POISON)
}

impl PoolState {
    fn take(&self, class: u8, size: usize) -> Block {
        self.alive.set(self.alive.get() + 1);
        let pool: *const PoolState = self;
        let Some(slot) = self.free.get(class as usize) else {
            return Block::allocate(pool, UNPOOLED, size);
        };
        let Some(header) = NonNull::new(slot.get()) else {
            return Block::allocate(pool, class, CLASS_SIZES[class as usize]);
        };
        // SAFETY: blocks in the free list are live and owned by the list alone.
        let h = unsafe { header.as_ref() };
        if self.unusual.get() & POISONS != 0 {
            // SAFETY: as above, and blocks are poisoned before they come into the list.
            let spoiled = unsafe { is_spoiled(header) };
            assert!(!spoiled, "a buffer was written to after it came back");
        }
        slot.set(h.next.get());
        self.spare_bytes
            .set(self.spare_bytes.get() - CLASS_SIZES[class as usize]);
        debug_assert_eq!(h.refs.get(), 0);
        h.refs.set(1);
        Block(header)
    }

    fn count_use(&self, size: usize) {
        self.blocks_in_use.set(self.blocks_in_use.get() + 1);
        self.bytes_in_use.set(self.bytes_in_use.get() + size);
    }

    fn uncount_use(&self, size: usize) {
        self.blocks_in_use.set(self.blocks_in_use.get() - 1);
        self.bytes_in_use.set(self.bytes_in_use.get() - size);
    }

    /// Takes back a block without owners; returns whether it is kept in the free list.
    fn keep(&self, header: NonNull<Header>, class: u8) -> bool {
        let Some(slot) = self.free.get(class as usize) else {
            return false;
        };
        let spare = self.spare_bytes.get() + CLASS_SIZES[class as usize];
        if spare > self.spare_limit {
            return false;
        }
        if self.unusual.get() != 0 && !self.keep_unusually(header) {
            return false;
        }
        // SAFETY: the caller hands over the only reference to a live block.
        unsafe { header.as_ref() }.next.set(slot.get());
        slot.set(header.as_ptr());
        self.spare_bytes.set(spare);
        true
    }
}

impl PoolState {
    /// Overwrites the block, or refuses it because the pool is gone.
    #[cold]
    fn keep_unusually(&self, header: NonNull<Header>) -> bool {
        if self.unusual.get() & CLOSED != 0 {
            return false;
        }
        // SAFETY: the caller hands over the only reference to a live block.
        unsafe { poison(header) };
        true
    }

    fn is_closed(&self) -> bool {
        self.unusual.get() & CLOSED != 0
    }
}

/// Overwrites the data of a block.
///
/// # Safety
/// The block is live and has no owner.
unsafe fn poison(block: NonNull<Header>) {
    // SAFETY: the data part of the caller's block, which has its header before it.
    unsafe {
        let capacity = block.as_ref().capacity as usize;
        ptr::write_bytes(block.as_ptr().cast::<u8>().add(HEADER), POISON, capacity);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let state = self.state();
        state.unusual.set(state.unusual.get() | CLOSED);
        for (class, slot) in state.free.iter().enumerate() {
            while let Some(header) = NonNull::new(slot.get()) {
                // SAFETY: blocks in the free list are live and owned by the list alone.
                slot.set(unsafe { header.as_ref() }.next.get());
                debug_assert_ne!(class as u8, UNPOOLED);
                // SAFETY: allocated by `Block::allocate`, unlinked just now, no owner left.
                unsafe { deallocate(header) };
            }
        }
        if state.alive.get() == 0 {
            // SAFETY: created by `Box::leak`; no block points to it and the pool is going away.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

/// Gives a block's memory back to the allocator.
///
/// # Safety
/// `header` must come from [`Block::allocate`] and have no owner and no list that holds it.
unsafe fn deallocate(header: NonNull<Header>) {
    // SAFETY: the caller guarantees a live block.
    let size = unsafe { header.as_ref() }.capacity as usize + HEADER;
    let layout =
        Layout::from_size_align(size, align_of::<Header>()).expect("a layout that was allocated");
    // SAFETY: same layout as in `Block::allocate`.
    unsafe { dealloc(header.as_ptr().cast(), layout) }
}

/// One owner of a block. Dropping the last one returns the memory to its pool.
pub(in crate::io) struct Block(NonNull<Header>);

impl Block {
    /// A new block of `size` bytes, header included, with one owner.
    fn allocate(pool: *const PoolState, class: u8, size: usize) -> Block {
        let size = size.max(HEADER + 1);
        let capacity = u32::try_from(size - HEADER).expect("a buffer of less than 4 GiB");
        let layout = Layout::from_size_align(size, align_of::<Header>())
            .expect("a buffer of less than 4 GiB");
        // SAFETY: the layout's size is not zero.
        let Some(header) = NonNull::new(unsafe { alloc(layout) }.cast::<Header>()) else {
            handle_alloc_error(layout)
        };
        // SAFETY: fresh memory, large and aligned enough for the header.
        unsafe {
            header.write(Header {
                pool,
                next: Cell::new(ptr::null_mut()),
                refs: Cell::new(1),
                capacity,
                class,
            });
        }
        Block(header)
    }

    /// A new block of `size` bytes, header included, that no pool knows.
    pub(super) fn unpooled(size: usize) -> Block {
        Block::allocate(ptr::null(), UNPOOLED, size)
    }

    /// The owner of a vector, which has no data of its own.
    pub(super) fn of_vec(vec: Vec<u8>) -> Block {
        let header = Header {
            pool: ptr::null(),
            next: Cell::new(ptr::null_mut()),
            refs: Cell::new(1),
            capacity: 0,
            class: OWNS_VEC,
        };
        let boxed = Box::new(VecHeader { header, vec });
        Block(NonNull::from(Box::leak(boxed)).cast())
    }

    /// Another block from where this one came from, for at least `capacity` bytes of data.
    pub(super) fn sibling(&self, capacity: usize) -> Block {
        let size = capacity.saturating_add(HEADER);
        let Some(pool) = NonNull::new(self.header().pool.cast_mut()) else {
            return Block::unpooled(size);
        };
        // SAFETY: the pool's state outlives this block. A closed pool still hands out.
        let state = unsafe { pool.as_ref() };
        let block = state.take(class_of(size), size);
        state.count_use(block.size());
        block
    }

    fn header(&self) -> &Header {
        // SAFETY: an owner keeps its block alive.
        unsafe { self.0.as_ref() }
    }

    /// Bytes that the block takes, header included.
    fn size(&self) -> usize {
        self.capacity() + HEADER
    }

    /// Bytes for data.
    pub(in crate::io) fn capacity(&self) -> usize {
        self.header().capacity as usize
    }

    /// Where the data starts.
    pub(in crate::io) fn data(&self) -> *mut u8 {
        // SAFETY: every block but the `Vec` owners (which never use this) has data after its header.
        unsafe { self.0.as_ptr().cast::<u8>().add(HEADER) }
    }

    pub(super) fn is_unique(&self) -> bool {
        self.header().refs.get() == 1
    }

    /// Whether it only owns a vector.
    pub(super) fn is_vec(&self) -> bool {
        self.header().class == OWNS_VEC
    }
}

impl Clone for Block {
    #[inline]
    fn clone(&self) -> Self {
        let refs = &self.header().refs;
        refs.set(
            refs.get()
                .checked_add(1)
                .expect("fewer than 2^32 views of one buffer"),
        );
        Block(self.0)
    }
}

impl Drop for Block {
    #[inline]
    fn drop(&mut self) {
        let header = self.header();
        let refs = header.refs.get() - 1;
        header.refs.set(refs);
        if refs == 0 {
            // SAFETY: this was the last owner.
            unsafe { release(self.0) }
        }
    }
}

/// What happens when the last owner of a block is dropped.
///
/// # Safety
/// The block has no owner and is in no list.
unsafe fn release(block: NonNull<Header>) {
    // SAFETY: the caller guarantees a live block.
    let header = unsafe { block.as_ref() };
    if header.class == OWNS_VEC {
        // SAFETY: blocks of this class are boxed `VecHeader`s, which start with their header.
        drop(unsafe { Box::from_raw(block.as_ptr().cast::<VecHeader>()) });
        return;
    }
    let Some(pool) = NonNull::new(header.pool.cast_mut()) else {
        // SAFETY: no owner left; a block without a pool is in no list.
        return unsafe { deallocate(block) };
    };
    // SAFETY: the pool's state outlives every block that points to it (counted in `alive`).
    let state = unsafe { pool.as_ref() };
    state.uncount_use(header.capacity as usize + HEADER);
    let alive = state.alive.get() - 1;
    state.alive.set(alive);
    if !state.keep(block, header.class) {
        // SAFETY: no owner left, and not kept in the list.
        unsafe { deallocate(block) };
    }
    if alive == 0 && state.is_closed() {
        // SAFETY: the pool is gone and this was the last block that pointed to it.
        drop(unsafe { Box::from_raw(pool.as_ptr()) });
    }
}

/// A block that the kernel may write to at any time: held by a buffer ring.
pub(in crate::io) struct RingBlock(ManuallyDrop<Block>);

impl RingBlock {
    /// Where the kernel writes.
    pub(in crate::io) fn data(&self) -> *mut u8 {
        self.0.data()
    }

    /// How much the kernel may write.
    pub(in crate::io) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// The block after the kernel has given it back.
    pub(in crate::io) fn detach(self) -> Block {
        let block = ManuallyDrop::into_inner(self.0);
        // SAFETY: ring blocks come from a pool, whose state lives while they do.
        unsafe { &*block.header().pool }.count_use(block.size());
        block
    }
}
