//! Waiters: who waits for which keys of one shard, in order of arrival.
//!
//!     key -> ids of its waiters, lowest first        id -> request, claim, keys
//!     keys to look at: those that changed while somebody waited for them, and whether others may have with them
//!
//! Promises  a key nobody waits for costs one lookup a change, and nothing while nobody waits at all; a waiter that ends is
//!           gone from all its keys.
//! Not here  running the requests: `shard/waiting.rs`. What cannot be served yet: `shard/put_off.rs`.
//! Tests     tests/shard/waiting.rs.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::Request;
use super::claimable::Claimable;
use super::put_off::{Cause, PutOff};
use crate::commands::Entry;
use crate::commands::table::Group;
use crate::resp::args::OwnedArgs;
use crate::router::wait::Claim;

/// A key in a database, by the process's hash. Two that collide are looked at together, which costs a look.
pub type WaitKey = (u16, u64);

/// How a key changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// By what touched this shard only.
    #[default]
    Here,
    /// By a transaction over several shards.
    OfSeveral,
}

/// Whether a waiter's coordinator is asked to look, instead of its being served here.
#[derive(Clone, Copy, Debug)]
pub enum Asks {
    /// All it needs is here.
    Never,
    /// It needs another shard as well.
    Always,
    /// It waits for keys of other shards, too, and takes from the first that has something.
    ForOrder,
    /// It reads what it waits for, of other shards as well, and is given all that one transaction brings; one key of another type
    /// is an error for all.
    ForAll,
}

impl Asks {
    /// Of a client that waits for keys of other shards as well.
    pub fn of_part(entry: &Entry) -> Self {
        match entry.command.group {
            Group::List | Group::SortedSet => Self::ForOrder,
            _ => Self::ForAll,
        }
    }
}

/// The type of what a command that may wait takes or reads.
pub fn wanted_type(entry: &Entry) -> &'static str {
    match entry.command.group {
        Group::SortedSet => "zset",
        Group::Stream => "stream",
        _ => "list",
    }
}

/// A client's wish, as one shard keeps it.
pub struct Waiter {
    /// What to run; its origin is where the reply goes.
    pub request: Request,
    /// Its words: this shard's keys only.
    pub args: OwnedArgs,
    /// Shared with the client's other waiters.
    pub claim: Claim,
    /// To be looked at when a key goes, too.
    pub on_delete: bool,
    /// Whether its coordinator is asked.
    pub asks: Asks,
    /// The coordinator has been asked and has not answered.
    pub is_asking: bool,
    /// Meanwhile something happened to one of its keys, of which the coordinator may not know.
    pub is_due_again: bool,
    /// It has answered just now: there is no error, and what there is may be read here, or it is not enough.
    pub is_checked: bool,
    /// What transactions over several shards have done here until this change was there when it came, or its coordinator knows of it.
    known_until: u64,
    /// The last change before its coordinator was asked.
    asked_at: u64,
    keys: Vec<WaitKey>,
}

impl Waiter {
    /// A waiter that is not entered yet.
    pub fn new(
        request: Request,
        args: OwnedArgs,
        claim: Claim,
        on_delete: bool,
        asks: Asks,
    ) -> Self {
        Self {
            request,
            args,
            claim,
            on_delete,
            asks,
            is_asking: false,
            is_due_again: false,
            is_checked: false,
            known_until: 0,
            asked_at: 0,
            keys: Vec::new(),
        }
    }
}

/// Who waits for one key.
#[derive(Default)]
struct Queue {
    key: Vec<u8>,
    ids: BTreeSet<u64>,
    /// Those of them that have looked at what it holds now and left it: it is not enough for them.
    left_by: BTreeSet<u64>,
    /// Those of them that look when the key goes.
    on_delete_count: usize,
    /// The last change of it that was part of a transaction over several shards, as [`Waiters::changes_count`] had it.
    of_several_at: u64,
}

/// Keys to look at in the order in which they were marked, none twice.
#[derive(Default)]
struct Marked {
    order: VecDeque<WaitKey>,
    changes: HashMap<WaitKey, Change, ahash::RandomState>,
}

impl Marked {
    fn push(&mut self, place: WaitKey, change: Change) {
        let known = self.changes.entry(place).or_insert_with(|| {
            self.order.push_back(place);
            change
        });
        *known = change.max(*known);
    }

    fn pop(&mut self) -> Option<(WaitKey, Change)> {
        let place = self.order.pop_front()?;
        let change = self.changes.remove(&place).unwrap_or_default();
        Some((place, change))
    }
}

/// All waiters of one shard.
#[derive(Default)]
pub struct Waiters {
    queues: HashMap<WaitKey, Queue, ahash::RandomState>,
    waiters: HashMap<u64, Waiter, ahash::RandomState>,
    /// Those of them that are looked at when a key goes, too.
    on_delete_count: usize,
    ready: Marked,
    later: PutOff,
    claimable: Claimable,
    /// How often a key has been looked at.
    looks_count: u64,
    /// How often one has been marked for a change.
    changes_count: u64,
    /// How keys change that are marked now.
    change: Change,
    /// See [`Waiters::serve_last_first`].
    is_last_first: bool,
}

impl Waiters {
    /// Whether nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Clients that wait here.
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether somebody looks when a key goes.
    #[inline]
    pub fn has_on_delete(&self) -> bool {
        self.on_delete_count > 0
    }

    /// Keys somebody waits for.
    pub fn keys_count(&self) -> usize {
        self.queues.len()
    }

    /// Those of them that are looked at when they go, too. Cost: a walk over all of them.
    pub fn on_delete_keys_count(&self) -> usize {
        let queues = self.queues.values();
        queues.filter(|queue| queue.on_delete_count > 0).count()
    }

    /// Enters a waiter for `keys`: each with its place and its bytes.
    pub fn add(&mut self, id: u64, mut waiter: Waiter, keys: Vec<(WaitKey, Vec<u8>)>) {
        for (place, key) in keys {
            if waiter.keys.contains(&place) {
                continue;
            }
            waiter.keys.push(place);
            let queue = self.queues.entry(place).or_default();
            queue.key = key;
            queue.ids.insert(id);
            queue.on_delete_count += usize::from(waiter.on_delete);
        }
        self.on_delete_count += usize::from(waiter.on_delete);
        waiter.known_until = self.changes_count;
        self.waiters.insert(id, waiter);
    }

    /// Forgets a waiter; unknown ones are ignored. Those behind one whose coordinator was asked have waited for its answer.
    pub fn remove(&mut self, id: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&id)?;
        self.on_delete_count -= usize::from(waiter.on_delete);
        for place in &waiter.keys {
            if let Some(queue) = self.queues.get_mut(place) {
                queue.ids.remove(&id);
                queue.left_by.remove(&id);
                queue.on_delete_count -= usize::from(waiter.on_delete);
                if queue.ids.is_empty() {
                    self.queues.remove(place);
                    self.claimable.forget(*place);
                }
            }
        }
        if waiter.is_asking {
            // No change: one that has just come, and of whom his coordinator does not know yet, would have it asked.
            let places = waiter.keys.iter();
            places.for_each(|place| self.look_at(*place, self.change));
        }
        Some(waiter)
    }

    /// When keys are to be looked at for readers that wait with CLAIM.
    #[inline]
    pub fn claimable(&mut self) -> &mut Claimable {
        &mut self.claimable
    }

    /// Marks the keys of which something has become claimable.
    pub fn mark_claimable(&mut self, now_ms: i64) {
        while let Some(place) = self.claimable.next_due(now_ms) {
            self.mark_as(place, Change::Here);
        }
    }

    /// A waiter.
    pub fn get_mut(&mut self, id: u64) -> Option<&mut Waiter> {
        self.waiters.get_mut(&id)
    }

    /// The first waiter of a key with an id of at least `from`.
    pub fn first_from(&self, place: WaitKey, from: u64) -> Option<u64> {
        let mut ids = self.queues.get(&place)?.ids.range(from..);
        match self.is_last_first {
            false => ids.next().copied(),
            true => ids.next_back().copied(),
        }
    }

    /// Whether a waiter's coordinator is to look, after this change.
    pub fn is_to_ask(&self, id: u64, change: Change) -> bool {
        let Some(waiter) = self.waiters.get(&id) else {
            return false;
        };
        let is_in_doubt = waiter.claim.is_in_doubt();
        match waiter.asks {
            _ if waiter.claim.is_denied() => true,
            Asks::Never => false,
            Asks::Always => true,
            Asks::ForOrder => change == Change::OfSeveral || is_in_doubt,
            Asks::ForAll => is_in_doubt && !waiter.is_checked || self.has_of_several(waiter),
        }
    }

    /// Whether a waiter's coordinator is to look for no other reason than what a transaction over several shards has done here.
    pub fn is_to_ask_for_all(&self, id: u64) -> bool {
        let waiter = self.waiters.get(&id);
        waiter.is_some_and(|it| matches!(it.asks, Asks::ForAll) && self.has_of_several(it))
    }

    /// What has been done here so far brings a waiter nothing.
    pub fn has_nothing(&mut self, id: u64) {
        let changes_count = self.changes_count;
        if let Some(waiter) = self.waiters.get_mut(&id) {
            waiter.known_until = changes_count;
        }
    }

    /// Whether a transaction over several shards has changed one of its keys, whichever is looked at now, and its coordinator does not
    /// know.
    fn has_of_several(&self, waiter: &Waiter) -> bool {
        let queues = waiter.keys.iter().filter_map(|key| self.queues.get(key));
        let mut changes = queues.map(|queue| queue.of_several_at);
        changes.any(|change| change > waiter.known_until)
    }

    /// A waiter's coordinator is asked: it will find whatever has been done here.
    pub fn ask(&mut self, id: u64) {
        let asked_at = self.changes_count;
        if let Some(waiter) = self.waiters.get_mut(&id) {
            waiter.is_asking = true;
            waiter.asked_at = asked_at;
        }
    }

    /// The words of a waiter: this shard's keys only.
    pub fn words_of(&self, id: u64) -> Option<&OwnedArgs> {
        Some(&self.waiters.get(&id)?.args)
    }

    /// The type of what a waiter waits for.
    pub fn wanted_by(&self, id: u64) -> Option<&'static str> {
        Some(wanted_type(self.waiters.get(&id)?.request.entry))
    }

    /// Whether somebody who came before `id` waits for what a key holds, which is of this type, and has not left it.
    pub fn has_before(&self, place: WaitKey, id: u64, has: &'static str) -> bool {
        let Some(queue) = self.queues.get(&place) else {
            return false;
        };
        let before = queue.ids.range(..id);
        let before = before.filter(|id| !queue.left_by.contains(id));
        let mut waiters = before.filter_map(|id| self.waiters.get(id));
        waiters.any(|waiter| {
            // It may have been served by another shard that it waits at.
            wanted_type(waiter.request.entry) == has && !waiter.claim.is_over()
        })
    }

    /// Whether for one of its other keys somebody who came before is being looked after, or put off: what this one would find
    /// there is not its.
    pub fn is_behind_another(&self, id: u64, place: WaitKey) -> bool {
        let Some(waiter) = self.waiters.get(&id).filter(|waiter| waiter.keys.len() > 1) else {
            return false;
        };
        let mut others = waiter.keys.iter().filter(|other| **other != place);
        others.any(|other| {
            let Some(queue) = self.queues.get(other) else {
                return false;
            };
            let before = queue.ids.range(..id);
            let mut before = before.filter(|id| !queue.left_by.contains(id));
            let is_asking = |id: &u64| self.waiters.get(id).is_some_and(|it| it.is_asking);
            match self.later.has(*other) {
                true => before.next().is_some(),
                false => before.any(is_asking),
            }
        })
    }

    /// One of a key's waiters has looked at it, and leaves what it holds to the next.
    pub fn leave(&mut self, place: WaitKey, id: u64) {
        if let Some(queue) = self.queues.get_mut(&place) {
            queue.left_by.insert(id);
        }
    }

    /// The wait of one whose claim is taken is over, here and at other shards.
    pub fn end(&mut self, id: u64) {
        if let Some(waiter) = self.waiters.get(&id) {
            waiter.claim.end();
            self.remove(id);
        }
    }

    /// Breaks it on purpose: the last to come is the first, and the only one.
    pub fn serve_last_first(&mut self) {
        self.is_last_first = true;
    }

    /// A key's bytes, and whether somebody looks when it goes.
    pub fn key(&self, place: WaitKey) -> Option<(&[u8], bool)> {
        let queue = self.queues.get(&place)?;
        Some((&queue.key, queue.on_delete_count > 0))
    }

    /// How keys change that are marked from now on; how they did before.
    #[inline]
    pub fn set_change(&mut self, change: Change) -> Change {
        std::mem::replace(&mut self.change, change)
    }

    /// What has been done here and not been looked at yet turns out to be part of what is done on several shards.
    pub fn widen_changes(&mut self) {
        for place in std::mem::take(&mut self.ready).order {
            self.mark_as(place, Change::OfSeveral);
        }
    }

    /// Something happened to a key.
    pub fn mark(&mut self, place: WaitKey) {
        self.mark_as(place, self.change);
    }

    fn mark_as(&mut self, place: WaitKey, change: Change) {
        self.look_at(place, change);
        if let Some(queue) = self.queues.get_mut(&place) {
            self.changes_count += 1;
            if change == Change::OfSeveral {
                queue.of_several_at = self.changes_count;
            }
        }
    }

    /// A key is to be looked at, also by those who have left what it holds.
    fn look_at(&mut self, place: WaitKey, change: Change) {
        if let Some(queue) = self.queues.get_mut(&place) {
            queue.left_by.clear();
            self.ready.push(place, change);
        }
    }

    /// A key is to be looked at, but it holds what it held: those who have left that need not look.
    fn push_again(&mut self, place: WaitKey, change: Change) {
        if self.queues.contains_key(&place) {
            self.ready.push(place, change);
        }
    }

    /// One that had its coordinator look goes on waiting: its keys are looked at again for those behind it, and by those who have
    /// left what they hold no more than before.
    pub fn look_again(&mut self, id: u64) {
        if let Some(waiter) = self.waiters.get_mut(&id) {
            waiter.known_until = waiter.asked_at;
            let places = waiter.keys.iter();
            places.for_each(|place| self.ready.push(*place, Change::Here));
        }
    }

    /// Whether a waiter has looked at what a key holds now and left it.
    pub fn has_left(&self, place: WaitKey, id: u64) -> bool {
        let queue = self.queues.get(&place);
        queue.is_some_and(|queue| queue.left_by.contains(&id))
    }

    /// Something may have happened to any key.
    pub fn mark_all(&mut self) {
        let mut places: Vec<(u64, WaitKey)> = self
            .queues
            .iter()
            .filter_map(|(place, queue)| Some((*queue.ids.first()?, *place)))
            .collect();
        // In order of arrival, whatever order the map has.
        places.sort_unstable();
        places.into_iter().for_each(|(_, place)| self.mark(place));
    }

    /// The next key to look at.
    pub fn next_ready(&mut self) -> Option<(WaitKey, Change)> {
        let next = self.ready.pop();
        self.looks_count += u64::from(next.is_some());
        next
    }

    /// Whether a key is to be looked at now.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.order.is_empty()
    }

    /// How many times a key has been looked at so far.
    pub fn looks_count(&self) -> u64 {
        self.looks_count
    }

    /// Puts a key off until [`Waiters::try_again`] says that its cause has gone.
    pub fn put_off(&mut self, place: WaitKey, change: Change, cause: Cause) {
        self.later.add(place, change, cause);
    }

    /// Marks the keys that were put off because of one of these.
    pub fn try_again(&mut self, gone: impl Iterator<Item = Cause>) {
        for (place, change) in self.later.take(gone) {
            self.push_again(place, change);
        }
    }

    /// Marks all keys that were put off.
    pub fn try_all_again(&mut self) {
        for (place, change) in self.later.take_all() {
            self.push_again(place, change);
        }
    }

    /// Whether keys were put off.
    #[inline]
    pub fn has_put_off(&self) -> bool {
        !self.later.is_empty()
    }
}
