//! Tracking: which clients may have which of this shard's keys in a cache of their own.
//!
//!     key -> the clients that have read it                    gone with the first change, as their copy is
//!     prefix -> the cores with clients that want to know of every key that begins with it
//!
//! A key's name is tracked, whatever the database, as Redis does.
//!
//! Promises  while nobody tracks, a write pays one branch; what is told was done before.
//! Not here  the table of keys: `keyspace/tracked.rs`; whether a client's reads count, and what it is sent: `node/tracking.rs`.
//! Source    Redis documentation, "Client-side caching reference".
//! Tests     tests/server/tracking.rs.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Keyspace;
use super::tracked::TrackedKeys;
use crate::base::rng::Rng;

/// A client that tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracker {
    /// The core it is on, where it stays.
    pub core: u16,
    /// Its number there, never used twice.
    pub number: NonZeroU32,
}

/// What clients must forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// One key.
    Key {
        /// The key.
        key: Arc<[u8]>,
        /// Who has read it.
        trackers: Vec<Tracker>,
        /// Cores with clients that want to know of it by a prefix.
        cores: Vec<u16>,
        /// Time did it, or the lack of memory: to them it is nobody's own change.
        is_by_itself: bool,
        /// Whose command changed it, if that client tracks as well.
        writer: Option<Tracker>,
        /// A script of that client did: to those who named prefixes it is nobody's own change, as in Redis.
        in_script: bool,
    },
    /// All keys.
    All,
}

/// A prefix, and how many clients of each core named it.
struct Prefix {
    bytes: Vec<u8>,
    cores: Vec<(u16, usize)>,
}

/// Who tracks what.
#[derive(Default)]
pub(super) struct Tracking {
    keys: TrackedKeys,
    prefixes: Vec<Prefix>,
    /// Keys that are tracked on all shards: one limit is for all.
    total: Arc<AtomicUsize>,
    /// Who runs what is running.
    writer: Option<Tracker>,
    /// And that it is a script.
    in_script: bool,
    news: Vec<Invalidation>,
}

impl Tracking {
    /// Whether a change may have to be told.
    pub(super) fn is_watchful(&self) -> bool {
        !self.keys.is_empty() || !self.prefixes.is_empty()
    }

    #[inline]
    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// A key has changed.
    pub(super) fn changed(&mut self, key: &[u8], is_by_itself: bool) {
        let mut cores: Vec<u16> = Vec::new();
        let of_prefix = self.prefixes.iter();
        for prefix in of_prefix.filter(|prefix| key.starts_with(&prefix.bytes)) {
            for (core, _) in &prefix.cores {
                if !cores.contains(core) {
                    cores.push(*core);
                }
            }
        }
        let (key, trackers) = match self.forget(key) {
            Some(forgotten) => forgotten,
            None if cores.is_empty() => return,
            None => (key.into(), Vec::new()),
        };
        self.news.push(Invalidation::Key {
            key,
            trackers,
            cores,
            is_by_itself,
            writer: self.writer,
            in_script: self.in_script,
        });
    }

    /// Takes a key out of the table.
    fn forget(&mut self, key: &[u8]) -> Option<(Arc<[u8]>, Vec<Tracker>)> {
        let forgotten = self.keys.remove(key)?;
        self.total.fetch_sub(1, Ordering::Relaxed);
        Some(forgotten)
    }

    fn read(&mut self, key: &[u8], tracker: Tracker) {
        if self.keys.insert(key, tracker) {
            self.total.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn clear(&mut self) {
        let count = self.keys.keys_count();
        self.total.fetch_sub(count, Ordering::Relaxed);
        self.keys = TrackedKeys::default();
    }

    /// Tells of a random key as if it had changed.
    fn evict_one(&mut self, rng: &mut Rng) {
        let drawn = self.keys.draw(rng);
        if let Some((key, trackers)) = drawn.and_then(|key| self.forget(&key)) {
            self.news.push(Invalidation::Key {
                key,
                trackers,
                cores: Vec::new(),
                is_by_itself: true,
                writer: None,
                in_script: false,
            });
        }
    }
}

/// How much is tracked on one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackingCounts {
    /// Keys.
    pub keys: usize,
    /// Clients of each, added up.
    pub items: usize,
    /// Prefixes that clients of any core named.
    pub prefixes: usize,
    /// Bytes that the table of keys takes, room for more included.
    pub bytes: usize,
}

impl Keyspace {
    /// Has this shard count its tracked keys where all others do.
    pub fn share_tracking_total(&mut self, total: Arc<AtomicUsize>) {
        self.events.tracking.total = total;
    }

    /// A client that tracks has read a key.
    pub fn track(&mut self, key: &[u8], tracker: Tracker) {
        let was_watchful = self.events.tracking.is_watchful();
        self.events.tracking.read(key, tracker);
        if !was_watchful {
            self.events.settle();
        }
    }

    /// Whether anybody must be told of changes: then [`Keyspace::set_writer`] matters.
    #[inline]
    pub fn is_tracked(&self) -> bool {
        self.events.is_watchful()
    }

    /// Who changes what is changed from now on.
    ///
    /// - `in_script`: a script does it for that client.
    pub fn set_writer(&mut self, writer: Option<Tracker>, in_script: bool) {
        let tracking = &mut self.events.tracking;
        (tracking.writer, tracking.in_script) = (writer, in_script);
    }

    /// One more client of `core` wants to know of every key that begins with `prefix`, or one less.
    pub fn track_prefix(&mut self, prefix: &[u8], core: u16, is_more: bool) {
        let prefixes = &mut self.events.tracking.prefixes;
        let place = prefixes.iter().position(|known| known.bytes == prefix);
        let place = place.unwrap_or_else(|| {
            prefixes.push(Prefix {
                bytes: prefix.to_vec(),
                cores: Vec::new(),
            });
            prefixes.len() - 1
        });
        let cores = &mut prefixes[place].cores;
        match cores.iter_mut().find(|(known, _)| *known == core) {
            Some((_, count)) if is_more => *count += 1,
            Some((_, count)) => *count -= 1,
            None if is_more => cores.push((core, 1)),
            None => {}
        }
        cores.retain(|(_, count)| *count > 0);
        if cores.is_empty() {
            prefixes.swap_remove(place);
        }
        self.events.settle();
    }

    /// Gives those who track to a keyspace that takes this one's place: they must forget everything.
    pub fn hand_tracking_to(&mut self, other: &mut Self) {
        let (own, others) = (&mut self.events.tracking, &mut other.events.tracking);
        own.clear();
        others.prefixes = std::mem::take(&mut own.prefixes);
        others.total = own.total.clone();
        others.news = std::mem::take(&mut own.news);
        other.tell_flushed();
    }

    /// All keys of a database are gone: whoever tracks must forget everything. One shard tells it for all.
    pub fn tell_flushed(&mut self) {
        let tracking = &mut self.events.tracking;
        tracking.clear();
        if self.shard == 0 {
            tracking.news.push(Invalidation::All);
        }
        self.events.settle();
    }

    /// Stops tracking keys until all shards together have no more than `keys_max`, each some at a time; whether there is
    /// more to do. 0 is no limit.
    pub fn limit_tracked(&mut self, keys_max: usize, steps_max: usize) -> bool {
        let tracking = &mut self.events.tracking;
        if keys_max == 0 || tracking.keys.is_empty() {
            return false;
        }
        for _ in 0..steps_max {
            if tracking.total.load(Ordering::Relaxed) <= keys_max || tracking.keys.is_empty() {
                self.events.settle();
                return false;
            }
            tracking.evict_one(&mut self.rng);
        }
        true
    }

    /// Hands over what must be forgotten, in order.
    pub fn take_invalidations(&mut self) -> Vec<Invalidation> {
        let tracking = &mut self.events.tracking;
        let news = std::mem::take(&mut tracking.news);
        // The last tracked key may have gone.
        self.events.settle();
        news
    }

    /// How much is tracked here.
    pub fn tracking_counts(&self) -> TrackingCounts {
        let tracking = &self.events.tracking;
        TrackingCounts {
            keys: tracking.keys.keys_count(),
            items: tracking.keys.items_count(),
            prefixes: tracking.prefixes.len(),
            bytes: tracking.keys.bytes(),
        }
    }
}
