//! ROLE, REPLICAOF, FAILOVER and what replicas say: replication is not built, so this server is a primary without replicas, and
//! says so. Who wants a copy of what there is and nothing that comes after it, as `redis-cli --rdb`, is no replica: SYNC gives it.
//!
//! Promises  every command of Redis's replication has its row, so that access rules that name it are understood.
//! Not here  how a copy is sent: `node/copies.rs`.
//! Tests     tests/commands/session.rs, tests/server/acl_files.rs.

use super::CommandError;
use super::row::ROW;
use super::session::{Action, CopyParts, NodeRequest, SessionCall};
use super::table::{Arity, Command, Flags, Group, Run, Spread};
use super::word::integer;
use crate::base::number::parse_i64;
use crate::resp::parse::split_quoted;
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
        Some(0..=65_535) => Err(NOT_BUILT.into()),
        _ => Err("ERR Invalid master port".into()),
    }
}

/// `FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]`: there is no replica to hand over to, and no failover to end.
fn failover(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    if args.len() == 2 && args.is(1, "ABORT") {
        return Err("ERR No failover in progress.".into());
    }
    let (mut has_target, mut has_timeout, mut is_forced) = (false, false, false);
    let mut index = 1;
    while index < args.len() {
        let more = args.len() - index - 1;
        if more > 0 && !has_timeout && args.is(index, "TIMEOUT") {
            if integer(args.get(index + 1))? <= 0 {
                return Err("ERR FAILOVER timeout must be greater than 0".into());
            }
            has_timeout = true;
            index += 2;
        } else if more > 1 && !has_target && args.is(index, "TO") {
            integer(args.get(index + 2))?;
            has_target = true;
            index += 3;
        } else if !is_forced && args.is(index, "FORCE") {
            is_forced = true;
            index += 1;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Err("ERR FAILOVER requires connected replicas.".into())
}

/// What a replica would be told.
const NOT_BUILT: &str = "ERR replication is not built yet";

/// `REPLCONF [rdb-only 0 | 1] [rdb-filter-only "" | functions] [capa capability] ...`: what the copy is to be that SYNC asks for.
/// What only replicas say is refused, as they are.
fn replica_configure(
    call: &mut SessionCall<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Handled {
    if args.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    for index in (1..args.len()).step_by(2) {
        let (name, value) = (args.get(index), args.get(index + 1));
        match name.to_ascii_lowercase().as_slice() {
            b"rdb-only" => call.session.wants_copy_only = is_on(value)?,
            b"rdb-filter-only" => call.session.copy_parts = copy_parts(value)?,
            // How a copy could come otherwise than it does.
            b"capa" => {}
            b"listening-port" | b"ip-address" | b"ack" | b"getack" | b"rdb-channel"
            | b"main-ch-client-id" => return Err(NOT_BUILT.into()),
            _ => {
                let text = "ERR Unrecognized REPLCONF option: ";
                return Err(CommandError::quoting(text, name, ""));
            }
        }
    }
    reply.ok();
    Ok(Action::Done)
}

fn is_on(word: &[u8]) -> Result<bool, CommandError> {
    match integer(word)? {
        number @ 0..=1 => Ok(number == 1),
        _ => Err("ERR value is out of range, value must between 0 and 1".into()),
    }
}

/// The words of a filter name what a copy is to have; none: nothing.
fn copy_parts(filter: &[u8]) -> Result<CopyParts, CommandError> {
    let words = split_quoted(filter).ok_or("ERR Missing rdb-filter-only values")?;
    let mut parts = CopyParts::Nothing;
    let words = words.as_args();
    for word in words.iter_from(0) {
        if !word.eq_ignore_ascii_case(b"functions") {
            let text = "ERR Unsupported rdb-filter-only option: ";
            return Err(CommandError::quoting(text, word, ""));
        }
        parts = CopyParts::Functions;
    }
    Ok(parts)
}

/// `SYNC`, of one who wants nothing but a copy: a snapshot, and the end.
fn sync(call: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    if !call.session.wants_copy_only {
        return Err(NOT_BUILT.into());
    }
    if call.session.monitoring {
        // As in Redis: it is sent lines already, and would find them in the copy.
        return Ok(Action::Done);
    }
    Ok(Action::Node(NodeRequest::Copy(call.session.copy_parts)))
}

/// `PSYNC replicationid offset`: who says it would be a replica.
fn partial_sync(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    integer(args.get(2))?;
    Err(NOT_BUILT.into())
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

/// What replicas send: full and partial copies begin with it.
const SYNC: Command = Command {
    arity: Arity::Exactly(1),
    flags: Flags::ADMIN
        .or(Flags::NOSCRIPT)
        .or(Flags::NO_ASYNC_LOADING)
        .or(Flags::NO_MULTI),
    args: "",
    cost: "",
    is_system: true,
    run: Run::Session(sync),
    ..REPLICA_OF
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
    Command {
        name: "FAILOVER",
        since: "6.2.0",
        arity: Arity::AtLeast(1),
        flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::STALE),
        args: "[target=TO(host port:integer [FORCE])] [ABORT] [TIMEOUT milliseconds:integer]",
        summary: "Would hand over to a replica; there is none, and it says so.",
        run: Run::Session(failover),
        ..REPLICA_OF
    },
    Command {
        name: "REPLCONF",
        since: "3.0.0",
        arity: Arity::AtLeast(1),
        flags: Flags::ADMIN
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::ALLOW_BUSY),
        cost: "O(1)",
        summary: "Says what a copy is to have that SYNC asks for; replicas are refused.",
        run: Run::Session(replica_configure),
        ..SYNC
    },
    Command {
        name: "PSYNC",
        since: "2.8.0",
        arity: Arity::AtLeast(3),
        args: "replicationid:string offset:integer",
        summary: "How a replica goes on with a copy; replicas are refused.",
        run: Run::Session(partial_sync),
        ..SYNC
    },
    Command {
        name: "SYNC",
        summary: "Sends a snapshot and closes, after REPLCONF rdb-only 1; replicas are refused.",
        ..SYNC
    },
];
