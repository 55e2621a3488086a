//! References: deleting entries with an eye on the groups that still have them pending.
//!
//! Promises  with `Keep` nothing is asked of groups; otherwise every entry is looked up in every group.
//! Tests     tests/ds/stream_groups.rs, tests/transcripts/stream_references.txt.

use super::{Stream, StreamId, Trim};

/// What becomes of a deleted entry where groups have it pending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum References {
    /// It stays pending, without content.
    #[default]
    Keep,
    /// It is pending no more.
    Delete,
    /// Only entries that every group has read and acknowledged are deleted.
    Acknowledged,
}

/// What came of deleting an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It was not there.
    Missing,
    /// It is gone.
    Deleted,
    /// A group has not read it, or not acknowledged it: it stays.
    Referenced,
}

/// What a trim has removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// How many entries.
    pub count: u64,
    /// The last of them, where others may have stayed before it.
    pub last: Option<StreamId>,
}

impl Stream {
    /// Deletes an entry.
    pub fn delete(&mut self, id: StreamId, references: References) -> Deletion {
        match references {
            References::Keep => {}
            References::Delete => self.forget(id),
            References::Acknowledged if self.is_referenced(id) => return Deletion::Referenced,
            References::Acknowledged => {}
        }
        if self.log.delete(id) {
            Deletion::Deleted
        } else {
            Deletion::Missing
        }
    }

    /// Removes entries from the start. Other references than `Keep` make every trim exact.
    pub fn trim(&mut self, trim: Trim, references: References) -> Trimmed {
        if references == References::Keep || self.groups_count() == 0 && !trim.is_approximate {
            let count = self.log.trim(trim);
            return Trimmed { count, last: None };
        }
        let mut log = std::mem::take(&mut self.log);
        let trimmed = log.trim_each(trim, |id| match references {
            References::Acknowledged => !self.is_referenced(id),
            References::Keep | References::Delete => {
                self.forget(id);
                true
            }
        });
        self.log = log;
        trimmed
    }

    /// Whether a group has not read the entry yet, or has it pending.
    fn is_referenced(&self, id: StreamId) -> bool {
        let mut groups = self.groups();
        groups.any(|(_, group)| group.last_id < id || group.pending(id).is_some())
    }

    /// Makes an entry pending in no group.
    fn forget(&mut self, id: StreamId) {
        let groups_bytes = &mut self.groups_bytes;
        self.groups.for_each_mut(&mut |_, group| {
            let before = group.heap_bytes();
            group.acknowledge(id);
            *groups_bytes = *groups_bytes - before + group.heap_bytes();
        });
    }
}
