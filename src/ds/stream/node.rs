//! Node: some of a stream's entries, packed in one listpack.
//!
//!     head  = | entries | deleted | names count | name ... name | 0 |
//!     entry = | flags | ms | seq | value ... value | elements count |                              flag 2: names as in the head
//!           = | flags | ms | seq | fields count | name, value ... | elements count |               otherwise
//!
//! `ms` and `seq` are what the id has above the node's own, which is that of the first entry. A deleted entry keeps its
//! place and has flag 1. The count at an entry's end is how many elements to go back to its flags.
//!
//! Promises  the listpack is Redis's, byte for byte, so dumps and snapshots carry it unchanged; what `validated` lets pass
//!           is read without a panic.
//! Not here  which node an entry is in: `log.rs`; what a full node is packed into: `dense.rs`.
//! Source    the stream nodes that DUMP of a real server shows.
//! Tests     tests/ds/stream.rs; fuzz target `stream_node`.

use super::dense::{Dense, Entries};
use super::id::StreamId;
use crate::ds::listpack::{Bare, Batch, Element, Iter as Elements, Listpack, Position};
use crate::ds::mover::Mover;
use std::borrow::Cow;

const DELETED: i64 = 1;
pub(super) const SAME_NAMES: i64 = 2;

/// A node of the log.
#[derive(Clone)]
pub(super) enum Node {
    /// The listpack that the wire knows.
    Pack(Listpack),
    /// One that is full, packed further.
    Dense(Dense),
}

const _: () = assert!(size_of::<Node>() == 16);

impl Node {
    /// Packs a node further that takes no more entries, if that saves memory.
    pub(super) fn close(&mut self, node_id: StreamId) {
        if let Self::Pack(pack) = self
            && let Some(dense) = Dense::of(node_id, pack)
        {
            *self = Self::Dense(dense);
        }
    }

    /// The listpack, to change.
    #[inline]
    pub(super) fn open(&mut self, node_id: StreamId) -> &mut Listpack {
        if let Self::Dense(dense) = self {
            *self = Self::Pack(dense.unpacked(node_id));
        }
        match self {
            Self::Pack(pack) => pack,
            Self::Dense(_) => unreachable!("it was just unpacked"),
        }
    }

    /// The listpack, which may have to be made.
    pub(super) fn pack(&self, node_id: StreamId) -> Cow<'_, Listpack> {
        match self {
            Self::Pack(pack) => Cow::Borrowed(pack),
            Self::Dense(dense) => Cow::Owned(dense.unpacked(node_id)),
        }
    }

    /// The listpack's bytes, to be written; where they have to be made, that is done in `room`.
    #[inline]
    pub(super) fn pack_in<'n>(&'n self, node_id: StreamId, room: &'n mut Vec<u8>) -> &'n [u8] {
        match self {
            Self::Pack(pack) => pack.as_bytes(),
            Self::Dense(dense) => dense.pack_in(node_id, room),
        }
    }

    /// Its living entries, the deleted ones, and the bytes of its listpack.
    #[inline]
    pub(super) fn extent(&self, node_id: StreamId) -> (u64, u64, usize) {
        match self {
            Self::Pack(pack) => {
                // Both were counted one by one or checked to be as many as there are.
                let head = Head::of(pack);
                let (living, deleted) = (head.entries_count, head.deleted_count);
                (living as u64, deleted as u64, pack.byte_len())
            }
            Self::Dense(dense) => {
                let head = dense.entries(node_id);
                (head.entries_count as u64, 0, head.pack_bytes)
            }
        }
    }

    /// Its living entries.
    #[inline]
    pub(super) fn living_count(&self, node_id: StreamId) -> u64 {
        self.extent(node_id).0
    }

    /// The id of its last entry, deleted or not.
    pub(super) fn last_id(&self, node_id: StreamId) -> Option<StreamId> {
        match self {
            Self::Pack(pack) => Backward::of_pack(node_id, pack)
                .next()
                .map(|entry| entry.id),
            Self::Dense(dense) => Some(dense.entries(node_id).last_id),
        }
    }

    /// Its first living entry, and the bytes of the deleted ones before it, of which `dead_bytes` are known.
    ///
    /// - Cost: the deleted ones that are not known are walked through.
    pub(super) fn first_living(
        &self,
        node_id: StreamId,
        dead_bytes: u32,
    ) -> Option<(Entry<'_>, u32)> {
        let mut entries = Forward::behind(node_id, self, dead_bytes);
        let start = entries.place();
        let first = entries.find(|entry| !entry.is_deleted)?;
        let passed = first.place.zip(start);
        let passed_bytes = passed.map_or(0, |(place, start)| place.bytes_since(start));
        Some((first, dead_bytes + passed_bytes))
    }

    /// Bytes allocated.
    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Pack(pack) => pack.heap_bytes(),
            Self::Dense(dense) => dense.heap_bytes(),
        }
    }

    /// Moves its bytes.
    pub(super) fn move_by(&mut self, mover: &mut Mover<'_>) {
        match self {
            Self::Pack(pack) => mover.listpack(pack),
            Self::Dense(dense) => dense.move_by(mover),
        }
    }
}

/// The words of a new entry: names and values in turn.
pub trait Words<'w> {
    /// How many pairs of them there are.
    fn pairs_count(&self) -> usize;
    /// Word `index`, below twice the number of pairs.
    fn word(&self, index: usize) -> &'w [u8];
}

impl<'w> Words<'w> for [&'w [u8]] {
    fn pairs_count(&self) -> usize {
        self.len() / 2
    }

    fn word(&self, index: usize) -> &'w [u8] {
        self[index]
    }
}

/// A node with one entry, whose id is the node's.
pub(super) fn new_node<'w>(words: &(impl Words<'w> + ?Sized)) -> Listpack {
    let pairs_count = words.pairs_count();
    let mut batch = Batch::default();
    for number in [1, 0, pairs_count as i64] {
        batch.integer(number);
    }
    for index in 0..pairs_count {
        batch.string(words.word(index * 2));
    }
    for number in [0, SAME_NAMES, 0, 0] {
        batch.integer(number);
    }
    for index in 0..pairs_count {
        batch.string(words.word(index * 2 + 1));
    }
    batch.integer(pairs_count as i64 + 3);
    let mut node = Listpack::new();
    node.push_batch(&batch);
    node
}

/// Appends an entry to the node whose own id is `node_id`.
pub(super) fn push<'w>(
    node: &mut Listpack,
    node_id: StreamId,
    id: StreamId,
    words: &(impl Words<'w> + ?Sized),
) {
    let head = Head::of(node);
    let pairs_count = words.pairs_count();
    let has_same_names = head.names_count == pairs_count
        && (head.names.clone().take(pairs_count).enumerate())
            .all(|(index, name)| name.equals(words.word(index * 2)));
    let entries_count = head.entries_count;
    set_entries_count(node, entries_count + 1);
    let ms = id.ms.wrapping_sub(node_id.ms) as i64;
    let seq = id.seq.wrapping_sub(node_id.seq) as i64;
    let mut batch = Batch::default();
    batch.integer(if has_same_names { SAME_NAMES } else { 0 });
    batch.integer(ms);
    batch.integer(seq);
    if has_same_names {
        for index in 0..pairs_count {
            batch.string(words.word(index * 2 + 1));
        }
        batch.integer(pairs_count as i64 + 3);
    } else {
        batch.integer(pairs_count as i64);
        for index in 0..pairs_count * 2 {
            batch.string(words.word(index));
        }
        batch.integer(pairs_count as i64 * 2 + 4);
    }
    node.push_batch(&batch);
}

/// The same node without its deleted entries: it takes no more bytes.
pub(super) fn without_deleted(node: &Listpack) -> Listpack {
    let head = Head::of(node);
    let mut batch = Batch::default();
    fn copy<'e>(batch: &mut Batch<'e>, elements: &mut Elements<'e>, count: usize) {
        for element in elements.take(count) {
            match element {
                Element::Int(number) => batch.integer(number),
                Element::Str(bytes) => batch.string(bytes),
            }
        }
    }
    for number in [head.entries_count, 0, head.names_count as i64] {
        batch.integer(number);
    }
    let mut rest = head.names.clone();
    copy(&mut batch, &mut rest, head.names_count + 1);
    while Elements::position(&rest).is_some() {
        let mut ahead = rest.clone();
        let flags = integer(&mut ahead);
        skip(&mut ahead, 2);
        let words_count = if flags & SAME_NAMES != 0 {
            3 + head.names_count + 1
        } else {
            4 + integer(&mut ahead) as usize * 2 + 1
        };
        if flags & DELETED == 0 {
            copy(&mut batch, &mut rest, words_count);
        } else {
            skip(&mut rest, words_count);
        }
    }
    let mut made = Listpack::new();
    made.push_batch(&batch);
    made
}

/// Where these entries are, which rise; each is there and alive.
pub(super) fn places_of(node: &Listpack, node_id: StreamId, ids: &[StreamId]) -> Vec<Position> {
    let mut rest = ids.iter().peekable();
    Forward::of_pack(node_id, node)
        .filter(|entry| !entry.is_deleted && rest.next_if(|id| **id == entry.id).is_some())
        .filter_map(|entry| entry.place)
        .collect()
}

/// Marks the first living entries as deleted, as long as `goes` is true for them.
///
/// - `dead_bytes`: what deleted entries take at the start, as far as that is known; afterwards all that do.
/// - Returns how many there were; none, and nothing is changed, where no living one would stay.
/// - Cost: one walk from what is known to the first that stays.
pub(super) fn trim(
    node: &mut Listpack,
    node_id: StreamId,
    dead_bytes: &mut u32,
    mut goes: impl FnMut(StreamId) -> bool,
) -> Option<u64> {
    let entries = Forward::of_pack_behind(node_id, node, *dead_bytes);
    let start = entries.place()?;
    let mut places = Vec::new();
    let first_kept = entries.filter(|entry| !entry.is_deleted).find(|entry| {
        let is_kept = !goes(entry.id);
        if !is_kept {
            places.extend(entry.place);
        }
        is_kept
    });
    let passed_bytes = first_kept?.place?.bytes_since(start);
    *dead_bytes += passed_bytes - delete(node, &places);
    Some(places.len() as u64)
}

/// Marks entries as deleted: those at these places, each alive until now. Returns how many bytes less the entries take then.
pub(super) fn delete(node: &mut Listpack, places: &[Position]) -> u32 {
    let Head {
        entries_count,
        deleted_count,
        ..
    } = Head::of(node);
    let before = node.byte_len();
    // Flags that came from elsewhere may take more bytes than they need, and take fewer from now on: places behind them move.
    for place in places.iter().rev() {
        if let Some(flags) = node.get(*place).integer() {
            node.replace(*place, flags | DELETED);
        }
    }
    let saved_bytes = before - node.byte_len();
    let deleted = places.len() as i64;
    set_entries_count(node, entries_count - deleted);
    let place = node.first().and_then(|first| node.next(first));
    node.replace(place.expect("a node has a head"), deleted_count + deleted);
    saved_bytes as u32
}

fn set_entries_count(node: &mut Listpack, count: i64) {
    let place = node.first();
    node.replace(place.expect("a node has a head"), count);
}

/// A node's first elements.
pub(super) struct Head<'n> {
    pub(super) entries_count: i64,
    pub(super) deleted_count: i64,
    pub(super) names_count: usize,
    /// From the first name on.
    pub(super) names: Elements<'n>,
}

impl<'n> Head<'n> {
    #[inline]
    pub(super) fn of(node: &'n Listpack) -> Self {
        let mut elements = node.iter();
        let entries_count = integer(&mut elements);
        let deleted_count = integer(&mut elements);
        let names_count = integer(&mut elements) as usize;
        Self {
            entries_count,
            deleted_count,
            names_count,
            names: elements,
        }
    }
}

#[inline]
pub(super) fn integer(elements: &mut Elements<'_>) -> i64 {
    match elements.next() {
        Some(Element::Int(number)) => number,
        _ => 0,
    }
}

/// Elements as the node has them.
#[derive(Clone)]
pub(super) enum Run<'n> {
    Pack(Elements<'n>),
    Bare(Bare<'n>),
}

impl<'n> Iterator for Run<'n> {
    type Item = Element<'n>;

    #[inline]
    fn next(&mut self) -> Option<Element<'n>> {
        match self {
            Self::Pack(elements) => elements.next(),
            Self::Bare(elements) => elements.next(),
        }
    }
}

/// One entry where it lies.
#[derive(Clone)]
pub struct Entry<'n> {
    /// Its id.
    pub id: StreamId,
    pub(super) is_deleted: bool,
    /// Where its flags are; nowhere in a dense node.
    pub(super) place: Option<Position>,
    pairs_count: usize,
    /// Where the names are that it shares with the head.
    pub(super) names: Option<Run<'n>>,
    /// From its first own name or value on.
    pub(super) rest: Run<'n>,
}

impl<'n> Entry<'n> {
    /// One of a dense node.
    #[inline]
    pub(super) fn bare(
        id: StreamId,
        pairs_count: usize,
        names: Option<Run<'n>>,
        rest: Run<'n>,
    ) -> Self {
        Self {
            id,
            is_deleted: false,
            place: None,
            pairs_count,
            names,
            rest,
        }
    }

    /// How many fields it has.
    #[inline]
    pub fn len(&self) -> usize {
        self.pairs_count
    }

    /// Whether it has no field.
    pub fn is_empty(&self) -> bool {
        self.pairs_count == 0
    }

    /// Its fields, names with values.
    #[inline]
    pub fn fields(&self) -> Fields<'n> {
        Fields {
            left: self.pairs_count,
            names: self.names.clone(),
            rest: self.rest.clone(),
        }
    }
}

/// What [`Entry::fields`] gives.
pub struct Fields<'n> {
    left: usize,
    names: Option<Run<'n>>,
    rest: Run<'n>,
}

impl<'n> Iterator for Fields<'n> {
    type Item = (Element<'n>, Element<'n>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = match &mut self.names {
            Some(names) => names.next(),
            None => self.rest.next(),
        };
        Some((name?, self.rest.next()?))
    }
}

/// Reads entries of one node, deleted ones too.
#[derive(Clone)]
pub(super) struct Reader<'n> {
    id: StreamId,
    names_count: usize,
    names: Elements<'n>,
}

impl<'n> Reader<'n> {
    fn new(id: StreamId, head: &Head<'n>) -> Self {
        Self {
            id,
            names_count: head.names_count,
            names: head.names.clone(),
        }
    }

    /// The entry whose flags are the next of `elements`, which are left at its first name or value.
    #[inline]
    fn read(&self, elements: &mut Elements<'n>) -> Option<Entry<'n>> {
        let place = Elements::position(elements)?;
        let flags = integer(elements);
        let ms = integer(elements);
        let seq = integer(elements);
        let has_same_names = flags & SAME_NAMES != 0;
        let pairs_count = if has_same_names {
            self.names_count
        } else {
            integer(elements) as usize
        };
        Some(Entry {
            id: self.id.offset(ms, seq),
            is_deleted: flags & DELETED != 0,
            place: Some(place),
            pairs_count,
            names: has_same_names.then(|| Run::Pack(self.names.clone())),
            rest: Run::Pack(elements.clone()),
        })
    }
}

/// The entries of one node in order.
#[derive(Clone)]
pub(super) enum Forward<'n> {
    Pack {
        reader: Reader<'n>,
        rest: Elements<'n>,
    },
    Dense(Entries<'n>),
}

impl<'n> Forward<'n> {
    /// The entries behind the first ones, which are deleted and take so many bytes; a dense node has none that are.
    #[inline]
    pub(super) fn behind(id: StreamId, node: &'n Node, dead_bytes: u32) -> Self {
        match node {
            Node::Pack(pack) => Self::of_pack_behind(id, pack, dead_bytes),
            Node::Dense(dense) => Self::Dense(dense.entries(id)),
        }
    }

    /// The entries from `start` on, deleted ones too.
    ///
    /// - Cost: a listpack is walked from the nearer end, by what the ids say.
    #[inline]
    pub(super) fn from(id: StreamId, node: &'n Node, start: StreamId) -> Self {
        if start <= id {
            return Self::behind(id, node, 0);
        }
        match node {
            Node::Dense(dense) => {
                let mut entries = dense.entries(id);
                entries.skip_before(start);
                Self::Dense(entries)
            }
            Node::Pack(pack) => Self::of_pack_from(id, pack, start),
        }
    }

    fn of_pack_from(id: StreamId, pack: &'n Listpack, start: StreamId) -> Self {
        let mut backward = Backward::of_pack(id, pack).peekable();
        let last_id = backward.peek().map_or(id, |entry| entry.id);
        if start.since(id) <= last_id.since(start) {
            let mut forward = Self::of_pack(id, pack);
            forward.skip_before(start);
            return forward;
        }
        let mut rest = pack.iter_from_end();
        for entry in backward.take_while(|entry| entry.id >= start) {
            if let Some(place) = entry.place {
                rest = pack.iter_from(place);
            }
        }
        Self::Pack {
            reader: Reader::new(id, &Head::of(pack)),
            rest,
        }
    }

    /// Passes over the entries before `start`.
    fn skip_before(&mut self, start: StreamId) {
        match self {
            Self::Dense(entries) => entries.skip_before(start),
            Self::Pack { reader, rest } => {
                while Elements::position(rest).is_some() {
                    let mut ahead = rest.clone();
                    let flags = integer(&mut ahead);
                    let ms = integer(&mut ahead);
                    if reader.id.offset(ms, integer(&mut ahead)) >= start {
                        return;
                    }
                    let elements_count = if flags & SAME_NAMES != 0 {
                        reader.names_count
                    } else {
                        integer(&mut ahead) as usize * 2
                    };
                    skip(&mut ahead, elements_count + 1);
                    *rest = ahead;
                }
            }
        }
    }

    #[inline]
    pub(super) fn of_pack(id: StreamId, pack: &'n Listpack) -> Self {
        Self::of_pack_behind(id, pack, 0)
    }

    #[inline]
    fn of_pack_behind(id: StreamId, pack: &'n Listpack, dead_bytes: u32) -> Self {
        let head = Head::of(pack);
        let mut rest = head.names.clone();
        skip(&mut rest, head.names_count + 1);
        rest.pass_bytes(dead_bytes);
        Self::Pack {
            reader: Reader::new(id, &head),
            rest,
        }
    }

    /// Where the next entry is; nowhere in a dense node.
    #[inline]
    fn place(&self) -> Option<Position> {
        match self {
            Self::Pack { rest, .. } => Elements::position(rest),
            Self::Dense(_) => None,
        }
    }
}

impl<'n> Iterator for Forward<'n> {
    type Item = Entry<'n>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'n>> {
        match self {
            Self::Pack { reader, rest } => {
                let entry = reader.read(rest)?;
                let values = if entry.names.is_some() { 1 } else { 2 };
                skip(rest, entry.pairs_count * values + 1);
                Some(entry)
            }
            Self::Dense(entries) => entries.next(),
        }
    }
}

#[inline]
fn skip(elements: &mut Elements<'_>, count: usize) {
    if let Some(before_last) = count.checked_sub(1) {
        elements.nth(before_last);
    }
}

/// The entries of one node, last to first.
#[derive(Clone)]
pub(super) enum Backward<'n> {
    Pack {
        pack: &'n Listpack,
        reader: Reader<'n>,
        /// The last element of the entry to come.
        at: Option<Position>,
    },
    /// Without back lengths, all are read first.
    Dense(std::vec::IntoIter<Entry<'n>>),
}

impl<'n> Backward<'n> {
    pub(super) fn new(id: StreamId, node: &'n Node) -> Self {
        match node {
            Node::Pack(pack) => Self::of_pack(id, pack),
            Node::Dense(dense) => {
                let entries: Vec<Entry<'_>> = dense.entries(id).collect();
                Self::Dense(entries.into_iter())
            }
        }
    }

    fn of_pack(id: StreamId, pack: &'n Listpack) -> Self {
        Self::Pack {
            pack,
            reader: Reader::new(id, &Head::of(pack)),
            at: pack.last(),
        }
    }
}

impl<'n> Iterator for Backward<'n> {
    type Item = Entry<'n>;

    fn next(&mut self) -> Option<Entry<'n>> {
        let (pack, reader, next) = match self {
            Self::Pack { pack, reader, at } => (pack, reader, at),
            Self::Dense(entries) => return entries.next_back(),
        };
        let mut at = (*next)?;
        let elements_count = match pack.get(at) {
            // The head's end.
            Element::Int(0) => return None,
            Element::Int(count) => count,
            Element::Str(_) => return None,
        };
        for _ in 0..elements_count {
            at = pack.previous(at)?;
        }
        *next = pack.previous(at);
        reader.read(&mut pack.iter_from(at))
    }
}

/// A node that came from elsewhere.
///
/// - `None` unless it is a listpack, its elements are a head and whole entries, and the head counts them rightly.
/// - Cost: one walk and one copy.
pub(super) fn validated(bytes: &[u8]) -> Option<Listpack> {
    let node = Listpack::from_bytes(bytes)?;
    is_valid(&node)?.then_some(node)
}

fn is_valid(node: &Listpack) -> Option<bool> {
    let mut elements = node.iter();
    let integer = |elements: &mut Elements<'_>| match elements.next()? {
        Element::Int(number) => Some(number),
        Element::Str(_) => None,
    };
    let mut counted = [integer(&mut elements)?, integer(&mut elements)?];
    let names_count = integer(&mut elements)?;
    pass(&mut elements, names_count)?;
    if integer(&mut elements)? != 0 {
        return Some(false);
    }
    while elements.position().is_some() {
        let flags = integer(&mut elements)?;
        integer(&mut elements)?;
        integer(&mut elements)?;
        let elements_count = if flags & SAME_NAMES != 0 {
            pass(&mut elements, names_count)?;
            names_count + 3
        } else {
            let pairs_count = integer(&mut elements)?;
            pass(&mut elements, pairs_count.checked_mul(2)?)?;
            pairs_count * 2 + 4
        };
        if integer(&mut elements)? != elements_count {
            return Some(false);
        }
        let counted = &mut counted[usize::from(flags & DELETED != 0)];
        *counted = counted.checked_sub(1)?;
    }
    Some(counted == [0, 0])
}

/// Passes over `count` elements, which must be there.
fn pass(elements: &mut Elements<'_>, count: i64) -> Option<()> {
    for _ in 0..u64::try_from(count).ok()? {
        elements.next()?;
    }
    Some(())
}
