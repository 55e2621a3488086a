//! What goes through the table in hash order, or at random: scan, random, expiry, and freeing it all.
//!
//! A cursor is the first 52 bits of a hash: a position in hash order, which no growing or shrinking moves. A bucket's
//! keys are an interval of hash order, wherever overflow put them; no segment is deeper than 36 bits, so 36 + 16 bits
//! of tag say where buckets begin and every boundary is a cursor.

use super::KINDS_COUNT;
use super::entry::{self, Kind};
use super::freeing::discard;
use super::large::Large;
use super::opened::Opened;
use super::payload::{object_bytes, object_in, owns_more, take_object};
use super::resize::{SegmentCounts, weight};
use super::segment::{ENTRIES_PER_BUCKET_MAX, Word};
use super::{EntryRef, HeapSize, KeyTable, Sizes, bucket};
use crate::ds::slab::Slab;
use crate::ds::table_shape::TableShape;
use std::mem::take;
use std::ptr::{NonNull, null_mut};

/// Hash bits below a cursor.
pub(super) const CURSOR_SHIFT: u32 = 12;
/// Draws before `random` counts entries instead. With a load of 0.4 one in 10^14 calls gets there.
const RANDOM_DRAWS_MAX: usize = 64;
/// What giving back a span of 64 KiB costs, in entries freed.
const SPAN_WORK: usize = 16;
/// Removed objects that one step frees the last of.
const DISCARDED_PER_STEP_MAX: usize = 64;

/// What is called with a key and its object whose time has come: the steps it spent, and whether the key is to go.
type Wake<'w, T> = dyn FnMut(&[u8], &mut T) -> (usize, bool) + 'w;

impl<T: HeapSize> KeyTable<T> {
    /// Visits the entries of one home bucket at or after `cursor` (a position in hash order, below 2^52);
    /// returns the next cursor, 0 when the table has been walked to its end.
    ///
    /// - An entry that is there from the first call to the last is visited exactly once.
    pub fn scan(&self, cursor: u64, visit: &mut dyn FnMut(EntryRef<'_, T>)) -> u64 {
        // A cursor above the last position, which only a client can have made up, starts at the end.
        let position = cursor.min((1 << 52) - 1) << CURSOR_SHIFT;
        let Some(word) = self.word(position) else {
            return 0;
        };
        let home = word.home(word.tag(position));
        let starts_inside = word.hash_of_bucket(position, home) != Some(position);
        let mut index = home;
        for _ in 0..word.buckets_count() {
            // SAFETY: `index` stays below `buckets_count`; slots that are not empty hold live entries.
            unsafe {
                let bucket = &*word.bucket(index);
                for &slot in &bucket.0 {
                    if bucket::is_empty(slot) || word.home(bucket::tag(slot)) != home {
                        continue;
                    }
                    let entry = EntryRef::new(bucket::entry(slot));
                    if starts_inside && self.hasher.hash(entry.key()) < position {
                        continue;
                    }
                    visit(entry);
                }
                if !bucket.is_overflowed() {
                    break;
                }
            }
            index = word.after(index);
        }
        word.hash_of_bucket(position, home + 1)
            .map_or(0, |hash| hash >> CURSOR_SHIFT)
    }

    /// How many buckets there are, and of how many keys each is the home where that `is_wanted`. That looks at all.
    pub fn shape(&self, is_wanted: bool) -> TableShape {
        let mut shape = TableShape {
            records: self.len as u64,
            ..TableShape::default()
        };
        self.each_segment(|word| {
            shape.places += word.buckets_count() as u64;
            true
        });
        let mut cursor = 0;
        while is_wanted && !self.is_empty() {
            let mut length = 0;
            cursor = self.scan(cursor, &mut |_| length += 1);
            shape.note_chain(length);
            if cursor == 0 {
                break;
            }
        }
        shape
    }

    /// Places for entries: those of all buckets.
    pub fn places_count(&self) -> u64 {
        self.shape(false).places * bucket::SLOTS as u64
    }

    /// A uniformly random entry; `random` yields 64 random bits a call.
    ///
    /// - Cost: two or three draws on average, each of which may touch a bucket.
    pub fn random(&self, random: &mut dyn FnMut() -> u64) -> Option<EntryRef<'_, T>> {
        if self.is_empty() {
            return None;
        }
        for _ in 0..RANDOM_DRAWS_MAX {
            // A segment comes up by 2^-depth; taking it by buckets << depth makes every slot of the table as likely.
            let word = self.word(random())?;
            if below(random(), self.segments.weight_max) >= weight(word) {
                continue;
            }
            let bits = random();
            let index = below(bits << 3, word.buckets_count() as u64) as usize;
            // SAFETY: `index` is below `buckets_count`; a slot that is not empty holds a live entry.
            let slot = unsafe { (*word.bucket(index)).0[(bits >> 61) as usize] };
            if !bucket::is_empty(slot) {
                return Some(EntryRef::new(bucket::entry(slot)));
            }
        }
        let mut rank = below(random(), self.len as u64) as usize;
        let mut found: *mut u8 = null_mut();
        self.each_segment(|word| {
            // SAFETY: words of the directory are alive.
            unsafe {
                let count = (*word.header()).count as usize;
                if rank < count {
                    word.each_slot(|slot| {
                        if rank == 0 {
                            found = bucket::entry(slot);
                        }
                        rank = rank.wrapping_sub(1);
                    });
                    return false;
                }
                rank -= count;
                true
            }
        });
        (!found.is_null()).then(|| EntryRef::new(found))
    }

    /// Shows entries that are neighbours in hash order, which is no order at all to whoever looks for old or rarely used
    /// ones: those of the bucket at `cursor` (a position in hash order, below 2^52) and, as long as `visit` returns true, of
    /// those after it.
    ///
    /// - `first_slot`: where in the first bucket to begin, below 8. Drawn at random it makes every place as likely to be
    ///   seen; from the start of a bucket, a small sample would hardly ever reach its last places.
    /// - `dated`: only entries that have a deadline; segments without any are passed over.
    /// - `looks_max`: buckets, and segments passed over, that may be looked at.
    /// - Returns where to go on, 0 where the table's end was reached.
    pub fn sample(
        &self,
        cursor: u64,
        mut first_slot: usize,
        dated: bool,
        looks_max: usize,
        visit: &mut dyn FnMut(EntryRef<'_, T>) -> bool,
    ) -> u64 {
        let mut position = cursor.min((1 << 52) - 1) << CURSOR_SHIFT;
        let mut looks = 0;
        while let Some(word) = self.word(position) {
            // SAFETY: words of the directory are alive.
            let is_passed = dated && unsafe { (*word.header()).deadline_min_ms } == i64::MAX;
            let mut index = word.home(word.tag(position));
            while !is_passed && index < word.buckets_count() && looks < looks_max {
                looks += 1;
                // SAFETY: `index` is below `buckets_count`; slots that are not empty hold live entries.
                let slots = unsafe { &(*word.bucket(index)).0 };
                for &slot in &slots[std::mem::take(&mut first_slot) & (bucket::SLOTS - 1)..] {
                    if bucket::is_empty(slot) || dated && slot & bucket::HAS_DEADLINE == 0 {
                        continue;
                    }
                    if !visit(EntryRef::new(bucket::entry(slot))) {
                        looks = looks_max;
                        break;
                    }
                }
                index += 1;
            }
            looks = looks.saturating_add(1);
            let next = if is_passed {
                word.hash_after(position)
            } else {
                word.hash_of_bucket(position, index)
            };
            let Some(next) = next else { break };
            position = next;
            if looks >= looks_max {
                return position >> CURSOR_SHIFT;
            }
        }
        0
    }

    /// Walks segments from `cursor`, removing entries whose deadline is at or before `now_ms`, until about `work_max`
    /// steps (a segment header looked at is 1, an entry looked at is 1) are spent or the table has been walked once.
    /// `dead` sees each entry before it goes, and says whether it may: one that may not is seen again in the next round. Objects whose time to wake has come are shown to `wake`, which says how many
    /// steps it spent on one and whether the entry must go. Returns the next cursor (0: a full round has ended) and steps
    /// spent.
    ///
    /// - An object that is being read wakes in a call after that.
    /// - A segment is swept whole, so up to 780 steps more than `work_max` may be spent, and what `wake` spends.
    pub fn expire_step(
        &mut self,
        cursor: u64,
        now_ms: i64,
        work_max: usize,
        dead: &mut dyn FnMut(EntryRef<'_, T>) -> bool,
        wake: &mut Wake<'_, T>,
    ) -> (u64, usize) {
        self.close_object();
        let mut position = cursor.min((1 << 52) - 1) << CURSOR_SHIFT;
        let mut work = 0;
        while let Some(word) = self.word(position) {
            let next = word.hash_after(position);
            work += 1;
            // SAFETY: words of the directory are alive.
            if unsafe { (*word.header()).deadline_min_ms } <= now_ms {
                work += self.sweep(position, word, now_ms, dead);
            }
            work += self.wake_segment(position, now_ms, dead, wake);
            let Some(next) = next else { break };
            if work >= work_max {
                return (next >> CURSOR_SHIFT, work);
            }
            position = next;
        }
        (0, work)
    }

    /// Removes the segment's dead entries and makes its header exact; returns how many entries were looked at.
    fn sweep(
        &mut self,
        hash: u64,
        word: Word,
        now_ms: i64,
        dead: &mut dyn FnMut(EntryRef<'_, T>) -> bool,
    ) -> usize {
        let mut looked_count = 0;
        let mut dead_count = 0;
        let mut deadline_min_ms = i64::MAX;
        for index in 0..word.buckets_count() {
            if index + 2 < word.buckets_count() {
                // SAFETY: `index + 2` is below `buckets_count`.
                for &slot in unsafe { &(*word.bucket(index + 2)).0 } {
                    if slot & bucket::HAS_DEADLINE != 0 {
                        bucket::prefetch(bucket::entry(slot));
                    }
                }
            }
            for place in 0..bucket::SLOTS {
                // SAFETY: `index` is below `buckets_count`; a slot with a deadline holds a live entry, of this segment.
                unsafe {
                    let slot = (&raw mut (*word.bucket(index)).0).cast::<u64>().add(place);
                    if slot.read() & bucket::HAS_DEADLINE == 0 {
                        continue;
                    }
                    looked_count += 1;
                    let entry = bucket::entry(slot.read());
                    match entry::deadline_ms(entry) {
                        Some(deadline_ms)
                            if deadline_ms <= now_ms && dead(EntryRef::new(entry)) =>
                        {
                            if self.has_onlookers {
                                self.finish_readings_of(slot);
                                self.show_to_walks(slot);
                            }
                            self.unlink(hash, slot);
                            self.free_entry(entry);
                            dead_count += 1;
                        }
                        Some(deadline_ms) => deadline_min_ms = deadline_min_ms.min(deadline_ms),
                        None => debug_assert!(false, "the slot says it has a deadline"),
                    }
                }
            }
        }
        // SAFETY: the segment is alive; `settle_segment` has not been called yet.
        unsafe { (*word.header()).deadline_min_ms = deadline_min_ms };
        if dead_count > 0 {
            self.settle_segment(hash);
        }
        looked_count
    }

    /// Shows the segment's objects whose time has come to `wake`, and makes its header exact; returns the steps spent.
    fn wake_segment(
        &mut self,
        hash: u64,
        now_ms: i64,
        dead: &mut dyn FnMut(EntryRef<'_, T>) -> bool,
        wake: &mut Wake<'_, T>,
    ) -> usize {
        // A sweep before this may have put another segment in place of the one it found.
        let Some(word) = self.word(hash) else {
            return 0;
        };
        // SAFETY: words of the directory are alive.
        if unsafe { (*word.header()).wake_min_ms } > now_ms {
            return 0;
        }
        let mut work = 0;
        let mut gone_count = 0;
        let mut wake_min_ms = i64::MAX;
        for index in 0..word.buckets_count() {
            if index + 2 < word.buckets_count() {
                // SAFETY: `index + 2` is below `buckets_count`.
                for &slot in unsafe { &(*word.bucket(index + 2)).0 } {
                    bucket::prefetch(bucket::entry(slot));
                }
            }
            for place in 0..bucket::SLOTS {
                // SAFETY: `index` is below `buckets_count`; a slot that is not empty holds a live entry, of this segment.
                unsafe {
                    let slot = (&raw mut (*word.bucket(index)).0).cast::<u64>().add(place);
                    if bucket::is_empty(slot.read()) {
                        continue;
                    }
                    work += 1;
                    let entry = bucket::entry(slot.read());
                    if entry::kind(entry) != Kind::Object {
                        continue;
                    }
                    let object = object_in::<T>(entry);
                    let is_due = (*object).wake_at_ms().is_some_and(|at_ms| at_ms <= now_ms);
                    if is_due && !self.is_being_read(slot) {
                        self.open_object(hash, object);
                        let (spent, is_gone) = wake(entry::key(entry), &mut *object);
                        self.close_object();
                        work += spent;
                        if is_gone {
                            if self.has_onlookers {
                                self.show_to_walks(slot);
                            }
                            // Emptied as it is, it goes whatever is said of it.
                            dead(EntryRef::new(entry));
                            self.unlink(hash, slot);
                            self.free_entry(entry);
                            gone_count += 1;
                            continue;
                        }
                    }
                    wake_min_ms = (*object).wake_at_ms().unwrap_or(i64::MAX).min(wake_min_ms);
                }
            }
        }
        // SAFETY: the segment is alive; `settle_segment` has not been called yet.
        unsafe { (*word.header()).wake_min_ms = wake_min_ms };
        if gone_count > 0 {
            self.settle_segment(hash);
        }
        work
    }

    /// Frees up to about `work_max` entries; true when nothing is left. For tables set aside by FLUSHALL.
    ///
    /// - The first call empties the table at once; what it held is freed by this and later calls, until one is true.
    /// - Cost: large strings and objects one by one; all else by spans of 64 KiB.
    pub fn free_step(&mut self, work_max: usize) -> bool {
        self.close_object();
        if !self.free_discarded(work_max).0 {
            return false;
        }
        if self.aside.is_none() {
            self.aside = self.set_aside();
        }
        let Some(aside) = &mut self.aside else {
            return true;
        };
        // SAFETY: `step` shows live entries only, before it frees what they own.
        let mut measure = |entry| unsafe {
            match entry::kind(entry) {
                Kind::Int | Kind::Inline => 0,
                Kind::Large => (*entry::boxed::<Large>(entry)).heap_bytes(),
                Kind::Object => object_bytes(&*object_in::<T>(entry)),
            }
        };
        let (kept, kept_bytes) = (&mut self.discarded, &mut self.discarded_bytes);
        let is_done = aside.step::<T>(work_max, &mut measure, &mut |object| {
            discard(kept, kept_bytes, object);
        });
        if is_done {
            self.aside = None;
        }
        is_done && self.discarded.is_empty()
    }

    /// Frees about `work_max` allocations of objects that were removed and are too large to free at once.
    ///
    /// - Returns whether none is left, and how many went whole.
    pub fn free_discarded(&mut self, work_max: usize) -> (bool, usize) {
        let mut freed_count = 0;
        while let Some(object) = self.discarded.last_mut() {
            let before = object_bytes(&**object);
            if !object.free_step(work_max) {
                let freed_bytes = before.saturating_sub(object_bytes(&**object));
                self.discarded_bytes = self.discarded_bytes.saturating_sub(freed_bytes);
                return (false, freed_count);
            }
            self.discarded_bytes = self.discarded_bytes.saturating_sub(before);
            self.discarded.pop();
            freed_count += 1;
            if freed_count >= DISCARDED_PER_STEP_MAX {
                break;
            }
        }
        if self.discarded.is_empty() {
            self.discarded = Vec::new();
            self.discarded_bytes = 0;
        }
        (self.discarded.is_empty(), freed_count)
    }

    /// Removed objects that wait for [`KeyTable::free_discarded`].
    pub fn discarded_count(&self) -> usize {
        self.discarded.len()
    }

    /// Shows each segment, in hash order, until `visit` returns false.
    pub(super) fn each_segment(&self, mut visit: impl FnMut(Word) -> bool) {
        let mut index = 0;
        while let Some(&word) = self.directory.get(index) {
            let word = Word(word);
            if !visit(word) {
                return;
            }
            index += 1 << (self.depth - word.depth());
        }
    }
}

impl<T> KeyTable<T> {
    /// Empties the table; what it held is the caller's to free. None if it held nothing.
    pub(super) fn set_aside(&mut self) -> Option<SetAside> {
        if self.directory.is_empty() {
            return None;
        }
        self.opened = Opened::NONE;
        self.sizes = Sizes::default();
        self.object_bytes = [0; KINDS_COUNT];
        self.scratch = Vec::new();
        self.sparse = Vec::new();
        self.len = 0;
        self.deadlines_count = 0;
        self.waking_counts = [0; KINDS_COUNT];
        self.segments = SegmentCounts::NONE;
        Some(SetAside {
            directory: take(&mut self.directory),
            depth: take(&mut self.depth),
            slab: take(&mut self.slab),
            segment_slab: take(&mut self.segment_slab),
            owners_count: take(&mut self.owners_count),
            heap_bytes: take(&mut self.heap_bytes),
            directory_index: 0,
            bucket_index: 0,
        })
    }
}

/// The contents of a table that was emptied at once, on their way out.
pub(super) struct SetAside {
    directory: Vec<u64>,
    depth: u32,
    slab: Slab,
    segment_slab: Slab,
    owners_count: usize,
    heap_bytes: usize,
    /// Where freeing one by one has got to.
    directory_index: usize,
    bucket_index: usize,
}

impl SetAside {
    pub(super) fn used_bytes(&self) -> usize {
        self.slab.used_bytes()
            + self.segment_slab.used_bytes()
            + self.heap_bytes
            + self.directory.capacity() * size_of::<u64>()
    }

    /// Frees about `work_max` entries; true when nothing is left. `measure` says how many heap bytes an entry's value
    /// has, just before it is dropped; `dispose` drops an object.
    pub(super) fn step<T>(
        &mut self,
        work_max: usize,
        measure: &mut dyn FnMut(*mut u8) -> usize,
        dispose: &mut dyn FnMut(Box<T>),
    ) -> bool {
        let mut work = 0;
        while let Some(&word) = self.directory.get(self.directory_index) {
            let word = Word(word);
            while self.owners_count > 0 && self.bucket_index < word.buckets_count() {
                if work >= work_max {
                    return false;
                }
                work += ENTRIES_PER_BUCKET_MAX;
                // SAFETY: the bucket lies in a live segment and is looked at once; its entries are used no more.
                for &slot in unsafe { &(*word.bucket(self.bucket_index)).0 } {
                    if !bucket::is_empty(slot) {
                        // SAFETY: as above.
                        unsafe { self.free_owner(bucket::entry(slot), measure, dispose) };
                    }
                }
                self.bucket_index += 1;
            }
            if work >= work_max {
                return false;
            }
            work += 1;
            self.bucket_index = 0;
            self.directory_index += 1 << (self.depth - word.depth());
            // SAFETY: the segment came from this slab and is passed.
            unsafe { word.abandon(&mut self.segment_slab) };
        }
        self.directory = Vec::new();
        self.segment_slab.trim();
        // SAFETY: whatever owned more than its block was freed; all else is only bytes.
        unsafe {
            self.slab
                .abandon((work_max.saturating_sub(work) / SPAN_WORK).max(1))
        }
    }

    /// Frees an entry that owns more than its block; leaves others to their span.
    ///
    /// # Safety
    /// The entry is alive and used no more.
    unsafe fn free_owner<T>(
        &mut self,
        entry: *mut u8,
        measure: &mut dyn FnMut(*mut u8) -> usize,
        dispose: &mut dyn FnMut(Box<T>),
    ) {
        // SAFETY: the caller's promise; boxes were made by `KeyTable::put`.
        unsafe {
            let shape = entry::shape(entry);
            if !owns_more(shape) {
                return;
            }
            self.heap_bytes = self.heap_bytes.saturating_sub(measure(entry));
            match shape.kind {
                Kind::Int | Kind::Inline => {}
                Kind::Large => drop(Box::from_raw(entry::boxed::<Large>(entry))),
                Kind::Object => dispose(take_object(entry)),
            }
            self.owners_count -= 1;
            self.slab.free(NonNull::new_unchecked(entry), shape.bytes());
        }
    }
}

/// A number below `bound`, uniform for 64 uniform bits.
fn below(bits: u64, bound: u64) -> u64 {
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}
