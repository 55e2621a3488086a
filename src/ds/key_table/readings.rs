//! Readings: one entry or several read bit by bit, as they were when the reading began, while the table goes on changing.
//!
//!     begin_reading -> read_some, read_some … -> the reader's bytes, in order
//!                      a change of an entry before the last: the rest is read first, at once
//!
//! Readings of all entries: `key_walks.rs`.
//!
//! Whoever changes or removes an entry that is being read has its reader read to the end before that, or take with it what
//! it needs to go on without the entry; what it wrote waits for the next `read_some`. So nobody is kept from changing
//! anything. What was to be made of entries for another one to hold is given up instead: it is true at its end or not at all. Only an object whose time has come to wake sleeps on until it has been read.
//!
//! Of several entries some may be guests: of another table, which comes along and in which nothing changes.
//!
//! Promises  a reader sees one state of its entry; with no reading and no cut under way a change pays one branch.
//! Not here  what a reader makes of the entry: whoever brings it.
//! Tests     tests/shard/long_reads.rs: beside every kind of change, cuts and expiry.

use std::any::Any;

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

/// Reads several entries in steps.
pub trait ManyReader<T>: Send {
    /// Goes on where the last step has stopped; when nothing is left to be looked at, what makes the bytes.
    ///
    /// - `entries`: those that [`KeyTable::begin_reading_many`] was told, in that order.
    fn read(&mut self, entries: &[EntryRef<'_, T>], limit: ReadLimit) -> Option<Box<dyn Rest>>;
}

/// The rest of a reading that needs its entries no more.
pub trait Rest: Send {
    /// As [`Reader::read`].
    fn read(&mut self, limit: ReadLimit, out: &mut Vec<u8>) -> bool;

    /// What it has made, where that is no bytes, after `read` has come to the end.
    fn take_made(&mut self) -> Option<Made> {
        None
    }
}

/// What is made of entries: whoever asked for it knows its type.
pub type Made = Box<dyn Any + Send>;

/// What a step of a reading has come to.
#[derive(Debug)]
pub struct Portion {
    /// The next bytes; none while a reader looks at what it will write of later.
    pub bytes: Vec<u8>,
    /// There are no more.
    pub is_last: bool,
    /// The entries are needed no more.
    pub is_free: bool,
    /// Something was to be made of them.
    pub is_making: bool,
    /// With the last, what was to be made of the entries: that is true now. None where they have changed meanwhile.
    pub made: Option<Made>,
}

impl Portion {
    /// Of a reading that is not known.
    pub const NONE: Self = Self {
        bytes: Vec::new(),
        is_last: true,
        is_free: true,
        is_making: false,
        made: None,
    };
}

/// An entry by its key.
struct Place {
    hash: u64,
    key: Box<[u8]>,
}

/// One or several entries that are being read.
pub(super) struct Reading<T> {
    id: u64,
    places: Box<[Place]>,
    source: Source<T>,
    /// Something is made of the entries, which must not change before its end.
    is_making: bool,
    /// Where entries are looked up that are not of this table.
    guests: Option<Box<KeyTable<T>>>,
    /// What nobody has fetched yet.
    out: Vec<u8>,
}

/// Where a reading goes on.
enum Source<T> {
    Entry(Box<dyn Reader<T>>),
    Entries(Box<dyn ManyReader<T>>),
    Rest(Box<dyn Rest>),
    /// It has come to its end.
    End,
}

/// What is left of a reading that its table does not know any more.
pub struct LeftOver<T> {
    /// As [`KeyTable::begin_reading`] was told.
    pub id: u64,
    /// What nobody has fetched yet.
    pub out: Vec<u8>,
    /// What makes more, if more is to come.
    pub rest: Option<Box<dyn Rest>>,
    /// Those of a reading that was to make something.
    pub guests: Option<Box<KeyTable<T>>>,
}

impl<T> LeftOver<T> {
    /// As [`KeyTable::read_some`].
    pub fn read_some(&mut self, limit: ReadLimit) -> Portion {
        let mut bytes = std::mem::take(&mut self.out);
        let is_last = (self.rest.as_mut()).is_none_or(|rest| rest.read(limit, &mut bytes));
        Portion {
            bytes,
            is_last,
            is_free: true,
            is_making: false,
            made: None,
        }
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
        let key = key.into();
        self.readings.push(Reading {
            id,
            places: Box::new([Place { hash, key }]),
            source: Source::Entry(reader),
            is_making: false,
            guests: None,
            out: head,
        });
        self.note_onlookers();
    }

    /// Begins to read several entries that are there.
    ///
    /// - `keys`: the hash and the key of each.
    /// - `guests`: where those are that are not here.
    /// - `is_making`: it makes something of them, see [`Portion::made`].
    pub fn begin_reading_many<'k>(
        &mut self,
        id: u64,
        keys: impl Iterator<Item = (u64, &'k [u8])>,
        guests: Option<Box<Self>>,
        is_making: bool,
        reader: Box<dyn ManyReader<T>>,
    ) {
        let place = |(hash, key): (u64, &[u8])| Place {
            hash,
            key: key.into(),
        };
        self.readings.push(Reading {
            id,
            places: keys.map(place).collect(),
            source: Source::Entries(reader),
            is_making,
            guests,
            out: Vec::new(),
        });
        self.note_onlookers();
    }

    /// What has been read to its end makes its bytes yet.
    pub(super) fn go_on_with_rest(&mut self, id: u64, rest: Box<dyn Rest>) {
        self.readings.push(Reading {
            id,
            places: Box::new([]),
            source: Source::Rest(rest),
            is_making: false,
            guests: None,
            out: Vec::new(),
        });
        self.note_onlookers();
    }

    /// Reads on; what was written since the last call. None for a reading that is not known.
    pub fn read_some(&mut self, id: u64, limit: ReadLimit) -> Option<Portion> {
        let Some(at) = self.readings.iter().position(|reading| reading.id == id) else {
            return self.walk_some(id, limit);
        };
        let reading = &mut self.readings[at];
        let mut bytes = std::mem::take(&mut reading.out);
        let mut source = std::mem::replace(&mut reading.source, Source::End);
        let places = std::mem::take(&mut reading.places);
        let guests = reading.guests.take();
        let is_last = match &mut source {
            // What it reads cannot have gone: whatever removes it has the reader leave it first.
            Source::Entry(reader) => {
                let entry = self.entries(&places, None).next();
                entry.is_none_or(|entry| reader.read(entry, limit, &mut bytes))
            }
            Source::Entries(reader) => {
                let entries: Vec<_> = self.entries(&places, guests.as_deref()).collect();
                if let Some(rest) = reader.read(&entries, limit) {
                    source = Source::Rest(rest);
                }
                false
            }
            Source::Rest(rest) => rest.read(limit, &mut bytes),
            Source::End => true,
        };
        let is_making = self.readings[at].is_making;
        let is_read = matches!(source, Source::Rest(_) | Source::End);
        let is_free = is_last || (is_read && !is_making);
        let made = match &mut source {
            Source::Rest(rest) if is_last => rest.take_made(),
            _ => None,
        };
        if is_last {
            self.readings.swap_remove(at);
            self.note_onlookers();
            self.guests_back = guests;
        } else {
            let reading = &mut self.readings[at];
            (reading.source, reading.places, reading.guests) = (source, places, guests);
        }
        Some(Portion {
            bytes,
            is_last,
            is_free,
            is_making,
            made,
        })
    }

    /// Guests of a reading that has come to its end.
    pub fn take_guests_back(&mut self) -> Option<Box<Self>> {
        self.guests_back.take()
    }

    fn entries<'e>(
        &'e self,
        places: &'e [Place],
        guests: Option<&'e Self>,
    ) -> impl Iterator<Item = EntryRef<'e, T>> {
        let of_guest = move |place: &Place| guests?.get(place.hash, &place.key);
        places
            .iter()
            .filter_map(move |place| self.get(place.hash, &place.key).or_else(|| of_guest(place)))
    }

    /// The entries are about to change or go: the reader looks at all that is left of them.
    fn leave(
        &self,
        (places, guests): (&[Place], Option<&Self>),
        source: Source<T>,
        out: &mut Vec<u8>,
    ) -> Option<Box<dyn Rest>> {
        match source {
            Source::Entry(reader) => {
                let entry = self.entries(places, None).next();
                entry.and_then(|entry| reader.leave(entry, out))
            }
            Source::Entries(mut reader) => {
                let entries: Vec<_> = self.entries(places, guests).collect();
                loop {
                    let rest = reader.read(&entries, ReadLimit::NONE);
                    if rest.is_some() {
                        return rest;
                    }
                }
            }
            Source::Rest(rest) => Some(rest),
            Source::End => None,
        }
    }

    /// Gives a reading up; false for one that is not known.
    pub fn end_reading(&mut self, id: u64) -> bool {
        let at = self.readings.iter().position(|reading| reading.id == id);
        let is_found = match at {
            Some(at) => {
                self.guests_back = self.readings.swap_remove(at).guests;
                true
            }
            None => self.end_walk(id),
        };
        self.note_onlookers();
        is_found
    }

    /// What was to be made of entries is given up: their names are about to be others'.
    pub fn give_makings_up(&mut self) {
        for reading in self.readings.iter_mut().filter(|it| it.is_making) {
            reading.source = Source::End;
        }
    }

    /// Ends all readings, and hands over what is left of each.
    pub fn finish_readings(&mut self) -> Vec<LeftOver<T>> {
        let readings = std::mem::take(&mut self.readings);
        let left = readings.into_iter().map(|reading| {
            let Reading { id, mut out, .. } = reading;
            let places = (&*reading.places, reading.guests.as_deref());
            let rest = match reading.is_making {
                true => None,
                false => self.leave(places, reading.source, &mut out),
            };
            let guests = reading.guests.filter(|_| reading.is_making);
            LeftOver {
                id,
                out,
                rest,
                guests,
            }
        });
        let mut left: Vec<LeftOver<T>> = left.collect();
        left.append(&mut self.finish_walks());
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
        self.readings.iter().any(|it| it.reads(entry.key()))
    }

    /// Before an entry changes or goes: who reads it leaves it.
    ///
    /// # Safety
    /// `slot` is a place in a live segment and holds an entry.
    #[cold]
    pub(super) unsafe fn finish_readings_of(&mut self, slot: *mut u64) {
        // SAFETY: the caller's promise; readers change nothing.
        let entry = EntryRef::<T>::new(bucket::entry(unsafe { slot.read() }));
        for at in 0..self.readings.len() {
            let reading = &mut self.readings[at];
            if !reading.reads(entry.key()) {
                continue;
            }
            let source = std::mem::replace(&mut reading.source, Source::End);
            if reading.is_making {
                continue;
            }
            let places = std::mem::take(&mut reading.places);
            let guests = reading.guests.take();
            let mut out = std::mem::take(&mut reading.out);
            let rest = self.leave((&places, guests.as_deref()), source, &mut out);
            let reading = &mut self.readings[at];
            (reading.out, reading.guests) = (out, guests);
            if let Some(rest) = rest {
                reading.source = Source::Rest(rest);
            }
        }
    }

    /// Notes whether a change has to look for anybody.
    pub(super) fn note_onlookers(&mut self) {
        self.has_onlookers =
            self.cut.is_some() || !self.readings.is_empty() || !self.key_walks.is_empty();
    }
}

impl<T> Reading<T> {
    /// Whether it needs the entry with this key as it is.
    fn reads(&self, key: &[u8]) -> bool {
        let needs_them = match self.source {
            Source::Entry(_) | Source::Entries(_) => true,
            Source::Rest(_) => self.is_making,
            Source::End => false,
        };
        needs_them && self.places.iter().any(|place| *place.key == *key)
    }
}
