//! Active defragmentation (`activedefrag` and its like): when a core's memory is compacted, and at what pace.
//!
//!     a look a second: free bytes in pages and spans in use, beside the bytes in use -> walks, the sparsest pages first
//!     a slice now and then: as much of the time as `active-defrag-cycle-min` and `-max` say, whether there are requests or not
//!
//! Promises  nothing happens while little is lost, and after a walk that has not helped; requests wait for one slice at most,
//!           `SLICE_NS` and a step, which leaves after the turn's replies.
//! Not here  what moves: `keyspace/compact.rs`; the allocator's part: `ds/purge.rs`.
//! Tests     tests/server/compaction.rs.

use super::core::Core;
use super::options::Options;
use crate::ds::purge;
use crate::keyspace::compact::{CompactionWalk, StepLimits};

/// Between two looks at what is lost.
const LOOK_MS: i64 = 1000;
/// How full a page or span may be that one walk after the other empties.
const PERCENTS: [u32; 3] = [50, 75, 90];
/// Bytes that a core loses beyond what its last walk left before it walks again: less comes and goes with a few pages and spans.
const NEWS_BYTES_MIN: usize = 256 * 1024;
/// What is done at once, and a step more: requests wait for it.
const SLICE_NS: u64 = 250_000;

/// One core's compaction.
#[derive(Default)]
pub struct Compaction {
    is_on: bool,
    /// Free bytes below this are not worth a walk.
    ignored_bytes: usize,
    /// Percent of the bytes in use that are lost where it begins, and where it works hardest.
    lost_percent: [usize; 2],
    /// Percent of the core's time, least and most.
    effort_percent: [u64; 2],
    /// Allocations that are looked at between two looks at the clock.
    looks_max: usize,
    /// Which of [`PERCENTS`] the walk under way is at.
    walk_number: Option<usize>,
    walk: CompactionWalk,
    looked_ms: i64,
    began_ms: i64,
    /// What the last walk left.
    left_bytes: usize,
    /// Free bytes in the allocator's pages when they were last counted.
    pub(super) heap_free_bytes: usize,
    /// Percent of the core's time that it takes now; 0 while it rests.
    pub(super) effort: u64,
    /// Its part of the time that has passed and was not used, and up to when that was reckoned.
    saved_ns: i64,
    saved_up_to: u64,
}

impl Compaction {
    /// Milliseconds since it began; 0 while it rests.
    pub(super) fn running_ms(&self, now_ms: i64) -> u64 {
        match self.walk_number {
            Some(_) => u64::try_from(now_ms - self.began_ms).unwrap_or(0),
            None => 0,
        }
    }
}

impl Core {
    /// Takes the options over.
    pub(super) fn apply_compaction_options(&mut self) {
        let options: &Options = &self.options;
        let number = |name| usize::try_from(options.held_number(name)).unwrap_or(0);
        let cores_count = self.mesh.board().cores.len();
        let compaction = &mut self.compaction;
        compaction.is_on = options.is_held("activedefrag", "yes");
        compaction.ignored_bytes = number("active-defrag-ignore-bytes") / cores_count;
        compaction.lost_percent = [
            number("active-defrag-threshold-lower"),
            number("active-defrag-threshold-upper"),
        ];
        compaction.effort_percent = [
            number("active-defrag-cycle-min") as u64,
            number("active-defrag-cycle-max") as u64,
        ];
        compaction.looks_max = number("active-defrag-max-scan-fields");
        if !compaction.is_on {
            compaction.walk_number = None;
            compaction.effort = 0;
        }
    }

    /// Once a tick: whether a walk is worth its while.
    pub(super) fn look_whether_to_compact(&mut self) {
        if self.compaction.is_on && self.now_ms - self.compaction.looked_ms >= LOOK_MS {
            self.compaction.looked_ms = self.now_ms;
            self.look_at_losses();
        }
    }

    /// Once a turn: saves up the walk's part of the time since the last one; whether that is a slice by now.
    #[inline]
    pub(super) fn may_compact(&mut self) -> bool {
        self.compaction.walk_number.is_some() && self.save_up_for_slice()
    }

    fn save_up_for_slice(&mut self) -> bool {
        let now = self.clock.raw();
        let compaction = &mut self.compaction;
        let passed_ns = self.clock.delta_as_nanos(compaction.saved_up_to, now);
        compaction.saved_up_to = now;
        let saved_ns = compaction.saved_ns + (passed_ns * compaction.effort / 100) as i64;
        compaction.saved_ns = saved_ns.min(SLICE_NS as i64);
        saved_ns >= SLICE_NS as i64
    }

    /// Whether a walk is under way.
    pub(super) fn compacts(&self) -> bool {
        self.compaction.walk_number.is_some()
    }

    /// One slice of the walk under way.
    pub(super) fn compact(&mut self) {
        let Some(number) = self.compaction.walk_number else {
            return;
        };
        let limits = StepLimits {
            percent: PERCENTS[number],
            looks_max: self.compaction.looks_max,
        };
        let before = self.clock.raw();
        let mut took_ns = 0;
        while took_ns < SLICE_NS {
            let walk = &mut self.compaction.walk;
            let Some(done) = self.shard.keys.compact_step(walk, limits) else {
                self.end_walk(number);
                break;
            };
            self.counters.defrag_hits += done.moved_count as u64;
            self.counters.defrag_misses += (done.looked_count - done.moved_count) as u64;
            took_ns = self.clock.delta_as_nanos(before, self.clock.raw());
        }
        let took_ns = self.clock.delta_as_nanos(before, self.clock.raw());
        self.counters.defrag_ns += took_ns;
        self.note_event("active-defrag-cycle", took_ns);
        // A slice that took longer is paid for before the next.
        self.compaction.saved_ns -= took_ns as i64;
    }

    /// Free bytes that no request can have before a span or page is full, and bytes in use.
    fn losses(&mut self) -> (usize, usize) {
        self.compaction.heap_free_bytes = purge::free_bytes_in_used_pages();
        let keys = &self.shard.keys;
        let free_bytes = self.compaction.heap_free_bytes + keys.slack_bytes();
        (free_bytes, keys.used_bytes())
    }

    fn look_at_losses(&mut self) {
        let (free_bytes, used_bytes) = self.losses();
        let compaction = &mut self.compaction;
        let percent = free_bytes.saturating_mul(100) / used_bytes.max(1);
        let [lower, upper] = compaction.lost_percent;
        let is_worth_it = free_bytes > compaction.ignored_bytes && percent >= lower;
        if compaction.walk_number.is_none() {
            // What the last walk could not mend, another would not either.
            let left_bytes = compaction.left_bytes.min(free_bytes);
            compaction.left_bytes = left_bytes;
            let news_bytes_min = (compaction.ignored_bytes / 2).max(NEWS_BYTES_MIN);
            let is_news =
                free_bytes - left_bytes > news_bytes_min.max(used_bytes / 100 * lower / 2);
            if !(is_worth_it && is_news) {
                return;
            }
            compaction.walk_number = Some(0);
            compaction.began_ms = self.now_ms;
            compaction.walk = CompactionWalk::default();
            compaction.saved_ns = 0;
            compaction.saved_up_to = self.clock.raw();
        }
        let [least, most] = compaction.effort_percent;
        let part = percent.clamp(lower, upper.max(lower)) - lower;
        let range = upper.saturating_sub(lower).max(1);
        compaction.effort = least + most.saturating_sub(least) * part as u64 / range as u64;
    }

    fn end_walk(&mut self, number: usize) {
        purge::give_up_free_pages();
        let (free_bytes, used_bytes) = self.losses();
        let compaction = &mut self.compaction;
        let is_enough = free_bytes <= compaction.ignored_bytes
            || free_bytes.saturating_mul(100) / used_bytes.max(1) < compaction.lost_percent[0];
        if is_enough || number + 1 == PERCENTS.len() {
            compaction.walk_number = None;
            compaction.effort = 0;
            compaction.left_bytes = free_bytes;
        } else {
            compaction.walk_number = Some(number + 1);
        }
    }
}
