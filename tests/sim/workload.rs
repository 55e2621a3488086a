//! What clients send: commands on a handful of keys in two databases, strings and one family of collections, alone, in MULTI
//! blocks, watched or not, in scripts, and waiting.

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

/// What keys hold besides strings: one kind, so that clients meet on few keys of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Strings,
    Lists,
    Sets,
    Zsets,
    Hashes,
    Streams,
    /// Lists and sorted sets that clients wait for.
    Queues,
    /// Lists and sorted sets that are read whole more than anything.
    Reads,
}

impl Family {
    pub fn of_seed(seed: u64) -> Self {
        [
            Self::Strings,
            Self::Lists,
            Self::Sets,
            Self::Zsets,
            Self::Strings,
            Self::Lists,
            Self::Sets,
            Self::Streams,
            Self::Hashes,
            Self::Queues,
            Self::Queues,
            Self::Queues,
        ][(seed % 12) as usize]
    }
}

/// How a value begins that is added to several streams at once.
pub const ALL: &str = "all";

/// Keys of collections, on different shards mostly; strings are there, too, now and then.
const COLLECTIONS: [&str; 3] = ["u", "v", "w"];

/// Operations that belong together: one, or a WATCH with what depends on it.
pub fn random_operations(family: Family, rng: &mut Rng) -> Vec<Operation> {
    if family == Family::Queues && rng.below(10) > 0 {
        return vec![random_of_queues(rng)];
    }
    if family == Family::Reads && rng.below(10) > 2 {
        let line = random_of(family, rng);
        let words: Vec<&str> = line.split(' ').collect();
        return vec![Operation::new(0, &words)];
    }
    if family == Family::Streams && rng.below(4) == 0 {
        return vec![random_of_several_streams(rng)];
    }
    if family == Family::Streams && rng.below(4) == 0 {
        let mut key = || COLLECTIONS[rng.below(COLLECTIONS.len() as u64) as usize];
        let words = ["XREAD", "BLOCK", "0", "STREAMS", key(), key(), "0", "0"];
        return vec![Operation::new(0, &words)];
    }
    match rng.below(12) {
        0 => {
            let watched: Vec<&str> = (0..1 + rng.below(3)).map(|_| key(rng)).collect();
            let watch = Operation::new(0, &[&["WATCH"], &watched[..]].concat());
            let look = Operation::new(0, &[&["MGET"], &watched[..]].concat());
            vec![watch, look, random_block(family, rng)]
        }
        1 | 2 => vec![random_block(family, rng)],
        3..6 => vec![random_script(family, rng)],
        _ => vec![random_operation(family, rng)],
    }
}

fn random_block(family: Family, rng: &mut Rng) -> Operation {
    let mut exec = Operation::new(u16::from(rng.below(5) == 0), &["EXEC"]);
    for _ in 0..rng.below(5) {
        let args = match rng.below(12) {
            0 => Operation::new(0, &["PING"]).args,
            1 => Operation::new(0, &["SELECT", &rng.below(2).to_string()]).args,
            2 | 3 => random_script(family, rng).args,
            _ => random_operation(family, rng).args,
        };
        exec.block.push(args);
    }
    exec
}

/// Some declare all their keys, some none, some have keys that depend on what they read.
fn random_script(family: Family, rng: &mut Rng) -> Operation {
    let mut lines = Vec::new();
    let mut declared: Vec<String> = Vec::new();
    let declares = rng.below(3);
    for index in 0..1 + rng.below(4) {
        let operation = random_operation(family, rng);
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

fn random_operation(family: Family, rng: &mut Rng) -> Operation {
    if family != Family::Strings && rng.below(2) == 0 {
        let line = random_of(family, rng);
        return Operation {
            db: u16::from(rng.below(8) == 0),
            args: line.split(' ').map(str::as_bytes).collect(),
            block: Vec::new(),
        };
    }
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

/// A command on a queue: what waits, what fills it, or both.
fn random_of_queues(rng: &mut Rng) -> Operation {
    let mut key = || COLLECTIONS[rng.below(COLLECTIONS.len() as u64) as usize];
    let (one, other) = (key(), key());
    let element = rng.below(1000);
    let line = match rng.below(18) {
        0 | 1 => format!("BLPOP {one} 0"),
        2 => format!("BLPOP {one} {other} 0"),
        3 => format!("BRPOP {one} {other} 0"),
        4..9 => format!("BLMOVE {one} {other} LEFT RIGHT 0"),
        9 => format!("BZPOPMIN {one} {other} 0"),
        10 => format!("ZADD {one} {} m{element}", element % 7),
        11 => {
            let mut exec = Operation::new(0, &["EXEC"]);
            for line in [
                format!("RPUSH {one} {element}"),
                format!("RPUSH {other} x{element}"),
            ] {
                exec.block
                    .push(line.split(' ').map(str::as_bytes).collect());
            }
            return exec;
        }
        12..14 => format!("LPOP {one}"),
        14 => format!("RPUSH {one} {element} y{element}"),
        _ => format!("RPUSH {one} {element}"),
    };
    Operation {
        db: 0,
        args: line.split(' ').map(str::as_bytes).collect(),
        block: Vec::new(),
    }
}

/// What adds to several streams at once, the same to each.
fn random_of_several_streams(rng: &mut Rng) -> Operation {
    let mark = format!("{ALL}{}", rng.below(1 << 32));
    let add = |key: &&str| format!("XADD {key} * f {mark}");
    let keys = &COLLECTIONS[rng.below(2) as usize..];
    let lines: Vec<String> = keys.iter().map(add).collect();
    if rng.below(2) == 0 {
        let mut exec = Operation::new(0, &["EXEC"]);
        let words = |line: &String| line.split(' ').map(str::as_bytes).collect();
        exec.block = lines.iter().map(words).collect();
        return exec;
    }
    let (text, count) = (lines.join("\n"), keys.len().to_string());
    match rng.below(2) {
        0 => Operation::new(0, &[&["EVAL", &text, &count], keys].concat()),
        _ => Operation::new(0, &["EVAL", &text, "0"]),
    }
}

/// A command on collections, its words between spaces.
fn random_of(family: Family, rng: &mut Rng) -> String {
    let mut key = || match rng.below(12) {
        0 => KEYS[rng.below(KEYS.len() as u64) as usize],
        _ => COLLECTIONS[rng.below(COLLECTIONS.len() as u64) as usize],
    };
    let (one, other, third) = (key(), key(), key());
    let member = rng.below(4);
    let side = ["LEFT", "RIGHT"][rng.below(2) as usize];
    let target = ["LEFT", "RIGHT"][rng.below(2) as usize];
    let choice = rng.below(12);
    match (family, choice) {
        (_, 0) => format!("DEL {one} {other}"),
        (_, 1) => format!("RENAME {one} {other}"),
        (_, 2) => format!("COPY {one} {other} REPLACE"),
        (Family::Lists, 3..5) => format!("LPUSH {one} {member} l{member}"),
        (Family::Lists, 5) => format!("RPUSH {one} {member}"),
        (Family::Lists, 6) => format!("LPOP {one}"),
        (Family::Lists, 7) => format!("RPOP {one}"),
        (Family::Lists, 8) => format!("LRANGE {one} 0 -1"),
        (Family::Lists, 9) => format!("LMPOP 2 {one} {other} {side} COUNT 2"),
        (Family::Lists, _) => format!("LMOVE {one} {other} {side} {target}"),
        (Family::Reads, 3) => format!("LPUSH {one} {member} l{member} {member}"),
        (Family::Reads, 4) => format!("RPOP {one}"),
        (Family::Reads, 5) => format!("ZADD {other} {member} m{}", rng.below(4)),
        (Family::Reads, 6) => format!("ZRANGE {other} 0 -1 WITHSCORES"),
        (Family::Reads, 7) => format!("LMOVE {one} {other} {side} {target}"),
        (Family::Reads, _) => format!("LRANGE {one} 0 -1"),
        (Family::Sets, 3..5) => format!("SADD {one} {member} m{member}"),
        (Family::Sets, 5) => format!("SREM {one} {member}"),
        (Family::Sets, 6) => format!("SMOVE {one} {other} {member}"),
        (Family::Sets, 7) => format!("SUNION {one} {other}"),
        (Family::Sets, 8) => format!("SINTER {one} {other} {third}"),
        (Family::Sets, 9) => format!("SDIFFSTORE {one} {other} {third}"),
        (Family::Sets, 10) => format!("SINTERSTORE {one} {other} {third}"),
        (Family::Sets, _) => format!("SUNIONSTORE {one} {other} {third}"),
        (Family::Zsets, 3..6) => format!("ZADD {one} {member} m{}", rng.below(4)),
        (Family::Zsets, 6) => format!("SADD {one} m{member}"),
        (Family::Zsets, 7..9) => format!("ZRANGE {one} 0 -1 WITHSCORES"),
        (Family::Zsets, 9) => format!("ZINTERSTORE {one} 2 {other} {third}"),
        (Family::Zsets, _) => format!("ZUNIONSTORE {one} 2 {other} {third}"),
        (Family::Hashes, 3..7) => format!("HSET {one} f{member} {}", rng.below(9)),
        (Family::Hashes, 7..10) => format!("HGET {one} f{member}"),
        (Family::Hashes, _) => format!("HDEL {one} f{member}"),
        (Family::Streams, 3..7) => format!("XADD {one} * f {member}"),
        (Family::Streams, _) => format!("XREAD STREAMS {one} {other} 0 0"),
        (Family::Queues, 3..6) => format!("LPUSH {one} {member}"),
        (Family::Queues, 6) => format!("ZADD {one} {member} z{member}"),
        (Family::Queues, 7) => format!("ZPOPMIN {one}"),
        (Family::Queues, _) => format!("LPOP {one}"),
        (Family::Strings, _) => format!("GET {one}"),
    }
}

fn key(rng: &mut Rng) -> &'static str {
    KEYS[rng.below(KEYS.len() as u64) as usize]
}

fn value(rng: &mut Rng) -> String {
    rng.below(100).to_string()
}
