//! Recent peaks: the largest of what was seen of late, second by second.
//!
//!     second     3 | 4 | 5 | 6 | 7 | 8 | 9        it is nine now: all of these count, two does not any more
//!
//! Promises  to note and to ask cost eight comparisons at most, however much is noted.
//! Source    the seconds that Redis shows in `client_recent_max_input_buffer` and its neighbour.
//! Tests     tests/node/recent_peaks.rs.

/// This second, and those before it.
const SECONDS: usize = 7;

/// The peaks of the latest seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecentPeaks {
    /// A second since the epoch, and the most that was noted in it; at the second's place by [`SECONDS`].
    peaks: [(i64, u64); SECONDS],
}

impl RecentPeaks {
    /// So much was seen.
    ///
    /// - `now_s`: seconds since the epoch.
    #[inline]
    pub fn note(&mut self, now_s: i64, value: u64) {
        let place = now_s.rem_euclid(SECONDS as i64) as usize;
        let peak = &mut self.peaks[place];
        *peak = match peak.0 == now_s {
            true => (now_s, peak.1.max(value)),
            false => (now_s, value),
        };
    }

    /// The most of these seconds; 0 where nothing was noted. A clock that was set back leaves nothing of what was to come.
    pub fn max(&self, now_s: i64) -> u64 {
        let is_recent = |second: i64| (0..SECONDS as i64).contains(&(now_s - second));
        let recent = self.peaks.iter().filter(|(second, _)| is_recent(*second));
        recent.map(|(_, value)| *value).max().unwrap_or(0)
    }
}
