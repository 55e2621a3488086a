//! HyperLogLog: how many different strings were added, within 0.8%, in 12 KiB or less.
//!
//!     | "HYLL" | encoding u8 | 0 0 0 | cardinality u64, little-endian, top bit: stale | registers |
//!
//!     dense   16,384 registers of 6 bits, the lowest bits first
//!     sparse  runs:  00nnnnnn             n + 1 registers of 0
//!                    01nnnnnn nnnnnnnn    n + 1 registers of 0
//!                    1vvvvvnn             n + 1 registers of v + 1
//!
//! Promises  byte for byte what Redis makes of the same additions; bytes from anywhere give [`Corrupt`], never a panic.
//! Not here  whose string it is: `commands/hyperloglog.rs`.
//! Source    O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", 2017, for the estimate;
//!           A. Appleby's MurmurHash2 (64-bit, "A") for the hash.
//! Tests     tests/ds/hyperloglog.rs; fuzz/fuzz_targets/hyperloglog.rs.

mod avx2;
mod sparse;

use sparse::Run;
pub use sparse::{Cursor, text};

/// Registers there are.
pub const REGISTERS_COUNT: usize = 1 << INDEX_BITS;
/// Bytes before the registers.
pub const HEADER_BYTES: usize = 16;
/// A dense one's length.
pub const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS_COUNT * 6 / 8;

const INDEX_BITS: u32 = 14;
/// Hash bits that are counted: a register holds up to one more.
const COUNTED_BITS: u32 = 64 - INDEX_BITS;
const HASH_SEED: u64 = 0xadc8_3b19;
/// 1 / (2 ln 2): the estimator's constant for infinitely many registers.
const ALPHA: f64 = 0.721_347_520_444_481_7;
const ENCODING_AT: usize = 4;
const CARDINALITY_AT: usize = 8;
const STALE: u64 = 1 << 63;

/// The runs of a sparse one do not add up to its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// How registers are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Six bits each.
    Dense,
    /// Runs.
    Sparse,
}

/// The encoding of what could be a HyperLogLog by its header and length; `None` for anything else.
pub fn encoding(bytes: &[u8]) -> Option<Encoding> {
    if bytes.len() < HEADER_BYTES || !bytes.starts_with(b"HYLL") {
        return None;
    }
    match bytes[ENCODING_AT] {
        0 if bytes.len() == DENSE_BYTES => Some(Encoding::Dense),
        1 => Some(Encoding::Sparse),
        _ => None,
    }
}

/// An empty one, sparse.
pub fn empty() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 * HEADER_BYTES);
    bytes.extend_from_slice(b"HYLL\x01");
    bytes.resize(HEADER_BYTES, 0);
    Run::zeros(REGISTERS_COUNT).push_to(&mut bytes);
    bytes
}

/// Where an added string counts: its register, and what that is raised to.
#[inline]
pub fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element, HASH_SEED);
    let index = hash as usize & (REGISTERS_COUNT - 1);
    let rest = hash >> INDEX_BITS | 1 << COUNTED_BITS;
    (index, rest.trailing_zeros() as u8 + 1)
}

/// A HyperLogLog taken out to be changed.
pub struct Sketch {
    bytes: Vec<u8>,
    encoding: Encoding,
    /// Where the next sparse register is looked for first, if it is not before.
    cursor: Cursor,
    /// `hll-sparse-max-bytes`: a sparse one that would be longer becomes dense.
    sparse_bytes_max: usize,
}

impl Sketch {
    /// Takes bytes that [`encoding`] knows; `None` otherwise.
    pub fn new(bytes: Vec<u8>, sparse_bytes_max: usize) -> Option<Self> {
        Some(Self {
            encoding: encoding(&bytes)?,
            bytes,
            cursor: Cursor::START,
            sparse_bytes_max,
        })
    }

    /// A copy, with room for the first register that is raised, and where [`lower`] found that one.
    pub fn copied(bytes: &[u8], first: Cursor, sparse_bytes_max: usize) -> Option<Self> {
        let mut copy = Vec::with_capacity(bytes.len() + sparse::GROWTH_BYTES_MAX);
        copy.extend_from_slice(bytes);
        let sketch = Self::new(copy, sparse_bytes_max)?;
        Some(Self {
            cursor: first,
            ..sketch
        })
    }

    /// Raises a register to `count` and says whether it was lower.
    pub fn raise(&mut self, index: usize, count: u8) -> Result<bool, Corrupt> {
        let is_raised = match self.encoding {
            Encoding::Dense => raise_dense(&mut self.bytes, index, count),
            Encoding::Sparse => {
                let bytes_max = self.sparse_bytes_max;
                let cursor = &mut self.cursor;
                match sparse::raise(&mut self.bytes, index, count, bytes_max, cursor)? {
                    sparse::Raised::Not => false,
                    sparse::Raised::Done => true,
                    sparse::Raised::TooLarge => {
                        self.make_dense()?;
                        raise_dense(&mut self.bytes, index, count)
                    }
                }
            }
        };
        if is_raised {
            self.make_stale();
        }
        Ok(is_raised)
    }

    /// Raises all registers to those of `registers`.
    pub fn raise_all(&mut self, registers: &Registers) -> Result<(), Corrupt> {
        self.cursor = Cursor::START;
        for (group, eight) in registers.0.as_chunks::<8>().0.iter().enumerate() {
            if u64::from_ne_bytes(*eight) == 0 {
                continue;
            }
            for (place, &count) in eight.iter().enumerate() {
                if count != 0 {
                    self.raise(8 * group + place, count)?;
                }
            }
        }
        self.cursor = Cursor::START;
        Ok(())
    }

    /// Turns a sparse one dense; the cached cardinality stays.
    pub fn make_dense(&mut self) -> Result<(), Corrupt> {
        if self.encoding == Encoding::Sparse {
            let mut registers = Registers::default();
            registers.raise_to(&self.bytes)?;
            self.set_dense(&registers);
        }
        Ok(())
    }

    /// Gives it these registers, dense; the cached cardinality stays.
    pub fn set_dense(&mut self, registers: &Registers) {
        let mut dense = vec![0; DENSE_BYTES];
        dense[..HEADER_BYTES].copy_from_slice(&self.bytes[..HEADER_BYTES]);
        dense[ENCODING_AT] = 0;
        registers.pack(&mut dense[HEADER_BYTES..]);
        self.bytes = dense;
        self.encoding = Encoding::Dense;
    }

    /// The next question for the cardinality counts anew.
    pub fn make_stale(&mut self) {
        make_stale(&mut self.bytes);
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Where a register is that raising would change; `None` where that would change nothing.
pub fn lower(bytes: &[u8], index: usize, count: u8) -> Result<Option<Cursor>, Corrupt> {
    match encoding(bytes) {
        Some(Encoding::Dense) => {
            let is_lower = dense_register(&bytes[HEADER_BYTES..], index) < count;
            Ok(is_lower.then_some(Cursor::START))
        }
        Some(Encoding::Sparse) => sparse::lower(bytes, index, count),
        None => Err(Corrupt),
    }
}

/// Raises a register of a dense one in place and says whether it was lower. The cached cardinality is not touched.
pub fn raise_dense(bytes: &mut [u8], index: usize, count: u8) -> bool {
    let registers = &mut bytes[HEADER_BYTES..];
    if dense_register(registers, index) >= count {
        return false;
    }
    let (at, shift) = (index * 6 / 8, index * 6 % 8);
    let mut word = u16::from(registers[at]);
    let has_next = at + 1 < registers.len();
    if has_next {
        word |= u16::from(registers[at + 1]) << 8;
    }
    word = word & !(0x3f << shift) | u16::from(count & 0x3f) << shift;
    registers[at] = word as u8;
    if has_next {
        registers[at + 1] = (word >> 8) as u8;
    }
    true
}

#[inline]
fn dense_register(registers: &[u8], index: usize) -> u8 {
    let (at, shift) = (index * 6 / 8, index * 6 % 8);
    let next = registers.get(at + 1).copied().unwrap_or(0);
    let word = u16::from(registers[at]) | u16::from(next) << 8;
    (word >> shift & 0x3f) as u8
}

/// Gives a dense one these registers, in place.
pub fn set_registers(bytes: &mut [u8], registers: &Registers) {
    registers.pack(&mut bytes[HEADER_BYTES..]);
    make_stale(bytes);
}

/// The cardinality the header remembers; `None` where it is stale.
pub fn cached_cardinality(bytes: &[u8]) -> Option<u64> {
    let (word, _) = bytes.get(CARDINALITY_AT..)?.split_first_chunk::<8>()?;
    let cardinality = u64::from_le_bytes(*word);
    (cardinality & STALE == 0).then_some(cardinality)
}

/// Marks the cached cardinality as out of date.
pub fn make_stale(bytes: &mut [u8]) {
    bytes[CARDINALITY_AT + 7] |= 0x80;
}

/// Writes the cardinality into the header.
pub fn cache_cardinality(bytes: &mut [u8], cardinality: u64) {
    bytes[CARDINALITY_AT..HEADER_BYTES].copy_from_slice(&cardinality.to_le_bytes());
}

/// Every register, a byte each.
#[derive(Clone)]
pub struct Registers(Box<[u8; REGISTERS_COUNT]>);

impl Default for Registers {
    fn default() -> Self {
        let zeros = vec![0; REGISTERS_COUNT].into_boxed_slice();
        Self(zeros.try_into().expect("it has this length"))
    }
}

impl Registers {
    /// Raises each to that of a HyperLogLog.
    pub fn raise_to(&mut self, bytes: &[u8]) -> Result<(), Corrupt> {
        match encoding(bytes).ok_or(Corrupt)? {
            Encoding::Dense => {
                let done = avx2::raise(&mut self.0, &bytes[HEADER_BYTES..]) / 8;
                let (eights, _) = self.0.as_chunks_mut::<8>();
                for (index, eight) in eights.iter_mut().enumerate().skip(done) {
                    let own = u64::from_le_bytes(*eight);
                    let other = eight_registers(bytes, index);
                    *eight = larger_bytes(own, other).to_le_bytes();
                }
                Ok(())
            }
            Encoding::Sparse => sparse::for_each_run(bytes, |start, run| {
                // Nearly all registers of a sparse one are in such runs, and none rises to it.
                if run.value == 0 {
                    return;
                }
                for register in &mut self.0[start..start + run.length] {
                    *register = (*register).max(run.value);
                }
            }),
        }
    }

    /// Raises one; `index` and `count` are what [`place`] says.
    pub fn raise(&mut self, index: usize, count: u8) {
        self.0[index] = self.0[index].max(count);
    }

    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u8> {
        self.0.iter().copied()
    }

    /// The estimated cardinality.
    pub fn cardinality(&self) -> u64 {
        let mut histogram = Histogram::default();
        // Apart: each addition to memory would wait for the one before.
        let mut empty_count = 0;
        for eight in self.0.as_chunks::<8>().0 {
            if u64::from_ne_bytes(*eight) == 0 {
                empty_count += 8;
                continue;
            }
            histogram.count(*eight);
        }
        histogram.0[0][0] += empty_count;
        estimate(&histogram.sum())
    }

    /// As dense registers; `dense` is what follows the header.
    pub fn pack(&self, dense: &mut [u8]) {
        let done = avx2::pack(&self.0, dense) / 8;
        let (eights, _) = self.0.as_chunks::<8>();
        let (sixes, _) = dense.as_chunks_mut::<6>();
        for (six, eight) in sixes.iter_mut().zip(eights).skip(done) {
            *six = gather(*eight);
        }
    }
}

/// Registers `8 * index` to `8 * index + 7` of a dense one, a byte each: halves move apart three times.
#[inline]
fn eight_registers(bytes: &[u8], index: usize) -> u64 {
    // Read with the two bytes before, which are there: one load.
    let end = HEADER_BYTES + 6 * index + 6;
    let eight = bytes[end - 8..end].first_chunk::<8>();
    let mut word = u64::from_le_bytes(*eight.expect("they are eight")) >> 16;
    word = word & 0x0000_0000_00ff_ffff | (word & 0x0000_ffff_ff00_0000) << 8;
    word = word & 0x0000_0fff_0000_0fff | (word & 0x00ff_f000_00ff_f000) << 4;
    word & 0x003f_003f_003f_003f | (word & 0x0fc0_0fc0_0fc0_0fc0) << 2
}

/// The larger of each two bytes, all below 0x80.
#[inline]
fn larger_bytes(one: u64, other: u64) -> u64 {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let is_larger = ((one | HIGH) - other) & HIGH;
    let mask = is_larger - (is_larger >> 7);
    one & mask | other & !mask
}

/// The way back.
#[inline]
fn gather(eight: [u8; 8]) -> [u8; 6] {
    let mut word = u64::from_le_bytes(eight);
    word = word & 0x003f_003f_003f_003f | (word & 0x3f00_3f00_3f00_3f00) >> 2;
    word = word & 0x0000_0fff_0000_0fff | (word & 0x0fff_0000_0fff_0000) >> 4;
    word = word & 0x0000_0000_00ff_ffff | (word & 0x00ff_ffff_0000_0000) >> 8;
    let [b0, b1, b2, b3, b4, b5, ..] = word.to_le_bytes();
    [b0, b1, b2, b3, b4, b5]
}

/// How many registers have which value. Four counts of each: neighbours are often alike, and a count would wait for its
/// last change.
struct Histogram([[u32; 64]; 4]);

impl Default for Histogram {
    fn default() -> Self {
        Self([[0; 64]; 4])
    }
}

impl Histogram {
    #[inline]
    fn count(&mut self, eight: [u8; 8]) {
        for (place, register) in eight.into_iter().enumerate() {
            self.0[place % 4][usize::from(register & 0x3f)] += 1;
        }
    }

    fn sum(&self) -> [u32; 64] {
        std::array::from_fn(|value| self.0.iter().map(|counts| counts[value]).sum())
    }
}

/// The estimated cardinality of a HyperLogLog, counted from its registers.
pub fn cardinality(bytes: &[u8]) -> Result<u64, Corrupt> {
    let histogram = match encoding(bytes).ok_or(Corrupt)? {
        Encoding::Dense => {
            let mut histogram = Histogram::default();
            for index in 0..REGISTERS_COUNT / 8 {
                histogram.count(eight_registers(bytes, index).to_le_bytes());
            }
            histogram.sum()
        }
        Encoding::Sparse => {
            let mut histogram = [0; 64];
            sparse::for_each_run(bytes, |_, run| {
                histogram[usize::from(run.value)] += run.length as u32;
            })?;
            histogram
        }
    };
    Ok(estimate(&histogram))
}

/// How many registers have which value, to how many strings were added.
fn estimate(histogram: &[u32; 64]) -> u64 {
    let m = REGISTERS_COUNT as f64;
    let full = histogram[COUNTED_BITS as usize + 1];
    let mut z = m * tau((m - f64::from(full)) / m);
    for count in histogram[1..=COUNTED_BITS as usize].iter().rev() {
        z = (z + f64::from(*count)) * 0.5;
    }
    z += m * sigma(f64::from(histogram[0]) / m);
    let estimate = (ALPHA * m * m / z).round();
    // Registers no additions could have given lead past every integer; Redis answers what its processor then does.
    if estimate < STALE as f64 {
        estimate as u64
    } else {
        STALE
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// MurmurHash2 for 64-bit machines.
fn murmur64a(bytes: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(M);
        word ^= word >> R;
        hash = (hash ^ word.wrapping_mul(M)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let fold = |word, byte: &u8| word << 8 | u64::from(*byte);
        hash = (hash ^ rest.iter().rev().fold(0, fold)).wrapping_mul(M);
    }
    hash ^= hash >> R;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> R
}
