//! Block buffer: bytes that begin at a block's boundary in memory, as direct writes want them.
//!
//! Promises  `as_slice` begins at a multiple of [`BLOCK_BYTES`]; growing keeps that, and what is in it.
//! Not here  memory on huge pages: `ds/block_pool.rs`.
//! Tests     tests/ds/block_buffer.rs.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use super::block_pool::Slot;
use crate::base::long_copy;

/// What direct writes are aligned to, in memory and in files: the largest block that common disks have.
pub const BLOCK_BYTES: usize = 4096;

/// A growing buffer at an aligned address.
#[derive(Debug)]
pub struct BlockBuffer {
    /// At a multiple of [`BLOCK_BYTES`]; dangling while `capacity` is 0.
    start: NonNull<u8>,
    /// So many bytes from there have been written.
    length: usize,
    /// A multiple of [`BLOCK_BYTES`].
    capacity: usize,
    /// Whose memory it is; none: the heap's.
    slot: Option<Slot>,
}

// SAFETY: the memory belongs to this value alone, and nothing in it is bound to a thread.
unsafe impl Send for BlockBuffer {}
// SAFETY: whoever shares it can only read.
unsafe impl Sync for BlockBuffer {}

impl Default for BlockBuffer {
    fn default() -> Self {
        Self {
            start: NonNull::dangling(),
            length: 0,
            capacity: 0,
            slot: None,
        }
    }
}

impl BlockBuffer {
    /// An empty one with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        let capacity = bytes.next_multiple_of(BLOCK_BYTES);
        if capacity == 0 {
            return Self::default();
        }
        let layout = layout(capacity);
        // SAFETY: `capacity` is not 0.
        let memory = unsafe { alloc(layout) };
        Self {
            start: NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout)),
            length: 0,
            capacity,
            slot: None,
        }
    }

    /// An empty one in a slot.
    pub(super) fn in_slot(slot: Slot) -> Self {
        Self {
            start: slot.start(),
            length: 0,
            capacity: slot.bytes(),
            slot: Some(slot),
        }
    }

    /// Whether its memory is a slot's.
    pub fn is_in_slot(&self) -> bool {
        self.slot.is_some()
    }

    /// The contents.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: so many bytes have been written, and they are borrowed as this value is.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    /// The contents, to be changed in place.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above; nobody else has them.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }

    /// How many bytes are in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes it holds without growing.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Appends bytes.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        // SAFETY: there is room for all of it.
        unsafe {
            match long_copy::is_long(bytes.len()) {
                true => long_copy::pieces(bytes).for_each(|piece| self.push(piece)),
                false => self.push(bytes),
            }
        }
    }

    /// Appends bytes that are not read here soon, without a place in the caches for them.
    pub fn extend_past_caches(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        // SAFETY: there is room for all of it.
        unsafe {
            let end = self.start.as_ptr().add(self.length);
            copy_past_caches(end, bytes);
        }
        self.length += bytes.len();
    }

    /// # Safety
    /// There is room.
    #[inline]
    unsafe fn push(&mut self, bytes: &[u8]) {
        // SAFETY: the caller's promise; whoever has `bytes` borrowed has not borrowed this value.
        unsafe {
            let end = self.start.as_ptr().add(self.length);
            end.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        self.length += bytes.len();
    }

    /// Appends zeros up to the next multiple of `to`.
    pub fn pad(&mut self, to: usize) {
        let zeros_count = self.length.next_multiple_of(to) - self.length;
        self.reserve(zeros_count);
        // SAFETY: there is room for them.
        unsafe {
            let end = self.start.as_ptr().add(self.length);
            end.write_bytes(0, zeros_count);
        }
        self.length += zeros_count;
    }

    /// Drops what is past `length`.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    #[inline]
    fn reserve(&mut self, more: usize) {
        if self.capacity - self.length < more {
            self.grow(more);
        }
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let wanted = self.length.checked_add(more);
        let wanted = wanted.expect("no more than memory can hold");
        let mut larger = Self::with_capacity(wanted.max(2 * self.capacity));
        larger.extend(self.as_slice());
        *self = larger;
    }
}

impl Drop for BlockBuffer {
    fn drop(&mut self) {
        if self.slot.is_none() && self.capacity > 0 {
            // SAFETY: `with_capacity` had it from there, with this layout.
            unsafe { dealloc(self.start.as_ptr(), layout(self.capacity)) };
        }
    }
}

/// # Safety
/// `to` has room for `bytes`, which lie elsewhere.
#[cfg(all(target_arch = "x86_64", not(miri)))]
unsafe fn copy_past_caches(to: *mut u8, bytes: &[u8]) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128};
    const VECTOR_BYTES: usize = size_of::<__m128i>();
    const LINE_BYTES: usize = 64;

    let head = to.align_offset(LINE_BYTES).min(bytes.len());
    let (head, rest) = bytes.split_at(head);
    let (lines, tail) = rest.as_chunks::<LINE_BYTES>();
    // SAFETY: there is room, and what is read lies elsewhere. Behind the head lines begin, as the stores want it.
    unsafe {
        to.copy_from_nonoverlapping(head.as_ptr(), head.len());
        let mut at = to.add(head.len());
        for line in lines {
            for vector in line.as_chunks::<VECTOR_BYTES>().0 {
                _mm_stream_si128(at.cast(), _mm_loadu_si128(vector.as_ptr().cast()));
                at = at.add(VECTOR_BYTES);
            }
        }
        at.copy_from_nonoverlapping(tail.as_ptr(), tail.len());
        // Such stores are ordered with nothing: whoever is told of these bytes is to find them.
        _mm_sfence();
    }
}

/// # Safety
/// As above.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
unsafe fn copy_past_caches(to: *mut u8, bytes: &[u8]) {
    // SAFETY: the caller's promise.
    unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
}

fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, BLOCK_BYTES).expect("no more than memory can hold")
}
