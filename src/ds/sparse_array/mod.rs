//! Sparse array: strings at places 0 to 2^64 - 2, of which any may be empty.
//!
//!     leaves   | leaf | leaf | ...       in order; one is split when it has 128 slices
//!     leaf     | place / 4096, slice | ...
//!     slice    a window of cells, or only those that are taken: `slice.rs`
//!     cell     a string in eight bytes, or the address of a longer one: `cell.rs`
//!
//! Promises  memory follows what is taken, not how far apart it is; a place is found with two searches, the last leaf's
//!           without the first; `heap_bytes`, `count` and `last` are O(1); what is cut out whole is not freed but returned.
//! Not here  the cursor of insertions: `keyspace/array.rs`.
//! Tests     tests/ds/sparse_array.rs: a model, every account counted again.

mod cell;
mod slice;

use super::block_size::block_bytes;
use super::listpack::Element;
use super::mover::{Mover, Progress};
use slice::{PLACES, Slice, fit, reserve};
use std::ops::ControlFlow;

/// The largest place.
pub const PLACE_MAX: u64 = u64::MAX - 1;
/// Places in a slice.
pub const SLICE_PLACES: u64 = PLACES;
/// Slices in a leaf.
const LEAF_SLICES_MAX: usize = 128;

#[derive(Clone)]
struct Entry {
    /// The first place, divided by `PLACES`.
    id: u64,
    slice: Slice,
}

/// See the module.
#[derive(Default)]
pub struct SparseArray {
    leaves: Vec<Vec<Entry>>,
    count: u64,
    slices_count: usize,
    blocks_count: usize,
    /// Bytes of leaves, slices and strings.
    heap_bytes: usize,
}

/// What memory looks like: what ARINFO FULL shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forms {
    /// Slices that are windows.
    pub dense_slices: u64,
    /// Places in their windows.
    pub dense_places: u64,
    /// Strings in them.
    pub dense_strings: u64,
    /// The other slices.
    pub sparse_slices: u64,
    /// Strings they have room for.
    pub sparse_places: u64,
}

impl SparseArray {
    /// An empty one; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Strings.
    #[inline]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The last place that is taken.
    #[inline]
    pub fn last(&self) -> Option<u64> {
        let entry = self.leaves.last()?.last()?;
        Some(entry.id * PLACES + u64::from(entry.slice.last()))
    }

    /// The last place that is taken, plus one.
    #[inline]
    pub fn len(&self) -> u64 {
        self.last().map_or(0, |last| last + 1)
    }

    /// Slices.
    pub fn slices_count(&self) -> usize {
        self.slices_count
    }

    /// Leaves.
    pub fn leaves_count(&self) -> usize {
        self.leaves.len()
    }

    /// Bytes allocated.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.heap_bytes + block_bytes(self.leaves.capacity() * size_of::<Vec<Entry>>())
    }

    /// Moves allocations, from `from` on; returns where to go on, None at the end.
    pub fn move_step(&mut self, from: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
        if from.is_start() {
            mover.array(&mut self.leaves);
        }
        let (mut first_slice, mut first_cell) =
            (from.part as usize % LEAF_SLICES_MAX, from.index());
        let first_leaf = usize::try_from(from.part).unwrap_or(usize::MAX) / LEAF_SLICES_MAX;
        for (number, leaf) in self.leaves.iter_mut().enumerate().skip(first_leaf) {
            if first_slice == 0 && first_cell == 0 {
                mover.array(leaf);
            }
            for (at, entry) in leaf.iter_mut().enumerate().skip(first_slice) {
                let next = entry.slice.move_step(first_cell, mover);
                first_cell = 0;
                let next = match next {
                    Some(cell) => (at, cell),
                    None if mover.is_over() => (at + 1, 0),
                    None => continue,
                };
                // One behind the last of a full leaf is the next leaf's first.
                let part = number * LEAF_SLICES_MAX + next.0;
                return Some(Progress::new(part as u64, next.1));
            }
            first_slice = 0;
        }
        None
    }

    /// How many allocations there are, about.
    pub fn allocations_count(&self) -> usize {
        1 + self.leaves.len() + self.slices_count + self.blocks_count
    }

    /// What its slices look like. O(slices).
    pub fn forms(&self) -> Forms {
        let mut forms = Forms::default();
        for Entry { slice, .. } in self.leaves.iter().flatten() {
            if slice.is_dense() {
                forms.dense_slices += 1;
                forms.dense_places += slice.places() as u64;
                forms.dense_strings += u64::from(slice.count);
            } else {
                forms.sparse_slices += 1;
                forms.sparse_places += slice.places() as u64;
            }
        }
        forms
    }

    /// The string at a place.
    #[inline]
    pub fn get(&self, place: u64) -> Option<Element<'_>> {
        let (leaf, at) = self.find(place / PLACES).ok()?;
        self.leaves[leaf][at].slice.get((place % PLACES) as u16)
    }

    /// Puts a string at a place, at most [`PLACE_MAX`]; whether the place was empty.
    pub fn set(&mut self, place: u64, text: &[u8]) -> bool {
        let id = place / PLACES;
        let (leaf, at) = self.find(id).unwrap_or_else(|gap| self.open(id, gap));
        let slice = &mut self.leaves[leaf][at].slice;
        let before = (slice.heap_bytes(), slice.blocks_count);
        let old = slice.set((place % PLACES) as u16, text);
        let after = (slice.heap_bytes(), slice.blocks_count);
        self.book(before, after);
        self.count += u64::from(old.is_empty());
        old.is_empty()
    }

    /// Empties a place; whether it was taken.
    pub fn remove(&mut self, place: u64) -> bool {
        let Ok((leaf, at)) = self.find(place / PLACES) else {
            return false;
        };
        let slice = &mut self.leaves[leaf][at].slice;
        let before = (slice.heap_bytes(), slice.blocks_count);
        let old = slice.remove((place % PLACES) as u16);
        let after = (slice.heap_bytes(), slice.blocks_count);
        let is_gone = slice.count == 0;
        self.book(before, after);
        self.count -= u64::from(!old.is_empty());
        if is_gone {
            self.close(leaf, at);
        }
        !old.is_empty()
    }

    /// Empties the places from `low` to `high`; returns how many were taken. Whole slices go to `cut`, an array only to be
    /// freed.
    ///
    /// - Cost: O(slices in between), and O(4,096) for the two at the ends.
    pub fn remove_range(&mut self, low: u64, high: u64, cut: &mut Self) -> u64 {
        let mut removed_count = 0;
        let mut id = low / PLACES;
        loop {
            let (leaf, at) = match self.find(id) {
                Ok(found) => found,
                Err((leaf, at)) if leaf < self.leaves.len() && at < self.leaves[leaf].len() => {
                    (leaf, at)
                }
                Err((leaf, _)) if leaf + 1 < self.leaves.len() => (leaf + 1, 0),
                Err(_) => break,
            };
            id = self.leaves[leaf][at].id;
            let first = id * PLACES;
            if first > high {
                break;
            }
            let start = low.saturating_sub(first) as u16;
            let end = (high - first).min(PLACES - 1) as u16;
            let slice = &mut self.leaves[leaf][at].slice;
            let before = (slice.heap_bytes(), slice.blocks_count);
            if start == 0 && u64::from(end) == PLACES - 1 {
                let whole = std::mem::replace(slice, Slice::new());
                self.book(before, (0, 0));
                self.count -= u64::from(whole.count);
                removed_count += u64::from(whole.count);
                cut.adopt(whole);
                self.close(leaf, at);
            } else {
                let count = u64::from(slice.remove_range(start..=end));
                let after = (slice.heap_bytes(), slice.blocks_count);
                let is_gone = slice.count == 0;
                self.book(before, after);
                self.count -= count;
                removed_count += count;
                if is_gone {
                    self.close(leaf, at);
                }
            }
            id += 1;
        }
        removed_count
    }

    /// Calls `each` with what is taken from `start` to `end`, backwards where `start` is the larger.
    pub fn visit<'s>(
        &'s self,
        start: u64,
        end: u64,
        mut each: impl FnMut(u64, Element<'s>) -> ControlFlow<()>,
    ) {
        let is_backwards = start > end;
        let (low, high) = (start.min(end), start.max(end));
        let mut visit = |entry: &'s Entry| {
            let first = entry.id * PLACES;
            let from = low.saturating_sub(first).min(PLACES - 1) as u16;
            let to = (high - first).min(PLACES - 1) as u16;
            entry
                .slice
                .visit(from..=to, is_backwards, |offset, element| {
                    each(first + u64::from(offset), element)
                })
        };
        let position = |id: u64| match self.find(id) {
            Ok(found) => (found, true),
            Err(gap) => (gap, false),
        };
        let ((first_leaf, first_at), _) = position(low / PLACES);
        let ((last_leaf, last_at), is_found) = position(high / PLACES);
        // From the first slice on, and up to the last one.
        let part = |leaf: usize| {
            let entries = &self.leaves[leaf];
            let from = if leaf == first_leaf { first_at } else { 0 };
            let to = if leaf == last_leaf {
                last_at + usize::from(is_found)
            } else {
                entries.len()
            };
            &entries[from.min(to)..to]
        };
        let leaves = first_leaf..(last_leaf + 1).min(self.leaves.len());
        let _ = if is_backwards {
            leaves
                .rev()
                .try_for_each(|leaf| part(leaf).iter().rev().try_for_each(&mut visit))
        } else {
            leaves
                .into_iter()
                .try_for_each(|leaf| part(leaf).iter().try_for_each(&mut visit))
        };
    }

    /// Frees about `budget` allocations; true when little is left.
    pub fn free_step(&mut self, budget: usize) -> bool {
        let mut left = budget;
        while left > 0 {
            let Some(leaf) = self.leaves.len().checked_sub(1) else {
                return true;
            };
            let at = self.leaves[leaf].len() - 1;
            let slice = &mut self.leaves[leaf][at].slice;
            let before = (slice.heap_bytes(), slice.blocks_count);
            let freed = slice.free_some(left);
            let after = (slice.heap_bytes(), slice.blocks_count);
            let is_gone = slice.count == 0;
            self.book(before, after);
            self.count -= freed as u64;
            if is_gone {
                self.close(leaf, at);
            }
            left = left.saturating_sub(freed.max(1));
        }
        self.allocations_count() <= budget
    }

    /// Where a slice is; otherwise where it would have to be.
    #[inline]
    fn find(&self, id: u64) -> Result<(usize, usize), (usize, usize)> {
        let Some(last) = self.leaves.len().checked_sub(1) else {
            return Err((0, 0));
        };
        let leaf = if self.leaves[last][0].id <= id {
            last
        } else {
            self.leaves
                .partition_point(|leaf| leaf[0].id <= id)
                .saturating_sub(1)
        };
        match self.leaves[leaf].binary_search_by_key(&id, |entry| entry.id) {
            Ok(at) => Ok((leaf, at)),
            Err(at) => Err((leaf, at)),
        }
    }

    /// Makes an empty slice in this gap.
    fn open(&mut self, id: u64, (mut leaf, mut at): (usize, usize)) -> (usize, usize) {
        if leaf == self.leaves.len() {
            reserve(&mut self.leaves, 1, 0);
            self.leaves.push(Vec::new());
        } else if self.leaves[leaf].len() == LEAF_SLICES_MAX {
            let is_append = leaf + 1 == self.leaves.len() && at == LEAF_SLICES_MAX;
            let keep = if is_append { at } else { LEAF_SLICES_MAX / 2 };
            let own = &mut self.leaves[leaf];
            self.heap_bytes -= leaf_bytes(own);
            let mut right = Vec::new();
            reserve(&mut right, own.len() - keep, 0);
            right.extend(own.drain(keep..));
            fit(own);
            self.heap_bytes += leaf_bytes(own) + leaf_bytes(&right);
            reserve(&mut self.leaves, 1, 0);
            self.leaves.insert(leaf + 1, right);
            if at >= keep {
                (leaf, at) = (leaf + 1, at - keep);
            }
        }
        let own = &mut self.leaves[leaf];
        self.heap_bytes -= leaf_bytes(own);
        reserve(own, 1, 0);
        self.heap_bytes += leaf_bytes(own);
        let slice = Slice::new();
        own.insert(at, Entry { id, slice });
        self.slices_count += 1;
        (leaf, at)
    }

    /// Drops a slice that is empty.
    fn close(&mut self, leaf: usize, at: usize) {
        let own = &mut self.leaves[leaf];
        self.heap_bytes -= leaf_bytes(own);
        let entry = own.remove(at);
        self.heap_bytes -= entry.slice.heap_bytes();
        fit(own);
        self.slices_count -= 1;
        if own.is_empty() {
            self.leaves.remove(leaf);
            fit(&mut self.leaves);
        } else {
            self.heap_bytes += leaf_bytes(own);
        }
    }

    /// Takes a slice behind all others, wherever it was.
    fn adopt(&mut self, slice: Slice) {
        let id = self.leaves.last().and_then(|leaf| leaf.last());
        let id = id.map_or(0, |entry| entry.id + 1);
        let gap = match self.find(id) {
            Ok(place) | Err(place) => place,
        };
        let (leaf, at) = self.open(id, gap);
        self.book((0, 0), (slice.heap_bytes(), slice.blocks_count));
        self.count += u64::from(slice.count);
        self.leaves[leaf][at].slice = slice;
    }

    /// Books what a slice has become.
    fn book(&mut self, before: (usize, u16), after: (usize, u16)) {
        self.heap_bytes = self.heap_bytes + after.0 - before.0;
        self.blocks_count = self.blocks_count + usize::from(after.1) - usize::from(before.1);
    }
}

impl Clone for SparseArray {
    /// The copy has no room to grow, so its account is its own.
    fn clone(&self) -> Self {
        let leaves = self.leaves.clone();
        let slices = leaves.iter().flatten();
        let slice_bytes: usize = slices.map(|entry| entry.slice.heap_bytes()).sum();
        let leaf_bytes: usize = leaves.iter().map(leaf_bytes).sum();
        Self {
            heap_bytes: slice_bytes + leaf_bytes,
            leaves,
            ..*self
        }
    }
}

fn leaf_bytes(leaf: &Vec<Entry>) -> usize {
    block_bytes(leaf.capacity() * size_of::<Entry>())
}
