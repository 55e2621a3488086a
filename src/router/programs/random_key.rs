//! RANDOMKEY: how many keys everywhere, then a random key of one shard, chosen by weight.
//!
//!     sizes, unlocked ──> lock one shard, ask it ──nothing alive there──> the next one
//!                                                 ──nothing anywhere───> lock all, sizes, ask until one has a key
//!
//! Promises  any key may be it, each as likely as any other up to what changes between the two looks. The key is
//!           read under a lock, since half of a FLUSHALL or MSET must not show; that there is none is said only with
//!           every shard locked, because a key that moves could be missed by looking at one shard after the other.

use super::{Next, Program, locks_on_every_shard, unexpected};
use crate::base::hash::KeyHasher;
use crate::commands::Entry;
use crate::commands::table::Caller;
use crate::keyspace::SlotMap;
use crate::resp::Reply;
use crate::resp::args::OwnedArgs;
use crate::resp::element::is_null;
use crate::router::{LockMode, LockSet, Operation, Output, ShardId, TxId};

/// See the module.
pub(super) struct RandomKey {
    entry: &'static Entry,
    db: u16,
    caller: Caller,
    map: SlotMap,
    state: State,
    /// Keys by shard; 0 once a shard turned out to have none alive.
    sizes: Vec<u64>,
    hasher: KeyHasher,
    random: u64,
}

#[derive(Clone, Copy)]
enum State {
    /// Asking for sizes; whether every shard is locked.
    Sizes { is_locked: bool },
    /// Asking a shard for a key.
    Key { of: ShardId, is_locked: bool },
}

impl RandomKey {
    pub(super) fn new(
        entry: &'static Entry,
        db: u16,
        caller: Caller,
        map: SlotMap,
        hasher: &KeyHasher,
    ) -> Self {
        Self {
            entry,
            db,
            caller,
            map,
            state: State::Sizes { is_locked: false },
            sizes: Vec::new(),
            hasher: hasher.clone(),
            random: 0,
        }
    }

    /// The shard to ask next, by weight; `None` when all have turned out empty.
    fn pick(&mut self) -> Option<ShardId> {
        let total: u64 = self.sizes.iter().sum();
        if total == 0 {
            return None;
        }
        self.random = self.hasher.hash(&self.random.to_le_bytes());
        let mut place = self.random % total;
        let chosen = self.sizes.iter().position(|&size| {
            let is_here = place < size;
            place = place.saturating_sub(size);
            is_here
        });
        chosen.map(|shard| shard as ShardId)
    }

    fn ask_next(&mut self, is_locked: bool) -> Next {
        match (self.pick(), is_locked) {
            (Some(of), true) => {
                self.state = State::Key { of, is_locked };
                let (shard, key) = self.key(of);
                Next::Phase(vec![(shard, key, false)])
            }
            (Some(of), false) => {
                self.state = State::Key { of, is_locked };
                Next::Lock(vec![(of, LockSet::of_shard(0, LockMode::Shared))])
            }
            (None, false) => {
                self.state = State::Sizes { is_locked: true };
                Next::Lock(locks_on_every_shard(self.map, LockMode::Shared))
            }
            (None, true) => {
                let mut reply = Vec::new();
                Reply::new(&mut reply, self.caller.protocol).null();
                Next::Done(reply)
            }
        }
    }

    fn size(&self, of: ShardId) -> (ShardId, Operation) {
        (of, Operation::Length { db: self.db })
    }

    fn key(&self, of: ShardId) -> (ShardId, Operation) {
        let operation = Operation::Command {
            entry: self.entry,
            db: self.db,
            caller: self.caller,
            args: OwnedArgs::from_iter([self.entry.command.name.as_bytes()]),
        };
        (of, operation)
    }
}

impl Program for RandomKey {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        match self.state {
            State::Sizes { .. } => {
                let shards = 0..self.map.shards_count();
                shards.map(|shard| self.size(shard)).collect()
            }
            State::Key { of, .. } => vec![self.key(of)],
        }
    }

    fn begin(&mut self, tx: TxId) -> Next {
        self.random = self.hasher.hash(&tx.to_le_bytes());
        let reads = self.reads().into_iter();
        Next::Phase(reads.map(|(shard, read)| (shard, read, false)).collect())
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        match self.state {
            State::Sizes { is_locked } => {
                let size_of = |(_, output): &(ShardId, Output)| match output {
                    Output::Count(count) => *count,
                    _ => 0,
                };
                self.sizes = outputs.iter().map(size_of).collect();
                self.ask_next(is_locked)
            }
            State::Key { of, is_locked } => match outputs.into_iter().next() {
                Some((_, Output::Reply(reply))) if !is_null(&reply) => Next::Done(reply),
                Some((_, Output::Reply(_))) => {
                    self.sizes[usize::from(of)] = 0;
                    self.ask_next(is_locked)
                }
                _ => unexpected(),
            },
        }
    }
}
