//! What a slot of a field table leads to: a number in the slot itself, or one block.
//!
//!     payload = | number 45, signed                       | 001 |     a field that is an integer, and nothing else
//!               | address 45 | has deadline | has value | 0     |
//!     block   = | deadline i64 | position u32 | field length | value length | field | value |
//!     length  = | u8 below 255 |  or  | 255 | u64 |                   no alignment is assumed behind the first byte
//!
//! Promises  a block has the size its content asks for, rounded to the allocator's classes, at any time.

use super::Field;
use crate::base::number::{parse_i64, write_i64_before};
use crate::ds::block_size::block_bytes;
use crate::ds::prefetch::prefetch;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::{copy, copy_nonoverlapping};
use std::slice::from_raw_parts;

const IS_NUMBER: u64 = 1;
const HAS_VALUE: u64 = 2;
const HAS_DEADLINE: u64 = 4;
const FLAGS: u64 = 7;
/// Text of the longest number that a payload has room for.
const NUMBER_TEXT_BYTES_MAX: usize = 15;
/// 45 bits, signed.
const NUMBER_LIMIT: i64 = 1 << 44;
const PAYLOAD_MASK: u64 = (1 << 48) - 1;

/// Deadline and position.
const DEADLINE_BYTES: usize = 12;
/// In place of a length: eight bytes of it follow.
const LONG: u8 = 255;
const ALIGNMENT: usize = 8;

/// A payload: owns the block it leads to, though it can be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block(pub(super) u64);

/// Lengths, and so the place of everything in a block.
#[derive(Clone, Copy)]
struct Shape {
    flags: u64,
    field_bytes: usize,
    value_bytes: usize,
}

impl Block {
    /// The field as a number in the payload, where it is one.
    #[inline]
    pub(super) fn number(field: &[u8]) -> Option<Self> {
        let first = *field.first()?;
        if field.len() > NUMBER_TEXT_BYTES_MAX || !(first.is_ascii_digit() || first == b'-') {
            return None;
        }
        let number = parse_i64(field)?;
        (-NUMBER_LIMIT..NUMBER_LIMIT)
            .contains(&number)
            .then_some(Self((number << 3) as u64 & PAYLOAD_MASK | IS_NUMBER))
    }

    /// A new block with a copy of all this.
    pub(super) fn create(field: &[u8], value: Option<&[u8]>, deadline_ms: Option<i64>) -> Self {
        let shape = Shape {
            flags: flag(value.is_some(), HAS_VALUE) | flag(deadline_ms.is_some(), HAS_DEADLINE),
            field_bytes: field.len(),
            value_bytes: value.map_or(0, <[u8]>::len),
        };
        let layout = shape.layout();
        // SAFETY: no shape is empty, a length has a byte at least.
        let start = unsafe { alloc(layout) };
        if start.is_null() {
            handle_alloc_error(layout);
        }
        let address = start.expose_provenance() as u64;
        assert!(address & (FLAGS | !PAYLOAD_MASK) == 0, "48 bits of address");
        let block = Self(address | shape.flags);
        // SAFETY: the block is new and has room for this shape, and what is copied lies elsewhere.
        unsafe {
            if let Some(deadline_ms) = deadline_ms {
                block.set_deadline_ms(deadline_ms);
            }
            write_length(start.add(shape.field_length_at()), field.len());
            if shape.flags & HAS_VALUE != 0 {
                write_length(start.add(shape.value_length_at()), shape.value_bytes);
            }
            copy_nonoverlapping(field.as_ptr(), start.add(shape.field_at()), field.len());
            if let Some(value) = value {
                copy_nonoverlapping(value.as_ptr(), start.add(shape.value_at()), value.len());
            }
        }
        block
    }

    /// A copy of the block; numbers are their own.
    ///
    /// # Safety
    /// The block is alive.
    pub(super) unsafe fn copied(self) -> Self {
        if self.is_number() {
            return self;
        }
        // SAFETY: the caller's promise.
        unsafe {
            let layout = self.shape().layout();
            let start = alloc(layout);
            if start.is_null() {
                handle_alloc_error(layout);
            }
            copy_nonoverlapping(self.start(), start, self.shape().bytes());
            Self(start.expose_provenance() as u64 | self.0 & FLAGS)
        }
    }

    /// Frees the block.
    ///
    /// # Safety
    /// The block is alive, and used no more.
    #[inline]
    pub(super) unsafe fn free(self) {
        if !self.is_number() {
            // SAFETY: the caller's promise; blocks always have the size of their shape.
            unsafe { dealloc(self.start(), self.shape().layout()) };
        }
    }

    /// Writes another value over the one there, if the block stays as large; false and unchanged otherwise.
    ///
    /// # Safety
    /// The block is alive and nothing borrows from it.
    pub(super) unsafe fn overwrite_value(self, value: &[u8]) -> bool {
        if self.0 & HAS_VALUE == 0 {
            return false;
        }
        // SAFETY: the caller's promise; what is written ends where the shape says, inside of the block.
        unsafe {
            let shape = self.shape();
            let wanted = Shape {
                value_bytes: value.len(),
                ..shape
            };
            if wanted.layout() != shape.layout() || wanted.field_at() != shape.field_at() {
                return false;
            }
            let start = self.start();
            write_length(start.add(wanted.value_length_at()), value.len());
            copy(value.as_ptr(), start.add(wanted.value_at()), value.len());
        }
        true
    }

    /// Whether there is neither a value nor a deadline.
    #[inline]
    pub(super) fn is_bare(self) -> bool {
        self.is_number() || self.0 & (HAS_VALUE | HAS_DEADLINE) == 0
    }

    /// The number in the payload, if it is one.
    #[inline]
    pub(super) fn integer(self) -> i64 {
        // The payload's 48 bits to the top and back: the sign comes along.
        (self.0 << 16) as i64 >> 19
    }

    #[inline]
    pub(super) fn is_number(self) -> bool {
        self.0 & IS_NUMBER != 0
    }

    #[inline]
    pub(super) fn has_deadline(self) -> bool {
        self.0 & (IS_NUMBER | HAS_DEADLINE) == HAS_DEADLINE
    }

    /// Bytes of the block; 0 for a number.
    ///
    /// # Safety
    /// The block is alive.
    #[inline]
    pub(super) unsafe fn bytes(self) -> usize {
        if self.is_number() {
            return 0;
        }
        // SAFETY: the caller's promise.
        unsafe { self.shape() }.layout().size()
    }

    /// The field.
    ///
    /// # Safety
    /// The block is alive for `'a`, and not written to.
    #[inline]
    pub(super) unsafe fn field<'a>(self) -> Field<'a> {
        if self.is_number() {
            let mut text = [0; 20];
            let start = write_i64_before(&mut text, 20, self.integer());
            return Field::number(text, start);
        }
        // SAFETY: the caller's promise.
        Field::borrowed(unsafe { self.text() })
    }

    /// The field of a block that is no number.
    ///
    /// # Safety
    /// The block is alive for `'a`, not written to, and no number.
    #[inline]
    pub(super) unsafe fn text<'a>(self) -> &'a [u8] {
        debug_assert!(!self.is_number(), "a number has no block");
        // SAFETY: the caller's promise.
        unsafe {
            let shape = self.shape();
            let start = self.start().add(shape.field_at());
            from_raw_parts(start, shape.field_bytes)
        }
    }

    /// The value, if there is one.
    ///
    /// # Safety
    /// The block is alive for `'a`, and not written to.
    #[inline]
    pub(super) unsafe fn value<'a>(self) -> Option<&'a [u8]> {
        if self.0 & (IS_NUMBER | HAS_VALUE) != HAS_VALUE {
            return None;
        }
        // SAFETY: the caller's promise.
        unsafe {
            let shape = self.shape();
            let start = self.start().add(shape.value_at());
            Some(from_raw_parts(start, shape.value_bytes))
        }
    }

    /// Whether the field of a block that is no number is this one.
    ///
    /// # Safety
    /// The block is alive, and no number.
    #[inline]
    pub(super) unsafe fn is_field(self, field: &[u8]) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.text() == field }
    }

    /// Starts loading the block, where there is one.
    #[inline]
    pub(super) fn prefetch(self) {
        if !self.is_number() {
            prefetch(self.start());
        }
    }

    /// The deadline, if there is one.
    ///
    /// # Safety
    /// The block is alive.
    #[inline]
    pub(super) unsafe fn deadline_ms(self) -> Option<i64> {
        // SAFETY: the caller's promise; the flag says that the block begins with a deadline.
        self.has_deadline()
            .then(|| unsafe { self.start().cast::<i64>().read_unaligned() })
    }

    /// # Safety
    /// The block is alive, has a deadline, and nothing borrows from it.
    #[inline]
    pub(super) unsafe fn set_deadline_ms(self, deadline_ms: i64) {
        // SAFETY: the caller's promise.
        unsafe { self.start().cast::<i64>().write_unaligned(deadline_ms) };
    }

    /// Where the deadlines' heap has this block.
    ///
    /// # Safety
    /// The block is alive and has a deadline.
    #[inline]
    pub(super) unsafe fn position(self) -> usize {
        // SAFETY: the caller's promise.
        unsafe { self.start().add(8).cast::<u32>().read_unaligned() as usize }
    }

    /// # Safety
    /// The block is alive and has a deadline.
    #[inline]
    pub(super) unsafe fn set_position(self, position: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            self.start()
                .add(8)
                .cast::<u32>()
                .write_unaligned(position as u32);
        }
    }

    /// Where the block is.
    #[inline]
    pub(super) fn address(self) -> *const u8 {
        self.start()
    }

    #[inline]
    fn start(self) -> *mut u8 {
        std::ptr::with_exposed_provenance_mut((self.0 & !FLAGS) as usize)
    }

    /// # Safety
    /// The block is alive.
    #[inline]
    unsafe fn shape(self) -> Shape {
        let mut shape = Shape {
            flags: self.0 & FLAGS,
            field_bytes: 0,
            value_bytes: 0,
        };
        // SAFETY: the caller's promise; blocks are written by `create` and `overwrite_value`.
        unsafe {
            shape.field_bytes = read_length(self.start().add(shape.field_length_at()));
            if shape.flags & HAS_VALUE != 0 {
                shape.value_bytes = read_length(self.start().add(shape.value_length_at()));
            }
        }
        shape
    }
}

impl Shape {
    #[inline]
    fn field_length_at(self) -> usize {
        if self.flags & HAS_DEADLINE != 0 {
            DEADLINE_BYTES
        } else {
            0
        }
    }

    #[inline]
    fn value_length_at(self) -> usize {
        self.field_length_at() + length_bytes(self.field_bytes)
    }

    #[inline]
    fn field_at(self) -> usize {
        let value_length_bytes = if self.flags & HAS_VALUE != 0 {
            length_bytes(self.value_bytes)
        } else {
            0
        };
        self.value_length_at() + value_length_bytes
    }

    #[inline]
    fn value_at(self) -> usize {
        self.field_at() + self.field_bytes
    }

    #[inline]
    fn bytes(self) -> usize {
        self.value_at() + self.value_bytes
    }

    #[inline]
    fn layout(self) -> Layout {
        match Layout::from_size_align(block_bytes(self.bytes()), ALIGNMENT) {
            Ok(layout) => layout,
            Err(_) => unreachable!("two slices that exist fit in the address space"),
        }
    }
}

#[inline]
fn flag(is_set: bool, flag: u64) -> u64 {
    if is_set { flag } else { 0 }
}

#[inline]
fn length_bytes(length: usize) -> usize {
    if length < LONG as usize { 1 } else { 9 }
}

/// # Safety
/// `at` has room for `length_bytes(length)`.
#[inline]
unsafe fn write_length(at: *mut u8, length: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if length < LONG as usize {
            at.write(length as u8);
        } else {
            at.write(LONG);
            at.add(1).cast::<u64>().write_unaligned(length as u64);
        }
    }
}

/// # Safety
/// `write_length` wrote there.
#[inline]
unsafe fn read_length(at: *const u8) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        match at.read() {
            LONG => at.add(1).cast::<u64>().read_unaligned() as usize,
            length => length as usize,
        }
    }
}
