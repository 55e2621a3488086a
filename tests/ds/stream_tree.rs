//! The tree against a `BTreeMap`.

use super::{Random, size};
use rondo::ds::stream::Tree;
use std::collections::BTreeMap;

/// Random keys of a range that grows and shrinks, so that leaves and inners split, join and go.
#[test]
fn a_tree_is_an_ordered_map() {
    for seed in 0..size(2, 10) as u64 {
        let mut random = Random(seed);
        let mut tree = Tree::new();
        let mut model = BTreeMap::new();
        let steps = size(400, 8_000);
        for step in 0..steps {
            let grows = (step / (steps / 4)).is_multiple_of(2);
            let key = match random.below(4) {
                // In order, at the end.
                0 if grows => model.last_key_value().map_or(0, |(key, _)| key + 3),
                _ => random.below(20_000) as u64,
            };
            if random.below(10) < if grows { 7 } else { 2 } {
                let value = random.next();
                assert_eq!(
                    tree.insert(key, value),
                    model.insert(key, value),
                    "SEED={seed}"
                );
            } else {
                // One that is there, mostly.
                let key = model.range(key..).next().map_or(key, |(key, _)| *key);
                assert_eq!(tree.remove(&key), model.remove(&key), "SEED={seed}");
            }
            assert_eq!(tree.len(), model.len(), "SEED={seed}");
            if step % 397 == 0 {
                tree.assert_sound();
                check(&tree, &model, &mut random, seed);
            }
        }
        tree.assert_sound();
        check(&tree.clone(), &model, &mut random, seed);
        tree.clone().assert_sound();
        let mut popped = Vec::new();
        while let Some(leaf) = tree.pop_leaf() {
            tree.assert_sound();
            popped.splice(0..0, leaf);
        }
        assert!(popped.into_iter().eq(model), "SEED={seed}");
        assert_eq!((tree.len(), tree.heap_bytes()), (0, 0), "SEED={seed}");
    }
}

fn check(tree: &Tree<u64, u64>, model: &BTreeMap<u64, u64>, random: &mut Random, seed: u64) {
    assert!(tree.iter().eq(model), "SEED={seed}");
    assert_eq!(tree.first(), model.first_key_value(), "SEED={seed}");
    assert_eq!(tree.last(), model.last_key_value(), "SEED={seed}");
    for _ in 0..20 {
        let key = random.below(21_000) as u64;
        assert_eq!(tree.get(&key), model.get(&key), "SEED={seed}");
        assert!(tree.iter_from(&key).eq(model.range(key..)), "SEED={seed}");
        let back = model.range(..=key).rev();
        assert!(tree.iter_back_from(&key).eq(back), "SEED={seed}");
        let floor = model.range(..=key).next_back();
        assert_eq!(tree.floor(&key), floor, "SEED={seed}");
        let from_floor = model.range(floor.map_or(0, |(floor, _)| *floor)..);
        assert!(tree.iter_from_floor(&key).eq(from_floor), "SEED={seed}");
    }
}

/// What comes where the first child of an inner has gone is still found when that inner has joined its neighbour.
#[test]
fn keys_below_a_neighbour_that_joins_are_found() {
    let mut tree = Tree::new();
    // A root, two inners, leaves of 32.
    for key in 0..32 * 40_u64 {
        tree.insert(key, 0_u64);
    }
    for key in 1_024..1_056 {
        tree.remove(&key);
    }
    tree.assert_sound();
    tree.insert(1_040, 1);
    for key in (0..32 * 17).chain(1_200..1_279) {
        tree.remove(&key);
        tree.assert_sound();
    }
    assert_eq!(tree.get(&1_040), Some(&1));
}

/// A copy's leaves and inners have just the room that they need: one more finds its place after any number.
#[test]
fn a_copy_of_any_length_grows_on() {
    let mut tree = Tree::new();
    for len in 0..size(200, 2_000) as u64 {
        for key in [0, len / 2 * 2, 2 * len + 2] {
            let mut copy = tree.clone();
            copy.insert(key, 0_u64);
            copy.assert_sound();
            assert_eq!(copy.len() as u64, len + 1);
        }
        tree.insert(2 * len + 1, 0);
    }
}

#[test]
fn keys_in_order_fill_leaves_to_the_brim() {
    let mut tree = Tree::new();
    for key in 0..64_000_u64 {
        tree.insert(key, 0_u64);
    }
    tree.assert_sound();
    assert!(
        tree.heap_bytes() < 64_000 * 16 * 110 / 100,
        "{}",
        tree.heap_bytes()
    );
}

/// What is kept is what a map keeps, whether little or nearly all goes.
#[test]
fn a_tree_keeps_what_it_is_told_to() {
    for seed in 0..size(5, 30) as u64 {
        let mut random = Random(seed);
        let mut tree = Tree::new();
        let mut model = BTreeMap::new();
        for _ in 0..random.below(size(3_000, 20_000)) {
            let (key, value) = (random.below(30_000) as u64, random.next());
            tree.insert(key, value);
            model.insert(key, value);
        }
        for _ in 0..4 {
            let (divisor, from) = (1 + random.below(50) as u64, random.below(30_000) as u64);
            let mut keep = |key: &u64, value: &u64| key < &from || value.is_multiple_of(divisor);
            tree.retain(&mut keep);
            model.retain(|key, value| keep(key, value));
            tree.assert_sound();
            assert!(tree.iter().eq(model.iter()), "SEED={seed}");
            // It still is a tree.
            let key = random.below(30_000) as u64;
            assert_eq!(tree.insert(key, 1), model.insert(key, 1), "SEED={seed}");
            tree.assert_sound();
        }
        tree.retain(&mut |_, _| false);
        tree.assert_sound();
        assert!(tree.is_empty(), "SEED={seed}");
    }
}
