//! The one test binary: a directory per room, mirroring `src`.

mod base; // numbers, globs, CRCs, 80-bit floats: golden values and models
mod resp; // the wire: golden bytes, every message cut at every byte, errors recorded from a real server
mod shard; // locks against a model, figures
