//! Bytes taken for a listpack: refused, or walked, searched and edited without a panic, and valid afterwards.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::ds::listpack::{Element, Listpack};

fuzz_target!(|data: &[u8]| {
    // Header and end put right, so that most inputs get as far as the entries.
    let mut bytes = [&[0; 6], data, &[0xff]].concat();
    let total = (bytes.len() as u32).to_le_bytes();
    bytes[..4].copy_from_slice(&total);
    bytes[4..6].copy_from_slice(&[0xff, 0xff]);
    let list = Listpack::from_bytes(&bytes).or_else(|| Listpack::from_bytes(data));
    let Some(mut list) = list else {
        return;
    };
    let elements: Vec<Vec<u8>> = list.iter().map(Element::to_vec).collect();
    let mut backward: Vec<Vec<u8>> = list.iter().rev().map(Element::to_vec).collect();
    backward.reverse();
    assert_eq!(elements, backward);
    assert_eq!(list.len(), elements.len());
    for (index, element) in elements.iter().enumerate() {
        let position = list.seek(index as isize).expect("an index below the length");
        assert_eq!(list.find(position, element, 0), Some(position));
    }
    let mut rest = list.split_off(elements.len() / 2);
    rest.push_back(b"added");
    rest.prepend(&list);
    while let Some(first) = list.first() {
        list.replace(first, b"changed");
        list.delete(first);
    }
    assert_eq!(rest.len(), elements.len() + 1);
    assert!(Listpack::from_bytes(rest.as_bytes()).is_some());
});
