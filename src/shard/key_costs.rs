//! Key costs: which keys of one shard take the most time and the most bytes, while a session is on.
//!
//!     a command has run: its time, its bytes -> shared by its keys -> added to the key's place,
//!                                                                  or to the place of the cheapest, which it takes over
//!
//! Promises  memory is bounded; a key whose cost is more than one place's share of the whole is among them; what is told
//!           of a key is never more than it cost.
//! Not here  when a session is on: `shard/hot_keys.rs`; over all cores: `node/hot_keys.rs`.
//! Source    space-saving with weights: Berinde, Indyk, Cormode and Strauss, "Space-optimal heavy hitters with strong error
//!           bounds", PODS 2009.
//! Tests     tests/shard/key_costs.rs.

use crate::base::rng::Rng;
use crate::commands::hotkeys::HotKeysOptions;

/// Places for each key that is told: the more there are, the less one is worth.
const PLACES_PER_KEY: usize = 20;
const PLACES_MIN: usize = 256;
/// Of a longer key its beginning is told.
const KEY_BYTES_MAX: usize = 4096;

/// What a session has found in one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyCostsTold {
    /// Time of all commands with keys.
    pub nanoseconds: u64,
    /// Bytes of their requests and replies.
    pub bytes: u64,
    /// Bytes of those that were looked at.
    pub sampled_bytes: u64,
    /// The keys that took the most time, in nanoseconds.
    pub by_nanoseconds: Vec<(Vec<u8>, u64)>,
    /// The keys that took the most bytes.
    pub by_bytes: Vec<(Vec<u8>, u64)>,
}

/// A session's counts.
pub struct KeyCosts {
    options: HotKeysOptions,
    time: Heaviest,
    bytes: Heaviest,
    told: KeyCostsTold,
    rng: Rng,
}

impl KeyCosts {
    /// Nothing counted yet.
    pub fn new(options: HotKeysOptions, seed: u64) -> Self {
        Self {
            options,
            time: Heaviest::default(),
            bytes: Heaviest::default(),
            told: KeyCostsTold::default(),
            rng: Rng::with_seed(seed),
        }
    }

    /// A command with keys has cost this; whether its keys are to be counted.
    pub fn note(&mut self, nanoseconds: u64, bytes: u64) -> bool {
        self.told.nanoseconds += nanoseconds;
        self.told.bytes += bytes;
        let is_sampled = self.options.sample == 1 || self.rng.below(self.options.sample) == 0;
        if is_sampled && self.options.net {
            self.told.sampled_bytes += bytes;
        }
        is_sampled
    }

    /// One of its keys, and that key's share.
    pub fn count(&mut self, key: &[u8], hash: u64, nanoseconds: u64, bytes: u64) {
        let places_max = (self.options.count * PLACES_PER_KEY).max(PLACES_MIN);
        if self.options.cpu {
            self.time.add(key, hash, nanoseconds, places_max);
        }
        if self.options.net {
            self.bytes.add(key, hash, bytes, places_max);
        }
    }

    /// What has been found.
    pub fn told(&self) -> KeyCostsTold {
        KeyCostsTold {
            by_nanoseconds: self.time.told(self.options.count),
            by_bytes: self.bytes.told(self.options.count),
            ..self.told.clone()
        }
    }
}

/// The heaviest keys. What is looked through for every command lies together.
#[derive(Default)]
struct Heaviest {
    hashes: Vec<u64>,
    weights: Vec<u64>,
    /// Of the weight, what was there before the key came.
    inherited: Vec<u64>,
    keys: Vec<Vec<u8>>,
}

impl Heaviest {
    fn add(&mut self, key: &[u8], hash: u64, weight: u64, places_max: usize) {
        let key = &key[..key.len().min(KEY_BYTES_MAX)];
        let mut places = self.hashes.iter().enumerate();
        let found = places.find(|(place, other)| **other == hash && self.keys[*place] == key);
        if let Some((place, _)) = found {
            self.weights[place] += weight;
        } else if self.hashes.len() < places_max {
            self.hashes.push(hash);
            self.weights.push(weight);
            self.inherited.push(0);
            self.keys.push(key.to_vec());
        } else if let Some((place, least)) = least_of(&self.weights) {
            self.hashes[place] = hash;
            self.inherited[place] = least;
            self.weights[place] = least + weight;
            self.keys[place].clear();
            self.keys[place].extend_from_slice(key);
        }
    }

    fn told(&self, count: usize) -> Vec<(Vec<u8>, u64)> {
        let own = |place: usize| self.weights[place] - self.inherited[place];
        let mut places: Vec<usize> = (0..self.keys.len())
            .filter(|place| own(*place) > 0)
            .collect();
        places.sort_by(|a, b| {
            let by_weight = own(*b).cmp(&own(*a));
            by_weight.then_with(|| self.keys[*a].cmp(&self.keys[*b]))
        });
        places.truncate(count);
        let row = |place: usize| (self.keys[place].clone(), own(place));
        places.into_iter().map(row).collect()
    }
}

fn least_of(weights: &[u64]) -> Option<(usize, u64)> {
    let least = weights.iter().copied().enumerate();
    least.min_by_key(|(_, weight)| *weight)
}
