//! Guests: values of other shards' keys, there while one request runs.
//!
//! A command that reads keys of several shards runs on one of them, where copies of the others' values are looked up under
//! their own names. A key this shard owns is always its own, so no guest can hide one.
//!
//! What such a command stores under another shard's key is a guest, too, until it is taken along.
//!
//! Promises  without guests a lookup pays one branch; no guest outlives its request.
//! Not here  who brings them: `router/programs/bring.rs`.

use super::Collection;
use super::events::Classes;
use super::hash::{FieldDeadline, Hash};
use super::{Database, Deadline, Key, Keyspace, Moved, NEW, Object, SlotMap, put_into};
use crate::ds::key_table::{HeapSize, KeyTable, NewValue, OwnedValue, Value};

/// Guests that take more are freed in the background.
const LARGE_BYTES: usize = 256 * 1024;

/// Where a key is looked up.
pub(super) struct Guests {
    /// Values of the one database the request works on.
    table: Box<KeyTable<Object>>,
    db: usize,
    slots: SlotMap,
    shard: u16,
}

impl Guests {
    /// Whether `key` of `db` is looked up among the guests.
    fn has(&self, db: usize, key: &[u8]) -> bool {
        db == self.db && self.slots.shard_of(key) != self.shard
    }

    /// As [`table_of`], to look only.
    pub(super) fn table_seen<'a>(
        &'a self,
        databases: &'a [Database],
        db: usize,
        key: &Key<'_>,
    ) -> &'a KeyTable<Object> {
        if self.has(db, key.bytes) {
            &self.table
        } else {
            &databases[db].table
        }
    }
}

/// The table that `key` is looked up in.
#[inline]
pub(super) fn table_of<'a>(
    databases: &'a mut [Database],
    guests: &'a mut Option<Box<Guests>>,
    db: usize,
    key: &Key<'_>,
) -> &'a mut KeyTable<Object> {
    match guests {
        Some(guests) if guests.has(db, key.bytes) => &mut guests.table,
        _ => &mut databases[db].table,
    }
}

impl Keyspace {
    /// Lets a request find these values of other shards' keys in `db`; [`Keyspace::dismiss_guests`] ends it.
    pub fn receive_guests(&mut self, db: usize, values: Vec<(Vec<u8>, Moved)>) {
        let fresh = || Box::new(KeyTable::new(self.hasher.clone()));
        let mut guests = Guests {
            // Those that were at hand before, where the request runs again.
            table: self.readings.take_guests_back().unwrap_or_else(fresh),
            db,
            slots: self.slots,
            shard: self.shard,
        };
        for (key, value) in values {
            let key = self.key(&key);
            if guests.table.get(key.hash, key.bytes).is_none() {
                put_into(&mut guests.table, &key, value);
            }
        }
        self.guests = Some(Box::new(guests));
    }

    /// Where `key` is, if it is another shard's and a request with guests runs.
    pub(super) fn guest_table(
        &mut self,
        db: usize,
        key: &Key<'_>,
    ) -> Option<&mut KeyTable<Object>> {
        let guests = self.guests.as_mut()?;
        guests.has(db, key.bytes).then_some(&mut guests.table)
    }

    /// As [`Keyspace::set`] without a deadline, for a key that may be another shard's.
    pub fn set_anywhere(
        &mut self,
        db: usize,
        key: &Key<'_>,
        value: NewValue<'_, Object>,
        no_touch: bool,
    ) {
        let Some(table) = self.guest_table(db, key) else {
            return self.set(db, key, value, Deadline::Drop, no_touch);
        };
        if let Some(entry) = table.get_mut(key.hash, key.bytes) {
            entry.remove();
        }
        table.insert(key.hash, key.bytes, value, None);
    }

    /// Stores what another shard made for this key, in place of what it held.
    pub fn keep_value(&mut self, db: usize, key: &Key<'_>, made: OwnedValue<Object>) {
        let was_there = self.remove(db, key);
        let moved = Moved {
            value: made,
            expire_at_ms: None,
            access: self.access.fresh(self.clock),
        };
        put_into(&mut self.databases[db].table, key, moved);
        if !was_there {
            self.tell(db, Classes::NEW, NEW, key.bytes);
        }
    }

    /// Whether values of other shards are at hand.
    #[inline]
    pub fn has_guests(&self) -> bool {
        self.guests.is_some()
    }

    /// Forgets the guests.
    pub fn dismiss_guests(&mut self) {
        if let Some(table) = self.take_guest_table() {
            self.free_guests(*table);
        }
    }

    /// The guests, for a reading of them: the request knows them no more.
    pub(super) fn take_guest_table(&mut self) -> Option<Box<KeyTable<Object>>> {
        self.guests.take().map(|guests| guests.table)
    }

    /// Frees the guests, bit by bit where they are many or large.
    pub(super) fn free_guests(&mut self, table: KeyTable<Object>) {
        if table.used_bytes() > LARGE_BYTES {
            self.garbage.push((table, 0));
        }
    }

    /// A copy of what a key holds, for a request on another shard: nothing is counted, touched or removed.
    pub fn lend(&self, db: usize, key: &Key<'_>) -> Option<Moved> {
        let entry = self.peek(db, key)?;
        Some(Moved::clone_of(
            entry.value(),
            entry.deadline_ms(),
            entry.access(),
        ))
    }

    /// What copies of what these keys hold would take, in bytes; 0 only where there is nothing.
    pub fn weight<'k>(&self, db: usize, keys: impl Iterator<Item = &'k [u8]>) -> usize {
        let of_key = |key: &[u8]| match self.peek(db, &self.key(key))?.value() {
            Value::Object(object) => Some(size_of::<Object>() + object.heap_bytes()),
            Value::Str { bytes, .. } => Some(size_of::<i64>() + bytes.len()),
            Value::Int(_) => Some(size_of::<i64>()),
        };
        keys.filter_map(of_key).sum()
    }

    /// As [`Keyspace::lend`] for a string; of a hash these fields that live, of anything else nothing.
    pub fn lend_fields(&self, db: usize, key: &Key<'_>, fields: &[Vec<u8>]) -> Option<Moved> {
        let entry = self.peek(db, key)?;
        let hash = match entry.value() {
            Value::Object(Object::Hash(hash)) => hash,
            Value::Object(_) => return None,
            Value::Int(_) | Value::Str { .. } => return self.lend(db, key),
        };
        let mut part = Hash::new();
        for field in fields {
            if let Some(found) = hash.find(field, self.now_ms).alive() {
                part.set(field, found.value, FieldDeadline::Drop, &self.limits);
            }
        }
        Some(Moved {
            value: OwnedValue::Object(Box::new(part.into_object())),
            expire_at_ms: None,
            access: entry.access(),
        })
    }
}
