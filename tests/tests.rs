//! The one test binary: a directory per room, mirroring `src`.

mod base; // numbers, globs, CRCs, 80-bit floats: golden values and models
mod commands; // transcripts recorded from a real server, and random commands against a plain model
mod ds; // data structures against plain models of the standard library
mod keyspace; // expiry, access clocks, flushes
mod lua; // native stacks at their limits, memory at its limit
mod node; // options, files, flags, INFO, CLIENT LIST: text in, values out
mod persist; // RDB files, records, segments, logs, manifests: every cut, every damaged byte, every row of the torn-tail table
mod resp; // the wire: golden bytes, every message cut at every byte, errors recorded from a real server
mod router; // plans, merges, and commands over several shards against recorded replies
mod script; // scripts against replies recorded from a real server, several under way at once, kills
mod server; // the built binary: order, atomicity, limits, abuse
mod shard; // locks against a model, figures
mod sim; // many shards, one thread: histories are strictly serialisable
mod tidy; // layers, unsafe rooms, sizes: reads the text of src
