//! XREAD of several streams with many entries, bit by bit: one stream after the other, kept until the last has been read.
//!
//! Not here  one stream, of which each piece is told as it is read: `pieces.rs`.
//! Tests     tests/shard/long_reads.rs.

use super::collected::{CHUNK_BYTES, Chunks};
use super::pieces::{Entries, Piece, Walk};
use crate::ds::key_table::{EntryRef, ManyReader, ReadLimit, Rest, Value};
use crate::keyspace::{Collection, Object, StreamValue};
use crate::resp::Protocol;

/// What is read of one stream.
pub(super) struct StreamPart {
    pub(super) key: Vec<u8>,
    pub(super) entries: Entries,
}

/// See the module.
pub(super) struct StreamsWalk {
    parts: Vec<StreamPart>,
    /// The stream that is being read, and whether its head has been written.
    at: usize,
    has_begun: bool,
    protocol: Protocol,
    read: Chunks,
}

impl StreamsWalk {
    /// - `parts`: each has an entry; the streams will be read in this order.
    pub(super) fn new(parts: Vec<StreamPart>, protocol: Protocol) -> Self {
        let mut read = Chunks::new(protocol);
        let mut reply = read.next();
        match protocol {
            Protocol::Resp2 => reply.array(parts.len()),
            Protocol::Resp3 => reply.map(parts.len()),
        }
        Self {
            parts,
            at: 0,
            has_begun: false,
            protocol,
            read,
        }
    }
}

impl ManyReader<Object> for StreamsWalk {
    fn read(
        &mut self,
        entries: &[EntryRef<'_, Object>],
        limit: ReadLimit,
    ) -> Option<Box<dyn Rest>> {
        let mut left_count = limit.elements;
        while left_count > 0 && self.at < self.parts.len() {
            let part = &mut self.parts[self.at];
            if !self.has_begun {
                self.has_begun = true;
                let mut reply = self.read.next();
                if self.protocol == Protocol::Resp2 {
                    reply.array(2);
                }
                reply.bulk(&part.key);
                reply.array(part.entries.left_count());
            }
            let stream = entries.get(self.at).and_then(stream_of);
            let limit = ReadLimit {
                elements: left_count,
                bytes: CHUNK_BYTES,
            };
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            let mut piece = Piece::new(self.protocol, limit, &mut chunk);
            let is_all = stream.is_none_or(|stream| part.entries.go_on(stream, &mut piece));
            left_count = piece.room_count();
            self.read.push(chunk);
            if is_all {
                self.at += 1;
                self.has_begun = false;
            }
        }
        (self.at == self.parts.len()).then(|| {
            let nothing = Chunks::new(self.protocol);
            Box::new(std::mem::replace(&mut self.read, nothing)) as Box<dyn Rest>
        })
    }
}

/// The stream at a key that is one.
pub(super) fn stream_of<'e>(entry: &'e EntryRef<'_, Object>) -> Option<&'e StreamValue> {
    match entry.value() {
        Value::Object(object) => StreamValue::of(object),
        _ => None,
    }
}
