//! Effects: what was done to this shard's keys, on its way into the log.
//!
//! | what | as what it is logged |
//! |---|---|
//! | a command that changed something | its words; a record has the time, at which they are run again |
//! | a command that says otherwise ([`Logged::Instead`]) | what it says: the outcome of a random choice |
//! | a command that had values of other shards at hand | the values its keys have now |
//! | a value put or taken by a transaction | RESTORE, DEL |
//! | a key whose time came, or whose last field's | DEL, before whatever met it |
//! | a change of libraries of functions | that change: `persist/libraries.rs` |
//! | a step of a transaction over shards | nothing yet: it leaves with the step's output and comes back with all others' |
//!
//! Promises  without a log all this costs one branch a request. What is logged of one request or block is one record, so
//!           it is there as a whole or not at all.
//! Not here  the records: `persist/log/`. Running them again: `shard/replay.rs`.
//! Tests     tests/shard/effects.rs: every transcript's effects, run again, give the same keys.

use std::ops::ControlFlow;

use super::Shard;
use crate::commands::table::{Effect, Logged};
use crate::commands::{Entry, KeyShape};
use crate::ds::key_table::Value;
use crate::keyspace::rdb;
use crate::keyspace::{Key, Object};
use crate::persist::effects::{Effects, append, append_select};
use crate::persist::libraries::LibraryChange;
use crate::persist::log::Policy;
use crate::persist::record::{Dependency, Part, TransactionRecord};
use crate::persist::{self, Holds, Log};
use crate::resp::Args;
use crate::router::keys::for_each_lock;
use crate::router::message::Trace;
use crate::router::{LockMode, Output, TxId};

/// Elements of an array in one command.
const ARRAY_STEP: usize = 256;

/// A shard's log and what goes with it.
pub(super) struct Logging {
    /// The log.
    pub(super) log: Log,
    /// What a step of a transaction did, while one runs.
    step: Option<Step>,
    /// Records of other shards that what is here may depend on, and that may not be durable.
    holds: Holds,
    /// What the last request's reply must wait for.
    revealed: u64,
    /// Transactions that have done something here that is not logged yet, and which of all those steps was their first.
    unlogged: Vec<(TxId, u64)>,
    /// The number of the next such step.
    next_step: u64,
    /// Kept for its memory.
    hashes: Vec<u64>,
}

#[derive(Default)]
struct Step {
    db: Option<(u16, u16)>,
    commands: Vec<u8>,
}

impl Step {
    /// Whether one of its commands may have this key.
    fn may_name(&self, key: &[u8]) -> bool {
        key.is_empty() || self.commands.windows(key.len()).any(|word| word == key)
    }

    fn append<'w>(&mut self, db: u16, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        self.select(db);
        append(&mut self.commands, words);
    }

    fn append_wire(&mut self, db: u16, command: &[u8]) {
        self.select(db);
        self.commands.extend_from_slice(command);
    }

    fn select(&mut self, db: u16) {
        let (_, current) = self.db.get_or_insert((db, db));
        if *current != db {
            *current = db;
            append_select(&mut self.commands, db);
        }
    }
}

/// Whether a request that is logged as it came is read back as these words.
fn is_read_back(bytes: &[u8], args: &Args<'_>) -> bool {
    let mut effects = Effects::new(bytes);
    effects.read() == Ok(Some((persist::effects::Effect::Command, bytes)))
        && Args::new(bytes, &effects.spans)
            .iter_from(0)
            .eq(args.iter_from(0))
}

impl Logging {
    fn new(log: Log) -> Self {
        Self {
            log,
            step: None,
            holds: Holds::new(),
            revealed: 0,
            unlogged: Vec::new(),
            next_step: 0,
            hashes: Vec::new(),
        }
    }

    fn append<'w>(&mut self, db: u16, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        match &mut self.step {
            Some(step) => step.append(db, words),
            None => self.log.append(db, words),
        }
    }

    /// Appends a command by the name it was born with, whatever `rename-command` has made of that.
    #[inline]
    fn append_born(&mut self, entry: &'static Entry, db: u16, args: &Args<'_>) {
        if entry.is_called_as_born
            && let Some(bytes) = args.as_wire()
        {
            debug_assert!(is_read_back(bytes, args), "what came is what is logged");
            // One copy instead of one for each word and its length.
            return self.append_wire(db, bytes);
        }
        let born = entry.container.unwrap_or(entry.command).name.as_bytes();
        self.append_words(born, db, args);
    }

    /// What a reply waits for that is about one key.
    #[inline]
    fn note_key(&mut self, hash: u64, wrote: bool) {
        let lsn = if wrote {
            self.log.note_write(hash);
            self.log.lsn()
        } else {
            self.log.revealed_by(hash)
        };
        self.revealed = self.revealed.max(lsn);
    }

    #[inline(never)]
    fn append_words(&mut self, born: &[u8], db: u16, args: &Args<'_>) {
        let words = (0..args.len()).map(|index| if index == 0 { born } else { args.get(index) });
        self.append(db, words);
    }

    /// The same, of a command that is RESP already.
    #[inline]
    fn append_wire(&mut self, db: u16, command: &[u8]) {
        match &mut self.step {
            Some(step) => step.append_wire(db, command),
            None => self.log.append_wire(db, command),
        }
    }
}

impl Shard {
    /// Begins a log, or ends it.
    pub fn set_log(&mut self, log: Option<Log>) {
        self.logging = log.map(|mut log| {
            log.set_now(self.keys.now_ms());
            Box::new(Logging::new(log))
        });
        self.note_expired_or_not();
    }

    /// Has a log begin with the next cut that becomes a base, in the place of the one there may be; none: it is not wanted
    /// any more.
    pub fn set_next_log(&mut self, log: Option<Log>) {
        self.next_log = log.map(Box::new);
    }

    /// The log that is to begin, to be prepared.
    pub fn next_log_mut(&mut self) -> Option<&mut Log> {
        self.next_log.as_deref_mut()
    }

    /// The log's last record in the base that is being cut here.
    pub(super) fn cut_log(&mut self) -> Option<u64> {
        if let Some(next) = self.next_log.take() {
            match &mut self.logging {
                // What waits for its records waits for the base now.
                Some(logging) => logging.log = next.going_on_from(&mut logging.log),
                None => self.set_log(Some(next.waiting_for_base())),
            }
        }
        self.log_mut().map(Log::cut)
    }

    /// The log, if there is one.
    #[inline]
    pub fn log(&self) -> Option<&Log> {
        self.logging.as_ref().map(|logging| &logging.log)
    }

    /// The same, to be written.
    #[inline]
    pub fn log_mut(&mut self) -> Option<&mut Log> {
        self.logging.as_mut().map(|logging| &mut logging.log)
    }

    /// Lets the log know about how many keys there are.
    pub fn tell_log_size(&mut self) {
        if let Some(logging) = &mut self.logging {
            let databases =
                (0..self.keys.databases_count()).map(|db| (self.keys.keys_count(db), db));
            if let Some((keys, db)) = databases.max() {
                logging.log.note_size(db as u16, keys as u64);
            }
        }
    }

    /// What the reply of the last request, block or message must wait for; nothing by the next call.
    #[inline]
    pub fn take_holds(&mut self) -> Option<Holds> {
        let logging = self.logging.as_mut()?;
        let lsn = std::mem::take(&mut logging.revealed);
        if lsn == 0 && logging.holds.is_empty() {
            return None;
        }
        let mut holds = logging.holds.clone();
        holds.raise(self.id, lsn);
        Some(holds)
    }

    /// The same, this shard's record by itself: without a copy of the others.
    #[inline]
    pub fn take_revealed(&mut self) -> Option<(u64, &Holds)> {
        let logging = self.logging.as_mut()?;
        let lsn = std::mem::take(&mut logging.revealed);
        (lsn != 0 || !logging.holds.is_empty()).then_some((lsn, &logging.holds))
    }

    /// The same as [`Shard::take_holds`], and it is still there for the next call.
    pub fn peek_holds(&self) -> Holds {
        let Some(logging) = &self.logging else {
            return Holds::new();
        };
        let mut holds = logging.holds.clone();
        holds.raise(self.id, logging.revealed);
        holds
    }

    /// Changes which record of this shard that is; which it was.
    pub(super) fn set_revealed(&mut self, lsn: u64) -> u64 {
        let logging = self.logging.as_mut();
        logging.map_or(0, |logging| std::mem::replace(&mut logging.revealed, lsn))
    }

    /// What must wait that may reveal anything of this shard that has been logged.
    pub fn holds_of_all(&self) -> Holds {
        let Some(logging) = &self.logging else {
            return Holds::new();
        };
        let mut holds = logging.holds.clone();
        holds.raise(self.id, logging.log.revealed());
        holds
    }

    /// The number of the next step of a transaction here that is logged later.
    pub fn next_step(&self) -> u64 {
        self.logging.as_ref().map_or(0, |logging| logging.next_step)
    }

    /// Whether what all steps before this one did has been logged.
    pub fn has_logged_before(&self, step: u64) -> bool {
        let is_later = |&(_, first): &(TxId, u64)| first >= step;
        let logging = self.logging.as_ref();
        logging.is_none_or(|logging| logging.unlogged.iter().all(is_later))
    }

    /// A transaction has done something here that is to be logged when it ends.
    pub(super) fn note_unlogged(&mut self, tx: TxId) {
        if let Some(logging) = &mut self.logging {
            if !logging.unlogged.iter().any(|(known, _)| *known == tx) {
                logging.unlogged.push((tx, logging.next_step));
            }
            logging.next_step += 1;
        }
    }

    /// It has been.
    pub(super) fn note_logged(&mut self, tx: TxId) {
        if let Some(logging) = &mut self.logging {
            logging.unlogged.retain(|(known, _)| *known != tx);
        }
    }

    /// Forgets which other shards' records must be durable, where they are.
    pub fn prune_holds(&mut self, synced_lsn: impl Fn(u16) -> u64) {
        if let Some(logging) = &mut self.logging {
            logging.holds.prune(synced_lsn);
        }
    }

    /// Whether there are any that may not be.
    pub fn has_holds(&self) -> bool {
        (self.logging.as_ref()).is_some_and(|logging| !logging.holds.is_empty())
    }

    /// Begins what is logged as one.
    #[inline]
    pub(super) fn begin_group(&mut self) {
        if let Some(logging) = &mut self.logging {
            logging.log.enter_group();
        }
    }

    /// Ends it. Its reply waits for all that the log has by now.
    #[inline]
    pub(super) fn end_group(&mut self) {
        if let Some(logging) = &mut self.logging {
            logging.log.leave_group();
            logging.revealed = logging.log.revealed();
        }
    }

    /// What follows is a step of a transaction: it is not logged here and now.
    pub(super) fn begin_step(&mut self) {
        if let Some(logging) = &mut self.logging {
            logging.step = Some(Step::default());
        }
    }

    /// Whether the step has done something that is to be logged.
    pub(super) fn has_step_part(&self) -> bool {
        let step = self.logging.as_ref().and_then(|it| it.step.as_ref());
        step.is_some_and(|step| step.db.is_some())
    }

    /// Logs what became of the libraries of functions; the record.
    ///
    /// - `stamp`: as of a transaction.
    /// - `after`: the record of the change before, of whichever core.
    pub fn log_libraries(
        &mut self,
        version: u64,
        change: &LibraryChange,
        stamp: u64,
        after: Option<Dependency>,
    ) -> Option<Dependency> {
        let mut holds = Holds::new();
        if let Some(after) = after {
            holds.raise(after.core, after.lsn);
        }
        let record = TransactionRecord {
            stamp,
            dependencies: after.into_iter().collect(),
            parts: vec![self.part_of_libraries(version, change)],
        };
        self.append_record(&record, &holds);
        let (core, logging) = (self.id, self.logging.as_mut()?);
        logging.revealed = logging.log.revealed();
        let lsn = logging.log.lsn();
        Some(Dependency { core, lsn })
    }

    /// The same for a block, which has it logged with the rest of what it does.
    ///
    /// - `tx`: the block.
    pub fn trace_libraries(
        &mut self,
        tx: TxId,
        version: u64,
        change: &LibraryChange,
    ) -> Option<Box<Trace>> {
        self.logging.as_ref()?;
        self.note_unlogged(tx);
        let part = self.part_of_libraries(version, change);
        Some(self.trace(Some(part)))
    }

    fn part_of_libraries(&self, version: u64, change: &LibraryChange) -> Part {
        let words = change.words(version);
        let mut commands = Vec::new();
        append(&mut commands, words.iter().map(Vec::as_slice));
        Part {
            shard: self.id,
            db: 0,
            now_ms: self.keys.now_ms(),
            commands,
        }
    }

    /// What follows is a script's: it is logged as one when it ends here, or with the rest of it where it goes on
    /// elsewhere ([`Shard::leave_script`]).
    pub fn begin_script(&mut self) {
        self.begin_step();
    }

    /// The script has ended here.
    pub fn end_script(&mut self) {
        let Some(part) = self.end_step().and_then(|trace| trace.part) else {
            return;
        };
        if let Some(logging) = &mut self.logging {
            logging.log.append_commands(part.db, &part.commands);
            logging.log.note_all();
            logging.revealed = logging.log.revealed();
        }
    }

    /// The script goes on as this transaction; what it has done so far.
    pub fn leave_script(&mut self, tx: TxId) -> Option<Box<Trace>> {
        let trace = self.end_step();
        if trace.as_ref().is_some_and(|trace| trace.part.is_some()) {
            self.note_unlogged(tx);
        }
        trace
    }

    /// What the step did.
    pub(super) fn end_step(&mut self) -> Option<Box<Trace>> {
        let logging = self.logging.as_mut()?;
        let step = logging.step.take()?;
        let part = step.db.map(|(db, _)| Part {
            shard: self.id,
            db,
            now_ms: self.keys.now_ms(),
            commands: step.commands,
        });
        Some(self.trace(part))
    }

    /// What a step that has logged what it did means for the log.
    pub(super) fn trace_of_whole(&mut self) -> Option<Box<Trace>> {
        self.logging.is_some().then(|| self.trace(None))
    }

    fn trace(&self, part: Option<Part>) -> Box<Trace> {
        let mut trace = Trace {
            part,
            ..Trace::default()
        };
        if let Some(logging) = &self.logging {
            trace.lsn = logging.log.lsn();
            trace.holds = logging.holds.clone();
        }
        Box::new(trace)
    }

    /// Logs a transaction, all of it.
    pub(super) fn log_transaction(&mut self, record: &TransactionRecord, holds: &Holds) -> Output {
        self.append_record(record, holds);
        if let Some(logging) = &mut self.logging {
            logging.log.note_all();
        }
        Output::Count(0)
    }

    fn append_record(&mut self, record: &TransactionRecord, holds: &Holds) {
        let id = self.id;
        if let Some(logging) = &mut self.logging {
            // A record of effects has one time, and what came into the log meanwhile may have moved it on.
            let now_ms = logging.log.now_ms();
            let is_own = (record.parts.iter())
                .all(|part| part.shard == id && part.now_ms == now_ms)
                && record.dependencies.iter().all(|seen| seen.core == id);
            if is_own {
                logging.log.enter_group();
                for part in &record.parts {
                    logging.log.append_commands(part.db, &part.commands);
                }
                logging.log.leave_group();
            } else {
                logging.log.append_transaction(record);
                for hold in holds.iter().filter(|hold| hold.core != id) {
                    logging.holds.raise(hold.core, hold.lsn);
                }
            }
        }
    }

    /// Logs what a command did, and notes what its reply reveals. Only with a log.
    #[cold]
    pub(super) fn log_call(
        &mut self,
        entry: &'static Entry,
        db: u16,
        args: &Args<'_>,
        effect: Option<Effect>,
        logged: &Logged,
    ) {
        // However many commands say what it did: they are one record.
        if let Some(logging) = &mut self.logging {
            logging.log.enter_group();
        }
        let has_expired = self.keys.has_expired();
        if has_expired {
            self.settle_expired();
        }
        let did_something = effect.is_some_and(|effect| effect.changes > 0);
        match logged {
            Logged::Instead(commands) => {
                for words in commands {
                    self.append(db, words.as_args().iter_from(0));
                }
            }
            _ if !did_something => {}
            _ if self.keys.has_guests() => self.log_outcome(entry, db, args),
            _ => {
                if let Some(logging) = &mut self.logging {
                    logging.append_born(entry, db, args);
                }
            }
        }
        if let Some(logging) = &mut self.logging {
            logging.log.leave_group();
        }
        self.note_revealed(entry, args, did_something || has_expired);
    }

    /// The same for a request that ran [bare](Shard::is_bare) and did not fail.
    #[inline]
    pub(super) fn log_bare(
        &mut self,
        entry: &'static Entry,
        db: u16,
        args: &Args<'_>,
        effect: Effect,
        logged: &Logged,
    ) {
        let is_as_is = matches!(logged, Logged::AsIs) && !self.keys.has_expired();
        let Some(logging) = self.logging.as_mut().filter(|_| is_as_is) else {
            return self.log_call(entry, db, args, Some(effect), logged);
        };
        let wrote = effect.changes > 0;
        if wrote {
            logging.append_born(entry, db, args);
        }
        if logging.log.policy() == Policy::Always {
            match args.hash(1) {
                // A bare request has one key, word 1.
                Some(hash) => logging.note_key(hash, wrote),
                None => self.note_revealed(entry, args, wrote),
            }
        }
    }

    /// What a reply waits for: its own write, or the last one of the keys it read.
    fn note_revealed(&mut self, entry: &'static Entry, args: &Args<'_>, wrote: bool) {
        let Some(logging) = &mut self.logging else {
            return;
        };
        if logging.log.revealed() == 0 {
            return;
        }
        if let KeyShape::One(at) = entry.keys
            && let Some(hash) = args.hash(usize::from(at))
        {
            return logging.note_key(hash, wrote);
        }
        let log = &mut logging.log;
        let mut hashes = std::mem::take(&mut logging.hashes);
        hashes.clear();
        let keys = &self.keys;
        let is_known = for_each_lock(entry, args, |index, _| {
            hashes.push(match args.hash(index) {
                Some(hash) => hash,
                None => keys.key(args.get(index)).hash,
            });
        });
        let lsn = if wrote {
            hashes.iter().for_each(|&hash| log.note_write(hash));
            if hashes.is_empty() || !is_known {
                log.note_all(); // FLUSHALL and its like.
            }
            log.lsn()
        } else if hashes.is_empty() || !is_known {
            log.revealed()
        } else {
            let last = |&hash| log.revealed_by(hash);
            hashes.iter().map(last).max().unwrap_or(0)
        };
        logging.hashes = hashes;
        logging.revealed = logging.revealed.max(lsn);
    }

    /// Keys are gone because their time had come: the log has it, and who waits for one of them is to be told.
    #[cold]
    pub(super) fn settle_expired(&mut self) {
        for (db, key) in self.keys.take_expired() {
            if self.keys.owns(&key) {
                self.waiters.mark((db, self.keys.key(&key).hash));
                self.log_removed(db, &key);
            }
        }
    }

    /// Notes them while there is a log, or somebody who waits is told.
    pub(super) fn note_expired_or_not(&mut self) {
        let notes = self.logging.is_some() || self.waiters.has_on_delete();
        self.keys.set_notes_expired(notes);
    }

    /// Logs that a key is gone.
    pub(super) fn log_removed(&mut self, db: u16, key: &[u8]) {
        if self.keys.has_expired() {
            self.settle_expired();
        }
        let hash = self.keys.key(key).hash;
        self.append(db, [b"DEL".as_slice(), key].into_iter());
        if let Some(logging) = &mut self.logging {
            logging.log.note_write(hash);
        }
    }

    /// Logs that a key is gone for want of memory. Nobody has locked it, so others may write it again before the step of a
    /// transaction that needed the memory is logged: it goes into the log at once, unless that step has written it.
    pub(super) fn log_evicted(&mut self, db: u16, key: &[u8]) {
        let step = match &mut self.logging {
            Some(logging) => logging.step.take_if(|step| !step.may_name(key)),
            None => return,
        };
        self.log_removed(db, key);
        if let Some(logging) = &mut self.logging
            && step.is_some()
        {
            logging.step = step;
        }
    }

    /// Logs what the keys that a command may have written hold now.
    fn log_outcome(&mut self, entry: &'static Entry, db: u16, args: &Args<'_>) {
        let mut written = Vec::new();
        for_each_lock(entry, args, |index, mode| {
            let key = args.get(index);
            if mode == LockMode::Exclusive && self.keys.owns(key) {
                written.push(key);
            }
        });
        written.into_iter().for_each(|key| self.log_value(db, key));
    }

    /// Logs what a key holds now.
    pub(super) fn log_value(&mut self, db: u16, key: &[u8]) {
        if self.keys.has_expired() {
            self.settle_expired();
        }
        let Some(logging) = &mut self.logging else {
            return;
        };
        let key: Key<'_> = self.keys.key(key);
        let Some(entry) = self.keys.peek(usize::from(db), &key) else {
            return logging.append(db, [b"DEL".as_slice(), key.bytes].into_iter());
        };
        let deadline_ms = entry.deadline_ms();
        let deadline = deadline_ms.unwrap_or(0).to_string();
        match rdb::dump(&entry.value(), true) {
            Ok(payload) => {
                let words: [&[u8]; 6] = [
                    b"RESTORE",
                    key.bytes,
                    deadline.as_bytes(),
                    &payload,
                    b"REPLACE",
                    b"ABSTTL",
                ];
                logging.append(db, words.into_iter());
            }
            Err(rdb::NoPayload) => {
                logging.append(db, [b"DEL".as_slice(), key.bytes].into_iter());
                if let Value::Object(Object::Array(array)) = entry.value() {
                    let mut words: Vec<Vec<u8>> = Vec::new();
                    let mut flush = |words: &mut Vec<Vec<u8>>| {
                        if !words.is_empty() {
                            let all = [b"ARMSET".as_slice(), key.bytes].into_iter();
                            let all: Vec<&[u8]> =
                                all.chain(words.iter().map(Vec::as_slice)).collect();
                            logging.append(db, all.into_iter());
                            words.clear();
                        }
                    };
                    array.places().visit(0, u64::MAX, |place, element| {
                        words.push(place.to_string().into_bytes());
                        words.push(element.text(&mut [0; 20]).to_vec());
                        if words.len() >= 2 * ARRAY_STEP {
                            flush(&mut words);
                        }
                        ControlFlow::Continue(())
                    });
                    flush(&mut words);
                    let next = array
                        .cursor()
                        .map_or(0, |last| last.saturating_add(1))
                        .to_string();
                    let seek = [b"ARSEEK".as_slice(), key.bytes, next.as_bytes()];
                    logging.append(db, seek.into_iter());
                }
                if deadline_ms.is_some() {
                    let at = [b"PEXPIREAT".as_slice(), key.bytes, deadline.as_bytes()];
                    logging.append(db, at.into_iter());
                }
            }
        }
    }

    fn append<'w>(&mut self, db: u16, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        if let Some(logging) = &mut self.logging {
            logging.append(db, words);
        }
    }
}
