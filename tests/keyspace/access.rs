//! LRU and LFU clocks, by the policy alone and through commands.

use crate::commands::runner::Runner;
use rondo::base::rng::Rng;
use rondo::keyspace::AccessPolicy;

fn policy(name: &str) -> AccessPolicy {
    let mut policy = AccessPolicy::default();
    assert!(policy.set_name(name));
    policy
}

#[test]
fn policies_are_known_by_name() {
    let mut policy = AccessPolicy::default();
    assert_eq!(policy.name(), "noeviction");
    assert!(!policy.set_name("allkeys-mru"));
    assert_eq!(policy.name(), "noeviction");
    assert!(policy.set_name("Volatile-LFU"));
    assert_eq!(policy.name(), "volatile-lfu");
    assert!(policy.is_lfu());
}

/// Redis 8.0.6 reports one reference where a policy and a `maxmemory` make it tell keys apart.
#[test]
fn small_integers_are_shared_unless_each_use_counts() {
    for (name, has_limit, count) in [
        ("noeviction", true, ":2147483647\r\n"),
        ("allkeys-random", true, ":2147483647\r\n"),
        ("allkeys-lru", false, ":2147483647\r\n"),
        ("allkeys-lru", true, ":1\r\n"),
        ("volatile-lfu", true, ":1\r\n"),
    ] {
        let mut runner = Runner::new(3);
        let mut policy = policy(name);
        policy.has_limit = has_limit;
        runner.keys.set_access_policy(policy);
        runner.run(&["SET", "key", "7"]);
        let reply = runner.run(&["OBJECT", "REFCOUNT", "key"]);
        assert_eq!(reply, count.as_bytes(), "{name}, limit {has_limit}");
    }
}

/// The clock of seconds wraps after 194 days; across the wrap idle time is a second short, as in Redis.
#[test]
fn idle_time_survives_the_wrap() {
    let policy = policy("allkeys-lru");
    let second = (1 << 24) * 1000;
    assert_eq!(policy.clock(second - 1000), (1 << 24) - 1);
    assert_eq!(policy.clock(second + 4000), 4);
    assert_eq!(policy.idle_seconds(100, 160), 60);
    assert_eq!(policy.idle_seconds((1 << 24) - 11, 5), 15);
}

/// A counter starts at 5, grows ever more slowly, and loses one a minute.
#[test]
fn frequency_is_logarithmic_and_decays() {
    let mut policy = policy("allkeys-lfu");
    let mut rng = Rng::with_seed(1);
    let fresh = policy.fresh(1000);
    assert_eq!(policy.frequency(fresh, 1000), 5);
    let mut access = fresh;
    let mut at = Vec::new();
    for hits in 1..=100_000 {
        access = policy.touched(access, 1000, &mut rng);
        if [1, 100, 1000, 100_000].contains(&hits) {
            at.push(policy.frequency(access, 1000));
        }
    }
    // Redis's documentation has 10, 18 and 142 for 100, 1,000 and 100,000 hits at factor 10.
    assert_eq!(at[0], 6);
    assert!((6..=13).contains(&at[1]), "{at:?}");
    assert!((14..=22).contains(&at[2]), "{at:?}");
    assert!((130..=155).contains(&at[3]), "{at:?}");
    assert_eq!(policy.frequency(access, 1010), at[3] - 10);
    assert_eq!(policy.frequency(access, 2000), 0);
    policy.lfu_decay_minutes = 0;
    assert_eq!(policy.frequency(access, 2000), at[3]);
    policy.lfu_log_factor = 0;
    assert_eq!(
        policy.frequency(policy.touched(fresh, 1000, &mut rng), 1000),
        6
    );
    let full = 1000 << 8 | 255;
    assert_eq!(policy.touched(full, 1000, &mut rng), full);
}

/// What counts as a use: reads and writes, not questions about the key, and nothing under CLIENT NO-TOUCH but TOUCH.
#[test]
fn commands_move_the_clock_where_redis_moves_it() {
    let mut runner = Runner::new(1);
    runner.say("SET k v EX 1000");
    runner.wait(10_000);
    for quiet in [
        "EXISTS k",
        "TTL k",
        "TYPE k",
        "OBJECT ENCODING k",
        "MEMORY USAGE k",
        "SCAN 0",
        "KEYS *",
    ] {
        runner.say(quiet);
        assert_eq!(runner.say("OBJECT IDLETIME k"), ":10", "{quiet}");
    }
    for loud in [
        "GET k",
        "TOUCH k",
        "APPEND k x",
        "EXPIRE k 500",
        "SET k v",
        "STRLEN k",
        "MGET k",
        "PERSIST k",
    ] {
        runner.say(loud);
        assert_eq!(runner.say("OBJECT IDLETIME k"), ":0", "{loud}");
        runner.wait(10_000);
        assert_eq!(runner.say("OBJECT IDLETIME k"), ":10", "{loud}");
    }
    runner.no_touch = true;
    for quiet in ["GET k", "APPEND k x", "SET k v", "STRLEN k", "MGET k"] {
        runner.say(quiet);
        assert_eq!(runner.say("OBJECT IDLETIME k"), ":10", "{quiet}");
    }
    runner.say("TOUCH k");
    assert_eq!(runner.say("OBJECT IDLETIME k"), ":0");
}

/// Under LRM what is read keeps its place; what is changed, and what is new, comes first. Copies of the clock in a file too.
#[test]
fn under_lrm_only_changes_move_the_clock() {
    for name in ["allkeys-lrm", "volatile-lrm"] {
        let mut runner = Runner::new(1);
        runner.keys.set_access_policy(policy(name));
        runner.say("SET k v EX 1000");
        runner.say("RPUSH l a b");
        runner.wait(10_000);
        for quiet in [
            "GET k", "TOUCH k", "STRLEN k", "MGET k", "TTL k", "EXISTS k",
        ] {
            runner.say(quiet);
            assert_eq!(runner.say("OBJECT IDLETIME k"), ":10", "{quiet}");
        }
        runner.say("LRANGE l 0 -1");
        assert_eq!(runner.say("OBJECT IDLETIME l"), ":10");
        for loud in ["APPEND k x", "SET k v", "SETRANGE k 0 w", "EXPIRE k 500"] {
            runner.say(loud);
            assert_eq!(runner.say("OBJECT IDLETIME k"), ":0", "{loud}");
            runner.wait(10_000);
            assert_eq!(runner.say("OBJECT IDLETIME k"), ":10", "{loud}");
        }
        runner.say("RPUSH l c");
        assert_eq!(runner.say("OBJECT IDLETIME l"), ":0");
    }
}

#[test]
fn object_freq_counts_uses() {
    let mut runner = Runner::new(1);
    runner.keys.set_access_policy(policy("volatile-lfu"));
    runner.say("SET k v");
    assert_eq!(runner.say("OBJECT FREQ k"), ":5");
    runner.say("GET k");
    assert_eq!(runner.say("OBJECT FREQ k"), ":6");
    runner.wait(3 * 60_000);
    assert_eq!(runner.say("OBJECT FREQ k"), ":3");
}
