//! Any bytes as a HyperLogLog, then additions: refused or counted, never a panic, and dense agrees with sparse.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::ds::hyperloglog::{Registers, Sketch, cardinality, lower, place, text};

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
            let is_lower = lower(sketch.as_bytes(), index, count).map(|at| at.is_some());
            let raised = sketch.raise(index, count);
            if let (Ok(is_lower), Ok(raised)) = (is_lower, raised) {
                assert_eq!(is_lower, raised);
            }
        }
        if before.is_ok() {
            let sparse = cardinality(sketch.as_bytes());
            sketch.make_dense().expect("what counted can be packed");
            assert_eq!(sparse, cardinality(sketch.as_bytes()));
        }
    }
});
