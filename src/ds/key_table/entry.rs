//! Entry: a key, its value and what is known of them, in one block of the slab.
//!
//!     | flags 1 | access 3 | key length 1 or 4 | value length 0, 1 or 2 | deadline 0 or 8 | key | payload |
//!     payload: integer of 1, 2, 4 or 8 bytes · inline bytes · address of a boxed `Large` · the object itself, where its
//!     type has alignment 1, or else the address of its box
//!
//! Promises  no alignment is assumed inside; 16 bytes of key and 32 of value are 54 bytes, 62 with a deadline.
//! Not here  memory and accounts: `mod.rs` owns the slab.

/// Longer strings are boxed.
pub(super) const INLINE_BYTES_MAX: usize = 448;

/// Larger objects are boxed.
pub(super) const OBJECT_BYTES_MAX: usize = 64;

const KIND: u8 = 0b11;
const DEADLINE: u8 = 1 << 2;
const RAW: u8 = 1 << 3;
const WIDE_KEY: u8 = 1 << 4;
const WIDE_VALUE: u8 = 1 << 5;
/// The integer's width is 1 << (flags >> 6).
const WIDTH_SHIFT: u32 = 6;

/// How the value is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Int = 0,
    Inline = 1,
    Large = 2,
    Object = 3,
}

/// What decides the layout of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    pub(super) raw: bool,
    pub(super) has_deadline: bool,
    pub(super) key_bytes: usize,
    /// An integer's width, an inline string's length, an object's size, 8 for an address.
    pub(super) payload_bytes: usize,
}

impl Shape {
    fn flags(self) -> u8 {
        let mut flags = self.kind as u8;
        if self.has_deadline {
            flags |= DEADLINE;
        }
        if self.raw {
            flags |= RAW;
        }
        if self.key_bytes > 255 {
            flags |= WIDE_KEY;
        }
        match self.kind {
            Kind::Int => flags |= (self.payload_bytes.trailing_zeros() as u8) << WIDTH_SHIFT,
            Kind::Inline if self.payload_bytes > 255 => flags |= WIDE_VALUE,
            _ => {}
        }
        flags
    }

    fn key_at(self) -> usize {
        KEY_AT[self.flags() as usize] as usize
    }

    fn payload_at(self) -> usize {
        self.key_at() + self.key_bytes
    }

    /// Bytes of the whole entry.
    pub(super) fn bytes(self) -> usize {
        self.payload_at() + self.payload_bytes
    }
}

/// Where the key starts, for every flags byte.
const KEY_AT: [u8; 256] = {
    let mut table = [0; 256];
    let mut flags = 0;
    while flags < 256 {
        let bits = flags as u8;
        let mut at = if bits & WIDE_KEY != 0 { 8 } else { 5 };
        if bits & KIND == Kind::Object as u8 {
            at += 1;
        } else if bits & KIND == Kind::Inline as u8 {
            at += if bits & WIDE_VALUE != 0 { 2 } else { 1 };
        }
        if bits & DEADLINE != 0 {
            at += 8;
        }
        table[flags] = at;
        flags += 1;
    }
    table
};

/// Bytes an integer needs: 1, 2, 4 or 8.
#[inline]
pub(super) fn int_bytes(number: i64) -> usize {
    if i8::try_from(number).is_ok() {
        1
    } else if i16::try_from(number).is_ok() {
        2
    } else if i32::try_from(number).is_ok() {
        4
    } else {
        8
    }
}

/// Writes everything in front of the payload.
///
/// # Safety
/// `entry` is a block of at least `shape.bytes()` bytes, `key` is of the shape's length and not in the block.
pub(super) unsafe fn write(
    entry: *mut u8,
    shape: Shape,
    access: u32,
    deadline_ms: Option<i64>,
    key: &[u8],
) {
    debug_assert_eq!(shape.has_deadline, deadline_ms.is_some());
    debug_assert_eq!(shape.key_bytes, key.len());
    // SAFETY: the key lies before the payload, inside the block.
    unsafe {
        write_head(entry, shape, access, deadline_ms);
        std::ptr::copy_nonoverlapping(key.as_ptr(), entry.add(shape.key_at()), key.len());
    }
}

/// # Safety
/// `entry` is a block of at least `shape.bytes()` bytes.
unsafe fn write_head(entry: *mut u8, shape: Shape, access: u32, deadline_ms: Option<i64>) {
    let flags = shape.flags();
    let key_at = KEY_AT[flags as usize] as usize;
    // SAFETY: all of this lies before the key, inside the block.
    unsafe {
        let head = u32::from(flags) | access << 8;
        entry.cast::<[u8; 4]>().write(head.to_le_bytes());
        let mut at = 4;
        if flags & WIDE_KEY == 0 {
            entry.add(at).write(shape.key_bytes as u8);
            at += 1;
        } else {
            let length = shape.key_bytes as u32;
            entry.add(at).cast::<[u8; 4]>().write(length.to_le_bytes());
            at += 4;
        }
        if shape.kind == Kind::Inline {
            let length = shape.payload_bytes as u16;
            if flags & WIDE_VALUE == 0 {
                entry.add(at).write(length as u8);
            } else {
                entry.add(at).cast::<[u8; 2]>().write(length.to_le_bytes());
            }
        } else if shape.kind == Kind::Object {
            debug_assert!(shape.payload_bytes <= OBJECT_BYTES_MAX);
            entry.add(at).write(shape.payload_bytes as u8);
        }
        if let Some(deadline_ms) = deadline_ms {
            entry
                .add(key_at - 8)
                .cast::<[u8; 8]>()
                .write(deadline_ms.to_le_bytes());
        }
    }
}

/// Gives an entry another shape and deadline where it stands. The key and the first `kept_bytes` of the payload stay.
///
/// # Safety
/// `entry` is alive, its block has room for both shapes, the keys are of one length, and both payloads have
/// `kept_bytes`.
pub(super) unsafe fn reshape_in_place(
    entry: *mut u8,
    shape: Shape,
    deadline_ms: Option<i64>,
    kept_bytes: usize,
) {
    // SAFETY: all moves stay inside the block. The part that moves last is the one the other would have run over.
    unsafe {
        let old = self::shape(entry);
        let access = access(entry);
        let (key_from, key_to) = (old.key_at(), shape.key_at());
        let (payload_from, payload_to) = (old.payload_at(), shape.payload_at());
        let move_key = || std::ptr::copy(entry.add(key_from), entry.add(key_to), shape.key_bytes);
        let move_payload =
            || std::ptr::copy(entry.add(payload_from), entry.add(payload_to), kept_bytes);
        if key_to > key_from {
            move_payload();
            move_key();
        } else if key_to < key_from {
            move_key();
            move_payload();
        }
        write_head(entry, shape, access, deadline_ms);
    }
}

/// # Safety
/// `entry` is alive.
#[inline]
pub(super) unsafe fn shape(entry: *mut u8) -> Shape {
    // SAFETY: `write_head` wrote what is read, by the same flags.
    unsafe {
        let flags = entry.read();
        let kind = kind(entry);
        let payload_bytes = match kind {
            Kind::Int => 1 << (flags >> WIDTH_SHIFT),
            Kind::Inline => {
                let at = if flags & WIDE_KEY == 0 { 5 } else { 8 };
                if flags & WIDE_VALUE == 0 {
                    entry.add(at).read() as usize
                } else {
                    u16::from_le_bytes(entry.add(at).cast::<[u8; 2]>().read()) as usize
                }
            }
            Kind::Large => 8,
            Kind::Object => {
                let at = if flags & WIDE_KEY == 0 { 5 } else { 8 };
                entry.add(at).read() as usize
            }
        };
        Shape {
            kind,
            raw: flags & RAW != 0,
            has_deadline: flags & DEADLINE != 0,
            key_bytes: key_bytes(entry),
            payload_bytes,
        }
    }
}

/// # Safety
/// `entry` is alive.
#[inline]
pub(super) unsafe fn kind(entry: *mut u8) -> Kind {
    // SAFETY: the caller's promise.
    match unsafe { entry.read() } & KIND {
        0 => Kind::Int,
        1 => Kind::Inline,
        2 => Kind::Large,
        _ => Kind::Object,
    }
}

/// Bytes of a string that is kept in its entry, and whether it is raw; None for every other value.
///
/// # Safety
/// `entry` is alive.
#[inline(always)]
pub(super) unsafe fn inline_string(entry: *mut u8) -> Option<(usize, bool)> {
    // SAFETY: `write_head` wrote what is read, by the same flags.
    unsafe {
        let flags = entry.read();
        if flags & KIND != Kind::Inline as u8 {
            return None;
        }
        let at = if flags & WIDE_KEY == 0 { 5 } else { 8 };
        let bytes = if flags & WIDE_VALUE == 0 {
            usize::from(entry.add(at).read())
        } else {
            usize::from(u16::from_le_bytes(entry.add(at).cast::<[u8; 2]>().read()))
        };
        Some((bytes, flags & RAW != 0))
    }
}

/// # Safety
/// `entry` is alive.
#[inline]
unsafe fn key_bytes(entry: *mut u8) -> usize {
    // SAFETY: `write_head` wrote what is read, by the same flags.
    unsafe {
        if entry.read() & WIDE_KEY == 0 {
            entry.add(4).read() as usize
        } else {
            u32::from_le_bytes(entry.add(4).cast::<[u8; 4]>().read()) as usize
        }
    }
}

/// # Safety
/// `entry` is alive and stays so, unchanged, for as long as the key is held.
#[inline]
pub(super) unsafe fn key<'a>(entry: *mut u8) -> &'a [u8] {
    // SAFETY: the key is where the flags say.
    unsafe {
        let at = KEY_AT[entry.read() as usize] as usize;
        std::slice::from_raw_parts(entry.add(at), key_bytes(entry))
    }
}

/// # Safety
/// `entry` is alive.
#[inline]
pub(super) unsafe fn deadline_ms(entry: *mut u8) -> Option<i64> {
    // SAFETY: a deadline, where there is one, lies in front of the key.
    unsafe {
        let flags = entry.read();
        if flags & DEADLINE == 0 {
            return None;
        }
        let at = KEY_AT[flags as usize] as usize - 8;
        Some(i64::from_le_bytes(entry.add(at).cast::<[u8; 8]>().read()))
    }
}

/// # Safety
/// `entry` is alive and has a deadline.
pub(super) unsafe fn replace_deadline(entry: *mut u8, deadline_ms: i64) {
    // SAFETY: the caller's promise.
    unsafe {
        let at = KEY_AT[entry.read() as usize] as usize - 8;
        entry
            .add(at)
            .cast::<[u8; 8]>()
            .write(deadline_ms.to_le_bytes());
    }
}

/// # Safety
/// `entry` is alive.
#[inline]
pub(super) unsafe fn access(entry: *mut u8) -> u32 {
    // SAFETY: the caller's promise.
    u32::from_le_bytes(unsafe { entry.cast::<[u8; 4]>().read() }) >> 8
}

/// # Safety
/// `entry` is alive.
#[inline]
pub(super) unsafe fn set_access(entry: *mut u8, access: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        let flags = entry.read();
        entry
            .cast::<[u8; 4]>()
            .write((u32::from(flags) | access << 8).to_le_bytes());
    }
}

/// Where the payload starts.
///
/// # Safety
/// `entry` is alive.
#[inline]
pub(super) unsafe fn payload(entry: *mut u8) -> *mut u8 {
    // SAFETY: the payload follows the key.
    unsafe { entry.add(KEY_AT[entry.read() as usize] as usize + key_bytes(entry)) }
}

/// # Safety
/// `entry` is alive and an integer.
#[inline]
pub(super) unsafe fn int(entry: *mut u8) -> i64 {
    // SAFETY: the payload has the width the flags say.
    unsafe {
        let payload = payload(entry);
        match entry.read() >> WIDTH_SHIFT {
            0 => i64::from(payload.cast::<i8>().read()),
            1 => i64::from(i16::from_le_bytes(payload.cast::<[u8; 2]>().read())),
            2 => i64::from(i32::from_le_bytes(payload.cast::<[u8; 4]>().read())),
            _ => i64::from_le_bytes(payload.cast::<[u8; 8]>().read()),
        }
    }
}

/// # Safety
/// `entry`'s payload has `bytes` bytes, from `int_bytes`.
pub(super) unsafe fn write_int(entry: *mut u8, number: i64, bytes: usize) {
    // SAFETY: the caller's promise; little-endian, so the first bytes are the low ones.
    unsafe {
        std::ptr::copy_nonoverlapping(number.to_le_bytes().as_ptr(), payload(entry), bytes);
    }
}

/// The boxed value of a `Large` or an `Object`.
///
/// # Safety
/// `entry` is alive, and `B` is what `write_boxed` was called with.
#[inline]
pub(super) unsafe fn boxed<B>(entry: *mut u8) -> *mut B {
    // SAFETY: the payload is an address.
    let address = u64::from_le_bytes(unsafe { payload(entry).cast::<[u8; 8]>().read() });
    std::ptr::with_exposed_provenance_mut(address as usize)
}

/// # Safety
/// `entry`'s payload has 8 bytes.
pub(super) unsafe fn write_boxed<B>(entry: *mut u8, value: *mut B) {
    let address = value.expose_provenance() as u64;
    // SAFETY: the caller's promise.
    unsafe {
        payload(entry)
            .cast::<[u8; 8]>()
            .write(address.to_le_bytes())
    };
}

/// Whether the entry is for `key`.
///
/// # Safety
/// `entry` is alive.
#[inline]
pub(super) unsafe fn has_key(entry: *mut u8, key: &[u8]) -> bool {
    // SAFETY: the caller's promise.
    is_equal(unsafe { self::key(entry) }, key)
}

/// Whether two keys are the same. Most are short: two overlapping words decide up to 16 bytes without a call.
#[inline]
fn is_equal(own: &[u8], other: &[u8]) -> bool {
    let length = own.len();
    if length != other.len() {
        return false;
    }
    if !(8..=32).contains(&length) {
        return own == other;
    }
    let differ = |at: usize| {
        let word = |bytes: &[u8]| bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
        word(own).map(u64::from_ne_bytes) != word(other).map(u64::from_ne_bytes)
    };
    if differ(0) || differ(length - 8) {
        return false;
    }
    length <= 16 || !(differ(8) || differ(length - 16))
}
