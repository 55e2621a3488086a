//! MULTI blocks and watches of a connection.
//!
//!     MULTI -> open: requests are checked and queued -> EXEC -> run here, or as a transaction -> one reply
//!                                                  \-> DISCARD, RESET, the end: forgotten
//!     WATCH -> every shard with a watched key notes it; EXEC asks, and whatever ends the block makes them forget
//!
//! Promises  a request that is refused while a block is open makes its EXEC fail; a block that ends leaves no watch behind.
//! Not here  EXEC: `node/block_exec.rs`; what of a block concerns the connection: `node/block_calls.rs`; what touches a key:
//!           `shard/watches.rs`.
//! Tests     tests/server/multi.rs.

use super::connection::{Blocked, Connection};
use super::core::{Core, Purpose, Start};
use super::dispatch::{Dispatched, take_silence};
use super::ring::Token;
use super::script_known::Script;
use super::under_way::has_plain_keys;
use crate::commands::client_tracking::changes_what_is_told;
use crate::commands::table::{Run, Verb};
use crate::commands::{CommandError, Entry, Flags};
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};
use crate::router::packed::Packed;
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
    pub(super) has_failed: bool,
    pub(super) queue: Packed,
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
    pub(super) may_grow: bool,
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
    pub(super) fn home(&self) -> Option<ShardId> {
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

    pub(super) fn unwatch(&mut self, id: u64, shards: Vec<ShardId>) {
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
}

/// Whether a queued request is refused without memory: a script that says of itself what it may do goes by that.
fn may_grow(entry: &'static Entry, declared: Option<Script>) -> bool {
    let flags = entry.command.flags;
    declared.map_or(flags.has(Flags::DENYOOM), |script| !script.allows_oom)
}
