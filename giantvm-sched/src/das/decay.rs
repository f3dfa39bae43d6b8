//! Sums that forget: what was added a half-life ago counts half.
//!
//! Time goes in whole steps, as in the load tracking of Linux ("Per-entity load tracking", 2013),
//! and in integers, so that constant input leads to a constant sum and the same trace to the same
//! decisions everywhere. A step is one planning period.

/// One, in the fixed point of factors.
const ONE: u64 = 1 << 32;
/// The largest sum: its product with a factor is far from the end of 128 bits.
const LARGEST: u64 = (1 << 47) - 1;

/// How fast sums forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decay {
    /// Steps after which a sum is half.
    half_life: u32,
    /// What a step leaves of a sum, in parts of [`ONE`].
    factor: u64,
}

/// What some steps leave of a sum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    halvings: u32,
    factor: u64,
}

impl Decay {
    /// Sums that halve in so many steps, at least one.
    pub(super) fn new(half_life: u32) -> Self {
        let half_life = half_life.max(1);
        let kept = (-1.0 / f64::from(half_life)).exp2() * 4_294_967_296.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from half of 2^32 to 2^32"
        )]
        let factor = kept.round() as u64;
        Self { half_life, factor }
    }

    /// What is left of any sum after so many steps.
    pub(super) fn after(self, steps: u64) -> Left {
        let halvings = steps / u64::from(self.half_life);
        let rest = steps % u64::from(self.half_life);
        Left {
            halvings: u32::try_from(halvings).unwrap_or(u32::MAX),
            factor: (0..rest).fold(ONE, |left, _| scaled(left, self.factor)),
        }
    }

    /// What a sum comes to per step, if as much was added in every one of them.
    pub(super) fn per_step(self, sum: u64) -> u64 {
        scaled(sum, ONE - self.factor)
    }

    /// The sum that so much per step leads to.
    pub(super) fn steady(self, per_step: u64) -> u64 {
        let sum = u128::from(per_step) * u128::from(ONE) / u128::from(ONE - self.factor);
        u64::try_from(sum).map_or(LARGEST, |sum| sum.min(LARGEST))
    }
}

impl Left {
    /// What is left of this one.
    pub(super) fn of(self, sum: u64) -> u64 {
        scaled(sum.checked_shr(self.halvings).unwrap_or(0), self.factor)
    }
}

/// `sum * factor` for a factor in parts of [`ONE`], no more than that.
fn scaled(sum: u64, factor: u64) -> u64 {
    let product = u128::from(sum) * u128::from(factor) / u128::from(ONE);
    u64::try_from(product).unwrap_or(u64::MAX)
}

/// A sum that forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Fading(u64);

impl Fading {
    pub(super) fn of(sum: u64) -> Self {
        Self(sum.min(LARGEST))
    }

    pub(super) fn add(&mut self, amount: u64) {
        self.0 = self.0.saturating_add(amount).min(LARGEST);
    }

    pub(super) fn fade(&mut self, left: Left) {
        self.0 = left.of(self.0);
    }

    pub(super) const fn sum(self) -> u64 {
        self.0
    }

    pub(super) fn per_step(self, decay: Decay) -> u64 {
        decay.per_step(self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_half_life_leaves_half_and_many_leave_nothing() {
        for half_life in [1, 3, 16, 1000] {
            let decay = Decay::new(half_life);
            assert_eq!(decay.after(half_life.into()).of(1 << 20), 1 << 19);
            assert_eq!(decay.after(64 * u64::from(half_life)).of(LARGEST), 0);
            assert_eq!(decay.after(u64::MAX).of(LARGEST), 0);
        }
    }

    proptest! {
        #[test]
        fn constant_input_leads_to_a_constant_sum_and_to_its_rate(
            half_life in 1..200_u32, amount in 1_000..1_000_000_000_u64,
        ) {
            let (decay, mut sum) = (Decay::new(half_life), Fading::default());
            let mut round = || {
                sum.fade(decay.after(1));
                sum.add(amount);
                sum.sum()
            };
            let last = (0..half_life * 64).map(|_| round()).last();
            prop_assert_eq!(Some(round()), last);
            let rate = sum.per_step(decay);
            prop_assert!(rate.abs_diff(amount) <= amount / 50 + 2, "{} for {}", rate, amount);
            prop_assert!(decay.steady(amount).abs_diff(sum.sum()) <= sum.sum() / 50 + 200);
        }

        #[test]
        fn sums_never_grow_by_themselves(sum in 0..=LARGEST, half in 1..300_u32, steps in 0..900_u64) {
            let decay = Decay::new(half);
            prop_assert!(decay.after(steps + 1).of(sum) <= decay.after(steps).of(sum));
            prop_assert!(decay.after(steps).of(sum) <= sum);
        }
    }
}
