//! EXEC: a block runs, and what is told and counted of it.
//!
//!     EXEC -> here, where its keys are and no lock is held -> one reply
//!         |-> on the one other core that has them, or a pair of cores
//!         \-> as a transaction -> it has run: its watch goes, what waited goes on
//!
//! Not here  what is queued, and watches: `node/block.rs`. Blocks on one other core: `node/block_hops.rs`; the transaction:
//!           `router/programs/block.rs`.
//! Tests     tests/server/multi.rs.

use std::collections::VecDeque;

use super::connection::Connection;
use super::core::{Core, Purpose};
use super::dispatch::{Dispatched, OUTPUT_LOOK_BYTES, caller, take_silence};
use super::functions::{calls_function, calls_script};
use super::library_changes::{Change, Changing, changes_scripts};
use super::monitor;
use super::ring::Token;
use super::watching::Costs;
use crate::commands::{Entry, Flags};
use crate::keyspace::Classes;
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};
use crate::router::calls::{CallFailure, CountedCall, Queued, SlowCall};
use crate::router::packed::Packed;
use crate::router::programs::block::BlockRequest;
use crate::router::watch::Watched;
use crate::router::{ShardId, Transaction, TxId};
use crate::shard::memory::OUT_OF_MEMORY;

/// What becomes of a block's watch, and what is counted, when it has run.
pub struct Running {
    pub(super) watch: Option<(u64, Vec<ShardId>)>,
    pub(super) commands_count: usize,
    /// One of the commands may write.
    pub may_write: bool,
    /// One of them does, or is a script that says so: EXEC was let through as one that does.
    pub writes: bool,
    /// FLUSHALL is among them.
    pub empties: bool,
    /// One of them calls a function.
    pub calls_functions: bool,
    /// One of them calls a script or a function.
    pub calls_scripts: bool,
    /// Memory was short when it began: what its scripts may do goes by that, whatever it has used or freed by then.
    pub is_memory_short: bool,
    /// One of them changes libraries or takes scripts away, which is about to happen.
    pub(super) changing: Option<Changing>,
    /// Those that have turned logs on, which have not begun: `node/block_logs.rs`.
    pub wants_logs: Vec<usize>,
    /// Those that monitors have not been shown.
    pub(super) unshown: Option<Unshown>,
    /// EXEC itself, where monitors are to be told of it when all has run.
    pub untold: Option<OwnedArgs>,
}

/// Commands of a block that monitors are shown when it has come to them: what a script calls stands behind its own line, and before
/// that of the next command.
pub struct Unshown {
    source: String,
    /// Each with its database, in order.
    commands: VecDeque<(u16, Queued)>,
    shown_count: usize,
}

impl Core {
    /// EXEC, of a connection here.
    pub(super) fn exec(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Dispatched {
        let is_plain = connection
            .open_block()
            .is_some_and(|block| block.is_plain());
        let overlaps = is_plain && self.may_overlap(connection);
        if !overlaps && self.must_drain(connection) {
            return Dispatched::NotYet;
        }
        if overlaps && self.exec_waits(token, connection) {
            return Dispatched::NotYet;
        }
        let Some(block) = connection.open_block() else {
            return Dispatched::Taken;
        };
        if block.has_failed {
            self.end_block(connection);
            let error = "EXECABORT Transaction discarded because of previous errors.";
            return self.fail_request(connection, entry, &error.into());
        }
        if block.may_grow && self.shard.refuses_growth() {
            return self.refuse(connection, Some(entry), &OUT_OF_MEMORY.into());
        }
        let Some(block) = connection.open_block() else {
            return Dispatched::Taken;
        };
        let is_touched = |watched: &Watched| watched.watch.is_touched();
        if block.watched.as_ref().is_some_and(is_touched) {
            // By whom is not known here, nor in which log that is.
            if self.holds_replies {
                let holds = self.log_positions();
                connection.hold(&holds, &mut self.spare_holdings);
            }
            return self.exec_nothing(connection, entry);
        }
        let home = block.home();
        if let Some(shard) = home.filter(|&shard| shard != self.id) {
            if self.wants_to_move(connection, shard) {
                return self.begin_move(token, connection, shard);
            }
            if let Some(target) = self.move_of(connection) {
                return self.begin_move(token, connection, target);
            }
            self.follow_keys(connection, shard);
        } else if let Some(shard) = home
            && self.map.shards_count() > 1
        {
            connection.affinity.count(shard);
        }
        let Some(block) = connection.open_block() else {
            return Dispatched::Taken;
        };
        let watches_here = |watched: &Watched| watched.shards == [self.id];
        if home == Some(self.id)
            && self.shard.is_lock_free()
            && block.watched.as_ref().is_none_or(watches_here)
        {
            return self.exec_here(token, connection, entry);
        }
        if let Some(shard) = home
            && shard != self.id
            && self.may_exec_elsewhere(connection, shard)
        {
            return self.exec_elsewhere(token, connection, entry, shard);
        }
        if overlaps
            && home.is_none()
            && let Some(other) = self.other_of_pair(connection)
            && self.exec_pair(token, connection, entry, other)
        {
            return Dispatched::Taken;
        }
        let Some(block) = connection.open_block() else {
            return Dispatched::Taken;
        };
        let queue = std::mem::take(&mut block.queue);
        let commands = queue.to_queued();
        let unshown = (self.monitored).then(|| self.show_until_script(connection, &commands));
        let calls_functions = (commands.iter()).any(|queued| calls_function(queued.entry));
        let calls_scripts = (commands.iter()).any(|queued| calls_script(queued.entry));
        let is_memory_short = calls_scripts && self.shard.refuses_growth();
        let changes_scripts = (commands.iter()).any(|queued| changes_scripts(queued.entry));
        let empties = (commands.iter()).any(|queued| queued.entry.command.flags.has(Flags::SAVED));
        // What it calls is not known before it has changed it.
        let needs_token = calls_functions && changes_scripts
            || (commands.iter()).any(|queued| self.may_leave(queued));
        let Some(block) = connection.open_block() else {
            return Dispatched::Taken;
        };
        let watched = block.watched.take();
        let running = Running {
            watch: watched
                .as_ref()
                .map(|watched| (watched.watch.id, watched.shards.clone())),
            commands_count: commands.len(),
            may_write: block.may_write,
            writes: block.writes(),
            empties,
            calls_functions,
            calls_scripts,
            is_memory_short,
            changing: None,
            wants_logs: Vec::new(),
            unshown,
            untold: (self.monitored && !overlaps).then(|| OwnedArgs::from_args(args)),
        };
        let user = &connection.session.user;
        let request = BlockRequest {
            user: connection.session.is_guarded.then(|| user.clone()),
            databases: self.databases_count(),
            commands,
            db: connection.session.db,
            caller: caller(connection),
            watched,
            here: self.id,
            now_ms: self.now_ms,
            seed: self.draw_id(),
            in_order: self.options.notify_keyspace_events != Classes::NONE,
            keeps_words: self.keeps_words(),
            is_silent: !connection.session.reply_mode.sends(),
        };
        let transaction = Transaction::block(request, self.map, &self.hasher);
        let purpose = Purpose::Block(running);
        let mut words = OwnedArgs::new();
        words.push(b"exec");
        if overlaps {
            let words_bytes = connection.queued_bytes();
            connection.block = None;
            let words = Some(words);
            let what = (purpose, words_bytes);
            self.begin_behind(token, connection, entry, words, transaction, what);
            return Dispatched::Taken;
        }
        self.begin(token, connection, entry, Some(words), transaction, purpose);
        if let Some(start) = self.starts.back_mut() {
            start.needs_token = needs_token;
        }
        if changes_scripts && let Some(start) = self.starts.pop_back() {
            let token = start.token;
            self.prepare_change(token, Change::Block(Box::new(start)));
        }
        Dispatched::Taken
    }

    /// Whether a block that may begin beside others has to wait for some of them.
    fn exec_waits(&mut self, token: Token, connection: &mut Connection) -> bool {
        if self.is_full_for_more(token, connection) {
            return true;
        }
        if connection.under_way.is_none() {
            return false;
        }
        let Some(block) = connection.block.take() else {
            return false;
        };
        let waits = self.block_waits_for_keys(connection, &block);
        connection.block = Some(block);
        waits
    }

    /// A watched key was touched.
    fn exec_nothing(&mut self, connection: &mut Connection, entry: &'static Entry) -> Dispatched {
        self.end_block(connection);
        self.count(connection, entry);
        let silent = take_silence(connection);
        connection.write_reply(|out, session| {
            if !silent {
                Reply::new(out, session.protocol).null_array();
            }
        });
        Dispatched::Taken
    }

    /// All of it is on this core's shard, and no lock is held there.
    fn exec_here(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
    ) -> Dispatched {
        let Some(block) = connection.block.take() else {
            return Dispatched::Taken;
        };
        let mut block = block;
        // What ACL LOG tells of the client.
        connection.last_command = Some(entry);
        self.check_block(connection, &mut block.queue);
        self.counters.local_requests += 1;
        let id = block.watched.take().map(|watched| watched.watch.id);
        let has_changed = id.is_some_and(|id| self.shard.has_changed(id));
        if let Some(id) = id {
            self.shard.unwatch(id);
        }
        if has_changed {
            // Which says that somebody has written that key.
            if self.holds_replies {
                let holds = self.shard.holds_of_all();
                connection.hold(&holds, &mut self.spare_holdings);
            }
            return self.exec_nothing(connection, entry);
        }
        let silent = take_silence(connection);
        let db = connection.session.db;
        let asker = caller(connection);
        // Behind replies that are not there yet it goes where it can wait for them.
        let is_drained = connection.is_drained();
        let mut buffer = match is_drained {
            true => std::mem::take(&mut connection.output),
            false => self.spare_buffer(),
        };
        let out = &mut buffer;
        let length = out.len();
        let commands_count = block.queue.len();
        Reply::new(out, asker.protocol).array(commands_count);
        let clock = &self.clock;
        let mut stamp = self.stamp;
        let thresholds = self.thresholds;
        let mut slow = Vec::new();
        self.shard.run_block(
            block.queue.steps(),
            db,
            asker,
            out,
            |shard, step, reply_bytes| {
                let now = clock.raw();
                let took_ns = clock.delta_as_nanos(stamp, now);
                shard.record(step.entry.index, took_ns);
                if thresholds.concern(took_ns, reply_bytes) {
                    let call = SlowCall::new(step.entry, took_ns, reply_bytes, &step.args);
                    slow.push(call);
                }
                stamp = now;
            },
        );
        self.shard.end_block();
        if silent {
            out.truncate(length);
        }
        if is_drained {
            connection.output = buffer;
        } else {
            connection.write_reply(|to, _| to.extend_from_slice(&buffer));
            self.keep_buffer(buffer);
        }
        self.hold_here(connection);
        self.stamp = stamp;
        for call in slow {
            self.note_call(connection, call.entry, Costs::of(&call), call.words);
        }
        if self.monitored {
            self.tell_of_block(connection, &block.queue);
        }
        self.commands_count += commands_count as u64;
        self.keep_block(block);
        self.tell_after(token, connection);
        self.count(connection, entry);
        if connection.output_bytes() > OUTPUT_LOOK_BYTES {
            self.look_at_output(connection);
        }
        Dispatched::Taken
    }

    /// Tells monitors of the commands of a block.
    #[cold]
    pub(super) fn tell_of_block(&mut self, connection: &Connection, commands: &Packed) {
        let source = monitor::source(connection);
        let mut place = self.place_of(&connection.session);
        let allowed = commands.steps().filter(|step| step.denied.is_none());
        for step in allowed {
            // As in Redis, a SELECT is shown where it leads.
            place = place.after(step.entry, &step.args);
            self.tell_monitors(&source, place.db, step.entry, &step.args);
        }
    }

    /// Tells monitors of a block's commands up to the first script; what is left of them.
    #[cold]
    fn show_until_script(&mut self, connection: &Connection, commands: &[Queued]) -> Unshown {
        let mut place = self.place_of(&connection.session);
        let with_place = commands.iter().map(|queued| {
            // As in Redis, a SELECT is shown where it leads.
            place = place.after(queued.entry, &queued.args.as_args());
            (place.db, queued.clone())
        });
        let mut unshown = Unshown {
            source: monitor::source(connection),
            commands: with_place.collect(),
            shown_count: 0,
        };
        let mut entries = commands.iter().map(|queued| queued.entry);
        let first = entries.position(calls_script);
        self.show(&mut unshown, first.unwrap_or(commands.len()));
        unshown
    }

    /// Tells monitors of the commands of a block that come before this place.
    #[cold]
    fn show(&mut self, unshown: &mut Unshown, end: usize) {
        while unshown.shown_count < end
            && let Some((db, queued)) = unshown.commands.pop_front()
        {
            unshown.shown_count += 1;
            if queued.denied.is_none() {
                let args = queued.args.as_args();
                self.tell_monitors(&unshown.source, db, queued.entry, &args);
            }
        }
    }

    /// A block has come to one of its scripts.
    pub(super) fn show_until_this(&mut self, tx: TxId) {
        let Some(coordinated) = self.transactions.get_mut(&tx) else {
            return;
        };
        let end = coordinated.transaction.position() + 1;
        let Purpose::Block(of) = &mut coordinated.purpose else {
            return;
        };
        let Some(mut unshown) = of.unshown.take() else {
            return;
        };
        self.show(&mut unshown, end);
        if let Some(coordinated) = self.transactions.get_mut(&tx)
            && let Purpose::Block(of) = &mut coordinated.purpose
        {
            of.unshown = Some(unshown);
        }
    }

    /// Counts commands over several shards that a block has run: all of them took `took_ns`, hops included.
    pub(super) fn count_calls(&mut self, token: Token, calls: Vec<CountedCall>, took_ns: u64) {
        let each_ns = took_ns / calls.len().max(1) as u64;
        // What a script has called is a part of it.
        let noted_count = calls.iter().filter(|call| call.words.is_some()).count();
        let noted_ns = took_ns / noted_count.max(1) as u64;
        for call in calls {
            self.shard.record_with_waits(call.entry.index, each_ns);
            self.count_failure(call.entry.index, call.failure);
            self.note_if_worth(token, call.entry, noted_ns, call.reply_bytes, call.words);
        }
    }

    /// Counts the failure of a command of a block or a script.
    pub(super) fn count_failure(&mut self, index: u16, failure: Option<CallFailure>) {
        let figures = self.shard.figures_mut();
        match failure {
            Some(CallFailure::Line(line)) => figures.record_failure(index, &line),
            Some(CallFailure::Counted) => figures.record_failed_call(index),
            None => {}
        }
    }

    /// A block that ran as a transaction has ended.
    pub(super) fn block_has_run(
        &mut self,
        (token, entry): (Token, &'static Entry),
        running: Running,
        mut transaction: Transaction,
        reply: &[u8],
        has_gone_on: bool,
    ) {
        if let Some(mut unshown) = running.unshown {
            self.show(&mut unshown, usize::MAX);
        }
        // CLIENT REPLY may have kept its first line back.
        let has_run = !matches!(reply.first(), Some(b'-' | b'_')) && !reply.starts_with(b"*-");
        if has_run {
            self.commands_count += running.commands_count as u64;
        }
        for refusal in transaction.take_refusals() {
            let line = refusal.error.line();
            self.shard.figures_mut().errors_mut().count(&line);
            if let Some(connection) = self.connections.borrow(token) {
                if let Some(denial) = refusal.denial {
                    self.note_denial(&connection, denial);
                }
                self.connections.restore(token, connection);
            }
        }
        if let Some((id, shards)) = running.watch {
            self.unwatch(id, shards);
        }
        if running.calls_functions {
            let holds = self.holds_of_libraries();
            self.hold(token, &holds);
        }
        if has_gone_on {
            return; // Whatever block is open is another one.
        }
        if let Some(args) = running.untold
            && let Some(mut connection) = self.connections.borrow(token)
        {
            self.tell_of_request(&connection, entry, &args.as_args());
            self.show_behind_own(token, &mut connection);
            self.connections.restore(token, connection);
        }
        self.forget_block(token);
        if let Some(connection) = self.connections.get_mut(token) {
            connection.runs_block = false;
            self.release(token);
        }
        if let Some(connection) = self.connections.get_mut(token)
            && let Some(tracking) = connection.session.tracking.as_deref_mut()
        {
            // CLIENT CACHING in the block was for the block.
            tracking.is_caching = false;
        }
    }
}
