//! Compaction between any two requests: two keyspaces are given the same requests, and one is moved about all the while.

use crate::commands::runner::Runner;
use crate::ds::{Random, size};
use rondo::ds::key_table::Compacted;
use rondo::ds::mover::Mover;
use rondo::keyspace::compact::{CompactionWalk, StepLimits};

const KEYS: usize = 3;

/// Requests that make collections of every type large and small again, and now and then one of another type.
pub(super) fn request(random: &mut Random, range: usize) -> Vec<String> {
    let number = random.below(range);
    let member = format!("m{number}:{}", "x".repeat(number * 31 % 90));
    let value = match random.below(3) {
        0 => number.to_string(),
        _ => "v".repeat(random.below(70) + usize::from(number.is_multiple_of(50)) * 3000),
    };
    let count = random.below(40).to_string();
    let key = random.below(KEYS);
    let of = |kind: &str| format!("{kind}:{key}");
    let id = format!("{}-1", number + 1);
    let words: Vec<String> = match random.below(34) {
        0 | 1 => vec!["SET".into(), of("string"), "s".repeat(number)],
        2 => vec!["APPEND".into(), of("string"), value],
        3..6 => vec!["SADD".into(), of("set"), member, value],
        6 => vec!["SREM".into(), of("set"), member],
        7 => vec!["SADD".into(), of("integers"), number.to_string()],
        8..10 => vec!["HSET".into(), of("hash"), member, value],
        10 => vec!["HDEL".into(), of("hash"), member],
        11 => ["HEXPIRE", &of("hash"), "100000", "FIELDS", "1", &member]
            .map(String::from)
            .into(),
        12 => ["HPERSIST", &of("hash"), "FIELDS", "1", &member]
            .map(String::from)
            .into(),
        13..17 => vec!["ZADD".into(), of("zset"), (number % 97).to_string(), member],
        17 => vec!["ZREM".into(), of("zset"), member],
        18 => vec!["ZPOPMIN".into(), of("zset"), count],
        19..21 => vec!["RPUSH".into(), of("list"), member, value],
        21 => vec!["LPUSH".into(), of("list"), value],
        22 => vec!["LSET".into(), of("list"), count, value],
        23 => vec!["LTRIM".into(), of("list"), count, "-3".into()],
        24 => vec![
            "ARSET".into(),
            of("array"),
            (number * number).to_string(),
            value,
        ],
        25 => vec!["ARDEL".into(), of("array"), (number * number).to_string()],
        26..29 => vec!["XADD".into(), of("stream"), "*".into(), "f".into(), value],
        29 => [
            "XGROUP",
            "CREATE",
            &of("stream"),
            &format!("g{}", number % 3),
            "0",
        ]
        .map(String::from)
        .into(),
        30 => [
            "XCLAIM",
            &of("stream"),
            "g1",
            &format!("c{}", number % 5),
            "0",
            &id,
            "FORCE",
        ]
        .map(String::from)
        .into(),
        31 => vec!["XDEL".into(), of("stream"), id],
        32 if random.below(8) == 0 => {
            let kinds = ["set", "hash", "zset", "list", "stream", "string"];
            let (from, to) = (kinds[random.below(6)], kinds[random.below(6)]);
            vec!["RENAME".into(), of(from), of(to)]
        }
        _ if random.below(100) == 0 => vec![
            "DEL".into(),
            of(["set", "hash", "zset", "list"][number % 4]),
        ],
        _ => vec![
            "XTRIM".into(),
            of("stream"),
            "MAXLEN".into(),
            (range / 2).to_string(),
        ],
    };
    words
}

/// What is there, in an order of its own: tables with equal hash bits give theirs in the order of addresses.
fn picture(runner: &mut Runner) -> Vec<String> {
    let mut lines = Vec::new();
    for kind in [
        "string", "set", "integers", "hash", "zset", "list", "array", "stream",
    ] {
        for key in 0..KEYS {
            let key = format!("{kind}:{key}");
            for command in [
                format!("GET {key}"),
                format!("SMEMBERS {key}"),
                format!("HGETALL {key}"),
                format!("HPEXPIRETIME {key} FIELDS 2 m1: m2:"),
                format!("ZRANGE {key} 0 -1 WITHSCORES"),
                format!("LRANGE {key} 0 -1"),
                format!("ARGETRANGE {key} 0 999"),
                format!("XRANGE {key} - +"),
                format!("XINFO STREAM {key} FULL COUNT 0"),
                format!("OBJECT ENCODING {key}"),
                format!("MEMORY USAGE {key} SAMPLES 0"),
            ] {
                let reply = runner.say(&command);
                let mut words: Vec<&str> = reply.split(' ').collect();
                words.sort_unstable();
                lines.push(format!("{command}: {}", words.join(" ")));
            }
        }
    }
    lines
}

#[test]
fn what_moves_stays_the_same_whatever_is_done_to_it_meanwhile() {
    for seed in 0..size(1, 6) as u64 {
        let mut random = Random(seed);
        let (mut still, mut moved) = (Runner::new(seed), Runner::new(seed));
        let mut walk = CompactionWalk::default();
        let (mut walks_count, mut pieces_count, mut sum) = (0, 0, Compacted::default());
        let range = [30, 600, 3000][seed as usize % 3];
        for round in 0..size(300, 20_000) {
            let words = request(&mut random, range);
            assert_eq!(
                still.run(&words),
                moved.run(&words),
                "SEED={seed} round {round}: {words:?}"
            );
            // Now and then many steps, so that walks end; most steps are short, so that requests fall in between.
            let steps = if random.below(50) == 0 {
                40
            } else {
                random.below(2)
            };
            for _ in 0..steps {
                let part = random.below(4);
                let is_sparse = |block: *const u8| (block.addr() >> 5) % 3 < part;
                let mut mover = Mover::of_blocks(&is_sparse, 1 + random.below(200), 20_000);
                match moved.keys.compact_step_by(&mut walk, 90, &mut mover) {
                    Some(done) => {
                        sum.looked_count += done.looked_count;
                        sum.moved_count += done.moved_count;
                        sum.moved_bytes += done.moved_bytes;
                        pieces_count += usize::from(done.moved_bytes > 0 && done.moved_count == 0);
                    }
                    None => walks_count += 1,
                }
                assert_eq!(
                    still.keys.used_bytes(),
                    moved.keys.used_bytes(),
                    "SEED={seed}"
                );
            }
        }
        assert_eq!(picture(&mut still), picture(&mut moved), "SEED={seed}");
        if size(0, 1) == 1 {
            assert!(walks_count > 1, "SEED={seed}: {walks_count} walks");
            assert!(
                sum.moved_count > 100 && sum.moved_bytes > 100_000,
                "SEED={seed}: {sum:?}"
            );
            assert!(pieces_count > 10, "SEED={seed}: none moved in pieces");
        }
    }
}

/// A few keys of each of many sizes, of which most go: what is left of a size is one span, and takes little more than its keys
/// after a walk.
#[test]
fn a_walk_leaves_no_lone_span_mostly_free() {
    let mut runner = Runner::new(5);
    let sizes = (0..size(2, 12)).map(|number| 100 + number * 30);
    let keys_count = |bytes: usize| 60_000 / (bytes + 40);
    for bytes in sizes.clone() {
        for number in 0..keys_count(bytes) {
            runner.say(&format!("SET key:{bytes}:{number} {}", "v".repeat(bytes)));
        }
        for number in (0..keys_count(bytes)).filter(|number| number % 4 > 0) {
            runner.say(&format!("DEL key:{bytes}:{number}"));
        }
    }
    let before = runner.keys.slack_bytes();
    let mut walk = CompactionWalk::default();
    let limits = StepLimits {
        percent: 50,
        looks_max: 1000,
    };
    let mut moved_count = 0;
    while let Some(done) = runner.keys.compact_step(&mut walk, limits) {
        moved_count += done.moved_count;
    }
    let after = runner.keys.slack_bytes();
    assert!(moved_count > 0 && after * 3 < before, "{after} of {before}");
    for bytes in sizes {
        for number in (0..keys_count(bytes)).step_by(4) {
            let value = runner.say(&format!("GET key:{bytes}:{number}"));
            assert!(value.contains(&"v".repeat(bytes)), "key:{bytes}:{number}");
        }
    }
}
