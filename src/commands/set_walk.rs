//! SINTER, SUNION and SDIFF of large sets, bit by bit.
//!
//!     every member of a base, looked up in the others -> collected -> the reply
//!
//!     SINTER  base: the smallest         others: all        kept if in all
//!     SDIFF   base: the first            others: all        kept if in none
//!     SUNION  base: one after the other  others: those before it    kept if in none
//!
//! Promises  no second copy of any set is built; its keys are locked while it looks, not while it replies.
//! Not here  what comes whole: `keyspace/set_algebra.rs`.
//! Tests     tests/shard/long_reads.rs.

use super::collected::{Collected, Head};
use super::pieces::STEP;
use super::zset_reply::reply_member;
use crate::ds::key_table::{EntryRef, ManyReader, ReadLimit, Rest, Value};
use crate::keyspace::set::Probe;
use crate::keyspace::{Collection, Object, Set};
use crate::resp::Protocol;

/// A union of more sets builds one: each member would be looked up in too many.
const UNITED_MAX: usize = 8;

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
                if total <= whole_max || sets.len() > UNITED_MAX {
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

/// See the module.
pub(super) struct SetWalk {
    made: Made,
    /// The base, and how far it has been walked through.
    base: usize,
    cursor: u64,
    found: Collected,
}

impl SetWalk {
    pub(super) fn new(made: Made, protocol: Protocol) -> Self {
        Self {
            made,
            base: 0,
            cursor: 0,
            found: Collected::new(Head::Set, protocol),
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
            looks_count += 1 + others.len();
            let mut buffer = [0; 20];
            let probe = Probe::of(member, &mut buffer);
            let is_kept = match self.made {
                Made::Intersection => others.iter().all(|other| other.contains(&probe)),
                Made::Union | Made::Difference => {
                    !others.iter().any(|other| other.contains(&probe))
                }
            };
            if is_kept {
                reply_member(member, &mut self.found.next());
            }
        });
        looks_count
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
        while self.base < sets.len() && work < limit.elements {
            work += self.step(&sets);
            if self.cursor == 0 {
                self.base = match self.made {
                    Made::Union => self.base + 1,
                    Made::Intersection | Made::Difference => sets.len(),
                };
            }
        }
        (self.base >= sets.len()).then(|| {
            let nothing = Collected::new(Head::Set, Protocol::Resp2);
            Box::new(std::mem::replace(&mut self.found, nothing)) as Box<dyn Rest>
        })
    }
}
