//! Log: one core's effects on their way to the disk.
//!
//!     append -> open record -> batch --next_write--> in flight (a few at once) --wrote--> durable up to synced_lsn
//!                                \ a full segment is sealed; the next one has been prepared before
//!
//! Promises  a record counts as durable only when all before it are; what failed is written again, whole, in another
//!           segment or one that is made anew, never into the file that failed; a batch never blocks the one who appends.
//! Not here  what it is given: `append.rs`; where that is until it is written: `batch.rs`; what it wants done, and hears of that:
//!           `on_disk.rs`; files: whoever performs the requests. What is held back until when: `shard`, `node`.
//! Tests     tests/persist/log.rs.

mod append;
mod batch;
mod on_disk;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use self::batch::{Batch, Sealed};
use super::record::HEADER_BYTES;
use super::{BLOCK_BYTES, BlockBuffer};
use crate::ds::block_pool::BlockPool;

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
    sealed: Sealed,
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
    batch: Batch,
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
    /// The last record whose reply waited for nothing when that policy ended.
    told_lsn: u64,
    /// Segments with writes that are not known to be durable, and the last record in each.
    unsynced: VecDeque<(u64, u64)>,
    syncing: Option<(u64, u64)>,
    failure: Option<i32>,
    /// Something written may be lost: only a new log can be trusted.
    is_broken: bool,
    recent: Vec<u64>,
    buffers: BlockPool,
    /// Bytes of all segments but the open one's rest.
    bytes: u64,
    /// The last cut for a base.
    cut: Option<Cut>,
    /// The last record that a base in force has: it is durable, whatever has become of it here.
    base_lsn: u64,
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
            batch: Batch::new(),
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
            told_lsn: 0,
            unsynced: VecDeque::new(),
            syncing: None,
            failure: None,
            is_broken: false,
            recent: Vec::new(),
            buffers: BlockPool::default(),
            bytes: 0,
            cut: None,
            base_lsn: 0,
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
        self.told_lsn = old.told_lsn;
        self.recent = std::mem::take(&mut old.recent);
        self.buffers = std::mem::take(&mut old.buffers);
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

    /// The base of the last cut is in force: what it has is durable, with every policy.
    pub fn base_is_in_force(&mut self) {
        self.before = None;
        if let Some(cut) = &self.cut {
            self.base_lsn = cut.lsn;
        }
    }

    /// Makes segments of another size: tests.
    pub fn with_segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self.whole_bytes = bytes;
        self
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

    /// The last record that is durable with all before it, here or in the base.
    #[inline]
    pub fn synced_lsn(&self) -> u64 {
        match &self.before {
            None => self.synced_lsn.max(self.base_lsn),
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
        if self.policy != Policy::Always && policy == Policy::Always {
            self.told_lsn = self.lsn;
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

    /// Clients have replies to what is not durable.
    pub fn has_told_beyond(&self) -> bool {
        let told_lsn = match self.policy {
            Policy::Always => self.told_lsn,
            Policy::EverySecond | Policy::Never => self.lsn,
        };
        self.synced_lsn() < told_lsn
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
}
