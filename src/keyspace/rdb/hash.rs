//! Hashes as bytes.
//!
//!     4  table        | count | field value ... |
//!     16 packed       | listpack of pairs |                                      as a string
//!     24 table dated  | first deadline u64 | count | deadline field value ... |  0 none, else 1 and up from the first
//!     25 packed dated | first deadline u64 | listpack of triples |
//!     22 in payloads of Valkey 9  | count | field value deadline i64 ... |           -1 none; read only
//!     9, 13, 22, 23   zipmap, ziplist, and the dated ones of a release candidate: read only
//!
//! Tests     tests/keyspace/hash.rs, tests/keyspace/rdb_packed.rs.

use super::old::{read_ziplist, read_zipmap};
use super::wire::{Malformed, Reader, Writer};
use super::{VERSION, VERSION_MAX};
use crate::ds::listpack::{Element, Listpack};
use crate::keyspace::EncodingLimits;
use crate::keyspace::hash::{DEADLINE_MS_MAX, FieldDeadline, Hash};

/// The byte that says what follows.
pub mod kind {
    /// Fields and values.
    pub const PLAIN: u8 = 4;
    /// A zipmap.
    pub const ZIPMAP: u8 = 9;
    /// A ziplist.
    pub const ZIPLIST: u8 = 13;
    /// A listpack of pairs.
    pub const LISTPACK: u8 = 16;
    /// Absolute deadlines, fields and values.
    pub const DATED_EARLY: u8 = 22;
    /// A listpack of triples, without the first deadline.
    pub const LISTPACK_DATED_EARLY: u8 = 23;
    /// Deadlines, fields and values.
    pub const DATED: u8 = 24;
    /// A listpack of triples.
    pub const LISTPACK_DATED: u8 = 25;
}

/// Writes type and value; returns the version that has that type.
pub fn write(hash: &Hash, out: &mut Writer) -> u16 {
    let first_ms = hash.next_deadline_ms().unwrap_or(0) as u64;
    if let Some((pack, is_dated)) = hash.listpack() {
        if !is_dated {
            out.kind(kind::LISTPACK);
            out.string(pack.as_bytes());
            return VERSION;
        }
        out.kind(kind::LISTPACK_DATED);
        out.raw(&first_ms.to_le_bytes());
        out.string(pack.as_bytes());
        return VERSION_MAX;
    }
    let is_dated = first_ms > 0;
    if is_dated {
        out.kind(kind::DATED);
        out.raw(&first_ms.to_le_bytes());
    } else {
        out.kind(kind::PLAIN);
    }
    out.length(hash.len() as u64);
    hash.walk(|field, found| {
        if is_dated {
            let deadline_ms = found.deadline_ms.map(|at_ms| at_ms as u64);
            out.length(deadline_ms.map_or(0, |at_ms| at_ms - first_ms + 1));
        }
        out.string(field.text(&mut [0; 20]));
        out.string(found.value.text(&mut [0; 20]));
    });
    if is_dated { VERSION_MAX } else { VERSION }
}

/// Reads a value of one of the kinds above; none where the kind is another.
pub fn read(
    kind: u8,
    from: &mut Reader<'_>,
    limits: &EncodingLimits,
) -> Option<Result<Hash, Malformed>> {
    Some(match kind {
        kind::PLAIN => read_fields(from, limits, Deadlines::None),
        kind::DATED => read_fields(from, limits, Deadlines::FromFirst),
        kind::DATED_EARLY => read_fields(from, limits, Deadlines::Absolute),
        kind::LISTPACK => read_listpack(from, limits, false),
        kind::LISTPACK_DATED => from.u64().and_then(|_| read_listpack(from, limits, true)),
        kind::LISTPACK_DATED_EARLY => read_listpack(from, limits, true),
        kind::ZIPLIST => read_old_list(from, limits),
        kind::ZIPMAP => read_old_map(from, limits),
        _ => return None,
    })
}

/// Reads the value of Valkey's own type 22.
pub fn read_valkey(from: &mut Reader<'_>, limits: &EncodingLimits) -> Result<Hash, Malformed> {
    read_fields(from, limits, Deadlines::Behind)
}

/// What stands before each field, or behind each value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deadlines {
    None,
    Absolute,
    FromFirst,
    Behind,
}

fn read_fields(
    from: &mut Reader<'_>,
    limits: &EncodingLimits,
    deadlines: Deadlines,
) -> Result<Hash, Malformed> {
    let first_ms = match deadlines {
        Deadlines::FromFirst => from.u64()?,
        Deadlines::None | Deadlines::Absolute | Deadlines::Behind => 1,
    };
    let count = from.count()?;
    let mut hash = Hash::new();
    if deadlines != Deadlines::None {
        hash.prepare_deadlines();
    }
    if count > limits.hash_max_listpack_entries {
        hash.make_table();
    }
    for _ in 0..count {
        let deadline_ms = match deadlines {
            Deadlines::None | Deadlines::Behind => 0,
            Deadlines::Absolute | Deadlines::FromFirst => from.length()?,
        };
        let (field, value) = (from.string()?, from.string()?);
        let deadline_ms = match deadlines {
            Deadlines::Behind => match from.u64()? as i64 {
                -1 => 0,
                at_ms => u64::try_from(at_ms).map_err(|_| Malformed)?,
            },
            _ => deadline_ms,
        };
        add(&mut hash, &field, Element::Str(&value), limits)?;
        if deadline_ms > 0 {
            let at_ms = first_ms
                .checked_add(deadline_ms - 1)
                .filter(|at_ms| *at_ms <= DEADLINE_MS_MAX as u64)
                .ok_or(Malformed)?;
            hash.set_deadline(&field, Some(at_ms as i64));
        }
    }
    not_empty(hash)
}

fn read_listpack(
    from: &mut Reader<'_>,
    limits: &EncodingLimits,
    is_dated: bool,
) -> Result<Hash, Malformed> {
    let pack = Listpack::from_bytes(&from.string()?).ok_or(Malformed)?;
    let mut hash = Hash::from_listpack(pack, is_dated).ok_or(Malformed)?;
    if hash.len() > limits.hash_max_listpack_entries {
        hash.make_table();
    }
    Ok(hash)
}

fn read_old_list(from: &mut Reader<'_>, limits: &EncodingLimits) -> Result<Hash, Malformed> {
    let bytes = from.string()?;
    let mut elements = Vec::new();
    read_ziplist(&bytes, |element| elements.push(element))?;
    let mut hash = Hash::new();
    let (pairs, rest) = elements.as_chunks::<2>();
    for [field, value] in pairs {
        add(&mut hash, field.text(&mut [0; 20]), *value, limits)?;
    }
    if rest.is_empty() {
        not_empty(hash)
    } else {
        Err(Malformed)
    }
}

fn read_old_map(from: &mut Reader<'_>, limits: &EncodingLimits) -> Result<Hash, Malformed> {
    let bytes = from.string()?;
    let mut hash = Hash::new();
    let mut added = Ok(());
    read_zipmap(&bytes, |field, value| {
        if added.is_ok() {
            added = add(&mut hash, field, Element::Str(value), limits);
        }
    })?;
    added?;
    not_empty(hash)
}

/// Adds a field that must not be there.
fn add(
    hash: &mut Hash,
    field: &[u8],
    value: Element<'_>,
    limits: &EncodingLimits,
) -> Result<(), Malformed> {
    let is_new = hash.set(field, value, FieldDeadline::Drop, limits);
    is_new.then_some(()).ok_or(Malformed)
}

fn not_empty(hash: Hash) -> Result<Hash, Malformed> {
    if hash.is_empty() {
        Err(Malformed)
    } else {
        Ok(hash)
    }
}
