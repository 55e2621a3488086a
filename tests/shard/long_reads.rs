//! Replies in pieces beside one that comes whole, from shards that are told the same, whatever is done between the pieces.

use crate::ds::chi_square;
use rondo::commands::table;
use rondo::commands::table::Caller;
use rondo::keyspace::{Classes, Keyspace, KeyspaceOptions};
use rondo::resp::Protocol;
use rondo::resp::args::OwnedArgs;
use rondo::router::{FromShard, LockMode, LockSet, Operation, Origin, Output, ToShard};
use rondo::shard::{CycleBudget, Outcome, Request, Shard};
use std::collections::BTreeMap;

const BEGIN_MS: i64 = 1_700_000_000_000;

fn shard() -> Shard {
    let mut shard = Shard::new(0, Keyspace::new(KeyspaceOptions::for_tests(1)));
    shard.set_now(BEGIN_MS);
    shard
}

/// A shard, and what its clients have been told, by request.
struct Told {
    shard: Shard,
    replies: BTreeMap<u64, Vec<u8>>,
    /// Those that are whole.
    done: Vec<u64>,
    ids: Vec<u64>,
    pieces_count: usize,
}

impl Told {
    /// Nothing waits: whatever changes a key has the rest of its replies made first.
    fn new(elements_max: usize, piece_elements: usize) -> Self {
        Self::over(shard().without_locks(), elements_max, piece_elements)
    }

    fn over(mut shard: Shard, elements_max: usize, piece_elements: usize) -> Self {
        shard.set_long_reads(elements_max, piece_elements);
        Self {
            shard,
            replies: BTreeMap::new(),
            done: Vec::new(),
            ids: Vec::new(),
            pieces_count: 0,
        }
    }

    fn say(&mut self, sequence: u64, db: u16, protocol: Protocol, line: &str) {
        self.say_on(1, sequence, db, protocol, line);
    }

    fn say_on(&mut self, connection: u32, sequence: u64, db: u16, protocol: Protocol, line: &str) {
        let owned: OwnedArgs = line.split(' ').map(str::as_bytes).collect();
        let args = owned.as_args();
        let request = Request {
            entry: table().resolve(&args).expect("a good command"),
            db,
            caller: Caller {
                protocol,
                ..Caller::default()
            },
            origin: Origin {
                core: 0,
                connection,
                generation: 1,
                sequence,
            },
        };
        let mut reply = Vec::new();
        match self.shard.execute(&request, &args, &mut reply) {
            Outcome::Done => {
                self.done.push(sequence);
                assert!(!reply.is_empty(), "{line}");
            }
            Outcome::Deferred => assert!(reply.is_empty(), "{line}"),
        }
        self.replies.insert(sequence, reply);
        self.take_pieces();
    }

    fn take_pieces(&mut self) {
        while let Some((_, event)) = self.shard.next_event() {
            let (reading, origin, bytes, bytes_so_far, is_last) = match event {
                FromShard::Part {
                    reading,
                    origin,
                    bytes,
                    bytes_so_far,
                    is_last,
                    ..
                } => (reading, origin, bytes, bytes_so_far, is_last),
                FromShard::Late { origin, reply, .. } => {
                    self.done.push(origin.sequence);
                    self.replies.insert(origin.sequence, reply);
                    continue;
                }
                _ => panic!("nothing else is said"),
            };
            self.pieces_count += 1;
            let reply = self.replies.entry(origin.sequence).or_default();
            reply.extend_from_slice(&bytes);
            assert_eq!(bytes_so_far, reply.len() as u64);
            if is_last {
                self.done.push(origin.sequence);
            }
            self.ids.push(reading);
        }
    }

    fn read_on(&mut self) -> bool {
        let has_read = self.shard.read_on(|_, _| true);
        self.take_pieces();
        has_read
    }

    fn reply(&self, sequence: u64) -> &[u8] {
        &self.replies[&sequence]
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        let next = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = next.wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound
    }
}

/// A reply's elements; in order where they have none, `width` of them being one. 0: its lines, in order.
fn elements(reply: &[u8], width: Option<usize>) -> Vec<Vec<u8>> {
    let text = reply.to_vec();
    let lines: Vec<Vec<u8>> = text
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let Some(width) = width else { return lines };
    if width == 0 {
        let mut lines = lines;
        lines.sort_unstable();
        return lines;
    }
    let (head, rest) = lines.split_first().expect("a head");
    // A bulk string is two lines.
    let mut found: Vec<Vec<u8>> = rest.chunks(2 * width).map(|it| it.concat()).collect();
    found.sort_unstable();
    found.insert(0, head.clone());
    found
}

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

fn fill(told: &mut [Told; 2], next: &mut u64) {
    let mut both = |line: &str| {
        told.iter_mut()
            .for_each(|it| it.say(*next, 0, Protocol::Resp2, line));
        *next += 1;
    };
    both("SADD small a b");
    both("ARSET sparse 0 first");
    both("ARSET sparse 100000 last");
    both("ZADD zeros -0 a -0 b 0 c 0 d");
    for index in 0..1_000 {
        both(&format!("SADD set member:{index}"));
        both(&format!("SADD ints {}", index * 7));
        both(&format!("HSET hash field:{index} value:{index}"));
        both(&format!("ZADD zset {} member:{index}", index / 3));
        both(&format!("RPUSH list element:{index}"));
        both(&format!("SADD ints2 {}", index * 14));
        both(&format!("RPUSH numbers {}.50", index % 37));
        both(&format!("SET key:{index} text"));
        both(&format!("XADD stream2 {}-1 f {index}", index + 1));
        both(&format!("ARSET array {} {}", index * 2, index % 100));
        both(&format!("ARRING ring 1000 text:{index}"));
        if index % 3 == 0 {
            both(&format!("ARRING ring 1000 more:{index}"));
        }
        both(&format!("ZADD zset2 -{index} member:{}", index * 2));
        let (east, north) = (index % 40 * 25, index / 40 * 3);
        both(&format!(
            "GEOADD geo {}.{:02} {}.{} place:{index}",
            east / 100 - 4,
            east % 100,
            north / 10 + 40,
            north % 10
        ));
        both(&format!("XADD stream {}-1 f {index} g value", index + 1));
        both(&format!("ZADD zeros {} member:{index}", index as i64 - 20));
        both(&format!("ZADD zeros -0 zero:{index}"));
    }
}

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

/// The draws of a reply, without its head; each is `words` bulk strings.
fn draws(reply: &[u8], head: &str, words: usize) -> Vec<String> {
    let text = std::str::from_utf8(reply).expect("all is text");
    let rest = text.strip_prefix(head).expect(head);
    let lines: Vec<&str> = rest.split_terminator("\r\n").collect();
    assert!(lines.len().is_multiple_of(2 * words), "{head}");
    lines.chunks(2 * words).map(|it| it.join(" ")).collect()
}

/// Whoever changes the key does not wait, and what is drawn after that is of what there was before.
#[test]
fn draws_are_from_what_there_was() {
    let cases = [
        (
            "SRANDMEMBER set -3000",
            "*3000\r\n",
            1,
            "SADD set new",
            "SADD set back",
        ),
        (
            "HRANDFIELD hash -3000 WITHVALUES",
            "*6000\r\n",
            2,
            "HSET hash new 1",
            "HSET hash b 1",
        ),
        (
            "ZRANDMEMBER zset -3000",
            "*3000\r\n",
            1,
            "ZADD zset 1 new",
            "ZADD zset 1 back",
        ),
    ];
    for (request, head, width, change, renewal) in cases {
        let key = request.split(' ').nth(1).expect("a key");
        for members in [3, 500] {
            for end in ["DEL {}", "FLUSHALL", "RENAME {} other", "PEXPIRE {} 1"] {
                let mut told = Told::over(shard(), 50, 64);
                for index in 0..members {
                    told.say(
                        1_000 + index,
                        0,
                        Protocol::Resp2,
                        &format!("SADD set m:{index}"),
                    );
                    told.say(
                        2_000 + index,
                        0,
                        Protocol::Resp2,
                        &format!("HSET hash m:{index} v"),
                    );
                    told.say(
                        3_000 + index,
                        0,
                        Protocol::Resp2,
                        &format!("ZADD zset 5 m:{index}"),
                    );
                }
                let say = |told: &mut Told, sequence: u64, line: &str| {
                    told.say_on(sequence as u32, sequence, 0, Protocol::Resp2, line);
                    assert!(told.done.contains(&sequence), "{line} does not wait");
                };
                told.say_on(1, 1, 0, Protocol::Resp2, request);
                assert!(told.read_on());
                say(&mut told, 2, change);
                assert!(told.read_on());
                say(&mut told, 3, &end.replace("{}", key));
                told.shard.set_now(BEGIN_MS + 50);
                say(&mut told, 4, renewal);
                let mut pieces_count = 2;
                while told.read_on() {
                    pieces_count += 1;
                }
                assert!(told.done.contains(&1) && told.shard.is_quiet(), "{request}");
                let drawn = draws(told.reply(1), head, width);
                assert_eq!(drawn.len(), 3_000, "{request}");
                let known =
                    |it: &String| it.split(' ').nth(1).is_some_and(|it| it.starts_with("m:"));
                assert!(drawn.iter().all(known), "{request} {end}");
                // All of few are drawn, and the change did not make the rest at once.
                let different: std::collections::HashSet<_> = drawn.iter().collect();
                assert!(different.len() as u64 > members * 9 / 10, "{request}");
                assert!(pieces_count > 40, "{request}: {pieces_count}");
            }
        }
    }
}

/// Pages of a set that nothing sorts, of which the last ones are long enough to be read in pieces, are all of it.
#[test]
fn pages_of_a_set_show_each_member_once() {
    let mut told = Told::over(shard(), 50, 64);
    for number in 0..1000 {
        told.say(1, 0, Protocol::Resp2, &format!("SADD set m{number}"));
    }
    let mut shown = Vec::new();
    for page in 0..50 {
        let line = format!("SORT set BY nosort LIMIT {} 20", page * 20);
        let sequence = 2 + page;
        told.say(sequence, 0, Protocol::Resp2, &line);
        while told.read_on() {}
        assert!(told.done.contains(&sequence), "{line}");
        shown.extend(draws(told.reply(sequence), "*20\r\n", 1));
    }
    shown.sort_unstable();
    shown.dedup();
    assert_eq!(shown.len(), 1000);
}

/// Chi-square of what is drawn, and of pairs of one and the next, over all pieces of replies from listpacks.
#[test]
fn draws_in_pieces_are_as_likely_whatever_was_drawn_before() {
    let mut told = Told::over(shard(), 50, 64);
    for number in 0..10 {
        told.say(1, 0, Protocol::Resp2, &format!("SADD set {number} x"));
        told.say(1, 0, Protocol::Resp2, &format!("HSET hash {number} v"));
        told.say(1, 0, Protocol::Resp2, &format!("ZADD zset 5 {number}"));
    }
    told.say(1, 0, Protocol::Resp2, "SREM set x");
    // One that is dead comes first, and is passed over.
    told.say(1, 0, Protocol::Resp2, "HSET hash dead v");
    told.say(1, 0, Protocol::Resp2, "HPEXPIRE hash 1 FIELDS 1 dead");
    told.shard.set_now(BEGIN_MS + 50);
    told.shard.keys.set_expiry_paused(true);
    let requests = ["SRANDMEMBER set", "HRANDFIELD hash", "ZRANDMEMBER zset"];
    for (sequence, request) in (2..).zip(requests) {
        let line = format!("{request} -20000");
        told.say(sequence, 0, Protocol::Resp2, &line);
        while told.read_on() {}
        assert!(told.done.contains(&sequence), "{request}");
        let drawn: Vec<usize> = draws(told.reply(sequence), "*20000\r\n", 1)
            .iter()
            .map(|it| it.strip_prefix("$1 ").expect("a digit"))
            .map(|digit| digit.parse().expect("a digit"))
            .collect();
        assert_eq!(drawn.len(), 20_000, "{request}");
        let (mut ones, mut pairs) = ([0_u32; 10], [0_u32; 100]);
        for pair in drawn.chunks(2) {
            ones[pair[0]] += 1;
            ones[pair[1]] += 1;
            pairs[10 * pair[0] + pair[1]] += 1;
        }
        // One in a million is above these, and the seed is fixed.
        assert!(chi_square(&ones) < 45.0, "{request}: {ones:?}");
        assert!(chi_square(&pairs) < 181.0, "{request}: {pairs:?}");
    }
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

/// Of a large positive count no member comes twice, and each comes in its turn.
#[test]
fn what_is_chosen_is_different() {
    let mut told = Told::over(shard(), 50, 64);
    for index in 0..1_000 {
        for line in ["SADD set m:{}", "HSET hash m:{} v", "ZADD zset {} m:{}"] {
            let line = line.replace("{}", &index.to_string());
            told.say(index, 0, Protocol::Resp2, &line);
        }
    }
    for (request, head, words) in [
        ("SRANDMEMBER set 300", "*300\r\n", 1),
        ("HRANDFIELD hash 300 WITHVALUES", "*600\r\n", 2),
        ("ZRANDMEMBER zset 300 WITHSCORES", "*600\r\n", 2),
    ] {
        let mut seen = std::collections::HashSet::new();
        for sequence in 2_000..2_100 {
            told.say(sequence, 0, Protocol::Resp2, request);
            assert!(!told.done.contains(&sequence), "{request}");
            while told.read_on() {}
            let mut chosen = draws(told.reply(sequence), head, words);
            assert_eq!(chosen.len(), 300, "{request}");
            chosen.sort_unstable();
            chosen.dedup();
            assert_eq!(chosen.len(), 300, "{request}");
            seen.extend(chosen);
            told.done.clear();
        }
        // That one is missing has a chance of 1,000 times 0.7 to the 100th power.
        assert_eq!(seen.len(), 1_000, "{request}");
    }
}

const STORES: [&str; 37] = [
    "SUNIONSTORE dst set ints",
    "SUNIONSTORE dst ints ints2",
    "SUNIONSTORE set set nothing small",
    "SUNIONSTORE dst set ints ints2 small set ints ints2 small set ints",
    "SINTERSTORE dst ints ints2",
    "SINTERSTORE ints set set ints2",
    "SINTERSTORE dst set set",
    "SDIFFSTORE dst set small",
    "SDIFFSTORE dst ints ints2",
    "SDIFFSTORE dst set ints ints2 small",
    "ZUNIONSTORE dst 2 zset zset2 WEIGHTS 2 -1",
    "ZUNIONSTORE zset 10 zset zset2 set zset small zset2 set zset ints zset2 AGGREGATE MIN",
    "ZINTERSTORE zset2 3 zset zset2 set",
    "ZDIFFSTORE dst 2 zset zset2",
    "ZINTERSTORE dst 2 zset ints",
    "ZRANGESTORE dst zset 0 -1",
    "ZRANGESTORE zset zset 5 -7 REV",
    "ZRANGESTORE dst zeros 0 -1",
    "ZRANGESTORE dst zeros 0 900 BYSCORE",
    "ZRANGESTORE dst zeros 900 -900 BYSCORE REV LIMIT 3 1200",
    "ZRANGESTORE dst zeros (-10 +inf BYSCORE LIMIT 1 700",
    "GEOSEARCHSTORE dst geo FROMLONLAT 0 43 BYRADIUS 3000 km",
    "GEOSEARCHSTORE geo geo FROMLONLAT 0 43 BYBOX 3000 2000 km STOREDIST",
    "GEOSEARCHSTORE dst geo FROMMEMBER place:7 BYRADIUS 3000 km COUNT 200 STOREDIST",
    "GEOSEARCHSTORE dst geo FROMMEMBER place:7 BYRADIUS 3000 km COUNT 700 ANY DESC",
    "GEOSEARCHSTORE dst geo FROMMEMBER place:7 BYRADIUS 20000 km ASC",
    "GEOSEARCHSTORE dst geo FROMLONLAT 0 43 BYRADIUS 20000 km COUNT 100",
    "GEORADIUS geo 0 43 20000 km STOREDIST dst",
    "SORT list ALPHA DESC STORE dst",
    "SORT list ALPHA STORE list",
    "SORT list STORE dst",
    "SORT numbers DESC LIMIT 300 600 GET # GET # STORE dst",
    "SORT ints BY nosort STORE ints",
    "SORT ints LIMIT 400 5 STORE dst",
    "SORT numbers LIMIT 5000 5 STORE dst",
    "SORT list BY nosort DESC LIMIT 100 600 STORE list",
    "SORT zset BY nosort LIMIT 100 600 GET # GET # STORE dst",
];

/// What a key holds, and how.
fn look(told: &mut Told, next: &mut u64, key: &str) -> Vec<Vec<u8>> {
    let lines = [
        ("TYPE", ""),
        ("OBJECT ENCODING", ""),
        ("PTTL", ""),
        ("SMEMBERS", ""),
        ("ZRANGE", " 0 -1 WITHSCORES"),
        ("LRANGE", " 0 -1"),
    ];
    let look = |(name, rest): (&str, &str)| {
        *next += 1;
        told.say_on(9, *next, 0, Protocol::Resp2, &format!("{name} {key}{rest}"));
        while told.read_on() {}
        let width = (name == "SMEMBERS").then_some(1);
        elements(told.reply(*next), width)
    };
    lines.map(look).into_iter().collect::<Vec<_>>().concat()
}

/// What is stored bit by bit is what would be stored at once; who wants one of its keys waits, and nobody else does.
#[test]
fn what_is_stored_may_be_made_bit_by_bit() {
    for line in STORES {
        let mut told = [shard(), shard()].map(|shard| Told::over(shard, usize::MAX, 64));
        let mut next = 0;
        fill(&mut told, &mut next);
        told[1].shard.keys.set_stored_elements_max(100);
        let words: Vec<&str> = line.split(' ').collect();
        let is_combined = ["ZUNION", "ZINTER", "ZDIFF"];
        let (stored, source) = match words[0] {
            "SORT" => (words[words.len() - 1], words[1]),
            "GEORADIUS" => (words[words.len() - 1], words[1]),
            name if is_combined.iter().any(|it| name.starts_with(it)) => (words[1], words[3]),
            _ => (words[1], words[2]),
        };
        for it in &mut told {
            it.say_on(1, next, 0, Protocol::Resp2, "SET dst old PX 100000");
            it.say_on(1, next + 1, 0, Protocol::Resp2, line);
        }
        let [whole, pieces] = &mut told;
        assert!(!pieces.done.contains(&(next + 1)), "{line}");
        pieces.say_on(2, next + 2, 0, Protocol::Resp2, &format!("DEL {stored}"));
        pieces.say_on(3, next + 3, 0, Protocol::Resp2, &format!("TYPE {source}"));
        pieces.say_on(4, next + 4, 0, Protocol::Resp2, "SET other text");
        assert!(pieces.done.contains(&(next + 4)));
        let mut steps_count = 0;
        while !pieces.done.contains(&(next + 1)) {
            let waits = |it: u64| !pieces.done.contains(&it);
            assert!(waits(next + 2) && waits(next + 3), "{line}");
            // Nobody reads, and there is nothing to be read.
            assert!(pieces.shard.read_on(|_, _| false), "{line}");
            pieces.take_pieces();
            steps_count += 1;
        }
        let is_refused = whole.reply(next + 1).starts_with(b"-");
        assert!(steps_count > 5 || is_refused, "{line}: {steps_count}");
        assert_eq!(pieces.reply(next + 1), whole.reply(next + 1), "{line}");
        let is_there = pieces.reply(next + 1) != b":0\r\n";
        let deleted = format!(":{}\r\n", u8::from(is_there));
        assert_eq!(pieces.reply(next + 2), deleted.as_bytes(), "{line}");
        assert!(pieces.done.contains(&(next + 3)) && pieces.shard.is_quiet());
        // Again, to be looked at.
        next += 10;
        let mut fresh = [shard(), shard()].map(|shard| Told::over(shard, usize::MAX, 64));
        fill(&mut fresh, &mut next);
        fresh[1].shard.keys.set_stored_elements_max(100);
        let mut counted = Vec::new();
        let looks = fresh.each_mut().map(|it| {
            let mut next = next;
            it.shard.keys.set_shown_events(SHOWN);
            it.say_on(1, next, 0, Protocol::Resp2, "SET dst old PX 100000");
            reads_counted(it);
            it.say_on(1, next + 1, 0, Protocol::Resp2, line);
            while it.read_on() {}
            counted.push(reads_counted(it));
            next += 2;
            look(it, &mut next, stored)
        });
        assert_eq!(looks[0], looks[1], "{line}");
        assert_eq!(counted[0], counted[1], "{line}");
        let misses_count = line.matches("nothing").count();
        assert_eq!(counted[1].2, misses_count, "{line}");
    }
}

const SHOWN: Classes = Classes::MISS.or(Classes::KEYEVENT);

/// Keys found and not found since the last call, and the misses that were told.
fn reads_counted(told: &mut Told) -> (u64, u64, usize) {
    let stats = *told.shard.keys.stats();
    told.shard.keys.reset_stats();
    let events = told.shard.keys.take_events();
    let misses = events.iter().filter(|event| event.name == "keymiss");
    let misses_count = misses.count();
    (stats.keyspace_hits, stats.keyspace_misses, misses_count)
}

/// Where what it is made of changes all the same, a request stores what there is at its end.
#[test]
fn what_is_stored_is_true_when_it_is_stored() {
    let changes = [
        "SREM set member:5",
        "SADD set more",
        "DEL set",
        "ZADD zset 5 more",
        "ZREM zset member:299",
        "DEL zset2",
        "RENAME zset2 zset",
        "PEXPIRE set 1",
        "PEXPIRE zset 1",
        "FLUSHALL",
        "SWAPDB 0 1",
        "SET set text",
        "SADD ints 5",
        "GET nothing",
    ];
    let stores = [
        "SUNIONSTORE dst set ints",
        "SINTERSTORE dst set set",
        "SDIFFSTORE set set ints",
        "ZUNIONSTORE dst 3 zset zset2 set",
        "ZINTERSTORE zset 2 zset zset",
        "ZRANGESTORE dst zset 0 -1 REV",
        "SORT set ALPHA STORE dst",
        "SORT zset BY nosort STORE zset",
    ];
    for line in stores {
        for change in changes {
            for steps_count in [0, 1, 10, 30] {
                let mut told = [Told::new(usize::MAX, 16), Told::new(usize::MAX, 16)];
                let next = 1_000;
                for it in &mut told {
                    for index in 0..300 {
                        let lines = [
                            format!("SADD set member:{index}"),
                            format!("SADD ints {index}"),
                            format!("ZADD zset {} member:{index}", index / 3),
                            format!("ZADD zset2 {index} member:{}", index * 2),
                        ];
                        for line in lines {
                            it.say(index, 0, Protocol::Resp2, &line);
                        }
                    }
                }
                told[1].shard.keys.set_stored_elements_max(100);
                let [whole, pieces] = &mut told;
                pieces.say_on(1, next, 0, Protocol::Resp2, line);
                (0..steps_count).for_each(|_| {
                    pieces.read_on();
                });
                let was_done = pieces.done.contains(&next);
                assert!(steps_count > 1 || !was_done);
                if was_done {
                    whole.say_on(1, next, 0, Protocol::Resp2, line);
                }
                for it in [&mut *whole, &mut *pieces] {
                    it.say_on(2, next + 1, 0, Protocol::Resp2, change);
                    it.shard.set_now(BEGIN_MS + 50);
                    it.shard.cycle(CycleBudget::default());
                }
                while pieces.read_on() {}
                if !was_done {
                    whole.say_on(1, next, 0, Protocol::Resp2, line);
                }
                let about = format!("{line}, {change} after {steps_count}");
                assert_eq!(pieces.reply(next), whole.reply(next), "{about}");
                assert!(pieces.shard.is_quiet());
                for key in ["dst", "set", "zset"] {
                    let looks = [&mut *whole, &mut *pieces].map(|it| {
                        let mut next = next + 2;
                        look(it, &mut next, key)
                    });
                    assert_eq!(looks[0], looks[1], "{about}: {key}");
                }
            }
        }
    }
}
