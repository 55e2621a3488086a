//! Urn: the living fields of a hash, of which some are drawn, each from all of them.
//!
//!     listpack    few draws seek their fields; for more, all are listed in one walk
//!     table       a draw tries until it meets one that lives; where that takes too long, those that live are listed
//!
//! Promises  each field is as likely as any other, whatever was drawn before.
//! Not here  argv and replies: `commands/hash_walk.rs`.
//! Tests     tests/keyspace/hash.rs, tests/commands/draws.rs.

use super::{Element, Fields, Hash, is_expired};
use crate::base::rng::Rng;
use crate::ds::listpack::SEEKS_MAX;

/// Fields of a table that one draw tries.
const TRIES_MAX: usize = 64;

/// What fields are drawn from.
pub struct Urn<'h> {
    hash: &'h Hash,
    now_ms: i64,
    /// All that live, with their values, once that is worth a walk.
    listed: Vec<(Element<'h>, Element<'h>)>,
}

impl<'h> Urn<'h> {
    /// See [`Hash::urn`].
    pub(super) fn new(hash: &'h Hash, now_ms: i64, draws_count: u64) -> Self {
        let mut urn = Self {
            hash,
            now_ms,
            listed: Vec::new(),
        };
        if draws_count > SEEKS_MAX && matches!(hash.fields, Fields::Packed(_)) {
            urn.list();
        }
        urn
    }

    /// A living field and its value, each as likely as any other; none if all are dead.
    pub fn draw(&mut self, rng: &mut Rng) -> Option<(Element<'h>, Element<'h>)> {
        if self.listed.is_empty() {
            let found = self.found(rng);
            if found.is_some() {
                return found;
            }
            self.list();
        }
        let index = rng.below(self.listed.len() as u64) as usize;
        self.listed.get(index).copied()
    }

    /// One that is found without a list.
    fn found(&self, rng: &mut Rng) -> Option<(Element<'h>, Element<'h>)> {
        let hash = self.hash;
        match &hash.fields {
            Fields::Packed(packed) => {
                let dead_count = packed.dead_count(self.now_ms);
                let alive_count = packed.len() - dead_count;
                if alive_count == 0 {
                    return None;
                }
                packed.at(dead_count + rng.below(alive_count as u64) as usize)
            }
            Fields::Table(table) => {
                for _ in 0..TRIES_MAX {
                    let (field, value, deadline_ms) = table.random(rng)?;
                    if !is_expired(deadline_ms, self.now_ms) {
                        return Some((Element::Str(field), Element::Str(value)));
                    }
                }
                None
            }
        }
    }

    fn list(&mut self) {
        let hash = self.hash;
        self.listed.reserve(hash.alive_len(self.now_ms));
        hash.each(self.now_ms, |field, value| self.listed.push((field, value)));
    }
}
