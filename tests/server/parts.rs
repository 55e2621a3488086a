//! Parts: how much of one connection's pipeline, and of all that wait to go on, runs before others have their turns. Counted is what
//! the server ran in one turn at most, whatever that took.

use super::client::{Client, Next, Value, bulk, ok, push_request};
use super::harness::{Server, eventually};
use rondo::base::rng::Rng;

const REQUESTS_COUNT: usize = 60;
/// One when the bytes come, one when the connection goes on; and what the harness asks.
const COMMANDS_PER_TURN_MAX: i64 = 4;

/// A script that takes three milliseconds, by the processor's time.
const SLOW: &[u8] = b"local s = os.clock() repeat until os.clock() - s > 0.003 return 1";

/// Sends a request many times in one piece; the most that the server runs in a turn of that.
fn commands_per_turn(server: &Server, words: &[&[u8]], reply: &Value) -> i64 {
    commands_per_turn_of(&mut server.client(), server, words, reply)
}

fn commands_per_turn_of(
    client: &mut Client,
    server: &Server,
    words: &[&[u8]],
    reply: &Value,
) -> i64 {
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

/// The same for replies that another core copies, and for those that wait for them: some of the keys are on the core where the client
/// is, and some are not.
#[test]
fn others_have_their_turn_after_a_mebibyte_from_another_core() {
    let server = Server::start(2, &[]);
    let value = vec![b'x'; 1 << 20];
    let keys: Vec<String> = (0..8).map(|index| format!("big:{index}")).collect();
    let mut client = server.client();
    for key in &keys {
        client.run(&[b"SET", key.as_bytes(), &value]);
    }
    for key in &keys {
        let request: [&[u8]; 4] = [b"GETRANGE", key.as_bytes(), b"0", b"-1"];
        let mut client = server.client();
        assert_eq!(client.run(&[b"GET", b"none"]), Value::Null);
        let count = commands_per_turn_of(&mut client, &server, &request, &bulk(&value));
        assert!(count <= COMMANDS_PER_TURN_MAX, "{key}: {count}");
    }
    // Those of one core wait for those of the other.
    let mut client = server.client();
    let mut pipeline = Vec::new();
    for number in 0..REQUESTS_COUNT {
        let key = keys[number % 8].as_bytes();
        push_request(&mut pipeline, &[b"GETRANGE", key, b"0", b"-1"]);
    }
    client.send(&pipeline);
    for number in 0..REQUESTS_COUNT {
        assert!(client.reply() == bulk(&value), "reply {number}");
    }
    let count = server.info_number("debug", "eventloop_cmd_per_cycle_max");
    assert!(count <= COMMANDS_PER_TURN_MAX, "{count}");
}

/// However many clients wait for the same thing, they do not all go on in the turn in which it comes; and all of them do in the end.
#[test]
fn others_have_their_turn_before_all_that_waited() {
    let server = Server::start(1, &[]);
    let mut master = server.client();
    assert_eq!(master.ask("CLIENT PAUSE 60000 WRITE"), ok());
    let mut clients: Vec<Client> = (0..24).map(|_| server.client()).collect();
    for client in &mut clients {
        let mut pipeline = Vec::new();
        (0..2).for_each(|_| push_request(&mut pipeline, &[b"EVAL", SLOW, b"0"]));
        client.send(&pipeline);
    }
    eventually("all of them wait", || {
        let list = master.ask("CLIENT LIST").text();
        list.matches(" cmd=eval ").count() == clients.len()
    });
    assert_eq!(master.ask("CLIENT UNPAUSE"), ok());
    // What they have sent is all they send: that most wait for their turns is no reason to take them for answered.
    clients.iter().for_each(Client::shut_write);
    for client in &mut clients {
        assert_eq!(client.replies(2), [Value::Integer(1), Value::Integer(1)]);
        assert_eq!(client.next(), Next::Closed);
    }
    let count = server.info_number("debug", "eventloop_cmd_per_cycle_max");
    assert!(count <= COMMANDS_PER_TURN_MAX, "{count}");
}

/// Clients that do not read until others have read all of theirs have replies of all lengths, short ones in batches, long ones alone,
/// each in its place.
#[test]
fn replies_keep_their_order_whatever_a_turn_takes_of_them() {
    const LENGTHS: [usize; 6] = [10, 1_000, 20_000, 200_000, 300_000, 1 << 20];
    let always = ["--appendonly", "yes", "--appendfsync", "always"];
    for (threads, options) in [(1, &[][..]), (2, &[][..]), (2, &always[..]), (7, &[][..])] {
        let server = Server::start(threads, options);
        let keys: Vec<String> = (0..24).map(|index| format!("key:{index}")).collect();
        let value_of = |index: usize| vec![b'a' + index as u8; LENGTHS[index % LENGTHS.len()]];
        let mut master = server.client();
        for (index, key) in keys.iter().enumerate() {
            assert_eq!(
                master.run(&[b"SET", key.as_bytes(), &value_of(index)]),
                ok()
            );
        }
        for seed in 0..2 {
            let mut rng = Rng::with_seed(seed);
            let mut clients: Vec<(Client, Vec<Value>)> = Vec::new();
            for number in 0..4 {
                let mut client = server.client();
                let mut pipeline = Vec::new();
                let mut expected = Vec::new();
                let counter = format!("counter:{seed}:{number}");
                let mut count = 0;
                for _ in 0..60 {
                    let mut draw = || rng.below(keys.len() as u64) as usize;
                    let (one, other) = (draw(), draw());
                    let [first, second] = [one, other].map(|index| keys[index].as_bytes());
                    match rng.below(8) {
                        0 | 1 => {
                            push_request(&mut pipeline, &[b"INCR", counter.as_bytes()]);
                            count += 1;
                            expected.push(Value::Integer(count));
                        }
                        2 => {
                            push_request(&mut pipeline, &[b"MGET", first, second]);
                            let values = [one, other].map(|index| bulk(value_of(index)));
                            expected.push(Value::Array(values.into()));
                        }
                        _ => {
                            push_request(&mut pipeline, &[b"GET", first]);
                            expected.push(bulk(value_of(one)));
                        }
                    }
                }
                client.send(&pipeline);
                clients.push((client, expected));
            }
            for (number, (client, expected)) in clients.iter_mut().enumerate() {
                for (at, reply) in expected.iter().enumerate() {
                    let is_same = client.reply() == *reply;
                    assert!(
                        is_same,
                        "{threads} SEED={seed}: client {number}, reply {at}"
                    );
                }
            }
        }
    }
}

/// And so is a request of some milliseconds.
#[test]
fn others_have_their_turn_after_some_milliseconds() {
    let server = Server::start(1, &[]);
    let count = commands_per_turn(&server, &[b"EVAL", SLOW, b"0"], &Value::Integer(1));
    assert!(count <= COMMANDS_PER_TURN_MAX, "{count}");
}

/// Short requests do not pay for that: a window of them, and more, runs in a turn.
#[test]
fn short_requests_run_many_in_a_turn() {
    let server = Server::start(1, &[]);
    let count = commands_per_turn(&server, &[b"GET", b"none"], &Value::Null);
    assert!(count >= 8, "{count}");
}
