//! Commands on one keyspace.

mod debug; // DEBUG's subcommands that touch keys
mod model; // random string and deadline commands against a plain model
pub mod runner;
mod scan; // whole walks, under changes, over shards
pub mod transcript;
pub mod transcripts;
