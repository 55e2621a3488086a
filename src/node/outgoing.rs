//! Outgoing: what one send has: bytes, and long strings between them that are sent from where they lie.
//!
//!     bytes    | $1048576 CR LF | CR LF $5 CR LF ... |
//!     lent                      ^ a string of a key
//!
//! Promises  a string is copied only for who needs all in one piece, as TLS does; whatever counts bytes counts those of strings as its own.
//! Not here  which strings are lent: `resp/lent.rs`; what the kernel does with the parts: `node/ring/`.
//! Tests     tests/node/outgoing.rs, tests/server/long_values.rs.

use crate::base::long_copy;
use crate::resp::Lent;

/// With so many strings there are parts enough for one send.
const STRINGS_MAX: usize = 256;

/// Strings that some bytes lack, in order of where they belong.
#[derive(Debug, Default)]
pub struct LentStrings {
    strings: Vec<Lent>,
    bytes: usize,
}

impl LentStrings {
    /// Adds one that belongs behind the others.
    pub fn push(&mut self, lent: Lent) {
        debug_assert!(
            self.strings.last().is_none_or(|last| last.at <= lent.at),
            "replies come in order"
        );
        self.bytes += lent.string.len();
        self.strings.push(lent);
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// One by one.
    pub fn into_strings(self) -> impl Iterator<Item = Lent> {
        self.strings.into_iter()
    }

    /// Whether one more is too many.
    pub fn is_full(&self) -> bool {
        self.strings.len() >= STRINGS_MAX
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Outgoing {
    bytes: Vec<u8>,
    lent: Option<Box<LentStrings>>,
}

impl From<Vec<u8>> for Outgoing {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, lent: None }
    }
}

impl Outgoing {
    /// Bytes, and what they lack.
    pub fn new(bytes: Vec<u8>, lent: Option<Box<LentStrings>>) -> Self {
        Self { bytes, lent }
    }

    /// A reply, and the string it lacks.
    pub fn of_reply(bytes: Vec<u8>, lent: Option<Lent>) -> Self {
        let lent = lent.map(|lent| {
            let mut strings = Box::<LentStrings>::default();
            strings.push(lent);
            strings
        });
        Self { bytes, lent }
    }

    /// Bytes to be sent.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() + self.lent_bytes()
    }

    /// Whether there is nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Of those, bytes of strings that lie elsewhere.
    #[inline]
    pub fn lent_bytes(&self) -> usize {
        self.lent.as_ref().map_or(0, |lent| lent.bytes)
    }

    /// All there is, where nothing lies elsewhere.
    #[inline]
    pub fn plain(&self) -> Option<&[u8]> {
        self.lent.is_none().then_some(&self.bytes)
    }

    /// Bytes allocated for it alone.
    pub fn allocated_bytes(&self) -> usize {
        let parts_bytes = |lent: &LentStrings| {
            size_of::<LentStrings>() + lent.strings.capacity() * size_of::<Lent>()
        };
        self.bytes.capacity() + self.lent.as_ref().map_or(0, |lent| parts_bytes(lent))
    }

    /// Gives back memory that it has far too much of.
    pub fn fit(&mut self) {
        if self.bytes.capacity() - self.bytes.len() > self.bytes.len() / 4 {
            self.bytes.shrink_to_fit();
        }
    }

    /// The bytes, and what they lack.
    pub fn into_parts(self) -> (Vec<u8>, Option<Box<LentStrings>>) {
        (self.bytes, self.lent)
    }

    /// The memory of what has been sent.
    #[inline]
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// All of it in one piece.
    ///
    /// - Cost: a copy of all where anything lies elsewhere.
    pub fn into_bytes(self) -> Vec<u8> {
        let Some(lent) = self.lent else {
            return self.bytes;
        };
        let mut all = Vec::with_capacity(self.bytes.len() + lent.bytes);
        let mut from = 0;
        for Lent { at, string } in lent.strings {
            all.extend_from_slice(&self.bytes[from..at]);
            long_copy::append(&mut all, &string);
            from = at;
        }
        all.extend_from_slice(&self.bytes[from..]);
        all
    }

    /// What is to be sent behind the first `from` bytes, at most `bytes_max` of it, part by part. They stay where they are when
    /// this is moved.
    pub fn parts(&self, from: usize, bytes_max: usize) -> Vec<&[u8]> {
        let strings = self.lent.as_ref().map_or(&[][..], |lent| &lent.strings);
        let mut whole = Vec::with_capacity(2 * strings.len() + 1);
        let mut start = 0;
        for Lent { at, string } in strings {
            whole.extend([&self.bytes[start..*at], &string[..]]);
            start = *at;
        }
        whole.push(&self.bytes[start..]);
        let (mut to_skip, mut left) = (from, bytes_max);
        let cut = |part: &[u8]| {
            let skipped = to_skip.min(part.len());
            let taken = left.min(part.len() - skipped);
            to_skip -= skipped;
            left -= taken;
            skipped..skipped + taken
        };
        let ranges: Vec<_> = whole.iter().copied().map(cut).collect();
        let parts = whole.iter().zip(ranges).map(|(part, range)| &part[range]);
        parts.filter(|part| !part.is_empty()).collect()
    }
}
