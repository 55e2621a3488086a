//! A long string of a reply that is sent from where it lies.
//!
//! Not here  how it is sent: `node/outgoing.rs`.
//! Tests     tests/node/outgoing.rs, tests/server/long_values.rs.

use crate::base::shared_bytes::SharedBytes;

/// Shorter ones are copied: that costs less than a send of several parts.
const LENT_BYTES_MIN: usize = 16 * 1024;

/// Whether a string of so many bytes is worth it.
#[inline]
pub fn lends(bytes_count: usize) -> bool {
    bytes_count >= LENT_BYTES_MIN
}

/// A string that a reply lacks, and where it belongs.
#[derive(Clone, Debug)]
pub struct Lent {
    /// So many bytes of the reply are before it.
    pub at: usize,
    /// The string; whoever keeps it has a hold on it, too, and changes nothing of it meanwhile.
    pub string: SharedBytes,
}

impl Lent {
    /// The same of what is left without the first so many bytes.
    pub fn without(self, bytes_count: usize) -> Self {
        let at = self.at - bytes_count;
        Self { at, ..self }
    }

    /// The same of a reply that stands behind so many bytes.
    pub fn behind(self, bytes_count: usize) -> Self {
        let at = self.at + bytes_count;
        Self { at, ..self }
    }
}
