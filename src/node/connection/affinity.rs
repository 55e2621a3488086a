//! Which shard a connection would better be with: where most of its keys are.
//!
//! Not here  the move: `node/dispatch.rs`, `node/lifecycle.rs`.
//! Tests     tests/node/connection.rs.

/// Watches where a connection's keys live.
///
/// A majority vote (Boyer and Moore) over a window finds the one shard that may have most of them in two words; the next
/// window counts that shard's requests exactly. A window that begins with nothing but one shard's needs no second one: a
/// client that has turned to one key is there after a few hundred requests at most.
#[derive(Clone, Copy, Debug, Default)]
pub struct Affinity {
    candidate: u16,
    lead: u32,
    /// The last window's candidate, counted in this one.
    suspect: Option<u16>,
    suspect_count: u32,
    seen: u32,
    /// The first key has been seen.
    pub placed: bool,
}

/// Requests in one window.
const WINDOW: u32 = 256;
/// So many of one shard alone, at its begin, decide at once: keys that are spread over shards never come so.
const ALONE: u32 = 64;

impl Affinity {
    /// Counts a keyed request of `shard`; names a shard that had two thirds of a whole window, or all of its begin.
    #[inline]
    pub fn count(&mut self, shard: u16) -> Option<u16> {
        self.placed = true;
        if self.candidate == shard {
            self.lead += 1;
        } else if self.lead == 0 {
            self.candidate = shard;
            self.lead = 1;
        } else {
            self.lead -= 1;
        }
        self.suspect_count += u32::from(self.suspect == Some(shard));
        self.seen += 1;
        if self.seen < WINDOW {
            return (self.seen == ALONE && self.lead == ALONE).then_some(shard);
        }
        let found = self
            .suspect
            .filter(|_| self.suspect_count >= WINDOW / 3 * 2);
        *self = Self {
            suspect: Some(self.candidate),
            placed: true,
            ..Self::default()
        };
        found
    }
}
