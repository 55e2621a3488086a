//! Long reads: replies of very many elements, made in pieces over many turns.
//!
//!     execute -> the handler begins to read -> deferred; read_on, read_on … -> FromShard::Part, the last one says so
//!
//! Its key is locked meanwhile: whoever wants it waits, and others do not wait for anybody. What takes no locks (eviction, a
//! deadline that has come) has the rest read at once.
//!
//! Draws lock nothing: there may be more of them than anybody would wait for. Nor does KEYS; as part of a transaction over all
//! shards it answers that when it is whole, and what the transaction has locked waits as long.
//!
//! What is to be stored (SUNIONSTORE …) is made in steps, too, under locks on all of its keys; then the request runs again and
//! takes it. Where one of them has changed all the same, it runs as it would have at once: it is done when it is done. A script
//! that seizes keys waits for no request, and nobody may run between its calls: what is being made in its way is made at once.
//!
//! A step of a transaction may take as long: values are copied for another shard, or what others have lent is read together with
//! what is here. It is answered when that is done, and the transaction's locks are kept until then.
//!
//! Promises  the pieces together are the reply as it was when the request ran (`ds/key_table/readings.rs`); a call of
//!           [`Shard::read_on`] takes one step, about half a millisecond; long reads take turns.
//! Not here  which replies come in pieces: `commands/pieces.rs`. When steps are taken: `node/event_loop.rs`.
//! Tests     tests/shard/long_reads.rs, tests/server/long_reads.rs.

use super::locks::{LockTable, Ticket};
use super::waiters::Change;
use super::{Request, Shard};
use crate::commands::Entry;
use crate::ds::key_table::{Made, Portion, ReadLimit};
use crate::keyspace::copying::Copies;
use crate::keyspace::reading::Begun;
use crate::persist::Holds;
use crate::resp::Args;
use crate::resp::args::OwnedArgs;
use crate::router::calls::SlowCall;
use crate::router::message::Trace;
use crate::router::{FromShard, LockSet, Operation, Origin, Output, TxId};

/// What one step may read, but where tests say otherwise.
pub(super) const STEP: ReadLimit = ReadLimit {
    elements: 8192,
    bytes: 1 << 20,
};

/// Whether a request that had waited for its lock reads on.
pub(super) enum LateRead {
    None,
    /// And keeps its lock.
    WithLock,
    WithoutLock,
}

/// Who wants it.
enum Asker {
    /// A client, piece by piece.
    Client(Request),
    /// A transaction, all of it at its end.
    Transaction(TransactionStep),
}

/// A step of a transaction.
struct TransactionStep {
    core: u16,
    tx: TxId,
    /// Its locks go with the answer.
    is_last: bool,
    gives: Gives,
}

/// What a step of a transaction gives at its end.
enum Gives {
    /// What has been told so far, in chunks.
    Reply(Option<Box<Trace>>, Vec<Vec<u8>>),
    /// Copies of several values.
    Values(Option<Box<Trace>>),
    /// A copy of one.
    Value(Option<Box<Trace>>),
    /// It runs again, to take what has been made.
    Again(Box<Operation>),
}

/// A request whose reply is being made.
pub(super) struct LongRead {
    /// In the keyspace.
    reading: u64,
    asker: Asker,
    /// None: values are copied for another shard.
    entry: Option<&'static Entry>,
    /// Nothing is written of it yet: there is nothing that its client could take.
    is_collecting: bool,
    /// What it is to store is being made.
    is_making: bool,
    args: OwnedArgs,
    /// What must be durable before anything of it leaves.
    holds: Holds,
    bytes: u64,
    /// How long the reply is at least.
    bytes_min: u64,
    /// Pieces that were made and not asked to be followed by more.
    ahead_count: u32,
    took_ns: u64,
    /// What comes for the key waits behind it.
    lock: Option<Ticket>,
}

impl Shard {
    /// Takes over the reply of a request that has written none, if it has begun to read instead. Its pieces are events.
    pub fn begin_long_read(&mut self, request: &Request, args: &Args<'_>) -> bool {
        let Some((reading, begun)) = self.keys.take_begun_reading() else {
            return false;
        };
        let lock = self.locks.keep(&begun.locks);
        self.take_reading_on((reading, &begun), lock, request, args);
        true
    }

    /// The same for a request that had waited for its lock.
    pub(super) fn begin_late_read(
        &mut self,
        has_no_reply: bool,
        lock: Ticket,
        request: &Request,
        args: &Args<'_>,
    ) -> LateRead {
        if !has_no_reply {
            return LateRead::None;
        }
        let Some((reading, begun)) = self.keys.take_begun_reading() else {
            return LateRead::None;
        };
        let keeps = !begun.locks.is_empty();
        let begun = (reading, &begun);
        self.take_reading_on(begun, keeps.then_some(lock), request, args);
        match keeps {
            true => LateRead::WithLock,
            false => LateRead::WithoutLock,
        }
    }

    fn take_reading_on(
        &mut self,
        (reading, begun): (u64, &Begun),
        lock: Option<Ticket>,
        request: &Request,
        args: &Args<'_>,
    ) {
        let holds = self.take_holds().unwrap_or_default();
        self.long_reads.push_back(LongRead {
            reading,
            asker: Asker::Client(*request),
            entry: Some(request.entry),
            is_collecting: begun.is_collected,
            is_making: begun.is_making,
            args: OwnedArgs::from_args(args),
            holds,
            bytes: 0,
            bytes_min: begun.bytes_min,
            ahead_count: 0,
            took_ns: 0,
            lock,
        });
    }

    /// Runs a part of a transaction, a command or a copy, whose answer may take many turns; then it is given later.
    pub(super) fn answer_whole_or_later(&mut self, core: u16, tx: TxId, operation: Operation) {
        let (entry, args) = match &operation {
            Operation::Command { entry, args, .. } => (Some(*entry), args.clone()),
            _ => (None, OwnedArgs::with_capacity(0, 0)),
        };
        self.begin_group();
        self.begin_alone();
        let output = self.operate(operation);
        self.end_alone();
        self.end_group();
        let trace = self.trace_of_whole();
        let Some((reading, _)) = self.keys.take_begun_reading() else {
            return self.answer_run(core, tx, output, trace);
        };
        let step = TransactionStep {
            core,
            tx,
            is_last: false,
            gives: match entry {
                Some(_) => Gives::Reply(trace, Vec::new()),
                None => Gives::Value(trace),
            },
        };
        self.take_step_on(reading, step, entry, args);
    }

    /// Runs a step of a transaction that may take many turns; then it is answered later.
    ///
    /// - `again`: as [`Operation::again`] says.
    pub(super) fn answer_step_or_later(
        &mut self,
        (core, tx): (u16, TxId),
        (operation, again): (Operation, Operation),
        is_last: bool,
    ) {
        self.begin_step();
        self.begin_alone();
        let mut output = self.operate(operation);
        self.end_alone();
        let begun = self.keys.take_begun_reading();
        let begun = match begun {
            // What it has removed on its way, having expired, is a part of it: it must not be answered later.
            Some((reading, _)) if self.has_step_part() => {
                self.keys.recall_reading(reading);
                let before = self.keys.begin_again(None);
                output = self.operate(again);
                self.keys.end_again(before);
                return self.answer_ran_step((core, tx), output, is_last);
            }
            Some(begun) => begun,
            None => return self.answer_ran_step((core, tx), output, is_last),
        };
        let trace = self.end_step().or_else(|| self.trace_of_whole());
        let (reading, begun) = begun;
        let (entry, args) = match &again {
            Operation::Visit { entry, args, .. } | Operation::Make { entry, args, .. } => {
                (Some(*entry), args.clone())
            }
            _ => (None, OwnedArgs::with_capacity(0, 0)),
        };
        let gives = match again {
            Operation::Clone { .. } => Gives::Value(trace),
            Operation::Lend { .. } => Gives::Values(trace),
            again if begun.is_making => Gives::Again(Box::new(again)),
            _ => Gives::Reply(trace, Vec::new()),
        };
        let step = TransactionStep {
            core,
            tx,
            is_last,
            gives,
        };
        self.take_step_on(reading, step, entry, args);
    }

    fn take_step_on(
        &mut self,
        reading: u64,
        step: TransactionStep,
        entry: Option<&'static Entry>,
        args: OwnedArgs,
    ) {
        let is_making = matches!(step.gives, Gives::Again(_));
        self.long_reads.push_back(LongRead {
            reading,
            asker: Asker::Transaction(step),
            entry,
            is_collecting: true,
            is_making,
            args,
            holds: Holds::default(),
            bytes: 0,
            bytes_min: 0,
            ahead_count: 0,
            took_ns: 0,
            lock: None,
        });
    }

    /// A transaction does not wait for its answers any more.
    #[cold]
    pub(super) fn end_long_reads_of(&mut self, tx: TxId) {
        let is_its =
            |read: &LongRead| matches!(&read.asker, Asker::Transaction(step) if step.tx == tx);
        while let Some(at) = self.long_reads.iter().position(is_its) {
            if let Some(read) = self.long_reads.remove(at) {
                self.keys.end_reading(read.reading);
            }
        }
    }

    /// Whether a lock that has been granted is a long read's, which goes on by itself.
    pub(super) fn is_of_long_read(&self, ticket: Ticket) -> bool {
        let mut reads = self.long_reads.iter();
        reads.any(|read| read.lock == Some(ticket))
    }

    /// Whether there is a reply to go on with.
    #[inline]
    pub fn has_long_reads(&self) -> bool {
        !self.long_reads.is_empty()
    }

    /// Makes the next piece of the reply whose turn it is.
    ///
    /// - `may_go_on`: whether its client wants more of it by now, when so many pieces have not been [asked to be
    ///   followed](Shard::want_more). Where none does one that has locked its key is made all the same as long as others
    ///   wait: a client that does not read keeps nobody from a key.
    /// - Returns whether a piece was made.
    pub fn read_on(&mut self, mut may_go_on: impl FnMut(&Origin, u32) -> bool) -> bool {
        let mut reads = self.long_reads.iter();
        let next = reads.position(|read| match &read.asker {
            Asker::Client(request) => {
                read.is_collecting || may_go_on(&request.origin, read.ahead_count)
            }
            Asker::Transaction(_) => true,
        });
        let next = next.or_else(|| {
            let mut reads = self.long_reads.iter();
            let locking = reads.position(|read| read.lock.is_some())?;
            self.locks.has_waiting().then_some(locking)
        });
        let Some(read) = next.and_then(|at| self.long_reads.remove(at)) else {
            return false;
        };
        self.read_more(read, self.read_step);
        true
    }

    /// Replies of more elements come in pieces, with so many in each; tests want fewer than others.
    #[doc(hidden)]
    pub fn set_long_reads(&mut self, elements_max: usize, piece_elements: usize) {
        self.keys.set_whole_elements_max(elements_max);
        self.read_step.elements = piece_elements;
    }

    /// A piece has been taken: another may come.
    pub fn want_more(&mut self, reading: u64) {
        let mut reads = self.long_reads.iter_mut();
        if let Some(read) = reads.find(|it| it.reading == reading) {
            read.ahead_count = read.ahead_count.saturating_sub(1);
        }
    }

    /// Nobody wants the rest of a reply.
    pub fn end_long_read(&mut self, reading: u64) {
        let found = self.long_reads.iter().position(|it| it.reading == reading);
        if let Some(mut read) = found.and_then(|at| self.long_reads.remove(at)) {
            self.keys.end_reading(reading);
            self.let_go(&mut read);
        }
    }

    /// Whoever waits for the keys of a long read may go on.
    fn let_go(&mut self, read: &mut LongRead) {
        let Some(lock) = read.lock.take() else {
            return;
        };
        let before = self.waiters.set_change(Change::OfSeveral);
        self.locks.finish(lock);
        self.run_ready();
        // As after a transaction: waiters that it was in the way of.
        self.mark_what_is_free();
        self.after_writes();
        self.waiters.set_change(before);
    }

    fn read_more(&mut self, mut read: LongRead, limit: ReadLimit) {
        let began_ns = (self.stopwatch)();
        let Portion {
            bytes,
            is_last,
            is_free,
            made,
            ..
        } = self.keys.read_some(read.reading, limit);
        let took_ns = (self.stopwatch)().saturating_sub(began_ns);
        if let Some(entry) = read.entry {
            self.figures.add_time(entry.index, took_ns);
        }
        read.took_ns += took_ns;
        let is_copying = matches!(
            &read.asker,
            Asker::Transaction(step) if matches!(step.gives, Gives::Value(_) | Gives::Values(_))
        );
        if is_last && (read.is_making || is_copying) {
            return self.store_made(read, made);
        }
        if is_free {
            self.let_go(&mut read);
        }
        if bytes.is_empty() && !is_last {
            return self.long_reads.push_back(read);
        }
        read.is_collecting = false;
        if let ([b'-', text @ .., b'\r', b'\n'], 0) = (bytes.as_slice(), read.bytes)
            && let Some(entry) = read.entry
        {
            self.figures.record_failure(entry.index, text);
        }
        read.bytes += bytes.len() as u64;
        read.ahead_count = read.ahead_count.saturating_add(1);
        let origin = match &mut read.asker {
            Asker::Client(request) => request.origin,
            Asker::Transaction(step) => {
                if let Gives::Reply(_, so_far) = &mut step.gives {
                    so_far.push(bytes);
                }
                return match is_last {
                    true => self.answer_when_whole(read.asker, None),
                    false => self.long_reads.push_back(read),
                };
            }
        };
        self.tell_part(&mut read, origin, bytes, is_last);
        if !is_last {
            self.long_reads.push_back(read);
        }
    }

    /// Sends the next piece of a reply, which has been counted.
    fn tell_part(&mut self, read: &mut LongRead, origin: Origin, bytes: Vec<u8>, is_last: bool) {
        let is_noted = read.took_ns >= self.slow_ns || read.bytes >= self.large_bytes;
        let slow = read.entry.filter(|_| is_last && is_noted).map(|entry| {
            let args = read.args.as_args();
            Box::new(SlowCall::new(
                entry,
                read.took_ns,
                read.bytes as usize,
                &args,
            ))
        });
        let part = FromShard::Part {
            reading: read.reading,
            shard: self.id,
            origin,
            bytes,
            bytes_so_far: read.bytes,
            bytes_min: read.bytes_min.max(read.bytes),
            is_last,
            holds: std::mem::take(&mut read.holds),
            slow,
        };
        self.events.push_back((origin.core, part));
    }

    /// What a request is to store is made, if its keys are what they were: now it runs.
    fn store_made(&mut self, mut read: LongRead, made: Option<Made>) {
        let Asker::Client(request) = read.asker else {
            return self.answer_when_whole(read.asker, made);
        };
        let began_ns = (self.stopwatch)();
        let mut reply = Vec::new();
        let before = self.keys.begin_again(made);
        self.run_whole(&request, &read.args.as_args(), &mut reply);
        self.keys.end_again(before);
        let took_ns = (self.stopwatch)().saturating_sub(began_ns);
        self.figures.add_time(request.entry.index, took_ns);
        read.took_ns += took_ns;
        read.bytes = reply.len() as u64;
        read.holds.merge(&self.take_holds().unwrap_or_default());
        self.tell_part(&mut read, request.origin, reply, true);
        match read.lock.is_some() {
            true => self.let_go(&mut read),
            false => self.after_writes(),
        }
    }

    /// Whether something is being made that a request will store.
    pub(super) fn is_making(&self) -> bool {
        self.long_reads.iter().any(|read| read.is_making)
    }

    /// Makes all of what requests are to store that have locked something of this; none: the shard is seized.
    pub(super) fn make_at_once(&mut self, in_the_way_of: Option<&LockSet>) {
        let is_due = |locks: &LockTable, read: &LongRead| {
            let stands = |lock| in_the_way_of.is_none_or(|wanted| locks.has_some_of(lock, wanted));
            read.is_making && read.lock.is_some_and(stands)
        };
        while let Some(at) = (self.long_reads.iter()).position(|read| is_due(&self.locks, read))
            && let Some(read) = self.long_reads.remove(at)
        {
            self.read_more(read, ReadLimit::NONE);
        }
    }

    /// Answers a step of a transaction that has come to its end.
    fn answer_when_whole(&mut self, asker: Asker, made: Option<Made>) {
        let Asker::Transaction(step) = asker else {
            return;
        };
        let (core, tx) = (step.core, step.tx);
        let copies = |made: Option<Made>| -> Copies {
            let copies = made.and_then(|made| made.downcast().ok());
            copies.map(|copies| *copies).unwrap_or_default()
        };
        let is_read = !matches!(step.gives, Gives::Again(_));
        self.waiters.set_change(Change::OfSeveral);
        match step.gives {
            Gives::Reply(trace, mut so_far) => {
                let reply = match so_far.len() {
                    1 => so_far.swap_remove(0),
                    _ => so_far.concat(),
                };
                self.answer_run(core, tx, Output::Reply(reply), trace);
            }
            Gives::Values(trace) => {
                self.answer_run(core, tx, Output::Values(copies(made)), trace);
            }
            Gives::Value(trace) => {
                let value = copies(made).pop().map(|(_, moved)| moved);
                self.answer_run(core, tx, Output::Value(value), trace);
            }
            Gives::Again(operation) => {
                self.begin_step();
                let before = self.keys.begin_again(made);
                let output = self.operate(*operation);
                self.keys.end_again(before);
                self.answer_ran_step((core, tx), output, step.is_last);
            }
        }
        if is_read && step.is_last {
            self.release(tx);
        }
        self.after_writes();
        self.waiters.set_change(Change::Here);
    }
}
