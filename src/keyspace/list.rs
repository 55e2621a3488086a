//! Lists: one listpack while they are short, a quicklist when they are not.
//!
//! A list becomes a quicklist before it would pass `list-max-listpack-size` and a listpack again when it has shrunk to half
//! of that, so that one at the limit does not go back and forth. The size and `list-compress-depth` in force when it
//! becomes a quicklist stay with it.
//!
//! Promises  encodings change where Redis's do; one element more or less costs the same at any length.
//! Not here  elements and their bytes: `ds/listpack/`, `ds/quicklist/`.
//! Tests     tests/transcripts/list*.txt; tests/ds/quicklist.rs.

use super::value::collection_of;
use super::{Collection, EncodingLimits};
use crate::ds::key_table::HeapSize;
use crate::ds::listpack::Listpack;
use crate::ds::mover::{Mover, Progress};
use crate::ds::quicklist::{NodeLimit, Quicklist, remove_in, visit_pack};
use crate::ds::unaligned_box::UnalignedBox;
use std::ops::ControlFlow;

pub use crate::ds::listpack::Element;
pub use crate::ds::quicklist::End;

/// A list. See the module.
#[derive(Clone, Default)]
pub struct List(Form);

#[derive(Clone)]
enum Form {
    Packed(Listpack),
    Long(UnalignedBox<Quicklist>),
}

const _: () = assert!(size_of::<List>() == 9);

impl Default for Form {
    fn default() -> Self {
        Self::Packed(Listpack::new())
    }
}

impl List {
    /// A list that was built whole: a listpack where it fits one.
    pub fn from_quicklist(list: Quicklist, limits: &EncodingLimits) -> Self {
        let mut list = Self(Form::Long(UnalignedBox::new(list)));
        list.pack(limits, 1);
        list
    }

    /// Makes ready for elements to come: `bytes` of them in all, `count` many. Whoever pushes, inserts or sets says so first.
    #[inline]
    pub fn expect(&mut self, bytes: usize, count: usize, limits: &EncodingLimits) {
        if let Form::Packed(pack) = &self.0 {
            let limit = NodeLimit::from_size(limits.list_max_listpack_size);
            if !limit.allows(pack.byte_len() + bytes, pack.len() + count) {
                self.lengthen(limits);
            }
        }
    }

    /// Adds an element at one end.
    #[inline]
    pub fn push(&mut self, end: End, element: Element<'_>) {
        match (&mut self.0, end) {
            (Form::Packed(pack), End::Front) => pack.push_front(element),
            (Form::Packed(pack), End::Back) => pack.push_back(element),
            (Form::Long(list), end) => list.push(end, element),
        }
    }

    /// The element at one end.
    #[inline]
    pub fn peek(&self, end: End) -> Option<Element<'_>> {
        match &self.0 {
            Form::Packed(pack) => {
                let position = match end {
                    End::Front => pack.first(),
                    End::Back => pack.last(),
                };
                Some(pack.get(position?))
            }
            Form::Long(list) => list.peek(end),
        }
    }

    /// Removes the element at one end, if there is one.
    #[inline]
    pub fn pop(&mut self, end: End, limits: &EncodingLimits) {
        self.take(end);
        self.shorten(limits);
    }

    /// Moves the element at one end, which is `element`, to an end of the same list: a quicklist is none shorter for it,
    /// and no listpack in between.
    pub fn turn(&mut self, from: End, to: End, element: Element<'_>, limits: &EncodingLimits) {
        self.take(from);
        self.expect(element.text_bytes(), 1, limits);
        self.push(to, element);
        self.shorten(limits);
    }

    #[inline]
    fn take(&mut self, end: End) {
        match &mut self.0 {
            Form::Packed(pack) => {
                let position = match end {
                    End::Front => pack.first(),
                    End::Back => pack.last(),
                };
                if let Some(position) = position {
                    pack.delete(position);
                }
            }
            Form::Long(list) => list.pop(end),
        }
    }

    /// Calls `visit` with the elements from `index` on, towards the back (`from` the front) or towards the front, until
    /// there are no more or it breaks.
    pub fn visit(
        &self,
        index: usize,
        from: End,
        mut visit: impl FnMut(Element<'_>) -> ControlFlow<()>,
    ) {
        match &self.0 {
            Form::Packed(pack) => {
                let _ = visit_pack(pack, Some(index), from, &mut visit);
            }
            Form::Long(list) => list.visit(index, from, visit),
        }
    }

    /// Calls `visit` with up to `count` elements from `index` on.
    pub fn visit_some(
        &self,
        index: usize,
        count: usize,
        from: End,
        mut visit: impl FnMut(Element<'_>),
    ) {
        let mut left = count;
        if left == 0 {
            return;
        }
        self.visit(index, from, |element| {
            visit(element);
            left -= 1;
            if left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
    }

    /// Puts `element` before or after the first one equal to `pivot`; false where there is none.
    pub fn insert_beside(&mut self, pivot: &[u8], is_after: bool, element: Element<'_>) -> bool {
        match &mut self.0 {
            Form::Packed(pack) => {
                let first = pack.first();
                let Some(position) = first.and_then(|first| pack.find(first, pivot, 0)) else {
                    return false;
                };
                if is_after {
                    pack.insert_after(position, element);
                } else {
                    pack.insert_before(position, element);
                }
                true
            }
            Form::Long(list) => list.insert_beside(pivot, is_after, element),
        }
    }

    /// Puts `element` in the place of the one with this index; false where there is none.
    pub fn set(&mut self, index: usize, element: Element<'_>, limits: &EncodingLimits) -> bool {
        let is_set = match &mut self.0 {
            Form::Packed(pack) => match pack.seek(index as isize) {
                Some(position) => {
                    pack.replace(position, element);
                    true
                }
                None => false,
            },
            Form::Long(list) => list.set(index, element),
        };
        self.shorten(limits);
        is_set
    }

    /// Removes up to `count` elements equal to `element`, the ones nearest to the front (`from` the front) or to the back;
    /// returns how many.
    pub fn remove_equal(
        &mut self,
        element: &[u8],
        count: usize,
        from: End,
        limits: &EncodingLimits,
    ) -> usize {
        match &mut self.0 {
            Form::Packed(pack) => remove_in(pack, element, count, from),
            Form::Long(list) => {
                let removed_count = list.remove_equal(element, count, from);
                self.shorten(limits);
                removed_count
            }
        }
    }

    /// Removes `count` elements from the one with this index on, or as many as there are; what went in one piece comes back
    /// where it is large, for [`Keyspace::discard`](super::Keyspace::discard) to free bit by bit.
    pub fn remove_range(
        &mut self,
        index: usize,
        count: usize,
        limits: &EncodingLimits,
    ) -> Option<List> {
        match &mut self.0 {
            Form::Packed(pack) => {
                pack.delete_range(index as isize, count);
                None
            }
            Form::Long(list) => {
                let cut = list.remove_range(index, count);
                self.shorten(limits);
                (cut.nodes_count() > 1).then(|| List(Form::Long(UnalignedBox::new(cut))))
            }
        }
    }

    /// Elements.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(pack) => pack.len(),
            Form::Long(list) => list.len(),
        }
    }

    /// Whether there is no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Form::Packed(pack) => pack.is_empty(),
            Form::Long(list) => list.is_empty(),
        }
    }

    /// The place in it that an index names: from the front, or from the back where negative (-1 is the last).
    #[inline]
    pub fn place(&self, index: i64) -> Option<usize> {
        let len = self.len();
        let place = if index < 0 {
            len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
        } else {
            usize::try_from(index).ok()?
        };
        (place < len).then_some(place)
    }

    /// First place and length of what `start` to `stop` name, both included and counted as [`List::place`] does; what is
    /// outside of the list is cut off.
    pub fn range(&self, start: i64, stop: i64) -> (usize, usize) {
        let len = self.len() as i64;
        let from_front = |index: i64| if index < 0 { len + index } else { index };
        let start = from_front(start).max(0);
        let stop = from_front(stop).min(len - 1);
        if start > stop {
            return (0, 0);
        }
        (start as usize, (stop - start + 1) as usize)
    }

    /// The quicklist it is, if it is one.
    pub fn as_quicklist(&self) -> Option<&Quicklist> {
        match &self.0 {
            Form::Packed(_) => None,
            Form::Long(list) => Some(list),
        }
    }

    /// The listpack it is, if it is one.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Form::Packed(pack) => Some(pack),
            Form::Long(_) => None,
        }
    }

    #[cold]
    fn lengthen(&mut self, limits: &EncodingLimits) {
        if let Form::Packed(pack) = &mut self.0 {
            let mut limit = NodeLimit::from_size(limits.list_max_listpack_size);
            if let Some(bytes) = limits.list_packed_threshold {
                limit.element_bytes_max = limit.element_bytes_max.min(bytes.saturating_sub(1));
            }
            let mut list = UnalignedBox::new(Quicklist::new(limit, limits.list_compress_depth));
            list.push_listpack(std::mem::take(pack));
            self.0 = Form::Long(list);
        }
    }

    /// Becomes a listpack if it has shrunk to half of the limit.
    #[inline]
    fn shorten(&mut self, limits: &EncodingLimits) {
        if let Form::Long(list) = &self.0
            && list.nodes_count() == 1
        {
            self.pack(limits, 2);
        }
    }

    /// Becomes a listpack if it is one node within a part of the limit.
    fn pack(&mut self, limits: &EncodingLimits, part: usize) {
        let Form::Long(list) = &mut self.0 else {
            return;
        };
        let limit = NodeLimit::from_size(limits.list_max_listpack_size);
        let is_short = list.single_listpack().is_some_and(|pack| {
            // A limit by elements is none by bytes here.
            if limit.elements_max == usize::MAX {
                pack.byte_len() <= limit.bytes_max / part
            } else {
                pack.len() <= limit.elements_max / part
            }
        });
        if is_short && let Some(pack) = list.take_single_listpack() {
            self.0 = Form::Packed(pack);
        }
    }
}

impl HeapSize for List {
    #[inline]
    fn extent(&self) -> (usize, usize) {
        (super::value::LISTS, self.len())
    }

    #[inline]
    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(pack) => pack.heap_bytes(),
            Form::Long(list) => size_of::<Quicklist>() + list.heap_bytes(),
        }
    }

    fn move_step(&mut self, from: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
        match &mut self.0 {
            Form::Packed(pack) => {
                mover.listpack(pack);
                None
            }
            Form::Long(list) => {
                if from.is_start() {
                    mover.unaligned_box(list);
                }
                let next = list.move_step(from.index(), mover)?;
                Some(Progress::new(0, next))
            }
        }
    }

    fn free_effort(&self) -> usize {
        match &self.0 {
            Form::Packed(_) => 1,
            Form::Long(list) => list.nodes_count(),
        }
    }

    fn free_step(&mut self, budget: usize) -> bool {
        match &mut self.0 {
            Form::Packed(_) => true,
            Form::Long(list) => list.free_step(budget),
        }
    }
}

impl Collection for List {
    const TYPE_NAME: &'static str = "list";

    fn encoding_name(&self) -> &'static str {
        match &self.0 {
            Form::Packed(_) => "listpack",
            Form::Long(_) => "quicklist",
        }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        List::is_empty(self)
    }

    collection_of!(List);
}
