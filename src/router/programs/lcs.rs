//! LCS: both strings are read, then compared where the connection is.

use super::{Job, Next, Program, error_reply, first_error, unexpected};
use crate::commands::lcs::reply_lcs;
use crate::resp::Reply;
use crate::router::{Operation, Output, ShardId, TxId};

/// See the module.
pub(super) struct Lcs {
    job: Job,
    shards: [ShardId; 2],
}

impl Lcs {
    pub(super) fn new(job: Job) -> Self {
        let shards = [1, 2].map(|word| job.map.shard_of(job.args().get(word)));
        Self { job, shards }
    }
}

impl Program for Lcs {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        let args = self.job.args();
        let read = |word: usize| {
            let operation = Operation::ReadString {
                db: self.job.db,
                key: args.get(word).to_vec(),
                caller: self.job.caller,
            };
            (self.shards[word - 1], operation)
        };
        vec![read(1), read(2)]
    }

    fn begin(&mut self, _: TxId) -> Next {
        unexpected() // It has read when its locks are granted.
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        if let Some(error) = first_error(&outputs) {
            return Next::Done(error);
        }
        let text_of = |shard: ShardId| {
            outputs.iter().find_map(|(of, output)| match output {
                Output::Text { text, bytes_max } if *of == shard => {
                    Some((text.as_deref().unwrap_or_default(), *bytes_max))
                }
                _ => None,
            })
        };
        let (Some((first, bytes_max)), Some((second, _))) =
            (text_of(self.shards[0]), text_of(self.shards[1]))
        else {
            return unexpected();
        };
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, self.job.caller.protocol);
        match reply_lcs(first, second, &self.job.args(), bytes_max, &mut reply) {
            Ok(()) => Next::Done(out),
            Err(error) => Next::Done(error_reply(&error)),
        }
    }
}
