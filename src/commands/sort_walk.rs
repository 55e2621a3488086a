//! SORT of many elements, bit by bit; its key is locked while they are copied.
//!
//!     copy and weigh, some at a time -> sort runs, one after the other -> merge them into the reply, some at a time
//!
//! Promises  the order and the errors of a reply that comes whole, equal elements included.
//! Not here  what leads to other keys (BY, GET), and STORE: those come whole (`sort.rs`).
//! Tests     tests/shard/long_reads.rs.

use std::cmp::Ordering;
use std::ops::{ControlFlow, Range};

use super::pieces::STEP;
use super::runs::{Order, Runs};
use super::sort::score;
use crate::ds::key_table::{EntryRef, ManyReader, ReadLimit, Rest, Value};
use crate::ds::listpack::Element;
use crate::keyspace::Object;
use crate::keyspace::list::End;
use crate::keyspace::zset::Direction;
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
    pub(super) protocol: Protocol,
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
    /// Where it goes on: a place, a rank, or a cursor.
    next: u64,
    wanted: Wanted,
}

/// Elements and what they weigh.
struct Copied {
    runs: Runs<Sorting>,
    measure: Measure,
    /// One had no weight: the reply.
    error: Option<Vec<u8>>,
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
                self.error = Some(error.line().into_owned());
                0.0
            }),
        };
        self.runs.push(rank, Element::Str(text));
    }
}

impl SortCopy {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self {
            copied: Copied::new(wanted.sorting()),
            next: 0,
            wanted,
        }
    }

    /// Copies some elements; whether those were the last.
    fn go_on(&mut self, object: &Object, limit: ReadLimit) -> bool {
        let Self { copied, next, .. } = self;
        let bytes_max = copied.runs.text_bytes().saturating_add(limit.bytes);
        let start = *next as usize;
        match object {
            Object::List(list) => {
                let end = start.saturating_add(limit.elements);
                list.visit(start, End::Front, |element| {
                    copied.push(element);
                    *next += 1;
                    match copied.runs.len() >= end || copied.runs.text_bytes() >= bytes_max {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    }
                });
                copied.runs.len() >= list.len()
            }
            Object::Zset(set) => {
                let end = start.saturating_add(limit.elements).min(set.len());
                for (member, _) in set.walk(start..end, Direction::Up) {
                    copied.push(member);
                    *next += 1;
                    if copied.runs.text_bytes() >= bytes_max {
                        break;
                    }
                }
                copied.runs.len() >= set.len()
            }
            Object::Set(set) => {
                let end = copied.runs.len().saturating_add(limit.elements);
                while copied.runs.len() < end && copied.runs.text_bytes() < bytes_max {
                    *next = set.scan(*next, STEP, |member| copied.push(member));
                    if *next == 0 {
                        return true;
                    }
                }
                false
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
        let is_all = match entries.first().map(EntryRef::value) {
            Some(Value::Object(object)) => self.go_on(object, limit),
            _ => true,
        };
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
        }))
    }
}

/// See the module.
struct SortWalk {
    elements: Runs<Sorting>,
    /// That is the reply.
    error: Option<Vec<u8>>,
    wanted: Wanted,
    has_begun: bool,
    /// Elements that have come out.
    passed_count: usize,
}

impl Rest for SortWalk {
    fn read(&mut self, limit: ReadLimit, out: &mut Vec<u8>) -> bool {
        let Wanted {
            ref shown,
            times,
            protocol,
            ..
        } = self.wanted;
        if let Some(error) = self.error.take() {
            Reply::new(out, protocol).error_bytes(&error);
            return true;
        }
        while self.elements.sort_run() {
            if limit != ReadLimit::NONE {
                return false;
            }
        }
        if !self.has_begun {
            self.has_begun = true;
            self.elements.merge();
            Reply::new(out, protocol).array(shown.len() * times);
        }
        let end = out.len().saturating_add(limit.bytes);
        let mut left_count = limit.elements;
        while left_count > 0 && out.len() < end && self.passed_count < shown.end {
            let is_shown = self.passed_count >= shown.start;
            let is_there = self.elements.pop(|_, element| {
                for _ in 0..if is_shown { times } else { 0 } {
                    Reply::new(out, protocol).bulk(element);
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
}
