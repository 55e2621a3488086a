//! Clients that wait for a key: their timeouts and their ends.
//!
//!     dispatch -> runs here, or as a transaction -> waits: a place for the reply, a deadline
//!     Served   -> the reply in that place            deadline, CLIENT UNBLOCK -> the same, if the claim can be had
//!     closed   -> the claim is cancelled
//!
//! Promises  a client gets one reply: the claim decides between an element, a timeout, CLIENT UNBLOCK and its end. Nothing
//!           that comes on the connection runs before that reply. Timeouts are met to the millisecond.
//! Not here  who is served with what: `shard/waiting.rs`.
//! Tests     tests/server/blocking.rs.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::connection::{Blocked, Connection};
use super::core::{Core, Purpose, RingWork, Start};
use super::message::Message;
use super::ring::Token;
use super::wait_aof::WaitForDisk;
use crate::commands::acl::log::{Context, Denial};
use crate::commands::acl::{Denied, Place, check};
use crate::commands::blocking::plain_form;
use crate::commands::redact::logged_words;
use crate::commands::table::Caller;
use crate::commands::{CommandError, Entry, Session};
use crate::persist::Holds;
use crate::resp::args::OwnedArgs;
use crate::resp::element::is_null;
use crate::resp::{Args, Reply};
use crate::router::wait::{Claim, Taken, WaitRequest, WaitTicket};
use crate::router::{Origin, ShardId, ToShard, Transaction};
use crate::shard::{Request, Waited};

/// How soon a timeout is tried again whose claim a shard has for the moment.
const BUSY_US: i64 = 1000;

/// What CLIENT UNBLOCK ERROR answers with.
pub(super) const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

/// A client that waits.
pub struct WaitingClient {
    token: Token,
    /// The place of its reply.
    sequence: u64,
    entry: &'static Entry,
    claim: Claim,
    /// Where its waiters are.
    shards: Vec<ShardId>,
    /// Which of them has asked its coordinator to look, once one has.
    asked_by: Option<ShardId>,
    /// Microseconds since the epoch; none: for ever.
    deadline_us: Option<i64>,
    /// What its coordinator runs when it is asked, and what a change of rights is held against: database, caller, words.
    request: (u16, Caller, OwnedArgs),
}

/// All clients of one core that wait.
#[derive(Default)]
pub struct WaitingClients {
    by_id: HashMap<u64, WaitingClient, ahash::RandomState>,
    deadlines: BTreeSet<(i64, u64)>,
    /// The deadline that the ring's alarm is set for.
    alarm_us: Option<i64>,
}

impl WaitingClients {
    /// Those that stop waiting by themselves.
    pub fn deadlines_count(&self) -> usize {
        self.deadlines.len()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The place of a client's reply.
    pub(super) fn place_of(&self, id: u64) -> Option<u64> {
        self.by_id.get(&id).map(|client| client.sequence)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How long to set an alarm for, where none is set that early.
    ///
    /// - `other_us`: another deadline.
    pub fn next_alarm(&mut self, now_us: i64, other_us: Option<i64>) -> Option<Duration> {
        let own_us = self.deadlines.first().map(|(deadline_us, _)| *deadline_us);
        let deadline_us = own_us.into_iter().chain(other_us).min()?;
        if self
            .alarm_us
            .is_some_and(|alarm_us| alarm_us <= deadline_us)
        {
            return None;
        }
        self.alarm_us = Some(deadline_us);
        Some(Duration::from_micros((deadline_us - now_us).max(1) as u64))
    }

    fn insert(&mut self, id: u64, client: WaitingClient) {
        if let Some(deadline_us) = client.deadline_us {
            self.deadlines.insert((deadline_us, id));
        }
        self.by_id.insert(id, client);
    }

    fn remove(&mut self, id: u64) -> Option<WaitingClient> {
        let client = self.by_id.remove(&id)?;
        if let Some(deadline_us) = client.deadline_us {
            self.deadlines.remove(&(deadline_us, id));
        }
        Some(client)
    }

    fn put_off(&mut self, id: u64, deadline_us: i64) {
        self.take_deadline(id);
        if let Some(client) = self.by_id.get_mut(&id) {
            client.deadline_us = Some(deadline_us);
            self.deadlines.insert((deadline_us, id));
        }
    }

    /// It waits, but not for its time to be up.
    fn take_deadline(&mut self, id: u64) {
        let client = self.by_id.get_mut(&id);
        if let Some(deadline_us) = client.and_then(|client| client.deadline_us.take()) {
            self.deadlines.remove(&(deadline_us, id));
        }
    }
}

/// What is kept of a request while it is not known whether it waits.
pub struct MayWait {
    ticket: WaitTicket,
    request: Request,
    /// Its words, for the case that its coordinator is asked or its user's rights change.
    words: OwnedArgs,
    /// Its reply is not sent (CLIENT REPLY).
    silent: bool,
}

/// How a wait ends without an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its time is up, or CLIENT UNBLOCK says so.
    Timeout,
    /// CLIENT UNBLOCK ERROR.
    Error,
}

impl Core {
    /// A ticket for a request of `connection` that may wait.
    fn wait_ticket(&self, token: Token, connection: &Connection) -> WaitTicket {
        WaitTicket {
            id: self.draw_id(),
            origin: Origin {
                core: self.id,
                connection: token.index,
                generation: token.generation,
                sequence: connection.next_sequence(),
            },
            claim: Claim::default(),
        }
    }

    /// Runs a command that may wait, all of whose keys are on this core's shard, where no lock is held.
    pub(super) fn run_or_wait(
        &mut self,
        token: Token,
        connection: &mut Connection,
        request: &Request,
        args: &Args<'_>,
        silent: bool,
    ) {
        let ticket = self.wait_ticket(token, connection);
        let shard = &mut self.shard;
        let mut waited = Waited::No;
        let mut run = |out: &mut Vec<u8>| {
            let length = out.len();
            waited = shard.execute_or_wait(request, args, &ticket, out);
            if waited != Waited::Refused
                && let Some(error) = out[length..].strip_prefix(b"-")
            {
                let line = error.split(|&byte| byte == b'\r').next().unwrap_or(error);
                shard
                    .figures_mut()
                    .record_failure(request.entry.index, line);
            }
            if silent {
                out.truncate(length);
            }
            matches!(waited, Waited::No | Waited::Refused)
        };
        if connection.is_drained() {
            run(&mut connection.output);
        } else {
            connection.write_ahead(run);
        }
        self.hold_here(connection);
        if waited == Waited::Reads {
            connection.reserve(silent);
            self.stop_behind_long_read(connection);
        }
        if let Waited::Yes(timeout_ms) = waited {
            let may_wait = MayWait {
                ticket,
                request: *request,
                words: OwnedArgs::from_args(args),
                silent,
            };
            self.begin_wait(token, connection, may_wait, vec![self.id], timeout_ms);
        }
    }

    /// A command that may wait as a transaction, and what is kept for the case that it does.
    pub(super) fn waiting_transaction(
        &self,
        token: Token,
        connection: &Connection,
        request: Request,
        args: OwnedArgs,
    ) -> Result<(Transaction, MayWait), CommandError> {
        let ticket = self.wait_ticket(token, connection);
        let wait = WaitRequest {
            entry: request.entry,
            db: request.db,
            caller: request.caller,
            args: args.clone(),
            ticket: ticket.clone(),
            now_ms: self.now_ms,
        };
        let may_wait = MayWait {
            ticket,
            request,
            words: args,
            silent: false,
        };
        let transaction = Transaction::waiting(wait, self.map, &self.hasher)?;
        Ok((transaction, may_wait))
    }

    /// A client waits from now on.
    fn begin_wait(
        &mut self,
        token: Token,
        connection: &mut Connection,
        may_wait: MayWait,
        shards: Vec<ShardId>,
        timeout_ms: Option<u64>,
    ) {
        let MayWait {
            ticket,
            request,
            words,
            silent,
        } = may_wait;
        debug_assert!(
            !ticket.claim.is_over(),
            "all locks are held until it is known who waits"
        );
        connection.blocked = Some(Blocked::OnKeys);
        if std::mem::take(&mut connection.stop_receiving) {
            self.ring_work.push(RingWork::Receive(token));
        }
        connection.push_late();
        connection.waits_as = Some(ticket.id);
        connection.waits_bytes = words.bytes_len();
        let wait_us = timeout_ms.and_then(|ms| i64::try_from(ms).ok()?.checked_mul(1000));
        let client = WaitingClient {
            token,
            sequence: connection.reserve(silent),
            entry: request.entry,
            claim: ticket.claim,
            shards,
            asked_by: None,
            deadline_us: wait_us.and_then(|us| us.checked_add(self.now_us)),
            request: (request.db, request.caller, words),
        };
        self.waiting.insert(ticket.id, client);
    }

    /// A transaction has ended with its client waiting.
    pub(super) fn transaction_waits(
        &mut self,
        token: Token,
        mut may_wait: MayWait,
        shards: Vec<ShardId>,
        timeout_ms: Option<u64>,
    ) {
        match self.connections.borrow(token) {
            Some(mut connection) => {
                let (is_closed, has_ended) = (connection.closed, connection.ended);
                may_wait.silent = std::mem::take(&mut connection.silent_reply);
                self.begin_wait(token, &mut connection, may_wait, shards, timeout_ms);
                self.connections.restore(token, connection);
                if is_closed {
                    self.close(token);
                } else if has_ended {
                    self.end_wait_of_ended(token);
                } else {
                    // It may have been told something that waited for the answer.
                    self.mark_dirty(token);
                    // Its user may have changed while the transaction ran.
                    self.look_at_wait(token);
                }
            }
            None => {
                may_wait.ticket.claim.abandon();
                let id = may_wait.ticket.id;
                for shard in shards {
                    self.tell_shard(shard, ToShard::Forget { id });
                }
            }
        }
    }

    /// The transaction of a coordinator that was asked has ended.
    pub(super) fn has_looked(&mut self, id: u64, reply: &[u8], holds: &Holds) {
        if is_null(reply) {
            return self.looked_in_vain(id);
        }
        if let Some(client) = self.waiting.by_id.get(&id) {
            client.claim.end();
        }
        self.served(id, reply, holds, 0);
    }

    /// A shard has served a client, or its coordinator has.
    pub(super) fn served(&mut self, id: u64, reply: &[u8], holds: &Holds, took_ns: u64) {
        let Some(client) = self.waiting.remove(id) else {
            return; // It has gone; what it was given is lost with it, as with any reply.
        };
        for &shard in &client.shards {
            self.tell_shard(shard, ToShard::Forget { id });
        }
        self.hold(client.token, holds);
        self.end_wait(&client, reply, took_ns);
    }

    /// A shard has something for a client that needs another shard too, or may have more elsewhere: look under locks. Or for one
    /// whose user may not have it.
    pub(super) fn asked_to_look(&mut self, id: u64, shard: ShardId) {
        if self.refuse_denied_wait(id) {
            return;
        }
        let Some(client) = self.waiting.by_id.get_mut(&id) else {
            // It has gone, and nobody is to wait behind it.
            return self.tell_shard(shard, ToShard::Forget { id });
        };
        client.asked_by = Some(shard);
        let (db, caller, words) = client.request.clone();
        let token = client.token;
        let entry = client.entry;
        let plain = plain_form(entry, &words.as_args(), self.now_ms);
        let transaction = plain.ok().and_then(|form| {
            // What pops does so over several shards as it does within a block: it does not wait.
            let (entry, words) = form.map_or((entry, words), |form| (form.entry, form.words));
            Transaction::asked(entry, (db, caller), words, id, self.map, &self.hasher).ok()
        });
        match transaction {
            Some(transaction) => {
                let start = Start::new(token, entry, None, transaction, Purpose::Asked(id));
                self.starts.push_back(start);
            }
            None => self.looked_in_vain(id),
        }
    }

    /// There was nothing after all.
    fn looked_in_vain(&mut self, id: u64) {
        let Some(client) = self.waiting.by_id.get_mut(&id) else {
            return;
        };
        // No other: once the claim is free another shard may ask, and would take this for the answer to that.
        if let Some(shard) = client.asked_by.take() {
            self.tell_shard(shard, ToShard::Rest { id });
        }
    }

    /// Ends the waits whose time is up.
    pub(super) fn time_out(&mut self) {
        if !self.waits_for_disk.is_empty() {
            self.look_at_waits_for_disk();
        }
        while let Some(&(deadline_us, id)) = self.waiting.deadlines.first() {
            if deadline_us > self.now_us {
                return;
            }
            // What sends nothing more is not told that its time is up: it goes.
            match self.ended_behind(id) {
                Some(token) => self.end_wait_of_ended(token),
                None => _ = self.end_without(id, End::Timeout, true),
            }
        }
        self.waiting.alarm_us = None;
    }

    /// The ring's alarm has come: the next one may be set.
    pub(super) fn alarm_came(&mut self) {
        self.waiting.alarm_us = None;
    }

    /// CLIENT UNBLOCK: whether that client waited.
    pub(super) fn unblock(&mut self, client_id: u64, end: End) -> bool {
        let Some(id) = self
            .connections
            .iter()
            .find(|connection| connection.session.id == client_id && !connection.closed)
            .and_then(|connection| connection.waits_as)
        else {
            return self.unblock_wait_for_disk(client_id, end);
        };
        self.end_without(id, end, false)
    }

    /// The connection of a wait, where that sends nothing more.
    fn ended_behind(&mut self, id: u64) -> Option<Token> {
        let token = self.waiting.by_id.get(&id)?.token;
        let connection = self.connections.get_mut(token)?;
        connection.ended.then_some(token)
    }

    /// A client that waits sends nothing more: it would take what others wait for. Where a shard has served it already, it
    /// goes once it has been given that.
    pub(super) fn end_wait_of_ended(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        let Some(id) = connection.waits_as else {
            return;
        };
        let waits = self.waiting.by_id.get(&id);
        match waits.map(|client| client.claim.cancel()) {
            // Tried again when that time is up.
            Some(Taken::Busy) => self.waiting.put_off(id, self.now_us + BUSY_US),
            Some(Taken::Over) => self.waiting.take_deadline(id),
            Some(Taken::Yes) | None => {
                self.waiting.take_deadline(id);
                self.close_behind_replies(token);
            }
        }
    }

    /// A client's user is not what it was: whether it may still run what it waits with. As in Redis, it is told when there is
    /// something for it, and waits till then.
    pub(super) fn look_at_wait(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        let client = (connection.waits_as).and_then(|id| self.waiting.by_id.get(&id));
        if let Some(client) = client {
            let denied = denied_now(&connection.session, client, self.options.databases);
            client.claim.deny(denied.is_some());
        }
    }

    /// Ends a wait whose claim a shard has, and whose client may not run that command any longer; whether it is such a one. What
    /// there was for it is left to the next.
    fn refuse_denied_wait(&mut self, id: u64) -> bool {
        let Some(client) = (self.waiting.by_id.get(&id)).filter(|it| it.claim.is_denied()) else {
            return false;
        };
        let token = client.token;
        let Some(connection) = self.connections.get_mut(token) else {
            return false;
        };
        let Some(denied) = denied_now(&connection.session, client, self.options.databases) else {
            return false;
        };
        let (entry, user) = (client.entry, connection.session.user.clone());
        let Some(client) = self.waiting.remove(id) else {
            return false;
        };
        client.claim.end();
        for &shard in &client.shards {
            self.tell_shard(shard, ToShard::Forget { id });
        }
        let error = denied.error(&user, entry).line();
        let figures = self.shard.figures_mut();
        figures.record_rejection(entry.index, &error);
        let mut reply = Vec::new();
        Reply::new(&mut reply, client.request.1.protocol).error_bytes(&error);
        self.answer_wait(&client, &reply);
        if let Some(connection) = self.connections.borrow(token) {
            let denial = Denial {
                reason: denied.reason,
                context: Context::TopLevel,
                object: denied.object(entry, &client.request.2.as_args()),
                user: user.name().to_vec(),
            };
            self.note_denial(&connection, denial);
            self.connections.restore(token, connection);
        }
        true
    }

    /// Ends a wait that nobody has served; whether it could be ended.
    ///
    /// - `is_due`: tried again where it cannot be ended now.
    fn end_without(&mut self, id: u64, end: End, is_due: bool) -> bool {
        let Some(client) = self.waiting.by_id.get(&id) else {
            return false;
        };
        match client.claim.cancel() {
            Taken::Yes => {}
            Taken::Busy => {
                if is_due {
                    self.waiting.put_off(id, self.now_us + BUSY_US);
                }
                return false;
            }
            Taken::Over => {
                // Its reply is on its way.
                self.waiting.take_deadline(id);
                return false;
            }
        }
        let Some(client) = self.waiting.remove(id) else {
            return false;
        };
        for &shard in &client.shards {
            self.tell_shard(shard, ToShard::Forget { id });
        }
        let mut reply = Vec::new();
        let mut writer = Reply::new(&mut reply, client.request.1.protocol);
        match end {
            End::Timeout => writer.null_array(),
            End::Error => writer.error(UNBLOCKED),
        }
        self.end_wait(&client, &reply, 0);
        true
    }

    /// Gives a client its reply and lets it go on.
    ///
    /// - `took_ns`: what its command took; the wait is no part of it.
    fn end_wait(&mut self, client: &WaitingClient, reply: &[u8], took_ns: u64) {
        self.shard.record(client.entry.index, took_ns);
        if self.thresholds.concern(took_ns, reply.len()) {
            let words = logged_words(client.entry, &client.request.2.as_args());
            let (token, entry) = (client.token, client.entry);
            self.note_if_worth(token, entry, took_ns, reply.len(), Some(words));
        }
        self.commands_count += 1;
        if let Some(error) = reply.strip_prefix(b"-") {
            let line = error.split(|&byte| byte == b'\r').next().unwrap_or(error);
            self.shard
                .figures_mut()
                .record_failure(client.entry.index, line);
        }
        self.answer_wait(client, reply);
    }

    fn answer_wait(&mut self, client: &WaitingClient, reply: &[u8]) {
        let now_ms = self.now_ms;
        let Some(connection) = self.connections.get_mut(client.token) else {
            return;
        };
        connection.waits_as = None;
        connection.waits_bytes = 0;
        connection.blocked = None;
        connection.last_active_ms = now_ms;
        self.fill(client.token, client.sequence, reply);
        self.resumes.push(client.token);
        self.mark_dirty(client.token);
    }

    /// A client that may wait has gone.
    pub(super) fn abandon_wait(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        let Some(id) = connection.waits_as.take() else {
            return;
        };
        connection.waits_bytes = 0;
        let Some(client) = self.waiting.remove(id) else {
            return;
        };
        // Where a shard has the claim, what it serves is lost with the client.
        client.claim.abandon();
        for &shard in &client.shards {
            self.tell_shard(shard, ToShard::Forget { id });
        }
    }

    /// The end of the server: whoever waits is told nothing more.
    pub(super) fn abandon_all_waits(&mut self) {
        let waiting: Vec<Token> = self
            .waiting
            .by_id
            .values()
            .map(|client| client.token)
            .collect();
        // Disks are waited for to the end, replicas in vain.
        let in_vain = self.waits_for_disk.iter().filter_map(WaitForDisk::in_vain);
        let in_vain: Vec<Token> = in_vain.collect();
        for token in waiting.into_iter().chain(in_vain) {
            self.close(token);
        }
    }

    /// An id no other transaction or waiting client has.
    pub(super) fn draw_id(&self) -> u64 {
        use std::sync::atomic::Ordering;
        self.mesh.board().next_tx.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn tell_shard(&mut self, shard: ShardId, message: ToShard) {
        if shard == self.id {
            self.shard.handle(message);
        } else {
            self.mesh
                .send(usize::from(shard), Message::ToShard(message));
        }
    }
}

/// Why a client may not run what it waits with, if so.
fn denied_now(session: &Session, client: &WaitingClient, databases: i64) -> Option<Denied> {
    if !session.is_guarded {
        return None;
    }
    let place = Place {
        db: session.db,
        count: databases as u16,
    };
    let words = client.request.2.as_args();
    check(&session.user, client.entry, &words, place).err()
}
