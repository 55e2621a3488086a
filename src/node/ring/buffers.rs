//! Receive buffers: one area of memory that the kernel fills, a buffer at a time, and gets back when its bytes have been read.
//!
//!     offer -> publish -> the kernel takes one and fills it -> its completion names it: `ReceiveBuffer` -> bytes -> offer
//!
//! Promises  a buffer is offered once only, for its handle is consumed; whoever has the handle reads what the kernel wrote, which
//!           does not change meanwhile.
//! Not here  the receives that ask for them: `Ring::receive`; buffers of a connection's own: `Ring::gather`.
//! Source    `io_uring_register_buf_ring(3)`.

use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use super::setup::{RingError, remedy};
use io_uring::{IoUring, cqueue, types};

/// Receive buffers per core: few and reused, so they stay in the cache (64 measured as good as 1,024 smaller ones).
const BUFFERS_COUNT: u16 = 64;
/// Bytes in one receive buffer.
const BUFFER_BYTES: usize = 16 * 1024;
/// The only provided-buffer group.
pub(super) const BUFFER_GROUP: u16 = 1;
/// Bytes of all receive buffers of a core.
pub const BUFFERS_BYTES: usize = BUFFERS_COUNT as usize * BUFFER_BYTES;

/// Bytes the kernel received for a connection; give it back with [`super::Ring::recycle`].
#[derive(Debug)]
pub struct ReceiveBuffer {
    index: u16,
    length: u32,
}

impl ReceiveBuffer {
    /// The buffer that a receive has filled, where its completion names one.
    ///
    /// - `completion`: a receive's, of at least one byte.
    #[inline]
    pub(super) fn of(completion: &cqueue::Entry) -> Option<Self> {
        cqueue::buffer_select(completion.flags()).map(|index| Self {
            index,
            length: completion.result() as u32,
        })
    }
}

/// A core's receive buffers.
pub(super) struct ReceiveBuffers {
    /// Descriptors of the provided buffers, shared with the kernel; never freed (see `new`).
    descriptors: *mut types::BufRingEntry,
    /// `BUFFERS_COUNT * BUFFER_BYTES` bytes; never freed.
    memory: *mut u8,
    descriptors_tail: u16,
    recycled: bool,
}

impl ReceiveBuffers {
    /// Buffers that `ring` knows, all of them the kernel's.
    ///
    /// - Errors: as those of [`super::Ring::new`].
    pub(super) fn new(ring: &IoUring) -> Result<Self, RingError> {
        let descriptors_bytes =
            usize::from(BUFFERS_COUNT) * std::mem::size_of::<types::BufRingEntry>();
        // The kernel holds these two areas for as long as the ring exists, and requests may outlive `Ring` for a moment
        // while the kernel tears it down. A core's ring lives as long as the process, so both are leaked on purpose.
        // SAFETY: an anonymous private mapping has no preconditions; failure is checked below.
        let descriptors = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                descriptors_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_ANONYMOUS | libc::MAP_PRIVATE | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        if descriptors == libc::MAP_FAILED {
            return Err(RingError {
                remedy: remedy("mmap", &io::Error::last_os_error()),
            });
        }
        // Every page is written once, so that it is there: INFO counts all of them as in use from the start, and the first bytes
        // of a client find no page that is missing.
        let memory = Box::leak(vec![u8::MAX; BUFFERS_BYTES].into_boxed_slice()).as_mut_ptr();
        // SAFETY: `descriptors` is a page-aligned mapping of BUFFERS_COUNT entries that is never unmapped.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(
                descriptors as u64,
                BUFFERS_COUNT,
                BUFFER_GROUP,
                0,
            )
        }
        .map_err(|error| RingError {
            remedy: remedy("registering receive buffers", &error),
        })?;
        let mut buffers = Self {
            descriptors: descriptors.cast(),
            memory,
            descriptors_tail: 0,
            recycled: false,
        };
        (0..BUFFERS_COUNT).for_each(|index| buffers.offer(index));
        buffers.publish();
        Ok(buffers)
    }

    /// The bytes of a receive buffer.
    #[inline]
    pub(super) fn bytes(&self, buffer: &ReceiveBuffer) -> &[u8] {
        // SAFETY: the handle was made from a completion, so index < BUFFERS_COUNT, the kernel wrote `length` <=
        // BUFFER_BYTES bytes there, and it does not write again before `recycle` consumes the handle.
        unsafe {
            std::slice::from_raw_parts(
                self.memory.add(usize::from(buffer.index) * BUFFER_BYTES),
                buffer.length as usize,
            )
        }
    }

    /// Gives a receive buffer back to the kernel, with the next [`ReceiveBuffers::publish`].
    #[inline]
    pub(super) fn recycle(&mut self, buffer: ReceiveBuffer) {
        self.offer(buffer.index);
    }

    #[inline]
    fn offer(&mut self, index: u16) {
        let place = usize::from(self.descriptors_tail & (BUFFERS_COUNT - 1));
        // SAFETY: place < BUFFERS_COUNT entries of the mapping; the kernel reads an entry only after `publish` moves the
        // tail past it, and this buffer is not offered twice because its handle was consumed.
        let entry = unsafe { &mut *self.descriptors.add(place) };
        // SAFETY: index < BUFFERS_COUNT, so the address stays inside the leaked area.
        entry.set_addr(unsafe { self.memory.add(usize::from(index) * BUFFER_BYTES) } as u64);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(index);
        self.descriptors_tail = self.descriptors_tail.wrapping_add(1);
        self.recycled = true;
    }

    /// Lets the kernel see what has been given back.
    #[inline]
    pub(super) fn publish(&mut self) {
        if !std::mem::take(&mut self.recycled) {
            return;
        }
        // SAFETY: `descriptors` is the first entry of the registered ring; the tail field lies inside it, is 2-aligned,
        // and the kernel only reads it, so an atomic store is the agreed way to write it.
        let tail = unsafe { &*types::BufRingEntry::tail(self.descriptors).cast::<AtomicU16>() };
        tail.store(self.descriptors_tail, Ordering::Release);
    }
}
