//! Radix: how many nodes Redis's radix tree would have for the ids that a stream's nodes are kept under.
//!
//!     a branch for every place where ids part, a leaf for every id,
//!     and one node between two of those that are more than a byte apart
//!
//! Nothing here has such a tree: it is a figure that XINFO shows.
//!
//! Promises  ids in order are counted in one pass, with a stack of at most 16 depths.
//! Tests     tests/ds/stream.rs: counts of a real server.

use super::StreamId;

const ID_BYTES: usize = 16;

/// Nodes for these ids, which rise.
pub(super) fn nodes_count(ids: impl Iterator<Item = StreamId>) -> usize {
    let mut nodes = 0;
    let mut branches: Vec<usize> = Vec::with_capacity(ID_BYTES);
    let mut last: Option<(StreamId, Option<usize>)> = None;
    for id in ids {
        let shared = last.map(|(last, _)| shared_bytes(last, id));
        if let (Some((_, before)), Some(shared)) = (last, shared) {
            nodes += 1 + between(
                ID_BYTES,
                Some(before.map_or(shared, |before| before.max(shared))),
            );
            close(&mut branches, Some(shared), &mut nodes);
            if branches.last() != Some(&shared) {
                branches.push(shared);
            }
        }
        last = Some((id, shared));
    }
    match last {
        None => return 1,
        Some((_, above)) => nodes += 1 + between(ID_BYTES, above),
    }
    close(&mut branches, None, &mut nodes);
    nodes
}

/// Counts the branches that lie deeper than where the next id parts.
fn close(branches: &mut Vec<usize>, next: Option<usize>, nodes: &mut usize) {
    while let Some(&deepest) = branches.last()
        && next.is_none_or(|next| deepest > next)
    {
        branches.pop();
        *nodes += 1 + between(deepest, branches.last().copied().max(next));
    }
}

/// The node between a branch above and what is at `depth`, if there are bytes between: the branch has one of its own.
fn between(depth: usize, above: Option<usize>) -> usize {
    usize::from(above.map_or(depth, |above| depth - above - 1) > 0)
}

fn shared_bytes(one: StreamId, other: StreamId) -> usize {
    let pairs = one.to_bytes().into_iter().zip(other.to_bytes());
    pairs.take_while(|(one, other)| one == other).count()
}
