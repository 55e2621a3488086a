//! Quicklist: a list of any length as a chain of small packed lists.
//!
//!     Chain | chunk: node node node … | chunk: node … | …        (chain.rs)
//!     node  = a listpack of a few KiB | one large element alone | either compressed | elements of one form      (node.rs)
//!
//! Promises  pushing and popping at either end is O(1) and moves at most one node's bytes; lengths and bytes are counted,
//!           not walked; a change in the middle moves the bytes of a node or two, and no more than one chunk's handles;
//!           reading changes nothing, compressed nodes included.
//! Not here  when a list is a quicklist at all: `keyspace/list.rs`.
//! Source    limits and compression as Redis documents list-max-listpack-size and list-compress-depth.
//! Tests     tests/ds/quicklist.rs: a model of vectors, over limits and depths, invariants after every step.

mod chain;
mod edit;
mod even;
mod node;
mod read;

use super::listpack::{Element, Listpack};
use super::mover::Mover;
use chain::Chain;
pub use edit::remove_in;
pub use node::Content;
use node::Node;
pub use read::visit_pack;

/// What an element may add to a node besides its own bytes, roughly.
const ENTRY_OVERHEAD_BYTES: usize = 8;

/// A node that is limited by elements is limited to this many bytes too.
const COUNTED_NODE_BYTES_MAX: usize = 8192;

/// Which end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The first element's.
    Front,
    /// The last element's.
    Back,
}

/// How much one node may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimit {
    /// Bytes of its listpack.
    pub bytes_max: usize,
    /// Elements in it.
    pub elements_max: usize,
    /// An element longer than this stands alone.
    pub element_bytes_max: usize,
}

impl NodeLimit {
    /// What `list-max-listpack-size` means: a number of elements, or -1 to -5 for 4, 8, 16, 32, 64 KiB.
    pub fn from_size(size: i64) -> Self {
        let (bytes_max, elements_max) = match size {
            ..0 => (2048 << size.unsigned_abs().min(5), usize::MAX),
            0.. => (COUNTED_NODE_BYTES_MAX, size.max(1) as usize),
        };
        Self {
            bytes_max,
            elements_max,
            element_bytes_max: bytes_max,
        }
    }

    /// Whether a node of so many bytes and elements is within it.
    #[inline]
    pub fn allows(&self, bytes: usize, elements: usize) -> bool {
        bytes <= self.bytes_max && elements <= self.elements_max
    }

    #[inline]
    fn allows_more(&self, pack: &Listpack, count: usize, element_bytes: usize) -> bool {
        element_bytes <= self.element_bytes_max
            && self.allows(
                pack.byte_len() + element_bytes + ENTRY_OVERHEAD_BYTES,
                count + 1,
            )
    }
}

/// A list. See the module.
#[derive(Clone)]
pub struct Quicklist {
    chain: Chain,
    limit: NodeLimit,
    /// Nodes at each end that are never compressed; 0: none ever is.
    raw_nodes: usize,
}

impl Quicklist {
    /// An empty list.
    ///
    /// - `compress_depth`: nodes at each end that stay as they are, the others being compressed; 0 compresses none.
    pub fn new(limit: NodeLimit, compress_depth: usize) -> Self {
        Self {
            chain: Chain::default(),
            limit,
            raw_nodes: compress_depth,
        }
    }

    /// Appends a listpack as a node of its own.
    pub fn push_listpack(&mut self, pack: Listpack) {
        if !pack.is_empty() {
            self.push_node(End::Back, Node::packed(pack));
        }
    }

    /// Appends one large element as a node of its own, whatever its length.
    pub fn push_alone(&mut self, element: Box<[u8]>) {
        self.push_node(End::Back, Node::Alone(element));
    }

    /// Adds an element at one end.
    #[inline]
    pub fn push(&mut self, end: End, element: Element<'_>) {
        let element_bytes = element.text_bytes();
        let limit = self.limit;
        let pushed = self.chain.edit_end(end, |node| match node {
            Node::Packed { count, pack }
                if limit.allows_more(pack, *count as usize, element_bytes) =>
            {
                match end {
                    End::Front => pack.push_front(element),
                    End::Back => pack.push_back(element),
                }
                *count += 1;
                true
            }
            _ => false,
        });
        if pushed != Some(true) {
            let node = Node::of_element(element, &self.limit);
            self.push_node(end, node);
        }
    }

    /// The element at one end. Ends are never compressed.
    #[inline]
    pub fn peek(&self, end: End) -> Option<Element<'_>> {
        match self.chain.node_at_end(end)? {
            Node::Packed { pack, .. } => {
                let position = match end {
                    End::Front => pack.first(),
                    End::Back => pack.last(),
                };
                position.map(|position| pack.get(position))
            }
            Node::Alone(bytes) => Some(Element::Str(bytes)),
            Node::Compressed { .. } | Node::Even { .. } => None,
        }
    }

    /// Removes the element at one end, if there is one.
    #[inline]
    pub fn pop(&mut self, end: End) {
        let is_left_over = self.chain.edit_end(end, |node| match node {
            Node::Packed { count, pack } if *count > 1 => {
                let position = match end {
                    End::Front => pack.first(),
                    End::Back => pack.last(),
                };
                if let Some(position) = position {
                    pack.delete(position);
                    *count -= 1;
                }
                true
            }
            _ => false,
        });
        if is_left_over == Some(false) {
            self.chain.remove_end(end);
            self.settle_after_removal(end);
        }
    }

    /// Elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.chain.elements_count()
    }

    /// Whether there is no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.chain.elements_count() == 0
    }

    /// Nodes.
    #[inline]
    pub fn nodes_count(&self) -> usize {
        self.chain.nodes_count()
    }

    /// Nodes at each end that are never compressed; 0: none is.
    pub fn compress_depth(&self) -> usize {
        self.raw_nodes
    }

    /// Bytes allocated.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.chain.heap_bytes()
    }

    /// Moves allocations, from node number `from` on; returns the node to go on with, None at the end.
    pub fn move_step(&mut self, from: usize, mover: &mut Mover<'_>) -> Option<usize> {
        self.chain.move_step(from, mover)
    }

    /// Frees up to about `budget` nodes, from the end; true when none is left.
    pub fn free_step(&mut self, budget: usize) -> bool {
        for _ in 0..budget {
            if self.chain.remove_end(End::Back).is_none() {
                return true;
            }
        }
        self.is_empty()
    }

    /// The only node's listpack, if there is one node and it is one.
    pub fn single_listpack(&self) -> Option<&Listpack> {
        match self.chain.node_at_end(End::Front)? {
            Node::Packed { pack, .. } if self.nodes_count() == 1 => Some(pack),
            _ => None,
        }
    }

    /// Takes the only node's listpack out; see [`Quicklist::single_listpack`].
    pub fn take_single_listpack(&mut self) -> Option<Listpack> {
        self.single_listpack()?;
        match self.chain.remove_end(End::Front)? {
            Node::Packed { pack, .. } => Some(pack),
            Node::Alone(_) | Node::Compressed { .. } | Node::Even { .. } => None,
        }
    }

    fn push_node(&mut self, end: End, node: Node) {
        self.chain.push_end(end, node);
        let nodes_count = self.nodes_count();
        let ends_count = self.raw_nodes.max(1);
        if nodes_count <= ends_count {
            return;
        }
        // The one that is not among the first any more.
        let number = match end {
            End::Front => ends_count,
            End::Back => nodes_count - 1 - ends_count,
        };
        if self.raw_nodes > 0 {
            self.settle(number);
        } else if number > 0 && number < nodes_count - 1 {
            self.even_out(number, end);
        }
    }

    /// Keeps an inner node's elements in one form, where they have one, and fills up the node further in from it.
    fn even_out(&mut self, number: usize, end: End) {
        let inward = match end {
            End::Front => number + 1,
            End::Back => number - 1,
        };
        let (Some(at), Some(neighbour)) = (self.chain.locate(number), self.chain.locate(inward))
        else {
            return;
        };
        self.chain.edit(at, Node::even_out);
        if self.limit.elements_max != usize::MAX {
            return;
        }
        let node = self.chain.node(at);
        let moved_count = node.moves_into(self.chain.node(neighbour), self.limit.bytes_max);
        if moved_count == 0 {
            return;
        }
        let is_back = end == End::Back;
        let moved = self
            .chain
            .edit(at, |node| node.take_even(moved_count, is_back));
        self.chain.edit(neighbour, |node| {
            node.give_even(moved_count, moved, is_back)
        });
        if self.chain.node(at).count() == 0 {
            self.chain.remove(at);
        }
    }

    fn settle_after_removal(&mut self, end: End) {
        let nodes_count = self.nodes_count();
        if nodes_count > 0 {
            let distance = (self.raw_nodes.max(1) - 1).min(nodes_count - 1);
            self.settle(match end {
                End::Front => distance,
                End::Back => nodes_count - 1 - distance,
            });
        }
    }

    /// Compresses the node with this number, or the opposite, by how far from the ends it is.
    fn settle(&mut self, number: usize) {
        let ends_count = self.raw_nodes.max(1);
        let is_inner = number >= ends_count && number + ends_count < self.nodes_count();
        if is_inner && self.raw_nodes == 0 {
            return;
        }
        if let Some(at) = self.chain.locate(number) {
            self.chain.edit(at, |node| {
                if is_inner {
                    node.compress();
                } else {
                    node.unpack();
                }
            });
        }
    }

    /// As [`Quicklist::settle`], for a node in the middle that was changed or made, and those beside it.
    fn settle_around(&mut self, number: usize) {
        if self.raw_nodes > 0 {
            let end = self.nodes_count().min(number + 3);
            (number.saturating_sub(1)..end).for_each(|number| self.settle(number));
        }
    }

    /// As [`Quicklist::settle`], for the nodes that may have become the first or the last.
    fn settle_ends(&mut self) {
        let nodes_count = self.nodes_count();
        // Up to three nodes were added at once, which pushed as many into the middle.
        let ends_count = match self.raw_nodes {
            0 => 1,
            raw_nodes => raw_nodes + 3,
        };
        for distance in 0..ends_count.min(nodes_count) {
            self.settle(distance);
            self.settle(nodes_count - 1 - distance);
        }
    }

    /// Panics unless all counts are what a walk finds, no node is empty, and exactly the inner nodes are compressed, as far
    /// as they get shorter. For tests.
    #[doc(hidden)]
    pub fn check(&self) {
        self.chain.check();
        for number in 0..self.nodes_count() {
            let at = self.chain.locate(number).expect("a node");
            let node = self.chain.node(at);
            assert!(node.count() > 0, "node {number} is empty");
            let is_end = number < self.raw_nodes || number + self.raw_nodes >= self.nodes_count();
            match node {
                Node::Compressed { .. } => assert!(!is_end, "node {number} is compressed"),
                Node::Packed { .. } | Node::Alone(_) if !is_end && self.raw_nodes > 0 => {
                    let mut again = node.clone();
                    again.compress();
                    let is_same = !matches!(again, Node::Compressed { .. });
                    assert!(is_same, "node {number} is not compressed");
                }
                Node::Packed { .. } | Node::Alone(_) | Node::Even { .. } => {}
            }
        }
    }
}
