//! Edit: elements in the middle put in, replaced and removed.
//!
//! A node that would pass its limit is split beside the element, and the halves join their neighbours where they fit, so
//! that a list changed in many places keeps nodes of some size.

use super::chain::{At, Chain};
use super::node::{Content, Node, Room};
use super::{End, Quicklist};
use crate::ds::listpack::{Element, Listpack, Position};

/// A node this many times over its limit is cut in two: an element that was replaced by a longer one may lead there.
const OVER_LIMIT_MAX: usize = 2;

impl Quicklist {
    /// Puts `element` before or after the first one equal to `pivot`; false where there is none.
    pub fn insert_beside(&mut self, pivot: &[u8], is_after: bool, element: Element<'_>) -> bool {
        let Some((at, position)) = self.find(pivot) else {
            return false;
        };
        self.insert_at(at, position, is_after, element);
        true
    }

    /// Puts `element` in the place of the one with this index; false where there is none.
    pub fn set(&mut self, index: usize, element: Element<'_>) -> bool {
        let Some((at, offset)) = self.chain.seek(index) else {
            return false;
        };
        let is_large = element.text_bytes() > self.limit.element_bytes_max;
        let number = self.chain.number(at);
        let (limit, is_alone) = (self.limit, self.chain.node(at).is_alone());
        if is_alone && !is_large {
            // Into the node after it, if there is room.
            self.insert_between(number + 1, element);
            if let Some(at) = self.chain.locate(number) {
                self.chain.remove(at);
            }
            self.settle_around(number);
            self.settle_ends();
            return true;
        }
        if is_alone || (is_large && self.chain.node(at).count() == 1) {
            let node = Node::of_element(element, &limit);
            self.chain.edit(at, |old| *old = node);
            self.settle_around(number);
            return true;
        }
        if is_large {
            // Between what was before it and what was after it.
            self.split(at, offset + 1);
            // The chunk that it is in may have been split as well.
            let Some(at) = self.chain.locate(number) else {
                return true;
            };
            self.with_listpack(at, |pack| pack.delete_range(-1, 1));
            let node = Node::of_element(element, &limit);
            if self.chain.node(at).count() == 0 {
                self.chain.edit(at, |old| *old = node);
            } else {
                self.chain.insert_after(at, node);
                self.merge_around(number + 1);
            }
            self.settle_around(number);
            self.settle_ends();
            return true;
        }
        self.with_listpack(at, |pack| {
            if let Some(position) = pack.seek(offset as isize) {
                pack.replace(position, element);
            }
        });
        let is_over = match self.chain.node(at) {
            Node::Packed { pack, .. } => pack.byte_len() > OVER_LIMIT_MAX * limit.bytes_max,
            Node::Alone(_) | Node::Compressed { .. } | Node::Even { .. } => false,
        };
        if is_over {
            self.split(at, self.chain.node(at).count() / 2);
            self.settle_ends();
        }
        self.settle_around(number);
        true
    }

    /// Removes up to `count` elements equal to `element`, the ones nearest to the front (`from` the front) or to the back;
    /// returns how many.
    pub fn remove_equal(&mut self, element: &[u8], count: usize, from: End) -> usize {
        let mut removed_count = 0;
        let mut place = self.chain.end(from);
        while let Some(at) = place {
            if removed_count == count {
                break;
            }
            let node = self.chain.node(at);
            let is_in = match node.as_even() {
                Some(even) => even.contains(element),
                None => match node.content(&mut Room::default()) {
                    Content::Alone(bytes) => bytes == element,
                    Content::Packed(pack) => find_in(pack, element).is_some(),
                },
            };
            if !is_in {
                place = self.chain.step(at, from);
                continue;
            }
            let is_alone = self.chain.node(at).is_alone();
            removed_count += if is_alone {
                1
            } else {
                let wanted = count - removed_count;
                self.with_listpack(at, |pack| remove_in(pack, element, wanted, from))
            };
            let is_gone = is_alone || self.chain.node(at).count() == 0;
            place = match from {
                End::Front if is_gone => self.chain.remove(at).1,
                End::Back if is_gone => {
                    // A node before it keeps its place whatever happens behind it.
                    let before = self.chain.step(at, End::Back);
                    self.chain.remove(at);
                    before
                }
                _ => {
                    if self.raw_nodes > 0 {
                        self.settle(self.chain.number(at));
                    }
                    self.chain.step(at, from)
                }
            };
        }
        if removed_count > 0 {
            self.settle_ends();
        }
        removed_count
    }

    /// Removes `count` elements from the one with this index on, or as many as there are; returns the nodes that went
    /// whole, for the caller to drop or to free bit by bit.
    pub fn remove_range(&mut self, index: usize, count: usize) -> Quicklist {
        let mut cut = Self::new(self.limit, 0);
        let count = count.min(self.len().saturating_sub(index));
        let Some((at, offset)) = self.chain.seek(index).filter(|_| count > 0) else {
            return cut;
        };
        let in_first = count.min(self.chain.node(at).count() - offset);
        if in_first == count {
            self.remove_in_node(at, offset, count);
        } else {
            // Everything from the first node on is taken off, and what is behind the range comes back.
            let mut middle = self.chain.split_off(at);
            let end = offset + count;
            let rest = match middle.seek(end) {
                Some((rest_at, rest_offset)) => {
                    let mut rest = middle.split_off(rest_at);
                    if rest_offset > 0 {
                        rest.edit_end(End::Front, |node| node.keep(rest_offset..node.count()));
                    }
                    rest
                }
                None => Chain::default(),
            };
            if offset > 0
                && let Some(mut first) = middle.remove_end(End::Front)
            {
                first.keep(0..offset);
                self.chain.push_end(End::Back, first);
            }
            self.chain.append(rest);
            cut.chain = middle;
        }
        self.settle_all_near(index);
        cut
    }

    /// The first element equal to `needle`: its node and its place in it.
    fn find(&self, needle: &[u8]) -> Option<(At, Option<Position>)> {
        let mut place = self.chain.end(End::Front);
        while let Some(at) = place {
            let node = self.chain.node(at);
            if node.as_even().is_some_and(|even| !even.contains(needle)) {
                place = self.chain.step(at, End::Front);
                continue;
            }
            match node.content(&mut Room::default()) {
                Content::Alone(bytes) if bytes == needle => return Some((at, None)),
                Content::Alone(_) => {}
                Content::Packed(pack) => {
                    if let Some(position) = find_in(pack, needle) {
                        return Some((at, Some(position)));
                    }
                }
            }
            place = self.chain.step(at, End::Front);
        }
        None
    }

    fn insert_at(
        &mut self,
        at: At,
        position: Option<Position>,
        is_after: bool,
        element: Element<'_>,
    ) {
        let element_bytes = element.text_bytes();
        let number = self.chain.number(at);
        if let Some(position) = position {
            if self.chain.node(at).allows(&self.limit, element_bytes) {
                self.with_listpack(at, |pack| {
                    if is_after {
                        pack.insert_after(position, element);
                    } else {
                        pack.insert_before(position, element);
                    }
                });
                return self.settle_around(number);
            }
            let before_count = match self.chain.node(at).content(&mut Room::default()) {
                Content::Packed(pack) => index_of(pack, position) + usize::from(is_after),
                Content::Alone(_) => usize::from(is_after),
            };
            let is_inside = before_count > 0 && before_count < self.chain.node(at).count();
            if is_inside {
                self.split_and_insert(number, before_count, is_after, element);
            } else {
                self.insert_between(number + usize::from(before_count > 0), element);
            }
        } else {
            self.insert_between(number + usize::from(is_after), element);
        }
        self.settle_around(number);
        self.settle_ends();
    }

    /// Splits a full node where an element comes in. It joins the half beside the pivot's, or stands alone between them.
    fn split_and_insert(
        &mut self,
        number: usize,
        before_count: usize,
        is_after: bool,
        element: Element<'_>,
    ) {
        if let Some(at) = self.chain.locate(number) {
            self.split(at, before_count);
        }
        if element.text_bytes() > self.limit.element_bytes_max {
            return self.insert_between(number + 1, element);
        }
        let joined = number + usize::from(is_after);
        if let Some(at) = self.chain.locate(joined) {
            self.with_listpack(at, |pack| {
                if is_after {
                    pack.push_front(element);
                } else {
                    pack.push_back(element);
                }
            });
        }
        self.merge_around(number + usize::from(!is_after));
        // The two nodes before this one may have become one.
        self.settle_around(number.saturating_sub(1));
    }

    /// Puts an element before the node with this number: into the one before, into that one, or into one of its own.
    fn insert_between(&mut self, number: usize, element: Element<'_>) {
        let element_bytes = element.text_bytes();
        let before = number
            .checked_sub(1)
            .and_then(|before| self.chain.locate(before));
        if let Some(at) = before
            && self.chain.node(at).allows(&self.limit, element_bytes)
        {
            self.with_listpack(at, |pack| pack.push_back(element));
            return;
        }
        if let Some(at) = self.chain.locate(number)
            && self.chain.node(at).allows(&self.limit, element_bytes)
        {
            self.with_listpack(at, |pack| pack.push_front(element));
            return;
        }
        let node = Node::of_element(element, &self.limit);
        match before {
            Some(at) => self.chain.insert_after(at, node),
            None => self.chain.push_end(End::Front, node),
        }
    }

    /// Splits a node: its elements from `index` on become the next node. Neither may be empty, or the caller removes it.
    fn split(&mut self, at: At, index: usize) {
        let is_all = index >= self.chain.node(at).count();
        if is_all {
            return;
        }
        let rest = self.with_listpack(at, |pack| pack.split_off(index));
        self.chain.insert_after(at, Node::packed(rest));
    }

    /// Joins the nodes on either side of one with their neighbours, then it with those, where they fit.
    fn merge_around(&mut self, number: usize) {
        let mut center = number;
        if center >= 2 && self.merge(center - 2) {
            center -= 1;
        }
        self.merge(center + 1);
        if center >= 1 && self.merge(center - 1) {
            center -= 1;
        }
        self.merge(center);
    }

    /// Makes the node with this number and the next one a single node, if that is within the limit; whether it did.
    fn merge(&mut self, number: usize) -> bool {
        let (Some(at), Some(next)) = (self.chain.locate(number), self.chain.locate(number + 1))
        else {
            return false;
        };
        let node = self.chain.node(at);
        if !node.allows_merge(self.chain.node(next), &self.limit) {
            return false;
        }
        let (mut node, _) = self.chain.remove(next);
        node.unpack();
        if let Node::Packed { pack, .. } = &node {
            // The node before a removed one stays where it was.
            self.with_listpack(at, |own| own.append(pack));
        }
        true
    }

    fn remove_in_node(&mut self, at: At, offset: usize, count: usize) {
        if count == self.chain.node(at).count() {
            self.chain.remove(at);
        } else {
            self.with_listpack(at, |pack| pack.delete_range(offset as isize, count));
        }
    }

    /// Settles the nodes beside an index where a range was removed, and the ends.
    fn settle_all_near(&mut self, index: usize) {
        if self.is_empty() {
            return;
        }
        if self.raw_nodes > 0
            && let Some((at, _)) = self.chain.seek(index.min(self.len() - 1))
        {
            self.settle_around(self.chain.number(at).saturating_sub(1));
        }
        self.settle_ends();
    }

    /// Changes a node's listpack, which is left unpacked; nothing happens to an element alone.
    fn with_listpack<R: Default>(&mut self, at: At, change: impl FnOnce(&mut Listpack) -> R) -> R {
        self.chain.edit(at, |node| {
            node.unpack();
            match node {
                Node::Packed { count, pack } => {
                    let result = change(pack);
                    *count = pack.len() as u32;
                    result
                }
                Node::Alone(_) | Node::Compressed { .. } | Node::Even { .. } => R::default(),
            }
        })
    }
}

fn find_in(pack: &Listpack, needle: &[u8]) -> Option<Position> {
    pack.find(pack.first()?, needle, 0)
}

/// How many elements are before the one at `position`.
fn index_of(pack: &Listpack, position: Position) -> usize {
    let mut index = 0;
    let mut place = pack.first();
    while let Some(at) = place {
        if at >= position {
            break;
        }
        index += 1;
        place = pack.next(at);
    }
    index
}

/// Removes up to `count` elements equal to `element` from a listpack, the ones nearest to an end; returns how many.
pub fn remove_in(pack: &mut Listpack, element: &[u8], count: usize, from: End) -> usize {
    let mut removed_count = 0;
    let mut place = match from {
        End::Front => pack.first(),
        End::Back => pack.last(),
    };
    while let Some(at) = place {
        if removed_count == count {
            break;
        }
        match from {
            End::Front => {
                let Some(found) = pack.find(at, element, 0) else {
                    break;
                };
                place = pack.delete(found);
                removed_count += 1;
            }
            End::Back => {
                let before = pack.previous(at);
                if pack.get(at).equals(element) {
                    pack.delete(at);
                    removed_count += 1;
                }
                place = before;
            }
        }
    }
    removed_count
}
