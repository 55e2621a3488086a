//! One shard's keys: what handlers cannot show.

mod access; // LRU and LFU clocks
mod array; // the cursor, rings
mod compact; // active defragmentation between requests
mod cut; // snapshots: what is in them, and read back
mod events; // keyspace notifications: classes, what is noted
mod evict;
mod expire; // the cycle, its budget and what it measures
mod flush; // flushed databases, freed step by step
mod hash;
mod key_groups; // keys that live together
mod moved; // values on their way between keys and shards
pub mod rdb;
mod rdb_array; // arrays of Redis in payloads
mod rdb_empty; // keys of no element, which are passed over
mod rdb_list; // lists in payloads
mod rdb_packed; // listpacks from elsewhere: kept, written anew or refused
mod rdb_set; // sets in payloads
mod rdb_stream; // streams in payloads
mod set; // encodings, algebra, chance
pub mod sizes; // how many keys have which size, at any time
mod slot; // hash tags
mod tracked; // which memory tracked keys take, and give back
mod zset;
