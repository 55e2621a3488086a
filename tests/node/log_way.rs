//! How far a load of logs says it is.

use std::sync::atomic::Ordering;

use rondo::node::log_way::LogWay;
use rondo::node::progress::Progress;

fn so_far(progress: &Progress) -> (u64, u64) {
    let (done, total) = (&progress.done, &progress.total);
    (done.load(Ordering::Relaxed), total.load(Ordering::Relaxed))
}

/// Three segments of 100 bytes each, the last of them made ready and not begun, the one before filled with zeros behind its last mark.
#[test]
fn what_is_passed_over_counts_and_what_is_never_read_does_not() {
    let progress = Progress::default();
    let mut way = LogWay::new(&progress, vec![(4, 100), (5, 100), (6, 100)]);
    assert_eq!(so_far(&progress), (0, 300));
    way.ends_at(5, 40);
    assert_eq!(so_far(&progress), (0, 140));
    way.has_seen(4, 10);
    way.has_seen(4, 64);
    assert_eq!(so_far(&progress), (64, 140));
    way.has_seen(5, 8);
    assert_eq!(so_far(&progress), (108, 140));
    // The last mark was a guess: a record behind it is no more than all there is.
    way.has_seen(5, 90);
    assert_eq!(so_far(&progress), (140, 140));
}

/// A log that is cut short, and one of which no segment is known.
#[test]
fn all_is_read_in_the_end() {
    let progress = Progress::default();
    let mut way = LogWay::new(&progress, vec![(1, 100)]);
    way.has_seen(1, 30);
    way.has_come_to(way.bytes);
    assert_eq!(so_far(&progress), (100, 100));
    let mut none = LogWay::new(&progress, Vec::new());
    none.ends_at(1, 5);
    none.has_seen(1, 30);
    assert_eq!(so_far(&progress), (100, 100));
}
