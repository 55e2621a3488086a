//! Bring: a command that reads keys of several shards runs on one of them, with copies of the others' values.
//!
//! It runs where the key that it writes lives; without one, where its first key does. The copies are made when the locks
//! are granted, so all of it is two hops; the locks keep what was copied true until it has run.
//!
//! Not here  how a handler finds the copies: `keyspace/guests.rs`.
//! Tests     every transcript of a command of several keys, at 2 and 7 shards.

use super::{Job, Next, Program, first_error, part_of, unexpected};
use crate::resp::args::OwnedArgs;
use crate::router::keys::for_each_lock;
use crate::router::{LockMode, Operation, Output, ShardId, TxId};

/// See the module.
pub(super) struct Bring {
    job: Job,
    home: ShardId,
    /// Of every other shard, the words that are its keys.
    others: Vec<(ShardId, Vec<usize>)>,
    has_run: bool,
}

impl Bring {
    pub(super) fn new(job: Job) -> Self {
        let mut keys = Vec::new();
        for_each_lock(job.entry, &job.args(), |index, mode| {
            keys.push((index, mode))
        });
        let written = keys.iter().find(|(_, mode)| *mode == LockMode::Exclusive);
        let home_key = written.or(keys.first()).map_or(0, |(index, _)| *index);
        let home = job.map.shard_of(job.args().get(home_key));
        let mut others: Vec<(ShardId, Vec<usize>)> = Vec::new();
        for (index, _) in &keys {
            let shard = job.map.shard_of(job.args().get(*index));
            if shard != home {
                part_of(&mut others, shard).push(*index);
            }
        }
        Self {
            job,
            home,
            others,
            has_run: false,
        }
    }
}

impl Program for Bring {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        let args = self.job.args();
        let (db, caller) = (self.job.db, self.job.caller);
        let lend = |(shard, words): &(ShardId, Vec<usize>)| {
            let bytes = words.iter().map(|&word| args.get(word).len()).sum();
            let mut keys = OwnedArgs::with_capacity(words.len(), bytes);
            words.iter().for_each(|&word| keys.push(args.get(word)));
            (*shard, Operation::Lend { db, caller, keys })
        };
        // The home shard has nothing to give; it answers that its locks are granted.
        let at_home = (self.home, Operation::Length { db });
        self.others.iter().map(lend).chain([at_home]).collect()
    }

    fn begin(&mut self, _: TxId) -> Next {
        unexpected() // The copies are there when its locks are granted.
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        if let Some(error) = first_error(&outputs) {
            return Next::Done(error);
        }
        if self.has_run {
            return match outputs.into_iter().next() {
                Some((_, Output::Reply(reply))) => Next::Done(reply),
                _ => unexpected(),
            };
        }
        self.has_run = true;
        let mut guests = Vec::new();
        for (_, output) in outputs {
            if let Output::Values(values) = output {
                guests.extend(values);
            }
        }
        let visit = Operation::Visit {
            entry: self.job.entry,
            db: self.job.db,
            caller: self.job.caller,
            args: std::mem::replace(&mut self.job.words, OwnedArgs::with_capacity(0, 0)),
            guests,
        };
        Next::Phase(vec![(self.home, visit, true)])
    }
}
