//! Commands on one keyspace.

pub mod runner;
pub mod transcript;
pub mod transcripts;
