//! ROLE and REPLICAOF: replication is not built, so this server is a primary without replicas, and says so.
//!
//! Tests     tests/commands/session.rs.

use super::CommandError;
use super::row::ROW;
use super::session::{Action, SessionCall};
use super::table::{Arity, Command, Flags, Group, Run, Spread};
use crate::base::number::parse_i64;
use crate::resp::{Args, Reply};

type Handled = Result<Action, CommandError>;

/// `ROLE` replies with `master`, the offset of the stream that replicas read (0: there is none) and the replicas, none.
fn role(_: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    reply.array(3);
    reply.bulk(b"master");
    reply.integer(0);
    reply.array(0);
    Ok(Action::Done)
}

/// `REPLICAOF NO ONE` finds that it is so; another server is refused.
fn replica_of(_: &mut SessionCall<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    if args.is(1, "NO") && args.is(2, "ONE") {
        reply.ok();
        return Ok(Action::Done);
    }
    match parse_i64(args.get(2)) {
        Some(0..=65_535) => Err("ERR replication is not built yet".into()),
        _ => Err("ERR Invalid master port".into()),
    }
}

/// A row of this family.
const REPLICA_OF: Command = Command {
    group: Group::Server,
    arity: Arity::Exactly(3),
    flags: Flags::ADMIN
        .or(Flags::NOSCRIPT)
        .or(Flags::STALE)
        .or(Flags::NO_ASYNC_LOADING),
    spread: Spread::AnyCore,
    args: "args=(host-port=(host port:integer) | no-one=(NO ONE))",
    cost: "O(1)",
    run: Run::Session(replica_of),
    ..ROW
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "ROLE",
        since: "2.8.12",
        arity: Arity::Exactly(1),
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::FAST)
            .or(Flags::CAT_ADMIN)
            .or(Flags::CAT_DANGEROUS),
        args: "",
        summary: "Tells that this server is a primary without replicas.",
        run: Run::Session(role),
        ..REPLICA_OF
    },
    Command {
        name: "REPLICAOF",
        since: "5.0.0",
        summary: "With NO ONE, leaves this server the primary it is; other servers are refused.",
        ..REPLICA_OF
    },
    Command {
        name: "SLAVEOF",
        since: "1.0.0",
        deprecated: Some(("5.0.0", "`REPLICAOF`")),
        summary: "The older name of REPLICAOF.",
        ..REPLICA_OF
    },
];
