//! Clients that wait for keys of this shard: entered, served, forgotten.
//!
//!     a write marks its keys -> after the request, each marked key's waiters run in order of arrival
//!     so does a key that goes because its time has come, by the cycle or under a request's eyes, while a reader of a group waits
//!
//! A waiter runs its own handler again, so what it takes is taken in the same step as it is found; what it pushes marks
//! keys in turn. One whose destination lives on another shard asks its coordinator instead, and those behind it wait for the
//! answer. So does one that waits at several shards, where a transaction over several has filled a key: it may have filled one
//! that the client named earlier, and who reads streams is given all of it. And so does any that waits at several once one of its
//! keys has come to hold another type: its command would fail on that, and takes nothing
//! ([`Claim::doubt`](crate::router::wait::Claim::doubt)).
//!
//! Promises  no waiter is passed over by a later one for what both wait for; a key in the way of a transaction is left
//!           until that one has released it, and not looked at before.
//! Not here  the queues: `shard/waiters.rs`; timeouts and clients: `node/waiting.rs`.
//! Tests     tests/shard/waiting.rs.

use super::locks::Obstacle;
use super::put_off::Cause;
use super::waiters::{Asks, Change, WaitKey, Waiter, wanted_type};
use super::{Request, Shard, connection_hash};
use crate::commands::Entry;
use crate::commands::keys::for_each_key_of;
use crate::commands::stream_read::{claim_times, may_have_reply};
use crate::commands::table::{Group, Patience, Wait};
use crate::keyspace::value::type_name;
use crate::resp::args::OwnedArgs;
use crate::resp::{Args, Reply};
use crate::router::keys::for_each_lock;
use crate::router::wait::{Taken, WaitTicket};
use crate::router::{FromShard, KeyLock};

/// What became of a command that may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// It did not: the reply is in `out`.
    No,
    /// It was not let through, which is counted: the reply is in `out`.
    Refused,
    /// It did not, and the reply comes in pieces.
    Reads,
    /// It waits, at most so many milliseconds.
    Yes(Option<u64>),
}

impl Shard {
    /// Whether no lock stands in anybody's way.
    #[inline]
    pub fn is_lock_free(&self) -> bool {
        self.locks.is_idle()
    }

    /// Runs a command that may wait, all of whose keys are here; where it waits, it is entered under `ticket`.
    pub fn execute_or_wait(
        &mut self,
        request: &Request,
        args: &Args<'_>,
        ticket: &WaitTicket,
        out: &mut Vec<u8>,
    ) -> Waited {
        let length = out.len();
        self.begin_alone();
        let first = (Patience::First, Asks::Never);
        let waited = self.execute_or_enter(request, args, ticket, first, out);
        self.end_alone();
        let is_reading = waited == Waited::No && out.len() == length;
        match is_reading && self.begin_long_read(request, args) {
            true => Waited::Reads,
            false => waited,
        }
    }

    /// The same for one whose coordinator may be asked.
    pub(super) fn execute_or_enter(
        &mut self,
        request: &Request,
        args: &Args<'_>,
        ticket: &WaitTicket,
        (patience, asks): (Patience, Asks),
        out: &mut Vec<u8>,
    ) -> Waited {
        let is_limited = self.memory.is_limited;
        if is_limited && !self.has_room_for(request, args) {
            let error = self.refuse_growth(request.entry);
            Reply::new(out, request.caller.protocol).error_bytes(&error.line());
            return Waited::Refused;
        }
        let waited = self.run_or_wait(request, args, patience, out);
        if is_limited {
            self.settle_memory(request.db);
        }
        let waited = match waited {
            None => Waited::No,
            Some(wait) => {
                let timeout_ms = wait.timeout_ms;
                let words = wait.words.unwrap_or_else(|| OwnedArgs::from_args(args));
                self.enter(request, words, ticket, wait.on_delete, asks);
                Waited::Yes(timeout_ms)
            }
        };
        self.after_writes();
        waited
    }

    /// Enters a waiter.
    pub(super) fn enter(
        &mut self,
        request: &Request,
        args: OwnedArgs,
        ticket: &WaitTicket,
        on_delete: bool,
        asks: Asks,
    ) {
        let mut keys = Vec::new();
        let words = args.as_args();
        // Nobody waits for a key that only receives.
        let sources = request.entry.command.keys.iter();
        for spec in sources.filter(|spec| !spec.access.flags.contains(&"insert")) {
            for_each_key_of(spec, &words, &mut |index| {
                let key = words.get(index);
                if self.keys.owns(key) {
                    keys.push(((request.db, self.keys.key(key).hash), key.to_vec()));
                }
            });
        }
        self.await_claims(request, &words);
        let waiter = Waiter::new(*request, args, ticket.claim.clone(), on_delete, asks);
        self.waiters.add(ticket.id, waiter, keys);
        if on_delete {
            self.keys.set_notes_expired(true);
        }
    }

    /// A reader of a group that waits, or goes on waiting, is to look when it can claim something.
    fn await_claims(&mut self, request: &Request, args: &Args<'_>) {
        if request.entry.full_name != "xreadgroup" {
            return;
        }
        let db = usize::from(request.db);
        let Some(times) = claim_times(&self.keys, db, args) else {
            return;
        };
        let idle_ms_min = times.idle_ms_min;
        for (index, time_ms) in times.streams {
            let hash = self.keys.key(args.get(index)).hash;
            let claimable = self.waiters.claimable();
            claimable.wait((request.db, hash), idle_ms_min, time_ms);
        }
    }

    /// A command has written to streams, or told of them what it is no change for, and nobody has more to read now.
    pub(super) fn note_claimable(&mut self, entry: &'static Entry, db: u16, args: &Args<'_>) {
        if self.waiters.claimable().is_empty() || entry.command.group != Group::Stream {
            return;
        }
        let now_ms = self.keys.now_ms();
        // It may say since when what it gives is idle.
        let mut options = args.iter_from(5);
        let says_when = entry.full_name == "xclaim"
            && options
                .any(|it| it.eq_ignore_ascii_case(b"IDLE") || it.eq_ignore_ascii_case(b"TIME"));
        for_each_lock(entry, args, |index, _| {
            let place = (db, self.keys.key(args.get(index)).hash);
            match says_when {
                true if self.waiters.claimable().has(place) => self.waiters.mark(place),
                _ => self.waiters.claimable().delivered(place, now_ms),
            }
        });
    }

    /// Whether readers that wait with CLAIM are served: what they are given is written, which may be refused now.
    pub fn rest_claims(&mut self, rests: bool) {
        self.waiters.claimable().rests = rests;
    }

    /// Serves readers that wait with CLAIM, where the time has come.
    pub(super) fn serve_claims(&mut self) {
        // As for keys whose time has come: nothing is to change now.
        let rests = self.waiters.claimable().rests || self.keys.is_expiry_paused();
        if !self.waiters.claimable().is_empty() && !rests {
            self.waiters.mark_claimable(self.keys.now_ms());
            self.after_writes();
        }
    }

    /// The client waits no more.
    pub(super) fn forget_waiter(&mut self, id: u64) {
        self.waiters.remove(id);
    }

    /// A waiter whose coordinator was asked found nothing after all: it stays, and its keys are looked at again.
    pub(super) fn rest_waiter(&mut self, id: u64) {
        let Some(waiter) = self.waiters.get_mut(id) else {
            return;
        };
        // Another shard asked: the claim is its.
        if !waiter.is_asking {
            return;
        }
        waiter.is_asking = false;
        let is_due_again = std::mem::take(&mut waiter.is_due_again);
        // What came meanwhile may be enough; of other types nobody had to be asked again.
        waiter.is_checked = !is_due_again || !matches!(waiter.asks, Asks::Always);
        waiter.claim.give_back();
        self.waiters.look_again(id);
        self.after_writes();
        // It holds for what there is, not for what comes later.
        if let Some(waiter) = self.waiters.get_mut(id) {
            waiter.is_checked = false;
        }
    }

    /// Marks the keys of a command that has written.
    #[cold]
    pub(super) fn mark_keys(&mut self, entry: &'static Entry, db: u16, args: &Args<'_>) {
        let mut has_keys = false;
        for_each_lock(entry, args, |index, _| {
            has_keys = true;
            let hash = self.keys.key(args.get(index)).hash;
            self.waiters.mark((db, hash));
        });
        if !has_keys {
            self.waiters.mark_all();
        }
    }

    /// Serves whoever waited for what has been written.
    #[inline]
    pub(super) fn after_writes(&mut self) {
        self.mark_expired();
        if self.waiters.has_ready() {
            self.serve_waiters();
        }
    }

    /// Marks keys that are gone because their time had come, where somebody looks when one goes.
    #[inline]
    fn mark_expired(&mut self) {
        if self.waiters.has_on_delete() && self.keys.has_expired() {
            self.settle_expired();
        }
    }

    /// Looks again at keys that could not be served, where what was in the way has gone or may have; true if some still cannot, for
    /// another core is about to decide.
    pub fn retry_waiters(&mut self) -> bool {
        self.mark_what_is_free();
        self.after_writes();
        self.must_retry_waiters()
    }

    /// Whether there are keys to look at again although nothing will happen here that says so.
    pub fn must_retry_waiters(&self) -> bool {
        self.waiters.has_put_off() && (self.locks.is_idle() || self.locks.has_freed())
    }

    /// Marks the keys that were put off and whose cause has gone. What another core decides is told by nobody: it is looked at
    /// each time.
    pub(super) fn mark_what_is_free(&mut self) {
        let freed = self.locks.take_freed();
        if !self.waiters.has_put_off() {
            return;
        }
        if self.locks.is_idle() {
            return self.waiters.try_all_again();
        }
        let freed = freed.into_iter().map(Obstacle::Key);
        let shard = Some(Obstacle::Shard).filter(|_| !self.locks.is_shard_in_the_way(true));
        let locks = freed.chain(shard).map(Cause::Lock);
        (self.waiters).try_again(std::iter::once(Cause::Claim).chain(locks));
    }

    /// How many times keys that somebody waits for have been looked at.
    pub fn waiting_looks_count(&self) -> u64 {
        self.waiters.looks_count()
    }

    /// Clients that wait here, and keys they wait for.
    pub fn waiting_counts(&self) -> (usize, usize) {
        (self.waiters.len(), self.waiters.keys_count())
    }

    /// Keys whose waiters are told when they go.
    pub fn waiting_on_delete_count(&self) -> usize {
        self.waiters.on_delete_keys_count()
    }

    #[cold]
    fn serve_waiters(&mut self) {
        while let Some((place, change)) = self.waiters.next_ready() {
            if let Err(cause) = self.serve_key(place, change) {
                if let Cause::Lock(Obstacle::Key(hash)) = cause {
                    self.locks.await_key(hash);
                }
                self.waiters.put_off(place, change, cause);
            }
            // One of its other keys may have been found dead.
            self.mark_expired();
        }
    }

    /// Serves one key's waiters in order of arrival; what is in the way if that must be gone on with later.
    fn serve_key(&mut self, place: WaitKey, change: Change) -> Result<(), Cause> {
        let mut next_id = 0;
        while let Some(id) = self.waiters.first_from(place, next_id) {
            next_id = id + 1;
            let Some((key, has_on_delete)) = self.waiters.key(place) else {
                return Ok(());
            };
            let key = self.keys.key(key);
            let found = self.keys.peek(usize::from(place.0), &key);
            let type_name = found.map(|entry| type_name(&entry.value()));
            if type_name.is_none() && !has_on_delete {
                return Ok(());
            }
            if self.waiters.has_left(place, id) {
                continue;
            }
            let Some(waiter) = self.waiters.get_mut(id) else {
                continue;
            };
            if waiter.is_asking {
                waiter.is_due_again = true;
                return Ok(()); // What it finds decides; it marks its keys again.
            }
            // What holds another type is nothing for it yet, but for a reader whose group has gone with that.
            let is_wanted = type_name == Some(wanted_type(waiter.request.entry));
            if !is_wanted && !waiter.on_delete {
                if type_name.is_some() {
                    waiter.claim.doubt();
                }
                continue;
            }
            let request = waiter.request;
            let args = std::mem::take(&mut waiter.args);
            let outcome = match self.waiters.is_behind_another(id, place) {
                true => Served::Busy(Cause::Claim),
                false => self.serve_waiter(id, &request, &args, change),
            };
            match outcome {
                Served::Yes => {}
                Served::Nothing => {
                    self.await_claims(&request, &args.as_args());
                    self.keep_waiting(id, args);
                    self.waiters.leave(place, id);
                }
                Served::Asked => {
                    self.keep_waiting(id, args);
                    return Ok(());
                }
                Served::Busy(cause) => {
                    self.keep_waiting(id, args);
                    return Err(cause);
                }
            }
        }
        Ok(())
    }

    fn keep_waiting(&mut self, id: u64, args: OwnedArgs) {
        if let Some(waiter) = self.waiters.get_mut(id) {
            waiter.args = args;
        }
    }

    fn serve_waiter(
        &mut self,
        id: u64,
        request: &Request,
        args: &OwnedArgs,
        change: Change,
    ) -> Served {
        let args = args.as_args();
        let waiter = self.waiters.get_mut(id);
        if waiter.is_some_and(|waiter| waiter.is_checked && matches!(waiter.asks, Asks::Always)) {
            return Served::Nothing; // Its coordinator has just looked.
        }
        if let Some(obstacle) = self.obstacle(request, &args) {
            return Served::Busy(Cause::Lock(obstacle));
        }
        let Some(waiter) = self.waiters.get_mut(id) else {
            return Served::Yes;
        };
        let claim = waiter.claim.clone();
        match claim.take() {
            Taken::Yes => {}
            Taken::Busy => return Served::Busy(Cause::Claim),
            Taken::Over => {
                self.waiters.remove(id);
                return Served::Yes;
            }
        }
        let origin = request.origin;
        if self.waiters.is_to_ask_for_all(id) {
            // A look locks all its streams, and its time cannot end meanwhile: not for nothing.
            let (db, is_group) = (
                usize::from(request.db),
                request.entry.full_name == "xreadgroup",
            );
            if !may_have_reply(&self.keys, db, is_group, &args) {
                self.waiters.has_nothing(id);
            }
        }
        if self.waiters.is_to_ask(id, change) {
            self.waiters.ask(id);
            let shard = self.id;
            let ask = FromShard::Ask { id, shard };
            self.events.push_back((origin.core, ask));
            return Served::Asked;
        }
        let mut reply = Vec::new();
        let began = (self.stopwatch)();
        // The reply of whoever made this possible has not been taken yet, and neither has what it waits for.
        let revealed = self.set_revealed(0);
        if self
            .run_or_wait(request, &args, Patience::Again, &mut reply)
            .is_some()
        {
            claim.give_back();
            self.set_revealed(revealed);
            return Served::Nothing;
        }
        claim.end();
        self.waiters.remove(id);
        let took_ns = (self.stopwatch)().saturating_sub(began);
        let holds = self.take_holds().unwrap_or_default();
        self.set_revealed(revealed);
        let served = FromShard::Served {
            id,
            reply,
            holds,
            took_ns,
        };
        self.events.push_back((origin.core, served));
        Served::Yes
    }

    /// What keeps the request from what it would touch: a transaction, or a request that waits.
    fn obstacle(&self, request: &Request, args: &Args<'_>) -> Option<Obstacle> {
        if self.locks.is_idle() {
            return None;
        }
        let mut keys = Vec::new();
        for_each_lock(request.entry, args, |index, mode| {
            let hash = self.keys.key(args.get(index)).hash;
            keys.push(KeyLock { hash, mode });
        });
        let modes = keys.iter().map(|key| (key.hash, key.mode));
        self.locks
            .obstacle(modes, true, connection_hash(&request.origin))
    }

    /// Runs a handler that may wait; its wish, if it waits.
    fn run_or_wait(
        &mut self,
        request: &Request,
        args: &Args<'_>,
        patience: Patience,
        out: &mut Vec<u8>,
    ) -> Option<Wait> {
        let Request {
            entry, db, caller, ..
        } = *request;
        // An error is the reply; whoever passes it on counts it.
        self.call(entry, db, caller, patience, args, out)
            .unwrap_or_default()
    }
}

/// Whether a command that writes leaves whoever waits for its key as before: as in Redis, what it changes is nothing that is
/// waited for. Where many wait each look is theirs all.
pub(super) fn gives_nothing(entry: &Entry) -> bool {
    const NAMES: &[&str] = &[
        "xack",
        "xackdel",
        "xautoclaim",
        "xclaim",
        "xdel",
        "xdelex",
        "xgroup|createconsumer",
        "xgroup|delconsumer",
        "xgroup|setid",
        "xreadgroup",
        "xsetid",
        "xtrim",
    ];
    entry.command.group == Group::Stream && NAMES.contains(&entry.full_name)
}

/// What became of one waiter.
enum Served {
    /// It has its reply, or waits no more.
    Yes,
    /// There was nothing for it.
    Nothing,
    /// Its coordinator looks.
    Asked,
    /// A lock or another core is in the way.
    Busy(Cause),
}
