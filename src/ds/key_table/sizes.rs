//! Sizes: how many values of each kind have how many bits in their size, counted at every change.
//!
//!     kind 0, strings: bytes, of an integer those of its text · kinds from 1 on: what `HeapSize::extent` says of an object
//!
//! Promises  [`KeyTable::sizes`] and [`KeyTable::kind_bytes`] are what a walk over all entries would count. A string that is overwritten by one of its
//!           own length costs nothing, any other change one comparison of two bins; looking costs no walk.
//! Not here  what kinds there are: `keyspace/value.rs`.
//! Tests     `tests/keyspace/sizes.rs`: random commands against a walk.

use super::entry::{self, Kind};
use super::large::Large;
use super::payload::{Payload, object_in};
use super::{HeapSize, KeyTable};

/// Kinds of values, strings among them.
pub const KINDS_COUNT: usize = 7;

/// Bins of one kind: 0, and one for each number of bits of a size. Sizes from 2^46 on share the last.
const BINS_COUNT: usize = 48;

/// A kind and the bits of a size: a place among the counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Bin(u16);

impl Bin {
    pub(super) const NONE: Self = Self(0);

    /// - `kind`: below [`KINDS_COUNT`].
    #[inline]
    pub(super) fn of((kind, size): (usize, usize)) -> Self {
        debug_assert!(kind < KINDS_COUNT, "kinds are few");
        let bits = (usize::BITS - size.leading_zeros()) as usize;
        Self((kind * BINS_COUNT + bits.min(BINS_COUNT - 1)) as u16)
    }

    #[inline]
    pub(super) fn of_string(bytes_count: usize) -> Self {
        Self::of((0, bytes_count))
    }

    #[inline]
    pub(super) fn of_int(number: i64) -> Self {
        // Where its text gets a bit longer; a sign is as good as a digit more. Counters are small: the first ones decide.
        const STEPS: [u64; 4] = [10, 1_000, 10_000_000, 1_000_000_000_000_000];
        let size = match number {
            0.. => number.unsigned_abs(),
            _ => number.unsigned_abs().saturating_mul(10),
        };
        let bits = STEPS.iter().take_while(|step| size >= **step).count();
        Self(bits as u16 + 1)
    }

    pub(super) fn of_payload<T: HeapSize>(payload: &Payload<'_, T>) -> Self {
        match payload {
            Payload::Int(number, _) => Self::of_int(*number),
            Payload::Inline(bytes, _) => Self::of_string(bytes.len()),
            Payload::Shared(bytes) => Self::of_string(bytes.len()),
            Payload::Large(large, _) => Self::of_string(large.bytes().len()),
            Payload::Object(object) => Self::of(object.extent()),
        }
    }

    /// # Safety
    /// `entry` is alive and of a table of `T`.
    pub(super) unsafe fn of_entry<T: HeapSize>(entry: *mut u8) -> Self {
        // SAFETY: the caller's promise; boxes hold what their kind says.
        unsafe {
            match entry::kind(entry) {
                Kind::Int => Self::of_int(entry::int(entry)),
                Kind::Inline => Self::of_string(entry::shape(entry).payload_bytes),
                Kind::Large => Self::of_string((*entry::boxed::<Large>(entry)).bytes().len()),
                Kind::Object => Self::of((*object_in::<T>(entry)).extent()),
            }
        }
    }
}

/// Counts of values by kind and by bits of their size.
#[derive(Clone, PartialEq, Eq)]
pub struct Sizes {
    counts: [u64; KINDS_COUNT * BINS_COUNT],
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            counts: [0; KINDS_COUNT * BINS_COUNT],
        }
    }
}

impl std::fmt::Debug for Sizes {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = (0..KINDS_COUNT).map(|kind| (kind, self.of(kind).collect::<Vec<_>>()));
        out.debug_map()
            .entries(kinds.filter(|(_, bins)| !bins.is_empty()))
            .finish()
    }
}

impl Sizes {
    /// Counts a value.
    ///
    /// - `kind`: below [`KINDS_COUNT`].
    pub fn count(&mut self, kind: usize, size: usize) {
        self.enter(Bin::of((kind, size)));
    }

    // The object opened last is in the bin it had then until it is closed: a count may be below 0 in between.
    #[inline]
    pub(super) fn enter(&mut self, bin: Bin) {
        let count = &mut self.counts[usize::from(bin.0)];
        *count = count.wrapping_add(1);
    }

    #[inline]
    pub(super) fn leave(&mut self, bin: Bin) {
        let count = &mut self.counts[usize::from(bin.0)];
        *count = count.wrapping_sub(1);
    }

    #[inline]
    pub(super) fn change(&mut self, from: Bin, to: Bin) {
        if from != to {
            self.leave(from);
            self.enter(to);
        }
    }

    /// Adds another table's counts.
    pub fn add(&mut self, other: &Self) {
        let own = self.counts.iter_mut();
        own.zip(&other.counts)
            .for_each(|(own, other)| *own += other);
    }

    /// How many values a kind has.
    pub fn count_of(&self, kind: usize) -> u64 {
        self.counts[kind * BINS_COUNT..][..BINS_COUNT].iter().sum()
    }

    /// The counts of a kind that are not 0, each with the smallest size it stands for.
    pub fn of(&self, kind: usize) -> impl Iterator<Item = (u64, u64)> {
        let smallest = |bits: usize| match bits {
            0 => 0,
            bits => 1 << (bits - 1),
        };
        let counts = self.counts[kind * BINS_COUNT..][..BINS_COUNT].iter();
        counts
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(move |(bits, count)| (smallest(bits), *count))
    }
}

/// What the values of a table take, exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindBytes {
    /// What lies outside of the entries, by kind: large strings, objects.
    pub values: [usize; KINDS_COUNT],
    /// What the entries of all kinds take together, and what leads to them.
    pub entries: usize,
}

impl<T: HeapSize> KeyTable<T> {
    /// What values of each kind take. O(1).
    pub fn kind_bytes(&self) -> KindBytes {
        let mut values = self.object_bytes;
        let mut total = self.heap_bytes;
        if !self.opened.object.is_null() {
            // SAFETY: as in `used_bytes`.
            let object = unsafe { &*self.opened.object };
            let grown = object.heap_bytes().wrapping_sub(self.opened.heap_bytes);
            total = total.wrapping_add(grown);
            let of_kind = &mut values[object.extent().0];
            *of_kind = of_kind.wrapping_add(grown);
        }
        values[0] = total - values.iter().sum::<usize>();
        KindBytes {
            values,
            entries: self.slab.used_bytes() + self.index_bytes(),
        }
    }

    /// How many values of each kind have which size. O(1).
    pub fn sizes(&self) -> Sizes {
        let mut sizes = self.sizes.clone();
        if !self.opened.object.is_null() {
            // SAFETY: as in `used_bytes`.
            let now = Bin::of(unsafe { (*self.opened.object).extent() });
            sizes.change(self.opened.bin, now);
        }
        sizes
    }
}
