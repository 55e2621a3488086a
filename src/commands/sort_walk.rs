//! SORT of many elements, bit by bit; its key is locked while they are copied.
//!
//!     copy, some at a time -> weigh, some at a time -> sort runs, one after the other -> merge them into the reply, some at a time
//!
//! Promises  the order and the errors of a reply that comes whole, equal elements included.
//! Not here  what leads to other keys (BY, GET), and STORE: those come whole (`sort.rs`).
//! Tests     tests/shard/long_reads.rs.

use std::cmp::Ordering;
use std::ops::{ControlFlow, Range};

use super::pieces::STEP;
use super::sort::{Kind, Source, score};
use crate::ds::key_table::{EntryRef, ManyReader, ReadLimit, Rest, Value};
use crate::keyspace::Object;
use crate::keyspace::list::End;
use crate::keyspace::zset::Direction;
use crate::resp::{Protocol, Reply};

/// Elements of a run.
const RUN: usize = 4096;

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

/// The elements are being copied.
pub(super) struct SortCopy {
    source: Source,
    /// Where it goes on: a place, a rank, or a cursor.
    next: u64,
    wanted: Wanted,
}

impl SortCopy {
    pub(super) fn new(kind: Kind, wanted: Wanted) -> Self {
        Self {
            source: Source::new(kind),
            next: 0,
            wanted,
        }
    }

    /// Copies some elements; whether those were the last.
    fn go_on(&mut self, object: &Object, limit: ReadLimit) -> bool {
        let Self { source, next, .. } = self;
        let bytes_max = source.text_bytes().saturating_add(limit.bytes);
        let start = *next as usize;
        match object {
            Object::List(list) => {
                let end = start.saturating_add(limit.elements);
                list.visit(start, End::Front, |element| {
                    source.push(element);
                    *next += 1;
                    match source.len() >= end || source.text_bytes() >= bytes_max {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    }
                });
                source.len() >= list.len()
            }
            Object::Zset(set) => {
                let end = start.saturating_add(limit.elements).min(set.len());
                for (member, _) in set.walk(start..end, Direction::Up) {
                    source.push(member);
                    *next += 1;
                    if source.text_bytes() >= bytes_max {
                        break;
                    }
                }
                source.len() >= set.len()
            }
            Object::Set(set) => {
                let end = source.len().saturating_add(limit.elements);
                while source.len() < end && source.text_bytes() < bytes_max {
                    *next = set.scan(*next, STEP, |member| source.push(member));
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
        is_all.then(|| {
            let source = std::mem::replace(&mut self.source, Source::new(Kind::Ordered));
            Box::new(SortWalk::new(source, self.wanted.clone())) as Box<dyn Rest>
        })
    }
}

/// See the module.
struct SortWalk {
    elements: Elements,
    /// All elements, run by run, each in order once it has been sorted.
    order: Vec<usize>,
    /// Runs that have been sorted.
    sorted_count: usize,
    /// What is left of each run; those that have any, the one with the next element first: a heap.
    runs: Vec<Range<usize>>,
    heap: Vec<usize>,
    /// Elements that have come out of the heap.
    passed_count: usize,
    shown: Range<usize>,
    times: usize,
    protocol: Protocol,
    has_begun: bool,
}

struct Elements {
    source: Source,
    numbers: Vec<f64>,
    measure: Measure,
    is_descending: bool,
}

impl Elements {
    fn compare(&self, a: usize, b: usize) -> Ordering {
        let by_text = || self.source.get(a).cmp(self.source.get(b));
        let ordering = match self.measure {
            Measure::Place => a.cmp(&b),
            Measure::Text => by_text(),
            Measure::Number => {
                let by_number = self.numbers[a].partial_cmp(&self.numbers[b]);
                by_number.unwrap_or(Ordering::Equal).then_with(by_text)
            }
        };
        match self.is_descending {
            true => ordering.reverse(),
            false => ordering,
        }
    }
}

impl SortWalk {
    fn new(source: Source, wanted: Wanted) -> Self {
        let Wanted {
            measure,
            is_descending,
            shown,
            times,
            protocol,
        } = wanted;
        Self {
            order: (0..source.len()).collect(),
            elements: Elements {
                source,
                numbers: Vec::new(),
                measure,
                is_descending,
            },
            sorted_count: 0,
            runs: Vec::new(),
            heap: Vec::new(),
            passed_count: 0,
            shown,
            times,
            protocol,
            has_begun: false,
        }
    }

    /// Sorts the next run; false where there is none.
    fn sort_run(&mut self) -> bool {
        let start = self.sorted_count * RUN;
        if start >= self.order.len() {
            return false;
        }
        let end = (start + RUN).min(self.order.len());
        let elements = &self.elements;
        self.order[start..end].sort_by(|&a, &b| elements.compare(a, b));
        self.sorted_count += 1;
        self.runs.push(start..end);
        true
    }

    /// Whether the next element of one run comes before that of another.
    fn is_before(&self, one: usize, other: usize) -> bool {
        let next = |run: usize| self.order[self.runs[run].start];
        // Of equal ones those of the run before are first.
        let ordering = self.elements.compare(next(one), next(other));
        ordering.then(one.cmp(&other)) == Ordering::Less
    }

    /// Puts the run at this place of the heap where it belongs among those below.
    fn sift_down(&mut self, mut at: usize) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let mut first = at;
            for child in [left, right] {
                if child < self.heap.len() && self.is_before(self.heap[child], self.heap[first]) {
                    first = child;
                }
            }
            if first == at {
                return;
            }
            self.heap.swap(at, first);
            at = first;
        }
    }

    /// Takes the next element of all.
    fn pop(&mut self) -> Option<usize> {
        let run = *self.heap.first()?;
        let element = self.order[self.runs[run].start]; // A run in the heap has elements.
        self.runs[run].start += 1;
        if self.runs[run].is_empty() {
            self.heap.swap_remove(0);
        }
        self.sift_down(0);
        self.passed_count += 1;
        Some(element)
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        self.has_begun = true;
        self.heap = (0..self.runs.len()).collect();
        for at in (0..self.heap.len() / 2).rev() {
            self.sift_down(at);
        }
        Reply::new(out, self.protocol).array(self.shown.len() * self.times);
    }

    /// Makes numbers of the elements; an error is the reply.
    fn weigh(&mut self, mut left_count: usize, out: &mut Vec<u8>) -> Option<bool> {
        if self.elements.measure != Measure::Number {
            return None;
        }
        let Elements {
            source, numbers, ..
        } = &mut self.elements;
        if numbers.len() == source.len() {
            return None;
        }
        while numbers.len() < source.len() && left_count > 0 {
            match score(source.get(numbers.len())) {
                Ok(number) => numbers.push(number),
                Err(error) => {
                    Reply::new(out, self.protocol).error_bytes(&error.line());
                    return Some(true);
                }
            }
            left_count -= 1;
        }
        Some(false)
    }
}

impl Rest for SortWalk {
    fn read(&mut self, limit: ReadLimit, out: &mut Vec<u8>) -> bool {
        let is_all = limit == ReadLimit::NONE;
        loop {
            if let Some(is_end) = self.weigh(limit.elements, out) {
                if is_end || !is_all {
                    return is_end;
                }
            } else if self.sort_run() {
                if !is_all {
                    return false;
                }
            } else {
                break;
            }
        }
        if !self.has_begun {
            self.begin(out);
        }
        let end = out.len().saturating_add(limit.bytes);
        let mut left_count = limit.elements;
        while left_count > 0 && out.len() < end && self.passed_count < self.shown.end {
            let is_shown = self.passed_count >= self.shown.start;
            let Some(element) = self.pop() else { break };
            left_count -= 1;
            if is_shown {
                for _ in 0..self.times {
                    let element = self.elements.source.get(element);
                    Reply::new(out, self.protocol).bulk(element);
                }
            }
        }
        self.passed_count >= self.shown.end || self.heap.is_empty()
    }
}
