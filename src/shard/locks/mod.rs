//! Locks: which transactions may run on one shard, and which requests must wait for them.
//!
//!     key    -> queue of claims in order of place:   [3 shared][5 shared] | [7 exclusive][9 shared]
//!     shard  -> one more such queue                   clear claims         | blocked ones
//!     holder -> its claims, and how many of them are blocked; none: it is granted
//!
//! Every transaction has a claim on each of its keys, and one on the shard itself: for the whole of it, or as one of
//! the many that only want keys. A claim is clear when it gets on with all claims before it, so the clear ones are
//! always a run at the front. A single-shard request takes no claims unless it meets a granted one it cannot get on
//! with; then it is given a place right behind what it met, and claims like everybody else.
//!
//! Promises  waits point to lower places only, so there is no deadlock, on however many shards; a holder is overtaken
//!           only by lower places, of which there are finitely many, so none waits for ever; a request is not overtaken by
//!           transactions that come later. What a call costs follows
//!           from the claims of one holder and those it unblocks, not from how many holders there are. Allocation
//!           only while locks are held; with none held, [`LockTable::is_idle`] is one load.
//! Not here  what runs when a lock is granted: `shard/transactions.rs`. Locks that a script takes while it runs: `seize.rs`.
//! Source    intent locks in id order: Thomson et al., "VLL", VLDB 2013. Theirs runs blocked transactions in order of
//!           arrival; here the place comes from the coordinator, so shards need not hear of transactions in one order.
//! Tests     tests/shard/locks.rs against a model that looks at everything; tests/sim/.

mod seize;

pub use seize::Seized;

use std::collections::{HashMap, HashSet, VecDeque};

use seize::Closed;

use crate::router::{KeyLock, LockMode, LockSet, TxId};

/// Where a holder stands. Lower goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    order: u64,
    tx: TxId,
    /// 0 for a transaction, a running number for a request that waits behind it.
    behind: u64,
}

/// How claims on one thing get on: a kind that shares does so with its own kind only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// With nobody.
    Exclusive,
    /// With its like: readers of a key, readers of the whole shard.
    Shared,
    /// On the shard: wants only keys of it. Gets on with its like.
    Part,
}

impl Claim {
    fn gets_on_with(self, other: Claim) -> bool {
        self == other && self != Claim::Exclusive
    }
}

/// What became of [`LockTable::schedule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduled {
    /// All locks are held.
    Granted,
    /// It has its place; [`LockTable::next_ready`] will yield it.
    Waiting,
    /// A conflicting transaction of a higher place was granted already, or such a request waits, which came before. Nothing
    /// was changed.
    OutOfOrder,
}

/// What may run now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// This transaction has all its locks.
    Transaction(TxId),
    /// This request, by the ticket that [`LockTable::defer`] gave; [`LockTable::finish`] it when it has run.
    Request(Ticket),
    /// This transaction can be given what it wanted to seize.
    Seizure(TxId, LockSet),
    /// The shard is this transaction's alone from now on ([`LockTable::seize`]).
    Shard {
        /// Whose it is.
        tx: TxId,
        /// Where its coordinator is.
        core: u16,
    },
}

/// Who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waiting {
    /// A transaction.
    Transaction(TxId),
    /// A request.
    Request(Ticket),
    /// A transaction that wants more than it has.
    Seizure {
        /// Where its coordinator is.
        core: u16,
        /// The transaction.
        tx: TxId,
    },
}

/// What is in the way of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Obstacle {
    /// A lock on the whole shard, or somebody who is about to have it.
    Shard,
    /// A lock on this key, or a request that waits for it; or one that came before on the connection that this stands for.
    Key(u64),
}

/// Names a request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// All locks of one shard.
#[derive(Default)]
pub struct LockTable {
    /// Holders that are granted, and requests that wait. Only these can be in a request's way.
    busy_count: usize,
    queues: HashMap<u64, Queue, ahash::RandomState>,
    shard: Queue,
    holders: HashMap<HolderId, Holder, ahash::RandomState>,
    ready: VecDeque<HolderId>,
    tickets_count: u64,
    /// Locks taken on top of what was scheduled: whose, and the holder's number.
    seized: Vec<(TxId, u64)>,
    closed: Option<Closed>,
    /// Seizures that an open shard can be asked for again.
    wishes: VecDeque<(TxId, LockSet)>,
    /// Keys that somebody is to be told of who has no claim, once a claim on them goes.
    awaited: HashSet<u64, ahash::RandomState>,
    /// Those of which one has gone.
    freed: Vec<u64>,
    /// Emptied queues, to be used again without allocating.
    spare: Vec<VecDeque<Entry>>,
    grants_everything: bool,
    grants_seizures: bool,
}

/// Emptied queues that are kept.
const SPARE_MAX: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum HolderId {
    Transaction(TxId),
    Request(u64),
    /// More locks of a transaction that has some.
    Seized(u64),
}

struct Holder {
    place: Place,
    /// Where a transaction's coordinator is.
    core: u16,
    is_granted: bool,
    /// Its keys; the claim on the shard is not among them.
    claims: Vec<KeyLock>,
    /// Its claims that are not clear.
    blocked_count: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    place: Place,
    claim: Claim,
    is_granted: bool,
    holder: HolderId,
}

/// Claims on one thing, in order of place; the first `clear_count` get on with all before them.
#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    clear_count: usize,
    granted_count: usize,
    requests_count: usize,
}

impl LockTable {
    /// No locks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Breaks it on purpose: everything is granted at once. The simulator must notice.
    #[doc(hidden)]
    pub fn without_locks() -> Self {
        Self {
            grants_everything: true,
            ..Self::default()
        }
    }

    /// Whether no lock is held, so that no request can be in conflict. Transactions may be waiting: not even they are
    /// when nobody is in their way.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.busy_count == 0
    }

    /// Whether nothing at all is left: no lock held, nobody waiting.
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty() && self.queues.is_empty() && self.shard.entries.is_empty()
    }

    /// Transactions and waiting requests.
    pub fn holders_count(&self) -> usize {
        self.holders.len()
    }

    /// Whether a transaction has locks here, or waits for some.
    pub fn has_holder(&self, tx: TxId) -> bool {
        self.holders.contains_key(&HolderId::Transaction(tx))
            || self.seized.iter().any(|(of, _)| *of == tx)
    }

    /// Takes a transaction's locks, or its place in the queues for them.
    ///
    /// - `tx` is not in the table yet.
    /// - Cost: a hash lookup a key, and what it unsettles.
    pub fn schedule(&mut self, tx: TxId, locks: LockSet) -> Scheduled {
        if self.grants_everything {
            return Scheduled::Granted;
        }
        let place = Place {
            order: locks.order,
            tx,
            behind: 0,
        };
        let on_shard = match locks.whole {
            None => Claim::Part,
            Some(LockMode::Shared) => Claim::Shared,
            Some(LockMode::Exclusive) => Claim::Exclusive,
        };
        let claims = locks.keys;
        let comes_late = self.shard.has_passed(place, on_shard)
            || claims.iter().any(|key| {
                self.queues
                    .get(&key.hash)
                    .is_some_and(|queue| queue.has_passed(place, claim_of(key.mode)))
            });
        if comes_late {
            return Scheduled::OutOfOrder;
        }
        let id = HolderId::Transaction(tx);
        if self.admit(id, place, locks.core, on_shard, claims) {
            Scheduled::Granted
        } else {
            Scheduled::Waiting
        }
    }

    /// Drops a transaction's claims, held or waited for; unknown ones are ignored. Who may run now comes from
    /// [`LockTable::next_ready`].
    pub fn release(&mut self, tx: TxId) {
        if !self.seized.is_empty() {
            self.release_seized(tx);
        }
        self.remove(HolderId::Transaction(tx));
        if let Some(closed) = &mut self.closed {
            closed.forget_wishes_of(tx);
            self.open(tx);
        }
    }

    /// Whether what wants these locks for one step, the last it waits for, may take that step without them: nothing that is
    /// granted is in its way, and no request that waits.
    #[inline]
    pub fn lets_pass(&self, locks: &LockSet) -> bool {
        self.is_idle() || self.lets_pass_beside_others(locks)
    }

    fn lets_pass_beside_others(&self, locks: &LockSet) -> bool {
        let writes_any = locks.keys.iter().any(|key| key.mode == LockMode::Exclusive);
        let keys = locks.keys.iter().map(|key| (key.hash, key.mode));
        locks.whole.is_none() && !self.is_anything_in_the_way(keys, writes_any)
    }

    /// Whether something that is granted, or a request that waits, has one of these keys.
    ///
    /// - `writes_any`: it changes something, so it must wait for whole-shard readers.
    pub fn is_anything_in_the_way(
        &self,
        mut keys: impl Iterator<Item = (u64, LockMode)>,
        writes_any: bool,
    ) -> bool {
        self.is_shard_in_the_way(writes_any)
            || keys.any(|(hash, mode)| self.is_key_in_the_way(hash, mode))
    }

    /// Whether a request on `keys` must wait: a granted claim it cannot get on with, or an earlier request that waits
    /// itself and has a key in common, or `connection`, with it.
    ///
    /// - `writes_any`: it changes something, so it must wait for whole-shard readers.
    pub fn is_in_conflict(
        &self,
        keys: impl Iterator<Item = (u64, LockMode)>,
        writes_any: bool,
        connection: u64,
    ) -> bool {
        self.obstacle(keys, writes_any, connection).is_some()
    }

    /// What that is, the first that is found.
    pub fn obstacle(
        &self,
        mut keys: impl Iterator<Item = (u64, LockMode)>,
        writes_any: bool,
        connection: u64,
    ) -> Option<Obstacle> {
        if self.is_shard_in_the_way(writes_any) {
            return Some(Obstacle::Shard);
        }
        if self.queues.contains_key(&connection) {
            return Some(Obstacle::Key(connection));
        }
        let found = keys.find(|&(hash, mode)| self.is_key_in_the_way(hash, mode));
        found.map(|(hash, _)| Obstacle::Key(hash))
    }

    /// Tells of this key, which is an obstacle, by [`LockTable::take_freed`] once a claim on it has gone. It may not be the only one.
    pub fn await_key(&mut self, hash: u64) {
        self.awaited.insert(hash);
    }

    /// The keys of which that is to be told; each is told of once.
    pub fn take_freed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.freed)
    }

    /// Whether there are any.
    #[inline]
    pub fn has_freed(&self) -> bool {
        !self.freed.is_empty()
    }

    /// Whether a lock on the whole shard keeps requests out, or somebody who is about to have it.
    pub fn is_shard_in_the_way(&self, writes_any: bool) -> bool {
        let first = self.shard.entries.front().filter(|first| first.is_granted);
        self.closed.is_some()
            || first.is_some_and(|first| match first.claim {
                Claim::Exclusive => true,
                Claim::Shared => writes_any,
                Claim::Part => false,
            })
    }

    fn is_key_in_the_way(&self, hash: u64, mode: LockMode) -> bool {
        self.queues.get(&hash).is_some_and(|queue| {
            queue.requests_count > 0
                || queue.granted_count > 0
                    && (mode == LockMode::Exclusive || queue.entries[0].claim == Claim::Exclusive)
        })
    }

    /// Gives a request that is in conflict its place: behind what is granted, or waits as a request, on its keys.
    ///
    /// - `keys`: as given to [`LockTable::is_in_conflict`]. Reads wait as writes do: what comes for the same key
    ///   afterwards must not be answered before them.
    /// - `connection`: stands for the connection it came on, so that later requests of that one wait behind it.
    pub fn defer(&mut self, keys: impl Iterator<Item = u64>, connection: u64) -> Ticket {
        let mode = LockMode::Exclusive;
        let mut claims: Vec<KeyLock> = keys.map(|hash| KeyLock { hash, mode }).collect();
        claims.push(KeyLock {
            hash: connection,
            mode,
        });
        let (number, is_granted) = self.enter_request(claims);
        if is_granted {
            // Whoever asked had seen a conflict; if there is none the request runs in its turn all the same.
            self.ready.push_back(HolderId::Request(number));
        }
        Ticket(number)
    }

    /// Keeps keys for a request that has run and whose reply is not made to its end: what comes for one of them waits behind it,
    /// as it does behind a request that waits. [`LockTable::finish`] ends it; until then [`LockTable::next_ready`] may yield it.
    /// None where nothing is locked.
    pub fn keep(&mut self, hashes: &[u64]) -> Option<Ticket> {
        if self.grants_everything || hashes.is_empty() {
            return None;
        }
        let mode = LockMode::Exclusive;
        let claims = hashes.iter().map(|&hash| KeyLock { hash, mode });
        let (number, _) = self.enter_request(claims.collect());
        Some(Ticket(number))
    }

    /// Whether anybody waits for anything. Costs a walk over all holders.
    pub fn has_waiting(&self) -> bool {
        let mut holders = self.holders.values();
        self.closed.is_some() || holders.any(|holder| !holder.is_granted)
    }

    /// Gives a request its place, behind what is in its way; its number, and whether it has all its claims at once.
    fn enter_request(&mut self, mut claims: Vec<KeyLock>) -> (u64, bool) {
        claims.sort_unstable_by_key(|key| key.hash);
        claims.dedup();
        let mut behind = self.shard.last_in_the_way(Claim::Part);
        for key in &claims {
            if let Some(queue) = self.queues.get(&key.hash) {
                behind = behind.max(queue.last_in_the_way(Claim::Exclusive));
            }
        }
        self.tickets_count += 1;
        let place = Place {
            behind: self.tickets_count,
            ..behind.unwrap_or_default()
        };
        let number = self.tickets_count;
        self.busy_count += 1;
        let is_granted = self.admit(HolderId::Request(number), place, 0, Claim::Part, claims);
        (number, is_granted)
    }

    /// Drops the claims of a request that has run.
    pub fn finish(&mut self, ticket: Ticket) {
        self.remove(HolderId::Request(ticket.0));
    }

    /// Who may run since locks were released, requests and transactions in the order they became able to.
    pub fn next_ready(&mut self) -> Option<Ready> {
        loop {
            if self.closed.is_some()
                && let Some(ready) = self.closed_is_quiet()
            {
                return Some(ready);
            }
            let Some(id) = self.ready.pop_front() else {
                let (tx, locks) = self.wishes.pop_front()?;
                return Some(Ready::Seizure(tx, locks));
            };
            if !self.holders.contains_key(&id) {
                continue; // It was granted, and released before anyone looked.
            }
            return Some(match id {
                HolderId::Transaction(tx) => Ready::Transaction(tx),
                HolderId::Request(ticket) => Ready::Request(Ticket(ticket)),
                HolderId::Seized(_) => continue, // What is seized is held at once.
            });
        }
    }

    /// Who has not been granted something because this transaction holds it, or because the shard is closed until it goes.
    /// Whoever closes it is named once.
    pub fn waiting_for(&mut self, tx: TxId) -> Vec<Waiting> {
        let closer = self.closer_waiting_for(tx);
        let is_closed =
            closer.is_some() || self.closed.as_ref().is_some_and(|closed| closed.is_by(tx));
        let is_in_the_way = |entry: &Entry, claim: Claim| {
            entry.is_granted && !entry.claim.gets_on_with(claim) && self.is_of(tx, entry.holder)
        };
        let waits = |holder: &Holder| {
            let own = self.shard.entries.get(self.shard.index_of(holder.place));
            let on_shard = own.map_or(Claim::Part, |entry| entry.claim);
            is_closed
                || (self.shard.entries.iter()).any(|entry| is_in_the_way(entry, on_shard))
                || holder.claims.iter().any(|key| {
                    self.queues.get(&key.hash).is_some_and(|queue| {
                        let claim = claim_of(key.mode);
                        (queue.entries.iter()).any(|entry| is_in_the_way(entry, claim))
                    })
                })
        };
        let found = self.holders.iter().filter_map(|(&id, holder)| {
            let waiting = match id {
                HolderId::Transaction(other) => Waiting::Transaction(other),
                HolderId::Request(ticket) => Waiting::Request(Ticket(ticket)),
                HolderId::Seized(_) => return None,
            };
            (!holder.is_granted && waits(holder)).then_some(waiting)
        });
        let mut found: Vec<Waiting> = found.collect();
        found.extend(closer.flatten());
        // One order, whatever the map has.
        found.sort_unstable();
        found
    }

    /// Enters a holder's claims; true if it is granted at once.
    fn admit(
        &mut self,
        id: HolderId,
        place: Place,
        core: u16,
        on_shard: Claim,
        claims: Vec<KeyLock>,
    ) -> bool {
        let mut unsettled = Vec::new();
        let mut blocked_count = 0;
        if let Some(closed) = &mut self.closed {
            closed.parked.push(id);
            blocked_count += 1;
        }
        let entry = |claim| Entry {
            place,
            claim,
            is_granted: false,
            holder: id,
        };
        if !self.shard.insert(entry(on_shard), &mut unsettled) {
            blocked_count += 1;
        }
        for key in &claims {
            let spare = &mut self.spare;
            let queue = self
                .queues
                .entry(key.hash)
                .or_insert_with(|| Queue::with_entries(spare.pop().unwrap_or_default()));
            if !queue.insert(entry(claim_of(key.mode)), &mut unsettled) {
                blocked_count += 1;
            }
        }
        for other in unsettled {
            // Only claims of holders that are not granted are unsettled: granted ones were looked for before.
            if let Some(holder) = self.holders.get_mut(&other) {
                holder.blocked_count += 1;
            }
        }
        let holder = Holder {
            place,
            core,
            is_granted: false,
            claims,
            blocked_count,
        };
        self.holders.insert(id, holder);
        if blocked_count == 0 {
            self.grant(id);
        }
        blocked_count == 0
    }

    fn remove(&mut self, id: HolderId) {
        let Some(holder) = self.holders.remove(&id) else {
            return;
        };
        let mut cleared = Vec::new();
        let is_request = matches!(id, HolderId::Request(_));
        if is_request || holder.is_granted {
            self.busy_count -= 1;
        }
        self.shard.remove(holder.place, &mut cleared);
        for key in &holder.claims {
            if !self.awaited.is_empty() && self.awaited.remove(&key.hash) {
                self.freed.push(key.hash);
            }
            let Some(queue) = self.queues.get_mut(&key.hash) else {
                continue;
            };
            queue.remove(holder.place, &mut cleared);
            if queue.entries.is_empty()
                && let Some(queue) = self.queues.remove(&key.hash)
                && self.spare.len() < SPARE_MAX
            {
                self.spare.push(queue.entries);
            }
        }
        for other in cleared {
            let Some(holder) = self.holders.get_mut(&other) else {
                continue;
            };
            holder.blocked_count -= 1;
            if holder.blocked_count > 0 || holder.is_granted {
                continue;
            }
            if let Some(closed) = &mut self.closed {
                holder.blocked_count = 1;
                closed.parked.push(other);
                continue;
            }
            self.grant(other);
            self.ready.push_back(other);
        }
    }

    /// Marks a holder's claims, all clear now, as granted.
    fn grant(&mut self, id: HolderId) {
        let Some(holder) = self.holders.get_mut(&id) else {
            return;
        };
        holder.is_granted = true;
        if !matches!(id, HolderId::Request(_)) {
            self.busy_count += 1; // A request has been counted since it began to wait.
        }
        self.shard.mark_granted(holder.place);
        for key in &holder.claims {
            if let Some(queue) = self.queues.get_mut(&key.hash) {
                queue.mark_granted(holder.place);
            }
        }
    }
}

impl Queue {
    fn with_entries(entries: VecDeque<Entry>) -> Self {
        Self {
            entries,
            ..Self::default()
        }
    }

    /// Whether a claim behind `place` that nobody may overtake cannot get on with `claim`: a granted one, or a request's. What
    /// follows a request on its connection may be a transaction.
    fn has_passed(&self, place: Place, claim: Claim) -> bool {
        let is_in_the_way = |entry: &Entry| {
            matches!(entry.holder, HolderId::Request(_)) && !entry.claim.gets_on_with(claim)
        };
        if self.requests_count > 0 {
            let later = self.entries.iter().rev();
            let mut later = later.take_while(|entry| entry.place > place);
            if later.any(is_in_the_way) {
                return true;
            }
        }
        if self.granted_count == 0 {
            return false;
        }
        // Clear claims are of one kind, so the first speaks for all of them.
        if self.entries[0].claim.gets_on_with(claim) {
            return false;
        }
        self.entries
            .range(..self.clear_count)
            .rev()
            .take_while(|entry| entry.place > place)
            .any(|entry| entry.is_granted)
    }

    /// The highest place among what a request with this claim has to wait for.
    fn last_in_the_way(&self, claim: Claim) -> Option<Place> {
        let granted = self
            .entries
            .range(..self.clear_count)
            .rev()
            .find(|entry| entry.is_granted && !entry.claim.gets_on_with(claim));
        let request = if self.requests_count == 0 || claim == Claim::Part {
            None
        } else {
            self.entries
                .iter()
                .rev()
                .find(|entry| matches!(entry.holder, HolderId::Request(_)))
        };
        granted.max_by_place(request).map(|entry| entry.place)
    }

    /// Enters a claim; true if it is clear. Holders whose clear claims are so no longer go to `unsettled`.
    fn insert(&mut self, entry: Entry, unsettled: &mut Vec<HolderId>) -> bool {
        let at = self.index_of(entry.place);
        if matches!(entry.holder, HolderId::Request(_)) {
            self.requests_count += 1;
        }
        let gets_on = at == 0 || self.entries[0].claim.gets_on_with(entry.claim);
        let is_clear = at <= self.clear_count && gets_on;
        if is_clear {
            let stays_settled =
                at == self.clear_count || self.entries[at].claim.gets_on_with(entry.claim);
            if !stays_settled {
                unsettled.extend(
                    self.entries
                        .range(at..self.clear_count)
                        .map(|entry| entry.holder),
                );
                self.clear_count = at;
            }
            self.clear_count += 1;
        } else if at < self.clear_count {
            unsettled.extend(
                self.entries
                    .range(at..self.clear_count)
                    .map(|entry| entry.holder),
            );
            self.clear_count = at;
        }
        self.entries.insert(at, entry);
        is_clear
    }

    /// Takes out the claim at `place`; holders whose claims are clear by that go to `cleared`.
    fn remove(&mut self, place: Place, cleared: &mut Vec<HolderId>) {
        let at = self.index_of(place);
        let Some(entry) = self.entries.remove(at) else {
            return;
        };
        if matches!(entry.holder, HolderId::Request(_)) {
            self.requests_count -= 1;
        }
        if entry.is_granted {
            self.granted_count -= 1;
        }
        if at < self.clear_count {
            self.clear_count -= 1;
        }
        while let Some(next) = self.entries.get(self.clear_count) {
            if self.clear_count > 0 && !self.entries[0].claim.gets_on_with(next.claim) {
                break;
            }
            cleared.push(next.holder);
            self.clear_count += 1;
        }
    }

    fn mark_granted(&mut self, place: Place) {
        let at = self.index_of(place);
        if let Some(entry) = self.entries.get_mut(at) {
            entry.is_granted = true;
            self.granted_count += 1;
        }
    }

    /// Where `place` is, or belongs. New claims nearly always belong at the end.
    fn index_of(&self, place: Place) -> usize {
        match self.entries.back() {
            Some(last) if last.place >= place => {
                self.entries.partition_point(|entry| entry.place < place)
            }
            _ => self.entries.len(),
        }
    }
}

trait MaxByPlace<'e> {
    fn max_by_place(self, other: Option<&'e Entry>) -> Option<&'e Entry>;
}

impl<'e> MaxByPlace<'e> for Option<&'e Entry> {
    fn max_by_place(self, other: Option<&'e Entry>) -> Option<&'e Entry> {
        self.into_iter()
            .chain(other)
            .max_by_key(|entry| entry.place)
    }
}

fn claim_of(mode: LockMode) -> Claim {
    match mode {
        LockMode::Shared => Claim::Shared,
        LockMode::Exclusive => Claim::Exclusive,
    }
}
