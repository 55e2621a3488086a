//! SCAN where a shard's walk begins: shard after shard while there is room for more keys in the reply.
//!
//!     SCAN 0 COUNT 10 ──> shard 0: all of its 3 keys ──> shard 1, COUNT 7: 7 keys and a cursor ──> the reply
//!
//! A database of few keys comes in one reply with cursor 0, as from a server with one table: applications rely on that though
//! nobody promised it. A cursor in the midst of a shard's keys needs that shard alone, so long walks pay for this once a shard.
//!
//! Promises  what SCAN promises; the shards are looked at one after the other, each under a lock of its own.
//! Tests     tests/commands/scan.rs, tests/transcripts/scan.txt.

use super::{Job, Locks, Next, Program, first_error, unexpected};
use crate::commands::CommandError;
use crate::commands::scan::{Cursor, count_of};
use crate::resp::Reply;
use crate::resp::args::OwnedArgs;
use crate::resp::element::{elements, read_bulk};
use crate::router::{LockMode, LockSet, Operation, Output, ShardId, TxId};

/// See the module.
pub(super) struct Walk {
    job: Job,
    at: ShardId,
    count_left: usize,
    found_count: usize,
    /// The elements of the reply so far.
    found: Vec<u8>,
}

impl Walk {
    pub(super) fn new(job: Job) -> Result<Self, CommandError> {
        let cursor = Cursor::parse(job.args().get(1), job.map.shards_count())?;
        Ok(Self {
            at: cursor.shard,
            count_left: count_of(&job.args())?,
            job,
            found_count: 0,
            found: Vec::new(),
        })
    }

    /// The locks of its first step.
    pub(super) fn locks(&self) -> Locks {
        vec![(self.at, LockSet::of_shard(0, LockMode::Shared))]
    }

    /// The command for one shard: from its beginning, and not more keys than there is room for.
    fn command(&self) -> (ShardId, Operation) {
        let args = self.job.args();
        let (cursor, count) = (self.at.to_string(), self.count_left.to_string());
        let options = args.iter_from(2);
        let before = [args.get(0), cursor.as_bytes()].into_iter();
        let words: OwnedArgs = before
            .chain(options)
            .chain([&b"COUNT"[..], count.as_bytes()])
            .collect();
        (self.at, self.job.command(words))
    }

    /// Takes a shard's reply; the cursor it gave.
    fn take(&mut self, reply: &[u8]) -> Option<Vec<u8>> {
        let mut parts = elements(reply)?;
        let cursor = read_bulk(parts.next()?)?.to_vec();
        let keys = elements(parts.next()?)?;
        self.found_count += keys.left();
        self.count_left = self.count_left.saturating_sub(keys.left());
        self.found.extend_from_slice(keys.rest());
        Some(cursor)
    }
}

impl Program for Walk {
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        vec![self.command()]
    }

    fn begin(&mut self, _: TxId) -> Next {
        unexpected() // It has read when its locks are granted.
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        if let Some(error) = first_error(&outputs) {
            return Next::Done(error);
        }
        let Some((_, Output::Reply(reply))) = outputs.into_iter().next() else {
            return unexpected();
        };
        let Some(cursor) = self.take(&reply) else {
            return unexpected();
        };
        let shards_count = self.job.map.shards_count();
        let next = Cursor::parse(&cursor, shards_count);
        if let Ok(next) = next
            && next.shard > self.at
            && self.count_left > 0
        {
            self.at = next.shard;
            return Next::Lock(self.locks());
        }
        let mut reply = Vec::with_capacity(self.found.len() + 32);
        let mut out = Reply::new(&mut reply, self.job.caller.protocol);
        out.array(2);
        out.bulk(&cursor);
        out.array(self.found_count);
        out.raw(&self.found);
        Next::Done(reply)
    }
}
