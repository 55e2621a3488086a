//! Things that know no Redis words: number text, globs, hashes, seeded randomness, lists whose copies are shared.
#![forbid(unsafe_code)]

mod binary;
pub mod crc16;
pub mod crc64;
pub mod earth;
pub mod extended;
pub mod geohash;
pub mod glob;
mod grisu;
pub mod hash;
pub mod long_copy;
pub mod number;
pub mod regex;
pub mod rng;
pub mod sha1;
pub mod shared_bytes;
pub mod shared_list;
pub mod ticks;
pub mod units;
