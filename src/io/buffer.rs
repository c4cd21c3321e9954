//! Bytes in motion: pooled blocks of memory, [`Chunk`]s that view them, [`Buffer`]s that fill them.
//! A block goes back to its shard's bounded pool when the last view of it is dropped, so that a
//! busy shard allocates nothing. Not for: bytes that cross threads (nothing here is `Send`).
//!
//! ```text
//!            ┌ header (32 bytes) ┬ data ............................................ ┐
//!   block    │ pool, refs, size  │ received or serialised bytes        │ spare       │
//!            └───────────────────┴─────────────────────────────────────┴─────────────┘
//!   Chunk      owner ┘             └ ptr, len ┘       (any number of views, shared by count)
//!   Buffer     owner ┘             └ 0 .. len ┘       (exactly one, writable)
//! ```

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::{self, NonNull};

/// Block sizes that are pooled, header included.
const CLASS_SIZES: [usize; 5] = [4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10];
/// A block of another size, or without a pool: straight from the allocator and back.
const UNPOOLED: u8 = CLASS_SIZES.len() as u8;
/// A block that only owns a `Vec` (see [`Chunk::from_vec`]).
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
pub(super) struct Pool(NonNull<PoolState>);

struct PoolState {
    free: [Cell<*mut Header>; CLASS_SIZES.len()],
    spare_bytes: Cell<usize>,
    spare_limit: usize,
    receive_limit: usize,
    blocks_in_use: Cell<usize>,
    bytes_in_use: Cell<usize>,
    /// Blocks whose header points here, in use or held by a buffer ring.
    alive: Cell<usize>,
    closed: Cell<bool>,
}

impl Pool {
    /// A pool that keeps at most `spare_limit` bytes unused and grants receive buffers while
    /// fewer than `receive_limit` bytes are in use.
    pub(super) fn new(spare_limit: usize, receive_limit: usize) -> Self {
        Pool(NonNull::from(Box::leak(Box::new(PoolState {
            free: [const { Cell::new(ptr::null_mut()) }; CLASS_SIZES.len()],
            spare_bytes: Cell::new(0),
            spare_limit,
            receive_limit,
            blocks_in_use: Cell::new(0),
            bytes_in_use: Cell::new(0),
            alive: Cell::new(0),
            closed: Cell::new(false),
        }))))
    }

    fn state(&self) -> &PoolState {
        // SAFETY: the state lives until the pool is closed and no block points to it; this pool
        // is closed only by its drop.
        unsafe { self.0.as_ref() }
    }

    /// A block of at least `size` bytes, header included. Never refused.
    pub(super) fn take(&self, size: usize) -> Block {
        let class = class_of(size);
        let block = self.state().take(class, size);
        self.state().count_use(block.size());
        block
    }

    /// As [`Pool::take`], unless the limit for receive buffers is reached.
    pub(super) fn take_for_receive(&self, size: usize) -> Option<Block> {
        (self.state().bytes_in_use.get() + size <= self.state().receive_limit)
            .then(|| self.take(size))
    }

    /// As [`Pool::take_for_receive`], leaving a quarter of the limit to others: stalled bodies
    /// must not keep new requests from being read.
    pub(super) fn take_for_body(&self, size: usize) -> Option<Block> {
        let limit = self.state().receive_limit / 4 * 3;
        (self.state().bytes_in_use.get() + size <= limit).then(|| self.take(size))
    }

    /// Lays in unused blocks of `size`, so that the first bursts find some.
    pub(super) fn stock(&self, size: usize, count: usize) {
        let blocks: Vec<Block> = (0..count).map(|_| self.take(size)).collect();
        drop(blocks);
    }

    /// Takes the block out of the count of used ones while a buffer ring holds it.
    pub(super) fn lend_to_ring(&self, block: Block) -> RingBlock {
        self.state().uncount_use(block.size());
        RingBlock(ManuallyDrop::new(block))
    }

    /// Blocks in use, and their bytes.
    pub(super) fn in_use(&self) -> (usize, usize) {
        (
            self.state().blocks_in_use.get(),
            self.state().bytes_in_use.get(),
        )
    }
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
        if self.closed.get() || spare > self.spare_limit {
            return false;
        }
        // SAFETY: the caller hands over the only reference to a live block.
        unsafe { header.as_ref() }.next.set(slot.get());
        slot.set(header.as_ptr());
        self.spare_bytes.set(spare);
        true
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let state = self.state();
        state.closed.set(true);
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
pub(super) struct Block(NonNull<Header>);

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

    fn header(&self) -> &Header {
        // SAFETY: an owner keeps its block alive.
        unsafe { self.0.as_ref() }
    }

    /// Bytes that the block takes, header included.
    fn size(&self) -> usize {
        self.capacity() + HEADER
    }

    /// Bytes for data.
    pub(super) fn capacity(&self) -> usize {
        self.header().capacity as usize
    }

    /// Where the data starts.
    pub(super) fn data(&self) -> *mut u8 {
        // SAFETY: every block but the `Vec` owners (which never use this) has data after its header.
        unsafe { self.0.as_ptr().cast::<u8>().add(HEADER) }
    }

    fn is_unique(&self) -> bool {
        self.header().refs.get() == 1
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
    if cfg!(all(test, debug_assertions)) {
        // Whoever still reads it shall notice.
        // SAFETY: the data part of a block without owner.
        unsafe {
            ptr::write_bytes(
                block.as_ptr().cast::<u8>().add(HEADER),
                0xdd,
                header.capacity as usize,
            )
        };
    }
    let alive = state.alive.get() - 1;
    state.alive.set(alive);
    if !state.keep(block, header.class) {
        // SAFETY: no owner left, and not kept in the list.
        unsafe { deallocate(block) };
    }
    if alive == 0 && state.closed.get() {
        // SAFETY: the pool is gone and this was the last block that pointed to it.
        drop(unsafe { Box::from_raw(pool.as_ptr()) });
    }
}

/// A block that the kernel may write to at any time: held by a buffer ring.
pub(super) struct RingBlock(ManuallyDrop<Block>);

impl RingBlock {
    /// Where the kernel writes.
    pub(super) fn data(&self) -> *mut u8 {
        self.0.data()
    }

    /// How much the kernel may write.
    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// The block after the kernel has given it back.
    pub(super) fn detach(self) -> Block {
        let block = ManuallyDrop::into_inner(self.0);
        // SAFETY: ring blocks come from a pool, whose state lives while they do.
        unsafe { &*block.header().pool }.count_use(block.size());
        block
    }
}

/// Bytes that were received or are to be sent: a cheap view on shared, pooled memory.
///
/// Cloning and splitting share the memory (a non-atomic count); the last view returns it to the
/// shard's pool. A chunk stays on its thread.
pub struct Chunk {
    ptr: *const u8,
    len: usize,
    owner: Option<Block>,
}

impl Chunk {
    /// No bytes.
    pub const fn empty() -> Chunk {
        Chunk::from_static(&[])
    }

    /// A view on constant bytes.
    pub const fn from_static(bytes: &'static [u8]) -> Chunk {
        Chunk {
            ptr: bytes.as_ptr(),
            len: bytes.len(),
            owner: None,
        }
    }

    /// Takes over a vector's memory without copying it. Allocates a header: not for the hot path.
    pub fn from_vec(bytes: Vec<u8>) -> Chunk {
        let (ptr, len) = (bytes.as_ptr(), bytes.len());
        let boxed = Box::new(VecHeader {
            header: Header {
                pool: ptr::null(),
                next: Cell::new(ptr::null_mut()),
                refs: Cell::new(1),
                capacity: 0,
                class: OWNS_VEC,
            },
            vec: bytes,
        });
        Chunk {
            ptr,
            len,
            owner: Some(Block(NonNull::from(Box::leak(boxed)).cast())),
        }
    }

    /// The first `len` bytes of a block that the kernel, or a [`Buffer`], has written to.
    ///
    /// # Safety
    /// These bytes are initialised, and nobody writes to them while the chunk exists.
    pub(super) unsafe fn from_block(block: Block, len: usize) -> Chunk {
        debug_assert!(len <= block.capacity());
        Chunk {
            ptr: block.data(),
            len,
            owner: Some(block),
        }
    }

    /// Number of bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes off and returns the first `n` bytes, or all of them if there are fewer.
    pub fn split_to(&mut self, n: usize) -> Chunk {
        if n >= self.len {
            return std::mem::take(self);
        }
        let head = Chunk {
            ptr: self.ptr,
            len: n,
            owner: self.owner.clone(),
        };
        self.advance(n);
        head
    }

    /// Drops the first `n` bytes, or all of them if there are fewer.
    #[inline]
    pub fn advance(&mut self, n: usize) {
        let n = n.min(self.len);
        // SAFETY: `n <= len`, so the pointer stays within the viewed bytes or one past them.
        self.ptr = unsafe { self.ptr.add(n) };
        self.len -= n;
    }

    /// Keeps only the first `n` bytes.
    #[inline]
    pub fn truncate(&mut self, n: usize) {
        self.len = self.len.min(n);
    }

    /// Appends `bytes` in place, if this is the only view on its block and the block has room.
    /// Keeps many small segments from holding one block each.
    pub(super) fn try_append(&mut self, bytes: &[u8]) -> bool {
        let Some(owner) = &self.owner else {
            return false;
        };
        if !owner.is_unique() || owner.header().class == OWNS_VEC {
            return false;
        }
        let used = (self.ptr as usize) - (owner.data() as usize) + self.len;
        if bytes.len() > owner.capacity() - used {
            return false;
        }
        // SAFETY: the only owner of the block; the target range starts behind every viewed byte
        // and ends within the block; `bytes` borrows other memory, since nobody else views it.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), owner.data().add(used), bytes.len()) };
        self.len += bytes.len();
        true
    }
}

impl Deref for Chunk {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: `ptr` and `len` lie within initialised bytes that `owner` (or 'static) keeps alive.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Clone for Chunk {
    fn clone(&self) -> Self {
        Chunk {
            ptr: self.ptr,
            len: self.len,
            owner: self.owner.clone(),
        }
    }
}

impl Default for Chunk {
    fn default() -> Self {
        Chunk::empty()
    }
}

impl fmt::Debug for Chunk {
    /// The length only: contents may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.len)
    }
}

/// A growing buffer to serialise into; [`Buffer::freeze`] turns it into a [`Chunk`] without a copy.
pub struct Buffer {
    block: Block,
    len: usize,
}

impl Buffer {
    pub(super) fn new(pool: &Pool, size: usize) -> Buffer {
        Buffer {
            block: pool.take(size),
            len: 0,
        }
    }

    /// A buffer without a pool: for places without a reactor, such as tests of a serialiser.
    pub fn unpooled() -> Buffer {
        Buffer {
            block: Block::allocate(ptr::null(), UNPOOLED, CLASS_SIZES[0]),
            len: 0,
        }
    }

    /// Appends bytes, growing if needed.
    #[inline]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        // SAFETY: `reserve` made room for `bytes.len()` bytes behind `len`; the buffer is the
        // block's only owner, so `bytes` lies elsewhere.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.block.data().add(self.len), bytes.len())
        };
        self.len += bytes.len();
    }

    /// Appends one byte.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        self.extend_from_slice(&[byte]);
    }

    /// Makes room for `additional` more bytes: a larger pooled block when the present one is full.
    #[inline]
    pub fn reserve(&mut self, additional: usize) {
        if additional > self.block.capacity() - self.len {
            self.grow(additional);
        }
    }

    #[cold]
    fn grow(&mut self, additional: usize) {
        let wanted = self
            .len
            .saturating_add(additional)
            .max(self.block.capacity() * 2)
            + HEADER;
        let larger = match NonNull::new(self.block.header().pool.cast_mut()) {
            None => Block::allocate(ptr::null(), UNPOOLED, wanted),
            // SAFETY: the pool's state outlives this buffer's block. A closed pool still hands out.
            Some(pool) => unsafe {
                let state = pool.as_ref();
                let block = state.take(class_of(wanted), wanted);
                state.count_use(block.size());
                block
            },
        };
        // SAFETY: `len` initialised bytes, into a distinct and larger block.
        unsafe { ptr::copy_nonoverlapping(self.block.data(), larger.data(), self.len) };
        self.block = larger;
    }

    /// Number of bytes written.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that fit without growing.
    pub fn spare_len(&self) -> usize {
        self.block.capacity() - self.len
    }

    /// Keeps only the first `n` bytes.
    pub fn truncate(&mut self, n: usize) {
        self.len = self.len.min(n);
    }

    /// Forgets the contents, keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Sets the length to `n`, filling with zeros if it grows.
    pub fn resize(&mut self, n: usize) {
        if n > self.len {
            self.reserve(n - self.len);
            // SAFETY: `reserve` made room for the bytes up to `n`.
            unsafe { ptr::write_bytes(self.block.data().add(self.len), 0, n - self.len) };
        }
        self.len = n;
    }

    /// The bytes written, to change in place.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: the first `len` bytes are initialised and this is the block's only owner.
        unsafe { std::slice::from_raw_parts_mut(self.block.data(), self.len) }
    }

    /// The bytes as a chunk, without a copy.
    pub fn freeze(self) -> Chunk {
        let len = self.len;
        // SAFETY: the first `len` bytes are initialised, and the only writer is consumed.
        unsafe { Chunk::from_block(self.block, len) }
    }
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the first `len` bytes are initialised.
        unsafe { std::slice::from_raw_parts(self.block.data(), self.len) }
    }
}

impl fmt::Debug for Buffer {
    /// The length only: contents may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.len)
    }
}

impl std::io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Pool {
        Pool::new(1 << 20, 1 << 20)
    }

    #[test]
    fn a_block_returns_to_the_pool_with_its_last_view() {
        let pool = pool();
        let mut buffer = Buffer::new(&pool, 4096);
        buffer.extend_from_slice(b"hello world");
        let address = buffer.as_ptr();
        let mut chunk = buffer.freeze();
        let head = chunk.split_to(5);
        assert_eq!((&*head, &*chunk), (&b"hello"[..], &b" world"[..]));
        drop(chunk);
        assert_eq!(pool.in_use().0, 1, "the head still views the block");
        drop(head);
        assert_eq!(pool.in_use(), (0, 0));
        assert_eq!(
            Buffer::new(&pool, 4096).as_ptr(),
            address,
            "the same block again"
        );
    }

    #[test]
    fn a_chunk_outlives_its_pool() {
        let pool = pool();
        let mut buffer = Buffer::new(&pool, 4096);
        buffer.extend_from_slice(b"late");
        drop(pool);
        buffer.extend_from_slice(&[b'x'; 100_000]);
        let chunk = buffer.freeze();
        let copy = chunk.clone();
        drop(chunk);
        assert_eq!(&copy[..4], b"late");
    }

    #[test]
    fn growing_keeps_the_bytes_and_uses_larger_blocks() {
        let pool = pool();
        let mut buffer = Buffer::new(&pool, 4096);
        let bytes: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
        for piece in bytes.chunks(777) {
            buffer.extend_from_slice(piece);
        }
        assert_eq!(&*buffer, &bytes[..]);
        drop(buffer);
        assert_eq!(pool.in_use(), (0, 0));
    }

    #[test]
    fn spare_memory_stays_within_its_limit() {
        let pool = Pool::new(8192, 1 << 20);
        let blocks: Vec<_> = (0..10).map(|_| pool.take(4096)).collect();
        drop(blocks);
        assert_eq!(pool.state().spare_bytes.get(), 8192);
    }

    #[test]
    fn receive_buffers_are_refused_above_the_limit_but_serialising_is_not() {
        let pool = Pool::new(0, 8192);
        let held: Vec<_> = (0..2).filter_map(|_| pool.take_for_receive(4096)).collect();
        assert_eq!(held.len(), 2);
        assert!(pool.take_for_receive(4096).is_none());
        let mut buffer = Buffer::new(&pool, 4096);
        buffer.push(1);
        drop((held, buffer));
        assert!(pool.take_for_receive(4096).is_some());
        assert!(pool.take_for_body(4096).is_some());
        assert!(
            pool.take_for_body(8192).is_none(),
            "a quarter is left to heads"
        );
    }

    #[test]
    fn appending_in_place_needs_room_and_a_single_view() {
        let pool = pool();
        let mut buffer = Buffer::new(&pool, 4096);
        buffer.extend_from_slice(b"abc");
        let mut chunk = buffer.freeze();
        chunk.advance(1);
        assert!(chunk.try_append(b"def"));
        assert_eq!(&*chunk, b"bcdef");
        let view = chunk.clone();
        assert!(!chunk.try_append(b"g"), "shared");
        drop(view);
        assert!(!chunk.try_append(&[0; 4096]), "no room");
        assert!(!Chunk::from_static(b"s").try_append(b"t"));
        assert!(!Chunk::from_vec(Vec::with_capacity(64)).try_append(b"t"));
    }

    #[test]
    fn splits_and_cuts_beyond_the_end_take_what_is_there() {
        let mut chunk = Chunk::from_vec(b"0123456789".to_vec());
        assert_eq!(&*chunk.split_to(4), b"0123");
        chunk.truncate(100);
        chunk.advance(2);
        assert_eq!(&*chunk.split_to(100), b"6789");
        assert!(chunk.is_empty());
        chunk.advance(5);
        assert_eq!(chunk.len(), 0);
    }

    #[test]
    fn resize_fills_with_zeros_and_shrinks() {
        let mut buffer = Buffer::unpooled();
        buffer.extend_from_slice(b"ab");
        buffer.resize(4);
        assert_eq!(&*buffer, b"ab\0\0");
        buffer.as_mut_slice()[3] = b'z';
        buffer.resize(1);
        assert_eq!(&*buffer.freeze(), b"a");
    }
}
