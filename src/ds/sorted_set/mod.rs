//! Sorted set: members with scores, in order of score and then of bytes, and of each its rank.
//!
//!     tree.rs    counted B+ tree: leaves of record addresses        order, ranks, ranges
//!     index      slot table: hash -> record address                 a member's score
//!     record.rs  score and member, once, in one block
//!
//! Promises  a score by member is one probe; everything else is one way down the tree; no member is stored twice;
//!           `heap_bytes` is exact and O(1); a large set is freed in steps. -0 and 0 are one score; NaN is refused.
//! Not here  when a set is large enough for this: `keyspace/zset.rs`.
//! Tests     tests/ds/sorted_set.rs: a model, invariants after each step.

mod node;
mod record;
mod tree;
mod walk;

use super::block_size::block_bytes;
use super::mover::{Mover, Progress};
use super::slot_table::SlotTable;
use super::table_shape::TableShape;
use crate::base::hash::member_hasher;
use record::Record;
use std::ops::Range;
use tree::Tree;
pub use walk::{Direction, Entry, Walk};

/// What [`SortedSet::update`] did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Updated {
    /// There was no such member: now it has this score.
    Added(f64),
    /// From the first score to the second.
    Changed(f64, f64),
    /// It has this score, as before.
    Kept(f64),
    /// There is no such member, and nothing was added.
    Missing,
}

/// Members in order of their scores.
pub struct SortedSet {
    tree: Tree,
    index: SlotTable,
    /// Bytes of all records' blocks.
    records_bytes: usize,
}

// SAFETY: nodes and records are reached through this value alone, and nothing in them is bound to a thread.
unsafe impl Send for SortedSet {}
// SAFETY: through a shared reference everything is only read.
unsafe impl Sync for SortedSet {}

impl SortedSet {
    /// A set without members.
    pub fn new() -> Self {
        Self {
            tree: Tree::new(),
            index: SlotTable::new(),
            records_bytes: 0,
        }
    }

    /// That of the table that finds members; see [`SlotTable::shape`].
    pub fn shape(&self, chains: bool) -> TableShape {
        self.index.shape(chains)
    }

    /// Looks a member up and gives it the score that `decide` makes of its present one; none leaves things as they are.
    ///
    /// - `decide` must not give NaN.
    #[inline]
    pub fn update(
        &mut self,
        member: &[u8],
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> Updated {
        let hash = member_hash(member);
        let Some(record) = self.find(hash, member) else {
            let Some(score) = decide(None) else {
                return Updated::Missing;
            };
            let record = self.new_record(hash, member, score);
            self.tree.insert(record);
            return Updated::Added(score);
        };
        // SAFETY: records of the index are alive.
        let old = unsafe { record.score() };
        match decide(Some(old)) {
            Some(new) if new != old => {
                assert!(!new.is_nan(), "a score is a number");
                self.tree.set_score(record, new);
                Updated::Changed(old, new)
            }
            _ => Updated::Kept(old),
        }
    }

    /// Adds a member that is not there and comes after all others.
    pub fn push(&mut self, member: &[u8], score: f64) {
        let hash = member_hash(member);
        debug_assert!(self.find(hash, member).is_none(), "a member is there once");
        let record = self.new_record(hash, member, score);
        self.tree.push(record);
    }

    /// Removes a member; returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let hash = member_hash(member);
        let address = self
            .index
            .remove(hash, |address| is_member(address, member))?;
        let record = Record::at(address);
        self.tree.remove(record);
        // SAFETY: the record was in the index, and is in neither place any more.
        unsafe {
            let score = record.score();
            self.free(record);
            Some(score)
        }
    }

    /// Removes the members of these ranks, all of which must be there.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        let mut left = ranks.len();
        let mut taken = Vec::new();
        while left > 0 {
            left -= self.tree.remove_run(ranks.start, left, &mut taken);
            for record in taken.drain(..) {
                // SAFETY: the record is alive until `free`, and in the tree no more.
                unsafe {
                    let hash = member_hash(record.member());
                    let address = record.address();
                    self.index.remove(hash, |other| other == address);
                    self.free(record);
                }
            }
        }
    }

    /// A member's score.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        let record = self.find(member_hash(member), member)?;
        // SAFETY: records of the index are alive.
        Some(unsafe { record.score() })
    }

    /// A member's rank and score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let record = self.find(member_hash(member), member)?;
        // SAFETY: records of the index are alive.
        Some((self.tree.rank(record), unsafe { record.score() }))
    }

    /// How many members `is_before` holds for: they must be the first ones.
    pub fn count_before(&self, is_before: impl Fn(&Entry<'_>) -> bool) -> usize {
        self.tree
            .rank_behind(|score, record| is_before(&Entry::new(score, record)))
    }

    /// The members of these ranks, all of which must be there, from low to high or from high to low.
    #[inline]
    pub fn walk(&self, ranks: Range<usize>, direction: Direction) -> Walk<'_> {
        Walk::new(&self.tree, ranks, direction)
    }

    /// Visits the members of one step from `cursor` on (0 begins); returns the next cursor, 0 at the end. Members that
    /// stay all the while are visited, whatever else changes.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Entry<'_>)) -> u64 {
        self.index.scan(cursor, count, |address| {
            let record = Record::at(address);
            // SAFETY: records of the index are alive.
            visit(Entry::new(unsafe { record.score() }, record));
        })
    }

    /// How many members there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes behind the set.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.tree.nodes_bytes() + self.index.heap_bytes() + self.records_bytes
    }

    /// About how many allocations dropping it frees.
    pub fn free_effort(&self) -> usize {
        self.len() + self.len() / 32
    }

    /// Frees about `budget` members; true when nothing is left but what a drop frees at once. The set is good for nothing
    /// else afterwards.
    pub fn free_step(&mut self, budget: usize) -> bool {
        if !self.index.is_empty() && !self.index.drain_step(budget, |_| ()) {
            return false;
        }
        let mut left = budget.max(1);
        let mut taken = Vec::new();
        while left > 0 && !self.is_empty() {
            let count = left.min(self.len());
            left -= self.tree.remove_run(self.len() - count, count, &mut taken);
            for record in taken.drain(..) {
                // SAFETY: the record is alive, and neither in the tree nor in the index.
                unsafe { self.free(record) };
            }
        }
        self.is_empty()
    }

    /// Moves allocations, from `from` on; returns where to go on, None at the end.
    pub fn move_step(&mut self, from: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
        let mut at = from.index();
        if from.part == 0 {
            let index = &mut self.index;
            while at < self.tree.len() {
                at = self.tree.move_leaf(at, mover, &mut |old, new| {
                    // SAFETY: the record was just made.
                    let hash = member_hash(unsafe { new.member() });
                    if let Some(place) = index.find(hash, |address| address == old.address()) {
                        index.set_payload(place, new.address());
                    }
                });
                if mover.is_over() {
                    break;
                }
            }
            let is_end = at >= self.tree.len();
            let (part, at) = if is_end { (1, 0) } else { (0, at) };
            return Some(Progress::new(part, at));
        }
        let next = self.index.move_step(at, mover, |payload, _| payload)?;
        Some(Progress::new(1, next))
    }

    /// Panics where something is not as the headers say. Costs a walk over everything: for tests.
    pub fn check(&self) {
        self.tree.check();
        assert_eq!(self.index.len(), self.len());
        let mut records_bytes = 0;
        for (rank, entry) in self.walk(0..self.len(), Direction::Up).enumerate() {
            records_bytes += record_bytes(entry.member());
            assert_eq!(self.rank(entry.member()), Some((rank, entry.score())));
        }
        assert_eq!(records_bytes, self.records_bytes);
    }

    #[inline]
    fn find(&self, hash: u64, member: &[u8]) -> Option<Record> {
        let place = self
            .index
            .find(hash, |address| is_member(address, member))?;
        Some(Record::at(self.index.payload(place)))
    }

    /// A record that is in the index, but not yet in the tree.
    fn new_record(&mut self, hash: u64, member: &[u8], score: f64) -> Record {
        assert!(!score.is_nan(), "a score is a number");
        let record = Record::new(score, member);
        self.records_bytes += record_bytes(member);
        self.index.insert(hash, record.address(), |address| {
            // SAFETY: records of the index are alive.
            member_hash(unsafe { Record::at(address).member() })
        });
        record
    }

    /// # Safety
    /// The record is alive and neither in the tree nor in the index.
    unsafe fn free(&mut self, record: Record) {
        // SAFETY: the caller's promise.
        unsafe {
            self.records_bytes -= record_bytes(record.member());
            record.free();
        }
    }
}

impl Default for SortedSet {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for SortedSet {
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        for entry in self.walk(0..self.len(), Direction::Up) {
            copy.push(entry.member(), entry.score());
        }
        copy
    }
}

impl Drop for SortedSet {
    fn drop(&mut self) {
        for entry in self.walk(0..self.len(), Direction::Up) {
            // SAFETY: each record is in the tree once; nothing looks at one from here on.
            unsafe { entry.into_record().free() };
        }
    }
}

#[inline]
fn member_hash(member: &[u8]) -> u64 {
    member_hasher().hash(member)
}

#[inline]
fn is_member(address: u64, member: &[u8]) -> bool {
    // SAFETY: records of an index are alive.
    unsafe { Record::at(address).member() == member }
}

fn record_bytes(member: &[u8]) -> usize {
    block_bytes(record::bytes_of(member.len()))
}
