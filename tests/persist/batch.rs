//! Random appends, in and out of groups, short and long, with writes between them: each is read back once, in order.

use super::disk::MemoryDisk;
use super::log::{epoch, log, replayed, say};
use rondo::base::rng::Rng;
use rondo::persist::Log;
use rondo::persist::log::Policy;
use rondo::persist::recovery::{Tail, walk};

/// A record that ends where it may is no longer, whatever its last word.
const STAGE_BYTES: usize = 16 << 10;

/// A batch that is larger than a segment is seen to be so once a write of it has been asked for.
fn perform_all(disk: &mut MemoryDisk, log: &mut Log) {
    for _ in 0..3 {
        disk.perform(1, 0, log);
    }
    assert!(log.is_written());
}

fn word(number: usize, rng: &mut Rng) -> String {
    let length = match rng.below(20) {
        0 => rng.below(60_000),
        1..5 => rng.below(5_000),
        _ => rng.below(200),
    };
    format!("w{number}{}", "x".repeat(length as usize))
}

#[test]
fn what_is_appended_is_read_back() {
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let policy = [Policy::EverySecond, Policy::Never, Policy::Always][seed as usize % 3];
        let mut log = log(policy);
        let mut disk = MemoryDisk::default();
        let mut said = Vec::new();
        let mut in_group = false;
        let mut db = 0;
        for number in 0..400 {
            match rng.below(40) {
                0 if !in_group => disk.perform(1, 0, &mut log),
                1 => log.set_now(number as i64),
                2 => {
                    match in_group {
                        true => log.leave_group(),
                        false => log.enter_group(),
                    }
                    in_group = !in_group;
                }
                3 => db = 1 - db,
                // It waits beside others, and may go to another segment than was thought.
                4 if !in_group => {
                    log.cut();
                }
                _ => {
                    let word = word(number, &mut rng);
                    log.append(db, [word.as_bytes()].into_iter());
                    said.push(word);
                }
            }
        }
        if in_group {
            log.leave_group();
        }
        perform_all(&mut disk, &mut log);
        let (all, tail) = replayed(&disk);
        let words = all.iter().flat_map(|record| record.split(' '));
        let words = words.filter(|word| word.starts_with('w'));
        assert!(words.eq(said.iter()), "seed {seed}");
        assert_eq!(tail, Tail::Clean, "seed {seed}");
    }
}

/// Where replies do not wait for the disk records are as long as the innermost cache has room for; a group is one record.
#[test]
fn records_end_where_the_stage_is_full() {
    let mut log = log(Policy::EverySecond);
    let mut disk = MemoryDisk::default();
    log.set_now(1);
    let word = "w".repeat(100);
    for _ in 0..1000 {
        say(&mut log, &word);
    }
    log.enter_group();
    for _ in 0..1000 {
        say(&mut log, &word);
    }
    log.leave_group();
    perform_all(&mut disk, &mut log);
    let mut lengths = Vec::new();
    walk(&disk, &epoch(), 0, u64::MAX, &mut |record, _, _| {
        lengths.push(record.payload.len());
        true
    })
    .expect("a log that counts");
    let (group, others) = lengths.split_last().expect("records");
    assert!(*group >= 1000 * word.len(), "{group}");
    assert!(others.len() > 5, "{others:?}");
    assert!(
        others.iter().all(|length| *length < STAGE_BYTES),
        "{others:?}"
    );
}
