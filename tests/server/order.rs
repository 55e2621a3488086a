//! Replies leave in the order the requests came, with the values a plain map would give.

use super::client::{Client, Value, bulk, ok, push_request};
use super::harness::Server;
use rondo::base::rng::Rng;
use std::collections::HashMap;

/// One server as a plain map.
#[derive(Default)]
pub struct Model {
    values: HashMap<Vec<u8>, Vec<u8>>,
}

impl Model {
    fn get(&self, key: &[u8]) -> Value {
        self.values.get(key).map_or(Value::Null, bulk)
    }

    /// What the request answers; strings, and keys by their names, only.
    pub fn run(&mut self, words: &[Vec<u8>]) -> Value {
        let keys = &words[1..];
        match words[0].as_slice() {
            b"SET" => {
                self.values.insert(keys[0].clone(), keys[1].clone());
                ok()
            }
            b"GET" => self.get(&keys[0]),
            b"STRLEN" => Value::Integer(self.values.get(&keys[0]).map_or(0, Vec::len) as i64),
            b"APPEND" => {
                let value = self.values.entry(keys[0].clone()).or_default();
                value.extend_from_slice(&keys[1]);
                Value::Integer(value.len() as i64)
            }
            b"INCR" => {
                let value = self
                    .values
                    .entry(keys[0].clone())
                    .or_insert_with(|| b"0".to_vec());
                let text = String::from_utf8(value.clone()).expect("counters hold digits");
                let number = text.parse::<i64>().expect("counters hold numbers") + 1;
                *value = number.to_string().into_bytes();
                Value::Integer(number)
            }
            b"DEL" => Value::Integer(
                keys.iter()
                    .filter(|key| self.values.remove(*key).is_some())
                    .count() as i64,
            ),
            b"EXISTS" => Value::Integer(
                keys.iter()
                    .filter(|key| self.values.contains_key(*key))
                    .count() as i64,
            ),
            b"MGET" => Value::Array(keys.iter().map(|key| self.get(key)).collect()),
            b"MSET" => {
                for pair in keys.chunks(2) {
                    self.values.insert(pair[0].clone(), pair[1].clone());
                }
                ok()
            }
            b"DBSIZE" => Value::Integer(self.values.len() as i64),
            other => panic!("the model does not know {}", String::from_utf8_lossy(other)),
        }
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }
}

/// A random request over keys that begin with `prefix`.
pub fn random_request(
    rng: &mut Rng,
    prefix: &str,
    several_shards: bool,
    dbsize: bool,
) -> Vec<Vec<u8>> {
    let key = |rng: &mut Rng| format!("{prefix}key:{}", rng.below(60)).into_bytes();
    let counter = |rng: &mut Rng| format!("{prefix}count:{}", rng.below(20)).into_bytes();
    let value = |rng: &mut Rng| {
        let length = if rng.below(50) == 0 {
            rng.below(5_000)
        } else {
            rng.below(40)
        };
        vec![b'a' + rng.below(26) as u8; length as usize]
    };
    let name = |name: &str| name.as_bytes().to_vec();
    let kinds = if several_shards { 16 } else { 12 };
    match rng.below(kinds) {
        0..=3 => vec![name("SET"), key(rng), value(rng)],
        4..=7 => vec![name("GET"), key(rng)],
        8 => vec![name("STRLEN"), key(rng)],
        9 => vec![name("APPEND"), key(rng), vec![b'+'; rng.below(9) as usize]],
        10 => vec![name("INCR"), counter(rng)],
        11 => vec![name("DEL"), key(rng)],
        12 => {
            let mut words = vec![name("MGET")];
            words.extend((0..1 + rng.below(8)).map(|_| key(rng)));
            words
        }
        13 => {
            let mut words = vec![name("MSET")];
            for _ in 0..1 + rng.below(6) {
                words.push(key(rng));
                words.push(value(rng));
            }
            words
        }
        14 if dbsize && rng.below(4) == 0 => vec![name("DBSIZE")],
        14 => {
            let mut words = vec![name("EXISTS")];
            words.extend((0..1 + rng.below(6)).map(|_| key(rng)));
            words
        }
        _ => {
            let mut words = vec![name("DEL")];
            words.extend((0..1 + rng.below(4)).map(|_| key(rng)));
            words
        }
    }
}

pub fn push_words(bytes: &mut Vec<u8>, words: &[Vec<u8>]) {
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    push_request(bytes, &words);
}

/// Sends `count` requests in pipelines of `depth` and compares every reply with the model's.
pub fn check_against_model(
    client: &mut Client,
    model: &mut Model,
    seed: u64,
    count: usize,
    depth: usize,
    prefix: &str,
) {
    let mut rng = Rng::with_seed(seed);
    let mut done = 0;
    while done < count {
        let depth = depth.min(count - done);
        let requests: Vec<Vec<Vec<u8>>> = (0..depth)
            .map(|_| random_request(&mut rng, prefix, true, prefix.is_empty()))
            .collect();
        let mut bytes = Vec::new();
        for words in &requests {
            push_words(&mut bytes, words);
        }
        client.send(&bytes);
        for words in &requests {
            let expected = model.run(words);
            let got = client.reply();
            assert!(
                got == expected,
                "SEED={seed} request {done}: {:?}\n got {got:?}\n not {expected:?}",
                words
                    .iter()
                    .map(|word| String::from_utf8_lossy(word))
                    .collect::<Vec<_>>()
            );
            done += 1;
        }
    }
}

fn check_basics(threads: usize) {
    let server = Server::start(threads, &[]);
    let mut client = server.client();
    assert_eq!(client.ask("SET a 1"), ok());
    assert_eq!(client.ask("GET a"), bulk("1"));
    assert_eq!(client.ask("GET missing"), Value::Null);
    assert_eq!(client.ask("MSET b 2 c 3 d 4 e 5 f 6 g 7"), ok());
    assert_eq!(
        client.ask("MGET a b c d missing e f g a"),
        Value::Array(vec![
            bulk("1"),
            bulk("2"),
            bulk("3"),
            bulk("4"),
            Value::Null,
            bulk("5"),
            bulk("6"),
            bulk("7"),
            bulk("1"),
        ])
    );
    assert_eq!(client.ask("DBSIZE"), Value::Integer(7));
    assert_eq!(client.ask("DEL a b missing c a"), Value::Integer(3));
    assert_eq!(
        client.ask("MGET a d"),
        Value::Array(vec![Value::Null, bulk("4")])
    );
    assert_eq!(client.ask("DBSIZE"), Value::Integer(4));
    assert_eq!(client.ask("FLUSHALL"), ok());
    assert_eq!(client.ask("DBSIZE"), Value::Integer(0));
}

#[test]
fn keys_are_found_wherever_they_live() {
    for threads in [1, 2, 5] {
        check_basics(threads);
    }
}

/// 10,000 requests of one and of several shards in one pipeline.
fn check_long_pipeline(threads: usize) {
    let server = Server::start(threads, &[]);
    let mut client = server.client();
    let mut model = Model::default();
    check_against_model(&mut client, &mut model, 1, 10_000, 10_000, "");
    check_against_model(&mut client, &mut model, 2, 2_000, 50, "");
    check_against_model(&mut client, &mut model, 3, 300, 1, "");
    assert_eq!(client.ask("DBSIZE"), Value::Integer(model.len() as i64));
}

#[test]
fn a_pipeline_keeps_its_order_on_one_core() {
    check_long_pipeline(1);
}

#[test]
fn a_pipeline_keeps_its_order_on_two_cores() {
    check_long_pipeline(2);
}

#[test]
fn a_pipeline_keeps_its_order_on_five_cores() {
    check_long_pipeline(5);
}

/// 50 connections, each with keys of its own, each compared with its own model.
#[test]
fn connections_do_not_see_each_others_keys() {
    for threads in [2, 5] {
        let server = Server::start(threads, &[]);
        let port = server.port;
        std::thread::scope(|scope| {
            for index in 0..50 {
                scope.spawn(move || {
                    let mut client = Client::connect(port);
                    let mut model = Model::default();
                    let prefix = format!("{index}:");
                    check_against_model(&mut client, &mut model, 100 + index, 300, 1, &prefix);
                    check_against_model(&mut client, &mut model, 200 + index, 600, 30, &prefix);
                });
            }
        });
    }
}
