//! Bytes as changes of a sorted set: the same as on a map, and in order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::ds::sorted_set::{Direction, SortedSet, Updated};
use std::collections::HashMap;

fuzz_target!(|bytes: &[u8]| {
    let mut set = SortedSet::new();
    let mut model: HashMap<Vec<u8>, f64> = HashMap::new();
    for step in bytes.chunks_exact(4) {
        let name = member(step[1], step[2]);
        match step[0] & 7 {
            0..5 => {
                let score = score(step[0], step[3]);
                let expected = match model.get(&name) {
                    None => Updated::Added(score),
                    Some(old) if *old == score => Updated::Kept(*old),
                    Some(old) => Updated::Changed(*old, score),
                };
                assert_eq!(set.update(&name, |_| Some(score)), expected);
                if !matches!(expected, Updated::Kept(_)) {
                    model.insert(name, score);
                }
            }
            5 => {
                let start = usize::from(step[1]).min(set.len());
                let end = (start + usize::from(step[2] & 15)).min(set.len());
                let rows = set.walk(start..end, Direction::Up);
                let gone: Vec<Vec<u8>> = rows.map(|entry| entry.member().to_vec()).collect();
                set.remove_ranks(start..end);
                for name in gone {
                    assert!(model.remove(&name).is_some());
                }
            }
            _ => assert_eq!(set.remove(&name), model.remove(&name)),
        }
        assert_eq!(set.len(), model.len());
    }
    set.check();
    let mut rows: Vec<(f64, Vec<u8>)> = model
        .into_iter()
        .map(|(name, score)| (score, name))
        .collect();
    rows.sort_by(|one, other| {
        let scores = one.0.partial_cmp(&other.0).expect("scores are numbers");
        scores.then_with(|| one.1.cmp(&other.1))
    });
    let walk = set.walk(0..set.len(), Direction::Up);
    let found: Vec<(f64, Vec<u8>)> = walk
        .map(|entry| (entry.score(), entry.member().to_vec()))
        .collect();
    assert_eq!(found, rows);
    for (rank, (score, name)) in rows.iter().enumerate() {
        assert_eq!(set.rank(name), Some((rank, *score)));
    }
});

fn score(how: u8, byte: u8) -> f64 {
    match how >> 3 {
        0 => f64::INFINITY,
        1 => f64::NEG_INFINITY,
        2 => -0.0,
        3..8 => f64::from(byte) / 7.0 - 9.0,
        _ => f64::from(byte & 15),
    }
}

/// 4,096 of them, lengths around every turn of the record's layout.
fn member(high: u8, low: u8) -> Vec<u8> {
    let number = usize::from(high & 15) << 8 | usize::from(low);
    let mut name = format!("m{number}").into_bytes();
    match low {
        0 if high & 15 == 0 => name.clear(),
        1 => name.resize(254, b'x'),
        2 => name.resize(255, b'x'),
        3 => name.resize(300, b'x'),
        4 => name.insert(0, 0xff),
        _ => {}
    }
    name
}
