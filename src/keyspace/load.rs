//! Keys read back from records of a snapshot.
//!
//! Promises  a record whose deadline has passed is dropped and counted, and so is one of no element; a key that is there already is told, or replaced
//!           where that is wanted. Nothing is counted as a change.
//! Tests     tests/keyspace/cut.rs.

pub use super::rdb::record::key_of;
use super::rdb::record::{NoRecord, read_record};
use super::{Keyspace, is_expired, put_into};

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotLoaded {
    /// Its bytes are no value of its type.
    Malformed,
    /// There is no such database (`databases`).
    NoDatabase,
    /// Its key is there already.
    Duplicate,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// Its key is there.
    Here,
    /// It had died.
    Expired,
    /// It has no element, as some releases of Redis left such: there is no such key.
    Empty,
}

impl Keyspace {
    /// Makes room for about `count` keys in a database that is empty. Numbers that no database has are passed over.
    pub fn reserve(&mut self, db: u64, count: u64) {
        let db = usize::try_from(db).unwrap_or(usize::MAX);
        if let (Some(database), Ok(count)) = (self.databases.get_mut(db), usize::try_from(count)) {
            database.table.reserve(count);
        }
    }

    /// Takes a key from a record.
    ///
    /// - `replaces`: a key that is there already is replaced.
    pub fn load_record(
        &mut self,
        db: u64,
        record: &[u8],
        replaces: bool,
    ) -> Result<Loaded, NotLoaded> {
        self.take_record(db, record, replaces, true)
    }

    /// Takes a key from a record of a log's base, into which the log's records are run: whether its time has come they say.
    pub fn restore_record(&mut self, db: u64, record: &[u8]) -> Result<Loaded, NotLoaded> {
        self.take_record(db, record, false, false)
    }

    fn take_record(
        &mut self,
        db: u64,
        record: &[u8],
        replaces: bool,
        drops_dead: bool,
    ) -> Result<Loaded, NotLoaded> {
        let db = usize::try_from(db).unwrap_or(usize::MAX);
        if db >= self.databases.len() {
            return Err(NotLoaded::NoDatabase);
        }
        let (key, moved) = match read_record(record, &self.access, self.clock, &self.limits) {
            Ok(read) => read,
            Err(NoRecord::Empty) => return Ok(Loaded::Empty),
            Err(NoRecord::Malformed) => return Err(NotLoaded::Malformed),
        };
        if drops_dead && is_expired(moved.expire_at_ms, self.now_ms) {
            return Ok(Loaded::Expired);
        }
        let key = self.key(&key);
        let table = &mut self.databases[db].table;
        if let Some(entry) = table.get_mut(key.hash, key.bytes) {
            if !replaces {
                return Err(NotLoaded::Duplicate);
            }
            entry.remove();
        }
        put_into(table, &key, moved);
        Ok(Loaded::Here)
    }
}
