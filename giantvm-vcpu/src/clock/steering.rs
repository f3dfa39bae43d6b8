//! How a correction is applied without time ever running backwards.

use super::{Estimate, Nanos};

/// While time has to be lost, guest time goes slower by one part in this many.
const SLOWER: u64 = 16;

/// Guest time as a function of the own clock's time: piecewise linear, continuous but for steps
/// forward, and never decreasing.
///
/// The first correction steps in either direction: make it before the guest runs.
#[derive(Debug, Clone)]
pub struct Steering {
    /// Whether a correction came.
    corrected: bool,
    /// Own and guest time at the last correction.
    own: Nanos,
    guest: Nanos,
    /// Nanoseconds that guest time was ahead then, and loses.
    ahead: u64,
}

impl Steering {
    /// Guest time is the own time, until the first correction.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            corrected: false,
            own: Nanos(0),
            guest: Nanos(0),
            ahead: 0,
        }
    }

    /// Guest time at the own time `own`; a time before the last correction counts as that.
    #[must_use]
    pub fn read(&self, own: Nanos) -> Nanos {
        let elapsed = own.0.saturating_sub(self.own.0);
        let lost = self.ahead.min(elapsed / SLOWER);
        Nanos(self.guest.0.saturating_add(elapsed - lost))
    }

    /// Corrects guest time to the estimate, at the own time `own`.
    pub fn correct(&mut self, own: Nanos, estimate: &Estimate) {
        let own = own.max(self.own);
        let target = own.0.saturating_add_signed(estimate.offset);
        let current = self.read(own).0;
        let first = !std::mem::replace(&mut self.corrected, true);
        self.own = own;
        self.guest = Nanos(if first { target } else { current.max(target) });
        self.ahead = if first {
            0
        } else {
            current.saturating_sub(target)
        };
    }
}

impl Default for Steering {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::{OffsetEstimator, Reply};

    fn estimate(offset: i64) -> Estimate {
        Estimate {
            offset,
            error: 0,
            at: Nanos(0),
        }
    }

    #[test]
    fn the_first_correction_steps_back_later_ones_slow_down() {
        let mut steering = Steering::new();
        steering.correct(Nanos(5000), &estimate(-3000));
        assert_eq!(steering.read(Nanos(5000)), Nanos(2000));
        steering.correct(Nanos(6000), &estimate(-3100));
        assert_eq!(steering.read(Nanos(6000)), Nanos(3000));
        assert_eq!(steering.read(Nanos(6160)), Nanos(3150));
        assert_eq!(
            steering.read(Nanos(10_000)),
            Nanos(6900),
            "the 100 are lost"
        );
        steering.correct(Nanos(11_000), &estimate(0));
        assert_eq!(
            steering.read(Nanos(11_000)),
            Nanos(11_000),
            "forward by a step"
        );
    }

    proptest! {
        #[test]
        fn time_never_runs_backwards(
            steps in prop::collection::vec((0_u64..1 << 40, any::<bool>(), -1_i64 << 40..1 << 40), 1..60),
        ) {
            let mut steering = Steering::new();
            steering.correct(Nanos(0), &estimate(1 << 40));
            let (mut own, mut last) = (0, Nanos(0));
            for (step, correct, offset) in steps {
                own += step;
                if correct {
                    steering.correct(Nanos(own), &estimate(offset));
                }
                let now = steering.read(Nanos(own));
                prop_assert!(now >= last);
                last = now;
            }
        }

        /// A follower whose quartz is off by up to 100 parts in a million, over links with
        /// different delays either way, agrees with the reference within the round trip.
        #[test]
        fn clocks_agree_within_the_round_trip(
            start in 0_u64..1 << 50,
            ppm in -100_i64..=100,
            delays in prop::collection::vec((1_000_u64..100_000, 1_000_u64..100_000), 50),
        ) {
            const INTERVAL: u64 = 100_000_000;
            // The longest round trip, and what drift can do in an interval.
            let bound = delays.iter().map(|(out, back)| out + back).max().unwrap() + 20_000;
            let own = |t: u64| {
                let drift = i128::from(t) * i128::from(ppm) / 1_000_000;
                Nanos(u64::try_from(i128::from(start) + i128::from(t) + drift).unwrap())
            };
            let (mut estimator, mut steering) = (OffsetEstimator::new(), Steering::new());
            let mut last = Nanos(0);
            for (round, (out, back)) in delays.into_iter().enumerate() {
                let t = INTERVAL * (round as u64 + 1);
                let probe = estimator.probe(own(t));
                let there = Nanos(t + out);
                let (received, replied) = (there, there);
                let reply = Reply { probe, received, replied };
                let now = t + out + back;
                let estimate = estimator.reply(own(now), reply).unwrap();
                let truth = i128::from(now) - i128::from(own(now).0);
                let wrong = (truth - i128::from(estimate.offset)).unsigned_abs();
                prop_assert!(wrong <= u128::from(estimate.error) + 1);
                steering.correct(own(now), &estimate);
                for part in 0..10 {
                    let t = now + (INTERVAL - out - back) / 10 * part;
                    let guest = steering.read(own(t));
                    prop_assert!(guest.0.abs_diff(t) <= bound, "{} off", guest.0.abs_diff(t));
                    prop_assert!(guest >= last);
                    last = guest;
                }
            }
        }
    }
}
