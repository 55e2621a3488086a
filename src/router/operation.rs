//! One step of a transaction on one shard, and what it gives.
//!
//! Promises  everything is `Send` and owns what it needs: a step may wait on its shard for as long as its locks take.
//! Not here  how a shard carries it out: `shard/operations.rs`; in which messages it comes: `router/message.rs`.

use std::sync::Arc;

use super::ShardId;
use super::calls::Queued;
use super::errand::{Dumped, Report};
use super::wait::WaitTicket;
use super::watch::Watch;
use crate::commands::acl::User;
use crate::commands::sort::Lead;
use crate::commands::table::Caller;
use crate::commands::{CommandError, Entry, Flags};
use crate::ds::key_table::OwnedValue;
use crate::keyspace::events::Told;
use crate::keyspace::{Moved, Object};
use crate::persist::Holds;
use crate::persist::record::TransactionRecord;
use crate::resp::args::OwnedArgs;

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
    /// This, at the time at which an earlier step of the transaction has looked at the same keys: what it found is there.
    AsOf {
        /// Milliseconds since the epoch.
        now_ms: i64,
        /// What to do.
        operation: Box<Operation>,
    },
    /// Takes away a waiter that has entered, under the same locks, although it does not wait; gives [`Output::Count`].
    Leave {
        /// Whose.
        id: u64,
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
        /// Who asked.
        caller: Caller,
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
    /// Looks whether XREAD or XREADGROUP can read these streams, which changes nothing; gives [`Output::Streams`], or
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
        /// For whom, where that is a client that has waited: the words with which it began to wait here count.
        waiter: Option<u64>,
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

    /// The time at which it is to be done, if that is not now; and what to do.
    pub fn with_time(self) -> (Option<i64>, Self) {
        match self {
            Self::AsOf { now_ms, operation } => (Some(now_ms), *operation),
            operation => (None, operation),
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
            Self::Clone { db, key, caller } => Some(Self::Clone {
                db: *db,
                key: key.clone(),
                caller: *caller,
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
            Self::AsOf { operation, .. } => operation.db(),
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
            Self::Leave { .. } | Self::HasChanged { .. } | Self::Cut { .. } | Self::Log { .. } => 0,
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
            Self::AsOf { operation, .. } => operation.incoming_bytes(),
            _ => 0,
        }
    }
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
    /// Streams can be read.
    Streams {
        /// When that was, in milliseconds since the epoch.
        now_ms: i64,
        /// After what, each, as the words say that were looked at; none where the waiter has gone whose they were to be.
        ids: Option<OwnedArgs>,
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
