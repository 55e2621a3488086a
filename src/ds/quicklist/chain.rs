//! Chain: the nodes of a quicklist in order, in chunks of up to 64 handles.
//!
//! Not one deque of nodes: with a million of them an insertion in the middle would move megabytes, and so would growth.
//! Not a linked list: a seek would follow a pointer for each node. Here a seek reads a count for each chunk and then for
//! each node of one chunk; an insertion moves at most a chunk's handles, 1.5 KB, and 32 bytes for each chunk beyond it
//! when a chunk is added.
//!
//! Promises  elements, nodes and bytes are counted as they change; no chunk is empty.

use super::End;
use super::node::Node;
use crate::ds::mover::Mover;
use std::collections::VecDeque;

/// Nodes of a chunk.
const CHUNK_NODES_MAX: usize = if cfg!(miri) { 4 } else { 64 };

#[derive(Clone, Default)]
struct Chunk {
    nodes: Vec<Node>,
    elements_count: usize,
    /// Bytes that the nodes have allocated: to ask them would be to read each.
    nodes_bytes: usize,
}

/// See the module.
#[derive(Default)]
pub(super) struct Chain {
    chunks: VecDeque<Chunk>,
    nodes_count: usize,
    elements_count: usize,
    /// Bytes that the nodes have allocated.
    nodes_bytes: usize,
    /// Handles that the chunks have room for.
    handles_count: usize,
}

/// Where a node is, until one is added or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    chunk: usize,
    node: usize,
}

impl Chain {
    /// Elements in all nodes.
    #[inline]
    pub(super) fn elements_count(&self) -> usize {
        self.elements_count
    }

    /// Nodes.
    #[inline]
    pub(super) fn nodes_count(&self) -> usize {
        self.nodes_count
    }

    /// Bytes allocated, the nodes' own included.
    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        self.nodes_bytes
            + self.handles_count * size_of::<Node>()
            + self.chunks.capacity() * size_of::<Chunk>()
    }

    /// The first or last node's place.
    #[inline]
    pub(super) fn end(&self, end: End) -> Option<At> {
        match end {
            End::Front => (self.nodes_count > 0).then_some(At { chunk: 0, node: 0 }),
            End::Back => {
                let chunk = self.chunks.len().checked_sub(1)?;
                let node = self.chunks[chunk].nodes.len() - 1;
                Some(At { chunk, node })
            }
        }
    }

    /// The next place on the way from the front or from the back.
    #[inline]
    pub(super) fn step(&self, at: At, from: End) -> Option<At> {
        match from {
            End::Front => self.settled(At {
                node: at.node + 1,
                ..at
            }),
            End::Back if at.node > 0 => Some(At {
                node: at.node - 1,
                ..at
            }),
            End::Back => {
                let chunk = at.chunk.checked_sub(1)?;
                let node = self.chunks[chunk].nodes.len() - 1;
                Some(At { chunk, node })
            }
        }
    }

    /// The node at a place.
    #[inline]
    pub(super) fn node(&self, at: At) -> &Node {
        &self.chunks[at.chunk].nodes[at.node]
    }

    /// The first or last node.
    #[inline]
    pub(super) fn node_at_end(&self, end: End) -> Option<&Node> {
        match end {
            End::Front => self.chunks.front()?.nodes.first(),
            End::Back => self.chunks.back()?.nodes.last(),
        }
    }

    /// The place of the node with this number, from the nearer end.
    pub(super) fn locate(&self, number: usize) -> Option<At> {
        if number >= self.nodes_count {
            return None;
        }
        if number < self.nodes_count / 2 {
            let mut rest = number;
            for (chunk, one) in self.chunks.iter().enumerate() {
                if rest < one.nodes.len() {
                    return Some(At { chunk, node: rest });
                }
                rest -= one.nodes.len();
            }
        } else {
            let mut rest = self.nodes_count - number;
            for (chunk, one) in self.chunks.iter().enumerate().rev() {
                if rest <= one.nodes.len() {
                    let node = one.nodes.len() - rest;
                    return Some(At { chunk, node });
                }
                rest -= one.nodes.len();
            }
        }
        None
    }

    /// The number of the node at a place.
    pub(super) fn number(&self, at: At) -> usize {
        let before = self.chunks.iter().take(at.chunk);
        before.map(|chunk| chunk.nodes.len()).sum::<usize>() + at.node
    }

    /// The node that holds the element with this index, and which of its elements that is; from the nearer end.
    pub(super) fn seek(&self, index: usize) -> Option<(At, usize)> {
        if index >= self.elements_count {
            return None;
        }
        if index < self.elements_count / 2 {
            let mut rest = index;
            for (chunk, one) in self.chunks.iter().enumerate() {
                if rest < one.elements_count {
                    return Some(one.seek(chunk, rest));
                }
                rest -= one.elements_count;
            }
        } else {
            let mut rest = self.elements_count - index;
            for (chunk, one) in self.chunks.iter().enumerate().rev() {
                if rest <= one.elements_count {
                    return Some(one.seek(chunk, one.elements_count - rest));
                }
                rest -= one.elements_count;
            }
        }
        None
    }

    /// Changes a node, which must not become empty.
    #[inline]
    pub(super) fn edit<R>(&mut self, at: At, change: impl FnOnce(&mut Node) -> R) -> R {
        let chunk = &mut self.chunks[at.chunk];
        let node = &mut chunk.nodes[at.node];
        let (count, bytes) = (node.count(), node.heap_bytes());
        let result = change(node);
        let (new_count, new_bytes) = (node.count(), node.heap_bytes());
        chunk.elements_count = chunk.elements_count - count + new_count;
        chunk.nodes_bytes = chunk.nodes_bytes - bytes + new_bytes;
        self.elements_count = self.elements_count - count + new_count;
        self.nodes_bytes = self.nodes_bytes - bytes + new_bytes;
        result
    }

    /// Changes the first or last node, if there is one.
    #[inline]
    pub(super) fn edit_end<R>(
        &mut self,
        end: End,
        change: impl FnOnce(&mut Node) -> R,
    ) -> Option<R> {
        let at = self.end(end)?;
        Some(self.edit(at, change))
    }

    /// Adds a node at one end.
    pub(super) fn push_end(&mut self, end: End, node: Node) {
        match self.end(end) {
            None => self.add_chunk(0, Chunk::default()),
            Some(at) if self.chunks[at.chunk].nodes.len() == CHUNK_NODES_MAX => match end {
                // A chunk that is split here would stay half full.
                End::Front => self.add_chunk(0, Chunk::default()),
                End::Back => self.add_chunk(self.chunks.len(), Chunk::default()),
            },
            Some(_) => {}
        }
        let (chunk, place) = match end {
            End::Front => (0, 0),
            End::Back => {
                let last = self.chunks.len() - 1;
                (last, self.chunks[last].nodes.len())
            }
        };
        self.put(chunk, place, node);
    }

    /// Puts a node after the one at `at`. Places change.
    pub(super) fn insert_after(&mut self, at: At, node: Node) {
        if self.end(End::Back) == Some(at) {
            return self.push_end(End::Back, node);
        }
        let (mut chunk, mut place) = (at.chunk, at.node + 1);
        if self.chunks[chunk].nodes.len() == CHUNK_NODES_MAX {
            let half = CHUNK_NODES_MAX / 2;
            let rest = self.chunks[chunk].split_off(half);
            self.add_chunk(chunk + 1, rest);
            if place > half {
                (chunk, place) = (chunk + 1, place - half);
            }
        }
        self.put(chunk, place, node);
    }

    /// Removes a node; returns it and the place of the one after it.
    pub(super) fn remove(&mut self, at: At) -> (Node, Option<At>) {
        let chunk = &mut self.chunks[at.chunk];
        let before = chunk.nodes.capacity();
        let node = chunk.nodes.remove(at.node);
        if chunk.nodes.len() * 4 <= before && before > 8 {
            chunk.nodes.shrink_to(before / 2);
            self.handles_count = self.handles_count - before + chunk.nodes.capacity();
        }
        chunk.elements_count -= node.count();
        chunk.nodes_bytes -= node.heap_bytes();
        self.elements_count -= node.count();
        self.nodes_bytes -= node.heap_bytes();
        self.nodes_count -= 1;
        if chunk.nodes.is_empty() {
            self.handles_count -= chunk.nodes.capacity();
            self.chunks.remove(at.chunk);
            if self.chunks.len() * 4 <= self.chunks.capacity() {
                self.chunks.shrink_to(self.chunks.capacity() / 2);
            }
        }
        (node, self.settled(at))
    }

    /// Removes the first or last node, if there is one.
    pub(super) fn remove_end(&mut self, end: End) -> Option<Node> {
        let at = self.end(end)?;
        Some(self.remove(at).0)
    }

    /// Puts the nodes of `self` before `at` there and all from it on into a chain of their own. Places change.
    pub(super) fn split_off(&mut self, at: At) -> Self {
        let mut rest = Self::default();
        if at.node > 0 {
            let chunk = self.chunks[at.chunk].split_off(at.node);
            rest.add_chunk(0, chunk);
            rest.chunks.extend(self.chunks.drain(at.chunk + 1..));
        } else {
            rest.chunks = self.chunks.split_off(at.chunk);
        }
        self.chunks.shrink_to_fit();
        for chunk in &mut rest.chunks {
            rest.nodes_count += chunk.nodes.len();
            rest.elements_count += chunk.elements_count;
            rest.nodes_bytes += chunk.nodes_bytes;
        }
        let handles = |chain: &Self| -> usize {
            let chunks = chain.chunks.iter();
            chunks.map(|chunk| chunk.nodes.capacity()).sum()
        };
        rest.handles_count = handles(&rest);
        self.handles_count = handles(self);
        self.nodes_count -= rest.nodes_count;
        self.elements_count -= rest.elements_count;
        self.nodes_bytes -= rest.nodes_bytes;
        rest
    }

    /// Adds the nodes of `rest` after the last.
    pub(super) fn append(&mut self, mut rest: Self) {
        self.chunks.append(&mut rest.chunks);
        self.nodes_count += rest.nodes_count;
        self.elements_count += rest.elements_count;
        self.nodes_bytes += rest.nodes_bytes;
        self.handles_count += rest.handles_count;
    }

    /// See [`super::Quicklist::move_step`].
    pub(super) fn move_step(&mut self, from: usize, mover: &mut Mover<'_>) -> Option<usize> {
        let mut at = self.locate(from)?;
        let mut number = from;
        if from == 0 {
            mover.ring(&mut self.chunks);
        }
        loop {
            if at.node == 0 {
                mover.array(&mut self.chunks[at.chunk].nodes);
            }
            self.edit(at, |node| node.move_by(mover));
            at = self.step(at, End::Front)?;
            number += 1;
            if mover.is_over() {
                return Some(number);
            }
        }
    }

    /// Panics unless all counts are what a walk finds. For tests.
    pub(super) fn check(&self) {
        let nodes = || self.chunks.iter().flat_map(|chunk| &chunk.nodes);
        assert_eq!(self.nodes_count, nodes().count());
        assert_eq!(self.elements_count, nodes().map(Node::count).sum::<usize>());
        assert_eq!(
            self.nodes_bytes,
            nodes().map(Node::heap_bytes).sum::<usize>()
        );
        let mut handles_count = 0;
        for chunk in &self.chunks {
            assert!((1..=CHUNK_NODES_MAX).contains(&chunk.nodes.len()));
            assert_eq!(chunk.elements_count, elements_in(&chunk.nodes));
            assert_eq!(chunk.nodes_bytes, bytes_in(&chunk.nodes));
            handles_count += chunk.nodes.capacity();
        }
        assert_eq!(self.handles_count, handles_count);
    }

    /// `at`, or the first place of the next chunk if it is past the end of its own.
    #[inline]
    fn settled(&self, at: At) -> Option<At> {
        let chunk = self.chunks.get(at.chunk)?;
        if at.node < chunk.nodes.len() {
            return Some(at);
        }
        let next = at.chunk + 1;
        (next < self.chunks.len()).then_some(At {
            chunk: next,
            node: 0,
        })
    }

    /// Puts a node into a chunk with room.
    fn put(&mut self, chunk: usize, place: usize, node: Node) {
        let chunk = &mut self.chunks[chunk];
        self.nodes_count += 1;
        self.elements_count += node.count();
        self.nodes_bytes += node.heap_bytes();
        chunk.elements_count += node.count();
        chunk.nodes_bytes += node.heap_bytes();
        let before = chunk.nodes.capacity();
        if chunk.nodes.len() == before {
            // One handle, then two, then twice as many: most lists have few nodes.
            chunk.nodes.reserve_exact(before.max(1));
            self.handles_count = self.handles_count - before + chunk.nodes.capacity();
        }
        chunk.nodes.insert(place, node);
    }

    fn add_chunk(&mut self, index: usize, chunk: Chunk) {
        if self.chunks.len() == self.chunks.capacity() {
            self.chunks.reserve_exact(self.chunks.len().max(1));
        }
        self.handles_count += chunk.nodes.capacity();
        self.chunks.insert(index, chunk);
    }
}

impl Clone for Chain {
    fn clone(&self) -> Self {
        let chunks = self.chunks.clone();
        Self {
            // A copy has no room to spare.
            handles_count: chunks.iter().map(|chunk| chunk.nodes.capacity()).sum(),
            chunks,
            ..*self
        }
    }
}

impl Chunk {
    /// Takes the nodes from `place` on out. Its own keep their room.
    fn split_off(&mut self, place: usize) -> Self {
        let nodes = self.nodes.split_off(place);
        let rest = Self {
            elements_count: elements_in(&nodes),
            nodes_bytes: bytes_in(&nodes),
            nodes,
        };
        self.elements_count -= rest.elements_count;
        self.nodes_bytes -= rest.nodes_bytes;
        rest
    }

    fn seek(&self, chunk: usize, index: usize) -> (At, usize) {
        let mut rest = index;
        for (node, one) in self.nodes.iter().enumerate() {
            if rest < one.count() {
                return (At { chunk, node }, rest);
            }
            rest -= one.count();
        }
        unreachable!("the chunk's count is its nodes'")
    }
}

fn elements_in(nodes: &[Node]) -> usize {
    nodes.iter().map(Node::count).sum()
}

fn bytes_in(nodes: &[Node]) -> usize {
    nodes.iter().map(Node::heap_bytes).sum()
}
