//! Keys whose waiters could not be served, by what was in the way.
//!
//!     key -> place in the line -> how it changed, what is in the way        what is in the way -> places in the line
//!
//! Promises  a key is looked at again when what was in its way has gone, not before: a transaction that fills many keys keeps them all
//!           locked until it ends. Keys that become free together are looked at in the order in which they were put off.
//! Cost      a few lookups for each key, however many there are.
//! Not here  when something has gone: `shard/waiting.rs`, `shard/locks/`.
//! Tests     tests/shard/put_off.rs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::locks::Obstacle;
use super::waiters::{Change, WaitKey};

/// Why a key's waiters could not be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Another core is about to decide about one of them.
    Claim,
    /// A transaction, or a request that waits.
    Lock(Obstacle),
}

struct Later {
    place: WaitKey,
    change: Change,
    cause: Cause,
}

/// See the module.
#[derive(Default)]
pub struct PutOff {
    keys: BTreeMap<u64, Later>,
    numbers: HashMap<WaitKey, u64, ahash::RandomState>,
    by_cause: HashMap<Cause, BTreeSet<u64>, ahash::RandomState>,
    last_number: u64,
}

impl PutOff {
    /// Puts a key off. One that is there keeps its place in the line; it waits for the new cause.
    pub fn add(&mut self, place: WaitKey, change: Change, cause: Cause) {
        let next = self.last_number + 1;
        let number = *self.numbers.entry(place).or_insert(next);
        self.last_number = self.last_number.max(number);
        let mut later = Later {
            place,
            change,
            cause,
        };
        if let Some(known) = self.keys.get(&number) {
            later.change = change.max(known.change);
            if known.cause != cause {
                let before = known.cause;
                self.leave(before, number);
            }
        }
        self.keys.insert(number, later);
        self.by_cause.entry(cause).or_default().insert(number);
    }

    /// Takes the keys for which one of these was in the way.
    pub fn take(&mut self, gone: impl Iterator<Item = Cause>) -> Vec<(WaitKey, Change)> {
        let sets = gone.filter_map(|cause| self.by_cause.remove(&cause));
        let mut numbers: Vec<u64> = sets.flatten().collect();
        numbers.sort_unstable();
        let mut taken = Vec::with_capacity(numbers.len());
        for later in numbers.iter().filter_map(|number| self.keys.remove(number)) {
            self.numbers.remove(&later.place);
            taken.push((later.place, later.change));
        }
        taken
    }

    /// Takes all keys.
    pub fn take_all(&mut self) -> Vec<(WaitKey, Change)> {
        let keys = std::mem::take(self).keys.into_values();
        keys.map(|later| (later.place, later.change)).collect()
    }

    /// Whether this key is among them.
    pub fn has(&self, place: WaitKey) -> bool {
        self.numbers.contains_key(&place)
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn leave(&mut self, cause: Cause, number: u64) {
        if let Some(numbers) = self.by_cause.get_mut(&cause) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_cause.remove(&cause);
            }
        }
    }
}
