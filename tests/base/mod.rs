mod crc16;
mod crc64;
mod extended;
mod geohash;
mod glob;
mod number;
mod rng;
mod sha1;
