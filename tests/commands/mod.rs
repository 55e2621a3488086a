//! Commands on one keyspace.

mod debug; // DEBUG's subcommands that touch keys
mod model; // random string and deadline commands against a plain model
pub mod runner;
mod scan; // whole walks, under changes, over shards
pub mod transcript;
pub mod transcripts;
mod client; // filters, CLIENT's argument errors
mod command; // COMMAND's replies against recorded ones
mod keys; // which words are keys
mod say; // how requests are run here
mod session; // HELLO, AUTH, SELECT, CONFIG, SHUTDOWN, DEBUG: replies recorded from a real server
mod table; // lookup, unknown commands, arity
