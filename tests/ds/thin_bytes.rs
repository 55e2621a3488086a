//! Thin bytes against a `Vec<u8>`.

use super::{Random, size};
use rondo::ds::block_size::block_bytes;
use rondo::ds::thin_bytes::ThinBytes;

#[test]
fn they_are_as_long_as_they_are_made() {
    let mut bytes = ThinBytes::new();
    let mut model: Vec<u8> = Vec::new();
    let mut random = Random(7);
    for step in 0..size(60, 2000) {
        let len = match random.below(4) {
            0 => model.len() + random.below(3),
            1 => model.len().saturating_sub(random.below(3)),
            2 => random.below(40),
            _ => random.below(1000),
        };
        bytes.resize(len);
        model.resize(len, 0);
        assert_eq!(bytes[..], model[..], "step {step}");
        let room = match len {
            0 => 0,
            _ => block_bytes(8 + len),
        };
        assert_eq!(bytes.heap_bytes(), room, "length and bytes in one block");
        if len > 0 {
            let at = random.below(len);
            bytes[at] = step as u8;
            model[at] = step as u8;
        }
        let copy = bytes.clone();
        assert_eq!((&copy[..], copy.heap_bytes()), (&model[..], room));
    }
    assert_eq!(ThinBytes::copy_of(b"abc")[..], *b"abc");
    assert!(ThinBytes::copy_of(b"").is_empty());
}
