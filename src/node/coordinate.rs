//! Coordinate: the transactions that began on this core, from step to step, to their replies.
//!
//!     events of shards -> Transaction::receive -> messages to shards
//!                                              -> what it wants besides: an errand, a script, the token -> its reply
//!
//! Promises  each is answered once, and counted from its start to its end; its reply knows a moment at which it had all
//!           its keys, before anything that it tells of itself.
//! Not here  how they begin: `node/settle.rs`; what they do: `router/transaction.rs`.

use std::sync::atomic::Ordering;

use super::block_logs::Ended;
use super::core::{Coordinated, Core, Purpose, RingWork};
use super::message::Message;
use super::ring::Token;
use crate::commands::{Entry, Flags};
use crate::persist::Holds;
use crate::resp::args::OwnedArgs;
use crate::router::{FromShard, Origin, Step, ToShard, TxId};

impl Core {
    /// Whether a transaction that began here has not ended.
    pub(super) fn has_transactions(&self) -> bool {
        !self.transactions.is_empty()
            || !self.pairs.is_empty()
            || !self.scripts.in_line.is_empty()
            || !self.scripts.put_off.is_empty()
            || self.has_changes_to_come()
    }

    /// Whether a transaction is under way here or holds keys of this core, so that another core's message is near.
    pub(super) fn is_in_midst(&self) -> bool {
        !self.transactions.is_empty() || !self.pairs.is_empty() || self.shard.has_holders()
    }

    /// Whether one of them may write.
    pub(super) fn has_writing_transactions(&self) -> bool {
        // Whatever waits for the token may write, and what waits for libraries to change.
        !self.scripts.in_line.is_empty()
            || self.has_changes_to_come()
            || self.pairs.values().any(|pair| pair.may_write())
            || self
                .transactions
                .values()
                .any(|coordinated| match &coordinated.purpose {
                    // One of its own commands may be what asks.
                    Purpose::Block(running) => {
                        running.may_write && !self.captured.contains_key(&coordinated.token)
                    }
                    Purpose::Script(_) => !coordinated.entry.command.flags.has(Flags::READONLY),
                    _ => coordinated.entry.command.flags.has(Flags::WRITE),
                })
    }

    /// Whose transaction that is, where that is a connection of this core.
    pub(super) fn client_of(&self, tx: TxId) -> Option<Token> {
        let coordinated = self.transactions.get(&tx)?;
        let is_here = match coordinated.purpose {
            Purpose::Script(origin) => origin.core == self.id,
            _ => true,
        };
        is_here.then_some(coordinated.token)
    }

    pub(super) fn send_to_shards(&mut self, outgoing: &mut Vec<(u16, ToShard)>) {
        for (shard, message) in outgoing.drain(..) {
            if shard == self.id {
                self.shard.handle(message);
            } else {
                self.mesh
                    .send(usize::from(shard), Message::ToShard(message));
            }
        }
    }

    pub(super) fn shard_event(&mut self, event: FromShard) {
        if !self.pairs.is_empty()
            && let Some(tx) = event.tx()
        {
            self.make_transaction_of_pair(tx);
        }
        let tx = match &event {
            FromShard::Late {
                origin,
                reply,
                holds,
            } => {
                let token = Token {
                    index: origin.connection,
                    generation: origin.generation,
                };
                self.hold(token, holds);
                return self.fill(token, origin.sequence, reply);
            }
            FromShard::Part { .. } => return self.part_came_of_reply(event),
            FromShard::Slow { .. } => return self.calls_were_slow(event),
            FromShard::Served {
                id,
                reply,
                holds,
                took_ns,
            } => {
                return self.served(*id, reply, holds, *took_ns);
            }
            FromShard::Ask { id, shard } => return self.asked_to_look(*id, *shard),
            FromShard::NeedsMemory => return self.shard.free_for_others(),
            FromShard::Busy { tx, is_function } => {
                return self.turn_transaction_away(*tx, *is_function, false);
            }
            FromShard::TurnedAway { tx, is_function } => {
                return self.turn_transaction_away(*tx, *is_function, true);
            }
            FromShard::Scheduled { tx, .. }
            | FromShard::Ran { tx, .. }
            | FromShard::Seized { tx, .. }
            | FromShard::Withdrawn { tx, .. }
            | FromShard::Wounded { tx } => *tx,
        };
        let Some(coordinated) = self.transactions.get_mut(&tx) else {
            return;
        };
        let board = self.mesh.board();
        let retries_count = coordinated.transaction.retries_count();
        let mut next_tx = || board.next_tx.fetch_add(1, Ordering::Relaxed);
        let mut outgoing = std::mem::take(&mut self.outgoing);
        let transaction = &mut coordinated.transaction;
        let was_scheduling = transaction.is_scheduling(tx);
        if was_scheduling && matches!(event, FromShard::Ran { .. }) {
            coordinated.ran_at = coordinated.ran_at.max(self.ran_at);
        }
        let begins_later = !transaction.runs_at_once();
        let step = transaction.receive(event, &mut next_tx, &mut outgoing);
        let has_moved = transaction.tx() != tx;
        if has_moved {
            coordinated.ran_at = 0;
        } else if was_scheduling
            && begins_later
            && !transaction.is_scheduling(tx)
            && !matches!(step, Step::Done { .. })
        {
            coordinated.ran_at = self.clock.raw();
        }
        let retries_count = transaction.retries_count() - retries_count;
        self.counters.transaction_retries += u64::from(retries_count);
        // A script that begins anew forgets its calls: they are taken when it is over.
        let is_script = matches!(coordinated.purpose, Purpose::Script(_));
        let calls = match is_script {
            true => Vec::new(),
            false => transaction.take_calls(),
        };
        if !calls.is_empty() {
            let now = self.clock.raw();
            let took_ns = self.clock.delta_as_nanos(coordinated.call_stamp, now);
            coordinated.call_stamp = now;
            let token = coordinated.token;
            self.count_calls(token, calls, took_ns);
        }
        // Most often it waits on, where it is.
        if has_moved || !matches!(step, Step::Wait) {
            let coordinated = self.transactions.remove(&tx);
            if let Some(coordinated) = coordinated {
                self.take_step(coordinated, step);
            }
        }
        self.send_to_shards(&mut outgoing);
        self.outgoing = outgoing;
    }

    /// A shard tells of slow calls of a transaction: its client's, or those of a script in it.
    #[cold]
    fn calls_were_slow(&mut self, event: FromShard) {
        let FromShard::Slow { tx, calls } = event else {
            return;
        };
        if let Some(hosted) = self.scripts.runs.get_mut(&tx) {
            return hosted.slow.extend(calls);
        }
        let whose = self.transactions.get(&tx);
        if let Some(token) = whose.map(|whose| whose.token) {
            self.note_calls(token, calls);
        }
    }

    /// Does what a transaction wants besides messages to shards.
    pub(super) fn take_step(&mut self, mut coordinated: Box<Coordinated>, step: Step) {
        let tx = coordinated.transaction.tx();
        let holds = match &step {
            Step::Done { .. } | Step::Waits { .. } => coordinated.transaction.take_holds(),
            _ => Holds::new(),
        };
        match step {
            Step::Wait => {
                self.transactions.insert(tx, coordinated);
            }
            Step::Session(queued) => {
                let token = coordinated.token;
                self.transactions.insert(tx, coordinated);
                self.run_queued(token, tx, &queued);
            }
            Step::Line => {
                self.transactions.insert(tx, coordinated);
                self.wait_for_token(tx);
            }
            Step::Script(step) => {
                let origin = match coordinated.purpose {
                    Purpose::Script(origin) => origin,
                    _ => self.origin_of(coordinated.token),
                };
                self.transactions.insert(tx, coordinated);
                self.script_step(tx, origin, *step);
            }
            Step::Errand(errand) => {
                self.transactions.insert(tx, coordinated);
                if self.errands.start(tx, *errand) {
                    self.ring_work.push(RingWork::WatchErrands);
                }
            }
            Step::Done { reply } => self.end_transaction(coordinated, reply, &holds),
            Step::Waits { shards, timeout_ms } => {
                let coordinated = self.without_token(coordinated);
                if let Purpose::MayWait(may_wait) = coordinated.purpose {
                    self.transaction_waits(coordinated.token, *may_wait, shards, timeout_ms);
                }
            }
        }
    }

    pub(super) fn end_transaction(
        &mut self,
        coordinated: Box<Coordinated>,
        reply: Vec<u8>,
        holds: &Holds,
    ) {
        let mut coordinated = self.without_token(coordinated);
        // Its reply may wait for a file, and that for others.
        if let Purpose::Block(running) = &mut coordinated.purpose
            && let Some(changing) = running.changing.take()
        {
            self.end_change_of_block(changing);
        }
        if coordinated.has_emptied && !self.options.save.is_empty() {
            return self.save_before_end(coordinated, reply, holds);
        }
        self.say_end(coordinated, reply, holds);
    }

    /// A transaction that has given everything back: its reply.
    pub(super) fn say_end(&mut self, coordinated: Box<Coordinated>, reply: Vec<u8>, holds: &Holds) {
        let ran_at = std::mem::replace(&mut self.ran_at, coordinated.ran_at);
        self.reply_of_transaction(coordinated, reply, holds);
        self.ran_at = ran_at;
    }

    fn reply_of_transaction(
        &mut self,
        coordinated: Box<Coordinated>,
        reply: Vec<u8>,
        holds: &Holds,
    ) {
        let Coordinated {
            token,
            entry,
            stamp,
            words,
            mut transaction,
            purpose,
            has_counted,
            place,
            ..
        } = *coordinated;
        self.transaction_has_said_all(transaction.tx(), holds);
        match &purpose {
            Purpose::Asked(_) => {}
            Purpose::Script(origin) if origin.core != self.id => {}
            _ => self.hold(token, holds),
        }
        match purpose {
            Purpose::Block(mut running) => {
                let positions = std::mem::take(&mut running.wants_logs);
                self.block_has_run(
                    (token, entry),
                    running,
                    transaction,
                    &reply,
                    place.is_some(),
                );
                if !positions.is_empty() {
                    let ended = Ended {
                        entry,
                        stamp,
                        words,
                        reply,
                        has_counted,
                        positions,
                    };
                    return self.wait_for_logs_of_block(token, ended);
                }
                self.finish((token, place), entry, stamp, words, &reply, has_counted);
            }
            Purpose::Script(origin) => {
                self.take_script_calls(&mut transaction);
                if origin.core == self.id {
                    return self.finish((token, place), entry, stamp, words, &reply, has_counted);
                }
                let took_ns = self.clock.delta_as_nanos(stamp, self.clock.raw());
                self.shard.record_with_waits(entry.index, took_ns);
                self.send_slow(origin, entry, took_ns, reply.len(), words);
                self.commands_count += 1;
                self.note_if_failed(entry, &reply, has_counted);
                self.script_has_run(origin, reply, holds.clone());
            }
            Purpose::Reply | Purpose::MayWait(_) => {
                self.finish((token, place), entry, stamp, words, &reply, has_counted);
            }
            Purpose::Watch(watching) => {
                self.has_watched(token, watching);
                self.finish((token, place), entry, stamp, words, &reply, has_counted);
            }
            Purpose::Asked(id) => self.has_looked(id, &reply, holds),
            Purpose::Cut => self.cut_was_made(&reply),
        }
    }

    /// A transaction that is over has no use for the token.
    pub(super) fn without_token(&mut self, coordinated: Box<Coordinated>) -> Box<Coordinated> {
        if coordinated.transaction.has_token() {
            self.give_token_back();
        }
        coordinated
    }

    /// A transaction of this core that wanted the token has it.
    pub(super) fn go_on_with_token(&mut self, tx: TxId) {
        let mut outgoing = std::mem::take(&mut self.outgoing);
        match self.transactions.get_mut(&tx) {
            Some(coordinated) => coordinated.transaction.token_came(&mut outgoing),
            // Nobody is left who wanted it.
            None => self.give_token_back(),
        }
        self.send_to_shards(&mut outgoing);
        self.outgoing = outgoing;
    }

    fn origin_of(&self, token: Token) -> Origin {
        Origin {
            core: self.id,
            connection: token.index,
            generation: token.generation,
            sequence: 0,
        }
    }

    /// Counts a transaction that has ended, from its start to its end, and replies: to whom, and in which place, where the
    /// connection has gone on.
    pub(super) fn finish(
        &mut self,
        (token, place): (Token, Option<u64>),
        entry: &'static Entry,
        stamp: u64,
        words: Option<OwnedArgs>,
        reply: &[u8],
        has_counted: bool,
    ) {
        let nanoseconds = self.clock.delta_as_nanos(stamp, self.clock.raw());
        self.shard.record_with_waits(entry.index, nanoseconds);
        self.note_if_worth(token, entry, nanoseconds, reply.len(), words);
        self.commands_count += 1;
        self.note_if_failed(entry, reply, has_counted);
        match place {
            None if entry.command.flags.has(Flags::SAVED) => self.save_emptied(token, reply),
            Some(sequence) => self.fill(token, sequence, reply),
            None => self.complete(token, |out, _| out.extend_from_slice(reply)),
        }
    }

    /// Counts a reply that is an error.
    ///
    /// - `has_counted`: the error itself was counted where it came from.
    pub(super) fn note_if_failed(&mut self, entry: &Entry, reply: &[u8], has_counted: bool) {
        let Some(line) = reply.strip_prefix(b"-") else {
            return;
        };
        if has_counted {
            return self.shard.figures_mut().record_failed_call(entry.index);
        }
        let text = line.split(|&byte| byte == b'\r').next().unwrap_or(line);
        self.shard.figures_mut().record_failure(entry.index, text);
    }
}
