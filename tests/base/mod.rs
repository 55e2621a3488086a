mod crc16;
mod extended;
mod glob;
mod number;
mod rng;
