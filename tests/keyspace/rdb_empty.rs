//! Records of collections without an element: there is no such key, and no more is wrong.

use rondo::keyspace::load::{Loaded, NotLoaded, key_of};

use super::rdb::payload;
use crate::commands::runner::Runner;

const ZIPLIST: &[u8] = b"\x0b\x0b\0\0\0\x0a\0\0\0\0\0\xff";
const LISTPACK: &[u8] = b"\x07\x07\0\0\0\0\0\xff";

/// Types, and values of nothing.
fn empty_values() -> Vec<(u8, Vec<u8>)> {
    let mut values: Vec<(u8, Vec<u8>)> = [1, 2, 3, 4, 5, 14, 18, 22]
        .into_iter()
        .map(|kind| (kind, vec![0]))
        .collect();
    values.extend([10, 12, 13].map(|kind| (kind, ZIPLIST.to_vec())));
    values.extend([16, 17, 20, 23].map(|kind| (kind, LISTPACK.to_vec())));
    values.push((9, b"\x02\0\xff".to_vec()));
    values.push((11, b"\x08\x02\0\0\0\0\0\0\0".to_vec()));
    values.push((14, [b"\x02", ZIPLIST, ZIPLIST].concat()));
    values.push((24, [&[0; 8][..], &[0]].concat()));
    values.push((25, [&[0; 8][..], LISTPACK].concat()));
    values
}

fn record(kind: u8, value: &[u8]) -> Vec<u8> {
    let head = [252, 1, 2, 3, 4, 5, 6, 0, 0, 248, 3, kind, 3];
    [&head[..], b"key", value].concat()
}

#[test]
fn keys_of_no_element_are_passed_over() {
    let mut runner = Runner::new(1);
    for (kind, value) in empty_values() {
        let mut record = record(kind, &value);
        assert_eq!(key_of(&record).as_deref(), Some(&b"key"[..]));
        let load = |runner: &mut Runner, record: &[u8]| runner.keys.load_record(0, record, false);
        assert_eq!(load(&mut runner, &record), Ok(Loaded::Empty), "{kind}");
        let restored = runner.keys.restore_record(0, &record);
        assert_eq!(restored, Ok(Loaded::Empty), "{kind}");
        record.pop();
        let malformed = Err(NotLoaded::Malformed);
        assert_eq!(load(&mut runner, &record), malformed, "{kind} is cut off");
        record.extend([value[value.len() - 1], 0]);
        assert_eq!(load(&mut runner, &record), malformed, "{kind} and more");
        // A client that sends one is told.
        let body = [&[kind][..], &value].concat();
        let reply = runner.run(&[b"RESTORE".as_slice(), b"key", b"0", &payload(&body)]);
        assert_eq!(reply, b"-ERR Bad data format\r\n", "{kind}");
    }
    assert_eq!(runner.run(&["DBSIZE"]), b":0\r\n");
}

/// No list has such an element alone in a node, and no field a deadline of more than 48 bits.
#[test]
fn what_redis_refuses_besides() {
    let mut runner = Runner::new(1);
    let hash = |deadline: &[u8]| {
        let entries = [b"\x81f\x02\x81v\x02\xf4", deadline, b"\x09"].concat();
        let bytes = entries.len() as u8 + 7;
        [
            &[25, 0, 0, 0, 0, 0, 0, 0, 0, bytes, bytes, 0, 0, 0, 3, 0][..],
            &entries,
            b"\xff",
        ]
        .concat()
    };
    let last = hash(b"\xff\xff\xff\xff\xff\xff\0\0");
    let late = hash(b"\0\0\0\0\0\0\x01\0");
    for (body, reply) in [
        (&last, &b"+OK\r\n"[..]),
        (&late, b"-ERR Bad data format\r\n"),
        (&b"\x12\x01\x01\0".to_vec(), b"-ERR Bad data format\r\n"),
    ] {
        runner.run(&["DEL", "key"]);
        let told = runner.run(&[b"RESTORE".as_slice(), b"key", b"0", &payload(body)]);
        assert_eq!(told, reply, "{body:?}");
    }
}
