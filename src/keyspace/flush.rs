//! Databases emptied, exchanged, and freed in the background.
//!
//! Promises  FLUSHALL, FLUSHDB and SWAPDB take the same short time whatever they remove: tables change places, and a
//!           removed one is freed entry by entry when its caller has time.
//! Tests     tests/keyspace/flush.rs.

use super::{Database, Keyspace, Moved};
use crate::ds::key_table::KeyTable;
use crate::ds::slab::CLASSES_COUNT;

/// Redis frees up to so many at once whatever it was told (`LAZYFREE_THRESHOLD`).
const LAZY_COUNT_MIN: usize = 64;
/// Allocations of a replaced value that are freed at once: some 25 us, 4 MiB of a list.
const REPLACED_AT_ONCE_MAX: usize = 512;
/// So many keys are taken before spans that they leave half empty are emptied into others.
const TAKEN_AT_ONCE: usize = 1024;
/// Spans that are no fuller are. Keys go in the order of their hashes, from all spans alike: without this none is free before most of
/// the keys have gone, and whoever puts them elsewhere needs memory for all of them twice.
const FULL_PERCENT: u32 = 87;

impl Keyspace {
    /// Empties `db`; returns how many keys it had. Their memory goes with [`Keyspace::free_garbage`].
    pub fn flush_database(&mut self, db: usize) -> u64 {
        self.finish_readings(db);
        let fresh = Database::new(KeyTable::new(self.hasher.clone()));
        let old = std::mem::replace(&mut self.databases[db], fresh);
        let keys_count = old.table.len() as u64;
        if old.table.has_cut() {
            self.departed.push((old.table, keys_count));
        } else if keys_count > 0 {
            self.garbage.push((old.table, keys_count));
        }
        keys_count
    }

    /// Empties every database; returns how many keys there were.
    pub fn flush_all(&mut self) -> u64 {
        self.flushes_count += 1;
        self.empty_all()
    }

    /// The same, to be filled again from a file.
    pub fn empty_all(&mut self) -> u64 {
        (0..self.databases.len())
            .map(|db| self.flush_database(db))
            .sum()
    }

    /// How often [`Keyspace::flush_all`] was called.
    pub fn flushes_count(&self) -> u64 {
        self.flushes_count
    }

    /// Takes every key with what it holds, those past their deadline included. Their memory goes as they do.
    ///
    /// - `each`: database, key, value.
    pub fn drain(&mut self, mut each: impl FnMut(usize, &[u8], Moved)) {
        for db in 0..self.databases.len() {
            self.drain_some(db, &|_| true, |key, value| each(db, key, value));
        }
    }

    /// Takes those keys of a database that `is_wanted` says, with what they hold, those past their deadline included. The time
    /// is the beginning of all times after that.
    pub fn drain_some(
        &mut self,
        db: usize,
        is_wanted: &dyn Fn(&[u8]) -> bool,
        mut each: impl FnMut(&[u8], Moved),
    ) {
        // At the beginning of time nothing has expired.
        self.set_now(0);
        let mut names = Vec::new();
        let mut taken_count = 0;
        let mut position = 0;
        loop {
            position = self.scan(db, position, &mut |entry| {
                if is_wanted(entry.key()) {
                    names.push(entry.key().to_vec());
                }
            });
            for name in names.drain(..) {
                let key = self.key(&name);
                if let Some(moved) = self.take_value(db, &key) {
                    each(&name, moved);
                    taken_count += 1;
                }
            }
            if taken_count >= TAKEN_AT_ONCE {
                taken_count = 0;
                let table = &mut self.databases[db].table;
                for class in 0..CLASSES_COUNT {
                    while table.compact_entries(class, FULL_PERCENT).moved_count > 0 {}
                }
                table.trim();
            }
            if position == 0 {
                return;
            }
        }
    }

    /// Whether FLUSHALL and FLUSHDB without a word are ASYNC (`lazyfree-lazy-user-flush`).
    pub fn set_lazy_flush(&mut self, is_lazy: bool) {
        self.lazy_flush = is_lazy;
    }

    /// See [`Keyspace::set_lazy_flush`].
    pub fn is_lazy_flush(&self) -> bool {
        self.lazy_flush
    }

    /// Exchanges two databases, both below [`Keyspace::databases_count`].
    pub fn swap_databases(&mut self, first: usize, second: usize) {
        for db in [first, second] {
            self.databases[db].table.give_makings_up();
        }
        self.databases.swap(first, second);
    }

    /// Frees up to about `budget` entries of flushed databases and parts of large values that were removed; true when
    /// nothing is left to free.
    pub fn free_garbage(&mut self, budget: usize) -> bool {
        let (is_clean, freed_count) = self.free_some_garbage(budget);
        self.stats.lazyfreed_objects += freed_count;
        is_clean
    }

    /// The same, for a caller who waits for it: what it frees is not counted as freed lazily.
    pub fn free_garbage_at_once(&mut self, budget: usize) -> bool {
        self.free_some_garbage(budget).0
    }

    fn free_some_garbage(&mut self, budget: usize) -> (bool, u64) {
        let mut freed_count = 0;
        if let Some((table, keys_count)) = self.garbage.last_mut()
            && table.free_step(budget)
        {
            // Most of a table goes by the span, which nobody looks into: its entries count once all of it is gone.
            freed_count += *keys_count;
            self.garbage.pop();
        }
        let mut is_clean = self.garbage.is_empty();
        for database in &mut self.databases {
            if database.table.discarded_count() > 0 {
                let (is_done, count) = database.table.free_discarded(budget);
                freed_count += count as u64;
                is_clean &= is_done;
            }
        }
        (is_clean, freed_count)
    }

    /// Frees what a value has just replaced, as far as that takes no longer than it took to make what is there now. Left for
    /// later, a pipeline of such requests piles it up, and each makes its value in memory that the system gives anew.
    pub(super) fn free_replaced(&mut self, db: usize) {
        let table = &mut self.databases[db].table;
        if table.discarded_count() > 0 {
            let (_, freed_count) = table.free_discarded(REPLACED_AT_ONCE_MAX);
            self.stats.lazyfreed_objects += freed_count as u64;
        }
    }

    /// Counts what is no key and that Redis frees in the background where there are more than 64: scripts, functions, names
    /// of errors. Here they go at once, and INFO's lazyfreed_objects is what Redis's is.
    ///
    /// - `more`: what it counts besides, if it counts.
    pub fn note_freed_lazily(&mut self, count: usize, more: usize) {
        if count > LAZY_COUNT_MIN {
            self.stats.lazyfreed_objects += (count + more) as u64;
        }
    }

    /// Bytes that flushed databases still hold.
    pub fn garbage_bytes(&self) -> usize {
        let tables = self.garbage.iter().chain(&self.departed);
        tables.map(|(table, _)| table.used_bytes()).sum()
    }

    /// Whether [`Keyspace::free_garbage`] has something to free: what a cut is still to show is none of that.
    pub fn has_garbage_to_free(&self) -> bool {
        let mut databases = self.databases.iter();
        !self.garbage.is_empty() || databases.any(|database| database.table.discarded_count() > 0)
    }

    /// Entries of flushed databases, and large values removed, that are not freed whole (INFO's lazyfree_pending_objects).
    pub fn garbage_count(&self) -> usize {
        let tables = self.garbage.iter().chain(&self.departed);
        let flushed: usize = tables.map(|(_, keys_count)| *keys_count as usize).sum();
        let databases = self.databases.iter();
        let discarded: usize = databases
            .map(|database| database.table.discarded_count())
            .sum();
        flushed + discarded
    }
}
