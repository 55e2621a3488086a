//! Spare mappings: memory of large requests that were let go, for this thread's next ones.
//!
//!     large request -> mapping -> value, as it lies -> overwritten or deleted -> spare -> next large request
//!                                                                                 '-> tick after tick back to the system
//!
//! A page that is mapped anew costs its first touch a fault and 4 KiB of zeros: 180 us and more for a MiB, beside 70 us that
//! the same bytes take over the network.
//!
//! Promises  a thread keeps nothing before it asks to ([`keep`]), then so many bytes at most; what was not used between two
//!           ticks goes back, [`GIVEN_BYTES`] a tick.
//! Not here  growing and shrinking a mapping in use: `ds/growing_buffer.rs`.
//! Tests     tests/ds/growing_buffer.rs.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::huge_pages;

/// What the system rounds lengths to.
pub const PAGE_BYTES: usize = 4096;
/// A shorter rest of a mapping is not worth its place.
const LEAST_BYTES: usize = 64 * 1024;
/// What a tick gives back at most: 80 us.
const GIVEN_BYTES: usize = 1 << 20;

thread_local! {
    static SPARES: RefCell<Spares> = const { RefCell::new(Spares::NONE) };
}

/// Pages that belong to nothing else. The drop gives them back to the system.
#[derive(Debug)]
pub struct Mapping {
    /// The first byte, at a page's boundary.
    memory: NonNull<u8>,
    /// A multiple of [`PAGE_BYTES`], not 0.
    bytes: usize,
}

// SAFETY: the pages belong to this value alone, and nothing in them is bound to a thread.
unsafe impl Send for Mapping {}

struct Spares {
    mappings: Vec<Mapping>,
    bytes: usize,
    bytes_max: usize,
    /// The fewest bytes there have been since the last tick.
    unused_bytes: usize,
}

/// Keeps up to `bytes_max` from now on, on this thread.
pub fn keep(bytes_max: usize) {
    let _ = SPARES.try_with(|spares| spares.borrow_mut().bytes_max = bytes_max);
}

/// Bytes that this thread keeps.
pub fn bytes() -> usize {
    SPARES.try_with(|spares| spares.borrow().bytes).unwrap_or(0)
}

/// Gives a part of what was not used since the last call back.
///
/// - Cost: 80 us at most.
pub fn tick() {
    let _ = SPARES.try_with(|spares| {
        let spares = &mut *spares.borrow_mut();
        spares.give_back(spares.unused_bytes.min(GIVEN_BYTES));
        spares.unused_bytes = spares.bytes;
    });
}

/// Gives everything back.
pub fn give_back() {
    let _ = SPARES.try_with(|spares| spares.borrow_mut().give_back(usize::MAX));
}

/// Memory for `bytes`: so much of it, or less where that is all there is.
pub fn take(bytes: usize) -> Option<Mapping> {
    let wanted = bytes.checked_next_multiple_of(PAGE_BYTES)?;
    let take = |spares: &RefCell<Spares>| spares.borrow_mut().take(wanted);
    SPARES.try_with(take).unwrap_or(None)
}

/// Lets a mapping go: of its first `touched` bytes this thread keeps as many as it has room for, and the system gets the rest.
pub fn put(mapping: Mapping, touched: usize) {
    let put = |spares: &RefCell<Spares>| spares.borrow_mut().put(mapping, touched);
    let _ = SPARES.try_with(put);
}

impl Spares {
    const NONE: Self = Self {
        mappings: Vec::new(),
        bytes: 0,
        bytes_max: 0,
        unused_bytes: 0,
    };

    fn take(&mut self, wanted: usize) -> Option<Mapping> {
        let large_enough = |mapping: &&Mapping| mapping.bytes >= wanted;
        let smallest = self
            .mappings
            .iter()
            .filter(large_enough)
            .map(|it| it.bytes)
            .min();
        let largest = || self.mappings.iter().map(|it| it.bytes).max();
        let bytes = smallest.or_else(largest)?;
        let at = self.mappings.iter().position(|it| it.bytes == bytes)?;
        let mut mapping = self.mappings.swap_remove(at);
        self.bytes -= mapping.bytes;
        if mapping.bytes >= wanted + LEAST_BYTES {
            let rest = mapping.split_off(wanted);
            self.add(rest);
        }
        self.unused_bytes = self.unused_bytes.min(self.bytes);
        Some(mapping)
    }

    fn put(&mut self, mut mapping: Mapping, touched: usize) {
        let room = self.bytes_max.saturating_sub(self.bytes) / PAGE_BYTES * PAGE_BYTES;
        let touched = touched.next_multiple_of(PAGE_BYTES);
        let kept = touched.min(room).min(mapping.bytes);
        if kept >= LEAST_BYTES {
            if kept < mapping.bytes {
                huge_pages::unmap(mapping.split_off(kept));
            }
            self.add(mapping);
        } else {
            huge_pages::unmap(mapping);
        }
    }

    fn add(&mut self, mapping: Mapping) {
        self.bytes += mapping.bytes;
        self.mappings.push(mapping);
    }

    /// Gives back as many bytes, and a page more at most.
    fn give_back(&mut self, bytes: usize) {
        let mut left = bytes;
        while left > 0
            && let Some(mut mapping) = self.mappings.pop()
        {
            self.bytes -= mapping.bytes;
            let kept = mapping.bytes.saturating_sub(left) / PAGE_BYTES * PAGE_BYTES;
            if kept > 0 {
                let given = mapping.split_off(kept);
                self.add(mapping);
                mapping = given;
            }
            left = left.saturating_sub(mapping.bytes);
        }
        self.unused_bytes = self.unused_bytes.min(self.bytes);
    }
}

impl Mapping {
    /// These pages.
    ///
    /// # Safety
    /// They are a mapping of whole pages, or a part of one, and are used through nothing else from now on.
    pub unsafe fn new(memory: NonNull<u8>, bytes: usize) -> Self {
        Self { memory, bytes }
    }

    /// The first byte and how many there are, for whoever unmaps them.
    pub fn into_parts(self) -> (NonNull<u8>, usize) {
        let mapping = ManuallyDrop::new(self);
        (mapping.memory, mapping.bytes)
    }

    /// The first byte.
    pub(super) fn start(&self) -> NonNull<u8> {
        self.memory
    }

    /// How many bytes there are.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Cuts it in two: this keeps the first `bytes`, a multiple of [`PAGE_BYTES`] below its own.
    pub(super) fn split_off(&mut self, bytes: usize) -> Self {
        assert!(
            bytes > 0 && bytes < self.bytes && bytes.is_multiple_of(PAGE_BYTES),
            "both parts are whole pages"
        );
        let rest = Self {
            // SAFETY: as far as that the pages are ours.
            memory: unsafe { self.memory.add(bytes) },
            bytes: self.bytes - bytes,
        };
        self.bytes = bytes;
        rest
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the pages are ours, so many bytes, and are used no more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.bytes) };
    }
}
