//! PackWriter: a listpack's bytes, written from the first to the last into room that is there already.
//!
//! Numbers and short elements are written as sixteen bytes, whatever they have: what comes next is written over the rest. A
//! copy whose length is known beforehand is a move or two, where others are a call. What many entries have in common is
//! encoded once, and copied from then on.
//!
//! Promises  the bytes that pushing the same elements one by one makes; nothing is allocated but the room.
//! Not here  which elements a node has: `dense.rs`; the forms that elements have: `ds/listpack/entry.rs`.
//! Tests     tests/ds/stream.rs: `full_nodes_of_every_kind…`; `Log::assert_sound` in all others.

use crate::ds::listpack::Bare;

/// Total and count, before the first element.
const HEADER_BYTES: usize = 6;
/// What is behind the last element.
const END: u8 = 0xff;
/// What is written at once.
const PIECE_BYTES: usize = 16;

/// An integer's element and its back length.
///
/// Numbers, and no array: an array is put together byte by byte in memory, and what is loaded from there as a whole waits for
/// all of them.
#[derive(Clone, Copy)]
pub(super) struct Number {
    /// The first eight bytes and those behind, little-endian; zeros behind the last.
    low: u64,
    high: u64,
    /// How many of the bytes it has.
    length: usize,
}

impl Number {
    #[inline]
    pub(super) fn of(number: i64) -> Self {
        let [low, high, ..] = number.to_le_bytes();
        let (first, length) = match number {
            0..=0x7f => (low, 2),
            -0x1000..=0xfff => (0xc0 | (high & 0x1f), 3),
            -0x8000..=0x7fff => (0xf1, 4),
            -0x80_0000..=0x7f_ffff => (0xf2, 5),
            -0x8000_0000..=0x7fff_ffff => (0xf3, 6),
            _ => (0xf4, 10),
        };
        let element = (number as u64) << 8 | u64::from(first);
        let back_length = length as u64 - 1;
        let (low, high) = if length > size_of::<u64>() {
            (element, back_length << 8 | number as u64 >> 56)
        } else {
            let element_bits = 8 * (length - 1);
            let element = element & ((1 << element_bits) - 1);
            (element | back_length << element_bits, 0)
        };
        Self { low, high, length }
    }
}

/// A listpack of which the first elements are written.
pub(super) struct PackWriter<'r> {
    /// A piece longer than the listpack, at least.
    room: &'r mut [u8],
    at: usize,
    count: usize,
}

impl<'r> PackWriter<'r> {
    /// Begins at the start of `room`, which is made anew where it is too short.
    ///
    /// - `bytes_max`: what the whole listpack takes, or more.
    pub(super) fn new(room: &'r mut Vec<u8>, bytes_max: usize) -> Self {
        if room.len() < bytes_max + PIECE_BYTES {
            *room = vec![0; bytes_max + PIECE_BYTES];
        }
        Self {
            room: room.as_mut_slice(),
            at: HEADER_BYTES,
            count: 0,
        }
    }

    /// Writes an integer.
    #[inline]
    pub(super) fn number(&mut self, number: Number) {
        let (low, high) = self.room[self.at..][..PIECE_BYTES].split_at_mut(size_of::<u64>());
        low.copy_from_slice(&number.low.to_le_bytes());
        high.copy_from_slice(&number.high.to_le_bytes());
        self.at += number.length;
        self.count += 1;
    }

    /// Writes the next `count` of these elements, which are there, with their back lengths.
    #[inline(always)]
    pub(super) fn bare(&mut self, elements: &mut Bare<'_>, count: usize) {
        for _ in 0..count {
            let rest = elements.rest();
            let Some(element) = elements.next_bare() else {
                return;
            };
            let length = element.len();
            let first = rest.first_chunk::<PIECE_BYTES>();
            let last = element.last_chunk::<PIECE_BYTES>();
            let place = &mut self.room[self.at..];
            match (first, last) {
                (Some(first), None) => place[..PIECE_BYTES].copy_from_slice(first),
                (Some(first), Some(last)) if length <= 2 * PIECE_BYTES => {
                    place[..PIECE_BYTES].copy_from_slice(first);
                    place[length - PIECE_BYTES..][..PIECE_BYTES].copy_from_slice(last);
                }
                _ => place[..length].copy_from_slice(element),
            }
            let back = &mut place[length..];
            self.at += length
                + if length <= 0x7f {
                    back[0] = length as u8;
                    1
                } else {
                    put_long_back_length(back, length)
                };
            self.count += 1;
        }
    }

    /// The listpack; at most 4 GiB.
    pub(super) fn finish(self) -> &'r [u8] {
        let Self { room, at, count } = self;
        room[at] = END;
        let total = u32::try_from(at + 1).expect("a listpack is below 4 GiB");
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        room[..4].copy_from_slice(&total.to_le_bytes());
        room[4..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
        &room[..at + 1]
    }
}

/// One of seven bits a byte, most significant first, the high bit set in all but the first; returns how many bytes.
fn put_long_back_length(place: &mut [u8], length: usize) -> usize {
    let count: usize = match length {
        ..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    };
    for (index, byte) in place[..count].iter_mut().enumerate() {
        let bits = (length >> (7 * (count - 1 - index))) as u8 & 0x7f;
        *byte = bits | if index > 0 { 0x80 } else { 0 };
    }
    count
}
