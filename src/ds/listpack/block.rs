//! Block: the one allocation of a listpack behind a pointer.
//!
//!     | gap | listpack | room |          the gap's length is in the pointer's 16 high bits, which no address has
//!
//! How much is allocated follows from the gap and the total in the bytes' own header, so nothing but the listpack is stored.
//! The empty listpack is one constant for all of them.
//!
//! What goes from the front of a long listpack (LPOP) leaves a gap, and the header moves up to it, in place of all that comes
//! after; what comes there (LPUSH) fills it, or leaves one for what will follow. The gap is closed where it grows too large or
//! its room is needed behind.
//!
//! Promises  every byte up to the total was written; the allocation has exactly `allocated_bytes(gap + total)` bytes; the gap
//!           is at most `gap_bytes_max(total)`.
//! Not here  what the bytes say: the other files here.
//! Tests     those of the listpack, under Miri; `queues…` for the gap, `elements_of_one_form…` for `put_entries`.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ptr::NonNull;

/// Bytes before the first entry: the total and the count.
pub(super) const HEADER_BYTES: usize = 6;
/// Bytes of a listpack without entries.
pub(super) const EMPTY_BYTES: usize = HEADER_BYTES + 1;
/// Where the entries begin after the last: this byte.
pub(super) const END: u8 = 0xff;

static EMPTY: [u8; EMPTY_BYTES] = [EMPTY_BYTES as u8, 0, 0, 0, 0, 0, END];

/// The gap's length is above these bits of the pointer.
const ADDRESS_BITS: u32 = 48;
const ADDRESS_MASK: usize = (1 << ADDRESS_BITS) - 1;
/// Shorter listpacks have no gap: moving them costs nothing.
const GAPLESS_BYTES: usize = 512;

const _: () = assert!(usize::BITS == 64);

#[repr(Rust, packed)]
pub(super) struct Block {
    /// The allocation, and the gap's length above its address. At any address, so that a listpack may lie beside a byte
    /// without padding.
    tagged: NonNull<u8>,
}

// SAFETY: the allocation belongs to this value alone, the constant is only read; neither is bound to a thread.
unsafe impl Send for Block {}
// SAFETY: a shared block is only read.
unsafe impl Sync for Block {}

impl Block {
    pub(super) const fn empty() -> Self {
        // SAFETY: the address of a static is not null. It is never written: `splice` and `drop` ask `is_empty` first.
        let start = unsafe { NonNull::new_unchecked(EMPTY.as_ptr().cast_mut()) };
        Self { tagged: start }
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
        Self { tagged: start }
    }

    /// Where the allocation is.
    #[inline]
    fn allocation(&self) -> *mut u8 {
        let tagged = self.tagged;
        tagged.as_ptr().map_addr(|bits| bits & ADDRESS_MASK)
    }

    /// Bytes before the listpack.
    #[inline]
    fn gap(&self) -> usize {
        let tagged = self.tagged;
        tagged.as_ptr().addr() >> ADDRESS_BITS
    }

    /// Where the listpack is.
    #[inline]
    fn start(&self) -> *mut u8 {
        let tagged = self.tagged;
        let start = |bits| (bits & ADDRESS_MASK) + (bits >> ADDRESS_BITS);
        tagged.as_ptr().map_addr(start)
    }

    /// Says where the allocation is, and how long the gap.
    #[inline]
    fn set(&mut self, allocation: NonNull<u8>, gap: usize) {
        debug_assert!(gap <= usize::MAX >> ADDRESS_BITS, "16 bits are enough");
        let tagged = allocation
            .as_ptr()
            .map_addr(|address| address | gap << ADDRESS_BITS);
        // SAFETY: bits were only added to an address that was not 0.
        self.tagged = unsafe { NonNull::new_unchecked(tagged) };
    }

    #[inline]
    fn set_gap(&mut self, gap: usize) {
        // SAFETY: no allocation is at 0, nor is the constant.
        let allocation = unsafe { NonNull::new_unchecked(self.allocation()) };
        self.set(allocation, gap);
    }

    #[inline]
    pub(super) fn total_bytes(&self) -> usize {
        // SAFETY: four bytes of total are always there; no alignment is assumed.
        let total = unsafe { self.start().cast::<u32>().read_unaligned() };
        u32::from_le(total) as usize
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: every byte up to the total was written, and the borrow keeps it from moving.
        unsafe { std::slice::from_raw_parts(self.start(), self.total_bytes()) }
    }

    /// Bytes allocated: none for the empty listpack.
    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        match self.total_bytes() {
            EMPTY_BYTES => 0,
            total => allocated_bytes(self.gap() + total),
        }
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
            let at = self.start().add(4).cast::<u16>();
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
        unsafe { self.start().add(at).write(byte) };
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
        let tail = old_total - at - removed;
        let old_room = self.heap_bytes();
        let room = match self.shift_front(at, removed, added, tail) {
            true => old_room,
            false => {
                let room = self.make_room(old_room, old_total, total);
                if added != removed {
                    self.shift_tail(at, removed, added, tail, room);
                }
                room
            }
        };
        let start = self.start();
        // SAFETY: these bytes are between what is before `at` and the tail, inside of the same allocation.
        let mut gap = unsafe {
            Gap {
                rest: std::slice::from_raw_parts_mut(start.add(at).cast(), added),
            }
        };
        write(&mut gap);
        assert!(gap.rest.is_empty(), "the gap is filled");
        // SAFETY: four bytes of total are always there; all bytes up to the new one are written now.
        unsafe { start.cast::<u32>().write_unaligned(header.to_le()) };
        if room < old_room {
            self.reallocate(old_room, room);
        }
    }

    /// Makes or takes room by moving what is before `at`, where the gap allows it and that is less than the tail.
    #[inline]
    fn shift_front(&mut self, at: usize, removed: usize, added: usize, tail: usize) -> bool {
        let gap = self.gap();
        if at >= tail || added == removed || gap + removed < added {
            return false;
        }
        let new_gap = gap + removed - added;
        if new_gap > gap_bytes_max(at + added + tail) {
            return false;
        }
        // SAFETY: gap and total together stay what they were, so both places are inside of the allocation, which is ours alone:
        // the empty listpack has no tail longer than its header. What moves was written before.
        unsafe {
            let start = self.allocation().add(gap);
            std::ptr::copy(start, self.allocation().add(new_gap), at);
        }
        self.set_gap(new_gap);
        true
    }

    /// Makes or takes room by moving the tail. Where that is the longer part it moves far enough for more to come: half of what
    /// the allocation has to spare is a gap then.
    #[inline]
    fn shift_tail(&mut self, at: usize, removed: usize, added: usize, tail: usize, room: usize) {
        let (gap, total) = (self.gap(), at + added + tail);
        let mut new_gap = gap;
        if at < tail && added > removed {
            new_gap = gap.max(((room - total) / 2).min(gap_bytes_max(total)));
        }
        // SAFETY: the allocation has room for the new gap with the new total and for the old ones, and is ours alone: a
        // listpack that stays empty or becomes so is not moved, one that was empty was just allocated. What moves was written
        // before; where the gap grows, all moves up, the tail first.
        unsafe {
            let (from, to) = (self.allocation().add(gap), self.allocation().add(new_gap));
            std::ptr::copy(from.add(at + removed), to.add(at + added), tail);
            if new_gap > gap {
                std::ptr::copy(from, to, at);
                self.set_gap(new_gap);
            }
        }
    }

    /// Room for both totals behind the gap, which is closed where it is in the way; returns what the new one needs.
    #[inline]
    fn make_room(&mut self, old_room: usize, old_total: usize, total: usize) -> usize {
        let mut gap = self.gap();
        if gap > 0 && (gap > gap_bytes_max(total) || allocated_bytes(gap + total) > old_room) {
            // SAFETY: both places are inside of the allocation, which is ours alone: the empty listpack has no gap.
            unsafe { std::ptr::copy(self.start(), self.allocation(), old_total) };
            self.set_gap(0);
            gap = 0;
        }
        let room = allocated_bytes(gap + total);
        if room > old_room {
            self.reallocate(old_room, room);
        }
        room
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.total_bytes() == EMPTY_BYTES
    }

    fn reallocate(&mut self, old_room: usize, room: usize) {
        if old_room == 0 {
            let allocation = allocate(room);
            // SAFETY: both have the bytes of an empty listpack and are apart.
            unsafe {
                std::ptr::copy_nonoverlapping(EMPTY.as_ptr(), allocation.as_ptr(), EMPTY_BYTES);
            }
            return self.set(allocation, 0);
        }
        let layout = layout(old_room);
        // SAFETY: the allocation has this layout, and `room` is not 0: that is the empty listpack, which is never resized.
        let allocation = unsafe { realloc(self.allocation(), layout, room) };
        let allocation = NonNull::new(allocation).unwrap_or_else(|| handle_alloc_error(layout));
        self.set(checked(allocation), self.gap());
    }
}

/// The same gap, so that who has noted what the block takes has noted it for the copy.
impl Clone for Block {
    fn clone(&self) -> Self {
        let mut copy = Self::copy_of(self.bytes());
        let (room, gap) = (copy.heap_bytes(), self.gap());
        if gap > 0 {
            copy.reallocate(room, self.heap_bytes());
            let total = copy.total_bytes();
            // SAFETY: there is room for gap and total now, and the allocation is the copy's alone.
            unsafe { std::ptr::copy(copy.start(), copy.start().add(gap), total) };
            copy.set_gap(gap);
        }
        copy
    }
}

impl Drop for Block {
    #[inline]
    fn drop(&mut self) {
        let room = self.heap_bytes();
        if room > 0 {
            // SAFETY: the allocation has this layout and is used no more.
            unsafe { dealloc(self.allocation(), layout(room)) };
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

    /// Puts entries of `width` bytes of data, which lie in `data` one after another: `head`, those bytes, the length of both.
    pub(super) fn put_entries(&mut self, head: u8, width: usize, data: &[u8]) {
        match width {
            1 => self.put_entries_of::<1>(head, width, data),
            2..4 => self.put_entries_of::<2>(head, width, data),
            4..8 => self.put_entries_of::<4>(head, width, data),
            8..16 => self.put_entries_of::<8>(head, width, data),
            16..32 => self.put_entries_of::<16>(head, width, data),
            _ => self.put_entries_of::<32>(head, width, data),
        }
    }

    /// The same for `PART` to twice as many bytes, the first and the last `PART` of which are all: copies of a length that is
    /// known beforehand are two moves each, where others are a call.
    fn put_entries_of<const PART: usize>(&mut self, head: u8, width: usize, data: &[u8]) {
        assert!(
            (PART..=2 * PART).contains(&width) && width < 64,
            "the parts are all of an element, and its length takes one byte"
        );
        let entry_bytes = width + 2;
        let entries_bytes = data.len() / width * entry_bytes;
        let (entries, rest) = std::mem::take(&mut self.rest).split_at_mut(entries_bytes);
        let elements = data.chunks_exact(width);
        for (entry, element) in entries.chunks_exact_mut(entry_bytes).zip(elements) {
            entry[0].write(head);
            // SAFETY: `element` has `width` bytes, `entry` has two more and is borrowed exclusively; `PART` is at most `width`
            // and at least half of it, as was checked, so both copies stay inside and together write every byte.
            unsafe {
                let (from, to) = (element.as_ptr(), entry.as_mut_ptr().add(1).cast::<u8>());
                let last = width - PART;
                std::ptr::copy_nonoverlapping(from, to, PART);
                std::ptr::copy_nonoverlapping(from.add(last), to.add(last), PART);
            }
            entry[width + 1].write(width as u8 + 1);
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

/// How long the gap before a listpack may be: an eighth more memory, until it is closed.
#[inline]
fn gap_bytes_max(total: usize) -> usize {
    match total {
        ..GAPLESS_BYTES => 0,
        _ => (total / 8).min(usize::MAX >> ADDRESS_BITS),
    }
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
    checked(NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout)))
}

/// An allocation whose address leaves the high bits to the gap, as all do that did not ask for others.
#[inline]
fn checked(allocation: NonNull<u8>) -> NonNull<u8> {
    assert!(
        allocation.as_ptr().addr() <= ADDRESS_MASK,
        "an address has 48 bits"
    );
    allocation
}
