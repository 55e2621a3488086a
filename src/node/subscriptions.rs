//! One core's subscriptions: name -> its connections, and which patterns may match a channel.
//!
//!     table    stripe (by hash) -> name -> [connection ...]       a connection keeps its place in each list
//!     patterns by what every matching channel begins with, or where that is nothing, ends with:
//!              "news.*" under "news."     "*.mp3" under ".mp3"     "*a*" under ""
//!
//! Promises  entering and leaving cost the same however many connections or names there are, growth of one stripe
//!           aside; a channel is tried only against patterns whose known part it has.
//! Not here  which cores have subscribers: `node/directory.rs`. Messages: `node/publish.rs`.
//! Tests     tests/node/subscriptions.rs: patterns found against all patterns tried.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::ring::Token;
use crate::base::glob::glob_match;
use crate::commands::pubsub::Subject;

/// Parts of a table that grow on their own.
const STRIPES_COUNT: usize = 256;
/// Of what a pattern is known to begin or end with, so much is looked at: it bounds the lookups a channel costs.
const ANCHOR_BYTES_MAX: usize = 64;

/// A name as everyone keeps it: one allocation in the process.
pub type Name = Arc<[u8]>;

/// What one connection is subscribed to, each with its place in the name's list.
#[derive(Default)]
pub struct Subscriptions {
    places: [HashMap<Name, u32, ahash::RandomState>; Subject::ALL.len()],
}

impl Subscriptions {
    /// Names of one kind.
    pub fn of(&self, subject: Subject) -> &HashMap<Name, u32, ahash::RandomState> {
        &self.places[subject as usize]
    }

    /// The same, for changes.
    pub fn of_mut(&mut self, subject: Subject) -> &mut HashMap<Name, u32, ahash::RandomState> {
        &mut self.places[subject as usize]
    }

    /// How many channels, patterns and shard channels.
    pub fn counts(&self) -> [u32; 3] {
        Subject::ALL.map(|subject| self.of(subject).len() as u32)
    }

    /// The number that goes with a confirmation: shard channels count for themselves.
    pub fn count_beside(&self, subject: Subject) -> i64 {
        let [channels, patterns, shard_channels] = self.counts();
        i64::from(match subject {
            Subject::Channel | Subject::Pattern => channels + patterns,
            Subject::ShardChannel => shard_channels,
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.iter().all(HashMap::is_empty)
    }

    /// About the bytes held.
    pub fn memory_bytes(&self) -> usize {
        let entry_bytes = std::mem::size_of::<(Name, u32)>() + 1;
        let places_count: usize = self.places.iter().map(HashMap::capacity).sum();
        std::mem::size_of::<Self>() + places_count * entry_bytes
    }
}

/// The connections of one core by what they are subscribed to.
#[derive(Default)]
pub struct Subscribers {
    tables: [Table; Subject::ALL.len()],
    patterns: PatternIndex,
}

impl Subscribers {
    /// The connections subscribed to a name.
    pub fn of(&self, subject: Subject, name: &[u8]) -> &[Token] {
        let table = &self.tables[subject as usize];
        table.stripe(name).get(name).map_or(&[], |list| list)
    }

    /// Whether nobody is subscribed to it.
    pub fn has_none(&self, subject: Subject, name: &[u8]) -> bool {
        self.of(subject, name).is_empty()
    }

    /// Enters a connection; returns its place in the name's list.
    pub fn enter(&mut self, subject: Subject, name: &Name, token: Token) -> u32 {
        let stripe = self.tables[subject as usize].stripe_mut(name);
        let list = stripe.entry(name.clone()).or_default();
        list.push(token);
        let place = list.len() as u32 - 1;
        if subject == Subject::Pattern && place == 0 {
            self.patterns.insert(name.clone());
        }
        place
    }

    /// Takes the connection at `place` out. The last of the list takes its place: that one, or that nobody is left.
    pub fn leave(&mut self, subject: Subject, name: &Name, place: u32) -> Left {
        let stripe = self.tables[subject as usize].stripe_mut(name);
        let Some(list) = stripe.get_mut(name) else {
            return Left::Nobody;
        };
        let place = place as usize;
        list.swap_remove(place);
        if let Some(&moved) = list.get(place) {
            return Left::Moved(moved);
        }
        if !list.is_empty() {
            return Left::Others;
        }
        stripe.remove(name);
        if stripe.capacity() / 8 > stripe.len() {
            stripe.shrink_to_fit();
        }
        if subject == Subject::Pattern {
            self.patterns.remove(name);
        }
        Left::Nobody
    }

    /// Calls `visit` with every pattern that matches `channel`.
    pub fn matching(&self, channel: &[u8], visit: impl FnMut(&Name)) {
        self.patterns.matching(channel, visit);
    }
}

/// Who is left in a name's list.
#[derive(Debug, PartialEq, Eq)]
pub enum Left {
    /// Nobody.
    Nobody,
    /// Others, all in their places.
    Others,
    /// Others, and this one is now where the one that left was.
    Moved(Token),
}

type Stripe = HashMap<Name, Vec<Token>, ahash::RandomState>;

struct Table {
    stripes: Box<[Stripe]>,
    hasher: ahash::RandomState,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            stripes: (0..STRIPES_COUNT).map(|_| Stripe::default()).collect(),
            hasher: ahash::RandomState::new(),
        }
    }
}

impl Table {
    fn stripe(&self, name: &[u8]) -> &Stripe {
        &self.stripes[self.hasher.hash_one(name) as usize % STRIPES_COUNT]
    }

    fn stripe_mut(&mut self, name: &[u8]) -> &mut Stripe {
        &mut self.stripes[self.hasher.hash_one(name) as usize % STRIPES_COUNT]
    }
}

/// Patterns by their anchors: bytes that whatever matches must begin or end with.
#[derive(Default)]
pub struct PatternIndex {
    by_prefix: AnchorMap,
    by_suffix: AnchorMap,
}

impl PatternIndex {
    /// Adds a pattern that is not in yet.
    pub fn insert(&mut self, pattern: Name) {
        match anchor(&pattern) {
            Anchor::Prefix(prefix) => self.by_prefix.insert(prefix, &pattern),
            Anchor::Suffix(suffix) => self.by_suffix.insert(suffix, &pattern),
        }
    }

    /// Takes a pattern out.
    pub fn remove(&mut self, pattern: &[u8]) {
        match anchor(pattern) {
            Anchor::Prefix(prefix) => self.by_prefix.remove(prefix, pattern),
            Anchor::Suffix(suffix) => self.by_suffix.remove(suffix, pattern),
        }
    }

    /// Calls `visit` with every pattern that matches `channel`.
    pub fn matching(&self, channel: &[u8], mut visit: impl FnMut(&Name)) {
        let by_prefix = self
            .by_prefix
            .lengths_to(channel.len())
            .flat_map(|len| self.by_prefix.of(&channel[..len]));
        let by_suffix = self
            .by_suffix
            .lengths_to(channel.len())
            .flat_map(|len| self.by_suffix.of(&channel[channel.len() - len..]));
        for pattern in by_prefix.chain(by_suffix) {
            if glob_match(pattern, channel, false) {
                visit(pattern);
            }
        }
    }
}

/// What a pattern is known by.
pub(super) enum Anchor<'a> {
    /// Whatever matches begins with this.
    Prefix(&'a [u8]),
    /// Whatever matches ends with this.
    Suffix(&'a [u8]),
}

/// What whatever matches `pattern` must begin with; where that is nothing, what it must end with.
pub(super) fn anchor(pattern: &[u8]) -> Anchor<'_> {
    let is_special = |byte: &u8| matches!(byte, b'*' | b'?' | b'[' | b'\\');
    let prefix_len = pattern.iter().position(is_special);
    let prefix = &pattern[..prefix_len.unwrap_or(pattern.len()).min(ANCHOR_BYTES_MAX)];
    // A class or an escaped byte would make the bytes after it mean something else.
    let is_plain = !pattern.iter().any(|byte| matches!(byte, b'[' | b'\\'));
    if !prefix.is_empty() || !is_plain {
        return Anchor::Prefix(prefix);
    }
    let start = pattern.iter().rposition(is_special).map_or(0, |at| at + 1);
    Anchor::Suffix(&pattern[start.max(pattern.len().saturating_sub(ANCHOR_BYTES_MAX))..])
}

/// A set: thousands may share an anchor, and one that leaves must not be searched for.
type Patterns = HashSet<Name, ahash::RandomState>;

type Anchors = HashMap<Box<[u8]>, Patterns, ahash::RandomState>;

struct AnchorMap {
    /// By the anchor's hash, so that each grows on its own.
    stripes: Box<[Anchors]>,
    hasher: ahash::RandomState,
    /// How many anchors have each length.
    lengths: BTreeMap<usize, usize>,
}

impl Default for AnchorMap {
    fn default() -> Self {
        Self {
            stripes: (0..STRIPES_COUNT).map(|_| Anchors::default()).collect(),
            hasher: ahash::RandomState::new(),
            lengths: BTreeMap::new(),
        }
    }
}

impl AnchorMap {
    fn stripe_of(&self, anchor: &[u8]) -> usize {
        self.hasher.hash_one(anchor) as usize % STRIPES_COUNT
    }

    /// The lengths of anchors that fit into `max` bytes.
    fn lengths_to(&self, max: usize) -> impl Iterator<Item = usize> {
        self.lengths.range(..=max).map(|(&len, _)| len)
    }

    fn of(&self, anchor: &[u8]) -> impl Iterator<Item = &Name> {
        let stripe = &self.stripes[self.stripe_of(anchor)];
        stripe.get(anchor).into_iter().flatten()
    }

    fn insert(&mut self, anchor: &[u8], pattern: &Name) {
        let stripe = self.stripe_of(anchor);
        let stripe = &mut self.stripes[stripe];
        match stripe.get_mut(anchor) {
            Some(patterns) => {
                patterns.insert(pattern.clone());
            }
            None => {
                *self.lengths.entry(anchor.len()).or_default() += 1;
                let patterns = Patterns::from_iter([pattern.clone()]);
                stripe.insert(anchor.into(), patterns);
            }
        }
    }

    fn remove(&mut self, anchor: &[u8], pattern: &[u8]) {
        let stripe = self.stripe_of(anchor);
        let stripe = &mut self.stripes[stripe];
        let Some(patterns) = stripe.get_mut(anchor) else {
            return;
        };
        patterns.remove(pattern);
        if !patterns.is_empty() {
            return;
        }
        stripe.remove(anchor);
        if stripe.capacity() / 8 > stripe.len() {
            stripe.shrink_to_fit();
        }
        if let Some(count) = self.lengths.get_mut(&anchor.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&anchor.len());
            }
        }
    }
}
