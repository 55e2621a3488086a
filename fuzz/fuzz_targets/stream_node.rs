//! Any bytes as a stream's node: refused, or read both ways, trimmed and emptied without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::ds::stream::{Stream, StreamId, Threshold, Trim};

fuzz_target!(|bytes: &[u8]| {
    let mut stream = Stream::new();
    if !stream.log.push_node(StreamId::new(5, 5), bytes) {
        assert_eq!(stream.heap_bytes(), 0);
        return;
    }
    stream.assert_sound();
    let range = stream.log.range(StreamId::MIN, StreamId::MAX);
    let forward: Vec<_> = range.map(|entry| (entry.id, entry.fields().count())).collect();
    let range = stream.log.range_back(StreamId::MIN, StreamId::MAX);
    let mut backward: Vec<_> = range.map(|entry| (entry.id, entry.fields().count())).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    assert_eq!(forward.len() as u64, stream.log.len());
    stream.log.trim(Trim {
        threshold: Threshold::Length(stream.log.len() / 2),
        is_approximate: false,
        limit: 0,
    });
    stream.assert_sound();
    for (id, _) in forward {
        stream.log.delete(id);
    }
    assert!(stream.log.is_empty());
    stream.assert_sound();
});
