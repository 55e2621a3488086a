//! What a log wants done on its disk, and what it hears of that.
//!
//!     next_prepare -> prepared        next_write -> wrote        next_sync -> synced
//!
//! Promises  one preparation and one sync at a time; nothing is written behind what failed.
//! Not here  who does it: `node/disk.rs`.

use super::{
    Cut, Flight, IN_FLIGHT_MAX, KEPT_BYTES_MAX, Log, OpenSegment, Policy, RESERVED_BYTES, Request,
    SEGMENT_BYTES_MIN, Waiting,
};
use crate::persist::record::{self, HEADER_BYTES, Header, Kind, record_bytes, seal_record};
use crate::persist::segment::SegmentHeader;
use crate::persist::{BLOCK_BYTES, BlockBuffer};

impl Log {
    /// The segment to prepare, if one is wanted.
    pub fn next_prepare(&mut self) -> Option<Request> {
        // Until all that was under way is back nobody knows whether the segment that failed holds something.
        if self.asked.is_some() || self.is_broken || self.has_failed_flight() {
            return None;
        }
        let needed = self
            .waiting
            .front()
            .map_or(0, |waiting| waiting.buffer.len() as u64);
        let needed = needed + RESERVED_BYTES;
        let is_wanted = match (&self.current, &self.next) {
            (None, None) => true,
            (_, Some(next)) => next.bytes < needed,
            (Some(current), None) => {
                let room = current.bytes - current.offset;
                let rotates = self.cut.as_ref().is_some_and(|cut| cut.rotates);
                room < current.bytes / 2 || room < needed || rotates || self.wants_next
            }
        };
        if !is_wanted {
            return None;
        }
        let bytes = if needed <= self.segment_bytes {
            self.segment_bytes
        } else {
            needed.next_multiple_of(SEGMENT_BYTES_MIN)
        };
        let sequence = match self.next.take() {
            Some(next) => next.sequence, // It was too small: made again.
            None => self.last_sequence + 1,
        };
        self.last_sequence = sequence;
        self.asked = Some((sequence, bytes));
        Some(Request::Prepare {
            sequence,
            bytes,
            block: self.header(sequence, bytes).to_block(),
        })
    }

    fn header(&self, sequence: u64, bytes: u64) -> SegmentHeader {
        SegmentHeader {
            id: SegmentHeader::id_of(self.seed, self.place.core, sequence, self.remade_count),
            epoch: self.place.epoch,
            bytes,
            sequence,
            core: self.place.core,
            cores: self.place.cores,
        }
    }

    /// What became of a preparation. After a failure the next [`Log::next_prepare`] asks again: whoever performs it waits a
    /// while.
    pub fn prepared(&mut self, sequence: u64, result: Result<(), i32>) {
        let Some((asked, bytes)) = self.asked.take() else {
            return;
        };
        debug_assert_eq!(asked, sequence, "one preparation at a time");
        match result {
            Ok(()) => {
                let segment = OpenSegment {
                    sequence,
                    id: self.header(sequence, bytes).id,
                    bytes,
                    offset: BLOCK_BYTES as u64,
                };
                if self.current.is_none() {
                    self.current = Some(segment);
                } else {
                    self.next = Some(segment);
                    self.wants_next = false;
                }
                // Nothing is written to a segment that comes to a broken log.
                if !self.is_broken {
                    self.failure = None;
                }
            }
            Err(errno) => {
                self.last_sequence = sequence - 1;
                if self.current.is_none() || !self.waiting.is_empty() {
                    self.failure = Some(errno);
                }
            }
        }
    }

    /// Instead of [`Log::prepared`] where the disk has no room: the next [`Log::next_prepare`] asks for half as much. False where
    /// that is too little, and nothing has changed.
    pub fn prepare_smaller(&mut self, sequence: u64) -> bool {
        let half = self.segment_bytes / 2;
        if half < SEGMENT_BYTES_MIN || self.asked != Some((sequence, self.segment_bytes)) {
            return false;
        }
        self.segment_bytes = half;
        self.asked = None;
        self.last_sequence = sequence - 1;
        true
    }

    /// There may be more room again: the next segments are twice as large as the last, up to the usual size.
    pub fn prepare_larger(&mut self) {
        self.segment_bytes = (self.segment_bytes * 2).min(self.whole_bytes);
    }

    /// The next write, if there is something to write and room for it.
    pub fn next_write(&mut self) -> Option<Request> {
        if self.flights.len() >= IN_FLIGHT_MAX || self.is_broken || self.has_failed_flight() {
            return None;
        }
        if self.waiting.is_empty() {
            self.take_batch();
        }
        let front = self.waiting.front()?;
        let needed = front.buffer.len() as u64;
        let is_after_cut = |cut: &&mut Cut| cut.sequence.is_none() && front.last_lsn > cut.lsn;
        let cut = self.cut.as_mut().filter(is_after_cut);
        let current = self.current.as_mut()?;
        let room = current.bytes - current.offset - BLOCK_BYTES as u64;
        let has_next = self
            .next
            .as_ref()
            .is_some_and(|next| next.bytes - RESERVED_BYTES >= needed);
        if needed > room {
            return has_next.then(|| self.seal()).flatten();
        }
        if let Some(cut) = cut {
            if std::mem::take(&mut cut.rotates) && has_next {
                return self.seal();
            }
            cut.sequence = Some(current.sequence);
        }
        let Waiting {
            mut buffer,
            last_lsn,
            sealed,
        } = self.waiting.pop_front()?;
        let mark = Header {
            kind: Kind::Mark,
            length: 0,
            lsn: self.synced_lsn,
            now_ms: self.size.1 as i64,
            db: self.size.0,
        };
        let bytes = buffer.as_mut_slice();
        bytes[..HEADER_BYTES].copy_from_slice(&mark.to_bytes());
        seal_record(bytes, current.id);
        let mut at = HEADER_BYTES;
        while sealed != Some(current.id) && at + HEADER_BYTES <= bytes.len() && bytes[at + 32] != 0
        {
            seal_record(&mut bytes[at..], current.id);
            at += record_bytes(record::u64_at(bytes, at + 8)) as usize;
        }
        let (sequence, offset) = (current.sequence, current.offset);
        current.offset += needed;
        self.bytes += needed;
        Some(self.fly(sequence, offset, buffer, last_lsn))
    }

    fn has_failed_flight(&self) -> bool {
        self.flights.iter().any(|flight| flight.has_failed)
    }

    fn fly(&mut self, sequence: u64, offset: u64, buffer: BlockBuffer, last_lsn: u64) -> Request {
        self.next_id += 1;
        let is_durable = self.policy == Policy::Always && !self.syncs_after;
        self.flights.push_back(Flight {
            id: self.next_id,
            sequence,
            last_lsn,
            is_durable,
            is_done: false,
            has_failed: false,
            buffer: None,
        });
        Request::Write {
            id: self.next_id,
            sequence,
            offset,
            buffer,
            is_durable,
        }
    }

    /// Writes the end of the current segment and goes on in the next.
    fn seal(&mut self) -> Option<Request> {
        let next = self.next.take()?;
        let current = self.current.replace(next)?;
        let last_lsn = self
            .flights
            .back()
            .map_or(self.written_lsn, |flight| flight.last_lsn);
        let mut buffer = self.buffers.take();
        for (kind, lsn) in [(Kind::Mark, self.synced_lsn), (Kind::Seal, last_lsn)] {
            let header = Header {
                kind,
                length: 0,
                lsn,
                now_ms: self.size.1 as i64,
                db: self.size.0,
            };
            let mut bytes = header.to_bytes();
            seal_record(&mut bytes, current.id);
            buffer.extend(&bytes);
        }
        buffer.pad(BLOCK_BYTES);
        Some(self.fly(current.sequence, current.offset, buffer, last_lsn))
    }

    /// Has a mark written that says that the last record is durable, once for each that is the last: no other write says so, and
    /// damage to it could not be told from one that was cut off. Whether it has been begun by this; it waits for no room.
    pub fn close(&mut self) -> bool {
        let is_due = self.is_written() && self.failure.is_none() && self.closed_lsn < self.lsn;
        let has_room = |it: &OpenSegment| it.bytes - it.offset >= RESERVED_BYTES;
        if !is_due || self.lsn == 0 || !self.current.as_ref().is_some_and(has_room) {
            return false;
        }
        self.closed_lsn = self.lsn;
        let mut buffer = self.buffers.take();
        buffer.extend(&[0; HEADER_BYTES]);
        buffer.pad(BLOCK_BYTES);
        let last_lsn = self.lsn;
        self.waiting.push_back(Waiting {
            buffer,
            last_lsn,
            sealed: None,
        });
        true
    }

    pub(super) fn take_batch(&mut self) {
        if self.groups_count > 0 {
            return;
        }
        self.close_record();
        if self.batch.len() <= HEADER_BYTES {
            return;
        }
        let spare = self.buffers.take();
        let (buffer, sealed) = self.batch.take(spare);
        self.waiting.push_back(Waiting {
            buffer,
            last_lsn: self.lsn,
            sealed,
        });
        self.begin_batch();
    }

    /// What became of a write.
    pub fn wrote(&mut self, id: u64, buffer: BlockBuffer, result: Result<(), i32>) {
        let Some(place) = self.flights.iter().position(|flight| flight.id == id) else {
            return;
        };
        self.flights[place].buffer = Some(buffer);
        match result {
            Ok(()) => self.flights[place].is_done = true,
            Err(errno) => {
                self.failure = Some(errno);
                // Nothing more goes to a segment that a write is under way to; what is not durable comes again in one that
                // is fresh, so that a reader finds it there from the first lost record on.
                let current = self.sequence();
                if self.flights.iter().any(|flight| flight.sequence == current) {
                    self.current = self.next.take();
                }
                self.flights[place].has_failed = true;
            }
        }
        self.land();
    }

    /// Takes what is done from the front; from a failed one on, everything is written again once all are back.
    fn land(&mut self) {
        while let Some(flight) = self.flights.front()
            && flight.is_done
        {
            let Some(flight) = self.flights.pop_front() else {
                return;
            };
            self.written_lsn = flight.last_lsn;
            self.written_sequence = flight.sequence;
            if flight.is_durable && self.unsynced.is_empty() {
                self.synced_lsn = self.written_lsn;
            } else {
                match self.unsynced.back_mut() {
                    Some((sequence, lsn)) if *sequence == flight.sequence => *lsn = flight.last_lsn,
                    _ => self.unsynced.push_back((flight.sequence, flight.last_lsn)),
                }
            }
            if let Some(buffer) = flight.buffer {
                self.keep(buffer);
            }
        }
        if self.flights.is_empty() && self.current.is_some() && !self.is_broken {
            self.failure = None;
        }
        let all_back = self.flights.iter().all(|flight| flight.buffer.is_some());
        if self.flights.front().is_some_and(|flight| flight.has_failed) && all_back {
            while let Some(flight) = self.flights.pop_back() {
                // A segment in which nothing was written is made again, or each try would leave one behind.
                let is_last = flight.sequence == self.last_sequence && self.current.is_none();
                if is_last && flight.sequence != self.written_sequence {
                    self.last_sequence -= 1;
                    self.remade_count += 1;
                    let is_void = |sequence: &u64| *sequence > self.last_sequence;
                    if let Some(cut) = &mut self.cut {
                        // The first record after the cut is written again, and may come to an earlier one.
                        cut.sequence.take_if(|sequence| is_void(sequence));
                    }
                }
                if let Some(buffer) = flight.buffer
                    && !is_mark_alone(&buffer)
                {
                    let last_lsn = flight.last_lsn;
                    self.waiting.push_front(Waiting {
                        buffer,
                        last_lsn,
                        sealed: None,
                    });
                }
            }
        }
    }

    fn keep(&mut self, buffer: BlockBuffer) {
        self.buffers.keep(buffer, KEPT_BYTES_MAX, IN_FLIGHT_MAX);
    }

    /// The segment to make durable, if one is not and none is under way.
    pub fn next_sync(&mut self) -> Option<Request> {
        if self.syncing.is_some() || self.is_broken || self.has_foreign_sync {
            return None;
        }
        let (sequence, lsn) = *self.unsynced.front()?;
        self.syncing = Some((sequence, lsn));
        Some(Request::Sync { sequence })
    }

    /// What became of a sync. A failure is final: the kernel may have dropped what it could not write, and says so once.
    pub fn synced(&mut self, sequence: u64, result: Result<(), i32>) {
        if std::mem::take(&mut self.has_foreign_sync) {
            return;
        }
        let Some((syncing, lsn)) = self.syncing.take() else {
            return;
        };
        debug_assert_eq!(syncing, sequence, "one sync at a time");
        match result {
            Ok(()) => {
                self.synced_lsn = self.synced_lsn.max(lsn);
                if self.unsynced.front().is_some_and(|front| front.1 == lsn) {
                    self.unsynced.pop_front();
                }
            }
            Err(errno) => {
                self.failure = Some(errno);
                self.is_broken = true;
            }
        }
    }

    /// What was written is no longer where a start would find it: only a new log can be trusted.
    pub fn lose(&mut self, errno: i32) {
        self.failure = Some(errno);
        self.is_broken = true;
    }

    /// Whether something written is not durable.
    pub fn has_unsynced(&self) -> bool {
        !self.unsynced.is_empty()
    }

    /// Whether a segment that nothing more is written to is not durable.
    pub fn has_unsynced_behind(&self) -> bool {
        self.unsynced.len() > 1
    }

    /// Whether all up to `lsn` is durable, whatever that counts for until a base is in force.
    pub fn is_synced_to(&self, lsn: u64) -> bool {
        self.synced_lsn >= lsn
    }
}

/// Whether no record follows the mark: it is one of a seal, or of the end.
fn is_mark_alone(buffer: &BlockBuffer) -> bool {
    matches!(buffer.as_slice().get(HEADER_BYTES + 32), Some(0 | 4))
}
