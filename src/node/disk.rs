//! A core's disk: performs what its log asks for.
//!
//!     log --write--> ring, direct and durable --completion--> log --> replies leave
//!     log --prepare--> the core's thread for the disk --> log
//!
//! What the ring gives back because the kernel can begin no worker for it, at the limit of tasks, was never begun: that thread does
//! it in the same place, and for a second all that comes after it.
//!
//! Promises  the loop never waits for the disk; what `appendfsync` says is done on time.
//! Not here  what is written and when it counts: `persist/log/`; which of two ways makes it durable: `node/durable_way.rs`; the
//!           thread: `node/disk_thread.rs`.
//! Details that cost time to find
//! - A first write to a block that was only allocated makes the file system write its journal, and while that waits for the disk
//!   the next write to the same file waits in the call that submits it, whatever io_uring asks for: ext4's map of blocks has a
//!   lock of its own. With a snapshot beside it that was 160 ms. Such writes are for the kernel's workers.
//! - A durable write that the disk has ended before the call that begins it returns is made durable in that call, which then waits for
//!   the disk's flush: 1 to 7 of 10,000 writes at pipeline 1, where the disk's interrupts come to the core itself. The kernel's workers
//!   for all of them would cost each write more than that.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::data_dir::DataDir;
use super::disk_thread::DiskThread;
use super::durable_way::{DurableWay, Way};
use super::faults::fault;
use super::ring::Ring;
use super::seldom::Seldom;
use crate::persist::log::{Policy, Request, SEGMENT_BYTES_MIN};
use crate::persist::{BLOCK_BYTES, BlockBuffer, Log};

/// With `always`, a write is begun beside others under way only so long after the last one: where the disk takes less, all that
/// comes meanwhile goes together in the next.
const SPACING_US_MIN: i64 = 150;
/// And only after this part of the time that the disk takes for one.
const SPACING_PARTS: i64 = 4;
/// While a core has requests to run it begins a write only so long after the last one: each costs the core as much as ten requests
/// or more, and what those of the meantime have written goes along.
const PACE_US: i64 = 250;
/// Segments are filled with zeros where writes are smaller than this on average: the first write to a block that was only
/// allocated makes the file system write its journal too, and takes twice as long.
const ZEROED_WRITE_BYTES_MAX: i64 = 64 * 1024;
/// So much of the first one, which serving waits for, or who turns logs on.
const ZEROED_BYTES_AT_START: u64 = 4 << 20;
/// So much of the disk is left to others by every segment but the smallest that a start makes: a server that is killed when the disk
/// is full starts again with one of those for each core.
const SPARE_BYTES: u64 = 8 << 20;
/// A start that finds no room for the smallest of those tries again so often, and pauses for so long.
const TRIES_MAX: u32 = 100;
const TRY_PAUSE: Duration = Duration::from_millis(20);
/// The weight of what is new in averages: one part in so many.
const AVERAGE_PARTS: i64 = 16;
/// Without `always`, so much is written at once: each write costs the core as much as tens of requests.
const WRITE_BYTES: usize = 256 * 1024;
/// And less than that after so long.
const WRITE_DELAY_US: i64 = 10_000;
/// `everysec`.
const SYNC_DELAY_US: i64 = 1_000_000;
/// After a segment could not be made, or not be written to for the second time, the next try waits so long.
const RETRY_US: i64 = 1_000_000;
/// For so long after the kernel could begin no worker it is not asked for one: before it says so it tries for tens of milliseconds.
const NO_WORKER_US: i64 = 1_000_000;
/// So often somebody looks whether the file that is written to still has a name.
const LOOK_US: i64 = 1_000_000;
/// So long until [`Disk::pump`] is to be called again where there is more to write than it may write now.
const ALARM: Duration = Duration::from_micros(WRITE_DELAY_US as u64);
/// Or where the thread has something under way, which wakes nobody when it ends.
const THREAD_ALARM: Duration = Duration::from_millis(1);
/// What the latency monitor calls what replies wait for.
const FSYNC_EVENT: &str = "aof-fsync-always";
/// The largest time that the histogram tells apart.
const LATENCY_US_MAX: u64 = 60_000_000;

type Prepared = (u64, std::io::Result<Segment>);

/// A segment's file that may be written to.
struct Segment {
    file: Arc<File>,
    /// Up to here it has been filled: a write there is over blocks that have been written before.
    zeroed_bytes: u64,
    /// Its file system says how many names it has.
    counts_names: bool,
}

/// A write under way, of one part or several.
#[derive(Clone, Copy)]
struct Write {
    begun_us: i64,
    sequence: u64,
    offset: u64,
    /// It is durable when it ends.
    is_durable: bool,
    written_bytes: usize,
    by: By,
}

/// Who does a write or a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// The ring, with a worker of the kernel's where it cannot do it at once.
    Ring,
    /// A worker in any case.
    Worker,
    /// The core's thread for the disk.
    Thread,
}

/// How soon what has been logged should be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// The core may have more requests to run.
    Busy,
    /// It would sleep otherwise.
    Idle,
    /// The process ends, or somebody waits for all of it; everything is to be durable.
    Final,
}

/// Whom what is to be done is handed to.
pub struct Hands<'h> {
    /// The core's ring.
    pub ring: &'h mut Ring,
    /// And where the kernel has no workers for that.
    pub thread: &'h mut DiskThread,
}

/// Figures since the start or CONFIG RESETSTAT, of one log after the other.
pub struct DiskFigures {
    /// How long the disk took to make something durable, in microseconds.
    pub sync_us: Histogram<u64>,
    /// Syncs that came later than a second after the one before them.
    pub delayed_syncs: u64,
}

impl Default for DiskFigures {
    fn default() -> Self {
        Self {
            sync_us: Histogram::new_with_bounds(1, LATENCY_US_MAX, 2)
                .expect("1 is below the bound, and 2 digits can be had"),
            delayed_syncs: 0,
        }
    }
}

/// See the module.
pub struct Disk {
    dir: Arc<DataDir>,
    epoch: u64,
    core: u16,
    segments: BTreeMap<u64, Segment>,
    prepared: Receiver<Prepared>,
    sender: Sender<Prepared>,
    is_preparing: bool,
    retry_us: i64,
    /// When there was no room for a segment, which then was made smaller.
    no_room_us: i64,
    /// Writes that have failed since one did not.
    failed_writes: u32,
    /// Lines about segments that cannot be made, and about writes that fail: they would come with every try.
    segment_lines: Seldom,
    write_lines: Seldom,
    /// Why a segment could not be made, the last time.
    prepare_error: Option<String>,
    last_write_us: i64,
    /// How writes become durable with `always`, and what the disk takes for that.
    way: DurableWay,
    /// Bytes of one on average.
    write_bytes: i64,
    /// Writes under way, by their names.
    writes: BTreeMap<u64, Write>,
    /// Those of them that are to be gone on with: a part is written, or the ring gave them back.
    unwritten: Vec<(u64, BlockBuffer)>,
    /// When the sync under way began, and who does it.
    syncing: Option<(i64, By)>,
    /// The segment of one that the ring gave back.
    unsynced: Option<u64>,
    /// The kernel could begin no worker, and has begun none since.
    lacks_workers: bool,
    /// Until then the thread does all there is.
    thread_until_us: i64,
    /// The last segment that was found to have no name any more while it was written to. The thread has it while it looks.
    nameless: Arc<AtomicU64>,
    looked_us: i64,
    last_sync_us: i64,
    /// What had been written when the last sync of `everysec` was due.
    round_lsn: u64,
    /// What a write took that was not durable when it ended, the last one.
    plain_write_us: i64,
    /// What INFO has of it.
    pub figures: DiskFigures,
    /// An alarm is set.
    pub has_alarm: bool,
}

impl Disk {
    /// For the log of `core`.
    pub fn new(dir: Arc<DataDir>, epoch: u64, core: u16, now_us: i64) -> Self {
        let (sender, prepared) = channel();
        Self {
            dir,
            epoch,
            core,
            segments: BTreeMap::new(),
            prepared,
            sender,
            is_preparing: false,
            retry_us: 0,
            no_room_us: 0,
            failed_writes: 0,
            segment_lines: Seldom::default(),
            write_lines: Seldom::default(),
            prepare_error: None,
            last_write_us: now_us - WRITE_DELAY_US,
            way: DurableWay::default(),
            write_bytes: 0,
            writes: BTreeMap::new(),
            unwritten: Vec::new(),
            syncing: None,
            unsynced: None,
            lacks_workers: false,
            thread_until_us: 0,
            nameless: Arc::default(),
            looked_us: now_us,
            last_sync_us: now_us,
            round_lsn: 0,
            plain_write_us: 0,
            figures: DiskFigures::default(),
            has_alarm: false,
        }
    }

    /// Takes the place of the disk of the log before: what has been learnt there is not forgotten.
    ///
    /// - `log`: the one that goes on.
    pub fn go_on_from(&mut self, before: Self, log: &mut Log) {
        if let Some(sequence) = before.unsynced {
            // Nobody begins it again, and this log waits for its end.
            log.synced(sequence, Err(libc::ECANCELED));
        }
        self.way = before.way;
        self.write_bytes = before.write_bytes;
        self.figures = before.figures;
        self.has_alarm = before.has_alarm;
        self.lacks_workers = before.lacks_workers;
        self.thread_until_us = before.thread_until_us;
    }

    /// CONFIG RESETSTAT.
    pub fn reset_figures(&mut self) {
        self.figures = DiskFigures::default();
    }

    /// Makes the first segment, waiting for it: nothing is served yet. Where there is no room for all of it, it is as small as
    /// need be: what is there can be read then, and writes are taken for as long as there is room.
    pub fn begin(&mut self, log: &mut Log) -> Result<(), String> {
        let mut tries_left = TRIES_MAX;
        while let Some(Request::Prepare {
            sequence,
            bytes,
            block,
        }) = log.next_prepare()
        {
            let place = (self.epoch, self.core, sequence);
            let zeroed_bytes = self.zeroed_bytes(log.policy(), sequence, bytes);
            let spare_bytes = match bytes {
                ..=SEGMENT_BYTES_MIN => 0,
                _ => SPARE_BYTES,
            };
            match make(&self.dir, place, bytes, (zeroed_bytes, spare_bytes), &block) {
                Ok(segment) => {
                    self.segments.insert(sequence, segment);
                    log.prepared(sequence, Ok(()));
                    return Ok(());
                }
                Err(error) if has_no_room(&error) && log.prepare_smaller(sequence) => {}
                // What is not needed any more may be on its way out.
                Err(error) if has_no_room(&error) && tries_left > 0 => {
                    tries_left -= 1;
                    log.prepared(sequence, Err(errno(&error)));
                    std::thread::sleep(TRY_PAUSE);
                }
                Err(error) => {
                    log.prepared(sequence, Err(errno(&error)));
                    let place = self.dir.place();
                    return Err(format!("cannot make a log in {}: {error}", place.display()));
                }
            }
        }
        Ok(())
    }

    /// How much of a segment is filled beforehand.
    fn zeroed_bytes(&self, policy: Policy, sequence: u64, bytes: u64) -> u64 {
        if policy != Policy::Always || self.write_bytes >= ZEROED_WRITE_BYTES_MAX {
            return 0;
        }
        match sequence {
            1 => bytes.min(ZEROED_BYTES_AT_START),
            _ => bytes,
        }
    }

    /// Hands the log's wishes to the kernel; when to call again, if nothing else happens.
    ///
    /// - `haste`: how soon what there is should be written.
    pub fn pump(
        &mut self,
        log: &mut Log,
        hands: &mut Hands<'_>,
        now_us: i64,
        haste: Haste,
    ) -> Option<Duration> {
        if self.is_preparing {
            self.take_prepared(log, now_us);
        }
        if !self.is_preparing
            && now_us >= self.retry_us
            && let Some(Request::Prepare {
                sequence,
                bytes,
                block,
            }) = log.next_prepare()
        {
            let zeroed_bytes = self.zeroed_bytes(log.policy(), sequence, bytes);
            self.prepare(hands.thread, sequence, bytes, zeroed_bytes, block);
        }
        if now_us - self.looked_us >= LOOK_US {
            self.looked_us = now_us;
            self.look_for_name(log, hands.thread);
        }
        for (id, buffer) in std::mem::take(&mut self.unwritten) {
            self.write(log, hands, (id, buffer), now_us);
        }
        let is_always = log.policy() == Policy::Always;
        let is_final = haste == Haste::Final;
        log.set_syncs_after(self.way.now() == Way::InTwo);
        let spacing_us = (self.way.average_us() / SPACING_PARTS).max(SPACING_US_MIN);
        let pace_us = if haste == Haste::Idle { 0 } else { PACE_US };
        let is_due = |disk: &Self, log: &Log| {
            let since_us = now_us - disk.last_write_us;
            let wait_us = if log.is_busy() {
                spacing_us.max(pace_us)
            } else {
                pace_us
            };
            is_always && since_us >= wait_us
                || is_final
                || log.pending_bytes() >= WRITE_BYTES
                || since_us >= WRITE_DELAY_US
        };
        while log.pending_bytes() > 0
            && is_due(self, log)
            && let Some(Request::Write {
                id,
                sequence,
                offset,
                buffer,
                is_durable,
            }) = log.next_write()
        {
            self.last_write_us = now_us;
            if is_always {
                self.write_bytes += (buffer.len() as i64 - self.write_bytes) / AVERAGE_PARTS;
            }
            let write = Write {
                begun_us: now_us,
                sequence,
                offset,
                is_durable,
                written_bytes: 0,
                by: By::Ring,
            };
            self.writes.insert(id, write);
            self.write(log, hands, (id, buffer), now_us);
        }
        match self.unsynced.take() {
            Some(sequence) => self.begin_sync(log, hands, sequence, now_us),
            None => self.sync(log, hands, now_us, is_final),
        }
        if hands.thread.is_busy() {
            return Some(THREAD_ALARM);
        }
        // Nobody else tells that a segment has been made.
        let has_news = self.is_preparing || !is_always && !log.is_busy();
        (log.pending_bytes() > 0 && has_news).then_some(ALARM)
    }

    /// Has the thread look whether the segment that is written to has a name, and hears what it saw the last time. Where somebody has
    /// removed it, no start will find what clients are told is safe.
    fn look_for_name(&mut self, log: &mut Log, thread: &mut DiskThread) {
        let sequence = log.sequence();
        let Some(segment) = self.segments.get(&sequence).filter(|it| it.counts_names) else {
            return;
        };
        // One that was left meanwhile may not be needed any more.
        if self.nameless.load(Ordering::Acquire) == sequence && !log.is_broken() {
            tracing::error!(
                core = self.core,
                dir = %self.dir.place().display(),
                "the file that the append-only log is written to was removed: a new log begins with all keys there are"
            );
            return log.lose(libc::ENOENT);
        }
        // One look at a time: the disk may not answer.
        if Arc::strong_count(&self.nameless) > 1 {
            return;
        }
        let (file, nameless) = (segment.file.clone(), self.nameless.clone());
        // Without a thread nobody looks until there is one.
        let _ = thread.run(move || {
            if names_count(&file) == Some(0) {
                nameless.store(sequence, Ordering::Release);
            }
        });
    }

    /// Begins a write, or goes on with one.
    fn write(
        &mut self,
        log: &mut Log,
        hands: &mut Hands<'_>,
        (id, buffer): (u64, BlockBuffer),
        now_us: i64,
    ) {
        let write = self.writes.get_mut(&id);
        let segment = (write.as_ref()).and_then(|write| self.segments.get(&write.sequence));
        let (Some(write), Some(segment)) = (write, segment) else {
            debug_assert!(false, "a segment is open until all of it is durable");
            self.writes.remove(&id);
            return log.wrote(id, buffer, Err(libc::EBADF));
        };
        let from = (write.offset, write.written_bytes);
        if now_us < self.thread_until_us {
            write.by = By::Thread;
            let is_durable = write.is_durable;
            let begun = (hands.thread).write(&segment.file, (id, buffer), from, is_durable);
            if let Err(buffer) = begun {
                self.end_write(log, (id, buffer), Err(libc::ECANCELED), now_us);
            }
            return;
        }
        let is_filled = write.offset + buffer.len() as u64 <= segment.zeroed_bytes;
        write.by = match is_filled && write.written_bytes == 0 {
            true => By::Ring,
            false => By::Worker,
        };
        if fault("worker").is_some() {
            hands.ring.cancel_next();
        }
        let may_block = write.by == By::Worker;
        let file = segment.file.as_fd();
        (hands.ring).write_log(file, id, buffer, from, write.is_durable, may_block);
    }

    fn sync(&mut self, log: &mut Log, hands: &mut Hands<'_>, now_us: i64, is_final: bool) {
        if !log.has_unsynced() {
            self.last_sync_us = self.last_sync_us.max(now_us - SYNC_DELAY_US);
            return;
        }
        let since_us = now_us - self.last_sync_us;
        let is_round = since_us >= SYNC_DELAY_US;
        let is_due = match log.policy() {
            Policy::Always => true,
            // Each segment takes a sync of its own: all that is written when the second is over goes on at once.
            Policy::EverySecond => is_round || !log.is_synced_to(self.round_lsn),
            // The kernel decides, but nothing else gives up the files of segments that have been left.
            Policy::Never => log.owes_sync() || log.has_unsynced_behind(),
        };
        if !is_due && !is_final {
            return;
        }
        let Some(Request::Sync { sequence }) = log.next_sync() else {
            return;
        };
        if is_round {
            self.figures.delayed_syncs += u64::from(since_us > 2 * SYNC_DELAY_US);
            self.last_sync_us = now_us;
            self.round_lsn = log.written_lsn();
        }
        self.begin_sync(log, hands, sequence, now_us);
    }

    fn begin_sync(&mut self, log: &mut Log, hands: &mut Hands<'_>, sequence: u64, now_us: i64) {
        let Some(segment) = self.segments.get(&sequence) else {
            debug_assert!(false, "a segment is open until all of it is durable");
            return log.synced(sequence, Err(libc::EBADF));
        };
        let begun_us = self.syncing.map_or(now_us, |(begun_us, _)| begun_us);
        if now_us < self.thread_until_us {
            self.syncing = Some((begun_us, By::Thread));
            if hands.thread.sync(&segment.file, sequence).is_err() {
                self.end_sync(log, sequence, Err(libc::ECANCELED));
            }
            return;
        }
        self.syncing = Some((begun_us, By::Worker));
        if fault("worker").is_some() {
            hands.ring.cancel_next();
        }
        (hands.ring).sync_log(segment.file.as_fd(), sequence);
    }

    /// Why a segment could not be made, once.
    pub fn take_prepare_error(&mut self) -> Option<String> {
        self.prepare_error.take()
    }

    /// Removes segments below `first`; to be run where it may block.
    pub fn drop_before(&mut self, log: &Log, first: u64) -> impl FnOnce() + Send + use<> {
        self.close(log);
        let (dir, epoch, core) = (self.dir.clone(), self.epoch, self.core);
        move || dir.keep_segments(epoch, core, (first, u64::MAX))
    }

    /// A write, or a part of one, has ended; returns what the latency monitor calls it, and how long it took in microseconds.
    pub fn wrote(
        &mut self,
        log: &mut Log,
        (id, buffer): (u64, BlockBuffer),
        result: i32,
        now_us: i64,
    ) -> Option<(&'static str, i64)> {
        // One of the log before is nobody's any more.
        let write = self.writes.get_mut(&id)?;
        let by = write.by;
        let result = fault("write").map_or(result, |errno| -errno);
        if result == -libc::ECANCELED && by != By::Thread {
            self.unwritten.push((id, buffer));
            self.worker_is_missing(now_us);
            return None;
        }
        let part_bytes = usize::try_from(result).unwrap_or(0);
        write.written_bytes += part_bytes;
        let written_bytes = write.written_bytes;
        if by == By::Worker && part_bytes > 0 {
            self.worker_has_come();
        }
        let result = match result {
            0.. if written_bytes == buffer.len() => Ok(()),
            // The kernel takes no more at once, or less than all of it: then the next part says why.
            1.. if written_bytes.is_multiple_of(BLOCK_BYTES) => {
                self.unwritten.push((id, buffer));
                return None;
            }
            0.. => Err(libc::ENOSPC),
            errno => Err(-errno),
        };
        self.end_write(log, (id, buffer), result, now_us)
    }

    /// All of a write has ended, or it has failed.
    fn end_write(
        &mut self,
        log: &mut Log,
        (id, buffer): (u64, BlockBuffer),
        result: Result<(), i32>,
        now_us: i64,
    ) -> Option<(&'static str, i64)> {
        let write = self.writes.remove(&id)?;
        let took_us = self.took(write.begun_us, write.is_durable, now_us);
        match (write.by, write.is_durable) {
            // What the thread takes says nothing of the ways that there are without it.
            (By::Thread, _) => {}
            (_, true) => self.learn(Way::InOne, took_us, now_us),
            (_, false) => self.plain_write_us = took_us,
        }
        match result {
            Ok(()) => self.failed_writes = 0,
            Err(errno) => {
                self.failed_writes += 1;
                if self.failed_writes > 1 {
                    self.retry_us = now_us + RETRY_US;
                }
                if self.write_lines.may_tell(now_us) {
                    let error = std::io::Error::from_raw_os_error(errno);
                    tracing::error!(
                        core = self.core,
                        %error,
                        "a write to the append-only log failed"
                    );
                }
            }
        }
        log.wrote(id, buffer, result);
        self.close_some(log);
        Some(match write.is_durable {
            true => (FSYNC_EVENT, took_us),
            false => ("aof-write", took_us),
        })
    }

    /// A sync has ended; returns what [`Disk::wrote`] does, where replies wait for syncs.
    pub fn synced(
        &mut self,
        log: &mut Log,
        sequence: u64,
        result: i32,
        now_us: i64,
    ) -> Option<(&'static str, i64)> {
        let by = self.syncing.map(|(_, by)| by);
        if result == -libc::ECANCELED && by == Some(By::Worker) {
            self.unsynced = Some(sequence);
            self.worker_is_missing(now_us);
            return None;
        }
        if result >= 0 && by == Some(By::Worker) {
            self.worker_has_come();
        }
        // One of the log before takes no time of this one's.
        let took_us = self
            .syncing
            .map(|(begun_us, _)| self.took(begun_us, true, now_us));
        let took_us = took_us.filter(|_| log.policy() == Policy::Always);
        if let Some(took_us) = took_us
            && by == Some(By::Worker)
        {
            self.learn(Way::InTwo, self.plain_write_us + took_us, now_us);
        }
        let result = fault("sync").map_or(result, |errno| -errno);
        self.end_sync(
            log,
            sequence,
            if result < 0 { Err(-result) } else { Ok(()) },
        );
        took_us.map(|took_us| (FSYNC_EVENT, took_us))
    }

    fn end_sync(&mut self, log: &mut Log, sequence: u64, result: Result<(), i32>) {
        self.syncing = None;
        if let Err(errno) = result {
            let error = std::io::Error::from_raw_os_error(errno);
            tracing::error!(
                core = self.core,
                %error,
                "syncing the append-only log failed: what it was to keep may be lost"
            );
        }
        log.synced(sequence, result);
        self.close_some(log);
    }

    /// The ring has given something back.
    fn worker_is_missing(&mut self, now_us: i64) {
        self.thread_until_us = now_us + NO_WORKER_US;
        if !std::mem::replace(&mut self.lacks_workers, true) {
            tracing::warn!(
                core = self.core,
                "the kernel can begin no worker to write the append-only log (RLIMIT_NPROC, systemd TasksMax=, a container's limit of \
                 pids): until it can, a thread writes it, one write after the other"
            );
        }
    }

    fn worker_has_come(&mut self) {
        if std::mem::replace(&mut self.lacks_workers, false) {
            tracing::info!(
                core = self.core,
                "the kernel begins workers to write the append-only log again"
            );
        }
    }

    /// How long something took; noted where it is durable now.
    fn took(&mut self, begun_us: i64, is_durable: bool, now_us: i64) -> i64 {
        let took_us = (now_us - begun_us).max(1);
        if is_durable {
            self.figures.sync_us.saturating_record(took_us as u64);
        }
        took_us
    }

    fn learn(&mut self, way: Way, took_us: i64, now_us: i64) {
        if let Some(way) = self.way.ended(way, took_us, now_us) {
            let (core, average_us) = (self.core, self.way.average_us());
            match way {
                Way::InOne => tracing::info!(
                    core,
                    average_us,
                    "writes of the log are durable by themselves again"
                ),
                Way::InTwo => tracing::info!(
                    core,
                    average_us,
                    "writes of the log are made durable by a sync after them: by themselves they took much longer, \
                     as they do where another process keeps the processor busy that takes the disk's interrupts"
                ),
            }
        }
    }

    /// Closes segments that nothing more is to be done with, where there are any beside the one that is written and the next.
    fn close_some(&mut self, log: &Log) {
        if self.segments.len() > 2 {
            self.close(log);
        }
    }

    fn close(&mut self, log: &Log) {
        let oldest = log.oldest_sequence();
        self.segments.retain(|&sequence, _| sequence >= oldest);
    }

    fn prepare(
        &mut self,
        thread: &mut DiskThread,
        sequence: u64,
        bytes: u64,
        zeroed_bytes: u64,
        block: BlockBuffer,
    ) {
        let (dir, sender) = (self.dir.clone(), self.sender.clone());
        let place = (self.epoch, self.core, sequence);
        let run = move || {
            let result = make(&dir, place, bytes, (zeroed_bytes, SPARE_BYTES), &block);
            // The core may have ended meanwhile: then nobody waits.
            let _ = sender.send((sequence, result));
        };
        self.is_preparing = true;
        if let Err(error) = thread.run(run) {
            let _ = self.sender.send((sequence, Err(error)));
        }
    }

    fn take_prepared(&mut self, log: &mut Log, now_us: i64) {
        let Ok((sequence, result)) = self.prepared.try_recv() else {
            return;
        };
        self.is_preparing = false;
        match result {
            Ok(segment) => {
                self.segments.insert(sequence, segment);
                log.prepared(sequence, Ok(()));
                if now_us - self.no_room_us > RETRY_US {
                    log.prepare_larger();
                }
            }
            Err(error) if has_no_room(&error) && log.prepare_smaller(sequence) => {
                self.no_room_us = now_us;
            }
            Err(error) => {
                if self.segment_lines.may_tell(now_us) {
                    tracing::error!(core = self.core, %error, "cannot make a segment of the append-only log");
                }
                self.retry_us = now_us + RETRY_US;
                self.prepare_error = Some(error.to_string());
                log.prepared(sequence, Err(errno(&error)));
            }
        }
    }
}

fn errno(error: &std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// Whether a smaller file might be had: the disk is full, or the file would be larger than RLIMIT_FSIZE lets it be.
pub(super) fn has_no_room(error: &std::io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG)
    )
}

fn make(
    dir: &DataDir,
    place: (u64, u16, u64),
    bytes: u64,
    (zeroed_bytes, spare_bytes): (u64, u64),
    block: &BlockBuffer,
) -> std::io::Result<Segment> {
    let block = block.as_slice();
    let file = dir.prepare(place, bytes, zeroed_bytes, spare_bytes, block)?;
    let counts_names = names_count(&file).is_some_and(|count| count > 0);
    Ok(Segment {
        file: Arc::new(file),
        zeroed_bytes,
        counts_names,
    })
}

fn names_count(file: &File) -> Option<u64> {
    file.metadata().ok().map(|of| of.nlink())
}
