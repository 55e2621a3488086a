//! The sparse array against a `BTreeMap`, and its accounts against what it holds.

use super::{Random, size};
use rondo::ds::sparse_array::{PLACE_MAX, SparseArray};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

type Model = BTreeMap<u64, Vec<u8>>;

fn text(random: &mut Random) -> Vec<u8> {
    let number = random.next() as i64;
    match random.below(8) {
        0 => number.to_string().into_bytes(),
        1 => (number >> random.below(64)).to_string().into_bytes(),
        2 => b"0123".to_vec(),
        3 => vec![b'x'; random.below(9)],
        4 => vec![random.next() as u8; 240 + random.below(30)],
        5 => [i64::MIN, i64::MAX, (1 << 61) - 1, 1 << 61, -(1 << 61)][random.below(5)]
            .to_string()
            .into_bytes(),
        _ => vec![random.next() as u8; random.below(40)],
    }
}

// Near each other, in one slice, in many slices, at both ends.
fn place(random: &mut Random, spread: usize) -> u64 {
    match spread {
        0 => random.below(40) as u64,
        1 => random.below(9000) as u64,
        2 => random.below(400) as u64 * 4096 + random.below(3) as u64,
        3 => random.next().min(PLACE_MAX),
        _ => PLACE_MAX - random.below(5000) as u64,
    }
}

fn walked(array: &SparseArray, start: u64, end: u64) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    array.visit(start, end, |place, element| {
        found.push((place, element.to_vec()));
        ControlFlow::Continue(())
    });
    found
}

fn check(array: &SparseArray, model: &Model, seed: u64) {
    assert_eq!(array.count(), model.len() as u64, "SEED={seed}");
    assert_eq!(array.is_empty(), model.is_empty(), "SEED={seed}");
    assert_eq!(
        array.last(),
        model.last_key_value().map(|(place, _)| *place),
        "SEED={seed}"
    );
    let all: Vec<_> = model.iter().map(|(p, t)| (*p, t.clone())).collect();
    assert_eq!(walked(array, 0, u64::MAX), all, "SEED={seed}");
    let mut walked_back = walked(array, u64::MAX, 0);
    walked_back.reverse();
    assert_eq!(walked_back, all, "SEED={seed}");
    let forms = array.forms();
    assert_eq!(
        forms.dense_slices + forms.sparse_slices,
        array.slices_count() as u64,
        "SEED={seed}"
    );
    // A window is never more than half empty.
    assert!(forms.dense_places <= 2 * forms.dense_strings, "SEED={seed}");
}

#[test]
fn it_holds_what_a_map_holds() {
    for seed in 0..size(5, 60) as u64 {
        let mut random = Random(seed);
        let spread = seed as usize % 5;
        let mut array = SparseArray::new();
        let mut model = Model::new();
        for step in 0..size(20, 2000) {
            let at = place(&mut random, spread);
            match random.below(12) {
                0..=5 => {
                    let text = text(&mut random);
                    assert_eq!(
                        array.set(at, &text),
                        model.insert(at, text).is_none(),
                        "SEED={seed}"
                    );
                }
                6..=8 => assert_eq!(array.remove(at), model.remove(&at).is_some(), "SEED={seed}"),
                9 => {
                    let count = random.below(60) as u64;
                    for at in at..at.saturating_add(count).min(PLACE_MAX) {
                        let text = text(&mut random);
                        assert_eq!(array.set(at, &text), model.insert(at, text).is_none());
                    }
                }
                10 if random.below(4) == 0 => {
                    let other = place(&mut random, spread);
                    let (low, high) = (at.min(other), at.max(other));
                    let keys: Vec<u64> = model.range(low..=high).map(|(place, _)| *place).collect();
                    let mut cut = SparseArray::new();
                    let removed = array.remove_range(low, high, &mut cut);
                    assert_eq!(removed, keys.len() as u64, "SEED={seed}");
                    assert!(cut.count() <= removed);
                    keys.iter().for_each(|key| drop(model.remove(key)));
                }
                _ => {
                    let got = array.get(at).map(|element| element.to_vec());
                    assert_eq!(got.as_ref(), model.get(&at), "SEED={seed}");
                    let end = place(&mut random, spread);
                    let mut part: Vec<_> = model
                        .range(at.min(end)..=at.max(end))
                        .map(|(p, t)| (*p, t.clone()))
                        .collect();
                    if at > end {
                        part.reverse();
                    }
                    assert_eq!(walked(&array, at, end), part, "SEED={seed}");
                }
            }
            if step % 50 == 0 {
                check(&array, &model, seed);
            }
        }
        check(&array, &model, seed);
        let copy = array.clone();
        check(&copy, &model, seed);
        // Accounts end where they began: nothing was counted that is not given back.
        let mut steps = 0;
        let mut rest = array;
        while !rest.free_step(16) {
            steps += 1;
            assert!(steps <= 10 + copy.count(), "SEED={seed}");
        }
        for (place, _) in walked(&rest, 0, u64::MAX) {
            rest.remove(place);
        }
        assert_eq!((rest.count(), rest.slices_count()), (0, 0), "SEED={seed}");
        let mut emptied = copy;
        emptied.remove_range(0, PLACE_MAX, &mut SparseArray::new());
        assert_eq!(emptied.heap_bytes(), rest.heap_bytes(), "SEED={seed}");
        assert_eq!(emptied.allocations_count(), 1, "SEED={seed}");
    }
}

#[test]
fn memory_follows_what_is_there() {
    let mut array = SparseArray::new();
    let count = size(500, 100_000) as u64;
    for place in 0..count {
        array.set(place, place.to_string().as_bytes());
    }
    // Eight bytes for each integer, and a little.
    assert!(array.heap_bytes() as u64 <= count * 8 + count + 6000);
    let far_apart = size(100, 5000) as u64;
    let mut sparse = SparseArray::new();
    for place in 0..far_apart {
        sparse.set(place << 40, b"x");
    }
    assert!(sparse.heap_bytes() as u64 <= far_apart * 160 + 1000);
}

// The account of an array that only grew is the sum of its blocks.
#[test]
fn texts_are_accounted_to_the_block() {
    use rondo::ds::block_size::block_bytes;
    let mut array = SparseArray::new();
    let empty_text = {
        array.set(0, b"");
        array.heap_bytes()
    };
    for (length, header) in [
        (1, None),
        (7, None),
        (8, Some(1)),
        (254, Some(1)),
        (255, Some(9)),
    ] {
        array.set(0, &vec![b'x'; length]);
        let block = header.map_or(0, |header| block_bytes(header + length));
        assert_eq!(array.heap_bytes(), empty_text + block, "{length}");
    }
}
