//! Question: what does a request cost on its shard, with no lock held and with somebody else's, and what do two shards
//!           cost instead of one?
//! Run:      make bench NAME=shard_execute         (host settings: tuning/host.md)
//! Reads:    ns per request, the best of 5 rounds, in one thread: plan, execute and reply, no wire and no mesh; for
//!           transactions every message is handed over at once. The sum of reply bytes pins the work.

use std::hint::black_box;
use std::time::Instant;

use rondo::base::hash::KeyHasher;
use rondo::commands::table::{Caller, table};
use rondo::keyspace::{Keyspace, KeyspaceOptions, SlotMap};
use rondo::resp::args::OwnedArgs;
use rondo::router::{
    KeyLock, LockMode, LockSet, Origin, Plan, ShardId, Step, ToShard, Transaction, plan,
};
use rondo::shard::{Outcome, Request, Shard};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;
const KEYS_COUNT: usize = 100_000;

fn main() {
    let is_real = std::env::args().any(|argument| argument == "--bench");
    let requests_count = if is_real { 2_000_000 } else { 1_000 };
    let mut server = Server::new(2);
    server.fill();
    let requests = |line: &str| -> Vec<OwnedArgs> {
        let number = |index: usize| (index * 7_919) % KEYS_COUNT;
        (0..4_096)
            .map(|index| {
                line.split(' ')
                    .enumerate()
                    .map(|(word, text)| match text {
                        "KEY" => format!("key:{}", number(index + word)),
                        // The same hash tag, so the same shard.
                        "TAG" => format!("{{tag:{}}}{word}", number(index)),
                        other => other.to_string(),
                    })
                    .collect::<Vec<String>>()
                    .iter()
                    .map(|word| word.as_bytes())
                    .collect()
            })
            .collect()
    };
    let value = "v".repeat(32);
    let set = format!("SET KEY {value}");
    let mset_one_shard = format!("MSET TAG {value} TAG {value}");
    let mset = format!("MSET KEY {value} KEY {value}");
    for (name, line) in [
        ("MGET of 2 keys on one shard", "MGET TAG TAG"),
        ("MGET of 2 keys anywhere (half: two shards)", "MGET KEY KEY"),
        ("MSET of 2 keys on one shard", mset_one_shard.as_str()),
        ("MSET of 2 keys anywhere (half: two shards)", mset.as_str()),
        ("DBSIZE over 2 shards", "DBSIZE"),
    ] {
        measure(name, &mut server, &requests(line), requests_count / 8);
    }
    for held in ["", ", a lock on another key held"] {
        if !held.is_empty() {
            server.lock_something();
        }
        for line in ["GET KEY", &set, "INCR counter"] {
            let name = format!("{}{held}", line.split(' ').next().unwrap_or_default());
            measure(&name, &mut server, &requests(line), requests_count);
        }
    }
}

fn measure(name: &str, server: &mut Server, requests: &[OwnedArgs], requests_count: usize) {
    let mut best_ns = f64::INFINITY;
    let mut sum = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for request in requests.iter().cycle().take(requests_count) {
            sum += server.run(request);
        }
        let ns = start.elapsed().as_nanos() as f64 / requests_count as f64;
        best_ns = best_ns.min(ns);
    }
    println!("{name:<50} {best_ns:>8.1} ns   sum {}", black_box(sum));
}

struct Server {
    shards: Vec<Shard>,
    map: SlotMap,
    hasher: KeyHasher,
    last_tx: u64,
    reply: Vec<u8>,
    outgoing: Vec<(ShardId, ToShard)>,
}

impl Server {
    fn new(shards_count: u16) -> Self {
        let map = SlotMap::new(shards_count);
        let hasher = KeyHasher::with_seed(1);
        let new_shard = |id| {
            let options = KeyspaceOptions {
                hasher: hasher.clone(),
                slots: map,
                shard: id,
                ..KeyspaceOptions::for_tests(1)
            };
            Shard::new(id, Keyspace::new(options))
        };
        Self {
            shards: (0..shards_count).map(new_shard).collect(),
            map,
            hasher: hasher.clone(),
            last_tx: 0,
            reply: Vec::new(),
            outgoing: Vec::new(),
        }
    }

    fn fill(&mut self) {
        for number in 0..KEYS_COUNT {
            let key = format!("key:{number}");
            let words: [&[u8]; 3] = [b"SET", key.as_bytes(), &[b'v'; 32]];
            self.run(&OwnedArgs::from_iter(words));
        }
    }

    /// From now on every shard has a lock on a key that nobody asks for.
    fn lock_something(&mut self) {
        self.last_tx += 1;
        for shard in &mut self.shards {
            let key = KeyLock {
                hash: 42,
                mode: LockMode::Exclusive,
            };
            shard.handle(ToShard::Schedule {
                tx: self.last_tx,
                core: 0,
                locks: LockSet::of_keys(self.last_tx, vec![key]),
                read: None,
            });
            while shard.next_event().is_some() {}
        }
    }

    /// Runs one request; the length of its reply.
    fn run(&mut self, words: &OwnedArgs) -> usize {
        let args = words.as_args();
        let Ok(entry) = table().resolve(&args) else {
            panic!("good commands only");
        };
        let caller = Caller::default();
        match plan(entry, &args, &self.map, 0) {
            Plan::Shard(shard) => {
                let request = Request {
                    entry,
                    db: 0,
                    caller,
                    origin: Origin {
                        core: 0,
                        connection: 0,
                        generation: 0,
                        sequence: 0,
                    },
                };
                self.reply.clear();
                let shard = &mut self.shards[usize::from(shard)];
                let outcome = shard.execute(&request, &args, &mut self.reply);
                assert!(outcome == Outcome::Done, "nobody locks these keys");
                self.reply.len()
            }
            Plan::Many => {
                let args = OwnedArgs::from_args(&args);
                let transaction = Transaction::new(entry, 0, caller, args, self.map, &self.hasher);
                self.finish(transaction.unwrap_or_else(|_| panic!("good words only")))
            }
            Plan::Here => panic!("commands on keys only"),
        }
    }

    fn finish(&mut self, mut transaction: Transaction) -> usize {
        let mut length = 0;
        self.last_tx += 1;
        transaction.start(0, self.last_tx, &mut self.outgoing);
        while !self.outgoing.is_empty() {
            let outgoing = std::mem::take(&mut self.outgoing);
            let mut events = Vec::new();
            for (shard, message) in outgoing {
                let shard = &mut self.shards[usize::from(shard)];
                shard.handle(message);
                while let Some((_, event)) = shard.next_event() {
                    events.push(event);
                }
            }
            for event in events {
                let mut next_tx = || panic!("one at a time never comes late");
                if let Step::Done { reply } =
                    transaction.receive(event, &mut next_tx, &mut self.outgoing)
                {
                    length = reply.len();
                }
            }
        }
        assert!(length > 0, "it is done");
        length
    }
}
