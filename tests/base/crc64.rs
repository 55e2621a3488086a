//! CRC-64 of Jones: the check value Redis names, and the definition bit by bit.

use rondo::base::crc64::crc64;
use rondo::base::rng::Rng;

fn by_definition(crc: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(crc, |crc, &byte| {
        (0..8).fold(crc ^ u64::from(byte), |crc: u64, _| {
            if crc & 1 == 0 {
                crc >> 1
            } else {
                crc >> 1 ^ 0x95ac_9329_ac4b_c9b5
            }
        })
    })
}

/// Bytes, and the sum by definition of as many of the first of them as the index says.
fn text_and_sums(length: usize) -> (Vec<u8>, Vec<u64>) {
    let mut rng = Rng::with_seed(length as u64);
    let bytes: Vec<u8> = (0..length).map(|_| rng.next_u64() as u8).collect();
    let mut sums = vec![0];
    for byte in &bytes {
        sums.push(by_definition(sums[sums.len() - 1], &[*byte]));
    }
    (bytes, sums)
}

#[test]
fn every_length_agrees_with_the_definition() {
    assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    let (bytes, sums) = text_and_sums(5_000);
    let short = 0..100;
    let others = (100..=5_000).step_by(7);
    // Where three lanes begin to fit.
    let borders = [768, 1_536, 4_608]
        .into_iter()
        .flat_map(|at| at - 9..at + 9);
    for length in short.chain(others).chain(borders) {
        assert_eq!(crc64(0, &bytes[..length]), sums[length], "{length} bytes");
    }
}

#[test]
fn long_texts_agree_with_the_definition() {
    let (bytes, sums) = text_and_sums(20_000);
    let borders = [6_144, 6_912, 12_288, 18_432, 19_200];
    let borders = borders.into_iter().flat_map(|at| at - 9..at + 9);
    for length in borders.chain((5_000..=20_000).step_by(331)) {
        assert_eq!(crc64(0, &bytes[..length]), sums[length], "{length} bytes");
        // From anywhere, whatever was before.
        let start = length / 3;
        assert_eq!(
            crc64(sums[start], &bytes[start..length]),
            sums[length],
            "from {start} to {length}"
        );
    }
}

#[test]
fn pieces_are_the_whole() {
    let (bytes, sums) = text_and_sums(16_000);
    let whole = sums[bytes.len()];
    for length in [0, 1, 7, 8, 300, 767, 768, 769, 6_143, 6_144, 6_145, 15_999] {
        let (head, tail) = bytes.split_at(length);
        assert_eq!(crc64(crc64(0, head), tail), whole, "{length} bytes");
    }
    for seed in 0..200 {
        let mut rng = Rng::with_seed(seed);
        let (mut crc, mut at) = (0, 0);
        while at < bytes.len() {
            let piece_bytes_max = [10, 1_000, 9_000][rng.below(3) as usize];
            let end = bytes.len().min(at + rng.below(piece_bytes_max) as usize);
            crc = crc64(crc, &bytes[at..end]);
            at = end;
            assert_eq!(crc, sums[at], "SEED={seed}: {at} bytes");
        }
    }
}
