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
            if tag == END {
                return None;
            }
            if needle.is_at(bytes, at, tag) {
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
    last: u8,
}

impl<'n> Needle<'n> {
    #[inline]
    fn new(bytes: &'n [u8]) -> Self {
        Self {
            bytes,
            integer: integer_in(bytes),
            short_tag: if bytes.len() < 64 {
                0x80 | bytes.len() as u8
            } else {
                END
            },
            last: bytes.last().copied().unwrap_or(0),
        }
    }

    #[inline]
    fn is_at(&self, bytes: &[u8], at: usize, tag: u8) -> bool {
        match tag {
            // Fields that share a length mostly share a beginning, and differ at the end.
            0x80..=0xbf => {
                let length = self.bytes.len();
                tag == self.short_tag
                    && (length == 0
                        || (bytes[at + length] == self.last
                            && bytes[at + 1..][..length] == *self.bytes))
            }
            0..=0x7f => self.integer == Some(i64::from(tag)),
            _ => self.is_wide_at(bytes, at),
        }
    }

    fn is_wide_at(&self, bytes: &[u8], at: usize) -> bool {
        match element(bytes, at) {
            Element::Int(number) => self.integer == Some(number),
            Element::Str(own) => own == self.bytes,
        }
    }
}
