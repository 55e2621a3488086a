//! Argv to a call to a reply: one table, one family a file.
#![forbid(unsafe_code)]

pub mod database;
pub mod deadline;
pub mod debug;
pub mod digest;
pub mod error;
pub mod expire;
pub mod generic;
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

pub use error::CommandError;
pub use session::{Action, Session};
pub use table::{Arity, Command, Entry, Flags, Group, KeyAccess, KeySpec, Merge, Run, Spread};

/// The families whose commands run on one shard's keys; DEBUG's rows are in [`debug::DEBUG_KEYS`].
pub const KEY_FAMILIES: &[&[Command]] = &[
    string::COMMANDS,
    digest::COMMANDS,
    string_many::COMMANDS,
    string_range::COMMANDS,
    number::COMMANDS,
    lcs::COMMANDS,
    generic::COMMANDS,
    expire::COMMANDS,
    scan::COMMANDS,
    object::COMMANDS,
    database::COMMANDS,
];
