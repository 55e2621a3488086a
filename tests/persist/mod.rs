//! Files and logs: what is in them, and what becomes of bad ones.

pub mod disk; // a disk in memory that does what logs ask for

mod batch; // the stage, and records that outgrow it
mod effects;
mod libraries;
mod log;
mod manifest;
mod rdb;
mod record;
mod recovery;
mod segment;
mod sim;
mod withheld; // power cuts at any point, on a disk that tears, loses, reorders and fails
