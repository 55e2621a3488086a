//! The head that requests of a pipeline have in common: `*2\r\n$3\r\nGET`, again and again.
//!
//!     a request, parsed like any -> Head::of -> the next one begins with the same bytes: its count and name are known
//!
//! Promises  the words are those that `parse` finds; whatever begins otherwise, or is not there whole, is left to it.
//! Tests     tests/resp/head.rs: beside `parse`, at every cut.

use super::args::Span;
use super::parse::{Limits, ParseState, short_words};

/// Bytes of a head: up to nine words, and a name of up to eight bytes.
const HEAD_BYTES: usize = 16;
/// Where the name begins: after two lines of four bytes.
const NAME_START: u32 = 8;

/// The beginning of a request, up to the end of its first word.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// In the order they came, lowest first; those after the name are zero.
    bytes: u128,
    /// Ones where the head has bytes.
    mask: u128,
    name: Span,
    words_count: usize,
}

impl Default for Head {
    /// No request's.
    fn default() -> Self {
        Self {
            bytes: 1,
            mask: 0,
            name: Span::default(),
            words_count: 0,
        }
    }
}

impl Head {
    /// The head of a request that `parse` has found at the start of `bytes`; None for one that is longer.
    #[inline]
    pub fn of(bytes: &[u8], spans: &[Span]) -> Option<Self> {
        let name = *spans.first()?;
        let end = name.start + name.len;
        let window = bytes.first_chunk::<HEAD_BYTES>()?;
        // Where a name begins there, each of the two numbers before it has one digit.
        if window[0] != b'*' || name.start != NAME_START || end > HEAD_BYTES as u32 {
            return None;
        }
        let mask = u128::MAX >> (8 * (HEAD_BYTES as u32 - end));
        Some(Self {
            bytes: u128::from_le_bytes(*window) & mask,
            mask,
            name,
            words_count: spans.len(),
        })
    }

    /// Finds a request of this head at the start of `bytes`: its words, and how many bytes it takes.
    ///
    /// - `bytes`, `spans`, `limits`: as [`super::parse()`] takes them.
    /// - None: it is left to `parse`, which takes `spans` as they then are.
    #[inline]
    pub fn after(
        &self,
        bytes: &[u8],
        state: &ParseState,
        spans: &mut Vec<Span>,
        limits: &Limits,
    ) -> Option<usize> {
        let window = u128::from_le_bytes(*bytes.first_chunk::<HEAD_BYTES>()?);
        if window & self.mask != self.bytes || !limits.authenticated || !state.is_fresh() {
            return None;
        }
        let start = (self.name.start + self.name.len) as usize + 2;
        spans.clear();
        spans.push(self.name);
        let (words_left, end) = short_words(bytes, start, self.words_count - 1, spans, limits);
        (words_left == 0 && end <= bytes.len()).then_some(end)
    }
}
