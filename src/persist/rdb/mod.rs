//! RDB files around their records: what is written before, between and after them, and how a file is taken apart.
//!
//!     "REDIS0011" aux … function … { 254 db [ 251 keys deadlines ] record … } … 255 CRC-64
//!
//! # Which version is written
//!
//! The lowest that has what is to be written, so that the most servers read it: 11 (Redis 7.2 and later, Valkey); 12 where
//! fields of a hash have deadlines (Redis 7.4 and later; Valkey 9 refuses it by number). A stream with producers has the type of
//! Redis 8.6, which older ones refuse by its number. Arrays are Redis 8.8's, whose format
//! for them is not known here: they are written with a type of rondo's own, which others refuse by its number.
//!
//! # Which are read
//!
//! 1 to 16, of which 13 to 16 are Redis 8.6's to 8.10's, and 80 of Valkey 9, which begins with another word ("VALKEY080") and has a type of its own for hashes whose fields have
//! deadlines: such a record is given as Redis's. Another version, what a module has written of or beside a key, or a type that is not
//! known (of Redis 8.10: hashes with templates, rate limiters) is refused, named, with file and offset.
//!
//! Not here  records: `keyspace/rdb/record.rs`; files: `node/`.
//! Source    files recorded from Redis 2.4 to 8 and Valkey 9; the RDB format as redis-rdb-tools describes it; what 13 to 16 have more,
//!           from descriptions of them.
//! Tests     tests/persist/rdb.rs, tests/keyspace/cut.rs; fuzz/fuzz_targets/rdb_file.rs.

mod frame;
mod skip;
mod valkey;
mod write;

pub use frame::{Bad, Framer, Item};
pub use write::FileWriter;

/// The version that is written where nothing needs more.
pub const VERSION: u16 = 11;
/// The version that has deadlines of hash fields.
pub const VERSION_MAX: u16 = 12;

/// What every file begins with; four digits of version follow.
const MAGIC: &[u8; 5] = b"REDIS";
/// What files of Valkey from 9 on begin with; three digits of version follow.
const VALKEY_MAGIC: &[u8; 6] = b"VALKEY";
/// The version that is known of those.
const VALKEY_VERSION: u16 = 80;
/// Magic and version.
const MAGIC_BYTES: usize = 9;
/// The checksum after the end mark, since version 5.
const CHECKSUM_BYTES: usize = 8;
const CHECKSUM_VERSION_MIN: u16 = 5;

/// Bytes that say what follows, where it is no record.
mod mark {
    pub const END: u8 = 255;
    pub const DATABASE: u8 = 254;
    pub const SIZES: u8 = 251;
    pub const AUX: u8 = 250;
    pub const MODULE_AUX: u8 = 247;
    pub const FUNCTION_EARLY: u8 = 246;
    pub const FUNCTION: u8 = 245;
    pub const SLOT_INFO: u8 = 244;
    pub const SLOT_IMPORT: u8 = 243;
    /// The same byte in files of Redis.
    pub const KEY_META: u8 = 243;
    pub const HASH_TEMPLATE: u8 = 242;
}
