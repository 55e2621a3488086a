//! Durations by the processor's counter.
//!
//! Promises  a duration costs one reading at each end and one multiplication; where the counter cannot be trusted,
//!           readings are the system's nanoseconds.
//! Source    quanta reads and calibrates the counter.
//! Tests     tests/base/ticks.rs.

/// Bits of `ns_per_tick` after the point.
const FRACTION_BITS: u32 = 32;

/// Reads ticks, and knows how long one is.
#[derive(Clone, Debug)]
pub struct TickClock {
    clock: quanta::Clock,
    /// Nanoseconds a tick takes, times 2^32.
    ns_per_tick: u64,
}

impl Default for TickClock {
    fn default() -> Self {
        Self::new()
    }
}

impl TickClock {
    /// A clock; the first of a process calibrates for some milliseconds.
    pub fn new() -> Self {
        let clock = quanta::Clock::new();
        let ns_per_tick = clock.delta_as_nanos(0, 1 << FRACTION_BITS);
        Self { clock, ns_per_tick }
    }

    /// Ticks since some moment before.
    #[inline(always)]
    pub fn raw(&self) -> u64 {
        self.clock.raw()
    }

    /// How many ticks so many nanoseconds take.
    pub fn ticks(&self, ns: u64) -> u64 {
        let ticks = (u128::from(ns) << FRACTION_BITS) / u128::from(self.ns_per_tick.max(1));
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// Nanoseconds from one reading to a later one; 0 where it is not later.
    #[inline(always)]
    pub fn delta_as_nanos(&self, start: u64, end: u64) -> u64 {
        let ticks = end.saturating_sub(start);
        ((u128::from(ticks) * u128::from(self.ns_per_tick)) >> FRACTION_BITS) as u64
    }
}
