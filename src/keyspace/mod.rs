//! One shard's keys, in every database.
//!
//!     Keyspace | database 0: KeyTable | database 1: KeyTable | …     + the time, access policy, counters, garbage
//!
//! Promises  a lookup never yields a key past its deadline: it removes it and counts it. Time stands still within a
//!           batch: only [`Keyspace::set_now`] moves it.
//! Not here  argv and replies: `commands`; how entries are laid out: `ds/key_table/entry.rs`.
//! Tests     tests/keyspace/, tests/commands/model.rs.
#![forbid(unsafe_code)]

pub mod access;
pub mod array;
pub mod collection;
pub mod compact;
pub mod copying;
pub mod cut;
pub mod events;
pub mod evict;
mod expire;
mod flush;
mod guests;
pub mod hash;
mod key_groups;
pub mod limits;
pub mod list;
pub mod load;
pub mod rdb;
pub mod reading;
pub mod set;
pub mod set_algebra;
pub mod slot;
pub mod stats;
pub mod stream;
mod tracked;
pub mod tracking;
pub mod value;
pub mod zset;
mod zset_packed;

pub use access::AccessPolicy;
pub use array::Array;
pub use collection::{Collection, Held, WrongType};
pub use events::Classes;
pub use hash::Hash;
pub use key_groups::KeyGroups;
pub use limits::EncodingLimits;
pub use set::Set;
pub use slot::{SHARDS_MAX, SlotMap, slot_of};
pub use stats::{DatabaseInfo, Stats};
pub use stream::StreamValue;
pub use tracking::Tracker;
pub use value::{Moved, Object};
pub use zset::Zset;

use events::Events;
use guests::{Guests, table_of};

use crate::base::hash::KeyHasher;
use crate::base::rng::Rng;
pub use crate::ds::key_table::Sizes;
use crate::ds::key_table::{
    EntryMut, EntryRef, KINDS_COUNT, KeyTable, KindBytes, NewValue, OwnedValue,
};
use crate::ds::table_shape::TableShape;
use crate::resp::Args;

/// Positions in hash order that [`Keyspace::scan`] walks through are below 2^52.
pub const CURSOR_MASK: u64 = (1 << 52) - 1;

/// How often RANDOMKEY looks for a living key while expired ones stay.
const PAUSED_TRIES_MAX: usize = 100;

/// Strings at least this long are kept as the shared buffer they came in.
const SHARED_BYTES_MIN: usize = 4096;

/// Events that are told here rather than by commands.
const EXPIRED: &str = "expired";
const KEYMISS: &str = "keymiss";
const NEW: &str = "new";

/// What a keyspace is made from.
#[derive(Clone)]
pub struct KeyspaceOptions {
    /// Logical databases, 1 or more.
    pub databases: u16,
    /// The process's hash function, the same on every shard.
    pub hasher: KeyHasher,
    /// Which shard owns which slot.
    pub slots: SlotMap,
    /// This shard, below `slots.shards_count()`.
    pub shard: u16,
    /// Seed of random choices (RANDOMKEY, LFU counting).
    pub seed: u64,
    /// What access clocks track.
    pub access: AccessPolicy,
    /// `proto-max-bulk-len`: the longest a string may grow.
    pub value_bytes_max: u64,
}

impl KeyspaceOptions {
    /// One shard with 16 databases that behaves the same in every run: tests and benches.
    pub fn for_tests(seed: u64) -> Self {
        Self {
            databases: 16,
            hasher: KeyHasher::with_seed(seed),
            slots: SlotMap::new(1),
            shard: 0,
            seed,
            access: AccessPolicy::default(),
            value_bytes_max: 512 * 1024 * 1024,
        }
    }
}

/// A key and its hash, computed once per request.
#[derive(Clone, Copy)]
pub struct Key<'k> {
    /// The key.
    pub bytes: &'k [u8],
    /// Its hash under the process's hasher.
    pub hash: u64,
}

/// What becomes of a key's deadline when its value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// The key lives on without one.
    Drop,
    /// It keeps the one it has.
    Keep,
    /// It dies after this many milliseconds since the epoch.
    At(i64),
}

/// One shard's keys in every database.
pub struct Keyspace {
    databases: Vec<Database>,
    hasher: KeyHasher,
    slots: SlotMap,
    shard: u16,
    now_ms: i64,
    /// `access.clock(now_ms)`.
    clock: u32,
    access: AccessPolicy,
    rng: Rng,
    stats: Stats,
    /// Flushed tables and how many entries they had.
    garbage: Vec<(KeyTable<Object>, u64)>,
    /// Flushed tables of which a cut has more to show: garbage after that.
    departed: Vec<(KeyTable<Object>, u64)>,
    lazy_flush: bool,
    compresses_dumps: bool,
    flushes_count: u64,
    /// Where the expire cycle goes on.
    expire_database: usize,
    active_expire: bool,
    /// See [`Keyspace::set_skips_checksums`].
    skips_checksums: bool,
    /// See [`Keyspace::set_replays`].
    replays: bool,
    /// See [`Keyspace::set_expiry_paused`].
    expiry_paused: bool,
    value_bytes_max: u64,
    limits: EncodingLimits,
    /// Keys that are gone because their time had come, where somebody wants to know.
    expired: Option<Vec<(u16, Vec<u8>)>>,
    /// Other shards' values, while a request that needs them runs.
    guests: Option<Box<Guests>>,
    /// Keys that may go when memory is short.
    pool: evict::EvictionPool,
    events: Events,
    readings: reading::Readings,
}

struct Database {
    table: KeyTable<Object>,
    expire_cursor: u64,
}

impl Database {
    fn new(table: KeyTable<Object>) -> Self {
        Self {
            table,
            expire_cursor: 0,
        }
    }
}

/// Whether a deadline has passed: a key lives through the millisecond of its deadline.
#[inline]
pub fn is_expired(deadline_ms: Option<i64>, now_ms: i64) -> bool {
    deadline_ms.is_some_and(|deadline_ms| now_ms > deadline_ms)
}

impl Keyspace {
    /// Empty databases; the time is 0 until [`Keyspace::set_now`].
    pub fn new(options: KeyspaceOptions) -> Self {
        assert!(options.databases > 0, "at least one database");
        assert!(
            options.shard < options.slots.shards_count(),
            "the shard exists"
        );
        let new_database = || Database::new(KeyTable::new(options.hasher.clone()));
        Self {
            databases: std::iter::repeat_with(new_database)
                .take(usize::from(options.databases))
                .collect(),
            slots: options.slots,
            shard: options.shard,
            now_ms: 0,
            clock: 0,
            access: options.access,
            rng: Rng::with_seed(options.seed),
            stats: Stats::default(),
            garbage: Vec::new(),
            departed: Vec::new(),
            lazy_flush: false,
            compresses_dumps: true,
            flushes_count: 0,
            expire_database: 0,
            active_expire: true,
            skips_checksums: false,
            replays: false,
            expiry_paused: false,
            value_bytes_max: options.value_bytes_max,
            limits: EncodingLimits::default(),
            expired: None,
            guests: None,
            pool: evict::EvictionPool::default(),
            events: Events::default(),
            readings: reading::Readings::default(),
            hasher: options.hasher,
        }
    }

    /// Moves time for the batch that follows, in milliseconds since the epoch.
    #[inline]
    pub fn set_now(&mut self, now_ms: i64) {
        if now_ms != self.now_ms {
            self.now_ms = now_ms;
            self.clock = self.access.clock(now_ms);
        }
    }

    /// Sets what access clocks track from now on.
    pub fn set_access_policy(&mut self, access: AccessPolicy) {
        if access.name() != self.access.name() {
            self.empty_pool();
        }
        self.access = access;
        self.clock = self.access.clock(self.now_ms);
    }

    /// Sets `proto-max-bulk-len`.
    pub fn set_value_bytes_max(&mut self, bytes: u64) {
        self.value_bytes_max = bytes;
    }

    /// What hashes keys.
    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// The key with its hash, for every lookup of one request.
    #[inline]
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key {
            bytes,
            hash: self.hasher.hash(bytes),
        }
    }

    /// Word `index` as a key; its hash is taken over where it is known.
    #[inline(always)]
    pub fn key_of<'k>(&self, args: &Args<'k>, index: usize) -> Key<'k> {
        let bytes = args.get(index);
        match args.hash(index) {
            Some(hash) => Key { bytes, hash },
            None => self.key(bytes),
        }
    }

    /// Starts loading what a lookup of a key with this hash will need. Those of many, one right after the other, wait for memory
    /// together.
    #[inline]
    pub fn prefetch(&self, db: usize, hash: u64) {
        self.databases[db].table.prefetch(hash);
    }

    /// Starts loading the entry whose hash is `hash`; worth it some 50 ns after [`Keyspace::prefetch`].
    #[inline]
    pub fn prefetch_entry(&self, db: usize, hash: u64) {
        self.databases[db].table.prefetch_entry(hash);
    }

    /// The key to read: counted as a hit or a miss, removed if its time has come, its access clock moved unless
    /// `no_touch`.
    pub fn lookup_read(
        &mut self,
        db: usize,
        key: &Key<'_>,
        no_touch: bool,
    ) -> Option<EntryMut<'_, Object>> {
        self.look_up::<true>(db, key, no_touch)
    }

    /// The same for GET, which every other request is: nothing of it is called.
    #[inline(always)]
    pub fn lookup_read_inlined(
        &mut self,
        db: usize,
        key: &Key<'_>,
        no_touch: bool,
    ) -> Option<EntryMut<'_, Object>> {
        self.look_up::<true>(db, key, no_touch)
    }

    /// The same, and nobody is told of a miss; the access clock stays.
    pub fn lookup_aside(&mut self, db: usize, key: &Key<'_>) -> Option<EntryMut<'_, Object>> {
        self.look_up::<false>(db, key, true)
    }

    #[inline(always)]
    fn look_up<const TELLS: bool>(
        &mut self,
        db: usize,
        key: &Key<'_>,
        no_touch: bool,
    ) -> Option<EntryMut<'_, Object>> {
        let table = table_of(&mut self.databases, &mut self.guests, db, key);
        let found = table.get_mut_inlined(key.hash, key.bytes);
        let Some(mut entry) = found else {
            self.stats.keyspace_misses += 1;
            if TELLS {
                self.events.tell(db, Classes::MISS, KEYMISS, key.bytes);
            }
            return None;
        };
        if is_expired(entry.deadline_ms(), self.now_ms) {
            if !self.expiry_paused {
                entry.remove();
                self.stats.expired_keys += 1;
                note_expired(&mut self.expired, db, key.bytes);
                self.events.tell(db, Classes::EXPIRED, EXPIRED, key.bytes);
            }
            self.stats.keyspace_misses += 1;
            if TELLS {
                self.events.tell(db, Classes::MISS, KEYMISS, key.bytes);
            }
            return None;
        }
        self.stats.keyspace_hits += 1;
        if !no_touch {
            let before = entry.access();
            let after = self.access.read(before, self.clock, &mut self.rng);
            // A hot key is read many times a second: its cache line stays clean.
            if after != before {
                entry.set_access(after);
            }
        }
        Some(entry)
    }

    /// The key to change: as [`Keyspace::lookup_read`], but not counted as a read.
    #[inline]
    pub fn lookup_write(
        &mut self,
        db: usize,
        key: &Key<'_>,
        no_touch: bool,
    ) -> Option<EntryMut<'_, Object>> {
        let table = table_of(&mut self.databases, &mut self.guests, db, key);
        let mut entry = table.get_mut(key.hash, key.bytes)?;
        if is_expired(entry.deadline_ms(), self.now_ms) {
            entry.remove();
            self.stats.expired_keys += 1;
            note_expired(&mut self.expired, db, key.bytes);
            self.events.tell(db, Classes::EXPIRED, EXPIRED, key.bytes);
            return None;
        }
        if !no_touch {
            touch(&mut entry, &self.access, self.clock, &mut self.rng);
        }
        Some(entry)
    }

    /// The key as it is: nothing is counted, touched or removed; a key past its deadline is not seen.
    pub fn peek(&self, db: usize, key: &Key<'_>) -> Option<EntryRef<'_, Object>> {
        let table = match &self.guests {
            Some(guests) => guests.table_seen(&self.databases, db, key),
            None => &self.databases[db].table,
        };
        let entry = table.get(key.hash, key.bytes)?;
        (!is_expired(entry.deadline_ms(), self.now_ms)).then_some(entry)
    }

    /// The same, where the key's time may have come as long as it has not been removed.
    pub fn peek_at_any_time(&self, db: usize, key: &Key<'_>) -> Option<EntryRef<'_, Object>> {
        self.databases[db].table.get(key.hash, key.bytes)
    }

    /// Sets a key whether it is there or not. One lookup, and an overwrite in place where there is something.
    pub fn set(
        &mut self,
        db: usize,
        key: &Key<'_>,
        value: NewValue<'_, Object>,
        deadline: Deadline,
        no_touch: bool,
    ) {
        self.set_inlined(db, key, value, deadline, no_touch);
    }

    /// The same for SET without options.
    #[inline(always)]
    pub fn set_inlined(
        &mut self,
        db: usize,
        key: &Key<'_>,
        value: NewValue<'_, Object>,
        deadline: Deadline,
        no_touch: bool,
    ) {
        let table = &mut self.databases[db].table;
        let Some(mut entry) = table.get_mut_inlined(key.hash, key.bytes) else {
            let deadline_ms = match deadline {
                Deadline::At(at_ms) => Some(at_ms),
                Deadline::Drop | Deadline::Keep => None,
            };
            self.insert(db, key, value, deadline_ms);
            return;
        };
        let old_ms = entry.deadline_ms();
        let was_expired = is_expired(old_ms, self.now_ms);
        if was_expired {
            self.stats.expired_keys += 1;
            self.events.tell(db, Classes::EXPIRED, EXPIRED, key.bytes);
            self.events.tell(db, Classes::NEW, NEW, key.bytes);
            entry.set_access(self.access.fresh(self.clock));
        } else if !no_touch {
            touch(&mut entry, &self.access, self.clock, &mut self.rng);
        }
        let new_ms = match deadline {
            Deadline::At(at_ms) => Some(at_ms),
            Deadline::Keep if !was_expired => old_ms,
            Deadline::Keep | Deadline::Drop => None,
        };
        entry.set_value(value);
        if new_ms != old_ms {
            entry.set_deadline(new_ms);
        }
    }

    /// Adds a key that a lookup in this same request did not find.
    pub fn insert(
        &mut self,
        db: usize,
        key: &Key<'_>,
        value: NewValue<'_, Object>,
        deadline_ms: Option<i64>,
    ) -> EntryMut<'_, Object> {
        if self.expiry_paused {
            // What the lookup did not show may be there still.
            self.remove(db, key);
        }
        self.events.tell(db, Classes::NEW, NEW, key.bytes);
        let table = &mut self.databases[db].table;
        let mut entry = table.insert(key.hash, key.bytes, value, deadline_ms);
        entry.set_access(self.access.fresh(self.clock));
        entry
    }

    /// Removes a key; false where there is none alive.
    pub fn remove(&mut self, db: usize, key: &Key<'_>) -> bool {
        match self.lookup_write(db, key, true) {
            Some(entry) => {
                entry.remove();
                true
            }
            None => false,
        }
    }

    /// Removes a key and hands over what it held.
    pub fn take_value(&mut self, db: usize, key: &Key<'_>) -> Option<Moved> {
        let entry = self.lookup_write(db, key, true)?;
        let access = entry.access();
        let (value, expire_at_ms) = entry.take();
        Some(Moved {
            value,
            expire_at_ms,
            access,
        })
    }

    /// A copy of what a key holds. Costs a copy of the value; counts as a read.
    pub fn clone_value(&mut self, db: usize, key: &Key<'_>, no_touch: bool) -> Option<Moved> {
        let entry = self.lookup_read(db, key, no_touch)?;
        Some(Moved::clone_of(
            entry.value(),
            entry.deadline_ms(),
            entry.access(),
        ))
    }

    /// Gives a key a moved value, its deadline and access clock included. With a living key in the way: replaces it
    /// if `replace`, otherwise does nothing and returns false.
    pub fn put_value(&mut self, db: usize, key: &Key<'_>, moved: Moved, replace: bool) -> bool {
        if let Some(entry) = self.lookup_write(db, key, true) {
            if !replace {
                return false;
            }
            entry.remove();
            self.free_replaced(db);
        }
        put_into(&mut self.databases[db].table, key, moved);
        self.events.tell(db, Classes::NEW, NEW, key.bytes);
        true
    }

    /// The same for a key that has come to another place: there its access clock begins anew.
    pub fn put_anew(&mut self, db: usize, key: &Key<'_>, moved: Moved, replace: bool) -> bool {
        let access = self.access.fresh(self.clock);
        self.put_value(db, key, Moved { access, ..moved }, replace)
    }

    /// A random living key of `db`, uniform over them; expired ones met on the way are removed. While expiry is paused it
    /// may be an expired one, as in Redis: there may be no others.
    pub fn random_key(&mut self, db: usize) -> Option<Vec<u8>> {
        let mut tries = 0;
        loop {
            let rng = &mut self.rng;
            let entry = self.databases[db].table.random(&mut || rng.next_u64())?;
            let key = entry.key().to_vec();
            tries += 1;
            let is_settled = self.expiry_paused && tries > PAUSED_TRIES_MAX;
            if is_settled || !is_expired(entry.deadline_ms(), self.now_ms) {
                return Some(key);
            }
            let key = self.key(&key);
            self.remove_expired(db, &key);
        }
    }

    /// Removes a key that a walk found past its deadline, unless expiry is paused.
    pub fn remove_expired(&mut self, db: usize, key: &Key<'_>) {
        if !self.expiry_paused {
            self.remove(db, key);
        }
    }

    /// Visits the keys of one step from `position` (below 2^52) on, those past their deadline included; returns the
    /// next position, 0 when all were visited. Keys that stay all the while are visited, whatever else changes.
    pub fn scan(
        &self,
        db: usize,
        position: u64,
        visit: &mut dyn FnMut(EntryRef<'_, Object>),
    ) -> u64 {
        self.databases[db].table.scan(position & CURSOR_MASK, visit)
    }

    /// The shape of a database's table, its chains where they are wanted.
    pub fn table_shape(&self, db: usize, chains: bool) -> TableShape {
        self.databases[db].table.shape(chains)
    }

    /// How many places for keys the table of database `db` has.
    pub fn places_count(&self, db: usize) -> u64 {
        self.databases[db].table.places_count()
    }

    /// Whether this shard owns `key`.
    #[inline]
    pub fn owns(&self, key: &[u8]) -> bool {
        self.slots.shard_of(key) == self.shard
    }

    /// This shard's number.
    pub fn shard(&self) -> u16 {
        self.shard
    }

    /// Which shard has which key.
    pub fn slots(&self) -> SlotMap {
        self.slots
    }

    /// How many shards there are.
    pub fn shards_count(&self) -> u16 {
        self.slots.shards_count()
    }

    /// How many databases there are.
    pub fn databases_count(&self) -> usize {
        self.databases.len()
    }

    /// How many keys of each kind have which size, by database up to the last that has keys. O(1) for each.
    pub fn sizes(&self) -> Vec<Sizes> {
        let last = self.databases.iter().rposition(|it| !it.table.is_empty());
        let databases = &self.databases[..last.map_or(0, |last| last + 1)];
        databases.iter().map(|it| it.table.sizes()).collect()
    }

    /// How many keys of each kind `db` has, and what their values take. O(1).
    pub fn kinds(&self, db: usize) -> ([u64; KINDS_COUNT], KindBytes) {
        let table = &self.databases[db].table;
        let sizes = table.sizes();
        (
            std::array::from_fn(|kind| sizes.count_of(kind)),
            table.kind_bytes(),
        )
    }

    /// The time of the batch, in milliseconds since the epoch.
    #[inline]
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Keys in `db`, those past their deadline but not yet removed included.
    pub fn keys_count(&self, db: usize) -> usize {
        self.databases[db].table.len()
    }

    /// The access clock now, as [`AccessPolicy`]'s questions want it.
    pub fn clock(&self) -> u32 {
        self.clock
    }

    /// What access clocks track.
    pub fn access_policy(&self) -> &AccessPolicy {
        &self.access
    }

    /// Sets where small encodings are traded for large ones.
    pub fn set_limits(&mut self, limits: EncodingLimits) {
        self.limits = EncodingLimits {
            list_packed_threshold: self.limits.list_packed_threshold,
            ..limits
        };
    }

    /// Sets [`EncodingLimits::list_packed_threshold`], which no option does.
    pub fn set_list_packed_threshold(&mut self, bytes: Option<usize>) {
        self.limits.list_packed_threshold = bytes;
    }

    /// Where small encodings are traded for large ones.
    #[inline]
    pub fn limits(&self) -> EncodingLimits {
        self.limits
    }

    /// `rdbcompression`, as DUMP and MIGRATE go by it.
    pub fn set_compresses_dumps(&mut self, compresses: bool) {
        self.compresses_dumps = compresses;
    }

    /// Whether payloads have long strings compressed.
    pub fn compresses_dumps(&self) -> bool {
        self.compresses_dumps
    }

    /// `proto-max-bulk-len`.
    pub fn value_bytes_max(&self) -> u64 {
        self.value_bytes_max
    }

    /// Counters since start or the last reset.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// DEBUG SET-SKIP-CHECKSUM-VALIDATION: whether wrong checksums of payloads and files do not matter.
    pub fn set_skips_checksums(&mut self, skips: bool) {
        self.skips_checksums = skips;
    }

    /// What runs now has run before: it is from a log, and was allowed then.
    pub fn set_replays(&mut self, replays: bool) {
        self.replays = replays;
    }

    /// See [`Keyspace::set_replays`].
    pub fn replays(&self) -> bool {
        self.replays
    }

    /// See [`Keyspace::set_skips_checksums`]; what is from a log was restored with a wrong checksum because somebody asked for that.
    pub fn skips_checksums(&self) -> bool {
        self.skips_checksums || self.replays
    }

    /// A value of RESTORE is about to be checked.
    pub fn count_payload(&mut self) {
        self.stats.payloads_checked += 1;
    }

    /// CONFIG RESETSTAT.
    pub fn reset_stats(&mut self) {
        self.stats = Stats::default();
    }

    /// What one database holds, as in [`Keyspace::used_bytes`].
    #[inline]
    pub fn database_bytes(&self, db: usize) -> usize {
        self.databases[db].table.used_bytes()
    }

    /// Bytes of what leads to one database's entries.
    pub fn index_bytes(&self, db: usize) -> usize {
        self.databases[db].table.index_bytes()
    }

    /// Room between the databases' entries.
    pub fn slack_bytes(&self) -> usize {
        let tables = self.databases.iter().map(|database| &database.table);
        tables.map(KeyTable::slack_bytes).sum()
    }

    /// Every byte the databases hold, flushed ones not yet freed included.
    pub fn used_bytes(&self) -> usize {
        let tables: usize = self
            .databases
            .iter()
            .map(|database| database.table.used_bytes())
            .sum();
        tables + self.garbage_bytes()
    }
}

/// Notes that a key's time had come, where somebody wants to know.
#[cold]
fn note_expired(expired: &mut Option<Vec<(u16, Vec<u8>)>>, db: usize, key: &[u8]) {
    if let Some(expired) = expired {
        expired.push((db as u16, key.to_vec()));
    }
}

/// Adds a key that is not in the table, its deadline and access clock included.
fn put_into(table: &mut KeyTable<Object>, key: &Key<'_>, moved: Moved) {
    let mut insert = |value| {
        let mut entry = table.insert(key.hash, key.bytes, value, moved.expire_at_ms);
        entry.set_access(moved.access);
    };
    match moved.value {
        OwnedValue::Int(number) => insert(NewValue::Int(number)),
        OwnedValue::Str { bytes, .. } if bytes.len() >= SHARED_BYTES_MIN => {
            insert(NewValue::Shared(bytes))
        }
        OwnedValue::Str { bytes, raw } => insert(NewValue::Str { bytes: &bytes, raw }),
        OwnedValue::Object(object) => insert(NewValue::Object(object)),
    }
}

/// Moves the access clock of an entry that is changed.
#[inline]
fn touch(entry: &mut EntryMut<'_, Object>, policy: &AccessPolicy, clock: u32, rng: &mut Rng) {
    let before = entry.access();
    let after = policy.touched(before, clock, rng);
    if after != before {
        entry.set_access(after);
    }
}
