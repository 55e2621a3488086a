//! HyperLogLogs against 16,384 plain registers.

use super::{Random, size};
use rondo::ds::hyperloglog::{
    Corrupt, DENSE_BYTES, Encoding, HEADER_BYTES, REGISTERS_COUNT, Registers, Sketch,
    cache_cardinality, cached_cardinality, cardinality, empty, encoding, lower, make_stale, place,
    raise_dense, set_registers, text,
};

fn registers(bytes: &[u8]) -> Vec<u8> {
    let mut registers = Registers::default();
    registers.raise_to(bytes).expect("registers that add up");
    registers.iter().collect()
}

fn is_lower(bytes: &[u8], index: usize, count: u8) -> Result<bool, Corrupt> {
    lower(bytes, index, count).map(|at| at.is_some())
}

#[test]
fn sparse_and_dense_hold_what_plain_registers_hold() {
    for seed in 0..size(1, 20) as u64 {
        let mut random = Random(seed);
        let mut model = vec![0u8; REGISTERS_COUNT];
        let mut sparse = Sketch::new(empty(), 3000).unwrap();
        let mut dense = Sketch::new(empty(), 3000).unwrap();
        dense.make_dense().unwrap();
        // Few registers, so that runs of equal ones meet, are joined and split; or all of them.
        let spread = [40, 700, REGISTERS_COUNT][random.below(3)];
        for _ in 0..size(100, 5_000) {
            let index = random.below(spread) * (REGISTERS_COUNT / spread);
            let count = 1 + (random.next().trailing_zeros() as u8).min(30);
            let is_raised = model[index] < count;
            let first = lower(sparse.as_bytes(), index, count).unwrap();
            assert_eq!(first.is_some(), is_raised, "SEED={seed}");
            let copy = first.map(|first| {
                let mut copy = Sketch::copied(sparse.as_bytes(), first, 3000).unwrap();
                copy.raise(index, count).unwrap();
                copy
            });
            assert_eq!(sparse.raise(index, count), Ok(is_raised), "SEED={seed}");
            // Wherever the search began, the bytes are the same.
            if let Some(copy) = copy {
                assert_eq!(copy.as_bytes(), sparse.as_bytes(), "SEED={seed}");
            }
            assert_eq!(dense.raise(index, count), Ok(is_raised), "SEED={seed}");
            model[index] = model[index].max(count);
        }
        assert_eq!(registers(sparse.as_bytes()), model, "SEED={seed}");
        assert_eq!(registers(dense.as_bytes()), model, "SEED={seed}");
        assert_eq!(
            cardinality(sparse.as_bytes()),
            cardinality(dense.as_bytes()),
            "SEED={seed}"
        );
        let mut merged = Sketch::new(empty(), 3000).unwrap();
        let mut all = Registers::default();
        all.raise_to(dense.as_bytes()).unwrap();
        merged.raise_all(&all).unwrap();
        assert_eq!(registers(merged.as_bytes()), model, "SEED={seed}");
    }
}

#[test]
fn estimates_are_within_three_percent() {
    let mut sketch = Sketch::new(empty(), 3000).unwrap();
    let mut next_check = 1;
    for number in 1..=size(1_000, 100_000) as u64 {
        let (index, count) = place(format!("element {number}").as_bytes());
        sketch.raise(index, count).unwrap();
        if number == next_check {
            let estimate = cardinality(sketch.as_bytes()).unwrap() as f64;
            let off = (estimate - number as f64).abs() / number as f64;
            assert!(off < 0.03, "{estimate} for {number}");
            next_check *= 10;
        }
    }
}

// The text is what Redis 8.0.6 shows of the same additions.
#[test]
fn a_sparse_one_grows_dense_at_its_limit_or_at_a_large_value() {
    let mut sketch = Sketch::new(empty(), 3000).unwrap();
    assert_eq!(text(sketch.as_bytes()), "Z:16384");
    sketch.raise(8, 1).unwrap();
    sketch.raise(9, 1).unwrap();
    sketch.raise(16383, 7).unwrap();
    assert_eq!(text(sketch.as_bytes()), "z:8 v:1,2 Z:16373 v:7,1");
    sketch.raise(3, 33).unwrap();
    assert_eq!(encoding(sketch.as_bytes()), Some(Encoding::Dense));
    assert_eq!(sketch.as_bytes().len(), DENSE_BYTES);
    assert_eq!(registers(sketch.as_bytes())[3], 33);

    let mut small = Sketch::new(empty(), 20).unwrap();
    small.raise(5000, 1).unwrap();
    assert_eq!(encoding(small.as_bytes()), Some(Encoding::Dense));
}

#[test]
fn the_cached_cardinality_is_stale_after_a_change() {
    let mut bytes = empty();
    assert_eq!(cached_cardinality(&bytes), Some(0));
    cache_cardinality(&mut bytes, 12_345);
    assert_eq!(cached_cardinality(&bytes), Some(12_345));
    make_stale(&mut bytes);
    assert_eq!(cached_cardinality(&bytes), None);
}

#[test]
fn what_is_no_sketch_is_refused() {
    assert_eq!(encoding(b""), None);
    assert_eq!(encoding(b"HYLL"), None);
    assert_eq!(encoding(&[b"HYLL\x02".as_slice(), &[0; 20]].concat()), None);
    assert_eq!(encoding(&[b"HYLL\x00".as_slice(), &[0; 20]].concat()), None);
    assert_eq!(encoding(&[b"hyll\x01".as_slice(), &[0; 20]].concat()), None);
    // Runs that end too early or too late.
    for runs in [
        b"".as_slice(),
        b"\x7f",
        b"\x7f\xff\x00",
        b"\x3f\x3f",
        b"\x7f\xfe",
        b"\x7f\xff\x80",
    ] {
        let bytes = [b"HYLL\x01".as_slice(), &[0; 11], runs].concat();
        assert_eq!(cardinality(&bytes), Err(Corrupt), "{runs:?}");
        assert_eq!(Registers::default().raise_to(&bytes), Err(Corrupt));
        let mut sketch = Sketch::new(bytes, 3000).unwrap();
        assert_eq!(sketch.make_dense(), Err(Corrupt));
        let _ = sketch.raise(16_383, 5);
    }
}

#[test]
fn the_last_register_is_in_the_last_byte() {
    let mut sketch = Sketch::new(empty(), 3000).unwrap();
    sketch.make_dense().unwrap();
    let mut bytes = sketch.as_bytes().to_vec();
    assert!(raise_dense(&mut bytes, REGISTERS_COUNT - 1, 0x3f));
    assert!(!raise_dense(&mut bytes, REGISTERS_COUNT - 1, 0x3f));
    assert_eq!(bytes.last(), Some(&0xfc));
    assert_eq!(registers(&bytes)[REGISTERS_COUNT - 1], 0x3f);
    assert_eq!(registers(&bytes)[REGISTERS_COUNT - 2], 0);
}

/// Whatever the processor does 32 at a time comes out as one register after the other, read and written.
#[test]
fn merges_are_the_larger_of_each_register() {
    for seed in 0..size(10, 100) as u64 {
        let mut random = Random(seed);
        let mut merged = Registers::default();
        let mut model = vec![0u8; REGISTERS_COUNT];
        for _ in 0..3 {
            let mut plain = Registers::default();
            for (index, largest) in model.iter_mut().enumerate() {
                // All six bits, so that none may leak into a neighbour.
                let count = random.below(64) as u8;
                plain.raise(index, count);
                *largest = (*largest).max(count);
            }
            let mut dense = vec![0xff; DENSE_BYTES];
            dense[..HEADER_BYTES].copy_from_slice(&empty()[..HEADER_BYTES]);
            dense[4] = 0;
            set_registers(&mut dense, &plain);
            assert_eq!(
                registers(&dense),
                plain.iter().collect::<Vec<u8>>(),
                "SEED={seed}"
            );
            // One by one they are read another way.
            for (index, count) in plain.iter().enumerate() {
                assert_eq!(is_lower(&dense, index, count), Ok(false), "SEED={seed}");
                assert_eq!(is_lower(&dense, index, count + 1), Ok(true), "SEED={seed}");
            }
            merged.raise_to(&dense).expect("a dense one");
        }
        assert_eq!(merged.iter().collect::<Vec<u8>>(), model, "SEED={seed}");
    }
}
