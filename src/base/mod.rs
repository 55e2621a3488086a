//! Things that know no Redis words: number text, globs, hashes, seeded randomness.
#![forbid(unsafe_code)]

pub mod crc16;
pub mod hash;
pub mod number;
pub mod rng;
