//! Persist: what is on disk of a shard's past, as state machines that ask for writes and are told what became of them.
//!
//!     effects -> record -> batch of records -> segment -> log of a core -> epoch -> manifest
//!
//! Promises  no I/O, clock or randomness here: `node/disk.rs` performs what is asked for, tests break it on purpose.
//! Not here  values as bytes: `keyspace/rdb/`; what a command did: `shard/effects.rs`; running effects again: `shard/replay.rs`.
//! Tests     tests/persist/.
#![forbid(unsafe_code)]

pub mod effects;
pub mod holds;
pub mod libraries;
pub mod log;
pub mod manifest;
pub mod rdb;
pub mod record;
pub mod recovery;
pub mod segment;
pub mod source;
pub mod withheld;

pub use crate::ds::block_buffer::{BLOCK_BYTES, BlockBuffer};
pub use holds::Holds;
pub use log::Log;
pub use withheld::Withheld;
