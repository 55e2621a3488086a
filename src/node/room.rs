//! Room for what is about to come: batches of other cores, and large values that clients send, wait for it under `maxmemory`.
//!
//!     a batch, or bytes of a large value -> does it fit? -> yes, or what may go here makes room: on with it
//!                                        -> no: put off to the next turn; a shard that has keys was asked to give some up
//!
//! Promises  what waits keeps its order; everything else goes on meanwhile; nothing waits for longer than [`PATIENCE_NS`] at a
//!           time: whoever was asked may be busy for long.
//! Not here  what fits: `shard/memory.rs`.
//! Tests     tests/shard/memory.rs, tests/server/memory.rs.

use super::core::Core;
use super::mesh::Batch;
use super::message::Message;
use super::ring::Token;

/// Another core's turn takes far less, unless it runs something long.
const PATIENCE_NS: u64 = 20_000_000;
/// Batches of fewer bytes have no messages worth a look: the overdraft has room for them.
const SMALL_BATCH_BYTES: usize = 16 * 1024;

/// What waits for memory.
#[derive(Default)]
pub(super) struct Room {
    /// By the core that sent it; among them what a turn had no time for.
    batches: Vec<Option<Box<Batch>>>,
    /// Something waited in this turn.
    has_waited: bool,
    /// When something began to, on the core's clock.
    since: Option<u64>,
}

impl Room {
    /// Takes back what core `from` has sent and what was put off.
    #[inline]
    pub(super) fn take_batch(&mut self, from: usize) -> Option<Box<Batch>> {
        self.batches.get_mut(from)?.take()
    }

    /// The next batch of core `from` is to be this one.
    pub(super) fn put_off(&mut self, from: usize, batch: Box<Batch>) {
        if self.batches.len() <= from {
            self.batches.resize_with(from + 1, || None);
        }
        self.batches[from] = Some(batch);
    }
}

/// Bytes that a batch brings.
fn incoming_bytes(batch: &Batch) -> usize {
    let messages = batch.messages.iter().map(|message| match message {
        Message::Large { bytes, .. } => bytes.len(),
        Message::Adopt(connection) => connection.memory_bytes(),
        _ => 0,
    });
    batch.bytes.len() + messages.sum::<usize>()
}

impl Core {
    /// What another core has sent next, unless that waits for room.
    #[inline]
    pub(super) fn next_batch(&mut self, from: usize) -> Option<Box<Batch>> {
        let batch = match self.room.take_batch(from) {
            Some(batch) => batch,
            None => self.mesh.receive(from)?,
        };
        let is_small = batch.bytes.len() < SMALL_BATCH_BYTES && batch.messages.is_empty();
        match is_small || batch.answered || !self.clients_memory.is_counted() {
            true => Some(batch),
            false => self.with_room(from, batch),
        }
    }

    fn with_room(&mut self, from: usize, batch: Box<Batch>) -> Option<Box<Batch>> {
        let incoming = incoming_bytes(&batch);
        if incoming >= SMALL_BATCH_BYTES {
            if self.must_wait_for_room(incoming) {
                self.room.put_off(from, batch);
                return None;
            }
            self.shard.expect(incoming);
        }
        Some(batch)
    }

    /// Whether bytes that a connection has received are left where they are for this turn.
    #[inline]
    pub(super) fn must_wait_to_feed(&mut self, token: Token) -> bool {
        self.clients_memory.is_counted()
            && (self.connections.get(token)).is_some_and(|connection| connection.large.is_some())
            && self.must_wait_for_room(0)
    }

    fn must_wait_for_room(&mut self, incoming: usize) -> bool {
        if self.stopping || !self.shard.must_wait_for_room(incoming) {
            return false;
        }
        self.room.has_waited = true;
        let since = *self.room.since.get_or_insert(self.turn_stamp);
        self.clock.delta_as_nanos(since, self.turn_stamp) < PATIENCE_NS
    }

    /// Whether there are batches for the next turn.
    #[inline]
    pub(super) fn has_batches(&self) -> bool {
        self.room.batches.iter().any(Option::is_some)
    }

    /// At the end of a turn: whether something waits, so that another turn is to follow.
    #[inline]
    pub(super) fn waits_for_room(&mut self) -> bool {
        if !std::mem::take(&mut self.room.has_waited) {
            self.room.since = None;
            return false;
        }
        // Where cores share a processor, the one that is to give something may need it.
        std::thread::yield_now();
        true
    }
}
