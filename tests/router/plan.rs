use rondo::commands::table;
use rondo::keyspace::SlotMap;
use rondo::resp::args::OwnedArgs;
use rondo::router::{Plan, plan};

/// With 7 shards: slot 15495 of `a` is shard 6, 3300 of `b` 1, 7365 of `c` 3; `{b}x` goes with `b`.
fn check(shards_count: u16, line: &str, expected: Plan) {
    let owned: OwnedArgs = line.split(' ').map(str::as_bytes).collect();
    let args = owned.as_args();
    let entry = table().resolve(&args).expect("a good command");
    let map = SlotMap::new(shards_count);
    assert_eq!(
        plan(entry, &args, &map, 5),
        expected,
        "{line} at {shards_count} shards"
    );
}

#[test]
fn one_key_is_one_shard() {
    check(7, "GET a", Plan::Shard(6));
    check(7, "GET b", Plan::Shard(1));
    check(7, "SET c x", Plan::Shard(3));
    check(7, "OBJECT ENCODING c", Plan::Shard(3));
    check(7, "MEMORY USAGE b", Plan::Shard(1));
}

#[test]
fn keys_that_share_a_shard_need_no_transaction() {
    check(7, "MGET b", Plan::Shard(1));
    check(7, "MGET b {b}x b", Plan::Shard(1));
    check(7, "RENAME {b}1 {b}2", Plan::Shard(1));
    check(7, "MSETEX 2 b 1 {b}x 2 EX 10", Plan::Shard(1));
}

#[test]
fn keys_on_several_shards_need_one() {
    check(7, "MGET b a", Plan::Many);
    check(7, "MSET b 1 {b}x 2 c 3", Plan::Many);
    check(7, "RENAME a b", Plan::Many);
    check(7, "COPY a b REPLACE", Plan::Many);
    check(7, "LCS a b IDX", Plan::Many);
    check(7, "MSETEX 2 b 1 a 2 NX", Plan::Many);
    check(7, "DBSIZE", Plan::Many);
    check(7, "KEYS *", Plan::Many);
    check(7, "RANDOMKEY", Plan::Many);
}

#[test]
fn with_one_shard_everything_on_keys_runs_there() {
    for line in [
        "GET a",
        "MGET a b",
        "DBSIZE",
        "FLUSHDB",
        "SCAN 0",
        "RANDOMKEY",
    ] {
        check(1, line, Plan::Shard(0));
    }
    // But for what a snapshot may follow before its reply.
    check(1, "FLUSHALL", Plan::Many);
}

#[test]
fn words_that_hide_their_keys_run_here_and_are_refused_there() {
    check(7, "MSETEX 3 a 1 b 2", Plan::Shard(5));
    check(7, "MSETEX -1 a 1 b 2", Plan::Shard(5));
    check(7, "MSETEX x a 1 b 2", Plan::Shard(5));
}

#[test]
fn a_cursor_names_its_shard() {
    check(7, "SCAN 0", Plan::Many);
    check(7, "SCAN 3", Plan::Many);
    check(7, "SCAN 6", Plan::Shard(6));
    check(7, "SCAN 73", Plan::Shard(3));
    check(7, "SCAN 18446744073709551615", Plan::Shard(1));
    check(7, "SCAN x", Plan::Shard(5));
}

#[test]
fn commands_without_keys_stay_here() {
    check(7, "PING", Plan::Here);
    check(7, "OBJECT HELP", Plan::Shard(5));
}
