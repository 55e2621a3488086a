//! MSETNX and MSETEX: which of the keys exist on every shard, then all of them are written or none.
//!
//! Promises  a condition on the keys is decided over all shards before anything is written; without one there is no
//!           first phase.

use super::{Job, Next, Program, first_error, integer_reply, part_of, unexpected};
use crate::commands::string_many::{MsetEx, check_pairs};
use crate::commands::table::Caller;
use crate::commands::{CommandError, Entry};
use crate::resp::Args;
use crate::resp::args::OwnedArgs;
use crate::router::{Operation, Output, ShardId, TxId};

/// What the keys must be for anything to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Always,
    NoneExists,
    AllExist,
}

/// See the module.
pub(super) struct Conditional {
    entry: &'static Entry,
    db: u16,
    caller: Caller,
    condition: Condition,
    parts: Vec<(ShardId, Part)>,
    keys_count: u64,
    is_writing: bool,
}

#[derive(Default)]
struct Part {
    /// Keys and values in turn.
    pairs: OwnedArgs,
    keys: OwnedArgs,
    keys_count: u64,
    /// The command that writes this part.
    write: OwnedArgs,
}

impl Conditional {
    /// `MSETNX key value [key value ...]`.
    pub(super) fn msetnx(job: &Job<'_>) -> Result<Self, CommandError> {
        check_pairs(&job.args, job.entry.full_name)?;
        let name = job.args.get(0);
        Ok(Self::new(
            job,
            Condition::NoneExists,
            1..job.args.len(),
            |part| {
                part.write.push(name);
                part.pairs
                    .as_args()
                    .iter_from(0)
                    .for_each(|word| part.write.push(word));
            },
        ))
    }

    /// `MSETEX numkeys key value [key value ...] [NX | XX] [EX … | PX … | EXAT … | PXAT … | KEEPTTL]`.
    pub(super) fn msetex(job: &Job<'_>) -> Result<Self, CommandError> {
        let args = job.args;
        // At time 0: what a deadline is relative to, the shards know. One that is too far by then they refuse, all
        // alike, before they write.
        let words = MsetEx::parse(&args, 0)?;
        let condition = match words.wants_present {
            None => Condition::Always,
            Some(true) => Condition::AllExist,
            Some(false) => Condition::NoneExists,
        };
        let options = without_condition(&args.tail(words.pairs().end));
        Ok(Self::new(job, condition, words.pairs(), |part| {
            part.write.push(args.get(0));
            part.write.push(part.keys_count.to_string().as_bytes());
            let pairs = part.pairs.as_args();
            pairs.iter_from(0).for_each(|word| part.write.push(word));
            let options = options.as_args();
            options.iter_from(0).for_each(|word| part.write.push(word));
        }))
    }

    fn new(
        job: &Job<'_>,
        condition: Condition,
        pairs: std::ops::Range<usize>,
        finish: impl Fn(&mut Part),
    ) -> Self {
        let mut parts: Vec<(ShardId, Part)> = Vec::new();
        let mut keys_count = 0;
        for at in pairs.step_by(2) {
            let key = job.args.get(at);
            let part = part_of(&mut parts, job.map.shard_of(key));
            part.pairs.push(key);
            part.pairs.push(job.args.get(at + 1));
            part.keys.push(key);
            part.keys_count += 1;
            keys_count += 1;
        }
        parts.sort_by_key(|(shard, _)| *shard);
        parts.iter_mut().for_each(|(_, part)| finish(part));
        Self {
            entry: job.entry,
            db: job.db,
            caller: job.caller,
            condition,
            parts,
            keys_count,
            is_writing: false,
        }
    }

    fn write(&mut self) -> Next {
        self.is_writing = true;
        let operations = self.parts.iter_mut().map(|(shard, part)| {
            let operation = Operation::Command {
                entry: self.entry,
                db: self.db,
                caller: self.caller,
                args: std::mem::take(&mut part.write),
            };
            (*shard, operation, true)
        });
        Next::Phase(operations.collect())
    }
}

/// MSETEX's options, checked before, without NX and XX. Where a number stands, neither can.
fn without_condition(options: &Args<'_>) -> OwnedArgs {
    let is_condition =
        |word: &&[u8]| word.eq_ignore_ascii_case(b"NX") || word.eq_ignore_ascii_case(b"XX");
    options
        .iter_from(0)
        .filter(|word| !is_condition(word))
        .collect()
}

impl Program for Conditional {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        if self.condition == Condition::Always {
            return Vec::new();
        }
        let read = |(shard, part): &(ShardId, Part)| {
            let operation = Operation::Exists {
                db: self.db,
                keys: part.keys.clone(),
            };
            (*shard, operation)
        };
        self.parts.iter().map(read).collect()
    }

    fn begin(&mut self, _: TxId) -> Next {
        self.write()
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        if let Some(error) = first_error(&outputs) {
            return Next::Done(error);
        }
        if self.is_writing {
            return Next::Done(integer_reply(1));
        }
        let mut exist_count = 0;
        for (_, output) in &outputs {
            let Output::Count(count) = output else {
                return unexpected();
            };
            exist_count += count;
        }
        let is_met = match self.condition {
            Condition::Always => true,
            Condition::NoneExists => exist_count == 0,
            Condition::AllExist => exist_count == self.keys_count,
        };
        if is_met {
            self.write()
        } else {
            Next::Done(integer_reply(0))
        }
    }
}
