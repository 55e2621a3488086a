//! Values taken out of one keyspace and put into another, as RENAME and COPY over two shards do.

use crate::commands::runner::Runner;
use rondo::keyspace::Moved;

fn is_send<T: Send>(value: T) -> T {
    value
}

fn take(runner: &mut Runner, key: &str) -> Option<Moved> {
    let key = runner.keys.key(key.as_bytes());
    runner.keys.take_value(0, &key)
}

fn put(runner: &mut Runner, key: &str, moved: Moved, replace: bool) -> bool {
    let key = runner.keys.key(key.as_bytes());
    runner.keys.put_value(0, &key, moved, replace)
}

/// Every encoding arrives as it left, with its deadline and its access clock.
#[test]
fn values_move_whole() {
    let long = "x".repeat(10_000);
    for (value, encoding) in [("12", "int"), ("short", "embstr"), (long.as_str(), "raw")] {
        let (mut from, mut to) = (Runner::new(1), Runner::new(2));
        from.run(&["SET", "k", value, "PXAT", "1700000100000"]);
        from.wait(7000);
        to.wait(7000);
        let moved = is_send(take(&mut from, "k").expect("a key"));
        assert_eq!(from.say("EXISTS k"), ":0");
        assert!(put(&mut to, "k2", moved, false));
        assert_eq!(to.say("OBJECT IDLETIME k2"), ":7");
        assert_eq!(to.say("GET k2"), format!("\"{value}\""));
        assert_eq!(to.say("OBJECT ENCODING k2"), format!("\"{encoding}\""));
        assert_eq!(to.say("PEXPIRETIME k2"), ":1700000100000");
        assert!(take(&mut from, "k").is_none());
    }
}

#[test]
fn a_copy_leaves_the_original() {
    let mut runner = Runner::new(1);
    runner.say("SET k v");
    let key = runner.keys.key(b"k");
    let moved = runner.keys.clone_value(0, &key, true).expect("a key");
    assert!(put(&mut runner, "k2", moved, false));
    runner.say("APPEND k2 !");
    assert_eq!(runner.say("MGET k k2"), "*2 \"v\" \"v!\"");
}

#[test]
fn what_is_in_the_way_stays_unless_replaced() {
    let mut runner = Runner::new(1);
    runner.say("MSET a 1 b 2 c 3");
    runner.say("EXPIRE b 100");
    let moved = take(&mut runner, "a").expect("a key");
    assert!(!put(&mut runner, "b", moved, false));
    assert_eq!(runner.say("GET b"), "\"2\"");
    let moved = take(&mut runner, "c").expect("a key");
    assert!(put(&mut runner, "b", moved, true));
    assert_eq!(runner.say("GET b"), "\"3\"");
    assert_eq!(runner.say("TTL b"), ":-1");
}
