//! Compaction: whatever is said to lie badly moves, and nothing but addresses changes.

use super::key_table::{Numbers, Plain, plain};
use super::{Random, size};
use bytes::Bytes;
use rondo::base::hash::KeyHasher;
use rondo::ds::key_table::{Compacted, HeapSize, KeyTable, NewValue, Value, ValuesWalk};
use rondo::ds::mover::{Mover, Progress};
use rondo::ds::slab::CLASSES_COUNT;
use std::collections::HashMap;

type Model = HashMap<Vec<u8>, (Plain, Option<i64>)>;

fn fill(
    table: &mut KeyTable<Numbers>,
    hasher: &KeyHasher,
    random: &mut Random,
    keys: usize,
) -> Model {
    let mut model = Model::new();
    for key in 0..keys {
        let key = format!("key:{key}").into_bytes();
        let deadline_ms = (random.below(4) == 0).then_some(1000);
        let length = random.below(2000);
        let text = vec![b'a' + random.below(26) as u8; length];
        let (value, said) = match random.below(4) {
            0 => (NewValue::Int(length as i64), Plain::Int(length as i64)),
            1 => {
                let numbers = Numbers::new(vec![key.len() as u64; 1 + length / 8]);
                let value = NewValue::Object(Box::new(numbers.clone()));
                (value, Plain::Object(numbers))
            }
            2 if length > 448 => {
                let shared = Bytes::from(text.clone());
                (NewValue::Shared(shared), Plain::Str(text.clone(), true))
            }
            _ => {
                let (bytes, raw) = (&text[..], length > 44);
                (NewValue::Str { bytes, raw }, Plain::Str(text.clone(), raw))
            }
        };
        table.insert(hasher.hash(&key), &key, value, deadline_ms);
        model.insert(key, (said, deadline_ms));
    }
    model
}

fn check(table: &KeyTable<Numbers>, hasher: &KeyHasher, model: &Model) {
    assert_eq!(table.len(), model.len());
    for (key, (value, deadline_ms)) in model {
        let entry = table
            .get(hasher.hash(key), key)
            .expect("it is in the model");
        assert_eq!(plain(entry.value()), *value);
        assert_eq!(entry.deadline_ms(), *deadline_ms);
    }
}

/// Half of all addresses are said to be bad, whatever lies there; then all are, then none.
#[test]
fn values_move_and_stay_the_same() {
    for seed in 0..size(1, 4) as u64 {
        let mut random = Random(seed);
        let hasher = KeyHasher::with_seed(seed);
        let mut table = KeyTable::new(hasher.clone());
        let model = fill(&mut table, &hasher, &mut random, size(100, 5_000));
        let used_bytes = table.used_bytes();
        for (part, of) in [(1, 2), (1, 1), (0, 1)] {
            let is_sparse = |block: *const u8| (block.addr() >> 6) % of < part;
            let (mut walk, mut done) = (ValuesWalk::default(), Compacted::default());
            let mut is_end = false;
            while !is_end {
                let mut mover = Mover::of_blocks(&is_sparse, 100, 100_000);
                is_end = table.compact_values(&mut walk, &mut mover, &mut done);
            }
            assert!(done.moved_count <= done.looked_count);
            assert_eq!(done.moved_count > 0, part > 0, "SEED={seed}");
            assert_eq!(done.moved_bytes > 0, part > 0, "SEED={seed}");
            check(&table, &hasher, &model);
            assert_eq!(table.used_bytes(), used_bytes, "SEED={seed}");
        }
    }
}

/// Most keys go, at random; then spans are emptied until none is less than nine tenths full, or little is to be won.
#[test]
fn spans_are_emptied_into_others() {
    for seed in 0..size(1, 4) as u64 {
        let mut random = Random(seed);
        let hasher = KeyHasher::with_seed(seed);
        let mut table = KeyTable::<Numbers>::new(hasher.clone());
        let mut model = Model::new();
        for number in 0..size(4_000, 60_000) {
            let key = format!("key:{number:06}").into_bytes();
            let value = NewValue::Str {
                bytes: &[b'v'; 30],
                raw: false,
            };
            table.insert(hasher.hash(&key), &key, value, None);
            model.insert(key, (Plain::Str(vec![b'v'; 30], false), None));
        }
        let kept = model.keys().filter(|_| random.below(10) < 5);
        let kept: Vec<Vec<u8>> = kept.cloned().collect();
        for key in kept {
            table.remove(hasher.hash(&key), &key);
            model.remove(&key);
        }
        let (used_bytes, before) = (table.used_bytes(), table.slack_bytes());
        for class in 0..CLASSES_COUNT {
            while table.compact_entries(class, 90).moved_count > 0 {}
        }
        check(&table, &hasher, &model);
        assert_eq!(table.used_bytes(), used_bytes, "SEED={seed}");
        if size(0, 1) == 1 {
            let after = table.slack_bytes();
            assert!(after * 2 < before, "SEED={seed}: {after} of {before}");
        }
    }
}

/// Many allocations, which move one at a step.
#[derive(Clone, Debug, PartialEq)]
struct Pieces(Vec<Vec<u64>>);

impl HeapSize for Pieces {
    fn heap_bytes(&self) -> usize {
        let pieces = self.0.iter().map(|piece| piece.capacity() * 8);
        pieces.sum::<usize>() + self.0.capacity() * size_of::<Vec<u64>>()
    }

    fn move_step(&mut self, from: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
        mover.array(self.0.get_mut(from.index())?);
        Some(Progress::new(0, from.index() + 1))
    }
}

/// An object of ten thousand allocations moves over as many steps as its movers ask for, while its key is there; where
/// the key goes in between, or gets another value, the walk goes on with the rest.
#[test]
fn large_objects_move_in_pieces() {
    let all = |_: *const u8| true;
    let pieces_count = size(30, 10_000);
    for fate in ["stays", "goes", "is a string", "is short", "is new"] {
        let hasher = KeyHasher::with_seed(1);
        let mut table = KeyTable::<Pieces>::new(hasher.clone());
        let whole = Pieces(
            (0..pieces_count as u64)
                .map(|piece| vec![piece; 3])
                .collect(),
        );
        for key in [b"first", b"other"] {
            let value = NewValue::Object(Box::new(whole.clone()));
            table.insert(hasher.hash(key), key, value, None);
        }
        let (mut walk, mut done) = (ValuesWalk::default(), Compacted::default());
        let mut steps_count = 0;
        loop {
            let mut mover = Mover::of_blocks(&all, 10, usize::MAX);
            if table.compact_values(&mut walk, &mut mover, &mut done) {
                break;
            }
            steps_count += 1;
            // In the middle of one of the two, whichever comes first.
            if steps_count == 2 {
                let key = b"first";
                let hash = hasher.hash(key);
                if fate != "stays" {
                    assert!(table.remove(hash, key));
                }
                match fate {
                    "is a string" => {
                        let value = NewValue::Str {
                            bytes: &[b'v'; 900],
                            raw: true,
                        };
                        table.insert(hash, key, value, None);
                    }
                    "is short" | "is new" => {
                        let length = if fate == "is short" { 2 } else { pieces_count };
                        let value = NewValue::Object(Box::new(Pieces(whole.0[..length].to_vec())));
                        table.insert(hash, key, value, None);
                    }
                    _ => {}
                }
            }
        }
        assert!(steps_count >= pieces_count / 10, "{fate}: {steps_count}");
        assert!((1..=3).contains(&done.moved_count), "{fate}: {done:?}");
        let entry = table.get(hasher.hash(b"other"), b"other").expect("a key");
        assert!(
            matches!(entry.value(), Value::Object(object) if *object == whole),
            "{fate}"
        );
    }
}
