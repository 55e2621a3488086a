//! Ranges of sorted sets: by rank, by score, by bytes.
//!
//! Promises  a range of scores or bytes becomes a range of ranks in two searches, whatever it covers; in a listpack, in one walk
//!           from the end where it begins, which may show its members as well.
//! Not here  the commands: `zset_read.rs`, `zset_remove.rs`.
//! Tests     tests/transcripts/zset_range.txt, tests/commands/zset_range.rs.

use super::CommandError;
use super::word::integer;
use crate::base::number::parse_f64;
use crate::ds::listpack::Element;
use crate::keyspace::Zset;
use crate::keyspace::zset::Direction;
use std::ops::Range;

/// What a range is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Ranks.
    Rank,
    /// Scores.
    Score,
    /// Bytes of members, all of which should have one score.
    Lex,
}

/// A range as a client gave it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ZsetRange<'a> {
    /// From one rank to another, both included; those below 0 count from the end.
    Ranks(i64, i64),
    /// From one score to another.
    Scores(ScoreBound, ScoreBound),
    /// From one member to another.
    Members(LexBound<'a>, LexBound<'a>),
}

/// An end of a range of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreBound {
    score: f64,
    is_excluded: bool,
}

/// An end of a range of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// Before all members.
    Lowest,
    /// Behind all members.
    Highest,
    /// The member, which is in the range.
    Included(&'a [u8]),
    /// The member, which is not.
    Excluded(&'a [u8]),
}

impl<'a> ZsetRange<'a> {
    /// Reads the two words that say where a range begins and ends, the lower end first.
    pub fn parse(by: By, low: &'a [u8], high: &'a [u8]) -> Result<Self, CommandError> {
        match by {
            By::Rank => Ok(Self::Ranks(integer(low)?, integer(high)?)),
            By::Score => {
                let bounds = ScoreBound::parse(low).zip(ScoreBound::parse(high));
                let (low, high) = bounds.ok_or("ERR min or max is not a float")?;
                Ok(Self::Scores(low, high))
            }
            By::Lex => {
                let bounds = LexBound::parse(low).zip(LexBound::parse(high));
                let (low, high) = bounds.ok_or("ERR min or max not valid string range item")?;
                Ok(Self::Members(low, high))
            }
        }
    }

    /// The ranks it covers, counted from the low end; from the high end in a `reversed` set, for ranges of ranks.
    pub fn ranks_in(&self, set: &Zset, reversed: bool) -> Range<usize> {
        let (start, end) = match *self {
            Self::Ranks(start, end) => {
                let ranks = ranks_of(start, end, set.len());
                if reversed {
                    (set.len() - ranks.end, set.len() - ranks.start)
                } else {
                    (ranks.start, ranks.end)
                }
            }
            // Where scores differ there is no order of bytes. Redis then looks at the ends of the set first, and walks a listpack;
            // so here.
            Self::Members(low, high) if is_beside(set, &low, &high) => (0, 0),
            Self::Scores(..) | Self::Members(..) if set.is_packed() => self.walked(set, reversed),
            Self::Scores(low, high) => (
                set.count_before_score(|score| low.is_behind(score)),
                set.count_before_score(|score| high.includes(score)),
            ),
            Self::Members(low, high) => (
                set.count_before_member(|member| low.is_behind(member)),
                set.count_before_member(|member| high.includes(member)),
            ),
        };
        start..end.max(start)
    }

    /// Whether a listpack and a tree of these members may have it at different ranks, which may be the other one when a log is run: a
    /// range of bytes where scores differ, so that one is walked and the other searched.
    pub fn depends_on_encoding(&self, set: &Zset) -> bool {
        let has_many_scores = || ends(set).is_some_and(|((_, low), (_, high))| low != high);
        matches!(self, Self::Members(..)) && has_many_scores()
    }

    /// Visits the members of a range of scores or bytes that `limit` leaves of those in a listpack, in the order of the reply: those
    /// of [`ZsetRange::ranks_in`] and [`Limit::part_of`].
    ///
    /// - Cost: one walk, from the end where the range begins to its other end or the last member of the part.
    pub fn walk<'z>(
        &self,
        set: &'z Zset,
        reversed: bool,
        limit: Limit,
        mut visit: impl FnMut(Element<'z>, f64),
    ) {
        // An offset below 0 passes over all of a listpack.
        let Ok(offset) = usize::try_from(limit.offset) else {
            return;
        };
        if let Self::Members(low, high) = self
            && is_beside(set, low, high)
        {
            return;
        }
        let count = usize::try_from(limit.count).unwrap_or(usize::MAX);
        let mut members = set.walk(0..set.len(), direction(reversed));
        let mut first = members.find(|(member, score)| !self.is_before(*member, *score, reversed));
        // What lies beyond an end in the order of scores is followed by more of that, so those that are passed over need no look.
        let mut passed_count = offset;
        if offset > 0 && matches!(self, Self::Scores(..)) {
            first = members.nth(offset - 1);
            passed_count = 0;
        }
        first
            .into_iter()
            .chain(members)
            .take_while(|(member, score)| !self.is_after(*member, *score, reversed))
            .skip(passed_count)
            .take(count)
            .for_each(|(member, score)| visit(member, score));
    }

    /// The ranks that a walk from one end finds: from the first inside the near end of the range, and up to the next outside the far
    /// end.
    fn walked(&self, set: &Zset, reversed: bool) -> (usize, usize) {
        let (mut start, mut end) = (0, 0);
        for (member, score) in set.walk(0..set.len(), direction(reversed)) {
            if start == end && self.is_before(member, score, reversed) {
                start += 1;
                end += 1;
                continue;
            }
            if self.is_after(member, score, reversed) {
                break;
            }
            end += 1;
        }
        match reversed {
            true => (set.len() - end, set.len() - start),
            false => (start, end),
        }
    }

    /// Whether a walk has not come to the range yet, as far as this member tells.
    fn is_before(&self, member: Element<'_>, score: f64, reversed: bool) -> bool {
        match reversed {
            true => self.is_too_high(member, score),
            false => self.is_too_low(member, score),
        }
    }

    /// Whether a walk has left the range behind.
    fn is_after(&self, member: Element<'_>, score: f64, reversed: bool) -> bool {
        self.is_before(member, score, !reversed)
    }

    fn is_too_low(&self, member: Element<'_>, score: f64) -> bool {
        match self {
            Self::Ranks(..) => false,
            Self::Scores(low, _) => low.is_behind(score),
            Self::Members(low, _) => low.is_behind(member.text(&mut [0; 20])),
        }
    }

    fn is_too_high(&self, member: Element<'_>, score: f64) -> bool {
        match self {
            Self::Ranks(..) => false,
            Self::Scores(_, high) => !high.includes(score),
            Self::Members(_, high) => !high.includes(member.text(&mut [0; 20])),
        }
    }
}

/// Which way a walk through a range goes.
fn direction(reversed: bool) -> Direction {
    match reversed {
        true => Direction::Down,
        false => Direction::Up,
    }
}

/// The first member and the last, each with its score.
fn ends(set: &Zset) -> Option<((Element<'_>, f64), (Element<'_>, f64))> {
    let end = |rank: usize| set.walk(rank..rank + 1, Direction::Up).next();
    end(0).zip(end(set.len().saturating_sub(1)))
}

/// Whether the set ends before a range of members or begins after it.
fn is_beside(set: &Zset, low: &LexBound<'_>, high: &LexBound<'_>) -> bool {
    let Some(((first, _), (last, _))) = ends(set) else {
        return true;
    };
    low.is_behind(last.text(&mut [0; 20])) || !high.includes(first.text(&mut [0; 20]))
}

impl ScoreBound {
    fn parse(word: &[u8]) -> Option<Self> {
        // Redis reads a bound as a C string: up to the first NUL.
        let word = word.split(|&byte| byte == 0).next().unwrap_or_default();
        let (is_excluded, number) = match word {
            [b'(', number @ ..] => (true, number),
            number => (false, number),
        };
        let score = parse_bound(number)?;
        Some(Self { score, is_excluded })
    }

    /// Whether a low end leaves `score` out.
    fn is_behind(&self, score: f64) -> bool {
        score < self.score || (self.is_excluded && score == self.score)
    }

    /// Whether a high end lets `score` in.
    fn includes(&self, score: f64) -> bool {
        score < self.score || (!self.is_excluded && score == self.score)
    }
}

/// A number as bounds have them: other than scores, none at all is 0, and those too large or too small for a double are
/// infinite or 0; hexadecimal ones are none.
fn parse_bound(text: &[u8]) -> Option<f64> {
    let (sign, unsigned) = match text {
        [b'-', unsigned @ ..] => (-1.0, unsigned),
        [b'+', unsigned @ ..] => (1.0, unsigned),
        [] => return Some(0.0),
        unsigned => (1.0, unsigned),
    };
    match unsigned {
        [b'0', b'x' | b'X', ..] => None,
        [b'0'..=b'9' | b'.', ..] => {
            let number: f64 = std::str::from_utf8(unsigned).ok()?.parse().ok()?;
            Some(sign * number)
        }
        _ => parse_f64(text),
    }
}

impl<'a> LexBound<'a> {
    fn parse(word: &'a [u8]) -> Option<Self> {
        match word {
            [b'-'] | [b'-', 0, ..] => Some(Self::Lowest),
            [b'+'] | [b'+', 0, ..] => Some(Self::Highest),
            [b'[', member @ ..] => Some(Self::Included(member)),
            [b'(', member @ ..] => Some(Self::Excluded(member)),
            _ => None,
        }
    }

    /// Whether a low end leaves `member` out.
    fn is_behind(&self, member: &[u8]) -> bool {
        match *self {
            Self::Lowest => false,
            Self::Highest => true,
            Self::Included(bound) => member < bound,
            Self::Excluded(bound) => member <= bound,
        }
    }

    /// Whether a high end lets `member` in.
    fn includes(&self, member: &[u8]) -> bool {
        match *self {
            Self::Lowest => false,
            Self::Highest => true,
            Self::Included(bound) => member <= bound,
            Self::Excluded(bound) => member < bound,
        }
    }
}

/// The ranks from `start` to `end`, both included, in a set of `len` members.
fn ranks_of(start: i64, end: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let from_end = |rank: i64| {
        if rank < 0 {
            rank.saturating_add(len)
        } else {
            rank
        }
    };
    let start = from_end(start).max(0);
    let end = from_end(end).min(len - 1);
    if start > end {
        return 0..0;
    }
    start as usize..end as usize + 1
}

/// `LIMIT offset count`: which of the ranks a range covers are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many are passed over.
    pub offset: i64,
    /// How many follow; all of them below 0.
    pub count: i64,
}

impl Limit {
    /// All.
    pub const NONE: Self = Self {
        offset: 0,
        count: -1,
    };

    /// The part of `ranks`, seen from the high end in a `reversed` set.
    pub fn part_of(&self, set: &Zset, ranks: Range<usize>, reversed: bool) -> Range<usize> {
        let len = ranks.len();
        let offset = match usize::try_from(self.offset) {
            Ok(offset) if offset > 0 && offset >= set.len() => return 0..0,
            Ok(offset) => offset,
            Err(_) => match self.offset_before(set, len) {
                Some(offset) => offset,
                None => return 0..0,
            },
        };
        if offset >= len {
            return 0..0;
        }
        let left = len - offset;
        let count = usize::try_from(self.count).map_or(left, |count| count.min(left));
        if reversed {
            let end = ranks.end - offset;
            end - count..end
        } else {
            let start = ranks.start + offset;
            start..start + count
        }
    }

    /// Whether it leaves different parts in a listpack and in a tree.
    pub fn depends_on_encoding(&self) -> bool {
        self.offset < 0
    }

    /// What Redis makes of an offset below 0: in a tree it counts from the other end.
    fn offset_before(&self, set: &Zset, len: usize) -> Option<usize> {
        if set.is_packed() {
            return None;
        }
        len.checked_sub(usize::try_from(self.offset.unsigned_abs()).ok()?)
    }
}
