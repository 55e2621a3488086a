//! Cuts of a keyspace, and what is loaded from them: the digest of the moment of the cut, every type and encoding.

use crate::commands::runner::Runner;
use rondo::keyspace::cut::Chunk;
use rondo::keyspace::load::{Loaded, NotLoaded};
use rondo::persist::rdb::{FileWriter, Framer, Item};

/// Commands that make a value of every type in every encoding, deadlines included.
fn fill(runner: &mut Runner) {
    runner.say("SET int 123456789");
    runner.say("SET short text");
    runner.run(&["SET", "long", &"abc".repeat(3000)]);
    runner.run(&["SET", "noise", "\u{1}\u{2}bytes\u{7f}"]);
    runner.say("SET dated v PXAT 1800000000000");
    for index in 0..600 {
        runner.say(&format!("RPUSH list.big element:{index}"));
        runner.say(&format!("SADD set.big member:{index}"));
        runner.say(&format!("SADD set.int.big {index}"));
        runner.say(&format!("ZADD zset.big {index}.5 member:{index}"));
        runner.say(&format!("HSET hash.big field:{index} value:{index}"));
        runner.say(&format!("XADD stream.big {index}-1 f v{index}"));
    }
    runner.run(&["RPUSH", "list.alone", &"x".repeat(20_000), "y"]);
    runner.say("RPUSH list a b 3");
    runner.say("SADD set.int 1 2 3");
    runner.say("SADD set a b c");
    runner.say("ZADD zset 1 a 2.5 b inf c -inf d");
    runner.say("HSET hash f v g 17");
    runner.say("HSET hash.dated f v g w");
    runner.say("HPEXPIREAT hash.dated 1800000000000 FIELDS 1 f");
    runner.say("HPEXPIREAT hash.big 1800000000001 FIELDS 1 field:7");
    runner.say("XADD stream 5-1 a 1");
    runner.say("XADD stream 6-1 b 2");
    runner.say("XGROUP CREATE stream group 0");
    runner.say("XREADGROUP GROUP group alice COUNT 1 STREAMS stream >");
    runner.say("XDEL stream 6-1");
    runner.say("ARSET array 0 x y");
    runner.say("ARSET array 100000 z");
    runner.say("PFADD hyper a b c");
}

fn digest(runner: &mut Runner) -> String {
    runner.say("DEBUG DIGEST")
}

fn cut(runner: &mut Runner) -> Vec<Chunk> {
    let sizes = runner.keys.cut(true);
    let mut chunks = Vec::new();
    while !runner.keys.cut_step(1000, &mut chunks) {}
    let keys = sizes.databases.iter().map(|(_, keys, _)| keys);
    let written = chunks.iter().map(|chunk| chunk.keys);
    assert_eq!(written.sum::<u64>(), keys.sum::<u64>());
    chunks
}

/// The file of these chunks.
fn file_of(chunks: &[Chunk]) -> Vec<u8> {
    let mut file = FileWriter::new(true, vec![(0, 2, 1)]);
    let mut bytes = file.head(12, &[("redis-ver", "7.2.0".into())], &[]);
    for chunk in chunks {
        bytes.extend(file.select(chunk.db));
        file.records(&chunk.bytes);
        bytes.extend(&chunk.bytes);
    }
    bytes.extend(file.end());
    bytes
}

/// Loads a file, given `step` more bytes at a time.
fn load(runner: &mut Runner, file: &[u8], step: usize) {
    let mut framer = Framer::new(true);
    let (mut start, mut end) = (0, 0);
    while !framer.is_over() {
        match framer
            .next(&file[start..end], end == file.len())
            .expect("a good file")
        {
            None => end = (end + step).min(file.len()),
            Some((item, consumed)) => {
                if let Item::Record { db, bytes, .. } = item {
                    let loaded = runner.keys.load_record(db, &bytes, false);
                    assert_eq!(loaded, Ok(Loaded::Here));
                }
                start += consumed;
            }
        }
    }
    assert_eq!(start, file.len());
}

#[test]
fn every_type_comes_back_as_it_was() {
    let mut runner = Runner::new(1);
    fill(&mut runner);
    runner.db = 3;
    runner.say("SET elsewhere 1");
    let before = digest(&mut runner);
    let file = file_of(&cut(&mut runner));
    assert_eq!(digest(&mut runner), before, "a cut changes nothing");
    for step in [7, 100_000] {
        let mut other = Runner::new(2);
        load(&mut other, &file, step);
        assert_eq!(digest(&mut other), before);
        other.db = 3;
        assert_eq!(other.say("GET elsewhere"), "\"1\"");
        other.db = 0;
        assert_eq!(other.say("PEXPIRETIME dated"), ":1800000000000");
        assert_eq!(other.say("ARGET array 100000"), "\"z\"");
        for key in ["int", "set.int.big", "list.big", "zset", "hash.big", "set"] {
            let words = ["OBJECT", "ENCODING", key];
            assert_eq!(
                other.run(&words),
                runner_at_0(&mut runner).run(&words),
                "{key}"
            );
        }
    }
}

fn runner_at_0(runner: &mut Runner) -> &mut Runner {
    runner.db = 0;
    runner
}

/// Everything that can happen to keys happens between the steps: the file has none of it.
#[test]
fn what_comes_after_the_cut_is_not_in_it() {
    let mut runner = Runner::new(1);
    fill(&mut runner);
    runner.db = 1;
    runner.say("SET in1 a");
    runner.db = 0;
    let before = digest(&mut runner);
    runner.keys.cut(true);
    let mut chunks = Vec::new();
    let commands = [
        "SET int 5",
        "APPEND short more",
        "DEL long",
        "SETRANGE noise 2 xx",
        "PERSIST dated",
        "RPUSH list.big late",
        "SREM set.big member:3",
        "SADD set.int.big text",
        "ZADD zset.big 1 member:5",
        "HDEL hash.big field:9",
        "XADD stream.big * f late",
        "LPOP list.alone",
        "EXPIRE list 100",
        "SADD set.int notanumber",
        "RENAME set renamed",
        "ZREM zset a",
        "HSET hash h new",
        "HPERSIST hash.dated FIELDS 1 f",
        "XACK stream group 5-1",
        "ARDEL array 0",
        "PFADD hyper d",
        "SET new 1",
        "MOVE hash 1",
        "COPY zset copied",
        "SWAPDB 0 1",
        "SET after.swap 1",
        "FLUSHDB",
        "SWAPDB 0 1",
        "SET more 2",
        "FLUSHALL",
        "SET last 3",
    ];
    for command in commands {
        let reply = runner.say(command);
        assert!(!reply.starts_with('-'), "{command}: {reply}");
        runner.keys.cut_step(50, &mut chunks);
        runner.keys.free_garbage(1000);
    }
    while !runner.keys.cut_step(5000, &mut chunks) {}
    assert!(!runner.keys.has_cut());
    while !runner.keys.free_garbage(1000) {}
    assert_eq!(runner.say("DBSIZE"), ":1");
    let mut other = Runner::new(2);
    load(&mut other, &file_of(&chunks), 100_000);
    assert_eq!(digest(&mut other), before);
    other.db = 1;
    assert_eq!(other.say("DBSIZE"), ":1");
}

#[test]
fn a_cut_that_is_given_up_leaves_nothing_behind() {
    let mut runner = Runner::new(1);
    fill(&mut runner);
    for index in 0..300 {
        runner.say(&format!("SET more:{index} v"));
    }
    let before = digest(&mut runner);
    runner.keys.cut(true);
    let mut chunks = Vec::new();
    assert!(!runner.keys.cut_step(1, &mut chunks));
    runner.keys.give_cut_up();
    chunks.clear();
    while !runner.keys.cut_step(100, &mut chunks) {}
    assert_eq!(chunks, []);
    let mut other = Runner::new(2);
    load(&mut other, &file_of(&cut(&mut runner)), 100_000);
    assert_eq!(digest(&mut other), before);
}

#[test]
fn records_that_cannot_be_taken_are_told() {
    let mut runner = Runner::new(1);
    runner.say("SET a 1");
    runner.say("SET b 2 PX 50");
    let chunks = cut(&mut runner);
    let file = file_of(&chunks);
    let mut framer = Framer::new(true);
    let mut records = Vec::new();
    let mut rest = &file[..];
    while let Ok(Some((item, consumed))) = framer.next(rest, true) {
        if let Item::Record { key, bytes, .. } = item {
            records.push((key.into_owned(), bytes.to_vec()));
        }
        rest = &rest[consumed..];
        if framer.is_over() {
            break;
        }
    }
    records.sort();
    let mut other = Runner::new(2);
    let a = &records[0].1;
    assert_eq!(
        other.keys.load_record(16, a, false),
        Err(NotLoaded::NoDatabase)
    );
    assert_eq!(other.keys.load_record(0, a, false), Ok(Loaded::Here));
    assert_eq!(
        other.keys.load_record(0, a, false),
        Err(NotLoaded::Duplicate)
    );
    assert_eq!(other.keys.load_record(0, a, true), Ok(Loaded::Here));
    assert_eq!(
        other.keys.load_record(0, &a[..a.len() - 1], true),
        Err(NotLoaded::Malformed)
    );
    let now_ms = other.keys.now_ms();
    other.keys.set_now(now_ms + 1_000_000_000_000);
    assert_eq!(
        other.keys.load_record(0, &records[1].1, false),
        Ok(Loaded::Expired)
    );
}

/// A step stops after a large value, however many more its bucket has.
#[test]
fn a_step_has_not_several_large_values() {
    let mut runner = Runner::new(1);
    let value = "z".repeat(40_000);
    for index in 0..200 {
        runner.run(&["SET", &format!("key:{index}"), &value]);
    }
    runner.keys.cut(false);
    let mut chunks = Vec::new();
    let mut is_done = false;
    while !is_done {
        let before = chunks.len();
        is_done = runner.keys.cut_step(1, &mut chunks);
        assert!(chunks.len() <= before + 1);
    }
    // Handed over with the value that fills them.
    let keys = chunks.iter().map(|chunk| chunk.keys);
    assert!(keys.clone().all(|keys| keys <= 2), "{chunks:?}");
    assert_eq!(keys.sum::<u64>(), 200);
}
