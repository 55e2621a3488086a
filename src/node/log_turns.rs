//! Turns at the disk: who writes in bulk lets the logs' writes by.
//!
//!     a piece of a snapshot is written -> a log's write is under way that replies wait for -> its end -> the next piece
//!
//! A flush makes durable all that the disk has taken, whoever wrote it. Of a snapshot that is written as fast as can be one flush
//! has megabytes to write before a client hears of its SET; so only a piece or two come between two ends of a log's writes. Where
//! the disk is fast that is hardly a wait, where it is slow the snapshot is.
//!
//! Promises  nobody waits where no reply waits for a log, nor for longer than [`REST_MAX`] a piece.
//! Not here  the pieces: `node/file_writer.rs`. When a log writes: `node/disk.rs`.
//! Tests     tests/node/log_turns.rs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A snapshot gets on all the same where a write takes longer: by 12 MiB a second.
pub const REST_MAX: Duration = Duration::from_millis(20);
/// So often somebody who waits looks: to be told would cost the cores something at each write.
const LOOK_EVERY: Duration = Duration::from_micros(100);

/// In [`LogWrites`]: replies wait for a write that is under way.
const AWAITED: u64 = 1;
/// In [`LogWrites`]: one write.
const ONE: u64 = 2;

/// The writes of one core's log, as others see them; only that core changes it.
#[derive(Debug, Default)]
pub struct LogWrites(AtomicU64);

impl LogWrites {
    /// Whether one is under way that replies wait for.
    #[inline]
    pub fn set_awaited(&self, is_awaited: bool) {
        let ended = self.0.load(Ordering::Relaxed) & !AWAITED;
        (self.0).store(ended | u64::from(is_awaited), Ordering::Relaxed);
    }

    /// One has ended.
    #[inline]
    pub fn count_end(&self) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before.wrapping_add(ONE), Ordering::Relaxed);
    }

    /// What tells a later look whether the write that is awaited now has ended; none if there is none.
    fn awaited(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|state| state & AWAITED != 0)
    }
}

/// Waits until each log has ended a write, of those that have one under way that replies wait for.
///
/// - `rest_max`: no longer than that.
pub fn let_by<'a>(logs: impl Iterator<Item = &'a LogWrites>, rest_max: Duration) {
    let mut awaited: Vec<_> = logs
        .filter_map(|log| log.awaited().map(|state| (log, state)))
        .collect();
    if awaited.is_empty() {
        return;
    }
    let began = Instant::now();
    while !awaited.is_empty() && began.elapsed() < rest_max {
        std::thread::sleep(LOOK_EVERY);
        awaited.retain(|(log, state)| log.awaited() == Some(*state));
    }
}
