//! Walks over ranges of ranks, in both directions.

use super::node::Leaf;
use super::record::Record;
use super::tree::Tree;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;

/// One member of a set that is borrowed for `'s`.
#[derive(Clone, Copy)]
pub struct Entry<'s> {
    score: f64,
    record: Record,
    set: PhantomData<&'s Tree>,
}

impl<'s> Entry<'s> {
    /// `record` must be one of the set borrowed for `'s`, and `score` its score.
    #[inline]
    pub(super) fn new(score: f64, record: Record) -> Self {
        Self {
            score,
            record,
            set: PhantomData,
        }
    }

    /// Its score.
    #[inline]
    pub fn score(&self) -> f64 {
        self.score
    }

    pub(super) fn into_record(self) -> Record {
        self.record
    }

    /// Its bytes.
    #[inline]
    pub fn member(&self) -> &'s [u8] {
        // SAFETY: records live as long as they are in the set, which is borrowed.
        unsafe { self.record.member() }
    }
}

/// Which way a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From low ranks to high ones.
    Up,
    /// From high ranks to low ones.
    Down,
}

/// How many records ahead a walk asks for one.
const AHEAD: usize = 4;

/// Members with neighbouring ranks.
pub struct Walk<'s> {
    tree: &'s Tree,
    leaf: NonNull<Leaf>,
    /// Place of the next record in its leaf; where it is none, the neighbour has it.
    at: usize,
    left: usize,
    direction: Direction,
}

impl<'s> Walk<'s> {
    /// The records of these ranks, all of which must be there.
    pub(super) fn new(tree: &'s Tree, ranks: Range<usize>, direction: Direction) -> Self {
        let (leaf, at) = match direction {
            _ if ranks.is_empty() => (NonNull::dangling(), 0),
            Direction::Up => tree.seek(ranks.start),
            Direction::Down => tree.seek(ranks.end - 1),
        };
        Self {
            tree,
            leaf,
            at,
            left: ranks.len(),
            direction,
        }
    }
}

impl<'s> Iterator for Walk<'s> {
    type Item = Entry<'s>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'s>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let mut leaf = self.tree.leaf(self.leaf);
        let ahead = match self.direction {
            Direction::Up => self.at + AHEAD,
            Direction::Down => self.at.wrapping_sub(AHEAD),
        };
        if let Some(record) = leaf.records().get(ahead) {
            record.prefetch();
        }
        let record = match self.direction {
            Direction::Up => {
                if self.at == leaf.records().len() {
                    self.leaf = leaf.next.expect("the range is inside the set");
                    self.at = 0;
                    leaf = self.tree.leaf(self.leaf);
                }
                self.at += 1;
                leaf.records()[self.at - 1]
            }
            Direction::Down => {
                let record = leaf.records()[self.at];
                if self.at > 0 {
                    self.at -= 1;
                } else if self.left > 0 {
                    self.leaf = leaf.previous.expect("the range is inside the set");
                    self.at = self.tree.leaf(self.leaf).records().len() - 1;
                }
                record
            }
        };
        // SAFETY: records of a tree are alive.
        Some(Entry::new(unsafe { record.score() }, record))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Walk<'_> {}
