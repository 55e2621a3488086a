//! Bits of a byte string: counted, found, combined. Bit 0 is the highest bit of byte 0.
//!
//! Promises  bulk work goes at the speed of memory: counting is one plain loop, compiled for processors that count bits, and
//!           chosen at run time. (Baseline x86-64 has no popcnt: there LLVM counts a word in a dozen instructions.)
//! Not here  offsets as clients write them, fields of integers: `commands/bitmap.rs`, `commands/bitfield.rs`.
//! Tests     tests/ds/bitmap.rs: against bit by bit loops, at every edge.

use std::ops::Range;

/// Shorter strings are counted before the processor is asked what it has.
#[cfg(target_arch = "x86_64")]
const COUNTED_BYTES_MIN: usize = 64;

/// How many bits are set.
#[inline]
pub fn count(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= COUNTED_BYTES_MIN {
        if is_x86_feature_detected!("avx512vl") && is_x86_feature_detected!("avx512vpopcntdq") {
            // SAFETY: the processor has what the function is compiled for, as was just asked.
            return unsafe { count_avx512(bytes) };
        }
        if is_x86_feature_detected!("popcnt") {
            // SAFETY: likewise.
            return unsafe { count_popcnt(bytes) };
        }
    }
    count_plain(bytes)
}

/// How many bits of `range` are set; the range lies within the bytes.
pub fn count_in(bytes: &[u8], range: Range<u64>) -> u64 {
    if range.is_empty() {
        return 0;
    }
    let edges = Edges::of(&range);
    let ones = |index: usize| u64::from((bytes[index] & edges.mask(index)).count_ones());
    if edges.first == edges.last {
        return ones(edges.first);
    }
    ones(edges.first) + count(&bytes[edges.first + 1..edges.last]) + ones(edges.last)
}

/// The first bit of `range` that is `bit`; the range lies within the bytes.
pub fn find(bytes: &[u8], bit: bool, range: Range<u64>) -> Option<u64> {
    if range.is_empty() {
        return None;
    }
    let edges = Edges::of(&range);
    let flip = if bit { 0 } else { 0xff };
    let found = |index: usize| {
        let wanted = (bytes[index] ^ flip) & edges.mask(index);
        (wanted != 0).then(|| index as u64 * 8 + u64::from(wanted.leading_zeros()))
    };
    if let Some(position) = found(edges.first) {
        return Some(position);
    }
    if edges.first == edges.last {
        return None;
    }
    let start = edges.first + 1;
    match first_other(&bytes[start..edges.last], flip) {
        Some(offset) => found(start + offset),
        None => found(edges.last),
    }
}

/// What a combination does with its sources, bit by bit. The sources are X, Y1, Y2 …; a bit past a source's end is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// Set in all.
    And,
    /// Set in any.
    Or,
    /// Set in an odd number of them.
    Xor,
    /// Not set in X, the only one.
    Not,
    /// Set in X and in no Y.
    Diff,
    /// Set in a Y and not in X.
    Diff1,
    /// Set in X and in a Y.
    AndOr,
    /// Set in exactly one.
    One,
}

/// Combines sources one after the other, so that they need not be at hand all at once.
pub struct Combiner {
    how: Combine,
    /// X, for the combinations that need it at the end.
    first: Vec<u8>,
    /// What the sources so far come to.
    bits: Vec<u8>,
    /// Bits set in two sources or more, for [`Combine::One`].
    again: Vec<u8>,
    length: usize,
    sources_count: usize,
}

impl Combiner {
    /// No source yet.
    pub fn new(how: Combine) -> Self {
        Self {
            how,
            first: Vec::new(),
            bits: Vec::new(),
            again: Vec::new(),
            length: 0,
            sources_count: 0,
        }
    }

    /// The next source.
    pub fn add(&mut self, source: &[u8]) {
        self.length = self.length.max(source.len());
        self.sources_count += 1;
        let is_first = self.sources_count == 1;
        match self.how {
            Combine::Diff1 | Combine::AndOr if is_first => self.first = source.to_vec(),
            _ if is_first => self.bits = source.to_vec(),
            Combine::And => {
                self.bits.truncate(source.len());
                apply(&mut self.bits, source, |a, b| a & b);
            }
            Combine::Or | Combine::Diff1 | Combine::AndOr => {
                self.join(source, |a, b| a | b);
            }
            Combine::Xor | Combine::Not => self.join(source, |a, b| a ^ b),
            Combine::Diff => apply(&mut self.bits, source, |a, b| a & !b),
            Combine::One => {
                let mut both = self.bits.clone();
                both.truncate(source.len());
                apply(&mut both, source, |a, b| a & b);
                if self.again.len() < both.len() {
                    self.again.resize(both.len(), 0);
                }
                apply(&mut self.again, &both, |a, b| a | b);
                self.join(source, |a, b| a | b);
            }
        }
    }

    /// The combination, as long as the longest source.
    pub fn finish(mut self) -> Vec<u8> {
        match self.how {
            Combine::Not => self.bits.iter_mut().for_each(|byte| *byte = !*byte),
            Combine::Diff1 => apply(&mut self.bits, &self.first, |a, b| a & !b),
            Combine::AndOr => {
                self.bits.truncate(self.first.len());
                apply(&mut self.bits, &self.first, |a, b| a & b);
            }
            Combine::One => apply(&mut self.bits, &self.again, |a, b| a & !b),
            Combine::And | Combine::Or | Combine::Xor | Combine::Diff => {}
        }
        self.bits.resize(self.length, 0);
        self.bits
    }

    /// `apply` where a longer source goes on with its own bits.
    fn join(&mut self, source: &[u8], operation: impl Fn(u8, u8) -> u8 + Copy) {
        let shared = self.bits.len().min(source.len());
        apply(&mut self.bits, &source[..shared], operation);
        self.bits.extend_from_slice(&source[shared..]);
    }
}

/// The operation on every byte that both have.
#[inline]
fn apply(bits: &mut [u8], source: &[u8], operation: impl Fn(u8, u8) -> u8 + Copy) {
    // LLVM makes this 32 bytes a step with the registers every x86-64 has; memory is slower than that.
    for (byte, other) in bits.iter_mut().zip(source) {
        *byte = operation(*byte, *other);
    }
}

/// The first and the last byte of a range of bits, and which of their bits belong to it.
struct Edges {
    first: usize,
    last: usize,
    first_mask: u8,
    last_mask: u8,
}

impl Edges {
    /// Of a range that is not empty.
    fn of(range: &Range<u64>) -> Self {
        let last_bit = range.end - 1;
        Self {
            first: (range.start / 8) as usize,
            last: (last_bit / 8) as usize,
            first_mask: 0xff >> (range.start % 8),
            last_mask: 0xff << (7 - last_bit % 8),
        }
    }

    fn mask(&self, index: usize) -> u8 {
        let first = if index == self.first {
            self.first_mask
        } else {
            0xff
        };
        let last = if index == self.last {
            self.last_mask
        } else {
            0xff
        };
        first & last
    }
}

/// The first byte that is not `byte`.
fn first_other(bytes: &[u8], byte: u8) -> Option<usize> {
    let word = u64::from_ne_bytes([byte; 8]);
    let (blocks, rest) = bytes.as_chunks::<64>();
    let differs = |block: &[u8; 64]| {
        let (words, _) = block.as_chunks::<8>();
        let fold = |bits, other: &[u8; 8]| bits | (u64::from_ne_bytes(*other) ^ word);
        words.iter().fold(0, fold) != 0
    };
    let (start, tail) = match blocks.iter().position(differs) {
        Some(index) => (index * 64, blocks[index].as_slice()),
        None => (blocks.len() * 64, rest),
    };
    let offset = tail.iter().position(|other| *other != byte)?;
    Some(start + offset)
}

/// Eight words an instruction.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512vpopcntdq")]
fn count_avx512(bytes: &[u8]) -> u64 {
    count_plain(bytes)
}

/// A word an instruction: twice as fast as what LLVM makes of the same loop for AVX2, which has no such instruction.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
fn count_popcnt(bytes: &[u8]) -> u64 {
    count_plain(bytes)
}

/// A loop, not an iterator's fold: that would be a function of its own, compiled for any processor.
#[inline(always)]
fn count_plain(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<64>();
    let mut sums = [0u64; 8];
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for place in 0..8 {
            sums[place] += u64::from(u64::from_ne_bytes(words[place]).count_ones());
        }
    }
    let mut total = 0;
    for sum in sums {
        total += sum;
    }
    for byte in rest {
        total += u64::from(byte.count_ones());
    }
    total
}
