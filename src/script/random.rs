//! The generator behind `math.random`: the 48-bit congruence of `drand48`, the same sequence on every machine.
//!
//! Source    POSIX `lrand48`.

/// 2^31 - 1, by which Redis's `math.random` divides.
const DIVISOR: u64 = 0x7fff_ffff;

/// The state of one generator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// As a process starts.
    pub(super) const START: Self = Self(0x1234_abcd_330e);

    /// After `math.randomseed(seed)`.
    pub(super) fn seeded(seed: i32) -> Self {
        Self(u64::from(seed as u32) << 16 | 0x330e)
    }

    /// At least 0, less than 1.
    pub(super) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & ((1 << 48) - 1);
        let number = self.0 >> 17;
        (number % DIVISOR) as f64 / DIVISOR as f64
    }
}
