//! Slot table: a hash table of 8-byte slots, for records that live elsewhere.
//!
//!     hash  = | depth bits: which segment | tag 16 | ... |           high bit first
//!     slot  = | tag 16 | payload 48 |                                a pointer, or whatever the caller packs there
//!     segment = its slots, sorted by tag, without gaps               some 32 to 130 of them
//!
//! Linear hashing over small sorted arrays. One segment after the other is split in two as the table grows, and the last
//! one is joined to its other half as it shrinks, so no call ever does more than one segment's work. Hashes are uniform,
//! so a tag's rank in its segment is nearly its value, and a lookup starts a few slots from where it ends.
//!
//! Promises  a step of growth or shrinking moves one segment; the list of segments is in pieces and never copied whole;
//!           9.3 bytes for each slot on average, 11 at worst from a hundred on; `scan` visits what is there throughout,
//!           whatever grows or shrinks; `random` is exactly uniform; `heap_bytes` is exact.
//! Not here  hashes and equality: the caller's closures; what a payload leads to.
//! Source    linear hashing: Litwin, 1980. A segment's hashes keep part of the bits that chose it (`Segment::base`), so
//!           that three splits of four need no record's hash.
//! Tests     `tests/ds/slot_table.rs`: a model, forced collisions, scans over growth and shrinking, chi-square, work
//!           per call.

use crate::base::rng::Rng;
use crate::ds::block_size::block_bytes;
use crate::ds::mover::Mover;
use crate::ds::prefetch::prefetch;
use crate::ds::table_shape::TableShape;

/// Bits of a payload.
pub const PAYLOAD_BITS: u32 = 48;
/// Bits of a hash that a cursor of `scan` has.
const CURSOR_BITS: u32 = 48;

const TAG_BITS: u32 = u64::BITS - PAYLOAD_BITS;
const PAYLOAD_MASK: u64 = (1 << PAYLOAD_BITS) - 1;
/// Slots for each segment above which the next is split, and below which the last is joined to its other half.
const SPLIT_LOAD: usize = 64;
const JOIN_LOAD: usize = 40;
/// Tag bits that may be the same throughout a segment before its tags are made anew: 12 are left to tell slots apart.
const TAG_BITS_SPENT_MAX: u32 = 4;
/// Segments in one piece of the list.
const PIECE_SEGMENTS: usize = 128;

/// Slots by hash.
pub struct SlotTable {
    /// Pieces of the list of segments; all but the last are full.
    pieces: Vec<Vec<Segment>>,
    segments_count: usize,
    len: usize,
    /// Of all segments together.
    slots_capacity: usize,
    /// No segment has more slots; see `random`.
    longest: usize,
}

struct Segment {
    /// Sorted, so by tag first.
    slots: Vec<u64>,
    /// Hash bits before the tag. At most the segment's depth, and at least that less `TAG_BITS_SPENT_MAX`.
    base: u32,
}

/// Where a slot is, until the table changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    segment: u32,
    index: u32,
}

impl SlotTable {
    /// An empty table; allocates nothing.
    pub const fn new() -> Self {
        Self {
            pieces: Vec::new(),
            segments_count: 0,
            len: 0,
            slots_capacity: 0,
            longest: 0,
        }
    }

    /// Slots in use.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes on the heap; not what payloads lead to. O(1).
    pub fn heap_bytes(&self) -> usize {
        let last_capacity = self.pieces.last().map_or(0, Vec::capacity);
        let segments_capacity =
            self.pieces.len().saturating_sub(1) * PIECE_SEGMENTS + last_capacity;
        self.slots_capacity * size_of::<u64>()
            + segments_capacity * size_of::<Segment>()
            + self.pieces.capacity() * size_of::<Vec<Segment>>()
    }

    /// The slot of `hash` whose payload `is_equal` accepts.
    #[inline]
    pub fn find(&self, hash: u64, mut is_equal: impl FnMut(u64) -> bool) -> Option<Place> {
        let (at, depth) = self.address(hash)?;
        let segment = self.segment(at);
        let tag = segment.tag(hash);
        let mut index = segment.rank(tag, depth);
        while let Some(&slot) = segment.slots.get(index)
            && slot >> PAYLOAD_BITS == tag
        {
            if is_equal(slot & PAYLOAD_MASK) {
                return Some(Place {
                    segment: at as u32,
                    index: index as u32,
                });
            }
            index += 1;
        }
        None
    }

    /// What the slot holds.
    #[inline]
    pub fn payload(&self, place: Place) -> u64 {
        self.segment(place.segment as usize).slots[place.index as usize] & PAYLOAD_MASK
    }

    /// Changes what the slot holds; the record has the same hash as the one before.
    #[inline]
    pub fn set_payload(&mut self, place: Place, payload: u64) {
        debug_assert!(payload <= PAYLOAD_MASK, "a payload has 48 bits");
        let slot = &mut self.segment_mut(place.segment as usize).slots[place.index as usize];
        *slot = *slot & !PAYLOAD_MASK | payload;
    }

    /// Adds a slot. The caller has looked: a second slot for a record is a bug.
    ///
    /// - `payload`: below 2^48.
    /// - `hash_of`: the hash of a payload that is there already; asked for one segment's slots at most.
    pub fn insert(&mut self, hash: u64, payload: u64, hash_of: impl FnMut(u64) -> u64) {
        debug_assert!(payload <= PAYLOAD_MASK, "a payload has 48 bits");
        if self.len >= self.segments_count * SPLIT_LOAD {
            self.add_segment(hash_of);
        }
        let Some((at, depth)) = self.address(hash) else {
            unreachable!("a segment was added")
        };
        let segment = self.segment_mut(at);
        let tag = segment.tag(hash);
        let mut index = segment.rank(tag, depth);
        let slot = tag << PAYLOAD_BITS | payload;
        while segment.slots.get(index).is_some_and(|other| *other < slot) {
            index += 1;
        }
        let before = segment.slots.capacity();
        if segment.slots.len() == before {
            segment.slots.reserve_exact(room_for(before + 1) - before);
        }
        segment.slots.insert(index, slot);
        let (length, after) = (segment.slots.len(), segment.slots.capacity());
        self.slots_capacity += after - before;
        self.longest = self.longest.max(length);
        self.len += 1;
    }

    /// Removes the slot, and says what it held.
    pub fn remove_at(&mut self, place: Place) -> u64 {
        let segment = self.segment_mut(place.segment as usize);
        let slot = segment.slots.remove(place.index as usize);
        let (length, before) = (segment.slots.len(), segment.slots.capacity());
        if length * 8 < before * 5 {
            segment.slots.shrink_to(room_for(length + length / 8));
        }
        let after = segment.slots.capacity();
        self.slots_capacity -= before - after;
        self.len -= 1;
        if self.len == 0 {
            *self = Self::new();
        } else if self.segments_count > 1 && self.len < self.segments_count * JOIN_LOAD {
            self.join_last_segment();
        }
        slot & PAYLOAD_MASK
    }

    /// Removes the slot of `hash` whose payload `is_equal` accepts, and says what it held.
    pub fn remove(&mut self, hash: u64, is_equal: impl FnMut(u64) -> bool) -> Option<u64> {
        let place = self.find(hash, is_equal)?;
        Some(self.remove_at(place))
    }

    /// A slot, each as likely as any other. Two draws or three on average.
    pub fn random(&self, rng: &mut Rng) -> Option<Place> {
        if self.len == 0 {
            return None;
        }
        loop {
            let segment = rng.below(self.segments_count as u64) as usize;
            let slots = &self.segment(segment).slots;
            let limit = if self.segments_count == 1 {
                slots.len()
            } else {
                self.longest
            };
            // Short segments come up as often as long ones; what they lack is drawn again.
            let index = rng.below(limit as u64) as usize;
            if index < slots.len() {
                return Some(Place {
                    segment: segment as u32,
                    index: index as u32,
                });
            }
        }
    }

    /// Visits `count` payloads or a few more in the order of their hashes, from `cursor`; 0 begins.
    ///
    /// - Returns the next cursor, 0 at the end. A cursor is the first 48 bits of a hash, so it stays good whatever the
    ///   table does: what is there throughout is visited, and visited twice only around segments that were joined.
    /// - Looks at no more than `count` segments.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(u64)) -> u64 {
        // A cursor above the last, which only a client can have made up, starts at the end.
        let mut position = cursor.min((1 << CURSOR_BITS) - 1) << (u64::BITS - CURSOR_BITS);
        let mut visited_count = 0;
        for _ in 0..count.max(1) {
            let Some((at, depth)) = self.address(position) else {
                return 0;
            };
            let segment = self.segment(at);
            let mut index = segment.rank(segment.tag(position), depth);
            let mut last_tag = None;
            while let Some(&slot) = segment.slots.get(index) {
                let tag = slot >> PAYLOAD_BITS;
                // Slots of one tag are one position.
                if visited_count >= count && last_tag.is_some_and(|last| last != tag) {
                    return segment.hash_of_tag(position, tag) >> (u64::BITS - CURSOR_BITS);
                }
                visit(slot & PAYLOAD_MASK);
                last_tag = Some(tag);
                visited_count += 1;
                index += 1;
            }
            // The next prefix of `depth` bits; past the last there is none.
            match (position | low_bits(u64::BITS - depth)).checked_add(1) {
                Some(next) => position = next,
                None => return 0,
            }
            if visited_count >= count {
                break;
            }
        }
        position >> (u64::BITS - CURSOR_BITS)
    }

    /// Every payload, in no useful order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.groups().flatten()
    }

    /// Every payload, those of one segment together: what they lead to can be asked for before it is needed.
    pub fn groups(&self) -> impl Iterator<Item = impl Iterator<Item = u64> + Clone> {
        self.pieces
            .iter()
            .flatten()
            .map(|segment| segment.slots.iter().map(|slot| slot & PAYLOAD_MASK))
    }

    /// How many slots there is room for, and how long the chains in them are where that `is_wanted`. That looks at all.
    pub fn shape(&self, is_wanted: bool) -> TableShape {
        let mut shape = TableShape {
            places: self.slots_capacity as u64,
            records: self.len as u64,
            chains: Vec::new(),
        };
        if is_wanted {
            for segment in self.pieces.iter().flatten() {
                let has_tag_of_next =
                    |one: &u64, next: &u64| one >> PAYLOAD_BITS == next >> PAYLOAD_BITS;
                for chain in segment.slots.chunk_by(has_tag_of_next) {
                    shape.note_chain(chain.len());
                }
            }
            shape.note_rest();
        }
        shape
    }

    /// Takes `budget` payloads or one segment more away from the end; true once none are left.
    ///
    /// - For tables that are being thrown away: from the first call on, only `drain_step`, `len` and `heap_bytes` mean
    ///   anything.
    pub fn drain_step(&mut self, budget: usize, mut taken: impl FnMut(u64)) -> bool {
        let mut taken_count = 0;
        while taken_count < budget.max(1) {
            let Some(segment) = self.pop_segment() else {
                *self = Self::new();
                return true;
            };
            self.len -= segment.slots.len();
            taken_count += segment.slots.len() + 1;
            segment
                .slots
                .iter()
                .for_each(|slot| taken(slot & PAYLOAD_MASK));
        }
        false
    }

    /// A table for records that are copies of these; `copy` makes one and gives its payload.
    pub fn clone_with(&self, mut copy: impl FnMut(u64) -> u64) -> Self {
        let mut clone = Self {
            pieces: Vec::with_capacity(self.pieces.len()),
            segments_count: self.segments_count,
            len: self.len,
            slots_capacity: 0,
            longest: self.longest,
        };
        for piece in &self.pieces {
            let mut segments = Vec::with_capacity(piece.capacity());
            for segment in piece {
                let mut slots = Vec::with_capacity(room_for(segment.slots.len()));
                for slot in &segment.slots {
                    slots.push(slot & !PAYLOAD_MASK | copy(slot & PAYLOAD_MASK));
                }
                // Copies have other addresses, and slots of one tag are sorted by them.
                slots.sort_unstable();
                clone.slots_capacity += slots.capacity();
                segments.push(Segment {
                    slots,
                    base: segment.base,
                });
            }
            clone.pieces.push(segments);
        }
        clone
    }

    /// Moves segments' own memory, from segment `from` on, and shows `each` every payload on the way, which says what the
    /// payload is from then on; returns the segment to go on with, None at the end.
    ///
    /// - A record has the hash it had before.
    pub fn move_step(
        &mut self,
        from: usize,
        mover: &mut Mover<'_>,
        mut each: impl FnMut(u64, &mut Mover<'_>) -> u64,
    ) -> Option<usize> {
        if from == 0 {
            mover.array(&mut self.pieces);
        }
        for index in from..self.segments_count {
            if index > from && mover.is_over() {
                return Some(index);
            }
            if index.is_multiple_of(PIECE_SEGMENTS) {
                mover.array(&mut self.pieces[index / PIECE_SEGMENTS]);
            }
            let slots = &mut self.segment_mut(index).slots;
            mover.array(slots);
            for slot in slots {
                *slot = *slot & !PAYLOAD_MASK | each(*slot & PAYLOAD_MASK, mover);
            }
        }
        None
    }

    /// Starts loading the segment of `hash`.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        if let Some((at, depth)) = self.address(hash) {
            let segment = self.segment(at);
            let guess = segment.guess(segment.tag(hash), depth);
            if let Some(slot) = segment.slots.get(guess) {
                prefetch((&raw const *slot).cast());
            }
        }
    }

    /// The segment of `hash`, and how many hash bits chose it.
    #[inline]
    fn address(&self, hash: u64) -> Option<(usize, u32)> {
        let level = self.segments_count.checked_ilog2()?;
        // The first hash bit is the lowest of the index, so that one bit more moves no index but to a new segment.
        let reversed = hash.reverse_bits() as usize;
        let index = reversed & ((2 << level) - 1);
        if index < self.segments_count {
            let is_split = index >> level == 1 || index + (1 << level) < self.segments_count;
            Some((index, level + u32::from(is_split)))
        } else {
            Some((index - (1 << level), level))
        }
    }

    #[inline]
    fn segment(&self, index: usize) -> &Segment {
        &self.pieces[index / PIECE_SEGMENTS][index % PIECE_SEGMENTS]
    }

    #[inline]
    fn segment_mut(&mut self, index: usize) -> &mut Segment {
        &mut self.pieces[index / PIECE_SEGMENTS][index % PIECE_SEGMENTS]
    }

    /// Splits the next segment in turn; the second half becomes the last segment.
    #[cold]
    fn add_segment(&mut self, mut hash_of: impl FnMut(u64) -> u64) {
        let Some(level) = self.segments_count.checked_ilog2() else {
            return self.push_segment(Segment {
                slots: Vec::new(),
                base: 0,
            });
        };
        let segment = self.segment_mut(self.segments_count - (1 << level));
        let (lower, upper) = if level + 1 - segment.base > TAG_BITS_SPENT_MAX {
            segment.split_anew(level, &mut hash_of)
        } else {
            segment.split(level)
        };
        let before = segment.slots.capacity();
        let after = lower.slots.capacity() + upper.slots.capacity();
        *segment = lower;
        self.slots_capacity = self.slots_capacity - before + after;
        self.push_segment(upper);
    }

    fn push_segment(&mut self, segment: Segment) {
        if self.segments_count.is_multiple_of(PIECE_SEGMENTS) {
            self.pieces.push(Vec::new());
        }
        let pieces_count = self.pieces.len();
        let Some(piece) = self.pieces.last_mut() else {
            unreachable!("one was pushed")
        };
        if piece.len() == piece.capacity() {
            // Only the first grows; where there are others, one more is small.
            let wanted = if pieces_count == 1 {
                (piece.len() * 2).max(1)
            } else {
                PIECE_SEGMENTS
            };
            piece.reserve_exact(wanted - piece.len());
        }
        piece.push(segment);
        self.segments_count += 1;
    }

    #[cold]
    fn join_last_segment(&mut self) {
        let Some(upper) = self.pop_segment() else {
            return;
        };
        // The index of the last segment without its highest bit: that bit told the two halves apart.
        let level = self.segments_count.ilog2();
        let index = self.segments_count - (1 << level);
        let lower = self.segment_mut(index);
        let before = lower.slots.capacity();
        let base = lower.base.min(upper.base).min(level);
        let mut slots = Vec::with_capacity(room_for(lower.slots.len() + upper.slots.len()));
        let first = (index as u64).reverse_bits();
        slots.extend(lower.slots_from_base(first, base));
        slots.extend(upper.slots_from_base(first | 1 << (63 - level), base));
        *lower = Segment { slots, base };
        let (length, after) = (lower.slots.len(), lower.slots.capacity());
        self.slots_capacity = self.slots_capacity - before + after;
        self.longest = self.longest.max(length);
        if self.segments_count == 1 {
            self.longest = length;
        }
    }

    fn pop_segment(&mut self) -> Option<Segment> {
        let pieces_count = self.pieces.len();
        let piece = self.pieces.last_mut()?;
        let segment = piece.pop()?;
        self.segments_count -= 1;
        self.slots_capacity -= segment.slots.capacity();
        if piece.is_empty() {
            self.pieces.pop();
            if self.pieces.len() * 4 <= self.pieces.capacity() {
                self.pieces.shrink_to(self.pieces.len() * 2);
            }
        } else if pieces_count == 1 && piece.len() * 4 <= piece.capacity() {
            piece.shrink_to(piece.len() * 2);
        }
        Some(segment)
    }
}

impl Default for SlotTable {
    fn default() -> Self {
        Self::new()
    }
}

impl Segment {
    #[inline]
    fn tag(&self, hash: u64) -> u64 {
        hash << self.base >> PAYLOAD_BITS
    }

    /// The smallest hash with this tag, given any hash of the segment.
    fn hash_of_tag(&self, hash: u64, tag: u64) -> u64 {
        hash & !low_bits(u64::BITS - self.base) | tag << (PAYLOAD_BITS - self.base)
    }

    /// About where a tag's slots are.
    #[inline]
    fn guess(&self, tag: u64, depth: u32) -> usize {
        let fraction = tag << (depth - self.base) & low_bits(TAG_BITS);
        (fraction as usize * self.slots.len()) >> TAG_BITS
    }

    /// The index of the first slot with this tag or a larger one.
    #[inline]
    fn rank(&self, tag: u64, depth: u32) -> usize {
        let slots = self.slots.as_slice();
        let wanted = tag << PAYLOAD_BITS;
        let mut index = self.guess(tag, depth);
        if slots.get(index).is_some_and(|slot| *slot < wanted) {
            while slots.get(index).is_some_and(|slot| *slot < wanted) {
                index += 1;
            }
        } else {
            while index > 0 && slots[index - 1] >= wanted {
                index -= 1;
            }
        }
        index
    }

    /// The halves by hash bit `level`, which is a bit of the tag.
    fn split(&self, level: u32) -> (Self, Self) {
        let bit = 1 << (u64::BITS - 1 - (level - self.base));
        let middle = self.slots.partition_point(|slot| slot & bit == 0);
        let half = |slots: &[u64]| {
            let mut copied = Vec::with_capacity(room_for(slots.len()));
            copied.extend_from_slice(slots);
            Self {
                slots: copied,
                base: self.base,
            }
        };
        let (lower, upper) = self.slots.split_at(middle);
        (half(lower), half(upper))
    }

    /// As `split`, with tags made anew from the records' hashes.
    fn split_anew(&self, level: u32, hash_of: &mut impl FnMut(u64) -> u64) -> (Self, Self) {
        let base = level + 1;
        let mut lower: Vec<u64> = Vec::with_capacity(self.slots.len());
        let mut upper: Vec<u64> = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            let payload = slot & PAYLOAD_MASK;
            let hash = hash_of(payload);
            let half = if hash << level >> 63 == 0 {
                &mut lower
            } else {
                &mut upper
            };
            half.push(hash << base >> PAYLOAD_BITS << PAYLOAD_BITS | payload);
        }
        let half = |mut slots: Vec<u64>| {
            slots.sort_unstable();
            slots.shrink_to(room_for(slots.len()));
            Self { slots, base }
        };
        (half(lower), half(upper))
    }

    /// The slots with tags that begin at an earlier bit; `hash` is any of the segment.
    fn slots_from_base(&self, hash: u64, base: u32) -> impl Iterator<Item = u64> {
        let shift = self.base - base;
        let known = hash << base & !low_bits(u64::BITS - shift);
        self.slots
            .iter()
            .map(move |slot| (known | slot >> shift) & !PAYLOAD_MASK | slot & PAYLOAD_MASK)
    }
}

/// Slots in the smallest allocation that has room for `count`.
fn room_for(count: usize) -> usize {
    block_bytes(count * size_of::<u64>()) / size_of::<u64>()
}

/// The lowest `count` bits, 0 to 64.
fn low_bits(count: u32) -> u64 {
    u64::MAX.checked_shr(u64::BITS - count).unwrap_or(0)
}
