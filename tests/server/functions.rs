//! Libraries of functions as clients see them, on one core and on several.

use super::client::{Client, Value, bulk, error, ok, request};
use super::harness::Server;
use crate::commands::transcript::{Step, parse_transcript, reply_lines};

const THREADS: [usize; 2] = [1, 4];

/// Every reply of a session recorded from Redis 8.0.6.
#[test]
fn replies_are_those_of_redis() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let mut failures = Vec::new();
        for step in parse_transcript(include_str!("functions.txt")) {
            let Step::Request {
                line, words, reply, ..
            } = step
            else {
                panic!("only requests here: {step:?}");
            };
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            client.send(&request(&words));
            let got = reply_lines(&client.raw_reply());
            if got != reply {
                failures.push(format!("line {line}\n  got  {got:?}\n  want {reply:?}"));
            }
        }
        assert!(
            failures.is_empty(),
            "{threads} threads\n{}",
            failures.join("\n")
        );
    }
}

/// INFO counts what there is, wherever it was loaded and whoever asks.
#[test]
fn figures_know_of_libraries() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut client = server.client();
        let number = |name: &str| server.info_number("memory", name);
        assert_eq!(number("used_memory_vm_functions"), 0);
        load(&mut client, "one", 1);
        load(&mut client, "two", 2);
        assert_eq!(number("number_of_functions"), 2);
        assert_eq!(number("number_of_libraries"), 2);
        let machines = number("used_memory_vm_functions");
        assert!(machines > 0);
        let all = number("used_memory_vm_total");
        assert_eq!(all, number("used_memory_vm_eval") + machines);
        let texts = number("used_memory_functions");
        assert!(texts > 150, "{texts}");
        let scripts = number("used_memory_scripts_eval");
        assert_eq!(number("used_memory_scripts"), texts + scripts);
        client.ask("FUNCTION DELETE one");
        assert_eq!(number("number_of_libraries"), 1);
    }
}

fn load(client: &mut Client, name: &str, result: usize) -> Value {
    let code = format!(
        "#!lua name={name}\nredis.register_function('{name}', function(keys) return {{redis.call('incr', keys[1]), {result}}} end)"
    );
    client.run(&[b"FUNCTION", b"LOAD", b"REPLACE", code.as_bytes()])
}

fn call(client: &mut Client, name: &str, key: &str) -> Value {
    client.run(&[b"FCALL", name.as_bytes(), b"1", key.as_bytes()])
}

/// A reply to FUNCTION LOAD means that every client, on whatever core, calls what was loaded; keys are on all cores.
#[test]
fn a_library_is_everywhere_once_it_is_loaded() {
    for threads in THREADS {
        let server = Server::start(threads, &[]);
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for round in 1..=20 {
            let loader = round % clients.len();
            assert_eq!(load(&mut clients[loader], "lib", round), bulk("lib"));
            for (index, client) in clients.iter_mut().enumerate() {
                let reply = call(client, "lib", &format!("key{index}"));
                let counted = Value::Integer(round as i64);
                assert_eq!(reply, Value::Array(vec![counted.clone(), counted]));
            }
        }
        let payload = clients[0].run(&[b"FUNCTION", b"DUMP"]);
        let Value::Bulk(payload) = payload else {
            panic!("a payload: {payload:?}");
        };
        assert_eq!(clients[1].run(&[b"FUNCTION", b"FLUSH"]), ok());
        for client in &mut clients {
            assert_eq!(call(client, "lib", "key"), error("ERR Function not found"));
        }
        assert_eq!(clients[2].run(&[b"FUNCTION", b"RESTORE", &payload]), ok());
        for (index, client) in clients.iter_mut().enumerate() {
            let reply = call(client, "lib", &format!("key{index}"));
            let expected = vec![Value::Integer(21), Value::Integer(20)];
            assert_eq!(reply, Value::Array(expected));
        }
    }
}
