//! BACKUP: a copy of all keys that an operator takes while the server runs. The node makes it.
//!
//! Source    Redis 8.10's documentation of BACKUP: states, replies, flags.
//! Tests     tests/server/backup.rs.

use super::CommandError;
use super::derive::write_help;
use super::row::ROW;
use super::session::{Action, BackupRequest, NodeRequest, SessionCall};
use super::table::{Arity, Command, Flags, Group, Run, Spread};
use crate::resp::{Args, Reply};

type Handled = Result<Action, CommandError>;

fn ask(request: BackupRequest) -> Handled {
    Ok(Action::Node(NodeRequest::Backup(request)))
}

/// `BACKUP START` replies OK when it is settled that there will be one, or an error.
fn start(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(BackupRequest::Start)
}

/// `BACKUP SEAL` replies OK when all of it is on disk.
fn seal(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(BackupRequest::Seal)
}

/// `BACKUP LIST`: the paths of files that change no more.
fn list(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(BackupRequest::List)
}

/// `BACKUP STATUS`: a map of texts.
fn status(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(BackupRequest::Status)
}

/// `BACKUP ABORT` replies OK when the files are gone.
fn abort(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(BackupRequest::Abort)
}

/// `BACKUP CLEANUP` replies OK when the files are gone.
fn cleanup(_: &mut SessionCall<'_>, _: &Args<'_>, _: &mut Reply<'_>) -> Handled {
    ask(BackupRequest::Cleanup)
}

/// `BACKUP HELP`.
fn help(_: &mut SessionCall<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Handled {
    write_help(&COMMANDS[0], reply);
    Ok(Action::Done)
}

const CHANGES: Flags = Flags::ADMIN.or(Flags::NOSCRIPT);
const TELLS: Flags = Flags::ADMIN.or(Flags::STALE);

/// A row of this family.
const SUB: Command = Command {
    since: "8.10.0",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: CHANGES,
    cost: "O(1)",
    spread: Spread::AnyCore,
    ..ROW
};

/// The rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "BACKUP",
    arity: Arity::AtLeast(2),
    flags: Flags::NONE,
    summary: "Makes a copy of all keys that can be taken away while the server runs.",
    cost: "Depends on the subcommand.",
    sub: &[
        Command {
            name: "START",
            summary: "Begins a backup in the folder that `backupdirname` names.",
            run: Run::Session(start),
            ..SUB
        },
        Command {
            name: "SEAL",
            // Its reply waits for a moment of all shards, for which the block's own locks would be in the way.
            flags: CHANGES.or(Flags::NO_MULTI),
            summary: "Ends the backup with what has been written up to now.",
            cost: "O(N) where N is what was written since the backup began, on a thread of its own",
            run: Run::Session(seal),
            ..SUB
        },
        Command {
            name: "LIST",
            flags: TELLS,
            summary: "The paths of the backup's files that change no more.",
            run: Run::Session(list),
            ..SUB
        },
        Command {
            name: "STATUS",
            flags: TELLS,
            summary: "What has become of the backup.",
            run: Run::Session(status),
            ..SUB
        },
        Command {
            name: "ABORT",
            summary: "Gives up a backup that is not sealed.",
            run: Run::Session(abort),
            ..SUB
        },
        Command {
            name: "CLEANUP",
            summary: "Removes the files of a backup that is sealed or has failed.",
            run: Run::Session(cleanup),
            ..SUB
        },
        Command {
            name: "HELP",
            flags: Flags::LOADING.or(Flags::STALE),
            summary: "This help.",
            run: Run::Session(help),
            ..SUB
        },
    ],
    run: Run::Container,
    ..SUB
}];
