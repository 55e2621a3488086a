//! The global allocator's spare room: given back to the system where it is whole, measured and told where it is not.
//!
//!     page of blocks   | used | free | free | used |  not handed out yet  |
//!     given back               ^^^^^  ^^^^^          ^^^^^^^^^^^^^^^^^^^^     all but what holds a free block's link
//!
//! Promises  nothing that is in use moves; where another allocator is the global one, there is nothing to give or to tell.
//! Not here  moving what is in use: `ds/key_table/compact.rs`.
//! Source    mimalloc 3.3: `mi_collect`, `mi_theap_visit_blocks`, `_mi_theap_area_visit_blocks`, which it is made of, and
//!           `mi_unsafe_heap_page_is_under_utilized`, made for this purpose. The binding crate declares `mi_collect` only.
//! Tests     tests/ds/purge.rs, tests/server/compaction.rs.

use std::ffi::c_void;

/// `mi_heap_area_t`: a page of blocks of one size.
#[repr(C)]
struct Area {
    blocks: *mut c_void,
    reserved_bytes: usize,
    committed_bytes: usize,
    used_count: usize,
    block_bytes: usize,
    whole_block_bytes: usize,
    internal: *mut c_void,
}

type Visitor = unsafe extern "C" fn(
    heap: *const c_void,
    area: *const Area,
    block: *mut c_void,
    block_bytes: usize,
    room: *mut c_void,
) -> bool;

/// What the system gives and takes.
const SYSTEM_PAGE_BYTES: usize = 4096;
/// Smaller blocks have no whole page of the system's behind their link, or hardly ever.
const GIVEN_BLOCK_BYTES_MIN: usize = 2 * SYSTEM_PAGE_BYTES;

unsafe extern "C" {
    fn mi_theap_get_default() -> *mut c_void;
    fn mi_theap_visit_blocks(
        heap: *const c_void,
        blocks: bool,
        visitor: Visitor,
        room: *mut c_void,
    ) -> bool;
    fn _mi_theap_area_visit_blocks(
        area: *const Area,
        page: *mut c_void,
        visitor: Visitor,
        room: *mut c_void,
    ) -> bool;
    fn mi_unsafe_heap_page_is_under_utilized(
        heap: *mut c_void,
        block: *mut c_void,
        percent: usize,
    ) -> bool;
}

/// Gives free pages back, those of this thread and those that any thread has given up. Does nothing where another allocator
/// is the global one.
///
/// - Cost: looks at every page of the thread's heap; the system takes 80 us for a MiB.
pub fn give_back_free_pages() {
    // SAFETY: may be called at any time, from any thread; it touches nothing that is handed out.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

/// Gives free pages of this thread up, for another's [`give_back_free_pages`].
///
/// - Cost: looks at every page of the thread's heap.
pub fn give_up_free_pages() {
    // SAFETY: as above.
    unsafe { libmimalloc_sys::mi_collect(false) };
}

/// Bytes of free blocks in this thread's pages that are partly in use.
///
/// - Cost: looks at every page of the thread's heap, some 16,000 to a GiB.
pub fn free_bytes_in_used_pages() -> usize {
    /// Adds a page's free bytes to the sum behind `room`.
    unsafe extern "C" fn add(
        _: *const c_void,
        area: *const Area,
        _: *mut c_void,
        _: usize,
        room: *mut c_void,
    ) -> bool {
        // SAFETY: the allocator hands a page that lives, and what it was given below.
        unsafe {
            let (area, sum) = (&*area, &mut *room.cast::<usize>());
            if area.used_count > 0 {
                let used_bytes = area.used_count * area.whole_block_bytes;
                *sum += area.committed_bytes.saturating_sub(used_bytes);
            }
        }
        true
    }
    let mut sum = 0_usize;
    // SAFETY: the heap is this thread's own; the visitor allocates nothing and gets a place for its sum.
    unsafe {
        let heap = mi_theap_get_default();
        mi_theap_visit_blocks(heap, false, add, (&raw mut sum).cast());
    }
    sum
}

/// What a step of [`give_back_free_blocks`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenBack {
    /// Bytes of free blocks, resident or not.
    pub bytes: usize,
    /// The page of the heap that is next; none: it was the last.
    pub next: Option<usize>,
}

/// Gives back the memory of free blocks, and of blocks never handed out, in this thread's pages that are partly in use: from
/// page `from` on, until that is `bytes_max` or a page more.
///
/// - Cost: looks at every page of the thread's heap; the system takes 80 us for a MiB, and 1 us for each block.
pub fn give_back_free_blocks(from: usize, bytes_max: usize) -> GivenBack {
    let mut step = Step {
        from,
        bytes_max,
        seen: 0,
        bytes: 0,
    };
    // SAFETY: the heap is this thread's own; the visitor allocates nothing and gets a place for its step.
    let is_over = unsafe {
        let heap = mi_theap_get_default();
        mi_theap_visit_blocks(heap, false, give_page, (&raw mut step).cast())
    };
    GivenBack {
        bytes: step.bytes,
        next: (!is_over).then_some(step.seen),
    }
}

/// How far a step has come.
struct Step {
    from: usize,
    bytes_max: usize,
    seen: usize,
    bytes: usize,
}

/// One page after the other, and the free blocks of each.
struct Gaps {
    /// No block from here on is known to be in use.
    free_from: usize,
    block_bytes: usize,
    bytes: usize,
}

impl Gaps {
    /// A block in use, or the last block's end, is at `end`.
    fn end_at(&mut self, end: usize) {
        while self.free_from + self.block_bytes <= end {
            // A free block begins with its link to the next one.
            let link_end = self.free_from + size_of::<usize>();
            self.free_from += self.block_bytes;
            self.bytes += discard(link_end, self.free_from);
        }
    }
}

/// Gives what is free in a page back: the visitor of a [`Step`], which `room` points to.
unsafe extern "C" fn give_page(
    _: *const c_void,
    area: *const Area,
    _: *mut c_void,
    _: usize,
    room: *mut c_void,
) -> bool {
    /// Notes a block in use in the gaps behind `room`.
    unsafe extern "C" fn note_used(
        _: *const c_void,
        _: *const Area,
        block: *mut c_void,
        _: usize,
        room: *mut c_void,
    ) -> bool {
        // SAFETY: the room is the one that was given below.
        let gaps = unsafe { &mut *room.cast::<Gaps>() };
        gaps.end_at(block.addr());
        gaps.free_from = block.addr() + gaps.block_bytes;
        true
    }
    // SAFETY: the allocator hands a page of this thread's that lives, and what it was given above.
    let (page, step) = unsafe { (&*area, &mut *room.cast::<Step>()) };
    if step.bytes >= step.bytes_max {
        return false;
    }
    step.seen += 1;
    if step.seen <= step.from {
        return true;
    }
    let start = page.blocks.addr();
    let end = start + page.committed_bytes;
    discard(end, start + page.reserved_bytes);
    let used_bytes = page.used_count * page.whole_block_bytes;
    if page.whole_block_bytes >= GIVEN_BLOCK_BYTES_MIN && used_bytes < page.committed_bytes {
        let mut gaps = Gaps {
            free_from: start,
            block_bytes: page.whole_block_bytes,
            bytes: 0,
        };
        // SAFETY: as above. Blocks that it does not show are in this thread's list of free ones, and stay there while it
        // is here; another thread may free one that it shows, and writes to that alone.
        unsafe {
            _mi_theap_area_visit_blocks(area, page.internal, note_used, (&raw mut gaps).cast())
        };
        gaps.end_at(end);
        step.bytes += gaps.bytes;
    }
    true
}

/// Gives back the system's pages that lie wholly between two addresses; their bytes. They read as zeros from then on.
fn discard(start: usize, end: usize) -> usize {
    let start = start.next_multiple_of(SYSTEM_PAGE_BYTES);
    let bytes = (end / SYSTEM_PAGE_BYTES * SYSTEM_PAGE_BYTES).saturating_sub(start);
    if bytes == 0 {
        return 0;
    }
    let memory = std::ptr::with_exposed_provenance_mut(start);
    // SAFETY: memory of the allocator's that nobody has, and in which it keeps nothing.
    match unsafe { libc::madvise(memory, bytes, libc::MADV_DONTNEED) } {
        0 => bytes,
        _ => 0,
    }
}

/// Whether at most `percent` of the page that `block` lies in is in use, and new blocks come from another.
///
/// - False for what is not of the global allocator.
///
/// # Safety
/// `block` is in use, or not of the global allocator at all.
#[inline]
pub unsafe fn is_page_sparse(block: *const u8, percent: usize) -> bool {
    // SAFETY: the page lives as long as a block of it is in use. Where it is another thread's, whose counts may change
    // meanwhile, the answer may be late, and decides only whether a move is worth its while.
    unsafe {
        mi_unsafe_heap_page_is_under_utilized(
            std::ptr::null_mut(),
            block.cast_mut().cast(),
            percent,
        )
    }
}
