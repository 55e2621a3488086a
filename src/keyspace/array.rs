//! Arrays as values of keys: strings at places, and a cursor that insertions follow.
//!
//!     cursor    none: nothing was inserted, or ARSEEK 0          the next insertion goes to place 0
//!               n: the last insertion went, or seems to, to n    the next goes to n + 1
//!
//! Promises  a key never holds an empty array; rings of ARRING are arrays whose length is the ring's.
//! Not here  how places lie in memory: `ds/sparse_array/`.
//! Source    the documentation of Redis 8.8's arrays.
//! Tests     tests/keyspace/array.rs, tests/transcripts/array*.txt.

use super::Collection;
use super::value::collection_of;
use crate::ds::key_table::HeapSize;
use crate::ds::mover::{Mover, Progress};
use crate::ds::sparse_array::{PLACE_MAX, SparseArray};
use crate::ds::unaligned_box::UnalignedBox;

/// An array; in a box, so that other types' objects are not made larger by it.
#[derive(Clone, Default)]
pub struct Array(UnalignedBox<Inner>);

#[derive(Clone, Default)]
struct Inner {
    places: SparseArray,
    /// Where the last insertion went.
    cursor: Option<u64>,
}

impl Array {
    /// What is where.
    #[inline]
    pub fn places(&self) -> &SparseArray {
        &self.0.places
    }

    /// The same, to change.
    #[inline]
    pub fn places_mut(&mut self) -> &mut SparseArray {
        &mut self.0.places
    }

    /// Where the last insertion went; none where the next goes to place 0.
    pub fn cursor(&self) -> Option<u64> {
        self.0.cursor
    }

    /// Where the next insertion goes; none where there is no place left.
    pub fn next(&self) -> Option<u64> {
        match self.0.cursor {
            None => Some(0),
            Some(PLACE_MAX..) => None,
            Some(last) => Some(last + 1),
        }
    }

    /// Makes the next insertion go to `place`; at 2^64 - 1 none can.
    pub fn seek(&mut self, place: u64) {
        self.0.cursor = place.checked_sub(1);
    }

    /// Puts a string where the next insertion goes, into a ring of `size` places, at least one; returns the place.
    pub fn insert_in_ring(&mut self, text: &[u8], size: u64) -> u64 {
        let place = self.0.cursor.map_or(0, |last| last + 1) % size;
        self.0.places.set(place, text);
        self.0.cursor = Some(place);
        place
    }

    /// Before a ring of `size` places takes strings: where it was larger, or had begun anew and is to grow, the strings from
    /// the last inserted one backwards to the first empty place, `size` at most, are laid out again from place 0. Returns
    /// the array that was there instead.
    ///
    /// - Cost: O(N) where N is how many are kept.
    pub fn resize_ring(&mut self, size: u64) -> Option<Self> {
        let length = self.places().len();
        let has_begun_anew = self.0.cursor.is_some_and(|last| last + 1 < length);
        if size >= length && (size == length || !has_begun_anew) {
            return None;
        }
        let newest = self.newest(length)?;
        let mut kept = 0;
        while kept < size.min(length) && self.places().get(before(newest, kept, length)).is_some() {
            kept += 1;
        }
        let mut new = Self::default();
        for place in 0..kept {
            let old = before(newest, kept - 1 - place, length);
            if let Some(element) = self.places().get(old) {
                new.0.places.set(place, element.text(&mut [0; 20]));
            }
        }
        new.0.cursor = kept.checked_sub(1);
        Some(std::mem::replace(self, new))
    }

    /// The place that resizing begins with.
    fn newest(&self, length: u64) -> Option<u64> {
        match self.0.cursor {
            None => length.checked_sub(1),
            Some(last) => last.checked_rem(length),
        }
    }

    /// The `count` places before and with the one that the cursor is at, wherever that is, or the last taken one where it is
    /// nowhere; no more than there are strings. Newest first, and from the end again after place 0: one or two ranges,
    /// backwards.
    pub fn newest_places(&self, count: u64) -> Vec<(u64, u64)> {
        let length = self.places().len();
        let newest = self.0.cursor.unwrap_or(length.saturating_sub(1));
        let count = count.min(self.places().count());
        let mut ranges = Vec::with_capacity(2);
        let first_count = count.min(newest + 1);
        if first_count > 0 {
            ranges.push((newest, newest + 1 - first_count));
        }
        if count > first_count {
            ranges.push((length - 1, length - (count - first_count)));
        }
        ranges
    }
}

/// The place `distance` before `place` in a ring of `length`, neither of them as large.
fn before(place: u64, distance: u64, length: u64) -> u64 {
    match place.checked_sub(distance) {
        Some(place) => place,
        None => length - (distance - place),
    }
}

impl HeapSize for Array {
    fn extent(&self) -> (usize, usize) {
        (super::value::ARRAYS, 0)
    }

    fn heap_bytes(&self) -> usize {
        size_of::<Inner>() + self.places().heap_bytes()
    }

    fn move_step(&mut self, from: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
        if from.is_start() {
            mover.unaligned_box(&mut self.0);
        }
        self.places_mut().move_step(from, mover)
    }

    fn free_effort(&self) -> usize {
        self.places().allocations_count()
    }

    fn free_step(&mut self, budget: usize) -> bool {
        self.places_mut().free_step(budget)
    }
}

impl Collection for Array {
    const TYPE_NAME: &'static str = "array";

    fn encoding_name(&self) -> &'static str {
        "sliced-array"
    }

    fn is_empty(&self) -> bool {
        self.places().is_empty()
    }

    collection_of!(Array);
}
