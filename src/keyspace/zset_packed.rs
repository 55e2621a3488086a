//! A sorted set's members and scores, in turn and in order, in a listpack.
//!
//!     | member | score | member | score | …      whole scores as integers, others as their shortest text
//!
//! Promises  the bytes are Redis's. A score of -0 is kept as 0, as there.
//! Not here  when they are too many: `keyspace/zset.rs`.

use crate::base::number::{F64_TEXT_BYTES_MAX, parse_f64, write_f64};
use crate::ds::listpack::{Element, Iter, Listpack, Position};
use crate::ds::mover::Mover;
use crate::ds::sorted_set::Direction;
use std::ops::Range;

/// Doubles up to this, either way from zero, are kept as integers where they are whole.
const WHOLE_MAX: f64 = (i64::MAX / 2) as f64;

/// The integer that a score is kept as, where it is whole and not too large.
#[inline]
pub(super) fn whole(score: f64) -> Option<i64> {
    (score.abs() <= WHOLE_MAX && score.trunc() == score).then_some(score as i64)
}

/// Pairs of members and scores.
#[derive(Clone)]
pub(super) struct PackedZset {
    pairs: Listpack,
}

impl PackedZset {
    pub fn new() -> Self {
        Self {
            pairs: Listpack::new(),
        }
    }

    /// Takes members and scores in turn and in order, each as [`PackedZset::put`] writes it.
    pub fn from_listpack(pairs: Listpack) -> Self {
        Self { pairs }
    }

    /// Moves its bytes.
    pub fn move_by(&mut self, mover: &mut Mover<'_>) {
        mover.listpack(&mut self.pairs);
    }

    /// Appends a member that is not there and comes after all others.
    pub fn push(&mut self, member: &[u8], score: f64) {
        self.put(None, member, score);
    }

    /// Adds a member that is not there.
    pub fn insert(&mut self, member: &[u8], score: f64) {
        let place = self.place_of(member, score);
        self.put(place, member, score);
    }

    /// Gives the member at `position` another score.
    pub fn set_score(&mut self, position: Position, member: &[u8], score: f64) {
        self.pairs.delete_entries(position, 2);
        self.insert(member, score);
    }

    /// Removes a member; returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let (position, score) = self.find(member)?;
        self.pairs.delete_entries(position, 2);
        Some(score)
    }

    /// Removes the members of these ranks.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        self.pairs
            .delete_range(2 * ranks.start as isize, 2 * ranks.len());
    }

    /// Where a member is, and its score.
    #[inline]
    pub fn find(&self, member: &[u8]) -> Option<(Position, f64)> {
        let position = self.pairs.find(self.pairs.first()?, member, 1)?;
        Some((position, self.score_at(position)))
    }

    /// A member's rank and score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let mut pairs = self.pairs(0..self.len(), Direction::Up);
        let rank = pairs.position(|(other, _)| other.equals(member))?;
        let (_, score) = self.pairs(rank..rank + 1, Direction::Up).next()?;
        Some((rank, score))
    }

    /// How many members `is_before` holds for: they must be the first ones.
    pub fn count_before(&self, is_before: impl Fn(Element<'_>, f64) -> bool) -> usize {
        self.pairs(0..self.len(), Direction::Up)
            .take_while(|(member, score)| is_before(*member, *score))
            .count()
    }

    /// The members of these ranks.
    pub fn pairs(&self, ranks: Range<usize>, direction: Direction) -> Pairs<'_> {
        let mut iter = self.pairs.iter();
        match direction {
            Direction::Up if ranks.start > 0 => {
                if let Some(position) = self.pairs.seek(2 * ranks.start as isize) {
                    iter = self.pairs.iter_from(position);
                }
            }
            Direction::Up => {}
            Direction::Down => {
                for _ in 2 * ranks.end..2 * self.len() {
                    iter.next_back();
                }
            }
        }
        Pairs {
            iter,
            left: ranks.len(),
            direction,
        }
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.pairs.len() / 2
    }

    /// Whether it could hold members of so many bytes more.
    pub fn has_room_for(&self, members_bytes: usize) -> bool {
        self.pairs.has_room_for(members_bytes)
    }

    pub fn as_listpack(&self) -> &Listpack {
        &self.pairs
    }

    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.pairs.heap_bytes()
    }

    /// The first member that comes after this one; none at the end.
    fn place_of(&self, member: &[u8], score: f64) -> Option<Position> {
        // Scores that grow with time end up at the end: one look.
        let last = self.pairs.last()?;
        if score_of(self.pairs.get(last)) < score {
            return None;
        }
        let mut iter = self.pairs.iter();
        while let Some(position) = iter.position() {
            let (Some(other), Some(other_score)) = (iter.next(), iter.next()) else {
                break;
            };
            let other_score = score_of(other_score);
            let is_after =
                other_score > score || (other_score == score && other.text(&mut [0; 20]) > member);
            if is_after {
                return Some(position);
            }
        }
        None
    }

    fn put(&mut self, place: Option<Position>, member: &[u8], score: f64) {
        let mut text = [0; F64_TEXT_BYTES_MAX];
        let score = match whole(score) {
            Some(number) => Element::Int(number),
            None => Element::Str(write_f64(&mut text, score)),
        };
        self.pairs.insert_many(place, [Element::Str(member), score]);
    }

    fn score_at(&self, position: Position) -> f64 {
        let score = self.pairs.next(position).map(|next| self.pairs.get(next));
        score.map_or(0.0, score_of)
    }
}

/// Members of a listpack with their scores.
pub struct Pairs<'z> {
    iter: Iter<'z>,
    left: usize,
    direction: Direction,
}

impl<'z> Iterator for Pairs<'z> {
    type Item = (Element<'z>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match self.direction {
            Direction::Up => {
                let member = self.iter.next()?;
                Some((member, score_of(self.iter.next()?)))
            }
            Direction::Down => {
                let score = score_of(self.iter.next_back()?);
                Some((self.iter.next_back()?, score))
            }
        }
    }

    /// Passes over members without reading their scores.
    fn nth(&mut self, count: usize) -> Option<Self::Item> {
        let Some(left) = self.left.checked_sub(count) else {
            self.left = 0;
            return None;
        };
        self.left = left;
        if let Some(last) = (2 * count).checked_sub(1) {
            match self.direction {
                Direction::Up => self.iter.nth(last),
                Direction::Down => self.iter.nth_back(last),
            };
        }
        self.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

#[inline]
fn score_of(element: Element<'_>) -> f64 {
    match element {
        Element::Int(number) => number as f64,
        Element::Str(text) => parse_f64(text).unwrap_or(0.0),
    }
}
