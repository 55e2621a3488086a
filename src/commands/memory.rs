//! MEMORY: what takes memory.
//!
//! Not here  the figures of the whole process: `node/memory_figures.rs`.
//! Tests     tests/transcripts/database.txt, tests/server/memory.rs.

use super::CommandError;
use super::object::reply_help;
use super::row::*;
use super::session::{Action, MemoryRequest, NodeRequest, SessionCall};
use super::table::{Arity, Call, Command, Effect, Flags, Group, Run, Spread};
use super::word::integer;
use crate::resp::{Args, Reply};

/// `MEMORY USAGE key [SAMPLES count]` replies with the bytes a key takes, or null.
///
/// The figure is exact, nothing is sampled; SAMPLES is checked and has no effect.
fn usage(
    call: &mut Call<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    let mut index = 2;
    while index < args.len() {
        if !args.is(index, "SAMPLES")
            || index + 1 >= args.len()
            || integer(args.get(index + 1))? < 0
        {
            return Err(CommandError::Syntax);
        }
        index += 2;
    }
    let key = call.keys.key(args.get(1));
    match call.keys.peek(call.db, &key) {
        Some(entry) => reply.integer(entry.memory_bytes() as i64),
        None => reply.null(),
    }
    Ok(Effect::NONE)
}

const HELP: &[&str] = &[
    "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    What could be better about the use of memory, in words.",
    "MALLOC-STATS",
    "    What is known of the allocator.",
    "PURGE",
    "    Give back to the system what the allocator keeps for later.",
    "STATS",
    "    What takes memory, in bytes.",
    "USAGE <key> [SAMPLES <count>]",
    "    Bytes of memory that <key> and its value take. They are exact, nothing is sampled.",
    "HELP",
    "    Print this help.",
];

fn help(
    _call: &mut Call<'_>,
    _args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, CommandError> {
    reply_help(HELP, reply);
    Ok(Effect::NONE)
}

type Handled = Result<Action, CommandError>;

fn stats(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    Ok(Action::Node(NodeRequest::Memory(MemoryRequest::Stats)))
}

fn doctor(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    Ok(Action::Node(NodeRequest::Memory(MemoryRequest::Doctor)))
}

fn malloc_stats(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    Ok(Action::Node(NodeRequest::Memory(MemoryRequest::Allocator)))
}

fn purge(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    Ok(Action::Node(NodeRequest::Memory(MemoryRequest::Purge)))
}

const FROM_ALL: &[&str] = &[
    "nondeterministic_output",
    "request_policy:all_shards",
    "response_policy:special",
];

/// What the subcommands about the process have in common.
const PROCESS: Command = Command {
    since: "4.0.0",
    group: Group::Server,
    arity: Arity::Exactly(2),
    spread: Spread::AnyCore,
    tips: FROM_ALL,
    ..ROW
};

/// MEMORY.
pub const COMMANDS: &[Command] = &[Command {
    name: "MEMORY",
    since: "4.0.0",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    summary: "Tells what takes memory.",
    cost: "Depends on the subcommand.",
    sub: &[
        Command {
            name: "DOCTOR",
            summary: "Says what could be better about the use of memory.",
            run: Run::Session(doctor),
            ..PROCESS
        },
        Command {
            name: "HELP",
            flags: Flags::LOADING.or(Flags::STALE),
            summary: "Lists the subcommands.",
            tips: &[],
            run: Run::Keys(help),
            ..PROCESS
        },
        Command {
            name: "MALLOC-STATS",
            summary: "Tells what is known of the allocator.",
            run: Run::Session(malloc_stats),
            ..PROCESS
        },
        Command {
            name: "PURGE",
            summary: "Gives memory back that the allocator keeps for later.",
            cost: "Depends on how much memory is kept.",
            tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
            run: Run::Session(purge),
            ..PROCESS
        },
        Command {
            name: "STATS",
            summary: "Tells in detail what takes memory.",
            run: Run::Session(stats),
            ..PROCESS
        },
        Command {
            name: "USAGE",
            since: "4.0.0",
            group: Group::Server,
            arity: Arity::AtLeast(3),
            flags: Flags::READONLY,
            keys: &[key_at(2, "RO", &[])],
            args: "key [SAMPLES count]",
            summary: "Tells how many bytes of memory a key takes.",
            run: Run::Keys(usage),
            ..ROW
        },
    ],
    ..ROW
}];
