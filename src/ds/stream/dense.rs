//! Dense: a node that takes no more entries, without what can be told from the rest.
//!
//!     node  = | entries | listpack bytes | last ms | last seq | names | bytes of them | name … | entry … |
//!     entry = | ms since the one before, times two | value … |                        names as in the head, the seq expected
//!           = | the same + 1 | kind | seq? | fields? | name? value … |                otherwise
//!
//! Numbers are of seven bits a byte. Names and values are a listpack's elements without back lengths; flags, element counts
//! and sequence numbers that only count up, six to nine bytes of each entry, are not kept at all. An expected sequence
//! number is 0 where milliseconds differ from the entry before, and one more than its own where they do not.
//!
//! Promises  the listpack it was made of comes back, byte for byte where that one was made here; smaller than that or
//!           not made, nor where nearly all of it is long values; reading allocates nothing.
//! Not here  deleted entries: a node with some stays a listpack, and one that loses some becomes one again.
//! Tests     tests/ds/stream.rs: all of them read dense nodes; `full_nodes…`.

use super::id::StreamId;
use super::node::{self, Entry, Head, Run, SAME_NAMES};
use super::pack_writer::{Number, PackWriter};
use crate::ds::block_size::block_bytes;
use crate::ds::listpack::{Bare, Element, Listpack};
use crate::ds::mover::Mover;

/// The entry has names of its own.
const OWN_NAMES: u8 = 1;
/// Its sequence number is not the expected one.
const OWN_SEQ: u8 = 2;

/// Where elements take more than this on average, two or three bytes fewer of each are not worth copying the others.
const ELEMENT_BYTES_MAX: usize = 256;

/// A node, packed further.
#[derive(Clone)]
pub(super) struct Dense(Box<[u8]>);

impl Dense {
    /// The same node in less memory, where that is possible.
    pub(super) fn of(node_id: StreamId, node: &Listpack) -> Option<Self> {
        let head = Head::of(node);
        if head.deleted_count != 0 || head.entries_count <= 0 {
            return None;
        }
        if node.byte_len() / ELEMENT_BYTES_MAX > node.len() {
            return None;
        }
        let mut entries = Vec::with_capacity(node.byte_len());
        let mut before = before_first(node_id);
        let mut elements = head.names.clone();
        let mut names = Vec::new();
        for _ in 0..head.names_count {
            names.extend_from_slice(elements.next_bare()?);
        }
        elements.next();
        // One walk for all, beside the requests: this is done for each node that is full.
        while let Some(Element::Int(flags)) = elements.next() {
            let ms = node::integer(&mut elements);
            let id = node_id.offset(ms, node::integer(&mut elements));
            let has_own_names = flags & SAME_NAMES == 0;
            let fields_count = if has_own_names {
                node::integer(&mut elements) as usize
            } else {
                head.names_count
            };
            put_head(
                &mut entries,
                before,
                id,
                has_own_names.then_some(fields_count),
            )?;
            for _ in 0..fields_count << usize::from(has_own_names) {
                entries.extend_from_slice(elements.next_bare()?);
            }
            elements.next();
            before = id;
        }
        let mut bytes = Vec::with_capacity(names.len() + entries.len() + 24);
        put(&mut bytes, head.entries_count as u64);
        put(&mut bytes, node.byte_len() as u64);
        put(&mut bytes, before.ms.wrapping_sub(node_id.ms));
        put(&mut bytes, before.seq);
        put(&mut bytes, head.names_count as u64);
        put(&mut bytes, names.len() as u64);
        bytes.extend_from_slice(&names);
        bytes.extend_from_slice(&entries);
        // Copied once more: a vector that shrinks by less than half keeps its block.
        (block_bytes(bytes.len()) < node.heap_bytes()).then(|| Self(Box::from(bytes.as_slice())))
    }

    /// The listpack it stands for.
    pub(super) fn unpacked(&self, node_id: StreamId) -> Listpack {
        Listpack::of_written(self.pack_in(node_id, &mut Vec::new()))
    }

    /// The bytes of that listpack, written to `room`, which need not be empty.
    ///
    /// - Cost: one walk; nothing is allocated where `room` is long enough.
    pub(super) fn pack_in<'r>(&self, node_id: StreamId, room: &'r mut Vec<u8>) -> &'r [u8] {
        let Entries {
            entries_count,
            pack_bytes,
            names_count,
            mut names,
            mut before,
            mut rest,
            ..
        } = self.entries(node_id);
        // One that came from elsewhere may have taken more bytes: its integers are written as short as they can be.
        let mut writer = PackWriter::new(room, pack_bytes);
        for number in [entries_count as i64, 0, names_count as i64] {
            writer.number(Number::of(number));
        }
        writer.bare(&mut names, names_count);
        let (zero, same_names) = (Number::of(0), Number::of(SAME_NAMES));
        let same_end = Number::of(names_count as i64 + 3);
        writer.number(zero);
        while !rest.is_empty() {
            let (id, kind) = take_id(&mut rest, before);
            before = id;
            let has_own_names = kind & OWN_NAMES != 0;
            writer.number(if has_own_names { zero } else { same_names });
            writer.number(Number::of(id.ms.wrapping_sub(node_id.ms) as i64));
            writer.number(Number::of(id.seq.wrapping_sub(node_id.seq) as i64));
            if has_own_names {
                let fields_count = take(&mut rest) as usize;
                writer.number(Number::of(fields_count as i64));
                let mut elements = Bare::new(rest);
                writer.bare(&mut elements, fields_count * 2);
                writer.number(Number::of(fields_count as i64 * 2 + 4));
                rest = elements.rest();
            } else {
                let mut elements = Bare::new(rest);
                writer.bare(&mut elements, names_count);
                writer.number(same_end);
                rest = elements.rest();
            }
        }
        writer.finish()
    }

    /// Its entries in order.
    #[inline]
    pub(super) fn entries(&self, node_id: StreamId) -> Entries<'_> {
        let mut bytes = &self.0[..];
        let entries_count = take(&mut bytes) as usize;
        let pack_bytes = take(&mut bytes) as usize;
        let last_ms = node_id.ms.wrapping_add(take(&mut bytes));
        let last_id = StreamId::new(last_ms, take(&mut bytes));
        let names_count = take(&mut bytes) as usize;
        let names_bytes = take(&mut bytes) as usize;
        let (names, rest) = bytes.split_at(names_bytes);
        Entries {
            entries_count,
            pack_bytes,
            last_id,
            names_count,
            names: Bare::new(names),
            before: before_first(node_id),
            rest,
        }
    }

    /// Bytes allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        block_bytes(self.0.len())
    }

    /// Moves its bytes.
    pub(super) fn move_by(&mut self, mover: &mut Mover<'_>) {
        mover.bytes(&mut self.0);
    }
}

/// The head of a dense node, and its entries one by one.
#[derive(Clone)]
pub(super) struct Entries<'n> {
    pub(super) entries_count: usize,
    /// Bytes of the listpack.
    pub(super) pack_bytes: usize,
    pub(super) last_id: StreamId,
    names_count: usize,
    names: Bare<'n>,
    /// The id of the entry before the next.
    before: StreamId,
    rest: &'n [u8],
}

impl Entries<'_> {
    /// Passes over the entries before `start`, which is less than reading them.
    #[inline]
    pub(super) fn skip_before(&mut self, start: StreamId) {
        while !self.rest.is_empty() {
            let mut rest = self.rest;
            let (id, kind) = take_id(&mut rest, self.before);
            if id >= start {
                return;
            }
            let elements_count = if kind & OWN_NAMES == 0 {
                self.names_count
            } else {
                (take(&mut rest) as usize) << 1
            };
            let mut elements = Bare::new(rest);
            for _ in 0..elements_count {
                elements.next_bare();
            }
            self.rest = elements.rest();
            self.before = id;
        }
    }
}

impl<'n> Iterator for Entries<'n> {
    type Item = Entry<'n>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'n>> {
        if self.rest.is_empty() {
            return None;
        }
        let (id, kind) = take_id(&mut self.rest, self.before);
        let (names, fields_count) = if kind & OWN_NAMES == 0 {
            (Some(Run::Bare(self.names.clone())), self.names_count)
        } else {
            (None, take(&mut self.rest) as usize)
        };
        let rest = Bare::new(self.rest);
        let mut after = rest.clone();
        let elements_count = fields_count << (kind & OWN_NAMES);
        for _ in 0..elements_count {
            after.next_bare();
        }
        self.rest = after.rest();
        self.before = id;
        Some(Entry::bare(id, fields_count, names, Run::Bare(rest)))
    }
}

/// Appends what comes before an entry's words; nothing where its id cannot be said.
#[inline]
fn put_head(
    bytes: &mut Vec<u8>,
    before: StreamId,
    id: StreamId,
    own_fields: Option<usize>,
) -> Option<()> {
    let passed_ms = id.ms.wrapping_sub(before.ms);
    if passed_ms > u64::MAX >> 1 {
        return None;
    }
    let has_own_seq = id.seq != expected_seq(before, id.ms);
    if own_fields.is_none() && !has_own_seq {
        put(bytes, passed_ms << 1);
        return Some(());
    }
    put(bytes, passed_ms << 1 | 1);
    let own_names = if own_fields.is_some() { OWN_NAMES } else { 0 };
    bytes.push(own_names | if has_own_seq { OWN_SEQ } else { 0 });
    if has_own_seq {
        put(bytes, id.seq);
    }
    if let Some(fields_count) = own_fields {
        put(bytes, fields_count as u64);
    }
    Some(())
}

/// Takes the first part of an entry: its id and its kind.
#[inline]
fn take_id(bytes: &mut &[u8], before: StreamId) -> (StreamId, u8) {
    let tag = take(bytes);
    let kind = if tag & 1 == 0 { 0 } else { take_byte(bytes) };
    let ms = before.ms.wrapping_add(tag >> 1);
    let seq = if kind & OWN_SEQ == 0 {
        expected_seq(before, ms)
    } else {
        take(bytes)
    };
    (StreamId::new(ms, seq), kind)
}

/// What the first entry follows: it has the node's own id.
#[inline]
fn before_first(node_id: StreamId) -> StreamId {
    StreamId::new(node_id.ms, node_id.seq.wrapping_sub(1))
}

#[inline]
fn expected_seq(before: StreamId, ms: u64) -> u64 {
    if ms == before.ms {
        before.seq.wrapping_add(1)
    } else {
        0
    }
}

#[inline]
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[inline]
fn take(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    let mut shift = 0;
    loop {
        let byte = take_byte(bytes);
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return number;
        }
        shift += 7;
    }
}

#[inline]
fn take_byte(bytes: &mut &[u8]) -> u8 {
    let (first, rest) = bytes.split_first().expect("a dense node is whole");
    *bytes = rest;
    *first
}
