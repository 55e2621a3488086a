//! The main table: keys to values, with deadlines and access clocks.
//!
//!     hash = | directory index: first depth bits | tag 16 | ... |
//!     directory word -> segment; tag -> its home bucket, one cache line of 8 slots; slot -> entry, one block
//!
//! Extendible hashing. A segment grows by a tenth or so at a time and splits when it is large, so no insert waits for
//! more than one segment's work, or a doubling of the directory, which is one word for some 300 keys. Deleting shrinks
//! and merges the same way.
//!
//! Promises  a lookup touches a directory word, one bucket (rarely two) and the entry; `scan` shows every key that was
//!           there throughout exactly once, whatever grew or shrank meanwhile; `random` is exactly uniform;
//!           `used_bytes` is exact; what is left in a span that is mostly free moves together, and an emptied table
//!           has given its memory back, but for four spans of 64 KiB.
//! Not here  what an object is: `keyspace/value.rs`; when a key is dead: the keyspace asks, the table obeys.
//! Source    extendible hashing: Fagin and others, 1979; segments with stashes in one table: Dash, 2020, and Dragonfly.
//! Tests     `tests/ds/key_table.rs`, `key_table_walks.rs`: models, every representation, forced collisions, growth
//!           and shrinking between the calls of a scan; clean under AddressSanitizer.

mod borrowed;
mod bucket;
mod compact;
mod cut;
mod entry;
mod key_walks;
mod large;
mod readings;
mod resize;
mod segment;
mod sizes;
mod walk;

pub use borrowed::{EntryMut, EntryRef};
pub use compact::{Compacted, ValuesWalk};
pub use cut::Keeper;
pub use key_walks::KeyWalker;
pub use readings::{LeftOver, Made, ManyReader, Portion, ReadLimit, Reader, Rest};
pub use sizes::{KINDS_COUNT, KindBytes, Sizes};

use crate::base::hash::KeyHasher;
use crate::base::shared_bytes::SharedBytes;
use crate::ds::mover::{Mover, Progress};
use crate::ds::slab::{BLOCK_BYTES_MAX, Slab, rounded_bytes};
use bucket::Bucket;
use bytes::Bytes;
use cut::Cut;
use entry::{INLINE_BYTES_MAX, Kind, Shape};
use key_walks::KeyWalk;
use large::Large;
use readings::Reading;
use segment::{DEPTH_MAX, ENTRIES_PER_BUCKET_MAX, Word};
use sizes::Bin;
use std::marker::PhantomData;
use std::ptr::{NonNull, null_mut};
use walk::SetAside;

/// Entries leave a span that is no more than a third in use: one entry is moved for two that went.
const SPARSE_THIRDS: u32 = 1;
/// A key's share of the buckets, on average over growth: 8 bytes at a load of 0.82, headers, directory.
const BUCKETS_BYTES_PER_KEY: usize = 10;

/// Objects of more allocations are freed in steps.
const FREED_AT_ONCE_MAX: usize = 64;

/// Heap bytes owned by an object, besides the object itself.
pub trait HeapSize {
    /// Bytes on the heap behind `self`. O(1): it is asked before and after every change.
    fn heap_bytes(&self) -> usize;

    /// Its kind, from 1 to below [`KINDS_COUNT`], and its size in the kind's own measure. O(1): it is asked before and after
    /// every change.
    fn extent(&self) -> (usize, usize) {
        (KINDS_COUNT - 1, 0)
    }

    /// About how many allocations dropping it frees.
    fn free_effort(&self) -> usize {
        1
    }

    /// Frees up to about `budget` of them; true when so little is left that it may be dropped at once.
    fn free_step(&mut self, budget: usize) -> bool {
        let _ = budget;
        true
    }

    /// Moves those of its allocations that lie badly, from `from` on, until the mover's step is over or a part is done;
    /// returns where to go on, None at the end. Any `from` is good for any object.
    fn move_step(&mut self, from: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
        let _ = (from, mover);
        None
    }

    /// When something in it wants to be looked at, on the scale of deadlines; `expire_step` finds it then. O(1).
    fn wake_at_ms(&self) -> Option<i64> {
        None
    }

    /// What is asked before and after every change, at once.
    #[inline]
    fn measure(&self) -> Measure {
        Measure {
            heap_bytes: self.heap_bytes(),
            extent: self.extent(),
            wake_at_ms: self.wake_at_ms(),
        }
    }
}

/// What the table books of an object.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// As [`HeapSize::heap_bytes`].
    pub heap_bytes: usize,
    /// As [`HeapSize::extent`].
    pub extent: (usize, usize),
    /// As [`HeapSize::wake_at_ms`].
    pub wake_at_ms: Option<i64>,
}

/// What an entry holds, borrowed.
pub enum Value<'a, T> {
    /// A string that is an integer.
    Int(i64),
    /// A string.
    Str {
        /// The string itself.
        bytes: &'a [u8],
        /// It was ever changed in place or is longer than 44 bytes (Redis's encoding names).
        raw: bool,
    },
    /// Anything that is not a string.
    Object(&'a T),
}

/// A value to store.
pub enum NewValue<'a, T> {
    /// A string that is an integer.
    Int(i64),
    /// A string to copy.
    Str {
        /// The string itself.
        bytes: &'a [u8],
        /// Whether it counts as changed in place.
        raw: bool,
    },
    /// A part of a request: kept without a copy where it is large, and grows without one once the request is done with.
    Received(SharedBytes),
    /// Kept without a copy where it is large.
    Shared(Bytes),
    /// Anything that is not a string.
    Object(Box<T>),
}

/// A value taken out whole; it may move to another core.
#[derive(Debug)]
pub enum OwnedValue<T> {
    /// A string that is an integer.
    Int(i64),
    /// A string.
    Str {
        /// The string itself.
        bytes: Bytes,
        /// It was ever changed in place or is longer than 44 bytes.
        raw: bool,
    },
    /// Anything that is not a string.
    Object(Box<T>),
}

/// Keys to values, deadlines and access clocks.
pub struct KeyTable<T> {
    /// 2^`depth` words, or none while the table is empty. Segments of a lesser depth have several words, side by side.
    directory: Vec<u64>,
    /// Hash bits the directory is indexed by.
    depth: u32,
    len: usize,
    hasher: KeyHasher,
    /// Entries.
    slab: Slab,
    /// Segments.
    segment_slab: Slab,
    deadlines_count: usize,
    /// Objects of each kind that have a time to wake, but for what the object opened last has changed since.
    waking_counts: [usize; KINDS_COUNT],
    segments: SegmentCounts,
    /// Entries that own more than their block: large strings, objects, and blocks above the slab's classes.
    owners_count: usize,
    /// Bytes of large strings and objects, but for what the object opened last has changed since.
    heap_bytes: usize,
    /// Of those, what objects of each kind have.
    object_bytes: [usize; KINDS_COUNT],
    /// The object handed out to be changed last.
    opened: Opened<T>,
    /// Values by kind and size, but for what the object opened last has changed since.
    sizes: Sizes,
    /// Reused by splits.
    scratch: Vec<u64>,
    /// Reused by what frees segments and entries: blocks to move. Empty between calls.
    sparse: Vec<NonNull<u8>>,
    /// What `free_step` is still freeing.
    aside: Option<SetAside>,
    /// Objects that were removed and are too large to free at once: `free_discarded` does, in steps.
    discarded: Vec<Box<T>>,
    /// Bytes of those.
    discarded_bytes: usize,
    /// The cut that is being written out.
    cut: Option<Box<Cut<T>>>,
    /// Entries that are being read bit by bit.
    readings: Vec<Reading<T>>,
    /// See [`KeyTable::take_guests_back`].
    guests_back: Option<Box<Self>>,
    /// All of them are.
    key_walks: Vec<KeyWalk<T>>,
    /// There is a cut, a reading or a walk: changes have to look.
    has_onlookers: bool,
    /// The colour of new entries: `bucket::COLOUR` or 0.
    colour: u64,
    values: PhantomData<T>,
}

/// An object that whoever asked for it may be changing, and what was booked of it before.
struct Opened<T> {
    /// Null, or a live object of this table.
    object: *mut T,
    /// Its key's hash.
    hash: u64,
    heap_bytes: usize,
    wakes: bool,
    bin: Bin,
}

impl<T> Opened<T> {
    const NONE: Self = Self {
        object: null_mut(),
        hash: 0,
        heap_bytes: 0,
        wakes: false,
        bin: Bin::NONE,
    };
}

/// What is known of all segments together.
struct SegmentCounts {
    /// By depth.
    by_depth: [u32; DEPTH_MAX as usize + 1],
    total: usize,
    /// No segment has more buckets << depth than this; see `random`.
    weight_max: u64,
    /// Segments that shrank or merged since `weight_max` was exact.
    lightened_count: usize,
}

impl SegmentCounts {
    const NONE: Self = Self {
        by_depth: [0; DEPTH_MAX as usize + 1],
        total: 0,
        weight_max: 0,
        lightened_count: 0,
    };

    fn add(&mut self, word: Word) {
        self.by_depth[word.depth() as usize] += 1;
        self.total += 1;
        self.weight_max = self.weight_max.max(weight(word));
    }

    fn remove(&mut self, word: Word) {
        self.by_depth[word.depth() as usize] -= 1;
        self.total -= 1;
    }
}

fn weight(word: Word) -> u64 {
    (word.buckets_count() as u64) << word.depth()
}

/// The slot of a bucket that has `key`.
///
/// # Safety
/// `place` is a bucket of a segment that is alive: its slots that are not empty hold live entries.
#[inline(always)]
unsafe fn find_in(place: *mut Bucket, tag: u64, key: &[u8]) -> Option<NonNull<u64>> {
    // SAFETY: so the caller says.
    unsafe {
        for index in (*place).tag_matches(tag) {
            let slot = (&raw mut (*place).0).cast::<u64>().add(index);
            let entry = bucket::entry(slot.read());
            if !entry.is_null() && entry::has_key(entry, key) {
                return Some(NonNull::new_unchecked(slot));
            }
        }
    }
    None
}

/// The slot that has `key` in a bucket after its home, which passed entries on.
///
/// # Safety
/// As for [`find_in`], for the buckets of `word`, of which `home` is one.
#[inline(never)]
unsafe fn find_beyond(word: Word, home: usize, tag: u64, key: &[u8]) -> Option<NonNull<u64>> {
    let mut index = word.after(home);
    while index != home {
        let place = word.bucket(index);
        // SAFETY: `index` stays below `buckets_count`.
        unsafe {
            match find_in(place, tag, key) {
                None if (*place).is_overflowed() => index = word.after(index),
                found => return found,
            }
        }
    }
    None
}

// SAFETY: everything the raw pointers lead to belongs to the table alone, and only `T` could be bound to a thread.
unsafe impl<T: Send> Send for KeyTable<T> {}

impl<T: HeapSize> KeyTable<T> {
    /// An empty table; allocates nothing until the first insert.
    pub fn new(hasher: KeyHasher) -> Self {
        Self {
            directory: Vec::new(),
            depth: 0,
            len: 0,
            hasher,
            slab: Slab::new(),
            segment_slab: Slab::new(),
            deadlines_count: 0,
            waking_counts: [0; KINDS_COUNT],
            segments: SegmentCounts::NONE,
            owners_count: 0,
            heap_bytes: 0,
            object_bytes: [0; KINDS_COUNT],
            opened: Opened::NONE,
            sizes: Sizes::default(),
            scratch: Vec::new(),
            sparse: Vec::new(),
            aside: None,
            discarded: Vec::new(),
            discarded_bytes: 0,
            cut: None,
            readings: Vec::new(),
            guests_back: None,
            key_walks: Vec::new(),
            has_onlookers: false,
            colour: 0,
            values: PhantomData,
        }
    }

    /// Adds a key that is not there (the caller has looked); a second entry for a key is a bug.
    ///
    /// - `hash`: of `key`, by the hasher the table was made with.
    /// - `key`: below 4 GiB.
    /// - Cost: O(1); now and then one segment of up to 780 slots is rebuilt (about 2 us) or split (about 20 us).
    pub fn insert(
        &mut self,
        hash: u64,
        key: &[u8],
        value: NewValue<'_, T>,
        deadline_ms: Option<i64>,
    ) -> EntryMut<'_, T> {
        debug_assert!(self.find(hash, key).is_none(), "the key is new");
        assert!(u32::try_from(key.len()).is_ok(), "keys are below 4 GiB");
        let word = self.segment_with_room(hash);
        let payload = Payload::of(value);
        let shape = Shape {
            kind: payload.kind(),
            raw: payload.is_raw(),
            has_deadline: deadline_ms.is_some(),
            key_bytes: key.len(),
            payload_bytes: payload.bytes(),
        };
        let entry = self.slab.allocate(shape.bytes()).as_ptr();
        // SAFETY: the block has room for this shape, and the segment for one more slot.
        let slot = unsafe {
            entry::write(entry, shape, 0, deadline_ms, key);
            let wake_at_ms = payload.wake_at_ms();
            self.sizes.enter(Bin::of_payload(&payload));
            self.put(entry, payload);
            self.note_wake(hash, wake_at_ms);
            self.owners_count += usize::from(owns_more(shape));
            let header = word.header();
            (*header).count += 1;
            if let Some(deadline_ms) = deadline_ms {
                (*header).deadline_min_ms = (*header).deadline_min_ms.min(deadline_ms);
                self.deadlines_count += 1;
            }
            word.place(self.colour | bucket::slot(word.tag(hash), entry, shape.has_deadline))
        };
        self.len += 1;
        if self.has_onlookers {
            self.hide_from_walks(hash, key);
        }
        EntryMut::new(self, hash, slot)
    }

    /// Removes an entry; false where there is none.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> bool {
        self.get_mut(hash, key).map(EntryMut::remove).is_some()
    }

    /// Removes and hands over the value and its deadline.
    pub fn take(&mut self, hash: u64, key: &[u8]) -> Option<(OwnedValue<T>, Option<i64>)> {
        self.get_mut(hash, key).map(EntryMut::take)
    }

    /// An entry, to read.
    #[inline]
    pub fn get(&self, hash: u64, key: &[u8]) -> Option<EntryRef<'_, T>> {
        // SAFETY: slots that are found hold live entries, which stay while the table is borrowed.
        self.find(hash, key)
            .map(|slot| EntryRef::new(bucket::entry(unsafe { slot.read() })))
    }

    /// An entry, to change.
    #[inline]
    pub fn get_mut(&mut self, hash: u64, key: &[u8]) -> Option<EntryMut<'_, T>> {
        self.get_mut_inlined(hash, key)
    }

    /// The same for the few callers that every other request comes from.
    #[inline(always)]
    pub fn get_mut_inlined(&mut self, hash: u64, key: &[u8]) -> Option<EntryMut<'_, T>> {
        let slot = self.find(hash, key)?;
        Some(EntryMut::new(self, hash, slot.as_ptr()))
    }

    /// An entry to change, if `is_wanted` says so. Otherwise the table is given back, and whether there is an entry: so one can
    /// be added without a lookup more.
    #[inline]
    pub fn get_mut_if(
        &mut self,
        hash: u64,
        key: &[u8],
        is_wanted: impl FnOnce(EntryRef<'_, T>) -> bool,
    ) -> Result<EntryMut<'_, T>, (&mut Self, bool)> {
        let found = self.find(hash, key);
        let wanted = found.filter(|slot| {
            // SAFETY: slots that are found hold live entries; nothing changes meanwhile.
            is_wanted(EntryRef::new(bucket::entry(unsafe { slot.read() })))
        });
        match wanted {
            Some(slot) => Ok(EntryMut::new(self, hash, slot.as_ptr())),
            None => Err((self, found.is_some())),
        }
    }

    /// Entries.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no entries.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Entries that have a deadline.
    #[inline]
    pub fn deadlines_count(&self) -> usize {
        self.deadlines_count
    }

    /// Objects of a kind that have a time to wake.
    pub fn waking_count(&self, kind: usize) -> usize {
        let (count, opened) = (self.waking_counts[kind], &self.opened);
        if opened.object.is_null() {
            return count;
        }
        // SAFETY: as in `used_bytes`.
        let object = unsafe { &*opened.object };
        match object.extent().0 == kind {
            true => count + usize::from(object.wake_at_ms().is_some()) - usize::from(opened.wakes),
            false => count,
        }
    }

    /// Whether any object has a time to wake.
    pub fn has_waking(&self) -> bool {
        (0..KINDS_COUNT).any(|kind| self.waking_count(kind) > 0)
    }

    /// Every byte this table holds: directory, segments, blocks of entries, large values, objects. O(1).
    pub fn used_bytes(&self) -> usize {
        let opened = &self.opened;
        let changed = if opened.object.is_null() {
            0
        } else {
            // SAFETY: `opened` is a live object, and the borrow it was handed out by ended before this call.
            unsafe { (*opened.object).heap_bytes() }.wrapping_sub(opened.heap_bytes)
        };
        self.slab.used_bytes()
            + self.segment_slab.used_bytes()
            + self.heap_bytes.wrapping_add(changed)
            + (self.directory.capacity() + self.scratch.capacity() + self.sparse.capacity())
                * size_of::<u64>()
            + self.aside.as_ref().map_or(0, SetAside::used_bytes)
            + self.discarded_bytes
    }

    /// Bytes the slab has from the system: `used_bytes` of entries and segments, and the room between them.
    pub fn reserved_bytes(&self) -> usize {
        self.slab.reserved_bytes() + self.segment_slab.reserved_bytes()
    }

    /// Bytes of what leads to the entries: directory and segments.
    pub fn index_bytes(&self) -> usize {
        self.segment_slab.used_bytes() + self.directory.capacity() * size_of::<u64>()
    }

    /// Bytes of the slabs that take memory and are in no block in use.
    pub fn slack_bytes(&self) -> usize {
        self.slab.slack_bytes() + self.segment_slab.slack_bytes()
    }

    /// Gives back what the slabs keep for reuse.
    pub fn trim(&mut self) {
        self.slab.trim();
        self.segment_slab.trim();
    }

    /// Starts loading the cache lines a lookup of `hash` will need.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        if let Some(word) = self.word(hash) {
            let home = word.bucket(word.home(word.tag(hash))).cast::<u8>();
            bucket::prefetch(home);
            // One entry in five has gone on to the bucket after.
            bucket::prefetch(home.wrapping_add(size_of::<Bucket>()));
        }
    }

    /// Starts loading the entry itself; worth it some 50 ns after `prefetch`, when its bucket has come.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        let Some(word) = self.word(hash) else {
            return;
        };
        let tag = word.tag(hash);
        let home = word.home(tag);
        // SAFETY: a home and what comes after lie in their segment, which is alive.
        let (first, second) = unsafe { (&*word.bucket(home), &*word.bucket(word.after(home))) };
        let place = match first.tag_matches(tag).next() {
            None if first.is_overflowed() => second,
            _ => first,
        };
        if let Some(index) = place.tag_matches(tag).next() {
            let entry = bucket::entry(place.0[index]);
            bucket::prefetch(entry);
            // The value of a small entry ends in the next line more often than not; a prefetch past the entry is harmless.
            bucket::prefetch(entry.wrapping_add(64));
        }
    }

    /// The segment a hash belongs to.
    #[inline]
    fn word(&self, hash: u64) -> Option<Word> {
        self.directory.get(self.index(hash)).map(|word| Word(*word))
    }

    #[inline]
    fn index(&self, hash: u64) -> usize {
        // Two steps: a depth of 0 would shift by 64.
        (hash >> 1 >> (63 - self.depth)) as usize
    }

    /// Four of five entries are in their home bucket: only that is looked at where it is inlined.
    #[inline(always)]
    fn find(&self, hash: u64, key: &[u8]) -> Option<NonNull<u64>> {
        let word = self.word(hash)?;
        let tag = word.tag(hash);
        let home = word.home(tag);
        // SAFETY: a home is a bucket of its segment.
        unsafe {
            let place = word.bucket(home);
            match find_in(place, tag, key) {
                None if (*place).is_overflowed() => find_beyond(word, home, tag, key),
                found => found,
            }
        }
    }

    /// The segment of `hash`, made to have an empty slot.
    #[inline]
    fn segment_with_room(&mut self, hash: u64) -> Word {
        if let Some(word) = self.word(hash) {
            // SAFETY: words of the directory are alive.
            let count = unsafe { (*word.header()).count } as usize;
            if count < word.buckets_count() * ENTRIES_PER_BUCKET_MAX {
                return word;
            }
        }
        self.grow(hash)
    }

    /// Takes a slot's entry out of the table. Its block stays, for the caller to free; so does the segment's shape.
    ///
    /// # Safety
    /// `slot` is a place in the segment of `hash` and holds an entry.
    #[inline]
    unsafe fn unlink(&mut self, hash: u64, slot: *mut u64) -> *mut u8 {
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
    unsafe fn free_entry(&mut self, entry: *mut u8) {
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
    fn discard(&mut self, lifted: Lifted<T>) {
        if let Lifted::Object(object) = lifted {
            discard(&mut self.discarded, &mut self.discarded_bytes, object);
        }
    }

    /// Frees an entry's block, and moves others together where that leaves a span mostly free.
    ///
    /// # Safety
    /// No slot leads to the block; all other blocks are entries that slots lead to.
    #[inline]
    unsafe fn free_block(&mut self, entry: *mut u8, shape: Shape) {
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
    unsafe fn move_sparse_entries(&mut self) {
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
    unsafe fn slot_of(&self, hash: u64, entry: *mut u8) -> *mut u64 {
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

    /// Takes what the payload owns, and its bytes off the accounts. The entry's payload is then only bytes.
    ///
    /// # Safety
    /// The entry is alive; its payload is overwritten or never looked at again.
    unsafe fn lift(&mut self, entry: *mut u8) -> Lifted<T> {
        // SAFETY: the caller's promise; boxes were made by `put`.
        unsafe {
            match entry::kind(entry) {
                Kind::Int | Kind::Inline => Lifted::Nothing,
                Kind::Large => {
                    let large = Box::from_raw(entry::boxed::<Large>(entry));
                    self.heap_bytes = self.heap_bytes.wrapping_sub(large.heap_bytes());
                    Lifted::Large(large)
                }
                Kind::Object => {
                    self.close_object();
                    let object = take_object::<T>(entry);
                    let bytes = object_bytes(&*object);
                    self.heap_bytes = self.heap_bytes.wrapping_sub(bytes);
                    let of_kind = &mut self.object_bytes[object.extent().0];
                    *of_kind = of_kind.wrapping_sub(bytes);
                    self.waking_counts[object.extent().0] -=
                        usize::from(object.wake_at_ms().is_some());
                    Lifted::Object(object)
                }
            }
        }
    }

    /// Writes a payload, and its bytes to the accounts.
    ///
    /// # Safety
    /// The entry has the payload's shape; what its payload owned before was lifted.
    unsafe fn put(&mut self, entry: *mut u8, payload: Payload<'_, T>) {
        // SAFETY: the caller's promise.
        unsafe {
            match payload {
                Payload::Int(number, bytes) => entry::write_int(entry, number, bytes),
                Payload::Inline(bytes, _) => std::ptr::copy_nonoverlapping(
                    bytes.as_ptr(),
                    entry::payload(entry),
                    bytes.len(),
                ),
                Payload::Shared(bytes) => std::ptr::copy_nonoverlapping(
                    bytes.as_ptr(),
                    entry::payload(entry),
                    bytes.len(),
                ),
                Payload::Large(large, _) => {
                    self.heap_bytes = self.heap_bytes.wrapping_add(large.heap_bytes());
                    entry::write_boxed(entry, Box::into_raw(large));
                }
                Payload::Object(object) => {
                    let bytes = object_bytes(&*object);
                    self.heap_bytes = self.heap_bytes.wrapping_add(bytes);
                    let of_kind = &mut self.object_bytes[object.extent().0];
                    *of_kind = of_kind.wrapping_add(bytes);
                    self.waking_counts[object.extent().0] +=
                        usize::from(object.wake_at_ms().is_some());
                    put_object(entry, object);
                }
            }
        }
    }

    /// Notes that `object` is about to be changed by whoever asked for it.
    ///
    /// # Safety
    /// `object` is a live object of this table, `hash` that of its key.
    unsafe fn open_object(&mut self, hash: u64, object: *mut T) {
        if self.opened.object == object {
            // Still open: what was booked of it is what it was then.
            return;
        }
        self.close_object();
        // SAFETY: the caller's promise.
        let before = unsafe { (*object).measure() };
        self.opened = Opened {
            object,
            hash,
            heap_bytes: before.heap_bytes,
            wakes: before.wake_at_ms.is_some(),
            bin: Bin::of(before.extent),
        };
    }

    /// Books what the object opened last has grown or shrunk since, and when it wakes.
    #[inline]
    fn close_object(&mut self) {
        let opened = std::mem::replace(&mut self.opened, Opened::NONE);
        if !opened.object.is_null() {
            // SAFETY: `opened` is a live object: every way out of the table comes through here first.
            let after = unsafe { (*opened.object).measure() };
            self.sizes.change(opened.bin, Bin::of(after.extent));
            let grown = after.heap_bytes.wrapping_sub(opened.heap_bytes);
            self.heap_bytes = self.heap_bytes.wrapping_add(grown);
            let of_kind = &mut self.object_bytes[after.extent.0];
            *of_kind = of_kind.wrapping_add(grown);
            let waking_count = &mut self.waking_counts[after.extent.0];
            *waking_count += usize::from(after.wake_at_ms.is_some());
            *waking_count -= usize::from(opened.wakes);
            self.note_wake(opened.hash, after.wake_at_ms);
        }
    }

    /// Lets the segment of `hash` know when one of its objects wakes.
    #[inline]
    fn note_wake(&mut self, hash: u64, wake_at_ms: Option<i64>) {
        if let Some(wake_at_ms) = wake_at_ms
            && let Some(word) = self.word(hash)
        {
            // SAFETY: words of the directory are alive.
            unsafe {
                let header = word.header();
                (*header).wake_min_ms = (*header).wake_min_ms.min(wake_at_ms);
            }
        }
    }
}

impl<T> Drop for KeyTable<T> {
    fn drop(&mut self) {
        for mut aside in self.aside.take().into_iter().chain(self.set_aside()) {
            aside.step::<T>(usize::MAX, &mut |_| 0, &mut drop);
        }
    }
}

/// What an entry's payload owned.
enum Lifted<T> {
    Nothing,
    Large(Box<Large>),
    Object(Box<T>),
}

/// A value as an entry will hold it.
enum Payload<'a, T> {
    Int(i64, usize),
    Inline(&'a [u8], bool),
    /// Shared, but small enough to copy.
    Shared(Bytes),
    Large(Box<Large>, bool),
    Object(Box<T>),
}

impl<'a, T> Payload<'a, T> {
    fn of(value: NewValue<'a, T>) -> Self {
        match value {
            NewValue::Int(number) => Self::Int(number, entry::int_bytes(number)),
            NewValue::Str { bytes, raw } if bytes.len() <= INLINE_BYTES_MAX => {
                Self::Inline(bytes, raw)
            }
            NewValue::Str { bytes, raw } => {
                Self::Large(Box::new(Large::copy_of(bytes, bytes.len())), raw)
            }
            NewValue::Received(bytes) if bytes.len() <= INLINE_BYTES_MAX => {
                Self::Shared(Bytes::copy_from_slice(&bytes))
            }
            NewValue::Received(bytes) => Self::Large(Box::new(Large::Received(bytes)), false),
            NewValue::Shared(bytes) if bytes.len() <= INLINE_BYTES_MAX => Self::Shared(bytes),
            NewValue::Shared(bytes) => Self::Large(Box::new(Large::Shared(bytes)), false),
            NewValue::Object(object) => Self::Object(object),
        }
    }

    fn wake_at_ms(&self) -> Option<i64>
    where
        T: HeapSize,
    {
        match self {
            Self::Object(object) => object.wake_at_ms(),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Int(..) => Kind::Int,
            Self::Inline(..) | Self::Shared(_) => Kind::Inline,
            Self::Large(..) => Kind::Large,
            Self::Object(_) => Kind::Object,
        }
    }

    fn is_raw(&self) -> bool {
        matches!(self, Self::Inline(_, true) | Self::Large(_, true))
    }

    /// Bytes in the entry.
    fn bytes(&self) -> usize {
        match self {
            Self::Int(_, bytes) => *bytes,
            Self::Inline(bytes, _) => bytes.len(),
            Self::Shared(bytes) => bytes.len(),
            Self::Large(..) => size_of::<u64>(),
            Self::Object(_) if is_inline::<T>() => size_of::<T>(),
            Self::Object(_) => size_of::<u64>(),
        }
    }
}

/// Frees an object, or keeps it for later where that would take long.
fn discard<T: HeapSize>(kept: &mut Vec<Box<T>>, kept_bytes: &mut usize, object: Box<T>) {
    if object.free_effort() > FREED_AT_ONCE_MAX {
        *kept_bytes += object_bytes(&*object);
        kept.push(object);
    }
}

/// Heap bytes of an object, its box included where it has one.
fn object_bytes<T: HeapSize>(object: &T) -> usize {
    let own_bytes = if is_inline::<T>() { 0 } else { size_of::<T>() };
    own_bytes + object.heap_bytes()
}

/// Whether objects lie in their entries. What needs alignment has a box of its own.
const fn is_inline<T>() -> bool {
    align_of::<T>() == 1 && size_of::<T>() <= entry::OBJECT_BYTES_MAX
}

/// An entry's object, in the entry or in its box.
///
/// # Safety
/// `entry` is alive and holds an object.
#[inline]
unsafe fn object_in<T>(entry: *mut u8) -> *mut T {
    // SAFETY: the caller's promise.
    unsafe {
        if is_inline::<T>() {
            entry::payload(entry).cast()
        } else {
            entry::boxed::<T>(entry)
        }
    }
}

/// Writes an object into an entry, or its box's address.
///
/// # Safety
/// `entry` has the shape for it, and its payload owns nothing.
unsafe fn put_object<T>(entry: *mut u8, object: Box<T>) {
    // SAFETY: the caller's promise; a type of alignment 1 may lie anywhere.
    unsafe {
        if is_inline::<T>() {
            entry::payload(entry).cast::<T>().write(*object);
        } else {
            entry::write_boxed(entry, Box::into_raw(object));
        }
    }
}

/// Takes an object out of an entry, whose payload is then only bytes.
///
/// # Safety
/// `entry` is alive and holds an object, which is not looked at there again.
unsafe fn take_object<T>(entry: *mut u8) -> Box<T> {
    // SAFETY: the caller's promise; `put_object` put it there.
    unsafe {
        if is_inline::<T>() {
            Box::new(entry::payload(entry).cast::<T>().read())
        } else {
            Box::from_raw(entry::boxed::<T>(entry))
        }
    }
}

/// Whether freeing the spans would not free the entry.
fn owns_more(shape: Shape) -> bool {
    matches!(shape.kind, Kind::Large | Kind::Object) || shape.bytes() > BLOCK_BYTES_MAX
}

/// The block and the buckets' share of an entry.
fn block_bytes(shape: Shape) -> usize {
    rounded_bytes(shape.bytes()) + BUCKETS_BYTES_PER_KEY
}
