//! Sorted sets: a listpack while few and short, a tree above.
//!
//! Promises  whoever asks sees no difference but the cost; a set turns into a tree with the write that passes a limit, and
//!           never back. A tree is freed in steps.
//! Not here  argv and replies: `commands/zset.rs`; how a listpack holds pairs: `keyspace/zset_packed.rs`.
//! Tests     tests/keyspace/zset.rs: a model in both encodings; tests/transcripts/zset*.txt.

use super::value::collection_of;
use super::zset_packed::{PackedZset, Pairs};
use super::{Collection, EncodingLimits};
use crate::ds::key_table::HeapSize;
use crate::ds::listpack::{Element, Listpack};
use crate::ds::mover::{Mover, Progress};
pub use crate::ds::sorted_set::{Direction, Updated};
use crate::ds::sorted_set::{SortedSet, Walk};
use crate::ds::table_shape::TableShape;
use crate::ds::unaligned_box::UnalignedBox;
use std::cmp::Ordering;
use std::ops::Range;

/// Members with scores.
#[derive(Clone)]
pub struct Zset {
    form: Form,
}

#[derive(Clone)]
enum Form {
    Packed(PackedZset),
    Tree(UnalignedBox<SortedSet>),
}

/// Puts members in the order of a set: by score, then by bytes.
pub fn sort_members<M: AsRef<[u8]>>(members: &mut [(f64, M)]) {
    members.sort_unstable_by(|one, other| {
        let scores = one.0.partial_cmp(&other.0);
        scores
            .unwrap_or(Ordering::Equal)
            .then_with(|| one.1.as_ref().cmp(other.1.as_ref()))
    });
}

impl Zset {
    /// A set for `count` members of up to `member_bytes` bytes, as far as that is known.
    pub fn sized(count: usize, member_bytes: usize, limits: &EncodingLimits) -> Self {
        let is_small = count <= limits.zset_max_listpack_entries
            && member_bytes <= limits.zset_max_listpack_value;
        if is_small {
            return Self::default();
        }
        Self {
            form: Form::Tree(UnalignedBox::default()),
        }
    }

    /// A set that `count` members of up to `member_bytes` and together `bytes` bytes will be [pushed](Zset::push) to.
    pub fn for_members(
        count: usize,
        member_bytes: usize,
        bytes: usize,
        limits: &EncodingLimits,
    ) -> Self {
        let mut set = Self::sized(count, member_bytes, limits);
        if let Form::Packed(packed) = &set.form
            && !packed.has_room_for(bytes)
        {
            set.form = Form::Tree(UnalignedBox::default());
        }
        set
    }

    /// Adds a member that is not there and comes after all others, to a set that was made [for it](Zset::for_members).
    pub fn push(&mut self, member: &[u8], score: f64) {
        match &mut self.form {
            Form::Packed(packed) => packed.push(member, score),
            Form::Tree(tree) => tree.push(member, score),
        }
    }

    /// A set of these members, which are in order and different.
    pub fn from_sorted<M: AsRef<[u8]>>(members: &[(f64, M)], limits: &EncodingLimits) -> Self {
        let lengths = members.iter().map(|(_, member)| member.as_ref().len());
        let longest = lengths.clone().max().unwrap_or(0);
        let mut set = Self::for_members(members.len(), longest, lengths.sum(), limits);
        for (score, member) in members {
            set.push(member.as_ref(), *score);
        }
        set
    }

    /// A set that has this listpack: different members with their scores, in order and within the limits in force, every
    /// entry as a set writes it. No copy.
    pub fn from_listpack(pairs: Listpack) -> Self {
        Self {
            form: Form::Packed(PackedZset::from_listpack(pairs)),
        }
    }

    /// Makes a tree of it if `count` more members are too many for a listpack.
    pub fn expect(&mut self, count: usize, limits: &EncodingLimits) {
        if count > limits.zset_max_listpack_entries {
            self.become_tree();
        }
    }

    /// Looks a member up and gives it the score that `decide` makes of its present one; none leaves things as they are.
    ///
    /// - `decide` must not give NaN.
    #[inline]
    pub fn update(
        &mut self,
        member: &[u8],
        limits: &EncodingLimits,
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> Updated {
        if let Form::Packed(packed) = &mut self.form {
            let found = packed.find(member);
            let old = found.map(|(_, score)| score);
            return match (found, decide(old)) {
                (Some((position, old)), Some(new)) if old != new => {
                    packed.set_score(position, member, new);
                    Updated::Changed(old, new)
                }
                (Some((_, old)), _) => Updated::Kept(old),
                (None, None) => Updated::Missing,
                (None, Some(score)) => {
                    self.add(member, score, limits);
                    Updated::Added(score)
                }
            };
        }
        match &mut self.form {
            Form::Tree(tree) => tree.update(member, decide),
            Form::Packed(_) => unreachable!("it returned above"),
        }
    }

    /// Adds a member that is not in the listpack.
    fn add(&mut self, member: &[u8], score: f64, limits: &EncodingLimits) {
        if let Form::Packed(packed) = &mut self.form {
            let fits = packed.len() < limits.zset_max_listpack_entries
                && member.len() <= limits.zset_max_listpack_value
                && packed.has_room_for(member.len());
            if fits {
                packed.insert(member, score);
                return;
            }
        }
        self.become_tree().update(member, |_| Some(score));
    }

    /// Removes a member; returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.form {
            Form::Packed(packed) => packed.remove(member),
            Form::Tree(tree) => tree.remove(member),
        }
    }

    /// Removes the members of these ranks, all of which must be there.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        match &mut self.form {
            Form::Packed(packed) => packed.remove_ranks(ranks),
            Form::Tree(tree) => tree.remove_ranks(ranks),
        }
    }

    /// A member's score.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.form {
            Form::Packed(packed) => packed.find(member).map(|(_, score)| score),
            Form::Tree(tree) => tree.score(member),
        }
    }

    /// A member's rank and score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match &self.form {
            Form::Packed(packed) => packed.rank(member),
            Form::Tree(tree) => tree.rank(member),
        }
    }

    /// How many members have a score that `is_before` holds for: they must be the first ones.
    pub fn count_before_score(&self, is_before: impl Fn(f64) -> bool) -> usize {
        match &self.form {
            Form::Packed(packed) => packed.count_before(|_, score| is_before(score)),
            Form::Tree(tree) => tree.count_before(|entry| is_before(entry.score())),
        }
    }

    /// How many members have bytes that `is_before` holds for: they must be the first ones.
    pub fn count_before_member(&self, is_before: impl Fn(&[u8]) -> bool) -> usize {
        match &self.form {
            Form::Packed(packed) => {
                packed.count_before(|member, _| is_before(member.text(&mut [0; 20])))
            }
            Form::Tree(tree) => tree.count_before(|entry| is_before(entry.member())),
        }
    }

    /// The members of these ranks with their scores, all of which must be there, from low to high or from high to low.
    #[inline]
    pub fn walk(&self, ranks: Range<usize>, direction: Direction) -> Members<'_> {
        match &self.form {
            Form::Packed(packed) => Members::Packed(packed.pairs(ranks, direction)),
            Form::Tree(tree) => Members::Tree(tree.walk(ranks, direction)),
        }
    }

    /// All members, from low to high.
    pub fn iter(&self) -> Members<'_> {
        self.walk(0..self.len(), Direction::Up)
    }

    /// Visits about `count` members from `cursor` on (0 begins), all of them in a listpack; returns the next cursor, 0 at
    /// the end. Members that stay all the while are visited, whatever else changes.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Element<'_>, f64)) -> u64 {
        match &self.form {
            Form::Packed(_) => {
                self.iter().for_each(|(member, score)| visit(member, score));
                0
            }
            Form::Tree(tree) => tree.scan(cursor, count, |entry| {
                visit(Element::Str(entry.member()), entry.score());
            }),
        }
    }

    /// How many members there are.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Packed(packed) => packed.len(),
            Form::Tree(tree) => tree.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is a listpack.
    pub fn is_packed(&self) -> bool {
        matches!(self.form, Form::Packed(_))
    }

    /// The listpack, members and scores in turn, if it is one.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.form {
            Form::Packed(packed) => Some(packed.as_listpack()),
            Form::Tree(_) => None,
        }
    }

    /// Trades a packed set for a tree, whatever its size.
    pub fn become_tree(&mut self) -> &mut SortedSet {
        if let Form::Packed(packed) = &self.form {
            let mut tree = UnalignedBox::<SortedSet>::default();
            for (member, score) in packed.pairs(0..packed.len(), Direction::Up) {
                tree.push(member.text(&mut [0; 20]), score);
            }
            self.form = Form::Tree(tree);
        }
        match &mut self.form {
            Form::Tree(tree) => tree,
            Form::Packed(_) => unreachable!("it became a tree"),
        }
    }
}

impl Default for Zset {
    fn default() -> Self {
        Self {
            form: Form::Packed(PackedZset::new()),
        }
    }
}

impl Zset {
    /// The shape of the hash table that finds members, if there is one.
    pub fn table_shape(&self, chains: bool) -> Option<TableShape> {
        match &self.form {
            Form::Packed(_) => None,
            Form::Tree(tree) => Some(tree.shape(chains)),
        }
    }
}

impl HeapSize for Zset {
    #[inline]
    fn extent(&self) -> (usize, usize) {
        (super::value::ZSETS, self.len())
    }

    #[inline]
    fn heap_bytes(&self) -> usize {
        match &self.form {
            Form::Packed(packed) => packed.heap_bytes(),
            Form::Tree(tree) => size_of::<SortedSet>() + tree.heap_bytes(),
        }
    }

    fn move_step(&mut self, from: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
        match &mut self.form {
            Form::Packed(packed) => {
                packed.move_by(mover);
                None
            }
            Form::Tree(tree) => {
                if from.is_start() {
                    mover.unaligned_box(tree);
                }
                tree.move_step(from, mover)
            }
        }
    }

    fn free_effort(&self) -> usize {
        match &self.form {
            Form::Packed(_) => 1,
            Form::Tree(tree) => tree.free_effort(),
        }
    }

    fn free_step(&mut self, budget: usize) -> bool {
        match &mut self.form {
            Form::Packed(_) => true,
            Form::Tree(tree) => tree.free_step(budget),
        }
    }
}

impl Collection for Zset {
    const TYPE_NAME: &'static str = "zset";

    fn encoding_name(&self) -> &'static str {
        match &self.form {
            Form::Packed(_) => "listpack",
            Form::Tree(_) => "skiplist",
        }
    }

    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }

    collection_of!(Zset);
}

/// Members with their scores, in order of rank.
pub enum Members<'z> {
    /// Of a listpack.
    Packed(Pairs<'z>),
    /// Of a tree.
    Tree(Walk<'z>),
}

impl<'z> Iterator for Members<'z> {
    type Item = (Element<'z>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Packed(pairs) => pairs.next(),
            Self::Tree(walk) => {
                let entry = walk.next()?;
                Some((Element::Str(entry.member()), entry.score()))
            }
        }
    }

    fn nth(&mut self, count: usize) -> Option<Self::Item> {
        match self {
            Self::Packed(pairs) => pairs.nth(count),
            Self::Tree(walk) => {
                let entry = walk.nth(count)?;
                Some((Element::Str(entry.member()), entry.score()))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Packed(pairs) => pairs.size_hint(),
            Self::Tree(walk) => walk.size_hint(),
        }
    }
}

impl ExactSizeIterator for Members<'_> {}
