//! Split and EveryShard: the same command on several shards in one phase, replies merged.
//!
//! Promises  a key keeps its place among the keys of its shard, so one named twice is worked twice, in order.
//! Not here  how replies become one: `router/merge.rs`.

use super::{Job, Next, Part, Program};
use crate::commands::table::Merge;
use crate::commands::{CommandError, Flags, KeyShape};
use crate::resp::args::OwnedArgs;
use crate::router::merge::merge;
use crate::router::{Operation, Output, ShardId, TxId};

/// One command in parts.
pub(super) struct Split {
    job: Job,
    merge: Merge,
    parts: Vec<Part>,
    /// The first key's word; what is before it goes to every part. The number of words where there are no keys.
    first: usize,
    /// Words from key to key.
    step: usize,
}

impl Split {
    /// The words cut by the shard of their keys.
    pub(super) fn by_key(job: Job, merge: Merge) -> Result<Self, CommandError> {
        let KeyShape::Range { first, last, step } = job.entry.keys else {
            return Err("ERR command cannot be split".into());
        };
        let (first, step) = (usize::from(first), usize::from(step).max(1));
        debug_assert_eq!(last, -1, "what is split has keys to the last word");
        let words_count = job.args().len();
        if !(words_count - first).is_multiple_of(step) {
            return Err(CommandError::Arity(job.entry.full_name));
        }
        Ok(Self {
            parts: job.parts(first..words_count, step),
            job,
            merge,
            first,
            step,
        })
    }

    /// All words on all shards.
    pub(super) fn everywhere(job: Job, merge: Merge) -> Self {
        let shards = 0..job.map.shards_count();
        Self {
            parts: shards.map(|shard| (shard, Vec::new())).collect(),
            first: job.args().len(),
            step: 1,
            job,
            merge,
        }
    }

    /// Every shard's words. Made for each try anew: tries are rarely more than one, and copies to keep cost.
    fn operations(&self) -> impl Iterator<Item = (ShardId, Operation)> {
        self.parts
            .iter()
            .map(|(shard, places)| (*shard, self.job.command(self.words(places))))
    }

    fn words(&self, places: &[usize]) -> OwnedArgs {
        let args = self.job.args();
        let of_keys = places.iter().flat_map(|place| {
            let at = self.first + place * self.step;
            at..at + self.step
        });
        let indices = (0..self.first).chain(of_keys);
        let bytes = indices.clone().map(|index| args.get(index).len()).sum();
        let words_count = self.first + places.len() * self.step;
        let mut words = OwnedArgs::with_capacity(words_count, bytes);
        indices.for_each(|index| words.push(args.get(index)));
        words
    }
}

impl Program for Split {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        if self.job.entry.command.flags.has(Flags::READONLY) {
            self.operations().collect()
        } else {
            Vec::new()
        }
    }

    fn only_phase(&self) -> Option<Vec<(ShardId, Operation)>> {
        Some(self.operations().collect())
    }

    fn begin(&mut self, _: TxId) -> Next {
        let operations = self.operations();
        Next::Phase(
            operations
                .map(|(shard, part)| (shard, part, true))
                .collect(),
        )
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        let mut replies = Vec::with_capacity(outputs.len());
        for (_, output) in outputs {
            match output {
                Output::Reply(reply) => replies.push(reply),
                Output::Error(error) => return Next::Done(super::error_reply(&error)),
                _ => return super::unexpected(),
            }
        }
        debug_assert_eq!(replies.len(), self.parts.len(), "one output a part");
        // Outputs come in order of shards, as the parts are.
        let places: Vec<&[usize]> = self
            .parts
            .iter()
            .map(|(_, places)| places.as_slice())
            .collect();
        let keys_count = places.iter().map(|places| places.len()).sum();
        match merge(self.merge, &replies, &places, keys_count) {
            Some(reply) => Next::Done(reply),
            None => super::unexpected(),
        }
    }
}
