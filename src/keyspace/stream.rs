//! Streams as values of keys.
//!
//! Promises  a key may hold an empty stream: its last id and its groups outlive its entries.
//! Not here  what a stream is: `ds/stream/`.

use std::ops::{Deref, DerefMut};

use super::value::collection_of;
use super::{Collection, EncodingLimits};
use crate::ds::key_table::HeapSize;
use crate::ds::mover::{Mover, Progress};
use crate::ds::stream::{Group, NodeLimits, Producers, Stream};
use crate::ds::unaligned_box::UnalignedBox;

/// A stream; in a box, so that other types' objects are not made larger by it.
#[derive(Clone, Default)]
pub struct StreamValue(UnalignedBox<Stream>);

impl StreamValue {
    /// What is left of a removed group or consumer, for [`Keyspace::discard`](super::Keyspace::discard) to free bit by bit.
    pub fn of_rest(group: Group) -> Self {
        Self(UnalignedBox::new(Stream::of_rest(group)))
    }

    /// What is left of forgotten producers, likewise.
    pub fn of_producers(producers: Producers) -> Self {
        Self(UnalignedBox::new(Stream::of_producers(producers)))
    }
}

impl Deref for StreamValue {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        &self.0
    }
}

impl DerefMut for StreamValue {
    fn deref_mut(&mut self) -> &mut Stream {
        &mut self.0
    }
}

impl HeapSize for StreamValue {
    fn extent(&self) -> (usize, usize) {
        (super::value::STREAMS, 0)
    }

    fn heap_bytes(&self) -> usize {
        size_of::<Stream>() + self.0.heap_bytes()
    }

    fn move_step(&mut self, from: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
        if from.is_start() {
            mover.unaligned_box(&mut self.0);
        }
        self.0.move_step(from, mover)
    }

    /// When a producer's request is too old to be remembered.
    fn wake_at_ms(&self) -> Option<i64> {
        let wake_at_ms = self.0.producers()?.wake_at_ms()?;
        i64::try_from(wake_at_ms).ok()
    }

    fn free_effort(&self) -> usize {
        self.0.free_effort()
    }

    fn free_step(&mut self, budget: usize) -> bool {
        self.0.free_step(budget)
    }
}

impl Collection for StreamValue {
    const TYPE_NAME: &'static str = "stream";

    fn encoding_name(&self) -> &'static str {
        "stream"
    }

    fn is_empty(&self) -> bool {
        false
    }

    collection_of!(Stream);
}

impl EncodingLimits {
    /// When a stream's node is full.
    pub fn stream_node(&self) -> NodeLimits {
        NodeLimits {
            bytes_max: self.stream_node_max_bytes as u64,
            entries_max: self.stream_node_max_entries as u64,
        }
    }

    /// What a stream remembers of producers until it is told otherwise: for so many seconds, and so many requests of each.
    pub fn of_producers(&self) -> (u64, usize) {
        (self.stream_idmp_duration, self.stream_idmp_maxsize)
    }
}
