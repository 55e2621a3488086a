//! HOTKEYS: which keys cost most, over a session that somebody begins and ends.
//!
//! Not here  counting: `shard/key_costs.rs`; the session over all cores: `node/hot_keys.rs`.
//! Source    Redis 8.6, documentation and replies.
//! Tests     tests/commands/session.rs, tests/server/hotkeys.rs.

use super::CommandError;
use super::derive::write_help;
use super::row::ROW;
use super::session::{Action, NodeRequest, SessionCall};
use super::table::{Arity, Command, Flags, Group, Run, Spread};
use crate::base::number::parse_i64;
use crate::resp::{Args, Reply};

type Handled = Result<Action, CommandError>;

/// What a session looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotKeysOptions {
    /// Time that keys cost.
    pub cpu: bool,
    /// Bytes of requests and replies.
    pub net: bool,
    /// Keys that are told.
    pub count: usize,
    /// It ends after so many milliseconds; none: when it is told to.
    pub duration_ms: Option<i64>,
    /// One command in so many is looked at.
    pub sample: u64,
}

/// What is asked of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HotKeysRequest {
    /// Begin one: OK.
    Start(HotKeysOptions),
    /// End it: OK, or null where none is on.
    Stop,
    /// What it has found; null where there is none.
    Get,
    /// Forget what it found: OK.
    Reset,
}

const METRICS_MAX: i64 = 2;
const COUNT_DEFAULT: usize = 10;
const COUNT_MAX: i64 = 64;
const SECONDS_MAX: i64 = 1_000_000;

/// A number in a range, or this error.
fn number(word: &[u8], max: i64, error: &'static str) -> Result<i64, CommandError> {
    match parse_i64(word) {
        Some(number) if (1..=max).contains(&number) => Ok(number),
        _ => Err(error.into()),
    }
}

fn parse(args: &Args<'_>) -> Result<HotKeysOptions, CommandError> {
    if args.len() < 3 || !args.is(1, "METRICS") {
        return Err("ERR METRICS parameter is required".into());
    }
    let metrics = number(
        args.get(2),
        METRICS_MAX,
        "ERR METRICS count must be > 0 and <= 2",
    )? as usize;
    let mut options = HotKeysOptions {
        cpu: false,
        net: false,
        count: COUNT_DEFAULT,
        duration_ms: None,
        sample: 1,
    };
    let end = 3 + metrics;
    for index in 3..end.min(args.len()) {
        // A metric of some later version is passed over.
        let (metric, twice) = if args.is(index, "CPU") {
            (&mut options.cpu, "ERR METRICS CPU defined more than once!")
        } else if args.is(index, "NET") {
            (&mut options.net, "ERR METRICS NET defined more than once!")
        } else {
            continue;
        };
        if std::mem::replace(metric, true) {
            return Err(twice.into());
        }
    }
    if args.len() < end {
        return Err("ERR METRICS count does not match number of metric types provided".into());
    }
    if !options.cpu && !options.net {
        return Err("ERR METRICS no valid metrics passed. Supported: CPU|NET".into());
    }
    let mut index = end;
    while index < args.len() {
        if index + 1 >= args.len() {
            return Err(CommandError::Syntax);
        }
        let value = args.get(index + 1);
        if args.is(index, "COUNT") {
            let count = number(value, COUNT_MAX, "ERR COUNT must be between 1 and 64")?;
            options.count = count as usize;
        } else if args.is(index, "DURATION") {
            let error = "ERR DURATION must be between 1 and 1000000";
            options.duration_ms = Some(number(value, SECONDS_MAX, error)? * 1000);
        } else if args.is(index, "SAMPLE") {
            let error = "ERR SAMPLE ratio must be positive";
            options.sample = number(value, i64::from(i32::MAX), error)? as u64;
        } else if args.is(index, "SLOTS") {
            return Err("ERR SLOTS parameter cannot be used in non-cluster mode".into());
        } else {
            return Err(CommandError::Syntax);
        }
        index += 2;
    }
    Ok(options)
}

fn ask(request: HotKeysRequest) -> Handled {
    Ok(Action::Node(NodeRequest::HotKeys(request)))
}

/// `HOTKEYS START METRICS count [CPU] [NET] [COUNT k] [DURATION seconds] [SAMPLE ratio]`.
fn start(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(HotKeysRequest::Start(parse(args)?))
}

/// `HOTKEYS STOP`.
fn stop(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(HotKeysRequest::Stop)
}

/// `HOTKEYS GET`.
fn get(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(HotKeysRequest::Get)
}

/// `HOTKEYS RESET`.
fn reset(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(HotKeysRequest::Reset)
}

/// `HOTKEYS HELP`.
fn help(_: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    write_help(&COMMANDS[0], reply);
    Ok(Action::Done)
}

/// Which nodes of a cluster are asked is up to the client.
const TO_SOME: &[&str] = &["request_policy:special"];

/// A row of this family.
const HOTKEYS: Command = Command {
    group: Group::Server,
    spread: Spread::AnyCore,
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT),
    since: "8.6.0",
    ..ROW
};

/// The rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "HOTKEYS",
    arity: Arity::AtLeast(2),
    flags: Flags::NONE,
    summary: "Commands about the keys that cost most.",
    cost: "Depends on subcommand.",
    sub: SUBCOMMANDS,
    run: Run::Container,
    ..HOTKEYS
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "START",
        arity: Arity::AtLeast(2),
        args: "metrics=METRICS(count:integer [CPU] [NET]) [COUNT k:integer] [DURATION seconds:integer] [SAMPLE ratio:integer]",
        summary: "Begins to look at what keys cost, in time or in bytes.",
        cost: "O(1)",
        tips: TO_SOME,
        run: Run::Session(start),
        ..HOTKEYS
    },
    Command {
        name: "STOP",
        summary: "Looks no longer; what was found stays.",
        cost: "O(1)",
        tips: TO_SOME,
        run: Run::Session(stop),
        ..HOTKEYS
    },
    Command {
        name: "GET",
        summary: "The keys that have cost most, and what all have cost.",
        cost: "O(K) where K is the number of keys that are told",
        tips: &[
            "nondeterministic_output",
            "request_policy:special",
            "response_policy:special",
        ],
        run: Run::Session(get),
        ..HOTKEYS
    },
    Command {
        name: "RESET",
        summary: "Forgets what was found.",
        cost: "O(1)",
        tips: TO_SOME,
        run: Run::Session(reset),
        ..HOTKEYS
    },
    Command {
        name: "HELP",
        flags: Flags::LOADING.or(Flags::STALE),
        summary: "This help.",
        run: Run::Session(help),
        ..HOTKEYS
    },
];
