//! Reading: elements by index and in order. Compressed nodes are unpacked aside, one at a time.

use super::node::{Content, Room};
use super::{End, Quicklist};
use crate::ds::listpack::{Element, Listpack};
use std::ops::ControlFlow;

impl Quicklist {
    /// Calls `visit` with the elements from `index` on, towards the back (`from` the front) or towards the front, until
    /// there are no more or it breaks.
    ///
    /// - `index`: counted from the front; with none there, nothing is visited.
    pub fn visit(
        &self,
        index: usize,
        from: End,
        mut visit: impl FnMut(Element<'_>) -> ControlFlow<()>,
    ) {
        let Some((at, offset)) = self.chain.seek(index) else {
            return;
        };
        let mut place = Some((at, Some(offset)));
        while let Some((at, offset)) = place {
            if let Some(even) = self.chain.node(at).as_even() {
                let flow = match (from, offset) {
                    (End::Front, _) => even.from(offset.unwrap_or(0)).try_for_each(&mut visit),
                    (End::Back, Some(offset)) => even.up_to(offset).rev().try_for_each(&mut visit),
                    (End::Back, None) => even.from(0).rev().try_for_each(&mut visit),
                };
                if flow.is_break() {
                    return;
                }
                place = self.chain.step(at, from).map(|at| (at, None));
                continue;
            }
            let mut room = Room::default();
            let flow = match self.chain.node(at).content(&mut room) {
                Content::Alone(bytes) => visit(Element::Str(bytes)),
                Content::Packed(pack) => visit_pack(pack, offset, from, &mut visit),
            };
            if flow.is_break() {
                return;
            }
            place = self.chain.step(at, from).map(|at| (at, None));
        }
    }

    /// Calls `visit` with each node's content, first to last.
    pub fn visit_nodes(&self, mut visit: impl FnMut(Content<'_>)) {
        let mut place = self.chain.end(End::Front);
        while let Some(at) = place {
            visit(self.chain.node(at).content(&mut Room::default()));
            place = self.chain.step(at, End::Front);
        }
    }
}

/// As [`Quicklist::visit`], in one listpack; without an index from its first or last element on.
pub fn visit_pack(
    pack: &Listpack,
    index: Option<usize>,
    from: End,
    visit: &mut impl FnMut(Element<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    match from {
        End::Front => {
            let Some(start) = pack.seek(index.unwrap_or(0) as isize) else {
                return ControlFlow::Continue(());
            };
            pack.iter_from(start).try_for_each(visit)
        }
        End::Back => {
            let mut position = match index {
                Some(index) => pack.seek(index as isize),
                None => pack.last(),
            };
            while let Some(at) = position {
                visit(pack.get(at))?;
                position = pack.previous(at);
            }
            ControlFlow::Continue(())
        }
    }
}
