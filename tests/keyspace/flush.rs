//! Flushed databases: gone at once, freed step by step.

use crate::commands::runner::Runner;
use rondo::commands::table::Patience;

#[test]
fn flushed_keys_are_gone_and_their_memory_follows() {
    let mut runner = Runner::new(1);
    let empty_bytes = runner.keys.used_bytes();
    for index in 0..1000 {
        runner.run(&["SET", &format!("key:{index}"), &"x".repeat(index)]);
    }
    let full_bytes = runner.keys.used_bytes();
    assert!(full_bytes > empty_bytes + 500_000, "{full_bytes}");
    let (reply, changes) = runner.run_counting(&["FLUSHALL", "ASYNC"]);
    assert_eq!((reply.as_slice(), changes), (b"+OK\r\n".as_slice(), 1000));
    assert_eq!(runner.say("DBSIZE"), ":0");
    assert_eq!(runner.keys.garbage_count(), 1000);
    assert!(runner.keys.garbage_bytes() > 500_000);
    assert!(runner.keys.used_bytes() >= runner.keys.garbage_bytes());
    runner.say("SET key:1 new");
    let mut steps = 0;
    while !runner.keys.free_garbage(50) {
        steps += 1;
        assert!(steps <= 1000, "freeing comes to an end");
    }
    assert!(steps > 5, "and not in one step: {steps}");
    assert_eq!(runner.keys.garbage_bytes(), 0);
    assert_eq!(runner.keys.stats().lazyfreed_objects, 1000);
    assert!(runner.keys.used_bytes() < full_bytes / 4);
    assert_eq!(runner.say("GET key:1"), "\"new\"");
    assert!(runner.keys.free_garbage(1));
}

/// Not when most of the keys have gone: whoever puts them elsewhere would need memory for all of them twice.
#[test]
fn what_taken_keys_leave_is_freed_as_they_go() {
    let mut runner = Runner::new(1);
    let value = "x".repeat(100);
    for index in 0..30_000 {
        runner.run(&["SET", &format!("key:{index}"), &value]);
    }
    let mut taken_bytes = 0;
    let is_wanted = |key: &[u8]| key.last().is_some_and(|digit| b"1357".contains(digit));
    runner.keys.drain_some(0, &is_wanted, |key, _| {
        taken_bytes += key.len() + value.len();
    });
    assert!(taken_bytes > 1_200_000, "{taken_bytes}");
    let left = runner.keys.slack_bytes();
    assert!(left < taken_bytes * 3 / 4, "{left} of {taken_bytes}");
    assert_eq!(runner.say("DBSIZE"), ":18000");
    assert_eq!(runner.say("STRLEN key:29998"), ":100");
    assert_eq!(runner.say("EXISTS key:29997"), ":0");
}

/// What is small is freed before the reply of SYNC, in however many databases; what is large only begins to be.
#[test]
fn sync_frees_what_is_small_at_once() {
    let mut runner = Runner::new(1);
    for db in [0, 5] {
        runner.db = db;
        for index in 0..300 {
            runner.say(&format!("SET key:{index} v"));
        }
    }
    assert_eq!(runner.say("FLUSHALL"), "+OK");
    assert_eq!(runner.keys.garbage_count(), 0);
    assert_eq!(runner.keys.stats().lazyfreed_objects, 600);
    // Too long for their entries: these are freed one by one.
    let value = "x".repeat(3_000);
    for index in 0..20_000 {
        runner.run(&["SET", &format!("key:{index}"), &value]);
    }
    assert_eq!(runner.say("FLUSHDB SYNC"), "+OK");
    assert_eq!(runner.keys.garbage_count(), 20_000);
    assert_eq!(runner.keys.stats().lazyfreed_objects, 600);
    while !runner.keys.free_garbage(1000) {}
    assert_eq!(runner.keys.stats().lazyfreed_objects, 20_600);
}

/// Where the client cannot wait, as within a block, nothing was freed behind its back.
#[test]
fn what_a_block_frees_is_not_freed_lazily() {
    let mut runner = Runner::new(1);
    runner.patience = Patience::Denied;
    runner.say("MSET x 11 y 22");
    assert_eq!(runner.say("FLUSHALL"), "+OK");
    assert_eq!(runner.keys.garbage_count(), 0);
    assert_eq!(runner.keys.stats().lazyfreed_objects, 0);
}

/// A pipeline of copies would pile up what each replaces.
#[test]
fn what_a_copy_replaces_goes_with_it() {
    let mut runner = Runner::new(1);
    let value = "x".repeat(5_000);
    // A node each.
    for _ in 0..300 {
        runner.run(&["RPUSH", "from", &value]);
    }
    assert_eq!(runner.say("COPY from to"), ":1");
    let both_bytes = runner.keys.used_bytes();
    for _ in 0..5 {
        assert_eq!(runner.say("COPY from to REPLACE"), ":1");
        assert_eq!(runner.keys.garbage_count(), 0);
    }
    assert!(runner.keys.used_bytes() <= both_bytes);
    assert_eq!(runner.say("LLEN to"), ":300");
}

#[test]
fn flushdb_leaves_other_databases_alone() {
    let mut runner = Runner::new(1);
    runner.say("SET a 1");
    runner.db = 1;
    runner.say("SET a 2");
    let (_, changes) = runner.run_counting(&["FLUSHDB"]);
    assert_eq!(changes, 1);
    assert_eq!(runner.run_counting(&["FLUSHDB"]).1, 0);
    runner.db = 0;
    assert_eq!(runner.say("GET a"), "\"1\"");
}

/// A cycle that stands in the middle of a table goes on whatever the table's place is exchanged for.
#[test]
fn the_cycle_survives_swaps_and_flushes() {
    let mut runner = Runner::new(1);
    for index in 0..3000 {
        runner.say(&format!("SET key:{index} v PX 10"));
    }
    runner.wait(20);
    runner.keys.expire_cycle(10);
    runner.say("SWAPDB 0 5");
    runner.keys.expire_cycle(10);
    runner.say("SWAPDB 5 0");
    for _ in 0..200 {
        runner.keys.expire_cycle(1000);
    }
    assert_eq!(runner.say("DBSIZE"), ":0");
    runner.say("SET k v PX 10");
    runner.say("FLUSHALL");
    runner.wait(20);
    runner.keys.expire_cycle(1000);
    assert_eq!(runner.keys.stats().expired_keys, 3000);
}

/// What a large group had pending is gone with the command, its memory in steps.
#[test]
fn removed_groups_and_consumers_are_freed_in_steps() {
    for remove in ["XGROUP DESTROY s g", "XGROUP DELCONSUMER s g c"] {
        let mut runner = Runner::new(1);
        for id in 1..=5000 {
            runner.say(&format!("XADD s 0-{id} a 1"));
        }
        runner.say("XGROUP CREATE s g 0");
        let before_bytes = runner.keys.used_bytes();
        runner.run(&["XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"]);
        let (reply, changes) = runner.run_counting(&remove.split(' ').collect::<Vec<_>>());
        let wanted = if remove.contains("DESTROY") { 1 } else { 5000 };
        assert_eq!(reply, format!(":{wanted}\r\n").into_bytes());
        assert_eq!((changes, runner.keys.garbage_count()), (1, 1), "{remove}");
        assert!(runner.keys.used_bytes() > before_bytes + 100_000);
        let mut steps = 0;
        while !runner.keys.free_garbage(10) {
            steps += 1;
        }
        assert!(steps > 20, "not in one step: {steps}");
        let left_bytes = runner.keys.used_bytes();
        assert!(left_bytes < before_bytes + 1000, "{remove}: {left_bytes}");
        assert_eq!(runner.keys.garbage_count(), 0);
    }
}
