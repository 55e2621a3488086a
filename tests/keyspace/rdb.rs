//! Payloads: the bytes that Redis writes of the same values, and what damage does to them.

use crate::commands::runner::Runner;
use rondo::base::crc64::crc64;
use rondo::keyspace::EncodingLimits;
use rondo::keyspace::rdb::{Refused, restore};

/// A payload of version 11 around a type and value, its checksum right.
pub fn payload(body: &[u8]) -> Vec<u8> {
    let mut bytes = [body, &[11, 0]].concat();
    let checksum = crc64(0, &bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// What DUMP replies, without the bulk string's lines.
pub fn dumped(runner: &mut Runner, key: &str) -> Vec<u8> {
    let reply = runner.run(&["DUMP", key]);
    let start = reply
        .iter()
        .position(|byte| *byte == b'\n')
        .expect("a bulk string")
        + 1;
    reply[start..reply.len() - 2].to_vec()
}

/// `rdbcompression no`: Redis 8.0.6 then has all hundred bytes, and nine otherwise.
#[test]
fn long_strings_are_compressed_only_where_that_is_wanted() {
    let mut runner = Runner::new(5);
    let long = "a".repeat(100);
    runner.run(&["SET", "key", &long]);
    runner.run(&["RPUSH", "list", &long]);
    assert!(dumped(&mut runner, "key").len() < 30);
    assert!(dumped(&mut runner, "list").len() < 60);
    runner.keys.set_compresses_dumps(false);
    let body = [b"\x00\x40\x64", long.as_bytes()].concat();
    assert_eq!(dumped(&mut runner, "key"), payload(&body));
    assert!(dumped(&mut runner, "list").len() > 100);
}

/// Newer servers' payloads are read as far as their types are known: 16 is Redis 8.10's version, 80 that of Valkey 9.
#[test]
fn payloads_of_newer_versions_are_read() {
    let versioned = |body: &[u8], version: u8| {
        let mut bytes = [body, &[version, 0]].concat();
        let checksum = crc64(0, &bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    };
    let limits = EncodingLimits::default();
    let text = b"\x00\x05hello";
    for version in [11, 12, 13, 16, 80] {
        assert!(restore(&versioned(text, version), true, &limits).is_ok());
    }
    for version in [17, 79, 81] {
        let refused = restore(&versioned(text, version), true, &limits).err();
        assert_eq!(refused, Some(Refused::Footer));
    }
    // Valkey's hash with deadlines of fields has a number that is another type's of Redis.
    let mut body = b"\x16\x02\x01a\x011".to_vec();
    body.extend((-1_i64).to_le_bytes());
    body.extend(b"\x01b\x012");
    body.extend(4_000_000_000_000_i64.to_le_bytes());
    let mut runner = Runner::new(1);
    let bytes = versioned(&body, 80);
    let reply = runner.run(&[b"RESTORE".as_slice(), b"h", b"0", &bytes]);
    assert_eq!(reply, b"+OK\r\n");
    assert_eq!(runner.say("HMGET h a b"), r#"*2 "1" "2""#);
    let deadlines = runner.say("HPEXPIRETIME h FIELDS 2 a b");
    assert_eq!(deadlines, "*2 :-1 :4000000000000");
    let mut wrong = body.clone();
    wrong[6..14].copy_from_slice(&(-2_i64).to_le_bytes());
    // What is above that in Valkey is not known.
    for body in [&wrong[..], b"\x17\x01a", b"\x1a\x01a"] {
        let refused = restore(&versioned(body, 80), true, &limits).err();
        assert_eq!(refused, Some(Refused::Value), "{body:?}");
    }
}

// The bodies are Redis 8.0.6's for the same SET.
#[test]
fn strings_are_written_as_redis_writes_them() {
    let long = "0123456789012345678901234567890123456789".repeat(2_000);
    let cases: [(&str, &[u8]); 9] = [
        ("", b"\x00\x00"),
        ("hello", b"\x00\x05hello"),
        ("0", b"\x00\xc0\x00"),
        ("-128", b"\x00\xc0\x80"),
        ("128", b"\x00\xc1\x80\x00"),
        ("32768", b"\x00\xc2\x00\x80\x00\x00"),
        ("2147483648", b"\x00\x0a2147483648"),
        ("007", b"\x00\x03007"),
        (
            "abcdefghijklmnopqrstuvwxyz",
            b"\x00\x1aabcdefghijklmnopqrstuvwxyz",
        ),
    ];
    let mut runner = Runner::new(1);
    for (value, body) in cases {
        runner.run(&["SET", "key", value]);
        assert_eq!(dumped(&mut runner, "key"), payload(body), "{value}");
    }
    runner.run(&["SET", "key", &long]);
    let bytes = dumped(&mut runner, "key");
    assert!(bytes.len() < 2_000, "{} bytes", bytes.len());
    runner.run(&[b"RESTORE".as_slice(), b"again", b"0", &bytes]);
    assert_eq!(runner.run(&["GET", "again"]), runner.run(&["GET", "key"]));
}

/// Restores every payload with one byte changed, and every proper prefix, its checksum made right again: whatever is
/// taken can be dumped and taken again, and nothing panics.
pub fn check_damage(bytes: &[u8]) {
    let limits = EncodingLimits::default();
    let body = &bytes[..bytes.len() - 10];
    let mut runner = Runner::new(1);
    let mut check = |body: &[u8]| {
        let damaged = payload(body);
        if restore(&damaged, true, &limits).is_err() {
            return;
        }
        runner.run(&[b"RESTORE".as_slice(), b"key", b"0", &damaged, b"REPLACE"]);
        if runner.run(&["EXISTS", "key"]) != b":1\r\n" {
            return;
        }
        let again = dumped(&mut runner, "key");
        assert!(
            restore(&again, true, &limits).is_ok(),
            "{body:?} became {again:?}"
        );
    };
    for length in 0..body.len() {
        check(&body[..length]);
    }
    for at in 0..body.len() {
        for bit in 0..8 {
            let mut damaged = body.to_vec();
            damaged[at] ^= 1 << bit;
            check(&damaged);
        }
        for byte in [0, 0xff, 0xfe] {
            let mut damaged = body.to_vec();
            damaged[at] = byte;
            check(&damaged);
        }
    }
}

#[test]
fn damaged_strings_are_refused_or_read() {
    let mut runner = Runner::new(1);
    for value in [
        "hello",
        "123456",
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
    ] {
        runner.run(&["SET", "key", value]);
        let bytes = dumped(&mut runner, "key");
        check_damage(&bytes);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let refused = restore(&damaged, true, &EncodingLimits::default()).err();
            assert_eq!(
                refused,
                Some(Refused::Footer),
                "a checksum tells of any flipped bit"
            );
        }
    }
}
