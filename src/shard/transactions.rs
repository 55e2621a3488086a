//! Transactions over several shards, as this one sees them: locks asked for, granted, seized and given back, and their steps.
//!
//!     Schedule -> granted, or waits -> a step, logged at once or with the rest -> ... -> Release -> whoever waited
//!
//! Promises  each step is answered once; what waits for a lock goes on in the turn in which that becomes free.
//! Not here  who may have a lock: `shard/locks`. What a step does: `shard/operations.rs`. The coordinator: `router/transaction.rs`.
//! Tests     tests/shard/requests.rs, tests/shard/seize.rs, tests/sim/.

use super::Shard;
use super::locks::{Ready, Scheduled, Seized, Ticket};
use super::long_reads::LateRead;
use crate::commands::table::Spread;
use crate::router::{FromShard, LockSet, Operation, Output, Trace, TxId};

/// A transaction that waits for its locks.
pub(super) struct WaitingTransaction {
    /// Where its coordinator is.
    pub(super) core: u16,
    /// What it wants to run as soon as it has them.
    pub(super) first: First,
    /// Its coordinator knows that it waits for a script that runs for long.
    pub(super) is_told: bool,
}

/// What a transaction runs as soon as it has its locks.
pub(super) enum First {
    /// Nothing: it is told of the grant.
    Nothing,
    /// This, which only reads.
    Read(Operation),
    /// This, which is all of it: the locks go at once.
    Whole(Operation),
    /// This, which is all that it does here: the locks go once it is logged.
    Last(Operation),
}

impl From<Option<Operation>> for First {
    fn from(read: Option<Operation>) -> Self {
        read.map_or(Self::Nothing, Self::Read)
    }
}

impl Shard {
    pub(super) fn schedule(&mut self, tx: TxId, core: u16, locks: LockSet, first: First) {
        match self.locks.schedule(tx, locks) {
            Scheduled::Granted => {
                if self.grant(tx, core, first) {
                    self.release(tx);
                }
            }
            Scheduled::OutOfOrder => self.answer_schedule(core, tx, false),
            Scheduled::Waiting => {
                let is_told = false;
                let waiting = WaitingTransaction {
                    core,
                    first,
                    is_told,
                };
                self.waiting.insert(tx, waiting);
            }
        }
    }

    /// A transaction has its locks; whether it has no use for them any more.
    pub(super) fn grant(&mut self, tx: TxId, core: u16, first: First) -> bool {
        match first {
            First::Nothing => self.answer_schedule(core, tx, true),
            // What was read says that the locks are granted.
            First::Read(operation) if may_come_later(&operation) => {
                self.answer_whole_or_later(core, tx, operation);
            }
            First::Read(operation) => self.answer_whole(core, tx, operation),
            First::Whole(operation) => {
                self.answer_whole(core, tx, operation);
                return true;
            }
            First::Last(operation) => return !self.answer_step(core, tx, operation),
        }
        false
    }

    /// Gives a transaction back that waits.
    pub(super) fn recall(&mut self, tx: TxId) {
        if let Some(waiting) = self.waiting.get(&tx) {
            self.answer_schedule(waiting.core, tx, false);
            self.release(tx);
        }
    }

    /// Runs an operation that is all of a transaction, or only reads; what it does is logged at once.
    pub(super) fn answer_whole(&mut self, core: u16, tx: TxId, operation: Operation) {
        self.begin_group();
        let output = self.operate(operation);
        self.end_group();
        let trace = self.trace_of_whole();
        self.answer_run(core, tx, output, trace);
    }

    /// Runs one operation of several; whether what it did is yet to be logged.
    pub(super) fn answer_step(&mut self, core: u16, tx: TxId, operation: Operation) -> bool {
        let (time_ms, operation) = operation.with_time();
        let is_log = matches!(operation, Operation::Log { .. });
        let now_ms = self.keys.now_ms();
        self.keys.set_now(time_ms.unwrap_or(now_ms));
        self.begin_step();
        let output = self.operate(operation);
        let is_to_be_logged = self.end_answered_step((core, tx), output, is_log);
        self.keys.set_now(now_ms);
        is_to_be_logged
    }

    /// Answers a step that has run, and gives the transaction's locks back if that was the last and nothing is to be logged.
    pub(super) fn answer_ran_step(
        &mut self,
        (core, tx): (u16, TxId),
        output: Output,
        is_last: bool,
    ) {
        let is_to_be_logged = self.end_answered_step((core, tx), output, false);
        if is_last && !is_to_be_logged {
            self.release(tx);
        }
    }

    pub(super) fn end_answered_step(
        &mut self,
        (core, tx): (u16, TxId),
        output: Output,
        is_log: bool,
    ) -> bool {
        let trace = self.end_step().or_else(|| self.trace_of_whole());
        let is_to_be_logged = trace.as_ref().is_some_and(|trace| trace.part.is_some());
        if is_log {
            self.note_logged(tx);
        } else if is_to_be_logged {
            self.note_unlogged(tx);
        }
        self.answer_run(core, tx, output, trace);
        is_to_be_logged
    }

    pub(super) fn answer_run(
        &mut self,
        core: u16,
        tx: TxId,
        output: Output,
        trace: Option<Box<Trace>>,
    ) {
        let shard = self.id;
        if !self.slow_calls.is_empty() {
            let calls = std::mem::take(&mut self.slow_calls);
            self.events.push_back((core, FromShard::Slow { tx, calls }));
        }
        let ran = FromShard::Ran {
            tx,
            shard,
            output,
            trace,
        };
        self.events.push_back((core, ran));
    }

    pub(super) fn answer_schedule(&mut self, core: u16, tx: TxId, granted: bool) {
        let shard = self.id;
        let message = FromShard::Scheduled { tx, shard, granted };
        self.events.push_back((core, message));
    }

    pub(super) fn seize(&mut self, tx: TxId, core: u16, locks: LockSet, then: Option<Operation>) {
        if self.is_making() {
            self.make_at_once(Some(&locks));
        }
        let seized = self.locks.seize(tx, LockSet { core, ..locks });
        if !matches!(seized, Seized::Keys) && self.is_making() {
            self.make_at_once(None);
        }
        match seized {
            Seized::Keys | Seized::Shard => {
                self.answer_seize(core, tx, seized == Seized::Shard, then.is_some());
                if let Some(operation) = then {
                    self.answer_step(core, tx, operation);
                }
            }
            Seized::Later => {}
            Seized::Closing { wounded } => {
                for (core, tx) in wounded {
                    self.events.push_back((core, FromShard::Wounded { tx }));
                }
            }
        }
    }

    pub(super) fn answer_seize(&mut self, core: u16, tx: TxId, whole: bool, ran: bool) {
        let shard = self.id;
        let message = FromShard::Seized {
            tx,
            shard,
            whole,
            ran,
        };
        self.events.push_back((core, message));
    }

    pub(super) fn withdraw(&mut self, tx: TxId, core: u16) {
        self.locks.withdraw(tx);
        let shard = self.id;
        self.events
            .push_back((core, FromShard::Withdrawn { tx, shard }));
        self.run_ready();
    }

    pub(super) fn release(&mut self, tx: TxId) {
        self.waiting.remove(&tx);
        if !self.long_reads.is_empty() {
            self.end_long_reads_of(tx);
        }
        self.locks.release(tx);
        self.run_ready();
        // Waiters that this transaction was in the way of.
        self.mark_what_is_free();
    }

    /// Whatever has its locks by now.
    pub(super) fn run_ready(&mut self) {
        while let Some(ready) = self.locks.next_ready() {
            match ready {
                Ready::Transaction(tx) => {
                    if let Some(waiting) = self.waiting.remove(&tx)
                        && self.grant(tx, waiting.core, waiting.first)
                    {
                        self.locks.release(tx);
                    }
                }
                Ready::Request(ticket) => self.run_deferred(ticket),
                Ready::Seizure(tx, locks) => self.seize(tx, locks.core, locks, None),
                Ready::Shard { tx, core } => {
                    // What was let in before it was closed has begun since.
                    self.make_at_once(None);
                    self.answer_seize(core, tx, true, false);
                }
            }
        }
    }

    pub(super) fn run_deferred(&mut self, ticket: Ticket) {
        if let Some((request, args)) = self.deferred.remove(&ticket) {
            let mut reply = Vec::new();
            let args = args.as_args();
            self.run_alone(&request, &args, &mut reply);
            match self.begin_late_read(reply.is_empty(), ticket, &request, &args) {
                LateRead::WithLock => return,
                LateRead::WithoutLock => {}
                LateRead::None => {
                    let holds = self.take_holds().unwrap_or_default();
                    let late = FromShard::Late {
                        origin: request.origin,
                        reply,
                        holds,
                    };
                    self.events.push_back((request.origin.core, late));
                }
            }
        } else if self.is_of_long_read(ticket) {
            return;
        } else {
            self.run_deferred_block(ticket);
        }
        self.locks.finish(ticket);
    }
}

/// Whether it is part of a command that looks at all keys, or a copy of a value.
fn may_come_later(operation: &Operation) -> bool {
    match operation {
        Operation::Clone { .. } => true,
        Operation::Command { entry, .. } => {
            matches!(entry.command.spread, Spread::EveryShard(_))
        }
        _ => false,
    }
}
