//! A stream's entries against a plain list of them.

use super::{Random, size};
use rondo::ds::listpack::Element;
use rondo::ds::stream::{Entry, NodeLimits, Refusal, Stream, StreamId, Threshold, Trim};

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
    fn living(&self) -> impl DoubleEndedIterator<Item = &Plain> {
        self.entries.iter().filter(|entry| !entry.is_deleted)
    }

    /// Nodes with nothing but deleted entries are no more.
    fn drop_dead_nodes(&mut self) {
        let living: Vec<usize> = self.living().map(|entry| entry.node).collect();
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
        let mut model = Model {
            entries: Vec::new(),
            limits,
            added: 0,
            last_id: StreamId::MIN,
            max_deleted_id: StreamId::MIN,
        };
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
        // Node by node elsewhere, as a dump carries it.
        let mut copy = Stream::new();
        for (id, node) in stream.log.nodes() {
            assert!(copy.log.push_node(id, node.as_bytes()), "SEED={seed}");
            assert!(!copy.log.push_node(id, node.as_bytes()), "SEED={seed}");
        }
        copy.log.last_id = model.last_id;
        copy.log.max_deleted_id = model.max_deleted_id;
        copy.log.entries_added = model.added;
        check(&copy, &model, &mut random, seed);
        while !copy.free_step(7) {
            copy.assert_sound_while_freed();
        }
        assert_eq!(copy.heap_bytes(), 0, "SEED={seed}");
    }
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
    let entry = &mut model.entries[index];
    let mut id = entry.id;
    if random.below(10) == 0 {
        id.seq += 1;
    }
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
