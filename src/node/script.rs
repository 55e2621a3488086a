//! Scripts on a core: where each runs, what it calls, and its reply.
//!
//!     EVAL -> the core of its keys -> in place, calls executed one after the other      (no lock held there, keys at hand)
//!                                  -> as a transaction, its calls wherever their keys live
//!
//! A script that begins in place and turns out to want more goes on as a transaction if it has written, with locks on what it
//! has touched; it begins anew as one if it has not. Scripts that may touch what they do not declare write only with the
//! process's token.
//!
//! Promises  a script is one step to everybody else, whatever it touches; with its keys on one shard it costs no lock, no
//!           message, no copy of its words.
//! Not here  how a script goes on as a transaction: `node/script_steps.rs`; what one may call: `node/script_calls.rs`; which there
//!           are: `node/script_known.rs`; those that run for long: `node/script_busy.rs`; the token: `node/script_token.rs`; the
//!           transaction: `router/programs/script.rs`; Lua: `script/`.
//! Tests     tests/server/scripts.rs.

use std::collections::HashMap;
use std::sync::Arc;

use super::block_hops::BYTES_MAX;
use super::connection::{Blocked, Connection};
use super::core::{Core, Purpose, Start};
use super::dispatch::{Dispatched, caller, take_silence};
use super::events::say_late;
use super::mesh::Item;
use super::message::Message;
use super::ring::Token;
use super::script_calls::Wish;
use super::script_known::{Known, Prepared, Script};
use crate::commands::acl::User;
use crate::commands::acl::log::Denial;
use crate::commands::table::Caller;
use crate::commands::{CommandError, Entry, Flags};
use crate::persist::Holds;
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};
use crate::router::calls::{Queued, SlowCall};
use crate::router::keys::for_each_lock;
use crate::router::programs::script::{Call, ScriptRequest, UnderWay};
use crate::router::{FromShard, KeyLock, LockSet, Origin, Plan, Transaction, TxId};
use crate::script::{Answer, Engine, Limits, Run, ScriptId};
use crate::shard::memory::OUT_OF_MEMORY;
use crate::shard::scripts::{Called, InPlace};
use crate::shard::{Outcome, Request};

/// Scripts that have lately left their keys begin as transactions so many times.
const LEFT_TIMES: u8 = 16;
/// What a call is told that no text of a script that stays should make, while another one may seize what it wants.
const STRAYED: &[u8] =
    b"-ERR script tried accessing a key that it does not declare, while another script does so";

/// A core's scripts.
pub struct Scripts {
    pub(super) engine: Engine,
    pub(super) known: HashMap<ScriptId, Known, ahash::RandomState>,
    /// Names of texts, by the texts' hashes.
    pub(super) texts: HashMap<u64, ScriptId, ahash::RandomState>,
    /// Bytes of texts that became known since it was last looked which are still needed.
    pub(super) learned_bytes: usize,
    /// Those that run as transactions.
    pub(super) runs: HashMap<TxId, Hosted, ahash::RandomState>,
    /// Transactions that wait for the token before they begin.
    pub(super) in_line: HashMap<TxId, Start, ahash::RandomState>,
    /// Cuts that begin again once no script runs for long.
    pub(super) put_off: Vec<Start>,
    /// Scripts that have used up their turn.
    pub(super) slow: Vec<TxId>,
    /// Of those, how many have run for so long that other clients are told.
    pub(super) busy_count: usize,
    /// Reused for replies to calls.
    pub(super) buffer: Vec<u8>,
}

/// A script under way.
pub struct Hosted {
    pub(super) run: Run,
    /// Whose it is.
    pub(super) origin: Origin,
    pub(super) caller: Caller,
    pub(super) db: u16,
    pub(super) is_readonly: bool,
    /// It touches nothing but the keys that it declares, which are locked where it is a transaction.
    pub(super) stays: bool,
    /// It has called something that writes.
    pub(super) has_written: bool,
    /// It is part of a block that writes, which was allowed to when it began: the whole of that is done.
    pub(super) is_in_block: bool,
    /// It has called FLUSHALL.
    pub(super) has_emptied: bool,
    /// Memory was short when it began, and it has not said that it minds no limit (`allow-oom`).
    pub(super) may_not_grow: bool,
    /// When it began (`Core::clock`).
    pub(super) began: u64,
    pub(super) is_busy: bool,
    /// All cores know that it is busy.
    pub(super) is_told: bool,
    pub(super) is_killed: bool,
    /// The words that began it, once it is a transaction.
    pub(super) words: OwnedArgs,
    pub(super) stamp: u64,
    /// Whose rights it has, as they were when it began; none where nobody limits them, or who had them is gone.
    pub(super) user: Option<Arc<User>>,
    /// What it has called, while somebody monitors: told when it is over, for it may have to begin anew.
    pub(super) called: Vec<(u16, Queued)>,
    /// Which of its calls were slow: told likewise.
    pub(super) slow: Vec<SlowCall>,
    /// What its user was denied: likewise.
    pub(super) denials: Vec<Denial>,
    /// The call whose reply it waits for, and since when (`Core::clock`).
    pub(super) wished: Option<(&'static Entry, u64)>,
}

/// What became of a script that was to be run.
pub(super) enum Ran {
    /// Its reply, and whether that is an error that a command it called has counted.
    Reply(Vec<u8>, bool),
    /// It was not started, which is a call that has failed.
    Refused(CommandError),
    /// It was not even let through: there was no call.
    Rejected(CommandError),
    /// The reply comes later: it goes on as this.
    Later(Box<Start>),
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            engine: Engine::new(Limits::default()),
            known: HashMap::default(),
            texts: HashMap::default(),
            learned_bytes: 0,
            runs: HashMap::default(),
            in_line: HashMap::default(),
            put_off: Vec::new(),
            slow: Vec::new(),
            busy_count: 0,
            buffer: Vec::new(),
        }
    }
}

impl Core {
    /// EVAL and its relatives, of a connection here.
    pub(super) fn eval(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
        plan: Plan,
    ) -> Dispatched {
        let overlaps = self.script_overlaps(connection, entry, args, plan);
        if !overlaps && self.must_drain(connection) {
            return Dispatched::NotYet;
        }
        if overlaps
            && (self.is_full_for_more(token, connection)
                || self.command_waits_for_keys(connection, entry, args))
        {
            return Dispatched::NotYet;
        }
        let origin = Origin {
            core: self.id,
            connection: token.index,
            generation: token.generation,
            sequence: connection.next_sequence(),
        };
        let (db, asker) = (connection.session.db, caller(connection));
        if let Plan::Shard(shard) = plan {
            if shard != self.id {
                if self.wants_to_move(connection, shard) {
                    return self.begin_move(token, connection, shard);
                }
                if let Some(target) = self.move_of(connection) {
                    return self.begin_move(token, connection, target);
                }
                self.hold_for_libraries(connection, entry);
                return self.send_script(token, connection, entry, args, (shard, overlaps));
            }
            if self.map.shards_count() > 1 {
                connection.affinity.count(shard);
            }
        }
        // What it publishes must reach the connection itself, which is out of its place now.
        let may_in_place = plan == Plan::Shard(self.id) && !connection.session.subscribed;
        if self.monitored {
            self.tell_of_request(connection, entry, args);
        }
        let ran = self.host(origin, entry, db, asker, args, may_in_place);
        self.hold_for_libraries(connection, entry);
        self.tell_unheard(token, connection);
        match ran {
            Ran::Reply(reply, has_counted) => {
                let silent = take_silence(connection);
                self.note_if_failed(entry, &reply, has_counted);
                connection.write_reply(|out, _| {
                    if !silent {
                        out.extend_from_slice(&reply);
                    }
                });
                self.hold_here(connection);
                say_late(connection);
                self.tell_after(token, connection);
                self.count(connection, entry);
                self.look_at_reply(entry, reply.len());
                if connection.output_bytes() > super::dispatch::OUTPUT_LOOK_BYTES {
                    self.look_at_output(connection);
                }
            }
            Ran::Refused(error) => return self.fail_request(connection, entry, &error),
            Ran::Rejected(error) => return self.refuse(connection, Some(entry), &error),
            Ran::Later(mut start) => {
                let silent = take_silence(connection);
                if overlaps {
                    self.note_keys_under_way(connection, entry, args);
                    start.place = Some(connection.reserve(silent));
                } else {
                    connection.blocked = Some(Blocked::UntilReply);
                    connection.silent_reply = silent;
                }
                connection.commands_count += 1;
                connection.last_command = Some(entry);
                self.starts.push_back(*start);
                // What it has taken so far is no time of the next command's.
                self.stamp = self.clock.raw();
            }
        }
        Dispatched::Taken
    }

    /// Sends a script to the core of its keys: among the requests of a batch, as any other.
    fn send_script(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
        (shard, overlaps): (u16, bool),
    ) -> Dispatched {
        self.follow_keys(connection, shard);
        let silent = take_silence(connection);
        let sequence = connection.reserve(silent);
        if overlaps {
            self.note_keys_under_way(connection, entry, args);
        } else {
            connection.blocked = Some(Blocked::UntilDrained);
        }
        connection.commands_count += 1;
        connection.last_command = Some(entry);
        if self.monitored {
            self.tell_of_request(connection, entry, args);
        }
        let (db, caller) = (connection.session.db, caller(connection));
        let item = Item::new(entry, token, sequence, db, caller);
        self.counters.hops_out += 1;
        let batch = self.mesh.open(usize::from(shard));
        if batch.large_bytes == 0 && args.bytes().len() <= BYTES_MAX {
            batch.push(item, args);
        } else {
            let args = OwnedArgs::from_args(args);
            batch.posts_bytes += args.heap_bytes();
            batch.messages.push_back(Message::Script { item, args });
        }
        Dispatched::Taken
    }

    /// Tells monitors what a script has called. Its own line, which Redis has before those, was told by its client's core.
    pub(super) fn tell_of_script(&mut self, hosted: &mut Hosted) {
        for (db, Queued { entry, args, .. }) in &hosted.called {
            self.tell_monitors("lua", *db, entry, &args.as_args());
        }
        if !hosted.slow.is_empty() {
            self.tell_slow_calls(hosted);
        }
        if !hosted.denials.is_empty() {
            self.tell_denials(hosted);
        }
    }

    /// A script of another core's connection, whose keys are here: as an item of its batch.
    ///
    /// - `replies`: where its reply goes; not where that comes later.
    pub(super) fn serve_script(
        &mut self,
        request: &Request,
        args: &Args<'_>,
        replies: &mut Vec<u8>,
    ) -> Outcome {
        let Request {
            entry,
            db,
            caller,
            origin,
        } = *request;
        let length = replies.len();
        let has_counted = match self.host(origin, entry, db, caller, args, true) {
            Ran::Reply(reply, has_counted) => {
                replies.extend_from_slice(&reply);
                has_counted
            }
            Ran::Refused(error) => {
                Reply::new(replies, caller.protocol).error_bytes(&error.line());
                false
            }
            Ran::Rejected(error) => {
                let line = error.line();
                Reply::new(replies, caller.protocol).error_bytes(&line);
                // Whoever has it here counts it as a call.
                self.shard.figures_mut().record_refusal(entry.index, &line);
                return Outcome::Done;
            }
            Ran::Later(start) => {
                self.starts.push_back(*start);
                return Outcome::Deferred;
            }
        };
        self.note_if_failed(entry, &replies[length..], has_counted);
        Outcome::Done
    }

    /// The same of one that was too large for that.
    pub(super) fn script_came(&mut self, request: &Request, args: &OwnedArgs) {
        self.counters.hops_in += 1;
        let before = self.clock.raw();
        let mut reply = Vec::new();
        let Outcome::Done = self.serve_script(request, &args.as_args(), &mut reply) else {
            return;
        };
        let (origin, entry) = (request.origin, request.entry);
        let took_ns = self.clock.delta_as_nanos(before, self.clock.raw());
        self.shard.record(entry.index, took_ns);
        self.commands_count += 1;
        let holds = self.holds_of_request();
        if self.thresholds.concern(took_ns, reply.len()) {
            let words = self.words_to_keep(entry, &args.as_args());
            self.send_slow(origin, entry, took_ns, reply.len(), words);
        }
        self.script_has_run(origin, reply, holds);
    }

    /// The reply of a script to wherever its client is.
    pub(super) fn script_has_run(&mut self, origin: Origin, reply: Vec<u8>, holds: Holds) {
        let event = FromShard::Late {
            origin,
            reply,
            holds,
        };
        // Not told: what the script has published may be there already, and is to come after this.
        let message = Message::FromShard { event, ran_at: 0 };
        self.mesh.send(usize::from(origin.core), message);
    }

    /// Runs a script in place where that may be, or makes a transaction of it.
    fn host(
        &mut self,
        origin: Origin,
        entry: &'static Entry,
        db: u16,
        caller: Caller,
        args: &Args<'_>,
        may_in_place: bool,
    ) -> Ran {
        if self.shard.refuses_growth()
            && let Some(script) = self.declared_flags(entry, args)
            && !script.allows_oom
        {
            return Ran::Rejected(OUT_OF_MEMORY.into());
        }
        let prepared = match self.prepare(entry, args) {
            Ok(prepared) => prepared,
            Err(error) => return Ran::Refused(error),
        };
        let is_one = self.map.shards_count() == 1;
        let mut stays = prepared.script.stays;
        if may_in_place
            && self.shard.is_lock_free()
            && (stays || is_one || prepared.script.left == 0)
        {
            let hosted = match self.start_run(&prepared, origin, db, caller, args) {
                Ok(hosted) => hosted,
                Err(error) => return Ran::Refused(error),
            };
            match self.run_in_place(hosted, stays || is_one, &prepared, entry, args) {
                Some(ran) => return ran,
                None if is_one => {}
                None => {
                    stays = false;
                    self.note_left(&prepared);
                }
            }
        } else if prepared.script.left > 0
            && prepared.function.is_none()
            && let Some(script) = self.known_script(&prepared)
        {
            // Once in a while it is tried again. A function is not: what it keeps in its library would be changed twice.
            script.left -= 1;
        }
        let request = self.script_request_of(entry, args, db, caller, prepared.is_readonly);
        let transaction = Transaction::script(request, self.map, &self.hasher);
        Ran::Later(Box::new(self.script_start(
            origin,
            entry,
            self.words_to_keep(entry, args),
            transaction,
            !stays,
        )))
    }

    /// What is known of a script, to be corrected.
    fn known_script(&mut self, prepared: &Prepared) -> Option<&mut Script> {
        match &prepared.function {
            Some(name) => self.functions.known_mut(name),
            None => {
                let known = self.scripts.known.get_mut(&prepared.id);
                known.map(|known| &mut known.script)
            }
        }
    }

    fn note_left(&mut self, prepared: &Prepared) {
        if let Some(script) = self.known_script(prepared) {
            script.left = LEFT_TIMES;
        }
    }

    fn script_start(
        &self,
        origin: Origin,
        entry: &'static Entry,
        words: Option<OwnedArgs>,
        transaction: Transaction,
        needs_token: bool,
    ) -> Start {
        let token = Token {
            index: origin.connection,
            generation: origin.generation,
        };
        Start {
            needs_token,
            ..Start::new(token, entry, words, transaction, Purpose::Script(origin))
        }
    }

    fn script_request_of(
        &mut self,
        entry: &'static Entry,
        args: &Args<'_>,
        db: u16,
        caller: Caller,
        is_readonly: bool,
    ) -> ScriptRequest {
        ScriptRequest {
            command: Queued {
                entry,
                args: OwnedArgs::from_args(args),
                denied: None,
            },
            db,
            caller,
            is_readonly,
            here: self.id,
            now_ms: self.now_ms,
            seed: self.draw_id(),
        }
    }

    /// Runs a script in place as far as that goes; none: it is to begin anew as a transaction.
    fn run_in_place(
        &mut self,
        mut hosted: Hosted,
        stays: bool,
        prepared: &Prepared,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Option<Ran> {
        let mut in_place = InPlace::new(stays);
        // It may have to begin anew, but not where all keys are here.
        let in_doubt = (self.map.shards_count() > 1).then(|| self.shard.begin_doubt());
        self.shard.begin_script();
        let mut buffer = std::mem::take(&mut self.scripts.buffer);
        let mut is_answered = false;
        let mut is_refused = false;
        let ran = loop {
            let answer = if std::mem::take(&mut is_answered) {
                std::mem::swap(hosted.run.reply_buffer(), &mut buffer);
                Answer::Buffered
            } else if std::mem::take(&mut is_refused) {
                Answer::Error(STRAYED)
            } else {
                Answer::Begin
            };
            let wish = match self.advance(&mut hosted, answer, Some(&mut in_place)) {
                Wish::Done(reply) => {
                    if in_place.has_token {
                        self.give_token_back();
                    }
                    self.shard.end_script();
                    self.script_has_ended();
                    self.tell_of_script(&mut hosted);
                    break Some(Ran::Reply(reply, hosted.run.has_counted()));
                }
                Wish::Call(call) => {
                    if self.call_in_place(&mut hosted, &mut in_place, call, &mut buffer) {
                        is_answered = true;
                        continue;
                    }
                    Wish::Call(call)
                }
                wish => wish,
            };
            let has_strayed = stays && self.map.shards_count() > 1;
            if has_strayed && matches!(wish, Wish::Call(_)) {
                if let Some(script) = self.known_script(prepared) {
                    script.stays = false;
                }
                if !in_place.has_written {
                    self.script_is_over(&hosted);
                    self.shard.end_script();
                    break None;
                }
                in_place.has_strayed = true;
                in_place.has_token = in_place.has_token || self.try_take_token();
                // It can neither begin anew nor wait for who may be waiting for it.
                if !in_place.has_token {
                    is_refused = true;
                    continue;
                }
            }
            // It cannot go on here. One that may want more keys than it has goes on elsewhere only with the token.
            if !stays && !in_place.has_written {
                let has_run_long = matches!(wish, Wish::Turn);
                if has_run_long && !in_place.has_token {
                    in_place.has_token = self.try_take_token();
                } else if !has_run_long && in_place.has_token {
                    in_place.has_token = false;
                    self.give_token_back();
                }
                if !in_place.has_token {
                    self.script_is_over(&hosted);
                    self.shard.end_script();
                    break None;
                }
            }
            break Some(self.leave_place(hosted, wish, in_place, prepared, entry, args));
        };
        if let Some(before) = in_doubt {
            self.shard.end_doubt(before, ran.is_some());
        }
        self.scripts.buffer = buffer;
        self.shard.end_block();
        ran
    }

    /// Runs a call in place if that may be; its reply is in `out` then.
    #[inline]
    fn call_in_place(
        &mut self,
        hosted: &mut Hosted,
        in_place: &mut InPlace,
        entry: &'static Entry,
        out: &mut Vec<u8>,
    ) -> bool {
        out.clear();
        let caller = hosted.call_caller();
        let db = hosted.db;
        let map = self.map;
        let words = hosted.run.words();
        let mut called = self
            .shard
            .call_in_place(in_place, &map, entry, db, caller, &words, out);
        if called == Called::NeedsToken && self.try_take_token() {
            in_place.has_token = true;
            called = self
                .shard
                .call_in_place(in_place, &map, entry, db, caller, &words, out);
        }
        if called != Called::Done {
            return false;
        }
        self.count_call(hosted, entry);
        true
    }

    /// Makes a transaction of a script that runs in place.
    #[cold]
    fn leave_place(
        &mut self,
        mut hosted: Hosted,
        wish: Wish,
        in_place: InPlace,
        prepared: &Prepared,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Ran {
        let tx = self.draw_id();
        let has_token = in_place.has_token;
        if !in_place.stays {
            self.note_left(prepared);
        }
        let is_sure = prepared.script.stays && !in_place.has_strayed;
        let declared = (is_sure && self.map.shards_count() > 1).then(|| {
            let mut keys = Vec::new();
            for_each_lock(entry, args, |index, mode| {
                let hash = self.hasher.hash(args.get(index));
                keys.push(KeyLock { hash, mode });
            });
            LockSet::of_keys(0, keys)
        });
        let locks = self.shard.hold(tx, in_place, declared);
        if !self.withholds() {
            self.tell_of_transaction(tx, None);
        }
        let (origin, db, caller) = (hosted.origin, hosted.db, hosted.caller);
        if let Wish::Call(call) = &wish {
            hosted.has_emptied |= call.command.flags.has(Flags::SAVED);
        }
        let step = match &wish {
            Wish::Call(call) => UnderWay::Call(Call {
                command: hosted.words_of(call),
                db: hosted.db,
                caller: hosted.call_caller(),
            }),
            Wish::Publish(_) | Wish::Info(..) | Wish::Memory(..) => UnderWay::Waiting,
            Wish::Turn | Wish::Done(_) => UnderWay::Running,
        };
        let request = self.script_request_of(entry, args, db, caller, prepared.is_readonly);
        let here = self.id;
        let (map, hasher) = (self.map, &self.hasher);
        let mut transaction =
            Transaction::script_under_way(request, here, locks, step, map, hasher);
        if has_token {
            transaction = transaction.with_token();
        }
        if let Some(trace) = self.shard.leave_script(tx) {
            transaction.take_trace(here, *trace);
        }
        self.withheld.script_becomes(tx);
        hosted.wished = wish.entry().map(|entry| (entry, self.clock.raw()));
        self.grant_wish(tx, &hosted, wish);
        hosted.words = OwnedArgs::from_args(args);
        let began = Some(hosted.began);
        self.scripts.runs.insert(tx, hosted);
        let words = self.words_to_keep(entry, args);
        let start = self.script_start(origin, entry, words, transaction, false);
        Ran::Later(Box::new(Start {
            tx: Some(tx),
            began,
            ..start
        }))
    }
}

impl Hosted {
    pub(super) fn token(&self) -> Token {
        Token {
            index: self.origin.connection,
            generation: self.origin.generation,
        }
    }

    /// Its client, and on which core that is.
    pub(super) fn client(&self) -> (u16, Token) {
        (self.origin.core, self.token())
    }

    /// How replies to its calls are encoded.
    pub(super) fn call_caller(&self) -> Caller {
        Caller {
            protocol: self.run.protocol(),
            ..self.caller
        }
    }

    pub(super) fn words_of(&self, entry: &'static Entry) -> Queued {
        let args = OwnedArgs::from_args(&self.run.words());
        Queued {
            entry,
            args,
            denied: None,
        }
    }
}
