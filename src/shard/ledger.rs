//! Ledger: how much of `maxmemory` each shard has, and how gladly it would give something up. All that shards share.
//!
//!     maxmemory >= taken = lease of shard 0 + lease of shard 1 + …          a shard uses no more than its lease
//!
//! Shards hear of another limit one after the other. Until all have, the largest that any of them knows holds: leases taken under it
//! are not too much, and no key goes and nothing is refused for a limit that is no more, or that is not yet known to whoever has
//! leases to give back. To have no limit is the largest.
//!
//! Promises  leases are taken only while their sum stays within the limit, so shards that keep to theirs keep to the limit
//!           together; what a shard says it uses is lower before anybody can take what it gave back, so that the sum of what
//!           all say is no more than they ever had at a time; every other figure here is a hint but `taken`.
//! Not here  when a shard takes, gives back or evicts: `shard/memory.rs`.
//! Tests     tests/shard/memory.rs.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// No limit. Sums of it and what is in use stay numbers.
pub(super) const UNLIMITED: i64 = i64::MAX / 2;
/// A score of a shard that has nothing to give up.
const NO_SCORE: u64 = 0;
/// Looks at what all shards use, until two agree.
const LOOKS_MAX: usize = 16;

/// What the shards of a process know of each other's memory.
pub struct Ledger {
    /// The most that all leases together may come to.
    limit: AtomicI64,
    /// That of each shard, as it was last told. Seldom locked: where the limit changes.
    limits: Mutex<Box<[i64]>>,
    taken: AtomicI64,
    places: Box<[Place]>,
    /// Since when memory has been over the limit, in milliseconds since the epoch; 0 while it is not.
    exceeded_since_ms: AtomicI64,
    /// All times before that one, together.
    exceeded_ms: AtomicI64,
}

/// One shard's figures, on a cache line pair of their own.
#[repr(align(128))]
#[derive(Default)]
struct Place {
    /// 1 more than the score of its best candidate; 0 without one.
    score: AtomicU64,
    /// How many keys it could give up.
    candidates: AtomicU64,
    /// Bytes that others wait for it to give back.
    asked: AtomicI64,
    /// Bytes that it uses, as it last said.
    used: AtomicI64,
}

impl Ledger {
    /// A ledger without a limit.
    pub fn new(shards_count: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicI64::new(UNLIMITED),
            limits: Mutex::new(vec![UNLIMITED; shards_count].into()),
            taken: AtomicI64::new(0),
            places: (0..shards_count).map(|_| Place::default()).collect(),
            exceeded_since_ms: AtomicI64::new(0),
            exceeded_ms: AtomicI64::new(0),
        })
    }

    /// How many shards there are.
    pub fn shards_count(&self) -> usize {
        self.places.len()
    }

    /// Shard `of` was told how much all leases together may come to: [`UNLIMITED`] at most.
    pub(super) fn set_limit(&self, of: usize, limit: i64) {
        let mut limits = (self.limits.lock()).unwrap_or_else(PoisonError::into_inner);
        limits[of] = limit;
        let largest = limits.iter().copied().max().unwrap_or(limit);
        self.limit.store(largest, Ordering::Relaxed);
    }

    /// Whether shards have more than they may together.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.taken.load(Ordering::Relaxed) > self.limit.load(Ordering::Relaxed)
    }

    /// Whether little is left to take.
    pub(super) fn is_tight(&self) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        self.taken.load(Ordering::Relaxed) > limit - limit / 16
    }

    /// Takes `least` bytes or, where there are so many, up to `most`; 0 where there are fewer than `least`.
    pub(super) fn take(&self, least: i64, most: i64) -> i64 {
        let limit = self.limit.load(Ordering::Relaxed);
        let mut got = 0;
        let taken = self
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |taken| {
                got = most.min(limit - taken);
                (got >= least).then_some(taken + got)
            });
        if taken.is_ok() { got } else { 0 }
    }

    /// Takes bytes that are in use already, whatever there is.
    pub(super) fn force(&self, bytes: i64) {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives bytes back.
    pub(super) fn give(&self, bytes: i64) {
        // Whoever takes them sees what was said before.
        self.taken.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Shard `of` uses so many bytes.
    #[inline]
    pub(super) fn tell_used(&self, of: usize, bytes: usize) {
        self.places[of].used.store(bytes as i64, Ordering::Release);
    }

    /// What all shards use together, as each of them last said.
    pub fn used(&self) -> u64 {
        let look = || {
            let used = self.places.iter();
            used.map(|place| place.used.load(Ordering::Acquire) as u64)
                .sum()
        };
        // What goes from one shard to another between two loads is not to be counted twice.
        let mut used: u64 = look();
        for _ in 0..LOOKS_MAX {
            let again = look();
            if again == used {
                break;
            }
            used = again;
        }
        used
    }

    /// What shard `of` would give up.
    pub(super) fn publish(&self, of: usize, score: Option<u64>, candidates: u64) {
        let place = &self.places[of];
        let score = score.map_or(NO_SCORE, |score| score.saturating_add(1));
        place.score.store(score, Ordering::Relaxed);
        place.candidates.store(candidates, Ordering::Relaxed);
    }

    /// The best score of shard `of`, as far as it has said, and how many keys it could give up.
    pub(super) fn offer(&self, of: usize) -> (Option<u64>, u64) {
        let place = &self.places[of];
        let score = place.score.load(Ordering::Relaxed).checked_sub(1);
        (score, place.candidates.load(Ordering::Relaxed))
    }

    /// Asks shard `of` to give bytes back, unless others have asked it for `most` already.
    pub(super) fn ask(&self, of: usize, bytes: i64, most: i64) -> bool {
        let asked = &self.places[of].asked;
        if asked.load(Ordering::Relaxed) >= most {
            return false;
        }
        asked.fetch_add(bytes, Ordering::Relaxed) == 0
    }

    /// Shard `of` has nothing to give up until it says so, and what it was asked for is no longer wanted.
    pub(super) fn withdraw(&self, of: usize) {
        self.publish(of, None, 0);
        self.places[of].asked.store(0, Ordering::Relaxed);
    }

    /// What others wait for shard `of` to give back.
    pub(super) fn asked(&self, of: usize) -> i64 {
        self.places[of].asked.load(Ordering::Relaxed)
    }

    /// Shard `of` has given something back.
    pub(super) fn answered(&self, of: usize, bytes: i64) {
        let less = |asked: i64| Some((asked - bytes).max(0));
        let asked = &self.places[of].asked;
        let _ = asked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Memory is over the limit, or is no longer.
    pub(super) fn note(&self, is_exceeded: bool, now_ms: i64) {
        let since = &self.exceeded_since_ms;
        if is_exceeded {
            let _ = since.compare_exchange(0, now_ms, Ordering::Relaxed, Ordering::Relaxed);
        } else if since.load(Ordering::Relaxed) != 0 {
            let since_ms = since.swap(0, Ordering::Relaxed);
            if since_ms != 0 {
                let took_ms = (now_ms - since_ms).max(0);
                self.exceeded_ms.fetch_add(took_ms, Ordering::Relaxed);
            }
        }
    }

    /// How long memory has been over the limit, in milliseconds: all in all, and now.
    pub fn exceeded_ms(&self, now_ms: i64) -> (u64, u64) {
        let current_ms = match self.exceeded_since_ms.load(Ordering::Relaxed) {
            0 => 0,
            since_ms => (now_ms - since_ms).max(0),
        };
        let total_ms = self.exceeded_ms.load(Ordering::Relaxed) + current_ms;
        (total_ms as u64, current_ms as u64)
    }

    /// CONFIG RESETSTAT.
    pub fn reset_exceeded(&self) {
        self.exceeded_ms.store(0, Ordering::Relaxed);
        self.exceeded_since_ms.store(0, Ordering::Relaxed);
    }
}
