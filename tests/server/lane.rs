//! A pipeline is answered as its requests would be one at a time, whatever is switched on and off in its midst.

use super::client::{Client, Value, bulk, ok, request};
use super::harness::Server;

/// Each switches something that a plain request before it was not concerned by, and the next one is. A line with a tilde
/// has no reply.
const PIPELINES: [&[&str]; 9] = [
    &[
        "SET a 1", "GET a", "get a", "SELECT 1", "GET a", "SET a 2", "SELECT 0", "GET a",
        "STRLEN a",
    ],
    &[
        "SET a 1", "MULTI", "SET a 2", "GET a", "INCR a", "EXEC", "GET a", "MULTI", "GET a",
        "DISCARD", "GET a",
    ],
    &[
        "SET a 1", "WATCH a", "SET a 2", "MULTI", "SET a 3", "EXEC", "GET a",
    ],
    &[
        "LPUSH l x",
        "GET l",
        "GET",
        "GET l l",
        "NONE l",
        "LLEN l",
        "LPUSH l y",
        "LRANGE l 0 -1",
    ],
    &[
        "SET a 1",
        "CONFIG SET maxmemory 1",
        "SET a 2",
        "GET a",
        "CONFIG SET maxmemory 0",
        "SET a 3",
        "GET a",
    ],
    &[
        "SET a 1",
        "ACL SETUSER reader on nopass +get +auth ~a",
        "AUTH reader any",
        "GET a",
        "GET b",
        "SET a 2",
        "AUTH default any",
        "SET a 3",
    ],
    &[
        "SET a 1",
        "~CLIENT REPLY SKIP",
        "~SET a 2",
        "GET a",
        "~CLIENT REPLY OFF",
        "~SET a 3",
        "CLIENT REPLY ON",
        "GET a",
    ],
    &[
        "CONFIG SET slowlog-log-slower-than -1",
        "SLOWLOG RESET",
        "GET a",
        "CONFIG SET slowlog-log-slower-than 0",
        "GET a",
        "SET a 1",
        "CONFIG SET slowlog-log-slower-than -1",
        "GET a",
        "SLOWLOG LEN",
    ],
    &[
        "SET a 1",
        "SUBSCRIBE c",
        "GET a",
        "PING",
        "UNSUBSCRIBE c",
        "GET a",
    ],
];

fn bytes(line: &str) -> Vec<u8> {
    let words = line.trim_start_matches('~').split(' ');
    let words: Vec<&[u8]> = words.map(str::as_bytes).collect();
    request(&words)
}

/// How many replies a line has: none where it begins with a tilde.
fn replies_count(line: &str) -> usize {
    usize::from(!line.starts_with('~'))
}

/// A client of an empty server.
fn new_client(server: &Server) -> Client {
    let mut client = server.client();
    assert_eq!(client.ask("FLUSHALL"), ok());
    client
}

#[test]
fn a_pipeline_is_answered_as_its_requests_are_one_at_a_time() {
    for threads in [1, 4] {
        let server = Server::start(threads, &[]);
        for pipeline in PIPELINES {
            let mut client = new_client(&server);
            let mut expected = Vec::new();
            for line in pipeline {
                client.send(&bytes(line));
                expected.extend(client.replies(replies_count(line)));
            }
            let mut client = new_client(&server);
            let together: Vec<Vec<u8>> = pipeline.iter().map(|line| bytes(line)).collect();
            client.send(&together.concat());
            let replies = client.replies(expected.len());
            assert_eq!(replies, expected, "{threads} threads: {pipeline:?}");
            assert_eq!(client.ask("PING").text(), "PONG", "and no more");
        }
    }
}

/// A pipeline's requests are logged as others are: by their words however they were spelled, as their outcome where that was drawn,
/// and with the keys that were met too late.
#[test]
fn what_a_pipeline_did_is_in_the_log() {
    for (threads, policy) in [(1, "everysec"), (1, "always"), (3, "everysec")] {
        let options: &[&str] = &[
            "--appendonly",
            "yes",
            "--appendfsync",
            policy,
            "--enable-debug-command",
            "local",
        ];
        let mut server = Server::start(threads, options);
        let mut client = server.client();
        let mut bytes = Vec::new();
        let mut count = 0;
        let mut say = |line: &str| {
            bytes.extend(request(
                &line.split(' ').map(str::as_bytes).collect::<Vec<_>>(),
            ));
            count += 1;
        };
        say("PSETEX gone 1 x");
        for number in 0..200 {
            say(&format!("SET k{number} {number}"));
            say(&format!("set l{number} {}", "x".repeat(number)));
            say(&format!("PSETEX m{number} 1000000 y"));
            say(&format!("SADD s{} a b c d e f g h", number % 7));
            say(&format!("SPOP s{} 3", number % 7));
            say(&format!("INCRBYFLOAT f{} 0.1", number % 3));
            say(&format!("XADD x{} * f v", number % 3));
            say(&format!("LPUSH k{number} x"));
            say(&format!("GET k{number}"));
            say(&format!("GETEX l{number} PX 1000000"));
            say("GET gone");
        }
        bytes.extend(b"SET inline 'a b'\r\n  set   inline2 c\r\n");
        client.send(&bytes);
        client.replies(count + 2);
        assert_eq!(client.ask("GET inline"), bulk("a b"));
        assert_eq!(client.ask("WAITAOF 1 0 0").items()[0], Value::Integer(1));
        // A digest counts what has died and has not been removed; the log does not bring it back.
        while client.ask("EXISTS gone") != Value::Integer(0) {}
        let before = client.ask("DEBUG DIGEST");
        server.signal("KILL");
        assert!(server.restart(threads, options), "{}", server.log());
        let mut client = server.client();
        assert_eq!(client.ask("GET inline2"), bulk("c"));
        assert_eq!(client.ask("DEBUG DIGEST"), before, "{threads} {policy}");
    }
}
