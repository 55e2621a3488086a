//! Cycle: what a shard does besides requests, a little each tick: removing what has expired, freeing what was flushed,
//! evicting what is over the limit of memory.
//!
//! Promises  bounded work a call, in steps, never by the clock; more while much is found, less while little is.
//! Not here  when to call: `node/` has the tick, and calls again at once while there is more to do and time for it.
//! Source    Redis's expire cycle, for the idea that the share found dead decides how hard to look.
//! Tests     tests/shard/cycle.rs.

use super::Shard;
use crate::commands::table::Caller;
use crate::router::LockMode;

/// How much one call may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CycleBudget {
    /// Entries and segments that may be looked at for their deadline. About 20 ns each.
    pub expire_steps: usize,
    /// Entries of flushed databases that may be freed. About 50 ns each.
    pub garbage_steps: usize,
}

impl Default for CycleBudget {
    /// About 250 µs in the worst case: at 100 ticks a second 2.5% of a core.
    fn default() -> Self {
        Self {
            expire_steps: 8_192,
            garbage_steps: 2_048,
        }
    }
}

/// Below one expired entry in this many steps, the next call spends only [`QUIET_SHARE`] of its budget.
const STEPS_PER_DEAD_MAX: u64 = 64;
/// What a quiet shard spends of its budget: one part in this many. With millions of deadlines far away, looking at the
/// segments' earliest ones, 100 ns each out of the cache, stays at 0.3% of a core at 100 ticks a second.
const QUIET_SHARE: usize = 32;

/// How hard the cycle looks.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The last call found enough dead to look with the whole budget.
    is_busy: bool,
}

impl Shard {
    /// Spends up to `budget` on expired keys and flushed databases.
    ///
    /// - Returns `true` if more is to be done at once: a flushed database is not freed yet, or much of what was looked
    ///   at had expired. Otherwise the next tick is soon enough.
    pub fn cycle(&mut self, budget: CycleBudget) -> bool {
        // Nobody's command is running.
        self.note_writer(Caller::default());
        let has_more_dead = self.expire(budget.expire_steps);
        // Whoever wanted to be told may be gone.
        self.note_expired_or_not();
        self.serve_claims();
        let is_clean = self.keys.free_garbage(budget.garbage_steps);
        let has_to_evict = self.memory.is_limited && self.memory_cycle();
        self.after_writes();
        has_more_dead || !is_clean || has_to_evict
    }

    fn expire(&mut self, budget_steps: usize) -> bool {
        let budget_steps = if self.pace.is_busy {
            budget_steps
        } else {
            (budget_steps / QUIET_SHARE).max(1)
        };
        let before = self.expired_count();
        let spent = self.expire_what_is_free(budget_steps) as u64;
        if self.keys.has_expired() {
            self.settle_expired();
        }
        let dead = self.expired_count() - before;
        self.pace.is_busy = dead > 0 && dead * STEPS_PER_DEAD_MAX >= spent;
        // A round that ended within its budget has seen every key; nothing is left that could be dead by now.
        self.pace.is_busy && spent >= budget_steps as u64
    }

    /// What a transaction has done here is logged when it ends, and what expires at once: a key that it has locked waits for it, or
    /// the log would have the two the other way round.
    fn expire_what_is_free(&mut self, budget_steps: usize) -> usize {
        if self.locks.is_idle() {
            return self.keys.expire_cycle(budget_steps);
        }
        let (locks, hasher) = (&self.locks, self.keys.hasher().clone());
        let is_held = |key: &[u8]| {
            let key = std::iter::once((hasher.hash(key), LockMode::Exclusive));
            locks.is_in_conflict(key, true, 0)
        };
        self.keys.expire_cycle_but(budget_steps, &is_held)
    }

    fn expired_count(&self) -> u64 {
        let stats = self.keys.stats();
        stats.expired_keys + stats.expired_fields + stats.forgotten_requests
    }
}
