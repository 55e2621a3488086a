//! Hashes against a plain map, in every encoding; fields that die, on access and by the cycle.

use crate::commands::runner::Runner;
use crate::ds::{Random, chi_square, size};
use crate::keyspace::rdb::{check_damage, dumped};
use rondo::base::rng::Rng;
use rondo::ds::key_table::HeapSize;
use rondo::keyspace::hash::{FieldDeadline, Found};
use rondo::keyspace::{EncodingLimits, Hash};
use std::collections::{BTreeMap, BTreeSet};

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn is_dead(deadline_ms: Option<i64>, now_ms: i64) -> bool {
    deadline_ms.is_some_and(|deadline_ms| deadline_ms < now_ms)
}

fn check(hash: &Hash, model: &Model, now_ms: i64, seed: u64) {
    assert_eq!(hash.len(), model.len(), "SEED={seed}");
    let mut walked = Model::new();
    hash.walk(|field, found| {
        walked.insert(field.to_vec(), (found.value.to_vec(), found.deadline_ms));
    });
    assert_eq!(walked, *model, "SEED={seed}");
    let first_ms = model
        .values()
        .filter_map(|(_, deadline_ms)| *deadline_ms)
        .min();
    assert_eq!(hash.next_deadline_ms(), first_ms, "SEED={seed}");
    let alive: BTreeSet<&Vec<u8>> = model
        .iter()
        .filter(|(_, (_, deadline_ms))| !is_dead(*deadline_ms, now_ms))
        .map(|(field, _)| field)
        .collect();
    assert_eq!(hash.alive_len(now_ms), alive.len(), "SEED={seed}");
    let mut scanned = BTreeSet::new();
    let mut cursor = 0;
    loop {
        cursor = hash.scan(cursor, 3, now_ms, |field, _| {
            scanned.insert(field.to_vec());
        });
        if cursor == 0 {
            break;
        }
    }
    assert!(scanned.iter().eq(alive.iter().copied()), "SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let one = hash.random(now_ms, &mut rng);
    let one_of_many = hash.urn(now_ms, 100).draw(&mut rng);
    for drawn in [one, one_of_many] {
        assert_eq!(drawn.is_none(), alive.is_empty(), "SEED={seed}");
        if let Some((field, value)) = drawn {
            let (field, value) = (field.to_vec(), value.to_vec());
            assert!(alive.contains(&field), "SEED={seed}");
            assert_eq!(model[&field].0, value, "SEED={seed}");
        }
    }
    if let Some((pack, true)) = hash.listpack() {
        let deadlines: Vec<i64> = pack
            .iter()
            .skip(2)
            .step_by(3)
            .map(|element| element.integer().expect("a deadline"))
            .map(|deadline_ms| {
                if deadline_ms == 0 {
                    i64::MAX
                } else {
                    deadline_ms
                }
            })
            .collect();
        assert!(deadlines.is_sorted(), "SEED={seed}: {deadlines:?}");
        assert!(Hash::from_listpack(pack.clone(), true).is_some() || model.is_empty());
    }
}

#[test]
fn every_change_does_to_a_hash_what_it_does_to_a_map() {
    for seed in 0..size(2, 60) as u64 {
        let mut random = Random(seed);
        let limits = EncodingLimits {
            hash_max_listpack_entries: [4, 64, 1000][random.below(3)],
            ..EncodingLimits::default()
        };
        let mut hash = Hash::new();
        let mut model = Model::new();
        let mut now_ms = 1000;
        for _ in 0..size(40, 400) {
            let field = random.below(80).to_string().into_bytes();
            let value = match random.below(4) {
                0 => random.next().to_string().into_bytes(),
                1 if seed % 2 == 1 => vec![b'v'; 60 + random.below(10)],
                _ => vec![b'a'; random.below(20)],
            };
            match random.below(8) {
                0..3 => {
                    let deadline = [FieldDeadline::Drop, FieldDeadline::Keep][random.below(2)];
                    let is_new = hash.set(&field, value.as_slice(), deadline, &limits);
                    let kept = match deadline {
                        FieldDeadline::Drop => None,
                        FieldDeadline::Keep => model.get(&field).and_then(|(_, at_ms)| *at_ms),
                    };
                    let old = model.insert(field, (value, kept));
                    assert_eq!(is_new, old.is_none(), "SEED={seed}");
                }
                3 => {
                    let was_there = model.remove(&field).is_some();
                    assert_eq!(hash.remove(&field), was_there, "SEED={seed}");
                }
                4 | 5 => {
                    let at_ms = now_ms + random.below(300) as i64;
                    let deadline_ms = (random.below(4) > 0).then_some(at_ms);
                    let is_set = hash.set_deadline(&field, deadline_ms);
                    assert_eq!(is_set, model.contains_key(&field), "SEED={seed}");
                    if let Some(entry) = model.get_mut(&field) {
                        entry.1 = deadline_ms;
                    }
                }
                6 => {
                    now_ms += random.below(60) as i64;
                    let max = 1 + random.below(5);
                    let dead_count = model
                        .values()
                        .filter(|(_, deadline_ms)| is_dead(*deadline_ms, now_ms))
                        .count();
                    let count = hash.expire(now_ms, max);
                    assert_eq!(count, dead_count.min(max), "SEED={seed}");
                    model.retain(|field, (_, deadline_ms)| {
                        !is_dead(*deadline_ms, now_ms) || hash.find_any(field).is_some()
                    });
                }
                _ => match (hash.find(&field, now_ms), model.get(&field)) {
                    (Found::Missing, found) => assert_eq!(found, None, "SEED={seed}"),
                    (Found::Dead, found) => {
                        let (_, deadline_ms) = found.expect("a dead field is there");
                        assert!(is_dead(*deadline_ms, now_ms), "SEED={seed}");
                    }
                    (Found::Alive(found), expected) => {
                        let got = (found.value.to_vec(), found.deadline_ms);
                        assert_eq!(Some(&got), expected, "SEED={seed}");
                        assert!(!is_dead(got.1, now_ms), "SEED={seed}");
                    }
                },
            }
            check(&hash, &model, now_ms, seed);
        }
        let mut copy = hash.clone();
        check(&copy, &model, now_ms, seed);
        while !copy.free_step(3) {}
        check(&hash, &model, now_ms, seed);
        assert!(hash.heap_bytes() > 0 || hash.is_empty());
    }
}

// Chi-square of fields, and of pairs of one and the next: from listpacks and tables, among few and very many dead fields, by urns for
// few draws, which seek, and for many.
#[test]
fn every_living_field_is_as_likely_whatever_was_drawn_before() {
    let limits = EncodingLimits::default();
    let many_dead = size(200, 500);
    for (dead_count, is_table) in [
        (0, false),
        (30, false),
        (0, true),
        (7, true),
        (many_dead, true),
    ] {
        let mut hash = Hash::new();
        if is_table {
            hash.make_table();
        }
        let living = (0..10).map(|number| (number.to_string(), None));
        let dead = (0..dead_count).map(|number| (format!("dead{number}"), Some(999)));
        for (field, deadline_ms) in living.chain(dead) {
            let (field, value) = (field.as_bytes(), b"v".as_slice());
            hash.set(field, value, FieldDeadline::Drop, &limits);
            hash.set_deadline(field, deadline_ms);
        }
        assert_eq!(hash.listpack().is_none(), is_table);
        for draws_count in [1, 4, 5, 100] {
            let mut rng = Rng::with_seed(draws_count);
            let (mut ones, mut pairs) = ([0_u32; 10], [0_u32; 100]);
            let mut before: Option<usize> = None;
            for _ in 0..size(500, 20_000) as u64 / draws_count {
                let mut urn = hash.urn(1_000, draws_count);
                for _ in 0..draws_count {
                    let (field, _) = urn.draw(&mut rng).expect("ten live");
                    let number = field.integer().expect("a living field") as usize;
                    ones[number] += 1;
                    before = match before {
                        Some(other) => {
                            pairs[10 * other + number] += 1;
                            None
                        }
                        None => Some(number),
                    };
                }
            }
            let context = format!("{dead_count} dead, table {is_table}, {draws_count} draws");
            // One in a million is above these, and the seed is fixed.
            assert!(chi_square(&ones) < 45.0, "{context}: {ones:?}");
            assert!(chi_square(&pairs) < 181.0, "{context}: {pairs:?}");
        }
    }
}

/// In a listpack and in a table: the cycle removes what has died, and keys with their last field.
#[test]
fn the_cycle_removes_fields_whose_time_has_come() {
    let long = "v".repeat(65);
    for value in ["v", long.as_str()] {
        let mut runner = Runner::new(1);
        for key in 0..300 {
            let key = format!("key{key}");
            runner.run(&["HSET", &key, "a", "1", "b", value]);
            runner.run(&["HPEXPIRE", &key, "100", "FIELDS", "1", "a"]);
        }
        for key in 0..100 {
            let key = format!("key{key}");
            runner.run(&["HPEXPIRE", &key, "150", "FIELDS", "1", "b"]);
        }
        assert_eq!(runner.keys.database_info(0).dated_hashes, 300);
        let cycle = |runner: &mut Runner| {
            while runner.keys.expire_cycle(500) >= 500 {}
        };
        runner.wait(100);
        cycle(&mut runner);
        assert_eq!(runner.say("HLEN key0"), ":2");
        runner.wait(1);
        cycle(&mut runner);
        assert_eq!(runner.keys.stats().expired_fields, 300);
        assert_eq!(runner.say("HLEN key0"), ":1");
        assert_eq!(runner.keys.database_info(0).dated_hashes, 100);
        runner.wait(100);
        cycle(&mut runner);
        assert_eq!(runner.keys.stats().expired_fields, 400);
        assert_eq!(runner.keys.keys_count(0), 200);
        assert_eq!(runner.keys.database_info(0).dated_hashes, 0);
        assert_eq!(runner.keys.stats().expired_keys, 0);
    }
}

/// A large hash dies in several visits, each of which does a bounded part.
#[test]
fn a_large_hash_expires_in_steps() {
    let mut runner = Runner::new(1);
    let fields: Vec<String> = (0..5_000).map(|field| format!("field{field}")).collect();
    for field in &fields {
        runner.run(&["HSET", "key", field, "v"]);
        runner.run(&["HPEXPIRE", "key", "100", "FIELDS", "1", field]);
    }
    runner.wait(200);
    let mut visits_count = 0;
    while runner.keys.keys_count(0) > 0 {
        assert!(runner.keys.expire_cycle(10) < 2_000);
        visits_count += 1;
        assert!(visits_count < 1_000);
    }
    assert!(visits_count > 10);
    assert_eq!(runner.keys.stats().expired_fields, 5_000);
}

/// The figure follows hashes wherever they go.
#[test]
fn hashes_with_deadlines_are_counted() {
    let mut runner = Runner::new(1);
    let counts = |runner: &mut Runner| [0, 1].map(|db| runner.keys.database_info(db).dated_hashes);
    let steps = [
        ("HSET h a 1 b 2", [0, 0]),
        ("HEXPIRE h 100 FIELDS 1 nope", [0, 0]),
        ("HEXPIRE h 100 FIELDS 1 a", [1, 0]),
        ("COPY h g", [2, 0]),
        ("RENAME g f", [2, 0]),
        ("MOVE f 1", [1, 1]),
        ("HPERSIST h FIELDS 1 a", [0, 1]),
        ("HEXPIRE h 100 FIELDS 2 a b", [1, 1]),
        ("HDEL h a", [1, 1]),
        ("HGETDEL h FIELDS 1 b", [0, 1]),
        ("SWAPDB 0 1", [1, 0]),
        ("SET f plain", [0, 0]),
        ("HSETEX h EX 100 FIELDS 1 a 1", [1, 0]),
        ("FLUSHALL", [0, 0]),
    ];
    for (request, expected) in steps {
        runner.say(request);
        assert_eq!(counts(&mut runner), expected, "{request}");
    }
}

/// While expiry is paused dead fields are not seen, and stay.
#[test]
fn a_pause_keeps_dead_fields() {
    let mut runner = Runner::new(1);
    runner.say("HSET h a 1 b 2");
    runner.say("HPEXPIRE h 10 FIELDS 1 a");
    runner.wait(20);
    runner.keys.set_expiry_paused(true);
    assert_eq!(runner.say("HGET h a"), "$-1");
    assert_eq!(runner.say("HGETALL h"), "*2 \"b\" \"2\"");
    assert_eq!(runner.say("HLEN h"), ":2");
    runner.keys.set_expiry_paused(false);
    assert_eq!(runner.say("HGET h a"), "$-1");
    assert_eq!(runner.say("HLEN h"), ":1");
    assert_eq!(runner.keys.stats().expired_fields, 1);
}

/// Payloads of every layout come back as they were, and damage never panics.
#[test]
fn payloads_come_back() {
    let long = "v".repeat(65);
    let layouts: [&[&str]; 4] = [
        &["HSET h a 1 b two 3 x"],
        &["HSET h a 1 b two", "HPEXPIREAT h 33177117420000 FIELDS 1 b"],
        &["HSET h a 1 b LONG"],
        &[
            "HSET h a 1 b LONG c 3",
            "HPEXPIREAT h 33177117420000 FIELDS 2 a b",
        ],
    ];
    for requests in layouts {
        let mut runner = Runner::new(1);
        for request in requests {
            runner.say(&request.replace("LONG", &long));
        }
        let bytes = dumped(&mut runner, "h");
        runner.run(&[b"RESTORE".as_slice(), b"again", b"0", &bytes]);
        for question in [
            "HPEXPIRETIME KEY FIELDS 3 a b c",
            "HMGET KEY a b c 3",
            "OBJECT ENCODING KEY",
        ] {
            let ask = |runner: &mut Runner, key| runner.say(&question.replace("KEY", key));
            assert_eq!(
                ask(&mut runner, "again"),
                ask(&mut runner, "h"),
                "{requests:?}"
            );
        }
        check_damage(&bytes);
    }
}

/// A limit that was lowered counts for the next value, whether its field is new or not; what only removes changes nothing.
#[test]
fn a_lowered_limit_counts_with_the_next_value() {
    for (request, encoding) in [
        ("HSET h a 9", "hashtable"),
        ("HMSET h a 1", "hashtable"),
        ("HINCRBY h a 1", "hashtable"),
        ("HINCRBYFLOAT h a 1", "hashtable"),
        ("HSETEX h FIELDS 1 a 1", "hashtable"),
        ("HSETNX h a 1", "listpack"),
        ("HDEL h a", "listpack"),
        ("HGETEX h EX 100 FIELDS 1 a", "listpackex"),
    ] {
        let mut runner = Runner::new(1);
        runner.say("HSET h a 1 b 2 c 3");
        let limits = EncodingLimits {
            hash_max_listpack_entries: 1,
            ..EncodingLimits::default()
        };
        runner.keys.set_limits(limits);
        runner.say(request);
        let got = runner.say("OBJECT ENCODING h");
        assert_eq!(got, format!("\"{encoding}\""), "{request}");
        assert_eq!(runner.say("HMGET h b c"), "*2 \"2\" \"3\"", "{request}");
    }
}
