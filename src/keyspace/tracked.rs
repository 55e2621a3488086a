//! Tracked keys: the table of who has read what.
//!
//!     key -> stripe (by hash) -> { key -> its place in the list, the trackers }  +  [key ...] to draw from
//!
//! Promises  a stripe that grows or shrinks is all that is moved at a time, a 256th of the table; room is at most about eight
//!           times what the keys in it need, and goes back as they go: a table without keys takes 22 KiB.
//! Not here  what is tracked, and who is told: `keyspace/tracking.rs`.
//! Tests     tests/keyspace/tracked.rs.

use std::collections::HashMap;
use std::sync::Arc;

use super::tracking::Tracker;
use crate::base::rng::Rng;

/// With the default limit of a million keys a full stripe has 4,000.
const STRIPES_COUNT: usize = 256;

/// Keys and their trackers.
#[derive(Default)]
pub(super) struct TrackedKeys {
    /// None before the first key.
    stripes: Box<[Stripe]>,
    hasher: ahash::RandomState,
    keys_count: usize,
    items_count: usize,
    bytes: usize,
}

/// One key's trackers.
struct Tracked {
    /// Where the key stands in the list of its stripe.
    place: usize,
    trackers: Vec<Tracker>,
}

struct Stripe {
    keys: HashMap<Arc<[u8]>, Tracked, ahash::RandomState>,
    /// Its keys once more, to draw from.
    list: Vec<Arc<[u8]>>,
}

impl TrackedKeys {
    /// One more client has read a key; whether the key was not tracked before.
    pub fn insert(&mut self, key: &[u8], tracker: Tracker) -> bool {
        if self.stripes.is_empty() {
            let stripes = (0..STRIPES_COUNT).map(|_| Stripe::new(&self.hasher));
            self.stripes = stripes.collect();
            self.bytes += STRIPES_COUNT * size_of::<Stripe>();
        }
        let stripe = &mut self.stripes[stripe_of(&self.hasher, key)];
        if let Some(tracked) = stripe.keys.get_mut(key) {
            if !tracked.trackers.contains(&tracker) {
                let before = tracked.bytes();
                tracked.trackers.push(tracker);
                self.bytes += tracked.bytes() - before;
                self.items_count += 1;
            }
            return false;
        }
        let before = stripe.room_bytes();
        let key: Arc<[u8]> = key.into();
        let tracked = Tracked {
            place: stripe.list.len(),
            trackers: vec![tracker],
        };
        self.bytes += name_bytes(&key) + tracked.bytes();
        stripe.list.push(key.clone());
        stripe.keys.insert(key, tracked);
        self.bytes = self.bytes + stripe.room_bytes() - before;
        self.keys_count += 1;
        self.items_count += 1;
        true
    }

    /// Takes a key out of the table: its name as it was kept, and who has read it.
    pub fn remove(&mut self, key: &[u8]) -> Option<(Arc<[u8]>, Vec<Tracker>)> {
        if self.keys_count == 0 {
            return None;
        }
        let stripe = &mut self.stripes[stripe_of(&self.hasher, key)];
        let before = stripe.room_bytes();
        let (key, tracked) = stripe.remove(key)?;
        self.bytes = self.bytes + stripe.room_bytes() - before;
        self.bytes -= name_bytes(&key) + tracked.bytes();
        self.keys_count -= 1;
        self.items_count -= tracked.trackers.len();
        Some((key, tracked.trackers))
    }

    /// A random key, each about equally likely while there are many.
    pub fn draw(&self, rng: &mut Rng) -> Option<Arc<[u8]>> {
        let first = rng.below(self.stripes.len() as u64) as usize;
        let (before, from) = self.stripes.split_at(first);
        let mut stripes = from.iter().chain(before);
        let stripe = stripes.find(|stripe| !stripe.list.is_empty())?;
        let place = rng.below(stripe.list.len() as u64) as usize;
        Some(stripe.list[place].clone())
    }

    pub fn is_empty(&self) -> bool {
        self.keys_count == 0
    }

    /// How many keys there are.
    pub fn keys_count(&self) -> usize {
        self.keys_count
    }

    /// Clients of each key, added up.
    pub fn items_count(&self) -> usize {
        self.items_count
    }

    /// Bytes that all of it takes, but for what the allocator adds: the stripes with the room they have, used or not, each name,
    /// and room for its trackers.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Tracked {
    fn bytes(&self) -> usize {
        self.trackers.capacity() * size_of::<Tracker>()
    }
}

impl Stripe {
    fn new(hasher: &ahash::RandomState) -> Self {
        Self {
            keys: HashMap::with_hasher(hasher.clone()),
            list: Vec::new(),
        }
    }

    fn remove(&mut self, key: &[u8]) -> Option<(Arc<[u8]>, Tracked)> {
        let (key, tracked) = self.keys.remove_entry(key)?;
        self.list.swap_remove(tracked.place);
        if let Some(moved) = self.list.get(tracked.place)
            && let Some(moved) = self.keys.get_mut(moved)
        {
            moved.place = tracked.place;
        }
        // With room for twice as many, as many must come or half of them go before it is moved again.
        // The map's own figure is low while it has places of keys that went.
        let room = self.list.capacity().max(self.keys.capacity());
        if self.list.is_empty() || room / 8 > self.list.len() {
            let room = 2 * self.list.len();
            self.keys.shrink_to(room);
            self.list.shrink_to(room);
        }
        Some((key, tracked))
    }

    /// Bytes of its two tables.
    fn room_bytes(&self) -> usize {
        // A table has an eighth more places than it takes keys, and a byte for each.
        let places = self.keys.capacity() + self.keys.capacity() / 7;
        let of_keys = places * (size_of::<(Arc<[u8]>, Tracked)>() + 1);
        of_keys + self.list.capacity() * size_of::<Arc<[u8]>>()
    }
}

/// Not by the bits that choose a place in the stripe.
fn stripe_of(hasher: &ahash::RandomState, key: &[u8]) -> usize {
    (hasher.hash_one(key) >> 40) as usize % STRIPES_COUNT
}

/// What a name takes with its two counts.
fn name_bytes(name: &[u8]) -> usize {
    2 * size_of::<usize>() + name.len()
}
