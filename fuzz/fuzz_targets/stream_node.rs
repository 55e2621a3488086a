//! Any bytes as a stream's node: refused, or read both ways, trimmed and emptied without a panic. It is read once more as
//! the node before another one, which is packed further; the same of nodes made of entries, whose listpacks must come back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::ds::stream::{NodeLimits, Stream, StreamId, Threshold, Trim};

/// An id, and names with values.
type Plain = (StreamId, Vec<(Vec<u8>, Vec<u8>)>);

fuzz_target!(|bytes: &[u8]| {
    let Some((&how, bytes)) = bytes.split_first() else {
        return;
    };
    if how & 1 == 0 {
        any_bytes(bytes);
    } else {
        entries(usize::from(how >> 1) + 1, bytes);
    }
});

/// Bytes that came from elsewhere.
fn any_bytes(data: &[u8]) {
    // Header and end put right, so that most inputs get as far as the elements.
    let mut bytes = [&[0; 6], data, &[0xff]].concat();
    let total = (bytes.len() as u32).to_le_bytes();
    bytes[..4].copy_from_slice(&total);
    bytes[4..6].copy_from_slice(&[0xff, 0xff]);
    let mut stream = Stream::new();
    if !stream.log.push_node(StreamId::new(5, 5), &bytes) {
        assert_eq!(stream.heap_bytes(), 0);
        return;
    }
    let before = read(&stream);
    empty(stream);
    // Another behind it closes it.
    let mut stream = Stream::new();
    assert!(stream.log.push_node(StreamId::new(5, 5), &bytes));
    let last = before.last().map(|(id, _)| *id);
    let Some(next) = last.and_then(StreamId::next).filter(|next| next.ms > 5) else {
        return;
    };
    if !stream.log.push_node(next, &bytes) {
        stream.log.last_id = last.unwrap_or_default();
        let appended = stream
            .log
            .append(next, &[b"n".as_slice(), b"v"][..], limits(1));
        assert_eq!(appended, Ok(()));
    }
    assert_eq!(read(&stream)[..before.len()], before);
    empty(stream);
}

/// Entries by the bytes, in nodes of so many.
fn entries(entries_max: usize, mut bytes: &[u8]) {
    let mut next_byte = || {
        let (first, rest) = bytes.split_first()?;
        bytes = rest;
        Some(*first)
    };
    let (mut stream, mut open) = (Stream::new(), Stream::new());
    let mut model: Vec<Plain> = Vec::new();
    let mut id = StreamId::new(1000, 7);
    while let Some(shape) = next_byte() {
        id = match shape & 3 {
            0 => StreamId::new(id.ms, id.seq.wrapping_add(1)),
            1 => StreamId::new(id.ms.wrapping_add(1), 0),
            2 => StreamId::new(
                id.ms.wrapping_add(u64::from(shape) * 97),
                u64::from(shape >> 4),
            ),
            _ => StreamId::new(id.ms.saturating_mul(3), id.seq.saturating_mul(5)),
        };
        let fields: Vec<_> = (0..(shape >> 2 & 3) + 1)
            .map(|field| {
                let name = [b'a' + (shape >> 4 & field)].to_vec();
                let value = match next_byte().unwrap_or(0) {
                    long @ 200.. => vec![long; usize::from(long) * 23],
                    short @ 100.. => short
                        .to_string()
                        .repeat(usize::from(short) % 7)
                        .into_bytes(),
                    byte => vec![byte; usize::from(byte) % 9],
                };
                (name, value)
            })
            .collect();
        let words = fields.iter().flat_map(|(name, value)| [&name[..], value]);
        let words: Vec<&[u8]> = words.collect();
        let appended = stream.log.append(id, &words[..], limits(entries_max));
        let is_above = model.last().is_none_or(|(last, _)| id > *last);
        assert_eq!(appended.is_ok(), is_above);
        if !is_above {
            break;
        }
        model.push((id, fields));
    }
    assert_eq!(read(&stream), model);
    // A node alone stays a listpack: each must be the one the dense node gives.
    for (index, (node_id, pack)) in stream.log.nodes().enumerate() {
        open.log = Stream::new().log;
        for (id, fields) in model.iter().skip(index * entries_max).take(entries_max) {
            let words = fields.iter().flat_map(|(name, value)| [&name[..], value]);
            let words: Vec<&[u8]> = words.collect();
            assert!(open.log.append(*id, &words[..], limits(0)).is_ok());
        }
        let (open_id, open_pack) = open.log.nodes().next().expect("a node was made");
        assert_eq!((open_id, open_pack.as_bytes()), (node_id, pack.as_bytes()));
        // And goes through as if it came from elsewhere.
        let mut other = Stream::new();
        assert!(other.log.push_node(node_id, pack.as_bytes()));
    }
    empty(stream);
}

fn limits(entries_max: usize) -> NodeLimits {
    NodeLimits {
        bytes_max: 0,
        entries_max: entries_max as u64,
    }
}

/// All entries, read both ways.
fn read(stream: &Stream) -> Vec<Plain> {
    stream.assert_sound();
    let plain = |entry: rondo::ds::stream::Entry<'_>| {
        let fields = entry.fields();
        let fields = fields.map(|(name, value)| (name.to_vec(), value.to_vec()));
        (entry.id, fields.collect())
    };
    let range = stream.log.range(StreamId::MIN, StreamId::MAX);
    let forward: Vec<Plain> = range.map(plain).collect();
    let range = stream.log.range_back(StreamId::MIN, StreamId::MAX);
    let mut backward: Vec<Plain> = range.map(plain).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    assert_eq!(forward.len() as u64, stream.log.len());
    forward
}

/// Trims half, then deletes each entry.
fn empty(mut stream: Stream) {
    let all = read(&stream);
    let half = stream.log.len() / 2;
    stream.log.trim(Trim {
        threshold: Threshold::Length(half),
        is_approximate: false,
        limit: 0,
    });
    assert_eq!(read(&stream), all[all.len() - half as usize..]);
    for (id, _) in all {
        stream.log.delete(id);
    }
    assert!(stream.log.is_empty());
    stream.assert_sound();
}
