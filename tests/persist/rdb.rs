//! RDB files taken apart: cut and damaged anywhere they end in an error with its place, never a panic; and the cut that one
//! is made of is one moment of all shards.

use crate::router::instant::Instant;
use rondo::ds::key_table::OwnedValue;
use rondo::keyspace::rdb::record::read_record;
use rondo::keyspace::{AccessPolicy, EncodingLimits, Object};
use rondo::persist::rdb::{Bad, FileWriter, Framer, Item};

/// A file with one record of a kind that is given, its key `k`.
fn file_with(record: &[u8]) -> Vec<u8> {
    let mut file = FileWriter::new(true, vec![(0, 1, 0)]);
    let mut bytes = file.head(
        11,
        &[("redis-ver", "7.2.0".into())],
        &[b"#!lua name=l".to_vec()],
    );
    bytes.extend(file.select(0));
    file.records(record);
    bytes.extend(record);
    bytes.extend(file.end());
    bytes
}

fn take_apart(bytes: &[u8]) -> Result<Vec<String>, Bad> {
    let mut framer = Framer::new(true);
    let mut items = Vec::new();
    let mut rest = bytes;
    while !framer.is_over() {
        let (item, consumed) = framer.next(rest, true)?.expect("all bytes are at hand");
        items.push(match item {
            Item::Record { db, key, bytes } => {
                format!(
                    "record {db} {} {}",
                    String::from_utf8_lossy(&key),
                    bytes.len()
                )
            }
            Item::Aux { name, value } => format!(
                "aux {} {}",
                String::from_utf8_lossy(&name),
                String::from_utf8_lossy(&value)
            ),
            Item::Sizes { db, keys } => format!("sizes {db} {keys}"),
            Item::Function(code) => format!("function {}", code.len()),
            Item::Nothing => "-".into(),
            Item::End => "end".into(),
        });
        rest = &rest[consumed..];
    }
    Ok(items)
}

fn reason(bytes: &[u8]) -> String {
    take_apart(bytes).expect_err("a bad file").to_string()
}

/// A deadline, a set of two.
const RECORD: &[u8] = b"\xfc\x00\x01\x02\x03\x04\x05\x06\x07\x02\x01k\x02\x01a\x01b";

#[test]
fn a_file_comes_apart_into_its_items() {
    assert_eq!(
        take_apart(&file_with(RECORD)).expect("a good file"),
        [
            "-",
            "aux redis-ver 7.2.0",
            "function 12",
            "-",
            "sizes 0 1",
            "record 0 k 17",
            "end"
        ]
    );
}

#[test]
fn bad_files_are_refused_with_the_place() {
    let good = file_with(RECORD);
    let record_at = good.len() - 9 - RECORD.len();
    assert_eq!(
        reason(&good[..record_at + 5]),
        format!("at offset {record_at}: the file ends in the middle of what begins here")
    );
    assert_eq!(
        reason(&good[..record_at]),
        format!("at offset {record_at}: the file ends without an end mark")
    );
    assert_eq!(
        reason(b"REDIS0099\xff"),
        "at offset 0: RDB version 99 is not known; 1 to 16 are"
    );
    assert_eq!(
        reason(b"*3\r\n$3\r\nSET"),
        "at offset 0: this is no RDB file: it does not begin with REDIS or VALKEY"
    );
    let module = file_with(b"\x07\x01k\x00");
    assert!(reason(&module).ends_with("the value of a module's type: rondo has no modules"));
    assert!(reason(&file_with(b"\x64\x01k\x00")).ends_with("type 100 is not known"));
    // Of Redis from 8.6 on.
    for (record, why) in [
        (
            &b"\xf3\x01"[..],
            "what a module has written beside a key: rondo has no modules",
        ),
        (
            b"\xf2\x01",
            "a template of hashes of Redis 8.10: rondo does not know its format",
        ),
        (
            b"\x1e\x01k\x00",
            "type 30, a hash with a template of Redis 8.10: rondo does not know its format",
        ),
        (
            b"\x21\x01k\x00",
            "type 33, a rate limiter (GCRA) of Redis 8.10: rondo has none",
        ),
    ] {
        let told = reason(&file_with(record));
        assert!(told.ends_with(why), "{told}");
    }
    let mut damaged = good.clone();
    damaged[record_at + 3] ^= 1;
    let told = reason(&damaged);
    assert!(told.contains("the checksum is"), "{told}");
    assert!(
        told.starts_with(&format!("at offset {}", good.len() - 9)),
        "{told}"
    );
}

/// A hash of Valkey's whose fields have deadlines comes out as Redis's of a release candidate has it: `keyspace/rdb/hash.rs`.
#[test]
fn a_file_of_valkey_comes_apart_into_records_of_redis() {
    let file = include_bytes!("../server/golden/valkey-9.1.rdb");
    let items = take_apart(file).expect("a good file");
    assert_eq!(items[1], "aux valkey-ver 9.1.2");
    assert_eq!(items.last().map(String::as_str), Some("end"));
    let limits = EncodingLimits::default();
    let (policy, clock) = (AccessPolicy::default(), 0);
    let mut framer = Framer::new(true);
    let mut rest = &file[..];
    let mut keys = Vec::new();
    while !framer.is_over() {
        let (item, consumed) = framer
            .next(rest, true)
            .expect("a good file")
            .expect("all bytes are at hand");
        rest = &rest[consumed..];
        if let Item::Record { bytes, .. } = item {
            let (key, moved) = read_record(&bytes, &policy, clock, &limits).expect("a record");
            keys.push(String::from_utf8_lossy(&key).into_owned());
            if let OwnedValue::Object(object) = moved.value
                && let Object::Hash(hash) = *object
                && *key == *b"h"
            {
                assert_eq!(hash.len(), 3);
                assert_eq!(hash.next_deadline_ms(), Some(4_000_000_000_000));
            }
        }
    }
    keys.sort();
    assert_eq!(keys, ["h", "s", "small", "st"]);
    // The same words in a file of Redis are something else, and other versions of Valkey are not known.
    let told = reason(b"VALKEY081\xff");
    assert_eq!(
        told,
        "at offset 0: RDB version 81 of Valkey is not known; 80 is"
    );
    let mut other = file.to_vec();
    other[..9].copy_from_slice(b"REDIS0011");
    assert!(take_apart(&other).is_err());
    for end in 0..file.len() {
        assert!(take_apart(&file[..end]).is_err(), "cut at {end}");
    }
    for at in 9..file.len() {
        for change in [0x01, 0x40, 0x80, 0xff] {
            let mut damaged = file.to_vec();
            damaged[at] ^= change;
            assert!(take_apart(&damaged).is_err(), "damaged at {at}");
        }
    }
}

/// Every prefix, and every byte changed to several others, with the checksum left out of it.
#[test]
fn whatever_the_bytes_are_there_is_an_answer() {
    let good = file_with(RECORD);
    for end in 0..good.len() {
        assert!(take_apart(&good[..end]).is_err(), "cut at {end}");
    }
    for at in 0..good.len() {
        for change in [0x01, 0x40, 0x80, 0xc0, 0xff] {
            let mut damaged = good.clone();
            damaged[at] ^= change;
            let _ = take_apart(&damaged);
        }
    }
}

/// All shards cut at one moment: writes after it are in none of them.
#[test]
fn the_cut_is_one_for_all_shards() {
    for shards_count in [1, 2, 7] {
        let mut server = Instant::new(shards_count);
        for index in 0..50 {
            server.run(&["SET", &format!("k{index}"), "before"]);
        }
        server.cut();
        for index in 0..60 {
            server.run(&["SET", &format!("k{index}"), "after"]);
        }
        let mut keys = 0;
        for shard in &mut server.shards {
            let made = shard.take_cut().expect("every shard has cut");
            keys += made
                .sizes
                .databases
                .iter()
                .map(|(_, keys, _)| keys)
                .sum::<u64>();
            let mut chunks = Vec::new();
            while !shard.keys.cut_step(64, &mut chunks) {}
            for chunk in chunks {
                let text = String::from_utf8_lossy(&chunk.bytes).into_owned();
                assert!(text.contains("before") && !text.contains("after"));
            }
        }
        assert_eq!(keys, 50);
    }
}
