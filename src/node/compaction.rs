//! Active defragmentation (`activedefrag` and its like): when a core's memory is compacted, and at what pace.
//!
//!     a look a second: free bytes in pages and spans in use, beside the bytes in use -> walks, the sparsest pages first
//!     after them: what is still free in pages in use goes back to the system where it can (`ds/purge.rs`)
//!     a slice now and then: as much of the time as `active-defrag-cycle-min` and `-max` say, whether there are requests or not
//!
//! Promises  nothing happens while little is lost, and after a walk that has not helped, unless keys went during it; requests
//!           wait for one slice at most, `SLICE_NS` and a step, which leaves after the turn's replies.
//! Not here  what moves: `keyspace/compact.rs`; the allocator's part: `ds/purge.rs`.
//! Tests     tests/node/compaction.rs, tests/server/compaction.rs.

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
/// Free bytes that go back in a step.
const GIVEN_BYTES: usize = 1 << 20;

/// Of one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Free bytes that no request can have before a span or page is full.
    pub free_bytes: usize,
    /// Bytes of keys.
    pub used_bytes: usize,
}

impl Losses {
    fn percent(self) -> usize {
        self.free_bytes.saturating_mul(100) / self.used_bytes.max(1)
    }
}

/// Says when a walk is worth its while.
#[derive(Debug, Default)]
pub struct Judge {
    /// Free bytes up to this are not worth a walk.
    ignored_bytes: usize,
    /// Percent of the bytes in use that are lost where it begins, and where it works hardest.
    lost_percent: [usize; 2],
    /// What the last walk could not mend, as far as it is known.
    left_bytes: usize,
    began_used_bytes: usize,
}

impl Judge {
    /// One that has seen no walk.
    pub fn new(ignored_bytes: usize, lost_percent: [usize; 2]) -> Self {
        Self {
            ignored_bytes,
            lost_percent,
            ..Self::default()
        }
    }

    /// Whether much is lost.
    pub fn is_much(&self, losses: Losses) -> bool {
        losses.free_bytes > self.ignored_bytes && losses.percent() >= self.lost_percent[0]
    }

    /// Whether a walk is to begin: much is lost, and more than what the last could not mend, which another would not either.
    pub fn begins(&mut self, losses: Losses) -> bool {
        self.left_bytes = self.left_bytes.min(losses.free_bytes);
        let news_bytes = losses.free_bytes - self.left_bytes;
        let begins = self.is_much(losses) && news_bytes > self.news_bytes_min(losses);
        if begins {
            self.began_used_bytes = losses.used_bytes;
        }
        begins
    }

    /// The walk is over. Where many keys went during it, it had passed what they left behind.
    pub fn end(&mut self, losses: Losses) {
        let gone_bytes = self.began_used_bytes.saturating_sub(losses.used_bytes);
        let is_left = gone_bytes <= self.news_bytes_min(losses);
        self.left_bytes = if is_left { losses.free_bytes } else { 0 };
    }

    fn news_bytes_min(&self, losses: Losses) -> usize {
        let part = losses.used_bytes / 100 * self.lost_percent[0] / 2;
        part.max(self.ignored_bytes / 2).max(NEWS_BYTES_MIN)
    }
}

/// What is being done.
#[derive(Clone, Copy)]
enum Stage {
    /// The walk at this one of [`PERCENTS`].
    Walk(usize),
    /// Free blocks go back, from this page of the heap on.
    GivingBack(usize),
}

/// One core's compaction.
#[derive(Default)]
pub struct Compaction {
    is_on: bool,
    judge: Judge,
    /// Percent of the core's time, least and most.
    effort_percent: [u64; 2],
    /// Allocations that are looked at between two looks at the clock.
    looks_max: usize,
    stage: Option<Stage>,
    walk: CompactionWalk,
    looked_ms: i64,
    began_ms: i64,
    /// Free bytes in the allocator's pages when they were last counted, less those that have gone back.
    pub(super) heap_free_bytes: usize,
    /// Bytes of free blocks that went back the last time, as far as that many are free, and in the time under way.
    given_bytes: usize,
    giving_bytes: usize,
    /// Percent of the core's time that it takes now; 0 while it rests.
    pub(super) effort: u64,
    /// Its part of the time that has passed and was not used, and up to when that was reckoned.
    saved_ns: i64,
    saved_up_to: u64,
}

impl Compaction {
    /// Milliseconds since it began; 0 while it rests.
    pub(super) fn running_ms(&self, now_ms: i64) -> u64 {
        match self.stage {
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
        compaction.judge.ignored_bytes = number("active-defrag-ignore-bytes") / cores_count;
        compaction.judge.lost_percent = [
            number("active-defrag-threshold-lower"),
            number("active-defrag-threshold-upper"),
        ];
        compaction.effort_percent = [
            number("active-defrag-cycle-min") as u64,
            number("active-defrag-cycle-max") as u64,
        ];
        compaction.looks_max = number("active-defrag-max-scan-fields");
        if !compaction.is_on {
            compaction.stage = None;
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
        self.compaction.stage.is_some() && self.save_up_for_slice()
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

    /// Whether a walk or what follows it is under way.
    pub(super) fn compacts(&self) -> bool {
        self.compaction.stage.is_some()
    }

    /// One slice of what is under way.
    pub(super) fn compact(&mut self) {
        let before = self.clock.raw();
        let mut took_ns = 0;
        while took_ns < SLICE_NS
            && let Some(stage) = self.compaction.stage
        {
            let is_over = match stage {
                Stage::Walk(number) => self.walk_step(number),
                Stage::GivingBack(from) => self.give_back_step(from),
            };
            if is_over {
                break;
            }
            took_ns = self.clock.delta_as_nanos(before, self.clock.raw());
        }
        let took_ns = self.clock.delta_as_nanos(before, self.clock.raw());
        self.counters.defrag_ns += took_ns;
        self.note_event("active-defrag-cycle", took_ns);
        // A slice that took longer is paid for before the next.
        self.compaction.saved_ns -= took_ns as i64;
    }

    /// One step of a walk; whether it was the last.
    fn walk_step(&mut self, number: usize) -> bool {
        let limits = StepLimits {
            percent: PERCENTS[number],
            looks_max: self.compaction.looks_max,
        };
        let walk = &mut self.compaction.walk;
        let Some(done) = self.shard.keys.compact_step(walk, limits) else {
            self.end_walk(number);
            return true;
        };
        self.counters.defrag_hits += done.moved_count as u64;
        // An object that takes several steps was looked at in the first and counts as moved in the last.
        let missed = done.looked_count as i64 - done.moved_count as i64;
        let misses = &mut self.counters.defrag_misses;
        *misses = misses.saturating_add_signed(missed);
        false
    }

    /// Gives a part of the free blocks back that no walk could bring together; whether it was the last.
    fn give_back_step(&mut self, from: usize) -> bool {
        let given = purge::give_back_free_blocks(from, GIVEN_BYTES);
        let compaction = &mut self.compaction;
        compaction.giving_bytes += given.bytes;
        compaction.stage = given.next.map(Stage::GivingBack);
        if given.next.is_some() {
            return false;
        }
        compaction.given_bytes = std::mem::take(&mut compaction.giving_bytes);
        compaction.effort = 0;
        let losses = self.losses();
        self.compaction.judge.end(losses);
        true
    }

    fn losses(&mut self) -> Losses {
        let free_bytes = purge::free_bytes_in_used_pages();
        let compaction = &mut self.compaction;
        compaction.given_bytes = compaction.given_bytes.min(free_bytes);
        compaction.heap_free_bytes = free_bytes - compaction.given_bytes;
        let keys = &self.shard.keys;
        Losses {
            free_bytes: self.compaction.heap_free_bytes + keys.slack_bytes(),
            used_bytes: keys.used_bytes(),
        }
    }

    fn look_at_losses(&mut self) {
        let losses = self.losses();
        let compaction = &mut self.compaction;
        if compaction.stage.is_none() {
            if !compaction.judge.begins(losses) {
                return;
            }
            compaction.stage = Some(Stage::Walk(0));
            compaction.began_ms = self.now_ms;
            compaction.walk = CompactionWalk::default();
            compaction.saved_ns = 0;
            compaction.saved_up_to = self.clock.raw();
        }
        let [least, most] = compaction.effort_percent;
        let [lower, upper] = compaction.judge.lost_percent;
        let part = losses.percent().clamp(lower, upper.max(lower)) - lower;
        let range = upper.saturating_sub(lower).max(1);
        compaction.effort = least + most.saturating_sub(least) * part as u64 / range as u64;
    }

    fn end_walk(&mut self, number: usize) {
        purge::give_up_free_pages();
        let losses = self.losses();
        let compaction = &mut self.compaction;
        let is_last = !compaction.judge.is_much(losses) || number + 1 == PERCENTS.len();
        compaction.stage = Some(match is_last {
            true => {
                compaction.giving_bytes = 0;
                Stage::GivingBack(0)
            }
            false => Stage::Walk(number + 1),
        });
    }
}
