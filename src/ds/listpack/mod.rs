//! Listpack: a short list of strings and integers in one allocation.
//!
//!     | total bytes u32 | count u16 | entry ... entry | 0xFF |     little-endian
//!     entry = | encoding and data | back length |                  starts at any byte (entry.rs)
//!
//! A count of 65,535 says that there are at least as many; `len` then walks.
//!
//! Promises  eight bytes and one allocation, none when empty; a step either way is O(1); the bytes are Redis's, so dumps
//!           and snapshots carry them unchanged; nothing that `from_bytes` accepts leads outside of them.
//! Not here  when a list has outgrown a listpack: `keyspace/`.
//! Source    the format's description at github.com/antirez/listpack.
//! Tests     tests/ds/listpack.rs: a model of vectors, golden bytes; fuzz target `listpack`.

mod bare;
mod batch;
mod block;
mod edit;
mod entry;
mod find;

pub use bare::Bare;
pub use batch::Batch;
use block::{Block, EMPTY_BYTES, END, HEADER_BYTES};
pub use entry::Element;
use std::num::NonZeroU32;

/// Total bytes that a listpack should not pass.
pub const LISTPACK_BYTES_MAX: usize = 1 << 30;

/// Elements at random places that are sought one by one: for more, one walk that lists all is as cheap.
pub const SEEKS_MAX: u64 = 4;

/// The count that says nothing.
const COUNT_UNKNOWN: u16 = u16::MAX;

/// A list of elements, packed.
pub struct Listpack {
    block: Block,
}

const _: () = assert!(size_of::<Option<Listpack>>() == 8);

/// Where an entry starts.
///
/// It holds for the listpack it came from until that one changes at or before it; a stale one gives a wrong element or
/// a panic, never a read outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(NonZeroU32);

impl Position {
    #[inline]
    fn new(at: usize) -> Self {
        let at = u32::try_from(at).ok().and_then(NonZeroU32::new);
        Self(at.expect("entries start after the header, below 4 GiB"))
    }

    #[inline]
    fn at(self) -> usize {
        self.0.get() as usize
    }

    /// Bytes of the elements from `start`, which is not behind it, up to here.
    #[inline]
    pub fn bytes_since(self, start: Self) -> u32 {
        self.0.get() - start.0.get()
    }
}

impl Listpack {
    /// A listpack without elements; allocates nothing.
    pub const fn new() -> Self {
        Self {
            block: Block::empty(),
        }
    }

    /// Copies a listpack that came from elsewhere.
    ///
    /// - `None` unless header, count and every entry are right, to the last byte.
    /// - Cost: one walk and one copy.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        is_valid(bytes).then(|| Self {
            block: Block::copy_of(bytes),
        })
    }

    /// Copies a listpack that was just written here, whose bytes are right for that reason.
    ///
    /// - Cost: one copy. Bytes that are none give wrong elements or a panic, never a read outside.
    pub fn of_written(bytes: &[u8]) -> Self {
        debug_assert!(is_valid(bytes), "what was written is a listpack");
        Self {
            block: Block::copy_of(bytes),
        }
    }

    /// A listpack of elements of one form: `data` is what their entries have between the first byte and the back length.
    ///
    /// - `head`: the first byte of each; `width`: how many bytes follow one, 1 to 63.
    /// - Cost: one allocation and one pass. That `head` and `width` belong together is the caller's to know.
    pub fn of_one_form(head: u8, width: usize, data: &[u8]) -> Self {
        let count = data.len() / width;
        let mut made = Self::new();
        made.block
            .splice(HEADER_BYTES, 0, count * (width + 2), |gap| {
                gap.put_entries(head, width, data);
            });
        made.block
            .set_count(u16::try_from(count).unwrap_or(COUNT_UNKNOWN));
        debug_assert!(
            is_valid(made.as_bytes()),
            "the first byte says how long an entry is"
        );
        made
    }

    /// The whole listpack, header and end included.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.block.bytes()
    }

    /// Elements. O(1) below 65,535, else a walk.
    #[inline]
    pub fn len(&self) -> usize {
        match self.count() {
            COUNT_UNKNOWN => self.walked_len(),
            count => count as usize,
        }
    }

    /// Whether there is no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.byte_len() == EMPTY_BYTES
    }

    /// Bytes of the whole listpack.
    #[inline]
    pub fn byte_len(&self) -> usize {
        self.block.total_bytes()
    }

    /// Bytes allocated.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.block.heap_bytes()
    }

    /// Whether `bytes` more of elements keep it within [`LISTPACK_BYTES_MAX`].
    #[inline]
    pub fn has_room_for(&self, bytes: usize) -> bool {
        self.byte_len()
            .checked_add(bytes)
            .is_some_and(|total| total <= LISTPACK_BYTES_MAX)
    }

    /// The first element's place.
    #[inline]
    pub fn first(&self) -> Option<Position> {
        self.position_at(HEADER_BYTES)
    }

    /// The last element's place.
    #[inline]
    pub fn last(&self) -> Option<Position> {
        self.before(self.end())
    }

    /// The place after `position`.
    #[inline]
    pub fn next(&self, position: Position) -> Option<Position> {
        let at = position.at();
        self.position_at(at + entry::entry_bytes(self.as_bytes(), at))
    }

    /// The place before `position`.
    #[inline]
    pub fn previous(&self, position: Position) -> Option<Position> {
        self.before(position.at())
    }

    /// The element at `position`.
    #[inline]
    pub fn get(&self, position: Position) -> Element<'_> {
        entry::element(self.as_bytes(), position.at())
    }

    /// The place of the element with this index; -1 is the last.
    ///
    /// - Cost: steps from the nearer end.
    pub fn seek(&self, index: isize) -> Option<Position> {
        let count = self.count();
        let known = (count != COUNT_UNKNOWN).then_some(count as usize);
        let distance = index.unsigned_abs();
        let (from_front, steps) = match known {
            Some(len) if index < 0 => {
                let index = len.checked_sub(distance)?;
                if index <= len / 2 {
                    (true, index)
                } else {
                    (false, distance - 1)
                }
            }
            Some(len) if distance >= len => return None,
            Some(len) if distance > len / 2 => (false, len - 1 - distance),
            None if index < 0 => (false, distance - 1),
            _ => (true, distance),
        };
        let mut position = if from_front {
            self.first()?
        } else {
            self.last()?
        };
        for _ in 0..steps {
            position = if from_front {
                self.next(position)?
            } else {
                self.previous(position)?
            };
        }
        Some(position)
    }

    /// All elements, first to last; `rev` turns it round.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            bytes: self.as_bytes(),
            at: HEADER_BYTES,
            end: self.end(),
        }
    }

    /// The elements from `position` on.
    pub fn iter_from(&self, position: Position) -> Iter<'_> {
        Iter {
            at: position.at(),
            ..self.iter()
        }
    }

    /// The elements after the last: none.
    pub fn iter_from_end(&self) -> Iter<'_> {
        Iter {
            at: self.end(),
            ..self.iter()
        }
    }

    #[inline]
    fn count(&self) -> u16 {
        count_in(self.as_bytes())
    }

    #[cold]
    fn walked_len(&self) -> usize {
        self.iter().count()
    }

    /// Where the end byte is.
    #[inline]
    fn end(&self) -> usize {
        self.byte_len() - 1
    }

    #[inline]
    fn position_at(&self, at: usize) -> Option<Position> {
        (at < self.end()).then(|| Position::new(at))
    }

    #[inline]
    fn before(&self, at: usize) -> Option<Position> {
        (at > HEADER_BYTES).then(|| Position::new(entry::previous_start(self.as_bytes(), at)))
    }
}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Listpack {
    fn clone(&self) -> Self {
        Self {
            block: self.block.clone(),
        }
    }
}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'lp> IntoIterator for &'lp Listpack {
    type Item = Element<'lp>;
    type IntoIter = Iter<'lp>;

    fn into_iter(self) -> Iter<'lp> {
        self.iter()
    }
}

/// Walks the elements of a listpack, from either end.
#[derive(Clone)]
pub struct Iter<'lp> {
    bytes: &'lp [u8],
    at: usize,
    end: usize,
}

impl Iter<'_> {
    /// Where the next element is.
    #[inline]
    pub fn position(&self) -> Option<Position> {
        (self.at < self.end).then(|| Position::new(self.at))
    }

    /// Passes over elements that take so many bytes together.
    #[inline]
    pub fn pass_bytes(&mut self, bytes: u32) {
        self.at += bytes as usize;
    }
}

impl<'lp> Iterator for Iter<'lp> {
    type Item = Element<'lp>;

    #[inline]
    fn next(&mut self) -> Option<Element<'lp>> {
        if self.at >= self.end {
            return None;
        }
        let element = entry::element(self.bytes, self.at);
        self.at += entry::entry_bytes(self.bytes, self.at);
        Some(element)
    }

    /// Passes over elements without looking at what they hold.
    #[inline]
    fn nth(&mut self, count: usize) -> Option<Element<'lp>> {
        for _ in 0..count {
            if self.at >= self.end {
                return None;
            }
            self.at += entry::entry_bytes(self.bytes, self.at);
        }
        self.next()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        self.end = entry::previous_start(self.bytes, self.end);
        Some(entry::element(self.bytes, self.end))
    }
}

#[inline]
fn count_in(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[4], bytes[5]])
}

/// Whether `bytes` are a listpack, to the last byte.
fn is_valid(bytes: &[u8]) -> bool {
    if bytes.len() < EMPTY_BYTES
        || block::total_in(bytes) != bytes.len()
        || bytes[bytes.len() - 1] != END
    {
        return false;
    }
    let end = bytes.len() - 1;
    let mut at = HEADER_BYTES;
    let mut entries_count = 0_usize;
    while at < end {
        match entry::checked_entry_bytes(bytes, at, end) {
            Some(entry_bytes) => at += entry_bytes,
            None => return false,
        }
        entries_count += 1;
    }
    let count = count_in(bytes);
    // The empty one is a constant, whose count is known.
    count as usize == entries_count || (count == COUNT_UNKNOWN && entries_count > 0)
}
