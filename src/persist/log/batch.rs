//! Batch: the records that go to the disk with the next write.
//!
//!     append -> stage, in the innermost cache: the open record --full, or closed: sealed--> buffer, in memory: what the disk reads
//!
//! What the disk has read last, the next batch is written over: each of its lines would first be fetched from another core's cache,
//! and takes the place of something that requests want. So records end after [`STAGED_BYTES`] where replies do not wait for the
//! disk: their checksum is of bytes at hand, and what has been sealed passes the caches by.
//!
//! Promises  a record that is open is all in the stage, or all in the buffer. What is sealed is sealed for the segment that
//!           [`Sealed`] says.
//! Not here  which records there are: `append.rs`.
//! Tests     tests/persist/batch.rs.

use super::RECORD_BYTES_MAX;
use crate::persist::effects::Sink;
use crate::persist::record::{HEADER_BYTES, seal_record};
use crate::persist::{BLOCK_BYTES, BlockBuffer};

/// What the innermost cache has room for beside everything else.
const STAGE_BYTES: usize = 16 << 10;
/// A record that was begun there is no longer, but for its last command or group.
const STAGED_BYTES: usize = STAGE_BYTES * 3 / 4;
/// Records begin at multiples of this.
const ALIGNMENT: usize = 8;

/// For which segment all records but the mark have been sealed; none: not all, or not for one.
pub(super) type Sealed = Option<u64>;

/// See the module.
pub(super) struct Batch {
    buffer: BlockBuffer,
    stage: Vec<u8>,
    /// Where the open record begins in the buffer, or will.
    record_at: usize,
    /// A record with more bytes ends where it may.
    record_bytes_max: usize,
    /// The open record is in the stage.
    is_staged: bool,
    sealed: Sealed,
}

impl Batch {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self {
            buffer: BlockBuffer::default(),
            stage: Vec::new(),
            record_at: 0,
            record_bytes_max: 0,
            is_staged: false,
            sealed: None,
        }
    }

    /// Bytes in it.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.buffer.len() + self.stage.len()
    }

    /// Bytes of the open record.
    #[inline]
    pub(super) fn record_bytes(&self) -> usize {
        self.len() - self.record_at
    }

    /// The open record is as long as it is to be.
    #[inline]
    pub(super) fn has_full_record(&self) -> bool {
        self.record_bytes() > self.record_bytes_max
    }

    /// Begins with the mark, for records that are sealed for a segment where there is one.
    pub(super) fn begin(&mut self, mark: &[u8; HEADER_BYTES], segment_id: Option<u64>) {
        debug_assert_eq!(self.len(), 0, "nothing is in it");
        self.buffer.extend(mark);
        self.sealed = segment_id;
    }

    /// Begins a record.
    ///
    /// - `stages`: in the stage.
    pub(super) fn open(&mut self, header: &[u8; HEADER_BYTES], stages: bool) {
        debug_assert!(self.stage.is_empty(), "one is open at a time");
        self.record_at = self.buffer.len();
        self.is_staged = stages;
        self.record_bytes_max = RECORD_BYTES_MAX;
        if stages {
            self.record_bytes_max = STAGED_BYTES;
            self.stage.reserve_exact(STAGE_BYTES);
        }
        self.extend(header);
    }

    /// Appends to the open record.
    #[inline]
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        match self.is_staged && self.stage.len() + bytes.len() <= STAGE_BYTES {
            true => self.stage.extend_from_slice(bytes),
            false => self.extend_buffer(bytes),
        }
    }

    #[inline(never)]
    fn extend_buffer(&mut self, bytes: &[u8]) {
        if std::mem::take(&mut self.is_staged) {
            self.buffer.extend(&self.stage);
            self.stage.clear();
        }
        self.buffer.extend(bytes);
    }

    /// Ends the open record.
    pub(super) fn close(&mut self, segment_id: Option<u64>) {
        let length = (self.record_bytes() - HEADER_BYTES) as u64;
        let length = length.to_le_bytes();
        if !self.is_staged {
            let header = &mut self.buffer.as_mut_slice()[self.record_at..];
            header[8..16].copy_from_slice(&length);
            self.buffer.pad(ALIGNMENT);
            self.sealed = None;
            return;
        }
        self.stage[8..16].copy_from_slice(&length);
        if self.sealed != segment_id {
            self.sealed = None;
        }
        if let Some(id) = self.sealed {
            seal_record(&mut self.stage, id);
        }
        let padded = self.stage.len().next_multiple_of(ALIGNMENT);
        self.stage.resize(padded, 0);
        self.buffer.extend_past_caches(&self.stage);
        self.stage.clear();
        self.is_staged = false;
    }

    /// Appends a whole record without its checksum.
    pub(super) fn append(&mut self, header: &[u8; HEADER_BYTES], payload: &[u8]) {
        debug_assert!(self.stage.is_empty(), "none is open");
        self.buffer.extend(header);
        self.buffer.extend(payload);
        self.buffer.pad(ALIGNMENT);
        self.sealed = None;
    }

    /// All of it, in whole blocks; `spare` takes its place. No record is open.
    pub(super) fn take(&mut self, spare: BlockBuffer) -> (BlockBuffer, Sealed) {
        debug_assert!(self.stage.is_empty(), "none is open");
        self.buffer.pad(BLOCK_BYTES);
        let buffer = std::mem::replace(&mut self.buffer, spare);
        (buffer, self.sealed.take())
    }
}

impl Sink for Batch {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend(bytes);
    }
}
