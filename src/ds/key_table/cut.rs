//! Cut: what the table held at one moment, written out bit by bit while it goes on changing.
//!
//!     slot flag bit 2 = the cut's colour: at a cut the table's colour turns, so every entry there has the other one;
//!     whoever writes an entry out gives it the table's colour; what comes after the cut has it from the start
//!
//! An entry is shown to the keeper once: by [`KeyTable::cut_step`], which walks segment by segment, or before its first
//! change after the cut, whichever comes first. So nothing is copied but what the keeper makes of entries, and the table
//! needs no memory for it: growing, splitting and merging segments carry the colours along.
//!
//! Promises  the keeper sees exactly the entries of the moment of the cut, each as it was then, but for access clocks and
//!           what died of its deadline in between (expired entries and fields are removed without being shown: whoever
//!           reads them back finds them expired).
//! Not here  what is written of an entry: the keeper. One cut at a time: [`KeyTable::has_cut`] says whether one is on.
//! Tests     tests/ds/key_table_cuts.rs: a model, with growth, shrinking and changes between the steps.

use super::segment::Word;
use super::{EntryRef, HeapSize, KeyTable, bucket};

/// Steps of a bucket without anything to show, per entry that is shown.
const STEPS_PER_ENTRY: usize = 4;

/// Takes the entries of a cut.
pub trait Keeper<T>: Send {
    /// An entry as it was at the cut. Not again before the next cut.
    fn keep(&mut self, entry: EntryRef<'_, T>);

    /// Whether it wants no more in this step, because what it was shown was large.
    fn has_enough(&self) -> bool {
        false
    }

    /// `self`, for whoever knows what it is.
    fn as_any(&mut self) -> &mut dyn std::any::Any;
}

/// A cut that is being written out.
pub(super) struct Cut<T> {
    /// None: it was given up, and the entries only change colour.
    keeper: Option<Box<dyn Keeper<T>>>,
    /// The first hash that the walk has not passed.
    position: u64,
    /// The bucket it has come to in that segment.
    bucket_index: usize,
    /// The walk has passed the last segment.
    is_over: bool,
}

impl<T: HeapSize> KeyTable<T> {
    /// Cuts here: from now on `keeper` is shown what the table holds at this moment. O(1). No other cut is on.
    pub fn cut(&mut self, keeper: Box<dyn Keeper<T>>) {
        assert!(self.cut.is_none(), "one cut at a time");
        self.colour ^= bucket::COLOUR;
        self.cut = Some(Box::new(Cut {
            keeper: Some(keeper),
            position: 0,
            bucket_index: 0,
            is_over: false,
        }));
        self.note_onlookers();
    }

    /// Whether a cut is being written out, or what was given up has not all changed colour.
    pub fn has_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// The keeper of the cut that is on.
    pub fn keeper(&mut self) -> Option<&mut dyn Keeper<T>> {
        match &mut self.cut.as_mut()?.keeper {
            Some(keeper) => Some(&mut **keeper),
            None => None,
        }
    }

    /// Lets the keeper go: nothing more is shown. [`KeyTable::cut_step`] is still to be called until it is true.
    pub fn give_cut_up(&mut self) {
        if let Some(cut) = &mut self.cut {
            cut.keeper = None;
        }
    }

    /// Shows up to about `budget` entries, fewer where the keeper has enough; true when all have been shown. Then
    /// [`KeyTable::end_cut`] ends it.
    ///
    /// - A bucket is shown whole unless the keeper has enough, so up to 8 entries more may be.
    pub fn cut_step(&mut self, budget: usize) -> bool {
        self.close_object();
        let mut steps_left = budget * STEPS_PER_ENTRY;
        loop {
            let Some(cut) = &self.cut else { return true };
            if cut.is_over {
                return true;
            }
            let (position, bucket_index) = (cut.position, cut.bucket_index);
            let Some(word) = self.word(position) else {
                return self.pass(None);
            };
            if bucket_index == word.buckets_count() {
                match word.hash_after(position) {
                    Some(next) => self.pass(Some(next)),
                    None => return self.pass(None),
                };
                continue;
            }
            if steps_left == 0 {
                return false;
            }
            let shown_count = self.show_bucket(word, bucket_index);
            let Some(cut) = &mut self.cut else {
                return true;
            };
            if cut
                .keeper
                .as_ref()
                .is_some_and(|keeper| keeper.has_enough())
            {
                // The rest of this bucket comes next time: what was shown of it has its colour.
                return false;
            }
            cut.bucket_index += 1;
            steps_left = steps_left.saturating_sub(1 + shown_count * STEPS_PER_ENTRY);
        }
    }

    /// Ends a cut that has been shown whole, and hands the keeper back; none where it was given up.
    pub fn end_cut(&mut self) -> Option<Box<dyn Keeper<T>>> {
        let cut = self.cut.take()?;
        self.note_onlookers();
        debug_assert!(cut.is_over, "all of it was shown");
        cut.keeper
    }

    /// Goes on to the segment that begins at `next`; true where there is none.
    fn pass(&mut self, next: Option<u64>) -> bool {
        if let Some(cut) = &mut self.cut {
            cut.bucket_index = 0;
            match next {
                Some(next) => cut.position = next,
                None => cut.is_over = true,
            }
        }
        next.is_none()
    }

    /// Shows the entries in a bucket that have not been, until the keeper has enough; returns how many there were.
    fn show_bucket(&mut self, word: Word, index: usize) -> usize {
        let mut count = 0;
        if index + 2 < word.buckets_count() {
            // SAFETY: `index + 2` is below `buckets_count`.
            for &slot in unsafe { &(*word.bucket(index + 2)).0 } {
                if slot & bucket::COLOUR != self.colour {
                    bucket::prefetch(bucket::entry(slot));
                }
            }
        }
        for place in 0..bucket::SLOTS {
            // SAFETY: `index` is below `buckets_count`, `place` below `SLOTS`; a slot that is not empty holds a live entry.
            unsafe {
                let slot = (&raw mut (*word.bucket(index)).0).cast::<u64>().add(place);
                if !bucket::is_empty(slot.read()) && slot.read() & bucket::COLOUR != self.colour {
                    self.show(slot);
                    count += 1;
                    let keeper = self.cut.as_ref().and_then(|cut| cut.keeper.as_ref());
                    if keeper.is_some_and(|keeper| keeper.has_enough()) {
                        break;
                    }
                }
            }
        }
        count
    }

    /// Shows an entry that has not been shown.
    ///
    /// # Safety
    /// `slot` is a place in a live segment and holds an entry of the other colour; a cut is on.
    #[cold]
    pub(super) unsafe fn show(&mut self, slot: *mut u64) {
        // SAFETY: the caller's promise.
        let content = unsafe {
            let content = slot.read();
            slot.write(content ^ bucket::COLOUR);
            content
        };
        if let Some(cut) = &mut self.cut
            && let Some(keeper) = &mut cut.keeper
        {
            keeper.keep(EntryRef::new(bucket::entry(content)));
        }
    }

    /// Before an entry changes or goes: shows it, if it is still to be shown, and has who reads it read all of it. One branch
    /// where nobody does.
    ///
    /// # Safety
    /// `slot` is a place in a live segment and holds an entry.
    #[inline]
    pub(super) unsafe fn before_change(&mut self, slot: *mut u64) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.has_onlookers {
                self.show_onlookers(slot);
            }
        }
    }

    /// # Safety
    /// As for `before_change`.
    #[cold]
    unsafe fn show_onlookers(&mut self, slot: *mut u64) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.cut.is_some() && slot.read() & bucket::COLOUR != self.colour {
                self.show(slot);
            }
            self.finish_readings_of(slot);
            self.show_to_walks(slot);
        }
    }

    /// A segment's slots have other places: the walk looks through all of it again.
    #[inline]
    pub(super) fn segment_has_changed(&mut self) {
        if let Some(cut) = &mut self.cut {
            cut.bucket_index = 0;
        }
    }
}
