//! Bring: a command that reads keys of several shards runs on one of them, with copies of the others' values.
//!
//! It runs where the key that it writes lives; without one, where its first key does. The copies are made when the locks
//! are granted, so all of it is two hops; the locks keep what was copied true until it has run.
//!
//!     values of at most [`LIGHT_BYTES`] a shard        lent at once
//!     more, and no key is written                      nothing is copied yet: it runs where most is, and the others lend; one hop more
//!     more, and what a key held is replaced            the same, and what it made is handed over whole; two hops more
//!
//! Promises  the largest of the large values stays where it is: SINTER and SINTERSTORE of a few members with millions cost
//!           what the few cost, wherever all are; what is stored is never copied or made into bytes on its way.
//! Not here  how a handler finds the copies, and where it stores for another shard: `keyspace/guests.rs`. A command that
//!           adds to what a key holds (PFMERGE) runs there.
//! Tests     every transcript of a command of several keys, at 2 and 7 shards; tests/router/programs.rs.

use super::made::Destination;
use super::{Job, Next, Program, first_error, part_of, unexpected};
use crate::commands::table::KeySpec;
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
    /// The key whose value it replaces, if it does.
    destination: Destination,
    /// It may run anywhere.
    is_free: bool,
    /// Of every shard, the words whose values it reads.
    parts: Vec<(ShardId, Vec<usize>)>,
    guests: Vec<(Vec<u8>, Moved)>,
    has_run: bool,
}

impl Bring {
    pub(super) fn new(job: Job) -> Self {
        let args = job.args();
        let mut keys = Vec::new();
        for_each_lock(job.entry, &args, |index, mode| keys.push((index, mode)));
        let written = keys.iter().find(|(_, mode)| *mode == LockMode::Exclusive);
        let written = written.map(|(index, _)| *index);
        let home_key = written.or(keys.first().map(|(index, _)| *index));
        let home = job.map.shard_of(args.get(home_key.unwrap_or(0)));
        let adds = |spec: &KeySpec| spec.access.mode == "RW";
        let replaced = written.filter(|_| !job.entry.command.keys.iter().any(adds));
        let destination = replaced.map(|word| Destination::new(home, args.get(word)));
        let destination = destination.unwrap_or_default();
        let mut parts: Vec<(ShardId, Vec<usize>)> = Vec::new();
        for &(index, _) in &keys {
            let part = part_of(&mut parts, job.map.shard_of(args.get(index)));
            if replaced != Some(index) {
                part.push(index);
            }
        }
        Self {
            home,
            is_free: written.is_none() || destination.is_some(),
            destination,
            job,
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
            return self.destination.next(&self.job, outputs);
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
        let guests = std::mem::take(&mut self.guests);
        self.destination.run(&mut self.job, self.home, guests)
    }
}
