//! COMMANDLOG: the latest calls that were slow, or had a large request, or a large reply.
//!
//! Not here  the logs: `node/slowlog.rs`; what is slow or large: `node/watching.rs`. SLOWLOG, which is the first of these logs
//!           under its older name: `commands/slowlog.rs`.
//! Source    Valkey 8.1.
//! Tests     tests/server/watching.rs.

use super::CommandError;
use super::derive::write_help;
use super::row::ROW;
use super::session::{Action, NodeRequest, SessionCall};
use super::slowlog::{SlowlogRequest, count_of};
use super::table::{Arity, Command, Flags, Group, Run, Spread};
use crate::resp::{Args, Reply};

type Handled = Result<Action, CommandError>;

/// Which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// Of calls that took long.
    Slow,
    /// Of calls with many words, or long ones.
    LargeRequest,
    /// Of calls with much to tell.
    LargeReply,
}

impl Log {
    fn of_word(args: &Args<'_>, index: usize) -> Result<Self, CommandError> {
        if args.is(index, "slow") {
            Ok(Self::Slow)
        } else if args.is(index, "large-request") {
            Ok(Self::LargeRequest)
        } else if args.is(index, "large-reply") {
            Ok(Self::LargeReply)
        } else {
            Err("ERR type should be one of the following: slow, large-request, large-reply".into())
        }
    }
}

fn asked(log: Log, request: SlowlogRequest) -> Handled {
    Ok(Action::Node(NodeRequest::CommandLog(log, request)))
}

/// `COMMANDLOG GET count type`.
fn get(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let count = count_of(args.get(1))?;
    asked(Log::of_word(args, 2)?, SlowlogRequest::Get(count))
}

/// `COMMANDLOG LEN type`.
fn len(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    asked(Log::of_word(args, 1)?, SlowlogRequest::Len)
}

/// `COMMANDLOG RESET type`.
fn reset(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    asked(Log::of_word(args, 1)?, SlowlogRequest::Reset)
}

/// `COMMANDLOG HELP`.
fn help(_: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    write_help(&COMMANDS[0], reply);
    Ok(Action::Done)
}

const LOADING_STALE: Flags = Flags::LOADING.or(Flags::STALE);
const ADMIN: Flags = LOADING_STALE.or(Flags::ADMIN);
const TYPE: &str = "type=(slow=SLOW | large-request=LARGE-REQUEST | large-reply=LARGE-REPLY)";

/// A row of this family.
const SERVER: Command = Command {
    group: Group::Server,
    spread: Spread::AnyCore,
    arity: Arity::Exactly(3),
    flags: ADMIN,
    args: TYPE,
    since: "8.1.0",
    ..ROW
};

/// The rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "COMMANDLOG",
    arity: Arity::AtLeast(2),
    flags: Flags::NONE,
    args: "",
    summary: "Commands about the logs of slow calls, large requests and large replies.",
    cost: "Depends on subcommand.",
    sub: SUBCOMMANDS,
    run: Run::Container,
    ..SERVER
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "GET",
        arity: Arity::Exactly(4),
        args: "count:integer type=(slow=SLOW | large-request=LARGE-REQUEST | large-reply=LARGE-REPLY)",
        summary: "The newest entries of a log, -1 for all: number, time, microseconds or bytes, words, client's address and name.",
        cost: "O(N) where N is the number of entries returned",
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        run: Run::Session(get),
        ..SERVER
    },
    Command {
        name: "LEN",
        summary: "How many entries a log has.",
        tips: &[
            "request_policy:all_nodes",
            "response_policy:agg_sum",
            "nondeterministic_output",
        ],
        run: Run::Session(len),
        ..SERVER
    },
    Command {
        name: "RESET",
        summary: "Forgets all entries of a log.",
        cost: "O(N) where N is the number of entries",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: Run::Session(reset),
        ..SERVER
    },
    Command {
        name: "HELP",
        arity: Arity::Exactly(2),
        flags: LOADING_STALE,
        args: "",
        summary: "This help.",
        run: Run::Session(help),
        ..SERVER
    },
];
