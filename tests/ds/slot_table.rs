//! The slot table against a set of numbers: a payload is its own record, its hash is the keyed hash of its bytes.

use super::{Random, size};
use rondo::base::hash::KeyHasher;
use rondo::base::rng::Rng;
use rondo::ds::slot_table::SlotTable;
use std::collections::{HashMap, HashSet};

/// All bits; few in front, so that a segment never splits well; few behind, so that tags repeat; none.
const MASKS: [u64; 4] = [u64::MAX, !0 << 58, 0xff << 40, 0];

struct Checked {
    table: SlotTable,
    model: HashSet<u64>,
    hasher: KeyHasher,
    seed: u64,
}

impl Checked {
    fn new(seed: u64, mask: u64) -> Self {
        Self {
            table: SlotTable::new(),
            model: HashSet::new(),
            hasher: KeyHasher::with_seed_and_mask(seed, mask),
            seed,
        }
    }

    fn hash(&self, payload: u64) -> u64 {
        self.hasher.hash(&payload.to_le_bytes())
    }

    fn contains(&self, payload: u64) -> bool {
        let place = self
            .table
            .find(self.hash(payload), |other| other == payload);
        place.is_some_and(|place| self.table.payload(place) == payload)
    }

    /// Adds the payload where it is not there yet.
    fn insert(&mut self, payload: u64) {
        let is_new = self.model.insert(payload);
        assert_eq!(self.contains(payload), !is_new, "SEED={}", self.seed);
        if is_new {
            let hasher = self.hasher.clone();
            let hash = self.hash(payload);
            self.table
                .insert(hash, payload, |other| hasher.hash(&other.to_le_bytes()));
        }
    }

    fn remove(&mut self, payload: u64) {
        let hash = self.hash(payload);
        let removed = self.table.remove(hash, |other| other == payload);
        let expected = self.model.remove(&payload).then_some(payload);
        assert_eq!(removed, expected, "SEED={}", self.seed);
    }

    fn check_whole(&self) {
        assert_eq!(self.table.len(), self.model.len(), "SEED={}", self.seed);
        let mut all: Vec<u64> = self.table.iter().collect();
        all.sort_unstable();
        let mut expected: Vec<u64> = self.model.iter().copied().collect();
        expected.sort_unstable();
        assert_eq!(all, expected, "SEED={}", self.seed);
        for payload in expected {
            assert!(self.contains(payload), "SEED={} {payload}", self.seed);
        }
    }

    /// Payloads by how often a whole scan showed them; `between` runs after each call.
    fn scan(&mut self, count: usize, mut between: impl FnMut(&mut Self)) -> HashMap<u64, usize> {
        let mut seen = HashMap::new();
        let mut cursor = 0;
        loop {
            cursor = self.table.scan(cursor, count, |payload| {
                *seen.entry(payload).or_default() += 1;
            });
            assert!(cursor < 1 << 48);
            if cursor == 0 {
                return seen;
            }
            between(self);
        }
    }
}

// Inserts and removals around a size that rises and falls, so every split and join happens many times.
#[test]
fn it_holds_what_a_set_holds() {
    for seed in 0..size(1, 3) as u64 {
        for mask in MASKS {
            let mut random = Random(seed);
            let mut checked = Checked::new(seed, mask);
            let widest = if mask.count_ones() < 10 { 300 } else { 6_000 };
            for target in [1, 5, 200, 70, size(300, widest), 129, 3, 900.min(widest), 0] {
                let range = (target * 2).max(10);
                for _ in 0..target * 3 + 20 {
                    let payload = random.below(range) as u64;
                    let is_below = checked.model.len() < target;
                    if random.below(4) > usize::from(is_below) * 2 {
                        checked.remove(payload);
                    } else {
                        checked.insert(payload);
                    }
                }
                // To the target exactly, from wherever that led.
                while checked.model.len() > target {
                    let payload = checked.table.iter().next().expect("not empty");
                    checked.remove(payload);
                }
                while checked.model.len() < target {
                    checked.insert(random.next() >> 16);
                }
                checked.check_whole();
            }
            assert_eq!(checked.table.heap_bytes(), 0, "an empty table has nothing");
        }
    }
}

#[test]
fn a_payload_is_exchanged_in_place() {
    let mut checked = Checked::new(1, 0);
    (0..50).for_each(|payload| checked.insert(payload));
    for payload in 0..50 {
        let place = checked
            .table
            .find(0, |other| other == payload)
            .expect("it is there");
        checked.table.set_payload(place, payload + 1000);
        assert_eq!(checked.table.payload(place), payload + 1000);
    }
    assert!(checked.table.iter().all(|payload| payload >= 1000));
}

#[test]
fn a_scan_of_a_table_at_rest_shows_each_payload_once() {
    for (seed, mask) in (0u64..).zip(MASKS) {
        for count in [0, 1, 10, 1000] {
            let mut checked = Checked::new(seed, mask);
            let payloads_count = size(100, 3000) as u64;
            (0..payloads_count).for_each(|payload| checked.insert(payload));
            let seen = checked.scan(count, |_| ());
            assert_eq!(seen.len() as u64, payloads_count);
            assert!(seen.values().all(|times| *times == 1));
        }
    }
}

#[test]
fn a_scan_shows_about_as_many_as_asked_for() {
    let mut checked = Checked::new(7, u64::MAX);
    (0..5000).for_each(|payload| checked.insert(payload));
    let mut cursor = 0;
    loop {
        let mut visited_count = 0;
        cursor = checked.table.scan(cursor, 10, |_| visited_count += 1);
        if cursor == 0 {
            break;
        }
        assert!((10..14).contains(&visited_count), "{visited_count}");
    }
}

// Stayers are there throughout; others come and go between the calls, and the table with them.
#[test]
fn a_scan_shows_what_stays_whatever_grows_or_shrinks() {
    for seed in 0..size(2, 8) as u64 {
        for mask in [u64::MAX, 0xff << 52] {
            let mut random = Random(seed);
            let mut checked = Checked::new(seed, mask);
            let stayers_count = size(20, 700) as u64;
            (0..stayers_count).for_each(|payload| checked.insert(payload));
            let others = 1 << 20;
            if seed % 2 == 1 {
                (others..others + size(100, 8000) as u64).for_each(|other| checked.insert(other));
            }
            let grows = seed % 4 < 2;
            let seen = checked.scan(1 + seed as usize % 30, |checked| {
                for _ in 0..random.below(200) {
                    let other = others + random.below(8000) as u64;
                    if (random.below(10) < 8) == (grows && checked.model.len() < 9000) {
                        checked.insert(other);
                    } else {
                        checked.remove(other);
                    }
                }
            });
            for payload in 0..stayers_count {
                assert!(seen.contains_key(&payload), "SEED={seed} {payload}");
            }
            checked.check_whole();
        }
    }
}

#[test]
fn made_up_cursors_end() {
    let mut checked = Checked::new(3, u64::MAX);
    (0..1000).for_each(|payload| checked.insert(payload));
    let mut random = Random(9);
    for _ in 0..size(10, 1000) {
        let mut cursor = random.next() >> random.below(64);
        for _ in 0..2000 {
            cursor = checked.table.scan(cursor, 10, |_| ());
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(cursor, 0);
    }
    assert_eq!(SlotTable::new().scan(5, 10, |_| ()), 0);
}

// Chi-square against the uniform distribution; five standard deviations, with fixed seeds.
#[test]
fn every_slot_is_as_likely() {
    for payloads_count in [1, 3, 64, 65, 100, 200, 777] {
        let mut checked = Checked::new(5, u64::MAX);
        // Grown further and shrunk back: segments have forgotten how long they were.
        (0..payloads_count * 3).for_each(|payload| checked.insert(payload));
        (payloads_count..payloads_count * 3).for_each(|payload| checked.remove(payload));
        let mut rng = Rng::with_seed(payloads_count);
        let draws_count = size(10, 200) as u64 * payloads_count;
        let mut drawn = vec![0u64; payloads_count as usize];
        for _ in 0..draws_count {
            let place = checked.table.random(&mut rng).expect("not empty");
            drawn[checked.table.payload(place) as usize] += 1;
        }
        let expected = (draws_count / payloads_count) as f64;
        let square = |count: &u64| (*count as f64 - expected).powi(2) / expected;
        let chi_square: f64 = drawn.iter().map(square).sum();
        let freedom = (payloads_count - 1) as f64;
        let limit = freedom + 5.0 * (2.0 * freedom).sqrt();
        assert!(
            chi_square <= limit,
            "{payloads_count}: {chi_square} {limit}"
        );
    }
    assert!(SlotTable::new().random(&mut Rng::with_seed(0)).is_none());
}

// Work is counted, not timed: hashes asked for, and bytes by which the table grew or shrank.
#[test]
fn no_call_does_more_than_one_segments_work() {
    let mut checked = Checked::new(11, u64::MAX);
    let mut bytes = 0;
    let mut check_bytes = |table: &SlotTable| {
        let changed_bytes = table.heap_bytes().abs_diff(bytes);
        assert!(changed_bytes < 9000, "{changed_bytes} at {}", table.len());
        bytes = table.heap_bytes();
    };
    let payloads_count = size(500, 60_000) as u64;
    for payload in 0..payloads_count {
        let hasher = checked.hasher.clone();
        let hash = checked.hash(payload);
        let mut asked_count = 0;
        checked.table.insert(hash, payload, |other| {
            asked_count += 1;
            hasher.hash(&other.to_le_bytes())
        });
        assert!(asked_count < 250, "{asked_count} at {payload}");
        check_bytes(&checked.table);
    }
    for payload in 0..payloads_count {
        let hash = checked.hash(payload);
        assert!(
            checked
                .table
                .remove(hash, |other| other == payload)
                .is_some()
        );
        check_bytes(&checked.table);
    }
}

#[test]
fn a_slot_costs_eleven_bytes_at_most() {
    let mut checked = Checked::new(2, u64::MAX);
    let (mut bytes, mut slots, mut worst) = (0, 0, 0);
    for payload in 0..size(300, 40_000) as u64 {
        checked.insert(payload);
        if payload >= 100 {
            worst = worst.max(checked.table.heap_bytes() * 100 / checked.table.len());
        }
        if payload >= 1000 {
            bytes += checked.table.heap_bytes();
            slots += checked.table.len();
        }
    }
    assert!(worst <= 1100, "{worst} hundredths");
    assert!(bytes * 10 <= slots * 95, "{bytes} for {slots}");
}

#[test]
fn draining_hands_out_every_payload_in_steps() {
    let mut checked = Checked::new(4, u64::MAX);
    (0..2000).for_each(|payload| checked.insert(payload));
    let mut taken = HashSet::new();
    let mut is_done = false;
    while !is_done {
        let before = taken.len();
        is_done = checked.table.drain_step(10, |payload| {
            taken.insert(payload);
        });
        assert!(taken.len() - before < 200);
        assert_eq!(checked.table.len(), 2000 - taken.len());
    }
    assert_eq!(taken, checked.model);
    assert_eq!(checked.table.heap_bytes(), 0);
}

// Copies sort differently among equal hashes, which is what a clone must not trip over.
#[test]
fn a_clone_leads_to_the_copies() {
    for mask in MASKS {
        let mut checked = Checked::new(6, mask);
        (0..500).for_each(|payload| checked.insert(payload));
        let clone = checked.table.clone_with(|payload| payload ^ 0xffff);
        for payload in 0..500 {
            let place = clone.find(checked.hash(payload), |other| other ^ 0xffff == payload);
            assert_eq!(
                place.map(|place| clone.payload(place)),
                Some(payload ^ 0xffff)
            );
        }
        assert!(clone.heap_bytes() <= checked.table.heap_bytes());
    }
}
