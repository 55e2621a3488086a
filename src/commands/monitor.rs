//! MONITOR, and MODULE, which says that there are none.
//!
//! Not here  who is told what: `node/monitor.rs`.
//! Tests     tests/server/watching.rs.

use super::CommandError;
use super::derive::write_help;
use super::row::ROW;
use super::session::{Action, NodeRequest, SessionCall};
use super::table::{Arity, Command, Flags, Group, Run, Spread};
use crate::resp::{Args, Reply};

type Handled = Result<Action, CommandError>;

/// `MONITOR`: OK, then a line for each request that any client makes, until RESET, QUIT or the end.
fn monitor(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    Ok(Action::Node(NodeRequest::Monitor))
}

/// `MODULE LIST`: empty.
fn module_list(_: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    reply.array(0);
    Ok(Action::Done)
}

/// `MODULE LOAD` and `LOADEX`: there is nothing here that a module made for Redis could be linked to.
fn module_load(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    Err("ERR MODULE command not allowed: rondo loads no modules".into())
}

/// `MODULE UNLOAD name`.
fn module_unload(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    Err("ERR Error unloading module: no such module with that name".into())
}

/// `MODULE HELP`.
fn module_help(_: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    write_help(&COMMANDS[1], reply);
    Ok(Action::Done)
}

const ADMIN: Flags = Flags::ADMIN.or(Flags::NOSCRIPT);
const LOADING_STALE: Flags = Flags::LOADING.or(Flags::STALE);
const LOADS: Flags = ADMIN.or(Flags::NO_ASYNC_LOADING);

const SERVER: Command = Command {
    group: Group::Server,
    spread: Spread::AnyCore,
    ..ROW
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "MONITOR",
        flags: ADMIN.or(LOADING_STALE),
        summary: "Shows every request of every client as it is made.",
        cost: "",
        run: Run::Session(monitor),
        ..SERVER
    },
    Command {
        name: "MODULE",
        since: "4.0.0",
        arity: Arity::AtLeast(2),
        summary: "Commands about modules.",
        cost: "Depends on subcommand.",
        sub: MODULE,
        run: Run::Container,
        ..SERVER
    },
];

const MODULE: &[Command] = &[
    Command {
        name: "LIST",
        since: "4.0.0",
        arity: Arity::Exactly(2),
        flags: ADMIN,
        summary: "The modules that are loaded: none.",
        cost: "O(N) where N is the number of loaded modules.",
        tips: &["nondeterministic_output_order"],
        run: Run::Session(module_list),
        ..SERVER
    },
    Command {
        name: "LOAD",
        since: "4.0.0",
        arity: Arity::AtLeast(3),
        flags: LOADS,
        args: "path [arg ...]",
        summary: "Refused: rondo loads no modules.",
        run: Run::Session(module_load),
        ..SERVER
    },
    Command {
        name: "LOADEX",
        since: "7.0.0",
        arity: Arity::AtLeast(3),
        flags: LOADS,
        args: "path [configs=CONFIG(name value) [configs=CONFIG(name value) ...]] [ARGS args [args ...]]",
        summary: "Refused: rondo loads no modules.",
        run: Run::Session(module_load),
        ..SERVER
    },
    Command {
        name: "UNLOAD",
        since: "4.0.0",
        arity: Arity::Exactly(3),
        flags: LOADS,
        args: "name",
        summary: "Says that there is no such module.",
        run: Run::Session(module_unload),
        ..SERVER
    },
    Command {
        name: "HELP",
        since: "5.0.0",
        arity: Arity::Exactly(2),
        flags: LOADING_STALE,
        summary: "This help.",
        run: Run::Session(module_help),
        ..SERVER
    },
];
