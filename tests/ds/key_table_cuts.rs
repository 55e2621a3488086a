//! Cuts: the keeper sees the table of the moment of the cut, whatever happens to it meanwhile.

use super::key_table::Numbers;
use super::{Random, size};
use rondo::base::hash::KeyHasher;
use rondo::ds::key_table::{EntryRef, Keeper, KeyTable, NewValue, Value};
use std::any::Any;
use std::collections::BTreeMap;

#[derive(Default)]
struct Kept(BTreeMap<u64, (i64, Option<i64>)>);

impl Keeper<Numbers> for Kept {
    fn keep(&mut self, entry: EntryRef<'_, Numbers>) {
        let key = u64::from_le_bytes(entry.key().try_into().expect("8 bytes"));
        let before = self.0.insert(key, (number(entry), entry.deadline_ms()));
        assert_eq!(before, None, "an entry is shown once");
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

fn number(entry: EntryRef<'_, Numbers>) -> i64 {
    match entry.value() {
        Value::Int(number) => number,
        Value::Str { bytes, .. } => -(bytes.len() as i64),
        Value::Object(_) => unreachable!("these tables have strings"),
    }
}

/// Several cuts, one after the other, of a table that grows, shrinks and changes between their steps.
fn check_cuts(seed: u64, mask: u64, keys: usize, changes_per_step: usize) {
    let hasher = KeyHasher::with_seed_and_mask(seed, mask);
    let mut table: KeyTable<Numbers> = KeyTable::new(hasher.clone());
    let mut model: BTreeMap<u64, (i64, Option<i64>)> = BTreeMap::new();
    let mut random = Random(seed);
    for cut in 0..4 {
        // Masses come before one cut and go before the next.
        let (mut grows, rounds) = (cut % 2 == 0, keys);
        let mut change = |table: &mut KeyTable<Numbers>,
                          model: &mut BTreeMap<u64, (i64, Option<i64>)>,
                          grows: bool| {
            let key = random.below(keys) as u64;
            let bytes = key.to_le_bytes();
            let hash = hasher.hash(&bytes);
            let found = table.get_mut(hash, &bytes);
            match (found, random.below(8)) {
                (None, 0..=5) if grows => {
                    let deadline = (random.below(4) == 0).then_some(5);
                    table.insert(hash, &bytes, NewValue::Int(1), deadline);
                    model.insert(key, (1, deadline));
                }
                (None, _) => {}
                (Some(entry), 0..=4) if !grows => {
                    entry.remove();
                    model.remove(&key);
                }
                (Some(entry), 0) => {
                    entry.take();
                    model.remove(&key);
                }
                (Some(mut entry), 1) => {
                    entry.set_deadline(Some(9));
                    model.get_mut(&key).expect("there").1 = Some(9);
                }
                (Some(mut entry), 2) => {
                    entry.set_deadline(None);
                    model.get_mut(&key).expect("there").1 = None;
                }
                (Some(mut entry), 3) => {
                    let length = 1 + random.below(600);
                    let long = number(entry.as_ref()).unsigned_abs().max(length as u64);
                    if number(entry.as_ref()) >= 0 {
                        entry.set_value(NewValue::Str {
                            bytes: b"-",
                            raw: false,
                        });
                    }
                    entry.string_mut(long as usize);
                    model.get_mut(&key).expect("there").0 = -(long as i64);
                }
                (Some(mut entry), _) => {
                    let value = random.below(1000) as i64;
                    entry.set_value(NewValue::Int(value));
                    model.get_mut(&key).expect("there").0 = value;
                }
            }
        };
        for _ in 0..rounds {
            change(&mut table, &mut model, grows);
        }
        let expected = model.clone();
        table.cut(Box::new(Kept::default()));
        assert!(table.has_cut());
        grows = !grows;
        loop {
            if table.cut_step(4) {
                break;
            }
            for _ in 0..changes_per_step {
                change(&mut table, &mut model, grows);
            }
        }
        let mut keeper = table.end_cut().expect("it was not given up");
        let kept = keeper
            .as_any()
            .downcast_mut::<Kept>()
            .expect("what was given");
        assert_eq!(kept.0, expected, "SEED={seed} cut {cut}");
        assert!(!table.has_cut());
    }
}

#[test]
fn a_cut_shows_what_there_was() {
    for seed in 1..size(2, 6) as u64 {
        for changes_per_step in [0, 1, 20] {
            check_cuts(seed, !0, size(60, 6000), changes_per_step);
        }
    }
}

/// Hashes that agree in their first bits: long segments, overflow.
#[test]
fn crowded_segments_are_shown_too() {
    check_cuts(3, 0xffff, size(60, 3000), 7);
    check_cuts(4, 0xff00_0000_0000_0000, size(60, 3000), 7);
}

#[test]
fn what_was_given_up_does_not_disturb_the_next() {
    let hasher = KeyHasher::with_seed(1);
    let mut table: KeyTable<Numbers> = KeyTable::new(hasher.clone());
    for key in 0..500_u64 {
        let bytes = key.to_le_bytes();
        table.insert(hasher.hash(&bytes), &bytes, NewValue::Int(7), None);
    }
    table.cut(Box::new(Kept::default()));
    assert!(!table.cut_step(10));
    table.give_cut_up();
    assert!(table.keeper().is_none());
    while !table.cut_step(10) {}
    assert!(table.end_cut().is_none());
    table.cut(Box::new(Kept::default()));
    while !table.cut_step(10) {}
    let mut keeper = table.end_cut().expect("a keeper");
    let kept = keeper
        .as_any()
        .downcast_mut::<Kept>()
        .expect("what was given");
    assert_eq!(kept.0.len(), 500);
}

/// FLUSHALL's way out of the table, and emptying it one by one: what is left of the walk has nothing to show.
#[test]
fn an_emptied_table_has_shown_what_went() {
    let hasher = KeyHasher::with_seed(1);
    let mut table: KeyTable<Numbers> = KeyTable::new(hasher.clone());
    for key in 0..300_u64 {
        let bytes = key.to_le_bytes();
        table.insert(hasher.hash(&bytes), &bytes, NewValue::Int(7), None);
    }
    table.cut(Box::new(Kept::default()));
    for key in 0..300_u64 {
        let bytes = key.to_le_bytes();
        assert!(table.remove(hasher.hash(&bytes), &bytes));
    }
    assert!(table.cut_step(10));
    let mut keeper = table.end_cut().expect("a keeper");
    let kept = keeper
        .as_any()
        .downcast_mut::<Kept>()
        .expect("what was given");
    assert_eq!(kept.0.len(), 300);
}
