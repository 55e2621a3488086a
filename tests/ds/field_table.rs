//! The field table against a `HashMap`: values and deadlines of all shapes, numbers at the edges of what a slot holds.

use super::{Random, size};
use rondo::base::rng::Rng;
use rondo::ds::block_size::block_bytes;
use rondo::ds::field_table::{Entry, FieldTable, field_hash};
use std::collections::{HashMap, HashSet};

type Row = (Option<Vec<u8>>, Option<i64>);
type Model = HashMap<Vec<u8>, Row>;

/// Lengths around the turns of the layout.
const LENGTHS: [usize; 14] = [0, 1, 6, 7, 8, 14, 15, 30, 31, 100, 254, 255, 256, 5000];

fn field(random: &mut Random, range: usize) -> Vec<u8> {
    let index = random.below(range);
    match index % 4 {
        0 => (index as i64 - 40).to_string().into_bytes(),
        1 => {
            let edge = [
                1i64 << 44,
                -(1 << 44),
                i64::MAX,
                i64::MIN,
                999_999_999_999_999,
            ][index % 5];
            edge.wrapping_add(index as i64 % 9 - 4)
                .to_string()
                .into_bytes()
        }
        // Nearly numbers.
        2 => format!("{}{}", ["0", "-0", "+", "1e"][index % 16 / 4], index).into_bytes(),
        _ => {
            let mut text = vec![b'a' + (index % 23) as u8; LENGTHS[index / 4 % LENGTHS.len()]];
            text.extend_from_slice(&(index as u16).to_le_bytes());
            text
        }
    }
}

fn value(random: &mut Random) -> Vec<u8> {
    let length = LENGTHS[random.below(LENGTHS.len())];
    vec![random.next() as u8; length]
}

fn row(entry: Entry<'_>) -> (Vec<u8>, Row) {
    let value = entry.value().map(<[u8]>::to_vec);
    (entry.field().to_vec(), (value, entry.deadline_ms()))
}

/// What the blocks take, from the model alone.
fn blocks_bytes(model: &Model) -> usize {
    let length_bytes = |length: usize| if length < 255 { 1 } else { 9 };
    let block = |(field, (value, deadline)): (&Vec<u8>, &Row)| {
        let number = std::str::from_utf8(field)
            .ok()
            .and_then(|text| text.parse::<i64>().ok())
            .filter(|number| number.to_string().as_bytes() == field.as_slice())
            .is_some_and(|number| (-(1 << 44)..1 << 44).contains(&number));
        if number && value.is_none() && deadline.is_none() {
            return 0;
        }
        let value_bytes = value
            .as_ref()
            .map_or(0, |value| length_bytes(value.len()) + value.len());
        let deadline_bytes = if deadline.is_some() { 12 } else { 0 };
        block_bytes(deadline_bytes + length_bytes(field.len()) + field.len() + value_bytes)
    };
    model.iter().map(block).sum()
}

fn check_whole(table: &FieldTable, model: &Model, seed: u64) {
    assert_eq!(table.len(), model.len(), "SEED={seed}");
    let all: Model = table.iter().map(row).collect();
    assert!(all == *model, "SEED={seed}");
    let deadlines = || model.values().filter_map(|(_, deadline)| *deadline);
    assert_eq!(table.deadlines_count(), deadlines().count(), "SEED={seed}");
    assert_eq!(
        table.earliest_deadline_ms(),
        deadlines().min(),
        "SEED={seed}"
    );
    let besides_bytes = table.heap_bytes() - blocks_bytes(model);
    let besides_bytes_max = 11 * model.len() + 17 * deadlines().count() + 6000;
    assert!(
        besides_bytes < besides_bytes_max,
        "SEED={seed}: {besides_bytes}"
    );
    if model.is_empty() {
        assert_eq!(table.heap_bytes(), 0, "SEED={seed}");
    }
}

fn step(table: &mut FieldTable, model: &mut Model, random: &mut Random, range: usize, seed: u64) {
    let field = field(random, range);
    let deadline = (random.below(3) == 0).then(|| random.below(1000) as i64 - 100);
    match random.below(12) {
        0..4 => {
            let value = (random.below(3) > 0).then(|| value(random));
            let is_new = table.insert(&field, value.as_deref(), deadline);
            let before = model.insert(field, (value, deadline));
            assert_eq!(is_new, before.is_none(), "SEED={seed}");
        }
        4 | 5 => {
            let value = value(random);
            let is_there = table.set_value(&field, &value);
            let row = model.get_mut(&field);
            assert_eq!(is_there, row.is_some(), "SEED={seed}");
            if let Some(row) = row {
                row.0 = Some(value);
            }
        }
        6 | 7 => {
            let is_there = table.set_deadline(&field, deadline);
            let row = model.get_mut(&field);
            assert_eq!(is_there, row.is_some(), "SEED={seed}");
            if let Some(row) = row {
                row.1 = deadline;
            }
        }
        8 => {
            let is_there = table.remove(&field);
            assert_eq!(is_there, model.remove(&field).is_some(), "SEED={seed}");
        }
        9 => {
            if let Some(place) = table.random_place(&mut Rng::with_seed(random.next())) {
                let (field, row) = row(table.entry_at(place));
                assert_eq!(model.remove(&field), Some(row), "SEED={seed}");
                table.remove_at(place);
            }
        }
        10 if random.below(20) == 0 => {
            let now_ms = random.below(500) as i64 - 100;
            while table.take_expired(now_ms, |dead| {
                let (field, row) = row(dead);
                assert!(row.1.is_some_and(|deadline| deadline <= now_ms));
                assert_eq!(model.remove(&field), Some(row), "SEED={seed}");
            }) {}
            assert!(
                table
                    .earliest_deadline_ms()
                    .is_none_or(|earliest| earliest > now_ms)
            );
        }
        _ => {
            let hash = field_hash(&field);
            let expected = model.get(&field).cloned();
            assert_eq!(table.contains_hashed(hash, &field), expected.is_some());
            let found = table.get(&field).map(|entry| row(entry).1);
            assert_eq!(found, expected, "SEED={seed}");
        }
    }
}

#[test]
fn it_holds_what_a_map_holds() {
    for seed in 0..size(2, 10) as u64 {
        let mut random = Random(seed);
        let mut table = FieldTable::new();
        let mut model = Model::new();
        for range in [8, 60, size(80, 2500), 30] {
            for index in 0..size(150, 6000) {
                step(&mut table, &mut model, &mut random, range, seed);
                if index % 1000 == 0 {
                    check_whole(&table, &model, seed);
                }
            }
            check_whole(&table, &model, seed);
            // The clone lives on, its original goes: nothing may be shared.
            let clone = table.clone();
            check_whole(&table, &model, seed);
            table = clone;
            check_whole(&table, &model, seed);
        }
        let fields: Vec<Vec<u8>> = model.keys().cloned().collect();
        for field in fields {
            assert!(table.remove(&field));
            model.remove(&field);
        }
        check_whole(&table, &model, seed);
    }
}

#[test]
fn numbers_need_no_block() {
    let mut table = FieldTable::new();
    for number in 0..1000 {
        assert!(table.insert(number.to_string().as_bytes(), None, None));
        assert!(!table.insert(number.to_string().as_bytes(), None, None));
    }
    assert!(table.heap_bytes() < 11_000);
    let numbers: HashSet<Vec<u8>> = table.iter().map(|entry| entry.field().to_vec()).collect();
    assert!((0..1000).all(|number| numbers.contains(number.to_string().as_bytes())));
}

#[test]
fn a_scan_shows_every_field_once() {
    let mut random = Random(3);
    let mut table = FieldTable::new();
    for _ in 0..size(200, 3000) {
        let value = value(&mut random);
        table.insert(&field(&mut random, 10_000), Some(&value), None);
    }
    let mut seen = Vec::new();
    let mut cursor = 0;
    loop {
        cursor = table.scan(cursor, 10, |entry| seen.push(row(entry)));
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), table.len());
    let seen: Model = seen.into_iter().collect();
    assert!(seen == table.iter().map(row).collect::<Model>());
}

#[test]
fn freeing_goes_in_steps() {
    for with_deadlines in [false, true] {
        let mut table = FieldTable::new();
        for number in 0..size(300, 5000) as i64 {
            let text = format!("field {number}");
            let deadline = (with_deadlines && number % 2 == 0).then_some(number);
            table.insert(text.as_bytes(), Some(b"value"), deadline);
        }
        let mut before = table.len();
        let mut steps_count = 0;
        while !table.free_step(20) {
            assert!(before - table.len() <= 200);
            before = table.len();
            steps_count += 1;
        }
        assert!(steps_count >= size(1, 25), "{steps_count}");
        assert_eq!((table.len(), table.heap_bytes()), (0, 0));
        // Given up half-way, a drop frees the rest.
        let mut table = table;
        (0..500).for_each(|number: i32| {
            table.insert(&number.to_le_bytes(), None, Some(i64::from(number)));
        });
        table.free_step(1);
        table.free_step(1);
        table.free_step(1);
    }
}

#[test]
fn the_earliest_deadline_leads() {
    let mut table = FieldTable::new();
    let count = size(300, 3000) as i64;
    for number in 0..count {
        // Up, down and equal ones.
        let deadline = [number, count - number, 7][number as usize % 3];
        table.insert(&number.to_le_bytes(), Some(b"x"), Some(deadline));
    }
    let mut last = i64::MIN;
    while let Some(earliest) = table.earliest_deadline_ms() {
        assert!(earliest >= last);
        last = earliest;
        assert!(!table.take_expired(earliest - 1, |_| unreachable!("none is as early")));
        assert!(table.take_expired(earliest, |dead| {
            assert_eq!(dead.deadline_ms(), Some(earliest));
        }));
    }
    assert_eq!(table.heap_bytes(), 0);
}
