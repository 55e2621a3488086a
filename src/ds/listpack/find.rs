//! Find: which entry is a given string, without unpacking any.

use super::entry::{Element, element, entry_bytes, integer_in};
use super::{END, Listpack, Position};

impl Listpack {
    /// The first element equal to `needle`, looking at the one at `from` and then passing over `skip` after each that is
    /// looked at: 0 for a list, 1 for the fields of pairs.
    pub fn find(&self, from: Position, needle: &[u8], skip: usize) -> Option<Position> {
        let bytes = self.as_bytes();
        let mut at = from.at();
        let needle = Needle::new(needle);
        loop {
            let tag = bytes[at];
            let is_found = match tag {
                0x80..=0xbf => needle.is_short_at(bytes, at, tag),
                0..=0x7f => needle.integer == Some(i64::from(tag)),
                END => return None,
                _ => needle.is_wide_at(bytes, at),
            };
            if is_found {
                return Some(Position::new(at));
            }
            at += entry_bytes(bytes, at);
            for _ in 0..skip {
                if bytes[at] == END {
                    return None;
                }
                at += entry_bytes(bytes, at);
            }
        }
    }
}

struct Needle<'n> {
    bytes: &'n [u8],
    integer: Option<i64>,
    /// First byte of the entry it would be as a short string; `END`, which no entry starts with, where it is longer.
    short_tag: u8,
    /// Its last eight bytes; if it has fewer, they come last, behind zeros.
    tail: u64,
    /// The bits of them that it has.
    tail_mask: u64,
}

/// Bytes of a [`Needle`]'s tail.
const TAIL_BYTES: usize = 8;

impl<'n> Needle<'n> {
    #[inline]
    fn new(bytes: &'n [u8]) -> Self {
        let (tail, tail_mask) = match bytes.last_chunk::<TAIL_BYTES>() {
            Some(last) => (*last, u64::MAX),
            None => {
                let mut last = [0; TAIL_BYTES];
                last[TAIL_BYTES - bytes.len()..].copy_from_slice(bytes);
                let missing_bits = 8 * (TAIL_BYTES - bytes.len()) as u32;
                (last, u64::MAX.checked_shl(missing_bits).unwrap_or(0))
            }
        };
        Self {
            bytes,
            integer: integer_in(bytes),
            short_tag: if bytes.len() < 64 {
                0x80 | bytes.len() as u8
            } else {
                END
            },
            tail: u64::from_le_bytes(tail),
            tail_mask,
        }
    }

    /// Whether it is the short string at `at`.
    #[inline]
    fn is_short_at(&self, bytes: &[u8], at: usize, tag: u8) -> bool {
        if tag != self.short_tag {
            return false;
        }
        // Fields that share a length mostly share a beginning, and differ at the end. Those that are shorter than their tail
        // have the head of the listpack before them, or other entries.
        let length = self.bytes.len();
        let tail = bytes[(at + 1 + length).saturating_sub(TAIL_BYTES)..].first_chunk();
        let tail = u64::from_le_bytes(*tail.expect("an entry is whole"));
        if tail & self.tail_mask != self.tail {
            return false;
        }
        let before = length.saturating_sub(TAIL_BYTES);
        bytes[at + 1..][..before] == self.bytes[..before]
    }

    fn is_wide_at(&self, bytes: &[u8], at: usize) -> bool {
        match element(bytes, at) {
            Element::Int(number) => self.integer == Some(number),
            Element::Str(own) => own == self.bytes,
        }
    }
}
