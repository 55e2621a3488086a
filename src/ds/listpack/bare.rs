//! Bare: elements without their back lengths, one after another; and a listpack made of such.
//!
//! A back length follows from what is before it, so what is only read forwards needs none.
//!
//! Promises  what was taken out of a listpack goes into another byte for byte.
//! Not here  where such elements are kept: `ds/stream/dense.rs`.
//! Tests     tests/ds/listpack.rs: `bare_elements…`.

use super::block::{Block, END, HEADER_BYTES};
use super::entry::{self, Element, Encoded};
use super::{COUNT_UNKNOWN, Iter, Listpack};

/// Walks bare elements.
#[derive(Clone)]
pub struct Bare<'b> {
    bytes: &'b [u8],
}

impl<'b> Bare<'b> {
    /// The elements in `bytes`, which came from [`Iter::next_bare`].
    #[inline]
    pub const fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    /// What is left.
    #[inline]
    pub const fn rest(&self) -> &'b [u8] {
        self.bytes
    }

    /// The next element as it lies.
    #[inline]
    pub fn next_bare(&mut self) -> Option<&'b [u8]> {
        if self.bytes.is_empty() {
            return None;
        }
        let (element, rest) = self.bytes.split_at(entry::encoded_bytes(self.bytes, 0));
        self.bytes = rest;
        Some(element)
    }
}

impl<'b> Iterator for Bare<'b> {
    type Item = Element<'b>;

    #[inline]
    fn next(&mut self) -> Option<Element<'b>> {
        self.next_bare().map(|element| entry::element(element, 0))
    }
}

impl<'lp> Iter<'lp> {
    /// The next element without its back length, as it lies.
    #[inline]
    pub fn next_bare(&mut self) -> Option<&'lp [u8]> {
        if self.at >= self.end {
            return None;
        }
        let start = self.at;
        self.at += entry::entry_bytes(self.bytes, start);
        Some(&self.bytes[start..start + entry::encoded_bytes(self.bytes, start)])
    }

    /// The next element, where it lies as [`Listpack::push_back`] writes it: an integer as one, all in the fewest bytes.
    #[inline]
    pub fn next_as_pushed(&mut self) -> Option<Element<'lp>> {
        match self.next_bare()? {
            [tag @ 0..=0x7f] => Some(Element::Int(i64::from(*tag))),
            [0x80..=0xbf, text @ ..] if entry::integer_in(text).is_none() => {
                Some(Element::Str(text))
            }
            // The digits of an integer take more bytes than itself.
            bare => {
                let element = entry::element(bare, 0);
                (Encoded::of(element).bare_bytes() == bare.len()).then_some(element)
            }
        }
    }
}

/// A listpack in the making.
pub struct Maker {
    bytes: Vec<u8>,
    count: usize,
}

impl Maker {
    /// Room for a listpack of `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut maker = Vec::with_capacity(bytes);
        maker.resize(HEADER_BYTES, 0);
        Self {
            bytes: maker,
            count: 0,
        }
    }

    /// Adds an integer.
    #[inline]
    pub fn integer(&mut self, number: i64) {
        let encoded = Encoded::of(Element::Int(number));
        for piece in encoded.pieces() {
            self.bytes.extend_from_slice(piece);
        }
        self.count += 1;
    }

    /// Adds a bare element.
    #[inline]
    pub fn bare(&mut self, element: &[u8]) {
        self.bytes.extend_from_slice(element);
        let (back, back_bytes) = entry::back_length(element.len());
        self.bytes.extend_from_slice(&back[..back_bytes as usize]);
        self.count += 1;
    }

    /// The listpack; at most 4 GiB.
    pub fn finish(mut self) -> Listpack {
        self.bytes.push(END);
        let total = u32::try_from(self.bytes.len()).expect("a listpack is below 4 GiB");
        let count = self.count.min(usize::from(COUNT_UNKNOWN)) as u16;
        self.bytes[..4].copy_from_slice(&total.to_le_bytes());
        self.bytes[4..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
        Listpack {
            block: Block::copy_of(&self.bytes),
        }
    }
}
