//! SORT of many elements, bit by bit; its key is locked while they are copied.
//!
//!     copy and weigh, some at a time -> sort runs, one after the other -> merge them into the reply, some at a time, or into
//!     the list that is stored; of what is not sorted only what is shown is copied
//!
//! Promises  the order and the errors of a reply that comes whole, equal elements included.
//! Not here  what leads to other keys (BY, GET): that comes whole (`sort.rs`).
//! Tests     tests/shard/long_reads.rs.

use std::cmp::Ordering;
use std::ops::{ControlFlow, Range};

use super::CommandError;
use super::pieces::{Finished, STEP, first_object};
use super::runs::{Order, Runs};
use super::sort::{Part, append, score};
use crate::ds::key_table::{EntryRef, Made, ManyReader, ReadLimit, Rest};
use crate::ds::listpack::Element;
use crate::keyspace::list::List;
use crate::keyspace::{EncodingLimits, Object};
use crate::resp::{Protocol, Reply};

/// By what elements are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Not at all.
    Place,
    Text,
    Number,
}

/// What is to come of it.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) measure: Measure,
    pub(super) is_descending: bool,
    /// Places in the order.
    pub(super) shown: Range<usize>,
    /// How often each is told.
    pub(super) times: usize,
    pub(super) told: Told,
}

/// What becomes of the elements.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    Reply(Protocol),
    Stored(EncodingLimits),
}

impl Wanted {
    fn sorting(&self) -> Sorting {
        Sorting {
            measure: self.measure,
            is_descending: self.is_descending,
        }
    }
}

/// In this order they come.
#[derive(Clone, Copy)]
struct Sorting {
    measure: Measure,
    is_descending: bool,
}

impl Order for Sorting {
    /// The place, or the number.
    type Rank = f64;

    fn compare(&self, one: (&f64, &[u8]), other: (&f64, &[u8])) -> Ordering {
        let by_rank = || one.0.partial_cmp(other.0).unwrap_or(Ordering::Equal);
        let by_text = || one.1.cmp(other.1);
        let ordering = match self.measure {
            Measure::Place => by_rank(),
            Measure::Text => by_text(),
            Measure::Number => by_rank().then_with(by_text),
        };
        match self.is_descending {
            true => ordering.reverse(),
            false => ordering,
        }
    }
}

/// The elements are being copied.
pub(super) struct SortCopy {
    copied: Copied,
    /// What is to be copied; in a list or a sorted set what of it is left.
    part: Part,
    /// Where it goes on in a set, and members that it has passed there.
    cursor: u64,
    passed_count: usize,
    wanted: Wanted,
}

/// Elements and what they weigh.
struct Copied {
    runs: Runs<Sorting>,
    measure: Measure,
    /// One had no weight: the reply.
    error: Option<CommandError>,
}

impl Copied {
    fn new(sorting: Sorting) -> Self {
        Self {
            runs: Runs::new(sorting),
            measure: sorting.measure,
            error: None,
        }
    }

    fn push(&mut self, element: Element<'_>) {
        let mut buffer = [0; 20];
        let text = element.text(&mut buffer);
        let rank = match self.measure {
            Measure::Place => self.runs.len() as f64,
            Measure::Text => 0.0,
            Measure::Number => score(text).unwrap_or_else(|error| {
                self.error = Some(error);
                0.0
            }),
        };
        self.runs.push(rank, Element::Str(text));
    }
}

impl SortCopy {
    /// - `part`: of a list, a set or a sorted set that has as many elements.
    pub(super) fn new(part: Part, wanted: Wanted) -> Self {
        Self {
            copied: Copied::new(wanted.sorting()),
            part,
            cursor: 0,
            passed_count: 0,
            wanted,
        }
    }

    /// Copies some elements; whether those were the last.
    fn go_on(&mut self, object: &Object, limit: ReadLimit) -> bool {
        let Self {
            copied,
            part,
            cursor,
            passed_count,
            ..
        } = self;
        let bytes_max = copied.runs.text_bytes().saturating_add(limit.bytes);
        match object {
            Object::List(list) => {
                let end = copied.runs.len().saturating_add(limit.elements);
                list.visit(part.index(list.len()), part.from, |element| {
                    copied.push(element);
                    part.places.start += 1;
                    let runs = &copied.runs;
                    let is_full = runs.len() >= end || runs.text_bytes() >= bytes_max;
                    match is_full || part.places.is_empty() {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    }
                });
                part.places.is_empty()
            }
            Object::Zset(set) => {
                let (ranks, direction) = part.ranks(set.len());
                for (member, _) in set.walk(ranks, direction).take(limit.elements) {
                    copied.push(member);
                    part.places.start += 1;
                    if copied.runs.text_bytes() >= bytes_max {
                        break;
                    }
                }
                part.places.is_empty()
            }
            Object::Set(set) => {
                let end = passed_count.saturating_add(limit.elements);
                let end = end.min(part.places.end);
                while *passed_count < end && copied.runs.text_bytes() < bytes_max {
                    *cursor = set.scan(*cursor, STEP, |member| {
                        if part.places.contains(&*passed_count) {
                            copied.push(member);
                        }
                        *passed_count += 1;
                    });
                    if *cursor == 0 {
                        return true;
                    }
                }
                *passed_count >= part.places.end
            }
            _ => true,
        }
    }
}

impl ManyReader<Object> for SortCopy {
    fn read(
        &mut self,
        entries: &[EntryRef<'_, Object>],
        limit: ReadLimit,
    ) -> Option<Box<dyn Rest>> {
        let is_all = first_object(entries).is_none_or(|object| self.go_on(object, limit));
        if !is_all && self.copied.error.is_none() {
            return None;
        }
        let nothing = Copied::new(self.wanted.sorting());
        let copied = std::mem::replace(&mut self.copied, nothing);
        Some(Box::new(SortWalk {
            elements: copied.runs,
            error: copied.error,
            wanted: self.wanted.clone(),
            has_begun: false,
            passed_count: 0,
            list: List::default(),
        }))
    }
}

/// See the module.
struct SortWalk {
    elements: Runs<Sorting>,
    /// That is the reply.
    error: Option<CommandError>,
    wanted: Wanted,
    has_begun: bool,
    /// Elements that have come out.
    passed_count: usize,
    /// What is stored of them.
    list: List,
}

impl Rest for SortWalk {
    fn read(&mut self, limit: ReadLimit, out: &mut Vec<u8>) -> bool {
        let Wanted {
            ref shown,
            times,
            told,
            ..
        } = self.wanted;
        match (&self.error, told) {
            (None, _) => {}
            (Some(error), Told::Reply(protocol)) => {
                Reply::new(out, protocol).error_bytes(&error.line());
                return true;
            }
            (Some(_), Told::Stored(_)) => return true,
        }
        // What has no order but that in which it came is sorted.
        while self.wanted.measure != Measure::Place && self.elements.sort_run() {
            if limit != ReadLimit::NONE {
                return false;
            }
        }
        if !self.has_begun {
            self.has_begun = true;
            self.elements.merge();
            if let Told::Reply(protocol) = told {
                Reply::new(out, protocol).array(shown.len() * times);
            }
        }
        let end = out.len().saturating_add(limit.bytes);
        let mut left_count = limit.elements;
        while left_count > 0 && out.len() < end && self.passed_count < shown.end {
            let shown_times = match self.passed_count >= shown.start {
                true => times,
                false => 0,
            };
            let list = &mut self.list;
            let is_there = self.elements.pop(|_, element| {
                for _ in 0..shown_times {
                    match &told {
                        Told::Reply(protocol) => Reply::new(out, *protocol).bulk(element),
                        Told::Stored(limits) => append(list, element, limits),
                    }
                }
            });
            if !is_there {
                return true;
            }
            self.passed_count += 1;
            left_count -= 1;
        }
        self.passed_count >= shown.end
    }

    fn take_made(&mut self) -> Option<Made> {
        if matches!(self.wanted.told, Told::Reply(_)) {
            return None;
        }
        let made: Sorted = match self.error.take() {
            Some(error) => Err(error),
            None => Ok(std::mem::take(&mut self.list)),
        };
        Some(Box::new(Finished {
            set: made,
            inputs_count: 1,
        }))
    }
}

/// A list to be stored, or why there is none.
pub(super) type Sorted = Result<List, CommandError>;
