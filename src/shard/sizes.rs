//! Sizes of keys: how many strings, lists, sets, sorted sets and hashes of one shard have which size, by powers of two.
//!
//! Redis keeps these counts at every write. Here they are taken when somebody asks (INFO keysizes), by a walk in steps beside
//! requests: no write pays for them, and a shard of any size goes on serving.
//!
//! Promises  a key that is there from the first step to the last is counted once, with the size it has when it is met.
//! Not here  when steps are taken: `node/event_loop.rs`. The text: `node/info.rs`.
//! Tests     tests/shard/sizes.rs.

use crate::ds::key_table::Value;
use crate::keyspace::{Keyspace, Object};

/// Bits of a size, and 0.
const BINS_COUNT: usize = 65;

/// Kinds of keys that are counted, as INFO names them.
pub const KINDS: [&str; 5] = [
    "strings_sizes",
    "lists_items",
    "sets_items",
    "zsets_items",
    "hashes_items",
];

/// One database's counts: by kind, by bits of the size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    counts: [[u64; BINS_COUNT]; KINDS.len()],
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            counts: [[0; BINS_COUNT]; KINDS.len()],
        }
    }
}

impl Sizes {
    fn count(&mut self, kind: usize, size: usize) {
        self.counts[kind][size.checked_ilog2().map_or(0, |bits| bits as usize + 1)] += 1;
    }

    /// Adds another shard's counts.
    pub fn add(&mut self, other: &Self) {
        let own = self.counts.as_flattened_mut().iter_mut();
        own.zip(other.counts.as_flattened())
            .for_each(|(own, other)| *own += other);
    }

    /// The counts of a kind that are not 0, each with the smallest size it stands for.
    pub fn of(&self, kind: usize) -> impl Iterator<Item = (u64, u64)> {
        let smallest = |bits: usize| match bits {
            0 => 0,
            bits => 1 << (bits - 1),
        };
        let counts = self.counts[kind].iter().enumerate();
        counts
            .filter(|(_, count)| **count > 0)
            .map(move |(bits, count)| (smallest(bits), *count))
    }
}

/// A walk over all databases of a shard.
#[derive(Default)]
pub struct SizeWalk {
    db: usize,
    position: u64,
    sizes: Vec<Sizes>,
}

impl SizeWalk {
    /// Looks at up to `buckets` buckets of keys; whether all have been seen.
    pub fn step(&mut self, keys: &Keyspace, buckets: usize) -> bool {
        let now_ms = keys.now_ms();
        for _ in 0..buckets {
            if self.db >= keys.databases_count() {
                return true;
            }
            if self.sizes.len() <= self.db {
                self.sizes.push(Sizes::default());
            }
            let sizes = &mut self.sizes[self.db];
            self.position = keys.scan(self.db, self.position, &mut |entry| {
                if entry
                    .deadline_ms()
                    .is_some_and(|deadline_ms| deadline_ms <= now_ms)
                {
                    return;
                }
                match entry.value() {
                    Value::Int(number) => sizes.count(0, number.to_string().len()),
                    Value::Str { bytes, .. } => sizes.count(0, bytes.len()),
                    Value::Object(Object::List(list)) => sizes.count(1, list.len()),
                    Value::Object(Object::Set(set)) => sizes.count(2, set.len()),
                    Value::Object(Object::Zset(zset)) => sizes.count(3, zset.len()),
                    Value::Object(Object::Hash(hash)) => sizes.count(4, hash.len()),
                    Value::Object(Object::Stream(_) | Object::Array(_)) => {}
                }
            });
            if self.position == 0 {
                self.db += 1;
            }
        }
        self.db >= keys.databases_count()
    }

    /// What it has counted, by database.
    pub fn into_sizes(self) -> Vec<Sizes> {
        self.sizes
    }
}
