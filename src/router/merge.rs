//! Merge: parts of a reply, one from each shard, become one.
//!
//! Promises  the first error among the parts, in order of shards, is the reply; what is no reply gives `None`.
//! Not here  reading elements: `resp/element.rs`.
//! Tests     tests/router/merge.rs: golden bytes for every kind.

use crate::commands::Merge;
use crate::commands::debug_digest::join_digests;
use crate::commands::debug_tables::join_tables;
use crate::resp::element::{elements, is_error, read_integer};

/// Makes one reply of the parts.
///
/// - `places`: for each part, which of the request's keys its elements belong to; used by Interleave, as is
///   `keys_count`, the number of all keys.
/// - `None`: a part is not of the kind that is merged.
/// - Cost: one copy of the parts.
pub fn merge(
    kind: Merge,
    parts: &[Vec<u8>],
    places: &[&[usize]],
    keys_count: usize,
) -> Option<Vec<u8>> {
    if let Some(error) = parts.iter().find(|part| is_error(part)) {
        return Some(error.clone());
    }
    match kind {
        Merge::Sum => sum(parts),
        Merge::Interleave => interleave(parts, places, keys_count),
        Merge::Concat => concat(parts),
        Merge::AllOk => parts.first().cloned(),
        Merge::Digests => join_digests(parts),
        Merge::Tables => join_tables(parts),
    }
}

fn sum(parts: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut total = 0i64;
    for part in parts {
        total = total.checked_add(read_integer(part)?)?;
    }
    Some(format!(":{total}\r\n").into_bytes())
}

fn interleave(parts: &[Vec<u8>], places: &[&[usize]], keys_count: usize) -> Option<Vec<u8>> {
    let mut in_order: Vec<&[u8]> = vec![b""; keys_count];
    for (part, places) in parts.iter().zip(places) {
        let mut elements = elements(part)?;
        for &place in *places {
            *in_order.get_mut(place)? = elements.next()?;
        }
    }
    if in_order.iter().any(|element| element.is_empty()) {
        return None;
    }
    let bytes_count: usize = parts.iter().map(Vec::len).sum();
    let mut reply = Vec::with_capacity(bytes_count + 16);
    reply.extend_from_slice(format!("*{keys_count}\r\n").as_bytes());
    in_order
        .iter()
        .for_each(|element| reply.extend_from_slice(element));
    Some(reply)
}

fn concat(parts: &[Vec<u8>]) -> Option<Vec<u8>> {
    let tag = char::from(*parts.first()?.first()?);
    let mut count = 0;
    let mut bodies = Vec::with_capacity(parts.len());
    for part in parts {
        let elements = elements(part)?;
        count += elements.left();
        bodies.push(elements.rest());
    }
    let bytes_count: usize = bodies.iter().map(|body| body.len()).sum();
    let mut reply = Vec::with_capacity(bytes_count + 24);
    reply.extend_from_slice(format!("{tag}{count}\r\n").as_bytes());
    bodies.iter().for_each(|body| reply.extend_from_slice(body));
    Some(reply)
}
