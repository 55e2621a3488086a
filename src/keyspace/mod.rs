//! One shard's keys. SKELETON.
#![forbid(unsafe_code)]

pub mod slot;

pub use slot::{SlotMap, slot_of};

/// One shard's keys in every database.
pub struct Keyspace {}
