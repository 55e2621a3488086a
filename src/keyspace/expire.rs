//! Keys, fields of hashes and requests of streams' producers whose time has come: the cycle that looks for them, and what it
//! measures.
//!
//! Promises  a call spends about as many steps as it is given and goes on where the last one stopped, so its caller
//!           bounds the processor time; databases without deadlines cost nothing.
//! Not here  lazy expiry: every lookup in `keyspace/mod.rs`; how often to call: `shard`.
//! Tests     tests/keyspace/expire.rs.

use std::cell::RefCell;

use super::events::Events;
use super::hash::Found;
use super::value::HASHES;
use super::{
    Classes, Collection, DatabaseInfo, Hash, Key, Keyspace, StreamValue, is_expired, note_expired,
};
use crate::ds::key_table::Value;

/// Keys with a deadline that one estimate of `avg_ttl` looks at, and the buckets it may visit for them.
const TTL_SAMPLES: u64 = 32;
const TTL_SAMPLE_BUCKETS_MAX: usize = 2048;
/// What removing a dead field costs, or looking at a producer or forgetting its request, in steps.
const STEPS_PER_FIELD: usize = 4;
/// Dead fields that are removed from every hash that is visited, with whatever budget.
const FIELDS_PER_VISIT_MIN: usize = 16;
/// Producers of every stream that is visited, and their requests, likewise.
const REQUESTS_PER_VISIT_MIN: usize = 16;

impl Keyspace {
    /// Removes keys and fields past their deadline, and requests that are too old, in about `budget_steps` steps, a step being
    /// one entry or segment looked at.
    ///
    /// - Returns the steps spent; fewer than given means that a round over all databases has ended.
    /// - Does nothing while DEBUG SET-ACTIVE-EXPIRE has turned it off.
    pub fn expire_cycle(&mut self, budget_steps: usize) -> usize {
        self.expire_cycle_but(budget_steps, &|_| false)
    }

    /// The same, but for keys that are somebody's for now.
    pub fn expire_cycle_but(
        &mut self,
        budget_steps: usize,
        is_held: &dyn Fn(&[u8]) -> bool,
    ) -> usize {
        let mut spent = 0;
        let mut visited = 0;
        let dead_before = self.stats.expired_keys_active;
        while self.may_expire() && spent < budget_steps && visited < self.databases.len() {
            let database = &mut self.databases[self.expire_database];
            let mut round_ended = true;
            let table = &database.table;
            if table.deadlines_count() > 0 || table.has_waking() {
                let (now_ms, stats) = (self.now_ms, &mut self.stats);
                let (db, expired) = (self.expire_database, &mut self.expired);
                // Both closures tell.
                let events = RefCell::new(&mut self.events);
                let (mut expired_fields, mut forgotten) = (0, 0);
                let fields_max = (budget_steps - spent).div_ceil(STEPS_PER_FIELD);
                // A key lives through the very millisecond of its deadline, as in Redis; the table's bound is inclusive.
                let (cursor, steps) = database.table.expire_step(
                    database.expire_cursor,
                    now_ms - 1,
                    budget_steps - spent,
                    &mut |entry| {
                        if is_held(entry.key()) {
                            return false;
                        }
                        note_expired(expired, db, entry.key());
                        if matches!(entry.value(), Value::Object(it) if is_empty_hash(it)) {
                            return true; // It went with its last field, before its own time.
                        }
                        let lag_ms = now_ms.saturating_sub(entry.deadline_ms().unwrap_or(now_ms));
                        let lag_ms = lag_ms.max(0) as u64;
                        stats.expired_keys += 1;
                        stats.expired_keys_active += 1;
                        stats.expire_lag_ms_sum += lag_ms;
                        stats.expire_lag_ms_max = stats.expire_lag_ms_max.max(lag_ms);
                        let mut events = events.borrow_mut();
                        events.tell(db, Classes::EXPIRED, super::EXPIRED, entry.key());
                        true
                    },
                    &mut |key, object| {
                        if is_held(key) {
                            return (1, false);
                        }
                        let max = fields_max.saturating_sub(expired_fields + forgotten);
                        if let Some(stream) = StreamValue::of_mut(object) {
                            let max = max.max(REQUESTS_PER_VISIT_MIN);
                            let (steps, count) = stream.sweep_producers(now_ms as u64, max);
                            forgotten += count;
                            return (1 + steps * STEPS_PER_FIELD, false);
                        }
                        let Some(hash) = Hash::of_mut(object) else {
                            return (1, false);
                        };
                        let count = hash.expire(now_ms, max.max(FIELDS_PER_VISIT_MIN));
                        expired_fields += count;
                        if count > 0 {
                            tell_expired_fields(*events.borrow_mut(), db, key, hash.is_empty());
                        }
                        (1 + count * STEPS_PER_FIELD, hash.is_empty())
                    },
                );
                self.stats.expired_fields += expired_fields as u64;
                self.stats.expired_fields_active += expired_fields as u64;
                self.stats.forgotten_requests += forgotten as u64;
                database.expire_cursor = cursor;
                // A table that asks for no step at all must not hold the loop.
                spent += steps.max(1);
                round_ended = cursor == 0;
            }
            if round_ended {
                self.expire_database = (self.expire_database + 1) % self.databases.len();
                visited += 1;
            }
        }
        self.stats.expire_cycle_steps += spent as u64;
        if spent > 0 {
            let dead = self.stats.expired_keys_active - dead_before;
            self.stats.note_stale(dead, spent as u64);
        }
        spent
    }

    fn may_expire(&self) -> bool {
        self.active_expire && !self.expiry_paused
    }

    /// Removes a field that a command found dead, and the key with its last field, unless expiry is paused.
    pub fn expire_field(&mut self, db: usize, key: &Key<'_>, field: &[u8]) {
        self.expire_named_fields(db, key, std::iter::once(field));
    }

    /// The same, of several fields: together they are one event.
    pub fn expire_named_fields<'f>(
        &mut self,
        db: usize,
        key: &Key<'_>,
        fields: impl Iterator<Item = &'f [u8]>,
    ) {
        let now_ms = self.now_ms;
        if self.expiry_paused {
            return;
        }
        let Ok(Some(mut held)) = self.write::<Hash>(db, key, true) else {
            return;
        };
        let hash = held.get_mut();
        let mut expired_count = 0;
        for field in fields {
            if hash.find(field, now_ms) == Found::Dead {
                hash.remove(field);
                expired_count += 1;
            }
        }
        if expired_count > 0 {
            let is_gone = held.remove_if_empty();
            self.stats.expired_fields += expired_count;
            if is_gone {
                note_expired(&mut self.expired, db, key.bytes);
            }
            tell_expired_fields(&mut self.events, db, key.bytes, is_gone);
        }
    }

    /// Removes up to `max` dead fields of a hash, and the key with its last field, unless expiry is paused.
    pub fn expire_fields(&mut self, db: usize, key: &Key<'_>, max: usize) {
        let now_ms = self.now_ms;
        if self.expiry_paused {
            return;
        }
        if let Ok(Some(mut held)) = self.write::<Hash>(db, key, true)
            && is_expired(held.get().next_deadline_ms(), now_ms)
        {
            let expired_count = held.get_mut().expire(now_ms, max);
            let is_gone = held.remove_if_empty();
            self.stats.expired_fields += expired_count as u64;
            if is_gone {
                note_expired(&mut self.expired, db, key.bytes);
            }
            if expired_count > 0 {
                tell_expired_fields(&mut self.events, db, key.bytes, is_gone);
            }
        }
    }

    /// Notes from now on which keys are gone because their time, or that of their last field, had come. What has been noted stays
    /// while it goes on.
    pub fn set_notes_expired(&mut self, notes: bool) {
        if notes {
            self.expired.get_or_insert_default();
        } else {
            self.expired = None;
        }
    }

    /// Notes a hash that has gone with the last field that a command has taken from it: of fields that have died the log has no word,
    /// so where it is run again some may be left.
    pub fn note_emptied_hash(&mut self, db: usize, key: &Key<'_>) {
        note_expired(&mut self.expired, db, key.bytes);
    }

    /// Takes those keys, with their databases, in the order they went.
    pub fn take_expired(&mut self) -> Vec<(u16, Vec<u8>)> {
        self.expired.as_mut().map_or_else(Vec::new, std::mem::take)
    }

    /// Whether there are any to take.
    #[inline]
    pub fn has_expired(&self) -> bool {
        self.expired
            .as_ref()
            .is_some_and(|expired| !expired.is_empty())
    }

    /// Counts fields that a command removed because their time had come.
    pub fn count_expired_fields(&mut self, count: u64) {
        self.stats.expired_fields += count;
    }

    /// CLIENT PAUSE: keys past their deadline look gone, but only commands that write remove them, and none is counted.
    pub fn set_expiry_paused(&mut self, paused: bool) {
        self.expiry_paused = paused;
    }

    /// Whether CLIENT PAUSE keeps keys where they are: none is evicted meanwhile, either.
    pub fn is_expiry_paused(&self) -> bool {
        self.expiry_paused
    }

    /// DEBUG SET-ACTIVE-EXPIRE.
    pub fn set_active_expire(&mut self, enabled: bool) {
        self.active_expire = enabled;
    }

    /// INFO keyspace's figures of `db`. Costs one small sample.
    pub fn database_info(&mut self, db: usize) -> DatabaseInfo {
        let avg_ttl_ms = self.sample_ttl(db);
        let table = &self.databases[db].table;
        DatabaseInfo {
            keys: table.len() as u64,
            expires: table.deadlines_count() as u64,
            dated_hashes: table.waking_count(HASHES) as u64,
            avg_ttl_ms,
        }
    }

    /// The mean time left of some keys with a deadline, found by walking on from a random place.
    fn sample_ttl(&mut self, db: usize) -> u64 {
        let table = &self.databases[db].table;
        if table.deadlines_count() == 0 {
            return 0;
        }
        let mut cursor = self.rng.next_u64() & super::CURSOR_MASK;
        let (mut count, mut sum) = (0, 0);
        for _ in 0..TTL_SAMPLE_BUCKETS_MAX {
            cursor = table.scan(cursor, &mut |entry| {
                if let Some(deadline_ms) = entry.deadline_ms()
                    && !is_expired(Some(deadline_ms), self.now_ms)
                {
                    count += 1;
                    sum += u128::from(deadline_ms.saturating_sub(self.now_ms).max(0) as u64);
                }
            });
            if count >= TTL_SAMPLES {
                break;
            }
        }
        sum.checked_div(u128::from(count))
            .map_or(0, |mean| mean as u64)
    }
}

fn is_empty_hash(object: &super::Object) -> bool {
    Hash::of(object).is_some_and(Hash::is_empty)
}

/// Fields of a hash have expired, and perhaps the key with the last.
fn tell_expired_fields(events: &mut Events, db: usize, key: &[u8], is_gone: bool) {
    events.tell(db, Classes::HASH, "hexpired", key);
    if is_gone {
        events.tell(db, Classes::GENERIC, "del", key);
    }
}
