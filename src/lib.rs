//! rondo: a Redis-compatible data structure server, one pinned thread and one keyspace shard per core.
//!
//! Layers, lowest first; `use` points down only (`tests/tidy.rs` reads the lines):
//!
//! | level | rooms |
//! |---|---|
//! | L0 | `base`: no Redis words |
//! | L1 | `ds`: data structures · `lua`: the Lua machine · `resp`: the wire, without sockets |
//! | L2 | `keyspace`: one shard's keys |
//! | L3 | `commands`: argv to a call to a reply · `persist`: what is on disk, without files · `script`: what Redis puts into Lua |
//! | L4 | `router`: key to shard, plans, transactions over shards |
//! | L5 | `shard`: binds the rooms below |
//! | L6 | `node`: executors, rings, sockets, clocks, configuration |
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod base;
pub mod commands;
pub mod ds;
pub mod keyspace;
pub mod lua;
pub mod node;
pub mod persist;
pub mod resp;
pub mod router;
pub mod script;
pub mod shard;
