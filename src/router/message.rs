//! What cores say to each other about transactions.
//!
//! Promises  everything is `Send`; between two cores messages arrive in the order they were sent.
//! Not here  what a step does: `router/operation.rs`. The bytes of single-shard requests and their replies: `node/mesh.rs` carries
//!           them in batches.

use super::calls::SlowCall;
use super::{LockSet, Operation, Origin, Output, ShardId, TxId};
use crate::persist::Holds;
use crate::persist::record::Part;

/// From a transaction's coordinator to a shard.
pub enum ToShard {
    /// Take these locks, now or in their turn; answered by [`FromShard::Scheduled`].
    Schedule {
        /// The transaction.
        tx: TxId,
        /// Where its coordinator is.
        core: u16,
        /// What it will touch on this shard.
        locks: LockSet,
        /// What to run as soon as they are granted, answered by [`FromShard::Ran`] in place of the grant: something that
        /// reads. The locks keep it true until they are released, and a try that fails elsewhere has changed nothing.
        read: Option<Operation>,
    },
    /// Run a part of the command; answered by [`FromShard::Ran`].
    Run {
        /// The transaction.
        tx: TxId,
        /// Where its coordinator is.
        core: u16,
        /// What to do.
        operation: Operation,
        /// Release the transaction's locks on this shard afterwards.
        last: bool,
    },
    /// A transaction that is one operation on one shard: run it once it has its locks, answered by [`FromShard::Ran`], or,
    /// where it came out of order, by [`FromShard::Scheduled`]. Nothing of it stays behind.
    RunWhole {
        /// The transaction.
        tx: TxId,
        /// Where its coordinator is.
        core: u16,
        /// What it will touch; not taken where no lock is held.
        locks: LockSet,
        /// What to do.
        operation: Operation,
    },
    /// What a transaction does here, all of it, once it has its locks, which go with it: the last ones that it waits for.
    /// Answered as [`ToShard::RunWhole`] is; what it does is logged with the rest of the transaction.
    RunLast {
        /// The transaction.
        tx: TxId,
        /// Where its coordinator is.
        core: u16,
        /// What it will touch; not taken where no lock is held.
        locks: LockSet,
        /// What to do.
        operation: Operation,
    },
    /// Give back [`ToShard::RunLast`] unless it has run; answered as if it had come out of order, if it has not.
    Recall {
        /// The transaction.
        tx: TxId,
    },
    /// Take these locks on top of what the transaction has, whoever else wants them; answered by [`FromShard::Seized`]. At
    /// most one transaction in the process does this where others may be in its way (`router/token.rs`).
    Seize {
        /// The transaction.
        tx: TxId,
        /// Where its coordinator is.
        core: u16,
        /// What it wants.
        locks: LockSet,
        /// What to run if they are granted at once; answered by [`FromShard::Ran`] behind the grant. Where they come later
        /// it is not run.
        then: Option<Operation>,
    },
    /// The transaction wants no more what it has asked to seize. Answered by [`FromShard::Withdrawn`], after the answer to
    /// [`ToShard::Seize`] if it was seized meanwhile: then it keeps it.
    Withdraw {
        /// The transaction.
        tx: TxId,
        /// Where its coordinator is.
        core: u16,
    },
    /// Give up the transaction unless it has run: it is [`ToShard::RunWhole`] or [`ToShard::RunLast`], and has waited for a
    /// script that runs for long. Answered by [`FromShard::TurnedAway`] if it has not run.
    TurnAway {
        /// The transaction.
        tx: TxId,
        /// The script is a function.
        is_function: bool,
    },
    /// Forget the transaction: its locks go, waiting or granted. Unknown ones are ignored.
    Release {
        /// The transaction.
        tx: TxId,
    },
    /// Nobody wants the rest of a reply that comes in pieces.
    EndRead {
        /// As [`FromShard::Part`] names it.
        reading: u64,
    },
    /// A piece of a reply was taken: one more may be made. Unknown ones are ignored.
    ReadOn {
        /// As [`FromShard::Part`] names it.
        reading: u64,
    },
    /// A client waits no more; unknown ones are ignored.
    Forget {
        /// Its ticket's id.
        id: u64,
    },
    /// Nobody wants to know any more whether this watch was touched.
    Unwatch {
        /// The watch.
        id: u64,
    },
    /// A client whose coordinator was asked ([`FromShard::Ask`]) goes on waiting.
    Rest {
        /// Its ticket's id.
        id: u64,
    },
}

/// From a shard to a core.
pub enum FromShard {
    /// Calls of a transaction that took long; stands before the answer of the step they were part of.
    Slow {
        /// The transaction.
        tx: TxId,
        /// The calls.
        calls: Vec<SlowCall>,
    },
    /// Answer to [`ToShard::Schedule`], unless the grant comes with what was read.
    Scheduled {
        /// The transaction.
        tx: TxId,
        /// Who answers.
        shard: ShardId,
        /// `false`: it came after a conflicting transaction with a higher place was granted. Nothing of it stays
        /// behind here; try again with a new id.
        granted: bool,
    },
    /// Answer to [`ToShard::Seize`].
    Seized {
        /// The transaction.
        tx: TxId,
        /// Who answers.
        shard: ShardId,
        /// The whole shard is its own by now.
        whole: bool,
        /// What was to be run has been: its outcome follows.
        ran: bool,
    },
    /// Answer to [`ToShard::Withdraw`].
    Withdrawn {
        /// The transaction.
        tx: TxId,
        /// Who answers.
        shard: ShardId,
    },
    /// A transaction that cannot be undone needs what this one has been granted: unless it has everything that it waits
    /// for, it lets go and tries again.
    Wounded {
        /// Who is in the way.
        tx: TxId,
    },
    /// It waits for what a script holds that has run for long: it may give up. Said once.
    Busy {
        /// The transaction.
        tx: TxId,
        /// The script is a function.
        is_function: bool,
    },
    /// Answer to [`ToShard::TurnAway`]: nothing of it stays behind.
    TurnedAway {
        /// The transaction.
        tx: TxId,
        /// The script is a function.
        is_function: bool,
    },
    /// Answer to [`ToShard::Run`], and to [`ToShard::Schedule`] with something to read.
    Ran {
        /// The transaction.
        tx: TxId,
        /// Who answers.
        shard: ShardId,
        /// What came out.
        output: Output,
        /// What of it concerns the log, where there is one.
        trace: Option<Box<Trace>>,
    },
    /// The reply of a single-shard request that had waited for a lock.
    Late {
        /// Who waits for it.
        origin: Origin,
        /// The encoded reply.
        reply: Vec<u8>,
        /// What must be durable before it leaves.
        holds: Holds,
    },
    /// The next piece of a very long reply of a single-shard request.
    Part {
        /// Names the reply on its shard.
        reading: u64,
        /// Who makes it.
        shard: ShardId,
        /// Who waits for it.
        origin: Origin,
        /// What follows what has come.
        bytes: Vec<u8>,
        /// How long the reply is with them.
        bytes_so_far: u64,
        /// How long it is at least when it is whole.
        bytes_min: u64,
        /// It is whole with them.
        is_last: bool,
        /// What must be durable before it leaves.
        holds: Holds,
        /// With the last: the call, where it is worth a note.
        slow: Option<Box<SlowCall>>,
    },
    /// A client that waited has its reply.
    Served {
        /// Its ticket's id.
        id: u64,
        /// The encoded reply, errors included.
        reply: Vec<u8>,
        /// What must be durable before it leaves.
        holds: Holds,
        /// Nanoseconds its command took, without the wait.
        took_ns: u64,
    },
    /// There may be something for a client that needs two shards; its claim is taken. Answered by [`ToShard::Forget`] or
    /// [`ToShard::Rest`].
    Ask {
        /// Its ticket's id.
        id: u64,
        /// The shard that asks, which keeps the claim until it is told.
        shard: ShardId,
    },
    /// To the core of a shard whose keys are worth less: it had better evict some. How much is in the ledger.
    NeedsMemory,
}

impl FromShard {
    /// The transaction that it concerns.
    pub fn tx(&self) -> Option<TxId> {
        match self {
            Self::Slow { tx, .. }
            | Self::Scheduled { tx, .. }
            | Self::Seized { tx, .. }
            | Self::Withdrawn { tx, .. }
            | Self::Wounded { tx }
            | Self::Busy { tx, .. }
            | Self::TurnedAway { tx, .. }
            | Self::Ran { tx, .. } => Some(*tx),
            Self::Late { .. }
            | Self::Part { .. }
            | Self::Served { .. }
            | Self::Ask { .. }
            | Self::NeedsMemory => None,
        }
    }
}

/// What a step of a transaction means for the log.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// What it did, which is not logged yet. The shard has kept the transaction's locks: it is to be told with
    /// [`Operation::Log`].
    pub part: Option<Part>,
    /// How far the shard's log had got.
    pub lsn: u64,
    /// What else must be durable before anything leaves that it has seen.
    pub holds: Holds,
}
