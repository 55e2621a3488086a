//! What one shard's keyspace counts; CONFIG RESETSTAT sets the counters back.

/// Counters since start or the last reset; sums over shards are INFO's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Reads that found their key.
    pub keyspace_hits: u64,
    /// Reads that did not.
    pub keyspace_misses: u64,
    /// Keys removed because their deadline had passed, on access or by the cycle.
    pub expired_keys: u64,
    /// Those among them that the cycle found.
    pub expired_keys_active: u64,
    /// Fields of hashes removed because their deadline had passed (INFO's expired_subkeys).
    pub expired_fields: u64,
    /// Those among them that the cycle found.
    pub expired_fields_active: u64,
    /// Requests of streams' producers that the cycle has forgotten because they were too old.
    pub forgotten_requests: u64,
    /// Sum over `expired_keys_active` of how long after its deadline each key went.
    pub expire_lag_ms_sum: u64,
    /// The longest of those times.
    pub expire_lag_ms_max: u64,
    /// What the cycle looks at that is past its deadline, in parts of a million: a mean that forgets.
    pub stale_millionths: u64,
    /// Values of RESTORE, all of which are checked.
    pub payloads_checked: u64,
    /// Steps the expire cycle has spent.
    pub expire_cycle_steps: u64,
    /// Keys removed because memory was short.
    pub evicted_keys: u64,
    /// Entries of flushed databases, and large values removed, that were freed in the background; and what Redis frees so
    /// besides ([`Keyspace::note_freed_lazily`](super::Keyspace::note_freed_lazily)).
    pub lazyfreed_objects: u64,
}

impl Stats {
    /// The expire cycle has looked at so much, of which so many were past their deadline.
    pub fn note_stale(&mut self, dead: u64, looked_at: u64) {
        let now = dead.min(looked_at) * 1_000_000 / looked_at.max(1);
        self.stale_millionths = (now + 19 * self.stale_millionths) / 20;
    }

    /// Adds another shard's counters.
    pub fn add(&mut self, other: &Stats) {
        self.keyspace_hits += other.keyspace_hits;
        self.keyspace_misses += other.keyspace_misses;
        self.expired_keys += other.expired_keys;
        self.expired_keys_active += other.expired_keys_active;
        self.expired_fields += other.expired_fields;
        self.expired_fields_active += other.expired_fields_active;
        self.forgotten_requests += other.forgotten_requests;
        self.expire_lag_ms_sum += other.expire_lag_ms_sum;
        self.expire_lag_ms_max = self.expire_lag_ms_max.max(other.expire_lag_ms_max);
        self.stale_millionths += other.stale_millionths;
        self.payloads_checked += other.payloads_checked;
        self.expire_cycle_steps += other.expire_cycle_steps;
        self.evicted_keys += other.evicted_keys;
        self.lazyfreed_objects += other.lazyfreed_objects;
    }
}

/// INFO keyspace's figures of one database on one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatabaseInfo {
    /// Keys, those past their deadline but not yet removed included.
    pub keys: u64,
    /// Keys with a deadline.
    pub expires: u64,
    /// Hashes with fields that have a deadline.
    pub dated_hashes: u64,
    /// Mean time left of keys with a deadline, in milliseconds, estimated from a sample; 0 without any.
    pub avg_ttl_ms: u64,
}

impl DatabaseInfo {
    /// Adds another shard's part of the same database.
    pub fn add(&mut self, other: &DatabaseInfo) {
        let expires = self.expires + other.expires;
        let weighted = u128::from(self.avg_ttl_ms) * u128::from(self.expires)
            + u128::from(other.avg_ttl_ms) * u128::from(other.expires);
        self.avg_ttl_ms = weighted
            .checked_div(u128::from(expires))
            .map_or(0, |average| average as u64);
        self.keys += other.keys;
        self.dated_hashes += other.dated_hashes;
        self.expires = expires;
    }
}
