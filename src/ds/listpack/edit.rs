//! Edit: elements in, out and over. Every change is one move of what comes after it.

use super::block::{Block, HEADER_BYTES};
use super::entry::{Element, Encoded, SMALL_INTEGER_MAX, entry_bytes};
use super::{COUNT_UNKNOWN, Listpack, Position};

impl Listpack {
    /// Appends an element. Strings that are integers in canonical form are stored as such, here and below.
    #[inline]
    pub fn push_back<'a>(&mut self, element: impl Into<Element<'a>>) {
        self.put(self.end(), 0, &Encoded::of(element.into()));
        self.add_to_count(1);
    }

    /// Puts an element before all others.
    #[inline]
    pub fn push_front<'a>(&mut self, element: impl Into<Element<'a>>) {
        self.put(HEADER_BYTES, 0, &Encoded::of(element.into()));
        self.add_to_count(1);
    }

    /// Puts an element before the one at `position`, and returns its place.
    #[inline]
    pub fn insert_before<'a>(
        &mut self,
        position: Position,
        element: impl Into<Element<'a>>,
    ) -> Position {
        self.put(position.at(), 0, &Encoded::of(element.into()));
        self.add_to_count(1);
        position
    }

    /// Puts an element after the one at `position`, and returns its place.
    #[inline]
    pub fn insert_after<'a>(
        &mut self,
        position: Position,
        element: impl Into<Element<'a>>,
    ) -> Position {
        let at = position.at() + entry_bytes(self.as_bytes(), position.at());
        self.put(at, 0, &Encoded::of(element.into()));
        self.add_to_count(1);
        Position::new(at)
    }

    /// Puts several elements at once before the one at `position`, or at the end.
    pub fn insert_many<const N: usize>(
        &mut self,
        position: Option<Position>,
        elements: [Element<'_>; N],
    ) {
        let at = position.map_or(self.end(), Position::at);
        let encoded = elements.map(Encoded::of);
        let added = encoded.iter().map(Encoded::entry_bytes).sum();
        self.block.splice(at, 0, added, |gap| {
            for piece in encoded.iter().flat_map(Encoded::pieces) {
                gap.put(piece);
            }
        });
        self.add_to_count(N as isize);
    }

    /// Appends several elements at once.
    pub fn push_many<const N: usize>(&mut self, elements: [Element<'_>; N]) {
        self.insert_many(None, elements);
    }

    /// Puts an element in the place of the one at `position`, which is then its place.
    #[inline]
    pub fn replace<'a>(&mut self, position: Position, element: impl Into<Element<'a>>) {
        let (at, element) = (position.at(), element.into());
        let tag = self.as_bytes()[at];
        if let Element::Int(number @ 0..=SMALL_INTEGER_MAX) = element
            && i64::from(tag) <= SMALL_INTEGER_MAX
        {
            return self.block.set_byte(at, number as u8);
        }
        let removed = entry_bytes(self.as_bytes(), at);
        self.put(at, removed, &Encoded::of(element));
    }

    /// Removes the element at `position`; returns the place of the one after it.
    #[inline]
    pub fn delete(&mut self, position: Position) -> Option<Position> {
        self.delete_entries(position, 1)
    }

    /// Removes up to `count` elements from `position` on; returns the place of the one after them.
    pub fn delete_entries(&mut self, position: Position, count: usize) -> Option<Position> {
        let start = position.at();
        let (at, removed_count) = self.skip_entries(start, count);
        self.remove(start, at, removed_count);
        self.position_at(start)
    }

    /// Removes up to `count` elements from the one with this index on; -1 is the last.
    ///
    /// - Returns how many were removed.
    pub fn delete_range(&mut self, index: isize, count: usize) -> usize {
        let Some(position) = self.seek(index) else {
            return 0;
        };
        let (at, removed_count) = self.skip_entries(position.at(), count);
        self.remove(position.at(), at, removed_count);
        removed_count
    }

    /// Removes all elements.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Appends all elements of `other`.
    pub fn append(&mut self, other: &Self) {
        self.put_all(self.end(), other);
    }

    /// Puts all elements of `other` before the first.
    pub fn prepend(&mut self, other: &Self) {
        self.put_all(HEADER_BYTES, other);
    }

    /// Takes the elements from `index` on out, into a listpack of their own.
    pub fn split_off(&mut self, index: usize) -> Self {
        let (at, kept_count) = self.skip_entries(HEADER_BYTES, index);
        let mut rest = Self::new();
        if at == self.end() {
            return rest;
        }
        let entries = &self.as_bytes()[at..self.end()];
        rest.block
            .splice(HEADER_BYTES, 0, entries.len(), |gap| gap.put(entries));
        let rest_count = match self.count() {
            COUNT_UNKNOWN => rest.walked_len(),
            count => count as usize - kept_count,
        };
        rest.set_count(rest_count);
        let end = self.end();
        self.block.splice(at, end - at, 0, |_| ());
        self.set_count(kept_count);
        rest
    }

    fn put_all(&mut self, at: usize, other: &Self) {
        let entries = &other.as_bytes()[HEADER_BYTES..other.end()];
        if entries.is_empty() {
            return;
        }
        // A listpack of unknown count may still hold few elements, if it came from elsewhere.
        let count = match (self.count(), other.count()) {
            (COUNT_UNKNOWN, _) | (_, COUNT_UNKNOWN) => COUNT_UNKNOWN as usize,
            (count, other_count) => count as usize + other_count as usize,
        };
        self.block
            .splice(at, 0, entries.len(), |gap| gap.put(entries));
        self.set_count(count);
    }

    /// Puts one entry in the place of `removed` bytes.
    #[inline]
    fn put(&mut self, at: usize, removed: usize, encoded: &Encoded<'_>) {
        self.block
            .splice(at, removed, encoded.entry_bytes(), |gap| {
                for piece in encoded.pieces() {
                    gap.put(piece);
                }
            });
    }

    fn remove(&mut self, start: usize, at: usize, removed_count: usize) {
        let is_all = start == HEADER_BYTES && at == self.end();
        if is_all {
            self.block = Block::empty();
        } else if at > start {
            self.block.splice(start, at - start, 0, |_| ());
            self.add_to_count(-(removed_count as isize));
        }
    }

    /// Where the entry is that is `count` after the one at `at`, or the end; and how many were passed.
    fn skip_entries(&self, mut at: usize, count: usize) -> (usize, usize) {
        let bytes = self.as_bytes();
        let mut passed = 0;
        while passed < count && at < self.end() {
            at += entry_bytes(bytes, at);
            passed += 1;
        }
        (at, passed)
    }

    #[inline]
    pub(super) fn add_to_count(&mut self, difference: isize) {
        let count = self.count();
        if count != COUNT_UNKNOWN {
            self.set_count((count as usize).wrapping_add_signed(difference));
        }
    }

    #[inline]
    fn set_count(&mut self, count: usize) {
        self.block
            .set_count(u16::try_from(count).unwrap_or(COUNT_UNKNOWN));
    }
}
