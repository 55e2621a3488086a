//! Each request to where it runs.
//!
//!     dispatch -> here: execute, reply into the output
//!              -> one other shard: into that core's batch
//!              -> several shards, the node, the session: wait for what is before it
//!
//! Promises  replies keep the order of their requests; what is not one shard's work runs alone on its connection.
//! Not here  finding requests in bytes: `node/intake.rs`.

use std::sync::atomic::Ordering;

use super::block::writes;
use super::client_log;
use super::connection::{Asked, Blocked, Connection};
use super::core::{Core, Purpose, RingWork};
use super::mesh::{Item, count_moved};
use super::ring::Token;
use super::under_way::has_plain_keys;
use super::watching::Noted;
use crate::base::shared_bytes::SharedBytes;
use crate::commands::blocking::may_wait;
use crate::commands::client_tracking::ClientTracking;
use crate::commands::himport::NO_SUCH_FIELDSET;
use crate::commands::pubsub::PubSub;
use crate::commands::redact::logged_words;
use crate::commands::session::{
    SessionCall, is_http, needs_no_keys, needs_permission, needs_silence,
};
use crate::commands::table::{Caller, Group, Run, Verb, table};
use crate::commands::{Action, CommandError, Entry, Flags};
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply, Span};
use crate::router::{Origin, Plan, Transaction, plan};
use crate::shard::memory::OUT_OF_MEMORY;
use crate::shard::{Outcome, Request};

/// Output below this is not held against the output limits at once: the tick does that.
pub(super) const OUTPUT_LOOK_BYTES: usize = 64 * 1024;

/// What became of a request.
#[derive(PartialEq)]
pub(super) enum Dispatched {
    /// On its way, or done.
    Taken,
    /// It must wait: leave it where it is.
    NotYet,
}

impl Core {
    /// Sends one request where it runs.
    #[inline]
    pub(super) fn dispatch(
        &mut self,
        token: Token,
        connection: &mut Connection,
        args: &Args<'_>,
        large: Option<(&SharedBytes, &Vec<Span>)>,
    ) -> Dispatched {
        let dispatched = self.dispatch_one(token, connection, args, large);
        if connection.session.tracking.is_some() && dispatched == Dispatched::Taken {
            Self::has_taken(connection);
        }
        dispatched
    }

    #[inline]
    fn dispatch_one(
        &mut self,
        token: Token,
        connection: &mut Connection,
        args: &Args<'_>,
        large: Option<(&SharedBytes, &Vec<Span>)>,
    ) -> Dispatched {
        let entry = match table().resolve(args) {
            Ok(entry) => entry,
            Err(_) if is_http(args.get(0)) => {
                if self.attack_lines.may_tell(self.now_us) {
                    client_log::tell_attack(&connection.peer);
                }
                connection.clear_output();
                connection.close_after_output = true;
                return Dispatched::Taken;
            }
            Err(error) => return self.refuse_unresolved(connection, args, &error),
        };
        if entry.command.flags.has(Flags::PROTECTED) {
            let allowed = self.options.debug_allowed(connection.peer.is_local());
            if let Some(error) = needs_permission(entry, allowed) {
                return self.refuse(connection, Some(entry), &error);
            }
        }
        if connection.session.is_guarded
            && let Some(dispatched) = self.guard(connection, entry, args)
        {
            return dispatched;
        }
        if let Some(error) = needs_silence(entry, &connection.session) {
            return self.refuse(connection, Some(entry), &error);
        }
        if connection.publishing && self.waits_for_posts(connection, entry) {
            return Dispatched::NotYet;
        }
        if self.gate != 0
            && let Some(error) = self.shut_out(connection, entry, args)
        {
            return self.refuse(connection, Some(entry), &error);
        }
        if self.log_errno != 0 && self.needs_disk(connection, entry, args) {
            let error = self.refusal_of_write();
            return self.refuse(connection, Some(entry), &error);
        }
        if self.keeps_writes_waiting() && writes(connection, entry) {
            connection.blocked = Some(Blocked::Congested);
            self.congested.push(token);
            return Dispatched::NotYet;
        }
        if self.is_silenced() && self.waits_to_say(token, connection, entry, args) {
            return Dispatched::NotYet;
        }
        if self.is_pausing() && self.waits_for_pause(token, connection, entry, args) {
            return Dispatched::NotYet;
        }
        if entry.command.group == Group::Scripting
            && self.has_open_change()
            && self.waits_for_open_change(token, connection, entry)
        {
            return Dispatched::NotYet;
        }
        if self.is_a_script_busy() && self.is_busy_for(connection, entry) {
            let error = self.busy_error();
            return self.refuse(connection, Some(entry), &error);
        }
        if entry.command.flags.has(Flags::SPELLED_OUT) {
            return self.spell_out(token, connection, entry, args);
        }
        self.dispatch_checked(token, connection, entry, args, large)
    }

    /// Sends the same request on with the names of the fieldset that the connection has prepared.
    #[cold]
    fn spell_out(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Dispatched {
        let fieldsets = connection.session.fieldsets.as_ref();
        let words = match fieldsets {
            Some(fieldsets) => fieldsets.spell_out(args),
            None => Err(NO_SUCH_FIELDSET.into()),
        };
        match words {
            Ok(words) => self.dispatch_checked(token, connection, entry, &words.as_args(), None),
            Err(error) => self.refuse(connection, Some(entry), &error),
        }
    }

    /// A request that the client may ask for, now.
    #[inline]
    fn dispatch_checked(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
        large: Option<(&SharedBytes, &Vec<Span>)>,
    ) -> Dispatched {
        if connection.session.monitoring {
            self.show_before_own(token, connection);
            if let Some(error) = needs_no_keys(entry, &connection.session) {
                return self.refuse(connection, Some(entry), &error);
            }
        }
        if connection.block.is_some()
            && let Some(dispatched) = self.queue(connection, entry, args)
        {
            return dispatched;
        }
        if connection.under_way.is_some() && self.waits_for_keys(connection, entry, args) {
            return Dispatched::NotYet;
        }
        // What does nothing but its work on keys is told in its turn.
        let is_on_keys = matches!(entry.command.run, Run::Keys(_) | Run::Waits(_));
        if !is_on_keys
            && (self.waits_for_news(token, connection)
                || self.withholds() && self.waits_for_withheld(token, connection, entry))
        {
            return Dispatched::NotYet;
        }
        let dispatched = match plan(entry, args, &self.map, self.id) {
            plan @ Plan::Shard(shard)
                if !matches!(entry.command.run, Run::Keys(_))
                    && (entry.command.run.is_script() || may_wait(entry, args)) =>
            {
                match entry.command.run {
                    Run::Script(_) => self.eval(token, connection, entry, args, plan),
                    _ => self.dispatch_waiting(token, connection, entry, args, shard),
                }
            }
            Plan::Shard(shard) if shard == self.id => {
                self.counters.local_requests += 1;
                if self.map.shards_count() > 1 {
                    connection.affinity.count(shard);
                }
                self.run_here(token, connection, entry, args);
                Dispatched::Taken
            }
            Plan::Shard(shard) => self.send_away(token, connection, entry, args, shard, large),
            Plan::Here => match entry.command.run {
                Run::PubSub(what) => self.run_pubsub(token, connection, entry, args, what),
                Run::Block(verb) => self.run_verb(token, connection, entry, verb, args),
                _ => self.run_session(token, connection, entry, args),
            },
            plan @ Plan::Many if entry.command.run.is_script() => {
                self.eval(token, connection, entry, args, plan)
            }
            Plan::Many => self.start_transaction(token, connection, entry, args),
        };
        let is_large = args.bytes().len() as u64 >= self.thresholds.request_bytes;
        if (self.slow.is_some() | self.monitored | is_large) && dispatched == Dispatched::Taken {
            self.note_request(connection, entry, args);
            self.show_behind_own(token, connection);
        }
        dispatched
    }

    #[inline]
    pub(super) fn run_here(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) {
        if connection.session.tracking.is_some() {
            self.evict_first(token, connection);
        }
        let silent = take_silence(connection);
        let request = self.request(token, connection, entry);
        let shard = &mut self.shard;
        let mut deferred = false;
        let mut reply_bytes = 0;
        if connection.is_drained() {
            let length = connection.output.len();
            shard.may_lend(!silent && connection.may_borrow());
            deferred = shard.execute(&request, args, &mut connection.output) == Outcome::Deferred;
            reply_bytes = connection.output.len() - length;
            if let Some(lent) = shard.take_lent() {
                reply_bytes += lent.string.len();
                connection.lend(lent);
            }
            if silent {
                connection.output.truncate(length);
            }
        } else {
            connection.write_ahead(|side| {
                let length = side.len();
                deferred = shard.execute(&request, args, side) == Outcome::Deferred;
                reply_bytes = side.len() - length;
                if silent {
                    side.truncate(length);
                }
                !deferred
            });
        }
        self.hold_here(connection);
        if deferred {
            connection.reserve(silent);
            if self.shard.has_long_reads() {
                self.stop_behind_long_read(connection);
            }
        }
        self.tell_after(token, connection);
        self.count(connection, entry);
        if deferred {
            // Whatever it takes is noted when it ends.
            self.slow = None;
        }
        self.look_at_reply(entry, reply_bytes);
        if connection.output_bytes() > OUTPUT_LOOK_BYTES {
            self.look_at_output(connection);
        }
    }

    /// What is evicted for a request is no part of it: who tracks such a key hears of it before the reply.
    #[cold]
    fn evict_first(&mut self, token: Token, connection: &mut Connection) {
        self.shard.evict_before(connection.session.db);
        self.tell_after(token, connection);
    }

    /// Ends a client with more output than it may have: the rest of its pipeline must not be run only to be thrown away.
    #[cold]
    pub(super) fn look_at_output(&mut self, connection: &mut Connection) {
        self.account_output(connection);
        let is_subscribed = connection.session.subscribed;
        let limit = self.options.output_limit(is_subscribed).hard_bytes;
        if limit > 0 && connection.output_bytes() as u64 > limit {
            // `check_output` does the rest.
            connection.close_after_output = true;
        }
    }

    /// Counts a request that ran here, and the time since the last stamp as its own.
    pub(super) fn count(&mut self, connection: &mut Connection, entry: &'static Entry) {
        self.count_inlined(connection, entry);
    }

    /// The same, for where most requests run.
    #[inline(always)]
    pub(super) fn count_inlined(&mut self, connection: &mut Connection, entry: &'static Entry) {
        let now = self.clock.raw();
        let took_ns = self.clock.delta_as_nanos(self.stamp, now);
        self.shard.record(entry.index, took_ns);
        if took_ns >= self.thresholds.any_ns {
            self.slow = Some(Noted::slow(entry, took_ns));
        }
        self.stamp = now;
        self.commands_count += 1;
        connection.commands_count += 1;
        connection.last_command = Some(entry);
    }

    /// After [`Core::count`]: whether the reply is so large that it is noted.
    #[inline]
    pub(super) fn look_at_reply(&mut self, entry: &'static Entry, reply_bytes: usize) {
        if reply_bytes as u64 >= self.thresholds.reply_bytes {
            let slow = self.slow.take();
            self.slow = Some(Noted::large(entry, reply_bytes, slow));
        }
    }

    pub(super) fn send_away(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
        shard: u16,
        large: Option<(&SharedBytes, &Vec<Span>)>,
    ) -> Dispatched {
        if self.wants_to_move(connection, shard) {
            return self.begin_move(token, connection, shard);
        }
        if let Some(target) = self.move_of(connection) {
            return self.begin_move(token, connection, target);
        }
        if self.is_full_for(token, connection) {
            return Dispatched::NotYet;
        }
        self.follow_keys(connection, shard);
        let silent = take_silence(connection);
        let sequence = connection.reserve(silent);
        let (db, caller) = (connection.session.db, caller(connection));
        let item = Item::new(entry, token, sequence, db, caller);
        let batch = self.mesh.open(usize::from(shard));
        match large {
            Some((bytes, spans)) => batch.push_large(item, bytes.clone(), spans.clone()),
            // A batch's messages come after its plain requests: this one must not overtake a large one.
            None if batch.large_bytes > 0 => {
                let spans = (0..args.len()).map(|index| args.span(index)).collect();
                batch.push_large(item, SharedBytes::copy_of(args.bytes()), spans);
            }
            None => batch.push(item, args),
        }
        self.counters.hops_out += 1;
        connection.commands_count += 1;
        connection.last_command = Some(entry);
        Dispatched::Taken
    }

    /// Whether a connection's request has to wait until other cores have answered some of those before it.
    #[inline]
    pub(super) fn is_full_for(&mut self, token: Token, connection: &mut Connection) -> bool {
        if self.mesh.is_congested() {
            connection.blocked = Some(Blocked::Congested);
            self.congested.push(token);
            return true;
        }
        if connection.has_full_portion(self.portion) {
            connection.blocked = Some(Blocked::UntilDrained);
            return true;
        }
        false
    }

    /// Whether this is the first key a connection asks for, and its core has room for one more.
    pub(super) fn wants_to_move(&self, connection: &mut Connection, shard: u16) -> bool {
        !std::mem::replace(&mut connection.affinity.placed, true)
            && !connection.stays()
            && connection.may_be_sent_soon()
            && self.has_room(shard)
    }

    /// Counts a request of another core's keys; where most of a connection's are on one, it is to move there.
    #[inline]
    pub(super) fn follow_keys(&self, connection: &mut Connection, shard: u16) {
        connection.moving_to = connection
            .affinity
            .count(shard)
            .filter(|&home| home != self.id && self.has_room(home))
            .filter(|_| !connection.stays());
    }

    /// Where a connection that follows its keys goes now: others may have taken the room there was, and its client may not read.
    #[inline]
    pub(super) fn move_of(&self, connection: &mut Connection) -> Option<u16> {
        let target = connection.moving_to?;
        let has_room = connection.is_expected || self.has_room(target);
        if !has_room || !connection.may_be_sent_soon() {
            connection.stay(&self.mesh.board().cores, self.id);
        }
        connection.moving_to
    }

    /// Following keys must not pile connections onto one core: the target may have an eighth more than this core, those that are on
    /// their way included. Many clients begin with the same key, at the same time.
    fn has_room(&self, shard: u16) -> bool {
        let count = |core: u16| {
            self.mesh.board().cores[usize::from(core)]
                .connections_count
                .load(Ordering::Relaxed)
        };
        let here = count(self.id);
        count(shard) <= here + here / 8 + 1
    }

    pub(super) fn begin_move(
        &mut self,
        token: Token,
        connection: &mut Connection,
        target: u16,
    ) -> Dispatched {
        connection.moving_to = Some(target);
        if !std::mem::replace(&mut connection.is_expected, true) {
            let cores = &self.mesh.board().cores;
            count_moved(cores, self.id, target);
        }
        if !connection.is_drained() {
            connection.blocked = Some(Blocked::UntilDrained);
            return Dispatched::NotYet;
        }
        connection.blocked = Some(Blocked::Moving);
        self.ring_work.push(RingWork::StopReceiving(token));
        Dispatched::NotYet
    }

    /// Whatever is not one shard's work runs alone on its connection.
    pub(super) fn must_drain(&mut self, connection: &mut Connection) -> bool {
        if connection.is_drained() {
            return false;
        }
        connection.blocked = Some(Blocked::UntilDrained);
        true
    }

    fn start_transaction(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Dispatched {
        let overlaps = has_plain_keys(entry) && self.may_overlap(connection);
        if !overlaps && self.must_drain(connection) {
            return Dispatched::NotYet;
        }
        if overlaps && self.is_full_for_more(token, connection) {
            return Dispatched::NotYet;
        }
        if entry.command.flags.has(Flags::DENYOOM) && self.shard.refuses_growth() {
            return self.refuse(connection, Some(entry), &OUT_OF_MEMORY.into());
        }
        let owned = OwnedArgs::from_args(args);
        let request = self.request(token, connection, entry);
        let made = if matches!(entry.command.run, Run::Waits(_)) {
            self.waiting_transaction(token, connection, request, owned)
                .map(|(transaction, wait)| (transaction, Purpose::MayWait(Box::new(wait))))
        } else {
            let Request { db, caller, .. } = request;
            Transaction::new(entry, db, caller, owned, self.map, &self.hasher)
                .map(|transaction| (transaction, Purpose::Reply))
        };
        match made {
            Ok((transaction, purpose)) => {
                let words = self.words_to_keep(entry, args);
                match overlaps {
                    true => {
                        let what = (purpose, args.bytes().len());
                        self.begin_behind(token, connection, entry, words, transaction, what);
                    }
                    false => self.begin(token, connection, entry, words, transaction, purpose),
                }
                Dispatched::Taken
            }
            Err(error) => self.fail_request(connection, entry, &error),
        }
    }

    /// Runs a command that may wait and has its keys on one shard: in place where that is this core's and free of locks.
    fn dispatch_waiting(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
        shard: u16,
    ) -> Dispatched {
        if shard != self.id || !self.shard.is_lock_free() {
            if shard != self.id && self.wants_to_move(connection, shard) {
                return self.begin_move(token, connection, shard);
            }
            return self.start_transaction(token, connection, entry, args);
        }
        if self.must_drain(connection) {
            // While it waits messages go straight out: replies of which pieces are still to come must not be before it.
            return Dispatched::NotYet;
        }
        self.counters.local_requests += 1;
        if self.map.shards_count() > 1 {
            connection.affinity.count(shard);
        }
        let silent = take_silence(connection);
        let request = self.request(token, connection, entry);
        self.run_or_wait(token, connection, &request, args, silent);
        self.tell_after(token, connection);
        if matches!(connection.blocked, None | Some(Blocked::UntilDrained)) {
            self.count(connection, entry);
        } else {
            connection.commands_count += 1;
            connection.last_command = Some(entry);
        }
        Dispatched::Taken
    }

    /// A request as shards see it.
    pub(super) fn request(
        &self,
        token: Token,
        connection: &Connection,
        entry: &'static Entry,
    ) -> Request {
        Request {
            entry,
            db: connection.session.db,
            caller: caller(connection),
            origin: Origin {
                core: self.id,
                connection: token.index,
                generation: token.generation,
                sequence: connection.next_sequence(),
            },
        }
    }

    fn run_session(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> Dispatched {
        if self.must_drain(connection) {
            return Dispatched::NotYet;
        }
        let Run::Session(run) = entry.command.run else {
            return self.refuse(
                connection,
                Some(entry),
                &"ERR this command cannot run here".into(),
            );
        };
        if entry.command.flags.has(Flags::DENYOOM) && self.shard.refuses_growth() {
            return self.refuse(connection, Some(entry), &OUT_OF_MEMORY.into());
        }
        let mode = connection.session.reply_mode;
        take_silence(connection);
        connection.note_request(args);
        let length = connection.output.len();
        let mut reply = Reply::new(&mut connection.output, connection.session.protocol);
        let mut call = SessionCall {
            session: &mut connection.session,
            databases: self.options.databases as u16,
            zone: &self.options.availability_zone,
            users: &self.users,
            denied: None,
            now_ms: self.now_ms,
            now_us: self.now_us,
        };
        let result = run(&mut call, &entry.handler_args(args), &mut reply);
        if let Some(denial) = call.denied {
            connection.last_command = Some(entry);
            self.note_denial(connection, denial);
        }
        let action = match result {
            Ok(action) => action,
            Err(error) => {
                connection.output.truncate(length);
                // The error is what begins.
                connection.session.reply_mode = mode;
                return self.fail_request(connection, entry, &error);
            }
        };
        // CLIENT REPLY ON may have ended it.
        let stays_silent = connection.session.reply_mode.is_silent();
        if stays_silent {
            connection.output.truncate(length);
        }
        match action {
            Action::Close => connection.close_after_output = true,
            Action::Node(request) => {
                connection.blocked = Some(Blocked::UntilReply);
                connection.silent_reply = stays_silent;
                // It is counted when it is answered.
                connection.asked = Some(Asked {
                    entry,
                    stamp: self.stamp,
                    // CONFIG SET may be what turns the log on.
                    words: Some(logged_words(entry, args)),
                });
                connection.commands_count += 1;
                connection.last_command = Some(entry);
                self.asks.push((token, request));
                return Dispatched::Taken;
            }
            _ => {}
        }
        let reply_bytes = connection.output.len() - length;
        self.count(connection, entry);
        self.look_at_reply(entry, reply_bytes);
        Dispatched::Taken
    }

    /// Answers with the error of a handler, or of what stands in for one: a call that failed.
    pub(super) fn fail_request(
        &mut self,
        connection: &mut Connection,
        entry: &'static Entry,
        error: &CommandError,
    ) -> Dispatched {
        self.count(connection, entry);
        let line = error.line();
        self.shard.figures_mut().record_failure(entry.index, &line);
        reply_error(connection, &line)
    }

    /// A request that no row takes. What looks at its own subcommands is one command to Redis, which asks for the right to
    /// it before it says that there is no such subcommand.
    #[cold]
    fn refuse_unresolved(
        &mut self,
        connection: &mut Connection,
        args: &Args<'_>,
        error: &CommandError,
    ) -> Dispatched {
        let container = table()
            .find(args.get(0))
            .filter(|it| it.hides_subcommands());
        let Some(entry) = container.filter(|entry| entry.takes(args.len())) else {
            return self.refuse(connection, None, error);
        };
        let allowed = self.options.debug_allowed(connection.peer.is_local());
        if let Some(error) = needs_permission(entry, allowed) {
            return self.refuse(connection, Some(entry), &error);
        }
        if connection.session.is_guarded
            && let Some(dispatched) = self.guard(connection, entry, args)
        {
            return dispatched;
        }
        self.refuse(connection, None, error)
    }

    /// Answers with an error without running anything.
    pub(super) fn refuse(
        &mut self,
        connection: &mut Connection,
        entry: Option<&'static Entry>,
        error: &CommandError,
    ) -> Dispatched {
        let entry = match error {
            CommandError::Arity(name) => table().find_original(name.as_bytes()),
            _ => entry,
        };
        connection.last_command = entry;
        let of_block = self.fail_block(connection, entry, error);
        let line = of_block.as_ref().unwrap_or(error).line();
        let figures = self.shard.figures_mut();
        match entry {
            Some(entry) => figures.record_rejection(entry.index, &line),
            None => figures.errors_mut().count(&line),
        }
        reply_error(connection, &line)
    }

    /// Whether this request waits for messages that its client has published: whoever sees what it does must have them.
    fn waits_for_posts(&mut self, connection: &mut Connection, entry: &'static Entry) -> bool {
        if matches!(entry.command.run, Run::PubSub(PubSub::Publish(_))) {
            return false;
        }
        connection.publishing = self.must_drain(connection);
        connection.publishing
    }

    /// Whether some requests may have to wait for the end of a pause.
    #[inline]
    pub(super) fn is_pausing(&self) -> bool {
        self.pause.is_some() | self.holds_writes
    }

    /// CLIENT PAUSE, and what the server itself keeps writes waiting for: whether this request waits for its end.
    fn waits_for_pause(
        &mut self,
        token: Token,
        connection: &mut Connection,
        entry: &'static Entry,
        args: &Args<'_>,
    ) -> bool {
        let has_waited = connection.paused_behind == Some(connection.commands_count);
        let pause = self.pause;
        let pause = pause.filter(|pause| !has_waited && pause.until_ms > self.now_ms);
        if pause.is_none() && !self.holds_writes {
            return false;
        }
        if pause.is_none_or(|pause| pause.writes_only) {
            let may_write = match entry.command.run {
                Run::Block(Verb::Exec) => self.block_may_write(connection),
                _ => self.may_write(entry, args),
            };
            if !may_write {
                return false;
            }
        }
        connection.blocked = Some(Blocked::Paused);
        connection.last_command = Some(entry);
        connection.note_request(args);
        self.paused_connections.push(token);
        true
    }

    /// Whether a request may change something. A script that says it does not write is looked for, and so becomes known.
    pub(super) fn may_write(&mut self, entry: &'static Entry, args: &Args<'_>) -> bool {
        let flags = entry.command.flags;
        match entry.command.run {
            Run::Script(_) => {
                let prepared = self.prepare(entry, args);
                !flags.has(Flags::READONLY) && !prepared.is_ok_and(|prepared| prepared.is_readonly)
            }
            _ => flags.has(Flags::WRITE) || flags.has(Flags::MAY_REPLICATE),
        }
    }
}

/// Replies with an error to a request that was not sent away.
fn reply_error(connection: &mut Connection, line: &[u8]) -> Dispatched {
    let silent = take_silence(connection);
    connection.write_reply(|out, session| {
        if !silent {
            Reply::new(out, session.protocol).error_bytes(line);
        }
    });
    Dispatched::Taken
}

/// Whether this request's reply is kept back (CLIENT REPLY OFF or SKIP), SKIP being used up.
#[inline]
pub(super) fn take_silence(connection: &mut Connection) -> bool {
    connection.session.reply_mode.begin()
}

#[inline]
pub(super) fn caller(connection: &Connection) -> Caller {
    let tracking = connection.session.tracking.as_deref();
    Caller {
        protocol: connection.session.protocol,
        no_touch: connection.session.no_touch,
        user: if connection.session.is_guarded {
            connection.session.user.serial()
        } else {
            0
        },
        in_script: false,
        in_block: false,
        tracks: tracking.is_some_and(ClientTracking::notes_reads),
        is_look: false,
        tracker: tracking.map(|tracking| tracking.tracker),
    }
}
