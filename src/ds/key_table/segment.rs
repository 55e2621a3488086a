//! Segment: the buckets of all keys that share the first `depth` bits of their hash.
//!
//!     segment = | header 64 bytes | bucket 64 bytes | ... | bucket |        64-aligned, from the table's slab
//!     word    = | buckets 16 | address of the first bucket 42 | depth 6 |   what the directory keeps of it
//!
//! A key's tag is the 16 bits of its hash right below the segment's own; its home is bucket `tag * buckets >> 16`. So
//! homes follow hash order, and any number of buckets will do: a segment grows by an eighth or so at a time, and
//! moving its slots never touches an entry. A full bucket passes entries on to the next, the last to the first, and
//! says so in a flag; taking entries out leaves the flags, and a rebuild clears them.

use super::bucket::{self, Bucket, OVERFLOWED, SLOTS, prefetch};
use super::entry;
use crate::base::hash::KeyHasher;
use crate::ds::slab::Slab;
use std::ptr::NonNull;

/// Entries that fill a segment, per bucket: a load of 0.875.
pub(super) const ENTRIES_PER_BUCKET_MAX: usize = 7;
/// A segment that would need more buckets is split.
pub(super) const BUCKETS_MAX: usize = 111;
/// What a word can say. Only keys whose hashes agree in 36 bits and more, half a million of them, could need more.
pub(super) const BUCKETS_LIMIT: usize = 65_535;
/// Segments leave a span that is no more than two thirds in use.
const SPARSE_THIRDS: u32 = 2;
/// Deeper, and bucket boundaries would fall between two scan positions.
pub(super) const DEPTH_MAX: u32 = 36;

const ADDRESS: u64 = 0x0000_ffff_ffff_ffc0;

/// What is kept in front of the buckets.
#[repr(C, align(64))]
pub(super) struct Header {
    /// The first hash that belongs here: how a segment that is moved finds its directory words.
    pub(super) hash_first: u64,
    /// No entry here has an earlier deadline.
    pub(super) deadline_min_ms: i64,
    /// No object here wakes earlier.
    pub(super) wake_min_ms: i64,
    pub(super) count: u32,
    /// Entries taken out since the last rebuild.
    pub(super) deleted_count: u32,
}

const _: () = assert!(size_of::<Header>() == 64);

/// A directory word: a segment's place and shape.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    /// A new segment without entries.
    pub(super) fn create(
        slab: &mut Slab,
        buckets_count: usize,
        depth: u32,
        hash_first: u64,
    ) -> Self {
        assert!(
            buckets_count <= BUCKETS_LIMIT,
            "half a million hashes that agree in their first bits"
        );
        let memory = slab.allocate(segment_bytes(buckets_count)).as_ptr();
        // SAFETY: the block is that large and 64-aligned, as its size is a multiple of 64.
        unsafe {
            memory.cast::<Header>().write(Header {
                hash_first,
                deadline_min_ms: i64::MAX,
                wake_min_ms: i64::MAX,
                count: 0,
                deleted_count: 0,
            });
            let buckets = memory.add(64);
            buckets.write_bytes(0, buckets_count * 64);
            Self(
                (buckets_count as u64) << 48
                    | buckets.expose_provenance() as u64
                    | u64::from(depth),
            )
        }
    }

    /// Gives the segment's memory back; entries stay. Segments that had better be moved then come in `sparse`.
    ///
    /// # Safety
    /// The segment came from this slab and is used no more.
    pub(super) unsafe fn destroy(self, slab: &mut Slab, sparse: &mut Vec<NonNull<u8>>) {
        // SAFETY: `create` asked for this size.
        unsafe {
            let memory = NonNull::new_unchecked(self.header().cast::<u8>());
            let bytes = segment_bytes(self.buckets_count());
            slab.free_and_compact(memory, bytes, SPARSE_THIRDS, sparse);
        }
    }

    /// `destroy`, when all is going and nothing is worth moving.
    ///
    /// # Safety
    /// As for `destroy`.
    pub(super) unsafe fn abandon(self, slab: &mut Slab) {
        let memory = self.header().cast::<u8>();
        // SAFETY: `create` asked for this size.
        unsafe {
            slab.free(
                NonNull::new_unchecked(memory),
                segment_bytes(self.buckets_count()),
            );
        }
    }

    /// The same segment elsewhere; the old one is left for `abandon`.
    ///
    /// # Safety
    /// The segment is alive and came from this slab.
    pub(super) unsafe fn copy(self, slab: &mut Slab) -> Self {
        let bytes = segment_bytes(self.buckets_count());
        let memory = slab.allocate(bytes).as_ptr();
        // SAFETY: both are that large, and apart.
        unsafe {
            std::ptr::copy_nonoverlapping(self.header().cast::<u8>(), memory, bytes);
            Self(self.0 & !ADDRESS | memory.add(64).expose_provenance() as u64)
        }
    }

    #[inline]
    pub(super) fn depth(self) -> u32 {
        (self.0 & 63) as u32
    }

    #[inline]
    pub(super) fn buckets_count(self) -> usize {
        (self.0 >> 48) as usize
    }

    #[inline]
    pub(super) fn header(self) -> *mut Header {
        self.bucket(0).wrapping_sub(1).cast()
    }

    /// The bucket at `index`, which is below `buckets_count`.
    #[inline]
    pub(super) fn bucket(self, index: usize) -> *mut Bucket {
        std::ptr::with_exposed_provenance_mut::<Bucket>((self.0 & ADDRESS) as usize)
            .wrapping_add(index)
    }

    #[inline]
    pub(super) fn tag(self, hash: u64) -> u64 {
        (hash << self.depth()) >> 48
    }

    #[inline]
    pub(super) fn home(self, tag: u64) -> usize {
        (tag as usize * self.buckets_count()) >> 16
    }

    #[inline]
    pub(super) fn after(self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets_count() {
            0
        } else {
            bucket + 1
        }
    }

    /// The first hash of this segment, given any hash in it.
    pub(super) fn hash_first(self, hash: u64) -> u64 {
        match self.depth() {
            0 => 0,
            depth => hash >> (64 - depth) << (64 - depth),
        }
    }

    /// The first hash after this segment, given any hash in it; none after the last segment.
    pub(super) fn hash_after(self, hash: u64) -> Option<u64> {
        match self.depth() {
            0 => None,
            depth => self.hash_first(hash).checked_add(1 << (64 - depth)),
        }
    }

    /// The first hash whose home is `bucket`, which may be `buckets_count` for the end: none after the last segment.
    pub(super) fn hash_of_bucket(self, hash: u64, bucket: usize) -> Option<u64> {
        if bucket == self.buckets_count() {
            return self.hash_after(hash);
        }
        let tag = (bucket << 16).div_ceil(self.buckets_count()) as u64;
        Some(self.hash_first(hash) | (tag << 48) >> self.depth())
    }

    /// Puts a slot into the first bucket with room from its home on.
    ///
    /// # Safety
    /// The segment is alive and has an empty slot.
    #[inline]
    pub(super) unsafe fn place(self, slot: u64) -> *mut u64 {
        let mut index = self.home(bucket::tag(slot));
        loop {
            // SAFETY: `home` and `after` stay below `buckets_count`; the caller's promise for the rest.
            unsafe {
                let place = &mut *self.bucket(index);
                if let Some(empty) = place.first_empty() {
                    place.0[empty] = place.0[empty] & OVERFLOWED | slot;
                    return &raw mut place.0[empty];
                }
                place.0[SLOTS - 1] |= OVERFLOWED;
            }
            index = self.after(index);
        }
    }

    /// Moves the entries to a segment with `buckets_count` buckets, which are enough.
    ///
    /// # Safety
    /// The segment came from this slab; the word is used no more.
    pub(super) unsafe fn resize(
        self,
        slab: &mut Slab,
        sparse: &mut Vec<NonNull<u8>>,
        buckets_count: usize,
    ) -> Self {
        // SAFETY: the caller's promise.
        let hash_first = unsafe { (*self.header()).hash_first };
        let new = Self::create(slab, buckets_count, self.depth(), hash_first);
        // SAFETY: both are alive, and nothing else holds them.
        unsafe {
            let mut filler = Filler::new(new);
            self.each_slot(|slot| filler.place(slot & !OVERFLOWED));
            (*new.header()).count = (*self.header()).count;
            (*new.header()).deadline_min_ms = (*self.header()).deadline_min_ms;
            (*new.header()).wake_min_ms = (*self.header()).wake_min_ms;
            self.destroy(slab, sparse);
        }
        new
    }

    /// Moves the entries to two segments one level deeper. Hashes every key, for the one new bit of its tag.
    ///
    /// # Safety
    /// The segment and its entries are alive and came from this slab; the word is used no more. `scratch` is empty.
    pub(super) unsafe fn split(
        self,
        slab: &mut Slab,
        sparse: &mut Vec<NonNull<u8>>,
        hasher: &KeyHasher,
        scratch: &mut Vec<u64>,
    ) -> (Self, Self) {
        /// Entries are touched this many ahead of their turn.
        const AHEAD: usize = 16;
        debug_assert!(self.depth() < DEPTH_MAX);
        // SAFETY: the caller's promise.
        unsafe {
            self.each_slot(|slot| scratch.push(slot & !OVERFLOWED));
            let upper_count = scratch.iter().filter(|slot| **slot >> 63 == 1).count();
            let lower_count = scratch.len() - upper_count;
            for slot in scratch.iter().take(AHEAD) {
                prefetch(bucket::entry(*slot));
            }
            let depth = self.depth() + 1;
            let first = (*self.header()).hash_first;
            let lower = Self::create(slab, buckets_for(lower_count), depth, first);
            let middle = first | 1 << (64 - depth);
            let upper = Self::create(slab, buckets_for(upper_count), depth, middle);
            let mut fillers = [Filler::new(lower), Filler::new(upper)];
            for (index, &slot) in scratch.iter().enumerate() {
                if let Some(next) = scratch.get(index + AHEAD) {
                    prefetch(bucket::entry(*next));
                }
                let hash = hasher.hash(entry::key(bucket::entry(slot)));
                let tag = bucket::tag(slot);
                debug_assert_eq!(self.tag(hash), tag, "the caller's hash is the hasher's");
                fillers[(tag >> 15) as usize].place(bucket::with_tag(slot, lower.tag(hash)));
            }
            for (half, count) in [(lower, lower_count), (upper, upper_count)] {
                (*half.header()).count = count as u32;
                (*half.header()).deadline_min_ms = (*self.header()).deadline_min_ms;
                (*half.header()).wake_min_ms = (*self.header()).wake_min_ms;
            }
            self.destroy(slab, sparse);
            scratch.clear();
            (lower, upper)
        }
    }

    /// Moves the entries of two segments to one a level higher. Touches no entry.
    ///
    /// # Safety
    /// Both came from this slab and are the halves of one; the words are used no more.
    pub(super) unsafe fn merge(
        lower: Self,
        upper: Self,
        slab: &mut Slab,
        sparse: &mut Vec<NonNull<u8>>,
    ) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let count = (*lower.header()).count + (*upper.header()).count;
            let depth = lower.depth() - 1;
            let first = (*lower.header()).hash_first;
            let new = Self::create(slab, buckets_for(count as usize), depth, first);
            let mut filler = Filler::new(new);
            for (half, top) in [(lower, 0), (upper, 1 << 15)] {
                half.each_slot(|slot| {
                    filler.place(bucket::with_tag(slot, top | bucket::tag(slot) >> 1));
                });
            }
            (*new.header()).count = count;
            (*new.header()).deadline_min_ms = (*lower.header())
                .deadline_min_ms
                .min((*upper.header()).deadline_min_ms);
            (*new.header()).wake_min_ms = (*lower.header())
                .wake_min_ms
                .min((*upper.header()).wake_min_ms);
            // Only the second may name others to move: the first could name the second.
            lower.abandon(slab);
            upper.destroy(slab, sparse);
            new
        }
    }

    /// Shows every slot that is not empty.
    ///
    /// # Safety
    /// The segment is alive and does not change meanwhile.
    #[inline]
    pub(super) unsafe fn each_slot(self, mut visit: impl FnMut(u64)) {
        for index in 0..self.buckets_count() {
            // SAFETY: `index` is below `buckets_count`; the caller's promise for the rest.
            for &slot in unsafe { &(*self.bucket(index)).0 } {
                if !bucket::is_empty(slot) {
                    visit(slot);
                }
            }
        }
    }
}

/// Buckets for `count` entries and a sixteenth more to come, rounded up.
pub(super) fn buckets_for(count: usize) -> usize {
    let count = count + count / 16 + 1;
    let lines = count.div_ceil(ENTRIES_PER_BUCKET_MAX) + 1;
    // Header and buckets together fill a class of the slab, and the class fills its spans well.
    let lines = match lines {
        0..=32 => lines,
        33..=60 => lines.next_multiple_of(4),
        69..=72 => 72,
        61..=100 => (lines - 60).next_multiple_of(8) + 60,
        101..=112 => 112,
        113.. => return (lines.next_multiple_of(lines / 8) - 1).min(BUCKETS_LIMIT),
    };
    lines - 1
}

fn segment_bytes(buckets_count: usize) -> usize {
    (buckets_count + 1) * 64
}

/// Fills a new segment faster than `place`: it remembers how far each bucket is filled.
struct Filler {
    segment: Word,
    filled: [u8; BUCKETS_MAX + 1],
}

impl Filler {
    fn new(segment: Word) -> Self {
        Self {
            segment,
            filled: [0; BUCKETS_MAX + 1],
        }
    }

    /// # Safety
    /// The segment is alive, only this filler puts slots into it, and it has an empty slot. `slot` has no bucket flag.
    #[inline]
    unsafe fn place(&mut self, slot: u64) {
        let mut index = self.segment.home(bucket::tag(slot));
        if self.segment.buckets_count() > self.filled.len() {
            // SAFETY: the caller's promise.
            unsafe { self.segment.place(slot) };
            return;
        }
        loop {
            let filled = self.filled[index] as usize;
            let bucket = self.segment.bucket(index);
            // SAFETY: `index` is below `buckets_count`, the caller's promise for the rest.
            unsafe {
                if filled < SLOTS {
                    (*bucket).0[filled] |= slot;
                    self.filled[index] += 1;
                    return;
                }
                (*bucket).0[SLOTS - 1] |= OVERFLOWED;
            }
            index = self.segment.after(index);
        }
    }
}
