//! Unaligned box: a `Box` that may lie at any address, so that what holds it needs no padding.
//!
//! A value of one byte and one of these is nine bytes, where one with a `Box` is sixteen; and the key table keeps values of
//! alignment 1 in its entries, where others need an allocation of their own.
//!
//! Tests     tests/ds/unaligned_box.rs.

use super::mover::moved;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A value on the heap; the pointer to it has no alignment.
#[repr(Rust, packed)]
pub struct UnalignedBox<T> {
    value: NonNull<T>,
}

const _: () = assert!(align_of::<UnalignedBox<u64>>() == 1);

// SAFETY: the value belongs to the box alone, as with `Box`.
unsafe impl<T: Send> Send for UnalignedBox<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for UnalignedBox<T> {}

impl<T> UnalignedBox<T> {
    /// Moves a value to the heap.
    #[inline]
    pub fn new(value: T) -> Self {
        Box::new(value).into()
    }

    /// The value itself.
    #[inline]
    pub fn into_inner(self) -> T {
        let value = self.value;
        std::mem::forget(self);
        // SAFETY: the pointer came from a `Box`, and the one who would free it was forgotten.
        *unsafe { Box::from_raw(value.as_ptr()) }
    }

    /// Moves the value to another place on the heap.
    pub fn renew(&mut self) {
        // SAFETY: the pointer came from a `Box`, and is replaced.
        self.value = unsafe { moved(self.value) };
    }
}

impl<T> From<Box<T>> for UnalignedBox<T> {
    #[inline]
    fn from(value: Box<T>) -> Self {
        Self {
            value: NonNull::from(Box::leak(value)),
        }
    }
}

impl<T> Deref for UnalignedBox<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        let value = self.value;
        // SAFETY: the value is alive as long as the box, and aligned: only the pointer is not.
        unsafe { &*value.as_ptr() }
    }
}

impl<T> DerefMut for UnalignedBox<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        let mut value = self.value;
        // SAFETY: as above, and the box is borrowed exclusively.
        unsafe { value.as_mut() }
    }
}

impl<T> Drop for UnalignedBox<T> {
    #[inline]
    fn drop(&mut self) {
        let value = self.value;
        // SAFETY: the pointer came from a `Box` and is used no more.
        drop(unsafe { Box::from_raw(value.as_ptr()) });
    }
}

impl<T: Clone> Clone for UnalignedBox<T> {
    fn clone(&self) -> Self {
        Self::new(T::clone(self))
    }
}

impl<T: Default> Default for UnalignedBox<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: PartialEq> PartialEq for UnalignedBox<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for UnalignedBox<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        T::fmt(self, f)
    }
}
