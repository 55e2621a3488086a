//! Compaction of all databases: one walk after the other over values that lie badly and spans that are half empty.
//!
//!     database 0: values, segment by segment; spans of entries, class by class; database 1 ...
//!
//! Promises  a step does one segment's values or one span's entries; what a walk passed may become sparse behind it, which is
//!           the next walk's.
//! Not here  when a walk is worth its while, how much of the time it may take, how full is sparse: `node/compaction.rs`.
//! Tests     tests/keyspace/compact.rs.

use super::Keyspace;
use crate::ds::key_table::Compacted;
use crate::ds::slab::CLASSES_COUNT;

/// How far a walk has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct CompactionWalk {
    database: usize,
    cursor: u64,
    /// The class whose spans are next; None while there are values to look at.
    class: Option<usize>,
}

impl Keyspace {
    /// One step of a walk; None where it is over, and then `walk` is at the beginning.
    ///
    /// - `percent`: spans of entries, and pages of what else belongs to values, that are no fuller than this are emptied.
    pub fn compact_step(&mut self, walk: &mut CompactionWalk, percent: u32) -> Option<Compacted> {
        let Some(database) = self.databases.get_mut(walk.database) else {
            *walk = CompactionWalk::default();
            return None;
        };
        let table = &mut database.table;
        match &mut walk.class {
            None => {
                let (cursor, done) =
                    table.compact_values_of_sparse_pages(walk.cursor, percent as usize);
                walk.cursor = cursor;
                if cursor == 0 {
                    walk.class = Some(0);
                }
                Some(done)
            }
            Some(class) => {
                while *class < CLASSES_COUNT {
                    let done = table.compact_entries(*class, percent);
                    if done.moved_count > 0 {
                        return Some(done);
                    }
                    *class += 1;
                }
                *walk = CompactionWalk {
                    database: walk.database + 1,
                    ..CompactionWalk::default()
                };
                Some(Compacted::default())
            }
        }
    }
}
