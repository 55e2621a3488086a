//! Short ways to write a row of the table.

use super::table::{Arity, Begin, Command, Find, Flags, Group, KeyAccess, KeySpec, Run, Spread};

/// What most rows have; a row names only what differs.
pub const ROW: Command = Command {
    name: "",
    since: "1.0.0",
    group: Group::Generic,
    arity: Arity::Exactly(1),
    flags: Flags::NONE,
    keys: &[],
    spread: Spread::Home,
    args: "",
    summary: "",
    cost: "O(1)",
    tips: &[],
    deprecated: None,
    is_system: false,
    history: &[],
    sub: &[],
    run: Run::Container,
};

/// One key at word `index`.
pub const fn key_at(index: u8, mode: &'static str, flags: &'static [&'static str]) -> KeySpec {
    keys_to(index, 0, 1, mode, flags)
}

/// Keys from word `first` on, every `step`th, `last` counted from there or, where negative, from the end.
pub const fn keys_to(
    first: u8,
    last: i8,
    step: u8,
    mode: &'static str,
    flags: &'static [&'static str],
) -> KeySpec {
    KeySpec {
        access: KeyAccess { mode, flags },
        begin: Begin::Index(first),
        find: Find::Range {
            last,
            step,
            limit: 0,
        },
        notes: "",
    }
}

/// `READONLY` and `FAST`.
pub const READ_FAST: Flags = Flags::READONLY.or(Flags::FAST);
/// `WRITE` and `FAST`.
pub const WRITE_FAST: Flags = Flags::WRITE.or(Flags::FAST);
/// `WRITE` and `DENYOOM`.
pub const WRITE_GROW: Flags = Flags::WRITE.or(Flags::DENYOOM);
/// `WRITE`, `DENYOOM` and `FAST`.
pub const WRITE_GROW_FAST: Flags = WRITE_GROW.or(Flags::FAST);
/// `READONLY`, in @keyspace.
pub const KEYSPACE_READ: Flags = Flags::READONLY.or(Flags::CAT_KEYSPACE);
/// `READONLY` and `FAST`, in @keyspace.
pub const KEYSPACE_READ_FAST: Flags = READ_FAST.or(Flags::CAT_KEYSPACE);
/// `WRITE`, in @keyspace.
pub const KEYSPACE_WRITE: Flags = Flags::WRITE.or(Flags::CAT_KEYSPACE);
/// `WRITE` and `FAST`, in @keyspace.
pub const KEYSPACE_WRITE_FAST: Flags = WRITE_FAST.or(Flags::CAT_KEYSPACE);

/// The tips of commands that are cut by key, their integer replies added.
pub const TIPS_SUM: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];
