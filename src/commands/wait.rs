//! WAIT and WAITAOF: until writes are where they are wanted. The node waits.
//!
//! There are no replicas, so none ever acknowledges anything.
//!
//! Tests     tests/server/wait_aof.rs.

use super::CommandError;
use super::blocking::timeout_of_ms;
use super::row::ROW;
use super::session::{Action, NodeRequest, SessionCall};
use super::table::{Arity, Command, Flags, Group, Run, Spread};
use crate::base::number::parse_i64;
use crate::resp::{Args, Reply};

type Handled = Result<Action, CommandError>;

/// `WAIT numreplicas timeout` replies with how many replicas have all writes of this client: 0, when the time is up.
fn wait(call: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let replicas = parse_i64(args.get(1)).ok_or("ERR value is not an integer or out of range")?;
    let timeout_ms = timeout_of_ms(args.get(2), call.now_ms)?;
    Ok(Action::Node(NodeRequest::Wait(WaitRequest {
        local: None,
        replicas,
        timeout_ms,
    })))
}

/// `WAITAOF numlocal numreplicas timeout` replies with how many append-only logs, here and on replicas, have all writes of
/// this client on disk.
fn wait_aof(call: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let local = match parse_i64(args.get(1)) {
        None => return Err("ERR value is not an integer or out of range".into()),
        Some(local @ 0..=1) => local == 1,
        Some(_) => return Err("ERR value is out of range, value must between 0 and 1".into()),
    };
    let replicas = parse_i64(args.get(2)).filter(|&replicas| replicas >= 0);
    let replicas = replicas.ok_or("ERR value is out of range, must be positive")?;
    let timeout_ms = timeout_of_ms(args.get(3), call.now_ms)?;
    Ok(Action::Node(NodeRequest::Wait(WaitRequest {
        local: Some(local),
        replicas,
        timeout_ms,
    })))
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitRequest {
    /// WAITAOF: whether the log on this machine must have it. None for WAIT.
    pub local: Option<bool>,
    /// How many replicas.
    pub replicas: i64,
    /// None: for ever.
    pub timeout_ms: Option<u64>,
}

/// A row of this family.
const WAITS: Command = Command {
    group: Group::Generic,
    flags: Flags::BLOCKING.or(Flags::CAT_CONNECTION),
    spread: Spread::AnyCore,
    tips: &["request_policy:all_shards", "response_policy:agg_min"],
    cost: "O(1)",
    ..ROW
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "WAIT",
        since: "3.0.0",
        arity: Arity::Exactly(3),
        args: "numreplicas:integer timeout:integer",
        summary: "Waits until so many replicas have all writes of this client, or the time is up.",
        run: Run::Session(wait),
        ..WAITS
    },
    Command {
        name: "WAITAOF",
        since: "7.2.0",
        arity: Arity::Exactly(4),
        args: "numlocal:integer numreplicas:integer timeout:integer",
        summary: "Waits until all writes of this client are in the append-only log on disk, here and on so many replicas, or the time is up.",
        run: Run::Session(wait_aof),
        ..WAITS
    },
];
