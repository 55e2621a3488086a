//! Parts: how much of one connection's pipeline runs before others have their turns. Counted is what the server ran in one turn at
//! most, whatever that took.

use super::client::{Value, bulk, push_request};
use super::harness::Server;

const REQUESTS_COUNT: usize = 60;
/// One when the bytes come, one when the connection goes on; and what the harness asks.
const COMMANDS_PER_TURN_MAX: i64 = 4;

/// Sends a request many times in one piece; the most that the server runs in a turn of that.
fn commands_per_turn(server: &Server, words: &[&[u8]], reply: &Value) -> i64 {
    let mut client = server.client();
    let mut pipeline = Vec::new();
    (0..REQUESTS_COUNT).for_each(|_| push_request(&mut pipeline, words));
    client.send(&pipeline);
    for number in 0..REQUESTS_COUNT {
        assert!(client.reply() == *reply, "reply {number}");
    }
    server.info_number("debug", "eventloop_cmd_per_cycle_max")
}

/// A reply of a MiB is a connection's part of a turn, not a window of requests with such replies.
#[test]
fn others_have_their_turn_after_a_mebibyte_of_replies() {
    let server = Server::start(1, &[]);
    let value = vec![b'x'; 1 << 20];
    server.client().run(&[b"SET", b"big", &value]);
    let count = commands_per_turn(&server, &[b"GET", b"big"], &bulk(&value));
    assert!(count <= COMMANDS_PER_TURN_MAX, "{count}");
}

/// And so is a request of some milliseconds: these take three each, by the processor's time.
#[test]
fn others_have_their_turn_after_some_milliseconds() {
    let server = Server::start(1, &[]);
    let script = b"local s = os.clock() repeat until os.clock() - s > 0.003 return 1";
    let count = commands_per_turn(&server, &[b"EVAL", script, b"0"], &Value::Integer(1));
    assert!(count <= COMMANDS_PER_TURN_MAX, "{count}");
}

/// Short requests do not pay for that: a window of them, and more, runs in a turn.
#[test]
fn short_requests_run_many_in_a_turn() {
    let server = Server::start(1, &[]);
    let count = commands_per_turn(&server, &[b"GET", b"none"], &Value::Null);
    assert!(count >= 8, "{count}");
}
