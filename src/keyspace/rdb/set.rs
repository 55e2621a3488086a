//! Sets as bytes.
//!
//!     2  table     | count | member ... |
//!     11 intset    | intset |                as a string
//!     20 listpack  | listpack |              as a string
//!
//! Promises  a member that is there twice is malformed, and so is a set without members.
//! Tests     tests/keyspace/rdb_set.rs, tests/keyspace/rdb_packed.rs.

use super::distinct::are_distinct_in;
use super::wire::{Malformed, Reader, Writer};
use super::{EncodingLimits, VERSION};
use crate::ds::intset::Intset;
use crate::ds::listpack::Listpack;
use crate::keyspace::set::{Probe, Set};

/// The byte that says what follows.
pub(super) mod kind {
    pub const SET: u8 = 2;
    pub const INTSET: u8 = 11;
    pub const LISTPACK: u8 = 20;
}

/// Writes type and members; returns the version that has that type.
pub(super) fn write(set: &Set, out: &mut Writer) -> u16 {
    if let Some(ints) = set.as_ints() {
        out.kind(kind::INTSET);
        out.string(ints.as_bytes());
    } else if let Some(pack) = set.as_pack() {
        out.kind(kind::LISTPACK);
        out.string(pack.as_bytes());
    } else {
        out.kind(kind::SET);
        out.length(set.len() as u64);
        set.each(|member| out.string(member.text(&mut [0; 20])));
    }
    VERSION
}

/// Reads what follows one of the kinds.
pub(super) fn read(
    kind: u8,
    from: &mut Reader<'_>,
    limits: &EncodingLimits,
) -> Result<Set, Malformed> {
    match kind {
        kind::INTSET => read_intset(from, limits),
        kind::LISTPACK => read_listpack(from, limits),
        _ => read_members(from, limits),
    }
}

/// Reads members one by one.
fn read_members(from: &mut Reader<'_>, limits: &EncodingLimits) -> Result<Set, Malformed> {
    let count = from.count()?;
    let mut set = if count > limits.set_max_intset_entries {
        Set::table()
    } else {
        Set::default()
    };
    for _ in 0..count {
        if !set.add(&Probe::new(&from.string()?), limits) {
            return Err(Malformed);
        }
    }
    if count == 0 { Err(Malformed) } else { Ok(set) }
}

/// Reads an intset.
fn read_intset(from: &mut Reader<'_>, limits: &EncodingLimits) -> Result<Set, Malformed> {
    let ints = Intset::from_bytes(&from.string()?).ok_or(Malformed)?;
    let mut set = Set::from_ints(ints);
    set.outgrow(limits);
    Ok(set)
}

/// Reads a listpack, whose members are all different; it is kept as it is where there are few enough.
fn read_listpack(from: &mut Reader<'_>, limits: &EncodingLimits) -> Result<Set, Malformed> {
    let pack = Listpack::from_bytes(&from.string()?).ok_or(Malformed)?;
    if pack.len() > limits.set_max_listpack_entries {
        let mut table = Set::table();
        for member in pack.iter() {
            if !table.add(&Probe::of(member, &mut [0; 20]), limits) {
                return Err(Malformed);
            }
        }
        return Ok(table);
    }
    if pack.is_empty() || !are_distinct_in(&pack, 1) {
        return Err(Malformed);
    }
    Ok(Set::from_pack(pack))
}
