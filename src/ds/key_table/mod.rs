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
pub mod bucket;
mod compact;
mod cut;
mod entry;
mod freeing;
mod key_walks;
mod large;
mod opened;
mod payload;
mod readings;
mod resize;
mod segment;
mod sizes;
mod value;
mod walk;

pub use borrowed::{EntryMut, EntryRef};
pub use compact::{Compacted, ValuesWalk};
pub use cut::Keeper;
pub use key_walks::KeyWalker;
pub use readings::{LeftOver, Made, ManyReader, Portion, ReadLimit, Reader, Rest};
pub use sizes::{KINDS_COUNT, KindBytes, Sizes};
pub use value::{HeapSize, Measure, NewValue, OwnedValue, Value};

use crate::base::hash::KeyHasher;
use crate::ds::slab::Slab;
use bucket::Bucket;
use cut::Cut;
use entry::Shape;
use key_walks::KeyWalk;
use opened::Opened;
use payload::{Payload, owns_more};
use readings::Reading;
use resize::SegmentCounts;
use segment::{ENTRIES_PER_BUCKET_MAX, Word};
use sizes::Bin;
use std::marker::PhantomData;
use std::ptr::NonNull;
use walk::SetAside;

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
}

impl<T> Drop for KeyTable<T> {
    fn drop(&mut self) {
        for mut aside in self.aside.take().into_iter().chain(self.set_aside()) {
            aside.step::<T>(usize::MAX, &mut |_| 0, &mut drop);
        }
    }
}
