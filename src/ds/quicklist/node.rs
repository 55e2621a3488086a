//! Node: a few elements packed, one large element alone, or one of these compressed; or elements of one form (even.rs).

use super::even::{self, Even};
use super::{ENTRY_OVERHEAD_BYTES, NodeLimit};
use crate::ds::listpack::{Element, Listpack};
use crate::ds::lzf;
use crate::ds::mover::Mover;
use std::ops::Range;

/// Shorter nodes are not worth it.
const COMPRESSED_FROM_BYTES: usize = 48;
/// What compressing must save at least.
const SAVED_BYTES_MIN: usize = 8;

#[derive(Clone)]
pub(super) enum Node {
    /// A listpack. Its count stands here too, so that a seek over nodes reads no listpack.
    Packed { count: u32, pack: Listpack },
    /// One element.
    Alone(Box<[u8]>),
    /// One of the others in LZF, after its own length in 4 bytes, least significant first.
    Compressed {
        is_alone: bool,
        count: u32,
        bytes: Box<[u8]>,
    },
    /// A listpack whose elements have one form, which starts with `head`.
    Even {
        head: u8,
        count: u32,
        data: Box<[u8]>,
    },
}

/// What a node holds.
pub enum Content<'n> {
    /// Several elements.
    Packed(&'n Listpack),
    /// One element.
    Alone(&'n [u8]),
}

/// Where a compressed node is unpacked to be read.
#[derive(Default)]
pub(super) struct Room(Option<Node>);

const _: () = assert!(size_of::<Node>() == 24);

const LENGTH_BYTES: usize = 4;

impl Node {
    /// A node that is this listpack.
    pub(super) fn packed(pack: Listpack) -> Self {
        Self::Packed {
            count: pack.len() as u32,
            pack,
        }
    }

    /// Moves its bytes.
    pub(super) fn move_by(&mut self, mover: &mut Mover<'_>) {
        match self {
            Self::Packed { pack, .. } => mover.listpack(pack),
            Self::Alone(bytes)
            | Self::Compressed { bytes, .. }
            | Self::Even { data: bytes, .. } => mover.bytes(bytes),
        }
    }

    /// A node of this element, alone or packed by its length.
    pub(super) fn of_element(element: Element<'_>, limit: &NodeLimit) -> Self {
        if element.text_bytes() > limit.element_bytes_max {
            return Self::Alone(element.to_vec().into_boxed_slice());
        }
        let mut pack = Listpack::new();
        pack.push_back(element);
        Self::Packed { count: 1, pack }
    }

    /// Elements in it.
    #[inline]
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Packed { count, .. }
            | Self::Compressed { count, .. }
            | Self::Even { count, .. } => *count as usize,
            Self::Alone(_) => 1,
        }
    }

    /// Bytes allocated.
    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Packed { pack, .. } => pack.heap_bytes(),
            Self::Alone(bytes)
            | Self::Compressed { bytes, .. }
            | Self::Even { data: bytes, .. } => bytes.len(),
        }
    }

    /// What it holds, unpacked into `room` where it is compressed.
    #[inline]
    pub(super) fn content<'n>(&'n self, room: &'n mut Room) -> Content<'n> {
        match self {
            Self::Packed { pack, .. } => Content::Packed(pack),
            Self::Alone(bytes) => Content::Alone(bytes),
            Self::Compressed {
                is_alone,
                count,
                bytes,
            } => room
                .0
                .insert(unpacked(bytes, *count, *is_alone))
                .plain_content(),
            Self::Even { head, count, data } => room
                .0
                .insert(Self::Packed {
                    count: *count,
                    pack: Even::new(*head, data).unpacked(),
                })
                .plain_content(),
        }
    }

    fn plain_content(&self) -> Content<'_> {
        match self {
            Self::Packed { pack, .. } => Content::Packed(pack),
            Self::Alone(bytes)
            | Self::Compressed { bytes, .. }
            | Self::Even { data: bytes, .. } => Content::Alone(bytes),
        }
    }

    /// Its elements, if they are kept in one form.
    #[inline]
    pub(super) fn as_even(&self) -> Option<Even<'_>> {
        match self {
            Self::Even { head, data, .. } => Some(Even::new(*head, data)),
            _ => None,
        }
    }

    /// Keeps the elements of a listpack in one form, where they have one.
    pub(super) fn even_out(&mut self) {
        if let Self::Packed { count, pack } = self
            && let Some((head, data)) = even::data_of(pack)
        {
            *self = Self::Even {
                head,
                count: *count,
                data,
            };
        }
    }

    /// How many elements of `self` fit into `neighbour`, which has the same form and up to `bytes_max` bytes.
    pub(super) fn moves_into(&self, neighbour: &Self, bytes_max: usize) -> usize {
        let (Self::Even { head, .. }, Self::Even { head: other, .. }) = (self, neighbour) else {
            return 0;
        };
        if head != other {
            return 0;
        }
        let room = neighbour
            .as_even()
            .map_or(0, |even| even.count_in(bytes_max))
            .saturating_sub(neighbour.count());
        room.min(self.count())
    }

    /// Takes `moved_count` elements out of a node of one form, at its front or at its back.
    pub(super) fn take_even(&mut self, moved_count: usize, from_front: bool) -> Vec<u8> {
        let width = self.as_even().map_or(0, |even| even.width());
        let Self::Even { count, data, .. } = self else {
            return Vec::new();
        };
        let mut kept = std::mem::take(data).into_vec();
        let at = if from_front {
            moved_count * width
        } else {
            kept.len() - moved_count * width
        };
        let rest = kept.split_off(at);
        let (moved, kept) = if from_front {
            (kept, rest)
        } else {
            (rest, kept)
        };
        *data = kept.into_boxed_slice();
        *count -= moved_count as u32;
        moved
    }

    /// Puts elements of its form before its first or after its last.
    pub(super) fn give_even(&mut self, moved_count: usize, mut moved: Vec<u8>, to_back: bool) {
        if let Self::Even { count, data, .. } = self {
            let parts = if to_back {
                [&**data, &moved]
            } else {
                [&*moved, data]
            };
            let joined = parts.concat();
            moved.clear();
            *data = joined.into_boxed_slice();
            *count += moved_count as u32;
        }
    }

    /// Whether it is one element alone.
    pub(super) fn is_alone(&self) -> bool {
        match self {
            Self::Packed { .. } | Self::Even { .. } => false,
            Self::Alone(_) => true,
            Self::Compressed { is_alone, .. } => *is_alone,
        }
    }

    /// Compresses what becomes shorter so.
    pub(super) fn compress(&mut self) {
        let (plain, is_alone) = match self {
            Self::Packed { pack, .. } => (pack.as_bytes(), false),
            Self::Alone(bytes) => (&**bytes, true),
            Self::Compressed { .. } | Self::Even { .. } => return,
        };
        if plain.len() < COMPRESSED_FROM_BYTES {
            return;
        }
        if let Some(packed) = lzf::compress(plain, plain.len() - SAVED_BYTES_MIN - 1) {
            let length = (plain.len() as u32).to_le_bytes();
            *self = Self::Compressed {
                is_alone,
                count: self.count() as u32,
                bytes: [&length, &*packed].concat().into_boxed_slice(),
            };
        }
    }

    /// Makes what is compressed what it was.
    pub(super) fn unpack(&mut self) {
        if let Self::Compressed {
            is_alone,
            count,
            bytes,
        } = self
        {
            *self = unpacked(bytes, *count, *is_alone);
        } else if let Self::Even { head, count, data } = self {
            *self = Self::Packed {
                count: *count,
                pack: Even::new(*head, data).unpacked(),
            };
        }
    }

    /// Loses all elements but those with these indices, and is a listpack then; not for an element alone.
    ///
    /// - Cost: elements of one form that go are not unpacked.
    pub(super) fn keep(&mut self, indices: Range<usize>) {
        let kept_count = indices.len() as u32;
        if let Some(even) = self.as_even() {
            let pack = even.part(indices).unpacked();
            *self = Self::Packed {
                count: kept_count,
                pack,
            };
            return;
        }
        self.unpack();
        if let Self::Packed { count, pack } = self {
            // Whether there is anything to delete would be found out by a walk.
            if indices.end < *count as usize {
                pack.delete_range(indices.end as isize, usize::MAX);
            }
            if indices.start > 0 {
                pack.delete_range(0, indices.start);
            }
            *count = kept_count;
        }
    }

    /// Whether another element of so many bytes may join it.
    pub(super) fn allows(&self, limit: &NodeLimit, element_bytes: usize) -> bool {
        !self.is_alone()
            && element_bytes <= limit.element_bytes_max
            && limit.allows(
                self.plain_bytes() + element_bytes + ENTRY_OVERHEAD_BYTES,
                self.count() + 1,
            )
    }

    /// Whether it and `other` may become one node.
    pub(super) fn allows_merge(&self, other: &Self, limit: &NodeLimit) -> bool {
        // One header and one end are saved.
        let bytes = self.plain_bytes() + other.plain_bytes() - 7;
        let is_any_alone = self.is_alone() || other.is_alone();
        !is_any_alone && limit.allows(bytes, self.count() + other.count())
    }

    /// Bytes before compression.
    fn plain_bytes(&self) -> usize {
        match self {
            Self::Packed { pack, .. } => pack.byte_len(),
            Self::Alone(bytes) => bytes.len(),
            Self::Compressed { bytes, .. } => plain_length(bytes),
            Self::Even { head, data, .. } => Even::new(*head, data).pack_bytes(),
        }
    }
}

fn plain_length(bytes: &[u8]) -> usize {
    let length = bytes.first_chunk::<LENGTH_BYTES>();
    u32::from_le_bytes(*length.expect("`compress` puts the length first")) as usize
}

fn unpacked(bytes: &[u8], count: u32, is_alone: bool) -> Node {
    let plain = lzf::decompress(&bytes[LENGTH_BYTES..], plain_length(bytes));
    let plain = plain.expect("`compress` wrote it");
    if is_alone {
        return Node::Alone(plain.into_boxed_slice());
    }
    let pack = Listpack::from_bytes(&plain).expect("it was one before it was compressed");
    Node::Packed { count, pack }
}
