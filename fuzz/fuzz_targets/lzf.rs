//! Any bytes: as a compressed text they are refused or give what was asked for; as a text they read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::ds::lzf::{compress, decompress};

fuzz_target!(|data: &[u8]| {
    if let Some((length, packed)) = data.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length));
        if let Some(output) = decompress(packed, length) {
            assert_eq!(output.len(), length);
        }
    }
    let packed = compress(data, data.len() + data.len() / 32 + 1).expect("room for runs alone");
    assert_eq!(decompress(&packed, data.len()).as_deref(), Some(data));
});
