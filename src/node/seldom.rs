//! Seldom: lets a line about what goes on and on into the log once in a while.
//!
//! Promises  the first is let in at once; a change of the clock costs one line at most.
//! Source    Redis, which tells of errors of its append-only file at most every 30 seconds.
//! Tests     tests/node/seldom.rs.

/// From one line to the next, in microseconds.
pub const PAUSE_US: i64 = 30_000_000;

/// When there was a line.
#[derive(Debug, Default)]
pub struct Seldom {
    last_us: Option<i64>,
}

impl Seldom {
    /// Whether there may be a line now; then it counts as written.
    pub fn may_tell(&mut self, now_us: i64) -> bool {
        let is_soon = |last_us: i64| (0..PAUSE_US).contains(&(now_us - last_us));
        if self.last_us.is_some_and(is_soon) {
            return false;
        }
        self.last_us = Some(now_us);
        true
    }
}
