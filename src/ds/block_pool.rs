//! Buffers for writes that follow each other: those that have come back, and where writes are large, parts of one huge page.
//!
//!     take -> filled, written, back -> keep        a large one comes back -> wish for a huge page -> take: a slot of it
//!
//! A direct write has the kernel look up and hold each of the pages it is from. On a huge page that is one: of 256 KiB the same
//! as of 4, where 64 lookups take 15 us.
//!
//! Promises  a pool whose writes are small keeps small buffers; in a process without huge pages nothing changes.
//! Not here  who makes huge pages ready, and when there are none: `ds/huge_pages.rs`.
//! Tests     tests/ds/block_buffer.rs.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};

use super::block_buffer::BlockBuffer;
use super::huge_pages::{self, HUGE_PAGE_BYTES, Made};
use super::spare_mappings::Mapping;

/// Buffers on the huge page.
const SLOTS_COUNT: u8 = 4;
/// Bytes of one of them.
const SLOT_BYTES: usize = HUGE_PAGE_BYTES / SLOTS_COUNT as usize;
/// A buffer with so much in it would be better on a huge page.
const LARGE_BYTES: usize = 128 * 1024;
/// A wish that was not granted is made again after so many large buffers.
const PATIENCE: u32 = 4096;

/// One huge page in slots.
#[derive(Debug)]
struct Slots {
    mapping: Mapping,
    /// A bit for each slot in use.
    used: AtomicU8,
}

// SAFETY: of the mapping's bytes each belongs to the one holder of its slot, which `used` sees to.
unsafe impl Sync for Slots {}

/// Part of a huge page; the drop gives it back.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    index: u8,
}

impl Slot {
    /// A slot that nobody uses: the first one, which is in the caches most likely.
    fn of(slots: &Arc<Slots>) -> Option<Self> {
        let used = slots.used.load(Ordering::Acquire);
        let index = used.trailing_ones() as u8;
        if index >= SLOTS_COUNT {
            return None;
        }
        // Only the pool takes slots: meanwhile others may have come back, but none gone.
        slots.used.fetch_or(1 << index, Ordering::Acquire);
        let slots = slots.clone();
        Some(Self { slots, index })
    }

    /// Its first byte.
    pub(super) fn start(&self) -> NonNull<u8> {
        let at = usize::from(self.index) * SLOT_BYTES;
        // SAFETY: the mapping has all slots.
        unsafe { self.slots.mapping.start().add(at) }
    }

    /// How many there are.
    pub(super) fn bytes(&self) -> usize {
        SLOT_BYTES
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots
            .used
            .fetch_and(!(1 << self.index), Ordering::Release);
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct BlockPool {
    slots: Option<Arc<Slots>>,
    wish: Option<Receiver<Made>>,
    /// Large buffers that came back since the last wish, where there is no huge page.
    patience: u32,
    spare: Vec<BlockBuffer>,
}

impl BlockPool {
    /// An empty buffer.
    pub fn take(&mut self) -> BlockBuffer {
        let slot = self.slots.as_ref().and_then(Slot::of);
        let buffer = slot.map(BlockBuffer::in_slot);
        buffer.or_else(|| self.spare.pop()).unwrap_or_default()
    }

    /// A buffer has come back.
    ///
    /// - `bytes_max`: a larger one is freed.
    /// - `count_max`: so many are kept.
    pub fn keep(&mut self, mut buffer: BlockBuffer, bytes_max: usize, count_max: usize) {
        if buffer.len() >= LARGE_BYTES && self.slots.is_none() {
            self.wish_for_slots();
        }
        if buffer.is_in_slot() || self.slots.is_some() && buffer.capacity() >= LARGE_BYTES {
            return;
        }
        if buffer.capacity() <= bytes_max && self.spare.len() < count_max {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    #[cold]
    fn wish_for_slots(&mut self) {
        match self.wish.as_ref().map(Receiver::try_recv) {
            Some(Ok(Made { mapping, .. })) => {
                let used = AtomicU8::new(0);
                self.slots = Some(Arc::new(Slots { mapping, used }));
                self.wish = None;
                self.spare.retain(|buffer| buffer.capacity() < LARGE_BYTES);
            }
            Some(Err(TryRecvError::Empty)) => {}
            Some(Err(TryRecvError::Disconnected)) => {
                self.wish = None;
                self.patience = PATIENCE;
            }
            None if self.patience > 0 => self.patience -= 1,
            None => {
                self.wish = huge_pages::wish(HUGE_PAGE_BYTES);
                self.patience = PATIENCE;
            }
        }
    }
}
