//! RANDOMKEY: how many keys everywhere, then a random key of one shard, chosen by weight.
//!
//! Promises  any key may be it, each as likely as any other up to what expires meanwhile. No locks at first; nothing
//!           is said to be there only after a second look with every shard locked, because a key that moves from
//!           shard to shard could be missed by both looks of the first.

use super::{Job, Locks, Next, Program, locks_on_every_shard, unexpected};
use crate::base::hash::KeyHasher;
use crate::commands::Entry;
use crate::commands::table::Caller;
use crate::resp::args::OwnedArgs;
use crate::resp::element::is_null;
use crate::router::{LockMode, Operation, Output, ShardId, TxId};

/// See the module.
pub(super) struct RandomKey {
    entry: &'static Entry,
    db: u16,
    caller: Caller,
    /// Taken before the second look.
    locks: Option<Locks>,
    shards_count: u16,
    /// Keys by shard; 0 once a shard turned out to have none alive.
    sizes: Vec<u64>,
    asked: Option<ShardId>,
    hasher: KeyHasher,
    random: u64,
}

impl RandomKey {
    pub(super) fn new(job: &Job<'_>, hasher: &KeyHasher) -> Self {
        Self {
            entry: job.entry,
            db: job.db,
            caller: job.caller,
            locks: Some(locks_on_every_shard(job.map, LockMode::Shared)),
            shards_count: job.map.shards_count(),
            sizes: Vec::new(),
            asked: None,
            hasher: hasher.clone(),
            random: 0,
        }
    }

    fn ask(&mut self) -> Next {
        let total: u64 = self.sizes.iter().sum();
        if total == 0 {
            return match self.locks.take() {
                Some(locks) => Next::Lock(locks),
                None => self.nothing(),
            };
        }
        self.random = self.hasher.hash(&self.random.to_le_bytes());
        let mut place = self.random % total;
        let mut shard = 0;
        while place >= self.sizes[shard] {
            place -= self.sizes[shard];
            shard += 1;
        }
        self.asked = Some(shard as ShardId);
        let operation = Operation::Command {
            entry: self.entry,
            db: self.db,
            caller: self.caller,
            args: OwnedArgs::from_iter([self.entry.command.name.as_bytes()]),
        };
        Next::Phase(vec![(shard as ShardId, operation, false)])
    }

    fn nothing(&self) -> Next {
        let mut reply = Vec::new();
        crate::resp::Reply::new(&mut reply, self.caller.protocol).null();
        Next::Done(reply)
    }
}

impl Program for RandomKey {
    fn begin(&mut self, tx: TxId) -> Next {
        self.random = self.hasher.hash(&tx.to_le_bytes());
        self.asked = None;
        let length = |shard| (shard, Operation::Length { db: self.db }, false);
        Next::Phase((0..self.shards_count).map(length).collect())
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        let Some(asked) = self.asked else {
            self.sizes = outputs
                .iter()
                .map(|(_, output)| match output {
                    Output::Count(count) => *count,
                    _ => 0,
                })
                .collect();
            return self.ask();
        };
        match outputs.into_iter().next() {
            Some((_, Output::Reply(reply))) if !is_null(&reply) => Next::Done(reply),
            Some((_, Output::Reply(_))) => {
                self.sizes[usize::from(asked)] = 0;
                self.ask()
            }
            _ => unexpected(),
        }
    }
}
