//! Programs: what a command over several shards does, phase by phase.
//!
//! | spread | program | phases |
//! |---|---|---|
//! | Split | `split.rs` | each shard's words, replies merged |
//! | EveryShard | `split.rs` | the same words everywhere, replies merged |
//! | Gather RENAME, RENAMENX, COPY | `handover.rs` | look; take or copy; put |
//! | Gather MSETNX, MSETEX | `conditional.rs` | which exist; write all or none |
//! | Gather MIGRATE | `migrate.rs` | read; an errand to another server; remove |
//! | Gather SORT | `sort.rs` | look; lock what it leads to; bring; sort |
//! | Gather SMOVE | `set_move.rs` | look at both; remove; add |
//! | Gather LCS | `lcs.rs` | read both; compare |
//! | Gather LMOVE, RPOPLPUSH, LMOVEM | `list_move.rs` | look at both; pop and push |
//! | Gather XREAD, XREADGROUP | `read_streams.rs` | XREADGROUP: are groups there; read each part, join |
//! | Cursor (SCAN) | `walk.rs` | one shard after the other while there is room in the reply |
//! | Gather RANDOMKEY | `random_key.rs` | how many everywhere; one from one shard |
//! | Gather LMPOP, ZMPOP and what waits like them | `first_existing.rs` | which exist; run with the first that does |
//! | snapshots | `cut.rs` | every shard cuts |
//! | MULTI blocks | `block.rs` | what is watched; each command as it would run alone, under the locks of all |
//! | scripts | `script.rs` | what it calls, one after the other; locks on what it had not declared |
//! | any of these that may wait | `wait.rs` | its own phases; enter waiters where its keys are |
//! | Gather of what reads several keys (SINTER, BITOP …) | `bring.rs` | copies of the others' values; run at one shard |
//!
//! Promises  a program sees only outputs, in order of shards; between its phases the locks stay, except where it says
//!           that a shard's part is over. That is early only after every lock was granted, so isolation holds.
//! Not here  locks, retries and messages: `router/transaction.rs`.

pub mod block;
mod bring;
mod conditional;
pub(super) mod cut;
mod first_existing;
mod handover;
mod lcs;
mod list_move;
mod made;
mod migrate;
mod random_key;
mod read_streams;
pub mod script;
mod set_move;
mod sort;
mod split;
mod under_locks;
mod wait;
mod walk;
mod wanted;

use std::ops::Range;

use super::calls::{CountedCall, Queued};
use super::errand::Errand;
use super::keys::for_each_lock;
use super::wait::WaitRequest;
use super::{KeyLock, LockMode, LockSet, Operation, Output, ShardId, TxId};
use crate::base::hash::KeyHasher;
use crate::commands::acl::check::Refusal;
use crate::commands::blocking::plain_form;
use crate::commands::migrate::Migration;
use crate::commands::table::{Caller, Program as Named, Spread};
use crate::commands::{CommandError, Entry, Flags, for_each_key};
use crate::keyspace::SlotMap;
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Protocol, Reply};
use list_move::OnBehalf;
use script::ScriptStep;

/// The phases of one command; made anew for each command.
pub trait Program: Send {
    /// What each locked shard is to read as soon as its locks are granted, in place of the phase that `begin` would
    /// give: for all of them, or none. Asked again for every try. The outputs go to `next` when all are there.
    fn reads(&self) -> Vec<(ShardId, Operation)> {
        Vec::new()
    }

    /// The first phase, when every lock is granted. `tx` is there to be random by.
    fn begin(&mut self, tx: TxId) -> Next;

    /// Whether it is nothing but its reads on one shard: then they may write, too.
    fn is_whole(&self) -> bool {
        false
    }

    /// All of it, where that is one step on each of its shards and none of them needs what another gives: what each does,
    /// in order of shards. Asked again for every try; the outputs go to `next` when all are there.
    fn only_phase(&self) -> Option<Vec<(ShardId, Operation)>> {
        None
    }

    /// What the first shard of an only phase is to read before the others do their part.
    fn look_at(&self, _shard: ShardId) -> Option<Operation> {
        None
    }

    /// Whether this output of an only phase, or of a look before it, says that nothing is to be done: then it goes to
    /// `next` alone.
    fn is_refusal(&self, _output: &Output) -> bool {
        false
    }

    /// What it has asked to seize is not to be had: this is the reply to whatever wanted it.
    fn refuse(&mut self, _reply: Vec<u8>) -> Next {
        unexpected()
    }

    /// See [`super::Transaction::take_calls`].
    fn take_calls(&mut self) -> Vec<CountedCall> {
        Vec::new()
    }

    /// See [`super::Transaction::position`].
    fn position(&self) -> usize {
        0
    }

    /// See [`super::Transaction::take_refusals`].
    fn take_refusals(&mut self) -> Vec<Refusal> {
        Vec::new()
    }

    /// What follows a phase; `outputs` are those of all its operations, in order of shards.
    fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Next;
}

/// What a program wants next.
pub enum Next {
    /// These operations, at least one; `true` where it is the last on that shard, whose locks go with it.
    Phase(Vec<(ShardId, Operation, bool)>),
    /// Other locks, under a new id; then `begin` again.
    Lock(Vec<(ShardId, LockSet)>),
    /// The reply; what is still locked is released.
    Done(Vec<u8>),
    /// Something outside of the shards; its [`Output::Report`] goes to `next`. The locks stay meanwhile.
    Errand(Box<Errand>),
    /// More locks on top of what is held; an [`Output::Count`] for each shard goes to `next`, 1 if the whole of it is locked.
    Seize(Locks),
    /// The same on one shard, where this is run if they are had at once: its output goes to `next` as well, in the same step.
    SeizeAndRun(ShardId, LockSet, Operation),
    /// A script is to be started or to go on; its [`Output::Called`] or [`Output::Returned`] goes to `next`. The locks stay.
    Script(Box<ScriptStep>),
    /// A command that concerns the connection; its [`Output::Session`] goes to `next`. The locks stay meanwhile.
    Session(Queued),
    /// No reply yet: the client waits on these shards, whose waiters are entered; what is locked is released.
    Wait {
        /// Where its waiters are.
        shards: Vec<ShardId>,
        /// How long, in milliseconds; none: for ever.
        timeout_ms: Option<u64>,
    },
}

/// The locks, by shard, that a command takes before its first phase.
pub type Locks = Vec<(ShardId, LockSet)>;

/// A request on its way to becoming a program.
struct Job {
    entry: &'static Entry,
    db: u16,
    caller: Caller,
    words: OwnedArgs,
    map: SlotMap,
}

impl Job {
    fn args(&self) -> Args<'_> {
        self.words.as_args()
    }

    /// The same command with other words.
    fn command(&self, args: OwnedArgs) -> Operation {
        Operation::Command {
            entry: self.entry,
            db: self.db,
            caller: self.caller,
            args,
        }
    }

    /// The shard of each key, with the word it is.
    fn keys(&self) -> Vec<(ShardId, usize)> {
        let args = self.args();
        let mut keys = Vec::new();
        for_each_key(self.entry, &args, |index| {
            keys.push((self.map.shard_of(args.get(index)), index));
        });
        keys
    }

    /// The words from `first` on in groups of `step`, by the shard of each group's first word; shards in order.
    fn parts(&self, words: Range<usize>, step: usize) -> Vec<Part> {
        let args = self.args();
        let mut parts: Vec<Part> = Vec::new();
        for (place, word) in words.step_by(step).enumerate() {
            let shard = self.map.shard_of(args.get(word));
            part_of(&mut parts, shard).push(place);
        }
        parts.sort_unstable_by_key(|(shard, _)| *shard);
        parts
    }
}

/// A shard's share of a request: which of its keys, counted from 0, are there.
type Part = (ShardId, Vec<usize>);

/// The locks and the program of a request.
pub(super) fn program(
    entry: &'static Entry,
    db: u16,
    caller: Caller,
    args: OwnedArgs,
    map: SlotMap,
    hasher: &KeyHasher,
) -> Result<(Locks, Box<dyn Program>), CommandError> {
    if entry.command.spread == Spread::Gather(Named::RandomKey) {
        let program = random_key::RandomKey::new(entry, db, caller, map, hasher);
        return Ok((Vec::new(), Box::new(program)));
    }
    let locks = match entry.command.spread {
        Spread::EveryShard(_) => locks_on_every_shard(map, mode_of_whole(entry)),
        // The last KEYS begins its keys for COMMAND; for the command itself the first does.
        Spread::Gather(Named::Migrate) => {
            let keys = Migration::parse(&args.as_args())?.keys;
            locks_on_words(&args.as_args(), keys, map, hasher)
        }
        _ => locks_on_keys(entry, &args.as_args(), map, hasher),
    };
    // What a command reads in order to write is not tracked.
    let tracks = caller.tracks && entry.command.flags.has(Flags::READONLY);
    let job = Job {
        entry,
        db,
        caller: Caller { tracks, ..caller },
        words: args,
        map,
    };
    if entry.command.spread == Spread::Cursor {
        let walk = walk::Walk::new(job)?;
        return Ok((walk.locks(), Box::new(walk)));
    }
    let program: Box<dyn Program> = match entry.command.spread {
        Spread::EveryShard(merge) => Box::new(split::Split::everywhere(job, merge)),
        Spread::Split(merge) => Box::new(split::Split::by_key(job, merge)?),
        Spread::Gather(Named::Rename) => Box::new(handover::Rename::new(&job)),
        Spread::Gather(Named::RenameNx) => Box::new(handover::RenameNx::new(&job)),
        Spread::Gather(Named::Copy) => match handover::Copy::new(&job) {
            Ok(copy) => Box::new(copy),
            Err(_) => Box::new(handover::WrongCopy::new(&job)),
        },
        Spread::Gather(Named::Bring) => Box::new(bring::Bring::new(job)),
        Spread::Gather(Named::FirstExisting) => {
            Box::new(first_existing::FirstExisting::new(job, None))
        }
        Spread::Gather(Named::ListMove) => Box::new(list_move::Move::new(job, OnBehalf::Itself)),
        Spread::Gather(Named::ReadStreams) => Box::new(read_streams::ReadStreams::new(job)?),
        Spread::Gather(Named::SetMove) => Box::new(set_move::SetMove::new(job)),
        Spread::Gather(Named::Lcs) => Box::new(lcs::Lcs::new(job)),
        Spread::Gather(Named::Sort) => Box::new(sort::Sort::new(job, hasher, &locks)),
        Spread::Gather(Named::Migrate) => Box::new(migrate::Migrate::new(job)?),
        Spread::Gather(Named::MsetNx) => Box::new(conditional::Conditional::msetnx(job)?),
        Spread::Gather(Named::MsetEx) => Box::new(conditional::Conditional::msetex(job)?),
        // Their keys are on one shard by nature, so `plan` never says Many; the others are done above.
        Spread::Gather(Named::RandomKey) | Spread::AnyCore | Spread::Home | Spread::Cursor => {
            return Err("ERR command cannot run on several shards".into());
        }
    };
    Ok((locks, program))
}

/// The locks and the program of what a coordinator looks for that is asked on behalf of a client that waits, under this id.
pub(super) fn asked_program(
    entry: &'static Entry,
    (db, caller): (u16, Caller),
    args: OwnedArgs,
    waiter: u64,
    map: SlotMap,
    hasher: &KeyHasher,
) -> Result<(Locks, Box<dyn Program>), CommandError> {
    let named = match entry.command.spread {
        Spread::Gather(named @ (Named::FirstExisting | Named::ListMove | Named::ReadStreams)) => {
            named
        }
        _ => return program(entry, db, caller, args, map, hasher),
    };
    let locks = locks_on_keys(entry, &args.as_args(), map, hasher);
    let job = Job {
        entry,
        db,
        caller: Caller {
            tracks: caller.tracks && entry.command.flags.has(Flags::READONLY),
            ..caller
        },
        words: args,
        map,
    };
    let program: Box<dyn Program> = match named {
        Named::ListMove => Box::new(list_move::Move::new(job, OnBehalf::HasWaited(waiter))),
        Named::ReadStreams => Box::new(read_streams::ReadStreams::on_behalf(job, waiter)?),
        _ => Box::new(first_existing::FirstExisting::new(job, Some(waiter))),
    };
    Ok((locks, program))
}

/// The locks and the program of a request that may wait.
pub(super) fn waiting_program(
    request: WaitRequest,
    map: SlotMap,
    hasher: &KeyHasher,
) -> Result<(Locks, Box<dyn Program>), CommandError> {
    let WaitRequest {
        entry,
        db,
        caller,
        args,
        ticket,
        now_ms,
    } = request;
    let locks = locks_on_keys(entry, &args.as_args(), map, hasher);
    let job = Job {
        entry,
        db,
        caller,
        words: args.clone(),
        map,
    };
    if locks.len() < 2 {
        return Ok((locks, Box::new(wait::AtHome::new(job, ticket))));
    }
    let form = plain_form(entry, &job.args(), now_ms)?;
    let (inner, asks) = match form {
        Some(form) => {
            let job = Job {
                entry: form.entry,
                db,
                caller,
                words: form.words,
                map,
            };
            let inner: Box<dyn Program> = Box::new(list_move::Move::new(job, OnBehalf::MayWait));
            (inner, Some(form.timeout_ms))
        }
        None => (program(entry, db, caller, args, map, hasher)?.1, None),
    };
    Ok((locks, Box::new(wait::Wait::new(job, inner, ticket, asks))))
}

fn mode_of_whole(entry: &Entry) -> LockMode {
    if entry.command.flags.has(Flags::READONLY) {
        LockMode::Shared
    } else {
        LockMode::Exclusive
    }
}

fn locks_on_every_shard(map: SlotMap, mode: LockMode) -> Locks {
    (0..map.shards_count())
        .map(|shard| (shard, LockSet::of_shard(0, mode)))
        .collect()
}

fn locks_on_words(args: &Args<'_>, words: Range<usize>, map: SlotMap, hasher: &KeyHasher) -> Locks {
    let mut by_shard: Vec<(ShardId, Vec<KeyLock>)> = Vec::new();
    for key in words.map(|word| args.get(word)) {
        let lock = KeyLock {
            hash: hasher.hash(key),
            mode: LockMode::Exclusive,
        };
        part_of(&mut by_shard, map.shard_of(key)).push(lock);
    }
    lock_sets(by_shard)
}

fn lock_sets(mut by_shard: Vec<(ShardId, Vec<KeyLock>)>) -> Locks {
    by_shard.sort_by_key(|(shard, _)| *shard);
    by_shard
        .into_iter()
        .map(|(shard, keys)| (shard, LockSet::of_keys(0, keys)))
        .collect()
}

fn locks_on_keys(
    entry: &'static Entry,
    args: &Args<'_>,
    map: SlotMap,
    hasher: &KeyHasher,
) -> Locks {
    let mut by_shard: Vec<(ShardId, Vec<KeyLock>)> = Vec::new();
    for_each_lock(entry, args, |index, mode| {
        let key = args.get(index);
        let lock = KeyLock {
            hash: hasher.hash(key),
            mode,
        };
        part_of(&mut by_shard, map.shard_of(key)).push(lock);
    });
    lock_sets(by_shard)
}

/// The part of `shard`, made if it is the first for it. Few shards are involved in one command: a list will do.
fn part_of<T: Default>(parts: &mut Vec<(ShardId, T)>, shard: ShardId) -> &mut T {
    let index = match parts.iter().position(|(of, _)| *of == shard) {
        Some(index) => index,
        None => {
            parts.push((shard, T::default()));
            parts.len() - 1
        }
    };
    &mut parts[index].1
}

/// An error line.
fn error_reply(error: &CommandError) -> Vec<u8> {
    let mut line = Vec::new();
    Reply::new(&mut line, Protocol::Resp2).error_bytes(&error.line());
    line
}

/// An integer reply.
fn integer_reply(number: u64) -> Vec<u8> {
    format!(":{number}\r\n").into_bytes()
}

/// What a client sees when a shard gave what this program cannot use. A bug, never the client's doing.
fn unexpected() -> Next {
    debug_assert!(
        false,
        "a shard gave another kind of output than was asked for"
    );
    Next::Done(b"-ERR internal error: a shard gave an unexpected output\r\n".to_vec())
}

/// The first error among outputs, as a reply.
fn first_error(outputs: &[(ShardId, Output)]) -> Option<Vec<u8>> {
    outputs.iter().find_map(|(_, output)| match output {
        Output::Error(error) | Output::ErrorAt(_, error) => Some(error_reply(error)),
        Output::Reply(reply) if reply.first() == Some(&b'-') => Some(reply.clone()),
        _ => None,
    })
}

/// Whether an output is an error.
fn is_error(output: &Output) -> bool {
    match output {
        Output::Error(_) | Output::ErrorAt(..) => true,
        Output::Reply(reply) => reply.first() == Some(&b'-'),
        _ => false,
    }
}
