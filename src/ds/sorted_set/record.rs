//! One member's record: its score and its bytes in one block, named by the tree and by the index alike.
//!
//!     | score f64 | length u8 | member … |                    members below 255 bytes
//!     | score f64 | 255 | length u32 | member … |             longer ones
//!
//! Promises  one allocation; a record stays where it is while anything else names it, so eight bytes do wherever it is needed.
//! Not here  who owns a record: `SortedSet`, which frees each exactly once.

use crate::ds::prefetch::prefetch;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// The length byte of members that have a length of four bytes.
const LONG: u8 = u8::MAX;
const LENGTH_AT: usize = size_of::<f64>();
const SHORT_HEAD_BYTES: usize = LENGTH_AT + 1;
const LONG_HEAD_BYTES: usize = SHORT_HEAD_BYTES + size_of::<u32>();

/// The address of a record. Copies are free and all name the same one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Record(NonNull<u8>);

impl Record {
    /// A block of its own for `member`, below 4 GiB.
    pub fn new(score: f64, member: &[u8]) -> Self {
        let layout = layout(member.len());
        // SAFETY: the layout has at least the head's bytes.
        let Some(block) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        // SAFETY: the block is fresh, 8-aligned, and has room for the head and the member.
        unsafe {
            block.cast::<f64>().write(score);
            let length_at = block.add(LENGTH_AT);
            let start = if member.len() < usize::from(LONG) {
                length_at.write(member.len() as u8);
                SHORT_HEAD_BYTES
            } else {
                length_at.write(LONG);
                length_at
                    .add(1)
                    .cast::<u32>()
                    .write_unaligned(member.len() as u32);
                LONG_HEAD_BYTES
            };
            block
                .add(start)
                .copy_from_nonoverlapping(NonNull::from(member).cast(), member.len());
        }
        Self(block)
    }

    /// # Safety
    /// The record is alive and is used no more.
    pub unsafe fn free(self) {
        // SAFETY: the caller's promise; the layout is the one it was made with.
        unsafe { dealloc(self.0.as_ptr(), layout(self.member().len())) }
    }

    /// # Safety
    /// The record is alive.
    #[inline]
    pub unsafe fn score(self) -> f64 {
        // SAFETY: the caller's promise.
        unsafe { self.0.cast::<f64>().read() }
    }

    /// # Safety
    /// The record is alive, and nobody reads it at the moment.
    #[inline]
    pub unsafe fn set_score(self, score: f64) {
        // SAFETY: the caller's promise.
        unsafe { self.0.cast::<f64>().write(score) }
    }

    /// The member.
    ///
    /// # Safety
    /// The record is alive, and stays so for `'r`.
    #[inline]
    pub unsafe fn member<'r>(self) -> &'r [u8] {
        // SAFETY: the caller's promise; the head says how many bytes were written behind it.
        unsafe {
            let length_at = self.0.add(LENGTH_AT);
            let short = length_at.read();
            let (start, length) = if short < LONG {
                (SHORT_HEAD_BYTES, usize::from(short))
            } else {
                let length = length_at.add(1).cast::<u32>().read_unaligned();
                (LONG_HEAD_BYTES, length as usize)
            };
            std::slice::from_raw_parts(self.0.add(start).as_ptr(), length)
        }
    }

    /// Starts loading it.
    #[inline]
    pub fn prefetch(self) {
        prefetch(self.0.as_ptr());
    }

    /// Where the block is.
    #[inline]
    pub fn start(self) -> *const u8 {
        self.0.as_ptr()
    }

    /// The block's address, for the index: below 2^48.
    #[inline]
    pub fn address(self) -> u64 {
        self.0.as_ptr().expose_provenance() as u64
    }

    /// The record at an address that [`Record::address`] gave.
    #[inline]
    pub fn at(address: u64) -> Self {
        let block = std::ptr::with_exposed_provenance_mut(address as usize);
        Self(NonNull::new(block).expect("a record has an address"))
    }
}

/// Bytes of the block of a member of `length` bytes.
pub(super) fn bytes_of(length: usize) -> usize {
    layout(length).size()
}

fn layout(length: usize) -> Layout {
    let head_bytes = if length < usize::from(LONG) {
        SHORT_HEAD_BYTES
    } else {
        LONG_HEAD_BYTES
    };
    Layout::from_size_align(head_bytes + length, align_of::<f64>())
        .expect("members are far smaller than the address space")
        .pad_to_align()
}
