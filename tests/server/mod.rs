//! The built binary as a client sees it: one server for each test, on a port of its own.

mod atomicity; // several shards, one step
mod bytes; // requests in any pieces, of any size
mod client; // a small blocking client
mod harness; // starts the binary, waits for it, ends it
mod order; // replies in order, against a plain map
