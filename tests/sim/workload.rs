//! What clients send: commands on a handful of keys in two databases, alone and in MULTI blocks, watched or not.

use rondo::base::rng::Rng;
use rondo::resp::args::OwnedArgs;

#[derive(Clone, Debug)]
pub struct Operation {
    pub db: u16,
    pub args: OwnedArgs,
    /// What EXEC runs; then `args` is EXEC.
    pub block: Vec<OwnedArgs>,
}

impl Operation {
    pub fn new(db: u16, words: &[&str]) -> Self {
        Self {
            db,
            args: words.iter().map(|word| word.as_bytes()).collect(),
            block: Vec::new(),
        }
    }

    pub fn is_exec(&self) -> bool {
        self.args.as_args().is(0, "EXEC")
    }

    pub fn is_watch(&self) -> bool {
        self.args.as_args().is(0, "WATCH")
    }
}

/// They lie on different shards at every number of shards used; two share a hash tag.
const KEYS: [&str; 6] = ["a", "b", "c", "d", "{a}e", "f"];

/// Operations that belong together: one, or a WATCH with what depends on it.
pub fn random_operations(rng: &mut Rng) -> Vec<Operation> {
    match rng.below(12) {
        0 => {
            let watched: Vec<&str> = (0..1 + rng.below(3)).map(|_| key(rng)).collect();
            let watch = Operation::new(0, &[&["WATCH"], &watched[..]].concat());
            let look = Operation::new(0, &[&["MGET"], &watched[..]].concat());
            vec![watch, look, random_block(rng)]
        }
        1 | 2 => vec![random_block(rng)],
        _ => vec![random_operation(rng)],
    }
}

fn random_block(rng: &mut Rng) -> Operation {
    let mut exec = Operation::new(u16::from(rng.below(5) == 0), &["EXEC"]);
    for _ in 0..rng.below(5) {
        let args = match rng.below(12) {
            0 => Operation::new(0, &["PING"]).args,
            1 => Operation::new(0, &["SELECT", &rng.below(2).to_string()]).args,
            _ => random_operation(rng).args,
        };
        exec.block.push(args);
    }
    exec
}

fn random_operation(rng: &mut Rng) -> Operation {
    let mut words: Vec<String> = Vec::new();
    let mut add = |word: &str| words.push(word.to_owned());
    match rng.below(42) {
        0..4 => {
            add("GET");
            add(key(rng));
        }
        4..8 => {
            add("SET");
            add(key(rng));
            add(&value(rng));
        }
        8..10 => {
            add("INCR");
            add(key(rng));
        }
        10 => {
            add("APPEND");
            add(key(rng));
            add(&value(rng));
        }
        11 => {
            add("GETSET");
            add(key(rng));
            add(&value(rng));
        }
        12..15 => {
            add("DEL");
            (0..1 + rng.below(3)).for_each(|_| add(key(rng)));
        }
        15..20 => {
            add("MSET");
            for _ in 0..1 + rng.below(3) {
                add(key(rng));
                add(&value(rng));
            }
        }
        20..25 => {
            add("MGET");
            (0..1 + rng.below(3)).for_each(|_| add(key(rng)));
        }
        25..27 => {
            add("MSETNX");
            for _ in 0..1 + rng.below(2) {
                add(key(rng));
                add(&value(rng));
            }
        }
        27..29 => {
            add("RENAME");
            add(key(rng));
            add(key(rng));
        }
        29 => {
            add("RENAMENX");
            add(key(rng));
            add(key(rng));
        }
        30..32 => {
            add("COPY");
            add(key(rng));
            add(key(rng));
            if rng.below(3) == 0 {
                add("DB");
                add(&rng.below(2).to_string());
            }
            if rng.below(2) == 0 {
                add("REPLACE");
            }
        }
        32 => {
            add("EXISTS");
            (0..1 + rng.below(3)).for_each(|_| add(key(rng)));
        }
        33 => {
            add("MOVE");
            add(key(rng));
            add(&rng.below(2).to_string());
        }
        34 => add("DBSIZE"),
        35 => {
            add("KEYS");
            add("*");
        }
        36 => add("RANDOMKEY"),
        37 => {
            add("SWAPDB");
            add("0");
            add("1");
        }
        38 => add("FLUSHALL"),
        39 => add("FLUSHDB"),
        _ => {
            let count = 1 + rng.below(2);
            add("MSETEX");
            add(&count.to_string());
            for _ in 0..count {
                add(key(rng));
                add(&value(rng));
            }
            match rng.below(3) {
                0 => add("NX"),
                1 => add("XX"),
                _ => {}
            }
        }
    }
    Operation {
        // Mostly one database, so that clients meet.
        db: u16::from(rng.below(5) == 0),
        args: words.iter().map(|word| word.as_bytes()).collect(),
        block: Vec::new(),
    }
}

fn key(rng: &mut Rng) -> &'static str {
    KEYS[rng.below(KEYS.len() as u64) as usize]
}

fn value(rng: &mut Rng) -> String {
    rng.below(100).to_string()
}
