//! Replaying: a log's records run while it is scanned, as far as it is certain that they count.
//!
//!     thread of each log: scan ─> a record ─> run, unless it is a transaction that depends on what no log has yet
//!
//! What of a log counts is decided over all logs (`persist/recovery.rs`), but most of it needs no decision: a record counts
//! if all before it do, and if what it depends on does. So a thread waits at a transaction for the logs that it depends on.
//! If one of those ends before, or all threads wait, the thread runs nothing more, and what is left of its log is run when
//! all is decided. Every log is read once then, but for the end that a power cut has left.
//!
//! Where there are fewer cores now, and each has the keys of whole cores of before, their logs run on one shard, in turn by
//! records: what one of them has says nothing of another's keys. Otherwise keys are dealt when all is run.
//!
//! Promises  what is run counts; it is run in the log's order.
//! Tests     tests/server/durability.rs; tests/persist/recovery.rs for what counts.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::data_dir::DataDir;
use super::load::RECORD_BYTES_MIN;
use super::log_way::LogWay;
use super::progress::Progress;
use crate::keyspace::SlotMap;
use crate::persist::manifest::Epoch;
use crate::persist::record::{Dependency, Kind, Record, TransactionRecord};
use crate::persist::recovery::{Files, Watcher, base_lsn};
use crate::persist::segment::LastMark;
use crate::shard::Shard;
use crate::shard::replay::Origin;

/// A thread that waits looks so often before it sleeps between two looks.
const LOOKS_MAX: u32 = 1000;
const NAP: Duration = Duration::from_micros(100);

/// How far the threads of an epoch have got.
pub struct Together {
    run_lsns: Vec<AtomicU64>,
    /// Logs of which nothing more is run for now.
    are_over: Vec<AtomicBool>,
    /// Threads that wait, or are over.
    still_count: AtomicUsize,
}

impl Together {
    /// Of so many logs.
    pub fn new(cores: u16) -> Self {
        Self {
            run_lsns: (0..cores).map(|_| AtomicU64::new(0)).collect(),
            are_over: (0..cores).map(|_| AtomicBool::new(false)).collect(),
            still_count: AtomicUsize::new(0),
        }
    }

    fn is_met(&self, dependency: &Dependency) -> bool {
        let run_lsn = self.run_lsns.get(usize::from(dependency.core));
        run_lsn.is_some_and(|lsn| lsn.load(Ordering::Acquire) >= dependency.lsn)
    }

    /// Waits until all are met; false where that may never be.
    fn wait_for(&self, dependencies: &[Dependency]) -> bool {
        let are_met = || {
            dependencies
                .iter()
                .all(|dependency| self.is_met(dependency))
        };
        let may_come = |dependency: &Dependency| {
            let is_over = self.are_over.get(usize::from(dependency.core));
            // It may have got there just before it was over.
            is_over.is_some_and(|is_over| !is_over.load(Ordering::Acquire))
                || self.is_met(dependency)
        };
        if are_met() {
            return true;
        }
        let mut looks_count = 0;
        self.still_count.fetch_add(1, Ordering::AcqRel);
        let comes = loop {
            if are_met() {
                break true;
            }
            // One of those may be about to go on; then this one runs its part later, which is no harm.
            let all_wait = self.still_count.load(Ordering::Acquire) == self.run_lsns.len();
            if all_wait || !dependencies.iter().all(may_come) {
                break false;
            }
            looks_count += 1;
            match looks_count {
                ..LOOKS_MAX => std::thread::yield_now(),
                _ => std::thread::sleep(NAP),
            }
        };
        self.still_count.fetch_sub(1, Ordering::AcqRel);
        comes
    }
}

/// Where a log's records are run.
#[derive(Clone, Copy)]
pub struct Seat<'r> {
    shard: &'r Mutex<Shard>,
    /// Whose log it is.
    pub origin: Origin,
    /// How many logs are run on this shard.
    logs_count: u64,
}

impl<'r> Seat<'r> {
    /// For each log of an epoch, `then` its cores; each shard has the keys of one of these or, where there are fewer shards, of
    /// several, the same number for all.
    pub fn of(shards: &'r [Mutex<Shard>], then: SlotMap) -> Vec<Self> {
        let cores = then.shards_count();
        let logs_count = usize::from(cores) / shards.len();
        let shared = (logs_count > 1).then_some(then);
        let seat = |core| Self {
            shard: &shards[usize::from(core) / logs_count],
            origin: Origin {
                shard: core,
                shared,
            },
            logs_count: logs_count as u64,
        };
        (0..cores).map(seat).collect()
    }

    /// The shard, for a record.
    pub fn lock(&self) -> MutexGuard<'r, Shard> {
        self.shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an epoch's files hold.
pub struct Sizes {
    /// Bytes of its base, 0 where there is none.
    pub base_bytes: u64,
    /// For each log its segments, and bytes of each.
    pub logs: Vec<Vec<(u64, u64)>>,
}

impl Sizes {
    /// Of all of its logs.
    pub fn logs_bytes(&self) -> u64 {
        let segments = self.logs.iter().flatten();
        segments.map(|(_, bytes)| bytes).sum()
    }
}

/// Runs one log's records on its shard.
pub struct Runner<'r> {
    dir: &'r DataDir,
    epoch: u64,
    seat: Seat<'r>,
    together: &'r Together,
    way: LogWay<'r>,
    /// Keys that there may be at the end: what they came from is in the log, or in its base.
    keys_max: u64,
    run_lsn: u64,
    is_over: bool,
    failure: Option<String>,
}

impl<'r> Runner<'r> {
    /// Nothing has been run yet.
    pub fn new(
        dir: &'r DataDir,
        epoch: &Epoch,
        seat: Seat<'r>,
        together: &'r Together,
        progress: &'r Progress,
        sizes: &Sizes,
    ) -> Self {
        let extent = sizes.logs[usize::from(seat.origin.shard)].clone();
        let base_bytes = sizes.base_bytes;
        let way = LogWay::new(progress, extent);
        let mut runner = Self {
            dir,
            epoch: epoch.number,
            seat,
            together,
            keys_max: way.bytes.saturating_add(base_bytes) / RECORD_BYTES_MIN,
            way,
            run_lsn: 0,
            is_over: false,
            failure: None,
        };
        runner.has_run(base_lsn(epoch, seat.origin.shard));
        runner
    }

    /// The last record that was run. Errors: why one could not be.
    pub fn end(mut self) -> Result<u64, String> {
        self.stop();
        self.way.has_come_to(self.way.bytes);
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(self.run_lsn),
        }
    }

    fn has_run(&mut self, lsn: u64) {
        self.run_lsn = lsn;
        self.together.run_lsns[usize::from(self.seat.origin.shard)].store(lsn, Ordering::Release);
    }

    fn stop(&mut self) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.together.are_over[usize::from(self.seat.origin.shard)]
                .store(true, Ordering::Release);
            self.together.still_count.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Runner<'_> {
    /// Nobody waits for a thread that is gone.
    fn drop(&mut self) {
        self.stop();
    }
}

impl Watcher for Runner<'_> {
    fn expect(&mut self, mark: &LastMark) {
        // A guess, which damage may have made: memory is taken for no more than there is a file for.
        let keys = mark.keys.min(self.keys_max);
        let keys = keys.saturating_mul(self.seat.logs_count);
        self.seat.lock().keys.reserve(u64::from(mark.db), keys);
    }

    fn see(&mut self, record: &Record<'_>, sequence: u64, at: u64) {
        self.way
            .has_seen(sequence, at + record.header.record_bytes());
        if self.is_over {
            return;
        }
        if record.header.kind == Kind::Transaction {
            let dependencies = TransactionRecord::from_bytes(record.payload)
                .map_or(Vec::new(), |transaction| transaction.dependencies);
            if !self.together.wait_for(&dependencies) {
                return self.stop();
            }
        }
        let place = (self.epoch, sequence, at);
        match run_record(self.dir, place, record, &self.seat) {
            Ok(()) => self.has_run(record.header.lsn),
            Err(reason) => {
                self.failure = Some(reason);
                self.stop();
            }
        }
    }
}

/// Runs a record; where that fails, the reason names its place.
///
/// - `place`: epoch, segment, offset.
pub fn run_record(
    dir: &DataDir,
    (epoch, sequence, at): (u64, u64, u64),
    record: &Record<'_>,
    seat: &Seat<'_>,
) -> Result<(), String> {
    let result = seat.lock().replay_of(seat.origin, record);
    result.map_err(|error| {
        let file = dir.name(epoch, seat.origin.shard, sequence);
        format!("{file}, record at byte {at}: {}", error.reason)
    })
}
