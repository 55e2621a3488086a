//! Ranges of large arrays, read bit by bit: ARGETRANGE, ARLASTITEMS, ARSCAN, ARGREP, AROP.
//!
//! Not here  what is made of each element, and ranges that are read at once: `array_range.rs`.
//! Tests     tests/shard/long_reads.rs.

use std::ops::ControlFlow;

use super::array::reply_element;
use super::pieces::{Piece, Walk, first_object};
use super::table::{Call, Effect};
use crate::ds::key_table::{EntryRef, ManyReader, ReadLimit, Rest};
use crate::ds::listpack::Element;
use crate::keyspace::array::Array;
use crate::keyspace::{Collection, Object};
use crate::resp::{Args, Reply};

/// What a range comes to.
pub(super) trait Visit: Send + 'static {
    /// Takes in what is at a place; whether more is wanted.
    fn see(&mut self, place: u64, element: Element<'_>) -> bool;

    /// What makes the reply.
    fn rest(self) -> Box<dyn Rest>;
}

/// See the module.
pub(super) struct ArrayWalk<V> {
    /// What is left, backwards where `next` is the larger.
    next: u64,
    end: u64,
    /// Until it has made the reply.
    visit: Option<V>,
}

impl Call<'_> {
    /// Instead of a reply: `visit` will make it of what the array at word 1 has from `start` to `end`.
    #[cold]
    pub(super) fn visit_in_pieces<V: Visit>(
        &mut self,
        args: &Args<'_>,
        (start, end): (u64, u64),
        visit: V,
    ) -> Effect {
        let key = self.keys.key(args.get(1));
        let walk = ArrayWalk {
            next: start,
            end,
            visit: Some(visit),
        };
        self.keys
            .begin_reading_many(self.db, &[key], Box::new(walk));
        Effect::NONE
    }

    /// Instead of a reply: it will be made of what the array at word 1 has at these places.
    #[cold]
    pub(super) fn places_in_pieces(
        &mut self,
        args: &Args<'_>,
        places: Places,
        reply: &mut Reply<'_>,
    ) -> Effect {
        let head = reply.len();
        reply.array(places.count() as usize);
        let key = self.keys.key(args.get(1));
        self.reply_in_pieces(&key, reply, head, places)
    }
}

impl<V: Visit> ArrayWalk<V> {
    /// Goes on for so many elements; whether nothing is left to be looked at.
    fn go_on(&mut self, array: &Array, mut left_count: usize) -> bool {
        let (next, end) = (self.next, self.end);
        let Some(visit) = &mut self.visit else {
            return true;
        };
        let mut stopped_at = None;
        array.places().visit(next, end, |place, element| {
            left_count -= 1;
            if !visit.see(place, element) {
                return ControlFlow::Break(());
            }
            if left_count == 0 && place != end {
                stopped_at = Some(place);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        let Some(place) = stopped_at else {
            return true;
        };
        // It is not the end that it has stopped at.
        self.next = match next > end {
            true => place - 1,
            false => place + 1,
        };
        false
    }
}

/// What is at each place of some ranges, empty places too.
pub(super) struct Places {
    /// What is left, the next range last, each backwards where its start is the larger.
    ranges: Vec<(u64, u64)>,
}

impl Places {
    /// - `ranges`: in order, each from its start to its end, both included.
    pub(super) fn of(mut ranges: Vec<(u64, u64)>) -> Self {
        ranges.reverse();
        Self { ranges }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        let count = |(start, end): &(u64, u64)| start.abs_diff(*end).saturating_add(1);
        self.ranges.iter().map(count).sum()
    }

    /// Replies with all of them.
    pub(super) fn reply(mut self, array: Option<&Array>, reply: &mut Reply<'_>) {
        let count = self.count();
        reply.array(count as usize);
        match array {
            Some(array) => self.tell(array, |element| {
                reply_element(element, reply);
                ControlFlow::Continue(())
            }),
            None => (0..count).for_each(|_| reply.null()),
        }
    }

    /// Hands what is at the next places to `told`, until that is enough.
    fn tell(
        &mut self,
        array: &Array,
        mut told: impl FnMut(Option<Element<'_>>) -> ControlFlow<()>,
    ) {
        while let Some((start, end)) = self.ranges.pop() {
            let count = start.abs_diff(end).saturating_add(1);
            let mut done_count = 0;
            // The empty places before this one, or before the end, and what is there.
            let mut tell = |distance: u64, element: Option<Element<'_>>| {
                while done_count < distance {
                    done_count += 1;
                    told(None)?;
                }
                if element.is_some() {
                    done_count += 1;
                    told(element)?;
                }
                ControlFlow::Continue(())
            };
            let mut flow = ControlFlow::Continue(());
            array.places().visit(start, end, |place, element| {
                flow = tell(place.abs_diff(start), Some(element));
                flow
            });
            if flow.is_continue() {
                flow = tell(count, None);
            }
            if done_count < count {
                let next = match start > end {
                    true => start - done_count,
                    false => start + done_count,
                };
                self.ranges.push((next, end));
            }
            if flow.is_break() {
                return;
            }
        }
    }
}

impl Walk for Places {
    type Of = Array;

    fn go_on(&mut self, array: &Array, piece: &mut Piece<'_>) -> bool {
        self.tell(array, |element| {
            reply_element(element, &mut piece.reply());
            match piece.is_full_after(1) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        self.ranges.is_empty()
    }
}

impl<V: Visit> ManyReader<Object> for ArrayWalk<V> {
    fn read(
        &mut self,
        entries: &[EntryRef<'_, Object>],
        limit: ReadLimit,
    ) -> Option<Box<dyn Rest>> {
        let array = first_object(entries).and_then(Array::of);
        let is_all = array.is_none_or(|array| self.go_on(array, limit.elements.max(1)));
        match is_all {
            true => self.visit.take().map(V::rest),
            false => None,
        }
    }
}
