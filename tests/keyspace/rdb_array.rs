//! Arrays in payloads of Redis 8.8, put together by hand after descriptions of the format: no such server was at hand.

use super::rdb::payload;
use crate::commands::runner::Runner;
use rondo::keyspace::EncodingLimits;
use rondo::keyspace::rdb::restore;

/// Five elements at 0, 1, 2, 1000 and 2^40; the last insertion went to 1.
fn body() -> Vec<u8> {
    let mut body = vec![28, 5, 1, 1];
    body.extend(b"\x00\x01");
    body.extend((-42_i64).to_le_bytes());
    body.extend(b"\x01\x02");
    body.extend(0.5_f64.to_le_bytes());
    body.extend(b"\x02\x02");
    body.extend((-3_f64).to_le_bytes());
    body.extend(b"\x43\xe8\x03\x05small");
    body.extend(b"\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00\x0clonger words");
    body
}

fn restored(body: &[u8]) -> (Runner, Vec<u8>) {
    let mut runner = Runner::new(1);
    let bytes = payload(body);
    let reply = runner.run(&[b"RESTORE".as_slice(), b"a", b"0", &bytes]);
    (runner, reply)
}

#[test]
fn arrays_of_redis_are_read() {
    let (mut runner, reply) = restored(&body());
    assert_eq!(reply, b"+OK\r\n");
    let elements = r#"*5 "-42" "0.5" "-3.0" "small" "longer words""#;
    assert_eq!(runner.say("ARMGET a 0 1 2 1000 1099511627776"), elements);
    assert_eq!(runner.say("ARCOUNT a"), ":5");
    assert_eq!(runner.say("ARNEXT a"), ":2");
    // Whatever the bytes are, there is an answer.
    let limits = EncodingLimits::default();
    let whole = payload(&body());
    for at in 0..whole.len() {
        let _ = restore(&whole[..at], false, &limits);
        for change in [0x01, 0x40, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] ^= change;
            let _ = restore(&damaged, false, &limits);
        }
    }
    // Nothing was inserted.
    let mut plain = body();
    plain.splice(2..4, [0]);
    let (mut runner, reply) = restored(&plain);
    assert_eq!(reply, b"+OK\r\n");
    assert_eq!(runner.say("ARNEXT a"), ":0");
}

#[test]
fn what_is_no_array_is_refused() {
    let beyond = [&[28, 1, 0, 0x81][..], &[0xff; 8], &[0, 1, b'a']].concat();
    let infinite = [&[28, 1, 0, 0, 2][..], &f64::INFINITY.to_le_bytes()].concat();
    for body in [
        &[28, 0, 0][..],
        &[28, 1, 2, 0, 0, 1, b'a'],
        &[28, 1, 0, 0, 4, 1, b'a'],
        &beyond,
        &infinite,
    ] {
        let (_, reply) = restored(body);
        assert_eq!(reply, b"-ERR Bad data format\r\n", "{body:?}");
    }
}
