//! Eviction: which key goes when memory is short.
//!
//!     sample a few keys of each database -> the pool keeps the 16 that had best go -> the best one that is still as it was
//!
//! A score says how gladly a key is given up: seconds without use, uses it lacks, or how early its deadline is; random
//! policies give all the same. The pool remembers good candidates from earlier samples, so that a sample of five finds
//! about what one of far more would. A candidate that was used since it was sampled has lost its place.
//!
//! Promises  a key without a deadline is never a candidate under a volatile policy; a key past its deadline goes first of
//!           all, and counts as expired; where there is a key that may go one is found; a call looks at a bounded number of
//!           buckets, but where nothing is found there.
//! Not here  whether memory is short, and on which shard a key goes: `shard/memory.rs`.
//! Source    Redis documentation, "Key eviction": the approximated LRU algorithm, `maxmemory-samples`.
//! Tests     tests/keyspace/evict.rs.

use super::{Classes, Key, Keyspace, is_expired};
use crate::base::rng::Rng;
use crate::ds::key_table::EntryRef;
use crate::keyspace::Object;

/// Candidates that are remembered.
const POOL_SIZE: usize = 16;
/// Buckets that a sample looks at to find keys with a deadline, where it finds any.
const LOOKS_MAX: usize = 256;
/// Keys that a random choice may find held before it looks for the next free one.
const RANDOM_TRIES: usize = 4;
/// The score of a key that is dead already.
const DEAD: u64 = u64::MAX;

/// What makes one key go before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionOrder {
    /// It was used longer ago.
    Idle,
    /// It is used less often.
    Rare,
    /// Nothing.
    Random,
    /// It would die earlier.
    Deadline,
}

/// A `maxmemory-policy` that evicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvictionPolicy {
    /// Which keys go first.
    pub order: EvictionOrder,
    /// Only keys with a deadline go.
    pub dated: bool,
}

impl EvictionPolicy {
    /// The policy of this name; none where nothing is evicted.
    pub fn of_name(name: &str) -> Option<Self> {
        let (keys, order) = name.split_once('-')?;
        let order = match order {
            // The clock tells which: a read moves that of the first only.
            "lru" | "lrm" => EvictionOrder::Idle,
            "lfu" => EvictionOrder::Rare,
            "random" => EvictionOrder::Random,
            "ttl" => EvictionOrder::Deadline,
            _ => return None,
        };
        Some(Self {
            order,
            dated: keys == "volatile",
        })
    }
}

/// A key that may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// How gladly.
    pub score: u64,
    /// Its database.
    pub db: usize,
    /// Its hash.
    pub hash: u64,
    /// The key.
    pub key: Vec<u8>,
    access: u32,
}

/// Candidates that samples have found.
#[derive(Default)]
pub(super) struct EvictionPool {
    /// The best is last.
    candidates: Vec<Candidate>,
    /// Where the search for keys with a deadline goes on, by database.
    hands: Vec<u64>,
    /// The database that a random policy looks at next.
    next_db: usize,
}

impl EvictionPool {
    /// Whether an entry of this score would find a place.
    fn has_place(&self, score: u64) -> bool {
        self.candidates.len() < POOL_SIZE
            || self
                .candidates
                .first()
                .is_some_and(|least| least.score < score)
    }

    /// Remembers again what was taken out; the worst ones beyond their number are forgotten.
    fn put_back(&mut self, taken: Vec<Candidate>) {
        if taken.is_empty() {
            return;
        }
        self.candidates.extend(taken);
        self.candidates.sort_by_key(|candidate| candidate.score);
        let over_count = self.candidates.len().saturating_sub(POOL_SIZE);
        self.candidates.drain(..over_count);
    }

    fn add(&mut self, db: usize, hash: u64, score: u64, entry: &EntryRef<'_, Object>) {
        let is_known =
            |known: &Candidate| known.hash == hash && known.db == db && known.key == entry.key();
        if let Some(place) = self.candidates.iter().position(is_known) {
            self.candidates.remove(place);
        } else if self.candidates.len() >= POOL_SIZE {
            self.candidates.remove(0);
        }
        let place = self
            .candidates
            .partition_point(|known| known.score <= score);
        let candidate = Candidate {
            score,
            db,
            hash,
            key: entry.key().to_vec(),
            access: entry.access(),
        };
        self.candidates.insert(place, candidate);
    }
}

/// A random place of a table: a position in hash order, and a slot there.
fn place(rng: &mut Rng) -> (u64, usize) {
    let bits = rng.next_u64();
    (bits & super::CURSOR_MASK, (bits >> 61) as usize)
}

impl Keyspace {
    /// The key that had best go, not removed yet; none where there is none that may.
    ///
    /// - `samples`: keys looked at in each database, `maxmemory-samples`.
    /// - `is_held`: keys, by their hash, that must stay.
    pub fn choose_victim(
        &mut self,
        policy: EvictionPolicy,
        samples: usize,
        is_held: &dyn Fn(u64) -> bool,
    ) -> Option<Candidate> {
        if policy.order == EvictionOrder::Random {
            return self.choose_random(policy, is_held);
        }
        // Those that were used since, or have gone, are no candidates any more; those that are held will be again.
        let mut held = Vec::new();
        let mut chosen = None;
        for _ in 0..2 {
            self.find_candidates(policy, samples, is_held);
            while let Some(candidate) = self.pool.candidates.pop() {
                if is_held(candidate.hash) {
                    held.push(candidate);
                } else if self.is_as_it_was(&candidate, policy) {
                    chosen = Some(candidate);
                    break;
                }
            }
            if chosen.is_some() || held.is_empty() {
                break;
            }
            // All that was remembered is held, and left others no place.
        }
        self.pool.put_back(held);
        chosen
    }

    /// The best candidate's score after one more sample; none where no key may go. Nothing is chosen.
    pub fn best_score(&mut self, policy: EvictionPolicy, samples: usize) -> Option<u64> {
        if policy.order == EvictionOrder::Random {
            return (self.candidates_count(policy) > 0).then_some(0);
        }
        self.find_candidates(policy, samples, &|_| false);
        self.pool.candidates.last().map(|best| best.score)
    }

    /// How many keys may go.
    pub fn candidates_count(&self, policy: EvictionPolicy) -> u64 {
        let tables = self.databases.iter().map(|database| &database.table);
        let counts = tables.map(|table| match policy.dated {
            true => table.deadlines_count(),
            false => table.len(),
        });
        counts.sum::<usize>() as u64
    }

    /// Removes a key that was chosen. Every eviction comes through here.
    ///
    /// - Returns whether it counts as evicted; one past its deadline has expired.
    pub fn evict(&mut self, candidate: &Candidate) -> bool {
        let key = Key {
            bytes: &candidate.key,
            hash: candidate.hash,
        };
        let is_evicted = self.remove(candidate.db, &key);
        self.stats.evicted_keys += u64::from(is_evicted);
        if is_evicted {
            self.tell(candidate.db, Classes::EVICTED, "evicted", key.bytes);
        }
        is_evicted
    }

    /// Forgets candidates found under another policy.
    pub(super) fn empty_pool(&mut self) {
        self.pool.candidates.clear();
    }

    /// Looks for candidates until the best one is still as it was; there is none only where no key may go.
    fn find_candidates(
        &mut self,
        policy: EvictionPolicy,
        samples: usize,
        is_held: &dyn Fn(u64) -> bool,
    ) {
        self.fill_pool(policy, samples, LOOKS_MAX, is_held);
        self.drop_stale(policy);
        if self.pool.candidates.is_empty() && self.candidates_count(policy) > 0 {
            // All that was remembered has gone, and left the sample no place; or keys with a deadline are rare, and the next one is
            // further away: the whole way from one to the next is as long as the table, and each of them is found once on it.
            self.fill_pool(policy, 1, usize::MAX, is_held);
            self.drop_stale(policy);
        }
    }

    /// Forgets the best candidates as far as they are none any more.
    fn drop_stale(&mut self, policy: EvictionPolicy) {
        while let Some(candidate) = self.pool.candidates.pop() {
            if self.is_as_it_was(&candidate, policy) {
                self.pool.candidates.push(candidate);
                break;
            }
        }
    }

    fn fill_pool(
        &mut self,
        policy: EvictionPolicy,
        samples: usize,
        looks_max: usize,
        is_held: &dyn Fn(u64) -> bool,
    ) {
        let mut pool = std::mem::take(&mut self.pool);
        pool.hands.resize(self.databases.len(), 0);
        for (db, database) in self.databases.iter().enumerate() {
            let table = &database.table;
            if table.is_empty() || policy.dated && table.deadlines_count() == 0 {
                continue;
            }
            // Where few keys have a deadline, the search goes on where it was given up; else anywhere will do.
            let (mut cursor, mut first_slot) = match pool.hands[db] {
                0 => place(&mut self.rng),
                hand => (hand, 0),
            };
            let mut left_count = samples;
            // A second round: the first may have begun near the end.
            for _ in 0..2 {
                let dated = policy.dated;
                let next = table.sample(cursor, first_slot, dated, looks_max, &mut |entry| {
                    let score = self.score(policy, entry.access(), entry.deadline_ms());
                    if pool.has_place(score) {
                        let hash = self.hasher.hash(entry.key());
                        if is_held(hash) {
                            return true;
                        }
                        pool.add(db, hash, score, &entry);
                    }
                    left_count -= 1;
                    left_count > 0
                });
                (cursor, first_slot) = (next, 0);
                if left_count == 0 || next != 0 {
                    break;
                }
            }
            pool.hands[db] = if left_count == 0 { 0 } else { cursor };
        }
        self.pool = pool;
    }

    fn choose_random(
        &mut self,
        policy: EvictionPolicy,
        is_held: &dyn Fn(u64) -> bool,
    ) -> Option<Candidate> {
        let count = self.databases.len();
        for _ in 0..count {
            let db = self.pool.next_db % count;
            self.pool.next_db = db + 1;
            let table = &self.databases[db].table;
            if table.is_empty() || policy.dated && table.deadlines_count() == 0 {
                continue;
            }
            let mut found = None;
            let candidate = |entry: EntryRef<'_, Object>, hash| Candidate {
                score: 0,
                db,
                hash,
                key: entry.key().to_vec(),
                access: entry.access(),
            };
            if !policy.dated {
                let rng = &mut self.rng;
                for _ in 0..RANDOM_TRIES {
                    let entry = table.random(&mut || rng.next_u64())?;
                    let hash = self.hasher.hash(entry.key());
                    if !is_held(hash) {
                        return Some(candidate(entry, hash));
                    }
                }
            }
            let (mut cursor, mut first_slot) = place(&mut self.rng);
            // A random place, and the whole table from there: few keys may have a deadline, or be free.
            for _ in 0..2 {
                let mut visit = |entry: EntryRef<'_, Object>| {
                    let hash = self.hasher.hash(entry.key());
                    if is_held(hash) {
                        return true;
                    }
                    found = Some(candidate(entry, hash));
                    false
                };
                cursor = table.sample(cursor, first_slot, policy.dated, usize::MAX, &mut visit);
                first_slot = 0;
                if found.is_some() || cursor != 0 {
                    break;
                }
            }
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Whether a candidate is still there and would be no worse a choice than when it was found.
    fn is_as_it_was(&self, candidate: &Candidate, policy: EvictionPolicy) -> bool {
        let table = &self.databases[candidate.db].table;
        let Some(entry) = table.get(candidate.hash, &candidate.key) else {
            return false;
        };
        let deadline_ms = entry.deadline_ms();
        if policy.dated && deadline_ms.is_none() {
            return false;
        }
        entry.access() == candidate.access
            || self.score(policy, entry.access(), deadline_ms) >= candidate.score
    }

    fn score(&self, policy: EvictionPolicy, access: u32, deadline_ms: Option<i64>) -> u64 {
        if is_expired(deadline_ms, self.now_ms) {
            return DEAD;
        }
        match policy.order {
            EvictionOrder::Idle => u64::from(self.access.idle_seconds(access, self.clock)),
            EvictionOrder::Rare => 255 - u64::from(self.access.frequency(access, self.clock)),
            EvictionOrder::Random => 0,
            EvictionOrder::Deadline => {
                // Deadlines are positive; the earlier, the higher.
                let deadline_ms = deadline_ms.unwrap_or(i64::MAX).max(0);
                DEAD - 1 - deadline_ms as u64
            }
        }
    }
}
