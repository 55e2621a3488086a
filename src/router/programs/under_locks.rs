//! Under locks: one command over several shards as a part of something larger, which has the locks.
//!
//! Promises  what the command's own program does, without its locks and releases.
//! Not here  taking the locks: `wanted.rs` says which they are.

use super::{Locks, Next, Program, error_reply, program};
use crate::base::hash::KeyHasher;
use crate::commands::blocking::plain_form;
use crate::commands::table::{Caller, Run};
use crate::commands::{CommandError, Entry};
use crate::keyspace::SlotMap;
use crate::resp::args::OwnedArgs;
use crate::router::calls::Queued;
use crate::router::{Output, ShardId};

/// What a command has come to.
pub(super) enum Progress {
    /// It wants this.
    Next(Next),
    /// It is over.
    Reply {
        /// What ran.
        entry: &'static Entry,
        /// Its reply.
        reply: Vec<u8>,
    },
}

/// See the module.
pub(super) struct UnderLocks {
    pub(super) map: SlotMap,
    pub(super) hasher: KeyHasher,
    /// What timeouts are counted from.
    now_ms: i64,
    /// What random choices begin with.
    seed: u64,
    inner: Option<(&'static Entry, Box<dyn Program>)>,
}

impl UnderLocks {
    pub(super) fn new(map: SlotMap, hasher: &KeyHasher, now_ms: i64, seed: u64) -> Self {
        Self {
            map,
            hasher: hasher.clone(),
            now_ms,
            seed,
            inner: None,
        }
    }

    /// Whether a command is under way.
    pub(super) fn is_running(&self) -> bool {
        self.inner.is_some()
    }

    pub(super) fn begin(&mut self, queued: Queued, db: u16, caller: Caller) -> Progress {
        let Queued { entry, args, .. } = queued;
        let (locks, inner) = match self.program(entry, args, db, caller) {
            Ok(made) => made,
            Err(error) => {
                let reply = error_reply(&error);
                return Progress::Reply { entry, reply };
            }
        };
        self.seed = self.hasher.hash(&self.seed.to_le_bytes());
        let (_, inner) = self.inner.insert((entry, inner));
        let next = if locks.is_empty() {
            inner.begin(self.seed)
        } else {
            Next::Lock(locks)
        };
        self.go_on(next)
    }

    pub(super) fn next(&mut self, outputs: Vec<(ShardId, Output)>) -> Progress {
        let next = match &mut self.inner {
            Some((_, inner)) => inner.next(outputs),
            None => super::unexpected(),
        };
        self.go_on(next)
    }

    fn program(
        &self,
        entry: &'static Entry,
        args: OwnedArgs,
        db: u16,
        caller: Caller,
    ) -> Result<(Locks, Box<dyn Program>), CommandError> {
        let (entry, args) = match entry.command.run {
            Run::Waits(_) => match plain_form(entry, &args.as_args(), self.now_ms)? {
                Some(form) => (form.entry, form.words),
                None => (entry, args),
            },
            _ => (entry, args),
        };
        program(entry, db, caller, args, self.map, &self.hasher)
    }

    fn go_on(&mut self, mut next: Next) -> Progress {
        loop {
            let Some((_, inner)) = self.inner.as_mut() else {
                return Progress::Next(next);
            };
            match next {
                Next::Phase(mut operations) => {
                    // The locks are somebody else's.
                    operations.iter_mut().for_each(|(_, _, last)| *last = false);
                    return Progress::Next(Next::Phase(operations));
                }
                Next::Lock(_) => {
                    // Whatever it may want is locked.
                    let reads = inner.reads();
                    if !reads.is_empty() {
                        let reads = reads.into_iter();
                        let reads = reads.map(|(shard, read)| (shard, read, false));
                        return Progress::Next(Next::Phase(reads.collect()));
                    }
                    next = inner.begin(self.seed);
                }
                Next::Done(reply) => return self.end(reply),
                Next::Errand(_) => return Progress::Next(next),
                Next::Wait { .. }
                | Next::Session(_)
                | Next::Seize(_)
                | Next::SeizeAndRun(..)
                | Next::Script(_) => {
                    // Programs of such commands are not made here.
                    return self.end(b"-ERR internal error: a block cannot wait\r\n".to_vec());
                }
            }
        }
    }

    fn end(&mut self, reply: Vec<u8>) -> Progress {
        match self.inner.take() {
            Some((entry, _)) => Progress::Reply { entry, reply },
            None => Progress::Next(Next::Done(reply)),
        }
    }
}
