//! Administration that the node carries out: CONFIG, INFO, SHUTDOWN; and TIME.
//!
//! Not here  options: `node/options.rs`; the text of INFO: `node/info.rs`.
//! Tests     tests/commands/session.rs.

use super::CommandError;
use super::derive::write_help;
use super::row::ROW;
use super::session::{Action, NodeRequest, SessionCall};
use super::table::{Arity, Command, Flags, Group, Run, Spread};
use crate::resp::{Args, Reply};

type Handled = Result<Action, CommandError>;

fn words_from(args: &Args<'_>, index: usize) -> Vec<Vec<u8>> {
    args.iter_from(index).map(<[u8]>::to_vec).collect()
}

/// `CONFIG GET parameter [parameter ...]`.
fn config_get(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    Ok(Action::Node(NodeRequest::ConfigGet(words_from(args, 1))))
}

/// `CONFIG SET parameter value [parameter value ...]`.
fn config_set(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    // The subcommand's own word and pairs.
    if args.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let pairs = (1..args.len())
        .step_by(2)
        .map(|at| (args.get(at).to_vec(), args.get(at + 1).to_vec()))
        .collect();
    Ok(Action::Node(NodeRequest::ConfigSet(pairs)))
}

/// `CONFIG RESETSTAT`.
fn config_reset_stat(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    Ok(Action::Node(NodeRequest::ConfigResetStat))
}

/// `CONFIG REWRITE`.
fn config_rewrite(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    Ok(Action::Node(NodeRequest::ConfigRewrite))
}

/// `CONFIG HELP`.
fn config_help(_: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    write_help(&COMMANDS[0], reply);
    Ok(Action::Done)
}

/// `INFO [section ...]`.
fn info(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    Ok(Action::Node(NodeRequest::Info(words_from(args, 1))))
}

/// `TIME`: seconds since the epoch, and microseconds of the second.
fn time(call: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    const SECOND_US: i64 = 1_000_000;
    reply.array(2);
    reply.bulk_int(call.now_us.div_euclid(SECOND_US));
    reply.bulk_int(call.now_us.rem_euclid(SECOND_US));
    Ok(Action::Done)
}

/// `SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT] [SAFE] [FAILOVER]`.
fn shutdown(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let (mut save, mut no_save, mut now, mut force, mut abort) =
        (false, false, false, false, false);
    // Valkey's two: it is always safe to end a server that is no node of a cluster, and no other can take over from it.
    let (mut safe, mut failover) = (false, false);
    for word in args.iter_from(1) {
        match word.to_ascii_uppercase().as_slice() {
            b"SAVE" => save = true,
            b"NOSAVE" => no_save = true,
            b"NOW" => now = true,
            b"FORCE" => force = true,
            b"ABORT" => abort = true,
            b"SAFE" => safe = true,
            b"FAILOVER" => failover = true,
            _ => return Err(CommandError::Syntax),
        }
    }
    let says_how = save || no_save || now || force || safe || failover;
    if abort && says_how || save && no_save {
        return Err(CommandError::Syntax);
    }
    if failover {
        return Err("ERR SHUTDOWN FAILOVER is only supported in cluster mode.".into());
    }
    Ok(Action::Node(NodeRequest::Shutdown {
        save: (save || no_save).then_some(save),
        now,
        force,
        abort,
    }))
}

const LOADING_STALE: Flags = Flags::LOADING.or(Flags::STALE);
const ADMIN: Flags = LOADING_STALE.or(Flags::NOSCRIPT).or(Flags::ADMIN);
const TO_ALL: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
const EACH: &str = "O(N) when N is the number of configuration parameters provided";

/// A row of this family.
const SERVER: Command = Command {
    group: Group::Server,
    spread: Spread::AnyCore,
    ..ROW
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "CONFIG",
        since: "2.0.0",
        arity: Arity::AtLeast(2),
        summary: "Commands about the configuration.",
        cost: "Depends on subcommand.",
        sub: CONFIG,
        run: Run::Container,
        ..SERVER
    },
    Command {
        name: "INFO",
        arity: Arity::AtLeast(1),
        flags: LOADING_STALE.or(Flags::CAT_DANGEROUS),
        args: "[section ...]",
        summary: "Figures about the server, by section.",
        tips: &[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ],
        history: &[("7.0.0", "Takes several sections.")],
        run: Run::Session(info),
        ..SERVER
    },
    Command {
        name: "TIME",
        since: "2.6.0",
        flags: LOADING_STALE.or(Flags::FAST),
        summary: "The server's clock.",
        tips: &["nondeterministic_output"],
        run: Run::Session(time),
        ..SERVER
    },
    Command {
        name: "SHUTDOWN",
        arity: Arity::AtLeast(1),
        flags: ADMIN.or(Flags::NO_MULTI).or(Flags::ALLOW_BUSY),
        args: "save-selector=[NOSAVE | SAVE] [NOW]@7.0.0 [FORCE]@7.0.0 [ABORT]@7.0.0",
        summary: "Ends the server.",
        cost: "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
        history: &[("7.0.0", "Knows `NOW`, `FORCE` and `ABORT`.")],
        run: Run::Session(shutdown),
        ..SERVER
    },
];

const CONFIG: &[Command] = &[
    Command {
        name: "GET",
        since: "2.0.0",
        arity: Arity::AtLeast(3),
        flags: ADMIN,
        args: "parameter [parameter ...]",
        summary: "The values of the options that fit one of the patterns.",
        cost: EACH,
        history: &[("7.0.0", "Takes several patterns.")],
        run: Run::Session(config_get),
        ..SERVER
    },
    Command {
        name: "SET",
        since: "2.0.0",
        arity: Arity::AtLeast(4),
        flags: ADMIN,
        args: "parameter value [parameter value ...]",
        summary: "Changes options while the server runs, all of those named or none.",
        cost: EACH,
        tips: TO_ALL,
        history: &[("7.0.0", "Takes several options.")],
        run: Run::Session(config_set),
        ..SERVER
    },
    Command {
        name: "RESETSTAT",
        since: "2.0.0",
        arity: Arity::Exactly(2),
        flags: ADMIN,
        summary: "Sets the figures that count up back to zero.",
        tips: TO_ALL,
        run: Run::Session(config_reset_stat),
        ..SERVER
    },
    Command {
        name: "REWRITE",
        since: "2.8.0",
        arity: Arity::Exactly(2),
        flags: ADMIN,
        summary: "Writes the options in force to the configuration file, and leaves the rest of it alone.",
        tips: TO_ALL,
        run: Run::Session(config_rewrite),
        ..SERVER
    },
    Command {
        name: "HELP",
        since: "5.0.0",
        arity: Arity::Exactly(2),
        flags: LOADING_STALE,
        summary: "This help.",
        run: Run::Session(config_help),
        ..SERVER
    },
];
