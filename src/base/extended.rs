//! x86's 80-bit float in software: INCRBYFLOAT's arithmetic, whatever the machine.
//!
//!     value = mantissa * 2^exponent      mantissa: 64 bits; exponent: -16445 to 16320
//!
//! Promises  parsing and adding round once, to nearest and to even on a tie; text is `%.17Lf` without trailing zeros.
//!           So every result is the one that a Redis on x86-64 stores, to the byte.
//! Not here  NaN: no text gives one, and infinity minus infinity is reported as not finite, as all sums with infinity are.
//! Cost      plain decimals take one 128-bit division; only exponents beyond 27 and more than 19 digits need long numbers.
//! Tests     tests/base/extended.rs: sums recorded from a real server; fuzz/.

use std::cmp::Ordering;
use std::ops::{Add, Neg};

use super::binary::{self, Format};
use super::number::general_text;

const FORMAT: Format = Format {
    mantissa_bits: 64,
    exponent_min: -16445,
    exponent_max: 16320,
};
const EXPONENT_INFINITE: i32 = i32::MAX;

/// Longer texts are no number, as in Redis.
const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;
/// Any number with its first digit at least here is too large.
const DECIMAL_EXPONENT_MAX: i64 = 4933;
/// Any number with its first digit below here rounds to zero.
const DECIMAL_EXPONENT_MIN: i64 = -4952;

/// A number as the x87 unit has it: 64 bits of mantissa.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    is_negative: bool,
    /// The top bit is set unless the number is zero or has the smallest exponent.
    mantissa: u64,
    exponent: i32,
}

impl Extended {
    /// Zero.
    pub const ZERO: Self = Self {
        is_negative: false,
        mantissa: 0,
        exponent: FORMAT.exponent_min,
    };

    /// Exact for every `number`.
    pub fn from_i64(number: i64) -> Self {
        Self::rounded(number < 0, u128::from(number.unsigned_abs()), false, 0)
    }

    /// Reads what C's `strtold` reads, if that is all of the text: decimal, hexadecimal, `inf`, `infinity`.
    ///
    /// `None` for anything else, for `nan`, for leading space, for more than 5,119 bytes, and for what is too large or rounds
    /// to zero without being zero.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (is_negative, unsigned) = match text {
            [b'-', unsigned @ ..] => (true, unsigned),
            [b'+', unsigned @ ..] => (false, unsigned),
            unsigned => (false, unsigned),
        };
        let number = match unsigned {
            [b'0', b'x' | b'X', hex @ ..] => {
                let (wide, has_more, exponent) = binary::parse_hex(hex)?;
                let number = Self::rounded(is_negative, wide, has_more, exponent);
                if number.mantissa == 0 && wide != 0 {
                    return None;
                }
                number
            }
            [b'0'..=b'9' | b'.', ..] => parse_decimal(is_negative, unsigned)?,
            _ if unsigned.eq_ignore_ascii_case(b"inf")
                || unsigned.eq_ignore_ascii_case(b"infinity") =>
            {
                return Some(Self::infinite(is_negative));
            }
            _ => return None,
        };
        number.is_finite().then_some(number)
    }

    /// False for infinity, and for every sum with it.
    pub fn is_finite(self) -> bool {
        self.exponent != EXPONENT_INFINITE
    }

    /// Appends the text: `%.17Lf`, then trailing zeros and a bare point cut off. At most 4,952 bytes.
    pub fn write(self, out: &mut Vec<u8>) {
        let start = out.len();
        if self.is_negative {
            out.push(b'-');
        }
        if !self.is_finite() {
            return out.extend_from_slice(b"inf");
        }
        if self.exponent >= 0 {
            return write_shifted(self.mantissa, self.exponent as u32, out);
        }
        let (whole, fraction) = self.split_fraction();
        out.extend_from_slice(whole.to_string().as_bytes());
        if fraction != 0 {
            out.push(b'.');
            out.extend_from_slice(format!("{fraction:017}").as_bytes());
            let zeros = out.iter().rev().take_while(|&&byte| byte == b'0').count();
            out.truncate(out.len() - zeros);
        }
        if out[start..] == *b"-0" {
            out.remove(start);
        }
    }

    /// The whole part and 17 decimals, rounded to even on a tie. For exponents below 0.
    fn split_fraction(self) -> (u64, u64) {
        const SCALE: u64 = 100_000_000_000_000_000;
        let shift = self.exponent.unsigned_abs();
        let (whole, part) = match shift {
            0..64 => (
                self.mantissa >> shift,
                self.mantissa & ((1u64 << shift) - 1),
            ),
            _ => (0, self.mantissa),
        };
        // Below 2^121.
        let scaled = u128::from(part) * u128::from(SCALE);
        if shift > 121 {
            return (whole, 0);
        }
        let mut fraction = (scaled >> shift) as u64;
        let half = 1u128 << (shift - 1);
        let rest = scaled & (half | (half - 1));
        if rest > half || (rest == half && fraction & 1 == 1) {
            fraction += 1;
        }
        if fraction == SCALE {
            (whole + 1, 0)
        } else {
            (whole, fraction)
        }
    }

    /// The text with 17 significant digits: `%.17Lg`.
    ///
    /// - Cost: O(exponent squared), some milliseconds for the smallest and the largest numbers.
    pub fn text_with_17_digits(self) -> String {
        const DIGITS_COUNT: usize = 17;
        let sign = if self.is_negative { "-" } else { "" };
        if !self.is_finite() {
            return format!("{sign}inf");
        }
        if self.mantissa == 0 {
            return format!("{sign}0");
        }
        // A number is `digits / 10^decimals` with exact digits, for 2^-n = 5^n / 10^n.
        let decimals = (-self.exponent).max(0);
        let mut exact = if self.exponent >= 0 {
            let mut text = Vec::new();
            write_shifted(self.mantissa, self.exponent as u32, &mut text);
            text
        } else {
            digits_of_product(self.mantissa, decimals as u32)
        };
        let mut exponent = exact.len() as i32 - 1 - decimals;
        if exact.len() > DIGITS_COUNT {
            let rest = exact.split_off(DIGITS_COUNT);
            let is_odd = exact.last().is_some_and(|digit| digit & 1 == 1);
            let is_tie = rest[0] == b'5' && rest[1..].iter().all(|&digit| digit == b'0');
            if if is_tie { is_odd } else { rest[0] >= b'5' } {
                let nines = exact
                    .iter()
                    .rev()
                    .take_while(|&&digit| digit == b'9')
                    .count();
                exact.truncate(exact.len() - nines);
                match exact.last_mut() {
                    Some(digit) => *digit += 1,
                    None => {
                        exact.push(b'1');
                        exponent += 1;
                    }
                }
            }
        }
        general_text(self.is_negative, &String::from_utf8_lossy(&exact), exponent)
    }

    /// Exact for every `number`.
    pub fn from_f64(number: f64) -> Self {
        if number.is_infinite() {
            return Self::infinite(number < 0.0);
        }
        let bits = number.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, exponent) = match (bits >> 52 & 0x7ff) as i32 {
            0 => (fraction, -1074),
            biased => (fraction | 1 << 52, biased - 1075),
        };
        Self::rounded(
            number.is_sign_negative(),
            u128::from(mantissa),
            false,
            exponent,
        )
    }

    /// The number without its fraction; `None` where the number itself is beyond 64 bits.
    pub fn to_i64(self) -> Option<i64> {
        let (whole, has_fraction) = match self.exponent {
            _ if self.mantissa == 0 => (0, false),
            0 => (self.mantissa, false),
            exponent @ -63..0 => {
                let whole = self.mantissa >> -exponent;
                (whole, whole << -exponent != self.mantissa)
            }
            ..-63 => (0, true),
            1.. => return None,
        };
        match (self.is_negative, i64::try_from(whole)) {
            (false, Ok(i64::MAX)) if has_fraction => None,
            (false, whole) => whole.ok(),
            (true, Ok(whole)) => Some(-whole),
            (true, Err(_)) => (whole == i64::MIN.unsigned_abs()).then_some(i64::MIN),
        }
    }

    /// The finite number farthest from zero on that side.
    pub fn largest(is_negative: bool) -> Self {
        Self {
            is_negative,
            mantissa: u64::MAX,
            exponent: FORMAT.exponent_max,
        }
    }

    /// Whether it is below zero, or the zero that has a sign.
    pub fn is_negative(self) -> bool {
        self.is_negative
    }

    /// Which of the two is larger; both zeros are equal, and so are infinities of one sign.
    pub fn compare(self, other: Self) -> Ordering {
        let magnitude =
            |number: Self| (number.mantissa != 0).then_some((number.exponent, number.mantissa));
        match (self.is_negative, other.is_negative) {
            _ if self.mantissa == 0 && other.mantissa == 0 => Ordering::Equal,
            (false, false) => magnitude(self).cmp(&magnitude(other)),
            (true, true) => magnitude(other).cmp(&magnitude(self)),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }

    fn infinite(is_negative: bool) -> Self {
        Self {
            is_negative,
            mantissa: 1 << 63,
            exponent: EXPONENT_INFINITE,
        }
    }

    fn rounded(is_negative: bool, wide: u128, has_more: bool, exponent: i32) -> Self {
        match binary::round(wide, has_more, exponent, FORMAT) {
            Some((mantissa, exponent)) => Self {
                is_negative,
                mantissa,
                exponent,
            },
            None => Self::infinite(is_negative),
        }
    }
}

/// The digits of `number * 5^power`.
fn digits_of_product(number: u64, power: u32) -> Vec<u8> {
    const LIMB: u64 = 1_000_000_000;
    const STEP: u32 = 13; // 5^13 is the largest below 2^32.
    let mut limbs = vec![number % LIMB, number / LIMB % LIMB, number / LIMB / LIMB];
    let mut left = power;
    while left > 0 {
        let step = left.min(STEP);
        left -= step;
        let factor = 5u64.pow(step);
        let mut carry = 0;
        for limb in &mut limbs {
            let product = *limb * factor + carry;
            *limb = product % LIMB;
            carry = product / LIMB;
        }
        while carry > 0 {
            limbs.push(carry % LIMB);
            carry /= LIMB;
        }
    }
    let mut text = String::new();
    for limb in limbs.iter().rev() {
        text += &format!("{limb:09}");
    }
    text.trim_start_matches('0').as_bytes().to_vec()
}

impl Add for Extended {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        /// Room below the larger number's last bit, so that what falls off is far below the rounding.
        const SPARE_BITS: u32 = 62;
        if !self.is_finite() || !other.is_finite() {
            return Self::infinite(self.is_negative);
        }
        if self.mantissa == 0 {
            return other;
        }
        if other.mantissa == 0 {
            return self;
        }
        let (larger, smaller) =
            match (self.exponent, self.mantissa).cmp(&(other.exponent, other.mantissa)) {
                Ordering::Less => (other, self),
                _ => (self, other),
            };
        let distance = larger.exponent.abs_diff(smaller.exponent);
        let wide = u128::from(larger.mantissa) << SPARE_BITS;
        let whole = u128::from(smaller.mantissa) << SPARE_BITS;
        let shifted = whole.checked_shr(distance).unwrap_or(0);
        let has_lost = shifted.checked_shl(distance).unwrap_or(0) != whole;
        let exponent = larger.exponent - SPARE_BITS as i32;
        let sum = if larger.is_negative == smaller.is_negative {
            wide + shifted
        } else {
            // What was lost would have been taken away too: one less, and a bit more than that.
            wide - shifted - u128::from(has_lost)
        };
        let is_negative = larger.is_negative && sum != 0;
        Self::rounded(is_negative, sum, has_lost, exponent)
    }
}

impl Neg for Extended {
    type Output = Self;

    fn neg(self) -> Self {
        Self {
            is_negative: !self.is_negative,
            ..self
        }
    }
}

/// Text that starts with a digit or a point, without a sign.
fn parse_decimal(is_negative: bool, text: &[u8]) -> Option<Extended> {
    let (mantissa_text, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], binary::parse_exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let mut digits = Vec::with_capacity(mantissa_text.len());
    let (mut has_digit, mut decimals) = (false, None);
    for &byte in mantissa_text {
        match byte {
            b'.' if decimals.is_none() => decimals = Some(0i64),
            b'0'..=b'9' => {
                has_digit = true;
                if byte != b'0' || !digits.is_empty() {
                    digits.push(byte - b'0');
                }
                if let Some(count) = &mut decimals {
                    *count += 1;
                }
            }
            _ => return None,
        }
    }
    if !has_digit {
        return None;
    }
    let mut exponent = i64::from(exponent) - decimals.unwrap_or(0);
    while digits.last() == Some(&0) {
        digits.pop();
        exponent += 1;
    }
    if digits.is_empty() {
        return Some(Extended {
            is_negative,
            ..Extended::ZERO
        });
    }
    let first_digit_exponent = exponent + digits.len() as i64 - 1;
    if !(DECIMAL_EXPONENT_MIN..DECIMAL_EXPONENT_MAX).contains(&first_digit_exponent) {
        return None;
    }
    let exponent = exponent as i32;
    let number = if digits.len() <= 19 && exponent.abs() <= 27 {
        parse_short(is_negative, &digits, exponent)
    } else {
        parse_long(is_negative, &digits, exponent)
    };
    (number.mantissa != 0).then_some(number)
}

/// Digits that fit 64 bits, times or divided by a power of five that does: exact in 128 bits.
fn parse_short(is_negative: bool, digits: &[u8], exponent: i32) -> Extended {
    let integer = digits
        .iter()
        .fold(0u64, |integer, &digit| integer * 10 + u64::from(digit));
    let power = u128::from(5u64.pow(exponent.unsigned_abs()));
    if exponent >= 0 {
        return Extended::rounded(is_negative, u128::from(integer) * power, false, exponent);
    }
    let shift = u128::from(integer).leading_zeros();
    // The dividend's top bit is set and the divisor is below 2^63: 65 bits or more remain, one past the mantissa.
    let dividend = u128::from(integer) << shift;
    Extended::rounded(
        is_negative,
        dividend / power,
        dividend % power != 0,
        exponent - shift as i32,
    )
}

/// The general case, in long numbers of at most about 34,000 bits.
fn parse_long(is_negative: bool, digits: &[u8], exponent: i32) -> Extended {
    let mut numerator = Long::from_digits(digits);
    if exponent >= 0 {
        numerator.multiply_by_power_of_ten(exponent as u32);
        let (wide, has_more, dropped_bits) = numerator.top_bits();
        return Extended::rounded(is_negative, wide, has_more, dropped_bits as i32);
    }
    let mut denominator = Long::from_digits(&[1]);
    denominator.multiply_by_power_of_ten(exponent.unsigned_abs());
    // Scaled so that the quotient is from 2^(QUOTIENT_BITS - 1) up to 2^(QUOTIENT_BITS + 1), then one bit at a time.
    const QUOTIENT_BITS: i64 = 67;
    let scale = QUOTIENT_BITS + denominator.bits() as i64 - numerator.bits() as i64;
    if scale >= 0 {
        numerator.shift_left(scale as u32);
    } else {
        denominator.shift_left(scale.unsigned_abs() as u32);
    }
    denominator.shift_left(QUOTIENT_BITS as u32 + 1);
    let mut quotient = 0u128;
    for _ in 0..QUOTIENT_BITS + 2 {
        quotient <<= 1;
        if numerator.compare(&denominator) != Ordering::Less {
            numerator.subtract(&denominator);
            quotient |= 1;
        }
        denominator.halve();
    }
    let has_more = numerator.bits() != 0;
    Extended::rounded(is_negative, quotient, has_more, -scale as i32)
}

/// `mantissa * 2^shift` in decimal.
fn write_shifted(mantissa: u64, shift: u32, out: &mut Vec<u8>) {
    const BASE: u64 = 1_000_000_000;
    if let Some(exact) = u128::from(mantissa)
        .checked_shl(shift)
        .filter(|_| shift < 64)
    {
        return out.extend_from_slice(exact.to_string().as_bytes());
    }
    // Groups of nine decimal digits, lowest first; 32 bits of shift a round.
    let mut groups = vec![
        mantissa % BASE,
        mantissa / BASE % BASE,
        mantissa / BASE / BASE,
    ];
    let mut left = shift;
    while left > 0 {
        let step = left.min(32);
        let mut carry = 0;
        for group in &mut groups {
            let grown = (*group << step) + carry;
            *group = grown % BASE;
            carry = grown / BASE;
        }
        while carry > 0 {
            groups.push(carry % BASE);
            carry /= BASE;
        }
        left -= step;
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let top = groups.pop().unwrap_or(0);
    out.extend_from_slice(top.to_string().as_bytes());
    for group in groups.iter().rev() {
        out.extend_from_slice(format!("{group:09}").as_bytes());
    }
}

/// A natural number of any size: 32 bits a limb, lowest first, no zero limb on top.
struct Long {
    limbs: Vec<u32>,
}

impl Long {
    fn from_digits(digits: &[u8]) -> Self {
        let mut long = Self { limbs: Vec::new() };
        for nine in digits.chunks(9) {
            let number = nine
                .iter()
                .fold(0u32, |number, &digit| number * 10 + u32::from(digit));
            long.multiply_and_add(10u32.pow(nine.len() as u32), number);
        }
        long
    }

    fn multiply_by_power_of_ten(&mut self, mut power: u32) {
        while power > 0 {
            let step = power.min(9);
            self.multiply_and_add(10u32.pow(step), 0);
            power -= step;
        }
    }

    fn multiply_and_add(&mut self, factor: u32, addend: u32) {
        let mut carry = u64::from(addend);
        for limb in &mut self.limbs {
            let product = u64::from(*limb) * u64::from(factor) + carry;
            *limb = product as u32;
            carry = product >> 32;
        }
        if carry != 0 {
            self.limbs.push(carry as u32);
        }
    }

    fn shift_left(&mut self, bits: u32) {
        let rest = bits % 32;
        if rest != 0 {
            self.multiply_and_add(1 << rest, 0);
        }
        let zeros = (bits / 32) as usize;
        self.limbs.splice(0..0, std::iter::repeat_n(0, zeros));
    }

    fn halve(&mut self) {
        let mut carry = 0;
        for limb in self.limbs.iter_mut().rev() {
            let low = *limb & 1;
            *limb = *limb >> 1 | carry << 31;
            carry = low;
        }
        self.trim();
    }

    fn subtract(&mut self, smaller: &Self) {
        let mut borrow = 0i64;
        for (index, limb) in self.limbs.iter_mut().enumerate() {
            let taken = i64::from(smaller.limbs.get(index).copied().unwrap_or(0));
            let difference = i64::from(*limb) - taken + borrow;
            *limb = difference as u32;
            borrow = difference >> 32;
        }
        self.trim();
    }

    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.limbs
            .len()
            .cmp(&other.limbs.len())
            .then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev()))
    }

    /// 0 for zero.
    fn bits(&self) -> u32 {
        self.limbs
            .last()
            .map_or(0, |top| self.limbs.len() as u32 * 32 - top.leading_zeros())
    }

    /// The highest 97 bits or more, whether anything below them is not zero, and how many bits are below them.
    fn top_bits(&self) -> (u128, bool, u32) {
        let below = self.limbs.len().saturating_sub(4);
        let wide = self.limbs[below..]
            .iter()
            .rev()
            .fold(0u128, |wide, &limb| wide << 32 | u128::from(limb));
        let has_more = self.limbs[..below].iter().any(|&limb| limb != 0);
        (wide, has_more, below as u32 * 32)
    }
}
