//! The table in the header of `persist/segment.rs`, row by row.

use super::disk::MemoryDisk;
use super::log::{epoch, log, read_all_ways, replayed, say};
use rondo::persist::log::{Policy, Request};
use rondo::persist::recovery::{Files, Refusal, Tail, scan};
use rondo::persist::segment::{HeaderError, LastMark, SegmentHeader, VERSION, last_mark};
use rondo::persist::source::{Source, Window};
use rondo::persist::{BLOCK_BYTES, Log};

/// Ten records, each in a write of its own that was durable before the next.
fn ten() -> (MemoryDisk, Log) {
    let mut log = log(Policy::Always).with_segment_bytes(32 * BLOCK_BYTES as u64);
    let mut disk = MemoryDisk::default();
    for round in 0..10 {
        log.set_now(round);
        say(&mut log, &format!("w{round}"));
        disk.perform(1, 0, &mut log);
    }
    (disk, log)
}

fn file(disk: &mut MemoryDisk) -> &mut Vec<u8> {
    disk.files.get_mut(&(1, 0, 1)).expect("a file")
}

fn torn(block: usize) -> Tail {
    let offset = (block * BLOCK_BYTES) as u64;
    let file = "core-00/1-1".to_string();
    Tail::Torn { file, offset }
}

fn words(count: usize) -> Vec<String> {
    (0..count).map(|round| format!("w{round}")).collect()
}

/// Why a log is not loaded.
fn refusal_of(disk: &MemoryDisk) -> Refusal {
    read_all_ways(disk, |disk| scan(disk, &epoch(), 0).map(|scan| scan.tail)).expect_err("damage")
}

/// The last mark in the first segment.
fn mark_of(disk: &MemoryDisk, id: u64) -> Option<LastMark> {
    read_all_ways(disk, |disk| {
        let mut source = disk.contents(1, 0, 1).expect("a file");
        last_mark(&mut *source, id).expect("it can be read")
    })
}

/// A mark that begins this block.
fn mark((db, keys): (u16, u64), block: usize) -> Option<LastMark> {
    let at = (block * BLOCK_BYTES) as u64;
    Some(LastMark { db, keys, at })
}

/// How many keys there were is told by the last mark that is whole; a log of before says nothing of it.
#[test]
fn the_last_mark_tells_how_many_keys_there_were() {
    let (mut disk, mut log) = ten();
    let id = SegmentHeader::from_bytes(file(&mut disk))
        .expect("a header")
        .id;
    assert_eq!(mark_of(&disk, id), mark((0, 0), 10));
    log.note_size(3, 77_000);
    log.set_now(11);
    say(&mut log, "w10");
    disk.perform(1, 0, &mut log);
    assert_eq!(replayed(&disk), (words(11), Tail::Clean));
    assert_eq!(mark_of(&disk, id), mark((3, 77_000), 11));
    file(&mut disk)[11 * BLOCK_BYTES] ^= 1;
    assert_eq!(mark_of(&disk, id), mark((0, 0), 10));
    assert_eq!(mark_of(&disk, id + 1), None);
}

#[test]
fn nothing_after_the_last_record_is_its_end() {
    let (disk, _) = ten();
    assert_eq!(replayed(&disk), (words(10), Tail::Clean));
}

/// At every byte of the last write, and cut off in the file.
#[test]
fn a_bad_last_record_is_cut() {
    let (disk, _) = ten();
    let begin = 10 * BLOCK_BYTES;
    for at in begin..begin + 90 {
        let mut disk = disk.clone();
        file(&mut disk)[at] ^= 0x40;
        let (all, tail) = replayed(&disk);
        assert_eq!(all, words(9), "byte {at}");
        let offset = match tail {
            Tail::Torn { offset, .. } => offset as usize,
            Tail::Clean | Tail::Short { .. } => panic!("byte {at}: it is said"),
        };
        assert!(
            offset == begin || offset == begin + 40,
            "byte {at}: {offset}"
        );
    }
    for end in begin + 1..begin + 90 {
        let mut disk = disk.clone();
        file(&mut disk).truncate(end);
        assert_eq!(replayed(&disk).0, words(9), "cut at {end}");
    }
}

/// A copy for which there was no room, say: what was behind had been acknowledged.
#[test]
fn a_file_that_has_become_shorter_is_said() {
    let (whole, _) = ten();
    let made = whole.files[&(1, 0, 1)].len();
    for (length, count) in [
        (0, 0),
        (50, 0),
        (BLOCK_BYTES + 1, 0),
        (5 * BLOCK_BYTES, 4),
        (5 * BLOCK_BYTES + 20, 4),
        (made - 1, 10),
    ] {
        let mut disk = whole.clone();
        file(&mut disk).truncate(length);
        let short = Tail::Short {
            file: "core-00/1-1".into(),
            bytes: length as u64,
            made_bytes: if length < BLOCK_BYTES {
                BLOCK_BYTES
            } else {
                made
            } as u64,
        };
        assert_eq!(replayed(&disk), (words(count), short));
    }
    // One that was being made again.
    let mut disk = whole.clone();
    file(&mut disk).truncate(BLOCK_BYTES);
    assert_eq!(replayed(&disk), (words(0), Tail::Clean));
}

/// A write that was lost as a whole while the one after it, under way at the same time, was not.
#[test]
fn writes_under_way_at_once_may_be_lost_in_any_order() {
    for lost in 0..3 {
        let mut log = log(Policy::Always).with_segment_bytes(32 * BLOCK_BYTES as u64);
        let mut disk = MemoryDisk::default();
        say(&mut log, "w0");
        disk.perform(1, 0, &mut log);
        for round in 1..4 {
            log.set_now(round);
            say(&mut log, &format!("w{round}"));
            let Some(Request::Write { offset, buffer, .. }) = log.next_write() else {
                panic!("a write");
            };
            if round as usize != lost + 1 {
                let at = offset as usize;
                file(&mut disk)[at..at + buffer.len()].copy_from_slice(buffer.as_slice());
            }
        }
        let (all, tail) = replayed(&disk);
        assert_eq!(all, words(lost + 1));
        // Whether the last one was lost or never written nobody can tell.
        let expected = if lost == 2 {
            Tail::Clean
        } else {
            torn(lost + 2)
        };
        assert_eq!(tail, expected);
    }
}

#[test]
fn damage_to_what_was_durable_is_refused() {
    let (disk, _) = ten();
    for block in 1..9 {
        for what in ["flipped", "lost"] {
            let mut disk = disk.clone();
            let at = block * BLOCK_BYTES;
            match what {
                "flipped" => file(&mut disk)[at + 50] ^= 1,
                _ => file(&mut disk)[at..at + BLOCK_BYTES].fill(0),
            }
            let refusal = refusal_of(&disk);
            let Refusal::Damaged { file, offset } = &refusal else {
                panic!("{refusal:?}");
            };
            assert_eq!(file, "core-00/1-1");
            assert_eq!(*offset as usize / BLOCK_BYTES, block, "{what}");
            assert!(
                refusal.to_string().contains("nothing is loaded"),
                "{refusal}"
            );
        }
    }
}

/// What is behind it was durable, and its marks are not at the beginning of a block any more.
#[test]
fn bytes_that_were_put_into_a_file_are_damage() {
    let (disk, _) = ten();
    for block in 1..9 {
        for (offset, count) in [(0, 8), (0, 512), (40, 512), (64, 5000)] {
            let mut disk = disk.clone();
            let at = block * BLOCK_BYTES + offset;
            file(&mut disk).splice(at..at, vec![0xa5; count]);
            let refusal = refusal_of(&disk);
            let Refusal::Damaged { file, offset } = &refusal else {
                panic!("{refusal:?}");
            };
            assert_eq!(file, "core-00/1-1");
            assert!(*offset as usize / BLOCK_BYTES >= block, "{offset}");
        }
    }
}

/// Three segments; what is damaged in the first shows by the marks in those after it.
fn three() -> MemoryDisk {
    let mut log = log(Policy::Always);
    let mut disk = MemoryDisk::default();
    for round in 0..16 {
        log.set_now(round);
        say(&mut log, &format!("w{round}"));
        disk.perform(1, 0, &mut log);
    }
    assert!(disk.files.len() >= 3);
    disk
}

#[test]
fn damage_before_a_next_segment_is_refused() {
    let mut disk = three();
    assert_eq!(replayed(&disk).0, words(16));
    file(&mut disk)[6 * BLOCK_BYTES..].fill(0);
    let refusal = refusal_of(&disk);
    assert!(
        matches!(refusal, Refusal::Damaged { offset, .. } if offset as usize == 6 * BLOCK_BYTES)
    );
}

#[test]
fn a_missing_segment_is_refused() {
    let mut disk = three();
    let last = *disk.files.keys().last().expect("files");
    disk.files.retain(|(_, _, sequence), _| *sequence == 1);
    assert_eq!(last.0, 1);
    let refusal = refusal_of(&disk);
    assert_eq!(refusal, Refusal::Missing("core-00/1-2".into()));
}

#[test]
fn a_prepared_segment_without_records_is_no_tear() {
    let (mut disk, _) = ten();
    let header = SegmentHeader {
        id: SegmentHeader::id_of(9, 0, 2, 3),
        epoch: 1,
        bytes: 8 * BLOCK_BYTES as u64,
        sequence: 2,
        core: 0,
        cores: 1,
    };
    let header = header.to_block().as_slice().to_vec();
    for contents in [vec![0; 9000], header, Vec::new()] {
        disk.files.insert((1, 0, 2), contents);
        assert_eq!(replayed(&disk), (words(10), Tail::Clean));
    }
}

#[test]
fn a_header_is_read_as_it_was_written_and_damage_is_refused() {
    let header = SegmentHeader {
        id: 1 << 60,
        epoch: 3,
        bytes: 1 << 25,
        sequence: 9,
        core: 513,
        cores: 1024,
    };
    let block = header.to_block();
    assert_eq!(block.len(), BLOCK_BYTES);
    assert_eq!(SegmentHeader::from_bytes(block.as_slice()), Ok(header));
    for at in 0..64 {
        let mut bytes = block.as_slice().to_vec();
        bytes[at] ^= 1;
        assert_eq!(
            SegmentHeader::from_bytes(&bytes),
            Err(HeaderError::Bad),
            "byte {at}"
        );
    }
    assert_eq!(
        SegmentHeader::from_bytes(&block.as_slice()[..63]),
        Err(HeaderError::Bad)
    );
}

/// Headers of all versions so far are read, whatever else they say; one that is still to come is named.
#[test]
fn versions_up_to_this_one_are_read() {
    let header = SegmentHeader {
        id: 7,
        epoch: 1,
        bytes: 1 << 25,
        sequence: 2,
        core: 0,
        cores: 1,
    };
    let of_version = |version: u32| {
        let mut bytes = header.to_block().as_slice().to_vec();
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        let mut digest = crc64fast::Digest::new();
        digest.write(&bytes[..56]);
        bytes[56..64].copy_from_slice(&digest.sum64().to_le_bytes());
        SegmentHeader::from_bytes(&bytes)
    };
    assert_eq!(of_version(0), Err(HeaderError::Version(0)));
    assert_eq!(of_version(1), Ok(header));
    assert_eq!(of_version(VERSION), Ok(header));
    assert_eq!(
        of_version(VERSION + 1),
        Err(HeaderError::Version(VERSION + 1))
    );
}

/// No more than a piece is at hand, or a record that is larger and what was read with it; each byte is read once.
#[test]
fn a_window_is_as_large_as_a_piece_or_a_record() {
    let file: Vec<u8> = (0..200_000_u32).map(|at| (at / 7) as u8).collect();
    let read_bytes = std::cell::Cell::new(0);
    let mut window = Window::new(file.len() as u64, 1000, |at: u64, bytes: &mut [u8]| {
        bytes.copy_from_slice(&file[at as usize..][..bytes.len()]);
        read_bytes.set(read_bytes.get() + bytes.len());
        Ok(())
    });
    let mut at = 0;
    for length in (0..300).map(|round| if round % 10 == 9 { 5000 } else { 77 }) {
        let bytes = window.bytes(at as u64, length).expect("it can be read");
        let there = length.min(file.len() - at);
        assert!((there..=length.max(1000)).contains(&bytes.len()), "{at}");
        assert_eq!(bytes, &file[at..at + bytes.len()]);
        at += there;
    }
    assert!((at..=at + 1000).contains(&read_bytes.get()));
    assert_eq!(window.bytes(file.len() as u64, 1), Ok([].as_slice()));
    assert_eq!(
        window.bytes(70, 20).map(|bytes| bytes[..20].to_vec()),
        Ok(file[70..90].to_vec())
    );
}

/// What cannot be read is no log that ends there.
#[test]
fn an_error_of_the_disk_refuses_the_log() {
    struct Failing(MemoryDisk, u64);
    impl Files for Failing {
        fn segments(&self, epoch: u64, core: u16) -> Result<Vec<u64>, String> {
            self.0.segments(epoch, core)
        }
        fn contents(
            &self,
            epoch: u64,
            core: u16,
            sequence: u64,
        ) -> Result<Box<dyn Source + '_>, String> {
            let file = &self.0.files[&(epoch, core, sequence)];
            let read = move |at: u64, bytes: &mut [u8]| {
                if at + bytes.len() as u64 > self.1 {
                    return Err("cannot read it".into());
                }
                bytes.copy_from_slice(&file[at as usize..][..bytes.len()]);
                Ok(())
            };
            Ok(Box::new(Window::new(file.len() as u64, 1000, read)))
        }
        fn name(&self, epoch: u64, core: u16, sequence: u64) -> String {
            self.0.name(epoch, core, sequence)
        }
        fn names(&self, epoch: u64, core: u16) -> String {
            self.0.names(epoch, core)
        }
    }
    let (disk, _) = ten();
    for readable in [
        0,
        3000,
        5000,
        6 * BLOCK_BYTES as u64,
        20 * BLOCK_BYTES as u64,
    ] {
        let refusal = scan(&Failing(disk.clone(), readable), &epoch(), 0).map(|scan| scan.tail);
        let unreadable = Refusal::Unreadable("cannot read it".into());
        assert_eq!(refusal, Err(unreadable), "{readable}");
    }
}

#[test]
fn names_are_those_of_the_disk() {
    let (disk, _) = ten();
    assert_eq!(disk.name(1, 0, 1), "core-00/1-1");
}

/// Each says whose it is, however often it was made again; one bit of any of that, and it is another's.
#[test]
fn a_header_is_of_one_log_of_one_epoch() {
    for remade_count in [0, 1, 77, 1 << 20] {
        let header = |core, sequence| SegmentHeader {
            id: SegmentHeader::id_of(99, core, sequence, remade_count),
            epoch: 3,
            bytes: 1 << 25,
            sequence,
            core,
            cores: 4,
        };
        assert!(header(2, 5).is_of((99, 3), 2, 5));
        assert!(!header(2, 5).is_of((98, 3), 2, 5));
        assert!(!header(2, 5).is_of((99, 4), 2, 5));
        assert!(!header(2, 5).is_of((99, 3), 1, 5));
        assert!(!header(2, 5).is_of((99, 3), 2, 6));
        let renamed = SegmentHeader {
            sequence: 6,
            ..header(2, 5)
        };
        assert!(!renamed.is_of((99, 3), 2, 6));
    }
}
