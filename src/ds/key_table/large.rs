//! Strings too long to be in their entries.
//!
//! Promises  one that was received, or is of a MiB or more, grows without being copied: its pages are mapped anew.
//! Not here  accounts: `borrowed.rs` and `mod.rs` book what changes.
//! Tests     tests/ds/key_table.rs.

use bytes::Bytes;
use std::mem;
use std::ops::Range;

use crate::base::long_copy;
use crate::base::shared_bytes::SharedBytes;
use crate::ds::block_size::block_bytes;
use crate::ds::growing_buffer::GrowingBuffer;

/// What grows to this length is put into a buffer with pages of its own.
const MAPPED_BYTES_MIN: usize = 1 << 20;
/// A string that outgrows its memory gets as much again as it needs; one of [`MAPPED_BYTES_MIN`] that found no pages, a quarter.
const SPARE_PART_OF_LONG: usize = 4;
/// One that becomes the table's own keeps bytes before it in its buffer, up to this part of its length.
const HEAD_PART: usize = 8;
/// A string that is lent takes up to this part of its length more than that: what is not known of it is not accounted for.
const SPARE_PART_OF_LENT: usize = 64;
/// A string that grows by this many zeros takes them from the allocator instead of writing them.
const ZEROS_BYTES_MIN: usize = 1 << 16;

/// A string too long to be inline.
pub(super) enum Large {
    /// Ours alone; grows in place.
    Owned(Vec<u8>),
    /// Ours alone, in a buffer whose pages are mapped anew as it grows.
    Buffered(Box<Buffered>),
    /// Received without a copy, or lent: becomes ours when nobody else holds it.
    Received(SharedBytes),
    /// Handed out or over without a copy.
    Shared(Bytes),
}

/// A string that begins somewhere in its buffer and ends with it.
pub(super) struct Buffered {
    buffer: GrowingBuffer,
    start: usize,
}

impl Buffered {
    fn of(mut buffer: GrowingBuffer, range: Range<usize>) -> Box<Self> {
        buffer.truncate(range.end);
        let start = range.start;
        Box::new(Self { buffer, start })
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer.as_slice()[self.start..]
    }
}

impl AsRef<[u8]> for Buffered {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Large {
    /// A copy of `bytes` with zeros behind it up to `length`.
    ///
    /// - Cost: one copy of `bytes`; many zeros are memory that nobody has touched: a bit set far behind the end costs neither time nor
    ///   memory for what lies between.
    pub(super) fn copy_of(bytes: &[u8], length: usize) -> Self {
        if length >= MAPPED_BYTES_MIN
            && let Some(buffer) = buffered_copy(bytes, length)
        {
            return Self::Buffered(Buffered::of(buffer, 0..length));
        }
        if length - bytes.len() >= ZEROS_BYTES_MIN {
            return Self::Owned(zeros_behind(bytes, length, length));
        }
        let mut copy = Vec::with_capacity(length);
        long_copy::append(&mut copy, bytes);
        copy.resize(length, 0);
        Self::Owned(copy)
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Buffered(buffered) => buffered.bytes(),
            Self::Received(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    /// The string, writable, at least `length_min` long: grown with zeros, with room for more.
    pub(super) fn bytes_mut(&mut self, length_min: usize) -> &mut [u8] {
        if matches!(self, Self::Received(_) | Self::Shared(_)) {
            *self = mem::replace(self, Self::Owned(Vec::new())).own(length_min);
        }
        if self.bytes().len() < length_min {
            self.grow(length_min);
        }
        match self {
            Self::Owned(bytes) => bytes,
            Self::Buffered(buffered) => &mut buffered.buffer.as_mut_slice()[buffered.start..],
            Self::Received(_) | Self::Shared(_) => unreachable!("it was just made our own"),
        }
    }

    /// The same string, ours alone. One that must be copied is as long as is wanted then.
    fn own(self, length_min: usize) -> Self {
        let copy = |bytes: &[u8]| Self::copy_of(bytes, bytes.len().max(length_min));
        match self {
            Self::Received(bytes) => match bytes.try_own::<GrowingBuffer>() {
                // What stood before it in its request would stay as long as it does.
                Ok((buffer, range)) if range.start > range.len() / HEAD_PART => {
                    copy(&buffer.as_slice()[range])
                }
                Ok((buffer, range)) => {
                    let mut buffered = Buffered::of(buffer, range);
                    buffered.buffer.truncate_to_len();
                    Self::Buffered(buffered)
                }
                Err(bytes) => match bytes.try_own::<Vec<u8>>() {
                    Ok((whole, range)) if range == (0..whole.len()) => Self::Owned(whole),
                    Ok((whole, range)) => copy(&whole[range]),
                    Err(bytes) => copy(&bytes),
                },
            },
            Self::Shared(bytes) => copy(&bytes),
            own => own,
        }
    }

    /// Makes a string of ours, which is shorter, so long.
    fn grow(&mut self, length: usize) {
        let zeros = length - self.bytes().len();
        let wants_pages = match self {
            Self::Owned(bytes) => bytes.capacity() < length,
            // A longer one grows in zeros that nobody has touched as well.
            Self::Buffered(it) => {
                it.buffer.capacity() < MAPPED_BYTES_MIN && zeros >= ZEROS_BYTES_MIN
            }
            Self::Received(_) | Self::Shared(_) => unreachable!("only what is ours grows"),
        };
        if wants_pages
            && length >= MAPPED_BYTES_MIN
            && let Some(buffer) = buffered_copy(self.bytes(), length)
        {
            *self = Self::Buffered(Buffered::of(buffer, 0..length));
            return;
        }
        match self {
            Self::Owned(bytes) => extend_with_zeros(bytes, length),
            Self::Buffered(buffered) => {
                if buffered.buffer.extend_zeros(zeros).is_err() {
                    // No pages to be had: the allocator says what becomes of that.
                    *self = Self::Owned(zeros_behind(buffered.bytes(), length, length));
                }
            }
            Self::Received(_) | Self::Shared(_) => {}
        }
    }

    /// The string, for others to hold as well: until the last of them has let go, a change copies it. None where what it lies in
    /// is larger than it is, or has 4 GiB.
    ///
    /// - Cost: no copy; an allocation of some words where it was not shared before.
    pub(super) fn lend(&mut self) -> Option<SharedBytes> {
        if let Self::Received(string) = self {
            return Some(string.clone());
        }
        let whole_bytes = match self {
            Self::Buffered(it) => it.buffer.len(),
            _ => self.bytes().len(),
        };
        if u32::try_from(whole_bytes).is_err() {
            return None;
        }
        let spare_bytes = match self {
            Self::Owned(bytes) => bytes.capacity() - bytes.len(),
            Self::Buffered(it) => it.buffer.allocated_bytes().saturating_sub(it.bytes().len()),
            Self::Received(_) | Self::Shared(_) => 0,
        };
        if spare_bytes > self.bytes().len() / SPARE_PART_OF_LENT {
            return None;
        }
        let string = match mem::replace(self, Self::Owned(Vec::new())) {
            Self::Owned(bytes) => SharedBytes::new(bytes),
            Self::Buffered(it) => {
                let Buffered { buffer, start } = *it;
                let range = start..buffer.len();
                SharedBytes::new(buffer).slice(range)
            }
            Self::Received(string) => string,
            Self::Shared(bytes) => SharedBytes::new(bytes),
        };
        *self = Self::Received(string.clone());
        Some(string)
    }

    /// The string, to be handed over.
    pub(super) fn into_bytes(self) -> Bytes {
        match self {
            Self::Owned(bytes) => bytes.into(),
            Self::Buffered(buffered) => Bytes::from_owner(*buffered),
            // What had been handed over before it was lent is handed over as it was: around each other they would be more with every
            // turn of that.
            Self::Received(string) => match string.clone_whole::<Bytes>() {
                Some((bytes, range)) => bytes.slice(range),
                None => Bytes::from_owner(string),
            },
            Self::Shared(bytes) => bytes,
        }
    }

    /// Puts it elsewhere on the heap.
    pub(super) fn move_on_heap(&mut self) {
        match self {
            Self::Owned(old) => {
                let mut copy = Vec::with_capacity(old.capacity());
                copy.append(old);
                *old = copy;
            }
            Self::Buffered(old) => {
                let length = old.bytes().len();
                let mut copy = GrowingBuffer::expecting(length);
                if copy.extend_from_slice(old.bytes()).is_ok() {
                    *old = Buffered::of(copy, 0..length);
                }
            }
            Self::Received(old) => *old = SharedBytes::copy_of(old),
            Self::Shared(old) => *old = Bytes::copy_from_slice(old),
        }
    }

    /// Bytes on the heap, as blocks; the box included.
    pub(super) fn heap_bytes(&self) -> usize {
        let own_bytes = match self {
            Self::Buffered(_) => {
                block_bytes(size_of::<Self>()) + block_bytes(size_of::<Buffered>())
            }
            _ => block_bytes(size_of::<Self>()),
        };
        own_bytes
            + block_bytes(match self {
                Self::Owned(bytes) => bytes.capacity(),
                Self::Buffered(buffered) => buffered.buffer.allocated_bytes(),
                other => other.bytes().len(),
            })
    }
}

/// `bytes` and zeros up to `length` on pages of their own; none where the kernel has none.
fn buffered_copy(bytes: &[u8], length: usize) -> Option<GrowingBuffer> {
    let zeros = length - bytes.len();
    // Spare pages would have to be filled with zeros.
    let mut buffer = match zeros < ZEROS_BYTES_MIN {
        true => GrowingBuffer::expecting(length),
        false => GrowingBuffer::zeros(length).ok()?,
    };
    if zeros < ZEROS_BYTES_MIN {
        buffer.extend_from_slice(bytes).ok()?;
        buffer.extend_zeros(zeros).ok()?;
    } else {
        long_copy::copy(&mut buffer.as_mut_slice()[..bytes.len()], bytes);
    }
    Some(buffer)
}

/// Zeros up to `length`, and room for more where there is none.
fn extend_with_zeros(bytes: &mut Vec<u8>, length: usize) {
    if bytes.capacity() < length {
        let spare_bytes = match length {
            0..MAPPED_BYTES_MIN => length,
            _ => length / SPARE_PART_OF_LONG,
        };
        let capacity = length + spare_bytes;
        if length - bytes.len() >= ZEROS_BYTES_MIN {
            *bytes = zeros_behind(bytes, length, capacity);
            return;
        }
        bytes.reserve_exact(capacity - bytes.len());
    }
    bytes.resize(length, 0);
}

/// `bytes`, zeros up to `length`, and room up to `capacity`. Zeros of a new large allocation are pages that nobody has touched.
fn zeros_behind(bytes: &[u8], length: usize, capacity: usize) -> Vec<u8> {
    let mut grown = vec![0; capacity];
    grown[..bytes.len()].copy_from_slice(bytes);
    grown.truncate(length);
    grown
}
