//! Hot keys: which keys of one shard the most requests are for, while somebody looks.
//!
//!     one request in about 64 -> its first key -> counted, or in the place of the key counted least, with its count and one
//!
//! Nobody pays for it unless the page is open. Counts are halved every few seconds, so they tell of what goes on now.
//!
//! Promises  with nobody looking a request pays one branch; memory is bounded; a key with more than a sixty-fourth of the
//!           sampled requests is among them.
//!           A session of HOTKEYS that is on counts in `shard/key_costs.rs`, behind the same branch.
//! Not here  the page: `node/http.rs`.
//! Source    space-saving: Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in data
//!           streams", ICDT 2005.
//! Tests     tests/shard/hot_keys.rs.

use super::key_costs::{KeyCosts, KeyCostsTold};
use crate::base::rng::Rng;

/// One request of so many is looked at, at random distances: a pipeline with a rhythm must not hide a key.
const EVERY: u64 = 64;
/// Keys that are counted at a time.
const PLACES: usize = 64;
/// Keys that are told.
const TOLD: usize = 10;
/// Bytes of a key that are told.
const KEY_BYTES_MAX: usize = 128;
/// Counts are halved after so long.
const HALVED_AFTER_MS: i64 = 5_000;

/// A key and how many of the sampled requests were for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotKey {
    /// Its database.
    pub db: u16,
    /// Its first bytes.
    pub key: Vec<u8>,
    /// Requests, of those that were looked at; too many by what the key before it in its place had.
    pub count: u64,
    hash: u64,
}

/// What one shard's requests are for.
pub struct HotKeys {
    /// Somebody looks, in one way or the other.
    is_on: bool,
    /// The page is open.
    is_watched: bool,
    /// Requests to pass by.
    left: u64,
    places: Vec<HotKey>,
    /// Requests looked at.
    seen_count: u64,
    until_ms: i64,
    halved_ms: i64,
    rng: Rng,
    session: Option<Session>,
}

/// A session of HOTKEYS.
struct Session {
    number: u64,
    is_on: bool,
    until_ms: Option<i64>,
    costs: Box<KeyCosts>,
}

impl HotKeys {
    /// Nobody looks yet.
    pub fn new(seed: u64) -> Self {
        Self {
            is_on: false,
            is_watched: false,
            left: 0,
            places: Vec::new(),
            seen_count: 0,
            until_ms: 0,
            halved_ms: 0,
            rng: Rng::with_seed(seed),
            session: None,
        }
    }

    /// Somebody looks, until then.
    pub fn watch(&mut self, now_ms: i64, until_ms: i64) {
        if !self.is_watched {
            self.is_watched = true;
            self.is_on = true;
            self.halved_ms = now_ms;
        }
        self.until_ms = until_ms;
    }

    /// What is due once in a while; whether a session's time is up since the last time.
    pub fn tick(&mut self, now_ms: i64) -> bool {
        if !self.is_on {
            return false;
        }
        let had_session = self.session.as_ref().is_some_and(|session| session.is_on);
        let has_ended = had_session && !self.has_session(now_ms);
        if self.is_watched {
            self.tick_watch(now_ms);
        }
        has_ended
    }

    fn tick_watch(&mut self, now_ms: i64) {
        if now_ms >= self.until_ms {
            self.is_watched = false;
            self.look();
            self.places = Vec::new();
            self.seen_count = 0;
        } else if now_ms - self.halved_ms >= HALVED_AFTER_MS {
            self.halved_ms = now_ms;
            self.seen_count /= 2;
            self.places.iter_mut().for_each(|place| place.count /= 2);
            self.places.retain(|place| place.count > 0);
        }
    }

    /// Whether somebody looks at requests.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    fn look(&mut self) {
        self.is_on = self.is_watched || self.session.as_ref().is_some_and(|session| session.is_on);
    }

    /// Begins a session of HOTKEYS, whatever there was before.
    pub fn begin_session(&mut self, number: u64, costs: KeyCosts, until_ms: Option<i64>) {
        self.session = Some(Session {
            number,
            is_on: true,
            until_ms,
            costs: Box::new(costs),
        });
        self.look();
    }

    /// That session counts no more.
    pub fn end_session(&mut self, number: u64) {
        if let Some(session) = self.of_number(number) {
            session.is_on = false;
        }
        self.look();
    }

    /// Nothing is kept of that session.
    pub fn forget_session(&mut self, number: u64) {
        self.session.take_if(|session| session.number == number);
        self.look();
    }

    /// What that session has found.
    pub fn session_told(&mut self, number: u64) -> Option<KeyCostsTold> {
        self.of_number(number).map(|session| session.costs.told())
    }

    fn of_number(&mut self, number: u64) -> Option<&mut Session> {
        let session = self.session.as_mut();
        session.filter(|session| session.number == number)
    }

    /// Whether a session counts now; one whose time is up does not.
    pub fn has_session(&mut self, now_ms: i64) -> bool {
        let Some(session) = self.session.as_mut().filter(|session| session.is_on) else {
            return false;
        };
        session.is_on = session.until_ms.is_none_or(|until_ms| now_ms < until_ms);
        let is_on = session.is_on;
        self.look();
        is_on
    }

    /// What a session counts.
    pub fn costs(&mut self) -> Option<&mut KeyCosts> {
        self.session.as_mut().map(|session| &mut *session.costs)
    }

    /// Whether the request that runs now is one to look at for the page.
    #[inline]
    pub fn is_due(&mut self) -> bool {
        self.is_watched && self.is_next()
    }

    fn is_next(&mut self) -> bool {
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        self.left = self.rng.below(2 * EVERY - 1);
        true
    }

    /// Counts a key.
    pub fn count(&mut self, db: u16, key: &[u8], hash: u64) {
        self.seen_count += 1;
        let is_it = |place: &&mut HotKey| place.hash == hash && place.db == db;
        if let Some(place) = self.places.iter_mut().find(is_it) {
            place.count += 1;
            return;
        }
        let key = key[..key.len().min(KEY_BYTES_MAX)].to_vec();
        let new = |count| HotKey {
            db,
            key,
            count,
            hash,
        };
        if self.places.len() < PLACES {
            self.places.push(new(1));
        } else if let Some(least) = self.places.iter_mut().min_by_key(|place| place.count) {
            *least = new(least.count + 1);
        }
    }

    /// How many requests were looked at, and the keys that most of them were for, the hottest first. Keys seen once are left out.
    pub fn hottest(&self) -> (u64, Vec<HotKey>) {
        let mut hottest: Vec<HotKey> = self.places.clone();
        hottest.retain(|place| place.count > 1);
        hottest.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
        hottest.truncate(TOLD);
        (self.seen_count, hottest)
    }
}
