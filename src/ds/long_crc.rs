//! CRC-64/XZ of long runs of bytes, by the widest vectors there are.
//!
//!     prefix, first bytes -> 256 bytes of state --fold each 256 bytes that follow--> 256 bytes with the same remainder
//!         -> crc64fast, and then what is left
//!
//! Where the processor has AVX-512 and carry-less multiplication over all of a vector (Intel since Ice Lake, AMD since Zen 4) 256 KiB
//! take 4 us instead of 11; elsewhere, and of what is short, crc64fast does it all.
//!
//! Source    Gopal and others, Fast CRC computation for generic polynomials using PCLMULQDQ, Intel, 2009: folding. That a state may be
//!           handed on as bytes follows from the remainder being linear.
//! Tests     tests/ds/long_crc.rs: beside crc64fast.

use crc64fast::Digest;

/// Bytes folded at once.
const STEP_BYTES: usize = 256;
/// What is shorter is not worth it.
const LONG_BYTES: usize = 4 * STEP_BYTES;

/// The checksum of `prefix` and then `bytes`.
pub fn checksum(prefix: [u8; 8], bytes: &[u8]) -> u64 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if bytes.len() >= LONG_BYTES
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("vpclmulqdq")
    {
        return wide::checksum(prefix, bytes);
    }
    of_two(&prefix, bytes)
}

fn of_two(first: &[u8], second: &[u8]) -> u64 {
    let mut digest = Digest::new();
    digest.write(first);
    digest.write(second);
    digest.sum64()
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod wide {
    use std::arch::x86_64::{
        __m512i, _mm512_clmulepi64_epi128, _mm512_loadu_si512, _mm512_set_epi64,
        _mm512_storeu_si512, _mm512_ternarylogic_epi64,
    };

    use super::{STEP_BYTES, of_two};

    /// The polynomial 0x42f0e1eba9ea3693, its bits reversed.
    const POLYNOMIAL: u64 = 0xc96c_5795_d787_0f42;
    /// What the first and the second eight bytes of sixteen are multiplied with to move them a step on. A product of two numbers whose
    /// bits are reversed has one bit too few below it: one power less.
    const FACTORS: [i64; 2] = [
        power(8 * STEP_BYTES as u32 + 63) as i64,
        power(8 * STEP_BYTES as u32 - 1) as i64,
    ];
    /// What a sum begins with is added to the first eight bytes.
    const BEGIN: u8 = 0xff;
    /// Bytes of a vector.
    const WIDTH: usize = 64;
    /// The truth table of a ^ b ^ c.
    const XOR: i32 = 0x96;

    /// The remainder of x to this power, its bits reversed.
    const fn power(exponent: u32) -> u64 {
        let mut rest = 1 << 63;
        let mut at = 0;
        while at < exponent {
            let carry = if rest & 1 == 1 { POLYNOMIAL } else { 0 };
            rest = rest >> 1 ^ carry;
            at += 1;
        }
        rest
    }

    /// As outside, of at least one step. The processor has what `fold` needs.
    pub(super) fn checksum(prefix: [u8; 8], bytes: &[u8]) -> u64 {
        let (first, rest) = bytes.split_at(STEP_BYTES - prefix.len());
        let (steps, rest) = rest.as_chunks::<STEP_BYTES>();
        let mut state = [0; STEP_BYTES];
        state[..8].copy_from_slice(&prefix);
        state[8..].copy_from_slice(first);
        state[..8].iter_mut().for_each(|byte| *byte ^= BEGIN);
        // SAFETY: whoever calls has asked the processor.
        unsafe { fold(&mut state, steps) };
        // It is added once more there.
        state[..8].iter_mut().for_each(|byte| *byte ^= BEGIN);
        of_two(&state, rest)
    }

    /// Changes `state` into 256 bytes that leave the remainder of all there were.
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    fn fold(state: &mut [u8; STEP_BYTES], steps: &[[u8; STEP_BYTES]]) {
        let [first, second] = FACTORS;
        let factors = _mm512_set_epi64(second, first, second, first, second, first, second, first);
        let mut parts = [0, 1, 2, 3].map(|index| load(state, index));
        for step in steps {
            for (index, part) in parts.iter_mut().enumerate() {
                let firsts = _mm512_clmulepi64_epi128(*part, factors, 0x00);
                let seconds = _mm512_clmulepi64_epi128(*part, factors, 0x11);
                *part = _mm512_ternarylogic_epi64(firsts, seconds, load(step, index), XOR);
            }
        }
        for (bytes, part) in state.chunks_exact_mut(WIDTH).zip(parts) {
            // SAFETY: a chunk is as long as a vector, and no alignment is asked for.
            unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), part) };
        }
    }

    /// Part `index` of a step, from 0 to 3.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(step: &[u8; STEP_BYTES], index: usize) -> __m512i {
        let bytes = &step[WIDTH * index..WIDTH * (index + 1)];
        // SAFETY: the slice is as long as a vector, and no alignment is asked for.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }
}
