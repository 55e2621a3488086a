use rondo::ds::key_table::NewValue;
use rondo::keyspace::{Deadline, Keyspace, KeyspaceOptions};
use rondo::shard::{CycleBudget, Shard};

const NOW_MS: i64 = 1_700_000_000_000;
const BUDGET: CycleBudget = CycleBudget {
    expire_steps: 4_096,
    garbage_steps: 1_024,
};

/// A shard with this many keys, those with an even number dying after `ttl_ms`.
fn shard(keys_count: usize, ttl_ms: i64) -> Shard {
    let mut shard = Shard::new(0, Keyspace::new(KeyspaceOptions::for_tests(3)));
    shard.set_now(NOW_MS);
    for number in 0..keys_count {
        let name = format!("key:{number}");
        let key = shard.keys.key(name.as_bytes());
        let deadline = if number % 2 == 0 {
            Deadline::At(NOW_MS + ttl_ms)
        } else {
            Deadline::Drop
        };
        let value = NewValue::Int(number as i64);
        shard.keys.set(0, &key, value, deadline, false);
    }
    shard
}

#[test]
fn everything_that_has_expired_goes_in_bounded_steps() {
    let mut shard = shard(100_000, 1_000);
    assert!(!shard.cycle(BUDGET), "nothing is dead yet");
    assert_eq!(shard.keys.keys_count(0), 100_000);
    shard.set_now(NOW_MS + 1_500);
    let mut calls_count = 0;
    loop {
        let before = shard.keys.stats().expire_cycle_steps;
        let has_more = shard.cycle(BUDGET);
        let spent = shard.keys.stats().expire_cycle_steps - before;
        // A segment is swept whole, so a call may go over by one of them.
        assert!(spent <= 4_096 + 1_000, "{spent} steps in one call");
        calls_count += 1;
        if !has_more && shard.keys.keys_count(0) == 50_000 {
            break;
        }
        assert!(
            calls_count < 200,
            "{} keys are left",
            shard.keys.keys_count(0)
        );
    }
    assert_eq!(shard.keys.stats().expired_keys_active, 50_000);
    assert_eq!(shard.keys.stats().expire_lag_ms_max, 500);
}

#[test]
fn a_quiet_shard_looks_around_a_little_and_asks_for_no_more() {
    let mut shard = shard(100_000, 1_000_000);
    for _ in 0..100 {
        let before = shard.keys.stats().expire_cycle_steps;
        assert!(!shard.cycle(BUDGET));
        let spent = shard.keys.stats().expire_cycle_steps - before;
        assert!(spent <= 4_096 / 32 + 16, "{spent} steps in a quiet call");
    }
}

#[test]
fn a_shard_without_deadlines_spends_nothing() {
    let mut shard = shard(0, 0);
    assert!(!shard.cycle(BUDGET));
    assert_eq!(shard.keys.stats().expire_cycle_steps, 0);
}

#[test]
fn a_flushed_database_is_freed_in_parts() {
    let mut shard = shard(0, 0);
    for number in 0..20_000 {
        let name = format!("key:{number}");
        let key = shard.keys.key(name.as_bytes());
        // Large enough to be freed one by one.
        let value = NewValue::Str {
            bytes: &[b'x'; 2_000],
            raw: false,
        };
        shard.keys.set(0, &key, value, Deadline::Drop, false);
    }
    assert_eq!(shard.keys.flush_database(0), 20_000);
    let mut calls_count = 1;
    while shard.cycle(BUDGET) {
        calls_count += 1;
        assert!(calls_count < 1_000, "it is freed some day");
    }
    assert!(calls_count > 10, "not all at once: {calls_count} calls");
    assert_eq!(shard.keys.garbage_bytes(), 0);
}
