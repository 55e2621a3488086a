//! Tree: an ordered map, a B+ tree of small arrays.
//!
//!     inner = | least key, child | least key, child | ...       up to 32
//!     leaf  = | key, value | key, value | ...                   up to 32
//!
//! A least key bounds what is below a child from below, but that of an inner's first child: what bounds it stands above, and
//! the first child of all has no bound. Keys that come in order fill leaves to the brim: a full leaf is left whole and the new
//! key starts the next one.
//!
//! Promises  every step is a search of a few short arrays and a move within one; no array grows above its bound, so no
//!           insert waits for the whole; `heap_bytes` is exact and O(1), what values own apart.
//! Tests     tests/ds/stream_tree.rs: a `BTreeMap`, seeded, invariants after every step.

use crate::ds::mover::Mover;
use std::borrow::Borrow;
use std::mem;

/// What is acknowledged in order leaves its leaf from the front: half of this is moved up each time.
const LEAF_MAX: usize = 32;
const INNER_MAX: usize = 32;
/// More levels than memory could hold.
const HEIGHT_MAX: usize = 12;

/// Keys in order, with values.
pub struct Tree<K, V> {
    root: Node<K, V>,
    len: usize,
    heap_bytes: usize,
}

#[derive(Clone)]
enum Node<K, V> {
    Leaf(Vec<(K, V)>),
    Inner(Vec<Child<K, V>>),
}

type Child<K, V> = (K, Node<K, V>);

/// As dense as can be: arrays have no spare room.
impl<K: Clone, V: Clone> Clone for Tree<K, V> {
    fn clone(&self) -> Self {
        let root = self.root.clone();
        Self {
            heap_bytes: root.heap_bytes(),
            root,
            len: self.len,
        }
    }
}

impl<K: Ord + Clone, V> Default for Tree<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord + Clone, V> Tree<K, V> {
    /// An empty map; allocates nothing.
    pub const fn new() -> Self {
        Self {
            root: Node::Leaf(Vec::new()),
            len: 0,
            heap_bytes: 0,
        }
    }

    /// Adds a key or gives it another value; returns the value it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let mut grown = 0;
        let inserted = self.root.insert(key, value, &mut grown);
        self.account(grown);
        match inserted {
            Inserted::Replaced(old) => return Some(old),
            Inserted::Done => {}
            Inserted::Split(least, right) => self.grow_root(least, right),
        }
        self.len += 1;
        None
    }

    /// Removes a key.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let mut grown = 0;
        let value = self.root.remove(key, &mut grown)?;
        self.account(grown);
        self.len -= 1;
        self.lower_root();
        Some(value)
    }

    /// Keeps only the pairs that `keep` is true for: one walk over all arrays, where many are to go.
    pub fn retain(&mut self, keep: &mut dyn FnMut(&K, &V) -> bool) {
        let (mut grown, mut removed) = (0, 0);
        self.root.retain(keep, &mut grown, &mut removed);
        self.account(grown);
        self.len -= removed;
        self.lower_root();
    }

    /// Takes the last leaf's pairs away, all of them: a large map is dropped leaf by leaf.
    pub fn pop_leaf(&mut self) -> Option<Vec<(K, V)>> {
        if self.len == 0 {
            *self = Self::new();
            return None;
        }
        let mut grown = 0;
        let leaf = self.root.pop_leaf(&mut grown);
        self.account(grown);
        self.len -= leaf.len();
        self.lower_root();
        Some(leaf)
    }

    /// A key's value.
    #[inline]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let leaf = self.root.leaf_of(key);
        let index = place_of(leaf, key).ok()?;
        Some(&leaf[index].1)
    }

    /// A key's value, to change. What it owns is the caller's to account.
    #[inline]
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let leaf = self.root.leaf_of_mut(key);
        let index = place_of(leaf, key).ok()?;
        Some(&mut leaf[index].1)
    }

    /// The least key and its value.
    pub fn first(&self) -> Option<(&K, &V)> {
        self.iter().next()
    }

    /// The greatest key and its value.
    #[inline]
    pub fn last(&self) -> Option<(&K, &V)> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(pairs) => return pairs.last().map(|(key, value)| (key, value)),
                Node::Inner(children) => node = &children.last().expect("an inner has children").1,
            }
        }
    }

    /// The greatest key's value, to change.
    #[inline]
    pub fn last_mut(&mut self) -> Option<(&K, &mut V)> {
        let mut node = &mut self.root;
        loop {
            match node {
                Node::Leaf(pairs) => return pairs.last_mut().map(|(key, value)| (&*key, value)),
                Node::Inner(children) => {
                    node = &mut children.last_mut().expect("an inner has children").1;
                }
            }
        }
    }

    /// Shows every value, to change. What they own is the caller's to account.
    pub fn for_each_mut(&mut self, visit: &mut dyn FnMut(&K, &mut V)) {
        self.root.for_each_mut(visit);
    }

    /// Moves arrays, from leaf number `from` on, and shows `each` their values; returns the leaf to go on with, None at the
    /// end.
    pub fn move_step(
        &mut self,
        from: usize,
        mover: &mut Mover<'_>,
        each: &mut dyn FnMut(&mut V, &mut Mover<'_>),
    ) -> Option<usize> {
        let (mut skipped, mut next) = (from, from);
        let is_end = self.root.move_step(&mut skipped, &mut next, mover, each);
        (!is_end).then_some(next)
    }

    /// All pairs in order.
    pub fn iter(&self) -> Iter<'_, K, V> {
        let mut iter = Iter::new();
        iter.descend_first(&self.root);
        iter
    }

    /// The pairs from the first key that is not less than `key` on.
    pub fn iter_from(&self, key: &K) -> Iter<'_, K, V> {
        let mut iter = Iter::new();
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(pairs) => {
                    let start = pairs.partition_point(|(own, _)| own < key);
                    iter.leaf = &pairs[start..];
                    return iter;
                }
                Node::Inner(children) => {
                    let index = child_of(children, key);
                    iter.push(&children[index + 1..]);
                    node = &children[index].1;
                }
            }
        }
    }

    /// The pairs from the last key that is not greater than `key` on; all of them where every key is greater.
    pub fn iter_from_floor(&self, key: &K) -> Iter<'_, K, V> {
        let mut iter = Iter::new();
        let mut node = &self.root;
        let mut is_leftmost = true;
        loop {
            match node {
                Node::Leaf(pairs) => {
                    let end = pairs.partition_point(|(own, _)| own <= key);
                    if end == 0 && !is_leftmost {
                        // This leaf has lost its least keys: the floor is in the leaf before.
                        let floor = self.iter_back_from(key).next();
                        return floor
                            .map_or_else(|| self.iter(), |(floor, _)| self.iter_from(floor));
                    }
                    iter.leaf = &pairs[end.saturating_sub(1)..];
                    return iter;
                }
                Node::Inner(children) => {
                    let index = child_of(children, key);
                    is_leftmost &= index == 0;
                    iter.push(&children[index + 1..]);
                    node = &children[index].1;
                }
            }
        }
    }

    /// The greatest key that is not greater than `key`.
    pub fn floor(&self, key: &K) -> Option<(&K, &V)> {
        self.iter_back_from(key).next()
    }

    /// The pairs up to the last key that is not greater than `key`, backwards.
    pub fn iter_back_from(&self, key: &K) -> IterBack<'_, K, V> {
        let mut iter = Iter::new();
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(pairs) => {
                    let end = pairs.partition_point(|(own, _)| own <= key);
                    iter.leaf = &pairs[..end];
                    return IterBack(iter);
                }
                Node::Inner(children) => {
                    let index = child_of(children, key);
                    iter.push(&children[..index]);
                    node = &children[index].1;
                }
            }
        }
    }

    /// How many pairs.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes allocated by the map itself.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }

    /// About how many allocations dropping the map frees, without what the values own.
    pub fn allocations(&self) -> usize {
        // A leaf is at least a third full on average, and inners are few beside them.
        self.len.div_ceil(LEAF_MAX / 3)
    }

    /// The arrays have grown by so many bytes, or shrunk.
    #[inline]
    fn account(&mut self, grown: isize) {
        self.heap_bytes = self.heap_bytes.wrapping_add_signed(grown);
    }

    fn grow_root(&mut self, least: K, right: Node<K, V>) {
        let left = mem::replace(&mut self.root, Node::Inner(Vec::new()));
        let mut children = Vec::with_capacity(4);
        children.push((left.least(), left));
        children.push((least, right));
        self.account(bytes_of(&children));
        self.root = Node::Inner(children);
    }

    /// An inner root with one child is a level too many.
    fn lower_root(&mut self) {
        while let Node::Inner(children) = &mut self.root
            && children.len() <= 1
        {
            let bytes = bytes_of(children);
            self.root = match children.pop() {
                Some((_, child)) => child,
                None => Node::Leaf(Vec::new()),
            };
            self.account(-bytes);
        }
    }

    /// Checks what must be true of every map; for tests.
    #[doc(hidden)]
    pub fn assert_sound(&self) {
        let mut len = 0;
        self.root.assert_sound(true, None, &mut len);
        assert_eq!(len, self.len, "the count");
        assert_eq!(self.root.heap_bytes(), self.heap_bytes, "the account");
        let keys: Vec<&K> = self.iter().map(|(key, _)| key).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "keys rise");
        assert_eq!(keys.len(), self.len, "all are walked");
    }
}

enum Inserted<K, V> {
    Replaced(V),
    Done,
    /// The node was full: a new one goes to its right.
    Split(K, Node<K, V>),
}

impl<K: Ord + Clone, V> Node<K, V> {
    fn insert(&mut self, key: K, value: V, grown: &mut isize) -> Inserted<K, V> {
        match self {
            Self::Leaf(pairs) => {
                let is_last = pairs.last().is_none_or(|(last, _)| *last < key);
                let index = if is_last {
                    pairs.len()
                } else {
                    match pairs.binary_search_by(|(own, _)| own.cmp(&key)) {
                        Ok(index) => {
                            return Inserted::Replaced(mem::replace(&mut pairs[index].1, value));
                        }
                        Err(index) => index,
                    }
                };
                match insert_at(pairs, index, (key, value), LEAF_MAX, grown) {
                    None => Inserted::Done,
                    Some(right) => Inserted::Split(right[0].0.clone(), Self::Leaf(right)),
                }
            }
            Self::Inner(children) => {
                let index = child_of(children, &key);
                let (least, right) = match children[index].1.insert(key, value, grown) {
                    Inserted::Split(least, right) => (least, right),
                    other => return other,
                };
                match insert_at(children, index + 1, (least, right), INNER_MAX, grown) {
                    None => Inserted::Done,
                    Some(right) => {
                        let least = right[0].0.clone();
                        Inserted::Split(least, Self::Inner(right))
                    }
                }
            }
        }
    }

    fn remove<Q: Ord + ?Sized>(&mut self, key: &Q, grown: &mut isize) -> Option<V>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Leaf(pairs) => {
                let index = place_of(pairs, key).ok()?;
                let (_, value) = pairs.remove(index);
                tighten(pairs, grown);
                Some(value)
            }
            Self::Inner(children) => {
                let index = child_of(children, key);
                let value = children[index].1.remove(key, grown)?;
                rejoin(children, index, grown);
                Some(value)
            }
        }
    }

    fn retain(
        &mut self,
        keep: &mut dyn FnMut(&K, &V) -> bool,
        grown: &mut isize,
        removed: &mut usize,
    ) {
        match self {
            Self::Leaf(pairs) => {
                let before = pairs.len();
                pairs.retain(|(key, value)| keep(key, value));
                if pairs.len() < before {
                    *removed += before - pairs.len();
                    tighten(pairs, grown);
                }
            }
            Self::Inner(children) => {
                for (_, child) in children.iter_mut() {
                    child.retain(keep, grown, removed);
                }
                // From the end: one that goes or joins moves nothing that is still to be looked at.
                for index in (0..children.len()).rev() {
                    if index < children.len() {
                        rejoin(children, index, grown);
                    }
                }
            }
        }
    }

    fn pop_leaf(&mut self, grown: &mut isize) -> Vec<(K, V)> {
        match self {
            Self::Leaf(pairs) => {
                *grown -= bytes_of(pairs);
                mem::take(pairs)
            }
            Self::Inner(children) => {
                let index = children.len() - 1;
                let leaf = children[index].1.pop_leaf(grown);
                if children[index].1.is_empty() {
                    children[index].1.free(grown);
                    children.pop();
                }
                leaf
            }
        }
    }

    #[inline]
    fn leaf_of<Q: Ord + ?Sized>(&self, key: &Q) -> &[(K, V)]
    where
        K: Borrow<Q>,
    {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(pairs) => return pairs,
                Self::Inner(children) => node = &children[child_of(children, key)].1,
            }
        }
    }

    #[inline]
    fn leaf_of_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> &mut [(K, V)]
    where
        K: Borrow<Q>,
    {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(pairs) => return pairs,
                Self::Inner(children) => {
                    let index = child_of(children, key);
                    node = &mut children[index].1;
                }
            }
        }
    }

    /// A bound for everything below from below.
    fn least(&self) -> K {
        match self {
            Self::Leaf(pairs) => pairs[0].0.clone(),
            Self::Inner(children) => children[0].0.clone(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Leaf(pairs) => pairs.len(),
            Self::Inner(children) => children.len(),
        }
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Accounts for the array of an empty node that is about to go.
    fn free(&self, grown: &mut isize) {
        *grown -= match self {
            Self::Leaf(pairs) => bytes_of(pairs),
            Self::Inner(children) => bytes_of(children),
        };
    }

    /// - `bound`: what nothing below is less than.
    fn assert_sound(&self, is_root: bool, bound: Option<&K>, len: &mut usize) {
        let is_bounded = |key: &K| bound.is_none_or(|bound| bound <= key);
        match self {
            Self::Leaf(pairs) => {
                assert!(pairs.iter().all(|(key, _)| is_bounded(key)), "bounds hold");
                assert!(is_root || !pairs.is_empty(), "no leaf is empty");
                assert!(pairs.len() <= LEAF_MAX && pairs.capacity() <= LEAF_MAX);
                *len += pairs.len();
            }
            Self::Inner(children) => {
                assert!(
                    children.len() > usize::from(is_root),
                    "an inner has children"
                );
                assert!(children.len() <= INNER_MAX && children.capacity() <= INNER_MAX);
                let leasts = children[1..].iter().map(|(least, _)| least);
                assert!(leasts.clone().all(is_bounded), "bounds hold");
                assert!(leasts.clone().is_sorted_by(|a, b| a < b), "bounds rise");
                let bounds = std::iter::once(bound).chain(leasts.map(Some));
                for ((_, child), bound) in children.iter().zip(bounds) {
                    child.assert_sound(false, bound, len);
                }
            }
        }
    }
}

impl<K, V> Node<K, V> {
    fn for_each_mut(&mut self, visit: &mut dyn FnMut(&K, &mut V)) {
        match self {
            Self::Leaf(pairs) => pairs.iter_mut().for_each(|(key, value)| visit(key, value)),
            Self::Inner(children) => {
                (children.iter_mut()).for_each(|(_, child)| child.for_each_mut(visit));
            }
        }
    }

    /// As [`Tree::move_step`]: passes `skipped` leaves over and counts those it has moved to `next`; whether it came to its
    /// end.
    fn move_step(
        &mut self,
        skipped: &mut usize,
        next: &mut usize,
        mover: &mut Mover<'_>,
        each: &mut dyn FnMut(&mut V, &mut Mover<'_>),
    ) -> bool {
        match self {
            Self::Leaf(_) if *skipped > 0 => *skipped -= 1,
            Self::Leaf(_) if mover.is_over() => return false,
            Self::Leaf(pairs) => {
                mover.array(pairs);
                pairs.iter_mut().for_each(|(_, value)| each(value, mover));
                *next += 1;
            }
            Self::Inner(children) => {
                let is_lowest = matches!(children.first(), Some((_, Self::Leaf(_))));
                if is_lowest && *skipped >= children.len() {
                    *skipped -= children.len();
                    return true;
                }
                if *skipped == 0 && !mover.is_over() {
                    mover.array(children);
                }
                return children
                    .iter_mut()
                    .all(|(_, child)| child.move_step(skipped, next, mover, each));
            }
        }
        true
    }

    /// Bytes of this array and all below.
    fn heap_bytes(&self) -> usize {
        match self {
            Self::Leaf(pairs) => bytes_of(pairs) as usize,
            Self::Inner(children) => {
                let below = children.iter().map(|(_, child)| child.heap_bytes());
                bytes_of(children) as usize + below.sum::<usize>()
            }
        }
    }
}

/// The child that has `key`, or would have it.
#[inline]
fn child_of<K: Borrow<Q>, V, Q: Ord + ?Sized>(children: &[Child<K, V>], key: &Q) -> usize {
    // The ends first: what comes in order goes in at one and out at the other.
    match children {
        [_, (second, _), ..] if key < second.borrow() => 0,
        [.., (last, _)] if key >= last.borrow() => children.len() - 1,
        _ => children[1..].partition_point(|(least, _)| least.borrow() <= key),
    }
}

/// Where `key` is in a leaf, or belongs.
#[inline]
fn place_of<K: Borrow<Q>, V, Q: Ord + ?Sized>(pairs: &[(K, V)], key: &Q) -> Result<usize, usize> {
    match pairs {
        [(first, _), ..] if key == first.borrow() => Ok(0),
        _ => pairs.binary_search_by(|(own, _)| own.borrow().cmp(key)),
    }
}

fn bytes_of<T>(array: &Vec<T>) -> isize {
    (array.capacity() * size_of::<T>()) as isize
}

/// Inserts into an array that has at most `max` elements; what has no room in it comes back as the array to its right.
fn insert_at<T>(
    array: &mut Vec<T>,
    index: usize,
    element: T,
    max: usize,
    grown: &mut isize,
) -> Option<Vec<T>> {
    if array.len() < max {
        if array.len() == array.capacity() {
            // A copy's arrays are full at every length: what is left may be less than four.
            let more = array.len().max(4).min(max - array.len());
            let before = bytes_of(array);
            array.reserve_exact(more);
            *grown += bytes_of(array) - before;
        }
        array.insert(index, element);
        return None;
    }
    let mut right = Vec::with_capacity(max);
    *grown += bytes_of(&right);
    if index == max {
        // In order: the left stays full.
        right.push(element);
        return Some(right);
    }
    let half = max / 2;
    right.extend(array.drain(half..));
    if index <= half {
        array.insert(index, element);
    } else {
        right.insert(index - half, element);
    }
    Some(right)
}

/// Gives back what an array has grown out of.
fn tighten<T>(array: &mut Vec<T>, grown: &mut isize) {
    let capacity = array.capacity();
    if capacity > 8 && array.len() * 4 <= capacity {
        let before = bytes_of(array);
        array.shrink_to(capacity / 2);
        *grown += bytes_of(array) - before;
    }
}

/// After a removal from child `index`: an empty child goes, a small one joins a neighbour where both fit easily.
fn rejoin<K: Ord + Clone, V>(children: &mut Vec<Child<K, V>>, index: usize, grown: &mut isize) {
    let child = &children[index].1;
    let max = match child {
        Node::Leaf(_) => LEAF_MAX,
        Node::Inner(_) => INNER_MAX,
    };
    if child.is_empty() {
        child.free(grown);
        children.remove(index);
        return;
    }
    if child.len() > max / 4 {
        return;
    }
    let joins = |left: usize| {
        left + 1 < children.len()
            && children[left].1.len() + children[left + 1].1.len() <= max * 3 / 4
    };
    let left = if joins(index) {
        index
    } else if index > 0 && joins(index - 1) {
        index - 1
    } else {
        return;
    };
    let (least, mut right) = children.remove(left + 1);
    right.free(grown);
    if let Node::Inner(children) = &mut right {
        // It bounds what is below its first child, which is a first one no longer.
        children[0].0 = least;
    }
    *grown += match (&mut children[left].1, &mut right) {
        (Node::Leaf(left), Node::Leaf(right)) => join(left, right, LEAF_MAX),
        (Node::Inner(left), Node::Inner(right)) => join(left, right, INNER_MAX),
        _ => unreachable!("all leaves are on one level"),
    };
}

/// Moves all of `right` behind `left`; returns by how many bytes `left` grew.
fn join<T>(left: &mut Vec<T>, right: &mut Vec<T>, max: usize) -> isize {
    let before = bytes_of(left);
    let needed = left.len() + right.len();
    if left.capacity() < needed {
        let capacity = needed.next_power_of_two().min(max);
        left.reserve_exact(capacity - left.len());
    }
    left.append(right);
    bytes_of(left) - before
}

/// What [`Tree::iter`] and [`Tree::iter_from`] give.
pub struct Iter<'t, K, V> {
    leaf: &'t [(K, V)],
    /// The children still to visit, level by level from the root.
    above: [&'t [Child<K, V>]; HEIGHT_MAX],
    levels: usize,
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<'t, K, V> Iter<'t, K, V> {
    fn new() -> Self {
        Self {
            leaf: &[],
            above: [&[]; HEIGHT_MAX],
            levels: 0,
        }
    }

    #[inline]
    fn push(&mut self, children: &'t [Child<K, V>]) {
        self.above[self.levels] = children;
        self.levels += 1;
    }

    fn descend_first(&mut self, mut node: &'t Node<K, V>) {
        loop {
            match node {
                Node::Leaf(pairs) => {
                    self.leaf = pairs;
                    return;
                }
                Node::Inner(children) => {
                    let (first, rest) = children.split_first().expect("an inner has children");
                    self.push(rest);
                    node = &first.1;
                }
            }
        }
    }

    fn descend_last(&mut self, mut node: &'t Node<K, V>) {
        loop {
            match node {
                Node::Leaf(pairs) => {
                    self.leaf = pairs;
                    return;
                }
                Node::Inner(children) => {
                    let (last, rest) = children.split_last().expect("an inner has children");
                    self.push(rest);
                    node = &last.1;
                }
            }
        }
    }
}

impl<'t, K, V> Iterator for Iter<'t, K, V> {
    type Item = (&'t K, &'t V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(((key, value), rest)) = self.leaf.split_first() {
                self.leaf = rest;
                return Some((key, value));
            }
            let level = self.levels.checked_sub(1)?;
            self.levels = level;
            if let Some(((_, child), rest)) = self.above[level].split_first() {
                self.push(rest);
                self.descend_first(child);
            }
        }
    }
}

/// What [`Tree::iter_back_from`] gives.
pub struct IterBack<'t, K, V>(Iter<'t, K, V>);

impl<K, V> Clone for IterBack<'_, K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<'t, K, V> Iterator for IterBack<'t, K, V> {
    type Item = (&'t K, &'t V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let iter = &mut self.0;
        loop {
            if let Some(((key, value), rest)) = iter.leaf.split_last() {
                iter.leaf = rest;
                return Some((key, value));
            }
            let level = iter.levels.checked_sub(1)?;
            iter.levels = level;
            if let Some(((_, child), rest)) = iter.above[level].split_last() {
                iter.push(rest);
                iter.descend_last(child);
            }
        }
    }
}
