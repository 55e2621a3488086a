use rondo::persist::record::{
    Dependency, Found, HEADER_BYTES, Header, Kind, Part, Record, TransactionRecord, read,
    seal_record,
};

const SEGMENT: u64 = 0x1234_5678_9abc_def0;

fn record() -> Vec<u8> {
    let payload = b"*1\r\n$8\r\nFLUSHALL\r\n";
    let header = Header {
        kind: Kind::Effects,
        length: payload.len() as u64,
        lsn: 42,
        now_ms: 1_700_000_000_000,
        db: 7,
    };
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend_from_slice(payload);
    seal_record(&mut bytes, SEGMENT);
    bytes
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let bytes = record();
    let Found::Record(Record { header, payload }) = read(&bytes, SEGMENT) else {
        panic!("a record");
    };
    assert_eq!(payload, b"*1\r\n$8\r\nFLUSHALL\r\n");
    assert_eq!(
        (header.lsn, header.now_ms, header.db),
        (42, 1_700_000_000_000, 7)
    );
    assert_eq!((header.kind, header.record_bytes()), (Kind::Effects, 64));
}

#[test]
fn any_damaged_bit_any_cut_and_any_other_segment_is_refused() {
    let good = record();
    for at in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        assert_eq!(read(&bytes, SEGMENT), Found::Bad, "bit {at}");
    }
    for end in HEADER_BYTES..good.len() {
        assert_eq!(read(&good[..end], SEGMENT), Found::Bad, "cut at {end}");
    }
    assert_eq!(read(&good, SEGMENT + 1), Found::Bad);
    assert_eq!(read(&[0; 4096], SEGMENT), Found::Nothing);
    assert_eq!(read(&[], SEGMENT), Found::Nothing);
}

#[test]
fn a_transaction_is_read_as_it_was_written_and_every_cut_is_refused() {
    let part = |shard: u16, commands: &[u8]| Part {
        shard,
        db: 3,
        now_ms: -5,
        commands: commands.to_vec(),
    };
    let transaction = TransactionRecord {
        stamp: 99,
        dependencies: vec![
            Dependency { core: 1, lsn: 17 },
            Dependency {
                core: 2,
                lsn: 1 << 40,
            },
        ],
        parts: vec![
            part(1, b"*1\r\n$1\r\na\r\n"),
            part(2, b""),
            part(1, b"more"),
        ],
    };
    let bytes = transaction.to_bytes();
    assert_eq!(TransactionRecord::from_bytes(&bytes), Some(transaction));
    for end in 0..bytes.len() {
        assert_eq!(
            TransactionRecord::from_bytes(&bytes[..end]),
            None,
            "cut at {end}"
        );
    }
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(TransactionRecord::from_bytes(&longer), None);
}

/// A script of a hundred thousand calls is a transaction of as many parts.
#[test]
fn a_transaction_has_as_many_parts_as_it_needs() {
    for count in [65_535, 65_536, 65_537, 140_000] {
        let part = |number: usize| Part {
            shard: number as u16 % 7,
            db: 0,
            now_ms: 5,
            commands: number.to_string().into_bytes(),
        };
        let transaction = TransactionRecord {
            stamp: 1,
            dependencies: vec![Dependency { core: 1, lsn: 17 }],
            parts: (0..count).map(part).collect(),
        };
        let mut bytes = transaction.to_bytes();
        assert!(TransactionRecord::from_bytes(&bytes) == Some(transaction));
        // Another part than were said.
        bytes.extend(bytes[22..22 + 21].to_vec());
        assert!(TransactionRecord::from_bytes(&bytes).is_none());
    }
}
