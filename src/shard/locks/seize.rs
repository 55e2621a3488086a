//! Seize: locks that a script takes while it runs, beyond those it was scheduled with.
//!
//!     nobody else has been granted the keys -> they are its own at once, before whoever waits for them
//!     somebody has                          -> the shard closes: nobody new is granted; those who hold locks end, or let
//!                                              go because they are told; then the whole shard is its own
//!
//! What a script has written cannot be undone, so it must never have to let go. It may wait for those who have all their
//! locks, for they end without waiting; all others have done nothing yet, and are told to try again. Two that cannot let go
//! could wait for each other, so where others may be in the way only the holder of the process's token seizes.
//!
//! Promises  a seizure is granted after finitely many steps of others; with none under way it costs nothing.
//! Not here  the token: `router/token.rs`; what the told ones do: `router/transaction.rs`.
//! Tests     tests/shard/seize.rs, tests/sim/.

use super::{Claim, Entry, Holder, HolderId, LockTable, Place, Ready, Ticket, Waiting, claim_of};
use crate::router::{KeyLock, LockSet, TxId};

/// What became of [`LockTable::seize`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seized {
    /// The keys are locked.
    Keys,
    /// The whole shard is.
    Shard,
    /// The shard is another's, who gives it back before long; [`LockTable::next_ready`] will yield the wish.
    Later,
    /// The shard is closed; [`LockTable::next_ready`] will yield it.
    Closing {
        /// Who is in the way: where the coordinator is, and the transaction.
        wounded: Vec<(u16, TxId)>,
    },
}

/// A shard on its way to being one transaction's.
pub(super) struct Closed {
    by: TxId,
    core: u16,
    /// Nobody else holds a lock.
    is_owned: bool,
    /// [`LockTable::waiting_for`] has named it.
    is_named: bool,
    /// Holders with one blocked claim more than their claims say.
    pub(super) parked: Vec<HolderId>,
    /// Who seizes next: the one before has given the token on, and its release is on its way.
    next: Vec<(TxId, LockSet)>,
}

impl Closed {
    pub(super) fn is_by(&self, tx: TxId) -> bool {
        self.by == tx
    }

    pub(super) fn forget_wishes_of(&mut self, tx: TxId) {
        self.next.retain(|(of, _)| *of != tx);
    }
}

impl LockTable {
    /// Takes more locks for a transaction, which may have none here yet.
    ///
    /// - Cost: a walk over the claims on its keys; where others are in the way, over all holders.
    pub fn seize(&mut self, tx: TxId, mut locks: LockSet) -> Seized {
        if self.grants_everything || self.grants_seizures {
            return Seized::Keys;
        }
        if let Some(closed) = &mut self.closed {
            if closed.by == tx {
                debug_assert!(closed.is_owned, "one wish at a time");
                return Seized::Shard;
            }
            closed.next.push((tx, locks));
            return Seized::Later;
        }
        locks.keys.retain(|key| !self.has(tx, key));
        if locks.whole.is_none() && self.is_free_for(tx, &locks) {
            self.tickets_count += 1;
            let number = self.tickets_count;
            let place = Place {
                order: 0,
                tx,
                behind: number,
            };
            self.seized.push((tx, number));
            if self.admit(
                HolderId::Seized(number),
                place,
                locks.core,
                Claim::Part,
                locks.keys,
            ) {
                return Seized::Keys;
            }
        }
        self.close(tx, locks.core)
    }

    #[doc(hidden)]
    pub fn grant_seizures_without_locks(&mut self) {
        self.grants_seizures = true;
    }

    /// Whether nobody else has been granted what `locks` want.
    fn is_free_for(&self, tx: TxId, locks: &LockSet) -> bool {
        let in_the_way = |entry: &Entry, claim: Claim| {
            entry.is_granted && !entry.claim.gets_on_with(claim) && !self.is_of(tx, entry.holder)
        };
        let mut on_shard = self.shard.entries.iter();
        // Its own lock on the whole shard is not for the keys' queues: closing says so in every case.
        let is_part = on_shard.all(|entry| !entry.is_granted || entry.claim == Claim::Part);
        is_part
            && locks.keys.iter().all(|key| {
                self.queues.get(&key.hash).is_none_or(|queue| {
                    let claim = claim_of(key.mode);
                    !queue.entries.iter().any(|entry| in_the_way(entry, claim))
                })
            })
    }

    /// Whether a request that runs on keeps a key that these locks want, or any where they want the shard.
    pub fn has_some_of(&self, ticket: Ticket, locks: &LockSet) -> bool {
        let id = HolderId::Request(ticket.0);
        let is_its = |key: &KeyLock| {
            let queue = self.queues.get(&key.hash);
            queue.is_some_and(|queue| queue.entries.iter().any(|entry| entry.holder == id))
        };
        locks.whole.is_some() || locks.keys.iter().any(is_its)
    }

    /// Whether a transaction has a key already, no less than as wanted.
    fn has(&self, tx: TxId, key: &KeyLock) -> bool {
        let wanted = claim_of(key.mode);
        let has = |entry: &Entry| {
            entry.is_granted
                && (entry.claim == Claim::Exclusive || entry.claim == wanted)
                && self.is_of(tx, entry.holder)
        };
        let queue = self.queues.get(&key.hash);
        queue.is_some_and(|queue| queue.entries.iter().any(has))
    }

    /// A transaction wants no more what it has not been given yet.
    pub fn withdraw(&mut self, tx: TxId) {
        self.wishes.retain(|(of, _)| *of != tx);
        if let Some(closed) = &mut self.closed {
            closed.forget_wishes_of(tx);
            if !closed.is_owned {
                self.open(tx);
            }
        }
    }

    pub(super) fn is_of(&self, tx: TxId, id: HolderId) -> bool {
        match id {
            HolderId::Transaction(of) => of == tx,
            HolderId::Seized(number) => self.seized.contains(&(tx, number)),
            HolderId::Request(_) => false,
        }
    }

    fn close(&mut self, tx: TxId, core: u16) -> Seized {
        self.busy_count += 1;
        let mut wounded: Vec<(u16, TxId)> = Vec::new();
        let mut is_owned = true;
        for (&id, holder) in &self.holders {
            if !holder.is_granted || matches!(id, HolderId::Request(_)) || self.is_of(tx, id) {
                continue;
            }
            is_owned = false;
            if let HolderId::Transaction(other) = id {
                wounded.push((holder.core, other));
            }
        }
        // One order, whatever the map has.
        wounded.sort_unstable();
        self.closed = Some(Closed {
            by: tx,
            core,
            is_owned,
            is_named: false,
            parked: Vec::new(),
            next: Vec::new(),
        });
        if is_owned {
            Seized::Shard
        } else {
            Seized::Closing { wounded }
        }
    }

    /// Says once that everybody else has gone.
    pub(super) fn closed_is_quiet(&mut self) -> Option<Ready> {
        let closed = self.closed.as_ref()?;
        let (tx, core) = (closed.by, closed.core);
        let is_in_the_way = |(&id, holder): (&HolderId, &Holder)| {
            holder.is_granted && !matches!(id, HolderId::Request(_)) && !self.is_of(tx, id)
        };
        if closed.is_owned || self.holders.iter().any(is_in_the_way) {
            return None;
        }
        self.closed.as_mut()?.is_owned = true;
        Some(Ready::Shard { tx, core })
    }

    /// Opens the shard again if it was closed for this transaction.
    pub(super) fn open(&mut self, tx: TxId) {
        let Some(closed) = self.closed.take_if(|closed| closed.by == tx) else {
            return;
        };
        self.busy_count -= 1;
        for id in closed.parked {
            let Some(holder) = self.holders.get_mut(&id) else {
                continue;
            };
            holder.blocked_count -= 1;
            if holder.blocked_count == 0 && !holder.is_granted {
                self.grant(id);
                self.ready.push_back(id);
            }
        }
        self.wishes.extend(closed.next);
    }

    /// Whether somebody else closes the shard and waits for this transaction to go; who, the first time.
    pub(super) fn closer_waiting_for(&mut self, tx: TxId) -> Option<Option<Waiting>> {
        let closed = self.closed.as_ref()?;
        let holds = |(&id, holder): (&HolderId, &Holder)| holder.is_granted && self.is_of(tx, id);
        if closed.by == tx || closed.is_owned || !self.holders.iter().any(holds) {
            return None;
        }
        let closed = self.closed.as_mut()?;
        let named = std::mem::replace(&mut closed.is_named, true);
        let (core, tx) = (closed.core, closed.by);
        Some((!named).then_some(Waiting::Seizure { core, tx }))
    }

    pub(super) fn release_seized(&mut self, tx: TxId) {
        let is_own = |(of, number): &(TxId, u64)| (*of == tx).then_some(*number);
        let numbers: Vec<u64> = self.seized.iter().filter_map(is_own).collect();
        for number in numbers {
            self.remove(HolderId::Seized(number));
        }
        self.seized.retain(|(of, _)| *of != tx);
    }
}
