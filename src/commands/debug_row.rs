//! DEBUG: one command to COMMAND, several rows here.
//!
//! Redis describes DEBUG as a whole and looks at its subcommands in the handler; so its rows here are hidden, and an
//! unknown one gets the text that such handlers have. All of them need `enable-debug-command`.
//!
//! Not here  the subcommands that look into keys: `commands/debug.rs`.

use super::CommandError;
use super::debug::DEBUG_KEYS;
use super::derive::write_help;
use super::row::ROW;
use super::session::{Action, NodeRequest, SessionCall};
use super::table::{Arity, Command, Flags, Group, Run, Spread};
use crate::resp::{Args, Reply};
use std::time::Duration;

/// `DEBUG SLEEP seconds`: what is no number is 0, as a C program reads it.
fn sleep(
    _: &mut SessionCall<'_>,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    let seconds = std::str::from_utf8(args.get(1))
        .ok()
        .and_then(|text| text.parse::<f64>().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or_default();
    Ok(Action::Node(NodeRequest::DebugSleep(seconds)))
}

/// `DEBUG HELP`.
fn help(
    _: &mut SessionCall<'_>,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    write_help(&COMMANDS[0], reply);
    Ok(Action::Done)
}

const DEBUG: Command = Command {
    group: Group::Server,
    flags: Flags::ADMIN
        .or(Flags::NOSCRIPT)
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::PROTECTED),
    spread: Spread::AnyCore,
    cost: "Depends on subcommand.",
    ..ROW
};

const OWN: &[Command] = &[
    Command {
        name: "SLEEP",
        arity: Arity::Exactly(3),
        args: "seconds",
        summary: "Lets the whole server stand still.",
        run: Run::Session(sleep),
        ..DEBUG
    },
    Command {
        name: "HELP",
        arity: Arity::Exactly(2),
        summary: "This help.",
        run: Run::Session(help),
        ..DEBUG
    },
];

/// The rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "DEBUG",
    arity: Arity::AtLeast(2),
    summary: "Looks behind the scenes; for tests of the server.",
    sub: &hidden::<{ DEBUG_KEYS.len() + OWN.len() }>(),
    run: Run::Container,
    ..DEBUG
}];

/// All subcommands, hidden and guarded.
const fn hidden<const COUNT: usize>() -> [Command; COUNT] {
    let mut rows = [OWN[0]; COUNT];
    let mut index = 0;
    while index < COUNT {
        let row = if index < DEBUG_KEYS.len() {
            DEBUG_KEYS[index]
        } else {
            OWN[index - DEBUG_KEYS.len()]
        };
        rows[index] = Command {
            flags: row.flags.or(Flags::HIDDEN).or(Flags::PROTECTED),
            ..row
        };
        index += 1;
    }
    rows
}
