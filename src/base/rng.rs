//! A small seeded generator: the same seed gives the same numbers on every machine.
//!
//! Not here  secrets; whoever sees a few outputs knows the rest.
//! Source    xoshiro256++ and SplitMix64, Blackman and Vigna, public domain (prng.di.unimi.it).

/// Pseudo-random numbers from a seed; 32 bytes of state.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// Any seed is good, 0 too.
    pub fn with_seed(seed: u64) -> Self {
        let mut counter = seed;
        let state = std::array::from_fn(|_| {
            counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = counter;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        });
        Self { state }
    }

    /// 64 bits, each as likely 0 as 1.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number from 0 to `limit - 1`, each equally likely. A `limit` of 0 gives 0.
    #[inline]
    pub fn below(&mut self, limit: u64) -> u64 {
        // Lemire, "Fast random integer generation in an interval": a division only where a draw may be unfair.
        let mut wide = u128::from(self.next_u64()) * u128::from(limit);
        if (wide as u64) < limit {
            let unfair = limit.wrapping_neg() % limit;
            while (wide as u64) < unfair {
                wide = u128::from(self.next_u64()) * u128::from(limit);
            }
        }
        (wide >> 64) as u64
    }

    /// A number from 0 up to but not including 1, a multiple of 2^-53.
    pub fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}
