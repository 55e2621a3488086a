//! What clients send: commands on a handful of keys in two databases, alone, in MULTI blocks, watched or not, and in scripts.

use rondo::base::rng::Rng;
use rondo::commands::table::table;
use rondo::commands::{KeyShape, for_each_key};
use rondo::resp::Args;
use rondo::resp::args::OwnedArgs;

#[derive(Clone, Debug)]
pub struct Operation {
    pub db: u16,
    pub args: OwnedArgs,
    /// What EXEC runs; then `args` is EXEC.
    pub block: Vec<OwnedArgs>,
}

/// A script as this workload has them: its text is what it calls, line by line. `@` stands for a key that the reply to the
/// line before decides.
#[derive(Clone, Debug)]
pub struct Script {
    pub lines: Vec<OwnedArgs>,
}

impl Script {
    /// The script in the words of EVAL.
    pub fn parse(args: &Args<'_>) -> Self {
        let text = String::from_utf8_lossy(args.get(1)).into_owned();
        let line = |line: &str| line.split(' ').map(str::as_bytes).collect();
        Self {
            lines: text.lines().map(line).collect(),
        }
    }

    /// Line `index`, after a line with this reply.
    pub fn line(&self, index: usize, reply: &[u8]) -> OwnedArgs {
        let sum: usize = reply.iter().map(|&byte| usize::from(byte)).sum();
        let key = KEYS[sum % KEYS.len()].as_bytes();
        let words = self.lines[index].as_args();
        let word = |word| if word == b"@" { key } else { word };
        words.iter_from(0).map(word).collect()
    }

    /// Whether its text alone says that it touches only keys that it declares.
    pub fn stays(&self, args: &Args<'_>) -> bool {
        let count: usize = String::from_utf8_lossy(args.get(2))
            .parse()
            .expect("a number");
        let declared: Vec<&[u8]> = args.iter_from(3).take(count).collect();
        self.lines.iter().all(|line| {
            let line = line.as_args();
            let entry = table().resolve(&line).expect("workloads are good commands");
            let mut stays = entry.keys != KeyShape::None;
            for_each_key(entry, &line, |index| {
                stays &= declared.contains(&line.get(index))
            });
            stays
        })
    }
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

    pub fn is_script(&self) -> bool {
        self.args.as_args().is(0, "EVAL")
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
        3..6 => vec![random_script(rng)],
        _ => vec![random_operation(rng)],
    }
}

fn random_block(rng: &mut Rng) -> Operation {
    let mut exec = Operation::new(u16::from(rng.below(5) == 0), &["EXEC"]);
    for _ in 0..rng.below(5) {
        let args = match rng.below(12) {
            0 => Operation::new(0, &["PING"]).args,
            1 => Operation::new(0, &["SELECT", &rng.below(2).to_string()]).args,
            2 | 3 => random_script(rng).args,
            _ => random_operation(rng).args,
        };
        exec.block.push(args);
    }
    exec
}

/// Some declare all their keys, some none, some have keys that depend on what they read.
fn random_script(rng: &mut Rng) -> Operation {
    let mut lines = Vec::new();
    let mut declared: Vec<String> = Vec::new();
    let declares = rng.below(3);
    for index in 0..1 + rng.below(4) {
        let operation = random_operation(rng);
        let args = operation.args.as_args();
        let entry = table().resolve(&args).expect("workloads are good commands");
        let mut words: Vec<String> = args
            .iter_from(0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        for_each_key(entry, &args, |at| {
            if declares > 0 {
                declared.push(words[at].clone());
            }
            if index > 0 && declares < 2 && rng.below(3) == 0 {
                words[at] = "@".to_string();
            }
        });
        lines.push(words.join(" "));
    }
    let count = declared.len().to_string();
    let text = lines.join("\n");
    let mut words = vec!["EVAL", &text, &count];
    words.extend(declared.iter().map(String::as_str));
    Operation::new(u16::from(rng.below(5) == 0), &words)
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
