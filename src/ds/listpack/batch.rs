//! Batch: elements encoded one after another, to be appended in one move.
//!
//!     | encoded | long string | encoded | long string | encoded |      what is encoded is copied, long strings lie where they are
//!
//! Not here  the encoding: `entry.rs`.
//! Tests     tests/ds/listpack.rs: `batches…`.

use super::Listpack;
use super::entry::{Element, Encoded, SHORT_STRING_BYTES, SMALL_INTEGER_MAX, integer_in};

/// Bytes that need no allocation.
const INLINE_BYTES: usize = 256;
/// Strings from this length on are copied only once, into the listpack.
const LONG_BYTES: usize = 1024;

/// Elements on their way into a listpack.
pub struct Batch<'e> {
    inline: [u8; INLINE_BYTES],
    inline_bytes: usize,
    /// All that is encoded, once it is more than fits beside; until then nothing.
    spilled: Vec<u8>,
    /// Long strings, and how much of what is encoded goes before each.
    long: Vec<(usize, &'e [u8])>,
    /// Bytes of them.
    long_bytes: usize,
    count: usize,
}

impl Default for Batch<'_> {
    #[inline]
    fn default() -> Self {
        Self {
            inline: [0; INLINE_BYTES],
            inline_bytes: 0,
            spilled: Vec::new(),
            long: Vec::new(),
            long_bytes: 0,
            count: 0,
        }
    }
}

impl<'e> Batch<'e> {
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
    pub fn string(&mut self, bytes: &'e [u8]) {
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

    fn put_encoded(&mut self, element: Element<'e>) {
        let encoded = Encoded::of(element);
        let [head, data, back_length] = encoded.pieces();
        self.put(head);
        match element {
            Element::Str(bytes) if bytes.len() >= LONG_BYTES => {
                self.long.push((self.bytes().len(), bytes));
                self.long_bytes += bytes.len();
            }
            _ => self.put(data),
        }
        self.put(back_length);
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
    pub fn push_batch(&mut self, batch: &Batch<'_>) {
        let bytes = batch.bytes();
        if bytes.is_empty() {
            return;
        }
        let added = bytes.len() + batch.long_bytes;
        self.block.splice(self.end(), 0, added, |gap| {
            let mut put = 0;
            for &(before, string) in &batch.long {
                gap.put(&bytes[put..before]);
                gap.put(string);
                put = before;
            }
            gap.put(&bytes[put..]);
        });
        self.add_to_count(batch.count as isize);
    }
}
