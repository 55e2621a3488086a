//! Replies in pieces: walks through large sets, hashes, sorted sets, lists and streams.
//!
//!     handler -> the head of the reply, and a walk -> [`Call::reply_in_pieces`] -> whoever runs it goes on, turn by turn
//!
//! Promises  the pieces together are the elements that the head has announced, in the order of the whole reply where that
//!           has one; a reply of few elements pays one comparison.
//! Not here  how a value stays as it was: `ds/key_table/readings.rs`. When the pieces are made: `shard/long_reads.rs`. Draws:
//!           `draws.rs`; choices of different ones: `choices.rs`.
//! Tests     tests/shard/long_reads.rs: every walk against the whole reply, beside changes; long_draws.rs.

use std::ops::{ControlFlow, Range};

use super::hash_walk::Part;
use super::stream_words::reply_entry;
use super::table::{Call, Effect};
use super::zset_reply::{reply_member, reply_scored};
use crate::ds::key_table::{EntryRef, Made, ReadLimit, Reader, Rest, Value};
use crate::ds::stream::{Entry, Log, StreamId};
use crate::keyspace::list::{End, List};
use crate::keyspace::reading::Begun;
use crate::keyspace::zset::Direction;
use crate::keyspace::{Collection, Hash, Key, Object, Set, StreamValue, Zset};
use crate::resp::{Protocol, Reply};

/// Elements that a walk by cursor takes at a time.
pub(super) const STEP: usize = 64;

impl Call<'_> {
    /// Replies of more elements come in pieces.
    #[inline]
    pub(super) fn whole_max(&self) -> usize {
        match self.is_alone {
            true => self.keys.whole_elements_max(),
            false => usize::MAX,
        }
    }

    /// What is stored of more elements is made bit by bit.
    #[inline]
    pub(super) fn stored_max(&self) -> usize {
        match self.is_alone {
            true => self.keys.stored_elements_max(),
            false => usize::MAX,
        }
    }

    /// What the request is to store, if it was made bit by bit before it ran again.
    pub(super) fn take_finished<S: 'static>(&mut self) -> Option<Finished<S>> {
        let made = self.keys.take_made()?.downcast().ok()?;
        Some(*made)
    }

    /// Instead of a reply: what was written of it since `start` is its head, and `walk` makes the rest.
    #[cold]
    pub(super) fn reply_in_pieces<W: Walk>(
        &mut self,
        key: &Key<'_>,
        reply: &mut Reply<'_>,
        start: usize,
        walk: W,
    ) -> Effect {
        let head = reply.take_since(start);
        let protocol = reply.protocol();
        let reader = Box::new(Pieces { protocol, walk });
        let begun = Begun {
            bytes_min: reader.walk.bytes_min(),
            is_collected: false,
            is_making: false,
            locks: W::LOCKS.then_some(key.hash).into_iter().collect(),
        };
        self.keys.begin_reading(self.db, key, head, reader, begun);
        Effect::NONE
    }
}

/// The collection that the first key of a reading holds; none where there is no key, or a string.
pub(super) fn first_object<'e>(entries: &[EntryRef<'e, Object>]) -> Option<&'e Object> {
    match entries.first()?.value() {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// What was made of other values bit by bit, to be stored.
pub(super) struct Finished<S> {
    pub(super) set: S,
    /// As many of them were there.
    pub(super) inputs_count: usize,
}

/// Hands over what has been made.
pub(super) struct MadeRest<S>(Option<Finished<S>>);

impl<S> MadeRest<S> {
    /// - `set`: made of `inputs_count` others.
    pub(super) fn new(set: S, inputs_count: usize) -> Self {
        Self(Some(Finished { set, inputs_count }))
    }
}

impl<S: Send + 'static> Rest for MadeRest<S> {
    fn read(&mut self, _: ReadLimit, _: &mut Vec<u8>) -> bool {
        true
    }

    fn take_made(&mut self) -> Option<Made> {
        let made = self.0.take()?;
        Some(Box::new(made))
    }
}

/// A walk through a collection that can stop at any element.
pub(super) trait Walk: Send + 'static {
    /// What is walked through.
    type Of: Collection;

    /// Whether whoever wants to change it had better wait for the end of the walk.
    const LOCKS: bool = true;

    /// How many bytes it is going to write at least, as far as that can be told.
    fn bytes_min(&self) -> u64 {
        0
    }

    /// Goes on until the piece is full; whether that was the end.
    fn go_on(&mut self, of: &Self::Of, piece: &mut Piece<'_>) -> bool;

    /// The last time that the collection can be seen: goes to the end, or returns what makes the rest.
    fn leave(mut self, of: &Self::Of, piece: &mut Piece<'_>) -> Option<Box<dyn Rest>>
    where
        Self: Sized,
    {
        while !self.go_on(of, piece) {}
        None
    }
}

/// A walk, and how its elements are to look.
struct Pieces<W> {
    protocol: Protocol,
    walk: W,
}

impl<W: Walk> Reader<Object> for Pieces<W> {
    fn read(&mut self, entry: EntryRef<'_, Object>, limit: ReadLimit, out: &mut Vec<u8>) -> bool {
        let mut piece = Piece::new(self.protocol, limit, out);
        collection::<W::Of>(&entry).is_none_or(|of| self.walk.go_on(of, &mut piece))
    }

    fn leave(
        self: Box<Self>,
        entry: EntryRef<'_, Object>,
        out: &mut Vec<u8>,
    ) -> Option<Box<dyn Rest>> {
        let mut piece = Piece::new(self.protocol, ReadLimit::NONE, out);
        let of = collection::<W::Of>(&entry)?;
        self.walk.leave(of, &mut piece)
    }
}

fn collection<'e, C: Collection>(entry: &EntryRef<'e, Object>) -> Option<&'e C> {
    match entry.value() {
        Value::Object(object) => C::of(object),
        _ => None,
    }
}

/// A piece in the making.
pub(super) struct Piece<'o> {
    pub(super) protocol: Protocol,
    out: &'o mut Vec<u8>,
    left_count: usize,
    /// As long as this it is full.
    end: usize,
}

impl<'o> Piece<'o> {
    pub(super) fn new(protocol: Protocol, limit: ReadLimit, out: &'o mut Vec<u8>) -> Self {
        Self {
            protocol,
            left_count: limit.elements,
            end: out.len().saturating_add(limit.bytes),
            out,
        }
    }

    /// Where the next element goes.
    #[inline]
    pub(super) fn reply(&mut self) -> Reply<'_> {
        Reply::new(self.out, self.protocol)
    }

    /// Notes that `count` elements were written; whether that was the last for which there was room.
    #[inline]
    pub(super) fn is_full_after(&mut self, count: usize) -> bool {
        self.left_count = self.left_count.saturating_sub(count);
        self.left_count == 0 || self.out.len() >= self.end
    }

    /// How many elements there is room for, as long as they are not large.
    pub(super) fn room_count(&self) -> usize {
        self.left_count
    }
}

/// Moves a cursor on, step by step, until the piece is full; whether it has come to its end.
pub(super) fn move_on(
    cursor: &mut u64,
    piece: &mut Piece<'_>,
    mut step: impl FnMut(u64, &mut Reply<'_>) -> (u64, usize),
) -> bool {
    loop {
        let (next, count) = step(*cursor, &mut piece.reply());
        *cursor = next;
        // Steps through empty places cost something, too.
        let is_full = piece.is_full_after(count.max(1));
        if next == 0 || is_full {
            return next == 0;
        }
    }
}

/// All members of a set.
pub(super) struct Members {
    pub(super) cursor: u64,
}

impl Walk for Members {
    type Of = Set;

    fn go_on(&mut self, set: &Set, piece: &mut Piece<'_>) -> bool {
        move_on(&mut self.cursor, piece, |cursor, reply| {
            let mut count = 0;
            let next = set.scan(cursor, STEP, |member| {
                reply_member(member, reply);
                count += 1;
            });
            (next, count)
        })
    }
}

/// All fields of a hash that were alive when the reply began.
pub(super) struct Fields {
    pub(super) part: Part,
    pub(super) now_ms: i64,
    pub(super) cursor: u64,
}

impl Walk for Fields {
    type Of = Hash;

    fn go_on(&mut self, hash: &Hash, piece: &mut Piece<'_>) -> bool {
        let (part, now_ms) = (self.part, self.now_ms);
        move_on(&mut self.cursor, piece, |cursor, reply| {
            let mut count = 0;
            let next = hash.scan(cursor, STEP, now_ms, |field, value| {
                part.reply(field, value, reply);
                count += 1;
            });
            (next, count)
        })
    }
}

/// Members of a sorted set, by rank.
pub(super) struct Ranks {
    pub(super) ranks: Range<usize>,
    pub(super) direction: Direction,
    pub(super) with_scores: bool,
}

impl Walk for Ranks {
    type Of = Zset;

    fn go_on(&mut self, set: &Zset, piece: &mut Piece<'_>) -> bool {
        let count = self.ranks.len().min(piece.room_count());
        let part = match self.direction {
            Direction::Up => self.ranks.start..self.ranks.start + count,
            Direction::Down => self.ranks.end - count..self.ranks.end,
        };
        let mut walked_count = 0;
        for (member, score) in set.walk(part, self.direction) {
            match self.with_scores {
                true => reply_scored(member, score, &mut piece.reply()),
                false => reply_member(member, &mut piece.reply()),
            }
            walked_count += 1;
            if piece.is_full_after(1) {
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
    pub(super) next: usize,
    pub(super) left_count: usize,
}

impl Walk for Elements {
    type Of = List;

    fn go_on(&mut self, list: &List, piece: &mut Piece<'_>) -> bool {
        if self.left_count > 0 {
            list.visit(self.next, End::Front, |element| {
                reply_member(element, &mut piece.reply());
                self.next += 1;
                self.left_count -= 1;
                match piece.is_full_after(1) || self.left_count == 0 {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
        }
        self.left_count == 0
    }
}

/// Entries of a stream.
pub(super) struct Entries {
    /// What is left is between these.
    start: StreamId,
    end: StreamId,
    direction: Direction,
    left_count: usize,
}

impl Entries {
    /// From one id to another, both included.
    pub(super) fn between(start: StreamId, end: StreamId, direction: Direction) -> Self {
        Self {
            start,
            end,
            direction,
            left_count: 0,
        }
    }

    /// The walk through up to `count_max` entries, if those are more than `whole_max`.
    ///
    /// - Cost: one comparison where the log has no more than that; else see [`Log::count`].
    #[inline]
    pub(super) fn if_more_than(
        mut self,
        whole_max: usize,
        log: &Log,
        count_max: usize,
    ) -> Option<Self> {
        if log.len() <= whole_max as u64 || count_max <= whole_max {
            return None;
        }
        let count = log.count(self.start, self.end, count_max as u64);
        self.left_count = usize::try_from(count).unwrap_or(usize::MAX).min(count_max);
        (self.left_count > whole_max).then_some(self)
    }

    /// How many there are.
    pub(super) fn left_count(&self) -> usize {
        self.left_count
    }

    /// Writes entries while there is room and some are wanted; the id of the last one.
    fn write<'s>(
        &mut self,
        entries: impl Iterator<Item = Entry<'s>>,
        piece: &mut Piece<'_>,
    ) -> Option<StreamId> {
        let mut last = None;
        for entry in entries {
            reply_entry(&entry, &mut piece.reply());
            last = Some(entry.id);
            self.left_count -= 1;
            if self.left_count == 0 || piece.is_full_after(1 + entry.len()) {
                break;
            }
        }
        last
    }
}

impl Walk for Entries {
    type Of = StreamValue;

    fn go_on(&mut self, stream: &StreamValue, piece: &mut Piece<'_>) -> bool {
        if self.left_count == 0 {
            return true;
        }
        let (start, end) = (self.start, self.end);
        let next = match self.direction {
            Direction::Up => {
                let last = self.write(stream.log.range(start, end), piece);
                last.and_then(StreamId::next).map(|next| self.start = next)
            }
            Direction::Down => {
                let last = self.write(stream.log.range_back(start, end), piece);
                last.and_then(StreamId::previous)
                    .map(|previous| self.end = previous)
            }
        };
        next.is_none() || self.left_count == 0
    }
}
