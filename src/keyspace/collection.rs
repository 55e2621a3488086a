//! Collections: what lists, sets, hashes, sorted sets and streams have in common, and how handlers reach them.
//!
//!     read::<Set>(key)             -> &Set, or none              counted as a hit or a miss
//!     write::<Set>(key)            -> Held<Set>, or none
//!     write_or_create::<Set>(key)  -> Held<Set>
//!
//! Promises  a key of another type is [`WrongType`] before anything is created; what a collection has grown or shrunk is
//!           booked when the table is used next.
//! Not here  what each type can do: its own file. Which encoding it has: likewise.

use std::marker::PhantomData;

use super::events::Classes;
use super::{EXPIRED, Key, Keyspace, NEW, Object, is_expired, note_expired, touch};
use crate::base::rng::Rng;
use crate::ds::key_table::{EntryMut, EntryRef, HeapSize, NewValue, Value};

/// The key holds another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

/// A type that a key may hold besides strings. A key never holds an empty one.
pub trait Collection: HeapSize + Clone + Send + Sized + 'static {
    /// TYPE's word.
    const TYPE_NAME: &'static str;

    /// OBJECT ENCODING's word.
    fn encoding_name(&self) -> &'static str;

    /// Whether nothing is in it, so that its key must go.
    fn is_empty(&self) -> bool;

    /// The collection, if the object is one of this type.
    fn of(object: &Object) -> Option<&Self>;

    /// The same, to change.
    fn of_mut(object: &mut Object) -> Option<&mut Self>;

    /// As an object.
    fn into_object(self) -> Object;
}

/// A key's collection, to change; borrows the keyspace.
pub struct Held<'t, C> {
    entry: EntryMut<'t, Object>,
    collection: PhantomData<C>,
}

impl<'t, C: Collection> Held<'t, C> {
    /// None where the entry is no `C`.
    fn new(entry: EntryMut<'t, Object>) -> Option<Self> {
        let Value::Object(object) = entry.value() else {
            return None;
        };
        C::of(object)?;
        Some(Self {
            entry,
            collection: PhantomData,
        })
    }

    /// The collection.
    pub fn get(&self) -> &C {
        match self.entry.value() {
            Value::Object(object) => C::of(object).expect("`new` saw its type"),
            _ => unreachable!("`new` saw its type"),
        }
    }

    /// The collection, to change. Whoever may leave it empty calls [`Held::remove_if_empty`] afterwards.
    pub fn get_mut(&mut self) -> &mut C {
        let object = self.entry.object_mut().expect("`new` saw its type");
        C::of_mut(object).expect("`new` saw its type")
    }

    /// Removes the key.
    pub fn remove(self) {
        self.entry.remove();
    }

    /// Removes the key if nothing is left in its collection; whether it did.
    pub fn remove_if_empty(self) -> bool {
        let is_empty = self.get().is_empty();
        if is_empty {
            self.remove();
        }
        is_empty
    }

    /// The key's entry: deadline, access clock, memory.
    pub fn entry(&mut self) -> &mut EntryMut<'t, Object> {
        &mut self.entry
    }
}

impl Keyspace {
    /// The collection at `key`, to read: as [`Keyspace::lookup_read`].
    #[inline]
    pub fn read<C: Collection>(
        &mut self,
        db: usize,
        key: &Key<'_>,
        no_touch: bool,
    ) -> Result<Option<&C>, WrongType> {
        let Some(entry) = self.lookup_read(db, key, no_touch) else {
            return Ok(None);
        };
        match entry.into_value() {
            Value::Object(object) => C::of(object).map(Some).ok_or(WrongType),
            _ => Err(WrongType),
        }
    }

    /// The collection at `key`, to change: as [`Keyspace::lookup_write`].
    #[inline]
    pub fn write<C: Collection>(
        &mut self,
        db: usize,
        key: &Key<'_>,
        no_touch: bool,
    ) -> Result<Option<Held<'_, C>>, WrongType> {
        match self.lookup_write(db, key, no_touch) {
            Some(entry) => Held::new(entry).map(Some).ok_or(WrongType),
            None => Ok(None),
        }
    }

    /// The collection at `key`, to change, though it is looked up as one that is read: as [`Keyspace::lookup_read`].
    pub fn read_to_change<C: Collection>(
        &mut self,
        db: usize,
        key: &Key<'_>,
        no_touch: bool,
    ) -> Result<Option<Held<'_, C>>, WrongType> {
        match self.lookup_read(db, key, no_touch) {
            Some(entry) => Held::new(entry).map(Some).ok_or(WrongType),
            None => Ok(None),
        }
    }

    /// The collection at `key`, to change; an empty one where there is none, for the caller to fill.
    ///
    /// - Cost: one lookup.
    pub fn write_or_create<C: Collection + Default>(
        &mut self,
        db: usize,
        key: &Key<'_>,
        no_touch: bool,
    ) -> Result<Held<'_, C>, WrongType> {
        if self.guests.is_some() || self.expiry_paused {
            return self.write_or_create_aside(db, key, no_touch);
        }
        let now_ms = self.now_ms;
        let table = &mut self.databases[db].table;
        let is_alive = |entry: EntryRef<'_, Object>| !is_expired(entry.deadline_ms(), now_ms);
        let entry = match table.get_mut_if(key.hash, key.bytes, is_alive) {
            Ok(mut entry) => {
                if !no_touch {
                    touch(&mut entry, &self.access, self.clock, &mut self.rng);
                }
                entry
            }
            Err((table, is_there)) => {
                if is_there {
                    table.remove(key.hash, key.bytes);
                    self.stats.expired_keys += 1;
                    note_expired(&mut self.expired, db, key.bytes);
                    self.events.tell(db, Classes::EXPIRED, EXPIRED, key.bytes);
                }
                self.events.tell(db, Classes::NEW, NEW, key.bytes);
                let object = NewValue::Object(Box::new(C::default().into_object()));
                let mut entry = table.insert(key.hash, key.bytes, object, None);
                entry.set_access(self.access.fresh(self.clock));
                entry
            }
        };
        Held::new(entry).ok_or(WrongType)
    }

    /// The same where the table of the key's shard is not all there is to look at.
    #[cold]
    fn write_or_create_aside<C: Collection + Default>(
        &mut self,
        db: usize,
        key: &Key<'_>,
        no_touch: bool,
    ) -> Result<Held<'_, C>, WrongType> {
        if self.lookup_write(db, key, no_touch).is_none() {
            let object = Box::new(C::default().into_object());
            let entry = self.insert(db, key, NewValue::Object(object), None);
            return Held::new(entry).ok_or(WrongType);
        }
        // Looked up again: a borrow that is returned on one path only would last on the other too.
        match self.lookup_write(db, key, true) {
            Some(entry) => Held::new(entry).ok_or(WrongType),
            None => Err(WrongType),
        }
    }

    /// Gives `key` this collection in place of whatever it holds, without a deadline; an empty one removes the key.
    /// Returns whether there is a key afterwards.
    pub fn replace<C: Collection>(&mut self, db: usize, key: &Key<'_>, collection: C) -> bool {
        if collection.is_empty() {
            self.remove(db, key);
            return false;
        }
        let object = NewValue::Object(Box::new(collection.into_object()));
        let access = self.access.fresh(self.clock);
        match self.lookup_write(db, key, true) {
            Some(mut entry) => {
                entry.set_value(object);
                entry.set_deadline(None);
                entry.set_access(access);
            }
            None => match self.guest_table(db, key) {
                Some(table) => {
                    table.insert(key.hash, key.bytes, object, None);
                }
                None => {
                    self.insert(db, key, object, None);
                }
            },
        }
        true
    }

    /// Frees what was cut out of a collection of `db`, bit by bit where it is large.
    pub fn discard<C: Collection>(&mut self, db: usize, part: C) {
        self.databases[db]
            .table
            .discard_part(Box::new(part.into_object()));
    }

    /// Random numbers for one request, to draw from while a value is borrowed.
    pub fn fork_rng(&mut self) -> Rng {
        Rng::with_seed(self.rng.next_u64())
    }
}
