//! Records: a key with all that is known of it, as a snapshot has it.
//!
//!     [ 252 deadline u64 ] [ 248 idle seconds | 249 frequency u8 ] type key value
//!
//! Promises  a key that is written and read back is the same, its deadline and (under the same kind of policy) its access
//!           clock included. Arrays, which no version of Redis below 8.8 has, are written with a type of rondo's own.
//! Not here  what is between records: `persist/rdb/`.
//! Tests     tests/keyspace/cut.rs, tests/persist/rdb.rs.

use std::borrow::Cow;

use super::wire::{Malformed, Reader, Writer};
use super::{array, empty, read_of};
use crate::ds::key_table::{EntryRef, Value};
use crate::keyspace::{AccessPolicy, EncodingLimits, Moved, Object};

/// A deadline in seconds follows.
pub const DEADLINE_SECONDS: u8 = 253;
/// A deadline in milliseconds follows.
pub const DEADLINE_MS: u8 = 252;
/// How often the key was used follows.
pub const FREQUENCY: u8 = 249;
/// How long ago it was used last follows.
pub const IDLE: u8 = 248;

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRecord {
    /// Its bytes are no record.
    Malformed,
    /// It has a collection without an element.
    Empty,
}

impl From<Malformed> for NoRecord {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// What a record says of access clocks.
#[derive(Clone)]
pub struct RecordStyle {
    /// The policy whose clocks entries have.
    pub policy: AccessPolicy,
    /// The clock at the cut.
    pub clock: u32,
}

/// Appends a record.
pub fn write_record(entry: EntryRef<'_, Object>, style: &RecordStyle, out: &mut Writer) {
    if let Some(deadline_ms) = entry.deadline_ms() {
        out.byte(DEADLINE_MS);
        out.raw(&deadline_ms.to_le_bytes());
    }
    if style.policy.is_lfu() {
        out.byte(FREQUENCY);
        out.byte(style.policy.frequency(entry.access(), style.clock) as u8);
    } else if style.policy.orders_by_time() {
        out.byte(IDLE);
        let seconds = style.policy.idle_seconds(entry.access(), style.clock);
        out.length(u64::from(seconds));
    }
    out.key_after_kind(entry.key());
    match entry.value() {
        Value::Object(Object::Array(array)) => array::write(array, out),
        value => {
            // Arrays are the only values without a payload.
            let _ = super::write(&value, out);
        }
    }
}

/// Reads a record that is all of `bytes`: its key, and its value, deadline and access clock.
pub fn read_record<'a>(
    bytes: &'a [u8],
    policy: &AccessPolicy,
    clock: u32,
    limits: &EncodingLimits,
) -> Result<(Cow<'a, [u8]>, Moved), NoRecord> {
    let mut from = Reader::new(bytes);
    let mut expire_at_ms = None;
    let mut access = policy.fresh(clock);
    loop {
        match from.byte()? {
            DEADLINE_MS => expire_at_ms = Some(from.u64()? as i64),
            DEADLINE_SECONDS => expire_at_ms = Some(i64::from(from.u32()? as i32) * 1000),
            FREQUENCY => {
                let frequency = from.byte()?;
                if policy.is_lfu() {
                    access = policy.used_often(clock, frequency);
                }
            }
            IDLE => {
                let seconds = from.length()?;
                if !policy.is_lfu() {
                    access = policy.idle_since(clock, i64::try_from(seconds).unwrap_or(i64::MAX));
                }
            }
            kind => {
                let key = from.string()?;
                let value_start = from;
                let value = match kind {
                    array::KIND => array::read(&mut from)?,
                    kind => read_of(kind, &mut from, limits).map_err(|_| {
                        if empty::is_empty(kind, &mut { value_start }) == Ok(true) {
                            NoRecord::Empty
                        } else {
                            NoRecord::Malformed
                        }
                    })?,
                };
                if from.left() > 0 {
                    return Err(NoRecord::Malformed);
                }
                let moved = Moved {
                    value,
                    expire_at_ms,
                    access,
                };
                return Ok((key, moved));
            }
        }
    }
}

/// The key of a record, as far as it can be read.
pub fn key_of(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut from = Reader::new(bytes);
    loop {
        match from.byte().ok()? {
            DEADLINE_MS => drop(from.u64().ok()?),
            DEADLINE_SECONDS => drop(from.u32().ok()?),
            FREQUENCY => drop(from.byte().ok()?),
            IDLE => drop(from.length().ok()?),
            _ => return from.string().ok(),
        }
    }
}
