//! CRC-64 with D. T. Jones's polynomial, as DUMP payloads and RDB files end in it (reflected, initial value 0, no final
//! inversion).
//!
//!     | lane | lane | lane |  three of 2 KiB each, as often as there are; then three of 256 bytes each; then the rest
//!
//! Eight bytes a step from eight tables (16 KiB). Each step waits for the one before, so that a single lane comes to some
//! 2 GB/s and leaves most of the core idle: three sums are under way at once. What is behind a lane shifts its sum by as many
//! zero bytes, which is one more look into small tables for each half byte of the sum; long lanes make that rare, short ones
//! begin to pay at 768 bytes.

/// The polynomial 0xad93d23594c935a9, its bits reversed.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

/// Goes on from `crc`, 0 at the beginning, over `bytes`; `crc64(0, b"123456789") == 0xe9c6d914c4b8d9ca`.
pub fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    let (crc, bytes) = over_lanes::<LONG_LANE_BYTES>(crc, bytes, &LONG_LANE_OF_ZEROS);
    let (crc, bytes) = over_lanes::<SHORT_LANE_BYTES>(crc, bytes, &SHORT_LANE_OF_ZEROS);
    let (eights, rest) = bytes.as_chunks::<8>();
    let crc = eights.iter().fold(crc, over_eight);
    rest.iter().fold(crc, |crc, byte| {
        TABLES[0][usize::from(crc as u8 ^ byte)] ^ crc >> 8
    })
}

/// Goes on over three lanes, as often as there are three; the sum, and the bytes that are left.
///
/// - `LANE_BYTES`: a multiple of 8.
/// - `zeros`: those of as many bytes.
fn over_lanes<'b, const LANE_BYTES: usize>(
    mut crc: u64,
    mut bytes: &'b [u8],
    zeros: &Zeros,
) -> (u64, &'b [u8]) {
    while let Some((lanes, rest)) = bytes.split_at_checked(3 * LANE_BYTES) {
        let (first, others) = lanes.split_at(LANE_BYTES);
        let (second, third) = others.split_at(LANE_BYTES);
        let (first, _) = first.as_chunks::<8>();
        let (second, _) = second.as_chunks::<8>();
        let (third, _) = third.as_chunks::<8>();
        let (mut first_sum, mut second_sum, mut third_sum) = (crc, 0, 0);
        for ((first, second), third) in first.iter().zip(second).zip(third) {
            first_sum = over_eight(first_sum, first);
            second_sum = over_eight(second_sum, second);
            third_sum = over_eight(third_sum, third);
        }
        crc = over_zeros(over_zeros(first_sum, zeros) ^ second_sum, zeros) ^ third_sum;
        bytes = rest;
    }
    (crc, bytes)
}

/// Goes on over eight bytes.
#[inline]
fn over_eight(crc: u64, eight: &[u8; 8]) -> u64 {
    let word = crc ^ u64::from_le_bytes(*eight);
    let of = |index: usize| TABLES[7 - index][usize::from((word >> (8 * index)) as u8)];
    // In pairs: one after the other they would all be waited for.
    ((of(0) ^ of(1)) ^ (of(2) ^ of(3))) ^ ((of(4) ^ of(5)) ^ (of(6) ^ of(7)))
}

/// Goes on over the zero bytes of a lane.
#[inline]
fn over_zeros(crc: u64, zeros: &Zeros) -> u64 {
    zeros.iter().enumerate().fold(0, |sum, (half, behind)| {
        sum ^ behind[(crc >> (4 * half)) as usize & 15]
    })
}

/// `TABLES[n][byte]`: the CRC of `byte` followed by `n` zero bytes.
static TABLES: [[u64; 256]; 8] = tables();

/// `Zeros[n][half]`: what the half byte number `n` of a CRC becomes behind so many zero bytes.
type Zeros = [[u64; 16]; 16];

const LONG_LANE_BYTES: usize = 1 << 11;
const SHORT_LANE_BYTES: usize = 1 << 8;

static LONG_LANE_OF_ZEROS: Zeros = zeros(LONG_LANE_BYTES);
static SHORT_LANE_OF_ZEROS: Zeros = zeros(SHORT_LANE_BYTES);

/// What a CRC becomes behind this many zero bits.
const fn after_zero_bits(mut crc: u64, count: usize) -> u64 {
    let mut bit = 0;
    while bit < count {
        crc = if crc & 1 == 1 {
            crc >> 1 ^ POLYNOMIAL
        } else {
            crc >> 1
        };
        bit += 1;
    }
    crc
}

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0u64; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut zeros_count = 0;
        while zeros_count < 8 {
            crc = after_zero_bits(crc, 8);
            tables[zeros_count][byte] = crc;
            zeros_count += 1;
        }
        byte += 1;
    }
    tables
}

/// - `bytes_count`: a power of two.
const fn zeros(bytes_count: usize) -> Zeros {
    // What becomes of each bit; that of a CRC is the sum of what becomes of its bits.
    let mut bits = [0u64; 64];
    let mut bit = 0;
    while bit < 64 {
        bits[bit] = after_zero_bits(1 << bit, 8);
        bit += 1;
    }
    let mut count = 1;
    while count < bytes_count {
        // Twice as many.
        let before = bits;
        let mut bit = 0;
        while bit < 64 {
            bits[bit] = sum_of_bits(before[bit], &before);
            bit += 1;
        }
        count *= 2;
    }
    let mut zeros = [[0u64; 16]; 16];
    let mut at = 0;
    while at < 256 {
        let (index, half) = (at / 16, at % 16);
        zeros[index][half] = sum_of_bits((half as u64) << (4 * index), &bits);
        at += 1;
    }
    zeros
}

const fn sum_of_bits(crc: u64, bits: &[u64; 64]) -> u64 {
    let mut sum = 0;
    let mut bit = 0;
    while bit < 64 {
        if crc >> bit & 1 == 1 {
            sum ^= bits[bit];
        }
        bit += 1;
    }
    sum
}
