//! Unread: what has come of a connection and waits to be read as requests.
//!
//!     | read already | to be read | <- what comes
//!
//! Promises  what has been read goes when it is half of all, so that many requests cost what their bytes do, however many turns
//!           they take.
//! Tests     tests/node/unread.rs.

use crate::base::long_copy;

/// Bytes in order, taken from the front.
#[derive(Debug, Default)]
pub struct Unread {
    bytes: Vec<u8>,
    /// Those before have been read.
    at: usize,
}

impl Unread {
    /// What is to be read.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// How many bytes that is.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Whether there is nothing to be read.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes allocated.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// More has come.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) {
        long_copy::append(&mut self.bytes, bytes);
    }

    /// So many bytes have been read.
    pub fn consume(&mut self, count: usize) {
        self.at += count;
        if self.at * 2 >= self.bytes.len() {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
    }

    /// Gives its memory back where there is nothing in it.
    pub fn shrink(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}
