//! Cut: the moment of a snapshot, one for all shards.
//!
//! Promises  the locks of all shards are held together before the first cuts, so a transaction over several shards is in
//!           the snapshot whole or not at all. Nobody waits for more than one short step of every shard: writes for the
//!           locks, which each shard gives back as it cuts; reads not even that.
//! Not here  what a cut is: `keyspace/cut.rs`. What becomes of it: `node/snapshot.rs`.
//! Tests     tests/persist/rdb.rs.

use super::{Locks, Next, Program, integer_reply, locks_on_every_shard, unexpected};
use crate::keyspace::SlotMap;
use crate::router::{LockMode, Operation, Output, ShardId, TxId};

/// Every shard cuts.
pub(in crate::router) struct Cut {
    shards_count: u16,
    compresses: bool,
    is_base: bool,
}

impl Cut {
    /// The locks and the program.
    pub(in crate::router) fn new(compresses: bool, is_base: bool, map: SlotMap) -> (Locks, Self) {
        let locks = locks_on_every_shard(map, LockMode::Shared);
        let cut = Self {
            shards_count: map.shards_count(),
            compresses,
            is_base,
        };
        (locks, cut)
    }
}

impl Program for Cut {
    fn begin(&mut self, _: TxId) -> Next {
        let (compresses, is_base) = (self.compresses, self.is_base);
        let operation = || Operation::Cut {
            compresses,
            is_base,
        };
        let cut = |shard| (shard, operation(), true);
        Next::Phase((0..self.shards_count).map(cut).collect())
    }

    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next {
        let mut changes = 0;
        for (_, output) in outputs {
            match output {
                Output::Count(count) => changes += count,
                _ => return unexpected(),
            }
        }
        Next::Done(integer_reply(changes))
    }
}
