//! The table against a `HashMap`: op lists over every representation, deadline and length of key.

use super::{Random, size};
use bytes::Bytes;
use rondo::base::hash::KeyHasher;
use rondo::base::shared_bytes::SharedBytes;
use rondo::ds::growing_buffer::GrowingBuffer;
use rondo::ds::key_table::{HeapSize, KeyTable, NewValue, OwnedValue, Value};
use rondo::ds::mover::{Mover, Progress};
use rondo::ds::unaligned_box::UnalignedBox;
use std::collections::HashMap;

/// An object whose heap is a vector of numbers. It has alignment 1, so it lies in the entries; those of other tests do not.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers(pub UnalignedBox<Vec<u64>>);

const _: () = assert!(align_of::<Numbers>() == 1);

impl Numbers {
    pub fn new(numbers: Vec<u64>) -> Self {
        Self(UnalignedBox::new(numbers))
    }
}

impl HeapSize for Numbers {
    fn heap_bytes(&self) -> usize {
        size_of::<Vec<u64>>() + self.0.capacity() * 8
    }

    fn move_step(&mut self, _: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
        mover.unaligned_box(&mut self.0);
        mover.array(&mut self.0);
        None
    }
}

/// A value in the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Plain {
    Int(i64),
    Str(Vec<u8>, bool),
    Object(Numbers),
}

#[derive(Clone, Debug)]
struct Row {
    value: Plain,
    deadline_ms: Option<i64>,
    access: u32,
}

/// Lengths around every turn of the layout: inline to wide, wide to large, classes of the slab.
const LENGTHS: [usize; 16] = [
    0, 1, 7, 8, 44, 45, 100, 200, 255, 256, 300, 447, 448, 449, 2000, 70_000,
];

pub fn plain(value: Value<'_, Numbers>) -> Plain {
    match value {
        Value::Int(number) => Plain::Int(number),
        Value::Str { bytes, raw } => Plain::Str(bytes.to_vec(), raw),
        Value::Object(numbers) => Plain::Object(numbers.clone()),
    }
}

fn owned(value: OwnedValue<Numbers>) -> Plain {
    match value {
        OwnedValue::Int(number) => Plain::Int(number),
        OwnedValue::Str { bytes, raw } => Plain::Str(bytes.to_vec(), raw),
        OwnedValue::Object(numbers) => Plain::Object(*numbers),
    }
}

fn text(random: &mut Random) -> Vec<u8> {
    let kinds_count = LENGTHS.len() - usize::from(random.below(8) > 0);
    let length = LENGTHS[random.below(kinds_count)];
    let first = random.next() as u8;
    (0..length).map(|at| first.wrapping_add(at as u8)).collect()
}

fn number(random: &mut Random) -> i64 {
    let number = random.next() as i64 >> random.below(64);
    match random.below(20) {
        0 => i64::MIN,
        1 => i64::MAX,
        2 => -129,
        3 => 127,
        4 => 32_768,
        5 => -2_147_483_648,
        6 => 2_147_483_648,
        _ => number,
    }
}

/// A value to store, twice: for the model and, made from that, for the table.
fn value(random: &mut Random) -> Plain {
    match random.below(6) {
        0 | 1 => Plain::Int(number(random)),
        2..5 => {
            let text = text(random);
            let raw = text.len() > 44 || random.below(4) == 0;
            Plain::Str(text, raw)
        }
        _ => Plain::Object(Numbers::new((0..random.below(10) as u64).collect())),
    }
}

fn with_new<R>(value: &Plain, run: impl FnOnce(NewValue<'_, Numbers>) -> R) -> R {
    match value {
        Plain::Int(number) => run(NewValue::Int(*number)),
        // What was not changed in place may also come shared.
        Plain::Str(bytes, raw) if *raw == (bytes.len() > 44) && bytes.len() % 2 == 0 => {
            run(NewValue::Shared(Bytes::from(bytes.clone())))
        }
        Plain::Str(bytes, raw) => run(NewValue::Str { bytes, raw: *raw }),
        Plain::Object(numbers) => run(NewValue::Object(Box::new(numbers.clone()))),
    }
}

struct Pair {
    table: KeyTable<Numbers>,
    hasher: KeyHasher,
    model: HashMap<Vec<u8>, Row>,
    seed: u64,
}

impl Pair {
    fn new(seed: u64, mask: u64) -> Self {
        let hasher = KeyHasher::with_seed_and_mask(seed, mask);
        Self {
            table: KeyTable::new(hasher.clone()),
            hasher,
            model: HashMap::new(),
            seed,
        }
    }

    fn step(&mut self, random: &mut Random, key: &[u8]) {
        let seed = self.seed;
        let hash = self.hasher.hash(key);
        match random.below(12) {
            0..4 => {
                let value = value(random);
                let deadline_ms = (random.below(3) == 0).then(|| random.next() as i64);
                if let Some(row) = self.model.get_mut(key) {
                    let mut entry = self.table.get_mut(hash, key).expect("in the model");
                    with_new(&value, |new| entry.set_value(new));
                    assert_eq!(plain(entry.value()), value, "SEED={seed}");
                    row.value = value;
                } else {
                    let entry =
                        with_new(&value, |new| self.table.insert(hash, key, new, deadline_ms));
                    assert_eq!(entry.key(), key, "SEED={seed}");
                    assert_eq!(plain(entry.into_value()), value, "SEED={seed}");
                    let row = Row {
                        value,
                        deadline_ms,
                        access: 0,
                    };
                    self.model.insert(key.to_vec(), row);
                }
            }
            4 => {
                let removed = self.table.remove(hash, key);
                assert_eq!(removed, self.model.remove(key).is_some(), "SEED={seed}");
            }
            5 => {
                let taken = self.table.take(hash, key);
                let taken = taken.map(|(value, deadline_ms)| (owned(value), deadline_ms));
                let row = self.model.remove(key);
                let row = row.map(|row| (row.value, row.deadline_ms));
                assert_eq!(taken, row, "SEED={seed}");
            }
            6 => {
                let deadline_ms = (random.below(2) == 0).then(|| random.next() as i64);
                if let Some(mut entry) = self.table.get_mut(hash, key) {
                    entry.set_deadline(deadline_ms);
                    assert_eq!(entry.deadline_ms(), deadline_ms, "SEED={seed}");
                    self.model.get_mut(key).expect("in the table").deadline_ms = deadline_ms;
                }
            }
            7 => {
                if let Some(mut entry) = self.table.get_mut(hash, key) {
                    let access = random.next() as u32;
                    entry.set_access(access);
                    self.model.get_mut(key).expect("in the table").access = access & 0xff_ffff;
                }
            }
            8..10 => self.append(random, hash, key),
            _ => {
                if let Some(mut entry) = self.table.get_mut(hash, key) {
                    let row = self.model.get_mut(key).expect("in the table");
                    match (entry.object_mut(), &mut row.value) {
                        (Some(numbers), Plain::Object(model)) => {
                            numbers.0.push(5);
                            model.0.push(5);
                        }
                        (None, Plain::Int(_) | Plain::Str(..)) => {}
                        _ => panic!("SEED={seed}"),
                    }
                }
            }
        }
        self.check_key(key);
    }

    /// Appends, or overwrites some bytes in the middle.
    fn append(&mut self, random: &mut Random, hash: u64, key: &[u8]) {
        let Some(row) = self.model.get_mut(key) else {
            return;
        };
        let mut content = match &row.value {
            Plain::Int(number) => number.to_string().into_bytes(),
            Plain::Str(bytes, _) => bytes.clone(),
            Plain::Object(_) => return,
        };
        let mut entry = self.table.get_mut(hash, key).expect("in the model");
        let length = content.len() + LENGTHS[random.below(10)];
        let bytes = entry.string_mut(length);
        assert_eq!(bytes.len(), length.max(content.len()), "SEED={}", self.seed);
        assert!(bytes[content.len()..].iter().all(|byte| *byte == 0));
        content.resize(length, 0);
        if !content.is_empty() {
            let at = random.below(content.len());
            content[at] = 9;
            bytes[at] = 9;
        }
        row.value = Plain::Str(content, true);
    }

    fn check_key(&self, key: &[u8]) {
        let seed = self.seed;
        let entry = self.table.get(self.hasher.hash(key), key);
        assert_eq!(entry.is_some(), self.model.contains_key(key), "SEED={seed}");
        if let (Some(entry), Some(row)) = (entry, self.model.get(key)) {
            assert_eq!(entry.key(), key, "SEED={seed}");
            assert_eq!(plain(entry.value()), row.value, "SEED={seed}");
            assert_eq!(entry.deadline_ms(), row.deadline_ms, "SEED={seed}");
            assert_eq!(entry.access(), row.access, "SEED={seed}");
            assert!(entry.memory_bytes() >= key.len() + 5, "SEED={seed}");
        }
    }

    fn check_all(&self) {
        let seed = self.seed;
        assert_eq!(self.table.len(), self.model.len(), "SEED={seed}");
        let deadlines = self.model.values().filter(|row| row.deadline_ms.is_some());
        assert_eq!(
            self.table.deadlines_count(),
            deadlines.count(),
            "SEED={seed}"
        );
        for key in self.model.keys() {
            self.check_key(key);
        }
        let mut seen = 0;
        let mut cursor = 0;
        loop {
            cursor = self.table.scan(cursor, &mut |entry| {
                assert!(self.model.contains_key(entry.key()), "SEED={seed}");
                seen += 1;
            });
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(seen, self.model.len(), "SEED={seed}");
    }

    fn remove_all(&mut self) {
        for key in std::mem::take(&mut self.model).into_keys() {
            assert!(self.table.remove(self.hasher.hash(&key), &key));
        }
        assert_eq!(self.table.used_bytes(), 0, "SEED={}", self.seed);
        assert_eq!(self.table.deadlines_count(), 0, "SEED={}", self.seed);
    }
}

fn check(seed: u64, mask: u64, keys_count: usize, steps: usize) {
    let mut random = Random(seed);
    let mut pair = Pair::new(seed, mask);
    for step in 0..steps {
        // Twice as many keys in every second stretch: the table grows and shrinks.
        let stretch = (step * 8 / steps) % 2 + 1;
        let key = format!("key:{}", random.below(keys_count * stretch / 2));
        pair.step(&mut random, key.as_bytes());
        if step % (steps / 4) == 0 {
            pair.check_all();
        }
    }
    pair.check_all();
    pair.remove_all();
}

/// Room for more or fewer keys than come, or for as many: they are all there, once each, and an empty table has nothing.
#[test]
fn room_that_was_made_ahead_changes_nothing_but_the_growth() {
    let hasher = KeyHasher::with_seed(7);
    let keys_count = size(1_500, 20_000);
    let key = |index: usize| format!("key:{index}");
    for reserved in [0, 1, 649, 650, keys_count / 3, keys_count, keys_count * 3] {
        let mut table: KeyTable<Numbers> = KeyTable::new(hasher.clone());
        table.reserve(reserved);
        table.reserve(10 * reserved);
        assert_eq!((table.len(), table.is_empty()), (0, true));
        assert_eq!(table.scan(0, &mut |_| panic!("no entry")) % 2, 0);
        for index in 0..keys_count {
            let key = key(index);
            let hash = hasher.hash(key.as_bytes());
            assert!(table.get(hash, key.as_bytes()).is_none());
            table.insert(hash, key.as_bytes(), NewValue::Int(index as i64), None);
        }
        // It is full now, and no hint changes it.
        let index_bytes = table.index_bytes();
        table.reserve(keys_count * 10);
        assert_eq!(table.index_bytes(), index_bytes);
        let mut seen = HashMap::new();
        let mut position = 0;
        loop {
            position = table.scan(position, &mut |entry| {
                *seen.entry(entry.key().to_vec()).or_insert(0) += 1;
            });
            if position == 0 {
                break;
            }
        }
        assert_eq!(seen.len(), keys_count);
        assert!(seen.values().all(|&count| count == 1));
        let mut random = Random(1);
        assert!(table.random(&mut || random.next()).is_some());
        for index in 0..keys_count {
            let key = key(index);
            assert!(table.remove(hasher.hash(key.as_bytes()), key.as_bytes()));
        }
        assert_eq!((table.len(), table.index_bytes()), (0, 0));
    }
}

#[test]
fn does_what_a_map_does() {
    for seed in 0..size(1, 4) as u64 {
        check(seed, u64::MAX, size(60, 5000), size(800, 60_000));
    }
}

/// From keys that share their first bits to keys that share them all.
#[test]
fn does_what_a_map_does_when_hashes_collide() {
    for (seed, mask) in [
        (10, 0),
        (11, 0xf),
        (12, 0xffff << 12),
        (13, 0xff << 56),
        (14, 0x7 << 61),
        (15, 0xffff_ffff_f000 << 4),
    ] {
        check(seed, mask, size(40, 1500), size(300, 12_000));
    }
}

/// No bits at all to tell keys apart, in one bucket and all that follow it.
#[test]
fn thousands_of_equal_hashes_are_slow_but_right() {
    let mut pair = Pair::new(1, 0);
    for index in 0..size(100, 3000) {
        let key = format!("{index}").into_bytes();
        pair.table
            .insert(pair.hasher.hash(&key), &key, NewValue::Int(1), None);
        let row = Row {
            value: Plain::Int(1),
            deadline_ms: None,
            access: 0,
        };
        pair.model.insert(key, row);
    }
    pair.check_all();
    pair.remove_all();
}

#[test]
fn keys_have_any_length() {
    let mut pair = Pair::new(3, u64::MAX);
    let mut random = Random(3);
    let keys: Vec<Vec<u8>> = [
        0, 1, 254, 255, 256, 257, 500, 2000, 8000, 8191, 8192, 8193, 65_535, 65_536, 100_000,
    ]
    .into_iter()
    .map(|length| vec![b'k'; length])
    .collect();
    for _ in 0..size(60, 3000) {
        let key = &keys[random.below(keys.len())];
        pair.step(&mut random, key);
    }
    pair.check_all();
    pair.remove_all();
}

/// The numbers the layout was made for.
#[test]
fn small_entries_are_as_small_as_promised() {
    let keys_count = size(500, 200_000);
    for (deadline_ms, block_bytes) in [(None, 56), (Some(5), 64)] {
        let hasher = KeyHasher::with_seed(1);
        let mut table: KeyTable<Numbers> = KeyTable::new(hasher.clone());
        for index in 0..keys_count {
            let key = format!("key:{index:012}");
            let value = NewValue::Str {
                bytes: &[7; 32],
                raw: false,
            };
            let hash = hasher.hash(key.as_bytes());
            let entry = table.insert(hash, key.as_bytes(), value, deadline_ms);
            assert_eq!(entry.memory_bytes(), block_bytes + 10);
        }
        let per_key = table.used_bytes() as f64 / keys_count as f64;
        let bound = size(30, 12) as f64;
        assert!(
            per_key < block_bytes as f64 + bound,
            "{per_key} bytes a key"
        );
    }
}

/// An append of one byte at a time copies the string a bounded number of times.
#[test]
fn appending_is_amortised() {
    let hasher = KeyHasher::with_seed(1);
    let mut table: KeyTable<Numbers> = KeyTable::new(hasher.clone());
    let hash = hasher.hash(b"k");
    table.insert(hash, b"k", NewValue::Int(-12), None);
    let mut reallocations_count = 0;
    let mut place = std::ptr::null();
    for length in 3..size(1000, 300_000) {
        let mut entry = table.get_mut(hash, b"k").unwrap();
        let bytes = entry.string_mut(length + 1);
        bytes[length] = b'0' + (length % 10) as u8;
        if bytes.as_ptr() != place {
            reallocations_count += 1;
            place = bytes.as_ptr();
        }
    }
    assert!(reallocations_count < 80, "{reallocations_count}");
    let Some(Value::Str { bytes, raw: true }) = table.get(hash, b"k").map(|entry| entry.value())
    else {
        panic!("a raw string")
    };
    assert_eq!(&bytes[..8], b"-1234567");
}

/// Large strings come and go without a copy.
#[test]
fn shared_strings_are_not_copied() {
    let hasher = KeyHasher::with_seed(1);
    let mut table: KeyTable<Numbers> = KeyTable::new(hasher.clone());
    let hash = hasher.hash(b"k");
    let bytes = Bytes::from(vec![3; 10_000]);
    table.insert(hash, b"k", NewValue::Shared(bytes.clone()), None);
    assert!(table.used_bytes() > 10_000);
    let Some((OwnedValue::Str { bytes: taken, .. }, None)) = table.take(hash, b"k") else {
        panic!("a string")
    };
    assert_eq!(taken.as_ptr(), bytes.as_ptr());
    assert_eq!(table.used_bytes(), 0);
}

/// A string that others hold: they keep what they were given, whatever becomes of it, and it is as it was for everybody else.
#[test]
fn lent_strings_stay_what_they_were() {
    let hasher = KeyHasher::with_seed(1);
    let hash = hasher.hash(b"k");
    let lengths = [500, 20_000, size(100_000, 2_000_000)];
    for (length, way) in lengths
        .into_iter()
        .flat_map(|it| [0, 1, 2].map(|way| (it, way)))
    {
        let mut table: KeyTable<Numbers> = KeyTable::new(hasher.clone());
        let text = vec![b'v'; length];
        let value = match way {
            0 => NewValue::Str {
                bytes: &text,
                raw: false,
            },
            1 => NewValue::Received(SharedBytes::copy_of(&text)),
            _ => NewValue::Shared(Bytes::from(text.clone())),
        };
        table.insert(hash, b"k", value, None);
        let used_bytes = table.used_bytes();
        let mut entry = table.get_mut(hash, b"k").unwrap();
        let lent = entry.lend().expect("it lies on the heap");
        let again = entry.lend().expect("once more");
        assert_eq!(again.as_ptr(), lent.as_ptr());
        let Value::Str { bytes, .. } = entry.value() else {
            panic!("a string")
        };
        assert_eq!(bytes.as_ptr(), lent.as_ptr(), "nothing is copied");
        // The pages of a long one are counted as they are touched.
        assert!(table.used_bytes().abs_diff(used_bytes) <= length / 8 + 200);
        drop(again);
        let mut entry = table.get_mut(hash, b"k").unwrap();
        entry.string_mut(0)[0] = b'+';
        assert!(lent.iter().all(|&byte| byte == b'v'));
        drop(lent);
        let lent = entry.lend().expect("it is the table's own again");
        let place = lent.as_ptr();
        drop(lent);
        // Nobody holds it: it changes where it is.
        let bytes = entry.string_mut(0);
        assert_eq!((bytes.as_ptr(), bytes[0], bytes[1]), (place, b'+', b'v'));
        let lent = entry.lend().expect("and once more");
        assert!(table.remove(hash, b"k"));
        assert_eq!(table.used_bytes(), 0);
        assert_eq!((lent[0], lent.len()), (b'+', length));
    }
}

/// One that is lent and handed over in turns (GET and RENAME) stays one handle on one string: as many around each other as there
/// were turns would be dropped one within the other.
#[test]
fn strings_that_are_lent_and_handed_over_are_wrapped_once() {
    let hasher = KeyHasher::with_seed(1);
    let hash = hasher.hash(b"k");
    let mut table: KeyTable<Numbers> = KeyTable::new(hasher.clone());
    for way in 0..2 {
        let value = match way {
            0 => NewValue::Shared(Bytes::from(vec![b'v'; 20_000])),
            _ => NewValue::Received(SharedBytes::copy_of(&[b'v'; 20_000])),
        };
        table.insert(hash, b"k", value, None);
        for _ in 0..200_000 {
            let lent = table.get_mut(hash, b"k").unwrap().lend();
            assert_eq!(lent.map_or(0, |lent| lent.len()), 20_000);
            let Some((OwnedValue::Str { bytes, .. }, None)) = table.take(hash, b"k") else {
                panic!("a string")
            };
            table.insert(hash, b"k", NewValue::Shared(bytes), None);
        }
        assert!(table.remove(hash, b"k"));
    }
    assert_eq!(table.used_bytes(), 0);
}

/// What has room to grow is copied, or that would be kept as long as it is held.
#[test]
fn strings_with_much_room_are_not_lent() {
    let hasher = KeyHasher::with_seed(1);
    let hash = hasher.hash(b"k");
    let mut table: KeyTable<Numbers> = KeyTable::new(hasher.clone());
    let text = vec![b'v'; 20_000];
    let value = NewValue::Str {
        bytes: &text,
        raw: false,
    };
    let mut entry = table.insert(hash, b"k", value, None);
    entry.string_mut(20_001);
    assert!(entry.lend().is_none());
    let short = NewValue::Str {
        bytes: b"short",
        raw: false,
    };
    entry.set_value(short);
    assert!(entry.lend().is_none());
}

/// What stood beside it in its request, as long as itself, goes when it becomes the table's own.
#[test]
fn received_strings_leave_the_rest_of_their_request() {
    const LENGTH: usize = 300_000;
    let hasher = KeyHasher::with_seed(1);
    let hash = hasher.hash(b"k");
    for start in [30, LENGTH] {
        let mut table: KeyTable<Numbers> = KeyTable::new(hasher.clone());
        let mut buffer = GrowingBuffer::expecting(2 * LENGTH + 60);
        buffer
            .extend_from_slice(&vec![b'v'; 2 * LENGTH + 60])
            .unwrap();
        let value = SharedBytes::new(buffer).slice(start..start + LENGTH);
        table.insert(hash, b"k", NewValue::Received(value), None);
        let string = table.get_mut(hash, b"k").unwrap().string_mut(0).to_vec();
        assert_eq!(string, vec![b'v'; LENGTH]);
        let used_bytes = table.used_bytes();
        assert!(used_bytes < LENGTH + LENGTH / 4, "{start}: {used_bytes}");
    }
}

/// A part of a request becomes a value as it lies, and grows where it is: bytes of the request before it stay, those behind it go.
#[test]
fn received_strings_become_the_tables_own() {
    let hasher = KeyHasher::with_seed(1);
    let mut table: KeyTable<Numbers> = KeyTable::new(hasher.clone());
    let hash = hasher.hash(b"k");
    let request = |bytes: usize| {
        let mut buffer = GrowingBuffer::expecting(bytes + 100);
        buffer.extend_from_slice(&[b'h'; 50]).unwrap();
        buffer.extend_from_slice(&vec![b'v'; bytes]).unwrap();
        buffer.extend_from_slice(&[b't'; 50]).unwrap();
        SharedBytes::new(buffer)
    };
    let lengths = [5_000, 70_000, size(100_000, 2_000_000)];
    for (length, is_held) in lengths.into_iter().flat_map(|it| [(it, false), (it, true)]) {
        let request = request(length);
        let value = request.slice(50..50 + length);
        let place = value.as_ptr();
        table.insert(hash, b"k", NewValue::Received(value), None);
        let held = is_held.then(|| request.clone());
        drop(request);
        let mut entry = table.get_mut(hash, b"k").unwrap();
        assert_eq!(entry.string_mut(0).len(), length);
        let is_same = entry.string_mut(0).as_ptr() == place;
        // One that somebody else holds is copied: nobody's bytes change under him.
        assert_eq!(is_same, !is_held);
        entry.string_mut(length + 1000)[length] = b'+';
        let Value::Str { bytes, raw: true } = entry.value() else {
            panic!("a raw string")
        };
        assert_eq!(bytes.len(), length + 1000);
        assert!(bytes[..length].iter().all(|&byte| byte == b'v'));
        assert_eq!(bytes[length], b'+');
        assert!(bytes[length + 1..].iter().all(|&byte| byte == 0));
        if let Some(held) = held {
            assert!(held[50..50 + length].iter().all(|&byte| byte == b'v'));
        }
        assert!(table.used_bytes() > length);
        let Some((OwnedValue::Str { bytes, .. }, None)) = table.take(hash, b"k") else {
            panic!("a string")
        };
        assert_eq!(bytes.len(), length + 1000);
        assert_eq!(table.used_bytes(), 0);
    }
}

/// A long string takes the whole block that it lies in, and is counted so.
#[test]
fn a_long_string_counts_as_its_block() {
    let hasher = KeyHasher::with_seed(1);
    let mut table: KeyTable<Numbers> = KeyTable::new(hasher.clone());
    let hash = hasher.hash(b"a");
    let mut used_with = |value: NewValue<'_, Numbers>| {
        table.insert(hash, b"a", value, None);
        let used_bytes = table.used_bytes();
        assert!(table.remove(hash, b"a"));
        assert_eq!(table.used_bytes(), 0);
        used_bytes
    };
    let value = [b'x'; 6000];
    let copied = |bytes: usize| NewValue::Str {
        bytes: &value[..bytes],
        raw: false,
    };
    let smallest = used_with(copied(4097));
    assert_eq!(used_with(copied(5120)), smallest);
    assert_eq!(used_with(copied(5121)), smallest + 1024);
    let shared = Bytes::copy_from_slice(&value[..5000]);
    assert_eq!(used_with(NewValue::Shared(shared)), smallest);
}

/// What an object grows while it is lent out is on the account as soon as the table is looked at.
#[test]
fn objects_are_measured_after_they_were_changed() {
    let hasher = KeyHasher::with_seed(1);
    let mut table: KeyTable<Numbers> = KeyTable::new(hasher.clone());
    for key in [b"a", b"b"] {
        let numbers = Box::new(Numbers::new(Vec::new()));
        table.insert(hasher.hash(key), key, NewValue::Object(numbers), None);
    }
    let before = table.used_bytes();
    for (key, count) in [(b"a", 100), (b"b", 50), (b"a", 200)] {
        let mut entry = table.get_mut(hasher.hash(key), key).unwrap();
        *entry.object_mut().unwrap().0 = Vec::with_capacity(count);
    }
    assert_eq!(table.used_bytes(), before + 250 * 8);
    assert!(table.remove(hasher.hash(b"a"), b"a"));
    assert!(table.remove(hasher.hash(b"b"), b"b"));
    assert_eq!(table.used_bytes(), 0);
}

// A bit far behind the end: the zeros between come from the allocator, and are zeros all the same.
#[test]
fn a_string_grows_over_a_wide_gap() {
    let hasher = KeyHasher::with_seed(3);
    let mut table: KeyTable<Numbers> = KeyTable::new(hasher.clone());
    let hash = hasher.hash(b"key");
    let text = NewValue::Str {
        bytes: b"start",
        raw: false,
    };
    let mut entry = table.insert(hash, b"key", text, None);
    for length in [300, 200_000, 200_001, 3_000_000, 5_000_000] {
        let bytes = entry.string_mut(length);
        assert_eq!(bytes.len(), length);
        assert_eq!(&bytes[..5], b"start");
        assert!(
            bytes[5..length - 1]
                .iter()
                .all(|byte| *byte == 0 || *byte == 7)
        );
        bytes[length - 1] = 7;
    }
    let Value::Str { bytes, .. } = entry.value() else {
        panic!("a string");
    };
    assert_eq!(bytes.iter().filter(|byte| **byte == 7).count(), 5);
}
