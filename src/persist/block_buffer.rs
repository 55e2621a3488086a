//! Block buffer: bytes that begin at a block's boundary in memory, as direct writes want them.
//!
//! Promises  `as_slice` begins at a multiple of [`BLOCK_BYTES`]; growing keeps that, and what is in it.
//! Tests     tests/persist/log.rs.

use crate::base::long_copy;

/// What direct writes are aligned to, in memory and in files: the largest block that common disks have.
pub const BLOCK_BYTES: usize = 4096;

/// A growing buffer at an aligned address.
#[derive(Debug, Default)]
pub struct BlockBuffer {
    /// `start` bytes that are in nobody's way, then the contents.
    bytes: Vec<u8>,
    start: usize,
}

impl BlockBuffer {
    /// An empty one with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut buffer =
            Vec::<u8>::with_capacity(bytes.next_multiple_of(BLOCK_BYTES) + BLOCK_BYTES);
        let start = buffer.as_ptr().addr().next_multiple_of(BLOCK_BYTES) - buffer.as_ptr().addr();
        buffer.resize(start, 0);
        Self {
            bytes: buffer,
            start,
        }
    }

    /// The contents.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The contents, to be changed in place.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    /// How many bytes are in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes it holds without growing.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity() - self.start
    }

    /// Appends bytes.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        long_copy::append(&mut self.bytes, bytes);
    }

    /// Appends zeros up to the next multiple of `to`.
    pub fn pad(&mut self, to: usize) {
        let length = self.len().next_multiple_of(to);
        self.reserve(length - self.len());
        self.bytes.resize(self.start + length, 0);
    }

    /// Drops what is past `length`.
    pub fn truncate(&mut self, length: usize) {
        self.bytes.truncate(self.start + length);
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// A vector that grows by itself would move its bytes to another alignment.
    #[inline]
    fn reserve(&mut self, more: usize) {
        if self.bytes.capacity() - self.bytes.len() < more {
            self.grow(more);
        }
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let mut larger = Self::with_capacity((self.len() + more).max(2 * self.capacity()));
        larger.bytes.extend_from_slice(self.as_slice());
        *self = larger;
    }
}
