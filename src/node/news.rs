//! News: messages that came while replies were outstanding, until it is known which of those they go before.
//!
//!     request -> its core                      a message arrives at `at`
//!     reply   <- ran there at `ran_at`         before the reply if `at` < `ran_at`, else behind it
//!
//! Behind all of them, a client could see what a publisher did after its message before the message; before them, a
//! reply from before what the message tells of.
//!
//! Promises  a message stands behind every reply whose request had run when it came, and before every reply whose
//!           request runs later; messages stay in order.
//! Not here  what is told in these messages; when a request ran: see `Core::ran_at`.
//! Tests     tests/node/connection.rs: the order of replies and messages; tests/server/pubsub.rs.

use std::collections::{BTreeMap, VecDeque};

/// One message.
struct Item {
    /// When it came (`Core::clock`).
    at: u64,
    /// The first request that it may stand before, if that runs later.
    before: u64,
    /// Its bytes in `News::bytes`.
    length: usize,
}

/// Messages in order.
#[derive(Default)]
pub struct News {
    items: VecDeque<Item>,
    bytes: Vec<u8>,
    /// Bytes at the begin of `bytes` that have been taken.
    taken: usize,
    /// Requests whose replies came before their turn, and when they ran.
    ran: BTreeMap<u64, u64>,
}

impl News {
    /// Adds a message that came at `at`, behind all requests before number `before`; `write` appends it.
    pub fn push(&mut self, at: u64, before: u64, write: impl FnOnce(&mut Vec<u8>)) {
        if self.taken > self.bytes.len() / 2 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        let start = self.bytes.len();
        write(&mut self.bytes);
        let length = self.bytes.len() - start;
        self.items.push_back(Item { at, before, length });
    }

    /// Moves what stands before the reply to request `sequence`, which ran at `ran_at`, to `out`.
    pub fn take_before(&mut self, sequence: u64, ran_at: u64, out: &mut Vec<u8>) {
        let is_before = |item: &Item| item.at < ran_at && item.before <= sequence;
        let count = self.items.iter().take_while(|item| is_before(item)).count();
        let length: usize = self.items.drain(..count).map(|item| item.length).sum();
        out.extend_from_slice(&self.bytes[self.taken..self.taken + length]);
        self.taken += length;
    }

    /// Notes that request `sequence` ran at `ran_at`; its reply waits for its turn.
    pub fn note(&mut self, sequence: u64, ran_at: u64) {
        self.ran.insert(sequence, ran_at);
    }

    /// When request `sequence` ran, whose turn it is, if that was noted.
    pub fn take_noted(&mut self, sequence: u64) -> Option<u64> {
        self.ran.remove(&sequence)
    }

    /// All of it.
    pub fn all(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes of all messages.
    pub fn bytes(&self) -> usize {
        self.all().len()
    }

    /// Bytes that it takes.
    pub fn allocated_bytes(&self) -> usize {
        self.bytes.capacity() + self.items.capacity() * std::mem::size_of::<Item>()
    }
}
