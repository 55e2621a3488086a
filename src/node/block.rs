//! MULTI blocks and watches of a connection.
//!
//!     MULTI -> open: requests are checked and queued -> EXEC -> run here, or as a transaction -> one reply
//!                                                  \-> DISCARD, RESET, the end: forgotten
//!     WATCH -> every shard with a watched key notes it; EXEC asks, and whatever ends the block makes them forget
//!
//! Promises  a request that is refused while a block is open makes its EXEC fail; a block that ends leaves no watch behind.
//! Not here  how a block runs over shards: `router/programs/block.rs`, and what of it concerns the connection: `node/block_calls.rs`;
//!           what touches a key: `shard/watches.rs`.
//! Tests     tests/server/multi.rs.

use super::connection::{Blocked, Connection};
use super::core::{Core, Purpose, Start};
use super::dispatch::{Dispatched, OUTPUT_LOOK_BYTES, caller, take_silence};
use super::functions::{calls_function, calls_script};
use super::library_changes::{Change, Changing, changes_scripts};
use super::monitor;
use super::ring::Token;
use super::script_known::Script;
use super::under_way::has_plain_keys;
use super::watching::Costs;
use crate::commands::client_tracking::changes_what_is_told;
use crate::commands::table::{Run, Verb};
use crate::commands::{CommandError, Entry, Flags};
use crate::keyspace::Classes;
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};
use crate::router::calls::{CallFailure, CountedCall, SlowCall};
use crate::router::packed::Packed;
use crate::router::programs::block::BlockRequest;
use crate::router::watch::{Watch, Watched};
use crate::router::{Plan, ShardId, ToShard, Transaction, plan};
use crate::shard::memory::OUT_OF_MEMORY;

/// Emptied blocks that a core keeps, and how much each may hold.
const SPARE_MAX: usize = 64;
const SPARE_BYTES_MAX: usize = 16 * 1024;

/// What MULTI and WATCH have a connection keep.
#[derive(Default)]
pub struct Block {
    /// MULTI has been said, and EXEC has not ended.
    pub is_open: bool,
    /// A request was refused: EXEC is to fail.
    has_failed: bool,
    queue: Packed,
    /// How many commands were queued; stays while they run.
    pub queued_count: usize,
    /// What they take.
    pub queued_bytes: usize,
    /// Of that, their words: these count as a part of the query buffer.
    words_bytes: usize,
    /// The database that is selected after them, where a user's rights have been looked at.
    pub db: Option<u16>,
    /// One of them may write.
    pub may_write: bool,
    /// One of them does, or is a script that says so, not one that may.
    writes: bool,
    /// One of them may grow.
    may_grow: bool,
    /// One of them works on more than the keys it names.
    is_special: bool,
    /// One of them changes what the client is told.
    pub changes_what_is_told: bool,
    /// What EXEC depends on.
    pub watched: Option<Watched>,
}

/// Whether a request may write: a command that does, or EXEC of a block in which one may.
pub(super) fn writes(connection: &Connection, entry: &Entry) -> bool {
    let block = executed_by(connection, entry);
    entry.command.flags.has(Flags::WRITE) || block.is_some_and(|block| block.may_write)
}

/// Whether it says of itself that it writes: what a script does that does not say is asked when it does.
pub(super) fn says_it_writes(connection: &Connection, entry: &Entry) -> bool {
    let block = executed_by(connection, entry);
    entry.command.flags.has(Flags::WRITE) || block.is_some_and(|block| block.writes)
}

/// The block of an EXEC.
fn executed_by<'c>(connection: &'c Connection, entry: &Entry) -> Option<&'c Block> {
    let is_exec = matches!(entry.command.run, Run::Block(Verb::Exec));
    connection.block.as_deref().filter(|_| is_exec)
}

/// A WATCH under way.
pub struct Watching {
    /// Of the client's watch.
    id: u64,
    /// Where it has keys with these.
    shards: Vec<ShardId>,
}

/// What a watched key takes of its client's memory.
fn key_bytes(key: &[u8]) -> usize {
    key.len() + size_of::<(u16, Vec<u8>)>()
}

/// What becomes of a block's watch, and what is counted, when it has run.
pub struct Running {
    pub(super) watch: Option<(u64, Vec<ShardId>)>,
    pub(super) commands_count: usize,
    /// One of the commands may write.
    pub may_write: bool,
    /// One of them does, or is a script that says so: EXEC was let through as one that does.
    pub writes: bool,
    /// FLUSHALL is among them.
    pub empties: bool,
    /// One of them calls a function.
    pub calls_functions: bool,
    /// One of them calls a script or a function.
    pub calls_scripts: bool,
    /// Memory was short when it began: what its scripts may do goes by that, whatever it has used or freed by then.
    pub is_memory_short: bool,
    /// One of them changes libraries or takes scripts away, which is about to happen.
    pub(super) changing: Option<Changing>,
    /// Those that have turned logs on, which have not begun: `node/block_logs.rs`.
    pub wants_logs: Vec<usize>,
    /// EXEC itself, where monitors are to be told of it when all has run.
    pub untold: Option<OwnedArgs>,
}

impl Block {
    /// - `declared`: what a script says of itself, where it says anything.
    /// - `home`: the one shard that it runs on.
    fn push(
        &mut self,
        entry: &'static Entry,
        args: &Args<'_>,
        declared: Option<Script>,
        home: Option<ShardId>,
    ) {
        self.queued_count += 1;
        self.is_special |= !has_plain_keys(entry);
        self.changes_what_is_told |= changes_what_is_told(entry);
        let flags = entry.command.flags;
        let runs_script = entry.command.run.is_script() && !flags.has(Flags::READONLY);
        let may_write = runs_script || flags.has(Flags::WRITE) || flags.has(Flags::MAY_REPLICATE);
        self.may_write |= may_write && !declared.is_some_and(|script| script.no_writes);
        self.writes |= flags.has(Flags::WRITE) || declared.is_some_and(|script| !script.no_writes);
        self.may_grow |= may_grow(entry, declared);
        if self.has_failed {
            return; // It will not be run.
        }
        let words_bytes: usize = args.iter_from(0).map(<[u8]>::len).sum();
        // As in Redis: the words, and a pointer to each.
        self.words_bytes += words_bytes + args.len() * size_of::<usize>();
        self.queued_bytes += Packed::row_bytes(args.len()) + words_bytes;
        self.queue.push(entry, args, home);
    }

    /// Whether one of its commands writes, or is a script that says so.
    pub(super) fn writes(&self) -> bool {
        self.writes
    }

    /// What is queued.
    pub(super) fn queue(&self) -> &Packed {
        &self.queue
    }

    /// Whether it concerns nothing but the keys that its commands name.
    pub(super) fn is_plain(&self) -> bool {
        !self.is_special && self.watched.is_none() && !self.has_failed && !self.queue.is_empty()
    }

    /// The one shard that all queued commands run on.
    fn home(&self) -> Option<ShardId> {
        let mut homes = self.queue.homes();
        let home = homes.next()??;
        homes.all(|of| of == Some(home)).then_some(home)
    }

    /// Forgets everything and keeps its memory.
    fn clear(&mut self) {
        let mut queue = std::mem::take(&mut self.queue);
        queue.clear();
        *self = Self {
            queue,
            ..Self::default()
        };
    }
}

impl Connection {
    /// The block that MULTI has opened.
    #[inline]
    pub fn open_block(&mut self) -> Option<&mut Block> {
        self.block.as_deref_mut().filter(|block| block.is_open)
    }

    /// Bytes queued by MULTI.
    pub fn queued_bytes(&self) -> usize {
        self.block.as_ref().map_or(0, |block| block.queued_bytes)
    }

    /// Bytes of their words.
    pub(super) fn queued_words_bytes(&self) -> usize {
        self.block.as_ref().map_or(0, |block| block.words_bytes)
    }

    /// Bytes of what WATCH has it remember.
    pub fn watched_bytes(&self) -> usize {
        let block = self.block.as_ref();
        let watched = block.and_then(|block| block.watched.as_ref());
        watched.map_or(0, |watched| watched.keys_bytes)
    }
}

impl Core {
    /// Queues a request of a connection with an open block; none if it is one that runs at once.
    #[cold]
    pub(super) fn queue(
        &mut self,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Option<Dispatched> {
        connection.open_block()?;
        if entry.command.flags.has(Flags::NO_MULTI) {
            let error = "ERR Command not allowed inside a transaction".into();
            return Some(self.refuse(connection, Some(entry), &error));
        }
        let runs_at_once = match entry.command.run {
            Run::Block(verb) => verb != Verb::Unwatch,
            Run::Session(_) => {
                entry.container.is_none() && matches!(entry.command.name, "QUIT" | "RESET")
            }
            _ => false,
        };
        if runs_at_once {
            return None;
        }
        let declared = match entry.command.run.is_script() {
            true => self.declared_flags(entry, args),
            false => None,
        };
        if may_grow(entry, declared) && self.shard.refuses_growth() {
            return Some(self.refuse(connection, Some(entry), &OUT_OF_MEMORY.into()));
        }
        let home = match plan(entry, args, &self.map, self.id) {
            _ if entry.command.run.is_script() => None,
            Plan::Shard(shard) => Some(shard),
            Plan::Here | Plan::Many => None,
        };
        connection.open_block()?.push(entry, args, declared, home);
        connection.commands_count += 1;
        connection.last_command = Some(entry);
        let silent = take_silence(connection);
        connection.write_reply(|out, session| {
            if !silent {
                Reply::new(out, session.protocol).simple("QUEUED");
            }
        });
        Some(Dispatched::Taken)
    }

    /// A request was refused: the block it would have been in must fail. EXEC itself ends it, with a text of its own.
    pub(super) fn fail_block(
        &mut self,
        connection: &mut Connection,
        entry: Option<&'static Entry>,
        error: &CommandError,
    ) -> Option<CommandError> {
        let is_exec = matches!(
            entry.map(|entry| entry.command.run),
            Some(Run::Block(Verb::Exec))
        );
        if !is_exec {
            if let Some(block) = connection.open_block() {
                block.has_failed = true;
            }
            return None;
        }
        self.end_block(connection);
        let line = error.line();
        let text = line.strip_prefix(b"ERR ").unwrap_or(&line);
        let before = "EXECABORT Transaction discarded because of: ";
        Some(CommandError::quoting(before, text, ""))
    }

    /// Whether the block that EXEC is to run may change something.
    #[cold]
    pub(super) fn block_may_write(&mut self, connection: &mut Connection) -> bool {
        let Some(block) = connection.open_block().filter(|block| block.may_write) else {
            return false;
        };
        let mut steps = block.queue.steps();
        steps.any(|step| self.may_write(step.entry, &step.args))
    }

    /// MULTI, EXEC, DISCARD, WATCH, UNWATCH.
    pub(super) fn run_verb(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        verb: Verb,
        args: &Args<'_>,
    ) -> Dispatched {
        let is_open = connection.open_block().is_some();
        let error = match (verb, is_open) {
            (Verb::Multi, true) => "ERR MULTI calls can not be nested",
            (Verb::Watch, true) => "ERR WATCH inside MULTI is not allowed",
            (Verb::Exec, false) => "ERR EXEC without MULTI",
            (Verb::Discard, false) => "ERR DISCARD without MULTI",
            (Verb::Exec, true) => return self.exec(token, connection, entry, args),
            (Verb::Watch, false) => return self.watch(token, connection, entry, args),
            (Verb::Multi, false) => {
                let spare = &mut self.spare_blocks;
                let block = connection
                    .block
                    .get_or_insert_with(|| spare.pop().unwrap_or_default());
                block.is_open = true;
                return self.say_ok(connection, entry);
            }
            (Verb::Discard, true) | (Verb::Unwatch, _) => {
                self.end_block(connection);
                return self.say_ok(connection, entry);
            }
        };
        self.fail_request(connection, entry, &error.into())
    }

    fn say_ok(&mut self, connection: &mut Connection, entry: &'static Entry) -> Dispatched {
        self.count(connection, entry);
        let silent = take_silence(connection);
        connection.write_reply(|out, session| {
            if !silent {
                Reply::new(out, session.protocol).ok();
            }
        });
        Dispatched::Taken
    }

    /// Forgets what is queued and what is watched.
    pub(super) fn end_block(&mut self, connection: &mut Connection) {
        if let Some(mut block) = connection.block.take() {
            if let Some(watched) = block.watched.take() {
                self.unwatch(watched.watch.id, watched.shards);
            }
            self.keep_block(block);
        }
    }

    /// Keeps a block's memory for the next one.
    pub(super) fn keep_block(&mut self, mut block: Box<Block>) {
        if block.queue.heap_bytes() <= SPARE_BYTES_MAX && self.spare_blocks.len() < SPARE_MAX {
            block.clear();
            self.spare_blocks.push(block);
        }
    }

    /// The same, of a connection in its place.
    pub(super) fn forget_block(&mut self, token: Token) {
        let connection = self.connections.get_mut(token);
        let block = connection.and_then(|connection| connection.block.take());
        if let Some(watched) = block.and_then(|block| block.watched) {
            self.unwatch(watched.watch.id, watched.shards);
        }
    }

    fn unwatch(&mut self, id: u64, shards: Vec<ShardId>) {
        for shard in shards {
            self.tell_shard(shard, ToShard::Unwatch { id });
        }
    }

    /// WATCH has run: a client that went while it waited for its keys has had everything forgotten before it was noted.
    pub(super) fn has_watched(&mut self, token: Token, watching: Watching) {
        let connection = self.connections.get_mut(token);
        let block = connection.and_then(|connection| connection.block.as_ref());
        let watched = block.and_then(|block| block.watched.as_ref());
        if watched.is_none_or(|watched| watched.watch.id != watching.id) {
            self.unwatch(watching.id, watching.shards);
        }
    }

    fn watch(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Dispatched {
        if self.must_drain(connection) {
            return Dispatched::NotYet;
        }
        let db = connection.session.db;
        let block = connection.block.get_or_insert_default();
        let watched = block.watched.get_or_insert_with(|| Watched {
            keys_bytes: 0,
            watch: Watch::new(self.draw_id()),
            keys: Vec::new(),
            shards: Vec::new(),
        });
        let mut fresh = OwnedArgs::new();
        let mut is_here = true;
        if !watched.watch.is_touched() {
            for key in args.iter_from(1) {
                if (watched.keys.iter()).any(|(of, known)| *of == db && known == key) {
                    continue;
                }
                watched.keys_bytes += key_bytes(key);
                watched.keys.push((db, key.to_vec()));
                fresh.push(key);
                let shard = self.map.shard_of(key);
                is_here &= shard == self.id;
                if !watched.shards.contains(&shard) {
                    watched.shards.push(shard);
                }
            }
        }
        if is_here && self.shard.is_lock_free() {
            self.shard.watch(&watched.watch, db, &fresh.as_args());
            return self.say_ok(connection, entry);
        }
        let watch = watched.watch.clone();
        let purpose = Purpose::Watch(Watching {
            id: watch.id,
            shards: watched.shards.clone(),
        });
        let keys = fresh.as_args();
        let transaction = Transaction::watch(watch, db, &keys, self.map, &self.hasher);
        let words = self.words_to_keep(entry, args);
        self.begin(token, connection, entry, words, transaction, purpose);
        Dispatched::Taken
    }

    /// Starts a transaction for a request that runs alone on its connection.
    pub(super) fn begin(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        words: Option<OwnedArgs>,
        transaction: Transaction,
        purpose: Purpose,
    ) {
        connection.blocked = Some(Blocked::UntilReply);
        connection.runs_block = matches!(purpose, Purpose::Block(_));
        connection.silent_reply = take_silence(connection);
        connection.commands_count += 1;
        connection.last_command = Some(entry);
        let start = Start::new(token, entry, words, transaction, purpose);
        self.starts.push_back(start);
    }

    fn exec(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Dispatched {
        let is_plain = connection
            .open_block()
            .is_some_and(|block| block.is_plain());
        let overlaps = is_plain && self.may_overlap(connection);
        if !overlaps && self.must_drain(connection) {
            return Dispatched::NotYet;
        }
        if overlaps && self.exec_waits(token, connection) {
            return Dispatched::NotYet;
        }
        let Some(block) = connection.open_block() else {
            return Dispatched::Taken;
        };
        if block.has_failed {
            self.end_block(connection);
            let error = "EXECABORT Transaction discarded because of previous errors.";
            return self.fail_request(connection, entry, &error.into());
        }
        if block.may_grow && self.shard.refuses_growth() {
            return self.refuse(connection, Some(entry), &OUT_OF_MEMORY.into());
        }
        let Some(block) = connection.open_block() else {
            return Dispatched::Taken;
        };
        let is_touched = |watched: &Watched| watched.watch.is_touched();
        if block.watched.as_ref().is_some_and(is_touched) {
            // By whom is not known here, nor in which log that is.
            if self.holds_replies {
                let holds = self.log_positions();
                connection.hold(&holds, &mut self.spare_holdings);
            }
            return self.exec_nothing(connection, entry);
        }
        let home = block.home();
        if let Some(shard) = home.filter(|&shard| shard != self.id) {
            if self.wants_to_move(connection, shard) {
                return self.begin_move(token, connection, shard);
            }
            if let Some(target) = self.move_of(connection) {
                return self.begin_move(token, connection, target);
            }
            self.follow_keys(connection, shard);
        } else if let Some(shard) = home
            && self.map.shards_count() > 1
        {
            connection.affinity.count(shard);
        }
        let Some(block) = connection.open_block() else {
            return Dispatched::Taken;
        };
        let watches_here = |watched: &Watched| watched.shards == [self.id];
        if home == Some(self.id)
            && self.shard.is_lock_free()
            && block.watched.as_ref().is_none_or(watches_here)
        {
            return self.exec_here(token, connection, entry);
        }
        if let Some(shard) = home
            && shard != self.id
            && self.may_exec_elsewhere(connection, shard)
        {
            return self.exec_elsewhere(token, connection, entry, shard);
        }
        if overlaps
            && home.is_none()
            && let Some(other) = self.other_of_pair(connection)
            && self.exec_pair(token, connection, entry, other)
        {
            return Dispatched::Taken;
        }
        let Some(block) = connection.open_block() else {
            return Dispatched::Taken;
        };
        let queue = std::mem::take(&mut block.queue);
        if self.monitored {
            self.tell_of_block(connection, &queue);
        }
        let commands = queue.to_queued();
        let calls_functions = (commands.iter()).any(|queued| calls_function(queued.entry));
        let calls_scripts = (commands.iter()).any(|queued| calls_script(queued.entry));
        let is_memory_short = calls_scripts && self.shard.refuses_growth();
        let changes_scripts = (commands.iter()).any(|queued| changes_scripts(queued.entry));
        let empties = (commands.iter()).any(|queued| queued.entry.command.flags.has(Flags::SAVED));
        // What it calls is not known before it has changed it.
        let needs_token = calls_functions && changes_scripts
            || (commands.iter()).any(|queued| self.may_leave(queued));
        let Some(block) = connection.open_block() else {
            return Dispatched::Taken;
        };
        let watched = block.watched.take();
        let running = Running {
            watch: watched
                .as_ref()
                .map(|watched| (watched.watch.id, watched.shards.clone())),
            commands_count: commands.len(),
            may_write: block.may_write,
            writes: block.writes,
            empties,
            calls_functions,
            calls_scripts,
            is_memory_short,
            changing: None,
            wants_logs: Vec::new(),
            untold: (self.monitored && !overlaps).then(|| OwnedArgs::from_args(args)),
        };
        let user = &connection.session.user;
        let request = BlockRequest {
            user: connection.session.is_guarded.then(|| user.clone()),
            databases: self.databases_count(),
            commands,
            db: connection.session.db,
            caller: caller(connection),
            watched,
            here: self.id,
            now_ms: self.now_ms,
            seed: self.draw_id(),
            in_order: self.options.notify_keyspace_events != Classes::NONE,
            keeps_words: self.keeps_words(),
            is_silent: !connection.session.reply_mode.sends(),
        };
        let transaction = Transaction::block(request, self.map, &self.hasher);
        let purpose = Purpose::Block(running);
        let mut words = OwnedArgs::new();
        words.push(b"exec");
        if overlaps {
            let words_bytes = connection.queued_bytes();
            connection.block = None;
            let words = Some(words);
            let what = (purpose, words_bytes);
            self.begin_behind(token, connection, entry, words, transaction, what);
            return Dispatched::Taken;
        }
        self.begin(token, connection, entry, Some(words), transaction, purpose);
        if let Some(start) = self.starts.back_mut() {
            start.needs_token = needs_token;
        }
        if changes_scripts && let Some(start) = self.starts.pop_back() {
            let token = start.token;
            self.prepare_change(token, Change::Block(Box::new(start)));
        }
        Dispatched::Taken
    }

    /// Whether a block that may begin beside others has to wait for some of them.
    fn exec_waits(&mut self, token: Token, connection: &mut Connection) -> bool {
        if self.is_full_for_more(token, connection) {
            return true;
        }
        if connection.under_way.is_none() {
            return false;
        }
        let Some(block) = connection.block.take() else {
            return false;
        };
        let waits = self.block_waits_for_keys(connection, &block);
        connection.block = Some(block);
        waits
    }

    /// A watched key was touched.
    fn exec_nothing(&mut self, connection: &mut Connection, entry: &'static Entry) -> Dispatched {
        self.end_block(connection);
        self.count(connection, entry);
        let silent = take_silence(connection);
        connection.write_reply(|out, session| {
            if !silent {
                Reply::new(out, session.protocol).null_array();
            }
        });
        Dispatched::Taken
    }

    /// All of it is on this core's shard, and no lock is held there.
    fn exec_here(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
    ) -> Dispatched {
        let Some(block) = connection.block.take() else {
            return Dispatched::Taken;
        };
        let mut block = block;
        // What ACL LOG tells of the client.
        connection.last_command = Some(entry);
        self.check_block(connection, &mut block.queue);
        self.counters.local_requests += 1;
        let id = block.watched.take().map(|watched| watched.watch.id);
        let has_changed = id.is_some_and(|id| self.shard.has_changed(id));
        if let Some(id) = id {
            self.shard.unwatch(id);
        }
        if has_changed {
            // Which says that somebody has written that key.
            if self.holds_replies {
                let holds = self.shard.holds_of_all();
                connection.hold(&holds, &mut self.spare_holdings);
            }
            return self.exec_nothing(connection, entry);
        }
        let silent = take_silence(connection);
        let db = connection.session.db;
        let asker = caller(connection);
        // Behind replies that are not there yet it goes where it can wait for them.
        let is_drained = connection.is_drained();
        let mut buffer = match is_drained {
            true => std::mem::take(&mut connection.output),
            false => self.spare_buffer(),
        };
        let out = &mut buffer;
        let length = out.len();
        let commands_count = block.queue.len();
        Reply::new(out, asker.protocol).array(commands_count);
        let clock = &self.clock;
        let mut stamp = self.stamp;
        let thresholds = self.thresholds;
        let mut slow = Vec::new();
        self.shard.run_block(
            block.queue.steps(),
            db,
            asker,
            out,
            |shard, step, reply_bytes| {
                let now = clock.raw();
                let took_ns = clock.delta_as_nanos(stamp, now);
                shard.record(step.entry.index, took_ns);
                if thresholds.concern(took_ns, reply_bytes) {
                    let call = SlowCall::new(step.entry, took_ns, reply_bytes, &step.args);
                    slow.push(call);
                }
                stamp = now;
            },
        );
        self.shard.end_block();
        if silent {
            out.truncate(length);
        }
        if is_drained {
            connection.output = buffer;
        } else {
            connection.write_reply(|to, _| to.extend_from_slice(&buffer));
            self.keep_buffer(buffer);
        }
        self.hold_here(connection);
        self.stamp = stamp;
        for call in slow {
            self.note_call(connection, call.entry, Costs::of(&call), call.words);
        }
        if self.monitored {
            self.tell_of_block(connection, &block.queue);
        }
        self.commands_count += commands_count as u64;
        self.keep_block(block);
        self.tell_after(token, connection);
        self.count(connection, entry);
        if connection.output_bytes() > OUTPUT_LOOK_BYTES {
            self.look_at_output(connection);
        }
        Dispatched::Taken
    }

    /// Tells monitors of the commands of a block.
    #[cold]
    pub(super) fn tell_of_block(&mut self, connection: &Connection, commands: &Packed) {
        let source = monitor::source(connection);
        let mut place = self.place_of(&connection.session);
        let allowed = commands.steps().filter(|step| step.denied.is_none());
        for step in allowed {
            // As in Redis, a SELECT is shown where it leads.
            place = place.after(step.entry, &step.args);
            self.tell_monitors(&source, place.db, step.entry, &step.args);
        }
    }

    /// Counts commands over several shards that a block has run: all of them took `took_ns`, hops included.
    pub(super) fn count_calls(&mut self, token: Token, calls: Vec<CountedCall>, took_ns: u64) {
        let each_ns = took_ns / calls.len().max(1) as u64;
        // What a script has called is a part of it.
        let noted_count = calls.iter().filter(|call| call.words.is_some()).count();
        let noted_ns = took_ns / noted_count.max(1) as u64;
        for call in calls {
            self.shard.record_with_waits(call.entry.index, each_ns);
            self.count_failure(call.entry.index, call.failure);
            self.note_if_worth(token, call.entry, noted_ns, call.reply_bytes, call.words);
        }
    }

    /// Counts the failure of a command of a block or a script.
    pub(super) fn count_failure(&mut self, index: u16, failure: Option<CallFailure>) {
        let figures = self.shard.figures_mut();
        match failure {
            Some(CallFailure::Line(line)) => figures.record_failure(index, &line),
            Some(CallFailure::Counted) => figures.record_failed_call(index),
            None => {}
        }
    }

    /// A block that ran as a transaction has ended.
    pub(super) fn block_has_run(
        &mut self,
        (token, entry): (Token, &'static Entry),
        running: Running,
        mut transaction: Transaction,
        reply: &[u8],
        has_gone_on: bool,
    ) {
        // CLIENT REPLY may have kept its first line back.
        let has_run = !matches!(reply.first(), Some(b'-' | b'_')) && !reply.starts_with(b"*-");
        if has_run {
            self.commands_count += running.commands_count as u64;
        }
        for refusal in transaction.take_refusals() {
            let line = refusal.error.line();
            self.shard.figures_mut().errors_mut().count(&line);
            if let Some(connection) = self.connections.borrow(token) {
                if let Some(denial) = refusal.denial {
                    self.note_denial(&connection, denial);
                }
                self.connections.restore(token, connection);
            }
        }
        if let Some((id, shards)) = running.watch {
            self.unwatch(id, shards);
        }
        if running.calls_functions {
            let holds = self.holds_of_libraries();
            self.hold(token, &holds);
        }
        if has_gone_on {
            return; // Whatever block is open is another one.
        }
        if let Some(args) = running.untold
            && let Some(connection) = self.connections.borrow(token)
        {
            self.tell_of_request(&connection, entry, &args.as_args());
            self.connections.restore(token, connection);
        }
        self.forget_block(token);
        if let Some(connection) = self.connections.get_mut(token) {
            connection.runs_block = false;
            self.release(token);
        }
        if let Some(connection) = self.connections.get_mut(token)
            && let Some(tracking) = connection.session.tracking.as_deref_mut()
        {
            // CLIENT CACHING in the block was for the block.
            tracking.is_caching = false;
        }
    }
}

/// Whether a queued request is refused without memory: a script that says of itself what it may do goes by that.
fn may_grow(entry: &'static Entry, declared: Option<Script>) -> bool {
    let flags = entry.command.flags;
    declared.map_or(flags.has(Flags::DENYOOM), |script| !script.allows_oom)
}
