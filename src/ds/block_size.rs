//! How large an allocation really is: the size classes of the allocator.
//!
//! Promises  asking for `block_bytes(n)` instead of `n` costs no memory, and the account of it is exact.
//! Source    mimalloc, `page-queue.c`: 8, 16, steps of 16 up to 128, then four classes for each power of two.

/// Above this, what the allocator adds is not touched: memory goes by the system's pages.
const CLASS_BYTES_MAX: usize = 64 * 1024;
const PAGE_BYTES: usize = 4096;

/// The size of the smallest block with room for `bytes`; 0 for 0.
#[inline]
pub const fn block_bytes(bytes: usize) -> usize {
    match bytes {
        0..=8 => bytes.next_multiple_of(8),
        9..=128 => bytes.next_multiple_of(16),
        129..=CLASS_BYTES_MAX => bytes.next_multiple_of(1 << ((bytes - 1).ilog2() - 2)),
        _ => bytes.next_multiple_of(PAGE_BYTES),
    }
}
