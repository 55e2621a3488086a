//! Growing buffer: the bytes of one very large request or string, gathered without ever being copied to make room.
//!
//! Promises  growing remaps pages and moves no byte; memory follows the bytes received, not the length announced;
//!           the whole can become a stored value as it is, and grow on as that; zeros behind all that was written cost nothing.
//! Not here  when a request is large enough for this: the connection; memory of earlier ones: `ds/spare_mappings.rs`.
//! Tests     tests/ds/growing_buffer.rs: a model `Vec<u8>` over several doublings; `Bytes` dropped on another thread; memory
//!           taken over from the buffer before.

use std::io;
use std::ptr::{NonNull, null_mut};

use super::spare_mappings::{self, Mapping, PAGE_BYTES};
use crate::base::long_copy;

/// The first mapping; also what lengths are rounded up to by the kernel anyway, times a few.
const FIRST_BYTES: usize = 64 * 1024;

/// So much is mapped at once where as much is expected.
const MAPPED_AT_ONCE_MAX: usize = 1 << 20;

/// An anonymous mapping that doubles.
#[derive(Debug)]
pub struct GrowingBuffer {
    memory: NonNull<u8>,
    length: usize,
    capacity: usize,
    /// Bytes of the mapping that may have been touched: what lies behind takes no memory.
    touched: usize,
    /// How long it will be, as far as that is known.
    expected: usize,
}

// SAFETY: the mapping belongs to this value alone, and nothing in it is bound to a thread.
unsafe impl Send for GrowingBuffer {}
// SAFETY: a shared buffer is only read.
unsafe impl Sync for GrowingBuffer {}

impl GrowingBuffer {
    /// An empty buffer; maps nothing yet.
    pub fn new() -> Self {
        Self::expecting(0)
    }

    /// An empty buffer that will probably hold so many bytes. Little is mapped for those before they come, but spare memory is
    /// chosen by it.
    pub fn expecting(bytes: usize) -> Self {
        Self {
            memory: NonNull::dangling(),
            length: 0,
            capacity: 0,
            touched: 0,
            expected: bytes,
        }
    }

    /// Zeros, none of them touched.
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
            buffer.length = bytes;
        }
        Ok(buffer)
    }

    /// Appends so many zeros.
    ///
    /// - Errors: the kernel has no memory to map; the buffer is unchanged.
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
        // SAFETY: the mapping has `capacity` bytes, at least `length`; it is ours alone.
        unsafe {
            let start = self.memory.add(self.length);
            start.write_bytes(0, touched - self.length);
        }
        self.length = length;
        Ok(())
    }

    /// Appends `bytes`.
    ///
    /// - Errors: the kernel has no memory to map; the buffer is unchanged.
    /// - Cost: one copy of `bytes`, and a remap each time the length doubles.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = self
            .length
            .checked_add(bytes.len())
            .ok_or(io::ErrorKind::OutOfMemory)?;
        if length > self.capacity {
            self.grow(length)?;
        }
        // SAFETY: the mapping has `capacity` bytes, at least `length`, all of them zeros or written once; it is ours alone.
        let room = unsafe {
            let start = self.memory.as_ptr().add(self.length);
            std::slice::from_raw_parts_mut(start, bytes.len())
        };
        long_copy::copy(room, bytes);
        self.length = length;
        self.touched = self.touched.max(length);
        Ok(())
    }

    /// Room behind what is there, for whoever writes to it by the address: at least one byte of it, `bytes` at most.
    ///
    /// - Returns the first byte's address, good until the buffer is changed otherwise, and how many there are. What has been written
    ///   is there once [`GrowingBuffer::advance`] says so.
    /// - Errors: the kernel has no memory to map; the buffer is unchanged.
    pub fn room(&mut self, bytes: usize) -> io::Result<(NonNull<u8>, usize)> {
        let length = self
            .length
            .checked_add(bytes.max(1))
            .ok_or(io::ErrorKind::OutOfMemory)?;
        if length > self.capacity {
            self.grow(length)?;
        }
        // SAFETY: the mapping has `capacity` bytes, at least `length`.
        let start = unsafe { self.memory.add(self.length) };
        Ok((start, length - self.length))
    }

    /// `bytes` more are there, in the room behind what was.
    ///
    /// # Panics
    /// There is less room.
    pub fn advance(&mut self, bytes: usize) {
        // Every byte of a mapping has a value, whether anybody wrote one or not.
        assert!(bytes <= self.capacity - self.length, "it has been written");
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

    /// Bytes mapped; those never written take no memory.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Everything appended so far.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the first `length` bytes were written; empty slices may dangle.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.length) }
    }

    /// The same, writable.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.touched = self.touched.max(self.length);
        // SAFETY: as above; every byte of a mapping has a value, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.length) }
    }

    /// Forgets what lies behind the first `length` bytes, if there is anything; its memory stays.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Gives the pages after the last byte back. Best effort: where the kernel refuses, they stay until the drop.
    pub fn truncate_to_len(&mut self) {
        if self.length == 0 {
            self.unmap();
            return;
        }
        let wanted = self.length.next_multiple_of(PAGE_BYTES);
        if wanted < self.capacity {
            // Shrinking splits no mapping and cannot run out of anything; an error leaves all as it was.
            let _ = self.remap(wanted);
            self.touched = self.touched.min(self.capacity);
        }
    }

    fn grow(&mut self, length: usize) -> io::Result<()> {
        let wanted = length
            .checked_next_power_of_two()
            .ok_or(io::ErrorKind::OutOfMemory)?
            .max(FIRST_BYTES);
        let whole = self.expected.next_multiple_of(PAGE_BYTES);
        let wanted = if whole < length {
            wanted
        } else {
            wanted.max(MAPPED_AT_ONCE_MAX).min(whole)
        };
        if self.capacity == 0
            && let Some(spare) = spare_mappings::take(self.expected.max(length))
        {
            (self.memory, self.capacity) = spare.into_parts();
            self.touched = self.capacity;
            if length <= self.capacity {
                return Ok(());
            }
        }
        if self.capacity > 0 {
            return self.remap(wanted);
        }
        self.memory = map(wanted)?;
        self.capacity = wanted;
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
        self.unmap();
        self.memory = memory;
        self.length = length;
        self.capacity = capacity;
        self.touched = length;
        Ok(())
    }

    fn unmap(&mut self) {
        if self.capacity > 0 {
            // SAFETY: the mapping is ours, of this length, and is used no more.
            let mapping = unsafe { Mapping::new(self.memory, self.capacity) };
            spare_mappings::put(mapping, self.touched);
        }
        self.memory = NonNull::dangling();
        self.length = 0;
        self.capacity = 0;
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
        self.unmap();
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
