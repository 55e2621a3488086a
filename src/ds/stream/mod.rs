//! Stream: an append-only log of entries, and groups of consumers that read it together.
//!
//!     log     nodes of packed entries by id          log.rs, node.rs, dense.rs, pack_writer.rs
//!     groups  name -> what was delivered to whom     group.rs
//!     producers  name -> what it asked for already   producers.rs
//!             all in trees of small arrays           tree.rs
//!
//! Promises  `heap_bytes` is exact and O(1); growing never waits for a copy of the whole; `free_step` is bounded.
//! Not here  ids that clients write, options, replies: `commands/stream*.rs`.
//! Tests     tests/ds/stream.rs, stream_tree.rs, stream_groups.rs, stream_producers.rs; fuzz target `stream_node`.

mod dense;
mod group;
mod id;
mod log;
mod node;
mod pack_writer;
mod producers;
mod radix;
mod references;
mod tree;

pub use group::{Consumer, ConsumerNumber, Group, Name, Pending};
pub use id::{IdText, StreamId};
pub use log::{Log, NodeLimits, Range, RangeBack, Refusal, Threshold, Trim};
pub use node::{Entry, Fields, Words};
pub use producers::{Mark, Producers};
pub use references::{Deletion, References, Trimmed};
pub use tree::Tree;

use super::mover::{Mover, Progress};
use group::name_bytes;
use std::ops::{Deref, DerefMut};

/// Entries, and the groups that read them.
#[derive(Default)]
pub struct Stream {
    /// The entries.
    pub log: Log,
    groups: Tree<Name, Box<Group>>,
    /// Bytes of the groups and their names.
    groups_bytes: usize,
    /// Who adds entries with marks; nothing until somebody does.
    producers: Option<Box<Producers>>,
}

// One of the allocator's sizes; the next is 224.
const _: () = assert!(size_of::<Stream>() <= 192);

impl Stream {
    /// A stream without entries or groups; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A stream that has nothing but this group; for what is left of one, to be freed in steps.
    pub fn of_rest(group: Group) -> Self {
        let mut stream = Self::new();
        stream.add_group(b"", group);
        stream
    }

    /// A stream that has nothing but these producers; for what is left of them, to be freed in steps.
    pub fn of_producers(producers: Producers) -> Self {
        Self {
            producers: Some(Box::new(producers)),
            ..Self::new()
        }
    }

    /// Who adds entries with marks, if anybody ever did or was told how.
    #[inline]
    pub fn producers(&self) -> Option<&Producers> {
        self.producers.as_deref()
    }

    /// The same, to change.
    ///
    /// - `limits`: seconds and marks that are remembered, where nobody has been told yet.
    pub fn producers_mut(&mut self, limits: (u64, usize)) -> &mut Producers {
        self.producers
            .get_or_insert_with(|| Box::new(Producers::with_limits(limits)))
    }

    /// As [`Producers::sweep`].
    pub fn sweep_producers(&mut self, now_ms: u64, steps_max: usize) -> (usize, usize) {
        let producers = self.producers.as_mut();
        producers.map_or((0, 0), |it| it.sweep(now_ms, steps_max))
    }

    /// Adds a group; false, if there is one of that name.
    pub fn add_group(&mut self, name: &[u8], group: Group) -> bool {
        if self.groups.get(name).is_some() {
            return false;
        }
        let name = Name::from(name);
        self.groups_bytes += name_bytes(&name) + group_bytes(&group);
        self.groups.insert(name, Box::new(group));
        true
    }

    /// Removes a group with all it knows.
    pub fn remove_group(&mut self, name: &[u8]) -> Option<Box<Group>> {
        let group = self.groups.remove(name)?;
        self.groups_bytes -= name_bytes(&Name::from(name)) + group_bytes(&group);
        Some(group)
    }

    /// The group of that name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name).map(|group| &**group)
    }

    /// The group of that name, to change, and the entries it reads.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<(&Log, GroupMut<'_>)> {
        let group = self.groups.get_mut(name)?;
        let group = GroupMut {
            before: group.heap_bytes(),
            group,
            groups_bytes: &mut self.groups_bytes,
        };
        Some((&self.log, group))
    }

    /// The groups by name.
    pub fn groups(&self) -> impl Iterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, &**group))
    }

    /// How many groups.
    pub fn groups_count(&self) -> usize {
        self.groups.len()
    }

    /// How many entries a group has yet to deliver, where that can be told without counting.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let log = &self.log;
        if log.entries_added == 0 || log.is_empty() {
            return Some(0);
        }
        if group.last_id < log.first_id() && log.max_deleted_id < log.first_id() {
            return Some(log.len() as i64);
        }
        let entries_read = match group.entries_read {
            Some(entries_read) if !log.has_gap_from(group.last_id) => entries_read,
            _ => log.added_until(group.last_id)?,
        };
        Some(log.entries_added.wrapping_sub(entries_read) as i64)
    }

    /// Bytes allocated.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        let producers = self.producers.as_ref();
        self.log.heap_bytes()
            + self.groups.heap_bytes()
            + self.groups_bytes
            + producers.map_or(0, |it| size_of::<Producers>() + it.heap_bytes())
    }

    /// About how many allocations dropping it frees.
    pub fn free_effort(&self) -> usize {
        let of_groups = self.groups.iter().map(|(_, group)| 1 + group.allocations());
        let of_producers = self.producers.as_ref().map_or(0, |it| it.allocations());
        self.log.nodes_count() + of_groups.sum::<usize>() + of_producers
    }

    /// Frees about `budget` allocations; true when few are left. What is left is good for nothing else.
    pub fn free_step(&mut self, budget: usize) -> bool {
        let mut freed = self.log.free_step(budget);
        while freed < budget
            && let Some(producers) = &mut self.producers
        {
            match producers.free_step() {
                0 => self.producers = None,
                of_producers => freed += of_producers,
            }
        }
        while freed < budget {
            let Some((_, group)) = self.groups.last_mut() else {
                self.groups.pop_leaf(); // The array that is left.
                return true;
            };
            let before = group.heap_bytes();
            let of_group = group.free_step(budget - freed);
            self.groups_bytes -= before - group.heap_bytes();
            if of_group == 0 {
                let name = self.groups.last().map(|(name, _)| name.clone());
                name.and_then(|name| self.remove_group(&name));
            }
            freed += of_group + 1;
        }
        false
    }

    /// Moves allocations, from `from` on; returns where to go on, None at the end.
    pub fn move_step(&mut self, from: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
        const LOG: u64 = 0;
        const PRODUCERS: u64 = 1;
        const FIRST_GROUP: u64 = 2;
        if from.structure == LOG {
            let next = self.log.move_step(from.index(), mover);
            return Some(from.after(next.map(|at| Progress::new(0, at))));
        }
        if from.structure == PRODUCERS {
            let Some(producers) = &mut self.producers else {
                return Some(from.after(None));
            };
            if from.is_start_of_structure() {
                mover.boxed(producers);
            }
            return Some(from.after(producers.move_step(from, mover)));
        }
        if from.structure == FIRST_GROUP && from.is_start_of_structure() {
            // Their arrays; what that leaves of a thousand groups is the next walk's.
            self.groups
                .move_step(0, mover, &mut |group, mover| mover.boxed(group));
        }
        let (mut number, mut next, mut from) = (FIRST_GROUP, None, from);
        self.groups.for_each_mut(&mut |_, group| {
            while number == from.structure && next.is_none() {
                from = from.after(group.move_step(from, mover));
                next = mover.is_over().then_some(from);
            }
            number += 1;
        });
        next
    }

    /// Checks what must be true between two steps of freeing; for tests.
    #[doc(hidden)]
    pub fn assert_sound_while_freed(&self) {
        self.groups.assert_sound();
        let groups = self.groups.iter();
        let bytes: usize = groups
            .map(|(name, group)| name_bytes(name) + group_bytes(group))
            .sum();
        assert_eq!(bytes, self.groups_bytes, "the groups' account");
    }

    /// Checks what must be true of every stream; for tests.
    #[doc(hidden)]
    pub fn assert_sound(&self) {
        self.log.assert_sound();
        self.groups.assert_sound();
        let mut bytes = 0;
        for (name, group) in self.groups.iter() {
            group.assert_sound();
            bytes += name_bytes(name) + group_bytes(group);
        }
        assert_eq!(bytes, self.groups_bytes, "the groups' account");
        if let Some(producers) = &self.producers {
            producers.assert_sound();
        }
    }
}

impl Clone for Stream {
    fn clone(&self) -> Self {
        let groups = self.groups.clone();
        let groups_bytes = groups
            .iter()
            .map(|(name, group)| name_bytes(name) + group_bytes(group))
            .sum();
        Self {
            log: self.log.clone(),
            groups,
            groups_bytes,
            producers: self.producers.as_ref().map(|it| Box::new(it.dense())),
        }
    }
}

fn group_bytes(group: &Group) -> usize {
    size_of::<Group>() + group.heap_bytes()
}

/// A group to change; the stream's account is settled when it is dropped.
pub struct GroupMut<'s> {
    group: &'s mut Group,
    groups_bytes: &'s mut usize,
    before: usize,
}

impl Deref for GroupMut<'_> {
    type Target = Group;

    fn deref(&self) -> &Group {
        self.group
    }
}

impl DerefMut for GroupMut<'_> {
    fn deref_mut(&mut self) -> &mut Group {
        self.group
    }
}

impl Drop for GroupMut<'_> {
    fn drop(&mut self) {
        *self.groups_bytes = *self.groups_bytes - self.before + self.group.heap_bytes();
    }
}
