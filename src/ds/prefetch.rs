//! Asking for a cache line before it is needed.

/// Starts loading the cache line of `address`, which may lead anywhere.
#[inline]
pub(super) fn prefetch(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch reads nothing the program sees and never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

/// Bytes of a cache line.
const LINE_BYTES: usize = 64;

/// Starts loading the first `bytes` of a thing.
#[inline]
pub fn prefetch_lines<T>(thing: &T, bytes: usize) {
    let start = std::ptr::from_ref(thing).cast::<u8>();
    for at in (0..bytes).step_by(LINE_BYTES) {
        prefetch(start.wrapping_add(at));
    }
}
