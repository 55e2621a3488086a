//! Batch: elements encoded one after another, to be appended in one move.
//!
//! Not here  the encoding: `entry.rs`.
//! Tests     tests/ds/listpack.rs: `batches…`.

use super::Listpack;
use super::entry::{Element, Encoded, SHORT_STRING_BYTES, SMALL_INTEGER_MAX, integer_in};

/// Bytes that need no allocation.
const INLINE_BYTES: usize = 256;

/// Elements on their way into a listpack.
pub struct Batch {
    inline: [u8; INLINE_BYTES],
    inline_bytes: usize,
    /// All bytes, once they are more than fit beside; until then none.
    spilled: Vec<u8>,
    count: usize,
}

impl Default for Batch {
    #[inline]
    fn default() -> Self {
        Self {
            inline: [0; INLINE_BYTES],
            inline_bytes: 0,
            spilled: Vec::new(),
            count: 0,
        }
    }
}

impl Batch {
    /// Adds an integer.
    #[inline]
    pub fn integer(&mut self, number: i64) {
        self.count += 1;
        if let 0..=SMALL_INTEGER_MAX = number {
            self.put(&[number as u8, 1]);
        } else {
            self.put_encoded(Element::Int(number));
        }
    }

    /// Adds a string, or the integer it is in canonical form.
    #[inline]
    pub fn string(&mut self, bytes: &[u8]) {
        self.count += 1;
        if bytes.len() < SHORT_STRING_BYTES && integer_in(bytes).is_none() {
            let length = bytes.len() as u8;
            self.put(&[0x80 | length]);
            self.put(bytes);
            self.put(&[length + 1]);
        } else {
            self.put_encoded(Element::Str(bytes));
        }
    }

    fn put_encoded(&mut self, element: Element<'_>) {
        for piece in Encoded::of(element).pieces() {
            self.put(piece);
        }
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.inline_bytes + bytes.len();
        match self.inline.get_mut(self.inline_bytes..end) {
            Some(place) if self.spilled.is_empty() => {
                place.copy_from_slice(bytes);
                self.inline_bytes = end;
            }
            _ => self.spill(bytes),
        }
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        if self.spilled.is_empty() {
            self.spilled
                .extend_from_slice(&self.inline[..self.inline_bytes]);
        }
        self.spilled.extend_from_slice(bytes);
    }

    fn bytes(&self) -> &[u8] {
        if self.spilled.is_empty() {
            &self.inline[..self.inline_bytes]
        } else {
            &self.spilled
        }
    }
}

impl Listpack {
    /// Appends all elements of a batch.
    #[inline]
    pub fn push_batch(&mut self, batch: &Batch) {
        let bytes = batch.bytes();
        if bytes.is_empty() {
            return;
        }
        self.block
            .splice(self.end(), 0, bytes.len(), |gap| gap.put(bytes));
        self.add_to_count(batch.count as isize);
    }
}
