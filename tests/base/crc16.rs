//! CRC16: the standard's check value, and the definition bit by bit.

use rondo::base::crc16::crc16;

fn by_definition(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc: u16, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x1021
            }
        })
    })
}

#[test]
fn every_length_agrees_with_the_definition() {
    assert_eq!(crc16(b"123456789"), 0x31c3);
    assert_eq!(crc16(b"foo") % 16_384, 12_182);
    let bytes: Vec<u8> = (0..100u8)
        .map(|index| index.wrapping_mul(167).wrapping_add(13))
        .collect();
    for len in 0..=bytes.len() {
        assert_eq!(
            crc16(&bytes[..len]),
            by_definition(&bytes[..len]),
            "{len} bytes"
        );
    }
}
