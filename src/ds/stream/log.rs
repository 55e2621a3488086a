//! Log: a stream's entries.
//!
//! Nodes by the id of their first entry; new entries go to the last node until it is full, and a node without living entries
//! goes. Ids only rise, so nothing is ever put between. All but the last are packed further, until one loses an entry.
//!
//! Promises  node borders are where Redis has them under the same limits; `heap_bytes` is exact and O(1); what was trimmed
//!           one by one is not walked through again by the next trim.
//! Not here  what a node looks like: `node.rs`; who has read what: `group.rs`.
//! Tests     tests/ds/stream.rs: a plain list of entries, seeded.

use super::id::StreamId;
use super::node::{self, Backward, Entry, Forward, Head, Node, Words};
use super::radix;
use super::references::Trimmed;
use super::tree::{self, Tree};
use crate::ds::listpack::{LISTPACK_BYTES_MAX, Listpack, Position};
use crate::ds::mover::Mover;
use std::borrow::Cow;

/// When a node is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimits {
    /// Bytes, 0 for as many as there may be.
    pub bytes_max: u64,
    /// Entries, 0 for any number.
    pub entries_max: u64,
}

/// What trimming leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// So many entries, the newest.
    Length(u64),
    /// No entry before this one.
    Id(StreamId),
}

/// How to trim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// What is left.
    pub threshold: Threshold,
    /// Only whole nodes go.
    pub is_approximate: bool,
    /// At most so many entries go, by nodes; 0 for any number.
    pub limit: u64,
}

/// Why an entry was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its id is not above the last one.
    NotAbove,
    /// Its words are more than a node may hold.
    TooLarge,
}

/// Entries by id.
#[derive(Clone, Default)]
pub struct Log {
    nodes: Tree<StreamId, Node>,
    nodes_bytes: usize,
    /// Nodes of Redis's radix tree, as `radix.rs` has it; 0 without nodes. Modulo 2^32: so many stand for 60 GB at least.
    radix_nodes: u32,
    /// What deleted entries take at the start of the first node. Those that are trimmed one by one (`XADD … MAXLEN = n`) stay
    /// there until all of the node goes, and each step would walk through them once more. They are counted from the node's
    /// head on: what the head takes changes with its counts.
    dead_bytes: u32,
    length: u64,
    /// Of the first living entry; `0-0` without one.
    first_id: StreamId,
    /// Given out last, whether that entry is still there or not.
    pub last_id: StreamId,
    /// The greatest id ever deleted by name.
    pub max_deleted_id: StreamId,
    /// Entries ever added.
    pub entries_added: u64,
}

impl Log {
    /// Appends an entry.
    ///
    /// - Errors: nothing was changed.
    pub fn append<'w>(
        &mut self,
        id: StreamId,
        words: &(impl Words<'w> + ?Sized),
        limits: NodeLimits,
    ) -> Result<(), Refusal> {
        if id <= self.last_id {
            return Err(Refusal::NotAbove);
        }
        let words_bytes = (0..words.pairs_count() * 2)
            .map(|index| words.word(index).len())
            .sum::<usize>();
        if words_bytes > LISTPACK_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        match self.nodes.last_mut() {
            Some((node_id, node)) if has_room(*node_id, node, words_bytes, limits) => {
                let before = node.heap_bytes();
                node::push(node.open(*node_id), *node_id, id, words);
                self.nodes_bytes = self.nodes_bytes - before + node.heap_bytes();
            }
            _ => {
                self.close_last();
                self.insert_node(id, node::new_node(words));
            }
        }
        self.length += 1;
        // RESTORE takes any number, and Redis counts past the last one, too.
        self.entries_added = self.entries_added.wrapping_add(1);
        self.last_id = id;
        if self.length == 1 {
            self.first_id = id;
        }
        Ok(())
    }

    /// Deletes an entry by id; whether it was there.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some((&node_id, node)) = self.nodes.floor(&id) else {
            return false;
        };
        let found = if id == self.first_id {
            self.first_living().map(|(first, _)| first)
        } else {
            Forward::from(node_id, node, id).next()
        };
        let Some(entry) = found.filter(|entry| entry.id == id && !entry.is_deleted) else {
            return false;
        };
        let place = entry.place;
        self.delete_from(node_id, &[id], place.as_slice());
        self.max_deleted_id = self.max_deleted_id.max(id);
        if id == self.first_id {
            self.find_first();
        }
        true
    }

    /// Removes entries from the start; returns how many.
    pub fn trim(&mut self, trim: Trim) -> u64 {
        let mut trimmed = 0;
        while let Some((&node_id, node)) = self.nodes.first() {
            let entries_count = node.living_count(node_id);
            if trim.limit > 0 && trimmed + entries_count > trim.limit {
                break;
            }
            let is_whole = match trim.threshold {
                Threshold::Length(length) if self.length <= length => break,
                Threshold::Length(length) => self.length - entries_count >= length,
                Threshold::Id(id) => node.last_id(node_id).is_none_or(|last| last < id),
            };
            if !is_whole {
                if !trim.is_approximate {
                    trimmed += self.trim_node(node_id, trim.threshold);
                }
                break;
            }
            self.remove_node(node_id);
            self.length -= entries_count;
            trimmed += entries_count;
        }
        if trimmed > 0 {
            self.find_first();
        }
        trimmed
    }

    /// Removes those entries from the start that `may_delete` lets go, by entries and not by nodes.
    pub(super) fn trim_each(
        &mut self,
        trim: Trim,
        mut may_delete: impl FnMut(StreamId) -> bool,
    ) -> Trimmed {
        let (mut trimmed, mut last) = (0, None);
        let mut start = StreamId::MIN;
        while let Some((&node_id, node)) = self.nodes.iter_from(&start).next() {
            let entries_count = node.living_count(node_id);
            if trim.limit > 0 && trimmed + entries_count > trim.limit {
                break;
            }
            let (is_whole, mut over) = match trim.threshold {
                Threshold::Length(length) if self.length <= length => break,
                Threshold::Length(length) => {
                    (self.length - entries_count >= length, self.length - length)
                }
                Threshold::Id(id) => {
                    let last = node.last_id(node_id);
                    (last.is_none_or(|last| last < id), u64::MAX)
                }
            };
            let dead_bytes = if start.is_zero() { self.dead_bytes } else { 0 };
            let (mut ids, mut places) = (Vec::new(), Vec::new());
            let entries = Forward::behind(node_id, node, dead_bytes);
            for entry in entries.filter(|entry| !entry.is_deleted) {
                let is_kept = matches!(trim.threshold, Threshold::Id(id) if entry.id >= id);
                if is_kept || over == 0 {
                    break;
                }
                if may_delete(entry.id) {
                    ids.push(entry.id);
                    places.extend(entry.place);
                    over -= 1;
                }
            }
            trimmed += self.delete_from(node_id, &ids, &places);
            last = ids.last().copied().or(last);
            let Some(next) = node_id.next().filter(|_| is_whole) else {
                break;
            };
            start = next;
        }
        if trimmed > 0 {
            self.find_first();
        }
        Trimmed {
            count: trimmed,
            last,
        }
    }

    /// Removes entries from the start of the first node.
    fn trim_node(&mut self, node_id: StreamId, threshold: Threshold) -> u64 {
        if let Threshold::Id(end) = threshold
            && self.first_living().is_none_or(|(first, _)| first.id >= end)
        {
            return 0; // A dense node stays one.
        }
        let mut over = match threshold {
            Threshold::Length(length) => self.length - length,
            Threshold::Id(_) => u64::MAX,
        };
        let goes = |id: StreamId| {
            let is_below = match threshold {
                Threshold::Length(_) => true,
                Threshold::Id(end) => id < end,
            };
            let goes = is_below && over > 0;
            over -= u64::from(goes);
            goes
        };
        let Some(node) = self.nodes.get_mut(&node_id) else {
            return 0;
        };
        let (before, living_count) = (node.heap_bytes(), node.living_count(node_id));
        let trimmed = node::trim(node.open(node_id), node_id, &mut self.dead_bytes, goes);
        self.nodes_bytes = self.nodes_bytes - before + node.heap_bytes();
        if trimmed.is_none() {
            // What is left of the node was deleted before.
            self.remove_node(node_id);
        }
        let trimmed = trimmed.unwrap_or(living_count);
        self.length -= trimmed;
        trimmed
    }

    /// Deletes living entries of one node, which rise; the node goes with its last. `places` says where they are: all of them,
    /// or none where that is not known, as of those in a dense node.
    fn delete_from(&mut self, node_id: StreamId, ids: &[StreamId], places: &[Position]) -> u64 {
        let living_count = match self.nodes.get(&node_id) {
            Some(node) if !ids.is_empty() => node.living_count(node_id),
            _ => return 0,
        };
        if ids.len() as u64 == living_count {
            // What is left of the node was deleted before.
            self.remove_node(node_id);
        } else if let Some(node) = self.nodes.get_mut(&node_id) {
            let before = node.heap_bytes();
            let pack = node.open(node_id);
            match places {
                [] => node::delete(pack, &node::places_of(pack, node_id, ids)),
                places => node::delete(pack, places),
            };
            self.nodes_bytes = self.nodes_bytes - before + node.heap_bytes();
        }
        self.length -= ids.len() as u64;
        ids.len() as u64
    }

    fn insert_node(&mut self, node_id: StreamId, node: Listpack) {
        self.nodes_bytes += node.heap_bytes();
        let share = radix::share_of(node_id, &self.nodes) as u32;
        self.radix_nodes = self.radix_nodes.wrapping_add(share);
        self.nodes.insert(node_id, Node::Pack(node));
    }

    /// The last node takes no more entries.
    fn close_last(&mut self) {
        if let Some((node_id, node)) = self.nodes.last_mut() {
            let before = node.heap_bytes();
            node.close(*node_id);
            self.nodes_bytes = self.nodes_bytes - before + node.heap_bytes();
        }
    }

    fn remove_node(&mut self, node_id: StreamId) {
        if self.nodes.first().is_some_and(|(id, _)| *id == node_id) {
            self.dead_bytes = 0;
        }
        if let Some(node) = self.nodes.remove(&node_id) {
            self.nodes_bytes -= node.heap_bytes();
            let share = radix::share_of(node_id, &self.nodes) as u32;
            self.radix_nodes = self.radix_nodes.wrapping_sub(share);
        }
    }

    fn find_first(&mut self) {
        let first = self.first_living();
        let first = first.map(|(entry, dead_bytes)| (entry.id, dead_bytes));
        (self.first_id, self.dead_bytes) = first.unwrap_or_default();
    }

    /// The first living entry, which is in the first node, and the bytes of the deleted ones before it there.
    fn first_living(&self) -> Option<(Entry<'_>, u32)> {
        let (node_id, node) = self.nodes.first()?;
        node.first_living(*node_id, self.dead_bytes)
    }

    /// Adds a node that came from elsewhere, behind all others; its id is that of its first entry.
    ///
    /// - False, and nothing is changed, unless the bytes are a node, its entries in order and behind the others. One without
    ///   living entries, which Redis may leave where it trims, is passed over.
    pub fn push_node(&mut self, id: StreamId, bytes: &[u8]) -> bool {
        let Some(node) = node::validated(bytes) else {
            return false;
        };
        let living = Forward::of_pack(id, &node).filter(|entry| !entry.is_deleted);
        let is_rising = rises(living, id);
        let last_living = self.last_living();
        if !is_rising || last_living.is_some_and(|before| id <= before) {
            return false;
        }
        let entries_count = Head::of(&node).entries_count as u64;
        if entries_count == 0 {
            return true;
        }
        self.drop_deleted_from(id);
        let node = match rises(Forward::of_pack(id, &node), id) {
            true => node,
            false => node::without_deleted(&node),
        };
        self.close_last();
        self.insert_node(id, node);
        self.length += entries_count;
        if self.first_id.is_zero() {
            self.find_first();
        }
        true
    }

    /// Sets what was given out last: entries may be added below deleted ones then.
    pub fn set_last_id(&mut self, id: StreamId) {
        self.last_id = id;
        if let Some(next) = id.next() {
            self.drop_deleted_from(next);
        }
    }

    /// Where the last node has deleted entries from `id` on, it loses all that are: in a node all entries rise.
    fn drop_deleted_from(&mut self, id: StreamId) {
        let is_first = self.nodes.len() == 1;
        let Some((node_id, node)) = self.nodes.last_mut() else {
            return;
        };
        if node.last_id(*node_id).is_some_and(|last| last >= id) {
            let before = node.heap_bytes();
            let pack = node.open(*node_id);
            *pack = node::without_deleted(pack);
            self.nodes_bytes = self.nodes_bytes - before + node.heap_bytes();
            if is_first {
                self.dead_bytes = 0;
            }
        }
    }

    /// The living entries from `start` to `end`, both included.
    #[inline]
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        Range {
            nodes: self.nodes.iter_from_floor(&start),
            entries: None,
            start,
            end,
        }
    }

    /// The same, last to first.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> RangeBack<'_> {
        RangeBack {
            nodes: self.nodes.iter_back_from(&end),
            entries: None,
            start,
            end,
        }
    }

    /// How many living entries there are from `start` to `end`, both included; more than `most` need not be counted exactly.
    ///
    /// - Cost: entries are walked through in the first and the last node; others know how many they have.
    pub fn count(&self, start: StreamId, end: StreamId, most: u64) -> u64 {
        let mut nodes = self.nodes.iter_from_floor(&start).peekable();
        let mut count = 0;
        while let Some((id, node)) = nodes.next()
            && *id <= end
            && count < most
        {
            let is_whole = *id >= start && nodes.peek().is_some_and(|(next, _)| **next <= end);
            count += match is_whole {
                true => node.living_count(*id),
                false => Forward::from(*id, node, start)
                    .take_while(|entry| entry.id <= end)
                    .filter(|entry| !entry.is_deleted)
                    .count() as u64,
            };
        }
        count
    }

    /// An entry, if it is there and alive.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.range(id, id).next()
    }

    /// The id of the last living entry.
    pub fn last_living(&self) -> Option<StreamId> {
        let last = self.range_back(StreamId::MIN, StreamId::MAX).next();
        last.map(|entry| entry.id)
    }

    /// Whether an entry was deleted that would come after `id`.
    pub fn has_gap_from(&self, id: StreamId) -> bool {
        self.length > 0 && !self.max_deleted_id.is_zero() && id <= self.max_deleted_id
    }

    /// How many entries were ever added up to `id`, where that can be told without counting.
    pub fn added_until(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.length == 0 && id <= self.last_id {
            return Some(self.entries_added);
        }
        if !id.is_zero() && id < self.max_deleted_id {
            return None;
        }
        if id >= self.last_id {
            return (id == self.last_id).then_some(self.entries_added);
        }
        if self.max_deleted_id.is_zero() || self.max_deleted_id < self.first_id {
            let before_first = self.entries_added.wrapping_sub(self.length);
            if id < self.first_id {
                return Some(before_first);
            }
            if id == self.first_id {
                return Some(before_first.wrapping_add(1));
            }
        }
        None
    }

    /// Living entries.
    #[inline]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The id of the first living entry; `0-0` without one.
    #[inline]
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The nodes: ids of first entries, and listpacks; those packed further are unpacked one by one.
    pub fn nodes(&self) -> impl Iterator<Item = (StreamId, Cow<'_, Listpack>)> {
        self.nodes.iter().map(|(id, node)| (*id, node.pack(*id)))
    }

    /// Shows the nodes, to be written: ids of first entries, and the bytes of listpacks.
    ///
    /// - Cost: one walk; those packed further are written one after another into the same room, which is all that is allocated.
    pub fn visit_nodes(&self, mut visit: impl FnMut(StreamId, &[u8])) {
        let mut room = Vec::new();
        for (id, node) in self.nodes.iter() {
            visit(*id, node.pack_in(*id, &mut room));
        }
    }

    /// Moves allocations, from leaf number `from` on; returns the leaf to go on with, None at the end.
    pub(super) fn move_step(&mut self, from: usize, mover: &mut Mover<'_>) -> Option<usize> {
        self.nodes
            .move_step(from, mover, &mut |node, mover| node.move_by(mover))
    }

    /// How many nodes.
    pub fn nodes_count(&self) -> usize {
        self.nodes.len()
    }

    /// How many nodes Redis's radix tree would need to find them.
    pub fn radix_nodes_count(&self) -> usize {
        self.radix_nodes.max(1) as usize // An empty one has its root.
    }

    /// Bytes allocated.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.nodes_bytes + self.nodes.heap_bytes()
    }

    /// Checks what must be true of every log; for tests.
    #[doc(hidden)]
    pub fn assert_sound(&self) {
        self.nodes.assert_sound();
        let nodes_bytes: usize = self.nodes.iter().map(|(_, node)| node.heap_bytes()).sum();
        assert_eq!(nodes_bytes, self.nodes_bytes, "the account");
        let radix_nodes = radix::nodes_count(self.nodes.iter().map(|(id, _)| *id));
        assert_eq!(radix_nodes, self.radix_nodes_count(), "the radix tree");
        let living: Vec<StreamId> = self
            .range(StreamId::MIN, StreamId::MAX)
            .map(|entry| entry.id)
            .collect();
        assert_eq!(living.len() as u64, self.length, "the count");
        assert!(living.is_sorted_by(|a, b| a < b), "ids rise");
        let first = living.first().copied().unwrap_or_default();
        assert_eq!(first, self.first_id, "the first id");
        let first_node = self.nodes.first();
        let first = first_node.and_then(|(id, node)| node.first_living(*id, 0));
        let dead_bytes = first.map_or(0, |(_, dead_bytes)| dead_bytes);
        assert_eq!(dead_bytes, self.dead_bytes, "what is deleted before it");
        for (id, node) in self.nodes.iter() {
            let pack = node.pack(*id);
            let sound = node::validated(pack.as_bytes());
            assert!(sound.is_some(), "node {id} is a node");
            assert!(node.living_count(*id) > 0, "node {id} has entries");
        }
    }

    /// Frees about `budget` nodes from the end, those of the last; returns how many allocations went.
    pub(super) fn free_step(&mut self, budget: usize) -> usize {
        let mut freed = 0;
        while freed < budget
            && let Some(leaf) = self.nodes.pop_leaf()
        {
            freed += leaf.len() + 1;
            self.nodes_bytes -= leaf
                .iter()
                .map(|(_, node)| node.heap_bytes())
                .sum::<usize>();
        }
        freed
    }
}

/// Whether another entry goes to this node.
#[inline]
fn has_room(node_id: StreamId, node: &Node, words_bytes: usize, limits: NodeLimits) -> bool {
    let bytes_max = match limits.bytes_max {
        0 => LISTPACK_BYTES_MAX as u64,
        bytes_max => bytes_max.min(LISTPACK_BYTES_MAX as u64),
    };
    let (living, deleted, pack_bytes) = node.extent(node_id);
    if (pack_bytes + words_bytes) as u64 >= bytes_max {
        return false;
    }
    limits.entries_max == 0 || living + deleted < limits.entries_max
}

/// Whether ids rise, from that of their node on.
fn rises<'n>(mut entries: impl Iterator<Item = Entry<'n>>, id: StreamId) -> bool {
    let mut least = Some(id);
    entries.all(|entry| {
        let is_above = least.is_some_and(|least| entry.id >= least);
        least = entry.id.next();
        is_above
    })
}

/// What [`Log::range`] gives.
#[derive(Clone)]
pub struct Range<'l> {
    nodes: tree::Iter<'l, StreamId, Node>,
    entries: Option<Forward<'l>>,
    start: StreamId,
    end: StreamId,
}

impl<'l> Iterator for Range<'l> {
    type Item = Entry<'l>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'l>> {
        loop {
            if let Some(entries) = &mut self.entries {
                for entry in entries {
                    if entry.id > self.end {
                        return None;
                    }
                    if !entry.is_deleted {
                        return Some(entry);
                    }
                }
            }
            let (id, node) = self.nodes.next()?;
            if *id > self.end {
                return None;
            }
            self.entries = Some(Forward::from(*id, node, self.start));
        }
    }
}

/// What [`Log::range_back`] gives.
#[derive(Clone)]
pub struct RangeBack<'l> {
    nodes: tree::IterBack<'l, StreamId, Node>,
    entries: Option<Backward<'l>>,
    start: StreamId,
    end: StreamId,
}

impl<'l> Iterator for RangeBack<'l> {
    type Item = Entry<'l>;

    fn next(&mut self) -> Option<Entry<'l>> {
        loop {
            if let Some(entries) = &mut self.entries {
                for entry in entries {
                    if entry.id < self.start {
                        return None;
                    }
                    if entry.id <= self.end && !entry.is_deleted {
                        return Some(entry);
                    }
                }
            }
            let (id, node) = self.nodes.next()?;
            self.entries = Some(Backward::new(*id, node));
        }
    }
}
