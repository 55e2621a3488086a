//! Pairs: blocks over this core's shard and one other, with nothing in their way.
//!
//!     EXEC -> locks on the own keys -> the other's commands into its batch -> ran there -> the own ones -> one reply
//!
//! A [`Transaction`] does the same, message by message; most blocks over two shards meet nobody, and have no use for what it
//! can do besides. As soon as a pair does meet somebody it becomes one, which stands where the pair stood.
//!
//! Promises  one hop there and back; whoever sees what the other shard did finds the own one locked until that is done, too.
//!           With no lock in its way, no message is boxed and no word copied but into the batch.
//! Not here  blocks that are watched, logged, looked at for rights, or over more shards: `node/block_exec.rs`.
//! Tests     tests/server/overlap.rs; the steps on the shards: tests/sim/.

use super::block::Block;
use super::block_exec::Running;
use super::block_hops::fits;
use super::connection::Connection;
use super::core::{Coordinated, Core, Purpose};
use super::dispatch::{caller, take_silence};
use super::functions::{calls_function, calls_script};
use super::mesh::Item;
use super::ring::Token;
use crate::commands::Entry;
use crate::commands::table::Caller;
use crate::keyspace::Classes;
use crate::resp::Reply;
use crate::resp::args::OwnedArgs;
use crate::resp::element::element_end;
use crate::router::calls::SlowCall;
use crate::router::keys::for_each_lock;
use crate::router::packed::Packed;
use crate::router::programs::block::BlockRequest;
use crate::router::{FromShard, KeyLock, LockSet, Output, ShardId, Transaction, TxId};

/// A block whose other part is under way.
pub(super) struct Pair {
    token: Token,
    /// Its reply's place.
    place: u64,
    entry: &'static Entry,
    db: u16,
    caller: Caller,
    block: Box<Block>,
    /// When it began (`Core::clock`).
    stamp: u64,
}

impl Pair {
    /// One of its commands may write.
    pub(super) fn may_write(&self) -> bool {
        self.block.may_write
    }
}

/// The one other shard, where all commands are of that and of `own`, of both some.
fn other_than(own: ShardId, commands: &Packed) -> Option<ShardId> {
    let mut other = None;
    let mut has_own = false;
    for home in commands.homes() {
        let home = home?;
        if home == own {
            has_own = true;
        } else if *other.get_or_insert(home) != home {
            return None;
        }
    }
    other.filter(|_| has_own)
}

impl Core {
    /// The other shard of the block that a connection has open, if it can run as a pair.
    pub(super) fn other_of_pair(&mut self, connection: &mut Connection) -> Option<ShardId> {
        let session = &connection.session;
        let is_special = session.tracking.is_some()
            || self.holds_replies
            || self.shard.log().is_some()
            || self.options.notify_keyspace_events != Classes::NONE;
        let block = connection.open_block()?;
        if is_special || !block.is_plain() || !fits(block.queue()) {
            return None;
        }
        let other = other_than(self.id, block.queue())?;
        if !self.keeps_rights(connection) {
            return None;
        }
        // A batch's messages come after its items: this one must not overtake a large one.
        (self.mesh.open(usize::from(other)).large_bytes == 0).then_some(other)
    }

    /// Begins such a block, unless something is in its way here; false: it did not.
    pub(super) fn exec_pair(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        other: ShardId,
    ) -> bool {
        let Some(block) = connection.block.take() else {
            return false;
        };
        let spare = &mut self.spare_under_way;
        let under_way = connection
            .under_way
            .get_or_insert_with(|| spare.pop().unwrap_or_default());
        let mut own_keys = Vec::with_capacity(block.queue().len());
        for (home, step) in block.queue().homes().zip(block.queue().steps()) {
            for_each_lock(step.entry, &step.args, |index, mode| {
                let hash = self.hasher.hash(step.args.get(index));
                // Should it wait here after all, it has the same keys under way.
                under_way.add(hash, mode);
                if home == Some(self.id) {
                    own_keys.push(KeyLock { hash, mode });
                }
            });
        }
        let tx = self.draw_id();
        let locks = LockSet {
            core: self.id,
            ..LockSet::of_keys(tx, own_keys)
        };
        if !self.shard.lock_at_once(tx, locks) {
            connection.block = Some(block);
            return false;
        }
        if self.monitored {
            self.tell_of_block(connection, block.queue());
        }
        if let Some(under_way) = &mut connection.under_way {
            under_way.add_words(block.queued_bytes);
        }
        let silent = take_silence(connection);
        let place = connection.reserve(silent);
        let (db, caller) = (connection.session.db, caller(connection));
        let item = Item {
            is_part: true,
            ..Item::new(entry, token, tx, db, caller)
        };
        let batch = self.mesh.open(usize::from(other));
        batch.push_block(item, block.queue().steps_of(other));
        self.counters.hops_out += 1;
        self.counters.transactions += 1;
        connection.commands_count += 1;
        connection.last_command = Some(entry);
        let pair = Pair {
            token,
            place,
            entry,
            db,
            caller,
            block,
            stamp: self.clock.raw(),
        };
        self.pairs.insert(tx, pair);
        true
    }

    /// The other shard has done its part of a pair, or of what was one when it was sent: the own part follows.
    pub(super) fn part_came(&mut self, tx: TxId, from: usize, reply: &[u8]) {
        if self.shard.log().is_some() {
            // A log has begun meanwhile.
            self.make_transaction_of_pair(tx);
        }
        let Some(pair) = self.pairs.remove(&tx) else {
            return self.shard_event(FromShard::Ran {
                tx,
                shard: from as ShardId,
                output: Output::Reply(reply.to_vec()),
                trace: None,
            });
        };
        let mut own_reply = self.spare_buffer();
        let (clock, thresholds) = (&self.clock, self.thresholds);
        let mut before = clock.raw();
        let mut own_count = 0;
        let mut slow = Vec::new();
        let commands = pair.block.queue();
        let own = commands.steps_of(self.id);
        let asker = (pair.db, pair.caller);
        self.shard.run_part(
            tx,
            asker,
            own,
            &mut own_reply,
            |shard, step, reply_bytes| {
                let now = clock.raw();
                let took_ns = clock.delta_as_nanos(before, now);
                shard.record(step.entry.index, took_ns);
                if thresholds.concern(took_ns, reply_bytes) {
                    let call = SlowCall::new(step.entry, took_ns, reply_bytes, &step.args);
                    slow.push(call);
                }
                before = now;
                own_count += 1;
            },
        );
        self.commands_count += own_count + 1;
        self.tell_before(None);
        if !slow.is_empty() {
            self.note_calls(pair.token, slow);
        }
        let mut out = self.spare_buffer();
        Reply::new(&mut out, pair.caller.protocol).array(commands.len());
        join(commands, self.id, &own_reply, reply, &mut out);
        let took_ns = self.clock.delta_as_nanos(pair.stamp, before);
        self.shard.record_with_waits(pair.entry.index, took_ns);
        if self.thresholds.concern(took_ns, out.len()) {
            let words = Some(exec_words());
            self.note_if_worth(pair.token, pair.entry, took_ns, out.len(), words);
        }
        self.fill(pair.token, pair.place, &out);
        self.keep_buffer(out);
        self.keep_buffer(own_reply);
        self.keep_block(pair.block);
    }

    /// A pair meets somebody: from here on it is a transaction. Does nothing where there is no pair by this id.
    #[cold]
    pub(super) fn make_transaction_of_pair(&mut self, tx: TxId) {
        let Some(pair) = self.pairs.remove(&tx) else {
            return;
        };
        let commands = pair.block.queue().to_queued();
        let running = Running {
            watch: None,
            commands_count: commands.len(),
            may_write: pair.may_write(),
            writes: pair.block.writes(),
            changing: None,
            empties: false,
            wants_logs: Vec::new(),
            unshown: None,
            untold: None,
            calls_functions: (commands.iter()).any(|queued| calls_function(queued.entry)),
            calls_scripts: (commands.iter()).any(|queued| calls_script(queued.entry)),
            is_memory_short: false,
        };
        let request = BlockRequest {
            user: None,
            databases: self.databases_count(),
            commands,
            db: pair.db,
            caller: pair.caller,
            watched: None,
            here: self.id,
            now_ms: self.now_ms,
            seed: self.draw_id(),
            in_order: false,
            keeps_words: self.keeps_words(),
            is_silent: false,
        };
        let transaction = Transaction::block(request, self.map, &self.hasher);
        let coordinated = Coordinated {
            token: pair.token,
            entry: pair.entry,
            stamp: pair.stamp,
            call_stamp: pair.stamp,
            ran_at: 0,
            words: Some(exec_words()),
            transaction: transaction.visiting(self.id, tx),
            purpose: Purpose::Block(running),
            has_counted: false,
            has_emptied: false,
            place: Some(pair.place),
        };
        self.transactions.insert(tx, Box::new(coordinated));
        self.keep_block(pair.block);
    }
}

fn exec_words() -> OwnedArgs {
    let mut words = OwnedArgs::new();
    words.push(b"exec");
    words
}

/// The commands' replies in their order, from what each of the two shards has to say of its own.
fn join<'r>(
    commands: &Packed,
    own: ShardId,
    mut own_rest: &'r [u8],
    mut rest: &'r [u8],
    out: &mut Vec<u8>,
) {
    for home in commands.homes() {
        let rest = match home == Some(own) {
            true => &mut own_rest,
            false => &mut rest,
        };
        let Some(end) = element_end(rest) else {
            debug_assert!(false, "each command has a reply");
            return;
        };
        let (reply, left) = rest.split_at(end);
        out.extend_from_slice(reply);
        *rest = left;
    }
}
