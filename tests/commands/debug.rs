//! DEBUG's subcommands that touch keys, run as the container runs them.

use super::runner::Runner;
use super::say::{say_in, session};
use rondo::commands::debug::DEBUG_KEYS;
use rondo::commands::debug_tables::{DEBUG_TABLES, join_tables};
use rondo::commands::table::{Aside, Call, Caller};
use rondo::keyspace::{KeyspaceOptions, SlotMap};
use rondo::resp::args::OwnedArgs;
use rondo::resp::{Protocol, Reply};

/// Runs `DEBUG` with these words after it.
fn debug(runner: &mut Runner, words: &[&str]) -> String {
    let rows = DEBUG_KEYS.iter().chain(DEBUG_TABLES);
    let row = rows.into_iter().find(|row| row.name == words[0]);
    let Some(run) = row.expect("a row").run.on_keys() else {
        panic!("{} runs on keys", words[0]);
    };
    let args: OwnedArgs = words.iter().map(|word| word.as_bytes()).collect();
    let mut call = Call {
        keys: &mut runner.keys,
        db: runner.db,
        caller: &Caller::default(),
        patience: Default::default(),
        is_alone: false,
        is_logged: false,
        aside: &mut Aside::default(),
    };
    let mut out = Vec::new();
    let result = run(
        &mut call,
        &args.as_args(),
        &mut Reply::new(&mut out, runner.protocol),
    );
    match result {
        Ok(_) => String::from_utf8(out).expect("text").trim_end().to_string(),
        Err(error) => format!("-{}", error.text()),
    }
}

/// One element of every type, as both protocols write it.
#[test]
fn protocol_shows_every_type() {
    let mut resp2 = session("");
    let mut resp3 = session("");
    resp3.protocol = Protocol::Resp3;
    let big = "1234567999999999999999999999999999999";
    let cases = [
        ("string", "$11 Hello World ", "$11 Hello World "),
        ("integer", ":12345 ", ":12345 "),
        ("double", "$5 3.141 ", ",3.141 "),
        ("bignum", &format!("$37 {big} "), &format!("({big} ")),
        ("null", "$-1 ", "_ "),
        ("array", "*3 :0 :1 :2 ", "*3 :0 :1 :2 "),
        ("set", "*3 :0 :1 :2 ", "~3 :0 :1 :2 "),
        ("map", "*6 :0 :0 :1 :1 :2 :0 ", "%3 :0 #f :1 #t :2 #f "),
        (
            "attrib",
            "$39 Some real reply following the attribute ",
            "|1 $14 key-popularity *2 $7 key:123 :90 $39 Some real reply following the attribute ",
        ),
        (
            "push",
            "-ERR RESP2 is not supported by this command ",
            ">2 $16 server-cpu-usage :42 $40 Some real reply following the push reply ",
        ),
        (
            "verbatim",
            "$25 This is a verbatim\nstring ",
            "=29 txt:This is a verbatim\nstring ",
        ),
        ("true", ":1 ", "#t "),
        ("FALSE", ":0 ", "#f "),
    ];
    for (name, in_resp2, in_resp3) in cases {
        let words = ["DEBUG", "PROTOCOL", name];
        assert_eq!(say_in(&mut resp2, &words), in_resp2);
        assert_eq!(say_in(&mut resp3, &words), in_resp3);
    }
    assert_eq!(
        say_in(&mut resp2, &["DEBUG", "PROTOCOL", "x"]),
        "-ERR Wrong protocol type name. Please use one of the following: \
         string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false "
    );
}

#[test]
fn populate_makes_the_keys_that_are_missing() {
    let mut runner = Runner::new(1);
    runner.say("SET key:3 mine");
    assert_eq!(debug(&mut runner, &["POPULATE", "10"]), "+OK");
    assert_eq!(runner.say("DBSIZE"), ":10");
    assert_eq!(runner.say("GET key:3"), "\"mine\"");
    assert_eq!(runner.say("GET key:9"), "\"value:9\"");
    assert_eq!(debug(&mut runner, &["POPULATE", "2", "big", "50"]), "+OK");
    assert_eq!(runner.say("STRLEN big:1"), ":50");
    assert_eq!(runner.say("OBJECT ENCODING big:1"), "\"raw\"");
    assert_eq!(debug(&mut runner, &["POPULATE", "1", "cut", "3"]), "+OK");
    assert_eq!(runner.say("GET cut:0"), "\"val\"");
    let negative = "-ERR value is out of range, must be positive";
    assert_eq!(debug(&mut runner, &["POPULATE", "-1"]), negative);
    assert_eq!(debug(&mut runner, &["POPULATE", "1", "k", "-1"]), negative);
    assert_eq!(
        debug(&mut runner, &["POPULATE", "x"]),
        "-ERR value is not an integer or out of range"
    );
    assert_eq!(
        debug(&mut runner, &["POPULATE", "1", "k", "1", "more"]),
        "-ERR unknown subcommand or wrong number of arguments for 'POPULATE'. Try DEBUG HELP."
    );
}

/// Each shard makes the keys it owns, so together they make all of them.
#[test]
fn populate_is_cut_by_shard() {
    let mut total = 0;
    for shard in 0..3 {
        let mut runner = Runner::with_options(KeyspaceOptions {
            slots: SlotMap::new(3),
            shard,
            ..KeyspaceOptions::for_tests(1)
        });
        assert_eq!(debug(&mut runner, &["POPULATE", "300"]), "+OK");
        let count = runner.keys.keys_count(0);
        assert!(count > 50, "shard {shard} has {count}");
        total += count;
    }
    assert_eq!(total, 300);
}

#[test]
fn object_tells_how_a_value_is_held() {
    let mut runner = Runner::new(1);
    assert_eq!(
        debug(&mut runner, &["OBJECT", "missing"]),
        "-ERR no such key"
    );
    runner.say("SET n 1000");
    runner.say("SET s hello");
    let line = debug(&mut runner, &["OBJECT", "n"]);
    assert!(line.starts_with("+Value at:0x"), "{line}");
    assert!(
        line.contains(" refcount:1 encoding:int serializedlength:3 lru:"),
        "{line}"
    );
    let line = debug(&mut runner, &["OBJECT", "s"]);
    assert!(
        line.contains(" encoding:embstr serializedlength:6 lru:"),
        "{line}"
    );
    assert!(line.ends_with(" lru_seconds_idle:0"), "{line}");
    // As many bytes as in an RDB file, compressed as there: those of a payload without its type, version and checksum.
    runner.run(&["RPUSH", "l", &"A".repeat(1000), "b"]);
    runner.say("HSET h f 1 g 2");
    for key in ["l", "h"] {
        let payload = runner.run(&["DUMP", key]);
        let start = payload
            .iter()
            .position(|byte| *byte == b'\n')
            .expect("a bulk")
            + 1;
        let length = payload.len() - start - 2 - 11;
        let line = debug(&mut runner, &["OBJECT", key]);
        let expected = format!(" serializedlength:{length} ");
        assert!(line.contains(&expected), "{expected} in {line}");
    }
    runner.wait(5000);
    let line = debug(&mut runner, &["OBJECT", "s"]);
    assert!(line.ends_with(" lru_seconds_idle:5"), "{line}");
}

#[test]
fn set_active_expire_stops_the_cycle() {
    let mut runner = Runner::new(1);
    runner.say("SET k v PX 10");
    runner.wait(20);
    assert_eq!(debug(&mut runner, &["SET-ACTIVE-EXPIRE", "0"]), "+OK");
    assert_eq!(runner.keys.expire_cycle(10_000), 0);
    assert_eq!(runner.keys.keys_count(0), 1);
    assert_eq!(debug(&mut runner, &["SET-ACTIVE-EXPIRE", "1"]), "+OK");
    assert!(runner.keys.expire_cycle(10_000) > 0);
    assert_eq!(runner.keys.keys_count(0), 0);
}

/// The number after `name: ` in a text.
fn figure(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.unwrap_or_else(|| panic!("no {name:?} in {text}"));
    number.trim().parse().expect("a number")
}

/// What the distribution of chain lengths adds up to: places, and records.
fn distribution(text: &str) -> (u64, u64) {
    let rows = text.lines().filter(|line| line.ends_with("%)"));
    rows.fold((0, 0), |(places, records), line| {
        let (length, rest) = line.trim().split_once(": ").expect("a row");
        let count: u64 = rest
            .split(' ')
            .next()
            .expect("a count")
            .parse()
            .expect("a number");
        let length: u64 = length.parse().expect("a number");
        (places + count, records + length * count)
    })
}

/// Every key has one home, and every bucket is one row of the distribution, however the table grew and shrank.
#[test]
fn the_main_table_tells_its_shape() {
    let mut runner = Runner::new(1);
    let empty = "$29\r\n[Dictionary HT]\n[Expires HT]\n";
    assert_eq!(debug(&mut runner, &["HTSTATS", "0"]), empty.trim_end());
    debug(&mut runner, &["POPULATE", "5000"]);
    for removed in [0, 4000, 990] {
        let last = runner.keys.keys_count(0);
        for number in last - removed..last {
            runner.say(&format!("DEL key:{number}"));
        }
        let left = (last - removed) as u64;
        let text = debug(&mut runner, &["HTSTATS", "0", "FULL"]);
        let places = figure(&text, " table size:");
        assert_eq!(figure(&text, " number of elements:"), left);
        assert_eq!(distribution(&text), (places, left), "{text}");
        assert!(
            figure(&text, " different slots:") <= places.min(left),
            "{text}"
        );
        // Eight to a bucket; an emptied table has shrunk.
        assert!(places * 8 >= left && places <= left.max(64), "{text}");
        let short = debug(&mut runner, &["HTSTATS", "0"]);
        assert!(
            !short.contains("chain") && short.contains("[Expires HT]"),
            "{short}"
        );
    }
    let refused = "-ERR Out of range database";
    assert_eq!(debug(&mut runner, &["HTSTATS", "16"]), refused);
    assert_eq!(debug(&mut runner, &["HTSTATS", "-1"]), refused);
}

/// What each of three shards says becomes what one with all keys would say of as many keys.
#[test]
fn tables_of_several_shards_are_told_as_one() {
    let parts: Vec<Vec<u8>> = (0..3)
        .map(|shard| {
            let mut runner = Runner::with_options(KeyspaceOptions {
                slots: SlotMap::new(3),
                shard,
                ..KeyspaceOptions::for_tests(1)
            });
            debug(&mut runner, &["POPULATE", "600"]);
            let text = debug(&mut runner, &["HTSTATS", "0", "full"]);
            format!("{text}\r\n").into_bytes()
        })
        .collect();
    let joint = String::from_utf8(join_tables(&parts).expect("figures")).expect("text");
    let places = figure(&joint, " table size:");
    assert_eq!(figure(&joint, " number of elements:"), 600);
    assert_eq!(distribution(&joint), (places, 600), "{joint}");
    assert_eq!(join_tables(&[b"+OK\r\n".to_vec()]), None);
}

#[test]
fn tables_of_values_tell_their_shape() {
    let mut runner = Runner::new(1);
    runner.say("SET s 1");
    runner.say("RPUSH l 1");
    runner.say("SADD small a b");
    let other = "-ERR The value stored at the specified key is not represented using an hash table";
    for key in ["s", "l", "small"] {
        assert_eq!(debug(&mut runner, &["HTSTATS-KEY", key]), other, "{key}");
    }
    assert_eq!(
        debug(&mut runner, &["HTSTATS-KEY", "none"]),
        "-ERR no such key"
    );
    for number in 0..1000 {
        runner.say(&format!("SADD set m{number}"));
        runner.say(&format!("HSET hash f{number} v"));
        runner.say(&format!("ZADD zset {number} m{number}"));
    }
    for key in ["set", "hash", "zset"] {
        let text = debug(&mut runner, &["HTSTATS-KEY", key, "full"]);
        let places = figure(&text, " table size:");
        assert_eq!(figure(&text, " number of elements:"), 1000, "{key}");
        assert_eq!(distribution(&text), (places, 1000), "{key}: {text}");
        assert!((1000..2000).contains(&places), "{key}: {text}");
    }
}

#[test]
fn lists_tell_of_their_nodes() {
    let mut runner = Runner::new(1);
    let short = debug(&mut runner, &["QUICKLIST-PACKED-THRESHOLD", "200b"]);
    assert_eq!(short, "+OK");
    let long = "x".repeat(300);
    let element = "y".repeat(150);
    let words: Vec<&str> = ["RPUSH", "list"]
        .into_iter()
        .chain([long.as_str(), "1", "2", &long, &element])
        .chain(std::iter::repeat_n(element.as_str(), 60))
        .collect();
    runner.run(&words);
    let line = debug(&mut runner, &["OBJECT", "list"]);
    let nodes = " encoding:quicklist ";
    assert!(line.contains(nodes), "{line}");
    let end =
        " ql_nodes:5 ql_avg_node:13.00 ql_listpack_max:-2 ql_compressed:0 ql_uncompressed_size:";
    assert!(line.contains(end), "{line}");
    for size in ["4gb", "-1", "1x"] {
        assert_eq!(
            debug(&mut runner, &["QUICKLIST-PACKED-THRESHOLD", size]),
            "-ERR argument must be a memory value bigger than 1 and smaller than 4gb"
        );
    }
    assert_eq!(
        debug(&mut runner, &["QUICKLIST-PACKED-THRESHOLD", "0"]),
        "+OK"
    );
    assert_eq!(runner.keys.limits().list_packed_threshold, None);
}

/// A payload whose checksum is wrong is taken while that does not matter; one that is broken is refused all the same.
#[test]
fn checksums_may_not_matter_for_a_while() {
    let mut runner = Runner::new(1);
    runner.say("RPUSH list a b c");
    let dumped = runner.run(&["DUMP", "list"]);
    let start = dumped
        .iter()
        .position(|&byte| byte == b'\n')
        .expect("a head")
        + 1;
    let mut payload = dumped[start..dumped.len() - 2].to_vec();
    *payload.last_mut().expect("a checksum") ^= 1;
    let restore = |runner: &mut Runner, payload: &[u8]| {
        let reply = runner.run(&[b"RESTORE".as_slice(), b"copy", b"0", payload, b"REPLACE"]);
        String::from_utf8_lossy(&reply).trim_end().to_string()
    };
    let wrong = "-ERR DUMP payload version or checksum are wrong";
    assert_eq!(restore(&mut runner, &payload), wrong);
    assert_eq!(
        debug(&mut runner, &["SET-SKIP-CHECKSUM-VALIDATION", "1"]),
        "+OK"
    );
    assert_eq!(restore(&mut runner, &payload), "+OK");
    assert_eq!(runner.say("LLEN copy"), ":3");
    payload[1] = 0xff;
    assert_eq!(restore(&mut runner, &payload), "-ERR Bad data format");
    assert_eq!(
        debug(&mut runner, &["SET-SKIP-CHECKSUM-VALIDATION", "x"]),
        "+OK"
    );
    assert_eq!(restore(&mut runner, &payload), wrong);
}
