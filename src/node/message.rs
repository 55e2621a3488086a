//! What cores say to each other besides plain requests.

use std::fs::File;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use super::acl::UserChange;
use super::clients::ClientRow;
use super::connection::Connection;
use super::figures::{CoreFigures, Wanted};
use super::filing::Filing;
use super::hot_keys::HotKeysStep;
use super::mesh::{Batch, Item};
use super::options::Options;
use super::outgoing::Outgoing;
use super::post::Post;
use super::rewrite::NewLog;
use super::ring::Token;
use super::search::Sought;
use super::stopping::Wish;
use super::tracking::{Changed, Notice};
use super::waiting::End;
use crate::base::shared_bytes::SharedBytes;
use crate::commands::acl::Users;
use crate::commands::acl::log::{AclLog, Denial};
use crate::commands::session::{BackupRequest, SaveRequest};
use crate::keyspace::Tracker;
use crate::persist::Holds;
use crate::resp::Span;
use crate::resp::args::OwnedArgs;
use crate::router::calls::SlowCall;
use crate::router::{FromShard, ToShard, TxId};
use crate::shard::key_costs::KeyCostsTold;

/// One message; most are rare, the two of transactions are not.
pub enum Message {
    /// A connection arrives: just accepted, or moved.
    Adopt(Box<Connection>),
    /// A transaction's step for this core's shard.
    ToShard(ToShard),
    /// A shard's answer to a transaction (or a reply that had waited for a lock) for this core.
    FromShard {
        /// What it answers.
        event: FromShard,
        /// When that had been run: see [`Batch::ran_at`](super::mesh::Batch::ran_at). 0: not told, as of a script, whose own
        /// messages come after its reply.
        ran_at: u64,
    },
    /// A script of one of this core's connections was denied something.
    Denied {
        /// Whose it was.
        token: Token,
        /// What it was denied.
        denial: Box<Denial>,
    },
    /// A script too large for the requests of a batch; its reply comes as [`FromShard::Late`].
    Script {
        /// Everything but the words.
        item: Item,
        /// All words.
        args: OwnedArgs,
    },
    /// The token is this core's, for this transaction.
    Token {
        /// The transaction.
        tx: TxId,
    },
    /// A request so large that its bytes are handed over instead of copied.
    Large {
        /// Everything but the bytes.
        item: Item,
        /// The request.
        bytes: SharedBytes,
        /// Its words.
        spans: Vec<Span>,
    },
    /// Its reply.
    LargeReply {
        /// The waiting connection's index.
        connection: u32,
        /// Its tenant number.
        generation: u32,
        /// The request's number.
        sequence: u64,
        /// The reply.
        reply: Outgoing,
        /// What must be durable before it leaves.
        holds: Holds,
        /// The call, if it took long.
        slow: Option<Box<SlowCall>>,
        /// When that had been run: see [`Batch::ran_at`](super::mesh::Batch::ran_at).
        ran_at: u64,
    },
    /// Requests of a batch that have been served, and their replies: the rest of it goes home later.
    Replies(Box<Batch>),
    /// A call of that connection of this core took long; stands before its reply.
    Slow {
        /// The connection.
        token: Token,
        /// The call.
        call: Box<SlowCall>,
    },
    /// A log has got on: replies that waited for it may leave.
    Durable,
    /// There are lines for this core's monitors.
    MonitorLines,
    /// A script has run for long, libraries and scripts are no longer about to change, or messages have been told: nothing but
    /// the turn that it makes.
    Wake,
    /// Clients take more than all may, and the largest of them is here.
    ClientsAreTooLarge,
    /// A Pub/Sub message for this core's subscribers.
    Post {
        /// Names it on its core; none: nobody there waits until it has arrived.
        id: Option<u64>,
        /// The message.
        post: Arc<Post>,
        /// A connection there that is to have nothing of it: it has said it, and has had it.
        has_had: Option<Token>,
    },
    /// What a client there is saying in a script here, which it has before all others: where it stands among its replies.
    OwnPost {
        /// The client.
        token: Token,
        /// The message.
        post: Arc<Post>,
    },
    /// All of them have it in their outputs.
    Posted {
        /// The message's name.
        id: u64,
        /// How often it was received.
        receivers_count: u64,
    },
    /// Clients of this core are to forget what they have read.
    Invalidate(Vec<Notice>),
    /// Keys that have changed, some of which clients of this core want to know of by a prefix.
    Changed(Vec<Changed>),
    /// An invalidation for a client of this core, which another redirects to it.
    Redirected {
        /// Its CLIENT ID.
        id: u64,
        /// The keys, encoded.
        body: Arc<[u8]>,
        /// Whose they are.
        source: Tracker,
        /// They were evicted, or their deadlines passed.
        is_by_itself: bool,
    },
    /// The client that a client of this core redirects to is gone.
    TargetGone {
        /// The client of this core.
        number: NonZeroU32,
    },
    /// A question one core asks others; every one is answered.
    Ask {
        /// Names the question on its core.
        id: u64,
        /// What is asked.
        question: Box<Question>,
    },
    /// The answer.
    Answer {
        /// The question's name.
        id: u64,
        /// What it found.
        answer: Answer,
    },
}

/// What a core may ask of others.
#[derive(Clone)]
pub enum Question {
    /// Use these options from now on.
    Apply(Arc<Options>),
    /// Check and apply changes to the options (asked of core 0, which does so one at a time).
    Configure {
        /// Names and values.
        pairs: Vec<(Vec<u8>, Vec<u8>)>,
        /// The client is on this machine (`enable-protected-configs local`).
        is_local: bool,
        /// It is a part of a block.
        is_in_block: bool,
    },
    /// Change the users (asked of core 0, which does so one at a time).
    ChangeUsers {
        /// How.
        change: UserChange,
        /// The client that asks.
        client: u64,
    },
    /// Read or write a file, on another thread (asked of core 0, which has it done in order).
    File {
        /// Which, and how.
        filing: Filing,
        /// The client that asks.
        client: u64,
    },
    /// Use these users from now on.
    UseUsers {
        /// All of them.
        users: Arc<Users>,
        /// The client that asked for the change: where it has to go, it does so after its reply.
        spare: u64,
    },
    /// The core's part of ACL LOG.
    AclLog,
    /// Forget it.
    ResetAclLog,
    /// These clients, and until the search ends those of them that arrive: rows of them, or how many were closed.
    FindClients(Arc<Sought>),
    /// The search with this number ends: answered with those that have arrived.
    EndSearch {
        /// Names the search on the core that asks.
        number: u64,
    },
    /// What is wanted of the core's figures.
    Figures(Wanted),
    /// Set statistics back to zero.
    ResetStatistics,
    /// CLIENT PAUSE.
    Pause {
        /// When it ends, milliseconds since the epoch.
        until_ms: i64,
        /// Only commands that may write wait.
        writes_only: bool,
    },
    /// Answered once everything the core had sent to others has arrived there.
    HasArrived,
    /// Answered at once: what was sent before it has arrived.
    Echo,
    /// Answered once no write from before the pause is under way on the core, or the pause is over.
    WritesHaveEnded,
    /// CLIENT UNBLOCK: counts 1 if that client waited and does so no more.
    Unblock {
        /// The client.
        id: u64,
        /// What it is answered with.
        end: End,
    },
    /// Answered when no call of a function is under way that was taken to stay with its keys.
    FunctionsRest,
    /// Whether anybody monitors may have changed.
    LookAtMonitors,
    /// HOTKEYS: what its shard does for that.
    HotKeys(HotKeysStep),
    /// CLIENT UNPAUSE.
    Unpause,
    /// Whether the server itself keeps writes from beginning, whatever clients pause.
    HoldWrites(bool),
    /// SCRIPT FLUSH.
    FlushScripts,
    /// SCRIPT KILL: see `node/script_busy.rs`.
    KillScript {
        /// FUNCTION KILL, not SCRIPT KILL.
        is_function: bool,
    },
    /// MEMORY PURGE.
    Purge,
    /// Is this client here? Others will redirect to it.
    FindTarget {
        /// The client.
        id: u64,
    },
    /// One more client of a core wants to know of all keys with these prefixes, or one less.
    TrackPrefixes {
        /// The prefixes.
        prefixes: Arc<[Vec<u8>]>,
        /// Its core.
        core: u16,
        /// One more.
        is_more: bool,
    },
    /// DEBUG SLEEP, until then.
    Sleep(Instant),
    /// Answered when the logs that were turned on are written, or cannot be (asked of core 0).
    AwaitLogs,
    /// Answered when all that is withheld has been told.
    AwaitTold,
    /// A new base for the logs is about to be cut: the core's log, or one that is to begin, makes its next segment.
    PrepareLog(Option<NewLog>),
    /// Answered when all of the core's log is durable, or cannot be.
    SyncLog,
    /// The base is in force: segments that are not needed beside it go.
    DropSegments,
    /// Where the core's log was cut is noted; answered when all of it is durable, or cannot be.
    SealLog,
    /// BACKUP (asked of core 0).
    Backup {
        /// What for.
        request: BackupRequest,
        /// In a block, whose own locks are in the way of a cut.
        is_in_block: bool,
    },
    /// A snapshot is wanted (asked of core 0).
    Save(SaveRequest),
    /// SHUTDOWN (asked of core 0).
    Stop(Wish),
    /// Stop serving: drain and end.
    Shutdown,
}

/// What a core answers.
pub enum Answer {
    /// Done.
    Done,
    /// Done but for the logs, which begin when the block is over.
    LogsLater,
    /// Done, and what to say of it.
    Said(&'static str),
    /// Refused, with the error's text.
    Refused(Vec<u8>),
    /// Clients, rendered rows with their ids.
    Clients(Vec<ClientRow>),
    /// A snapshot's file, whole.
    File(Arc<File>),
    /// A number.
    Count(usize),
    /// What the core's clients were denied.
    AclLog(AclLog),
    /// It is on this core, or will be.
    Found(u16),
    /// What keys have cost.
    KeyCosts(Box<KeyCostsTold>),
    /// The core's figures.
    Figures(Box<CoreFigures>),
}
