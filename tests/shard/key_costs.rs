//! What keys cost: found among many, counted by their share, and never more than there was.

use rondo::base::rng::Rng;
use rondo::commands::hotkeys::HotKeysOptions;
use rondo::shard::key_costs::{KeyCosts, KeyCostsTold};

const OPTIONS: HotKeysOptions = HotKeysOptions {
    cpu: true,
    net: true,
    count: 3,
    duration_ms: None,
    sample: 1,
};

/// Counts a command of one key.
fn ask(costs: &mut KeyCosts, number: u64, nanoseconds: u64, bytes: u64) {
    if costs.note(nanoseconds, bytes) {
        let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        costs.count(format!("key:{number}").as_bytes(), hash, nanoseconds, bytes);
    }
}

fn names(rows: &[(Vec<u8>, u64)]) -> Vec<&[u8]> {
    rows.iter().map(|(key, _)| key.as_slice()).collect()
}

/// One key is asked for often, another is slow, a third large, among fifty thousand that are none of it.
#[test]
fn the_slow_and_the_large_are_told_apart() {
    for seed in 0..5 {
        let mut costs = KeyCosts::new(OPTIONS, seed);
        let mut rng = Rng::with_seed(seed);
        let mut real = [0u64; 4];
        for _ in 0..200_000 {
            let (number, nanoseconds, bytes) = match rng.below(100) {
                0..20 => (1, 500, 100),
                20..25 => (2, 20_000, 100),
                25..30 => (3, 500, 9_000),
                _ => (100 + rng.below(50_000), 500, 100),
            };
            if number < 4 {
                real[number as usize] += nanoseconds;
            }
            ask(&mut costs, number, nanoseconds, bytes);
        }
        let KeyCostsTold {
            nanoseconds,
            by_nanoseconds,
            by_bytes,
            ..
        } = costs.told();
        assert_eq!(
            names(&by_nanoseconds)[..2],
            [b"key:2", b"key:1"],
            "SEED={seed}"
        );
        assert_eq!(names(&by_bytes)[..2], [b"key:3", b"key:1"], "SEED={seed}");
        for (row, number) in by_nanoseconds.iter().zip([2, 1]) {
            let real = real[number];
            assert!(
                row.1 <= real && row.1 * 10 > real * 9,
                "SEED={seed}: {} of {real}",
                row.1
            );
        }
        let told: u64 = by_nanoseconds.iter().map(|row| row.1).sum();
        assert!(told <= nanoseconds);
        assert_eq!((by_nanoseconds.len(), by_bytes.len()), (3, 3));
    }
}

/// Of all commands the costs are summed; one in so many has its key counted.
#[test]
fn a_sample_counts_its_part_of_the_keys() {
    let sample = 10;
    let mut costs = KeyCosts::new(HotKeysOptions { sample, ..OPTIONS }, 7);
    for _ in 0..50_000 {
        ask(&mut costs, 1, 100, 10);
    }
    let told = costs.told();
    assert_eq!((told.nanoseconds, told.bytes), (5_000_000, 500_000));
    assert_eq!(told.by_bytes[0].1, told.sampled_bytes);
    assert!((45_000..55_000).contains(&told.sampled_bytes), "{told:?}");
}

/// A metric nobody asked for is not there, and a key without cost neither.
#[test]
fn what_was_not_asked_for_is_not_told() {
    let mut costs = KeyCosts::new(
        HotKeysOptions {
            net: false,
            ..OPTIONS
        },
        1,
    );
    ask(&mut costs, 1, 10, 10);
    ask(&mut costs, 2, 0, 10);
    let told = costs.told();
    assert_eq!(told.by_nanoseconds, [(b"key:1".to_vec(), 10)]);
    assert_eq!((told.by_bytes.len(), told.sampled_bytes), (0, 0));
}
