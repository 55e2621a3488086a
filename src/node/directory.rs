//! The directory of subscriptions: for each channel, which cores have subscribers of it, and how many there are.
//!
//!     name -> stripe (by hash) -> { the name's one allocation, cores, subscribers }
//!
//! Promises  what `enter` has done is seen by every core when it returns, so a SUBSCRIBE waits for nobody; a lookup takes
//!           one stripe's lock for one probe; a stripe that grows holds up only those who ask for its names; a name whose
//!           last subscriber has left takes no memory.
//! Not here  which connections subscribe: `node/subscriptions.rs`, on each core its own.
//! Tests     tests/node/directory.rs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::pattern_filter::PatternFilter;
use crate::commands::pubsub::Subject;

/// Locks of one kind of subject: many more than cores that ask at the same time.
const STRIPES_COUNT: usize = 256;

/// What is shared about subscriptions.
pub struct Directory {
    rolls: [Roll; Subject::ALL.len()],
    patterns: PatternFilter,
    /// Clients that are subscribed to something.
    pub clients_count: AtomicUsize,
}

impl Directory {
    /// An empty directory for `cores_count` cores.
    pub fn new(cores_count: usize) -> Self {
        Self {
            rolls: std::array::from_fn(|_| Roll::default()),
            patterns: PatternFilter::new(cores_count),
            clients_count: AtomicUsize::new(0),
        }
    }

    /// The names of one kind.
    pub fn roll(&self, subject: Subject) -> &Roll {
        &self.rolls[subject as usize]
    }

    /// One more subscriber on `core`, the first there of this name or not; returns the name as all keep it.
    pub fn enter(&self, subject: Subject, name: &[u8], core: u16, is_first: bool) -> Arc<[u8]> {
        if subject == Subject::Pattern && is_first {
            self.patterns.enter(name, core);
        }
        self.roll(subject).enter(name, core, is_first)
    }

    /// One less, the last there of this name or not.
    pub fn leave(&self, subject: Subject, name: &[u8], core: u16, is_last: bool) {
        if subject == Subject::Pattern && is_last {
            self.patterns.leave(name, core);
        }
        self.roll(subject).leave(name, core, is_last);
    }

    /// Appends the cores that a message to `channel` must reach, each once; and rarely one where no pattern matches after all.
    pub fn audience(&self, subject: Subject, channel: &[u8], cores: &mut Vec<u16>) {
        self.roll(subject).cores_of(channel, cores);
        if subject != Subject::Channel || self.roll(Subject::Pattern).names_count() == 0 {
            return;
        }
        self.patterns.cores_for(channel, cores);
    }
}

/// The names of one kind that have subscribers.
pub struct Roll {
    stripes: Box<[RwLock<Stripe>]>,
    hasher: ahash::RandomState,
    names_count: AtomicUsize,
}

type Stripe = HashMap<Arc<[u8]>, Listing, ahash::RandomState>;

struct Listing {
    subscribers_count: usize,
    cores: Vec<u16>,
}

impl Default for Roll {
    fn default() -> Self {
        Self {
            stripes: (0..STRIPES_COUNT).map(|_| RwLock::default()).collect(),
            hasher: ahash::RandomState::new(),
            names_count: AtomicUsize::new(0),
        }
    }
}

impl Roll {
    /// How many names have subscribers.
    pub fn names_count(&self) -> usize {
        self.names_count.load(Ordering::SeqCst)
    }

    /// How many subscribers a name has.
    pub fn subscribers_count(&self, name: &[u8]) -> usize {
        let stripe = self.read(name);
        stripe
            .get(name)
            .map_or(0, |listing| listing.subscribers_count)
    }

    /// All names for which `wanted` holds.
    pub fn names(&self, wanted: impl Fn(&[u8]) -> bool) -> Vec<Arc<[u8]>> {
        let mut names = Vec::new();
        for stripe in &self.stripes {
            let stripe = stripe.read().unwrap_or_else(PoisonError::into_inner);
            names.extend(stripe.keys().filter(|name| wanted(name)).cloned());
        }
        names
    }

    fn cores_of(&self, name: &[u8], cores: &mut Vec<u16>) {
        if self.names_count() == 0 {
            return;
        }
        if let Some(listing) = self.read(name).get(name) {
            cores.extend_from_slice(&listing.cores);
        }
    }

    fn enter(&self, name: &[u8], core: u16, is_first: bool) -> Arc<[u8]> {
        let mut stripe = self.write(name);
        if let Some((kept, _)) = stripe.get_key_value(name) {
            let kept = kept.clone();
            if let Some(listing) = stripe.get_mut(name) {
                listing.subscribers_count += 1;
                if is_first {
                    listing.cores.push(core);
                }
            }
            return kept;
        }
        let kept: Arc<[u8]> = name.into();
        let listing = Listing {
            subscribers_count: 1,
            cores: vec![core],
        };
        stripe.insert(kept.clone(), listing);
        self.names_count.fetch_add(1, Ordering::SeqCst);
        kept
    }

    fn leave(&self, name: &[u8], core: u16, is_last: bool) {
        let mut stripe = self.write(name);
        let Some(listing) = stripe.get_mut(name) else {
            return;
        };
        listing.subscribers_count -= 1;
        if is_last {
            listing.cores.retain(|&other| other != core);
        }
        if listing.subscribers_count == 0 {
            stripe.remove(name);
            self.names_count.fetch_sub(1, Ordering::SeqCst);
            if stripe.capacity() / 8 > stripe.len() {
                stripe.shrink_to_fit();
            }
        }
    }

    fn read(&self, name: &[u8]) -> RwLockReadGuard<'_, Stripe> {
        let stripe = &self.stripes[self.stripe_of(name)];
        stripe.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, name: &[u8]) -> RwLockWriteGuard<'_, Stripe> {
        let stripe = &self.stripes[self.stripe_of(name)];
        stripe.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn stripe_of(&self, name: &[u8]) -> usize {
        self.hasher.hash_one(name) as usize % STRIPES_COUNT
    }
}
