//! The global allocator's spare room: given back to the system where it is whole, measured and told where it is not.
//!
//! Promises  nothing that is in use moves; where another allocator is the global one, there is nothing to give or to tell.
//! Not here  moving what is in use: `ds/key_table/compact.rs`.
//! Source    mimalloc 3.3: `mi_collect`, `mi_theap_visit_blocks`, and `mi_unsafe_heap_page_is_under_utilized`, made for
//!           this purpose. The binding crate declares `mi_collect` only.

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

unsafe extern "C" {
    fn mi_theap_get_default() -> *mut c_void;
    fn mi_theap_visit_blocks(
        heap: *const c_void,
        blocks: bool,
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
