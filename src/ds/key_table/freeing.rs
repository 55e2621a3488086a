//! Entries that go: out of their slots, their blocks back to the slab, their objects freed at once or in steps.
//!
//! Promises  nothing waits for an object of many allocations to be freed: it is kept for `free_discarded`; a span that is
//!           mostly free is given back as soon as what is left in it has moved, and slots stay where they are.
//! Not here  segments that shrink: `resize.rs`; the table walked for what lies badly: `compact.rs`; what is freed in steps:
//!           `walk.rs`.

use super::entry::{self, Shape};
use super::payload::{Lifted, object_bytes, owns_more};
use super::sizes::Bin;
use super::{HeapSize, KeyTable, bucket};
use std::ptr::NonNull;

/// Entries leave a span that is no more than a third in use: one entry is moved for two that went.
const SPARSE_THIRDS: u32 = 1;

/// Objects of more allocations are freed in steps.
const FREED_AT_ONCE_MAX: usize = 64;

impl<T: HeapSize> KeyTable<T> {
    /// Takes a slot's entry out of the table. Its block stays, for the caller to free; so does the segment's shape.
    ///
    /// # Safety
    /// `slot` is a place in the segment of `hash` and holds an entry.
    #[inline]
    pub(super) unsafe fn unlink(&mut self, hash: u64, slot: *mut u64) -> *mut u8 {
        let Some(word) = self.word(hash) else {
            unreachable!("an entry has a segment")
        };
        // SAFETY: the caller's promise.
        unsafe {
            let content = slot.read();
            slot.write(content & bucket::OVERFLOWED);
            let header = word.header();
            (*header).count -= 1;
            (*header).deleted_count += 1;
            self.len -= 1;
            self.deadlines_count -= usize::from(content & bucket::HAS_DEADLINE != 0);
            let entry = bucket::entry(content);
            self.sizes.leave(Bin::of_entry::<T>(entry));
            entry
        }
    }

    /// Frees an entry that is in no slot.
    ///
    /// # Safety
    /// The entry is alive, came from this table and is used no more.
    pub(super) unsafe fn free_entry(&mut self, entry: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe {
            let shape = entry::shape(entry);
            let payload = self.lift(entry);
            self.owners_count -= usize::from(owns_more(shape));
            self.free_block(entry, shape);
            self.discard(payload);
        }
    }

    /// Frees a part that was cut out of an object, or keeps it for `free_discarded` where that would take long.
    pub fn discard_part(&mut self, part: Box<T>) {
        discard(&mut self.discarded, &mut self.discarded_bytes, part);
    }

    /// Frees what a payload owned, or keeps it for `free_discarded` where that would take long.
    pub(super) fn discard(&mut self, lifted: Lifted<T>) {
        if let Lifted::Object(object) = lifted {
            discard(&mut self.discarded, &mut self.discarded_bytes, object);
        }
    }

    /// Frees an entry's block, and moves others together where that leaves a span mostly free.
    ///
    /// # Safety
    /// No slot leads to the block; all other blocks are entries that slots lead to.
    #[inline]
    pub(super) unsafe fn free_block(&mut self, entry: *mut u8, shape: Shape) {
        // SAFETY: the caller's promise.
        unsafe {
            self.slab.free_and_compact(
                NonNull::new_unchecked(entry),
                shape.bytes(),
                SPARSE_THIRDS,
                &mut self.sparse,
            );
            if !self.sparse.is_empty() {
                self.move_sparse_entries();
            }
        }
    }

    /// Moves the entries the slab named. Slots stay where they are, so whoever holds one finds the entry again.
    ///
    /// # Safety
    /// `sparse` holds blocks of one class, entries that slots lead to.
    #[cold]
    pub(super) unsafe fn move_sparse_entries(&mut self) {
        // What moves may be the object opened last.
        self.close_object();
        /// Entries whose buckets are loaded ahead of their turn.
        const AHEAD: usize = 8;
        // SAFETY: the caller's promise; the old blocks are freed once all have moved.
        unsafe {
            let bytes = entry::shape(self.sparse[0].as_ptr()).bytes();
            for index in 0..self.sparse.len() {
                if let Some(next) = self.sparse.get(index + AHEAD) {
                    self.prefetch(self.hasher.hash(entry::key(next.as_ptr())));
                }
                let old = self.sparse[index].as_ptr();
                let shape = entry::shape(old);
                let slot = self.slot_of(self.hasher.hash(entry::key(old)), old);
                let new = self.slab.allocate(shape.bytes()).as_ptr();
                std::ptr::copy_nonoverlapping(old, new, shape.bytes());
                let content = slot.read();
                slot.write(
                    content & (bucket::OVERFLOWED | bucket::COLOUR)
                        | bucket::slot(bucket::tag(content), new, shape.has_deadline),
                );
            }
            for &old in &self.sparse {
                self.slab.free(old, bytes);
            }
        }
        self.sparse.clear();
    }

    /// The slot that leads to an entry.
    ///
    /// # Safety
    /// There is one, in the segment of `hash`.
    pub(super) unsafe fn slot_of(&self, hash: u64, entry: *mut u8) -> *mut u64 {
        let Some(word) = self.word(hash) else {
            unreachable!("an entry has a segment")
        };
        let mut index = word.home(word.tag(hash));
        for _ in 0..word.buckets_count() {
            for place in 0..bucket::SLOTS {
                // SAFETY: `index` stays below `buckets_count`.
                unsafe {
                    let slot = (&raw mut (*word.bucket(index)).0).cast::<u64>().add(place);
                    if bucket::entry(slot.read()) == entry {
                        return slot;
                    }
                }
            }
            index = word.after(index);
        }
        unreachable!("an entry has a slot")
    }
}

/// Frees an object, or keeps it for later where that would take long.
pub(super) fn discard<T: HeapSize>(kept: &mut Vec<Box<T>>, kept_bytes: &mut usize, object: Box<T>) {
    if object.free_effort() > FREED_AT_ONCE_MAX {
        *kept_bytes += object_bytes(&*object);
        kept.push(object);
    }
}
