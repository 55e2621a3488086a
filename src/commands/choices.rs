//! Choices: the different members that a large positive count asks for, taken from a walk through all, in pieces.
//!
//! Each that is passed is taken with the chance that is left for it (Knuth, "The Art of Computer Programming", volume 2, 3.4.2,
//! algorithm S), so nothing is remembered of those that were.
//!
//! Not here  few of very many, for which a walk would be the longer way: those are drawn, and come whole.
//! Tests     tests/shard/long_reads.rs.

use super::hash_walk::DrawnFields;
use super::pieces::{Piece, STEP, Walk, move_on};
use super::zset_reply::{reply_member, reply_scored};
use crate::base::rng::Rng;
use crate::keyspace::zset::Direction;
use crate::keyspace::{Hash, Set, Zset};

/// So many times the elements asked for are passed at most.
const PASSED_MAX: usize = 32;

/// Which of those that are passed are taken.
pub(super) struct Choice {
    wanted_count: usize,
    left_count: usize,
    rng: Rng,
}

impl Choice {
    /// Whether a choice of `count` of `total` is more than `whole_max` and worth the walk.
    #[inline]
    pub(super) fn is_long(count: usize, total: usize, whole_max: usize) -> bool {
        let wanted_count = count.min(total);
        wanted_count > whole_max && wanted_count >= total / PASSED_MAX
    }

    /// The choice of up to `count` of `total`.
    pub(super) fn new(count: usize, total: usize, rng: Rng) -> Self {
        Self {
            wanted_count: count.min(total),
            left_count: total,
            rng,
        }
    }

    /// How many are taken.
    pub(super) fn wanted_count(&self) -> usize {
        self.wanted_count
    }

    /// Whether the next one is taken.
    fn takes(&mut self) -> bool {
        let takes = self.rng.below(self.left_count.max(1) as u64) < self.wanted_count as u64;
        self.left_count = self.left_count.saturating_sub(1);
        self.wanted_count -= usize::from(takes);
        takes
    }
}

/// Of the members of a set.
pub(super) struct ChosenMembers {
    choice: Choice,
    cursor: u64,
}

impl ChosenMembers {
    pub(super) fn new(choice: Choice) -> Self {
        Self { choice, cursor: 0 }
    }
}

impl Walk for ChosenMembers {
    type Of = Set;

    fn go_on(&mut self, set: &Set, piece: &mut Piece<'_>) -> bool {
        let choice = &mut self.choice;
        move_on(&mut self.cursor, piece, |cursor, reply| {
            let mut count = 0;
            let next = set.scan(cursor, STEP, |member| {
                count += 1;
                if choice.takes() {
                    reply_member(member, reply);
                }
            });
            (next, count)
        })
    }
}

/// Of the fields of a hash that were alive when the reply began.
pub(super) struct ChosenFields {
    choice: Choice,
    shown: DrawnFields,
    cursor: u64,
}

impl ChosenFields {
    pub(super) fn new(choice: Choice, shown: DrawnFields) -> Self {
        Self {
            choice,
            shown,
            cursor: 0,
        }
    }
}

impl Walk for ChosenFields {
    type Of = Hash;

    fn go_on(&mut self, hash: &Hash, piece: &mut Piece<'_>) -> bool {
        let Self { choice, shown, .. } = self;
        move_on(&mut self.cursor, piece, |cursor, reply| {
            let mut count = 0;
            let next = hash.scan(cursor, STEP, shown.now_ms, |field, value| {
                count += 1;
                if choice.takes() {
                    shown.reply(field, value, reply);
                }
            });
            (next, count)
        })
    }
}

/// Of the members of a sorted set, the highest score first.
pub(super) struct ChosenRanks {
    choice: Choice,
    with_scores: bool,
    /// Those above have been passed.
    end: usize,
}

impl ChosenRanks {
    pub(super) fn new(choice: Choice, with_scores: bool) -> Self {
        Self {
            end: choice.left_count,
            choice,
            with_scores,
        }
    }
}

impl Walk for ChosenRanks {
    type Of = Zset;

    fn go_on(&mut self, set: &Zset, piece: &mut Piece<'_>) -> bool {
        let start = self.end - self.end.min(piece.room_count());
        for (member, score) in set.walk(start..self.end, Direction::Down) {
            self.end -= 1;
            if self.choice.takes() {
                match self.with_scores {
                    true => reply_scored(member, score, &mut piece.reply()),
                    false => reply_member(member, &mut piece.reply()),
                }
            }
            if piece.is_full_after(1) {
                break;
            }
        }
        self.end == 0
    }
}
