//! Loading ahead: what the next connections' requests will look at is on its way from memory while others run.
//!
//!     events of a turn, a group of them -> their connections' lines -> their keys' buckets -> their entries -> one by one, as ever
//!
//! Of a pipeline only the first request is looked at: `node/intake.rs` looks at the others.
//!
//! Promises  nothing is changed, and nothing waits: a wrong guess is a useless load.
//! Not here  what runs: `node/intake.rs`.

use super::core::Core;
use super::ring::Token;
use crate::resp::second_word;

/// So many events are looked at together: what is loaded for them fills a third of the smallest first caches.
pub(super) const GROUP_COUNT: usize = 16;

impl Core {
    /// Starts loading for what has come for these connections.
    ///
    /// - Cost: some 20 ns each.
    #[inline]
    pub(super) fn load_ahead<'b>(
        &mut self,
        received: impl Iterator<Item = (Token, &'b [u8])> + Clone,
    ) {
        for (token, _) in received.clone() {
            self.connections.prefetch(token);
        }
        let mut hashes = std::mem::take(&mut self.hashes);
        for (token, bytes) in received {
            if let Some(connection) = self.connections.get(token)
                && let Some(word) = second_word(bytes)
                && (self.map.shards_count() == 1 || self.map.shard_of(word) == self.id)
            {
                hashes.push((connection.session.db, self.shard.keys.key(word).hash));
            }
        }
        self.load_entries(&mut hashes);
        self.hashes = hashes;
    }

    /// Starts loading the entries that these hashes belong to, and forgets them.
    pub(super) fn load_entries(&self, hashes: &mut Vec<(u16, u64)>) {
        // Loads that begin close to each other share the time that each of them takes.
        for &(db, hash) in hashes.iter() {
            self.shard.keys.prefetch(usize::from(db), hash);
        }
        for (db, hash) in hashes.drain(..) {
            self.shard.keys.prefetch_entry(usize::from(db), hash);
        }
    }
}
