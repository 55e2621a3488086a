//! Counted B+ tree: records in order of score and member, and of each its rank.
//!
//!     inner | first, score, size | first, score, size | …        the root; `height` 0 is a leaf alone
//!               leaf <-> leaf        leaf <-> leaf               records; leaves know their neighbours
//!
//! Promises  a search, a rank, a record by rank and a change each look at one node of every level; records added at either
//!           end fill their nodes. Every inner node has two children or more; nodes a third full or less are merged.
//! Not here  who frees records: `SortedSet`.
//! Source    Tatham, "Counted B-trees"; Comer, "The ubiquitous B-tree", 1979.
//! Tests     tests/ds/sorted_set.rs: `check` after each step.

use super::node::{Child, INNER_MAX, Inner, LEAF_MAX, Leaf, Node};
use super::record::Record;
use crate::ds::block_size::block_bytes;
use crate::ds::mover::{Mover, moved};
use std::ptr::NonNull;

/// Enough for more records than there are addresses: nodes are about a third full at least.
const HEIGHT_MAX: usize = 16;
const LEAF_MIN: usize = LEAF_MAX / 3;
const INNER_MIN: usize = INNER_MAX / 3;
/// Two neighbours with no more than this become one, so that the next record does not cut them apart again.
const LEAF_MERGED_MAX: usize = LEAF_MAX * 3 / 4;
const INNER_MERGED_MAX: usize = INNER_MAX * 3 / 4;

/// Records in order.
pub(super) struct Tree {
    root: Node,
    height: usize,
    size: usize,
    nodes_bytes: usize,
}

/// The way from the root to a place in a leaf.
struct Path {
    /// Inner nodes from the root down, and which child is next.
    steps: [(NonNull<Inner>, usize); HEIGHT_MAX],
    leaf: NonNull<Leaf>,
    at: usize,
}

impl Tree {
    /// A tree without records.
    pub fn new() -> Self {
        let mut tree = Self {
            root: Node::of_leaf(NonNull::dangling()),
            height: 0,
            size: 0,
            nodes_bytes: 0,
        };
        tree.root = Node::of_leaf(tree.new_leaf());
        tree
    }

    /// Adds a record that is not in the tree, whose member is in no other record of it.
    pub fn insert(&mut self, record: Record) {
        // SAFETY: records in the tree and those added to it are alive.
        let (score, member) = unsafe { (record.score(), record.member()) };
        let path = self.path(|other_score, other| is_before(other_score, other, score, member));
        self.insert_at(&path, record);
    }

    /// Adds a record that comes after all others.
    pub fn push(&mut self, record: Record) {
        let path = self.path(|_, _| true);
        self.insert_at(&path, record);
    }

    /// Takes a record out.
    pub fn remove(&mut self, record: Record) {
        let mut path = self.path_to(record);
        path.at = position(self.leaf(path.leaf).records(), record);
        self.remove_at(&path, 1);
    }

    /// Takes out some of the records of one leaf from `rank` on, at most `count` of them; returns how many.
    pub fn remove_run(&mut self, rank: usize, count: usize, taken: &mut Vec<Record>) -> usize {
        let path = self.path_to_rank(rank);
        let records = &self.leaf(path.leaf).records()[path.at..];
        let run = &records[..count.min(records.len())];
        taken.extend_from_slice(run);
        let run_count = run.len();
        self.remove_at(&path, run_count);
        run_count
    }

    /// Gives a record another score.
    pub fn set_score(&mut self, record: Record, score: f64) {
        let path = self.path_to(record);
        let leaf = self.leaf(path.leaf);
        let records = leaf.records();
        let at = position(records, record);
        // SAFETY: records of the tree are alive.
        let member = unsafe { record.member() };
        let is_after_previous = match at.checked_sub(1) {
            Some(before) => is_record_before(records[before], score, member),
            // The node above knows the first one's score.
            None => false,
        };
        let is_before_next = match records.get(at + 1) {
            Some(next) => !is_record_before(*next, score, member),
            None => leaf.next.is_none(),
        };
        if is_after_previous && is_before_next {
            // SAFETY: the record is alive, and `self` is borrowed exclusively.
            unsafe { record.set_score(score) };
            return;
        }
        self.remove_at(&Path { at, ..path }, 1);
        // SAFETY: as above.
        unsafe { record.set_score(score) };
        self.insert(record);
    }

    /// How many records there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.size
    }

    /// Bytes of the nodes.
    pub fn nodes_bytes(&self) -> usize {
        self.nodes_bytes
    }

    /// How many records `is_before` holds for; they must be the first ones.
    #[inline]
    pub fn rank_behind(&self, is_before: impl Fn(f64, Record) -> bool) -> usize {
        let mut rank = 0;
        let (_, at) = self.descend(&is_before, |_, inner, at| rank += sizes_before(inner, at));
        rank + at
    }

    /// How many records come before `record`, which is in the tree.
    pub fn rank(&self, record: Record) -> usize {
        let mut rank = 0;
        let mut leaf = None;
        self.walk_to(
            record,
            |inner, at| rank += sizes_before(inner, at),
            &mut leaf,
        );
        let leaf = leaf.expect("a walk ends in a leaf");
        rank + position(self.leaf(leaf).records(), record)
    }

    /// The leaf and the place in it of the record of that rank, below `len()`.
    pub fn seek(&self, rank: usize) -> (NonNull<Leaf>, usize) {
        let path = self.path_to_rank(rank);
        (path.leaf, path.at)
    }

    /// Frees the nodes. The tree is used no more but to be dropped.
    fn free_nodes(&mut self, node: Node, height: usize) {
        if height == 0 {
            self.free_leaf(node.leaf());
            return;
        }
        let count = self.inner(node.inner()).children().len();
        for at in 0..count {
            let child = self.inner(node.inner()).children()[at].node;
            self.free_nodes(child, height - 1);
        }
        self.free_inner(node.inner());
    }

    /// Moves the leaf that has the record of this rank, its records, and the nodes above of which it is the first leaf;
    /// returns the rank behind it. `renamed` is told of each record that has moved, while the old one is still there.
    pub fn move_leaf(
        &mut self,
        rank: usize,
        mover: &mut Mover<'_>,
        renamed: &mut dyn FnMut(Record, Record),
    ) -> usize {
        let mut path = self.path_to_rank(rank);
        let steps = &path.steps[..self.height];
        let first_depth = steps.iter().rposition(|&(_, at)| at > 0);
        for depth in first_depth.map_or(0, |depth| depth + 1)..self.height {
            let inner = path.steps[depth].0;
            if mover.wants(inner.as_ptr().cast_const().cast()) {
                // SAFETY: made by `new_inner`; the one above is told before anybody looks again.
                path.steps[depth].0 = unsafe { moved(inner) };
                self.replace_node(&path, depth, Node::of_inner(path.steps[depth].0));
                mover.moved(size_of::<Inner>());
            }
        }
        if mover.wants(path.leaf.as_ptr().cast_const().cast()) {
            // SAFETY: made by `new_leaf`; the one above and its neighbours are told before anybody looks again.
            path.leaf = unsafe { moved(path.leaf) };
            self.replace_node(&path, self.height, Node::of_leaf(path.leaf));
            let Leaf { previous, next, .. } = *self.leaf(path.leaf);
            if let Some(previous) = previous {
                self.leaf_mut(previous).next = Some(path.leaf);
            }
            if let Some(next) = next {
                self.leaf_mut(next).previous = Some(path.leaf);
            }
            mover.moved(size_of::<Leaf>());
        }
        let count = self.leaf(path.leaf).records().len();
        for at in 0..count {
            let old = self.leaf(path.leaf).records()[at];
            if mover.wants(old.start()) {
                // SAFETY: records of the tree are alive. Leaf, nodes above and `renamed` have the new one when this one
                // is freed.
                unsafe {
                    let new = Record::new(old.score(), old.member());
                    self.leaf_mut(path.leaf).replace(at, new);
                    if at == 0 {
                        self.refresh_firsts(&path, self.height);
                    }
                    renamed(old, new);
                    mover.moved(super::record_bytes(old.member()));
                    old.free();
                }
            }
        }
        rank - path.at + count
    }

    /// Tells what leads to the node at `depth` of the path where it is now.
    fn replace_node(&mut self, path: &Path, depth: usize, node: Node) {
        match depth.checked_sub(1) {
            None => self.root = node,
            Some(above) => {
                let (parent, at) = path.steps[above];
                self.inner_mut(parent).child_mut(at).node = node;
            }
        }
    }

    // Searching

    /// Calls `step` with each inner node and the child taken; returns the leaf and the place in it.
    #[inline]
    fn descend(
        &self,
        is_before: &impl Fn(f64, Record) -> bool,
        mut step: impl FnMut(usize, NonNull<Inner>, usize),
    ) -> (NonNull<Leaf>, usize) {
        let mut node = self.root;
        for depth in 0..self.height {
            let children = self.inner(node.inner()).children();
            let passed = children.partition_point(|child| is_before(child.score, child.first));
            let at = passed.saturating_sub(1);
            step(depth, node.inner(), at);
            node = children[at].node;
        }
        let leaf = node.leaf();
        let at = partition_point(self.leaf(leaf).records(), is_before);
        (leaf, at)
    }

    /// As `descend`, to the leaf of a record of the tree: its own records are not looked at.
    #[inline]
    fn walk_to(
        &self,
        record: Record,
        mut step: impl FnMut(NonNull<Inner>, usize),
        leaf: &mut Option<NonNull<Leaf>>,
    ) {
        // SAFETY: records of the tree are alive.
        let (score, member) = unsafe { (record.score(), record.member()) };
        let mut node = self.root;
        for _ in 0..self.height {
            let children = self.inner(node.inner()).children();
            let passed = children.partition_point(|child| {
                child.first == record || is_before(child.score, child.first, score, member)
            });
            let at = passed.saturating_sub(1);
            step(node.inner(), at);
            node = children[at].node;
        }
        *leaf = Some(node.leaf());
    }

    fn path(&self, is_before: impl Fn(f64, Record) -> bool) -> Path {
        let mut steps = [(NonNull::dangling(), 0); HEIGHT_MAX];
        let (leaf, at) = self.descend(&is_before, |depth, inner, at| steps[depth] = (inner, at));
        Path { steps, leaf, at }
    }

    fn path_to(&self, record: Record) -> Path {
        let mut steps = [(NonNull::dangling(), 0); HEIGHT_MAX];
        let mut depth = 0;
        let mut leaf = None;
        let step = |inner, at| {
            steps[depth] = (inner, at);
            depth += 1;
        };
        self.walk_to(record, step, &mut leaf);
        let leaf = leaf.expect("a walk ends in a leaf");
        Path { steps, leaf, at: 0 }
    }

    fn path_to_rank(&self, rank: usize) -> Path {
        assert!(rank < self.size, "a rank there is");
        let mut steps = [(NonNull::dangling(), 0); HEIGHT_MAX];
        let mut node = self.root;
        let mut left = rank;
        for step in &mut steps[..self.height] {
            let children = self.inner(node.inner()).children();
            let mut at = 0;
            while left >= children[at].size {
                left -= children[at].size;
                at += 1;
            }
            *step = (node.inner(), at);
            node = children[at].node;
        }
        Path {
            steps,
            leaf: node.leaf(),
            at: left,
        }
    }

    // Changing

    fn insert_at(&mut self, path: &Path, record: Record) {
        self.size += 1;
        for &(inner, at) in &path.steps[..self.height] {
            self.inner_mut(inner).child_mut(at).size += 1;
        }
        let leaf = self.leaf_mut(path.leaf);
        if leaf.records().len() < LEAF_MAX {
            leaf.insert(path.at, record);
            if path.at == 0 {
                self.refresh_firsts(path, self.height);
            }
            return;
        }
        self.split_leaf(path, record);
    }

    /// Cuts a full leaf in two, and adds a record to one of them.
    fn split_leaf(&mut self, path: &Path, record: Record) {
        let new = self.new_leaf();
        let leaf = self.leaf_mut(path.leaf);
        let next = leaf.next;
        // What grows at an end leaves full leaves behind.
        let cut = if path.at == LEAF_MAX && next.is_none() {
            LEAF_MAX
        } else if path.at == 0 && leaf.previous.is_none() {
            0
        } else {
            LEAF_MAX / 2
        };
        // SAFETY: `new` is in no tree yet: nobody else reaches it.
        let right = unsafe { &mut *new.as_ptr() };
        leaf.move_tail(cut, right);
        leaf.next = Some(new);
        right.previous = Some(path.leaf);
        right.next = next;
        if path.at <= cut && cut < LEAF_MAX {
            leaf.insert(path.at, record);
        } else {
            right.insert(path.at - cut, record);
        }
        if let Some(next) = next {
            self.leaf_mut(next).previous = Some(new);
        }
        let child = self.child_of(Node::of_leaf(new), 0);
        self.add_sibling(path, self.height, child);
    }

    /// Adds `child` behind the node at `depth` of the path, from which it was cut off.
    fn add_sibling(&mut self, path: &Path, depth: usize, child: Child) {
        if depth == 0 {
            let old = self.child_of(self.root, self.height);
            let root = self.new_inner();
            let inner = self.inner_mut(root);
            inner.insert(0, old);
            inner.insert(1, child);
            self.root = Node::of_inner(root);
            self.height += 1;
            assert!(self.height < HEIGHT_MAX, "the tree is not that high");
            return;
        }
        let (parent, at) = path.steps[depth - 1];
        self.inner_mut(parent).child_mut(at).size -= child.size;
        self.refresh_first(parent, at, self.height - depth);
        let inner = self.inner_mut(parent);
        if inner.children().len() < INNER_MAX {
            inner.insert(at + 1, child);
            self.refresh_firsts(path, depth - 1);
            return;
        }
        let is_at = |end: fn(&Inner) -> usize| {
            path.steps[..depth].iter().all(|&(step, at)| {
                // SAFETY: nodes on the path are alive, and none is changed meanwhile.
                at == end(unsafe { step.as_ref() })
            })
        };
        let cut = if is_at(|inner| inner.children().len() - 1) {
            INNER_MAX - 1
        } else if is_at(|_| 0) {
            1
        } else {
            INNER_MAX / 2
        };
        let new = self.new_inner();
        // SAFETY: `new` is in no tree yet: nobody else reaches it.
        let right = unsafe { &mut *new.as_ptr() };
        let inner = self.inner_mut(parent);
        inner.move_tail(cut, right);
        if at < cut {
            inner.insert(at + 1, child);
        } else {
            right.insert(at + 1 - cut, child);
        }
        let sibling = self.child_of(Node::of_inner(new), self.height - depth + 1);
        self.add_sibling(path, depth - 1, sibling);
    }

    /// Takes `count` records out of the path's leaf, and mends the nodes.
    fn remove_at(&mut self, path: &Path, count: usize) {
        self.size -= count;
        for &(inner, at) in &path.steps[..self.height] {
            self.inner_mut(inner).child_mut(at).size -= count;
        }
        self.leaf_mut(path.leaf).remove(path.at, path.at + count);
        let heights = 0..self.height;
        for (height, &(parent, at)) in heights.zip(path.steps[..self.height].iter().rev()) {
            let node = self.inner(parent).children()[at].node;
            let (node_count, count_min) = match height {
                0 => (self.leaf(node.leaf()).records().len(), LEAF_MIN),
                _ => (self.inner(node.inner()).children().len(), INNER_MIN),
            };
            if node_count == 0 {
                assert!(height == 0, "inner nodes have children");
                self.inner_mut(parent).remove(at);
                self.free_leaf(node.leaf());
                continue;
            }
            self.refresh_first(parent, at, height);
            if node_count < count_min {
                self.lean(parent, at, height);
            } else if at > 0 {
                // The nodes above see no difference.
                break;
            }
        }
        while self.height > 0 && self.inner(self.root.inner()).children().len() == 1 {
            let root = self.root.inner();
            self.root = self.inner(root).children()[0].node;
            self.height -= 1;
            self.free_inner(root);
        }
    }

    /// Joins a node that has few with a neighbour, or takes some of the neighbour's.
    fn lean(&mut self, parent: NonNull<Inner>, at: usize, height: usize) {
        if self.inner(parent).children().len() == 1 {
            return;
        }
        let left_at = at.saturating_sub(1);
        let pair = &self.inner(parent).children()[left_at..left_at + 2];
        let (left, right) = (pair[0].node, pair[1].node);
        let is_merged = if height == 0 {
            self.even_leaves(left.leaf(), right.leaf())
        } else {
            self.even_inners(left.inner(), right.inner())
        };
        *self.inner_mut(parent).child_mut(left_at) = self.child_of(left, height);
        if !is_merged {
            *self.inner_mut(parent).child_mut(left_at + 1) = self.child_of(right, height);
            return;
        }
        self.inner_mut(parent).remove(left_at + 1);
        if height == 0 {
            self.free_leaf(right.leaf());
        } else {
            self.free_inner(right.inner());
        }
    }

    /// Moves records so that both have as many, or all to the left: true.
    fn even_leaves(&mut self, left: NonNull<Leaf>, right: NonNull<Leaf>) -> bool {
        // SAFETY: two nodes of the tree, which is borrowed exclusively.
        let (left, right) = unsafe { (&mut *left.as_ptr(), &mut *right.as_ptr()) };
        let (left_count, right_count) = (left.records().len(), right.records().len());
        let total = left_count + right_count;
        if total <= LEAF_MERGED_MAX {
            left.take_head(right_count, right);
            return true;
        }
        if left_count < total / 2 {
            left.take_head(total / 2 - left_count, right);
        } else {
            left.move_tail(total / 2, right);
        }
        false
    }

    /// As `even_leaves`, for children.
    fn even_inners(&mut self, left: NonNull<Inner>, right: NonNull<Inner>) -> bool {
        // SAFETY: two nodes of the tree, which is borrowed exclusively.
        let (left, right) = unsafe { (&mut *left.as_ptr(), &mut *right.as_ptr()) };
        let (left_count, right_count) = (left.children().len(), right.children().len());
        let total = left_count + right_count;
        if total <= INNER_MERGED_MAX {
            left.take_head(right_count, right);
            return true;
        }
        if left_count < total / 2 {
            left.take_head(total / 2 - left_count, right);
        } else {
            left.move_tail(total / 2, right);
        }
        false
    }

    /// Tells the nodes above the one at `depth` which record is now first below them.
    fn refresh_firsts(&mut self, path: &Path, depth: usize) {
        for above in (0..depth).rev() {
            let (inner, at) = path.steps[above];
            self.refresh_first(inner, at, self.height - above - 1);
            if at > 0 {
                return;
            }
        }
    }

    fn refresh_first(&mut self, inner: NonNull<Inner>, at: usize, height: usize) {
        let node = self.inner(inner).children()[at].node;
        let (score, first) = self.first_of(node, height);
        let child = self.inner_mut(inner).child_mut(at);
        child.score = score;
        child.first = first;
    }

    fn first_of(&self, node: Node, height: usize) -> (f64, Record) {
        if height == 0 {
            let first = self.leaf(node.leaf()).records()[0];
            // SAFETY: records of the tree are alive.
            return (unsafe { first.score() }, first);
        }
        let first = &self.inner(node.inner()).children()[0];
        (first.score, first.first)
    }

    fn child_of(&self, node: Node, height: usize) -> Child {
        let (score, first) = self.first_of(node, height);
        let size = match height {
            0 => self.leaf(node.leaf()).records().len(),
            _ => self.inner(node.inner()).size(),
        };
        Child {
            score,
            first,
            size,
            node,
        }
    }

    // Nodes

    pub(super) fn leaf(&self, leaf: NonNull<Leaf>) -> &Leaf {
        // SAFETY: callers name leaves of this tree, which live until it frees them, and change them only through `&mut`.
        unsafe { leaf.as_ref() }
    }

    fn leaf_mut(&mut self, mut leaf: NonNull<Leaf>) -> &mut Leaf {
        // SAFETY: as for `leaf`; the tree is borrowed exclusively.
        unsafe { leaf.as_mut() }
    }

    fn inner(&self, inner: NonNull<Inner>) -> &Inner {
        // SAFETY: as for `leaf`.
        unsafe { inner.as_ref() }
    }

    fn inner_mut(&mut self, mut inner: NonNull<Inner>) -> &mut Inner {
        // SAFETY: as for `leaf_mut`.
        unsafe { inner.as_mut() }
    }

    fn new_leaf(&mut self) -> NonNull<Leaf> {
        self.nodes_bytes += block_bytes(size_of::<Leaf>());
        NonNull::from(Box::leak(Box::new(Leaf::new())))
    }

    fn new_inner(&mut self) -> NonNull<Inner> {
        self.nodes_bytes += block_bytes(size_of::<Inner>());
        NonNull::from(Box::leak(Box::new(Inner::new())))
    }

    fn free_leaf(&mut self, leaf: NonNull<Leaf>) {
        self.nodes_bytes -= block_bytes(size_of::<Leaf>());
        let Leaf { previous, next, .. } = *self.leaf(leaf);
        if let Some(previous) = previous {
            self.leaf_mut(previous).next = next;
        }
        if let Some(next) = next {
            self.leaf_mut(next).previous = previous;
        }
        // SAFETY: made by `new_leaf`; no node names it any more.
        drop(unsafe { Box::from_raw(leaf.as_ptr()) });
    }

    fn free_inner(&mut self, inner: NonNull<Inner>) {
        self.nodes_bytes -= block_bytes(size_of::<Inner>());
        // SAFETY: made by `new_inner`; no node names it any more.
        drop(unsafe { Box::from_raw(inner.as_ptr()) });
    }

    /// Panics where the tree is not as its header says. Costs a walk over everything.
    pub fn check(&self) {
        let mut leaves = Vec::new();
        let mut nodes_bytes = 0;
        let size = self.check_node(self.root, self.height, &mut leaves, &mut nodes_bytes);
        assert_eq!(size, self.size);
        assert_eq!(nodes_bytes, self.nodes_bytes);
        for pair in leaves.windows(2) {
            assert!(self.leaf(pair[0]).next == Some(pair[1]));
            assert!(self.leaf(pair[1]).previous == Some(pair[0]));
        }
        assert!(self.leaf(leaves[0]).previous.is_none());
        assert!(self.leaf(leaves[leaves.len() - 1]).next.is_none());
        let records: Vec<Record> = leaves
            .iter()
            .flat_map(|leaf| self.leaf(*leaf).records().iter().copied())
            .collect();
        for pair in records.windows(2) {
            // SAFETY: records of the tree are alive.
            let (score, member) = unsafe { (pair[1].score(), pair[1].member()) };
            assert!(is_record_before(pair[0], score, member), "in order");
        }
    }

    fn check_node(
        &self,
        node: Node,
        height: usize,
        leaves: &mut Vec<NonNull<Leaf>>,
        nodes_bytes: &mut usize,
    ) -> usize {
        if height == 0 {
            leaves.push(node.leaf());
            *nodes_bytes += block_bytes(size_of::<Leaf>());
            let count = self.leaf(node.leaf()).records().len();
            assert!(count > 0 || self.height == 0, "no leaf is empty");
            return count;
        }
        *nodes_bytes += block_bytes(size_of::<Inner>());
        let children = self.inner(node.inner()).children();
        assert!(children.len() > 1, "inner nodes have two children");
        let mut total = 0;
        for child in children {
            let size = self.check_node(child.node, height - 1, leaves, nodes_bytes);
            assert_eq!(size, child.size);
            let (score, first) = self.first_of(child.node, height - 1);
            assert!(first == child.first && score == child.score);
            total += size;
        }
        total
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.free_nodes(self.root, self.height);
    }
}

/// Whether a record comes before a score and a member.
#[inline]
fn is_before(other_score: f64, other: Record, score: f64, member: &[u8]) -> bool {
    if other_score == score {
        // SAFETY: callers name records of a tree, which are alive.
        return unsafe { other.member() } < member;
    }
    other_score < score
}

fn is_record_before(record: Record, score: f64, member: &[u8]) -> bool {
    // SAFETY: callers name records of a tree, which are alive.
    is_before(unsafe { record.score() }, record, score, member)
}

/// How many records `is_before` holds for; they must be the first ones. Each record looked at is likely a cache miss: the
/// two that may come next are asked for before it, which halves the wait.
#[inline]
fn partition_point(records: &[Record], is_before: &impl Fn(f64, Record) -> bool) -> usize {
    let (mut low, mut high) = (0, records.len());
    while low < high {
        let middle = low.midpoint(high);
        for next in [low.midpoint(middle), (middle + 1).midpoint(high)] {
            if let Some(record) = records.get(next) {
                record.prefetch();
            }
        }
        let record = records[middle];
        // SAFETY: callers name records of a tree, which are alive.
        if is_before(unsafe { record.score() }, record) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

fn position(records: &[Record], record: Record) -> usize {
    records
        .iter()
        .position(|other| *other == record)
        .expect("the record is in its leaf")
}

fn sizes_before(inner: NonNull<Inner>, at: usize) -> usize {
    // SAFETY: a node of a tree that is borrowed while this runs.
    let children = unsafe { inner.as_ref() }.children();
    children[..at].iter().map(|child| child.size).sum()
}
