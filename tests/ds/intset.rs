//! The intset against a `BTreeSet`, and its bytes.

use super::{Random, size};
use rondo::base::rng::Rng;
use rondo::ds::block_size::block_bytes;
use rondo::ds::intset::Intset;
use std::collections::BTreeSet;

/// Around every width's edges.
const EDGES: [i64; 9] = [
    0,
    32_767,
    32_768,
    -32_768,
    -32_769,
    2_147_483_648,
    -2_147_483_649,
    i64::MAX,
    i64::MIN,
];

fn check(intset: &Intset, model: &BTreeSet<i64>, seed: u64) {
    assert!(intset.iter().eq(model.iter().copied()), "SEED={seed}");
    assert_eq!(intset.len(), model.len(), "SEED={seed}");
    assert_eq!(intset.is_empty(), model.is_empty());
    assert_eq!(intset.first(), model.first().copied());
    assert_eq!(intset.last(), model.last().copied());
    assert_eq!(intset.get(model.len()), None);
    if model.is_empty() {
        assert_eq!(intset.heap_bytes(), 0, "SEED={seed}");
        assert!(Intset::from_bytes(intset.as_bytes()).is_none());
    } else {
        let bytes = block_bytes(size_of::<usize>() + intset.as_bytes().len());
        assert_eq!(intset.heap_bytes(), bytes, "SEED={seed}");
        let copy = Intset::from_bytes(intset.as_bytes()).expect("valid");
        assert_eq!(copy.as_bytes(), intset.as_bytes());
        assert_eq!(copy.heap_bytes(), bytes);
        assert_eq!(intset.clone().heap_bytes(), bytes);
    }
}

#[test]
fn it_holds_what_a_sorted_set_holds() {
    for seed in 0..size(3, 60) as u64 {
        let mut random = Random(seed);
        let mut intset = Intset::new();
        let mut model = BTreeSet::new();
        for _ in 0..size(60, 400) {
            let edge = EDGES[random.below(1 + seed as usize % EDGES.len())];
            let integer = edge.wrapping_add(random.below(40) as i64 - 20);
            match random.below(5) {
                0 | 1 => {
                    assert_eq!(intset.insert(integer), model.insert(integer), "SEED={seed}");
                }
                2 => assert_eq!(
                    intset.remove(integer),
                    model.remove(&integer),
                    "SEED={seed}"
                ),
                3 => assert_eq!(intset.contains(integer), model.contains(&integer)),
                _ => {
                    let index = random.below(model.len() * 3 + 1);
                    let expected = model.iter().nth(index).copied();
                    assert_eq!(intset.remove_at(index), expected, "SEED={seed}");
                    expected.map(|integer| model.remove(&integer));
                }
            }
            check(&intset, &model, seed);
        }
    }
}

#[test]
fn the_bytes_are_those_of_redis() {
    let mut intset = Intset::new();
    assert_eq!(intset.as_bytes(), [2, 0, 0, 0, 0, 0, 0, 0]);
    intset.insert(5);
    intset.insert(-1);
    assert_eq!(
        intset.as_bytes(),
        [2, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 5, 0]
    );
    intset.insert(40_000);
    assert_eq!(intset.as_bytes()[..8], [4, 0, 0, 0, 3, 0, 0, 0]);
    assert_eq!(intset.as_bytes()[8..12], [0xff; 4]);
    intset.insert(i64::MIN);
    assert_eq!(intset.as_bytes()[..8], [8, 0, 0, 0, 4, 0, 0, 0]);
    assert_eq!(intset.as_bytes()[8..16], i64::MIN.to_le_bytes());
    // The width stays.
    intset.remove(i64::MIN);
    intset.remove(40_000);
    assert_eq!(intset.as_bytes().len(), 8 + 2 * 8);
}

#[test]
fn what_is_none_is_refused() {
    let mut intset = Intset::new();
    for integer in [1, 2, 70_000] {
        intset.insert(integer);
    }
    let good = intset.as_bytes();
    for cut in 0..good.len() {
        assert!(Intset::from_bytes(&good[..cut]).is_none(), "{cut}");
    }
    let with = |at: usize, byte: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = byte;
        Intset::from_bytes(&bytes)
    };
    for width in [0, 1, 2, 3, 8, 16] {
        assert!(with(0, width).is_none());
    }
    assert!(with(4, 2).is_none());
    assert!(with(7, 0x80).is_none(), "a count that does not fit");
    assert!(with(8, 2).is_none(), "twice the same");
    assert!(with(11, 0x7f).is_none(), "descending");
    assert!(Intset::from_bytes(&[good, &[0]].concat()).is_none());
}

#[test]
fn every_integer_is_drawn() {
    let mut intset = Intset::new();
    (0..50).for_each(|integer| {
        intset.insert(integer);
    });
    let mut rng = Rng::with_seed(1);
    let drawn: BTreeSet<i64> = (0..1000).filter_map(|_| intset.random(&mut rng)).collect();
    assert_eq!(drawn.len(), 50);
    assert_eq!(Intset::new().random(&mut rng), None);
}
