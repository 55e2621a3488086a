//! Command logs: the latest calls that were slow, or had a large request or reply, of all cores in one order.
//!
//! A call is rare here, so all cores share one log of each kind behind a mutex: numbers are unique, and whoever has seen the
//! reply to a slow request finds its entry.
//!
//! Not here  what is slow or large: `node/watching.rs`. Which words are kept: `commands/redact.rs`.
//! Tests     tests/server/watching.rs.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::resp::Reply;
use crate::resp::args::OwnedArgs;

/// One call.
pub struct LoggedCall {
    /// When it ended, seconds since the epoch.
    pub at_s: i64,
    /// How long it took, in microseconds; or how many bytes its request or its reply had.
    pub amount: u64,
    /// Its words, cut and without secrets.
    pub words: OwnedArgs,
    /// The client's address.
    pub address: String,
    /// The client's name, empty for none.
    pub name: Vec<u8>,
}

#[derive(Default)]
struct Entries {
    next_id: u64,
    /// Newest first.
    list: VecDeque<(u64, LoggedCall)>,
}

/// The log.
#[derive(Default)]
pub struct CommandLog {
    entries: Mutex<Entries>,
}

impl CommandLog {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry; the oldest go where there are more than `len_max`. With 0 there is no log, and nothing is counted.
    pub fn push(&self, entry: LoggedCall, len_max: usize) {
        if len_max == 0 {
            return;
        }
        let mut entries = self.lock();
        let id = entries.next_id;
        entries.next_id += 1;
        entries.list.push_front((id, entry));
        entries.list.truncate(len_max);
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.lock().list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all entries; numbers go on.
    pub fn reset(&self) {
        self.lock().list.clear();
    }

    /// Writes the newest entries, at most `count`, as SLOWLOG GET shows them.
    pub fn write(&self, count: usize, reply: &mut Reply<'_>) {
        let entries = self.lock();
        reply.array(count.min(entries.list.len()));
        for (id, entry) in entries.list.iter().take(count) {
            reply.array(6);
            reply.unsigned(*id);
            reply.integer(entry.at_s);
            reply.unsigned(entry.amount);
            reply.array(entry.words.len());
            entry
                .words
                .as_args()
                .iter_from(0)
                .for_each(|word| reply.bulk(word));
            reply.bulk(entry.address.as_bytes());
            reply.bulk(&entry.name);
        }
    }

    /// Calls `visit` with the newest entries and their numbers.
    pub fn visit(&self, count: usize, mut visit: impl FnMut(u64, &LoggedCall)) {
        let entries = self.lock();
        let newest = entries.list.iter().take(count);
        newest.for_each(|(id, entry)| visit(*id, entry));
    }
}
