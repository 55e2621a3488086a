//! One core: its ring, its shard, its connections, and the turn that serves them all.
//!
//!     enter the ring -> events -> parse and execute in place -> drain the mesh -> flush batches -> queue sends
//!
//! Promises  one system call a turn; requests run in the receive buffer they arrived in; a core sleeps only when no
//!           peer has anything for it.
//! Not here  what a request does: `node/dispatch.rs`. Questions over all cores: `node/gather.rs`.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use super::acceptor;
use super::connection::{Blocked, Connection};
use super::dispatch::Window;
use super::figures::CoreCounters;
use super::gather::Gather;
use super::listeners::{Change, Listeners};
use super::mesh::{Batch, DEFERRED, Mesh};
use super::message::{Message, Question};
use super::options::Options;
use super::ring::{Event, Received, Ring, Token};
use super::slab::Connections;
use crate::base::hash::KeyHasher;
use crate::commands::{NodeRequest, Session};
use crate::keyspace::SlotMap;
use crate::resp::parse::Limits;
use crate::resp::{Args, Span};
use crate::router::{FromShard, Origin, Step, ToShard, Transaction, TxId};
use crate::shard::{CycleBudget, Outcome, Request, Shard};

/// Output buffers kept for reuse.
const SPARE_BUFFERS_MAX: usize = 256;
/// A buffer larger than this is freed instead of kept.
const SPARE_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// What expiry and freeing may take of a turn when a tick's budget was not enough: about 25 µs beside a turn's requests.
const TURN_BUDGET: CycleBudget = CycleBudget {
    expire_steps: 1024,
    garbage_steps: 512,
};
/// A blocked connection with this much unread input stops receiving.
pub const UNREAD_BYTES_MAX: usize = 1 << 20;

/// Something to ask of the ring once the current borrow of it has ended.
pub enum RingWork {
    /// Arm a connection's receive.
    Receive(Token),
    /// End it.
    StopReceiving(Token),
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
    /// Words of the request being parsed.
    pub spans: Vec<Span>,
    /// Hashes of a batch's keys, by database; kept for its allocation.
    hashes: Vec<(u16, u64)>,
    /// Requests parsed ahead.
    pub window: Window,
    /// Connections with output.
    pub dirty: Vec<Token>,
    /// Connections whose input may go on.
    pub resumes: Vec<Token>,
    /// Connections waiting for the end of a pause.
    pub paused_connections: Vec<Token>,
    /// Connections waiting for a link.
    pub congested: Vec<Token>,
    /// Transactions to start once the connection is back in its place.
    pub starts: Vec<(Token, Transaction)>,
    /// Node requests likewise.
    pub asks: Vec<(Token, NodeRequest)>,
    /// Transactions this core coordinates, and who waits.
    transactions: HashMap<TxId, (Token, Transaction), ahash::RandomState>,
    /// Questions this core has asked.
    pub gathers: HashMap<u64, Gather, ahash::RandomState>,
    /// The next question's name.
    pub next_question: u64,
    /// CLIENT PAUSE.
    pub pause: Option<Pause>,
    /// What INFO shows of this core.
    pub counters: CoreCounters,
    /// For the ring, after the current event.
    pub ring_work: Vec<RingWork>,
    /// Output buffers to reuse.
    spare: Vec<Vec<u8>>,
    /// Messages a transaction has for shards.
    outgoing: Vec<(u16, ToShard)>,
    /// Milliseconds since the epoch, once a turn.
    pub now_ms: i64,
    /// Microseconds since the epoch, likewise.
    pub now_us: i64,
    /// Time stamps for per-command figures.
    pub clock: quanta::Clock,
    /// Requests this core's shard has run.
    pub commands_count: u64,
    /// When the last request ended (`clock`).
    pub stamp: u64,
    /// Where the sweep over connections is.
    sweep: usize,
    /// Set by SHUTDOWN and signals: serve what is there, then end.
    pub stopping: bool,
    /// The configuration file, empty for none.
    pub config_file: Arc<str>,
    /// Where the shared state for the process's end lives.
    pub ending: Arc<super::Ending>,
    /// Where clients come in; core 0 only.
    pub listeners: Listeners,
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
    /// The process's key hash.
    pub hasher: KeyHasher,
    /// The process's end.
    pub ending: Arc<super::Ending>,
    /// The configuration file, empty for none.
    pub config_file: Arc<str>,
    /// Where clients come in; none but on core 0.
    pub listeners: Listeners,
}

impl Core {
    /// A core without connections.
    pub fn new(parts: CoreParts) -> Self {
        let mut core = Self {
            id: parts.id,
            map: SlotMap::new(parts.mesh.cores_count() as u16),
            hasher: parts.hasher,
            shard: parts.shard,
            mesh: parts.mesh,
            connections: Connections::default(),
            limits: Limits::default(),
            options: parts.options,
            spans: Vec::new(),
            hashes: Vec::new(),
            window: Window::default(),
            dirty: Vec::new(),
            resumes: Vec::new(),
            paused_connections: Vec::new(),
            congested: Vec::new(),
            starts: Vec::new(),
            asks: Vec::new(),
            transactions: HashMap::default(),
            gathers: HashMap::default(),
            next_question: 0,
            pause: None,
            counters: CoreCounters::default(),
            ring_work: Vec::new(),
            spare: Vec::new(),
            outgoing: Vec::new(),
            now_ms: 0,
            now_us: 0,
            clock: quanta::Clock::new(),
            commands_count: 0,
            stamp: 0,
            sweep: 0,
            stopping: false,
            ending: parts.ending,
            config_file: parts.config_file,
            listeners: parts.listeners,
        };
        core.apply_options();
        core.read_clock();
        core
    }

    /// Takes over what the options say.
    pub fn apply_options(&mut self) {
        self.limits.bulk_bytes_max = self.options.proto_max_bulk_len as usize;
        super::settings::apply_to_shard(&self.options, &mut self.shard);
    }

    /// Reads the wall clock for the turn.
    pub fn read_clock(&mut self) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.now_us = now.as_micros() as i64;
        self.now_ms = self.now_us / 1000;
        self.shard.set_now(self.now_ms);
    }

    /// Whether connections are few enough to sleep without looking again.
    fn is_idle(&self) -> bool {
        self.dirty.is_empty()
            && self.resumes.is_empty()
            && self.congested.is_empty()
            && self.ring_work.is_empty()
    }

    // ---- connections come and go

    /// Deals an accepted connection to the core with the fewest, or turns it away.
    fn accepted(&mut self, socket: OwnedFd) {
        let board = self.mesh.board().clone();
        self.counters.connections_received += 1;
        if i64::from(board.clients_count.load(Ordering::Relaxed)) >= self.options.maxclients {
            acceptor::refuse(&socket, b"-ERR max number of clients reached\r\n");
            self.counters.connections_rejected += 1;
            return;
        }
        let peer = acceptor::prepare(&socket, self.options.tcp_keepalive as u32);
        if let Some(reason) = super::settings::protection(&self.options, &peer) {
            acceptor::refuse(&socket, reason.as_bytes());
            self.counters.connections_rejected += 1;
            return;
        }
        let session = Session {
            id: board.next_client_id.fetch_add(1, Ordering::Relaxed),
            authenticated: self.options.requirepass.is_empty(),
            ..Session::default()
        };
        board.clients_count.fetch_add(1, Ordering::Relaxed);
        let connection = Box::new(Connection::new(socket, peer, session, self.now_ms));
        let fewest = (0..board.cores.len())
            .min_by_key(|&core| board.cores[core].connections_count.load(Ordering::Relaxed))
            .unwrap_or(0);
        board.cores[fewest]
            .connections_count
            .fetch_add(1, Ordering::Relaxed);
        if fewest == usize::from(self.id) {
            self.adopt(connection);
        } else {
            self.mesh.send(fewest, Message::Adopt(connection));
        }
    }

    fn adopt(&mut self, connection: Box<Connection>) {
        self.counters.moves_in += u64::from(connection.affinity.placed);
        let token = self.connections.insert(connection);
        self.ring_work.push(RingWork::Receive(token));
        if let Some(connection) = self.connections.get_mut(token)
            && (!connection.input.is_empty() || connection.held.is_some())
        {
            self.resumes.push(token);
        }
    }

    /// Ends a connection: its socket is shut, its place is free once its completions are in.
    pub fn close(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if !connection.closed {
            connection.closed = true;
            acceptor::shut(&connection.socket);
        }
        self.release(token);
    }

    /// The client will send nothing more: it goes once what it has sent is answered.
    fn input_ended(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if connection.blocked == Some(Blocked::Moving) {
            // The core it moves to will find the end again.
            return self.finish_move(token);
        }
        connection.ended = true;
        self.mark_dirty(token);
    }

    /// Frees a closed connection's place once the kernel has let go of it.
    fn release(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if !connection.closed || connection.receiving || connection.sending {
            return;
        }
        self.connections.remove(token);
        let board = self.mesh.board();
        board.cores[usize::from(self.id)]
            .connections_count
            .fetch_sub(1, Ordering::Relaxed);
        board.clients_count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Sends a connection to the core it is moving to, once nothing of it is left here.
    fn finish_move(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if connection.blocked != Some(Blocked::Moving)
            || connection.closed
            || connection.receiving
            || connection.sending
            || !connection.output.is_empty()
        {
            return;
        }
        let Some(mut connection) = self.connections.remove(token) else {
            return;
        };
        let target = usize::from(connection.moving_to.take().unwrap_or(self.id));
        connection.blocked = None;
        let board = self.mesh.board();
        board.cores[usize::from(self.id)]
            .connections_count
            .fetch_sub(1, Ordering::Relaxed);
        board.cores[target]
            .connections_count
            .fetch_add(1, Ordering::Relaxed);
        self.counters.moves_out += 1;
        self.mesh.send(target, Message::Adopt(connection));
    }

    /// Puts a connection on the list of those with output.
    #[inline]
    pub fn mark_dirty(&mut self, token: Token) {
        if let Some(connection) = self.connections.get_mut(token)
            && !connection.dirty
        {
            connection.dirty = true;
            self.dirty.push(token);
        }
    }

    /// A buffer for output.
    #[inline]
    pub fn spare_buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Keeps a buffer for later.
    #[inline]
    pub fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() != 0
            && buffer.capacity() <= SPARE_BUFFER_BYTES_MAX
            && self.spare.len() < SPARE_BUFFERS_MAX
        {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    // ---- transactions and messages

    /// Runs whatever has become possible until nothing has: transactions, events of the shard, resumed connections.
    pub fn settle(&mut self) {
        loop {
            if let Some((token, transaction)) = self.starts.pop() {
                self.start(token, transaction);
            } else if let Some((token, request)) = self.asks.pop() {
                self.node_request(token, request);
            } else if let Some((core, event)) = self.shard.next_event() {
                if core == self.id {
                    self.from_shard(event);
                } else {
                    self.mesh.send(usize::from(core), Message::FromShard(event));
                }
            } else if let Some(token) = self.resumes.pop() {
                self.resume(token);
            } else {
                return;
            }
        }
    }

    fn start(&mut self, token: Token, mut transaction: Transaction) {
        let tx = self.mesh.board().next_tx.fetch_add(1, Ordering::Relaxed);
        self.counters.transactions += 1;
        let mut outgoing = std::mem::take(&mut self.outgoing);
        transaction.start(self.id, tx, &mut outgoing);
        self.transactions.insert(tx, (token, transaction));
        self.send_to_shards(&mut outgoing);
        self.outgoing = outgoing;
    }

    fn send_to_shards(&mut self, outgoing: &mut Vec<(u16, ToShard)>) {
        for (shard, message) in outgoing.drain(..) {
            if shard == self.id {
                self.shard.handle(message);
            } else {
                self.mesh
                    .send(usize::from(shard), Message::ToShard(message));
            }
        }
    }

    fn from_shard(&mut self, event: FromShard) {
        let tx = match &event {
            FromShard::Late { origin, reply } => {
                let token = Token {
                    index: origin.connection,
                    generation: origin.generation,
                };
                return self.fill(token, origin.sequence, reply);
            }
            FromShard::Scheduled { tx, .. } | FromShard::Ran { tx, .. } => *tx,
        };
        let Some((token, mut transaction)) = self.transactions.remove(&tx) else {
            return;
        };
        let board = self.mesh.board().clone();
        let retries = &mut self.counters.transaction_retries;
        let mut next_tx = || {
            *retries += 1;
            board.next_tx.fetch_add(1, Ordering::Relaxed)
        };
        let mut outgoing = std::mem::take(&mut self.outgoing);
        let step = transaction.receive(event, &mut next_tx, &mut outgoing);
        match step {
            Step::Wait => {
                self.transactions
                    .insert(transaction.tx(), (token, transaction));
            }
            Step::Done { reply } => self.complete(token, |out, _| out.extend_from_slice(&reply)),
        }
        self.send_to_shards(&mut outgoing);
        self.outgoing = outgoing;
    }

    /// Writes the reply a connection was blocked for and lets it go on.
    pub fn complete(&mut self, token: Token, write: impl FnOnce(&mut Vec<u8>, &mut Session)) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        let silent = std::mem::take(&mut connection.silent_reply);
        let length = connection.output.len();
        write(&mut connection.output, &mut connection.session);
        if silent {
            connection.output.truncate(length);
        }
        connection.blocked = None;
        self.resumes.push(token);
        self.mark_dirty(token);
    }

    /// A reply has come for a request that was sent away.
    #[inline]
    fn fill(&mut self, token: Token, sequence: u64, reply: &[u8]) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if connection.output.capacity() == 0 {
            connection.output = self.spare.pop().unwrap_or_default();
        }
        connection.fill(sequence, reply);
        if connection.is_drained() && connection.blocked == Some(Blocked::UntilDrained) {
            connection.blocked = None;
            self.resumes.push(token);
        }
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(token);
        }
    }

    /// Takes everything the other cores have sent; returns how many batches.
    fn drain_mesh(&mut self) -> usize {
        let mut batches_count = 0;
        for from in 0..self.mesh.cores_count() {
            while let Some(batch) = self.mesh.receive(from) {
                batches_count += 1;
                if batch.answered {
                    self.take_replies(batch);
                } else {
                    self.serve_batch(from, batch);
                }
            }
        }
        batches_count
    }

    fn take_replies(&mut self, batch: Box<Batch>) {
        let mut at = 0;
        for item in &batch.items {
            if item.reply_bytes == DEFERRED {
                continue;
            }
            let reply = &batch.replies[at..at + item.reply_bytes as usize];
            at += reply.len();
            self.fill(
                Token {
                    index: item.connection,
                    generation: item.generation,
                },
                item.sequence,
                reply,
            );
        }
        self.mesh.reuse(batch);
    }

    fn serve_batch(&mut self, from: usize, mut batch: Box<Batch>) {
        let Batch {
            items,
            spans,
            bytes,
            replies,
            messages,
            ..
        } = &mut *batch;
        let (mut bytes_at, mut spans_at) = (0, 0);
        self.counters.hops_in += items.len() as u64;
        let mut before = self.clock.raw();
        let mut hashes = std::mem::take(&mut self.hashes);
        let mut at = 0;
        for item in items.iter() {
            // As in `look_ahead`: word 1 is the key of most commands.
            if item.spans_count > 1 {
                let span = spans[spans_at + 1];
                let key = &bytes[at + span.start as usize..at + (span.start + span.len) as usize];
                let key = self.shard.keys.key(key);
                self.shard.keys.prefetch(usize::from(item.db), &key);
                hashes.push((item.db, key.hash));
            }
            at += item.bytes_count as usize;
            spans_at += item.spans_count as usize;
        }
        for (db, hash) in hashes.drain(..) {
            self.shard.keys.prefetch_entry(usize::from(db), hash);
        }
        self.hashes = hashes;
        spans_at = 0;
        for item in items.iter_mut() {
            let bytes_end = bytes_at + item.bytes_count as usize;
            let spans_end = spans_at + item.spans_count as usize;
            let args = Args::new(&bytes[bytes_at..bytes_end], &spans[spans_at..spans_end]);
            (bytes_at, spans_at) = (bytes_end, spans_end);
            let origin = Origin {
                core: from as u16,
                connection: item.connection,
                generation: item.generation,
                sequence: item.sequence,
            };
            let request = Request {
                entry: item.entry,
                db: item.db,
                caller: item.caller,
                origin,
            };
            let length = replies.len();
            item.reply_bytes = match self.shard.execute(&request, &args, replies) {
                Outcome::Done => (replies.len() - length) as u32,
                Outcome::Deferred => DEFERRED,
            };
            let after = self.clock.raw();
            self.shard
                .record(item.entry.index, self.clock.delta_as_nanos(before, after));
            before = after;
            self.commands_count += 1;
        }
        for message in messages.drain(..) {
            self.message(from, message);
        }
        self.mesh.answer(from, batch);
    }

    fn message(&mut self, from: usize, message: Message) {
        match message {
            Message::Adopt(connection) => self.adopt(connection),
            Message::ToShard(message) => self.shard.handle(message),
            Message::FromShard(event) => self.from_shard(event),
            Message::Large { item, bytes, spans } => {
                let origin = Origin {
                    core: from as u16,
                    connection: item.connection,
                    generation: item.generation,
                    sequence: item.sequence,
                };
                let request = Request {
                    entry: item.entry,
                    db: item.db,
                    caller: item.caller,
                    origin,
                };
                let mut reply = Vec::new();
                self.counters.hops_in += 1;
                let before = self.clock.raw();
                let outcome =
                    self.shard
                        .execute(&request, &Args::shared(&bytes, &spans), &mut reply);
                let took_ns = self.clock.delta_as_nanos(before, self.clock.raw());
                self.shard.record(item.entry.index, took_ns);
                self.commands_count += 1;
                if outcome == Outcome::Done {
                    let Origin {
                        connection,
                        generation,
                        sequence,
                        ..
                    } = origin;
                    self.mesh.send(
                        from,
                        Message::LargeReply {
                            connection,
                            generation,
                            sequence,
                            reply,
                        },
                    );
                }
            }
            Message::LargeReply {
                connection,
                generation,
                sequence,
                reply,
            } => {
                self.fill(
                    Token {
                        index: connection,
                        generation,
                    },
                    sequence,
                    &reply,
                );
            }
            Message::Ask { id, question } => self.asked(from, id, question),
            Message::Answer { id, answer } => self.answered(id, answer),
        }
    }

    // ---- the tick

    /// What is due ten times a second: expiry, pauses, idle clients, output limits.
    fn tick(&mut self) {
        self.counters.ticks += 1;
        if self
            .pause
            .is_some_and(|pause| pause.until_ms <= self.now_ms)
        {
            self.unpause();
        }
        // A tenth of the connections a tick, at least 64, so that 10,000 clients cost a core little.
        let places = self.connections.places_count();
        for _ in 0..(places / 10).max(64).min(places) {
            self.sweep = if self.sweep + 1 >= places {
                0
            } else {
                self.sweep + 1
            };
            if let Some(token) = self.connections.token_at(self.sweep) {
                self.check_client(token);
            }
        }
        self.counters.sample(self.now_ms, self.commands_count);
    }

    fn check_client(&mut self, token: Token) {
        let timeout_ms = self.options.timeout * 1000;
        let now_ms = self.now_ms;
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        let idle = connection.blocked.is_none() && connection.is_drained();
        if timeout_ms > 0 && idle && now_ms - connection.last_active_ms > timeout_ms {
            self.close(token);
            return;
        }
        connection.input.shrink_to(if connection.input.is_empty() {
            0
        } else {
            usize::MAX
        });
        self.check_output(token);
    }

    /// Ends the pause and lets its connections go on.
    pub fn unpause(&mut self) {
        self.pause = None;
        self.shard.keys.set_expiry_paused(false);
        for token in std::mem::take(&mut self.paused_connections) {
            if let Some(connection) = self.connections.get_mut(token)
                && connection.blocked == Some(Blocked::Paused)
            {
                connection.blocked = None;
                self.resumes.push(token);
            }
        }
    }

    /// Closes a client whose unsent output is over its limit.
    pub fn check_output(&mut self, token: Token) {
        let limit = self.options.normal_output_limit();
        let now_ms = self.now_ms;
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        let bytes = connection.output_bytes() as u64;
        let over_hard = limit.hard_bytes > 0 && bytes > limit.hard_bytes;
        let over_soft = limit.soft_bytes > 0 && bytes > limit.soft_bytes;
        if !over_soft {
            connection.soft_limit_since_ms = 0;
        } else if connection.soft_limit_since_ms == 0 {
            connection.soft_limit_since_ms = now_ms;
        }
        let over_soft_long =
            over_soft && now_ms - connection.soft_limit_since_ms > limit.soft_seconds as i64 * 1000;
        if (over_hard || over_soft_long) && !connection.closed {
            tracing::warn!(
                client = connection.session.id,
                bytes,
                "closed: output is over client-output-buffer-limit"
            );
            self.counters.output_limit_disconnections += 1;
            self.close(token);
        }
    }
}

/// A core with its ring: the loop.
pub struct CoreLoop {
    ring: Ring,
    core: Core,
    events: Vec<Event>,
    /// Expiry or freeing has more to do than a tick's budget.
    more_cycle: bool,
    /// Listeners whose accept failed, armed again at the next tick.
    silent_listeners: Vec<u32>,
    /// Readable when a signal has come; core 0 only.
    signal: Option<OwnedFd>,
}

impl CoreLoop {
    /// Binds a core to its ring.
    pub fn new(core: Core, ring: Ring, signal: Option<OwnedFd>) -> Self {
        core.mesh
            .board()
            .set_ring(usize::from(core.id), ring.descriptor());
        Self {
            ring,
            core,
            events: Vec::with_capacity(1024),
            more_cycle: false,
            silent_listeners: Vec::new(),
            signal,
        }
    }

    /// Serves until told to stop. The root future of the core's executor.
    pub async fn run(mut self) {
        use std::os::fd::AsFd;
        self.change_accepts();
        if let Some(signal) = &self.signal {
            self.ring.watch(signal.as_fd());
        }
        self.ring.arm_tick();
        let mut busy = true;
        loop {
            let wait = !busy && self.core.is_idle() && self.core.mesh.may_sleep();
            if let Err(error) = self.ring.enter(wait) {
                // Nothing can be served without the ring: say so and stop before anything is answered wrongly.
                tracing::error!(core = self.core.id, %error, "io_uring_enter failed");
                std::process::exit(1);
            }
            if wait {
                self.core.mesh.wake();
            }
            busy = self.turn();
            if self.core.stopping && self.is_drained() {
                return;
            }
        }
    }

    /// One turn; whether another should follow without waiting.
    fn turn(&mut self) -> bool {
        self.core.counters.turns += 1;
        self.core.read_clock();
        let mut events = std::mem::take(&mut self.events);
        self.ring.reap(&mut events);
        let mut busy = !events.is_empty();
        for event in events.drain(..) {
            self.event(event);
        }
        self.events = events;
        busy |= self.core.drain_mesh() > 0;
        self.core.settle();
        self.core.resume_congested();
        self.core.settle();
        self.flush_output();
        self.do_ring_work();
        self.change_accepts();
        let ring = &mut self.ring;
        self.core
            .mesh
            .flush(|descriptor| ring.ring_bell(descriptor));
        if self.more_cycle {
            self.cycle(TURN_BUDGET);
        }
        busy || self.more_cycle
    }

    /// Arms the accept of a listener that is still there.
    fn accept(&mut self, listener: u32) {
        if let Some(socket) = self.core.listeners.fd(listener) {
            self.ring.accept(socket, listener);
        }
    }

    /// Accepts wherever the listeners are by now.
    fn change_accepts(&mut self) {
        for change in self.core.listeners.take_changes() {
            match change {
                Change::Arm(listener) => self.accept(listener),
                Change::Disarm(listener) => self.ring.stop_accepting(listener),
            }
        }
    }

    fn cycle(&mut self, budget: CycleBudget) {
        let before = self.core.clock.raw();
        self.more_cycle = self.core.shard.cycle(budget);
        let after = self.core.clock.raw();
        self.core.counters.cycle_ns += self.core.clock.delta_as_nanos(before, after);
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Received {
                token,
                received,
                more,
            } => {
                if let Some(connection) = self.core.connections.get_mut(token) {
                    connection.receiving = more;
                } else {
                    if let Received::Bytes(buffer) = received {
                        self.ring.recycle(buffer);
                    }
                    return;
                }
                match received {
                    Received::Bytes(buffer) => {
                        self.core.counters.reads += 1;
                        self.core.on_bytes(token, self.ring.bytes(&buffer));
                        self.ring.recycle(buffer);
                        if !more {
                            self.core.ring_work.push(RingWork::Receive(token));
                            self.core.finish_move(token);
                        }
                    }
                    Received::Stopped => {
                        self.core.ring_work.push(RingWork::Receive(token));
                        self.core.finish_move(token);
                    }
                    Received::Ended => self.core.input_ended(token),
                }
                self.core.settle();
                self.core.release(token);
            }
            Event::Sent {
                token,
                result,
                buffer,
            } => self.sent(token, result, buffer),
            Event::Accepted {
                listener,
                result,
                more,
            } => {
                let failed = result.is_err();
                let is_gone = self.core.listeners.fd(listener).is_none();
                match result {
                    Ok(socket) if !self.core.stopping => self.core.accepted(socket),
                    Ok(_) => {}
                    Err(_) if is_gone => {}
                    Err(errno) => {
                        let error = std::io::Error::from_raw_os_error(errno);
                        tracing::warn!(%error, "accept failed");
                    }
                }
                if !more && !is_gone && !self.core.stopping {
                    if failed {
                        // Out of descriptors, most likely: trying again at once would only spin.
                        self.silent_listeners.push(listener);
                    } else {
                        self.accept(listener);
                    }
                }
            }
            Event::Tick => {
                self.core.tick();
                for listener in std::mem::take(&mut self.silent_listeners) {
                    self.accept(listener);
                }
                self.cycle(CycleBudget::default());
                self.core.counters.cycles_over_budget += u64::from(self.more_cycle);
                self.ring.arm_tick();
            }
            Event::Readable => self.core.ask_all_to_stop(),
            Event::Bell => {}
        }
    }

    fn sent(&mut self, token: Token, result: i32, mut buffer: Vec<u8>) {
        let Some(connection) = self.core.connections.get_mut(token) else {
            return;
        };
        connection.sending = false;
        connection.sending_bytes = 0;
        if result < 0 {
            self.core.close(token);
            return;
        }
        let sent = (result as usize).min(buffer.len());
        connection.bytes_out += sent as u64;
        self.core.counters.writes += 1;
        self.core.counters.bytes_out += sent as u64;
        if connection.closed {
            self.core.release(token);
        } else if sent < buffer.len() {
            buffer.drain(..sent);
            connection.sending = true;
            connection.sending_bytes = buffer.len();
            self.ring.send(connection.fd(), token, buffer);
            return;
        } else if !connection.output.is_empty() {
            self.core.mark_dirty(token);
        } else if connection.has_said_all() {
            self.core.close(token);
        } else {
            self.core.finish_move(token);
        }
        self.core.keep_buffer(buffer);
    }

    /// Queues one send for each connection with output.
    fn flush_output(&mut self) {
        let mut dirty = std::mem::take(&mut self.core.dirty);
        for token in dirty.drain(..) {
            let Some(connection) = self.core.connections.get_mut(token) else {
                continue;
            };
            connection.dirty = false;
            if connection.closed {
                connection.output = Vec::new();
                continue;
            }
            if connection.output.is_empty() {
                let buffer = std::mem::take(&mut connection.output);
                let done = connection.has_said_all() && !connection.sending;
                self.core.keep_buffer(buffer);
                if done {
                    self.core.close(token);
                }
                continue;
            }
            if connection.sending {
                self.core.check_output(token);
                continue;
            }
            let output = std::mem::take(&mut connection.output);
            connection.sending = true;
            connection.sending_bytes = output.len();
            self.ring.send(connection.fd(), token, output);
            if connection.sending_bytes > SPARE_BUFFER_BYTES_MAX {
                self.core.check_output(token);
            }
        }
        self.core.dirty = dirty;
    }

    fn do_ring_work(&mut self) {
        for work in std::mem::take(&mut self.core.ring_work) {
            match work {
                RingWork::Receive(token) => {
                    let Some(connection) = self.core.connections.get_mut(token) else {
                        continue;
                    };
                    let moving = connection.blocked == Some(Blocked::Moving);
                    if connection.closed
                        || connection.receiving
                        || moving
                        || connection.stop_receiving
                    {
                        continue;
                    }
                    connection.receiving = true;
                    self.ring.receive(connection.fd(), token);
                }
                RingWork::StopReceiving(token) => {
                    let armed = self.core.connections.get_mut(token);
                    if armed.is_some_and(|connection| connection.receiving) {
                        self.ring.stop_receiving(token);
                    } else {
                        // Nothing will say that it has stopped.
                        self.core.finish_move(token);
                    }
                }
            }
        }
    }

    /// Whether a stopping core has nothing left to do.
    fn is_drained(&mut self) -> bool {
        let core = &mut self.core;
        let late = core.ending.is_overdue();
        let tokens: Vec<Token> = core.connections.tokens().collect();
        for token in tokens {
            let Some(connection) = core.connections.get_mut(token) else {
                continue;
            };
            let quiet = connection.is_drained()
                && connection.output.is_empty()
                && !connection.sending
                && connection.blocked != Some(Blocked::UntilReply);
            if quiet || late {
                core.close(token);
            }
        }
        let done = late || core.connections.is_empty();
        // Peers may still need this shard: leave together.
        if done {
            core.ending.arrive(core.id);
        }
        done && core.ending.all_arrived()
    }
}

/// The most `used_memory` has been, as far as INFO has looked.
pub fn remember_peak(used: u64) -> u64 {
    static PEAK: AtomicU64 = AtomicU64::new(0);
    PEAK.fetch_max(used, Ordering::Relaxed).max(used)
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
        core.mesh.send(to, Message::Ask { id, question });
    }
}
