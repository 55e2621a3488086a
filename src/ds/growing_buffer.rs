//! Growing buffer: the bytes of one large request or string, gathered without being copied to make room.
//!
//!     expected to be shorter than 1 MiB: allocated as it is expected, and copied where it becomes longer than that
//!     anything else: pages of its own, which are mapped anew as it grows
//!
//! A process has some ten thousand mappings at most, and a hole between two values is the end of one.
//!
//! Promises  growing remaps pages and moves no byte, once there is a MiB; memory follows the bytes received, not the length announced,
//!           beyond that MiB; the whole can become a stored value as it is, and grow on as that; zeros behind all that was written to
//!           pages cost nothing.
//! Not here  when a request is large enough for this: the connection; memory of earlier ones: `ds/spare_mappings.rs`.
//! Tests     tests/ds/growing_buffer.rs: a model `Vec<u8>` over several doublings; `Bytes` dropped on another thread; memory
//!           taken over from the buffer before.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::io;
use std::ptr::{NonNull, null_mut};

use super::spare_mappings::{self, Mapping, PAGE_BYTES};
use crate::base::long_copy;

/// What is this long is mapped; also the first mapping.
const MAPPED_BYTES_MIN: usize = 1 << 20;

/// An allocation, or an anonymous mapping that doubles.
#[derive(Debug)]
pub struct GrowingBuffer {
    memory: NonNull<u8>,
    length: usize,
    capacity: usize,
    /// `memory` is whole pages of our own. Without a capacity it is nothing.
    is_mapped: bool,
    /// Bytes that may have been touched: those of a mapping that lie behind are zeros, and take no memory.
    touched: usize,
    /// How long it will be, as far as that is known.
    expected: usize,
}

// SAFETY: the memory belongs to this value alone, and nothing in it is bound to a thread.
unsafe impl Send for GrowingBuffer {}
// SAFETY: a shared buffer is only read.
unsafe impl Sync for GrowingBuffer {}

impl GrowingBuffer {
    /// An empty buffer; takes no memory yet.
    pub fn new() -> Self {
        Self::expecting(0)
    }

    /// An empty buffer that will probably hold so many bytes. Of many none are taken before they come, but spare memory is
    /// chosen by it.
    pub fn expecting(bytes: usize) -> Self {
        Self {
            memory: NonNull::dangling(),
            length: 0,
            capacity: 0,
            is_mapped: false,
            touched: 0,
            expected: bytes,
        }
    }

    /// Zeros on pages of their own, none of them touched.
    ///
    /// - Errors: the kernel has no memory to map.
    pub fn zeros(bytes: usize) -> io::Result<Self> {
        let mut buffer = Self::new();
        if bytes > 0 {
            let capacity = bytes
                .checked_next_multiple_of(PAGE_BYTES)
                .ok_or(io::ErrorKind::OutOfMemory)?;
            buffer.memory = map(capacity)?;
            buffer.capacity = capacity;
            buffer.is_mapped = true;
            buffer.length = bytes;
        }
        Ok(buffer)
    }

    /// Appends so many zeros.
    ///
    /// - Errors: there is no memory; the buffer is unchanged.
    /// - Cost: that of filling as much of the memory as may have been touched, and a remap each time the length doubles.
    pub fn extend_zeros(&mut self, bytes: usize) -> io::Result<()> {
        let length = self
            .length
            .checked_add(bytes)
            .ok_or(io::ErrorKind::OutOfMemory)?;
        if length > self.capacity {
            self.grow(length)?;
        }
        let touched = self.touched.clamp(self.length, length);
        // SAFETY: there are `capacity` bytes, at least `length`, and they are ours alone.
        unsafe {
            let start = self.memory.add(self.length);
            start.write_bytes(0, touched - self.length);
        }
        self.length = length;
        Ok(())
    }

    /// Appends `bytes`.
    ///
    /// - Errors: there is no memory; the buffer is unchanged.
    /// - Cost: one copy of `bytes`, and a remap each time the length doubles.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = self
            .length
            .checked_add(bytes.len())
            .ok_or(io::ErrorKind::OutOfMemory)?;
        if length > self.capacity {
            self.grow(length)?;
        }
        let mut at = self.length;
        for piece in long_copy::pieces(bytes) {
            // SAFETY: there are `capacity` bytes, at least `length`, which are ours alone.
            unsafe {
                let place = self.memory.add(at).as_ptr();
                std::ptr::copy_nonoverlapping(piece.as_ptr(), place, piece.len());
            }
            at += piece.len();
        }
        self.length = length;
        self.touched = self.touched.max(length);
        Ok(())
    }

    /// Room behind what is there, for whoever writes to it by the address: at least one byte of it, `bytes` at most.
    ///
    /// - Returns the first byte's address, good until the buffer is changed otherwise, and how many there are. What has been written
    ///   is there once [`GrowingBuffer::advance`] says so.
    /// - Errors: there is no memory; the buffer is unchanged.
    pub fn room(&mut self, bytes: usize) -> io::Result<(NonNull<u8>, usize)> {
        let length = self
            .length
            .checked_add(bytes.max(1))
            .ok_or(io::ErrorKind::OutOfMemory)?;
        if length > self.capacity {
            self.grow(length)?;
        }
        // SAFETY: there are `capacity` bytes, at least `length`.
        let start = unsafe { self.memory.add(self.length) };
        Ok((start, length - self.length))
    }

    /// `bytes` more are there, in the room behind what was.
    ///
    /// # Safety
    /// They have been written to what [`GrowingBuffer::room`] gave last.
    pub unsafe fn advance(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.capacity - self.length, "there was room");
        self.length += bytes;
        self.touched = self.touched.max(self.length);
    }

    /// Bytes in the buffer.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing has been appended.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes there is room for; those of a mapping that were never written take no memory.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes it takes: of a mapping those behind the last one are as good as none.
    pub fn allocated_bytes(&self) -> usize {
        match self.is_mapped {
            true => self.length,
            false => self.capacity,
        }
    }

    /// Everything appended so far.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the first `length` bytes were written; empty slices may dangle.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.length) }
    }

    /// The same, writable.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.touched = self.touched.max(self.length);
        // SAFETY: as above; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.length) }
    }

    /// Forgets what lies behind the first `length` bytes, if there is anything; its memory stays.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Gives what lies after the last byte back, in pages. Best effort: where that is refused, it stays until the drop.
    pub fn truncate_to_len(&mut self) {
        if self.length == 0 {
            self.release();
            return;
        }
        let wanted = self.length.next_multiple_of(PAGE_BYTES);
        if wanted < self.capacity {
            // Shrinking splits no mapping and cannot run out of anything; an error leaves all as it was.
            let _ = match self.is_mapped {
                true => self.remap(wanted),
                false => self.reallocate(wanted),
            };
            self.touched = self.touched.min(self.capacity);
        }
    }

    /// Makes room for `length` bytes in all, which are more than there is.
    fn grow(&mut self, length: usize) -> io::Result<()> {
        let doubled = length
            .checked_next_power_of_two()
            .ok_or(io::ErrorKind::OutOfMemory)?;
        if self.capacity == 0 {
            let wanted = self.expected.max(length);
            return match wanted < MAPPED_BYTES_MIN {
                true => self.reallocate(wanted),
                false => self.map_first(length),
            };
        }
        if self.is_mapped {
            return self.remap(self.pages_for(length, doubled));
        }
        if doubled < MAPPED_BYTES_MIN {
            return self.reallocate(doubled);
        }
        let mut mapped = Self::expecting(self.expected.max(length));
        mapped.map_first(length)?;
        mapped.extend_from_slice(self.as_slice())?;
        *self = mapped;
        Ok(())
    }

    /// The first mapping: spare memory where there is some.
    fn map_first(&mut self, length: usize) -> io::Result<()> {
        let doubled = length.next_power_of_two().max(MAPPED_BYTES_MIN);
        if let Some(spare) = spare_mappings::take(self.expected.max(length)) {
            (self.memory, self.capacity) = spare.into_parts();
            self.touched = self.capacity;
            self.is_mapped = true;
            if length <= self.capacity {
                return Ok(());
            }
            return self.remap(self.pages_for(length, doubled));
        }
        let wanted = self.pages_for(length, doubled);
        self.memory = map(wanted)?;
        self.capacity = wanted;
        self.is_mapped = true;
        Ok(())
    }

    /// What is mapped for `length` bytes: `doubled`, but no more than is expected.
    fn pages_for(&self, length: usize, doubled: usize) -> usize {
        let whole = self.expected.next_multiple_of(PAGE_BYTES);
        match whole < length {
            true => doubled.next_multiple_of(PAGE_BYTES),
            false => doubled.max(MAPPED_BYTES_MIN).min(whole),
        }
    }

    /// Allocates so many bytes, not 0, in place of those there are.
    fn reallocate(&mut self, capacity: usize) -> io::Result<()> {
        let layout = |bytes: usize| Layout::from_size_align(bytes, 1).ok();
        let new = layout(capacity).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: neither size is 0; what there is was allocated by this function, with the layout of its capacity.
        let memory = unsafe {
            match layout(self.capacity).filter(|old| old.size() > 0) {
                None => alloc(new),
                Some(old) => realloc(self.memory.as_ptr(), old, capacity),
            }
        };
        self.memory = NonNull::new(memory).ok_or(io::ErrorKind::OutOfMemory)?;
        self.capacity = capacity;
        self.touched = capacity;
        Ok(())
    }

    #[cfg(not(miri))]
    fn remap(&mut self, capacity: usize) -> io::Result<()> {
        // SAFETY: the mapping is ours, `capacity` bytes long; no borrow of it outlives the exclusive one of `self`.
        let memory = unsafe {
            libc::mremap(
                self.memory.as_ptr().cast(),
                self.capacity,
                capacity,
                libc::MREMAP_MAYMOVE,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        self.memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        self.capacity = capacity;
        Ok(())
    }

    /// Miri knows `mmap` and not every `mremap`; there a copy will do.
    #[cfg(miri)]
    fn remap(&mut self, capacity: usize) -> io::Result<()> {
        let memory = map(capacity)?;
        let (length, old) = (self.length, self.memory);
        // SAFETY: both mappings have `length` bytes and are apart.
        unsafe { std::ptr::copy_nonoverlapping(old.as_ptr(), memory.as_ptr(), length) };
        self.release();
        self.memory = memory;
        self.length = length;
        self.capacity = capacity;
        self.is_mapped = true;
        self.touched = length;
        Ok(())
    }

    fn release(&mut self) {
        if self.capacity > 0 && self.is_mapped {
            // SAFETY: the mapping is ours, of this length, and is used no more.
            let mapping = unsafe { Mapping::new(self.memory, self.capacity) };
            spare_mappings::put(mapping, self.touched);
        } else if let Ok(layout) = Layout::from_size_align(self.capacity, 1)
            && self.capacity > 0
        {
            // SAFETY: `reallocate` allocated it with this layout, and it is used no more.
            unsafe { dealloc(self.memory.as_ptr(), layout) };
        }
        self.memory = NonNull::dangling();
        self.length = 0;
        self.capacity = 0;
        self.is_mapped = false;
        self.touched = 0;
    }
}

impl Default for GrowingBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl AsRef<[u8]> for GrowingBuffer {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Drop for GrowingBuffer {
    fn drop(&mut self) {
        self.release();
    }
}

fn map(bytes: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: an anonymous mapping at a place of the kernel's choice touches nothing that exists.
    let memory = unsafe {
        libc::mmap(
            null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory.into())
}
