//! Numbers as text: exact texts both ways.

use rondo::base::number::{
    F64_TEXT_BYTES_MAX, digit_count, parse_f64, parse_i64, parse_memory, parse_u64, write_f64,
    write_f64_with_17_digits, write_i64,
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

/// Recorded with ZADD and ZSCORE.
#[test]
fn doubles_are_read_as_redis_reads_them() {
    for (text, expected) in [
        ("+5", 5.0),
        ("5.", 5.0),
        (".5", 0.5),
        ("-.5", -0.5),
        ("+.5", 0.5),
        ("00012", 12.0),
        ("1e+5", 100_000.0),
        ("1E5", 100_000.0),
        ("0x10", 16.0),
        ("0X1.8p1", 3.0),
        ("-0x10", -16.0),
        ("+0x10", 16.0),
        ("0x.8", 0.5),
        ("0x1p-1074", 5e-324),
        ("0x1.fffffffffffffp1023", f64::MAX),
        ("0x1.fffffffffffff8p0", 2.0),
        ("0x1.00000000000008p0", 1.0),
        ("0x1.000000000000081p0", 1.000_000_000_000_000_2),
        ("0x1.00000000000018p0", 1.000_000_000_000_000_4),
        ("4e-320", 4e-320),
        ("3e-324", 5e-324),
        ("0e99999999999999999999", 0.0),
        ("inf", f64::INFINITY),
        ("+inf", f64::INFINITY),
        ("-Infinity", f64::NEG_INFINITY),
    ] {
        assert_eq!(parse_f64(text.as_bytes()), Some(expected), "{text}");
    }
    for text in [
        "",
        " 1",
        "1 ",
        ".",
        "-.",
        "+",
        "--1",
        "1e",
        "1e+",
        "1_0",
        "nan",
        "-nan",
        "nan(1)",
        "infx",
        "in",
        "0x",
        "0xg",
        "0x1p-1074x",
        "0x1p-1080",
        "0x1p2000",
        "1e400",
        "-1e400",
        "1e-400",
        "2e-324",
        "1e99999999999999999999",
        "1\0",
    ] {
        assert_eq!(parse_f64(text.as_bytes()), None, "{text:?}");
    }
}

#[test]
fn memory_is_read_with_its_units() {
    for (text, expected) in [
        ("", Some(0)),
        ("b", Some(0)),
        ("5", Some(5)),
        ("5B", Some(5)),
        ("1k", Some(1000)),
        ("1KB", Some(1024)),
        ("3m", Some(3_000_000)),
        ("3mb", Some(3 << 20)),
        ("2G", Some(2_000_000_000)),
        ("1gb", Some(1 << 30)),
        ("-1", None),
        ("1.5gb", None),
        ("1t", None),
        (" 5", None),
        ("99999999999999999999", None),
        ("18446744073709551615k", None),
    ] {
        assert_eq!(parse_memory(text.as_bytes()), expected, "{text:?}");
    }
}

/// Recorded with ZADD and ZSCORE, a sample of 60,000 that all agreed. The first twenty are where an exact method differs.
#[test]
#[rustfmt::skip]
fn doubles_have_the_digits_of_a_real_server() {
    for (number, text) in [
        (2044397304271148.8, "2044397304271148.7"),
        (1078048025344408.2, "1078048025344408.3"),
        (71560868395444.12, "71560868395444.13"),
        (162213085004543.12, "162213085004543.13"),
        (949151771633345.2, "949151771633345.3"),
        (131322736614364.88, "131322736614364.87"),
        (1784337553757630.2, "1784337553757630.3"),
        (619099420889557.8, "619099420889557.7"),
        (105460310018663.12, "105460310018663.13"),
        (190795874515888.38, "190795874515888.37"),
        (1625801959458440.2, "1625801959458440.3"),
        (1844044050840496.2, "1844044050840496.3"),
        (7.559338873016e18, "7559338873016001000"),
        (4.009512889676693e214, "4.0095128896766932e+214"),
        (1.8845718846961767e284, "1.8845718846961768e+284"),
        (4.1192399144121134e120, "4.1192399144121133e+120"),
        (5.937582257528991e180, "5.9375822575289905e+180"),
        (3.2855206141214756e-82, "3.2855206141214755e-82"),
        (7.3861704713133615e286, "7.3861704713133614e+286"),
        (1.8655290912059553e-124, "1.8655290912059554e-124"),
        (0.21679582465677616, "0.21679582465677616"),
        (581.936060630601, "581.936060630601"),
        (4.1764834384503323e-231, "4.1764834384503323e-231"),
        (4.625790708456925e279, "4.625790708456925e+279"),
        (1873170.739925483, "1.873170739925483e+6"),
        (4044297.4, "4044297.4"),
        (92363686.4, "92363686.4"),
        (0.17932, "0.17932"),
        (4.425752560029348e226, "4.425752560029348e+226"),
        (6.436458588634713, "6.436458588634713"),
        (4.336601255974382e202, "4.336601255974382e+202"),
        (7.951703570505204e22, "79517035705052040000000"),
        (0.11808241696945485, "0.11808241696945485"),
        (612711.6397753186, "6.127116397753186e+5"),
        (3.3881811632326526e-213, "3.3881811632326526e-213"),
        (37347.71168818488, "3.734771168818488e+4"),
        (3.962740039692789e19, "39627400396927890000"),
        (1.7378492981501776e21, "1737849298150177600000"),
        (422.382602401447, "422.382602401447"),
        (413192143.39710766, "4.1319214339710766e+8"),
        (1.619400227334863e75, "1.619400227334863e+75"),
        (0.630788647910554, "0.630788647910554"),
        (72844.34093361185, "7.284434093361185e+4"),
        (6469.865484883248, "6469.865484883248"),
    ] {
        let number: f64 = number;
        assert_eq!(double_text(number), text);
        assert_eq!(text.parse(), Ok(number));
    }
}

// What C prints for `%.17g`.
#[test]
fn seventeen_digits_are_those_of_c() {
    for (number, text) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (0.1, "0.10000000000000001"),
        (-2.5, "-2.5"),
        (-3.0, "-3"),
        (1e16, "10000000000000000"),
        (-99_999_999_999_999_984.0, "-99999999999999984"),
        (1e17, "1e+17"),
        (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
        (0.0001, "0.0001"),
        (0.00001234, "1.234e-05"),
        (5e-324, "4.9406564584124654e-324"),
        (1e300, "1.0000000000000001e+300"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        let mut buffer = [0; F64_TEXT_BYTES_MAX];
        let written = write_f64_with_17_digits(&mut buffer, number);
        assert_eq!(written, text.as_bytes(), "{number}");
    }
}
