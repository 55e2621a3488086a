//! Scripts as transactions: one begins, goes on when its call has been answered, and says what it wants next.
//!
//!     the transaction's step -> resume -> a call -> run here, under the script's own locks, and on
//!                                      |         \-> reported: the transaction runs it where its keys live
//!                                      \-> its reply, reported
//!
//! Not here  where a script runs, and what it is: `node/script.rs`; the transaction: `router/programs/script.rs`.
//! Tests     tests/server/scripts.rs.

use super::core::{Core, Purpose};
use super::script::Hosted;
use super::script_calls::Wish;
use crate::commands::{Entry, Flags};
use crate::resp::Reply;
use crate::router::programs::script::ScriptStep;
use crate::router::{FromShard, Origin, Output, Plan, Transaction, TxId, plan};
use crate::script::Answer;

impl Core {
    /// A transaction wants its script started, or to go on.
    pub(super) fn script_step(&mut self, tx: TxId, origin: Origin, step: ScriptStep) {
        match step {
            ScriptStep::Start {
                command,
                db,
                caller,
            } => {
                self.show_until_this(tx);
                let args = command.args.as_args();
                let of = self.transactions.get(&tx).map(|it| &it.purpose);
                let (is_in_block, is_memory_short) = match of {
                    // As it was when all of it began.
                    Some(Purpose::Block(of)) => (of.writes, of.is_memory_short),
                    _ => (false, self.shard.refuses_growth()),
                };
                let prepared = self.prepare_where(is_memory_short, command.entry, &args);
                let started = prepared
                    .and_then(|prepared| self.start_run(&prepared, origin, db, caller, &args));
                match started {
                    Ok(mut hosted) => {
                        hosted.is_in_block = is_in_block;
                        hosted.words = command.args;
                        self.go_on(tx, hosted, Answer::Begin);
                    }
                    Err(error) => {
                        let mut reply = Vec::new();
                        Reply::new(&mut reply, caller.protocol).error_bytes(&error.line());
                        let has_counted = false;
                        self.report_output(tx, Output::Returned { reply, has_counted });
                    }
                }
            }
            ScriptStep::GoOn { reply } => {
                let Some(hosted) = self.scripts.runs.remove(&tx) else {
                    return;
                };
                match reply {
                    Some(reply) => self.go_on(tx, hosted, Answer::Reply(&reply)),
                    // It has had its turn.
                    None => self.put_off(tx, hosted),
                }
            }
            ScriptStep::Wait => {}
        }
    }

    /// Lets a script go on, and passes on what it wants.
    pub(super) fn go_on(&mut self, tx: TxId, mut hosted: Hosted, answer: Answer<'_>) {
        hosted.stamp = self.clock.raw();
        if let Some((entry, since)) = hosted.wished.take() {
            let took_ns = self.clock.delta_as_nanos(since, hosted.stamp);
            self.look_at_granted(&mut hosted, entry, took_ns);
        }
        let answer = if hosted.is_killed {
            Answer::Kill
        } else {
            answer
        };
        let mut wish = self.advance(&mut hosted, answer, None);
        while hosted.is_killed && !matches!(wish, Wish::Done(_)) {
            wish = self.advance(&mut hosted, Answer::Kill, None);
        }
        while let Wish::Call(entry) = wish
            && self.may_call_here(&hosted, entry)
        {
            self.call_here(tx, &mut hosted, entry);
            wish = self.advance(&mut hosted, Answer::Buffered, None);
        }
        self.withheld.script_becomes(tx);
        hosted.wished = wish.entry().map(|entry| (entry, self.clock.raw()));
        match wish {
            Wish::Done(reply) => {
                self.script_is_over(&hosted);
                if hosted.is_told {
                    self.mesh.board().busy_scripts.remove(tx);
                }
                let has_counted = hosted.run.has_counted();
                if let Some(coordinated) = self.transactions.get_mut(&tx) {
                    coordinated.has_counted = has_counted;
                    coordinated.has_emptied |= hosted.has_emptied;
                }
                self.tell_of_script(&mut hosted);
                self.report_output(tx, Output::Returned { reply, has_counted });
            }
            Wish::Call(entry) => {
                hosted.has_emptied |= entry.command.flags.has(Flags::SAVED);
                let output = Output::Called {
                    command: hosted.words_of(entry),
                    db: hosted.db,
                    caller: hosted.call_caller(),
                };
                self.scripts.runs.insert(tx, hosted);
                self.report_output(tx, output);
            }
            Wish::Turn => self.put_off(tx, hosted),
            Wish::Publish(_) | Wish::Info(..) | Wish::Memory(..) => {
                self.grant_wish(tx, &hosted, wish);
                self.scripts.runs.insert(tx, hosted);
            }
        }
    }

    /// Whether a call runs on this core's shard, under locks that the script is sure to have.
    #[inline]
    fn may_call_here(&self, hosted: &Hosted, entry: &'static Entry) -> bool {
        hosted.stays
            && !hosted.is_killed
            && self.shard.log().is_none()
            && plan(entry, &hosted.run.words(), &self.map, self.id) == Plan::Shard(self.id)
    }

    /// Runs such a call; its reply is where the script finds it.
    fn call_here(&mut self, tx: TxId, hosted: &mut Hosted, entry: &'static Entry) {
        let mut reply = std::mem::take(&mut self.scripts.buffer);
        reply.clear();
        let stamp = self.clock.raw();
        let asker = (hosted.db, hosted.call_caller());
        let words = hosted.run.words();
        self.shard
            .call_under_locks(entry, asker, &words, &mut reply);
        let took_ns = self.clock.delta_as_nanos(stamp, self.clock.raw());
        self.shard.record(entry.index, took_ns);
        if self.thresholds.concern(took_ns, 0) {
            self.note_slow_call(hosted, entry, took_ns);
        }
        std::mem::swap(hosted.run.reply_buffer(), &mut reply);
        self.scripts.buffer = reply;
        // What a transaction did is told before it does more elsewhere.
        self.tell_of_transaction(tx, None);
    }

    fn report_output(&mut self, tx: TxId, output: Output) {
        let shard = self.id;
        self.reports.push_back(FromShard::Ran {
            tx,
            shard,
            output,
            trace: None,
        });
    }

    /// A transaction with a script in it has ended.
    pub(super) fn take_script_calls(&mut self, transaction: &mut Transaction) {
        for call in transaction.take_calls() {
            self.shard.record(call.entry.index, 0);
            self.count_failure(call.entry.index, call.failure);
        }
    }
}
