//! Payloads: a value as its entry holds it, and what of it lies elsewhere.
//!
//!     integers, strings up to 448 bytes, objects of alignment 1 and up to 64 bytes   in the entry
//!     longer strings, other objects                                                  in a box, whose address is in the entry
//!
//! Promises  `put` and `lift` are the two ways in and out of an entry for what it owns, and book it; what is lifted is owned
//!           by who asked for it, and the entry's payload is only bytes.
//! Not here  bytes of an entry: `entry.rs`; objects that change while they lie in the table: `opened.rs`.

use super::entry::{self, INLINE_BYTES_MAX, Kind, Shape};
use super::large::Large;
use super::{HeapSize, KeyTable, NewValue};
use crate::ds::slab::{BLOCK_BYTES_MAX, rounded_bytes};
use bytes::Bytes;

/// A key's share of the buckets, on average over growth: 8 bytes at a load of 0.82, headers, directory.
const BUCKETS_BYTES_PER_KEY: usize = 10;

/// What an entry's payload owned.
pub(super) enum Lifted<T> {
    Nothing,
    Large(Box<Large>),
    Object(Box<T>),
}

/// A value as an entry will hold it.
pub(super) enum Payload<'a, T> {
    Int(i64, usize),
    Inline(&'a [u8], bool),
    /// Shared, but small enough to copy.
    Shared(Bytes),
    Large(Box<Large>, bool),
    Object(Box<T>),
}

impl<'a, T> Payload<'a, T> {
    pub(super) fn of(value: NewValue<'a, T>) -> Self {
        match value {
            NewValue::Int(number) => Self::Int(number, entry::int_bytes(number)),
            NewValue::Str { bytes, raw } if bytes.len() <= INLINE_BYTES_MAX => {
                Self::Inline(bytes, raw)
            }
            NewValue::Str { bytes, raw } => {
                Self::Large(Box::new(Large::copy_of(bytes, bytes.len())), raw)
            }
            NewValue::Received(bytes) if bytes.len() <= INLINE_BYTES_MAX => {
                Self::Shared(Bytes::copy_from_slice(&bytes))
            }
            NewValue::Received(bytes) => Self::Large(Box::new(Large::Received(bytes)), false),
            NewValue::Shared(bytes) if bytes.len() <= INLINE_BYTES_MAX => Self::Shared(bytes),
            NewValue::Shared(bytes) => Self::Large(Box::new(Large::Shared(bytes)), false),
            NewValue::Object(object) => Self::Object(object),
        }
    }

    pub(super) fn wake_at_ms(&self) -> Option<i64>
    where
        T: HeapSize,
    {
        match self {
            Self::Object(object) => object.wake_at_ms(),
            _ => None,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Int(..) => Kind::Int,
            Self::Inline(..) | Self::Shared(_) => Kind::Inline,
            Self::Large(..) => Kind::Large,
            Self::Object(_) => Kind::Object,
        }
    }

    pub(super) fn is_raw(&self) -> bool {
        matches!(self, Self::Inline(_, true) | Self::Large(_, true))
    }

    /// Bytes in the entry.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Int(_, bytes) => *bytes,
            Self::Inline(bytes, _) => bytes.len(),
            Self::Shared(bytes) => bytes.len(),
            Self::Large(..) => size_of::<u64>(),
            Self::Object(_) if is_inline::<T>() => size_of::<T>(),
            Self::Object(_) => size_of::<u64>(),
        }
    }
}

impl<T: HeapSize> KeyTable<T> {
    /// Takes what the payload owns, and its bytes off the accounts. The entry's payload is then only bytes.
    ///
    /// # Safety
    /// The entry is alive; its payload is overwritten or never looked at again.
    pub(super) unsafe fn lift(&mut self, entry: *mut u8) -> Lifted<T> {
        // SAFETY: the caller's promise; boxes were made by `put`.
        unsafe {
            match entry::kind(entry) {
                Kind::Int | Kind::Inline => Lifted::Nothing,
                Kind::Large => {
                    let large = Box::from_raw(entry::boxed::<Large>(entry));
                    self.heap_bytes = self.heap_bytes.wrapping_sub(large.heap_bytes());
                    Lifted::Large(large)
                }
                Kind::Object => {
                    self.close_object();
                    let object = take_object::<T>(entry);
                    let bytes = object_bytes(&*object);
                    self.heap_bytes = self.heap_bytes.wrapping_sub(bytes);
                    let of_kind = &mut self.object_bytes[object.extent().0];
                    *of_kind = of_kind.wrapping_sub(bytes);
                    self.waking_counts[object.extent().0] -=
                        usize::from(object.wake_at_ms().is_some());
                    Lifted::Object(object)
                }
            }
        }
    }

    /// Writes a payload, and its bytes to the accounts.
    ///
    /// # Safety
    /// The entry has the payload's shape; what its payload owned before was lifted.
    pub(super) unsafe fn put(&mut self, entry: *mut u8, payload: Payload<'_, T>) {
        // SAFETY: the caller's promise.
        unsafe {
            match payload {
                Payload::Int(number, bytes) => entry::write_int(entry, number, bytes),
                Payload::Inline(bytes, _) => std::ptr::copy_nonoverlapping(
                    bytes.as_ptr(),
                    entry::payload(entry),
                    bytes.len(),
                ),
                Payload::Shared(bytes) => std::ptr::copy_nonoverlapping(
                    bytes.as_ptr(),
                    entry::payload(entry),
                    bytes.len(),
                ),
                Payload::Large(large, _) => {
                    self.heap_bytes = self.heap_bytes.wrapping_add(large.heap_bytes());
                    entry::write_boxed(entry, Box::into_raw(large));
                }
                Payload::Object(object) => {
                    let bytes = object_bytes(&*object);
                    self.heap_bytes = self.heap_bytes.wrapping_add(bytes);
                    let of_kind = &mut self.object_bytes[object.extent().0];
                    *of_kind = of_kind.wrapping_add(bytes);
                    self.waking_counts[object.extent().0] +=
                        usize::from(object.wake_at_ms().is_some());
                    put_object(entry, object);
                }
            }
        }
    }
}

/// Heap bytes of an object, its box included where it has one.
pub(super) fn object_bytes<T: HeapSize>(object: &T) -> usize {
    let own_bytes = if is_inline::<T>() { 0 } else { size_of::<T>() };
    own_bytes + object.heap_bytes()
}

/// Whether objects lie in their entries. What needs alignment has a box of its own.
const fn is_inline<T>() -> bool {
    align_of::<T>() == 1 && size_of::<T>() <= entry::OBJECT_BYTES_MAX
}

/// An entry's object, in the entry or in its box.
///
/// # Safety
/// `entry` is alive and holds an object.
#[inline]
pub(super) unsafe fn object_in<T>(entry: *mut u8) -> *mut T {
    // SAFETY: the caller's promise.
    unsafe {
        if is_inline::<T>() {
            entry::payload(entry).cast()
        } else {
            entry::boxed::<T>(entry)
        }
    }
}

/// Writes an object into an entry, or its box's address.
///
/// # Safety
/// `entry` has the shape for it, and its payload owns nothing.
unsafe fn put_object<T>(entry: *mut u8, object: Box<T>) {
    // SAFETY: the caller's promise; a type of alignment 1 may lie anywhere.
    unsafe {
        if is_inline::<T>() {
            entry::payload(entry).cast::<T>().write(*object);
        } else {
            entry::write_boxed(entry, Box::into_raw(object));
        }
    }
}

/// Takes an object out of an entry, whose payload is then only bytes.
///
/// # Safety
/// `entry` is alive and holds an object, which is not looked at there again.
pub(super) unsafe fn take_object<T>(entry: *mut u8) -> Box<T> {
    // SAFETY: the caller's promise; `put_object` put it there.
    unsafe {
        if is_inline::<T>() {
            Box::new(entry::payload(entry).cast::<T>().read())
        } else {
            Box::from_raw(entry::boxed::<T>(entry))
        }
    }
}

/// Whether freeing the spans would not free the entry.
pub(super) fn owns_more(shape: Shape) -> bool {
    matches!(shape.kind, Kind::Large | Kind::Object) || shape.bytes() > BLOCK_BYTES_MAX
}

/// The block and the buckets' share of an entry.
pub(super) fn block_bytes(shape: Shape) -> usize {
    rounded_bytes(shape.bytes()) + BUCKETS_BYTES_PER_KEY
}
