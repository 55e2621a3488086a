//! Memory by type: what one shard's strings, lists, sets and so on take, from a sample of its keys.
//!
//! Nothing is counted at writes. A database of few keys is looked at whole; of a large one some buckets at random places, and
//! what they hold stands for the rest: good for "most of it is hashes", not for an account.
//!
//! Promises  bounded work, whatever there is: about a thousand keys a database.
//! Not here  the text: `node/info.rs`. What all keys take together, exactly: `keyspace/memory`.
//! Tests     tests/shard/type_sample.rs.

use crate::base::rng::Rng;
use crate::keyspace::value::type_name;
use crate::keyspace::{CURSOR_MASK, Keyspace};

/// Types, as TYPE names them.
pub const TYPES: [&str; 7] = ["string", "list", "set", "zset", "hash", "stream", "array"];

/// A database of so many keys, or fewer, is looked at whole.
const WHOLE_KEYS_MAX: usize = 1024;
/// Buckets looked at in a larger one.
const BUCKETS: usize = 128;

/// Keys and bytes of each type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypeSample {
    of_types: [Share; TYPES.len()],
    /// Not all keys were looked at.
    pub is_sampled: bool,
}

/// What one type has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// How many keys, about.
    pub keys: f64,
    /// What they take, about.
    pub bytes: f64,
}

impl TypeSample {
    /// Looks at a shard's keys.
    pub fn of(keys: &Keyspace, seed: u64) -> Self {
        let mut all = Self::default();
        let mut rng = Rng::with_seed(seed);
        for db in 0..keys.databases_count() {
            let count = keys.keys_count(db);
            if count > 0 {
                all.add_database(keys, db, count, &mut rng);
            }
        }
        all
    }

    fn add_database(&mut self, keys: &Keyspace, db: usize, count: usize, rng: &mut Rng) {
        let mut seen = [Share::default(); TYPES.len()];
        let mut seen_count = 0.0;
        let mut look = |position| {
            keys.scan(db, position, &mut |entry| {
                let name = type_name(&entry.value());
                if let Some(at) = TYPES.iter().position(|known| *known == name) {
                    seen[at].keys += 1.0;
                    seen[at].bytes += entry.memory_bytes() as f64;
                    seen_count += 1.0;
                }
            })
        };
        let is_whole = count <= WHOLE_KEYS_MAX;
        if is_whole {
            let mut position = 0;
            loop {
                position = look(position);
                if position == 0 {
                    break;
                }
            }
        } else {
            for _ in 0..BUCKETS {
                look(rng.next_u64() & CURSOR_MASK);
            }
        }
        self.is_sampled |= !is_whole;
        if seen_count > 0.0 {
            let scale = if is_whole {
                1.0
            } else {
                count as f64 / seen_count
            };
            for (total, seen) in self.of_types.iter_mut().zip(seen) {
                total.keys += seen.keys * scale;
                total.bytes += seen.bytes * scale;
            }
        }
    }

    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in self.of_types.iter_mut().zip(other.of_types) {
            own.keys += other.keys;
            own.bytes += other.bytes;
        }
        self.is_sampled |= other.is_sampled;
    }

    /// Each type that has keys, with what it has.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Share)> {
        let shares = TYPES.into_iter().zip(self.of_types);
        shares.filter(|(_, share)| share.keys > 0.0)
    }
}
