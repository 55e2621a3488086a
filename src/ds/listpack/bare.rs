//! Bare: elements without their back lengths, one after another.
//!
//! A back length follows from what is before it, so what is only read forwards needs none.
//!
//! Promises  they read as they did in the listpack they were taken out of.
//! Not here  where such elements are kept, and how they become a listpack again: `ds/stream/`.
//! Tests     tests/ds/listpack.rs: `bare_elements…`.

use super::Iter;
use super::entry::{self, Element, Encoded};

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
