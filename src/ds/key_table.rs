//! The main table: SKELETON, signatures only.
use crate::base::hash::KeyHasher;
use bytes::Bytes;

/// Heap bytes owned by an object, besides the object itself.
pub trait HeapSize {
    /// Bytes on the heap behind `self`.
    fn heap_bytes(&self) -> usize;
}

/// What an entry holds, borrowed.
pub enum Value<'a, T> {
    /// A string that is an integer.
    Int(i64),
    /// A string; `raw` if it was ever changed in place or is longer than 44 bytes (Redis's encoding names).
    Str { bytes: &'a [u8], raw: bool },
    /// Anything that is not a string.
    Object(&'a T),
}

/// A value to store.
pub enum NewValue<'a, T> {
    Int(i64),
    Str {
        bytes: &'a [u8],
        raw: bool,
    },
    /// Kept without a copy where it is large.
    Shared(Bytes),
    Object(Box<T>),
}

/// A value taken out whole; it may move to another core.
pub enum OwnedValue<T> {
    Int(i64),
    Str { bytes: Bytes, raw: bool },
    Object(Box<T>),
}

/// Keys to values, deadlines and access clocks.
pub struct KeyTable<T> {
    _t: std::marker::PhantomData<T>,
}

/// One entry, to read.
pub struct EntryRef<'t, T> {
    _t: std::marker::PhantomData<&'t T>,
}

/// One entry, to change. Borrowing the table exclusively is what keeps its place valid.
pub struct EntryMut<'t, T> {
    _t: std::marker::PhantomData<&'t mut T>,
}

impl<T: HeapSize> KeyTable<T> {
    /// An empty table; allocates nothing until the first insert.
    pub fn new(hasher: KeyHasher) -> Self {
        let _ = hasher;
        todo!()
    }
    pub fn len(&self) -> usize {
        todo!()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Entries that have a deadline.
    pub fn deadlines_count(&self) -> usize {
        todo!()
    }
    /// Every byte this table holds: directory, segments, slab spans in use, large values, objects.
    pub fn used_bytes(&self) -> usize {
        todo!()
    }
    /// Starts loading the cache lines a lookup of `hash` will need.
    pub fn prefetch(&self, hash: u64) {
        let _ = hash;
        todo!()
    }
    pub fn get(&self, hash: u64, key: &[u8]) -> Option<EntryRef<'_, T>> {
        let _ = (hash, key);
        todo!()
    }
    pub fn get_mut(&mut self, hash: u64, key: &[u8]) -> Option<EntryMut<'_, T>> {
        let _ = (hash, key);
        todo!()
    }
    /// Adds a key that is not there (the caller has looked); a second entry for a key is a bug.
    pub fn insert(
        &mut self,
        hash: u64,
        key: &[u8],
        value: NewValue<'_, T>,
        deadline_ms: Option<i64>,
    ) -> EntryMut<'_, T> {
        let _ = (hash, key, value, deadline_ms);
        todo!()
    }
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> bool {
        let _ = (hash, key);
        todo!()
    }
    /// Removes and hands over the value and its deadline.
    pub fn take(&mut self, hash: u64, key: &[u8]) -> Option<(OwnedValue<T>, Option<i64>)> {
        let _ = (hash, key);
        todo!()
    }
    /// Visits the entries of one home bucket at or after `cursor` (a position in hash order, below 2^52);
    /// returns the next cursor, 0 when the table has been walked to its end.
    pub fn scan(&self, cursor: u64, visit: &mut dyn FnMut(EntryRef<'_, T>)) -> u64 {
        let _ = (cursor, visit);
        todo!()
    }
    /// A uniformly random entry; `random` yields 64 random bits a call.
    pub fn random(&self, random: &mut dyn FnMut() -> u64) -> Option<EntryRef<'_, T>> {
        let _ = random;
        todo!()
    }
    /// Walks segments from `cursor`, removing entries whose deadline is at or before `now_ms`, until about `work_max`
    /// steps (a segment header looked at is 1, an entry looked at is 1) are spent or the table has been walked once.
    /// `dead` sees each entry before it goes. Returns the next cursor (0: a full round has ended) and steps spent.
    pub fn expire_step(
        &mut self,
        cursor: u64,
        now_ms: i64,
        work_max: usize,
        dead: &mut dyn FnMut(EntryRef<'_, T>),
    ) -> (u64, usize) {
        let _ = (cursor, now_ms, work_max, dead);
        todo!()
    }
    /// Frees up to about `work_max` entries; true when nothing is left. For tables set aside by FLUSHALL.
    pub fn free_step(&mut self, work_max: usize) -> bool {
        let _ = work_max;
        todo!()
    }
}

impl<'t, T: HeapSize> EntryRef<'t, T> {
    pub fn key(&self) -> &'t [u8] {
        todo!()
    }
    pub fn value(&self) -> Value<'t, T> {
        todo!()
    }
    pub fn deadline_ms(&self) -> Option<i64> {
        todo!()
    }
    /// 24 bits for the eviction policy's clock.
    pub fn access(&self) -> u32 {
        todo!()
    }
    /// Bytes this entry takes: its slab class, what its value owns, its share of the bucket array.
    pub fn memory_bytes(&self) -> usize {
        todo!()
    }
}

impl<'t, T: HeapSize> EntryMut<'t, T> {
    pub fn key(&self) -> &[u8] {
        todo!()
    }
    pub fn value(&self) -> Value<'_, T> {
        todo!()
    }
    /// The value for as long as the table was borrowed (a read that began as a mutable lookup).
    pub fn into_value(self) -> Value<'t, T> {
        todo!()
    }
    pub fn deadline_ms(&self) -> Option<i64> {
        todo!()
    }
    pub fn access(&self) -> u32 {
        todo!()
    }
    /// Keeps the low 24 bits.
    pub fn set_access(&mut self, access: u32) {
        let _ = access;
        todo!()
    }
    /// Replaces the value; the deadline and the access clock stay.
    pub fn set_value(&mut self, value: NewValue<'_, T>) {
        let _ = value;
        todo!()
    }
    pub fn set_deadline(&mut self, deadline_ms: Option<i64>) {
        let _ = deadline_ms;
        todo!()
    }
    /// The string's bytes, writable, at least `len_min` long: grown with zeros (capacity doubles, so appending is
    /// amortised O(1)), an integer becomes text first, the value becomes `raw`. Panics on an object.
    pub fn string_mut(&mut self, len_min: usize) -> &mut [u8] {
        let _ = len_min;
        todo!()
    }
    pub fn object_mut(&mut self) -> Option<&mut T> {
        todo!()
    }
    pub fn remove(self) {
        todo!()
    }
    pub fn take(self) -> (OwnedValue<T>, Option<i64>) {
        todo!()
    }
    pub fn memory_bytes(&self) -> usize {
        todo!()
    }
}
