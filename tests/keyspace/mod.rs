//! One shard's keys: what handlers cannot show.

mod access; // LRU and LFU clocks
mod expire; // the cycle, its budget and what it measures
mod flush;
mod hash;
// flushed databases, freed step by step
mod moved; // values on their way between keys and shards
pub mod rdb;
mod rdb_list; // lists in payloads
mod zset;
