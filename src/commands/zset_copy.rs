//! A part of a large sorted set copied bit by bit, to be stored: ZRANGESTORE.
//!
//! Not here  which part, and what is copied at once: `zset_read.rs`.
//! Tests     tests/shard/long_reads.rs.

use std::ops::Range;

use super::pieces::{MadeRest, first_object};
use crate::ds::key_table::{EntryRef, ManyReader, ReadLimit, Rest};
use crate::keyspace::zset::{Direction, Zset};
use crate::keyspace::{Collection, EncodingLimits, Object};

/// See the module.
pub(super) struct ZsetCopy {
    /// What is left.
    ranks: Range<usize>,
    /// Where a zero loses its sign.
    unsigned: Range<usize>,
    made: Zset,
}

impl ZsetCopy {
    /// - `ranks`: more than go into a listpack.
    pub(super) fn new(
        ranks: Range<usize>,
        unsigned: Range<usize>,
        limits: &EncodingLimits,
    ) -> Self {
        Self {
            made: Zset::sized(ranks.len(), 0, limits),
            ranks,
            unsigned,
        }
    }
}

/// A score as it is stored.
pub(super) fn score_of(score: f64, is_unsigned: bool) -> f64 {
    match is_unsigned {
        true => score + 0.0, // -0 becomes 0, and nothing else changes.
        false => score,
    }
}

impl ManyReader<Object> for ZsetCopy {
    fn read(
        &mut self,
        entries: &[EntryRef<'_, Object>],
        limit: ReadLimit,
    ) -> Option<Box<dyn Rest>> {
        let set = first_object(entries).and_then(Zset::of);
        if let Some(set) = set {
            // A member of a set costs more than one of a reply.
            let count = (limit.elements / 4).max(1).min(self.ranks.len());
            let part = self.ranks.start..self.ranks.start + count;
            for (rank, (member, score)) in part.clone().zip(set.walk(part, Direction::Up)) {
                let score = score_of(score, self.unsigned.contains(&rank));
                self.made.push(member.text(&mut [0; 20]), score);
            }
            self.ranks.start += count;
        }
        let is_all = set.is_none() || self.ranks.is_empty();
        is_all.then(|| Box::new(MadeRest::new(std::mem::take(&mut self.made), 1)) as Box<dyn Rest>)
    }
}
