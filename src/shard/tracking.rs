//! What clients that track have read on this shard, and whose command changes what they have read.
//!
//! Not here  the table: `keyspace/tracking.rs`; whether a client's reads count: `node/tracking.rs`.
//! Tests     tests/server/tracking.rs.

use super::Shard;
use crate::commands::Entry;
use crate::commands::keys::for_each_key;
use crate::commands::table::{Caller, Flags};
use crate::resp::Args;

impl Shard {
    /// Notes what a command of a client that tracks has read, whatever it replied.
    #[inline]
    pub(super) fn note_if_read(&mut self, entry: &'static Entry, args: &Args<'_>, caller: Caller) {
        if caller.tracks && entry.command.flags.has(Flags::READONLY) {
            self.note_read(entry, args, caller);
        }
    }

    /// Notes the keys of this shard that a command has read.
    #[cold]
    fn note_read(&mut self, entry: &'static Entry, args: &Args<'_>, caller: Caller) {
        let Some(tracker) = caller.tracker else {
            return;
        };
        for_each_key(entry, args, |index| {
            let key = args.get(index);
            if self.keys.owns(key) {
                self.keys.track(key, tracker);
            }
        });
    }

    /// Notes keys that are read for a command on another shard.
    pub(super) fn note_lent(&mut self, keys: &Args<'_>, caller: Caller) {
        if caller.tracks
            && let Some(tracker) = caller.tracker
        {
            keys.iter_from(0)
                .for_each(|key| self.keys.track(key, tracker));
        }
    }

    /// Notes who is about to change keys: a client may not want to hear of its own changes.
    #[inline]
    pub(super) fn note_writer(&mut self, caller: Caller) {
        if self.keys.is_tracked() {
            self.keys.set_writer(caller.tracker, caller.in_script);
        }
    }
}
