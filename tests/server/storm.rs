//! Everything at once: clients with a model each, on keys of their own, beside killers, pauses, changes of options and
//! clients that go in the middle of a request.

use super::client::{Client, Next, Value, bulk, error, ok, push_request, request};
use super::harness::{Server, eventually};
use rondo::base::rng::Rng;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

const WORKERS_COUNT: u64 = 6;
const ROUNDS_COUNT: u32 = 220;
const KEYS_COUNT: u64 = 12;
const COUNTERS_COUNT: usize = 4;
const GROUP: [&str; 6] = [
    "group:a", "group:b", "group:c", "group:d", "group:e", "group:f",
];

/// What all workers have done to what they share.
#[derive(Default)]
struct Shared {
    /// Increments sent, and those of them that were answered.
    sent: [AtomicI64; COUNTERS_COUNT],
    answered: [AtomicI64; COUNTERS_COUNT],
    /// Connections cut off by somebody else.
    cut_off: AtomicU32,
}

enum Expected {
    Exactly(Value),
    /// A shared counter's next value: more than this client saw before.
    Count(usize),
    /// The group's values: all the same.
    Group,
}

/// One client's view of its keys; new keys whenever its connection was lost, since what ran last is unknown then.
struct Worker {
    number: u64,
    epoch: u64,
    rng: Rng,
    client: Client,
    model: HashMap<String, Vec<u8>>,
    seen: [i64; COUNTERS_COUNT],
    /// All keys of this epoch share a slot, so that the connection follows them.
    is_tagged: bool,
}

impl Worker {
    fn new(number: u64, seed: u64, port: u16) -> Self {
        let mut worker = Self {
            number,
            epoch: 0,
            rng: Rng::with_seed(seed ^ number << 32),
            client: Client::connect(port),
            model: HashMap::new(),
            seen: [0; COUNTERS_COUNT],
            is_tagged: false,
        };
        worker.begin_epoch(port);
        worker
    }

    fn begin_epoch(&mut self, port: u16) {
        self.epoch += 1;
        self.model.clear();
        self.is_tagged = self.rng.below(3) == 0;
        self.client = Client::connect(port);
    }

    fn name(&mut self) -> String {
        let (number, epoch, key) = (self.number, self.epoch, self.rng.below(KEYS_COUNT));
        if self.is_tagged {
            format!("{{{number}:{epoch}}}{key}")
        } else {
            format!("{number}:{epoch}:{key}")
        }
    }

    fn value(&mut self) -> Vec<u8> {
        let bytes = match self.rng.below(20) {
            0 => 60_000 + self.rng.below(80_000),
            1..4 => 1 + self.rng.below(3_000),
            _ => 1 + self.rng.below(24),
        };
        vec![b'a' + self.rng.below(26) as u8; bytes as usize]
    }

    fn get(&self, name: &str) -> Value {
        self.model.get(name).map_or(Value::Null, bulk)
    }

    /// Appends one request, and what it will be answered.
    fn push(&mut self, bytes: &mut Vec<u8>, shared: &Shared) -> Expected {
        let names: Vec<String> = (0..4).map(|_| self.name()).collect();
        let [a, b] = [0, 1].map(|index| names[index].as_bytes());
        let mut words: Vec<&[u8]> = Vec::new();
        let value = self.value();
        let expected = match self.rng.below(16) {
            0..3 => {
                words.extend([b"GET", a]);
                self.get(&names[0])
            }
            3 | 4 => {
                words.extend([b"SET", a, &value]);
                self.model.insert(names[0].clone(), value.clone());
                ok()
            }
            5 => {
                words.extend([b"APPEND", a, &value]);
                let text = self.model.entry(names[0].clone()).or_default();
                text.extend_from_slice(&value);
                let length = text.len() as i64;
                Value::Integer(length)
            }
            6 => {
                words.push(b"MGET");
                words.extend(names.iter().map(|name| name.as_bytes()));
                Value::Array(names.iter().map(|name| self.get(name)).collect())
            }
            7 => {
                words.push(b"MSET");
                for name in &names {
                    words.extend([name.as_bytes(), &value]);
                    self.model.insert(name.clone(), value.clone());
                }
                ok()
            }
            8 => {
                words.push(b"DEL");
                words.extend(names.iter().map(|name| name.as_bytes()));
                let count = names
                    .iter()
                    .filter(|name| self.model.remove(*name).is_some());
                Value::Integer(count.count() as i64)
            }
            9 => {
                words.extend([b"RENAME", a, b]);
                match self.model.remove(&names[0]) {
                    Some(value) => {
                        self.model.insert(names[1].clone(), value);
                        ok()
                    }
                    None => error("ERR no such key"),
                }
            }
            10 => {
                words.push(b"EXISTS");
                words.extend(names.iter().map(|name| name.as_bytes()));
                let count = names.iter().filter(|name| self.model.contains_key(*name));
                Value::Integer(count.count() as i64)
            }
            11 => {
                words.extend([b"MSETNX", a, &value, b, b"x"]);
                let is_new = [a, b].iter().all(|name| {
                    let name = std::str::from_utf8(name).expect("names are text");
                    !self.model.contains_key(name)
                });
                if is_new {
                    self.model.insert(names[0].clone(), value.clone());
                    self.model.insert(names[1].clone(), b"x".to_vec());
                }
                Value::Integer(i64::from(is_new))
            }
            12 => {
                words.push(b"MSET");
                for name in GROUP {
                    words.extend([name.as_bytes(), &value]);
                }
                ok()
            }
            13 => {
                words.push(b"MGET");
                words.extend(GROUP.map(str::as_bytes));
                push_request(bytes, &words);
                return Expected::Group;
            }
            14 => {
                let counter = self.rng.below(COUNTERS_COUNT as u64) as usize;
                let name = format!("counter:{counter}");
                push_request(bytes, &[b"INCR", name.as_bytes()]);
                shared.sent[counter].fetch_add(1, Ordering::SeqCst);
                return Expected::Count(counter);
            }
            _ => {
                words.extend([b"ECHO", a]);
                bulk(a)
            }
        };
        push_request(bytes, &words);
        Expected::Exactly(expected)
    }

    fn check(&mut self, expected: &Expected, reply: Value, shared: &Shared) {
        match expected {
            Expected::Exactly(value) => {
                assert!(*value == reply, "expected {value:.200?}, got {reply:.200?}")
            }
            Expected::Count(counter) => {
                let count = reply.integer();
                assert!(
                    count > self.seen[*counter],
                    "{count} after {}",
                    self.seen[*counter]
                );
                self.seen[*counter] = count;
                shared.answered[*counter].fetch_add(1, Ordering::SeqCst);
            }
            Expected::Group => {
                let items = reply.items();
                assert!(
                    items.iter().all(|item| *item == items[0]),
                    "a group in pieces"
                );
            }
        }
    }

    /// One pipeline; false when the connection was lost on the way.
    fn round(&mut self, shared: &Shared) -> bool {
        let count = match self.rng.below(8) {
            0 => 200,
            1 => 1,
            _ => 1 + self.rng.below(30),
        };
        let mut bytes = Vec::new();
        let expected: Vec<Expected> = (0..count).map(|_| self.push(&mut bytes, shared)).collect();
        let goes = self.rng.below(12) == 0;
        let end = if goes {
            self.rng.below(bytes.len() as u64 + 1) as usize
        } else {
            bytes.len()
        };
        let mut rest = &bytes[..end];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(1 + self.rng.below(100_000) as usize));
            rest = later;
            if self.client.try_send(now).is_err() {
                return false;
            }
        }
        let read_count = if goes {
            self.rng.below(3) as usize
        } else {
            expected.len()
        };
        for expected in &expected[..read_count.min(expected.len())] {
            if goes && self.rng.below(2) == 0 {
                break;
            }
            if goes && end < bytes.len() {
                break; // Its first replies may never come.
            }
            match self.client.next() {
                Next::Reply(reply) => self.check(expected, reply, shared),
                Next::Closed => {
                    shared.cut_off.fetch_add(1, Ordering::SeqCst);
                    return false;
                }
            }
        }
        !goes
    }
}

/// One thing an operator might do, until told to stop.
fn disturb(port: u16, seed: u64, done: &AtomicBool) {
    let mut rng = Rng::with_seed(seed);
    let mut client = Client::connect(port);
    while !done.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(rng.below(15)));
        match rng.below(12) {
            0 => assert_eq!(client.ask("CLIENT PAUSE 10 WRITE"), ok()),
            1 => assert_eq!(client.ask("CLIENT PAUSE 10"), ok()),
            2 => assert_eq!(client.ask("CLIENT UNPAUSE"), ok()),
            3 => assert_eq!(
                client.ask(&format!("CONFIG SET hz {}", 10 + rng.below(90))),
                ok()
            ),
            4 => assert_eq!(
                client.ask("CONFIG SET timeout 0 latency-tracking yes"),
                ok()
            ),
            5 => assert_eq!(client.ask("CONFIG RESETSTAT"), ok()),
            6 => assert!(
                client
                    .ask("INFO everything")
                    .text()
                    .contains("redis_version")
            ),
            7 => assert!(client.ask("DBSIZE").integer() >= 0),
            8 => {
                assert_eq!(client.ask("SWAPDB 3 4"), ok());
                assert_eq!(client.ask("SELECT 3"), ok());
                assert_eq!(client.ask("FLUSHDB"), ok());
                assert_eq!(client.ask("SELECT 0"), ok());
            }
            9 => assert!(matches!(
                client.ask("RANDOMKEY"),
                Value::Bulk(_) | Value::Null
            )),
            10 => {
                let list = client.ask("CLIENT LIST").text();
                let rows: Vec<&str> = list.lines().collect();
                let row = rows[rng.below(rows.len() as u64) as usize];
                let id = &row["id=".len()..row.find(' ').expect("several fields")];
                // It may have gone, or be the one that asks.
                let killed = client.ask(&format!("CLIENT KILL ID {id}"));
                assert!(matches!(killed, Value::Integer(0 | 1)), "{killed:?}");
            }
            _ if rng.below(6) == 0 => {
                let killed = client.ask("CLIENT KILL TYPE normal SKIPME yes");
                assert!(killed.integer() >= 0);
            }
            _ => assert_eq!(client.ask("PING"), Value::Simple("PONG".into())),
        }
    }
}

/// - `seed`: STORM_SEED in the environment takes its place, to look further than one run does.
fn storm(threads: usize, seed: u64) {
    let seed = std::env::var("STORM_SEED").map_or(seed, |text| text.parse().expect("a number"));
    println!("{threads} threads, seed {seed}");
    let mut server = Server::start(threads, &[]);
    let port = server.port;
    let shared = &Shared::default();
    let done = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS_COUNT)
            .map(|number| {
                scope.spawn(move || {
                    let mut worker = Worker::new(number, seed, port);
                    for _ in 0..ROUNDS_COUNT {
                        if !worker.round(shared) {
                            worker.begin_epoch(port);
                        }
                    }
                })
            })
            .collect();
        let disturber = scope.spawn(move || disturb(port, seed, done));
        let results: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        done.store(true, Ordering::SeqCst);
        let disturbed = disturber.join();
        results
            .into_iter()
            .for_each(|result| result.expect("a worker"));
        disturbed.expect("the disturber");
    });
    eventually("only the asker is left", || {
        server.info_number("clients", "connected_clients") == 1
    });
    let mut client = server.client();
    for counter in 0..COUNTERS_COUNT {
        let count = match client.ask(&format!("GET counter:{counter}")) {
            Value::Null => 0,
            value => value.text().parse().expect("a number"),
        };
        let answered = shared.answered[counter].load(Ordering::SeqCst);
        let sent = shared.sent[counter].load(Ordering::SeqCst);
        assert!(
            (answered..=sent).contains(&count),
            "{answered} <= {count} <= {sent}"
        );
    }
    // No lock is left: everything can be had at once.
    let mut words: Vec<&[u8]> = vec![b"MGET"];
    words.extend(GROUP.map(str::as_bytes));
    let values = client.run(&words);
    assert!(values.items().iter().all(|item| *item == values.items()[0]));
    assert_eq!(client.run(&[b"FLUSHALL"]), ok());
    assert_eq!(client.run(&[b"DBSIZE"]), Value::Integer(0));
    println!("{:?} were cut off", shared.cut_off);
    client.send(&request(&[b"SHUTDOWN", b"NOSAVE"]));
    assert_eq!(client.next(), Next::Closed);
    assert_eq!(
        server.wait_for_the_end().code(),
        Some(0),
        "{}",
        server.log()
    );
}

#[test]
fn one_core_stands_a_storm() {
    storm(1, 11);
}

#[test]
fn two_cores_stand_a_storm() {
    storm(2, 22);
}

#[test]
fn seven_cores_stand_a_storm() {
    storm(7, 77);
}
