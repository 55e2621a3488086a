//! Readings: an entry read bit by bit, as it was when the reading began, while the table goes on changing.
//!
//!     begin_reading -> read_some, read_some … -> the reader's bytes, in order
//!                      a change of the entry before the last: the rest is read first, at once
//!
//! Whoever changes or removes an entry that is being read has its reader read to the end before that; what it wrote waits
//! for the next `read_some`. So nothing is copied and nobody is kept from changing anything. Only an
//! object whose time has come to wake sleeps on until it has been read.
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
}

/// An entry that is being read.
pub(super) struct Reading<T> {
    id: u64,
    hash: u64,
    key: Box<[u8]>,
    /// None: it has come to its end.
    reader: Option<Box<dyn Reader<T>>>,
    /// What nobody has fetched yet.
    out: Vec<u8>,
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
            reader: Some(reader),
            out: head,
        });
        self.note_onlookers();
    }

    /// Reads on; what was written since the last call, and whether that is the end. None for a reading that is not known.
    pub fn read_some(&mut self, id: u64, limit: ReadLimit) -> Option<(Vec<u8>, bool)> {
        let at = self.readings.iter().position(|reading| reading.id == id)?;
        let reading = &mut self.readings[at];
        let mut out = std::mem::take(&mut reading.out);
        let reader = reading.reader.take();
        let (hash, key) = (reading.hash, std::mem::take(&mut reading.key));
        // What it reads cannot have gone: whatever removes it reads it to the end first.
        if let Some(mut reader) = reader
            && let Some(entry) = self.get(hash, &key)
            && !reader.read(entry, limit, &mut out)
        {
            let reading = &mut self.readings[at];
            reading.reader = Some(reader);
            reading.key = key;
            return Some((out, false));
        }
        self.readings.swap_remove(at);
        self.note_onlookers();
        Some((out, true))
    }

    /// Gives a reading up; false for one that is not known.
    pub fn end_reading(&mut self, id: u64) -> bool {
        let before = self.readings.len();
        self.readings.retain(|reading| reading.id != id);
        self.note_onlookers();
        self.readings.len() < before
    }

    /// Ends all readings, and hands over what nobody has fetched of each.
    pub fn finish_readings(&mut self) -> Vec<(u64, Vec<u8>)> {
        let ids: Vec<u64> = self.readings.iter().map(|reading| reading.id).collect();
        let finished = ids.into_iter().filter_map(|id| {
            let (out, _) = self.read_some(id, ReadLimit::NONE)?;
            Some((id, out))
        });
        finished.collect()
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
        let mut on = self.readings.iter().filter(|it| it.reader.is_some());
        on.any(|reading| *reading.key == *entry.key())
    }

    /// Before an entry changes or goes: who reads it reads it to the end.
    ///
    /// # Safety
    /// `slot` is a place in a live segment and holds an entry.
    #[cold]
    pub(super) unsafe fn finish_readings_of(&mut self, slot: *mut u64) {
        // SAFETY: the caller's promise; readers change nothing.
        let entry = EntryRef::<T>::new(bucket::entry(unsafe { slot.read() }));
        for reading in &mut self.readings {
            if *reading.key == *entry.key()
                && let Some(mut reader) = reading.reader.take()
            {
                while !reader.read(entry, ReadLimit::NONE, &mut reading.out) {}
            }
        }
    }

    /// Notes whether a change has to look for anybody.
    pub(super) fn note_onlookers(&mut self) {
        self.has_onlookers = self.cut.is_some() || !self.readings.is_empty();
    }
}
