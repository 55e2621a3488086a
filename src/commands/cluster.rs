//! CLUSTER and its companions: cluster mode is not built, and this is how a server without it answers.
//!
//! Source    names, arities and flags of Redis 8 and Valkey 9, so that clients that look commands up find them.

use super::CommandError;
use super::row::ROW;
use super::session::{Action, SessionCall};
use super::table::{Arity, Command, Flags, Group, Run, Spread};
use crate::resp::{Args, Reply};

fn disabled(
    _: &mut SessionCall<'_>,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Action, CommandError> {
    Err("ERR This instance has cluster support disabled".into())
}

const STALE: Flags = Flags::STALE;
const LOADING: Flags = Flags::STALE.or(Flags::LOADING);
const ADMIN: Flags = Flags::STALE.or(Flags::ADMIN);
const CHANGE: Flags = ADMIN.or(Flags::NO_ASYNC_LOADING);
const NOWHERE: &str = "Part of cluster mode, which is disabled here.";
const VARIES: &[&str] = &["nondeterministic_output"];

/// A row of this family.
const CLUSTER: Command = Command {
    since: "3.0.0",
    group: Group::Cluster,
    spread: Spread::AnyCore,
    summary: NOWHERE,
    run: Run::Session(disabled),
    ..ROW
};

const fn sub(
    name: &'static str,
    since: &'static str,
    arity: Arity,
    flags: Flags,
    tips: &'static [&'static str],
    args: &'static str,
) -> Command {
    Command {
        name,
        since,
        arity,
        flags,
        tips,
        args,
        ..CLUSTER
    }
}

const fn deprecated(since: &'static str, by: &'static str, command: Command) -> Command {
    Command {
        deprecated: Some((since, by)),
        ..command
    }
}

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "CLUSTER",
        arity: Arity::AtLeast(2),
        summary: "Commands about cluster mode, which is disabled here.",
        cost: "Depends on subcommand.",
        sub: SUBCOMMANDS,
        run: Run::Container,
        ..CLUSTER
    },
    Command {
        name: "ASKING",
        flags: Flags::FAST.or(Flags::CAT_CONNECTION),
        ..CLUSTER
    },
    Command {
        name: "CLUSTERSCAN",
        since: "9.1.0",
        arity: Arity::AtLeast(2),
        flags: Flags::READONLY,
        tips: VARIES,
        args: "cursor:string [MATCH match-pattern:pattern] [COUNT count:integer] [TYPE type:string] [SLOT slot:integer]",
        ..CLUSTER
    },
    Command {
        name: "READONLY",
        flags: LOADING.or(Flags::FAST).or(Flags::CAT_CONNECTION),
        ..CLUSTER
    },
    Command {
        name: "READWRITE",
        flags: LOADING.or(Flags::FAST).or(Flags::CAT_CONNECTION),
        ..CLUSTER
    },
];

#[rustfmt::skip]
const SUBCOMMANDS: &[Command] = &[
    sub("ADDSLOTS", "3.0.0", Arity::AtLeast(3), CHANGE, &[], "slot:integer ..."),
    sub("ADDSLOTSRANGE", "7.0.0", Arity::AtLeast(4), CHANGE, &[], "range=(start-slot:integer end-slot:integer) ..."),
    sub("BUMPEPOCH", "3.0.0", Arity::Exactly(2), CHANGE, VARIES, ""),
    sub("CANCELSLOTMIGRATIONS", "9.0.0", Arity::Exactly(2), CHANGE, &[], ""),
    sub("COUNT-FAILURE-REPORTS", "3.0.0", Arity::Exactly(3), ADMIN, VARIES, "node-id:string"),
    sub("COUNTKEYSINSLOT", "3.0.0", Arity::Exactly(3), STALE, &[], "slot:integer"),
    sub("DELSLOTS", "3.0.0", Arity::AtLeast(3), CHANGE, &[], "slot:integer ..."),
    sub("DELSLOTSRANGE", "7.0.0", Arity::AtLeast(4), CHANGE, &[], "range=(start-slot:integer end-slot:integer) ..."),
    sub("FAILOVER", "3.0.0", Arity::AtLeast(2), CHANGE, &[], "options=[FORCE | TAKEOVER]"),
    sub("FLUSHSLOT", "9.0.0", Arity::AtLeast(3), CHANGE, &[], "slot:integer [flush-type=[ASYNC | SYNC]]"),
    sub("FLUSHSLOTS", "3.0.0", Arity::Exactly(2), CHANGE, &[], ""),
    sub("FORGET", "3.0.0", Arity::Exactly(3), CHANGE, &[], "node-id:string"),
    sub("GETKEYSINSLOT", "3.0.0", Arity::Exactly(4), STALE, VARIES, "slot:integer count:integer"),
    sub("GETSLOTMIGRATIONS", "9.0.0", Arity::Exactly(2), CHANGE, &[], ""),
    sub("HELP", "5.0.0", Arity::Exactly(2), LOADING, &[], ""),
    sub("INFO", "3.0.0", Arity::Exactly(2), STALE, VARIES, ""),
    sub("KEYSLOT", "3.0.0", Arity::Exactly(3), STALE, &[], "key:string"),
    sub("LINKS", "7.0.0", Arity::Exactly(2), STALE, VARIES, ""),
    sub("MEET", "3.0.0", Arity::AtLeast(4), CHANGE, &[], "ip:string port:integer [cluster-bus-port:integer]@4.0.0"),
    sub("MIGRATESLOTS", "9.0.0", Arity::AtLeast(4), CHANGE, &[], "migration-group=(SLOTSRANGE range=(start-slot:integer end-slot:integer) ... NODE node-id:string) ..."),
    sub("MYID", "3.0.0", Arity::Exactly(2), STALE, &[], ""),
    sub("MYSHARDID", "7.2.0", Arity::Exactly(2), STALE, VARIES, ""),
    sub("NODES", "3.0.0", Arity::Exactly(2), STALE, VARIES, ""),
    sub("REPLICAS", "5.0.0", Arity::Exactly(3), ADMIN, VARIES, "node-id:string"),
    sub("REPLICATE", "3.0.0", Arity::Exactly(3), CHANGE, &[], "node-id:string"),
    sub("RESET", "3.0.0", Arity::AtLeast(2), ADMIN.or(Flags::NOSCRIPT), &[], "reset-type=[HARD | SOFT]"),
    sub("SAVECONFIG", "3.0.0", Arity::Exactly(2), CHANGE, &[], ""),
    sub("SET-CONFIG-EPOCH", "3.0.0", Arity::Exactly(3), CHANGE, &[], "config-epoch:integer"),
    sub("SETSLOT", "3.0.0", Arity::AtLeast(4), CHANGE, &[], "slot:integer subcommand=(IMPORTING importing:string~node-id | MIGRATING migrating:string~node-id | NODE node:string~node-id | STABLE)"),
    sub("SHARDS", "7.0.0", Arity::Exactly(2), LOADING, VARIES, ""),
    sub("SLOT-STATS", "8.0.0", Arity::AtLeast(4), LOADING, &["nondeterministic_output", "request_policy:all_shards"], "filter=(SLOTSRANGE slotsrange=(start-slot:integer end-slot:integer) | ORDERBY orderby=(metric:string [LIMIT limit:integer] [order=[ASC | DESC]]))"),
    sub("SYNCSLOTS", "9.0.0", Arity::AtLeast(3), CHANGE, VARIES, ""),
    deprecated("5.0.0", "`CLUSTER REPLICAS`", sub("SLAVES", "3.0.0", Arity::Exactly(3), ADMIN, VARIES, "node-id:string")),
    deprecated("7.0.0", "`CLUSTER SHARDS`", sub("SLOTS", "3.0.0", Arity::Exactly(2), LOADING, VARIES, "")),
];
