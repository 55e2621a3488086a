//! Files of logs: what a power cut or a kill finds by a segment's name.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

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
    let mut source = dir.contents(1, 0, 2).expect("it is there");
    assert_eq!(SegmentHeader::of(&mut *source), Ok(Ok(header(1))));
    assert_eq!(dir.length(1, 0, 2), Ok(SEGMENT_BYTES));
    assert!(source.bytes_count() >= BLOCK_BYTES as u64);
    drop(source);
    drop(dir);
    let _ = std::fs::remove_dir_all(&path);
}

/// What was allocated behind the records of a log, and for a segment that came to none, is given back; what a start reads before it has
/// written its manifest is there.
#[test]
fn a_log_that_ends_early_is_hollowed_behind_its_records() {
    let path = std::env::temp_dir().join(format!("rondo-hollow-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a folder");
    let dir = DataDir::open(&path).expect("nobody else has it");
    let block_bytes = BLOCK_BYTES as u64;
    let name_of = |sequence| path.join("core-00").join(format!("0001-{sequence:08}.log"));
    for sequence in [1, 2] {
        let block = header(0).to_block();
        dir.prepare((1, 0, sequence), SEGMENT_BYTES, 0, 0, block.as_slice())
            .expect("there is room");
        let file = File::options().write(true).open(name_of(sequence));
        let ones = vec![1; SEGMENT_BYTES as usize - BLOCK_BYTES];
        let written = file.expect("it is there").write_all_at(&ones, block_bytes);
        written.expect("there is room");
    }
    let end = 10 * block_bytes + 7;
    dir.hollow(1, 0, (1, end));
    for (sequence, kept) in [(1, 12 * block_bytes), (2, block_bytes)] {
        assert_eq!(dir.length(1, 0, sequence), Ok(SEGMENT_BYTES));
        let name = name_of(sequence);
        let bytes = std::fs::read(&name).expect("it is there");
        let (before, behind) = bytes.split_at(kept as usize);
        assert!(before[BLOCK_BYTES..].iter().all(|&byte| byte == 1));
        assert!(behind.iter().all(|&byte| byte == 0));
        let allocated = std::fs::metadata(&name).expect("it is there").blocks() * 512;
        assert!(allocated < SEGMENT_BYTES / 2, "{allocated}");
    }
    drop(dir);
    let _ = std::fs::remove_dir_all(&path);
}

/// What a load says of all that it is to read: up to the last byte of a log, whatever its segments were filled with beforehand.
#[test]
fn zeros_behind_a_log_are_none_of_its_bytes() {
    let path = std::env::temp_dir().join(format!("rondo-extent-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a folder");
    let dir = DataDir::open(&path).expect("nobody else has it");
    let bytes = 3 * SEGMENT_BYTES;
    // The first is left behind, the second is written to, the third was made ready.
    for sequence in [1, 2, 3] {
        let block = header(0).to_block();
        dir.prepare((1, 0, sequence), bytes, bytes, 0, block.as_slice())
            .expect("there is room");
    }
    let write = |sequence: u64, at: u64| {
        let name = path.join("core-00").join(format!("0001-{sequence:08}.log"));
        let file = File::options().write(true).open(name);
        let written = file.expect("it is there").write_all_at(&[1; 9], at);
        written.expect("there is room");
    };
    write(1, 2 * SEGMENT_BYTES);
    let last = header(0).to_block().as_slice().to_vec();
    let last = last.iter().rposition(|byte| *byte != 0).expect("a header") as u64 + 1;
    let extent = |end| vec![(1, bytes), (2, end), (3, last)];
    for end in [
        SEGMENT_BYTES,
        SEGMENT_BYTES + 1,
        2 * SEGMENT_BYTES + 5,
        bytes,
    ] {
        write(2, end - 9);
        assert_eq!(dir.log_extent(1, 0), extent(end));
    }
    drop(dir);
    let _ = std::fs::remove_dir_all(&path);
}
