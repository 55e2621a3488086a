//! Hash: fields with values, each of which may die at a time of its own.
//!
//!     packed    fields in a listpack, with deadlines once one was asked for     packed.rs
//!     table     any number of fields                                            table.rs
//!     urn       living fields, to draw from                                     urn.rs
//!
//! A field past its deadline stays until somebody removes it: `find` says that it is dead, `len` counts it, walks that
//! show fields pass over it.
//!
//! Promises  no answer shows a dead field; a hash without deadlines pays nothing for them.
//! Not here  removing dead fields and keys: `keyspace/expire.rs`; argv and replies: `commands/hash*.rs`.
//! Tests     tests/keyspace/hash.rs, tests/transcripts/hash*.txt.

mod packed;
mod table;
mod urn;

pub use crate::ds::listpack::Element;
pub use urn::Urn;

use super::limits::EncodingLimits;
use super::value::collection_of;
use super::{Collection, is_expired};
use crate::base::rng::Rng;
use crate::ds::key_table::HeapSize;
use crate::ds::listpack::Listpack;
use crate::ds::mover::{Mover, Progress};
use crate::ds::table_shape::TableShape;
use crate::ds::unaligned_box::UnalignedBox;
use packed::Packed;
use table::Table;

/// The latest deadline that a field may have: formats keep 48 bits of it.
pub const DEADLINE_MS_MAX: i64 = (1 << 48) - 1;

/// Fields with values.
#[derive(Clone)]
pub struct Hash {
    fields: Fields,
}

#[derive(Clone)]
enum Fields {
    Packed(Packed),
    Table(UnalignedBox<Table>),
}

/// What there is of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'h> {
    /// Nothing.
    Missing,
    /// A field whose time has come, not removed yet.
    Dead,
    /// A living field.
    Alive(Field<'h>),
}

/// A field's value and deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'h> {
    /// The value.
    pub value: Element<'h>,
    /// When it dies, in milliseconds since the epoch.
    pub deadline_ms: Option<i64>,
}

impl<'h> Found<'h> {
    /// The living field.
    #[inline]
    pub fn alive(self) -> Option<Field<'h>> {
        match self {
            Self::Alive(field) => Some(field),
            Self::Missing | Self::Dead => None,
        }
    }
}

/// What becomes of a field's deadline when its value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldDeadline {
    /// It lives on without one.
    Drop,
    /// It keeps the one it has.
    Keep,
}

impl Hash {
    /// A hash without fields.
    pub const fn new() -> Self {
        Self {
            fields: Fields::Packed(Packed::new()),
        }
    }

    /// What there is of a field.
    #[inline]
    pub fn find(&self, field: &[u8], now_ms: i64) -> Found<'_> {
        match self.find_any(field) {
            None => Found::Missing,
            Some(found) if is_expired(found.deadline_ms, now_ms) => Found::Dead,
            Some(found) => Found::Alive(found),
        }
    }

    /// A field, dead or alive.
    #[inline]
    pub fn find_any(&self, field: &[u8]) -> Option<Field<'_>> {
        match &self.fields {
            Fields::Packed(packed) => packed.find(field).map(|place| Field {
                value: packed.value(place),
                deadline_ms: packed.deadline_ms(place),
            }),
            Fields::Table(table) => table.find(field).map(|(value, deadline_ms)| Field {
                value: Element::Str(value),
                deadline_ms,
            }),
        }
    }

    /// Sets a field, dead or alive; whether it is new.
    ///
    /// - What makes the hash too large for its encoding changes the encoding.
    pub fn set<'v>(
        &mut self,
        field: &[u8],
        value: impl Into<Element<'v>>,
        deadline: FieldDeadline,
        limits: &EncodingLimits,
    ) -> bool {
        let value = value.into();
        self.make_room([field], limits);
        if value.text_bytes() > limits.hash_max_listpack_value {
            self.make_table();
        }
        let packed = match &mut self.fields {
            Fields::Packed(packed) => packed,
            Fields::Table(table) => {
                return table.set(field, value.text(&mut [0; 20]), deadline);
            }
        };
        let place = packed.find(field);
        match place {
            Some(place) => {
                packed.set_value(place, value);
                if deadline == FieldDeadline::Drop && packed.deadline_ms(place).is_some() {
                    packed.set_deadline(place, field, None);
                }
            }
            None => packed.add(field, value),
        }
        // Whether it is new or not: the limit may have been lowered since the last write.
        if packed.len() > limits.hash_max_listpack_entries {
            self.make_table();
        }
        place.is_none()
    }

    /// Changes the encoding if what is to be set, fields and values, will not do in this one.
    pub fn make_room<'w>(
        &mut self,
        words: impl IntoIterator<Item = &'w [u8], IntoIter: ExactSizeIterator>,
        limits: &EncodingLimits,
    ) {
        let Fields::Packed(packed) = &self.fields else {
            return;
        };
        let words = words.into_iter();
        let is_many = words.len() / 2 > limits.hash_max_listpack_entries;
        let mut bytes = 0;
        let mut has_long = false;
        if !is_many {
            for word in words {
                bytes += word.len();
                has_long |= word.len() > limits.hash_max_listpack_value;
            }
        }
        if is_many || has_long || !packed.pack().has_room_for(bytes) {
            self.make_table();
        }
    }

    /// Removes a field, dead or alive; whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.fields {
            Fields::Packed(packed) => packed
                .find(field)
                .map(|place| packed.remove(place))
                .is_some(),
            Fields::Table(table) => table.remove(field),
        }
    }

    /// Sets or clears a field's deadline, in milliseconds since the epoch; whether the field was there, dead or alive.
    pub fn set_deadline(&mut self, field: &[u8], deadline_ms: Option<i64>) -> bool {
        match &mut self.fields {
            Fields::Packed(packed) => {
                let Some(place) = packed.find(field) else {
                    return false;
                };
                if deadline_ms.is_some() && !packed.is_dated() {
                    packed.make_dated();
                    return self.set_deadline(field, deadline_ms);
                }
                if packed.is_dated() {
                    packed.set_deadline(place, field, deadline_ms);
                }
                true
            }
            Fields::Table(table) => table.set_deadline(field, deadline_ms),
        }
    }

    /// Gives a packed hash the layout with deadlines, as every command does that could set one.
    pub fn prepare_deadlines(&mut self) {
        if let Fields::Packed(packed) = &mut self.fields {
            packed.make_dated();
        }
    }

    /// Removes up to `max` dead fields, those that died first before others; returns how many.
    pub fn expire(&mut self, now_ms: i64, max: usize) -> usize {
        match &mut self.fields {
            Fields::Packed(packed) => {
                let count = packed.dead_count(now_ms).min(max);
                if count > 0 {
                    packed.remove_first(count);
                }
                count
            }
            Fields::Table(table) => table.expire(now_ms, max),
        }
    }

    /// Fields, the dead included.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.fields {
            Fields::Packed(packed) => packed.len(),
            Fields::Table(table) => table.len(),
        }
    }

    /// Whether there is no field, dead or alive.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Living fields.
    ///
    /// - Cost: O(1) but for the dead.
    pub fn alive_len(&self, now_ms: i64) -> usize {
        let is_due = is_expired(self.next_deadline_ms(), now_ms);
        match &self.fields {
            _ if !is_due => self.len(),
            Fields::Packed(packed) => packed.len() - packed.dead_count(now_ms),
            Fields::Table(table) => table.len() - table.dead_count(now_ms),
        }
    }

    /// The earliest deadline, dead fields' included.
    #[inline]
    pub fn next_deadline_ms(&self) -> Option<i64> {
        match &self.fields {
            Fields::Packed(packed) => packed.next_deadline_ms(),
            Fields::Table(table) => table.next_deadline_ms(),
        }
    }

    /// Shows every living field and its value.
    pub fn each<'h>(&'h self, now_ms: i64, mut visit: impl FnMut(Element<'h>, Element<'h>)) {
        self.walk(|field, found| {
            if !is_expired(found.deadline_ms, now_ms) {
                visit(field, found.value);
            }
        });
    }

    /// Shows every field, dead or alive.
    pub fn walk<'h>(&'h self, mut visit: impl FnMut(Element<'h>, Field<'h>)) {
        match &self.fields {
            Fields::Packed(packed) => {
                for (field, value, deadline_ms) in packed.iter() {
                    visit(field, Field { value, deadline_ms });
                }
            }
            Fields::Table(table) => {
                for (field, value, deadline_ms) in table.iter() {
                    let value = Element::Str(value);
                    visit(Element::Str(field), Field { value, deadline_ms });
                }
            }
        }
    }

    /// Shows about `count` living fields from `cursor` on, all of a packed hash; 0 begins.
    ///
    /// - Returns the next cursor, 0 at the end. A field that is there throughout is shown, whatever else changes.
    pub fn scan(
        &self,
        cursor: u64,
        count: usize,
        now_ms: i64,
        mut visit: impl FnMut(Element<'_>, Element<'_>),
    ) -> u64 {
        let Fields::Table(table) = &self.fields else {
            self.each(now_ms, visit);
            return 0;
        };
        table.scan(cursor, count, |(field, value, deadline_ms)| {
            if !is_expired(deadline_ms, now_ms) {
                visit(Element::Str(field), Element::Str(value));
            }
        })
    }

    /// The same of a table, dead fields too, with their deadlines; shows nothing of a packed hash.
    pub fn scan_all(
        &self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(&[u8], &[u8], Option<i64>),
    ) -> u64 {
        let Fields::Table(table) = &self.fields else {
            return 0;
        };
        table.scan(cursor, count, |(field, value, deadline_ms)| {
            visit(field, value, deadline_ms);
        })
    }

    /// A living field and its value, each as likely as any other; none if all are dead.
    pub fn random(&self, now_ms: i64, rng: &mut Rng) -> Option<(Element<'_>, Element<'_>)> {
        self.urn(now_ms, 1).draw(rng)
    }

    /// The living fields, to draw about `draws_count` of them, each from all.
    ///
    /// - Cost: one walk where more than a few are drawn from a listpack, else O(1).
    pub fn urn(&self, now_ms: i64, draws_count: u64) -> Urn<'_> {
        Urn::new(self, now_ms, draws_count)
    }

    /// The listpack of a packed hash, and whether it has deadlines (triples, not pairs).
    pub fn listpack(&self) -> Option<(&Listpack, bool)> {
        match &self.fields {
            Fields::Packed(packed) => Some((packed.pack(), packed.is_dated())),
            Fields::Table(_) => None,
        }
    }

    /// A hash from a listpack that came from elsewhere, with deadlines (triples) or without (pairs).
    ///
    /// - None where it is no hash: an incomplete field, one that is there twice, deadlines out of order.
    pub fn from_listpack(pack: Listpack, is_dated: bool) -> Option<Self> {
        let packed = Packed::from_listpack(pack, is_dated)?;
        Some(Self {
            fields: Fields::Packed(packed),
        })
    }

    /// Changes to the encoding for many fields.
    pub fn make_table(&mut self) {
        let Fields::Packed(packed) = &self.fields else {
            return;
        };
        let mut table = Table::new();
        let (mut field_digits, mut value_digits) = ([0; 20], [0; 20]);
        for (field, value, deadline_ms) in packed.iter() {
            let field = field.text(&mut field_digits);
            table.set(field, value.text(&mut value_digits), FieldDeadline::Drop);
            if deadline_ms.is_some() {
                table.set_deadline(field, deadline_ms);
            }
        }
        self.fields = Fields::Table(UnalignedBox::new(table));
    }
}

impl Hash {
    /// The shape of the hash table it is, if it is one.
    pub fn table_shape(&self, chains: bool) -> Option<TableShape> {
        match &self.fields {
            Fields::Packed(_) => None,
            Fields::Table(table) => Some(table.shape(chains)),
        }
    }
}

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

impl HeapSize for Hash {
    #[inline]
    fn extent(&self) -> (usize, usize) {
        (crate::keyspace::value::HASHES, self.len())
    }

    fn heap_bytes(&self) -> usize {
        match &self.fields {
            Fields::Packed(packed) => packed.pack().heap_bytes(),
            Fields::Table(table) => size_of::<Table>() + table.heap_bytes(),
        }
    }

    fn move_step(&mut self, from: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
        match &mut self.fields {
            Fields::Packed(packed) => {
                packed.move_by(mover);
                None
            }
            Fields::Table(table) => {
                if from.is_start() {
                    mover.unaligned_box(table);
                }
                table.move_step(from, mover)
            }
        }
    }

    fn free_effort(&self) -> usize {
        match &self.fields {
            Fields::Packed(_) => 1,
            Fields::Table(table) => table.free_effort(),
        }
    }

    fn free_step(&mut self, budget: usize) -> bool {
        match &mut self.fields {
            Fields::Packed(_) => true,
            Fields::Table(table) => table.free_step(budget),
        }
    }

    /// When its first field dies.
    fn wake_at_ms(&self) -> Option<i64> {
        self.next_deadline_ms()
    }
}

impl Collection for Hash {
    const TYPE_NAME: &'static str = "hash";

    fn encoding_name(&self) -> &'static str {
        match &self.fields {
            Fields::Packed(packed) if packed.is_dated() => "listpackex",
            Fields::Packed(_) => "listpack",
            Fields::Table(_) => "hashtable",
        }
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    collection_of!(Hash);
}
