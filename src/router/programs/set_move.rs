//! SMOVE over two shards: look at both sets, remove at one, add at the other.
//!
//! Promises  what the handler on one shard promises: both types are checked before the member moves, and a source that is
//!           not there is no mistake whatever the destination is.
//! Tests     tests/transcripts/set.txt, at 2 and 7 shards.

use super::{Job, Next, Program, first_error, integer_reply, unexpected};
use crate::commands::table;
use crate::commands::table::Caller;
use crate::resp::args::OwnedArgs;
use crate::router::{Operation, Output, ShardId, TxId};

/// See the module.
pub(super) struct SetMove {
    job: Job,
    source: ShardId,
    destination: ShardId,
    phase: Phase,
}

enum Phase {
    Look,
    Remove,
    Add,
}

impl SetMove {
    pub(super) fn new(job: Job) -> Self {
        Self {
            source: job.map.shard_of(job.args().get(1)),
            destination: job.map.shard_of(job.args().get(2)),
            job,
            phase: Phase::Look,
        }
    }

    /// Another command on one of the two keys, with the member if it takes one.
    fn command(&self, caller: Caller, name: &str, words: &[usize]) -> Option<Operation> {
        let mut args = OwnedArgs::new();
        args.push(name.as_bytes());
        words
            .iter()
            .for_each(|&word| args.push(self.job.args().get(word)));
        Some(Operation::Command {
            entry: table().find_original(name.as_bytes())?,
            db: self.job.db,
            caller,
            args,
        })
    }

    fn run(&self, shard: ShardId, name: &str, word: usize) -> Next {
        match self.command(self.job.caller, name, &[word, 3]) {
            Some(operation) => Next::Phase(vec![(shard, operation, true)]),
            None => unexpected(),
        }
    }
}

impl Program for SetMove {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        let caller = self.job.caller.to_look();
        let look = |shard, word| Some((shard, self.command(caller, "SCARD", &[word])?));
        [look(self.source, 1), look(self.destination, 2)]
            .into_iter()
            .flatten()
            .collect()
    }

    fn begin(&mut self, _: TxId) -> Next {
        unexpected() // It has looked when its locks are granted.
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        let of = |shard| outputs.iter().find(|(from, _)| *from == shard);
        match self.phase {
            Phase::Look => {
                let source = of(self.source);
                if let Some((_, Output::Reply(reply))) = source
                    && reply == b":0\r\n"
                {
                    return Next::Done(integer_reply(0));
                }
                // The source's mistake is the first.
                let mistake = source
                    .and_then(|source| first_error(std::slice::from_ref(source)))
                    .or_else(|| first_error(&outputs));
                if let Some(error) = mistake {
                    return Next::Done(error);
                }
                self.phase = Phase::Remove;
                self.run(self.source, "SREM", 1)
            }
            Phase::Remove => match of(self.source) {
                Some((_, Output::Reply(reply))) if reply == b":1\r\n" => {
                    self.phase = Phase::Add;
                    self.run(self.destination, "SADD", 2)
                }
                Some((_, Output::Reply(reply))) => Next::Done(reply.clone()),
                _ => unexpected(),
            },
            // Whether it is new there or not, it has left the source.
            Phase::Add => Next::Done(first_error(&outputs).unwrap_or_else(|| integer_reply(1))),
        }
    }
}
