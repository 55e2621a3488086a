//! The log's checksum, by wide vectors and without: crc64fast says what it is.

use crc64fast::Digest;
use rondo::base::rng::Rng;
use rondo::ds::long_crc::checksum;

fn by_crc64fast(prefix: [u8; 8], bytes: &[u8]) -> u64 {
    let mut digest = Digest::new();
    digest.write(&prefix);
    digest.write(bytes);
    digest.sum64()
}

#[test]
fn it_is_the_sum_of_both_parts_at_every_length_and_place() {
    let mut rng = Rng::with_seed(64);
    let bytes: Vec<u8> = (0..300_000).map(|_| rng.next_u64() as u8).collect();
    let lengths = (0..3_000).chain([4_096, 65_535, 65_536, 262_143, 262_144, 299_900]);
    for length in lengths {
        for start in [0, 1, 8, 33] {
            let (prefix, bytes) = (rng.next_u64().to_le_bytes(), &bytes[start..start + length]);
            let sum = checksum(prefix, bytes);
            assert_eq!(
                sum,
                by_crc64fast(prefix, bytes),
                "{length} bytes at {start}"
            );
        }
    }
}

/// The check value of CRC-64/XZ, of what stands across the border of the two parts.
#[test]
fn it_is_the_one_that_others_compute() {
    assert_eq!(checksum(*b"12345678", b"9"), 0x995d_c9bb_df19_39fa);
}

#[test]
fn each_bit_of_a_long_run_matters() {
    let mut bytes = vec![0; 2_000];
    let sum = checksum([0; 8], &bytes);
    for bit in 0..8 * bytes.len() {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(checksum([0; 8], &bytes), sum, "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}
