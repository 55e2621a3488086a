//! Values without an element: some releases of Redis wrote such keys into RDB files, and all pass over them since.
//!
//! Tests     tests/keyspace/rdb_empty.rs.

use super::old::read_ziplist;
use super::wire::{Malformed, Reader};
use super::{hash, list, set, zset};
use crate::ds::listpack::Listpack;

/// An empty zipmap: no pair, and the end.
const ZIPMAP: &[u8] = &[0, 0xff];

/// Whether what follows a type is a list, a set, a sorted set or a hash of nothing, and all that is left.
///
/// - Errors: it is no such type, or not whole.
pub(super) fn is_empty(kind: u8, from: &mut Reader<'_>) -> Result<bool, Malformed> {
    let is_empty = match kind {
        list::kind::LIST
        | set::kind::SET
        | zset::kind::PLAIN
        | zset::kind::TWO
        | hash::kind::PLAIN
        | hash::kind::DATED_EARLY => from.length()? == 0,
        hash::kind::DATED => {
            from.u64()?;
            from.length()? == 0
        }
        list::kind::ZIPLIST | zset::kind::ZIPLIST | hash::kind::ZIPLIST => {
            is_empty_ziplist(&from.string()?)?
        }
        zset::kind::LISTPACK
        | set::kind::LISTPACK
        | hash::kind::LISTPACK
        | hash::kind::LISTPACK_DATED_EARLY => is_empty_listpack(&from.string()?)?,
        hash::kind::LISTPACK_DATED => {
            from.u64()?;
            is_empty_listpack(&from.string()?)?
        }
        // A width of 2, 4 or 8 bytes, and no number.
        set::kind::INTSET => matches!(*from.string()?, [2 | 4 | 8, 0, 0, 0, 0, 0, 0, 0]),
        hash::kind::ZIPMAP => *from.string()? == *ZIPMAP,
        list::kind::QUICKLIST => {
            let mut are_empty = true;
            for _ in 0..from.count()? {
                are_empty &= is_empty_ziplist(&from.string()?)?;
            }
            are_empty
        }
        list::kind::QUICKLIST_2 => from.length()? == 0,
        _ => return Err(Malformed),
    };
    Ok(is_empty && from.left() == 0)
}

fn is_empty_ziplist(bytes: &[u8]) -> Result<bool, Malformed> {
    Ok(read_ziplist(bytes, |_| {})? == 0)
}

fn is_empty_listpack(bytes: &[u8]) -> Result<bool, Malformed> {
    let pack = Listpack::from_bytes(bytes).ok_or(Malformed)?;
    Ok(pack.is_empty())
}
