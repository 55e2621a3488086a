//! Values as bytes: what DUMP gives, RESTORE takes, and RDB files hold of each key.
//!
//!     | type u8 | value | version u16 | CRC-64 u64 |        both at the end little-endian
//!
//! Promises  payloads are what Redis 7.2 and later read: version 11, and 12 only where fields of a hash have deadlines,
//!           which 11 has no type for, or where a stream has producers (Redis 8.6 and later reads those). What is read is checked to the last byte it uses (as with
//!           `sanitize-dump-payload yes`): damage that the checksum does not show is [`Malformed`], never a panic.
//!           Redis goes on reading into version and checksum where a value is cut; here it is malformed.
//!           Arrays have a type of Redis 8.8's, which is read and not written: what writes it is [`NoPayload`].
//!           Payloads up to version 16 are read, and those of Valkey 9, whose version is 80, as far as their types are known.
//! Not here  files; which key has the value.
//! Source    Redis's own payloads, recorded; the RDB format as redis-rdb-tools describes it.
//! Tests     tests/keyspace/rdb.rs: payloads recorded from Redis, round trips, every byte damaged;
//!           fuzz/fuzz_targets/rdb_object.rs.

pub mod array;
pub(super) mod distinct;
mod empty;
mod hash;
mod list;
pub mod old;
pub mod record;
mod set;
mod stream;
pub mod wire;
mod zset;

pub use wire::Malformed;
use wire::{Reader, Writer};

use super::value::{EMBEDDED_BYTES_MAX, Object, encoded};
use super::{Collection, EncodingLimits};
use crate::base::crc64::crc64;
use crate::ds::key_table::{NewValue, OwnedValue, Value};
use bytes::Bytes;

/// The version in payloads that any type but the newest hashes and streams need.
const VERSION: u16 = 11;
/// The version in payloads that those need.
const VERSION_MAX: u16 = 12;
/// The newest version of Redis's that is read: Redis 8.10's. What its types need is looked at type by type.
pub const VERSION_READ_MAX: u16 = 16;
/// Valkey's, from 9 on, which has another type of this number.
const VERSION_VALKEY: u16 = 80;
/// Version and checksum.
const FOOTER_BYTES: usize = 10;

/// The byte that says what follows.
mod kind {
    pub const STRING: u8 = 0;
}

/// Why a payload was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is too new, too short, or its checksum is another.
    Footer,
    /// Its checksum is right and its bytes are no value.
    Value,
}

impl From<Malformed> for Refused {
    fn from(_: Malformed) -> Self {
        Self::Value
    }
}

/// The value is of a type that payloads of these versions cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPayload;

/// A value's payload, footer included.
///
/// - `compresses`: long strings are compressed where that makes them shorter.
/// - Cost: O(N), one pass over the value and one for the checksum.
pub fn dump(value: &Value<'_, Object>, compresses: bool) -> Result<Vec<u8>, NoPayload> {
    let mut out = Writer::new(compresses);
    let version = write(value, &mut out)?;
    out.raw(&version.to_le_bytes());
    let checksum = crc64(0, out.as_bytes());
    out.raw(&checksum.to_le_bytes());
    Ok(out.into_bytes())
}

/// Bytes of a value in an RDB file, its type's not among them.
pub fn serialized_bytes(value: &Value<'_, Object>, compresses: bool) -> Result<usize, NoPayload> {
    let mut out = Writer::new(compresses);
    write(value, &mut out)?;
    Ok(out.as_bytes().len() - 1)
}

/// The value in a payload.
///
/// - `checks`: whether the checksum must be right; the value is looked at whole in any case.
/// - Cost: O(N), besides building the value. Bytes after the value are ignored, as Redis does.
pub fn restore(
    payload: &[u8],
    checks: bool,
    limits: &EncodingLimits,
) -> Result<OwnedValue<Object>, Refused> {
    let (body, footer) = payload
        .split_last_chunk::<FOOTER_BYTES>()
        .ok_or(Refused::Footer)?;
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    let is_whole = || footer[2..] == crc64(0, &payload[..body.len() + 2]).to_le_bytes();
    let is_known = version <= VERSION_READ_MAX || version == VERSION_VALKEY;
    if !is_known || checks && !is_whole() {
        return Err(Refused::Footer);
    }
    let mut from = Reader::new(body);
    if version != VERSION_VALKEY {
        return Ok(read(&mut from, limits)?);
    }
    match from.byte()? {
        hash::kind::DATED_EARLY => {
            let hash = hash::read_valkey(&mut from, limits)?;
            Ok(OwnedValue::Object(Box::new(hash.into_object())))
        }
        // Above it, what Valkey will have is not what Redis has.
        kind @ ..hash::kind::DATED_EARLY => Ok(read_of(kind, &mut from, limits)?),
        _ => Err(Refused::Value),
    }
}

/// Writes type and value; returns the version that has that type.
fn write(value: &Value<'_, Object>, out: &mut Writer) -> Result<u16, NoPayload> {
    match value {
        Value::Int(number) => {
            out.kind(kind::STRING);
            out.integer(*number);
        }
        Value::Str { bytes, .. } => {
            out.kind(kind::STRING);
            out.string(bytes);
        }
        Value::Object(object) => {
            return Ok(match object {
                Object::Hash(it) => hash::write(it, out),
                Object::List(it) => list::write(it, out),
                Object::Zset(it) => zset::write(it, out),
                Object::Stream(it) => stream::write(it, out),
                Object::Set(it) => set::write(it, out),
                Object::Array(_) => return Err(NoPayload),
            });
        }
    }
    Ok(VERSION)
}

/// Reads type and value.
fn read(from: &mut Reader<'_>, limits: &EncodingLimits) -> Result<OwnedValue<Object>, Malformed> {
    let kind = from.byte()?;
    read_of(kind, from, limits)
}

/// Reads the value that follows a type.
fn read_of(
    kind: u8,
    from: &mut Reader<'_>,
    limits: &EncodingLimits,
) -> Result<OwnedValue<Object>, Malformed> {
    match kind {
        kind::STRING => {
            let bytes = from.string()?;
            Ok(match encoded(&bytes) {
                NewValue::Int(number) => OwnedValue::Int(number),
                _ => OwnedValue::Str {
                    raw: bytes.len() > EMBEDDED_BYTES_MAX,
                    bytes: Bytes::from(bytes.into_owned()),
                },
            })
        }
        kind @ (list::kind::LIST
        | list::kind::ZIPLIST
        | list::kind::QUICKLIST
        | list::kind::QUICKLIST_2) => {
            let list = list::read(kind, from, limits)?;
            Ok(OwnedValue::Object(Box::new(list.into_object())))
        }
        kind @ (zset::kind::PLAIN
        | zset::kind::TWO
        | zset::kind::ZIPLIST
        | zset::kind::LISTPACK) => {
            let set = zset::read(kind, from, limits)?;
            Ok(OwnedValue::Object(Box::new(set.into_object())))
        }
        kind @ (stream::kind::STREAM
        | stream::kind::STREAM_2
        | stream::kind::STREAM_3
        | stream::kind::STREAM_4
        | stream::kind::STREAM_5) => {
            let stream = stream::read(kind, from, limits)?;
            Ok(OwnedValue::Object(Box::new(stream.into_object())))
        }
        array::KIND_OF_REDIS => array::read_of_redis(from),
        kind @ (set::kind::SET | set::kind::INTSET | set::kind::LISTPACK) => {
            let set = set::read(kind, from, limits)?;
            Ok(OwnedValue::Object(Box::new(set.into_object())))
        }
        kind => {
            let hash = hash::read(kind, from, limits).ok_or(Malformed)??;
            Ok(OwnedValue::Object(Box::new(hash.into_object())))
        }
    }
}
