//! Spans: aligned pieces of 64 KiB, cut from mappings of 4 MiB.
//!
//!     region = | span | span | ... | span |     the first ones on pages of 4 KiB, each touched when it is used;
//!                                               later ones on huge pages, made ready while the last one fills up;
//!                                               who is full and on small ones is merged to huge ones after a while
//!
//! Mappings of our own and not the global allocator: that one pads what is aligned to 64 KiB to twice its size, and keeps the
//! padding resident (measured: 153 bytes a key where 73 were asked for).
//!
//! Promises  a span not in use takes no memory, but for one mapping ahead of what is used, and what a huge page has left over, where
//!           [`HUGE_AFTER`] mappings are in use; a mapping with no span in use is unmapped.
//! Not here  what is in a span: `ds/slab.rs`.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use super::huge_pages::{self, Made, Merged};

/// Bytes of a span, and its alignment.
pub const SPAN_BYTES: usize = 64 * 1024;

const REGION_SPANS: u32 = if cfg!(miri) { 4 } else { 64 };
const REGION_BYTES: usize = REGION_SPANS as usize * SPAN_BYTES;
/// An owner with so many mappings gets the next one on huge pages: what it does not use of that is less than an eighth of the whole.
const HUGE_AFTER: usize = 8;
/// With so few spans left the next mapping is wished for: a core that is filled as fast as it can be takes 10 ms for them.
const AHEAD_SPANS: u32 = 32;
const ALL: u64 = u64::MAX >> (64 - REGION_SPANS);

/// Where an owner's spans come from.
pub(super) struct Spans {
    regions: Vec<Region>,
    /// Indices of the regions with spans to spare.
    with_room: Vec<u32>,
    /// Indices of the regions that were unmapped.
    vacant: Vec<u32>,
    taken_count: usize,
    /// Where `any_taken` found one.
    taken_hint: usize,
    /// The next mapping, on huge pages, once it is ready.
    ahead: Option<Receiver<Made>>,
}

struct Region {
    /// Null once it is unmapped.
    start: *mut u8,
    /// Bit `i`: span `i` is not in use.
    free: u64,
    /// It was made ready on huge pages, as far as there were some, and all of it is still there.
    is_huge: bool,
    /// Nothing of it was left on small ones: there is nothing to merge.
    is_whole: bool,
    /// It was full, is to be merged or has been, and all of it is still there.
    merged: Option<Arc<Merged>>,
}

impl Spans {
    pub(super) const fn new() -> Self {
        Self {
            regions: Vec::new(),
            with_room: Vec::new(),
            vacant: Vec::new(),
            taken_count: 0,
            taken_hint: 0,
            ahead: None,
        }
    }

    /// A span, and the region to name when it is given back. Its content is anything.
    pub(super) fn take(&mut self) -> (NonNull<u8>, u32) {
        let region_index = match self.with_room.last() {
            Some(index) => *index,
            None => self.add_region(),
        };
        let region = &mut self.regions[region_index as usize];
        let index = region.free.trailing_zeros();
        region.free &= region.free - 1;
        // SAFETY: the region has `REGION_SPANS` spans.
        let span = unsafe { region.start.add(index as usize * SPAN_BYTES) };
        let left_count = region.free.count_ones();
        if left_count == 0 {
            self.with_room.pop();
            region.merge();
        }
        self.taken_count += 1;
        if left_count == AHEAD_SPANS && self.with_room.len() == 1 {
            self.look_ahead();
        }
        // SAFETY: a region that has room is mapped.
        (unsafe { NonNull::new_unchecked(span) }, region_index)
    }

    /// Gives a span's memory back to the system.
    ///
    /// # Safety
    /// `span` and `region_index` came from `take` together; the span is used no more.
    pub(super) unsafe fn give_back(&mut self, span: NonNull<u8>, region_index: u32) {
        let region = &mut self.regions[region_index as usize];
        // SAFETY: the caller's promise: the span lies in this region.
        let offset = unsafe { span.as_ptr().offset_from(region.start) } as usize;
        if region.free == 0 {
            self.with_room.push(region_index);
        }
        region.free |= 1 << (offset / SPAN_BYTES);
        self.taken_count -= 1;
        if region.free == ALL {
            // SAFETY: no span of the region is in use.
            unsafe { unmap(region.start) };
            *region = Region {
                free: 0,
                ..Region::new(std::ptr::null_mut())
            };
            self.ahead = None;
            self.with_room.retain(|index| *index != region_index);
            self.vacant.push(region_index);
        } else {
            let was_merged = region.merged.take().is_some();
            region.is_whole = false;
            if std::mem::take(&mut region.is_huge) || was_merged {
                // SAFETY: a span of the region has been in use up to now: it is mapped.
                unsafe { huge_pages::want_no_more(region.start, REGION_BYTES) };
            }
            // SAFETY: the span is ours and its content is not wanted.
            unsafe { discard(span.as_ptr()) };
        }
    }

    /// A span in use, if there is one. O(1) on average where the spans it names are given back.
    pub(super) fn any_taken(&mut self) -> Option<(NonNull<u8>, u32)> {
        if self.taken_count == 0 {
            return None;
        }
        let is_in_use = |region: &Region| !region.start.is_null() && region.free != ALL;
        while !self.regions.get(self.taken_hint).is_some_and(is_in_use) {
            self.taken_hint = (self.taken_hint + 1) % self.regions.len();
        }
        let region = &self.regions[self.taken_hint];
        let index = (!region.free & ALL).trailing_zeros() as usize;
        // SAFETY: the region is mapped and has `REGION_SPANS` spans.
        let span = unsafe { NonNull::new_unchecked(region.start.add(index * SPAN_BYTES)) };
        Some((span, self.taken_hint as u32))
    }

    /// Spans in use.
    pub(super) fn taken_count(&self) -> usize {
        self.taken_count
    }

    /// Bytes of mappings that were made ready on huge pages, and of which nothing has been given back.
    pub(super) fn huge_bytes(&self) -> usize {
        let huge = self.regions.iter().filter(|region| region.is_huge);
        huge.count() * REGION_BYTES
    }

    /// Bytes of full mappings that have been merged to huge pages, as far as the kernel had some.
    pub(super) fn merged_bytes(&self) -> usize {
        let merged = self
            .regions
            .iter()
            .filter_map(|region| region.merged.as_ref());
        merged.map(|merged| merged.bytes()).sum()
    }

    /// Has the next mapping made ready where there are so many that it is worth it.
    #[cold]
    fn look_ahead(&mut self) {
        if self.ahead.is_none() && self.regions.len() - self.vacant.len() >= HUGE_AFTER {
            self.ahead = huge_pages::wish(REGION_BYTES);
        }
    }

    /// The mapping that was wished for, if it is ready: nobody waits for it, and if it comes later it is the next.
    fn take_ahead(&mut self) -> Option<Region> {
        let answer = self.ahead.as_ref()?.try_recv();
        if !matches!(answer, Err(TryRecvError::Empty)) {
            self.ahead = None;
        }
        let made = answer.ok()?;
        let (start, _) = made.mapping.into_parts();
        Some(Region {
            is_huge: true,
            is_whole: made.is_whole,
            ..Region::new(start.as_ptr())
        })
    }

    #[cold]
    fn add_region(&mut self) -> u32 {
        let region = self.take_ahead().unwrap_or_else(|| Region::new(map()));
        let index = match self.vacant.pop() {
            Some(index) => {
                self.regions[index as usize] = region;
                index
            }
            None => {
                self.regions.push(region);
                self.regions.len() as u32 - 1
            }
        };
        self.with_room.push(index);
        index
    }
}

impl Region {
    /// On small pages, and nothing of it in use.
    fn new(start: *mut u8) -> Self {
        Self {
            start,
            free: ALL,
            is_huge: false,
            is_whole: false,
            merged: None,
        }
    }

    /// All of it is in use: it is to be on huge pages, as far as it is not, which takes no more memory.
    #[cold]
    fn merge(&mut self) {
        if !self.is_whole && !cfg!(miri) {
            self.merged =
                NonNull::new(self.start).and_then(|start| huge_pages::merge(start, REGION_BYTES));
        }
    }
}

impl Drop for Spans {
    fn drop(&mut self) {
        for region in &self.regions {
            if !region.start.is_null() {
                // SAFETY: whoever drops the spans has given up what is in them.
                unsafe { unmap(region.start) };
            }
        }
    }
}

#[cfg(not(miri))]
fn map() -> *mut u8 {
    match huge_pages::map(REGION_BYTES, huge_pages::HUGE_PAGE_BYTES) {
        Ok(start) => start.as_ptr(),
        Err(_) => std::alloc::handle_alloc_error(std::alloc::Layout::new::<[u8; REGION_BYTES]>()),
    }
}

#[cfg(not(miri))]
unsafe fn unmap(region: *mut u8) {
    // SAFETY: the caller has given up the region, which is one mapping or the part of one.
    unsafe { libc::munmap(region.cast(), REGION_BYTES) };
}

#[cfg(not(miri))]
unsafe fn discard(span: *mut u8) {
    // SAFETY: the caller has given up the span.
    unsafe { libc::madvise(span.cast(), SPAN_BYTES, libc::MADV_DONTNEED) };
}

/// Miri knows no partial unmapping.
#[cfg(miri)]
const MIRI_LAYOUT: std::alloc::Layout =
    match std::alloc::Layout::from_size_align(REGION_BYTES, SPAN_BYTES) {
        Ok(layout) => layout,
        Err(_) => panic!("a power of two"),
    };

#[cfg(miri)]
fn map() -> *mut u8 {
    // SAFETY: the layout's size is not 0.
    unsafe { std::alloc::alloc(MIRI_LAYOUT) }
}

#[cfg(miri)]
unsafe fn unmap(region: *mut u8) {
    // SAFETY: `map` used this layout.
    unsafe { std::alloc::dealloc(region, MIRI_LAYOUT) };
}

#[cfg(miri)]
unsafe fn discard(_: *mut u8) {}
