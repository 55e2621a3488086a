//! Log: one core's effects on their way to the disk.
//!
//!     append -> open record -> batch --next_write--> in flight (a few at once) --wrote--> durable up to synced_lsn
//!                                \ a full segment is sealed; the next one has been prepared before
//!
//! Promises  a record counts as durable only when all before it are; what failed is written again, whole, in another
//!           segment or one that is made anew, never into the file that failed; a batch never blocks the one who appends.
//! Not here  files: whoever performs the requests. What is held back until when: `shard`, `node`.
//! Tests     tests/persist/log.rs.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use super::block_buffer::{BLOCK_BYTES, BlockBuffer};
use super::effects;
use super::record::{HEADER_BYTES, Header, Kind, TransactionRecord, record_bytes, seal_record};
use super::segment::SegmentHeader;

/// Bytes of a segment, where nothing larger must fit in.
pub const SEGMENT_BYTES: u64 = 32 << 20;
/// Where the disk is nearly full.
pub const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Writes under way at once: so many groups of requests share the disk's time.
pub const IN_FLIGHT_MAX: usize = 4;
/// A record that is larger ends, unless it is one group.
const RECORD_BYTES_MAX: usize = 1 << 20;
/// A batch that is larger goes to the disk by itself: what piles up while that is full needs no segment of its own size.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// A batch buffer that is larger is freed instead of kept.
const KEPT_BYTES_MAX: usize = 1 << 20;
/// The header's block, and the last one, which is the seal's.
const RESERVED_BYTES: u64 = 2 * BLOCK_BYTES as u64;
/// Logs there were in this process: what comes back of an earlier one's writes has no name in a later one.
static LOGS_COUNT: AtomicU64 = AtomicU64::new(0);
/// Places in which the last writes of keys are remembered.
const RECENT_COUNT: usize = 8192;

/// `appendfsync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Replies wait for the disk.
    Always,
    /// The disk is told every second.
    EverySecond,
    /// The kernel decides.
    Never,
}

/// Which log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The epoch.
    pub epoch: u64,
    /// The core.
    pub core: u16,
    /// How many cores there are.
    pub cores: u16,
}

/// What is to be done on the disk.
#[derive(Debug)]
pub enum Request {
    /// Make a segment's file: so large, beginning with this block, durable, its name too. Answered by [`Log::prepared`].
    Prepare {
        /// Which segment.
        sequence: u64,
        /// Bytes of the file.
        bytes: u64,
        /// Its first block.
        block: BlockBuffer,
    },
    /// Answered by [`Log::wrote`].
    Write {
        /// Names it.
        id: u64,
        /// Which segment.
        sequence: u64,
        /// Where, a multiple of the block.
        offset: u64,
        /// What, whole blocks.
        buffer: BlockBuffer,
        /// It is to be durable when it is answered.
        is_durable: bool,
    },
    /// Make a segment durable; answered by [`Log::synced`].
    Sync {
        /// Which segment.
        sequence: u64,
    },
}

struct OpenSegment {
    sequence: u64,
    id: u64,
    bytes: u64,
    offset: u64,
}

struct OpenRecord {
    /// Where it begins in the batch.
    at: usize,
    /// The database its commands are on by now.
    db: u16,
}

/// A batch under way.
struct Flight {
    id: u64,
    sequence: u64,
    last_lsn: u64,
    is_durable: bool,
    is_done: bool,
    has_failed: bool,
    /// Back from the disk, in case an earlier one fails.
    buffer: Option<BlockBuffer>,
}

/// A batch that waits to be written, and its last record.
struct Waiting {
    buffer: BlockBuffer,
    last_lsn: u64,
}

/// One core's log.
pub struct Log {
    place: Place,
    seed: u64,
    policy: Policy,
    /// With `always`: a write is durable only once a sync after it has ended.
    syncs_after: bool,
    /// How large segments to come are: smaller ones where the disk has no room for those of `whole_bytes`.
    segment_bytes: u64,
    whole_bytes: u64,
    current: Option<OpenSegment>,
    next: Option<OpenSegment>,
    /// What a segment that has been asked for is to hold.
    asked: Option<(u64, u64)>,
    last_sequence: u64,
    /// How many segments were made again because nothing was written to them.
    remade_count: u64,
    /// The last segment that something has been written to.
    written_sequence: u64,
    batch: BlockBuffer,
    record: Option<OpenRecord>,
    now_ms: i64,
    /// The database with the most keys, and how many it has: [`Log::note_size`].
    size: (u16, u64),
    groups_count: u32,
    lsn: u64,
    waiting: VecDeque<Waiting>,
    flights: VecDeque<Flight>,
    next_id: u64,
    written_lsn: u64,
    synced_lsn: u64,
    /// The last record whose reply was promised to wait for the disk when that policy ended.
    owed_lsn: u64,
    /// Segments with writes that are not known to be durable, and the last record in each.
    unsynced: VecDeque<(u64, u64)>,
    syncing: Option<(u64, u64)>,
    failure: Option<i32>,
    /// Something written may be lost: only a new log can be trusted.
    is_broken: bool,
    recent: Vec<u64>,
    spare: Vec<BlockBuffer>,
    /// Bytes of all segments but the open one's rest.
    bytes: u64,
    /// The last cut for a base.
    cut: Option<Cut>,
    /// A segment is wanted before the current one is half full.
    wants_next: bool,
    /// The last record that a mark without records was written for.
    closed_lsn: u64,
    /// What counts until a base that this log goes on from is in force.
    before: Option<Before>,
    /// A sync of the log before is under way: its end says nothing of this one.
    has_foreign_sync: bool,
}

/// How things stood with the log that another has taken the place of.
struct Before {
    synced_lsn: u64,
    failure: Option<i32>,
}

/// Where a base ends and the log goes on from it.
struct Cut {
    /// The last record in the base.
    lsn: u64,
    /// Bytes written or waiting to be, by then.
    bytes: u64,
    /// The segment that the first record after it went to; none: not written yet.
    sequence: Option<u64>,
    /// That record is to be the first of a segment, if one is at hand.
    rotates: bool,
}

impl Log {
    /// An empty log; its first segment is asked for by the first [`Log::next_prepare`].
    ///
    /// - `seed`: drawn anew for every epoch; segment ids derive from it.
    pub fn new(place: Place, seed: u64, policy: Policy) -> Self {
        let mut log = Self {
            place,
            seed,
            policy,
            syncs_after: false,
            segment_bytes: SEGMENT_BYTES,
            whole_bytes: SEGMENT_BYTES,
            current: None,
            next: None,
            asked: None,
            last_sequence: 0,
            remade_count: 0,
            written_sequence: 0,
            batch: BlockBuffer::default(),
            record: None,
            now_ms: 0,
            size: (0, 0),
            groups_count: 0,
            lsn: 0,
            waiting: VecDeque::new(),
            flights: VecDeque::new(),
            next_id: LOGS_COUNT.fetch_add(1, Ordering::Relaxed) << 32,
            written_lsn: 0,
            synced_lsn: 0,
            owed_lsn: 0,
            unsynced: VecDeque::new(),
            syncing: None,
            failure: None,
            is_broken: false,
            recent: Vec::new(),
            spare: Vec::new(),
            bytes: 0,
            cut: None,
            wants_next: false,
            closed_lsn: 0,
            before: None,
            has_foreign_sync: false,
        };
        log.begin_batch();
        log.set_policy(policy);
        log
    }

    /// Counts on from `lsn`, which the base has: what waits for records of an earlier log never waits for this one's.
    pub fn starting_after(mut self, lsn: u64) -> Self {
        debug_assert_eq!(self.bytes, 0, "nothing has been appended");
        self.lsn = lsn;
        self.written_lsn = lsn;
        self.synced_lsn = lsn;
        self.recent.fill(lsn);
        self
    }

    /// Takes the place of `old`, which cannot be trusted any more, at a cut: the base that is made there has all that `old` has.
    /// Until that is in force ([`Log::base_is_in_force`]) nothing counts as durable that did not before, and if `old` had
    /// failed this one has.
    pub fn going_on_from(mut self, old: &mut Log) -> Self {
        self = self.starting_after(old.lsn);
        self.before = Some(Before {
            synced_lsn: old.synced_lsn(),
            failure: old.failure(),
        });
        self.policy = old.policy;
        self.recent = std::mem::take(&mut old.recent);
        self.now_ms = old.now_ms;
        self.groups_count = old.groups_count;
        self.has_foreign_sync = old.syncing.is_some() || old.has_foreign_sync;
        self
    }

    /// The first log of all there are keys of already: nothing of it counts as durable until its base is in force.
    pub fn waiting_for_base(mut self) -> Self {
        self.before = Some(Before {
            synced_lsn: self.lsn,
            failure: None,
        });
        self
    }

    /// The base that this log goes on from is in force: what it has is durable.
    pub fn base_is_in_force(&mut self) {
        self.before = None;
    }

    /// Makes segments of another size: tests.
    pub fn with_segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self.whole_bytes = bytes;
        self
    }

    // ---- what is appended

    /// Moves time: what is appended from now on happens then.
    #[inline]
    pub fn set_now(&mut self, now_ms: i64) {
        if now_ms != self.now_ms {
            if self.groups_count > 0 {
                return; // Time stands still in a group.
            }
            self.close_record();
            self.now_ms = now_ms;
        }
    }

    /// When what is appended now happens.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Notes about how many keys there are: marks say it, so that who replays the log makes room for them at once.
    pub fn note_size(&mut self, db: u16, keys: u64) {
        self.size = (db, keys);
    }

    /// Appends a command that ran on `db`.
    ///
    /// - Cost: one copy; no I/O.
    pub fn append<'w>(&mut self, db: u16, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        self.open_record(db);
        effects::append(&mut self.batch, words);
    }

    /// Appends a command that ran on `db` and is an array of bulk strings already.
    #[inline]
    pub fn append_wire(&mut self, db: u16, command: &[u8]) {
        self.open_record(db);
        self.batch.extend(command);
    }

    /// Appends commands that are RESP already and begin in `db`; they may change it.
    pub fn append_commands(&mut self, db: u16, commands: &[u8]) {
        self.open_record(db);
        self.batch.extend(commands);
        if self.groups_count == 0 {
            self.close_record();
        } else if let Some(record) = &mut self.record {
            // Whatever it is in by now, the next one says it again.
            record.db = u16::MAX;
        }
    }

    /// What is appended until the matching [`Log::leave_group`] happened as one.
    pub fn enter_group(&mut self) {
        if self.groups_count == 0
            && self
                .record
                .as_ref()
                .is_some_and(|record| self.batch.len() - record.at > RECORD_BYTES_MAX / 2)
        {
            self.close_record();
        }
        self.groups_count += 1;
    }

    /// Ends a group, unless it had begun before there was a log.
    pub fn leave_group(&mut self) {
        self.groups_count = self.groups_count.saturating_sub(1);
    }

    /// Appends all effects of a transaction over several shards.
    pub fn append_transaction(&mut self, record: &TransactionRecord) {
        self.close_record();
        self.lsn += 1;
        let payload = record.to_bytes();
        let header = Header {
            kind: Kind::Transaction,
            length: payload.len() as u64,
            lsn: self.lsn,
            now_ms: self.now_ms,
            db: 0,
        };
        self.batch.extend(&header.to_bytes());
        self.batch.extend(&payload);
        self.batch.pad(8);
    }

    /// Makes sure that what is appended next is in a record, on this database.
    #[inline]
    fn open_record(&mut self, db: u16) {
        // So short a batch ends no record that has a place in it.
        if let Some(record) = &self.record
            && record.db == db
            && self.batch.len() <= RECORD_BYTES_MAX
        {
            return;
        }
        self.open_record_anew(db);
    }

    #[inline(never)]
    fn open_record_anew(&mut self, db: u16) {
        if self.batch.len() > BATCH_BYTES_MAX {
            self.take_batch();
        }
        if let Some(record) = &mut self.record {
            let is_full = self.batch.len() - record.at > RECORD_BYTES_MAX;
            if !is_full || self.groups_count > 0 {
                if record.db != db {
                    record.db = db;
                    effects::append_select(&mut self.batch, db);
                }
                return;
            }
            self.close_record();
        }
        self.lsn += 1;
        self.record = Some(OpenRecord {
            at: self.batch.len(),
            db,
        });
        let header = Header {
            kind: Kind::Effects,
            length: 0,
            lsn: self.lsn,
            now_ms: self.now_ms,
            db,
        };
        self.batch.extend(&header.to_bytes());
    }

    fn close_record(&mut self) {
        if let Some(record) = self.record.take() {
            let length = (self.batch.len() - record.at - HEADER_BYTES) as u64;
            let header = &mut self.batch.as_mut_slice()[record.at..];
            header[8..16].copy_from_slice(&length.to_le_bytes());
            self.batch.pad(8);
        }
    }

    /// The mark's place; it is filled in when the batch is written.
    fn begin_batch(&mut self) {
        let mark = Header {
            kind: Kind::Mark,
            length: 0,
            lsn: 0,
            now_ms: 0,
            db: 0,
        };
        self.batch.extend(&mark.to_bytes());
    }

    /// Ends what a base has here, and gives its last record: what is appended from now on comes after the base, in a segment
    /// of its own where one has been prepared ([`Log::prepare_next`]). Of a group nothing but this may be still to come.
    pub fn cut(&mut self) -> u64 {
        let groups_count = std::mem::take(&mut self.groups_count);
        self.take_batch();
        self.groups_count = groups_count;
        let waiting: usize = self
            .waiting
            .iter()
            .map(|waiting| waiting.buffer.len())
            .sum();
        self.cut = Some(Cut {
            lsn: self.lsn,
            bytes: self.bytes + waiting as u64,
            sequence: None,
            rotates: true,
        });
        self.wants_next = false;
        self.lsn
    }

    /// Has the next segment made now, whatever room there is in the current one.
    pub fn prepare_next(&mut self) {
        self.wants_next = true;
    }

    /// Whether there is a next segment.
    pub fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// The oldest segment that is needed beside the base of the last cut.
    pub fn first_needed(&self) -> u64 {
        let of_cut = self.cut.as_ref().and_then(|cut| cut.sequence);
        of_cut.unwrap_or_else(|| self.sequence())
    }

    /// The last segment that has something from before the last cut, and whether it may still be written to.
    pub fn last_before_cut(&self) -> (u64, bool) {
        let after = self.cut.as_ref().and_then(|cut| cut.sequence);
        let current = self.sequence();
        let last = after.map_or(current, |after| after.saturating_sub(1));
        (last, last >= current)
    }

    /// Bytes of what is not in the base of the last cut.
    pub fn bytes_since_cut(&self) -> u64 {
        let before = self.cut.as_ref().map_or(0, |cut| cut.bytes);
        (self.bytes + self.pending_bytes() as u64).saturating_sub(before)
    }

    // ---- what is durable

    /// The last record begun.
    #[inline]
    pub fn lsn(&self) -> u64 {
        self.lsn
    }

    /// The last record that is written with all before it, durable or not.
    pub fn written_lsn(&self) -> u64 {
        self.written_lsn
    }

    /// The last record that is durable with all before it.
    #[inline]
    pub fn synced_lsn(&self) -> u64 {
        match &self.before {
            None => self.synced_lsn,
            Some(before) => before.synced_lsn,
        }
    }

    /// Which record a reply must wait for that may reveal anything; 0 for none.
    #[inline]
    pub fn revealed(&self) -> u64 {
        if self.policy == Policy::Always && self.lsn > self.synced_lsn() {
            self.lsn
        } else {
            0
        }
    }

    /// Notes that a key was written by the last record.
    #[inline]
    pub fn note_write(&mut self, hash: u64) {
        if let Some(place) = self.recent.get_mut(hash as usize % RECENT_COUNT) {
            *place = self.lsn;
        }
    }

    /// Notes that any key may have been written by the last record.
    pub fn note_all(&mut self) {
        self.recent.fill(self.lsn);
    }

    /// Which record a reply must wait for that reveals this key; 0 for none.
    #[inline]
    pub fn revealed_by(&self, hash: u64) -> u64 {
        match self.recent.get(hash as usize % RECENT_COUNT) {
            Some(&lsn) if lsn > self.synced_lsn() => lsn,
            _ => 0,
        }
    }

    /// The epoch it belongs to.
    pub fn epoch(&self) -> u64 {
        self.place.epoch
    }

    /// The policy in force.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Changes the policy, from the next write on.
    pub fn set_policy(&mut self, policy: Policy) {
        if self.policy == Policy::Always && policy != Policy::Always {
            self.owed_lsn = self.lsn;
        }
        self.policy = policy;
        self.recent = match policy {
            // Of the writes before nobody knows the keys: all count as written last.
            Policy::Always => vec![self.lsn; RECENT_COUNT],
            Policy::EverySecond | Policy::Never => Vec::new(),
        };
    }

    /// Replies that were to wait for the disk wait still, although the policy has changed since.
    pub fn owes_sync(&self) -> bool {
        self.synced_lsn < self.owed_lsn
    }

    /// With `always`, has writes made durable by a sync after them instead of each by itself, from the next one on.
    pub fn set_syncs_after(&mut self, syncs_after: bool) {
        self.syncs_after = syncs_after;
    }

    /// The errno that keeps it from being written.
    pub fn failure(&self) -> Option<i32> {
        let before = self.before.as_ref();
        self.failure
            .or_else(|| before.and_then(|before| before.failure))
    }

    /// Whether something that was written may be lost.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether all of it is durable.
    pub fn is_clean(&self) -> bool {
        self.synced_lsn() == self.lsn && self.flights.is_empty()
    }

    /// Whether all of it is on disk, whatever that counts for until a base is in force.
    pub fn is_written(&self) -> bool {
        self.synced_lsn == self.lsn && self.flights.is_empty()
    }

    /// Whether all of its records are on disk, whatever becomes of a mark behind them.
    pub fn has_all_records(&self) -> bool {
        self.synced_lsn == self.lsn
    }

    /// Bytes that wait to be handed to the disk.
    pub fn pending_bytes(&self) -> usize {
        let waiting: usize = self
            .waiting
            .iter()
            .map(|waiting| waiting.buffer.len())
            .sum();
        waiting + self.batch.len() - HEADER_BYTES
    }

    /// Bytes of its records so far, padding included.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a write or a sync is under way.
    pub fn is_busy(&self) -> bool {
        !self.flights.is_empty() || self.syncing.is_some()
    }

    /// The oldest segment that something is still to be done with.
    pub fn oldest_sequence(&self) -> u64 {
        let unsynced = self.unsynced.front().map(|front| front.0);
        let syncing = self.syncing.map(|syncing| syncing.0);
        let flights = self.flights.iter().map(|flight| flight.sequence);
        let oldest = flights.chain(unsynced).chain(syncing).min();
        let current = self.sequence();
        oldest.map_or(current, |oldest| oldest.min(current))
    }

    /// The segment being written, counted from 1; 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.sequence)
    }

    // ---- what is asked of the disk

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
        } = self.waiting.pop_front()?;
        let mut at = 0;
        let mark = Header {
            kind: Kind::Mark,
            length: 0,
            lsn: self.synced_lsn,
            now_ms: self.size.1 as i64,
            db: self.size.0,
        };
        let bytes = buffer.as_mut_slice();
        bytes[..HEADER_BYTES].copy_from_slice(&mark.to_bytes());
        while at + HEADER_BYTES <= bytes.len() && bytes[at + 32] != 0 {
            seal_record(&mut bytes[at..], current.id);
            at += record_bytes(super::record::u64_at(bytes, at + 8)) as usize;
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
        let mut buffer = self.spare.pop().unwrap_or_default();
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
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.extend(&[0; HEADER_BYTES]);
        buffer.pad(BLOCK_BYTES);
        let last_lsn = self.lsn;
        self.waiting.push_back(Waiting { buffer, last_lsn });
        true
    }

    fn take_batch(&mut self) {
        if self.groups_count > 0 {
            return;
        }
        self.close_record();
        if self.batch.len() <= HEADER_BYTES {
            return;
        }
        self.batch.pad(BLOCK_BYTES);
        let spare = self.spare.pop().unwrap_or_default();
        let buffer = std::mem::replace(&mut self.batch, spare);
        self.waiting.push_back(Waiting {
            buffer,
            last_lsn: self.lsn,
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
                    self.waiting.push_front(Waiting { buffer, last_lsn });
                }
            }
        }
    }

    fn keep(&mut self, mut buffer: BlockBuffer) {
        if buffer.capacity() <= KEPT_BYTES_MAX && self.spare.len() < IN_FLIGHT_MAX {
            buffer.clear();
            self.spare.push(buffer);
        }
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
