//! StreamId: milliseconds and a sequence number, what a stream's entries are ordered by.
//!
//!     | ms u64 | seq u64 |     big-endian in keys, `ms-seq` in decimal as text
//!
//! Tests     tests/ds/stream.rs.

use crate::base::number::write_u64_before;
use std::cmp::Ordering;
use std::fmt;

/// Room for an id's text: two 64-bit numbers and a dash.
pub type IdText = [u8; 41];

/// An entry's id. Ordered by milliseconds, then by sequence.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct StreamId {
    /// Milliseconds since the epoch, or whatever the client counts.
    pub ms: u64,
    /// The number within them.
    pub seq: u64,
}

impl StreamId {
    /// `0-0`, which no entry has.
    pub const MIN: Self = Self::new(0, 0);
    /// The last id there can be.
    pub const MAX: Self = Self::new(u64::MAX, u64::MAX);

    /// `ms-seq`.
    #[inline]
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The id right after this one; none after the last.
    #[inline]
    pub const fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self::new(self.ms, seq)),
            None => match self.ms.checked_add(1) {
                Some(ms) => Some(Self::new(ms, 0)),
                None => None,
            },
        }
    }

    /// The id right before this one; none before `0-0`.
    #[inline]
    pub const fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self::new(self.ms, seq)),
            None => match self.ms.checked_sub(1) {
                Some(ms) => Some(Self::new(ms, u64::MAX)),
                None => None,
            },
        }
    }

    /// How far it is after `other`, which comes before it; 0 where it does not.
    #[inline]
    pub(super) const fn since(self, other: Self) -> u128 {
        self.bits().saturating_sub(other.bits())
    }

    /// Whether it is `0-0`.
    #[inline]
    pub const fn is_zero(self) -> bool {
        self.ms == 0 && self.seq == 0
    }

    /// The id of an entry in a node whose first id is `self`; the differences wrap, as they were made.
    #[inline]
    pub(super) const fn offset(self, ms: i64, seq: i64) -> Self {
        Self::new(
            self.ms.wrapping_add_signed(ms),
            self.seq.wrapping_add_signed(seq),
        )
    }

    /// Its 16 bytes, big-endian, whose order is the ids' order.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.bits().to_be_bytes()
    }

    /// The least and the greatest id that begin with the same `bytes` bytes.
    pub(super) const fn with_prefix(self, bytes: usize) -> (Self, Self) {
        let rest = match bytes {
            0 => u128::MAX,
            16.. => 0,
            _ => u128::MAX >> (bytes * 8),
        };
        let (least, greatest) = (self.bits() & !rest, self.bits() | rest);
        (
            Self::new((least >> 64) as u64, least as u64),
            Self::new((greatest >> 64) as u64, greatest as u64),
        )
    }

    const fn bits(self) -> u128 {
        (self.ms as u128) << 64 | self.seq as u128
    }

    /// What [`StreamId::to_bytes`] gave.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let bits = u128::from_be_bytes(bytes);
        Self::new((bits >> 64) as u64, bits as u64)
    }

    /// `ms-seq`, written to the end of `buffer`.
    #[inline]
    pub fn text(self, buffer: &mut IdText) -> &[u8] {
        let end = buffer.len();
        let dash = write_u64_before(buffer, end, self.seq) - 1;
        buffer[dash] = b'-';
        let start = write_u64_before(buffer, dash, self.ms);
        &buffer[start..]
    }
}

/// As one number of 128 bits: searches compare ids without a branch.
impl Ord for StreamId {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.bits().cmp(&other.bits())
    }
}

impl PartialOrd for StreamId {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }

    #[inline]
    fn lt(&self, other: &Self) -> bool {
        self.bits() < other.bits()
    }

    #[inline]
    fn le(&self, other: &Self) -> bool {
        self.bits() <= other.bits()
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
