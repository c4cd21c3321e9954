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
mod block;

use std::fmt;
use std::ops::Deref;
use std::ptr;

pub(super) use block::{Block, Pool, RingBlock};

/// Bytes of a buffer's first block where there is no pool, header included.
const UNPOOLED_BUFFER: usize = 4 << 10;

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
        Chunk {
            ptr,
            len,
            owner: Some(Block::of_vec(bytes)),
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
        if !owner.is_unique() || owner.is_vec() {
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
            block: Block::unpooled(UNPOOLED_BUFFER),
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
            .max(self.block.capacity() * 2);
        let larger = self.block.sibling(wanted);
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
mod tests;
