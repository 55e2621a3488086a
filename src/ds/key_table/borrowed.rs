//! One entry of the table, borrowed: `EntryRef` to read, `EntryMut` to change.
//!
//! Promises  a change of value or deadline stays in place where the slab's class stays; references last as long as the
//!           table is borrowed.

use super::entry::{self, INLINE_BYTES_MAX, Kind, Shape};
use super::large::Large;
use super::payload::{Lifted, Payload, block_bytes, object_bytes, object_in, owns_more};
use super::sizes::Bin;
use super::{HeapSize, KeyTable, NewValue, OwnedValue, Value, bucket};
use crate::base::shared_bytes::SharedBytes;
use crate::ds::slab::rounded_bytes;
use bytes::Bytes;
use std::io::Write;
use std::marker::PhantomData;

/// Redis calls strings up to this long `embstr` until they are changed in place.
const EMBEDDED_BYTES_MAX: usize = 44;

/// One entry, to read.
pub struct EntryRef<'t, T> {
    /// A live entry, for as long as the table is borrowed.
    entry: *mut u8,
    table: PhantomData<&'t T>,
}

/// One entry, to change. Borrowing the table exclusively is what keeps its place valid.
pub struct EntryMut<'t, T> {
    table: &'t mut KeyTable<T>,
    hash: u64,
    /// The entry's place in the table.
    slot: *mut u64,
}

impl<T> Clone for EntryRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for EntryRef<'_, T> {}

impl<'t, T: HeapSize> EntryRef<'t, T> {
    #[inline]
    pub(super) fn new(entry: *mut u8) -> Self {
        Self {
            entry,
            table: PhantomData,
        }
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &'t [u8] {
        // SAFETY: the entry is alive and unchanged while the table is borrowed.
        unsafe { entry::key(self.entry) }
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> Value<'t, T> {
        // SAFETY: the entry is alive and unchanged while the table is borrowed; boxes hold what their kind says.
        unsafe {
            // Most values are these: no jump table before them.
            if let Some((length, raw)) = entry::inline_string(self.entry) {
                let bytes = std::slice::from_raw_parts(entry::payload(self.entry), length);
                let raw = raw || length > EMBEDDED_BYTES_MAX;
                return Value::Str { bytes, raw };
            }
            match entry::kind(self.entry) {
                Kind::Int => Value::Int(entry::int(self.entry)),
                Kind::Object => Value::Object(&*object_in::<T>(self.entry)),
                Kind::Large | Kind::Inline => Value::Str {
                    bytes: (*entry::boxed::<Large>(self.entry)).bytes(),
                    raw: true,
                },
            }
        }
    }

    /// When it dies, in milliseconds since the epoch.
    #[inline]
    pub fn deadline_ms(&self) -> Option<i64> {
        // SAFETY: the entry is alive.
        unsafe { entry::deadline_ms(self.entry) }
    }

    /// 24 bits for the eviction policy's clock.
    #[inline]
    pub fn access(&self) -> u32 {
        // SAFETY: the entry is alive.
        unsafe { entry::access(self.entry) }
    }

    /// Bytes that its value owns outside of the entry.
    pub fn value_bytes(&self) -> usize {
        // SAFETY: the entry is alive; boxes hold what their kind says.
        unsafe {
            match entry::shape(self.entry).kind {
                Kind::Int | Kind::Inline => 0,
                Kind::Large => (*entry::boxed::<Large>(self.entry)).heap_bytes(),
                Kind::Object => object_bytes(&*object_in::<T>(self.entry)),
            }
        }
    }

    /// Bytes this entry takes: its slab class, what its value owns, its share of the bucket array.
    pub fn memory_bytes(&self) -> usize {
        // SAFETY: the entry is alive.
        unsafe { block_bytes(entry::shape(self.entry)) + self.value_bytes() }
    }
}

impl<'t, T: HeapSize> EntryMut<'t, T> {
    #[inline]
    pub(super) fn new(table: &'t mut KeyTable<T>, hash: u64, slot: *mut u64) -> Self {
        Self { table, hash, slot }
    }

    #[inline]
    fn entry(&self) -> *mut u8 {
        // SAFETY: the slot stays in place and full while the table is borrowed through `self`.
        bucket::entry(unsafe { self.slot.read() })
    }

    /// Whatever changes the entry begins here: a cut must have seen it.
    #[inline]
    fn before_change(&mut self) {
        // SAFETY: the slot stays in place and full while the table is borrowed through `self`.
        unsafe { self.table.before_change(self.slot) };
    }

    /// The entry, to read for as long as `self` is not changed.
    #[inline]
    pub fn as_ref(&self) -> EntryRef<'_, T> {
        EntryRef::new(self.entry())
    }

    /// The entry, to read for as long as the table was borrowed.
    #[inline]
    pub fn into_ref(self) -> EntryRef<'t, T> {
        EntryRef::new(self.entry())
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        self.as_ref().key()
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> Value<'_, T> {
        self.as_ref().value()
    }

    /// The value for as long as the table was borrowed (a read that began as a mutable lookup).
    #[inline]
    pub fn into_value(self) -> Value<'t, T> {
        self.into_ref().value()
    }

    /// When it dies, in milliseconds since the epoch.
    #[inline]
    pub fn deadline_ms(&self) -> Option<i64> {
        self.as_ref().deadline_ms()
    }

    /// 24 bits for the eviction policy's clock.
    #[inline]
    pub fn access(&self) -> u32 {
        self.as_ref().access()
    }

    /// Keeps the low 24 bits.
    #[inline]
    pub fn set_access(&mut self, access: u32) {
        // SAFETY: the entry is alive and ours alone.
        unsafe { entry::set_access(self.entry(), access) };
    }

    /// Replaces the value; the deadline and the access clock stay.
    ///
    /// - Cost: one copy of a string; in place where the slab's class stays, else a new block.
    #[inline(always)]
    pub fn set_value(&mut self, value: NewValue<'_, T>) {
        if let NewValue::Str { bytes, raw } = value
            && self.overwrite(bytes, raw)
        {
            return;
        }
        self.set_any_value(value);
    }

    /// Puts a short string in the place of one as long; false where the value is anything else.
    #[inline(always)]
    fn overwrite(&mut self, bytes: &[u8], raw: bool) -> bool {
        // SAFETY: the entry is alive and ours alone; its string owns nothing else, and there are as many bytes of it.
        unsafe {
            if entry::inline_string(self.entry()) != Some((bytes.len(), raw)) {
                return false;
            }
            self.before_change();
            let place = entry::payload(self.entry());
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
        }
        true
    }

    fn set_any_value(&mut self, value: NewValue<'_, T>) {
        self.before_change();
        let payload = Payload::of(value);
        // SAFETY: the entry is alive; its old payload is lifted, then overwritten in a shape made for the new one.
        unsafe {
            let old = entry::shape(self.entry());
            let new = Shape {
                kind: payload.kind(),
                raw: payload.is_raw(),
                payload_bytes: payload.bytes(),
                ..old
            };
            if old == new && matches!(old.kind, Kind::Inline | Kind::Int) {
                // As wide as before: nothing but bytes changes, and the length of an integer's text.
                if let Payload::Int(number, _) = payload {
                    let before = Bin::of_int(entry::int(self.entry()));
                    self.table.sizes.change(before, Bin::of_int(number));
                }
                return self.table.put(self.entry(), payload);
            }
            let (before, after) = (Bin::of_entry::<T>(self.entry()), Bin::of_payload(&payload));
            let lifted = self.table.lift(self.entry());
            self.table.sizes.change(before, after);
            if old != new {
                self.reshape(old, new, self.deadline_ms(), 0);
            }
            let wake_at_ms = payload.wake_at_ms();
            self.table.put(self.entry(), payload);
            self.table.note_wake(self.hash, wake_at_ms);
            self.table.discard(lifted);
        }
    }

    /// Sets or clears when the entry dies, in milliseconds since the epoch.
    pub fn set_deadline(&mut self, deadline_ms: Option<i64>) {
        self.before_change();
        // SAFETY: the entry is alive; the slot is in the live segment of `hash`.
        unsafe {
            let old = entry::shape(self.entry());
            match deadline_ms {
                Some(deadline_ms) if old.has_deadline => {
                    entry::replace_deadline(self.entry(), deadline_ms);
                }
                None if !old.has_deadline => return,
                _ => {
                    let new = Shape {
                        has_deadline: deadline_ms.is_some(),
                        ..old
                    };
                    self.reshape(old, new, deadline_ms, old.payload_bytes);
                    let deadline_bit = u64::from(new.has_deadline) * bucket::HAS_DEADLINE;
                    *self.slot = *self.slot & !bucket::HAS_DEADLINE | deadline_bit;
                    self.table.deadlines_count += usize::from(new.has_deadline);
                    self.table.deadlines_count -= usize::from(old.has_deadline);
                }
            }
            if let (Some(deadline_ms), Some(word)) = (deadline_ms, self.table.word(self.hash)) {
                let header = word.header();
                (*header).deadline_min_ms = (*header).deadline_min_ms.min(deadline_ms);
            }
        }
    }

    /// The string's bytes, writable, at least `len_min` long: grown with zeros (with room for more, so appending is
    /// amortised O(1)), an integer becomes text first, the value becomes `raw`. Panics on an object.
    ///
    /// - Cost: strings up to 448 bytes move to another block of the slab for every 8 bytes or so; a shared one is
    ///   copied, a received one only while its request is under way.
    pub fn string_mut(&mut self, len_min: usize) -> &mut [u8] {
        self.before_change();
        // SAFETY: the entry is alive and ours alone; every step leaves it whole.
        unsafe {
            match entry::kind(self.entry()) {
                Kind::Int => {
                    let mut text = [0; 20];
                    let mut rest = &mut text[..];
                    // An i64 has at most 19 digits and a sign.
                    let _ = write!(rest, "{}", entry::int(self.entry()));
                    let unused = rest.len();
                    let bytes = &text[..20 - unused];
                    self.set_value(NewValue::Str { bytes, raw: true });
                    self.inline_mut(len_min)
                }
                Kind::Inline => self.inline_mut(len_min),
                Kind::Large => self.large_mut(len_min),
                Kind::Object => panic!("an object is not a string"),
            }
        }
    }

    /// The string, for others to hold as well, where it lies on the heap and need not be copied for that. To whoever reads the
    /// table it stays the same; whatever changes it while others hold it makes a copy first.
    ///
    /// - Cost: an allocation of some words, the first time.
    pub fn lend(&mut self) -> Option<SharedBytes> {
        // SAFETY: the entry is alive and ours alone; boxes hold what their kind says.
        unsafe {
            if entry::kind(self.entry()) != Kind::Large {
                return None;
            }
            let large = &mut *entry::boxed::<Large>(self.entry());
            let before = large.heap_bytes();
            let string = large.lend();
            let after = large.heap_bytes();
            let table = &mut *self.table;
            table.heap_bytes = table.heap_bytes.wrapping_add(after).wrapping_sub(before);
            string
        }
    }

    /// The object, writable; none for a string. The table books what the object has grown when it is used next.
    pub fn object_mut(&mut self) -> Option<&mut T> {
        self.before_change();
        let entry = self.entry();
        // SAFETY: the entry is alive and ours alone; an object's box holds a `T`.
        unsafe {
            if entry::kind(entry) != Kind::Object {
                return None;
            }
            let object = object_in::<T>(entry);
            self.table.open_object(self.hash, object);
            Some(&mut *object)
        }
    }

    /// Removes the entry.
    pub fn remove(mut self) {
        self.before_change();
        // SAFETY: the slot holds the entry, which is not used after.
        unsafe {
            let entry = self.table.unlink(self.hash, self.slot);
            self.table.free_entry(entry);
        }
        self.table.settle_segment(self.hash);
    }

    /// Removes the entry and hands over its value and deadline. A string of more than 448 bytes is not copied.
    pub fn take(mut self) -> (OwnedValue<T>, Option<i64>) {
        self.before_change();
        let deadline_ms = self.deadline_ms();
        // SAFETY: the slot holds the entry, which is not used after its block is freed.
        let value = unsafe {
            let entry = self.table.unlink(self.hash, self.slot);
            let shape = entry::shape(entry);
            let value = match (shape.kind, self.table.lift(entry)) {
                (_, Lifted::Object(object)) => OwnedValue::Object(object),
                (_, Lifted::Large(large)) => OwnedValue::Str {
                    bytes: large.into_bytes(),
                    raw: true,
                },
                (Kind::Int, _) => OwnedValue::Int(entry::int(entry)),
                _ => {
                    let start = entry::payload(entry);
                    let bytes = std::slice::from_raw_parts(start, shape.payload_bytes);
                    OwnedValue::Str {
                        bytes: Bytes::copy_from_slice(bytes),
                        raw: shape.raw || bytes.len() > EMBEDDED_BYTES_MAX,
                    }
                }
            };
            self.table.owners_count -= usize::from(owns_more(shape));
            self.table.free_block(entry, shape);
            value
        };
        self.table.settle_segment(self.hash);
        (value, deadline_ms)
    }

    /// Bytes this entry takes: its slab class, what its value owns, its share of the bucket array.
    pub fn memory_bytes(&self) -> usize {
        self.as_ref().memory_bytes()
    }

    /// # Safety
    /// The entry is inline.
    unsafe fn inline_mut(&mut self, length_min: usize) -> &mut [u8] {
        // SAFETY: the caller's promise; the payload is zeroed from where the old one ends.
        unsafe {
            let old = entry::shape(self.entry());
            let length = old.payload_bytes.max(length_min);
            let (before, after) = (Bin::of_string(old.payload_bytes), Bin::of_string(length));
            self.table.sizes.change(before, after);
            if length > INLINE_BYTES_MAX {
                let start = entry::payload(self.entry());
                let bytes = std::slice::from_raw_parts(start, old.payload_bytes);
                let large = Box::new(Large::copy_of(bytes, length));
                let new = Shape {
                    kind: Kind::Large,
                    raw: true,
                    payload_bytes: 8,
                    ..old
                };
                self.reshape(old, new, self.deadline_ms(), 0);
                self.table.put(self.entry(), Payload::Large(large, true));
                return self.large_mut(length);
            }
            let new = Shape {
                raw: true,
                payload_bytes: length,
                ..old
            };
            if old != new {
                self.reshape(old, new, self.deadline_ms(), old.payload_bytes);
            }
            let start = entry::payload(self.entry());
            start
                .add(old.payload_bytes)
                .write_bytes(0, length - old.payload_bytes);
            std::slice::from_raw_parts_mut(start, length)
        }
    }

    /// # Safety
    /// The entry is large.
    unsafe fn large_mut(&mut self, length_min: usize) -> &mut [u8] {
        // SAFETY: the caller's promise; the table is borrowed for as long as the bytes are.
        let large = unsafe { &mut *entry::boxed::<Large>(self.entry()) };
        let before = large.heap_bytes();
        let bin_before = Bin::of_string(large.bytes().len());
        large.bytes_mut(length_min);
        let after = large.heap_bytes();
        let table = &mut *self.table;
        let bin_after = Bin::of_string(large.bytes().len());
        table.sizes.change(bin_before, bin_after);
        table.heap_bytes = table.heap_bytes.wrapping_add(after).wrapping_sub(before);
        large.bytes_mut(length_min)
    }

    /// Gives the entry another shape; the first `kept_bytes` of its payload stay.
    ///
    /// # Safety
    /// `old` is the entry's shape, `new` has a key of the same length; what the payload owned was lifted or is kept.
    unsafe fn reshape(
        &mut self,
        old: Shape,
        new: Shape,
        deadline_ms: Option<i64>,
        kept_bytes: usize,
    ) {
        // What moves may be the object opened last.
        self.table.close_object();
        let entry = self.entry();
        let table = &mut *self.table;
        table.owners_count += usize::from(owns_more(new));
        table.owners_count -= usize::from(owns_more(old));
        // SAFETY: the caller's promise; a new block has room for the new shape, and so has an old one of that class.
        unsafe {
            if rounded_bytes(old.bytes()) == rounded_bytes(new.bytes()) {
                entry::reshape_in_place(entry, new, deadline_ms, kept_bytes);
                return;
            }
            let moved = table.slab.allocate(new.bytes()).as_ptr();
            entry::write(
                moved,
                new,
                entry::access(entry),
                deadline_ms,
                entry::key(entry),
            );
            let from = entry::payload(entry);
            std::ptr::copy_nonoverlapping(from, entry::payload(moved), kept_bytes);
            let slot = self.slot.read();
            *self.slot = slot & (bucket::OVERFLOWED | bucket::COLOUR)
                | bucket::slot(bucket::tag(slot), moved, new.has_deadline);
            table.free_block(entry, old);
        }
    }
}
