//! Bring: a command that reads keys of several shards runs on one of them, with copies of the others' values.
//!
//! It runs where the key that it writes lives; without one, where its first key does. The copies are made when the locks
//! are granted, so all of it is two hops; the locks keep what was copied true until it has run.
//!
//!     values of at most [`LIGHT_BYTES`] a shard        lent at once
//!     more, and no key is written                      nothing is copied yet: it runs where most is, and the others lend; one hop more
//!
//! Promises  of a command that only reads, the largest of the large values stays where it is: SINTER of a few members with
//!           millions costs what the few cost, wherever both are.
//! Not here  how a handler finds the copies: `keyspace/guests.rs`. A command that writes has all large values copied to its key.
//! Tests     every transcript of a command of several keys, at 2 and 7 shards; tests/router/programs.rs.

use super::{Job, Next, Program, first_error, part_of, unexpected};
use crate::keyspace::Moved;
use crate::resp::args::OwnedArgs;
use crate::router::keys::for_each_lock;
use crate::router::{LockMode, Operation, Output, ShardId, TxId};

/// What a shard lends without being asked twice.
const LIGHT_BYTES: usize = 32 * 1024;

/// See the module.
pub(super) struct Bring {
    job: Job,
    /// Where it runs, as far as is known.
    home: ShardId,
    /// No key is written: it may run anywhere.
    is_free: bool,
    /// Of every shard, the words that are its keys.
    parts: Vec<(ShardId, Vec<usize>)>,
    guests: Vec<(Vec<u8>, Moved)>,
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
        let is_free = written.is_none();
        let mut parts: Vec<(ShardId, Vec<usize>)> = Vec::new();
        for (index, _) in &keys {
            let shard = job.map.shard_of(job.args().get(*index));
            part_of(&mut parts, shard).push(*index);
        }
        Self {
            job,
            home,
            is_free,
            parts,
            guests: Vec::new(),
            has_run: false,
        }
    }

    /// Asks a shard for the values of its keys, unless they take more than that.
    fn lend(&self, shard: ShardId, bytes_max: Option<usize>) -> Operation {
        let args = self.job.args();
        let part = self.parts.iter().find(|(of, _)| *of == shard);
        let words = part.map_or(&[][..], |(_, words)| words);
        let bytes = words.iter().map(|&word| args.get(word).len()).sum();
        let mut keys = OwnedArgs::with_capacity(words.len(), bytes);
        words.iter().for_each(|&word| keys.push(args.get(word)));
        Operation::Lend {
            db: self.job.db,
            caller: self.job.caller,
            keys,
            bytes_max,
        }
    }

    /// Moves to where most is, and asks for what has not come for its size; nothing where all is there.
    fn settle(&mut self, heavy: &[(usize, ShardId)]) -> Option<Next> {
        let is_elsewhere = |(_, shard): &(usize, ShardId)| *shard != self.home;
        if !heavy.iter().any(is_elsewhere) {
            return None;
        }
        let (_, heaviest) = heavy.iter().max()?;
        self.home = *heaviest;
        let lenders = heavy.iter().filter(|(_, shard)| shard != heaviest);
        let phase: Vec<_> = lenders
            .map(|(_, shard)| (*shard, self.lend(*shard, None), false))
            .collect();
        (!phase.is_empty()).then_some(Next::Phase(phase))
    }
}

impl Program for Bring {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        let ask = |(shard, _): &(ShardId, Vec<usize>)| {
            let operation = match (*shard == self.home, self.is_free) {
                // It has nothing to give; it says how much it has, or that its locks are granted.
                (true, true) => self.lend(*shard, Some(0)),
                (true, false) => Operation::Length { db: self.job.db },
                (false, true) => self.lend(*shard, Some(LIGHT_BYTES)),
                (false, false) => self.lend(*shard, None),
            };
            (*shard, operation)
        };
        self.parts.iter().map(ask).collect()
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
        let mut heavy = Vec::new();
        for (shard, output) in outputs {
            match output {
                Output::Values(values) => self.guests.extend(values),
                Output::Heavy(bytes) => heavy.push((bytes, shard)),
                _ => {}
            }
        }
        if let Some(next) = self.settle(&heavy) {
            return next;
        }
        self.has_run = true;
        let visit = Operation::Visit {
            entry: self.job.entry,
            db: self.job.db,
            caller: self.job.caller,
            args: std::mem::replace(&mut self.job.words, OwnedArgs::with_capacity(0, 0)),
            guests: std::mem::take(&mut self.guests),
        };
        Next::Phase(vec![(self.home, visit, true)])
    }
}
