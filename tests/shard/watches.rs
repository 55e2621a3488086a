//! What touches a watched key, and what does not.

use rondo::base::hash::KeyHasher;
use rondo::commands::table;
use rondo::commands::table::Caller;
use rondo::keyspace::{Keyspace, KeyspaceOptions, SlotMap};
use rondo::resp::args::OwnedArgs;
use rondo::router::watch::Watch;
use rondo::router::{KeyLock, LockMode, LockSet, Origin, Step, ToShard, Transaction};
use rondo::shard::{Outcome, Request, Shard};

const NOW_MS: i64 = 1_700_000_000_000;

fn say(shard: &mut Shard, db: u16, line: &str) {
    let args: OwnedArgs = line.split(' ').map(str::as_bytes).collect();
    let request = Request {
        entry: table().resolve(&args.as_args()).expect("a good command"),
        db,
        caller: Caller::default(),
        origin: Origin {
            core: 0,
            connection: 0,
            generation: 0,
            sequence: 0,
        },
    };
    let mut reply = Vec::new();
    let outcome = shard.execute(&request, &args.as_args(), &mut reply);
    assert_eq!(outcome, Outcome::Done, "{line}");
    assert_ne!(
        reply[0],
        b'-',
        "{line}: {}",
        String::from_utf8_lossy(&reply)
    );
}

fn shard() -> Shard {
    let mut shard = Shard::new(0, Keyspace::new(KeyspaceOptions::for_tests(1)));
    shard.set_now(NOW_MS);
    shard
}

fn watch(shard: &mut Shard, id: u64, key: &str) -> Watch {
    let watch = Watch::new(id);
    let keys: OwnedArgs = [key.as_bytes()].into_iter().collect();
    shard.watch(&watch, 0, &keys.as_args());
    watch
}

/// Key `k` of database 0 is watched after the first lines; whether the last one touches it.
fn check(before: &[&str], db: u16, line: &str, touches: bool) {
    let mut shard = shard();
    for line in before {
        say(&mut shard, 0, line);
    }
    let watch = watch(&mut shard, 7, "k");
    assert!(!shard.has_changed(7));
    say(&mut shard, db, line);
    assert_eq!(shard.has_changed(7), touches, "{before:?}, {line}");
    // Nothing has expired here: whoever is touched is told.
    let was_there = before.iter().any(|line| line.contains(" k"));
    assert!(watch.is_touched() == touches || was_there);
    shard.handle(ToShard::Unwatch { id: 7 });
    assert_eq!(shard.watched_keys_count(), 0);
    assert!(!shard.has_changed(7), "forgotten");
}

#[test]
fn writes_touch_the_keys_they_change() {
    check(&["SET k 1"], 0, "SET k 1", true);
    check(&["SET k 1"], 0, "GET k", false);
    check(&["SET k 1"], 0, "SET other 1", false);
    check(&["SET k 1"], 1, "SET k 1", false);
    check(&["SET k 1"], 0, "INCR k", true);
    check(&["SET k 1"], 0, "DEL k", true);
    check(&["SET a 1"], 0, "DEL k a", false);
    check(&["SET k 1"], 0, "PERSIST k", false);
    check(&["SET k 1"], 0, "EXPIRE k 100", true);
    check(&["SADD k x"], 0, "SADD k x", false);
    check(&["SADD k x"], 0, "SADD k y", true);
    check(&["SET k 1"], 0, "RENAME k other", true);
    check(&["SET a 1"], 0, "RENAME a k", true);
    check(&["SET k 1"], 0, "COPY k other", false);
    check(&["SET k 1"], 0, "MOVE k 1", true);
    check(&["SADD a x", "SADD k y"], 0, "SUNIONSTORE k a", true);
    check(&["SADD a x", "SADD k y"], 0, "SUNIONSTORE a k", false);
    check(&["RPUSH a x", "RPUSH k y"], 0, "LMPOP 2 a k LEFT", false);
    check(&["RPUSH k y"], 0, "LMPOP 2 a k LEFT", true);
    check(&["RPUSH k y"], 0, "LTRIM k 0 -1", true);
    check(&["RPUSH a y"], 0, "LTRIM k 0 -1", false);
}

/// What a command changes of some of its keys leaves the others untouched, as in Redis.
#[test]
fn only_keys_that_change_are_touched() {
    check(&["SADD a x", "SADD k x"], 0, "SMOVE a k x", false);
    check(&["SADD a x", "SADD k y"], 0, "SMOVE a k x", true);
    check(&["SADD k x", "SADD b x"], 0, "SMOVE k b x", true);
    check(&["SET a 1", "SET k 2"], 0, "COPY a k REPLACE", true);
    check(&["SET a 1", "SET k 2"], 0, "COPY a k DB 1", false);
    check(&["SET a 1"], 0, "COPY a k DB 1 REPLACE", false);
    check(&["SET a 1"], 0, "COPY a k", true);
    let group = ["XADD k 1-1 f v", "XGROUP CREATE k g 0"];
    let read = "XREADGROUP GROUP g c STREAMS k >";
    check(&group, 0, read, false);
    check(&group, 0, "XGROUP CREATE k h 0", false);
    check(&group, 0, "XGROUP DESTROY k g", false);
    check(&group, 0, "XSETID k 9-9", false);
    check(&group, 0, "XADD k 2-1 f v", true);
    check(&group, 0, "XDEL k 1-1", true);
    check(&[group[0], group[1], read], 0, "XACK k g 1-1", false);
    check(&[group[0], group[1], read], 0, "XCLAIM k g d 0 1-1", false);
    check(&[], 0, "XGROUP CREATE k g 0 MKSTREAM", true);
    // The key that is watched is in the database that is written to.
    let mut shard = shard();
    say(&mut shard, 1, "SET a 1");
    say(&mut shard, 0, "SET k 1");
    watch(&mut shard, 7, "k");
    say(&mut shard, 1, "COPY a k DB 0 REPLACE");
    assert!(shard.has_changed(7));
}

#[test]
fn whole_databases_touch_what_was_there_or_comes() {
    check(&["SET k 1"], 0, "FLUSHALL", true);
    check(&["SET k 1"], 3, "FLUSHALL", true);
    check(&["SET k 1"], 0, "FLUSHDB", true);
    check(&["SET k 1"], 3, "FLUSHDB", false);
    check(&["SET a 1"], 0, "FLUSHALL", false);
    check(&["SET k 1"], 0, "SWAPDB 0 1", true);
    check(&["SET k 1"], 0, "SWAPDB 1 2", false);
    check(&["SET a 1"], 0, "SWAPDB 0 1", false);
    let mut shard = shard();
    say(&mut shard, 2, "SET k 1");
    watch(&mut shard, 7, "k");
    say(&mut shard, 0, "SWAPDB 0 2");
    assert!(shard.has_changed(7), "it came from another database");
}

#[test]
fn what_expires_has_changed_unless_it_had_expired() {
    for (at_watch_ms, is_changed) in [(NOW_MS, true), (NOW_MS + 100, false)] {
        let mut shard = shard();
        say(&mut shard, 0, "SET k 1 PX 50");
        shard.set_now(at_watch_ms);
        let watch = watch(&mut shard, 7, "k");
        shard.set_now(NOW_MS + 200);
        assert_eq!(shard.has_changed(7), is_changed);
        // Whether it was removed meanwhile makes no difference.
        say(&mut shard, 0, "GET k");
        assert_eq!(shard.has_changed(7), is_changed);
        assert!(!watch.is_touched());
        say(&mut shard, 0, "SET k 2");
        assert!(shard.has_changed(7));
    }
}

#[test]
fn each_watch_is_its_own() {
    let mut shard = shard();
    let (first, second) = (watch(&mut shard, 1, "a"), watch(&mut shard, 2, "b"));
    let third = watch(&mut shard, 3, "a");
    assert_eq!(shard.watched_keys_count(), 2, "a key counts once");
    say(&mut shard, 0, "SET a 1");
    assert!(first.is_touched() && third.is_touched() && !second.is_touched());
    assert!(shard.has_changed(1) && shard.has_changed(3) && !shard.has_changed(2));
    assert_eq!(
        shard.watched_keys_count(),
        1,
        "a touched watch watches nothing more"
    );
    shard.unwatch(1);
    assert!(!shard.has_changed(1) && shard.has_changed(3));
}

/// A transaction that has written a key, and may have another shard to go, has not happened yet: who watches the key
/// comes after all of it.
#[test]
fn watch_waits_for_a_transaction_that_has_the_key() {
    let mut shard = shard();
    let hasher = KeyHasher::with_seed(1);
    let writer = LockSet::of_keys(
        1,
        vec![KeyLock {
            hash: hasher.hash(b"a"),
            mode: LockMode::Exclusive,
        }],
    );
    shard.handle(ToShard::Schedule {
        tx: 1,
        core: 0,
        locks: writer,
        read: None,
    });
    assert!(shard.next_event().is_some(), "it is granted");
    let watch = Watch::new(2);
    let keys: OwnedArgs = ["a".as_bytes()].into_iter().collect();
    let mut transaction = Transaction::watch(watch, 0, &keys.as_args(), SlotMap::new(1), &hasher);
    let mut out = Vec::new();
    assert!(matches!(transaction.start(0, 2, &mut out), Step::Wait));
    for (_, message) in out.drain(..) {
        shard.handle(message);
    }
    assert!(shard.next_event().is_none(), "it waits");
    assert_eq!(shard.watched_keys_count(), 0);
    shard.handle(ToShard::Release { tx: 1 });
    let (_, answer) = shard.next_event().expect("it has its turn");
    let step = transaction.receive(answer, &mut || unreachable!(), &mut out);
    assert!(matches!(step, Step::Done { reply } if reply == b"+OK\r\n"));
    assert_eq!(shard.watched_keys_count(), 1);
    assert!(out.is_empty() && shard.is_quiet(), "nothing stays behind");
}
