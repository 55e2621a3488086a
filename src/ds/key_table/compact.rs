//! Compaction: values that lie in pages mostly free are copied to where the allocator fills up, spans of entries are emptied
//! into others, so that what churn has left half empty goes back to the system.
//!
//!     walk = | segment | slot in it | key and progress of the object under way |
//!
//! Promises  nothing but addresses changes: no content, no colour of a cut, no access clock; accounts stay exact. A step is
//!           over when its mover says so, in the middle of a segment or of an object too; one of any size moves in as many
//!           steps as it takes, whatever is done to it in between. What changes places meanwhile may be passed over.
//! Not here  when it is worth its while, and which pages are sparse: `keyspace/compact.rs`, `ds/purge.rs`; how an object's
//!           own allocations move: [`HeapSize::move_step`].
//! Tests     tests/ds/key_table_compaction.rs.

use super::entry::{self, Kind};
use super::large::Large;
use super::payload::object_in;
use super::{HeapSize, KeyTable, bucket};
use crate::ds::mover::{Mover, Progress};
use std::mem::replace;

/// Spans that are looked at for the one with the fewest blocks in use.
const SPANS_LOOKED_AT: usize = 64;
/// Hash bits below a position in hash order that a segment can begin at.
const POSITION_SHIFT: u32 = 12;

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Values looked at.
    pub looked_count: usize,
    /// Values, or entries, that moved, or some of whose allocations did.
    pub moved_count: usize,
    /// Bytes of them, about.
    pub moved_bytes: usize,
}

/// Where a walk over all values has come.
#[derive(Debug, Default)]
pub struct ValuesWalk {
    /// In hash order, of the segment under way.
    position: u64,
    /// The next slot of the segment, over all of its buckets.
    slot: usize,
    under_way: Option<UnderWay>,
}

/// An object of which a part has moved.
#[derive(Debug)]
struct UnderWay {
    key: Box<[u8]>,
    progress: Progress,
    has_moved: bool,
}

impl<T: HeapSize> KeyTable<T> {
    /// Moves values that the mover says lie badly, from where `walk` has come, until the mover's step is over or all were
    /// looked at: true.
    pub fn compact_values(
        &mut self,
        walk: &mut ValuesWalk,
        mover: &mut Mover<'_>,
        done: &mut Compacted,
    ) -> bool {
        self.close_object();
        let before = mover.moved_bytes();
        let is_end = loop {
            if let Some(under_way) = walk.under_way.take() {
                walk.under_way = self.move_part(under_way, mover, done);
            }
            if walk.under_way.is_some() || mover.is_over() {
                break false;
            }
            if self.owners_count == 0 || !self.compact_segment(walk, mover, done) {
                *walk = ValuesWalk::default();
                break true;
            }
        };
        done.moved_bytes += mover.moved_bytes() - before;
        is_end
    }

    /// Goes on in the segment under way, and to the start of the next at its end; false where there is none.
    fn compact_segment(
        &mut self,
        walk: &mut ValuesWalk,
        mover: &mut Mover<'_>,
        done: &mut Compacted,
    ) -> bool {
        let position = walk.position << POSITION_SHIFT;
        let Some(word) = self.word(position) else {
            return false;
        };
        while walk.slot < word.buckets_count() * bucket::SLOTS {
            let (index, place) = (walk.slot / bucket::SLOTS, walk.slot % bucket::SLOTS);
            if place == 0 && index + 2 < word.buckets_count() {
                // SAFETY: `index + 2` is below `buckets_count`.
                for &slot in unsafe { &(*word.bucket(index + 2)).0 } {
                    bucket::prefetch(bucket::entry(slot));
                }
            }
            walk.slot += 1;
            // SAFETY: `index` is below `buckets_count`, `place` below `SLOTS`.
            let slot = unsafe { (*word.bucket(index)).0[place] };
            if bucket::is_empty(slot) {
                continue;
            }
            mover.pass();
            let entry = bucket::entry(slot);
            // SAFETY: a slot that is not empty holds a live entry.
            match unsafe { entry::kind(entry) } {
                Kind::Int | Kind::Inline => {}
                Kind::Large => {
                    let before = mover.moved_bytes();
                    // SAFETY: the entry is of that kind.
                    let grown_bytes = unsafe { move_large(entry, mover) };
                    self.heap_bytes = self.heap_bytes.wrapping_add(grown_bytes);
                    done.looked_count += 1;
                    done.moved_count += usize::from(mover.moved_bytes() > before);
                }
                Kind::Object => {
                    // SAFETY: as above; nothing else refers to the object.
                    walk.under_way = unsafe { self.move_object(entry, mover, done) };
                }
            }
            if mover.is_over() {
                return true;
            }
        }
        walk.slot = 0;
        let next = word.hash_after(position);
        walk.position = next.map_or(0, |next| next >> POSITION_SHIFT);
        next.is_some()
    }

    /// Moves an entry's object, as much of it as the step allows.
    ///
    /// # Safety
    /// `entry` is alive and holds an object.
    unsafe fn move_object(
        &mut self,
        entry: *mut u8,
        mover: &mut Mover<'_>,
        done: &mut Compacted,
    ) -> Option<UnderWay> {
        // SAFETY: the caller's promise.
        let (key, object) = unsafe { (entry::key(entry), object_in::<T>(entry)) };
        done.looked_count += 1;
        let hash = self.hasher.hash(key);
        // SAFETY: as above; `hash` is that of the object's key.
        let (progress, has_moved) =
            unsafe { self.move_object_from(hash, object, Progress::default(), mover) };
        match progress {
            Some(progress) => Some(UnderWay {
                key: key.into(),
                progress,
                has_moved,
            }),
            None => {
                done.moved_count += usize::from(has_moved);
                None
            }
        }
    }

    /// Goes on with an object of which a part has moved, if its key still has one.
    fn move_part(
        &mut self,
        mut under_way: UnderWay,
        mover: &mut Mover<'_>,
        done: &mut Compacted,
    ) -> Option<UnderWay> {
        mover.pass();
        let hash = self.hasher.hash(&under_way.key);
        let place = self.find(hash, &under_way.key)?;
        // SAFETY: a slot that was found leads to a live entry, here to one with an object; nothing else refers to it.
        let (progress, has_moved) = unsafe {
            let entry = bucket::entry(place.read());
            if entry::kind(entry) != Kind::Object {
                return None;
            }
            let object = object_in::<T>(entry);
            self.move_object_from(hash, object, under_way.progress, mover)
        };
        under_way.has_moved |= has_moved;
        let Some(progress) = progress else {
            done.moved_count += usize::from(under_way.has_moved);
            return None;
        };
        under_way.progress = progress;
        Some(under_way)
    }

    /// Moves an object's allocations from `from` on until the step is over; returns where to go on, and whether any moved.
    ///
    /// # Safety
    /// `object` is a live object of this table, `hash` that of its key, and no reference to it is out.
    unsafe fn move_object_from(
        &mut self,
        hash: u64,
        object: *mut T,
        from: Progress,
        mover: &mut Mover<'_>,
    ) -> (Option<Progress>, bool) {
        let before = mover.moved_bytes();
        let mut progress = Some(from);
        // SAFETY: the caller's promise.
        unsafe {
            self.open_object(hash, object);
            while let Some(from) = progress {
                progress = (*object).move_step(from, mover);
                if mover.is_over() {
                    break;
                }
            }
        }
        self.close_object();
        (progress, mover.moved_bytes() > before)
    }

    /// Empties one span of entries of `class` (from 0) that is no more than `percent` full into others of its class, if
    /// they have room for it or a fresh one would take less memory; returns what moved, nothing at all where there is none.
    pub fn compact_entries(&mut self, class: usize, percent: u32) -> Compacted {
        let mut blocks = Vec::new();
        self.slab
            .evacuate_sparsest(class, percent, SPANS_LOOKED_AT, &mut blocks);
        let moved_count = blocks.len();
        if moved_count == 0 {
            return Compacted::default();
        }
        // The list is as long as a span has blocks, and would stay.
        let kept = replace(&mut self.sparse, blocks);
        // SAFETY: the slab names blocks in use, and all blocks of this slab are entries that slots lead to.
        let bytes = unsafe { entry::shape(self.sparse[0].as_ptr()).bytes() };
        // SAFETY: as above; they are of one class.
        unsafe { self.move_sparse_entries() };
        self.sparse = kept;
        Compacted {
            looked_count: moved_count,
            moved_count,
            moved_bytes: moved_count * bytes,
        }
    }
}

/// Moves a large string, where it lies in a sparse page; returns how much more it takes then, modulo 2^64: its room may be less.
///
/// # Safety
/// `entry` is alive and holds a large string; no reference to it is out.
unsafe fn move_large(entry: *mut u8, mover: &mut Mover<'_>) -> usize {
    // SAFETY: the caller's promise; the box came from `Box::into_raw`, and its string is in use.
    unsafe {
        let mut place = Box::from_raw(entry::boxed::<Large>(entry));
        let before = place.heap_bytes();
        mover.boxed(&mut place);
        if mover.wants(place.bytes().as_ptr()) {
            place.move_on_heap();
            mover.moved(place.bytes().len());
        }
        let after = place.heap_bytes();
        entry::write_boxed(entry, Box::into_raw(place));
        after.wrapping_sub(before)
    }
}
