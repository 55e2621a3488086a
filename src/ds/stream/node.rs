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
//! Not here  which node an entry is in: `log.rs`.
//! Source    the stream nodes that DUMP of a real server shows.
//! Tests     tests/ds/stream.rs; fuzz target `stream_node`.

use super::id::StreamId;
use crate::ds::listpack::{Element, Iter as Elements, Listpack, Position};

const DELETED: i64 = 1;
const SAME_NAMES: i64 = 2;

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
    let mut node = Listpack::new();
    node.push_many([1, 0, pairs_count as i64].map(Element::Int));
    for index in 0..pairs_count {
        node.push_back(words.word(index * 2));
    }
    node.push_many([0, SAME_NAMES, 0, 0].map(Element::Int));
    for index in 0..pairs_count {
        node.push_back(words.word(index * 2 + 1));
    }
    node.push_back(pairs_count as i64 + 3);
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
    if has_same_names {
        node.push_many([SAME_NAMES, ms, seq].map(Element::Int));
        for index in 0..pairs_count {
            node.push_back(words.word(index * 2 + 1));
        }
        node.push_back(pairs_count as i64 + 3);
    } else {
        node.push_many([0, ms, seq, pairs_count as i64].map(Element::Int));
        for index in 0..pairs_count * 2 {
            node.push_back(words.word(index));
        }
        node.push_back(pairs_count as i64 * 2 + 4);
    }
}

/// Marks entries as deleted: those at these places, each alive until now.
pub(super) fn delete(node: &mut Listpack, places: &[Position]) {
    let Head {
        entries_count,
        deleted_count,
        ..
    } = Head::of(node);
    for place in places {
        // Either value takes one byte, so the other places stay good.
        if let Some(flags) = node.get(*place).integer() {
            node.replace(*place, flags | DELETED);
        }
    }
    let deleted = places.len() as i64;
    set_entries_count(node, entries_count - deleted);
    let place = node.first().and_then(|first| node.next(first));
    node.replace(place.expect("a node has a head"), deleted_count + deleted);
}

fn set_entries_count(node: &mut Listpack, count: i64) {
    let place = node.first();
    node.replace(place.expect("a node has a head"), count);
}

/// A node's first elements.
pub(super) struct Head<'n> {
    pub(super) entries_count: i64,
    pub(super) deleted_count: i64,
    names_count: usize,
    /// From the first name on.
    names: Elements<'n>,
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
fn integer(elements: &mut Elements<'_>) -> i64 {
    match elements.next() {
        Some(Element::Int(number)) => number,
        _ => 0,
    }
}

/// One entry where it lies.
#[derive(Clone)]
pub struct Entry<'n> {
    /// Its id.
    pub id: StreamId,
    pub(super) is_deleted: bool,
    pub(super) place: Position,
    pairs_count: usize,
    /// Where the names are that it shares with the head.
    names: Option<Elements<'n>>,
    /// From its first own name or value on.
    rest: Elements<'n>,
}

impl<'n> Entry<'n> {
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
    names: Option<Elements<'n>>,
    rest: Elements<'n>,
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
struct Reader<'n> {
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
            place,
            pairs_count,
            names: has_same_names.then(|| self.names.clone()),
            rest: elements.clone(),
        })
    }
}

/// The entries of one node in order.
#[derive(Clone)]
pub(super) struct Forward<'n> {
    reader: Reader<'n>,
    rest: Elements<'n>,
}

impl<'n> Forward<'n> {
    #[inline]
    pub(super) fn new(id: StreamId, node: &'n Listpack) -> Self {
        let head = Head::of(node);
        let mut rest = head.names.clone();
        skip(&mut rest, head.names_count + 1);
        Self {
            reader: Reader::new(id, &head),
            rest,
        }
    }
}

impl<'n> Iterator for Forward<'n> {
    type Item = Entry<'n>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'n>> {
        let entry = self.reader.read(&mut self.rest)?;
        let values = if entry.names.is_some() { 1 } else { 2 };
        skip(&mut self.rest, entry.pairs_count * values + 1);
        Some(entry)
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
pub(super) struct Backward<'n> {
    node: &'n Listpack,
    reader: Reader<'n>,
    /// The last element of the entry to come.
    at: Option<Position>,
}

impl<'n> Backward<'n> {
    pub(super) fn new(id: StreamId, node: &'n Listpack) -> Self {
        Self {
            node,
            reader: Reader::new(id, &Head::of(node)),
            at: node.last(),
        }
    }
}

impl<'n> Iterator for Backward<'n> {
    type Item = Entry<'n>;

    fn next(&mut self) -> Option<Entry<'n>> {
        let mut at = self.at?;
        let elements_count = match self.node.get(at) {
            // The head's end.
            Element::Int(0) => return None,
            Element::Int(count) => count,
            Element::Str(_) => return None,
        };
        for _ in 0..elements_count {
            at = self.node.previous(at)?;
        }
        self.at = self.node.previous(at);
        self.reader.read(&mut self.node.iter_from(at))
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
        counted[usize::from(flags & DELETED != 0)] -= 1;
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
