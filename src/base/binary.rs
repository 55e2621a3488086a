//! Rounding to a binary floating point format, and hexadecimal text such as `0x1.8p3`.

/// A binary format: `mantissa * 2^exponent` with an integer mantissa.
#[derive(Clone, Copy)]
pub(super) struct Format {
    /// Bits of a mantissa, 64 at most.
    pub mantissa_bits: u32,
    /// The exponent of the smallest number above zero.
    pub exponent_min: i32,
    /// The exponent of the largest finite number.
    pub exponent_max: i32,
}

/// The number nearest to `wide * 2^exponent` (to even on a tie), as mantissa and exponent.
///
/// - `has_more`: the true value lies above `wide`, by less than 1.
/// - `None` where that is too large. Zero comes back as `(0, exponent_min)`.
pub(super) fn round(
    wide: u128,
    has_more: bool,
    exponent: i32,
    format: Format,
) -> Option<(u64, i32)> {
    if wide == 0 {
        return Some((0, format.exponent_min));
    }
    let bits = 128 - wide.leading_zeros();
    // Bits to drop: down to the mantissa's size, and more if the exponent would be too small.
    let surplus = bits as i32 - format.mantissa_bits as i32;
    let drop = surplus.max(format.exponent_min.saturating_sub(exponent));
    let (mut mantissa, mut exponent) = if drop <= 0 {
        let shift = drop.unsigned_abs();
        ((wide << shift) as u64, exponent - shift as i32)
    } else {
        let kept = wide.checked_shr(drop as u32).unwrap_or(0) as u64;
        // The dropped bits against half of the last kept bit.
        let is_up = if drop > 128 {
            false
        } else {
            let half = 1u128 << (drop - 1);
            let dropped = wide & (half | (half - 1));
            dropped > half || (dropped == half && (has_more || kept & 1 == 1))
        };
        let exponent = exponent + drop;
        match kept.checked_add(u64::from(is_up)) {
            Some(mantissa) => (mantissa, exponent),
            None => (1 << 63, exponent + 1),
        }
    };
    if format.mantissa_bits < 64 && mantissa >> format.mantissa_bits != 0 {
        mantissa >>= 1;
        exponent += 1;
    }
    if mantissa == 0 {
        return Some((0, format.exponent_min));
    }
    (exponent <= format.exponent_max).then_some((mantissa, exponent))
}

/// A decimal exponent's text, sign allowed; numbers beyond a million come back as a million.
pub(super) fn parse_exponent(text: &[u8]) -> Option<i32> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0i32, |size, digit| {
        (size * 10 + i32::from(digit - b'0')).min(1_000_000)
    });
    Some(if is_negative { -size } else { size })
}

/// What follows `0x`: `(wide, has_more, exponent)` as [`round`] takes them.
pub(super) fn parse_hex(text: &[u8]) -> Option<(u128, bool, i32)> {
    let (digits, exponent) = match text.iter().position(|byte| matches!(byte, b'p' | b'P')) {
        Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let (mut wide, mut has_more, mut exponent) = (0u128, false, exponent);
    let (mut has_digit, mut has_point) = (false, false);
    for &byte in digits {
        if byte == b'.' && !has_point {
            has_point = true;
            continue;
        }
        let digit = char::from(byte).to_digit(16)?;
        has_digit = true;
        if wide >> 120 == 0 {
            wide = wide << 4 | u128::from(digit);
            exponent -= if has_point { 4 } else { 0 };
        } else {
            has_more |= digit != 0;
            exponent += if has_point { 0 } else { 4 };
        }
    }
    has_digit.then_some((wide, has_more, exponent))
}
