//! SLOWLOG and LATENCY: what the node has noted of slow calls and events.
//!
//! Not here  the notes: `node/slowlog.rs`, `node/latency.rs`. What of a request is kept: `commands/redact.rs`.
//! Tests     tests/server/watching.rs.

use super::CommandError;
use super::commandlog::Log;
use super::derive::write_help;
use super::row::ROW;
use super::session::{Action, NodeRequest, SessionCall};
use super::table::{Arity, Command, Flags, Group, Run, Spread, unknown_or_arity};
use crate::base::number::parse_i64;
use crate::resp::{Args, Reply};

type Handled = Result<Action, CommandError>;

/// What is asked of the slow log, or of another log of calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlowlogRequest {
    /// The newest entries, at most this many.
    Get(usize),
    /// How many there are.
    Len,
    /// Forget them.
    Reset,
}

/// What is asked of the latency monitor, and of the histograms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LatencyRequest {
    /// An analysis for people.
    Doctor,
    /// A drawing of one event's samples.
    Graph(Vec<u8>),
    /// One event's samples.
    History(Vec<u8>),
    /// Every event's latest sample.
    Latest,
    /// Forget these events, or all.
    Reset(Vec<Vec<u8>>),
    /// The latencies of these commands, or of all.
    Histogram(Vec<Vec<u8>>),
}

const ENTRIES_DEFAULT: usize = 10;

/// `SLOWLOG GET [count]`.
fn slowlog_get(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let count = match args.len() {
        1 => ENTRIES_DEFAULT,
        2 => count_of(args.get(1))?,
        _ => return Err(unknown_or_arity("SLOWLOG", args.get(0))),
    };
    slow(SlowlogRequest::Get(count))
}

/// How many entries are asked for; -1 is all.
pub(super) fn count_of(word: &[u8]) -> Result<usize, CommandError> {
    match parse_i64(word) {
        Some(-1) => Ok(usize::MAX),
        Some(count @ 0..) => Ok(usize::try_from(count).unwrap_or(usize::MAX)),
        _ => Err("ERR count should be greater than or equal to -1".into()),
    }
}

fn slow(request: SlowlogRequest) -> Handled {
    Ok(Action::Node(NodeRequest::CommandLog(Log::Slow, request)))
}

/// `SLOWLOG LEN`.
fn slowlog_len(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    slow(SlowlogRequest::Len)
}

/// `SLOWLOG RESET`.
fn slowlog_reset(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    slow(SlowlogRequest::Reset)
}

/// `SLOWLOG HELP`.
fn slowlog_help(_: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    write_help(&COMMANDS[0], reply);
    Ok(Action::Done)
}

fn latency(request: LatencyRequest) -> Handled {
    Ok(Action::Node(NodeRequest::Latency(request)))
}

/// `LATENCY DOCTOR`.
fn doctor(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    latency(LatencyRequest::Doctor)
}

/// `LATENCY GRAPH event`.
fn graph(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    latency(LatencyRequest::Graph(args.get(1).to_vec()))
}

/// `LATENCY HISTORY event`.
fn history(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    latency(LatencyRequest::History(args.get(1).to_vec()))
}

/// `LATENCY LATEST`.
fn latest(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    latency(LatencyRequest::Latest)
}

fn words(args: &Args<'_>) -> Vec<Vec<u8>> {
    args.iter_from(1).map(<[u8]>::to_vec).collect()
}

/// `LATENCY RESET [event ...]`.
fn latency_reset(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    latency(LatencyRequest::Reset(words(args)))
}

/// `LATENCY HISTOGRAM [command ...]`.
fn histogram(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    latency(LatencyRequest::Histogram(words(args)))
}

/// `LATENCY HELP`.
fn latency_help(_: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    write_help(&COMMANDS[1], reply);
    Ok(Action::Done)
}

const LOADING_STALE: Flags = Flags::LOADING.or(Flags::STALE);
const ADMIN: Flags = LOADING_STALE.or(Flags::ADMIN);
const ADMIN_NOSCRIPT: Flags = ADMIN.or(Flags::NOSCRIPT);

/// A row of this family.
const SERVER: Command = Command {
    group: Group::Server,
    spread: Spread::AnyCore,
    arity: Arity::Exactly(2),
    ..ROW
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "SLOWLOG",
        since: "2.2.12",
        arity: Arity::AtLeast(2),
        summary: "Commands about the log of slow calls.",
        cost: "Depends on subcommand.",
        sub: SLOWLOG,
        run: Run::Container,
        ..SERVER
    },
    Command {
        name: "LATENCY",
        since: "2.8.13",
        arity: Arity::AtLeast(2),
        summary: "Commands about latencies.",
        cost: "Depends on subcommand.",
        sub: LATENCY,
        run: Run::Container,
        ..SERVER
    },
];

const SLOWLOG: &[Command] = &[
    Command {
        name: "GET",
        since: "2.2.12",
        arity: Arity::AtLeast(2),
        flags: ADMIN,
        args: "[count:integer]",
        summary: "The newest entries (10, or as many as asked for; -1 for all): number, time, microseconds, words, client's \
                  address and name.",
        cost: "O(N) where N is the number of entries returned",
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        history: &[("4.0.0", "Entries have the client's address and name.")],
        run: Run::Session(slowlog_get),
        ..SERVER
    },
    Command {
        name: "LEN",
        since: "2.2.12",
        flags: ADMIN,
        summary: "How many entries there are.",
        tips: &[
            "request_policy:all_nodes",
            "response_policy:agg_sum",
            "nondeterministic_output",
        ],
        run: Run::Session(slowlog_len),
        ..SERVER
    },
    Command {
        name: "RESET",
        since: "2.2.12",
        flags: ADMIN,
        summary: "Forgets all entries.",
        cost: "O(N) where N is the number of entries in the slowlog",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: Run::Session(slowlog_reset),
        ..SERVER
    },
    Command {
        name: "HELP",
        since: "6.2.0",
        flags: LOADING_STALE,
        summary: "This help.",
        run: Run::Session(slowlog_help),
        ..SERVER
    },
];

const LATENCY_TIPS: &[&str] = &[
    "nondeterministic_output",
    "request_policy:all_nodes",
    "response_policy:special",
];

const LATENCY: &[Command] = &[
    Command {
        name: "DOCTOR",
        since: "2.8.13",
        flags: ADMIN_NOSCRIPT,
        summary: "A report about slow events, for people.",
        tips: LATENCY_TIPS,
        run: Run::Session(doctor),
        ..SERVER
    },
    Command {
        name: "GRAPH",
        since: "2.8.13",
        arity: Arity::Exactly(3),
        flags: ADMIN_NOSCRIPT,
        args: "event",
        summary: "Draws the samples of an event.",
        tips: LATENCY_TIPS,
        run: Run::Session(graph),
        ..SERVER
    },
    Command {
        name: "HISTORY",
        since: "2.8.13",
        arity: Arity::Exactly(3),
        flags: ADMIN_NOSCRIPT,
        args: "event",
        summary: "The samples of an event: time and milliseconds.",
        tips: LATENCY_TIPS,
        run: Run::Session(history),
        ..SERVER
    },
    Command {
        name: "LATEST",
        since: "2.8.13",
        flags: ADMIN_NOSCRIPT,
        summary: "The latest and the worst sample of every event.",
        tips: LATENCY_TIPS,
        run: Run::Session(latest),
        ..SERVER
    },
    Command {
        name: "RESET",
        since: "2.8.13",
        arity: Arity::AtLeast(2),
        flags: ADMIN_NOSCRIPT,
        args: "[event ...]",
        summary: "Forgets the samples of some events, or of all.",
        tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
        run: Run::Session(latency_reset),
        ..SERVER
    },
    Command {
        name: "HISTOGRAM",
        since: "7.0.0",
        arity: Arity::AtLeast(2),
        flags: ADMIN_NOSCRIPT,
        args: "[command ...]",
        summary: "How many calls of each command took at most how many microseconds.",
        cost: "O(N) where N is the number of commands with latency information being retrieved.",
        tips: LATENCY_TIPS,
        run: Run::Session(histogram),
        ..SERVER
    },
    Command {
        name: "HELP",
        since: "2.8.13",
        flags: LOADING_STALE,
        summary: "This help.",
        run: Run::Session(latency_help),
        ..SERVER
    },
];
