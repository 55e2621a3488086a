//! Commands on one keyspace.

mod acl_log; // the order of denials
mod blocking; // timeouts, requests cut to some of their keys
mod client; // filters, CLIENT's argument errors
mod command; // COMMAND's replies against recorded ones
mod debug; // DEBUG's subcommands that touch keys
mod draws; // negative counts, huge ones too
mod hash; // where the clock counts
mod himport; // fieldsets, and the words that come of them
mod keys; // which words are keys
mod model; // random string and deadline commands against a plain model
mod redact; // secrets, and requests cut to what a log keeps
pub mod runner;
mod say; // how requests are run here
mod scan; // whole walks, under changes, over shards
mod session; // HELLO, AUTH, SELECT, CONFIG, SHUTDOWN, DEBUG: replies recorded from a real server
mod sort; // where the clock counts
mod stream; // pending times, claims, what Redis has after 8.0
mod table;
pub mod transcript;
pub mod transcripts; // lookup, unknown commands, arity
mod zset_range; // random ranges against a vector
