//! The object that was handed out to be changed last: its size and its time to wake are booked when it is closed.
//!
//!     open_object: measured -> whoever has it changes it, as often as it likes -> close_object: measured, the difference booked
//!
//! Promises  one object is open at most, and every way out of the table closes it first; what is asked of the table meanwhile
//!           counts it as it is now.
//! Not here  what it is measured by: [`HeapSize::measure`].

use super::sizes::Bin;
use super::{HeapSize, KINDS_COUNT, KeyTable};
use std::ptr::null_mut;

/// An object that whoever asked for it may be changing, and what was booked of it before.
pub(super) struct Opened<T> {
    /// Null, or a live object of this table.
    pub(super) object: *mut T,
    /// Its key's hash.
    pub(super) hash: u64,
    pub(super) heap_bytes: usize,
    pub(super) wakes: bool,
    pub(super) bin: Bin,
}

impl<T> Opened<T> {
    pub(super) const NONE: Self = Self {
        object: null_mut(),
        hash: 0,
        heap_bytes: 0,
        wakes: false,
        bin: Bin::NONE,
    };
}

impl<T: HeapSize> KeyTable<T> {
    /// Notes that `object` is about to be changed by whoever asked for it.
    ///
    /// # Safety
    /// `object` is a live object of this table, `hash` that of its key.
    pub(super) unsafe fn open_object(&mut self, hash: u64, object: *mut T) {
        if self.opened.object == object {
            // Still open: what was booked of it is what it was then.
            return;
        }
        self.close_object();
        // SAFETY: the caller's promise.
        let before = unsafe { (*object).measure() };
        self.opened = Opened {
            object,
            hash,
            heap_bytes: before.heap_bytes,
            wakes: before.wake_at_ms.is_some(),
            bin: Bin::of(before.extent),
        };
    }

    /// Books what the object opened last has grown or shrunk since, and when it wakes.
    #[inline]
    pub(super) fn close_object(&mut self) {
        let opened = std::mem::replace(&mut self.opened, Opened::NONE);
        if !opened.object.is_null() {
            // SAFETY: `opened` is a live object: every way out of the table comes through here first.
            let after = unsafe { (*opened.object).measure() };
            self.sizes.change(opened.bin, Bin::of(after.extent));
            let grown = after.heap_bytes.wrapping_sub(opened.heap_bytes);
            self.heap_bytes = self.heap_bytes.wrapping_add(grown);
            let of_kind = &mut self.object_bytes[after.extent.0];
            *of_kind = of_kind.wrapping_add(grown);
            let waking_count = &mut self.waking_counts[after.extent.0];
            *waking_count += usize::from(after.wake_at_ms.is_some());
            *waking_count -= usize::from(opened.wakes);
            self.note_wake(opened.hash, after.wake_at_ms);
        }
    }

    /// Lets the segment of `hash` know when one of its objects wakes.
    #[inline]
    pub(super) fn note_wake(&mut self, hash: u64, wake_at_ms: Option<i64>) {
        if let Some(wake_at_ms) = wake_at_ms
            && let Some(word) = self.word(hash)
        {
            // SAFETY: words of the directory are alive.
            unsafe {
                let header = word.header();
                (*header).wake_min_ms = (*header).wake_min_ms.min(wake_at_ms);
            }
        }
    }

    /// Objects of a kind that have a time to wake.
    pub fn waking_count(&self, kind: usize) -> usize {
        let (count, opened) = (self.waking_counts[kind], &self.opened);
        if opened.object.is_null() {
            return count;
        }
        // SAFETY: as in `used_bytes`.
        let object = unsafe { &*opened.object };
        match object.extent().0 == kind {
            true => count + usize::from(object.wake_at_ms().is_some()) - usize::from(opened.wakes),
            false => count,
        }
    }

    /// Whether any object has a time to wake.
    pub fn has_waking(&self) -> bool {
        (0..KINDS_COUNT).any(|kind| self.waking_count(kind) > 0)
    }
}
