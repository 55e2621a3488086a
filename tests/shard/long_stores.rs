//! What is stored is made bit by bit as well: it is what would be stored at once, and true when it is stored.

use super::told::{BEGIN_MS, Told, elements, fill, shard};
use rondo::keyspace::Classes;
use rondo::resp::Protocol;
use rondo::router::{FromShard, KeyLock, LockMode, LockSet, ToShard};
use rondo::shard::CycleBudget;

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

/// A script that seizes a key, or the shard, finds stored what was being made: nothing runs between its calls. Where it wants
/// other keys, it goes on being made.
#[test]
fn a_script_that_seizes_keys_finds_stored_what_was_being_made() {
    for (wanted, is_stored) in [(Some("dst"), true), (Some("other"), false), (None, true)] {
        let mut told = Told::over(shard(), usize::MAX, 64);
        let mut next = 0;
        let mut filled = [told, Told::over(shard(), usize::MAX, 64)];
        fill(&mut filled, &mut next);
        [told, _] = filled;
        told.shard.keys.set_stored_elements_max(100);
        told.say_on(1, next, 0, Protocol::Resp2, "SUNIONSTORE dst set ints");
        assert!(!told.done.contains(&next));
        let locks = match wanted {
            Some(key) => {
                let hash = told.shard.keys.key(key.as_bytes()).hash;
                let mode = LockMode::Exclusive;
                LockSet::of_keys(0, vec![KeyLock { hash, mode }])
            }
            None => LockSet::of_shard(0, LockMode::Exclusive),
        };
        told.shard.handle(ToShard::Seize {
            tx: 7,
            core: 0,
            locks,
            then: None,
        });
        let mut has_stored = false;
        let mut is_seized = false;
        while let Some((_, event)) = told.shard.next_event() {
            match event {
                FromShard::Part { is_last, .. } => has_stored |= is_last && !is_seized,
                FromShard::Seized { .. } => is_seized = true,
                _ => panic!("nothing else is said"),
            }
        }
        assert_eq!((has_stored, is_seized), (is_stored, true), "{wanted:?}");
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
