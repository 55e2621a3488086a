//! Intset: a sorted array of integers, all as wide as the widest needs.
//!
//!     | width u32: 2, 4 or 8 | count u32 | integer ... integer |      little-endian, signed, ascending
//!
//! Promises  one allocation, none when empty; the bytes are Redis's, so dumps and snapshots carry them unchanged; the width
//!           grows with what is added and never shrinks.
//! Not here  when a set has outgrown it: `keyspace/set.rs`.
//! Source    the format as redis-rdb-tools describes it.
//! Tests     tests/ds/intset.rs: a model, golden bytes; fuzz target `intset`.

use crate::base::rng::Rng;
use crate::ds::mover::Mover;
use crate::ds::thin_bytes::ThinBytes;

const HEADER_BYTES: usize = 8;
const EMPTY: [u8; HEADER_BYTES] = [2, 0, 0, 0, 0, 0, 0, 0];

/// Integers, each once.
#[derive(Clone, Default)]
pub struct Intset {
    /// None while there are no integers. Behind a pointer of no alignment, so that a set is nine bytes.
    bytes: ThinBytes,
}

const _: () = assert!(size_of::<Intset>() == 8 && align_of::<Intset>() == 1);

impl Intset {
    /// An empty one; allocates nothing.
    pub const fn new() -> Self {
        Self {
            bytes: ThinBytes::new(),
        }
    }

    /// Copies an intset that came from elsewhere.
    ///
    /// - `None` unless width and count are right to the last byte, there is an integer, and they ascend.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (width, rest) = bytes.split_first_chunk::<4>()?;
        let (count, integers) = rest.split_first_chunk::<4>()?;
        let width = u32::from_le_bytes(*width);
        let count = u32::from_le_bytes(*count) as usize;
        if !matches!(width, 2 | 4 | 8) || count == 0 {
            return None;
        }
        if count.checked_mul(width as usize)? != integers.len() {
            return None;
        }
        let copy = Self {
            bytes: ThinBytes::copy_of(bytes),
        };
        copy.is_ascending().then_some(copy)
    }

    /// Of these integers, which ascend.
    ///
    /// - `width_min`: it is at least as wide as this other one, as if it were what is left of that.
    pub fn from_ascending(integers: &[i64], width_min: &Self) -> Self {
        let (Some(first), Some(last)) = (integers.first(), integers.last()) else {
            return Self::new();
        };
        debug_assert!(integers.is_sorted_by(|one, next| one < next));
        let width = width_of(*first).max(width_of(*last)).max(width_min.width());
        let mut bytes = ThinBytes::new();
        bytes.resize(HEADER_BYTES + integers.len() * width);
        bytes[..4].copy_from_slice(&(width as u32).to_le_bytes());
        bytes[4..HEADER_BYTES].copy_from_slice(&(integers.len() as u32).to_le_bytes());
        let places = bytes[HEADER_BYTES..].chunks_exact_mut(width);
        for (place, integer) in places.zip(integers) {
            place.copy_from_slice(&integer.to_le_bytes()[..width]);
        }
        Self { bytes }
    }

    /// All of it, header included.
    pub fn as_bytes(&self) -> &[u8] {
        if self.bytes.is_empty() {
            return &EMPTY;
        }
        &self.bytes
    }

    /// Integers.
    #[inline]
    pub fn len(&self) -> usize {
        (self.as_bytes().len() - HEADER_BYTES) / self.width()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes allocated.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.bytes.heap_bytes()
    }

    /// The integer with this index, in ascending order.
    #[inline]
    pub fn get(&self, index: usize) -> Option<i64> {
        let width = self.width();
        let at = index.checked_mul(width)?.checked_add(HEADER_BYTES)?;
        self.as_bytes().get(at..at + width).map(integer_of)
    }

    /// The smallest.
    pub fn first(&self) -> Option<i64> {
        self.get(0)
    }

    /// The largest.
    pub fn last(&self) -> Option<i64> {
        self.get(self.len().checked_sub(1)?)
    }

    /// All, in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator {
        let integers = &self.as_bytes()[HEADER_BYTES..];
        integers.chunks_exact(self.width()).map(integer_of)
    }

    /// Whether the integer is there.
    #[inline]
    pub fn contains(&self, integer: i64) -> bool {
        width_of(integer) <= self.width() && self.search(integer).is_ok()
    }

    /// Adds an integer; false where it is there already.
    ///
    /// - Cost: what is behind it moves; all of it where the integers must become wider.
    pub fn insert(&mut self, integer: i64) -> bool {
        let index = if width_of(integer) > self.width() {
            self.widen(width_of(integer));
            // Wider than all others, so before or behind all of them.
            if integer < 0 { 0 } else { self.len() }
        } else {
            match self.search(integer) {
                Ok(_) => return false,
                Err(index) => index,
            }
        };
        let (width, old_bytes) = (self.width(), self.as_bytes().len());
        let bytes = &mut self.bytes;
        let is_first = bytes.is_empty();
        bytes.resize(old_bytes + width);
        if is_first {
            bytes[..HEADER_BYTES].copy_from_slice(&EMPTY);
        }
        let at = HEADER_BYTES + index * width;
        bytes.copy_within(at..old_bytes, at + width);
        bytes[at..at + width].copy_from_slice(&integer.to_le_bytes()[..width]);
        self.write_count();
        true
    }

    /// Removes an integer; false where it is not there.
    pub fn remove(&mut self, integer: i64) -> bool {
        if width_of(integer) > self.width() {
            return false;
        }
        let Ok(index) = self.search(integer) else {
            return false;
        };
        self.remove_at(index);
        true
    }

    /// Removes the integer with this index, and returns it.
    pub fn remove_at(&mut self, index: usize) -> Option<i64> {
        let removed = self.get(index)?;
        if self.len() == 1 {
            *self = Self::new();
            return Some(removed);
        }
        let width = self.width();
        let at = HEADER_BYTES + index * width;
        self.bytes.copy_within(at + width.., at);
        let kept_bytes = self.bytes.len() - width;
        self.bytes.resize(kept_bytes);
        self.write_count();
        Some(removed)
    }

    /// An integer, each as likely as any other.
    pub fn random(&self, rng: &mut Rng) -> Option<i64> {
        self.get(rng.below(self.len() as u64) as usize)
    }

    /// Bytes of an integer.
    #[inline]
    fn width(&self) -> usize {
        usize::from(self.as_bytes()[0])
    }

    /// The integer's index, or where it belongs.
    #[inline]
    fn search(&self, integer: i64) -> Result<usize, usize> {
        let integers = &self.as_bytes()[HEADER_BYTES..];
        match self.width() {
            2 => search_in(integers, integer, |bytes| i16::from_le_bytes(bytes).into()),
            4 => search_in(integers, integer, |bytes| i32::from_le_bytes(bytes).into()),
            _ => search_in(integers, integer, i64::from_le_bytes),
        }
    }

    #[cold]
    fn widen(&mut self, width: usize) {
        let mut bytes = ThinBytes::new();
        bytes.resize(HEADER_BYTES + self.len() * width);
        bytes[..4].copy_from_slice(&(width as u32).to_le_bytes());
        bytes[4..HEADER_BYTES].copy_from_slice(&(self.len() as u32).to_le_bytes());
        let places = bytes[HEADER_BYTES..].chunks_exact_mut(width);
        for (place, integer) in places.zip(self.iter()) {
            place.copy_from_slice(&integer.to_le_bytes()[..width]);
        }
        self.bytes = bytes;
    }

    fn write_count(&mut self) {
        let count = self.len() as u32;
        self.bytes[4..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
    }

    /// Moves its allocation.
    pub fn move_by(&mut self, mover: &mut Mover<'_>) {
        mover.thin_bytes(&mut self.bytes);
    }

    fn is_ascending(&self) -> bool {
        self.iter()
            .zip(self.iter().skip(1))
            .all(|(one, next)| one < next)
    }
}

/// The integer's index among those of one width, or where it belongs: a search without a branch that could be guessed wrong.
#[inline]
fn search_in<const WIDTH: usize>(
    bytes: &[u8],
    integer: i64,
    read: impl Fn([u8; WIDTH]) -> i64,
) -> Result<usize, usize> {
    let (places, _) = bytes.as_chunks::<WIDTH>();
    // What is added in order belongs at the end.
    match places.last() {
        None => return Err(0),
        Some(last) if read(*last) < integer => return Err(places.len()),
        Some(_) => {}
    }
    places.binary_search_by_key(&integer, |place| read(*place))
}

/// An integer of 2, 4 or 8 bytes.
#[inline]
fn integer_of(bytes: &[u8]) -> i64 {
    match *bytes {
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => 0,
    }
}

/// Bytes that an integer needs: 2, 4 or 8.
#[inline]
fn width_of(integer: i64) -> usize {
    if i16::try_from(integer).is_ok() {
        2
    } else if i32::try_from(integer).is_ok() {
        4
    } else {
        8
    }
}
