//! Question: what does a command cost between the parser and the reply: row's handler, lookup, change, reply bytes?
//! Run:      cargo bench --bench execute [-- KEYS]
//! Reads:    ns a request, for random keys of a table that fits the cache and of one that does not; 16-byte keys,
//!           32-byte values, fixed seed. The reply bytes are counted, so that no work can be left out.

use rondo::base::rng::Rng;
use rondo::commands::table::{Aside, Call, Caller, Run};
use rondo::commands::{Command, generic, number, string};
use rondo::keyspace::{Keyspace, KeyspaceOptions};
use rondo::resp::args::OwnedArgs;
use rondo::resp::{Protocol, Reply};
use std::hint::black_box;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Requests that are made before the clock starts; each is run many times.
const REQUESTS_COUNT: usize = 1 << 14;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let is_real = arguments.iter().any(|argument| argument == "--bench");
    let given = arguments.iter().find_map(|argument| argument.parse().ok());
    let sizes: [u64; 2] = match (given, is_real) {
        (Some(count), _) => [10_000, count],
        (None, true) => [10_000, 2_000_000],
        (None, false) => [1000, 2000],
    };
    let rounds = if is_real { 100 } else { 1 };
    for keys_count in sizes {
        let mut keys = filled(keys_count);
        let value = "v".repeat(32);
        let one = |name: &'static str, rest: &[&str]| (name, requests(name, rest, keys_count));
        for (name, requests) in [
            one("GET", &[]),
            one("SET", &[&value]),
            one("SET", &[&value, "EX", "1000"]),
            one("SET", &[&value]),
            one("EXISTS", &[]),
            one("SET", &["7"]),
            one("INCR", &[]),
        ] {
            let Run::Keys(run) = row(name).run else {
                unreachable!("{name} runs on keys");
            };
            let mut out = Vec::with_capacity(1 << 20);
            let mut reply_bytes = 0;
            let start = Instant::now();
            for _ in 0..rounds {
                for request in &requests {
                    let mut call = Call {
                        keys: &mut keys,
                        db: 0,
                        caller: &Caller::default(),
                        patience: Default::default(),
                        is_alone: false,
                        is_logged: false,
                        aside: &mut Aside::default(),
                    };
                    let mut reply = Reply::new(&mut out, Protocol::Resp2);
                    let done = run(&mut call, &request.as_args(), &mut reply);
                    black_box(&done.is_ok());
                }
                reply_bytes += out.len();
                out.clear();
            }
            let count = rounds * REQUESTS_COUNT;
            let ns = start.elapsed().as_nanos() as f64 / count as f64;
            let words = requests[0].as_args().len();
            println!(
                "{keys_count:>8} keys  {name:<6} {words} words  {ns:6.1} ns  {reply_bytes} reply bytes"
            );
        }
    }
}

fn row(name: &str) -> &'static Command {
    let families = [string::COMMANDS, generic::COMMANDS, number::COMMANDS];
    let mut rows = families.into_iter().flatten();
    rows.find(|row| row.name == name).expect("a row")
}

fn key(index: u64) -> String {
    format!("key:{index:012}")
}

fn filled(keys_count: u64) -> Keyspace {
    let mut keys = Keyspace::new(KeyspaceOptions::for_tests(1));
    keys.set_now(1_700_000_000_000);
    let value = [b'v'; 32];
    for index in 0..keys_count {
        let name = key(index);
        let key = keys.key(name.as_bytes());
        keys.insert(0, &key, rondo::keyspace::value::text(&value), None);
    }
    keys
}

fn requests(name: &str, rest: &[&str], keys_count: u64) -> Vec<OwnedArgs> {
    let mut rng = Rng::with_seed(7);
    let request = |_| {
        let key = key(rng.below(keys_count));
        let words = [name, key.as_str()].into_iter().chain(rest.iter().copied());
        words.map(str::as_bytes).collect()
    };
    (0..REQUESTS_COUNT).map(request).collect()
}
