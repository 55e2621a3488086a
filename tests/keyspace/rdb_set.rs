//! Sets in payloads: Redis's bytes, damage.

use super::rdb::{check_damage, dumped, payload};
use crate::commands::runner::Runner;
use std::collections::BTreeSet;

fn restore(body: &[u8]) -> (Runner, Vec<u8>) {
    let mut runner = Runner::new(1);
    let bytes = payload(body);
    let reply = runner.run(&[b"RESTORE".as_slice(), b"key", b"0", &bytes]);
    (runner, reply)
}

fn lines(reply: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8(reply.to_vec()).expect("text");
    text.lines().map(str::to_string).collect()
}

// The bodies are what Redis 8.0.6 dumped after the same SADD.
#[test]
fn sets_are_written_as_redis_writes_them() {
    let cases: [(&[&str], &[u8]); 3] = [
        (
            &["1", "2", "-300"],
            b"\x0b\x0e\x02\0\0\0\x03\0\0\0\xd4\xfe\x01\0\x02\0",
        ),
        (
            &["70000", "1"],
            b"\x0b\x10\x04\0\0\0\x02\0\0\0\x01\0\0\0p\x11\x01\0",
        ),
        (
            &["a", "1", "-300", "hello world"],
            b"\x14\x1c\x1c\0\0\0\x04\0\x81a\x02\x01\x01\xde\xd4\x02\x8bhello world\x0c\xff",
        ),
    ];
    for (members, body) in cases {
        let mut runner = Runner::new(1);
        runner.run(&[&["SADD", "key"], members].concat());
        assert_eq!(dumped(&mut runner, "key"), payload(body), "{members:?}");
        let (mut again, reply) = restore(body);
        assert_eq!(reply, b"+OK\r\n");
        assert_eq!(dumped(&mut again, "key"), payload(body), "{members:?}");
    }
}

#[test]
fn a_table_comes_back() {
    let mut runner = Runner::new(1);
    let members: Vec<String> = (0..300).map(|number| format!("m{number}")).collect();
    let mut words = vec!["SADD", "key", "7"];
    words.extend(members.iter().map(String::as_str));
    runner.run(&words);
    let bytes = dumped(&mut runner, "key");
    runner.run(&[b"RESTORE".as_slice(), b"again", b"0", &bytes]);
    let reply = runner.run(&["OBJECT", "ENCODING", "again"]);
    assert_eq!(reply, b"$9\r\nhashtable\r\n");
    let one = lines(&runner.run(&["SMEMBERS", "key"]));
    assert_eq!(one, lines(&runner.run(&["SMEMBERS", "again"])));
    assert_eq!(one.len(), 301 + 1 + 4, "members, a count, lengths 1 to 4");
}

// What does not fit the thresholds in force takes the encoding that does.
#[test]
fn thresholds_decide_what_it_becomes() {
    let cases: [(&[u8], &[u8]); 4] = [
        (b"\x02\x02\xc0\x05\xc0\x06", b"$6\r\nintset\r\n"),
        (b"\x02\x02\xc0\x05\x01a", b"$8\r\nlistpack\r\n"),
        (
            b"\x0b\x0e\x02\0\0\0\x03\0\0\0\x01\0\x02\0\x03\0",
            b"$9\r\nhashtable\r\n",
        ),
        (
            b"\x14\x0d\x0d\0\0\0\x03\0\x01\x01\x02\x01\x03\x01\xff",
            b"$9\r\nhashtable\r\n",
        ),
    ];
    for (body, encoding) in cases {
        let (mut runner, _) = restore(body);
        let mut limits = runner.keys.limits();
        limits.set_max_intset_entries = 2;
        limits.set_max_listpack_entries = 2;
        runner.keys.set_limits(limits);
        let bytes = payload(body);
        runner.run(&[b"RESTORE".as_slice(), b"again", b"0", &bytes]);
        let reply = runner.run(&["OBJECT", "ENCODING", "again"]);
        assert_eq!(reply, encoding, "{body:?}");
    }
}

#[test]
fn what_is_no_set_is_refused() {
    let bodies: [&[u8]; 7] = [
        b"\x02\x00",
        b"\x02\x02\x01a\x01a",
        b"\x02\x02\xc0\x05\x015",
        b"\x02\x03\x01a\x01b",
        b"\x0b\x08\x02\0\0\0\0\0\0\0",
        b"\x14\x07\x07\0\0\0\0\0\xff",
        b"\x14\x0b\x0b\0\0\0\x02\0\x01\x01\x01\x01\xff",
    ];
    for body in bodies {
        let (_, reply) = restore(body);
        assert_eq!(reply, b"-ERR Bad data format\r\n", "{body:?}");
    }
}

#[test]
fn damage_is_refused_or_harmless() {
    check_damage(&payload(b"\x02\x03\xc0\x05\x01a\x03abc"));
    check_damage(&payload(
        b"\x0b\x0e\x02\0\0\0\x03\0\0\0\xd4\xfe\x01\0\x02\0",
    ));
    check_damage(&payload(
        b"\x14\x1c\x1c\0\0\0\x04\0\x81a\x02\x01\x01\xde\xd4\x02\x8bhello world\x0c\xff",
    ));
}
