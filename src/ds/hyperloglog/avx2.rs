//! Dense registers, 32 at a time, where the processor has AVX2.
//!
//!     bytes      b0 b1 b2 | …              three bytes are four registers of six bits
//!     registers  r0 r1 r2 r3 | …           a byte each: shifted apart within words of 32 bits
//!
//! Promises  does a number of registers from the first on, none on other processors, and says how many: the rest is
//!           `mod.rs`'s, which does the same to eight at a time.
//! Tests     tests/ds/hyperloglog.rs: merges of random sketches, register by register.

use super::{DENSE_BYTES, HEADER_BYTES, REGISTERS_COUNT};

/// Registers of one step.
const STEP: usize = 32;
/// Bytes that a step looks at or writes: four more than its registers take.
const WINDOW_BYTES: usize = 28;

/// Raises registers to those of the bytes that follow a dense one's header; how many, from the first on.
#[inline]
pub fn raise(registers: &mut [u8; REGISTERS_COUNT], dense: &[u8]) -> usize {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if std::arch::is_x86_feature_detected!("avx2") && dense.len() == DENSE_BYTES - HEADER_BYTES {
        // SAFETY: the processor has AVX2, asked just now.
        return unsafe { x86::raise(registers, dense) };
    }
    let _ = (registers, dense);
    0
}

/// Writes registers as those bytes; how many, from the first on.
#[inline]
pub fn pack(registers: &[u8; REGISTERS_COUNT], dense: &mut [u8]) -> usize {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if std::arch::is_x86_feature_detected!("avx2") && dense.len() == DENSE_BYTES - HEADER_BYTES {
        // SAFETY: the processor has AVX2, asked just now.
        return unsafe { x86::pack(registers, dense) };
    }
    let _ = (registers, dense);
    0
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod x86 {
    use super::{REGISTERS_COUNT, STEP, WINDOW_BYTES};
    use std::arch::x86_64::*;

    /// Bytes of a step's registers.
    const PACKED_BYTES: usize = STEP * 6 / 8;

    /// How many steps have a whole window in so many bytes.
    fn steps_count(bytes: usize) -> usize {
        (bytes - WINDOW_BYTES) / PACKED_BYTES + 1
    }

    /// Every fourth byte is left free for the shifts.
    const APART: [i8; 16] = [0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1];
    /// And taken away again.
    const TOGETHER: [i8; 16] = [0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1];

    /// # Safety
    /// The processor must have AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn raise(registers: &mut [u8; REGISTERS_COUNT], dense: &[u8]) -> usize {
        let apart = broadcast(&APART);
        let steps_count = steps_count(dense.len());
        for step in 0..steps_count {
            let window: &[u8; WINDOW_BYTES] = dense[step * PACKED_BYTES..]
                .first_chunk()
                .expect("a whole window");
            // SAFETY: a window has 28 bytes, so 16 from its first and 16 from its thirteenth. No alignment is assumed.
            let word = unsafe {
                let low = _mm_loadu_si128(window.as_ptr().cast());
                let high = _mm_loadu_si128(window.as_ptr().add(12).cast());
                _mm256_set_m128i(high, low)
            };
            let word = _mm256_shuffle_epi8(word, apart);
            let first = _mm256_and_si256(word, _mm256_set1_epi32(0x3f));
            let second = and(_mm256_slli_epi32::<2>(word), 0x3f00);
            let third = and(_mm256_slli_epi32::<4>(word), 0x3f_0000);
            let fourth = and(_mm256_slli_epi32::<6>(word), 0x3f00_0000);
            let apart = _mm256_or_si256(
                _mm256_or_si256(first, second),
                _mm256_or_si256(third, fourth),
            );
            let own: &mut [u8; STEP] = registers[step * STEP..]
                .first_chunk_mut()
                .expect("as many registers as a step has");
            // SAFETY: 32 bytes are read and written where 32 are. No alignment is assumed.
            unsafe {
                let before = _mm256_loadu_si256(own.as_ptr().cast());
                let after = _mm256_max_epu8(before, apart);
                _mm256_storeu_si256(own.as_mut_ptr().cast(), after);
            }
        }
        steps_count * STEP
    }

    /// # Safety
    /// The processor must have AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn pack(registers: &[u8; REGISTERS_COUNT], dense: &mut [u8]) -> usize {
        let together = broadcast(&TOGETHER);
        let steps_count = steps_count(dense.len());
        for step in 0..steps_count {
            let own: &[u8; STEP] = registers[step * STEP..]
                .first_chunk()
                .expect("as many registers as a step has");
            // SAFETY: 32 bytes are read where 32 are. No alignment is assumed.
            let word = unsafe { _mm256_loadu_si256(own.as_ptr().cast()) };
            let first = and(word, 0x3f);
            let second = and(_mm256_srli_epi32::<2>(word), 0xfc0);
            let third = and(_mm256_srli_epi32::<4>(word), 0x3_f000);
            let fourth = and(_mm256_srli_epi32::<6>(word), 0xfc_0000);
            let word = _mm256_or_si256(
                _mm256_or_si256(first, second),
                _mm256_or_si256(third, fourth),
            );
            let word = _mm256_shuffle_epi8(word, together);
            let window: &mut [u8; WINDOW_BYTES] = dense[step * PACKED_BYTES..]
                .first_chunk_mut()
                .expect("a whole window");
            // SAFETY: a window has 28 bytes, so 16 from its first and 16 from its thirteenth. The four zeros past each 12 are
            // overwritten: by the second store, by the next step, and after the last by who does the rest.
            unsafe {
                _mm_storeu_si128(window.as_mut_ptr().cast(), _mm256_castsi256_si128(word));
                let high = _mm256_extracti128_si256::<1>(word);
                _mm_storeu_si128(window.as_mut_ptr().add(12).cast(), high);
            }
        }
        steps_count * STEP
    }

    #[target_feature(enable = "avx2")]
    fn and(word: __m256i, mask: i32) -> __m256i {
        _mm256_and_si256(word, _mm256_set1_epi32(mask))
    }

    #[target_feature(enable = "avx2")]
    fn broadcast(bytes: &[i8; 16]) -> __m256i {
        // SAFETY: 16 bytes are read where 16 are. No alignment is assumed.
        _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
    }
}
