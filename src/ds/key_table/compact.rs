//! Compaction: values that lie in pages mostly free are copied to where the allocator fills up, spans of entries are emptied
//! into others, so that what churn has left half empty goes back to the system.
//!
//! Promises  nothing but addresses changes: no content, no colour of a cut, no access clock; accounts stay exact. A step does
//!           the values of one segment, or the entries of one span. Collections of more than [`OBJECT_BYTES_MAX`] stay where
//!           they are.
//! Not here  when it is worth its while, and which pages are sparse: `keyspace/compact.rs`, `ds/purge.rs`.
//! Tests     tests/ds/key_table_compaction.rs.

use super::entry::{self, Kind, Large};
use super::segment::Word;
use super::{HeapSize, KeyTable, bucket, object_in};
use crate::ds::purge;
use bytes::Bytes;

/// Larger collections would stall the core for more than a millisecond or two.
pub const OBJECT_BYTES_MAX: usize = 256 * 1024;
/// A collection moves if one in this many of the blocks that were looked at lies in a sparse page.
const SPARSE_SHARE: usize = 4;
/// Spans that are looked at for the one with the fewest blocks in use.
const SPANS_LOOKED_AT: usize = 64;

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Values looked at.
    pub looked_count: usize,
    /// Values, or entries, that moved.
    pub moved_count: usize,
    /// Bytes of them, about.
    pub moved_bytes: usize,
}

impl<T: HeapSize> KeyTable<T> {
    /// Moves the values of the segment at `cursor` (a position in hash order, below 2^52) that `is_sparse` says lie badly;
    /// returns where to go on, 0 at the end.
    pub fn compact_values(
        &mut self,
        cursor: u64,
        is_sparse: &dyn Fn(*const u8) -> bool,
    ) -> (u64, Compacted) {
        const CURSOR_SHIFT: u32 = 12;
        self.close_object();
        let mut done = Compacted::default();
        let position = cursor.min((1 << 52) - 1) << CURSOR_SHIFT;
        let Some(word) = self.word(position) else {
            return (0, done);
        };
        if self.owners_count > 0 {
            self.compact_segment(position, word, is_sparse, &mut done);
        }
        let next = word.hash_after(position);
        (next.map_or(0, |next| next >> CURSOR_SHIFT), done)
    }

    /// [`KeyTable::compact_values`] for values in the allocator's pages that are no more than `percent` full.
    pub fn compact_values_of_sparse_pages(
        &mut self,
        cursor: u64,
        percent: usize,
    ) -> (u64, Compacted) {
        // SAFETY: what is asked about belongs to values in the table, so it is in use.
        let is_sparse = |block: *const u8| unsafe { purge::is_page_sparse(block, percent) };
        self.compact_values(cursor, &is_sparse)
    }

    fn compact_segment(
        &mut self,
        hash: u64,
        word: Word,
        is_sparse: &dyn Fn(*const u8) -> bool,
        done: &mut Compacted,
    ) {
        for index in 0..word.buckets_count() {
            if index + 2 < word.buckets_count() {
                // SAFETY: `index + 2` is below `buckets_count`.
                for &slot in unsafe { &(*word.bucket(index + 2)).0 } {
                    bucket::prefetch(bucket::entry(slot));
                }
            }
            // SAFETY: `index` is below `buckets_count`; a slot that is not empty holds a live entry.
            for slot in unsafe { (*word.bucket(index)).0 } {
                if bucket::is_empty(slot) {
                    continue;
                }
                let entry = bucket::entry(slot);
                // SAFETY: as above.
                let moved_bytes = match unsafe { entry::kind(entry) } {
                    Kind::Int | Kind::Inline => continue,
                    // SAFETY: the entry is of that kind.
                    Kind::Large => unsafe { move_large(entry, is_sparse) },
                    // SAFETY: as above.
                    Kind::Object => unsafe { self.move_object(hash, entry, is_sparse) },
                };
                done.looked_count += 1;
                done.moved_count += usize::from(moved_bytes > 0);
                done.moved_bytes += moved_bytes;
            }
        }
    }

    /// Moves an entry's object, where enough of it lies in sparse pages; returns its bytes, 0 where it stays.
    ///
    /// # Safety
    /// `entry` is alive, in the segment of `hash`, and holds an object.
    unsafe fn move_object(
        &mut self,
        hash: u64,
        entry: *mut u8,
        is_sparse: &dyn Fn(*const u8) -> bool,
    ) -> usize {
        // SAFETY: the caller's promise; no reference to the object is out.
        unsafe {
            let object = object_in::<T>(entry);
            let heap_bytes = (*object).heap_bytes();
            if heap_bytes == 0 || heap_bytes > OBJECT_BYTES_MAX {
                return 0;
            }
            let (mut seen_count, mut sparse_count) = (0, 0);
            (*object).sample_blocks(&mut |block| {
                seen_count += 1;
                sparse_count += usize::from(is_sparse(block));
            });
            if sparse_count == 0 || sparse_count * SPARSE_SHARE < seen_count {
                return 0;
            }
            let Some(copy) = (*object).moved_copy() else {
                return 0;
            };
            self.open_object(hash, object);
            drop(std::mem::replace(&mut *object, copy));
            self.close_object();
            heap_bytes
        }
    }

    /// Empties one span of entries of `class` (from 0) that is no more than `percent` full into others of its class, if
    /// there is such a one with room for it; returns what moved, nothing at all where there is none.
    pub fn compact_entries(&mut self, class: usize, percent: u32) -> Compacted {
        self.slab
            .evacuate_sparsest(class, percent, SPANS_LOOKED_AT, &mut self.sparse);
        let moved_count = self.sparse.len();
        if moved_count == 0 {
            return Compacted::default();
        }
        // SAFETY: the slab names blocks in use, and all blocks of this slab are entries that slots lead to.
        let bytes = unsafe { entry::shape(self.sparse[0].as_ptr()).bytes() };
        // SAFETY: as above; they are of one class.
        unsafe { self.move_sparse_entries() };
        Compacted {
            looked_count: moved_count,
            moved_count,
            moved_bytes: moved_count * bytes,
        }
    }
}

/// Moves a large string, where it lies in a sparse page; returns its bytes, 0 where it stays.
///
/// # Safety
/// `entry` is alive and holds a large string; no reference to it is out.
unsafe fn move_large(entry: *mut u8, is_sparse: &dyn Fn(*const u8) -> bool) -> usize {
    // SAFETY: the caller's promise; the box came from `Box::into_raw`.
    unsafe {
        let mut place = entry::boxed::<Large>(entry);
        let mut moved_bytes = 0;
        if is_sparse(place.cast_const().cast()) {
            let large = *Box::from_raw(place);
            place = Box::into_raw(Box::new(large));
            entry::write_boxed(entry, place);
            moved_bytes += size_of::<Large>();
        }
        let large = &mut *place;
        if is_sparse(large.bytes().as_ptr()) {
            let copy = match large {
                Large::Owned(old) => {
                    let mut copy = Vec::with_capacity(old.capacity());
                    copy.extend_from_slice(old);
                    Large::Owned(copy)
                }
                Large::Shared(old) => Large::Shared(Bytes::copy_from_slice(old)),
            };
            moved_bytes += copy.bytes().len();
            *large = copy;
        }
        moved_bytes
    }
}
