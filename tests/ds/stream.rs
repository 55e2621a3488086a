//! A stream's entries against a plain list of them.

use super::{Random, size};
use rondo::ds::listpack::{Element, Listpack};
use rondo::ds::stream::{
    Entry, Group, NodeLimits, References, Refusal, Stream, StreamId, Threshold, Trim,
};
use std::borrow::Cow;

#[derive(Clone, Debug, PartialEq)]
struct Plain {
    id: StreamId,
    words: Vec<Vec<u8>>,
    /// The node it is in, counted from the first ever.
    node: usize,
    is_deleted: bool,
}

/// Entries, deleted ones too as long as their node is there; and what a stream remembers.
struct Model {
    entries: Vec<Plain>,
    limits: NodeLimits,
    added: u64,
    last_id: StreamId,
    max_deleted_id: StreamId,
}

impl Model {
    fn new(limits: NodeLimits) -> Self {
        Self {
            entries: Vec::new(),
            limits,
            added: 0,
            last_id: StreamId::MIN,
            max_deleted_id: StreamId::MIN,
        }
    }

    fn living(&self) -> impl DoubleEndedIterator<Item = &Plain> {
        self.entries.iter().filter(|entry| !entry.is_deleted)
    }

    /// Nodes with nothing but deleted entries are no more.
    fn drop_dead_nodes(&mut self) {
        let mut living: Vec<usize> = self.living().map(|entry| entry.node).collect();
        living.dedup();
        self.entries.retain(|entry| living.contains(&entry.node));
    }

    /// As many of the first nodes go as `is_dead` lets, then, if `trim` is exact, entries of the next.
    fn trim(&mut self, trim: Trim) -> u64 {
        let mut trimmed = 0;
        loop {
            let living_count = self.living().count() as u64;
            let Some(node) = self.entries.first().map(|entry| entry.node) else {
                break;
            };
            let in_node: Vec<&Plain> = self.entries.iter().filter(|it| it.node == node).collect();
            let node_living = in_node.iter().filter(|it| !it.is_deleted).count() as u64;
            if trim.limit > 0 && trimmed + node_living > trim.limit {
                break;
            }
            let is_whole = match trim.threshold {
                Threshold::Length(length) if living_count <= length => break,
                Threshold::Length(length) => living_count - node_living >= length,
                Threshold::Id(id) => in_node.last().expect("a node has entries").id < id,
            };
            if is_whole {
                self.entries.retain(|entry| entry.node != node);
                trimmed += node_living;
                continue;
            }
            if !trim.is_approximate {
                let mut over = match trim.threshold {
                    Threshold::Length(length) => living_count - length,
                    Threshold::Id(_) => u64::MAX,
                };
                for entry in self.entries.iter_mut().filter(|entry| !entry.is_deleted) {
                    let is_below = match trim.threshold {
                        Threshold::Id(id) => entry.id < id,
                        Threshold::Length(_) => true,
                    };
                    if over == 0 || !is_below {
                        break;
                    }
                    entry.is_deleted = true;
                    over -= 1;
                    trimmed += 1;
                }
            }
            break;
        }
        self.drop_dead_nodes();
        trimmed
    }
}

fn words_of(entry: &Entry<'_>) -> Vec<Vec<u8>> {
    let text = |element: Element<'_>| element.to_vec();
    let fields = entry.fields();
    fields
        .flat_map(|(name, value)| [text(name), text(value)])
        .collect()
}

fn random_words(random: &mut Random) -> Vec<Vec<u8>> {
    let names: &[&[u8]] = match random.below(4) {
        0 => &[b"name", b"12"],
        1 => &[b"name"],
        2 => &[b"other", b"12"],
        _ => &[b"name", b"12"],
    };
    let mut words = Vec::new();
    for name in names {
        words.push(name.to_vec());
        words.push(match random.below(4) {
            0 => random.below(1000).to_string().into_bytes(),
            1 => (random.next() as i64).to_string().into_bytes(),
            2 => vec![b'x'; random.below(90)],
            _ => vec![b'y'; random.below(12)],
        });
    }
    words
}

fn check(stream: &Stream, model: &Model, random: &mut Random, seed: u64) {
    stream.assert_sound();
    let log = &stream.log;
    assert_eq!(log.len(), model.living().count() as u64, "SEED={seed}");
    let first = model
        .living()
        .next()
        .map_or(StreamId::MIN, |entry| entry.id);
    assert_eq!(log.first_id(), first, "SEED={seed}");
    assert_eq!(log.last_id, model.last_id, "SEED={seed}");
    assert_eq!(log.max_deleted_id, model.max_deleted_id, "SEED={seed}");
    assert_eq!(log.entries_added, model.added, "SEED={seed}");
    let last = model.living().next_back().map(|entry| entry.id);
    assert_eq!(log.last_living(), last, "SEED={seed}");
    let mut nodes: Vec<usize> = model.entries.iter().map(|entry| entry.node).collect();
    nodes.dedup();
    assert_eq!(log.nodes_count(), nodes.len(), "SEED={seed}");
    let ms = model.last_id.ms + 2;
    let mut id = || StreamId::new(random.below(ms as usize) as u64, random.below(5) as u64);
    let (start, end) = (id(), id());
    let wanted = || {
        model
            .living()
            .filter(|entry| entry.id >= start && entry.id <= end)
    };
    let got = log.range(start, end);
    assert!(
        got.map(|entry| (entry.id, words_of(&entry)))
            .eq(wanted().map(|entry| (entry.id, entry.words.clone()))),
        "{start} to {end}, SEED={seed}"
    );
    let got = log.range_back(start, end);
    assert!(
        got.map(|entry| (entry.id, words_of(&entry)))
            .eq(wanted().rev().map(|entry| (entry.id, entry.words.clone()))),
        "{end} back to {start}, SEED={seed}"
    );
    let is_there = model.living().any(|entry| entry.id == start);
    assert_eq!(log.get(start).is_some(), is_there, "SEED={seed}");
}

#[test]
fn entries_are_as_in_a_plain_list() {
    for seed in 0..size(2, 12) as u64 {
        let mut random = Random(seed);
        let limits = NodeLimits {
            bytes_max: [0, 4096, 300][random.below(3)],
            entries_max: [0, 100, 200, 5, 1][random.below(5)],
        };
        let mut stream = Stream::new();
        let mut model = Model::new(limits);
        for step in 0..size(150, 1200) {
            match random.below(20) {
                0..14 => append(&mut stream, &mut model, &mut random),
                14..17 => delete(&mut stream, &mut model, &mut random, seed),
                _ if random.below(8) == 0 => trim(&mut stream, &mut model, &mut random, seed),
                _ => {}
            }
            if step % 23 == 0 {
                check(&stream, &model, &mut random, seed);
            }
        }
        check(&stream.clone(), &model, &mut random, seed);
        let mut copy = carried(&stream, &model, seed);
        check(&copy, &model, &mut random, seed);
        while !copy.free_step(7) {
            copy.assert_sound_while_freed();
        }
        assert_eq!(copy.heap_bytes(), 0, "SEED={seed}");
    }
}

/// Trimmed by a few entries at a time, as `XADD … MAXLEN = n` does, and changed otherwise in between. Now and then the same is
/// done to the stream that its nodes make elsewhere, which remembers nothing of what went before.
#[test]
fn trims_by_a_few_entries_are_those_of_a_stream_made_anew() {
    for seed in 0..size(2, 16) as u64 {
        let mut random = Random(seed);
        let limits = NodeLimits {
            bytes_max: [0, 4096][random.below(2)],
            entries_max: [300, 300, 20, 3][random.below(4)],
        };
        let group = || Group::new(StreamId::MIN, None);
        let mut stream = Stream::new();
        assert!(stream.add_group(b"group", group()));
        let mut model = Model::new(limits);
        // More than 127 are deleted in a node, and more than those live: its head has counts of one byte and of two.
        for _ in 0..size(30, 400) {
            append(&mut stream, &mut model, &mut random);
        }
        for step in 0..size(60, 500) {
            for _ in 0..random.below(5) {
                append(&mut stream, &mut model, &mut random);
            }
            let first = model.living().next().map(|entry| entry.id);
            match random.below(20) {
                0..12 => trim_a_few(&mut stream, &mut model, &mut random, seed),
                12..14 => delete(&mut stream, &mut model, &mut random, seed),
                14..17 => {
                    if let Some(first) = first {
                        delete_id(&mut stream, &mut model, first, seed);
                    }
                }
                17 => {
                    stream = carried(&stream, &model, seed);
                    assert!(stream.add_group(b"group", group()));
                }
                18 => stream = stream.clone(),
                _ => take_back(&mut stream, &mut model),
            }
            let first = model.living().next().map(|entry| entry.id);
            let first = first.unwrap_or(StreamId::MIN);
            assert_eq!(stream.log.first_id(), first, "step {step} SEED={seed}");
            if step % 5 == 0 {
                stream.assert_sound();
            }
            if step % 25 == 0 {
                check(&stream, &model, &mut random, seed);
            }
        }
        check(&stream, &model, &mut random, seed);
    }
}

fn trim_a_few(stream: &mut Stream, model: &mut Model, random: &mut Random, seed: u64) {
    let living: Vec<StreamId> = model.living().map(|entry| entry.id).collect();
    let count = random.below(6).min(living.len());
    let threshold = if random.below(2) == 0 {
        Threshold::Length((living.len() - count) as u64)
    } else {
        Threshold::Id(living.get(count).copied().unwrap_or(StreamId::MAX))
    };
    let trim = Trim {
        threshold,
        is_approximate: false,
        limit: 0,
    };
    let count = count as u64;
    assert_eq!(model.trim(trim), count, "{trim:?} SEED={seed}");
    let copy = (random.below(3) == 0).then(|| carried(stream, model, seed));
    let references = [References::Keep, References::Delete][random.below(2)];
    let trimmed = stream.trim(trim, references);
    assert_eq!(trimmed.count, count, "{trim:?} {references:?} SEED={seed}");
    if let Some(mut copy) = copy {
        assert_eq!(copy.log.trim(trim), count, "{trim:?} SEED={seed}");
        copy.assert_sound();
        assert!(
            nodes_of(&copy) == nodes_of(stream),
            "{trim:?} {references:?} SEED={seed}"
        );
    }
}

/// As `XSETID` with the id of the last entry does: what was deleted behind it is in its node no more.
fn take_back(stream: &mut Stream, model: &mut Model) {
    let Some(last) = model.living().next_back().map(|entry| entry.id) else {
        return;
    };
    stream.log.set_last_id(last);
    model.last_id = last;
    let end = model.entries.last().map(|entry| (entry.id, entry.node));
    if let Some((id, node)) = end
        && id > last
    {
        let is_kept = |entry: &Plain| entry.node != node || !entry.is_deleted;
        model.entries.retain(is_kept);
    }
}

/// The same stream made of its nodes, as a dump carries them; without its groups.
fn carried(stream: &Stream, model: &Model, seed: u64) -> Stream {
    let mut copy = Stream::new();
    for (id, node) in stream.log.nodes() {
        assert!(copy.log.push_node(id, node.as_bytes()), "SEED={seed}");
        assert!(!copy.log.push_node(id, node.as_bytes()), "SEED={seed}");
    }
    copy.log.last_id = model.last_id;
    copy.log.max_deleted_id = model.max_deleted_id;
    copy.log.entries_added = model.added;
    assert!(nodes_of(&copy) == nodes_of(stream), "SEED={seed}");
    copy
}

fn nodes_of(stream: &Stream) -> Vec<(StreamId, Vec<u8>)> {
    let nodes = stream.log.nodes();
    nodes
        .map(|(id, node)| (id, node.as_bytes().to_vec()))
        .collect()
}

fn append(stream: &mut Stream, model: &mut Model, random: &mut Random) {
    let last = model.last_id;
    let id = match random.below(3) {
        0 => StreamId::new(last.ms, last.seq + 1 + random.below(2) as u64),
        _ => StreamId::new(last.ms + 1 + random.below(3) as u64, random.below(3) as u64),
    };
    let words = random_words(random);
    let borrowed: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let nodes_before = stream.log.nodes_count();
    let refused = stream.log.append(last, borrowed.as_slice(), model.limits);
    assert_eq!(refused, Err(Refusal::NotAbove));
    assert_eq!(
        stream.log.append(id, borrowed.as_slice(), model.limits),
        Ok(())
    );
    // Where a node ends by bytes, the listpack knows; a limit on entries is the model's to check.
    let is_new = stream.log.nodes_count() > nodes_before;
    let last_node = model.entries.last().map(|entry| entry.node);
    let in_last = model
        .entries
        .iter()
        .filter(|it| Some(it.node) == last_node)
        .count() as u64;
    assert!(is_new || last_node.is_some());
    if model.limits.entries_max > 0 && in_last >= model.limits.entries_max {
        assert!(is_new);
    }
    model.entries.push(Plain {
        id,
        words,
        node: last_node.map_or(0, |node| node + usize::from(is_new)),
        is_deleted: false,
    });
    model.last_id = id;
    model.added += 1;
}

fn delete(stream: &mut Stream, model: &mut Model, random: &mut Random, seed: u64) {
    if model.entries.is_empty() {
        return;
    }
    // One that is there, mostly.
    let index = random.below(model.entries.len());
    let mut id = model.entries[index].id;
    if random.below(10) == 0 {
        id.seq += 1;
    }
    delete_id(stream, model, id, seed);
}

fn delete_id(stream: &mut Stream, model: &mut Model, id: StreamId, seed: u64) {
    let target = model
        .entries
        .iter_mut()
        .find(|entry| entry.id == id && !entry.is_deleted);
    assert_eq!(stream.log.delete(id), target.is_some(), "SEED={seed}");
    if let Some(target) = target {
        target.is_deleted = true;
        model.max_deleted_id = model.max_deleted_id.max(id);
        model.drop_dead_nodes();
    }
}

fn trim(stream: &mut Stream, model: &mut Model, random: &mut Random, seed: u64) {
    let living_count = model.living().count();
    let threshold = if random.below(2) == 0 || model.entries.is_empty() {
        Threshold::Length(random.below(living_count + 3) as u64)
    } else {
        Threshold::Id(model.entries[random.below(model.entries.len())].id)
    };
    let is_approximate = random.below(2) == 0;
    let trim = Trim {
        threshold,
        is_approximate,
        limit: if is_approximate {
            random.below(200) as u64
        } else {
            0
        },
    };
    assert_eq!(
        stream.log.trim(trim),
        model.trim(trim),
        "{trim:?} SEED={seed}"
    );
}

// Each node's entries once more in a stream of their own, whose only node is never full.
#[test]
fn full_nodes_take_less_and_are_the_same_listpacks() {
    let unlimited = NodeLimits {
        bytes_max: 0,
        entries_max: 0,
    };
    for seed in 0..size(3, 40) as u64 {
        let mut random = Random(seed);
        let limits = NodeLimits {
            bytes_max: [0, 4096, 300][random.below(3)],
            entries_max: [100, 130, 7][random.below(3)],
        };
        let has_one_form = random.below(2) == 0;
        let mut stream = Stream::new();
        let mut id = StreamId::new(random.below(3) as u64, 1);
        for _ in 0..size(120, 700) {
            let words = match has_one_form {
                true => ["sensor", "7", "value", "-300"].map(Vec::from).to_vec(),
                false => random_words(&mut random),
            };
            let borrowed: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            assert_eq!(
                stream.log.append(id, borrowed.as_slice(), limits),
                Ok(()),
                "SEED={seed}"
            );
            id = match random.below(4) {
                0 => StreamId::new(id.ms, id.seq + 1),
                1 => StreamId::new(id.ms + 1, 0),
                2 => StreamId::new(id.ms + random.next() % (1 << 40), random.next() >> 1),
                _ => StreamId::new(id.ms + 1, id.seq + 3),
            };
        }
        let mut pack_bytes = 0;
        let living = stream.log.range(StreamId::MIN, StreamId::MAX);
        let mut entries = living.peekable();
        let nodes: Vec<_> = stream.log.nodes().collect();
        for (index, (_, node)) in nodes.iter().enumerate() {
            let mut alone = Stream::new();
            let next = nodes.get(index + 1).map_or(StreamId::MAX, |(id, _)| *id);
            while let Some(entry) = entries.next_if(|entry| entry.id < next) {
                let words = words_of(&entry);
                let borrowed: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                let appended = alone.log.append(entry.id, borrowed.as_slice(), unlimited);
                assert_eq!(appended, Ok(()), "SEED={seed}");
            }
            let (_, pack) = alone.log.nodes().next().expect("a node");
            assert_eq!(pack.as_bytes(), node.as_bytes(), "SEED={seed}");
            pack_bytes += pack.heap_bytes();
        }
        assert!(
            stream.heap_bytes() < pack_bytes + nodes.len() * 64,
            "SEED={seed}"
        );
        if has_one_form && limits.entries_max >= 100 && limits.bytes_max == 4096 {
            assert!(stream.heap_bytes() * 3 < pack_bytes * 2, "SEED={seed}");
        }
    }
}

/// To pack a node further that is nearly all long values would be copies for little.
#[test]
fn full_nodes_of_long_values_stay_listpacks() {
    let limits = NodeLimits {
        bytes_max: 4096,
        entries_max: 2,
    };
    for length in [100, 1023, 1024, 4_500, 70_000] {
        let mut stream = Stream::new();
        let mut entries = Vec::new();
        for seq in 1..5 {
            let words = vec![b"name".to_vec(), vec![b'v'; length]];
            let borrowed: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let id = StreamId::new(7, seq);
            let appended = stream.log.append(id, borrowed.as_slice(), limits);
            assert_eq!(appended, Ok(()), "{length}");
            entries.push((id, words));
        }
        let nodes = written(&stream, 0);
        let per_node = entries.len() / nodes.len();
        for ((_, bytes, is_dense), entries) in nodes.iter().zip(entries.chunks(per_node)) {
            assert!(*bytes == pack_of(entries).as_bytes(), "{length}");
            assert!(!is_dense || length < 4_500, "{length}");
        }
        stream.assert_sound();
    }
}

/// A number at a border between two forms of elements or numbers, or right beside one.
fn near_border(random: &mut Random) -> u64 {
    let bits = [0, 3, 7, 12, 13, 14, 15, 16, 21, 23, 24, 28, 31, 32, 40];
    (1_u64 << bits[random.below(bits.len())]) - 1 + random.below(3) as u64
}

/// A text of about as many bytes as copies, heads and back lengths have borders at; or an integer's.
fn word_near_border(random: &mut Random) -> Vec<u8> {
    if random.below(3) == 0 {
        let number = near_border(random) as i64 * [1, -1][random.below(2)];
        return number.to_string().into_bytes();
    }
    let bits = match random.below(size(10_000, 300)) {
        0 => [12, 14][random.below(2)],
        _ => [0, 3, 4, 4, 5, 5, 6, 7][random.below(8)],
    };
    let length = (1_usize << bits).saturating_sub(8) + random.below(12);
    let letters = (0..length).map(|_| b'a' + random.below(26) as u8);
    letters.collect()
}

/// An id above `id`: the next, or one whose distance is near a border; its sequence number may be far below the node's.
fn id_near_border(random: &mut Random, id: StreamId) -> StreamId {
    match random.below(5) {
        0 => StreamId::new(id.ms, id.seq + 1),
        1 => StreamId::new(id.ms, id.seq + near_border(random) + 1),
        2 => StreamId::new(id.ms + 1, 0),
        3 => StreamId::new(id.ms + near_border(random) + 1, 0),
        _ => StreamId::new(id.ms + 1 + random.below(3) as u64, near_border(random)),
    }
}

/// A node's listpack, made element by element.
fn pack_of(entries: &[(StreamId, Vec<Vec<u8>>)]) -> Listpack {
    let (node_id, first) = &entries[0];
    let mut pack = Listpack::new();
    for number in [entries.len(), 0, first.len() / 2] {
        pack.push_back(number as i64);
    }
    let names = first.iter().step_by(2);
    names.clone().for_each(|name| pack.push_back(name));
    pack.push_back(0_i64);
    for (id, words) in entries {
        let has_same_names = words.iter().step_by(2).eq(names.clone());
        pack.push_back(if has_same_names { 2_i64 } else { 0 });
        pack.push_back(id.ms.wrapping_sub(node_id.ms) as i64);
        pack.push_back(id.seq.wrapping_sub(node_id.seq) as i64);
        let fields_count = words.len() as i64 / 2;
        if has_same_names {
            let values = words.iter().skip(1).step_by(2);
            values.for_each(|value| pack.push_back(value));
            pack.push_back(fields_count + 3);
        } else {
            pack.push_back(fields_count);
            words.iter().for_each(|word| pack.push_back(word));
            pack.push_back(fields_count * 2 + 4);
        }
    }
    pack
}

/// The nodes as they are written, which must be what they are unpacked to; and whether they are packed further.
fn written(stream: &Stream, seed: u64) -> Vec<(StreamId, Vec<u8>, bool)> {
    let mut written = Vec::new();
    let mut nodes = stream.log.nodes();
    stream.log.visit_nodes(|id, bytes| {
        let (node_id, node) = nodes.next().expect("as many nodes");
        assert_eq!(id, node_id, "SEED={seed}");
        assert!(bytes == node.as_bytes(), "node {id} SEED={seed}");
        let is_dense = matches!(node, Cow::Owned(_));
        written.push((id, bytes.to_vec(), is_dense));
    });
    assert_eq!(written.len(), stream.log.nodes_count(), "SEED={seed}");
    written
}

/// Ids, counts and elements on both sides of every border; names as in the head, and others; few fields and many.
#[test]
fn full_nodes_of_every_kind_are_written_as_they_are_made_element_by_element() {
    let mut dense_count = 0;
    for seed in 0..size(3, 60) as u64 {
        let mut random = Random(seed);
        let limits = NodeLimits {
            bytes_max: 0,
            entries_max: [1, 3, 40, 130][seed as usize % 4],
        };
        let fields_max = size(5, 132);
        let usual_count = match random.below(4) {
            0 => fields_max - random.below(size(4, 10)),
            _ => 1 + random.below(4),
        };
        let usual_names: Vec<_> = (0..usual_count)
            .map(|_| word_near_border(&mut random))
            .collect();
        let mut stream = Stream::new();
        let mut entries = Vec::new();
        let mut id = StreamId::new(near_border(&mut random), near_border(&mut random) + 1);
        for _ in 0..size(20, 150) {
            let own_count = match random.below(24) {
                0 => Some(fields_max / 2 - random.below(size(2, 8))),
                1 => Some(fields_max - random.below(size(2, 8))),
                2..5 => Some(1 + random.below(4)),
                5 => Some(usual_count),
                _ => None,
            };
            let mut names = usual_names.clone();
            if let Some(count) = own_count {
                names.clear();
                names.resize_with(count, || word_near_border(&mut random));
            }
            let mut words = Vec::new();
            for name in names {
                words.extend([name, word_near_border(&mut random)]);
            }
            let borrowed: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let appended = stream.log.append(id, borrowed.as_slice(), limits);
            assert_eq!(appended, Ok(()), "SEED={seed}");
            entries.push((id, words));
            id = id_near_border(&mut random, id);
        }
        let nodes = written(&stream, seed);
        let wanted = entries.chunks(limits.entries_max as usize);
        assert_eq!(nodes.len(), wanted.len(), "SEED={seed}");
        for ((id, bytes, is_dense), entries) in nodes.iter().zip(wanted) {
            assert_eq!(*id, entries[0].0, "SEED={seed}");
            let wanted = pack_of(entries);
            assert!(bytes == wanted.as_bytes(), "node {id} SEED={seed}");
            dense_count += usize::from(*is_dense);
        }
        stream.assert_sound();
    }
    assert!(dense_count > size(1, 500), "{dense_count} nodes are dense");
}

/// The header counts up to 65,534.
#[test]
fn full_nodes_of_more_elements_than_are_counted_are_written_as_their_listpacks() {
    // Five elements each, and five in the head: below the border, at it and above.
    for entries_max in [size(20, 13_105), size(21, 13_106), size(22, 15_000)] {
        let limits = NodeLimits {
            bytes_max: 0,
            entries_max: entries_max as u64,
        };
        let mut stream = Stream::new();
        let mut entries = Vec::new();
        for index in 0..=entries_max as u64 {
            let id = StreamId::new(1000 + index * 7, index % 2);
            let words = vec![b"name".to_vec(), index.to_string().into_bytes()];
            let borrowed: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let appended = stream.log.append(id, borrowed.as_slice(), limits);
            assert_eq!(appended, Ok(()));
            entries.push((id, words));
        }
        let nodes = written(&stream, 0);
        let (_, bytes, is_dense) = &nodes[0];
        assert!(*is_dense, "{entries_max} entries");
        let wanted = pack_of(&entries[..entries_max]);
        assert!(bytes == wanted.as_bytes(), "{entries_max} entries");
    }
}

/// Elements of a node as another server might have them: integers in wider forms than they need, names and values in any.
struct Loose {
    as_they_came: Vec<Vec<u8>>,
    /// The same, but for integers that are no values: those are as short as they can be.
    as_they_leave: Vec<Vec<u8>>,
}

impl Loose {
    fn wide(random: &mut Random, number: u8) -> Vec<u8> {
        let (first, width) = [(0xf1, 2), (0xf2, 3), (0xf3, 4), (0xf4, 8)][random.below(4)];
        let mut element = vec![first];
        element.extend_from_slice(&u64::from(number).to_le_bytes()[..width]);
        element.push(width as u8 + 1);
        element
    }

    fn integer(&mut self, random: &mut Random, number: u8) {
        let small = vec![number, 1];
        self.as_they_came.push(match random.below(3) {
            0 => small.clone(),
            _ => Self::wide(random, number),
        });
        self.as_they_leave.push(small);
    }

    fn value(&mut self, random: &mut Random) {
        let value = match random.below(4) {
            0 => Self::wide(random, 7),
            // Integers that came as texts, and a text that says its length in two bytes.
            1 => vec![0x82, b'1', b'2', 3],
            2 => vec![0xe0, 2, b'4', b'2', 4],
            _ => vec![0x85, b'v', b'a', b'l', b'u', b'e', 6],
        };
        self.as_they_came.push(value.clone());
        self.as_they_leave.push(value);
    }
}

#[test]
fn full_nodes_that_came_from_elsewhere_leave_with_their_values_as_they_came() {
    let id = |ms| StreamId::new(ms, 0);
    for seed in 0..size(3, 60) as u64 {
        let mut random = Random(seed);
        let entries_count = 5 + random.below(60) as u8;
        let fields_count = random.below(5) as u8;
        let mut loose = Loose {
            as_they_came: Vec::new(),
            as_they_leave: Vec::new(),
        };
        for number in [entries_count, 0, fields_count] {
            loose.integer(&mut random, number);
        }
        (0..fields_count).for_each(|_| loose.value(&mut random));
        loose.integer(&mut random, 0);
        for ms in 0..entries_count {
            let has_own_names = random.below(3) == 0;
            loose.integer(&mut random, if has_own_names { 0 } else { 2 });
            loose.integer(&mut random, ms);
            loose.integer(&mut random, 0);
            let (values_count, end) = if has_own_names {
                loose.integer(&mut random, 3);
                (6, 10)
            } else {
                (fields_count, fields_count + 3)
            };
            (0..values_count).for_each(|_| loose.value(&mut random));
            loose.integer(&mut random, end);
        }
        let mut stream = Stream::new();
        let came = node_of(&loose.as_they_came);
        assert!(stream.log.push_node(id(5), &came), "SEED={seed}");
        let last_id = id(5 + u64::from(entries_count));
        assert!(stream.log.push_node(last_id, &wide_node(1)), "SEED={seed}");
        let nodes = written(&stream, seed);
        let (_, bytes, is_dense) = &nodes[0];
        assert!(*is_dense, "SEED={seed}");
        assert!(*bytes == node_of(&loose.as_they_leave), "SEED={seed}");
        stream.log.last_id = last_id;
        stream.assert_sound();
    }
}

// Recorded from a real server: DUMP of a stream, its one node cut out.
#[test]
fn a_node_is_redis_s_byte_for_byte() {
    let limits = NodeLimits {
        bytes_max: 4096,
        entries_max: 100,
    };
    let mut stream = Stream::new();
    let entries: [(StreamId, &[&[u8]]); 3] = [
        (StreamId::new(1000, 5), &[b"temp", b"21", b"hum", b"high"]),
        (StreamId::new(1000, 6), &[b"temp", b"300", b"hum", b"-7"]),
        (StreamId::new(71000, 0), &[b"note", b"text"]),
    ];
    for (id, words) in entries {
        assert_eq!(stream.log.append(id, words, limits), Ok(()));
    }
    assert!(stream.log.delete(StreamId::new(1000, 6)));
    let node = stream
        .log
        .nodes()
        .next()
        .expect("a node")
        .1
        .as_bytes()
        .to_vec();
    let hex: String = node.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, NODE);
    assert!(Stream::new().log.push_node(StreamId::new(1000, 5), &node));
}

const NODE: &str = "5200000019000201010102018474656d70058368756d04000102010001000115018468696768050501030100010101c12c02dff90205010001f270110104dffb020101846e6f7465058474657874050601ff";

#[test]
fn what_is_no_node_is_refused() {
    let limits = NodeLimits {
        bytes_max: 4096,
        entries_max: 100,
    };
    let mut stream = Stream::new();
    for ms in 1..5 {
        let words: [&[u8]; 2] = [b"name", b"value"];
        assert_eq!(
            stream
                .log
                .append(StreamId::new(ms, 0), words.as_slice(), limits),
            Ok(())
        );
    }
    stream.log.delete(StreamId::new(2, 0));
    let node = stream
        .log
        .nodes()
        .next()
        .expect("a node")
        .1
        .as_bytes()
        .to_vec();
    let id = StreamId::new(1, 0);
    let accepts = |bytes: &[u8]| Stream::new().log.push_node(id, bytes);
    assert!(accepts(&node));
    for end in 0..node.len() {
        assert!(!accepts(&node[..end]), "cut at {end}");
    }
    // Counts that are not those of the entries: the first two elements, at bytes 6 and 8.
    for (at, value) in [(6, 4), (6, 2), (8, 0), (8, 2), (10, 2), (10, 0)] {
        let mut wrong = node.clone();
        wrong[at] = value;
        assert!(!accepts(&wrong), "{value} at {at}");
    }
}

#[test]
fn ids_have_neighbours_text_and_bytes() {
    let id = StreamId::new;
    assert_eq!(id(1, 2).next(), Some(id(1, 3)));
    assert_eq!(id(1, u64::MAX).next(), Some(id(2, 0)));
    assert_eq!(StreamId::MAX.next(), None);
    assert_eq!(id(1, 0).previous(), Some(id(0, u64::MAX)));
    assert_eq!(StreamId::MIN.previous(), None);
    let mut text = [0; 41];
    assert_eq!(
        StreamId::MAX.text(&mut text),
        b"18446744073709551615-18446744073709551615"
    );
    assert_eq!(id(0, 7).text(&mut text), b"0-7");
    for one in [StreamId::MIN, id(0, 1), id(1, 0), id(256, 1), StreamId::MAX] {
        assert_eq!(StreamId::from_bytes(one.to_bytes()), one);
        assert_eq!(one.to_string().as_bytes(), one.text(&mut text));
    }
    assert!(id(255, 9).to_bytes() < id(256, 0).to_bytes());
}

/// A node with as many entries, of one name and one value each, whose flags take more bytes than they need.
fn wide_node(entries_count: u8) -> Vec<u8> {
    let small = |number: u8| vec![number, 1];
    let text = |text: &[u8]| {
        let len = text.len() as u8;
        [&[0x80 | len], text, &[len + 1]].concat()
    };
    let mut elements = vec![
        small(entries_count),
        small(0),
        small(1),
        text(b"name"),
        small(0),
    ];
    for number in 0..entries_count {
        let flags = vec![0xf1, 2, 0, 3];
        elements.extend([flags, small(number), small(0), text(b"value"), small(4)]);
    }
    node_of(&elements)
}

/// A listpack of these elements, which have their back lengths.
fn node_of(elements: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend((elements.len() as u16).to_le_bytes());
    bytes.extend(elements.concat());
    bytes.push(0xff);
    let len = (bytes.len() as u32).to_le_bytes();
    bytes[..4].copy_from_slice(&len);
    bytes
}

/// What is marked as deleted takes fewer bytes afterwards.
#[test]
fn entries_of_a_node_with_wide_flags_can_be_deleted() {
    let id = |ms| StreamId::new(ms, 0);
    let mut stream = Stream::new();
    assert!(stream.log.push_node(id(5), &wide_node(10)));
    stream.log.last_id = id(14);
    let mut model: Vec<StreamId> = (5..15).map(id).collect();
    let trimmed = stream.log.trim(Trim {
        threshold: Threshold::Length(7),
        is_approximate: false,
        limit: 0,
    });
    assert_eq!(trimmed, 3);
    model.drain(..3);
    assert!(stream.log.delete(id(10)));
    model.retain(|of| *of != id(10));
    let ids = stream.log.range(StreamId::MIN, StreamId::MAX);
    assert_eq!(ids.map(|entry| entry.id).collect::<Vec<_>>(), model);
    assert_eq!(stream.log.len(), 6);
}

/// What is passed over at the start of the node takes fewer bytes than it did.
#[test]
fn a_node_with_wide_flags_goes_entry_by_entry() {
    let id = |ms| StreamId::new(ms, 0);
    for how in 0..3 {
        let mut stream = Stream::new();
        assert!(stream.log.push_node(id(5), &wide_node(10)));
        stream.log.last_id = id(14);
        for first in 6..15 {
            let threshold = match how {
                0 => Threshold::Length(15 - first),
                _ => Threshold::Id(id(first)),
            };
            let trim = Trim {
                threshold,
                is_approximate: false,
                limit: 0,
            };
            if how < 2 {
                assert_eq!(stream.log.trim(trim), 1, "to {first}");
            } else {
                assert!(stream.log.delete(id(first - 1)), "to {first}");
            }
            assert_eq!(stream.log.first_id(), id(first));
            stream.assert_sound();
        }
    }
}

/// A node that would take the place of the one before, or stand before its entries.
#[test]
fn nodes_come_in_order() {
    let id = |ms| StreamId::new(ms, 0);
    for (second, is_accepted) in [(4, false), (5, false), (7, false), (8, true)] {
        let mut stream = Stream::new();
        assert!(stream.log.push_node(id(5), &wide_node(3)));
        let node = wide_node(8);
        assert_eq!(
            stream.log.push_node(id(second), &node),
            is_accepted,
            "{second}"
        );
    }
}

/// Redis trims such nodes to nothing and keeps them.
#[test]
fn a_node_without_living_entries_is_passed_over() {
    let id = |ms| StreamId::new(ms, 0);
    let mut bytes = wide_node(1);
    // Its counts of entries and of deleted ones; and its flags, behind "name" and the end of the head.
    (bytes[6], bytes[8]) = (0, 1);
    let flags = bytes.windows(2).position(|pair| pair == [0xf1, 2]);
    bytes[flags.expect("wide flags") + 1] = 3;
    let mut stream = Stream::new();
    assert!(stream.log.push_node(id(5), &bytes));
    assert_eq!(stream.log.len(), 0);
    assert!(stream.log.push_node(id(9), &wide_node(2)));
    assert_eq!(stream.log.len(), 2);
    let ids = stream.log.range(StreamId::MIN, StreamId::MAX);
    assert_eq!(
        ids.map(|entry| entry.id).collect::<Vec<_>>(),
        [id(9), id(10)]
    );
}

/// What is added below entries that were deleted is found, and what leaves the server is loaded again.
#[test]
fn entries_come_below_deleted_ones() {
    let limits = NodeLimits {
        bytes_max: 4096,
        entries_max: 100,
    };
    let id = |ms| StreamId::new(ms, 0);
    let words: [&[u8]; 2] = [b"name", b"7"];
    let mut stream = Stream::new();
    for ms in [5, 10, 11] {
        assert_eq!(stream.log.append(id(ms), words.as_slice(), limits), Ok(()));
    }
    assert!(stream.log.delete(id(10)) && stream.log.delete(id(11)));
    stream.log.set_last_id(id(6));
    for ms in [7, 9] {
        assert_eq!(stream.log.append(id(ms), words.as_slice(), limits), Ok(()));
    }
    let found = |log: &rondo::ds::stream::Log, start, end| -> Vec<StreamId> {
        log.range(start, end).map(|entry| entry.id).collect()
    };
    assert_eq!(
        found(&stream.log, StreamId::MIN, StreamId::MAX),
        [5, 7, 9].map(id)
    );
    assert_eq!(found(&stream.log, id(7), id(7)), [id(7)]);
    let mut copy = Stream::new();
    for (id, node) in stream.log.nodes() {
        assert!(copy.log.push_node(id, node.as_bytes()));
    }
    assert_eq!(copy.log.len(), 3);
    assert!(stream.log.delete(id(7)));
    // Redis leaves them where they are: 5, 14 deleted, 7; and a node behind that.
    let mut bytes = wide_node(3);
    let flags: Vec<usize> = bytes
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| *pair == [0xf1, 2])
        .map(|(at, _)| at)
        .collect();
    bytes[flags[1] + 1] = 3;
    bytes[flags[1] + 4] = 9;
    (bytes[6], bytes[8]) = (2, 1);
    let mut loaded = Stream::new();
    assert!(loaded.log.push_node(id(5), &bytes));
    assert!(loaded.log.push_node(id(8), &wide_node(2)));
    assert_eq!(
        found(&loaded.log, StreamId::MIN, StreamId::MAX),
        [5, 7, 8, 9].map(id)
    );
    assert_eq!(found(&loaded.log, id(6), id(8)), [7, 8].map(id));
    assert!(loaded.log.delete(id(7)));
    assert_eq!(loaded.log.len(), 3);
}
