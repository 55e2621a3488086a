//! CRC-64 with D. T. Jones's polynomial, as DUMP payloads and RDB files end in it (reflected, initial value 0, no final
//! inversion).
//!
//! Eight bytes a step from eight tables (16 KiB): some 2 GB/s, a byte at a time gives a quarter of it.

/// The polynomial 0xad93d23594c935a9, its bits reversed.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

/// Goes on from `crc`, 0 at the beginning, over `bytes`; `crc64(0, b"123456789") == 0xe9c6d914c4b8d9ca`.
pub fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    let (eights, rest) = bytes.as_chunks::<8>();
    let crc = eights.iter().fold(crc, |crc, eight| {
        let word = crc ^ u64::from_le_bytes(*eight);
        let byte = |index: usize| usize::from(word.to_le_bytes()[index]);
        (0..8).fold(0, |sum, index| sum ^ TABLES[7 - index][byte(index)])
    });
    rest.iter().fold(crc, |crc, byte| {
        TABLES[0][usize::from(crc as u8 ^ byte)] ^ crc >> 8
    })
}

/// `TABLES[n][byte]`: the CRC of `byte` followed by `n` zero bytes.
static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0u64; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 64 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ POLYNOMIAL
            } else {
                crc >> 1
            };
            bit += 1;
            if bit % 8 == 0 {
                tables[bit / 8 - 1][byte] = crc;
            }
        }
        byte += 1;
    }
    tables
}
