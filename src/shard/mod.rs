//! Shard: one core's keys, the locks on them, and what runs on them.
//!
//! Promises  everything that arrives is finished or waits for a lock of lower place, so nothing waits for ever; with
//!           no lock held, a request pays one branch for all of this. Requests that touch a common key, or came on
//!           one connection, run in the order they arrived.
//! Not here  clocks, sockets, the mesh: `node/`.
//! Tests     tests/shard/, tests/sim/.
#![forbid(unsafe_code)]

mod blocks;
mod claimable;
pub mod cycle;
mod effects;
pub mod figures;
pub mod hot_keys;
pub mod key_costs;
pub mod ledger;
pub mod locks;
mod long_reads;
pub mod memory;
mod operations;
mod patience;
pub mod put_off;
pub mod replay;
pub mod scripts;
mod tracking;
mod transactions;
pub mod type_sample;
pub mod waiters;
pub mod waiting;
mod watches;

pub use cycle::CycleBudget;
pub use figures::{CommandFigures, Durations, ErrorCounts, Figures};
pub use ledger::Ledger;
pub use memory::MemoryOptions;
pub use waiting::Waited;

use std::collections::{HashMap, VecDeque};

use crate::commands::for_each_key;
use crate::commands::table::{Aside, Call, Caller, KeysHandler, Logged, Patience, Wait};
use crate::commands::{CommandError, Entry, Flags};
use crate::ds::key_table::ReadLimit;
use crate::keyspace::Keyspace;
use crate::keyspace::cut::CutSizes;
use crate::persist::Log;
use crate::persist::libraries::LibraryChange;
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Lent, Reply};
use crate::router::calls::SlowCall;
use crate::router::keys::for_each_lock;
use crate::router::packed::{Packed, Step};
use crate::router::{FromShard, KeyLock, LockMode, Origin, ShardId, ToShard, TxId};
use cycle::Pace;
use effects::Logging;
use hot_keys::HotKeys;
use locks::{LockTable, Ticket};
use long_reads::LongRead;
use memory::Memory;
use transactions::{First, WaitingTransaction};
use waiters::{Change, Waiters};
use waiting::gives_nothing;
use watches::Watches;

/// Nanoseconds since some moment. The room has no clock: whoever runs it brings one.
pub type Stopwatch = fn() -> u64;

/// A single-shard request, without its words.
#[derive(Clone, Copy)]
pub struct Request {
    /// What to run; its arity has been checked.
    pub entry: &'static Entry,
    /// The selected database.
    pub db: u16,
    /// Who asks.
    pub caller: Caller,
    /// Who waits for the reply.
    pub origin: Origin,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reply is in `out`.
    Done,
    /// A lock is in the way, and the reply comes as [`FromShard::Late`]; or it is very long, and comes as
    /// [`FromShard::Part`] after part. `out` is as it was.
    Deferred,
}

/// A cut that was made here.
#[derive(Debug)]
pub struct CutMade {
    /// What there was.
    pub sizes: CutSizes,
    /// Changes up to then, as [`Shard::changes_count`] counts them.
    pub changes: u64,
    /// It is to become the base of the logs.
    pub is_base: bool,
    /// Then: the last record of this shard's log by then; 0 without a log.
    pub lsn: u64,
}

/// One core's part of the data, and what runs on it.
pub struct Shard {
    /// Its keys.
    pub keys: Keyspace,
    id: ShardId,
    locks: LockTable,
    /// Transactions that wait for their locks.
    waiting: HashMap<TxId, WaitingTransaction, ahash::RandomState>,
    deferred: HashMap<Ticket, (Request, OwnedArgs), ahash::RandomState>,
    /// Blocks that wait for a lock as requests do.
    deferred_blocks: HashMap<Ticket, (Request, Packed), ahash::RandomState>,
    events: VecDeque<(u16, FromShard)>,
    /// Replies that are made in pieces.
    long_reads: VecDeque<LongRead>,
    /// How much of one is made at once.
    read_step: ReadLimit,
    /// What runs is a request by itself, whose reply may come in pieces.
    is_alone: bool,
    waiters: Waiters,
    watches: Watches,
    figures: Figures,
    /// Calls from here on, in nanoseconds, are slow.
    slow_ns: u64,
    /// Replies of so many bytes are large.
    large_bytes: u64,
    /// Lent to each call; empty between two.
    aside: Aside,
    stopwatch: Stopwatch,
    /// Slow calls of the operation that runs.
    slow_calls: Vec<SlowCall>,
    /// What its requests are for, while somebody looks.
    hot_keys: HotKeys,
    changes_count: u64,
    cut: Option<CutMade>,
    logging: Option<Box<Logging>>,
    /// A log that begins with the next cut that is a base.
    next_log: Option<Box<Log>>,
    /// Changes of libraries of functions from records that were run again, with their versions.
    replayed_libraries: Vec<(u64, LibraryChange)>,
    pace: Pace,
    memory: Memory,
    /// Reused for the keys of requests that arrive while locks are held.
    key_locks: Vec<KeyLock>,
}

impl Shard {
    /// A shard over `keys`.
    pub fn new(id: ShardId, keys: Keyspace) -> Self {
        Self {
            keys,
            id,
            locks: LockTable::new(),
            waiting: HashMap::default(),
            deferred: HashMap::default(),
            deferred_blocks: HashMap::default(),
            events: VecDeque::new(),
            long_reads: VecDeque::new(),
            read_step: long_reads::STEP,
            is_alone: false,
            waiters: Waiters::default(),
            watches: Watches::default(),
            figures: Figures::default(),
            slow_ns: u64::MAX,
            large_bytes: u64::MAX,
            aside: Aside::default(),
            stopwatch: || 0,
            slow_calls: Vec::new(),
            hot_keys: HotKeys::new(u64::from(id) + 1),
            changes_count: 0,
            cut: None,
            logging: None,
            next_log: None,
            replayed_libraries: Vec::new(),
            pace: Pace::default(),
            memory: Memory::new(Ledger::new(usize::from(id) + 1)),
            key_locks: Vec::new(),
        }
    }

    /// Whether a transaction holds keys here, or waits for some.
    #[inline]
    pub fn has_holders(&self) -> bool {
        self.locks.holders_count() > 0
    }

    /// Whether this transaction has keys here, so that it may change them again.
    pub fn is_held_by(&self, tx: TxId) -> bool {
        self.locks.has_holder(tx)
    }

    /// Breaks it on purpose: no lock keeps anyone out. The simulator must notice.
    #[doc(hidden)]
    pub fn without_locks(mut self) -> Self {
        self.locks = LockTable::without_locks();
        self
    }

    /// Breaks it on purpose: what a script seizes is not locked. The simulator must notice.
    #[doc(hidden)]
    pub fn without_seizing(mut self) -> Self {
        self.locks.grant_seizures_without_locks();
        self
    }

    /// Breaks it on purpose: of those who wait for a key, only the last to come is served. The simulator must notice.
    #[doc(hidden)]
    pub fn serving_last_first(mut self) -> Self {
        self.waiters.serve_last_first();
        self
    }

    /// Moves time, in milliseconds since the epoch, for everything until the next call.
    #[inline]
    pub fn set_now(&mut self, now_ms: i64) {
        self.keys.set_now(now_ms);
        if let Some(logging) = &mut self.logging {
            logging.log.set_now(now_ms);
        }
    }

    /// Runs a request all of whose keys are here, and appends its reply, errors included, to `out`.
    ///
    /// - `args`: all words, a container's name included.
    /// - Cost: one branch and the handler, while no lock is held on this shard.
    #[inline]
    pub fn execute(&mut self, request: &Request, args: &Args<'_>, out: &mut Vec<u8>) -> Outcome {
        if !self.locks.is_idle() && self.defer(request, args) {
            return Outcome::Deferred;
        }
        let length = out.len();
        self.run_alone(request, args, out);
        // What follows is of others.
        self.aside.may_lend = false;
        let is_long = out.len() == length && self.begin_long_read(request, args);
        self.after_writes();
        match is_long {
            true => Outcome::Deferred,
            false => Outcome::Done,
        }
    }

    /// Whether the request that is executed next may leave a long string of its reply where it lies: then whoever has it executed
    /// asks for that with [`Shard::take_lent`] right after, even if it was put off.
    #[inline]
    pub fn may_lend(&mut self, may_lend: bool) {
        self.aside.may_lend = may_lend;
    }

    /// What its reply lacks; the next one lends nothing.
    #[inline]
    pub fn take_lent(&mut self) -> Option<Lent> {
        self.aside.may_lend = false;
        self.aside.lent.take()
    }

    /// Runs a request that nothing is in the way of; `out` stays as it is if its reply is to come in pieces.
    #[inline]
    fn run_alone(&mut self, request: &Request, args: &Args<'_>, out: &mut Vec<u8>) {
        self.begin_alone();
        self.run_whole(request, args, out);
        self.end_alone();
    }

    /// The same with a reply that comes at once.
    #[inline]
    fn run_whole(&mut self, request: &Request, args: &Args<'_>, out: &mut Vec<u8>) {
        let Request {
            entry, db, caller, ..
        } = *request;
        if self.memory.is_limited {
            self.run_limited(request, args, out);
        } else {
            self.run(entry, db, caller, Patience::Never, args, out);
        }
    }

    /// From here on a request stands for itself.
    #[inline]
    fn begin_alone(&mut self) {
        // What it costs is noted when it has run.
        self.is_alone = !self.hot_keys.is_on();
    }

    #[inline]
    fn end_alone(&mut self) {
        self.is_alone = false;
    }

    /// Whether a request needs no more than its handler and the log: nobody else looks at what it reads or changes, and no lock
    /// is held.
    #[inline]
    pub fn is_bare(&self) -> bool {
        self.locks.is_idle()
            && !self.memory.is_limited
            && !self.hot_keys.is_on()
            && self.watches.is_empty()
            && self.waiters.is_empty()
            && !self.keys.is_tracked()
    }

    /// As [`Shard::execute`] while the shard [is bare](Shard::is_bare), which no request changes that runs here. Where nothing
    /// is written to `out`, [`Shard::begin_long_read`] is to follow.
    ///
    /// - `handler`: of `entry`, which is no subcommand.
    #[inline]
    pub fn execute_bare(
        &mut self,
        entry: &'static Entry,
        handler: KeysHandler,
        db: u16,
        caller: &Caller,
        args: &Args<'_>,
        out: &mut Vec<u8>,
    ) {
        debug_assert!(self.is_bare(), "nobody looks");
        let start = out.len();
        let mut reply = Reply::new(out, caller.protocol);
        let mut call = Call {
            keys: &mut self.keys,
            db: usize::from(db),
            caller,
            patience: Patience::Never,
            is_alone: true,
            is_logged: self.logging.is_some(),
            aside: &mut self.aside,
        };
        match handler(&mut call, args, &mut reply) {
            Ok(effect) => {
                self.changes_count += effect.changes;
                if call.is_logged {
                    let logged = call.aside.take_logged();
                    self.log_bare(entry, db, args, effect, &logged);
                }
            }
            Err(error) => {
                reply.truncate(start);
                reply.error_bytes(&error.line());
                call.aside.instead = None;
                if self.logging.is_some() {
                    self.log_call(entry, db, args, None, &Logged::Off);
                }
                self.figures.record_failure(entry.index, &error.line());
            }
        }
    }

    /// Runs a request while there is a limit of memory.
    fn run_limited(&mut self, request: &Request, args: &Args<'_>, out: &mut Vec<u8>) {
        let Request {
            entry, db, caller, ..
        } = *request;
        if !self.has_room_for(request, args) {
            let error = self.refuse_growth(entry);
            return Reply::new(out, caller.protocol).error_bytes(&error.line());
        }
        self.run(entry, db, caller, Patience::Never, args, out);
        if entry.command.flags.has(Flags::WRITE) {
            self.settle_memory(db);
        }
    }

    /// Runs the commands of a block one after the other; whoever waits for what they change is served after the last.
    /// No lock may be held here, unless it is the block's.
    ///
    /// - `ran`: told of each when it has run, with the bytes of its reply.
    pub fn run_block<'q>(
        &mut self,
        commands: impl IntoIterator<Item = Step<'q>>,
        db: u16,
        caller: Caller,
        out: &mut Vec<u8>,
        mut ran: impl FnMut(&mut Self, &Step<'q>, usize),
    ) {
        self.begin_group();
        for step in commands {
            if let Some(error) = step.denied {
                Reply::new(out, caller.protocol).error_bytes(&error.line());
                continue;
            }
            let length = out.len();
            self.run(step.entry, db, caller, Patience::Denied, &step.args, out);
            ran(self, &step, out.len() - length);
        }
        self.end_group();
    }

    /// Serves whoever waited for what a block has changed.
    pub fn end_block(&mut self) {
        if self.memory.is_limited {
            self.settle_all_memory();
        }
        self.after_writes();
    }

    /// Takes one message of a transaction. Answers, its own and those of whoever it made room for, are events.
    pub fn handle(&mut self, message: ToShard) {
        self.waiters.set_change(Change::OfSeveral);
        match message {
            ToShard::Schedule {
                tx,
                core,
                locks,
                read,
            } => self.schedule(tx, core, locks, read.into()),
            ToShard::RunWhole {
                tx,
                core,
                locks,
                operation,
            } if self.locks.lets_pass(&locks) => self.answer_whole(core, tx, operation),
            ToShard::RunWhole {
                tx,
                core,
                locks,
                operation,
            } => self.schedule(tx, core, locks, First::Whole(operation)),
            // Where it is to be logged, its locks stay until it is.
            ToShard::RunLast {
                tx,
                core,
                locks,
                operation,
            } if self.logging.is_none() && self.locks.lets_pass(&locks) => {
                self.answer_step(core, tx, operation);
            }
            ToShard::RunLast {
                tx,
                core,
                locks,
                operation,
            } => self.schedule(tx, core, locks, First::Last(operation)),
            ToShard::Recall { tx } => self.recall(tx),
            ToShard::Run {
                tx,
                core,
                operation,
                last,
            } => match operation.again() {
                Some(again) => self.answer_step_or_later((core, tx), (operation, again), last),
                None => {
                    let is_to_be_logged = self.answer_step(core, tx, operation);
                    if last && !is_to_be_logged {
                        self.release(tx);
                    }
                }
            },
            ToShard::Seize {
                tx,
                core,
                locks,
                then,
            } => self.seize(tx, core, locks, then),
            ToShard::Withdraw { tx, core } => self.withdraw(tx, core),
            ToShard::Release { tx } => self.release(tx),
            ToShard::TurnAway { tx, is_function } => self.turn_whole_away(tx, is_function),
            ToShard::Forget { id } => self.forget_waiter(id),
            ToShard::Rest { id } => self.rest_waiter(id),
            ToShard::Unwatch { id } => self.unwatch(id),
            ToShard::EndRead { reading } => self.end_long_read(reading),
            ToShard::ReadOn { reading } => self.want_more(reading),
        }
        self.after_writes();
        self.waiters.set_change(Change::Here);
    }

    /// The next message to send, and the core it is for.
    pub fn next_event(&mut self) -> Option<(u16, FromShard)> {
        self.events.pop_front()
    }

    /// Whether there is such a message.
    #[inline]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Counts one call of the command with this index and its time.
    #[inline]
    pub fn record(&mut self, index: u16, nanoseconds: u64) {
        self.figures.record(index, nanoseconds);
    }

    /// The same of one whose time has waits for others in it.
    pub fn record_with_waits(&mut self, index: u16, nanoseconds: u64) {
        self.figures.record_with_waits(index, nanoseconds);
    }

    /// How long commands have been at work here, in nanoseconds.
    pub fn work_ns(&self) -> u64 {
        self.figures.work_ns()
    }

    /// Measures what runs here without the node, and notes calls that take `slow_ns` or longer, or whose replies have
    /// `large_bytes` or more.
    pub fn set_stopwatch(&mut self, stopwatch: Stopwatch, slow_ns: u64, large_bytes: u64) {
        self.stopwatch = stopwatch;
        self.slow_ns = slow_ns;
        self.large_bytes = large_bytes;
    }

    /// Figures by command index; commands past the end have not been called.
    pub fn figures(&self) -> &[CommandFigures] {
        self.figures.commands()
    }

    /// All figures, to count what did not run here: rejected requests, failed transactions.
    pub fn figures_mut(&mut self) -> &mut Figures {
        &mut self.figures
    }

    /// Errors by code.
    pub fn error_counts(&self) -> &ErrorCounts {
        self.figures.errors()
    }

    /// Counts a change of what is no key: save points count those of libraries too.
    pub fn note_change(&mut self) {
        self.changes_count += 1;
    }

    /// Changes made so far, as Redis counts `rdb_changes_since_last_save`.
    pub fn changes_count(&self) -> u64 {
        self.changes_count
    }

    /// The cut that was made since this was asked last: its records come out of [`Keyspace::cut_step`].
    #[inline]
    pub fn take_cut(&mut self) -> Option<CutMade> {
        self.cut.take()
    }

    /// Whether [`Shard::take_cut`] has one.
    #[inline]
    pub fn has_cut_to_take(&self) -> bool {
        self.cut.is_some()
    }

    /// Other keys instead of those that are there. Nothing that writes is under way.
    ///
    /// - `options`: the limit of memory, as [`Shard::set_memory_options`] was told.
    pub fn replace_keys(&mut self, keys: Keyspace, options: MemoryOptions) {
        let now_ms = self.keys.now_ms();
        self.touch_all_watched();
        let mut before = std::mem::replace(&mut self.keys, keys);
        before.hand_readings_to(&mut self.keys);
        before.hand_tracking_to(&mut self.keys);
        self.keys.set_now(now_ms);
        self.note_expired_or_not();
        self.set_memory_options(MemoryOptions::default());
        self.set_memory_options(options);
    }

    /// Which shard this is.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Whether no transaction is known here and no request waits.
    pub fn is_quiet(&self) -> bool {
        self.locks.is_empty()
            && self.waiting.is_empty()
            && self.deferred_count() == 0
            && self.long_reads.is_empty()
    }

    /// Whether a request that may write waits for a lock.
    pub fn has_deferred_writes(&self) -> bool {
        let writes = |entry: &'static Entry| entry.command.flags.has(Flags::WRITE);
        let mut blocks = self.deferred_blocks.values();
        self.is_making()
            || self.deferred.values().any(|(it, _)| writes(it.entry))
            || blocks.any(|(_, commands)| commands.steps().any(|step| writes(step.entry)))
    }

    /// Requests that wait for a lock.
    pub fn deferred_count(&self) -> usize {
        self.deferred.len() + self.deferred_blocks.len()
    }

    /// Makes a request wait if a lock is in its way; false if none is.
    #[cold]
    fn defer(&mut self, request: &Request, args: &Args<'_>) -> bool {
        let mut keys = std::mem::take(&mut self.key_locks);
        keys.clear();
        // Words that hide keys name none that the handler will touch: it finds the same mistake.
        for_each_lock(request.entry, args, |index, mode| {
            let hash = self.keys.key(args.get(index)).hash;
            keys.push(KeyLock { hash, mode });
        });
        let connection = connection_hash(&request.origin);
        let writes_any = request.entry.command.flags.has(Flags::WRITE)
            || keys.iter().any(|key| key.mode == LockMode::Exclusive);
        let modes = keys.iter().map(|key| (key.hash, key.mode));
        let must_wait = self.locks.is_in_conflict(modes, writes_any, connection);
        if must_wait {
            let hashes = keys.iter().map(|key| key.hash);
            let ticket = self.locks.defer(hashes, connection);
            let words = OwnedArgs::from_args(args);
            self.deferred.insert(ticket, (*request, words));
        }
        self.key_locks = keys;
        must_wait
    }

    /// What its requests are for, while somebody looks.
    pub fn hot_keys(&mut self) -> &mut HotKeys {
        &mut self.hot_keys
    }

    #[cold]
    fn note_keys(&mut self, entry: &'static Entry, db: u16, args: &Args<'_>) {
        let mut first = None;
        for_each_key(entry, args, |index| {
            first.get_or_insert(index);
        });
        if let Some(key) = first.map(|index| args.get(index)) {
            let hash = self.keys.key(key).hash;
            self.hot_keys.count(db, key, hash);
        }
    }

    /// Runs a handler and counts its failure, if it is one.
    #[inline]
    fn run(
        &mut self,
        entry: &'static Entry,
        db: u16,
        caller: Caller,
        patience: Patience,
        args: &Args<'_>,
        out: &mut Vec<u8>,
    ) {
        if let Err(error) = self.call(entry, db, caller, patience, args, out) {
            self.figures.record_failure(entry.index, &error.line());
        }
    }

    /// Runs a handler; an error is in `out` as the reply too, in place of what had been written before it. Where the command
    /// waits, its wish comes back and nothing was written.
    #[inline]
    fn call(
        &mut self,
        entry: &'static Entry,
        db: u16,
        caller: Caller,
        patience: Patience,
        args: &Args<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Wait>, CommandError> {
        if self.hot_keys.is_on() {
            return self.call_watched(entry, db, caller, patience, args, out);
        }
        self.call_handler(entry, db, caller, patience, args, out)
    }

    /// The same, and what it costs is noted for its keys.
    #[cold]
    fn call_watched(
        &mut self,
        entry: &'static Entry,
        db: u16,
        caller: Caller,
        patience: Patience,
        args: &Args<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Wait>, CommandError> {
        if self.hot_keys.is_due() {
            self.note_keys(entry, db, args);
        }
        if !self.hot_keys.has_session(self.keys.now_ms()) {
            return self.call_handler(entry, db, caller, patience, args, out);
        }
        let (began_ns, began_bytes) = ((self.stopwatch)(), out.len());
        let result = self.call_handler(entry, db, caller, patience, args, out);
        if !matches!(result, Ok(Some(_))) {
            let took_ns = (self.stopwatch)().saturating_sub(began_ns);
            let reply_bytes = out.len().saturating_sub(began_bytes);
            self.note_costs(entry, args, took_ns, reply_bytes as u64);
        }
        result
    }

    /// What a command has cost is its keys' cost, in equal shares.
    fn note_costs(&mut self, entry: &Entry, args: &Args<'_>, took_ns: u64, reply_bytes: u64) {
        let mut indexes = Vec::new();
        for_each_key(entry, args, |index| indexes.push(index));
        let Some(costs) = self.hot_keys.costs().filter(|_| !indexes.is_empty()) else {
            return;
        };
        let bytes = args.wire_bytes() + reply_bytes;
        if !costs.note(took_ns, bytes) {
            return;
        }
        let count = indexes.len() as u64;
        for key in indexes.iter().map(|index| args.get(*index)) {
            let hash = self.keys.key(key).hash;
            costs.count(key, hash, took_ns / count, bytes / count);
        }
    }

    #[inline]
    fn call_handler(
        &mut self,
        entry: &'static Entry,
        db: u16,
        caller: Caller,
        patience: Patience,
        args: &Args<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Wait>, CommandError> {
        let Some(handler) = entry.command.run.on_keys() else {
            return Err(refuse(out, caller));
        };
        let befores = if self.watches.is_empty() || !entry.command.flags.has(Flags::WRITE) {
            Vec::new()
        } else {
            self.before_write(entry, db, args)
        };
        self.note_writer(caller);
        let start = out.len();
        let mut reply = Reply::new(out, caller.protocol);
        let mut call = Call {
            keys: &mut self.keys,
            db: usize::from(db),
            caller: &caller,
            patience,
            is_alone: self.is_alone,
            is_logged: self.logging.is_some(),
            aside: &mut self.aside,
        };
        match handler(&mut call, &entry.handler_args(args), &mut reply) {
            Ok(effect) => {
                let waits = call.aside.waits.take();
                if call.is_logged {
                    let logged = call.aside.take_logged();
                    self.log_call(entry, db, args, Some(effect), &logged);
                }
                self.changes_count += effect.counted_changes();
                if !befores.is_empty() {
                    self.after_write(effect, args, befores);
                }
                self.note_if_read(entry, args, caller);
                if waits.is_none()
                    && !self.waiters.is_empty()
                    && entry.command.flags.has(Flags::WRITE)
                {
                    if effect.changes == 0 || gives_nothing(entry) {
                        // Nobody has more than before, but perhaps later.
                        self.note_claimable(entry, db, args);
                    } else if effect.wakes_all {
                        self.waiters.mark_all();
                    } else {
                        self.mark_keys(entry, db, args);
                    }
                }
                Ok(waits)
            }
            Err(error) => {
                reply.truncate(start);
                reply.error_bytes(&error.line());
                call.aside.instead = None;
                if self.logging.is_some() {
                    self.log_call(entry, db, args, None, &Logged::Off);
                }
                // That a key is of another type may be remembered, too.
                self.note_if_read(entry, args, caller);
                Err(error)
            }
        }
    }
}

/// A command that is not for shards was sent to one: `router::plan` keeps that from happening.
#[cold]
fn refuse(out: &mut Vec<u8>, caller: Caller) -> CommandError {
    let error = CommandError::from("ERR command does not run on a shard");
    Reply::new(out, caller.protocol).error_bytes(&error.line());
    error
}

/// Stands for a connection among the hashes of keys; meeting one of those costs a wait, nothing else.
fn connection_hash(origin: &Origin) -> u64 {
    let connection = u64::from(origin.connection) << 32 | u64::from(origin.generation);
    (connection ^ u64::from(origin.core) << 17).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ !0
}
