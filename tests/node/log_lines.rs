//! Times and values in lines of the log.

use std::time::{Duration, UNIX_EPOCH};

use rondo::node::log_lines::{logfmt_value, timestamp};

#[test]
fn a_moment_is_written_in_three_ways() {
    let moment = UNIX_EPOCH + Duration::from_millis(1_732_795_509_007);
    assert_eq!(timestamp("milliseconds", moment), "1732795509007");
    // Where this runs is anywhere: minutes differ by the zone, what the zone is ahead says by how much.
    let iso = timestamp("iso8601", moment);
    let (time, offset) = iso.split_at("2024-11-28T12:05:09.007".len());
    let number = |text: &str| text.parse::<i64>().expect("digits");
    let minutes = |of: &str| number(&of[0..2]) * 60 + number(&of[3..5]);
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let ahead = sign * minutes(&offset[1..]);
    assert_eq!(offset.len(), "+00:00".len());
    let day = number(&time[8..10]);
    let utc = (day - 28) * 24 * 60 + minutes(&time[11..16]) - ahead;
    assert_eq!(utc, 12 * 60 + 5);
    assert_eq!((&time[..8], &time[16..]), ("2024-11-", ":09.007"));
    let legacy = timestamp("legacy", moment);
    let same = format!("{} Nov 2024 {}", &time[8..10], &time[11..]);
    assert_eq!(legacy, same);
}

#[test]
fn a_value_of_several_words_stands_between_quotes() {
    for (text, expected) in [
        ("6379", "6379"),
        ("a/b.rdb", "a/b.rdb"),
        ("", "\"\""),
        ("two words", "\"two words\""),
        ("a=b", "\"a=b\""),
        ("a \"b\"\nc\\", "\"a \\\"b\\\"\\nc\\\\\""),
    ] {
        assert_eq!(logfmt_value(text), expected);
    }
}
