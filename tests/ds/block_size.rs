//! The size classes, at their edges.

use rondo::ds::block_size::block_bytes;
use std::ffi::c_void;

#[test]
fn sizes_are_the_allocators_classes() {
    for (bytes, block) in [
        (0, 0),
        (1, 8),
        (8, 8),
        (9, 16),
        (17, 32),
        (33, 48),
        (128, 128),
        (129, 160),
        (160, 160),
        (161, 192),
        (256, 256),
        (257, 320),
        (1025, 1280),
        (65_536, 65_536),
        (65_537, 69_632),
    ] {
        assert_eq!(block_bytes(bytes), block, "{bytes}");
    }
    for bytes in 1..70_000 {
        assert_eq!(block_bytes(block_bytes(bytes)), block_bytes(bytes));
    }
}

/// `mi_heap_area_t`, as far as it is read.
#[repr(C)]
struct Area {
    blocks: *mut c_void,
    reserved_bytes: usize,
    committed_bytes: usize,
    used_count: usize,
    block_bytes: usize,
}

unsafe extern "C" {
    fn mi_theap_get_default() -> *mut c_void;
    fn mi_theap_visit_blocks(
        heap: *const c_void,
        blocks: bool,
        visitor: unsafe extern "C" fn(
            *const c_void,
            *const Area,
            *mut c_void,
            usize,
            *mut c_void,
        ) -> bool,
        room: *mut c_void,
    ) -> bool;
}

/// Listpacks of some 2,500 bytes lie in pages whose end wastes little, where the Makefile builds; in the allocator's own pages of
/// 64 KiB it is 61 bytes for each.
#[test]
#[cfg_attr(miri, ignore = "Miri has an allocator of its own")]
fn pages_of_small_blocks_are_large_enough() {
    const BLOCK_BYTES: usize = 2_560;
    unsafe extern "C" fn note(
        _: *const c_void,
        area: *const Area,
        _: *mut c_void,
        _: usize,
        room: *mut c_void,
    ) -> bool {
        // SAFETY: the allocator hands a page that lives, and the room it was given below.
        let (area, found) = unsafe { (&*area, &mut *room.cast::<usize>()) };
        if area.block_bytes == BLOCK_BYTES {
            *found = area.reserved_bytes;
        }
        true
    }
    let mut reserved_bytes = 0_usize;
    // SAFETY: the heap is this thread's own, the visitor allocates nothing, and the block is freed once.
    unsafe {
        let block = libmimalloc_sys::mi_malloc(BLOCK_BYTES);
        let heap = mi_theap_get_default();
        mi_theap_visit_blocks(heap, false, note, (&raw mut reserved_bytes).cast());
        libmimalloc_sys::mi_free(block);
    }
    let blocks_count = reserved_bytes / BLOCK_BYTES;
    assert!(blocks_count > 0, "the block's page was visited");
    let waste = (reserved_bytes.next_power_of_two() - blocks_count * BLOCK_BYTES) / blocks_count;
    let has_large_pages =
        option_env!("CFLAGS").is_some_and(|flags| flags.contains("MI_ARENA_SLICE_SHIFT=17"));
    let waste_max = if has_large_pages { 25 } else { 75 };
    assert!(
        waste < waste_max,
        "{waste} bytes for each of {blocks_count} blocks"
    );
}
