//! Blocks: the commands of MULTI … EXEC whose keys are all here, as one request.
//!
//!     no lock held          run one after the other, at once
//!     a lock in the way     wait as one request does, with the keys of all of them
//!
//! Promises  a block is one step to everybody else, and takes no lock: nothing runs between its commands.
//!           What of a block over two shards is done here is one step of a transaction, whose locks are taken only if
//!           something is in its way.
//! Not here  what depends on watched keys, or has more shards to go: that is a transaction of many steps.
//! Tests     tests/shard/blocks.rs, tests/sim/.

use std::sync::Arc;

use super::locks::{Scheduled, Ticket};
use super::waiters::Change;
use super::{Outcome, Request, Shard, connection_hash};
use crate::commands::table::Caller;
use crate::commands::{CommandError, Entry, Flags};
use crate::persist::Holds;
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};
use crate::router::calls::Queued;
use crate::router::keys::for_each_lock;
use crate::router::packed::{Packed, Step};
use crate::router::{FromShard, KeyLock, LockMode, LockSet, Operation, ToShard, TxId};

impl Shard {
    /// Runs commands all of whose keys are here, and appends the reply of their EXEC to `out`.
    ///
    /// - `request`: EXEC, and who waits for its reply.
    /// - `ran`: told of each command when it has run, with the bytes of its reply; not where the block waits.
    /// - Cost: one branch and the handlers, while no lock is held on this shard.
    pub fn execute_block<'q, S>(
        &mut self,
        request: &Request,
        steps: S,
        out: &mut Vec<u8>,
        ran: impl FnMut(&mut Self, &Step<'q>, usize),
    ) -> Outcome
    where
        S: Iterator<Item = Step<'q>> + Clone,
    {
        if !self.locks.is_idle() && self.defer_block(request, steps.clone()) {
            return Outcome::Deferred;
        }
        self.run_whole_block(request, steps, out, ran);
        self.after_writes();
        Outcome::Done
    }

    fn run_whole_block<'q, S>(
        &mut self,
        request: &Request,
        steps: S,
        out: &mut Vec<u8>,
        ran: impl FnMut(&mut Self, &Step<'q>, usize),
    ) where
        S: Iterator<Item = Step<'q>> + Clone,
    {
        let Request { db, caller, .. } = *request;
        if self.memory.is_limited {
            // Whoever sent it has seen that it may run.
            self.make_room_for_part(db, growth(steps.clone()));
        }
        Reply::new(out, caller.protocol).array(steps.clone().count());
        self.run_block(steps, db, caller, out, ran);
        if self.memory.is_limited {
            self.settle_memory(db);
        }
    }

    /// Takes a transaction's locks, if it has to wait for nobody; nothing of it is left otherwise.
    pub fn lock_at_once(&mut self, tx: TxId, locks: LockSet) -> bool {
        match self.locks.schedule(tx, locks) {
            Scheduled::Granted => true,
            Scheduled::OutOfOrder => false,
            Scheduled::Waiting => {
                self.release(tx);
                false
            }
        }
    }

    /// Runs what a transaction does here, which is the last that it waits for, as [`ToShard::RunLast`] does: at once if
    /// nothing is in its way, with its replies in `out`. It is answered by an event otherwise.
    ///
    /// - `request`: EXEC; its origin has the coordinator's core, and the transaction for a sequence.
    pub fn execute_part<'q, S>(
        &mut self,
        request: &Request,
        steps: S,
        out: &mut Vec<u8>,
        ran: impl FnMut(&mut Self, &Step<'q>, usize),
    ) -> Outcome
    where
        S: Iterator<Item = Step<'q>> + Clone,
    {
        let is_free = self.locks.is_idle() || self.lets_pass(steps.clone());
        if self.logging.is_some() || !is_free {
            self.schedule_part(request, steps);
            return Outcome::Deferred;
        }
        self.run_part_of(request.db, request.caller, steps, out, ran);
        self.after_writes();
        Outcome::Done
    }

    /// Runs what a transaction does here, where it has its locks; they go.
    pub fn run_part<'q>(
        &mut self,
        tx: TxId,
        (db, caller): (u16, Caller),
        steps: impl Iterator<Item = Step<'q>> + Clone,
        out: &mut Vec<u8>,
        ran: impl FnMut(&mut Self, &Step<'q>, usize),
    ) {
        self.run_part_of(db, caller, steps, out, ran);
        self.release(tx);
        self.after_writes();
    }

    /// Runs a call of a script that is a transaction, whose locks it has here and keeps.
    pub fn call_under_locks(
        &mut self,
        entry: &'static Entry,
        (db, caller): (u16, Caller),
        args: &Args<'_>,
        out: &mut Vec<u8>,
    ) {
        let step = Step {
            entry,
            args: *args,
            denied: None,
        };
        self.run_part_of(db, caller, std::iter::once(step), out, |_, _, _| {});
        self.after_writes();
    }

    fn run_part_of<'q>(
        &mut self,
        db: u16,
        caller: Caller,
        steps: impl Iterator<Item = Step<'q>> + Clone,
        out: &mut Vec<u8>,
        ran: impl FnMut(&mut Self, &Step<'q>, usize),
    ) {
        if self.memory.is_limited {
            // Whoever coordinates has seen that it may run: what is let through on one shard must run on all.
            self.make_room_for_part(db, growth(steps.clone()));
        }
        // Whoever waits for keys of other shards as well may have something there, too.
        self.waiters.set_change(Change::OfSeveral);
        self.run_block(steps, db, caller, out, ran);
        if self.memory.is_limited {
            self.settle_memory(db);
        }
        self.waiters.set_change(Change::Here);
    }

    fn lets_pass<'q>(&mut self, steps: impl Iterator<Item = Step<'q>>) -> bool {
        let mut keys = std::mem::take(&mut self.key_locks);
        self.collect_locks(steps, &mut keys);
        let writes_any = keys.iter().any(|key| key.mode == LockMode::Exclusive);
        let modes = keys.iter().map(|key| (key.hash, key.mode));
        let passes = !self.locks.is_anything_in_the_way(modes, writes_any);
        self.key_locks = keys;
        passes
    }

    fn collect_locks<'q>(&self, steps: impl Iterator<Item = Step<'q>>, keys: &mut Vec<KeyLock>) {
        keys.clear();
        for Step { entry, args, .. } in steps {
            for_each_lock(entry, &args, |index, mode| {
                let hash = self.keys.key(args.get(index)).hash;
                keys.push(KeyLock { hash, mode });
            });
        }
    }

    #[cold]
    fn schedule_part<'q>(
        &mut self,
        request: &Request,
        steps: impl Iterator<Item = Step<'q>> + Clone,
    ) {
        let (tx, core) = (request.origin.sequence, request.origin.core);
        let mut keys = Vec::new();
        self.collect_locks(steps.clone(), &mut keys);
        let queued = |step: Step<'_>| Queued {
            entry: step.entry,
            args: OwnedArgs::from_args(&step.args),
            denied: None,
        };
        let commands = steps.map(|step| (self.id, queued(step)));
        let operation = Operation::Block {
            commands: Arc::new(commands.collect()),
            db: request.db,
            caller: request.caller,
            watch: None,
        };
        let locks = LockSet {
            core,
            ..LockSet::of_keys(tx, keys)
        };
        self.handle(ToShard::RunLast {
            tx,
            core,
            locks,
            operation,
        });
    }

    /// Makes a block wait if a lock is in its way; false if none is.
    #[cold]
    fn defer_block<'q>(
        &mut self,
        request: &Request,
        steps: impl Iterator<Item = Step<'q>> + Clone,
    ) -> bool {
        let mut keys = std::mem::take(&mut self.key_locks);
        self.collect_locks(steps.clone(), &mut keys);
        let mut writes = steps.clone();
        let writes_any = writes.any(|step| step.entry.command.flags.has(Flags::WRITE))
            || keys.iter().any(|key| key.mode == LockMode::Exclusive);
        let connection = connection_hash(&request.origin);
        let modes = keys.iter().map(|key| (key.hash, key.mode));
        let must_wait = self.locks.is_in_conflict(modes, writes_any, connection);
        if must_wait {
            let hashes = keys.iter().map(|key| key.hash);
            let ticket = self.locks.defer(hashes, connection);
            let mut commands = Packed::default();
            steps.for_each(|step| commands.push(step.entry, &step.args, Some(self.id)));
            self.deferred_blocks.insert(ticket, (*request, commands));
        }
        self.key_locks = keys;
        must_wait
    }

    /// Its turn has come.
    pub(super) fn run_deferred_block(&mut self, ticket: Ticket) {
        let Some((request, commands)) = self.deferred_blocks.remove(&ticket) else {
            return;
        };
        let mut reply = Vec::new();
        let mut stamp = (self.stopwatch)();
        let ran = |shard: &mut Self, step: &Step<'_>, _: usize| {
            let now = (shard.stopwatch)();
            shard.record(step.entry.index, now.saturating_sub(stamp));
            stamp = now;
        };
        self.run_whole_block(&request, commands.steps(), &mut reply, ran);
        let holds = self.take_holds().unwrap_or_default();
        self.answer_late(&request, reply, holds);
    }

    /// It waits for a script that runs for long, and its client is told. Nothing happens where there is none by this ticket.
    pub(super) fn turn_block_away(&mut self, ticket: Ticket, error: &CommandError) {
        let Some((request, _)) = self.deferred_blocks.remove(&ticket) else {
            return;
        };
        let line = error.line();
        let text = line.strip_prefix(b"ERR ").unwrap_or(&line);
        let before = "EXECABORT Transaction discarded because of: ";
        let line = CommandError::quoting(before, text, "").line();
        self.figures.record_rejection(request.entry.index, &line);
        let mut reply = Vec::new();
        Reply::new(&mut reply, request.caller.protocol).error_bytes(&line);
        self.answer_late(&request, reply, Holds::new());
    }

    fn answer_late(&mut self, request: &Request, reply: Vec<u8>, holds: Holds) {
        let origin = request.origin;
        let late = FromShard::Late {
            origin,
            reply,
            holds,
        };
        self.events.push_back((origin.core, late));
    }
}

/// Bytes that the commands of a block bring which may need more memory.
fn growth<'q>(steps: impl Iterator<Item = Step<'q>>) -> usize {
    steps
        .filter(|step| step.entry.command.flags.has(Flags::DENYOOM))
        .map(|step| step.args.bytes().len())
        .sum()
}
