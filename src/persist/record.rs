//! Record: one write in a log.
//!
//!     | crc u64 | length u64 | lsn u64 | now i64 | kind u8 | 0 u8 | db u16 | 0 u32 | payload | zeros to 8 |
//!
//! All numbers are little-endian; `crc` is CRC-64/XZ over the segment's id, the rest of the header, and the payload.
//!
//! | kind | payload | lsn |
//! |---|---|---|
//! | Effects | commands as RESP, all or none of which happened | its own |
//! | Transaction | see below | its own |
//! | Mark | none; first in every write; `db` and `now` are a database and about how many keys it had, 0 where nobody has said | the last one that was durable when this was handed to the disk |
//! | Seal | none; nothing follows in this segment, a next one was there before it | the last one before it |
//!
//!     transaction = | stamp u64 | dependencies u16 | parts u16 | (core u16, lsn u64) ... | part ... |
//!     part        = | shard u16 | db u16 | now i64 | bytes u64 | commands as RESP |
//!
//! Parts go on to the end of the payload; their number there is the lower 16 bits of it.
//!
//! Promises  a record is what was written or it is refused: damage anywhere in it, or in which segment it stands, changes
//!           its checksum.
//! Not here  what the stamp and the dependencies are for: `persist/recovery.rs`. Where records end: `persist/segment.rs`.
//! Tests     tests/persist/record.rs: every byte damaged, every cut.

use crate::ds::long_crc::checksum;

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 40;
/// Records begin at multiples of this.
const ALIGNMENT: usize = 8;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Effects of requests on this shard alone.
    Effects,
    /// All effects of a transaction over several shards.
    Transaction,
    /// The beginning of a write.
    Mark,
    /// The end of a segment.
    Seal,
}

impl Kind {
    fn to_byte(self) -> u8 {
        match self {
            Self::Effects => 1,
            Self::Transaction => 2,
            Self::Mark => 3,
            Self::Seal => 4,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Effects,
            2 => Self::Transaction,
            3 => Self::Mark,
            4 => Self::Seal,
            _ => return None,
        })
    }
}

/// A record's header, without its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the payload is.
    pub kind: Kind,
    /// Bytes of the payload.
    pub length: u64,
    /// See the table above.
    pub lsn: u64,
    /// When the effects happened, in milliseconds since the epoch: they are run again at this time.
    pub now_ms: i64,
    /// The database that its commands begin in.
    pub db: u16,
}

impl Header {
    /// The header's bytes; its checksum is left at 0.
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[8..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.lsn.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.now_ms.to_le_bytes());
        bytes[32] = self.kind.to_byte();
        bytes[34..36].copy_from_slice(&self.db.to_le_bytes());
        bytes
    }

    /// Bytes of the whole record, padding included.
    pub fn record_bytes(&self) -> u64 {
        record_bytes(self.length)
    }
}

/// Bytes of a record with a payload of `length` bytes.
pub fn record_bytes(length: u64) -> u64 {
    (HEADER_BYTES as u64)
        .saturating_add(length)
        .saturating_add(ALIGNMENT as u64 - 1)
        / ALIGNMENT as u64
        * ALIGNMENT as u64
}

/// Sets the checksum of the record that `record` begins with: its header and its payload must be there.
pub fn seal_record(record: &mut [u8], segment_id: u64) {
    let length = u64_at(record, 8) as usize;
    let crc = checksum(segment_id.to_le_bytes(), &record[8..HEADER_BYTES + length]);
    record[..8].copy_from_slice(&crc.to_le_bytes());
}

/// A record read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'s> {
    /// Its header.
    pub header: Header,
    /// Its payload.
    pub payload: &'s [u8],
}

/// What stands at a place where a record may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// A record, or what is told of it.
    Record(T),
    /// Zeros: padding, or nothing has been written here.
    Nothing,
    /// Something that is no record of this segment.
    Bad,
}

/// Bytes of the record that `bytes` begins with, without padding, by what its header says; where there is no whole header, of what
/// there is.
pub fn announced_bytes(bytes: &[u8]) -> u64 {
    match bytes.len() {
        HEADER_BYTES.. => (HEADER_BYTES as u64).saturating_add(u64_at(bytes, 8)),
        short => short as u64,
    }
}

/// Reads what `bytes` begins with.
pub fn read(bytes: &[u8], segment_id: u64) -> Found<Record<'_>> {
    let Some(header_bytes) = bytes.get(..HEADER_BYTES) else {
        return if bytes.iter().all(|&byte| byte == 0) {
            Found::Nothing
        } else {
            Found::Bad
        };
    };
    if header_bytes.iter().all(|&byte| byte == 0) {
        return Found::Nothing;
    }
    let length = u64_at(header_bytes, 8);
    let payload = usize::try_from(length)
        .ok()
        .and_then(|length| bytes[HEADER_BYTES..].get(..length));
    let (Some(kind), Some(payload)) = (Kind::from_byte(header_bytes[32]), payload) else {
        return Found::Bad;
    };
    let crc = checksum(
        segment_id.to_le_bytes(),
        &bytes[8..HEADER_BYTES + payload.len()],
    );
    if crc != u64_at(header_bytes, 0) {
        return Found::Bad;
    }
    let header = Header {
        kind,
        length,
        lsn: u64_at(header_bytes, 16),
        now_ms: u64_at(header_bytes, 24) as i64,
        db: u16_at(header_bytes, 34),
    };
    Found::Record(Record { header, payload })
}

/// What one shard does in a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The shard, in the numbering of the epoch.
    pub shard: u16,
    /// The database that its commands begin in.
    pub db: u16,
    /// When it ran, in milliseconds since the epoch.
    pub now_ms: i64,
    /// Commands as RESP.
    pub commands: Vec<u8>,
}

/// What a log must have reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dependency {
    /// Whose log.
    pub core: u16,
    /// The last record that is needed.
    pub lsn: u64,
}

/// A transaction's record: all effects on all shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionRecord {
    /// Orders transactions with a common key.
    pub stamp: u64,
    /// What it may have seen of other shards.
    pub dependencies: Vec<Dependency>,
    /// What was done on each shard that it wrote to; a shard's parts, if they are several, in order.
    pub parts: Vec<Part>,
}

impl TransactionRecord {
    /// Its payload.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.stamp.to_le_bytes());
        out.extend((self.dependencies.len() as u16).to_le_bytes());
        out.extend((self.parts.len() as u16).to_le_bytes());
        for dependency in &self.dependencies {
            out.extend(dependency.core.to_le_bytes());
            out.extend(dependency.lsn.to_le_bytes());
        }
        for part in &self.parts {
            out.extend(part.shard.to_le_bytes());
            out.extend(part.db.to_le_bytes());
            out.extend(part.now_ms.to_le_bytes());
            out.extend((part.commands.len() as u64).to_le_bytes());
            out.extend_from_slice(&part.commands);
        }
        out
    }

    /// Reads a payload; none if it is not one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes };
        let stamp = reader.u64()?;
        let (dependencies_count, parts_count) = (reader.u16()?, reader.u16()?);
        let dependency = |reader: &mut Reader<'_>| {
            Some(Dependency {
                core: reader.u16()?,
                lsn: reader.u64()?,
            })
        };
        let dependencies = (0..dependencies_count)
            .map(|_| dependency(&mut reader))
            .collect::<Option<_>>()?;
        let part = |reader: &mut Reader<'_>| {
            let (shard, db) = (reader.u16()?, reader.u16()?);
            let now_ms = reader.u64()? as i64;
            let length = usize::try_from(reader.u64()?).ok()?;
            Some(Part {
                shard,
                db,
                now_ms,
                commands: reader.take(length)?.to_vec(),
            })
        };
        let mut parts = Vec::with_capacity(usize::from(parts_count));
        while !reader.bytes.is_empty() {
            parts.push(part(&mut reader)?);
        }
        (parts.len() as u16 == parts_count).then_some(Self {
            stamp,
            dependencies,
            parts,
        })
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
}

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16_at(self.take(2)?, 0))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64_at(self.take(8)?, 0))
    }
}

/// The number at `at`; the caller knows that it is there.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}
