//! Routing: plans, merges, and commands over several shards in one thread without delay.

mod hops; // what transactions cost in messages
pub mod instant;
mod long_steps; // what takes many turns, against what does not
mod merge; // golden bytes for every kind
mod packed; // the commands of a block
mod plan; // which shards
mod programs; // commands over shards, and what they leave behind
mod stays; // which scripts touch only what they declare
mod token; // one holder, the others in line
mod transcripts; // every transcript at 1, 2 and 7 shards
mod wait; // one claimant
mod withdrawn; // calls of scripts that are given up
