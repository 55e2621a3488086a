//! CRC-64 of Jones: the check value Redis names, and the definition bit by bit.

use rondo::base::crc64::crc64;

fn by_definition(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u64::from(byte), |crc: u64, _| {
            if crc & 1 == 0 {
                crc >> 1
            } else {
                crc >> 1 ^ 0x95ac_9329_ac4b_c9b5
            }
        })
    })
}

#[test]
fn every_length_agrees_with_the_definition() {
    assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    let bytes: Vec<u8> = (0..100u8)
        .map(|index| index.wrapping_mul(167).wrapping_add(13))
        .collect();
    for length in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(length);
        assert_eq!(crc64(0, head), by_definition(head), "{length} bytes");
        assert_eq!(crc64(crc64(0, head), tail), by_definition(&bytes));
    }
}
