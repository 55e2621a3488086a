//! Group: who of several consumers was given which entries, and has not acknowledged them yet.
//!
//!     pending    entry id -> when, how often, to whom                      of the group
//!     consumers  number -> name, when seen, ids of its pending entries     by name: numbers
//!
//! What was given back is nobody's, and older than all that somebody has: instead of a time it is kept with its number among
//! the releases, below all times. So it goes to the next who claims first, in the order in which it was given back.
//!
//! Promises  a pending entry of a consumer is one of the group with that consumer's number, and the other way round;
//!           `heap_bytes` is exact and O(1); the cost of all steps is that of a few searches.
//! Not here  the entries: `log.rs`.
//! Tests     tests/ds/stream_groups.rs: plain maps, seeded, both sides compared after every step.

use super::id::StreamId;
use super::tree::Tree;
use crate::ds::mover::{Mover, Progress};
use std::mem;
use std::num::NonZeroU64;
use std::sync::Arc;

/// The name of a group or consumer: any bytes.
pub type Name = Arc<[u8]>;

/// A consumer within its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConsumerNumber(NonZeroU64);

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// When it was delivered last, in milliseconds since the epoch; 0, if it was given back.
    pub delivered_at_ms: i64,
    /// How often it was delivered.
    pub deliveries: u64,
    /// Who has it; nobody, if it was given back.
    pub consumer: Option<ConsumerNumber>,
}

impl Pending {
    /// Whether it was delivered so long ago, in milliseconds. For 0 that is any entry: a clock that was set back leaves some whose
    /// time is still to come.
    pub fn is_idle_for(&self, idle_ms_min: i64, now_ms: i64) -> bool {
        idle_ms_min == 0 || now_ms.saturating_sub(self.delivered_at_ms) >= idle_ms_min
    }
}

const _: () = assert!(size_of::<(StreamId, Pending)>() == 40);

/// Pending entries that a walk passes in the time that a search for one takes, about.
const WALKED_PER_SEARCH: usize = 16;

/// Someone who reads as a member of a group.
#[derive(Clone)]
pub struct Consumer {
    name: Name,
    pending: Tree<StreamId, ()>,
    /// When it last tried to read, in milliseconds since the epoch.
    pub seen_at_ms: i64,
    /// When it last got something, if it ever did.
    pub active_at_ms: Option<i64>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many entries it has not acknowledged.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }
}

/// A consumer group.
pub struct Group {
    /// Entries up to this one were delivered.
    pub last_id: StreamId,
    /// How many entries were added up to `last_id`, where that is known.
    pub entries_read: Option<u64>,
    /// As [`Group::assign`] keeps them.
    pending: Tree<StreamId, Pending>,
    consumers: Tree<ConsumerNumber, Consumer>,
    numbers: Tree<Name, ConsumerNumber>,
    next_number: NonZeroU64,
    /// How often an entry was given back.
    releases: u64,
    /// The pending entries by when they were delivered; only where somebody has asked for that order.
    by_time: Option<Tree<(i64, StreamId), ()>>,
    /// Bytes of names and of the consumers' own pending entries.
    consumers_bytes: usize,
}

impl Group {
    /// A group that has delivered everything up to `last_id`.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Self {
        Self {
            last_id,
            entries_read,
            pending: Tree::new(),
            consumers: Tree::new(),
            numbers: Tree::new(),
            next_number: NonZeroU64::MIN,
            releases: 0,
            by_time: None,
            consumers_bytes: 0,
        }
    }

    /// The consumer of that name.
    pub fn find(&self, name: &[u8]) -> Option<ConsumerNumber> {
        self.numbers.get(name).copied()
    }

    /// Adds a consumer; none if there is one of that name.
    pub fn add_consumer(&mut self, name: &[u8], now_ms: i64) -> Option<ConsumerNumber> {
        if self.find(name).is_some() {
            return None;
        }
        let number = ConsumerNumber(self.next_number);
        self.next_number = self.next_number.checked_add(1)?;
        let name = Name::from(name);
        self.consumers_bytes += name_bytes(&name);
        self.numbers.insert(name.clone(), number);
        let consumer = Consumer {
            name,
            pending: Tree::new(),
            seen_at_ms: now_ms,
            active_at_ms: None,
        };
        self.consumers.insert(number, consumer);
        Some(number)
    }

    /// Removes a consumer and forgets what was pending with it; returns how many entries those were, and what is left to
    /// free of it. That is good for nothing else.
    ///
    /// - Cost: O(1) where all that is pending is with it; where others have some, a search for each of its entries, or one walk
    ///   over everybody's where it has many.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<(usize, Group)> {
        let number = self.numbers.remove(name)?;
        let consumer = self.consumers.remove(&number)?;
        let consumer_bytes = name_bytes(&consumer.name) + consumer.pending.heap_bytes();
        self.consumers_bytes -= consumer_bytes;
        let mut rest = Self::new(StreamId::MIN, None);
        if consumer.pending.len() == self.pending.len() {
            rest.pending = mem::take(&mut self.pending);
            rest.by_time = self.by_time.take();
        } else if self.by_time.is_none()
            && consumer.pending.len() > self.pending.len() / WALKED_PER_SEARCH
        {
            self.pending
                .retain(&mut |_, pending| pending.consumer != Some(number));
        } else {
            for (id, ()) in consumer.pending.iter() {
                if let Some(pending) = self.pending.remove(id) {
                    self.forget_time(*id, &pending);
                }
            }
        }
        let count = consumer.pending.len();
        rest.consumers_bytes = consumer_bytes;
        rest.consumers.insert(number, consumer);
        Some((count, rest))
    }

    /// A consumer.
    pub fn consumer(&self, number: ConsumerNumber) -> &Consumer {
        let consumer = self.consumers.get(&number);
        consumer.expect("a number comes from its group and lives as long as the consumer")
    }

    /// Notes that a consumer tries to read.
    pub fn see(&mut self, number: ConsumerNumber, now_ms: i64) {
        if let Some(consumer) = self.consumers.get_mut(&number) {
            consumer.seen_at_ms = now_ms;
        }
    }

    /// Notes that a consumer got something.
    pub fn activate(&mut self, number: ConsumerNumber, now_ms: i64) {
        if let Some(consumer) = self.consumers.get_mut(&number) {
            consumer.active_at_ms = Some(now_ms);
        }
    }

    /// Sets who has an entry, when it was delivered and how often; adds it where it is not pending. What becomes nobody's, or is
    /// so once more, is the last of those.
    pub fn assign(&mut self, id: StreamId, mut pending: Pending) {
        if pending.consumer.is_none() {
            pending.delivered_at_ms = i64::MIN.saturating_add_unsigned(self.releases);
            self.releases += 1;
        }
        let before = self.pending.insert(id, pending);
        if let Some(by_time) = &mut self.by_time {
            if let Some(before) = before {
                by_time.remove(&(before.delivered_at_ms, id));
            }
            by_time.insert((pending.delivered_at_ms, id), ());
        }
        let had = before.and_then(|before| before.consumer);
        if had == pending.consumer {
            return;
        }
        self.unlink(had, id);
        if let Some(number) = pending.consumer {
            self.change_consumer(number, |own| {
                own.insert(id, ());
            });
        }
    }

    /// Forgets a pending entry: it was acknowledged, or is no more.
    pub fn acknowledge(&mut self, id: StreamId) -> Option<Pending> {
        let pending = self.pending.remove(&id)?;
        self.forget_time(id, &pending);
        self.unlink(pending.consumer, id);
        Some(shown(&pending))
    }

    fn forget_time(&mut self, id: StreamId, pending: &Pending) {
        if let Some(by_time) = &mut self.by_time {
            by_time.remove(&(pending.delivered_at_ms, id));
            if by_time.is_empty() {
                self.by_time = None;
            }
        }
    }

    fn unlink(&mut self, number: Option<ConsumerNumber>, id: StreamId) {
        if let Some(number) = number {
            self.change_consumer(number, |own| {
                own.remove(&id);
            });
        }
    }

    fn change_consumer(
        &mut self,
        number: ConsumerNumber,
        change: impl FnOnce(&mut Tree<StreamId, ()>),
    ) {
        if let Some(consumer) = self.consumers.get_mut(&number) {
            let before = consumer.pending.heap_bytes();
            change(&mut consumer.pending);
            self.consumers_bytes = self.consumers_bytes - before + consumer.pending.heap_bytes();
        }
    }

    /// A pending entry.
    pub fn pending(&self, id: StreamId) -> Option<Pending> {
        self.pending.get(&id).map(shown)
    }

    /// Pending entries from `start` on.
    pub fn pending_from(&self, start: StreamId) -> impl Iterator<Item = (StreamId, Pending)> {
        self.pending
            .iter_from(&start)
            .map(|(id, pending)| (*id, shown(pending)))
    }

    /// Pending entries that are nobody's, in the order in which they were given back.
    ///
    /// - Cost: a walk over all that is pending, where there are any.
    pub fn released(&self) -> Vec<StreamId> {
        if self.released_count() == 0 {
            return Vec::new();
        }
        let all = self.pending.iter();
        let released = all.filter(|(_, pending)| pending.consumer.is_none());
        let mut released: Vec<_> = released
            .map(|(id, pending)| (pending.delivered_at_ms, *id))
            .collect();
        released.sort_unstable();
        released.into_iter().map(|(_, id)| id).collect()
    }

    /// How many pending entries are nobody's.
    ///
    /// - Cost: O(consumers).
    pub fn released_count(&self) -> usize {
        let consumers = self.consumers.iter();
        let owned_count: usize = consumers.map(|(_, it)| it.pending_count()).sum();
        self.pending.len() - owned_count
    }

    /// When the entry was delivered that has been pending for longest of those that a predicate takes. Where it takes none of the first
    /// `looks_max`, the answer is when the last of those was, and an error.
    ///
    /// - Cost: that of all pending entries, where they are not in order of time yet.
    pub fn longest_pending_ms(
        &self,
        looks_max: usize,
        is_taken: impl Fn(StreamId) -> bool,
    ) -> Option<Result<i64, i64>> {
        let Some(by_time) = &self.by_time else {
            let pending = self.pending.iter().filter(|(id, _)| is_taken(**id));
            return pending
                .map(|(_, it)| shown(it).delivered_at_ms)
                .min()
                .map(Ok);
        };
        let mut last_ms = None;
        for ((since_ms, id), ()) in by_time.iter().take(looks_max) {
            if is_taken(*id) {
                return Some(Ok((*since_ms).max(0)));
            }
            last_ms = Some((*since_ms).max(0));
        }
        last_ms.filter(|_| by_time.len() > looks_max).map(Err)
    }

    /// Pending entries by when they were delivered, longest ago first; before those what was given back, in that order.
    ///
    /// - Cost: the first time puts all of them in order; from then on the order is kept, until nothing is pending.
    pub fn pending_by_time(&mut self) -> impl Iterator<Item = (StreamId, Pending)> {
        let by_time = self.by_time.get_or_insert_with(|| {
            let pending = self.pending.iter();
            let mut times: Vec<_> = pending.map(|(id, it)| (it.delivered_at_ms, *id)).collect();
            times.sort_unstable();
            let mut by_time = Tree::new();
            times.into_iter().for_each(|time| {
                by_time.insert(time, ());
            });
            by_time
        });
        let pending = &self.pending;
        let of_id = |id: StreamId| Some((id, shown(pending.get(&id)?)));
        by_time.iter().filter_map(move |((_, id), ())| of_id(*id))
    }

    /// Pending entries of one consumer from `start` on.
    pub fn pending_of(
        &self,
        number: ConsumerNumber,
        start: StreamId,
    ) -> impl Iterator<Item = (StreamId, Pending)> {
        let own = self.consumer(number).pending.iter_from(&start);
        own.filter_map(|(id, ())| Some((*id, shown(self.pending.get(id)?))))
    }

    /// How many entries are pending.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// The first and the last pending entry.
    pub fn pending_ends(&self) -> Option<(StreamId, StreamId)> {
        let (first, last) = (self.pending.first()?, self.pending.last()?);
        Some((*first.0, *last.0))
    }

    /// The consumers, by name.
    pub fn consumers(&self) -> impl Iterator<Item = (ConsumerNumber, &Consumer)> {
        self.numbers
            .iter()
            .map(|(_, number)| (*number, self.consumer(*number)))
    }

    /// How many consumers.
    pub fn consumers_count(&self) -> usize {
        self.consumers.len()
    }

    /// Bytes allocated.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.pending.heap_bytes()
            + self.consumers.heap_bytes()
            + self.numbers.heap_bytes()
            + self.by_time.as_ref().map_or(0, Tree::heap_bytes)
            + self.consumers_bytes
    }

    /// Moves allocations, from `from` on; returns where to go on, None at the end. Names stay where they are.
    pub(super) fn move_step(&mut self, from: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
        const OF_CONSUMERS: u64 = 4;
        let at = from.index();
        let next = match from.part {
            0 => self.pending.move_step(at, mover, &mut |_, _| ()),
            1 => {
                let by_time = self.by_time.as_mut();
                by_time.and_then(|it| it.move_step(at, mover, &mut |(), _| ()))
            }
            2 => self.numbers.move_step(at, mover, &mut |_, _| ()),
            3 => self.consumers.move_step(at, mover, &mut |_, _| ()),
            part => {
                let mut next = None;
                let (mut number, mut at) = (OF_CONSUMERS, at);
                self.consumers.for_each_mut(&mut |_, consumer| {
                    if number >= part && next.is_none() {
                        let rest = consumer.pending.move_step(at, mover, &mut |(), _| ());
                        at = 0;
                        next = match rest {
                            Some(at) => Some((number, at)),
                            None => mover.is_over().then_some((number + 1, 0)),
                        };
                    }
                    number += 1;
                });
                return next.map(|(part, at)| Progress::new(part, at));
            }
        };
        let (part, at) = next.map_or((from.part + 1, 0), |at| (from.part, at));
        Some(Progress::new(part, at))
    }

    /// About how many allocations dropping it frees.
    pub(super) fn allocations(&self) -> usize {
        // Every pending entry is in two trees; every consumer has a name and at least one leaf.
        self.pending.allocations() * 2 + self.consumers.len() * 2 + self.consumers.allocations()
    }

    /// Frees about `budget` allocations. What is left is good for nothing but freeing the rest.
    pub(super) fn free_step(&mut self, budget: usize) -> usize {
        let mut freed = 0;
        while freed < budget && self.pending.pop_leaf().is_some() {
            freed += 1;
        }
        while freed < budget
            && self
                .by_time
                .as_mut()
                .is_some_and(|it| it.pop_leaf().is_some())
        {
            freed += 1;
        }
        while freed < budget && self.free_consumer_leaf() {
            freed += 1;
        }
        freed
    }

    /// Frees a leaf of the last consumer's pending entries, or that consumer.
    fn free_consumer_leaf(&mut self) -> bool {
        let Some((&number, consumer)) = self.consumers.last_mut() else {
            return false;
        };
        let before = consumer.pending.heap_bytes();
        if consumer.pending.pop_leaf().is_some() {
            self.consumers_bytes = self.consumers_bytes - before + consumer.pending.heap_bytes();
            return true;
        }
        if let Some(consumer) = self.consumers.remove(&number) {
            self.numbers.remove(&consumer.name);
            self.consumers_bytes -= name_bytes(&consumer.name);
        }
        true
    }

    /// Checks what must be true of every group; for tests.
    #[doc(hidden)]
    pub fn assert_sound(&self) {
        self.pending.assert_sound();
        self.consumers.assert_sound();
        self.numbers.assert_sound();
        assert_eq!(self.numbers.len(), self.consumers.len());
        let mut consumers_bytes = 0;
        let mut owned_count = 0;
        for (number, consumer) in self.consumers() {
            consumer.pending.assert_sound();
            consumers_bytes += consumer.pending.heap_bytes() + name_bytes(&consumer.name);
            owned_count += consumer.pending.len();
            for (id, ()) in consumer.pending.iter() {
                let pending = self.pending.get(id).expect("pending with the group, too");
                assert_eq!(pending.consumer, Some(number), "{id}");
            }
        }
        let owned = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.consumer.is_some());
        assert_eq!(owned.count(), owned_count);
        assert_eq!(consumers_bytes, self.consumers_bytes);
        if let Some(by_time) = &self.by_time {
            by_time.assert_sound();
            assert_eq!(by_time.len(), self.pending.len());
            for (id, pending) in self.pending.iter() {
                assert!(
                    by_time.get(&(pending.delivered_at_ms, *id)).is_some(),
                    "{id}"
                );
            }
        }
    }
}

impl Clone for Group {
    fn clone(&self) -> Self {
        let consumers = self.consumers.clone();
        let consumers_bytes = consumers
            .iter()
            .map(|(_, consumer)| name_bytes(&consumer.name) + consumer.pending.heap_bytes())
            .sum();
        Self {
            last_id: self.last_id,
            entries_read: self.entries_read,
            pending: self.pending.clone(),
            consumers,
            numbers: self.numbers.clone(),
            next_number: self.next_number,
            releases: self.releases,
            by_time: self.by_time.clone(),
            consumers_bytes,
        }
    }
}

/// A pending entry as others know it: what is nobody's has no time.
#[inline]
fn shown(pending: &Pending) -> Pending {
    Pending {
        delivered_at_ms: match pending.consumer {
            Some(_) => pending.delivered_at_ms,
            None => 0,
        },
        ..*pending
    }
}

/// Bytes of a name's allocation: two counts and the text.
pub(super) fn name_bytes(name: &Name) -> usize {
    (2 * size_of::<usize>() + name.len()).next_multiple_of(align_of::<usize>())
}
