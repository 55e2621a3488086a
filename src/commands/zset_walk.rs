//! ZUNION, ZINTER, ZDIFF and ZINTERCARD of many members, bit by bit.
//!
//!     every member of a base, looked up in the others -> runs -> sorted, merged -> the reply
//!
//!     ZINTER  base: the smallest              others: all                  kept if in all
//!     ZDIFF   base: the first                 others: all                  kept if in none
//!     ZUNION  base: one after the other       others: those before it      kept if in none; those behind it add their scores
//!             more than `UNITED_MAX` of them  all members are added up in a table in parts
//!
//! ZUNIONSTORE and its kin the same way: what is merged becomes the set that is stored.
//!
//! Promises  scores are added in the order of a reply that comes whole; its keys are locked while it looks, not while it sorts
//!           and replies, unless that is stored.
//! Not here  what comes whole: `zset_combine.rs`.
//! Tests     tests/shard/long_reads.rs.

use std::cmp::Ordering;

use super::collected::Number;
use super::pieces::{Finished, STEP};
use super::runs::{Order, Runs};
use super::seen::{Seen, UNITED_MAX};
use super::zset_combine::{Aggregate, Combination, Input, Source};
use super::zset_reply::{reply_members_head, reply_scored};
use crate::ds::key_table::{EntryRef, Made, ManyReader, ReadLimit, Rest, Value};
use crate::ds::listpack::Element;
use crate::keyspace::zset::{Direction, Zset};
use crate::keyspace::{EncodingLimits, Object};
use crate::resp::{Protocol, Reply};

/// What is to come of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) combination: Combination,
    pub(super) aggregate: Aggregate,
    pub(super) told: Told,
    pub(super) protocol: Protocol,
}

/// What the reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Members {
        with_scores: bool,
    },
    /// How many there are, up to that; 0 is no limit.
    Count {
        limit: usize,
    },
    /// Nothing: a set of them is made.
    Stored {
        limits: EncodingLimits,
    },
}

/// See the module.
pub(super) struct ZsetWalk {
    wanted: Wanted,
    /// Of the inputs, in order.
    weights: Vec<f64>,
    /// The base, and where it goes on: a rank, or a cursor.
    base: usize,
    next: u64,
    found: Runs<ByScore>,
    /// As many were found where they are only counted.
    count: usize,
    /// The totals of a union of very many.
    seen: Option<Seen<f64>>,
}

/// By score, then by bytes.
pub(super) struct ByScore;

impl Order for ByScore {
    type Rank = f64;

    fn compare(&self, one: (&f64, &[u8]), other: (&f64, &[u8])) -> Ordering {
        let scores = one.0.partial_cmp(other.0).unwrap_or(Ordering::Equal);
        scores.then_with(|| one.1.cmp(other.1))
    }
}

impl ZsetWalk {
    /// - `weights`: of the inputs in the order in which they will be read.
    pub(super) fn new(wanted: Wanted, weights: Vec<f64>) -> Self {
        let is_wide = wanted.combination == Combination::Union && weights.len() > UNITED_MAX;
        Self {
            wanted,
            weights,
            base: 0,
            next: 0,
            found: Runs::new(ByScore),
            count: 0,
            seen: is_wide.then(Seen::new),
        }
    }

    /// Visits some members of the base; how much work that was, and whether there are more.
    fn step(&mut self, sources: &[Source<'_>]) -> (usize, bool) {
        let base = sources[self.base];
        let mut work = 1;
        match base.members {
            Input::Missing => (work, false),
            Input::Scored(set) => {
                let start = self.next as usize;
                let end = start.saturating_add(STEP).min(set.len());
                for (member, score) in set.walk(start..end, Direction::Up) {
                    work += self.visit(sources, member, score);
                }
                self.next = end as u64;
                (work, end < set.len())
            }
            Input::Plain(set) => {
                self.next = set.scan(self.next, STEP, |member| {
                    work += self.visit(sources, member, 1.0);
                });
                (work, self.next != 0)
            }
        }
    }

    /// Looks a member of the base up in the others; how much work that was.
    fn visit(&mut self, sources: &[Source<'_>], member: Element<'_>, score: f64) -> usize {
        let Wanted {
            combination,
            aggregate,
            ..
        } = self.wanted;
        let mut buffer = [0; 20];
        let text = member.text(&mut buffer);
        let base = &sources[self.base];
        let (before, others) = (&sources[..self.base], &sources[self.base + 1..]);
        let has = |source: &Source<'_>| source.score(text).is_some();
        let mut total = aggregate.first(score, base.weight);
        if let Some(seen) = &mut self.seen {
            seen.add(text, total, |so_far| aggregate.add(so_far, total));
            return 2;
        }
        let is_kept = match combination {
            Combination::Union if before.iter().any(has) => false,
            Combination::Union => {
                for other in others {
                    if let Some(score) = other.score(text) {
                        aggregate.add(&mut total, aggregate.first(score, other.weight));
                    }
                }
                true
            }
            Combination::Intersection => others.iter().all(|other| {
                let Some(score) = other.score(text) else {
                    return false;
                };
                aggregate.add(&mut total, aggregate.weighted(score, other.weight));
                true
            }),
            Combination::Difference => {
                total = score;
                !others.iter().any(has)
            }
        };
        if is_kept {
            match self.wanted.told {
                Told::Members { .. } | Told::Stored { .. } => self.found.push(total, member),
                Told::Count { .. } => self.count += 1,
            }
        }
        sources.len()
    }

    /// Whether nothing is left to be looked at.
    fn is_done(&self, sources: &[Source<'_>]) -> bool {
        let is_enough =
            matches!(self.wanted.told, Told::Count { limit } if limit > 0 && self.count >= limit);
        is_enough || self.base >= sources.len()
    }

    /// What makes the reply.
    fn rest(&mut self) -> Box<dyn Rest> {
        match self.wanted.told {
            Told::Count { limit: 0 } => Box::new(Number(self.count)),
            Told::Count { limit } => Box::new(Number(self.count.min(limit))),
            Told::Members { with_scores } => Box::new(ScoredRest {
                members: self.members(),
                with_scores,
                protocol: self.wanted.protocol,
                has_begun: false,
            }),
            Told::Stored { limits } => Box::new(StoredRest {
                members: self.members(),
                limits,
                made: None,
                inputs_count: self.weights.len(),
            }),
        }
    }

    fn members(&mut self) -> Members {
        Members {
            found: std::mem::replace(&mut self.found, Runs::new(ByScore)),
            seen: self.seen.take(),
        }
    }
}

fn input<'e>(entry: &'e EntryRef<'_, Object>) -> Input<'e> {
    match entry.value() {
        Value::Object(object) => Input::of(object).unwrap_or(Input::Missing),
        _ => Input::Missing,
    }
}

impl ManyReader<Object> for ZsetWalk {
    fn read(
        &mut self,
        entries: &[EntryRef<'_, Object>],
        limit: ReadLimit,
    ) -> Option<Box<dyn Rest>> {
        let source = |(entry, &weight)| Source {
            members: input(entry),
            weight,
        };
        let sources: Vec<Source<'_>> = entries.iter().zip(&self.weights).map(source).collect();
        let mut work = 0;
        while !self.is_done(&sources) && work < limit.elements {
            let (step, goes_on) = self.step(&sources);
            work += step;
            if !goes_on {
                self.next = 0;
                self.base = match self.wanted.combination {
                    Combination::Union => self.base + 1,
                    Combination::Intersection | Combination::Difference => sources.len(),
                };
            }
        }
        self.is_done(&sources).then(|| self.rest())
    }
}

/// Members that have been found.
struct Members {
    found: Runs<ByScore>,
    /// Where they are before that, if there.
    seen: Option<Seen<f64>>,
}

impl Members {
    /// Makes ready for the merge; false where that is done.
    fn sort_on(&mut self) -> bool {
        if let Some(seen) = &mut self.seen {
            let found = &mut self.found;
            if seen.take_part(|member, total| found.push(total, Element::Str(member))) {
                return true;
            }
            self.seen = None;
        }
        self.found.sort_run()
    }
}

/// Members are sorted, then a set is made of them.
struct StoredRest {
    members: Members,
    limits: EncodingLimits,
    made: Option<Zset>,
    inputs_count: usize,
}

impl Rest for StoredRest {
    fn read(&mut self, limit: ReadLimit, _: &mut Vec<u8>) -> bool {
        while self.members.sort_on() {
            if limit != ReadLimit::NONE {
                return false;
            }
        }
        let (found, limits) = (&mut self.members.found, &self.limits);
        let set = self.made.get_or_insert_with(|| {
            found.merge();
            let (longest, bytes) = (found.text_bytes_max(), found.text_bytes());
            Zset::for_members(found.len(), longest, bytes, limits)
        });
        // A member of a set costs more than one of a reply.
        for _ in 0..(limit.elements / 4).max(1) {
            if !found.pop(|&score, member| set.push(member, score)) {
                return true;
            }
        }
        false
    }

    fn take_made(&mut self) -> Option<Made> {
        let set = self.made.take()?;
        let inputs_count = self.inputs_count;
        Some(Box::new(Finished { set, inputs_count }))
    }
}

/// Members are sorted, then told.
struct ScoredRest {
    members: Members,
    with_scores: bool,
    protocol: Protocol,
    has_begun: bool,
}

impl Rest for ScoredRest {
    fn read(&mut self, limit: ReadLimit, out: &mut Vec<u8>) -> bool {
        while self.members.sort_on() {
            if limit != ReadLimit::NONE {
                return false;
            }
        }
        let found = &mut self.members.found;
        if !self.has_begun {
            self.has_begun = true;
            found.merge();
            let mut reply = Reply::new(out, self.protocol);
            reply_members_head(found.len(), self.with_scores, &mut reply);
        }
        let end = out.len().saturating_add(limit.bytes);
        let mut left_count = limit.elements;
        while left_count > 0 && out.len() < end {
            left_count -= 1;
            let is_there = found.pop(|&score, member| {
                let mut reply = Reply::new(out, self.protocol);
                match self.with_scores {
                    true => reply_scored(Element::Str(member), score, &mut reply),
                    false => reply.bulk(member),
                }
            });
            if !is_there {
                return true;
            }
        }
        false
    }
}
