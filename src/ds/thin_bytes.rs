//! Thin bytes: a byte array behind one pointer, with its length in its one allocation.
//!
//!     | length, 8 bytes | byte ... byte | room |
//!
//! A `Vec` behind a pointer, so that what holds it stays small, takes a second allocation for its three words.
//!
//! Promises  eight bytes of no alignment and one allocation, none when empty; it is as large as `block_bytes` says.
//! Tests     tests/ds/thin_bytes.rs: a model of `Vec<u8>`, under Miri.

use super::block_size::block_bytes;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

const LENGTH_BYTES: usize = size_of::<usize>();

/// Bytes.
#[repr(Rust, packed)]
pub struct ThinBytes {
    /// The allocation; none where there are no bytes.
    start: Option<NonNull<u8>>,
}

const _: () = assert!(size_of::<ThinBytes>() == 8 && align_of::<ThinBytes>() == 1);

// SAFETY: the allocation belongs to this value alone and is not bound to a thread.
unsafe impl Send for ThinBytes {}
// SAFETY: shared, it is only read.
unsafe impl Sync for ThinBytes {}

impl ThinBytes {
    /// None.
    pub const fn new() -> Self {
        Self { start: None }
    }

    /// A copy.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut copy = Self::new();
        copy.resize(bytes.len());
        copy.copy_from_slice(bytes);
        copy
    }

    /// Makes it longer with zeros, or shorter.
    pub fn resize(&mut self, len: usize) {
        let old_len = self.len();
        self.reallocate(room(old_len), room(len));
        let Some(start) = self.start else {
            return;
        };
        // SAFETY: the allocation is ours alone and has room for the length and `len` bytes; the length has no alignment.
        unsafe {
            start.cast::<usize>().write_unaligned(len);
            if len > old_len {
                let added = start.add(LENGTH_BYTES + old_len);
                added.write_bytes(0, len - old_len);
            }
        }
    }

    /// Bytes allocated.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        room(self.len())
    }

    #[inline]
    fn len(&self) -> usize {
        // SAFETY: the length is at the start of every allocation.
        self.start
            .map_or(0, |start| unsafe { start.cast::<usize>().read_unaligned() })
    }

    fn reallocate(&mut self, old_room: usize, room: usize) {
        if old_room == room {
            return;
        }
        let Some(start) = self.start else {
            // SAFETY: the room is not 0: that is the old one.
            let start = unsafe { alloc(layout(room)) };
            return self.take(start, room);
        };
        if room == 0 {
            self.start = None;
            // SAFETY: the allocation has this layout and is used no more.
            return unsafe { dealloc(start.as_ptr(), layout(old_room)) };
        }
        // SAFETY: the allocation has this layout, and the new size is not 0.
        let start = unsafe { realloc(start.as_ptr(), layout(old_room), room) };
        self.take(start, room);
    }

    fn take(&mut self, start: *mut u8, room: usize) {
        let start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout(room)));
        self.start = Some(start);
    }
}

impl Deref for ThinBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self.start {
            None => &[],
            // SAFETY: as many bytes were written behind the length, and the borrow keeps them where they are.
            Some(start) => unsafe {
                std::slice::from_raw_parts(start.as_ptr().add(LENGTH_BYTES), self.len())
            },
        }
    }
}

impl DerefMut for ThinBytes {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match self.start {
            None => &mut [],
            // SAFETY: as above, and the borrow is exclusive.
            Some(start) => unsafe {
                std::slice::from_raw_parts_mut(start.as_ptr().add(LENGTH_BYTES), self.len())
            },
        }
    }
}

impl Default for ThinBytes {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for ThinBytes {
    fn clone(&self) -> Self {
        Self::copy_of(self)
    }
}

impl Drop for ThinBytes {
    fn drop(&mut self) {
        self.reallocate(room(self.len()), 0);
    }
}

/// What is allocated for so many bytes.
#[inline]
const fn room(len: usize) -> usize {
    match len {
        0 => 0,
        _ => block_bytes(LENGTH_BYTES + len),
    }
}

fn layout(room: usize) -> Layout {
    Layout::from_size_align(room, 1).expect("no more than there is memory")
}
