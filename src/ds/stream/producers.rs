//! Producers: which entries were added for which request of whom, so that a request sent again adds nothing.
//!
//!     producers   name -> requests          requests   mark -> entry id      to find
//!                                                      entry id -> mark      the oldest first
//!
//! Promises  a mark is remembered until its entry is `duration_s` old or `marks_max` newer ones of its producer have come;
//!           every step is a few searches, and forgets at most what it adds and a few old ones; `heap_bytes` is exact and O(1).
//!           `sweep`, called when `wake_at_ms` says, leaves nothing of producers that are silent.
//! Not here  who calls it: `keyspace/expire.rs`; what a request is called that has no name: `commands/stream_idempotent.rs`.
//! Tests     tests/ds/stream_producers.rs: plain maps, seeded, both compared after every step.

use super::group::{Name, name_bytes};
use super::id::StreamId;
use super::tree::Tree;
use crate::ds::mover::{Mover, Progress};
use std::ops::RangeInclusive;

/// What a request is called: any bytes.
pub type Mark = Name;

/// Steps of [`Producers::sweep`] that go with a mark that comes: enough for two others that are silent.
const STEPS_PER_MARK: usize = 4;
/// Marks of its producer that are forgotten then because they are too old.
const SWEEP_MARKS: usize = 16;
/// From the end of a round over all producers to the next, at least, in milliseconds.
const ROUND_MS: u64 = 1_000;

/// What one producer has sent.
#[derive(Clone, Default)]
struct Requests {
    by_mark: Tree<Mark, StreamId>,
    by_id: Tree<StreamId, Mark>,
    /// Bytes of marks.
    marks_bytes: usize,
}

impl Requests {
    fn heap_bytes(&self) -> usize {
        self.by_mark.heap_bytes() + self.by_id.heap_bytes() + self.marks_bytes
    }

    /// Remembers a mark, and no other for its entry.
    fn insert(&mut self, mark: Mark, id: StreamId) {
        self.forget(&mark);
        if let Some(other) = self.by_id.get(&id).cloned() {
            self.forget(&other);
        }
        self.marks_bytes += name_bytes(&mark);
        self.by_mark.insert(mark.clone(), id);
        self.by_id.insert(id, mark);
    }

    fn forget(&mut self, mark: &[u8]) {
        if let Some(id) = self.by_mark.remove(mark)
            && let Some(mark) = self.by_id.remove(&id)
        {
            self.marks_bytes -= name_bytes(&mark);
        }
    }

    /// About how many allocations dropping it frees.
    fn allocations(&self) -> usize {
        2 + 2 * self.by_id.allocations() + self.by_id.len()
    }

    fn forget_oldest(&mut self) {
        let oldest = self.by_id.first().map(|(_, mark)| mark.clone());
        if let Some(mark) = oldest {
            self.forget(&mark);
        }
    }

    /// Of when the oldest mark is.
    fn first_ms(&self) -> Option<u64> {
        self.by_id.first().map(|(id, _)| id.ms)
    }

    /// Forgets up to `max` marks of what was added before `since_ms`; returns how many.
    fn forget_before(&mut self, since_ms: u64, max: usize) -> usize {
        let mut count = 0;
        while count < max && self.first_ms().is_some_and(|ms| ms < since_ms) {
            self.forget_oldest();
            count += 1;
        }
        count
    }
}

/// What is remembered of a stream's producers, and how long.
pub struct Producers {
    /// How long a mark is remembered, in seconds.
    duration_s: u64,
    /// How many marks of each producer are.
    marks_max: usize,
    producers: Tree<Name, Requests>,
    /// Where sweeping goes on.
    swept: Name,
    /// The least time of the marks that it has left in this round, and of those that came meanwhile.
    round_first_ms: u64,
    /// Before then there is nothing to sweep.
    wake_at_ms: u64,
    /// Bytes of names and marks.
    content_bytes: usize,
    /// Entries that were added with a mark, ever.
    pub added: u64,
    /// Requests that added nothing because their mark was known, ever.
    pub duplicates: u64,
}

impl Producers {
    /// How long marks may be remembered, in seconds.
    pub const DURATIONS_S: RangeInclusive<u64> = 1..=86_400;
    /// How many marks of each producer may be.
    pub const MARKS: RangeInclusive<u64> = 1..=10_000;
    /// Seconds that marks are remembered, unless told otherwise.
    pub const DURATION_S: u64 = 100;
    /// Marks of each producer that are, unless told otherwise.
    pub const MARKS_MAX: usize = 100;

    /// Nobody yet.
    pub fn new() -> Self {
        Self {
            duration_s: Self::DURATION_S,
            marks_max: Self::MARKS_MAX,
            producers: Tree::new(),
            swept: Name::from(&b""[..]),
            round_first_ms: u64::MAX,
            wake_at_ms: u64::MAX,
            content_bytes: 0,
            added: 0,
            duplicates: 0,
        }
    }

    /// Nobody yet, with these limits: seconds and marks.
    pub fn with_limits((duration_s, marks_max): (u64, usize)) -> Self {
        Self {
            duration_s,
            marks_max,
            ..Self::new()
        }
    }

    /// How long marks are remembered, in seconds.
    pub fn duration_s(&self) -> u64 {
        self.duration_s
    }

    /// How many marks of each producer are remembered.
    pub fn marks_max(&self) -> usize {
        self.marks_max
    }

    /// Other bounds: what is remembered under the old ones is forgotten. Returns the producers for somebody to drop.
    pub fn limit(&mut self, duration_s: u64, marks_max: usize) -> Option<Self> {
        if (duration_s, marks_max) == (self.duration_s, self.marks_max) {
            return None;
        }
        let fresh = Self {
            duration_s,
            marks_max,
            added: self.added,
            duplicates: self.duplicates,
            ..Self::new()
        };
        Some(std::mem::replace(self, fresh))
    }

    /// The entry that was added for this mark, if it is remembered.
    pub fn find(&self, producer: &[u8], mark: &[u8], now_ms: u64) -> Option<StreamId> {
        let id = self.find_at_any_time(producer, mark)?;
        (id.ms >= self.since_ms(now_ms)).then_some(id)
    }

    /// The same, however old it is, as long as nobody has forgotten it.
    pub fn find_at_any_time(&self, producer: &[u8], mark: &[u8]) -> Option<StreamId> {
        self.producers.get(producer)?.by_mark.get(mark).copied()
    }

    /// Remembers a mark of an entry. Where its id was given before, as it may be after XSETID, the mark of that time is forgotten.
    pub fn note(&mut self, producer: &[u8], mark: &[u8], id: StreamId, now_ms: u64) {
        self.added += 1;
        let since_ms = self.since_ms(now_ms);
        self.sweep(now_ms, STEPS_PER_MARK);
        self.note_mark_of(id.ms);
        if self.producers.get(producer).is_none() {
            let name = Name::from(producer);
            self.content_bytes += name_bytes(&name);
            self.producers.insert(name, Requests::default());
        }
        let marks_max = self.marks_max;
        let Some(requests) = self.producers.get_mut(producer) else {
            return;
        };
        let before = requests.heap_bytes();
        requests.forget_before(since_ms, SWEEP_MARKS);
        // One that is too old to be found may still be there.
        requests.insert(Mark::from(mark), id);
        while requests.by_id.len() > marks_max {
            requests.forget_oldest();
        }
        self.content_bytes = self.content_bytes + requests.heap_bytes() - before;
    }

    /// Takes back what a payload has of one producer, of marks that come twice the first; false where the producer is there.
    pub fn restore(&mut self, producer: &[u8], marks: &[(Mark, StreamId)]) -> bool {
        if marks.is_empty() || self.producers.get(producer).is_some() {
            return false;
        }
        let mut requests = Requests::default();
        for (mark, id) in marks {
            if requests.by_mark.get(&**mark).is_none() {
                requests.insert(mark.clone(), *id);
            }
        }
        if let Some(ms) = requests.first_ms() {
            self.note_mark_of(ms);
        }
        let name = Name::from(producer);
        self.content_bytes += name_bytes(&name) + requests.heap_bytes();
        self.producers.insert(name, requests);
        true
    }

    /// The last millisecond for which all marks are remembered that are there, or a later one: after it [`Producers::sweep`] has
    /// something to do. None where there is no mark.
    pub fn wake_at_ms(&self) -> Option<u64> {
        (!self.producers.is_empty()).then_some(self.wake_at_ms)
    }

    /// Goes on with the round over all producers that forgets what is too old, and drops those that have nothing else.
    ///
    /// - `steps_max`: producers looked at and marks forgotten, two or more.
    /// - Returns the steps taken, and how many marks were forgotten. At the end of a round it stops.
    pub fn sweep(&mut self, now_ms: u64, steps_max: usize) -> (usize, usize) {
        let since_ms = self.since_ms(now_ms);
        let (mut steps, mut forgotten) = (0, 0);
        while steps < steps_max {
            let mut rest = self.producers.iter_from(&self.swept);
            let Some((name, _)) = rest.next() else {
                self.end_round(now_ms);
                break;
            };
            let name = name.clone();
            let next = rest.next().map(|(name, _)| name.clone());
            let Some(requests) = self.producers.get_mut(&*name) else {
                break;
            };
            let before = requests.heap_bytes();
            steps += 1;
            let count = requests.forget_before(since_ms, steps_max - steps);
            (steps, forgotten) = (steps + count, forgotten + count);
            let after = requests.heap_bytes();
            self.content_bytes = self.content_bytes + after - before;
            match requests.first_ms() {
                None => {
                    self.content_bytes -= name_bytes(&name) + after;
                    self.producers.remove(&*name);
                }
                // It has more of them than there are steps left.
                Some(ms) if ms < since_ms => {
                    self.swept = name;
                    break;
                }
                Some(ms) => self.round_first_ms = self.round_first_ms.min(ms),
            }
            match next {
                Some(next) => self.swept = next,
                None => {
                    self.end_round(now_ms);
                    break;
                }
            }
        }
        (steps, forgotten)
    }

    /// How many producers have a mark that is remembered, and how many marks that are.
    ///
    /// - Cost: O(all marks); those that are too old count for nothing.
    pub fn count(&self, now_ms: u64) -> (usize, usize) {
        let since = StreamId::new(self.since_ms(now_ms), 0);
        let living = self
            .producers
            .iter()
            .map(|(_, requests)| requests.by_id.iter_from(&since).count());
        living
            .filter(|count| *count > 0)
            .fold((0, 0), |(producers, marks), count| {
                (producers + 1, marks + count)
            })
    }

    /// Whether no producer has ever sent anything.
    pub fn is_unused(&self) -> bool {
        self.producers.is_empty() && self.added == 0 && self.duplicates == 0
    }

    /// How many producers there are, those with nothing but old marks too.
    pub fn producers_count(&self) -> usize {
        self.producers.len()
    }

    /// Each producer's name, how many marks it has, and those in the order of their entries.
    pub fn iter(
        &self,
    ) -> impl Iterator<Item = (&[u8], usize, impl Iterator<Item = (&[u8], StreamId)>)> {
        self.producers.iter().map(|(name, requests)| {
            let marks = requests.by_id.iter().map(|(id, mark)| (&**mark, *id));
            (&**name, requests.by_id.len(), marks)
        })
    }

    /// Bytes allocated.
    pub fn heap_bytes(&self) -> usize {
        self.producers.heap_bytes() + self.content_bytes
    }

    /// Moves allocations, from `from` on; returns where to go on, None at the end. Names and marks stay where they are.
    pub(super) fn move_step(&mut self, from: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
        let at = from.index();
        if from.part == 0 {
            let next = self.producers.move_step(at, mover, &mut |_, _| ());
            let (part, at) = next.map_or((1, 0), |at| (0, at));
            return Some(Progress::new(part, at));
        }
        let (mut number, mut at, mut next) = (1, at, None);
        self.producers.for_each_mut(&mut |_, requests| {
            for is_by_id in [false, true] {
                if number >= from.part && next.is_none() {
                    let rest = if is_by_id {
                        requests.by_id.move_step(at, mover, &mut |_, _| ())
                    } else {
                        requests.by_mark.move_step(at, mover, &mut |_, _| ())
                    };
                    at = 0;
                    next = match rest {
                        Some(at) => Some((number, at)),
                        None => mover.is_over().then_some((number + 1, 0)),
                    };
                }
                number += 1;
            }
        });
        next.map(|(part, at)| Progress::new(part, at))
    }

    /// About how many allocations dropping it frees.
    pub fn allocations(&self) -> usize {
        let of_requests = self.producers.iter();
        of_requests
            .map(|(_, requests)| requests.allocations())
            .sum()
    }

    /// Frees some of it; returns about how many allocations those were, 0 when nothing is left.
    pub fn free_step(&mut self) -> usize {
        let Some(leaf) = self.producers.pop_leaf() else {
            self.content_bytes = 0;
            return 0;
        };
        let mut freed = 1;
        for (name, requests) in &leaf {
            self.content_bytes -= name_bytes(name) + requests.heap_bytes();
            freed += requests.allocations();
        }
        freed
    }

    /// Entries of before then are too old.
    fn since_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.duration_s * 1000)
    }

    /// A copy, its arrays without spare room.
    pub fn dense(&self) -> Self {
        let producers = self.producers.clone();
        let content = producers.iter();
        Self {
            content_bytes: content
                .map(|(name, it)| name_bytes(name) + it.heap_bytes())
                .sum(),
            producers,
            swept: self.swept.clone(),
            ..*self
        }
    }

    /// A mark of that time is there, or comes.
    fn note_mark_of(&mut self, ms: u64) {
        self.round_first_ms = self.round_first_ms.min(ms);
        self.wake_at_ms = self.wake_at_ms.min(self.end_of(ms));
    }

    /// Until when a mark of then is remembered.
    fn end_of(&self, ms: u64) -> u64 {
        ms.saturating_add(self.duration_s * 1000)
    }

    /// All producers have been looked at: the next round begins when a mark that was left is too old.
    fn end_round(&mut self, now_ms: u64) {
        let first_ms = std::mem::replace(&mut self.round_first_ms, u64::MAX);
        self.wake_at_ms = self.end_of(first_ms).max(now_ms.saturating_add(ROUND_MS));
        self.swept = Name::from(&b""[..]);
        if self.producers.is_empty() {
            // Its last array goes as well.
            self.producers = Tree::new();
        }
    }

    /// Checks what must be true of it; for tests.
    #[doc(hidden)]
    pub fn assert_sound(&self) {
        self.producers.assert_sound();
        let mut bytes = 0;
        for (name, requests) in self.producers.iter() {
            requests.by_mark.assert_sound();
            requests.by_id.assert_sound();
            assert_eq!(requests.by_mark.len(), requests.by_id.len(), "both ways");
            let mut marks_bytes = 0;
            for (id, mark) in requests.by_id.iter() {
                assert_eq!(requests.by_mark.get(mark), Some(id), "both ways");
                marks_bytes += name_bytes(mark);
            }
            assert_eq!(marks_bytes, requests.marks_bytes, "the account");
            bytes += name_bytes(name) + requests.heap_bytes();
        }
        assert_eq!(bytes, self.content_bytes, "the account");
    }
}

impl Default for Producers {
    fn default() -> Self {
        Self::new()
    }
}
