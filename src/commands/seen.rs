//! Seen: what a union of very many collections has come across, and what each has come to.
//!
//! A table in parts: none grows so large that its growth, or its end, would be felt.
//!
//! Tests     tests/shard/long_reads.rs.

use std::collections::HashMap;

/// A union of no more needs no table: each member is looked up in all others.
pub(super) const UNITED_MAX: usize = 8;

const PARTS_COUNT: usize = 512;

/// See the module.
pub(super) struct Seen<V> {
    parts: Vec<HashMap<Box<[u8]>, V, ahash::RandomState>>,
    hasher: ahash::RandomState,
}

impl<V> Seen<V> {
    pub(super) fn new() -> Self {
        let hasher = ahash::RandomState::new();
        // Another hash chooses the part: in one, all would be alike to the other.
        let part = ahash::RandomState::new();
        let part = || HashMap::with_hasher(part.clone());
        Self {
            parts: std::iter::repeat_with(part).take(PARTS_COUNT).collect(),
            hasher,
        }
    }

    /// Puts a text in with its value, or has `change` add to the value of one that is there; whether it is new.
    pub(super) fn add(&mut self, text: &[u8], value: V, change: impl FnOnce(&mut V)) -> bool {
        let part = self.hasher.hash_one(text) as usize % PARTS_COUNT;
        let part = &mut self.parts[part];
        if let Some(there) = part.get_mut(text) {
            change(there);
            return false;
        }
        part.insert(text.into(), value);
        true
    }

    /// Hands a part of them to `take` and forgets them; false where none is left.
    pub(super) fn take_part(&mut self, mut take: impl FnMut(&[u8], V)) -> bool {
        let Some(part) = self.parts.pop() else {
            return false;
        };
        part.into_iter()
            .for_each(|(text, value)| take(&text, value));
        true
    }
}
