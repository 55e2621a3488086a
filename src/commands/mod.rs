//! Argv to a call to a reply: one table, one family a file.
#![forbid(unsafe_code)]

pub mod error;
pub mod session;
pub mod table;

pub use error::CommandError;
pub use session::{Action, Session};
pub use table::{Arity, Command, Entry, Flags, Group, KeyAccess, KeySpec, Merge, Run, Spread};
