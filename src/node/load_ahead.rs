//! Loading ahead: what the next requests, of connections or of other cores, will look at is on its way from memory while others run.
//!
//!     events of a turn, a group of them -> their connections' lines -> their keys' buckets -> their entries -> one by one, as ever
//!     a core's batch, a part of it      ->                             their keys' buckets -> their entries -> one by one
//!
//! Of a pipeline only the first request is looked at: `node/intake.rs` looks at the others.
//!
//! Promises  nothing is changed, and nothing waits: a wrong guess is a useless load.
//! Not here  what runs: `node/intake.rs`, `node/peers.rs`.

use super::core::Core;
use super::mesh::Item;
use super::ring::Token;
use crate::commands::Entry;
use crate::resp::{Span, second_word};

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

    /// Starts loading for requests of another core.
    ///
    /// - `spans`, `bytes`, `commands`: of the first of them on, and perhaps of more.
    /// - Cost: some 20 ns each.
    pub(super) fn load_ahead_of_items(
        &mut self,
        items: &[Item],
        mut spans: &[Span],
        mut bytes: &[u8],
        mut commands: &[(&'static Entry, u32)],
    ) {
        let mut hashes = std::mem::take(&mut self.hashes);
        for item in items {
            // As in `look_ahead`: word 1 is the key of most commands, word 3 that of a script.
            let key_at = match item.entry.command.run.is_script() {
                true => 3,
                false => 1,
            };
            if item.commands_count > 0 {
                let (block, after) = commands.split_at(usize::from(item.commands_count));
                commands = after;
                let bytes = &bytes[..item.bytes_count as usize];
                self.look_ahead_of_block(item.db, block, bytes, spans, &mut hashes);
            } else if item.spans_count > key_at {
                let span = spans[key_at as usize];
                let key = &bytes[span.start as usize..(span.start + span.len) as usize];
                hashes.push((item.db, self.shard.keys.key(key).hash));
            }
            bytes = &bytes[item.bytes_count as usize..];
            spans = &spans[item.spans_count as usize..];
        }
        self.load_entries(&mut hashes);
        self.hashes = hashes;
    }

    /// Starts loading the entries that these hashes belong to, and forgets them.
    fn load_entries(&self, hashes: &mut Vec<(u16, u64)>) {
        // Loads that begin close to each other share the time that each of them takes.
        for &(db, hash) in hashes.iter() {
            self.shard.keys.prefetch(usize::from(db), hash);
        }
        for (db, hash) in hashes.drain(..) {
            self.shard.keys.prefetch_entry(usize::from(db), hash);
        }
    }
}
