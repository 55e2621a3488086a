//! Values as callers hand them in and get them back, and what the table asks of an object: [`HeapSize`].
//!
//! Promises  the table knows nothing else of an object; only `heap_bytes` has to be written, what else is asked has an answer that
//!           is right for an object of one allocation that never wakes.
//! Not here  how an entry holds them: `payload.rs`.

use super::KINDS_COUNT;
use crate::base::shared_bytes::SharedBytes;
use crate::ds::mover::{Mover, Progress};
use bytes::Bytes;

/// Heap bytes owned by an object, besides the object itself.
pub trait HeapSize {
    /// Bytes on the heap behind `self`. O(1): it is asked before and after every change.
    fn heap_bytes(&self) -> usize;

    /// Its kind, from 1 to below [`KINDS_COUNT`], and its size in the kind's own measure. O(1): it is asked before and after
    /// every change.
    fn extent(&self) -> (usize, usize) {
        (KINDS_COUNT - 1, 0)
    }

    /// About how many allocations dropping it frees.
    fn free_effort(&self) -> usize {
        1
    }

    /// Frees up to about `budget` of them; true when so little is left that it may be dropped at once.
    fn free_step(&mut self, budget: usize) -> bool {
        let _ = budget;
        true
    }

    /// Moves those of its allocations that lie badly, from `from` on, until the mover's step is over or a part is done;
    /// returns where to go on, None at the end. Any `from` is good for any object.
    fn move_step(&mut self, from: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
        let _ = (from, mover);
        None
    }

    /// When something in it wants to be looked at, on the scale of deadlines; `expire_step` finds it then. O(1).
    fn wake_at_ms(&self) -> Option<i64> {
        None
    }

    /// What is asked before and after every change, at once.
    #[inline]
    fn measure(&self) -> Measure {
        Measure {
            heap_bytes: self.heap_bytes(),
            extent: self.extent(),
            wake_at_ms: self.wake_at_ms(),
        }
    }
}

/// What the table books of an object.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// As [`HeapSize::heap_bytes`].
    pub heap_bytes: usize,
    /// As [`HeapSize::extent`].
    pub extent: (usize, usize),
    /// As [`HeapSize::wake_at_ms`].
    pub wake_at_ms: Option<i64>,
}

/// What an entry holds, borrowed.
pub enum Value<'a, T> {
    /// A string that is an integer.
    Int(i64),
    /// A string.
    Str {
        /// The string itself.
        bytes: &'a [u8],
        /// It was ever changed in place or is longer than 44 bytes (Redis's encoding names).
        raw: bool,
    },
    /// Anything that is not a string.
    Object(&'a T),
}

/// A value to store.
pub enum NewValue<'a, T> {
    /// A string that is an integer.
    Int(i64),
    /// A string to copy.
    Str {
        /// The string itself.
        bytes: &'a [u8],
        /// Whether it counts as changed in place.
        raw: bool,
    },
    /// A part of a request: kept without a copy where it is large, and grows without one once the request is done with.
    Received(SharedBytes),
    /// Kept without a copy where it is large.
    Shared(Bytes),
    /// Anything that is not a string.
    Object(Box<T>),
}

/// A value taken out whole; it may move to another core.
#[derive(Debug)]
pub enum OwnedValue<T> {
    /// A string that is an integer.
    Int(i64),
    /// A string.
    Str {
        /// The string itself.
        bytes: Bytes,
        /// It was ever changed in place or is longer than 44 bytes.
        raw: bool,
    },
    /// Anything that is not a string.
    Object(Box<T>),
}
