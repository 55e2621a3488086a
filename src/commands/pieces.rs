//! Replies in pieces: readers of large sets, hashes, sorted sets and lists.
//!
//!     handler -> the head of the reply, and a reader -> [`Call::reply_in_pieces`] -> whoever runs it reads on, turn by turn
//!
//! Promises  the pieces together are the elements that the head has announced, in the order of the whole reply where that
//!           has one; a reply of few elements pays one comparison.
//! Not here  how a value stays as it was: `ds/key_table/readings.rs`. When the pieces are made: `shard/long_reads.rs`.
//! Tests     tests/shard/long_reads.rs: every reader against the whole reply, beside changes.

use std::ops::{ControlFlow, Range};

use super::hash_walk::Part;
use super::table::{Call, Effect};
use super::zset_reply::{reply_member, reply_scored};
use crate::ds::key_table::{EntryRef, ReadLimit, Reader, Value};
use crate::keyspace::list::{End, List};
use crate::keyspace::zset::Direction;
use crate::keyspace::{Collection, Hash, Key, Object, Set, Zset};
use crate::resp::{Protocol, Reply};

/// Elements between two looks at how many bytes they made.
const STEP: usize = 64;

impl Call<'_> {
    /// Replies of more elements come in pieces.
    #[inline]
    pub(super) fn whole_max(&self) -> usize {
        match self.is_alone {
            true => self.keys.whole_elements_max(),
            false => usize::MAX,
        }
    }

    /// Instead of a reply: what was written of it since `start` is its head, and `reader` makes the rest.
    #[cold]
    pub(super) fn reply_in_pieces(
        &mut self,
        key: &Key<'_>,
        reply: &mut Reply<'_>,
        start: usize,
        reader: Box<dyn Reader<Object>>,
    ) -> Effect {
        let head = reply.take_since(start);
        self.keys.begin_reading(self.db, key, head, reader);
        Effect::NONE
    }
}

/// All members of a set.
pub(super) struct Members {
    pub(super) protocol: Protocol,
    pub(super) cursor: u64,
}

impl Reader<Object> for Members {
    fn read(&mut self, entry: EntryRef<'_, Object>, limit: ReadLimit, out: &mut Vec<u8>) -> bool {
        let Some(set) = collection::<Set>(&entry) else {
            return true;
        };
        in_steps(limit, out, |out| {
            let mut reply = Reply::new(out, self.protocol);
            let mut count = 0;
            self.cursor = set.scan(self.cursor, STEP, |member| {
                reply_member(member, &mut reply);
                count += 1;
            });
            (count, self.cursor == 0)
        })
    }
}

/// All fields of a hash that were alive when the reply began.
pub(super) struct Fields {
    pub(super) protocol: Protocol,
    pub(super) part: Part,
    pub(super) now_ms: i64,
    pub(super) cursor: u64,
}

impl Reader<Object> for Fields {
    fn read(&mut self, entry: EntryRef<'_, Object>, limit: ReadLimit, out: &mut Vec<u8>) -> bool {
        let Some(hash) = collection::<Hash>(&entry) else {
            return true;
        };
        in_steps(limit, out, |out| {
            let mut reply = Reply::new(out, self.protocol);
            let mut count = 0;
            let part = self.part;
            self.cursor = hash.scan(self.cursor, STEP, self.now_ms, |field, value| {
                part.reply(field, value, &mut reply);
                count += 1;
            });
            (count, self.cursor == 0)
        })
    }
}

/// Members of a sorted set, by rank.
pub(super) struct Ranks {
    pub(super) protocol: Protocol,
    pub(super) ranks: Range<usize>,
    pub(super) direction: Direction,
    pub(super) with_scores: bool,
}

impl Reader<Object> for Ranks {
    fn read(&mut self, entry: EntryRef<'_, Object>, limit: ReadLimit, out: &mut Vec<u8>) -> bool {
        let Some(set) = collection::<Zset>(&entry) else {
            return true;
        };
        let end = out.len().saturating_add(limit.bytes);
        let count = self.ranks.len().min(limit.elements);
        let part = match self.direction {
            Direction::Up => self.ranks.start..self.ranks.start + count,
            Direction::Down => self.ranks.end - count..self.ranks.end,
        };
        let mut walked_count = 0;
        for (member, score) in set.walk(part, self.direction) {
            let mut reply = Reply::new(out, self.protocol);
            match self.with_scores {
                true => reply_scored(member, score, &mut reply),
                false => reply_member(member, &mut reply),
            }
            walked_count += 1;
            if out.len() >= end {
                break;
            }
        }
        match self.direction {
            Direction::Up => self.ranks.start += walked_count,
            Direction::Down => self.ranks.end -= walked_count,
        }
        self.ranks.is_empty()
    }
}

/// Elements of a list, first to last.
pub(super) struct Elements {
    pub(super) protocol: Protocol,
    pub(super) next: usize,
    pub(super) left_count: usize,
}

impl Reader<Object> for Elements {
    fn read(&mut self, entry: EntryRef<'_, Object>, limit: ReadLimit, out: &mut Vec<u8>) -> bool {
        let Some(list) = collection::<List>(&entry) else {
            return true;
        };
        let end = out.len().saturating_add(limit.bytes);
        let mut count_max = self.left_count.min(limit.elements);
        if count_max > 0 {
            list.visit(self.next, End::Front, |element| {
                reply_member(element, &mut Reply::new(out, self.protocol));
                self.next += 1;
                self.left_count -= 1;
                count_max -= 1;
                match count_max == 0 || out.len() >= end {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
        }
        self.left_count == 0
    }
}

fn collection<'e, C: Collection>(entry: &EntryRef<'e, Object>) -> Option<&'e C> {
    match entry.value() {
        Value::Object(object) => C::of(object),
        _ => None,
    }
}

/// Takes steps up to the limit; each says how many elements it has had, and whether they were the last.
fn in_steps(
    limit: ReadLimit,
    out: &mut Vec<u8>,
    mut step: impl FnMut(&mut Vec<u8>) -> (usize, bool),
) -> bool {
    let end = out.len().saturating_add(limit.bytes);
    let mut left_count = limit.elements;
    loop {
        let (count, is_last) = step(out);
        left_count = left_count.saturating_sub(count.max(1));
        if is_last || left_count == 0 || out.len() >= end {
            return is_last;
        }
    }
}
