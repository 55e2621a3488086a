//! The wire, without sockets: bytes to requests, replies to bytes.
#![forbid(unsafe_code)]

pub mod args;
pub mod element;
pub mod head;
pub mod lent;
pub mod parse;
pub mod reply;
pub mod second_word;

pub use args::{Args, OwnedArgs, Span};
pub use head::Head;
pub use lent::Lent;
pub use parse::{Limits, ParseState, Parsed, ProtocolError, parse};
pub use reply::{Protocol, Reply};
pub use second_word::second_word;
