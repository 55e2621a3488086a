//! Scripts: the rows of EVAL and its relatives, and SCRIPT.
//!
//! Not here  engines and running a script: `node/script.rs`, `script/`.
//! Source    names, arities and flags of Redis 8.
//! Tests     tests/server/scripts.rs.

use super::CommandError;
use super::derive::write_help;
use super::row::ROW;
use super::session::{Action, NodeRequest, SessionCall};
use super::table::{
    Arity, Begin, Command, Find, Flags, Group, KeyAccess, KeySpec, Run, ScriptCommand, Spread,
};
use crate::resp::{Args, Reply};

type Handled = Result<Action, CommandError>;

/// The keys that a script declares.
const fn declared(mode: &'static str, flags: &'static [&'static str]) -> KeySpec {
    KeySpec {
        access: KeyAccess { mode, flags },
        begin: Begin::Index(2),
        find: Find::KeyNum {
            at: 0,
            first: 1,
            step: 1,
        },
        notes: "",
    }
}

/// `SCRIPT LOAD script`.
fn load(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let body = args.get(1).to_vec();
    Ok(Action::Node(NodeRequest::ScriptLoad(body)))
}

/// `SCRIPT EXISTS sha1 [sha1 ...]`.
fn exists(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let digests = args.iter_from(1).map(<[u8]>::to_vec).collect();
    Ok(Action::Node(NodeRequest::ScriptExists(digests)))
}

/// `SCRIPT SHOW sha1`, of Valkey 8.
fn show(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    Ok(Action::Node(NodeRequest::ScriptShow(args.get(1).to_vec())))
}

/// `SCRIPT FLUSH [ASYNC | SYNC]`: the scripts go before the reply either way.
fn flush(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let is_mode = args.len() == 1 || args.is(1, "ASYNC") || args.is(1, "SYNC");
    if args.len() > 2 || !is_mode {
        return Err("ERR SCRIPT FLUSH only support SYNC|ASYNC option".into());
    }
    let is_lazy = (args.len() == 2).then(|| args.is(1, "ASYNC"));
    Ok(Action::Node(NodeRequest::ScriptFlush { is_lazy }))
}

/// `SCRIPT KILL`.
fn kill(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    Ok(Action::Node(NodeRequest::ScriptKill))
}

/// `SCRIPT DEBUG YES | SYNC | NO`: there is no debugger, so only switching it off is honest.
fn debug(_: &mut SessionCall<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    if args.is(1, "NO") {
        reply.ok();
        return Ok(Action::Done);
    }
    if args.is(1, "YES") || args.is(1, "SYNC") {
        return Err("ERR this server has no script debugger".into());
    }
    Err("ERR Use SCRIPT DEBUG YES/SYNC/NO".into())
}

/// `SCRIPT HELP`.
fn help(_: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    write_help(&COMMANDS[4], reply);
    Ok(Action::Done)
}

pub(super) const EVAL: Flags = Flags::NOSCRIPT
    .or(Flags::STALE)
    .or(Flags::SKIP_MONITOR)
    .or(Flags::NO_MANDATORY_KEYS)
    .or(Flags::MOVABLE_KEYS);
const WRITTEN: KeySpec = declared("RW", &["access", "update"]);
const READ: KeySpec = declared("RO", &["access"]);
pub(super) const WRITES: &[KeySpec] =
    &[WRITTEN
        .noted("We cannot tell how the keys will be used so we assume the worst, RW and UPDATE")];
pub(super) const READS: &[KeySpec] = &[
    READ.noted("We cannot tell how the keys will be used so we assume the worst, RO and ACCESS")
];
const BY_TEXT: &str = "script numkeys:integer [key ...] [arg ...]";
const BY_DIGEST: &str = "sha1 numkeys:integer [key ...] [arg ...]";
const AS_THE_SCRIPT: &str = "Depends on the script that is executed.";

/// A row of this family.
const SCRIPTING: Command = Command {
    group: Group::Scripting,
    spread: Spread::AnyCore,
    since: "2.6.0",
    ..ROW
};

const SCRIPT: Command = Command {
    arity: Arity::AtLeast(3),
    flags: EVAL,
    keys: WRITES,
    spread: Spread::Home,
    cost: AS_THE_SCRIPT,
    ..SCRIPTING
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "EVAL",
        args: BY_TEXT,
        summary: "Runs a Lua script.",
        run: Run::Script(ScriptCommand::Text),
        ..SCRIPT
    },
    Command {
        name: "EVAL_RO",
        since: "7.0.0",
        flags: EVAL.or(Flags::READONLY),
        keys: READS,
        args: BY_TEXT,
        summary: "Runs a Lua script that only reads.",
        run: Run::Script(ScriptCommand::Text),
        ..SCRIPT
    },
    Command {
        name: "EVALSHA",
        keys: &[WRITTEN], // Redis has no notes of these.
        args: BY_DIGEST,
        summary: "Runs a Lua script that the server knows, by the SHA-1 of its text.",
        run: Run::Script(ScriptCommand::Digest),
        ..SCRIPT
    },
    Command {
        name: "EVALSHA_RO",
        since: "7.0.0",
        flags: EVAL.or(Flags::READONLY),
        keys: &[READ],
        args: BY_DIGEST,
        summary: "Runs a Lua script that the server knows and that only reads, by the SHA-1 of its text.",
        run: Run::Script(ScriptCommand::Digest),
        ..SCRIPT
    },
    Command {
        name: "SCRIPT",
        arity: Arity::AtLeast(2),
        summary: "Commands about the scripts that the server knows.",
        cost: "Depends on subcommand.",
        sub: SUBCOMMANDS,
        run: Run::Container,
        ..SCRIPTING
    },
];

/// A row of a subcommand.
const SUB: Command = Command {
    flags: Flags::NOSCRIPT,
    ..SCRIPTING
};

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "DEBUG",
        since: "3.2.0",
        arity: Arity::Exactly(3),
        args: "mode=(YES | SYNC | NO)",
        summary: "Switches the script debugger, of which there is none here.",
        run: Run::Session(debug),
        ..SUB
    },
    Command {
        name: "EXISTS",
        arity: Arity::AtLeast(3),
        args: "sha1 [sha1 ...]",
        summary: "Which of these scripts the server knows.",
        cost: "O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).",
        tips: &[
            "request_policy:all_shards",
            "response_policy:agg_logical_and",
        ],
        run: Run::Session(exists),
        ..SUB
    },
    Command {
        name: "FLUSH",
        arity: Arity::AtLeast(2),
        args: "flush-type=[ASYNC | SYNC]@6.2.0",
        summary: "Forgets all scripts.",
        cost: "O(N) with N being the number of scripts in cache",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        history: &[("6.2.0", "Knows `ASYNC` and `SYNC`.")],
        run: Run::Session(flush),
        ..SUB
    },
    Command {
        name: "HELP",
        since: "5.0.0",
        arity: Arity::Exactly(2),
        flags: Flags::LOADING.or(Flags::STALE),
        summary: "This help.",
        run: Run::Session(help),
        ..SUB
    },
    Command {
        name: "KILL",
        arity: Arity::Exactly(2),
        flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
        summary: "Ends the script that runs.",
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        run: Run::Session(kill),
        ..SUB
    },
    Command {
        name: "LOAD",
        arity: Arity::Exactly(3),
        flags: Flags::NOSCRIPT.or(Flags::STALE),
        args: "script",
        summary: "Makes a script known, without running it.",
        cost: "O(N) with N being the length in bytes of the script body.",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: Run::Session(load),
        ..SUB
    },
    Command {
        name: "SHOW",
        since: "8.0.0",
        arity: Arity::Exactly(3),
        args: "sha1",
        summary: "A script's text, by the SHA-1 of it.",
        cost: "O(1).",
        run: Run::Session(show),
        ..SUB
    },
];
