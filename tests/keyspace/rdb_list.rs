//! Lists in payloads: Redis's bytes, those of old releases, damage.

use super::rdb::{check_damage, dumped, payload};
use crate::commands::runner::Runner;

fn restored(body: &[u8]) -> Runner {
    let mut runner = Runner::new(1);
    let bytes = payload(body);
    let reply = runner.run(&[b"RESTORE".as_slice(), b"key", b"0", &bytes]);
    assert_eq!(reply, b"+OK\r\n", "{body:?}");
    runner
}

fn range(runner: &mut Runner) -> String {
    let reply = runner.run(&["LRANGE", "key", "0", "-1"]);
    String::from_utf8(reply).expect("text")
}

// The bodies are what Redis 8.0.6 dumped after the same pushes.
#[test]
fn lists_are_written_as_redis_writes_them() {
    let mut runner = Runner::new(1);
    runner.run(&["RPUSH", "key", "a", "1", "-300", "hello world"]);
    let body =
        b"\x12\x01\x02\x1c\x1c\0\0\0\x04\0\x81a\x02\x01\x01\xde\xd4\x02\x8bhello world\x0c\xff";
    assert_eq!(dumped(&mut runner, "key"), payload(body));

    let mut limits = runner.keys.limits();
    limits.list_max_listpack_size = 2;
    runner.keys.set_limits(limits);
    runner.run(&["DEL", "key"]);
    runner.run(&["RPUSH", "key", "1", "2", "3", "4", "5"]);
    let body = b"\x12\x03\x02\x0b\x0b\0\0\0\x02\0\x01\x01\x02\x01\xff\x02\x0b\x0b\0\0\0\x02\0\x03\x01\x04\x01\xff\
                 \x02\x09\x09\0\0\0\x01\0\x05\x01\xff";
    assert_eq!(dumped(&mut runner, "key"), payload(body));

    runner.run(&["DEL", "key"]);
    let long = "x".repeat(9000);
    runner.run(&["RPUSH", "key", "1", &long]);
    let before = range(&mut runner);
    let bytes = dumped(&mut runner, "key");
    let head = b"\x12\x02\x02\x09\x09\0\0\0\x01\0\x01\x01\xff\x01\xc3";
    assert!(bytes.starts_with(head) && bytes.len() < 200, "{bytes:?}");
    runner.run(&[b"RESTORE".as_slice(), b"key", b"0", &bytes, b"REPLACE"]);
    assert_eq!(range(&mut runner), before);
    assert_eq!(dumped(&mut runner, "key"), bytes);
}

#[test]
fn lists_of_old_releases_are_read() {
    let ziplist = b"\x11\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xfe\x05\xff";
    let bodies: [&[u8]; 4] = [
        b"\x01\x02\x01a\xc0\x05",
        &[b"\x0a\x11", ziplist.as_slice()].concat(),
        &[b"\x0e\x01\x11", ziplist.as_slice()].concat(),
        b"\x12\x02\x02\x0a\x0a\0\0\0\x01\0\x81a\x02\xff\x01\xc0\x05",
    ];
    for body in bodies {
        let mut runner = restored(body);
        assert_eq!(
            range(&mut runner),
            "*2\r\n$1\r\na\r\n$1\r\n5\r\n",
            "{body:?}"
        );
        let encoding = runner.run(&["OBJECT", "ENCODING", "key"]);
        let is_alone = body.starts_with(b"\x12");
        let expected = if is_alone {
            "$9\r\nquicklist\r\n"
        } else {
            "$8\r\nlistpack\r\n"
        };
        assert_eq!(encoding, expected.as_bytes(), "{body:?}");
    }
}

#[test]
fn lists_without_elements_are_refused() {
    let empty_ziplist = b"\x0b\0\0\0\x0a\0\0\0\0\0\xff";
    let bodies: [&[u8]; 5] = [
        b"\x01\0",
        b"\x12\0",
        b"\x12\x01\x02\x07\x07\0\0\0\0\0\xff",
        &[b"\x0a\x0b", empty_ziplist.as_slice()].concat(),
        &[b"\x0e\x01\x0b", empty_ziplist.as_slice()].concat(),
    ];
    for body in bodies {
        let mut runner = Runner::new(1);
        let bytes = payload(body);
        let reply = runner.run(&[b"RESTORE".as_slice(), b"key", b"0", &bytes]);
        assert!(
            reply.starts_with(b"-ERR Bad data format"),
            "{body:?}: {reply:?}"
        );
    }
}

#[test]
fn damaged_lists_are_refused_or_are_lists() {
    let ziplist = b"\x11\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xfe\x05\xff";
    check_damage(&payload(b"\x01\x02\x01a\xc0\x05"));
    check_damage(&payload(&[b"\x0e\x01\x11", ziplist.as_slice()].concat()));
    check_damage(&payload(
        b"\x12\x02\x02\x0a\x0a\0\0\0\x01\0\x81a\x02\xff\x01\xc0\x05",
    ));
}
