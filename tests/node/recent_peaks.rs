//! Which seconds still count.

use rondo::node::recent_peaks::RecentPeaks;

/// The most of a second counts in that and in the six after it.
#[test]
fn a_peak_is_recent_for_seven_seconds() {
    let mut peaks = RecentPeaks::default();
    assert_eq!(peaks.max(100), 0);
    for value in [5, 900, 7] {
        peaks.note(100, value);
    }
    for now_s in 101..=106 {
        peaks.note(now_s, 30);
        assert_eq!(peaks.max(now_s), 900, "at {now_s}");
    }
    assert_eq!(peaks.max(107), 30, "of those after it");
    peaks.note(107, 1);
    assert_eq!(peaks.max(112), 30);
    assert_eq!(peaks.max(113), 1);
    assert_eq!(peaks.max(114), 0);
}

/// What a clock that was set back has noted does not stay.
#[test]
fn what_is_to_come_is_not_recent() {
    let mut peaks = RecentPeaks::default();
    peaks.note(1_000, 900);
    assert_eq!(peaks.max(990), 0);
    peaks.note(993, 2);
    assert_eq!(peaks.max(994), 2);
    peaks.note(-1, 3);
    assert_eq!(peaks.max(-1), 3);
}
