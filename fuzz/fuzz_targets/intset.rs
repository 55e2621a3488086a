//! Bytes as an intset: refused, or ascending integers that come back as the same bytes, and that additions keep so.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::ds::intset::Intset;

fuzz_target!(|data: &[u8]| {
    let Some(mut intset) = Intset::from_bytes(data) else {
        return;
    };
    assert_eq!(intset.as_bytes(), data);
    let integers: Vec<i64> = intset.iter().collect();
    assert!(integers.is_sorted() && !integers.is_empty());
    for integer in [integers[0], integers[0].wrapping_add(1), i64::MIN, i64::MAX] {
        let was_there = intset.contains(integer);
        assert_eq!(intset.insert(integer), !was_there);
        assert!(intset.contains(integer));
        assert!(Intset::from_bytes(intset.as_bytes()).is_some());
    }
    for integer in integers {
        assert!(intset.remove(integer));
    }
});
