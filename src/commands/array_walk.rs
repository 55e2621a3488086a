//! Ranges of large arrays, read bit by bit: ARGETRANGE, ARSCAN, ARGREP, AROP.
//!
//! Not here  what is made of each element, and ranges that are read at once: `array_range.rs`.
//! Tests     tests/shard/long_reads.rs.

use std::ops::ControlFlow;

use super::table::{Call, Effect};
use crate::ds::key_table::{EntryRef, ManyReader, ReadLimit, Rest, Value};
use crate::ds::listpack::Element;
use crate::keyspace::array::Array;
use crate::keyspace::{Collection, Object};
use crate::resp::Args;

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

impl<V: Visit> ManyReader<Object> for ArrayWalk<V> {
    fn read(
        &mut self,
        entries: &[EntryRef<'_, Object>],
        limit: ReadLimit,
    ) -> Option<Box<dyn Rest>> {
        let array = match entries.first().map(EntryRef::value) {
            Some(Value::Object(object)) => Array::of(object),
            _ => None,
        };
        let is_all = array.is_none_or(|array| self.go_on(array, limit.elements.max(1)));
        match is_all {
            true => self.visit.take().map(V::rest),
            false => None,
        }
    }
}
