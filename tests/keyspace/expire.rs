//! The expire cycle: what it removes, what it spends, what it measures; and INFO's figures of databases.

use crate::commands::runner::{Runner, START_MS};
use rondo::keyspace::DatabaseInfo;

/// 1,000 keys in two databases, half of them past their deadline: rounds of 100 steps remove exactly those.
#[test]
fn the_cycle_removes_what_is_past_its_deadline() {
    let mut runner = Runner::new(1);
    for db in [0, 3] {
        runner.db = db;
        for index in 0..250 {
            runner.say(&format!("SET stays:{index} v"));
            runner.say(&format!("SET late:{index} v PX 100000"));
            runner.say(&format!("SET goes:{index} v PX {}", 10 + index));
        }
    }
    runner.wait(300);
    let mut calls = 0;
    while runner.keys.stats().expired_keys < 500 {
        let spent = runner.keys.expire_cycle(100);
        assert!(
            spent <= 100 + 800,
            "a call spends about what it is given, not {spent}"
        );
        calls += 1;
        assert!(calls < 1000, "the cycle gets through");
    }
    for db in [0, 3] {
        assert_eq!(runner.keys.keys_count(db), 500);
        let info = runner.keys.database_info(db);
        assert_eq!((info.keys, info.expires), (500, 250));
        assert_eq!(info.avg_ttl_ms, 99_700);
    }
    let stats = *runner.keys.stats();
    assert_eq!(stats.expired_keys_active, 500);
    // Deadlines 10 to 259 ms after the start, found at 300: from 41 to 290 ms late.
    assert_eq!(stats.expire_lag_ms_max, 290);
    assert_eq!(stats.expire_lag_ms_sum, 2 * (41..=290).sum::<u64>());
    runner.keys.reset_stats();
    assert_eq!(runner.keys.stats().expired_keys, 0);
}

/// CLIENT PAUSE: keys past their deadline look gone to readers and stay until it ends, or until somebody writes.
#[test]
fn while_expiry_is_paused_nothing_is_removed() {
    let mut runner = Runner::new(1);
    for key in ["a", "b", "c", "d"] {
        runner.say(&format!("SET {key} v PX 10"));
    }
    runner.wait(20);
    runner.keys.set_expiry_paused(true);
    runner.keys.expire_cycle(1000);
    assert_eq!(runner.say("GET a"), "$-1");
    assert_eq!(runner.say("EXISTS a b"), ":0");
    assert_eq!(runner.say("TTL a"), ":-2");
    assert_eq!(runner.say("KEYS *"), "*0");
    assert!(runner.say("RANDOMKEY") != "$-1");
    assert_eq!(runner.say("DBSIZE"), ":4");
    // Writes that were under way when the pause began: one value for one key.
    assert_eq!(runner.say("GETSET b new"), "$-1");
    assert_eq!(runner.say("SETNX c new"), ":1");
    assert_eq!(runner.say("DBSIZE"), ":4");
    assert_eq!(runner.say("GET b"), "\"new\"");
    assert_eq!(runner.keys.stats().expired_keys, 2);
    runner.keys.set_expiry_paused(false);
    assert_eq!(runner.say("GET a"), "$-1");
    runner.keys.expire_cycle(1000);
    assert_eq!(runner.say("DBSIZE"), ":2");
    assert_eq!(runner.keys.stats().expired_keys, 4);
}

/// A key lives through the millisecond of its deadline, whoever looks.
#[test]
fn the_deadline_itself_is_still_alive() {
    let mut runner = Runner::new(1);
    runner.say(&format!("SET k v PXAT {}", START_MS + 10));
    runner.wait(10);
    runner.keys.expire_cycle(1000);
    assert_eq!(runner.say("PTTL k"), ":0");
    assert_eq!(runner.say("GET k"), "\"v\"");
    runner.wait(1);
    runner.keys.expire_cycle(1000);
    assert_eq!(runner.keys.keys_count(0), 0);
    assert_eq!(runner.keys.stats().expire_lag_ms_max, 1);
}

#[test]
fn without_deadlines_the_cycle_costs_nothing() {
    let mut runner = Runner::new(1);
    for index in 0..1000 {
        runner.say(&format!("SET k:{index} v"));
    }
    assert_eq!(runner.keys.expire_cycle(1_000_000), 0);
    assert_eq!(runner.keys.expire_cycle(0), 0);
}

/// What a stream remembers of producers that have fallen silent is given back, though nobody writes to it.
#[test]
fn requests_of_silent_producers_are_forgotten() {
    let mut runner = Runner::new(1);
    runner.say("XADD s 1-1 a b");
    runner.say("XCFGSET s IDMP-DURATION 1");
    let bytes = |runner: &mut Runner| -> u64 {
        let reply = runner.say("MEMORY USAGE s");
        reply[1..].parse().expect("a number")
    };
    let before = bytes(&mut runner);
    for number in 0..2_000 {
        runner.say(&format!("XADD s IDMP p{number} i MAXLEN 1 * a b"));
    }
    let most = bytes(&mut runner);
    assert!(most > before + 2_000 * 50, "{before} then {most}");
    // Only hashes with deadlines are shown, whatever else the cycle has to do.
    assert_eq!(runner.keys.database_info(0).dated_hashes, 0);
    runner.wait(1_000);
    runner.keys.expire_cycle(100_000);
    assert_eq!(runner.keys.stats().forgotten_requests, 0);
    runner.wait(1);
    let mut calls_count = 0;
    while runner.keys.stats().forgotten_requests < 2_000 {
        let before = runner.keys.stats().forgotten_requests;
        // What had just been looked at when its time came is looked at again after a second.
        runner.wait(100);
        runner.keys.expire_cycle(200);
        let count = runner.keys.stats().forgotten_requests - before;
        assert!(count <= 50, "{count} in one call");
        calls_count += 1;
        assert!(calls_count < 1_000, "the cycle gets through");
    }
    let after = bytes(&mut runner);
    assert!(after + 2_000 * 50 < most, "{most} then {after}");
    assert_eq!(runner.keys.expire_cycle(200), 0, "nothing is left to do");
    assert!(
        runner
            .say("XINFO STREAM s")
            .contains("\"iids-added\" :2000")
    );
    assert_eq!(runner.say("XLEN s"), ":1");
}

/// Hits, misses and lazy expiry are counted as Redis counts them: writes are neither hits nor misses.
#[test]
fn lookups_are_counted() {
    let mut runner = Runner::new(1);
    runner.say("SET k v PX 10");
    runner.say("GET k");
    runner.say("GET missing");
    runner.say("MGET k missing k");
    runner.say("SET k v XX PX 10");
    runner.say("APPEND k x");
    runner.say("MEMORY USAGE k");
    let stats = *runner.keys.stats();
    assert_eq!((stats.keyspace_hits, stats.keyspace_misses), (3, 2));
    runner.wait(20);
    runner.say("GET k");
    let stats = *runner.keys.stats();
    assert_eq!((stats.keyspace_hits, stats.keyspace_misses), (3, 3));
    assert_eq!((stats.expired_keys, stats.expired_keys_active), (1, 0));
    runner.say("SET k v PX 10");
    runner.wait(20);
    runner.say("SET k w");
    assert_eq!(runner.keys.stats().expired_keys, 2);
    assert_eq!(runner.say("GET k"), "\"w\"");
}

#[test]
fn figures_of_shards_add_up() {
    let mut sum = DatabaseInfo {
        keys: 10,
        expires: 2,
        dated_hashes: 1,
        avg_ttl_ms: 100,
    };
    sum.add(&DatabaseInfo {
        keys: 5,
        expires: 1,
        dated_hashes: 2,
        avg_ttl_ms: 400,
    });
    assert_eq!((sum.keys, sum.expires, sum.avg_ttl_ms), (15, 3, 200));
    let mut empty = DatabaseInfo::default();
    empty.add(&DatabaseInfo::default());
    assert_eq!(empty, DatabaseInfo::default());
}
