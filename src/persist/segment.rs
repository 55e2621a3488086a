//! Segment: one file of a log.
//!
//!     | header block | write | write | ... | zeros, as preallocated |
//!     write = | mark | record | record | ... | zeros to the next block |
//!
//! Several writes may be under way at once, so a power cut may lose any of those, in any order, or parts of them. Each
//! write's mark says which record was durable when it was handed to the disk, and that tells a tail that was never
//! acknowledged from damage to what was:
//!
//! | where the next record should be there is | and after it | then |
//! |---|---|---|
//! | nothing | nothing | the log ends here |
//! | nothing, or a bad record | nothing, or writes whose marks do not reach it | a torn tail: cut here, and said |
//! | nothing, or a bad record | a mark that reaches it | damage: refused, with file and offset |
//! | nothing, or a bad record | a next segment that begins with this record | a write had failed: go on there |
//! | a seal | a next segment | go on there |
//! | a seal | no next segment | damage: a file is missing |
//! | a header that is bad | no mark anywhere that reaches the next record | a torn tail |
//! | a header of another segment, log or epoch | whatever | refused: it is not the file that was written by this name |
//!
//! An acknowledged byte is never rewritten: a write begins at a block no other write was in.
//!
//! Tests     tests/persist/segment.rs: one for each row.

use super::record::{Found, HEADER_BYTES, Header, Kind, Record, announced_bytes, read, u64_at};
use super::source::{PIECE_BYTES, Source};
use super::{BLOCK_BYTES, BlockBuffer};
use crc64fast::Digest;

/// The format's version: one that is larger is refused. In 1 every line of an effect and every word ends in `\r\n`; since 2
/// requests are there as they came, and `persist/effects.rs` says what that means.
pub const VERSION: u32 = 2;
const MAGIC: &[u8; 8] = b"RONDOLOG";
const USED_BYTES: usize = 64;
/// A block, where offsets are counted.
const BLOCK: u64 = BLOCK_BYTES as u64;
/// SplitMix64's.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a segment's first block says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Drawn for this segment; checksums of its records begin with it.
    pub id: u64,
    /// The epoch it belongs to.
    pub epoch: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Which of the log's segments, counted from 1.
    pub sequence: u64,
    /// Whose log.
    pub core: u16,
    /// How many cores there were.
    pub cores: u16,
}

/// Why a header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Written by a version that this one does not know.
    Version(u32),
    /// No header, or a damaged one.
    Bad,
}

impl SegmentHeader {
    /// The first block.
    pub fn to_block(&self) -> BlockBuffer {
        let mut block = BlockBuffer::with_capacity(BLOCK_BYTES);
        block.extend(MAGIC);
        block.extend(&VERSION.to_le_bytes());
        block.extend(&(BLOCK_BYTES as u32).to_le_bytes());
        for number in [self.id, self.epoch, self.bytes, self.sequence] {
            block.extend(&number.to_le_bytes());
        }
        block.extend(&self.core.to_le_bytes());
        block.extend(&self.cores.to_le_bytes());
        block.extend(&[0; 4]);
        let crc = checksum(block.as_slice());
        block.extend(&crc.to_le_bytes());
        block.pad(BLOCK_BYTES);
        block
    }

    /// The id of a segment: what is left of a file that was made again counts for nothing in the new one.
    ///
    /// - `remade_count`: segments of the log that were made again before this one was made.
    pub fn id_of(seed: u64, core: u16, sequence: u64, remade_count: u64) -> u64 {
        mix(seed ^ u64::from(core) << 48 ^ remade_count << 32 ^ sequence)
    }

    /// Whether this is the header of that segment of that log, and not of another's file in its place.
    pub fn is_of(&self, (seed, epoch): (u64, u64), core: u16, sequence: u64) -> bool {
        // How many had been made again is not known, and need not be.
        let rest = unmix(self.id) ^ seed ^ u64::from(core) << 48 ^ sequence;
        (self.epoch, self.core, self.sequence) == (epoch, core, sequence) && rest as u32 == 0
    }

    /// Reads a segment's first block.
    ///
    /// - Errors: the source's.
    pub fn of(source: &mut dyn Source) -> Result<Result<Self, HeaderError>, String> {
        Ok(Self::from_bytes(source.bytes(0, BLOCK_BYTES)?))
    }

    /// Reads a first block.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HeaderError> {
        let bytes = bytes.get(..USED_BYTES).ok_or(HeaderError::Bad)?;
        if &bytes[..8] != MAGIC || checksum(&bytes[..USED_BYTES - 8]) != u64_at(bytes, 56) {
            return Err(HeaderError::Bad);
        }
        let version = u64_at(bytes, 8) as u32;
        if !(1..=VERSION).contains(&version) {
            return Err(HeaderError::Version(version));
        }
        let short = u64_at(bytes, 48);
        Ok(Self {
            id: u64_at(bytes, 16),
            epoch: u64_at(bytes, 24),
            bytes: u64_at(bytes, 32),
            sequence: u64_at(bytes, 40),
            core: short as u16,
            cores: (short >> 16) as u16,
        })
    }
}

/// SplitMix64's last step: segment ids of one seed differ in every bit.
fn mix(seed: u64) -> u64 {
    let seed = seed.wrapping_add(STEP);
    let seed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ seed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ seed >> 31
}

/// What [`mix`] was given.
fn unmix(id: u64) -> u64 {
    // The inverses of the factors, modulo 2^64.
    let id = (id ^ id >> 31 ^ id >> 62).wrapping_mul(0x3196_42b2_d24d_8ec3);
    let id = (id ^ id >> 27 ^ id >> 54).wrapping_mul(0x96de_1b17_3f11_9089);
    (id ^ id >> 30 ^ id >> 60).wrapping_sub(STEP)
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut digest = Digest::new();
    digest.write(bytes);
    digest.sum64()
}

/// Walks over the records of one segment.
pub struct Walk<'s> {
    source: &'s mut dyn Source,
    id: u64,
    at: u64,
    last_lsn: u64,
}

/// What a walk comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'s> {
    /// Effects or a transaction, and where it stands in the file.
    Record(Record<'s>, u64),
    /// The segment is sealed; the log goes on in the next.
    Sealed,
    /// No record follows at this offset.
    Nothing(u64),
    /// What is at this offset is not the next record.
    Bad(u64),
}

impl<'s> Walk<'s> {
    /// Over a segment's file, header included.
    ///
    /// - `last_lsn`: the record before; those up to it are passed over.
    pub fn new(source: &'s mut dyn Source, header: &SegmentHeader, last_lsn: u64) -> Self {
        Self {
            source,
            id: header.id,
            at: BLOCK,
            last_lsn,
        }
    }

    /// The last record met.
    pub fn last_lsn(&self) -> u64 {
        self.last_lsn
    }

    /// The next record, or why there is none.
    ///
    /// - Errors: the source's.
    pub fn step(&mut self) -> Result<Step<'_>, String> {
        let end = self.source.bytes_count();
        while self.at < end {
            let at = self.at;
            match find(self.source, at, self.id)? {
                Found::Nothing if at.is_multiple_of(BLOCK) => return Ok(Step::Nothing(at)),
                Found::Nothing => self.at = at.next_multiple_of(BLOCK),
                Found::Bad => return Ok(Step::Bad(at)),
                Found::Record(header) => {
                    let is_next = match header.kind {
                        Kind::Mark => false,
                        Kind::Seal => return Ok(Step::Sealed),
                        Kind::Effects | Kind::Transaction if header.lsn > self.last_lsn + 1 => {
                            return Ok(Step::Bad(at));
                        }
                        Kind::Effects | Kind::Transaction => header.lsn == self.last_lsn + 1,
                    };
                    self.at += header.record_bytes();
                    if is_next {
                        self.last_lsn = header.lsn;
                        let payload_end = HEADER_BYTES + header.length as usize;
                        // It has just been looked at: nothing is read again.
                        let bytes = self.source.bytes(at, payload_end)?;
                        let payload = &bytes[HEADER_BYTES..payload_end];
                        return Ok(Step::Record(Record { header, payload }, at));
                    }
                }
            }
        }
        Ok(Step::Nothing(self.at))
    }
}

/// What is at `at`, which is before the end. What is left of a write's last block may be too short for a header: the next write
/// follows at once.
fn find(source: &mut dyn Source, at: u64, id: u64) -> Result<Found<Header>, String> {
    let left = source.bytes_count() - at;
    let block_left = left.min(BLOCK - at % BLOCK) as usize;
    let bytes = source.bytes(at, HEADER_BYTES)?;
    if block_left < HEADER_BYTES && bytes[..block_left].iter().all(|&byte| byte == 0) {
        return Ok(Found::Nothing);
    }
    // What announces more than there is cannot be whole, and needs no memory.
    let announced = announced_bytes(bytes);
    if announced > left {
        return Ok(Found::Bad);
    }
    let bytes = source.bytes(at, announced as usize)?;
    Ok(match read(bytes, id) {
        Found::Record(record) => Found::Record(record.header),
        Found::Nothing => Found::Nothing,
        Found::Bad => Found::Bad,
    })
}

/// Where a mark says that record `lsn` was durable, looking from the block after `from` on.
///
/// - `ids`: of each of these segments.
pub fn find_mark(
    source: &mut dyn Source,
    ids: &[u64],
    from: u64,
    lsn: u64,
) -> Result<Option<u64>, String> {
    let end = source.bytes_count();
    let mut at = (from / BLOCK + 1) * BLOCK;
    while at + HEADER_BYTES as u64 <= end {
        let bytes = &source.bytes(at, HEADER_BYTES)?[..HEADER_BYTES];
        let reaches = |&id: &u64| match read(bytes, id) {
            Found::Record(Record { header, .. }) => header.kind == Kind::Mark && header.lsn >= lsn,
            Found::Nothing | Found::Bad => false,
        };
        if ids.iter().any(reaches) {
            return Ok(Some(at));
        }
        at += BLOCK;
    }
    Ok(None)
}

/// Whether nothing is there from `at` on.
pub fn is_all_zero_after(source: &mut dyn Source, mut at: u64) -> Result<bool, String> {
    loop {
        let bytes = source.bytes(at, BLOCK_BYTES)?;
        if bytes.is_empty() {
            return Ok(true);
        }
        if bytes.iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        at += bytes.len() as u64;
    }
}

/// The last mark, for guesses: nothing is said of whether it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastMark {
    /// A database.
    pub db: u16,
    /// About how many keys it had.
    pub keys: u64,
    /// Where the mark is in its segment.
    pub at: u64,
}

/// Looks for the last mark of a segment.
pub fn last_mark(source: &mut dyn Source, id: u64) -> Result<Option<LastMark>, String> {
    let mut end = source.bytes_count() / BLOCK * BLOCK;
    while end > BLOCK {
        // The source goes forwards: a piece of it at a time, and backwards in that.
        let start = end.saturating_sub(PIECE_BYTES as u64).max(BLOCK);
        let bytes = source.bytes(start, (end - start) as usize)?;
        let mut blocks = (0..(end - start) as usize).step_by(BLOCK_BYTES).rev();
        // A mark is no more than a header. What only looks like one may announce more than is worth a checksum.
        let mark = blocks.find_map(|offset| match read(&bytes[offset..][..HEADER_BYTES], id) {
            Found::Record(Record { header, .. }) if header.kind == Kind::Mark => Some(LastMark {
                db: header.db,
                keys: u64::try_from(header.now_ms).ok()?,
                at: start + offset as u64,
            }),
            _ => None,
        });
        if mark.is_some() {
            return Ok(mark);
        }
        end = start;
    }
    Ok(None)
}

/// The first record's number, if there is one.
pub fn first_lsn(source: &mut dyn Source, header: &SegmentHeader) -> Result<Option<u64>, String> {
    let mut at = BLOCK;
    while at < source.bytes_count() {
        match find(source, at, header.id)? {
            Found::Record(header) => match header.kind {
                Kind::Mark => at += header.record_bytes(),
                Kind::Effects | Kind::Transaction => return Ok(Some(header.lsn)),
                Kind::Seal => return Ok(None),
            },
            Found::Nothing | Found::Bad => return Ok(None),
        }
    }
    Ok(None)
}
