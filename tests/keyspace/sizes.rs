//! Sizes of keys, which are counted at every change: always what a walk over all keys counts.

use super::compact;
use crate::commands::runner::Runner;
use crate::ds::{Random, size};
use rondo::ds::key_table::Value;
use rondo::ds::mover::Mover;
use rondo::keyspace::compact::CompactionWalk;
use rondo::keyspace::evict::EvictionPolicy;
use rondo::keyspace::{Keyspace, Object, Sizes};

/// What a walk over all keys counts, their values' bytes by kind compared on the way, by database up to the last that has keys.
fn walked(keys: &Keyspace) -> Vec<Sizes> {
    let mut all = Vec::new();
    for db in 0..keys.databases_count() {
        let mut sizes = Sizes::default();
        let (mut counts, mut values) = ([0; 7], [0; 7]);
        let mut position = 0;
        loop {
            position = keys.scan(db, position, &mut |entry| {
                let (kind, size) = match entry.value() {
                    Value::Int(number) => (0, number.to_string().len()),
                    Value::Str { bytes, .. } => (0, bytes.len()),
                    Value::Object(Object::List(list)) => (1, list.len()),
                    Value::Object(Object::Set(set)) => (2, set.len()),
                    Value::Object(Object::Zset(zset)) => (3, zset.len()),
                    Value::Object(Object::Hash(hash)) => (4, hash.len()),
                    Value::Object(Object::Stream(_)) => (5, 0),
                    Value::Object(Object::Array(_)) => (6, 0),
                };
                sizes.count(kind, size);
                values[kind] += entry.value_bytes();
                counts[kind] += 1;
            });
            if position == 0 {
                break;
            }
        }
        let (counted, bytes) = keys.kinds(db);
        assert_eq!((counted, bytes.values), (counts, values), "database {db}");
        all.push(sizes);
    }
    while all.last() == Some(&Sizes::default()) {
        all.pop();
    }
    all
}

/// Fails where the counts are not those of a walk.
pub fn assert_sizes(keys: &Keyspace, place: impl FnOnce() -> String) {
    let (counted, walked) = (keys.sizes(), walked(keys));
    assert!(
        counted == walked,
        "{}\n  counted {counted:?}\n  walked  {walked:?}",
        place()
    );
}

/// Every kind in its bins, strings by their length and integers by their text.
#[test]
fn sizes_are_counted_by_powers_of_two() {
    let mut runner = Runner::new(5);
    for line in [
        "RPUSH l 1 2 3",
        "SADD s a",
        "ZADD z 1 a 2 b",
        "HSET h f v",
        "SET i 12345",
        "SET n -1234567",
        "SET least -9223372036854775808",
        "SET e ''",
        "XADD x * f v",
        "SETRANGE long 1000000 a",
    ] {
        assert!(!runner.say(line).starts_with('-'), "{line}");
    }
    for index in 0..3000 {
        runner.say(&format!("SET key:{index} 12345678"));
    }
    let sizes = runner.keys.sizes();
    let counts = |kind: usize| sizes[0].of(kind).collect::<Vec<_>>();
    assert_eq!(
        counts(0),
        [(0, 1), (4, 1), (8, 3001), (16, 1), (1 << 19, 1)]
    );
    assert_eq!(counts(1), [(2, 1)]);
    assert_eq!(counts(2), [(1, 1)]);
    assert_eq!(counts(3), [(2, 1)]);
    assert_eq!(counts(4), [(1, 1)]);
    assert_eq!(sizes.len(), 1);
}

/// The bin of an integer is that of its text.
#[test]
fn integers_are_counted_as_their_text() {
    let powers = (0..19).map(|power| 10_i64.pow(power));
    for number in powers.flat_map(|power| [power - 1, power, 9 * power.min(i64::MAX / 9)]) {
        for number in [number, -number, i64::MIN + number] {
            let mut runner = Runner::new(1);
            runner.run(&["SET".to_string(), "a".to_string(), number.to_string()]);
            assert_sizes(&runner.keys, || number.to_string());
        }
    }
}

/// Random requests, deadlines of keys and fields, eviction, compaction, snapshots, databases emptied and exchanged.
#[test]
fn counts_are_those_of_a_walk_whatever_is_done() {
    for seed in 0..size(1, 8) as u64 {
        let mut random = Random(seed);
        let mut runner = Runner::new(seed);
        let mut walk = CompactionWalk::default();
        let range = [30, 600, 3000][seed as usize % 3];
        for round in 0..size(200, 8_000) {
            let done = step(&mut random, &mut runner, &mut walk, range);
            assert_sizes(&runner.keys, || {
                format!("SEED={seed} round {round}: {done}")
            });
        }
    }
}

/// Changes something; returns what.
fn step(
    random: &mut Random,
    runner: &mut Runner,
    walk: &mut CompactionWalk,
    range: usize,
) -> String {
    let kinds = [
        "string", "integers", "set", "hash", "zset", "list", "stream", "array",
    ];
    let key = format!("{}:{}", kinds[random.below(8)], random.below(3));
    let other = format!("{}:{}", kinds[random.below(8)], random.below(3));
    let number = random.below(range);
    match random.below(120) {
        0 => {
            let db = random.below(3);
            runner.db = db;
            format!("database {db}")
        }
        1 => {
            let (first, second) = (random.below(3), random.below(3));
            runner.keys.swap_databases(first, second);
            format!("SWAPDB {first} {second}")
        }
        2 if random.below(20) == 0 => {
            runner.keys.flush_database(runner.db);
            "FLUSHDB".into()
        }
        3 if random.below(20) == 0 => {
            runner.keys.flush_all();
            "FLUSHALL".into()
        }
        4 => format!("garbage {}", runner.keys.free_garbage(number)),
        5..9 => {
            runner.wait(number as i64);
            format!("wait {number}")
        }
        9..12 => format!("cycle {}", runner.keys.expire_cycle(1000)),
        12 if random.below(4) == 0 => {
            let policy = EvictionPolicy::of_name("allkeys-random").expect("a policy");
            let victim = runner.keys.choose_victim(policy, 5, &|_| false);
            let is_gone = victim.is_some_and(|victim| runner.keys.evict(&victim));
            format!("evict {is_gone}")
        }
        13 if !runner.keys.has_cut() => {
            runner.keys.cut(true);
            "cut".into()
        }
        14..18 if runner.keys.has_cut() => {
            format!("cut step {}", runner.keys.cut_step(300, &mut Vec::new()))
        }
        18..22 => {
            let is_sparse = |block: *const u8| (block.addr() >> 5).is_multiple_of(3);
            let mut mover = Mover::of_blocks(&is_sparse, 1 + random.below(200), 20_000);
            let is_on = runner.keys.compact_step_by(walk, 90, &mut mover).is_some();
            format!("compaction {is_on}")
        }
        22..25 => {
            // As between shards and databases.
            let (from, to) = (runner.keys.key(key.as_bytes()), other.as_bytes());
            let Some(moved) = runner.keys.take_value(runner.db, &from) else {
                return "nothing to move".into();
            };
            let to = runner.keys.key(to);
            let put = runner.keys.put_value(random.below(3), &to, moved, true);
            format!("{key} moves to {other}: {put}")
        }
        kind => {
            let words: Vec<String> = match kind {
                25 => vec!["DEL".into(), key],
                26..30 => vec!["PEXPIRE".into(), key, number.to_string()],
                30 => vec!["PERSIST".into(), key],
                31 => vec!["GET".into(), key],
                32 => vec![
                    "INCRBY".into(),
                    format!("integer:{}", number % 5),
                    "9".repeat(1 + number % 12),
                ],
                33 => vec![
                    "SETRANGE".into(),
                    "string:1".into(),
                    number.to_string(),
                    "x".into(),
                ],
                34 => vec![
                    "SETBIT".into(),
                    "string:2".into(),
                    (number * 9).to_string(),
                    "1".into(),
                ],
                35 => vec![
                    "PFADD".into(),
                    format!("sketch:{}", number % 2),
                    number.to_string(),
                ],
                36 => vec!["COPY".into(), key, other, "REPLACE".into()],
                37..41 => ["HPEXPIRE", &key, "50", "FIELDS", "1", "x"]
                    .map(String::from)
                    .into(),
                41..44 => [
                    "HSETEX",
                    "hash:1",
                    "PX",
                    "40",
                    "FIELDS",
                    "1",
                    &number.to_string(),
                    "v",
                ]
                .map(String::from)
                .into(),
                44 => vec!["HGETALL".into(), key],
                45 => vec!["SPOP".into(), key, (number % 50).to_string()],
                46 => vec!["LPOP".into(), key, (number % 50).to_string()],
                47..50 => vec!["SET".into(), key, "s".repeat(number % 500)],
                50 => vec!["SET".into(), key, number.to_string()],
                51 => ["SUNIONSTORE", "set:1", "set:0", "set:2"]
                    .map(String::from)
                    .into(),
                52 => ["ZRANGESTORE", "zset:0", "zset:1", "0", "9"]
                    .map(String::from)
                    .into(),
                _ => compact::request(random, range),
            };
            runner.run(&words);
            words.join(" ")
        }
    }
}
