//! Field table: fields, each with a value or without, each with a deadline or without. Large sets and large hashes.
//!
//!     slot table -> one small block for each field (`block.rs`); a field that is a number and has nothing else needs none
//!     deadlines  -> a heap over the blocks that have one (`deadlines.rs`), not there while there are none
//!
//! Promises  no call waits for a growing table; `heap_bytes` is exact and O(1); what a field costs is its block, a
//!           length byte for each of its parts and 9.3 bytes of slot; the earliest deadline is known in O(1).
//! Not here  when a field is dead: the caller asks `take_expired`; until then it is found like any other.
//! Tests     `tests/ds/field_table.rs`: a model of every operation, clones, frees in steps, the heap's bytes
//!           reckoned from the model; clean under AddressSanitizer.

mod block;
mod deadlines;

use crate::base::hash::member_hasher;
use crate::base::rng::Rng;
use crate::ds::listpack::Element;
use crate::ds::mover::{Mover, Progress};
use crate::ds::slot_table::{Place, SlotTable};
use crate::ds::table_shape::TableShape;
use block::Block;
use deadlines::Deadlines;
use std::marker::PhantomData;
use std::ops::Deref;

/// A step of a scan over more is not asked for ahead: what was first would be gone again.
const PREFETCH_MAX: usize = 512;

/// Fields to values and deadlines.
pub struct FieldTable {
    /// Every payload is a live `Block`, which belongs to this table alone.
    slots: SlotTable,
    blocks_bytes: usize,
    blocks_count: usize,
    deadlines: Option<Box<Deadlines>>,
}

/// A field with what belongs to it, borrowed.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    block: Block,
    table: PhantomData<&'a FieldTable>,
}

/// The bytes of a field; written out from a number where the table keeps it as one.
#[derive(Clone, Debug)]
pub struct Field<'a>(Text<'a>);

#[derive(Clone, Debug)]
enum Text<'a> {
    Borrowed(&'a [u8]),
    Number { text: [u8; 20], start: usize },
}

/// The hash of a field, good for every table of this process.
#[inline]
pub fn field_hash(field: &[u8]) -> u64 {
    member_hasher().hash(field)
}

impl FieldTable {
    /// An empty table; allocates nothing.
    pub const fn new() -> Self {
        Self {
            slots: SlotTable::new(),
            blocks_bytes: 0,
            blocks_count: 0,
            deadlines: None,
        }
    }

    /// Fields.
    #[inline]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Every byte on the heap. O(1).
    pub fn heap_bytes(&self) -> usize {
        let deadlines_bytes =
            |deadlines: &Deadlines| deadlines.heap_bytes() + size_of::<Deadlines>();
        self.slots.heap_bytes()
            + self.blocks_bytes
            + self.deadlines.as_deref().map_or(0, deadlines_bytes)
    }

    /// See [`SlotTable::shape`].
    pub fn shape(&self, chains: bool) -> TableShape {
        self.slots.shape(chains)
    }

    /// About how many allocations dropping the table frees.
    pub fn free_effort(&self) -> usize {
        self.blocks_count + self.len() / 64
    }

    /// A field with what belongs to it.
    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<Entry<'_>> {
        self.get_hashed(field_hash(field), field)
    }

    /// As `get`, for a hash that `field_hash` gave.
    #[inline]
    pub fn get_hashed(&self, hash: u64, field: &[u8]) -> Option<Entry<'_>> {
        let place = self.find(hash, field)?;
        Some(Entry::new(Block(self.slots.payload(place))))
    }

    /// Whether the field is there.
    #[inline]
    pub fn contains(&self, field: &[u8]) -> bool {
        self.contains_hashed(field_hash(field), field)
    }

    /// As `contains`, for a hash that `field_hash` gave.
    #[inline]
    pub fn contains_hashed(&self, hash: u64, field: &[u8]) -> bool {
        self.find(hash, field).is_some()
    }

    /// Starts loading what a lookup of `hash` will need first.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.slots.prefetch(hash);
    }

    /// Adds the field, or replaces everything that belongs to it, its deadline too. True if it is new.
    pub fn insert(&mut self, field: &[u8], value: Option<&[u8]>, deadline_ms: Option<i64>) -> bool {
        self.insert_hashed(field_hash(field), field, value, deadline_ms)
    }

    /// As `insert`, for a hash that `field_hash` gave.
    pub fn insert_hashed(
        &mut self,
        hash: u64,
        field: &[u8],
        value: Option<&[u8]>,
        deadline_ms: Option<i64>,
    ) -> bool {
        if let Some(place) = self.find(hash, field) {
            self.replace(place, value, deadline_ms);
            return false;
        }
        let block = self.create(field, value, deadline_ms);
        self.slots.insert(hash, block.0, |payload| {
            // SAFETY: payloads of this table are live blocks.
            field_hash(&unsafe { Block(payload).field() })
        });
        true
    }

    /// Replaces the value of a field and keeps its deadline; false where there is no such field.
    pub fn set_value(&mut self, field: &[u8], value: &[u8]) -> bool {
        let Some(place) = self.find(field_hash(field), field) else {
            return false;
        };
        let deadline_ms = self.entry_at(place).deadline_ms();
        self.replace(place, Some(value), deadline_ms);
        true
    }

    /// Gives a field a deadline or takes it away; false where there is no such field.
    pub fn set_deadline(&mut self, field: &[u8], deadline_ms: Option<i64>) -> bool {
        let Some(place) = self.find(field_hash(field), field) else {
            return false;
        };
        let block = Block(self.slots.payload(place));
        match (deadline_ms, &mut self.deadlines) {
            // SAFETY: the block is alive and has a deadline, so it has a position too.
            (Some(deadline_ms), Some(deadlines)) if block.has_deadline() => unsafe {
                block.set_deadline_ms(deadline_ms);
                deadlines.set(block.position(), deadline_ms);
            },
            (None, _) if !block.has_deadline() => (),
            _ => {
                // SAFETY: the block is alive until it is freed, and `create` copies out of it before.
                let (field, value) = unsafe { (block.field(), block.value()) };
                let new = self.create(&field, value, deadline_ms);
                self.slots.set_payload(place, new.0);
                // SAFETY: no slot leads to the block any more.
                unsafe { self.free(block) };
            }
        }
        true
    }

    /// Removes a field; false where there is none.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        self.remove_hashed(field_hash(field), field)
    }

    /// As `remove`, for a hash that `field_hash` gave.
    pub fn remove_hashed(&mut self, hash: u64, field: &[u8]) -> bool {
        let place = self.find(hash, field);
        if let Some(place) = place {
            self.remove_at(place);
        }
        place.is_some()
    }

    /// Removes what is at a place.
    pub fn remove_at(&mut self, place: Place) {
        let block = Block(self.slots.remove_at(place));
        // SAFETY: the slot was the only one that led to the block.
        unsafe { self.free(block) };
    }

    /// What is at a place.
    #[inline]
    pub fn entry_at(&self, place: Place) -> Entry<'_> {
        Entry::new(Block(self.slots.payload(place)))
    }

    /// The place of a field, each as likely as any other; good until the table changes.
    pub fn random_place(&self, rng: &mut Rng) -> Option<Place> {
        self.slots.random(rng)
    }

    /// A field, each as likely as any other.
    pub fn random(&self, rng: &mut Rng) -> Option<Entry<'_>> {
        self.random_place(rng).map(|place| self.entry_at(place))
    }

    /// Visits `count` fields or a few more from `cursor`, 0 at first; returns the next cursor, 0 at the end.
    ///
    /// - A field that is there throughout is visited, whatever the table does between the calls.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(Entry<'a>)) -> u64 {
        // Blocks lie anywhere: those of a step are asked for together, so that their cache misses overlap.
        if count <= PREFETCH_MAX {
            self.slots
                .scan(cursor, count, |payload| Block(payload).prefetch());
        }
        self.slots
            .scan(cursor, count, |payload| visit(Entry::new(Block(payload))))
    }

    /// Every field, in no useful order.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        // Blocks lie anywhere: those of a segment are asked for together, so that their cache misses overlap.
        self.slots.groups().flat_map(|group| {
            group.clone().for_each(|payload| Block(payload).prefetch());
            group.map(|payload| Entry::new(Block(payload)))
        })
    }

    /// How many fields have a deadline.
    pub fn deadlines_count(&self) -> usize {
        self.deadlines.as_deref().map_or(0, Deadlines::len)
    }

    /// The earliest deadline of all fields.
    pub fn earliest_deadline_ms(&self) -> Option<i64> {
        let (deadline_ms, _) = self.deadlines.as_deref()?.first()?;
        Some(deadline_ms)
    }

    /// How many fields have a deadline at or before `now_ms`. Costs as much as there are.
    pub fn expired_count(&self, now_ms: i64) -> usize {
        self.deadlines
            .as_deref()
            .map_or(0, |deadlines| deadlines.count_until(now_ms))
    }

    /// Removes one field whose deadline is at or before `now_ms`, after `dead` has seen it; false where there is none.
    pub fn take_expired(&mut self, now_ms: i64, dead: impl FnOnce(Entry<'_>)) -> bool {
        let first = self.deadlines.as_deref().and_then(Deadlines::first);
        let Some((_, block)) = first.filter(|(deadline_ms, _)| *deadline_ms <= now_ms) else {
            return false;
        };
        dead(Entry::new(block));
        // SAFETY: blocks in the heap are alive.
        let hash = field_hash(&unsafe { block.field() });
        let place = self.slots.find(hash, |payload| payload == block.0);
        if let Some(place) = place {
            self.remove_at(place);
        }
        place.is_some()
    }

    /// Frees about `budget` blocks; true once nothing is left to free. The table is good for nothing else afterwards.
    pub fn free_step(&mut self, budget: usize) -> bool {
        if let Some(deadlines) = &mut self.deadlines {
            for _ in 0..budget.max(1) {
                if !deadlines.drop_piece() {
                    self.deadlines = None;
                    break;
                }
            }
            return false;
        }
        let (mut bytes, mut count) = (0, 0);
        let is_done = self.slots.drain_step(budget, |payload| {
            let block = Block(payload);
            count += usize::from(!block.is_number());
            // SAFETY: the payload was the only one that led to the block.
            unsafe {
                bytes += block.bytes();
                block.free();
            }
        });
        self.blocks_bytes -= bytes;
        self.blocks_count -= count;
        is_done
    }

    /// Moves allocations, from `from` on; returns where to go on, None at the end.
    pub fn move_step(&mut self, from: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
        if from.part == 0 {
            let deadlines = &mut self.deadlines;
            let next = self.slots.move_step(from.index(), mover, |payload, mover| {
                let block = Block(payload);
                if block.is_number() || !mover.wants(block.address()) {
                    return payload;
                }
                // SAFETY: payloads of this table are live blocks. The copy has the deadline and the position of its
                // original, and takes its place there as in the slot; nothing leads to the original any more.
                unsafe {
                    let copied = block.copied();
                    if block.has_deadline()
                        && let Some(deadlines) = deadlines
                    {
                        deadlines.replace(block.position(), copied);
                    }
                    mover.moved(block.bytes());
                    block.free();
                    copied.0
                }
            });
            let (part, at) = next.map_or((1, 0), |segment| (0, segment));
            return Some(Progress::new(part, at));
        }
        let next = self.deadlines.as_mut()?.move_step(from.index(), mover)?;
        Some(Progress::new(1, next))
    }

    #[inline]
    fn find(&self, hash: u64, field: &[u8]) -> Option<Place> {
        let mut number = None;
        self.slots.find(hash, |payload| {
            let block = Block(payload);
            if block.is_number() {
                // Read once, and only where hashes agree; written out it would cost more.
                return *number.get_or_insert_with(|| Block::number(field)) == Some(block);
            }
            // SAFETY: payloads of this table are live blocks.
            unsafe { block.is_field(field) }
        })
    }

    /// A block, or a number that needs none, counted and known to the heap of deadlines.
    fn create(&mut self, field: &[u8], value: Option<&[u8]>, deadline_ms: Option<i64>) -> Block {
        if value.is_none()
            && deadline_ms.is_none()
            && let Some(number) = Block::number(field)
        {
            return number;
        }
        let block = Block::create(field, value, deadline_ms);
        self.blocks_count += 1;
        // SAFETY: the block is new; it leaves the heap in `free`, or is replaced there.
        unsafe {
            self.blocks_bytes += block.bytes();
            if let Some(deadline_ms) = deadline_ms {
                self.deadlines
                    .get_or_insert_with(|| Box::new(Deadlines::new()))
                    .insert(deadline_ms, block);
            }
        }
        block
    }

    /// Frees a block that no slot leads to.
    ///
    /// # Safety
    /// The block is alive, came from `create` and is used no more.
    unsafe fn free(&mut self, block: Block) {
        if block.is_number() {
            return;
        }
        // SAFETY: the caller's promise; a block with a deadline is in the heap, at its position.
        unsafe {
            if block.has_deadline()
                && let Some(deadlines) = &mut self.deadlines
            {
                deadlines.remove(block.position());
                if deadlines.len() == 0 {
                    self.deadlines = None;
                }
            }
            self.blocks_bytes -= block.bytes();
            self.blocks_count -= 1;
            block.free();
        }
    }

    /// Replaces what belongs to the field at a place.
    fn replace(&mut self, place: Place, value: Option<&[u8]>, deadline_ms: Option<i64>) {
        let block = Block(self.slots.payload(place));
        if block.is_bare() && value.is_none() && deadline_ms.is_none() {
            return;
        }
        // SAFETY: the block is alive until it is freed, and `create` copies out of it before. Nothing borrows from it
        // while its value is written over: `self` is borrowed exclusively.
        unsafe {
            if block.deadline_ms() == deadline_ms
                && let Some(value) = value
                && block.overwrite_value(value)
            {
                return;
            }
            let new = self.create(&block.field(), value, deadline_ms);
            self.slots.set_payload(place, new.0);
            self.free(block);
        }
    }
}

impl Default for FieldTable {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for FieldTable {
    fn clone(&self) -> Self {
        let mut deadlines = self
            .deadlines
            .as_deref()
            .map(Deadlines::shape_of)
            .map(Box::new);
        let slots = self.slots.clone_with(|payload| {
            let block = Block(payload);
            // SAFETY: payloads of this table are live blocks. The copy has the position of its original, where `replace`
            // finds the same deadline, and it lives as long as the new table.
            unsafe {
                let copied = block.copied();
                if let Some(deadlines) = &mut deadlines
                    && block.has_deadline()
                {
                    deadlines.replace(block.position(), copied);
                }
                copied.0
            }
        });
        Self {
            slots,
            blocks_bytes: self.blocks_bytes,
            blocks_count: self.blocks_count,
            deadlines,
        }
    }
}

impl Drop for FieldTable {
    fn drop(&mut self) {
        if self.blocks_count == 0 {
            return;
        }
        for payload in self.slots.iter() {
            // SAFETY: the blocks belong to this table, and nothing reads them after this; the heap frees none.
            unsafe { Block(payload).free() };
        }
    }
}

impl<'a> Entry<'a> {
    #[inline]
    fn new(block: Block) -> Self {
        Self {
            block,
            table: PhantomData,
        }
    }

    /// The field.
    #[inline]
    pub fn field(self) -> Field<'a> {
        // SAFETY: the table is borrowed for `'a`, so its blocks stay as they are.
        unsafe { self.block.field() }
    }

    /// The field's bytes where they lie in the table, as they do for every field that has a value or a deadline.
    #[inline]
    pub fn field_bytes(self) -> Option<&'a [u8]> {
        match self.field().0 {
            Text::Borrowed(bytes) => Some(bytes),
            Text::Number { .. } => None,
        }
    }

    /// The field as what it is kept as.
    #[inline]
    pub fn element(self) -> Element<'a> {
        if self.block.is_number() {
            return Element::Int(self.block.integer());
        }
        // SAFETY: the table is borrowed for `'a`, so its blocks stay as they are.
        Element::Str(unsafe { self.block.text() })
    }

    /// The value, if the field has one.
    #[inline]
    pub fn value(self) -> Option<&'a [u8]> {
        // SAFETY: the table is borrowed for `'a`, so its blocks stay as they are.
        unsafe { self.block.value() }
    }

    /// The deadline, if the field has one.
    #[inline]
    pub fn deadline_ms(self) -> Option<i64> {
        // SAFETY: the table is borrowed for `'a`, so its blocks stay as they are.
        unsafe { self.block.deadline_ms() }
    }
}

impl<'a> Field<'a> {
    fn borrowed(bytes: &'a [u8]) -> Self {
        Self(Text::Borrowed(bytes))
    }

    fn number(text: [u8; 20], start: usize) -> Self {
        Self(Text::Number { text, start })
    }
}

impl Deref for Field<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Text::Borrowed(bytes) => bytes,
            Text::Number { text, start } => &text[*start..],
        }
    }
}
