//! SORT over several shards: which keys the elements lead to, locks on all of them, what they hold, and the sort.
//!
//!     look   the source's shard tells where the elements lead
//!     lock   those keys too, under a new id; look again: if the elements have changed meanwhile, lock again
//!     bring  what the keys hold; of a hash the one field
//!     run    the handler, where the source lives; what it stores is handed over whole (made.rs)
//!
//! Promises  what is sorted, what it is sorted by and what is stored are of one moment. After some tries whole shards are
//!           locked, so that a list that changes all the time is sorted in the end.

use super::made::Destination;
use super::{
    Job, KeyLock, LockMode, LockSet, Locks, Next, Program, first_error, part_of, unexpected,
};
use crate::base::hash::KeyHasher;
use crate::commands::Flags;
use crate::commands::sort::Lead;
use crate::router::keys::for_each_lock;
use crate::router::{Operation, Output, ShardId, TxId};

/// Locks on keys that turned out to be the wrong ones before whole shards are locked.
const KEY_TRIES_MAX: u32 = 3;

/// See the module.
pub(super) struct Sort {
    job: Job,
    hasher: KeyHasher,
    source: ShardId,
    destination: Destination,
    /// Where the elements led when the locks were asked for.
    leads: Vec<Lead>,
    /// Shards that are locked, or asked to be.
    shards: Vec<ShardId>,
    tries_count: u32,
    state: State,
}

enum State {
    /// The source's shard is asked where the elements lead.
    Looking,
    /// Shards are asked what is there.
    Bringing,
    Running,
}

impl Sort {
    pub(super) fn new(job: Job, hasher: &KeyHasher, locks: &Locks) -> Self {
        let args = job.args();
        let source = job.map.shard_of(args.get(1));
        let mut destination = Destination::default();
        for_each_lock(job.entry, &args, |index, mode| {
            if mode == LockMode::Exclusive {
                let key = args.get(index);
                destination = Destination::new(job.map.shard_of(key), key);
            }
        });
        Self {
            job,
            hasher: hasher.clone(),
            source,
            destination,
            leads: Vec::new(),
            shards: locks.iter().map(|(shard, _)| *shard).collect(),
            tries_count: 0,
            state: State::Looking,
        }
    }

    /// Locks on the keys that are named and those the elements lead to, or on everything.
    fn lock(&mut self) -> Next {
        self.tries_count += 1;
        if self.tries_count > KEY_TRIES_MAX {
            let lock = |shard| {
                let mode = if Some(shard) == self.destination.shard() {
                    LockMode::Exclusive
                } else {
                    LockMode::Shared
                };
                (shard, LockSet::of_shard(0, mode))
            };
            let locks: Locks = (0..self.job.map.shards_count()).map(lock).collect();
            self.shards = locks.iter().map(|(shard, _)| *shard).collect();
            return Next::Lock(locks);
        }
        let mut by_shard: Vec<(ShardId, Vec<KeyLock>)> = Vec::new();
        let mut lock = |key: &[u8], mode| {
            let hash = self.hasher.hash(key);
            part_of(&mut by_shard, self.job.map.shard_of(key)).push(KeyLock { hash, mode });
        };
        let args = self.job.args();
        for_each_lock(self.job.entry, &args, |index, mode| {
            lock(args.get(index), mode)
        });
        for lead in &self.leads {
            lock(&lead.key, LockMode::Shared);
        }
        by_shard.sort_by_key(|(shard, _)| *shard);
        self.shards = by_shard.iter().map(|(shard, _)| *shard).collect();
        let locks = by_shard.into_iter();
        Next::Lock(
            locks
                .map(|(shard, keys)| (shard, LockSet::of_keys(0, keys)))
                .collect(),
        )
    }

    /// Everything is locked: asks other shards for what is there.
    fn bring(&mut self) -> Next {
        let mut parts: Vec<(ShardId, Vec<Lead>)> = Vec::new();
        for lead in std::mem::take(&mut self.leads) {
            let shard = self.job.map.shard_of(&lead.key);
            if shard != self.source {
                part_of(&mut parts, shard).push(lead);
            }
        }
        if parts.is_empty() {
            return self.run(Vec::new());
        }
        parts.sort_by_key(|(shard, _)| *shard);
        self.state = State::Bringing;
        let db = self.job.db;
        let lend = |(shard, leads)| {
            let is_last = Some(shard) != self.destination.shard();
            (shard, Operation::LendParts { db, leads }, is_last)
        };
        Next::Phase(parts.into_iter().map(lend).collect())
    }

    fn run(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        let mut guests = Vec::new();
        for (_, output) in outputs {
            let Output::Values(values) = output else {
                return unexpected();
            };
            guests.extend(values);
        }
        self.state = State::Running;
        self.destination.run(&mut self.job, self.source, guests)
    }
}

impl Program for Sort {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        let db = self.job.db;
        let read = |&shard: &ShardId| {
            let operation = if shard == self.source {
                Operation::SortLeads {
                    db,
                    args: self.job.words.clone(),
                    is_read_only: self.job.entry.command.flags.has(Flags::READONLY),
                }
            } else {
                // It has nothing to say but that its locks are granted.
                Operation::Length { db }
            };
            (shard, operation)
        };
        self.shards.iter().map(read).collect()
    }

    fn begin(&mut self, _: TxId) -> Next {
        unexpected() // It has looked when its locks are granted.
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        if let Some(error) = first_error(&outputs) {
            return Next::Done(error);
        }
        match self.state {
            State::Looking => {
                let found = outputs.into_iter().find_map(|(_, output)| match output {
                    Output::Leads(leads) => Some(leads),
                    _ => None,
                });
                let Some(found) = found else {
                    return unexpected();
                };
                let is_locked = self.tries_count > KEY_TRIES_MAX || found == self.leads;
                self.leads = found;
                if is_locked { self.bring() } else { self.lock() }
            }
            State::Bringing => self.run(outputs),
            State::Running => self.destination.next(&self.job, outputs),
        }
    }
}
