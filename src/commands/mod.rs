//! Argv to a call to a reply: one table, one family a file.
#![forbid(unsafe_code)]

pub mod client_filter;
pub mod error;
pub mod keys;
pub mod session;
pub mod table;

pub use client_filter::{ClientFilter, ClientKind};
pub use error::CommandError;
pub use keys::{KeyShape, for_each_key};
pub use session::{Action, NodeRequest, Session};
pub use table::{
    Arity, Command, Entry, Flags, Group, KeyAccess, KeySpec, Merge, Run, Spread, Table, table,
};

/// Every family's rows.
const FAMILIES: &[&[Command]] = &[];
