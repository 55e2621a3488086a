//! FirstExisting: of several keys the first that exists, in the order they are named, is worked on alone.
//!
//! A list or a sorted set that exists has something to give, so which keys exist is all there is to know. The first one's
//! shard finds out whether it is of the right type.
//!
//! A client that has waited, and whose coordinator looks for it, passes over keys that others wait for who came before it:
//! their own turn may not have come yet, for a lock was in the way.

use super::{Job, Next, Program, first_error, part_of, unexpected};
use crate::commands::blocking::with_keys;
use crate::resp::args::OwnedArgs;
use crate::resp::element::is_null;
use crate::router::{Operation, Output, ShardId, TxId};

/// See the module.
pub(super) struct FirstExisting {
    job: Job,
    /// The keys' words by shard; shards in order.
    parts: Vec<(ShardId, Vec<usize>)>,
    has_looked: bool,
    /// One of them existed then.
    has_found: bool,
    /// Who has waited, if it runs for such a client.
    waiter: Option<u64>,
}

impl FirstExisting {
    pub(super) fn new(job: Job, waiter: Option<u64>) -> Self {
        let mut parts: Vec<(ShardId, Vec<usize>)> = Vec::new();
        for (shard, word) in job.keys() {
            part_of(&mut parts, shard).push(word);
        }
        parts.sort_unstable_by_key(|(shard, _)| *shard);
        Self {
            job,
            parts,
            has_looked: false,
            has_found: false,
            waiter,
        }
    }
}

impl Program for FirstExisting {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        let args = self.job.args();
        let look = |(shard, words): &(ShardId, Vec<usize>)| {
            let keys: OwnedArgs = words.iter().map(|&word| args.get(word)).collect();
            let (db, waiter) = (self.job.db, self.waiter);
            (*shard, Operation::WhichExist { db, keys, waiter })
        };
        self.parts.iter().map(look).collect()
    }

    fn begin(&mut self, _: TxId) -> Next {
        unexpected() // It has looked when its locks are granted.
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        if let Some(error) = first_error(&outputs) {
            return Next::Done(error);
        }
        if std::mem::take(&mut self.has_looked) {
            return match outputs.into_iter().next() {
                // Its time was up before it was its turn: another one may be the first now.
                Some((_, Output::Reply(reply))) if self.has_found && is_null(&reply) => {
                    let looks = self.reads().into_iter();
                    Next::Phase(looks.map(|(shard, look)| (shard, look, false)).collect())
                }
                Some((_, Output::Reply(reply))) => Next::Done(reply),
                _ => unexpected(),
            };
        }
        self.has_looked = true;
        let mut found: Option<(usize, ShardId)> = None;
        let mut has_any = false;
        for ((shard, words), (_, output)) in self.parts.iter().zip(&outputs) {
            let Output::Which { exist, has_wanted } = output else {
                return unexpected();
            };
            has_any |= has_wanted;
            let existing = words.iter().zip(exist).filter(|(_, exists)| **exists);
            for (&word, _) in existing {
                if found.is_none_or(|(first, _)| word < first) {
                    found = Some((word, *shard));
                }
            }
        }
        // It goes on waiting where somebody was quicker. A key of another type is told of beside one that has something only.
        if !has_any && self.waiter.is_some() {
            return Next::Done(b"*-1\r\n".to_vec());
        }
        // Where none exists the first says so, in this command's own way.
        let first = || {
            let keys = self.parts.iter();
            let keys = keys.flat_map(|(shard, words)| words.iter().map(|&word| (word, *shard)));
            keys.min()
        };
        self.has_found = found.is_some();
        let Some((word, shard)) = found.or_else(first) else {
            return unexpected();
        };
        let words = with_keys(self.job.entry, &self.job.args(), &|index| index == word);
        // The locks stay: a command that may wait goes on from here if there was nothing.
        let mut operation = self.job.command(words);
        if let Some(waiter) = self.waiter {
            operation = operation.for_waiter(waiter);
        }
        Next::Phase(vec![(shard, operation, false)])
    }
}
