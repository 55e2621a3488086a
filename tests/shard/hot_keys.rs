//! Hot keys: found among many, forgotten when they cool, and nothing is looked at while nobody looks.

use rondo::base::rng::Rng;
use rondo::shard::hot_keys::HotKeys;

fn ask(hot: &mut HotKeys, number: u64) {
    if hot.is_due() {
        let key = format!("key:{number}");
        hot.count(0, key.as_bytes(), number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
}

/// Of requests for a hundred thousand keys a tenth is for one and a twentieth for another: these two come first, with
/// about their shares, whatever the seed.
#[test]
fn the_hottest_keys_are_found_among_many() {
    for seed in 0..10 {
        let mut hot = HotKeys::new(seed);
        hot.watch(1_000, 11_000);
        let mut rng = Rng::with_seed(seed);
        for _ in 0..400_000 {
            let number = match rng.below(100) {
                0..10 => 1,
                10..15 => 2,
                _ => 100 + rng.below(100_000),
            };
            ask(&mut hot, number);
        }
        let (seen, hottest) = hot.hottest();
        assert!((5_000..8_000).contains(&seen), "SEED={seed}: {seen}");
        let keys: Vec<&[u8]> = hottest.iter().map(|hot| hot.key.as_slice()).take(2).collect();
        assert_eq!(keys, [b"key:1", b"key:2"], "SEED={seed}");
        for (hot, share) in hottest.iter().zip([0.1, 0.05]) {
            let found = hot.count as f64 / seen as f64;
            assert!((found - share).abs() < 0.025, "SEED={seed}: {found}");
        }
        assert!(hottest.len() <= 10);
    }
}

#[test]
fn counts_fade_and_end_with_the_watching() {
    let mut hot = HotKeys::new(1);
    for _ in 0..100_000 {
        ask(&mut hot, 1);
    }
    assert_eq!(hot.hottest(), (0, Vec::new()), "nobody looks");
    hot.watch(0, 10_000);
    for _ in 0..100_000 {
        ask(&mut hot, 1);
    }
    let (seen, before) = hot.hottest();
    assert_eq!((before.len(), before[0].count), (1, seen));
    hot.tick(4_000);
    assert_eq!(hot.hottest().0, seen);
    hot.tick(5_000);
    assert_eq!(hot.hottest().0, seen / 2);
    hot.tick(10_000);
    assert_eq!(hot.hottest(), (0, Vec::new()), "nobody looks any more");
    assert!(!(0..1_000).any(|_| hot.is_due()));
    // Long keys are told by their beginning, and told apart by all of them.
    hot.watch(20_000, 30_000);
    for hash in [1, 2, 1, 2] {
        hot.count(3, &[b'k'; 1000], hash);
    }
    let (_, hottest) = hot.hottest();
    assert_eq!(hottest.len(), 2);
    assert!(hottest.iter().all(|hot| hot.key.len() == 128 && hot.db == 3));
}
