//! Table: any number of fields, each with its value and perhaps a deadline.
//!
//! Promises  what `FieldTable` does, for fields that all have values; a time in milliseconds is over for a field once the
//!           clock has passed it.
//! Not here  when a hash becomes a table: `hash/mod.rs`.

use super::FieldDeadline;
use crate::base::rng::Rng;
use crate::ds::field_table::{Entry, FieldTable};
use crate::ds::mover::{Mover, Progress};
use crate::ds::table_shape::TableShape;

/// Fields, values and deadlines in a field table.
#[derive(Clone)]
pub(super) struct Table {
    fields: FieldTable,
}

/// A field, its value and its deadline.
pub(super) type Row<'t> = (&'t [u8], &'t [u8], Option<i64>);

impl Table {
    pub(super) const fn new() -> Self {
        Self {
            fields: FieldTable::new(),
        }
    }

    #[inline]
    pub(super) fn find(&self, field: &[u8]) -> Option<(&[u8], Option<i64>)> {
        let (_, value, deadline_ms) = row(self.fields.get(field)?);
        Some((value, deadline_ms))
    }

    /// Sets a field; whether it is new.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8], deadline: FieldDeadline) -> bool {
        let is_kept = deadline == FieldDeadline::Keep && self.fields.set_value(field, value);
        !is_kept && self.fields.insert(field, Some(value), None)
    }

    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        self.fields.remove(field)
    }

    pub(super) fn set_deadline(&mut self, field: &[u8], deadline_ms: Option<i64>) -> bool {
        self.fields.set_deadline(field, deadline_ms)
    }

    /// Removes up to `max` fields that have died by `now_ms`, the earliest first; returns how many.
    pub(super) fn expire(&mut self, now_ms: i64, max: usize) -> usize {
        let mut count = 0;
        while count < max && self.fields.take_expired(now_ms - 1, |_| ()) {
            count += 1;
        }
        count
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// How many fields have died by `now_ms`. Costs as much as there are.
    pub(super) fn dead_count(&self, now_ms: i64) -> usize {
        self.fields.expired_count(now_ms - 1)
    }

    #[inline]
    pub(super) fn next_deadline_ms(&self) -> Option<i64> {
        self.fields.earliest_deadline_ms()
    }

    /// Every field, in no useful order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.fields.iter().map(row)
    }

    /// See [`FieldTable::shape`].
    pub(super) fn shape(&self, chains: bool) -> TableShape {
        self.fields.shape(chains)
    }

    /// See [`FieldTable::scan`].
    pub(super) fn scan<'t>(
        &'t self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(Row<'t>),
    ) -> u64 {
        self.fields.scan(cursor, count, |entry| visit(row(entry)))
    }

    /// A field, each as likely as any other.
    pub(super) fn random(&self, rng: &mut Rng) -> Option<Row<'_>> {
        self.fields.random(rng).map(row)
    }

    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        self.fields.heap_bytes()
    }

    /// See [`FieldTable::move_step`].
    pub(super) fn move_step(&mut self, from: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
        self.fields.move_step(from, mover)
    }

    pub(super) fn free_effort(&self) -> usize {
        self.fields.free_effort()
    }

    pub(super) fn free_step(&mut self, budget: usize) -> bool {
        self.fields.free_step(budget)
    }
}

#[inline]
fn row(entry: Entry<'_>) -> Row<'_> {
    // A field of a hash has a value, so it lies in a block with it.
    let field = entry.field_bytes().unwrap_or_default();
    (
        field,
        entry.value().unwrap_or_default(),
        entry.deadline_ms(),
    )
}
