//! How the table grows and shrinks: one segment at a time, and the directory over them.
//!
//! Promises  an insert resizes or splits one segment at most; a removal resizes one, or merges pairs while both are small.
//! Not here  what happens inside a segment: `segment.rs`.

use super::segment::{self, BUCKETS_MAX, DEPTH_MAX, ENTRIES_PER_BUCKET_MAX, Word, buckets_for};
use super::{HeapSize, KeyTable, bucket};

/// Two halves with together no more entries than this become one again: half of what a segment holds.
const MERGED_ENTRIES_MAX: usize = BUCKETS_MAX * ENTRIES_PER_BUCKET_MAX / 2;
/// Entries for which a segment is made ahead of them, at most: few segments get so many more by chance that they are split.
const RESERVED_ENTRIES_MAX: usize = BUCKETS_MAX * ENTRIES_PER_BUCKET_MAX * 5 / 6;

/// What is known of all segments together.
pub(super) struct SegmentCounts {
    /// By depth.
    pub(super) by_depth: [u32; DEPTH_MAX as usize + 1],
    pub(super) total: usize,
    /// No segment has more buckets << depth than this; see `random`.
    pub(super) weight_max: u64,
    /// Segments that shrank or merged since `weight_max` was exact.
    pub(super) lightened_count: usize,
}

impl SegmentCounts {
    pub(super) const NONE: Self = Self {
        by_depth: [0; DEPTH_MAX as usize + 1],
        total: 0,
        weight_max: 0,
        lightened_count: 0,
    };

    pub(super) fn add(&mut self, word: Word) {
        self.by_depth[word.depth() as usize] += 1;
        self.total += 1;
        self.weight_max = self.weight_max.max(weight(word));
    }

    pub(super) fn remove(&mut self, word: Word) {
        self.by_depth[word.depth() as usize] -= 1;
        self.total -= 1;
    }
}

pub(super) fn weight(word: Word) -> u64 {
    (word.buckets_count() as u64) << word.depth()
}

impl<T: HeapSize> KeyTable<T> {
    /// Makes the segments for about `count` keys, where the table has none yet: they come in without splits. Memory that
    /// keys do not come for stays taken, some 10 bytes for each.
    pub fn reserve(&mut self, count: usize) {
        if !self.directory.is_empty() || count <= RESERVED_ENTRIES_MAX {
            return;
        }
        let segments_count = count.div_ceil(RESERVED_ENTRIES_MAX).next_power_of_two();
        let depth = segments_count.ilog2();
        if depth > DEPTH_MAX {
            return;
        }
        let buckets_count = buckets_for(count / segments_count);
        self.depth = depth;
        self.directory.reserve_exact(segments_count);
        for index in 0..segments_count as u64 {
            let first = index << (64 - depth);
            let word = Word::create(&mut self.segment_slab, buckets_count, depth, first);
            self.segments.add(word);
            self.directory.push(word.0);
        }
    }

    #[cold]
    pub(super) fn grow(&mut self, hash: u64) -> Word {
        let Some(word) = self.word(hash) else {
            let word = Word::create(&mut self.segment_slab, 1, 0, 0);
            self.depth = 0;
            self.segments.add(word);
            self.directory.push(word.0);
            return word;
        };
        // SAFETY: words of the directory are alive and came from this slab; each is replaced right below.
        unsafe {
            let count = (*word.header()).count as usize;
            let buckets_count = buckets_for(count);
            assert!(
                count < buckets_count * bucket::SLOTS,
                "half a million hashes that agree in their first bits"
            );
            self.segments.remove(word);
            if buckets_count <= BUCKETS_MAX || !self.may_split(word) {
                let new = word.resize(&mut self.segment_slab, &mut self.sparse, buckets_count);
                self.segments.add(new);
                self.set_words(hash, new);
                self.move_sparse_segments();
                return Word(self.directory[self.index(hash)]);
            }
            if word.depth() == self.depth {
                self.double_directory();
            }
            let (lower, upper) = word.split(
                &mut self.segment_slab,
                &mut self.sparse,
                &self.hasher,
                &mut self.scratch,
            );
            self.segments.add(lower);
            self.segments.add(upper);
            let first = word.hash_first(hash);
            self.set_words(first, lower);
            self.set_words(first | 1 << (63 - word.depth()), upper);
            self.move_sparse_segments();
        }
        Word(self.directory[self.index(hash)])
    }

    /// Moves the segments the slab named out of a span that is mostly free. All segments fill up and change class at
    /// about the same time, so without this every class would be left in half-empty spans.
    ///
    /// # Safety
    /// `sparse` holds blocks of live segments that the directory knows.
    unsafe fn move_sparse_segments(&mut self) {
        for index in 0..self.sparse.len() {
            // SAFETY: the caller's promise; the old block is freed below, once all have moved.
            unsafe {
                let hash = (*self.sparse[index].cast::<segment::Header>().as_ptr()).hash_first;
                let word = Word(self.directory[self.index(hash)]);
                debug_assert!(word.header().cast() == self.sparse[index].as_ptr());
                let new = word.copy(&mut self.segment_slab);
                self.set_words(hash, new);
                self.scratch.push(word.0);
            }
        }
        self.sparse.clear();
        for word in self.scratch.drain(..) {
            // SAFETY: no directory word leads to it any more.
            unsafe { Word(word).abandon(&mut self.segment_slab) };
        }
    }

    /// A split must not blow the directory up: hashes that agree in many bits stay in one long segment instead.
    fn may_split(&self, word: Word) -> bool {
        word.depth() < DEPTH_MAX
            && (word.depth() < self.depth
                || self.directory.len() * 2 <= (self.segments.total + 1) * 8)
    }

    fn double_directory(&mut self) {
        let mut directory = Vec::with_capacity(self.directory.len() * 2);
        for &word in &self.directory {
            directory.push(word);
            directory.push(word);
        }
        self.directory = directory;
        self.depth += 1;
    }

    /// Points every directory entry of the segment at it, given any hash in it.
    fn set_words(&mut self, hash: u64, word: Word) {
        self.segment_has_changed();
        let first = self.index(word.hash_first(hash));
        let count = 1 << (self.depth - word.depth());
        self.directory[first..first + count].fill(word.0);
    }

    /// After entries of the segment have gone: rebuilds, shrinks or merges it, or lets an empty table's memory go.
    #[inline]
    pub(super) fn settle_segment(&mut self, hash: u64) {
        if self.len == 0 {
            return self.release_segments();
        }
        let Some(word) = self.word(hash) else { return };
        // SAFETY: words of the directory are alive.
        let (count, deleted_count) = unsafe {
            let header = &*word.header();
            (header.count as usize, header.deleted_count as usize)
        };
        let full_count = word.buckets_count() * ENTRIES_PER_BUCKET_MAX;
        if count * 2 < full_count || deleted_count * 2 > full_count {
            self.shrink(hash);
        }
    }

    #[cold]
    fn shrink(&mut self, hash: u64) {
        while let Some(word) = self.word(hash) {
            // SAFETY: words of the directory are alive and came from this slab; each is replaced right below.
            unsafe {
                let count = (*word.header()).count as usize;
                let is_sparse = count * 2 < word.buckets_count() * ENTRIES_PER_BUCKET_MAX;
                if is_sparse && self.merge(hash, word, count) {
                    continue;
                }
                let buckets_count = buckets_for(count).min(word.buckets_count());
                let is_stale = (*word.header()).deleted_count > 0;
                // One bucket has nowhere to pass entries on to, and no flags that could be stale.
                (*word.header()).deleted_count = 0;
                if buckets_count < word.buckets_count() || (is_stale && word.buckets_count() > 1) {
                    self.segments.remove(word);
                    let new = word.resize(&mut self.segment_slab, &mut self.sparse, buckets_count);
                    self.segments.add(new);
                    self.set_words(hash, new);
                    self.move_sparse_segments();
                    self.note_lightened();
                }
            }
            return;
        }
    }

    /// Makes the segment one with its other half, where that exists and both are small.
    ///
    /// # Safety
    /// `word` is the live segment of `hash`.
    unsafe fn merge(&mut self, hash: u64, word: Word, count: usize) -> bool {
        if word.depth() == 0 {
            return false;
        }
        let other_hash = hash ^ 1 << (64 - word.depth());
        let Some(other) = self.word(other_hash) else {
            return false;
        };
        // SAFETY: the caller's promise; words of the directory are alive and came from this slab.
        unsafe {
            if other.depth() != word.depth()
                || count + (*other.header()).count as usize > MERGED_ENTRIES_MAX
            {
                return false;
            }
            self.segments.remove(word);
            self.segments.remove(other);
            let (lower, upper) = if hash < other_hash {
                (word, other)
            } else {
                (other, word)
            };
            let new = Word::merge(lower, upper, &mut self.segment_slab, &mut self.sparse);
            self.segments.add(new);
            self.set_words(hash, new);
            self.move_sparse_segments();
        }
        self.halve_directory();
        self.note_lightened();
        true
    }

    /// Finds the heaviest segment anew once as many have shrunk as there are: O(1) for each.
    fn note_lightened(&mut self) {
        self.segments.lightened_count += 1;
        if self.segments.lightened_count > self.segments.total {
            let mut weight_max = 0;
            self.each_segment(|word| {
                weight_max = weight_max.max(weight(word));
                true
            });
            self.segments.weight_max = weight_max;
            self.segments.lightened_count = 0;
        }
    }

    /// One level too many is kept, so that a table at the edge does not double and halve in turn.
    fn halve_directory(&mut self) {
        let by_depth = &self.segments.by_depth;
        if self.depth < 2
            || by_depth[self.depth as usize] > 0
            || by_depth[self.depth as usize - 1] > 0
        {
            return;
        }
        self.directory = self.directory.iter().step_by(2).copied().collect();
        self.depth -= 1;
    }

    #[cold]
    fn release_segments(&mut self) {
        let mut index = 0;
        while let Some(&word) = self.directory.get(index) {
            let word = Word(word);
            index += 1 << (self.depth - word.depth());
            // SAFETY: the segment came from this slab, and the directory is dropped below.
            unsafe { word.abandon(&mut self.segment_slab) };
        }
        self.directory = Vec::new();
        self.scratch = Vec::new();
        self.sparse = Vec::new();
        self.depth = 0;
        self.segments = SegmentCounts::NONE;
    }
}
