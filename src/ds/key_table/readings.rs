//! Readings: an entry read bit by bit, as it was when the reading began, while the table goes on changing.
//!
//!     begin_reading -> read_some, read_some … -> the reader's bytes, in order
//!                      a change of the entry before the last: the rest is read first, at once
//!
//! Whoever changes or removes an entry that is being read has its reader read to the end before that, or take with it what
//! it needs to go on without the entry; what it wrote waits for the next `read_some`. So nobody is kept from changing
//! anything. Only an object whose time has come to wake sleeps on until it has been read.
//!
//! Promises  a reader sees one state of its entry; with no reading and no cut under way a change pays one branch.
//! Not here  what a reader makes of the entry: whoever brings it.
//! Tests     tests/shard/long_reads.rs: beside every kind of change, cuts and expiry.

use super::{EntryRef, HeapSize, KeyTable, bucket};

/// How much one step of a reading may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// Elements, or a few more.
    pub elements: usize,
    /// Bytes written, or an element's more.
    pub bytes: usize,
}

impl ReadLimit {
    /// All there is.
    pub const NONE: Self = Self {
        elements: usize::MAX,
        bytes: usize::MAX,
    };
}

/// Reads an entry in steps.
pub trait Reader<T>: Send {
    /// Goes on where the last step has stopped, and appends what it makes of that to `out`; true at the end.
    fn read(&mut self, entry: EntryRef<'_, T>, limit: ReadLimit, out: &mut Vec<u8>) -> bool;

    /// The entry is about to change or go: reads all that is left of it, or returns what makes the rest without it.
    fn leave(
        mut self: Box<Self>,
        entry: EntryRef<'_, T>,
        out: &mut Vec<u8>,
    ) -> Option<Box<dyn Rest>> {
        while !self.read(entry, ReadLimit::NONE, out) {}
        None
    }
}

/// The rest of a reading whose entry has changed or gone.
pub trait Rest: Send {
    /// As [`Reader::read`].
    fn read(&mut self, limit: ReadLimit, out: &mut Vec<u8>) -> bool;
}

/// An entry that is being read.
pub(super) struct Reading<T> {
    id: u64,
    hash: u64,
    key: Box<[u8]>,
    source: Source<T>,
    /// What nobody has fetched yet.
    out: Vec<u8>,
}

/// Where a reading goes on.
enum Source<T> {
    Entry(Box<dyn Reader<T>>),
    Rest(Box<dyn Rest>),
    /// It has come to its end.
    End,
}

/// What is left of a reading that its table does not know any more.
pub struct LeftOver {
    /// As [`KeyTable::begin_reading`] was told.
    pub id: u64,
    /// What nobody has fetched yet.
    pub out: Vec<u8>,
    /// What makes more, if more is to come.
    pub rest: Option<Box<dyn Rest>>,
}

impl LeftOver {
    /// As [`KeyTable::read_some`].
    pub fn read_some(&mut self, limit: ReadLimit) -> (Vec<u8>, bool) {
        let mut out = std::mem::take(&mut self.out);
        let is_last = (self.rest.as_mut()).is_none_or(|rest| rest.read(limit, &mut out));
        (out, is_last)
    }
}

impl<T: HeapSize> KeyTable<T> {
    /// Begins to read an entry that is there.
    ///
    /// - `id`: names the reading in this table.
    /// - `head`: comes before what the reader writes.
    pub fn begin_reading(
        &mut self,
        id: u64,
        hash: u64,
        key: &[u8],
        head: Vec<u8>,
        reader: Box<dyn Reader<T>>,
    ) {
        debug_assert!(self.find(hash, key).is_some(), "the key is there");
        self.readings.push(Reading {
            id,
            hash,
            key: key.into(),
            source: Source::Entry(reader),
            out: head,
        });
        self.note_onlookers();
    }

    /// Reads on; what was written since the last call, and whether that is the end. None for a reading that is not known.
    pub fn read_some(&mut self, id: u64, limit: ReadLimit) -> Option<(Vec<u8>, bool)> {
        let at = self.readings.iter().position(|reading| reading.id == id)?;
        let reading = &mut self.readings[at];
        let mut out = std::mem::take(&mut reading.out);
        let mut source = std::mem::replace(&mut reading.source, Source::End);
        let (hash, key) = (reading.hash, std::mem::take(&mut reading.key));
        let is_last = match &mut source {
            // What it reads cannot have gone: whatever removes it has the reader leave it first.
            Source::Entry(reader) => {
                let entry = self.get(hash, &key);
                entry.is_none_or(|entry| reader.read(entry, limit, &mut out))
            }
            Source::Rest(rest) => rest.read(limit, &mut out),
            Source::End => true,
        };
        if is_last {
            self.readings.swap_remove(at);
            self.note_onlookers();
        } else {
            let reading = &mut self.readings[at];
            (reading.source, reading.key) = (source, key);
        }
        Some((out, is_last))
    }

    /// Gives a reading up; false for one that is not known.
    pub fn end_reading(&mut self, id: u64) -> bool {
        let before = self.readings.len();
        self.readings.retain(|reading| reading.id != id);
        self.note_onlookers();
        self.readings.len() < before
    }

    /// Ends all readings, and hands over what is left of each.
    pub fn finish_readings(&mut self) -> Vec<LeftOver> {
        let readings = std::mem::take(&mut self.readings);
        let left = readings.into_iter().map(|reading| {
            let Reading { id, mut out, .. } = reading;
            let rest = match reading.source {
                Source::Entry(reader) => {
                    let entry = self.get(reading.hash, &reading.key);
                    entry.and_then(|entry| reader.leave(entry, &mut out))
                }
                Source::Rest(rest) => Some(rest),
                Source::End => None,
            };
            LeftOver { id, out, rest }
        });
        let left = left.collect();
        self.note_onlookers();
        left
    }

    /// Whether an entry is being read.
    ///
    /// # Safety
    /// `slot` is a place in a live segment and holds an entry.
    #[inline]
    pub(super) unsafe fn is_being_read(&self, slot: *mut u64) -> bool {
        // SAFETY: the caller's promise.
        !self.readings.is_empty() && unsafe { self.is_among_readings(slot) }
    }

    #[cold]
    unsafe fn is_among_readings(&self, slot: *mut u64) -> bool {
        // SAFETY: the caller's promise.
        let entry = EntryRef::<T>::new(bucket::entry(unsafe { slot.read() }));
        let mut on = (self.readings.iter()).filter(|it| matches!(it.source, Source::Entry(_)));
        on.any(|reading| *reading.key == *entry.key())
    }

    /// Before an entry changes or goes: who reads it leaves it.
    ///
    /// # Safety
    /// `slot` is a place in a live segment and holds an entry.
    #[cold]
    pub(super) unsafe fn finish_readings_of(&mut self, slot: *mut u64) {
        // SAFETY: the caller's promise; readers change nothing.
        let entry = EntryRef::<T>::new(bucket::entry(unsafe { slot.read() }));
        for reading in &mut self.readings {
            if *reading.key != *entry.key() || !matches!(reading.source, Source::Entry(_)) {
                continue;
            }
            if let Source::Entry(reader) = std::mem::replace(&mut reading.source, Source::End)
                && let Some(rest) = reader.leave(entry, &mut reading.out)
            {
                reading.source = Source::Rest(rest);
            }
        }
    }

    /// Notes whether a change has to look for anybody.
    pub(super) fn note_onlookers(&mut self) {
        self.has_onlookers = self.cut.is_some() || !self.readings.is_empty();
    }
}
