//! CRC16 as Redis Cluster hashes keys (polynomial 0x1021, initial value 0, no reflection: "XMODEM").
//!
//! Eight bytes a step: byte by byte each lookup waits for the one before, and a 16-byte key waits 16 times; here twice.
//! The tables are 4 KiB, which the routing of every request keeps in the first-level cache.

/// CRC16/XMODEM of `bytes`; `crc16(b"123456789") == 0x31c3`.
#[inline]
pub fn crc16(bytes: &[u8]) -> u16 {
    let (eights, rest) = bytes.as_chunks::<8>();
    let mut crc = 0u16;
    for eight in eights {
        let [high, low] = crc.to_be_bytes();
        crc = entry(7, eight[0] ^ high)
            ^ entry(6, eight[1] ^ low)
            ^ entry(5, eight[2])
            ^ entry(4, eight[3])
            ^ entry(3, eight[4])
            ^ entry(2, eight[5])
            ^ entry(1, eight[6])
            ^ entry(0, eight[7]);
    }
    let (fours, rest) = rest.as_chunks::<4>();
    for four in fours {
        let [high, low] = crc.to_be_bytes();
        crc = entry(3, four[0] ^ high)
            ^ entry(2, four[1] ^ low)
            ^ entry(1, four[2])
            ^ entry(0, four[3]);
    }
    rest.iter().fold(crc, |crc, &byte| {
        (crc << 8) ^ entry(0, (crc >> 8) as u8 ^ byte)
    })
}

#[inline]
fn entry(zeros: usize, byte: u8) -> u16 {
    TABLES[zeros][usize::from(byte)]
}

/// `TABLES[n][byte]`: the CRC of `byte` followed by `n` zero bytes.
static TABLES: [[u16; 256]; 8] = tables();

const fn tables() -> [[u16; 256]; 8] {
    let mut tables = [[0u16; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 64 {
            crc = if crc & 0x8000 != 0 {
                (crc << 1) ^ 0x1021
            } else {
                crc << 1
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
