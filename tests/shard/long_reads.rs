//! Replies in pieces beside one that comes whole, from shards that are told the same, whatever is done between the pieces.

use super::told::{BEGIN_MS, Random, Told, elements, fill, shard};
use rondo::commands::table;
use rondo::commands::table::Caller;
use rondo::resp::Protocol;
use rondo::resp::args::OwnedArgs;
use rondo::router::{FromShard, LockMode, LockSet, Operation, Output, ToShard};
use rondo::shard::{CycleBudget, Shard};

const READS: [(&str, Option<usize>); 112] = [
    ("SMEMBERS set", Some(1)),
    ("SMEMBERS ints", Some(1)),
    ("HGETALL hash", Some(2)),
    ("HKEYS hash", Some(1)),
    ("HVALS hash", Some(1)),
    ("ZRANGE zset 0 -1", None),
    ("ZRANGE zset 5 -7 REV WITHSCORES", None),
    ("ZREVRANGE zset 0 -1 WITHSCORES", None),
    ("ZRANGEBYSCORE zset (10 900 WITHSCORES LIMIT 3 700", None),
    ("ZREVRANGEBYSCORE zset +inf -inf", None),
    ("ZRANGEBYLEX zset - +", None),
    ("LRANGE list 0 -1", None),
    ("LRANGE list 10 -10", None),
    ("XRANGE stream - +", None),
    ("XRANGE stream 5 (900-1 COUNT 700", None),
    ("XREVRANGE stream + - COUNT 990", None),
    ("XREVRANGE stream 900 100", None),
    ("XREAD STREAMS stream 100", None),
    ("XREAD COUNT 500 STREAMS stream 0-0", None),
    ("XREAD STREAMS stream stream2 5 0", None),
    (
        "XREAD COUNT 500 STREAMS stream2 nothing stream 990 0 0-0",
        None,
    ),
    ("XREAD STREAMS stream list 0 0", None),
    ("ARGETRANGE array 3 1999", None),
    ("ARGETRANGE array 2100 150", None),
    ("ARGETRANGE sparse 0 999", None),
    ("ARGETRANGE sparse 100500 99600", None),
    ("ARGETRANGE sparse 5 1100", None),
    ("ARLASTITEMS ring 900", None),
    ("ARLASTITEMS ring 1000 REV", None),
    ("ARLASTITEMS ring 1000", None),
    ("ARLASTITEMS array 1999 REV", None),
    ("ARSCAN array 0 100000", None),
    ("ARSCAN array 5000 7 LIMIT 700", None),
    ("ARGREP array - + GLOB 1* WITHVALUES", None),
    ("ARGREP array + - MATCH 7 RE ^1 AND LIMIT 150", None),
    ("AROP array 0 100000 SUM", None),
    ("AROP array 1990 4 MAX", None),
    ("AROP array 0 100000 MATCH 17", None),
    ("AROP array 0 100000 USED", None),
    ("SSCAN set 0 COUNT 100000", Some(0)),
    ("SSCAN set 0 MATCH *7* COUNT 5000", Some(0)),
    ("HSCAN hash 0 COUNT 100000", Some(0)),
    ("HSCAN hash 0 COUNT 5000 MATCH *1* NOVALUES", Some(0)),
    ("ZSCAN zset 0 COUNT 100000 MATCH member:1*", Some(0)),
    ("ZSCAN zset2 0 COUNT 5000 NOSCORES", Some(0)),
    ("SRANDMEMBER set 100000", Some(1)),
    ("SRANDMEMBER ints 100000", Some(1)),
    ("HRANDFIELD hash 100000", Some(1)),
    ("ZRANDMEMBER zset 100000 WITHSCORES", None),
    ("SMEMBERS small", Some(1)),
    ("LRANGE nothing 0 -1", None),
    ("SMEMBERS list", None),
    ("SORT list", None),
    ("SORT list ALPHA DESC", None),
    ("SORT list ALPHA LIMIT 300 400 GET # GET #", None),
    ("SORT_RO ints DESC LIMIT 990 5", None),
    ("SORT ints", None),
    ("SORT numbers", None),
    ("SORT_RO numbers DESC GET #", None),
    ("SORT numbers ALPHA LIMIT 5 -1", None),
    ("SORT list BY nosort DESC LIMIT 700 900", None),
    ("SORT list BY nosort LIMIT 100 400 GET # GET #", None),
    ("SORT list BY nosort LIMIT 900 5", None),
    ("SORT zset BY nosort", None),
    ("SORT zset BY nosort DESC LIMIT 100 600", None),
    ("SORT_RO zset BY nosort LIMIT 995 50", None),
    ("SORT set BY nosort", Some(1)),
    ("SORT zset ALPHA", None),
    ("KEYS *", Some(1)),
    ("KEYS key:*5", Some(1)),
    ("KEYS set", Some(1)),
    ("SUNION set ints", Some(1)),
    ("SUNION ints nothing set small set", Some(1)),
    ("SINTER set set", Some(1)),
    ("SINTER ints2 set ints", Some(1)),
    ("SINTER ints other ints2", Some(1)),
    ("SDIFF set nothing small", Some(1)),
    ("SDIFF ints set ints2", Some(1)),
    ("SDIFF set list", Some(1)),
    (
        "SUNION set ints2 set small ints set nothing ints2 set ints set",
        Some(1),
    ),
    ("SINTERCARD 2 set set", None),
    ("SINTERCARD 3 ints2 set ints LIMIT 5", None),
    ("SINTERCARD 2 ints ints2 LIMIT 300", None),
    ("SUNIONCARD 3 set ints small", None),
    ("SUNIONCARD 2 set ints LIMIT 1200", None),
    (
        "SUNIONCARD 10 set ints ints2 set ints ints2 set ints ints2 small LIMIT 7000",
        None,
    ),
    ("SUNIONCARD 2 set ints APPROX", None),
    ("SUNIONCARD 1 set APPROX LIMIT 500", None),
    ("SDIFFCARD 2 set ints", None),
    ("SDIFFCARD 2 ints ints2 LIMIT 200", None),
    ("ZUNION 2 zset zset2 WITHSCORES", None),
    ("ZUNION 4 zset2 nothing set zset2", None),
    (
        "ZUNION 2 zset set WEIGHTS -2 1.5 AGGREGATE MAX WITHSCORES",
        None,
    ),
    (
        "ZUNION 2 zset2 zset AGGREGATE COUNT WEIGHTS 3 inf WITHSCORES",
        None,
    ),
    (
        "ZUNION 10 zset zset2 set zset small zset2 set zset ints zset2 WITHSCORES",
        None,
    ),
    ("ZINTER 2 zset set WITHSCORES", None),
    (
        "ZINTER 3 zset zset2 zset WEIGHTS 1 inf -inf WITHSCORES",
        None,
    ),
    ("ZINTER 2 zset zset2 AGGREGATE MIN", None),
    ("ZDIFF 2 zset small WITHSCORES", None),
    ("ZDIFF 3 set zset2 nothing", None),
    ("ZDIFF 2 zset list", None),
    ("ZINTERCARD 2 zset set", None),
    ("ZINTERCARD 3 zset set zset LIMIT 500", None),
    ("GEOSEARCH geo FROMLONLAT 0 43 BYRADIUS 3000 km", None),
    (
        "GEOSEARCH geo FROMMEMBER place:5 BYBOX 4000 900 km DESC WITHDIST WITHCOORD WITHHASH",
        None,
    ),
    (
        "GEOSEARCH geo FROMLONLAT 0 43 BYRADIUS 3000 km COUNT 300",
        None,
    ),
    (
        "GEOSEARCH geo FROMLONLAT 0 43 BYRADIUS 3000 km COUNT 300 ANY DESC",
        None,
    ),
    (
        "GEOSEARCH geo FROMLONLAT 0 43 BYRADIUS 300 km COUNT 5000 ASC WITHDIST",
        None,
    ),
    (
        "GEOSEARCH geo BYPOLYGON 4 -6 39 6 39 6 44 -6 44 WITHCOORD",
        None,
    ),
    ("GEORADIUS geo 0 43 3000 km WITHDIST", None),
    ("GEORADIUSBYMEMBER geo place:7 3000 mi ASC", None),
    ("GEORADIUSBYMEMBER_RO geo place:7 2000 km WITHHASH", None),
];

const IS_LONG: [&str; 21] = [
    "SORT_RO ints DESC LIMIT 990 5",
    "KEYS key:*5",
    "KEYS set",
    "SINTER ints2 set ints",
    "ARGREP array + - MATCH 7 RE ^1 AND LIMIT 150",
    "AROP array 0 100000 SUM",
    "AROP array 1990 4 MAX",
    "AROP array 0 100000 MATCH 17",
    "AROP array 0 100000 USED",
    "SINTERCARD 2 set set",
    "SINTERCARD 3 ints2 set ints LIMIT 5",
    "SINTERCARD 2 ints ints2 LIMIT 300",
    "SUNIONCARD 3 set ints small",
    "SUNIONCARD 2 set ints LIMIT 1200",
    "SUNIONCARD 10 set ints ints2 set ints ints2 set ints ints2 small LIMIT 7000",
    "SUNIONCARD 2 set ints APPROX",
    "SUNIONCARD 1 set APPROX LIMIT 500",
    "SDIFFCARD 2 set ints",
    "SDIFFCARD 2 ints ints2 LIMIT 200",
    "ZINTERCARD 2 zset set",
    "ZINTERCARD 3 zset set zset LIMIT 500",
];

#[test]
fn pieces_together_are_the_whole_reply() {
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let mut told = [Told::new(usize::MAX, 1), Told::new(100, 10)];
        let mut next = 0;
        fill(&mut told, &mut next);
        for (line, width) in READS {
            told.iter_mut()
                .for_each(|it| it.say(next, 0, protocol, line));
            let mut steps_count = 0;
            while told[1].read_on() {
                steps_count += 1;
            }
            let [whole, pieces] = &told;
            assert_eq!(
                elements(whole.reply(next), width),
                elements(pieces.reply(next), width),
                "{line}"
            );
            assert!(pieces.done.contains(&next), "{line}");
            // What is collected may come to little.
            let is_long = whole.reply(next).len() > 2_000 || IS_LONG.contains(&line);
            assert_eq!(steps_count > 5, is_long, "{line}");
            next += 1;
        }
        assert!(told[1].shard.is_quiet());
    }
}

const CHANGES: [&str; 61] = [
    "SET key:{} other",
    "SET key:{} more PX 20",
    "SETEX key:1{} 1 dies",
    "APPEND key:{} more",
    "DEL key:{}",
    "RENAME key:{} key:{}",
    "SINTERSTORE ints2 ints ints2",
    "SADD set new:{}",
    "SREM set member:{}",
    "SREM set member:1{}",
    "SADD ints 5{}",
    "SREM ints 7{}",
    "HSET hash field:{} other",
    "HSET hash more:{} new",
    "HDEL hash field:{}",
    "HPEXPIRE hash 1 FIELDS 1 field:{}",
    "HPEXPIRE hash 40 FIELDS 1 field:{}",
    "ZADD zset {} member:{}",
    "ZREM zset member:{}",
    "ZREMRANGEBYRANK zset 0 10",
    "ZINCRBY zset 3 member:{}",
    "RPUSH list new:{}",
    "LPOP list 3",
    "LTRIM list 5 -5",
    "LSET list 3 other",
    "LINSERT list BEFORE element:500 more",
    "XADD stream * f v",
    "XDEL stream {}-1 5{}-1",
    "XTRIM stream MAXLEN 900",
    "XTRIM stream MINID 4{}",
    "DEL set",
    "UNLINK hash",
    "RENAME zset other",
    "RENAME other zset",
    "COPY list set REPLACE",
    "COPY ints ints2 REPLACE",
    "SET list text",
    "PEXPIRE set 1",
    "PEXPIRE zset 30",
    "PERSIST zset",
    "FLUSHDB",
    "FLUSHALL ASYNC",
    "SWAPDB 0 1",
    "MOVE list 1",
    "SINTERSTORE set set ints",
    "SUNIONSTORE set set ints",
    "ZRANGESTORE zset zset 0 100",
    "SORT list ALPHA STORE list",
    "SMOVE set ints member:{}",
    "LMOVE list list LEFT RIGHT",
    "ARSET array {} 5",
    "ARDEL array {}",
    "XDEL stream2 {}-1",
    "XTRIM stream2 MAXLEN 700",
    "ZADD zset2 {} member:{}",
    "ZREM zset2 member:{}",
    "ZUNIONSTORE zset2 2 zset zset2",
    "GEOADD geo 1 45 place:{}",
    "ZREM geo place:{}",
    "PEXPIRE geo 20",
    "GET nothing",
];

/// Whatever happens between two pieces, expiry, a snapshot and defragmentation included, a reply is what it was at its begin.
fn check_beside_changes(seed: u64) {
    let mut random = Random(seed);
    let mut told = [
        Told::new(usize::MAX, 1),
        Told::new(50, 1 + random.below(200)),
    ];
    let (mut next, mut now_ms) = (0, BEGIN_MS);
    let mut reads = Vec::new();
    let mut chunks = Vec::new();
    fill(&mut told, &mut next);
    for _ in 0..1_500 {
        match random.below(16) {
            0..=3 => {
                let (line, width) = READS[random.below(READS.len())];
                let protocol = [Protocol::Resp2, Protocol::Resp3][random.below(2)];
                told.iter_mut()
                    .for_each(|it| it.say(next, 0, protocol, line));
                reads.push((next, line, width));
                next += 1;
            }
            4..=6 => {
                let mut change = CHANGES[random.below(CHANGES.len())].to_owned();
                // What empties everything is rare.
                if change.contains("FLUSH") && random.below(4) > 0 {
                    continue;
                }
                while change.contains("{}") {
                    change = change.replacen("{}", &random.below(1_000).to_string(), 1);
                }
                told.iter_mut()
                    .for_each(|it| it.say(next, 0, Protocol::Resp2, &change));
                next += 1;
            }
            7 => {
                now_ms += random.below(25) as i64;
                for it in &mut told {
                    it.shard.set_now(now_ms);
                    if it.shard.keys.keys_count(0) % 2 == 0 {
                        it.shard.cycle(CycleBudget::default());
                    }
                }
            }
            8 => {
                if !told[1].shard.keys.has_cut() {
                    told[1].shard.keys.cut(false);
                }
                told[1].shard.keys.cut_step(5_000, &mut chunks);
            }
            9 if random.below(10) == 0 => fill(&mut told, &mut next),
            _ => {
                told[1].read_on();
            }
        }
    }
    while told[1].read_on() {}
    let [whole, pieces] = &told;
    for (sequence, line, width) in reads {
        assert!(pieces.done.contains(&sequence), "SEED={seed}: {line}");
        let want = elements(whole.reply(sequence), width);
        let have = elements(pieces.reply(sequence), width);
        assert_eq!(have.len(), want.len(), "SEED={seed}: {line}");
        let text = |line: &Vec<u8>| String::from_utf8_lossy(line).into_owned();
        for (have, want) in have.iter().zip(&want) {
            assert_eq!(text(have), text(want), "SEED={seed}: {line}");
        }
    }
    assert!(pieces.pieces_count > 100, "{}", pieces.pieces_count);
}

#[test]
fn a_reply_in_pieces_is_what_it_was_when_it_began() {
    match std::env::var("SEED") {
        Ok(seed) => check_beside_changes(seed.parse().expect("a number")),
        Err(_) => (0..12).for_each(check_beside_changes),
    }
}

#[test]
fn a_reply_that_nobody_wants_is_given_up() {
    let mut told = [Told::new(usize::MAX, 1), Told::new(50, 10)];
    let mut next = 0;
    fill(&mut told, &mut next);
    let [_, pieces] = &mut told;
    pieces.say(next, 0, Protocol::Resp2, "SMEMBERS set");
    assert!(pieces.read_on() && pieces.shard.has_long_reads());
    let reading = *pieces.ids.last().expect("a piece came");
    pieces.shard.handle(ToShard::EndRead { reading });
    assert!(!pieces.read_on() && pieces.shard.is_quiet());
    // Changes find nobody who reads.
    pieces.say(next + 1, 0, Protocol::Resp2, "DEL set");
    assert!(!pieces.read_on());
    assert!(!pieces.done.contains(&next));
}

/// What wants the key waits for the last piece, in order; what wants another key does not wait.
#[test]
fn others_wait_for_the_key_and_for_nothing_else() {
    let mut told = Told::over(shard(), 50, 64);
    let say = |told: &mut Told, sequence: u64, line: &str| {
        told.say_on(sequence as u32, sequence, 0, Protocol::Resp2, line);
    };
    for index in 0..1_000 {
        say(&mut told, index, &format!("SADD set member:{index}"));
    }
    say(&mut told, 2_000, "SMEMBERS set");
    say(&mut told, 2_001, "SADD set more");
    say(&mut told, 2_002, "SMEMBERS set");
    say(&mut told, 2_003, "SREM set more member:5");
    say(&mut told, 2_004, "SCARD set");
    say(&mut told, 2_005, "SET other text");
    assert_eq!(told.reply(2_005), b"+OK\r\n");
    let is_done = |told: &Told, sequence: u64| told.done.contains(&sequence);
    while !is_done(&told, 2_000) {
        assert!((2_001..=2_004).all(|waiting| !is_done(&told, waiting)));
        assert!(told.read_on());
    }
    assert!(told.reply(2_000).starts_with(b"*1000\r\n"));
    assert_eq!(told.reply(2_001), b":1\r\n");
    while !is_done(&told, 2_002) {
        assert!(!is_done(&told, 2_003) && !is_done(&told, 2_004));
        assert!(told.read_on());
    }
    assert!(told.reply(2_002).starts_with(b"*1001\r\n"));
    assert_eq!(told.reply(2_003), b":2\r\n");
    assert_eq!(told.reply(2_004), b":999\r\n");
    assert!(told.shard.is_quiet());
}

/// A client that does not read is not read for, until somebody waits for its key.
#[test]
fn a_client_that_does_not_read_keeps_nobody_from_the_key() {
    let mut told = Told::over(shard(), 50, 64);
    for index in 0..1_000 {
        told.say(
            index,
            0,
            Protocol::Resp2,
            &format!("SADD set member:{index}"),
        );
    }
    told.say_on(1, 2_000, 0, Protocol::Resp2, "SMEMBERS set");
    assert!(!told.shard.read_on(|_, _| false));
    told.say_on(2, 2_001, 0, Protocol::Resp2, "SADD set more");
    while told.shard.read_on(|_, _| false) {}
    told.take_pieces();
    assert!(told.reply(2_000).starts_with(b"*1000\r\n"));
    assert_eq!(told.reply(2_001), b":1\r\n");
    // A client that has gone lets the next one in at once.
    told.say_on(1, 2_002, 0, Protocol::Resp2, "SMEMBERS set");
    told.say_on(2, 2_003, 0, Protocol::Resp2, "SCARD set");
    assert!(told.read_on() && !told.done.contains(&2_003));
    let reading = *told.ids.last().expect("a piece came");
    told.shard.handle(ToShard::EndRead { reading });
    told.take_pieces();
    assert_eq!(told.reply(2_003), b":1001\r\n");
    assert!(told.shard.is_quiet());
}

/// A range of a listpack that comes whole is shown as a walk meets it; one that might not is counted first.
#[test]
fn ranges_of_a_listpack_are_the_same_in_pieces() {
    let lines = [
        "ZRANGEBYSCORE zset -inf +inf WITHSCORES",
        "ZRANGEBYSCORE zset (5 30 WITHSCORES LIMIT 3 60",
        "ZRANGEBYSCORE zset 10 11",
        "ZRANGEBYSCORE zset 30 (10",
        "ZREVRANGEBYSCORE zset 30 (2 LIMIT 7 -1",
        "ZREVRANGEBYSCORE zset +inf -inf WITHSCORES LIMIT 33 10",
        "ZRANGE zset +inf 1 BYSCORE REV LIMIT 90 50",
        "ZRANGEBYSCORE zset -inf +inf LIMIT -1 50",
        "ZRANGEBYLEX same - +",
        "ZRANGEBYLEX same [member:2 (member:8 LIMIT 1 40",
        "ZRANGE same + (member:2 BYLEX REV LIMIT 2 70",
        "ZREVRANGEBYLEX same [member:1 -",
        "ZREVRANGEBYLEX same - +",
        "ZRANGEBYLEX zset - (member:5",
        "ZREVRANGEBYLEX zset + (member:5",
    ];
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let mut told = [Told::new(usize::MAX, 1), Told::new(20, 7)];
        for it in &mut told {
            for index in 0..100 {
                let scored = format!("ZADD zset {} member:{index}", index / 3);
                it.say(index, 0, protocol, &scored);
                it.say(index, 0, protocol, &format!("ZADD same 1 member:{index}"));
            }
        }
        for (sequence, line) in (1_000..).zip(lines) {
            for it in &mut told {
                it.say(sequence, 0, protocol, line);
                while it.read_on() {}
                assert!(it.done.contains(&sequence), "{line}");
            }
            let [whole, pieces] = &told;
            assert_eq!(pieces.reply(sequence), whole.reply(sequence), "{line}");
        }
        assert!(told[1].pieces_count > 50, "{}", told[1].pieces_count);
    }
}

/// A piece that was asked to be followed by more makes room for one.
#[test]
fn pieces_ahead_are_counted() {
    let mut told = Told::over(shard(), 50, 64);
    told.say(0, 0, Protocol::Resp2, "SADD set a b");
    told.say_on(1, 1, 0, Protocol::Resp2, "SRANDMEMBER set -1000000000000");
    let ahead_max = 4;
    let read_on = |told: &mut Told| told.shard.read_on(|_, ahead| ahead < ahead_max);
    while read_on(&mut told) {}
    told.take_pieces();
    assert_eq!(told.pieces_count, 4);
    let reading = *told.ids.last().expect("a piece came");
    told.shard.handle(ToShard::ReadOn { reading });
    assert!(read_on(&mut told) && !read_on(&mut told));
    told.take_pieces();
    assert_eq!(told.pieces_count, 5);
    // Others do not make it go on: nobody waits for it.
    told.say_on(2, 2, 0, Protocol::Resp2, "SADD set c");
    assert!(told.done.contains(&2) && !read_on(&mut told));
    told.shard.handle(ToShard::EndRead { reading });
    assert!(told.shard.is_quiet());
}

/// What a shard tells a transaction that asks for all of its keys: none as long as they are being looked at.
fn schedule_keys(shard: &mut Shard, tx: u64) {
    let args: OwnedArgs = ["KEYS", "*"].into_iter().map(str::as_bytes).collect();
    shard.handle(ToShard::Schedule {
        tx,
        core: 2,
        locks: LockSet::of_shard(tx, LockMode::Shared),
        read: Some(Operation::Command {
            entry: table().resolve(&args.as_args()).expect("a good command"),
            db: 0,
            caller: Caller::default(),
            args,
        }),
    });
}

/// KEYS as a part of a transaction is answered when it is whole; meanwhile what reads runs and what writes waits.
#[test]
fn a_transaction_is_answered_at_the_end() {
    let mut told = Told::over(shard(), 50, 64);
    for index in 0..1_000 {
        told.say(index, 0, Protocol::Resp2, &format!("SET key:{index} v"));
    }
    schedule_keys(&mut told.shard, 7);
    assert!(told.read_on() && told.shard.has_long_reads());
    told.say_on(1, 2_000, 0, Protocol::Resp2, "GET key:1");
    assert_eq!(told.reply(2_000), b"$1\r\nv\r\n");
    told.say_on(2, 2_001, 0, Protocol::Resp2, "SET more v");
    assert!(!told.done.contains(&2_001));
    let mut answer = None;
    while answer.is_none() && told.shard.read_on(|_, _| false) {
        answer = told.shard.next_event();
    }
    match answer {
        Some((
            2,
            FromShard::Ran {
                tx: 7,
                output: Output::Reply(reply),
                ..
            },
        )) => {
            assert!(reply.starts_with(b"*1000\r\n"));
            assert_eq!(reply.iter().filter(|&&byte| byte == b'$').count(), 1_000);
        }
        _ => panic!("the keys come next"),
    }
    told.shard.handle(ToShard::Release { tx: 7 });
    told.take_pieces();
    assert_eq!(told.reply(2_001), b"+OK\r\n");
    // One that is given up in the middle answers nothing.
    schedule_keys(&mut told.shard, 8);
    assert!(told.read_on() && told.shard.has_long_reads());
    told.shard.handle(ToShard::Release { tx: 8 });
    assert!(!told.read_on() && told.shard.next_event().is_none());
    assert!(told.shard.is_quiet());
}

/// KEYS locks nothing, and what SUNION and SORT have looked at is free before it is told, read or not.
#[test]
fn what_is_collected_keeps_nobody_waiting_for_its_client() {
    let mut told = Told::over(shard(), 50, 64);
    for index in 0..1_000 {
        let lines = [
            format!("SADD one m:{index}"),
            format!("SADD two m:{}", index * 2),
            format!("RPUSH list {index}"),
            format!("SET key:{index} v"),
        ];
        for line in lines {
            told.say(index, 0, Protocol::Resp2, &line);
        }
    }
    for (sequence, line) in [(2_000, "KEYS *"), (2_001, "SORT list DESC")] {
        told.say_on(sequence as u32, sequence, 0, Protocol::Resp2, line);
        assert!(told.read_on() && !told.done.contains(&sequence));
    }
    told.say_on(3, 2_003, 0, Protocol::Resp2, "SUNION one two");
    assert!(told.read_on());
    told.say_on(4, 2_004, 0, Protocol::Resp2, "SADD two more");
    told.say_on(5, 2_005, 0, Protocol::Resp2, "SREM one m:5");
    told.say_on(6, 2_006, 0, Protocol::Resp2, "RPUSH list 5 6");
    told.say_on(7, 2_007, 0, Protocol::Resp2, "SET new v");
    assert!(told.done.contains(&2_007));
    assert!((2_004..=2_006).all(|waiting| !told.done.contains(&waiting)));
    // Nobody reads.
    while told.shard.read_on(|_, _| false) {}
    told.take_pieces();
    assert!((2_004..=2_006).all(|waiting| told.done.contains(&waiting)));
    assert!(told.shard.has_long_reads());
    while told.read_on() {}
    assert!(told.reply(2_000).starts_with(b"*1003\r\n"));
    assert!(
        told.reply(2_001)
            .starts_with(b"*1000\r\n$3\r\n999\r\n$3\r\n998\r\n")
    );
    assert!(told.reply(2_003).starts_with(b"*1500\r\n"));
    assert!(told.shard.is_quiet());
}
