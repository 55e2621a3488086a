//! Any bytes as a HyperLogLog, then additions: refused or counted, never a panic, and dense agrees with sparse.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::ds::hyperloglog::{Registers, Sketch, cardinality, is_lower, place, text};

fuzz_target!(|data: &[u8]| {
    let at = data.len() / 2;
    let header = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0";
    for bytes in [data.to_vec(), [header.as_slice(), &data[..at]].concat()] {
        let Some(mut sketch) = Sketch::new(bytes, 3000) else {
            continue;
        };
        let before = cardinality(sketch.as_bytes());
        assert_eq!(before.is_ok(), Registers::default().raise_to(sketch.as_bytes()).is_ok());
        text(sketch.as_bytes());
        for element in data[at..].chunks(3) {
            let (index, count) = place(element);
            let lower = is_lower(sketch.as_bytes(), index, count);
            let raised = sketch.raise(index, count);
            if let (Ok(lower), Ok(raised)) = (lower, raised) {
                assert_eq!(lower, raised);
            }
        }
        if before.is_ok() {
            let sparse = cardinality(sketch.as_bytes());
            sketch.make_dense().expect("what counted can be packed");
            assert_eq!(sparse, cardinality(sketch.as_bytes()));
        }
    }
});
