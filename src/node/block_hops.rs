//! Blocks whose keys are all on one other core: to that core's batch, and what is done with them there.
//!
//!     EXEC -> its commands, one after the other, into the batch -> run where they are read -> one reply
//!
//! Promises  such a block is one item of a batch, as a request is: no transaction, no lock, no allocation, and what comes
//!           behind it on its connection goes on.
//! Not here  blocks over several shards, or that depend on watched keys: `node/block_exec.rs`.
//! Tests     tests/server/multi.rs, tests/server/overlap.rs.

use super::connection::Connection;
use super::core::Core;
use super::dispatch::{Dispatched, caller, take_silence};
use super::mesh::Item;
use super::message::Message;
use super::ring::Token;
use crate::commands::Entry;
use crate::resp::{Args, Span};
use crate::router::calls::SlowCall;
use crate::router::packed::{Packed, Step};
use crate::router::{FromShard, Output, ShardId, TxId};
use crate::shard::{Outcome, Request, Shard};

/// A larger block, or script with its words, is handed over instead of copied.
pub(super) const BYTES_MAX: usize = 64 * 1024;

/// EXEC's words, where it is told that it was slow.
pub(super) const EXEC: &[u8] = b"exec";
pub(super) const EXEC_SPANS: &[Span] = &[Span { start: 0, len: 4 }];

/// Whether a block is small enough to be copied into a batch.
pub(super) fn fits(commands: &Packed) -> bool {
    commands.len() <= usize::from(u16::MAX) && commands.bytes_count() <= BYTES_MAX
}

impl Core {
    /// Whether the block that a connection has open can go to that other shard as one item.
    pub(super) fn may_exec_elsewhere(
        &mut self,
        connection: &mut Connection,
        shard: ShardId,
    ) -> bool {
        // A batch's messages come after its items: this one must not overtake a large one.
        let overtakes = self.mesh.open(usize::from(shard)).large_bytes > 0;
        // CLIENT CACHING is for the block.
        let is_special = connection.session.tracking.is_some();
        let fitting = connection
            .open_block()
            .is_some_and(|block| block.is_plain() && fits(block.queue()));
        !overtakes && !is_special && fitting && self.keeps_rights(connection)
    }

    /// Whether the client may do all that is in its block; what it may not is answered for by a transaction.
    pub(super) fn keeps_rights(&self, connection: &Connection) -> bool {
        let block = connection.block.as_ref();
        block.is_some_and(|block| self.may_all(connection, block.queue()))
    }

    /// Sends the block that a connection has open to the other shard that has all of its keys.
    pub(super) fn exec_elsewhere(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        shard: ShardId,
    ) -> Dispatched {
        let Some(block) = connection.block.take() else {
            return Dispatched::Taken;
        };
        if self.monitored {
            self.tell_of_block(connection, block.queue());
        }
        let silent = take_silence(connection);
        let sequence = connection.reserve(silent);
        let (db, caller) = (connection.session.db, caller(connection));
        let item = Item::new(entry, token, sequence, db, caller);
        let batch = self.mesh.open(usize::from(shard));
        batch.push_block(item, block.queue().steps());
        self.counters.hops_out += 1;
        connection.commands_count += 1;
        connection.last_command = Some(entry);
        connection.block = Some(block);
        self.end_block(connection);
        Dispatched::Taken
    }

    /// Starts loading what a block of another core's batch is for.
    pub(super) fn look_ahead_of_block(
        &self,
        db: u16,
        commands: &[(&'static Entry, u32)],
        bytes: &[u8],
        spans: &[Span],
        hashes: &mut Vec<(u16, u64)>,
    ) {
        for step in steps(commands, bytes, spans) {
            if step.args.len() > 1 {
                hashes.push((db, self.shard.keys.key(step.args.get(1)).hash));
            }
        }
    }

    /// Runs a block of another core's batch.
    ///
    /// - `before`: when the last request ended; moved on to when its last command did.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one batch, which are borrowed apart"
    )]
    pub(super) fn serve_block(
        &mut self,
        request: &Request,
        (commands, is_part): (&[(&'static Entry, u32)], bool),
        bytes: &[u8],
        spans: &[Span],
        replies: &mut Vec<u8>,
        before: &mut u64,
        slow: &mut Vec<(Token, SlowCall)>,
    ) -> Outcome {
        let (clock, thresholds) = (&self.clock, self.thresholds);
        let token = Token {
            index: request.origin.connection,
            generation: request.origin.generation,
        };
        let steps = steps(commands, bytes, spans);
        let ran = |shard: &mut Shard, step: &Step<'_>, reply_bytes: usize| {
            let now = clock.raw();
            let took_ns = clock.delta_as_nanos(*before, now);
            shard.record(step.entry.index, took_ns);
            if thresholds.concern(took_ns, reply_bytes) {
                let call = SlowCall::new(step.entry, took_ns, reply_bytes, &step.args);
                slow.push((token, call));
            }
            *before = now;
        };
        let outcome = match is_part {
            true => self.shard.execute_part(request, steps, replies, ran),
            false => self.shard.execute_block(request, steps, replies, ran),
        };
        if outcome == Outcome::Done {
            self.commands_count += commands.len() as u64;
        }
        if is_part {
            // What a transaction did is told before it does more elsewhere.
            self.tell_before(None);
        }
        outcome
    }

    /// What a part of a transaction came to, too large for its batch.
    pub(super) fn large_part(&self, tx: TxId, reply: Vec<u8>) -> Message {
        let event = FromShard::Ran {
            tx,
            shard: self.id,
            output: Output::Reply(reply),
            trace: None,
        };
        let ran_at = self.clock.raw();
        Message::FromShard { event, ran_at }
    }
}

/// The commands of a block in a batch, one after the other.
fn steps<'b>(
    commands: &'b [(&'static Entry, u32)],
    bytes: &'b [u8],
    spans: &'b [Span],
) -> impl Iterator<Item = Step<'b>> + Clone {
    let mut spans_at = 0;
    commands.iter().map(move |&(entry, words_count)| {
        let spans_end = spans_at + words_count as usize;
        let args = Args::new(bytes, &spans[spans_at..spans_end]);
        spans_at = spans_end;
        Step {
            entry,
            args,
            denied: None,
        }
    })
}
