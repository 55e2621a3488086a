//! Slab: small blocks of memory from 64 KiB spans, one size class to a span.
//!
//!     span = | header 64 bytes | block block ... block | unused tail |     64 KiB, aligned to 64 KiB
//!     classes: steps of 8 bytes to 512, of 64 bytes to 2,048, of 256 bytes to 8,192; above that the global allocator
//!
//! Promises  `used_bytes` is exact; a block is 8-aligned, and 64-aligned where its class is a multiple of 64; a fresh
//!           span is handed out from its start, so pages not reached yet are never touched. Of a class only the span added last
//!           has places not reached yet: another is added where no other has room.
//! Not here  how many bytes a block was asked for: the owner knows and says so again at `free`.
//! Tests     seeded model of live blocks: no two overlap, contents stay, spans are compacted to an end, all spans go back.

use super::span::Spans;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::{NonNull, null_mut};

pub use super::span::SPAN_BYTES;

/// Blocks up to this size come from spans.
pub const BLOCK_BYTES_MAX: usize = 8192;

/// How many sizes of blocks there are.
pub const CLASSES_COUNT: usize = 64 + 24 + 24;
const HEADER_BYTES: usize = 64;
/// Empty spans kept for reuse by any class, so a block freed and taken again at a boundary costs no system call.
const SPARE_SPANS_MAX: usize = 2;
/// A span with so many bytes that take memory for nothing is worth a fresh one for its blocks in use.
const LONE_SLACK_BYTES_MIN: usize = 16 * 1024;

#[repr(C, align(64))]
struct Span {
    /// Neighbours among the spans of one class that have room.
    room_next: *mut Span,
    room_previous: *mut Span,
    /// Freed blocks, each holding the address of the next.
    free: *mut u8,
    /// Offset of the first block never handed out.
    bump: u32,
    used_count: u32,
    /// Blocks there is place for.
    blocks_count: u32,
    block_bytes: u32,
    /// Where the span came from.
    region_index: u32,
    class: u16,
    in_room: bool,
    /// What lies beyond `bump` was not touched since the system gave it.
    is_fresh: bool,
}

const _: () = assert!(size_of::<Span>() == HEADER_BYTES);

/// An allocator for one owner. Not for sharing: every call takes it exclusively.
pub struct Slab {
    /// Per class, the first of its spans with room.
    room: [*mut Span; CLASSES_COUNT],
    spans: Spans,
    spare: [*mut Span; SPARE_SPANS_MAX],
    spare_count: usize,
    /// Per class, the span added last, if it is fresh and not given back.
    newest: [*mut Span; CLASSES_COUNT],
    /// Bytes of fresh spans behind their last place for a block.
    tails_bytes: usize,
    used_bytes: usize,
    /// Bytes of blocks above the largest class.
    alone_bytes: usize,
}

// SAFETY: the spans are reached through this value alone, and nothing in them is bound to a thread.
unsafe impl Send for Slab {}

impl Default for Slab {
    fn default() -> Self {
        Self::new()
    }
}

impl Slab {
    /// An allocator that owns nothing yet.
    pub fn new() -> Self {
        Self {
            room: [null_mut(); CLASSES_COUNT],
            spans: Spans::new(),
            spare: [null_mut(); SPARE_SPANS_MAX],
            spare_count: 0,
            newest: [null_mut(); CLASSES_COUNT],
            tails_bytes: 0,
            used_bytes: 0,
            alone_bytes: 0,
        }
    }

    /// A block of at least `bytes` (1 or more) bytes, not initialised. Ends the process when memory is exhausted.
    #[inline]
    pub fn allocate(&mut self, bytes: usize) -> NonNull<u8> {
        debug_assert!(bytes > 0, "a block has bytes");
        if bytes > BLOCK_BYTES_MAX {
            return self.allocate_alone(bytes);
        }
        let class = class_of(bytes);
        let mut span = self.room[class];
        if span.is_null() {
            span = self.add_span(class);
        }
        // SAFETY: spans in `room` are alive, have room, and are reached by nobody else.
        unsafe {
            let block = (*span).free;
            let block = if block.is_null() {
                let at = (*span).bump;
                (*span).bump = at + (*span).block_bytes;
                span.cast::<u8>().add(at as usize)
            } else {
                (*span).free = block.cast::<*mut u8>().read();
                block
            };
            (*span).used_count += 1;
            self.used_bytes += (*span).block_bytes as usize;
            if !has_room(span) {
                self.leave_room(span);
            }
            NonNull::new_unchecked(block)
        }
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// `block` came from `allocate` of this slab with the same class as `bytes` and is used no more.
    #[inline]
    pub unsafe fn free(&mut self, block: NonNull<u8>, bytes: usize) {
        if bytes > BLOCK_BYTES_MAX {
            self.used_bytes -= bytes;
            self.alone_bytes -= bytes;
            // SAFETY: the caller's promise; `allocate_alone` used this layout.
            unsafe { dealloc(block.as_ptr(), alone_layout(bytes)) };
            return;
        }
        let span = span_of(block.as_ptr());
        // SAFETY: blocks of this size lie in a span, whose header is at its aligned start.
        unsafe {
            debug_assert_eq!(
                (*span).class as usize,
                class_of(bytes),
                "freed with its size"
            );
            block.as_ptr().cast::<*mut u8>().write((*span).free);
            (*span).free = block.as_ptr();
            (*span).used_count -= 1;
            self.used_bytes -= (*span).block_bytes as usize;
            if (*span).used_count == 0 {
                self.retire(span);
            } else if !(*span).in_room {
                self.enter_room(span);
            }
        }
    }

    /// Takes a block back. Where that leaves no more than `used_thirds_max` thirds of its span in use, and others of its
    /// class have room for the rest, the rest is written to `others`: blocks the owner must move.
    ///
    /// - The owner allocates all the places to move to, then frees all the blocks; the span goes with the last.
    ///
    /// # Safety
    /// As for `free`.
    #[inline]
    pub unsafe fn free_and_compact(
        &mut self,
        block: NonNull<u8>,
        bytes: usize,
        used_thirds_max: u32,
        others: &mut Vec<NonNull<u8>>,
    ) {
        let span = span_of(block.as_ptr());
        // SAFETY: the caller's promise; a block of such a size lies in a live span, which stays while it is in use.
        unsafe {
            let is_sparse = bytes <= BLOCK_BYTES_MAX && {
                let used_count = (*span).used_count - 1;
                used_count > 0 && used_count * 3 <= (*span).blocks_count * used_thirds_max
            };
            self.free(block, bytes);
            if is_sparse && self.others_have_room(span) {
                self.evacuate(span, others);
            }
        }
    }

    /// Of the first `looks_max` spans of `class` that have room, names the blocks of the one with the fewest in use, if that
    /// is no more than `percent`, and the others that were looked at have room for them, or its slack is worth a fresh span;
    /// names none otherwise.
    ///
    /// - The owner moves them, as with [`Slab::free_and_compact`]. There are [`CLASSES_COUNT`] classes.
    /// - Calls come to an end: a span less with each, or `LONE_SLACK_BYTES_MIN` less of slack, of which a fresh span has none.
    pub fn evacuate_sparsest(
        &mut self,
        class: usize,
        percent: u32,
        looks_max: usize,
        others: &mut Vec<NonNull<u8>>,
    ) {
        let mut sparsest: *mut Span = null_mut();
        let mut room_count = 0;
        let mut span = self.room[class];
        // SAFETY: spans with room are alive.
        unsafe {
            for _ in 0..looks_max {
                if span.is_null() {
                    break;
                }
                room_count += (*span).blocks_count - (*span).used_count;
                if sparsest.is_null() || (*span).used_count < (*sparsest).used_count {
                    sparsest = span;
                }
                span = (*span).room_next;
            }
            if sparsest.is_null() {
                return;
            }
            let (used, all) = ((*sparsest).used_count, (*sparsest).blocks_count);
            if used * 100 > all * percent {
                return;
            }
            if room_count - (all - used) >= used {
                self.evacuate(sparsest, others);
            } else if slack_bytes(sparsest) >= LONE_SLACK_BYTES_MIN {
                // A spare span would be no better than this one: its pages are there.
                self.trim();
                self.evacuate(sparsest, others);
            }
        }
    }

    /// Names all blocks of a span, and hands out no more of it until they are freed.
    ///
    /// # Safety
    /// `span` is alive and has room.
    #[cold]
    unsafe fn evacuate(&mut self, span: *mut Span, others: &mut Vec<NonNull<u8>>) {
        debug_assert!(others.is_empty());
        // SAFETY: the caller's promise; free blocks hold the address of the next.
        unsafe {
            let block_bytes = (*span).block_bytes as usize;
            let mut is_free = [0_u64; SPAN_BYTES / 8 / 64];
            let mut next = (*span).free;
            while !next.is_null() {
                let index = (next.addr() - span.addr() - HEADER_BYTES) / block_bytes;
                is_free[index / 64] |= 1 << (index % 64);
                next = next.cast::<*mut u8>().read();
            }
            let reached = ((*span).bump as usize - HEADER_BYTES) / block_bytes;
            for index in 0..reached {
                if is_free[index / 64] >> (index % 64) & 1 == 0 {
                    let block = span.cast::<u8>().add(HEADER_BYTES + index * block_bytes);
                    others.push(NonNull::new_unchecked(block));
                }
            }
            debug_assert_eq!(others.len(), (*span).used_count as usize);
            self.leave_room(span);
        }
    }

    /// Whether the first few other spans of the class with room have room for all that is in this one.
    ///
    /// # Safety
    /// `span` is alive.
    unsafe fn others_have_room(&self, span: *mut Span) -> bool {
        // SAFETY: the caller's promise; spans with room are alive.
        unsafe {
            let mut room_count = 0;
            let mut other = self.room[(*span).class as usize];
            for _ in 0..8 {
                if other.is_null() {
                    break;
                }
                if other != span {
                    room_count += (*other).blocks_count - (*other).used_count;
                }
                if room_count >= (*span).used_count {
                    return true;
                }
                other = (*other).room_next;
            }
            false
        }
    }

    /// Bytes of the blocks that are out, rounded up to their classes.
    #[inline]
    pub fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// Bytes of mappings that were made ready on huge pages, and of which nothing has been given back.
    pub fn huge_bytes(&self) -> usize {
        self.spans.huge_bytes()
    }

    /// Bytes of full mappings that have been merged to huge pages, as far as the kernel had some, and of which nothing has been given
    /// back.
    pub fn merged_bytes(&self) -> usize {
        self.spans.merged_bytes()
    }

    /// Bytes of all spans and of the blocks above the largest class.
    pub fn reserved_bytes(&self) -> usize {
        self.alone_bytes + self.spans.taken_count() * SPAN_BYTES
    }

    /// Bytes of spans that take memory and are in no block in use: freed blocks, spans kept for reuse, headers; of a span that
    /// was handed out before also what is not reached yet. A look at each class.
    pub fn slack_bytes(&self) -> usize {
        let mut unreached_bytes = self.tails_bytes;
        for &span in &self.newest {
            if !span.is_null() {
                // SAFETY: the newest spans are alive.
                unsafe {
                    unreached_bytes += SPAN_BYTES - (*span).bump as usize - tail_bytes(span);
                }
            }
        }
        self.reserved_bytes() - self.used_bytes - unreached_bytes
    }

    /// Gives the empty spans kept for reuse back.
    pub fn trim(&mut self) {
        while self.spare_count > 0 {
            self.spare_count -= 1;
            let span = self.spare[self.spare_count];
            // SAFETY: a spare span is in no list and has no block out.
            unsafe { self.give_back(span) };
        }
    }

    /// Gives up to `spans_max` spans back, with whatever blocks are out in them; true when none is left.
    ///
    /// # Safety
    /// No block of this slab that came from a span is used again.
    pub unsafe fn abandon(&mut self, spans_max: usize) -> bool {
        self.trim();
        self.room = [null_mut(); CLASSES_COUNT];
        self.newest = [null_mut(); CLASSES_COUNT];
        for _ in 0..spans_max {
            let Some((span, region_index)) = self.spans.any_taken() else {
                break;
            };
            // SAFETY: `span` has a header, spare ones are gone; the caller gave its blocks up.
            unsafe {
                let header = span.cast::<Span>().as_ref();
                self.used_bytes -= header.used_count as usize * header.block_bytes as usize;
                if header.is_fresh {
                    self.tails_bytes -= tail_bytes(header);
                }
                self.spans.give_back(span, region_index);
            }
        }
        self.spans.taken_count() == 0
    }

    #[cold]
    fn allocate_alone(&mut self, bytes: usize) -> NonNull<u8> {
        let layout = alone_layout(bytes);
        // SAFETY: the layout's size is not 0.
        let block = unsafe { alloc(layout) };
        let Some(block) = NonNull::new(block) else {
            handle_alloc_error(layout)
        };
        self.used_bytes += bytes;
        self.alone_bytes += bytes;
        block
    }

    #[cold]
    fn add_span(&mut self, class: usize) -> *mut Span {
        let is_fresh = self.spare_count == 0;
        let (span, region_index) = if !is_fresh {
            self.spare_count -= 1;
            let span = self.spare[self.spare_count];
            // SAFETY: a spare span keeps its header.
            (span, unsafe { (*span).region_index })
        } else {
            let (span, region_index) = self.spans.take();
            (span.as_ptr().cast::<Span>(), region_index)
        };
        // SAFETY: `span` is a fresh or a retired span, ours alone.
        unsafe {
            span.write(Span {
                room_next: null_mut(),
                room_previous: null_mut(),
                free: null_mut(),
                bump: HEADER_BYTES as u32,
                used_count: 0,
                blocks_count: ((SPAN_BYTES - HEADER_BYTES) / block_bytes_of(class)) as u32,
                block_bytes: block_bytes_of(class) as u32,
                region_index,
                class: class as u16,
                in_room: false,
                is_fresh,
            });
            self.newest[class] = null_mut();
            if is_fresh {
                self.newest[class] = span;
                self.tails_bytes += tail_bytes(span);
            }
            self.enter_room(span);
        }
        span
    }

    /// # Safety
    /// `span` is alive, perhaps in `room`, and has no block out.
    #[cold]
    unsafe fn retire(&mut self, span: *mut Span) {
        // SAFETY: the caller's promise.
        unsafe {
            if (*span).in_room {
                self.leave_room(span);
            }
            if (*span).is_fresh {
                self.tails_bytes -= tail_bytes(span);
            }
            let newest = &mut self.newest[(*span).class as usize];
            if *newest == span {
                *newest = null_mut();
            }
            if self.spare_count < SPARE_SPANS_MAX {
                self.spare[self.spare_count] = span;
                self.spare_count += 1;
            } else {
                self.give_back(span);
            }
        }
    }

    /// # Safety
    /// `span` is alive and in no list.
    unsafe fn give_back(&mut self, span: *mut Span) {
        // SAFETY: the caller's promise; the header knows the region.
        unsafe {
            let region_index = (*span).region_index;
            self.spans
                .give_back(NonNull::new_unchecked(span.cast()), region_index);
        }
    }

    /// # Safety
    /// `span` is alive and not in `room`.
    unsafe fn enter_room(&mut self, span: *mut Span) {
        // SAFETY: the caller's promise; heads of `room` are alive.
        unsafe {
            let head = self.room[(*span).class as usize];
            (*span).room_next = head;
            (*span).room_previous = null_mut();
            (*span).in_room = true;
            if !head.is_null() {
                (*head).room_previous = span;
            }
            self.room[(*span).class as usize] = span;
        }
    }

    /// # Safety
    /// `span` is alive and in `room`.
    unsafe fn leave_room(&mut self, span: *mut Span) {
        // SAFETY: the caller's promise; list neighbours are alive.
        unsafe {
            let (next, previous) = ((*span).room_next, (*span).room_previous);
            if !next.is_null() {
                (*next).room_previous = previous;
            }
            if previous.is_null() {
                self.room[(*span).class as usize] = next;
            } else {
                (*previous).room_next = next;
            }
            (*span).in_room = false;
        }
    }
}

/// The bytes a block of `bytes` really takes.
#[inline]
pub fn rounded_bytes(bytes: usize) -> usize {
    if bytes > BLOCK_BYTES_MAX {
        bytes
    } else {
        block_bytes_of(class_of(bytes))
    }
}

/// The span a block of at most `BLOCK_BYTES_MAX` lies in.
#[inline]
fn span_of(block: *mut u8) -> *mut Span {
    block
        .map_addr(|address| address & !(SPAN_BYTES - 1))
        .cast::<Span>()
}

fn alone_layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 64).expect("blocks are far smaller than the address space")
}

#[inline]
fn class_of(bytes: usize) -> usize {
    if bytes <= 512 {
        bytes.div_ceil(8) - 1
    } else if bytes <= 2048 {
        64 + (bytes - 513) / 64
    } else {
        88 + (bytes - 2049) / 256
    }
}

#[inline]
fn block_bytes_of(class: usize) -> usize {
    if class < 64 {
        (class + 1) * 8
    } else if class < 88 {
        512 + (class - 63) * 64
    } else {
        2048 + (class - 87) * 256
    }
}

/// # Safety
/// `span` is alive.
#[inline]
unsafe fn has_room(span: *mut Span) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        !(*span).free.is_null() || ((*span).bump + (*span).block_bytes) as usize <= SPAN_BYTES
    }
}

/// Bytes that take memory and are in no block in use, but for the header.
///
/// # Safety
/// `span` is alive.
unsafe fn slack_bytes(span: *const Span) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        let (bump, used_count) = ((*span).bump as usize, (*span).used_count as usize);
        let touched_bytes = if (*span).is_fresh { bump } else { SPAN_BYTES };
        touched_bytes - HEADER_BYTES - used_count * (*span).block_bytes as usize
    }
}

/// Bytes behind the last place for a block.
///
/// # Safety
/// `span` is alive.
unsafe fn tail_bytes(span: *const Span) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        SPAN_BYTES - HEADER_BYTES - (*span).blocks_count as usize * (*span).block_bytes as usize
    }
}
