use super::disk::MemoryDisk;
use rondo::persist::log::{IN_FLIGHT_MAX, Place, Policy, Request};
use rondo::persist::manifest::{Base, Epoch};
use rondo::persist::recovery::{Refusal, Tail, walk};
use rondo::persist::segment::SegmentHeader;
use rondo::persist::{BLOCK_BYTES, BlockBuffer, Log};

const PLACE: Place = Place {
    epoch: 1,
    core: 0,
    cores: 1,
};

pub fn epoch() -> Epoch {
    Epoch {
        number: 1,
        cores: 1,
        seed: 9,
        ..Epoch::default()
    }
}

pub fn log(policy: Policy) -> Log {
    Log::new(PLACE, 9, policy).with_segment_bytes(8 * BLOCK_BYTES as u64)
}

pub fn say(log: &mut Log, word: &str) {
    log.append(0, [word.as_bytes()].into_iter());
}

/// The same whether segments are read whole, by pieces, or no more at a time than is asked for.
pub fn read_all_ways<T: PartialEq + std::fmt::Debug>(
    disk: &MemoryDisk,
    read: impl Fn(&MemoryDisk) -> T,
) -> T {
    let of_pieces = |piece_bytes| {
        let files = disk.files.clone();
        read(&MemoryDisk { files, piece_bytes })
    };
    let whole = of_pieces(0);
    for piece_bytes in [1, 5000] {
        assert_eq!(of_pieces(piece_bytes), whole, "by {piece_bytes} bytes");
    }
    whole
}

/// The payloads of all records that count, as text without the framing.
pub fn replayed(disk: &MemoryDisk) -> (Vec<String>, Tail) {
    read_all_ways(disk, |disk| {
        let mut all = Vec::new();
        let (_, tail) = walk(disk, &epoch(), 0, u64::MAX, &mut |record, _, _| {
            let text = String::from_utf8_lossy(record.payload);
            let words = text
                .split("\r\n")
                .filter(|line| !line.starts_with(['*', '$']));
            all.push(
                words
                    .filter(|word| !word.is_empty())
                    .collect::<Vec<_>>()
                    .join(" "),
            );
            true
        })
        .expect("a log that counts");
        (all, tail)
    })
}

/// The next write: its id, segment, offset and bytes.
fn write(log: &mut Log) -> (u64, u64, u64, BlockBuffer) {
    match log.next_write() {
        Some(Request::Write {
            id,
            sequence,
            offset,
            buffer,
            ..
        }) => (id, sequence, offset, buffer),
        other => panic!("a write: {other:?}"),
    }
}

#[test]
fn buffers_are_aligned_however_they_grow() {
    let mut buffer = BlockBuffer::default();
    for round in 0..2000 {
        buffer.extend(&[round as u8; 13]);
        assert_eq!(buffer.as_slice().as_ptr().addr() % BLOCK_BYTES, 0);
    }
    assert_eq!(buffer.len(), 26_000);
    assert!((0..2000).all(|round| buffer.as_slice()[round * 13 + 12] == round as u8));
}

/// What runs at one time on one database without a group is one record; a group always is.
#[test]
fn records_end_where_time_moves() {
    let mut log = log(Policy::Always);
    let mut disk = MemoryDisk::default();
    log.set_now(1);
    say(&mut log, "a");
    say(&mut log, "b");
    log.set_now(2);
    say(&mut log, "c");
    log.append(3, [b"d".as_slice()].into_iter());
    log.enter_group();
    say(&mut log, "e");
    log.set_now(3);
    say(&mut log, "f");
    log.leave_group();
    log.set_now(4);
    say(&mut log, "g");
    assert_eq!(log.lsn(), 3);
    disk.perform(1, 0, &mut log);
    assert_eq!(log.synced_lsn(), 3);
    let (all, tail) = replayed(&disk);
    assert_eq!(all, ["a b", "c SELECT 3 d SELECT 0 e f", "g"]);
    assert_eq!(tail, Tail::Clean);
}

#[test]
fn a_record_is_durable_when_all_before_it_are() {
    let mut log = log(Policy::Always);
    let mut disk = MemoryDisk::default();
    let request = log.next_prepare().expect("the first segment");
    disk.prepare(1, 0, &mut log, request);
    let mut under_way = Vec::new();
    for now_ms in 1..=IN_FLIGHT_MAX as i64 {
        log.set_now(now_ms);
        say(&mut log, "x");
        under_way.push(write(&mut log));
    }
    say(&mut log, "one more");
    assert!(log.next_write().is_none(), "so many at once");
    assert_eq!(log.revealed(), log.lsn());
    let last = under_way.pop().expect("a write");
    log.wrote(last.0, last.3, Ok(()));
    assert_eq!(log.synced_lsn(), 0, "those before it are not durable");
    for (id, _, _, buffer) in under_way {
        log.wrote(id, buffer, Ok(()));
    }
    assert_eq!(log.synced_lsn(), IN_FLIGHT_MAX as u64);
    disk.perform(1, 0, &mut log);
    assert_eq!((log.synced_lsn(), log.revealed()), (log.lsn(), 0));
}

/// Batches that end everywhere in their last block, a few bytes before its end among them.
#[test]
fn what_is_left_of_a_block_may_be_short() {
    let mut log = log(Policy::Always).with_segment_bytes(1 << 24);
    let mut disk = MemoryDisk::default();
    let mut said = Vec::new();
    for length in 3900..4100 {
        log.set_now(length as i64);
        let word = "x".repeat(length);
        say(&mut log, &word);
        said.push(word);
        disk.perform(1, 0, &mut log);
    }
    assert!(replayed(&disk) == (said, Tail::Clean));
}

#[test]
fn keys_are_revealed_by_their_own_last_write() {
    let mut log = log(Policy::Always);
    let mut disk = MemoryDisk::default();
    say(&mut log, "x");
    log.note_write(7);
    assert_eq!((log.revealed_by(7), log.revealed_by(8)), (1, 0));
    disk.perform(1, 0, &mut log);
    assert_eq!(log.revealed_by(7), 0);
}

/// Many segments' worth of records, some larger than a segment.
#[test]
fn a_full_segment_is_followed_by_the_next() {
    for policy in [Policy::Always, Policy::EverySecond, Policy::Never] {
        let mut log = log(policy);
        let mut disk = MemoryDisk::default();
        let mut said = Vec::new();
        for round in 0..200 {
            log.set_now(round);
            let length = if round % 50 == 7 {
                100_000
            } else {
                50 * round as usize % 5000
            };
            let word = format!("{round}-{}", "x".repeat(length));
            say(&mut log, &word);
            said.push(word);
            disk.perform(1, 0, &mut log);
        }
        assert!(log.is_clean());
        assert!(disk.files.len() > 3, "{} segments", disk.files.len());
        let (all, tail) = replayed(&disk);
        assert!(all == said, "{policy:?}");
        assert_eq!(tail, Tail::Clean);
    }
}

/// What an ended log had last is known to have been durable; a mark that cannot be written is nobody's loss.
#[test]
fn a_closed_log_says_that_its_last_record_is_durable() {
    for policy in [Policy::Always, Policy::EverySecond] {
        let mut log = log(policy);
        let mut disk = MemoryDisk::default();
        assert!(!log.close(), "nothing was logged");
        log.set_now(1);
        say(&mut log, "first");
        assert!(!log.close(), "it is not written");
        disk.perform(1, 0, &mut log);
        assert!(log.close() && !log.close(), "once");
        let (id, _, _, buffer) = write(&mut log);
        log.wrote(id, buffer, Err(5));
        assert_eq!(log.pending_bytes(), 0, "it is not tried again");
        log.set_now(2);
        say(&mut log, "last");
        disk.perform(1, 0, &mut log);
        assert_eq!(log.synced_lsn(), 2);
        assert!(log.close());
        disk.perform(1, 0, &mut log);
        assert!(log.is_written() && !log.is_busy() && !log.close());
        let (all, tail) = replayed(&disk);
        assert_eq!(
            (all, tail),
            (vec!["first".to_string(), "last".to_string()], Tail::Clean)
        );
        let file = disk.files.values_mut().find(|file| {
            let mut words = file.windows(4);
            words.any(|word| word == b"last")
        });
        let file = file.expect("it is in one of them");
        let at = file.windows(4).position(|word| word == b"last");
        file[at.expect("it is there")] ^= 1;
        let refusal = walk(&disk, &epoch(), 0, u64::MAX, &mut |_, _, _| true);
        assert!(
            matches!(refusal, Err(Refusal::Damaged { .. })),
            "{refusal:?}"
        );
    }
}

/// Every second write fails, on and on, and with it those that are under way beside it.
#[test]
fn what_failed_is_written_again_elsewhere_and_read_once() {
    for policy in [Policy::Always, Policy::EverySecond] {
        let mut log = log(policy);
        let mut disk = MemoryDisk::default();
        let mut said = Vec::new();
        let mut count = 0;
        for round in 0..60 {
            log.set_now(round);
            say(&mut log, &format!("w{round}"));
            said.push(format!("w{round}"));
            let mut under_way = Vec::new();
            for more in 0..3 {
                if let Some(request) = log.next_prepare() {
                    disk.prepare(1, 0, &mut log, request);
                }
                if let Some(Request::Write {
                    id,
                    sequence,
                    offset,
                    buffer,
                    ..
                }) = log.next_write()
                {
                    count += 1;
                    let fails = count % 5 == 2;
                    if !fails {
                        let file = disk.files.get_mut(&(1, 0, sequence)).expect("a file");
                        let at = offset as usize;
                        file[at..at + buffer.len()].copy_from_slice(buffer.as_slice());
                    }
                    under_way.push((id, buffer, fails));
                }
                log.set_now(1000 * round + more);
                say(&mut log, &format!("w{round}.{more}"));
                said.push(format!("w{round}.{more}"));
            }
            for (id, buffer, fails) in under_way {
                log.wrote(id, buffer, if fails { Err(5) } else { Ok(()) });
            }
        }
        disk.perform(1, 0, &mut log);
        assert_eq!(log.synced_lsn(), log.lsn());
        assert_eq!(log.failure(), None);
        let (all, tail) = replayed(&disk);
        assert_eq!(all, said);
        assert_eq!(tail, Tail::Clean);
    }
}

/// A disk that takes no write for long is not filled with segments, each for one try.
#[test]
fn tries_that_fail_leave_nothing_behind() {
    for policy in [Policy::Always, Policy::EverySecond] {
        let mut log = log(policy);
        let mut disk = MemoryDisk::default();
        log.set_now(1);
        let mut said = vec!["before".to_string()];
        say(&mut log, "before");
        disk.perform(1, 0, &mut log);
        log.prepare_next();
        for round in 0..20 {
            log.set_now(2 + round);
            said.push(format!("w{round}"));
            say(&mut log, &format!("w{round}"));
            if let Some(request) = log.next_prepare() {
                disk.prepare(1, 0, &mut log, request);
            }
            let mut under_way = Vec::new();
            while let Some(Request::Write { id, buffer, .. }) = log.next_write() {
                under_way.push((id, buffer));
                if under_way.len() == 1 {
                    log.set_now(100 + round);
                    said.push(format!("more{round}"));
                    say(&mut log, &format!("more{round}"));
                }
            }
            for (id, buffer) in under_way {
                log.wrote(id, buffer, Err(5));
                assert!(log.failure().is_some());
                if let Some(request) = log.next_prepare() {
                    disk.prepare(1, 0, &mut log, request);
                }
            }
        }
        assert!(disk.files.len() <= 3, "{} files", disk.files.len());
        disk.perform(1, 0, &mut log);
        assert_eq!((log.failure(), log.is_written()), (None, true));
        let (all, tail) = replayed(&disk);
        assert_eq!((all, tail), (said, Tail::Clean));
    }
}

#[test]
fn a_full_disk_is_told_and_over_when_there_is_room() {
    let mut log = log(Policy::Always);
    let mut disk = MemoryDisk::default();
    say(&mut log, "x");
    let Some(Request::Prepare { sequence, .. }) = log.next_prepare() else {
        panic!("the first segment");
    };
    log.prepared(sequence, Err(28));
    assert_eq!(log.failure(), Some(28));
    assert!(log.next_write().is_none());
    disk.perform(1, 0, &mut log);
    assert_eq!((log.failure(), log.synced_lsn()), (None, 1));
}

#[test]
fn a_failed_sync_is_final() {
    let mut log = log(Policy::EverySecond);
    let mut disk = MemoryDisk::default();
    let request = log.next_prepare().expect("the first segment");
    disk.prepare(1, 0, &mut log, request);
    say(&mut log, "x");
    let (id, sequence, _, buffer) = write(&mut log);
    log.wrote(id, buffer, Ok(()));
    assert!(log.next_sync().is_some());
    log.synced(sequence, Err(5));
    assert!(log.is_broken());
    assert_eq!((log.failure(), log.synced_lsn()), (Some(5), 0));
    assert!(log.next_sync().is_none() && log.next_write().is_none());
}

/// And so is a loss that somebody has noticed; a segment that was asked for before it does not make up for that.
#[test]
fn a_segment_that_comes_late_mends_no_broken_log() {
    let mut log = log(Policy::EverySecond);
    let mut disk = MemoryDisk::default();
    let request = log.next_prepare().expect("the first segment");
    disk.prepare(1, 0, &mut log, request);
    log.prepare_next();
    let request = log.next_prepare().expect("the next segment");
    log.lose(2);
    assert!(log.is_broken());
    disk.prepare(1, 0, &mut log, request);
    assert_eq!(log.failure(), Some(2));
    say(&mut log, "x");
    assert!(log.next_prepare().is_none() && log.next_write().is_none());
}

#[test]
fn a_stricter_policy_holds_what_was_written_before_it() {
    let mut log = log(Policy::EverySecond);
    let mut disk = MemoryDisk::default();
    let request = log.next_prepare().expect("the first segment");
    disk.prepare(1, 0, &mut log, request);
    say(&mut log, "x");
    let (id, _, _, buffer) = write(&mut log);
    log.wrote(id, buffer, Ok(()));
    assert_eq!(log.revealed(), 0);
    log.set_policy(Policy::Always);
    assert_eq!((log.revealed(), log.revealed_by(5)), (1, 1));
    log.set_now(1);
    say(&mut log, "y");
    disk.perform(1, 0, &mut log);
    assert_eq!((log.synced_lsn(), log.has_unsynced()), (2, false));
}

/// What comes after a cut is in a segment of its own, and the rest is not needed beside the base.
#[test]
fn a_cut_begins_a_segment() {
    let mut log = log(Policy::Always);
    let mut disk = MemoryDisk::default();
    log.set_now(1);
    say(&mut log, "a");
    say(&mut log, "b");
    disk.perform(1, 0, &mut log);
    log.prepare_next();
    disk.perform(1, 0, &mut log);
    assert!(log.has_next());
    say(&mut log, "c");
    let lsn = log.cut();
    say(&mut log, "d");
    assert_eq!(lsn, 2, "it ends what was one record before");
    assert_eq!(log.lsn(), 3);
    disk.perform(1, 0, &mut log);
    let first = log.first_needed();
    assert_eq!(first, 2);
    disk.files.retain(|(_, _, sequence), _| *sequence >= first);
    let mut with_base = epoch();
    with_base.base = Some(Base {
        number: 1,
        lsns: vec![lsn],
    });
    let mut all = Vec::new();
    let walked = walk(&disk, &with_base, 0, u64::MAX, &mut |record, _, _| {
        all.push(record.header.lsn);
        true
    });
    assert_eq!(walked, Ok((3, Tail::Clean)));
    assert_eq!(all, [3]);
}

/// Where no segment is at hand the log goes on in the old one, which is needed then.
#[test]
fn a_cut_without_a_segment_goes_on_in_the_old_one() {
    let mut log = log(Policy::Always);
    let mut disk = MemoryDisk::default();
    say(&mut log, "a");
    disk.perform(1, 0, &mut log);
    let lsn = log.cut();
    say(&mut log, "b");
    let (id, sequence, _, buffer) = write(&mut log);
    log.wrote(id, buffer, Ok(()));
    assert_eq!((lsn, sequence, log.first_needed()), (1, 1, 1));
}

/// What a base has is durable once that is in force, though no sync has said so of the log; a mark speaks of the log alone.
#[test]
fn a_base_in_force_makes_durable_what_is_before_its_cut() {
    let mut log = log(Policy::Never);
    let mut disk = MemoryDisk::default();
    say(&mut log, "a");
    let request = log.next_prepare().expect("the first segment");
    disk.prepare(1, 0, &mut log, request);
    let (id, _, _, buffer) = write(&mut log);
    log.wrote(id, buffer, Ok(()));
    say(&mut log, "b");
    assert_eq!(log.cut(), 2);
    say(&mut log, "c");
    assert_eq!((log.lsn(), log.synced_lsn()), (3, 0));
    log.base_is_in_force();
    assert_eq!((log.synced_lsn(), log.is_written()), (2, false));
    assert_eq!(log.cut(), 3);
    assert_eq!(log.synced_lsn(), 2, "a cut alone is no base");
    let (_, _, _, buffer) = write(&mut log);
    assert_eq!(buffer.as_slice()[16..24], [0; 8], "the mark's last record");
}

/// What a failed sync has left open is durable with the base of the log that takes its place, not before; what comes back of
/// the old log's writes and syncs says nothing of the new one's.
#[test]
fn a_log_that_takes_the_place_of_a_broken_one_counts_with_its_base() {
    let mut old = log(Policy::EverySecond);
    let mut disk = MemoryDisk::default();
    old.set_now(1);
    say(&mut old, "a");
    disk.perform(1, 0, &mut old);
    old.set_now(2);
    say(&mut old, "b");
    let (id, sequence, _, buffer) = write(&mut old);
    old.wrote(id, buffer, Ok(()));
    assert!(old.next_sync().is_some());
    old.synced(sequence, Err(5));
    assert_eq!((old.lsn(), old.synced_lsn(), old.is_broken()), (2, 1, true));
    let place = Place { epoch: 2, ..PLACE };
    let mut new = Log::new(place, 10, Policy::Never).going_on_from(&mut old);
    assert_eq!(new.cut(), 2);
    assert_eq!(new.policy(), Policy::EverySecond);
    disk.perform(2, 0, &mut new);
    new.set_now(3);
    say(&mut new, "c");
    disk.perform(2, 0, &mut new);
    assert_eq!((new.lsn(), new.synced_lsn()), (3, 1));
    assert_eq!(new.failure(), Some(5), "writes are refused still");
    new.base_is_in_force();
    assert_eq!((new.failure(), new.synced_lsn()), (None, 3));
}

#[test]
fn what_comes_back_of_the_log_before_is_not_taken_for_this_ones() {
    let mut old = log(Policy::EverySecond);
    let mut disk = MemoryDisk::default();
    let request = old.next_prepare().expect("the first segment");
    disk.prepare(1, 0, &mut old, request);
    for now_ms in 1..=2 {
        old.set_now(now_ms);
        say(&mut old, "x");
    }
    let (first, sequence, _, buffer) = write(&mut old);
    old.wrote(first, buffer, Ok(()));
    old.set_now(3);
    say(&mut old, "y");
    let (late, _, _, late_buffer) = write(&mut old);
    assert!(old.next_sync().is_some());
    let place = Place { epoch: 2, ..PLACE };
    let mut new = Log::new(place, 10, Policy::EverySecond).going_on_from(&mut old);
    new.cut();
    new.base_is_in_force();
    let request = new.next_prepare().expect("its first segment");
    disk.prepare(2, 0, &mut new, request);
    new.set_now(4);
    say(&mut new, "z");
    let (id, _, _, buffer) = write(&mut new);
    assert_ne!(id, late);
    new.wrote(late, late_buffer, Ok(()));
    assert!(new.is_busy(), "its own write is under way still");
    new.wrote(id, buffer, Ok(()));
    assert!(
        new.next_sync().is_none(),
        "a sync of the other is under way"
    );
    new.synced(sequence, Err(5));
    assert!(!new.is_broken());
    disk.perform(2, 0, &mut new);
    assert_eq!(new.synced_lsn(), new.lsn());
}

fn asked(log: &mut Log) -> (u64, u64) {
    match log.next_prepare() {
        Some(Request::Prepare {
            sequence,
            bytes,
            block,
        }) => {
            let header = SegmentHeader::from_bytes(block.as_slice()).expect("a header");
            assert_eq!((header.sequence, header.bytes), (sequence, bytes));
            (sequence, bytes)
        }
        other => panic!("a segment: {other:?}"),
    }
}

/// A disk that is nearly full: segments are as small as need be, and grow again.
#[test]
fn a_segment_that_had_no_room_is_asked_for_again_and_smaller() {
    let whole = 1 << 20;
    let mut log = log(Policy::Always).with_segment_bytes(whole);
    for halvings in 0..4 {
        assert_eq!(asked(&mut log), (1, whole >> halvings));
        assert!(!log.prepare_smaller(2), "another is asked for");
        assert!(log.prepare_smaller(1));
        assert_eq!(log.failure(), None);
    }
    assert_eq!(asked(&mut log), (1, 64 << 10));
    assert!(!log.prepare_smaller(1), "that is the least");
    log.prepared(1, Err(28));
    assert_eq!(log.failure(), Some(28));
    assert_eq!(asked(&mut log), (1, 64 << 10));
    log.prepared(1, Ok(()));
    log.prepare_larger();
    assert_eq!(log.failure(), None);
    say(&mut log, "small");
    let (id, sequence, offset, buffer) = write(&mut log);
    assert_eq!((sequence, offset), (1, BLOCK_BYTES as u64));
    log.wrote(id, buffer, Ok(()));
    // Each one after it is twice as large, up to the usual size.
    for (sequence, bytes) in [(2, 128), (3, 256), (4, 512), (5, 1024), (6, 1024)] {
        let mut next = None;
        while log.sequence() < sequence {
            say(&mut log, &"x".repeat(3 * BLOCK_BYTES));
            let (id, _, _, buffer) = write(&mut log);
            log.wrote(id, buffer, Ok(()));
            if next.is_none()
                && let Some(request) = log.next_prepare()
            {
                next = Some(request);
                log.prepared(sequence, Ok(()));
                log.prepare_larger();
            }
        }
        let Some(Request::Prepare {
            sequence: asked,
            bytes: size,
            ..
        }) = next
        else {
            panic!("a segment is asked for before there is no room");
        };
        assert_eq!((asked, size), (sequence, bytes << 10));
    }
    // One that a large batch needs is not made smaller.
    let mut log = self::log(Policy::Always).with_segment_bytes(128 << 10);
    assert_eq!(asked(&mut log), (1, 128 << 10));
    log.prepared(1, Ok(()));
    say(&mut log, &"x".repeat(200 << 10));
    assert!(log.next_write().is_none());
    assert_eq!(asked(&mut log), (2, 256 << 10));
    assert!(!log.prepare_smaller(2));
}

/// With a sync after them writes count when that has ended; what was durable by itself meanwhile waits for those before it.
#[test]
fn writes_may_be_made_durable_by_a_sync_after_them() {
    let mut log = log(Policy::Always);
    let mut disk = MemoryDisk::default();
    let request = log.next_prepare().expect("the first segment");
    disk.prepare(1, 0, &mut log, request);
    log.set_syncs_after(true);
    log.set_now(1);
    say(&mut log, "a");
    let (first, _, _, bytes) = write(&mut log);
    assert!(log.next_sync().is_none(), "nothing is written yet");
    log.wrote(first, bytes, Ok(()));
    assert_eq!((log.written_lsn(), log.synced_lsn()), (1, 0));
    assert_eq!(log.revealed(), 1);

    log.set_syncs_after(false);
    log.set_now(2);
    say(&mut log, "b");
    let (second, _, _, bytes) = write(&mut log);
    let Some(Request::Sync { sequence }) = log.next_sync() else {
        panic!("the first is to be made durable");
    };
    log.wrote(second, bytes, Ok(()));
    assert_eq!(log.synced_lsn(), 0, "the one before is not durable");
    log.synced(sequence, Ok(()));
    assert_eq!(log.synced_lsn(), 1);
    let Some(Request::Sync { sequence }) = log.next_sync() else {
        panic!("what landed behind it is synced too");
    };
    log.synced(sequence, Ok(()));
    assert_eq!(log.synced_lsn(), 2);
    assert!(log.next_sync().is_none());

    log.set_now(3);
    say(&mut log, "c");
    let (third, _, _, bytes) = write(&mut log);
    log.wrote(third, bytes, Ok(()));
    assert_eq!(log.synced_lsn(), 3, "durable by itself again");
}
