//! Sets: what a set can do, whatever it is encoded as.
//!
//!     intset      all members are integers, at most `set-max-intset-entries` of them
//!     listpack    at most `set-max-listpack-entries`, none longer than `set-max-listpack-value`
//!     hashtable   the rest
//!
//! Promises  the encodings, and when one is traded for the next, are Redis's; a set never goes back to a smaller one, but
//!           for what `pop_many` leaves of a large one; what is traded is bounded by the thresholds.
//! Not here  unions and their kin: `set_algebra.rs`.
//! Tests     tests/keyspace/set.rs, tests/transcripts/set*.txt.

use std::cell::Cell;
use std::collections::HashSet;

use super::value::collection_of;
use super::{Collection, EncodingLimits};
use crate::base::number::{digit_count, parse_i64};
use crate::base::rng::Rng;
use crate::ds::field_table::{FieldTable, field_hash};
use crate::ds::intset::Intset;
use crate::ds::key_table::HeapSize;
use crate::ds::listpack::{Element, Listpack};
use crate::ds::mover::{Mover, Progress};
use crate::ds::table_shape::TableShape;
use crate::ds::unaligned_box::UnalignedBox;

/// An intset never has more.
const INTSET_ENTRIES_MAX: usize = 1 << 30;
/// Of a table, this many times what is asked for must be there to draw one by one, without looking at all.
const DRAW_SHARE: usize = 3;
/// What is left of a table where more than this many times as much was popped is packed anew.
const REPACK_SHARE: usize = 5;

/// A set of strings.
#[derive(Clone, Default)]
pub struct Set {
    encoding: Encoding,
}

#[derive(Clone)]
enum Encoding {
    Ints(Intset),
    Pack(Listpack),
    Table(UnalignedBox<FieldTable>),
}

impl Default for Encoding {
    fn default() -> Self {
        Self::Ints(Intset::new())
    }
}

/// A member on its way into or out of sets: what each encoding wants to know of it, found out once, where one does.
pub struct Probe<'m> {
    text: Cell<Text<'m>>,
    integer: Option<i64>,
    hash: Cell<Option<u64>>,
}

/// A member's text.
enum Text<'m> {
    Known(&'m [u8]),
    /// An integer's, and where its digits go.
    Unwritten(i64, &'m mut [u8; 20]),
}

impl<'m> Probe<'m> {
    /// A member as the client has it.
    #[inline]
    pub fn new(text: &'m [u8]) -> Self {
        Self {
            text: Cell::new(Text::Known(text)),
            integer: integer_in(text),
            hash: Cell::new(None),
        }
    }

    /// A member out of a set; `buffer` gets the digits of an integer, where they are wanted.
    #[inline]
    pub fn of(member: Element<'m>, buffer: &'m mut [u8; 20]) -> Self {
        let text = match member {
            Element::Int(integer) => Text::Unwritten(integer, buffer),
            Element::Str(text) => Text::Known(text),
        };
        Self {
            integer: member.integer(),
            text: Cell::new(text),
            hash: Cell::new(None),
        }
    }

    #[inline]
    fn text(&self) -> &'m [u8] {
        let text = match self.text.replace(Text::Known(&[])) {
            Text::Known(text) => text,
            Text::Unwritten(integer, buffer) => Element::Int(integer).text(buffer),
        };
        self.text.set(Text::Known(text));
        text
    }

    /// The member as sets give it: as an integer if it is one.
    #[inline]
    pub fn member(&self) -> Element<'m> {
        match self.integer {
            Some(integer) => Element::Int(integer),
            None => Element::Str(self.text()),
        }
    }

    #[inline]
    fn hash(&self) -> u64 {
        match self.hash.get() {
            Some(hash) => hash,
            None => {
                let hash = field_hash(self.text());
                self.hash.set(Some(hash));
                hash
            }
        }
    }
}

impl Set {
    /// An empty set that begins as a listpack.
    pub fn packed() -> Self {
        Self {
            encoding: Encoding::Pack(Listpack::new()),
        }
    }

    /// An empty set that begins as a table.
    pub fn table() -> Self {
        Self {
            encoding: Encoding::Table(UnalignedBox::default()),
        }
    }

    /// Whether it is one.
    pub fn is_table(&self) -> bool {
        matches!(self.encoding, Encoding::Table(_))
    }

    /// A set of these integers.
    pub fn from_ints(ints: Intset) -> Self {
        Self {
            encoding: Encoding::Ints(ints),
        }
    }

    /// A set of these members, all different.
    pub fn from_pack(pack: Listpack) -> Self {
        Self {
            encoding: Encoding::Pack(pack),
        }
    }

    /// Makes it a table where there is more in it than the thresholds allow.
    pub fn outgrow(&mut self, limits: &EncodingLimits) {
        let is_over = match &self.encoding {
            Encoding::Ints(ints) => {
                ints.len() > limits.set_max_intset_entries.min(INTSET_ENTRIES_MAX)
            }
            Encoding::Pack(pack) => pack.len() > limits.set_max_listpack_entries,
            Encoding::Table(_) => false,
        };
        if is_over {
            self.become_table();
        }
    }

    /// Whether it is an intset.
    pub fn as_ints(&self) -> Option<&Intset> {
        match &self.encoding {
            Encoding::Ints(ints) => Some(ints),
            _ => None,
        }
    }

    /// Whether it is a listpack.
    pub fn as_pack(&self) -> Option<&Listpack> {
        match &self.encoding {
            Encoding::Pack(pack) => Some(pack),
            _ => None,
        }
    }

    /// Chooses the encoding for `count` members about to be added, of which `first` is the first.
    pub fn expect(&mut self, first: &Probe<'_>, count: usize, limits: &EncodingLimits) {
        if self.is_empty() {
            if first.integer.is_some() && count <= limits.set_max_intset_entries {
                *self = Self::default();
            } else if count <= limits.set_max_listpack_entries {
                *self = Self::packed();
            } else {
                *self = Self::table();
            }
            return;
        }
        let is_over = match &self.encoding {
            Encoding::Ints(_) => count > limits.set_max_intset_entries,
            Encoding::Pack(_) => count > limits.set_max_listpack_entries,
            Encoding::Table(_) => false,
        };
        if is_over {
            self.become_table();
        }
    }

    /// Adds a member; false where it is there already.
    #[inline]
    pub fn add(&mut self, member: &Probe<'_>, limits: &EncodingLimits) -> bool {
        match &mut self.encoding {
            Encoding::Table(table) => {
                return table.insert_hashed(member.hash(), member.text(), None, None);
            }
            Encoding::Ints(ints) if let Some(integer) = member.integer => {
                let is_new = ints.insert(integer);
                if is_new && ints.len() > limits.set_max_intset_entries.min(INTSET_ENTRIES_MAX) {
                    self.become_table();
                }
                return is_new;
            }
            Encoding::Pack(pack) => {
                if pack_has(pack, member.text()) {
                    return false;
                }
                if is_packable(pack.len(), member, limits) && pack.has_room_for(member.text().len())
                {
                    pack.push_back(member.member());
                    return true;
                }
            }
            Encoding::Ints(ints) => {
                // No integer, so new.
                let text_bytes_max = [ints.first(), ints.last()]
                    .into_iter()
                    .flatten()
                    .map(|integer| digit_count(integer.unsigned_abs()) + usize::from(integer < 0))
                    .max()
                    .unwrap_or(0);
                if is_packable(ints.len(), member, limits)
                    && text_bytes_max <= limits.set_max_listpack_value
                {
                    let mut pack = Listpack::new();
                    ints.iter().for_each(|integer| pack.push_back(integer));
                    if pack.has_room_for(member.text().len()) {
                        pack.push_back(member.member());
                        self.encoding = Encoding::Pack(pack);
                        return true;
                    }
                }
            }
        }
        self.become_table();
        self.add(member, limits)
    }

    /// Removes a member; false where it is not there.
    #[inline]
    pub fn remove(&mut self, member: &Probe<'_>) -> bool {
        match &mut self.encoding {
            Encoding::Ints(ints) => member.integer.is_some_and(|integer| ints.remove(integer)),
            Encoding::Pack(pack) => {
                let place = pack
                    .first()
                    .and_then(|first| pack.find(first, member.text(), 0));
                place.map(|place| pack.delete(place)).is_some()
            }
            Encoding::Table(table) => table.remove_hashed(member.hash(), member.text()),
        }
    }

    /// Whether the member is there.
    #[inline]
    pub fn contains(&self, member: &Probe<'_>) -> bool {
        match &self.encoding {
            Encoding::Ints(ints) => member.integer.is_some_and(|integer| ints.contains(integer)),
            Encoding::Pack(pack) => pack_has(pack, member.text()),
            Encoding::Table(table) => table.contains_hashed(member.hash(), member.text()),
        }
    }

    /// Starts loading what `contains` will look at first.
    #[inline]
    pub fn prefetch(&self, member: &Probe<'_>) {
        if let Encoding::Table(table) = &self.encoding {
            table.prefetch(member.hash());
        }
    }

    /// Members.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.encoding {
            Encoding::Ints(ints) => ints.len(),
            Encoding::Pack(pack) => pack.len(),
            Encoding::Table(table) => table.len(),
        }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Visits every member until `visit` says false; whether it never did.
    pub fn all<'s>(&'s self, visit: impl FnMut(Element<'s>) -> bool) -> bool {
        match &self.encoding {
            Encoding::Ints(ints) => ints.iter().map(Element::Int).all(visit),
            Encoding::Pack(pack) => pack.iter().all(visit),
            Encoding::Table(table) => table.iter().map(|entry| entry.element()).all(visit),
        }
    }

    /// Visits every member.
    pub fn each<'s>(&'s self, mut visit: impl FnMut(Element<'s>)) {
        self.all(|member| {
            visit(member);
            true
        });
    }

    /// Visits about `count` members from `cursor`, 0 at first; returns the next cursor, 0 at the end.
    ///
    /// - Small encodings are visited whole, whatever the cursor.
    pub fn scan<'s>(
        &'s self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(Element<'s>),
    ) -> u64 {
        match &self.encoding {
            Encoding::Table(table) => table.scan(cursor, count, |entry| visit(entry.element())),
            _ => {
                self.each(visit);
                0
            }
        }
    }

    /// A member, each as likely as any other.
    pub fn random(&self, rng: &mut Rng) -> Option<Element<'_>> {
        match &self.encoding {
            Encoding::Ints(ints) => ints.random(rng).map(Element::Int),
            Encoding::Pack(pack) => {
                let index = rng.below(pack.len() as u64) as isize;
                pack.seek(index).map(|place| pack.get(place))
            }
            Encoding::Table(table) => table.random(rng).map(|entry| entry.element()),
        }
    }

    /// Visits `count` different members, each as likely as any other; all where there are no more.
    ///
    /// - Cost: O(count), but O(N) for a listpack and for more than a third of any other.
    pub fn sample<'s>(&'s self, count: usize, rng: &mut Rng, mut visit: impl FnMut(Element<'s>)) {
        if let Encoding::Ints(ints) = &self.encoding
            && count.saturating_mul(DRAW_SHARE) <= ints.len()
        {
            let mut drawn = HashSet::with_capacity(count);
            while drawn.len() < count {
                let index = rng.below(ints.len() as u64) as usize;
                if drawn.insert(index)
                    && let Some(integer) = ints.get(index)
                {
                    visit(Element::Int(integer));
                }
            }
            return;
        }
        if let Encoding::Table(table) = &self.encoding
            && count.saturating_mul(DRAW_SHARE) <= table.len()
        {
            let mut drawn = HashSet::with_capacity(count);
            while drawn.len() < count
                && let Some(place) = table.random_place(rng)
            {
                if drawn.insert(place) {
                    visit(table.entry_at(place).element());
                }
            }
            return;
        }
        let mut selection = Selection::new(count, self.len());
        self.each(|member| {
            if selection.takes(rng) {
                visit(member);
            }
        });
    }

    /// Removes a member, each as likely as any other, after `popped` has seen it; false where there is none.
    pub fn pop(&mut self, rng: &mut Rng, popped: impl FnOnce(Element<'_>)) -> bool {
        match &mut self.encoding {
            Encoding::Ints(ints) => {
                let index = rng.below(ints.len() as u64) as usize;
                let removed = ints.remove_at(index);
                removed
                    .map(|integer| popped(Element::Int(integer)))
                    .is_some()
            }
            Encoding::Pack(pack) => {
                let index = rng.below(pack.len() as u64) as isize;
                let Some(place) = pack.seek(index) else {
                    return false;
                };
                popped(pack.get(place));
                pack.delete(place);
                true
            }
            Encoding::Table(table) => {
                let Some(place) = table.random_place(rng) else {
                    return false;
                };
                popped(table.entry_at(place).element());
                table.remove_at(place);
                true
            }
        }
    }

    /// Removes `count` members, each as likely as any other, after `popped` has seen them; there are more than that.
    ///
    /// - Where little is left of a table, that is packed, as Redis does.
    pub fn pop_many(
        &mut self,
        count: usize,
        rng: &mut Rng,
        limits: &EncodingLimits,
        mut popped: impl FnMut(Element<'_>),
    ) {
        let mut selection = Selection::new(count, self.len());
        match &mut self.encoding {
            Encoding::Ints(ints) => {
                let mut rest = Vec::with_capacity(ints.len() - count.min(ints.len()));
                for integer in ints.iter() {
                    if selection.takes(rng) {
                        popped(Element::Int(integer));
                    } else {
                        rest.push(integer);
                    }
                }
                *ints = Intset::from_ascending(&rest, &Intset::new());
            }
            Encoding::Pack(pack) => {
                let mut rest = Listpack::new();
                for member in pack.iter() {
                    if selection.takes(rng) {
                        popped(member);
                    } else {
                        rest.push_back(member);
                    }
                }
                *pack = rest;
            }
            Encoding::Table(table) => {
                for _ in 0..count {
                    let Some(place) = table.random_place(rng) else {
                        break;
                    };
                    popped(table.entry_at(place).element());
                    table.remove_at(place);
                }
                if table.len().saturating_mul(REPACK_SHARE) <= count {
                    let mut rest = Self::packed();
                    self.each(|member| {
                        rest.add(&Probe::of(member, &mut [0; 20]), limits);
                    });
                    *self = rest;
                }
            }
        }
    }

    /// Makes it an intset, where all members are integers and there are few enough.
    pub fn become_ints_where_possible(&mut self, limits: &EncodingLimits) {
        if self.as_ints().is_some() || self.len() > limits.set_max_intset_entries {
            return;
        }
        let mut integers = Vec::with_capacity(self.len());
        let is_all = self.all(|member| {
            integers.extend(member.integer());
            member.integer().is_some()
        });
        if !is_all {
            return;
        }
        integers.sort_unstable();
        self.encoding = Encoding::Ints(Intset::from_ascending(&integers, &Intset::new()));
    }

    fn become_table(&mut self) {
        let mut table = UnalignedBox::<FieldTable>::default();
        self.each(|member| {
            table.insert(member.text(&mut [0; 20]), None, None);
        });
        self.encoding = Encoding::Table(table);
    }
}

impl Set {
    /// The shape of the hash table it is, if it is one.
    pub fn table_shape(&self, chains: bool) -> Option<TableShape> {
        match &self.encoding {
            Encoding::Table(table) => Some(table.shape(chains)),
            _ => None,
        }
    }
}

impl HeapSize for Set {
    #[inline]
    fn extent(&self) -> (usize, usize) {
        (super::value::SETS, self.len())
    }

    fn heap_bytes(&self) -> usize {
        match &self.encoding {
            Encoding::Ints(ints) => ints.heap_bytes(),
            Encoding::Pack(pack) => pack.heap_bytes(),
            Encoding::Table(table) => size_of::<FieldTable>() + table.heap_bytes(),
        }
    }

    fn move_step(&mut self, from: Progress, mover: &mut Mover<'_>) -> Option<Progress> {
        match &mut self.encoding {
            Encoding::Ints(ints) => ints.move_by(mover),
            Encoding::Pack(pack) => mover.listpack(pack),
            Encoding::Table(table) => {
                if from.is_start() {
                    mover.unaligned_box(table);
                }
                return table.move_step(from, mover);
            }
        }
        None
    }

    fn free_effort(&self) -> usize {
        match &self.encoding {
            Encoding::Table(table) => table.free_effort(),
            _ => 1,
        }
    }

    fn free_step(&mut self, budget: usize) -> bool {
        match &mut self.encoding {
            Encoding::Table(table) => table.free_step(budget),
            _ => true,
        }
    }
}

impl Collection for Set {
    const TYPE_NAME: &'static str = "set";

    fn encoding_name(&self) -> &'static str {
        match self.encoding {
            Encoding::Ints(_) => "intset",
            Encoding::Pack(_) => "listpack",
            Encoding::Table(_) => "hashtable",
        }
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    collection_of!(Set);
}

/// Chooses how many of those that go by are taken, so that every choice is as likely.
struct Selection {
    wanted: usize,
    left: usize,
}

impl Selection {
    fn new(wanted: usize, total: usize) -> Self {
        Self {
            wanted,
            left: total,
        }
    }

    /// Whether the next one is taken. Knuth, "The Art of Computer Programming", volume 2, 3.4.2, algorithm S.
    fn takes(&mut self, rng: &mut Rng) -> bool {
        let takes = rng.below(self.left as u64) < self.wanted as u64;
        self.left = self.left.saturating_sub(1);
        self.wanted -= usize::from(takes);
        takes
    }
}

fn pack_has(pack: &Listpack, text: &[u8]) -> bool {
    pack.first()
        .and_then(|first| pack.find(first, text, 0))
        .is_some()
}

fn is_packable(count: usize, member: &Probe<'_>, limits: &EncodingLimits) -> bool {
    count < limits.set_max_listpack_entries && member.text().len() <= limits.set_max_listpack_value
}

/// Most members that are no integers are found out by their first byte.
#[inline]
fn integer_in(text: &[u8]) -> Option<i64> {
    let first = *text.first()?;
    if text.len() > 20 || !(first.is_ascii_digit() || first == b'-') {
        return None;
    }
    parse_i64(text)
}
