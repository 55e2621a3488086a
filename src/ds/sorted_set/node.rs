//! The nodes of the tree: leaves of records, and inner nodes of children with what is known of each.
//!
//! Promises  a leaf is 512 bytes, an inner node 1,000: both just below a size that allocators have.
//! Not here  what order records have, and when nodes are split and merged: `tree.rs`.

use super::record::Record;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// Most records in a leaf.
pub(super) const LEAF_MAX: usize = 61;
/// Most children of an inner node.
pub(super) const INNER_MAX: usize = 31;

/// Records in order.
pub(super) struct Leaf {
    pub previous: Option<NonNull<Leaf>>,
    pub next: Option<NonNull<Leaf>>,
    count: usize,
    records: [MaybeUninit<Record>; LEAF_MAX],
}

const _: () = assert!(size_of::<Leaf>() == 512);

/// Children in order.
pub(super) struct Inner {
    count: usize,
    children: [MaybeUninit<Child>; INNER_MAX],
}

const _: () = assert!(size_of::<Inner>() == 1000);

/// What an inner node knows of a child.
#[derive(Clone, Copy)]
pub(super) struct Child {
    /// The score of `first`, so that most searches touch no record.
    pub score: f64,
    /// The first record below the child.
    pub first: Record,
    /// Records below the child.
    pub size: usize,
    pub node: Node,
}

/// A leaf or an inner node: which one the height says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Node(NonNull<u8>);

impl Node {
    pub fn of_leaf(leaf: NonNull<Leaf>) -> Self {
        Self(leaf.cast())
    }

    pub fn of_inner(inner: NonNull<Inner>) -> Self {
        Self(inner.cast())
    }

    /// The leaf; only right at height 0.
    pub fn leaf(self) -> NonNull<Leaf> {
        self.0.cast()
    }

    /// The inner node; only right above height 0.
    pub fn inner(self) -> NonNull<Inner> {
        self.0.cast()
    }
}

impl Leaf {
    pub fn new() -> Self {
        Self {
            previous: None,
            next: None,
            count: 0,
            records: [const { MaybeUninit::uninit() }; LEAF_MAX],
        }
    }

    #[inline]
    pub fn records(&self) -> &[Record] {
        written(&self.records, self.count)
    }

    /// Puts a record in the place of another.
    pub fn replace(&mut self, at: usize, record: Record) {
        assert!(at < self.count, "a record there is");
        self.records[at].write(record);
    }

    pub fn insert(&mut self, at: usize, record: Record) {
        insert(&mut self.records, &mut self.count, at, record);
    }

    pub fn remove(&mut self, start: usize, end: usize) {
        remove(&mut self.records, &mut self.count, start, end);
    }

    /// Moves the records from `at` on to the front of `right`.
    pub fn move_tail(&mut self, at: usize, right: &mut Leaf) {
        let tail = &self.records[at..self.count];
        prepend(&mut right.records, &mut right.count, tail);
        self.count = at;
    }

    /// Moves the first `count` records of `right` to the end.
    pub fn take_head(&mut self, count: usize, right: &mut Leaf) {
        append(&mut self.records, &mut self.count, &right.records[..count]);
        right.remove(0, count);
    }
}

impl Inner {
    pub fn new() -> Self {
        Self {
            count: 0,
            children: [const { MaybeUninit::uninit() }; INNER_MAX],
        }
    }

    #[inline]
    pub fn children(&self) -> &[Child] {
        written(&self.children, self.count)
    }

    #[inline]
    pub fn child_mut(&mut self, at: usize) -> &mut Child {
        assert!(at < self.count, "a child there is");
        // SAFETY: the first `count` are written.
        unsafe { self.children[at].assume_init_mut() }
    }

    pub fn insert(&mut self, at: usize, child: Child) {
        insert(&mut self.children, &mut self.count, at, child);
    }

    pub fn remove(&mut self, at: usize) {
        remove(&mut self.children, &mut self.count, at, at + 1);
    }

    /// As [`Leaf::move_tail`].
    pub fn move_tail(&mut self, at: usize, right: &mut Inner) {
        let tail = &self.children[at..self.count];
        prepend(&mut right.children, &mut right.count, tail);
        self.count = at;
    }

    /// As [`Leaf::take_head`].
    pub fn take_head(&mut self, count: usize, right: &mut Inner) {
        append(
            &mut self.children,
            &mut self.count,
            &right.children[..count],
        );
        remove(&mut right.children, &mut right.count, 0, count);
    }

    /// Records below it.
    pub fn size(&self) -> usize {
        self.children().iter().map(|child| child.size).sum()
    }
}

#[inline]
fn written<T>(array: &[MaybeUninit<T>], count: usize) -> &[T] {
    let front = &array[..count];
    // SAFETY: every node keeps its first `count` places written; `MaybeUninit<T>` is laid out as `T`.
    unsafe { std::slice::from_raw_parts(front.as_ptr().cast(), front.len()) }
}

fn insert<T: Copy>(array: &mut [MaybeUninit<T>], count: &mut usize, at: usize, value: T) {
    array.copy_within(at..*count, at + 1);
    array[at].write(value);
    *count += 1;
}

fn remove<T: Copy>(array: &mut [MaybeUninit<T>], count: &mut usize, start: usize, end: usize) {
    array.copy_within(end..*count, start);
    *count -= end - start;
}

fn prepend<T: Copy>(array: &mut [MaybeUninit<T>], count: &mut usize, front: &[MaybeUninit<T>]) {
    array.copy_within(0..*count, front.len());
    array[..front.len()].copy_from_slice(front);
    *count += front.len();
}

fn append<T: Copy>(array: &mut [MaybeUninit<T>], count: &mut usize, back: &[MaybeUninit<T>]) {
    array[*count..*count + back.len()].copy_from_slice(back);
    *count += back.len();
}
