//! One cache line of eight slots, and what a slot's 64 bits say.
//!
//!     slot = | tag 16 | address of the entry 45 | flags 3 |      address 0: empty
//!     flags: bit 0 the entry has a deadline; bit 1, in the last slot only, entries have passed this bucket on

/// Slots of a bucket.
pub(super) const SLOTS: usize = 8;
/// In a slot: the entry has a deadline.
pub(super) const HAS_DEADLINE: u64 = 1;
/// In a bucket's last slot, full or empty: an entry found this bucket full and went to the next.
pub(super) const OVERFLOWED: u64 = 2;

const ADDRESS: u64 = 0x0000_ffff_ffff_fff8;

/// Eight slots.
#[repr(C, align(64))]
pub(super) struct Bucket(pub(super) [u64; SLOTS]);

const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    /// Whether entries whose home is here, or before, may be in the next bucket.
    #[inline]
    pub(super) fn is_overflowed(&self) -> bool {
        self.0[SLOTS - 1] & OVERFLOWED != 0
    }

    /// Bit `i` is set where slot `i` has this tag. An empty slot has tag 0, so look at the address too.
    #[inline]
    pub(super) fn tag_matches(&self, tag: u64) -> u32 {
        let mut matches = 0;
        for (index, slot) in self.0.iter().enumerate() {
            matches |= u32::from(slot >> 48 == tag) << index;
        }
        matches
    }

    /// The first empty slot.
    #[inline]
    pub(super) fn first_empty(&self) -> Option<usize> {
        self.0.iter().position(|slot| is_empty(*slot))
    }
}

/// A slot for an entry.
#[inline]
pub(super) fn slot(tag: u64, entry: *mut u8, has_deadline: bool) -> u64 {
    let address = entry.expose_provenance() as u64;
    debug_assert_eq!(address & !ADDRESS, 0, "47-bit, 8-aligned addresses");
    debug_assert!(tag < 1 << 16);
    tag << 48 | address | u64::from(has_deadline)
}

/// Whether no entry is in the slot.
#[inline]
pub(super) fn is_empty(slot: u64) -> bool {
    slot & ADDRESS == 0
}

/// The slot's 16 bits of hash.
#[inline]
pub(super) fn tag(slot: u64) -> u64 {
    slot >> 48
}

/// The same slot, with another tag and without the bucket's flag.
#[inline]
pub(super) fn with_tag(slot: u64, tag: u64) -> u64 {
    slot & (ADDRESS | HAS_DEADLINE) | tag << 48
}

/// The slot's entry; null for an empty slot.
#[inline]
pub(super) fn entry(slot: u64) -> *mut u8 {
    std::ptr::with_exposed_provenance_mut((slot & ADDRESS) as usize)
}

/// Starts loading a cache line.
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
