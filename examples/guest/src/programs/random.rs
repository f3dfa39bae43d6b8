//! Generators whose values both sides can compute.

/// The linear congruential generator of the NAS benchmarks: modulo 2^46, multiplier 5^13.
///
/// The benchmarks define it in double-precision arithmetic that is exact; 64-bit integers give
/// the same numbers.
#[derive(Debug, Clone, Copy)]
pub struct Nas(u64);

const MULTIPLIER: u64 = 1_220_703_125;
const MASK: u64 = (1 << 46) - 1;

impl Nas {
    /// The generator `skip` steps after `seed`.
    #[must_use]
    pub const fn after(seed: u64, mut skip: u64) -> Self {
        let mut state = seed;
        let mut power = MULTIPLIER;
        while skip > 0 {
            if skip & 1 == 1 {
                state = state.wrapping_mul(power) & MASK;
            }
            power = power.wrapping_mul(power) & MASK;
            skip >>= 1;
        }
        Self(state)
    }

    /// The next number, below 2^46.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(MULTIPLIER) & MASK;
        self.0
    }

    /// The next number as a fraction, above 0 and below 1.
    pub fn next_fraction(&mut self) -> f64 {
        const SCALE: f64 = 1.0 / (1u64 << 46) as f64;
        self.next() as f64 * SCALE
    }
}

/// Mixes an index into a word that looks random (the finalizer of the splitmix64 generator).
#[must_use]
pub const fn mix(index: u64) -> u64 {
    let mut z = index.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipping_ahead_equals_stepping() {
        let mut stepped = Nas::after(271_828_183, 0);
        for _ in 0..1000 {
            stepped.next();
        }
        let mut skipped = Nas::after(271_828_183, 1000);
        assert_eq!(stepped.next(), skipped.next());
    }
}
