//! Claimable: when readers that wait with XREADGROUP's CLAIM are to look again, though nobody writes.
//!
//!     a reader waits    -> the first time at which an entry is claimable that is pending now
//!     another delivers  -> now, and the shortest idle time that somebody waits with
//!
//! A key is looked at once at the earliest of these. What is claimable only later is found then, and the next time with it.
//!
//! Promises  nobody waits longer than until the tick after an entry has become claimable; a key costs a look then and one
//!           lookup for each delivery before.
//! Not here  looking: `shard/waiting.rs`. What is pending for how long: `commands/stream_read.rs`.
//! Tests     tests/server/blocking_streams.rs.

use std::collections::{BTreeSet, HashMap};

use super::waiters::WaitKey;

/// What is known of one key.
struct OfKey {
    /// The shortest time that entries have to be idle for somebody who waits, or has.
    idle_ms_min: i64,
    /// When it is to be looked at, in milliseconds since the epoch.
    due_ms: Option<i64>,
}

/// See the module.
#[derive(Default)]
pub struct Claimable {
    keys: HashMap<WaitKey, OfKey, ahash::RandomState>,
    due: BTreeSet<(i64, WaitKey)>,
    /// No key is looked at for now.
    pub rests: bool,
}

impl Claimable {
    /// Whether nobody waits with CLAIM.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether somebody waits for this key with CLAIM.
    pub fn has(&self, place: WaitKey) -> bool {
        self.keys.contains_key(&place)
    }

    /// Somebody waits for a key, to claim what has been idle for so long; what is pending now is so at `due_ms`.
    pub fn wait(&mut self, place: WaitKey, idle_ms_min: i64, due_ms: Option<i64>) {
        let of_key = self.keys.entry(place).or_insert(OfKey {
            idle_ms_min,
            due_ms: None,
        });
        of_key.idle_ms_min = of_key.idle_ms_min.min(idle_ms_min);
        if let Some(due_ms) = due_ms {
            self.look_at(place, due_ms);
        }
    }

    /// Entries of a key have been delivered.
    pub fn delivered(&mut self, place: WaitKey, now_ms: i64) {
        if let Some(of_key) = self.keys.get(&place) {
            let due_ms = now_ms.saturating_add(of_key.idle_ms_min);
            self.look_at(place, due_ms);
        }
    }

    fn look_at(&mut self, place: WaitKey, due_ms: i64) {
        let Some(of_key) = self.keys.get_mut(&place) else {
            return;
        };
        if let Some(known_ms) = of_key.due_ms {
            if known_ms <= due_ms {
                return;
            }
            self.due.remove(&(known_ms, place));
        }
        of_key.due_ms = Some(due_ms);
        self.due.insert((due_ms, place));
    }

    /// Nobody waits for a key any more.
    pub fn forget(&mut self, place: WaitKey) {
        if let Some(due_ms) = self.keys.remove(&place).and_then(|it| it.due_ms) {
            self.due.remove(&(due_ms, place));
        }
    }

    /// The next key whose time has come.
    pub fn next_due(&mut self, now_ms: i64) -> Option<WaitKey> {
        let &(due_ms, place) = self.due.first().filter(|(due_ms, _)| *due_ms <= now_ms)?;
        self.due.remove(&(due_ms, place));
        if let Some(of_key) = self.keys.get_mut(&place) {
            of_key.due_ms = None;
        }
        Some(place)
    }
}
