//! Malformed and oversized input: Redis's error, the connection closed, everybody else served.
//!
//! The expected bytes were recorded from Redis 8.0.

use super::client::{Next, Value, error, ok, request};
use super::harness::Server;

/// What a connection is sent, and the one error line it gets before it is closed.
const CLOSED_WITH: &[(&[u8], &str)] = &[
    (b"*abc\r\n", "invalid multibulk length"),
    (b"*2147483648\r\n", "invalid multibulk length"),
    (b"*-9223372036854775809\r\n", "invalid multibulk length"),
    (b"*1 \r\n$4\r\nPING\r\n", "invalid multibulk length"),
    (b"*01\r\n$4\r\nPING\r\n", "invalid multibulk length"),
    (b"*+1\r\n$4\r\nPING\r\n", "invalid multibulk length"),
    (b"*1\r\n$-1\r\n", "invalid bulk length"),
    (b"*1\r\n$abc\r\n", "invalid bulk length"),
    (b"*1\r\n$536870913\r\n", "invalid bulk length"),
    (b"*1\r\n$9223372036854775808\r\n", "invalid bulk length"),
    (b"*1\r\n$4 \r\nPING\r\n", "invalid bulk length"),
    (
        b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n",
        "invalid bulk length",
    ),
    (b"*1\r\n:5\r\n", "expected '$', got ':'"),
    (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
    (b"*1\r\n\r\n", "expected '$', got ' '"),
    (b"\"unbalanced\r\n", "unbalanced quotes in request"),
    (b"PING \"a\"b\r\n", "unbalanced quotes in request"),
    (b"'abc\r\n", "unbalanced quotes in request"),
];

/// What a connection is sent, and what it gets while it stays open.
const OPEN_WITH: &[(&[u8], &[u8])] = &[
    (b"*-1\r\nPING\r\n", b"+PONG\r\n"),
    (b"*0\r\nPING\r\n", b"+PONG\r\n"),
    (b"\r\n\r\n\r\nPING\r\n", b"+PONG\r\n"),
    // The two bytes after a word are not looked at.
    (b"*1\r\n$4\r\nPINGxxPING\r\n", b"+PONG\r\n+PONG\r\n"),
    (b"PING\nPING\n", b"+PONG\r\n+PONG\r\n"),
    (
        b"$5\r\nPING\r\n",
        b"-ERR unknown command '$5', with args beginning with: \r\n+PONG\r\n",
    ),
    (
        b"NOSUCH a b\r\n",
        b"-ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' \r\n",
    ),
    (
        b"SELECT 2147483648\r\n",
        b"-ERR value is out of range, value must between -2147483648 and 2147483647\r\n",
    ),
    (b"SELECT 16\r\n", b"-ERR DB index is out of range\r\n"),
    (
        b"GET\r\n",
        b"-ERR wrong number of arguments for 'get' command\r\n",
    ),
];

#[test]
fn malformed_requests_get_the_error_of_redis_and_end_their_connection() {
    let server = Server::start(2, &[]);
    let mut other = server.client();
    assert_eq!(other.ask("SET a 1"), ok());
    for (bytes, text) in CLOSED_WITH {
        for with_pipeline in [false, true] {
            let mut client = server.client();
            let shown = String::from_utf8_lossy(bytes);
            if with_pipeline {
                // What came before is answered first, on whichever core it runs.
                client.send(
                    &[
                        request(&[b"MSET", b"b", b"1", b"c", b"2"]),
                        request(&[b"GET", b"a"]),
                    ]
                    .concat(),
                );
            }
            client.send(bytes);
            if with_pipeline {
                assert_eq!(client.reply(), ok());
                assert_eq!(client.reply().text(), "1", "{shown}");
            }
            assert_eq!(
                client.reply(),
                error(&format!("ERR Protocol error: {text}")),
                "{shown}"
            );
            assert_eq!(client.next(), Next::Closed, "{shown}");
        }
        assert_eq!(other.ask("GET a").text(), "1");
    }
}

/// Who wants no replies gets none for a malformed request or for QUIT either, but its connection ends. Redis 8.0 sends nothing,
/// too, and reads no more from it, but leaves it open: there it ends with the next reply that is written, and none is.
#[test]
fn ends_of_connections_keep_silent_where_replies_do() {
    let server = Server::start(2, &[]);
    for word in ["OFF", "SKIP"] {
        for last in ["*1\r\n$x\r\n", "*x\r\n", "SET \"a\r\n", "QUIT\r\n"] {
            let requests = [format!("CLIENT REPLY {word}\r\n"), last.to_string()];
            let mut together = server.client();
            together.send(requests.concat().as_bytes());
            assert_eq!(together.next(), Next::Closed, "{word}, {last}");
            let mut apart = server.client();
            requests.iter().for_each(|it| apart.send(it.as_bytes()));
            assert_eq!(apart.next(), Next::Closed, "{word}, {last}");
            // What has been answered before comes whole.
            let mut answered = server.client();
            answered.send(format!("PING\r\n{}", requests.concat()).as_bytes());
            assert_eq!(answered.reply(), Value::Simple("PONG".into()));
            assert_eq!(answered.next(), Next::Closed, "{word}, {last}");
        }
    }
}

#[test]
fn odd_requests_are_answered_as_redis_does() {
    let server = Server::start(2, &[]);
    for (bytes, expected) in OPEN_WITH {
        let mut client = server.client();
        client.send(bytes);
        let got = client.raw(expected.len());
        assert_eq!(
            String::from_utf8_lossy(&got),
            String::from_utf8_lossy(expected),
            "{}",
            String::from_utf8_lossy(bytes)
        );
        assert_eq!(client.ask("PING"), Value::Simple("PONG".into()));
    }
}

/// Garbage without an end is cut off at 64 KiB, however much of it there is.
#[test]
fn endless_lines_are_cut_off() {
    let server = Server::start(2, &[]);
    let cases: [(Vec<u8>, &str); 5] = [
        (vec![b'x'; 70_000], "too big inline request"),
        (
            [vec![b'x'; 1 << 20], b"\r\nPING\r\n".to_vec()].concat(),
            "too big inline request",
        ),
        (vec![b' '; 3 << 20], "too big inline request"),
        (
            [b"*".to_vec(), vec![b'1'; 70_000]].concat(),
            "too big mbulk count string",
        ),
        (
            [b"*1\r\n$".to_vec(), vec![b'1'; 70_000]].concat(),
            "too big bulk count string",
        ),
    ];
    for (bytes, text) in cases {
        let mut client = server.client();
        // The server may close while the rest is still being sent.
        let _ = client.try_send(&bytes);
        assert_eq!(
            client.reply(),
            error(&format!("ERR Protocol error: {text}"))
        );
        assert_eq!(client.next(), Next::Closed, "{text}");
    }
    assert_eq!(server.client().ask("PING"), Value::Simple("PONG".into()));
}

/// A browser made to talk to the server gets nothing: neither does the page behind it.
#[test]
fn http_is_cut_off_without_an_answer() {
    let server = Server::start(2, &[]);
    let requests: [&[u8]; 3] = [
        b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET a 1\r\n",
        b"post / HTTP/1.1\r\n\r\n",
        b"Host: localhost\r\n\r\nSET a 1\r\n",
    ];
    for bytes in requests {
        let mut client = server.client();
        client.send(bytes);
        assert_eq!(client.next(), Next::Closed);
    }
    assert_eq!(server.client().ask("EXISTS a"), Value::Integer(0));
}

/// Random bytes, and valid requests with random bytes changed: never a crash, never a wrong value for others.
#[test]
fn random_bytes_break_nothing() {
    let seed = 11;
    let mut rng = rondo::base::rng::Rng::with_seed(seed);
    let server = Server::start(2, &[]);
    let mut other = server.client();
    assert_eq!(other.ask("SET a 1"), ok());
    for round in 0..300 {
        let mut bytes: Vec<u8> = (0..20)
            .flat_map(|index| request(&[b"APPEND", format!("fuzz:{index}").as_bytes(), b"value"]))
            .collect();
        for _ in 0..1 + rng.below(4) {
            let place = rng.below(bytes.len() as u64) as usize;
            match rng.below(3) {
                0 => bytes[place] = rng.below(256) as u8,
                1 => bytes.truncate(place.max(1)),
                _ => bytes
                    .splice(place..place, [b'\r', b'\n', b'*', b'$'])
                    .for_each(drop),
            }
        }
        let mut client = server.client();
        let _ = client.try_send(&bytes);
        if round % 10 == 0 {
            assert_eq!(other.ask("GET a").text(), "1", "SEED={seed} round {round}");
        }
    }
    assert_eq!(other.ask("GET a").text(), "1", "SEED={seed}");
}
