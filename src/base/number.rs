//! Numbers to text and back, strictly: one text for one integer, one shortest text for one double.
//!
//! Promises  no allocation but for 17 digits; `parse_i64(write_i64(n)) == n`, and no other text parses to `n`.
//! Not here  80-bit floats: `base/extended.rs`.
//! Tests     tests/base/number.rs.

use super::{binary, grisu};

/// Two decimal digits for each number below 100: one division writes two digits.
const DIGIT_PAIRS: [[u8; 2]; 100] = digit_pairs();

const fn digit_pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
}

/// Writes the digits of `number` so that they end just before `end`; returns where they start.
///
/// `buffer[..end]` must have room for them: 20 bytes always do, anything less panics.
#[inline]
pub fn write_u64_before(buffer: &mut [u8], end: usize, mut number: u64) -> usize {
    let mut at = end;
    while number >= 100 {
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&DIGIT_PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    if number >= 10 {
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&DIGIT_PAIRS[number as usize]);
    } else {
        at -= 1;
        buffer[at] = b'0' + number as u8;
    }
    at
}

/// As [`write_u64_before`], with a `-` where one belongs; 20 bytes always do.
#[inline]
pub fn write_i64_before(buffer: &mut [u8], end: usize, number: i64) -> usize {
    let mut at = write_u64_before(buffer, end, number.unsigned_abs());
    if number < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    at
}

/// The decimal text of `number`, at the end of `buffer`.
#[inline]
pub fn write_i64(buffer: &mut [u8; 20], number: i64) -> &[u8] {
    let start = write_i64_before(buffer, 20, number);
    &buffer[start..]
}

/// How many decimal digits `number` has; 1 for 0.
#[inline]
pub fn digit_count(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// The longest text of [`write_f64`] fits with room to spare.
pub const F64_TEXT_BYTES_MAX: usize = 32;

/// The shortest text that reads back as `number`.
///
/// Whole numbers below 2^62 are written in full, `1e+19` above; small fractions in full down to about `0.000001`, then
/// as `1e-7`. Zero is `0` or `-0`; the rest is `inf`, `-inf` and `nan`.
pub fn write_f64(buffer: &mut [u8; F64_TEXT_BYTES_MAX], number: f64) -> &[u8] {
    const WHOLE_MAX: f64 = (i64::MAX / 2) as f64;
    if number.is_nan() {
        return b"nan";
    }
    if number.is_infinite() {
        return if number > 0.0 { b"inf" } else { b"-inf" };
    }
    if number == 0.0 {
        return if number.is_sign_negative() {
            b"-0"
        } else {
            b"0"
        };
    }
    if number.abs() <= WHOLE_MAX && (number as i64) as f64 == number {
        let start = write_i64_before(buffer, F64_TEXT_BYTES_MAX, number as i64);
        return &buffer[start..];
    }
    let decimal = grisu::shortest(number.abs());
    let mut out = TextCursor { buffer, len: 0 };
    if number < 0.0 {
        out.push(b"-");
    }
    out.push_decimal(&decimal.digits[..decimal.count], decimal.exponent);
    let len = out.len;
    &buffer[..len]
}

/// `number` with 17 significant digits, zeros at their end left out: C's `%.17g`.
///
/// - Cost: that of [`write_f64`] for whole numbers below 10^17, whose texts are the same; all digits of others are found by
///   long division, with three allocations.
pub fn write_f64_with_17_digits(buffer: &mut [u8; F64_TEXT_BYTES_MAX], number: f64) -> &[u8] {
    if !number.is_finite() || (number.abs() < 1e17 && number.trunc() == number) {
        return write_f64(buffer, number);
    }
    let text = format!("{:.16e}", number.abs());
    let (digits, exponent) = text.split_once('e').expect("it is written with one");
    let exponent: i32 = exponent.parse().expect("and with a number after it");
    let digits: String = digits.chars().filter(|digit| *digit != '.').collect();
    let text = general_text(number < 0.0, &digits, exponent);
    let mut out = TextCursor { buffer, len: 0 };
    out.push(text.as_bytes());
    let len = out.len;
    &buffer[..len]
}

/// Digits as C's `%.17g` lays them out, zeros at their end left out.
///
/// - `digits`: 1 to 17, of which the first is not 0.
/// - `exponent`: of the first digit, as a power of ten.
pub(super) fn general_text(is_negative: bool, digits: &str, exponent: i32) -> String {
    const DIGITS_COUNT: i32 = 17;
    let digits = digits.trim_end_matches('0');
    let sign = if is_negative { "-" } else { "" };
    let point = (exponent + 1).max(0) as usize;
    if !(-4..DIGITS_COUNT).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{sign}{first}{dot}{rest}e{exponent:+03}")
    } else if exponent < 0 {
        let zeros = "0".repeat((-exponent - 1) as usize);
        format!("{sign}0.{zeros}{digits}")
    } else if digits.len() <= point {
        let zeros = "0".repeat(point - digits.len());
        format!("{sign}{digits}{zeros}")
    } else {
        let (whole, part) = digits.split_at(point);
        format!("{sign}{whole}.{part}")
    }
}

struct TextCursor<'b> {
    buffer: &'b mut [u8; F64_TEXT_BYTES_MAX],
    len: usize,
}

impl TextCursor<'_> {
    fn push(&mut self, text: &[u8]) {
        self.buffer[self.len..self.len + text.len()].copy_from_slice(text);
        self.len += text.len();
    }

    /// `digits` times ten to the `exponent`, in full where that is short, else with an `e`.
    fn push_decimal(&mut self, digits: &[u8], exponent: i32) {
        let count = digits.len() as i32;
        let scientific = exponent + count - 1;
        if exponent >= 0 && scientific < count + 7 {
            self.push(digits);
            (0..exponent).for_each(|_| self.push(b"0"));
        } else if exponent < 0 && (exponent > -7 || scientific.abs() < 4) {
            let whole = count + exponent;
            if whole <= 0 {
                self.push(b"0.");
                (whole..0).for_each(|_| self.push(b"0"));
                self.push(digits);
            } else {
                self.push(&digits[..whole as usize]);
                self.push(b".");
                self.push(&digits[whole as usize..]);
            }
        } else {
            self.push(&digits[..1]);
            if count > 1 {
                self.push(b".");
                self.push(&digits[1..]);
            }
            self.push(if scientific < 0 { b"e-" } else { b"e+" });
            let mut text = [0u8; 20];
            self.push(write_i64(&mut text, i64::from(scientific.abs())));
        }
    }
}

/// An integer in its one canonical form: no spaces, no `+`, no leading zeros, no `-0`.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] => {
            let magnitude = parse_digits(digits)?;
            if magnitude == 0 || magnitude > i64::MIN.unsigned_abs() {
                return None;
            }
            Some((magnitude as i64).wrapping_neg())
        }
        digits => i64::try_from(parse_digits(digits)?).ok(),
    }
}

/// As [`parse_i64`], for 0 to 2^64 - 1.
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    parse_digits(text)
}

/// Canonical digits: `0`, or 1 to 20 digits of which the first is not 0.
#[inline]
fn parse_digits(digits: &[u8]) -> Option<u64> {
    let (&first, rest) = digits.split_first()?;
    let mut number = u64::from(first.wrapping_sub(b'0'));
    if number > 9 || (number == 0 && !rest.is_empty()) {
        return None;
    }
    if rest.len() <= 18 {
        // 19 digits cannot pass 2^64: no overflow checks.
        for &byte in rest {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            number = number * 10 + u64::from(digit);
        }
        return Some(number);
    }
    if rest.len() > 19 {
        return None;
    }
    for &byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(number)
}

const DOUBLE: binary::Format = binary::Format {
    mantissa_bits: 53,
    exponent_min: -1074,
    exponent_max: 971,
};

/// A double as Redis reads one: all of the text, decimal or hexadecimal (`0x1.8p3`), `inf` and `infinity` in any case.
///
/// `None` for `nan`, spaces, trailing bytes, and numbers too large or too small for a double.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let (is_negative, unsigned) = match text {
        [b'-', unsigned @ ..] => (true, unsigned),
        [b'+', unsigned @ ..] => (false, unsigned),
        unsigned => (false, unsigned),
    };
    let number = match unsigned {
        [b'0', b'x' | b'X', hex @ ..] => {
            let (wide, has_more, exponent) = binary::parse_hex(hex)?;
            let (mantissa, exponent) = binary::round(wide, has_more, exponent, DOUBLE)?;
            if mantissa == 0 && wide != 0 {
                return None;
            }
            // Two steps, for 2^-1074 alone is no normal number; both products are exact.
            let half = exponent / 2;
            mantissa as f64 * 2f64.powi(half) * 2f64.powi(exponent - half)
        }
        [b'0'..=b'9' | b'.', ..] => {
            let number: f64 = std::str::from_utf8(unsigned).ok()?.parse().ok()?;
            if number.is_infinite() || (number == 0.0 && has_nonzero_digit(unsigned)) {
                return None;
            }
            number
        }
        _ if unsigned.eq_ignore_ascii_case(b"inf") => f64::INFINITY,
        _ if unsigned.eq_ignore_ascii_case(b"infinity") => f64::INFINITY,
        _ => return None,
    };
    Some(if is_negative { -number } else { number })
}

fn has_nonzero_digit(decimal: &[u8]) -> bool {
    decimal
        .iter()
        .take_while(|byte| !matches!(byte, b'e' | b'E'))
        .any(|byte| matches!(byte, b'1'..=b'9'))
}

/// Bytes written as a configuration file does: `1024`, `1k` (1,000), `1kb` (1,024), `m`, `mb`, `g`, `gb`, `b`, any case.
///
/// `None` for signs, unknown units and what passes 2^64. Without digits it is 0, as in Redis.
pub fn parse_memory(text: &[u8]) -> Option<u64> {
    let digits_count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, unit) = text.split_at(digits_count);
    let unit_bytes = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let number = digits.iter().try_fold(0u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })?;
    number.checked_mul(unit_bytes)
}
