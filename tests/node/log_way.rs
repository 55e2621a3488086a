//! How far a load of logs says it is.

use std::sync::atomic::Ordering;

use rondo::node::log_way::LogWay;
use rondo::node::progress::Progress;

/// How much has been read. What there is in all was told before: it stays as it is.
fn done(progress: &Progress) -> u64 {
    assert_eq!(progress.total.load(Ordering::Relaxed), 0);
    progress.done.load(Ordering::Relaxed)
}

/// Three segments of 100 bytes each, the last of them made ready and not begun.
#[test]
fn what_is_passed_over_counts() {
    let progress = Progress::default();
    let mut way = LogWay::new(&progress, vec![(4, 100), (5, 40), (6, 10)]);
    way.has_seen(4, 10);
    way.has_seen(4, 64);
    assert_eq!(done(&progress), 64);
    way.has_seen(5, 8);
    assert_eq!(done(&progress), 108);
    way.has_come_to(way.bytes);
    assert_eq!(done(&progress), 150);
}

/// A log that is cut short, and one of which no segment is known.
#[test]
fn all_is_read_in_the_end() {
    let progress = Progress::default();
    let mut way = LogWay::new(&progress, vec![(1, 100)]);
    way.has_seen(1, 30);
    way.has_come_to(way.bytes);
    assert_eq!(done(&progress), 100);
    let mut none = LogWay::new(&progress, Vec::new());
    none.has_seen(1, 30);
    assert_eq!(done(&progress), 100);
}
