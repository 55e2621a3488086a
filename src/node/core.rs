//! One core without its ring: its shard, its connections, its transactions, its end of the mesh.
//!
//! Promises  whatever has become possible in a turn is done before the turn ends (`settle`), but for requests of connections that had
//!           to wait: of those a turn's part.
//! Not here  the ring and the turn: `node/event_loop.rs`. What a request does: `node/dispatch.rs`. What other cores send:
//!           `node/peers.rs`. A connection's life: `node/lifecycle.rs`. Questions over all cores: `node/gather.rs`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::block::{Block, Watching};
use super::block_calls::Captured;
use super::block_exec::Running;
use super::compaction::Compaction;
use super::connection::{Asked, Blocked, Connection, Portion};
use super::copies::Copying;
use super::disk::{Disk, DiskFigures};
use super::disk_thread::DiskThread;
use super::errand::Errands;
use super::figures::CoreCounters;
use super::filing::Filings;
use super::functions::CoreFunctions;
use super::gather::Gather;
use super::holding::Holding;
use super::http::Questions;
use super::intake::{KnownHead, PART_NS, Window};
use super::listeners::Listeners;
use super::listing::Listings;
use super::load::LoadWalk;
use super::long_reads::Ahead;
use super::memory::ClientsMemory;
use super::mesh::Mesh;
use super::message::{Message, Question};
use super::options::Options;
use super::outgoing::Outgoing;
use super::pairs::Pair;
use super::patience::{Pace, Patience};
use super::pubsub::CorePubSub;
use super::recent_peaks::RecentPeaks;
use super::rewrite::Preparation;
use super::ring::Token;
use super::room::Room;
use super::saving::Saving;
use super::script::Scripts;
use super::search::OpenSearch;
use super::seldom::Seldom;
use super::slab::Connections;
use super::snapshot::{CutWalk, Job};
use super::tracking::CoreTracking;
use super::under_way::UnderWay;
use super::wait_aof::WaitForDisk;
use super::waiting::{MayWait, WaitingClients};
use super::watching::{Noted, Thresholds};
use super::withheld::Telling;
use crate::base::hash::KeyHasher;
use crate::base::ticks::TickClock;
use crate::commands::acl::Users;
use crate::commands::acl::log::{AclLog, Denial};
use crate::commands::{Entry, NodeRequest, Session};
use crate::keyspace::SlotMap;
use crate::persist::record::Dependency;
use crate::persist::{BlockBuffer, Holds, Withheld};
use crate::resp::Span;
use crate::resp::args::OwnedArgs;
use crate::resp::parse::Limits;
use crate::router::{FromShard, Origin, ToShard, Transaction, TxId};
use crate::shard::Shard;

/// A buffer larger than this is freed instead of kept.
pub(super) const SPARE_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// A shorter reply in a buffer of its own is copied into one that is kept.
const WHOLE_REPLY_BYTES_MIN: usize = SPARE_BUFFER_BYTES_MAX;
/// Among so many other cores a part of a turn is divided at most: less time than that is none for a batch.
const PEERS_TIMED_MAX: u64 = 8;
/// A blocked connection with this much unread input stops receiving.
const UNREAD_BYTES_MAX: usize = 1 << 20;
/// The same of a client that has not authenticated: as much as its longest word, and what is received at a time.
const STRANGER_UNREAD_BYTES_MAX: usize = 16 << 10;

/// See the two above.
pub fn unread_bytes_max(session: &Session) -> usize {
    if session.is_stranger {
        STRANGER_UNREAD_BYTES_MAX
    } else {
        UNREAD_BYTES_MAX
    }
}

/// Something to ask of the ring once the current borrow of it has ended.
pub enum RingWork {
    /// Arm a connection's receive.
    Receive(Token),
    /// End it.
    StopReceiving(Token),
    /// Watch for reports of errands.
    WatchErrands,
}

/// Commands wait until then.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    /// Milliseconds since the epoch.
    pub until_ms: i64,
    /// Reads go on.
    pub writes_only: bool,
}

/// Everything of a core but its ring.
pub struct Core {
    /// Which core.
    pub id: u16,
    /// Keys to shards.
    pub map: SlotMap,
    /// The process's key hash.
    pub hasher: KeyHasher,
    /// This core's keys.
    pub shard: Shard,
    /// Links to the other cores.
    pub mesh: Mesh,
    /// Clients.
    pub connections: Connections,
    /// The options in force.
    pub options: Arc<Options>,
    /// What a client may send, from the options.
    pub limits: Limits,
    /// What other cores may owe one, likewise.
    pub(super) portion: Portion,
    /// Words of the request being parsed.
    pub spans: Vec<Span>,
    /// Hashes of a batch's keys, by database; kept for its allocation.
    pub(super) hashes: Vec<(u16, u64)>,
    /// Requests parsed ahead.
    pub window: Window,
    /// What most of them begin with.
    pub(super) known: KnownHead,
    /// When memory is moved together.
    pub(super) compaction: Compaction,
    /// What waits for memory.
    pub(super) room: Room,
    /// Decrypted bytes of the connection being read; kept for its allocation.
    pub plain: Vec<u8>,
    /// Connections with output.
    pub dirty: Vec<Token>,
    /// More of them: messages nobody waits for, which are sent after everyone's replies.
    pub pushed: Vec<Token>,
    /// Connections whose input may go on.
    pub resumes: Vec<Token>,
    /// Steps of other cores' transactions so far.
    pub steps_count: u64,
    /// When what is being answered was run (`clock`), for the order of messages and replies; 0: not told.
    pub ran_at: u64,
    /// Pieces of long replies that other cores have made and that were not all sent.
    pub(super) aheads: Vec<Ahead>,
    /// Connections waiting for the end of a pause.
    pub paused_connections: Vec<Token>,
    /// Connections waiting for a link.
    pub congested: Vec<Token>,
    /// Connections that have had their part of a turn, or for which it had no time.
    pub(super) yielding: VecDeque<Token>,
    /// What those that went on in this turn have taken of it, and what came of that (`clock`).
    pub(super) resumed_ticks: u64,
    /// When this turn began.
    pub(super) turn_stamp: u64,
    /// How long a connection may go on (`clock`), and at least all together that had to wait.
    pub(super) part_ticks: u64,
    /// How long another core's requests may take of a turn (`clock`).
    pub(super) peer_ticks: u64,
    /// Transactions to start once the connection is back in its place.
    pub starts: VecDeque<Start>,
    /// Node requests likewise.
    pub asks: Vec<(Token, NodeRequest)>,
    /// Transactions this core coordinates, and who waits.
    pub(super) transactions: HashMap<TxId, Box<Coordinated>, ahash::RandomState>,
    /// Blocks over this shard and one other that are under way, without anything in their way.
    pub(super) pairs: HashMap<TxId, Pair, ahash::RandomState>,
    /// Commands of blocks that the node is carrying out.
    pub(super) captured: HashMap<Token, Captured, ahash::RandomState>,
    /// What commands of blocks that concern their connections came to.
    pub(super) reports: VecDeque<FromShard>,
    /// What transactions wait for outside.
    pub errands: Errands,
    /// Questions this core has asked.
    pub gathers: HashMap<u64, Gather, ahash::RandomState>,
    /// The next question's name.
    pub next_question: u64,
    /// DEBUG SLEEP: whose question, its name, and until when to sleep once the turn is over.
    pub(super) sleeps: Vec<(usize, u64, Instant)>,
    /// Searches for clients that have not ended.
    pub(super) searches: Vec<OpenSearch>,
    /// CLIENT LIST, where it waits.
    pub(super) listings: Listings,
    /// When the mark behind the log's last record was begun, milliseconds since the epoch.
    pub(super) closed_log_ms: i64,
    /// Clients that are sent a snapshot, or wait for it.
    pub(super) copies: Vec<Copying>,
    /// CLIENT PAUSE.
    pub pause: Option<Pause>,
    /// Writes wait because of the server's own doings: a shutdown that saves, a reload.
    pub(super) holds_writes: bool,
    /// Questions to be answered when the writes from before the pause have ended: whose, and its name.
    pub waiting_for_writes: Vec<(usize, u64)>,
    /// What INFO shows of this core.
    pub counters: CoreCounters,
    /// From where on a call is noted.
    pub(super) thresholds: Thresholds,
    /// A request that has just been found slow, or to have a large reply.
    pub(super) slow: Option<Noted>,
    /// Somebody monitors, on this core or another.
    pub(super) monitored: bool,
    /// This core's connections that monitor.
    pub(super) monitors: Vec<Token>,
    /// Clients that wait for a key.
    pub waiting: WaitingClients,
    /// Who is subscribed to what, and messages under way.
    pub pubsub: CorePubSub,
    /// Scripts.
    pub(super) scripts: Scripts,
    /// What clients take.
    pub(super) clients_memory: ClientsMemory,
    /// Libraries of functions.
    pub(super) functions: CoreFunctions,
    /// Clients that keep copies.
    pub tracking: CoreTracking,
    /// For the ring, after the current event.
    pub ring_work: Vec<RingWork>,
    /// Output buffers to reuse.
    pub(super) spare: Vec<Vec<u8>>,
    /// The same for lists of keys.
    #[expect(clippy::vec_box, reason = "connections have boxes: most have none")]
    pub(super) spare_under_way: Vec<Box<UnderWay>>,
    /// The same for blocks.
    #[expect(clippy::vec_box, reason = "connections have boxes: most have none")]
    pub(super) spare_blocks: Vec<Box<Block>>,
    /// Messages a transaction has for shards.
    pub(super) outgoing: Vec<(u16, ToShard)>,
    /// Milliseconds since the epoch, once a turn.
    pub now_ms: i64,
    /// Microseconds since the epoch, likewise.
    pub now_us: i64,
    /// Time that only goes forward, for what the disk is asked and when: microseconds since [`Core::begun`].
    pub(super) disk_us: i64,
    /// When the core was made.
    pub(super) begun: u64,
    /// Time stamps for per-command figures.
    pub clock: TickClock,
    /// Requests this core's shard has run.
    pub commands_count: u64,
    /// How long it sleeps.
    pub patience: Patience,
    /// Since the last tick.
    pub(super) pace: Pace,
    /// What clients' requests and replies have taken of late, in bytes.
    pub(super) recent_input: RecentPeaks,
    pub(super) recent_output: RecentPeaks,
    /// When the last request ended (`clock`).
    pub stamp: u64,
    /// Where the sweep over connections is.
    pub(super) sweep: usize,
    /// When the files of certificates and keys were last looked at.
    pub(super) certificates_seen_ms: i64,
    /// Core 0: when the log was last told what there is.
    pub(super) told_sizes_ms: i64,
    /// Clients that speak HTTP are told of once in a while.
    pub(super) attack_lines: Seldom,
    /// Set by SHUTDOWN and signals: what runs is answered, nothing more is read, then the end.
    pub stopping: bool,
    /// Since when.
    pub stopping_since_ms: i64,
    /// The configuration file, empty for none.
    pub config_file: Arc<str>,
    /// Where the shared state for the process's end lives.
    pub ending: Arc<super::Ending>,
    /// All users, as this core has them.
    pub users: Arc<Users>,
    /// What this core's clients were denied.
    pub acl_log: AclLog,
    /// What scripts were denied, to be entered there once their connections are in their places.
    pub(super) denials: Vec<(Token, Denial)>,
    /// Where clients come in; core 0 only.
    pub listeners: Listeners,
    /// Who asks on the HTTP port; core 0 only answers.
    pub questions: Arc<Questions>,
    /// Who may not come in, as of this turn.
    pub gate: u8,
    /// This core's part in a snapshot.
    pub(super) cut_walk: Option<CutWalk>,
    /// A snapshot that this core has sent its part of, and how often its keys had been flushed by the cut.
    pub(super) walked: Option<(Arc<Job>, u64)>,
    /// A signal has begun the end; core 0 only.
    pub(super) has_signal_stopped: bool,
    /// Its part in a load.
    pub(super) load_walk: Option<LoadWalk>,
    /// What core 0 knows of snapshots.
    pub(super) saving: Saving,
    /// Small files that core 0 has under way.
    pub(super) filings: Filings,
    /// Replies wait for the disk (`appendfsync always`).
    pub holds_replies: bool,
    /// What connections hold their replies in, those that hold none.
    pub spare_holdings: Vec<Box<Holding>>,
    /// What others are told once it is durable.
    pub(super) withheld: Withheld<Telling>,
    /// Who is told when the first so many things that are withheld here have been told.
    pub(super) waits_for_told: Vec<(usize, u64, u64)>,
    /// Whose request has made the news that the shard has, where that has served somebody who waited.
    pub(super) untold_by: Option<Token>,
    /// Bytes of messages among it.
    pub(super) said_bytes: usize,
    /// Connections that wait until there are fewer.
    pub(super) silenced: Vec<Token>,
    /// Writes of the log that a test wants not to have ended (`node/faults.rs`).
    pub(super) stalled_writes: Vec<(u64, BlockBuffer, i32)>,
    /// Connections with replies that wait, each with a record without which none of them leaves.
    pub held: Vec<(Dependency, Token)>,
    /// Where its log goes, if it has one.
    pub disk: Option<Disk>,
    /// What waits for disks beside the ring.
    pub(super) disk_thread: DiskThread,
    /// Where a log goes that begins with the next cut.
    pub(super) next_disk: Option<Disk>,
    /// Somebody waits for a segment.
    pub(super) preparation: Option<Preparation>,
    /// The log has much more to write than the disk takes.
    pub(super) is_log_behind: bool,
    /// The log ends as soon as all of it is durable.
    pub(super) is_log_ending: bool,
    /// Clients that wait for disks.
    pub(super) waits_for_disk: Vec<WaitForDisk>,
    /// Who is told when all of the log is durable.
    pub(super) waits_for_sync: Vec<(usize, u64)>,
    /// Where the last log ended.
    pub(super) last_lsn: u64,
    /// The epoch of the last log that ended here.
    pub(super) ended_epoch: u64,
    /// What there was of its disk to tell: the next one goes on with that.
    pub(super) ended_figures: Option<DiskFigures>,
    /// The errno for which writes are refused, 0 for none.
    pub log_errno: i32,
    /// This core's log cannot be written.
    pub(super) is_log_failing: bool,
    /// It lacks something that clients have replies to; counted on the board.
    pub(super) is_ahead_of_log: bool,
    /// Its last record when it last failed.
    pub(super) failed_lsn: u64,
}

/// A transaction this core coordinates.
pub(super) struct Coordinated {
    /// Who waits.
    pub(super) token: Token,
    /// What it runs.
    pub(super) entry: &'static Entry,
    /// When it began (`clock`).
    pub(super) stamp: u64,
    /// When the last command of a block that it runs ended.
    pub(super) call_stamp: u64,
    /// Its words, where anybody would want them if it is slow.
    pub(super) words: Option<OwnedArgs>,
    pub(super) transaction: Transaction,
    pub(super) purpose: Purpose,
    /// A moment at which it had all its keys (`clock`), before anything that it publishes; 0: not yet.
    pub(super) ran_at: u64,
    /// Its reply is the error of a command that its script called, whose statistics have counted it.
    pub(super) has_counted: bool,
    /// FLUSHALL is among what it runs.
    pub(super) has_emptied: bool,
    /// Its reply's place, where the connection goes on meanwhile.
    pub(super) place: Option<u64>,
}

/// A transaction about to begin.
pub struct Start {
    /// Whose it is.
    pub token: Token,
    /// What it runs.
    pub entry: &'static Entry,
    /// Its words, where anybody would want them if it is slow.
    pub words: Option<OwnedArgs>,
    /// The transaction.
    pub transaction: Transaction,
    /// What becomes of its reply.
    pub purpose: Purpose,
    /// It may begin only with the process's token.
    pub needs_token: bool,
    /// Its id, where it has one already.
    pub tx: Option<TxId>,
    /// When a script that goes on as this began (`Core::clock`); none: it begins now.
    pub began: Option<u64>,
    /// Its reply's place, where the connection goes on meanwhile.
    pub place: Option<u64>,
}

impl Start {
    /// One that begins now, under a new id and without the token; its connection waits.
    #[inline]
    pub fn new(
        token: Token,
        entry: &'static Entry,
        words: Option<OwnedArgs>,
        transaction: Transaction,
        purpose: Purpose,
    ) -> Self {
        Self {
            token,
            entry,
            words,
            transaction,
            purpose,
            needs_token: false,
            tx: None,
            began: None,
            place: None,
        }
    }
}

/// What becomes of a transaction's reply.
pub enum Purpose {
    /// It is the client's.
    Reply,
    /// It is the client's, and ends its block.
    Block(Running),
    /// It is a script's, and its client's.
    Script(Origin),
    /// It is the client's, unless the client waits.
    MayWait(Box<MayWait>),
    /// It is the client's, who watches from then on.
    Watch(Watching),
    /// It says whether there was something for this waiting client.
    Asked(u64),
    /// Nobody's: a snapshot's cut.
    Cut,
}

impl Purpose {
    /// A client waits for it, and for nothing else.
    pub(super) fn is_a_clients(&self) -> bool {
        match self {
            Self::Reply | Self::Block(_) | Self::Script(_) | Self::MayWait(_) | Self::Watch(_) => {
                true
            }
            Self::Asked(_) | Self::Cut => false,
        }
    }
}

/// What a core is made of.
pub struct CoreParts {
    /// Which core.
    pub id: u16,
    /// Its shard.
    pub shard: Shard,
    /// Its links.
    pub mesh: Mesh,
    /// The options at start.
    pub options: Arc<Options>,
    /// The users at start.
    pub users: Arc<Users>,
    /// The process's key hash.
    pub hasher: KeyHasher,
    /// The process's end.
    pub ending: Arc<super::Ending>,
    /// The configuration file, empty for none.
    pub config_file: Arc<str>,
    /// Where clients come in; none but on core 0.
    pub listeners: Listeners,
    /// Who asks on the HTTP port.
    pub questions: Arc<Questions>,
}

impl Core {
    /// A core without connections.
    pub fn new(parts: CoreParts) -> Self {
        let clock = TickClock::new();
        let peers_count = parts.mesh.cores_count() as u64 - 1;
        let mut core = Self {
            id: parts.id,
            map: parts.shard.keys.slots(),
            hasher: parts.hasher,
            shard: parts.shard,
            mesh: parts.mesh,
            connections: Connections::default(),
            limits: Limits::default(),
            portion: Portion::SHORT,
            spans: Vec::new(),
            hashes: Vec::new(),
            window: Window::default(),
            known: KnownHead::default(),
            compaction: Compaction::default(),
            room: Room::default(),
            plain: Vec::new(),
            dirty: Vec::new(),
            pushed: Vec::new(),
            resumes: Vec::new(),
            steps_count: 0,
            ran_at: 0,
            aheads: Vec::new(),
            paused_connections: Vec::new(),
            congested: Vec::new(),
            yielding: VecDeque::new(),
            resumed_ticks: 0,
            turn_stamp: 0,
            part_ticks: clock.ticks(PART_NS),
            peer_ticks: clock.ticks(PART_NS) / peers_count.clamp(1, PEERS_TIMED_MAX),
            starts: VecDeque::new(),
            asks: Vec::new(),
            transactions: HashMap::default(),
            pairs: HashMap::default(),
            captured: HashMap::default(),
            reports: VecDeque::new(),
            errands: Errands::new(),
            gathers: HashMap::default(),
            next_question: 0,
            sleeps: Vec::new(),
            searches: Vec::new(),
            listings: Listings::default(),
            closed_log_ms: 0,
            copies: Vec::new(),
            pause: None,
            holds_writes: false,
            waiting_for_writes: Vec::new(),
            counters: CoreCounters::default(),
            thresholds: Thresholds::of(&parts.options),
            slow: None,
            monitored: false,
            monitors: Vec::new(),
            waiting: WaitingClients::default(),
            pubsub: CorePubSub::default(),
            scripts: Scripts::default(),
            clients_memory: ClientsMemory::default(),
            functions: CoreFunctions::default(),
            tracking: CoreTracking::default(),
            ring_work: Vec::new(),
            spare: Vec::new(),
            spare_under_way: Vec::new(),
            spare_blocks: Vec::new(),
            outgoing: Vec::new(),
            now_ms: 0,
            now_us: 0,
            disk_us: 0,
            begun: clock.raw(),
            clock,
            commands_count: 0,
            patience: Patience::NONE,
            pace: Pace::default(),
            recent_input: RecentPeaks::default(),
            recent_output: RecentPeaks::default(),
            stamp: 0,
            sweep: 0,
            certificates_seen_ms: 0,
            told_sizes_ms: 0,
            attack_lines: Seldom::default(),
            stopping: false,
            stopping_since_ms: 0,
            ending: parts.ending,
            config_file: parts.config_file,
            questions: parts.questions,
            users: parts.users,
            acl_log: AclLog::default(),
            denials: Vec::new(),
            listeners: parts.listeners,
            gate: 0,
            cut_walk: None,
            walked: None,
            has_signal_stopped: false,
            load_walk: None,
            saving: Saving::default(),
            filings: Filings::default(),
            holds_replies: false,
            spare_holdings: Vec::new(),
            withheld: Withheld::default(),
            waits_for_told: Vec::new(),
            untold_by: None,
            said_bytes: 0,
            silenced: Vec::new(),
            stalled_writes: Vec::new(),
            held: Vec::new(),
            disk: None,
            waits_for_disk: Vec::new(),
            waits_for_sync: Vec::new(),
            disk_thread: DiskThread::new(parts.id),
            next_disk: None,
            preparation: None,
            is_log_ending: false,
            is_log_behind: false,
            last_lsn: 0,
            ended_epoch: 0,
            ended_figures: None,
            log_errno: 0,
            is_log_failing: false,
            is_ahead_of_log: false,
            failed_lsn: 0,
            options: parts.options,
        };
        let board = core.mesh.board();
        let total = board.tracked_keys.clone();
        core.shard.keys.share_tracking_total(total);
        let settings = board.scripts.settings.clone();
        core.scripts.engine.share_settings(settings);
        let settings = board.functions.settings.clone();
        core.functions.engine().share_settings(settings);
        core.apply_options();
        core.read_clock();
        core
    }

    /// Takes over what the options say.
    pub fn apply_options(&mut self) {
        self.limits.bulk_bytes_max = self.options.proto_max_bulk_len as usize;
        self.portion = match self.options.output_limit(false).hard_bytes {
            0 => Portion::SHORT,
            _ => Portion::OF_LIMITED,
        };
        self.apply_memory_options();
        self.apply_compaction_options();
        super::settings::apply_to_shard(&self.options, &mut self.shard);
        self.apply_log_options();
        self.thresholds = Thresholds::of(&self.options);
        let (slow_ns, large_bytes) = (self.thresholds.any_ns, self.thresholds.reply_bytes);
        self.shard
            .set_stopwatch(super::watching::nanoseconds, slow_ns, large_bytes);
    }

    /// Reads the wall clock for the turn.
    pub fn read_clock(&mut self) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.now_us = now.as_micros() as i64;
        self.now_ms = self.now_us / 1000;
        self.shard.set_now(self.now_ms);
        self.disk_us = self.clock.delta_as_nanos(self.begun, self.clock.raw()) as i64 / 1000;
    }

    /// Whether connections are few enough to sleep without looking again.
    pub(super) fn is_idle(&self) -> bool {
        self.dirty.is_empty() && self.resumes.is_empty() && self.ring_work.is_empty()
    }

    // ---- replies and messages

    /// Writes the reply a connection was blocked for and lets it go on.
    pub fn complete(&mut self, token: Token, write: impl FnOnce(&mut Vec<u8>, &mut Session)) {
        if !self.captured.is_empty()
            && let Some(captured) = self.captured.remove(&token)
        {
            return self.complete_captured(token, &captured, write);
        }
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        let mut noted = None;
        if let Some(Asked {
            entry,
            stamp,
            words,
        }) = connection.asked.take()
        {
            let nanoseconds = self.clock.delta_as_nanos(stamp, self.clock.raw());
            self.shard.record_with_waits(entry.index, nanoseconds);
            self.commands_count += 1;
            noted = Some((entry, nanoseconds, words));
        }
        if connection.has_news() {
            connection.take_news_before(self.ran_at);
        }
        let silent = std::mem::take(&mut connection.silent_reply);
        let length = connection.output.len();
        write(&mut connection.output, &mut connection.session);
        let reply_bytes = connection.output.len() - length;
        if silent {
            connection.output.truncate(length);
        }
        connection.blocked = None;
        let was_kept = std::mem::take(&mut connection.runs_block) && connection.closed;
        connection.close_after_output |= connection.is_doomed;
        connection.push_late();
        if let Some((entry, took_ns, words)) = noted {
            self.note_if_worth(token, entry, took_ns, reply_bytes, words);
        }
        if was_kept {
            return self.release(token);
        }
        self.resumes.push(token);
        self.mark_dirty(token);
    }

    /// A connection's next replies wait for these records.
    #[inline]
    pub(super) fn hold(&mut self, token: Token, holds: &Holds) {
        if !holds.is_empty()
            && self.holds_replies
            && let Some(connection) = self.connections.get_mut(token)
        {
            connection.hold(holds, &mut self.spare_holdings);
        }
    }

    /// A connection's next replies wait for what the shard's last request reveals.
    #[inline]
    pub(super) fn hold_here(&mut self, connection: &mut Connection) {
        if self.holds_replies
            && let Some((lsn, others)) = self.shard.take_revealed()
            && !connection.waits_for((self.id, lsn), others)
        {
            connection.hold_one((self.id, lsn), others, &mut self.spare_holdings);
        }
    }

    /// A reply has come for a request that was sent away.
    #[inline]
    pub(super) fn fill(&mut self, token: Token, sequence: u64, reply: &[u8]) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if connection.output.capacity() == 0 {
            connection.output = self.spare.pop().unwrap_or_default();
        }
        connection.fill(sequence, reply, self.ran_at);
        self.has_filled(token);
    }

    /// The same for a reply in a buffer of its own.
    pub(super) fn fill_whole(&mut self, token: Token, sequence: u64, reply: Outgoing) {
        if let Some(reply) = reply.plain()
            && reply.len() < WHOLE_REPLY_BYTES_MIN
        {
            return self.fill(token, sequence, reply);
        }
        if let Some(connection) = self.connections.get_mut(token) {
            connection.fill_whole(sequence, reply, self.ran_at);
            self.has_filled(token);
        }
    }

    /// What follows a reply that has found its place.
    #[inline]
    pub(super) fn has_filled(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if connection.is_drained() && connection.blocked == Some(Blocked::UntilDrained) {
            connection.blocked = None;
            self.resumes.push(token);
        }
        let has_all = connection.under_way.is_some() && connection.is_drained();
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(token);
        }
        if has_all {
            self.nothing_under_way(token);
        }
    }
}

/// How a question is put: to all cores, this one included.
pub fn every_core(core: &Core) -> std::ops::Range<usize> {
    0..core.mesh.cores_count()
}

/// A question for one core, sent or answered in place.
pub fn ask_core(core: &mut Core, to: usize, id: u64, question: Question) {
    if to == usize::from(core.id) {
        core.asked(to, id, question);
    } else {
        let question = Box::new(question);
        core.mesh.send(to, Message::Ask { id, question });
    }
}
