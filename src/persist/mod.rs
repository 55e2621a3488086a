//! Persist: what is on disk of the shards' past, as state machines over bytes.
//!
//! Promises  no I/O, clock or randomness here: `node/` reads and writes files.
//! Not here  values as bytes: `keyspace/rdb/`.
//! Tests     tests/persist/.
#![forbid(unsafe_code)]

pub mod rdb;
