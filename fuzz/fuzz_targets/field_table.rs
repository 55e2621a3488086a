//! Bytes as changes of a field table: values and deadlines are the same as in a map.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::ds::field_table::FieldTable;
use std::collections::HashMap;

type Row = (Option<Vec<u8>>, Option<i64>);

fuzz_target!(|bytes: &[u8]| {
    let mut table = FieldTable::default();
    let mut model: HashMap<Vec<u8>, Row> = HashMap::new();
    for step in bytes.chunks_exact(4) {
        let field = text(step[1], step[2]);
        let value = (step[3] & 3 != 0).then(|| text(step[3], step[0]));
        let deadline = (step[0] & 8 != 0).then(|| i64::from(step[3]) - 20);
        match step[0] & 7 {
            0..3 => {
                let is_new = table.insert(&field, value.as_deref(), deadline);
                assert_eq!(is_new, model.insert(field, (value, deadline)).is_none());
            }
            3 => {
                let value = value.unwrap_or_default();
                assert_eq!(table.set_value(&field, &value), model.contains_key(&field));
                if let Some(row) = model.get_mut(&field) {
                    row.0 = Some(value);
                }
            }
            4 => {
                assert_eq!(
                    table.set_deadline(&field, deadline),
                    model.contains_key(&field)
                );
                if let Some(row) = model.get_mut(&field) {
                    row.1 = deadline;
                }
            }
            5 => {
                let now_ms = i64::from(step[1]);
                let mut gone = Vec::new();
                while table.take_expired(now_ms, |entry| gone.push(entry.field().to_vec())) {}
                for field in gone {
                    let row = model.remove(&field).expect("it was there");
                    assert!(row.1.is_some_and(|deadline| deadline <= now_ms));
                }
                assert_eq!(table.expired_count(now_ms), 0);
            }
            _ => assert_eq!(table.remove(&field), model.remove(&field).is_some()),
        }
        assert_eq!(table.len(), model.len());
        let earliest = model.values().filter_map(|(_, deadline)| *deadline).min();
        assert_eq!(table.earliest_deadline_ms(), earliest);
    }
    let row = |entry: rondo::ds::field_table::Entry<'_>| {
        let value = entry.value().map(<[u8]>::to_vec);
        (entry.field().to_vec(), (value, entry.deadline_ms()))
    };
    let all: HashMap<Vec<u8>, Row> = table.iter().map(row).collect();
    assert!(all == model);
    let mut scanned: HashMap<Vec<u8>, Row> = HashMap::new();
    let mut cursor = 0;
    loop {
        cursor = table.scan(cursor, 10, |entry| {
            drop(scanned.insert(row(entry).0, row(entry).1))
        });
        if cursor == 0 {
            break;
        }
    }
    assert!(scanned == model);
});

/// Numbers at the edges of what a slot holds, what is nearly a number, and strings of all lengths.
fn text(kind: u8, byte: u8) -> Vec<u8> {
    match kind & 7 {
        0 | 1 => (i64::from(byte) - 40).to_string().into_bytes(),
        2 => ((1_i64 << (kind >> 3 & 31 | 32)) - i64::from(byte))
            .to_string()
            .into_bytes(),
        3 => i64::MIN
            .saturating_add(i64::from(byte))
            .to_string()
            .into_bytes(),
        4 => format!("0{byte}").into_bytes(),
        5 => vec![byte; usize::from(byte)],
        6 => vec![byte & 3; 250 + usize::from(byte & 15)],
        _ => vec![b'f', byte],
    }
}
