//! DEBUG: one command to COMMAND, several rows here.
//!
//! Redis describes DEBUG as a whole and looks at its subcommands in the handler; so its rows here are hidden, and an
//! unknown one gets the text that such handlers have. All of them need `enable-debug-command`.
//!
//! Not here  the subcommands that look into keys: `commands/debug.rs`.

use super::CommandError;
use super::debug::DEBUG_KEYS;
use super::debug_digest::DEBUG_DIGESTS;
use super::debug_tables::DEBUG_TABLES;
use super::derive::write_help;
use super::row::ROW;
use super::session::{Action, DebugRequest, NodeRequest, REPLY_PEAK_MS, SaveRequest, SessionCall};
use super::table::{Arity, Command, Flags, Group, Run, Spread, unknown_or_arity};
use super::word::integer;
use crate::base::number::parse_i64;
use crate::resp::{Args, Protocol, Reply};
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

/// `DEBUG RELOAD [option ...]` saves, empties, loads, and replies OK.
fn reload(
    _: &mut SessionCall<'_>,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    let (mut saves, mut flushes, mut replaces) = (true, true, false);
    for word in args.iter_from(1) {
        match word.to_ascii_uppercase().as_slice() {
            b"NOSAVE" => saves = false,
            b"NOFLUSH" => flushes = false,
            b"MERGE" => replaces = true,
            _ => {
                return Err(
                    "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.".into(),
                );
            }
        }
    }
    let request = SaveRequest::Reload {
        saves,
        flushes,
        replaces,
    };
    Ok(Action::Node(NodeRequest::Save(request)))
}

/// `DEBUG LOADAOF` removes all keys, loads those of the append-only log, and replies OK.
fn load_log(
    _: &mut SessionCall<'_>,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    Ok(Action::Node(NodeRequest::Save(SaveRequest::LoadLog)))
}

/// `DEBUG SET-DISABLE-DENY-SCRIPTS 0 | 1`: whether scripts may call what is not for scripts.
fn deny_scripts(
    _: &mut SessionCall<'_>,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    let allows_all = parse_i64(args.get(1)).unwrap_or_default() != 0;
    Ok(Action::Node(NodeRequest::AllowAllInScripts(allows_all)))
}

/// `DEBUG PAUSE-CRON flag`: what is no number is 0, as a C program reads it.
fn pause_ticks(
    _: &mut SessionCall<'_>,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    let pauses = parse_i64(args.get(1)).unwrap_or_default() != 0;
    Ok(Action::Node(NodeRequest::Debug(DebugRequest::PauseTicks(
        pauses,
    ))))
}

/// `DEBUG REPLYBUFFER PEAK-RESET-TIME never|reset|milliseconds` and `DEBUG REPLYBUFFER RESIZING flag`.
fn reply_buffers(
    _: &mut SessionCall<'_>,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    let word = args.get(2);
    let request = match args.get(1).to_ascii_lowercase().as_slice() {
        b"peak-reset-time" => {
            DebugRequest::ResetReplyPeaks(match word.to_ascii_lowercase().as_slice() {
                b"never" => i64::MAX,
                b"reset" => REPLY_PEAK_MS,
                _ => integer(word)?,
            })
        }
        b"resizing" => DebugRequest::ResizeReplyBuffers(parse_i64(word).unwrap_or_default() != 0),
        _ => return Err(unknown_or_arity("DEBUG", args.get(0))),
    };
    Ok(Action::Node(NodeRequest::Debug(request)))
}

/// `DEBUG CONFIG-REWRITE-FORCE-ALL`: the configuration file gets a line for each option.
fn rewrite_all(
    _: &mut SessionCall<'_>,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    Ok(Action::Node(NodeRequest::Debug(
        DebugRequest::RewriteWholeConfig,
    )))
}

/// `DEBUG PROTOCOL type`: an element of that type, for the parsers of clients.
#[allow(clippy::approx_constant)] // The number is Redis's, and no π.
fn protocol(
    call: &mut SessionCall<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    let is_resp3 = call.session.protocol == Protocol::Resp3;
    let count_up = |reply: &mut Reply<'_>| (0..3).for_each(|number| reply.integer(number));
    match args.get(1).to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        b"double" => reply.double(3.141),
        b"bignum" => reply.big_number(b"1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            count_up(reply);
        }
        b"set" => {
            reply.set(3);
            count_up(reply);
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        b"attrib" => {
            if is_resp3 {
                reply.attribute(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" if !is_resp3 => return Err("ERR RESP2 is not supported by this command".into()),
        b"push" => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
            reply.bulk(b"Some real reply following the push reply");
        }
        b"verbatim" => reply.verbatim(b"txt", b"This is a verbatim\nstring"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        _ => return Err(WRONG_TYPE_NAME.into()),
    }
    Ok(Action::Done)
}

const WRONG_TYPE_NAME: &str = "ERR Wrong protocol type name. Please use one of the following: \
    string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false";

/// `DEBUG ERROR text`: that error.
fn error(
    _: &mut SessionCall<'_>,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    Err(CommandError::Quoting(args.get(1).to_vec()))
}

/// `DEBUG LOG text`: a line of the server's log.
fn log(
    _: &mut SessionCall<'_>,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    let text = String::from_utf8_lossy(args.get(1)).into_owned();
    Ok(Action::Node(NodeRequest::DebugLog(text)))
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
        name: "RELOAD",
        arity: Arity::AtLeast(2),
        args: "[option ...]",
        summary: "Saves the RDB file (not with NOSAVE), removes all keys (not with NOFLUSH) and loads them from it; keys that are there already are replaced with MERGE.",
        run: Run::Session(reload),
        ..DEBUG
    },
    Command {
        name: "LOADAOF",
        arity: Arity::Exactly(2),
        summary: "Writes out the append-only log, removes all keys and loads them from it.",
        run: Run::Session(load_log),
        ..DEBUG
    },
    Command {
        name: "SET-DISABLE-DENY-SCRIPTS",
        arity: Arity::Exactly(3),
        args: "flag:integer",
        summary: "Lets scripts call what is not for scripts, or not.",
        run: Run::Session(deny_scripts),
        ..DEBUG
    },
    Command {
        name: "PAUSE-CRON",
        arity: Arity::Exactly(3),
        args: "flag:integer",
        summary: "Has the background work of ticks rest, or go on.",
        run: Run::Session(pause_ticks),
        ..DEBUG
    },
    Command {
        name: "REPLYBUFFER",
        arity: Arity::Exactly(4),
        args: "name value",
        summary: "Sets after how many milliseconds a client's reply peak is forgotten (PEAK-RESET-TIME milliseconds, NEVER or RESET), or whether large reply buffers are given back (RESIZING 0 or 1).",
        run: Run::Session(reply_buffers),
        ..DEBUG
    },
    Command {
        name: "CONFIG-REWRITE-FORCE-ALL",
        arity: Arity::Exactly(2),
        summary: "As CONFIG REWRITE, but for all options, whatever their values.",
        run: Run::Session(rewrite_all),
        ..DEBUG
    },
    Command {
        name: "PROTOCOL",
        arity: Arity::Exactly(3),
        args: "type",
        summary: "Replies with an element of the protocol's type that is named.",
        run: Run::Session(protocol),
        ..DEBUG
    },
    Command {
        name: "ERROR",
        arity: Arity::Exactly(3),
        args: "text",
        summary: "Replies with that error.",
        run: Run::Session(error),
        ..DEBUG
    },
    Command {
        name: "LOG",
        arity: Arity::Exactly(3),
        args: "text",
        summary: "Writes a line to the server's log.",
        run: Run::Session(log),
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
    sub: &hidden::<{ DEBUG_KEYS.len() + DEBUG_DIGESTS.len() + DEBUG_TABLES.len() + OWN.len() }>(),
    run: Run::Container,
    ..DEBUG
}];

/// All subcommands, hidden and guarded.
const fn hidden<const COUNT: usize>() -> [Command; COUNT] {
    let parts = [DEBUG_KEYS, DEBUG_DIGESTS, DEBUG_TABLES, OWN];
    let mut rows = [OWN[0]; COUNT];
    let (mut index, mut part, mut place) = (0, 0, 0);
    while index < COUNT {
        while place == parts[part].len() {
            (part, place) = (part + 1, 0);
        }
        let row = parts[part][place];
        rows[index] = Command {
            flags: row.flags.or(Flags::HIDDEN).or(Flags::PROTECTED),
            ..row
        };
        (index, place) = (index + 1, place + 1);
    }
    rows
}
