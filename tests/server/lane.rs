//! A pipeline is answered as its requests would be one at a time, whatever is switched on and off in its midst.

use super::client::{Client, ok, request};
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
