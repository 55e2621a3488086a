//! Router: which shard a request runs on, and how one command runs on several.
//!
//!     request -> plan -> Here | Shard(id)           one step, no lock, no allocation
//!                     -> Many -> Transaction        schedule on every shard, then one hop a phase
//!
//! Promises  a command is atomic and isolated on however many shards; nothing here does I/O or reads a clock.
//! Not here  the locks themselves: `shard/locks/`; carrying messages: `node/`.
//! Source    Thomson et al., "VLL: a lock manager redesign for main memory database systems", VLDB 2013.
//! Tests     tests/router/, and the whole of it in tests/sim/: histories are strictly serialisable.
#![forbid(unsafe_code)]

pub mod calls;
pub mod errand;
pub mod keys;
pub mod lock_set;
pub mod merge;
pub mod message;
pub mod operation;
pub mod packed;
pub mod plan;
pub mod programs;
pub mod stays;
pub mod token;
pub mod transaction;
pub mod wait;
pub mod watch;

pub use lock_set::{KeyLock, LockMode, LockSet};
pub use message::{FromShard, ToShard, Trace};
pub use operation::{Operation, Output};
pub use plan::{Plan, plan};
pub use transaction::{Step, Transaction};
pub use wait::WaitTicket;

/// Index of a shard, below [`crate::keyspace::SlotMap::shards_count`].
pub type ShardId = u16;

/// Names one try of one transaction; unique in the process, drawn from one increasing counter.
pub type TxId = u64;

/// Who waits for a reply: a request of a connection on a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The core that holds the connection.
    pub core: u16,
    /// Index into that core's connections.
    pub connection: u32,
    /// Tells this connection from an earlier one with the same index.
    pub generation: u32,
    /// The request's number on its connection.
    pub sequence: u64,
}
