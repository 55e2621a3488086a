//! Runs: very many elements put in order bit by bit.
//!
//!     push, push … -> sort_run until there is none -> merge -> pop, pop …
//!
//! Promises  elements that compare equal come out in the order in which they went in; no step costs more than sorting a run,
//!           and nothing that grows is moved: each run has its own memory, which goes when its last element has come out.
//! Tests     tests/shard/long_reads.rs.

use std::cmp::Ordering;

use crate::ds::listpack::Element;

/// Elements of a run.
const ELEMENTS_MAX: usize = 4096;
/// Bytes with which one is full.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// An order of elements.
pub(super) trait Order: Send {
    /// What it goes by, along with their text.
    type Rank: Send;

    /// Which of two comes first.
    fn compare(&self, one: (&Self::Rank, &[u8]), other: (&Self::Rank, &[u8])) -> Ordering;
}

/// See the module.
pub(super) struct Runs<O: Order> {
    order: O,
    runs: Vec<Run<O::Rank>>,
    count: usize,
    /// Bytes of all texts, and of the longest.
    text_bytes: usize,
    text_bytes_max: usize,
    sorted_count: usize,
    /// Runs that have elements left, the one with the next element of all first.
    heap: Vec<usize>,
}

struct Run<R> {
    elements: Vec<Ranked<R>>,
    text: Vec<u8>,
    /// The first that has not come out.
    next: usize,
}

/// An element, and where in its run's text it is.
struct Ranked<R> {
    rank: R,
    start: usize,
    end: usize,
}

impl<R> Run<R> {
    fn new() -> Self {
        Self {
            elements: Vec::new(),
            text: Vec::new(),
            next: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.elements.len() >= ELEMENTS_MAX || self.text.len() >= TEXT_BYTES_MAX
    }

    /// The next element; a run in the heap has one.
    fn first(&self) -> (&R, &[u8]) {
        self.elements[self.next].of(&self.text)
    }
}

impl<R> Ranked<R> {
    fn of<'r>(&'r self, text: &'r [u8]) -> (&'r R, &'r [u8]) {
        (&self.rank, &text[self.start..self.end])
    }
}

impl<O: Order> Runs<O> {
    /// No elements.
    pub(super) fn new(order: O) -> Self {
        Self {
            order,
            runs: Vec::new(),
            count: 0,
            text_bytes: 0,
            text_bytes_max: 0,
            sorted_count: 0,
            heap: Vec::new(),
        }
    }

    /// Adds an element.
    pub(super) fn push(&mut self, rank: O::Rank, element: Element<'_>) {
        if self.runs.last().is_none_or(Run::is_full) {
            self.runs.push(Run::new());
        }
        let at = self.runs.len() - 1; // One was pushed where there was none.
        let run = &mut self.runs[at];
        let start = run.text.len();
        run.text.extend_from_slice(element.text(&mut [0; 20]));
        let end = run.text.len();
        run.elements.push(Ranked { rank, start, end });
        self.count += 1;
        self.text_bytes += end - start;
        self.text_bytes_max = self.text_bytes_max.max(end - start);
    }

    /// How many were added.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Bytes of all texts.
    pub(super) fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// Bytes of the longest.
    pub(super) fn text_bytes_max(&self) -> usize {
        self.text_bytes_max
    }

    /// Sorts the next run; false where all are.
    pub(super) fn sort_run(&mut self) -> bool {
        let Some(run) = self.runs.get_mut(self.sorted_count) else {
            return false;
        };
        let Run { elements, text, .. } = run;
        let order = &self.order;
        elements.sort_by(|one, other| order.compare(one.of(text), other.of(text)));
        self.sorted_count += 1;
        true
    }

    /// All runs are sorted: elements may come out.
    pub(super) fn merge(&mut self) {
        self.heap = (0..self.runs.len()).collect();
        for at in (0..self.heap.len() / 2).rev() {
            self.sift_down(at);
        }
    }

    /// Hands the next element of all to `take`; false where there is none.
    pub(super) fn pop(&mut self, take: impl FnOnce(&O::Rank, &[u8])) -> bool {
        let Some(&at) = self.heap.first() else {
            return false;
        };
        let run = &mut self.runs[at];
        let (rank, text) = run.first();
        take(rank, text);
        run.next += 1;
        if run.next == run.elements.len() {
            *run = Run::new();
            self.heap.swap_remove(0);
        }
        self.sift_down(0);
        true
    }

    /// Whether the next element of one run comes before that of another.
    fn is_before(&self, one: usize, other: usize) -> bool {
        let (first, other_first) = (self.runs[one].first(), self.runs[other].first());
        // Of equal ones those of the run before are first.
        let order = self.order.compare(first, other_first);
        order.then(one.cmp(&other)) == Ordering::Less
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
}
