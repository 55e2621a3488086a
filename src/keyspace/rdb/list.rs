//! Lists in payloads: a quicklist's nodes, one by one; what releases before 7.0 wrote is read too.
//!
//!     18   nodes  { 1 element | 2 listpack }         since 7.0, and what is written
//!     14   nodes  { ziplist }                        since 3.2
//!     10   ziplist                                   since 2.6
//!     1    elements { element }
//!
//! Tests     tests/keyspace/rdb_list.rs: payloads recorded from Redis, round trips, every byte damaged.

use super::VERSION;
use super::old::read_ziplist;
use super::wire::{Malformed, Reader, Writer};
use crate::ds::listpack::{Element, Listpack};
use crate::ds::quicklist::{Content, End, NodeLimit, Quicklist};
use crate::keyspace::EncodingLimits;
use crate::keyspace::list::List;

/// Types of payloads that hold lists.
pub(super) mod kind {
    pub const LIST: u8 = 1;
    pub const ZIPLIST: u8 = 10;
    pub const QUICKLIST: u8 = 14;
    pub const QUICKLIST_2: u8 = 18;
}

const ALONE: u64 = 1;
const PACKED: u64 = 2;

/// Writes type and value; returns the version that has that type.
pub(super) fn write(list: &List, out: &mut Writer) -> u16 {
    out.kind(kind::QUICKLIST_2);
    let (pack, quicklist) = (list.as_listpack(), list.as_quicklist());
    if let Some(pack) = pack {
        out.length(1);
        write_node(&Content::Packed(pack), out);
    }
    if let Some(list) = quicklist {
        out.length(list.nodes_count() as u64);
        list.visit_nodes(|content| write_node(&content, out));
    }
    VERSION
}

fn write_node(content: &Content<'_>, out: &mut Writer) {
    match content {
        Content::Packed(pack) => {
            out.length(PACKED);
            out.string(pack.as_bytes());
        }
        Content::Alone(bytes) => {
            out.length(ALONE);
            out.string(bytes);
        }
    }
}

/// Reads what follows the type.
pub(super) fn read(
    kind: u8,
    from: &mut Reader<'_>,
    limits: &EncodingLimits,
) -> Result<List, Malformed> {
    let limit = NodeLimit::from_size(limits.list_max_listpack_size);
    let mut list = Quicklist::new(limit, limits.list_compress_depth);
    match kind {
        kind::LIST => {
            for _ in 0..from.count()? {
                list.push(End::Back, Element::Str(&from.string()?));
            }
        }
        kind::ZIPLIST => list.push_listpack(ziplist(from)?),
        kind::QUICKLIST => {
            for _ in 0..from.count()? {
                list.push_listpack(ziplist(from)?);
            }
        }
        _ => {
            for _ in 0..from.count()? {
                let container = from.length()?;
                let bytes = from.string()?;
                if bytes.is_empty() {
                    return Err(Malformed);
                }
                match container {
                    ALONE => list.push_alone(bytes.into_owned().into_boxed_slice()),
                    PACKED => list.push_listpack(Listpack::from_bytes(&bytes).ok_or(Malformed)?),
                    _ => return Err(Malformed),
                }
            }
        }
    }
    if list.is_empty() {
        return Err(Malformed);
    }
    Ok(List::from_quicklist(list, limits))
}

fn ziplist(from: &mut Reader<'_>) -> Result<Listpack, Malformed> {
    let mut pack = Listpack::new();
    let bytes = from.string()?;
    read_ziplist(&bytes, |element| pack.push_back(element))?;
    Ok(pack)
}
