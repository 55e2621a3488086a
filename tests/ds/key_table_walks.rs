//! Scan, random, expiry and freeing: what they promise while the table changes.

use super::key_table::Numbers;
use super::{Random, size};
use rondo::base::hash::KeyHasher;
use rondo::ds::key_table::{EntryRef, HeapSize, KINDS_COUNT, KeyTable, NewValue};
use std::collections::{BTreeMap, HashMap};

struct Setup {
    table: KeyTable<Numbers>,
    hasher: KeyHasher,
}

impl Setup {
    fn new(seed: u64, mask: u64) -> Self {
        let hasher = KeyHasher::with_seed_and_mask(seed, mask);
        Self {
            table: KeyTable::new(hasher.clone()),
            hasher,
        }
    }

    fn insert(&mut self, key: u64, deadline_ms: Option<i64>) {
        let key = key.to_le_bytes();
        let hash = self.hasher.hash(&key);
        self.table.insert(hash, &key, NewValue::Int(1), deadline_ms);
    }

    fn remove(&mut self, key: u64) -> bool {
        let key = key.to_le_bytes();
        self.table.remove(self.hasher.hash(&key), &key)
    }
}

fn number(key: &[u8]) -> u64 {
    u64::from_le_bytes(key.try_into().expect("keys of these tests have 8 bytes"))
}

/// Keys below `steady` stay; others come or go in masses between the calls of one scan.
fn check_scan(seed: u64, mask: u64, steady: u64, moving: u64) {
    for grows in [true, false] {
        let mut setup = Setup::new(seed, mask);
        (0..steady).for_each(|key| setup.insert(key, None));
        if !grows {
            (steady..steady + moving).for_each(|key| setup.insert(key, None));
        }
        let mut seen: HashMap<u64, usize> = HashMap::new();
        let mut next = steady;
        let mut cursor = 0;
        let mut calls_count = 0;
        loop {
            let after = setup.table.scan(cursor, &mut |entry| {
                *seen.entry(number(entry.key())).or_default() += 1;
            });
            calls_count += 1;
            assert!(after < 1 << 52);
            if after == 0 {
                break;
            }
            assert!(after > cursor, "SEED={seed}: the cursor advances");
            cursor = after;
            for _ in 0..moving.div_ceil(20) {
                if next < steady + moving {
                    if grows {
                        setup.insert(next, None);
                    } else {
                        assert!(setup.remove(next));
                    }
                    next += 1;
                }
            }
        }
        for key in 0..steady {
            assert_eq!(seen.get(&key), Some(&1), "SEED={seed} grows={grows}");
        }
        assert!(seen.values().all(|times| *times == 1), "SEED={seed}");
        assert!(calls_count > 1 || mask != u64::MAX);
    }
}

#[test]
fn scan_shows_what_stays_exactly_once_while_the_table_grows_and_shrinks() {
    for seed in 0..size(1, 5) as u64 {
        check_scan(
            seed,
            u64::MAX,
            size(60, 300) as u64,
            size(200, 20_000) as u64,
        );
        check_scan(
            seed,
            u64::MAX,
            size(60, 5000) as u64,
            size(200, 5000) as u64,
        );
    }
    check_scan(9, 0, 50, size(60, 500) as u64);
    check_scan(9, 0xf << 60, 50, size(60, 500) as u64);
    check_scan(9, 0xff << 20, 50, size(60, 500) as u64);
}

#[test]
fn any_cursor_will_do() {
    let mut setup = Setup::new(1, u64::MAX);
    let mut random = Random(1);
    assert_eq!(setup.table.scan(77, &mut |_| panic!("empty")), 0);
    (0..size(60, 3000) as u64).for_each(|key| setup.insert(key, None));
    for _ in 0..size(40, 2000) {
        let cursor = random.next() >> random.below(64);
        let hash_min = cursor.min((1 << 52) - 1);
        let next = setup.table.scan(cursor, &mut |entry| {
            assert!(setup.hasher.hash(entry.key()) >> 12 >= hash_min);
        });
        assert!(next == 0 || next > hash_min);
    }
}

#[test]
fn expiry_removes_exactly_the_dead() {
    for (seed, mask) in [(1, u64::MAX), (2, u64::MAX), (3, 0xff << 50)] {
        let mut random = Random(seed);
        let mut setup = Setup::new(seed, mask);
        let mut model: BTreeMap<u64, Option<i64>> = BTreeMap::new();
        for key in 0..size(150, 6000) as u64 {
            let deadline_ms = (random.below(2) == 0).then(|| random.below(1000) as i64);
            setup.insert(key, deadline_ms);
            model.insert(key, deadline_ms);
        }
        for now_ms in [-1, 0, 100, 101, 500, 999, 2000] {
            let mut cursor = 0;
            let mut dead = Vec::new();
            loop {
                let (next, work) = setup.table.expire_step(
                    cursor,
                    now_ms,
                    20,
                    &mut |entry| {
                        dead.push((number(entry.key()), entry.deadline_ms()));
                        true
                    },
                    &mut asleep,
                );
                assert!(work <= 20 + 1 + 6000, "SEED={seed}");
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
            let is_dead = |deadline_ms: &Option<i64>| deadline_ms.is_some_and(|ms| ms <= now_ms);
            dead.sort_unstable();
            let expected: Vec<_> = model
                .iter()
                .filter(|(_, deadline_ms)| is_dead(deadline_ms))
                .map(|(key, deadline_ms)| (*key, *deadline_ms))
                .collect();
            assert_eq!(dead, expected, "SEED={seed}");
            model.retain(|_, deadline_ms| !is_dead(deadline_ms));
            assert_eq!(setup.table.len(), model.len(), "SEED={seed}");
            let deadlines_count = model.values().flatten().count();
            assert_eq!(setup.table.deadlines_count(), deadlines_count);
            // A second round looks at headers only.
            let (next, work) = setup.table.expire_step(
                0,
                now_ms,
                usize::MAX,
                &mut |_| panic!("dead twice"),
                &mut asleep,
            );
            assert_eq!(next, 0);
            assert!(work * 6 <= model.len() + 200, "SEED={seed}: {work} steps");
        }
        assert_eq!(setup.table.deadlines_count(), 0);
    }
}

#[test]
fn expiry_that_takes_everything_leaves_nothing() {
    let mut setup = Setup::new(1, u64::MAX);
    for key in 0..size(100, 10_000) as u64 {
        setup.insert(key, Some(key as i64));
    }
    let mut cursor = 0;
    let mut rounds_count = 0;
    while !setup.table.is_empty() {
        (cursor, _) = setup
            .table
            .expire_step(cursor, i64::MAX, 10, &mut |_| true, &mut asleep);
        rounds_count += usize::from(cursor == 0);
        assert!(rounds_count < 3);
    }
    assert_eq!(setup.table.used_bytes(), 0);
}

/// A deadline moved earlier or set late is seen, as is one that was cleared.
#[test]
fn expiry_sees_deadlines_that_were_changed() {
    let mut setup = Setup::new(1, u64::MAX);
    for key in 0..100 {
        setup.insert(key, (key % 2 == 0).then_some(1000));
    }
    for key in 0..100_u64 {
        let key = key.to_le_bytes();
        let hash = setup.hasher.hash(&key);
        let mut entry = setup.table.get_mut(hash, &key).unwrap();
        match number(&key) % 4 {
            0 => entry.set_deadline(None),
            1 => entry.set_deadline(Some(10)),
            2 => entry.set_deadline(Some(20)),
            _ => {}
        }
    }
    let mut dead = 0;
    // Who must stay is asked about again.
    for _ in 0..2 {
        let mut held = 0;
        let mut stays = |_: EntryRef<'_, _>| {
            held += 1;
            false
        };
        setup
            .table
            .expire_step(0, 15, usize::MAX, &mut stays, &mut asleep);
        assert_eq!(held, 25);
        assert_eq!(setup.table.len(), 100);
    }
    setup.table.expire_step(
        0,
        15,
        usize::MAX,
        &mut |_| {
            dead += 1;
            true
        },
        &mut asleep,
    );
    assert_eq!(dead, 25);
    setup.table.expire_step(
        0,
        20,
        usize::MAX,
        &mut |_| {
            dead += 1;
            true
        },
        &mut asleep,
    );
    assert_eq!(dead, 50);
    assert_eq!(setup.table.deadlines_count(), 0);
    assert_eq!(setup.table.len(), 50);
}

/// Chi-square over the keys: its mean is keys - 1, its deviation the root of twice that; five of them are allowed.
#[test]
fn random_is_uniform() {
    for (seed, keys_count) in [(1, 3), (2, 10), (3, 200), (4, 1000), (5, size(900, 5000))] {
        let mut setup = Setup::new(seed, u64::MAX);
        let mut random = Random(seed);
        assert!(setup.table.random(&mut || 0).is_none());
        (0..keys_count as u64).for_each(|key| setup.insert(key, None));
        check_uniform(&setup, &mut random, keys_count);
        // Thin it out so that segments differ.
        (0..keys_count as u64 * 2 / 3).for_each(|key| assert!(setup.remove(key)));
        check_uniform(&setup, &mut random, keys_count - keys_count * 2 / 3);
    }
}

fn check_uniform(setup: &Setup, random: &mut Random, keys_count: usize) {
    if cfg!(miri) && keys_count > 10 {
        return;
    }
    let draws_each = 100;
    let mut times: HashMap<u64, usize> = HashMap::new();
    let mut bits_count = 0;
    for _ in 0..keys_count * draws_each {
        let entry = setup.table.random(&mut || {
            bits_count += 1;
            random.next()
        });
        *times.entry(number(entry.unwrap().key())).or_default() += 1;
    }
    assert_eq!(times.len(), keys_count);
    let square: f64 = times
        .values()
        .map(|times| (*times as f64 - draws_each as f64).powi(2) / draws_each as f64)
        .sum();
    let freedom = (keys_count - 1) as f64;
    assert!(
        (square - freedom).abs() < 5.0 * (2.0 * freedom).sqrt() + 5.0,
        "{square}"
    );
    let draws = bits_count as f64 / 3.0 / (keys_count * draws_each) as f64;
    assert!(draws < 10.0, "{draws} draws a call");
}

#[test]
fn random_finds_the_last_ones_of_a_skewed_table() {
    let mut setup = Setup::new(1, 0x3ff << 54);
    let mut random = Random(1);
    (0..size(100, 5000) as u64).for_each(|key| setup.insert(key, None));
    (2..size(100, 5000) as u64).for_each(|key| assert!(setup.remove(key)));
    let mut seen = [0; 2];
    for _ in 0..200 {
        let entry = setup.table.random(&mut || random.next()).unwrap();
        seen[number(entry.key()) as usize] += 1;
    }
    assert!(seen[0] > 60 && seen[1] > 60, "{seen:?}");
}

#[test]
fn freeing_goes_in_steps_and_ends_with_nothing() {
    for (objects, work_max) in [(false, 100), (true, 1), (true, 100), (true, usize::MAX)] {
        let mut setup = Setup::new(1, u64::MAX);
        let keys_count = size(100, 20_000) as u64;
        for key in 0..keys_count {
            setup.insert(key, None);
            if objects && key % 3 == 0 {
                let key = key.to_le_bytes();
                let hash = setup.hasher.hash(&key);
                let mut entry = setup.table.get_mut(hash, &key).unwrap();
                entry.set_value(NewValue::Object(Box::new(Numbers::new(vec![1; 100]))));
                entry.object_mut().unwrap().0.push(1);
            }
        }
        let mut steps_count = 1;
        let mut used_bytes = setup.table.used_bytes();
        while !setup.table.free_step(work_max) {
            assert_eq!(setup.table.len(), 0);
            assert!(setup.table.random(&mut || 0).is_none());
            assert!(setup.table.used_bytes() <= used_bytes);
            used_bytes = setup.table.used_bytes();
            steps_count += 1;
        }
        assert_eq!(setup.table.used_bytes(), 0);
        assert_eq!(setup.table.reserved_bytes(), 0);
        assert!(setup.table.free_step(1));
        if objects && work_max < usize::MAX {
            assert!(steps_count >= keys_count as usize / 8 / work_max);
        }
        setup.insert(1, None);
        assert_eq!(setup.table.len(), 1);
    }
}

/// Dropped with everything in it; a leak checker, where there is one, looks on.
#[test]
fn a_dropped_table_frees_everything() {
    let alive = std::rc::Rc::new(());
    struct Counted(#[expect(dead_code)] std::rc::Rc<()>);
    impl rondo::ds::key_table::HeapSize for Counted {
        fn heap_bytes(&self) -> usize {
            0
        }
    }
    let hasher = KeyHasher::with_seed(1);
    let mut table = KeyTable::new(hasher.clone());
    for key in 0..100_u64 {
        let key = key.to_le_bytes();
        let value = NewValue::Object(Box::new(Counted(alive.clone())));
        table.insert(hasher.hash(&key), &key, value, None);
    }
    let long = vec![1; 10_000];
    let value = NewValue::Str {
        bytes: &long,
        raw: false,
    };
    table.insert(hasher.hash(&long), &long, value, Some(1));
    assert_eq!(std::rc::Rc::strong_count(&alive), 101);
    drop(table);
    assert_eq!(std::rc::Rc::strong_count(&alive), 1);
}

/// Most of a large table goes; its buckets' memory follows, and what is left is found.
#[test]
fn a_thinned_table_gives_its_buckets_back() {
    let mut setup = Setup::new(1, u64::MAX);
    let keys_count = size(200, 100_000) as u64;
    (0..keys_count).for_each(|key| setup.insert(key, None));
    let kept_count = keys_count / 50;
    (kept_count..keys_count).for_each(|key| assert!(setup.remove(key)));
    // The list of blocks last moved is on the account too.
    let block_bytes = 16;
    let per_key = setup.table.used_bytes() as f64 / kept_count as f64 - block_bytes as f64;
    assert!(
        per_key < size(100, 34) as f64,
        "{per_key} bytes a key beside the entry"
    );
    let mut seen = 0;
    let mut cursor = 0;
    loop {
        cursor = setup.table.scan(cursor, &mut |_| seen += 1);
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen, kept_count);
}

/// A random nine tenths go, one by one or by growing into another class; the spans they leave do too.
#[test]
fn what_is_left_of_a_table_moves_together() {
    if cfg!(miri) {
        return;
    }
    for grows in [false, true] {
        let mut setup = Setup::new(1, u64::MAX);
        let mut random = Random(1);
        (0..100_000).for_each(|key| setup.insert(key, None));
        let mut kept = Vec::new();
        for key in 0..100_000_u64 {
            if random.below(10) == 0 {
                kept.push(key);
            } else if grows {
                let key = key.to_le_bytes();
                let hash = setup.hasher.hash(&key);
                let mut entry = setup.table.get_mut(hash, &key).unwrap();
                let bytes = &[1; 60];
                entry.set_value(NewValue::Str { bytes, raw: false });
                assert_eq!(entry.key(), key);
            } else {
                assert!(setup.remove(key));
            }
        }
        let used_bytes = setup.table.used_bytes();
        let reserved_bytes = setup.table.reserved_bytes();
        assert!(
            reserved_bytes < used_bytes * 2 + 16 * 65_536,
            "{reserved_bytes} for {used_bytes}"
        );
        for key in kept {
            let key = key.to_le_bytes();
            assert!(setup.table.get(setup.hasher.hash(&key), &key).is_some());
        }
    }
}

/// A removed or overwritten object of many parts is out of the table at once and freed in steps; a small one goes at once.
#[test]
fn large_objects_are_freed_in_steps() {
    struct Parts(usize);
    impl rondo::ds::key_table::HeapSize for Parts {
        fn heap_bytes(&self) -> usize {
            self.0 * 10
        }
        fn free_effort(&self) -> usize {
            self.0
        }
        fn free_step(&mut self, budget: usize) -> bool {
            self.0 = self.0.saturating_sub(budget);
            self.0 == 0
        }
    }
    let hasher = KeyHasher::with_seed(1);
    let mut table: KeyTable<Parts> = KeyTable::new(hasher.clone());
    let hash = |key: &[u8]| hasher.hash(key);
    for (key, parts) in [(b"small", 64), (b"large", 1000), (b"other", 500)] {
        table.insert(
            hash(key),
            key,
            NewValue::Object(Box::new(Parts(parts))),
            None,
        );
    }
    assert!(table.remove(hash(b"small"), b"small"));
    assert_eq!(table.discarded_count(), 0);
    assert!(table.remove(hash(b"large"), b"large"));
    let mut entry = table
        .get_mut(hash(b"other"), b"other")
        .expect("it is there");
    entry.set_value(NewValue::Int(1));
    assert_eq!(table.discarded_count(), 2);
    let held_bytes = table.used_bytes();
    // Five steps for the one of 500 parts, the fifth of which finds nothing left.
    for _ in 0..4 {
        assert_eq!(table.free_discarded(100), (false, 0));
    }
    assert_eq!(table.used_bytes(), held_bytes - 4000);
    assert!(!table.free_step(100));
    assert_eq!(table.discarded_count(), 1);
    while !table.free_step(100) {}
    assert_eq!(table.used_bytes(), 0);
}

/// For tables whose objects never wake.
fn asleep<T>(_: &[u8], _: &mut T) -> (usize, bool) {
    panic!("nothing wakes")
}

/// Wakes at each of its times in turn; the entry goes with the last.
struct Sleeper(Vec<i64>);

impl HeapSize for Sleeper {
    fn heap_bytes(&self) -> usize {
        self.0.capacity() * 8
    }

    fn wake_at_ms(&self) -> Option<i64> {
        self.0.last().copied()
    }
}

fn number_of(key: &[u8]) -> u64 {
    u64::from_le_bytes(key.try_into().expect("keys of this test are eight bytes"))
}

/// Objects against a model of their times: set, changed in place, replaced, removed, and woken one by one.
#[test]
fn objects_wake_when_their_time_has_come() {
    for (seed, mask) in [(1, u64::MAX), (2, 0xff << 50)] {
        let mut random = Random(seed);
        let hasher = KeyHasher::with_seed_and_mask(seed, mask);
        let mut table: KeyTable<Sleeper> = KeyTable::new(hasher.clone());
        let mut model: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
        let mut now_ms = 0;
        for _ in 0..size(300, 20_000) {
            let number = random.below(size(40, 2000)) as u64;
            let key = number.to_le_bytes();
            let hash = hasher.hash(&key);
            let mut times: Vec<i64> = (0..random.below(4))
                .map(|_| now_ms + 1 + random.below(1000) as i64)
                .collect();
            times.sort_unstable_by_key(|time| -time);
            let object = Box::new(Sleeper(times.clone()));
            let found = table.get_mut(hash, &key);
            assert_eq!(found.is_some(), model.contains_key(&number), "SEED={seed}");
            match found {
                None => {
                    table.insert(hash, &key, NewValue::Object(object), None);
                    model.insert(number, times);
                }
                Some(entry) if random.below(4) == 0 => {
                    entry.remove();
                    model.remove(&number);
                }
                Some(mut entry) if random.below(2) == 0 => {
                    entry.set_value(NewValue::Object(object));
                    model.insert(number, times);
                }
                Some(mut entry) => {
                    entry.object_mut().expect("an object").0 = times.clone();
                    model.insert(number, times);
                }
            }
            let waking_count = model.values().filter(|times| !times.is_empty()).count();
            assert_eq!(
                table.waking_count(KINDS_COUNT - 1),
                waking_count,
                "SEED={seed}"
            );
            assert_eq!(table.has_waking(), waking_count > 0, "SEED={seed}");
            if random.below(20) == 0 {
                now_ms += random.below(200) as i64;
                let mut cursor = 0;
                let mut gone = Vec::new();
                loop {
                    let budget = 1 + random.below(50);
                    let mut wake = |_: &[u8], sleeper: &mut Sleeper| {
                        assert!(sleeper.0.last().is_some_and(|time| *time <= now_ms));
                        sleeper.0.retain(|time| *time > now_ms);
                        (1, sleeper.0.is_empty())
                    };
                    (cursor, _) = table.expire_step(
                        cursor,
                        now_ms,
                        budget,
                        // No entry has a deadline: it goes when its object has nothing to wait for any more.
                        &mut |entry| {
                            gone.push(number_of(entry.key()));
                            true
                        },
                        &mut wake,
                    );
                    if cursor == 0 {
                        break;
                    }
                }
                gone.sort_unstable();
                let mut gone_of_model = Vec::new();
                model.retain(|number, times| {
                    let is_woken = times.last().is_some_and(|time| *time <= now_ms);
                    times.retain(|time| *time > now_ms);
                    let is_gone = is_woken && times.is_empty();
                    gone_of_model.extend(is_gone.then_some(*number));
                    !is_gone
                });
                assert_eq!(gone, gone_of_model, "SEED={seed}");
                assert_eq!(table.len(), model.len(), "SEED={seed}");
            }
        }
    }
}
