//! The mesh: one bounded single-producer single-consumer queue for each ordered pair of cores.
//!
//!     core A --- batch (requests) --> core B     A fills a batch through one turn and sends it once
//!     core A <-- same batch (replies) - core B   B writes replies into it and sends it home, where it is used again
//!
//! Promises  one batch per destination and turn; no allocation per request; at most `IN_FLIGHT_MAX` batches of one core
//!           are out to one other, so a queue never overflows; what a full link cannot take waits in the open batch, and
//!           its core stops reading from clients meanwhile ([`Mesh::is_congested`]).
//! Not here  what requests mean: `node/peers.rs`. A bell for a sleeping core: the caller rings what `flush` names.
//! Source    measured before it was chosen (ARCHITECTURE, "Hops"); a reply built on one core and freed on another costs
//!           more than the hop, which is why a batch goes back to its sender.

use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::background::Background;
use super::backup::Backup;
use super::busy_scripts::BusyScripts;
use super::debugging::Switches;
use super::directory::Directory;
use super::functions::FunctionStore;
use super::load::Load;
use super::log_load::LogLoad;
use super::log_turns::LogWrites;
use super::message::Message;
use super::ring::Token;
use super::script_store::ScriptStore;
use super::snapshot::Job;
use super::watching::Watch;
use crate::base::long_copy;
use crate::base::shared_bytes::SharedBytes;
use crate::commands::Entry;
use crate::commands::table::Caller;
use crate::persist::Holds;
use crate::resp::{Args, Span};
use crate::router::Origin;
use crate::router::calls::SlowCall;
use crate::router::packed::Step;
use crate::router::token;
use crate::shard::Request;

/// Batches of one core that may be at one other at a time.
const IN_FLIGHT_MAX: usize = 16;
/// An open batch with this many bytes that cannot leave makes its core stop reading from clients.
const CONGESTED_BYTES: usize = 1 << 20;
/// A batch that held more than this gives its memory back instead of keeping it for the next turn.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// One request for another core, without its bytes.
pub struct Item {
    /// The command.
    pub entry: &'static Entry,
    /// The connection that waits, on the sender's core.
    pub connection: u32,
    /// Its tenant number.
    pub generation: u32,
    /// Which of its requests this is.
    pub sequence: u64,
    /// Selected database.
    pub db: u16,
    /// What the handler may know of the client.
    pub caller: Caller,
    /// Words, in `Batch::spans`.
    pub spans_count: u32,
    /// Bytes of the words, in `Batch::bytes`.
    pub bytes_count: u32,
    /// Of a block: how many commands there are, in `Batch::commands`, one after the other in those words.
    pub commands_count: u16,
    /// It is what a transaction does there, and `sequence` the transaction.
    pub is_part: bool,
    /// Bytes of the reply in `Batch::replies`; `DEFERRED` when it comes later in a message of its own.
    pub reply_bytes: u64,
}

impl Item {
    /// A request of a connection, or a transaction's part, before its words are appended.
    pub fn new(
        entry: &'static Entry,
        token: Token,
        sequence: u64,
        db: u16,
        caller: Caller,
    ) -> Self {
        Self {
            entry,
            connection: token.index,
            generation: token.generation,
            sequence,
            db,
            caller,
            spans_count: 0,
            bytes_count: 0,
            commands_count: 0,
            is_part: false,
            reply_bytes: 0,
        }
    }

    /// The connection that waits, on the sender's core.
    pub fn token(&self) -> Token {
        Token {
            index: self.connection,
            generation: self.generation,
        }
    }

    /// The request as the shard of another core sees it, sent by core `from`.
    #[inline]
    pub fn request(&self, from: u16) -> Request {
        Request {
            entry: self.entry,
            db: self.db,
            caller: self.caller,
            origin: Origin {
                core: from,
                connection: self.connection,
                generation: self.generation,
                sequence: self.sequence,
            },
        }
    }
}

/// `Item::reply_bytes` of a request that waits for a lock.
pub const DEFERRED: u64 = u64::MAX;

/// What one core has for another in one turn.
#[derive(Default)]
pub struct Batch {
    /// Requests, in order.
    pub items: Vec<Item>,
    /// Words of all requests.
    pub spans: Vec<Span>,
    /// Bytes of all requests.
    pub bytes: Vec<u8>,
    /// The commands of the blocks among the requests, and how many words each has.
    pub commands: Vec<(&'static Entry, u32)>,
    /// Replies of all requests, written by the other core.
    pub replies: Vec<u8>,
    /// What is not a plain request; taken in order, after all of `items`.
    pub messages: VecDeque<Message>,
    /// Bytes of the large requests in `messages`. While there are any, a plain request must go in a message as well, or
    /// it would overtake them.
    pub large_bytes: usize,
    /// Bytes of the Pub/Sub messages and the scripts among them.
    pub posts_bytes: usize,
    /// What must be durable before any of the replies leaves.
    pub holds: Holds,
    /// Calls among the requests that took long, and whose they are.
    pub slow: Vec<(Token, SlowCall)>,
    /// On its way home.
    pub answered: bool,
    /// How many of the requests, from the first on, have been looked ahead at by the core that serves them.
    pub looked_at_count: usize,
    /// When all of the requests had been run: after each of them, and before anything of that turn could be seen elsewhere.
    pub ran_at: u64,
}

impl Batch {
    /// Appends a request: one copy of its words' bytes.
    pub fn push(&mut self, item: Item, args: &Args<'_>) {
        let start = self.bytes.len();
        let spans_start = self.spans.len();
        let first = args.span(0).start;
        let last = args.span(args.len() - 1);
        let words = &args.bytes()[first as usize..(last.start + last.len) as usize];
        long_copy::append(&mut self.bytes, words);
        self.spans.extend((0..args.len()).map(|index| {
            let span = args.span(index);
            Span {
                start: span.start - first,
                len: span.len,
            }
        }));
        self.items.push(Item {
            spans_count: (self.spans.len() - spans_start) as u32,
            bytes_count: (self.bytes.len() - start) as u32,
            reply_bytes: 0,
            ..item
        });
    }

    /// Appends a block: one copy of its words.
    pub fn push_block<'q>(&mut self, item: Item, steps: impl Iterator<Item = Step<'q>>) {
        let (bytes_start, spans_start) = (self.bytes.len(), self.spans.len());
        let commands_start = self.commands.len();
        for Step { entry, args, .. } in steps {
            let shift = (self.bytes.len() - bytes_start) as u32;
            self.bytes.extend_from_slice(args.bytes());
            self.spans.extend((0..args.len()).map(|index| {
                let span = args.span(index);
                Span {
                    start: span.start + shift,
                    len: span.len,
                }
            }));
            self.commands.push((entry, args.len() as u32));
        }
        self.items.push(Item {
            spans_count: (self.spans.len() - spans_start) as u32,
            bytes_count: (self.bytes.len() - bytes_start) as u32,
            commands_count: (self.commands.len() - commands_start) as u16,
            reply_bytes: 0,
            ..item
        });
    }

    /// Appends a request whose bytes are handed over.
    pub fn push_large(&mut self, item: Item, bytes: SharedBytes, spans: Vec<Span>) {
        self.large_bytes += bytes.len();
        self.messages
            .push_back(Message::Large { item, bytes, spans });
    }

    /// Moves what has been served to `served`, an empty batch: the replies that are there can go home before those of the rest.
    ///
    /// - `items_count`: how many of the requests that is; of words, bytes and commands likewise.
    pub fn part_served(&mut self, served: &mut Self, items_count: usize, at: Cursor) {
        self.looked_at_count -= items_count;
        let items = self.items.drain(..items_count);
        let replied = items.filter(|item| item.reply_bytes != DEFERRED);
        served.items.extend(replied);
        self.bytes.drain(..at.bytes);
        self.spans.drain(..at.spans);
        self.commands.drain(..at.commands);
        std::mem::swap(&mut self.replies, &mut served.replies);
        std::mem::swap(&mut self.holds, &mut served.holds);
        std::mem::swap(&mut self.slow, &mut served.slow);
    }

    fn is_empty(&self) -> bool {
        self.items.is_empty() && self.messages.is_empty()
    }

    fn clear(&mut self) {
        self.items.clear();
        self.spans.clear();
        self.commands.clear();
        self.messages.clear();
        self.large_bytes = 0;
        self.posts_bytes = 0;
        self.slow.clear();
        self.looked_at_count = 0;
        self.answered = false;
        self.holds.clear();
        if self.spans.capacity() > KEPT_BYTES_MAX {
            self.spans = Vec::new();
        }
        for bytes in [&mut self.bytes, &mut self.replies] {
            if bytes.capacity() > KEPT_BYTES_MAX {
                *bytes = Vec::new()
            } else {
                bytes.clear()
            }
        }
    }
}

/// Up to where a batch's requests have been served.
#[derive(Clone, Copy, Default)]
pub struct Cursor {
    /// In its words.
    pub spans: usize,
    /// In their bytes.
    pub bytes: usize,
    /// In the commands of its blocks.
    pub commands: usize,
}

/// In [`Board::gate`]: only commands that may run while keys are being loaded.
pub const GATE_LOADING: u8 = 1;
/// In [`Board::gate`]: no commands that write.
pub const GATE_NO_WRITES: u8 = 2;

/// In [`Core::gate`](super::core::Core): writes wait, for some log is far behind.
pub const GATE_LOG_BEHIND: u8 = 4;

pub(super) fn now_s() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_secs() as i64
}

/// A connection is counted on one core instead of another.
pub fn count_moved(cores: &[CoreFlags], from: u16, to: u16) {
    let count = |core: u16| &cores[usize::from(core)].connections_count;
    count(from).fetch_sub(1, Ordering::Relaxed);
    count(to).fetch_add(1, Ordering::Relaxed);
}

/// What all cores may see of each other: nothing but this is shared.
pub struct Board {
    /// One per core.
    pub cores: Vec<CoreFlags>,
    /// The next transaction id.
    pub next_tx: AtomicU64,
    /// The next CLIENT ID.
    pub next_client_id: AtomicU64,
    /// The next entry of ACL LOG.
    pub next_acl_log_id: AtomicU64,
    /// Connections that are open, over all cores: what `maxclients` limits.
    pub clients_count: AtomicU32,
    /// The errno that keeps a log from being written, 0 for none, and how many logs there are of which that is true.
    pub log_errno: AtomicI32,
    /// See [`Board::log_errno`].
    pub failing_logs_count: AtomicU32,
    /// How many of those lack something that clients have replies to.
    pub logs_left_behind_count: AtomicU32,
    /// The last epoch of which a log may have lost something that was written: only another one can be trusted.
    pub broken_epoch: AtomicU64,
    /// There are logs that no base is in force for: a start would find nothing of them.
    pub lacks_base: AtomicBool,
    /// Cores that keep back so many messages that requests which may say more wait.
    pub silenced_count: AtomicUsize,
    /// What has been noted of slow calls, and who monitors.
    pub watch: Watch,
    /// Logs that have much more to write than the disk takes.
    pub logs_behind_count: AtomicU32,
    /// Which cores have subscribers of what.
    pub directory: Directory,
    /// The scripts that some core knows.
    pub scripts: ScriptStore,
    /// Those that have run for long.
    pub busy_scripts: BusyScripts,
    /// Who may not come in: [`GATE_LOADING`], [`GATE_NO_WRITES`].
    pub gate: AtomicU8,
    /// When a snapshot succeeded last, in seconds since the epoch; the start, at first.
    pub last_save_s: AtomicI64,
    /// The backup that is being made, or was.
    pub backup: Arc<Mutex<Backup>>,
    /// The snapshot that is being made.
    pub snapshot: Mutex<Option<Arc<Job>>>,
    /// Logs that are being loaded.
    pub log_load: Mutex<Option<Arc<LogLoad>>>,
    /// The load that goes on.
    pub load: Mutex<Option<Arc<Load>>>,
    /// The thread for work that may block.
    pub background: Background,
    /// The same for small files, which must not wait for a snapshot.
    pub small_files: Background,
    /// The libraries that all cores have.
    pub functions: FunctionStore,
    token: Mutex<token::Token>,
    /// What DEBUG has changed.
    pub switches: Switches,
    /// Keys that all shards track for clients.
    pub tracked_keys: Arc<AtomicUsize>,
}

/// One core's flags, on a cache line pair of their own.
#[repr(align(128))]
pub struct CoreFlags {
    sleeping: AtomicBool,
    ring: AtomicI32,
    /// Of those, the ones this core serves, or is about to.
    pub connections_count: AtomicU32,
    /// What they take, as far as that is counted.
    pub clients_bytes: AtomicU64,
    /// What the largest of them that may be evicted takes.
    pub largest_client_bytes: AtomicU64,
    /// How often its shard was emptied.
    pub flushes_count: AtomicU64,
    /// Changes its shard has made, as of its last turn.
    pub changes_count: AtomicU64,
    /// Bytes of its log that are not in the base.
    pub log_bytes: AtomicU64,
    /// The last record of its log.
    pub log_lsn: AtomicU64,
    /// The last record of its log that is durable.
    pub synced_lsn: AtomicU64,
    /// Its log's writes, for who writes in bulk.
    pub log_writes: LogWrites,
    /// It has replies that wait for other cores' logs, and is to be told when they get on.
    pub awaits_disks: AtomicBool,
}

impl Board {
    /// A board for `cores_count` cores.
    pub fn new(cores_count: usize) -> Arc<Self> {
        Arc::new(Self {
            cores: (0..cores_count)
                .map(|_| CoreFlags {
                    sleeping: AtomicBool::new(false),
                    ring: AtomicI32::new(-1),
                    connections_count: AtomicU32::new(0),
                    clients_bytes: AtomicU64::new(0),
                    largest_client_bytes: AtomicU64::new(0),
                    flushes_count: AtomicU64::new(0),
                    changes_count: AtomicU64::new(0),
                    log_bytes: AtomicU64::new(0),
                    log_lsn: AtomicU64::new(0),
                    synced_lsn: AtomicU64::new(0),
                    log_writes: LogWrites::default(),
                    awaits_disks: AtomicBool::new(false),
                })
                .collect(),
            next_tx: AtomicU64::new(1),
            next_client_id: AtomicU64::new(1),
            next_acl_log_id: AtomicU64::new(0),
            clients_count: AtomicU32::new(0),
            log_errno: AtomicI32::new(0),
            failing_logs_count: AtomicU32::new(0),
            logs_left_behind_count: AtomicU32::new(0),
            broken_epoch: AtomicU64::new(0),
            lacks_base: AtomicBool::new(false),
            silenced_count: AtomicUsize::new(0),
            logs_behind_count: AtomicU32::new(0),
            watch: Watch::default(),
            switches: Switches::default(),
            directory: Directory::new(cores_count),
            scripts: ScriptStore::default(),
            busy_scripts: BusyScripts::default(),
            gate: AtomicU8::new(0),
            last_save_s: AtomicI64::new(now_s()),
            backup: Arc::default(),
            snapshot: Mutex::default(),
            log_load: Mutex::default(),
            load: Mutex::default(),
            background: Background::start(),
            small_files: Background::start(),
            functions: FunctionStore::default(),
            token: Mutex::default(),
            tracked_keys: Arc::default(),
        })
    }

    /// A connection is there, and `core` is to serve it.
    pub fn count_opened(&self, core: usize) {
        let count = &self.cores[core].connections_count;
        count.fetch_add(1, Ordering::Relaxed);
        self.clients_count.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection that `core` served is closed.
    pub fn count_closed(&self, core: usize) {
        let count = &self.cores[core].connections_count;
        count.fetch_sub(1, Ordering::Relaxed);
        self.clients_count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Changes all shards have made.
    pub fn changes_count(&self) -> u64 {
        let counts = self.cores.iter().map(|core| &core.changes_count);
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The token, for the moment that it takes to take it or to give it back.
    pub fn token(&self) -> MutexGuard<'_, token::Token> {
        // Nothing in there can be left half done.
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says which ring a core's bell is on.
    pub fn set_ring(&self, core: usize, descriptor: RawFd) {
        self.cores[core].ring.store(descriptor, Ordering::Release);
    }
}

/// One core's ends of all its links.
pub struct Mesh {
    core: usize,
    board: Arc<Board>,
    /// By peer; `None` at this core's own place.
    links: Vec<Option<Link>>,
    /// Empty batches; boxed, since what crosses between cores is the pointer.
    #[expect(
        clippy::vec_box,
        reason = "batches travel as boxes; unboxing them here would copy each one twice"
    )]
    spare: Vec<Box<Batch>>,
    /// Peers with something to send, so that a turn costs nothing for silent ones.
    waiting: Vec<usize>,
}

struct Link {
    outgoing: rtrb::Producer<Box<Batch>>,
    incoming: rtrb::Consumer<Box<Batch>>,
    /// Filled through this turn.
    open: Option<Box<Batch>>,
    /// Answered batches of the peer, to go home.
    #[expect(clippy::vec_box, reason = "as in `Mesh::spare`")]
    homing: Vec<Box<Batch>>,
    in_flight: usize,
    is_waiting: bool,
}

/// All cores' meshes, linked with each other.
pub fn build(cores_count: usize, board: &Arc<Board>) -> Vec<Mesh> {
    let mut links: Vec<Vec<Option<Link>>> = (0..cores_count)
        .map(|_| (0..cores_count).map(|_| None).collect())
        .collect();
    let pairs = (0..cores_count).flat_map(|a| (a + 1..cores_count).map(move |b| (a, b)));
    for (a, b) in pairs {
        // Either side has at most IN_FLIGHT_MAX batches of its own out, so twice that always fits.
        let (a_sends, b_receives) = rtrb::RingBuffer::new(2 * IN_FLIGHT_MAX);
        let (b_sends, a_receives) = rtrb::RingBuffer::new(2 * IN_FLIGHT_MAX);
        links[a][b] = Some(Link::new(a_sends, a_receives));
        links[b][a] = Some(Link::new(b_sends, b_receives));
    }
    links
        .into_iter()
        .enumerate()
        .map(|(core, links)| Mesh {
            core,
            board: board.clone(),
            links,
            spare: Vec::new(),
            waiting: Vec::new(),
        })
        .collect()
}

impl Link {
    fn new(outgoing: rtrb::Producer<Box<Batch>>, incoming: rtrb::Consumer<Box<Batch>>) -> Self {
        Self {
            outgoing,
            incoming,
            open: None,
            homing: Vec::new(),
            in_flight: 0,
            is_waiting: false,
        }
    }
}

impl Mesh {
    /// The board all cores share.
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// How many cores there are.
    pub fn cores_count(&self) -> usize {
        self.links.len()
    }

    /// The batch being filled for core `to`, which is not this core.
    #[inline]
    pub fn open(&mut self, to: usize) -> &mut Batch {
        let link = self.links[to]
            .as_mut()
            .expect("a core has no link to itself");
        if !link.is_waiting {
            link.is_waiting = true;
            self.waiting.push(to);
        }
        link.open
            .get_or_insert_with(|| self.spare.pop().unwrap_or_default())
    }

    /// Appends a message for core `to`.
    pub fn send(&mut self, to: usize, message: Message) {
        self.open(to).messages.push_back(message);
    }

    /// Takes the next batch that has arrived from `from`: a peer's requests, or own requests answered.
    pub fn receive(&mut self, from: usize) -> Option<Box<Batch>> {
        let link = self.links[from].as_mut()?;
        let batch = link.incoming.pop().ok()?;
        if batch.answered {
            link.in_flight -= 1;
        }
        Some(batch)
    }

    /// Sends a peer's batch home, its replies written.
    pub fn answer(&mut self, to: usize, mut batch: Box<Batch>) {
        batch.answered = true;
        let link = self.links[to]
            .as_mut()
            .expect("a core has no link to itself");
        link.homing.push(batch);
        if !link.is_waiting {
            link.is_waiting = true;
            self.waiting.push(to);
        }
    }

    /// An empty batch.
    pub fn empty_batch(&mut self) -> Box<Batch> {
        self.spare.pop().unwrap_or_default()
    }

    /// Keeps a batch that came home for later turns.
    pub fn reuse(&mut self, mut batch: Box<Batch>) {
        batch.clear();
        if self.spare.len() < 4 * IN_FLIGHT_MAX {
            self.spare.push(batch);
        }
    }

    /// Hands over everything that can go, and names the sleeping cores that need a bell through `bell`.
    pub fn flush(&mut self, mut bell: impl FnMut(RawFd)) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|&to| {
            let link = self.links[to].as_mut().expect("only peers wait");
            let mut sent = false;
            for batch in link.homing.drain(..) {
                link.outgoing
                    .push(batch)
                    .expect("a peer has at most IN_FLIGHT_MAX batches here");
                sent = true;
            }
            if link.in_flight < IN_FLIGHT_MAX
                && let Some(batch) = link.open.take_if(|batch| !batch.is_empty())
            {
                link.outgoing
                    .push(batch)
                    .expect("at most IN_FLIGHT_MAX own batches are out");
                link.in_flight += 1;
                sent = true;
            }
            link.is_waiting = link.open.as_ref().is_some_and(|batch| !batch.is_empty());
            if sent {
                // Pairs with the fence in `may_sleep`: either the peer sees the batch, or this core sees it asleep.
                fence(Ordering::SeqCst);
                let flags = &self.board.cores[to];
                if flags.sleeping.load(Ordering::Relaxed)
                    && flags.sleeping.swap(false, Ordering::Relaxed)
                {
                    bell(flags.ring.load(Ordering::Acquire));
                }
            }
            link.is_waiting
        });
        self.waiting = waiting;
    }

    /// Whether a peer has batches of this core that it has not answered.
    pub fn awaits_answers(&self) -> bool {
        self.links.iter().flatten().any(|link| link.in_flight > 0)
    }

    /// Whether a link is so full that no more requests should be read from clients.
    pub fn is_congested(&self) -> bool {
        self.waiting.iter().any(|&to| {
            self.links[to]
                .as_ref()
                .and_then(|link| link.open.as_ref())
                .is_some_and(|batch| {
                    batch.bytes.len() + batch.large_bytes + batch.posts_bytes > CONGESTED_BYTES
                })
        })
    }

    /// Declares this core asleep and says whether it may park; `false` when something arrived meanwhile.
    pub fn may_sleep(&mut self) -> bool {
        let flags = &self.board.cores[self.core];
        flags.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self
            .links
            .iter()
            .flatten()
            .any(|link| !link.incoming.is_empty())
        {
            self.wake();
            return false;
        }
        true
    }

    /// Declares this core awake.
    pub fn wake(&self) {
        self.board.cores[self.core]
            .sleeping
            .store(false, Ordering::Relaxed);
    }
}
