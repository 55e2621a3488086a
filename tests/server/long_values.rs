//! Long values are sent from where they lie: whatever happens to their keys meanwhile, a client gets what they were when its request
//! ran.

use super::client::{Client, Value, bulk, ok, push_request};
use super::harness::Server;
use rondo::base::rng::Rng;
use std::collections::HashMap;

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Bytes that differ from those of other numbers, and by place.
fn value_of(number: u64, length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|at| (at / 7 + number * 31) as u8)
        .collect()
}

fn length_of(rng: &mut Rng) -> usize {
    match rng.below(8) {
        0 => rng.below(40) as usize,
        1 => 16 * 1024 - 1 + rng.below(3) as usize,
        2 => 1_000_000 + rng.below(200_000) as usize,
        _ => 10_000 + rng.below(100_000) as usize,
    }
}

/// A pipeline, and the replies to it by what the keys have.
struct Model {
    rng: Rng,
    keys: HashMap<&'static str, Vec<u8>>,
    pipeline: Vec<u8>,
    replies: Vec<Value>,
}

impl Model {
    fn ask(&mut self, words: &[&[u8]], reply: Value) {
        push_request(&mut self.pipeline, words);
        self.replies.push(reply);
    }

    fn get(&self, key: &str) -> Value {
        self.keys.get(key).map_or(Value::Null, bulk)
    }

    fn step(&mut self, number: u64) {
        let key = KEYS[self.rng.below(KEYS.len() as u64) as usize];
        let name = key.as_bytes();
        match self.rng.below(16) {
            0..3 => {
                let value = value_of(number, length_of(&mut self.rng));
                self.ask(&[b"SET", name, &value], ok());
                self.keys.insert(key, value);
            }
            3 => {
                let more = value_of(number, 1 + self.rng.below(5_000) as usize);
                let value = self.keys.entry(key).or_default();
                value.extend_from_slice(&more);
                let length = Value::Integer(value.len() as i64);
                self.ask(&[b"APPEND", name, &more], length);
            }
            4 => {
                let value = self.keys.entry(key).or_default();
                let at = self.rng.below(value.len() as u64 + 1) as usize;
                let more = value_of(number, 50);
                value.resize(value.len().max(at + 50), 0);
                value[at..at + 50].copy_from_slice(&more);
                let length = Value::Integer(value.len() as i64);
                let at = at.to_string();
                self.ask(&[b"SETRANGE", name, at.as_bytes(), &more], length);
            }
            5 => {
                let reply = self.get(key);
                self.ask(&[b"GETDEL", name], reply);
                self.keys.remove(key);
            }
            6 => {
                let reply = self.get(key);
                self.ask(&[b"MULTI"], ok());
                self.ask(&[b"GET", name], Value::Simple("QUEUED".into()));
                self.ask(&[b"PING"], Value::Simple("QUEUED".into()));
                let pong = Value::Simple("PONG".into());
                self.ask(&[b"EXEC"], Value::Array(vec![reply, pong]));
            }
            7 => {
                let reply = self.get(key);
                let script = b"return redis.call('GET', KEYS[1])";
                self.ask(&[b"EVAL", script, b"1", name], reply);
            }
            8 => {
                let replies = KEYS.map(|key| self.get(key)).to_vec();
                let mut words: Vec<&[u8]> = vec![b"MGET"];
                words.extend(KEYS.map(str::as_bytes));
                self.ask(&words, Value::Array(replies));
            }
            9 => self.ask(&[b"PING"], Value::Simple("PONG".into())),
            10 => {
                push_request(&mut self.pipeline, &[b"CLIENT", b"REPLY", b"SKIP"]);
                push_request(&mut self.pipeline, &[b"GET", name]);
            }
            _ => {
                let reply = self.get(key);
                self.ask(&[b"GET", name], reply);
            }
        }
    }
}

fn runs_as_the_model(server: &Server, seed: u64, steps: u64) {
    let mut client = server.client();
    assert_eq!(client.ask("FLUSHALL"), ok());
    let mut model = Model {
        rng: Rng::with_seed(seed),
        keys: HashMap::new(),
        pipeline: Vec::new(),
        replies: Vec::new(),
    };
    for number in 0..steps {
        model.step(number);
        if model.rng.below(30) == 0 || number + 1 == steps {
            let pipeline = std::mem::take(&mut model.pipeline);
            // All of it is sent before any of it is read.
            let mut writer = client.writer();
            let sends = std::thread::spawn(move || {
                std::io::Write::write_all(&mut writer, &pipeline).expect("it is taken");
            });
            for (index, reply) in model.replies.drain(..).enumerate() {
                let is_same = client.reply() == reply;
                assert!(is_same, "seed {seed}, before {number}: reply {index}");
            }
            sends.join().expect("it has been sent");
        }
    }
}

#[test]
fn a_pipeline_sees_long_values_as_they_were() {
    for threads in [1, 2, 7] {
        let server = Server::start(threads, &[]);
        for seed in 0..3 {
            runs_as_the_model(&server, seed, 150);
        }
    }
}

#[test]
fn with_a_log_that_replies_wait_for_they_are_the_same() {
    let mut server = Server::start(2, &["--appendonly", "yes", "--appendfsync", "always"]);
    runs_as_the_model(&server, 11, 120);
    let value = value_of(5, 300_000);
    assert_eq!(server.client().run(&[b"SET", b"k", &value]), ok());
    let got = server.client().run(&[b"GET", b"k"]);
    assert!(got == bulk(&value));
    server.terminate();
    assert!(server.restart(1, &["--appendonly", "yes"]));
    // What was loaded is lent as well.
    for _ in 0..2 {
        assert!(server.client().run(&[b"GET", b"k"]) == bulk(&value));
    }
}

/// Clients that have asked and do not read yet: others change, remove and evict what they are to get.
#[test]
fn who_reads_late_gets_what_was_there() {
    const LENGTH: usize = 700_000;
    for threads in [1, 2] {
        let server = Server::start(threads, &[]);
        let mut writer = server.client();
        let value = value_of(1, LENGTH);
        let mut readers: Vec<Client> = Vec::new();
        for key in KEYS {
            assert_eq!(writer.run(&[b"SET", key.as_bytes(), &value]), ok());
            let mut reader = server.client();
            let mut pipeline = Vec::new();
            (0..40).for_each(|_| push_request(&mut pipeline, &[b"GET", key.as_bytes()]));
            push_request(&mut pipeline, &[b"PING"]);
            reader.send(&pipeline);
            readers.push(reader);
        }
        // Each of them has the beginning by now.
        let first = format!("${LENGTH}\r\n");
        for reader in &mut readers {
            assert_eq!(reader.raw(first.len()), first.as_bytes());
        }
        let overwritten = value_of(2, LENGTH);
        writer.run(&[b"SET", b"a", &overwritten]);
        writer.run(&[b"SETRANGE", b"b", b"5", b"xxx"]);
        writer.run(&[b"APPEND", b"c", b"more"]);
        writer.run(&[b"DEL", b"d"]);
        writer.run(&[b"SETBIT", b"e", b"5", b"1"]);
        let later = [
            bulk(&overwritten),
            bulk([&value[..5], b"xxx", &value[8..]].concat()),
            bulk([&value[..], b"more"].concat()),
            Value::Null,
        ];
        for (key, expected) in KEYS.iter().zip(&later) {
            assert!(writer.run(&[b"GET", key.as_bytes()]) == *expected, "{key}");
        }
        for (reader, key) in readers.iter_mut().zip(KEYS) {
            assert!(reader.raw(LENGTH) == value, "{key}");
            assert_eq!(reader.raw(2), b"\r\n");
            for number in 1..40 {
                // One that ran before the change, or behind it.
                let reply = reader.reply();
                let of_later = later.get(KEYS.iter().position(|it| *it == key).unwrap_or(9));
                let is_one = reply == bulk(&value) || of_later.is_none_or(|later| reply == *later);
                assert!(is_one, "{key}: reply {number}");
            }
            assert_eq!(reader.reply(), Value::Simple("PONG".into()));
        }
    }
}

/// A client that reads nothing costs nothing for each time it has asked for the same value, but it is held to its limit.
#[test]
fn values_that_nobody_reads_are_not_copied() {
    const LENGTH: usize = 1 << 20;
    const COUNT: usize = 100;
    let server = Server::start(1, &[]);
    let mut client = server.client();
    assert_eq!(client.run(&[b"SET", b"k", &value_of(3, LENGTH)]), ok());
    let before = server.memory_bytes("VmRSS");
    let mut reader = server.client();
    let mut pipeline = Vec::new();
    (0..COUNT).for_each(|_| push_request(&mut pipeline, &[b"GET", b"k"]));
    reader.send(&pipeline);
    let waits = || {
        let list = client.ask("CLIENT LIST").text();
        list.contains("omem=1000") || list.lines().any(|row| omem(row) > 90 * LENGTH as u64)
    };
    super::harness::eventually("all have run", waits);
    let after = server.memory_bytes("VmRSS");
    assert!(after < before + 20 * LENGTH as u64, "{before} to {after}");
    client.configure("client-output-buffer-limit", "normal 10mb 0 0");
    reader.send(&super::client::request(&[b"GET", b"k"]));
    super::harness::eventually("it is closed", || {
        client.ask("CLIENT LIST").text().lines().count() == 1
    });
}

fn omem(row: &str) -> u64 {
    let field = row.split(' ').find_map(|field| field.strip_prefix("omem="));
    field.and_then(|text| text.parse().ok()).unwrap_or(0)
}
