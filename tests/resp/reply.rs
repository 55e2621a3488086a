//! Golden bytes of every element, in both protocols.

use rondo::resp::{Protocol, Reply};

fn check(write: impl Fn(&mut Reply<'_>), resp2: &str, resp3: &str) {
    for (protocol, expected) in [(Protocol::Resp2, resp2), (Protocol::Resp3, resp3)] {
        let mut out = b"before".to_vec();
        write(&mut Reply::new(&mut out, protocol));
        assert_eq!(
            String::from_utf8_lossy(&out),
            format!("before{expected}"),
            "{protocol:?}"
        );
    }
}

fn check_both(write: impl Fn(&mut Reply<'_>), expected: &str) {
    check(write, expected, expected);
}

#[test]
fn what_both_protocols_share() {
    check_both(|reply| reply.ok(), "+OK\r\n");
    check_both(|reply| reply.simple("PONG"), "+PONG\r\n");
    check_both(
        |reply| reply.error("ERR no such key"),
        "-ERR no such key\r\n",
    );
    check_both(|reply| reply.integer(0), ":0\r\n");
    check_both(|reply| reply.integer(-7), ":-7\r\n");
    check_both(|reply| reply.integer(i64::MAX), ":9223372036854775807\r\n");
    check_both(|reply| reply.integer(i64::MIN), ":-9223372036854775808\r\n");
    check_both(|reply| reply.bulk(b""), "$0\r\n\r\n");
    check_both(|reply| reply.bulk(b"a\r\nb"), "$4\r\na\r\nb\r\n");
    check_both(|reply| reply.bulk_int(-120), "$4\r\n-120\r\n");
    check_both(|reply| reply.array(0), "*0\r\n");
    check_both(|reply| reply.array(1234), "*1234\r\n");
    check_both(|reply| reply.raw(b":1\r\n"), ":1\r\n");
}

/// Around every change of the header's digits.
#[test]
fn a_string_of_any_length_carries_its_length() {
    for len in [1, 9, 10, 11, 99, 100, 101, 999, 1000, 12_345, 100_000] {
        let text = "x".repeat(len);
        check_both(
            |reply| reply.bulk(text.as_bytes()),
            &format!("${len}\r\n{text}\r\n"),
        );
    }
}

#[test]
fn what_resp2_lacks_is_written_with_what_it_has() {
    check(|reply| reply.null(), "$-1\r\n", "_\r\n");
    check(|reply| reply.null_array(), "*-1\r\n", "_\r\n");
    check(|reply| reply.map(6), "*12\r\n", "%6\r\n");
    check(|reply| reply.set(3), "*3\r\n", "~3\r\n");
    check(|reply| reply.push(3), "*3\r\n", ">3\r\n");
    check(|reply| reply.boolean(true), ":1\r\n", "#t\r\n");
    check(|reply| reply.boolean(false), ":0\r\n", "#f\r\n");
    check(|reply| reply.double(3.1), "$3\r\n3.1\r\n", ",3.1\r\n");
    for number in [
        0_i64,
        7,
        -1,
        99,
        100,
        12_345_678_901,
        -999_999_999,
        1 << 52,
        -(1 << 53),
    ] {
        let text = number.to_string();
        let bulk = format!("${}\r\n{text}\r\n", text.len());
        let line = format!(",{text}\r\n");
        check(|reply| reply.double(number as f64), &bulk, &line);
    }
    for number in [0, 9, 10, -9, i64::MAX, i64::MIN, 1_234_567_890, 123_456_789] {
        let text = number.to_string();
        let bulk = format!("${}\r\n{text}\r\n", text.len());
        check(|reply| reply.bulk_int(number), &bulk, &bulk);
    }
    check(|reply| reply.double(-0.0), "$2\r\n-0\r\n", ",-0\r\n");
    check(|reply| reply.double(10.0), "$2\r\n10\r\n", ",10\r\n");
    check(
        |reply| reply.double(f64::NEG_INFINITY),
        "$4\r\n-inf\r\n",
        ",-inf\r\n",
    );
    check(|reply| reply.double(f64::NAN), "$3\r\nnan\r\n", ",nan\r\n");
    check(
        |reply| reply.big_number(b"12345678901234567890"),
        "$20\r\n12345678901234567890\r\n",
        "(12345678901234567890\r\n",
    );
    check(
        |reply| reply.verbatim(b"txt", b"hello"),
        "$5\r\nhello\r\n",
        "=9\r\ntxt:hello\r\n",
    );
    check(
        |reply| reply.verbatim(b"x", b""),
        "$0\r\n\r\n",
        "=4\r\nx  :\r\n",
    );
}

#[test]
fn a_line_end_inside_a_line_becomes_a_space() {
    check_both(|reply| reply.error("ERR a\r\nb\n"), "-ERR a  b\r\n");
    check_both(|reply| reply.error("\r\nERR a\n"), "-ERR a\r\n");
    check_both(|reply| reply.error("\r\n"), "-\r\n");
    check_both(|reply| reply.simple("a\nb"), "+a b\r\n");
    let mut out = Vec::new();
    Reply::new(&mut out, Protocol::Resp2).error_bytes(b"ERR \xff\n");
    assert_eq!(out, b"-ERR \xff\r\n");
}

#[test]
fn a_failed_handler_takes_its_bytes_back() {
    let mut out = b"+OK\r\n".to_vec();
    let mut reply = Reply::new(&mut out, Protocol::Resp2);
    let before = reply.len();
    reply.array(2);
    reply.integer(1);
    reply.truncate(before);
    reply.error("ERR no");
    assert_eq!(out, b"+OK\r\n-ERR no\r\n");
}
