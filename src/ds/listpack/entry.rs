//! Entry: one element's bytes.
//!
//!     0xxxxxxx                     0 to 127
//!     10llllll data                a string below 64 bytes
//!     110xxxxx x                   13 bits, signed
//!     1110llll l data              a string below 4,096 bytes
//!     0xf0 llll data               any other string
//!     0xf1 xx, 0xf2 xxx, 0xf3 xxxx, 0xf4 xxxxxxxx     16, 24, 32, 64 bits, signed
//!
//! After it its length again, seven bits a byte, most significant first, the high bit set in all but the first: read from
//! the end, it leads to the start.
//!
//! Promises  reading stays inside the slice: it panics where a position is stale, and never on validated bytes.
//! Tests     tests/ds/listpack.rs: golden bytes for every row.

use crate::base::number::{parse_i64, write_i64};

/// Integers from 0 to this take one byte.
pub(super) const SMALL_INTEGER_MAX: i64 = 127;
/// Strings shorter than this have a head of one byte.
pub(super) const SHORT_STRING_BYTES: usize = 64;

/// What an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'lp> {
    /// An integer; as text it is its decimal digits.
    Int(i64),
    /// Any other bytes.
    Str(&'lp [u8]),
}

impl<'lp> Element<'lp> {
    /// The element as bytes; `buffer` holds the digits of an integer.
    #[inline]
    pub fn text<'b>(self, buffer: &'b mut [u8; 20]) -> &'b [u8]
    where
        'lp: 'b,
    {
        match self {
            Self::Int(number) => write_i64(buffer, number),
            Self::Str(bytes) => bytes,
        }
    }

    /// The element's bytes, copied.
    pub fn to_vec(self) -> Vec<u8> {
        self.text(&mut [0; 20]).to_vec()
    }

    /// How many bytes its text has.
    #[inline]
    pub fn text_bytes(self) -> usize {
        match self {
            Self::Int(number) => write_i64(&mut [0; 20], number).len(),
            Self::Str(bytes) => bytes.len(),
        }
    }

    /// The element as an integer, where its text is one in its canonical form.
    #[inline]
    pub fn integer(self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(number),
            Self::Str(bytes) => integer_in(bytes),
        }
    }

    /// Whether its text is `bytes`.
    #[inline]
    pub fn equals(self, bytes: &[u8]) -> bool {
        match self {
            Self::Int(number) => integer_in(bytes) == Some(number),
            Self::Str(own) => own == bytes,
        }
    }
}

impl<'lp> From<&'lp [u8]> for Element<'lp> {
    fn from(bytes: &'lp [u8]) -> Self {
        Self::Str(bytes)
    }
}

impl<'lp, const N: usize> From<&'lp [u8; N]> for Element<'lp> {
    fn from(bytes: &'lp [u8; N]) -> Self {
        Self::Str(bytes)
    }
}

impl<'lp> From<&'lp Vec<u8>> for Element<'lp> {
    fn from(bytes: &'lp Vec<u8>) -> Self {
        Self::Str(bytes)
    }
}

impl From<i64> for Element<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

/// The integer a string would be stored as.
#[inline]
pub(super) fn integer_in(bytes: &[u8]) -> Option<i64> {
    let first = *bytes.first()?;
    if bytes.len() > 20 || !(first.is_ascii_digit() || first == b'-') {
        return None;
    }
    parse_i64(bytes)
}

/// An element on its way into a listpack.
pub(super) struct Encoded<'a> {
    head: [u8; 9],
    head_bytes: u8,
    back: [u8; 5],
    back_bytes: u8,
    data: &'a [u8],
}

impl<'a> Encoded<'a> {
    #[inline]
    pub(super) fn of(element: Element<'a>) -> Self {
        let (head, head_bytes, data) = match element {
            Element::Int(number) => integer_head(number),
            Element::Str(bytes) => match integer_in(bytes) {
                Some(number) => integer_head(number),
                None => string_head(bytes),
            },
        };
        let (back, back_bytes) = back_length(head_bytes as usize + data.len());
        Self {
            head,
            head_bytes,
            back,
            back_bytes,
            data,
        }
    }

    /// Bytes of the whole entry.
    #[inline]
    pub(super) fn entry_bytes(&self) -> usize {
        self.head_bytes as usize + self.data.len() + self.back_bytes as usize
    }

    /// Bytes of the entry but for its back length.
    #[inline]
    pub(super) fn bare_bytes(&self) -> usize {
        self.head_bytes as usize + self.data.len()
    }

    /// The entry in order, in three pieces.
    #[inline]
    pub(super) fn pieces(&self) -> [&[u8]; 3] {
        [
            &self.head[..self.head_bytes as usize],
            self.data,
            &self.back[..self.back_bytes as usize],
        ]
    }
}

/// Head, bytes of it, and the data after it, which an integer does not have.
#[inline]
fn integer_head<'a>(number: i64) -> ([u8; 9], u8, &'a [u8]) {
    let mut head = [0; 9];
    let [low, high, ..] = number.to_le_bytes();
    let (tag, width) = match number {
        0..=SMALL_INTEGER_MAX => {
            head[0] = low;
            return (head, 1, &[]);
        }
        -4096..=4095 => {
            head[0] = 0xc0 | (high & 0x1f);
            head[1] = low;
            return (head, 2, &[]);
        }
        -0x8000..=0x7fff => (0xf1, 2),
        -0x80_0000..=0x7f_ffff => (0xf2, 3),
        -0x8000_0000..=0x7fff_ffff => (0xf3, 4),
        _ => (0xf4, 8),
    };
    head[0] = tag;
    head[1..=width].copy_from_slice(&number.to_le_bytes()[..width]);
    (head, width as u8 + 1, &[])
}

#[inline]
fn string_head(data: &[u8]) -> ([u8; 9], u8, &[u8]) {
    let mut head = [0; 9];
    let length = data.len();
    let head_bytes = if length < SHORT_STRING_BYTES {
        head[0] = 0x80 | length as u8;
        1
    } else if length < 4096 {
        head[0] = 0xe0 | (length >> 8) as u8;
        head[1] = length as u8;
        2
    } else {
        let length = u32::try_from(length).expect("a listpack is below 4 GiB");
        head[0] = 0xf0;
        head[1..5].copy_from_slice(&length.to_le_bytes());
        5
    };
    (head, head_bytes, data)
}

/// How many bytes the back length of `encoded` bytes takes.
#[inline]
fn back_bytes(encoded: usize) -> usize {
    match encoded {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

#[inline]
pub(super) fn back_length(encoded: usize) -> ([u8; 5], u8) {
    let count = back_bytes(encoded);
    let mut back = [0; 5];
    if count == 1 {
        back[0] = encoded as u8;
        return (back, 1);
    }
    for (index, byte) in back[..count].iter_mut().enumerate() {
        *byte =
            (encoded >> (7 * (count - 1 - index))) as u8 & 0x7f | if index > 0 { 0x80 } else { 0 };
    }
    (back, count as u8)
}

/// Bytes of the entry at `at`, its back length included.
// Walks are made of it: a call would take longer than the step.
#[inline(always)]
pub(super) fn entry_bytes(bytes: &[u8], at: usize) -> usize {
    match bytes[at] {
        0..=0x7f => 2,
        tag @ 0x80..=0xbf => 2 + (tag & 0x3f) as usize,
        0xc0..=0xdf => 3,
        _ => long_entry_bytes(bytes, at),
    }
}

/// The same of an entry of many bytes.
#[inline(never)]
fn long_entry_bytes(bytes: &[u8], at: usize) -> usize {
    let encoded = encoded_bytes(bytes, at);
    encoded + back_bytes(encoded)
}

/// Bytes of the entry at `at` without its back length.
#[inline]
pub(super) fn encoded_bytes(bytes: &[u8], at: usize) -> usize {
    match bytes[at] {
        0..=0x7f => 1,
        tag @ 0x80..=0xbf => 1 + (tag & 0x3f) as usize,
        0xc0..=0xdf => 2,
        tag @ 0xe0..=0xef => 2 + ((tag as usize & 0xf) << 8 | bytes[at + 1] as usize),
        0xf0 => 5 + long_length(bytes, at),
        0xf1 => 3,
        0xf2 => 4,
        0xf3 => 5,
        0xf4 => 9,
        _ => panic!("a position is that of an entry"),
    }
}

#[inline]
fn long_length(bytes: &[u8], at: usize) -> usize {
    let length: [u8; 4] = *bytes[at + 1..].first_chunk().expect("an entry is whole");
    u32::from_le_bytes(length) as usize
}

/// What the entry at `at` holds.
#[inline]
pub(super) fn element(bytes: &[u8], at: usize) -> Element<'_> {
    match bytes[at] {
        tag @ 0..=0x7f => Element::Int(i64::from(tag)),
        tag @ 0x80..=0xbf => Element::Str(&bytes[at + 1..][..(tag & 0x3f) as usize]),
        tag @ 0xc0..=0xdf => {
            let bits = u16::from(tag & 0x1f) << 8 | u16::from(bytes[at + 1]);
            // The 13th bit is the sign: up to the top and down again.
            Element::Int(i64::from((bits << 3) as i16 >> 3))
        }
        tag @ 0xe0..=0xef => {
            let length = (tag as usize & 0xf) << 8 | bytes[at + 1] as usize;
            Element::Str(&bytes[at + 2..][..length])
        }
        0xf0 => Element::Str(&bytes[at + 5..][..long_length(bytes, at)]),
        _ => Element::Int(wide_integer(bytes, at)),
    }
}

fn wide_integer(bytes: &[u8], at: usize) -> i64 {
    let width = encoded_bytes(bytes, at) - 1;
    let mut wide = [0; 8];
    wide[8 - width..].copy_from_slice(&bytes[at + 1..][..width]);
    i64::from_le_bytes(wide) >> (64 - 8 * width)
}

/// Where the entry before `at` starts; `at` is the start of an entry or the end.
#[inline]
pub(super) fn previous_start(bytes: &[u8], at: usize) -> usize {
    let mut encoded = 0;
    let mut count = 0;
    loop {
        let byte = bytes[at - 1 - count];
        encoded |= usize::from(byte & 0x7f) << (7 * count);
        count += 1;
        if byte & 0x80 == 0 || count == 5 {
            return at - count - encoded;
        }
    }
}

/// Up to this many bytes an entry's back length takes one.
const ONE_BYTE_BACK_MAX: usize = 127;

/// Bytes of the entry at `at`, if a whole and well-formed one ends at or before `end`.
pub(super) fn checked_entry_bytes(bytes: &[u8], at: usize, end: usize) -> Option<usize> {
    let rest = bytes.get(at..end)?;
    let head = match *rest.first()? {
        0..=0xdf => 1,
        0xe0..=0xef => 2,
        0xf0 => 5,
        0xf1..=0xf4 => 1,
        _ => return None,
    };
    if rest.len() < head {
        return None;
    }
    let encoded = encoded_bytes(rest, 0);
    if encoded <= ONE_BYTE_BACK_MAX {
        // Most entries: one byte is compared without a call.
        return (usize::from(*rest.get(encoded)?) == encoded).then_some(encoded + 1);
    }
    let (back, count) = back_length(encoded);
    let back = &back[..count as usize];
    let stored = rest.get(encoded..)?.get(..back.len())?;
    (stored == back).then_some(encoded + back.len())
}
