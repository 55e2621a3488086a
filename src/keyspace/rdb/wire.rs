//! Lengths, strings and numbers as RDB writes them.
//!
//!     00llllll                           a length below 64
//!     01llllll l                         a length below 16,384
//!     0x80 llll, 0x81 llllllll           a length of 32 or 64 bits, most significant byte first
//!     0xc0 x, 0xc1 xx, 0xc2 xxxx         a string that is an integer of 8, 16, 32 bits, least significant byte first
//!     0xc3 compressed plain bytes        a string in LZF, its two lengths before it
//!
//! Promises  what Redis writes of the same value, but for the choices of the LZF compressor; reading never allocates more
//!           than the bytes at hand account for.
//! Tests     tests/keyspace/rdb.rs; fuzz/fuzz_targets/rdb_object.rs.

use crate::base::number::{parse_i64, write_i64};
use crate::ds::lzf;
use std::borrow::Cow;

/// Strings longer than this are compressed, where that makes them shorter.
const PLAIN_BYTES_MAX: usize = 20;
/// What compressing must save at least.
const SAVED_BYTES_MIN: usize = 4;
/// Longer texts are no 32-bit integer.
const INTEGER_BYTES_MAX: usize = 11;
/// Longer room for compressing is not kept for the next string.
const ROOM_BYTES_MAX: usize = 64 << 10;

/// The bytes are not what RDB has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Collects what is written.
#[derive(Default)]
pub struct Writer {
    out: Vec<u8>,
    /// Strings stay as they are (`rdbcompression no`).
    is_plain: bool,
    /// See [`Writer::string_bytes`].
    string_bytes: usize,
    /// Where strings are compressed.
    room: Vec<u8>,
    /// What [`Writer::kind`] writes after the type, and whether there is such a thing.
    key: Vec<u8>,
    has_key: bool,
}

impl Writer {
    /// Goes on behind what is there.
    ///
    /// - `compresses`: long strings are compressed where that makes them shorter.
    pub fn new(compresses: bool) -> Self {
        Self {
            is_plain: !compresses,
            ..Self::default()
        }
    }

    /// The key that is to follow the type written next.
    pub fn key_after_kind(&mut self, key: &[u8]) {
        self.key.clear();
        self.key.extend_from_slice(key);
        self.has_key = true;
    }

    /// A type, and the key where one is to follow it.
    pub fn kind(&mut self, kind: u8) {
        self.byte(kind);
        if std::mem::take(&mut self.has_key) {
            let key = std::mem::take(&mut self.key);
            self.string(&key);
            self.key = key;
        }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Bytes of all strings that were ever written, before they were compressed: what they took to write.
    pub fn string_bytes(&self) -> usize {
        self.string_bytes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Hands over what was written so far.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// A byte: types, containers.
    pub fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A length, or any number that is rarely large.
    pub fn length(&mut self, length: u64) {
        match length {
            0..64 => self.byte(length as u8),
            64..16_384 => self.raw(&(length as u16 | 0x4000).to_be_bytes()),
            _ => match u32::try_from(length) {
                Ok(length) => self.wide_length(length),
                Err(_) => {
                    self.byte(0x81);
                    self.raw(&length.to_be_bytes());
                }
            },
        }
    }

    /// A length in five bytes, however few it needs: readers take it for the same.
    pub fn wide_length(&mut self, length: u32) {
        self.byte(WIDE);
        self.raw(&length.to_be_bytes());
    }

    /// A string: short integers in binary, long texts compressed.
    pub fn string(&mut self, bytes: &[u8]) {
        if bytes.len() <= INTEGER_BYTES_MAX
            && let Some(number) = parse_i64(bytes)
            && self.short_integer(number)
        {
            return;
        }
        self.string_bytes += bytes.len();
        if bytes.len() > PLAIN_BYTES_MAX && !self.is_plain && self.string_compressed(bytes) {
            return;
        }
        self.length(bytes.len() as u64);
        self.raw(bytes);
    }

    /// Whether a string becomes shorter by compressing, and is written.
    fn string_compressed(&mut self, bytes: &[u8]) -> bool {
        let mut room = std::mem::take(&mut self.room);
        let compressed = lzf::compress_in(bytes, bytes.len() - SAVED_BYTES_MIN, &mut room);
        let is_shorter = compressed.is_some();
        if let Some(compressed) = compressed {
            self.compressed(compressed, bytes.len());
        }
        if room.len() <= ROOM_BYTES_MAX {
            self.room = room;
        }
        is_shorter
    }

    /// A string that is compressed already; `plain_bytes` is what it was before.
    pub fn compressed(&mut self, compressed: &[u8], plain_bytes: usize) {
        self.byte(0xc3);
        self.length(compressed.len() as u64);
        self.length(plain_bytes as u64);
        self.raw(compressed);
    }

    /// The text of an integer.
    pub fn integer(&mut self, number: i64) {
        if !self.short_integer(number) {
            let mut digits = [0; 20];
            let text = write_i64(&mut digits, number);
            self.length(text.len() as u64);
            self.raw(text);
        }
    }

    /// Whether the integer has 32 bits or less, and is written.
    fn short_integer(&mut self, number: i64) -> bool {
        if let Ok(number) = i8::try_from(number) {
            self.byte(0xc0);
            self.raw(&number.to_le_bytes());
        } else if let Ok(number) = i16::try_from(number) {
            self.byte(0xc1);
            self.raw(&number.to_le_bytes());
        } else if let Ok(number) = i32::try_from(number) {
            self.byte(0xc2);
            self.raw(&number.to_le_bytes());
        } else {
            return false;
        }
        true
    }

    /// What was written so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }
}

/// What a length in five bytes begins with.
const WIDE: u8 = 0x80;

/// Takes apart what was written.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// From the start.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left: no more elements than that can follow.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next bytes as they are.
    pub fn raw(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next bytes, a fixed number of them.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A 32-bit number, least significant byte first.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// A 64-bit number, least significant byte first: times.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// A float, least significant byte first.
    pub fn f64(&mut self) -> Result<f64, Malformed> {
        self.array().map(f64::from_le_bytes)
    }

    /// Whether a length in five bytes follows.
    pub fn is_wide_next(&self) -> bool {
        self.rest.first() == Some(&WIDE)
    }

    /// A length.
    pub fn length(&mut self) -> Result<u64, Malformed> {
        match self.length_or_encoding()? {
            Ok(length) => Ok(length),
            Err(_) => Err(Malformed),
        }
    }

    /// A number of elements, which are at least a byte each.
    pub fn count(&mut self) -> Result<usize, Malformed> {
        let count = self.length()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.left() => Ok(count),
            _ => Err(Malformed),
        }
    }

    fn size(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.length()?).map_err(|_| Malformed)
    }

    /// A length, or the number of a string's special encoding.
    fn length_or_encoding(&mut self) -> Result<Result<u64, u8>, Malformed> {
        let first = self.byte()?;
        Ok(match (first >> 6, first) {
            (0, _) => Ok(u64::from(first)),
            (1, _) => Ok(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            (2, WIDE) => Ok(u64::from(u32::from_be_bytes(self.array()?))),
            (2, 0x81) => Ok(u64::from_be_bytes(self.array()?)),
            (2, _) => return Err(Malformed),
            _ => Err(first & 0x3f),
        })
    }

    /// A string.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        let number = match self.length_or_encoding()? {
            Ok(length) => {
                let length = usize::try_from(length).map_err(|_| Malformed)?;
                return self.raw(length).map(Cow::Borrowed);
            }
            Err(0) => i64::from(i8::from_le_bytes(self.array()?)),
            Err(1) => i64::from(i16::from_le_bytes(self.array()?)),
            Err(2) => i64::from(i32::from_le_bytes(self.array()?)),
            Err(3) => {
                let (compressed, plain) = (self.size()?, self.size()?);
                let compressed = self.raw(compressed)?;
                let plain = lzf::decompress(compressed, plain).ok_or(Malformed)?;
                return Ok(Cow::Owned(plain));
            }
            Err(_) => return Err(Malformed),
        };
        let mut digits = [0; 20];
        Ok(Cow::Owned(write_i64(&mut digits, number).to_vec()))
    }
}
