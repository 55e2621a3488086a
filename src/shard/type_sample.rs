//! Memory by type: what one shard's strings, lists, sets and so on take.
//!
//! A database of few keys is looked at whole. Of a large one the table knows how many keys each type has and what their values
//! take; how the entries themselves, which are of one size or another, are shared out is judged by those of some buckets at
//! random places. So a few large keys among a million small ones are there with all they have.
//!
//! Promises  bounded work, whatever there is: about a thousand keys a database; the types of one add up to what it takes.
//! Not here  the text: `node/info.rs`. What all keys take together, exactly: `keyspace/memory`.
//! Tests     tests/shard/type_sample.rs.

use crate::base::rng::Rng;
use crate::keyspace::value::{KINDS, type_name};
use crate::keyspace::{CURSOR_MASK, Keyspace};

/// A database of so many keys, or fewer, is looked at whole.
const WHOLE_KEYS_MAX: usize = 1024;
/// Buckets looked at in a larger one.
const BUCKETS: usize = 128;

/// Keys and bytes of each type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypeSample {
    of_types: [Share; KINDS.len()],
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
        // Keys, and bytes of their entries alone.
        let mut seen = [Share::default(); KINDS.len()];
        let mut values_bytes = [0.0; KINDS.len()];
        let mut look = |position| {
            keys.scan(db, position, &mut |entry| {
                let name = type_name(&entry.value());
                if let Some(at) = KINDS.iter().position(|known| *known == name) {
                    let value_bytes = entry.value_bytes();
                    seen[at].keys += 1.0;
                    seen[at].bytes += (entry.memory_bytes() - value_bytes) as f64;
                    values_bytes[at] += value_bytes as f64;
                }
            })
        };
        if count <= WHOLE_KEYS_MAX {
            let mut position = 0;
            loop {
                position = look(position);
                if position == 0 {
                    break;
                }
            }
            let totals = self.of_types.iter_mut().zip(seen).zip(values_bytes);
            for ((total, seen), value_bytes) in totals {
                total.keys += seen.keys;
                total.bytes += seen.bytes + value_bytes;
            }
            return;
        }
        for _ in 0..BUCKETS {
            look(rng.next_u64() & CURSOR_MASK);
        }
        self.is_sampled = true;
        let (counts, bytes) = keys.kinds(db);
        let mean = |keys: f64, bytes: f64| (keys > 0.0).then(|| bytes / keys);
        let seen_keys = seen.iter().map(|it| it.keys).sum();
        let seen_bytes = seen.iter().map(|it| it.bytes).sum();
        let mean_of_all = mean(seen_keys, seen_bytes).unwrap_or(1.0);
        let entries_bytes: [f64; KINDS.len()] = std::array::from_fn(|kind| {
            let mean_of_kind = mean(seen[kind].keys, seen[kind].bytes);
            counts[kind] as f64 * mean_of_kind.unwrap_or(mean_of_all)
        });
        let scale = bytes.entries as f64 / entries_bytes.iter().sum::<f64>().max(1.0);
        for (kind, total) in self.of_types.iter_mut().enumerate() {
            total.keys += counts[kind] as f64;
            total.bytes += bytes.values[kind] as f64 + entries_bytes[kind] * scale;
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
        let shares = KINDS.into_iter().zip(self.of_types);
        shares.filter(|(_, share)| share.keys > 0.0)
    }
}
