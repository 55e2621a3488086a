//! Durability: a core's log, its disk, and the replies between them.
//!
//!     turn: requests -> records -> writes to the ring        completion -> replies leave, here and on other cores
//!
//! Promises  a reply that waits leaves in the turn that learns that it may; while a log cannot be written, writes are refused
//!           on every core and reads are served.
//! Not here  when a disk is asked for what: `node/disk.rs`. Which replies wait: `shard/effects.rs`.

use std::sync::atomic::Ordering;

use super::core::Core;
use super::disk::{Hands, Haste};
use super::disk_thread::End;
use super::faults::fault;
use super::info::LogFigures;
use super::mesh::GATE_LOG_BEHIND;
use super::message::Message;
use super::ring::Ring;
use crate::commands::CommandError;
use crate::persist::BlockBuffer;
use crate::persist::log::Policy;

/// The end waits so long for the mark behind a log's last record.
const MARK_MS_MAX: i64 = 1000;
/// With so much to be written to the disk writes wait.
const BEHIND_BYTES: usize = 64 << 20;

impl Core {
    /// Puts `appendfsync` in force.
    pub(super) fn apply_log_options(&mut self) {
        let policy = self.log_policy();
        self.holds_replies = false;
        // The cut may have been in this turn: what it began is what ends now.
        self.take_begun_disk();
        if !self.options.appendonly {
            self.shard.set_next_log(None);
            self.next_disk = None;
            self.is_log_ending = self.disk.is_some();
        }
        if let Some(log) = self.shard.log_mut() {
            if log.policy() != policy {
                log.set_policy(policy);
            }
            self.holds_replies = policy == Policy::Always;
        }
        if let Some(log) = self.shard.next_log_mut() {
            if log.policy() != policy {
                log.set_policy(policy);
            }
            // What is written after the cut waits, in the turn of the cut as well.
            self.holds_replies = policy == Policy::Always;
        }
    }

    /// What `appendfsync` says.
    pub(super) fn log_policy(&self) -> Policy {
        match self.options.appendfsync {
            "always" => Policy::Always,
            "no" => Policy::Never,
            _ => Policy::EverySecond,
        }
    }

    /// Whether there is a log on this core.
    pub(super) fn has_log(&self) -> bool {
        self.disk.is_some()
    }

    /// Whether a write of the log is under way that replies wait for.
    #[inline]
    pub(super) fn awaits_log(&self) -> bool {
        self.holds_replies && self.shard.log().is_some_and(|log| log.is_busy())
    }

    /// Whether something has been logged that replies wait for and the disk has not been told of.
    #[inline]
    pub(super) fn has_more_for_disk(&self) -> bool {
        self.holds_replies && self.shard.log().is_some_and(|log| log.pending_bytes() > 0)
    }

    /// Hands what has been logged to the kernel.
    pub(super) fn pump_disk(&mut self, ring: &mut Ring, haste: Haste) {
        if !self.stalled_writes.is_empty() && fault("stall").is_none() {
            for (id, buffer, result) in std::mem::take(&mut self.stalled_writes) {
                self.log_written(id, buffer, result);
            }
        }
        if self.disk_thread.is_busy() {
            self.take_ends_of_thread();
        }
        if self.next_disk.is_some() || self.preparation.is_some() {
            self.pump_next_disk(ring);
        }
        let is_final = self.stopping || self.is_log_ending || !self.waits_for_sync.is_empty();
        if is_final {
            self.shard.tell_log_size();
        }
        let (Some(disk), Some(log)) = (&mut self.disk, self.shard.log_mut()) else {
            if !self.waits_for_sync.is_empty() {
                self.tell_synced();
            }
            return;
        };
        let haste = if is_final { Haste::Final } else { haste };
        let thread = &mut self.disk_thread;
        let mut hands = Hands { ring, thread };
        let come_again = disk.pump(log, &mut hands, self.disk_us, haste);
        let flags = &self.mesh.board().cores[usize::from(self.id)];
        let bytes = log.bytes_since_cut();
        flags.log_bytes.store(bytes, Ordering::Relaxed);
        flags.log_lsn.store(log.lsn(), Ordering::Release);
        flags
            .log_writes
            .set_awaited(self.holds_replies && log.is_busy());
        let pending_bytes = log.pending_bytes();
        if let Some(wait) = come_again.filter(|_| !disk.has_alarm) {
            disk.has_alarm = true;
            ring.set_log_alarm(wait);
        }
        self.note_log_failure();
        self.note_log_behind(pending_bytes);
        if is_final {
            if !self.waits_for_sync.is_empty() {
                self.tell_synced();
            }
            // What is under way is of files that would be closed, and its end would be taken for one of the next log's.
            let is_busy = self.shard.log().is_some_and(|log| log.is_busy());
            if self.is_log_ending && self.is_log_clean() && !is_busy {
                self.end_log();
            }
        }
    }

    /// Tells how much the log has that is in no base.
    pub(super) fn tell_log_bytes(&self) {
        let bytes = self.shard.log().map_or(0, |log| log.bytes_since_cut());
        let flags = &self.mesh.board().cores[usize::from(self.id)];
        flags.log_bytes.store(bytes, Ordering::Relaxed);
    }

    /// What goes on beside the log: one that is to begin, and segments that are waited for.
    #[cold]
    fn pump_next_disk(&mut self, ring: &mut Ring) {
        if self.take_begun_disk() {
            self.apply_log_options();
        }
        if let (Some(disk), Some(log)) = (&mut self.next_disk, self.shard.next_log_mut()) {
            let thread = &mut self.disk_thread;
            disk.pump(log, &mut Hands { ring, thread }, self.disk_us, Haste::Busy);
        }
        self.go_on_preparing();
    }

    /// Where the cut has begun the next log, its disk takes the place of the one before; whether it did now.
    fn take_begun_disk(&mut self) -> bool {
        if self.next_disk.is_none() || self.shard.next_log_mut().is_some() {
            return false;
        }
        let before = std::mem::replace(&mut self.disk, self.next_disk.take());
        if let (Some(disk), Some(before), Some(log)) =
            (&mut self.disk, before, self.shard.log_mut())
        {
            disk.go_on_from(before, log);
        } else if let (Some(disk), Some(figures)) = (&mut self.disk, self.ended_figures.take()) {
            disk.figures = figures;
        }
        let flags = &self.mesh.board().cores[usize::from(self.id)];
        let lsn = self.shard.log().map_or(0, |log| log.synced_lsn());
        flags.synced_lsn.store(lsn, Ordering::SeqCst);
        true
    }

    /// `appendonly no`: all of it is durable, or never will be.
    fn end_log(&mut self) {
        self.is_log_ending = false;
        self.holds_replies = false;
        if let Some(log) = self.shard.log() {
            self.last_lsn = log.lsn();
            self.ended_epoch = log.epoch();
        }
        self.shard.set_log(None);
        self.ended_figures = self.disk.take().map(|disk| disk.figures);
        self.note_log_failure();
        self.note_log_behind(0);
        let flags = &self.mesh.board().cores[usize::from(self.id)];
        flags.log_bytes.store(0, Ordering::Relaxed);
        flags.log_writes.set_awaited(false);
        // Nobody waits for it any more.
        flags.synced_lsn.store(u64::MAX, Ordering::SeqCst);
        self.look_at_held();
        for core in 0..self.mesh.cores_count() {
            if core != usize::from(self.id) {
                self.mesh.send(core, Message::Durable);
            }
        }
    }

    /// Whether writes wait until the disk has caught up: what a log holds back is memory. While it fails they are refused.
    #[inline]
    pub(super) fn keeps_writes_waiting(&self) -> bool {
        self.gate & GATE_LOG_BEHIND != 0 && self.log_errno == 0
    }

    /// Tells all cores when the log falls far behind, and when it has caught up by half.
    fn note_log_behind(&mut self, pending_bytes: usize) {
        let count = &self.mesh.board().logs_behind_count;
        if !self.is_log_behind && pending_bytes > BEHIND_BYTES {
            self.is_log_behind = true;
            count.fetch_add(1, Ordering::Relaxed);
        } else if self.is_log_behind && pending_bytes < BEHIND_BYTES / 2 {
            self.is_log_behind = false;
            if count.fetch_sub(1, Ordering::Relaxed) == 1 {
                self.gate &= !GATE_LOG_BEHIND;
            }
        }
    }

    /// The log's alarm has come: the turn does the rest.
    pub(super) fn log_alarm_came(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.has_alarm = false;
        }
    }

    /// What the thread has done counts as what the ring has. It comes late in a turn, which has looked at WAITAOF before.
    #[cold]
    fn take_ends_of_thread(&mut self) {
        while let Some(end) = self.disk_thread.take_end() {
            match end {
                End::Written(id, buffer, result) => self.log_written(id, buffer, result),
                End::Synced(sequence, result) => self.log_synced(sequence, result),
            }
        }
        if !self.waits_for_disk.is_empty() {
            self.look_at_waits_for_disk();
        }
    }

    /// A write of the log has ended.
    pub(super) fn log_written(&mut self, id: u64, buffer: BlockBuffer, result: i32) {
        if fault("stall").is_some() {
            return self.stalled_writes.push((id, buffer, result));
        }
        if let (Some(disk), Some(log)) = (&mut self.disk, self.shard.log_mut()) {
            let event = disk.wrote(log, (id, buffer), result, self.disk_us);
            let flags = &self.mesh.board().cores[usize::from(self.id)];
            flags.log_writes.count_end();
            self.note_disk_event(event);
        }
        self.log_got_on();
    }

    /// A sync of the log has ended.
    pub(super) fn log_synced(&mut self, sequence: u64, result: i32) {
        if let (Some(disk), Some(log)) = (&mut self.disk, self.shard.log_mut()) {
            let event = disk.synced(log, sequence, result, self.disk_us);
            self.note_disk_event(event);
        }
        self.log_got_on();
    }

    fn note_disk_event(&mut self, event: Option<(&'static str, i64)>) {
        if let Some((event, took_us)) = event {
            self.note_event(event, took_us.unsigned_abs() * 1000);
        }
    }

    /// Lets replies go, here and elsewhere, that waited for what is durable by now.
    fn log_got_on(&mut self) {
        let Some(log) = self.shard.log() else {
            return;
        };
        let synced_lsn = log.synced_lsn();
        let board = self.mesh.board().clone();
        let flags = &board.cores[usize::from(self.id)];
        if flags.synced_lsn.swap(synced_lsn, Ordering::SeqCst) == synced_lsn {
            return;
        }
        self.look_at_held();
        for (core, flags) in board.cores.iter().enumerate() {
            // Pairs with the store in `await_disks`: either the peer sees the record durable, or it is told.
            if core != usize::from(self.id) && flags.awaits_disks.load(Ordering::SeqCst) {
                self.mesh.send(core, Message::Durable);
            }
        }
    }

    /// The base that the log goes on from is in force: what the log of before could not make durable is.
    pub(super) fn base_is_in_force(&mut self) {
        if let Some(log) = self.shard.log_mut() {
            log.base_is_in_force();
        }
        self.log_got_on();
        self.note_log_failure();
    }

    /// Looks again at connections whose oldest replies may wait no more.
    ///
    /// - Cost: some nanoseconds for each that waits, whatever for: a place on the list says for which record.
    pub(super) fn look_at_held(&mut self) {
        let board = self.mesh.board();
        let synced_lsn = |core: u16| {
            let flags = &board.cores[usize::from(core)];
            flags.synced_lsn.load(Ordering::SeqCst)
        };
        self.shard.prune_holds(synced_lsn);
        // Those of other cores are to be forgotten when they are durable as well, and WAITAOF is to hear of every one that gets on.
        let mut awaits_others = self.shard.has_holds() || !self.waits_for_disk.is_empty();
        let (connections, dirty, id) = (&mut self.connections, &mut self.dirty, self.id);
        self.held.retain(|&(record, token)| {
            if record.lsn > synced_lsn(record.core) {
                awaits_others |= record.core != id;
                return true;
            }
            if let Some(connection) = connections.get_mut(token) {
                if let Some(holding) = &mut connection.holding {
                    holding.is_listed = false;
                }
                if !std::mem::replace(&mut connection.dirty, true) {
                    dirty.push(token);
                }
            }
            false
        });
        if !awaits_others && self.mesh.cores_count() > 1 {
            // Whoever waits for another log from now on says so again.
            let flags = &board.cores[usize::from(self.id)];
            flags.awaits_disks.store(false, Ordering::SeqCst);
        }
        self.release_withheld();
    }

    /// Has other cores tell when their logs get on; whether they did not so far.
    pub(super) fn await_disks(&self) -> bool {
        let flags = &self.mesh.board().cores[usize::from(self.id)];
        !flags.awaits_disks.swap(true, Ordering::SeqCst)
    }

    /// Whether nothing of the log is missing on disk, or will ever be there.
    pub(super) fn is_log_clean(&self) -> bool {
        self.shard
            .log()
            .is_none_or(|log| log.is_written() || log.is_broken() || log.failure().is_some())
    }

    /// The process ends: whether the log needs no more time. What clients were told is to be in it, so it has longer than they have,
    /// and what it lacks after that is said.
    pub(super) fn may_log_end(&mut self) -> bool {
        let Some(log) = self.shard.log_mut() else {
            return true;
        };
        if log.has_all_records() {
            if log.close() {
                self.closed_log_ms = self.now_ms;
            }
            // The mark tells a check more; what clients were told is safe without it.
            let is_marked = log.is_written() && log.pending_bytes() == 0 && !log.is_busy();
            let is_over = self.now_ms - self.closed_log_ms >= MARK_MS_MAX;
            return is_marked || is_over || log.failure().is_some();
        }
        let (ending, is_failing) = (&self.ending, log.failure().is_some());
        let is_over = log.is_broken() || ending.is_long_overdue();
        if log.policy() == Policy::Always && !log.has_told_beyond() {
            // Of what is missing nobody was told.
            return is_over || is_failing || ending.is_overdue();
        }
        if is_failing && ending.is_forced.load(Ordering::SeqCst) {
            return true;
        }
        if !(is_over || is_failing && ending.is_overdue()) {
            return false;
        }
        if !ending.has_lost.swap(true, Ordering::SeqCst) {
            tracing::error!(
                "An append-only log could not be written to its end. Exit anyway: what was written last is lost."
            );
        }
        true
    }

    /// What INFO shows of the log.
    pub(super) fn log_figures(&self) -> Option<LogFigures> {
        let (disk, log) = (self.disk.as_ref()?, self.shard.log()?);
        let figures = &disk.figures;
        let at = |quantile: f64| figures.sync_us.value_at_quantile(quantile);
        Some(LogFigures {
            bytes: log.bytes_since_cut(),
            buffered: log.pending_bytes() as u64,
            is_failing: self.is_log_failing || log.failure().is_some(),
            is_syncing: log.is_busy(),
            delayed_syncs: figures.delayed_syncs,
            sync_us: [at(0.5), at(0.99), at(0.999), figures.sync_us.max()],
            syncs: figures.sync_us.len(),
        })
    }

    fn note_log_failure(&mut self) {
        let log = self.shard.log();
        let errno = log.and_then(|log| log.failure());
        if let Some(log) = log.filter(|_| errno.is_some()) {
            self.failed_lsn = log.lsn();
        }
        // A disk that takes a fresh segment may still be full: it is over when what could not be written is.
        let is_over = log.is_none_or(|log| {
            log.written_lsn() >= self.failed_lsn || log.pending_bytes() == 0 && !log.is_busy()
        });
        let is_failing = errno.is_some() || self.is_log_failing && !is_over;
        let is_ahead = is_failing && log.is_some_and(|log| log.has_told_beyond());
        let board = self.mesh.board();
        if let Some(log) = log.filter(|log| log.is_broken()) {
            board.broken_epoch.fetch_max(log.epoch(), Ordering::Relaxed);
        }
        if let Some(errno) = errno {
            board.log_errno.store(errno, Ordering::Relaxed);
        }
        match (self.is_log_failing, is_failing) {
            (false, true) => board.failing_logs_count.fetch_add(1, Ordering::Relaxed),
            (true, false) => {
                tracing::warn!("AOF write error looks solved, rondo can write again.");
                board.failing_logs_count.fetch_sub(1, Ordering::Relaxed)
            }
            _ => 0,
        };
        self.is_log_failing = is_failing;
        match (self.is_ahead_of_log, is_ahead) {
            (false, true) => board.logs_left_behind_count.fetch_add(1, Ordering::Relaxed),
            (true, false) => board.logs_left_behind_count.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
        self.is_ahead_of_log = is_ahead;
        self.log_errno = match board.failing_logs_count.load(Ordering::Relaxed) {
            0 => 0,
            _ => board.log_errno.load(Ordering::Relaxed),
        };
    }

    /// Why a write is refused.
    #[cold]
    pub(super) fn refusal_of_write(&self) -> CommandError {
        let error = std::io::Error::from_raw_os_error(self.log_errno).to_string();
        let reason = error.split(" (os error").next().unwrap_or_default();
        format!("MISCONF Errors writing to the AOF file: {reason}").into()
    }
}
