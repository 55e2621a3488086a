//! Files of logs: what a power cut or a kill finds by a segment's name.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use rondo::node::data_dir::DataDir;
use rondo::persist::segment::SegmentHeader;
use rondo::persist::{BLOCK_BYTES, recovery::Files};

const SEGMENT_BYTES: u64 = 1 << 20;

fn header(remade_count: u64) -> SegmentHeader {
    SegmentHeader {
        id: SegmentHeader::id_of(7, 0, 2, remade_count),
        epoch: 1,
        bytes: SEGMENT_BYTES,
        sequence: 2,
        core: 0,
        cores: 1,
    }
}

/// What is cut short has no name any more: a file that is shorter than it says would be taken for what is left of a whole one.
#[test]
fn a_segment_that_is_made_again_is_cut_short_without_its_name() {
    let path = std::env::temp_dir().join(format!("rondo-data-dir-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a folder");
    let dir = DataDir::open(&path).expect("nobody else has it");
    let make = |remade_count| {
        let block = header(remade_count).to_block();
        dir.prepare((1, 0, 2), SEGMENT_BYTES, 0, 0, block.as_slice())
            .expect("there is room")
    };
    let before: File = make(0);
    make(1);
    let left = before.metadata().expect("it is open");
    assert_eq!((left.nlink(), left.len()), (0, 0));
    let bytes = dir.read(1, 0, 2).expect("it is there");
    assert_eq!(SegmentHeader::from_bytes(&bytes), Ok(header(1)));
    assert_eq!(dir.length(1, 0, 2), Ok(SEGMENT_BYTES));
    assert!(bytes.len() >= BLOCK_BYTES);
    drop(dir);
    let _ = std::fs::remove_dir_all(&path);
}
