//! Even nodes: elements that a listpack would all store with the same first byte, without that byte and the back length.
//!
//! Ids, hashes, times and padded names are elements of one length. An inner node of a list nobody compresses is kept so:
//! 16 bytes for each of them in place of 18, and 4 in place of 6 for 32-bit integers. The allocator's sizes would eat most
//! of what that saves, so a node is filled up from its neighbour to the limit of a node's bytes, which is one of them.
//!
//! Promises  nothing is kept so that does not become the same listpack again.
//! Not here  when: the nodes at the ends are listpacks, and so is one that was changed.
//! Tests     tests/ds/quicklist.rs: `elements_of_one_form…`, `a_list_of_one_form…`.

use crate::ds::listpack::{Element, Listpack};
use std::ops::Range;

const HEADER_BYTES: usize = 6;
/// Listpacks count exactly below this.
const COUNT_MAX: usize = 65_534;

/// Elements of one form, borrowed.
#[derive(Clone, Copy)]
pub(super) struct Even<'n> {
    head: u8,
    width: usize,
    data: &'n [u8],
}

/// Bytes of an element after its first byte, for forms that have some.
fn width_of(head: u8) -> Option<usize> {
    match head {
        0x81..=0xbf => Some(usize::from(head & 0x3f)),
        0xf1 => Some(2),
        0xf2 => Some(3),
        0xf3 => Some(4),
        0xf4 => Some(8),
        _ => None,
    }
}

/// The first byte and the data of a listpack whose elements have one form.
pub(super) fn data_of(pack: &Listpack) -> Option<(u8, Box<[u8]>)> {
    let bytes = pack.as_bytes();
    let entries = &bytes[HEADER_BYTES..bytes.len() - 1];
    let head = *entries.first()?;
    let width = width_of(head)?;
    let entry_bytes = width + 2;
    if !entries.len().is_multiple_of(entry_bytes) || entries.len() / entry_bytes > COUNT_MAX {
        return None;
    }
    // A first byte says how long an entry is, so equal ones at equal distances are entries all the way.
    let is_even = entries
        .chunks_exact(entry_bytes)
        .all(|entry| entry[0] == head);
    is_even.then(|| {
        let mut data = Vec::with_capacity(entries.len() / entry_bytes * width);
        for entry in entries.chunks_exact(entry_bytes) {
            data.extend_from_slice(&entry[1..=width]);
        }
        (head, data.into_boxed_slice())
    })
}

impl<'n> Even<'n> {
    pub(super) fn new(head: u8, data: &'n [u8]) -> Self {
        Self {
            head,
            width: width_of(head).expect("`data_of` gave the first byte"),
            data,
        }
    }

    /// How many elements fit into `bytes`, at most.
    pub(super) fn count_in(&self, bytes: usize) -> usize {
        (bytes / self.width).min(COUNT_MAX)
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Bytes of the listpack it stands for.
    pub(super) fn pack_bytes(&self) -> usize {
        HEADER_BYTES + self.data.len() / self.width * (self.width + 2) + 1
    }

    /// The listpack it stands for.
    pub(super) fn unpacked(&self) -> Listpack {
        Listpack::of_one_form(self.head, self.width, self.data)
    }

    /// Those of its elements with these indices.
    pub(super) fn part(&self, indices: Range<usize>) -> Self {
        Self {
            data: &self.data[indices.start * self.width..indices.end * self.width],
            ..*self
        }
    }

    /// The elements from `index` on.
    pub(super) fn from(&self, index: usize) -> impl DoubleEndedIterator<Item = Element<'n>> {
        self.elements(&self.data[index * self.width..])
    }

    /// The elements up to the one with this index.
    pub(super) fn up_to(&self, index: usize) -> impl DoubleEndedIterator<Item = Element<'n>> {
        self.elements(&self.data[..(index + 1) * self.width])
    }

    /// Whether an element equals `needle`.
    pub(super) fn contains(&self, needle: &[u8]) -> bool {
        let integer = Element::Str(needle).integer();
        self.from(0).any(|element| match element {
            Element::Int(number) => Some(number) == integer,
            Element::Str(bytes) => bytes == needle,
        })
    }

    fn elements(&self, data: &'n [u8]) -> impl DoubleEndedIterator<Item = Element<'n>> + use<'n> {
        let is_text = self.head < 0xf1;
        data.chunks_exact(self.width).map(move |bytes| {
            if is_text {
                return Element::Str(bytes);
            }
            let is_negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
            let mut number = [if is_negative { 0xff } else { 0 }; 8];
            number[..bytes.len()].copy_from_slice(bytes);
            Element::Int(i64::from_le_bytes(number))
        })
    }
}
