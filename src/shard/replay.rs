//! Replay: effects run again.
//!
//! Promises  a record is run at the time it was made, so that relative deadlines come out as they were; what cannot be run
//!           is an error that names the command, never a guess.
//! Not here  which records there are: `persist/recovery.rs`.
//! Tests     tests/shard/effects.rs.

use super::Shard;
use crate::commands::database::run_on_some;
use crate::commands::table;
use crate::commands::table::{Caller, Patience};
use crate::keyspace::SlotMap;
use crate::persist::effects::{Effect, Effects, Malformed};
use crate::persist::libraries::LibraryChange;
use crate::persist::record::{Kind, Record, TransactionRecord};
use crate::resp::Args;

/// Why a record cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayError {
    /// What is wrong, in words for an operator.
    pub reason: String,
}

impl From<Malformed> for ReplayError {
    fn from(_: Malformed) -> Self {
        Self {
            reason: "its effects are no commands".into(),
        }
    }
}

/// Commands that are read ahead of the one that runs: what they look up is on its way from memory by then.
const AHEAD: usize = 16;

/// A command that is about to run.
#[derive(Default)]
struct Ahead<'b> {
    db: u16,
    bytes: &'b [u8],
    /// Where its words are among the spans of all.
    spans: (usize, usize),
    /// Of word 1, which most commands have as their key.
    hash: Option<u64>,
}

/// Whose effects they are, by the shards of the time.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The shard then.
    pub shard: u16,
    /// Which keys were whose, where others' keys are on the shard that runs them now.
    pub shared: Option<SlotMap>,
}

impl Shard {
    /// Runs a record's effects, as far as they are this shard's.
    pub fn replay(&mut self, record: &Record<'_>) -> Result<(), ReplayError> {
        let origin = Origin {
            shard: self.id,
            shared: None,
        };
        self.replay_of(origin, record)
    }

    /// Runs a record's effects, as far as they are those of a shard of the time.
    pub fn replay_of(&mut self, origin: Origin, record: &Record<'_>) -> Result<(), ReplayError> {
        let header = &record.header;
        match header.kind {
            Kind::Effects => {
                self.replay_commands_of(origin, header.db, header.now_ms, record.payload)
            }
            Kind::Transaction => {
                let transaction = TransactionRecord::from_bytes(record.payload).ok_or(Malformed)?;
                let parts = transaction.parts.iter();
                for part in parts.filter(|part| part.shard == origin.shard) {
                    self.replay_commands_of(origin, part.db, part.now_ms, &part.commands)?;
                }
                Ok(())
            }
            Kind::Mark | Kind::Seal => Ok(()),
        }
    }

    /// Changes of libraries of functions that were replayed, with their versions, since this was asked last.
    pub fn take_replayed_libraries(&mut self) -> Vec<(u64, LibraryChange)> {
        std::mem::take(&mut self.replayed_libraries)
    }

    /// Runs commands that begin in `db`, at their time.
    pub fn replay_commands(
        &mut self,
        db: u16,
        now_ms: i64,
        commands: &[u8],
    ) -> Result<(), ReplayError> {
        let origin = Origin {
            shard: self.id,
            shared: None,
        };
        self.replay_commands_of(origin, db, now_ms, commands)
    }

    /// The same for a shard of the time.
    pub fn replay_commands_of(
        &mut self,
        origin: Origin,
        db: u16,
        now_ms: i64,
        commands: &[u8],
    ) -> Result<(), ReplayError> {
        self.keys.set_now(now_ms);
        self.keys.set_replays(true);
        let result = self.run_effects(origin, db, now_ms, commands);
        self.keys.set_replays(false);
        result
    }

    fn run_effects(
        &mut self,
        origin: Origin,
        mut db: u16,
        now_ms: i64,
        commands: &[u8],
    ) -> Result<(), ReplayError> {
        let mut effects = Effects::new(commands);
        let mut reply = Vec::new();
        let mut spans = Vec::new();
        let mut queue: [Ahead<'_>; AHEAD] = Default::default();
        loop {
            let mut count = 0;
            spans.clear();
            while count < AHEAD
                && let Some((effect, bytes)) = effects.read()?
            {
                if let Effect::Select(other) = effect {
                    db = other;
                    continue;
                }
                let first = spans.len();
                spans.extend_from_slice(&effects.spans);
                let args = Args::new(bytes, &effects.spans);
                let has_key = args.len() > 1 && usize::from(db) < self.keys.databases_count();
                let hash = has_key.then(|| self.keys.key(args.get(1)).hash);
                queue[count] = Ahead {
                    db,
                    bytes,
                    spans: (first, spans.len()),
                    hash,
                };
                count += 1;
            }
            if count == 0 {
                return Ok(());
            }
            let sought = || {
                let queue = queue[..count].iter();
                queue.filter_map(|ahead| Some((usize::from(ahead.db), ahead.hash?)))
            };
            sought().for_each(|(db, hash)| self.keys.prefetch(db, hash));
            sought().for_each(|(db, hash)| self.keys.prefetch_entry(db, hash));
            for ahead in &queue[..count] {
                let (first, end) = ahead.spans;
                let args = Args::new(ahead.bytes, &spans[first..end]);
                let args = match ahead.hash {
                    Some(hash) => args.with_hash(hash),
                    None => args,
                };
                reply.clear();
                self.replay_command(origin, now_ms, (ahead.db, &args), &mut reply)?;
            }
        }
    }

    fn replay_command(
        &mut self,
        origin: Origin,
        now_ms: i64,
        (db, args): (u16, &Args<'_>),
        reply: &mut Vec<u8>,
    ) -> Result<(), ReplayError> {
        let fail = |reason: &[u8]| ReplayError {
            reason: format!(
                "{} failed: {}",
                String::from_utf8_lossy(args.get(0)),
                String::from_utf8_lossy(reason)
            ),
        };
        if usize::from(db) >= self.keys.databases_count() {
            return Err(fail(
                format!("there is no database {db}: raise `databases`").as_bytes(),
            ));
        }
        if let Some(change) = LibraryChange::from_words(args) {
            self.replayed_libraries.push(change);
            return Ok(());
        }
        let found = table().find_original(args.get(0)).and_then(|entry| {
            if entry.sub.is_empty() || args.len() < 2 {
                Some(entry)
            } else {
                entry.find_sub(args.get(1))
            }
        });
        let entry = found
            .filter(|entry| entry.takes(args.len()))
            .ok_or_else(|| fail(b"there is no such command"))?;
        if let Some(map) = origin.shared
            && entry.command.keys.is_empty()
            && run_on_some(&mut self.keys, usize::from(db), args, &|key| {
                map.shard_of(key) == origin.shard
            })
        {
            self.keys.set_now(now_ms);
            return Ok(());
        }
        let caller = Caller::default();
        self.call(entry, db, caller, Patience::Never, args, reply)
            .map(|_| ())
            .map_err(|error| fail(&error.line()))
    }
}
