//! Two numbers' texts, split at the first space: sums commute, and a sum's text reads back as a number with that text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo::base::extended::Extended;
use rondo::base::number::parse_f64;

fn text_of(number: Extended) -> Vec<u8> {
    let mut text = Vec::new();
    number.write(&mut text);
    text
}

fuzz_target!(|data: &[u8]| {
    let at = data.iter().position(|&byte| byte == b' ').unwrap_or(0);
    let (first, second) = (&data[..at], &data[(at + 1).min(data.len())..]);
    parse_f64(first);
    let (Some(first), Some(second)) = (Extended::parse(first), Extended::parse(second)) else {
        return;
    };
    let sum = first + second;
    assert_eq!(text_of(sum), text_of(second + first));
    if sum.is_finite() {
        let text = text_of(sum);
        let again = Extended::parse(&text).expect("a sum's text is a number");
        assert_eq!(text_of(again), text);
    }
});
