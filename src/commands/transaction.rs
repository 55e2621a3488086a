//! MULTI, EXEC, DISCARD, WATCH, UNWATCH: the rows. What they do is the connection's business.
//!
//! Not here  the queue and the watches of a connection: `node/block.rs`; running a block: `router/programs/block.rs`.
//! Tests     tests/server/multi.rs.

use super::row::*;
use super::table::{Arity, Command, Flags, Group, Run, Spread, Verb};

/// A row of this family.
const TRANSACTION: Command = Command {
    group: Group::Transactions,
    spread: Spread::AnyCore,
    flags: Flags::NOSCRIPT
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::FAST)
        .or(Flags::ALLOW_BUSY),
    ..ROW
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "MULTI",
        since: "1.2.0",
        summary: "Begins a block: what follows is queued until EXEC.",
        run: Run::Block(Verb::Multi),
        ..TRANSACTION
    },
    Command {
        name: "EXEC",
        since: "1.2.0",
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::SKIP_SLOWLOG),
        summary: "Runs the queued commands as one step.",
        cost: "Depends on commands in the transaction",
        run: Run::Block(Verb::Exec),
        ..TRANSACTION
    },
    Command {
        name: "DISCARD",
        since: "2.0.0",
        summary: "Forgets the queued commands and what is watched.",
        cost: "O(N), when N is the number of queued commands",
        run: Run::Block(Verb::Discard),
        ..TRANSACTION
    },
    Command {
        name: "WATCH",
        since: "2.2.0",
        arity: Arity::AtLeast(2),
        keys: &[keys_to(1, -1, 1, "RO", &[])],
        args: "key ...",
        summary: "Makes the next EXEC depend on these keys staying as they are.",
        cost: "O(1) for every key.",
        run: Run::Block(Verb::Watch),
        ..TRANSACTION
    },
    Command {
        name: "UNWATCH",
        since: "2.2.0",
        summary: "Forgets all that is watched.",
        run: Run::Block(Verb::Unwatch),
        ..TRANSACTION
    },
];
