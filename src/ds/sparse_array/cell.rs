//! Cell: an optional string in eight bytes.
//!
//!     0                      nothing
//!     integer << 2 | 1       an integer in its one canonical form, of 62 bits
//!     up to 7 bytes          the string itself; the lowest byte is its length << 2 | 2
//!     a block's address      | length u8, or 255 and u64 | bytes |        aligned to 8, so the two low bits are 0
//!
//! Not here  where cells are: `slice.rs`.
//! Tests     tests/ds/sparse_array.rs.

use crate::base::number::parse_i64;
use crate::ds::block_size::block_bytes;
use crate::ds::listpack::Element;
use crate::ds::mover::Mover;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::{null_mut, without_provenance_mut};

const TAG_MASK: usize = 3;
const TAG_INTEGER: usize = 1;
const TAG_SHORT: usize = 2;
/// Longest string in the cell itself.
const SHORT_BYTES_MAX: usize = 7;
/// Longest string whose length is one byte.
const NARROW_BYTES_MAX: usize = 254;
const WIDE_HEADER_BYTES: usize = 9;
const BLOCK_ALIGN: usize = 8;

/// Without alignment, so that offsets may lie between cells.
#[repr(Rust, packed)]
pub(super) struct Cell {
    word: *mut u8,
}

const _: () = assert!(size_of::<Cell>() == 8 && align_of::<Cell>() == 1);
const _: () = assert!(cfg!(target_endian = "little"), "the lowest byte is first");

// SAFETY: the block belongs to the cell alone.
unsafe impl Send for Cell {}
// SAFETY: shared cells are only read.
unsafe impl Sync for Cell {}

impl Cell {
    /// Nothing.
    pub const EMPTY: Self = Self { word: null_mut() };

    /// A string.
    pub fn new(text: &[u8]) -> Self {
        if let Some(integer) = parse_i64(text)
            && integer << 2 >> 2 == integer
        {
            let word = (integer << 2) as usize | TAG_INTEGER;
            return Self {
                word: without_provenance_mut(word),
            };
        }
        if text.len() <= SHORT_BYTES_MAX {
            let mut bytes = [0; 8];
            bytes[0] = (text.len() << 2 | TAG_SHORT) as u8;
            bytes[1..=text.len()].copy_from_slice(text);
            return Self {
                word: without_provenance_mut(u64::from_le_bytes(bytes) as usize),
            };
        }
        let layout = layout_of(text.len());
        // SAFETY: the layout is not empty.
        let block = unsafe { alloc(layout) };
        if block.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: the block has room for the header and the text, which is elsewhere.
        unsafe {
            let header = if text.len() <= NARROW_BYTES_MAX {
                *block = text.len() as u8;
                1
            } else {
                *block = u8::MAX;
                let length = (text.len() as u64).to_le_bytes();
                block.add(1).copy_from_nonoverlapping(length.as_ptr(), 8);
                WIDE_HEADER_BYTES
            };
            block
                .add(header)
                .copy_from_nonoverlapping(text.as_ptr(), text.len());
        }
        Self { word: block }
    }

    #[inline]
    fn bits(&self) -> usize {
        let word = self.word;
        word.addr()
    }

    /// Whether nothing is here.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bits() == 0
    }

    /// Whether the string is in a block of its own.
    #[inline]
    pub fn has_block(&self) -> bool {
        let bits = self.bits();
        bits != 0 && bits & TAG_MASK == 0
    }

    /// The string.
    #[inline]
    pub fn get(&self) -> Option<Element<'_>> {
        let bits = self.bits();
        if bits == 0 {
            return None;
        }
        Some(match bits & TAG_MASK {
            TAG_INTEGER => Element::Int(bits as i64 >> 2),
            TAG_SHORT => {
                let start = (&raw const self.word).cast::<u8>();
                let length = (bits as u8 >> 2) as usize;
                // SAFETY: the cell's bytes after the first hold `length` of them, and it is borrowed as long as they are.
                Element::Str(unsafe { std::slice::from_raw_parts(start.add(1), length) })
            }
            _ => Element::Str(self.block()),
        })
    }

    /// The text in the block, which must be there.
    fn block(&self) -> &[u8] {
        debug_assert!(self.has_block());
        let block = self.word;
        // SAFETY: `new` wrote the header, and after it as many bytes as it says.
        unsafe {
            let (header, length) = match *block {
                u8::MAX => {
                    let length = block.add(1).cast::<[u8; 8]>().read_unaligned();
                    (WIDE_HEADER_BYTES, u64::from_le_bytes(length) as usize)
                }
                length => (1, usize::from(length)),
            };
            std::slice::from_raw_parts(block.add(header), length)
        }
    }

    /// Moves its block, if it has one.
    pub fn move_by(&mut self, mover: &mut Mover<'_>) {
        if self.has_block() && mover.wants(self.word) {
            *self = self.clone();
            mover.moved(self.heap_bytes());
        }
    }

    /// Bytes of its block.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        if self.has_block() {
            layout_of(self.block().len()).size()
        } else {
            0
        }
    }
}

/// A block for a text of this length.
fn layout_of(length: usize) -> Layout {
    let header = if length <= NARROW_BYTES_MAX {
        1
    } else {
        WIDE_HEADER_BYTES
    };
    Layout::from_size_align(block_bytes(header + length), BLOCK_ALIGN)
        .expect("a text is shorter than the address space")
}

impl Default for Cell {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Clone for Cell {
    fn clone(&self) -> Self {
        if self.has_block() {
            // The text is none that would fit the cell.
            Self::new(self.block())
        } else {
            Self { word: self.word }
        }
    }
}

impl Drop for Cell {
    #[inline]
    fn drop(&mut self) {
        if self.has_block() {
            let layout = layout_of(self.block().len());
            let block = self.word;
            // SAFETY: `new` allocated the block with the layout of its text's length.
            unsafe { dealloc(block, layout) };
        }
    }
}
