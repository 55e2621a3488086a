//! LCS: both strings are read, then compared where the connection is.

use super::{Job, Next, Program, first_error, unexpected};
use crate::commands::CommandError;
use crate::commands::table::Caller;
use crate::resp::args::OwnedArgs;
use crate::router::{Operation, Output, ShardId, TxId};

/// See the module.
pub(super) struct Lcs {
    caller: Caller,
    db: u16,
    args: OwnedArgs,
    shards: [ShardId; 2],
}

impl Lcs {
    pub(super) fn new(job: &Job<'_>) -> Result<Self, CommandError> {
        Ok(Self {
            caller: job.caller,
            db: job.db,
            args: OwnedArgs::from_args(&job.args),
            shards: [1, 2].map(|word| job.map.shard_of(job.args.get(word))),
        })
    }
}

impl Program for Lcs {
    fn begin(&mut self, _: TxId) -> Next {
        let args = self.args.as_args();
        let read = |word: usize| {
            let operation = Operation::ReadString {
                db: self.db,
                key: args.get(word).to_vec(),
            };
            (self.shards[word - 1], operation, true)
        };
        Next::Phase(vec![read(1), read(2)])
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        if let Some(error) = first_error(&outputs) {
            return Next::Done(error);
        }
        let text_of = |shard: ShardId| {
            outputs.iter().find_map(|(of, output)| match output {
                Output::Text(text) if *of == shard => Some(text.as_deref().unwrap_or_default()),
                _ => None,
            })
        };
        let (Some(_first), Some(_second)) = (text_of(self.shards[0]), text_of(self.shards[1]))
        else {
            return unexpected();
        };
        let _ = self.caller;
        unexpected()
    }
}
