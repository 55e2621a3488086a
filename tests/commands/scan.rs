//! SCAN's walks: whole ones, under changes, filtered, over several shards.

use super::runner::{Runner, START_MS};
use super::transcript::reply_lines;
use rondo::base::rng::Rng;
use rondo::commands::scan::Cursor;
use rondo::keyspace::{KeyspaceOptions, SlotMap};
use std::collections::{BTreeMap, BTreeSet};

/// One SCAN call: the next cursor and the keys.
fn scan(runner: &mut Runner, cursor: &str, options: &str) -> (String, Vec<String>) {
    let reply = runner.say(&format!("SCAN {cursor} {options}"));
    let words: Vec<String> = reply.split(' ').map(str::to_string).collect();
    assert_eq!(words[0], "*2");
    let next = words[1].trim_matches('"').to_string();
    let keys = words[3..]
        .iter()
        .map(|key| key.trim_matches('"').to_string());
    (next, keys.collect())
}

/// A whole walk: how often each key came.
fn walk(runner: &mut Runner, options: &str) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    let mut cursor = "0".to_string();
    loop {
        let (next, keys) = scan(runner, &cursor, options);
        for key in keys {
            *seen.entry(key).or_insert(0) += 1;
        }
        if next == "0" {
            return seen;
        }
        cursor = next;
    }
}

/// Every key once, whatever COUNT; MATCH and TYPE choose among them.
#[test]
fn a_walk_returns_every_key_once() {
    let mut runner = Runner::new(2);
    for index in 0..2000 {
        runner.say(&format!("SET key:{index} {index}"));
    }
    for options in [
        "",
        "COUNT 1",
        "COUNT 7",
        "COUNT 500",
        "COUNT 100000",
        "MATCH *",
        "TYPE string",
        "TYPE STRING",
    ] {
        let seen = walk(&mut runner, options);
        assert_eq!(seen.len(), 2000, "{options}");
        assert!(seen.values().all(|&count| count == 1), "{options}");
    }
    let seen = walk(&mut runner, "MATCH key:1?? COUNT 50");
    assert_eq!(seen.len(), 100);
    assert_eq!(walk(&mut runner, "TYPE list").len(), 0);
    assert_eq!(walk(&mut runner, "TYPE nonsense").len(), 0);
    assert_eq!(scan(&mut runner, "+0000", "COUNT 1").1.len().min(1), 1);
    assert_eq!(walk(&mut Runner::new(2), "").len(), 0);
}

/// Keys that stay from the first call to the last come, while others come and go around them.
#[test]
fn a_walk_under_changes_misses_no_key_that_stays() {
    for seed in 0..5 {
        let mut runner = Runner::new(seed);
        let mut rng = Rng::with_seed(seed);
        for index in 0..500 {
            runner.say(&format!("SET stays:{index} v"));
        }
        let mut seen = BTreeSet::new();
        let mut cursor = "0".to_string();
        loop {
            let (next, keys) = scan(&mut runner, &cursor, "COUNT 5");
            seen.extend(keys.into_iter().filter(|key| key.starts_with("stays")));
            for _ in 0..40 {
                let index = rng.below(3000);
                match rng.below(3) {
                    0 => runner.say(&format!("DEL goes:{index}")),
                    _ => runner.say(&format!("SET goes:{index} v")),
                };
            }
            if next == "0" {
                break;
            }
            cursor = next;
        }
        assert_eq!(seen.len(), 500, "SEED={seed}");
    }
}

/// Keys past their deadline are not returned, and those that the pattern lets through are removed.
#[test]
fn a_walk_removes_expired_keys() {
    for options in ["", "TYPE string", "MATCH *"] {
        let mut runner = Runner::new(3);
        for index in 0..100 {
            runner.say(&format!("SET stays:{index} v"));
            runner.say(&format!("SET goes:{index} v PX 10"));
        }
        runner.wait(20);
        assert_eq!(runner.say("DBSIZE"), ":200");
        assert_eq!(walk(&mut runner, options).len(), 100);
        assert_eq!(runner.say("DBSIZE"), ":100");
        assert_eq!(runner.keys.stats().expired_keys, 100);
    }
}

/// A cursor names its shard; a walk goes through the shards one after the other.
#[test]
fn cursors_lead_from_shard_to_shard() {
    let slots = SlotMap::new(3);
    let mut shards: Vec<Runner> = (0..3)
        .map(|shard| {
            Runner::with_options(KeyspaceOptions {
                slots,
                shard,
                ..KeyspaceOptions::for_tests(4)
            })
        })
        .collect();
    for index in 0..600 {
        let key = format!("key:{index}");
        let shard = usize::from(slots.shard_of(key.as_bytes()));
        assert!(shards[shard].keys.owns(key.as_bytes()));
        shards[shard].say(&format!("SET {key} v"));
    }
    let mut seen = BTreeSet::new();
    let mut cursor = "0".to_string();
    loop {
        let shard = Cursor::parse(cursor.as_bytes(), 3)
            .expect("our own cursor")
            .shard;
        let (next, keys) = scan(&mut shards[usize::from(shard)], &cursor, "COUNT 20");
        for key in keys {
            assert!(seen.insert(key), "no key comes twice");
        }
        if next == "0" {
            break;
        }
        cursor = next;
    }
    assert_eq!(seen.len(), 600);
}

/// Any number is a cursor: a made-up one ends soon enough and breaks nothing.
#[test]
fn made_up_cursors_are_answered() {
    let mut runner = Runner::new(5);
    for index in 0..300 {
        runner.say(&format!("SET key:{index} v"));
    }
    let mut rng = Rng::with_seed(5);
    for _ in 0..1000 {
        let cursor = rng.next_u64() >> rng.below(64);
        let (_, keys) = scan(&mut runner, &cursor.to_string(), "");
        assert!(keys.len() <= 300);
    }
    scan(
        &mut runner,
        &u64::MAX.to_string(),
        "COUNT 9223372036854775807",
    );
}

/// KEYS sees every living key; RANDOMKEY finds each of them sooner or later and no other.
#[test]
fn keys_and_randomkey_see_living_keys() {
    let mut runner = Runner::new(6);
    for index in 0..50 {
        runner.say(&format!("SET stays:{index} v"));
        runner.say(&format!("SET goes:{index} v PX 10"));
    }
    runner.wait(20);
    let reply = reply_lines(&runner.run(&["KEYS", "*:*"]));
    assert_eq!(reply.len(), 51);
    let mut seen = BTreeSet::new();
    for _ in 0..2000 {
        seen.insert(runner.say("RANDOMKEY"));
    }
    assert_eq!(seen.len(), 50);
    assert!(seen.iter().all(|key| key.starts_with("\"stays:")));
    assert_eq!(runner.keys.now_ms(), START_MS + 20);
}

#[test]
fn arrays_are_found_by_their_type() {
    let mut runner = Runner::new(1);
    for index in 0..40 {
        runner.say(&format!("ARSET array:{index} {index} x"));
        runner.say(&format!("SET string:{index} x"));
    }
    let seen = walk(&mut runner, "TYPE array");
    assert_eq!(seen.len(), 40);
    assert!(seen.keys().all(|key| key.starts_with("array:")));
}
