//! The wire, without sockets: bytes to requests, replies to bytes.
#![forbid(unsafe_code)]

pub mod args;
pub mod parse;
pub mod reply;

pub use args::{Args, Span};
pub use reply::{Protocol, Reply};
