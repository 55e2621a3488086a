//! Functions: the rows of FCALL and FCALL_RO, and FUNCTION.
//!
//! Not here  libraries and running a function: `node/functions.rs`, `script/`.
//! Source    names, arities and flags of Redis 8.
//! Tests     tests/server/functions.rs.

use super::CommandError;
use super::derive::write_help;
use super::row::ROW;
use super::scripting::{EVAL, READS, WRITES};
use super::session::{Action, FunctionRequest, NodeRequest, RestorePolicy, SessionCall};
use super::table::{Arity, Command, Entry, Flags, Group, Run, ScriptCommand, Spread};
use crate::resp::{Args, Reply};

type Handled = Result<Action, CommandError>;

fn ask(request: FunctionRequest) -> Handled {
    Ok(Action::Node(NodeRequest::Function(request)))
}

/// `FUNCTION DELETE library-name`.
fn delete(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(FunctionRequest::Delete(args.get(1).to_vec()))
}

/// `FUNCTION DUMP`.
fn dump(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(FunctionRequest::Dump)
}

/// `FUNCTION FLUSH [ASYNC | SYNC]`: the libraries go before the reply either way.
fn flush(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    if args.len() > 2 {
        return Err(wrong_words(args.get(0)));
    }
    if args.len() == 2 && !args.is(1, "ASYNC") && !args.is(1, "SYNC") {
        return Err("ERR FUNCTION FLUSH only supports SYNC|ASYNC option".into());
    }
    let is_lazy = (args.len() == 2).then(|| args.is(1, "ASYNC"));
    ask(FunctionRequest::Flush { is_lazy })
}

/// `FUNCTION KILL`.
fn kill(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(FunctionRequest::Kill)
}

/// `FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]`.
fn list(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let (mut pattern, mut with_code) = (None, false);
    let mut index = 1;
    while index < args.len() {
        if !with_code && args.is(index, "WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && args.is(index, "LIBRARYNAME") {
            index += 1;
            if index == args.len() {
                return Err("ERR library name argument was not given".into());
            }
            pattern = Some(args.get(index).to_vec());
        } else {
            let text = [b"ERR Unknown argument ", until_nul(args.get(index))].concat();
            return Err(CommandError::Quoting(text));
        }
        index += 1;
    }
    ask(FunctionRequest::List { pattern, with_code })
}

/// As much of a word as Redis shows in these two errors.
fn until_nul(word: &[u8]) -> &[u8] {
    word.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// `FUNCTION LOAD [REPLACE] code`.
fn load(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let last = args.len() - 1;
    for index in 1..last {
        if !args.is(index, "REPLACE") {
            let text = [b"ERR Unknown option given: ", until_nul(args.get(index))].concat();
            return Err(CommandError::Quoting(text));
        }
    }
    ask(FunctionRequest::Load {
        code: args.get(last).to_vec(),
        replace: last > 1,
    })
}

/// `FUNCTION RESTORE payload [FLUSH | APPEND | REPLACE]`.
fn restore(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    if args.len() > 3 {
        return Err(wrong_words(args.get(0)));
    }
    let policy = if args.len() == 2 || args.is(2, "APPEND") {
        RestorePolicy::Append
    } else if args.is(2, "REPLACE") {
        RestorePolicy::Replace
    } else if args.is(2, "FLUSH") {
        RestorePolicy::Flush
    } else {
        return Err(
            "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE."
                .into(),
        );
    };
    ask(FunctionRequest::Restore {
        payload: args.get(1).to_vec(),
        policy,
    })
}

/// `FUNCTION STATS`.
fn stats(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(FunctionRequest::Stats)
}

/// Redis's error for words that a subcommand does not know.
fn wrong_words(name: &[u8]) -> CommandError {
    let before = "ERR unknown subcommand or wrong number of arguments for '";
    CommandError::quoting(before, name, "'. Try FUNCTION HELP.")
}

/// `FUNCTION HELP`.
fn help(_: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    write_help(&COMMANDS[2], reply);
    Ok(Action::Done)
}

/// A row of this family.
const FUNCTION: Command = Command {
    group: Group::Scripting,
    spread: Spread::AnyCore,
    since: "7.0.0",
    ..ROW
};

const FCALL: Command = Command {
    name: "FCALL",
    arity: Arity::AtLeast(3),
    flags: EVAL,
    keys: WRITES,
    spread: Spread::Home,
    args: "function numkeys:integer [key ...] [arg ...]",
    summary: "Runs a function of a library.",
    cost: "Depends on the function that is executed.",
    run: Run::Script(ScriptCommand::Function),
    ..FUNCTION
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    FCALL,
    Command {
        name: "FCALL_RO",
        flags: EVAL.or(Flags::READONLY),
        keys: READS,
        summary: "Runs a function of a library that only reads.",
        ..FCALL
    },
    Command {
        name: "FUNCTION",
        arity: Arity::AtLeast(2),
        summary: "Commands about the libraries of functions.",
        cost: "Depends on subcommand.",
        sub: SUBCOMMANDS,
        run: Run::Container,
        ..FUNCTION
    },
];

const SPREADS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];
const CHANGES: Flags = Flags::WRITE.or(Flags::NOSCRIPT);
const ADDS: Flags = CHANGES.or(Flags::DENYOOM);

/// Whether a subcommand changes what functions there are.
pub fn changes_libraries(entry: &Entry) -> bool {
    entry.command.group == Group::Scripting
        && matches!(entry.command.run, Run::Session(_))
        && entry.command.flags.has(Flags::WRITE)
}

/// A row of a subcommand.
const SUB: Command = Command {
    flags: Flags::NOSCRIPT,
    ..FUNCTION
};

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "DELETE",
        arity: Arity::Exactly(3),
        flags: CHANGES,
        args: "library-name",
        summary: "Deletes a library and its functions.",
        cost: "O(1)",
        tips: SPREADS,
        run: Run::Session(delete),
        ..SUB
    },
    Command {
        name: "DUMP",
        arity: Arity::Exactly(2),
        summary: "All libraries as bytes, for FUNCTION RESTORE.",
        cost: "O(N) where N is the number of functions",
        run: Run::Session(dump),
        ..SUB
    },
    Command {
        name: "FLUSH",
        arity: Arity::AtLeast(2),
        flags: CHANGES,
        args: "flush-type=[ASYNC | SYNC]",
        summary: "Deletes all libraries.",
        cost: "O(N) where N is the number of functions deleted",
        tips: SPREADS,
        run: Run::Session(flush),
        ..SUB
    },
    Command {
        name: "HELP",
        arity: Arity::Exactly(2),
        flags: Flags::LOADING.or(Flags::STALE),
        summary: "This help.",
        cost: "O(1)",
        run: Run::Session(help),
        ..SUB
    },
    Command {
        name: "KILL",
        arity: Arity::Exactly(2),
        flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
        summary: "Ends the function that runs.",
        cost: "O(1)",
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        run: Run::Session(kill),
        ..SUB
    },
    Command {
        name: "LIST",
        arity: Arity::AtLeast(2),
        args: "[LIBRARYNAME library-name-pattern:string] [WITHCODE]",
        summary: "The libraries and their functions.",
        cost: "O(N) where N is the number of functions",
        tips: &["nondeterministic_output_order"],
        run: Run::Session(list),
        ..SUB
    },
    Command {
        name: "LOAD",
        arity: Arity::AtLeast(3),
        flags: ADDS,
        args: "[REPLACE] function-code",
        summary: "Loads a library from its text.",
        cost: "O(1) (considering compilation time is redundant)",
        tips: SPREADS,
        run: Run::Session(load),
        ..SUB
    },
    Command {
        name: "RESTORE",
        arity: Arity::AtLeast(3),
        flags: ADDS,
        args: "serialized-value policy=[FLUSH | APPEND | REPLACE]",
        summary: "Loads the libraries of a payload.",
        cost: "O(N) where N is the number of functions on the payload",
        tips: SPREADS,
        run: Run::Session(restore),
        ..SUB
    },
    Command {
        name: "STATS",
        arity: Arity::Exactly(2),
        flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
        summary: "The function that runs, and how many there are.",
        cost: "O(1)",
        tips: &[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ],
        run: Run::Session(stats),
        ..SUB
    },
];
