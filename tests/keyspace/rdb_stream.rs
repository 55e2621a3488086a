//! Streams in payloads: Redis's bytes, those of old releases, damage.

use super::rdb::{check_damage, dumped, payload};
use crate::commands::runner::Runner;

/// What Redis 8.0.6 dumped of three entries, one of them deleted, two groups and three consumers.
const BODY: &str = "15011000000000000003e8000000000000000540525200000019000201010102018474656d70058368756d040001020100010001150184 \
    68696768050501030100010101c12c02dff90205010001f270110104dffb020101846e6f7465058474657874050601ff02800001155800 \
    43e80543e806030205656d7074798000011558000300000167800001155800030200000000000003e8000000000000000542ff8a14a201 \
    000001000000000001155800000000000000004fff8a14a2010000010305616c69636542ff8a14a201000042ff8a14a201000001000000 \
    00000003e8000000000000000503626f624fff8a14a20100004fff8a14a20100000100000000000115580000000000000000056361726f \
    6c5bff8a14a2010000ffffffffffffffff00";

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .bytes()
        .filter(|byte| byte.is_ascii_hexdigit())
        .collect();
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("two digits");
        u8::from_str_radix(pair, 16).expect("two digits")
    };
    digits.chunks(2).map(byte).collect()
}

fn restored(body: &[u8]) -> Runner {
    let mut runner = Runner::new(1);
    let bytes = payload(body);
    let reply = runner.run(&[b"RESTORE".as_slice(), b"s", b"0", &bytes]);
    assert_eq!(reply, b"+OK\r\n", "{body:?}");
    runner
}

#[test]
fn streams_are_read_and_written_as_redis_writes_them() {
    let mut runner = restored(&bytes_of(BODY));
    let entries = r#"*2 *2 "1000-5" *4 "temp" "21" "hum" "high" *2 "71000-0" *2 "note" "text""#;
    assert_eq!(runner.say("XRANGE s - +"), entries);
    let pending = r#"*4 :2 "1000-5" "71000-0" *2 *2 "alice" "1" *2 "bob" "1""#;
    assert_eq!(runner.say("XPENDING s g"), pending);
    let consumers = r#"*3 *10 "name" "alice" "seen-time" :1795640983362 "active-time" :1795640983362 "pel-count" :1 "pending" *1 *3 "1000-5" :1795640983362 :1 *10 "name" "bob" "seen-time" :1795640983375 "active-time" :1795640983375 "pel-count" :1 "pending" *1 *3 "71000-0" :1795640983375 :1 *10 "name" "carol" "seen-time" :1795640983387 "active-time" :-1 "pel-count" :0 "pending" *0"#;
    assert!(runner.say("XINFO STREAM s FULL").ends_with(consumers));
    let info = runner.say("XINFO STREAM s");
    assert!(
        info.contains(r#""max-deleted-entry-id" "1000-6" "entries-added" :3"#),
        "{info}"
    );
    assert_eq!(dumped(&mut runner, "s"), payload(&bytes_of(BODY)));
    assert_eq!(runner.say("XADD s 71000-0 a b").as_bytes()[0], b'-');
    check_damage(&dumped(&mut runner, "s"));
}

/// Several nodes that are full, and one that is not: entries with the names of their node and with others.
#[test]
fn full_nodes_go_and_come_back() {
    let mut runner = Runner::new(1);
    for index in 0..350 {
        let (ms, seq) = (1000 + index / 3 * 37, index % 3);
        let line = match index % 11 {
            5 => format!("XADD s {ms}-{seq} other {index} name text second of-{index}"),
            _ => format!("XADD s {ms}-{seq} name {index} value text-{index}"),
        };
        assert_eq!(runner.say(&line), format!("\"{ms}-{seq}\""), "{line}");
    }
    let bytes = dumped(&mut runner, "s");
    assert!((4..64).contains(&bytes[1]), "{} nodes", bytes[1]);
    let reply = runner.run(&[b"RESTORE".as_slice(), b"copy", b"0", &bytes]);
    assert_eq!(reply, b"+OK\r\n");
    assert_eq!(dumped(&mut runner, "copy"), bytes);
    let entries = runner.say("XRANGE s - +");
    assert_eq!(runner.say("XRANGE copy - +"), entries);
    // What is deleted shows where it was.
    for key in ["s", "copy"] {
        assert_eq!(runner.say(&format!("XDEL {key} 1037-1")), ":1");
    }
    let other = dumped(&mut runner, "s");
    assert_ne!(other, bytes);
    assert_eq!(dumped(&mut runner, "copy"), other);
}

/// A stream of one entry, `1-1 a b`, before what each release wrote after its ids.
const NODE: &str = "01 10 00000000000000010000000000000001     1d 1d000000 0a00 0101 0001 0101 816102 0001 0201 0001 0001 816202 0401 ff 01 01 01";

#[test]
fn streams_of_old_releases_are_read() {
    // Redis 5: a group `g` that has delivered the entry to `c`.
    let group = "01 0167 01 01 01 00000000000000010000000000000001 0500000000000000 03         01 0163 0700000000000000 01 00000000000000010000000000000001";
    let mut runner = restored(&bytes_of(&format!("0f {NODE} {group}")));
    assert_eq!(runner.say("XRANGE s - +"), r#"*1 *2 "1-1" *2 "a" "b""#);
    let groups = r#"*1 *12 "name" "g" "consumers" :1 "pending" :1 "last-delivered-id" "1-1" "entries-read" :1 "lag" :0"#;
    assert_eq!(runner.say("XINFO GROUPS s"), groups);
    // Redis 7.0: ids of the first and of deleted entries, entries added, entries read.
    let stream = "01 01 00 09 4064";
    let group = "01 0167 01 01 4063 01 00000000000000010000000000000001 0500000000000000 03         01 0163 0700000000000000 01 00000000000000010000000000000001";
    let mut runner = restored(&bytes_of(&format!("13 {NODE} {stream} {group}")));
    let groups = r#"*1 *12 "name" "g" "consumers" :1 "pending" :1 "last-delivered-id" "1-1" "entries-read" :99 "lag" :1"#;
    assert_eq!(runner.say("XINFO GROUPS s"), groups);
    assert_eq!(
        runner.say("XPENDING s g"),
        r#"*4 :1 "1-1" "1-1" *1 *2 "c" "1""#
    );
    check_damage(&payload(&bytes_of(&format!("13 {NODE} {stream} {group}"))));
}

/// What Redis 8.6.3 dumped of a stream with two producers: of `p` the requests `first`, sent twice, and one with a long name; of `q`
/// two without names, one of them an entry that has the same pair twice.
const OF_PRODUCERS: &str = "1a011000000000000000010000000000000001c3405a40800f800000002600030102010101816602002008000020011381760204010301 \
    f400580528a201000009dfff0260130002e00213a0260001e00212000120202046202a0681670281770208204be001440002e0011d6023 \
    020801ff0381000001a22805580103010181000001a228055801020500800001518040640201700205666972737481000001a228055801 \
    0025746865207365636f6e64206f66206d6f7265207468616e207369787465656e20627974657381000001a2280558010101710210845d \
    09935adce8c49c7b239550de2bcd81000001a22805580102109a79073b2d2a35cba229f103f1b26a6481000001a228055801030401";

#[test]
fn what_redis_remembers_of_producers_is_known_here() {
    let mut runner = restored(&bytes_of(OF_PRODUCERS));
    let figures = r#""pids-tracked" :2 "iids-tracked" :4 "iids-added" :4 "iids-duplicates" :1"#;
    let info = runner.say("XINFO STREAM s");
    assert!(info.contains(figures), "{info}");
    let length = runner.say("XLEN s");
    let bytes = dumped(&mut runner, "s");
    // The version and the checksum follow.
    assert_eq!(bytes[..bytes.len() - 10], bytes_of(OF_PRODUCERS));
    let long = b"the second of more than sixteen bytes";
    let requests: [(&[&[u8]], &str); 5] = [
        (
            &[b"IDMP", b"p", b"first", b"*", b"f", b"v"],
            "1795967768577-0",
        ),
        (&[b"IDMP", b"p", long, b"*", b"f", b"v"], "1795967768577-1"),
        (
            &[b"IDMPAUTO", b"q", b"*", b"f", b"v", b"g", b"w"],
            "1795967768577-2",
        ),
        (
            &[b"IDMPAUTO", b"q", b"*", b"g", b"w", b"f", b"v"],
            "1795967768577-2",
        ),
        (
            &[b"IDMPAUTO", b"q", b"*", b"f", b"v", b"f", b"v"],
            "1795967768577-3",
        ),
    ];
    for (request, id) in requests {
        let words: Vec<&[u8]> = [b"XADD".as_slice(), b"s"]
            .into_iter()
            .chain(request.iter().copied())
            .collect();
        let reply = String::from_utf8(runner.run(&words)).expect("an id");
        assert!(reply.contains(id), "{reply}");
    }
    assert_eq!(runner.say("XLEN s"), length);
    check_damage(&dumped(&mut runner, "s"));
}

#[test]
fn what_producers_have_sent_comes_back() {
    let mut runner = Runner::new(1);
    for request in [
        "XADD s IDMP p r1 * a 1",
        "XADD s IDMP p r2 * a 2",
        "XADD s IDMPAUTO q * a 2",
        "XADD s IDMP p r1 * a 1",
        "XCFGSET t IDMP-MAXSIZE 7",
    ] {
        runner.say(request);
    }
    let info = runner.say("XINFO STREAM s FULL");
    let bytes = dumped(&mut runner, "s");
    assert_eq!(bytes[0], 26, "the type of Redis 8.6");
    let reply = runner.run(&[b"RESTORE".as_slice(), b"copy", b"0", &bytes]);
    assert_eq!(reply, b"+OK\r\n");
    assert_eq!(runner.say("XINFO STREAM copy FULL"), info);
    assert!(
        info.contains(r#""iids-added" :3 "iids-duplicates" :1"#),
        "{info}"
    );
    assert_eq!(dumped(&mut runner, "copy"), bytes);
    let again = runner.say("XADD s IDMP p r2 * b 1");
    assert_eq!(runner.say("XADD copy IDMP p r2 * b 1"), again);
    assert_eq!(runner.say("XLEN copy"), ":3");
    // What was set is, be it what is usual.
    runner.say("XADD set 1-1 a b");
    runner.say("XCFGSET set IDMP-MAXSIZE 100");
    let info = runner.say("XINFO STREAM set FULL");
    assert!(info.contains(r#""idmp-maxsize" :100"#), "{info}");
    let of_set = dumped(&mut runner, "set");
    let reply = runner.run(&[b"RESTORE".as_slice(), b"set-copy", b"0", &of_set]);
    assert_eq!(reply, b"+OK\r\n");
    assert_eq!(runner.say("XINFO STREAM set-copy FULL"), info);
    assert_eq!(dumped(&mut runner, "set-copy"), of_set);
    check_damage(&of_set);
    // A stream without producers is what older servers read.
    runner.say("XADD plain 1-1 a b");
    assert_eq!(dumped(&mut runner, "plain")[0], 21);
    check_damage(&bytes);
}

/// Pending entries that are nobody's any more (XNACK) wait for the next who reads: a stream with some has the type of Redis 8.8.
#[test]
fn entries_given_back_stay_pending() {
    for producers in [false, true] {
        let mut runner = Runner::new(1);
        for line in [
            "XADD s 1-1 a 1",
            "XADD s 2-1 a 2",
            "XADD s 3-1 a 3",
            "XGROUP CREATE s g 0",
            "XGROUP CREATE s idle 0",
            "XREADGROUP GROUP g alice STREAMS s >",
            "XNACK s g FAIL IDS 2 3-1 2-1",
        ] {
            let reply = runner.say(line);
            assert_ne!(reply.as_bytes()[0], b'-', "{line}: {reply}");
        }
        if producers {
            runner.say("XADD s IDMP p r1 * a 1");
        }
        let bytes = dumped(&mut runner, "s");
        assert_eq!(bytes[0], 27, "the type of Redis 8.8");
        let reply = runner.run(&[b"RESTORE".as_slice(), b"copy", b"0", &bytes]);
        assert_eq!(reply, b"+OK\r\n");
        let info = runner.say("XINFO STREAM s FULL");
        assert_eq!(runner.say("XINFO STREAM copy FULL"), info);
        assert_eq!(dumped(&mut runner, "copy"), bytes);
        for key in ["s", "copy"] {
            let claim = format!("XREADGROUP GROUP g bob CLAIM 0 STREAMS {key} >");
            let reply = runner.say(&claim);
            let places = ["3-1", "2-1"].map(|id| reply.find(id));
            // In the order in which they were given back.
            assert!(places[0].is_some() && places[0] < places[1], "{reply}");
            // Whoever has them, it is one of these that older servers read.
            let kind = if producers { 26 } else { 21 };
            assert_eq!(dumped(&mut runner, key)[0], kind);
        }
        check_damage(&bytes);
    }
}

/// XSETID takes the last id back once the entries have gone: what was sent before that is remembered under greater ones.
#[test]
fn what_producers_have_sent_may_be_above_the_last_id() {
    let mut runner = Runner::new(1);
    runner.say("XADD s IDMP p r1 * a 1");
    runner.say("XTRIM s MAXLEN 0");
    assert_eq!(runner.say("XSETID s 0-0"), "+OK");
    let bytes = dumped(&mut runner, "s");
    let reply = runner.run(&[b"RESTORE".as_slice(), b"copy", b"0", &bytes]);
    assert_eq!(reply, b"+OK\r\n");
    assert_eq!(dumped(&mut runner, "copy"), bytes);
    for key in ["s", "copy"] {
        let again = format!("XADD {key} IDMP p r1 * a 1");
        assert_eq!(runner.say(&again), "\"1700000000000-0\"");
        assert_eq!(runner.say(&format!("XLEN {key}")), ":0");
        // The same id once more, for another request.
        let other = format!("XADD {key} IDMP p r2 * a 2");
        assert_eq!(runner.say(&other), "\"1700000000000-0\"");
        assert_eq!(runner.say(&other), "\"1700000000000-0\"");
        assert_eq!(runner.say(&format!("XLEN {key}")), ":1");
    }
    check_damage(&dumped(&mut runner, "s"));
}
