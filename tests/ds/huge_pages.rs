//! When huge pages are made, and when not.

use rondo::ds::huge_pages::Rests;
use std::time::{Duration, Instant};

/// A guest whose host backs memory slowly waits for one in a thousand times that.
#[test]
fn after_a_slow_one_there_is_none_for_a_thousand_times_as_long() {
    let (mut rests, start) = (Rests::default(), Instant::now());
    assert!(rests.are_over(start));
    assert!(rests.note(Duration::from_micros(400), start));
    assert!(rests.are_over(start));
    assert!(!rests.note(Duration::from_millis(3), start));
    assert!(!rests.are_over(start + Duration::from_millis(2999)));
    assert!(rests.are_over(start + Duration::from_secs(3)));
    // One that was begun before does not end a rest.
    assert!(rests.note(Duration::from_micros(400), start));
    assert!(!rests.are_over(start));
}

/// What is merged keeps others waiting for less than one part in two hundred of the time.
#[test]
fn after_one_that_was_merged_there_is_none_for_250_times_as_long() {
    let (mut rests, start) = (Rests::default(), Instant::now());
    assert_eq!(rests.left(start), Duration::ZERO);
    rests.note_merged(Duration::from_micros(400), start);
    assert_eq!(rests.left(start), Duration::from_millis(100));
    assert!(rests.are_over(start + Duration::from_millis(100)));
    rests.note_merged(Duration::from_millis(3), start);
    assert_eq!(rests.left(start), Duration::from_secs(3));
    rests.note_merged(Duration::from_micros(400), start);
    assert_eq!(rests.left(start), Duration::from_secs(3));
}
