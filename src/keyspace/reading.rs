//! Readings: large values that are read bit by bit, each as it was when that began, while the shard goes on.
//!
//!     begin_reading -> whoever runs the request: take_begun_reading -> read_some until the end
//!
//! How a reading keeps to one state of its value: `ds/key_table/readings.rs`, `key_walks.rs`. It goes with its table where databases are
//! exchanged; where one is emptied, what is left is read first.
//!
//! Tests     tests/shard/long_reads.rs.

use super::{Key, Keyspace, Object};
use crate::ds::key_table::{
    KeyTable, KeyWalker, LeftOver, Made, ManyReader, Portion, ReadLimit, Reader,
};

/// From here on a reply is given in pieces, in elements: half a millisecond's work.
pub const WHOLE_ELEMENTS_MAX: usize = 10_000;

/// What a keyspace knows of readings.
pub(super) struct Readings {
    /// See [`Keyspace::whole_elements_max`].
    whole_elements_max: usize,
    /// See [`Keyspace::stored_elements_max`].
    stored_elements_max: usize,
    /// What the request that runs was to store and others have made for it.
    made: Option<Made>,
    /// Those ever begun.
    count: u64,
    /// The one that a request has just begun, and its id.
    begun: Option<(u64, Begun)>,
    /// What is left of those whose tables are gone.
    left: Vec<LeftOver<Object>>,
    /// Values of other shards' keys that were at hand where what was to be stored was made, for the request that runs again.
    guests: Option<Box<KeyTable<Object>>>,
}

impl Default for Readings {
    fn default() -> Self {
        Self {
            whole_elements_max: WHOLE_ELEMENTS_MAX,
            stored_elements_max: WHOLE_ELEMENTS_MAX,
            made: None,
            count: 0,
            begun: None,
            left: Vec::new(),
            guests: None,
        }
    }
}

impl Readings {
    /// Values of other shards' keys that were at hand when what was to be stored began to be made.
    pub(super) fn take_guests_back(&mut self) -> Option<Box<KeyTable<Object>>> {
        self.guests.take()
    }
}

/// A reading that a request has begun instead of replying.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// The reply has at least so many bytes.
    pub bytes_min: u64,
    /// None of them is there before all has been looked at.
    pub is_collected: bool,
    /// What the request is to store is made; then it runs again.
    pub is_making: bool,
    /// The hashes of its keys, if whoever wants those is to wait until they have been read; else the reader leaves each at the
    /// first change.
    pub locks: Vec<u64>,
}

/// What had been counted before a request runs again.
#[derive(Debug)]
pub struct RanBefore {
    keyspace_hits: u64,
    keyspace_misses: u64,
}

impl Keyspace {
    /// Replies of more elements are given in pieces, where their requests stand for themselves.
    #[inline]
    pub fn whole_elements_max(&self) -> usize {
        self.readings.whole_elements_max
    }

    /// Sets [`Keyspace::whole_elements_max`]; tests do.
    #[doc(hidden)]
    pub fn set_whole_elements_max(&mut self, count: usize) {
        self.readings.whole_elements_max = count;
    }

    /// What requests store is made bit by bit where it takes more elements, and they stand for themselves.
    #[inline]
    pub fn stored_elements_max(&self) -> usize {
        self.readings.stored_elements_max
    }

    /// Sets [`Keyspace::stored_elements_max`]; tests do.
    #[doc(hidden)]
    pub fn set_stored_elements_max(&mut self, count: usize) {
        self.readings.stored_elements_max = count;
    }

    /// A request that has begun to read runs again: what it looks up was counted and told the first time.
    ///
    /// - `made`: what it was to store, if that was made.
    #[must_use = "it ends"]
    pub fn begin_again(&mut self, made: Option<Made>) -> RanBefore {
        self.readings.made = made;
        self.tell_misses(false);
        RanBefore {
            keyspace_hits: self.stats.keyspace_hits,
            keyspace_misses: self.stats.keyspace_misses,
        }
    }

    /// It has run again.
    pub fn end_again(&mut self, before: RanBefore) {
        self.readings.made = None;
        self.tell_misses(true);
        self.stats.keyspace_hits = before.keyspace_hits;
        self.stats.keyspace_misses = before.keyspace_misses;
    }

    /// Takes what the request that runs is to store, if that was made before.
    #[inline]
    pub fn take_made(&mut self) -> Option<Made> {
        self.readings.made.take()
    }

    /// Begins to read a key that is there, instead of a reply.
    ///
    /// - `head`: how the reply begins.
    #[cold]
    pub fn begin_reading(
        &mut self,
        db: usize,
        key: &Key<'_>,
        head: Vec<u8>,
        reader: Box<dyn Reader<Object>>,
        begun: Begun,
    ) {
        let id = self.begin(begun);
        let table = &mut self.databases[db].table;
        table.begin_reading(id, key.hash, key.bytes, head, reader);
    }

    /// Begins to read several keys that are there, which wait for that.
    #[cold]
    pub fn begin_reading_many(
        &mut self,
        db: usize,
        keys: &[Key<'_>],
        reader: Box<dyn ManyReader<Object>>,
    ) {
        let id = self.begin(Begun {
            is_collected: true,
            locks: keys.iter().map(|key| key.hash).collect(),
            ..Begun::default()
        });
        self.begin_many(db, id, keys, false, reader);
    }

    fn begin_many(
        &mut self,
        db: usize,
        id: u64,
        keys: &[Key<'_>],
        is_making: bool,
        reader: Box<dyn ManyReader<Object>>,
    ) {
        let keys = keys.iter().map(|key| (key.hash, key.bytes));
        let guests = self.take_guest_table();
        let table = &mut self.databases[db].table;
        table.begin_reading_many(id, keys, guests, is_making, reader);
    }

    /// Begins to make of several keys that are there what the request is to store at `destination`; all of them wait for that.
    /// When it is made the request runs again, to [take](Keyspace::take_made) it.
    #[cold]
    pub fn begin_making(
        &mut self,
        db: usize,
        keys: &[Key<'_>],
        destination: &Key<'_>,
        reader: Box<dyn ManyReader<Object>>,
    ) {
        let hashes = keys.iter().map(|key| key.hash);
        let id = self.begin(Begun {
            is_collected: true,
            is_making: true,
            locks: hashes.chain([destination.hash]).collect(),
            ..Begun::default()
        });
        self.begin_many(db, id, keys, true, reader);
    }

    /// Begins to look at all keys of a database; nobody waits for that.
    #[cold]
    pub fn begin_key_walk(&mut self, db: usize, walker: Box<dyn KeyWalker<Object>>) {
        let id = self.begin(Begun {
            is_collected: true,
            ..Begun::default()
        });
        self.databases[db].table.begin_key_walk(id, walker);
    }

    fn begin(&mut self, begun: Begun) -> u64 {
        self.readings.count += 1;
        self.readings.begun = Some((self.readings.count, begun));
        self.readings.count
    }

    /// What the last request has begun to read instead of replying, and its id.
    pub fn take_begun_reading(&mut self) -> Option<(u64, Begun)> {
        self.readings.begun.take()
    }

    /// Reads on.
    pub fn read_some(&mut self, id: u64, limit: ReadLimit) -> Portion {
        let left = &mut self.readings.left;
        if let Some(at) = left.iter().position(|it| it.id == id) {
            let portion = left[at].read_some(limit);
            if portion.is_last {
                let guests = left.swap_remove(at).guests;
                self.keep_guests(guests, true);
            }
            return portion;
        }
        for database in &mut self.databases {
            if let Some(portion) = database.table.read_some(id, limit) {
                let guests = database.table.take_guests_back();
                self.keep_guests(guests, portion.is_making);
                return portion;
            }
        }
        // What is not known has no more bytes.
        Portion::NONE
    }

    /// Keeps the guests of a reading for the request that runs again, if one does.
    fn keep_guests(&mut self, guests: Option<Box<KeyTable<Object>>>, runs_again: bool) {
        match guests {
            Some(guests) if runs_again => self.readings.guests = Some(guests),
            Some(guests) => self.free_guests(*guests),
            None => {}
        }
    }

    /// Nobody wants the rest.
    pub fn end_reading(&mut self, id: u64) {
        self.end_reading_of(id, false);
    }

    /// The request that has begun to read runs again, at once.
    pub fn recall_reading(&mut self, id: u64) {
        self.end_reading_of(id, true);
    }

    fn end_reading_of(&mut self, id: u64, runs_again: bool) {
        self.readings.left.retain(|it| it.id != id);
        for database in &mut self.databases {
            if database.table.end_reading(id) {
                let guests = database.table.take_guests_back();
                return self.keep_guests(guests, runs_again);
            }
        }
    }

    /// Before a database is emptied.
    pub(super) fn finish_readings(&mut self, db: usize) {
        let left = self.databases[db].table.finish_readings();
        self.readings.left.extend(left);
    }

    /// What is read here goes on in other keys, which take the place of these and of which nothing is read.
    pub fn hand_readings_to(&mut self, other: &mut Self) {
        for db in 0..self.databases.len() {
            self.finish_readings(db);
        }
        other.readings.left = std::mem::take(&mut self.readings.left);
        other.readings.count = self.readings.count;
        other.readings.whole_elements_max = self.readings.whole_elements_max;
        other.readings.stored_elements_max = self.readings.stored_elements_max;
    }
}
