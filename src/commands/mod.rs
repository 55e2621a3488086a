//! Argv to a call to a reply: one table, one family a file.
#![forbid(unsafe_code)]

pub mod client_filter;
pub mod database;
pub mod deadline;
pub mod debug;
pub mod digest;
pub mod error;
pub mod expire;
pub mod generic;
pub mod keys;
pub mod lcs;
pub mod number;
pub mod object;
pub mod row;
pub mod scan;
pub mod session;
pub mod string;
pub mod string_many;
pub mod string_range;
pub mod table;
pub mod word;

pub use client_filter::{ClientFilter, ClientKind};
pub use error::CommandError;
pub use keys::{KeyShape, for_each_key};
pub use session::{Action, NodeRequest, Session};
pub use table::{
    Arity, Command, Entry, Flags, Group, KeyAccess, KeySpec, Merge, Run, Spread, Table, table,
};

/// Every family's rows.
const FAMILIES: &[&[Command]] = &[
    database::COMMANDS,
    digest::COMMANDS,
    expire::COMMANDS,
    generic::COMMANDS,
    lcs::COMMANDS,
    number::COMMANDS,
    object::COMMANDS,
    scan::COMMANDS,
    string::COMMANDS,
    string_many::COMMANDS,
    string_range::COMMANDS,
];
