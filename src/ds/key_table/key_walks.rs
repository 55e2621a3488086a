//! Key walks: all entries looked at bit by bit, each as it was when the walk began, while the table goes on changing.
//!
//!     hash order | looked at ... | cursor | still to be looked at ... |
//!
//! An entry behind the cursor that changes or goes is looked at before that; those that have been, and those that came after
//! the begin, are known by name and passed over when the walk gets there. So nobody waits for a walk.
//!
//! Promises  a walker is shown exactly the entries of the moment when it began, each once, as it was then; memory for the
//!           names of what changes before it is passed.
//! Not here  one entry, or some of them: `readings.rs`, by whose calls walks go on and end.
//! Tests     tests/shard/long_reads.rs: KEYS beside every kind of change.

use std::collections::HashSet;

use super::readings::{LeftOver, Portion, ReadLimit, Rest};
use super::{EntryRef, HeapSize, KeyTable, bucket};

/// Looks at all entries of a table.
pub trait KeyWalker<T>: Send {
    /// Another entry, as it was at the begin.
    fn see(&mut self, entry: EntryRef<'_, T>);

    /// There are no more; what makes bytes of them.
    fn end(self: Box<Self>) -> Box<dyn Rest>;
}

/// A walk under way.
pub(super) struct KeyWalk<T> {
    id: u64,
    /// Where it goes on, as [`KeyTable::scan`] says; what lies before that has been passed.
    cursor: u64,
    /// Keys behind the cursor that are not to be shown any more.
    settled: HashSet<Box<[u8]>>,
    walker: Box<dyn KeyWalker<T>>,
}

impl<T: HeapSize> KeyTable<T> {
    /// Begins to walk through all entries that are there; [`KeyTable::read_some`] goes on.
    pub fn begin_key_walk(&mut self, id: u64, walker: Box<dyn KeyWalker<T>>) {
        self.key_walks.push(KeyWalk {
            id,
            cursor: 0,
            settled: HashSet::new(),
            walker,
        });
        self.note_onlookers();
    }

    /// Goes on with a walk. None for one that is not known.
    pub(super) fn walk_some(&mut self, id: u64, limit: ReadLimit) -> Option<Portion> {
        let at = self.key_walks.iter().position(|walk| walk.id == id)?;
        let mut walk = self.key_walks.swap_remove(at);
        match self.walk_on(&mut walk, limit.elements) {
            true => self.go_on_with_rest(id, walk.walker.end()),
            false => self.key_walks.push(walk),
        }
        Some(Portion {
            is_making: false,
            bytes: Vec::new(),
            is_last: false,
            is_free: true,
            made: None,
        })
    }

    /// Shows up to about so many entries; whether that was all.
    fn walk_on(&self, walk: &mut KeyWalk<T>, entries_max: usize) -> bool {
        let mut seen_count = 0;
        while seen_count < entries_max {
            let KeyWalk {
                settled, walker, ..
            } = walk;
            // An empty place costs something, too.
            seen_count += 1;
            walk.cursor = self.scan(walk.cursor, &mut |entry| {
                seen_count += 1;
                if settled.is_empty() || !settled.remove(entry.key()) {
                    walker.see(entry);
                }
            });
            if walk.cursor == 0 {
                return true;
            }
        }
        false
    }

    /// Gives a walk up; false for one that is not known.
    pub(super) fn end_walk(&mut self, id: u64) -> bool {
        let before = self.key_walks.len();
        self.key_walks.retain(|walk| walk.id != id);
        self.key_walks.len() < before
    }

    /// Shows every walker the rest.
    pub(super) fn finish_walks(&mut self) -> Vec<LeftOver<T>> {
        let walks = std::mem::take(&mut self.key_walks);
        let left = walks.into_iter().map(|mut walk| {
            while !self.walk_on(&mut walk, usize::MAX) {}
            LeftOver {
                guests: None,
                id: walk.id,
                out: Vec::new(),
                rest: Some(walk.walker.end()),
            }
        });
        left.collect()
    }

    /// Before an entry changes or goes: walks that have not passed it look at it.
    ///
    /// # Safety
    /// `slot` is a place in a live segment and holds an entry.
    #[cold]
    pub(super) unsafe fn show_to_walks(&mut self, slot: *mut u64) {
        if self.key_walks.is_empty() {
            return;
        }
        // SAFETY: the caller's promise; walkers change nothing.
        let entry = EntryRef::<T>::new(bucket::entry(unsafe { slot.read() }));
        let hash = self.hasher.hash(entry.key());
        for walk in &mut self.key_walks {
            if walk.settle(hash, entry.key()) {
                walk.walker.see(entry);
            }
        }
    }

    /// After a key was added: walks that have not passed its place are not to look at it.
    #[cold]
    pub(super) fn hide_from_walks(&mut self, hash: u64, key: &[u8]) {
        for walk in &mut self.key_walks {
            walk.settle(hash, key);
        }
    }
}

impl<T> KeyWalk<T> {
    /// The walk is not to look at this key when it comes to its place; false where it has been there, or was told before.
    fn settle(&mut self, hash: u64, key: &[u8]) -> bool {
        hash >> super::walk::CURSOR_SHIFT >= self.cursor && self.settled.insert(key.into())
    }
}
