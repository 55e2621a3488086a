//! SINTER, SUNION and SDIFF of large sets, and how many members those have, bit by bit.
//!
//!     every member of a base, looked up in the others -> collected -> the reply
//!
//!     SINTER  base: the smallest         others: all        kept if in all
//!     SDIFF   base: the first            others: all        kept if in none
//!     SUNION  base: one after the other  others: those before it    kept if in none
//!             more than `UNITED_MAX`     others: a table of all members that have been seen
//!
//! SUNIONSTORE and its kin the same way: what is kept goes into the set that is stored.
//!
//! Promises  no second copy of any set is built, but of very many; its keys are locked while it looks, not while it replies;
//!           what is stored has the encoding of what comes whole.
//! Not here  what comes whole: `keyspace/set_algebra.rs`.
//! Tests     tests/shard/long_reads.rs.

use super::collected::{Collected, Head, Number};
use super::pieces::{MadeRest, STEP};
use super::seen::{Seen, UNITED_MAX};
use super::zset_reply::reply_member;
use crate::ds::hyperloglog::{Registers, place};
use crate::ds::key_table::{EntryRef, ManyReader, ReadLimit, Rest, Value};
use crate::keyspace::set::Probe;
use crate::keyspace::{Collection, EncodingLimits, Object, Set};
use crate::resp::Protocol;

/// What is made of several sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    Intersection,
    Union,
    Difference,
}

impl Made {
    /// If it is more than `whole_max` members' work: the sets that are to be read, in that order; those that are not there are
    /// none of them.
    pub(super) fn order(self, sets: &[Option<&Set>], whole_max: usize) -> Option<Vec<usize>> {
        let is_large = |set: &Set| set.len() > whole_max;
        let len = |at: usize| sets[at].map_or(0, Set::len);
        let there = (0..sets.len()).filter(|&at| sets[at].is_some());
        match self {
            Self::Intersection => {
                if !sets.iter().all(|set| set.is_some_and(is_large)) {
                    return None;
                }
                let mut order: Vec<usize> = there.collect();
                order.sort_by_key(|&at| len(at));
                Some(order)
            }
            Self::Union => {
                let total = sets.iter().flatten().map(|set| set.len()).sum::<usize>();
                if total <= whole_max {
                    return None;
                }
                Some(there.collect())
            }
            Self::Difference => {
                let first = sets
                    .first()
                    .copied()
                    .flatten()
                    .filter(|set| is_large(set))?;
                let mut others = sets[1..].iter().flatten();
                if others.any(|other| std::ptr::eq(*other, first)) {
                    return None; // Nothing is left.
                }
                let mut order: Vec<usize> = there.collect();
                order[1..].sort_by_key(|&at| std::cmp::Reverse(len(at)));
                Some(order)
            }
        }
    }
}

/// What the reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Members,
    /// How many there are, up to that; 0 is no limit.
    Count {
        limit: usize,
    },
    /// The same of a union, estimated.
    Estimate {
        limit: usize,
    },
}

/// What is to be stored, in the making.
pub(super) struct Stored {
    set: Set,
    limits: EncodingLimits,
    inputs_count: usize,
    /// At its end it is made an intset where it can be one.
    may_be_ints: bool,
}

impl Stored {
    /// What is to be made of the sets at the places of `order`, where the way there does not matter for the encoding.
    ///
    /// - See `keyspace/set_algebra.rs`.
    pub(super) fn begin(
        made: Made,
        sets: &[Option<&Set>],
        order: &[usize],
        limits: EncodingLimits,
    ) -> Option<Self> {
        let len = |at: &usize| sets[*at].map_or(0, Set::len);
        let first = order.first()?;
        let set = match made {
            Made::Union => Set::default(),
            Made::Intersection => match sets[*first].is_some_and(|set| set.as_ints().is_some()) {
                true => Set::default(),
                false => Set::packed(),
            },
            Made::Difference => {
                let lookups_count = len(first) * order.len() / 2;
                let is_looked_up = lookups_count <= order.iter().map(len).sum::<usize>();
                let small_max = limits
                    .set_max_intset_entries
                    .max(limits.set_max_listpack_entries);
                match (is_looked_up, len(first) > small_max) {
                    (true, _) => Set::default(),
                    // As large as the first, of which others are taken away.
                    (false, true) => Set::table(),
                    (false, false) => return None,
                }
            }
        };
        Some(Self {
            set,
            limits,
            inputs_count: order.len(),
            may_be_ints: made == Made::Intersection,
        })
    }

    fn add(&mut self, member: &Probe<'_>) {
        self.set.add(member, &self.limits);
    }

    fn end(mut self) -> MadeRest<Set> {
        if self.may_be_ints {
            self.set.become_ints_where_possible(&self.limits);
        }
        MadeRest::new(self.set, self.inputs_count)
    }
}

/// See the module.
pub(super) struct SetWalk {
    made: Made,
    told: Told,
    /// Instead of a reply.
    stored: Option<Stored>,
    /// The base, and how far it has been walked through.
    base: usize,
    cursor: u64,
    found: Collected,
    /// As many were found.
    count: usize,
    /// The members of a union of very many.
    seen: Option<Seen<()>>,
    /// What is estimated from.
    registers: Option<Registers>,
}

impl SetWalk {
    /// - `sets_count`: how many will be read.
    pub(super) fn new(made: Made, told: Told, sets_count: usize, protocol: Protocol) -> Self {
        let is_wide = made == Made::Union && sets_count > UNITED_MAX;
        let is_estimated = matches!(told, Told::Estimate { .. });
        Self {
            made,
            told,
            stored: None,
            base: 0,
            cursor: 0,
            found: Collected::new(Head::Set, protocol),
            count: 0,
            seen: (is_wide && !is_estimated).then(Seen::new),
            registers: is_estimated.then(Registers::default),
        }
    }

    /// The same, to store what is made.
    pub(super) fn storing(made: Made, stored: Stored) -> Self {
        // What has been seen is in the set itself.
        let told = Told::Count { limit: 0 };
        Self {
            stored: Some(stored),
            ..Self::new(made, told, 0, Protocol::Resp2)
        }
    }

    /// Some members of the base; how much work that was.
    fn step(&mut self, sets: &[&Set]) -> usize {
        let (base, others) = match self.made {
            Made::Union => (sets[self.base], &sets[..self.base]),
            Made::Intersection | Made::Difference => (sets[0], &sets[1..]),
        };
        let mut looks_count = 1;
        self.cursor = base.scan(self.cursor, STEP, |member| {
            looks_count += 2;
            let mut buffer = [0; 20];
            if let Some(registers) = &mut self.registers {
                let (index, count) = place(member.text(&mut buffer));
                return registers.raise(index, count);
            }
            if let Some(stored) = &mut self.stored
                && self.made == Made::Union
            {
                return stored.add(&Probe::of(member, &mut buffer));
            }
            let is_kept = if let Some(seen) = &mut self.seen {
                seen.add(member.text(&mut buffer), (), |()| {})
            } else {
                looks_count += others.len();
                let probe = Probe::of(member, &mut buffer);
                match self.made {
                    Made::Intersection => others.iter().all(|other| other.contains(&probe)),
                    Made::Union | Made::Difference => {
                        !others.iter().any(|other| other.contains(&probe))
                    }
                }
            };
            if is_kept && let Some(stored) = &mut self.stored {
                stored.add(&Probe::of(member, &mut [0; 20]));
            } else if is_kept {
                self.count += 1;
                if self.told == Told::Members {
                    reply_member(member, &mut self.found.next());
                }
            }
        });
        looks_count
    }

    /// Whether nothing is left to be looked at.
    fn is_done(&self, sets: &[&Set]) -> bool {
        let is_enough =
            matches!(self.told, Told::Count { limit } if limit > 0 && self.count >= limit);
        is_enough || self.base >= sets.len()
    }

    /// What makes the reply.
    fn rest(&mut self) -> Box<dyn Rest> {
        if let Some(stored) = self.stored.take() {
            return Box::new(stored.end());
        }
        let limited = |count: usize, limit| match limit {
            0 => count,
            limit => count.min(limit),
        };
        let told: Box<dyn Rest> = match self.told {
            Told::Members => {
                let nothing = Collected::new(Head::Set, Protocol::Resp2);
                Box::new(std::mem::replace(&mut self.found, nothing))
            }
            Told::Count { limit } => Box::new(Number(limited(self.count, limit))),
            Told::Estimate { limit } => {
                let registers = self.registers.take().unwrap_or_default();
                Box::new(Number(limited(registers.cardinality() as usize, limit)))
            }
        };
        match self.seen.take() {
            Some(seen) => Box::new(Forgetting { seen, told }),
            None => told,
        }
    }
}

/// Before the reply is told, what has been seen is forgotten, a part at a time.
struct Forgetting {
    seen: Seen<()>,
    told: Box<dyn Rest>,
}

impl Rest for Forgetting {
    fn read(&mut self, limit: ReadLimit, out: &mut Vec<u8>) -> bool {
        let mut left_count = limit.elements;
        while left_count > 0 {
            let is_there = self.seen.take_part(|_, ()| {
                left_count = left_count.saturating_sub(1);
            });
            if !is_there {
                return self.told.read(limit, out);
            }
        }
        false
    }
}

impl ManyReader<Object> for SetWalk {
    fn read(
        &mut self,
        entries: &[EntryRef<'_, Object>],
        limit: ReadLimit,
    ) -> Option<Box<dyn Rest>> {
        let set = |entry| match EntryRef::value(entry) {
            Value::Object(object) => Set::of(object),
            _ => None,
        };
        let sets: Vec<&Set> = entries.iter().filter_map(set).collect();
        let mut work = 0;
        while !self.is_done(&sets) && work < limit.elements {
            work += self.step(&sets);
            if self.cursor == 0 {
                self.base = match self.made {
                    Made::Union => self.base + 1,
                    Made::Intersection | Made::Difference => sets.len(),
                };
            }
        }
        self.is_done(&sets).then(|| self.rest())
    }
}
