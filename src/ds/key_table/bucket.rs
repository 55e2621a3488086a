//! One cache line of eight slots, and what a slot's 64 bits say.
//!
//!     slot = | tag 16 | address of the entry 45 | flags 3 |      address 0: empty
//!     flags: bit 0 the entry has a deadline; bit 1, in the last slot only, entries have passed this bucket on; bit 2 the
//!     colour that tells what a cut has shown (`cut.rs`)
//!
//! Tests     tests/ds/bucket.rs.

pub(super) use crate::ds::prefetch::prefetch;

/// Slots of a bucket.
pub const SLOTS: usize = 8;
/// In a slot: the entry has a deadline.
pub(super) const HAS_DEADLINE: u64 = 1;
/// In a bucket's last slot, full or empty: an entry found this bucket full and went to the next.
pub(super) const OVERFLOWED: u64 = 2;
/// In a slot: the entry's colour, see `cut.rs`.
pub(super) const COLOUR: u64 = 4;

const ADDRESS: u64 = 0x0000_ffff_ffff_fff8;

/// Eight slots.
#[repr(C, align(64))]
pub struct Bucket(pub [u64; SLOTS]);

const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    /// Whether entries whose home is here, or before, may be in the next bucket.
    #[inline]
    pub(super) fn is_overflowed(&self) -> bool {
        self.0[SLOTS - 1] & OVERFLOWED != 0
    }

    /// The slots that have this tag. An empty slot has tag 0, so look at the address too.
    #[inline]
    pub fn tag_matches(&self, tag: u64) -> TagMatches {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        return sse2_matches(&self.0, tag);
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        return generic_matches(&self.0, tag);
    }

    /// The first empty slot.
    #[inline]
    pub(super) fn first_empty(&self) -> Option<usize> {
        self.0.iter().position(|slot| is_empty(*slot))
    }
}

/// Indices of slots, in no particular order. Bit `4 * odd + index / 2` stands for slot `index`: so the vector unit has it.
pub struct TagMatches(u32);

impl Iterator for TagMatches {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some((bit & 3) << 1 | bit >> 2)
    }
}

/// What every machine can do, and what the other one is tested against.
pub fn generic_matches(slots: &[u64; SLOTS], tag: u64) -> TagMatches {
    let mut matches = 0;
    for (index, slot) in slots.iter().enumerate() {
        matches |= u32::from(slot >> 48 == tag) << (index >> 1 | (index & 1) << 2);
    }
    TagMatches(matches)
}

/// Four loads bring the eight tags into one register, one comparison does the rest. SSE2 is part of x86-64.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
fn sse2_matches(slots: &[u64; SLOTS], tag: u64) -> TagMatches {
    use std::arch::x86_64::{
        __m128i, _mm_and_si128, _mm_cmpeq_epi16, _mm_load_si128, _mm_movemask_epi8, _mm_or_si128,
        _mm_packs_epi16, _mm_set1_epi16, _mm_set1_epi64x, _mm_setzero_si128, _mm_srli_epi64,
    };
    let start = slots.as_ptr().cast::<__m128i>();
    // SAFETY: a bucket is 64 bytes, aligned to 64; the instructions are part of the baseline.
    unsafe {
        let top = _mm_set1_epi64x(0xffff_u64.wrapping_shl(48) as i64);
        let first = _mm_srli_epi64::<48>(_mm_load_si128(start));
        let second = _mm_srli_epi64::<32>(_mm_and_si128(_mm_load_si128(start.add(1)), top));
        let third = _mm_srli_epi64::<16>(_mm_and_si128(_mm_load_si128(start.add(2)), top));
        let fourth = _mm_and_si128(_mm_load_si128(start.add(3)), top);
        let tags = _mm_or_si128(_mm_or_si128(first, second), _mm_or_si128(third, fourth));
        let equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16(tag as i16));
        TagMatches(_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())) as u32)
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
    slot & (ADDRESS | HAS_DEADLINE | COLOUR) | tag << 48
}

/// The slot's entry; null for an empty slot.
#[inline]
pub(super) fn entry(slot: u64) -> *mut u8 {
    std::ptr::with_exposed_provenance_mut((slot & ADDRESS) as usize)
}
