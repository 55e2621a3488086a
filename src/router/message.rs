//! What cores say to each other about transactions.
//!
//! Promises  everything is `Send`; between two cores messages arrive in the order they were sent.
//! Not here  the bytes of single-shard requests and their replies: `node/mesh.rs` carries them in batches.

use std::sync::Arc;

use super::packed::Step;
use super::wait::WaitTicket;
use super::watch::Watch;
use super::{Origin, ShardId, TxId};
use crate::commands::Flags;
use crate::commands::acl::User;
use crate::commands::redact::logged_words;
use crate::commands::sort::Lead;
use crate::commands::table::Caller;
use crate::commands::{CommandError, Entry};
use crate::ds::key_table::OwnedValue;
use crate::keyspace::events::Told;
use crate::keyspace::{Moved, Object};
use crate::persist::Holds;
use crate::persist::record::{Part, TransactionRecord};
use crate::resp::Args;
use crate::resp::args::OwnedArgs;

/// From a transaction's coordinator to a shard.
pub enum ToShard {
    /// Take these locks, now or in their turn; answered by [`FromShard::Scheduled`].
    Schedule {
        /// The transaction.
        tx: TxId,
        /// Where its coordinator is.
        core: u16,
        /// What it will touch on this shard.
        locks: LockSet,
        /// What to run as soon as they are granted, answered by [`FromShard::Ran`] in place of the grant: something that
        /// reads. The locks keep it true until they are released, and a try that fails elsewhere has changed nothing.
        read: Option<Operation>,
    },
    /// Run a part of the command; answered by [`FromShard::Ran`].
    Run {
        /// The transaction.
        tx: TxId,
        /// Where its coordinator is.
        core: u16,
        /// What to do.
        operation: Operation,
        /// Release the transaction's locks on this shard afterwards.
        last: bool,
    },
    /// A transaction that is one operation on one shard: run it once it has its locks, answered by [`FromShard::Ran`], or,
    /// where it came out of order, by [`FromShard::Scheduled`]. Nothing of it stays behind.
    RunWhole {
        /// The transaction.
        tx: TxId,
        /// Where its coordinator is.
        core: u16,
        /// What it will touch; not taken where no lock is held.
        locks: LockSet,
        /// What to do.
        operation: Operation,
    },
    /// What a transaction does here, all of it, once it has its locks, which go with it: the last ones that it waits for.
    /// Answered as [`ToShard::RunWhole`] is; what it does is logged with the rest of the transaction.
    RunLast {
        /// The transaction.
        tx: TxId,
        /// Where its coordinator is.
        core: u16,
        /// What it will touch; not taken where no lock is held.
        locks: LockSet,
        /// What to do.
        operation: Operation,
    },
    /// Give back [`ToShard::RunLast`] unless it has run; answered as if it had come out of order, if it has not.
    Recall {
        /// The transaction.
        tx: TxId,
    },
    /// Take these locks on top of what the transaction has, whoever else wants them; answered by [`FromShard::Seized`]. At
    /// most one transaction in the process does this where others may be in its way (`router/token.rs`).
    Seize {
        /// The transaction.
        tx: TxId,
        /// Where its coordinator is.
        core: u16,
        /// What it wants.
        locks: LockSet,
        /// What to run if they are granted at once; answered by [`FromShard::Ran`] behind the grant. Where they come later
        /// it is not run.
        then: Option<Operation>,
    },
    /// The transaction wants no more what it has asked to seize. Answered by [`FromShard::Withdrawn`], after the answer to
    /// [`ToShard::Seize`] if it was seized meanwhile: then it keeps it.
    Withdraw {
        /// The transaction.
        tx: TxId,
        /// Where its coordinator is.
        core: u16,
    },
    /// Give up the transaction unless it has run: it is [`ToShard::RunWhole`] or [`ToShard::RunLast`], and has waited for a
    /// script that runs for long. Answered by [`FromShard::TurnedAway`] if it has not run.
    TurnAway {
        /// The transaction.
        tx: TxId,
        /// The script is a function.
        is_function: bool,
    },
    /// Forget the transaction: its locks go, waiting or granted. Unknown ones are ignored.
    Release {
        /// The transaction.
        tx: TxId,
    },
    /// Nobody wants the rest of a reply that comes in pieces.
    EndRead {
        /// As [`FromShard::Part`] names it.
        reading: u64,
    },
    /// A piece of a reply was taken: one more may be made. Unknown ones are ignored.
    ReadOn {
        /// As [`FromShard::Part`] names it.
        reading: u64,
    },
    /// A client waits no more; unknown ones are ignored.
    Forget {
        /// Its ticket's id.
        id: u64,
    },
    /// Nobody wants to know any more whether this watch was touched.
    Unwatch {
        /// The watch.
        id: u64,
    },
    /// A client whose coordinator was asked ([`FromShard::Ask`]) goes on waiting.
    Rest {
        /// Its ticket's id.
        id: u64,
    },
}

/// From a shard to a core.
pub enum FromShard {
    /// Calls of a transaction that took long; stands before the answer of the step they were part of.
    Slow {
        /// The transaction.
        tx: TxId,
        /// The calls.
        calls: Vec<SlowCall>,
    },
    /// Answer to [`ToShard::Schedule`], unless the grant comes with what was read.
    Scheduled {
        /// The transaction.
        tx: TxId,
        /// Who answers.
        shard: ShardId,
        /// `false`: it came after a conflicting transaction with a higher place was granted. Nothing of it stays
        /// behind here; try again with a new id.
        granted: bool,
    },
    /// Answer to [`ToShard::Seize`].
    Seized {
        /// The transaction.
        tx: TxId,
        /// Who answers.
        shard: ShardId,
        /// The whole shard is its own by now.
        whole: bool,
        /// What was to be run has been: its outcome follows.
        ran: bool,
    },
    /// Answer to [`ToShard::Withdraw`].
    Withdrawn {
        /// The transaction.
        tx: TxId,
        /// Who answers.
        shard: ShardId,
    },
    /// A transaction that cannot be undone needs what this one has been granted: unless it has everything that it waits
    /// for, it lets go and tries again.
    Wounded {
        /// Who is in the way.
        tx: TxId,
    },
    /// It waits for what a script holds that has run for long: it may give up. Said once.
    Busy {
        /// The transaction.
        tx: TxId,
        /// The script is a function.
        is_function: bool,
    },
    /// Answer to [`ToShard::TurnAway`]: nothing of it stays behind.
    TurnedAway {
        /// The transaction.
        tx: TxId,
        /// The script is a function.
        is_function: bool,
    },
    /// Answer to [`ToShard::Run`], and to [`ToShard::Schedule`] with something to read.
    Ran {
        /// The transaction.
        tx: TxId,
        /// Who answers.
        shard: ShardId,
        /// What came out.
        output: Output,
        /// What of it concerns the log, where there is one.
        trace: Option<Box<Trace>>,
    },
    /// The reply of a single-shard request that had waited for a lock.
    Late {
        /// Who waits for it.
        origin: Origin,
        /// The encoded reply.
        reply: Vec<u8>,
        /// What must be durable before it leaves.
        holds: Holds,
    },
    /// The next piece of a very long reply of a single-shard request.
    Part {
        /// Names the reply on its shard.
        reading: u64,
        /// Who makes it.
        shard: ShardId,
        /// Who waits for it.
        origin: Origin,
        /// What follows what has come.
        bytes: Vec<u8>,
        /// How long the reply is with them.
        bytes_so_far: u64,
        /// How long it is at least when it is whole.
        bytes_min: u64,
        /// It is whole with them.
        is_last: bool,
        /// What must be durable before it leaves.
        holds: Holds,
        /// With the last: the call, where it is worth a note.
        slow: Option<Box<SlowCall>>,
    },
    /// A client that waited has its reply.
    Served {
        /// Its ticket's id.
        id: u64,
        /// The encoded reply, errors included.
        reply: Vec<u8>,
        /// What must be durable before it leaves.
        holds: Holds,
        /// Nanoseconds its command took, without the wait.
        took_ns: u64,
    },
    /// There may be something for a client that needs two shards; its claim is taken. Answered by [`ToShard::Forget`] or
    /// [`ToShard::Rest`].
    Ask {
        /// Its ticket's id.
        id: u64,
        /// The shard that asks, which keeps the claim until it is told.
        shard: ShardId,
    },
    /// To the core of a shard whose keys are worth less: it had better evict some. How much is in the ledger.
    NeedsMemory,
}

impl FromShard {
    /// The transaction that it concerns.
    pub fn tx(&self) -> Option<TxId> {
        match self {
            Self::Slow { tx, .. }
            | Self::Scheduled { tx, .. }
            | Self::Seized { tx, .. }
            | Self::Withdrawn { tx, .. }
            | Self::Wounded { tx }
            | Self::Busy { tx, .. }
            | Self::TurnedAway { tx, .. }
            | Self::Ran { tx, .. } => Some(*tx),
            Self::Late { .. }
            | Self::Part { .. }
            | Self::Served { .. }
            | Self::Ask { .. }
            | Self::NeedsMemory => None,
        }
    }
}

/// What a step of a transaction means for the log.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// What it did, which is not logged yet. The shard has kept the transaction's locks: it is to be told with
    /// [`Operation::Log`].
    pub part: Option<Part>,
    /// How far the shard's log had got.
    pub lsn: u64,
    /// What else must be durable before anything leaves that it has seen.
    pub holds: Holds,
}

/// How a lock is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// With other readers.
    Shared,
    /// With nobody.
    Exclusive,
}

/// One key's lock. The database is left out on purpose: MOVE and COPY … DB touch one name in two databases, and two
/// clients that meet on one name in different databases merely wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLock {
    /// The process-wide keyed hash of the key. A collision costs a wait, nothing else.
    pub hash: u64,
    /// How it is taken.
    pub mode: LockMode,
}

/// What one transaction locks on one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockSet {
    /// Its place in the order of all transactions, before the id decides: the id itself on the first try, a place in
    /// the near future on later ones, so that a stream of younger transactions cannot keep it out for ever.
    pub order: u64,
    /// Where the transaction's coordinator is.
    pub core: u16,
    /// The keys, sorted by hash, none twice.
    pub keys: Vec<KeyLock>,
    /// The whole shard, in place of keys.
    pub whole: Option<LockMode>,
}

impl LockSet {
    /// Locks on keys, in any order; a key named twice is locked once, exclusively if one of them is.
    pub fn of_keys(order: u64, mut keys: Vec<KeyLock>) -> Self {
        keys.sort_unstable_by_key(|key| (key.hash, key.mode == LockMode::Shared));
        keys.dedup_by_key(|key| key.hash); // the exclusive one sorts first and stays
        Self {
            order,
            core: 0,
            keys,
            whole: None,
        }
    }

    /// A lock on every key the shard has or may get.
    pub fn of_shard(order: u64, mode: LockMode) -> Self {
        Self {
            order,
            core: 0,
            keys: Vec::new(),
            whole: Some(mode),
        }
    }
}

/// One step of a transaction on one shard.
pub enum Operation {
    /// A whole command on this shard's part of its words; gives [`Output::Reply`].
    Command {
        /// What to run.
        entry: &'static Entry,
        /// The selected database.
        db: u16,
        /// Who asked.
        caller: Caller,
        /// The words, the name included.
        args: OwnedArgs,
    },
    /// As `Command`, for a client that has waited and whose claim is taken: unless the reply is nothing, its wait is over.
    Serve {
        /// For whom.
        waiter: u64,
        /// What to run.
        entry: &'static Entry,
        /// The selected database.
        db: u16,
        /// Who asked.
        caller: Caller,
        /// The words, the name included.
        args: OwnedArgs,
    },
    /// Removes a key and hands its value over; gives [`Output::Value`].
    Take {
        /// Its database.
        db: u16,
        /// The key.
        key: Vec<u8>,
        /// Who asked.
        caller: Caller,
    },
    /// Copies a key's value, deadline included; gives [`Output::Value`].
    Clone {
        /// Its database.
        db: u16,
        /// The key.
        key: Vec<u8>,
    },
    /// Copies the values of several keys for a request on another shard; gives [`Output::Values`]. Nothing is counted or
    /// touched.
    Lend {
        /// Their database.
        db: u16,
        /// Who asked.
        caller: Caller,
        /// The keys.
        keys: OwnedArgs,
        /// Where the values take more, it gives [`Output::Heavy`] instead.
        bytes_max: Option<usize>,
    },
    /// A whole command whose keys of other shards are at hand as guests; gives [`Output::Reply`].
    Visit {
        /// What to run.
        entry: &'static Entry,
        /// The selected database.
        db: u16,
        /// Who asked.
        caller: Caller,
        /// All words, the name included.
        args: OwnedArgs,
        /// What the other shards lent.
        guests: Vec<(Vec<u8>, Moved)>,
    },
    /// A whole command, as with `Visit`, that stores under another shard's key: nothing of that is done here; gives
    /// [`Output::Made`].
    Make {
        /// What to run.
        entry: &'static Entry,
        /// The selected database.
        db: u16,
        /// Who asked.
        caller: Caller,
        /// All words, the name included.
        args: OwnedArgs,
        /// What the other shards lent.
        guests: Vec<(Vec<u8>, Moved)>,
        /// Where it stores.
        destination: Vec<u8>,
    },
    /// Stores what another shard made, in place of what the key held; gives [`Output::Count`].
    Keep {
        /// Where it goes.
        db: u16,
        /// The key.
        key: Vec<u8>,
        /// What was made.
        value: OwnedValue<Object>,
        /// What has happened to the key once it is stored, in order.
        events: Vec<Told>,
        /// Who asked.
        caller: Caller,
    },
    /// A command that may wait, on this shard's keys; gives [`Output::Reply`], or [`Output::Waiting`] once it is entered
    /// among the shard's waiters.
    Enlist {
        /// What to run.
        entry: &'static Entry,
        /// The selected database.
        db: u16,
        /// Who asked.
        caller: Caller,
        /// The words, with this shard's keys only.
        args: OwnedArgs,
        /// Who will wait.
        ticket: WaitTicket,
        /// Nothing is run: it is entered, and its coordinator asked when a key has something for it.
        asks: bool,
        /// The client waits for keys of other shards as well.
        is_part: bool,
    },
    /// Which of these keys exist; gives [`Output::Which`].
    WhichExist {
        /// Their database.
        db: u16,
        /// The keys.
        keys: OwnedArgs,
        /// For whom, where that is a client that has waited: what those wait for who came before it is not there for it.
        waiter: Option<u64>,
    },
    /// Where the elements that SORT is asked to sort lead; gives [`Output::Leads`].
    SortLeads {
        /// The selected database.
        db: u16,
        /// SORT's words.
        args: OwnedArgs,
        /// It is SORT_RO.
        is_read_only: bool,
    },
    /// As `Lend`, of keys that SORT's patterns lead to, and only what it asks for; gives [`Output::Values`].
    LendParts {
        /// Their database.
        db: u16,
        /// Keys that are lent if they are strings, or one field of them if they are hashes.
        leads: Vec<Lead>,
    },
    /// Begins a snapshot here (`keyspace/cut.rs`); gives [`Output::Count`], the shard's changes so far.
    Cut {
        /// Long strings are compressed where that makes them shorter.
        compresses: bool,
        /// It becomes the log's base: the log goes on, or begins, from here.
        is_base: bool,
    },
    /// Payloads of keys with what is left of their time; gives [`Output::Dumps`].
    Dump {
        /// Their database.
        db: u16,
        /// The keys.
        keys: OwnedArgs,
    },
    /// Stores a value; gives [`Output::Count`], 1 if it was stored, 0 if the key was in the way.
    Put {
        /// Where it goes.
        db: u16,
        /// The key.
        key: Vec<u8>,
        /// The value and its deadline.
        value: Moved,
        /// Whether a key that exists is replaced.
        replace: bool,
        /// What has happened once it is stored, in order; the first may be to a key of another shard.
        events: Vec<(&'static str, Vec<u8>)>,
        /// Who asked.
        caller: Caller,
    },
    /// Counts which of these keys exist, one named twice counting twice; gives [`Output::Count`].
    Exists {
        /// Their database.
        db: u16,
        /// The keys.
        keys: OwnedArgs,
    },
    /// Reads a string; gives [`Output::Text`], or an error for another type.
    ReadString {
        /// Its database.
        db: u16,
        /// The key.
        key: Vec<u8>,
        /// Who asked.
        caller: Caller,
    },
    /// Looks whether XREAD or XREADGROUP can read these streams, which changes nothing; gives [`Output::Count`], or
    /// [`Output::ErrorAt`].
    CheckStreams {
        /// Their database.
        db: u16,
        /// Who asked.
        caller: Caller,
        /// Whether it is XREADGROUP.
        is_group: bool,
        /// Whether that is a look-up, as INFO counts them.
        counts: bool,
        /// The command's words, with this shard's keys.
        args: OwnedArgs,
    },
    /// Commands of a block, one after the other; gives [`Output::Reply`], their replies joined, or [`Output::Count`] of 1
    /// if a key of the watch has changed and nothing was run.
    Block {
        /// The commands, each with the shard that has all of its keys: those of this one are run.
        commands: Arc<Vec<(ShardId, Queued)>>,
        /// The selected database.
        db: u16,
        /// Who asked.
        caller: Caller,
        /// What it depends on.
        watch: Option<u64>,
    },
    /// Notes keys as watched; gives [`Output::Count`].
    Watch {
        /// The watch.
        watch: Watch,
        /// Their database.
        db: u16,
        /// The keys.
        keys: OwnedArgs,
    },
    /// Whether a key of a watch has changed; gives [`Output::Count`], 1 if one has.
    HasChanged {
        /// The watch.
        id: u64,
    },
    /// Logs a transaction, all of it; gives [`Output::Count`].
    Log {
        /// What all shards did.
        record: Arc<TransactionRecord>,
        /// What it has seen that must be durable before anything leaves that it reveals.
        holds: Holds,
    },
    /// How many keys a database has here; gives [`Output::Count`].
    Length {
        /// The database.
        db: u16,
    },
}

impl Operation {
    /// A command as what serves a client that has waited; anything else as it is.
    pub fn for_waiter(self, waiter: u64) -> Self {
        match self {
            Self::Command {
                entry,
                db,
                caller,
                args,
            } => Self::Serve {
                waiter,
                entry,
                db,
                caller,
                args,
            },
            other => other,
        }
    }

    /// The same once more, for a step that may take many turns; none of one that does not. The guests of the first time will be
    /// at hand.
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::Visit {
                entry,
                db,
                caller,
                args,
                ..
            } => Some(Self::Visit {
                entry,
                db: *db,
                caller: *caller,
                args: args.clone(),
                guests: Vec::new(),
            }),
            Self::Make {
                entry,
                db,
                caller,
                args,
                destination,
                ..
            } => Some(Self::Make {
                entry,
                db: *db,
                caller: *caller,
                args: args.clone(),
                guests: Vec::new(),
                destination: destination.clone(),
            }),
            Self::Clone { db, key } => Some(Self::Clone {
                db: *db,
                key: key.clone(),
            }),
            Self::Lend {
                db,
                caller,
                keys,
                bytes_max: None,
            } => Some(Self::Lend {
                db: *db,
                caller: *caller,
                keys: keys.clone(),
                bytes_max: None,
            }),
            _ => None,
        }
    }

    /// The database it works on.
    pub fn db(&self) -> u16 {
        match self {
            Self::Command { db, .. }
            | Self::Serve { db, .. }
            | Self::Take { db, .. }
            | Self::Clone { db, .. }
            | Self::Lend { db, .. }
            | Self::Visit { db, .. }
            | Self::Make { db, .. }
            | Self::Keep { db, .. }
            | Self::Enlist { db, .. }
            | Self::WhichExist { db, .. }
            | Self::SortLeads { db, .. }
            | Self::LendParts { db, .. }
            | Self::Dump { db, .. }
            | Self::Put { db, .. }
            | Self::Exists { db, .. }
            | Self::ReadString { db, .. }
            | Self::CheckStreams { db, .. }
            | Self::Block { db, .. }
            | Self::Watch { db, .. }
            | Self::Length { db } => *db,
            Self::HasChanged { .. } | Self::Cut { .. } | Self::Log { .. } => 0,
        }
    }

    /// About what it may add to a shard's keys: the words of commands that may grow.
    pub fn incoming_bytes(&self) -> usize {
        match self {
            Self::Command { entry, args, .. }
            | Self::Visit { entry, args, .. }
            | Self::Make { entry, args, .. }
            | Self::Enlist { entry, args, .. }
                if entry.command.flags.has(Flags::DENYOOM) =>
            {
                args.as_args().bytes().len()
            }
            _ => 0,
        }
    }
}

/// A call that took longer, or whose reply is larger, than passes without a note.
#[derive(Clone)]
pub struct SlowCall {
    /// What ran.
    pub entry: &'static Entry,
    /// Nanoseconds it took.
    pub took_ns: u64,
    /// Bytes of its reply.
    pub reply_bytes: u64,
    /// Its words, cut and without secrets.
    pub words: OwnedArgs,
}

impl SlowCall {
    /// Notes a call.
    #[cold]
    pub fn new(entry: &'static Entry, took_ns: u64, reply_bytes: usize, args: &Args<'_>) -> Self {
        Self {
            entry,
            took_ns,
            reply_bytes: reply_bytes as u64,
            words: logged_words(entry, args),
        }
    }
}

/// A command that MULTI has queued; its arity has been checked.
#[derive(Clone)]
pub struct Queued {
    /// What to run.
    pub entry: &'static Entry,
    /// All words, the name included.
    pub args: OwnedArgs,
    /// Its user has lost the right to it: this error stands in the place of its reply.
    pub denied: Option<Box<CommandError>>,
}

impl Queued {
    /// The same, as a shard runs it.
    pub fn step(&self) -> Step<'_> {
        Step {
            entry: self.entry,
            args: self.args.as_args(),
            denied: self.denied.as_deref(),
        }
    }
}

/// A command of a block or a script that ran under its locks, as what is counted of it.
pub struct CountedCall {
    /// What ran.
    pub entry: &'static Entry,
    /// What is to be counted of its error, if it failed.
    pub failure: Option<CallFailure>,
    /// Bytes of its reply.
    pub reply_bytes: usize,
    /// Its words, where it is to be noted by itself and anybody wants that.
    pub words: Option<OwnedArgs>,
}

/// What is to be counted of a command that failed.
#[derive(Debug)]
pub enum CallFailure {
    /// Its error, with this line.
    Line(Vec<u8>),
    /// Only that it failed: the error was counted where it came from, in a command that a script called.
    Counted,
}

/// What an [`Operation`] gives. For a database that does not exist all give [`Output::Error`].
pub enum Output {
    /// An encoded reply, errors included.
    Reply(Vec<u8>),
    /// A value, if the key was there.
    Value(Option<Moved>),
    /// The keys that were there, with their values.
    Values(Vec<(Vec<u8>, Moved)>),
    /// What a command made for a key of another shard.
    Made {
        /// Its reply.
        reply: Vec<u8>,
        /// It went wrong: nothing is to be stored.
        has_failed: bool,
        /// What it stores; none: nothing is left of the key.
        value: Option<OwnedValue<Object>>,
        /// What has happened to the key.
        events: Vec<Told>,
    },
    /// How many bytes their values take, which is more than was asked for.
    Heavy(usize),
    /// Where a SORT leads.
    Leads(Vec<Lead>),
    /// The keys that were there, as payloads.
    Dumps(Vec<Dumped>),
    /// What an errand came to.
    Report(Report),
    /// What a command of a block did that concerns its connection: not a shard's, but its core's output.
    Session {
        /// The encoded reply.
        reply: Vec<u8>,
        /// The database selected from now on.
        db: u16,
        /// How the client is to be answered from now on.
        caller: Caller,
        /// Whose rights it has from now on, where those are not all.
        user: Option<Arc<User>>,
        /// Replies are kept back from now on; this one has been where it was to be.
        is_silent: bool,
    },
    /// A script calls this command.
    Called {
        /// The command; its arity has been checked, and that a script may call it.
        command: Queued,
        /// The database that the script has selected.
        db: u16,
        /// How its reply is to be encoded.
        caller: Caller,
    },
    /// A script has ended.
    Returned {
        /// Its reply.
        reply: Vec<u8>,
        /// That is an error of a command that it called, which has been counted.
        has_counted: bool,
    },
    /// A number.
    Count(u64),
    /// Whether each key is there.
    Which {
        /// For each key.
        exist: Vec<bool>,
        /// Whether one of them has what the waiter waits for, if it is for one.
        has_wanted: bool,
    },
    /// The client waits.
    Waiting {
        /// How long, in milliseconds; none: for ever, or as its coordinator knows.
        timeout_ms: Option<u64>,
    },
    /// A string, if the key was there.
    Text {
        /// Its bytes.
        text: Option<Vec<u8>>,
        /// `proto-max-bulk-len`, which bounds what is made of it.
        bytes_max: u64,
    },
    /// It was refused, and changed nothing.
    Error(CommandError),
    /// The same, because of this one of its keys, counted from 0.
    ErrorAt(usize, CommandError),
}

/// A key on its way to another server.
pub struct Dumped {
    /// The key.
    pub key: Vec<u8>,
    /// Its value's payload, as DUMP gives it.
    pub payload: Vec<u8>,
    /// What is left of its time in milliseconds; 0: it has no deadline.
    pub ttl_ms: i64,
}

/// Requests to another server, which the node carries there.
#[derive(Debug, PartialEq)]
pub struct Errand {
    /// Its name or address.
    pub host: Vec<u8>,
    /// Its port, as text.
    pub port: Vec<u8>,
    /// How long connecting, each write and each read may take.
    pub timeout_ms: u64,
    /// The requests, encoded.
    pub request: Vec<u8>,
    /// How many lines answer them.
    pub replies_count: usize,
}

/// What came of an [`Errand`].
#[derive(Debug, PartialEq)]
pub struct Report {
    /// The lines that came, without their ends.
    pub lines: Vec<Vec<u8>>,
    /// Why they are fewer than were awaited.
    pub failure: Option<Failure>,
}

/// Where an errand failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Failure {
    Connecting,
    Writing,
    Reading,
}
