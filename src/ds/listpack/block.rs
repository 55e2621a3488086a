//! Block: the one allocation of a listpack behind a pointer.
//!
//! How much is allocated follows from the total in the bytes' own header, so nothing but the listpack is stored. The empty
//! listpack is one constant for all of them.
//!
//! Promises  every byte up to the total was written; the allocation has exactly `allocated_bytes(total)` bytes.
//! Not here  what the bytes say: the other files here.
//! Tests     those of the listpack, under Miri.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ptr::NonNull;

/// Bytes before the first entry: the total and the count.
pub(super) const HEADER_BYTES: usize = 6;
/// Bytes of a listpack without entries.
pub(super) const EMPTY_BYTES: usize = HEADER_BYTES + 1;
/// Where the entries begin after the last: this byte.
pub(super) const END: u8 = 0xff;

static EMPTY: [u8; EMPTY_BYTES] = [EMPTY_BYTES as u8, 0, 0, 0, 0, 0, END];

#[repr(Rust, packed)]
pub(super) struct Block {
    /// At any address, so that a listpack may lie beside a byte without padding.
    start: NonNull<u8>,
}

// SAFETY: the allocation belongs to this value alone, the constant is only read; neither is bound to a thread.
unsafe impl Send for Block {}
// SAFETY: a shared block is only read.
unsafe impl Sync for Block {}

impl Block {
    pub(super) const fn empty() -> Self {
        // SAFETY: the address of a static is not null. It is never written: `splice` and `drop` ask `is_empty` first.
        let start = unsafe { NonNull::new_unchecked(EMPTY.as_ptr().cast_mut()) };
        Self { start }
    }

    /// Copies whole listpacks only: the first four bytes must name the length.
    pub(super) fn copy_of(bytes: &[u8]) -> Self {
        assert!(
            bytes.len() >= EMPTY_BYTES && total_in(bytes) == bytes.len(),
            "the header names the length"
        );
        if bytes.len() == EMPTY_BYTES {
            return Self::empty();
        }
        let start = allocate(allocated_bytes(bytes.len()));
        // SAFETY: the new allocation has room for them and is apart.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start.as_ptr(), bytes.len()) };
        Self { start }
    }

    #[inline]
    pub(super) fn total_bytes(&self) -> usize {
        // SAFETY: four bytes of total are always there; no alignment is assumed.
        let total = unsafe { self.start.as_ptr().cast::<u32>().read_unaligned() };
        u32::from_le(total) as usize
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: every byte up to the total was written, and the borrow keeps it from moving.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.total_bytes()) }
    }

    /// Bytes allocated: none for the empty listpack.
    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        allocated_bytes(self.total_bytes())
    }

    /// Writes the header's count.
    #[inline]
    pub(super) fn set_count(&mut self, count: u16) {
        if self.is_empty() {
            debug_assert_eq!(count, 0, "the empty listpack has no entries");
            return;
        }
        // SAFETY: the allocation is ours alone and has the six bytes of a header.
        unsafe {
            let at = self.start.as_ptr().add(4).cast::<u16>();
            at.write_unaligned(count.to_le());
        }
    }

    /// Writes one byte of an entry, which must be there.
    #[inline]
    pub(super) fn set_byte(&mut self, at: usize, byte: u8) {
        let total = self.total_bytes();
        assert!(
            at >= HEADER_BYTES && at + 1 < total,
            "entries lie between the header and the end"
        );
        // SAFETY: the allocation has `total` bytes and is ours alone: the empty listpack has no place between.
        unsafe { self.start.as_ptr().add(at).write(byte) };
    }

    /// Puts `added` bytes, written by `write`, in the place of `removed` bytes at `at`.
    ///
    /// `write` must fill the gap: anything less is a bug and panics, as is a total above 4 GiB.
    #[inline]
    pub(super) fn splice(
        &mut self,
        at: usize,
        removed: usize,
        added: usize,
        write: impl FnOnce(&mut Gap<'_>),
    ) {
        let old_total = self.total_bytes();
        assert!(
            at >= HEADER_BYTES && removed < old_total && at < old_total - removed,
            "entries lie between the header and the end"
        );
        let total = old_total - removed + added;
        let header = u32::try_from(total).expect("a listpack is below 4 GiB");
        if total == EMPTY_BYTES {
            *self = Self::empty();
            return;
        }
        let (old_room, room) = (allocated_bytes(old_total), allocated_bytes(total));
        if room > old_room {
            self.reallocate(old_room, room);
        }
        let tail = old_total - at - removed;
        // SAFETY: the allocation has room for the old and the new total, and is ours alone: a listpack that stays empty or
        // becomes so has returned, one that was empty was just allocated. What moves was written before.
        let mut gap = unsafe {
            let place = self.start.as_ptr().add(at);
            if added != removed {
                std::ptr::copy(place.add(removed), place.add(added), tail);
            }
            Gap {
                rest: std::slice::from_raw_parts_mut(place.cast(), added),
            }
        };
        write(&mut gap);
        assert!(gap.rest.is_empty(), "the gap is filled");
        // SAFETY: four bytes of total are always there; all bytes up to the new one are written now.
        unsafe {
            let at = self.start.as_ptr().cast::<u32>();
            at.write_unaligned(header.to_le());
        }
        if room < old_room {
            self.reallocate(old_room, room);
        }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.total_bytes() == EMPTY_BYTES
    }

    fn reallocate(&mut self, old_room: usize, room: usize) {
        if old_room == 0 {
            let start = allocate(room);
            // SAFETY: both have the bytes of an empty listpack and are apart.
            unsafe {
                std::ptr::copy_nonoverlapping(EMPTY.as_ptr(), start.as_ptr(), EMPTY_BYTES);
            }
            self.start = start;
            return;
        }
        let layout = layout(old_room);
        // SAFETY: the allocation has this layout, and `room` is not 0: that is the empty listpack, which is never resized.
        let start = unsafe { realloc(self.start.as_ptr(), layout, room) };
        self.start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout));
    }
}

impl Drop for Block {
    #[inline]
    fn drop(&mut self) {
        let room = self.heap_bytes();
        if room > 0 {
            // SAFETY: the allocation has this layout and is used no more.
            unsafe { dealloc(self.start.as_ptr(), layout(room)) };
        }
    }
}

/// Bytes of a block that are to be written, from the first on.
pub(super) struct Gap<'b> {
    rest: &'b mut [std::mem::MaybeUninit<u8>],
}

impl Gap<'_> {
    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let (place, rest) = std::mem::take(&mut self.rest).split_at_mut(bytes.len());
        // SAFETY: `place` has as many bytes and is borrowed exclusively.
        unsafe {
            let place = place.as_mut_ptr().cast::<u8>();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
        }
        self.rest = rest;
    }
}

/// What is allocated for a total: the allocator's own steps (16 bytes up to 128, then four for each doubling), so that
/// growing within a step costs nothing and nothing is hidden behind it.
#[inline]
pub(super) fn allocated_bytes(total: usize) -> usize {
    if total <= EMPTY_BYTES {
        return 0;
    }
    let step = match total {
        ..=128 => 16,
        _ => 1 << ((total - 1).ilog2() - 2),
    };
    total.next_multiple_of(step)
}

/// The total that a header names.
#[inline]
pub(super) fn total_in(bytes: &[u8]) -> usize {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 1).expect("a listpack is below 4 GiB")
}

fn allocate(bytes: usize) -> NonNull<u8> {
    let layout = layout(bytes);
    // SAFETY: the empty listpack is not allocated, so the size is not 0.
    let start = unsafe { alloc(layout) };
    NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout))
}
