//! Packed: the fields of a small hash in one listpack.
//!
//!     undated   field value field value ...
//!     dated     field value deadline field value deadline ...     by deadline; 0 is none, and comes last
//!
//! Promises  the dated layout is Redis's `listpackex`, so dumps carry it unchanged.
//! Not here  when a hash has outgrown it: `hash/mod.rs`.

use super::DEADLINE_MS_MAX;
use crate::ds::listpack::{Element, Listpack, Position};
use crate::ds::mover::Mover;
use crate::keyspace::rdb::distinct::are_distinct_in;

/// What the third element of a field without a deadline says.
const NO_DEADLINE: i64 = 0;

/// Fields, values and perhaps deadlines in a listpack.
#[derive(Clone)]
pub(super) struct Packed {
    pack: Listpack,
    is_dated: bool,
}

/// A field that was found.
#[derive(Clone, Copy)]
pub(super) struct Place {
    field: Position,
    value: Position,
}

impl Packed {
    pub(super) const fn new() -> Self {
        Self {
            pack: Listpack::new(),
            is_dated: false,
        }
    }

    /// See [`super::Hash::from_listpack`].
    pub(super) fn from_listpack(pack: Listpack, is_dated: bool) -> Option<Self> {
        let packed = Self { pack, is_dated };
        let width = packed.width();
        let length = packed.pack.len();
        if length == 0 || !length.is_multiple_of(width) {
            return None;
        }
        let are_valid = !is_dated || has_deadlines_in_order(&packed.pack);
        (are_valid && are_distinct_in(&packed.pack, width)).then_some(packed)
    }

    pub(super) fn pack(&self) -> &Listpack {
        &self.pack
    }

    /// Moves its bytes.
    pub(super) fn move_by(&mut self, mover: &mut Mover<'_>) {
        mover.listpack(&mut self.pack);
    }

    pub(super) fn is_dated(&self) -> bool {
        self.is_dated
    }

    pub(super) fn len(&self) -> usize {
        self.pack.len() / self.width()
    }

    #[inline]
    pub(super) fn find(&self, field: &[u8]) -> Option<Place> {
        let first = self.pack.first()?;
        let field = self.pack.find(first, field, self.width() - 1)?;
        let value = self.pack.next(field)?;
        Some(Place { field, value })
    }

    #[inline]
    pub(super) fn value(&self, place: Place) -> Element<'_> {
        self.pack.get(place.value)
    }

    #[inline]
    pub(super) fn deadline_ms(&self, place: Place) -> Option<i64> {
        if !self.is_dated {
            return None;
        }
        let at = self.pack.next(place.value)?;
        deadline_in(self.pack.get(at))
    }

    /// Adds a field that is not there.
    pub(super) fn add(&mut self, field: &[u8], value: Element<'_>) {
        if self.is_dated {
            let none = Element::Int(NO_DEADLINE);
            self.pack.push_many([field.into(), value, none]);
        } else {
            self.pack.push_many([field.into(), value]);
        }
    }

    /// Replaces a value; the deadline stays.
    pub(super) fn set_value(&mut self, place: Place, value: Element<'_>) {
        self.pack.replace(place.value, value);
    }

    pub(super) fn remove(&mut self, place: Place) {
        self.pack.delete_entries(place.field, self.width());
    }

    /// Moves a field to where its new deadline belongs. The layout is dated.
    pub(super) fn set_deadline(&mut self, place: Place, field: &[u8], deadline_ms: Option<i64>) {
        debug_assert!(self.is_dated, "the layout has deadlines");
        let text: Vec<u8>;
        let value = match self.pack.get(place.value) {
            Element::Int(number) => Element::Int(number),
            Element::Str(bytes) => {
                text = bytes.to_vec();
                Element::Str(&text)
            }
        };
        self.remove(place);
        let before = deadline_ms.and_then(|deadline_ms| self.first_from(deadline_ms));
        let deadline = Element::Int(deadline_ms.unwrap_or(NO_DEADLINE));
        self.pack
            .insert_many(before, [field.into(), value, deadline]);
    }

    /// The earliest deadline.
    #[inline]
    pub(super) fn next_deadline_ms(&self) -> Option<i64> {
        if !self.is_dated {
            return None;
        }
        deadline_in(self.pack.get(self.pack.seek(2)?))
    }

    /// How many fields have died by `now_ms`; they come first.
    pub(super) fn dead_count(&self, now_ms: i64) -> usize {
        if !self.is_dated {
            return 0;
        }
        let deadlines = self.pack.iter().skip(2).step_by(3).map(deadline_in);
        deadlines
            .take_while(|deadline_ms| super::is_expired(*deadline_ms, now_ms))
            .count()
    }

    /// Removes the first `count` fields.
    pub(super) fn remove_first(&mut self, count: usize) {
        self.pack.delete_range(0, count * self.width());
    }

    /// Gives the layout deadlines.
    pub(super) fn make_dated(&mut self) {
        if self.is_dated {
            return;
        }
        let mut dated = Listpack::new();
        for (field, value, _) in self.iter() {
            dated.push_many([field, value, Element::Int(NO_DEADLINE)]);
        }
        self.pack = dated;
        self.is_dated = true;
    }

    /// Fields with values and deadlines, the dead included.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Element<'_>, Element<'_>, Option<i64>)> {
        let mut elements = self.pack.iter();
        let is_dated = self.is_dated;
        std::iter::from_fn(move || {
            let (field, value) = (elements.next()?, elements.next()?);
            let deadline_ms = match is_dated {
                true => deadline_in(elements.next()?),
                false => None,
            };
            Some((field, value, deadline_ms))
        })
    }

    /// The field with this index, and its value.
    pub(super) fn at(&self, index: usize) -> Option<(Element<'_>, Element<'_>)> {
        let field = self.pack.seek((index * self.width()) as isize)?;
        let value = self.pack.next(field)?;
        Some((self.pack.get(field), self.pack.get(value)))
    }

    /// Elements of a field.
    #[inline]
    fn width(&self) -> usize {
        2 + usize::from(self.is_dated)
    }

    /// The first field that dies at this time or later, or never.
    fn first_from(&self, deadline_ms: i64) -> Option<Position> {
        let mut field = self.pack.first()?;
        loop {
            let deadline = self.pack.next(self.pack.next(field)?)?;
            match deadline_in(self.pack.get(deadline)) {
                Some(other_ms) if other_ms < deadline_ms => field = self.pack.next(deadline)?,
                _ => return Some(field),
            }
        }
    }
}

/// Whether every third element is a deadline, none before one that it must follow.
fn has_deadlines_in_order(pack: &Listpack) -> bool {
    let mut last = i64::MIN;
    pack.iter().skip(2).step_by(3).all(|element| {
        let Element::Int(deadline_ms @ 0..=DEADLINE_MS_MAX) = element else {
            return false;
        };
        let order = if deadline_ms == NO_DEADLINE {
            i64::MAX
        } else {
            deadline_ms
        };
        let is_in_order = last <= order;
        last = order;
        is_in_order
    })
}

#[inline]
fn deadline_in(element: Element<'_>) -> Option<i64> {
    match element {
        Element::Int(NO_DEADLINE) => None,
        Element::Int(deadline_ms) => Some(deadline_ms),
        Element::Str(_) => None,
    }
}
