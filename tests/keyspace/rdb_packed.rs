//! Listpacks of sets, hashes and sorted sets in payloads, as any writer may have put them: what is kept as it is, what is written
//! anew and what is refused, against the rules on plain vectors.

use super::rdb::{check_damage, payload};
use rondo::base::number::{F64_TEXT_BYTES_MAX, parse_f64, parse_i64, write_f64};
use rondo::base::rng::Rng;
use rondo::ds::key_table::{HeapSize, OwnedValue};
use rondo::ds::listpack::Listpack;
use rondo::keyspace::hash::DEADLINE_MS_MAX;
use rondo::keyspace::rdb::{Refused, restore};
use rondo::keyspace::set::{Probe, Set};
use rondo::keyspace::zset::sort_members;
use rondo::keyspace::{Collection, EncodingLimits, Hash, Object, Zset};
use std::collections::{BTreeMap, BTreeSet};

/// Types of payloads.
const SET: u8 = 20;
const HASH: u8 = 16;
const HASH_DATED_EARLY: u8 = 23;
const HASH_DATED: u8 = 25;
const ZSET: u8 = 17;
const ZSET_TWO: u8 = 5;

/// An element as its writer put it: nobody keeps one from writing an integer's digits as a string.
#[derive(Clone, Debug, PartialEq)]
enum Raw {
    Int(i64),
    Text(Vec<u8>),
}

impl Raw {
    fn text(&self) -> Vec<u8> {
        match self {
            Self::Int(number) => number.to_string().into_bytes(),
            Self::Text(text) => text.clone(),
        }
    }

    /// The same element the other way, where there is one.
    fn other(&self) -> Self {
        match self {
            Self::Int(_) => Self::Text(self.text()),
            Self::Text(text) => Self::own(text),
        }
    }

    /// As Redis and we write it.
    fn own(text: &[u8]) -> Self {
        match parse_i64(text) {
            Some(number) => Self::Int(number),
            None => Self::Text(text.to_vec()),
        }
    }

    /// The entry, in the shortest form where `slack` is 0, else in one so many longer.
    fn entry(&self, slack: u64) -> Vec<u8> {
        let mut forms = Vec::new();
        match self {
            Self::Int(number) => {
                let bytes = number.to_le_bytes();
                if (0..=127).contains(number) {
                    forms.push(vec![bytes[0]]);
                }
                if (-4096..=4095).contains(number) {
                    forms.push(vec![0xc0 | (bytes[1] & 0x1f), bytes[0]]);
                }
                for (tag, width) in [(0xf1_u8, 2_usize), (0xf2, 3), (0xf3, 4), (0xf4, 8)] {
                    let bound = 1_i128 << (8 * width - 1);
                    if (-bound..bound).contains(&i128::from(*number)) {
                        forms.push([&[tag][..], &bytes[..width]].concat());
                    }
                }
            }
            Self::Text(text) => {
                let length = text.len();
                if length < 64 {
                    forms.push([&[0x80 | length as u8][..], text].concat());
                }
                let head = [0xe0 | (length >> 8) as u8, length as u8];
                forms.push([&head[..], text].concat());
                forms.push([&[0xf0_u8][..], &(length as u32).to_le_bytes(), text].concat());
            }
        }
        let mut entry = forms.swap_remove((slack as usize).min(forms.len() - 1));
        let length = entry.len();
        assert!(length < 4096, "texts here are short");
        if length < 128 {
            entry.push(length as u8);
        } else {
            entry.extend([(length >> 7) as u8, 0x80 | (length & 0x7f) as u8]);
        }
        entry
    }
}

/// A listpack of these elements. Where it `is_odd`, some are longer than need be, and the count may be missing.
fn listpack(rng: &mut Rng, elements: &[Raw], is_odd: bool) -> Vec<u8> {
    let entries: Vec<u8> = elements
        .iter()
        .flat_map(|element| element.entry(if is_odd { rng.below(8) } else { 0 }))
        .collect();
    let count = match is_odd && rng.below(4) == 0 {
        true => u16::MAX,
        false => elements.len() as u16,
    };
    let mut bytes = (entries.len() as u32 + 7).to_le_bytes().to_vec();
    bytes.extend(count.to_le_bytes());
    bytes.extend(entries);
    bytes.push(0xff);
    bytes
}

/// A string of a payload, its length in five bytes.
fn string(bytes: &[u8]) -> Vec<u8> {
    [&[0x80_u8][..], &(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

/// A payload's type and value.
fn body(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], value].concat()
}

/// The object in a payload; none where it is refused.
fn restored(body: &[u8], limits: &EncodingLimits) -> Option<Box<Object>> {
    match restore(&payload(body), true, limits) {
        Ok(OwnedValue::Object(object)) => Some(object),
        Ok(_) => panic!("no payload here is a string"),
        Err(refused) => {
            assert_eq!(refused, Refused::Value);
            None
        }
    }
}

/// So few or so many that the thresholds are met, and so that a search for duplicates needs all its sizes.
fn some_count(rng: &mut Rng) -> usize {
    match rng.below(12) {
        0 => 0,
        1 => 64 + rng.below(2) as usize,
        2 => 512 + rng.below(2) as usize,
        3 => 600 + rng.below(500) as usize,
        4..7 => 60 + rng.below(200) as usize,
        _ => 1 + rng.below(30) as usize,
    }
}

/// Different texts, integers among them, and what nearly is one.
fn texts(rng: &mut Rng, count: usize) -> Vec<Vec<u8>> {
    let mut seen = BTreeSet::new();
    let mut texts = Vec::new();
    while texts.len() < count {
        let number = rng.below(8 * count as u64) as i64 - count as i64;
        let text = match rng.below(8) {
            0 => format!("0{number}"),
            1 => format!("{number}.0"),
            2 => (number << rng.below(40)).to_string(),
            3 => "x".repeat(rng.below(200) as usize),
            4 | 5 => number.to_string(),
            _ => format!("m{number}"),
        };
        let text = text.into_bytes();
        if seen.insert(text.clone()) {
            texts.push(text);
        }
    }
    texts
}

/// Texts as elements. Where it `is_odd`, some integers are written as strings.
fn raws(rng: &mut Rng, texts: &[Vec<u8>], is_odd: bool) -> Vec<Raw> {
    let raw = |text: &Vec<u8>| match is_odd && rng.below(4) == 0 {
        true => Raw::Text(text.clone()),
        false => Raw::own(text),
    };
    texts.iter().map(raw).collect()
}

/// Puts one element there a second time, in one way or the other.
fn add_twin(rng: &mut Rng, elements: &mut Vec<Raw>) {
    if elements.is_empty() {
        return;
    }
    let twin = &elements[rng.below(elements.len() as u64) as usize];
    let twin = match rng.below(2) {
        0 => twin.other(),
        _ => twin.clone(),
    };
    let at = rng.below(elements.len() as u64 + 1) as usize;
    elements.insert(at, twin);
}

/// How many of these are different, by their text.
fn different_count<'r>(elements: impl Iterator<Item = &'r Raw>) -> usize {
    elements.map(Raw::text).collect::<BTreeSet<_>>().len()
}

/// A listpack within the limit is the set's, byte for byte; more members make a table.
#[test]
fn packed_sets_are_kept_as_they_are() {
    let (mut kept_count, mut tables_count, mut refused_count) = (0_u32, 0_u32, 0_u32);
    for seed in 0..400 {
        let mut rng = Rng::with_seed(seed);
        let limits = EncodingLimits {
            set_max_listpack_entries: [0, 20, 128, 2000][rng.below(4) as usize],
            ..EncodingLimits::default()
        };
        let count = some_count(&mut rng);
        let texts = texts(&mut rng, count);
        let is_odd = rng.below(2) == 0;
        let mut members = raws(&mut rng, &texts, is_odd);
        if rng.below(3) == 0 {
            add_twin(&mut rng, &mut members);
        }
        let pack = listpack(&mut rng, &members, is_odd);
        let object = restored(&body(SET, &string(&pack)), &limits);
        let is_wrong = members.is_empty() || different_count(members.iter()) < members.len();
        assert_eq!(object.is_none(), is_wrong, "SEED={seed}");
        let Some(object) = object else {
            refused_count += 1;
            continue;
        };
        let set = Set::of(&object).expect("a set");
        let is_large = members.len() > limits.set_max_listpack_entries;
        assert_eq!(set.is_table(), is_large, "SEED={seed}");
        let mut expected = Set::table();
        for member in &members {
            expected.add(&Probe::new(&member.text()), &limits);
        }
        if !is_large {
            let pack = Listpack::from_bytes(&pack).expect("it was taken");
            expected = Set::from_pack(pack);
        }
        let bytes = |set: &Set| set.as_pack().map(|pack| pack.as_bytes().to_vec());
        assert_eq!(bytes(set), bytes(&expected), "SEED={seed}");
        assert_eq!(set.heap_bytes(), expected.heap_bytes(), "SEED={seed}");
        let mut found = BTreeSet::new();
        set.each(|member| assert!(found.insert(member.to_vec()), "SEED={seed}"));
        assert!(found.iter().eq(texts.iter().collect::<BTreeSet<_>>()));
        kept_count += u32::from(!is_large);
        tables_count += u32::from(is_large);
    }
    let least = kept_count.min(tables_count).min(refused_count);
    assert!(least > 50, "{kept_count} {tables_count} {refused_count}");
}

/// Deadlines in the order that a listpack of triples has; where it `is_wrong`, one is none, or not in its place.
fn deadlines(rng: &mut Rng, count: usize, is_wrong: bool) -> Vec<Raw> {
    let mut deadlines: Vec<i64> = (0..count).map(|_| rng.below(60) as i64).collect();
    deadlines.sort_by_key(|deadline_ms| match deadline_ms {
        0 => i64::MAX,
        deadline_ms => *deadline_ms,
    });
    let mut raws: Vec<Raw> = deadlines.into_iter().map(Raw::Int).collect();
    if is_wrong && count > 0 {
        let at = rng.below(count as u64) as usize;
        raws[at] = match rng.below(5) {
            0 => Raw::Int(-1),
            1 => Raw::Int(DEADLINE_MS_MAX + 1),
            2 => Raw::Int(DEADLINE_MS_MAX),
            3 => raws[at].other(),
            _ => Raw::Int(0),
        };
    }
    raws
}

fn are_deadlines(deadlines: &[Raw]) -> bool {
    let order = |deadline: &Raw| match deadline {
        Raw::Int(0) => Some(i64::MAX),
        Raw::Int(deadline_ms @ 1..=DEADLINE_MS_MAX) => Some(*deadline_ms),
        Raw::Int(_) | Raw::Text(_) => None,
    };
    let orders: Option<Vec<i64>> = deadlines.iter().map(order).collect();
    orders.is_some_and(|orders| orders.is_sorted())
}

/// A listpack within the limit is the hash's, byte for byte; more fields make a table.
#[test]
fn packed_hashes_are_kept_as_they_are() {
    let (mut kept_count, mut tables_count, mut refused_count) = (0_u32, 0_u32, 0_u32);
    for seed in 0..600 {
        let mut rng = Rng::with_seed(seed);
        let limits = EncodingLimits {
            hash_max_listpack_entries: [0, 20, 512, 2000][rng.below(4) as usize],
            ..EncodingLimits::default()
        };
        let count = some_count(&mut rng);
        let texts = texts(&mut rng, count);
        let is_odd = rng.below(2) == 0;
        let mut fields = raws(&mut rng, &texts, is_odd);
        if rng.below(4) == 0 {
            add_twin(&mut rng, &mut fields);
        }
        let kind = [HASH, HASH_DATED_EARLY, HASH_DATED][rng.below(3) as usize];
        let is_wrong = rng.below(4) == 0;
        let deadlines = match kind {
            HASH => vec![Raw::Int(0); fields.len()],
            _ => deadlines(&mut rng, fields.len(), is_wrong),
        };
        let mut elements = Vec::new();
        let mut expected = BTreeMap::new();
        for (field, deadline) in fields.iter().zip(&deadlines) {
            // Values may be the same as fields and as each other.
            let value = fields[rng.below(fields.len() as u64) as usize].clone();
            let deadline_ms = match deadline {
                Raw::Int(0) | Raw::Text(_) => None,
                Raw::Int(deadline_ms) => Some(*deadline_ms),
            };
            expected.insert(field.text(), (value.text(), deadline_ms));
            elements.extend([field.clone(), value]);
            elements.extend((kind != HASH).then(|| deadline.clone()));
        }
        let is_cut = rng.below(8) == 0 && elements.pop().is_some();
        let is_right = !fields.is_empty()
            && !is_cut
            && expected.len() == fields.len()
            && are_deadlines(&deadlines);

        let pack = listpack(&mut rng, &elements, is_odd);
        let first_ms: &[u8] = if kind == HASH_DATED { &[0; 8] } else { &[] };
        let value = [first_ms, &string(&pack)].concat();
        let object = restored(&body(kind, &value), &limits);
        assert_eq!(object.is_some(), is_right, "SEED={seed}");
        let Some(object) = object else {
            refused_count += 1;
            continue;
        };
        let hash = Hash::of(&object).expect("a hash");
        let is_large = fields.len() > limits.hash_max_listpack_entries;
        match hash.listpack() {
            Some((kept, is_dated)) => {
                assert!(!is_large, "SEED={seed}");
                assert_eq!(is_dated, kind != HASH, "SEED={seed}");
                assert_eq!(kept.as_bytes(), pack, "SEED={seed}");
                assert_eq!(hash.heap_bytes(), kept.heap_bytes(), "SEED={seed}");
                kept_count += 1;
            }
            None => {
                assert!(is_large, "SEED={seed}");
                tables_count += 1;
            }
        }
        let mut found = BTreeMap::new();
        hash.walk(|field, value| {
            let value = (value.value.to_vec(), value.deadline_ms);
            found.insert(field.to_vec(), value);
        });
        assert_eq!(found, expected, "SEED={seed}");
    }
    let least = kept_count.min(tables_count).min(refused_count);
    assert!(least > 50, "{kept_count} {tables_count} {refused_count}");
}

/// Few enough to be shared by members.
const SCORES: [f64; 18] = [
    0.0,
    1.0,
    -1.0,
    127.0,
    128.0,
    -5000.0,
    70_000.0,
    9_007_199_254_740_994.0,
    4.611_686_018_427_388e18,
    4.7e18,
    0.5,
    0.1,
    -3.75,
    1.25e-7,
    3.333_333_333_333_333_5,
    1e300,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

/// Scores that no set keeps as they are, and some that are none.
const ODD_SCORES: [&str; 18] = [
    "nan",
    "-nan",
    "",
    " 5",
    "5 ",
    "1e999",
    "3.0",
    "+5",
    "007",
    "1e2",
    "0x1p3",
    "-0",
    "-0.0",
    "0.50",
    "INF",
    "Infinity",
    "0.10000000000000001",
    "5e18",
];

/// A score as a set keeps it.
fn own_score(score: f64) -> Raw {
    if score.abs() <= 4.6e18 && score.trunc() == score {
        return Raw::Int(score as i64);
    }
    Raw::own(write_f64(&mut [0; F64_TEXT_BYTES_MAX], score))
}

/// Members and scores as a set of today's rules has them: sorted and written one by one.
fn written_anew(mut members: Vec<(f64, Vec<u8>)>, limits: &EncodingLimits) -> Option<Zset> {
    let different: BTreeSet<Vec<u8>> = members.iter().map(|(_, text)| text.clone()).collect();
    let has_nan = members.iter().any(|(score, _)| score.is_nan());
    if members.is_empty() || has_nan || different.len() < members.len() {
        return None;
    }
    sort_members(&mut members);
    Some(Zset::from_sorted(&members, limits))
}

/// The same of elements in turn.
fn of_elements(elements: &[Raw], limits: &EncodingLimits) -> Option<Zset> {
    if !elements.len().is_multiple_of(2) {
        return None;
    }
    let mut members = Vec::new();
    for pair in elements.chunks(2) {
        let score = match &pair[1] {
            Raw::Int(number) => *number as f64,
            Raw::Text(text) => parse_f64(text)?,
        };
        members.push((score, pair[0].text()));
    }
    written_anew(members, limits)
}

/// Whether both are refused or alike to the last bit.
fn check_zset(object: Option<&Object>, expected: Option<&Zset>, seed: u64) {
    assert_eq!(object.is_some(), expected.is_some(), "SEED={seed}");
    let (Some(object), Some(expected)) = (object, expected) else {
        return;
    };
    let set = Zset::of(object).expect("a sorted set");
    let bytes = |set: &Zset| set.as_listpack().map(|pack| pack.as_bytes().to_vec());
    assert_eq!(bytes(set), bytes(expected), "SEED={seed}");
    assert_eq!(set.heap_bytes(), expected.heap_bytes(), "SEED={seed}");
    let members = |set: &Zset| -> Vec<(Vec<u8>, u64)> {
        let pairs = set.iter();
        pairs
            .map(|(member, score)| (member.to_vec(), score.to_bits()))
            .collect()
    };
    assert_eq!(members(set), members(expected), "SEED={seed}");
}

fn zset_limits(rng: &mut Rng) -> EncodingLimits {
    EncodingLimits {
        zset_max_listpack_entries: [0, 20, 128, 2000][rng.below(4) as usize],
        zset_max_listpack_value: [8, 300, 300, 300][rng.below(4) as usize],
        ..EncodingLimits::default()
    }
}

/// In order and as a set has it, or out of order, with entries of any form, twins and scores that are none: the set is always
/// what sorting and writing anew makes of it.
#[test]
fn packed_sorted_sets_are_what_writing_them_anew_makes() {
    let (mut kept_count, mut changed_count, mut trees_count, mut refused_count) = (0, 0, 0, 0);
    for seed in 0..1000 {
        let mut rng = Rng::with_seed(seed);
        let limits = zset_limits(&mut rng);
        let count = some_count(&mut rng);
        let texts = texts(&mut rng, count);
        let scores_count = 1 + rng.below(SCORES.len() as u64);
        let mut members: Vec<(f64, Vec<u8>)> = texts
            .into_iter()
            .map(|text| (SCORES[rng.below(scores_count) as usize], text))
            .collect();
        sort_members(&mut members);
        let is_odd = rng.below(3) == 0;
        let mut elements = Vec::new();
        for (score, text) in &members {
            elements.extend(raws(&mut rng, std::slice::from_ref(text), is_odd));
            elements.push(own_score(*score));
        }
        // At most two faults, so that each is met alone as well.
        for _ in 0..rng.below(3) {
            let len = elements.len() as u64;
            if len < 2 {
                break;
            }
            let (one, other) = (rng.below(len / 2) as usize, rng.below(len / 2) as usize);
            match rng.below(6) {
                0 => {
                    elements.swap(2 * one, 2 * other);
                    elements.swap(2 * one + 1, 2 * other + 1);
                }
                1 => elements.swap(2 * one, 2 * other),
                2 => elements[2 * one] = elements[2 * other].other(),
                3 => {
                    let text = ODD_SCORES[rng.below(ODD_SCORES.len() as u64) as usize];
                    elements[2 * one + 1] = Raw::Text(text.as_bytes().to_vec());
                }
                4 => elements[2 * one + 1] = elements[2 * one + 1].other(),
                _ => {
                    elements.pop();
                }
            }
        }
        let pack = listpack(&mut rng, &elements, is_odd);
        let object = restored(&body(ZSET, &string(&pack)), &limits);
        let expected = of_elements(&elements, &limits);
        check_zset(object.as_deref(), expected.as_ref(), seed);
        match expected.as_ref().map(Zset::as_listpack) {
            None => refused_count += 1,
            Some(None) => trees_count += 1,
            Some(Some(kept)) if kept.as_bytes() == pack => kept_count += 1,
            Some(Some(_)) => changed_count += 1,
        }
    }
    let counts = [kept_count, changed_count, trees_count, refused_count];
    assert!(counts.iter().all(|count| *count > 30), "{counts:?}");
}

/// What other writers may do, one thing at a time, where chance might not meet it.
#[test]
fn sorted_sets_of_other_writers_are_written_anew() {
    let limits = EncodingLimits::default();
    let int = Raw::Int;
    let text = |text: &str| Raw::Text(text.as_bytes().to_vec());
    let long = text(&"y".repeat(64));
    let cases: [(&str, Vec<(Raw, u64)>); 12] = [
        (
            "kept",
            vec![(int(7), 0), (int(1), 0), (text("a"), 0), (int(1), 0)],
        ),
        ("digits as a string", vec![(text("7"), 0), (int(1), 0)]),
        ("a wide integer", vec![(int(7), 1), (int(1), 0)]),
        ("a wide string", vec![(text("a"), 1), (int(1), 0)]),
        ("a very wide string", vec![(long, 1), (int(1), 0)]),
        ("a score's digits", vec![(text("a"), 0), (text("1"), 0)]),
        ("a wide score", vec![(text("a"), 0), (int(1), 1)]),
        ("a score of zeros", vec![(text("a"), 0), (text("0.50"), 0)]),
        ("minus zero", vec![(text("a"), 0), (text("-0"), 0)]),
        ("no double", vec![(text("a"), 0), (int((1 << 53) + 1), 0)]),
        (
            "no integer",
            vec![(text("a"), 0), (int(5_000_000_000_000_000_000), 0)],
        ),
        (
            "equal scores",
            vec![(text("b"), 0), (int(1), 0), (text("a"), 0), (int(1), 0)],
        ),
    ];
    for (name, entries) in cases {
        let elements: Vec<Raw> = entries.iter().map(|(raw, _)| raw.clone()).collect();
        let bytes: Vec<u8> = entries
            .iter()
            .flat_map(|(raw, slack)| raw.entry(*slack))
            .collect();
        let mut pack = (bytes.len() as u32 + 7).to_le_bytes().to_vec();
        pack.extend((elements.len() as u16).to_le_bytes());
        pack.extend(bytes);
        pack.push(0xff);
        let object = restored(&body(ZSET, &string(&pack)), &limits);
        let expected = of_elements(&elements, &limits);
        assert!(expected.is_some(), "{name}");
        check_zset(object.as_deref(), expected.as_ref(), 0);
    }
    // A count that says nothing is put right.
    let uncounted = b"\x0b\0\0\0\xff\xff\x81a\x02\x01\x01\xff";
    let mut uncounted = uncounted.to_vec();
    uncounted[0] = uncounted.len() as u8;
    let object = restored(&body(ZSET, &string(&uncounted)), &limits);
    let expected = of_elements(&[text("a"), int(1)], &limits);
    assert!(expected.is_some());
    check_zset(object.as_deref(), expected.as_ref(), 0);
}

/// Members with their scores one by one, in any order.
#[test]
fn listed_sorted_sets_have_members_once() {
    let mut refused_count = 0;
    for seed in 0..300 {
        let mut rng = Rng::with_seed(seed);
        let limits = zset_limits(&mut rng);
        let count = some_count(&mut rng);
        let mut members: Vec<(f64, Vec<u8>)> = texts(&mut rng, count)
            .into_iter()
            .map(|text| (SCORES[rng.below(SCORES.len() as u64) as usize], text))
            .collect();
        if let [first, .., last] = &mut members[..] {
            match rng.below(4) {
                0 => last.1.clone_from(&first.1),
                1 => first.0 = f64::NAN,
                _ => first.0 = -0.0,
            }
        }
        let mut value = vec![0x80_u8];
        value.extend((members.len() as u32).to_be_bytes());
        for (score, text) in &members {
            value.extend(string(text));
            value.extend(score.to_le_bytes());
        }
        let object = restored(&body(ZSET_TWO, &value), &limits);
        let expected = written_anew(members, &limits);
        check_zset(object.as_deref(), expected.as_ref(), seed);
        refused_count += u32::from(expected.is_none());
    }
    assert!((50..250).contains(&refused_count), "{refused_count}");
}

#[test]
fn damaged_listpacks_are_refused_or_read() {
    let text = |text: &str| Raw::Text(text.as_bytes().to_vec());
    let mut rng = Rng::with_seed(1);
    let pairs = [
        text("7"),
        Raw::Int(-300),
        text("abc"),
        text("0.5"),
        Raw::Int(12),
        text("inf"),
    ];
    let triples = [
        text("a"),
        text("one"),
        Raw::Int(1_700_000_000_500),
        Raw::Int(5),
        text("5"),
        Raw::Int(0),
    ];
    for is_odd in [false, true] {
        let pack = string(&listpack(&mut rng, &pairs, is_odd));
        for kind in [ZSET, HASH, SET] {
            check_damage(&payload(&body(kind, &pack)));
        }
        let pack = string(&listpack(&mut rng, &triples, is_odd));
        let value = [&[0; 8][..], &pack].concat();
        check_damage(&payload(&body(HASH_DATED, &value)));
    }
}
