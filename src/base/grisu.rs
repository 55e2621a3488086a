//! Shortest digits of a double, by Grisu2.
//!
//! Promises  the digits read back as the same double, and they are the very digits Redis writes: for one double in 500 these
//!           are not the shortest or the nearest (879.303877 gives 879.3038770000001), so no exact method will do.
//! Cost      a multiplication by a power of ten from a table, then one division or multiplication a digit.
//! Source    Loitsch, "Printing floating-point numbers quickly and accurately with integers", PLDI 2010; the choice of
//!           boundaries, power and rounding of the library fpconv (Boost licence), which Redis links.
//! Tests     tests/base/number.rs: texts recorded from a real server, among them those where Grisu2 shows.

/// More digits than Grisu2 ever gives.
pub(super) const DIGITS_MAX: usize = 20;

/// `digits`, first `count` of them, times ten to the `exponent`.
pub(super) struct Decimal {
    /// ASCII digits, the first not `0`.
    pub digits: [u8; DIGITS_MAX],
    /// How many count.
    pub count: usize,
    /// The power of ten of the last digit.
    pub exponent: i32,
}

/// A number as `fraction * 2^exponent`.
#[derive(Clone, Copy)]
struct Binary {
    fraction: u64,
    exponent: i32,
}

impl Binary {
    /// The top bit of the fraction set.
    fn normalized(self) -> Self {
        let shift = self.fraction.leading_zeros();
        Self {
            fraction: self.fraction << shift,
            exponent: self.exponent - shift as i32,
        }
    }

    /// The high half of the product, rounded.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.fraction) * u128::from(other.fraction);
        Self {
            fraction: ((product + (1 << 63)) >> 64) as u64,
            exponent: self.exponent + other.exponent + 64,
        }
    }
}

/// The digits of `number`, which must be finite and above zero.
pub(super) fn shortest(number: f64) -> Decimal {
    const HIDDEN_BIT: u64 = 1 << 52;
    const EXPONENT_BIAS: i32 = 1023 + 52;
    let bits = number.to_bits();
    let biased = (bits >> 52 & 0x7ff) as i32;
    let value = Binary {
        fraction: bits & (HIDDEN_BIT - 1) | if biased == 0 { 0 } else { HIDDEN_BIT },
        exponent: biased.max(1) - EXPONENT_BIAS,
    };
    // Halfway to the doubles above and below; the one below a power of two is nearer.
    let upper = Binary {
        fraction: (value.fraction << 1) + 1,
        exponent: value.exponent - 1,
    }
    .normalized();
    let lower_shift = if value.fraction == HIDDEN_BIT { 2 } else { 1 };
    let lower_exponent = value.exponent - lower_shift;
    let lower = Binary {
        fraction: ((value.fraction << lower_shift) - 1) << (lower_exponent - upper.exponent),
        exponent: upper.exponent,
    };
    let (power, power_of_ten) = cached_power(upper.exponent);
    let value = value.normalized().times(power);
    let mut upper = upper.times(power);
    let mut lower = lower.times(power);
    // A product may be off by one in its last bit: keep inside.
    lower.fraction += 1;
    upper.fraction -= 1;
    generate(value, lower, upper, -power_of_ten)
}

/// A power of ten that brings a number with `exponent` to an exponent from -60 to -32, and which power that is.
fn cached_power(exponent: i32) -> (Binary, i32) {
    const POWER_MIN: i32 = -348;
    const POWER_STEP: i32 = 8;
    let about = (-f64::from(exponent + POWERS.len() as i32) * std::f64::consts::LOG10_2) as i32;
    let mut index = ((about - POWER_MIN) / POWER_STEP) as usize;
    loop {
        let (fraction, power_exponent) = POWERS[index];
        match exponent + i32::from(power_exponent) + 64 {
            ..-60 => index += 1,
            -31.. => index -= 1,
            _ => {
                let power = Binary {
                    fraction,
                    exponent: i32::from(power_exponent),
                };
                return (power, POWER_MIN + index as i32 * POWER_STEP);
            }
        }
    }
}

/// Digits of `upper` until what is left cannot leave the interval, then as close to `value` as that allows.
fn generate(value: Binary, lower: Binary, upper: Binary, exponent: i32) -> Decimal {
    let mut decimal = Decimal {
        digits: [0; DIGITS_MAX],
        count: 0,
        exponent,
    };
    let shift = upper.exponent.unsigned_abs();
    let one = 1u64 << shift;
    let distance = upper.fraction - value.fraction;
    let mut interval = upper.fraction - lower.fraction;
    let mut whole = upper.fraction >> shift;
    let mut part = upper.fraction & (one - 1);
    let mut divisor = 1_000_000_000u64;
    for power in (0..10).rev() {
        decimal.push(whole / divisor);
        whole %= divisor;
        let left = (whole << shift) + part;
        if left <= interval {
            decimal.exponent += power;
            decimal.approach(interval, left, divisor << shift, distance);
            return decimal;
        }
        divisor /= 10;
    }
    let mut unit = 1u64;
    loop {
        part *= 10;
        interval = interval.wrapping_mul(10);
        unit = unit.wrapping_mul(10);
        decimal.exponent -= 1;
        decimal.push(part >> shift);
        part &= one - 1;
        if part < interval || decimal.count == DIGITS_MAX {
            decimal.approach(interval, part, one, distance.wrapping_mul(unit));
            return decimal;
        }
    }
}

impl Decimal {
    /// Appends a digit; leading zeros are not kept.
    fn push(&mut self, digit: u64) {
        if (digit != 0 || self.count > 0) && self.count < DIGITS_MAX {
            self.digits[self.count] = b'0' + digit as u8;
            self.count += 1;
        }
    }

    /// Lowers the last digit while that brings the number, `left` below the upper end, nearer to `distance` below it.
    fn approach(&mut self, interval: u64, mut left: u64, step: u64, distance: u64) {
        let Some(last) = self.digits[..self.count].last_mut() else {
            return;
        };
        while left < distance
            && interval.saturating_sub(left) >= step
            && (left + step < distance || distance - left > left + step - distance)
        {
            *last -= 1;
            left += step;
        }
    }
}

/// Ten to the powers -348, -340 ... 340: 64 bits, rounded to nearest, and the exponent of two.
#[rustfmt::skip]
static POWERS: [(u64, i16); 87] = [
    (0xfa8fd5a0081c0288, -1220),
    (0xbaaee17fa23ebf76, -1193),
    (0x8b16fb203055ac76, -1166),
    (0xcf42894a5dce35ea, -1140),
    (0x9a6bb0aa55653b2d, -1113),
    (0xe61acf033d1a45df, -1087),
    (0xab70fe17c79ac6ca, -1060),
    (0xff77b1fcbebcdc4f, -1034),
    (0xbe5691ef416bd60c, -1007),
    (0x8dd01fad907ffc3c, -980),
    (0xd3515c2831559a83, -954),
    (0x9d71ac8fada6c9b5, -927),
    (0xea9c227723ee8bcb, -901),
    (0xaecc49914078536d, -874),
    (0x823c12795db6ce57, -847),
    (0xc21094364dfb5637, -821),
    (0x9096ea6f3848984f, -794),
    (0xd77485cb25823ac7, -768),
    (0xa086cfcd97bf97f4, -741),
    (0xef340a98172aace5, -715),
    (0xb23867fb2a35b28e, -688),
    (0x84c8d4dfd2c63f3b, -661),
    (0xc5dd44271ad3cdba, -635),
    (0x936b9fcebb25c996, -608),
    (0xdbac6c247d62a584, -582),
    (0xa3ab66580d5fdaf6, -555),
    (0xf3e2f893dec3f126, -529),
    (0xb5b5ada8aaff80b8, -502),
    (0x87625f056c7c4a8b, -475),
    (0xc9bcff6034c13053, -449),
    (0x964e858c91ba2655, -422),
    (0xdff9772470297ebd, -396),
    (0xa6dfbd9fb8e5b88f, -369),
    (0xf8a95fcf88747d94, -343),
    (0xb94470938fa89bcf, -316),
    (0x8a08f0f8bf0f156b, -289),
    (0xcdb02555653131b6, -263),
    (0x993fe2c6d07b7fac, -236),
    (0xe45c10c42a2b3b06, -210),
    (0xaa242499697392d3, -183),
    (0xfd87b5f28300ca0e, -157),
    (0xbce5086492111aeb, -130),
    (0x8cbccc096f5088cc, -103),
    (0xd1b71758e219652c, -77),
    (0x9c40000000000000, -50),
    (0xe8d4a51000000000, -24),
    (0xad78ebc5ac620000, 3),
    (0x813f3978f8940984, 30),
    (0xc097ce7bc90715b3, 56),
    (0x8f7e32ce7bea5c70, 83),
    (0xd5d238a4abe98068, 109),
    (0x9f4f2726179a2245, 136),
    (0xed63a231d4c4fb27, 162),
    (0xb0de65388cc8ada8, 189),
    (0x83c7088e1aab65db, 216),
    (0xc45d1df942711d9a, 242),
    (0x924d692ca61be758, 269),
    (0xda01ee641a708dea, 295),
    (0xa26da3999aef774a, 322),
    (0xf209787bb47d6b85, 348),
    (0xb454e4a179dd1877, 375),
    (0x865b86925b9bc5c2, 402),
    (0xc83553c5c8965d3d, 428),
    (0x952ab45cfa97a0b3, 455),
    (0xde469fbd99a05fe3, 481),
    (0xa59bc234db398c25, 508),
    (0xf6c69a72a3989f5c, 534),
    (0xb7dcbf5354e9bece, 561),
    (0x88fcf317f22241e2, 588),
    (0xcc20ce9bd35c78a5, 614),
    (0x98165af37b2153df, 641),
    (0xe2a0b5dc971f303a, 667),
    (0xa8d9d1535ce3b396, 694),
    (0xfb9b7cd9a4a7443c, 720),
    (0xbb764c4ca7a44410, 747),
    (0x8bab8eefb6409c1a, 774),
    (0xd01fef10a657842c, 800),
    (0x9b10a4e5e9913129, 827),
    (0xe7109bfba19c0c9d, 853),
    (0xac2820d9623bf429, 880),
    (0x80444b5e7aa7cf85, 907),
    (0xbf21e44003acdd2d, 933),
    (0x8e679c2f5e44ff8f, 960),
    (0xd433179d9c8cb841, 986),
    (0x9e19db92b4e31ba9, 1013),
    (0xeb96bf6ebadf77d9, 1039),
    (0xaf87023b9bf0ee6b, 1066),
];
