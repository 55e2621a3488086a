//! Snapshots: SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE. The node makes them.
//!
//! Tests     tests/server/snapshot.rs.

use super::CommandError;
use super::row::ROW;
use super::session::{Action, NodeRequest, SaveRequest, SessionCall};
use super::table::{Arity, Command, Flags, Group, Run, Spread};
use crate::resp::{Args, Reply};

type Handled = Result<Action, CommandError>;

/// `SAVE` replies OK when the file is on disk. Others are served meanwhile.
fn save(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    Ok(Action::Node(NodeRequest::Save(SaveRequest::Wait)))
}

/// `BGSAVE [SCHEDULE | CANCEL]` replies when what is to be saved is settled, or that it is not.
fn bgsave(_: &mut SessionCall<'_>, args: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let may_wait = match args.len() {
        1 => false,
        2 if args.is(1, "SCHEDULE") => true,
        2 if args.is(1, "CANCEL") => {
            return Ok(Action::Node(NodeRequest::Save(SaveRequest::Cancel)));
        }
        _ => return Err(CommandError::Syntax),
    };
    let request = SaveRequest::Background { may_wait };
    Ok(Action::Node(NodeRequest::Save(request)))
}

/// `BGREWRITEAOF` replies at once.
fn bgrewriteaof(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    let request = SaveRequest::Rewrite { is_in_block: false };
    Ok(Action::Node(NodeRequest::Save(request)))
}

/// `LASTSAVE`: seconds since the epoch.
fn lastsave(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    Ok(Action::Node(NodeRequest::LastSave))
}

const SNAPSHOT: Flags = Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::NO_ASYNC_LOADING);

/// A row of this family.
const SERVER: Command = Command {
    group: Group::Server,
    spread: Spread::AnyCore,
    ..ROW
};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "SAVE",
        flags: SNAPSHOT.or(Flags::NO_MULTI),
        summary: "Saves all databases to the RDB file and replies when they are on disk.",
        cost: "O(N) where N is the total number of keys in all databases",
        run: Run::Session(save),
        ..SERVER
    },
    Command {
        name: "BGSAVE",
        arity: Arity::AtLeast(1),
        flags: SNAPSHOT,
        args: "[operation=(SCHEDULE@3.2.2 | CANCEL@8.1.0)]",
        summary: "Begins to save all databases, as they are now, to the RDB file, or gives that up.",
        history: &[
            ("3.2.2", "Knows `SCHEDULE`."),
            ("8.1.0", "Knows `CANCEL`, as Valkey."),
        ],
        run: Run::Session(bgsave),
        ..SERVER
    },
    Command {
        name: "BGREWRITEAOF",
        flags: SNAPSHOT,
        summary: "Begins to write a new base of the append-only log, so that what came before it can go.",
        run: Run::Session(bgrewriteaof),
        ..SERVER
    },
    Command {
        name: "LASTSAVE",
        flags: Flags::LOADING
            .or(Flags::STALE)
            .or(Flags::FAST)
            .or(Flags::CAT_ADMIN)
            .or(Flags::CAT_DANGEROUS),
        summary: "When the databases were saved last, as a Unix time.",
        tips: &["nondeterministic_output"],
        run: Run::Session(lastsave),
        ..SERVER
    },
];
