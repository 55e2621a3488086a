//! Compaction of all databases: one walk after the other over values that lie badly and spans that are half empty.
//!
//!     database 0: values, segment by segment; spans of entries, class by class; database 1 ...
//!
//! Promises  a step looks at [`StepLimits::looks_max`] allocations or moves [`STEP_BYTES_MAX`], or empties one span; what a
//!           walk passed may become sparse behind it, which is the next walk's. The spans it has emptied go back.
//! Not here  when a walk is worth its while, how much of the time it may take, how full is sparse: `node/compaction.rs`.
//! Tests     tests/keyspace/compact.rs.

use super::Keyspace;
use crate::ds::key_table::{Compacted, ValuesWalk};
use crate::ds::mover::Mover;
use crate::ds::slab::CLASSES_COUNT;

/// Bytes that a step moves, and no more than one allocation beyond: some 50 us.
const STEP_BYTES_MAX: usize = 256 * 1024;

/// How far a walk has come.
#[derive(Debug, Default)]
pub struct CompactionWalk {
    database: usize,
    values: ValuesWalk,
    /// The class whose spans are next; None while there are values to look at.
    class: Option<usize>,
}

/// What a step may do.
#[derive(Clone, Copy, Debug)]
pub struct StepLimits {
    /// Spans of entries, and pages of what else belongs to values, that are no fuller than this are emptied.
    pub percent: u32,
    /// Allocations that are looked at.
    pub looks_max: usize,
}

impl Keyspace {
    /// One step of a walk; None where it is over, and then `walk` is at the beginning.
    pub fn compact_step(
        &mut self,
        walk: &mut CompactionWalk,
        limits: StepLimits,
    ) -> Option<Compacted> {
        let percent = limits.percent as usize;
        let mut mover = Mover::of_sparse_pages(percent, limits.looks_max, STEP_BYTES_MAX);
        self.compact_step_by(walk, limits.percent, &mut mover)
    }

    /// As [`Keyspace::compact_step`], with a mover that may have another idea of what lies badly.
    pub fn compact_step_by(
        &mut self,
        walk: &mut CompactionWalk,
        percent: u32,
        mover: &mut Mover<'_>,
    ) -> Option<Compacted> {
        let Some(database) = self.databases.get_mut(walk.database) else {
            *walk = CompactionWalk::default();
            return None;
        };
        let table = &mut database.table;
        let mut done = Compacted::default();
        let Some(class) = &mut walk.class else {
            if table.compact_values(&mut walk.values, mover, &mut done) {
                walk.class = Some(0);
            }
            return Some(done);
        };
        while *class < CLASSES_COUNT {
            done = table.compact_entries(*class, percent);
            if done.moved_count > 0 {
                return Some(done);
            }
            *class += 1;
        }
        table.trim();
        *walk = CompactionWalk {
            database: walk.database + 1,
            ..CompactionWalk::default()
        };
        Some(done)
    }
}
