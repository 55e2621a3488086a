//! Numbers as text: exact texts both ways.

use rondo::base::number::{
    F64_TEXT_BYTES_MAX, digit_count, parse_i64, parse_u64, write_f64, write_i64,
};

fn text_of(number: i64) -> String {
    let mut buffer = [0; 20];
    String::from_utf8(write_i64(&mut buffer, number).to_vec()).unwrap()
}

fn double_text(number: f64) -> String {
    let mut buffer = [0; F64_TEXT_BYTES_MAX];
    String::from_utf8(write_f64(&mut buffer, number).to_vec()).unwrap()
}

/// Every power of ten and its neighbours, both signs: the places where the count of digits changes.
#[test]
fn integers_are_written_as_the_standard_library_writes_them() {
    let mut numbers = vec![0, i64::MAX, i64::MIN];
    for power in 0..19 {
        let ten = 10i64.pow(power);
        numbers.extend([ten - 1, ten, ten + 1, -ten, 1 - ten, -ten - 1]);
    }
    for number in numbers {
        assert_eq!(text_of(number), number.to_string());
        assert_eq!(parse_i64(number.to_string().as_bytes()), Some(number));
        assert_eq!(
            digit_count(number.unsigned_abs()),
            number.unsigned_abs().to_string().len()
        );
    }
}

#[test]
fn only_the_canonical_text_is_an_integer() {
    for text in [
        "",
        "-",
        "+1",
        " 1",
        "1 ",
        "01",
        "00",
        "-0",
        "-01",
        "1.0",
        "1e3",
        "0x10",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999",
        "18446744073709551616",
        "1\0",
        "--1",
    ] {
        assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
    }
    assert_eq!(parse_i64(b"-9223372036854775808"), Some(i64::MIN));
    assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
    assert_eq!(parse_u64(b"18446744073709551616"), None);
    assert_eq!(parse_u64(b"99999999999999999999"), None);
    assert_eq!(parse_u64(b"100000000000000000000"), None);
    assert_eq!(parse_u64(b"-1"), None);
}

#[test]
fn doubles_have_the_texts_redis_gives_them() {
    for (number, text) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (3.1, "3.1"),
        (-3.25, "-3.25"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e15, "1000000000000000"),
        (1e18, "1000000000000000000"),
        (1e19, "1e+19"),
        (-1.5e300, "-1.5e+300"),
        (0.001, "0.001"),
        (0.000001, "0.000001"),
        (0.0000001, "1e-7"),
        (0.0001234, "1.234e-4"),
        (123456.789, "123456.789"),
        (f64::MAX, "1.7976931348623157e+308"),
        (5e-324, "5e-324"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ] {
        assert_eq!(double_text(number), text);
    }
}
