//! Which memory tracked keys take, and give back.

use rondo::keyspace::{Keyspace, KeyspaceOptions, Tracker};
use std::num::NonZeroU32;

const KEYS_COUNT: usize = 100_000;
/// Of the table without keys.
const EMPTY_BYTES_MAX: usize = 32 * 1024;

fn tracker(number: u32) -> Tracker {
    Tracker {
        core: 0,
        number: NonZeroU32::new(number).expect("not 0"),
    }
}

fn name(index: usize) -> Vec<u8> {
    format!("key:{index}").into_bytes()
}

fn full() -> Keyspace {
    let mut keys = Keyspace::new(KeyspaceOptions::for_tests(1));
    assert_eq!(keys.tracking_counts().bytes, 0);
    for index in 0..KEYS_COUNT {
        keys.track(&name(index), tracker(1));
        keys.track(&name(index), tracker(2));
        keys.track(&name(index), tracker(1));
    }
    let counts = keys.tracking_counts();
    assert_eq!((counts.keys, counts.items), (KEYS_COUNT, 2 * KEYS_COUNT));
    keys
}

fn change(keys: &mut Keyspace, index: usize) {
    let name = name(index);
    let key = keys.key(&name);
    keys.tell_change(&key);
}

/// As keys go, and not only when the last has gone; what is left is there, and told when it changes.
#[test]
fn room_for_keys_that_have_gone_goes_as_well() {
    let mut keys = full();
    let most = keys.tracking_counts().bytes;
    assert!(most > KEYS_COUNT * 60, "{most}");
    for (left, bytes_max) in [
        (KEYS_COUNT / 2, most),
        (KEYS_COUNT / 10, most / 2),
        (KEYS_COUNT / 100, most / 10),
        (0, EMPTY_BYTES_MAX),
    ] {
        let count = keys.tracking_counts().keys;
        for index in left..count {
            change(&mut keys, index);
        }
        assert_eq!(keys.take_invalidations().len(), count - left);
        let counts = keys.tracking_counts();
        assert_eq!((counts.keys, counts.items), (left, 2 * left));
        assert!(counts.bytes <= bytes_max, "{} of {most}", counts.bytes);
        assert_eq!(keys.is_tracked(), left > 0);
    }
    change(&mut keys, 0);
    assert!(keys.take_invalidations().is_empty());
    // What comes later has room anew, and what is counted comes out even.
    let empty = keys.tracking_counts().bytes;
    for round in 0..3 {
        for index in 0..1_000 {
            keys.track(&name(index), tracker(round + 1));
        }
        assert_eq!(keys.tracking_counts().keys, 1_000);
        for index in 0..1_000 {
            change(&mut keys, index);
        }
        assert_eq!(keys.tracking_counts().bytes, empty);
    }
}

/// The limit is met to the key, whatever is drawn, and the memory is given back too.
#[test]
fn a_lower_limit_gives_memory_back() {
    let mut keys = full();
    for limit in [1_000, 3, 1] {
        while keys.limit_tracked(limit, 100) {}
        assert_eq!(keys.tracking_counts().keys, limit);
    }
    let told = keys.take_invalidations().len();
    assert_eq!(told, KEYS_COUNT - 1);
    let bytes = keys.tracking_counts().bytes;
    assert!(bytes < EMPTY_BYTES_MAX + 2_000, "{bytes}");
    keys.tell_flushed();
    assert_eq!(keys.tracking_counts().bytes, 0);
}
