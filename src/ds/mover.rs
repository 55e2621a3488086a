//! Mover: takes blocks out of pages that are mostly free, as many as one step may.
//!
//! A collection walks its allocations in an order of its own, asks of each whether it is to move, and puts those that are
//! into new ones of the same size. Where it has come is a [`Progress`]: it means something to the collection alone, and a
//! collection that has changed since, or another one, must make do with any.
//!
//! Promises  nothing but addresses changes; no block is larger than the allocator's largest size class, so a step is over
//!           soon after its looks or bytes are used up.
//! Not here  which pages are mostly free: `ds/purge.rs`; whose turn it is: `ds/key_table/compact.rs`.
//! Tests     tests/keyspace/compact.rs: values of every type, moved between any two requests.

use super::listpack::Listpack;
use super::purge;
use super::thin_bytes::ThinBytes;
use super::unaligned_box::UnalignedBox;
use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// Where a walk over a collection's allocations has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Which of the collection's structures, where it has several.
    pub structure: u64,
    /// Which part of that.
    pub part: u64,
    /// Where in that part.
    pub at: u64,
}

impl Progress {
    /// In a structure that is alone.
    pub fn new(part: u64, at: usize) -> Self {
        Self {
            structure: 0,
            part,
            at: at as u64,
        }
    }

    /// Whether nothing has been looked at yet.
    pub fn is_start(self) -> bool {
        self == Self::default()
    }

    /// Whether nothing of its structure has been looked at yet.
    pub fn is_start_of_structure(self) -> bool {
        self.part == 0 && self.at == 0
    }

    /// Where in its part it is, as an index.
    pub fn index(self) -> usize {
        usize::try_from(self.at).unwrap_or(usize::MAX)
    }

    /// `next` in the same structure, or the start of the structure after it.
    pub fn after(self, next: Option<Self>) -> Self {
        match next {
            Some(next) => Self {
                structure: self.structure,
                ..next
            },
            None => Self {
                structure: self.structure + 1,
                ..Self::default()
            },
        }
    }
}

/// Says of each block whether it is to move, and when a step is over.
pub struct Mover<'s> {
    what: What<'s>,
    looks_left: usize,
    bytes_left: usize,
    moved_bytes: usize,
}

#[derive(Clone, Copy)]
enum What<'s> {
    /// Blocks in the allocator's pages that are no more than so many percent full.
    OfSparsePages(usize),
    Where(&'s dyn Fn(*const u8) -> bool),
}

impl<'s> Mover<'s> {
    /// For one step, which moves blocks of the allocator's pages that are no more than `percent` full.
    ///
    /// - `looks_max`: blocks to look at; `bytes_max`: bytes to move. The step is over once either is reached.
    pub fn of_sparse_pages(percent: usize, looks_max: usize, bytes_max: usize) -> Self {
        Self::new(What::OfSparsePages(percent), looks_max, bytes_max)
    }

    /// For one step, which moves blocks at the addresses that `is_sparse` is true for.
    pub fn of_blocks(
        is_sparse: &'s dyn Fn(*const u8) -> bool,
        looks_max: usize,
        bytes_max: usize,
    ) -> Self {
        Self::new(What::Where(is_sparse), looks_max, bytes_max)
    }

    fn new(what: What<'s>, looks_max: usize, bytes_max: usize) -> Self {
        Self {
            what,
            looks_left: looks_max.max(1),
            bytes_left: bytes_max.max(1),
            moved_bytes: 0,
        }
    }

    /// Whether the step is over.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.looks_left == 0 || self.bytes_left == 0
    }

    /// Bytes that were moved.
    pub fn moved_bytes(&self) -> usize {
        self.moved_bytes
    }

    /// Counts something that was looked at and has no block.
    #[inline]
    pub fn pass(&mut self) {
        self.looks_left = self.looks_left.saturating_sub(1);
    }

    /// Whether a block that is in use is to move.
    #[inline]
    pub(super) fn wants(&mut self, block: *const u8) -> bool {
        self.pass();
        match self.what {
            // SAFETY: structures here ask about blocks of their own, which are in use.
            What::OfSparsePages(percent) => unsafe { purge::is_page_sparse(block, percent) },
            What::Where(is_sparse) => is_sparse(block),
        }
    }

    /// Counts a block that was moved.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.moved_bytes += bytes;
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
    }

    /// Moves an array; its room stays what it is.
    pub fn array<T>(&mut self, array: &mut Vec<T>) {
        let bytes = array.capacity() * size_of::<T>();
        if bytes > 0 && self.wants(array.as_ptr().cast()) {
            let mut moved = Vec::with_capacity(array.capacity());
            moved.append(array);
            *array = moved;
            self.moved(bytes);
        }
    }

    /// Moves a ring; its room stays what it is.
    pub fn ring<T>(&mut self, ring: &mut VecDeque<T>) {
        let bytes = ring.capacity() * size_of::<T>();
        if bytes > 0 && self.wants(ring.as_slices().0.as_ptr().cast()) {
            let mut moved = VecDeque::with_capacity(ring.capacity());
            moved.append(ring);
            *ring = moved;
            self.moved(bytes);
        }
    }

    /// Moves a value that lies alone.
    pub fn boxed<T>(&mut self, value: &mut Box<T>) {
        if size_of::<T>() > 0 && self.wants((&raw const **value).cast()) {
            // SAFETY: the pointer came from a `Box`, which is replaced and not dropped.
            unsafe {
                let there = moved(NonNull::from(&mut **value));
                std::ptr::write(value, Box::from_raw(there.as_ptr()));
            }
            self.moved(size_of::<T>());
        }
    }

    /// Moves a value that lies alone.
    pub fn unaligned_box<T>(&mut self, value: &mut UnalignedBox<T>) {
        if size_of::<T>() > 0 && self.wants((&raw const **value).cast()) {
            value.renew();
            self.moved(size_of::<T>());
        }
    }

    /// Moves bytes.
    pub fn bytes(&mut self, bytes: &mut Box<[u8]>) {
        if !bytes.is_empty() && self.wants(bytes.as_ptr()) {
            *bytes = bytes.clone();
            self.moved(bytes.len());
        }
    }

    /// Moves bytes.
    pub fn thin_bytes(&mut self, bytes: &mut ThinBytes) {
        if !bytes.is_empty() && self.wants(bytes.as_ptr()) {
            *bytes = bytes.clone();
            self.moved(bytes.heap_bytes());
        }
    }

    /// Moves a listpack.
    pub fn listpack(&mut self, pack: &mut Listpack) {
        if pack.heap_bytes() > 0 && self.wants(pack.as_bytes().as_ptr()) {
            *pack = pack.clone();
            self.moved(pack.heap_bytes());
        }
    }
}

/// Moves what lies alone to another place. Nothing is dropped or cloned.
///
/// # Safety
/// `old` came from a `Box` and is used no more.
pub(super) unsafe fn moved<T>(old: NonNull<T>) -> NonNull<T> {
    let mut new = Box::<T>::new_uninit();
    // SAFETY: the caller's promise: `old` is there to be read, and is freed without its value, which has gone on.
    unsafe {
        new.as_mut_ptr().copy_from_nonoverlapping(old.as_ptr(), 1);
        drop(Box::from_raw(old.as_ptr().cast::<MaybeUninit<T>>()));
    }
    NonNull::from(Box::leak(new)).cast()
}
