//! Radix: how many nodes Redis's radix tree would have for the ids that a stream's nodes are kept under.
//!
//!     a branch for every place where ids part, a leaf for every id,
//!     and one node between two of those that are more than a byte apart
//!
//! Nothing here has such a tree: it is a figure that XINFO shows.
//!
//! Promises  an id that comes or goes changes the count by what four searches of its neighbours tell.
//! Tests     tests/ds/stream.rs: counts of a real server, and every step of the seeded logs against a count of all.

use super::StreamId;
use super::tree::Tree;

const ID_BYTES: usize = 16;

/// How many nodes there are only because of `id`, which `others` are without. None of the root: without ids it is one node.
pub(super) fn share_of<V>(id: StreamId, others: &Tree<StreamId, V>) -> usize {
    let above = others.iter_from(&id).next().map(|(other, _)| *other);
    let below = others.floor(&id).map(|(other, _)| *other);
    let neighbours = [below, above].into_iter().flatten();
    let Some(depth) = neighbours.map(|other| shared_bytes(id, other)).max() else {
        return 1 + between(ID_BYTES, None);
    };
    let leaf = 1 + between(ID_BYTES, Some(depth));
    // Those that lie with the id below where it parts: from the first to the last that share so many bytes.
    let (least, greatest) = id.with_prefix(depth);
    let first = others.iter_from(&least).next().map(|(other, _)| *other);
    let last = others.floor(&greatest).map(|(other, _)| *other);
    let (Some(first), Some(last)) = (first, last) else {
        return leaf;
    };
    let next_depth = shared_bytes(first, last);
    if next_depth == depth {
        return leaf; // They part there without it, too.
    }
    let outer = [
        least.previous().and_then(|end| others.floor(&end)),
        greatest
            .next()
            .and_then(|start| others.iter_from(&start).next()),
    ];
    let outer = outer.into_iter().flatten();
    let last_depth = outer.map(|(other, _)| shared_bytes(id, *other)).max();
    let split = between(depth, last_depth) + 1 + between(next_depth, Some(depth));
    leaf + split - between(next_depth, last_depth)
}

/// Nodes for these ids, which rise, counted from the start; for tests.
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
