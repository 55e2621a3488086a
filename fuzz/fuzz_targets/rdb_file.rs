//! Any bytes as an RDB file: taken apart and loaded, or refused with the place; never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::keyspace::{Keyspace, KeyspaceOptions};
use rondo::persist::rdb::{Framer, Item};

fuzz_target!(|bytes: &[u8]| {
    let mut keys = Keyspace::new(KeyspaceOptions::for_tests(1));
    keys.set_now(1_700_000_000_000);
    let mut framer = Framer::new(false);
    let mut rest = bytes;
    while let Ok(Some((item, consumed))) = framer.next(rest, true) {
        if let Item::Record { db, bytes, .. } = item {
            let _ = keys.load_record(db, &bytes, true);
        }
        rest = &rest[consumed..];
        if framer.is_over() {
            break;
        }
    }
});
