//! Split and EveryShard: the same command on several shards in one phase, replies merged.
//!
//! Promises  a key keeps its place among the keys of its shard, so one named twice is worked twice, in order.
//! Not here  how replies become one: `router/merge.rs`.

use super::{Job, Next, Program, part_of};
use crate::commands::table::{Caller, Merge};
use crate::commands::{CommandError, Entry, Flags, KeyShape};
use crate::resp::args::OwnedArgs;
use crate::router::merge::merge;
use crate::router::{Operation, Output, ShardId, TxId};

/// One command in parts.
pub(super) struct Split {
    entry: &'static Entry,
    db: u16,
    caller: Caller,
    merge: Merge,
    parts: Vec<(ShardId, Part)>,
    keys_count: usize,
}

/// What one shard runs.
#[derive(Default)]
struct Part {
    args: OwnedArgs,
    /// For each of its keys, which key of the whole request it is.
    places: Vec<usize>,
}

impl Split {
    /// The words cut by the shard of their keys; words before the first key go to every part.
    pub(super) fn by_key(job: &Job<'_>, merge: Merge) -> Result<Self, CommandError> {
        let args = &job.args;
        let KeyShape::Range { first, last, step } = job.entry.keys else {
            return Err("ERR command cannot be split".into());
        };
        let (first, step) = (usize::from(first), usize::from(step).max(1));
        debug_assert_eq!(last, -1, "what is split has keys to the last word");
        if !(args.len() - first).is_multiple_of(step) {
            return Err(CommandError::Arity(job.entry.full_name));
        }
        let mut parts: Vec<(ShardId, Part)> = Vec::new();
        let mut keys_count = 0;
        for at in (first..args.len()).step_by(step) {
            let shard = job.map.shard_of(args.get(at));
            let part = part_of(&mut parts, shard);
            if part.places.is_empty() {
                (0..first).for_each(|word| part.args.push(args.get(word)));
            }
            (at..at + step).for_each(|word| part.args.push(args.get(word)));
            part.places.push(keys_count);
            keys_count += 1;
        }
        parts.sort_by_key(|(shard, _)| *shard);
        Ok(Self::new(job, merge, parts, keys_count))
    }

    /// All words on all shards.
    pub(super) fn everywhere(job: &Job<'_>, merge: Merge) -> Self {
        let part = |shard| {
            let part = Part {
                args: OwnedArgs::from_args(&job.args),
                places: Vec::new(),
            };
            (shard, part)
        };
        Self::new(
            job,
            merge,
            (0..job.map.shards_count()).map(part).collect(),
            0,
        )
    }

    fn new(job: &Job<'_>, merge: Merge, parts: Vec<(ShardId, Part)>, keys_count: usize) -> Self {
        Self {
            entry: job.entry,
            db: job.db,
            caller: job.caller,
            merge,
            parts,
            keys_count,
        }
    }
}

impl Split {
    fn operation(&self, args: OwnedArgs) -> Operation {
        Operation::Command {
            entry: self.entry,
            db: self.db,
            caller: self.caller,
            args,
        }
    }
}

impl Program for Split {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        if !self.entry.command.flags.has(Flags::READONLY) {
            return Vec::new();
        }
        let read = |(shard, part): &(ShardId, Part)| (*shard, self.operation(part.args.clone()));
        self.parts.iter().map(read).collect()
    }

    fn begin(&mut self, _: TxId) -> Next {
        let mut parts = std::mem::take(&mut self.parts);
        let operations = parts.iter_mut().map(|(shard, part)| {
            let args = std::mem::take(&mut part.args);
            (*shard, self.operation(args), true)
        });
        let phase = Next::Phase(operations.collect());
        self.parts = parts;
        phase
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        let replies: Vec<Vec<u8>> = outputs
            .into_iter()
            .filter_map(|(_, output)| match output {
                Output::Reply(reply) => Some(reply),
                _ => None,
            })
            .collect();
        if replies.len() != self.parts.len() {
            return super::unexpected();
        }
        // Outputs come in order of shards, as the parts are.
        let places: Vec<&[usize]> = self
            .parts
            .iter()
            .map(|(_, part)| part.places.as_slice())
            .collect();
        match merge(self.merge, &replies, &places, self.keys_count) {
            Some(reply) => Next::Done(reply),
            None => super::unexpected(),
        }
    }
}
