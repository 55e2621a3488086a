//! Memory: one `maxmemory` for all shards, and what happens when it is used up.
//!
//!     before a command that may grow -> is what this shard uses, and large words bring, within its lease? -> yes: nothing else is done
//!        no: a piece of what nobody has taken -> none left: a key goes, here or on the shard whose keys are worth less
//!     after it, and whenever clients' buffers have grown -> the same, for what came on top of it
//!
//! A lease is a number of bytes that a shard may use. Shards take pieces from what is left of `maxmemory` and give them back
//! when they shrink; the sum of all leases is what is held against the limit, so a shard looks only at its own figures but
//! when it needs a piece. A piece is a 512th of a shard's even share: what lies unused in leases is below half a percent.
//!
//! Which shard gives something up. Slots spread keys evenly, but a hash tag may fill one shard, and one shard may have only
//! keys of last week. Each shard that looks for a victim tells what its best candidate is worth (its score, see
//! `keyspace/evict.rs`); one that needs memory compares. Where another shard's is worth clearly less, that one is asked to
//! give a piece back, and this one goes on meanwhile on an overdraft: a 256th of `maxmemory` that leases leave free for this
//! purpose, shared evenly; under a small limit it lies beyond it, or eviction would begin too early. With the overdraft used up
//! it evicts a key of its own all the same; with none of its own it goes on, for the other shard gives in its next turn. Where
//! no shard has anything to give the command is refused. So the process never has more than its limit but for what is on its
//! way back, and for what commands add beyond their own words until they have ended.
//!
//! What a large value takes. Its words fill a buffer of its client first, which counts like any other: keys go while it
//! arrives. Words that no client of this core holds, a part of what is received or sent by another core, are added
//! to what is used before the command is let through.
//!
//! A shard without a key of its own to give has nothing but what others give back in their next turn. What is about to come
//! waits for that as long as it does not fit into the overdraft ([`Shard::must_wait_for_room`]): a batch of another core, the rest
//! of a large value of a client. So what shards use together is bounded by the limit and their overdrafts, however slow a shard is.
//!
//! What comes of an eviction itself takes memory, too: news of it for clients that track, its record in the log, the entry that a
//! snapshot has yet to write. That counts as used, and no key goes for it, or each would take others along.
//!
//! Promises  a shard that does not evict (noeviction, nothing left) lets nothing through that may grow while it is over its
//!           lease; nothing is refused while any shard has a key that may go; work before a command is bounded
//!           (`maxmemory-eviction-tenacity`), the rest is done by `cycle`; a key locked by a transaction stays; without a
//!           limit a request pays one branch.
//! Not here  the numbers the shards share: `shard/ledger.rs`; which key: `keyspace/evict.rs`.
//! Tests     tests/shard/memory.rs, tests/server/memory.rs.

use std::sync::Arc;

use super::ledger::{Ledger, UNLIMITED};
use super::{Request, Shard};
use crate::commands::{CommandError, Entry, Flags};
use crate::keyspace::evict::{Candidate, EvictionOrder, EvictionPolicy};
use crate::resp::Args;
use crate::router::{FromShard, LockMode};

/// What a command that may grow is refused with.
pub const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";

/// A piece is this part of a shard's even share of the limit.
const PIECES_PER_SHARE: i64 = 512;
/// The part of the limit that overdrafts may come to together.
const OVERDRAFT_PART: i64 = 256;
/// Words up to this size are not looked at beforehand: what they add is found after the command.
const SMALL_WORDS_MAX: usize = 1024;
/// Buffers for replies that are sent at once take this much for less than a turn: no key goes for them.
const PASSING_BYTES: i64 = 32 * 1024;
/// Words up to this size may lie in a buffer of the ring, which is no client's.
const UNCOUNTED_WORDS_MAX: usize = 16 * 1024;
/// A command may be held up by one more eviction for so many bytes that it brings.
const BYTES_PER_EVICTION: i64 = 128;
/// Evictions before one command for each point of tenacity, up to 10: some 25 µs.
const EVICTIONS_PER_POINT: usize = 16;
/// The part of a shard's even share that may be kept for clients and not used.
const RESERVE_PARTS: i64 = 32;
/// Nothing is kept where that part is smaller: a few replies' buffers.
const RESERVE_BYTES_MIN: i64 = 2 * PASSING_BYTES;
/// The part of what is kept for clients, and not used, that is given up with each cycle.
const RESERVE_PART_PER_CYCLE: usize = 8;
/// Evictions of one cycle.
const EVICTIONS_PER_CYCLE: usize = 256;
/// Flushed entries, or parts of large values, that are freed for one eviction.
const GARBAGE_STEPS: usize = 256;
/// Pieces that one shard is asked for at a time.
const ASKED_PIECES_MAX: i64 = 4;

/// What `maxmemory` and its companions say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryOptions {
    /// Bytes, 0 for no limit.
    pub bytes_max: u64,
    /// Which keys go; none: nothing does.
    pub policy: Option<EvictionPolicy>,
    /// Keys looked at to find one that goes.
    pub samples: usize,
    /// How long one command may be held up: 0 to 100.
    pub tenacity: u8,
}

/// One shard's memory.
pub(super) struct Memory {
    /// Whether there is a limit.
    pub(super) is_limited: bool,
    options: MemoryOptions,
    ledger: Arc<Ledger>,
    /// Bytes this shard may use.
    lease: i64,
    piece: i64,
    overdraft_max: i64,
    /// What a shard may have too much while evictions go on in the background.
    margin: i64,
    /// Bytes that are used on this core besides keys.
    extra_bytes: usize,
    /// Bytes that are kept for those: what they were lately at most. Buffers grow and shrink with every pipeline; if other
    /// shards took their room in between, as many keys would go here again with the next one.
    reserved_bytes: usize,
    /// How much of that may be unused.
    unused_reserve_max: usize,
    /// Words that are about to be run, for which room was found.
    expected_bytes: usize,
    /// Bytes that are used as well, and that no key goes for: they come of evictions, or would.
    uncounted_bytes: usize,
    /// Others know that there is a key here that may go, or none ever does.
    is_offering: bool,
    /// By database, when it was last measured.
    database_bytes: Vec<usize>,
    keys_bytes: usize,
}

impl Memory {
    pub(super) fn new(ledger: Arc<Ledger>) -> Self {
        Self {
            is_limited: false,
            options: MemoryOptions::default(),
            ledger,
            lease: 0,
            piece: 1,
            overdraft_max: 0,
            margin: 0,
            extra_bytes: 0,
            expected_bytes: 0,
            uncounted_bytes: 0,
            reserved_bytes: 0,
            unused_reserve_max: 0,
            is_offering: true,
            database_bytes: Vec::new(),
            keys_bytes: 0,
        }
    }

    /// Whether clients' buffers have taken what keys must make up for, or the limit has come down.
    #[inline]
    fn is_to_win_back(&self) -> bool {
        self.used() > self.lease + PASSING_BYTES
            || self.options.policy.is_some() && self.ledger.is_over()
    }

    fn bytes_in_use(&self) -> usize {
        self.keys_bytes + self.extra_bytes + self.uncounted_bytes
    }

    /// What is used, kept for clients, and about to come.
    fn used(&self) -> i64 {
        (self.keys_bytes + self.reserved_bytes + self.expected_bytes) as i64
    }

    /// Whether `incoming` bytes do not fit even with the overdraft.
    #[inline]
    fn is_short_of(&self, incoming: usize) -> bool {
        self.used() + incoming as i64 > self.lease + self.overdraft_max + PASSING_BYTES
    }
}

impl Shard {
    /// Takes the same ledger as the other shards; before the first request.
    pub fn share_ledger(&mut self, ledger: Arc<Ledger>) {
        self.memory = Memory::new(ledger);
    }

    /// What the shards of this process share of memory.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.memory.ledger
    }

    /// Puts a limit in force, or takes it away. Every shard is told the same, if not at the same time: the larger of two limits holds
    /// until all have been.
    pub fn set_memory_options(&mut self, options: MemoryOptions) {
        let memory = &mut self.memory;
        if memory.options == options {
            return;
        }
        memory.options = options;
        memory.reserved_bytes = memory.extra_bytes;
        memory.is_limited = options.bytes_max > 0;
        let of = usize::from(self.id);
        (memory.ledger).tell_used(of, memory.bytes_in_use());
        memory.ledger.give(std::mem::take(&mut memory.lease));
        memory.ledger.withdraw(of);
        memory.is_offering = options.policy.is_none();
        if !memory.is_limited {
            memory.ledger.set_limit(of, UNLIMITED);
            let now_ms = self.keys.now_ms();
            self.memory.ledger.note(false, now_ms);
            return;
        }
        let shards_count = memory.ledger.shards_count() as i64;
        let bytes_max = i64::try_from(options.bytes_max).unwrap_or(i64::MAX);
        let bytes_max = bytes_max.min(UNLIMITED);
        memory.piece = (bytes_max / shards_count / PIECES_PER_SHARE).max(1);
        let may_ask = shards_count > 1 && options.policy.is_some();
        let overdraft = if may_ask {
            bytes_max / OVERDRAFT_PART
        } else {
            0
        };
        memory.overdraft_max = overdraft / shards_count;
        memory.margin = bytes_max / OVERDRAFT_PART / shards_count;
        // A shard that is alone gets back what its buffers had. Little that is kept is no help, and of a small limit it is much.
        memory.unused_reserve_max = match bytes_max / shards_count / RESERVE_PARTS {
            part if shards_count > 1 && part >= RESERVE_BYTES_MIN => part as usize,
            _ => 0,
        };
        let is_small = memory.unused_reserve_max == 0;
        let kept_free = if is_small { 0 } else { overdraft };
        memory.ledger.set_limit(of, bytes_max - kept_free);
        self.measure_all();
        // What is in use is taken, over the limit or not: `cycle` sees to the rest.
        let used = self.memory.used();
        self.memory.lease = used;
        self.memory.ledger.force(used);
        self.publish();
    }

    /// Tells what is held against the limit, while there is one: at the end of a turn. What is given back in the midst of one
    /// is told before.
    #[inline]
    pub fn tell_used(&self) {
        let memory = &self.memory;
        (memory.ledger).tell_used(usize::from(self.id), memory.bytes_in_use());
    }

    /// The same, where any database may have changed, with or without a limit.
    pub fn tell_all_used(&mut self) {
        self.measure_all();
        self.tell_used();
    }

    /// What is used on this core besides keys.
    ///
    /// - `bytes`: buffers of clients, and what the process has anyway.
    /// - `uncounted_bytes`: what no key goes for.
    pub fn set_extra_bytes(&mut self, bytes: usize, uncounted_bytes: usize) {
        let memory = &mut self.memory;
        let has_fallen = bytes < memory.extra_bytes;
        memory.extra_bytes = bytes;
        memory.uncounted_bytes = uncounted_bytes;
        // Where nothing is evicted, what is refused is what does not fit now.
        let unused_max = match memory.options.policy {
            Some(_) => memory.unused_reserve_max,
            None => 0,
        };
        memory.reserved_bytes = memory.reserved_bytes.clamp(bytes, bytes + unused_max);
        if has_fallen && memory.is_limited {
            // A large request that another shard is about to run needs the room there.
            self.give_back();
        }
    }

    /// Whether nothing that may grow is let through now. Evicts what may go first.
    pub fn refuses_growth(&mut self) -> bool {
        self.memory.is_limited && !self.make_room(0, 0)
    }

    /// Whether a command is let through. Before any of them, a read as well, what may go is evicted; only one that may grow
    /// is refused where that is not enough.
    #[inline]
    pub(super) fn has_room_for(&mut self, request: &Request, args: &Args<'_>) -> bool {
        let may_grow = request.entry.command.flags.has(Flags::DENYOOM);
        let words_bytes = args.bytes().len();
        let is_counted = request.origin.core == self.id && words_bytes > UNCOUNTED_WORDS_MAX;
        let incoming = match may_grow && !is_counted && words_bytes > SMALL_WORDS_MAX {
            true => words_bytes as i64,
            false => 0,
        };
        if self.memory.expected_bytes > 0 && request.origin.core != self.id {
            self.memory.expected_bytes -= words_bytes.min(self.memory.expected_bytes);
        }
        self.make_room(usize::from(request.db), incoming) || !may_grow
    }

    /// Evicts what may go before a request runs: whoever asked may be told of it before the reply.
    pub fn evict_before(&mut self, db: u16) {
        if self.memory.is_limited {
            self.make_room(usize::from(db), 0);
        }
    }

    /// Whether what is about to come, or to be taken in from a client, must wait for its room: with all that may go here gone it
    /// does not fit, and another shard gives something back in its next turn. Where it fits its room is this shard's now.
    ///
    /// - `incoming`: bytes that it brings, but for those of clients' buffers, which count as they are.
    #[inline]
    pub fn must_wait_for_room(&mut self, incoming: usize) -> bool {
        let memory = &self.memory;
        memory.is_limited && memory.is_short_of(incoming) && self.finds_no_room(incoming)
    }

    #[cold]
    fn finds_no_room(&mut self, incoming: usize) -> bool {
        let is_alone = self.memory.ledger.shards_count() == 1;
        if self.memory.options.policy.is_none() || is_alone || self.keys.is_expiry_paused() {
            return false; // Nobody else gives anything.
        }
        self.measure_all();
        for _ in 0..EVICTIONS_PER_CYCLE {
            self.take_what_is_missing(incoming as i64);
            if !self.memory.is_short_of(incoming) {
                break;
            }
            if !self.free_something(0) {
                return self.ask_once(incoming as i64);
            }
            self.measure_all();
        }
        self.after_writes();
        false
    }

    /// So many bytes of requests are about to run, for which there is room: that is not given back meanwhile. 0 when they have.
    pub fn expect(&mut self, bytes: usize) {
        if self.memory.is_limited {
            self.memory.expected_bytes = bytes;
        }
    }

    /// Evicts what may go before a part of a transaction runs, which is not refused any more.
    ///
    /// - `incoming`: bytes that it brings.
    pub(super) fn make_room_for_part(&mut self, db: u16, incoming: usize) {
        self.make_room(usize::from(db), incoming as i64);
    }

    /// Evicts what is too much since buffers of clients, or a command beyond its words, have grown; true if there is more to do.
    #[inline]
    pub fn keep_to_lease(&mut self) -> bool {
        let memory = &self.memory;
        memory.is_limited && memory.is_to_win_back() && self.win_back()
    }

    #[cold]
    fn win_back(&mut self) -> bool {
        let is_done = self.work_off(EVICTIONS_PER_CYCLE);
        self.after_writes();
        !is_done
    }

    /// Refuses a command for want of memory.
    #[cold]
    pub(super) fn refuse_growth(&mut self, entry: &'static Entry) -> CommandError {
        self.figures
            .record_refusal(entry.index, OUT_OF_MEMORY.as_bytes());
        OUT_OF_MEMORY.into()
    }

    /// Gives back what a command that has written no longer needs.
    #[inline]
    pub(super) fn settle_memory(&mut self, db: u16) {
        self.measure(usize::from(db));
        self.settle_measured();
    }

    /// The same, where any database may have changed.
    pub(super) fn settle_all_memory(&mut self) {
        self.measure_all();
        self.settle_measured();
    }

    #[inline]
    fn settle_measured(&mut self) {
        self.give_back();
        if self.is_overdrawn() {
            self.own_up();
        }
        if !self.memory.is_offering {
            self.offer_first();
        }
    }

    /// Others refuse what may grow while no shard says that it has a key that may go: the first one is told at once, for it need not
    /// take any memory (EXPIRE).
    #[cold]
    fn offer_first(&mut self) {
        let policy = self.memory.options.policy;
        if policy.is_some_and(|policy| self.keys.candidates_count(policy) > 0) {
            self.publish();
        }
    }

    /// What is used beyond the lease and cannot go is taken, over the limit or not: a part of a transaction is never refused, and
    /// who coordinates the next one, on another shard, would not know that there is too much.
    #[cold]
    fn own_up(&mut self) {
        if self.memory.options.policy.is_some() && self.has_offer() {
            return; // Keys go, here or elsewhere.
        }
        self.take_what_is_missing(0);
        let memory = &mut self.memory;
        let missing = memory.used() - memory.lease;
        if missing > 0 {
            memory.lease += missing;
            memory.ledger.force(missing);
        }
    }

    /// Evicts for shards that asked, and what is over the limit; true if more is to be done at once.
    pub(super) fn memory_cycle(&mut self) -> bool {
        let unused = self.memory.reserved_bytes - self.memory.extra_bytes;
        self.memory.reserved_bytes -= unused.div_ceil(RESERVE_PART_PER_CYCLE);
        self.settle_all_memory();
        let is_done = self.work_off(EVICTIONS_PER_CYCLE);
        if self.memory.ledger.is_tight() {
            self.publish();
        }
        let is_exceeded = self.is_overdrawn() || self.memory.ledger.is_over();
        let now_ms = self.keys.now_ms();
        self.memory.ledger.note(is_exceeded, now_ms);
        !is_done
    }

    /// Another shard has asked this one to give something back.
    pub fn free_for_others(&mut self) {
        if self.memory.is_limited {
            self.measure_all();
            self.work_off(EVICTIONS_PER_CYCLE);
            self.after_writes();
        } else {
            // Or it would give that up under the next limit.
            self.memory.ledger.withdraw(usize::from(self.id));
        }
    }

    /// Evicts, up to a number of keys, what others have asked for and what all have too much together; true when that is done
    /// or nothing can be done about it here.
    fn work_off(&mut self, evictions_max: usize) -> bool {
        let shard = usize::from(self.id);
        for _ in 0..evictions_max {
            self.take_what_is_missing(0);
            let given = self.give_back_down_to(0);
            self.memory.ledger.answered(shard, given);
            let asked = self.memory.ledger.asked(shard);
            let is_short = self.is_overdrawn() || self.memory.ledger.is_over();
            let may_wait = self.memory.used() - self.memory.lease <= self.memory.overdraft_max;
            if asked <= 0 && (!is_short || may_wait && self.ask_others(0)) {
                return true;
            }
            if !self.free_something(0) {
                // Nothing may go here: whoever asked finds that out by the score.
                self.memory.ledger.answered(shard, asked);
                if is_short {
                    self.ask_others(0);
                }
                return true;
            }
            self.measure_all();
        }
        false
    }

    /// Brings what is used and `incoming` bytes within the lease, or the lease up to that; whether a command that may grow may
    /// run.
    fn make_room(&mut self, db: usize, incoming: i64) -> bool {
        self.measure(db);
        let memory = &self.memory;
        if memory.used() + incoming <= memory.lease && !memory.ledger.is_over() {
            return true;
        }
        self.find_room(db, incoming)
    }

    #[cold]
    fn find_room(&mut self, db: usize, incoming: i64) -> bool {
        // What runs in a pause runs, however much there is; what has become too much goes after it.
        if self.memory.options.policy.is_some() && self.keys.is_expiry_paused() {
            return true;
        }
        let tenacity = evictions_max(self.memory.options.tenacity);
        let more = usize::try_from(incoming / BYTES_PER_EVICTION).unwrap_or(0);
        let mut evictions_count = 0;
        let now_ms = self.keys.now_ms();
        loop {
            self.take_what_is_missing(incoming);
            if self.memory.used() + incoming <= self.memory.lease {
                self.give_back_down_to(incoming);
                if !self.memory.ledger.is_over() {
                    self.memory.ledger.note(false, now_ms);
                    return true;
                }
            }
            let overdraft = self.memory.used() + incoming - self.memory.lease;
            let is_enough = evictions_count >= tenacity
                && (overdraft <= self.memory.margin || evictions_count - tenacity >= more);
            if self.memory.options.policy.is_none() {
                // What is being freed anyway is room as well.
                if !self.free_garbage_step() {
                    break;
                }
            } else if overdraft <= self.memory.overdraft_max && self.ask_others(incoming) {
                return true;
            } else if is_enough {
                // The rest is for the cycle.
                self.memory.ledger.note(true, now_ms);
                return true;
            } else if self.free_something(db) {
                evictions_count += 1;
            } else if self.ask_others(incoming) {
                // It is there, and comes as soon as the other one has its turn.
                return true;
            } else {
                break;
            }
            self.measure(db);
        }
        self.memory.ledger.note(true, now_ms);
        false
    }

    fn is_overdrawn(&self) -> bool {
        self.memory.used() > self.memory.lease
    }

    /// Takes what is used, or comes, beyond the lease, and a piece with it, where there is so much to take.
    fn take_what_is_missing(&mut self, incoming: i64) {
        let memory = &mut self.memory;
        let missing = memory.used() + incoming - memory.lease;
        if missing > 0 && !memory.ledger.is_over() {
            memory.lease += memory.ledger.take(missing, missing + memory.piece - 1);
            // Others must know that there is something here before they need it.
            if memory.ledger.offer(usize::from(self.id)).0.is_none() {
                self.publish();
            }
        }
    }

    /// Frees a part of what waits to be freed, or else evicts a key; false where there is neither, or CLIENT PAUSE keeps keys.
    fn free_something(&mut self, db: usize) -> bool {
        if self.free_garbage_step() {
            return true;
        }
        let Some(policy) = self.memory.options.policy else {
            return false;
        };
        if self.keys.is_expiry_paused() {
            return false;
        }
        let samples = self.memory.options.samples;
        let locks = &self.locks;
        let is_held = |hash: u64| {
            let key = std::iter::once((hash, LockMode::Exclusive));
            !locks.is_idle() && locks.is_in_conflict(key, true, 0)
        };
        let Some(candidate) = self.keys.choose_victim(policy, samples, &is_held) else {
            // Transactions hold those that there are: they may go soon.
            let held_count = self.keys.candidates_count(policy);
            self.tell_offer((held_count > 0).then_some(0), held_count);
            return false;
        };
        self.evict(&candidate);
        if candidate.db != db {
            self.measure(candidate.db);
        }
        let candidates = self.keys.candidates_count(policy);
        self.tell_offer(Some(candidate.score), candidates);
        true
    }

    /// Removes a key for want of memory: the one place where that happens. Whatever follows from it belongs here.
    fn evict(&mut self, candidate: &Candidate) {
        let place = (candidate.db as u16, candidate.hash);
        if self.keys.evict(candidate) {
            self.changes_count += 1;
            self.log_evicted(place.0, &candidate.key);
        }
        if !self.watches.is_empty() {
            self.watches.touch(place);
        }
        self.waiters.mark(place);
    }

    /// Frees some of what is garbage; false where there is none, or none that may go yet.
    fn free_garbage_step(&mut self) -> bool {
        let has_garbage = self.keys.has_garbage_to_free();
        if has_garbage {
            self.keys.free_garbage(GARBAGE_STEPS);
            self.measure_all();
        }
        has_garbage
    }

    /// Asks the shard whose keys are worth clearly less than this one's for a piece; false where there is none.
    fn ask_others(&mut self, incoming: i64) -> bool {
        self.ask(incoming, ASKED_PIECES_MAX)
    }

    /// The same by one who waits until it is there.
    fn ask_once(&mut self, incoming: i64) -> bool {
        self.ask(incoming, 1)
    }

    fn ask(&mut self, incoming: i64, times_max: i64) -> bool {
        let Some(other) = self.better_giver() else {
            return false;
        };
        let wanted = self
            .memory
            .piece
            .max(self.memory.used() + incoming - self.memory.lease);
        let ledger = &self.memory.ledger;
        if ledger.ask(other, wanted, times_max * wanted) {
            self.events
                .push_back((other as u16, FromShard::NeedsMemory));
        }
        true
    }

    fn better_giver(&self) -> Option<usize> {
        let policy = self.memory.options.policy?;
        let ledger = &self.memory.ledger;
        let own_place = usize::from(self.id);
        let own = ledger.offer(own_place);
        let others = (0..ledger.shards_count()).filter(|&place| place != own_place);
        let offers = others.filter_map(|place| {
            let offer = ledger.offer(place);
            is_clearly_better(policy.order, offer, own).then_some((place, offer))
        });
        let best = offers.max_by_key(|(_, offer)| *offer)?;
        Some(best.0)
    }

    /// Whether there is a key here that may go.
    fn has_offer(&mut self) -> bool {
        let own = usize::from(self.id);
        if self.memory.ledger.offer(own).0.is_none() {
            self.publish();
        }
        self.memory.ledger.offer(own).0.is_some()
    }

    /// Tells the others what the best candidate here is worth.
    fn publish(&mut self) {
        let Some(policy) = self.memory.options.policy else {
            return;
        };
        let score = self.keys.best_score(policy, self.memory.options.samples);
        let candidates = self.keys.candidates_count(policy);
        self.tell_offer(score, candidates);
    }

    fn tell_offer(&mut self, score: Option<u64>, candidates: u64) {
        let memory = &mut self.memory;
        memory.is_offering = score.is_some();
        (memory.ledger).publish(usize::from(self.id), score, candidates);
    }

    fn give_back(&mut self) {
        // Twice as much as is kept, or a shard that grows and shrinks a little would go to the ledger each time.
        if self.memory.lease - self.memory.used() > 2 * self.memory.piece {
            self.give_back_down_to(self.memory.piece);
        }
    }

    /// Gives back all that is not used but for `kept` bytes; returns how many bytes those were.
    fn give_back_down_to(&mut self, kept: i64) -> i64 {
        let memory = &mut self.memory;
        let unused = (memory.lease - memory.used() - kept).max(0);
        if unused > 0 {
            memory.lease -= unused;
            self.tell_used();
            self.memory.ledger.give(unused);
        }
        unused
    }

    /// Brings the figures up to date, where only this database may have changed.
    #[inline]
    fn measure(&mut self, db: usize) {
        let memory = &mut self.memory;
        let Some(known) = memory.database_bytes.get_mut(db) else {
            return self.measure_all();
        };
        let bytes = self.keys.database_bytes(db);
        memory.keys_bytes = memory.keys_bytes + bytes - *known;
        *known = bytes;
    }

    fn measure_all(&mut self) {
        let memory = &mut self.memory;
        let databases = 0..self.keys.databases_count();
        memory.database_bytes.clear();
        let bytes = databases.map(|db| self.keys.database_bytes(db));
        memory.database_bytes.extend(bytes);
        memory.keys_bytes = memory.database_bytes.iter().sum::<usize>() + self.keys.garbage_bytes();
    }
}

/// How many keys may go before one command.
fn evictions_max(tenacity: u8) -> usize {
    match tenacity {
        0..=10 => usize::from(tenacity) * EVICTIONS_PER_POINT + 1,
        // A seventh more for each point, as Redis's time limit grows.
        11..=99 => {
            let factor = 1.15f64.powi(i32::from(tenacity) - 10);
            (10.0 * EVICTIONS_PER_POINT as f64 * factor) as usize
        }
        _ => usize::MAX,
    }
}

/// Whether one shard's keys are worth so much less than another's that it is worth asking.
fn is_clearly_better(
    order: EvictionOrder,
    (score, candidates): (Option<u64>, u64),
    (own_score, own_candidates): (Option<u64>, u64),
) -> bool {
    let Some(score) = score else { return false };
    let Some(own) = own_score else { return true };
    // The seconds, uses or milliseconds that two scores may differ by chance.
    let chance = match order {
        EvictionOrder::Idle => own / 2 + 2,
        EvictionOrder::Rare => 2,
        EvictionOrder::Random => 0,
        EvictionOrder::Deadline => 10_000,
    };
    // Where both are worth about the same, what must go is more likely where there are more: a shard whose core has large
    // buffers must not pay for them alone.
    let has_far_more = candidates > own_candidates + own_candidates / 4 + 16;
    score > own.saturating_add(chance) || score.saturating_add(chance) >= own && has_far_more
}
