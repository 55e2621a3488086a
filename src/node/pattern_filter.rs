//! Pattern filter: which cores may have a pattern that matches a channel, for all cores to ask.
//!
//!     pattern -> its anchor, what whatever matches begins (or ends) with -> one of 65,536 counts of its core
//!     channel -> for each length that anchors have: its first (last) bytes -> cores whose count there is not 0
//!
//! Promises  a core with a pattern that matches is always named; one without is named only where two anchors share a count. Who
//!           asks takes no lock, and looks once at each length that some anchor has.
//! Not here  which patterns match: `node/subscriptions.rs`, on each core its own.
//! Tests     tests/node/directory.rs.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::subscriptions::{Anchor, anchor};

/// Counts of one core: 256 KiB, once it has a pattern.
const COUNTS: usize = 1 << 16;
/// Of an anchor so much is looked at: lengths from 0 to this are the bits of a word.
const LENGTH_MAX: usize = 63;

/// Two kinds of anchors: at the beginning, at the end.
const KINDS: usize = 2;

/// What is shared about patterns.
pub struct PatternFilter {
    cores: Box<[OnceLock<Box<[AtomicU32]>>]>,
    /// Which lengths anchors of each kind have, a bit each.
    lengths: [AtomicU64; KINDS],
    /// How many anchors have each length.
    length_counts: Mutex<[[u32; LENGTH_MAX + 1]; KINDS]>,
    hasher: ahash::RandomState,
}

impl PatternFilter {
    /// No patterns.
    pub fn new(cores_count: usize) -> Self {
        Self {
            cores: (0..cores_count).map(|_| OnceLock::new()).collect(),
            lengths: Default::default(),
            length_counts: Mutex::new([[0; LENGTH_MAX + 1]; KINDS]),
            // A collision costs a message that nobody wanted, so there is nothing to hide.
            hasher: ahash::RandomState::with_seeds(1, 2, 3, 4),
        }
    }

    /// `core` has one pattern more.
    pub fn enter(&self, pattern: &[u8], core: u16) {
        let (kind, part) = part_of(pattern);
        let counts = self.cores[usize::from(core)]
            .get_or_init(|| (0..COUNTS).map(|_| AtomicU32::new(0)).collect());
        counts[self.place(kind, part)].fetch_add(1, Ordering::SeqCst);
        let mut lengths = self.lock_lengths();
        lengths[kind][part.len()] += 1;
        self.lengths[kind].fetch_or(1 << part.len(), Ordering::SeqCst);
    }

    /// `core` has one pattern less.
    pub fn leave(&self, pattern: &[u8], core: u16) {
        let (kind, part) = part_of(pattern);
        let Some(counts) = self.cores[usize::from(core)].get() else {
            return;
        };
        counts[self.place(kind, part)].fetch_sub(1, Ordering::SeqCst);
        let mut lengths = self.lock_lengths();
        let count = &mut lengths[kind][part.len()];
        *count -= 1;
        if *count == 0 {
            self.lengths[kind].fetch_and(!(1 << part.len()), Ordering::SeqCst);
        }
    }

    /// Appends the cores that may have a pattern for `channel` and are not there yet.
    pub fn cores_for(&self, channel: &[u8], cores: &mut Vec<u16>) {
        for (kind, lengths) in self.lengths.iter().enumerate() {
            let mut lengths = lengths.load(Ordering::SeqCst);
            while lengths != 0 {
                let length = lengths.trailing_zeros() as usize;
                lengths &= lengths - 1;
                if length > channel.len() {
                    break;
                }
                let part = match kind {
                    0 => &channel[..length],
                    _ => &channel[channel.len() - length..],
                };
                let place = self.place(kind, part);
                for (core, counts) in self.cores.iter().enumerate() {
                    if let Some(counts) = counts.get()
                        && counts[place].load(Ordering::SeqCst) > 0
                        && !cores.contains(&(core as u16))
                    {
                        cores.push(core as u16);
                    }
                }
            }
        }
    }

    fn place(&self, kind: usize, part: &[u8]) -> usize {
        self.hasher.hash_one((kind, part)) as usize % COUNTS
    }

    fn lock_lengths(&self) -> std::sync::MutexGuard<'_, [[u32; LENGTH_MAX + 1]; KINDS]> {
        self.length_counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kind of a pattern's anchor, and what is looked at of it.
fn part_of(pattern: &[u8]) -> (usize, &[u8]) {
    match anchor(pattern) {
        Anchor::Prefix(prefix) => (0, &prefix[..prefix.len().min(LENGTH_MAX)]),
        Anchor::Suffix(suffix) => (1, &suffix[suffix.len().saturating_sub(LENGTH_MAX)..]),
    }
}
