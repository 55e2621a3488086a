//! Elements whose number is known when the last has been found: kept in chunks until then.
//!
//! Tests     tests/shard/long_reads.rs.

use std::collections::VecDeque;

use crate::ds::key_table::{ReadLimit, Rest};
use crate::resp::{Protocol, Reply};

/// A chunk is full with so many bytes.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;
/// What an element may have more without the chunk being moved.
const CHUNK_SPARE_BYTES: usize = 1024;

/// How the reply begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    Array,
    Set,
}

/// A reply in the making, without its head.
pub(super) struct Collected {
    head: Head,
    chunks: Chunks,
    count: usize,
    has_begun: bool,
}

impl Collected {
    pub(super) fn new(head: Head, protocol: Protocol) -> Self {
        Self {
            head,
            chunks: Chunks::new(protocol),
            count: 0,
            has_begun: false,
        }
    }

    /// Where one more element goes.
    #[inline]
    pub(super) fn next(&mut self) -> Reply<'_> {
        self.count += 1;
        self.chunks.next()
    }
}

impl Rest for Collected {
    fn read(&mut self, limit: ReadLimit, out: &mut Vec<u8>) -> bool {
        if !self.has_begun {
            self.has_begun = true;
            let mut reply = Reply::new(out, self.chunks.protocol);
            match self.head {
                Head::Array => reply.array(self.count),
                Head::Set => reply.set(self.count),
            }
        }
        self.chunks.read(limit, out)
    }
}

/// Bytes of a reply, kept until all of them are known.
pub(super) struct Chunks {
    protocol: Protocol,
    /// All but the last are full.
    chunks: VecDeque<Vec<u8>>,
}

impl Chunks {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            chunks: VecDeque::new(),
        }
    }

    /// Where what comes next goes.
    #[inline]
    pub(super) fn next(&mut self) -> Reply<'_> {
        let is_full = (self.chunks.back()).is_none_or(|chunk| chunk.len() >= CHUNK_BYTES);
        if is_full {
            let chunk = Vec::with_capacity(CHUNK_BYTES + CHUNK_SPARE_BYTES);
            self.chunks.push_back(chunk);
        }
        let at = self.chunks.len() - 1; // One was pushed where there was none.
        Reply::new(&mut self.chunks[at], self.protocol)
    }

    /// Adds a chunk of its own.
    pub(super) fn push(&mut self, chunk: Vec<u8>) {
        self.chunks.push_back(chunk);
    }
}

impl Rest for Chunks {
    fn read(&mut self, limit: ReadLimit, out: &mut Vec<u8>) -> bool {
        let end = out.len().saturating_add(limit.bytes);
        while let Some(chunk) = self.chunks.pop_front() {
            match out.is_empty() {
                true => *out = chunk,
                false => out.extend_from_slice(&chunk),
            }
            if out.len() + CHUNK_BYTES > end {
                break;
            }
        }
        self.chunks.is_empty()
    }
}

/// A reply that is a number.
pub(super) struct Number(pub(super) usize);

impl Rest for Number {
    fn read(&mut self, _: ReadLimit, out: &mut Vec<u8>) -> bool {
        // An integer looks alike in both protocols.
        Reply::new(out, Protocol::Resp2).integer(self.0 as i64);
        true
    }
}
